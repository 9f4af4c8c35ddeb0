// SPDX-License-Identifier: Apache-2.0

// Package tpm is the anchor that binds another one to a counter in a TPM, so that setting the disk back is found out: at a start, a change of the
// writer, a change of the rule document and a clean stop it writes a record of the number to come and of the pinned head, and then counts.
//
// At the next start the TPM must count what the record says, or one less, where the machine stopped between the two; then the counting is finished.
// And the pin must not be smaller than the recorded head. Whoever puts back a state from before the last mark is refused. Between two marks it does not
// help, because NV memory wears out: that is what witnesses are for.
//
// The record is authenticated with a key that the domain's root of trust keeps for the anchor, and not with an HMAC key in the TPM: the root that
// signs the log is trusted with it anyway, the same secret authorizes the counter, so that record and counter can't be exchanged apart, and commands for
// HMAC are missing in some TPMs. It works with any root.
//
// It refuses: a record that is missing, altered or of another domain; a counter that is missing, was made anew, or counts something else; another or
// cleared TPM; a pin that is smaller than the recorded head or another tree of the same size.
//
// Format: docs/spec/anchor-tpm.md.
package tpm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/auditlog/disk"
	"strongroom/internal/core/hsm"
	"strongroom/internal/core/hsm/tpm2"
	"strongroom/internal/core/timeguard"
	"strongroom/internal/pure/canon"
	"strongroom/internal/secret"
)

// Label is where the root keeps the anchor's secret.
const Label = "anchor-tpm"

// MarksPerDay is how often a day the TPM counts, apart from starts and changes of the writer. NV memory is good for some 100,000 writes; this leaves it
// years.
const MarksPerDay = 100

// Names and sizes in the anchor's folder.
const (
	markName = "mark"
	lockName = "mark.lock"
	stride   = 16 << 10 // holds a record with the largest checkpoint
)

const (
	secretSize = 32
	day        = 24 * int64(time.Hour)
)

// Config says what an anchor is made of. All fields are required. It takes ownership of nothing.
type Config struct {
	Inner  auditlog.Anchor
	Root   hsm.Sealer // keeps the anchor's secret under Label
	Device *tpm2.Device
	Arena  *secret.Arena
	Dir    disk.Dir // for the record; may be the inner anchor's
	Clock  timeguard.Clock
}

func (c Config) check() error {
	if c.Inner == nil || c.Root == nil || c.Device == nil || c.Arena == nil || c.Dir == nil || c.Clock == nil {
		return errors.New("TPM anchor: inner anchor, root, device, arena, folder and clock are required")
	}
	return nil
}

// Anchor implements [auditlog.Anchor] and [auditlog.Marker].
type Anchor struct {
	cfg     Config
	key     secret.Bytes
	counter *tpm2.Counter
	slots   *disk.Slots
	lock    disk.File

	turn chan struct{} // holds one token: the right to use lock, slots and counter, and rec and dead
	rec  record        // the last mark
	dead error         // a mark failed

	mu  sync.Mutex    // guards pin
	pin *auditlog.Pin // as the inner anchor holds it, as far as is known
}

var (
	_ auditlog.Anchor = (*Anchor)(nil)
	_ auditlog.Marker = (*Anchor)(nil)
)

// Create makes the anchor of a new domain, or opens it if it is there. It refuses where something is pinned but no mark was ever made.
func Create(ctx context.Context, cfg Config) (*Anchor, error) {
	a, err := prepare(ctx, cfg, true)
	if err != nil {
		return nil, fmt.Errorf("make the TPM anchor: %w", err)
	}
	err = a.locked(ctx, func() error {
		_, err := a.slots.Read()
		if !errors.Is(err, disk.ErrAbsent) {
			return err
		}
		if _, err := cfg.Inner.Read(ctx); !errors.Is(err, auditlog.ErrNoPin) {
			return errors.Join(fmt.Errorf("%w: there is a pin, but no mark", ErrNotMade), err)
		}
		return a.begin(ctx, record{V: 1})
	})
	return a.opened(ctx, err)
}

// Open opens the anchor, compares record and TPM, and finishes a mark that was interrupted.
func Open(ctx context.Context, cfg Config) (*Anchor, error) {
	a, err := prepare(ctx, cfg, false)
	if err != nil {
		return nil, fmt.Errorf("open the TPM anchor: %w", err)
	}
	return a.opened(ctx, nil)
}

// opened ends an opening.
func (a *Anchor) opened(ctx context.Context, err error) (*Anchor, error) {
	if err == nil {
		err = a.locked(ctx, func() error { return a.settle(ctx) })
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the TPM anchor: %w", err), a.Close())
	}
	return a, nil
}

// prepare opens what an anchor needs, without looking at the record.
func prepare(ctx context.Context, cfg Config, create bool) (*Anchor, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	_, key, err := cfg.Root.Unseal(ctx, Label)
	switch {
	case errors.Is(err, hsm.ErrNotFound) && create:
		key, err = newSecret(ctx, cfg)
	case errors.Is(err, hsm.ErrNotFound):
		err = fmt.Errorf("%w: %w", ErrNotMade, err)
	}
	if err != nil {
		return nil, err
	}
	a := &Anchor{cfg: cfg, key: key, turn: make(chan struct{}, 1)}
	a.turn <- struct{}{}
	if a.slots, err = disk.OpenSlots(cfg.Dir, markName, stride); err == nil {
		a.lock, err = cfg.Dir.Open(lockName, true)
	}
	if err != nil {
		key.Wipe()
		return nil, err
	}
	return a, nil
}

// newSecret draws the anchor's secret and has the root keep it.
func newSecret(ctx context.Context, cfg Config) (secret.Bytes, error) {
	key, err := secret.New(cfg.Arena, secretSize, func(b []byte) error { _, err := rand.Read(b); return err })
	if err != nil {
		return secret.Bytes{}, err
	}
	if err := cfg.Root.Seal(ctx, Label, nil, key); err != nil {
		key.Wipe()
		return secret.Bytes{}, err
	}
	return key, nil
}

// begin makes the counter and writes the first record, with the head that r has. Interrupted, it can be done again.
func (a *Anchor) begin(ctx context.Context, r record) error {
	id, err := tpm2.DefineCounter(ctx, a.cfg.Device, a.cfg.Arena, a.key, Label)
	if err != nil {
		return err
	}
	r.Counter, r.Value = id, id.First
	return a.write(r)
}

// write writes a record durably.
func (a *Anchor) write(r record) error {
	var err error
	if r.MAC, err = r.mac(a.key); err != nil {
		return err
	}
	return a.slots.Write(canon.Encode(r))
}

// settle reads the record, compares it with the TPM, and finishes a mark that was interrupted.
func (a *Anchor) settle(ctx context.Context) error {
	b, err := a.slots.Read()
	if errors.Is(err, disk.ErrAbsent) {
		return fmt.Errorf("%w: %w", ErrNotMade, err)
	}
	if err != nil {
		return err
	}
	if a.rec, err = decodeRecord(b, a.key); err != nil {
		return err
	}
	if a.counter, err = tpm2.OpenCounter(a.cfg.Device, a.cfg.Arena, a.rec.Counter, a.key, Label); err != nil {
		return err
	}
	n, err := a.counter.Read(ctx)
	if err != nil {
		return err
	}
	if n+1 == a.rec.Value { // the machine stopped between record and counting
		if n, err = a.counter.Increment(ctx); err != nil {
			return err
		}
	}
	if n != a.rec.Value {
		return &RollbackError{Recorded: a.rec.Value, Counted: n}
	}
	return nil
}

// Read gives the inner anchor's pin, unless it can't follow the last mark ([*HeadError]).
func (a *Anchor) Read(ctx context.Context) (auditlog.Pin, error) {
	p, err := a.cfg.Inner.Read(ctx)
	if err != nil && !errors.Is(err, auditlog.ErrNoPin) {
		return auditlog.Pin{}, err
	}
	absent := err
	marked, err := a.marked(ctx)
	if err != nil {
		return auditlog.Pin{}, fmt.Errorf("read pin: %w", err)
	}
	if err := follows(p, absent == nil, marked); err != nil {
		return auditlog.Pin{}, fmt.Errorf("read pin: %w", err)
	}
	if absent != nil {
		return auditlog.Pin{}, absent
	}
	a.keep(p)
	return p, nil
}

// follows says whether a pin, which may be absent, can come after a mark.
func follows(p auditlog.Pin, there bool, marked Head) error {
	if marked.Size == 0 {
		return nil
	}
	var pinned Head
	if there {
		var err error
		if pinned, err = headOf(p); err != nil {
			return err
		}
	}
	if pinned.Size < marked.Size || pinned.Size == marked.Size && pinned.Root != marked.Root {
		return &HeadError{Pinned: pinned, Marked: marked}
	}
	return nil
}

// Pin replaces the inner anchor's pin.
func (a *Anchor) Pin(ctx context.Context, p auditlog.Pin) error {
	_, err := a.PinCosigned(ctx, p)
	return err
}

// PinCosigned implements [auditlog.Cosigning], for an inner anchor that does.
func (a *Anchor) PinCosigned(ctx context.Context, p auditlog.Pin) (signed []byte, err error) {
	if signed, err = auditlog.PinOn(ctx, a.cfg.Inner, p); err != nil {
		return nil, err
	}
	a.keep(p)
	return signed, nil
}

// Bind implements [auditlog.Cosigning].
func (a *Anchor) Bind(b auditlog.Binding) { auditlog.BindAnchor(a.cfg.Inner, b) }

func (a *Anchor) keep(p auditlog.Pin) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pin = &p
}

// marked gives the head of the last mark.
func (a *Anchor) marked(ctx context.Context) (h Head, err error) {
	err = a.mine(ctx, func() error { h = a.rec.head(); return nil })
	return h, err
}

// Mark implements [auditlog.Marker].
func (a *Anchor) Mark(ctx context.Context, why auditlog.Occasion) (done bool, err error) {
	a.mu.Lock()
	p := a.pin
	a.mu.Unlock()
	if p == nil {
		return false, errors.New("mark: nothing was read or pinned yet")
	}
	err = a.locked(ctx, func() error {
		if a.dead != nil {
			return a.dead
		}
		next, ok, err := a.next(*p, why)
		if err != nil || !ok {
			return err
		}
		// From here on nobody can call it back: half a mark is finished at the next start.
		if err := a.mark(context.WithoutCancel(ctx), next); err != nil {
			a.dead = fmt.Errorf("%w: %w", auditlog.ErrFatal, err)
			return a.dead
		}
		done = true
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("mark %s in the TPM: %w", why, err)
	}
	return done, nil
}

// next gives the record of a mark, or false where the day's marks are used up. Days never run back, and a clock that isn't certain doesn't begin one.
func (a *Anchor) next(p auditlog.Pin, why auditlog.Occasion) (record, bool, error) {
	head, err := headOf(p)
	if err != nil {
		return record{}, false, err
	}
	if err := follows(p, true, a.rec.head()); err != nil {
		return record{}, false, err
	}
	r := record{V: 1, Counter: a.rec.Counter, Value: a.rec.Value + 1, Size: head.Size, Root: head.Root, Checkpoint: p.Checkpoint, Day: a.rec.Day, Marks: a.rec.Marks}
	if now := a.cfg.Clock.Now(); now.Certain && now.Time/day > r.Day {
		r.Day, r.Marks = now.Time/day, 0
	}
	if r.Marks++; r.Marks > MarksPerDay && why != auditlog.MarkStart && why != auditlog.MarkWriter {
		return record{}, false, nil
	}
	return r, true, nil
}

// mark writes the record, and then counts.
func (a *Anchor) mark(ctx context.Context, r record) error {
	n, err := a.counter.Read(ctx)
	if err != nil {
		return err
	}
	if n != a.rec.Value {
		return fmt.Errorf("%w: %w", auditlog.ErrPinMoved, &RollbackError{Recorded: a.rec.Value, Counted: n})
	}
	if err := a.write(r); err != nil {
		return err
	}
	if n, err = a.counter.Increment(ctx); err != nil {
		return err
	}
	if n != r.Value {
		return &RollbackError{Recorded: r.Value, Counted: n}
	}
	a.rec = r
	return nil
}

// Close closes the record and wipes the secret. The inner anchor stays open.
func (a *Anchor) Close() error {
	<-a.turn
	defer func() { a.turn <- struct{}{} }()
	a.dead = errors.New("the anchor is closed")
	a.key.Wipe()
	if a.counter != nil {
		a.counter.Close()
	}
	return errors.Join(a.slots.Close(), a.lock.Close())
}

// mine runs act alone in this process.
func (a *Anchor) mine(ctx context.Context, act func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-a.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { a.turn <- struct{}{} }()
	return act()
}

// locked runs act while no other process uses the record either. It waits for the lock as long as ctx allows.
func (a *Anchor) locked(ctx context.Context, act func() error) error {
	return a.mine(ctx, func() error {
		return disk.Locked(ctx, a.lock, 0, act)
	})
}
