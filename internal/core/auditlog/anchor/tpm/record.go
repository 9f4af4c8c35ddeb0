// SPDX-License-Identifier: Apache-2.0

package tpm

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/hsm/tpm2"
	"strongroom/internal/core/internal/kdf"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/tlog"
	"strongroom/internal/secret"
)

// record is what the file of marks holds; docs/spec/anchor-tpm.md.
type record struct {
	V          uint              `cbor:"1,keyasint"` // 1
	Counter    tpm2.CounterID    `cbor:"2,keyasint"`
	Value      uint64            `cbor:"3,keyasint"` // what the TPM counts once the mark is made
	Size       uint64            `cbor:"4,keyasint"` // of the log, as pinned
	Root       [sha256.Size]byte `cbor:"5,keyasint"` // of its tree
	Checkpoint []byte            `cbor:"6,keyasint"` // that says so, signed; empty in the first record
	Day        int64             `cbor:"7,keyasint"` // of the mark, since the Unix epoch
	Marks      uint64            `cbor:"8,keyasint"` // made on that day
	MAC        [sha256.Size]byte `cbor:"9,keyasint"`
}

// mac authenticates a record under the anchor's secret.
func (r record) mac(key secret.Bytes) (out [sha256.Size]byte, err error) {
	r.MAC = [sha256.Size]byte{}
	message := canon.TagBytes(canon.TagMark, canon.Encode(r))
	err = key.Use(func(k []byte) error {
		derived := make([]byte, sha256.Size)
		defer clear(derived)
		if err := kdf.HKDF(kdf.SHA384, derived, k, nil, []byte(canon.TagMark)); err != nil {
			return err
		}
		return kdf.HMAC(kdf.SHA256, out[:], derived, message)
	})
	return out, err
}

// decodeRecord reads a record and checks that it was made with the anchor's secret.
func decodeRecord(b []byte, key secret.Bytes) (record, error) {
	var r record
	if err := canon.Decode(b, &r); err != nil {
		return record{}, fmt.Errorf("%w: %w", ErrAltered, err)
	}
	want, err := r.mac(key)
	if err != nil {
		return record{}, err
	}
	if r.V != 1 || !hmac.Equal(r.MAC[:], want[:]) {
		return record{}, fmt.Errorf("%w: it was not made with the secret that the root keeps for this anchor", ErrAltered)
	}
	return r, r.Counter.Check()
}

// Head is a log's size and the root of its tree.
type Head struct {
	Size uint64
	Root [sha256.Size]byte
}

func (h Head) String() string {
	return fmt.Sprintf("%d entries (root %s)", h.Size, hex.EncodeToString(h.Root[:8]))
}

func (r record) head() Head { return Head{r.Size, r.Root} }

// headOf gives the head that a pin says, by its frontier. Whether the checkpoint says the same and is signed, the log checks.
func headOf(p auditlog.Pin) (Head, error) {
	f, err := tlog.UnmarshalFrontier(p.Frontier)
	if err != nil {
		return Head{}, fmt.Errorf("pin: %w", err)
	}
	return Head{f.Size(), f.Root()}, nil
}

var (
	// ErrAltered says that the record of marks can't be believed.
	ErrAltered = errors.New("the record of the TPM's marks was altered, or belongs to another domain")
	// ErrNotMade says that the anchor was not made here, or that its files or its secret in the root are missing.
	ErrNotMade = errors.New("the TPM anchor was not made here, or its record or secret is missing; put the missing files back, or re-anchor the domain")
)

// RollbackError says that the disk and the TPM are not of the same moment.
type RollbackError struct {
	Recorded uint64 // what the TPM should count, by the record on the disk
	Counted  uint64 // what it counts
}

func (e *RollbackError) Error() string {
	if e.Counted > e.Recorded {
		return fmt.Sprintf("the disk was set back: its last mark is number %d, and the TPM has counted %d; put the newest state back, or re-anchor the domain",
			e.Recorded, e.Counted)
	}
	return fmt.Sprintf("the TPM counts %d, and the disk's last mark is number %d: the TPM was set back or exchanged; re-anchor the domain", e.Counted, e.Recorded)
}

// HeadError says that the pin is not one that can follow the last mark.
type HeadError struct {
	Pinned Head // by the inner anchor; zero if nothing is pinned
	Marked Head // when the last mark was made
}

func (e *HeadError) Error() string {
	if e.Pinned.Size == e.Marked.Size {
		return fmt.Sprintf("the pin has %s, and the last mark in the TPM was made at another tree, of %s: the history was rewritten", e.Pinned, e.Marked)
	}
	return fmt.Sprintf("the pin was set back: it has %s, and the last mark in the TPM was made at %s; put the newest state back, or re-anchor the domain", e.Pinned, e.Marked)
}
