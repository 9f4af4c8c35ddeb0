// SPDX-License-Identifier: Apache-2.0

package abi_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"unicode/utf8"

	gethabi "github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"pgregory.net/rapid"

	"strongroom/internal/pure/eth/abi"
)

// oracle makes go-ethereum's arguments of types.
func oracle(t testing.TB, types []abi.Type) gethabi.Arguments {
	t.Helper()
	var out gethabi.Arguments
	for _, x := range types {
		name, parts := marshaling(x)
		g, err := gethabi.NewType(name, "", parts)
		if err != nil {
			t.Fatalf("%s: %v", x, err)
		}
		out = append(out, gethabi.Argument{Type: g})
	}
	return out
}

// marshaling writes a type as go-ethereum wants it: tuples by name, with their fields apart.
func marshaling(x abi.Type) (string, []gethabi.ArgumentMarshaling) {
	switch x.Kind {
	case abi.Tuple:
		var parts []gethabi.ArgumentMarshaling
		for i, f := range x.Fields {
			name, in := marshaling(f)
			parts = append(parts, gethabi.ArgumentMarshaling{Name: fmt.Sprintf("f%d", i), Type: name, Components: in})
		}
		return "tuple", parts
	case abi.Array:
		name, parts := marshaling(*x.Elem)
		return fmt.Sprintf("%s[%d]", name, x.Size), parts
	case abi.Slice:
		name, parts := marshaling(*x.Elem)
		return name + "[]", parts
	default:
		return x.String(), nil
	}
}

func drawType(t *rapid.T, depth int) abi.Type {
	kinds := 7
	if depth > 0 {
		kinds = 10
	}
	switch rapid.IntRange(1, kinds).Draw(t, "kind") {
	case 1:
		return abi.Type{Kind: abi.Uint, Size: 8 * rapid.IntRange(1, 32).Draw(t, "bits")}
	case 2:
		return abi.Type{Kind: abi.Int, Size: 8 * rapid.IntRange(1, 32).Draw(t, "bits")}
	case 3:
		return abi.Type{Kind: abi.Address}
	case 4:
		return abi.Type{Kind: abi.Bool}
	case 5:
		return abi.Type{Kind: abi.FixedBytes, Size: rapid.IntRange(1, 32).Draw(t, "size")}
	case 6:
		return abi.Type{Kind: abi.Bytes}
	case 7:
		return abi.Type{Kind: abi.String}
	case 8:
		e := drawType(t, depth-1)
		return abi.Type{Kind: abi.Array, Size: rapid.IntRange(1, 3).Draw(t, "n"), Elem: &e}
	case 9:
		e := drawType(t, depth-1)
		return abi.Type{Kind: abi.Slice, Elem: &e}
	default:
		var fs []abi.Type
		for range rapid.IntRange(1, 3).Draw(t, "fields") {
			fs = append(fs, drawType(t, depth-1))
		}
		return abi.Type{Kind: abi.Tuple, Fields: fs}
	}
}

func drawValue(t *rapid.T, x abi.Type) (v abi.Value) {
	v.Type = x
	many := func(n int, of func(i int) abi.Type) {
		for i := range n {
			v.Items = append(v.Items, drawValue(t, of(i)))
		}
	}
	switch x.Kind {
	case abi.Uint:
		copy(v.Word[32-x.Size/8:], rapid.SliceOfN(rapid.Byte(), x.Size/8, x.Size/8).Draw(t, "uint"))
	case abi.Int:
		copy(v.Word[32-x.Size/8:], rapid.SliceOfN(rapid.Byte(), x.Size/8, x.Size/8).Draw(t, "int"))
		if v.Word[32-x.Size/8] >= 0x80 {
			for i := range 32 - x.Size/8 {
				v.Word[i] = 0xff
			}
		}
	case abi.Address:
		copy(v.Word[12:], rapid.SliceOfN(rapid.Byte(), 20, 20).Draw(t, "address"))
	case abi.Bool:
		v.Word[31] = byte(rapid.IntRange(0, 1).Draw(t, "bool"))
	case abi.FixedBytes:
		copy(v.Word[:x.Size], rapid.SliceOfN(rapid.Byte(), x.Size, x.Size).Draw(t, "fixed"))
	case abi.Bytes:
		v.Bytes = rapid.SliceOfN(rapid.Byte(), 0, 70).Draw(t, "bytes")
	case abi.String:
		v.Bytes = []byte(rapid.String().Draw(t, "string"))
	case abi.Array:
		many(x.Size, func(int) abi.Type { return *x.Elem })
	case abi.Slice:
		many(rapid.IntRange(0, 3).Draw(t, "elements"), func(int) abi.Type { return *x.Elem })
	case abi.Tuple:
		many(len(x.Fields), func(i int) abi.Type { return x.Fields[i] })
	}
	return v
}

// TestAgreesWithGethABI: what is encoded here, go-ethereum decodes, and encodes to the same bytes again; and so does Decode. A type is written as it
// is read, and a selector is go-ethereum's.
func TestAgreesWithGethABI(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		var types []abi.Type
		var vs []abi.Value
		for range rapid.IntRange(1, 4).Draw(rt, "inputs") {
			x := drawType(rt, 2)
			if again, err := abi.ParseType(x.String()); err != nil || again.String() != x.String() {
				rt.Fatalf("%s reads as %s, %v", x, again, err)
			}
			types, vs = append(types, x), append(vs, drawValue(rt, x))
		}
		data := abi.Encode(vs)
		args := oracle(t, types)
		got, err := args.Unpack(data)
		if err != nil {
			rt.Fatalf("go-ethereum refuses %x as %v: %v", data, types, err)
		}
		again, err := args.Pack(got...)
		if err != nil || !bytes.Equal(again, data) {
			rt.Fatalf("go-ethereum gives %x, %v; want %x", again, err, data)
		}
		own, err := abi.Decode(types, data)
		if err != nil || !bytes.Equal(abi.Encode(own), data) {
			rt.Fatalf("decoding again: %v", err)
		}
		f := abi.Function{Name: "f", Inputs: types}
		g := gethabi.NewMethod("f", "f", gethabi.Function, "", false, false, args, nil)
		if s := f.Selector(); !bytes.Equal(s[:], g.ID) || f.String() != g.Sig {
			rt.Fatalf("selector %s of %s; go-ethereum has %x of %s", s, f, g.ID, g.Sig)
		}
	})
}

// signatures are what the fuzz target decodes.
var signatures = []string{"f(uint256)", "f(address,uint256)", "f(bytes)", "f(string,int16)", "f(bytes[])", "f((address,bool,bytes)[])", "f(uint8[3][],bytes4)",
	"f((uint256,(string,bool[2]))[2])", "f(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,bytes)"}

// FuzzDecode: what is taken encodes to the same bytes again, and go-ethereum takes it and means the same; what go-ethereum takes and encodes to the
// same bytes is taken here, unless a string in it is no UTF-8.
func FuzzDecode(f *testing.F) {
	for i := range signatures {
		f.Add(uint8(i), make([]byte, 32))
		f.Add(uint8(i), bytes.Repeat([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32}, 4))
	}
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		fn, err := abi.ParseFunction(signatures[int(which)%len(signatures)])
		if err != nil {
			t.Fatal(err)
		}
		vs, err := abi.Decode(fn.Inputs, data)
		if err == nil && !bytes.Equal(abi.Encode(vs), data) {
			t.Fatalf("%s: %x encodes to %x", fn, data, abi.Encode(vs))
		}
		args := oracle(t, fn.Inputs)
		got, second := args.Unpack(data)
		var again []byte
		if second == nil {
			again, second = args.Pack(got...)
		}
		if canonical := second == nil && bytes.Equal(again, data); canonical != (err == nil) && !(canonical && strings.Contains(err.Error(), "UTF-8")) {
			t.Fatalf("%s: %x: own %v, go-ethereum canonical %t %v", fn, data, err, canonical, second)
		}
	})
}

// word gives 32 bytes that end with b.
func word(b ...byte) string { return hex.EncodeToString(append(make([]byte, 32-len(b)), b...)) }

// TestRefusesData: each way of writing the same values otherwise is refused.
func TestRefusesData(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ signature, data string }{
		"too short":                    {"f(uint256)", "00"},
		"bytes after its end":          {"f(uint256)", word(1) + "00"},
		"a word after its end":         {"f(uint256)", word(1) + word(0)},
		"dirty address":                {"f(address)", "01" + word(1)[2:]},
		"dirty uint8":                  {"f(uint8)", word(1, 0)},
		"int8 without its sign":        {"f(int8)", word(0x80)},
		"bool of 2":                    {"f(bool)", word(2)},
		"dirty bytes4":                 {"f(bytes4)", word(1)},
		"offset beyond":                {"f(bytes)", word(0x40) + word(0) + word(0)},
		"offset of 2^64":               {"f(bytes)", word(1, 0, 0, 0, 0, 0, 0, 0, 0x20) + word(0)},
		"dirty padding of bytes":       {"f(bytes)", word(0x20) + word(1) + strings.Repeat("61", 32)},
		"no padding of bytes":          {"f(bytes)", word(0x20) + word(1) + "61"},
		"length beyond":                {"f(bytes)", word(0x20) + word(0x21) + word(0)},
		"list longer than its data":    {"f(uint256[])", word(0x20) + word(0xff, 0xff, 0xff, 0xff) + word(0)},
		"two offsets to one value":     {"f(bytes,bytes)", word(0x40) + word(0x40) + word(0)},
		"values in another order":      {"f(bytes,bytes)", word(0x60) + word(0x40) + word(0) + word(0)},
		"string that is not UTF-8":     {"f(string)", word(0x20) + word(1) + "ff" + strings.Repeat("00", 31)},
		"elements that end too early":  {"f(bytes[2])", word(0x20) + word(0x40)},
		"tuple's own offsets not ours": {"f((bytes))", word(0x20) + word(0x40) + word(0)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, err := abi.ParseFunction(c.signature)
			if err != nil {
				t.Fatal(err)
			}
			b, err := hex.DecodeString(c.data)
			if err != nil {
				t.Fatal(err)
			}
			if vs, err := abi.Decode(f.Inputs, b); !errors.Is(err, abi.ErrData) {
				t.Errorf("got %v, %v", vs, err)
			}
			s := f.Selector()
			if _, err := f.DecodeCall(append(s[:], b...)); !errors.Is(err, abi.ErrData) {
				t.Errorf("the call is taken: %v", err)
			}
		})
	}
}

// TestRefusesTypes: signatures that are not canonical, or hold nothing, or too much.
func TestRefusesTypes(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "f", "f(", "f)", "f(uint256", "f(uint256))", "f (uint256)", "f(uint)", "f(int)", "f(byte)", "f(uint7)", "f(uint264)", "f(uint08)", "f(bytes33)", "f(bytes0)",
		"f(uint256,)", "f(,uint256)", "f(uint256, address)", "f(uint256 a)", "f(())", "f(uint256[0])", "f(uint256[01])", "f(uint256[-1])", "f(uint256[99999])", "f(uint256[2048][2])",
		"f(uint256[2)", "1f()", "f-g()", "f(function)", "f(fixed128x18)", "f(tuple)", "f(address payable)", "f" + strings.Repeat("(", 40), "f(uint8" + strings.Repeat("[1]", 9) + ")",
		"f(" + strings.Repeat("uint8,", 64) + "uint8)", "f" + strings.Repeat("x", 600) + "()", "ä()"} {
		if f, err := abi.ParseFunction(s); !errors.Is(err, abi.ErrType) {
			t.Errorf("%.60q is taken as %s: %v", s, f, err)
		}
	}
	for _, s := range []string{"f()", "_f$1(uint256)", "f((uint8,(bytes,string[2])[]),address[3])"} {
		if f, err := abi.ParseFunction(s); err != nil || f.String() != s {
			t.Errorf("%s: got %s, %v", s, f, err)
		}
	}
}

// FuzzParseFunction: what is taken is written the same again, and go-ethereum takes its types.
func FuzzParseFunction(f *testing.F) {
	for _, s := range signatures {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		fn, err := abi.ParseFunction(s)
		if err != nil {
			return
		}
		if fn.String() != s {
			t.Fatalf("%q is written %q", s, fn)
		}
		oracle(t, fn.Inputs)
	})
}

// TestText: values are read as they are written, numbers as math/big has them.
func TestText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		v := drawValue(rt, drawType(rt, 0))
		text := v.Text()
		again, err := abi.FromText(v.Type, text)
		if err != nil || !bytes.Equal(abi.Encode([]abi.Value{again}), abi.Encode([]abi.Value{v})) {
			rt.Fatalf("%s %q: %v", v.Type, text, err)
		}
		switch v.Type.Kind {
		case abi.Int:
			n := new(big.Int).SetBytes(v.Word[:])
			if v.Word[0] >= 0x80 {
				n.Sub(n, new(big.Int).Lsh(big.NewInt(1), 256))
			}
			if n.String() != text {
				rt.Fatalf("%x is %s, not %s", v.Word, n, text)
			}
		case abi.Address:
			if want := common.BytesToAddress(v.Word[:]).Hex(); want != text {
				rt.Fatalf("got %s, want %s", text, want)
			}
		case abi.String:
			if !utf8.ValidString(text) {
				rt.Fatal("the text is not UTF-8")
			}
		}
	})
}

// TestFromJSON: what people write for a call, and what is refused of it.
func TestFromJSON(t *testing.T) {
	t.Parallel()
	f, err := abi.ParseFunction("f(address,uint8,int8,bytes,(bool,string)[],uint256[2])")
	if err != nil {
		t.Fatal(err)
	}
	const good = `["0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed","255",-128,"0x00ff",[[true,"x"]],[1,"2"]]`
	vs, err := abi.FromJSON(f.Inputs, []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := f.DecodeCall(f.EncodeCall(vs)); err != nil || again[2].Text() != "-128" || again[4].Items[0].Items[1].Text() != "x" {
		t.Errorf("got %v, %v", again, err)
	}
	for was, is := range map[string]string{"0x5aAeb": "0x5aaeb", `"255"`: `"256"`, "-128": "-129", "0x00ff": "00ff", "true": `"yes"`, `[1,"2"]`: `[1]`, `"x"]`: `7]`, "[1,": "[1.5,", `"2"]]`: `"2"]] 1`, `"2"`: `null`} {
		if _, err := abi.FromJSON(f.Inputs, []byte(strings.Replace(good, was, is, 1))); !errors.Is(err, abi.ErrText) {
			t.Errorf("%s in the place of %s: got %v", is, was, err)
		}
	}
}
