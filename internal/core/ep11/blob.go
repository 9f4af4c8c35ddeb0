// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"crypto/subtle"
	"errors"
	"maps"
	"slices"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/core/internal/kdf"
	"strongroom/internal/core/keycache"
	"strongroom/internal/core/seal"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/secret"
)

// ParentKey derives the application parent key of an epoch from its domain working key, into the arena: HKDF-SHA-384(working key, no salt,
// "strongroom/app-parent/v1"), 32 bytes. Wallet blobs are sealed under the working key itself, so that neither opens as the other.
func ParentKey(a *secret.Arena, working secret.Bytes) (secret.Bytes, error) {
	return subkey(a, working, canon.TagAppParent)
}

// subkey derives a key for one use.
func subkey(a *secret.Arena, from secret.Bytes, tag canon.Tag) (secret.Bytes, error) {
	return secret.New(a, seal.KeySize, func(out []byte) error {
		return from.Use(func(k []byte) error { return kdf.HKDF(kdf.SHA384, out, k, nil, []byte(tag)) })
	})
}

// sessionSize is the length of a session id in bytes. It stands in clear before a blob; zeros mean none. Its first byte is never 0x30, which
// begins a public key.
const sessionSize = 32

// spkiStart is the first byte of every public key in DER.
const spkiStart = 0x30

// header says what a key is. All of it is authenticated and readable without a key. Field numbers are never reused; new fields are optional.
type header struct {
	V          uint                   `cbor:"1,keyasint"` // 1
	Domain     [32]byte               `cbor:"2,keyasint"`
	Epoch      uint64                 `cbor:"3,keyasint"`
	Pattern    [seal.PatternSize]byte `cbor:"4,keyasint"`
	Key        [16]byte               `cbor:"5,keyasint"` // both halves of a pair have the same
	Owner      [32]byte               `cbor:"6,keyasint"`
	Class      uint64                 `cbor:"7,keyasint"`            // CKO
	Type       uint64                 `cbor:"8,keyasint"`            // CKK
	Attributes []kept                 `cbor:"9,keyasint"`            // as ep11.Birth makes them, by number
	Params     []byte                 `cbor:"10,keyasint,omitempty"` // of family.Key; in a public key they stand in its SPKI
	Public     []byte                 `cbor:"11,keyasint,omitempty"` // of family.Key: of a private key; in a public key it stands in its SPKI
	Session    []byte                 `cbor:"12,keyasint,omitempty"` // id; none: not bound
	Grant      [32]byte               `cbor:"14,keyasint"`           // under which it was made; 13 was never used
	Profile    bool                   `cbor:"15,keyasint,omitempty"` // made as a key is in the compatibility profile only, which its attributes don't show
}

// kept is an attribute in a header. A list of them is read and written on every use of a key, and is several times faster than a map.
type kept struct {
	Type  uint64 `cbor:"1,keyasint"` // CKA
	Bytes []byte `cbor:"2,keyasint,omitempty"`
	Bool  *bool  `cbor:"3,keyasint,omitempty"`
	Int   *int64 `cbor:"4,keyasint,omitempty"`
}

// object is a key that a caller gave, read and authenticated.
type object struct {
	header
	Attributes ep11.Template // those of the header
	key        family.Key    // Secret is set in secret and private keys
	bare       bool          // a public key without authentication: header is empty but for class and type

	handle *keycache.Handle // of a key that is kept open and that others may use too: Attributes and header are not changed
	kept   blobID           // under which it is
}

// encoded gives the header under an epoch, with the object's attributes.
func (o *object) encoded(h header, epoch *Epoch) ([]byte, error) {
	h.V, h.Epoch, h.Pattern, h.Attributes = 1, epoch.Number, epoch.Pattern, make([]kept, 0, len(o.Attributes))
	for _, n := range slices.Sorted(maps.Keys(o.Attributes)) {
		v := o.Attributes[n]
		h.Attributes = append(h.Attributes, kept{n, v.Bytes, v.Bool, v.Int})
	}
	b := canon.Encode(h)
	if len(b) > seal.MaxHeader {
		return nil, ep11.Fail(ep11.CKR_ATTRIBUTE_VALUE_INVALID, "the attributes of the key are too long")
	}
	return b, nil
}

// decode reads a header.
func (o *object) decode(encoded []byte) bool {
	if canon.Decode(encoded, &o.header) != nil || o.V != 1 {
		return false
	}
	o.Attributes = make(ep11.Template, len(o.header.Attributes))
	for _, k := range o.header.Attributes {
		o.Attributes[k.Type] = ep11.Attribute{Bytes: k.Bytes, Bool: k.Bool, Int: k.Int}
	}
	return true
}

// wipe wipes the key, or lets go of one that is kept open.
func (o *object) wipe() {
	if o.handle != nil {
		o.handle.Release()
		return
	}
	o.key.Secret.Wipe()
}

// secretKey says whether the object holds a secret.
func (o *object) secretKey() bool {
	return o.Class == ep11.CKO_SECRET_KEY || o.Class == ep11.CKO_PRIVATE_KEY
}

// sealed makes the blob of a key under an epoch.
func (o *object) sealed(epoch *Epoch) ([]byte, error) {
	encoded, err := o.encoded(o.header, epoch)
	if err != nil {
		return nil, err
	}
	envelope, err := seal.Seal(canon.TagAppBlob, epoch.Parent, encoded, o.key.Secret)
	if err != nil {
		return nil, err
	}
	var session [sessionSize]byte
	copy(session[:], o.Session)
	blob := append(session[:], envelope...)
	if len(blob) > ep11.MaxBlob {
		return nil, ep11.Fail(ep11.CKR_ATTRIBUTE_VALUE_INVALID, "the blob of the key is too long")
	}
	return blob, nil
}

// errBlob is the one answer to everything that can be wrong with an authenticated thing.
var errBlob = ep11.Fail(ep11.CKR_IBM_BLOB_ERROR, "the blob is damaged or was not made here")

// errPattern says that a blob is of another domain or another working key.
var errPattern = ep11.Fail(ep11.CKR_IBM_WKID_MISMATCH, "the blob needs another working key")

// open reads and opens the blob of a secret or private key.
func (w *work) open(blob []byte) (*object, error) {
	if len(blob) > ep11.MaxBlob || len(blob) <= sessionSize {
		return nil, errBlob
	}
	session, envelope := blob[:sessionSize], blob[sessionSize:]
	encoded, err := seal.Header(envelope)
	if err != nil {
		return nil, errBlob
	}
	o := &object{}
	if !o.decode(encoded) {
		return nil, errBlob
	}
	epoch := w.epochOf(o.Pattern)
	if epoch == nil {
		return nil, errPattern
	}
	key, _, err := seal.Open(w.env.Arena, canon.TagAppBlob, epoch.Parent, envelope)
	if err != nil {
		if errors.Is(err, seal.ErrOpen) || errors.Is(err, seal.ErrMalformed) {
			err = errBlob
		}
		return nil, err
	}
	o.key = family.Key{Type: o.Type, Params: o.Params, Secret: key, Public: o.Public}
	var bound [sessionSize]byte
	copy(bound[:], o.Session)
	if err = w.fits(o); err == nil && (subtle.ConstantTimeCompare(session, bound[:]) != 1 || o.Class != ep11.CKO_SECRET_KEY && o.Class != ep11.CKO_PRIVATE_KEY) {
		err = errBlob
	}
	if err != nil {
		o.wipe()
		return nil, err
	}
	return o, nil
}

// fits says whether the working key of a blob is in use, and the blob this domain's.
func (w *work) fits(o *object) error {
	switch epoch := w.epochOf(o.Pattern); {
	case epoch == nil:
		return errPattern
	case o.Domain != w.env.Domain || o.Epoch != epoch.Number:
		return errBlob
	}
	return nil
}

// epochOf gives the epoch whose working key has a pattern, of those that are in use: a next one is not.
func (w *work) epochOf(pattern [seal.PatternSize]byte) *Epoch {
	for _, e := range []*Epoch{w.env.Current, w.env.Previous} {
		if e != nil && e.Pattern == pattern {
			return e
		}
	}
	return nil
}
