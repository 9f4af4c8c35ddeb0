// SPDX-License-Identifier: Apache-2.0

// Package files keeps blobs as files, one each, in 256 folders by the first byte of the key's id: <aa>/<key>-<blob hash>.blob. It is good
// for some millions of blobs; a folder holds 400 of 100,000.
//
// It refuses to overwrite, and names a file whose content is not what its name says. One process at a time may write.
package files

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"strongroom/internal/core/durable"
	"strongroom/internal/core/keystore"
	"strongroom/internal/pure/custody"
)

var _ keystore.Blobs = (*Store)(nil)

// Store implements [keystore.Blobs]. It keeps nothing in memory.
type Store struct {
	disk durable.Disk
	dir  string
}

// Open opens the store in a directory, which is made if it doesn't exist (its parent must), and finishes what a crash left half done.
func Open(dir string) (*Store, error) { return open(durable.OS(), dir) }

func open(disk durable.Disk, dir string) (*Store, error) {
	if dir == "" {
		return nil, errors.New("blob files: say which directory")
	}
	if err := mkdir(disk, dir); err != nil {
		return nil, err
	}
	for i := range 256 {
		fan := filepath.Join(dir, hex.EncodeToString([]byte{byte(i)}))
		err := disk.Mkdir(fan)
		if errors.Is(err, fs.ErrExist) {
			err = durable.Sweep(disk, fan)
		}
		if err != nil {
			return nil, fmt.Errorf("blob files: %w", err)
		}
	}
	// Also when all existed: an earlier Open may have been killed before this.
	if err := disk.SyncDir(dir); err != nil {
		return nil, fmt.Errorf("blob files: sync %s: %w", dir, err)
	}
	return &Store{disk: disk, dir: dir}, nil
}

func mkdir(disk durable.Disk, dir string) error {
	if err := disk.Mkdir(dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("blob files: %w", err)
	}
	if err := disk.SyncDir(filepath.Dir(dir)); err != nil {
		return fmt.Errorf("blob files: sync the folder of %s: %w", dir, err)
	}
	return nil
}

// Put implements [keystore.Blobs].
func (s *Store) Put(ctx context.Context, ref keystore.Ref, blob []byte) error {
	path, err := s.path(ctx, ref)
	if err != nil {
		return err
	}
	if len(blob) > keystore.MaxBlob || keystore.Hash(blob) != ref.Hash {
		return fmt.Errorf("put blob of key %s: %w", ref.Key, keystore.ErrCorrupt)
	}
	err = durable.Add(s.disk, path, blob)
	if errors.Is(err, fs.ErrExist) {
		// What exists must be the blob, or ErrExists would promise what isn't so.
		if _, err := s.Get(ctx, ref); err != nil {
			return err
		}
		return fmt.Errorf("put blob of key %s: %w", ref.Key, keystore.ErrExists)
	}
	if err != nil {
		return fmt.Errorf("put blob of key %s: %w", ref.Key, err)
	}
	return nil
}

// Get implements [keystore.Blobs].
func (s *Store) Get(ctx context.Context, ref keystore.Ref) ([]byte, error) {
	path, err := s.path(ctx, ref)
	if err != nil {
		return nil, err
	}
	blob, err := s.disk.Read(path, keystore.MaxBlob)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("get blob of key %s: %w", ref.Key, keystore.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("get blob of key %s: %w", ref.Key, err)
	}
	if keystore.Hash(blob) != ref.Hash {
		return nil, fmt.Errorf("get blob of key %s: %w: %s", ref.Key, keystore.ErrCorrupt, path)
	}
	return blob, nil
}

// Delete implements [keystore.Blobs]. What it can't reach, [durable.Erase] says; the key in an erased blob is gone for good when its epoch's
// domain working key is destroyed.
func (s *Store) Delete(ctx context.Context, ref keystore.Ref) error {
	path, err := s.path(ctx, ref)
	if err != nil {
		return err
	}
	if err := durable.Erase(s.disk, path); err != nil {
		return fmt.Errorf("delete blob of key %s: %w", ref.Key, err)
	}
	return nil
}

// path checks ref, so that no id leads out of the directory, and that nobody has given up waiting.
func (s *Store) path(ctx context.Context, ref keystore.Ref) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if err := ref.Key.Check(); err != nil {
		return "", err
	}
	id := string(ref.Key)
	return filepath.Join(s.dir, id[:2], id+"-"+hex.EncodeToString(ref.Hash[:])+".blob"), nil
}

// List implements [keystore.Blobs]. Files of other names are left out.
func (s *Store) List(ctx context.Context) ([]keystore.Ref, error) {
	var out []keystore.Ref
	for i := range 256 {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		names, err := s.disk.List(filepath.Join(s.dir, hex.EncodeToString([]byte{byte(i)})))
		if err != nil {
			return nil, fmt.Errorf("list blobs: %w", err)
		}
		slices.Sort(names)
		for _, name := range names {
			id, rest, _ := strings.Cut(name, "-")
			hash, err := hex.DecodeString(strings.TrimSuffix(rest, ".blob"))
			ref := keystore.Ref{Key: custody.KeyID(id)}
			if err != nil || copy(ref.Hash[:], hash) != len(ref.Hash) {
				continue
			}
			if path, err := s.path(ctx, ref); err == nil && filepath.Base(path) == name {
				out = append(out, ref)
			}
		}
	}
	return out, nil
}
