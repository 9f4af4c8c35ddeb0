// SPDX-License-Identifier: Apache-2.0

package grep11

import (
	"errors"

	"google.golang.org/protobuf/proto"

	wire "strongroom/api/gen/grep11"
	"strongroom/internal/pure/ep11"
)

// ciphers are calls 8 to 17 and 28.
func ciphers() []row {
	return append(encryptions(), append(decryptions(),
		of(ep11.FnReencryptSingle, func(q *wire.ReencryptSingleRequest) (ep11.Call, error) {
			c, err := keyed(ep11.Call{Data: q.GetCiphered()}, q.GetDecMech(), key(q.GetDecKey(), nil), key(q.GetEncKey(), nil))
			m, err2 := mechanism(q.GetEncMech())
			c.Mechanism2 = m
			return c, errors.Join(err, err2)
		}, func(a ep11.Answer, _ *wire.ReencryptSingleRequest) proto.Message {
			return &wire.ReencryptSingleResponse{Reciphered: a.Data}
		}))...)
}

func encryptions() []row {
	return []row{
		of(ep11.FnEncryptInit, func(q *wire.EncryptInitRequest) (ep11.Call, error) {
			return keyed(ep11.Call{}, q.GetMech(), key(q.GetKey(), q.GetKeyBytes()))
		}, func(a ep11.Answer, _ *wire.EncryptInitRequest) proto.Message {
			return &wire.EncryptInitResponse{State: a.State}
		}),
		of(ep11.FnEncryptUpdate, func(q *wire.EncryptUpdateRequest) (ep11.Call, error) {
			return ep11.Call{State: q.GetState(), Data: q.GetPlain()}, nil
		}, func(a ep11.Answer, _ *wire.EncryptUpdateRequest) proto.Message {
			return &wire.EncryptUpdateResponse{State: a.State, Ciphered: a.Data}
		}),
		of(ep11.FnEncrypt, func(q *wire.EncryptRequest) (ep11.Call, error) {
			return ep11.Call{State: q.GetState(), Data: q.GetPlain()}, nil
		}, func(a ep11.Answer, _ *wire.EncryptRequest) proto.Message {
			return &wire.EncryptResponse{Ciphered: a.Data}
		}),
		of(ep11.FnEncryptFinal, func(q *wire.EncryptFinalRequest) (ep11.Call, error) { return ep11.Call{State: q.GetState()}, nil },
			func(a ep11.Answer, _ *wire.EncryptFinalRequest) proto.Message {
				return &wire.EncryptFinalResponse{Ciphered: a.Data}
			}),
		of(ep11.FnEncryptSingle, func(q *wire.EncryptSingleRequest) (ep11.Call, error) {
			return keyed(ep11.Call{Data: q.GetPlain()}, q.GetMech(), key(q.GetKey(), q.GetKeyBytes()))
		}, func(a ep11.Answer, _ *wire.EncryptSingleRequest) proto.Message {
			return &wire.EncryptSingleResponse{Ciphered: a.Data}
		}),
	}
}

func decryptions() []row {
	return []row{
		of(ep11.FnDecryptInit, func(q *wire.DecryptInitRequest) (ep11.Call, error) {
			return keyed(ep11.Call{}, q.GetMech(), key(q.GetKey(), q.GetKeyBytes()))
		}, func(a ep11.Answer, _ *wire.DecryptInitRequest) proto.Message {
			return &wire.DecryptInitResponse{State: a.State}
		}),
		of(ep11.FnDecryptUpdate, func(q *wire.DecryptUpdateRequest) (ep11.Call, error) {
			return ep11.Call{State: q.GetState(), Data: q.GetCiphered()}, nil
		}, func(a ep11.Answer, _ *wire.DecryptUpdateRequest) proto.Message {
			return &wire.DecryptUpdateResponse{State: a.State, Plain: a.Data}
		}),
		of(ep11.FnDecrypt, func(q *wire.DecryptRequest) (ep11.Call, error) {
			return ep11.Call{State: q.GetState(), Data: q.GetCiphered()}, nil
		}, func(a ep11.Answer, _ *wire.DecryptRequest) proto.Message { return &wire.DecryptResponse{Plain: a.Data} }),
		of(ep11.FnDecryptFinal, func(q *wire.DecryptFinalRequest) (ep11.Call, error) { return ep11.Call{State: q.GetState()}, nil },
			func(a ep11.Answer, _ *wire.DecryptFinalRequest) proto.Message {
				return &wire.DecryptFinalResponse{Plain: a.Data}
			}),
		of(ep11.FnDecryptSingle, func(q *wire.DecryptSingleRequest) (ep11.Call, error) {
			return keyed(ep11.Call{Data: q.GetCiphered()}, q.GetMech(), key(q.GetKey(), q.GetKeyBytes()))
		}, func(a ep11.Answer, _ *wire.DecryptSingleRequest) proto.Message {
			return &wire.DecryptSingleResponse{Plain: a.Data}
		}),
	}
}
