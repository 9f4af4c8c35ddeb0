// SPDX-License-Identifier: Apache-2.0

package disk_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/core/auditlog/disk"
	"strongroom/internal/core/auditlog/disk/disktest"
)

const stride = 512

func openSlots(t testing.TB, d disk.Dir) *disk.Slots {
	t.Helper()
	s, err := disk.OpenSlots(d, "value", stride)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func wantValue(t testing.TB, d disk.Dir, want string) {
	t.Helper()
	got, err := openSlots(t, d).Read()
	if err != nil || string(got) != want {
		t.Fatalf("value is %q, %v; want %q", got, err, want)
	}
}

func write(t testing.TB, s *disk.Slots, v string) {
	t.Helper()
	if err := s.Write([]byte(v)); err != nil {
		t.Fatal(err)
	}
}

func TestSlotsKeepTheNewestValue(t *testing.T) {
	t.Parallel()
	m := disktest.New()
	s := openSlots(t, m)
	if _, err := s.Read(); !errors.Is(err, disk.ErrAbsent) {
		t.Fatalf("no file: %v", err)
	}
	for i := range 9 {
		v := strconv.Itoa(i)
		write(t, s, v)
		wantValue(t, m, v)
	}
	if err := s.Write(make([]byte, stride-15)); err == nil {
		t.Error("a value larger than a copy was accepted")
	}
	write(t, s, string(make([]byte, stride-16)))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s.Write(nil) == nil {
		t.Error("closed slots were written")
	}
}

// The bytes of docs/spec/log-store.md, "Slot file": frozen.
func TestSlotCopyIsAsSpecified(t *testing.T) {
	t.Parallel()
	m := disktest.New()
	s := openSlots(t, m)
	write(t, s, "\x07\x00\x00\x00\x00\x00\x00\x00")
	b := m.Bytes("value")
	want := "dd95630b" + "08000000" + "0100000000000000" + "0700000000000000"
	for _, at := range []int{2 * stride, 3 * stride} {
		if got := hex.EncodeToString(b[at : at+24]); got != want {
			t.Errorf("copy at %d is %s, want %s", at, got, want)
		}
	}
	if len(b) != 4*stride || !bytes.Equal(b[:2*stride], make([]byte, 2*stride)) {
		t.Error("slot 0 is not empty")
	}
}

func TestSlotsRefuseOtherWriters(t *testing.T) {
	t.Parallel()
	m := disktest.New()
	a := openSlots(t, m)
	write(t, a, "a")
	b := openSlots(t, m)
	if err := b.Write([]byte("b")); !errors.Is(err, disk.ErrMoved) {
		t.Fatalf("written without reading: %v", err)
	}
	if _, err := b.Read(); err != nil {
		t.Fatal(err)
	}
	write(t, b, "b")
	if err := a.Write([]byte("c")); !errors.Is(err, disk.ErrMoved) {
		t.Fatalf("written after another: %v", err)
	}
	wantValue(t, m, "b")
	if _, err := a.Read(); err != nil {
		t.Fatal(err)
	}
	write(t, a, "c")
	wantValue(t, m, "c")
}

// One damaged byte never brings the older value back.
func TestSlotsSurviveADamagedByte(t *testing.T) {
	t.Parallel()
	m := disktest.New()
	s := openSlots(t, m)
	for _, v := range []string{"one", "two", "three"} {
		write(t, s, v)
	}
	good := m.Bytes("value")
	for i := range good {
		for _, flip := range []byte{1, 0x80} {
			b := bytes.Clone(good)
			b[i] ^= flip
			m.SetBytes("value", b)
			wantValue(t, m, "three")
		}
	}
	for n := range good {
		m.SetBytes("value", good[:n])
		if v, err := openSlots(t, m).Read(); !errors.Is(err, disk.ErrDamaged) {
			t.Fatalf("cut to %d bytes: %q, %v", n, v, err)
		}
	}
	m.SetBytes("value", make([]byte, len(good)))
	z := openSlots(t, m)
	if _, err := z.Read(); !errors.Is(err, disk.ErrDamaged) {
		t.Fatalf("all zero: %v", err)
	}
	if err := z.Write([]byte("x")); !errors.Is(err, disk.ErrMoved) {
		t.Fatalf("a damaged file was written over: %v", err)
	}
}

// Two copies of the newest generation that are both whole but differ can't be told apart.
func TestSlotsRefuseTwoTruths(t *testing.T) {
	t.Parallel()
	a, b := disktest.New(), disktest.New()
	write(t, openSlots(t, a), "a")
	write(t, openSlots(t, b), "b")
	mixed := append(a.Bytes("value")[:3*stride:3*stride], b.Bytes("value")[3*stride:]...)
	a.SetBytes("value", mixed)
	if _, err := openSlots(t, a).Read(); !errors.Is(err, disk.ErrDamaged) {
		t.Fatalf("two values of one generation: %v", err)
	}
}

// Whatever fails, and however the process or the power ends: the value is the last acknowledged one or the one being written.
func TestSlotsUnderFaults(t *testing.T) {
	t.Parallel()
	const values = 4
	for n := 1; ; n++ {
		struck := false
		for _, when := range []disktest.When{disktest.Before, disktest.After, disktest.Half} {
			for _, keep := range []float64{-1, 0, 0.5, 1} {
				m := disktest.New()
				m.FailAt(n, when)
				s := openSlots(t, m)
				last, tried := -1, -1
				for i := range values {
					tried = i
					if err := s.Write([]byte(strconv.Itoa(i))); err != nil {
						if again := s.Write([]byte("again")); !errors.Is(again, disktest.ErrInjected) {
							t.Fatalf("change %d: wrote after a failure: %v", n, again)
						}
						break
					}
					last = i
				}
				hit, since := m.Struck()
				struck = struck || hit
				if since != 0 {
					t.Fatalf("change %d: %d changes after the failure", n, since)
				}
				next := m.Restart()
				if keep >= 0 {
					next = m.PowerCut(keep, rand.New(rand.NewPCG(uint64(n), 7)))
				}
				s = openSlots(t, next)
				v, err := s.Read()
				switch {
				case errors.Is(err, disk.ErrAbsent) && last < 0:
				case err != nil:
					t.Fatalf("change %d, %v, keep %v: %v", n, when, keep, err)
				case string(v) != strconv.Itoa(last) && string(v) != strconv.Itoa(tried):
					t.Fatalf("change %d, %v, keep %v: value %q, acknowledged %d, tried %d", n, when, keep, v, last, tried)
				}
				write(t, s, "after")
				wantValue(t, next.PowerCut(0, nil), "after")
			}
		}
		if !struck {
			if n < 10 {
				t.Fatalf("only %d changes were struck", n-1)
			}
			return
		}
	}
}

func TestSlotsAgainstModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := disktest.New()
		handles := []*disk.Slots{openSlots(nopTB{}, m), openSlots(nopTB{}, m)}
		current, version := []byte(nil), 0
		seen := []int{-1, -1} // version that each handle knows; -1: never read
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			i := rapid.IntRange(0, 1).Draw(t, "handle")
			if rapid.Bool().Draw(t, "read") {
				v, err := handles[i].Read()
				if version == 0 != errors.Is(err, disk.ErrAbsent) || version > 0 && !bytes.Equal(v, current) {
					t.Fatalf("read %q, %v at version %d", v, err, version)
				}
				if version > 0 {
					seen[i] = version
				}
				continue
			}
			v := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "value")
			err := handles[i].Write(v)
			if may := version == 0 || seen[i] == version; may != (err == nil) || !may && !errors.Is(err, disk.ErrMoved) {
				t.Fatalf("write at version %d, seen %d: %v", version, seen[i], err)
			}
			if err == nil {
				version++
				current, seen[i] = v, version
			}
		}
	})
}

// nopTB lets helpers run where rapid owns the test.
type nopTB struct{ testing.TB }

func (nopTB) Helper() {}
