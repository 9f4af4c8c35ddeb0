// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"bytes"
	"context"
	"log/slog"

	"strongroom/internal/core/keystore"
	"strongroom/internal/core/signer"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/offline"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/secret"
)

// takeSeed opens a seed that an offline domain has given back, compares the account that follows from it with the wallet's, and keeps its blob.
func (d *Domain) takeSeed(ctx context.Context, res *offlineResult, b *offline.MovedOut) (k entry.TakenKey, err error) {
	d.mu.Lock()
	w, _, ok := d.state.Wallet(b.Wallet)
	a, away := d.state.Away(b.Wallet)
	epoch := d.state.Epoch
	d.mu.Unlock()
	if !ok || !away || a.Way != authority.Coming || a.Move != b.Entry || w.Key != b.Key {
		return k, problem.New(problem.Conflict, "the result is refused: wallet %q was not asked back with entry %d", b.Wallet, b.Entry)
	}
	sealed, ok := res.copies[b.Copy]
	if !ok {
		return k, problem.New(problem.Malformed, "the result is refused: the sealed seed of wallet %q is not in it", b.Wallet)
	}
	key, err := d.openImport(ctx, a.Import)
	if err != nil {
		return k, err
	}
	defer key.Wipe()
	label := offline.Move{Authority: d.Authority(), From: res.from.ID, To: d.ID(), Wallet: w.ID, Key: w.Key, Import: a.Import}.SealLabel()
	seed, err := key.Open(d.cfg.Arena, d.ids.IdentityKey(), label, sealed)
	if err != nil {
		return k, problem.New(problem.Malformed, "the result is refused: the sealed seed of wallet %q does not open: %v", w.ID, err)
	}
	defer seed.Wipe()
	if err := d.isSeedOf(w, seed); err != nil {
		return k, err
	}
	by, err := d.requestOf(ctx, a.Move)
	if err != nil {
		return k, err
	}
	h := keystore.Header{Key: w.Key, Purpose: keystore.Custody, Kind: keystore.HDSeed, Attributes: keystore.Derive | keystore.Cacheable, Mechanisms: seedMechanisms(), CreatedBy: by}
	hash, err := d.keepBlob(ctx, h, epoch, seed)
	if err != nil {
		return k, problem.Wrap(problem.Internal, err, "keep the seed of wallet %q", w.ID)
	}
	return entry.TakenKey{Key: w.Key, Epoch: epoch, Blob: hash}, nil
}

// requestOf gives the request of an effect.
func (d *Domain) requestOf(ctx context.Context, seq uint64) (custody.RequestID, error) {
	_, body, err := d.readEntry(ctx, seq)
	if err != nil {
		return custody.RequestID{}, readProblem(err, seq)
	}
	e, ok := body.(*entry.Effect)
	if !ok {
		return custody.RequestID{}, problem.New(problem.Internal, "entry %d is not an effect", seq)
	}
	return e.Request, nil
}

// isSeedOf says whether a wallet's account key follows from a seed.
func (d *Domain) isSeedOf(w entry.Wallet, seed secret.Bytes) error {
	again := entry.Wallet{ID: w.ID, Chain: w.Chain, Scheme: w.Scheme, Key: w.Key, Account: w.Account}
	if err := signer.FillAccount(d.hd, &again, seed); err != nil || !bytes.Equal(canon.Encode(again), canon.Encode(w)) {
		return problem.New(problem.Malformed, "the result is refused: the seed that came back is not that of wallet %q", w.ID)
	}
	return nil
}

// discardTaken erases the blobs of seeds that came back in a result that was not recorded.
func (d *Domain) discardTaken(ctx context.Context, e *entry.Offline) {
	for _, k := range e.Taken {
		if err := d.cfg.Blobs.Delete(ctx, keystore.Ref{Key: k.Key, Hash: k.Blob}); err != nil {
			d.slog.WarnContext(ctx, "blob of a seed that did not come back stays", slog.String("key", string(k.Key)), slog.Any("error", err))
		}
	}
}

// arrived takes the keys that came back into use, and has the worker erase what their way has used up. The caller holds mu.
func (d *Domain) arrived(acts []authority.OfflineAct) {
	for _, a := range acts {
		b := a.MovedOut
		if b == nil || a.Lost {
			continue
		}
		if d.state.Temperature(b.Wallet) == request.Hot {
			d.keys.Free(b.Wallet)
		}
		d.slog.Info("key is back", slog.String("wallet", string(b.Wallet)))
	}
	d.life.rouse()
}
