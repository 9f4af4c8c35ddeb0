// SPDX-License-Identifier: Apache-2.0

// Package disktest has a folder in memory whose every change can be made to fail before or after its effect, and whose power can be
// cut: what was not flushed then is kept, lost or mixed. It is imported by tests only.
package disktest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"

	"strongroom/internal/core/auditlog/disk"
)

// ErrInjected is the error of an injected fault.
var ErrInjected = errors.New("injected fault")

// ErrFull is the error of a disk that is full.
var ErrFull = errors.New("no space left on device")

var errDead = fmt.Errorf("the process has ended: %w", fs.ErrClosed)

// When says whether a fault strikes before or after the effect.
type When int

// The kinds of faults. Half writes the first half of a write; other operations fail before.
const (
	Before When = iota
	After
	Half
)

// Mem is a folder in memory. A change is an operation that a fault can strike: creating, renaming and removing a file, writing, allocating,
// cutting, flushing a file or the folder.
type Mem struct {
	mu      sync.Mutex
	names   map[string]*inode   // as the process sees them
	durable map[string]*inode   // as they are after a power cut
	history []map[string]*inode // names since the last flush of the folder, oldest first
	locks   map[lock]*file
	dead    bool
	limit   int // bytes that fit; 0: no limit

	changes int // changes so far
	failAt  int // the change that fails, from 1 on; 0: none
	when    When
	err     error
	struck  bool
	since   int // changes since the fault
}

type lock struct {
	node *inode
	n    int64
}

type inode struct {
	data    []byte  // as processes see it
	durable []byte  // as flushed
	pending []write // since the last flush, in order
}

// write is a change of content: data at off, or a new length.
type write struct {
	off    int
	data   []byte
	resize bool
	size   int
}

func (w write) apply(b []byte) []byte {
	if w.resize {
		return resize(b, w.size)
	}
	b = resize(b, max(len(b), w.off+len(w.data)))
	copy(b[w.off:], w.data)
	return b
}

func resize(b []byte, n int) []byte {
	if n <= len(b) {
		return b[:n:n]
	}
	return append(slices.Clip(b), make([]byte, n-len(b))...)
}

// New makes an empty folder.
func New() *Mem {
	return &Mem{names: map[string]*inode{}, durable: map[string]*inode{}, locks: map[lock]*file{}}
}

// FailAt makes the n-th change from now on (1: the next) fail once, with ErrInjected.
func (m *Mem) FailAt(n int, when When) { m.FailWith(n, when, ErrInjected) }

// FailWith is FailAt with another error.
func (m *Mem) FailWith(n int, when When, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failAt, m.when, m.err, m.struck, m.since = m.changes+n, when, err, false, 0
}

// Limit makes the folder full at n bytes of all files together; 0 lifts the limit.
func (m *Mem) Limit(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.limit = n
}

// Struck says whether the fault happened, and how many changes were tried after it.
func (m *Mem) Struck() (bool, int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.struck, m.since
}

// Changes counts the changes so far.
func (m *Mem) Changes() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changes
}

// Restart ends the process: open files are dead and locks free. The folder that the next process sees is returned; nothing is lost.
func (m *Mem) Restart() *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead = true
	n := New()
	n.names, n.durable, n.history = m.names, m.durable, m.history
	return n
}

// PowerCut ends the process and loses what was not flushed: all of it with keep 0, none with keep 1, else each sector is kept with that
// chance, and each name is as it was at some moment since the last flush of the folder, whatever the others are.
func (m *Mem) PowerCut(keep float64, r *rand.Rand) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead = true
	names := m.durable
	if keep >= 1 {
		names = m.names
	} else if keep > 0 {
		names = map[string]*inode{}
		states := append(slices.Clip(m.history), m.names)
		all := map[string]bool{}
		for _, state := range states {
			for name := range state {
				all[name] = true
			}
		}
		for _, name := range slices.Sorted(maps.Keys(all)) {
			if node := states[r.IntN(len(states))][name]; node != nil {
				names[name] = node
			}
		}
	}
	n := New()
	for name, node := range names {
		b := slices.Clone(node.durable)
		for _, w := range node.pending {
			b = w.survive(b, keep, r)
		}
		kept := &inode{data: b, durable: slices.Clone(b)}
		n.names[name], n.durable[name] = kept, kept
	}
	return n
}

const sector = 512

// survive applies the sectors of w that reached the disk.
func (w write) survive(b []byte, keep float64, r *rand.Rand) []byte {
	lucky := func() bool { return keep >= 1 || keep > 0 && r.Float64() < keep }
	if w.resize {
		if lucky() {
			b = w.apply(b)
		}
		return b
	}
	for from := 0; from < len(w.data); {
		to := min(len(w.data), from+sector-(w.off+from)%sector)
		if lucky() {
			b = write{off: w.off + from, data: w.data[from:to]}.apply(b)
		}
		from = to
	}
	return b
}

// Clone copies the folder as the process sees it; all of it is durable in the copy.
func (m *Mem) Clone() *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := New()
	for name, node := range m.names {
		c := &inode{data: slices.Clone(node.data), durable: slices.Clone(node.data)}
		n.names[name], n.durable[name] = c, c
	}
	return n
}

// Bytes gives the content of a file, or nil.
func (m *Mem) Bytes(name string) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if node := m.names[name]; node != nil {
		return slices.Clone(node.data)
	}
	return nil
}

// SetBytes replaces the content of a file, durably, behind the back of whoever has it open.
func (m *Mem) SetBytes(name string, b []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	node := m.names[name]
	if node == nil {
		node = &inode{}
		m.names[name], m.durable[name] = node, node
	}
	node.data, node.durable, node.pending = slices.Clone(b), slices.Clone(b), nil
}

// Delete removes a file, durably.
func (m *Mem) Delete(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.names, name)
	m.durable = maps.Clone(m.names)
}

// change runs one change, with its fault. The caller holds mu.
func (m *Mem) change(effect func() error) error {
	if m.dead {
		return errDead
	}
	m.changes++
	if m.struck {
		m.since++
	}
	if m.changes != m.failAt {
		return effect()
	}
	m.struck = true
	if m.when == After {
		if err := effect(); err != nil {
			return err
		}
	}
	return m.err
}

// renamed notes that names change. The caller holds mu.
func (m *Mem) renamed(effect func()) error {
	return m.change(func() error {
		m.history = append(m.history, m.names)
		m.names = maps.Clone(m.names)
		effect()
		return nil
	})
}

// Path names a file.
func (m *Mem) Path(name string) string { return "mem/" + name }

// Open opens or makes a file.
func (m *Mem) Open(name string, create bool) (disk.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return nil, errDead
	}
	if m.names[name] == nil {
		if !create {
			return nil, fmt.Errorf("open %s: %w", name, fs.ErrNotExist)
		}
		if err := m.renamed(func() { m.names[name] = &inode{} }); err != nil {
			return nil, err
		}
	}
	return &file{m: m, node: m.names[name]}, nil
}

// List gives the names.
func (m *Mem) List() ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return nil, errDead
	}
	return slices.Sorted(maps.Keys(m.names)), nil
}

// Rename renames a file.
func (m *Mem) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.names[from] == nil {
		return fs.ErrNotExist
	}
	return m.renamed(func() {
		m.names[to] = m.names[from]
		delete(m.names, from)
	})
}

// Remove removes a name.
func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.names[name] == nil {
		return fs.ErrNotExist
	}
	return m.renamed(func() { delete(m.names, name) })
}

// Sync makes the names durable.
func (m *Mem) Sync() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.change(func() error {
		m.durable, m.history = maps.Clone(m.names), nil
		return nil
	})
}

type file struct {
	m      *Mem
	node   *inode
	closed bool
}

// use says whether the file can be used. The caller holds mu.
func (f *file) use() error {
	switch {
	case f.m.dead:
		return errDead
	case f.closed:
		return fs.ErrClosed
	}
	return nil
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.use(); err != nil {
		return 0, err
	}
	if off >= int64(len(f.node.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.node.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// edit runs one change of content. The caller holds mu.
func (f *file) edit(w write) error {
	if err := f.use(); err != nil {
		return err
	}
	return f.m.change(func() error {
		if f.m.limit > 0 && f.m.used()+len(w.apply(slices.Clone(f.node.data)))-len(f.node.data) > f.m.limit {
			return ErrFull
		}
		f.node.data = w.apply(f.node.data)
		f.node.pending = append(f.node.pending, w)
		return nil
	})
}

func (m *Mem) used() int {
	n := 0
	for _, node := range m.names {
		n += len(node.data)
	}
	return n
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	w := write{off: int(off), data: slices.Clone(p)}
	if f.m.changes+1 == f.m.failAt && f.m.when == Half && f.use() == nil {
		half := write{off: w.off, data: w.data[:len(w.data)/2]}
		f.node.data = half.apply(f.node.data)
		f.node.pending = append(f.node.pending, half)
	}
	if err := f.edit(w); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (f *file) Size() (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	return int64(len(f.node.data)), f.use()
}

func (f *file) Allocate(size int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if int64(len(f.node.data)) >= size {
		return f.use()
	}
	return f.edit(write{resize: true, size: int(size)})
}

func (f *file) Truncate(size int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	return f.edit(write{resize: true, size: int(size)})
}

// Sync makes the content durable. When it fails before its effect, what was pending is visible but never reaches the disk, and the next
// Sync succeeds: so do common kernels.
func (f *file) Sync() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.use(); err != nil {
		return err
	}
	done := false
	err := f.m.change(func() error {
		done = true
		for _, w := range f.node.pending {
			f.node.durable = w.apply(f.node.durable)
		}
		f.node.pending = nil
		return nil
	})
	if err != nil && !done {
		f.node.pending = nil
	}
	return err
}

func (f *file) TryLock(n int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.use(); err != nil {
		return err
	}
	l := lock{f.node, n}
	if by := f.m.locks[l]; by != nil && by != f {
		return disk.ErrLocked
	}
	f.m.locks[l] = f
	return nil
}

func (f *file) Unlock(n int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.use(); err != nil {
		return err
	}
	if f.m.locks[lock{f.node, n}] == f {
		delete(f.m.locks, lock{f.node, n})
	}
	return nil
}

func (f *file) Close() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	f.closed = true
	for l, by := range f.m.locks {
		if by == f {
			delete(f.m.locks, l)
		}
	}
	return nil
}
