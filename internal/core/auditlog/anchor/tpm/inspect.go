// SPDX-License-Identifier: Apache-2.0

package tpm

import (
	"context"
	"errors"

	"strongroom/internal/core/auditlog/disk"
	"strongroom/internal/core/hsm"
)

// Inspection is what the anchor's remains say of a domain that is to be re-anchored.
type Inspection struct {
	Marked     *Head  // of the last mark, if a record is there and was made with the secret in the root
	Checkpoint []byte // signed, of that head; empty in the first record
	Refused    error  // why the anchor does not open as it is; nil if it does
}

// Inspect looks at record and TPM without changing either, but for a mark that was interrupted between the two, which is finished. cfg.Device may be nil: then the
// TPM is not asked. cfg.Inner is not used.
func Inspect(ctx context.Context, cfg Config) (Inspection, error) {
	if cfg.Root == nil || cfg.Arena == nil || cfg.Dir == nil || cfg.Clock == nil {
		return Inspection{}, errors.New("inspect the TPM anchor: root, arena, folder and clock are required")
	}
	var out Inspection
	_, key, err := cfg.Root.Unseal(ctx, Label)
	if err != nil {
		if errors.Is(err, hsm.ErrNotFound) {
			err = errors.Join(ErrNotMade, err)
		}
		out.Refused = err
		return out, ctx.Err()
	}
	a := &Anchor{cfg: cfg, key: key, turn: make(chan struct{}, 1)}
	a.turn <- struct{}{}
	if a.slots, err = disk.OpenSlots(cfg.Dir, markName, stride); err == nil {
		a.lock, err = cfg.Dir.Open(lockName, true)
	}
	if err != nil {
		key.Wipe()
		return out, err
	}
	err = a.locked(ctx, func() error {
		if cfg.Device != nil {
			out.Refused = a.settle(ctx)
		} else if b, err := a.slots.Read(); err == nil {
			a.rec, out.Refused = decodeRecord(b, a.key)
		}
		if a.rec.V != 0 { // read and authenticated, whatever the TPM counts
			h := a.rec.head()
			out.Marked, out.Checkpoint = &h, a.rec.Checkpoint
		}
		return nil
	})
	return out, errors.Join(err, a.Close())
}
