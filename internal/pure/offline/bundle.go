// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/tlog"
)

// MaxHead is the longest head of a bundle or a result, in bytes.
const MaxHead = 256 << 10

// Bundle is the head of what goes to an offline domain. Behind it come the entries [From, Size) of the authority's log and sealed copies
// ([Writer]); the checkpoint vouches for those, and the log names these.
type Bundle struct {
	V          uint                `cbor:"1,keyasint"` // 1
	Authority  custody.AuthorityID `cbor:"2,keyasint"`
	Online     custody.DomainID    `cbor:"3,keyasint"`
	Offline    custody.DomainID    `cbor:"4,keyasint"`
	Number     uint64              `cbor:"5,keyasint"`  // from 1 on; each is greater than those before
	From       uint64              `cbor:"6,keyasint"`  // first entry behind the head
	Size       uint64              `cbor:"7,keyasint"`  // of the checkpoint
	Checkpoint []byte              `cbor:"8,keyasint"`  // signed by the online domain, with the cosignatures of its log witnesses
	NotAfter   int64               `cbor:"9,keyasint"`  // Unix seconds, at most [MaxAge] after the checkpoint's time
	Reply      []byte              `cbor:"10,keyasint"` // public key that the result is sealed to; used once
	Known      uint64              `cbor:"11,keyasint"` // entries of the offline domain's log that the online one has
	KnownLast  [32]byte            `cbor:"12,keyasint"` // leaf hash of the last of these
	Signature  []byte              `cbor:"13,keyasint"` // by the online domain's identity key, under canon.TagOfflineBundle
}

// Message is what the identity key signs.
func (b Bundle) Message() []byte {
	b.Signature = nil
	return canon.Message(canon.TagOfflineBundle, b)
}

// Encode gives the canonical encoding.
func (b Bundle) Encode() []byte { return canon.Encode(b) }

// Hash names the bundle: nothing in what comes behind the head can differ for the same hash and be accepted.
func (b Bundle) Hash() [32]byte { return canon.Hash(canon.TagOfflineBundle, b) }

// Incarnation is that of the authority's log that the checkpoint says it is of; 0 if it can't be read. Nothing has verified it.
func (b Bundle) Incarnation() uint64 {
	origin, _, _ := strings.Cut(string(b.Checkpoint), "\n")
	_, k, err := entry.ParseOrigin(origin)
	if err != nil {
		return 0
	}
	return k
}

// DecodeBundle reads a head and checks its form. Who signed it, the caller finds out with [Bundle.Verify].
func DecodeBundle(enc []byte) (Bundle, error) {
	var b Bundle
	if len(enc) > MaxHead {
		return b, fmt.Errorf("%w: a head of %d bytes", ErrCourier, len(enc))
	}
	if err := canon.Decode(enc, &b); err != nil {
		return b, fmt.Errorf("%w: bundle: %w", ErrCourier, err)
	}
	switch {
	case b.V != 1:
		return b, fmt.Errorf("%w: bundle version %d is not known", ErrCourier, b.V)
	case b.Number == 0 || b.Number > math.MaxInt64 || b.From > b.Size || b.Size == 0 || b.Size > tlog.MaxSize:
		return b, fmt.Errorf("%w: bundle %d of entries %d to %d", ErrCourier, b.Number, b.From, b.Size)
	case len(b.Reply) != PublicSize || len(b.Signature) != ed25519.SignatureSize || len(b.Checkpoint) > tlog.MaxSigned || b.NotAfter <= 0:
		return b, fmt.Errorf("%w: a key, signature, checkpoint or time of the bundle has a form that it can't have", ErrCourier)
	case b.Known == 0:
		return b, fmt.Errorf("%w: the bundle does not know the offline domain's genesis", ErrCourier)
	}
	return b, nil
}

// Verify says whether the online domain with this identity key signed the head.
func (b Bundle) Verify(identity [32]byte) error {
	if !ed25519.Verify(identity[:], b.Message(), b.Signature) {
		return fmt.Errorf("%w: the bundle is not signed by the online domain", ErrCourier)
	}
	return nil
}

// Witnessed opens the bundle's checkpoint and gives its time in Unix seconds: for log witnesses, the latest moment that a quorum of them
// vouches for; without, last, the time of the last entry in Unix nanoseconds, which the log's key alone vouches for. Every byte of the
// checkpoint counts.
func (b Bundle) Witnessed(set tlog.Witnesses, key tlog.Key, last int64) (tlog.Checkpoint, int64, error) {
	if set.Len() == 0 {
		c, err := tlog.OpenExact(b.Checkpoint, key)
		return c, last / 1e9, err
	}
	c, signed, err := tlog.OpenWitnessed(b.Checkpoint, set, key)
	if err != nil {
		return c, 0, err
	}
	times := make([]uint64, len(signed))
	for i, x := range signed {
		times[i] = x.Time
	}
	slices.Sort(times)
	at := times[len(times)-set.Quorum()]
	if at > math.MaxInt64/1_000_000_000 {
		return c, 0, errors.New("the cosignatures are of a time that can't be")
	}
	return c, int64(at), nil
}

// Fresh says whether the bundle may be used at a time with a bound, in Unix nanoseconds, when its checkpoint is of a time in Unix seconds. The
// true time must not possibly be past its end, and the clock must not certainly be behind the checkpoint.
func (b Bundle) Fresh(now, bound, checkpoint int64) error {
	switch {
	case b.NotAfter > checkpoint+MaxAge:
		return fmt.Errorf("the bundle wants to live for %d seconds after its checkpoint, more than %d", b.NotAfter-checkpoint, int64(MaxAge))
	case now+bound < checkpoint*1e9:
		return fmt.Errorf("the clock is behind the checkpoint, which is of Unix second %d: set the clock", checkpoint)
	case now+bound > b.NotAfter*1e9:
		return fmt.Errorf("the bundle's time was up at Unix second %d: export a new one", b.NotAfter)
	}
	return nil
}

// BundleLabel is what a bundle is sealed for, to the transport key of the offline domain with its identity key.
func BundleLabel(d custody.DomainID) string { return fmt.Sprintf("offline-bundle-%x", d[:16]) }

// ResultLabel is what a result is sealed for, to the reply key of a bundle with the online domain's identity key: the answer of an offline domain
// to the bundle with a number. Both are in the online domain's log; the bundle itself is not.
func ResultLabel(d custody.DomainID, number uint64) string {
	return fmt.Sprintf("offline-result-%x-%d", d[:12], number)
}

// Answer is the head of what comes back from an offline domain. Behind it come the entries [From, Size) of its log and sealed copies.
type Answer struct {
	V          uint                `cbor:"1,keyasint"` // 1
	Authority  custody.AuthorityID `cbor:"2,keyasint"`
	Online     custody.DomainID    `cbor:"3,keyasint"`
	Offline    custody.DomainID    `cbor:"4,keyasint"`
	Bundle     [32]byte            `cbor:"5,keyasint"` // [Bundle.Hash] of what it answers
	From       uint64              `cbor:"6,keyasint"` // what the bundle says that the online domain has
	Size       uint64              `cbor:"7,keyasint"`
	Checkpoint []byte              `cbor:"8,keyasint"` // of that size, signed by the offline domain's log key
	Signature  []byte              `cbor:"9,keyasint"` // by its identity key, under canon.TagOfflineResult
}

// Message is what the identity key signs.
func (a Answer) Message() []byte {
	a.Signature = nil
	return canon.Message(canon.TagOfflineResult, a)
}

// Encode gives the canonical encoding.
func (a Answer) Encode() []byte { return canon.Encode(a) }

// DecodeAnswer reads a head and checks its form.
func DecodeAnswer(enc []byte) (Answer, error) {
	var a Answer
	if len(enc) > MaxHead {
		return a, fmt.Errorf("%w: a head of %d bytes", ErrCourier, len(enc))
	}
	if err := canon.Decode(enc, &a); err != nil {
		return a, fmt.Errorf("%w: result: %w", ErrCourier, err)
	}
	switch {
	case a.V != 1:
		return a, fmt.Errorf("%w: result version %d is not known", ErrCourier, a.V)
	case a.From == 0 || a.From > a.Size || a.Size > tlog.MaxSize:
		return a, fmt.Errorf("%w: result of entries %d to %d", ErrCourier, a.From, a.Size)
	case len(a.Signature) != ed25519.SignatureSize || len(a.Checkpoint) > tlog.MaxSigned:
		return a, fmt.Errorf("%w: the result's signature or checkpoint has a form that it can't have", ErrCourier)
	}
	return a, nil
}

// Verify says whether the offline domain with these keys signed the head and its checkpoint, and gives the checkpoint.
func (a Answer) Verify(identity [32]byte, key tlog.Key) (tlog.Checkpoint, error) {
	if !ed25519.Verify(identity[:], a.Message(), a.Signature) {
		return tlog.Checkpoint{}, fmt.Errorf("%w: the result is not signed by the offline domain", ErrCourier)
	}
	c, err := tlog.OpenExact(a.Checkpoint, key)
	if err != nil {
		return c, fmt.Errorf("%w: %w", ErrCourier, err)
	}
	if c.Size != a.Size {
		return c, fmt.Errorf("%w: the result is of %d entries, its checkpoint of %d", ErrCourier, a.Size, c.Size)
	}
	return c, nil
}
