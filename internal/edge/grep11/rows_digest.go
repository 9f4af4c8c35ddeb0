// SPDX-License-Identifier: Apache-2.0

package grep11

import (
	"google.golang.org/protobuf/proto"

	wire "strongroom/api/gen/grep11"
	"strongroom/internal/pure/ep11"
)

// digests are calls 1 to 7.
func digests() []row {
	return []row{
		of(ep11.FnGenerateRandom, func(q *wire.GenerateRandomRequest) (ep11.Call, error) { return ep11.Call{Len: q.GetLen()}, nil },
			func(a ep11.Answer, _ *wire.GenerateRandomRequest) proto.Message {
				return &wire.GenerateRandomResponse{Rnd: a.Data}
			}),
		of(ep11.FnDigestInit, func(q *wire.DigestInitRequest) (ep11.Call, error) { return keyed(ep11.Call{}, q.GetMech()) },
			func(a ep11.Answer, _ *wire.DigestInitRequest) proto.Message {
				return &wire.DigestInitResponse{State: a.State}
			}),
		of(ep11.FnDigest, func(q *wire.DigestRequest) (ep11.Call, error) {
			return ep11.Call{State: q.GetState(), Data: q.GetData()}, nil
		}, func(a ep11.Answer, _ *wire.DigestRequest) proto.Message { return &wire.DigestResponse{Digest: a.Data} }),
		of(ep11.FnDigestUpdate, func(q *wire.DigestUpdateRequest) (ep11.Call, error) {
			return ep11.Call{State: q.GetState(), Data: q.GetData()}, nil
		}, func(a ep11.Answer, _ *wire.DigestUpdateRequest) proto.Message {
			return &wire.DigestUpdateResponse{State: a.State}
		}),
		of(ep11.FnDigestKey, func(q *wire.DigestKeyRequest) (ep11.Call, error) {
			return keyed(ep11.Call{State: q.GetState()}, nil, key(q.GetKey(), q.GetKeyBytes()))
		}, func(a ep11.Answer, _ *wire.DigestKeyRequest) proto.Message {
			return &wire.DigestKeyResponse{State: a.State}
		}),
		of(ep11.FnDigestFinal, func(q *wire.DigestFinalRequest) (ep11.Call, error) { return ep11.Call{State: q.GetState()}, nil },
			func(a ep11.Answer, _ *wire.DigestFinalRequest) proto.Message {
				return &wire.DigestFinalResponse{Digest: a.Data}
			}),
		of(ep11.FnDigestSingle, func(q *wire.DigestSingleRequest) (ep11.Call, error) {
			return keyed(ep11.Call{Data: q.GetData()}, q.GetMech())
		}, func(a ep11.Answer, _ *wire.DigestSingleRequest) proto.Message {
			return &wire.DigestSingleResponse{Digest: a.Data}
		}),
	}
}
