// SPDX-License-Identifier: Apache-2.0

package grep11

import (
	"bytes"

	wire "strongroom/api/gen/grep11"
	"strongroom/internal/pure/ep11"
)

// mechanism reads a mechanism; none stays none. What a parameter may hold is for the core to say.
func mechanism(m *wire.Mechanism) (*ep11.Mechanism, error) {
	if m == nil {
		return nil, nil
	}
	out := &ep11.Mechanism{Type: m.GetMechanism()}
	switch p := m.GetParameter().(type) {
	case nil:
	case *wire.Mechanism_ParameterB:
		out.Parameter = p.ParameterB
	case *wire.Mechanism_RSAOAEPParameter:
		q := p.RSAOAEPParameter
		out.OAEP = &ep11.OAEP{Hash: q.GetHashMech(), MGF: enum(q.GetMgf()), Source: enum(q.GetEncodingParmType()), Label: q.GetEncodingParm()}
	case *wire.Mechanism_RSAPSSParameter:
		q := p.RSAPSSParameter
		out.PSS = &ep11.PSS{Hash: q.GetHashMech(), MGF: enum(q.GetMgf()), Salt: q.GetSaltByteCount()}
	case *wire.Mechanism_ECDH1DeriveParameter:
		q := p.ECDH1DeriveParameter
		out.ECDH = &ep11.ECDH{KDF: enum(q.GetKdf()), Shared: q.GetSharedData(), Public: q.GetPublicData()}
	case *wire.Mechanism_BTCDeriveParameter:
		q := p.BTCDeriveParameter
		out.BTC = &ep11.BTC{Type: enum(q.GetType()), Index: q.GetChildKeyIndex(), ChainCode: q.GetChainCode(), Version: q.GetVersion()}
	case *wire.Mechanism_ECSGParameter:
		out.Sign = &ep11.ECSign{Type: enum(p.ECSGParameter.GetType())}
	case *wire.Mechanism_KyberKEMParameter:
		q := p.KyberKEMParameter
		out.Kyber = &ep11.Kyber{Version: uint64(q.GetVersion()), Mode: enum(q.GetMode()), KDF: enum(q.GetKdf()), Prepend: q.GetPrepend(),
			Cipher: q.GetCipherText(), Shared: q.GetSharedData(), Blob: q.GetBlob()}
	case *wire.Mechanism_ECAGGParameter:
		q := p.ECAGGParameter
		out.Aggregate = &ep11.Aggregate{Version: uint64(q.GetVersion()), Mode: enum(q.GetMode()), Size: uint64(q.GetPerElementSize()), Elements: q.GetElements()}
	default:
		return nil, ep11.Fail(ep11.CKR_MECHANISM_PARAM_INVALID, "a parameter of this kind is not known")
	}
	return out, nil
}

// enum gives the number of an enumeration. One below zero becomes one that nothing knows.
func enum[E ~int32](e E) uint64 { return uint64(uint32(e)) }

// template reads attributes. One without a value asks for it.
func template(m map[uint64]*wire.AttributeValue) ep11.Template {
	if len(m) == 0 {
		return nil
	}
	t := make(ep11.Template, len(m))
	for n, v := range m {
		var a ep11.Attribute
		switch x := v.GetOneAttr().(type) {
		case *wire.AttributeValue_AttributeB:
			a.Bytes = x.AttributeB
		case *wire.AttributeValue_AttributeTF:
			a.Bool = &x.AttributeTF
		case *wire.AttributeValue_AttributeI:
			a.Int = &x.AttributeI
		}
		t[n] = a
	}
	return t
}

// attributes writes attributes.
func attributes(t ep11.Template) map[uint64]*wire.AttributeValue {
	m := make(map[uint64]*wire.AttributeValue, len(t))
	for n, a := range t {
		v := &wire.AttributeValue{}
		switch {
		case a.Bool != nil:
			v.OneAttr = &wire.AttributeValue_AttributeTF{AttributeTF: *a.Bool}
		case a.Int != nil:
			v.OneAttr = &wire.AttributeValue_AttributeI{AttributeI: *a.Int}
		default:
			v.OneAttr = &wire.AttributeValue_AttributeB{AttributeB: a.Bytes}
		}
		m[n] = v
	}
	return m
}

// raw writes an attribute in the older form: booleans as one byte, integers as eight bytes, big-endian.
func raw(a ep11.Attribute) []byte {
	switch {
	case a.Bool != nil && *a.Bool:
		return []byte{1}
	case a.Bool != nil:
		return []byte{0}
	case a.Int != nil:
		b := make([]byte, 8)
		for i, n := 7, uint64(*a.Int); i >= 0; i, n = i-1, n>>8 {
			b[i] = byte(n)
		}
		return b
	}
	return a.Bytes
}

// blob gives the sealed key in a request: that of a KeyBlob, or the bytes that clients of the first version send. Both may be there if they are
// the same. Everything else in a KeyBlob is the client's own and not looked at.
func blob(k *wire.KeyBlob, old []byte) ([]byte, error) {
	var b []byte
	switch list := k.GetKeyBlobs(); len(list) {
	case 0:
	case 1:
		b = list[0]
	default:
		return nil, ep11.Fail(ep11.CKR_ARGUMENTS_BAD, "a KeyBlob with %d blobs; one is the key", len(list))
	}
	switch {
	case len(b) == 0:
		return old, nil
	case len(old) > 0 && !bytes.Equal(old, b):
		return nil, ep11.Fail(ep11.CKR_ARGUMENTS_BAD, "one key is given twice, with different blobs")
	}
	return b, nil
}

// keyBlob writes a sealed key; none stays none.
func keyBlob(b []byte) *wire.KeyBlob {
	if len(b) == 0 {
		return nil
	}
	return &wire.KeyBlob{KeyBlobs: [][]byte{b}}
}
