// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// source is one Go file of the tree.
type source struct {
	path   string // below the module's root, with slashes
	folder string
	test   bool // _test.go
	nested bool // of another module inside our tree: only its text is under the law
	text   []byte
	set    *token.FileSet
	file   *ast.File
}

// generated reports whether a program wrote the file (go.dev/s/generatedcode).
func (s *source) generated() bool { return ast.IsGenerated(s.file) }

// imports gives the import paths of the file, with where they stand.
func (s *source) imports() map[string]token.Pos {
	m := make(map[string]token.Pos, len(s.file.Imports))
	for _, i := range s.file.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			panic(err) // the parser took it
		}
		m[p] = i.Pos()
	}
	return m
}

// at gives file and line of a position.
func (s *source) at(p token.Pos) string { return fmt.Sprintf("%s:%d", s.path, s.set.Position(p).Line) }

// skipped are folders without sources of ours.
func skipped(name string) bool {
	return name == "testdata" || name == "node_modules" || name == "vendor" || name != "." && (name[0] == '.' || name[0] == '_')
}

// load parses every Go file of a tree whose root is our module's.
func load(tree fs.FS) ([]*source, error) {
	var list []*source
	nested := map[string]bool{}
	set := token.NewFileSet()
	err := fs.WalkDir(tree, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		folder := path.Dir(p)
		if d.IsDir() {
			if skipped(d.Name()) {
				return fs.SkipDir
			}
			_, err := fs.Stat(tree, path.Join(p, "go.mod"))
			nested[p] = p != "." && (err == nil || nested[folder])
			return nil
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		text, err := fs.ReadFile(tree, p)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(set, p, text, parser.ParseComments)
		if err != nil {
			return err
		}
		list = append(list, &source{path: p, folder: folder, test: strings.HasSuffix(p, "_test.go"), nested: nested[folder], text: text, set: set, file: f})
		return nil
	})
	return list, err
}
