// SPDX-License-Identifier: Apache-2.0

package entropy

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha512"
	"errors"
	"fmt"
	"math/bits"
	"strings"
	"sync"
	"testing"

	"strongroom/internal/secret"
	"strongroom/internal/secret/secrettest"
)

// fake is a source that a test breaks. It gives counted bytes: good ones, different in each read.
type fake struct {
	name string
	mu   sync.Mutex // guards the rest
	err  error      // what Read answers
	fill func([]byte)
	got  [][]byte // what was given out
}

func (f *fake) Name() string { return f.name }

func (f *fake) Read(_ context.Context, b []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fill != nil {
		f.fill(b)
	} else {
		rand.Read(b)
	}
	f.got = append(f.got, bytes.Clone(b))
	return f.err
}

func (f *fake) breakIt(err error, fill func([]byte)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err, f.fill = err, fill
}

func zeros(b []byte) { clear(b) }

// machine is a mixer over three sources.
type machine struct {
	mixer             *Mixer
	latch             *Latch
	system, chip, raw *fake
}

func uses(m *machine) []Use {
	return []Use{{Source: m.system, Credited: true}, {Source: m.chip}, {Source: m.raw, Noise: 1}}
}

func newMachine() *machine {
	return &machine{latch: NewLatch(), system: &fake{name: "system"}, chip: &fake{name: "chip"}, raw: &fake{name: "raw"}}
}

func start(t *testing.T, m *machine) *machine {
	t.Helper()
	var err error
	if m.mixer, err = New(t.Context(), Config{Arena: secrettest.Arena(t), Latch: m.latch, Use: uses(m)}); err != nil {
		t.Fatal(err)
	}
	return m
}

func mix(t *testing.T, m *Mixer, purpose string, n int, extra ...Contribution) []byte {
	t.Helper()
	s, err := m.Mix(t.Context(), purpose, n, extra...)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Wipe()
	var out []byte
	if err := s.Use(func(b []byte) error { out = bytes.Clone(b); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestMixIsWhatTheSpecSays makes the output again from what the sources gave, in plain code.
func TestMixIsWhatTheSpecSays(t *testing.T) {
	t.Parallel()
	m := start(t, newMachine())
	extra, err := secret.Take(m.mixer.arena, []byte{1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	defer extra.Wipe()
	got := mix(t, m.mixer, "seed", 48, Contribution{"dice", extra})
	var parts []byte
	for _, f := range []*fake{m.system, m.chip, m.raw} {
		last := f.got[len(f.got)-1]
		if len(f.got) != 2 || len(f.got[0]) != startSamples || len(last) != 64 {
			t.Fatalf("%s: %d reads, the last of %d bytes", f.name, len(f.got), len(last))
		}
		parts = fmt.Appendf(parts, "\x00%c%s\x00\x40%s", len(f.name), f.name, last)
	}
	parts = append(parts, "\x00\x04dice\x00\x03\x01\x02\x03"...)
	want, err := hkdf.Key(sha512.New, parts, []byte("strongroom/entropy/1"), "seed", 48)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x, %v", got, want, err)
	}
}

// TestEachPartCounts: with all else the same, another byte of one source, another contribution or purpose makes another output. So the
// output is as good as the best source: nobody who knows the others can compute it.
func TestEachPartCounts(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	fixed := func(seed byte) func([]byte) {
		n := byte(0)
		return func(b []byte) {
			for i := range b {
				n += 7
				b[i] = n ^ seed
			}
			n++
		}
	}
	outcome := func(purpose string, seeds [3]byte, extra ...byte) string {
		m := newMachine()
		for i, f := range []*fake{m.system, m.chip, m.raw} {
			f.fill = fixed(seeds[i])
		}
		mixer, err := New(t.Context(), Config{Arena: a, Latch: m.latch, Use: uses(m)})
		if err != nil {
			t.Fatal(err)
		}
		var list []Contribution
		if len(extra) > 0 {
			s, err := secret.Take(a, extra)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Wipe()
			list = append(list, Contribution{"dice", s})
		}
		return string(mix(t, mixer, purpose, 32, list...))
	}
	seen := map[string]bool{}
	for _, o := range []string{
		outcome("seed", [3]byte{1, 2, 3}), outcome("seed", [3]byte{2, 2, 3}), outcome("seed", [3]byte{1, 3, 3}), outcome("seed", [3]byte{1, 2, 4}),
		outcome("key", [3]byte{1, 2, 3}), outcome("seed", [3]byte{1, 2, 3}, 9), outcome("seed", [3]byte{1, 2, 3}, 8),
	} {
		if seen[o] {
			t.Errorf("the same output twice: %x", o)
		}
		seen[o] = true
	}
	if one := outcome("seed", [3]byte{1, 2, 3}); one != outcome("seed", [3]byte{1, 2, 3}) {
		t.Error("the test has randomness of its own")
	}
}

// TestStart boots with sources that are dead in each way.
func TestStart(t *testing.T) {
	t.Parallel()
	gone := errors.New("the cable is cut")
	pattern := func(b []byte) { // 16 bytes again and again, 12 of them equal
		copy(b, bytes.Repeat([]byte{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 3, 4, 5}, len(b)/16+1))
	}
	for name, tt := range map[string]struct {
		err  error
		fill func([]byte)
	}{"gives an error": {gone, nil}, "gives zeros": {nil, zeros}, "gives a pattern": {nil, pattern}} {
		for _, dead := range []string{"chip", "raw", "chip raw", "system", "system chip raw"} {
			t.Run(name+"/"+dead, func(t *testing.T) {
				m := newMachine()
				for _, f := range []*fake{m.system, m.chip, m.raw} {
					if strings.Contains(dead, f.name) {
						f.breakIt(tt.err, tt.fill)
					}
				}
				mixer, err := New(t.Context(), Config{Arena: secrettest.Arena(t), Latch: m.latch, Use: uses(m)})
				if strings.Contains(dead, "system") {
					if !errors.Is(err, ErrSystem) || tt.err != nil && !errors.Is(err, gone) || tt.err == nil && !errors.Is(err, ErrHealth) {
						t.Fatalf("got %v", err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				for _, s := range mixer.Status() {
					if (s.Err != nil) != strings.Contains(dead, s.Name) {
						t.Errorf("%s: got %v", s.Name, s.Err)
					}
				}
				if out := mix(t, mixer, "x", 32); bytes.Equal(out, make([]byte, 32)) || m.latch.Err() != nil {
					t.Errorf("got %x, %v", out, m.latch.Err())
				}
				for _, f := range []*fake{m.chip, m.raw} {
					if strings.Contains(dead, f.name) && len(f.got) > 1 {
						t.Errorf("%s was used after its start-up test", f.name)
					}
				}
			})
		}
	}
}

// TestFailureWhileRunning: whichever source fails, however, nothing is given out, the latch is set, and stays set when the source is well again.
func TestFailureWhileRunning(t *testing.T) {
	t.Parallel()
	gone := errors.New("the cable is cut")
	for name, tt := range map[string]struct {
		err  error
		fill func([]byte)
		want error
	}{"gives an error": {gone, nil, ErrSource}, "gives zeros": {nil, zeros, ErrHealth}} {
		for i := range 3 {
			m := start(t, newMachine())
			f := []*fake{m.system, m.chip, m.raw}[i]
			t.Run(name+"/"+f.name, func(t *testing.T) {
				mix(t, m.mixer, "x", 32)
				f.breakIt(tt.err, tt.fill)
				out, err := m.mixer.Mix(t.Context(), "x", 32)
				if !errors.Is(err, tt.want) || out.Len() != 0 || !strings.Contains(err.Error(), f.name) {
					t.Fatalf("got %d bytes, %v", out.Len(), err)
				}
				select {
				case <-m.latch.Failed():
				default:
					t.Error("the latch is not set")
				}
				f.breakIt(nil, nil)
				if _, err := m.mixer.Mix(t.Context(), "x", 32); !errors.Is(err, ErrLatched) || !errors.Is(err, tt.want) {
					t.Errorf("after the failure: got %v", err)
				}
				b := make([]byte, 32)
				if err := m.mixer.Fill(t.Context(), b); !errors.Is(err, ErrLatched) || !bytes.Equal(b, make([]byte, 32)) {
					t.Errorf("fill after the failure: got %x, %v", b, err)
				}
			})
		}
	}
}

// TestReplayedSource: a source that answers the same again, as a machine restored from a snapshot may, is found.
func TestReplayedSource(t *testing.T) {
	t.Parallel()
	m := start(t, newMachine())
	answer := make([]byte, 64)
	rand.Read(answer)
	copy(answer[48:], answer[:16]) // the answer's end is its start: the block after the last is the one before
	m.chip.breakIt(nil, func(b []byte) { copy(b, answer) })
	mix(t, m.mixer, "x", 32)
	if _, err := m.mixer.Mix(t.Context(), "x", 32); !errors.Is(err, ErrHealth) {
		t.Errorf("got %v", err)
	}
}

// TestGivingUpIsNoFailure: a caller whose context ends gets its error, and the core goes on.
func TestGivingUpIsNoFailure(t *testing.T) {
	t.Parallel()
	m := start(t, newMachine())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m.chip.breakIt(context.Canceled, nil)
	if _, err := m.mixer.Mix(ctx, "x", 32); !errors.Is(err, context.Canceled) || errors.Is(err, ErrLatched) || m.latch.Err() != nil {
		t.Errorf("got %v, latch %v", err, m.latch.Err())
	}
	m.chip.breakIt(nil, nil)
	mix(t, m.mixer, "x", 32)
}

// TestSlowSource: a device that has nothing ready makes a key wait, not the core end; and nothing is made without it.
func TestSlowSource(t *testing.T) {
	t.Parallel()
	m := start(t, newMachine())
	m.raw.breakIt(fmt.Errorf("it gave nothing in time: %w", context.DeadlineExceeded), nil)
	if out, err := m.mixer.Mix(t.Context(), "x", 32); !errors.Is(err, ErrSlow) || out.Len() != 0 || m.latch.Err() != nil {
		t.Errorf("got %d bytes, %v, latch %v", out.Len(), err, m.latch.Err())
	}
	m.raw.breakIt(nil, nil)
	mix(t, m.mixer, "x", 32)
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	a, good := secrettest.Arena(t), newMachine()
	unnamed, again := &fake{}, &fake{name: "chip"}
	for name, cfg := range map[string]Config{
		"nothing":                {},
		"no arena":               {Latch: good.latch, Use: uses(good)},
		"no latch":               {Arena: a, Use: uses(good)},
		"no sources":             {Arena: a, Latch: good.latch},
		"none credited":          {Arena: a, Latch: good.latch, Use: uses(good)[1:]},
		"two credited":           {Arena: a, Latch: good.latch, Use: append(uses(good), Use{Source: &fake{name: "two"}, Credited: true})},
		"no name":                {Arena: a, Latch: good.latch, Use: append(uses(good), Use{Source: unnamed})},
		"a name twice":           {Arena: a, Latch: good.latch, Use: append(uses(good), Use{Source: again})},
		"more than a byte holds": {Arena: a, Latch: good.latch, Use: append(uses(good), Use{Source: &fake{name: "x"}, Noise: 8.5})},
		"too many":               {Arena: a, Latch: good.latch, Use: make([]Use, maxParts+1)},
	} {
		if _, err := New(t.Context(), cfg); !errors.Is(err, ErrInput) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	m := start(t, good)
	for _, n := range []int{-1, 0, maxOutput + 1} {
		if _, err := m.mixer.Mix(t.Context(), "x", n); !errors.Is(err, ErrInput) {
			t.Errorf("%d bytes: got %v", n, err)
		}
	}
	if got := mix(t, m.mixer, "x", maxOutput); len(got) != maxOutput {
		t.Errorf("got %d bytes", len(got))
	}
	for name, c := range map[string]Contribution{"without name": {"", secret.Bytes{}}, "wiped": {"dice", secret.Bytes{}}} {
		if _, err := m.mixer.Mix(t.Context(), "x", 32, c); !errors.Is(err, ErrInput) {
			t.Errorf("contribution %s: got %v", name, err)
		}
	}
	if _, err := m.mixer.Mix(t.Context(), "x", 32, make([]Contribution, maxParts)...); !errors.Is(err, ErrInput) {
		t.Errorf("too many contributions: got %v", err)
	}
	if m.latch.Err() != nil {
		t.Errorf("a refusal set the latch: %v", m.latch.Err())
	}
	if err := m.mixer.Fill(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

// TestConcurrentMixes are all different.
func TestConcurrentMixes(t *testing.T) {
	t.Parallel()
	m := start(t, newMachine())
	var wg sync.WaitGroup
	var mu sync.Mutex // guards seen
	seen := map[[32]byte]bool{}
	for range 8 {
		wg.Go(func() {
			for range 50 {
				var b [32]byte
				err := m.mixer.Fill(t.Context(), b[:])
				mu.Lock()
				if err != nil || seen[b] {
					t.Errorf("got %x, %v", b, err)
				}
				seen[b] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

// TestOutputLooksRandom counts over a megabyte: ones, and each value of a byte. The bounds are six standard deviations wide.
func TestOutputLooksRandom(t *testing.T) {
	t.Parallel()
	mixer, err := New(t.Context(), Config{Arena: secrettest.Arena(t), Latch: NewLatch(), Use: Machine(nil)})
	if err != nil {
		t.Fatal(err)
	}
	ones, values := 0, [256]int{}
	const size = 1 << 20
	for n := 0; n < size; n += 8192 {
		for _, x := range mix(t, mixer, "x", 8192) {
			ones += bits.OnesCount8(x)
			values[x]++
		}
	}
	if off := ones - size*4; off < -8690 || off > 8690 { // sigma: sqrt(8*size)/2 = 1448
		t.Errorf("%d ones in %d bits", ones, size*8)
	}
	for x, n := range values {
		if off := n - size/256; off < -384 || off > 384 { // sigma: 64
			t.Errorf("%d times %#x in %d bytes", n, x, size)
		}
	}
}

func TestLatch(t *testing.T) {
	t.Parallel()
	l, first, second := NewLatch(), errors.New("first"), errors.New("second")
	if err := l.Guard(func() error { return nil }); err != nil || l.Err() != nil {
		t.Errorf("got %v", err)
	}
	l.Set(nil)
	if l.Err() != nil {
		t.Error("nil set the latch")
	}
	if err := l.Guard(func() error { return first }); !errors.Is(err, ErrLatched) || !errors.Is(err, first) {
		t.Errorf("got %v", err)
	}
	l.Set(second)
	ran := false
	if err := l.Guard(func() error { ran = true; return nil }); !errors.Is(err, first) || errors.Is(err, second) || ran {
		t.Errorf("got %v, ran %v", err, ran)
	}
	<-l.Failed()
}
