// SPDX-License-Identifier: Apache-2.0

// Package durable keeps small files whole: after a crash or power failure at any moment a file has its old content, its new content, or
// does not exist, and what a function here has returned nil for is on the disk.
//
// It follows the rules of fsync(2), rename(2) and link(2) on Linux: content is synced before a name points at it, and the directory is
// synced before the caller is told. A function that returns an error other than [fs.ErrExist] leaves it open whether its effect happened.
//
// It doesn't help against a disk that lies about a flush, and it erases only as far as a file system lets a program do that: see [Erase].
package durable

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
)

// Names of files under way. [Sweep] removes them after a crash.
const (
	newPrefix   = ".new-"
	erasePrefix = ".erase-"
)

// Disk is what this package needs of a file system. [OS] is the real one. Errors wrap [fs.ErrExist] and [fs.ErrNotExist] where they apply.
type Disk interface {
	// WriteNew makes a file of mode 0600 that must not exist, writes data and syncs its content, not its name.
	WriteNew(path string, data []byte) error
	// Read returns the content, or an error if it has more than limit bytes.
	Read(path string, limit int) ([]byte, error)
	// Zero overwrites the content of an existing file with zeros and syncs it.
	Zero(path string) error
	// Link gives the file at path a second name, which must not exist.
	Link(path, name string) error
	// Rename moves a file to a name, which it replaces.
	Rename(path, name string) error
	// Remove removes a name.
	Remove(path string) error
	// Mkdir makes a directory of mode 0700 that must not exist.
	Mkdir(path string) error
	// List returns the names in a directory.
	List(dir string) ([]string, error)
	// SyncDir syncs the names in a directory.
	SyncDir(dir string) error
}

// Add makes a file that must not exist. If it does, the error wraps [fs.ErrExist], and the file that exists is durable: a caller whose
// earlier Add was cut short learns from it that the file is there to stay.
func Add(d Disk, path string, data []byte) error {
	dir, tmp := temporary(path, newPrefix)
	if err := d.WriteNew(tmp, data); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", tmp, err), d.Remove(tmp))
	}
	// A rename would replace an existing file; a link never does. The content was synced before it got the name, by whoever added it.
	err := d.Link(tmp, path)
	if errors.Is(err, fs.ErrExist) {
		if e := errors.Join(d.Remove(tmp), d.SyncDir(dir)); e != nil {
			return fmt.Errorf("make the existing %s durable: %w", path, e)
		}
		return fmt.Errorf("add %s: %w", path, fs.ErrExist)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("name %s: %w", path, err), d.Remove(tmp))
	}
	if err := d.Remove(tmp); err != nil {
		return fmt.Errorf("remove %s: %w", tmp, err)
	}
	return syncDir(d, dir)
}

// Replace gives a file, which may exist, new content at once: a reader sees the old content or the new. The old content's blocks are freed
// and not erased.
func Replace(d Disk, path string, data []byte) error {
	dir, tmp := temporary(path, newPrefix)
	if err := d.WriteNew(tmp, data); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", tmp, err), d.Remove(tmp))
	}
	if err := d.Rename(tmp, path); err != nil {
		return errors.Join(fmt.Errorf("replace %s: %w", path, err), d.Remove(tmp))
	}
	return syncDir(d, dir)
}

// Erase removes a file and overwrites its content with zeros first; one that doesn't exist is no error. The name goes first, so that nobody
// finds half a file under it after a crash; [Sweep] finishes what a crash cut short.
//
// This is best effort. Flash translation layers, copy-on-write file systems, journals, snapshots and backups keep old blocks that no program
// can reach. What must be gone for good must have been encrypted under a key that is destroyed with it.
func Erase(d Disk, path string) error {
	dir, tmp := temporary(path, erasePrefix)
	err := d.Rename(path, tmp)
	if errors.Is(err, fs.ErrNotExist) {
		return syncDir(d, dir) // it may be gone in memory only
	}
	if err != nil {
		return fmt.Errorf("erase %s: %w", path, err)
	}
	if err := syncDir(d, dir); err != nil {
		return err
	}
	return zero(d, dir, tmp)
}

// Sweep finishes or undoes what a crash left half done in a directory. Call it before using the directory.
func Sweep(d Disk, dir string) error {
	names, err := d.List(dir)
	if err != nil {
		return fmt.Errorf("list %s: %w", dir, err)
	}
	swept := false
	for _, name := range names {
		path := filepath.Join(dir, name)
		switch {
		case strings.HasPrefix(name, newPrefix):
			// Not overwritten: it may be the second name of a file that Add had finished.
			if err := d.Remove(path); err != nil {
				return fmt.Errorf("remove %s: %w", path, err)
			}
			swept = true
		case strings.HasPrefix(name, erasePrefix):
			if err := zero(d, dir, path); err != nil {
				return err
			}
		}
	}
	if swept {
		return syncDir(d, dir)
	}
	return nil
}

func zero(d Disk, dir, path string) error {
	if err := d.Zero(path); err != nil {
		return fmt.Errorf("overwrite %s: %w", path, err)
	}
	if err := d.Remove(path); err != nil {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	return syncDir(d, dir)
}

func syncDir(d Disk, dir string) error {
	if err := d.SyncDir(dir); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}

// temporary names a file under way beside path.
func temporary(path, prefix string) (dir, tmp string) {
	var r [8]byte
	rand.Read(r[:])
	dir = filepath.Dir(path)
	return dir, filepath.Join(dir, prefix+hex.EncodeToString(r[:]))
}
