// SPDX-License-Identifier: Apache-2.0

package domaintest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	corebackup "strongroom/internal/core/backup"
	"strongroom/internal/core/securedomain"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/backup"
)

// Folder is a backup in memory, by file name.
type Folder map[string][]byte

// Newest gives the newest manifest, or nothing.
func (f Folder) Newest() []byte {
	var names []string
	for n := range f {
		if strings.HasPrefix(n, "manifest-") {
			names = append(names, n)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return f[slices.Max(names)]
}

// Backup backs the domain up into a folder, with a pause before each call at its door, and gives the newest manifest.
func (h *Harness) Backup(f Folder, pause func()) (*backup.Manifest, error) {
	ctx := context.Background()
	run, err := h.D.BackupOpen(ctx, message.BackupOpen{Manifest: f.Newest()})
	if err != nil {
		return nil, err
	}
	if run.First == run.End {
		return backup.Decode(f.Newest())
	}
	sums := map[[32]byte]bool{}
	for i := uint64(0); ; i++ {
		var file []byte
		var p message.BackupPart
		for {
			pause()
			if p, err = h.D.BackupNext(ctx, message.BackupNext{Run: run.Run, Pack: i, Offset: uint64(len(file))}); err != nil {
				return nil, err
			}
			if file = append(file, p.Bytes...); uint64(len(file)) == p.Size {
				break
			}
		}
		if p.Size == 0 {
			break
		}
		sums[sha256.Sum256(file)] = true
		f[backup.Pack{First: p.First, End: p.End}.Name()] = file
	}
	pause()
	out, err := h.D.BackupClose(ctx, message.BackupRun{Run: run.Run})
	if err != nil {
		return nil, err
	}
	m, err := backup.Decode(out.Manifest)
	if err != nil {
		return nil, err
	}
	for _, p := range m.Packs {
		if p.First >= run.First && !sums[p.Hash] {
			return nil, fmt.Errorf("the manifest names another %s", p.Name())
		}
	}
	f[m.Name()] = out.Manifest
	return m, nil
}

// CheckBackup has the domain check a backup.
func (h *Harness) CheckBackup(f Folder, m *backup.Manifest) (out message.BackupChecked, err error) {
	ctx := context.Background()
	run, err := h.D.CheckOpen(ctx, message.BackupManifest{Manifest: m.Encode()})
	if err != nil {
		return out, err
	}
	for i, p := range m.Packs {
		at := uint64(0)
		for part := range slices.Chunk(f[p.Name()], 1<<20) {
			for range 2 { // a call may be repeated
				if _, err := h.D.CheckNext(ctx, message.BackupPiece{Run: run.Run, Pack: uint64(i), Offset: at, Bytes: part}); err != nil {
					return out, err
				}
			}
			at += uint64(len(part))
		}
	}
	return h.D.CheckClose(ctx, run)
}

// NewMachine gives a harness that is not open, with the root of trust of this one, and its anchor if that survived.
func (h *Harness) NewMachine(anchor bool) *Harness {
	h.T.Helper()
	o := h.Options
	if o.Memory != nil {
		o.Memory = NewMemory()
	}
	n := h.Other(o)
	n.Dir = h.T.TempDir()
	for _, d := range []string{"root", "log", "anchor"} {
		if err := os.Mkdir(filepath.Join(n.Dir, d), 0o700); err != nil {
			h.T.Fatal(err)
		}
	}
	CopyFolder(h.T, filepath.Join(h.Dir, "root"), filepath.Join(n.Dir, "root"))
	if anchor {
		CopyFolder(h.T, filepath.Join(h.Dir, "anchor"), filepath.Join(n.Dir, "anchor"))
	}
	return n
}

// NewRoot gives a harness that is not open an empty root of trust.
func (h *Harness) NewRoot() {
	h.T.Helper()
	if err := os.RemoveAll(filepath.Join(h.Dir, "root")); err != nil {
		h.T.Fatal(err)
	}
	_, err := h.config(true)
	h.Close()
	if err != nil {
		h.T.Fatal(err)
	}
}

// Recover has a set of custodians open the sealed copies of a manifest for the root of this harness, which is not open.
func (h *Harness) Recover(m *backup.Manifest, set int) error {
	c, err := h.config(false)
	defer h.Close()
	if err != nil {
		return err
	}
	k := h.RecoveryKey(c.Arena, set)
	defer k.Wipe()
	return corebackup.Recover(context.Background(), c.Arena, k, m, c.Root)
}

// RestoreBackup restores a folder into this harness, which is not open.
func (h *Harness) RestoreBackup(f Folder, manifest []byte) (*securedomain.Restored, error) {
	c, err := h.config(false)
	defer h.Close()
	if err != nil {
		return nil, err
	}
	return securedomain.Restore(context.Background(), securedomain.RestoreConfig{Arena: c.Arena, Root: c.Root, Store: c.Store, Blobs: c.Blobs,
		Anchor: c.Anchor, Manifest: manifest, Pack: func(_ context.Context, p backup.Pack) ([]byte, error) {
			b, ok := f[p.Name()]
			if !ok {
				return nil, fmt.Errorf("%s: %w", p.Name(), fs.ErrNotExist)
			}
			return b, nil
		}})
}
