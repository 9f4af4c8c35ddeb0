// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/backup"
	"strongroom/internal/core/domainkeys"
	"strongroom/internal/core/keystore"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	format "strongroom/internal/pure/backup"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/tlog"
)

// packContent is how many bytes of entries and blobs begin no new pack.
const packContent = 4 << 20

// backups are the backup and the check that are under way. Each has a lock of its own, held while it works; the domain goes on.
type backups struct {
	runMu sync.Mutex // guards run
	run   *backupRun

	checkMu sync.Mutex // guards check
	check   *backupCheck
}

// backupRun is a backup under way.
type backupRun struct {
	id       [16]byte
	manifest backup.Manifest // with the packs so far, unsigned
	end      uint64
	goal     tlog.Frontier         // of the tree over the entries below end
	need     map[keystore.Ref]bool // blobs in use at end that are in no pack yet, as far as this run knows
	tree     tlog.Frontier         // over the entries that are in packs
	packs    uint64                // of this run, so far
	file     []byte                // the last one
	signed   []byte                // the manifest, once it is made
	tokens   uint64                // keys that lie in the token
}

// BackupOpen begins a backup at the pinned end of the log. Signing goes on; what comes later is for the next backup.
func (d *Domain) BackupOpen(ctx context.Context, in message.BackupOpen) (out message.BackupOpened, err error) {
	if !d.switches.Load().allowed.Has(points.Backup) {
		return out, problem.New(problem.Forbidden, "switched off in this domain: %s", points.Backup)
	}
	var base *backup.Manifest
	if len(in.Manifest) > 0 {
		if base, err = d.ownManifest(in.Manifest); err != nil {
			return out, err
		}
	}
	r := d.newRun()
	if err := d.waitFor(ctx, r.end-1); err != nil {
		return out, err
	}
	if err := d.complete(ctx, r, base); err != nil {
		return out, err
	}
	out = message.BackupOpened{Run: r.id[:], First: r.tree.Size(), End: r.end, TokenKeys: r.tokens}
	if out.First == out.End {
		return out, nil
	}
	d.backups.runMu.Lock()
	defer d.backups.runMu.Unlock()
	d.backups.run = r
	return out, nil
}

// ownManifest reads a manifest of this domain.
func (d *Domain) ownManifest(b []byte) (*backup.Manifest, error) {
	m, err := format.Decode(b)
	if err == nil {
		err = m.Of(d.state.Identity)
	}
	if err == nil && m.Domain != d.state.Domain {
		err = fmt.Errorf("it is of domain %s", m.Domain)
	}
	if err != nil {
		return nil, problem.New(problem.Malformed, "the backup's manifest: %v", err)
	}
	return m, nil
}

// newRun takes hold of the state as it is now.
func (d *Domain) newRun() *backupRun {
	r := &backupRun{need: map[keystore.Ref]bool{}}
	rand.Read(r.id[:]) // never fails: crypto/rand ends the process when the system has no randomness
	d.mu.Lock()
	s := d.state
	life := s.Life()
	r.end, r.goal, r.tokens = s.Next, d.frontier, uint64(s.Counts().TokenKeys)
	r.manifest = backup.Manifest{V: 1, Authority: s.Authority, Domain: s.Domain, Incarnation: s.Anchoring().Incarnation, Identity: s.Identity[:], LogKey: s.LogKey[:],
		Frontier: d.frontier.Marshal(), Last: s.Last, Epoch: s.Epoch, Pattern: s.Pattern, Zeroized: life.Phase == authority.Zeroized, Recovery: life.Recovery}
	refs := inUse(s)
	d.mu.Unlock()
	for _, ref := range refs {
		r.need[ref] = true
	}
	r.manifest.Time = d.cfg.Clock.Now().Time
	return r
}

// complete gives a run its checkpoint, sealed copies, and the packs that there are already.
func (d *Domain) complete(ctx context.Context, r *backupRun, base *backup.Manifest) error {
	m := &r.manifest
	if head := d.log.Head(); head.Size == r.end {
		m.Checkpoint = head.Signed // with what cosignatures there are
	} else if err := d.signHead(r); err != nil {
		return err
	}
	var had format.Copies
	if base != nil {
		if err := d.continues(ctx, base, r); err != nil {
			return err
		}
		m.Packs, had = base.Packs, base.Copies
		tree, err := base.Tree()
		if err != nil {
			return problem.New(problem.Malformed, "the backup's manifest: %v", err)
		}
		r.tree = tree
	}
	if m.Recovery == nil {
		return nil
	}
	for _, c := range []struct {
		to   *[]byte
		had  []byte
		hash custody.HexBytes
	}{{&m.Copies.WorkingKey, had.WorkingKey, m.Recovery.WorkingKey}, {&m.Copies.Identity, had.Identity, m.Recovery.Identity}} {
		ref := keystore.Ref{Key: authority.SealedCopies, Hash: [32]byte(c.hash)}
		b, err := d.cfg.Blobs.Get(ctx, ref)
		switch {
		case err == nil:
			*c.to = b
		case len(c.had) > 0 && keystore.Hash(c.had) == ref.Hash:
			*c.to = c.had // zeroized since: this machine has destroyed it
		case !m.Zeroized:
			return problem.Wrap(problem.Internal, err, "a sealed copy that the log names can't be read; ask again if the domain's life cycle just went on")
		}
	}
	return nil
}

// signHead signs the checkpoint of a run's end. The entries below it are pinned; the log has grown since.
func (d *Domain) signHead(r *backupRun) error {
	key, err := tlog.NewKey(entry.Origin(r.manifest.Domain, r.manifest.Incarnation), r.manifest.LogKey)
	if err == nil {
		err = d.withIdentity(func() error {
			r.manifest.Checkpoint, err = tlog.SignCheckpoint(tlog.Checkpoint{Origin: key.Origin(), Size: r.end, Root: r.goal.Root()}, key,
				func(m []byte) ([]byte, error) { return d.ids.SignLog(m), nil })
			return err
		})
	}
	return err
}

// continues says whether the log of a run goes on from where a manifest ended.
func (d *Domain) continues(ctx context.Context, base *backup.Manifest, r *backupRun) error {
	if base.End() > r.end {
		return problem.New(problem.Conflict, "the backup has %d entries, the log %d: the log was set back, or this is another copy of it; do not back up over it", base.End(), r.end)
	}
	recs, err := d.read(ctx, base.End()-1, 1)
	if err != nil {
		return readProblem(err, base.End()-1)
	}
	if len(recs) == 0 || entry.Hash(recs[0].Leaf) != base.Last {
		return problem.New(problem.Conflict, "the backup's entry %d is not the log's: it is of another past of this domain; begin a new folder", base.End()-1)
	}
	return nil
}

// BackupNext gives a part of the pack that is being written, or begins the next one.
func (d *Domain) BackupNext(ctx context.Context, in message.BackupNext) (out message.BackupPart, err error) {
	d.backups.runMu.Lock()
	defer d.backups.runMu.Unlock()
	r, err := d.backups.named(in.Run)
	if err != nil {
		return out, err
	}
	if in.Pack == r.packs && r.tree.Size() < r.end {
		if err := d.pack(ctx, r); err != nil {
			return out, err
		}
	}
	switch {
	case in.Pack == r.packs && r.tree.Size() == r.end:
		return out, nil // there are no more
	case in.Pack+1 != r.packs || in.Offset > uint64(len(r.file)):
		return out, problem.New(problem.Malformed, "pack %d of this backup can't be had from byte %d; there are %d so far", in.Pack, in.Offset, r.packs)
	}
	p := r.manifest.Packs[len(r.manifest.Packs)-1]
	rest := r.file[in.Offset:]
	return message.BackupPart{First: p.First, End: p.End, Size: p.Size, Bytes: rest[:min(len(rest), message.BackupSlice)]}, nil
}

var errNoRun = problem.New(problem.NotFound, "this backup is not under way any more: another one was begun, or the core has started anew; begin again")

// named gives the run with an id. The caller holds runMu.
func (b *backups) named(id []byte) (*backupRun, error) {
	if b.run == nil || string(b.run.id[:]) != string(id) {
		return nil, errNoRun
	}
	return b.run, nil
}

// pack makes the next pack: entries until they are enough, and the blobs that they name, as far as they are in use.
func (d *Domain) pack(ctx context.Context, r *backupRun) error {
	var c format.Content
	tree, size := r.tree, 0
	for tree.Size() < r.end && size < packContent {
		recs, err := d.read(ctx, tree.Size(), int(min(recheckBatch, r.end-tree.Size())))
		if err != nil {
			return readProblem(err, tree.Size())
		}
		if len(recs) == 0 {
			return problem.New(problem.Internal, "entry %d is not in the store", tree.Size())
		}
		for _, rec := range recs {
			blobs, err := d.namedBlobs(ctx, r, rec)
			if err != nil {
				return problem.Wrap(problem.Internal, err, "entry %d", tree.Size())
			}
			tree.Append(entry.Hash(rec.Leaf))
			c.Records = append(c.Records, format.Record(rec))
			c.Blobs = append(c.Blobs, blobs...)
			size += rec.Size()
			for _, b := range blobs {
				size += len(b.Blob)
			}
			if size >= packContent {
				break
			}
		}
	}
	if tree.Size() == r.end && tree != r.goal {
		return problem.New(problem.Internal, "the entries in the store are not those that were recorded: check the log")
	}
	var file []byte
	var p format.Pack
	err := d.withIdentity(func() (err error) {
		file, p, err = backup.Seal(d.ids, r.manifest.Domain, r.tree.Size(), tree.Size(), c)
		return err
	})
	if err != nil {
		return problem.Wrap(problem.Internal, err, "seal a pack")
	}
	for _, b := range c.Blobs {
		delete(r.need, keystore.Ref{Key: b.Key, Hash: keystore.Hash(b.Blob)})
	}
	r.manifest.Packs = append(r.manifest.Packs[:len(r.manifest.Packs):len(r.manifest.Packs)], p)
	r.tree, r.file = tree, file
	r.packs++
	return nil
}

// namedBlobs gives the blobs that an entry names and that are in use.
func (d *Domain) namedBlobs(ctx context.Context, r *backupRun, rec auditlog.Record) (out []format.Blob, err error) {
	l, err := entry.DecodeLeaf(rec.Leaf)
	if err != nil || l.Kind != entry.KindEffect && l.Kind != entry.KindReencipher && l.Kind != entry.KindOffline {
		return nil, err
	}
	o, err := d.openRecord(rec)
	if err != nil {
		return nil, err
	}
	body, err := authority.DecodeBody(l.Kind, l.KindVersion, o.bodies[0].Body)
	if err != nil {
		return nil, err
	}
	for _, ref := range blobsOf(body) {
		if !r.need[ref] {
			continue
		}
		b, err := d.cfg.Blobs.Get(ctx, ref)
		if errors.Is(err, keystore.ErrNotFound) {
			return nil, fmt.Errorf("%w: if an epoch was finalized just now, back up again", err)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, format.Blob{Key: ref.Key, Blob: b})
	}
	return out, nil
}

// blobsOf lists the blobs that an entry names for keys.
func blobsOf(body any) (out []keystore.Ref) {
	switch b := body.(type) {
	case *entry.Effect:
		if b.Key != nil {
			out = append(out, keystore.Ref{Key: b.Key.ID, Hash: b.Key.Blob})
			if len(b.Key.Next) == 32 {
				out = append(out, keystore.Ref{Key: b.Key.ID, Hash: [32]byte(b.Key.Next)})
			}
		}
		if b.Move != nil && len(b.Move.Copy) == 32 {
			out = append(out, keystore.Ref{Key: authority.SealedCopies, Hash: [32]byte(b.Move.Copy)})
		}
	case *entry.Reencipher:
		for _, x := range b.Blobs {
			out = append(out, keystore.Ref(x))
		}
	case *entry.Offline:
		for _, k := range b.Taken {
			out = append(out, keystore.Ref{Key: k.Key, Hash: k.Blob})
		}
	}
	return out
}

// BackupClose gives the manifest, once every pack was given. It can be asked again.
func (d *Domain) BackupClose(_ context.Context, in message.BackupRun) (out message.BackupManifest, err error) {
	d.backups.runMu.Lock()
	defer d.backups.runMu.Unlock()
	r, err := d.backups.named(in.Run)
	if err != nil {
		return out, err
	}
	if r.tree.Size() != r.end {
		return out, problem.New(problem.Conflict, "the backup has entries up to %d of %d so far", r.tree.Size(), r.end)
	}
	if r.packs == uint64(len(r.manifest.Packs)) && len(r.need) > 0 {
		return out, problem.New(problem.Internal, "%d blobs are named by no entry", len(r.need)) // a full backup has them all
	}
	if r.signed == nil {
		err := d.withIdentity(func() error {
			r.manifest.Signature = d.ids.SignIdentity(r.manifest.Message())
			return nil
		})
		if err != nil {
			return out, err
		}
		r.signed, r.file = r.manifest.Encode(), nil
		if len(r.signed) > format.MaxManifest {
			return out, problem.New(problem.TooLarge, "the manifest would have %d bytes; begin a new folder", len(r.signed))
		}
	}
	return message.BackupManifest{Manifest: r.signed}, nil
}

// backupCheck is a check under way.
type backupCheck struct {
	id      [16]byte
	replica *replica
	packs   uint64 // that were taken
	file    []byte // of the next one, so far
	fault   error
}

// CheckOpen begins to check a backup, of any day.
func (d *Domain) CheckOpen(_ context.Context, in message.BackupManifest) (out message.BackupRun, err error) {
	m, err := d.ownManifest(in.Manifest)
	if err != nil {
		return out, err
	}
	c := &backupCheck{replica: newReplica(d.cfg.Arena, d.ids, m, func(e uint64) (*domainkeys.DWK, error) { return d.working.get(e) })}
	rand.Read(c.id[:]) // never fails: crypto/rand ends the process when the system has no randomness
	d.backups.checkMu.Lock()
	defer d.backups.checkMu.Unlock()
	d.backups.check = c
	return message.BackupRun{Run: c.id[:]}, nil
}

// checking gives the check with an id. The caller holds checkMu.
func (b *backups) checking(id []byte) (*backupCheck, error) {
	if b.check == nil || string(b.check.id[:]) != string(id) {
		return nil, problem.New(problem.NotFound, "this check is not under way any more; begin again")
	}
	return b.check, nil
}

func (c *backupCheck) so() message.BackupChecked {
	r := c.replica
	return message.BackupChecked{Entries: r.tree.Size(), Blobs: uint64(len(r.blobs)), Opened: r.opened,
		Copies: len(r.manifest.Copies.Identity) > 0 && len(r.manifest.Copies.WorkingKey) > 0}
}

// CheckNext takes a part of a pack; with its last part the pack is opened and folded.
func (d *Domain) CheckNext(_ context.Context, in message.BackupPiece) (out message.BackupChecked, err error) {
	d.backups.checkMu.Lock()
	defer d.backups.checkMu.Unlock()
	c, err := d.backups.checking(in.Run)
	if err != nil {
		return out, err
	}
	packs := c.replica.manifest.Packs
	switch have := uint64(len(c.file)); {
	case c.fault != nil:
		return out, c.fault
	case in.Pack+1 == c.packs || in.Pack == c.packs && in.Offset+uint64(len(in.Bytes)) == have && len(in.Bytes) > 0:
		return c.so(), nil // again
	case in.Pack != c.packs || in.Pack >= uint64(len(packs)) || in.Offset != have || len(in.Bytes) == 0 || have+uint64(len(in.Bytes)) > packs[in.Pack].Size:
		return out, problem.New(problem.Malformed, "byte %d of pack %d is not what comes next", in.Offset, in.Pack)
	}
	c.file = append(c.file, in.Bytes...)
	if p := packs[c.packs]; uint64(len(c.file)) == p.Size {
		file := c.file
		c.packs, c.file = c.packs+1, nil
		if err := d.withIdentity(func() error { return c.replica.take(p, file) }); err != nil {
			c.fault = checkProblem(err)
			return out, c.fault
		}
	}
	return c.so(), nil
}

// CheckClose says whether the backup is whole.
func (d *Domain) CheckClose(_ context.Context, in message.BackupRun) (out message.BackupChecked, err error) {
	d.backups.checkMu.Lock()
	defer d.backups.checkMu.Unlock()
	c, err := d.backups.checking(in.Run)
	if err != nil {
		return out, err
	}
	if c.fault == nil && c.packs != uint64(len(c.replica.manifest.Packs)) {
		return out, problem.New(problem.Conflict, "%d of %d packs were given", c.packs, len(c.replica.manifest.Packs))
	}
	if c.fault == nil {
		if err := c.replica.end(false); err != nil {
			c.fault = checkProblem(err)
		}
	}
	out = c.so()
	out.Keys, out.TokenKeys = uint64(c.replica.keysHere()), uint64(c.replica.state.Counts().TokenKeys)
	return out, c.fault
}

func checkProblem(err error) error {
	if problem.KindOf(err) == problem.Stopped {
		return err
	}
	return problem.New(problem.Conflict, "the backup is not whole: %v", err)
}
