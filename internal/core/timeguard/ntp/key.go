// SPDX-License-Identifier: Apache-2.0

package ntp

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"strongroom/internal/core/internal/cmac"
	"strongroom/internal/secret"
)

// Algorithm is how packets are authenticated, named as in chrony's key files.
type Algorithm string

// The algorithms. MD5 and SHA-1 are not among them.
const (
	AES128 Algorithm = "AES128" // AES-CMAC with a key of 16 bytes, RFC 8573
	AES256 Algorithm = "AES256" // AES-CMAC with a key of 32 bytes
	SHA256 Algorithm = "SHA256" // SHA-256 over key and packet, its first 20 bytes
	SHA512 Algorithm = "SHA512" // SHA-512 over key and packet, its first 20 bytes
)

// maxDigest is the most of a hash that NTP version 4 carries: a longer code would look like an extension field (RFC 7822 section 7.5).
const maxDigest = 20

// Key is a key shared with a server. Wipe it when it is not needed any more.
//
// Copies outside the arena: while a packet is authenticated, the AES key schedule or the hash state, on the heap.
type Key struct {
	id        uint32
	algorithm Algorithm
	secret    secret.Bytes
}

const (
	minHashKey = 16
	maxKey     = 64
	maxKeyFile = 64 << 10
)

// ReadKey finds the key of an id in a key file of chrony's format, a key a line: id, algorithm, and the key as HEX: and hexadecimal digits.
// Lines that begin with # ! ; or % are comments. It clears the text.
func ReadKey(a *secret.Arena, file []byte, id uint32) (Key, error) {
	defer clear(file)
	if len(file) > maxKeyFile {
		return Key{}, fmt.Errorf("the key file has more than %d bytes", maxKeyFile)
	}
	found := Key{}
	line := 0
	for l := range bytes.Lines(file) {
		line++
		f := bytes.Fields(l)
		if len(f) == 0 || bytes.IndexByte([]byte("#!;%"), f[0][0]) >= 0 {
			continue
		}
		n, err := strconv.ParseUint(string(f[0]), 10, 32)
		if err != nil || n == 0 {
			found.Wipe()
			return Key{}, fmt.Errorf("key file, line %d: begins with no key id", line)
		}
		if uint32(n) != id {
			continue
		}
		if found.id != 0 {
			found.Wipe()
			return Key{}, fmt.Errorf("key file, line %d: key %d stands there twice", line, id)
		}
		if found, err = parseKey(a, id, f[1:]); err != nil {
			return Key{}, fmt.Errorf("key file, line %d: %w", line, err)
		}
	}
	if found.id == 0 {
		return Key{}, fmt.Errorf("the key file has no key %d", id)
	}
	return found, nil
}

func parseKey(a *secret.Arena, id uint32, f [][]byte) (Key, error) {
	if len(f) != 2 {
		return Key{}, errors.New("has not three words: id, algorithm, key")
	}
	k := Key{id: id, algorithm: Algorithm(f[0])}
	digits, ok := bytes.CutPrefix(f[1], []byte("HEX:"))
	if !ok {
		return Key{}, errors.New("the key is not in hexadecimal, with HEX: before it")
	}
	n := len(digits) / 2
	switch k.algorithm {
	case AES128:
		ok = n == 16
	case AES256:
		ok = n == 32
	case SHA256, SHA512:
		ok = n >= minHashKey && n <= maxKey
	default:
		return Key{}, fmt.Errorf("algorithm %.10q is not one of %s, %s, %s, %s", f[0], AES128, AES256, SHA256, SHA512)
	}
	if !ok || len(digits)%2 != 0 {
		return Key{}, fmt.Errorf("the key has the wrong length for %s", k.algorithm)
	}
	var err error
	k.secret, err = secret.New(a, n, func(b []byte) error {
		if _, err := hex.Decode(b, digits); err != nil {
			return errors.New("the key has something that is no hexadecimal digit")
		}
		return nil
	})
	return k, err
}

// Wipe erases the key.
func (k Key) Wipe() { k.secret.Wipe() }

// digest gives the authentication code of a packet.
func (k Key) digest(packet []byte) (out []byte, err error) {
	err = k.secret.Use(func(key []byte) error {
		switch k.algorithm {
		case AES128, AES256:
			m, err := cmac.New(key)
			if err != nil {
				return err
			}
			tag := m.Sum(packet)
			out = tag[:]
		case SHA256:
			h := sha256.New()
			h.Write(key)
			h.Write(packet)
			out = h.Sum(nil)[:maxDigest]
			h.Reset()
		case SHA512:
			h := sha512.New()
			h.Write(key)
			h.Write(packet)
			out = h.Sum(nil)[:maxDigest]
			h.Reset()
		default:
			return errors.New("ntp: the key was not read by ReadKey")
		}
		return nil
	})
	return out, err
}

// Append authenticates a packet: it appends key id and code.
func (k Key) Append(packet []byte) ([]byte, error) {
	d, err := k.digest(packet)
	if err != nil {
		return nil, err
	}
	return append(binary.BigEndian.AppendUint32(packet, k.id), d...), nil
}
