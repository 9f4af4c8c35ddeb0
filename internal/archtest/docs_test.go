// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"fmt"
	"go/ast"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

var (
	link   = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	quoted = regexp.MustCompile("`([^`\n]+)`")
	// name is a name of the code as documents write it: package.Name or package.Type.Name.
	name = regexp.MustCompile(`^([a-z][a-z0-9]*)\.((?:[A-Z]\w*\.)?[A-Za-z]\w*)$`)
	// notCode are endings of files, which have the form of names.
	notCode = map[string]bool{"md": true, "go": true, "txt": true, "txtar": true, "json": true, "yaml": true, "yml": true, "cbor": true, "db": true, "soft": true, "tpm": true,
		"sealed": true, "so": true, "sum": true, "mod": true, "log": true, "service": true, "key": true, "pem": true, "env": true, "cred": true, "dsn": true, "proof": true}
)

// declared gives the names that each folder's sources declare: functions, types, variables, constants, methods as Type.Name, fields
// and methods of interfaces likewise. Folders go by their last element, as packages do in documents.
func declared(list []*source) map[string]map[string]bool {
	m := map[string]map[string]bool{}
	for _, s := range list {
		pkg := path.Base(s.folder)
		if m[pkg] == nil {
			m[pkg] = map[string]bool{}
		}
		for _, d := range s.file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				m[pkg][receiver(d)+d.Name.Name] = true
			case *ast.GenDecl:
				for _, x := range d.Specs {
					declare(m[pkg], x)
				}
			}
		}
	}
	return m
}

// receiver gives "Type." of a method, or nothing.
func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return ""
	}
	t := d.Recv.List[0].Type
	if p, ok := t.(*ast.StarExpr); ok {
		t = p.X
	}
	if x, ok := t.(*ast.IndexExpr); ok {
		t = x.X
	}
	if id, ok := t.(*ast.Ident); ok {
		return id.Name + "."
	}
	return ""
}

func declare(names map[string]bool, x ast.Spec) {
	switch x := x.(type) {
	case *ast.ValueSpec:
		for _, n := range x.Names {
			names[n.Name] = true
		}
	case *ast.TypeSpec:
		names[x.Name.Name] = true
		var fields *ast.FieldList
		switch t := x.Type.(type) {
		case *ast.StructType:
			fields = t.Fields
		case *ast.InterfaceType:
			fields = t.Methods
		default:
			return
		}
		for _, f := range fields.List {
			for _, n := range f.Names {
				names[x.Name.Name+"."+n.Name] = true
			}
		}
	}
}

// checkDocs gives what the tree's documents point to and is not there: links to files, scripts of test/e2e, and names of the code,
// where a package of that name exists. Names of the standard library and of others are none of ours.
func checkDocs(tree fs.FS) (bad []string, seen int, err error) {
	list, err := load(tree)
	if err != nil {
		return nil, 0, err
	}
	names := declared(list)
	err = fs.WalkDir(tree, ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && skipped(d.Name()):
			return fs.SkipDir
		case d.IsDir() || path.Ext(p) != ".md":
			return nil
		}
		text, err := fs.ReadFile(tree, p)
		if err != nil {
			return err
		}
		for i, line := range strings.Split(string(text), "\n") {
			for _, m := range link.FindAllStringSubmatch(line, -1) {
				to, _, _ := strings.Cut(m[1], "#")
				if to == "" || strings.Contains(to, "://") {
					continue
				}
				seen++
				if _, err := fs.Stat(tree, path.Join(path.Dir(p), to)); err != nil {
					bad = append(bad, fmt.Sprintf("%s:%d: link to %s, which is not there", p, i+1, to))
				}
			}
			for _, m := range quoted.FindAllStringSubmatch(line, -1) {
				is, ok := pointsTo(tree, names, m[1])
				if is {
					seen++
				}
				if is && !ok {
					bad = append(bad, fmt.Sprintf("%s:%d: %s is not in the sources", p, i+1, m[1]))
				}
			}
		}
		return nil
	})
	return bad, seen, err
}

// pointsTo says whether a quoted word is a name of our code or a script, and whether that exists.
func pointsTo(tree fs.FS, names map[string]map[string]bool, word string) (is, ok bool) {
	if strings.HasSuffix(word, ".txtar") && !strings.Contains(word, "/") {
		_, err := fs.Stat(tree, "test/e2e/testdata/script/"+word)
		return true, err == nil
	}
	m := name.FindStringSubmatch(strings.TrimSuffix(word, "()"))
	if m == nil || notCode[m[2]] || names[m[1]] == nil {
		return false, false
	}
	if test := strings.HasPrefix(m[2], "Test") || strings.HasPrefix(m[2], "Fuzz"); !test && m[2][0] >= 'a' && m[2][0] <= 'z' {
		return false, false // a command, a field of JSON, a method of the door
	}
	return true, names[m[1]][m[2]]
}

// TestDocs: what documents point to exists, so that the table of threats names tests that run.
func TestDocs(t *testing.T) {
	t.Parallel()
	bad, seen, err := checkDocs(os.DirFS(tree))
	if err != nil {
		t.Fatal(err)
	}
	if seen < 50 {
		t.Fatalf("found %d links and names: this is not the tree", seen)
	}
	for _, line := range bad {
		t.Error(line)
	}
}

func TestDocsFinds(t *testing.T) {
	t.Parallel()
	with := func(text string) fstest.MapFS {
		return fstest.MapFS{"docs/a.md": {Data: []byte(text)}, "docs/b.md": {}, "go.mod": {Data: []byte("module strongroom\n")},
			"internal/pure/btc/x.go":             {Data: []byte("package btc\n\ntype T struct{ F int }\n\nfunc (*T) M() {}\n\nfunc New() {}\n")},
			"internal/pure/btc/x_test.go":        {Data: []byte("package btc\n\nfunc TestX() {}\n")},
			"test/e2e/testdata/script/one.txtar": {}}
	}
	for text, want := range map[string]int{
		"[b](b.md) [c](b.md#part) [d](https://example.org/x) `btc.New` `btc.New()` `btc.T` `btc.T.M` `btc.T.F` `btc.TestX` `one.txtar` `time.Now` `btc.md` `btc.note`": 0,
		"[b](c.md)": 1, "[b](../b.md)": 1, "`btc.Old`": 1, "`btc.T.N`": 1, "`btc.TestY`": 1, "`btc.FuzzX`": 1, "`two.txtar`": 1,
	} {
		bad, _, err := checkDocs(with(text))
		if err != nil || len(bad) != want {
			t.Errorf("%s: got %q, %v; want %d", text, bad, err, want)
		}
	}
}
