// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"crypto/rand"
	"maps"
	"slices"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/core/internal/kdf"
	"strongroom/internal/core/seal"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/pure/points"
	"strongroom/internal/secret"
)

// package of a key that is wrapped with its attributes. The key of its envelope follows from the MAC key and from a seed that only the KEK
// opens: to decrypt the seed is not enough to get at the key, and who may make codes with the MAC key can't make the envelope's key, because
// HKDF uses it as input and not as key of its HMAC.
type boundPackage struct {
	V        uint   `cbor:"1,keyasint"` // 1
	Seed     []byte `cbor:"2,keyasint"` // 32 bytes under the KEK: RSA-OAEP with SHA-256, or AES key wrap with padding
	Envelope []byte `cbor:"3,keyasint"` // of package seal: header boundHeader, the key itself encrypted
}

// boundHeader says what key is wrapped.
type boundHeader struct {
	Class      uint64        `cbor:"1,keyasint"`
	Type       uint64        `cbor:"2,keyasint"`
	Attributes ep11.Template `cbor:"3,keyasint"`
	Params     []byte        `cbor:"4,keyasint,omitempty"`
}

// seedMechanisms are how a KEK of a type encrypts the seed.
var seedMechanisms = map[uint64]ep11.Mechanism{
	ep11.CKK_RSA: {Type: ep11.CKM_RSA_PKCS_OAEP, OAEP: &ep11.OAEP{Hash: ep11.CKM_SHA256, MGF: ep11.CKG_MGF1_SHA256}},
	ep11.CKK_AES: {Type: ep11.CKM_AES_KEY_WRAP_PAD},
}

// seeder finds the code by which a KEK encrypts the seed.
func (w *work) seeder(kek *object, wrong ep11.Code) (ep11.Mechanism, family.Wrapper, error) {
	m, ok := seedMechanisms[kek.Type]
	for _, r := range w.engine.rows[m.Type] {
		if ok && r.Wrap != nil && slices.Contains(r.Keys, kek.key.Kind()) {
			return m, r.Wrap, nil
		}
	}
	return m, nil, wrong
}

// boundKeys checks the KEK and reads the MAC key, which must both be bound. The caller wipes the MAC key.
func (w *work) boundKeys(kek *object, need uint64) (*object, error) {
	mac, err := w.take(w.call.Key3, ep11.CKR_KEY_HANDLE_INVALID, w.call.Mechanism.Type, need)
	if err != nil {
		return nil, err
	}
	switch {
	case mac.Class != ep11.CKO_SECRET_KEY:
		err = ep11.CKR_KEY_TYPE_INCONSISTENT
	case !kek.Attributes.Has(ep11.CKA_IBM_ATTRBOUND) || !mac.Attributes.Has(ep11.CKA_IBM_ATTRBOUND):
		err = errUse
	}
	if err != nil {
		mac.wipe()
	}
	return mac, err
}

// boundKey derives the envelope's key.
func (w *work) boundKey(mac *object, seed secret.Bytes) (secret.Bytes, error) {
	return secret.New(w.env.Arena, seal.KeySize, func(out []byte) error {
		return mac.key.Secret.Use(func(m []byte) error {
			return seed.Use(func(s []byte) error { return kdf.HKDF(kdf.SHA384, out, m, s, []byte(canon.TagAppBound)) })
		})
	})
}

// wrapBound wraps a key with its attributes.
func (w *work) wrapBound(k, kek *object) (ep11.Answer, error) {
	m, wrapper, err := w.seeder(kek, ep11.CKR_WRAPPING_KEY_TYPE_INCONSISTENT)
	if err != nil {
		return ep11.Answer{}, err
	}
	mac, err := w.boundKeys(kek, ep11.CKA_SIGN)
	if err != nil {
		return ep11.Answer{}, err
	}
	defer mac.wipe()
	seed, err := secret.New(w.env.Arena, seal.KeySize, func(b []byte) error {
		rand.Read(b) // never fails: crypto/rand ends the process when the system has no randomness
		return nil
	})
	if err != nil {
		return ep11.Answer{}, err
	}
	defer seed.Wipe()
	for _, used := range []*object{k, kek, mac} {
		w.use(used, w.call.Mechanism.Type)
	}
	p := boundPackage{V: 1}
	if p.Seed, err = wrapper.Wrap(w.ctx, w.tools, m, kek.key, seed); err != nil {
		return ep11.Answer{}, err
	}
	key, err := w.boundKey(mac, seed)
	if err != nil {
		return ep11.Answer{}, err
	}
	defer key.Wipe()
	head := canon.Encode(boundHeader{Class: k.Class, Type: k.Type, Attributes: k.Attributes, Params: k.Params})
	if p.Envelope, err = seal.Seal(canon.TagAppBound, key, head, k.key.Secret); err != nil {
		return ep11.Answer{}, err
	}
	return ep11.Answer{Data: canon.Encode(p)}, nil
}

// unwrapBound takes a key in with the attributes that it was wrapped with. The template may take uses away, and not add any.
func (w *work) unwrapBound(kek *object, b ep11.Birth) (ep11.Answer, error) {
	m, wrapper, err := w.seeder(kek, ep11.CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT)
	if err != nil {
		return ep11.Answer{}, err
	}
	mac, err := w.boundKeys(kek, ep11.CKA_VERIFY)
	if err != nil {
		return ep11.Answer{}, err
	}
	defer mac.wipe()
	var p boundPackage
	if canon.Decode(w.call.Data, &p) != nil || p.V != 1 {
		return ep11.Answer{}, ep11.CKR_WRAPPED_KEY_INVALID
	}
	w.use(kek, w.call.Mechanism.Type)
	w.use(mac, w.call.Mechanism.Type)
	seed, err := wrapper.Unwrap(w.ctx, w.tools, m, kek.key, p.Seed)
	if err != nil {
		return ep11.Answer{}, ep11.CKR_WRAPPED_KEY_INVALID
	}
	defer seed.Wipe()
	key, err := w.boundKey(mac, seed)
	if err != nil {
		return ep11.Answer{}, err
	}
	defer key.Wipe()
	plain, encoded, err := seal.Open(w.env.Arena, canon.TagAppBound, key, p.Envelope)
	if err != nil {
		return ep11.Answer{}, ep11.CKR_WRAPPED_KEY_INVALID
	}
	defer plain.Wipe()
	var head boundHeader
	if canon.Decode(encoded, &head) != nil {
		return ep11.Answer{}, ep11.CKR_WRAPPED_KEY_INVALID
	}
	o, err := w.restored(head, b)
	if err != nil {
		return ep11.Answer{}, err
	}
	k := family.Key{Type: o.Type, Params: head.Params, Secret: plain}
	if o.Class == ep11.CKO_PRIVATE_KEY {
		return w.privateAnswer(o, k)
	}
	return w.secretAnswer(o, k)
}

// restored makes the header of a key with the attributes that it was wrapped with.
func (w *work) restored(head boundHeader, b ep11.Birth) (*object, error) {
	if head.Class != b.Class || head.Type != b.Type || b.Template.KeyNumber(ep11.CKA_CLASS, b.Class) != b.Class {
		return nil, ep11.Fail(ep11.CKR_TEMPLATE_INCONSISTENT, "another key was wrapped than the template says")
	}
	attributes, ok := head.Attributes.Restored(head.Class)
	if !ok {
		return nil, ep11.CKR_WRAPPED_KEY_INVALID
	}
	for _, n := range slices.Sorted(maps.Keys(b.Template)) {
		v := b.Template[n]
		if v.Bool == nil || attributes.Has(n) == *v.Bool {
			continue
		}
		if *v.Bool {
			return nil, ep11.Fail(ep11.CKR_TEMPLATE_INCONSISTENT, "the template adds what the key was wrapped without")
		}
		attributes[n] = v
	}
	if !attributes.Has(ep11.CKA_IBM_ATTRBOUND) {
		return nil, ep11.Fail(ep11.CKR_TEMPLATE_INCONSISTENT, "a bound key stays bound")
	}
	if !w.env.Compat {
		if err := attributes.Apart(); err != nil {
			return nil, err
		}
	}
	o := &object{header: w.newHeader(head.Class, head.Type), Attributes: attributes}
	if err := w.bind(&o.header, b.Template); err != nil {
		return nil, err
	}
	return o, w.mayMake(o.header, points.AppImport)
}
