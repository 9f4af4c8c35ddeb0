// SPDX-License-Identifier: Apache-2.0

package passphrase

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"strongroom/internal/secret"
)

// CredentialName is the name of the systemd credential (LoadCredential=, LoadCredentialEncrypted=) that holds the passphrase.
const CredentialName = "strongroom-passphrase"

// Source says where a passphrase may come from. The first that is given counts: descriptor, credential, terminal.
type Source struct {
	FD          int       // open file descriptor, or -1
	Credentials string    // systemd's $CREDENTIALS_DIRECTORY, or empty; used if it holds [CredentialName]
	Terminal    *os.File  // asks here if it is a terminal, or nil
	Prompt      io.Writer // where the question is written, normally standard error
	Question    string    // what [Source.Read] asks at a terminal; empty: "Passphrase: "
}

// Typed reports whether [Source.Read] would ask at the terminal, so that a person types what it gives.
func (s Source) Typed() bool {
	if s.FD >= 0 {
		return false
	}
	_, err := os.Stat(filepath.Join(s.Credentials, CredentialName))
	return s.Credentials == "" || errors.Is(err, os.ErrNotExist)
}

// Read reads a passphrase that opens something.
func (s Source) Read(a *secret.Arena) (secret.Bytes, error) {
	if p, ok, err := s.given(a); ok {
		return p, err
	}
	return askTerminal(a, s.Terminal, s.Prompt, cmp.Or(s.Question, "Passphrase: "))
}

// ReadNew reads a passphrase for something new: it must pass [Check], and a terminal asks twice.
func (s Source) ReadNew(a *secret.Arena) (secret.Bytes, error) {
	p, ok, err := s.given(a)
	if !ok {
		p, err = askTerminal(a, s.Terminal, s.Prompt, fmt.Sprintf("New passphrase (%d characters or more): ", MinSize))
	}
	if err != nil {
		return secret.Bytes{}, err
	}
	if err := Check(p); err != nil {
		p.Wipe()
		return secret.Bytes{}, err
	}
	if ok {
		return p, nil
	}
	again, err := askTerminal(a, s.Terminal, s.Prompt, "The same again: ")
	if err != nil {
		p.Wipe()
		return secret.Bytes{}, err
	}
	defer again.Wipe()
	if !p.Equal(again) {
		p.Wipe()
		return secret.Bytes{}, ErrDifferent
	}
	return p, nil
}

// given reads from descriptor or credential; ok is false when neither is given.
func (s Source) given(a *secret.Arena) (p secret.Bytes, ok bool, err error) {
	if s.FD >= 0 {
		p, err = FromFD(a, s.FD)
		return p, true, err
	}
	if s.Credentials == "" {
		return secret.Bytes{}, false, nil
	}
	p, err = FromCredential(a, s.Credentials)
	if errors.Is(err, os.ErrNotExist) {
		return secret.Bytes{}, false, nil
	}
	return p, true, err
}

// FromFD reads a passphrase from an open file descriptor to its end, without one trailing newline, and leaves the descriptor open. It refuses
// standard output and error, and a terminal, which would show what is typed.
func FromFD(a *secret.Arena, fd int) (secret.Bytes, error) {
	if fd < 0 || fd == 1 || fd == 2 {
		return secret.Bytes{}, fmt.Errorf("passphrase: descriptor %d can't be read from; use 0, or 3 and up", fd)
	}
	if isTerminal(fd) {
		return secret.Bytes{}, fmt.Errorf("passphrase: descriptor %d is a terminal and would show the passphrase; leave --passphrase-fd out to be asked", fd)
	}
	p, err := collect(a, func(b *buffer) error { return readAll(fd, b) })
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("descriptor %d: %w", fd, err)
	}
	return p, nil
}

// FromCredential reads the passphrase from the credentials directory of systemd, without one trailing newline. Without the credential the
// error wraps [os.ErrNotExist].
func FromCredential(a *secret.Arena, dir string) (secret.Bytes, error) {
	return FromNamedCredential(a, dir, CredentialName)
}

// FromNamedCredential is [FromCredential] for a credential of another name.
func FromNamedCredential(a *secret.Arena, dir, name string) (secret.Bytes, error) {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("passphrase: credential: %w", err)
	}
	p, err := collect(a, func(b *buffer) error { return readAll(int(f.Fd()), b) })
	if err := errors.Join(err, f.Close()); err != nil {
		p.Wipe()
		return secret.Bytes{}, fmt.Errorf("credential %s: %w", name, err)
	}
	return p, nil
}

// readAll reads to the end of input with read(2), so that nothing but the arena holds it.
func readAll(fd int, b *buffer) error {
	for {
		room := b.b[len(b.b):cap(b.b)]
		if len(room) == 0 {
			return ErrTooLong
		}
		n, err := read(fd, room)
		if err != nil {
			return err
		}
		if n == 0 {
			b.trimNewline()
			return nil
		}
		b.b = b.b[:len(b.b)+n]
	}
}

// read is read(2), again after signals, and waiting where the descriptor doesn't.
func read(fd int, to []byte) (int, error) {
	for {
		n, err := unix.Read(fd, to)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
			if err != nil && !errors.Is(err, unix.EINTR) {
				return 0, fmt.Errorf("passphrase: wait for input: %w", err)
			}
		case err != nil:
			return 0, fmt.Errorf("passphrase: read: %w", err)
		default:
			return n, nil
		}
	}
}
