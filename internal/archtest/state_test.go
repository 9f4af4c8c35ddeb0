// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"go/ast"
	"go/token"
	"strings"
)

// checkInit refuses init functions.
func checkInit(s *source, report reporter) {
	for _, d := range s.file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
			report(s, s.at(f.Pos()), "has an init function")
		}
	}
}

// checkVariables refuses package variables that hold state: without an initial value, made by make, new or &, of a type of package sync
// or sync/atomic, or written anywhere in their package. What is left are sentinels and tables.
func checkVariables(files []*source, report reporter) {
	vars := map[string]bool{}
	for _, s := range files {
		for _, d := range s.file.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, spec := range g.Specs {
				v := spec.(*ast.ValueSpec)
				if why := stateful(g, v); why != "" {
					report(s, s.at(v.Pos()), "package variable %s %s", v.Names[0].Name, why)
				}
				for _, n := range v.Names {
					vars[n.Name] = n.Name != "_"
				}
			}
		}
	}
	for _, s := range files {
		checkWrites(s, vars, report)
	}
}

// stateful says why a declaration holds state, or nothing.
func stateful(g *ast.GenDecl, v *ast.ValueSpec) string {
	if v.Names[0].Name == "_" {
		return "" // an assertion for the compiler
	}
	if isSync(v.Type) {
		return "has a type of package sync"
	}
	if len(v.Values) == 0 {
		if embeds(g.Doc) || embeds(v.Doc) {
			return ""
		}
		return "has no initial value, so something writes it later"
	}
	for _, x := range v.Values {
		if why := statefulValue(x); why != "" {
			return why
		}
	}
	return ""
}

func embeds(doc *ast.CommentGroup) bool {
	if doc == nil {
		return false
	}
	for _, c := range doc.List {
		if strings.HasPrefix(c.Text, "//go:embed ") {
			return true
		}
	}
	return false
}

// statefulValue looks at what an initial value is, not at what a table holds.
func statefulValue(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.ParenExpr:
		return statefulValue(x.X)
	case *ast.UnaryExpr:
		if x.Op == token.AND {
			return "is a pointer"
		}
	case *ast.CompositeLit:
		if isSync(x.Type) {
			return "has a type of package sync"
		}
	case *ast.CallExpr:
		switch f := x.Fun.(type) {
		case *ast.Ident:
			if f.Name == "make" || f.Name == "new" {
				return "is made by " + f.Name
			}
		case *ast.SelectorExpr: // new(T).Method(…)
			return statefulValue(f.X)
		}
	}
	return ""
}

// isSync reports whether a type is one of package sync or sync/atomic. sync.OnceValue and its like are functions, and a table made once is
// a table.
func isSync(t ast.Expr) bool {
	switch t := t.(type) {
	case *ast.StarExpr:
		return isSync(t.X)
	case *ast.IndexExpr: // atomic.Pointer[T]
		return isSync(t.X)
	case *ast.SelectorExpr:
		x, ok := t.X.(*ast.Ident)
		return ok && (x.Name == "sync" || x.Name == "atomic")
	}
	return false
}

// checkWrites refuses assignments to package variables, also to what lies in them.
func checkWrites(s *source, vars map[string]bool, report reporter) {
	written := func(x ast.Expr) {
		id := root(x)
		if id == nil || !vars[id.Name] {
			return
		}
		if id.Obj == nil || s.file.Scope.Lookup(id.Name) == id.Obj { // of another file of the package, or of this one
			report(s, s.at(x.Pos()), "package variable %s is written", id.Name)
		}
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				for _, l := range n.Lhs {
					written(l)
				}
			}
		case *ast.IncDecStmt:
			written(n.X)
		case *ast.RangeStmt:
			if n.Tok == token.ASSIGN {
				written(n.Key)
				if n.Value != nil {
					written(n.Value)
				}
			}
		}
		return true
	})
}

// root gives the variable in which an assignable expression lies, nil if that cannot be seen.
func root(x ast.Expr) *ast.Ident {
	switch x := x.(type) {
	case *ast.Ident:
		return x
	case *ast.ParenExpr:
		return root(x.X)
	case *ast.IndexExpr:
		return root(x.X)
	case *ast.SelectorExpr:
		return root(x.X)
	case *ast.StarExpr:
		return root(x.X)
	}
	return nil
}
