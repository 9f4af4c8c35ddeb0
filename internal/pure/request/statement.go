// SPDX-License-Identifier: Apache-2.0

package request

import (
	"fmt"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
)

// Decision is what a person says to a request.
type Decision string

// The decisions. Cancel is the initiator's; approve and reject are for others.
const (
	Approve Decision = "approve"
	Reject  Decision = "reject"
	Cancel  Decision = "cancel"
)

// Call is the contract call of a token transfer, as decoded: ERC-20 transfer(address,uint256). What a contract_call does is in [CallEffects].
type Call struct {
	Contract string   `cbor:"1,keyasint" json:"contract"` // EIP-55
	Selector string   `cbor:"2,keyasint" json:"selector"` // "transfer(address,uint256)"
	Args     []string `cbor:"3,keyasint" json:"args"`     // as decoded, in order: EIP-55 address, decimal integer
	DataHash [32]byte `cbor:"4,keyasint" json:"-"`        // SHA-256 of the calldata
}

// Effects is what a request does, decoded. It is what people approve.
type Effects struct {
	Operation Operation        `cbor:"1,keyasint" json:"operation"`
	Wallet    custody.WalletID `cbor:"2,keyasint,omitempty" json:"wallet,omitempty"`
	Chain     custody.ChainID  `cbor:"3,keyasint,omitempty" json:"chain,omitempty"`
	Asset     custody.AssetID  `cbor:"4,keyasint,omitempty" json:"asset,omitempty"`
	Source    string           `cbor:"5,keyasint,omitempty" json:"source,omitempty"` // paying address (Ethereum)
	Outputs   []Output         `cbor:"6,keyasint,omitempty" json:"outputs,omitempty"`
	Total     custody.Uint256  `cbor:"7,keyasint" json:"total"` // sum of the outputs, base units
	Call      *Call            `cbor:"8,keyasint,omitempty" json:"call,omitempty"`
	BodyHash  [32]byte         `cbor:"9,keyasint" json:"-"` // hash of the whole request: binds what is not decoded above

	Until       int64       `cbor:"10,keyasint,omitempty" json:"until,omitempty"`       // end of a warm session, Unix seconds; Total is then what it is for
	Temperature Temperature `cbor:"11,keyasint,omitempty" json:"temperature,omitempty"` // of the wallet from then on, where the request says so

	Domain custody.HexBytes `cbor:"12,keyasint,omitempty" json:"domain,omitempty"` // that a wallet's key moves to, or that is added or removed
	App    *AppEffects      `cbor:"14,keyasint,omitempty" json:"app,omitempty"`    // of a grant to an application; Until is then its end

	Target  custody.HexBytes `cbor:"22,keyasint,omitempty" json:"request,omitempty"` // request that is held or released
	Since   uint64           `cbor:"23,keyasint,omitempty" json:"since,omitempty"`   // entry of the freeze, drain or hold that it ends
	Books   []string         `cbor:"24,keyasint,omitempty" json:"books,omitempty"`   // by output: its entry of the address book, or none; where rules depend on an address ledger
	List    *ListEffects     `cbor:"25,keyasint,omitempty" json:"list,omitempty"`    // on address book or blacklist
	Calls   *CallEffects     `cbor:"26,keyasint,omitempty" json:"calls,omitempty"`   // of a contract call, whose own value is Total
	Message *MessageEffects  `cbor:"27,keyasint,omitempty" json:"message,omitempty"` // of a message

	Replay *Replay `cbor:"29,keyasint,omitempty" json:"replay,omitempty"` // of a rule document that takes the current one's place

	Screening []ScreeningEffect `cbor:"31,keyasint,omitempty" json:"screening,omitempty"` // what sources of the rules said of whom it gives something when it was accepted: the domain's word
}

// ListEffects is what becomes of an address.
type ListEffects struct {
	IDs       []string        `cbor:"1,keyasint,omitempty" json:"ids,omitempty"` // of the address book
	Chain     custody.ChainID `cbor:"2,keyasint,omitempty" json:"chain,omitempty"`
	Address   string          `cbor:"3,keyasint,omitempty" json:"address,omitempty"`
	Proof     ProofKind       `cbor:"4,keyasint,omitempty" json:"proof,omitempty"`
	Lookalike string          `cbor:"5,keyasint,omitempty" json:"lookalike,omitempty"` // that it looks like, as the core sees it
}

// ChangeRule says where what is left over may go.
type ChangeRule string

// SlotPolicy says what keeps two payloads of one request apart.
type SlotPolicy string

// The rules there are.
const (
	NoChange     ChangeRule = "none"
	OwnChange    ChangeRule = "own-only" // to a change address that the core derives for this wallet
	NoSlot       SlotPolicy = "none"
	AccountNonce SlotPolicy = "account-nonce" // one live nonce of the paying account a request
	InputSet     SlotPolicy = "input-set"     // one live set of inputs a request
)

// Bounds is how far the bytes, which are built after approval, may go.
type Bounds struct {
	FeeCap   custody.Uint256 `cbor:"1,keyasint" json:"feeCap"`                       // base units of FeeAsset
	FeeAsset custody.AssetID `cbor:"2,keyasint,omitempty" json:"feeAsset,omitempty"` // the chain's own coin
	Change   ChangeRule      `cbor:"3,keyasint" json:"change"`
	Slot     SlotPolicy      `cbor:"4,keyasint" json:"slot"`
	NotAfter int64           `cbor:"5,keyasint" json:"notAfter"` // Unix seconds: nothing is signed later
}

// Statement is what an approver signs, under [canon.TagStatement]. A passkey signs its hash as the challenge.
type Statement struct {
	V             uint                `cbor:"1,keyasint"` // 1
	Authority     custody.AuthorityID `cbor:"2,keyasint"`
	Domain        custody.DomainID    `cbor:"3,keyasint"`
	Request       custody.RequestID   `cbor:"4,keyasint"`
	Initiator     custody.PersonID    `cbor:"5,keyasint"`
	Effects       Effects             `cbor:"6,keyasint"`
	Bounds        Bounds              `cbor:"7,keyasint"`
	PolicyVersion uint64              `cbor:"8,keyasint"`            // rule document under which the request was accepted
	PolicyHash    [32]byte            `cbor:"9,keyasint"`            // its hash
	Exact         []byte              `cbor:"10,keyasint,omitempty"` // exact bytes, for raw and typed-data kinds
	Approver      custody.PersonID    `cbor:"11,keyasint"`           // who signs this
	Decision      Decision            `cbor:"12,keyasint"`
}

// By gives the statement as one person signs it.
func (s Statement) By(p custody.PersonID, d Decision) Statement {
	s.Approver, s.Decision = p, d
	return s
}

// Encode gives the canonical encoding.
func (s Statement) Encode() []byte { return canon.Encode(s) }

// Message is what is signed.
func (s Statement) Message() []byte { return canon.Message(canon.TagStatement, s) }

// Hash is SHA-256 of [Statement.Message].
func (s Statement) Hash() [32]byte { return canon.Hash(canon.TagStatement, s) }

// DecodeStatement reads a canonical statement.
func DecodeStatement(b []byte) (Statement, error) {
	var s Statement
	if err := canon.Decode(b, &s); err != nil {
		return s, fmt.Errorf("approval statement: %w", err)
	}
	if s.V != 1 {
		return s, fmt.Errorf("approval statement: version %d is not known; this version reads 1", s.V)
	}
	switch s.Decision {
	case Approve, Reject, Cancel:
	default:
		return s, fmt.Errorf("approval statement: decision %q is not approve, reject or cancel", string(s.Decision))
	}
	return s, s.Approver.Check()
}

// Approval is a person's signed decision.
type Approval struct {
	Request  custody.RequestID `cbor:"1,keyasint"`
	Person   custody.PersonID  `cbor:"2,keyasint"`
	Decision Decision          `cbor:"3,keyasint"`
	Key      KeyRef            `cbor:"4,keyasint"`
	Sig      []byte            `cbor:"5,keyasint"` // over [Statement.Message] of the statement by this person, as [PublicKey.Verify] takes it
}

// Hash is what a receipt names a decision by: SHA-256 under [canon.TagDecision].
func (a Approval) Hash() [32]byte { return canon.Hash(canon.TagDecision, a) }

// Check says whether a is well-formed.
func (a Approval) Check() error {
	if err := CheckSig(a.Sig); err != nil {
		return fmt.Errorf("approval: %w", err)
	}
	switch a.Decision {
	case Approve, Reject, Cancel:
	default:
		return fmt.Errorf("approval: decision %q is not approve, reject or cancel", string(a.Decision))
	}
	if err := a.Key.Check(); err != nil {
		return fmt.Errorf("approval: %w", err)
	}
	return a.Person.Check()
}
