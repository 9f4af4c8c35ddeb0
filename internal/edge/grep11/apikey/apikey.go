// SPDX-License-Identifier: Apache-2.0

// Package apikey keeps API keys of the GREP11 gateway's callers in a file, as salted hashes, and gives bearer tokens for them.
//
// An API key is "srk_", an id and a secret of 256 random bits; the file has id, subject, salt and SHA-256 of salt and secret. A slow hash would
// add nothing: there is nothing to guess. The file is JSON, mode 0600, replaced as a whole; one that others can read is refused, and so are
// members that are not known. A token is an id of a key, an expiry and 16 random bytes under HMAC-SHA-256 (RFC 2104), whose key lies in a file of
// its own, so that tokens outlive a restart. A token ends with its time and with its API key.
//
// Copies outside the arena: API keys and the key of tokens pass through the heap. Whoever reads the gateway's memory sees what its callers send anyway.
package apikey

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// ErrRefused is what every API key and every token gets that is not good. [ErrEnded] is one, for those that were given once and are over: whoever
// shows them guesses nothing.
var (
	ErrRefused = errors.New("the API key or token is not good")
	ErrEnded   = fmt.Errorf("%w: it has ended", ErrRefused)
)

const (
	prefix     = "srk_"
	idSize     = 8  // random bytes
	secretSize = 32 // random bytes
	saltSize   = 16
	maxKeys    = 10_000
	maxFile    = 8 << 20
)

// Key is an API key as the file has it.
type Key struct {
	ID      string    `json:"id"`      // 16 hex digits
	Subject string    `json:"subject"` // whom it is for
	Salt    string    `json:"salt"`    // hex
	Hash    string    `json:"hash"`    // hex: SHA-256 of salt and secret
	Created time.Time `json:"created"`
	Ends    time.Time `json:"ends,omitzero"` // zero: never
}

// file is what the file holds.
type file struct {
	Version int   `json:"version"`
	Keys    []Key `json:"keys"`
}

// encoding is lower-case base32: nothing in it needs escaping in a form, which clients leave out.
var encoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Add makes an API key for a subject and writes it to the file, which it makes if it is missing. It gives the key itself, which is nowhere else.
// Whoever adds and removes keys does so one at a time: the last writer wins.
func Add(path, subject string, now, ends time.Time) (apiKey []byte, k Key, err error) {
	keys, err := Read(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, k, err
	}
	if len(keys) >= maxKeys {
		return nil, k, fmt.Errorf("API keys: %s has %d, no more than that are kept", path, len(keys))
	}
	if !ends.IsZero() && !ends.After(now) {
		return nil, k, errors.New("API keys: the end of the key is not in the future")
	}
	var id [idSize]byte
	var salt [saltSize]byte
	secret := make([]byte, secretSize)
	defer clear(secret)
	rand.Read(id[:])
	rand.Read(salt[:])
	rand.Read(secret)
	h := digest(salt[:], secret)
	k = Key{ID: hex.EncodeToString(id[:]), Subject: subject, Salt: hex.EncodeToString(salt[:]), Hash: hex.EncodeToString(h[:]), Created: now.UTC().Truncate(time.Second),
		Ends: ends}
	if err := write(path, append(keys, k)); err != nil {
		return nil, k, err
	}
	apiKey = append([]byte(prefix+k.ID+"_"), make([]byte, encoding.EncodedLen(secretSize))...)
	encoding.Encode(apiKey[len(prefix)+2*idSize+1:], secret)
	return apiKey, k, nil
}

// Remove takes a key out of the file. Its tokens end with it.
func Remove(path, id string) error {
	keys, err := Read(path)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(keys, func(k Key) bool { return k.ID == id })
	if i < 0 {
		return fmt.Errorf("API keys: %s has none with the id %q", path, id)
	}
	return write(path, slices.Delete(keys, i, i+1))
}

// Read reads a file.
func Read(path string) ([]Key, error) {
	b, err := private(path, maxFile)
	if err != nil {
		return nil, fmt.Errorf("API keys: %w", err)
	}
	var f file
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, fmt.Errorf("API keys: %s: %w", path, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) || f.Version != 1 || len(f.Keys) > maxKeys {
		return nil, fmt.Errorf("API keys: %s is no file of version 1 with at most %d keys", path, maxKeys)
	}
	for _, k := range f.Keys {
		if !isHex(k.ID, idSize) || !isHex(k.Salt, saltSize) || !isHex(k.Hash, sha256.Size) || k.Subject == "" {
			return nil, fmt.Errorf("API keys: %s: the key %.20q is not well-formed", path, k.ID)
		}
	}
	return f.Keys, nil
}

func isHex(s string, size int) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == size && s == hex.EncodeToString(b)
}

// private reads a file that only its owner may read.
func private(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read by others than its owner; run: chmod 600 %s", path, path)
	}
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("%s has more than %d bytes", path, most)
	}
	return b, err
}

func write(path string, keys []Key) error {
	b, err := json.MarshalIndent(file{1, keys}, "", "  ")
	if err != nil {
		return fmt.Errorf("API keys: %w", err)
	}
	return replace(path, append(b, '\n'), os.Rename)
}

// replace writes a file whole or not at all, durably. place is os.Rename, which replaces what is there, or os.Link, which refuses.
func replace(path string, b []byte, place func(from, to string) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone already after a rename
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := place(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// digest is the hash of a secret.
func digest(salt, secret []byte) [sha256.Size]byte {
	return sha256.Sum256(slices.Concat(salt, secret))
}

// split takes an API key apart.
func split(apiKey string) (id string, secret []byte, ok bool) {
	rest, ok := strings.CutPrefix(apiKey, prefix)
	if !ok {
		return "", nil, false
	}
	id, text, ok := strings.Cut(rest, "_")
	secret, err := encoding.DecodeString(text)
	return id, secret, ok && err == nil && len(secret) == secretSize && encoding.EncodeToString(secret) == text // one spelling: decoders are lenient
}

// match says whether an API key is one of those of a file, whether or not it has ended, in a time that does not tell which part was wrong.
func match(keys map[string]Key, apiKey string) (Key, bool) {
	id, secret, ok := split(apiKey)
	defer clear(secret)
	k, known := keys[id]
	salt, _ := hex.DecodeString(k.Salt) // checked when it was read; of no key it is empty
	want, _ := hex.DecodeString(k.Hash)
	got := digest(salt, secret)
	same := subtle.ConstantTimeCompare(got[:], want) == 1
	return k, ok && known && same
}

func (k Key) live(now time.Time) bool { return k.Ends.IsZero() || now.Before(k.Ends) }
