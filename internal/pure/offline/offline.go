// SPDX-License-Identifier: Apache-2.0

// Package offline is what an offline domain is, as far as it can be told without keys: the fold of its log ([State]), and what is carried
// between it and the online domain whose authority it follows: the bundle that goes there, the result that comes back, what its operators
// sign, and the pages on which small ones cross by camera. docs/spec/cold.md.
//
// It refuses entries out of order and unknown kinds, a permit for a slot that another request's permit has used, a wallet that is not there,
// and whatever is not the one encoding of what it says. Nothing here is secret: what is carried is sealed, by package internal/core/parcel.
package offline

import (
	"errors"
	"fmt"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/tlog"
)

// The kinds of entry of an offline domain's log. The first body of each is the type of the same name; those of [Genesis], [entry.Writer] and
// [Zeroized] are public, the others confidential.
const (
	KindGenesis  entry.Kind = "offline-genesis"
	KindImport   entry.Kind = "import"
	KindRecovery entry.Kind = "recovery-copies"
	KindPermit   entry.Kind = "offline-permit"
	KindResult   entry.Kind = "offline-result"
	KindMovedIn  entry.Kind = "moved-in"
	KindMovedOut entry.Kind = "moved-out"
	KindRefusal  entry.Kind = "offline-refusal"
	KindZeroized entry.Kind = "zeroized"
	KindRestored entry.Kind = "restored"
)

// Sizes and limits.
const (
	PublicSize  = 1216    // of a public key that something is sealed to (package recovery), bytes
	MaxCopy     = 8 << 10 // of a sealed copy of a seed, bytes
	MaxName     = custody.MaxSlug
	MaxPermits  = 1_000     // of one confirmation
	MaxUsed     = 4_000_000 // slots and inputs that permits of one offline domain have used
	MaxWallets  = 10_000    // that an offline domain holds at a time
	MaxDetail   = 512       // of a refusal, bytes
	MaxAge      = 24 * 3600 // of a bundle: seconds from the checkpoint's time to its end
	patternSize = 16
	nonceSize   = 16
	keySize     = 32
)

// ErrCourier says that bytes that were carried are not what they should be.
var ErrCourier = errors.New("not what was sent, or not for this domain")

// Record is an entry as it is carried: with its first body in clear.
type Record struct {
	Leaf []byte `cbor:"1,keyasint"`
	Salt []byte `cbor:"2,keyasint"` // 16 bytes
	Body []byte `cbor:"3,keyasint"`
}

// Encode gives the canonical encoding: the file of an offline domain's genesis.
func (r Record) Encode() []byte { return canon.Encode(r) }

// DecodeRecord reads a record.
func DecodeRecord(b []byte) (Record, error) {
	var r Record
	if err := canon.Decode(b, &r); err != nil {
		return r, fmt.Errorf("%w: record: %w", ErrCourier, err)
	}
	return r, nil
}

// Open checks that the body is the first that the leaf names, and gives the leaf, decoded, with its hash.
func (r Record) Open() (entry.Leaf, [32]byte, error) {
	l, err := entry.DecodeLeaf(r.Leaf)
	if err != nil {
		return l, [32]byte{}, err
	}
	switch {
	case len(l.Bodies) == 0:
		return l, [32]byte{}, fmt.Errorf("entry %d has no body", l.Seq)
	case len(r.Salt) != entry.SaltSize:
		return l, [32]byte{}, fmt.Errorf("entry %d: a salt of %d bytes, not %d", l.Seq, len(r.Salt), entry.SaltSize)
	}
	if err := entry.CheckBody(l.Bodies[0], [entry.SaltSize]byte(r.Salt), r.Body); err != nil {
		return l, [32]byte{}, fmt.Errorf("entry %d: %w", l.Seq, err)
	}
	return l, entry.Hash(r.Leaf), nil
}

// Tail follows a log from a size on: chain, tree and bodies. The zero Tail is at the beginning.
type Tail struct {
	Frontier tlog.Frontier
	Last     [32]byte // leaf hash of the entry before
}

// Next takes the next entry. After an error t is as before.
func (t *Tail) Next(r Record) (entry.Leaf, [32]byte, error) {
	l, hash, err := r.Open()
	switch {
	case err != nil:
		return l, hash, err
	case l.Seq != t.Frontier.Size():
		return l, hash, fmt.Errorf("entry %d came where entry %d belongs: some were left out, or stand twice", l.Seq, t.Frontier.Size())
	case l.Prev != t.Last:
		return l, hash, fmt.Errorf("entry %d does not follow the entry before it", l.Seq)
	}
	t.Frontier.Append(hash)
	t.Last = hash
	return l, hash, nil
}

// Reaches says whether the entries taken so far are all those of a checkpoint, and no others.
func (t *Tail) Reaches(c tlog.Checkpoint) error {
	if c.Size != t.Frontier.Size() {
		return fmt.Errorf("the entries end at %d; the checkpoint is of %d", t.Frontier.Size(), c.Size)
	}
	if c.Root != t.Frontier.Root() {
		return errors.New("the entries are not those of the checkpoint")
	}
	return nil
}

// CopyHash names a sealed copy, as the log does.
func CopyHash(sealed []byte) [32]byte { return canon.HashBytes(canon.TagBlobHash, sealed) }
