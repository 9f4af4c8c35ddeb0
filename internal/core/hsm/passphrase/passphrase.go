// SPDX-License-Identifier: Apache-2.0

// Package passphrase reads a passphrase from a terminal, a file descriptor or a systemd credential straight into a secret: no string, no
// buffer on the Go heap, never an argument or an environment variable, which other processes can read.
//
// It refuses passphrases that are too short or too long, not UTF-8, or hold control characters. Text is not normalised: a letter that one
// keyboard composes and another doesn't makes two passphrases (Unicode NFC is deliberately not applied, for a table of it would have to be
// trusted, and to stay the same for ever); people who type on several keyboards do well with ASCII.
package passphrase

import (
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"

	"strongroom/internal/secret"
)

// Bounds of a passphrase in bytes.
const (
	MinSize = 12
	MaxSize = 1024
)

var (
	// ErrRules says that a passphrase is not fit to be one.
	ErrRules = errors.New("passphrase: not accepted")
	// ErrEmpty says that the source held no passphrase.
	ErrEmpty = errors.New("passphrase: nothing was entered")
	// ErrDifferent says that the two entries at creation differ.
	ErrDifferent = errors.New("passphrase: the two entries differ; try again")
	// ErrCancelled says that somebody pressed Ctrl-C.
	ErrCancelled = errors.New("passphrase: cancelled")
	// ErrTooLong says that a source held more than MaxSize bytes.
	ErrTooLong = fmt.Errorf("%w: longer than %d bytes", ErrRules, MaxSize)
	// ErrNoSource says that there is no way to ask for a passphrase.
	ErrNoSource = errors.New("passphrase: no terminal to ask at; give --passphrase-fd, or the systemd credential " + CredentialName)
)

// Check says whether p may be a passphrase: 12 to 1024 bytes of UTF-8 without control characters. It is for new passphrases.
func Check(p secret.Bytes) error {
	return p.Use(func(b []byte) error {
		switch {
		case len(b) < MinSize:
			return fmt.Errorf("%w: it has %d bytes; use %d or more, such as five random words", ErrRules, len(b), MinSize)
		case len(b) > MaxSize:
			return ErrTooLong
		case !utf8.Valid(b):
			return fmt.Errorf("%w: it is not UTF-8 text", ErrRules)
		}
		for rest := b; len(rest) > 0; {
			r, n := utf8.DecodeRune(rest)
			if unicode.IsControl(r) {
				return fmt.Errorf("%w: it holds a control character; remove line ends and tabs", ErrRules)
			}
			rest = rest[n:]
		}
		return nil
	})
}

// buffer collects input in the arena. It has room for one byte more than a passphrase and its newline, which shows that input is too long.
type buffer struct{ b []byte }

// collect runs fill with an empty buffer and returns what it put there.
func collect(a *secret.Arena, fill func(*buffer) error) (out secret.Bytes, err error) {
	// Written inside New's fill, the only place where a secret may be written; the outcome is copied from there and the room wiped.
	room, err := secret.New(a, MaxSize+2, func(b []byte) error {
		buf := &buffer{b: b[:0]}
		if err := fill(buf); err != nil {
			return err
		}
		if len(buf.b) == 0 {
			return ErrEmpty
		}
		if len(buf.b) > MaxSize {
			return ErrTooLong
		}
		out, err = secret.New(a, len(buf.b), func(to []byte) error { copy(to, buf.b); return nil })
		return err
	})
	if err != nil {
		return secret.Bytes{}, err
	}
	room.Wipe()
	return out, nil
}

// trimNewline removes exactly one newline from the end: editors and echo add one, and further ones are a mistake that Check tells about.
func (b *buffer) trimNewline() {
	if n := len(b.b); n > 0 && b.b[n-1] == '\n' {
		b.b = b.b[:n-1]
	}
}
