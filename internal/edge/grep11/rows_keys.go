// SPDX-License-Identifier: Apache-2.0

package grep11

import (
	"google.golang.org/protobuf/proto"

	wire "strongroom/api/gen/grep11"
	"strongroom/internal/pure/ep11"
)

// keys are calls 29 to 33. Every new key is answered in both forms, because clients use either.
func keys() []row {
	return []row{
		of(ep11.FnGenerateKey, func(q *wire.GenerateKeyRequest) (ep11.Call, error) {
			return keyed(ep11.Call{Template: template(q.GetTemplate())}, q.GetMech())
		}, func(a ep11.Answer, _ *wire.GenerateKeyRequest) proto.Message {
			return &wire.GenerateKeyResponse{KeyBytes: a.Key, CheckSum: a.CheckSum, Key: keyBlob(a.Key)}
		}),
		of(ep11.FnGenerateKeyPair, func(q *wire.GenerateKeyPairRequest) (ep11.Call, error) {
			return keyed(ep11.Call{Template: template(q.GetPrivKeyTemplate()), Template2: template(q.GetPubKeyTemplate())}, q.GetMech())
		}, func(a ep11.Answer, _ *wire.GenerateKeyPairRequest) proto.Message {
			return &wire.GenerateKeyPairResponse{PrivKeyBytes: a.Key, PubKeyBytes: a.Key2, PrivKey: keyBlob(a.Key), PubKey: keyBlob(a.Key2)}
		}),
		of(ep11.FnWrapKey, func(q *wire.WrapKeyRequest) (ep11.Call, error) {
			return keyed(ep11.Call{}, q.GetMech(), key(q.GetKey(), q.GetKeyBytes()), key(q.GetKeK(), q.GetKeKBytes()), key(q.GetMacKey(), q.GetMacKeyBytes()))
		}, func(a ep11.Answer, _ *wire.WrapKeyRequest) proto.Message {
			return &wire.WrapKeyResponse{Wrapped: a.Data}
		}),
		of(ep11.FnUnwrapKey, func(q *wire.UnwrapKeyRequest) (ep11.Call, error) {
			return keyed(ep11.Call{Data: q.GetWrapped(), Template: template(q.GetTemplate())}, q.GetMech(), none, key(q.GetKeK(), q.GetKeKBytes()),
				key(q.GetMacKey(), q.GetMacKeyBytes()))
		}, func(a ep11.Answer, _ *wire.UnwrapKeyRequest) proto.Message {
			return &wire.UnwrapKeyResponse{UnwrappedBytes: a.Key, CheckSum: a.CheckSum, Unwrapped: keyBlob(a.Key)}
		}),
		of(ep11.FnDeriveKey, func(q *wire.DeriveKeyRequest) (ep11.Call, error) {
			return keyed(ep11.Call{Data: q.GetData(), Template: template(q.GetTemplate())}, q.GetMech(), key(q.GetBaseKey(), q.GetBaseKeyBytes()))
		}, func(a ep11.Answer, _ *wire.DeriveKeyRequest) proto.Message {
			return &wire.DeriveKeyResponse{NewKeyBytes: a.Key, CheckSum: a.CheckSum, NewKey: keyBlob(a.Key)}
		}),
	}
}

// others are calls 34 to 40.
func others() []row {
	return []row{
		of(ep11.FnGetMechanismList, func(*wire.GetMechanismListRequest) (ep11.Call, error) { return ep11.Call{}, nil },
			func(a ep11.Answer, _ *wire.GetMechanismListRequest) proto.Message {
				return &wire.GetMechanismListResponse{Mechs: a.Mechanisms}
			}),
		of(ep11.FnGetMechanismInfo, func(q *wire.GetMechanismInfoRequest) (ep11.Call, error) {
			return ep11.Call{Mechanism: &ep11.Mechanism{Type: q.GetMech()}}, nil
		}, func(a ep11.Answer, _ *wire.GetMechanismInfoRequest) proto.Message {
			out := &wire.MechanismInfo{}
			if i := a.Info; i != nil {
				out = &wire.MechanismInfo{MinKeySize: i.Min, MaxKeySize: i.Max, Flags: i.Flags}
			}
			return &wire.GetMechanismInfoResponse{MechInfo: out}
		}),
		of(ep11.FnGetAttribute, askedAttributes, toldAttributes),
		of(ep11.FnSetAttribute, func(q *wire.SetAttributeValueRequest) (ep11.Call, error) {
			return ep11.Call{Key: q.GetObject(), Template: template(q.GetAttributes())}, nil
		}, func(a ep11.Answer, _ *wire.SetAttributeValueRequest) proto.Message {
			return &wire.SetAttributeValueResponse{Object: a.Key}
		}),
		of(ep11.FnLogin, func(q *wire.LoginRequest) (ep11.Call, error) {
			return ep11.Call{Data: q.GetStoreid(), Pin: q.GetPin()}, nil
		}, func(a ep11.Answer, _ *wire.LoginRequest) proto.Message { return &wire.LoginResponse{Pinblob: a.Data} }),
		of(ep11.FnLogout, func(*wire.LogoutRequest) (ep11.Call, error) { return ep11.Call{}, nil },
			func(ep11.Answer, *wire.LogoutRequest) proto.Message { return &wire.LogoutResponse{} }),
		of(ep11.FnRewrapKeyBlob, func(q *wire.RewrapKeyBlobRequest) (ep11.Call, error) {
			return keyed(ep11.Call{}, nil, key(q.GetWrappedKey(), q.GetWrappedKeyBytes()))
		}, func(a ep11.Answer, _ *wire.RewrapKeyBlobRequest) proto.Message {
			return &wire.RewrapKeyBlobResponse{RewrappedKeyBytes: a.Key, RewrappedKey: keyBlob(a.Key)}
		}),
	}
}

// askedAttributes asks for what is named in either form.
func askedAttributes(q *wire.GetAttributeValueRequest) (ep11.Call, error) {
	c := ep11.Call{Key: q.GetObject(), Template: ep11.Template{}}
	for n := range q.GetAttributes() {
		c.Template[n] = ep11.Attribute{}
	}
	for n := range q.GetAttributesBytes() {
		c.Template[n] = ep11.Attribute{}
	}
	return c, nil
}

// toldAttributes answers each attribute in the form in which it was asked for.
func toldAttributes(a ep11.Answer, q *wire.GetAttributeValueRequest) proto.Message {
	out := &wire.GetAttributeValueResponse{AttributesBytes: map[uint64][]byte{}, Attributes: attributes(a.Attributes)}
	for n := range out.Attributes {
		if _, asked := q.GetAttributes()[n]; !asked {
			delete(out.Attributes, n)
		}
	}
	for n := range q.GetAttributesBytes() {
		if v, ok := a.Attributes[n]; ok {
			out.AttributesBytes[n] = raw(v)
		}
	}
	return out
}
