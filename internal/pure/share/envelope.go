// SPDX-License-Identifier: Apache-2.0

package share

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/ristretto"
)

// Sizes in bytes.
const (
	PlainSize    = sha256.Size + 2*ristretto.ScalarSize // of what is sealed: SHA-256 of the meta data, value, blinding
	ImporterSize = 1216                                 // of an importer's public key
	MaxName      = 64                                   // of a custodian's name
	MaxSealed    = 8 << 10                              // the longest envelope
)

// Ways in which a share is sealed to its custodian.
const (
	KindAgeHybrid = "age-mlkem768x25519" // an age file to a hybrid recipient, age1pq1…
	KindAge       = "age-x25519"         // an age file to an X25519 recipient, age1…
	KindP256      = "hpke-p256"          // HPKE to a P-256 key, which may be in a PIV card or another token
)

const version = 1

// ErrMalformed says that bytes are none of the formats of this package, or that their parts contradict each other.
var ErrMalformed = errors.New("share: malformed")

// Meta says what a share is of. It is in clear beside the sealed share and bound to it; nothing in it is secret.
type Meta struct {
	V         uint     `cbor:"1,keyasint"` // 1
	Ceremony  [32]byte `cbor:"2,keyasint"` // id of the ceremony that made the share
	Index     uint8    `cbor:"3,keyasint"`
	Threshold uint8    `cbor:"4,keyasint"`
	Shares    uint8    `cbor:"5,keyasint"`
	Points    []byte   `cbor:"6,keyasint"` // encoded commitments
	Custodian string   `cbor:"7,keyasint"` // name, 1 to MaxName printable ASCII characters
	Recovery  [32]byte `cbor:"8,keyasint"` // SHA-256 of the recovery public key
}

// NewMeta gives the meta data of a share.
func NewMeta(ceremony [32]byte, c Commitments, index uint8, custodian string, recovery [32]byte) Meta {
	return Meta{V: version, Ceremony: ceremony, Index: index, Threshold: c.scheme.Threshold, Shares: c.scheme.Shares, Points: c.Encode(),
		Custodian: custodian, Recovery: recovery}
}

// Encode returns the canonical encoding.
func (m Meta) Encode() []byte { return canon.Encode(m) }

// Commitments reads the commitments, and checks all of m.
func (m Meta) Commitments() (Commitments, error) {
	if m.V != version {
		return Commitments{}, fmt.Errorf("%w: meta data of version %d, this program reads %d", ErrMalformed, m.V, version)
	}
	if err := CheckName(m.Custodian); err != nil {
		return Commitments{}, err
	}
	c, err := Parse(Scheme{Threshold: m.Threshold, Shares: m.Shares}, m.Points)
	if err != nil {
		return Commitments{}, err
	}
	return c, c.scheme.CheckIndex(m.Index)
}

// CheckName refuses a custodian's name that is empty, long, or has other characters than printable ASCII: it is read aloud and printed.
func CheckName(name string) error {
	if len(name) == 0 || len(name) > MaxName {
		return fmt.Errorf("%w: a name of %d characters; use 1 to %d", ErrMalformed, len(name), MaxName)
	}
	for _, c := range []byte(name) {
		if c < ' ' || c > '~' {
			return fmt.Errorf("%w: the name %q has other characters than printable ASCII", ErrMalformed, name)
		}
	}
	return nil
}

// DecodeMeta reads and checks meta data.
func DecodeMeta(b []byte) (m Meta, c Commitments, err error) {
	if err := decode(b, &m); err != nil {
		return Meta{}, Commitments{}, err
	}
	c, err = m.Commitments()
	if err != nil {
		return Meta{}, Commitments{}, err
	}
	return m, c, nil
}

func decode(b []byte, v any) error {
	if len(b) > MaxSealed {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrMalformed, len(b), MaxSealed)
	}
	if err := canon.Decode(b, v); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}

// Sealed is a share sealed to its custodian.
type Sealed struct {
	V    uint   `cbor:"1,keyasint"` // 1
	Kind string `cbor:"2,keyasint"`
	Meta []byte `cbor:"3,keyasint"`           // canonical encoding of a [Meta]
	Enc  []byte `cbor:"4,keyasint,omitempty"` // KindP256: encapsulated key, 65 bytes
	Box  []byte `cbor:"5,keyasint"`           // age: the file; KindP256: ciphertext and tag
}

// Info is what a sealed share is bound to where the way of sealing has room for it: the tagged meta data.
func (s Sealed) Info() []byte { return canon.TagBytes(canon.TagShare, s.Meta) }

// NewSealed gives an envelope that is still empty.
func NewSealed(kind string, m Meta) Sealed { return Sealed{V: version, Kind: kind, Meta: m.Encode()} }

// Encode returns the canonical encoding.
func (s Sealed) Encode() []byte { return canon.Encode(s) }

// DecodeSealed reads a sealed share and its meta data. Nothing of it is authenticated until it has been opened.
func DecodeSealed(b []byte) (s Sealed, m Meta, c Commitments, err error) {
	if err = decode(b, &s); err == nil {
		m, c, err = DecodeMeta(s.Meta)
	}
	if err != nil {
		return Sealed{}, Meta{}, Commitments{}, err
	}
	hpke := s.Kind == KindP256
	switch {
	case s.V != version:
		err = fmt.Errorf("%w: a sealed share of version %d, this program reads %d", ErrMalformed, s.V, version)
	case !hpke && s.Kind != KindAge && s.Kind != KindAgeHybrid:
		err = fmt.Errorf("%w: sealed in a way that this program doesn't know: %.40q", ErrMalformed, s.Kind)
	case hpke && (len(s.Enc) != 65 || len(s.Box) != PlainSize+16), !hpke && (len(s.Enc) != 0 || len(s.Box) <= PlainSize):
		err = fmt.Errorf("%w: encapsulated key of %d and box of %d bytes", ErrMalformed, len(s.Enc), len(s.Box))
	}
	if err != nil {
		return Sealed{}, Meta{}, Commitments{}, err
	}
	return s, m, c, nil
}

// Importer is the one-time key of a load, to which custodians seal their shares.
type Importer struct {
	V      uint     `cbor:"1,keyasint"` // 1
	Load   [32]byte `cbor:"2,keyasint"` // hash of the load
	Public []byte   `cbor:"3,keyasint"` // MLKEM768-X25519, ImporterSize bytes
}

// NewImporter gives the message for a key.
func NewImporter(load [32]byte, public []byte) Importer {
	return Importer{V: version, Load: load, Public: public}
}

// Encode returns the canonical encoding.
func (i Importer) Encode() []byte { return canon.Encode(i) }

// Fingerprint is what the core shows and each custodian compares before they seal anything to the key.
func (i Importer) Fingerprint() [32]byte { return canon.Hash(canon.TagImporter, i) }

// DecodeImporter reads an importer key.
func DecodeImporter(b []byte) (i Importer, err error) {
	if err := decode(b, &i); err != nil {
		return Importer{}, err
	}
	if i.V != version || len(i.Public) != ImporterSize {
		return Importer{}, fmt.Errorf("%w: importer key of version %d, %d bytes", ErrMalformed, i.V, len(i.Public))
	}
	return i, nil
}

// Part is a share sealed to the importer key of a load.
type Part struct {
	V        uint     `cbor:"1,keyasint"` // 1
	Importer [32]byte `cbor:"2,keyasint"` // fingerprint of the importer key
	Meta     []byte   `cbor:"3,keyasint"` // canonical encoding of a [Meta]
	Enc      []byte   `cbor:"4,keyasint"` // encapsulated key, 1,120 bytes
	Box      []byte   `cbor:"5,keyasint"` // ciphertext and tag
}

// NewPart gives a part that is still empty.
func NewPart(i Importer, m Meta) Part {
	return Part{V: version, Importer: i.Fingerprint(), Meta: m.Encode()}
}

// Info is what a part is bound to.
func (p Part) Info() []byte {
	p.Enc, p.Box = nil, nil
	return canon.Message(canon.TagImport, p)
}

// Encode returns the canonical encoding.
func (p Part) Encode() []byte { return canon.Encode(p) }

// DecodePart reads a part and its meta data. Nothing of it is authenticated until it has been opened.
func DecodePart(b []byte) (p Part, m Meta, c Commitments, err error) {
	if err = decode(b, &p); err == nil {
		m, c, err = DecodeMeta(p.Meta)
	}
	if err != nil {
		return Part{}, Meta{}, Commitments{}, err
	}
	if p.V != version || len(p.Enc) != 1120 || len(p.Box) != PlainSize+16 {
		return Part{}, Meta{}, Commitments{}, fmt.Errorf("%w: part of version %d, encapsulated key of %d and box of %d bytes", ErrMalformed, p.V, len(p.Enc), len(p.Box))
	}
	return p, m, c, nil
}

// Receipt is a custodian's word that they opened their share and that it fits the commitments.
type Receipt struct {
	V          uint     `cbor:"1,keyasint"` // 1
	Ceremony   [32]byte `cbor:"2,keyasint"`
	Index      uint8    `cbor:"3,keyasint"`
	Custodian  string   `cbor:"4,keyasint"`
	Sharing    [32]byte `cbor:"5,keyasint"` // [Commitments.Hash]
	Recovery   [32]byte `cbor:"6,keyasint"` // SHA-256 of the recovery public key
	Transcript [32]byte `cbor:"7,keyasint"` // head of the ceremony's transcript when the shares were made
}

// NewReceipt gives the receipt of the custodian of a share.
func NewReceipt(m Meta, c Commitments, transcript [32]byte) Receipt {
	return Receipt{V: version, Ceremony: m.Ceremony, Index: m.Index, Custodian: m.Custodian, Sharing: c.Hash(), Recovery: m.Recovery, Transcript: transcript}
}

// Message is what the custodian signs.
func (r Receipt) Message() []byte { return canon.Message(canon.TagShareReceipt, r) }

// Encode returns the canonical encoding.
func (r Receipt) Encode() []byte { return canon.Encode(r) }

// Check says whether the receipt is for this share, at this head of the transcript.
func (r Receipt) Check(m Meta, c Commitments, transcript [32]byte) error {
	if r != NewReceipt(m, c, transcript) {
		return fmt.Errorf("%w: the receipt of %s is for another share, ceremony or transcript", ErrMalformed, m.Custodian)
	}
	return nil
}

// DecodeReceipt reads a receipt.
func DecodeReceipt(b []byte) (r Receipt, err error) {
	if err := decode(b, &r); err != nil {
		return Receipt{}, err
	}
	if r.V != version || r.Index < 1 || r.Index > MaxShares || CheckName(r.Custodian) != nil {
		return Receipt{}, fmt.Errorf("%w: receipt of version %d for share %d", ErrMalformed, r.V, r.Index)
	}
	return r, nil
}
