// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/backup"
	"strongroom/internal/core/domainkeys"
	"strongroom/internal/core/hsm"
	"strongroom/internal/core/keystore"
	"strongroom/internal/pure/authority"
	format "strongroom/internal/pure/backup"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/tlog"
	"strongroom/internal/secret"
)

// RestoreConfig is what a restore from a backup needs. All fields but Behind are required.
type RestoreConfig struct {
	Arena    *secret.Arena
	Root     hsm.Root        // with the identity and, unless the domain is zeroized, its current working key
	Store    auditlog.Store  // empty; nobody uses it before Restore has returned nil
	Blobs    keystore.Blobs  // may have some of the blobs already
	Anchor   auditlog.Anchor // local: with the pin that survived, or none
	Manifest []byte
	Pack     func(ctx context.Context, p format.Pack) ([]byte, error) // gives the file of a pack
	Behind   bool                                                     // the backup may be behind the pin, which then stays: the domain must be re-anchored
}

// Restored says what was restored.
type Restored struct {
	Manifest *backup.Manifest
	Profile  custody.Profile
	Keys     int
	Tokens   int // of these: in a token, and in no backup
	Missing  int // of these: not in this root
}

// Restore writes the log and the blobs of a backup, after it has read all of it and found it whole: every entry in its place, leading to the
// signed checkpoint, and every key's blob there and opening under its working key. It pins the checkpoint where less was pinned before, and
// refuses a backup that is behind the pin, before it writes anything, unless it is told that the domain will be re-anchored. The next start writes under a new writer epoch.
//
// The order is blobs, entries, pin. A restore that was cut off is begun again with an empty store.
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
	var keys workingKeys
	defer keys.keep(nil)
	r := newReplica(cfg.Arena, ids, m, loaderOf(ctx, cfg.Root, ids, &keys))
	pinned, err := readPin(ctx, cfg.Anchor, m, cfg.Behind)
	if err != nil {
		return nil, err
	}
	r.at = pinned.passes
	for _, p := range m.Packs {
		file, err := cfg.Pack(ctx, p)
		if err == nil {
			err = r.take(p, file)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := r.end(!m.Zeroized); err != nil {
		return nil, err
	}
	if err := write(ctx, cfg, ids, r); err != nil {
		return nil, err
	}
	if !pinned.there || pinned.size < m.End() && !pinned.ahead {
		if err := cfg.Anchor.Pin(ctx, auditlog.Pin{Checkpoint: m.Checkpoint, Frontier: m.Frontier, Since: r.state.Anchoring().Since}); err != nil {
			return nil, err
		}
	}
	out := &Restored{Manifest: m, Profile: r.state.Profile, Keys: r.keysHere()}
	out.Tokens, out.Missing, err = tokenKeysAt(ctx, cfg.Root, r.state)
	return out, err
}

// tokenKeysAt counts the keys of a state that lie in a token, and those that a root does not have.
func tokenKeysAt(ctx context.Context, root hsm.Root, s *authority.State) (all, missing int, err error) {
	want := s.TokenKeys()
	if all = len(want); all == 0 {
		return 0, 0, nil
	}
	var have []custody.KeyID
	if keys, ok := root.(hsm.TokenKeys); ok {
		if have, err = keys.TokenKeyIDs(ctx); err != nil {
			return all, 0, fmt.Errorf("list the keys in the token: %w", err)
		}
	}
	return all, len(missingAmong(want, have)), nil
}

// loaderOf loads working keys from a root, each once, also those that a restore by custodians has put back.
func loaderOf(ctx context.Context, root hsm.Root, ids *domainkeys.Identity, keys *workingKeys) func(uint64) (*domainkeys.DWK, error) {
	missing := map[uint64]error{}
	return func(epoch uint64) (*domainkeys.DWK, error) {
		if k, err := keys.get(epoch); err == nil {
			return k, nil
		}
		if err := missing[epoch]; err != nil {
			return nil, err
		}
		k, err := domainkeys.LoadDWK(ctx, root, ids.IdentityKey(), epoch)
		if errors.Is(err, hsm.ErrNotFound) {
			k, err = domainkeys.LoadRestored(ctx, root, ids.IdentityKey(), epoch)
		}
		if err != nil {
			missing[epoch] = err
			return nil, err
		}
		keys.put(k)
		return k, nil
	}
}

// formerPin is what an anchor held before a restore.
type formerPin struct {
	there bool
	ahead bool // of the backup
	size  uint64
	root  [32]byte
}

// readPin reads what survived in the anchor. A backup that is behind it can't be restored: entries are missing that were acknowledged.
func readPin(ctx context.Context, a auditlog.Anchor, m *backup.Manifest, behind bool) (formerPin, error) {
	p, err := a.Read(ctx)
	if errors.Is(err, auditlog.ErrNoPin) {
		return formerPin{}, nil
	}
	if err != nil {
		return formerPin{}, err
	}
	c, incarnation, err := openOwn(p.Checkpoint, m.Domain, m.LogKey)
	if err != nil {
		return formerPin{}, fmt.Errorf("the anchor has a pin that is not of this domain: %w", err)
	}
	out := formerPin{there: true, size: c.Size, root: c.Root}
	if out.ahead = c.Size > m.End() || incarnation > m.Incarnation; out.ahead && !behind {
		return out, fmt.Errorf("the anchor knows %d entries (incarnation %d of the log), the backup has %d (incarnation %d): entries that were acknowledged are missing; take a newer backup, or, if there is none, "+
			"restore this one with --behind and re-anchor the domain", c.Size, incarnation, m.End(), m.Incarnation)
	}
	return out, nil
}

// passes compares the tree with the pin where it has its size.
func (p formerPin) passes(tree *tlog.Frontier) error {
	if p.there && !p.ahead && p.size > 0 && tree.Size() == p.size && tree.Root() != p.root {
		return fmt.Errorf("the anchor knows another log of %d entries than the backup has: it is of another past of this domain", p.size)
	}
	return nil
}

// write writes what the replica has found whole. A pack that was read again and changed since is refused by its hash.
func write(ctx context.Context, cfg RestoreConfig, ids *domainkeys.Identity, r *replica) error {
	need := map[keystore.Ref]bool{}
	for _, ref := range inUse(r.state) {
		need[ref] = true
	}
	writer := r.state.Writer + 1
	if err := cfg.Store.TakeWriter(ctx, 0, writer); err != nil {
		return err
	}
	for _, p := range r.manifest.Packs {
		if err := ctx.Err(); err != nil {
			return err
		}
		file, err := cfg.Pack(ctx, p)
		if err != nil {
			return err
		}
		c, err := backup.Open(ids, r.manifest.Domain, p, file)
		if err != nil {
			return err
		}
		if err := putBlobs(ctx, cfg.Blobs, need, c.Blobs); err != nil {
			return err
		}
		recs := make([]auditlog.Record, len(c.Records))
		for i, rec := range c.Records {
			recs[i] = auditlog.Record(rec)
		}
		if err := cfg.Store.Append(ctx, writer, p.First, recs); err != nil {
			return err
		}
	}
	m := r.manifest
	if _, err := r.working(m.Epoch); err != nil {
		return nil // zeroized, and no custodians came: the sealed copies stay destroyed on this machine
	}
	for _, b := range [][]byte{m.Copies.WorkingKey, m.Copies.Identity} {
		if len(b) == 0 {
			continue
		}
		if err := putBlob(ctx, cfg.Blobs, sealedCopy(b), b); err != nil {
			return err
		}
	}
	return nil
}

// restoreWriters is how many blobs are written at a time: each waits for the disk.
const restoreWriters = 16

// putBlobs writes those blobs that are needed.
func putBlobs(ctx context.Context, to keystore.Blobs, need map[keystore.Ref]bool, blobs []format.Blob) error {
	errs := make([]error, restoreWriters)
	var wg sync.WaitGroup
	for w := range restoreWriters {
		wg.Go(func() {
			for i := w; i < len(blobs) && errs[w] == nil; i += restoreWriters {
				ref := keystore.Ref{Key: blobs[i].Key, Hash: keystore.Hash(blobs[i].Blob)}
				if need[ref] {
					errs[w] = putBlob(ctx, to, ref, blobs[i].Blob)
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// putBlob puts a blob that may be there already.
func putBlob(ctx context.Context, to keystore.Blobs, ref keystore.Ref, blob []byte) error {
	if err := to.Put(ctx, ref, blob); err != nil && !errors.Is(err, keystore.ErrExists) {
		return err
	}
	return nil
}

// sealedCopy names a sealed copy in the blob store.
func sealedCopy(b []byte) keystore.Ref {
	return keystore.Ref{Key: authority.SealedCopies, Hash: keystore.Hash(b)}
}
