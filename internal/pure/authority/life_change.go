// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"bytes"
	"errors"
	"fmt"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// lifeChange is what an operation on the life cycle does to the state as it is.
type lifeChange struct {
	effect entry.Life        // but for what the core makes: pattern and sealed copies of a load
	commit func(*entry.Life) // takes the recorded effect
}

// changeLife says what an operation does, or the problem that says why it can't be done now. Decisions and the fold both ask here.
func (s *State) changeLife(r *request.Parsed) (c lifeChange, err error) {
	b, ok := r.Decoded.(request.LifeBody)
	if !ok {
		return c, fmt.Errorf("%s is no operation on the life cycle", r.Operation)
	}
	if n := s.life.Counter + 1; b.Number() != n {
		return c, problem.New(problem.Conflict, "the request has counter %d; the domain's next is %d: others were quicker, ask again with it", b.Number(), n)
	}
	switch o := b.(type) {
	case *request.PointsSetBody:
		c, err = s.setPoints(o)
	case *request.EpochLoadBody:
		c, err = s.loadEpoch(o)
	case *request.EpochCommitBody:
		c, err = s.commitEpoch(o)
	case *request.EpochActivateBody:
		c, err = s.activateEpoch(o)
	case *request.EpochFinalizeBody:
		c, err = s.finalizeEpoch(o)
	case *request.EpochCancelBody:
		c, err = s.cancelEpoch(o)
	case *request.ZeroizeBody:
		c, err = s.zeroize(r, o)
	case *request.RestoreBody:
		c, err = s.restoreEpoch(o)
	case *request.OfflineAddBody:
		c, err = s.addOffline(o)
	case *request.OfflineRemoveBody:
		c, err = s.removeOffline(o)
	default:
		err = fmt.Errorf("body of type %T is not known", b)
	}
	return c, err
}

// ofCurrent begins an effect about the current epoch.
func (s *State) ofCurrent() entry.Life { return entry.Life{Epoch: s.Epoch, Pattern: s.Pattern} }

func (s *State) setPoints(o *request.PointsSetBody) (c lifeChange, err error) {
	now := &s.life
	on, off := o.Allow.Minus(now.Allowed), o.Deny.And(now.Allowed)
	need := points.Make(points.ChangePoints)
	if !on.IsZero() {
		need = need.With(points.AddPoints)
	}
	if err := s.on(need); err != nil {
		return c, err
	}
	if f := on.Or(off).And(now.Frozen); !f.IsZero() {
		return c, problem.New(problem.Forbidden, "frozen for ever as they are: %s", f)
	}
	if on.Or(off).IsZero() && now.Frozen.HasAll(o.Freeze) {
		return c, problem.New(problem.Conflict, "the control points are so already")
	}
	allowed, frozen := now.Allowed.Or(on).Minus(off), now.Frozen.Or(o.Freeze)
	c.effect = s.ofCurrent()
	c.effect.Allowed, c.effect.Frozen = &allowed, &frozen
	c.commit = func(*entry.Life) { now.Allowed, now.Frozen = allowed, frozen }
	return c, nil
}

func (s *State) loadEpoch(o *request.EpochLoadBody) (c lifeChange, err error) {
	now := &s.life
	if err := s.on(needsRotate); err != nil {
		return c, err
	}
	switch {
	case now.Next != nil:
		return c, problem.New(problem.Conflict, "epoch %d is loaded already; commit or cancel it first", now.Next.Epoch)
	case now.Previous != nil:
		return c, problem.New(problem.Conflict, "epoch %d is not finalized yet", now.Previous.Epoch)
	case len(s.blobs.Doomed) > 0:
		return c, problem.New(problem.Conflict, "%d blobs of an earlier epoch are being erased; ask again soon", len(s.blobs.Doomed))
	case o.Epoch != now.Used+1:
		return c, problem.New(problem.Conflict, "the next epoch is %d, not %d", now.Used+1, o.Epoch)
	}
	if o.Recovery != nil {
		if err := o.Recovery.Check(s.Profile, false); err != nil {
			return c, problem.New(problem.Malformed, "%v", err)
		}
	}
	c.effect.Epoch = o.Epoch
	c.commit = func(e *entry.Life) {
		now.Next = &Register{Epoch: e.Epoch, Pattern: e.Pattern, Sealed: e.Sealed, Identity: e.Identity, Recovery: o.Recovery}
		now.Used = e.Epoch
	}
	return c, nil
}

// checkLoaded says whether a recorded load has what the core must have made.
func (s *State) checkLoaded(o *request.EpochLoadBody, e *entry.Life) error {
	sealed, identity := 0, 0
	if s.life.Recovery != nil || o.Recovery != nil {
		sealed = 32
	}
	if o.Recovery != nil {
		identity = 32
	}
	if len(e.Pattern) != request.PatternSize || len(e.Sealed) != sealed || len(e.Identity) != identity {
		return errors.New("the effect lacks the pattern or a sealed copy of the new working key, or has one too many")
	}
	if _, taken := s.PatternOf(e.Epoch); taken || bytes.Equal(e.Pattern, s.Pattern) {
		return errors.New("the new working key is an old one")
	}
	return nil
}

func (s *State) commitEpoch(o *request.EpochCommitBody) (c lifeChange, err error) {
	next := s.life.Next
	if err := s.on(needsRotate); err != nil {
		return c, err
	}
	switch {
	case !next.named(o.Epoch, o.Pattern):
		return c, problem.New(problem.Conflict, "the next working key is not the one of epoch %d and pattern %x", o.Epoch, o.Pattern)
	case next.Committed:
		return c, problem.New(problem.Conflict, "epoch %d is committed already", o.Epoch)
	case next.Recovery == nil && len(o.Receipts) > 0:
		return c, problem.New(problem.Malformed, "the custodians stay, so there are no receipts to give")
	}
	if next.Recovery != nil {
		if err := next.Recovery.CheckReceipts(o.Receipts); err != nil {
			return c, problem.New(problem.Unauthenticated, "%v", err)
		}
	}
	c.effect = entry.Life{Epoch: next.Epoch, Pattern: next.Pattern}
	c.commit = func(*entry.Life) {
		s.renew(func(r *Register) { r.Committed = true })
		s.blobs.Next, s.lacking = make([][32]byte, len(s.keys)), 0
		for _, k := range s.keys {
			if Here(k) {
				s.lacking++
			}
		}
	}
	return c, nil
}

// renew replaces the next register by a changed copy: what it points to may have been given out.
func (s *State) renew(change func(*Register)) {
	r := *s.life.Next
	change(&r)
	s.life.Next = &r
}

func (s *State) activateEpoch(o *request.EpochActivateBody) (c lifeChange, err error) {
	next := s.life.Next
	if err := s.on(needsRotate); err != nil {
		return c, err
	}
	switch {
	case !next.named(o.Epoch, o.Pattern):
		return c, problem.New(problem.Conflict, "the next working key is not the one of epoch %d and pattern %x", o.Epoch, o.Pattern)
	case !next.Committed:
		return c, problem.New(problem.Conflict, "epoch %d is not committed", o.Epoch)
	case s.lacking > 0:
		return c, problem.New(problem.Conflict, "%d of %d keys are not enciphered for epoch %d yet; it goes on by itself", s.lacking, len(s.keys), o.Epoch)
	}
	c.effect = entry.Life{Epoch: next.Epoch, Pattern: next.Pattern}
	c.commit = func(*entry.Life) { s.activate(next) }
	return c, nil
}

// activate makes next the current epoch.
func (s *State) activate(next *Register) {
	was := &Register{Epoch: s.Epoch, Pattern: s.Pattern}
	if r := s.life.Recovery; r != nil {
		was.Sealed = r.WorkingKey
	}
	switch {
	case next.Recovery != nil:
		if r := s.life.Recovery; r != nil {
			was.Identity = r.Identity
		}
		r := *next.Recovery
		r.WorkingKey, r.Identity = next.Sealed, next.Identity
		s.life.Recovery = &r
	case s.life.Recovery != nil:
		r := *s.life.Recovery
		r.WorkingKey = next.Sealed
		s.life.Recovery = &r
	}
	s.blobs.Previous = make([]entry.Blob, 0, len(s.keys))
	for i := range s.keys {
		if k := &s.keys[i]; Here(*k) {
			s.blobs.Previous = append(s.blobs.Previous, entry.Blob{Key: k.ID, Hash: k.Blob})
			k.Epoch, k.Blob = next.Epoch, s.blobs.Next[i]
		}
	}
	s.blobs.Next, s.lacking = nil, 0
	s.Epoch, s.Pattern = next.Epoch, next.Pattern
	s.life.Next, s.life.Previous = nil, was
}

func (s *State) finalizeEpoch(o *request.EpochFinalizeBody) (c lifeChange, err error) {
	previous := s.life.Previous
	if !previous.named(o.Epoch, o.Pattern) {
		return c, problem.New(problem.Conflict, "the previous working key is not the one of epoch %d and pattern %x", o.Epoch, o.Pattern)
	}
	doomed := s.giveUp(previous.sealed(), s.blobs.Previous)
	c.effect = destroying(previous.Epoch, previous.Pattern, doomed, previous.Epoch)
	c.commit = func(*entry.Life) {
		s.life.Previous, s.blobs.Previous, s.blobs.Doomed = nil, nil, doomed
	}
	return c, nil
}

func (s *State) cancelEpoch(o *request.EpochCancelBody) (c lifeChange, err error) {
	next := s.life.Next
	if !next.named(o.Epoch, o.Pattern) {
		return c, problem.New(problem.Conflict, "the next working key is not the one of epoch %d and pattern %x", o.Epoch, o.Pattern)
	}
	doomed := s.giveUp(next.sealed(), s.nextBlobs())
	c.effect = destroying(next.Epoch, next.Pattern, doomed, next.Epoch)
	c.commit = func(*entry.Life) {
		s.life.Next, s.blobs.Next, s.lacking, s.blobs.Doomed = nil, nil, 0, doomed
	}
	return c, nil
}

// destroying is an effect that destroys working keys and gives up blobs.
func destroying(epoch uint64, pattern []byte, doomed []entry.Blob, epochs ...uint64) entry.Life {
	e := entry.Life{Epoch: epoch, Pattern: pattern, Destroyed: epochs}
	if len(doomed) > 0 {
		l := entry.ListOf(doomed)
		e.Doomed = &l
	}
	return e
}

// giveUp lists what is doomed after something more is.
func (s *State) giveUp(more ...[]entry.Blob) []entry.Blob {
	out := s.Doomed()
	for _, m := range more {
		out = append(out, m...)
	}
	return out
}

// nextBlobs lists the blobs under the next epoch.
func (s *State) nextBlobs() (out []entry.Blob) {
	for i, h := range s.blobs.Next {
		if h != [32]byte{} {
			out = append(out, entry.Blob{Key: s.keys[i].ID, Hash: h})
		}
	}
	return out
}

func (s *State) zeroize(r *request.Parsed, o *request.ZeroizeBody) (c lifeChange, err error) {
	if want := request.ZeroizePhrase(s.Domain); o.Phrase != want {
		return c, problem.New(problem.Malformed, "the phrase is not %q", want)
	}
	doomed := s.lost()
	c.effect = destroying(s.Epoch, s.Pattern, doomed, s.Registers()...)
	c.commit = func(*entry.Life) { s.wipe(doomed) }
	return c, nil
}

// lost lists what is doomed when every working key is destroyed.
func (s *State) lost() []entry.Blob {
	var current []entry.Blob
	if r := s.life.Recovery; r != nil {
		current = sealedCopies(r.WorkingKey, r.Identity)
	}
	return s.giveUp(s.life.Previous.sealed(), s.blobs.Previous, current, s.life.Next.sealed(), s.nextBlobs())
}

// wipe is what zeroize leaves of a state.
func (s *State) wipe(doomed []entry.Blob) {
	s.life.Phase, s.life.Since = Zeroized, s.Next
	s.life.Next, s.life.Previous, s.lacking = nil, nil, 0
	s.blobs = lifeBlobs{Doomed: doomed}
	clear(s.sessions)
	for n := range s.warm {
		s.setSessions(n, nil)
	}
}

func (s *State) restoreEpoch(o *request.RestoreBody) (c lifeChange, err error) {
	if err := s.on(needsRestore); err != nil {
		return c, err
	}
	switch {
	case s.life.Phase != Zeroized:
		return c, problem.New(problem.Conflict, "the domain is operational; there is nothing to restore")
	case len(s.blobs.Doomed) > 0:
		return c, problem.New(problem.Conflict, "zeroize is not over yet; ask again soon")
	case o.Epoch != s.Epoch || !bytes.Equal(o.Pattern, s.Pattern):
		return c, problem.New(problem.Conflict, "the working key to restore is the one of epoch %d and pattern %x", s.Epoch, s.Pattern)
	}
	c.effect = s.ofCurrent()
	c.commit = func(*entry.Life) { s.life.Phase = Operational }
	return c, nil
}

// applyLife takes the effect of an operation on the life cycle.
func (s *State) applyLife(r *request.Parsed, b *entry.Effect) (func(), error) {
	if b.Life == nil || b.Document != nil || b.Wallet != nil || b.Key != nil || b.Addresses != nil {
		return nil, errors.New("the effect must hold what becomes of the domain and nothing else")
	}
	c, err := s.changeLife(r)
	if err != nil {
		return nil, err
	}
	if o, ok := r.Decoded.(*request.EpochLoadBody); ok {
		if err := s.checkLoaded(o, b.Life); err != nil {
			return nil, err
		}
		c.effect.Pattern, c.effect.Sealed, c.effect.Identity = b.Life.Pattern, b.Life.Sealed, b.Life.Identity
	}
	if !bytes.Equal(canon.Encode(&c.effect), canon.Encode(b.Life)) {
		return nil, errors.New("the recorded effect is not what the request does to the domain")
	}
	return func() { c.commit(b.Life); s.life.Counter++ }, nil
}

func (s *State) applyReencipher(b *entry.Reencipher) (func(), error) {
	next := s.life.Next
	switch {
	case next == nil || !next.Committed || next.Epoch != b.Epoch:
		return nil, fmt.Errorf("epoch %d is not the committed next one", b.Epoch)
	case len(b.Blobs) == 0 || len(b.Blobs) > entry.MaxReencipher:
		return nil, fmt.Errorf("names %d blobs; want 1 to %d", len(b.Blobs), entry.MaxReencipher)
	}
	last := -1
	at := make([]int, len(b.Blobs))
	for n, x := range b.Blobs {
		i, ok := s.keyIndex[x.Key]
		if !ok || i <= last || x.Hash == [32]byte{} || x.Hash == s.keys[i].Blob || !Here(s.keys[i]) || s.blobs.Next[i] != [32]byte{} {
			return nil, fmt.Errorf("blob %d: key %s does not exist, is out of order, or has a blob of the epoch already", n, x.Key)
		}
		at[n], last = i, i
	}
	return func() {
		for n, x := range b.Blobs {
			s.blobs.Next[at[n]] = x.Hash
		}
		s.lacking -= len(b.Blobs)
	}, nil
}

func (s *State) applyErased(b *entry.Erased) (func(), error) {
	if len(s.blobs.Doomed) == 0 || entry.ListOf(s.blobs.Doomed) != b.Blobs {
		return nil, errors.New("these are not the blobs that the log has given up")
	}
	return func() { s.blobs.Doomed = nil; s.erasedBlobs() }, nil
}

func (s *State) applyTamper(b *entry.Tamper) (func(), error) {
	if err := b.Check(); err != nil {
		return nil, err
	}
	doomed := s.lost()
	return func() { s.wipe(doomed); s.life.Counter++ }, nil
}
