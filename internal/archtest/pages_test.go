// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// checkTables gives the rows of glossary and dependencies that say something twice, or stand in the wrong place: merges leave such rows.
func checkTables(tree fs.FS) (bad []string, rows int, err error) {
	for _, page := range []struct {
		name   string
		sorted bool
	}{{"docs/GLOSSARY.md", true}, {"docs/DEPS.md", false}} {
		text, err := fs.ReadFile(tree, page.name)
		if err != nil {
			return nil, 0, err
		}
		seen, last := map[string]bool{}, ""
		for i, line := range strings.Split(string(text), "\n") {
			if !strings.HasPrefix(line, "|") {
				clear(seen) // another table
				last = ""
				continue
			}
			cell, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " |")
			if cell == "word" || cell == "module" || strings.HasPrefix(line, "|--") {
				continue
			}
			rows++
			if seen[cell] {
				bad = append(bad, fmt.Sprintf("%s:%d: %s has a row already", page.name, i+1, cell))
			}
			seen[cell] = true
			word := strings.ToLower(strings.Trim(cell, "*"))
			if page.sorted && word < last {
				bad = append(bad, fmt.Sprintf("%s:%d: %s stands behind %s", page.name, i+1, cell, last))
			}
			last = word
		}
	}
	return bad, rows, nil
}

// checkPages gives the pages for people that no other page leads to: those of formats from ARCHITECTURE, runbooks from README.
func checkPages(tree fs.FS) (bad []string, err error) {
	for _, x := range []struct{ folder, from string }{{"docs/spec", "docs/ARCHITECTURE.md"}, {"docs/runbooks", "README.md"}} {
		text, err := fs.ReadFile(tree, x.from)
		if err != nil {
			return nil, err
		}
		pages, err := fs.Glob(tree, x.folder+"/*.md")
		if err != nil {
			return nil, err
		}
		for _, p := range pages {
			to := p
			if dir := path.Dir(x.from); dir != "." {
				to = strings.TrimPrefix(p, dir+"/")
			}
			if n := strings.Count(string(text), "]("+to+")"); n == 0 || x.folder == "docs/spec" && inFormats(string(text), to) != 1 {
				bad = append(bad, fmt.Sprintf("%s leads to %s %d times", x.from, p, n))
			}
		}
	}
	return bad, nil
}

// inFormats counts the places below the last heading that lead to a page.
func inFormats(text, to string) int {
	_, last, _ := strings.Cut(text, "\n## Formats\n")
	return strings.Count(last, "]("+to+")")
}

// TestTablesAndPages: a word and a module have one row, the glossary is in order, and each page is found from where people begin.
func TestTablesAndPages(t *testing.T) {
	t.Parallel()
	bad, rows, err := checkTables(os.DirFS(tree))
	if err != nil {
		t.Fatal(err)
	}
	if rows < 150 {
		t.Fatalf("found %d rows: this is not the tree", rows)
	}
	lost, err := checkPages(os.DirFS(tree))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range slices.Concat(bad, lost) {
		t.Error(line)
	}
}

func TestTablesAndPagesFinds(t *testing.T) {
	t.Parallel()
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	const head = "| word | meaning |\n|---|---|\n"
	m := fstest.MapFS{
		"docs/GLOSSARY.md":      file(head + "| **b** | 1 |\n| **a** | 2 |\n| **pin** | 3 |\n| **PIN** | 4 |\n| **pin** | 5 |\n"),
		"docs/DEPS.md":          file("| module | why |\n|---|---|\n| `z` | 1 |\n| `a` | 2 |\n\n| module | why |\n|---|---|\n| `z` | tests |\n| `z` | again |\n"),
		"docs/ARCHITECTURE.md":  file("[one](spec/one.md)\n\n## Formats\n[one](spec/one.md) [two](spec/two.md) [two](spec/two.md)\n"),
		"docs/spec/one.md":      file(""),
		"docs/spec/two.md":      file(""),
		"docs/runbooks/x.md":    file(""),
		"docs/runbooks/seen.md": file(""),
		"README.md":             file("[seen](docs/runbooks/seen.md)"),
	}
	got, _, err := checkTables(m)
	if err != nil || len(got) != 3 {
		t.Errorf("tables: got %q, %v", got, err)
	}
	got, err = checkPages(m)
	if err != nil || len(got) != 2 {
		t.Errorf("pages: got %q, %v", got, err)
	}
}
