// SPDX-License-Identifier: Apache-2.0

package grep11

import (
	"google.golang.org/protobuf/proto"

	wire "strongroom/api/gen/grep11"
	"strongroom/internal/pure/ep11"
)

// signatures are calls 18 to 27.
func signatures() []row {
	return append([]row{
		of(ep11.FnSignInit, func(q *wire.SignInitRequest) (ep11.Call, error) {
			return keyed(ep11.Call{}, q.GetMech(), key(q.GetPrivKey(), q.GetPrivKeyBytes()))
		}, func(a ep11.Answer, _ *wire.SignInitRequest) proto.Message {
			return &wire.SignInitResponse{State: a.State}
		}),
		of(ep11.FnSignUpdate, func(q *wire.SignUpdateRequest) (ep11.Call, error) {
			return ep11.Call{State: q.GetState(), Data: q.GetData()}, nil
		}, func(a ep11.Answer, _ *wire.SignUpdateRequest) proto.Message {
			return &wire.SignUpdateResponse{State: a.State}
		}),
		of(ep11.FnSignFinal, func(q *wire.SignFinalRequest) (ep11.Call, error) { return ep11.Call{State: q.GetState()}, nil },
			func(a ep11.Answer, _ *wire.SignFinalRequest) proto.Message {
				return &wire.SignFinalResponse{Signature: a.Data}
			}),
		of(ep11.FnSign, func(q *wire.SignRequest) (ep11.Call, error) {
			return ep11.Call{State: q.GetState(), Data: q.GetData()}, nil
		}, func(a ep11.Answer, _ *wire.SignRequest) proto.Message { return &wire.SignResponse{Signature: a.Data} }),
		of(ep11.FnSignSingle, func(q *wire.SignSingleRequest) (ep11.Call, error) {
			return keyed(ep11.Call{Data: q.GetData()}, q.GetMech(), key(q.GetPrivKey(), q.GetPrivKeyBytes()))
		}, func(a ep11.Answer, _ *wire.SignSingleRequest) proto.Message {
			return &wire.SignSingleResponse{Signature: a.Data}
		}),
	}, verifications()...)
}

func verifications() []row {
	return []row{
		of(ep11.FnVerifyInit, func(q *wire.VerifyInitRequest) (ep11.Call, error) {
			return keyed(ep11.Call{}, q.GetMech(), key(q.GetPubKey(), q.GetPubKeyBytes()))
		}, func(a ep11.Answer, _ *wire.VerifyInitRequest) proto.Message {
			return &wire.VerifyInitResponse{State: a.State}
		}),
		of(ep11.FnVerifyUpdate, func(q *wire.VerifyUpdateRequest) (ep11.Call, error) {
			return ep11.Call{State: q.GetState(), Data: q.GetData()}, nil
		}, func(a ep11.Answer, _ *wire.VerifyUpdateRequest) proto.Message {
			return &wire.VerifyUpdateResponse{State: a.State}
		}),
		of(ep11.FnVerifyFinal, func(q *wire.VerifyFinalRequest) (ep11.Call, error) {
			return ep11.Call{State: q.GetState(), Signature: q.GetSignature()}, nil
		}, func(ep11.Answer, *wire.VerifyFinalRequest) proto.Message { return &wire.VerifyFinalResponse{} }),
		of(ep11.FnVerify, func(q *wire.VerifyRequest) (ep11.Call, error) {
			return ep11.Call{State: q.GetState(), Data: q.GetData(), Signature: q.GetSignature()}, nil
		}, func(ep11.Answer, *wire.VerifyRequest) proto.Message { return &wire.VerifyResponse{} }),
		of(ep11.FnVerifySingle, func(q *wire.VerifySingleRequest) (ep11.Call, error) {
			return keyed(ep11.Call{Data: q.GetData(), Signature: q.GetSignature()}, q.GetMech(), key(q.GetPubKey(), q.GetPubKeyBytes()))
		}, func(ep11.Answer, *wire.VerifySingleRequest) proto.Message { return &wire.VerifySingleResponse{} }),
	}
}
