// SPDX-License-Identifier: Apache-2.0

// Package file is the anchor that keeps the pin in a file of its own. It finds out a log that was cut, mixed up or replaced by an
// older copy, as long as the pin file is not replaced with it: that is why only the evaluation profile accepts it. Put the file on
// another disk than the log.
//
// Format: docs/spec/log-store.md, "Pin file".
package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/auditlog/disk"
	"strongroom/internal/pure/canon"
)

// Names of the files in the anchor's folder.
const (
	pinName  = "pin"
	lockName = "pin.lock"
)

// stride holds a pin of the largest size.
const stride = 16 << 10

// Anchor keeps a pin in a folder.
type Anchor struct {
	slots *disk.Slots
	lock  disk.File
	turn  chan struct{} // holds one token: the right to use lock and slots in this process
}

type wire struct {
	Checkpoint []byte `cbor:"1,keyasint"`
	Frontier   []byte `cbor:"2,keyasint"`
	Since      uint64 `cbor:"3,keyasint,omitempty"`
}

// Open uses the folder dir, where nothing need be yet.
func Open(dir disk.Dir) (*Anchor, error) {
	slots, err := disk.OpenSlots(dir, pinName, stride)
	if err != nil {
		return nil, fmt.Errorf("open anchor: %w", err)
	}
	lock, err := dir.Open(lockName, true)
	if err != nil {
		return nil, fmt.Errorf("open anchor: %w", err)
	}
	a := &Anchor{slots: slots, lock: lock, turn: make(chan struct{}, 1)}
	a.turn <- struct{}{}
	return a, nil
}

// Read gives the pin; see [auditlog.Anchor].
func (a *Anchor) Read(ctx context.Context) (auditlog.Pin, error) {
	var p auditlog.Pin
	err := a.locked(ctx, func() error {
		b, err := a.slots.Read()
		if errors.Is(err, disk.ErrAbsent) {
			return auditlog.ErrNoPin
		}
		if err != nil {
			return err
		}
		var w wire
		if err := canon.Decode(b, &w); err != nil {
			return err
		}
		p = auditlog.Pin(w)
		return nil
	})
	if err != nil {
		return auditlog.Pin{}, fmt.Errorf("read pin: %w", err)
	}
	return p, nil
}

// Pin replaces the pin; see [auditlog.Anchor].
func (a *Anchor) Pin(ctx context.Context, p auditlog.Pin) error {
	if n := len(p.Checkpoint) + len(p.Frontier); n > auditlog.MaxPin {
		return fmt.Errorf("write pin of %d bytes, more than %d", n, auditlog.MaxPin)
	}
	b := canon.Encode(wire(p))
	err := a.locked(ctx, func() error { return a.slots.Write(b) })
	switch {
	case err == nil:
		return nil
	case errors.Is(err, disk.ErrMoved):
		return fmt.Errorf("write pin: %w", auditlog.ErrPinMoved)
	case ctx.Err() != nil && errors.Is(err, ctx.Err()), errors.Is(err, fs.ErrClosed):
		return fmt.Errorf("write pin: %w", err)
	default:
		return fmt.Errorf("write pin: %w: %w", auditlog.ErrFatal, err)
	}
}

// Discard gives up a pin that can't be read, so that another one can be written: for re-anchoring, which asks first whether that may be. A pin that can be
// read stays.
func Discard(ctx context.Context, dir disk.Dir) error {
	a, err := Open(dir)
	if err != nil {
		return err
	}
	err = a.locked(ctx, func() error {
		if _, err := a.slots.Read(); err == nil || errors.Is(err, disk.ErrAbsent) {
			return nil
		}
		if err := dir.Remove(pinName); err != nil {
			return err
		}
		return dir.Sync()
	})
	return errors.Join(err, a.Close())
}

// Close closes the files.
func (a *Anchor) Close() error {
	<-a.turn
	defer func() { a.turn <- struct{}{} }()
	return errors.Join(a.slots.Close(), a.lock.Close())
}

// locked runs act while no other process uses the pin. It waits for the lock as long as ctx allows.
func (a *Anchor) locked(ctx context.Context, act func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-a.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { a.turn <- struct{}{} }()
	return disk.Locked(ctx, a.lock, 0, act)
}
