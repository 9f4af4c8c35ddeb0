// SPDX-License-Identifier: Apache-2.0

package grep11

import (
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"strongroom/internal/pure/ep11"
)

// Bounds of what a message is made of. Read into memory a field can take a hundred times its bytes, so they are counted before.
const (
	maxFields = 4096 // in a message, with those in its parts; twice what the largest request of a client has
	maxBlobs  = 2    // elements of a KeyBlob; one is the key, two are refused as that
	fieldCost = 256  // bytes that a field counts as, besides its own
)

// scan says how much memory a message will take, in bytes, or refuses it for its parts.
func scan(d protoreflect.MessageDescriptor, message []byte) (cost int, err error) {
	s := scanner{}
	err = s.message(d, message)
	return len(message) + s.fields*fieldCost, err
}

type scanner struct{ fields int }

var errUnreadable = ep11.Fail(ep11.CKR_IBM_GREP11_CANNOT_UNMARSHAL, "the message can't be read as this call's request")

// message counts the fields of a message. Parts are as deep as the descriptors are.
func (s *scanner) message(d protoreflect.MessageDescriptor, b []byte) error {
	seen := map[protowire.Number]int{} // elements of each field that is repeated
	for len(b) > 0 {
		n, typ, size := protowire.ConsumeTag(b)
		if size < 0 {
			return errUnreadable
		}
		if s.fields++; s.fields > maxFields {
			return ep11.Fail(ep11.CKR_ARGUMENTS_BAD, "the message has more than %d fields", maxFields)
		}
		value := b[size:]
		if size = protowire.ConsumeFieldValue(n, typ, value); size < 0 {
			return errUnreadable
		}
		b = value[size:]
		f := d.Fields().ByNumber(n)
		if f == nil || typ != protowire.BytesType {
			continue
		}
		if f.Cardinality() == protoreflect.Repeated {
			seen[n]++
		}
		switch {
		case f.IsMap() && seen[n] > ep11.MaxTemplate:
			return ep11.Fail(ep11.CKR_TEMPLATE_INCONSISTENT, "%s has more than %d attributes", f.Name(), ep11.MaxTemplate)
		case f.IsList() && seen[n] > maxBlobs:
			return ep11.Fail(ep11.CKR_ARGUMENTS_BAD, "%s has more than %d elements; one is the key", f.Name(), maxBlobs)
		}
		if f.Message() == nil {
			continue
		}
		part, _ := protowire.ConsumeBytes(value)
		if err := s.message(f.Message(), part); err != nil {
			return err
		}
	}
	return nil
}

// carries are the fields for data of any size.
var carries = map[protoreflect.Name]bool{"Data": true, "Plain": true, "Ciphered": true, "Wrapped": true, "Signature": true}

// most gives the largest message of a call, in bytes: 64 KiB around what its fields may hold.
func most(d protoreflect.MessageDescriptor) int {
	n := 64 << 10
	for i := range d.Fields().Len() {
		switch f := d.Fields().Get(i); {
		case carries[f.Name()]:
			return MaxMessage
		case f.IsMap():
			n += ep11.MaxTemplate * ep11.MaxAttribute
		case f.Name() == "State":
			n += ep11.MaxState
		case f.Message() != nil || f.Kind() == protoreflect.BytesKind: // a key in either form, or a mechanism with keys in it
			n += ep11.MaxKeys
		}
	}
	return min(n, MaxMessage)
}
