// SPDX-License-Identifier: Apache-2.0

package grep11_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	wire "strongroom/api/gen/grep11"
	"strongroom/internal/pure/ep11"
)

// method is one of the forty calls, from the generated descriptor.
type method struct {
	name    string
	in, out protoreflect.MessageType
}

func methods(t testing.TB) []method {
	t.Helper()
	var list []method
	m := wire.File_grep11_server_proto.Services().Get(0).Methods()
	for i := range m.Len() {
		in, err := protoregistry.GlobalTypes.FindMessageByName(m.Get(i).Input().FullName())
		if err != nil {
			t.Fatal(err)
		}
		out, err := protoregistry.GlobalTypes.FindMessageByName(m.Get(i).Output().FullName())
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, method{string(m.Get(i).Name()), in, out})
	}
	if len(list) != ep11.Functions {
		t.Fatalf("%d calls", len(list))
	}
	return list
}

func (m method) call(ctx context.Context, c grpc.ClientConnInterface, in proto.Message) (proto.Message, error) {
	out := m.out.New().Interface()
	return out, c.Invoke(ctx, "/grep11.Crypto/"+m.name, in, out)
}

// ignored are fields that a server must not look at.
var ignored = []string{".KeyBlobID", ".Version", ".TxID", ".Attributes"}

// fill sets one leaf at a time of an otherwise empty message and gives each to f. Members of a oneof come one by one, as they must.
func fill(m protoreflect.MessageType, path string, f func(path string, v proto.Message)) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		d := fields.Get(i)
		at := path + "." + string(d.Name())
		set := func(v protoreflect.Value, at string) {
			x := m.New()
			x.Set(d, v)
			f(at, x.Interface())
		}
		switch {
		case d.IsMap():
			x := m.New()
			x.Mutable(d).Map().Set(protoreflect.ValueOfUint64(0x103).MapKey(), value(x.Mutable(d).Map().NewValue(), d.MapValue()))
			f(at, x.Interface())
		case d.IsList():
			x := m.New()
			x.Mutable(d).List().Append(protoreflect.ValueOfBytes([]byte(at)))
			f(at, x.Interface())
		case d.Message() != nil:
			t, err := protoregistry.GlobalTypes.FindMessageByName(d.Message().FullName())
			if err != nil {
				panic(err)
			}
			fill(t, at, func(at string, v proto.Message) { set(protoreflect.ValueOfMessage(v.ProtoReflect()), at) })
		default:
			set(value(protoreflect.Value{}, d), at)
		}
	}
}

func value(v protoreflect.Value, d protoreflect.FieldDescriptor) protoreflect.Value {
	switch d.Kind() {
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte("value of " + d.Name()))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(77)
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(77)
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(77)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(d.Enum().Values().Get(1).Number())
	}
	return v // a message: left empty
}

// TestRequestsAreCarried: each field of each request changes what the core is asked, and no two fields look the same to it, but for the
// two forms of a key.
func TestRequestsAreCarried(t *testing.T) {
	t.Parallel()
	g := start(t)
	c := g.dial(t, clientCertificate(t, g))
	for _, m := range methods(t) {
		fn, ok := ep11.FunctionNamed(m.name)
		if !ok {
			t.Fatalf("%s is no function", m.name)
		}
		ask := func(in proto.Message) string {
			if _, err := m.call(t.Context(), c, in); err != nil {
				t.Fatalf("%s: %v", m.name, err)
			}
			_, call := g.core.last()
			if call.Function != fn {
				t.Fatalf("%s reached the core as %v", m.name, call.Function)
			}
			return string(call.Encode())
		}
		empty := ask(m.in.New().Interface())
		seen := map[string]string{}
		fill(m.in, m.name, func(path string, in proto.Message) {
			got := ask(in)
			if slices.ContainsFunc(ignored, func(s string) bool { return bytes.HasSuffix([]byte(path), []byte(s)) }) && path != "GetAttributeValue.Attributes" && path != "SetAttributeValue.Attributes" &&
				!bytes.Contains([]byte(path), []byte("Parameter.")) {
				if got != empty {
					t.Errorf("%s reaches the core; it is the client's own", path)
				}
				return
			}
			if got == empty {
				t.Errorf("%s is lost", path)
			}
			if other, ok := seen[got]; ok && !bytes.Contains([]byte(path), []byte("AttributesBytes")) && !bytes.Contains([]byte(other), []byte("AttributesBytes")) {
				t.Errorf("%s and %s are the same to the core", path, other)
			}
			seen[got] = path
		})
	}
}

// TestAnswersAreCarried: an answer with everything in it fills each field of each response, with what belongs there.
func TestAnswersAreCarried(t *testing.T) {
	t.Parallel()
	g := start(t)
	c := g.dial(t, clientCertificate(t, g))
	yes, n := true, int64(-1)
	g.core.answer(ep11.Answer{Data: []byte("data"), State: []byte("state"), CheckSum: []byte("sum"), Key: []byte("key"), Key2: []byte("key2"),
		Attributes: ep11.Template{1: {Bool: &yes}, 2: {Int: &n}, 3: {Bytes: []byte("b")}, 4: {}}, Mechanisms: []uint64{1, 2}, Info: &ep11.Info{Min: 512, Max: 4096, Flags: 7}}, nil)
	want := map[string]string{"State": "state", "CheckSum": "sum", "KeyBytes": "key", "PrivKeyBytes": "key", "PubKeyBytes": "key2", "UnwrappedBytes": "key", "NewKeyBytes": "key",
		"RewrappedKeyBytes": "key", "Object": "key", "Key": "key", "PrivKey": "key", "PubKey": "key2", "Unwrapped": "key", "NewKey": "key", "RewrappedKey": "key"}
	for _, m := range methods(t) {
		in := m.in.New().Interface()
		if q, ok := in.(*wire.GetAttributeValueRequest); ok {
			q.Attributes = map[uint64]*wire.AttributeValue{1: {}, 2: {}, 3: {}}
			q.AttributesBytes = map[uint64][]byte{1: nil, 2: nil, 3: nil}
		}
		out, err := m.call(t.Context(), c, in)
		if err != nil {
			t.Fatalf("%s: %v", m.name, err)
		}
		r := out.ProtoReflect()
		for i := range r.Descriptor().Fields().Len() {
			d := r.Descriptor().Fields().Get(i)
			name := m.name + "Response." + string(d.Name())
			if !r.Has(d) {
				t.Errorf("%s is empty", name)
				continue
			}
			expect, ok := want[string(d.Name())]
			if !ok {
				expect = "data"
			}
			switch {
			case d.Kind() == protoreflect.BytesKind && !d.IsList() && !d.IsMap():
				if got := string(r.Get(d).Bytes()); got != expect {
					t.Errorf("%s is %q, want %q", name, got, expect)
				}
			case d.Message() != nil && d.Message().Name() == "KeyBlob":
				b := r.Get(d).Message().Interface().(*wire.KeyBlob)
				if len(b.GetKeyBlobs()) != 1 || string(b.GetKeyBlobs()[0]) != expect {
					t.Errorf("%s is %v, want %q", name, b, expect)
				}
			}
		}
		if a, ok := out.(*wire.GetAttributeValueResponse); ok {
			checkAttributes(t, a)
		}
		if a, ok := out.(*wire.GetMechanismInfoResponse); ok && (a.GetMechInfo().GetMinKeySize() != 512 || a.GetMechInfo().GetMaxKeySize() != 4096 || a.GetMechInfo().GetFlags() != 7) {
			t.Errorf("mechanism info %v", a)
		}
	}
}

func checkAttributes(t *testing.T, a *wire.GetAttributeValueResponse) {
	t.Helper()
	got := a.GetAttributes()
	if len(got) != 3 || !got[1].GetAttributeTF() || got[2].GetAttributeI() != -1 || string(got[3].GetAttributeB()) != "b" {
		t.Errorf("attributes %v", got)
	}
	want := map[uint64][]byte{1: {1}, 2: bytes.Repeat([]byte{255}, 8), 3: []byte("b")}
	if !maps.EqualFunc(a.GetAttributesBytes(), want, bytes.Equal) {
		t.Errorf("attributes in the older form %x", a.GetAttributesBytes())
	}
}

// TestAbsentAndFalse: false and 0 are values; nothing at all asks.
func TestAbsentAndFalse(t *testing.T) {
	t.Parallel()
	g := start(t)
	_, err := g.client(t).GenerateKey(t.Context(), &wire.GenerateKeyRequest{Mech: &wire.Mechanism{Mechanism: 0x350}, Template: map[uint64]*wire.AttributeValue{
		1: {OneAttr: &wire.AttributeValue_AttributeTF{}}, 2: {OneAttr: &wire.AttributeValue_AttributeI{}}, 3: {}, 4: {OneAttr: &wire.AttributeValue_AttributeI{AttributeI: -1}}}})
	if err != nil {
		t.Fatal(err)
	}
	_, call := g.core.last()
	no, zero, all := false, int64(0), int64(-1)
	if want := (ep11.Template{1: {Bool: &no}, 2: {Int: &zero}, 3: {}, 4: {Int: &all}}); !reflect.DeepEqual(call.Template, want) {
		t.Errorf("template %v", call.Template)
	}
}

// TestKeysInTwoForms: clients of the first version send bytes, those of the second a KeyBlob. Both at once must be one key.
func TestKeysInTwoForms(t *testing.T) {
	t.Parallel()
	g := start(t)
	c := g.client(t)
	one := func(b ...string) *wire.KeyBlob {
		k := &wire.KeyBlob{KeyBlobID: []byte("id"), Version: 9, TxID: []byte("tx")}
		for _, s := range b {
			k.KeyBlobs = append(k.KeyBlobs, []byte(s))
		}
		return k
	}
	for _, tc := range []struct {
		name string
		key  *wire.KeyBlob
		old  string
		want string // "!": refused
	}{{"v2", one("a"), "", "a"}, {"v1", nil, "a", "a"}, {"both", one("a"), "a", "a"}, {"two keys", one("a"), "b", "!"}, {"two blobs", one("a", "b"), "", "!"},
		{"empty KeyBlob", one(), "a", "a"}, {"none", nil, "", ""}} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := c.SignSingle(t.Context(), &wire.SignSingleRequest{Mech: &wire.Mechanism{Mechanism: 1}, PrivKey: tc.key, PrivKeyBytes: []byte(tc.old)})
			if tc.want == "!" {
				refused(t, err, ep11.CKR_ARGUMENTS_BAD)
				return
			}
			if _, call := g.core.last(); err != nil || string(call.Key) != tc.want {
				t.Errorf("got %q, %v; want %q", call.Key, err, tc.want)
			}
		})
	}
}

// TestEnums: a number that the enumeration does not have, below zero too, reaches the core as one that nothing knows.
func TestEnums(t *testing.T) {
	t.Parallel()
	g := start(t)
	c := g.client(t)
	for n, want := range map[int32]uint64{3: 3, 99: 99, -1: 0xffffffff, 8388609: 8388609} {
		_, err := c.SignSingle(t.Context(), &wire.SignSingleRequest{Mech: &wire.Mechanism{Mechanism: 1,
			Parameter: &wire.Mechanism_ECSGParameter{ECSGParameter: &wire.ECSGParm{Type: wire.ECSGParm_ECSGType(n)}}}})
		if _, call := g.core.last(); err != nil || call.Mechanism == nil || call.Mechanism.Sign == nil || call.Mechanism.Sign.Type != want {
			t.Errorf("%d: got %v, %v", n, call.Mechanism, err)
		}
	}
}

func ExampleServer_functions() {
	m := wire.File_grep11_server_proto.Services().Get(0).Methods()
	for i := range m.Len() {
		if fn, ok := ep11.FunctionNamed(string(m.Get(i).Name())); !ok || int(fn) != i+1 {
			fmt.Println(m.Get(i).Name(), "has another number in the core")
		}
	}
	fmt.Println(m.Len())
	// Output: 40
}
