// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"bytes"
	"crypto/rand"
	"crypto/sha1"
	"encoding/binary"
	"slices"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/core/ep11/family/symmetric"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/pure/points"
)

// newHeader is the header of a key that this call makes, with a fresh id.
func (w *work) newHeader(class, ckk uint64) header {
	h := header{V: 1, Domain: w.env.Domain, Owner: w.env.Owner, Class: class, Type: ckk, Grant: w.env.Grant}
	rand.Read(h.Key[:]) // never fails: crypto/rand ends the process when the system has no randomness
	return h
}

// mayMake asks whether a key may be made: the domain's working key, its control point, and the grant.
func (w *work) mayMake(h header, act points.Point) error {
	if w.env.Current == nil {
		return ep11.Fail(ep11.CKR_IBM_WK_NOT_INITIALIZED, "the domain has no working key")
	}
	if err := w.point(act); err != nil {
		return err
	}
	return w.env.Allow(Access{Function: w.call.Function, Mechanism: w.call.Mechanism.Type, Keyed: true, Key: h.Key, Owner: h.Owner, Class: h.Class, Type: h.Type, New: true})
}

// bind binds a new key to the session that its template names.
func (w *work) bind(h *header, t ep11.Template) error {
	blob := t[ep11.CKA_IBM_LOGIN_SESSION].Bytes
	if len(blob) == 0 {
		return nil
	}
	id, err := w.sessionOf(blob)
	if err != nil {
		return err
	}
	h.Session = id[:]
	return nil
}

// checkSum is the check value of a secret key and its length in bits (4 bytes, big-endian). For a generic secret the check value is the
// beginning of SHA-1 of it (PKCS#11 section 4.10.2).
func checkSum(k family.Key) (out []byte, err error) {
	err = k.Secret.Use(func(b []byte) error {
		if k.Type == ep11.CKK_AES || k.Type == ep11.CKK_DES2 || k.Type == ep11.CKK_DES3 {
			out, err = symmetric.CheckValue(k.Type, b)
		} else {
			sum := sha1.Sum(b)
			out = bytes.Clone(sum[:3])
		}
		out = binary.BigEndian.AppendUint32(out, uint32(8*len(b)))
		return err
	})
	return out, err
}

// generateKey makes a secret key, or the parameters of a group.
func (w *work) generateKey() (ep11.Answer, error) {
	r, err := w.mechanism(w.call.Mechanism, ep11.CKF_GENERATE)
	if err != nil {
		return ep11.Answer{}, err
	}
	t, err := w.call.Template.Normal()
	if err != nil {
		return ep11.Answer{}, err
	}
	rows := w.engine.rows[r.Mechanism]
	if i := slices.IndexFunc(rows, func(r family.Row) bool { return r.Parameters != nil }); i >= 0 {
		if err := w.allowed(r.Mechanism); err != nil {
			return ep11.Answer{}, err
		}
		params, err := rows[i].Parameters.Parameters(w.ctx, w.tools, *w.call.Mechanism, t)
		return ep11.Answer{Key: params}, err
	}
	kind, err := w.generated(r.Mechanism, t)
	if err != nil {
		return ep11.Answer{}, err
	}
	o, err := w.born(ep11.Birth{Origin: ep11.Generated, Class: ep11.CKO_SECRET_KEY, Type: kind.Type, Mechanism: r.Mechanism, Template: t, Compat: w.env.Compat}, points.AppKeys)
	if err != nil {
		return ep11.Answer{}, err
	}
	made, err := w.engine.keys[kind].Generate(w.ctx, w.tools, *w.call.Mechanism, nil, t, nil)
	if err != nil {
		return ep11.Answer{}, err
	}
	defer made.Secret.Wipe()
	made.Type = kind.Type
	return w.secretAnswer(o, made)
}

// generated gives the type of key that a mechanism for one key makes: the template's, or the first that it makes.
func (w *work) generated(mechanism uint64, t ep11.Template) (family.KeyType, error) {
	for _, r := range w.engine.rows[mechanism] {
		if len(r.Generates) == 0 {
			continue
		}
		want := t.KeyNumber(ep11.CKA_KEY_TYPE, r.Generates[0].Type)
		for _, k := range r.Generates {
			if k.Type == want {
				return k, nil
			}
		}
	}
	return family.KeyType{}, ep11.Fail(ep11.CKR_TEMPLATE_INCONSISTENT, "the mechanism makes no key of this type")
}

// born makes the header of a new key: its attributes, its session, and whether it may be made.
func (w *work) born(b ep11.Birth, act points.Point) (*object, error) {
	attributes, err := b.New()
	if err != nil {
		return nil, err
	}
	o := &object{header: w.newHeader(b.Class, b.Type), Attributes: attributes}
	o.Profile = b.OfProfile(attributes)
	if err := w.bind(&o.header, b.Template); err != nil {
		return nil, err
	}
	return o, w.mayMake(o.header, act)
}

// secretAnswer seals a new secret key, with its check value as an attribute. It refuses a key of a length that its type doesn't have, however it
// came to be: the check value of a short one tells what it is.
func (w *work) secretAnswer(o *object, k family.Key) (ep11.Answer, error) {
	of, ok := w.engine.keys[k.Kind()]
	if !ok {
		return ep11.Answer{}, ep11.Fail(ep11.CKR_TEMPLATE_INCONSISTENT, "keys of type 0x%x are not made", k.Type)
	}
	if _, err := of.Public(k); err != nil {
		return ep11.Answer{}, err
	}
	sum, err := checkSum(k)
	if err != nil {
		return ep11.Answer{}, err
	}
	o.key = k
	o.Attributes[ep11.CKA_CHECK_VALUE] = ep11.Bytes(sum[:3])
	blob, err := o.sealed(w.env.Current)
	if err != nil {
		return ep11.Answer{}, err
	}
	w.use(o, w.call.Mechanism.Type)
	return ep11.Answer{Key: blob, CheckSum: sum}, nil
}

// pairKind gives the type of the pair that a mechanism makes, and its parameters.
func (w *work) pairKind(mechanism uint64, private, public ep11.Template) (kind family.KeyType, params []byte, err error) {
	var ckk uint64
	unknown := ep11.CKR_MECHANISM_INVALID // of a strength: what clients of the service expect of one that isn't there
	switch mechanism {
	case ep11.CKM_EC_KEY_PAIR_GEN:
		ckk, unknown, params = ep11.CKK_EC, ep11.CKR_CURVE_NOT_SUPPORTED, public.Curve()
		if len(params) == 0 {
			params = private.Curve()
		}
	case ep11.CKM_DH_PKCS_KEY_PAIR_GEN, ep11.CKM_DSA_KEY_PAIR_GEN:
		if ckk = ep11.CKK_DH; mechanism == ep11.CKM_DSA_KEY_PAIR_GEN {
			ckk = ep11.CKK_DSA
		}
		params, err = groupOf(ckk, public, private)
	case ep11.CKM_IBM_DILITHIUM, ep11.CKM_IBM_KYBER, ep11.CKM_IBM_ML_DSA_KEY_PAIR_GEN, ep11.CKM_IBM_ML_KEM_KEY_PAIR_GEN,
		ep11.CKM_ML_DSA_KEY_PAIR_GEN, ep11.CKM_ML_KEM_KEY_PAIR_GEN:
		ckk = map[uint64]uint64{ep11.CKM_IBM_DILITHIUM: ep11.CKK_IBM_PQC_DILITHIUM, ep11.CKM_IBM_KYBER: ep11.CKK_IBM_PQC_KYBER,
			ep11.CKM_IBM_ML_DSA_KEY_PAIR_GEN: ep11.CKK_IBM_ML_DSA, ep11.CKM_IBM_ML_KEM_KEY_PAIR_GEN: ep11.CKK_IBM_ML_KEM,
			ep11.CKM_ML_DSA_KEY_PAIR_GEN: ep11.CKK_IBM_ML_DSA, ep11.CKM_ML_KEM_KEY_PAIR_GEN: ep11.CKK_IBM_ML_KEM}[mechanism]
		if params = public.Strength(ckk); len(params) == 0 {
			params = private.Strength(ckk)
		}
	default:
		return family.KeyType{Type: ep11.CKK_RSA}, nil, nil
	}
	if err == nil && len(params) == 0 {
		err = ep11.Fail(ep11.CKR_TEMPLATE_INCOMPLETE, "the public template lacks the parameters of the key")
	}
	kind = family.KindOf(ckk, params)
	for _, r := range w.engine.rows[mechanism] {
		if err != nil || slices.Contains(r.Generates, kind) {
			return kind, params, err
		}
	}
	return kind, nil, ep11.Fail(unknown, "keys with these parameters are not made")
}

// groupOf reads the parameters of a DH or DSA key from a template.
func groupOf(ckk uint64, templates ...ep11.Template) ([]byte, error) {
	for _, t := range templates {
		if b := t[ep11.CKA_IBM_STRUCT_PARAMS].Bytes; len(b) > 0 {
			p, q, g, err := ep11.Group(ckk, b)
			return ep11.EncodeGroup(p, q, g), err
		}
		if p := t[ep11.CKA_PRIME].Bytes; len(p) > 0 {
			q := t[ep11.CKA_SUBPRIME].Bytes
			if ckk == ep11.CKK_DH {
				q = nil
			}
			p, q, g, err := ep11.Group(ckk, ep11.EncodeGroup(p, q, t[ep11.CKA_BASE].Bytes))
			return ep11.EncodeGroup(p, q, g), err
		}
	}
	return nil, nil
}

// generateKeyPair makes a pair; both halves have one id.
func (w *work) generateKeyPair() (ep11.Answer, error) {
	r, err := w.mechanism(w.call.Mechanism, ep11.CKF_GENERATE_KEY_PAIR)
	if err != nil {
		return ep11.Answer{}, err
	}
	private, err := w.call.Template.Normal()
	if err != nil {
		return ep11.Answer{}, err
	}
	public, err := w.call.Template2.Normal()
	if err != nil {
		return ep11.Answer{}, err
	}
	kind, params, err := w.pairKind(r.Mechanism, private, public)
	if err != nil {
		return ep11.Answer{}, err
	}
	birth := ep11.Birth{Origin: ep11.Generated, Class: ep11.CKO_PRIVATE_KEY, Type: kind.Type, Mechanism: r.Mechanism, Template: private, Compat: w.env.Compat}
	secret, err := w.born(birth, points.AppKeys)
	if err != nil {
		return ep11.Answer{}, err
	}
	birth.Class, birth.Template = ep11.CKO_PUBLIC_KEY, public
	attributes, err := birth.New()
	if err == nil {
		err = ep11.Pair(secret.Attributes, attributes, w.env.Compat)
	}
	if err != nil {
		return ep11.Answer{}, err
	}
	secret.Profile = ep11.Pair(secret.Attributes, attributes, false) != nil
	made, err := w.engine.keys[kind].Generate(w.ctx, w.tools, *w.call.Mechanism, params, private, public)
	if err != nil {
		return ep11.Answer{}, err
	}
	defer made.Secret.Wipe()
	made.Type = kind.Type
	if made.Params == nil {
		made.Params = params
	}
	half, err := w.pairAnswer(secret, made, attributes)
	if err != nil {
		return ep11.Answer{}, err
	}
	blob, err := secret.sealed(w.env.Current)
	if err != nil {
		return ep11.Answer{}, err
	}
	w.use(secret, r.Mechanism)
	return ep11.Answer{Key: blob, Key2: half}, nil
}

// pairAnswer gives a new private key its material, and makes the public half with some attributes.
func (w *work) pairAnswer(o *object, k family.Key, attributes ep11.Template) ([]byte, error) {
	o.key, o.Params, o.Public = k, k.Params, k.Public
	half := &object{header: o.header, key: k}
	half.Class, half.Attributes, half.Session, half.key.Secret = ep11.CKO_PUBLIC_KEY, attributes, nil, family.Key{}.Secret
	return w.authenticated(half, w.env.Current)
}
