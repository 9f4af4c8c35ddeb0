// SPDX-License-Identifier: Apache-2.0

// Package readkey encrypts and opens the confidential bodies of a domain's log under the read key of a period, a calendar month. An
// auditor who is given the read key of a month reads the bodies of that month and of no other; the core derives the keys (docs/spec/blob.md).
//
// Why XAES-256-GCM with a random nonce. What a nonce must never do is come twice under one key with another message.
//   - A nonce that follows from the entry's number does: a tail beyond the last pin may be dropped, and its numbers are used again for other
//     bodies, while whoever copied the disk before has the first ones. So the nonce can't follow from the place in the log.
//   - A nonce that follows from the content (SIV) is safe and needs two passes over a body of up to 8 MiB with slower code.
//   - 12 random bytes under one key for a month reach GCM's bound of 2^32 messages in twelve days at 4,000 bodies a second.
//   - 24 random bytes are good for 2^80 messages. XAES-256-GCM (C2SP) derives a key for each message from the first 12 by SP 800-108 with
//     two AES calls, and is AES-256-GCM from there on. It is a published algorithm with vectors, which others can implement from its page.
//
// The ciphertext commits to no key, and needs not: the leaf holds the salted hash of the body, and a body that opens is compared with it.
// The place (period, entry, body) is authenticated, so that two stored bodies can't be exchanged.
//
// It refuses stored bodies of another version, period, entry or place, or with any bit changed.
package readkey

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"strongroom/internal/pure/entry"
)

// Sizes in bytes.
const (
	KeySize   = 32
	NonceSize = nonceSize
	// Overhead is how much longer a stored body is than the body: version, nonce, salt, tag.
	Overhead = 1 + NonceSize + entry.SaltSize + 16
)

const version = 1

// ErrOpen says that a stored body does not open: the key is of another domain or period, the place another one, or bytes were altered.
var ErrOpen = errors.New("readkey: stored body does not open: another key or place, or it was altered")

// Period numbers the month, in UTC, of a leaf's time (Unix nanoseconds): year*12 + month, January being 1.
func Period(unixNano int64) uint32 {
	t := time.Unix(0, unixNano).UTC()
	return uint32(t.Year()*12 + int(t.Month()))
}

// Place says where in the log a body stands.
type Place struct {
	Seq   uint64 // number of the entry
	Index uint32 // which of its bodies, from 0
}

// Key is a read key made ready for use. Its methods are safe for concurrent use.
type Key struct {
	period uint32
	xaes   *xaes
}

// New makes the read key of a period ready. It keeps no reference to key, but crypto/aes keeps the key schedule on the heap.
func New(period uint32, key *[KeySize]byte) (*Key, error) {
	x, err := newXAES(key)
	if err != nil {
		return nil, fmt.Errorf("readkey: %w", err)
	}
	return &Key{period: period, xaes: x}, nil
}

// Period returns the period that k is for.
func (k *Key) Period() uint32 { return k.period }

// Seal gives the stored form of a body and its salt: 0x01 || nonce (24) || XAES-256-GCM(key, nonce, salt || body, aad) with aad = 0x01 ||
// period (4) || entry (8) || body index (4), big-endian. nonce must be fresh random bytes in each call.
func (k *Key) Seal(nonce [NonceSize]byte, at Place, salt [entry.SaltSize]byte, body []byte) ([]byte, error) {
	if len(body) > entry.MaxBody {
		return nil, fmt.Errorf("readkey: body of %d bytes, more than %d", len(body), entry.MaxBody)
	}
	out := make([]byte, 1+NonceSize+entry.SaltSize+len(body), len(body)+Overhead)
	out[0] = version
	copy(out[1:], nonce[:])
	plain := out[1+NonceSize:]
	copy(plain, salt[:])
	copy(plain[entry.SaltSize:], body)
	aad := k.aad(at)
	// Encrypted in place: the plaintext's room is the ciphertext's.
	out, err := k.xaes.seal(out[:1+NonceSize], &nonce, plain, aad[:])
	if err != nil {
		return nil, fmt.Errorf("readkey: %w", err)
	}
	return out, nil
}

// Open reads what [Key.Seal] stored for this place. stored is not changed.
func (k *Key) Open(at Place, stored []byte) (salt [entry.SaltSize]byte, body []byte, err error) {
	if len(stored) < Overhead || len(stored) > entry.MaxBody+Overhead || stored[0] != version {
		return salt, nil, ErrOpen
	}
	aad := k.aad(at)
	plain, err := k.xaes.open((*[NonceSize]byte)(stored[1:]), stored[1+NonceSize:], aad[:])
	if err != nil {
		return salt, nil, ErrOpen
	}
	return [entry.SaltSize]byte(plain), plain[entry.SaltSize:], nil
}

func (k *Key) aad(at Place) (aad [17]byte) {
	aad[0] = version
	binary.BigEndian.PutUint32(aad[1:], k.period)
	binary.BigEndian.PutUint64(aad[5:], at.Seq)
	binary.BigEndian.PutUint32(aad[13:], at.Index)
	return aad
}
