// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"sync"
)

// ErrWiped says that a secret was wiped, or never made: the zero [Bytes] is a wiped one.
var ErrWiped = errors.New("secret: used after the wipe")

// Bytes is a piece of key material in an [Arena]. It is a handle: copies share one content, and wiping one wipes all.
// The zero Bytes is a wiped secret. Its methods are safe for concurrent use.
//
// It prints and logs as "[secret]", refuses every marshaller, and can't be compared with ==, because its only field is a func: fmt and
// reflect can't look behind one, not even where Bytes is an unexported field and its methods are not called.
type Bytes struct{ content func() *content }

// content is what a Bytes stands for. Nothing but closures may hold it.
type content struct {
	arena *Arena

	mu    sync.Mutex // guards all below; never held while a user's function runs
	idle  *sync.Cond // on mu, signalled when users becomes 0
	users int
	gone  bool   // no new users
	slot  slot   // where data lies
	data  []byte // in the arena; nil once wiped; xor pad when there is one
	pads  slot   // where pad lies
	pad   []byte // in the arena, as long as data; nil unless masked
}

// New makes a secret of n bytes in a. fill gets them zeroed and writes the content in place; when it fails they are wiped and its error is
// returned. fill must not keep the slice.
func New(a *Arena, n int, fill func([]byte) error) (Bytes, error) {
	if a == nil {
		return Bytes{}, fmt.Errorf("secret: new secret: %w", ErrArenaClosed)
	}
	if n < 1 || n > MaxArenaSize {
		return Bytes{}, fmt.Errorf("%w: secret of %d bytes; ask for at least 1", ErrSize, n)
	}
	s, b, err := a.alloc(n, near)
	if err != nil {
		return Bytes{}, err
	}
	filled := false
	defer func() {
		if !filled { // also when fill panics
			a.free(s)
		}
	}()
	if err := fill(b); err != nil {
		return Bytes{}, err
	}
	filled = true
	c := &content{arena: a, slot: s, data: b}
	c.idle = sync.NewCond(&c.mu)
	return Bytes{func() *content { return c }}, nil
}

// Take moves raw into a secret: raw is zeroed, whether Take succeeds or not.
func Take(a *Arena, raw []byte) (Bytes, error) {
	defer wipe(raw)
	return New(a, len(raw), func(b []byte) error {
		copy(b, raw)
		return nil
	})
}

// Len returns the length in bytes, 0 once wiped.
func (b Bytes) Len() int {
	c, err := b.enter()
	if err != nil {
		return 0
	}
	defer c.leave()
	return len(c.data)
}

// Use calls f with the content and returns its error, or [ErrWiped] without calling it. f must not write, keep or copy the slice, nor
// send it to another goroutine that outlives the call, nor wipe or mask the secret it uses. Many may use a secret at the same time.
func (b Bytes) Use(f func([]byte) error) error {
	c, err := b.enter()
	if err != nil {
		return err
	}
	defer c.leave()
	if c.pad == nil {
		return f(c.data)
	}
	s, plain, err := c.arena.alloc(len(c.data), near)
	if err != nil {
		return err
	}
	defer c.arena.free(s)
	subtle.XORBytes(plain, c.data, c.pad)
	return f(plain)
}

// Mask hides the content at rest: from now on the arena holds it combined with a random pad that lies at the arena's other end, and each
// Use sees a fresh plain copy in the arena that is wiped when it returns. It is for keys kept in a cache: somebody who can read a stretch of
// the memory gets nothing. It doesn't stop code that runs in the process. It waits for users; masking twice does nothing.
// The arena must keep room for one plain copy for each concurrent Use, or that Use fails with [ErrArenaFull].
func (b Bytes) Mask() error {
	if b.content == nil {
		return ErrWiped
	}
	c := b.content()
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.users > 0 {
		c.idle.Wait()
	}
	if c.gone {
		return ErrWiped
	}
	if c.pad != nil {
		return nil
	}
	s, pad, err := c.arena.alloc(len(c.data), far)
	if err != nil {
		return err
	}
	rand.Read(pad) // never fails: crypto/rand ends the process when the system has no randomness
	subtle.XORBytes(c.data, c.data, pad)
	c.pads, c.pad = s, pad
	return nil
}

// Masked reports whether the content is masked at rest.
func (b Bytes) Masked() bool {
	c, err := b.enter()
	if err != nil {
		return false
	}
	defer c.leave()
	return c.pad != nil
}

// Equal reports whether two secrets hold the same bytes, in time that depends only on their lengths. A wiped secret equals nothing, not
// even itself; so does a masked one for which the arena has no room.
func (b Bytes) Equal(other Bytes) bool {
	equal := false
	err := b.Use(func(x []byte) error {
		return other.Use(func(y []byte) error {
			equal = subtle.ConstantTimeCompare(x, y) == 1
			return nil
		})
	})
	return err == nil && equal
}

// Wipe zeroes the content and gives its room back to the arena. It turns new users away at once, waits for those inside [Bytes.Use], and
// has done its work when it returns. Wiping again does nothing.
func (b Bytes) Wipe() {
	if b.content == nil {
		return
	}
	c := b.content()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone = true
	for c.users > 0 {
		c.idle.Wait()
	}
	if c.data == nil {
		return
	}
	c.arena.free(c.slot)
	if c.pad != nil {
		c.arena.free(c.pads)
	}
	c.data, c.pad = nil, nil
}

// enter registers a user; data and pad stay as they are until it leaves.
func (b Bytes) enter() (*content, error) {
	if b.content == nil {
		return nil, ErrWiped
	}
	c := b.content()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return nil, ErrWiped
	}
	c.users++
	return c, nil
}

func (c *content) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.users--
	if c.users == 0 {
		c.idle.Broadcast()
	}
}
