// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
)

// What an offline domain's log says after it was set back: restored from a backup that lacked entries which the online domain knows.
// docs/spec/cold.md, section 10.
const (
	KindCaughtUp entry.Kind = "caught-up"    // [CaughtUp]
	KindClosed   entry.Kind = "slots-closed" // [Closed]
)

// Limits of what those entries hold.
const (
	MaxMissing = MaxWallets // seeds that are not there any more
	MaxClosed  = 2_000      // slots of one entry
)

// SetBack is what operators confirm of a restore: which own entries the online domain gave back.
type SetBack struct {
	From uint64   `cbor:"1,keyasint"` // entries that the backup had, and that the online domain knows the same
	To   uint64   `cbor:"2,keyasint"` // entries that the online domain knows; those between come from its log
	Last [32]byte `cbor:"3,keyasint"` // leaf hash of the last of them
}

// CaughtUp records that a restored log lacked entries which the online domain knew, that these were taken back from its log, and what is lost:
// seeds whose blobs are nowhere, the private half of the import key, and whatever the domain had done that the online domain never heard of.
// It is the entry behind the last one that was given back.
type CaughtUp struct {
	SetBack    SetBack     `cbor:"1,keyasint"`
	Dropped    uint64      `cbor:"2,keyasint,omitempty"`  // entries of the backup that the online domain knows otherwise: the machine had gone on
	Bundle     [32]byte    `cbor:"3,keyasint"`            // [Bundle.Hash] of the one that gave them back
	Number     uint64      `cbor:"4,keyasint"`            // its number: lost entries may be about any bundle before
	Size       uint64      `cbor:"5,keyasint"`            // its entries of the authority: lost entries may be about any of them
	Missing    []Missing   `cbor:"6,keyasint,omitempty"`  // by wallet
	Next       *ImportKey  `cbor:"7,keyasint,omitempty"`  // import key from now on, where the private half of the one before is lost
	Statement  []byte      `cbor:"8,keyasint"`            // canonical [Confirmation] with SetBack
	Signatures []Signature `cbor:"9,keyasint"`            // of two operators, over it
	Found      []Missing   `cbor:"10,keyasint,omitempty"` // seeds whose blob is lost, with another one of the same seed that was found; by wallet
}

// Missing is a seed that belongs here and was lost, as far as its blob goes.
type Missing struct {
	Wallet custody.WalletID `cbor:"1,keyasint"`
	Key    custody.KeyID    `cbor:"2,keyasint"`
	Blob   [32]byte         `cbor:"3,keyasint"` // hash of the blob that is looked for; of a found one, of the blob from now on
}

// Closed closes slots that entries which nobody has any more may have used: they are used by what their permits say, and by nothing else. It
// stands behind a [CaughtUp] or another Closed.
type Closed struct {
	Slots []ClosedSlot `cbor:"1,keyasint"` // by permit
}

// ClosedSlot is the slot of a permit that waits, and may have been signed.
type ClosedSlot struct {
	Entry   uint64            `cbor:"1,keyasint"` // of the permit in the authority's log
	Request custody.RequestID `cbor:"2,keyasint"`
	Attempt uint32            `cbor:"3,keyasint"` // this one or a later one may still be signed
	Slot    entry.Slot        `cbor:"4,keyasint"`
}

// Told stands for the body of an own entry that the online domain gave back without it: large results are recorded there without bodies that
// nothing follows from there. It is no body of an entry: a store keeps it in the place of one.
type Told struct {
	Kind   entry.Kind `cbor:"1,keyasint"`           // [KindPermit], [KindRecovery] or [KindClosed]
	Permit *Permit    `cbor:"2,keyasint,omitempty"` // as far as its result and the authority's log tell, without signatures and statement
}

// Gap gives the last entry that says what was lost; nil: none.
func (s *State) Gap() *CaughtUp { return s.gap }

// IsMissing says whether the log says that the seed of a wallet that belongs here was lost.
func (s *State) IsMissing(id custody.WalletID) bool {
	h, ok := s.held[id]
	return ok && s.missing[entry.Blob{Key: h.Key, Hash: h.Blob}]
}

// Maybe gives the closed slots of permits that are not recorded here and whose entries are not lost, by permit: they may have been signed by
// entries that nobody has any more.
func (s *State) Maybe() []ClosedSlot {
	return slices.SortedFunc(maps.Values(s.closed), func(a, b ClosedSlot) int {
		if a.Entry < b.Entry {
			return -1
		}
		return 1
	})
}

func (s *State) applyCaughtUp(l entry.Leaf, b *CaughtUp) error {
	c, err := DecodeConfirmation(b.Statement)
	if err != nil {
		return err
	}
	switch {
	case b.SetBack.To != l.Seq || b.SetBack.Last != l.Prev:
		return errors.New("it does not stand behind the last entry that was given back")
	case b.SetBack.From == 0 || b.SetBack.From >= b.SetBack.To:
		return fmt.Errorf("nothing was given back: entries %d to %d", b.SetBack.From, b.SetBack.To)
	case c.SetBack == nil || *c.SetBack != b.SetBack:
		return errors.New("the operators confirmed something else")
	case c.Authority != s.Authority || c.Domain != s.Domain || c.Bundle != b.Bundle:
		return errors.New("the operators confirmed another bundle, or another domain's")
	case c.Time > l.Time:
		return errors.New("the operators confirmed after the entry was written")
	case !distinct(b.Signatures):
		return fmt.Errorf("%d operators confirmed; it takes two different ones", len(b.Signatures))
	case b.Number <= s.Import.Number || b.Size < s.Import.Size:
		return fmt.Errorf("bundle %d of %d entries came after bundle %d of %d", b.Number, b.Size, s.Import.Number, s.Import.Size)
	}
	if err := errors.Join(s.checkSeeds(b.Missing, true), s.checkSeeds(b.Found, false)); err != nil {
		return err
	}
	if b.Next != nil {
		if err := b.Next.Check(); err != nil {
			return err
		}
		if b.Next.ID == s.Key.ID {
			return errors.New("the import key stays")
		}
		s.Key = *b.Next
	}
	for _, m := range b.Missing {
		s.missing[entry.Blob{Key: m.Key, Hash: m.Blob}] = true
	}
	for _, m := range b.Found {
		h := s.held[m.Wallet]
		h.Blob = m.Blob
		s.held[m.Wallet] = h
	}
	s.gap = b
	s.behind = nil
	return nil
}

// checkSeeds says whether seeds belong here, under the blobs that the log names or under others.
func (s *State) checkSeeds(list []Missing, named bool) error {
	if len(list) > MaxMissing {
		return fmt.Errorf("%d seeds, more than %d", len(list), MaxMissing)
	}
	for i, m := range list {
		h, ok := s.held[m.Wallet]
		if !ok || h.Key != m.Key || (h.Blob == m.Blob) != named || i > 0 && list[i-1].Wallet >= m.Wallet {
			return fmt.Errorf("the seed of wallet %q is said to be missing, or found; it does not belong here, or they are out of order", m.Wallet)
		}
	}
	return nil
}

func (s *State) applyClosed(b *Closed) error {
	if !s.closing {
		return errors.New("slots are closed after the log has caught up, and at no other time")
	}
	if len(b.Slots) == 0 || len(b.Slots) > MaxClosed {
		return fmt.Errorf("%d slots are closed, not 1 to %d", len(b.Slots), MaxClosed)
	}
	for i, x := range b.Slots {
		units, err := unitsOf(x.Slot)
		if err != nil {
			return err
		}
		if x.Attempt == 0 || x.Entry >= s.gap.Size || i > 0 && b.Slots[i-1].Entry >= x.Entry {
			return fmt.Errorf("the permit of entry %d is out of order, has no attempt, or came later", x.Entry)
		}
		if len(s.used)+len(units) > MaxUsed {
			return fmt.Errorf("more than %d slots are used", MaxUsed)
		}
	}
	for _, x := range b.Slots {
		s.closed[x.Entry] = x
		units, _ := unitsOf(x.Slot)
		for _, u := range units {
			if _, used := s.used[u]; !used {
				s.used[u] = use{request: x.Request, attempt: x.Attempt - 1}
			}
		}
	}
	return nil
}

// applyTold takes an entry whose body is nowhere any more.
func (s *State) applyTold(l entry.Leaf, hash [32]byte, b *Told) error {
	switch b.Kind {
	case KindRecovery:
		s.Recovery = nil // the copies that it named may not be there: others are made
		return nil
	case KindClosed:
		return nil // what waits still is closed by the next catching up
	case KindPermit:
	default:
		return errors.New("its body can't be left out")
	}
	p := b.Permit
	if p == nil || p.Attempt == 0 {
		return errors.New("nothing says which permit it is about")
	}
	if _, again := s.permits[p.Entry]; again {
		return fmt.Errorf("permit %d is recorded already", p.Entry)
	}
	units, err := unitsOf(p.Slot)
	if err != nil {
		return err
	}
	s.recordPermit(*p, l.Seq, hash, units)
	return nil
}

// recordPermit notes a permit, and that it uses its slot.
func (s *State) recordPermit(p Permit, seq uint64, hash [32]byte, units []unit) {
	for _, u := range units {
		s.used[u] = use{request: p.Request, attempt: p.Attempt}
	}
	delete(s.closed, p.Entry)
	s.permits[p.Entry] = Permitted{Permit: p, Seq: seq, Hash: hash}
}
