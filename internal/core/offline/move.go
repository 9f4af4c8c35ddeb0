// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"strongroom/internal/core/keystore"
	"strongroom/internal/core/recovery"
	"strongroom/internal/core/signer"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	pure "strongroom/internal/pure/offline"
	"strongroom/internal/pure/problem"
	"strongroom/internal/secret"
)

// seedAttributes is what a seed that came may do: derive, stay open for one run, and leave again, sealed.
const seedAttributes = keystore.Derive | keystore.Cacheable | keystore.Extractable

// sealedCopy names a sealed copy in the blob store.
func sealedCopy(hash [32]byte) keystore.Ref {
	return keystore.Ref{Key: authority.SealedCopies, Hash: hash}
}

// putBlob puts a blob that may be there already.
func putBlob(ctx context.Context, to keystore.Blobs, ref keystore.Ref, b []byte) error {
	if err := to.Put(ctx, ref, b); err != nil && !errors.Is(err, keystore.ErrExists) {
		return err
	}
	return nil
}

// keepRecovery seals identity and working key to the authority's custodians, if they have changed since they were last, or never were: a seed
// that came exists only here.
func (w *work) keepRecovery(ctx context.Context) error {
	life := w.follow.state.Life()
	if life.Recovery == nil {
		return nil
	}
	want := pure.Recovery{Public: sha256.Sum256(life.Recovery.Public)}
	if have := w.state.Recovery; have != nil && have.Public == want.Public {
		return nil
	}
	for _, c := range []struct {
		seal func([]byte) ([]byte, error)
		hash *[32]byte
	}{{w.working.ForRecovery, &want.WorkingKey}, {w.ids.ForRecovery, &want.Identity}} {
		sealed, err := c.seal(life.Recovery.Public)
		if err != nil {
			return err
		}
		*c.hash = keystore.Hash(sealed)
		if err := putBlob(ctx, w.cfg.Blobs, sealedCopy(*c.hash), sealed); err != nil {
			return err
		}
	}
	at, err := w.now(0)
	if err != nil {
		return err
	}
	return w.record(ctx, at, &want)
}

// open gives the moves that concern this domain and are not done, in order.
func (w *work) open() []move {
	here := map[custody.WalletID]bool{}
	for _, h := range w.state.Wallets() {
		here[h.Wallet] = true
	}
	var out []move
	for _, m := range w.follow.moves {
		if w.state.Moved(m.seq) {
			continue
		}
		in := m.body.Move.To == w.ID()
		if in || here[m.body.Move.Wallet] && w.after(m) {
			here[m.body.Move.Wallet] = in
			out = append(out, m)
		}
	}
	return out
}

// after says whether a move away is later than the one by which the wallet came.
func (w *work) after(m move) bool {
	h, ok := w.state.Holds(m.body.Move.Wallet)
	return !ok || m.seq > h.Entry // not here yet: an earlier move of the same bundle brings it
}

// wanted lists the sealed copies that open moves need.
func (w *work) wanted() map[[32]byte]bool {
	out := map[[32]byte]bool{}
	for _, m := range w.open() {
		if len(m.body.Move.Copy) == 32 {
			out[[32]byte(m.body.Move.Copy)] = true
		}
	}
	return out
}

// moveSeeds does the moves of seeds that are not done.
func (w *work) moveSeeds(ctx context.Context) error {
	for _, m := range w.open() {
		do, done := w.moveOut, &w.report.MovedOut
		if m.body.Move.To == w.ID() {
			do, done = w.moveIn, &w.report.MovedIn
		}
		err := do(ctx, m)
		if problem.KindOf(err) == problem.Conflict {
			err = w.refuse(ctx, m.seq, err)
		} else if err == nil {
			*done = append(*done, m.body.Move.Wallet)
		}
		if err != nil {
			return fmt.Errorf("move of wallet %s: %w", m.body.Move.Wallet, err)
		}
	}
	return nil
}

// sealed says for what a move's seed is sealed.
func (w *work) sealed(m *entry.Move, from custody.DomainID, key custody.KeyID) string {
	return pure.Move{Authority: w.state.Authority, From: from, To: m.To, Wallet: m.Wallet, Key: key, Import: m.Import}.SealLabel()
}

// moveIn opens the copy of a wallet's seed, compares the account that follows from it with the log's, and keeps the seed.
func (w *work) moveIn(ctx context.Context, m move) error {
	mv := m.body.Move
	wallet, _, ok := w.follow.state.Wallet(mv.Wallet)
	switch {
	case !ok || len(mv.Copy) != 32:
		return problem.New(problem.Conflict, "wallet %q is not known, or the move names no sealed copy", mv.Wallet)
	case mv.Import != w.state.Key.ID:
		return problem.New(problem.Conflict, "the seed was sealed to import key %s; the open one is %s", mv.Import, w.state.Key.ID)
	}
	if a, away := w.follow.state.Away(mv.Wallet); !away || a.Move != m.seq || a.Way != authority.Leaving || !a.Erased {
		return problem.New(problem.Conflict, "the online domain has not said that it erased the seed: export again")
	}
	sealed, ok := w.copies[[32]byte(mv.Copy)]
	if !ok {
		return problem.New(problem.Conflict, "the sealed copy of the seed is not in the bundle: export again")
	}
	key, err := openImportKey(ctx, w.cfg, w.working, w.state.Key)
	if err != nil {
		return err
	}
	defer key.Wipe()
	seed, err := key.Open(w.cfg.Arena, w.ids.IdentityKey(), w.sealed(mv, w.bundle.Online, wallet.Key), sealed)
	if err != nil {
		return problem.Wrap(problem.Conflict, err, "the sealed copy of the seed does not open")
	}
	defer seed.Wipe()
	if err := w.isSeedOf(wallet, seed); err != nil {
		return err
	}
	return w.keepSeed(ctx, m, wallet, seed)
}

// isSeedOf says whether a wallet's account key follows from a seed.
func (d *Domain) isSeedOf(wallet entry.Wallet, seed secret.Bytes) error {
	again := entry.Wallet{ID: wallet.ID, Chain: wallet.Chain, Scheme: wallet.Scheme, Key: wallet.Key, Account: wallet.Account}
	if err := signer.FillAccount(d.hd, &again, seed); err != nil {
		return problem.Wrap(problem.Conflict, err, "no account follows from the seed")
	}
	if !bytes.Equal(canon.Encode(again), canon.Encode(wallet)) {
		return problem.New(problem.Conflict, "the seed is not that of wallet %q: another account key follows from it", wallet.ID)
	}
	return nil
}

// keepSeed makes the blob of a seed and the next import key, and records both; the used import key is destroyed.
func (w *work) keepSeed(ctx context.Context, m move, wallet entry.Wallet, seed secret.Bytes) error {
	h := w.header(wallet.Key)
	h.CreatedBy = m.body.Request
	blob, hash, err := keystore.Seal(w.working.Key(), h, seed)
	if err != nil {
		return err
	}
	if err := w.cfg.Blobs.Put(ctx, keystore.Ref{Key: wallet.Key, Hash: hash}, blob); err != nil {
		return err
	}
	next, err := newImportKey(ctx, w.cfg, w.working)
	if err != nil {
		return err
	}
	at, err := w.now(0)
	if err != nil {
		return err
	}
	if err := w.record(ctx, at, &pure.MovedIn{Wallet: wallet.ID, Key: wallet.Key, Blob: hash, Entry: m.seq, Used: w.state.Key.ID, Next: next}); err != nil {
		return err
	}
	return w.eraseDoomed(ctx)
}

// header is that of a seed's blob.
func (d *Domain) header(key custody.KeyID) keystore.Header {
	mechanisms := []keystore.Mechanism{keystore.BIP32, keystore.BIP340, keystore.ECDSASecp256k1}
	slices.Sort(mechanisms)
	return keystore.Header{V: 1, Authority: d.state.Authority, Domain: d.state.Domain, Epoch: epoch, Pattern: d.working.Pattern, Key: key, Purpose: keystore.Custody,
		Kind: keystore.HDSeed, Class: keystore.Core, Attributes: seedAttributes, Mechanisms: mechanisms}
}

// seedOf opens the seed of a wallet that is here.
func (d *Domain) seedOf(ctx context.Context, id custody.WalletID) (secret.Bytes, error) {
	held, ok := d.state.Holds(id)
	if !ok || d.working == nil {
		return secret.Bytes{}, fmt.Errorf("the seed of wallet %s is not here", id)
	}
	return d.openSeed(ctx, held)
}

// openSeed opens a blob of a wallet's seed.
func (d *Domain) openSeed(ctx context.Context, held pure.Held) (secret.Bytes, error) {
	blob, err := d.cfg.Blobs.Get(ctx, keystore.Ref{Key: held.Key, Hash: held.Blob})
	if err != nil {
		return secret.Bytes{}, err
	}
	h := d.header(held.Key)
	seed, _, err := keystore.Open(d.cfg.Arena, blob, held.Blob, keystore.Want{Authority: h.Authority, Domain: h.Domain, Epoch: h.Epoch, Pattern: h.Pattern, Key: h.Key,
		Purpose: h.Purpose, Now: max(d.state.Time/1e9, 1)}, d.working.Key())
	return seed, err
}

// seedIsHere says whether the blob of a wallet's seed is there; it may not be where the domain was set back. Nothing is begun then that could never
// be finished.
func (w *work) seedIsHere(ctx context.Context, id custody.WalletID) error {
	h, ok := w.state.Holds(id)
	if !ok {
		return problem.New(problem.Conflict, "wallet %q is not here", id)
	}
	b, err := w.cfg.Blobs.Get(ctx, keystore.Ref{Key: h.Key, Hash: h.Blob})
	if errors.Is(err, keystore.ErrNotFound) || err == nil && keystore.Hash(b) != h.Blob {
		return problem.New(problem.Conflict, "the seed of wallet %q is not on this machine: the blob of key %s is missing; a newer copy of this machine's folder may have it", id, h.Key)
	}
	return err
}

// moveOut seals a wallet's seed to the online domain's key, records that it left, and destroys it here. Only then the copy may be given out.
func (w *work) moveOut(ctx context.Context, m move) error {
	mv := m.body.Move
	held, ok := w.state.Holds(mv.Wallet)
	switch {
	case !ok:
		return problem.New(problem.Conflict, "the seed of wallet %q is not here", mv.Wallet)
	case mv.To != w.bundle.Online:
		return problem.New(problem.Conflict, "the seed would go to %s; from here it goes to the online domain only", mv.To)
	}
	if err := recovery.CheckPublic(mv.Public); err != nil {
		return problem.Wrap(problem.Conflict, err, "the move names no key to seal to")
	}
	if err := w.seedIsHere(ctx, mv.Wallet); err != nil {
		return err
	}
	seed, err := w.seedOf(ctx, mv.Wallet)
	if err != nil {
		return err
	}
	sealed, err := recovery.Seal(mv.Public, w.follow.state.Identity, w.sealed(mv, w.ID(), held.Key), seed)
	seed.Wipe()
	if err != nil {
		return err
	}
	hash := keystore.Hash(sealed)
	if err := putBlob(ctx, w.cfg.Blobs, sealedCopy(hash), sealed); err != nil {
		return err
	}
	// Once it is recorded this is the only copy: it must be there.
	if again, err := w.cfg.Blobs.Get(ctx, sealedCopy(hash)); err != nil || keystore.Hash(again) != hash {
		return fmt.Errorf("the sealed seed can't be read back: %w", errors.Join(err, keystore.ErrCorrupt))
	}
	at, err := w.now(0)
	if err != nil {
		return err
	}
	if err := w.record(ctx, at, &pure.MovedOut{Wallet: mv.Wallet, Key: held.Key, Entry: m.seq, Copy: hash}); err != nil {
		return err
	}
	w.keys.Forget()
	return w.eraseDoomed(ctx)
}
