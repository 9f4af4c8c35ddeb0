// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode"

	"strongroom/internal/core/domainkeys"
	"strongroom/internal/core/hsm"
	"strongroom/internal/core/keystore"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/secret"
)

// doAtOnce records request and effect of what one person may do alone in one go, destroys what it destroys, and answers. The caller holds mu; it is released here.
func (d *Domain) doAtOnce(ctx context.Context, r *request.Parsed, ev request.Evidence, rec recorded) (message.Request, error) {
	p, err := d.waiting(r.Ident)
	var eff recorded
	var step *lifeStep
	if err == nil {
		eff, step, err = d.recordEffect(p, &creation{})
	}
	d.mu.Unlock()
	if err != nil {
		return message.Request{}, err
	}
	if err := d.durable(ctx, eff); err != nil {
		return message.Request{}, err
	}
	if err := d.finished(ctx, step); err != nil {
		return message.Request{}, err
	}
	if err := d.markDocument(ctx); err != nil {
		return message.Request{}, err
	}
	return d.submitted(ctx, r, ev, rec)
}

// tamperTime is how long root and log may take to learn of tampering before the core ends without their answer.
const tamperTime = 30 * time.Second

// Tamper destroys every working key without being asked, because somebody is at the machine or the core can't trust itself, and records
// it. It destroys first: a log that takes no entries must not keep keys alive. After an error the domain ends, and the next start goes on.
func (d *Domain) Tamper(cause string) error {
	cause = fitCause(cause)
	d.slog.Error("tampering: the working keys are destroyed", slog.String("cause", cause))
	now := *d.switches.Load()
	now.zeroized = true
	d.switches.Store(&now)
	d.keepKeys(nil)
	d.forget("tampering")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(d.ctx), tamperTime) // also while the domain is closing
	defer cancel()
	err := errors.Join(domainkeys.MarkTampered(ctx, d.cfg.Arena, d.cfg.Root, cause), domainkeys.DestroyAll(ctx, d.cfg.Root, now.used))
	if e := d.recordTamper(ctx, cause); e != nil {
		err = errors.Join(err, e)
	} else if err == nil {
		err = domainkeys.ClearTampered(ctx, d.cfg.Root)
	}
	if err != nil {
		d.fail(fmt.Errorf("tampering (%s): %w", cause, err))
	}
	return err
}

// recordTamper writes the entry, if the domain is not zeroized already, and waits until all that follows is done.
func (d *Domain) recordTamper(ctx context.Context, cause string) error {
	d.mu.Lock()
	if d.state.Life().Phase == authority.Zeroized {
		d.mu.Unlock()
		return nil
	}
	rec, err := d.record(d.guess(), entry.KindTamper, entry.Public, &entry.Tamper{Cause: cause})
	if err != nil {
		d.mu.Unlock()
		return err
	}
	step := d.lifeChanged(rec)
	d.mu.Unlock()
	if err := rec.handle.Wait(ctx); err != nil {
		return err
	}
	return d.finished(ctx, step)
}

// fitCause makes a text fit for the entry.
func fitCause(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, s)
	if s = clipTo(s, entry.MaxCause); s == "" {
		return "no cause was given"
	}
	return s
}

// MarkTampered destroys every working key in a root before its domain is open, for instance after a failed self-test. [Open] records it.
func MarkTampered(ctx context.Context, arena *secret.Arena, root hsm.Root, cause string) error {
	return errors.Join(domainkeys.MarkTampered(ctx, arena, root, fitCause(cause)), domainkeys.DestroyAll(ctx, root, 0))
}

// resumeTamper goes on, at a start, with tampering that a crash cut off.
func (d *Domain) resumeTamper(ctx context.Context) error {
	cause, ok, err := domainkeys.Tampered(ctx, d.cfg.Root)
	if err != nil || !ok {
		return err
	}
	if err := domainkeys.DestroyAll(ctx, d.cfg.Root, d.switches.Load().used); err != nil {
		return fmt.Errorf("tampering (%s): %w", cause, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.state.Life().Phase != authority.Zeroized {
		rec, err := d.record(d.guess(), entry.KindTamper, entry.Public, &entry.Tamper{Cause: fitCause(cause)})
		if err != nil {
			return err
		}
		if err := rec.handle.Wait(ctx); err != nil {
			return err
		}
		d.setSwitches()
	}
	return domainkeys.ClearTampered(ctx, d.cfg.Root)
}

// PutBack takes what a restore has opened with the custodians' secret: the current working key of a zeroized domain, and the sealed copies
// that the log names. The domain uses it once its recovery plan approves a domain_restore. It refuses another key than the log's.
func (d *Domain) PutBack(ctx context.Context, key *domainkeys.DWK, copies ...[]byte) error {
	d.life.loads.Lock()
	defer d.life.loads.Unlock()
	d.mu.Lock()
	life, epoch, pattern, doomed := d.state.Life(), d.state.Epoch, d.state.Pattern, d.state.Doomed()
	d.mu.Unlock()
	switch {
	case life.Phase != authority.Zeroized:
		return problem.New(problem.Conflict, "the domain is operational; there is nothing to put back")
	case len(doomed) > 0:
		return problem.New(problem.Busy, "zeroize is not over yet")
	case key.Epoch != epoch || string(key.Pattern[:]) != string(pattern) || key.Identity != d.ids.IdentityKey():
		return problem.New(problem.Conflict, "this is not the working key of epoch %d and pattern %x", epoch, pattern)
	}
	want := map[[32]byte]bool{}
	if r := life.Recovery; r != nil {
		want[[32]byte(r.WorkingKey)], want[[32]byte(r.Identity)] = true, true
	}
	for _, c := range copies {
		ref := keystore.Ref{Key: authority.SealedCopies, Hash: keystore.Hash(c)}
		if !want[ref.Hash] {
			return problem.New(problem.Malformed, "the log names no sealed copy with hash %x", ref.Hash)
		}
		if err := d.cfg.Blobs.Put(ctx, ref, c); err != nil && !errors.Is(err, keystore.ErrExists) {
			return problem.Wrap(problem.Internal, err, "keep a sealed copy")
		}
		delete(want, ref.Hash)
	}
	if len(want) > 0 {
		return problem.New(problem.Malformed, "%d sealed copies that the log names are missing; a backup has them", len(want))
	}
	if err := key.SaveRestored(ctx, d.cfg.Root); err != nil {
		return problem.Wrap(problem.Internal, err, "keep the restored working key")
	}
	return nil
}

// restored loads the working key that a restore has put back, before the effect that makes the domain operational: an effect without it
// would leave a domain that can't start.
func (d *Domain) restored(ctx context.Context, o *request.RestoreBody) (*domainkeys.DWK, error) {
	k, err := domainkeys.LoadRestored(ctx, d.cfg.Root, d.ids.IdentityKey(), o.Epoch)
	if errors.Is(err, hsm.ErrNotFound) {
		return nil, problem.New(problem.Locked, "the working key of epoch %d is not back in the root of trust; the custodians restore it first", o.Epoch)
	}
	if err != nil {
		return nil, problem.Wrap(problem.Internal, err, "load the restored working key")
	}
	if string(k.Pattern[:]) != string(o.Pattern) {
		k.Wipe()
		return nil, problem.New(problem.Conflict, "what was put back for epoch %d has another pattern than %x", o.Epoch, []byte(o.Pattern))
	}
	return k, nil
}
