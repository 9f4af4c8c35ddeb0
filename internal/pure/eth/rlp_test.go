// SPDX-License-Identifier: Apache-2.0

package eth

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/rlp"
	"pgregory.net/rapid"
)

// The examples of the RLP page of ethereum.org, as far as they are strings, integers and flat lists.
func TestRLPExamples(t *testing.T) {
	t.Parallel()
	lorem := "Lorem ipsum dolor sit amet, consectetur adipisicing elit"
	for _, tc := range []struct {
		name string
		got  []byte
		want string
	}{
		{"dog", appendString(nil, []byte("dog")), "\x83dog"},
		{"list of cat and dog", appendList(nil, []byte("\x83cat\x83dog")), "\xc8\x83cat\x83dog"},
		{"empty string", appendString(nil, nil), "\x80"},
		{"empty list", appendList(nil, nil), "\xc0"},
		{"integer 0", appendUint64(nil, 0), "\x80"},
		{"byte 00", appendString(nil, []byte{0}), "\x00"},
		{"integer 15", appendUint64(nil, 15), "\x0f"},
		{"integer 1024", appendUint64(nil, 1024), "\x82\x04\x00"},
		{"56 bytes", appendString(nil, []byte(lorem)), "\xb8\x38" + lorem},
		{"55 bytes", appendString(nil, []byte(lorem[:55])), "\xb7" + lorem[:55]},
		{"1024 bytes", appendString(nil, make([]byte, 1024)), "\xb9\x04\x00" + strings.Repeat("\x00", 1024)},
		{"list of 56 bytes", appendList(nil, []byte(lorem)), "\xf8\x38" + lorem},
	} {
		if string(tc.got) != tc.want {
			t.Errorf("%s: got %x, want %x", tc.name, tc.got, tc.want)
		}
	}
}

// Each is refused for the reason in its name, and the error names the field.
func TestRLPInvalid(t *testing.T) {
	t.Parallel()
	str := func(r *rlpReader) { r.bytes("f", 100) }
	num := func(r *rlpReader) { r.uint64("f") }
	big := func(r *rlpReader) { r.uint256("f") }
	list := func(r *rlpReader) { r.err = r.list("f").err }
	for _, tc := range []struct {
		name, in string
		read     func(*rlpReader)
		want     error
	}{
		{"nothing", "", str, ErrTruncated},
		{"short string cut", "83646f", str, ErrTruncated},
		{"one byte, cut", "81", str, ErrTruncated},
		{"long string cut", "b838" + strings.Repeat("00", 55), str, ErrTruncated},
		{"size of the size cut", "b9ff", str, ErrTruncated},
		{"list cut", "c283", list, ErrTruncated},
		{"size above the input", "bb7fffffff00", str, ErrTruncated},
		{"size of 2^63", "bf8000000000000000", str, ErrTruncated},
		{"size of 2^64-1", "bfffffffffffffffff", str, ErrTruncated},
		{"list size of 2^64-1", "ffffffffffffffffff", list, ErrTruncated},
		{"byte with needless header", "8100", str, ErrNonCanonical},
		{"byte 7f with needless header", "817f", str, ErrNonCanonical},
		{"long form for 55 bytes", "b837" + strings.Repeat("61", 55), str, ErrNonCanonical},
		{"long form for no bytes", "b800", str, ErrNonCanonical},
		{"long list for 55 bytes", "f837" + strings.Repeat("61", 55), list, ErrNonCanonical},
		{"leading zero in the size", "b90038" + strings.Repeat("61", 56), str, ErrNonCanonical},
		{"leading zero in the list size", "f90038" + strings.Repeat("61", 56), list, ErrNonCanonical},
		{"integer with leading zero", "820001", num, ErrNonCanonical},
		{"integer zero as a byte", "00", num, ErrNonCanonical},
		{"big integer zero as a byte", "00", big, ErrNonCanonical},
		{"33 bytes with leading zero", "a100" + strings.Repeat("ff", 32), big, ErrNonCanonical},
		{"list for a string", "c0", str, ErrItemKind},
		{"list for an integer", "c0", num, ErrItemKind},
		{"string for a list", "80", list, ErrItemKind},
		{"byte for a list", "01", list, ErrItemKind},
		{"integer of 9 bytes", "89010000000000000000", num, ErrItemSize},
		{"integer of 33 bytes", "a101" + strings.Repeat("00", 32), big, ErrItemSize},
		{"string above its limit", "b865" + strings.Repeat("00", 101), str, ErrItemSize},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := rlpReader{rest: unhex(t, tc.in)}
			tc.read(&r)
			var named *DecodeError
			if !errors.Is(r.err, tc.want) || !errors.As(r.err, &named) || named.Field != "f" {
				t.Errorf("got %v, want %v on field f", r.err, tc.want)
			}
		})
	}
}

func TestRLPReader(t *testing.T) {
	t.Parallel()
	r := rlpReader{rest: []byte{0xc0, 0x01, 0x02}}
	if got := r.uint64("first"); got != 0 {
		t.Errorf("got %d from a list", got)
	}
	if got := r.uint64("second"); got != 0 {
		t.Errorf("got %d after a failure", got)
	}
	if l := r.list("third"); len(l.rest) != 0 || l.err == nil {
		t.Error("a list opened after a failure")
	}
	var named *DecodeError
	if err := r.end("all"); !errors.As(err, &named) || named.Field != "first" {
		t.Errorf("got %v, want the failure of the first field", err)
	}
	inner := (&rlpReader{rest: []byte{0xc1, 0x05}}).list("list of one small number")
	if got, err := inner.uint64("number"), inner.end("list"); got != 5 || err != nil {
		t.Errorf("got %d, %v", got, err)
	}
	trailing := rlpReader{rest: []byte{1, 2}}
	trailing.uint64("first")
	if err := trailing.end("all"); !errors.Is(err, ErrTrailing) {
		t.Errorf("got %v, want %v", err, ErrTrailing)
	}
}

func TestRLPWritesWhatTheOracleWrites(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		data := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "data")
		u, n := drawUint(t, "u"), rapid.Uint64().Draw(t, "n")
		want, err := rlp.EncodeToBytes([]any{data, toBig(u), n})
		if err != nil {
			t.Fatal(err)
		}
		got := appendList(nil, appendUint64(appendInteger(appendString(nil, data), u), n))
		if !bytes.Equal(got, want) {
			t.Fatalf("got %x, want %x", got, want)
		}
		outer := rlpReader{rest: got}
		r := outer.list("list")
		if b := r.bytes("data", 300); !bytes.Equal(b, data) {
			t.Fatalf("data: got %x", b)
		}
		if v := r.uint256("u"); v != u {
			t.Fatalf("u: got %s", v)
		}
		if v := r.uint64("n"); v != n {
			t.Fatalf("n: got %d", v)
		}
		if err := errors.Join(r.end("list"), outer.end("input")); err != nil {
			t.Fatal(err)
		}
	})
}

// Law: where the oracle's strict reader sees one whole string or list, so do we, with the same content; else we refuse.
func FuzzRLPHeader(f *testing.F) {
	for _, s := range []string{"83646f67", "c0", "80", "8100", "b838", "f90038", "bfffffffffffffffff"} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		isList, header, size, err := rlpHeader(b)
		kind, content, rest, oracleErr := rlp.Split(b)
		if (err == nil) != (oracleErr == nil) {
			t.Fatalf("%x: ours %v, oracle %v", b, err, oracleErr)
		}
		if err != nil {
			return
		}
		if isList != (kind == rlp.List) || !bytes.Equal(b[header:header+size], content) || len(b)-header-size != len(rest) {
			t.Fatalf("%x: got list %v, header %d, size %d; the oracle has %v with %d bytes", b, isList, header, size, kind, len(content))
		}
	})
}
