// SPDX-License-Identifier: Apache-2.0

// Command deps prints the modules that are linked into our commands, a row each: the innermost command that links it, how many of its packages
// import unsafe or use cgo, and its version; and it fails if docs/DEPS.md has no row for one. With -check it prints nothing else.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
)

// commands in order from the most to the least trusted; a module is listed under the first that links it.
var commands = []string{"cmd/strongroom-core", "cmd/strongroom-verify", "cmd/strongroom"}

// pkg is what go list -json says of a package.
type pkg struct {
	ImportPath string
	Standard   bool
	Imports    []string
	CgoFiles   []string
	Module     *struct {
		Path, Version string
		Main          bool
	}
}

// module is a row.
type module struct {
	path, version, by string
	packages          int
	unsafe, cgo       int // packages that import unsafe, use cgo
}

func main() {
	check := flag.Bool("check", false, "print only what is missing")
	flag.Parse()
	if err := run("..", *check); err != nil {
		fmt.Fprintln(os.Stderr, "deps: error:", err)
		os.Exit(1)
	}
}

func run(root string, quiet bool) error {
	var rows []*module
	for _, c := range commands {
		list, err := linked(root, c)
		if err != nil {
			return err
		}
		rows = add(rows, c, list)
	}
	if !quiet {
		show(os.Stdout, rows)
	}
	ledger, err := os.ReadFile(root + "/docs/DEPS.md")
	if err != nil {
		return err
	}
	if missing := unlisted(rows, ledger); len(missing) > 0 {
		return fmt.Errorf("docs/DEPS.md has no row for %s", strings.Join(missing, ", "))
	}
	return nil
}

// linked lists what a command links, on the one platform for which the ledger is kept.
func linked(root, command string) ([]pkg, error) {
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Standard,Imports,CgoFiles,Module", "./"+command)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=1", "GOFLAGS=-mod=readonly", "GOWORK=off")
	var words bytes.Buffer
	cmd.Stderr = &words
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list %s: %w: %s", command, err, words.String())
	}
	return parse(bytes.NewReader(out))
}

func parse(r io.Reader) ([]pkg, error) {
	var list []pkg
	for d := json.NewDecoder(r); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return list, nil
		} else if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
}

// add counts the packages of a command's list in the rows of their modules, but not in those of a command before.
func add(rows []*module, command string, list []pkg) []*module {
	for _, p := range list {
		if p.Standard || p.Module == nil || p.Module.Main {
			continue
		}
		i := slices.IndexFunc(rows, func(m *module) bool { return m.path == p.Module.Path })
		if i < 0 {
			i = len(rows)
			rows = append(rows, &module{path: p.Module.Path, version: p.Module.Version, by: command})
		}
		m := rows[i]
		if m.by != command {
			continue
		}
		m.packages++
		if slices.Contains(p.Imports, "unsafe") {
			m.unsafe++
		}
		if len(p.CgoFiles) > 0 {
			m.cgo++
		}
	}
	return rows
}

func show(w io.Writer, rows []*module) {
	slices.SortFunc(rows, func(a, b *module) int {
		if a.by != b.by {
			return slices.Index(commands, a.by) - slices.Index(commands, b.by)
		}
		return strings.Compare(a.path, b.path)
	})
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "LINKED INTO\tMODULE\tVERSION\tPACKAGES\tUNSAFE\tCGO")
	for _, m := range rows {
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%d\t%d\n", m.by, m.path, m.version, m.packages, m.unsafe, m.cgo)
	}
	_ = t.Flush() // words for people
}

// row matches the first cell of a row that names a module.
var row = regexp.MustCompile("(?m)^\\| `([^`]+)`")

// unlisted gives the modules without a row in the ledger.
func unlisted(rows []*module, ledger []byte) []string {
	have := map[string]bool{}
	for _, m := range row.FindAllSubmatch(ledger, -1) {
		have[string(m[1])] = true
	}
	var missing []string
	for _, m := range rows {
		if !have[m.path] {
			missing = append(missing, m.path)
		}
	}
	slices.Sort(missing)
	return missing
}
