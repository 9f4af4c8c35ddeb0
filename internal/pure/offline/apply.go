// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
)

// Apply takes the next entry: the leaf, its hash, and its first body as [DecodeBody] gives it. It validates first and then commits, in place;
// after an error s is as before.
func (s *State) Apply(l entry.Leaf, hash [32]byte, body any) error {
	err := s.checkLeaf(l, body)
	if err == nil {
		err = s.apply(l, hash, body)
	}
	if err != nil {
		return fmt.Errorf("offline entry %d: %s: %w", l.Seq, l.Kind, err)
	}
	s.closing = l.Kind == KindCaughtUp || s.closing && l.Kind == KindClosed
	s.Next, s.Last, s.Time = l.Seq+1, hash, l.Time
	s.Frontier.Append(hash)
	return nil
}

func (s *State) checkLeaf(l entry.Leaf, body any) error {
	_, first := body.(*Genesis)
	_, takes := body.(*entry.Writer)
	switch {
	case l.Seq != s.Next:
		return fmt.Errorf("out of order: entry %d comes next", s.Next)
	case l.Prev != s.Last:
		return errors.New("does not follow the entry before it: the previous hash differs")
	case first != (l.Seq == 0):
		return errors.New("genesis is the first entry and no other")
	case !first && l.Authority != s.Authority || l.Domain != s.Domain:
		return errors.New("belongs to another authority or domain")
	case l.Time < s.Time:
		return errors.New("time runs back")
	case first && l.Writer != 1 || !first && !takes && l.Writer != s.Writer:
		return fmt.Errorf("was written under epoch %d; the writer's is %d", l.Writer, max(s.Writer, 1))
	case l.KindVersion != 1:
		return fmt.Errorf("version %d is not known", l.KindVersion)
	case l.Engine != entry.Engine1:
		return fmt.Errorf("engine %q is not known", l.Engine)
	case KindOf(body) == "" || KindOf(body) != l.Kind:
		return fmt.Errorf("came with a body of kind %q", KindOf(body))
	case len(l.Bodies) == 0 || l.Bodies[0].Class != ClassOf(l.Kind):
		return errors.New("its body has another class")
	}
	return nil
}

func (s *State) apply(l entry.Leaf, hash [32]byte, body any) error {
	switch b := body.(type) {
	case *Genesis:
		return s.applyGenesis(l, hash, b)
	case *entry.Writer:
		if b.Epoch != l.Writer || b.Epoch <= s.Writer {
			return fmt.Errorf("names epoch %d after %d", b.Epoch, s.Writer)
		}
		s.Writer = b.Epoch
		return nil
	case *Restored:
		if !s.Zeroized || b.Epoch != 1 {
			return errors.New("the domain is not zeroized, or has no such epoch")
		}
		s.Zeroized = false
		return nil
	case *Refusal:
		return s.applyRefusal(b)
	case *CaughtUp:
		return s.applyCaughtUp(l, b)
	case *Closed:
		return s.applyClosed(b)
	}
	if s.Zeroized {
		return errors.New("the domain is zeroized")
	}
	switch b := body.(type) {
	case *Import:
		return s.applyImport(l, b)
	case *Recovery:
		if s.Import.Number == 0 {
			return errors.New("nothing was imported, so that no recovery key is known")
		}
		s.Recovery = b
		return nil
	case *Permit:
		return s.applyPermit(l, hash, b)
	case *Told:
		return s.applyTold(l, hash, b)
	case *Result:
		return s.applyResult(b)
	case *MovedIn:
		return s.applyMovedIn(b)
	case *MovedOut:
		return s.applyMovedOut(l, b)
	case *Zeroized:
		if err := checkText("the cause", b.Cause, entry.MaxCause); err != nil {
			return err
		}
		s.Zeroized = true
		return nil
	default:
		return fmt.Errorf("body of type %T is not known", body)
	}
}

func (s *State) applyGenesis(l entry.Leaf, hash [32]byte, g *Genesis) error {
	if err := g.Check(); err != nil {
		return err
	}
	if l.Authority != g.Authority {
		return errors.New("its leaf names another authority")
	}
	s.Authority, s.Domain, s.Profile = g.Authority, custody.DomainID(hash), g.Profile
	s.LogKey, s.Identity = [32]byte(g.LogKey), [32]byte(g.Identity)
	s.Root, s.Anchor, s.Name, s.Pattern, s.Transport = g.Root, g.Anchor, g.Name, g.Pattern, g.Transport
	s.Key, s.Writer = g.Import, 1
	return nil
}

func (s *State) applyRefusal(b *Refusal) error {
	if err := checkText("the kind of a refusal", string(b.Kind), MaxName); err != nil {
		return err
	}
	if err := checkText("the detail of a refusal", b.Detail, MaxDetail); err != nil {
		return err
	}
	s.refused[b.Entry] = struct{}{}
	if b.Entry == 0 {
		s.behind = b
	}
	return nil
}

func (s *State) applyImport(l entry.Leaf, b *Import) error {
	if err := s.checkAgain(b); err != nil {
		return err
	}
	loses := b.Again != nil && b.Again.Kept < s.Import.Size // then numbers and sizes begin anew
	switch {
	case b.Number == 0 || !loses && b.Number <= s.Import.Number:
		return fmt.Errorf("bundle %d came after bundle %d", b.Number, s.Import.Number)
	case b.Size == 0 || !loses && b.Size < s.Import.Size:
		return fmt.Errorf("the authority's log shrank from %d entries to %d", s.Import.Size, b.Size)
	case !loses && b.Size == s.Import.Size && (b.Root != s.Import.Root || b.Leaf != s.Import.Leaf):
		return errors.New("the authority's log has another root at the same size")
	case b.Time <= 0 || b.Time > (l.Time+l.Bound)/1e9+1:
		return errors.New("the clock was behind the checkpoint")
	}
	if b.Again != nil {
		s.reanchor(b.Again)
	}
	s.Import = *b
	s.Import.Again = nil // it is said once
	s.imports = append(s.imports, s.Import)
	clear(s.refused)
	s.behind = nil
	return nil
}

func (s *State) applyPermit(l entry.Leaf, hash [32]byte, b *Permit) error {
	c, err := DecodeConfirmation(b.Statement)
	if err != nil {
		return err
	}
	switch _, again := s.permits[b.Entry]; {
	case again:
		return fmt.Errorf("permit %d is recorded already", b.Entry)
	case b.Entry >= s.Import.Size:
		return fmt.Errorf("permit %d is not among the %d entries that were imported", b.Entry, s.Import.Size)
	case b.Attempt == 0:
		return errors.New("attempts count from 1")
	case c.Authority != s.Authority || c.Domain != s.Domain || c.Bundle != s.Import.Bundle:
		return errors.New("the operators confirmed another bundle, or another domain's")
	case !slices.Contains(c.Permits, Confirmed{Entry: b.Entry, Payload: b.Payload}):
		return errors.New("the operators did not confirm this permit")
	case c.Time > l.Time:
		return errors.New("the operators confirmed after the entry was written")
	case !distinct(b.Signatures):
		return fmt.Errorf("%d operators confirmed; it takes two different ones", len(b.Signatures))
	}
	if _, ok := s.held[b.Wallet]; !ok {
		return fmt.Errorf("wallet %q is not here", b.Wallet)
	}
	if err := s.CheckSlot(b.Request, b.Attempt, b.Slot); err != nil {
		return err
	}
	units, _ := unitsOf(b.Slot)
	s.recordPermit(*b, l.Seq, hash, units)
	return nil
}

// CheckSlot says whether an attempt of a request may use a slot: nothing else has used any part of it, but earlier attempts of the same request.
func (s *State) CheckSlot(r custody.RequestID, attempt uint32, slot entry.Slot) error {
	units, err := unitsOf(slot)
	if err != nil {
		return err
	}
	for _, u := range units {
		switch was, ok := s.used[u]; {
		case ok && was.last:
			return fmt.Errorf("its slot is used by attempt %d of request %s, whose permit the authority's log has lost: nothing replaces it", was.attempt, was.request)
		case ok && (was.request != r || was.attempt >= attempt):
			return fmt.Errorf("its slot is used by attempt %d of request %s", was.attempt, was.request)
		}
	}
	if len(s.used)+len(units) > MaxUsed {
		return fmt.Errorf("more than %d slots are used", MaxUsed)
	}
	return nil
}

// distinct says whether two or more signatures are by different people.
func distinct(sigs []Signature) bool {
	seen := map[custody.PersonID]bool{}
	for _, x := range sigs {
		seen[x.Person] = true
	}
	return len(seen) >= 2 && len(seen) == len(sigs)
}

// unitsOf gives what a slot takes.
func unitsOf(s entry.Slot) ([]unit, error) {
	if (s.Account == "") == (len(s.Inputs) == 0) {
		return nil, errors.New("a slot is the nonce of an account, or inputs")
	}
	if s.Account != "" {
		return []unit{{account: s.Account, nonce: s.Nonce}}, nil
	}
	units := make([]unit, len(s.Inputs))
	for i, in := range s.Inputs {
		units[i] = unit{input: in}
	}
	return units, nil
}

func (s *State) applyResult(b *Result) error {
	p, ok := s.permits[b.Entry]
	switch {
	case !ok:
		return fmt.Errorf("permit %d is not recorded here", b.Entry)
	case p.Result != nil:
		return fmt.Errorf("permit %d has its result", b.Entry)
	case len(b.Signatures) == 0 || b.TxID == "":
		return errors.New("a result has signatures and a transaction id")
	case len(b.Leaf) > 0 && !bytes.Equal(b.Leaf, p.Leaf[:]):
		return fmt.Errorf("the permit of entry %d is another one", b.Entry)
	}
	p.Result = b
	s.permits[b.Entry] = p
	return nil
}

func (s *State) applyMovedIn(b *MovedIn) error {
	was, held := s.held[b.Wallet]
	switch {
	case held && (!was.Lost || was.Key != b.Key || was.Blob == b.Blob):
		return fmt.Errorf("wallet %q is here already", b.Wallet)
	case len(s.held) >= MaxWallets:
		return fmt.Errorf("%d wallets are here already", MaxWallets)
	case s.Moved(b.Entry):
		return fmt.Errorf("the move of entry %d is done", b.Entry)
	case b.Entry >= s.Import.Size:
		return fmt.Errorf("the move of entry %d is not among the %d entries that were imported", b.Entry, s.Import.Size)
	case b.Used != s.Key.ID || b.Next.ID == s.Key.ID:
		return errors.New("the seed was sealed to an import key that is not open here, or the key stays")
	}
	if err := errors.Join(b.Wallet.Check(), b.Key.Check(), b.Next.Check()); err != nil {
		return err
	}
	if held { // it came by an entry that is lost, and once more
		s.doomed = append(s.doomed, entry.Blob{Key: was.Key, Hash: was.Blob})
	}
	s.held[b.Wallet] = Held{Wallet: b.Wallet, Key: b.Key, Blob: b.Blob, Entry: b.Entry}
	s.moves[b.Entry] = struct{}{}
	s.doomed = append(s.doomed, entry.Blob{Key: s.Key.ID, Hash: s.Key.Blob})
	s.Key = b.Next
	return nil
}

func (s *State) applyMovedOut(l entry.Leaf, b *MovedOut) error {
	h, ok := s.held[b.Wallet]
	switch {
	case !ok || h.Key != b.Key:
		return fmt.Errorf("wallet %q is not here, or has another key", b.Wallet)
	case s.Moved(b.Entry):
		return fmt.Errorf("the move of entry %d is done", b.Entry)
	case b.Entry >= s.Import.Size:
		return fmt.Errorf("the move of entry %d is not among the %d entries that were imported", b.Entry, s.Import.Size)
	case b.Entry < h.Entry:
		return fmt.Errorf("the move of entry %d is from before the wallet came, in entry %d", b.Entry, h.Entry)
	}
	for _, p := range s.permits {
		if p.Wallet == b.Wallet && p.Result == nil {
			return fmt.Errorf("permit %d of wallet %q is not signed yet", p.Entry, b.Wallet)
		}
	}
	delete(s.held, b.Wallet)
	s.moves[b.Entry] = struct{}{}
	s.outs = append(s.outs, Out{*b, l.Seq})
	s.doomed = append(s.doomed, entry.Blob{Key: h.Key, Hash: h.Blob})
	return nil
}
