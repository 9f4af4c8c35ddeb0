// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"slices"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/pure/points"
)

// deriveKey makes a key from another, or from public keys their sum.
func (w *work) deriveKey() (ep11.Answer, error) {
	if _, err := w.mechanism(w.call.Mechanism, ep11.CKF_DERIVE); err != nil {
		return ep11.Answer{}, err
	}
	t, err := w.call.Template.Normal()
	if err != nil {
		return ep11.Answer{}, err
	}
	if w.env.Current == nil {
		return ep11.Answer{}, ep11.Fail(ep11.CKR_IBM_WK_NOT_INITIALIZED, "the domain has no working key")
	}
	d := family.Derivation{Mechanism: *w.call.Mechanism, Data: w.call.Data, Template: t, Type: t.KeyNumber(ep11.CKA_KEY_TYPE, ep11.CKK_GENERIC_SECRET)}
	if n, ok := t.Number(ep11.CKA_VALUE_LEN); ok && n <= ep11.MaxBlob {
		d.Length = int(n)
	} else if ok {
		return ep11.Answer{}, ep11.CKR_KEY_SIZE_RANGE
	}
	if n := typeSizes[d.Type]; n != 0 {
		d.Length = n
	}
	base, other, err := w.bases(&d)
	if err != nil {
		return ep11.Answer{}, err
	}
	defer base.wipe()
	defer other.wipe()
	row, err := w.rowFor(d.Mechanism.Type, base.key.Kind(), ep11.CKR_KEY_TYPE_INCONSISTENT, func(r family.Row) bool { return r.Derive != nil })
	if err != nil {
		return ep11.Answer{}, err
	}
	if err := w.point(points.AppKeys); err != nil {
		return ep11.Answer{}, err
	}
	for _, used := range []*object{base, other} {
		if used.key.Secret.Len() > 0 {
			w.use(used, d.Mechanism.Type)
		}
	}
	made, err := row.Derive.Derive(w.ctx, w.tools, d)
	if err != nil {
		return ep11.Answer{}, err
	}
	defer made.Secret.Wipe()
	return w.derived(base, other, made, t)
}

// bases reads the keys that a derivation takes: its base, and the secret of a hybrid one. Where there is none the object is empty. The caller
// wipes both.
func (w *work) bases(d *family.Derivation) (base, other *object, err error) {
	base, other = &object{bare: true}, &object{bare: true}
	m := &d.Mechanism
	if m.Type == ep11.CKM_IBM_EC_AGGREGATE {
		return base, other, w.elements(m)
	}
	needs := []uint64{ep11.CKA_DERIVE}
	if m.Type == ep11.CKM_IBM_BTC_DERIVE {
		needs = append(needs, ep11.CKA_IBM_USE_AS_DATA)
	}
	taken, err := w.take(w.call.Key, ep11.CKR_KEY_HANDLE_INVALID, m.Type, needs...)
	if err != nil {
		return base, other, err
	}
	base, d.Base = taken, &taken.key
	if m.Kyber == nil || len(m.Kyber.Blob) == 0 {
		return base, other, nil
	}
	if m.Kyber.KDF == ep11.CKD_HYBRID_NULL && !w.env.Compat {
		base.wipe()
		return base, other, ep11.Fail(ep11.CKR_MECHANISM_PARAM_INVALID, "a key that holds another secret as it is: use a hybrid key derivation function")
	}
	second, err := w.take(m.Kyber.Blob, ep11.CKR_KEY_HANDLE_INVALID, m.Type, ep11.CKA_IBM_USE_AS_DATA)
	if err != nil {
		base.wipe()
		return base, other, err
	}
	if second.Class != ep11.CKO_SECRET_KEY {
		base.wipe()
		second.wipe()
		return base, other, ep11.CKR_KEY_TYPE_INCONSISTENT
	}
	other, d.Other = second, &second.key
	parameter := *m.Kyber
	parameter.Blob = nil
	m.Kyber = &parameter
	return base, other, nil
}

// elements turns the blobs of an aggregation into raw public keys of one size.
func (w *work) elements(m *ep11.Mechanism) error {
	if m.Aggregate == nil || len(m.Aggregate.Elements) == 0 {
		return ep11.Fail(ep11.CKR_MECHANISM_PARAM_INVALID, "the public keys are missing")
	}
	o, err := w.keyOf(m.Aggregate.Elements, ep11.CKR_KEY_HANDLE_INVALID)
	if err != nil {
		return err
	}
	defer o.wipe()
	if o.secretKey() {
		return ep11.CKR_KEY_TYPE_INCONSISTENT
	}
	if err := w.permitted(o); err != nil {
		return err
	}
	if len(o.key.Public) == 0 || string(o.key.Params) != ep11.OIDBLS12381 {
		return ep11.CKR_KEY_TYPE_INCONSISTENT
	}
	parameter := *m.Aggregate
	parameter.Size, parameter.Elements = blsPublic, o.key.Public
	m.Aggregate = &parameter
	return nil
}

// blsPublic is the length of a public key of BLS12-381 in bytes: 04 || x || y.
const blsPublic = 97

// derived makes the blob of a derived key: a private one if it has both parts, a secret or a public one if it has one.
func (w *work) derived(base, other *object, made family.Derived, t ep11.Template) (ep11.Answer, error) {
	class := uint64(ep11.CKO_SECRET_KEY)
	switch {
	case made.Secret.Len() == 0:
		class = ep11.CKO_PUBLIC_KEY
	case made.Public != nil:
		class = ep11.CKO_PRIVATE_KEY
	}
	if slices.Contains(privateTypes, made.Type) == (class == ep11.CKO_SECRET_KEY) {
		return ep11.Answer{}, ep11.CKR_TEMPLATE_INCONSISTENT
	}
	of := base.Attributes
	if of == nil {
		of = ep11.Template{}
	}
	o, err := w.born(ep11.Birth{Origin: ep11.Derived, Class: class, Type: made.Type, Mechanism: w.call.Mechanism.Type, Template: t, Base: of, Other: other.Attributes, Compat: w.env.Compat}, points.AppKeys)
	if err != nil {
		return ep11.Answer{}, err
	}
	m := w.call.Mechanism
	o.Profile = o.Profile || base.Profile || other.Profile || m.Kyber != nil && m.Kyber.KDF == ep11.CKD_HYBRID_NULL && len(m.Kyber.Blob) > 0
	if class == ep11.CKO_SECRET_KEY {
		answer, err := w.secretAnswer(o, made.Key)
		if err != nil {
			return ep11.Answer{}, err
		}
		if made.ChainCode != nil {
			answer.CheckSum = made.ChainCode
		}
		answer.CheckSum = append(answer.CheckSum, made.Cipher...)
		return answer, nil
	}
	o.key, o.Params, o.Public = made.Key, made.Params, made.Public
	answer := ep11.Answer{CheckSum: made.ChainCode}
	if class == ep11.CKO_PUBLIC_KEY {
		answer.Key, err = w.authenticated(o, w.env.Current)
		return answer, err
	}
	if answer.Key, err = o.sealed(w.env.Current); err == nil {
		w.use(o, w.call.Mechanism.Type)
	}
	return answer, err
}
