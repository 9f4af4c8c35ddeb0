// SPDX-License-Identifier: Apache-2.0

package keystore

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"strongroom/internal/core/seal"
	"strongroom/internal/pure/algorithm"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/secret"
)

// MaxBlob is the largest blob in bytes.
const MaxBlob = seal.MaxEnvelope

var (
	// ErrNotCurrent says that a blob is not the one that the log names: an older one was restored, or it was altered.
	ErrNotCurrent = errors.New("keystore: the blob is not the current one that the log names")
	// ErrExpired says that the key's time is over.
	ErrExpired = errors.New("keystore: the key has expired")
	// ErrSize says that a key's material has a length that its kind can't have.
	ErrSize = errors.New("keystore: key material has the wrong length for its kind")
)

// MismatchError says that a blob is of another authority, domain, epoch, key, purpose or session than the one wanted.
type MismatchError struct{ Field, Got, Want string }

// Error names the field and both values, which are public.
func (e *MismatchError) Error() string {
	return fmt.Sprintf("keystore: the blob has %s %s, not %s", e.Field, e.Got, e.Want)
}

// Want says which key a caller is about to use, as the fold of the log tells.
type Want struct {
	Authority custody.AuthorityID
	Domain    custody.DomainID
	Epoch     uint64
	Pattern   [seal.PatternSize]byte
	Key       custody.KeyID
	Purpose   Purpose
	Session   []byte // id of the session that asks; a blob without a session opens in any
	Now       int64  // Unix seconds; with a clock that is not sure, the latest that it may be
}

// Hash is how the log names a blob.
func Hash(blob []byte) [32]byte { return canon.HashBytes(canon.TagBlobHash, blob) }

// Seal makes the blob of a key under the domain working key dwk, and its hash for the log. Two calls give different blobs.
func Seal(dwk secret.Bytes, h Header, material secret.Bytes) (blob []byte, hash [32]byte, err error) {
	if err := h.Check(); err != nil {
		return nil, hash, err
	}
	if err := checkSize(h.Kind, material); err != nil {
		return nil, hash, err
	}
	blob, err = seal.Seal(canon.TagBlob, dwk, h.Encode(), material)
	if err != nil {
		return nil, hash, fmt.Errorf("keystore: key %s: %w", h.Key, err)
	}
	return blob, Hash(blob), nil
}

// ReadHeader reads a blob's header without a key. Nothing but its form has been checked then.
func ReadHeader(blob []byte) (Header, error) {
	b, err := seal.Header(blob)
	if err != nil {
		return Header{}, err
	}
	return DecodeHeader(b)
}

// Open unseals the key in a blob into arena a. hash is that of the key's current blob, from the log. A blob with another hash is refused
// with [ErrNotCurrent] before anything of it is read; what doesn't fit want is refused with a [*MismatchError] before dwk is used.
func Open(a *secret.Arena, blob []byte, hash [32]byte, want Want, dwk secret.Bytes) (secret.Bytes, Header, error) {
	if Hash(blob) != hash {
		return secret.Bytes{}, Header{}, fmt.Errorf("%w (key %s)", ErrNotCurrent, want.Key)
	}
	h, err := ReadHeader(blob)
	if err != nil {
		return secret.Bytes{}, Header{}, fmt.Errorf("open blob of key %s: %w", want.Key, err)
	}
	if err := h.match(want); err != nil {
		return secret.Bytes{}, Header{}, err
	}
	if err := h.usable(want); err != nil {
		return secret.Bytes{}, Header{}, err
	}
	return unseal(a, blob, h, dwk)
}

// Reencipher makes the blob of the same key under the working key of another epoch: same header but for epoch and pattern, same material.
// It opens what it made and compares, before it returns it. A session that the key is bound to and an expiry don't matter: the key isn't used.
func Reencipher(a *secret.Arena, blob []byte, hash [32]byte, want Want, from, to secret.Bytes, epoch uint64, pattern [seal.PatternSize]byte) (next []byte, nextHash [32]byte, err error) {
	if Hash(blob) != hash {
		return nil, nextHash, fmt.Errorf("%w (key %s)", ErrNotCurrent, want.Key)
	}
	h, err := ReadHeader(blob)
	if err != nil {
		return nil, nextHash, fmt.Errorf("open blob of key %s: %w", want.Key, err)
	}
	if err := h.match(want); err != nil {
		return nil, nextHash, err
	}
	material, h, err := unseal(a, blob, h, from)
	if err != nil {
		return nil, nextHash, err
	}
	defer material.Wipe()
	h.Epoch, h.Pattern = epoch, pattern
	if next, nextHash, err = Seal(to, h, material); err != nil {
		return nil, nextHash, err
	}
	again, _, err := unseal(a, next, h, to)
	if err != nil {
		return nil, nextHash, fmt.Errorf("what was enciphered does not open: %w", err)
	}
	defer again.Wipe()
	if !again.Equal(material) {
		return nil, nextHash, fmt.Errorf("%w: key %s changed when it was enciphered", ErrCorrupt, h.Key)
	}
	return next, nextHash, nil
}

func unseal(a *secret.Arena, blob []byte, h Header, dwk secret.Bytes) (secret.Bytes, Header, error) {
	material, _, err := seal.Open(a, canon.TagBlob, dwk, blob)
	if err != nil {
		return secret.Bytes{}, Header{}, fmt.Errorf("open blob of key %s: %w", h.Key, err)
	}
	if err := checkSize(h.Kind, material); err != nil {
		material.Wipe()
		return secret.Bytes{}, Header{}, err
	}
	return material, h, nil
}

func (h Header) match(w Want) error {
	switch {
	case h.Authority != w.Authority:
		return &MismatchError{"authority", h.Authority.String(), w.Authority.String()}
	case h.Domain != w.Domain:
		return &MismatchError{"domain", h.Domain.String(), w.Domain.String()}
	case h.Key != w.Key:
		return &MismatchError{"key", string(h.Key), string(w.Key)}
	case h.Purpose != w.Purpose:
		return &MismatchError{"purpose", string(h.Purpose), string(w.Purpose)}
	case h.Epoch != w.Epoch:
		return &MismatchError{"epoch", strconv.FormatUint(h.Epoch, 10), strconv.FormatUint(w.Epoch, 10)}
	case h.Pattern != w.Pattern:
		return &MismatchError{"verification pattern", hexes(h.Pattern[:]), hexes(w.Pattern[:])}
	}
	return nil
}

// usable says whether the key may be used by who asks, now.
func (h Header) usable(w Want) error {
	switch {
	case len(h.Session) != 0 && !bytes.Equal(h.Session, w.Session):
		return &MismatchError{"session", hexes(h.Session), hexes(w.Session)}
	case h.Expires != 0 && (w.Now <= 0 || w.Now >= h.Expires): // a time that nobody gave is no proof that it isn't over
		return fmt.Errorf("%w (key %s, at %d)", ErrExpired, h.Key, h.Expires)
	}
	return nil
}

func checkSize(k Kind, material secret.Bytes) error {
	of, _ := algorithm.All().Material(k) // none: the header has been checked
	if n := material.Len(); n < of.Min || n > of.Max {
		return fmt.Errorf("%w: %q has %d to %d bytes, not %d", ErrSize, string(k), of.Min, of.Max, n)
	}
	return nil
}
