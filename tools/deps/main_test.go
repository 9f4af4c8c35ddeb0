// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

const listing = `{"ImportPath":"fmt","Standard":true}
{"ImportPath":"strongroom/x","Module":{"Path":"strongroom","Main":true},"Imports":["unsafe"]}
{"ImportPath":"a.org/a","Module":{"Path":"a.org/a","Version":"v1.0.0"},"Imports":["unsafe","fmt"]}
{"ImportPath":"a.org/a/c","Module":{"Path":"a.org/a","Version":"v1.0.0"},"CgoFiles":["c.go"]}
`

func TestRows(t *testing.T) {
	t.Parallel()
	list, err := parse(strings.NewReader(listing))
	if err != nil || len(list) != 4 {
		t.Fatalf("%d packages, %v", len(list), err)
	}
	rows := add(nil, commands[0], list)
	rows = add(rows, commands[1], append(list, pkg{ImportPath: "b.org/b", Module: &struct {
		Path, Version string
		Main          bool
	}{Path: "b.org/b", Version: "v2.0.0"}}))
	if len(rows) != 2 || *rows[0] != (module{"a.org/a", "v1.0.0", commands[0], 2, 1, 1}) || *rows[1] != (module{"b.org/b", "v2.0.0", commands[1], 1, 0, 0}) {
		t.Errorf("got %+v, %+v", rows[0], rows[1:])
	}
	var out bytes.Buffer
	show(&out, rows)
	if !strings.Contains(out.String(), "b.org/b") {
		t.Errorf("output:\n%s", out.String())
	}
	if got := unlisted(rows, []byte("| `a.org/a` | core |\ntext `b.org/b`\n")); !slices.Equal(got, []string{"b.org/b"}) {
		t.Errorf("unlisted: %q", got)
	}
	if _, err := parse(strings.NewReader("{")); err == nil {
		t.Error("read half a listing")
	}
}
