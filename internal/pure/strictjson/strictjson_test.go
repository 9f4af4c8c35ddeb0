// SPDX-License-Identifier: Apache-2.0

package strictjson_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/strictjson"
)

type inner struct {
	N uint8  `json:"n"`
	S string `json:"s,omitempty"`
}

type outer struct {
	Name   string          `json:"name"`
	Count  int64           `json:"count,omitempty"`
	Yes    bool            `json:"yes,omitempty"`
	Bytes  []byte          `json:"bytes,omitempty"`
	List   []inner         `json:"list,omitempty"`
	Ptr    *inner          `json:"ptr,omitempty"`
	Raw    json.RawMessage `json:"raw,omitempty"`
	Amount custody.Uint256 `json:"amount,omitempty"`
	Hidden string          `json:"-"`
	Bare   string
}

func TestDecode(t *testing.T) {
	t.Parallel()
	var got outer
	in := ` {"name":"a\u00e9\ud83d\ude00\n\/","count":-9223372036854775808,"yes":true,"bytes":"AQI=","list":[{"n":255},{"n":0,"s":"x"}],
		"ptr":{"n":1},"raw":{"any":[1.5e3,null]},"amount":"12345678901234567890"} `
	if err := strictjson.Decode([]byte(in), &got); err != nil {
		t.Fatal(err)
	}
	amount, _ := custody.ParseUint256("12345678901234567890")
	want := outer{Name: "aé😀\n/", Count: -9223372036854775808, Yes: true, Bytes: []byte{1, 2}, List: []inner{{N: 255}, {S: "x"}}, Ptr: &inner{N: 1},
		Raw: json.RawMessage(`{"any":[1.5e3,null]}`), Amount: amount}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	var learnt outer
	if err := strictjson.Learn(outer{}).Decode([]byte(in), &learnt); err != nil || !reflect.DeepEqual(learnt, want) {
		t.Errorf("with learnt types: %+v %v", learnt, err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, in, pointer string
		syntax            bool
	}{
		{"empty", "", "", true},
		{"blank", "  \n", "", true},
		{"trailing", `{"name":"a"}x`, "", true},
		{"two values", `{"name":"a"} {}`, "", true},
		{"byte order mark", "\ufeff{\"name\":\"a\"}", "", true},
		{"comment", `{"name":"a"/*x*/}`, "", true},
		{"single quotes", `{'name':'a'}`, "", true},
		{"trailing comma", `{"name":"a",}`, "", true},
		{"no colon", `{"name" "a"}`, "", true},
		{"cut in string", `{"name":"a`, "/name", true},
		{"cut in escape", `{"name":"a\`, "/name", true},
		{"cut in hex", `{"name":"\u00`, "/name", true},
		{"cut in list", `{"name":"a","list":[{"n":1}`, "/list", true},
		{"bad escape", `{"name":"\x"}`, "/name", true},
		{"bad hex", `{"name":"\u00zz"}`, "/name", true},
		{"control character", "{\"name\":\"a\tb\"}", "/name", true},
		{"control character after escape", "{\"name\":\"\\n\tb\"}", "/name", true},
		{"invalid utf-8", "{\"name\":\"\xc3\"}", "/name", true},
		{"invalid utf-8 after escape", "{\"name\":\"\\n\xc3\"}", "/name", true},
		{"lone high surrogate", `{"name":"\ud800x"}`, "/name", true},
		{"lone low surrogate", `{"name":"\udc00"}`, "/name", true},
		{"two high surrogates", `{"name":"\ud800\ud800"}`, "/name", true},
		{"twice", `{"name":"a","name":"a"}`, "/name", true},
		{"twice by escape", `{"name":"a","n\u0061me":"a"}`, "/name", true},
		{"twice inside", `{"name":"a","list":[{"n":1},{"n":1,"n":2}]}`, "/list/1/n", true},
		{"twice in raw", `{"name":"a","raw":{"x":1,"x":2}}`, "/raw/x", true},
		{"number like 01", `{"name":"a","count":01}`, "/count", true},
		{"number like 1.", `{"name":"a","raw":1.}`, "/raw", true},
		{"number like .5", `{"name":"a","raw":.5}`, "/raw", true},
		{"number like 1e", `{"name":"a","raw":1e}`, "/raw", true},
		{"nan", `{"name":"a","raw":NaN}`, "/raw", true},
		{"word with tail", `{"name":"a","yes":truex}`, "", true},
		{"too deep", `{"name":"a","raw":` + strings.Repeat("[", 40), "*", true},
		{"unknown", `{"name":"a","nope":1}`, "/nope", false},
		{"unknown with slash", `{"name":"a","a/b~c":1}`, "/a~1b~0c", false},
		{"other case", `{"Name":"a"}`, "/Name", false},
		{"hidden field", `{"name":"a","Hidden":"x"}`, "/Hidden", false},
		{"untagged field", `{"name":"a","Bare":"x"}`, "/Bare", false},
		{"missing", `{"count":1}`, "/name", false},
		{"missing inside", `{"name":"a","list":[{}]}`, "/list/0/n", false},
		{"null", `{"name":null}`, "/name", false},
		{"null element", `{"name":"a","list":[null]}`, "/list/0", false},
		{"string for number", `{"name":"a","count":"1"}`, "/count", false},
		{"number for string", `{"name":1}`, "/name", false},
		{"object for string", `{"name":{}}`, "/name", false},
		{"array for object", `[]`, "", false},
		{"string for object", `"x"`, "", false},
		{"array for bytes", `{"name":"a","bytes":[1,2]}`, "/bytes", false},
		{"fraction", `{"name":"a","count":1.0}`, "/count", false},
		{"exponent", `{"name":"a","count":1e2}`, "/count", false},
		{"minus zero", `{"name":"a","count":-0}`, "/count", false},
		{"too large", `{"name":"a","count":9223372036854775808}`, "/count", false},
		{"too large for a byte", `{"name":"a","list":[{"n":256}]}`, "/list/0/n", false},
		{"negative for unsigned", `{"name":"a","list":[{"n":-1}]}`, "/list/0/n", false},
		{"base64 without padding", `{"name":"a","bytes":"AQI"}`, "/bytes", false},
		{"base64 with loose bits", `{"name":"a","bytes":"AQJ="}`, "/bytes", false},
		{"base64 with line break", `{"name":"a","bytes":"AQ\nI="}`, "/bytes", false},
		{"url base64", `{"name":"a","bytes":"-_8="}`, "/bytes", false},
		{"amount as number", `{"name":"a","amount":1}`, "/amount", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var v outer
			err := strictjson.Decode([]byte(tc.in), &v)
			var e *strictjson.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want an Error", err)
			}
			if again := strictjson.Learn(outer{}).Decode([]byte(tc.in), new(outer)); again == nil || again.Error() != err.Error() {
				t.Errorf("with learnt types: %v, without: %v", again, err)
			}
			if e.Syntax != tc.syntax || (e.Pointer != tc.pointer && tc.pointer != "*") {
				t.Errorf("got pointer %q syntax %v, want %q %v (%v)", e.Pointer, e.Syntax, tc.pointer, tc.syntax, err)
			}
		})
	}
	if strictjson.Decode([]byte("1"), nil) == nil || strictjson.Decode([]byte("1"), outer{}) == nil {
		t.Error("decoded into nothing")
	}
}

func TestNullIsAbsentForOptionalMembers(t *testing.T) {
	t.Parallel()
	var v outer
	if err := strictjson.Decode([]byte(`{"name":"a","count":null,"ptr":null,"list":null}`), &v); err != nil || v.Ptr != nil || v.List != nil {
		t.Errorf("%+v %v", v, err)
	}
}

// TestReadsWhatEncodingJSONWrites: what the standard library writes is read back as it was.
func TestReadsWhatEncodingJSONWrites(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := outer{Name: rapid.String().Draw(t, "name"), Count: rapid.Int64().Draw(t, "count"), Yes: rapid.Bool().Draw(t, "yes"),
			Bytes: rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"), Amount: custody.U64(rapid.Uint64().Draw(t, "amount")),
			List: rapid.SliceOf(rapid.Custom(func(t *rapid.T) inner {
				return inner{N: rapid.Uint8().Draw(t, "n"), S: rapid.StringMatching(`[ -~]*`).Draw(t, "s")}
			})).Draw(t, "list")}
		if !utf8.ValidString(in.Name) {
			t.Skip("not text")
		}
		b, err := json.Marshal(struct {
			Name   string          `json:"name"`
			Count  int64           `json:"count,omitempty"`
			Yes    bool            `json:"yes,omitempty"`
			Bytes  []byte          `json:"bytes,omitempty"`
			List   []inner         `json:"list,omitempty"`
			Amount custody.Uint256 `json:"amount"`
		}{in.Name, in.Count, in.Yes, in.Bytes, in.List, in.Amount})
		if err != nil {
			t.Fatal(err)
		}
		var out outer
		if err := strictjson.Decode(b, &out); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		if len(in.Bytes) == 0 {
			in.Bytes = nil
		}
		if len(in.List) == 0 {
			in.List = nil
		}
		if !reflect.DeepEqual(in, out) {
			t.Fatalf("got %+v, want %+v", out, in)
		}
	})
}

// FuzzDecode: what is accepted, the standard library reads the same way.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"name":"a","count":1,"list":[{"n":1}],"raw":[{}],"amount":"7"}`))
	f.Add([]byte(`{"name":"\ud83d\ude00","bytes":"AQI="}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var strict outer
		if err := strictjson.Decode(b, &strict); err != nil {
			return
		}
		var loose outer
		if err := json.Unmarshal(b, &loose); err != nil {
			t.Fatalf("accepted what encoding/json refuses: %v", err)
		}
		strict.Raw, loose.Raw = nil, nil
		if len(strict.List) == 0 && len(loose.List) == 0 {
			strict.List, loose.List = nil, nil
		}
		if len(strict.Bytes) == 0 && len(loose.Bytes) == 0 {
			strict.Bytes, loose.Bytes = nil, nil
		}
		if !reflect.DeepEqual(strict, loose) {
			t.Fatalf("read as %+v, by encoding/json as %+v", strict, loose)
		}
	})
}
