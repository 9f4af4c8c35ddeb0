// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"strongroom/internal/core/domainkeys"
	"strongroom/internal/core/keystore"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/problem"
)

// lifeWork is what a change of the life cycle leaves to do when its entry is durable: destroy working keys, erase blobs, encipher keys for
// the next epoch. One goroutine does it, in the order of the entries. What a crash cuts off, the next start does.
type lifeWork struct {
	loads sync.Mutex    // guards nothing: one working key is made at a time, so that none is destroyed as a leftover that isn't one
	wake  chan struct{} // has room for one; filled when there is something to do

	patience time.Duration // [patience]; tests have less

	mu       sync.Mutex // guards the rest
	steps    []*lifeStep
	fault    string // why enciphering or erasing does not go on, or empty
	position int    // of the key to go on with
}

// lifeStep is an entry whose consequences are under way.
type lifeStep struct {
	wait func(context.Context) error // until the entry is durable
	ends bool                        // it zeroized the domain
	done chan struct{}               // closed when they are there
	err  error                       // before done is closed

	mu     sync.Mutex // guards the rest, and is held where done of a step that ends the domain is closed
	rushed bool       // the working keys were destroyed before the entry was durable
}

// rouse makes the worker look for something to do.
func (w *lifeWork) rouse() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// next takes the first step out.
func (w *lifeWork) next() *lifeStep {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.steps) == 0 {
		return nil
	}
	s := w.steps[0]
	w.steps = w.steps[1:]
	return s
}

func (w *lifeWork) setFault(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fault = ""; err != nil {
		w.fault = err.Error()
	}
}

// lifeChanged takes what an entry did to the life cycle into effect, as far as that is memory, and queues the rest. The caller holds mu.
func (d *Domain) lifeChanged(rec recorded) *lifeStep {
	d.setSwitches()
	d.forget("the domain's life cycle went on")
	registers := d.state.Registers()
	if len(registers) == 0 {
		d.keepKeys(nil)
		d.dropSessions()
		d.confineAll()
	}
	s := &lifeStep{wait: rec.handle.Wait, ends: len(registers) == 0, done: make(chan struct{})}
	d.life.mu.Lock()
	d.life.steps = append(d.life.steps, s)
	d.life.mu.Unlock()
	d.life.rouse()
	if s.ends {
		d.work.Add(1)
		go d.rush(s)
	}
	return s
}

// patience is how long what zeroized a domain may take to be durable before its working keys are destroyed all the same. Log witnesses are
// reached through serve: who drops their messages must not keep the keys alive.
const patience = 30 * time.Second

// rush destroys the working keys in the root when the step does not come to it in time. The note of tampering tells a start that finds no such
// entry what happened.
func (d *Domain) rush(s *lifeStep) {
	defer d.work.Done()
	late := time.NewTimer(d.life.patience)
	defer late.Stop()
	select {
	case <-s.done:
		return
	case <-d.ctx.Done():
		return
	case <-late.C:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.done:
		return
	default:
	}
	d.slog.Error("the log does not take what zeroized the domain; the working keys are destroyed before it does")
	s.rushed = true
	err := errors.Join(domainkeys.MarkTampered(d.ctx, d.cfg.Arena, d.cfg.Root, "the domain was zeroized, and the log did not take it in time"),
		domainkeys.DestroyAll(d.ctx, d.cfg.Root, d.switches.Load().used))
	if err != nil && d.ctx.Err() == nil {
		d.fail(fmt.Errorf("destroy working keys: %w", err))
	}
}

// finished waits until the consequences of a change are there.
func (d *Domain) finished(ctx context.Context, s *lifeStep) error {
	if s == nil {
		return nil
	}
	select {
	case <-s.done:
	case <-ctx.Done():
		return problem.Wrap(problem.Busy, ctx.Err(), "gave up waiting; the act is recorded, and what it destroys is being destroyed")
	case <-d.ctx.Done():
		return problem.New(problem.Stopped, "the core is ending; the act is recorded, and the next start ends what it began")
	}
	if s.err != nil {
		return problem.Wrap(problem.Stopped, s.err, "the act is recorded, but not all that it destroys could be; the core is ending and tries again at the next start")
	}
	return nil
}

// retryLife is how long the worker waits after a failure before it tries again.
const retryLife = time.Minute

// runLife is the worker.
func (d *Domain) runLife() {
	defer d.work.Done()
	var again <-chan time.Time
	for {
		select {
		case <-d.life.wake:
		case <-again:
		case <-d.ctx.Done():
			return
		}
		again = nil
		for busy := true; busy && d.ctx.Err() == nil; {
			if s := d.life.next(); s != nil {
				d.takeStep(s)
				continue
			}
			var err error
			busy, err = d.workOnce(d.ctx)
			if later, gapErr := d.endReanchoring(d.ctx); gapErr != nil {
				err = errors.Join(err, gapErr)
			} else if later > 0 {
				again = time.After(later)
			}
			if d.life.setFault(err); err != nil && d.ctx.Err() == nil {
				d.slog.Error("work on the domain's epochs stands still", slog.Any("error", err))
				again = time.After(retryLife)
			}
		}
	}
}

// takeStep destroys what an entry gave up.
func (d *Domain) takeStep(s *lifeStep) {
	err := s.wait(d.ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	defer close(s.done) // before that
	if s.err = err; err != nil {
		return // the log has failed, or the domain is closing
	}
	if s.err = d.takeRestored(d.ctx); s.err == nil {
		s.err = d.destroyUnused(d.ctx, s)
	}
	if s.err == nil && s.rushed {
		s.err = domainkeys.ClearTampered(d.ctx, d.cfg.Root)
	}
	if s.err == nil {
		if err := d.lookForTokenKeys(d.ctx); err != nil {
			d.slog.Warn("what the status says of keys in the token is of before", slog.Any("error", err))
		}
	}
	if s.err != nil && d.ctx.Err() == nil {
		d.fail(fmt.Errorf("destroy working keys: %w", s.err)) // the next start tries again, and serves nothing before
	}
}

// destroyUnused destroys every working key that was used and is in no register, in memory and in the root, after a step or at a start (nil); of a
// zeroized domain every key that lies in the root, too.
func (d *Domain) destroyUnused(ctx context.Context, after *lifeStep) error {
	d.mu.Lock()
	registers, used, doomed, named := d.state.Registers(), d.state.Life().Used, d.state.Doomed(), d.state.TokenKeys()
	d.mu.Unlock()
	d.keepKeys(registers)
	zeroized := len(registers) == 0
	// What a restore has put back outlives a restart of a zeroized domain, but not the zeroizing itself, while that is not over. A key that
	// is not used yet belongs to a load that is under way.
	over := (after == nil || !after.ends) && len(doomed) == 0
	unwanted := func(restored bool, epoch uint64) bool {
		if zeroized {
			return !restored || !over
		}
		return restored || epoch <= used && !slices.Contains(registers, epoch)
	}
	err := domainkeys.DestroyWhere(ctx, d.cfg.Root, unwanted)
	if after != nil || zeroized || !over { // the root may not list all
		err = errors.Join(err, domainkeys.DestroyUpTo(ctx, d.cfg.Root, used+1, unwanted))
	}
	if zeroized {
		err = errors.Join(err, domainkeys.DestroyTokenKeys(ctx, d.cfg.Root, named...))
	}
	for _, b := range sealedAmong(doomed) {
		err = errors.Join(err, d.cfg.Blobs.Delete(ctx, keystore.Ref{Key: b.Key, Hash: b.Hash}))
	}
	return err
}

// sealedAmong gives the sealed copies among blobs.
func sealedAmong(blobs []entry.Blob) []entry.Blob {
	return slices.DeleteFunc(blobs, func(b entry.Blob) bool { return b.Key != authority.SealedCopies })
}

// workOnce does a piece of what is to do, and says whether it may be worth asking again at once.
func (d *Domain) workOnce(ctx context.Context) (busy bool, err error) {
	if d.Cause() != nil {
		return false, nil
	}
	if busy, err = d.eraseDoomed(ctx); busy || err != nil {
		return busy, err
	}
	return d.reencipherSome(ctx)
}

// eraseDoomed erases the blobs that the log has given up, and records it.
func (d *Domain) eraseDoomed(ctx context.Context) (busy bool, err error) {
	d.mu.Lock()
	doomed, last := d.state.Doomed(), d.state.Next-1
	d.mu.Unlock()
	if len(doomed) == 0 {
		return false, nil
	}
	// What gave them up must be durable: a log that does not know of it needs them.
	if err := d.waitFor(ctx, last); err != nil {
		return false, err
	}
	for _, b := range doomed {
		if err := d.cfg.Blobs.Delete(ctx, keystore.Ref{Key: b.Key, Hash: b.Hash}); err != nil {
			return false, fmt.Errorf("erase: %w", err)
		}
	}
	if err := d.eraseLeft(ctx); err != nil {
		return false, err
	}
	list := entry.ListOf(doomed)
	rec, err := d.recordFact(entry.KindErased, entry.Confidential, &entry.Erased{Blobs: list}, func() bool { return entry.ListOf(d.state.Doomed()) == list })
	if rec == nil || err != nil {
		return err == nil, err
	}
	return true, rec.handle.Wait(ctx)
}

// recordFact records what happened, if it still fits. It decides nothing, so an uncertain clock does not stop it. rec is nil if it does not
// fit any more.
func (d *Domain) recordFact(kind entry.Kind, class entry.Class, body any, fits func() bool) (rec *recorded, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !fits() {
		return nil, nil
	}
	r, err := d.record(d.guess(), kind, class, body)
	return &r, err
}

// openKeys loads the working keys of the registers at a start, after it has finished what an earlier run began.
func (d *Domain) openKeys(ctx context.Context) error {
	if err := d.takeRestored(ctx); err != nil {
		return err
	}
	if err := d.destroyUnused(ctx, nil); err != nil {
		return fmt.Errorf("finish what was begun before the last end: %w", err)
	}
	for _, e := range d.state.Registers() {
		k, err := domainkeys.LoadDWK(ctx, d.cfg.Root, d.ids.IdentityKey(), e)
		if err == nil {
			if p, _ := d.state.PatternOf(e); string(k.Pattern[:]) != string(p) {
				k.Wipe()
				err = errors.New("it is not the one that the log names")
			}
		}
		switch {
		case err == nil:
			d.working.put(k)
		case e == d.state.Epoch:
			return fmt.Errorf("the domain working key of epoch %d can't be had from the root of trust; a restore brings it back: %w", e, err)
		default: // the keys are under the current one: the domain works, and the rotation can be cancelled or finalized
			d.slog.ErrorContext(ctx, "working key can't be loaded", slog.Uint64("epoch", e), slog.Any("error", err))
		}
	}
	return d.openTokenKeys(ctx)
}

// takeRestored moves the current working key from where a restore has put it, if the log says that the domain is operational again.
func (d *Domain) takeRestored(ctx context.Context) error {
	d.mu.Lock()
	e, pattern, phase := d.state.Epoch, d.state.Pattern, d.state.Life().Phase
	d.mu.Unlock()
	if phase == authority.Zeroized {
		return nil
	}
	st, err := d.cfg.Root.Status(ctx)
	if err != nil {
		return err
	}
	if slices.Contains(st.Labels, domainkeys.Label(e)) || !slices.Contains(st.Labels, domainkeys.RestoredLabel(e)) {
		return nil
	}
	k, err := domainkeys.LoadRestored(ctx, d.cfg.Root, d.ids.IdentityKey(), e)
	if err != nil {
		return err
	}
	defer k.Wipe()
	if string(k.Pattern[:]) != string(pattern) {
		return fmt.Errorf("what a restore put back for epoch %d is not the working key that the log names", e)
	}
	return k.Save(ctx, d.cfg.Root)
}
