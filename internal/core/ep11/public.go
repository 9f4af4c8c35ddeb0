// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/core/internal/kdf"
	"strongroom/internal/core/seal"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/secret"
)

// A public key that was made here is its SubjectPublicKeyInfo with OCTET STRINGs after it: pattern of the working key (16 bytes), session id
// (32), salt (8), mode (8, zeros), header in canonical CBOR, and the authentication code of all before it (32).
const publicParts = 6

// maxSum is how many public keys may stand together for their sum.
const maxSum = 256

// authenticated makes that form under an epoch.
func (w *work) authenticated(o *object, epoch *Epoch) ([]byte, error) {
	spki := ep11.PublicKey{Type: o.Type, Params: o.key.Params, Key: o.key.Public}.SPKI()
	if spki == nil {
		return nil, ep11.CKR_PUBLIC_KEY_INVALID
	}
	h := o.header
	h.Params, h.Public = nil, nil
	encoded, err := o.encoded(h, epoch)
	if err != nil {
		return nil, err
	}
	var session [sessionSize]byte
	copy(session[:], h.Session)
	var salt, mode [8]byte
	rand.Read(salt[:]) // never fails: crypto/rand ends the process when the system has no randomness
	b := cryptobyte.NewBuilder(spki)
	for _, part := range [][]byte{epoch.Pattern[:], session[:], salt[:], mode[:], encoded} {
		b.AddASN1OctetString(part)
	}
	code, err := w.publicCode(epoch, b.BytesOrPanic()) // never panics: octet strings always fit
	if err != nil {
		return nil, err
	}
	b.AddASN1OctetString(code)
	out, err := b.Bytes()
	if err == nil && len(out) > ep11.MaxBlob {
		err = ep11.Fail(ep11.CKR_ATTRIBUTE_VALUE_INVALID, "the public key is too long")
	}
	return out, err
}

// publicCode is HMAC-SHA-256 under a key derived from the epoch's application parent key.
func (w *work) publicCode(epoch *Epoch, message []byte) ([]byte, error) {
	key, err := subkey(w.env.Arena, epoch.Parent, canon.TagAppPublic)
	if err != nil {
		return nil, err
	}
	defer key.Wipe()
	return code(key, message)
}

// code is HMAC-SHA-256 of a message.
func code(key secret.Bytes, message ...[]byte) ([]byte, error) {
	out := make([]byte, sha256.Size)
	err := key.Use(func(k []byte) error { return kdf.HMAC(kdf.SHA256, out, k, message...) })
	return out, err
}

// public reads one public key, with or without authentication, and gives what comes after it.
func (w *work) public(blob []byte) (o *object, rest []byte, err error) {
	k, rest, err := ep11.ReadSPKI(blob)
	if err != nil {
		return nil, nil, err
	}
	o = &object{key: family.Key{Type: k.Type, Params: k.Params, Public: k.Key}}
	if len(rest) == 0 || rest[0] != byte(asn1.OCTET_STRING) {
		o.Class, o.Type, o.bare = ep11.CKO_PUBLIC_KEY, k.Type, true
		return o, rest, w.checkPublic(o)
	}
	in := cryptobyte.String(rest)
	var parts [publicParts]cryptobyte.String
	authenticated := 0
	for i := range parts {
		authenticated = len(blob) - len(in)
		if !in.ReadASN1(&parts[i], asn1.OCTET_STRING) {
			return nil, nil, errBlob
		}
	}
	pattern, session, salt, mode, encoded, sum := parts[0], parts[1], parts[2], parts[3], parts[4], parts[5]
	if len(pattern) != seal.PatternSize || len(session) != sessionSize || len(salt) != 8 || len(mode) != 8 || len(encoded) > seal.MaxHeader {
		return nil, nil, errBlob
	}
	epoch := w.epochOf([seal.PatternSize]byte(pattern))
	if epoch == nil {
		return nil, nil, errPattern
	}
	want, err := w.publicCode(epoch, blob[:authenticated])
	if err != nil {
		return nil, nil, err
	}
	if !hmac.Equal(want, sum) {
		return nil, nil, errBlob
	}
	var bound [sessionSize]byte
	if !o.decode(encoded) {
		return nil, nil, errBlob
	}
	copy(bound[:], o.Session)
	if o.Domain != w.env.Domain || o.Class != ep11.CKO_PUBLIC_KEY || o.Type != k.Type || o.Epoch != epoch.Number ||
		!bytes.Equal(pattern, o.Pattern[:]) || !bytes.Equal(session, bound[:]) {
		return nil, nil, errBlob
	}
	return o, in, nil
}

// checkPublic lets the key's family check a public key that nobody has checked yet.
func (w *work) checkPublic(o *object) error {
	of, ok := w.engine.keys[o.key.Kind()]
	switch {
	case ok:
		return of.Check(o.key)
	case o.Type == ep11.CKK_EC:
		return ep11.CKR_CURVE_NOT_SUPPORTED
	}
	return ep11.CKR_PUBLIC_KEY_INVALID
}

// keyOf reads the key in a blob: a sealed one, a public one, or several public ones of one type that stand for their sum.
func (w *work) keyOf(blob []byte, missing ep11.Code) (*object, error) {
	if len(blob) == 0 {
		return nil, missing
	}
	if w.env.Current == nil {
		return nil, ep11.Fail(ep11.CKR_IBM_WK_NOT_INITIALIZED, "the domain has no working key")
	}
	if blob[0] != spkiStart {
		return w.opened(blob)
	}
	o, rest, err := w.public(blob)
	if err != nil || len(rest) == 0 {
		return o, err
	}
	if o.key.Type != ep11.CKK_EC || string(o.key.Params) != ep11.OIDBLS12381 {
		return nil, errBlob
	}
	if err := w.permitted(o); err != nil { // each of them is asked for, this one as the others
		return nil, err
	}
	sum := bytes.Clone(o.key.Public)
	for n := 1; len(rest) > 0; n++ {
		if n == maxSum {
			return nil, ep11.Fail(ep11.CKR_ARGUMENTS_BAD, "more than %d keys", maxSum)
		}
		var next *object
		if next, rest, err = w.public(rest); err != nil {
			return nil, err
		}
		if next.key.Kind() != o.key.Kind() {
			return nil, ep11.CKR_KEY_TYPE_INCONSISTENT
		}
		if err := w.permitted(next); err != nil {
			return nil, err
		}
		sum = append(sum, next.key.Public...)
		if !next.bare && (o.bare || !next.Attributes.Has(ep11.CKA_VERIFY)) { // what one of them may not, their sum may not
			o = next
		}
	}
	o.key.Public = sum
	return o, nil
}
