// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"bytes"
	"fmt"
	"go/ast"
	"maps"
	"slices"
	"strings"
)

// check gives every violation of the law in a set of sources, one line each, in order.
func check(all []*source) []string {
	var bad []string
	report := func(s *source, where, format string, args ...any) {
		bad = append(bad, where+": "+fmt.Sprintf(format, args...))
	}
	for _, s := range all {
		checkSPDX(s, report)
		if s.nested {
			continue
		}
		r := ringOf(s.folder)
		if r == nil {
			report(s, s.path, "the folder lies in no ring; see the table of rings")
			continue
		}
		if s.test {
			continue // may use second opinions, fakes and clocks
		}
		checkImports(s, r, report)
		checkClock(s, r, report)
		if r.frozen {
			checkInit(s, report)
		}
	}
	for folder, files := range packages(all) {
		if r := ringOf(folder); r != nil && r.frozen {
			checkVariables(files, report)
		}
	}
	bad = append(bad, checkClosures(all)...)
	slices.Sort(bad)
	return bad
}

type reporter func(s *source, where, format string, args ...any)

// packages groups what ships by folder.
func packages(all []*source) map[string][]*source {
	m := map[string][]*source{}
	for _, s := range all {
		if !s.test && !s.nested {
			m[s.folder] = append(m[s.folder], s)
		}
	}
	return m
}

// checkSPDX requires the licence line first in every file that a person wrote.
func checkSPDX(s *source, report reporter) {
	if !s.generated() && !bytes.HasPrefix(s.text, []byte("// SPDX-License-Identifier: Apache-2.0\n")) {
		report(s, s.path, "the first line is not the SPDX line")
	}
}

func checkImports(s *source, r *ring, report reporter) {
	for imp, pos := range s.imports() {
		at := s.at(pos)
		if folder, ok := ours(imp); ok {
			checkOwn(s, r, folder, at, report)
			continue
		}
		if r.name != testRing && matchesAny(testOnly, imp) {
			report(s, at, "%s is for tests", imp)
		}
		if matchesAny(r.never, imp) {
			report(s, at, "ring %s never imports %s", r.name, imp)
		}
		if !standard(imp) && r.outside != nil && !matchesAny(r.outside, imp) {
			report(s, at, "module of %s is not allowed in ring %s", imp, r.name)
		}
		for _, e := range bannedElements {
			if slices.Contains(bannedRings, r.name) && slices.Contains(strings.Split(imp, "/"), e) {
				report(s, at, "%s is for tests and edges: not constant time", imp)
			}
		}
	}
}

// checkOwn judges an import of one of our packages.
func checkOwn(s *source, r *ring, folder, at string, report reporter) {
	to := ringOf(folder)
	switch {
	case to == nil:
		report(s, at, "imports %s, which lies in no ring", folder)
	case to.name == testRing && r.name != testRing:
		report(s, at, "%s is for tests", folder)
	case to.name != r.name && !slices.Contains(r.may, to.name):
		report(s, at, "ring %s may not import ring %s (%s)", r.name, to.name, folder)
	case to.name == r.name && r.apart && part(r, s.folder) != part(r, folder):
		report(s, at, "%s and %s stay apart", part(r, s.folder), part(r, folder))
	}
}

// part gives the folder directly below a ring's folder.
func part(r *ring, folder string) string {
	for _, f := range r.folders {
		if rest, ok := strings.CutPrefix(folder, f+"/"); ok {
			first, _, _ := strings.Cut(rest, "/")
			return f + "/" + first
		}
	}
	return folder
}

// checkClock refuses reads of the clock, and in still rings timers and goroutines. A dot import would hide them.
func checkClock(s *source, r *ring, report reporter) {
	name := ""
	for _, i := range s.file.Imports {
		switch {
		case i.Name != nil && i.Name.Name == ".":
			report(s, s.at(i.Pos()), "dot import of %s", i.Path.Value)
		case i.Path.Value != `"time"`:
		case i.Name != nil:
			name = i.Name.Name
		default:
			name = "time"
		}
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			if r.still {
				report(s, s.at(n.Pos()), "ring %s starts no goroutines", r.name)
			}
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			if !ok || name == "" || x.Name != name || x.Obj != nil { // Obj: a variable of that name
				return true
			}
			if !r.clock && slices.Contains(clockReads, n.Sel.Name) {
				report(s, s.at(n.Pos()), "time.%s reads the clock; take the time as an argument", n.Sel.Name)
			}
			if r.still && slices.Contains(timers, n.Sel.Name) {
				report(s, s.at(n.Pos()), "ring %s has no timers (time.%s)", r.name, n.Sel.Name)
			}
		}
		return true
	})
}

// checkClosures follows our own imports from the programs that may not link everything.
func checkClosures(all []*source) []string {
	var bad []string
	pkgs := packages(all)
	for root, may := range closures {
		seen := map[string]string{root: ""} // folder: who imports it
		queue := []string{root}
		for len(queue) > 0 {
			folder := queue[0]
			queue = queue[1:]
			if r := ringOf(folder); r != nil && !slices.Contains(may, r.name) {
				bad = append(bad, fmt.Sprintf("%s: links %s of ring %s, through %s", root, folder, r.name, seen[folder]))
				continue
			}
			for _, s := range pkgs[folder] {
				for _, imp := range slices.Sorted(maps.Keys(s.imports())) {
					next, ok := ours(imp)
					if _, known := seen[next]; ok && !known {
						seen[next] = folder
						queue = append(queue, next)
					}
				}
			}
		}
	}
	return bad
}
