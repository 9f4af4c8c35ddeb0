// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const passing = `{"Action":"run","Package":"p","Test":"A"}
{"Action":"output","Package":"p","Test":"A","Output":"quiet\n"}
{"Action":"pass","Package":"p","Test":"A","Elapsed":0.1}
{"Action":"pass","Package":"p","Elapsed":0.2}
`

func TestReport(t *testing.T) {
	t.Parallel()
	allowed := filepath.Join(t.TempDir(), "allowed")
	if err := os.WriteFile(allowed, []byte("# comment\n\nonly as a child\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	skip := func(why string) string {
		return `{"Action":"output","Package":"p","Test":"S","Output":"    a_test.go:1: ` + why + `\n"}` + "\n" + `{"Action":"skip","Package":"p","Test":"S"}` + "\n"
	}
	for name, c := range map[string]struct {
		in   string
		want string // part of the output
		fail bool
	}{
		"pass":         {passing, "1 passed, 0 failed, 0 skipped", false},
		"nothing":      {"", "0 passed, 0 failed, 0 skipped", true},
		"skip allowed": {passing + skip("only as a child of it"), "1 passed, 0 failed, 1 skipped", false},
		"skip refused": {passing + skip("gcore is not installed"), "not allowed: p S: a_test.go:1: gcore is not installed", true},
		"test fails": {passing + `{"Action":"output","Package":"p","Test":"B","Output":"loud\n"}` + "\n" + `{"Action":"fail","Package":"p","Test":"B"}` + "\n",
			"p B failed\nloud\n", true},
		"package fails": {passing + `{"Action":"fail","Package":"q"}` + "\n", "FAIL q", true},
		"build fails":   {passing + `{"Action":"build-output","ImportPath":"q","Output":"syntax\n"}` + "\n" + `{"Action":"build-fail","ImportPath":"q"}` + "\n", "syntax", true},
		"panic": {passing + `{"Action":"output","Package":"q","Test":"C","Output":"half\n"}` + "\n" + `{"Action":"fail","Package":"q"}` + "\n",
			"q C did not end\nhalf", true},
		"no event": {passing + "go: cannot begin\n", "go: cannot begin", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			err := run(strings.NewReader(c.in), &out, allowed)
			if (err != nil) != c.fail || !strings.Contains(out.String(), c.want) {
				t.Errorf("error %v, output:\n%s\nwant %q", err, out.String(), c.want)
			}
			if strings.Contains(out.String(), "quiet") {
				t.Error("shows what a passing test said")
			}
		})
	}
}
