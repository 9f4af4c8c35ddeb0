// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// MaxArenaSize is the largest [Config.Size] that [NewArena] accepts: 64 GiB.
const MaxArenaSize = 64 << 30

var (
	// ErrArenaFull says that the arena has no room for a secret of the size asked for: wipe secrets no longer needed, or configure a larger arena.
	ErrArenaFull = errors.New("secret: the arena is full: wipe secrets no longer needed or configure a larger arena")
	// ErrArenaClosed says that the arena was closed and holds nothing any more.
	ErrArenaClosed = errors.New("secret: the arena is closed")
	// ErrSize says that a size lies outside what an arena or a secret can have.
	ErrSize = errors.New("secret: size out of range")
)

// Config says what arena to make. The zero Config is refused.
type Config struct {
	// Size is the room for secrets in bytes, at least 1 and at most [MaxArenaSize], rounded up to whole pages. It never grows.
	Size int
	// RequireLock refuses an arena that cannot be locked into memory. Without it the arena works unlocked, and [Arena.Locked] says so.
	RequireLock bool
}

// Arena is a bounded region of memory outside the Go heap for secrets: anonymous and private, between two guard pages, locked (mlock), left
// out of core dumps (MADV_DONTDUMP) and zero in forked children (MADV_WIPEONFORK). Only [Bytes] hand its memory out.
// Its methods are safe for concurrent use.
type Arena struct {
	region  func() []byte // the usable bytes; behind a func, because fmt follows slices and calls no method on unexported fields
	mapping func() []byte // the same with both guard pages, as mmap gave it
	lockErr error         // why the region is not locked, nil when it is

	mu     sync.Mutex // guards pool and closed
	pool   pool
	closed bool
}

// NewArena maps, fences and locks an arena. When the lock limit is too low and cfg.RequireLock is set, the error is a [*LockLimitError],
// whose text names the commands that raise the limit.
func NewArena(cfg Config) (*Arena, error) {
	if cfg.Size < 1 || cfg.Size > MaxArenaSize {
		return nil, fmt.Errorf("%w: arena of %d bytes; configure 1 to %d", ErrSize, cfg.Size, MaxArenaSize)
	}
	page := os.Getpagesize()
	size := (cfg.Size + page - 1) / page * page
	m, err := unix.Mmap(-1, 0, size+2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("secret: map %d bytes: %w", size+2*page, err)
	}
	a, err := fence(m, page, cfg.RequireLock)
	if err != nil {
		return nil, errors.Join(err, unix.Munmap(m))
	}
	return a, nil
}

// fence turns a fresh mapping into an arena: guard pages at both ends, the rest hidden from dumps and children, and locked.
func fence(m []byte, page int, requireLock bool) (*Arena, error) {
	inner := m[page : len(m)-page : len(m)-page]
	for _, guard := range [][]byte{m[:page], m[len(m)-page:]} {
		if err := unix.Mprotect(guard, unix.PROT_NONE); err != nil {
			return nil, fmt.Errorf("secret: protect guard page: %w", err)
		}
	}
	if err := unix.Madvise(inner, unix.MADV_DONTDUMP); err != nil {
		return nil, fmt.Errorf("secret: keep the arena out of core dumps: %w", err)
	}
	if err := unix.Madvise(inner, unix.MADV_WIPEONFORK); err != nil {
		return nil, fmt.Errorf("secret: keep the arena from forked children: %w", err)
	}
	lockErr := lock(inner)
	if lockErr != nil && requireLock {
		return nil, lockErr
	}
	return &Arena{
		region:  func() []byte { return inner },
		mapping: func() []byte { return m },
		lockErr: lockErr,
		pool:    newPool(len(inner)),
	}, nil
}

// Locked reports whether the arena is locked into memory and can't be written to swap.
func (a *Arena) Locked() bool { return a.lockErr == nil }

// LockError returns why the arena is not locked, nil when it is; a [*LockLimitError] when the limit is too low. It is fit for a status page.
func (a *Arena) LockError() error { return a.lockErr }

// Usage is how full an arena is.
type Usage struct {
	Size int // bytes the arena can hold
	Used int // bytes handed out, rounded up to what each secret occupies
	Live int // secrets and pads not yet wiped
}

// Usage returns how full the arena is now.
func (a *Arena) Usage() Usage {
	a.mu.Lock()
	defer a.mu.Unlock()
	return Usage{Size: len(a.region()), Used: a.pool.used, Live: a.pool.live}
}

// Close wipes and unmaps the arena. It refuses while secrets are live, because using one afterwards would fault; wipe them first.
// A second Close does nothing.
func (a *Arena) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil
	}
	if a.pool.live > 0 {
		return fmt.Errorf("secret: close arena: %d secrets are live; wipe them first", a.pool.live)
	}
	wipe(a.region())
	if err := unix.Munmap(a.mapping()); err != nil {
		return fmt.Errorf("secret: unmap arena: %w", err)
	}
	a.closed = true
	a.region, a.mapping = noBytes, noBytes
	return nil
}

// Format prints "[secret arena]" under every verb.
func (a *Arena) Format(f fmt.State, _ rune) { writeString(f, "[secret arena]") }

// alloc returns n zero bytes of the arena and the slot to free them with. Pads come from the far end, secrets from the near one.
func (a *Arena) alloc(n int, end end) (slot, []byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return slot{}, nil, ErrArenaClosed
	}
	s, ok := a.pool.take(n, end)
	if !ok {
		return slot{}, nil, ErrArenaFull
	}
	return s, a.region()[s.off : s.off+n : s.off+n], nil
}

// free wipes the slot and makes its room available again.
func (a *Arena) free(s slot) {
	a.mu.Lock()
	defer a.mu.Unlock()
	wipe(a.region()[s.off : s.off+s.size])
	a.pool.give(s)
}

// wipe zeroes b. It is never inlined, so that the compiler cannot see that nobody reads b again and leave the stores out.
//
//go:noinline
func wipe(b []byte) { clear(b) }

func noBytes() []byte { return nil }
