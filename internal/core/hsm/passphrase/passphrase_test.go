// SPDX-License-Identifier: Apache-2.0

package passphrase

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"strongroom/internal/secret"
	"strongroom/internal/secret/secrettest"
)

const good = "correct horse battery staple"

// text gives what p holds and wipes it.
func text(t testing.TB, p secret.Bytes) (out string) {
	t.Helper()
	defer p.Wipe()
	if err := p.Use(func(b []byte) error { out = string(b); return nil }); err != nil && !errors.Is(err, secret.ErrWiped) {
		t.Fatal(err)
	}
	return out
}

func TestCheck(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	for _, tt := range []struct {
		name, p string
		fits    bool
	}{
		{"12 bytes", "123456789012", true},
		{"1024 bytes", strings.Repeat("x", 1024), true},
		{"words of another alphabet", "διορθωμένο άλογο", true},
		{"11 bytes", "12345678901", false},
		{"1025 bytes", strings.Repeat("x", 1025), false},
		{"line end", good + "\n", false},
		{"tab", "correct\thorse battery", false},
		{"zero byte", "correct\x00horse battery", false},
		{"delete", "correct\x7fhorse battery", false},
		{"C1 control", "correct\u0085horse battery", false},
		{"not UTF-8", "correct\xffhorse battery", false},
	} {
		p, err := secret.Take(a, []byte(tt.p))
		if err != nil {
			t.Fatal(err)
		}
		if err := Check(p); (err == nil) != tt.fits || err != nil && !errors.Is(err, ErrRules) {
			t.Errorf("%s: got error %v", tt.name, err)
		}
		p.Wipe()
	}
	if err := Check(secret.Bytes{}); !errors.Is(err, secret.ErrWiped) {
		t.Errorf("wiped: got error %v", err)
	}
}

// pipe returns the reading end of a pipe that holds s.
func pipe(t *testing.T, s string) int {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	if _, err := w.WriteString(s); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return int(r.Fd())
}

func TestFromFD(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	for _, tt := range []struct {
		name, in, out string
		want          error
	}{
		{"plain", good, good, nil},
		{"one newline goes", good + "\n", good, nil},
		{"two newlines: one stays", good + "\n\n", good + "\n", nil},
		{"spaces stay", " " + good + " ", " " + good + " ", nil},
		{"carriage return stays", good + "\r\n", good + "\r", nil},
		{"longest", strings.Repeat("x", 1024) + "\n", strings.Repeat("x", 1024), nil},
		{"too long by one", strings.Repeat("x", 1025), "", ErrTooLong},
		{"too long by one and a newline", strings.Repeat("x", 1025) + "\n", "", ErrTooLong},
		{"much too long", strings.Repeat("x", 5000), "", ErrTooLong},
		{"empty", "", "", ErrEmpty},
		{"newline alone", "\n", "", ErrEmpty},
	} {
		p, err := FromFD(a, pipe(t, tt.in))
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: got error %v, want %v", tt.name, err, tt.want)
		}
		if got := text(t, p); got != tt.out {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.out)
		}
	}
	for _, fd := range []int{-1, 1, 2, 1 << 20} {
		if _, err := FromFD(a, fd); err == nil || !strings.Contains(err.Error(), strconv.Itoa(fd)) {
			t.Errorf("descriptor %d: got error %v", fd, err)
		}
	}
	_, slave := pty(t)
	if _, err := FromFD(a, int(slave.Fd())); err == nil || !strings.Contains(err.Error(), "terminal") {
		t.Errorf("a terminal: got error %v", err)
	}
}

// TestFromFDWaits reads from a descriptor that doesn't block, whose writer comes in two parts.
func TestFromFDWaits(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := unix.Write(fds[1], []byte(good[:5]))
		_, err2 := unix.Write(fds[1], []byte(good[5:]))
		done <- errors.Join(err, err2, unix.Close(fds[1]))
	}()
	p, err := FromFD(a, fds[0])
	if err := errors.Join(err, <-done, unix.Close(fds[0])); err != nil {
		t.Fatal(err)
	}
	if got := text(t, p); got != good {
		t.Errorf("got %q", got)
	}
}

func TestFromCredential(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	dir := t.TempDir()
	if _, err := FromCredential(a, dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("none: got error %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, CredentialName), []byte(good+"\n"), 0o400); err != nil {
		t.Fatal(err)
	}
	p, err := FromCredential(a, dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := text(t, p); got != good {
		t.Errorf("got %q", got)
	}
	if err := os.WriteFile(filepath.Join(t.TempDir(), CredentialName), nil, 0o400); err != nil {
		t.Fatal(err)
	}
}

func TestSource(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	dir, other := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, CredentialName), []byte("from the credential\n"), 0o400); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		s    Source
		out  string
		want error
	}{
		{"descriptor first", Source{FD: pipe(t, good), Credentials: dir}, good, nil},
		{"credential", Source{FD: -1, Credentials: dir}, "from the credential", nil},
		{"descriptor is empty", Source{FD: pipe(t, ""), Credentials: dir}, "", ErrEmpty},
		{"no credential, no terminal", Source{FD: -1, Credentials: other}, "", ErrNoSource},
		{"nothing", Source{FD: -1}, "", ErrNoSource},
	} {
		p, err := tt.s.Read(a)
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: got error %v, want %v", tt.name, err, tt.want)
		}
		if got := text(t, p); got != tt.out {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.out)
		}
	}
	if _, err := (Source{FD: pipe(t, "short")}).ReadNew(a); !errors.Is(err, ErrRules) {
		t.Errorf("new and short: got error %v", err)
	}
	p, err := (Source{FD: pipe(t, "short")}).Read(a)
	if err != nil {
		t.Errorf("an old one may be short: got error %v", err)
	}
	p.Wipe()
	p, err = (Source{FD: -1, Credentials: dir}).ReadNew(a)
	if err != nil {
		t.Error(err)
	}
	p.Wipe()
	file, err := os.Open(filepath.Join(dir, CredentialName))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if _, err := (Source{FD: -1, Terminal: file, Prompt: &bytes.Buffer{}}).Read(a); !errors.Is(err, ErrNoSource) {
		t.Errorf("a file instead of a terminal: got error %v", err)
	}
}

// TestTyped: a person types what comes neither from a descriptor nor from a credential.
func TestTyped(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if !(Source{FD: -1}).Typed() || !(Source{FD: -1, Credentials: dir}).Typed() || (Source{FD: 3}).Typed() {
		t.Error("a terminal was not told from a descriptor")
	}
	if err := os.WriteFile(filepath.Join(dir, CredentialName), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if (Source{FD: -1, Credentials: dir}).Typed() {
		t.Error("a credential was taken for a person")
	}
}

func TestNamedCredential(t *testing.T) {
	t.Parallel()
	a, dir := secrettest.Arena(t), t.TempDir()
	if _, err := FromNamedCredential(a, dir, "other"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got error %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "other"), []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := FromNamedCredential(a, dir, "other")
	if err != nil || p.Len() != 6 {
		t.Fatalf("got %d bytes and error %v", p.Len(), err)
	}
	p.Wipe()
}
