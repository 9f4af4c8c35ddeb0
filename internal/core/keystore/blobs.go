// SPDX-License-Identifier: Apache-2.0

package keystore

import (
	"context"
	"errors"

	"strongroom/internal/pure/custody"
)

var (
	// ErrNotFound says that a store has no such blob.
	ErrNotFound = errors.New("keystore: no such blob")
	// ErrExists says that a store has the blob already, durably.
	ErrExists = errors.New("keystore: the blob exists")
	// ErrCorrupt says that what a store has under a reference is another blob: the disk failed, or somebody changed it.
	ErrCorrupt = errors.New("keystore: the stored blob is not the one its name says")
)

// Ref names a blob: its key and its [Hash], as the log holds them. A key that is narrowed or enciphered for another epoch gets a blob
// under another Ref, so that the old one stays until the log names the new one; a crash between the two loses neither.
type Ref struct {
	Key  custody.KeyID
	Hash [32]byte
}

// Blobs keeps sealed keys. It is not trusted: whoever uses a blob opens it with [Open].
// Methods are safe for concurrent use.
type Blobs interface {
	// Put is durable when it returns nil. It never overwrites: a second Put of a Ref returns [ErrExists], and the first is durable then.
	// A blob whose hash is not ref.Hash is refused with [ErrCorrupt]. After any other error it is open whether the blob is there.
	Put(ctx context.Context, ref Ref, blob []byte) error
	// Get returns the blob, [ErrNotFound], or [ErrCorrupt] naming it.
	Get(ctx context.Context, ref Ref) ([]byte, error)
	// Delete erases the blob as far as the store can, durably when it returns nil. One that isn't there is no error.
	Delete(ctx context.Context, ref Ref) error
	// List gives the blobs that are there, by key, for an owner that erases what must not be there. It may be slow.
	List(ctx context.Context) ([]Ref, error)
}
