// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"encoding/binary"
	"maps"
	"slices"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/pure/points"
	"strongroom/internal/secret"
)

// unpadded are the modes that wrap whole blocks, with the block's size in bytes: they fill a secret key up with zeros, and what they give
// back is cut to the length that the template or the type of key says.
var unpadded = map[uint64]int{ep11.CKM_AES_ECB: 16, ep11.CKM_AES_CBC: 16, ep11.CKM_DES3_ECB: 8, ep11.CKM_DES3_CBC: 8}

// wrapKey encrypts a key under another.
func (w *work) wrapKey() (ep11.Answer, error) {
	if _, err := w.mechanism(w.call.Mechanism, ep11.CKF_WRAP); err != nil {
		return ep11.Answer{}, err
	}
	m := *w.call.Mechanism
	k, err := w.take(w.call.Key, ep11.CKR_KEY_HANDLE_INVALID, m.Type)
	if err != nil {
		return ep11.Answer{}, err
	}
	defer k.wipe()
	kek, err := w.take(w.call.Key2, ep11.CKR_WRAPPING_KEY_HANDLE_INVALID, m.Type, ep11.CKA_WRAP)
	if err != nil {
		return ep11.Answer{}, err
	}
	defer kek.wipe()
	bound := m.Type == ep11.CKM_IBM_ATTRIBUTEBOUND_WRAP
	switch {
	case !k.secretKey():
		return ep11.Answer{}, ep11.Fail(ep11.CKR_KEY_NOT_WRAPPABLE, "a public key is not wrapped")
	case !k.Attributes.Has(ep11.CKA_EXTRACTABLE):
		return ep11.Answer{}, ep11.CKR_KEY_UNEXTRACTABLE
	case k.Attributes.Has(ep11.CKA_IBM_ATTRBOUND) != bound:
		return ep11.Answer{}, ep11.Fail(ep11.CKR_KEY_NOT_WRAPPABLE, "an attribute-bound key is wrapped with its attributes, and no other one is")
	case k.Attributes.Has(ep11.CKA_WRAP_WITH_TRUSTED) && !kek.Attributes.Has(ep11.CKA_TRUSTED):
		return ep11.Answer{}, ep11.Fail(ep11.CKR_KEY_NOT_WRAPPABLE, "the key is wrapped by trusted keys only")
	case bound:
		return w.wrapBound(k, kek)
	}
	row, err := w.rowFor(m.Type, kek.key.Kind(), ep11.CKR_WRAPPING_KEY_TYPE_INCONSISTENT, func(r family.Row) bool { return r.Wrap != nil })
	if err != nil {
		return ep11.Answer{}, err
	}
	plain, err := w.material(k)
	if err != nil {
		return ep11.Answer{}, err
	}
	defer plain.Wipe()
	if size := unpadded[m.Type]; size != 0 && k.Class == ep11.CKO_PRIVATE_KEY && plain.Len()%size != 0 {
		return ep11.Answer{}, ep11.Fail(ep11.CKR_KEY_SIZE_RANGE, "a private key needs a mode that pads")
	}
	w.use(k, m.Type)
	w.use(kek, m.Type)
	out, err := row.Wrap.Wrap(w.ctx, w.tools, m, kek.key, plain)
	return ep11.Answer{Data: out}, err
}

// material is what is wrapped of a key: the key itself, or PKCS#8 of a private one. The caller wipes it.
func (w *work) material(k *object) (secret.Bytes, error) {
	form := ep11.PrivateKey{Type: k.Type, Params: k.key.Params}
	n := k.key.Secret.Len()
	if k.Class == ep11.CKO_PRIVATE_KEY {
		if n = form.PKCS8Size(n, k.key.Public); n == 0 {
			return secret.Bytes{}, ep11.CKR_KEY_NOT_WRAPPABLE
		}
	}
	return secret.New(w.env.Arena, n, func(out []byte) error {
		return k.key.Secret.Use(func(b []byte) error {
			if k.Class == ep11.CKO_PRIVATE_KEY {
				form.Secret = b
				form.AppendPKCS8(out[:0], k.key.Public)
			} else {
				copy(out, b)
			}
			return nil
		})
	})
}

// privateTypes are the types of keys that come in pairs.
var privateTypes = []uint64{ep11.CKK_RSA, ep11.CKK_DSA, ep11.CKK_DH, ep11.CKK_EC, ep11.CKK_IBM_PQC_DILITHIUM, ep11.CKK_IBM_PQC_KYBER, ep11.CKK_IBM_ML_DSA, ep11.CKK_IBM_ML_KEM}

// unwrapKey decrypts a key that was wrapped, or takes a public key in.
func (w *work) unwrapKey() (ep11.Answer, error) {
	if _, err := w.mechanism(w.call.Mechanism, ep11.CKF_UNWRAP); err != nil {
		return ep11.Answer{}, err
	}
	t, err := w.call.Template.Normal()
	if err != nil {
		return ep11.Answer{}, err
	}
	if w.call.Mechanism.Type == ep11.CKM_IBM_TRANSPORTKEY {
		return w.transport(t)
	}
	if t[ep11.CKA_KEY_TYPE].Int == nil {
		return ep11.Answer{}, ep11.Fail(ep11.CKR_TEMPLATE_INCOMPLETE, "CKA_KEY_TYPE says what was wrapped")
	}
	ckk := t.KeyNumber(ep11.CKA_KEY_TYPE, 0)
	class := uint64(ep11.CKO_SECRET_KEY)
	if slices.Contains(privateTypes, ckk) {
		class = ep11.CKO_PRIVATE_KEY
	}
	kek, err := w.take(w.call.Key2, ep11.CKR_UNWRAPPING_KEY_HANDLE_INVALID, w.call.Mechanism.Type, ep11.CKA_UNWRAP)
	if err != nil {
		return ep11.Answer{}, err
	}
	defer kek.wipe()
	birth := ep11.Birth{Origin: ep11.Unwrapped, Class: class, Type: ckk, Mechanism: w.call.Mechanism.Type, Template: t, Compat: w.env.Compat}
	if w.call.Mechanism.Type == ep11.CKM_IBM_ATTRIBUTEBOUND_WRAP {
		return w.unwrapBound(kek, birth)
	}
	if t.Has(ep11.CKA_IBM_ATTRBOUND) {
		return ep11.Answer{}, ep11.Fail(ep11.CKR_TEMPLATE_INCONSISTENT, "an attribute-bound key comes with its attributes only")
	}
	o, err := w.born(birth, points.AppImport)
	if err != nil {
		return ep11.Answer{}, err
	}
	row, err := w.rowFor(w.call.Mechanism.Type, kek.key.Kind(), ep11.CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT, func(r family.Row) bool { return r.Wrap != nil })
	if err != nil {
		return ep11.Answer{}, err
	}
	w.use(kek, w.call.Mechanism.Type)
	plain, err := row.Wrap.Unwrap(w.ctx, w.tools, *w.call.Mechanism, kek.key, w.call.Data)
	if err != nil {
		return ep11.Answer{}, err
	}
	defer plain.Wipe()
	if class == ep11.CKO_SECRET_KEY {
		return w.unwrapSecret(o, plain, t)
	}
	return w.unwrapPrivate(o, plain, t)
}

// typeSizes are the lengths of keys whose type says it, in bytes.
var typeSizes = map[uint64]int{ep11.CKK_DES2: 16, ep11.CKK_DES3: 24}

// unwrapSecret makes a secret key of what was unwrapped.
func (w *work) unwrapSecret(o *object, plain secret.Bytes, t ep11.Template) (ep11.Answer, error) {
	n := plain.Len()
	if unpadded[w.call.Mechanism.Type] != 0 {
		if want, ok := t.Number(ep11.CKA_VALUE_LEN); ok && typeSizes[o.Type] == 0 && want > 0 && want < uint64(n) {
			n = int(want)
		}
		if want := typeSizes[o.Type]; want > 0 && want < n {
			n = want
		}
	}
	k := family.Key{Type: o.Type}
	var err error
	if k.Secret, err = w.copied(plain, n); err != nil {
		return ep11.Answer{}, err
	}
	defer k.Secret.Wipe()
	return w.secretAnswer(o, k)
}

// copied copies the first bytes of a secret.
func (w *work) copied(from secret.Bytes, n int) (secret.Bytes, error) {
	return secret.New(w.env.Arena, n, func(to []byte) error {
		return from.Use(func(b []byte) error {
			copy(to, b)
			return nil
		})
	})
}

// unwrapPrivate makes a private key of PKCS#8 that was unwrapped. Whatever is wrong with it is one answer.
func (w *work) unwrapPrivate(o *object, plain secret.Bytes, t ep11.Template) (ep11.Answer, error) {
	k := family.Key{Type: o.Type}
	err := plain.Use(func(b []byte) (err error) {
		p, ok := ep11.ReadPKCS8(b)
		if !ok || p.Type != o.Type {
			return ep11.CKR_WRAPPED_KEY_INVALID
		}
		k.Params = p.Params
		k.Secret, err = secret.New(w.env.Arena, max(p.Width, len(p.Secret)), func(to []byte) error {
			copy(to[len(to)-len(p.Secret):], p.Secret)
			return nil
		})
		return err
	})
	if err != nil {
		return ep11.Answer{}, err
	}
	defer k.Secret.Wipe()
	if want := t.Curve(); len(want) > 0 && o.Type == ep11.CKK_EC && string(want) != string(k.Params) {
		return ep11.Answer{}, ep11.Fail(ep11.CKR_TEMPLATE_INCONSISTENT, "the key is of another curve")
	}
	return w.privateAnswer(o, k)
}

// privateAnswer checks the material of a private key that came in, and answers with its blob and its public half.
func (w *work) privateAnswer(o *object, k family.Key) (ep11.Answer, error) {
	of, ok := w.engine.keys[k.Kind()]
	if !ok {
		if o.Type == ep11.CKK_EC {
			return ep11.Answer{}, ep11.CKR_CURVE_NOT_SUPPORTED
		}
		return ep11.Answer{}, ep11.CKR_WRAPPED_KEY_INVALID
	}
	var err error
	if k.Public, err = of.Public(k); err != nil {
		return ep11.Answer{}, err
	}
	birth := ep11.Birth{Origin: ep11.Unwrapped, Class: ep11.CKO_PUBLIC_KEY, Type: o.Type, Template: o.Attributes.Mirror(), Compat: true}
	attributes, err := birth.New()
	if err != nil {
		return ep11.Answer{}, err
	}
	half, err := w.pairAnswer(o, k, attributes)
	if err != nil {
		return ep11.Answer{}, err
	}
	blob, err := o.sealed(w.env.Current)
	if err != nil {
		return ep11.Answer{}, err
	}
	w.use(o, w.call.Mechanism.Type)
	return ep11.Answer{Key: blob, CheckSum: half}, nil
}

// transport takes a public key in, with the boolean attributes of the template, and authenticates it.
func (w *work) transport(t ep11.Template) (ep11.Answer, error) {
	if t.Has(ep11.CKA_IBM_ATTRBOUND) { // its private half is somebody else's
		return ep11.Answer{}, ep11.Fail(ep11.CKR_TEMPLATE_INCONSISTENT, "a public key that comes in is not attribute-bound")
	}
	for _, n := range slices.Sorted(maps.Keys(t)) {
		if arm, _ := ep11.ArmOf(n); arm != ep11.ArmBool {
			return ep11.Answer{}, ep11.Fail(ep11.CKR_TEMPLATE_INCONSISTENT, "a public key is taken in with boolean attributes only")
		}
	}
	k, rest, err := ep11.ReadSPKI(w.call.Data)
	if err != nil || len(rest) != 0 {
		return ep11.Answer{}, ep11.Fail(ep11.CKR_WRAPPED_KEY_INVALID, "not a SubjectPublicKeyInfo of a known algorithm")
	}
	key := family.Key{Type: k.Type, Params: k.Params, Public: k.Key}
	if err := w.checkPublic(&object{header: header{Type: k.Type}, key: key}); err != nil {
		return ep11.Answer{}, err
	}
	o, err := w.born(ep11.Birth{Origin: ep11.Unwrapped, Class: ep11.CKO_PUBLIC_KEY, Type: k.Type, Mechanism: ep11.CKM_IBM_TRANSPORTKEY, Template: t, Compat: w.env.Compat}, points.AppImport)
	if err != nil {
		return ep11.Answer{}, err
	}
	o.key = key
	blob, err := w.authenticated(o, w.env.Current)
	if err != nil {
		return ep11.Answer{}, err
	}
	bits := w.engine.keys[key.Kind()].Bits(key)
	return ep11.Answer{Key: blob, CheckSum: binary.BigEndian.AppendUint32(k.SPKI(), uint32(bits))}, nil
}
