// SPDX-License-Identifier: Apache-2.0

package domainkeys

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"slices"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/readkey"
)

// keptReadKeys is how many read keys are kept ready: the current month, the one before around midnight, and a year for audits.
const keptReadKeys = 16

// SealBody gives the stored form of a confidential body and its salt, under the read key of the period ([readkey.Period] of the leaf's time).
// Two calls give different bytes. Package readkey says why it is built so.
func (i *Identity) SealBody(period uint32, seq uint64, index uint32, salt [entry.SaltSize]byte, body []byte) ([]byte, error) {
	k, err := i.readKey(period)
	if err != nil {
		return nil, err
	}
	return k.Seal(Nonce(), readkey.Place{Seq: seq, Index: index}, salt, body)
}

// Nonce draws the nonce of something stored.
func Nonce() (nonce [readkey.NonceSize]byte) {
	rand.Read(nonce[:]) // never fails: crypto/rand ends the process when the system has no randomness
	return nonce
}

// OpenBody reads what SealBody stored for the same period, entry and body index, or returns [readkey.ErrOpen]. The caller compares it with
// the hash in the leaf ([entry.CheckBody]).
func (i *Identity) OpenBody(period uint32, seq uint64, index uint32, stored []byte) (salt [entry.SaltSize]byte, body []byte, err error) {
	k, err := i.readKey(period)
	if err != nil {
		return salt, nil, err
	}
	return k.Open(readkey.Place{Seq: seq, Index: index}, stored)
}

// readKey returns the read key of a period made ready, from the last few used.
func (i *Identity) readKey(period uint32) (*readkey.Key, error) {
	i.reads.mu.Lock()
	defer i.reads.mu.Unlock()
	keys := i.reads.keys
	for n, k := range keys {
		if key := k(); key.Period() == period {
			if n > 0 {
				copy(keys[1:], keys[:n])
				keys[0] = k
			}
			return key, nil
		}
	}
	key, err := i.newReadKey(period)
	if err != nil {
		return nil, err
	}
	i.reads.keys = slices.Insert(keys, 0, func() *readkey.Key { return key })
	if len(i.reads.keys) > keptReadKeys {
		i.reads.keys[keptReadKeys] = nil
		i.reads.keys = i.reads.keys[:keptReadKeys]
	}
	return key, nil
}

func (i *Identity) newReadKey(period uint32) (key *readkey.Key, err error) {
	raw, err := i.ReadKey(period)
	if err != nil {
		return nil, err
	}
	defer raw.Wipe()
	err = raw.Use(func(b []byte) error {
		key, err = readkey.New(period, (*[readkey.KeySize]byte)(b))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("domainkeys: read key of period %d: %w", period, err)
	}
	return key, nil
}

// PackKey is what the pack of a backup is sealed with: HKDF-SHA-384(read root, no salt, info = tag || 0x00 || domain || first || end, the
// numbers with 8 bytes, big-endian), made ready for one use. docs/spec/backup.md.
func (i *Identity) PackKey(domain custody.DomainID, first, end uint64) (key *readkey.Key, err error) {
	m := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(domain[:], first), end)
	raw, err := i.underReadRoot(canon.TagBytes(canon.TagBackup, m))
	if err != nil {
		return nil, fmt.Errorf("domainkeys: key of a pack: %w", err)
	}
	defer raw.Wipe()
	err = raw.Use(func(b []byte) error {
		key, err = readkey.New(0, (*[readkey.KeySize]byte)(b)) // period 0 is no month
		return err
	})
	return key, err
}

// cachedKey sits behind a func, because fmt looks into fields.
type cachedKey = func() *readkey.Key

func (r *readKeys) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys = nil
}
