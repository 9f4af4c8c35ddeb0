// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/backup"
	"strongroom/internal/core/domainkeys"
	"strongroom/internal/core/hsm"
	"strongroom/internal/core/keystore"
	format "strongroom/internal/pure/backup"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	pure "strongroom/internal/pure/offline"
	"strongroom/internal/pure/tlog"
	"strongroom/internal/secret"
)

// RestoreConfig is what a restore from a backup needs. All fields are required but CatchUp.
type RestoreConfig struct {
	Arena    *secret.Arena
	Root     hsm.Root        // with the identity, and the working key: the one that survived, or one that custodians have filled
	Store    auditlog.Store  // empty; nobody uses it before Restore has returned nil
	Blobs    keystore.Blobs  // may have some of the blobs already
	Anchor   auditlog.Anchor // with the pin that survived, or none
	Manifest []byte
	Pack     func(ctx context.Context, p format.Pack) ([]byte, error) // gives the file of a pack
	CatchUp  *CatchUp                                                 // completes a backup that is behind the online domain; nil: the backup must be whole
}

// Restored says what was restored.
type Restored struct {
	Manifest *backup.Manifest
	Profile  custody.Profile
	Wallets  int
	Entries  uint64
	Loss     *Loss // that people accepted; nil: the backup was not behind, or nobody asked
}

// restoring is a restore under way.
type restoring struct {
	cfg    RestoreConfig
	m      *backup.Manifest
	d      *Domain // without a log
	blobs  map[keystore.Ref][]byte
	recs   []auditlog.Record
	writer uint64 // the greatest epoch that was seen, also in entries that are dropped
	loss   *Loss
}

// Restore writes the log and the blobs of a backup after it has read all of it and found it whole: every entry in its place, leading to the
// signed checkpoint, every blob there and, unless the domain is zeroized, opening. It pins the checkpoint where less was pinned before, and refuses a backup that is behind the pin,
// before it writes anything. The next start writes under a new writer epoch. With [CatchUp] a backup that is behind what the online domain knows
// is completed from there, after two operators have seen and confirmed what is lost.
func Restore(ctx context.Context, cfg RestoreConfig) (*Restored, error) {
	m, ids, err := backup.Begin(ctx, cfg.Manifest, cfg.Arena, cfg.Root, cfg.Store)
	if err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	defer ids.Wipe()
	r := &restoring{cfg: cfg, m: m, d: &Domain{cfg: Config{Arena: cfg.Arena}, ids: ids, state: pure.New()}, blobs: map[keystore.Ref][]byte{}}
	if err := r.run(ctx); err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	s := r.d.state
	return &Restored{Manifest: m, Profile: s.Profile, Wallets: len(s.Wallets()), Entries: s.Next, Loss: r.loss}, nil
}

func (r *restoring) run(ctx context.Context) error {
	if err := r.replay(ctx); err != nil {
		return err
	}
	pin := auditlog.Pin{Checkpoint: r.m.Checkpoint, Frontier: r.m.Frontier}
	if r.cfg.CatchUp != nil {
		if err := r.catchUp(ctx); err != nil {
			return err
		}
		if r.loss != nil {
			var err error
			if pin, err = r.pin(); err != nil {
				return err
			}
		}
	}
	pinned, err := r.pinnedBefore(ctx)
	if err != nil {
		return err
	}
	blobs, err := r.need(ctx)
	if err != nil {
		return err
	}
	if err := r.opensAll(ctx, blobs); err != nil {
		return err
	}
	if err := errors.Join(putAll(ctx, r.cfg.Blobs, blobs), putAll(ctx, r.cfg.Blobs, sealedCopies(r.m))); err != nil {
		return err
	}
	writer := max(r.d.state.Writer, r.writer) + 1
	if err := r.cfg.Store.TakeWriter(ctx, 0, writer); err != nil {
		return err
	}
	if err := r.cfg.Store.Append(ctx, writer, 0, r.recs); err != nil {
		return err
	}
	if pinned < r.d.state.Next {
		return r.cfg.Anchor.Pin(ctx, pin)
	}
	return nil
}

// Finished says whether a log that a restore has written is whole: it is the one that is pinned. A restore that was cut off behind that is not begun
// again, as the entries that say what is lost would be others.
func Finished(ctx context.Context, store auditlog.Store, anchor auditlog.Anchor) (bool, error) {
	p, err := anchor.Read(ctx)
	if errors.Is(err, auditlog.ErrNoPin) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	want, err := tlog.UnmarshalFrontier(p.Frontier)
	if err != nil {
		return false, fmt.Errorf("pin: %w", err)
	}
	size, _, err := store.Head(ctx)
	if err != nil || size == 0 || size != want.Size() {
		return false, err
	}
	var tree tlog.Frontier
	for tree.Size() < size {
		recs, err := store.Read(ctx, tree.Size(), chunk)
		if err != nil || len(recs) == 0 {
			return false, errors.Join(err, fmt.Errorf("entry %d is not in the store", tree.Size()))
		}
		for _, rec := range recs {
			tree.Append(entry.Hash(rec.Leaf))
		}
	}
	return tree == want, nil
}

// key is what the domain's checkpoints are signed with.
func (r *restoring) key() (tlog.Key, error) {
	return tlog.NewKey(entry.Origin(r.m.Domain, 1), r.m.LogKey)
}

// pin makes the checkpoint of a log that no backup has.
func (r *restoring) pin() (auditlog.Pin, error) {
	key, err := r.key()
	if err != nil {
		return auditlog.Pin{}, err
	}
	s := r.d.state
	c, err := tlog.SignCheckpoint(tlog.Checkpoint{Origin: key.Origin(), Size: s.Next, Root: s.Frontier.Root()}, key,
		func(m []byte) ([]byte, error) { return r.d.ids.SignLog(m), nil })
	return auditlog.Pin{Checkpoint: c, Frontier: s.Frontier.Marshal()}, err
}

// pinnedBefore reads what survived in the anchor, and gives its size. What is behind it can't be restored: entries are missing that were
// acknowledged.
func (r *restoring) pinnedBefore(ctx context.Context) (uint64, error) {
	p, err := r.cfg.Anchor.Read(ctx)
	if errors.Is(err, auditlog.ErrNoPin) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	key, err := r.key()
	if err != nil {
		return 0, err
	}
	c, err := tlog.OpenCheckpoint(p.Checkpoint, key)
	if err != nil {
		return 0, fmt.Errorf("the anchor has a pin that is not of this domain: %w", err)
	}
	have := uint64(len(r.recs))
	if c.Size > have {
		return 0, fmt.Errorf("the anchor knows %d entries, and %d are there: take a newer backup, or with --bundle one that was exported after every result was imported", c.Size, have)
	}
	var tree tlog.Frontier
	for _, rec := range r.recs[:c.Size] {
		tree.Append(entry.Hash(rec.Leaf))
	}
	if tree.Root() != c.Root {
		return 0, fmt.Errorf("the anchor knows another log of %d entries than there is: it is of another past of this domain", c.Size)
	}
	return c.Size, nil
}

// replay folds a backup from its first entry to its last.
func (r *restoring) replay(ctx context.Context) error {
	d, m := r.d, r.m
	for _, p := range m.Packs {
		file, err := r.cfg.Pack(ctx, p)
		if err != nil {
			return err
		}
		c, err := backup.Open(d.ids, m.Domain, p, file)
		if err != nil {
			return err
		}
		for _, x := range c.Records {
			rec := auditlog.Record(x)
			if err := d.refold(rec); err != nil {
				return fmt.Errorf("%s: entry %d: %w", p.Name(), len(r.recs), err)
			}
			r.recs = append(r.recs, rec)
		}
		for _, b := range c.Blobs {
			r.blobs[keystore.Ref{Key: b.Key, Hash: keystore.Hash(b.Blob)}] = b.Blob
		}
	}
	want, err := m.Tree()
	switch s := d.state; {
	case err != nil:
		return err
	case s.Frontier != want || s.Last != m.Last || s.Domain != m.Domain || s.Zeroized != m.Zeroized || string(s.Pattern) != string(m.Pattern):
		return errors.New("the entries of the packs do not lead to what the manifest says")
	}
	return nil
}

// need gives the blobs that are restored: all that the log names but those that it says are lost, and those that it does not know, which may be the
// only copies of seeds.
func (r *restoring) need(ctx context.Context) (map[keystore.Ref][]byte, error) {
	out, gone := map[keystore.Ref][]byte{}, map[keystore.Ref]bool{}
	for _, b := range r.d.state.Doomed() {
		gone[keystore.Ref{Key: b.Key, Hash: b.Hash}] = true
	}
	must, may := refsOf(r.d.state)
	for _, ref := range must {
		if lacks, err := r.lacks(ctx, ref); err != nil || lacks {
			return nil, errors.Join(err, fmt.Errorf("the blob %x of key %s is in none of the packs", ref.Hash, ref.Key))
		}
		out[ref] = r.blobs[ref]
	}
	for _, ref := range may {
		if b, ok := r.blobs[ref]; ok {
			out[ref] = b
		}
	}
	for ref, b := range r.blobs {
		if r.loss != nil && !gone[ref] { // of entries that were dropped
			out[ref] = b
		}
	}
	return out, nil
}

// taken are the blobs of a backup, before they are written.
type taken map[keystore.Ref][]byte

// Get implements [keystore.Blobs].
func (t taken) Get(_ context.Context, ref keystore.Ref) ([]byte, error) {
	if b, ok := t[ref]; ok {
		return b, nil
	}
	return nil, keystore.ErrNotFound
}

// List implements [keystore.Blobs].
func (t taken) List(context.Context) ([]keystore.Ref, error) {
	return slices.Collect(maps.Keys(t)), nil
}

// Put and Delete implement [keystore.Blobs]: nothing is changed.
func (t taken) Put(context.Context, keystore.Ref, []byte) error { return keystore.ErrExists }
func (t taken) Delete(context.Context, keystore.Ref) error      { return nil }

// refold applies an entry of a backup.
func (d *Domain) refold(rec auditlog.Record) error {
	e, err := openOwn(d.ids, rec)
	if err != nil {
		return err
	}
	return d.state.Apply(e.leaf, entry.Hash(rec.Leaf), e.body)
}

// loadWorking gives the working key that is in the root; nil: the domain is zeroized, and there is none.
func (r *restoring) loadWorking(ctx context.Context) (*domainkeys.DWK, error) {
	k, err := domainkeys.LoadDWK(ctx, r.cfg.Root, r.d.ids.IdentityKey(), epoch)
	if errors.Is(err, hsm.ErrNotFound) {
		k, err = domainkeys.LoadRestored(ctx, r.cfg.Root, r.d.ids.IdentityKey(), epoch)
	}
	if errors.Is(err, hsm.ErrNotFound) && r.d.state.Zeroized {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the working key: %w", err)
	}
	return k, nil
}

// opensAll says whether the root's working key opens every seed that is there, and the import key. That of a zeroized domain may be absent.
func (r *restoring) opensAll(ctx context.Context, blobs map[keystore.Ref][]byte) error {
	k, err := r.loadWorking(ctx)
	if k == nil {
		return err
	}
	defer k.Wipe()
	d := r.d
	d.working, d.cfg.Blobs = k, taken(blobs)
	for _, h := range d.state.Wallets() {
		seed, err := d.seedOf(ctx, h.Wallet)
		if errors.Is(err, keystore.ErrNotFound) && d.state.IsMissing(h.Wallet) {
			continue
		}
		if err != nil {
			return fmt.Errorf("seed of wallet %s: %w", h.Wallet, err)
		}
		seed.Wipe()
	}
	key, err := openImportKey(ctx, d.cfg, k, d.state.Key)
	if err != nil {
		return err
	}
	key.Wipe()
	return nil
}
