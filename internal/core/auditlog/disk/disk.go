// SPDX-License-Identifier: Apache-2.0

// Package disk is the seam between the log's formats and the file system: folders and files with exactly the calls that durability
// depends on, so that tests can fail, cut or lose each of them. [OS] is the real one.
//
// It promises nothing that POSIX does not: a write is durable after Sync of its file, a name after Sync of its folder.
package disk

import "errors"

// ErrLocked says that another open file holds the lock.
var ErrLocked = errors.New("locked by another process")

// Dir is a folder. Names have no slashes. Methods may be called concurrently.
type Dir interface {
	// Open opens a file to read and write; create makes it, empty, if it is absent. Without create an absent file is fs.ErrNotExist.
	Open(name string, create bool) (File, error)
	// List gives the names of all files, sorted.
	List() ([]string, error)
	// Rename gives a file another name; a file of that name is replaced at once.
	Rename(from, to string) error
	// Remove removes a name; an absent one is fs.ErrNotExist.
	Remove(name string) error
	// Sync makes what was created, renamed and removed in the folder durable.
	Sync() error
	// Path names a file for people.
	Path(name string) string
}

// File is an open file. Methods may be called concurrently.
type File interface {
	// ReadAt fills p from off on, or gives the bytes that there are and io.EOF.
	ReadAt(p []byte, off int64) (int, error)
	// WriteAt writes all of p at off or fails, and then an unknown part of it is written.
	WriteAt(p []byte, off int64) (int, error)
	// Size is the length in bytes.
	Size() (int64, error)
	// Allocate makes the file size bytes long, with zeros, and reserves the space. A longer file is left alone.
	Allocate(size int64) error
	// Truncate cuts the file to size bytes.
	Truncate(size int64) error
	// Sync makes content and length durable (fdatasync).
	Sync() error
	// TryLock takes the exclusive lock numbered n of the file, or gives ErrLocked at once. It is held until Unlock or Close,
	// or the end of the process, and belongs to this open file: another open of the same file, in this process or not, is locked out.
	TryLock(n int64) error
	// Unlock gives lock n back.
	Unlock(n int64) error
	// Close closes the file and gives its locks back.
	Close() error
}
