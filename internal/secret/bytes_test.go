// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"bytes"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func take(t testing.TB, a *Arena, s string) Bytes {
	t.Helper()
	b, err := Take(a, []byte(s))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Wipe)
	return b
}

func TestTakeZeroesRaw(t *testing.T) {
	t.Parallel()
	a := testArena(t, 4096)
	full := testArena(t, 4096)
	whole := take(t, full, string(make([]byte, full.Usage().Size)))
	for name, tc := range map[string]struct {
		arena *Arena
		want  error
	}{"held": {a, nil}, "refused": {full, ErrArenaFull}, "no arena": {nil, ErrArenaClosed}} {
		raw := []byte("correct horse battery staple")
		b, err := Take(tc.arena, raw)
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, want %v", name, err, tc.want)
		}
		if !bytes.Equal(raw, make([]byte, len(raw))) {
			t.Errorf("%s: raw is %q", name, raw)
		}
		b.Wipe()
	}
	whole.Wipe()
}

func TestNew(t *testing.T) {
	t.Parallel()
	a := testArena(t, 4096)
	for _, n := range []int{0, -1, MaxArenaSize + 1} {
		if _, err := New(a, n, func([]byte) error { return nil }); !errors.Is(err, ErrSize) {
			t.Errorf("size %d: got %v, want ErrSize", n, err)
		}
	}
	boom := errors.New("boom")
	var kept []byte
	spoil := func(b []byte) { copy(b, "half a key"); kept = b }
	if _, err := New(a, 32, func(b []byte) error { spoil(b); return boom }); !errors.Is(err, boom) {
		t.Errorf("got %v, want the error of fill", err)
	}
	if !bytes.Equal(kept, make([]byte, 32)) {
		t.Error("a refused fill left its content")
	}
	func() {
		defer func() { _ = recover() }()
		_, _ = New(a, 32, func(b []byte) error { spoil(b); panic("boom") })
	}()
	if !bytes.Equal(kept, make([]byte, 32)) || a.Usage().Live != 0 {
		t.Error("a panicking fill left its content")
	}
	b, err := New(a, 33, func(b []byte) error {
		if len(b) != 33 || cap(b) != 33 || !bytes.Equal(b, make([]byte, 33)) {
			t.Errorf("fill got %d bytes, capacity %d, %x", len(b), cap(b), b)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if b.Len() != 33 {
		t.Errorf("len = %d", b.Len())
	}
	b.Wipe()
}

func TestUseAfterWipe(t *testing.T) {
	t.Parallel()
	a := testArena(t, 4096)
	wiped := take(t, a, "0123456789abcdef")
	other := wiped
	wiped.Wipe()
	wiped.Wipe()
	for name, b := range map[string]Bytes{"wiped": wiped, "copy": other, "zero": {}} {
		if err := b.Use(func([]byte) error { t.Error("called"); return nil }); !errors.Is(err, ErrWiped) {
			t.Errorf("%s: use: got %v, want ErrWiped", name, err)
		}
		if err := b.Mask(); !errors.Is(err, ErrWiped) {
			t.Errorf("%s: mask: got %v, want ErrWiped", name, err)
		}
		if b.Len() != 0 || b.Masked() || b.Equal(b) {
			t.Errorf("%s: len %d, masked %v, equal to itself %v", name, b.Len(), b.Masked(), b.Equal(b))
		}
		b.Wipe()
	}
}

func TestWipeZeroesMemory(t *testing.T) {
	t.Parallel()
	for _, masked := range []bool{false, true} {
		a := testArena(t, 4*4096)
		b := take(t, a, "correct horse battery staple")
		if masked {
			if err := b.Mask(); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Use(func([]byte) error { return nil }); err != nil {
			t.Fatal(err)
		}
		b.Wipe()
		if !bytes.Equal(a.region(), make([]byte, len(a.region()))) {
			t.Errorf("masked=%v: the arena is not zero after the wipe", masked)
		}
	}
}

func TestUseReturnsTheErrorAndLeavesOnPanic(t *testing.T) {
	t.Parallel()
	a := testArena(t, 2*4096)
	for _, masked := range []bool{false, true} {
		b := take(t, a, "0123456789abcdef")
		if masked {
			if err := b.Mask(); err != nil {
				t.Fatal(err)
			}
		}
		boom := errors.New("boom")
		if err := b.Use(func([]byte) error { return boom }); !errors.Is(err, boom) {
			t.Errorf("got %v, want boom", err)
		}
		func() {
			defer func() { _ = recover() }()
			_ = b.Use(func([]byte) error { panic("boom") })
		}()
		b.Wipe() // would wait for ever for a user that never left
		if live := a.Usage().Live; live != 0 {
			t.Errorf("masked=%v: %d live after wipe", masked, live)
		}
	}
}

func TestMaskHidesAtRest(t *testing.T) {
	t.Parallel()
	const key = "a scalar of thirty-two bytes ..."
	a := testArena(t, 4*4096)
	b := take(t, a, key)
	for range 2 {
		if err := b.Mask(); err != nil {
			t.Fatal(err)
		}
	}
	if !b.Masked() || b.Len() != len(key) {
		t.Errorf("masked %v, len %d", b.Masked(), b.Len())
	}
	if bytes.Contains(a.region(), []byte(key[:8])) {
		t.Error("the content lies in the arena in the clear")
	}
	for range 2 {
		if err := b.Use(func(got []byte) error {
			if string(got) != key {
				t.Errorf("got %q", got)
			}
			clear(got) // a user that breaks the contract spoils its own copy only
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(a.region(), []byte(key[:8])) {
			t.Error("the plain copy outlived the use")
		}
	}
	full := take(t, a, string(make([]byte, 2*4096))) // leaves no free block, and the slab of b's class has room
	defer full.Wipe()
	filler := []Bytes{}
	for a.Usage().Used < a.Usage().Size {
		f, err := New(a, 32, func([]byte) error { return nil })
		if err != nil {
			break
		}
		filler = append(filler, f)
	}
	if err := b.Use(func([]byte) error { return nil }); !errors.Is(err, ErrArenaFull) {
		t.Errorf("masked use in a full arena: got %v, want ErrArenaFull", err)
	}
	if err := full.Mask(); !errors.Is(err, ErrArenaFull) || full.Masked() {
		t.Errorf("mask in a full arena: got %v, masked %v", err, full.Masked())
	}
	for _, f := range filler {
		f.Wipe()
	}
}

func TestEqual(t *testing.T) {
	t.Parallel()
	a := testArena(t, 4*4096)
	x, same, other, short := take(t, a, "0123456789abcdef"), take(t, a, "0123456789abcdef"), take(t, a, "0123456789abcdeF"), take(t, a, "0123456789abcde")
	masked := take(t, a, "0123456789abcdef")
	if err := masked.Mask(); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		y    Bytes
		want bool
	}{"itself": {x, true}, "same": {same, true}, "masked": {masked, true}, "other": {other, false}, "prefix": {short, false}, "zero": {Bytes{}, false}} {
		if got := x.Equal(tc.y); got != tc.want {
			t.Errorf("%s: got %v", name, got)
		}
		if got := tc.y.Equal(x); got != tc.want {
			t.Errorf("%s, other way round: got %v", name, got)
		}
	}
}

// TestWipeWaitsForUsers holds a use open, wipes, and requires that the user keeps its bytes, that new users are turned away at once, also
// from inside the open use, and that the wipe ends only afterwards.
func TestWipeWaitsForUsers(t *testing.T) {
	t.Parallel()
	a := testArena(t, 4096)
	synctest.Test(t, func(t *testing.T) {
		const key = "0123456789abcdef"
		b, err := Take(a, []byte(key))
		if err != nil {
			t.Fatal(err)
		}
		hold, done := make(chan struct{}), make(chan error)
		go func() {
			done <- b.Use(func(got []byte) error {
				<-hold
				if string(got) != key {
					t.Errorf("content changed under a user: %q", got)
				}
				return b.Use(func([]byte) error { return nil }) // must be turned away, not deadlock
			})
		}()
		synctest.Wait()
		var wiped atomic.Int32
		for range 2 {
			go func() { b.Wipe(); wiped.Add(1) }()
		}
		synctest.Wait()
		if wiped.Load() != 0 {
			t.Error("a wipe did not wait for the user")
		}
		if err := b.Use(func([]byte) error { return nil }); !errors.Is(err, ErrWiped) {
			t.Errorf("use during a wipe: got %v, want ErrWiped", err)
		}
		close(hold)
		if err := <-done; !errors.Is(err, ErrWiped) {
			t.Errorf("use inside the open use: got %v, want ErrWiped", err)
		}
		synctest.Wait()
		if wiped.Load() != 2 {
			t.Errorf("%d wipes ended, want 2", wiped.Load())
		}
	})
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	a := testArena(t, 64*4096)
	const key = "0123456789abcdef0123456789abcdef"
	var wg sync.WaitGroup
	for i := range 8 {
		b := take(t, a, key)
		for range 4 {
			wg.Go(func() {
				for n := range 200 {
					err := b.Use(func(got []byte) error {
						if string(got) != key {
							t.Errorf("got %q", got)
						}
						return nil
					})
					if err != nil && !errors.Is(err, ErrWiped) {
						t.Error(err)
					}
					if n == 50 && i%2 == 0 {
						if err := b.Mask(); err != nil && !errors.Is(err, ErrWiped) {
							t.Error(err)
						}
					}
					if n == 150 && i%3 == 0 {
						b.Wipe()
					}
				}
			})
		}
	}
	wg.Wait()
}

func TestUseDoesNotAllocate(t *testing.T) {
	a := testArena(t, 4*4096)
	b := take(t, a, "0123456789abcdef")
	var sum byte
	use := func() {
		if err := b.Use(func(got []byte) error { sum += got[0]; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(100, use); n != 0 {
		t.Errorf("plain: %v allocations", n)
	}
	if err := b.Mask(); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, use); n != 0 {
		t.Errorf("masked: %v allocations", n)
	}
}

func BenchmarkUse(b *testing.B) {
	for _, masked := range []bool{false, true} {
		b.Run(map[bool]string{false: "plain", true: "masked"}[masked], func(b *testing.B) {
			a := testArena(b, 16*4096)
			s := take(b, a, "0123456789abcdef0123456789abcdef")
			if masked {
				if err := s.Mask(); err != nil {
					b.Fatal(err)
				}
			}
			for b.Loop() {
				_ = s.Use(func([]byte) error { return nil })
			}
		})
	}
}
