// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"strongroom/internal/core/backup"
	"strongroom/internal/core/keystore"
	"strongroom/internal/pure/authority"
	format "strongroom/internal/pure/backup"
	pure "strongroom/internal/pure/offline"
	"strongroom/internal/pure/request"
)

// packBytes is about how many bytes of entries a pack takes.
const packBytes = 32 << 20

// Backup adds to a folder what the domain has since its newest manifest (nil: there is none), in the format of every domain's backup: packs, which
// put keeps, durably, then the manifest that it returns for the caller to keep. The manifest is the given one where nothing was added. The
// authority's entries are not in it: a full bundle brings them again.
func (d *Domain) Backup(ctx context.Context, newest []byte, put func(name string, file []byte) error) (*backup.Manifest, error) {
	m := &backup.Manifest{V: 1, Authority: d.state.Authority, Domain: d.ID(), Incarnation: 1, Identity: d.state.Identity[:], LogKey: d.state.LogKey[:],
		Epoch: epoch, Pattern: d.state.Pattern, Zeroized: d.state.Zeroized, Frontier: d.state.Frontier.Marshal(), Last: d.state.Last}
	var before *backup.Manifest
	if newest != nil {
		var err error
		if before, err = d.sameDomain(ctx, newest); err != nil {
			return nil, fmt.Errorf("backup: %w", err)
		}
		if before.End() == d.state.Next {
			return before, nil
		}
		m.Packs = before.Packs
	}
	if err := d.backupCopies(ctx, m, before); err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	blobs, err := d.inUse(ctx)
	if err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	for m.End() < d.state.Next {
		p, file, err := d.pack(ctx, m.End(), blobs)
		if err == nil {
			err = put(p.Name(), file)
		}
		if err != nil {
			return nil, fmt.Errorf("backup: %w", err)
		}
		m.Packs = append(m.Packs[:len(m.Packs):len(m.Packs)], p)
	}
	head := d.log.Head()
	m.Checkpoint = head.Signed
	m.Time = max(d.cfg.Clock.Now().Time, d.state.Time) // for people only
	m.Signature = d.ids.SignIdentity(m.Message())
	return format.Decode(m.Encode())
}

// sameDomain reads a manifest and says whether it is of a past of this domain.
func (d *Domain) sameDomain(ctx context.Context, newest []byte) (*backup.Manifest, error) {
	m, err := format.Decode(newest)
	if err != nil {
		return nil, err
	}
	if err := m.Of(d.state.Identity); err != nil {
		return nil, err
	}
	return m, d.ownEntry(ctx, m.End(), m.Last)
}

// backupCopies puts the recovery record and the sealed copies into a manifest, where the authority has custodians.
func (d *Domain) backupCopies(ctx context.Context, m, before *backup.Manifest) error {
	have := d.state.Recovery
	if have == nil {
		return nil
	}
	var record *request.Recovery
	if d.follow.size() > 0 {
		record = d.follow.state.Life().Recovery
	}
	if record == nil || sha256.Sum256(record.Public) != have.Public {
		if before == nil || before.Recovery == nil || sha256.Sum256(before.Recovery.Public) != have.Public {
			return errors.New("the authority's custodians are not known as they were when the copies were sealed: import a bundle first")
		}
		record = before.Recovery
	}
	r := *record
	r.WorkingKey, r.Identity = have.WorkingKey[:], have.Identity[:]
	m.Recovery = &r
	var err error
	if m.Copies.WorkingKey, err = d.cfg.Blobs.Get(ctx, sealedCopy(have.WorkingKey)); err == nil {
		m.Copies.Identity, err = d.cfg.Blobs.Get(ctx, sealedCopy(have.Identity))
	}
	return err
}

// inUse gives the blobs that the domain can't do without, and what is there of those that it says are lost.
func (d *Domain) inUse(ctx context.Context) ([]format.Blob, error) {
	var out []format.Blob
	must, may := refsOf(d.state)
	for i, ref := range append(must, may...) {
		b, err := d.cfg.Blobs.Get(ctx, ref)
		if errors.Is(err, keystore.ErrNotFound) && i >= len(must) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, format.Blob{Key: ref.Key, Blob: b})
	}
	return out, nil
}

// refsOf names the import key, the seeds, and the copies of seeds that were given back and may not have arrived: those that must be there, and those
// that the log says are lost, or that have arrived.
func refsOf(s *pure.State) (must, may []keystore.Ref) {
	must = append(must, keystore.Ref{Key: s.Key.ID, Hash: s.Key.Blob})
	for _, h := range s.Wallets() {
		if ref := (keystore.Ref{Key: h.Key, Hash: h.Blob}); s.IsMissing(h.Wallet) {
			may = append(may, ref)
		} else {
			must = append(must, ref)
		}
	}
	for _, o := range s.Outs() {
		if arrived(s, o) {
			may = append(may, sealedCopy(o.Copy))
		} else {
			must = append(must, sealedCopy(o.Copy))
		}
	}
	return must, may
}

// arrived says whether the online domain is known to have a seed that was given back: it gave back the entry that says so.
func arrived(s *pure.State, o pure.Out) bool {
	gap := s.Gap()
	return gap != nil && o.Seq < gap.SetBack.To
}

// pack seals the next entries, and with the last of them the blobs.
func (d *Domain) pack(ctx context.Context, from uint64, blobs []format.Blob) (format.Pack, []byte, error) {
	var c format.Content
	size := 0
	for size < packBytes && from+uint64(len(c.Records)) < d.state.Next {
		at := from + uint64(len(c.Records))
		recs, err := d.cfg.Store.Read(ctx, at, int(min(chunk, d.state.Next-at)))
		if err != nil || len(recs) == 0 {
			return format.Pack{}, nil, errors.Join(err, fmt.Errorf("read own entry %d", at))
		}
		for _, r := range recs {
			size += r.Size()
			c.Records = append(c.Records, format.Record(r))
		}
	}
	end := from + uint64(len(c.Records))
	if end == d.state.Next {
		c.Blobs = blobs
	}
	file, p, err := backup.Seal(d.ids, d.ID(), from, end, c)
	return p, file, err
}

// sealedCopies names the copies of a manifest in the blob store.
func sealedCopies(m *backup.Manifest) map[keystore.Ref][]byte {
	out := map[keystore.Ref][]byte{}
	for _, b := range [][]byte{m.Copies.WorkingKey, m.Copies.Identity} {
		if len(b) > 0 {
			out[keystore.Ref{Key: authority.SealedCopies, Hash: keystore.Hash(b)}] = b
		}
	}
	return out
}

// putAll puts blobs that may be there already.
func putAll(ctx context.Context, to keystore.Blobs, blobs map[keystore.Ref][]byte) error {
	for ref, b := range blobs {
		if err := putBlob(ctx, to, ref, b); err != nil {
			return err
		}
	}
	return nil
}
