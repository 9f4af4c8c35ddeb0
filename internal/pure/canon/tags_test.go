// SPDX-License-Identifier: Apache-2.0

package canon_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"strongroom/internal/pure/canon"
)

// declared gives the tags that a file declares as constants, in order.
func declared(t *testing.T, file string) (tags []canon.Tag) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, s := range g.Specs {
			v := s.(*ast.ValueSpec)
			typ, ok := v.Type.(*ast.Ident)
			if !ok || typ.Name != "Tag" || len(v.Names) != 1 || len(v.Values) != 1 {
				t.Fatalf("%s declares %v other than as one Tag with its text", file, v.Names)
			}
			text, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			tags = append(tags, canon.Tag(text))
		}
	}
	return tags
}

// TestTags: the list is the constants of tags.go, no two are alike, and each has the form that keeps the zero byte out.
func TestTags(t *testing.T) {
	t.Parallel()
	want, got := declared(t, "tags.go"), canon.Tags()
	slices.Sort(want)
	slices.Sort(got)
	if len(want) < 28 {
		t.Fatalf("found %d constants; there were 28", len(want))
	}
	if !slices.Equal(got, want) {
		t.Errorf("Tags() gives\n%q\ntags.go declares\n%q", got, want)
	}
	form := regexp.MustCompile(`^strongroom/[a-z]+(-[a-z]+)*/v[1-9][0-9]*$`)
	for i, tag := range want {
		if i > 0 && want[i-1] == tag {
			t.Errorf("two uses share the tag %q", tag)
		}
		if !form.MatchString(string(tag)) {
			t.Errorf("tag %q is not strongroom/<use>/v<n>", tag)
		}
	}
}
