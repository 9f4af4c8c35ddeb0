// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/simulation"
)

// Outcome is what the rules say.
type Outcome string

// The outcomes.
const (
	Allowed Outcome = "allow" // on the route's plan
	Denied  Outcome = "deny"
	Held    Outcome = "hold"
)

// EvidenceKind says how the initiator showed who they are.
type EvidenceKind string

// The kinds of evidence.
const (
	BySignature EvidenceKind = "signature"
	BySession   EvidenceKind = "session"
	ByCall      EvidenceKind = "http" // a signed call of the REST API; as good as a signature, because it covers the whole request
)

// Destination is one output as the rules see it.
type Destination struct {
	Address string          `cbor:"1,keyasint"`
	Amount  custody.Uint256 `cbor:"2,keyasint"`
	Kind    DestinationKind `cbor:"3,keyasint"`
	Book    string          `cbor:"4,keyasint,omitempty"` // address-book id, unless Kind is one_time

	Age          int64  `cbor:"5,keyasint,omitempty"` // seconds for which the entry is there for certain, where the document has a ledger
	First        bool   `cbor:"6,keyasint,omitempty"` // never paid before, where the document asks
	Lookalike    string `cbor:"7,keyasint,omitempty"` // entry that an address which is not in the book looks like, or [PaidBefore]
	Counterparty string `cbor:"8,keyasint,omitempty"` // of the entry, whatever its kind
}

// PaidBefore stands in [Destination.Lookalike] for a destination that was paid and has no entry.
const PaidBefore = "(paid before)"

// Facts is everything a decision may depend on besides the document. What has a wallet has its class. A transfer has wallet, chain, asset, destinations, their
// sum as total, and fee cap; wallet_create, wallet_temperature and warm_close have wallet and chain; contract_call has what a transfer has, of its own value, and what
// it does; message_sign has wallet, chain and what the message says; address_create has wallet, chain and
// count; warm_open has wallet, chain, asset, and what the session is for as total; app_grant and app_revoke have what the grant is about; governance
// operations and app_key_revoke have none of these. Facts that lack one are denied; those that an operation does not have are not looked at.
type Facts struct {
	Operation    request.Operation `cbor:"1,keyasint"`
	Initiator    custody.PersonID  `cbor:"2,keyasint"`
	Evidence     EvidenceKind      `cbor:"3,keyasint"`
	Wallet       custody.WalletID  `cbor:"4,keyasint,omitempty"`
	Chain        custody.ChainID   `cbor:"5,keyasint,omitempty"`
	Asset        custody.AssetID   `cbor:"6,keyasint,omitempty"`
	Destinations []Destination     `cbor:"7,keyasint,omitempty"`
	Total        custody.Uint256   `cbor:"8,keyasint"`
	FeeCap       custody.Uint256   `cbor:"9,keyasint"`
	Count        uint32            `cbor:"10,keyasint,omitempty"` // addresses asked for
	App          *AppFacts         `cbor:"14,keyasint,omitempty"` // of a grant to an application
	Class        request.Class     `cbor:"21,keyasint,omitempty"` // of the wallet's key: "token", or empty for core

	Around *Around `cbor:"16,keyasint,omitempty"` // what the rules ask for of the state and the clock

	Context *Context `cbor:"15,keyasint,omitempty"` // nil: nothing out of the ordinary

	Call    *request.CallEffects    `cbor:"17,keyasint,omitempty"` // of a contract call, whose destination is the contract and whose amount its value
	Message *request.MessageEffects `cbor:"18,keyasint,omitempty"` // of a message
	Moves   []Destination           `cbor:"22,keyasint,omitempty"` // of a contract call: what its movements' destinations are, in their order, where the document remembers destinations
	Fiat    []Fiat                  `cbor:"19,keyasint,omitempty"` // what Total is worth in each currency that the rules look at and that has a price, rounded up

	Simulation *simulation.Report `cbor:"23,keyasint,omitempty"` // of a transfer or contract call on a chain of Ethereum's: what `serve` says that a node says; nobody vouches for it
	Screening  []Screened         `cbor:"20,keyasint,omitempty"` // by source and address: what each source that the rules look at says of whom this gives something
}

// AppFacts is what a grant to an application is about. app_revoke has the grant's name only.
type AppFacts struct {
	Grant      string                `cbor:"1,keyasint"`
	Caller     request.AppCaller     `cbor:"2,keyasint,omitempty"`
	Gateway    custody.PersonID      `cbor:"3,keyasint,omitempty"`
	Functions  []request.AppFunction `cbor:"4,keyasint,omitempty"`
	Mechanisms []uint64              `cbor:"5,keyasint,omitempty"`
	MaxUses    uint64                `cbor:"6,keyasint,omitempty"`
	Import     bool                  `cbor:"7,keyasint,omitempty"`
	Compat     bool                  `cbor:"8,keyasint,omitempty"`
}

// Decision is what the rules say about one set of facts. Auto, Plan and FeeCap are set only if it allows.
type Decision struct {
	Outcome Outcome          `cbor:"1,keyasint"`
	Version uint64           `cbor:"2,keyasint"`           // of the document
	Hash    [32]byte         `cbor:"3,keyasint"`           // of the document
	Rule    string           `cbor:"4,keyasint,omitempty"` // guard or route that decided, or RuleChangePlan, RuleFloor, RuleDefaultDeny
	Reason  string           `cbor:"5,keyasint,omitempty"` // the guard's reason code
	Auto    bool             `cbor:"6,keyasint,omitempty"`
	Plan    Plan             `cbor:"7,keyasint"`
	FeeCap  *custody.Uint256 `cbor:"8,keyasint,omitempty"`  // the route's
	Unmet   []problem.Unmet  `cbor:"9,keyasint,omitempty"`  // why it is not allowed: each guard that matched, or the first unmet criterion of each route; at most MaxUnmet
	Also    []Requirement    `cbor:"10,keyasint,omitempty"` // plans that must be met besides
	Limits  []Charge         `cbor:"11,keyasint,omitempty"` // what it takes from limits, in order of their ids; set only if it allows

	Delay       int64    `cbor:"12,keyasint,omitempty"` // seconds after acceptance before which it is not done
	Obligations []string `cbor:"13,keyasint,omitempty"` // ids of the obligations that added to it, ascending
	Needs       *Needs   `cbor:"14,keyasint,omitempty"` // what the approvals of all its plans together must be

	Prices []Price `cbor:"15,keyasint,omitempty"` // those of the facts that it was decided with; set only if it allows

	Screening []Screened `cbor:"16,keyasint,omitempty"` // likewise
}
