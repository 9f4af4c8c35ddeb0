// SPDX-License-Identifier: Apache-2.0

package ceremony

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"strongroom/internal/core/internal/hybrid"
	"strongroom/internal/core/recovery"
	"strongroom/internal/core/sharing"
	"strongroom/internal/pure/share"
	"strongroom/internal/secret"
)

// Load is one occasion at which custodians hand in their shares: a restore, or a change of custodians. It has a key of its own, so that what
// was handed in at another load is worth nothing here. It is for one goroutine.
type Load struct {
	arena  *secret.Arena
	expect Expect
	key    share.Importer
	seed   secret.Bytes // private half
	metas  []share.Meta
	with   share.Commitments
	shares []sharing.Share
	ended  bool
}

// NewLoad makes the one-time key of a load. load is a hash of what it is for (the script, the request); expect says which sharing is in
// force. Call [Load.Close] at the end.
func NewLoad(a *secret.Arena, load [32]byte, expect Expect) (*Load, error) {
	if load == [32]byte{} || expect.Sharing == [32]byte{} || expect.Recovery == [32]byte{} {
		return nil, fmt.Errorf("%w: the load, the sharing and the recovery key must be named", ErrInput)
	}
	seed, err := secret.New(a, hybrid.SeedSize, func(b []byte) error {
		rand.Read(b) // never fails: crypto/rand ends the process when the system has no randomness
		return nil
	})
	if err != nil {
		return nil, err
	}
	var public []byte
	err = seed.Use(func(b []byte) (err error) {
		public, err = hybrid.Public(b)
		return err
	})
	if err != nil {
		seed.Wipe()
		return nil, fmt.Errorf("ceremony: make the importer key: %w", err)
	}
	return &Load{arena: a, expect: expect, key: share.NewImporter(load, public), seed: seed}, nil
}

// Importer returns the public message that custodians seal their shares to.
func (l *Load) Importer() []byte { return l.key.Encode() }

// Fingerprint is what the core shows, and custodians compare with what they got.
func (l *Load) Fingerprint() [32]byte { return l.key.Fingerprint() }

// Add takes a share that a custodian handed in ([Opened.HandIn]). What is wrong with it is said with the custodian's name; the others stay.
func (l *Load) Add(part []byte) (share.Meta, error) {
	if l.ended {
		return share.Meta{}, fmt.Errorf("%w: this load has ended", ErrOrder)
	}
	p, m, c, err := share.DecodePart(part)
	if err != nil {
		return share.Meta{}, err
	}
	if p.Importer != l.key.Fingerprint() {
		return share.Meta{}, about(m, ErrLoad)
	}
	if err := expected(m, c, l.expect); err != nil {
		return share.Meta{}, err
	}
	if slices.ContainsFunc(l.metas, func(o share.Meta) bool { return o.Index == m.Index }) {
		return share.Meta{}, about(m, fmt.Errorf("%w: it was handed in already", sharing.ErrDuplicate))
	}
	plain, err := secret.New(l.arena, share.PlainSize, func(out []byte) error {
		return l.seed.Use(func(seed []byte) error {
			return hybrid.Open(out, seed, p.Enc, p.Info(), l.key.Load[:], p.Box)
		})
	})
	if errors.Is(err, hybrid.ErrOpen) {
		err = ErrOpen
	}
	if err != nil {
		return share.Meta{}, about(m, err)
	}
	defer plain.Wipe()
	s, err := parsePlain(l.arena, plain, m, c)
	if err != nil {
		return share.Meta{}, about(m, err)
	}
	l.metas, l.shares, l.with = append(l.metas, m), append(l.shares, s), c
	return m, nil
}

// Indexes returns those of the shares that were handed in, ascending.
func (l *Load) Indexes() []uint8 {
	var list []uint8
	for _, m := range l.metas {
		list = append(list, m.Index)
	}
	slices.Sort(list)
	return list
}

// Close wipes the shares and the key. It may be called at any time, and again.
func (l *Load) Close() {
	l.ended = true
	l.seed.Wipe()
	sharing.WipeAll(l.shares)
}

// enough says whether enough shares are there. The load goes on when they are not.
func (l *Load) enough() error {
	if l.ended {
		return fmt.Errorf("%w: this load has ended", ErrOrder)
	}
	if len(l.shares) == 0 {
		return fmt.Errorf("%w: none was handed in", sharing.ErrTooFew)
	}
	if need := int(l.with.Scheme().Threshold); len(l.shares) < need {
		return fmt.Errorf("%w: %d were handed in, %d are needed", sharing.ErrTooFew, len(l.shares), need)
	}
	return nil
}

// Try says whether the shares that were handed in give the recovery key that is expected. The load goes on, whatever it says: [Load.Refresh]
// follows.
func (l *Load) Try() error {
	if err := l.enough(); err != nil {
		return err
	}
	key, err := l.recover()
	if err != nil {
		return err
	}
	key.Wipe()
	return nil
}

// recover brings back the recovery key, and checks that it is the one expected.
func (l *Load) recover() (*recovery.Key, error) {
	master, err := sharing.Combine(l.arena, l.with, l.shares)
	if err != nil {
		return nil, fmt.Errorf("ceremony: %w", err)
	}
	defer master.Wipe()
	key, err := recovery.Derive(l.arena, master)
	if err != nil {
		return nil, fmt.Errorf("ceremony: %w", err)
	}
	if sha256.Sum256(key.Public()) != l.expect.Recovery {
		key.Wipe()
		return nil, fmt.Errorf("%w: the shares fit each other, and give another recovery key than the log names", ErrOther)
	}
	return key, nil
}

// Restore brings back the recovery key, and checks that it is the one expected. The load goes on when there are too few shares; otherwise
// it has ended, and shares and master secret are wiped. The caller wipes the key.
func (l *Load) Restore() (*recovery.Key, error) {
	if err := l.enough(); err != nil {
		return nil, err
	}
	defer l.Close()
	return l.recover()
}

// Refresh makes new shares of the same master secret for the custodians of a layout, sealed to them: custodians come and go without a share
// ever changing hands. ceremony is the id of this one, transcript the head of its transcript, sources are the machine's. The old shares
// are void for the new commitments; those who have them destroy them once all new receipts are there. It ends the load like [Load.Restore].
func (l *Load) Refresh(ctx context.Context, ceremony, transcript [32]byte, sources []Source, layout Layout, production bool) (*Made, error) {
	scheme, err := layout.scheme(production)
	if err != nil {
		return nil, err
	}
	if err := l.enough(); err != nil {
		return nil, err
	}
	draw, err := Begin(ctx, Config{Arena: l.arena, Ceremony: ceremony, Sources: sources})
	if err != nil {
		return nil, err
	}
	defer draw.Close()
	defer l.Close()
	mixed, err := mix(l.arena, transcript, draw.parts)
	if err != nil {
		return nil, fmt.Errorf("ceremony: mix: %w", err)
	}
	defer mixed.Wipe()
	unused, seed, err := divide(l.arena, mixed)
	if err != nil {
		return nil, fmt.Errorf("ceremony: mix: %w", err)
	}
	defer unused.Wipe()
	defer seed.Wipe()
	key, err := l.recover()
	if err != nil {
		return nil, err
	}
	defer key.Wipe()
	c, list, err := sharing.Refresh(l.arena, l.with, l.shares, seed, scheme)
	if err != nil {
		return nil, fmt.Errorf("ceremony: %w", err)
	}
	defer sharing.WipeAll(list)
	return sealAll(l.arena, ceremony, key.Public(), c, list, layout)
}
