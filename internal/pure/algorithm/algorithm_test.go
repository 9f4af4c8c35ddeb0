// SPDX-License-Identifier: Apache-2.0

package algorithm

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestAll: the table of this version is one that New takes.
func TestAll(t *testing.T) {
	t.Parallel()
	all := All()
	again, err := New(all.Rows(), all.Kinds())
	if err != nil || len(again.Rows()) != len(rows) || len(again.Kinds()) != len(materials) {
		t.Fatalf("got %d rows, %d kinds, %v", len(again.Rows()), len(again.Kinds()), err)
	}
	used := map[Kind]bool{}
	for _, r := range all.Rows() {
		for _, k := range r.Kinds {
			used[k] = true
			if !all.Direct(k, r.Mechanism) || !all.Fits(k, r.Mechanism) {
				t.Errorf("%s does not take %s", r.Mechanism, k)
			}
		}
		for _, k := range r.Via {
			used[k] = true
			if all.Direct(k, r.Mechanism) || !all.Fits(k, r.Mechanism) {
				t.Errorf("%s takes the secret of a %s itself", r.Mechanism, k)
			}
		}
	}
	for _, k := range all.Kinds() {
		if !used[k.Kind] {
			t.Errorf("nothing is done with kind %s", k.Kind)
		}
	}
	if all.Fits(KindAES256, EdDSA) || all.Fits("rot13", EdDSA) || all.Fits(KindAES256, "rot13") || all.Direct(KindHDSeed, BIP340) {
		t.Error("a key fits what it does not")
	}
	all.Rows()[0].Mechanism = "changed"
	if r, ok := All().Find(BIP32); !ok || r.Mechanism != rows[0].Mechanism {
		t.Error("the table can be changed through what it gives out")
	}
}

// TestFrozen: names and control points that stand in blobs and logs stay as they were.
func TestFrozen(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("testdata/frozen/names.txt")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(string(b)) {
		seen[strings.TrimSpace(line)] = true
	}
	have := map[string]bool{}
	for _, r := range All().Rows() {
		have[fmt.Sprintf("mechanism %s %d %s", r.Mechanism, r.Point, r.Use)] = true
	}
	for _, k := range All().Kinds() {
		have[fmt.Sprintf("kind %s %d-%d %d", k.Kind, k.Min, k.Max, k.Public)] = true
	}
	for line := range seen {
		if !have[line] {
			t.Errorf("gone or changed: %s", line)
		}
	}
	for line := range have {
		if !seen[line] {
			t.Errorf("not in the file of frozen names: %s", line)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	kind := Material{Kind: "k", Min: 1, Max: 2}
	row := Row{Mechanism: "m", Use: Sign, Kinds: []Kind{"k"}, Point: 200}
	if _, err := New([]Row{row}, []Material{kind}); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Row, *Material){
		"kind without name": func(_ *Row, k *Material) { k.Kind = "" },
		"kind without size": func(_ *Row, k *Material) { k.Min = 0 },
		"sizes in reverse":  func(_ *Row, k *Material) { k.Max = 0 },
		"negative public":   func(_ *Row, k *Material) { k.Public = -1 },
		"row without name":  func(r *Row, _ *Material) { r.Mechanism = "" },
		"row with plus":     func(r *Row, _ *Material) { r.Mechanism = "a+b" },
		"row without point": func(r *Row, _ *Material) { r.Point = 0 },
		"unknown use":       func(r *Row, _ *Material) { r.Use = "" },
		"row without kinds": func(r *Row, _ *Material) { r.Kinds = nil },
		"unknown kind":      func(r *Row, _ *Material) { r.Kinds = []Kind{"x"} },
		"unknown via":       func(r *Row, _ *Material) { r.Via = []Kind{"x"} },
	} {
		r, k := row, kind
		change(&r, &k)
		if _, err := New([]Row{r}, []Material{k}); !errors.Is(err, ErrTable) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	other := row
	other.Mechanism = "n"
	for name, list := range map[string][]Row{"row twice": {row, row}, "point twice": {row, other}} {
		if _, err := New(list, []Material{kind}); !errors.Is(err, ErrTable) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := New(nil, []Material{kind, kind}); !errors.Is(err, ErrTable) {
		t.Errorf("kind twice: got %v", err)
	}
}
