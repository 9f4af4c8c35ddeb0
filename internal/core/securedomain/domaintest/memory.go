// SPDX-License-Identifier: Apache-2.0

package domaintest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"

	"strongroom/internal/core/keystore"
)

// Memory keeps blobs and snapshots in memory, for sweeps over many domains. What is put is durable at once. It is safe for
// concurrent use.
type Memory struct {
	mu     sync.Mutex // guards the rest
	blobs  map[keystore.Ref][]byte
	snaps  map[uint64][]byte
	chunks map[[32]byte][]byte
}

// NewMemory makes an empty memory.
func NewMemory() *Memory {
	return &Memory{blobs: map[keystore.Ref][]byte{}, snaps: map[uint64][]byte{}, chunks: map[[32]byte][]byte{}}
}

// Clone copies it.
func (m *Memory) Clone() *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &Memory{blobs: maps.Clone(m.blobs), snaps: maps.Clone(m.snaps), chunks: maps.Clone(m.chunks)}
}

// Snapshots gives the snapshots that are kept, by entry.
func (m *Memory) Snapshots() map[uint64][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.snaps)
}

// SetSnapshot puts a snapshot in place of another, behind the domain's back; nil removes it.
func (m *Memory) SetSnapshot(seq uint64, data []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.snaps[seq] = data; data == nil {
		delete(m.snaps, seq)
	}
}

// Blobs gives the blobs that are kept.
func (m *Memory) Blobs() map[keystore.Ref][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.blobs)
}

// SetBlob puts a blob in place of another, behind the domain's back; nil removes it.
func (m *Memory) SetBlob(ref keystore.Ref, blob []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.blobs[ref] = blob; blob == nil {
		delete(m.blobs, ref)
	}
}

// memoryBlobs implements [keystore.Blobs].
type memoryBlobs struct{ *Memory }

func (m memoryBlobs) Put(_ context.Context, ref keystore.Ref, blob []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if keystore.Hash(blob) != ref.Hash {
		return fmt.Errorf("put blob of key %s: %w", ref.Key, keystore.ErrCorrupt)
	}
	if _, ok := m.blobs[ref]; ok {
		return fmt.Errorf("put blob of key %s: %w", ref.Key, keystore.ErrExists)
	}
	m.blobs[ref] = bytes.Clone(blob)
	return nil
}

func (m memoryBlobs) Get(_ context.Context, ref keystore.Ref) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.blobs[ref]
	if !ok {
		return nil, fmt.Errorf("get blob of key %s: %w", ref.Key, keystore.ErrNotFound)
	}
	return bytes.Clone(b), nil
}

func (m memoryBlobs) Delete(_ context.Context, ref keystore.Ref) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.blobs, ref)
	return nil
}

func (m memoryBlobs) List(context.Context) ([]keystore.Ref, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.SortedFunc(maps.Keys(m.blobs), func(a, b keystore.Ref) int { return cmp.Compare(a.Key, b.Key) }), nil
}

// memorySnapshots implements [securedomain.Snapshots].
type memorySnapshots struct{ *Memory }

func (m memorySnapshots) List(context.Context) ([]uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.snaps)), nil
}

func (m memorySnapshots) Get(_ context.Context, seq uint64) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if b, ok := m.snaps[seq]; ok {
		return b, nil
	}
	return nil, fmt.Errorf("snapshot %d: %w", seq, fs.ErrNotExist)
}

func (m memorySnapshots) Chunk(_ context.Context, hash [32]byte) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if b, ok := m.chunks[hash]; ok {
		return b, nil
	}
	return nil, fmt.Errorf("snapshot chunk %x: %w", hash[:8], fs.ErrNotExist)
}

func (m memorySnapshots) Put(_ context.Context, seq uint64, data []byte, chunks map[[32]byte][]byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.Copy(m.chunks, chunks)
	m.snaps[seq] = data
	return nil
}
