// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"pgregory.net/rapid"
)

func testArena(t testing.TB, size int) *Arena {
	t.Helper()
	a, err := NewArena(Config{Size: size})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return a
}

func TestNewArenaRefusesBadSizes(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, -1, MaxArenaSize + 1} {
		if a, err := NewArena(Config{Size: size}); !errors.Is(err, ErrSize) {
			t.Errorf("size %d: got %v, %v; want ErrSize", size, a, err)
		}
	}
}

// vmFlags returns the VmFlags of the mapping in /proc/self/smaps that holds addr (proc_pid_smaps(5)).
func vmFlags(t *testing.T, addr uintptr) []string {
	t.Helper()
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	inside := false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Text()
		var low, high uintptr
		if n, _ := fmt.Sscanf(line, "%x-%x ", &low, &high); n == 2 {
			inside = low <= addr && addr < high
		}
		if rest, ok := strings.CutPrefix(line, "VmFlags:"); ok && inside {
			return strings.Fields(rest)
		}
	}
	t.Fatalf("no mapping holds %#x", addr)
	return nil
}

func TestArenaIsLockedHiddenAndFenced(t *testing.T) {
	t.Parallel()
	a := testArena(t, 3*4096)
	region := a.region()
	flags := vmFlags(t, uintptr(unsafe.Pointer(&region[0])))
	want := []string{"dd", "wf", "rd", "wr"} // don't dump, wipe on fork
	if a.Locked() {
		want = append(want, "lo")
	} else {
		t.Logf("not locked here: %v", a.LockError())
	}
	for _, w := range want {
		if !slices.Contains(flags, w) {
			t.Errorf("flags %v lack %s", flags, w)
		}
	}
	for name, at := range map[string]uintptr{
		"below": uintptr(unsafe.Pointer(&region[0])) - 1,
		"above": uintptr(unsafe.Pointer(&region[0])) + uintptr(len(region)),
	} {
		if flags := vmFlags(t, at); slices.Contains(flags, "rd") || slices.Contains(flags, "wr") {
			t.Errorf("%s: flags %v, want neither rd nor wr", name, flags)
		}
	}
}

// TestGuardPagesFault touches the byte on either side of the arena and requires a fault at exactly that address.
func TestGuardPagesFault(t *testing.T) {
	a := testArena(t, 4096)
	mapping, page := a.mapping(), os.Getpagesize()
	for name, at := range map[string]int{"below": page - 1, "above": len(mapping) - page} {
		for _, write := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/write=%v", name, write), func(t *testing.T) {
				defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
				defer func() {
					fault, ok := recover().(interface{ Addr() uintptr })
					if !ok {
						t.Fatal("no fault")
					}
					if got, want := fault.Addr(), uintptr(unsafe.Pointer(&mapping[at])); got != want {
						t.Errorf("fault at %#x, want %#x", got, want)
					}
				}()
				if write {
					mapping[at] = 1
				} else {
					runtime.KeepAlive(mapping[at] + 1)
				}
			})
		}
	}
}

func TestArenaFullAndReuse(t *testing.T) {
	t.Parallel()
	a := testArena(t, 2*4096)
	var held []Bytes
	for {
		b, err := New(a, 32, func(b []byte) error { b[0] = 1; return nil })
		if errors.Is(err, ErrArenaFull) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, b)
	}
	size := a.Usage().Size
	if len(held) != size/32 {
		t.Fatalf("held %d secrets of 32 bytes in %d bytes", len(held), size)
	}
	if _, err := New(a, 5000, func([]byte) error { return nil }); !errors.Is(err, ErrArenaFull) {
		t.Fatalf("large in a full arena: got %v, want ErrArenaFull", err)
	}
	for i := range held { // the place of a wiped secret is found again, wherever it lies
		held[i].Wipe()
		b, err := New(a, 32, func([]byte) error { return nil })
		if err != nil {
			t.Fatalf("no room after wiping secret %d: %v", i, err)
		}
		held[i] = b
	}
	for _, b := range held {
		b.Wipe()
	}
	if got, want := a.Usage(), (Usage{Size: size}); got != want {
		t.Fatalf("after wipe: got %+v, want %+v", got, want)
	}
	whole, err := New(a, size, func([]byte) error { return nil })
	if err != nil {
		t.Fatalf("whole arena after wipe: %v", err)
	}
	whole.Wipe()
}

func TestCloseRefusesWhileSecretsLive(t *testing.T) {
	t.Parallel()
	a, err := NewArena(Config{Size: 4096})
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(a, 32, func([]byte) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err == nil {
		t.Fatal("closed over a live secret")
	}
	b.Wipe()
	for range 2 {
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := New(a, 32, func([]byte) error { return nil }); !errors.Is(err, ErrArenaClosed) {
		t.Fatalf("new in a closed arena: got %v, want ErrArenaClosed", err)
	}
	if got := a.Usage().Live; got != 0 {
		t.Fatalf("live = %d", got)
	}
}

// TestPoolAgainstModel takes and gives at random and requires that live slots never overlap, stay inside, are accounted exactly, and that
// a pool with everything given back is like new.
func TestPoolAgainstModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		blocks := rapid.IntRange(1, 24).Draw(t, "blocks")
		p := newPool(blocks * blockSize)
		owner := make([]int, blocks*blockSize/minSlot) // which take owns each 32 bytes, 0 for none
		held := map[int]slot{}
		give := func(id int) {
			s := held[id]
			p.give(s)
			for i := s.off / minSlot; i < (s.off+s.size)/minSlot; i++ {
				owner[i] = 0
			}
			delete(held, id)
		}
		for id := range rapid.IntRange(1, 400).Draw(t, "steps") {
			id++
			if len(held) > 0 && rapid.IntRange(0, 2).Draw(t, "give") == 0 {
				keys := make([]int, 0, len(held))
				for k := range held {
					keys = append(keys, k)
				}
				slices.Sort(keys)
				give(rapid.SampledFrom(keys).Draw(t, "which"))
				continue
			}
			n := rapid.OneOf(rapid.IntRange(1, 2*minSlot), rapid.IntRange(1, 3*blockSize)).Draw(t, "n")
			s, ok := p.take(n, end(rapid.IntRange(0, 1).Draw(t, "end")))
			if !ok {
				continue
			}
			if s.size < n || s.off < 0 || s.off+s.size > blocks*blockSize {
				t.Fatalf("slot %+v for %d bytes", s, n)
			}
			for i := s.off / minSlot; i < (s.off+s.size)/minSlot; i++ {
				if owner[i] != 0 {
					t.Fatalf("slot %+v overlaps one held", s)
				}
				owner[i] = id
			}
			held[id] = s
		}
		used := 0
		for _, s := range held {
			used += s.size
		}
		if p.used != used || p.live != len(held) {
			t.Fatalf("accounts %d bytes in %d slots, want %d in %d", p.used, p.live, used, len(held))
		}
		for id := range held {
			give(id)
		}
		if s, ok := p.take(blocks*blockSize, near); !ok || s.off != 0 {
			t.Fatalf("an emptied pool has no room for all: %+v, %v", s, ok)
		}
	})
}

func TestPadsComeFromTheFarEnd(t *testing.T) {
	t.Parallel()
	a := testArena(t, 16*4096)
	b, err := New(a, 64, func([]byte) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	defer b.Wipe()
	if err := b.Mask(); err != nil {
		t.Fatal(err)
	}
	c := b.content()
	if gap := c.pads.off - c.slot.off; gap < a.Usage().Size/2 {
		t.Errorf("pad lies %d bytes from what it masks", gap)
	}
}
