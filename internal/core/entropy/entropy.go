// SPDX-License-Identifier: Apache-2.0

// Package entropy mixes randomness for master material: seeds, working keys, a ceremony's contribution. It draws from every source that the
// machine has, so that the result is as good as the best of them, and credits only the system's: all others could be gone and the result
// would still be what the system gives (docs/spec/entropy.md). Ordinary nonces come from crypto/rand directly.
//
// It refuses to start without the system's randomness, to go on after a source has failed a health test (the [Latch] is set, and what reads
// it neither generates nor signs), and any part of an output when a source that should give some doesn't.
//
// Sources: the system (crypto/rand: getrandom(2); with GODEBUG=fips140=on also Go's CPU jitter source, which no other way reaches),
// RDSEED, /dev/hwrng, the root of trust, dice that people roll. Health tests: SP 800-90B sections 4.3 and 4.4, FIPS 140-3 IG D.K.
//
// Copies outside the arena: none of what is drawn and mixed. The health tests keep the SHA-256 of each source's last block, not the block; the hash's own
// buffer of it is garbage.
package entropy

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"strongroom/internal/core/internal/kdf"
	"strongroom/internal/secret"
)

var (
	// ErrHealth says that a source's output failed a health test. It is wrapped by what the latch holds then.
	ErrHealth = errors.New("entropy: a source of randomness failed its health test")
	// ErrSystem says that the system gives no good randomness: the core can't start.
	ErrSystem = errors.New("entropy: the system's randomness is not usable; the core does not start without it")
	// ErrSource says that a source that was good at the start gives nothing any more.
	ErrSource = errors.New("entropy: a source of randomness has failed; repair or remove it, then start the core again")
	// ErrSlow says that a source gave nothing in time. Nothing was made; ask again.
	ErrSlow = errors.New("entropy: a source of randomness gave nothing in time; ask again, or start the core without the source")
	// ErrInput says that what was asked for can't be mixed.
	ErrInput = errors.New("entropy: can't be mixed")
)

// Sizes in bytes.
const (
	perSource = 64       // drawn from each source for one output: 512 bits
	maxOutput = 255 * 64 // of one output, a limit of HKDF
	maxExtra  = 4 << 10  // of one contribution by people
)

// maxParts is how many sources and contributions can be mixed.
const maxParts = 32

// Source is something that gives random bytes. Read is called by one goroutine at a time.
type Source interface {
	// Name is a short word for status pages; part of the mix, so that the same bytes of two sources differ.
	Name() string
	// Read fills b or fails; b is then not used.
	Read(ctx context.Context, b []byte) error
}

// Use says how the mixer treats a source.
type Use struct {
	Source Source
	// Credited marks the system's: without it nothing starts.
	Credited bool
	// Noise is the min-entropy in bits of each byte, 0 < Noise <= 8, that is claimed for a source of raw noise, which is then put through the
	// repetition count and adaptive proportion tests. 0: the source conditions its output, and is tested for blocks that repeat.
	Noise float64
}

// Config says what a mixer works with.
type Config struct {
	Arena *secret.Arena
	Latch *Latch // set when a source fails after the start
	Use   []Use  // with exactly one credited
}

// Mixer mixes sources. Its methods are safe for concurrent use.
type Mixer struct {
	arena *secret.Arena
	latch *Latch

	mu    sync.Mutex // guards taps: one draw at a time, because health tests see a source's output in order
	taps  []*tap
	state []Status
}

// Status is what is known of a source.
type Status struct {
	Name     string
	Credited bool
	Noise    float64 // claimed min-entropy of a byte in bits; 0: conditioned
	Err      error   // why it is not used, nil if it is
}

// tap is a source that passed its start-up tests.
type tap struct {
	use    Use
	health tester
}

// New puts each source through its start-up tests and makes a mixer of those that pass. One that doesn't is left out and told by
// [Mixer.Status]; the credited one must pass ([ErrSystem]).
func New(ctx context.Context, cfg Config) (*Mixer, error) {
	if cfg.Arena == nil || cfg.Latch == nil || len(cfg.Use) == 0 || len(cfg.Use) > maxParts {
		return nil, fmt.Errorf("%w: an arena, a latch and 1 to %d sources are required", ErrInput, maxParts)
	}
	m := &Mixer{arena: cfg.Arena, latch: cfg.Latch}
	credited, names := 0, map[string]bool{}
	for _, u := range cfg.Use {
		name := u.Source.Name()
		if name == "" || len(name) > 64 || names[name] || u.Noise < 0 || u.Noise > 8 {
			return nil, fmt.Errorf("%w: source %q has no name of its own, or claims %v bits a byte", ErrInput, name, u.Noise)
		}
		names[name] = true
		if u.Credited {
			credited++
		}
	}
	if credited != 1 {
		return nil, fmt.Errorf("%w: %d sources are credited, not 1", ErrInput, credited)
	}
	for _, u := range cfg.Use {
		t := &tap{use: u, health: newTester(u.Noise)}
		err := m.startUp(ctx, t)
		if err != nil && u.Credited {
			return nil, fmt.Errorf("%w: %w", ErrSystem, err)
		}
		m.state = append(m.state, Status{Name: u.Source.Name(), Credited: u.Credited, Noise: u.Noise, Err: err})
		if err == nil {
			m.taps = append(m.taps, t)
		}
	}
	return m, nil
}

// startUp draws startSamples bytes through the health tests and throws them away (SP 800-90B section 4.3, item 4).
func (m *Mixer) startUp(ctx context.Context, t *tap) error {
	scratch, err := secret.New(m.arena, startSamples, func(b []byte) error { return t.draw(ctx, b) })
	scratch.Wipe()
	return err
}

// draw fills b and tests it.
func (t *tap) draw(ctx context.Context, b []byte) error {
	name := t.use.Source.Name()
	if err := t.use.Source.Read(ctx, b); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	if err := t.health.test(b); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrHealth, name, err)
	}
	return nil
}

// Status lists all sources, in order.
func (m *Mixer) Status() []Status { return append([]Status(nil), m.state...) }

// Mix makes n bytes, 1 to 16,320, for a purpose, from 64 fresh bytes of each source and from what people contributed. The caller wipes the
// result. Everything that goes in has its name and length in front, so no two mixtures of different parts have the same input.
func (m *Mixer) Mix(ctx context.Context, purpose string, n int, extra ...Contribution) (secret.Bytes, error) {
	if n < 1 || n > maxOutput {
		return secret.Bytes{}, fmt.Errorf("%w: %d bytes; ask for 1 to %d", ErrInput, n, maxOutput)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.latch.Err(); err != nil {
		return secret.Bytes{}, err
	}
	if len(m.taps)+len(extra) > maxParts {
		return secret.Bytes{}, fmt.Errorf("%w: %d parts, at most %d", ErrInput, len(m.taps)+len(extra), maxParts)
	}
	size := 0
	for _, t := range m.taps {
		size += partSize(t.use.Source.Name(), perSource)
	}
	for _, c := range extra {
		if c.Name == "" || len(c.Name) > 64 || c.Bytes.Len() < 1 || c.Bytes.Len() > maxExtra {
			return secret.Bytes{}, fmt.Errorf("%w: contribution %q of %d bytes; give it a name and 1 to %d bytes", ErrInput, c.Name, c.Bytes.Len(), maxExtra)
		}
		size += partSize(c.Name, c.Bytes.Len())
	}
	input, err := secret.New(m.arena, size, func(b []byte) error { return m.gather(ctx, b, extra) })
	if err != nil {
		return secret.Bytes{}, err
	}
	defer input.Wipe()
	return m.expand(input, purpose, n)
}

// Contribution is randomness that somebody brings: dice, a participant's share of a ceremony's randomness. It is mixed, not credited.
type Contribution struct {
	Name  string
	Bytes secret.Bytes
}

// gather fills b with all parts. A source that fails sets the latch, unless the caller gave up or it was only slow.
func (m *Mixer) gather(ctx context.Context, b []byte, extra []Contribution) error {
	for _, t := range m.taps {
		var room []byte
		room, b = part(b, t.use.Source.Name(), perSource)
		if err := t.draw(ctx, room); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if errors.Is(err, context.DeadlineExceeded) {
				return fmt.Errorf("%w: %w", ErrSlow, err)
			}
			if !errors.Is(err, ErrHealth) {
				err = fmt.Errorf("%w: %w", ErrSource, err)
			}
			m.latch.Set(err)
			return err
		}
	}
	for _, c := range extra {
		var room []byte
		room, b = part(b, c.Name, c.Bytes.Len())
		if err := c.Bytes.Use(func(p []byte) error { copy(room, p); return nil }); err != nil {
			return err
		}
	}
	return nil
}

// partSize is the length of a part: name and content, each after its length in two bytes, big-endian.
func partSize(name string, n int) int { return 2 + len(name) + 2 + n }

// part writes a part's head and returns the room for its content and what follows it.
func part(b []byte, name string, n int) (room, rest []byte) {
	binary.BigEndian.PutUint16(b, uint16(len(name)))
	b = b[2:]
	b = b[copy(b, name):]
	binary.BigEndian.PutUint16(b, uint16(n))
	return b[2 : 2+n : 2+n], b[2+n:]
}

// salt makes the extraction one of its own.
const salt = "strongroom/entropy/1"

// expand is HKDF-SHA-512 (RFC 5869) of the parts; the purpose is its info.
func (m *Mixer) expand(input secret.Bytes, purpose string, n int) (secret.Bytes, error) {
	return secret.New(m.arena, n, func(out []byte) error {
		return input.Use(func(parts []byte) error { return kdf.HKDF(kdf.SHA512, out, parts, []byte(salt), []byte(purpose)) })
	})
}

// Fill fills b with mixed bytes, for packages that make keys in place.
func (m *Mixer) Fill(ctx context.Context, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	s, err := m.Mix(ctx, "key", len(b))
	if err != nil {
		return err
	}
	defer s.Wipe()
	return s.Use(func(p []byte) error {
		copy(b, p)
		return nil
	})
}
