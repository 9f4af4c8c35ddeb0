// SPDX-License-Identifier: Apache-2.0

package canon_test

import (
	"bytes"
	"errors"
	"math/big"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/proof"
	"strongroom/internal/pure/request"
)

// kinds has one field of each kind of type, also such that have no codec of their own.
type kinds struct {
	A uint8             `cbor:"1,keyasint"`
	B int8              `cbor:"2,keyasint,omitempty"`
	C int               `cbor:"24,keyasint"`
	D [3]uint16         `cbor:"256,keyasint"`
	E *kinds            `cbor:"65536,keyasint,omitempty"` // contains itself
	F **inner           `cbor:"3,keyasint"`
	G []*inner          `cbor:"4,keyasint,omitempty"`
	H any               `cbor:"5,keyasint"`
	I map[uint64]string `cbor:"6,keyasint"`
	J custody.Uint256   `cbor:"7,keyasint,omitempty"` // never left out
	K *custody.Uint256  `cbor:"8,keyasint,omitempty"`
	L []custody.Uint256 `cbor:"9,keyasint"`
	M [][]byte          `cbor:"10,keyasint"`
	N [4]byte           `cbor:"11,keyasint,omitempty"` // never left out
	O text              `cbor:"12,keyasint,omitempty"`
	P named             `cbor:"13,keyasint"`
	Q map[string]uint64 `cbor:"14,keyasint,omitempty"`
	R []entry.Class     `cbor:"15,keyasint,omitempty"` // bytes
	S uint32            `cbor:"16,keyasint,omitempty"`
	T []kinds           `cbor:"17,keyasint,omitempty"`
	U inner             `cbor:"18,keyasint"`
	v uint64            // not encoded
}

// odd are structs that are left to the module.
type (
	oddEmpty struct {
		A inner `cbor:"1,keyasint,omitempty"`
	}
	oddTwice struct {
		A uint64 `cbor:"1,keyasint"`
		B uint64 `cbor:"1,keyasint"`
	}
	oddInside struct {
		inner
		B uint64 `cbor:"2,keyasint"`
	}
	oddArray struct {
		_ struct{} `cbor:",toarray"`
		A uint64   `cbor:"1,keyasint"`
	}
	oddNumber struct {
		A uint64 `cbor:"01,keyasint"`
		B uint64 `cbor:"-2,keyasint"`
	}
)

type text string

// named is left to the module: its fields have names.
type named struct {
	X uint64 `cbor:"x,omitempty"`
	Y string
	Z time.Time `cbor:"1,keyasint"`
	B big.Int   `cbor:"-"`
}

// types are those that are kept, signed or sent.
func types() []reflect.Type {
	var out []reflect.Type
	for _, v := range []any{kinds{v: 1}, thing{}, oddEmpty{}, oddTwice{}, oddInside{}, oddArray{}, oddNumber{}, entry.Leaf{}, entry.Genesis{}, entry.Request{}, entry.Approval{}, entry.Permit{}, entry.Result{}, entry.Refusal{},
		entry.Effect{}, entry.Session{}, entry.Snapshot{}, entry.Writer{}, request.Request{}, request.Statement{}, request.SessionOpening{},
		request.SessionGrant{}, request.TransferBody{}, request.WalletCreateBody{}, request.AddressCreateBody{}, request.PolicyChangeBody{},
		request.PersonEnrolBody{}, request.PersonKeyAddBody{}, request.PersonKeyRemoveBody{}, policy.Document{}, policy.Facts{}, policy.Decision{}, authority.Image{}, proof.File{}, uint64(0), "", []string{}, [][32]byte{}} {
		out = append(out, reflect.TypeOf(v))
	}
	return out
}

// fill sets v to something at random.
func fill(r *rand.Rand, v reflect.Value, depth int) {
	few := func() int {
		if depth > 3 {
			return 0
		}
		return []int{0, 0, 1, 2, 3, 70}[r.IntN(6-min(depth, 1))]
	}
	number := func() uint64 { return r.Uint64() >> r.IntN(64) }
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(number() & (1<<v.Type().Bits() - 1) * uint64(r.IntN(2)))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(number()<<(64-v.Type().Bits())) >> (64 - v.Type().Bits()) * int64(r.IntN(2)))
	case reflect.String:
		v.SetString(string([]rune("aé漢🜁z-0123456789abcdefghijk")[:r.IntN(24)]))
	case reflect.Slice:
		if n := few(); n > 0 || r.IntN(2) == 0 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
		}
		fillAll(r, v, depth)
	case reflect.Array:
		if r.IntN(4) > 0 {
			fillAll(r, v, depth)
		}
	case reflect.Pointer:
		if r.IntN(3) > 0 && depth < 4 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(r, v.Elem(), depth+1)
		}
	case reflect.Interface:
		v.Set(reflect.ValueOf([]any{uint64(7), "text", true, []byte{1}, map[any]any{uint64(1): "a"}}[r.IntN(5)]))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range r.IntN(4) {
			k, e := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(r, k, depth+1)
			fill(r, e, depth+1)
			v.SetMapIndex(k, e)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(r, v.Field(i), depth+1)
			}
		}
	}
}

func fillAll(r *rand.Rand, v reflect.Value, depth int) {
	for i := range v.Len() {
		fill(r, v.Index(i), depth+1)
	}
}

// agree decodes b both ways and says what differs.
func agree(t *testing.T, typ reflect.Type, b []byte) {
	t.Helper()
	got, want := reflect.New(typ), reflect.New(typ)
	gotErr, wantErr := canon.DecodeLarge(b, got.Interface()), canon.OracleDecode(b, want.Interface())
	if (gotErr == nil) != (wantErr == nil) {
		t.Fatalf("%v from %x: got error %v, the module says %v", typ, b, gotErr, wantErr)
	}
	if gotErr == nil && !reflect.DeepEqual(got.Interface(), want.Interface()) {
		t.Fatalf("%v from %x: got %+v, the module says %+v", typ, b, got.Elem(), want.Elem())
	}
}

// damage changes an encoding at a few places, often such that it is still well-formed.
func damage(r *rand.Rand, b []byte) []byte {
	b = bytes.Clone(b)
	for range 1 + r.IntN(2) {
		if len(b) == 0 {
			return b
		}
		i := r.IntN(len(b))
		switch r.IntN(8) {
		case 0:
			b[i] ^= 1 << r.IntN(8)
		case 1:
			b[i] = []byte{0xf6, 0xf7, 0xf4, 0xf5, 0x80, 0xa0, 0x40, 0x60, 0x9f, 0xbf, 0xff, 0x5f, 0xc0, 0xf9, 0xf8}[r.IntN(15)]
		case 2:
			b = append(b[:i:i], b[i+1:]...)
		case 3:
			b = append(b[:i:i], append([]byte{byte(r.Uint32())}, b[i:]...)...)
		case 4: // a longer head, if one is here
			b = append(b[:i:i], append([]byte{b[i]&0xe0 | 24, b[i] & 0x1f}, b[i+1:]...)...)
		case 5:
			b = b[:i]
		case 6: // a piece twice or moved
			j := min(len(b), i+r.IntN(8))
			b = append(b[:j:j], append(bytes.Clone(b[i:j]), b[j:]...)...)
		default:
			b[i] = byte(r.Uint32())
		}
	}
	return b
}

// The module that defines the encoding is the second opinion: on what is encoded, what is accepted, and what it decodes to.
func TestAgreesWithTheModule(t *testing.T) {
	t.Parallel()
	for _, typ := range types() {
		t.Run(typ.String(), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(1, 2))
			for range 400 {
				v := reflect.New(typ)
				fill(r, v.Elem(), 0)
				want, err := canon.OracleEncode(v.Interface())
				if err != nil {
					t.Fatal(err)
				}
				if got := canon.Encode(v.Interface()); !bytes.Equal(got, want) {
					t.Fatalf("%+v: got %x, the module says %x", v.Elem(), got, want)
				}
				if got := canon.Encode(v.Elem().Interface()); !bytes.Equal(got, want) {
					t.Fatalf("%+v by value: got %x, the module says %x", v.Elem(), got, want)
				}
				agree(t, typ, want)
				for range 30 {
					agree(t, typ, damage(r, want))
				}
			}
		})
	}
}

// refusing is a type that must never be encoded, as secrets are.
type refusing struct{}

func (refusing) MarshalCBOR() ([]byte, error) { return nil, errors.New("not to be encoded") }

func TestNoEncoding(t *testing.T) {
	t.Parallel()
	for name, v := range map[string]any{
		"refusing": refusing{},
		"in a struct": struct {
			V refusing `cbor:"1,keyasint"`
		}{},
		"in a list":       []refusing{{}},
		"behind any":      []any{refusing{}},
		"behind pointers": &[]*refusing{{}},
		"a channel":       make(chan int),
		"a function": struct {
			F func() `cbor:"1,keyasint"`
		}{},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if b, err := canon.OracleEncode(v); err == nil {
				t.Fatalf("the module encodes it, to %x", b)
			}
			defer func() {
				if recover() == nil {
					t.Error("it was encoded")
				}
			}()
			canon.Encode(v)
		})
	}
	if err := canon.Decode([]byte{0xa1, 1, 0xa0}, new(struct {
		V refusing `cbor:"1,keyasint"`
	})); err == nil {
		t.Error("it was decoded")
	}
}

func TestRaw(t *testing.T) {
	t.Parallel()
	type whole struct {
		A inner     `cbor:"1,keyasint"`
		B canon.Raw `cbor:"2,keyasint"`
	}
	v := thing{N: 7, S: "part"}
	want := canon.Encode(struct {
		A inner `cbor:"1,keyasint"`
		B thing `cbor:"2,keyasint"`
	}{inner{1}, v})
	if got := canon.Encode(whole{inner{1}, canon.Encode(v)}); !bytes.Equal(got, want) {
		t.Fatalf("got %x, want %x", got, want)
	}
	agree(t, reflect.TypeFor[whole](), want)
	var back whole
	if err := canon.Decode(want, &back); err != nil || !bytes.Equal(back.B, canon.Encode(v)) {
		t.Fatalf("got %x and error %v", back.B, err)
	}
	want[len(want)-1] ^= 1
	if bytes.Equal(back.B, want[len(want)-len(back.B):]) {
		t.Error("it shares memory with what it was read from")
	}
	if got := canon.Append([]byte{9}, v); !bytes.Equal(got, append([]byte{9}, canon.Encode(v)...)) {
		t.Errorf("appended: %x", got)
	}
	if canon.HashBytes(canon.TagBody, []byte("ab")) != canon.HashBytes(canon.TagBody, []byte("a"), nil, []byte("b")) {
		t.Error("a hash in pieces is another one")
	}
}

func TestNothing(t *testing.T) {
	t.Parallel()
	for _, v := range []any{nil, (*inner)(nil), (**inner)(nil), any(nil)} {
		want, err := canon.OracleEncode(v)
		if got := canon.Encode(v); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%T: got %x, want %x and error %v", v, got, want, err)
		}
	}
	for _, into := range []any{nil, inner{}, (*inner)(nil)} {
		if err := canon.Decode([]byte{0xa1, 1, 1}, into); err == nil {
			t.Errorf("decoded into %T", into)
		}
	}
}

// Lists and maps nest to 24 levels and no further; a list does not get the room that it claims before its elements are there.
func TestDepthAndLength(t *testing.T) {
	t.Parallel()
	type tree struct {
		L []tree `cbor:"1,keyasint"`
	}
	typ := reflect.TypeFor[tree]()
	for depth := range 16 {
		b := append(bytes.Repeat([]byte{0xa1, 1, 0x81}, depth), 0xa1, 1, 0x80)
		agree(t, typ, b)
		if err := canon.Decode(b, new(tree)); (err == nil) != (depth <= 11) {
			t.Errorf("%d levels: got error %v", 2*depth+2, err)
		}
	}
	for _, head := range [][]byte{{0x9a, 0, 0x40, 0, 0}, {0x9b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}} {
		b := append(append([]byte{0xa1, 1}, head...), make([]byte, 100)...)
		var v tree
		if err := canon.Decode(b, &v); err == nil || cap(v.L) > 64 {
			t.Errorf("%x: got error %v and room for %d", head, err, cap(v.L))
		}
	}
}

func FuzzAgree(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 4))
	all := types()
	for i, typ := range all {
		v := reflect.New(typ)
		fill(r, v.Elem(), 1)
		f.Add(byte(i), canon.Encode(v.Interface()))
	}
	f.Fuzz(func(t *testing.T, which byte, b []byte) { agree(t, all[int(which)%len(all)], b) })
}
