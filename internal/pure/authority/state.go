// SPDX-License-Identifier: Apache-2.0

// Package authority is what a domain is: the fold of its log. [State.Apply] takes one entry after the other, checks structure,
// authority and arithmetic, and applies the recorded effects; it is frozen for each kind and version. [Audit] decides again
// from the recorded inputs, with the engine that the entry names. The decisions themselves stand in decide*.go and are used
// by the core, which records them, and by the auditor, who repeats them.
//
// It refuses unknown kinds, entries out of order, and whatever would use a slot, an approval or an id twice.
// docs/spec/state.md describes the state's encoding, its root and the snapshot.
package authority

import (
	"fmt"
	"slices"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// State is the fold of a log up to and including entry Next-1. It is not safe for concurrent use: its owner is one sequencer.
type State struct {
	Authority custody.AuthorityID
	Domain    custody.DomainID
	Profile   custody.Profile
	LogKey    [32]byte // Ed25519
	Identity  [32]byte // Ed25519
	Root      string
	Anchor    string
	Next      uint64   // sequence number of the entry that comes next
	Last      [32]byte // leaf hash of the last entry
	Time      int64    // of the last entry, Unix nanoseconds
	Writer    uint64   // writer epoch
	Epoch     uint64   // epoch of the domain working key
	Pattern   []byte   // its verification pattern
	Doc       policy.Document
	Rules     *policy.Rules // Doc, prepared
	docs      []uint64      // by version less 1: entry that made the document

	keys     []entry.NewKey // in order of birth
	keyIndex map[custody.KeyID]int

	wallets     chain // canonical entry.Wallet
	walletIndex map[custody.WalletID]int
	walletKeys  map[walletKey]struct{} // no two wallets of a chain have the same keys
	walletList  []entry.Wallet
	next        [][2]uint32 // by wallet: next receiving and change index
	born        []uint64    // by wallet: entry that made it
	askedIn     []uint64    // by wallet: entry of the request for it

	accounts     chain // canonical account
	accountIndex map[account]int
	nonces       []uint64 // by account: least nonce that no permit has used

	spent      chain // 36-byte outpoints
	spentIndex map[entry.Input]struct{}

	sessions map[[16]byte]Session
	pending  map[custody.RequestID]*Pending
	waits    map[custody.PersonID]load // what each initiator has in pending
	signed   map[custody.RequestID]*Signed
	expiry   expiryQueue

	done      chain
	doneIndex map[custody.RequestID]place

	life    Life
	blobs   lifeBlobs
	lacking int // keys without a blob under the committed next epoch

	anchoring *Anchoring // nil if the domain was never re-anchored
	heldCount int        // wallets whose slots are held

	seedUses  []seedUse                // by key
	warm      map[uint32][]WarmSession // by number of each warm wallet: its sessions, by asset
	warmCount int                      // sessions

	meters map[meterKey]*meter // what limits have counted
	apps   appState
	cold   cold
	gov    governance
	book   book // address ledger
	paid   paid // destinations

	tokenWallets int // of class token

	under *policy.Rules // that requests are described under, where they are not the state's own: of a replay
}

// account is a paying address of an EVM wallet.
type account struct {
	Wallet uint32 `cbor:"1,keyasint"` // position in walletList
	Index  uint32 `cbor:"2,keyasint"`
}

// walletKey is what a wallet's keys follow from. Two wallets with the same one would be two names of the same slots and the same
// money, under different rules.
type walletKey struct {
	seed    custody.KeyID
	chain   custody.ChainID
	scheme  request.Scheme
	account uint32
}

func keyOfWallet(w entry.Wallet) walletKey { return walletKey{w.Key, w.Chain, w.Scheme, w.Account} }

// load is how much of the state's room somebody takes.
type load struct{ requests, bytes int }

// Session is an open session of a service.
type Session struct {
	Service  custody.PersonID `cbor:"1,keyasint"`
	Key      request.KeyRef   `cbor:"2,keyasint"` // that signed the opening; if it goes, so does the session
	NotAfter int64            `cbor:"3,keyasint"` // Unix seconds
	Seq      uint64           `cbor:"4,keyasint"`
}

// Limits of a state. What would pass one is refused.
const (
	MaxPending     = 100_000
	MaxWaiting     = 10_000   // pending requests of one initiator, so that one stolen key can't keep everybody else out
	MaxWaitBytes   = 64 << 20 // and their bytes
	MaxTrail       = 128      // refusals, permits and results of one request
	MaxSigned      = 2_000_000
	MaxSessions    = 10_000
	MaxOwnSessions = 1_000 // of one service
	MaxWallets     = 1_000_000
	MaxSpent       = 20_000_000
	doneChunk      = 16_384
	walletChunk    = 1_024
	accountChunk   = 4_096
	spentChunk     = 16_384
)

// New gives the state before genesis.
func New() *State {
	return &State{
		keyIndex:     map[custody.KeyID]int{},
		wallets:      newChain(walletChunk),
		walletIndex:  map[custody.WalletID]int{},
		walletKeys:   map[walletKey]struct{}{},
		accounts:     newChain(accountChunk),
		accountIndex: map[account]int{},
		spent:        newChain(spentChunk),
		spentIndex:   map[entry.Input]struct{}{},
		sessions:     map[[16]byte]Session{},
		pending:      map[custody.RequestID]*Pending{},
		waits:        map[custody.PersonID]load{},
		signed:       map[custody.RequestID]*Signed{},
		done:         newChain(doneChunk),
		doneIndex:    map[custody.RequestID]place{},
		warm:         map[uint32][]WarmSession{},
		meters:       map[meterKey]*meter{},
		apps:         newAppState(),
		cold:         cold{away: map[uint32]*Away{}, open: map[custody.RequestID]uint32{}, back: map[uint32]uint64{}},
		gov:          governance{held: map[custody.RequestID]Hold{}, prices: newPrices(), verdicts: newVerdicts()},
		book:         newBook(),
		paid:         newPaid(),
	}
}

// Wallet gives a wallet and its next receiving and change index.
func (s *State) Wallet(id custody.WalletID) (w entry.Wallet, next [2]uint32, ok bool) {
	i, ok := s.walletIndex[id]
	if !ok {
		return w, next, false
	}
	return s.walletList[i], s.next[i], true
}

// WalletEntry gives the entry that made a wallet.
func (s *State) WalletEntry(id custody.WalletID) (uint64, bool) {
	i, ok := s.walletIndex[id]
	if !ok {
		return 0, false
	}
	return s.born[i], true
}

// WalletAsked gives the entry of the request that a wallet was made by.
func (s *State) WalletAsked(id custody.WalletID) (uint64, bool) {
	i, ok := s.walletIndex[id]
	if !ok {
		return 0, false
	}
	return s.askedIn[i], true
}

// DocumentAt gives the entry that made the rule document which was in force when an entry was written.
func (s *State) DocumentAt(seq uint64) uint64 {
	i, _ := slices.BinarySearch(s.docs, seq)
	return s.docs[max(i, 1)-1]
}

// DocumentEntry gives the entry that made a version of the rule document.
func (s *State) DocumentEntry(version uint64) (uint64, bool) {
	if version < 1 || version > uint64(len(s.docs)) {
		return 0, false
	}
	return s.docs[version-1], true
}

// Wallets gives wallets in order of birth, from position from, at most n.
func (s *State) Wallets(from, n int) []entry.Wallet {
	if from < 0 || from >= len(s.walletList) || n <= 0 {
		return nil
	}
	return append([]entry.Wallet(nil), s.walletList[from:min(from+n, len(s.walletList))]...)
}

// Key gives a key's record.
func (s *State) Key(id custody.KeyID) (entry.NewKey, bool) {
	i, ok := s.keyIndex[id]
	if !ok {
		return entry.NewKey{}, false
	}
	return s.keys[i], true
}

// Keys gives all key records in order of birth.
func (s *State) Keys() []entry.NewKey { return append([]entry.NewKey(nil), s.keys...) }

// Session gives an open session.
func (s *State) Session(id [16]byte) (Session, bool) { x, ok := s.sessions[id]; return x, ok }

// Pending gives a request that waits. The caller must not change it.
func (s *State) Pending(id custody.RequestID) (*Pending, bool) { p, ok := s.pending[id]; return p, ok }

// Signed gives a request that has a permit. The caller must not change it.
func (s *State) Signed(id custody.RequestID) (*Signed, bool) { p, ok := s.signed[id]; return p, ok }

// Done gives how a request ended.
func (s *State) Done(id custody.RequestID) (Outcome, bool) {
	at, ok := s.doneIndex[id]
	if !ok {
		return Outcome{}, false
	}
	_, o, err := decodeDone(s.done.at(at))
	return o, err == nil // records were checked when they came into the chain
}

// Known gives the body hash of a request in any state, for idempotency.
func (s *State) Known(id custody.RequestID) (bodyHash [32]byte, ok bool) {
	if p, ok := s.pending[id]; ok {
		return p.BodyHash, true
	}
	if p, ok := s.signed[id]; ok {
		return p.BodyHash, true
	}
	at, ok := s.doneIndex[id]
	if ok {
		copy(bodyHash[:], s.done.at(at)[32:])
	}
	return bodyHash, ok
}

// NextNonce gives the least nonce of an EVM wallet's address that no permit has used.
func (s *State) NextNonce(id custody.WalletID, index uint32) uint64 {
	w, ok := s.walletIndex[id]
	if !ok {
		return 0
	}
	if i, ok := s.accountIndex[account{uint32(w), index}]; ok {
		return s.nonces[i]
	}
	return 0
}

// Spent says whether a permit has used an input.
func (s *State) Spent(in entry.Input) bool { _, ok := s.spentIndex[in]; return ok }

// Counts are sizes for status and metrics.
type Counts struct {
	Wallets, Keys, Pending, Signed, Done, Sessions, Spent, Warm, WarmSessions, Grants, RevokedKeys, TokenKeys int
}

// Counts gives the state's sizes.
func (s *State) Counts() Counts {
	return Counts{len(s.walletList), len(s.keys), len(s.pending), len(s.signed), len(s.doneIndex), len(s.sessions), len(s.spentIndex), len(s.warm), s.warmCount,
		len(s.apps.grants), len(s.apps.revoked), s.tokenWallets}
}

// Unsettled lists permits without a result: the same bytes may be signed again, nothing else.
func (s *State) Unsettled() []*Signed {
	var out []*Signed
	for _, p := range s.signed {
		if p.Result == 0 {
			out = append(out, p)
		}
	}
	return out
}

// RoomFor says whether one more request of so many bytes by somebody may wait.
func (s *State) RoomFor(by custody.PersonID, size int) error {
	have := s.waits[by]
	switch {
	case len(s.pending) >= MaxPending:
		return fmt.Errorf("%d requests wait already", MaxPending)
	case have.requests >= MaxWaiting || have.bytes+size > MaxWaitBytes:
		return fmt.Errorf("%d requests of %s wait already, of %d bytes", have.requests, by, have.bytes)
	}
	return nil
}

// wait and unwait keep a request among those that wait, and take it out.
func (s *State) wait(p *Pending) {
	x := s.waits[p.Initiator]
	s.waits[p.Initiator] = load{x.requests + 1, x.bytes + p.size()}
	s.pending[p.ID] = p
	s.reserve(p)
}

func (s *State) unwait(p *Pending) {
	x := s.waits[p.Initiator]
	if x = (load{x.requests - 1, x.bytes - p.size()}); x == (load{}) {
		delete(s.waits, p.Initiator)
	} else {
		s.waits[p.Initiator] = x
	}
	delete(s.pending, p.ID)
	delete(s.gov.held, p.ID)
	s.release(p)
}

// PendingList gives the requests that wait, oldest first.
func (s *State) PendingList() []*Pending { return sortedPending(s.pending) }
