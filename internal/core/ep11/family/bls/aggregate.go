// SPDX-License-Identifier: Apache-2.0

package bls

import (
	"context"

	blst "github.com/supranational/blst/bindings/go"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/pure/ep11"
)

// aggregator adds up signatures or public keys. It takes no key and no data.
type aggregator struct{}

// elements gives what is to be added, in elements of size bytes.
func elements(m ep11.Mechanism, mode uint64, size int) ([]byte, error) {
	p := m.Aggregate
	if p == nil || p.Version != 0 || p.Mode != mode || p.Size != uint64(size) || len(p.Elements) == 0 || len(p.Elements)%size != 0 {
		return nil, ep11.Fail(ep11.CKR_MECHANISM_PARAM_INVALID, "an aggregation takes version 0, mode %d here, and elements of %d bytes", mode, size)
	}
	return p.Elements, nil
}

// Sign adds signatures: the result verifies under the sum of their keys where all are of one message.
func (aggregator) Sign(_ context.Context, _ family.Tools, m ep11.Mechanism, _ family.Key, _ []byte) ([]byte, error) {
	raw, err := elements(m, ep11.CK_AGGREGATE_SIGN, SignatureSize)
	if err != nil {
		return nil, err
	}
	var total blst.P2Aggregate
	for at := 0; at < len(raw); at += SignatureSize {
		p, err := point(raw[at : at+SignatureSize])
		if err != nil || !total.Add(p, false) {
			return nil, ep11.Fail(ep11.CKR_MECHANISM_PARAM_INVALID, "element %d is no signature of BLS12-381", at/SignatureSize)
		}
	}
	out := total.ToAffine()
	if out == nil || !out.SigValidate(true) { // infinity
		return nil, ep11.Fail(ep11.CKR_MECHANISM_PARAM_INVALID, "the signatures cancel each other out")
	}
	return out.Serialize(), nil
}

// Verify is not offered: an aggregate is verified as any signature is.
func (aggregator) Verify(context.Context, family.Tools, ep11.Mechanism, family.Key, []byte, []byte) error {
	return ep11.CKR_MECHANISM_INVALID
}

// Derive adds public keys.
func (aggregator) Derive(_ context.Context, _ family.Tools, d family.Derivation) (family.Derived, error) {
	raw, err := elements(d.Mechanism, ep11.CK_AGGREGATE_PUBLIC, PublicSize)
	if err != nil {
		return family.Derived{}, err
	}
	if oid := d.Template.Curve(); len(oid) > 0 && string(oid) != ep11.OIDBLS12381 {
		return family.Derived{}, ep11.Fail(ep11.CKR_TEMPLATE_INCONSISTENT, "an aggregated key lies on BLS12-381")
	}
	if d.Template.KeyNumber(ep11.CKA_KEY_TYPE, ep11.CKK_EC) != ep11.CKK_EC {
		return family.Derived{}, ep11.Fail(ep11.CKR_TEMPLATE_INCONSISTENT, "an aggregated key is of type CKK_EC")
	}
	public, err := sum(raw)
	if err != nil {
		return family.Derived{}, err
	}
	return family.Derived{Key: family.Key{Type: ep11.CKK_EC, Params: []byte(ep11.OIDBLS12381), Public: encode(public)}}, nil
}
