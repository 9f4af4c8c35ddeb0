// SPDX-License-Identifier: Apache-2.0

package grep11app_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"strongroom/internal/app/grep11app"
)

// TestExample: the example is a configuration, and paths are relative to its folder.
func TestExample(t *testing.T) {
	t.Parallel()
	c, err := grep11app.Read("../../../examples/grep11.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Fill(); err != nil {
		t.Fatal(err)
	}
	if c.TokenLife != time.Hour || c.Authority != c.Data || c.Listen != "127.0.0.1:9876" || len(c.Names) != 2 {
		t.Errorf("%+v", c)
	}
	path := filepath.Join(t.TempDir(), "g.yaml")
	if err := os.WriteFile(path, []byte("door: d\ndata: x\nkey: /k\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err = grep11app.Read(path)
	if err != nil || c.Door != filepath.Join(filepath.Dir(path), "d") || c.Key != "/k" || c.Fill() != nil || c.Listen != grep11app.DefaultListen {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestConfigs(t *testing.T) {
	t.Parallel()
	const good = "door: d\ndata: x\nkey: k\n"
	for text, want := range map[string]string{
		"colour: red": "colour", good + "---\n" + good: "more than one document", "": "required", "door: d\ndata: x": "required", good + "listen: nowhere": "listen",
		good + "tokenListen: nowhere": "tokenListen", good + "metricsListen: x": "metricsListen", good + "certificate: c": "come together", good + "tokenLife: -1s": "negative",
		good + "plaintextLocal: dev\nclientCA: c": "no place", good + "plaintextLocal: dev\ntokenListen: 127.0.0.1:0": "no place", good + "plaintextLocal: 'A B'": "plaintextLocal",
	} {
		path := filepath.Join(t.TempDir(), "g.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := grep11app.Read(path)
		if err == nil {
			err = c.Fill()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if _, err := grep11app.Read("nowhere"); err == nil {
		t.Error("a file that is not there was read")
	}
}
