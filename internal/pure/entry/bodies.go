// SPDX-License-Identifier: Apache-2.0

package entry

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// Genesis is the first entry of a domain; its leaf hash is the domain's id, and the authority's. Body class: public.
type Genesis struct {
	V          uint               `cbor:"1,keyasint"` // 1
	Profile    custody.Profile    `cbor:"2,keyasint"`
	LogKey     []byte             `cbor:"3,keyasint"`            // Ed25519 public key that signs checkpoints, 32 bytes
	Identity   []byte             `cbor:"4,keyasint"`            // Ed25519 public key that signs replies, 32 bytes
	Root       string             `cbor:"5,keyasint"`            // root of trust: "soft", "pkcs11", "tpm2"
	Anchor     string             `cbor:"6,keyasint"`            // "file", "tpm", "witness", "witness+tpm"
	Epoch      uint64             `cbor:"7,keyasint"`            // epoch of the domain working key: 1
	Pattern    []byte             `cbor:"8,keyasint"`            // its verification pattern, 16 bytes
	Document   []byte             `cbor:"9,keyasint"`            // first rule document, canonical
	Nonce      []byte             `cbor:"10,keyasint"`           // 16 random bytes: two domains never share an id
	Signatures []GenesisSignature `cbor:"11,keyasint,omitempty"` // one of each principal of the document, in its order
	Points     *points.Set        `cbor:"12,keyasint,omitempty"` // control points that are on; nil: points.Evaluation, in that profile only
	Recovery   *request.Recovery  `cbor:"13,keyasint,omitempty"` // with its sealed copies
	Witnesses  []LogWitness       `cbor:"14,keyasint,omitempty"` // log witnesses, where Anchor names them
	Quorum     uint64             `cbor:"15,keyasint,omitempty"` // how many of them must cosign: more than half
}

// LogWitness is a log witness under its name in the domain.
type LogWitness struct {
	Name string `cbor:"1,keyasint"`
	Key  string `cbor:"2,keyasint"` // verifier key (C2SP signed-note vkey, type 0x04)
}

// GenesisSignature is one first person's signature over the Genesis without signatures, under canon.TagGenesis.
type GenesisSignature struct {
	Person custody.PersonID `cbor:"1,keyasint"`
	Key    request.KeyRef   `cbor:"2,keyasint"`
	Sig    []byte           `cbor:"3,keyasint"`
}

// Request records that somebody asked, and what the rules said at once. Body class: confidential. Request is not changed once it was
// parsed.
type Request struct {
	Request  []byte           `cbor:"1,keyasint"` // canonical request
	Evidence request.Evidence `cbor:"2,keyasint"`
	Facts    policy.Facts     `cbor:"3,keyasint"` // as the core decoded them
	Effects  request.Effects  `cbor:"4,keyasint"`
	Bounds   request.Bounds   `cbor:"5,keyasint"`
	Decision policy.Decision  `cbor:"6,keyasint"`

	parsed *request.Parsed // of Request, once needed
}

// NewRequest makes the entry of a request that was parsed already.
func NewRequest(p *request.Parsed) *Request { return &Request{Request: p.Raw, parsed: p} }

// Parse gives the request, parsed once. Not for concurrent use.
func (r *Request) Parse() (*request.Parsed, error) {
	if r.parsed == nil {
		p, err := request.Parse(r.Request)
		if err != nil {
			return nil, err
		}
		r.parsed = p
	}
	return r.parsed, nil
}

// Approval records a person's signed decision: approve, reject or cancel. Body class: confidential.
type Approval struct {
	Approval request.Approval `cbor:"1,keyasint"`
}

// Slot is what only one payload may use.
type Slot struct {
	Account string  `cbor:"1,keyasint,omitempty"` // paying address (Ethereum)
	Nonce   uint64  `cbor:"2,keyasint,omitempty"`
	Inputs  []Input `cbor:"3,keyasint,omitempty"` // Bitcoin, sorted as in the transaction
}

// Input is an output of an earlier transaction that a payload spends.
type Input struct {
	TxID  [32]byte `cbor:"1,keyasint"` // internal byte order
	Index uint32   `cbor:"2,keyasint"`
}

// KeyPath says which key of a wallet signs: branch 0 receives, 1 is change.
type KeyPath struct {
	Branch uint32 `cbor:"1,keyasint"`
	Index  uint32 `cbor:"2,keyasint"`
}

// Permit records that one payload may be signed. It is durable and pinned before a key is used, and consumes its slot for ever.
// Signing it again gives the same bytes. Body class: confidential.
type Permit struct {
	Request     custody.RequestID `cbor:"1,keyasint"`
	Attempt     uint32            `cbor:"2,keyasint"` // 1, 2, … : each replaces the one before in the same slot
	Payload     []byte            `cbor:"3,keyasint"` // what the core decoded: unsigned EIP-2718 bytes, or a PSBT
	PayloadHash [32]byte          `cbor:"4,keyasint"` // of Payload, under canon.TagPayload
	Slot        Slot              `cbor:"5,keyasint"`
	Keys        []KeyPath         `cbor:"6,keyasint"`            // one a signature, in order
	Fee         custody.Uint256   `cbor:"7,keyasint"`            // most that the payload can cost, base units of the chain's coin
	Change      []KeyPath         `cbor:"8,keyasint,omitempty"`  // change addresses that it pays
	Decision    policy.Decision   `cbor:"9,keyasint"`            // the rules, evaluated again now
	Wallet      custody.WalletID  `cbor:"11,keyasint"`           // that pays
	Approvals   []uint64          `cbor:"10,keyasint,omitempty"` // entries of the approvals that it consumes
	Trail       []uint64          `cbor:"12,keyasint,omitempty"` // every other entry of the request so far: refusals, earlier permits and results
}

// Result records what a permit's signing released. Body class: confidential.
type Result struct {
	Request    custody.RequestID `cbor:"1,keyasint"`
	Permit     uint64            `cbor:"2,keyasint"` // entry of the permit
	Signatures [][]byte          `cbor:"3,keyasint"` // as in the signed transaction: r||s||v for Ethereum, DER or BIP-340 for Bitcoin
	TxID       string            `cbor:"4,keyasint"` // as the chain's explorers spell it
	Signed     [32]byte          `cbor:"5,keyasint"` // SHA-256 of the signed transaction
}

// Refusal records that the core refused an act on a request that exists. Body class: confidential.
type Refusal struct {
	Request custody.RequestID `cbor:"1,keyasint"`
	Act     string            `cbor:"2,keyasint"` // "approve", "permit", "execute"
	Kind    problem.Kind      `cbor:"3,keyasint"`
	Detail  string            `cbor:"4,keyasint"`
	Rule    string            `cbor:"5,keyasint,omitempty"`
	Unmet   []problem.Unmet   `cbor:"6,keyasint,omitempty"`
	Payload [32]byte          `cbor:"7,keyasint"`           // hash of the payload that was refused, or zero
	Final   bool              `cbor:"8,keyasint,omitempty"` // the request is over
}

// Wallet is what a domain holds assets with.
type Wallet struct {
	ID        custody.WalletID `cbor:"1,keyasint"`
	Chain     custody.ChainID  `cbor:"2,keyasint"`
	Scheme    request.Scheme   `cbor:"3,keyasint"`
	Key       custody.KeyID    `cbor:"4,keyasint"` // seed; of class token the key itself
	Account   uint32           `cbor:"5,keyasint"`
	Master    [4]byte          `cbor:"6,keyasint"`            // fingerprint of the master key (BIP-32)
	Parent    [4]byte          `cbor:"9,keyasint"`            // fingerprint of the account key's parent
	ChainCode [32]byte         `cbor:"7,keyasint"`            // of the account key
	Public    []byte           `cbor:"8,keyasint"`            // account public key, 33 bytes; of class token that of the key, and fingerprints and chain code are zero
	Class     request.Class    `cbor:"10,keyasint,omitempty"` // "token", or empty for core
}

// NewKey is a key born with an effect.
type NewKey struct {
	ID      custody.KeyID `cbor:"1,keyasint"`
	Purpose string        `cbor:"2,keyasint"` // "custody"
	Kind    string        `cbor:"3,keyasint"` // [KindSeed], or [KindTokenKey] of a wallet of class token
	Epoch   uint64        `cbor:"4,keyasint"`
	Blob    [32]byte      `cbor:"5,keyasint"`           // hash of the blob, under canon.TagBlobHash
	Next    []byte        `cbor:"6,keyasint,omitempty"` // hash of its blob under the next epoch, in the effect of a birth while one is committed
}

// AddressBatch is a run of addresses.
type AddressBatch struct {
	Wallet custody.WalletID `cbor:"1,keyasint"`
	Branch uint32           `cbor:"2,keyasint"`
	From   uint32           `cbor:"3,keyasint"`
	Count  uint32           `cbor:"4,keyasint"`
	Root   [32]byte         `cbor:"5,keyasint"` // RFC 6962 tree over the addresses' text
}

// Effect records what an approved request other than a transfer did; exactly one of document, wallet, addresses, life, warm, slots, app and move is present, but
// for a wallet's first address. A new document is
// recorded whole. Body class: confidential.
type Effect struct {
	Request   custody.RequestID `cbor:"1,keyasint"`
	Decision  policy.Decision   `cbor:"2,keyasint"`
	Approvals []uint64          `cbor:"3,keyasint,omitempty"`
	Document  []byte            `cbor:"4,keyasint,omitempty"`
	Wallet    *Wallet           `cbor:"5,keyasint,omitempty"`
	Key       *NewKey           `cbor:"6,keyasint,omitempty"` // with Wallet, if the seed is new
	Addresses *AddressBatch     `cbor:"7,keyasint,omitempty"` // alone, or the first address of Wallet
	Trail     []uint64          `cbor:"8,keyasint,omitempty"` // every other entry of the request so far: refusals
	Life      *Life             `cbor:"9,keyasint,omitempty"` // what became of the domain

	Warm *Warm `cbor:"10,keyasint,omitempty"` // what became of a wallet's temperature and sessions

	Slots *Slots `cbor:"12,keyasint,omitempty"` // whose slots are free again
	App   *App   `cbor:"13,keyasint,omitempty"` // what became of grants to applications, or of their keys
	Move  *Move  `cbor:"14,keyasint,omitempty"` // where a wallet's seed goes

	Oversight *Oversight `cbor:"22,keyasint,omitempty"` // what became of the operational state, or of a request that is held or released
}

// Plain says whether an effect holds nothing of its own: what it does follows from its request.
func (e *Effect) Plain() bool {
	return bytes.Equal(canon.Encode(e), canon.Encode(&Effect{Request: e.Request, Decision: e.Decision, Approvals: e.Approvals, Trail: e.Trail}))
}

// Oversight is what domain_freeze, domain_unfreeze, domain_drain, domain_resume, request_hold and request_release do. docs/spec/operational-state.md.
type Oversight struct {
	Mode     policy.Mode      `cbor:"1,keyasint,omitempty"` // the domain's from now on
	Until    int64            `cbor:"2,keyasint,omitempty"` // end of a drain, Unix seconds
	Held     custody.HexBytes `cbor:"3,keyasint,omitempty"` // request that is held from now on
	Released custody.HexBytes `cbor:"4,keyasint,omitempty"` // request that is held no more
}

// Warm is what wallet_temperature, warm_open and warm_close do. docs/spec/warm.md.
type Warm struct {
	Wallet custody.WalletID    `cbor:"1,keyasint"`
	To     request.Temperature `cbor:"2,keyasint,omitempty"` // the wallet's from now on, where it changes
	Opened *WarmSession        `cbor:"3,keyasint,omitempty"` // the session that is open from now on
	Closed []custody.AssetID   `cbor:"4,keyasint,omitempty"` // sessions that ended with this, by asset
}

// WarmSession is a session of a warm wallet as it is opened.
type WarmSession struct {
	Asset    custody.AssetID `cbor:"1,keyasint"`
	Amount   custody.Uint256 `cbor:"2,keyasint"` // base units of the asset
	NotAfter int64           `cbor:"3,keyasint"` // Unix seconds
}

// Life is what an operation on the life cycle does. docs/spec/domain.md says which fields each has.
type Life struct {
	Epoch     uint64      `cbor:"1,keyasint"` // of the register that the operation is about
	Pattern   []byte      `cbor:"2,keyasint"`
	Sealed    []byte      `cbor:"3,keyasint,omitempty"` // hash of the sealed copy of the working key
	Identity  []byte      `cbor:"4,keyasint,omitempty"` // hash of the sealed copy of the identity
	Destroyed []uint64    `cbor:"5,keyasint,omitempty"` // epochs, ascending
	Doomed    *BlobList   `cbor:"6,keyasint,omitempty"`
	Allowed   *points.Set `cbor:"7,keyasint,omitempty"` // control points that are on from now
	Frozen    *points.Set `cbor:"8,keyasint,omitempty"` // and that are frozen

	Added   []byte `cbor:"9,keyasint,omitempty"`  // offline domain that belongs to the authority from now on
	Removed []byte `cbor:"10,keyasint,omitempty"` // and that doesn't any more
}

// Blob names a blob of a key.
type Blob struct {
	Key  custody.KeyID `cbor:"1,keyasint"`
	Hash [32]byte      `cbor:"2,keyasint"`
}

// BlobList says which blobs are meant without naming each.
type BlobList struct {
	Count uint64   `cbor:"1,keyasint"`
	Hash  [32]byte `cbor:"2,keyasint"` // under canon.TagBlobList
}

// ListOf gives the number and hash of blobs, in their order.
func ListOf(blobs []Blob) BlobList {
	return BlobList{Count: uint64(len(blobs)), Hash: canon.Hash(canon.TagBlobList, blobs)}
}

// MaxReencipher is how many blobs one entry names.
const MaxReencipher = 1024

// Reencipher says that keys have a blob under the next epoch, durably. They are in order of birth.
type Reencipher struct {
	Epoch uint64 `cbor:"1,keyasint"`
	Blobs []Blob `cbor:"2,keyasint"`
}

// Erased says that the blobs that the log had given up are erased.
type Erased struct {
	Blobs BlobList `cbor:"1,keyasint"`
}

// MaxCause is the longest cause of a tamper entry, in bytes.
const MaxCause = 200

// Tamper says that the core destroyed its working keys without being asked.
type Tamper struct {
	Cause string `cbor:"1,keyasint"`
}

// Check says whether the cause is fit to be read by people.
func (t Tamper) Check() error {
	hidden := func(r rune) bool { return !unicode.IsPrint(r) }
	if t.Cause == "" || len(t.Cause) > MaxCause || !utf8.ValidString(t.Cause) || strings.ContainsFunc(t.Cause, hidden) {
		return fmt.Errorf("the cause must be 1 to %d bytes of visible text", MaxCause)
	}
	return nil
}

// Session records that a service opened a session. Body class: confidential.
type Session struct {
	Opening   []byte         `cbor:"1,keyasint"` // canonical request.SessionOpening
	Key       request.KeyRef `cbor:"2,keyasint"`
	Sig       []byte         `cbor:"3,keyasint"`
	Session   []byte         `cbor:"4,keyasint"`
	Ephemeral []byte         `cbor:"5,keyasint"`
}

// Snapshot commits the state after the entry before it. Body class: public.
type Snapshot struct {
	Root [32]byte `cbor:"1,keyasint"`
}

// Writer records that a writer took the log over. Body class: public.
type Writer struct {
	Epoch uint64 `cbor:"1,keyasint"` // the entry before has a lower one
}
