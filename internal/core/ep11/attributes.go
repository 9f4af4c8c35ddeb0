// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"maps"
	"slices"

	"strongroom/internal/core/ep11/family/rsakey"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/pure/points"
)

// getAttributes tells attributes of a key. An integer that the key doesn't have is ep11.Unavailable; other attributes that it doesn't have are
// CKR_ATTRIBUTE_TYPE_INVALID, and parts of the secret CKR_ATTRIBUTE_SENSITIVE.
func (w *work) getAttributes() (ep11.Answer, error) {
	o, err := w.object()
	if err != nil {
		return ep11.Answer{}, err
	}
	defer o.wipe()
	out := ep11.Template{}
	for _, n := range slices.Sorted(maps.Keys(w.call.Template)) {
		arm, known := ep11.ArmOf(n)
		if !known {
			return ep11.Answer{}, ep11.Fail(ep11.CKR_ATTRIBUTE_TYPE_INVALID, "attribute 0x%x is not known", n)
		}
		if ep11.Sensitive(n) {
			return ep11.Answer{}, ep11.Fail(ep11.CKR_ATTRIBUTE_SENSITIVE, "attribute 0x%x is a part of the secret", n)
		}
		v, ok := w.attribute(o, n)
		if !ok && arm == ep11.ArmInt {
			v, ok = ep11.Attribute{Int: new(int64(ep11.Unavailable))}, true
		}
		if !ok {
			return ep11.Answer{}, ep11.Fail(ep11.CKR_ATTRIBUTE_TYPE_INVALID, "the key has no attribute 0x%x", n)
		}
		out[n] = v
	}
	return ep11.Answer{Attributes: out}, nil
}

// object reads the key of a call about attributes.
func (w *work) object() (*object, error) {
	o, err := w.keyOf(w.call.Key, ep11.CKR_OBJECT_HANDLE_INVALID)
	if err != nil {
		return nil, err
	}
	if err := w.permitted(o); err != nil {
		o.wipe()
		return nil, err
	}
	return o, nil
}

// attribute gives one attribute of a key: a kept one, or one that follows from the key.
func (w *work) attribute(o *object, n uint64) (ep11.Attribute, bool) {
	if v, ok := o.Attributes[n]; ok {
		return v, true
	}
	secretKey := o.Class == ep11.CKO_SECRET_KEY
	switch {
	case n == ep11.CKA_CLASS:
		return ep11.Int(o.Class), true
	case n == ep11.CKA_KEY_TYPE:
		return ep11.Int(o.Type), true
	case n == ep11.CKA_VALUE_LEN && secretKey:
		return ep11.Int(uint64(o.key.Secret.Len())), true
	case n == ep11.CKA_VALUE_BITS && secretKey:
		return ep11.Int(8 * uint64(o.key.Secret.Len())), true
	case n == ep11.CKA_IBM_GREP11_WKID && !o.bare:
		return ep11.Bytes(o.Pattern[:]), true
	case secretKey:
		return ep11.Attribute{}, false
	case n == ep11.CKA_PUBLIC_KEY_INFO:
		return ep11.Bytes(ep11.PublicKey{Type: o.Type, Params: o.key.Params, Key: o.key.Public}.SPKI()), true
	}
	switch o.Type {
	case ep11.CKK_RSA:
		return rsaAttribute(o, n)
	case ep11.CKK_EC:
		if n == ep11.CKA_EC_PARAMS || n == ep11.CKA_EC_POINT {
			return ep11.Bytes(map[uint64][]byte{ep11.CKA_EC_PARAMS: o.key.Params, ep11.CKA_EC_POINT: o.key.Public}[n]), true
		}
	case ep11.CKK_DH, ep11.CKK_DSA:
		return groupAttribute(o, n)
	default:
		switch set := ep11.ParameterSet(o.Type, o.key.Params); {
		case n == ep11.CKA_IBM_PQC_PARAMS:
			return ep11.Bytes(o.key.Params), true
		case n == ep11.CKA_IBM_PARAMETER_SET && set != 0:
			return ep11.Int(set), true
		}
	}
	return ep11.Attribute{}, false
}

// rsaAttribute gives what follows from an RSA key's public half.
func rsaAttribute(o *object, n uint64) (ep11.Attribute, bool) {
	modulus, e, ok := rsakey.Modulus(o.key.Public)
	switch {
	case ok && n == ep11.CKA_MODULUS:
		return ep11.Bytes(modulus.Bytes()), true
	case ok && n == ep11.CKA_MODULUS_BITS:
		return ep11.Int(uint64(modulus.BitLen())), true
	case ok && n == ep11.CKA_PUBLIC_EXPONENT:
		return ep11.Int(uint64(e)), true
	}
	return ep11.Attribute{}, false
}

// groupAttribute gives the parameters of a DH or DSA key.
func groupAttribute(o *object, n uint64) (ep11.Attribute, bool) {
	p, q, g, err := ep11.Group(o.Type, o.key.Params)
	switch {
	case err != nil:
	case n == ep11.CKA_PRIME:
		return ep11.Bytes(p), true
	case n == ep11.CKA_SUBPRIME && q != nil:
		return ep11.Bytes(q), true
	case n == ep11.CKA_BASE:
		return ep11.Bytes(g), true
	case n == ep11.CKA_IBM_STRUCT_PARAMS:
		return ep11.Bytes(o.key.Params), true
	case n == ep11.CKA_PRIME_BITS:
		return ep11.Int(8 * uint64(len(p))), true
	}
	return ep11.Attribute{}, false
}

// setAttributes changes booleans of a key, and answers with a blob that replaces the old one. The old one still works: who holds a blob keeps
// what it allows until the key is revoked.
func (w *work) setAttributes() (ep11.Answer, error) {
	o, err := w.object()
	if err != nil {
		return ep11.Answer{}, err
	}
	defer o.wipe()
	if o.bare {
		return ep11.Answer{}, ep11.Fail(ep11.CKR_ATTRIBUTE_READ_ONLY, "a public key without authentication has no attributes")
	}
	if err := w.point(points.ModifyKeys); err != nil {
		return ep11.Answer{}, err
	}
	was := o.Attributes
	if o.Attributes, err = was.Change(w.call.Template, w.env.Compat); err != nil {
		return ep11.Answer{}, err
	}
	if w.env.Compat { // the blob of before still works: two blobs have the uses that one key has apart
		if _, err := was.Change(w.call.Template, false); err != nil {
			o.Profile = true
		}
	}
	blob, err := w.again(o, w.env.Current)
	return ep11.Answer{Key: blob}, err
}

// again makes the blob of a key under an epoch.
func (w *work) again(o *object, epoch *Epoch) ([]byte, error) {
	if o.secretKey() {
		w.use(o, 0)
		return o.sealed(epoch)
	}
	return w.authenticated(o, epoch)
}

// rewrap makes the blob of a key under the domain's next working key, which must be committed. It works once that key is the current one; what
// it is of is the same.
func (w *work) rewrap() (ep11.Answer, error) {
	o, err := w.keyOf(w.call.Key, ep11.CKR_KEY_HANDLE_INVALID)
	if err != nil {
		return ep11.Answer{}, err
	}
	defer o.wipe()
	if err := w.permitted(o); err != nil {
		return ep11.Answer{}, err
	}
	switch {
	case o.bare:
		return ep11.Answer{}, errBlob
	case w.env.Next == nil:
		return ep11.Answer{}, ep11.Fail(ep11.CKR_IBM_WK_NOT_INITIALIZED, "the domain has no next working key")
	}
	blob, err := w.again(o, w.env.Next)
	return ep11.Answer{Key: blob}, err
}
