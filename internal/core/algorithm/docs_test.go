// SPDX-License-Identifier: Apache-2.0

package algorithm

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	described "strongroom/internal/pure/algorithm"
	"strongroom/internal/pure/points"
)

var update = flag.Bool("update", false, "write the tables of docs/spec/algorithms.md")

const page = "../../../docs/spec/algorithms.md"

func code[T ~string](list []T) string {
	var out []string
	for _, x := range list {
		out = append(out, "`"+string(x)+"`")
	}
	return strings.Join(out, ", ")
}

func algorithmTable(t described.Table) string {
	var b strings.Builder
	b.WriteString("| mechanism | use | kinds of keys | through | control point | makes, bytes | strength, bits | PKCS#11 | standard |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range t.Rows() {
		makes := "by key"
		switch {
		case r.Use == described.Encrypt || r.Use == described.Wrap:
			makes = fmt.Sprintf("at most %d more", r.Makes)
		case r.Makes > 0:
			makes = fmt.Sprint(r.Makes)
		case r.Use == described.Derive:
			makes = "keys"
		}
		strength := fmt.Sprint(r.Strength)
		if r.PQ {
			strength += ", pq"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | `%s` | %s | %s | %s | %s |\n", r.Mechanism, r.Use, code(r.Kinds), cmp.Or(code(r.Via), "–"), points.Point(r.Point), makes, strength,
			r.PKCS11, r.Source)
	}
	return b.String()
}

func kindTable(t described.Table) string {
	var b strings.Builder
	b.WriteString("| kind | secret, bytes | public key, bytes | what they are | class |\n|---|---|---|---|---|\n")
	for _, k := range t.Kinds() {
		size := fmt.Sprint(k.Min)
		if k.Max != k.Min {
			size = fmt.Sprintf("%d to %d", k.Min, k.Max)
		}
		public := "none"
		if k.Public > 0 {
			public = fmt.Sprint(k.Public)
		}
		only := "any"
		if k.Only != "" {
			only = "`" + k.Only + "` only"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", k.Kind, size, public, k.Form, only)
	}
	return b.String()
}

func pointTable() string {
	var b strings.Builder
	b.WriteString("| number | control point | with it | in a new evaluation domain |\n|---|---|---|---|\n")
	for _, p := range points.Known().Points() {
		on := "off"
		if points.Evaluation().Has(p) {
			on = "on"
		}
		fmt.Fprintf(&b, "| %d | `%s` | %s | %s |\n", p, p, p.Meaning(), on)
	}
	return b.String()
}

// TestPage: the tables of the page are those of the code.
func TestPage(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	text, all := string(raw), described.All()
	for name, want := range map[string]string{"algorithms": algorithmTable(all), "kinds": kindTable(all), "points": pointTable()} {
		start, end := "<!-- table: "+name+" -->\n", "<!-- end of table: "+name+" -->\n"
		i, j := strings.Index(text, start), strings.Index(text, end)
		if i < 0 || j < i {
			t.Fatalf("the page has no place for the table of %s", name)
		}
		if got := text[i+len(start) : j]; got != want {
			if !*update {
				t.Errorf("the table of %s is not that of the code; write it with: go test ./internal/core/algorithm -run TestPage -update", name)
			}
			text = text[:i+len(start)] + want + text[j:]
		}
	}
	if *update {
		if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
