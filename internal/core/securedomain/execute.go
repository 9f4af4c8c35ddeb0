// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"

	"strongroom/internal/core/domainkeys"
	"strongroom/internal/core/keyring"
	"strongroom/internal/core/keystore"
	"strongroom/internal/core/signer"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/secret"
)

// SeedSize is the length of a new seed in bytes: the 256 bits that BIP-32 advises.
const SeedSize = 32

// Execute does an approved request other than a transfer, if that did not happen with the last approval.
func (d *Domain) Execute(ctx context.Context, id custody.RequestID) (message.State, error) {
	if d.makesEpoch(id) {
		d.life.loads.Lock()
		defer d.life.loads.Unlock()
	}
	if d.bearsTokenKey(id) {
		d.tokens.births.Lock()
		defer d.tokens.births.Unlock()
	}
	for range maxPrepares {
		made, err := d.prepare(ctx, id)
		if errors.Is(err, errOvertaken) {
			continue
		}
		if err != nil {
			return "", err
		}
		rec, step, err := d.effect(id, made)
		if err != nil {
			d.discard(ctx, made, err)
		}
		if errors.Is(err, errOvertaken) {
			continue
		}
		if err == nil {
			err = d.durable(ctx, rec)
		}
		if err == nil && made.token {
			d.born(ctx, made.key.ID)
		}
		if err == nil {
			err = d.finished(ctx, step)
		}
		if err != nil {
			return "", err
		}
		if err := d.markDocument(ctx); err != nil {
			return "", err
		}
		return message.StateExecuted, nil
	}
	return "", problem.New(problem.Busy, "others were quicker with the same wallet; try again")
}

// makesEpoch says whether a request that waits makes a working key, or takes one back. One at a time does.
func (d *Domain) makesEpoch(id custody.RequestID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, ok := d.state.Pending(id)
	return ok && (p.Effects.Operation == request.EpochLoad || p.Effects.Operation == request.Restore)
}

// maxPrepares is how often a batch of addresses is derived for one call, when others take its place meanwhile.
const maxPrepares = 3

// errOvertaken says that what was prepared does not fit any more: another batch of addresses took its place, an epoch began, or the wallet got a
// permit.
var errOvertaken = errors.New("something else came first")

// creation is what takes long or must be durable before the effect is decided for good: for a wallet its key, whose blob no entry
// names yet, and for addresses their root.
type creation struct {
	wallet *entry.Wallet
	key    *entry.NewKey
	batch  *entry.AddressBatch // a wallet's first address, or the addresses asked for
	epochs epochs              // that key has blobs of

	load    *loaded         // the working key of a load
	working *domainkeys.DWK // that a restore has put back, or that an activation needs and that was not loaded
	move    *moved          // of a wallet's key
	token   bool            // the key lies in the root of trust
}

// epochs are those that a new key gets blobs of.
type epochs struct{ current, next uint64 } // next is 0 unless one is committed

// epochsNow gives them. The caller holds mu.
func (d *Domain) epochsNow() epochs {
	e := epochs{current: d.state.Epoch}
	if n := d.state.Life().Next; n != nil && n.Committed {
		e.next = n.Epoch
	}
	return e
}

// discard erases the blob of a key that no entry names. After a failure of the log that is not known: the blob then stays, and so it
// does after a crash; it is sealed and nothing leads to it.
func (d *Domain) discard(ctx context.Context, made *creation, cause error) {
	if made.working != nil {
		made.working.Wipe()
	}
	if problem.KindOf(cause) == problem.Stopped {
		return
	}
	if made.load != nil {
		d.discardLoad(ctx, made.load)
	}
	if m := made.move; m != nil && len(m.copy) == 32 {
		if err := d.cfg.Blobs.Delete(ctx, keystore.Ref{Key: authority.SealedCopies, Hash: [32]byte(m.copy)}); err != nil {
			d.slog.WarnContext(ctx, "sealed seed of a move that did not happen stays", slog.String("wallet", string(m.wallet)), slog.Any("error", err))
		}
	}
	if made.key == nil {
		return
	}
	err := d.cfg.Blobs.Delete(ctx, keystore.Ref{Key: made.key.ID, Hash: made.key.Blob})
	if len(made.key.Next) == 32 {
		err = errors.Join(err, d.cfg.Blobs.Delete(ctx, keystore.Ref{Key: made.key.ID, Hash: [32]byte(made.key.Next)}))
	}
	if made.token {
		err = errors.Join(err, d.unborn(ctx, made.key.ID))
	}
	if err != nil {
		d.slog.WarnContext(ctx, "blob of an unused key stays", slog.String("key", string(made.key.ID)), slog.Any("error", err))
	}
}

// prepare makes what an effect needs, once the rules and approvals allow it.
func (d *Domain) prepare(ctx context.Context, id custody.RequestID) (*creation, error) {
	d.mu.Lock()
	p, err := d.waiting(id)
	if err != nil {
		d.mu.Unlock()
		return nil, err
	}
	at, err := d.nowToDo(p)
	if err != nil {
		d.mu.Unlock()
		return nil, err
	}
	e, body, err := d.plan(p, at)
	if err != nil {
		err = d.refused(p, err)
		d.mu.Unlock()
		return nil, err
	}
	switch o := body.(type) {
	case *request.WalletCreateBody:
		seed, have := d.state.Key(o.Seed)
		under := d.epochsNow()
		d.mu.Unlock()
		if o.Class == request.ClassToken {
			return d.createTokenWallet(ctx, id, o, under)
		}
		return d.createWallet(ctx, id, o, seed, have, under, at)
	case *request.AddressCreateBody:
		w, _, _ := d.state.Wallet(o.Wallet)
		d.mu.Unlock()
		return d.createAddresses(w, e.Addresses)
	case *request.EpochLoadBody:
		d.mu.Unlock()
		m, err := d.makeEpoch(ctx, o)
		return &creation{load: m}, err
	case *request.RestoreBody:
		d.mu.Unlock()
		k, err := d.restored(ctx, o)
		return &creation{working: k}, err
	case *request.WalletMoveBody:
		d.mu.Unlock()
		return d.makeMove(ctx, id, o, e)
	case *request.EpochActivateBody:
		d.mu.Unlock()
		k, err := d.activates(ctx, o)
		return &creation{working: k}, err
	case *request.EpochFinalizeBody:
		keep := append(inUse(d.state), recoveryCopies(d.state)...)
		d.mu.Unlock()
		return &creation{}, d.allThere(ctx, keep)
	default:
		d.mu.Unlock()
		return &creation{}, nil
	}
}

// plan is [authority.State.PlanEffect] for a request that is not known to lack approvals. Whatever else it lacked may have come with time alone.
// The caller holds mu.
func (d *Domain) plan(p *authority.Pending, at authority.Moment) (*entry.Effect, request.Body, error) {
	if r, ok := d.known(p, at); ok && problem.KindOf(r.err) == problem.QuorumNotMet {
		return nil, nil, r.err
	}
	e, body, err := d.state.PlanEffect(p, at, d.derive)
	if err != nil {
		d.remember(p, at, err)
	}
	return e, body, err
}

// createAddresses derives a batch of addresses, outside the sequencer and past the cache, which they would fill.
func (d *Domain) createAddresses(w entry.Wallet, b *entry.AddressBatch) (*creation, error) {
	d.batches.Lock()
	defer d.batches.Unlock()
	var err error
	if b.Root, err = authority.BatchRoot(w, *b, authority.Derive); err != nil {
		return nil, problem.Wrap(problem.Internal, err, "derive the addresses")
	}
	return &creation{batch: b}, nil
}

// refused records that the rules refuse an execution. A denial ends the request; missing approvals, and a delay, do not even leave a trace.
// The caller holds mu.
func (d *Domain) refused(p *authority.Pending, cause error) error {
	if k := problem.KindOf(cause); k == problem.QuorumNotMet || k == problem.NotYet {
		return cause
	}
	return d.refuse(p.ID, "execute", nil, cause)
}

// effect decides again, now for good, and records. It gives errOvertaken if what was prepared does not fit any more.
func (d *Domain) effect(id custody.RequestID, made *creation) (recorded, *lifeStep, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, err := d.waiting(id)
	if err != nil {
		return recorded{}, nil, err
	}
	return d.recordEffect(p, made)
}

// recordEffect is effect for a request that waits; the step is what a change of the life cycle leaves to do. The caller holds mu.
func (d *Domain) recordEffect(p *authority.Pending, made *creation) (recorded, *lifeStep, error) {
	at, err := d.nowToDo(p)
	if err != nil {
		return recorded{}, nil, err
	}
	e, _, err := d.state.PlanEffect(p, at, d.derive)
	if err != nil {
		return recorded{}, nil, d.refused(p, err)
	}
	if e.Addresses != nil && e.Addresses.From != made.batch.From || made.key != nil && made.epochs != d.epochsNow() {
		return recorded{}, nil, errOvertaken
	}
	if e.Move != nil {
		if err := d.fitsMove(e, made); err != nil {
			return recorded{}, nil, err
		}
	}
	e.Wallet, e.Key, e.Addresses = made.wallet, made.key, made.batch
	if m := made.load; m != nil {
		e.Life.Pattern, e.Life.Sealed, e.Life.Identity = m.effect.Pattern, m.effect.Sealed, m.effect.Identity
	}
	rec, err := d.record(at, entry.KindEffect, entry.Confidential, e)
	if err != nil {
		return rec, nil, err
	}
	if e.Document != nil {
		d.forget("the rules changed")
		d.dropSessions()
		d.newDocument.Store(true)
	}
	if e.Warm != nil {
		d.warmChanged(e.Warm, at)
	}
	if e.App != nil { // who may use which key has changed
		d.apps.opened.Forget()
		d.apps.pairs.rouse()
	}
	if e.Oversight != nil {
		d.overseen(e.Oversight)
	}
	if e.Move != nil {
		d.movedNow(e.Move)
	}
	if w := e.Wallet; w != nil && d.state.Temperature(w.ID) == request.Warm {
		d.keys.Confine(w.ID)
	}
	if e.Life == nil {
		return rec, nil, nil
	}
	if made.load != nil {
		d.working.put(made.load.key)
	}
	if made.working != nil {
		d.working.put(made.working)
	}
	d.newDocument.Store(true) // who decides, and under which key, is as much as the rules
	return rec, d.lifeChanged(rec), nil
}

// createWallet makes a seed if none is named, keeps its blob, and derives the account.
func (d *Domain) createWallet(ctx context.Context, id custody.RequestID, o *request.WalletCreateBody, k entry.NewKey, have bool, under epochs, at authority.Moment) (*creation, error) {
	c := &creation{epochs: under}
	var seed secret.Bytes
	var err error
	if have {
		var opened keyring.Seed
		opened, err = d.unseal(ctx, k, at)
		seed = opened.Key
	} else if o.Seed == "" {
		seed, k, err = d.newSeed(ctx, id, under)
		c.key = &k
	} else {
		return nil, problem.New(problem.NotFound, "seed %s does not exist", o.Seed)
	}
	if err != nil {
		return nil, problem.Wrap(problem.Internal, err, "make the seed")
	}
	defer seed.Wipe()
	w := entry.Wallet{ID: o.Wallet, Chain: o.Chain, Scheme: o.Scheme, Key: k.ID, Account: o.Account}
	if err := signer.FillAccount(d.hd, &w, seed); err != nil {
		return nil, problem.Wrap(problem.Internal, err, "derive the account")
	}
	first := entry.AddressBatch{Wallet: w.ID, Count: 1}
	if first.Root, err = authority.BatchRoot(w, first, d.derive); err != nil {
		return nil, problem.Wrap(problem.Internal, err, "derive the first address")
	}
	c.wallet, c.batch = &w, &first
	return c, nil
}

// newKeyID draws the id of a new key.
func newKeyID() custody.KeyID {
	var name [16]byte
	rand.Read(name[:]) // never fails: crypto/rand ends the process when the system has no randomness
	return custody.KeyID(hex.EncodeToString(name[:]))
}

// newSeed draws a seed and keeps its blob; where a next epoch is committed, the one under that too.
func (d *Domain) newSeed(ctx context.Context, id custody.RequestID, under epochs) (secret.Bytes, entry.NewKey, error) {
	k := entry.NewKey{ID: newKeyID(), Purpose: string(keystore.Custody), Kind: string(keystore.HDSeed), Epoch: under.current}
	seed, err := secret.New(d.cfg.Arena, SeedSize, func(b []byte) error { return d.cfg.Fill(ctx, b) })
	if err != nil {
		return seed, k, err
	}
	h := keystore.Header{Key: k.ID, Purpose: keystore.Custody, Kind: keystore.HDSeed, Attributes: d.seeds, Mechanisms: seedMechanisms(), CreatedBy: id}
	if err = d.keepBlobs(ctx, &k, h, under, seed); err != nil {
		seed.Wipe()
	}
	return seed, k, err
}

// keepBlobs keeps the blob of a new key; where a next epoch is committed, the one under that too.
func (d *Domain) keepBlobs(ctx context.Context, k *entry.NewKey, h keystore.Header, under epochs, material secret.Bytes) (err error) {
	if k.Blob, err = d.keepBlob(ctx, h, under.current, material); err != nil || under.next == 0 {
		return err
	}
	next, err := d.keepBlob(ctx, h, under.next, material)
	k.Next = next[:]
	return err
}

// keepBlob makes and keeps the blob of a key under the working key of an epoch; the header says what it is, and not yet where. Its class is core
// where it names none.
func (d *Domain) keepBlob(ctx context.Context, h keystore.Header, epoch uint64, material secret.Bytes) (hash [32]byte, err error) {
	under, err := d.working.get(epoch)
	if err != nil {
		return hash, err
	}
	h.V, h.Authority, h.Domain, h.Epoch, h.Pattern, h.Class = 1, d.Authority(), d.ID(), epoch, under.Pattern, cmp.Or(h.Class, keystore.Core)
	blob, hash, err := keystore.Seal(under.Key(), h, material)
	if err != nil {
		return hash, err
	}
	return hash, d.cfg.Blobs.Put(ctx, keystore.Ref{Key: h.Key, Hash: hash}, blob)
}
