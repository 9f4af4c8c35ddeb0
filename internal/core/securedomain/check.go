// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/keystore"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/tlog"
	"strongroom/internal/secret"
)

// checker is the full re-check: one at a time, in the background.
type checker struct {
	mu    sync.Mutex // guards state
	state message.Check
}

func (c *checker) progress() message.Check {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

func (c *checker) set(f func(*message.Check)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.state)
}

// Check starts the full re-check if asked to, and tells how it goes. It reads everything from the beginning: chain, tree, bodies,
// every decision again with every signature, and every blob. After a fault nothing is decided any more.
func (d *Domain) Check(in message.CheckStart) message.Check {
	started := false
	d.checks.set(func(c *message.Check) {
		if in.Start && !c.Running {
			*c = message.Check{Running: true, Total: d.log.Head().Size}
			started = true
		}
	})
	if started {
		d.work.Add(1)
		go func() {
			defer d.work.Done()
			err := d.recheck(d.ctx)
			if d.ctx.Err() != nil {
				return
			}
			d.checks.set(func(c *message.Check) {
				c.Running, c.Done = false, err == nil
				if err != nil {
					c.Fault = err.Error()
				}
			})
			if err != nil {
				d.slog.Error("the re-check found a fault", slog.Any("error", err))
				d.latch(fmt.Errorf("re-check: %w", err)) // the process goes on, so that the fault can be read
			}
		}()
	}
	return d.checks.progress()
}

// checkNowAndThen starts the full re-check again and again.
func (d *Domain) checkNowAndThen(every time.Duration) {
	defer d.work.Done()
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			d.Check(message.CheckStart{Start: true})
		case <-d.ctx.Done():
			return
		}
	}
}

func (d *Domain) recheck(ctx context.Context) error {
	head := d.log.Head()
	if err := auditlog.Check(ctx, d.cfg.Store, logEntries(d.ids), tlog.Frontier{}, head.Checkpoint, nil); err != nil {
		return err
	}
	s, err := d.refold(ctx, head.Size)
	if err != nil {
		return err
	}
	if err := d.checkCopies(ctx); err != nil {
		return err
	}
	for _, k := range s.Keys() {
		if !authority.Here(k) {
			continue
		}
		if err := d.recheckKey(ctx, k.ID, authority.Moment{Time: s.Time}); err != nil {
			return err
		}
	}
	return d.lookForTokenKeys(ctx)
}

// recheckKey opens a key's blob as the state names it now, which may be another than when the check began. After zeroize it can't be
// opened, and there is only its hash to compare.
func (d *Domain) recheckKey(ctx context.Context, id custody.KeyID, at authority.Moment) (err error) {
	var was [32]byte
	for {
		d.mu.Lock()
		k, ok := d.state.Key(id)
		d.mu.Unlock()
		if !ok {
			return fmt.Errorf("key %s is in the log, but not in the state in use", id)
		}
		if !authority.Here(k) {
			return nil // it has moved away since
		}
		if k.Blob == was {
			return fmt.Errorf("blob of key %s: %w", id, err)
		}
		if err = d.recheckBlob(ctx, k, at); err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		was = k.Blob
	}
}

func (d *Domain) recheckBlob(ctx context.Context, k entry.NewKey, at authority.Moment) error {
	blob, err := d.cfg.Blobs.Get(ctx, keystore.Ref{Key: k.ID, Hash: k.Blob})
	if err != nil {
		return err
	}
	if keystore.Hash(blob) != k.Blob {
		return errors.New("it is not the one that the log names")
	}
	under, err := d.working.get(k.Epoch)
	if d.withKeys() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	seed, h, err := keystore.Open(d.cfg.Arena, blob, k.Blob, d.want(k, under, at), under.Key())
	if errors.Is(err, secret.ErrWiped) && d.withKeys() != nil {
		return nil
	}
	defer seed.Wipe()
	if err == nil && k.Kind == entry.KindTokenKey {
		err = h.CheckToken(seed)
	}
	return err
}

// recheckBatch is how many entries are read at once.
const recheckBatch = 512

// refold folds and audits the entries below size, and compares the result with the state that is in use, if that has not moved on.
func (d *Domain) refold(ctx context.Context, size uint64) (*authority.State, error) {
	s := authority.New()
	derive := newAddressCache(cachedAddresses).derive
	for seq := uint64(0); seq < size; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		list, err := d.clear(ctx, seq, int(min(recheckBatch, size-seq)))
		if err != nil {
			return nil, err
		}
		if len(list) == 0 {
			return nil, &auditlog.BehindError{Have: seq, Pinned: size, Where: d.cfg.Store.Where(seq)}
		}
		for _, o := range list {
			body, err := authority.DecodeBody(o.leaf.Kind, o.leaf.KindVersion, o.bodies[0].Body)
			if err != nil {
				return nil, fmt.Errorf("entry %d (%s): %w", o.leaf.Seq, d.cfg.Store.Where(o.leaf.Seq), err)
			}
			if u, ok := body.(*entry.Uses); ok {
				if err := checkRecords(u, o); err != nil {
					return nil, fmt.Errorf("entry %d (%s): %w", o.leaf.Seq, d.cfg.Store.Where(o.leaf.Seq), err)
				}
			}
			if err := s.Audit(o.leaf, body, derive, d.history(ctx)); err != nil {
				return nil, fmt.Errorf("%s: %w", d.cfg.Store.Where(o.leaf.Seq), err)
			}
			if err := s.Apply(o.leaf, entry.Hash(o.raw), body); err != nil {
				return nil, fmt.Errorf("%s: %w", d.cfg.Store.Where(o.leaf.Seq), err)
			}
		}
		seq += uint64(len(list))
		d.checks.set(func(c *message.Check) { c.Checked = seq })
	}
	return s, d.sameState(s)
}

// checkRecords says whether an entry of uses has the records that it accounts.
func checkRecords(u *entry.Uses, o opened) error {
	if len(o.bodies) != 2 {
		return fmt.Errorf("an entry of uses has %d bodies, not 2", len(o.bodies))
	}
	return u.CheckRecords(o.bodies[1].Body)
}

// sameState compares a fold with the state in use, where both are at the same entry.
func (d *Domain) sameState(s *authority.State) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.state.Next == s.Next && d.state.StateRoot() != s.StateRoot() {
		return errors.New("the state in use is not the fold of the log")
	}
	return nil
}
