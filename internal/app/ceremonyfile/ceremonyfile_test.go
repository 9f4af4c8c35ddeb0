// SPDX-License-Identifier: Apache-2.0

package ceremonyfile

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/ceremony"
)

func example(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("../../../examples/ceremony/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestExamples(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct{ participants, steps int }{"first.yaml": {5, 19}, "production.yaml": {9, 27}} {
		s, err := Parse(example(t, name))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(s.Participants) != want.participants || len(s.Steps()) != want.steps {
			t.Errorf("%s: %d participants, %d steps", name, len(s.Participants), len(s.Steps()))
		}
		var again ceremony.Script
		if err := canon.Decode(s.Encode(), &again); err != nil || again.Hash() != s.Hash() {
			t.Errorf("%s: the script is not read as itself: %v", name, err)
		}
		plan := Plan(s)
		for i, step := range s.Steps() {
			if !strings.Contains(plan, fmt.Sprintf("| %d | %s | %s | | |", i+1, step.Actor, step.Title)) {
				t.Errorf("%s: the plan has no step %s", name, step.ID())
			}
		}
		for _, p := range s.Participants {
			if !strings.Contains(plan, fmt.Sprintf("| %s | %s | %s |", p.Role, p.Name, p.Key.Ref())) {
				t.Errorf("%s: the plan has no %s", name, p.Name)
			}
		}
		if first, _, _ := strings.Cut(plan, "\n## "); !strings.Contains(first, Groups(s.Hash())) {
			t.Errorf("%s: the hash does not stand on page one", name)
		}
	}
}

// TestErrorsNameThePlace: each change makes a script that is refused, at its line.
func TestErrorsNameThePlace(t *testing.T) {
	t.Parallel()
	text := string(example(t, "production.yaml"))
	line := func(s string) int {
		i := strings.Index(text, s)
		if i < 0 {
			t.Fatalf("the example has no %q", s)
		}
		return 1 + strings.Count(text[:i], "\n")
	}
	for name, tt := range map[string]struct {
		old, new string
		line     int
		says     string
	}{
		"unknown key":       {"title:", "titel:", line("title:"), `key "titel" is not known`},
		"twice":             {"quorum: 2", "quorum: 2\nquorum: 2", line("quorum: 2") + 1, "twice"},
		"threshold 1":       {"threshold: 3", "threshold: 1", line("threshold"), "in production the threshold is 2"},
		"all needed":        {"threshold: 3", "threshold: 5", line("threshold"), "one that is lost loses the key"},
		"two roles":         {"name: wanda", "name: will", line("name: wanda"), "nobody has two roles"},
		"unknown role":      {"role: auditor", "role: boss", line("role: auditor"), "the roles are"},
		"no recipient":      {`    recipient: "p256:`, `    safe: "`, line(`    recipient: "p256:`) + 2, "there twice"},
		"wrong recipient":   {`recipient: "p256:`, `recipient: "p256:00`, line(`recipient: "p256:`), "strongroom custodian key"},
		"few rolls":         {"rolls: 60", "rolls: 10", line("rolls: 60"), "rolls a custodian"},
		"one rolls":         {"dice: [carl, cleo]", "dice: [carl]", line("dice:"), "two custodians at least"},
		"a stranger rolls":  {"dice: [carl, cleo]", "dice: [carl, bob]", line("dice:"), "no custodian"},
		"unknown source":    {"sources: [root]", "sources: [lava]", line("sources:"), "is not known"},
		"no program":        {"program: ", "# program: ", line("version:"), "production needs it"},
		"program no hex":    {"program: ", "program: x", line("program:"), "bytes in hex"},
		"unattended":        {"quorum: 2", "quorum: 2\nunattended: true", line("quorum: 2") + 1, "never unattended"},
		"unknown point":     {"points: [", "points: [fly, ", line("points:"), "fly"},
		"no majority":       {"quorum: 2", "quorum: 1", line("quorum"), "majority"},
		"a domain":          {"quorum: 2", "quorum: 2\ndomain: 00", line("quorum: 2") + 1, "domain must"},
		"another purpose":   {"purpose: create", "purpose: destroy", line("purpose"), "none of create"},
		"restore with dice": {"purpose: create", "purpose: restore", line("entropy") + 1, "entropy"},
		"no number":         {"threshold: 3", "threshold: three", line("threshold"), "whole number"},
		"a slug":            {"id: vault-2026", "id: Vault 2026", line("id:"), "id"},
		"an anchor of YAML": {"id: vault-2026", "id: &a vault-2026", line("id:"), "anchors"},
		"a second document": {"quorum: 2", "quorum: 2\n---\nid: x", line("quorum: 2") + 1, "second document"},
		"empty list":        {"sources: [root]", "sources: []", line("sources:"), "empty"},
		"a key is missing":  {"profile: production", "", line("version:"), "profile"},
		"a wrong key":       {"alg: ed25519", "alg: rsa", line("alg: ed25519"), "algorithm"},
	} {
		_, err := Parse([]byte(strings.Replace(text, tt.old, tt.new, 1)))
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%s: got error %v", name, err)
			continue
		}
		if e.Line != tt.line || e.Column < 1 || !strings.Contains(e.Error(), tt.says) || !strings.HasPrefix(e.Error(), "ceremony script: line ") {
			t.Errorf("%s: got %v, want line %d and %q", name, err, tt.line, tt.says)
		}
	}
	if _, err := Parse(nil); err == nil || !strings.Contains(err.Error(), "examples/ceremony/first.yaml") {
		t.Errorf("empty: %v", err)
	}
}

// FuzzParse: what is read is a script that may be used, and is encoded in one way.
func FuzzParse(f *testing.F) {
	short := regexp.MustCompile(`age1pq1[a-z0-9]+`).ReplaceAll(example(f, "first.yaml"), []byte("age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"))
	f.Add(short)
	f.Add(example(f, "production.yaml"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Parse(b)
		if err != nil {
			if e := (*Error)(nil); !errors.As(err, &e) {
				t.Fatalf("an error without a place: %v", err)
			}
			return
		}
		var again ceremony.Script
		if err := canon.Decode(s.Encode(), &again); err != nil || !bytes.Equal(again.Encode(), s.Encode()) || s.Check() != nil {
			t.Fatalf("not read as itself: %v, %v", err, s.Check())
		}
	})
}
