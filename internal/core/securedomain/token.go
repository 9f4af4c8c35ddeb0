// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"strongroom/internal/core/domainkeys"
	"strongroom/internal/core/hsm"
	"strongroom/internal/core/keystore"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/secret"
)

// Wallets of class token: docs/spec/token-wallets.md. Their keys are born in the token, sign there and never leave it. A key is noted in the root before it
// is born, and until its entry is durable: what a start finds noted and in no entry was cut off, and is destroyed. Nothing else in the token is: a key that
// the log doesn't name may be one whose entry was lost, and may hold money.

// tokenKeys is what a domain knows of the keys that lie in its root.
type tokenKeys struct {
	births sync.Mutex // guards nothing: one key is born at a time, from its note to the end of it

	mu      sync.Mutex // guards the rest
	bearing custody.KeyID
	missing map[custody.KeyID]struct{} // of the log's keys, when the root was last asked
	unnamed int                        // keys in the root that the log does not name
}

// miss notes that a key was not there when it was asked for.
func (t *tokenKeys) miss(id custody.KeyID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.missing == nil {
		t.missing = map[custody.KeyID]struct{}{}
	}
	t.missing[id] = struct{}{}
}

// found notes that it was.
func (t *tokenKeys) found(id custody.KeyID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.missing, id)
}

// bear notes which key is being born; none, if it is over.
func (t *tokenKeys) bear(id custody.KeyID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.bearing = id
}

// counts gives how many of the log's keys are missing, and how many are there that it doesn't name.
func (t *tokenKeys) counts() (missing, unnamed int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.missing), t.unnamed
}

// tokenRoot gives the root as one that has keys of its own.
func (d *Domain) tokenRoot() (hsm.TokenKeys, error) {
	if keys, ok := d.cfg.Root.(hsm.TokenKeys); ok {
		return keys, nil
	}
	return nil, problem.New(problem.Unsupported, "this domain's root of trust has no keys of its own; a wallet of class %q needs one on a token", request.ClassToken)
}

// bearsTokenKey says whether a request that waits makes a key in the token.
func (d *Domain) bearsTokenKey(id custody.RequestID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, ok := d.state.Pending(id)
	if !ok || p.Effects.Operation != request.WalletCreate {
		return false
	}
	r, err := p.Parse()
	return err == nil && inToken(r.Decoded)
}

// inToken says whether a body asks for a key in the token.
func inToken(b request.Body) bool {
	o, ok := b.(*request.WalletCreateBody)
	return ok && o.Class == request.ClassToken
}

// createTokenWallet makes a key in the token and keeps its blob. The caller holds births.
func (d *Domain) createTokenWallet(ctx context.Context, id custody.RequestID, o *request.WalletCreateBody, under epochs) (*creation, error) {
	keys, err := d.tokenRoot()
	if err != nil {
		return nil, err
	}
	if err := d.settleBirth(ctx, keys); err != nil {
		return nil, problem.Wrap(problem.Internal, err, "finish the birth of an earlier key")
	}
	k := &entry.NewKey{ID: newKeyID(), Purpose: entry.PurposeCustody, Kind: entry.KindTokenKey, Epoch: under.current}
	if err := domainkeys.MarkBirth(ctx, d.cfg.Arena, d.cfg.Root, k.ID); err != nil {
		return nil, problem.Wrap(problem.Internal, err, "note the birth of the key")
	}
	d.tokens.bear(k.ID)
	c := &creation{key: k, epochs: under, token: true}
	c.wallet, err = d.bearTokenKey(ctx, keys, id, o, k, under)
	if err == nil {
		c.batch = &entry.AddressBatch{Wallet: o.Wallet, Count: 1}
		c.batch.Root, err = authority.BatchRoot(*c.wallet, *c.batch, d.derive)
	}
	switch {
	case err == nil:
		return c, nil
	case errors.Is(err, hsm.ErrUnsupported):
		err = problem.Wrap(problem.Unsupported, err, "the token makes no keys for ECDSA over secp256k1; 'strongroom hsm probe' shows what it can")
	default:
		err = problem.Wrap(problem.Internal, err, "make the key in the token")
	}
	d.discard(ctx, c, err)
	return nil, err
}

// bearTokenKey makes the key, and the blob that says so. What the blob seals is no secret: that it opens proves that the log's key is this public key.
func (d *Domain) bearTokenKey(ctx context.Context, keys hsm.TokenKeys, id custody.RequestID, o *request.WalletCreateBody, k *entry.NewKey, under epochs) (*entry.Wallet, error) {
	public, err := keys.GenerateTokenKey(ctx, k.ID, hsm.ECDSASecp256k1)
	if err != nil {
		return nil, err
	}
	material, err := secret.New(d.cfg.Arena, keystore.TokenMaterialSize, func(b []byte) error {
		m := keystore.TokenMaterial(public)
		copy(b, m[:])
		return nil
	})
	if err != nil {
		return nil, err
	}
	defer material.Wipe()
	h := keystore.Header{Key: k.ID, Purpose: keystore.Custody, Kind: keystore.Secp256k1, Class: keystore.Token, Attributes: tokenAttributes,
		Mechanisms: []keystore.Mechanism{keystore.ECDSASecp256k1}, CreatedBy: id, Public: public}
	if err := d.keepBlobs(ctx, k, h, under, material); err != nil {
		return nil, err
	}
	return &entry.Wallet{ID: o.Wallet, Chain: o.Chain, Scheme: o.Scheme, Key: k.ID, Public: public, Class: o.Class}, nil
}

// tokenAttributes is what a key in the token may do: sign, nothing else.
const tokenAttributes = keystore.Sign | keystore.Local | keystore.NeverExtractable

// born ends the birth of a key that the log names, durably.
func (d *Domain) born(ctx context.Context, id custody.KeyID) {
	d.tokens.bear("")
	d.tokens.found(id)
	if err := domainkeys.ClearBirth(context.WithoutCancel(ctx), d.cfg.Root); err != nil {
		d.slog.WarnContext(ctx, "the note of a key's birth stays until the next birth or start", slog.String("key", string(id)), slog.Any("error", err))
	}
}

// unborn destroys a key that no entry names, and ends its birth. Where it fails the note stays, and the next birth or start does it again.
func (d *Domain) unborn(ctx context.Context, id custody.KeyID) error {
	ctx = context.WithoutCancel(ctx)
	keys, err := d.tokenRoot()
	if err == nil {
		err = keys.DestroyTokenKey(ctx, id)
	}
	if err == nil {
		d.tokens.bear("")
		err = domainkeys.ClearBirth(ctx, d.cfg.Root)
	}
	return err
}

// settleBirth ends a birth that was cut off: it keeps the key that the log names, once that is durable, and destroys another.
func (d *Domain) settleBirth(ctx context.Context, keys hsm.TokenKeys) error {
	id, noted, err := domainkeys.Birth(ctx, d.cfg.Root)
	if errors.Is(err, hsm.ErrAltered) || errors.Is(err, domainkeys.ErrUnfit) {
		d.slog.ErrorContext(ctx, "the note of a key's birth was altered and is removed; the key, if it is there, stays in the token", slog.Any("error", err))
		return domainkeys.ClearBirth(ctx, d.cfg.Root)
	}
	if err != nil || !noted {
		return err
	}
	d.mu.Lock()
	_, named := d.state.Key(id)
	last := d.state.Next - 1
	d.mu.Unlock()
	if named {
		err = d.waitFor(ctx, last)
	} else {
		err = keys.DestroyTokenKey(ctx, id)
	}
	if err == nil {
		d.tokens.bear("")
		err = domainkeys.ClearBirth(ctx, d.cfg.Root)
	}
	return err
}

// openTokenKeys ends, at a start, the birth that the last end cut off, and looks which keys are there. The working keys are open, or the domain is zeroized.
func (d *Domain) openTokenKeys(ctx context.Context) error {
	if keys, err := d.tokenRoot(); err == nil && d.withKeys() == nil {
		if err := d.settleBirth(ctx, keys); err != nil {
			return fmt.Errorf("finish the birth of a key in the token: %w", err)
		}
	}
	return d.lookForTokenKeys(ctx)
}

// lookForTokenKeys compares the keys in the root with those of the log, for the status. It changes nothing.
func (d *Domain) lookForTokenKeys(ctx context.Context) error {
	d.mu.Lock()
	want := d.state.TokenKeys() // before the root is asked: what is born since is not missed
	d.mu.Unlock()
	var have []custody.KeyID
	if keys, err := d.tokenRoot(); err == nil {
		if have, err = keys.TokenKeyIDs(ctx); err != nil {
			return fmt.Errorf("list the keys in the token: %w", err)
		}
	}
	d.mu.Lock()
	unnamed := slices.DeleteFunc(slices.Clone(have), func(id custody.KeyID) bool { _, ok := d.state.Key(id); return ok })
	d.mu.Unlock()
	t := &d.tokens
	t.mu.Lock()
	defer t.mu.Unlock()
	unnamed = slices.DeleteFunc(unnamed, func(id custody.KeyID) bool { return id == t.bearing })
	t.missing, t.unnamed = map[custody.KeyID]struct{}{}, len(unnamed)
	for _, id := range missingAmong(want, have) {
		t.missing[id] = struct{}{}
	}
	return nil
}

// missingAmong gives the keys of the log that a root does not have.
func missingAmong(want, have []custody.KeyID) []custody.KeyID {
	there := make(map[custody.KeyID]bool, len(have))
	for _, id := range have {
		there[id] = true
	}
	return slices.DeleteFunc(want, func(id custody.KeyID) bool { return there[id] })
}

// signWithToken has the token sign a digest with the key of a wallet, if the working key of the epoch opens the key's blob: a domain that is zeroized, or
// whose working key is gone, signs nothing with a token that is still there.
func (d *Domain) signWithToken(w entry.Wallet, digest [32]byte) ([]byte, error) {
	_, err := openCurrent(d, w, func(k entry.NewKey, at authority.Moment) (struct{}, error) {
		material, h, err := d.openHeader(d.ctx, k, at)
		if err != nil {
			return struct{}{}, err
		}
		defer material.Wipe()
		if err = h.CheckToken(material); err == nil && string(h.Public) != string(w.Public) {
			err = errors.New("it is of another public key than the wallet has")
		}
		if err != nil {
			return struct{}{}, problem.Wrap(problem.Internal, err, "the blob of key %s", k.ID)
		}
		return struct{}{}, nil
	})
	if err != nil {
		return nil, err
	}
	keys, err := d.tokenRoot()
	if err == nil {
		var sig []byte
		if sig, err = keys.SignWithTokenKey(d.ctx, w.Key, hsm.ECDSASecp256k1, w.Public, digest[:]); err == nil {
			d.tokens.found(w.Key)
			return sig, nil
		}
	}
	if problem.KindOf(err) == problem.Unsupported || errors.Is(err, hsm.ErrNotFound) {
		d.tokens.miss(w.Key)
		return nil, problem.New(problem.Locked, "the key %s of wallet %q is not in the token of the root of trust, and is in no backup; if the token that it was born in is still there, "+
			"bring that back with the root's folder (docs/runbooks/token.md)", w.Key, w.ID)
	}
	return nil, problem.Wrap(problem.Internal, err, "the token did not sign; nothing was released")
}

// recordAndRelease gives out what a token signed, once its result is durable. A token's nonces are its own: what is not in the log could not be told
// again, so it must not have been told. Where another call was quicker, what that recorded is told.
func (d *Domain) recordAndRelease(ctx context.Context, out message.Signed, b *entry.Result) (message.Signed, error) {
	d.mu.Lock()
	g, ok := d.state.Signed(b.Request)
	switch {
	case !ok || g.Permit != b.Permit:
		d.mu.Unlock()
		return message.Signed{}, problem.New(problem.Conflict, "something else took the place of the permit of entry %d; nothing was released for it", b.Permit)
	case g.Result != 0:
		result := g.Result
		d.mu.Unlock()
		return d.signedBefore(ctx, b.Request, result, nil)
	}
	rec, err := d.record(d.guess(), entry.KindResult, entry.Confidential, b)
	d.mu.Unlock()
	if err == nil {
		err = d.durable(ctx, rec)
	}
	if err != nil {
		return message.Signed{}, err
	}
	return out, nil
}
