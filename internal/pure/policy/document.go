// SPDX-License-Identifier: Apache-2.0

// Package policy has the rule document and its evaluation: who the people are, what is forbidden, which approvals each kind of
// request needs. A decision is a pure function of document and facts. What can't be evaluated is refused or held, never skipped.
//
// Expressions are a small part of CEL over the facts (docs/adr/0002-cel-in-pure-policy.md).
//
// The document grows (docs/spec/rule-document.md): fields are added, never renumbered, and a document that uses a field this
// version does not know is refused, not read in part.
package policy

import (
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
)

// Document is the one rule document of an authority.
type Document struct {
	V           uint        `cbor:"1,keyasint"` // 1: version of this schema
	Version     uint64      `cbor:"2,keyasint"` // 1 at genesis, then +1 with each change
	PrevHash    [32]byte    `cbor:"3,keyasint"` // hash of the document before; zero at genesis
	Principals  []Principal `cbor:"4,keyasint"` // sorted by id
	Groups      []Group     `cbor:"5,keyasint"` // sorted by id
	AddressBook []BookEntry `cbor:"6,keyasint"` // sorted by id
	Floor       Floor       `cbor:"7,keyasint"`
	Guards      []Guard     `cbor:"8,keyasint"` // sorted by id; order has no meaning
	Routes      []Route     `cbor:"9,keyasint"` // sorted by priority; priorities are distinct
	ChangePlan  Plan        `cbor:"10,keyasint"`

	Domain *DomainPlans `cbor:"11,keyasint,omitempty"` // nil: the change plan stands for each

	Calendars []Calendar `cbor:"13,keyasint,omitempty"` // sorted by id
	Limits    []Limit    `cbor:"14,keyasint,omitempty"` // sorted by id; order has no meaning

	Obligations    []Obligation   `cbor:"15,keyasint,omitempty"` // sorted by id; order has no meaning
	BreakGlass     *BreakGlass    `cbor:"21,keyasint,omitempty"` // nil: an administrator freezes, nobody drains
	Oversight      *Oversight     `cbor:"22,keyasint,omitempty"` // who holds and releases requests
	Counterparties []Counterparty `cbor:"16,keyasint,omitempty"` // sorted by id
	Whitelist      *Whitelist     `cbor:"17,keyasint,omitempty"` // nil: no address ledger; whitelist operations change AddressBook
	Blacklist      []Blocked      `cbor:"18,keyasint,omitempty"` // sorted by chain and address
	Contracts      []Contract     `cbor:"20,keyasint,omitempty"` // sorted by id

	ReplayRequired bool `cbor:"24,keyasint,omitempty"` // a document that takes this one's place comes with a replay of the log

	PriceSources []PriceSource `cbor:"19,keyasint,omitempty"` // sorted by id; order has no meaning

	ScreeningSources []ScreeningSource `cbor:"23,keyasint,omitempty"` // sorted by id; order has no meaning
}

// DomainPlans are the reserved plans of the domain's life cycle (docs/spec/domain.md).
type DomainPlans struct {
	Signature  Plan `cbor:"1,keyasint"` // whose people are the administrators
	Revocation Plan `cbor:"2,keyasint"` // also when somebody whom one of the three counts ceases to be, or loses a key
	Recovery   Plan `cbor:"3,keyasint"` // after zeroize, and for re-anchoring

	ReanchorDelay *int64 `cbor:"4,keyasint,omitempty"` // seconds between re-anchoring and its effect; nil: [DefaultReanchorDelay]
}

// PrincipalKind says what a principal is.
type PrincipalKind string

// The kinds of principal.
const (
	Human   PrincipalKind = "human"
	Service PrincipalKind = "service"
)

// Principal is a person or service. It is counted once, however many keys it has.
type Principal struct {
	ID     custody.PersonID    `cbor:"1,keyasint"`
	Kind   PrincipalKind       `cbor:"2,keyasint"`
	Keys   []request.PublicKey `cbor:"3,keyasint"` // 1 to 8, distinct in the whole document
	Active bool                `cbor:"4,keyasint"` // false once revoked; never true again

	Line  uint8          `cbor:"5,keyasint,omitempty"` // line of defence, 1 to 3; 0: none
	Roles []request.Role `cbor:"6,keyasint,omitempty"` // sorted, distinct; none: those of the line, and without a line all
}

// Group is a named set of principals.
type Group struct {
	ID      custody.GroupID    `cbor:"1,keyasint"`
	Members []custody.PersonID `cbor:"2,keyasint"` // sorted, distinct

	Line uint8 `cbor:"3,keyasint,omitempty"` // line of defence of every member; 0: it does not matter
}

// BookEntry is a destination that rules may call whitelisted.
type BookEntry struct {
	ID      string          `cbor:"1,keyasint"`
	Chain   custody.ChainID `cbor:"2,keyasint"`
	Address string          `cbor:"3,keyasint"` // canonical spelling

	Counterparty string            `cbor:"4,keyasint,omitempty"` // id
	Proof        request.ProofKind `cbor:"5,keyasint,omitempty"` // how its owner showed that it is theirs; in the document itself that is its approvers' word
	Expires      int64             `cbor:"6,keyasint,omitempty"` // Unix seconds; 0: never
	Suspended    bool              `cbor:"7,keyasint,omitempty"` // nothing is paid there
	Kind         request.EntryKind `cbor:"8,keyasint,omitempty"`
	Tags         []string          `cbor:"9,keyasint,omitempty"` // sorted, distinct slugs
}

// Floor holds for every request, whatever a route says.
type Floor struct {
	MinDistinctUsers   uint32 `cbor:"1,keyasint"` // approvals by this many people at least, on routes that are not automatic
	ForbidSelfApproval bool   `cbor:"2,keyasint"` // always true in this version
	RequestTTL         int64  `cbor:"3,keyasint"` // seconds a request may live; at most request.MaxLifetime
	MaxApprovalAge     int64  `cbor:"4,keyasint"` // seconds an approval counts

	MinDistinctGroups uint32 `cbor:"5,keyasint,omitempty"` // each branch of each plan has steps of this many groups at least
}

// Effect is what a guard does.
type Effect string

// The effects of guards.
const (
	Deny Effect = "deny"
	Hold Effect = "hold"
)

// Guard refuses or holds whatever it matches. An expression that can't be evaluated counts as a match.
type Guard struct {
	ID     string `cbor:"1,keyasint"`
	Title  string `cbor:"2,keyasint,omitempty"`
	When   Match  `cbor:"3,keyasint"`
	Effect Effect `cbor:"4,keyasint"`
	Reason string `cbor:"5,keyasint,omitempty"` // reason code for the caller
}

// Route says which approvals a request needs. The first that matches, by priority, decides; none means deny. An expression that
// can't be evaluated is no match, and ends the search: a later, perhaps laxer, route must not stand in.
type Route struct {
	ID       string           `cbor:"1,keyasint"`
	Priority uint32           `cbor:"2,keyasint"` // lower is earlier
	When     Match            `cbor:"3,keyasint"`
	Plan     Plan             `cbor:"4,keyasint"`           // empty on an automatic route
	Auto     bool             `cbor:"5,keyasint,omitempty"` // no approvals; the only routes for sessions of services
	FeeCap   *custody.Uint256 `cbor:"6,keyasint,omitempty"` // most fee in base units of the chain's coin, whatever the request allows
}

// Plan says which approvals meet a request: any one of its branches.
type Plan struct {
	AnyOf []Branch `cbor:"1,keyasint,omitempty"`
}

// Branch is met when each of its steps is. Times are in seconds; 0 is none.
type Branch struct {
	Steps []Step `cbor:"1,keyasint"`

	Delay        int64 `cbor:"2,keyasint,omitempty"` // after acceptance, before which the branch is not met
	ExpiresAfter int64 `cbor:"3,keyasint,omitempty"` // age from which on an approval does not count for the branch; less than the floor's
	Deadline     int64 `cbor:"4,keyasint,omitempty"` // after acceptance, from which on the branch is not met any more
}

// Step is met when Min members of Group approved, none of whom is counted for another step of the branch.
type Step struct {
	Group custody.GroupID `cbor:"1,keyasint"`
	Min   uint32          `cbor:"2,keyasint"` // at least 1

	Ordered  bool              `cbor:"3,keyasint,omitempty"` // approvals count only if they came after the steps before were met
	Hardware bool              `cbor:"4,keyasint,omitempty"` // approvals by passkeys only
	Differ   []custody.GroupID `cbor:"5,keyasint,omitempty"` // members of these groups don't count; sorted, distinct
	Veto     []custody.GroupID `cbor:"6,keyasint,omitempty"` // whose members may reject, though they don't approve; sorted, distinct
}

// DestinationKind classifies one output's destination.
type DestinationKind string

// The kinds of destination.
const (
	Whitelisted DestinationKind = "whitelisted" // in the address book
	OneTime     DestinationKind = "one_time"    // not in the address book

	// InternalWallet is reserved for an address of a wallet of this domain. This version doesn't classify those: facts never have
	// it, and a document that names it is refused, because a rule that silently never matches would mislead who approves it.
	InternalWallet DestinationKind = "internal_wallet"

	Cooling   DestinationKind = "cooling"   // in the address book, not for long enough
	Expired   DestinationKind = "expired"   // in the address book, past its end or its review
	Suspended DestinationKind = "suspended" // in the address book, and never paid while it is so
)

// Match is true when every field that is present is. An empty Match matches everything. A field about an attribute that the
// operation does not have (an enrolment has no wallet) is not true. Lists are sorted and distinct.
type Match struct {
	Operations    []request.Operation `cbor:"1,keyasint,omitempty"`
	Initiators    []custody.PersonID  `cbor:"2,keyasint,omitempty"`
	InitiatorIn   []custody.GroupID   `cbor:"3,keyasint,omitempty"` // in any of these groups
	InitiatorKind []PrincipalKind     `cbor:"4,keyasint,omitempty"`
	Wallets       []custody.WalletID  `cbor:"5,keyasint,omitempty"`
	Chains        []custody.ChainID   `cbor:"6,keyasint,omitempty"`
	Assets        []custody.AssetID   `cbor:"7,keyasint,omitempty"`
	Destination   []DestinationKind   `cbor:"8,keyasint,omitempty"`  // every output is of one of these kinds
	DestNot       []DestinationKind   `cbor:"9,keyasint,omitempty"`  // some output is of none of these kinds
	Books         []string            `cbor:"10,keyasint,omitempty"` // every output goes to one of these address-book entries
	AmountMax     *custody.Uint256    `cbor:"11,keyasint,omitempty"` // total at most, base units of the asset
	AmountOver    *custody.Uint256    `cbor:"12,keyasint,omitempty"` // total more than
	Expr          string              `cbor:"13,keyasint,omitempty"` // CEL over the facts; must give a bool

	Time           *TimeMatch            `cbor:"14,keyasint,omitempty"` // inside or outside the hours of a calendar
	Temperatures   []request.Temperature `cbor:"15,keyasint,omitempty"` // of the wallet
	FeeOver        *custody.Uint256      `cbor:"28,keyasint,omitempty"` // the fee cap asked for is more than
	Classes        []request.Class       `cbor:"31,keyasint,omitempty"` // of the wallet's key
	InitiatorRoles []request.Role        `cbor:"27,keyasint,omitempty"` // who asks has one of these roles
	Counterparties []string              `cbor:"17,keyasint,omitempty"` // every output goes to a whitelisted entry of one of these
	MinAge         int64                 `cbor:"18,keyasint,omitempty"` // every output goes to an entry that is whitelisted and at least so old, in seconds
	YoungerThan    int64                 `cbor:"19,keyasint,omitempty"` // some output goes to an entry that is younger, or to none that is whitelisted
	FirstUse       bool                  `cbor:"20,keyasint,omitempty"` // some output goes where the domain never paid before
	Lookalike      bool                  `cbor:"21,keyasint,omitempty"` // some output looks like another address that is known
	Call           *CallMatch            `cbor:"24,keyasint,omitempty"` // what a contract call does
	Typed          *TypedMatch           `cbor:"25,keyasint,omitempty"` // what typed data says
	Message        []MessageKind         `cbor:"26,keyasint,omitempty"` // the message is of one of these kinds
	FiatMax        *Fiat                 `cbor:"22,keyasint,omitempty"` // the total is worth at most
	FiatOver       *Fiat                 `cbor:"23,keyasint,omitempty"` // the total is worth more than
	Screening      *ScreeningMatch       `cbor:"30,keyasint,omitempty"` // what sources of screening say of whom it gives something
	Simulation     *SimulationMatch      `cbor:"32,keyasint,omitempty"` // a simulation tells this; in obligations only
}

// Encode gives the canonical encoding.
func (d Document) Encode() []byte { return canon.Encode(d) }

// Hash names the document.
func (d Document) Hash() [32]byte { return canon.Hash(canon.TagPolicy, d) }
