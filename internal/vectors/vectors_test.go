// SPDX-License-Identifier: Apache-2.0

package vectors

import (
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

type row struct {
	Index int    `csv:"index"`
	Key   Hex    `csv:"secret key"`
	Valid bool   `csv:"valid"`
	Note  string `csv:"comment"`
	Other string
}

const goodCSV = "index,secret key,valid,comment\n0,00fF,TRUE,\n1,,FALSE,\"a, b\"\n"

func TestParse(t *testing.T) {
	t.Parallel()
	rows, err := parse[row]("x.csv", "", []byte(goodCSV))
	want := []row{{Index: 0, Key: Hex{0, 255}, Valid: true}, {Index: 1, Note: "a, b"}}
	if err != nil || !reflect.DeepEqual(rows, want) {
		t.Errorf("got %+v, %v", rows, err)
	}
	const deep = `{"a":[{"b":[{"Key":"0x01"},{"Key":""}]}]}`
	list, err := parse[struct{ Key Hex }]("x.json", "a.0.b", []byte(deep))
	if err != nil || len(list) != 2 || string(list[0].Key) != "\x01" || list[1].Key != nil {
		t.Errorf("got %+v, %v", list, err)
	}
	if plain, err := parse[int]("x.json", "", []byte("[1,2,3]")); err != nil || len(plain) != 3 {
		t.Errorf("got %v, %v", plain, err)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ file, path, text string }{
		"no member":         {"x.json", "b", `{"a":[]}`},
		"no element":        {"x.json", "a.1", `{"a":[[]]}`},
		"negative element":  {"x.json", "-1", `[[]]`},
		"not a list":        {"x.json", "", `{}`},
		"member of list":    {"x.json", "a", `[]`},
		"element of object": {"x.json", "0", `{}`},
		"empty":             {"x.csv", "", ""},
		"ragged":            {"x.csv", "", "index,secret key,valid,comment\n0,00\n"},
		"missing column":    {"x.csv", "", "index,valid,comment\n0,TRUE,\n"},
		"bad number":        {"x.csv", "", strings.Replace(goodCSV, "\n0,", "\nx,", 1)},
		"bad hex":           {"x.csv", "", strings.Replace(goodCSV, "00fF", "00f", 1)},
		"bad bool":          {"x.csv", "", strings.Replace(goodCSV, "TRUE", "yes", 1)},
		"path in csv":       {"x.csv", "a", goodCSV},
		"other kind":        {"x.txt", "", goodCSV},
	} {
		if rows, err := parse[row](c.file, c.path, []byte(c.text)); err == nil {
			t.Errorf("%s: got %+v", name, rows)
		}
	}
	if _, err := parse[int]("x.csv", "", []byte(goodCSV)); err == nil {
		t.Error("a vector that is no struct was filled")
	}
}

// outcome is a test whose end is looked at.
type outcome struct {
	testing.TB
	failed, skipped string
}

func (o *outcome) Helper() {}

func (o *outcome) Fatal(args ...any) { o.Fatalf("%v", args...) }

func (o *outcome) Fatalf(format string, args ...any) {
	o.failed = format
	runtime.Goexit()
}

func (o *outcome) Skipf(format string, args ...any) {
	o.skipped = format
	runtime.Goexit()
}

func load(t *testing.T, name string, want int) (*outcome, []int) {
	t.Helper()
	o := &outcome{TB: t}
	var list []int
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		list = Load[int](o, name, want)
	}()
	<-ended
	return o, list
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(Env, dir)
	for name, text := range map[string]string{"three.json": "[1,2,3]", "none.json": "[]"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		want int
		ok   bool
	}{{"three.json", 3, true}, {"three.json", 2, true}, {"three.json", 4, false}, {"none.json", 0, false}, {"absent.json", 1, false}} {
		o, list := load(t, c.name, c.want)
		if got := o.failed == "" && len(list) >= c.want; got != c.ok || o.skipped != "" {
			t.Errorf("%s, want %d: %d vectors, failed %q, skipped %q", c.name, c.want, len(list), o.failed, o.skipped)
		}
	}
}

// Without the variable and without the folder beside the module the test is skipped, and says why.
func TestLoadSkips(t *testing.T) {
	t.Setenv(Env, "")
	root := filepath.Join(t.TempDir(), "repository")
	if err := os.Mkdir(root, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "go.mod"), []byte("module strongroom\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(root)
	if o, _ := load(t, "three.json", 3); o.skipped == "" || o.failed != "" {
		t.Errorf("failed %q, skipped %q", o.failed, o.skipped)
	}
	beside := filepath.Join(filepath.Dir(root), "shared", "vectors")
	if err := os.MkdirAll(beside, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(beside, "three.json"), []byte("[1,2,3]"), 0o600); err != nil {
		t.Fatal(err)
	}
	if o, list := load(t, "three.json", 3); len(list) != 3 {
		t.Errorf("failed %q, skipped %q", o.failed, o.skipped)
	}
	t.Chdir(t.TempDir())
	if o, _ := load(t, "three.json", 3); o.failed == "" {
		t.Error("loaded outside the module")
	}
}
