// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"
	"testing/fstest"
)

// word is a text that no file of the tree may hold, in any case of its letters. The table splits each, so that it does not hold them itself.
type word struct {
	text  string
	whole bool // only where no letter, digit or one of "_-./" stands before it
	why   string
}

var words = []word{
	{"/wo" + "rk/", true, "a path of one machine"},
	{"/ro" + "ot/.", true, "a path of one machine"},
	{"/ro" + "ot/go/", true, "a path of one machine"},
	{"/tmp/ba" + "sh_jobs", false, "a path of one machine"},
	{"proxy.gol" + "ang.org", false, "a registry's host; name modules, not where to get them"},
	{"registry.np" + "mjs.org", false, "a registry's host; name packages, not where to get them"},
	{"files.python" + "hosted.org", false, "a registry's host; name packages, not where to get them"},
	{"py" + "pi.org", false, "a registry's host; name packages, not where to get them"},
	{"static.cra" + "tes.io", false, "a registry's host; name packages, not where to get them"},
	{"registry-1.doc" + "ker.io", false, "a registry's host; name images, not where to get them"},
	{"anth" + "ropic", false, "how this was made is no part of it"},
	{"open" + "ai", true, "how this was made is no part of it"},
	{"clau" + "de", true, "how this was made is no part of it"},
	{"chat" + "gpt", false, "how this was made is no part of it"},
	{"co" + "pilot", true, "how this was made is no part of it"},
	{"language " + "model", false, "how this was made is no part of it"},
}

// maxText is the size in bytes above which a file is data, not text.
const maxText = 2 << 20

// checkWords gives every forbidden word in the files of a tree, with the line it stands on.
func checkWords(files fs.FS) (bad []string, seen int, err error) {
	err = fs.WalkDir(files, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if n := d.Name(); n == ".git" || n == "node_modules" || n == "fuzz" && path.Base(path.Dir(p)) == "testdata" {
				return fs.SkipDir
			}
			return nil
		}
		if p == ".git" { // in a work tree beside the clone
			return nil
		}
		if info, err := d.Info(); err != nil || !info.Mode().IsRegular() || info.Size() > maxText {
			return err
		}
		text, err := fs.ReadFile(files, p)
		if err != nil || bytes.IndexByte(text, 0) >= 0 {
			return err
		}
		seen++
		for i, line := range strings.Split(strings.ToLower(string(text)), "\n") {
			for _, w := range words {
				if w.in(line) {
					bad = append(bad, fmt.Sprintf("%s:%d: %q: %s", p, i+1, w.text, w.why))
				}
			}
		}
		return nil
	})
	return bad, seen, err
}

// in reports whether a line in lower case holds the word.
func (w word) in(line string) bool {
	for from := 0; ; {
		i := strings.Index(line[from:], w.text)
		if i < 0 {
			return false
		}
		i += from
		if !w.whole || i == 0 || !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789_-./}", rune(line[i-1])) {
			return true
		}
		from = i + 1
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	bad, seen, err := checkWords(os.DirFS(tree))
	if err != nil {
		t.Fatal(err)
	}
	if seen < 20 {
		t.Fatalf("read %d files: this is not the tree", seen)
	}
	for _, line := range bad {
		t.Error(line)
	}
}

func TestWordsFinds(t *testing.T) {
	t.Parallel()
	for _, w := range words {
		for _, line := range []string{w.text, "see " + strings.ToUpper(w.text) + "x", "a\n\"" + w.text + "\""} {
			bad, _, err := checkWords(fstest.MapFS{"docs/a.md": {Data: []byte(line)}})
			if err != nil || len(bad) == 0 {
				t.Errorf("%q: got %q, %v", line, bad, err)
			}
		}
	}
	for _, fine := range []string{"the net" + "wo" + "rk/", "v1/tlog/ro" + "ot/go/hash", "/ro" + "ot/blob", "wo" + "rk/", "\x00/wo" + "rk/", strings.Repeat("x", maxText) + "/wo" + "rk/"} {
		if bad, _, err := checkWords(fstest.MapFS{"a": {Data: []byte(fine)}}); err != nil || len(bad) != 0 {
			t.Errorf("%.40q: got %q, %v", fine, bad, err)
		}
	}
	if bad, _, err := checkWords(fstest.MapFS{"x/testdata/fuzz/a": {Data: []byte(words[0].text)}, ".git/a": {Data: []byte(words[0].text)}}); err != nil || len(bad) != 0 {
		t.Errorf("skipped folders: got %q, %v", bad, err)
	}
}
