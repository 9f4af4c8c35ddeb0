// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"strongroom/internal/core/keystore"
	"strongroom/internal/core/recovery"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/offline"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/secret"
)

// A key that moves to an offline domain is sealed to that domain's import key, and the sealed copy is durable, before the entry that moves it.
// After the entry is durable the key's blobs here are erased; only when the log says that they are, a bundle carries the copy (export.go). So
// there is never a moment without a copy, nor one with two that somebody can open: docs/spec/cold.md.

// moved is what a move of a wallet's key needs, made before it is decided for good.
type moved struct {
	wallet custody.WalletID
	to     custody.DomainID
	imp    custody.KeyID // import key of the target
	copy   []byte        // hash of the sealed seed, of a key that goes
	public []byte        // of the import key, of one that comes back
}

// makeMove makes it: for a key that goes its sealed copy, for one that comes back the import key.
func (d *Domain) makeMove(ctx context.Context, id custody.RequestID, o *request.WalletMoveBody, e *entry.Effect) (*creation, error) {
	m := &moved{wallet: o.Wallet, to: e.Move.To, imp: e.Move.Import}
	if m.to == d.ID() {
		d.mu.Lock()
		under := d.epochsNow()
		d.mu.Unlock()
		return d.makeImportKey(ctx, id, m, under)
	}
	if err := d.settleWallet(ctx, o.Wallet); err != nil {
		return nil, err
	}
	return d.sealSeed(ctx, m)
}

// sealSeed seals a wallet's seed to the import key of the offline domain that it goes to, keeps the copy and reads it back.
func (d *Domain) sealSeed(ctx context.Context, m *moved) (*creation, error) {
	d.mu.Lock()
	w, _, ok := d.state.Wallet(m.wallet)
	k, have := d.state.Key(w.Key)
	target, known := d.state.OfflineDomain(m.to)
	at, err := d.now()
	d.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if !ok || !have || !known || !authority.Here(k) || target.Import.ID != m.imp {
		return nil, errOvertaken
	}
	seed, err := d.unseal(ctx, k, at)
	if err != nil {
		return nil, err
	}
	defer seed.Key.Wipe()
	label := offline.Move{Authority: d.Authority(), From: d.ID(), To: m.to, Wallet: w.ID, Key: k.ID, Import: m.imp}.SealLabel()
	sealed, err := recovery.Seal(target.Import.Public, target.Identity, label, seed.Key)
	if err != nil {
		return nil, problem.Wrap(problem.Internal, err, "seal the seed of wallet %q", w.ID)
	}
	ref := sealedCopy(sealed)
	if err := d.cfg.Blobs.Put(ctx, ref, sealed); err != nil {
		return nil, problem.Wrap(problem.Internal, err, "keep the sealed seed of wallet %q", w.ID)
	}
	// Once the move is recorded this is the only copy: it must be there.
	if again, err := d.cfg.Blobs.Get(ctx, ref); err != nil || keystore.Hash(again) != ref.Hash {
		return nil, problem.Wrap(problem.Internal, errors.Join(err, keystore.ErrCorrupt), "the sealed seed of wallet %q can't be read back", w.ID)
	}
	m.copy = ref.Hash[:]
	return &creation{move: m}, nil
}

// makeImportKey makes the key that a seed comes back to, and keeps its blob; where a next epoch is committed, the one under that too.
func (d *Domain) makeImportKey(ctx context.Context, id custody.RequestID, m *moved, under epochs) (*creation, error) {
	var name [16]byte
	rand.Read(name[:]) // never fails: crypto/rand ends the process when the system has no randomness
	k := entry.NewKey{ID: custody.KeyID(hex.EncodeToString(name[:])), Purpose: entry.PurposeImport, Kind: entry.KindImportKey, Epoch: under.current}
	master, err := secret.New(d.cfg.Arena, recovery.MasterSize, func(b []byte) error { return d.cfg.Fill(ctx, b) })
	if err != nil {
		return nil, problem.Wrap(problem.Internal, err, "make an import key")
	}
	defer master.Wipe()
	pair, err := recovery.Derive(d.cfg.Arena, master)
	if err != nil {
		return nil, problem.Wrap(problem.Internal, err, "make an import key")
	}
	m.imp, m.public = k.ID, pair.Public()
	pair.Wipe()
	k.Blob, err = d.keepBlob(ctx, importHeader(k.ID, id), under.current, master)
	if err == nil && under.next != 0 {
		var next [32]byte
		next, err = d.keepBlob(ctx, importHeader(k.ID, id), under.next, master)
		k.Next = next[:]
	}
	if err != nil {
		return nil, problem.Wrap(problem.Internal, err, "keep an import key")
	}
	return &creation{key: &k, epochs: under, move: m}, nil
}

// importHeader is that of an import key's blob, without the domain.
func importHeader(key custody.KeyID, by custody.RequestID) keystore.Header {
	return keystore.Header{Key: key, Purpose: keystore.Import, Kind: keystore.Kind(entry.KindImportKey), Attributes: keystore.Local | keystore.NeverExtractable, CreatedBy: by}
}

// fitsMove says whether what was made for a move still fits, and adds it to the effect. The caller holds mu.
func (d *Domain) fitsMove(e *entry.Effect, made *creation) error {
	m := made.move
	if m == nil || m.to != e.Move.To || made.key == nil && (m.imp != e.Move.Import || d.unsettled(m.wallet)) {
		return errOvertaken
	}
	e.Move.Import, e.Move.Copy, e.Move.Public = m.imp, m.copy, m.public
	return nil
}

// movedNow takes a move into effect, as far as that is memory; what it gives up the worker erases. The caller holds mu.
func (d *Domain) movedNow(e *entry.Move) {
	if e.To != d.state.Domain {
		d.confine(e.Wallet, "its key moves to an offline domain")
		d.slog.Info("key leaves", slog.String("wallet", string(e.Wallet)), slog.String("to", e.To.String()))
	}
	d.life.rouse()
}

// settleWallet signs the permits of a wallet that have no result, so that none is left behind when its key goes: who has the key when a permit
// is made signs it, and nobody else. What came back unsigned from an offline domain stays unsigned: a move is no reason to sign it.
func (d *Domain) settleWallet(ctx context.Context, id custody.WalletID) error {
	d.mu.Lock()
	var open []authority.Signed
	for _, g := range d.state.Unsettled() {
		if w, known := g.Wallet(); (!known || w == id) && !d.cameBack(g, id) {
			open = append(open, *g)
		}
	}
	d.mu.Unlock()
	for _, g := range open {
		if _, known := g.Wallet(); !known {
			_, body, err := d.readKnown(ctx, g.Permit, g.PermitLeaf)
			if err != nil {
				return err
			}
			if p, ok := body.(*entry.Permit); !ok || p.Wallet != id {
				continue
			}
		}
		if _, err := d.resign(ctx, g); err != nil {
			return problem.Wrap(problem.KindOf(err), err, "the permit of entry %d is not signed yet, and has to be before the key of wallet %q goes: %v", g.Permit, id, err)
		}
	}
	return nil
}

// unsettled says whether a wallet has a permit without a result. Permits that were made before the state was restored were looked at when the
// move was prepared. The caller holds mu.
func (d *Domain) unsettled(id custody.WalletID) bool {
	for _, g := range d.state.Unsettled() {
		if w, known := g.Wallet(); known && w == id && !d.cameBack(g, id) {
			return true
		}
	}
	return false
}

// away says whether a permit is for an offline domain to sign: then there is nothing to release yet.
func (d *Domain) away(w entry.Wallet, p *entry.Permit, permit uint64) (message.Signed, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, away := d.state.Away(w.ID)
	return message.Signed{Attempt: p.Attempt, Permit: permit, Exported: away}, away
}

// checkCopies says whether the seeds that are on their way can still be given out.
func (d *Domain) checkCopies(ctx context.Context) error {
	d.mu.Lock()
	list := d.state.Leaving()
	d.mu.Unlock()
	for _, hash := range list {
		b, err := d.cfg.Blobs.Get(ctx, keystore.Ref{Key: authority.SealedCopies, Hash: hash})
		if err == nil && keystore.Hash(b) != hash {
			err = keystore.ErrCorrupt
		}
		if err != nil && d.leaves(hash) {
			return fmt.Errorf("a sealed seed on its way to an offline domain: %w", err)
		}
	}
	return nil
}

// Followers says, in words, of each offline domain what a log that goes on without entries which it has imported means to it. What it has
// imported, only itself knows for certain.
func (r *Remains) Followers() (out []string) {
	for _, x := range r.state.OfflineDomains() {
		wallets, _ := r.state.AwayIn(x.ID)
		names := make([]string, 0, len(wallets))
		for _, w := range wallets {
			names = append(names, string(w.ID))
		}
		has := "no wallets that are known here"
		if len(names) > 0 {
			has = "wallets (" + strings.Join(names, ", ") + ")"
		}
		out = append(out, fmt.Sprintf("OFFLINE DOMAIN %q has %s, and has imported %d entries as far as is known here; 'strongroom cold status' on its machine says how many. What it did under entries that are lost stays done there. "+
			"After the time-lock its operators have to agree to the re-anchoring, with its next bundle; nothing is signed or moved there before, and its result tells what it had done", x.Name, has, x.Knows))
	}
	return out
}

// eraseLeft erases every blob of a key that leaves, those too that a crash left behind before an entry named them: once the log says that they
// are erased, none may open here.
func (d *Domain) eraseLeft(ctx context.Context) error {
	d.mu.Lock()
	leaving := d.state.LeavingKeys()
	d.mu.Unlock()
	if len(leaving) == 0 {
		return nil
	}
	list, err := d.cfg.Blobs.List(ctx)
	if err != nil {
		return fmt.Errorf("list the blobs of a key that leaves: %w", err)
	}
	for _, ref := range list {
		if !slices.Contains(leaving, ref.Key) {
			continue
		}
		if err := d.cfg.Blobs.Delete(ctx, ref); err != nil {
			return fmt.Errorf("erase a blob of a key that leaves: %w", err)
		}
	}
	return nil
}

// leaves says whether a sealed copy is still on its way.
func (d *Domain) leaves(hash [32]byte) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, h := range d.state.Leaving() {
		if h == hash {
			return true
		}
	}
	return false
}
