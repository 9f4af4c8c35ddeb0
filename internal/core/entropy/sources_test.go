// SPDX-License-Identifier: Apache-2.0

package entropy

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"strongroom/internal/secret"
	"strongroom/internal/secret/secrettest"
)

// TestRDSEED reads the processor, where it has the instruction.
func TestRDSEED(t *testing.T) {
	t.Parallel()
	one, two := make([]byte, 61), make([]byte, 61)
	err := RDSEED().Read(t.Context(), one)
	if !hasRDSEED() {
		if !errors.Is(err, ErrAbsent) {
			t.Errorf("without the instruction: got %v", err)
		}
		return
	}
	if err == nil {
		err = RDSEED().Read(t.Context(), two)
	}
	if err != nil || bytes.Equal(one, two) || bytes.Equal(one[48:], make([]byte, 13)) {
		t.Errorf("got %x and %x, %v", one, two, err)
	}
}

// TestRDSEEDFaults: a generator that has nothing, or one of the two words of broken processors, is asked ten times and then given up.
func TestRDSEEDFaults(t *testing.T) {
	t.Parallel()
	calls := 0
	answer := func(words ...uint64) func() (uint64, bool) {
		calls = 0
		return func() (uint64, bool) {
			x := words[min(calls, len(words)-1)]
			calls++
			return x, x != 1 // 1 stands for a carry flag that is not set
		}
	}
	for name, tt := range map[string]struct {
		words []uint64
		calls int
		fails bool
	}{
		"nothing":                 {[]uint64{1}, 10, true},
		"zeros":                   {[]uint64{0}, 10, true},
		"ones":                    {[]uint64{^uint64(0)}, 10, true},
		"at once":                 {[]uint64{5}, 1, false},
		"in the tenth try":        {[]uint64{1, 1, 1, 0, 1, 1, ^uint64(0), 1, 1, 5}, 10, false},
		"in the eleventh, so not": {[]uint64{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 5}, 10, true},
	} {
		b := make([]byte, 8)
		err := seeder{present: true, word: answer(tt.words...)}.Read(t.Context(), b)
		if (err != nil) != tt.fails || calls != tt.calls {
			t.Errorf("%s: got %v after %d calls", name, err, calls)
		}
		if !tt.fails && binary.LittleEndian.Uint64(b) != 5 {
			t.Errorf("%s: got %x", name, b)
		}
	}
	if err := (seeder{word: answer(5)}).Read(t.Context(), make([]byte, 8)); !errors.Is(err, ErrAbsent) || calls != 0 {
		t.Errorf("absent: got %v after %d calls", err, calls)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (seeder{present: true, word: answer(5)}).Read(ctx, make([]byte, 8)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}

// TestDevice reads a character device that every system has, and refuses what is none.
func TestDevice(t *testing.T) {
	t.Parallel()
	b := make([]byte, 100)
	if err := Device("x", "/dev/urandom").Read(t.Context(), b); err != nil || bytes.Equal(b[84:], make([]byte, 16)) {
		t.Errorf("got %x, %v", b, err)
	}
	if err := Device("x", "/dev/null").Read(t.Context(), b); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a device that ends: got %v", err)
	}
	dir := t.TempDir()
	if err := Device("x", filepath.Join(dir, "none")).Read(t.Context(), b); !errors.Is(err, ErrAbsent) {
		t.Errorf("no device: got %v", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, dir} {
		if err := Device("x", path).Read(t.Context(), b); err == nil || !strings.Contains(err.Error(), "character device") {
			t.Errorf("%s: got %v", path, err)
		}
	}
}

func TestAbsentDevices(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]bool{unix.ENODEV: true, unix.ENXIO: true, unix.EACCES: true, unix.EPERM: true, unix.EIO: false, io.EOF: false} {
		if got := absent(err); errors.Is(got, ErrAbsent) != want || !errors.Is(got, err) {
			t.Errorf("%v: got %v", err, got)
		}
	}
	if absent(nil) != nil {
		t.Error("no error became one")
	}
}

// TestReadAll: short reads go on, a device that is not ready is asked again, and one that never is ends with the context.
func TestReadAll(t *testing.T) {
	t.Parallel()
	step := 0
	b := make([]byte, 5)
	err := readAll(t.Context(), func(b []byte) (int, error) {
		step++
		switch step {
		case 1:
			return -1, unix.EAGAIN
		case 2:
			return -1, unix.EINTR
		default:
			b[0] = byte(step)
			return min(2, len(b)), nil
		}
	}, b)
	if err != nil || !bytes.Equal(b, []byte{3, 0, 4, 0, 5}) {
		t.Errorf("got %v, %v", b, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = readAll(ctx, func([]byte) (int, error) { cancel(); return -1, unix.EAGAIN }, b)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("never ready: got %v", err)
	}
	if err := readAll(t.Context(), func([]byte) (int, error) { return -1, unix.EIO }, b); !errors.Is(err, unix.EIO) {
		t.Errorf("broken: got %v", err)
	}
	if err := readAll(t.Context(), func([]byte) (int, error) { return 0, nil }, b); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("at its end: got %v", err)
	}
}

type token struct{ err error }

func (t token) Random(_ context.Context, b []byte) error {
	for i := range b {
		b[i] = byte(i)
	}
	return t.err
}

// TestMachine lists what is there, and mixes the root's generator in.
func TestMachine(t *testing.T) {
	t.Parallel()
	var names []string
	credited := 0
	for _, u := range Machine(token{}) {
		names = append(names, u.Source.Name())
		if u.Credited {
			credited++
		}
	}
	if got := strings.Join(names, " "); got != "system rdseed hwrng root" || credited != 1 || len(Machine(nil)) != 3 {
		t.Errorf("got %s, %d credited", got, credited)
	}
	b := make([]byte, 4)
	if err := Root(token{}).Read(t.Context(), b); err != nil || !bytes.Equal(b, []byte{0, 1, 2, 3}) {
		t.Errorf("got %x, %v", b, err)
	}
	gone := errors.New("token removed")
	if err := Root(token{gone}).Read(t.Context(), b); !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
	if err := System().Read(t.Context(), b); err != nil {
		t.Error(err)
	}
}

// fair are 120 rolls of a die.
const fair = "3516 4225 1636 5412 6314 2253 6146 3521 5463 1246 3165 2415 6324 5136 1452 6263 5341 2661 4325 1534 6214 3356 1245 6432 5162 3541 2634 1562 4413 6523"

func TestDice(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	dice := func(text string) (Contribution, error) {
		typed, err := secret.Take(a, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		defer typed.Wipe()
		return Dice(a, typed)
	}
	c, err := dice(fair + "\n")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Bytes.Wipe()
	if err := c.Bytes.Use(func(b []byte) error {
		if len(b) != 120 || !bytes.Equal(b[:5], []byte{3, 5, 1, 6, 4}) {
			t.Errorf("got %v", b)
		}
		return nil
	}); err != nil || c.Name != "dice" {
		t.Errorf("got %q, %v", c.Name, err)
	}
	digits := strings.ReplaceAll(fair, " ", "")
	loaded := []byte(digits)
	for i := range loaded {
		if i%2 == 0 {
			loaded[i] = '6'
		}
	}
	for name, text := range map[string]string{
		"too few":                   digits[:99],
		"too many":                  strings.Repeat(digits, 18),
		"a seven":                   fair + "7",
		"a zero":                    fair + "0",
		"a letter":                  fair + "x",
		"a digit of another script": fair + "１",
		"all ones":                  strings.Repeat("1", 120),
		"eleven in a row":           digits[:50] + strings.Repeat("2", 11) + digits[50:],
		"counted up":                strings.Repeat("123456", 20),
		"a pattern of 24":           strings.Repeat(digits[:24], 5),
		"a loaded die":              string(loaded),
		"five faces":                strings.ReplaceAll(digits, "6", "1"),
	} {
		if c, err := dice(text); !errors.Is(err, ErrDice) {
			c.Bytes.Wipe()
			t.Errorf("%s: got %v", name, err)
		} else if strings.Contains(err.Error(), digits[:6]) {
			t.Errorf("%s: the error tells rolls: %v", name, err)
		}
	}
}

func FuzzDice(f *testing.F) {
	f.Add([]byte(fair))
	f.Add([]byte(strings.Repeat("1", 120)))
	a := secrettest.Arena(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		typed, err := secret.Take(a, bytes.Clone(text))
		if err != nil {
			return
		}
		defer typed.Wipe()
		c, err := Dice(a, typed)
		if err != nil {
			return
		}
		defer c.Bytes.Wipe()
		want := bytes.Map(func(r rune) rune {
			if r < '1' || r > '6' {
				return -1
			}
			return r - '0'
		}, text)
		if err := c.Bytes.Use(func(b []byte) error {
			if !bytes.Equal(b, want) {
				t.Errorf("got %v, want %v", b, want)
			}
			return nil
		}); err != nil || len(want) < MinRolls {
			t.Errorf("%d rolls, %v", len(want), err)
		}
	})
}
