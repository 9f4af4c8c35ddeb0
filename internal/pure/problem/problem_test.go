// SPDX-License-Identifier: Apache-2.0

package problem_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"strongroom/internal/pure/problem"
)

// Kinds lists every constant of the type, once; each has the form of a slug, because it is part of a URL.
func TestKindsAreTotal(t *testing.T) {
	t.Parallel()
	f, err := parser.ParseFile(token.NewFileSet(), "problem.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var want []problem.Kind
	ast.Inspect(f, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok {
			if id, ok := v.Type.(*ast.Ident); ok && id.Name == "Kind" {
				s, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				want = append(want, problem.Kind(s))
			}
		}
		return true
	})
	if got := problem.Kinds(); len(want) < 20 || !slices.Equal(got, want) {
		t.Fatalf("kinds %v, constants %v", got, want)
	}
	slug := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	seen := map[problem.Kind]bool{}
	for _, k := range want {
		if seen[k] || !slug.MatchString(string(k)) {
			t.Errorf("kind %q is there twice, or no slug", k)
		}
		seen[k] = true
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	e := problem.Wrap(problem.Busy, io.EOF, "wait %d seconds", 5)
	if e.Error() != "busy: wait 5 seconds" || !errors.Is(e, io.EOF) {
		t.Errorf("error %v", e)
	}
	for _, c := range []struct {
		err  error
		want problem.Kind
	}{{e, problem.Busy}, {fmt.Errorf("outer: %w", e), problem.Busy}, {io.EOF, problem.Internal}, {problem.New(problem.Expired, "x"), problem.Expired}} {
		if got := problem.KindOf(c.err); got != c.want {
			t.Errorf("kind of %v is %s, want %s", c.err, got, c.want)
		}
	}
}
