// SPDX-License-Identifier: Apache-2.0

// Package parcel seals what is carried between an online and an offline domain, of any length, to a public key of package recovery: a random
// key, sealed to that, and the content in pieces under it. Who carries it reads nothing, and can't exchange, repeat or alter a piece. That
// pieces are missing at the end, the content itself says (package internal/pure/offline). docs/spec/cold.md.
//
// It refuses what was sealed to another key, for another domain or use, and any altered byte.
//
// Copies outside the arena: the AES schedule of a parcel's random key stays on the heap, as package readkey says. It opens this parcel, whose
// content has no keys in clear.
package parcel

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"strongroom/internal/core/domainkeys"
	"strongroom/internal/core/recovery"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/readkey"
	"strongroom/internal/secret"
)

// PieceSize is how many bytes of content are sealed at once.
const PieceSize = 1 << 20

const lengthSize = 4

// ErrParcel says that a parcel does not open: it is for somebody or something else, or was altered.
var ErrParcel = errors.New("the parcel does not open: it is for another domain or use, or was altered")

// Writer seals what is written to it. It is not safe for concurrent use.
type Writer struct {
	w     io.Writer
	key   *readkey.Key
	buf   []byte
	index uint32
}

// NewWriter begins a parcel to a public key, for the domain with an identity key and a label as [recovery.CheckLabel] takes it.
func NewWriter(a *secret.Arena, w io.Writer, public []byte, identity [32]byte, label string) (*Writer, error) {
	k, err := secret.New(a, readkey.KeySize, func(b []byte) error { _, err := rand.Read(b); return err })
	if err != nil {
		return nil, fmt.Errorf("parcel: %w", err)
	}
	defer k.Wipe()
	sealed, err := recovery.Seal(public, identity, label, k)
	if err != nil {
		return nil, fmt.Errorf("parcel: %w", err)
	}
	key, err := contentKey(k)
	if err != nil {
		return nil, fmt.Errorf("parcel: %w", err)
	}
	out := &Writer{w: w, key: key}
	return out, out.piece(sealed)
}

// contentKey makes the key of the pieces ready.
func contentKey(k secret.Bytes) (key *readkey.Key, err error) {
	err = k.Use(func(b []byte) (err error) {
		if len(b) != readkey.KeySize {
			return ErrParcel
		}
		key, err = readkey.New(0, (*[readkey.KeySize]byte)(b))
		return err
	})
	return key, err
}

// Write adds to the content.
func (w *Writer) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		take := min(PieceSize-len(w.buf), len(b))
		w.buf, b = append(w.buf, b[:take]...), b[take:]
		if len(w.buf) == PieceSize {
			if err := w.flush(); err != nil {
				return n - len(b), err
			}
		}
	}
	return n, nil
}

// Close seals what is left. It does not close what is behind.
func (w *Writer) Close() error {
	if len(w.buf) == 0 {
		return nil
	}
	return w.flush()
}

func (w *Writer) flush() error {
	stored, err := w.key.Seal(domainkeys.Nonce(), readkey.Place{Index: w.index}, [entry.SaltSize]byte{}, w.buf)
	if err != nil {
		return fmt.Errorf("parcel: %w", err)
	}
	w.index++
	w.buf = w.buf[:0]
	return w.piece(stored)
}

// piece writes a length and bytes.
func (w *Writer) piece(b []byte) error {
	if _, err := w.w.Write(binary.BigEndian.AppendUint32(nil, uint32(len(b)))); err != nil {
		return err
	}
	_, err := w.w.Write(b)
	return err
}

// Reader opens a parcel. It is not safe for concurrent use.
type Reader struct {
	r     io.Reader
	key   *readkey.Key
	rest  []byte
	index uint32
}

// Open begins to open a parcel with the private half of the key that it was sealed to.
func Open(a *secret.Arena, r io.Reader, key *recovery.Key, identity [32]byte, label string) (*Reader, error) {
	in := &Reader{r: r}
	sealed, err := in.piece(recovery.MaxSealed)
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = ErrParcel
		}
		return nil, err
	}
	k, err := key.Open(a, identity, label, sealed)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrParcel, err)
	}
	defer k.Wipe()
	in.key, err = contentKey(k)
	return in, err
}

// Read gives the next bytes of the content; io.EOF at the end of the last piece that is there.
func (r *Reader) Read(b []byte) (int, error) {
	for len(r.rest) == 0 {
		stored, err := r.piece(PieceSize + readkey.Overhead)
		if err != nil {
			return 0, err
		}
		if _, r.rest, err = r.key.Open(readkey.Place{Index: r.index}, stored); err != nil {
			return 0, fmt.Errorf("%w: piece %d", ErrParcel, r.index)
		}
		r.index++
	}
	n := copy(b, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// piece reads a length and bytes; io.EOF where nothing follows.
func (r *Reader) piece(most int) ([]byte, error) {
	var h [lengthSize]byte
	if _, err := io.ReadFull(r.r, h[:]); errors.Is(err, io.EOF) {
		return nil, io.EOF
	} else if err != nil {
		return nil, fmt.Errorf("%w: it ends inside a piece: %w", ErrParcel, err)
	}
	n := binary.BigEndian.Uint32(h[:])
	if n == 0 || uint64(n) > uint64(most) {
		return nil, fmt.Errorf("%w: a piece of %d bytes", ErrParcel, n)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r.r, b); err != nil {
		return nil, fmt.Errorf("%w: it ends inside a piece: %w", ErrParcel, err)
	}
	return b, nil
}

// KeyOf returns the SHA-256 of the public key that a parcel is sealed to. Nothing has been authenticated then: it is for finding the key.
func KeyOf(sealed []byte) ([32]byte, error) {
	r := Reader{r: bytes.NewReader(sealed)}
	first, err := r.piece(recovery.MaxSealed)
	if err != nil {
		return [32]byte{}, ErrParcel
	}
	id, err := recovery.KeyOf(first)
	if err != nil {
		return id, fmt.Errorf("%w: %w", ErrParcel, err)
	}
	return id, nil
}
