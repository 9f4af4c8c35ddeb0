// SPDX-License-Identifier: Apache-2.0

// Package durabletest has a disk in memory for tests of what must survive: it knows what is in the page cache and what is on the platter,
// stops at a chosen operation, before or after its effect, and comes back as after a kill or a power failure.
package durabletest

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sort"
	"sync"

	"strongroom/internal/core/durable"
)

// ErrStopped is what the operation at which the disk stops returns, and each one after it.
var ErrStopped = errors.New("the disk stopped")

// Loss says what a crash loses of what was not synced.
type Loss string

// The losses.
const (
	Nothing Loss = "nothing"        // the process was killed: the page cache lives
	Data    Loss = "data"           // power failed: names were written back, contents were not
	All     Loss = "data and names" // power failed: nothing was written back
)

// Losses lists every loss.
func Losses() []Loss { return []Loss{Nothing, Data, All} }

var _ durable.Disk = (*Disk)(nil)

// Disk implements [durable.Disk]. It is safe for concurrent use.
type Disk struct {
	mu    sync.Mutex // guards all below
	root  *node
	ops   int
	stop  int // operation to stop at, from 1; 0 is never
	after bool
	down  bool
}

// node is a file or a directory, cached and on the platter.
type node struct {
	dir            bool
	data, platter  []byte
	names, written map[string]*node
}

// New returns a disk with one empty directory, "/".
func New() *Disk { return &Disk{root: newDir()} }

func newDir() *node { return &node{dir: true, names: map[string]*node{}, written: map[string]*node{}} }

// Ops returns how many operations were done.
func (d *Disk) Ops() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ops
}

// StopAt makes the n-th operation from now the last one, which returns [ErrStopped]; after says whether it takes effect.
func (d *Disk) StopAt(n int, after bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stop, d.after = d.ops+n, after
}

// Restart brings the disk back after a crash.
func (d *Disk) Restart(loss Loss) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stop, d.down = 0, false
	d.root.lose(loss)
}

func (n *node) lose(loss Loss) {
	if loss == Nothing {
		return
	}
	if !n.dir {
		n.data = append([]byte(nil), n.platter...)
		return
	}
	if loss == All {
		n.names = copyNames(n.written)
	} else {
		n.written = copyNames(n.names)
	}
	for _, c := range n.names {
		c.lose(loss)
	}
}

// Flip changes one bit of a file, as a bad disk does.
func (d *Disk) Flip(path string, bit int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.find(path)
	if err != nil {
		panic(err)
	}
	n.data[bit/8] ^= 1 << (bit % 8)
}

// op runs f as one operation.
func (d *Disk) op(f func() error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.down {
		return ErrStopped
	}
	d.ops++
	if d.ops != d.stop {
		return f()
	}
	d.down = true
	if d.after {
		return errors.Join(ErrStopped, f())
	}
	return ErrStopped
}

func (d *Disk) find(path string) (*node, error) {
	path = filepath.Clean(path)
	if path == "/" {
		return d.root, nil
	}
	parent, err := d.find(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	n, ok := parent.names[filepath.Base(path)]
	if !ok {
		return nil, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	}
	return n, nil
}

// put names a node; replace says whether it may take the place of another.
func (d *Disk) put(path string, n *node, replace bool) error {
	parent, err := d.find(filepath.Dir(path))
	if err != nil {
		return err
	}
	if _, ok := parent.names[filepath.Base(path)]; ok && !replace {
		return fmt.Errorf("%s: %w", path, fs.ErrExist)
	}
	parent.names[filepath.Base(path)] = n
	return nil
}

func (d *Disk) take(path string) (*node, error) {
	n, err := d.find(path)
	if err != nil {
		return nil, err
	}
	parent, err := d.find(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	delete(parent.names, filepath.Base(path))
	return n, nil
}

// WriteNew is four operations, so that a crash can fall between them: make, write half, write the rest, sync.
func (d *Disk) WriteNew(path string, data []byte) error {
	n := &node{}
	steps := []func() error{
		func() error { return d.put(path, n, false) },
		func() error { n.data = append(n.data, data[:len(data)/2]...); return nil },
		func() error { n.data = append(n.data, data[len(data)/2:]...); return nil },
		func() error { n.platter = append([]byte(nil), n.data...); return nil },
	}
	for _, s := range steps {
		if err := d.op(s); err != nil {
			return err
		}
	}
	return nil
}

// Read returns the content.
func (d *Disk) Read(path string, limit int) (out []byte, err error) {
	err = d.op(func() error {
		n, err := d.find(path)
		if err != nil {
			return err
		}
		if len(n.data) > limit {
			return fmt.Errorf("%s has more than %d bytes", path, limit)
		}
		out = append([]byte(nil), n.data...)
		return nil
	})
	return out, err
}

// Zero is two operations: overwrite, sync.
func (d *Disk) Zero(path string) error {
	err := d.op(func() error {
		n, err := d.find(path)
		if err != nil {
			return err
		}
		clear(n.data)
		return nil
	})
	if err != nil {
		return err
	}
	return d.op(func() error {
		n, err := d.find(path)
		if err != nil {
			return err
		}
		n.platter = append([]byte(nil), n.data...)
		return nil
	})
}

// Link gives a file a second name.
func (d *Disk) Link(path, name string) error {
	return d.op(func() error {
		n, err := d.find(path)
		if err != nil {
			return err
		}
		return d.put(name, n, false)
	})
}

// Rename moves a file.
func (d *Disk) Rename(path, name string) error {
	return d.op(func() error {
		n, err := d.take(path)
		if err != nil {
			return err
		}
		return d.put(name, n, true)
	})
}

// Remove removes a name.
func (d *Disk) Remove(path string) error {
	return d.op(func() error { _, err := d.take(path); return err })
}

// Mkdir makes a directory.
func (d *Disk) Mkdir(path string) error {
	return d.op(func() error { return d.put(path, newDir(), false) })
}

// List returns the names in a directory, sorted.
func (d *Disk) List(dir string) (names []string, err error) {
	err = d.op(func() error {
		n, err := d.find(dir)
		if err != nil {
			return err
		}
		for name := range n.names {
			names = append(names, name)
		}
		return nil
	})
	sort.Strings(names)
	return names, err
}

// SyncDir writes the names to the platter.
func (d *Disk) SyncDir(dir string) error {
	return d.op(func() error {
		n, err := d.find(dir)
		if err != nil {
			return err
		}
		n.written = copyNames(n.names)
		return nil
	})
}

func copyNames(m map[string]*node) map[string]*node {
	out := make(map[string]*node, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}
