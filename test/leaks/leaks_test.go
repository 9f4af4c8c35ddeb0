// SPDX-License-Identifier: Apache-2.0

package leaks

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/tyler-smith/go-bip39"
)

// planted is a secret that stands nowhere in this program: the child computes it from a number that it is given.
func planted(seed byte) []byte {
	b := make([]byte, 32)
	for i := range b {
		seed = seed*5 + 113
		b[i] = seed ^ byte(i*i)
	}
	return b
}

const childVariable = "STRONGROOM_LEAKS_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) == "" {
		os.Exit(m.Run())
	}
	hold()
}

// hold keeps a planted secret in its memory, in the form that its input names, until its input ends.
func hold() {
	var seed byte
	var form int
	if _, err := fmt.Scanln(&seed, &form); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	kept := []byte("nothing")
	if form >= 0 {
		kept = written(planted(seed))[form].data
	}
	fmt.Println("ready")
	_, err := io.Copy(io.Discard, os.Stdin)
	runtime.KeepAlive(kept)
	if err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

type asWritten struct {
	name string
	data []byte
}

// written is how programs leave a secret behind, each made in another way than the finder's patterns.
func written(b []byte) []asWritten {
	numbers := make([]int, len(b))
	for i, x := range b {
		numbers[i] = int(x)
	}
	list, _ := json.Marshal(numbers) // numbers always marshal
	mnemonic, _ := bip39.NewMnemonic(b)
	reversed := slices.Clone(b)
	slices.Reverse(reversed)
	out := []asWritten{
		{"raw", slices.Clone(b)}, {"reversed", reversed}, {"first half", slices.Clone(b[:16])}, {"second half", slices.Clone(b[16:])},
		{"hex", fmt.Appendf(nil, "%x", b)}, {"HEX", fmt.Appendf(nil, "%X", b)}, {"hex of a struct", fmt.Appendf(nil, "%x", struct{ K []byte }{b})},
		{"half in hex", []byte(hex.EncodeToString(b[16:]))}, {"hex with spaces", fmt.Appendf(nil, "% x", b)},
		{"%v", fmt.Append(nil, b)}, {"%#v", fmt.Appendf(nil, "%#v", b)}, {"%+v of an array", fmt.Appendf(nil, "%+v", [32]byte(b))}, {"JSON list", list},
		{"decimal", []byte(new(big.Int).SetBytes(b).String())}, {"words", []byte(mnemonic)}, {"words in lines", []byte(strings.ReplaceAll(mnemonic, " ", "\n"))},
		{"words in JSON", []byte(`["` + strings.ReplaceAll(mnemonic, " ", `","`) + `"]`)},
	}
	for pad := range 3 { // within something longer
		in := slices.Concat(make([]byte, pad), b, []byte{1, 2, 3, 4})
		out = append(out, asWritten{fmt.Sprint("base64 from ", pad), []byte(base64.StdEncoding.EncodeToString(in))},
			asWritten{fmt.Sprint("raw URL base64 from ", pad), []byte(base64.RawURLEncoding.EncodeToString(in))})
	}
	return out
}

func finder(t *testing.T, secrets ...Secret) *Finder {
	t.Helper()
	f, err := NewFinder(secrets)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// Each form is found, and another secret in the same form is not.
func TestEveryForm(t *testing.T) {
	t.Parallel()
	for seed := range byte(20) {
		f := finder(t, Secret{"it", planted(seed)})
		other := written(planted(seed + 100))
		for i, w := range written(planted(seed)) {
			text := slices.Concat([]byte("before "), w.data, []byte(" after"))
			if hits := f.In(w.name, text); len(hits) == 0 || hits[0].Secret != "it" || hits[0].Offset < 7 || strings.Contains(fmt.Sprint(hits), string(w.data)) {
				t.Errorf("%s: found %v", w.name, hits)
			}
			if hits := f.In(w.name, other[i].data); len(hits) != 0 {
				t.Errorf("%s of another secret: found %v", w.name, hits)
			}
		}
	}
}

// A secret across the border of two chunks is found once, at its place.
func TestStream(t *testing.T) {
	t.Parallel()
	f := finder(t, Secret{"it", planted(3)})
	for _, at := range []int64{0, chunk - 40, chunk - 31, chunk - 16, chunk - 1, chunk, 2*chunk - 100} {
		text := bytes.Repeat([]byte{'.'}, 2*chunk+1000)
		copy(text[at:], planted(3)[:16])
		hits, err := f.Stream("it", iotest.HalfReader(bytes.NewReader(text)))
		if err != nil || len(hits) != 1 || hits[0].Offset != at {
			t.Errorf("at %d: %v, %v", at, hits, err)
		}
	}
	if _, err := f.Stream("it", iotest.ErrReader(os.ErrDeadlineExceeded)); err == nil {
		t.Error("an error of the reader was lost")
	}
}

func TestFolder(t *testing.T) {
	t.Parallel()
	f := finder(t, Secret{"it", planted(4)})
	dir := t.TempDir()
	deep := filepath.Join(dir, "a", "b")
	if err := os.MkdirAll(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"clean": []byte("nothing here"), "log": []byte("key=" + hex.EncodeToString(planted(4))), hex.EncodeToString(planted(4)): nil} {
		if err := os.WriteFile(filepath.Join(deep, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	hits, files, err := f.Folder(dir)
	found := map[string]bool{}
	for _, h := range hits {
		found[h.Where] = true
	}
	if err != nil || files != 3 || len(found) != 2 || !found[filepath.Join(deep, "log")] {
		t.Errorf("%d files, %v, %v", files, hits, err)
	}
}

// A secret in another process's memory, command line or environment is found; a process without one is clean.
func TestProcess(t *testing.T) {
	t.Parallel()
	f := finder(t, Secret{"it", planted(9)})
	forms := written(planted(9))
	for form := -1; form < len(forms)+2; form++ {
		name, want := "clean", ""
		var cmdline, environ string
		held := form
		switch {
		case form >= 0 && form < len(forms):
			name, want = forms[form].name, "memory"
		case form == len(forms):
			name, want, held, cmdline = "command line", "cmdline", -1, fmt.Sprintf("%x", planted(9))
		case form > len(forms):
			name, want, held, environ = "environment", "environ", -1, "KEY="+base64.StdEncoding.EncodeToString(planted(9))
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pid := child(t, held, cmdline, environ)
			hits, read, err := f.Process(pid, nil)
			if err != nil {
				t.Fatal(err)
			}
			if read < 1<<20 {
				t.Errorf("only %d bytes of memory were read", read)
			}
			if want == "" && len(hits) > 0 || want != "" && !slices.ContainsFunc(hits, func(h Hit) bool { return strings.HasPrefix(h.Where, want) }) {
				t.Errorf("found %v, want %q", hits, want)
			}
			hits, read, err = f.Process(pid, func(Mapping) bool { return true })
			if err != nil || read != 0 || want == "memory" && len(hits) > 0 {
				t.Errorf("with all memory skipped: %v, %d bytes, %v", hits, read, err)
			}
		})
	}
}

// child starts this program to hold a form of planted(9).
func child(t *testing.T, form int, cmdline, environ string) (pid int) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	if cmdline != "" {
		cmd.Args = append(cmd.Args, cmdline)
	}
	cmd.Env = append(os.Environ(), childVariable+"=1", environ)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait() // its context may have ended it
	})
	if _, err := fmt.Fprintln(in, 9, form); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("ready\n"))); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, b := range map[string][]byte{"short": planted(1)[:15], "zeros": make([]byte, 32), "empty": nil} {
		if _, err := NewFinder([]Secret{{name, b}}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	f := finder(t, Secret{"it", planted(1)})
	if _, _, err := f.Process(1<<30, nil); err == nil {
		t.Error("no such process, and no error")
	}
	if _, _, err := f.Folder(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("no such folder, and no error")
	}
}
