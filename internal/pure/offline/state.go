// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/tlog"
)

// State is the fold of an offline domain's log up to and including entry Next−1. It is not safe for concurrent use.
type State struct {
	Authority custody.AuthorityID
	Domain    custody.DomainID
	Profile   custody.Profile
	LogKey    [32]byte // Ed25519
	Identity  [32]byte // Ed25519
	Root      string
	Anchor    string
	Name      string
	Pattern   []byte // verification pattern of the working key
	Transport []byte // public key that bundles are sealed to

	Next     uint64   // sequence number of the entry that comes next
	Last     [32]byte // leaf hash of the last entry
	Time     int64    // of the last entry, Unix nanoseconds
	Writer   uint64
	Frontier tlog.Frontier // of the tree over the entries

	Import   Import    // the last; Number is 0 before the first
	Key      ImportKey // that the next seed is sealed to
	Recovery *Recovery // the last; nil: none yet
	Zeroized bool

	held    map[custody.WalletID]Held
	moves   map[uint64]struct{} // entries of the authority that moved a wallet here, or away
	permits map[uint64]Permitted
	used    map[unit]use
	outs    []Out
	doomed  []entry.Blob
	refused map[uint64]struct{} // entries of the authority that were refused since the last import

	incarnation uint64      // of the authority's log, as far as imports tell; 1 at least
	anchors     []Anchored  // what began its incarnations, lost ones too, by incarnation
	imports     []Import    // of entries that are not lost, in order
	lost        []Permitted // permits whose entries are lost

	gap     *CaughtUp             // the last; nil: this log was never set back
	missing map[entry.Blob]bool   // seeds that a gap says are lost
	closed  map[uint64]ClosedSlot // by permit of the authority, that is not recorded here and may have been signed
	closing bool                  // the last entry was a gap, or closed slots
	behind  *Refusal              // of a bundle that knows more of this log than is here; nil: none since
}

// Held is a wallet whose seed is here.
type Held struct {
	Wallet custody.WalletID
	Key    custody.KeyID
	Blob   [32]byte // hash of its blob
	Entry  uint64   // effect of the authority that moved it here
	Lost   bool     // the authority's log has lost that entry: the seed may come once more
}

// Permitted is a permit of the authority that this domain has recorded.
type Permitted struct {
	Permit
	Seq    uint64   // own entry
	Hash   [32]byte // its leaf hash: auxiliary randomness of the signatures follows from it
	Result *Result  // nil until it is signed
}

// Out is a wallet that was given back.
type Out struct {
	MovedOut
	Seq uint64 // own entry
}

// unit is what only one payload, and those that replace it, may use: the nonce of an account, or an input.
type unit struct {
	account string
	nonce   uint64
	input   entry.Input
}

// use says by which attempt of which request a unit is used.
type use struct {
	request custody.RequestID
	attempt uint32
	last    bool // its entry is lost: nothing replaces it
}

// New gives the state before genesis.
func New() *State {
	return &State{held: map[custody.WalletID]Held{}, moves: map[uint64]struct{}{}, permits: map[uint64]Permitted{}, used: map[unit]use{},
		refused: map[uint64]struct{}{}, incarnation: 1, missing: map[entry.Blob]bool{}, closed: map[uint64]ClosedSlot{}}
}

// OpenGenesis reads the first entry of an offline domain, as it is carried, and gives the state after it.
func OpenGenesis(r Record) (*State, error) {
	l, hash, err := r.Open()
	if err != nil {
		return nil, fmt.Errorf("offline genesis: %w", err)
	}
	body, err := DecodeBody(l.Kind, l.KindVersion, r.Body)
	if err != nil {
		return nil, fmt.Errorf("offline genesis: %w", err)
	}
	s := New()
	return s, s.Apply(l, hash, body)
}

// Holds gives a wallet whose seed is here.
func (s *State) Holds(id custody.WalletID) (Held, bool) { h, ok := s.held[id]; return h, ok }

// Wallets gives the wallets whose seeds are here, by id.
func (s *State) Wallets() []Held {
	return slices.SortedFunc(maps.Values(s.held), func(a, b Held) int { return cmp.Compare(a.Wallet, b.Wallet) })
}

// Permitted gives a permit of the authority that is recorded here.
func (s *State) Permitted(at uint64) (Permitted, bool) { p, ok := s.permits[at]; return p, ok }

// Permits gives all of them, in the authority's order.
func (s *State) Permits() []Permitted {
	return slices.SortedFunc(maps.Values(s.permits), func(a, b Permitted) int { return cmp.Compare(a.Entry, b.Entry) })
}

// Outs gives the wallets that were given back, in order.
func (s *State) Outs() []Out { return slices.Clone(s.outs) }

// Doomed lists the blobs that must not be kept any more: used import keys, and seeds that were given back.
func (s *State) Doomed() []entry.Blob { return slices.Clone(s.doomed) }

// Refused says whether something in the authority's log was refused since the last import.
func (s *State) Refused(at uint64) bool { _, ok := s.refused[at]; return ok }

// Behind gives the refusal of a bundle that knows more of this log than is here: the machine was set back. nil: there was none since the last import.
func (s *State) Behind() *Refusal { return s.behind }

// Moved says whether a wallet_move of the authority was done here.
func (s *State) Moved(at uint64) bool { _, ok := s.moves[at]; return ok }
