// SPDX-License-Identifier: Apache-2.0

package auditlog

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"

	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/tlog"
)

// Begin makes a new log with its first entry, under writer epoch 1, and closes it once the entry is pinned. cfg has store, anchor, signer and
// entries; origin and public are the log's. A creation that was cut off before is begun anew.
func Begin(ctx context.Context, cfg Config, origin string, public [ed25519.PublicKeySize]byte, first Record) error {
	key, err := tlog.NewKey(origin, public[:])
	if err != nil {
		return err
	}
	if err := takeEmptyPin(ctx, cfg, key, public); err != nil {
		return err
	}
	cfg.Key, cfg.Writer = key, 1
	log, err := Open(ctx, cfg)
	if err != nil {
		return err
	}
	h, err := log.Append(ctx, first)
	if err == nil {
		err = h.Wait(ctx)
	}
	return errors.Join(err, log.Close())
}

// takeEmptyPin makes the pin of a creation that was cut off, before its first entry was acknowledged, the pin of this one.
func takeEmptyPin(ctx context.Context, cfg Config, key tlog.Key, public [ed25519.PublicKeySize]byte) error {
	p, err := cfg.Anchor.Read(ctx)
	if errors.Is(err, ErrNoPin) {
		return nil
	}
	if err != nil {
		return err
	}
	origin, _, _ := bytes.Cut(p.Checkpoint, []byte("\n"))
	was, err := tlog.NewKey(string(origin), public[:])
	if err != nil {
		return fmt.Errorf("pin: %w", err)
	}
	c, err := tlog.OpenCheckpoint(p.Checkpoint, was)
	if err != nil {
		return fmt.Errorf("pin: %w", err)
	}
	if c.Size > 0 {
		return problem.New(problem.Conflict, "the anchor knows %d entries of %s, which the log does not have: restore it", c.Size, c.Origin)
	}
	var empty tlog.Frontier
	signed, err := tlog.SignCheckpoint(tlog.Checkpoint{Origin: key.Origin(), Root: empty.Root()}, key, cfg.Sign)
	if err != nil {
		return err
	}
	return cfg.Anchor.Pin(ctx, Pin{Checkpoint: signed, Frontier: empty.Marshal()})
}
