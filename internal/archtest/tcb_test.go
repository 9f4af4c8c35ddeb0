// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/scanner"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// update makes TestTCB write the list instead of comparing it: go test ./internal/archtest -run TCB -count=1 -update.
var update = flag.Bool("update", false, "rewrite testdata/tcb.txt")

const (
	coreMain = "cmd/strongroom-core"
	tcbFile  = "testdata/tcb.txt"
	tcbHead  = `# Every package linked into cmd/strongroom-core on linux/amd64 with cgo: the trusted code.
# own: ours; module: of another module, with its version; std: the standard library. Of the first two, those that import unsafe or use cgo say so.
# Written by: go test ./internal/archtest -run TCB -count=1 -update
`
)

// listed is what go list -json says of a package.
type listed struct {
	ImportPath string
	Standard   bool
	Imports    []string
	CgoFiles   []string
	Module     *struct {
		Path, Version string
		Main          bool
	}
}

// line is the package's line in the list.
func (l *listed) line() string {
	var kind string
	switch {
	case l.Standard:
		return "std " + l.ImportPath
	case l.Module != nil && l.Module.Main:
		kind = "own " + l.ImportPath
	case l.Module != nil:
		kind = fmt.Sprintf("module %s@%s %s", l.Module.Path, l.Module.Version, l.ImportPath)
	default:
		kind = "unknown " + l.ImportPath
	}
	if slices.Contains(l.Imports, "unsafe") {
		kind += " unsafe"
	}
	if len(l.CgoFiles) > 0 {
		kind += " cgo"
	}
	return kind
}

// linked lists what a program of ours links, by go list: only it knows build constraints and modules' sources. The platform is fixed, so
// that the list is the same on every machine.
func linked(folder string) ([]listed, error) {
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Standard,Imports,CgoFiles,Module", "./"+folder)
	cmd.Dir = tree
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=1", "GOFLAGS=-mod=readonly", "GOWORK=off")
	out, err := cmd.Output()
	if err != nil {
		if e, ok := errors.AsType[*exec.ExitError](err); ok {
			err = fmt.Errorf("%w: %s", err, e.Stderr)
		}
		return nil, fmt.Errorf("go list %s: %w", folder, err)
	}
	var list []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var l listed
		if err := d.Decode(&l); errors.Is(err, io.EOF) {
			return list, nil
		} else if err != nil {
			return nil, err
		}
		list = append(list, l)
	}
}

// TestTCB requires that testdata/tcb.txt lists exactly what the core links, and that nothing in it is banned. The test cache does not see
// what go list reads; it does see what this process reads, so every source of ours, go.mod and go.sum are read here. A change of the Go
// installation alone still goes unseen: scripts pass -count=1.
func TestTCB(t *testing.T) {
	t.Parallel()
	all := loadTree(t)
	for _, name := range []string{"go.mod", "go.sum"} {
		if _, err := os.ReadFile(filepath.Join(tree, name)); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.ContainsFunc(all, func(s *source) bool { return s.folder == coreMain }) {
		t.Fatalf("there is no %s, so nothing to list", coreMain)
	}
	list, err := linked(coreMain)
	if err != nil {
		t.Fatal(err)
	}
	lines := make([]string, 0, len(list))
	for _, l := range list {
		lines = append(lines, l.line())
		for _, e := range bannedElements {
			if slices.Contains(strings.Split(l.ImportPath, "/"), e) {
				t.Errorf("the core links %s", l.ImportPath)
			}
		}
	}
	slices.Sort(lines)
	if *update {
		if err := os.WriteFile(tcbFile, []byte(tcbHead+strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Logf("wrote %d packages", len(lines))
		return
	}
	text, err := os.ReadFile(tcbFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, line := range difference(string(text), lines) {
		t.Error(line)
	}
	if t.Failed() {
		t.Log("look at each; if the core shall link them, run: go test ./internal/archtest -run TCB -count=1 -update")
	}
}

// difference compares a list as written, with comments, with what it should be, sorted.
func difference(text string, want []string) []string {
	var got, diff []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSuffix(line, "\n"); line != "" && line[0] != '#' {
			got = append(got, line)
		}
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			diff = append(diff, "linked, not listed: "+line)
		}
	}
	for _, line := range got {
		if !slices.Contains(want, line) {
			diff = append(diff, "listed, not linked: "+line)
		}
	}
	if len(diff) == 0 && !slices.Equal(got, want) {
		diff = append(diff, "the list is not sorted or has a line twice")
	}
	return diff
}

func TestDifference(t *testing.T) {
	t.Parallel()
	want := []string{"own a", "std b"}
	for text, diff := range map[string][]string{
		tcbHead + "own a\nstd b\n": nil,
		"own a\n":                  {"linked, not listed: std b"},
		"own a\nstd b\nstd c\n":    {"listed, not linked: std c"},
		"own a unsafe\nstd b":      {"linked, not listed: own a", "listed, not linked: own a unsafe"},
		"std b\nown a\n":           {"the list is not sorted or has a line twice"},
		"own a\nown a\nstd b\n":    {"the list is not sorted or has a line twice"},
	} {
		if got := difference(text, want); !slices.Equal(got, diff) {
			t.Errorf("%q: got %q, want %q", text, got, diff)
		}
	}
}

// TestLinked asks for a program that surely exists, so that the way to the list is tried before there is a core.
func TestLinked(t *testing.T) {
	t.Parallel()
	list, err := linked("internal/secret")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, l := range list {
		lines = append(lines, l.line())
	}
	for _, prefix := range []string{"own strongroom/internal/secret", "std sync", "module golang.org/x/sys@v"} {
		if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, prefix) }) {
			t.Errorf("no line starts with %q: %q", prefix, lines)
		}
	}
	if _, err := linked("internal/absent"); err == nil {
		t.Error("listed a folder that does not exist")
	}
}

// codeLines counts the lines on which a Go source has code: neither blank nor comment only.
func codeLines(text []byte) int {
	set := token.NewFileSet()
	f := set.AddFile("", -1, len(text))
	var s scanner.Scanner
	s.Init(f, text, nil, 0) // without comments
	lines := map[int]bool{}
	for {
		pos, tok, lit := s.Scan()
		if tok == token.EOF {
			return len(lines)
		}
		if tok == token.SEMICOLON && lit == "\n" {
			continue // put in by the scanner
		}
		first := f.Line(pos)
		for i := range 1 + strings.Count(lit, "\n") { // raw strings
			lines[first+i] = true
		}
	}
}

func TestCodeLines(t *testing.T) {
	t.Parallel()
	if got := codeLines([]byte("// c\npackage a\n\n/* x\ny */\nvar s = `1\n2\n` // end\n\nfunc f() {\n}\n")); got != 6 {
		t.Errorf("got %d, want 6", got)
	}
}

// TestTrustedLines prints the size of the trusted code. The design's aim is under 25,000 lines for core and pure; -v shows it.
func TestTrustedLines(t *testing.T) {
	t.Parallel()
	lines, code := map[string]int{}, map[string]int{}
	for _, s := range loadTree(t) {
		r := ringOf(s.folder)
		if r == nil || s.test || s.nested || s.generated() {
			continue
		}
		lines[r.name] += strings.Count(string(s.text), "\n")
		code[r.name] += codeLines(s.text)
	}
	for _, r := range []string{"core", "pure", "gate", "secret"} {
		t.Logf("%-6s %6d lines of code, %6d with comments and blanks", r, code[r], lines[r])
	}
	t.Logf("core and pure together: %d lines of code, %d with comments and blanks", code["core"]+code["pure"], lines["core"]+lines["pure"])
}
