// SPDX-License-Identifier: Apache-2.0

package verifyapp

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"strongroom/internal/pure/proof"
	"strongroom/internal/pure/request"
	"strongroom/verify"
)

const key = "099f279ccf7009068bf4e2d2c7f6a640861d39fe32f8ebf1fae4d8cbb6c1d6ab"

func TestLogKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, in := range map[string]string{"hex": key, "file": file("hex", key+"\n"), "domain": file("domain.json", `{"domain":"x","logKey":"`+key+`"}`)} {
		if got, err := LogKey(in); err != nil || len(got) != 32 || got[0] != 0x09 {
			t.Errorf("%s: got %x, error %v", name, got, err)
		}
	}
	for name, in := range map[string]string{"short": key[2:], "no file": filepath.Join(dir, "none"), "other text": file("text", "hello"), "no key": file("other.json", `{"a":1}`),
		"not JSON": file("bad.json", `{"`)} {
		if _, err := LogKey(in); err == nil || !strings.Contains(err.Error(), "--log-key") {
			t.Errorf("%s: got error %v", name, err)
		}
	}
}

func TestMainStatus(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	damaged := filepath.Join(t.TempDir(), "damaged")
	if err := os.WriteFile(damaged, proof.File{V: 1}.Encode()[:40], 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args string
		want int
	}{
		{"", OK}, {"--help", OK}, {"proof --help", OK}, {"help", OK}, {"receipt x --log-key " + key, Usage}, {"proof", Usage}, {"proof a b --log-key " + key, Usage},
		{"proof a", Usage}, {"proof a --log-key " + key + " -o yaml", Usage}, {"proof a --colour red", Usage}, {"proof a --log-key xyz", Usage},
		{"proof " + empty + ".none --log-key " + key, Failed}, {"proof " + empty + " --log-key " + key, Failed}, {"--log-key " + key + " proof " + damaged + " -o json", Invalid}, {"proof " + damaged + " --log-key " + key, Invalid},
		{"version", OK}, {"version -o json", OK}, {"proof " + empty + " --log-key " + key + " -o json", Failed}, {"proof a -o json", Usage},
	} {
		var out, words bytes.Buffer
		if got := Main("strongroom-verify", strings.Fields(tt.args), &out, &words); got != tt.want {
			t.Errorf("%q: exit status %d, want %d: %s", tt.args, got, tt.want, words.String())
		}
		said := "strongroom: error: "
		if strings.HasSuffix(tt.args, "-o json") {
			said = `{"error":{"kind":"`
		}
		if tt.want == Failed && strings.Contains(tt.args, empty+" ") && !strings.Contains(words.String(), "not a proof file") {
			t.Errorf("%q: wrote %q", tt.args, words.String())
		}
		if tt.want != OK && (out.Len() > 0 || !strings.HasPrefix(words.String(), said)) {
			t.Errorf("%q: wrote %q and %q", tt.args, out.String(), words.String())
		}
	}
	if err := Check(nil, "xyz"); err == nil {
		t.Error("a malformed key is taken")
	}
}

// Nothing that a proof holds, or that stands in the name of a file, does anything to the terminal.
func TestNothingMovesTheCursor(t *testing.T) {
	t.Parallel()
	const evil = "x\x1b[2J\u009b1A\u202ehidden\r\nThe proof holds."
	r := &verify.Report{Profile: evil, Initiator: evil, Evidence: evil, Rule: evil, Outcome: evil, Effects: request.Effects{Operation: evil, Wallet: evil},
		Approvals: []verify.Signature{{Person: evil}}, Rejections: []verify.Signature{{Person: evil, Decision: evil}},
		Refusals: []verify.Refusal{{Act: evil, Kind: evil, Detail: evil}}, Attempts: []verify.Attempt{{TxID: evil}}, Entries: []verify.Line{{Kind: evil}}, Notes: []string{evil}}
	var out bytes.Buffer
	if err := errors.Join(writeWords(&out, r, make([]byte, 32)), writeJSON(&out, r)); err != nil {
		t.Fatal(err)
	}
	if code := Main("strongroom-verify", []string{"proof", evil, "--log-key", key}, &out, &out); code != Failed {
		t.Errorf("status %d", code)
	}
	if n := strings.Count(out.String(), "\nThe proof holds.") + strings.Count(out.String(), "\x1b"); n > 0 {
		t.Errorf("%d lines are not the program's", n)
	}
	for l := range strings.Lines(out.String()) {
		if strings.ContainsFunc(strings.TrimSuffix(l, "\n"), func(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cf) }) {
			t.Errorf("wrote %q", l)
		}
	}
}
