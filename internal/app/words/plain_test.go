// SPDX-License-Identifier: Apache-2.0

package words

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
)

func TestPlain(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"Zürich, 銀行: 0.5 ETH ± 1s…":  "Zürich, 銀行: 0.5 ETH ± 1s…", // what can be seen stays
		"x\x1b[2J\x1b[Hhidden":       "x\ufffd[2J\ufffd[Hhidden",  // CSI
		"a\rb\nc\td\x00\x7f":         "a\ufffdb\ufffdc\ufffdd\ufffd\ufffd",
		"\u009b1A":                   "\ufffd1A",                                   // CSI as C1
		"to \u202e4321\u202c":        "to \ufffd4321\ufffd",                        // right-to-left override
		"\u2066a\u2069\u200fb\u061c": "\ufffda\ufffd\ufffdb\ufffd",                 // isolates and marks
		"pay\u200bme\ufeff\u00ad":    "pay\ufffdme\ufffd\ufffd",                    // what can't be seen
		"a\u2028b\u2029":             "a\ufffdb\ufffd", "\xff\x9b": "\ufffd\ufffd", // line ends; no UTF-8
		"\U000e0041": "\ufffd", // tags
	} {
		if got := Plain(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// No character that a terminal acts on comes out, and none is added where there was none.
func TestPlainLeavesNothingHidden(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "text")
		got := Plain(s)
		if strings.ContainsFunc(got, unicode.IsControl) || strings.ContainsFunc(got, hidden) || len([]rune(got)) != len([]rune(s)) {
			t.Fatalf("%q is shown as %q", s, got)
		}
	})
}

// JSON says the same after it was made fit for a terminal.
func TestPlainJSONSaysTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"\u009b1A", "\u202e\x7f", "\U000e0041\U0001f600", "\x1b\n"})).Draw(t, "text")
		var buf bytes.Buffer
		e := json.NewEncoder(&buf)
		e.SetEscapeHTML(false)
		if err := e.Encode(map[string]string{"text": s}); err != nil {
			t.Fatal(err)
		}
		var want, got map[string]string
		plain := PlainJSON(buf.Bytes())
		if err := json.Unmarshal(buf.Bytes(), &want); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(plain, &got); err != nil || got["text"] != want["text"] {
			t.Fatalf("%q became %q: %v", want["text"], got["text"], err)
		}
		if strings.ContainsFunc(strings.TrimSuffix(string(plain), "\n"), hidden) {
			t.Fatalf("%q holds what is hidden", plain)
		}
	})
}

// What a request says is one line a fact, whatever stands in it.
func TestFactsAreLines(t *testing.T) {
	t.Parallel()
	const evil = "x\x1b[1A\u202ey\nz"
	for _, lines := range [][]string{
		Body(&request.TransferBody{Wallet: evil, Asset: custody.AssetID(evil), Outputs: []request.Output{{Address: evil}}}, evil),
		Body(&request.GroupSetBody{Group: evil, Members: []custody.PersonID{evil}}, ""), Body(&request.WhitelistAddBody{ID: evil, Chain: evil, Address: evil}, ""),
		Effects(request.Effects{Operation: evil, Wallet: evil, Chain: evil}, request.Bounds{}),
		Effects(request.Effects{Operation: request.Transfer, Source: evil, Outputs: []request.Output{{Address: evil}}}, request.Bounds{}), {Chain(evil)},
	} {
		for _, l := range lines {
			if strings.ContainsFunc(l, hidden) {
				t.Errorf("%q", l)
			}
		}
	}
}
