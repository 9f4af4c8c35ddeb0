// SPDX-License-Identifier: Apache-2.0

package tpm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/auditlog/disk"
	"strongroom/internal/core/hsm"
	"strongroom/internal/core/hsm/tpm2"
)

// Evidence is what there is when somebody asks to begin anew with a TPM.
type Evidence struct {
	Pin     auditlog.Pin // the inner anchor's
	Pinned  Head         // what it says
	Marked  *Head        // of the last mark, if a record is there and was made with the secret in the root
	Refused error        // why the anchor does not open as it is; nil if it does
}

// Replace begins anew with this TPM, at the pin that the inner anchor holds: after the TPM was replaced or cleared, its counter lost, or the record. It
// gives up what the old counter knew, and so it asks decide first, which looks at the evidence and returns nil only if the domain's rules for re-anchoring
// are met for this very pin. Interrupted anywhere, it can be done again, and until then the anchor does not open. The anchor that it returns is open.
func Replace(ctx context.Context, cfg Config, decide func(Evidence) error) (*Anchor, error) {
	a, err := replace(ctx, cfg, decide)
	if err != nil {
		return nil, fmt.Errorf("begin anew with the TPM: %w", err)
	}
	return a, nil
}

func replace(ctx context.Context, cfg Config, decide func(Evidence) error) (*Anchor, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if decide == nil {
		return nil, errors.New("nobody decides")
	}
	var e Evidence
	var err error
	if e.Pin, err = cfg.Inner.Read(ctx); err != nil {
		return nil, err
	}
	if e.Pinned, err = headOf(e.Pin); err != nil {
		return nil, err
	}
	if err := e.look(ctx, cfg); err != nil {
		return nil, err
	}
	if err := decide(e); err != nil {
		return nil, err
	}
	if err := forget(ctx, cfg); err != nil {
		return nil, err
	}
	a, err := prepare(ctx, cfg, true)
	if err != nil {
		return nil, err
	}
	err = a.locked(ctx, func() error {
		if err := a.discard(); err != nil {
			return err
		}
		return a.begin(ctx, record{V: 1, Size: e.Pinned.Size, Root: e.Pinned.Root, Checkpoint: e.Pin.Checkpoint})
	})
	return a.opened(ctx, err)
}

// look opens the anchor as it is.
func (e *Evidence) look(ctx context.Context, cfg Config) error {
	a, err := prepare(ctx, cfg, false)
	if err != nil {
		e.Refused = err
		return ctx.Err()
	}
	err = a.locked(ctx, func() error {
		e.Refused = a.settle(ctx)
		if a.rec.V != 0 { // read and authenticated, whatever the TPM counts
			h := a.rec.head()
			e.Marked = &h
		}
		if e.Refused == nil {
			e.Refused = follows(e.Pin, true, a.rec.head())
		}
		return nil
	})
	return errors.Join(err, a.Close())
}

// forget removes the counter of the old secret, if this TPM has it, and the secret.
func forget(ctx context.Context, cfg Config) error {
	_, key, err := cfg.Root.Unseal(ctx, Label)
	if err == nil {
		defer key.Wipe()
		if err := tpm2.RemoveCounter(ctx, cfg.Device, cfg.Arena, key, Label); err != nil && !errors.Is(err, tpm2.ErrIndex) {
			return err
		}
	} else if !errors.Is(err, hsm.ErrNotFound) && !errors.Is(err, hsm.ErrAltered) {
		return err
	}
	return cfg.Root.Destroy(ctx, Label)
}

// discard makes way for the first record: a good one is written over, so that there is always one; one that can't be read is removed.
func (a *Anchor) discard() error {
	_, err := a.slots.Read()
	if err == nil || errors.Is(err, disk.ErrAbsent) {
		return nil
	}
	if err := a.slots.Close(); err != nil {
		return err
	}
	if err := a.cfg.Dir.Remove(markName); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := a.cfg.Dir.Sync(); err != nil {
		return err
	}
	a.slots, err = disk.OpenSlots(a.cfg.Dir, markName, stride)
	return err
}
