// SPDX-License-Identifier: Apache-2.0

// Package message has what crosses the door: one request and one reply type a method, in canonical CBOR. Everything that the
// core says is untrusted to nobody but checked by those who matter: receipts are signed by the domain identity key, proofs
// verify offline. docs/spec/door.md lists the methods.
package message

import (
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/simulation"
)

// The methods of the door.
const (
	MethodPing        = "ping" // answers [Empty] with [Empty]
	MethodStatus      = "status"
	MethodSubmit      = "submit"
	MethodApprove     = "approve"
	MethodExecute     = "execute"
	MethodSign        = "sign"
	MethodRequest     = "request"
	MethodRequests    = "requests"
	MethodWallet      = "wallet"
	MethodWallets     = "wallets"
	MethodAddresses   = "addresses"
	MethodPolicy      = "policy"
	MethodSession     = "session"
	MethodProof       = "proof"
	MethodWalletProof = "wallet-proof"
	MethodFeed        = "feed"
	MethodCheck       = "check"
)

// Empty is a request or reply that says nothing.
type Empty struct{}

// Status is how a core is.
type Status struct {
	Profile      custody.Profile     `cbor:"1,keyasint"`
	Authority    custody.AuthorityID `cbor:"2,keyasint"`
	Domain       custody.DomainID    `cbor:"3,keyasint"`
	Origin       string              `cbor:"4,keyasint"` // of checkpoints
	LogKey       []byte              `cbor:"5,keyasint"` // Ed25519
	Identity     []byte              `cbor:"6,keyasint"` // Ed25519
	Size         uint64              `cbor:"7,keyasint"` // entries in the state
	Pinned       uint64              `cbor:"8,keyasint"` // entries below the pin
	Checkpoint   []byte              `cbor:"9,keyasint"` // latest pinned checkpoint, signed note
	Writer       uint64              `cbor:"10,keyasint"`
	Root         string              `cbor:"11,keyasint"` // root of trust
	Anchor       string              `cbor:"12,keyasint"`
	MemoryLocked bool                `cbor:"13,keyasint"` // false only in the evaluation profile
	Notes        []string            `cbor:"14,keyasint"` // what an operator should know, for instance why memory is not locked
	KeysUnlocked uint64              `cbor:"15,keyasint"` // open keys: addresses, accounts, and keys for applications
	Wallets      uint64              `cbor:"16,keyasint"`
	Pending      uint64              `cbor:"17,keyasint"`
	Signed       uint64              `cbor:"18,keyasint"`
	Sessions     uint64              `cbor:"19,keyasint"`
	Policy       uint64              `cbor:"20,keyasint"` // version of the rule document
	PolicyHash   [32]byte            `cbor:"21,keyasint"`
	Time         int64               `cbor:"22,keyasint"` // Unix nanoseconds
	Bound        int64               `cbor:"23,keyasint"`
	TimeCertain  bool                `cbor:"24,keyasint"`
	Failed       string              `cbor:"25,keyasint"` // why nothing is decided any more, or empty
	Check        Check               `cbor:"26,keyasint"`
	Log          LogStats            `cbor:"27,keyasint"`
	Clock        string              `cbor:"31,keyasint,omitempty"` // [ClockSystem] or [ClockAuthenticated]
	TimeSources  []string            `cbor:"32,keyasint,omitempty"` // on which an authenticated time rests
	Starting     string              `cbor:"28,keyasint,omitempty"` // what the core waits for before it opens; then all else here is zero, but for the phase of a core in imprint
	Life         Life                `cbor:"33,keyasint"`
	WarmWallets  uint64              `cbor:"40,keyasint,omitempty"`
	WarmSessions uint64              `cbor:"41,keyasint,omitempty"` // of warm wallets, that have not ended for certain
	Incarnation  uint64              `cbor:"46,keyasint,omitempty"` // of the log
	Reanchoring  *Reanchoring        `cbor:"47,keyasint,omitempty"` // that is under way, or was cancelled
	GapAt        int64               `cbor:"48,keyasint,omitempty"` // when entries may have been lost the last time, Unix nanoseconds
	Held         uint64              `cbor:"49,keyasint,omitempty"` // wallets whose slots are held since
	Grants       uint64              `cbor:"50,keyasint,omitempty"` // to applications
	RevokedKeys  uint64              `cbor:"51,keyasint,omitempty"` // of applications
	Uses         uint64              `cbor:"52,keyasint,omitempty"` // of keys for applications, accounted since start
	ReadyPairs   uint64              `cbor:"53,keyasint,omitempty"` // RSA pairs made beforehand
	MissingKeys  uint64              `cbor:"54,keyasint,omitempty"` // of wallets of class token: not in the token when it was last asked
	Mode         *Mode               `cbor:"55,keyasint,omitempty"` // operational state; nil: normal
	OnHold       uint64              `cbor:"56,keyasint,omitempty"` // requests that are held
	Degraded     []string            `cbor:"57,keyasint,omitempty"` // what the core goes on without, in words
	NoPrices     uint64              `cbor:"58,keyasint,omitempty"` // pairs of the rules that have no value now
	PriceAge     uint64              `cbor:"59,keyasint,omitempty"` // of the oldest quote in use, seconds

	Screening *ScreeningStatus `cbor:"60,keyasint,omitempty"` // nil: the rules have no sources of screening
}

// Mode is an operational state other than the normal one. docs/spec/operational-state.md.
type Mode struct {
	Mode   policy.Mode      `cbor:"1,keyasint"` // frozen or draining, now
	Since  uint64           `cbor:"2,keyasint"` // entry
	By     custody.PersonID `cbor:"3,keyasint,omitempty"`
	Reason string           `cbor:"4,keyasint,omitempty"`
	Until  int64            `cbor:"5,keyasint,omitempty"` // end of a drain, Unix seconds
}

// Open is the problem of a core that is not open yet, or nil.
func (s Status) Open() error {
	if s.Starting == "" {
		return nil
	}
	return problem.New(problem.Starting, "the core is starting: %s", s.Starting)
}

// The kinds of clock.
const (
	ClockSystem        = "system"        // the machine's own
	ClockAuthenticated = "authenticated" // of a majority of authenticated sources
)

// LogStats counts what the log did since start.
type LogStats struct {
	Appends uint64 `cbor:"1,keyasint"`
	Batches uint64 `cbor:"2,keyasint"` // one flush each
	Pins    uint64 `cbor:"3,keyasint"`
}

// State is where a request stands.
type State string

// The states of a request. Wire format.
const (
	StatePending   State = "pending"  // approvals are missing
	StateReady     State = "ready"    // a transfer that may be signed
	StateSigned    State = "signed"   // has a permit; can be replaced in its slot
	StateExported  State = "exported" // likewise, and waits for its signatures from an offline domain
	StateExecuted  State = "executed"
	StateRefused   State = "refused"
	StateRejected  State = "rejected"
	StateCancelled State = "cancelled"
	StateExpired   State = "expired"
	StateVoid      State = "void" // a gap of the log ended it
)

// Receipt is the core's word that what somebody handed in is in the log, at this place, with this outcome. Who handed it in compares Act.
// The same act again gets the receipt of the entry that recorded it.
type Receipt struct {
	Authority custody.AuthorityID `cbor:"1,keyasint"`
	Domain    custody.DomainID    `cbor:"2,keyasint"`
	Request   custody.RequestID   `cbor:"3,keyasint"`
	Seq       uint64              `cbor:"4,keyasint"`
	Leaf      [32]byte            `cbor:"5,keyasint"` // leaf hash
	State     State               `cbor:"6,keyasint"`
	Act       [32]byte            `cbor:"7,keyasint"`           // request.Request.Hash, or request.Approval.Hash
	Sig       []byte              `cbor:"8,keyasint,omitempty"` // over [Receipt.Message]: domain identity key, or HMAC-SHA-256 with the key of the session whose MAC the request came with
}

// Message is what is signed or MACed.
func (r Receipt) Message() []byte {
	r.Sig = nil
	return canon.Message(canon.TagReceipt, r)
}

// Submit asks for something. A payload may come along for a transfer on an automatic route; then the reply holds the signed bytes.
type Submit struct {
	Request  []byte           `cbor:"1,keyasint"` // canonical request.Request
	Evidence request.Evidence `cbor:"2,keyasint"`
	Payload  []byte           `cbor:"3,keyasint,omitempty"`

	Simulation []byte `cbor:"4,keyasint,omitempty"` // canonical simulation.Report: what the caller says that a node says. One that can't be read, or is about something else, counts as none
}

// Approve hands in a person's decision.
type Approve struct {
	Approval request.Approval `cbor:"1,keyasint"`
}

// Execute asks to do an approved request other than a transfer, where that did not happen with the last approval.
type Execute struct {
	ID custody.RequestID `cbor:"1,keyasint"`
}

// Sign asks for the signature of a payload for a request. The same payload again gives the same bytes.
type Sign struct {
	ID      custody.RequestID `cbor:"1,keyasint"`
	Payload []byte            `cbor:"2,keyasint"`
}

// Signed is a released transaction.
type Signed struct {
	Attempt uint32 `cbor:"1,keyasint"`
	Permit  uint64 `cbor:"2,keyasint"` // entry
	TxID    string `cbor:"3,keyasint"`
	Bytes   []byte `cbor:"4,keyasint"` // ready to broadcast

	Exported bool `cbor:"5,keyasint,omitempty"` // the permit waits for its signatures from an offline domain; nothing was released yet
}

// ByID asks about a request.
type ByID struct {
	ID custody.RequestID `cbor:"1,keyasint"`
}

// Request is all that the log says of a request.
type Request struct {
	ID        custody.RequestID `cbor:"1,keyasint"`
	State     State             `cbor:"2,keyasint"`
	Request   []byte            `cbor:"3,keyasint"` // canonical request.Request
	Effects   request.Effects   `cbor:"4,keyasint"`
	Bounds    request.Bounds    `cbor:"5,keyasint"`
	Decision  policy.Decision   `cbor:"6,keyasint"`            // on acceptance
	Approvals []Vote            `cbor:"7,keyasint"`            // that stand, or of a request that ended: that were given
	Missing   *Problem          `cbor:"8,keyasint,omitempty"`  // what it waits for, or why it was refused
	Signed    *Signed           `cbor:"9,keyasint,omitempty"`  // latest attempt
	Seq       uint64            `cbor:"10,keyasint"`           // entry of the request
	Last      uint64            `cbor:"11,keyasint"`           // entry that decided its state
	Receipt   *Receipt          `cbor:"12,keyasint,omitempty"` // for the act that this replies to
	EndedBy   *Vote             `cbor:"13,keyasint,omitempty"` // who rejected or cancelled it

	Simulation *simulation.Report `cbor:"14,keyasint,omitempty"` // that it came with: the word of who handed it in, which nobody has checked
	Hold       *authority.Hold    `cbor:"15,keyasint,omitempty"` // who holds it, while it waits: there is one hold at most
}

// Vote is a person's signed decision.
type Vote struct {
	Person custody.PersonID `cbor:"1,keyasint"`
	Key    request.KeyRef   `cbor:"2,keyasint"`
	Seq    uint64           `cbor:"3,keyasint"`
	Time   int64            `cbor:"4,keyasint"`
}

// Problem is a problem as data.
type Problem struct {
	Kind   problem.Kind    `cbor:"1,keyasint" json:"kind"`
	Detail string          `cbor:"2,keyasint" json:"detail"`
	Rule   string          `cbor:"3,keyasint,omitempty" json:"rule,omitempty"`
	Unmet  []problem.Unmet `cbor:"4,keyasint,omitempty" json:"unmet,omitempty"`
}

// List asks for a run of things.
type List struct {
	From  uint64 `cbor:"1,keyasint"`
	Limit uint64 `cbor:"2,keyasint"`
}

// Requests are requests that wait or can be replaced, oldest first.
type Requests struct {
	Requests []Request `cbor:"1,keyasint"`
}

// WalletID asks for a wallet.
type WalletID struct {
	ID custody.WalletID `cbor:"1,keyasint"`
}

// Wallet is a wallet with its counters.
type Wallet struct {
	Wallet      entry.Wallet `cbor:"1,keyasint"`
	NextReceive uint32       `cbor:"2,keyasint"`
	NextChange  uint32       `cbor:"3,keyasint"`
	Address     string       `cbor:"4,keyasint"` // receiving address 0

	Temperature request.Temperature `cbor:"5,keyasint"`
	Sessions    []WarmSession       `cbor:"6,keyasint,omitempty"` // of a warm wallet, by asset
	Away        *Away               `cbor:"7,keyasint,omitempty"` // of a cold wallet
}

// Away says where the key of a cold wallet is.
type Away struct {
	Domain custody.DomainID `cbor:"1,keyasint"` // offline domain
	Name   string           `cbor:"2,keyasint"`
	Way    string           `cbor:"3,keyasint"` // "leaving", "held" or "coming"
	Move   uint64           `cbor:"4,keyasint"` // entry of the latest move
}

// WarmSession is a session of a warm wallet.
type WarmSession struct {
	Asset     custody.AssetID `cbor:"1,keyasint"`
	Amount    custody.Uint256 `cbor:"2,keyasint"` // that it was opened for, base units of the asset
	Remaining custody.Uint256 `cbor:"3,keyasint"` // that no permit has taken
	NotAfter  int64           `cbor:"4,keyasint"` // Unix seconds
	Seq       uint64          `cbor:"5,keyasint"` // entry that opened it
	Ended     bool            `cbor:"6,keyasint,omitempty"`
}

// Wallets are wallets in order of birth.
type Wallets struct {
	Wallets []Wallet `cbor:"1,keyasint"`
	Total   uint64   `cbor:"2,keyasint"`
}

// Addresses asks for a run of a wallet's addresses.
type Addresses struct {
	Wallet custody.WalletID `cbor:"1,keyasint"`
	Branch uint32           `cbor:"2,keyasint"`
	From   uint32           `cbor:"3,keyasint"`
	Count  uint32           `cbor:"4,keyasint"` // at most 10,000
}

// Address is one address.
type Address struct {
	Index   uint32 `cbor:"1,keyasint" json:"index"`
	Address string `cbor:"2,keyasint" json:"address"`
	Public  []byte `cbor:"3,keyasint" json:"-"`     // compressed
	Nonce   uint64 `cbor:"4,keyasint" json:"nonce"` // Ethereum: least nonce that no permit has used
}

// AddressList is the reply.
type AddressList struct {
	Addresses []Address `cbor:"1,keyasint"`
}

// Policy is the current rule document.
type Policy struct {
	Document []byte   `cbor:"1,keyasint"` // canonical policy.Document
	Hash     [32]byte `cbor:"2,keyasint"`
}

// OpenSession asks for a session.
type OpenSession struct {
	Opening []byte         `cbor:"1,keyasint"` // canonical request.SessionOpening
	Key     request.KeyRef `cbor:"2,keyasint"`
	Sig     []byte         `cbor:"3,keyasint"`
}

// Proof is a proof file; docs/spec/proof-file.md.
type Proof struct {
	File []byte `cbor:"1,keyasint"`
}

// MaxWait is the longest that a core lets a caller wait for an entry, in milliseconds.
const MaxWait = 30_000

// Feed asks for entries below the pin, in clear, from a sequence number on. With Wait it answers when there is one, or after so many
// milliseconds without; more than [MaxWait] counts as that. Only the next entry can be waited for: a From beyond it is malformed then.
type Feed struct {
	From  uint64 `cbor:"1,keyasint"`
	Limit uint64 `cbor:"2,keyasint"` // at most 1,000
	Wait  uint64 `cbor:"3,keyasint,omitempty"`
}

// Entries is the reply.
type Entries struct {
	Entries []Entry `cbor:"1,keyasint"`
	Pinned  uint64  `cbor:"2,keyasint"`
}

// Entry is an entry in clear.
type Entry struct {
	Leaf   []byte `cbor:"1,keyasint"`
	Bodies []Body `cbor:"2,keyasint"`
}

// Body is a body in clear with its salt; a personal body whose key was destroyed is Shredded.
type Body struct {
	Salt     []byte `cbor:"1,keyasint"`
	Body     []byte `cbor:"2,keyasint"`
	Shredded bool   `cbor:"3,keyasint,omitempty"`
}

// CheckStart asks for the full re-check, or only how it goes.
type CheckStart struct {
	Start bool `cbor:"1,keyasint"`
}

// Check is the full re-check of log, bodies, decisions and blobs.
type Check struct {
	Running bool   `cbor:"1,keyasint"`
	Checked uint64 `cbor:"2,keyasint"` // entries so far
	Total   uint64 `cbor:"3,keyasint"`
	Done    bool   `cbor:"4,keyasint"` // the last run reached the end
	Fault   string `cbor:"5,keyasint"` // what is wrong and where, or empty
}
