// SPDX-License-Identifier: Apache-2.0

// Package backupapp keeps the folder of a backup: it takes packs and manifests from a core's door and writes them so that the folder is a
// whole backup after a crash at any moment. It holds no keys; what it writes is sealed, or signed by the domain. docs/spec/backup.md.
//
// It refuses a folder of another domain, one whose newest manifest can't be read, and one that lacks a pack; what it wrote it reads back and
// compares with what the core signed.
package backupapp

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"strongroom/internal/core/durable"
	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/backup"
)

// KeptManifests is how many manifests stay: with each of them the domain can be restored as of its day, if nothing knows of a later one.
const KeptManifests = 100

// Folder is where a backup lies.
type Folder struct {
	disk durable.Disk
	dir  string
}

// Written says what a backup added.
type Written struct {
	Manifest *backup.Manifest
	Added    int // packs
	Bytes    int // of these

	TokenKeys uint64 // keys of the domain that lie in its token, and in no backup
}

// Open uses a folder, and removes what an interrupted write left.
func Open(d durable.Disk, dir string) (*Folder, error) {
	if err := durable.Sweep(d, dir); err != nil {
		return nil, fmt.Errorf("backup folder: %w", err)
	}
	return &Folder{disk: d, dir: dir}, nil
}

// Make uses a folder, which is made if it doesn't exist; the one above must.
func Make(d durable.Disk, dir string) (*Folder, error) {
	if err := d.Mkdir(dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("backup folder: %w", err)
	}
	if err := d.SyncDir(filepath.Dir(dir)); err != nil {
		return nil, fmt.Errorf("backup folder: %w", err)
	}
	return Open(d, dir)
}

// Manifests gives the names of the manifests, oldest first.
func (f *Folder) Manifests() ([]string, error) {
	names, err := f.disk.List(f.dir)
	if err != nil {
		return nil, fmt.Errorf("backup folder: %w", err)
	}
	names = slices.DeleteFunc(names, func(n string) bool { _, ok := backup.ParseManifestName(n); return !ok })
	slices.Sort(names)
	return names, nil
}

// Manifest reads a manifest; an empty name is the newest one. It gives nil where there is none.
func (f *Folder) Manifest(name string) (*backup.Manifest, error) {
	if name == "" {
		names, err := f.Manifests()
		if err != nil || len(names) == 0 {
			return nil, err
		}
		name = names[len(names)-1]
	}
	b, err := f.disk.Read(filepath.Join(f.dir, name), backup.MaxManifest)
	if err != nil {
		return nil, fmt.Errorf("backup folder: %w", err)
	}
	m, err := backup.Decode(b)
	if err == nil && m.Name() != name {
		err = fmt.Errorf("it is %s", m.Name())
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w; an older manifest may be whole", filepath.Join(f.dir, name), err)
	}
	return m, nil
}

// Pack reads a pack, unchecked.
func (f *Folder) Pack(_ context.Context, p backup.Pack) ([]byte, error) {
	b, err := f.disk.Read(filepath.Join(f.dir, p.Name()), backup.MaxPack)
	if err != nil {
		return nil, fmt.Errorf("read a pack: %w", err)
	}
	return b, nil
}

// Write adds what the domain behind a door has had since the newest manifest. Order: packs, each flushed and read back; then the manifest. What
// no manifest names was left by a backup that was interrupted, and is removed.
func (f *Folder) Write(ctx context.Context, door gate.Door) (Written, error) {
	base, err := f.Manifest("")
	if err != nil {
		return Written{}, err
	}
	var in message.BackupOpen
	if base != nil {
		in.Manifest = base.Encode()
	}
	run, err := gate.Call[message.BackupOpen, message.BackupOpened](ctx, door, message.MethodBackupOpen, in)
	if err != nil {
		return Written{}, err
	}
	if err := f.clean(base); err != nil { // the core has said that the folder is its domain's
		return Written{}, err
	}
	if run.First == run.End {
		return Written{Manifest: base, TokenKeys: run.TokenKeys}, nil
	}
	out := Written{TokenKeys: run.TokenKeys}
	sums := map[string][sha256.Size]byte{}
	for {
		name, file, err := f.pack(ctx, door, run.Run, out.Added)
		if err != nil {
			return Written{}, err
		}
		if file == nil {
			break
		}
		if err := f.add(name, file, backup.MaxPack); err != nil {
			return Written{}, err
		}
		sums[name] = sha256.Sum256(file)
		out.Added, out.Bytes = out.Added+1, out.Bytes+len(file)
	}
	out.Manifest, err = f.finish(ctx, door, run, sums)
	return out, err
}

// pack takes the next pack from the core; no file where there are no more.
func (f *Folder) pack(ctx context.Context, door gate.Door, run []byte, n int) (name string, file []byte, err error) {
	for {
		p, err := gate.Call[message.BackupNext, message.BackupPart](ctx, door, message.MethodBackupNext,
			message.BackupNext{Run: run, Pack: uint64(n), Offset: uint64(len(file))})
		if err != nil {
			return "", nil, err
		}
		if p.Size == 0 && file == nil {
			return "", nil, nil
		}
		file = append(file, p.Bytes...)
		switch size := uint64(len(file)); {
		case p.Size == 0 || p.Size > backup.MaxPack || size > p.Size || len(p.Bytes) == 0:
			return "", nil, fmt.Errorf("the core gave %d bytes of a pack of %d", size, p.Size)
		case size == p.Size:
			return backup.Pack{First: p.First, End: p.End}.Name(), file, nil
		}
	}
}

// add writes a file and reads it back.
func (f *Folder) add(name string, file []byte, limit int) error {
	path := filepath.Join(f.dir, name)
	if err := durable.Add(f.disk, path, file); err != nil {
		return fmt.Errorf("backup folder: %w", err)
	}
	again, err := f.disk.Read(path, limit)
	if err == nil && sha256.Sum256(again) != sha256.Sum256(file) {
		err = errors.New("what was written reads back differently: the disk is faulty")
	}
	if err != nil {
		return fmt.Errorf("backup folder: %s: %w", name, err)
	}
	return nil
}

// finish takes the manifest, compares it with what was written, and writes it.
func (f *Folder) finish(ctx context.Context, door gate.Door, run message.BackupOpened, sums map[string][sha256.Size]byte) (*backup.Manifest, error) {
	out, err := gate.Call[message.BackupRun, message.BackupManifest](ctx, door, message.MethodBackupClose, message.BackupRun{Run: run.Run})
	if err != nil {
		return nil, err
	}
	m, err := backup.Decode(out.Manifest)
	if err != nil {
		return nil, err
	}
	for _, p := range m.Packs {
		if sum, ok := sums[p.Name()]; p.First >= run.First && (!ok || sum != p.Hash) {
			return nil, fmt.Errorf("the manifest names another %s than the core gave", p.Name())
		}
	}
	if err := f.add(m.Name(), out.Manifest, backup.MaxManifest); err != nil {
		return nil, err
	}
	return m, f.prune()
}

// clean removes packs that no manifest names. The newest names all that any of them does.
func (f *Folder) clean(base *backup.Manifest) error {
	names, err := f.disk.List(f.dir)
	if err != nil {
		return fmt.Errorf("backup folder: %w", err)
	}
	need := map[string]bool{}
	if base != nil {
		for _, p := range base.Packs {
			if !slices.Contains(names, p.Name()) {
				return fmt.Errorf("backup folder: %s is missing; this backup can't be restored: begin a new folder", p.Name())
			}
			need[p.Name()] = true
		}
	}
	for _, n := range names {
		if backup.IsPackName(n) && !need[n] {
			if err := f.disk.Remove(filepath.Join(f.dir, n)); err != nil {
				return fmt.Errorf("backup folder: %w", err)
			}
		}
	}
	return nil
}

// prune removes the oldest manifests.
func (f *Folder) prune() error {
	names, err := f.Manifests()
	if err != nil {
		return err
	}
	for len(names) > KeptManifests {
		if err := f.disk.Remove(filepath.Join(f.dir, names[0])); err != nil {
			return fmt.Errorf("backup folder: %w", err)
		}
		names = names[1:]
	}
	return nil
}

// Check has the core behind a door open, fold and compare all of a backup.
func (f *Folder) Check(ctx context.Context, door gate.Door, m *backup.Manifest) (out message.BackupChecked, err error) {
	run, err := gate.Call[message.BackupManifest, message.BackupRun](ctx, door, message.MethodCheckOpen, message.BackupManifest{Manifest: m.Encode()})
	if err != nil {
		return out, err
	}
	for i, p := range m.Packs {
		file, err := f.Pack(ctx, p)
		if err != nil {
			return out, err
		}
		if uint64(len(file)) != p.Size || sha256.Sum256(file) != p.Hash {
			return out, fmt.Errorf("%s is not the pack that the manifest names: it was altered", p.Name())
		}
		at := uint64(0)
		for part := range slices.Chunk(file, message.BackupSlice) {
			_, err := gate.Call[message.BackupPiece, message.BackupChecked](ctx, door, message.MethodCheckNext,
				message.BackupPiece{Run: run.Run, Pack: uint64(i), Offset: at, Bytes: part})
			if err != nil {
				return out, err
			}
			at += uint64(len(part))
		}
	}
	return gate.Call[message.BackupRun, message.BackupChecked](ctx, door, message.MethodCheckClose, run)
}
