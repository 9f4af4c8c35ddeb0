// SPDX-License-Identifier: Apache-2.0

// Package keystore has the blob, the form in which the core keeps a key: an authenticated header that says what the key is and may do, and
// the key sealed under the domain working key (docs/spec/blob.md). Blobs lie in a mutable store that nobody trusts; the log holds the hash of
// each key's current blob.
//
// It refuses a blob that is not the current one, of another authority, domain, epoch, key, purpose or session, expired, or with any bit
// changed; a header with contradicting or unknown attributes; and every change of attributes that would add permission.
//
// Sources: the blob of IBM's EP11, whose one-way attributes and verification pattern it follows.
package keystore

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"strongroom/internal/core/seal"
	"strongroom/internal/pure/algorithm"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
)

// ErrHeader is wrapped by every error about a header that is not well-formed.
var ErrHeader = errors.New("keystore: header is not well-formed")

// ErrWidens says that a change would give a key more than it has.
var ErrWidens = errors.New("keystore: a key's permissions can only be narrowed")

// Purpose is fixed at a key's birth.
type Purpose string

// The purposes.
const (
	Custody Purpose = "custody" // signs decoded effects of approved requests, and nothing else
	App     Purpose = "app"     // serves applications under a grant; never becomes a wallet
	Import  Purpose = "import"  // opens what another domain has sealed to it, once
)

// Kind says what the sealed bytes are: a kind of the table of algorithms.
type Kind = algorithm.Kind

// The kinds that this package and the domain name; the table has all.
const (
	HDSeed     = algorithm.KindHDSeed     // BIP-32 seed, 16 to 64 bytes
	Secp256k1  = algorithm.KindSecp256k1  // scalar, 32 bytes, big-endian
	P256       = algorithm.KindP256       // scalar, 32 bytes, big-endian
	Ed25519    = algorithm.KindEd25519    // RFC 8032 seed, 32 bytes
	AES256     = algorithm.KindAES256     // key, 32 bytes
	FROSTShare = algorithm.KindFROSTShare // RFC 9591 secret share: scalar of 32 bytes
)

// Class says where a key is used.
type Class string

// The classes.
const (
	Token Class = "token" // inside the PKCS#11 token
	Core  Class = "core"  // unsealed in the core, behind the protected-key cache
	MPC   Class = "mpc"   // a share in each of several cores
)

// Mechanism is something a key can be used for: an algorithm of the table.
type Mechanism = algorithm.Mechanism

// The mechanisms that the domain names; the table has all.
const (
	BIP32          = algorithm.BIP32          // derivation of child keys
	ECDSASecp256k1 = algorithm.ECDSASecp256k1 // ECDSA over secp256k1
	BIP340         = algorithm.BIP340         // Schnorr signatures over secp256k1, with the taproot tweak
	ECDSAP256      = algorithm.ECDSAP256
	EdDSA          = algorithm.EdDSA
	AESKeyWrap     = algorithm.AESKeyWrap // RFC 5649
	AESGCM         = algorithm.AESGCM
)

// Share places a share of a threshold key.
type Share struct {
	Index     uint32 `cbor:"1,keyasint"` // 1 to Total
	Threshold uint32 `cbor:"2,keyasint"` // shares that sign together, 2 to Total
	Total     uint32 `cbor:"3,keyasint"` // shares in all, at most 255
}

// SessionSize is the length of a session id in bytes.
const SessionSize = 32

// maxPublic is the longest public key in bytes of a kind that has none of its own: a seed's may be that of a key derived from it.
const maxPublic = 133

// Header says what a key is and may do. All of it is authenticated and readable without a key. Field numbers are never reused; new fields
// are optional.
type Header struct {
	V          uint                   `cbor:"1,keyasint"` // 1
	Authority  custody.AuthorityID    `cbor:"2,keyasint"`
	Domain     custody.DomainID       `cbor:"3,keyasint"`
	Epoch      uint64                 `cbor:"4,keyasint"` // of the domain working key, from 1
	Pattern    [seal.PatternSize]byte `cbor:"5,keyasint"` // its verification pattern
	Key        custody.KeyID          `cbor:"6,keyasint"`
	Purpose    Purpose                `cbor:"7,keyasint"`
	Kind       Kind                   `cbor:"8,keyasint"`
	Class      Class                  `cbor:"9,keyasint"`
	Attributes Attributes             `cbor:"10,keyasint"`
	Mechanisms []Mechanism            `cbor:"11,keyasint"`           // sorted, distinct
	CreatedBy  [32]byte               `cbor:"12,keyasint"`           // id of the request, or hash of the ceremony, that it was born in
	Public     []byte                 `cbor:"13,keyasint,omitempty"` // public key, where there is one
	Expires    int64                  `cbor:"14,keyasint,omitempty"` // Unix seconds: not used from then on; 0 is never
	Session    []byte                 `cbor:"15,keyasint,omitempty"` // works in this session only: 32 bytes, or absent
	Share      *Share                 `cbor:"16,keyasint,omitempty"` // class mpc only
}

// Encode gives the canonical encoding.
func (h Header) Encode() []byte { return canon.Encode(h) }

// DecodeHeader reads a canonical header and checks its form.
func DecodeHeader(b []byte) (Header, error) {
	var h Header
	if len(b) > seal.MaxHeader {
		return Header{}, fmt.Errorf("%w: %d bytes, more than %d", ErrHeader, len(b), seal.MaxHeader)
	}
	if err := canon.Decode(b, &h); err != nil {
		return Header{}, fmt.Errorf("%w: %w", ErrHeader, err)
	}
	if err := h.Check(); err != nil {
		return Header{}, err
	}
	return h, nil
}

// Check says whether h is well-formed, with the kinds and mechanisms of this version.
func (h Header) Check() error { return h.CheckIn(algorithm.All()) }

// CheckIn is [Header.Check] with the kinds and mechanisms of a table.
func (h Header) CheckIn(t algorithm.Table) error {
	if err := h.check(t); err != nil {
		return fmt.Errorf("%w: %w", ErrHeader, err)
	}
	return nil
}

func (h Header) check(t algorithm.Table) error {
	if h.V != 1 {
		return fmt.Errorf("version %d is not known; this version reads 1", h.V)
	}
	if h.Authority.IsZero() || h.Domain == (custody.DomainID{}) || h.Epoch == 0 {
		return errors.New("authority, domain and epoch must be set")
	}
	if err := h.Key.Check(); err != nil {
		return err
	}
	if h.Purpose != Custody && h.Purpose != App && h.Purpose != Import {
		return fmt.Errorf("purpose %q is neither %q, %q nor %q", string(h.Purpose), Custody, App, Import)
	}
	of, ok := t.Material(h.Kind)
	if !ok {
		return fmt.Errorf("kind %q is not known", string(h.Kind))
	}
	if err := h.Attributes.Check(); err != nil {
		return err
	}
	if err := checkMechanisms(t, h.Kind, h.Mechanisms); err != nil {
		return err
	}
	switch {
	case h.Purpose == Import && (h.Kind != algorithm.KindGeneric || h.Attributes&permissions != 0 || len(h.Mechanisms) != 0):
		return fmt.Errorf("a key of purpose %q is a %q without permissions and mechanisms", string(Import), string(algorithm.KindGeneric))
	case of.Public == 0 && len(h.Public) > maxPublic:
		return fmt.Errorf("public key of %d bytes, more than %d", len(h.Public), maxPublic)
	case of.Public != 0 && len(h.Public) != 0 && len(h.Public) != of.Public:
		return fmt.Errorf("public key of %d bytes; kind %q has %d", len(h.Public), string(h.Kind), of.Public)
	case h.Expires < 0:
		return errors.New("expiry must not be negative")
	case len(h.Session) != 0 && len(h.Session) != SessionSize:
		return fmt.Errorf("session id of %d bytes, not %d", len(h.Session), SessionSize)
	case of.Only != "" && string(h.Class) != of.Only:
		return fmt.Errorf("kind %q needs class %q", string(h.Kind), of.Only)
	}
	return h.checkClass()
}

func (h Header) checkClass() error {
	share := h.Class == MPC
	switch {
	case h.Class != Token && h.Class != Core && h.Class != MPC:
		return fmt.Errorf("class %q is not known", string(h.Class))
	case share != (h.Share != nil) || share != (h.Kind == FROSTShare) || share != (h.Attributes&MPCShare != 0):
		return fmt.Errorf("class %q, kind %q, attribute mpc-share and the share's index go together or not at all", h.Class, h.Kind)
	case h.Share == nil:
		return nil
	}
	s := h.Share
	if s.Total > 255 || s.Threshold < 2 || s.Threshold > s.Total || s.Index < 1 || s.Index > s.Total {
		return fmt.Errorf("share %d, threshold %d of %d", s.Index, s.Threshold, s.Total)
	}
	return nil
}

// checkMechanisms refuses mechanisms that keys of the kind are not used with.
func checkMechanisms(t algorithm.Table, k Kind, list []Mechanism) error {
	for i, m := range list {
		if !t.Fits(k, m) {
			return fmt.Errorf("mechanism %q is not known, or not for keys of kind %q", string(m), string(k))
		}
		if i > 0 && list[i-1] >= m {
			return errors.New("mechanisms must be sorted and distinct")
		}
	}
	return nil
}

// Narrowing is a change of what a key may do, as it shall be afterwards.
type Narrowing struct {
	Attributes Attributes
	Mechanisms []Mechanism // sorted, distinct
	Expires    int64       // Unix seconds, 0 is never
}

// Narrow returns h with what to says. It refuses, with [ErrWidens], a key that is not modifiable, an added permission or mechanism, a limit
// dropped, a fact changed, and a later expiry. What it returns has to be sealed again: the header is part of the key's derivation.
func (h Header) Narrow(to Narrowing) (Header, error) {
	if err := to.Attributes.Check(); err != nil {
		return Header{}, fmt.Errorf("%w: %w", ErrHeader, err)
	}
	if !slices.IsSorted(to.Mechanisms) || len(slices.Compact(slices.Clone(to.Mechanisms))) != len(to.Mechanisms) {
		return Header{}, fmt.Errorf("%w: mechanisms must be sorted and distinct", ErrHeader)
	}
	switch {
	case h.Attributes&Modifiable == 0:
		return Header{}, fmt.Errorf("%w: key %s is not modifiable", ErrWidens, h.Key)
	case !h.Attributes.narrows(to.Attributes):
		return Header{}, fmt.Errorf("%w: attributes %s to %s", ErrWidens, h.Attributes, to.Attributes)
	case to.Expires < 0 || h.Expires != 0 && (to.Expires == 0 || to.Expires > h.Expires):
		return Header{}, fmt.Errorf("%w: expiry %d to %d", ErrWidens, h.Expires, to.Expires)
	}
	for _, m := range to.Mechanisms {
		if !slices.Contains(h.Mechanisms, m) {
			return Header{}, fmt.Errorf("%w: mechanism %q", ErrWidens, m)
		}
	}
	h.Attributes, h.Mechanisms, h.Expires = to.Attributes, slices.Clone(to.Mechanisms), to.Expires
	return h, nil
}

// Permits says whether the key may be used for m by its attribute need.
func (h Header) Permits(need Attributes, m Mechanism) bool {
	return h.Attributes&need == need && slices.Contains(h.Mechanisms, m)
}

func hexes(b []byte) string {
	if len(b) == 0 {
		return "none"
	}
	return hex.EncodeToString(b)
}
