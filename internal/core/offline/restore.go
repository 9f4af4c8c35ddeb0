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

// RestoreConfig is what a restore from a backup needs. All fields are required.
type RestoreConfig struct {
	Arena    *secret.Arena
	Root     hsm.Root        // with the identity, and the working key: the one that survived, or one that custodians have filled
	Store    auditlog.Store  // empty; nobody uses it before Restore has returned nil
	Blobs    keystore.Blobs  // may have some of the blobs already
	Anchor   auditlog.Anchor // with the pin that survived, or none
	Manifest []byte
	Pack     func(ctx context.Context, p format.Pack) ([]byte, error) // gives the file of a pack
}

// Restored says what was restored.
type Restored struct {
	Manifest *backup.Manifest
	Profile  custody.Profile
	Wallets  int
}

// Restore writes the log and the blobs of a backup after it has read all of it and found it whole: every entry in its place, leading to the
// signed checkpoint, every blob there and, unless the domain is zeroized, opening. It pins the checkpoint where less was pinned before, and refuses a backup that is behind the pin,
// before it writes anything. The next start writes under a new writer epoch.
func Restore(ctx context.Context, cfg RestoreConfig) (*Restored, error) {
	m, ids, err := backup.Begin(ctx, cfg.Manifest, cfg.Arena, cfg.Root, cfg.Store)
	if err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	defer ids.Wipe()
	out, err := restore(ctx, cfg, ids, m)
	if err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	return out, nil
}

func restore(ctx context.Context, cfg RestoreConfig, ids *domainkeys.Identity, m *backup.Manifest) (*Restored, error) {
	pinned, err := pinnedBefore(ctx, cfg.Anchor, m)
	if err != nil {
		return nil, err
	}
	d, blobs, recs, err := replay(ctx, cfg, ids, m, pinned)
	if err != nil {
		return nil, err
	}
	d.cfg.Blobs = taken(blobs)
	if err := d.opensAll(ctx, cfg, m); err != nil {
		return nil, err
	}
	if err := errors.Join(putAll(ctx, cfg.Blobs, blobs), putAll(ctx, cfg.Blobs, sealedCopies(m))); err != nil {
		return nil, err
	}
	writer := d.state.Writer + 1
	if err := cfg.Store.TakeWriter(ctx, 0, writer); err != nil {
		return nil, err
	}
	if err := cfg.Store.Append(ctx, writer, 0, recs); err != nil {
		return nil, err
	}
	if pinned.Size < m.End() {
		if err := cfg.Anchor.Pin(ctx, auditlog.Pin{Checkpoint: m.Checkpoint, Frontier: m.Frontier}); err != nil {
			return nil, err
		}
	}
	return &Restored{Manifest: m, Profile: d.state.Profile, Wallets: len(d.state.Wallets())}, nil
}

// pinnedBefore reads what survived in the anchor. A backup that is behind it can't be restored: entries are missing that were acknowledged.
func pinnedBefore(ctx context.Context, a auditlog.Anchor, m *backup.Manifest) (tlog.Checkpoint, error) {
	p, err := a.Read(ctx)
	if errors.Is(err, auditlog.ErrNoPin) {
		return tlog.Checkpoint{}, nil
	}
	if err != nil {
		return tlog.Checkpoint{}, err
	}
	key, err := tlog.NewKey(entry.Origin(m.Domain, 1), m.LogKey)
	if err != nil {
		return tlog.Checkpoint{}, err
	}
	c, err := tlog.OpenCheckpoint(p.Checkpoint, key)
	if err != nil {
		return c, fmt.Errorf("the anchor has a pin that is not of this domain: %w", err)
	}
	if c.Size > m.End() {
		return c, fmt.Errorf("the anchor knows %d entries, the backup has %d: take a newer backup", c.Size, m.End())
	}
	return c, nil
}

// replay folds a backup from its first entry to its last.
func replay(ctx context.Context, cfg RestoreConfig, ids *domainkeys.Identity, m *backup.Manifest, pinned tlog.Checkpoint) (*Domain, map[keystore.Ref][]byte, []auditlog.Record, error) {
	d := &Domain{cfg: Config{Arena: cfg.Arena}, ids: ids, state: pure.New()}
	blobs := map[keystore.Ref][]byte{}
	var recs []auditlog.Record
	for _, p := range m.Packs {
		file, err := cfg.Pack(ctx, p)
		if err != nil {
			return nil, nil, nil, err
		}
		c, err := backup.Open(ids, m.Domain, p, file)
		if err != nil {
			return nil, nil, nil, err
		}
		for _, r := range c.Records {
			rec := auditlog.Record(r)
			if err := d.refold(rec); err != nil {
				return nil, nil, nil, fmt.Errorf("%s: entry %d: %w", p.Name(), len(recs), err)
			}
			if recs = append(recs, rec); uint64(len(recs)) == pinned.Size && d.state.Frontier.Root() != pinned.Root {
				return nil, nil, nil, fmt.Errorf("the anchor knows another log of %d entries than the backup has: it is of another past of this domain", pinned.Size)
			}
		}
		for _, b := range c.Blobs {
			blobs[keystore.Ref{Key: b.Key, Hash: keystore.Hash(b.Blob)}] = b.Blob
		}
	}
	want, err := m.Tree()
	switch {
	case err != nil:
		return nil, nil, nil, err
	case d.state.Frontier != want || d.state.Last != m.Last || d.state.Domain != m.Domain || d.state.Zeroized != m.Zeroized || string(d.state.Pattern) != string(m.Pattern):
		return nil, nil, nil, errors.New("the entries of the packs do not lead to what the manifest says")
	}
	need := map[keystore.Ref][]byte{}
	for _, ref := range refsOf(d) {
		b, ok := blobs[ref]
		if !ok {
			return nil, nil, nil, fmt.Errorf("the blob %x of key %s is in none of the packs", ref.Hash, ref.Key)
		}
		need[ref] = b
	}
	return d, need, recs, nil
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
	l, _, raw, err := openRecord(d.ids, rec, ownBody)
	if err != nil {
		return err
	}
	body, err := pure.DecodeBody(l.Kind, l.KindVersion, raw)
	if err != nil {
		return err
	}
	return d.state.Apply(l, entry.Hash(rec.Leaf), body)
}

// opensAll says whether the root's working key opens every seed and the import key. That of a zeroized domain may be absent.
func (d *Domain) opensAll(ctx context.Context, cfg RestoreConfig, m *backup.Manifest) error {
	k, err := domainkeys.LoadDWK(ctx, cfg.Root, d.ids.IdentityKey(), epoch)
	if errors.Is(err, hsm.ErrNotFound) {
		k, err = domainkeys.LoadRestored(ctx, cfg.Root, d.ids.IdentityKey(), epoch)
	}
	if errors.Is(err, hsm.ErrNotFound) && m.Zeroized {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the working key: %w", err)
	}
	defer k.Wipe()
	d.working = k
	for _, h := range d.state.Wallets() {
		seed, err := d.seedOf(ctx, h.Wallet)
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
