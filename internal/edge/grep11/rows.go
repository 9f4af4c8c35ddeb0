// SPDX-License-Identifier: Apache-2.0

package grep11

import (
	"errors"

	"google.golang.org/protobuf/proto"

	wire "strongroom/api/gen/grep11"
	"strongroom/internal/pure/ep11"
)

// row is one of the forty calls: how its request becomes a call of the core, and the answer its response.
type row struct {
	fn     ep11.Function
	most   int // bytes of a request
	scan   func(message []byte) (cost int, err error)
	read   func(message []byte) (ep11.Call, proto.Message, error)
	answer func(ep11.Answer, proto.Message) proto.Message
}

// of makes a row. call may leave the function out.
func of[Req any, P interface {
	*Req
	proto.Message
}](fn ep11.Function, call func(P) (ep11.Call, error), answer func(ep11.Answer, P) proto.Message) row {
	d := P(new(Req)).ProtoReflect().Descriptor()
	return row{fn: fn, most: most(d), scan: func(message []byte) (int, error) { return scan(d, message) },
		read: func(message []byte) (ep11.Call, proto.Message, error) {
			in := P(new(Req))
			if err := proto.Unmarshal(message, in); err != nil { // its words may quote the message
				return ep11.Call{}, nil, errUnreadable
			}
			c, err := call(in)
			c.Function = fn
			return c, in, err
		},
		answer: func(a ep11.Answer, in proto.Message) proto.Message { return answer(a, in.(P)) }}
}

// keyed adds a mechanism and up to three keys to a call.
func keyed(c ep11.Call, m *wire.Mechanism, keys ...func() ([]byte, error)) (ep11.Call, error) {
	mech, err := mechanism(m)
	errs := []error{err}
	c.Mechanism = mech
	for i, to := range []*[]byte{&c.Key, &c.Key2, &c.Key3}[:len(keys)] {
		b, err := keys[i]()
		*to = b
		errs = append(errs, err)
	}
	return c, errors.Join(errs...)
}

// key is a key of a request.
func key(k *wire.KeyBlob, old []byte) func() ([]byte, error) {
	return func() ([]byte, error) { return blob(k, old) }
}

// none is where a function has no key.
func none() ([]byte, error) { return nil, nil }

// rows are all calls, in the order of the service.
func rows() []row {
	return append(append(append(digests(), ciphers()...), signatures()...), append(keys(), others()...)...)
}
