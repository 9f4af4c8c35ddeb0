// SPDX-License-Identifier: Apache-2.0

package slip39

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"strongroom/internal/secret"
)

// memoryVariable makes this test's process split and combine a secret and look for it afterwards, alone.
const memoryVariable = "STRONGROOM_SLIP39_MEMORY"

// Neither the secret nor the passphrase, in clear or as the pads of an HMAC, is left in a process that made words of a secret and brought it
// back: hashes of the standard library would keep them on the heap.
func TestNothingIsLeftInMemory(t *testing.T) {
	if os.Getenv(memoryVariable) != "" {
		splitAndSearch(t)
		return
	}
	t.Parallel()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "-test.run=^TestNothingIsLeftInMemory$")
	// What the registers hold when a signal comes lies on the signal's stack afterwards; the scheduler's own signals are off.
	cmd.Env = append(os.Environ(), memoryVariable+"=1", "GODEBUG=asyncpreemptoff=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// pattern fills b with what the test looks for: no byte of it stands in the program.
func pattern(b []byte, seed, flip byte) {
	x := seed
	for i := range b {
		x = x*73 + 41
		b[i] = (x%95 + 32) ^ flip // printable, as a passphrase must be
	}
}

func splitAndSearch(t *testing.T) {
	a, err := secret.NewArena(secret.Config{Size: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	make := func(n int, seed byte) secret.Bytes {
		b, err := secret.New(a, n, func(b []byte) error { pattern(b, seed, 0); return nil })
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	in, pass := make(32, 5), make(40, 9)
	words, err := Split(a, in, pass, Params{ID: 7, Groups: []Group{{2, 3}}, GroupThreshold: 1})
	if err != nil {
		t.Fatal(err)
	}
	back, err := Combine(a, []secret.Bytes{words[0][0], words[0][2]}, pass)
	if err != nil {
		t.Fatal(err)
	}
	back.Wipe()
	in.Wipe()
	pass.Wipe()
	for _, g := range words {
		for _, w := range g {
			w.Wipe()
		}
	}
	for _, x := range []struct {
		what       string
		seed, flip byte
	}{{"the secret", 5, 0}, {"the passphrase", 9, 0}, {"the passphrase as inner pad", 9, 0x36}, {"the passphrase as outer pad", 9, 0x5c}} {
		for _, where := range search(t, x.seed, x.flip) {
			t.Errorf("%s is left at %s", x.what, where)
		}
	}
	if where := search(t, 77, 0); len(where) != 0 {
		t.Errorf("what never was is found at %s", where)
	}
	kept := bytes.Repeat([]byte{1}, 4096)
	pattern(kept[1000:1032], 78, 0)
	if len(search(t, 78, 0)) == 0 {
		t.Error("what lies on the heap is not found: the search shows nothing")
	}
	kept[0]++ // alive until here
}

// search looks through the process's writable memory for 16 bytes of a pattern, from its second on.
func search(t *testing.T, seed, flip byte) (found []string) {
	t.Helper()
	var want [17]byte
	pattern(want[:], seed, ^flip) // inverted, so that it does not find itself
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Skip("this system does not show a process its memory")
	}
	mem, err := os.Open("/proc/self/mem")
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	chunk := make([]byte, 1<<20)
	for lines := bufio.NewScanner(bytes.NewReader(maps)); lines.Scan(); {
		var from, to uint64
		var mode string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &from, &to, &mode); err != nil || !strings.HasPrefix(mode, "rw") {
			continue
		}
		for at := from; at < to; at += uint64(len(chunk)) - 16 {
			n, err := mem.ReadAt(chunk[:min(uint64(len(chunk)), to-at)], int64(at))
			if err != nil && err != io.EOF && n == 0 {
				break // guard pages
			}
			for i := range chunk[:n] {
				chunk[i] = ^chunk[i]
			}
			if i := bytes.Index(chunk[:n], want[1:]); i >= 0 {
				found = append(found, fmt.Sprintf("%x in %s", at+uint64(i), lines.Text()))
			}
			clear(chunk)
		}
	}
	return found
}
