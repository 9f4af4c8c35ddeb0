// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"bytes"
	"encoding"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

// The content is long and odd enough that no form of it appears by chance.
const hush = "Zq7#hush-hush"

// forms are the ways in which fmt and encoders could show the content: as text, hex, decimal, octal and binary lists, base64.
func forms() []string {
	b := []byte(hush)
	out := []string{hush, hex.EncodeToString(b), strings.ToUpper(hex.EncodeToString(b)), base64.StdEncoding.EncodeToString(b)[:16]}
	for _, verb := range []string{"%v", "%#v", "%x", "%#x", "% x", "% X", "%o", "%b", "%q", "%U", "%c", "%08b"} {
		s := fmt.Sprintf(verb, b)
		out = append(out, strings.Trim(s, "[]{}\""), strings.Trim(fmt.Sprintf(verb, b[:8]), "[]{}\""))
		out = append(out, strings.Trim(fmt.Sprintf(verb, []int{int(b[0]), int(b[1]), int(b[2]), int(b[3])}), "[]{}"))
	}
	return out
}

type exported struct {
	Name string
	Key  Bytes
	Ptr  *Bytes
}

type unexported struct {
	name string
	key  Bytes
	ptr  *Bytes
	deep *unexported
	any  any
	list []Bytes
	dict map[string]Bytes
	ar   *Arena
}

func TestNoVerbShowsTheContent(t *testing.T) {
	t.Parallel()
	a := testArena(t, 4096)
	b := take(t, a, hush)
	in := unexported{"n", b, &b, nil, b, []Bytes{b}, map[string]Bytes{"k": b}, a}
	in.deep = &unexported{"n", b, &b, &in, &b, []Bytes{b}, map[string]Bytes{"k": b}, a}
	values := map[string]any{
		"value": b, "pointer": &b, "exported": exported{"n", b, &b}, "pointer to exported": &exported{"n", b, &b},
		"slice": []Bytes{b}, "slice of pointers": []*Bytes{&b}, "array": [1]Bytes{b}, "map": map[string]Bytes{"k": b}, "any": []any{b, &b},
		"unexported": in.deep.any, "unexported nested": unexported{"n", b, &b, nil, b, []Bytes{b}, map[string]Bytes{"k": b}, a},
		"pointer to pointer": new(new(b)), "error": fmt.Errorf("key %v", b), "arena": a, "arena in struct": struct{ a *Arena }{a}, "arena value": struct{ A *Arena }{a},
		"content func": b.content,
	}
	bad := forms()
	for name, v := range values {
		for _, flags := range []string{"", "+", "#", "-", " ", "0", "+#", "# ", "40", ".3", "-40.3", "+v"} {
			for _, verb := range "vTtbcdoOqxXUeEfFgGspwz!" {
				format := "%" + flags + string(verb)
				got := fmt.Sprintf(format, v)
				for _, f := range bad {
					if strings.Contains(got, f) {
						t.Errorf("%s under %s shows the content: %s", name, format, got)
						break
					}
				}
			}
		}
		for _, got := range []string{fmt.Sprint(v), fmt.Sprintln(v)} {
			if strings.Contains(got, hush) {
				t.Errorf("%s printed shows the content: %s", name, got)
			}
		}
	}
}

func TestPrintsAsSecret(t *testing.T) {
	t.Parallel()
	a := testArena(t, 4096)
	b := take(t, a, hush)
	for _, verb := range "vtbcdoOqxXUeEfFgGs" { // %w outside Errorf, %T and %p call no method: TestNoVerbShowsTheContent
		for _, flags := range []string{"", "+", "#", "20", ".1"} {
			format := "%" + flags + string(verb)
			for name, v := range map[string]any{"value": b, "pointer": &b, "wiped": Bytes{}} {
				if got := fmt.Sprintf(format, v); got != "[secret]" {
					t.Errorf("%s under %s: %s", name, format, got)
				}
			}
		}
	}
	for _, tc := range []struct {
		got, want string
	}{
		{b.String(), "[secret]"},
		{fmt.Sprintf("%v", exported{"n", b, nil}), "{n [secret] <nil>}"},
		{fmt.Sprintf("%+v", &exported{"n", b, &b}), "&{Name:n Key:[secret] Ptr:[secret]}"},
		{fmt.Sprintf("%d", []Bytes{b, b}), "[[secret] [secret]]"},
		{fmt.Sprintf("%x", map[string]*Bytes{"k": &b}), "map[6b:[secret]]"},
		{fmt.Sprint(a), "[secret arena]"},
		{fmt.Sprintf("%#v", a), "[secret arena]"},
	} {
		if tc.got != tc.want {
			t.Errorf("got %s, want %s", tc.got, tc.want)
		}
	}
}

func TestLogsAsSecret(t *testing.T) {
	t.Parallel()
	b := take(t, testArena(t, 4096), hush)
	for name, handler := range map[string]func(io.Writer) slog.Handler{
		"text": func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) },
		"json": func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) },
	} {
		var out bytes.Buffer
		log := slog.New(handler(&out))
		log.Info("value", "key", b)
		if !strings.Contains(out.String(), "[secret]") {
			t.Errorf("%s: %s", name, &out)
		}
		log.Info("nested", "pointer", &b, "struct", exported{"n", b, &b}, "inner", unexported{key: b, ptr: &b}, slog.Group("g", "key", b))
		for _, f := range forms() {
			if strings.Contains(out.String(), f) {
				t.Errorf("%s shows the content: %s", name, &out)
			}
		}
	}
}

func TestRefusesMarshallers(t *testing.T) {
	t.Parallel()
	b := take(t, testArena(t, 4096), hush)
	for name, marshal := range map[string]func(any) ([]byte, error){
		"json": json.Marshal,
		"xml":  xml.Marshal,
		"cbor": cbor.Marshal,
		"gob": func(v any) ([]byte, error) {
			var out bytes.Buffer
			err := gob.NewEncoder(&out).Encode(v)
			return out.Bytes(), err
		},
		"text":   func(v any) ([]byte, error) { return asText(v).MarshalText() },
		"binary": func(v any) ([]byte, error) { return asBinary(v).MarshalBinary() },
	} {
		values := []any{b, &b}
		if name != "text" && name != "binary" {
			values = append(values, exported{Key: b}, exported{Ptr: &b}, []Bytes{b})
		}
		for _, v := range values {
			if out, err := marshal(v); !errors.Is(err, ErrMarshal) {
				t.Errorf("%s of %T: got %q, %v; want ErrMarshal", name, v, out, err)
			}
		}
	}
	if _, err := b.MarshalYAML(); !errors.Is(err, ErrMarshal) {
		t.Errorf("yaml: got %v", err)
	}
}

func asText(v any) encoding.TextMarshaler {
	m, _ := v.(encoding.TextMarshaler)
	return m
}

func asBinary(v any) encoding.BinaryMarshaler {
	m, _ := v.(encoding.BinaryMarshaler)
	return m
}

func TestRefusesUnmarshallers(t *testing.T) {
	t.Parallel()
	var v struct{ Key Bytes }
	for name, err := range map[string]error{
		"json":   json.Unmarshal([]byte(`{"Key":"00"}`), &v),
		"cbor":   cbor.Unmarshal([]byte{0xa1, 0x63, 'K', 'e', 'y', 0x41, 0}, &v),
		"xml":    xml.Unmarshal([]byte(`<v><Key>00</Key></v>`), &v),
		"text":   v.Key.UnmarshalText([]byte("00")),
		"binary": v.Key.UnmarshalBinary([]byte{0}),
		"gob":    v.Key.GobDecode([]byte{0}),
	} {
		if !errors.Is(err, ErrMarshal) {
			t.Errorf("%s: got %v, want ErrMarshal", name, err)
		}
	}
}
