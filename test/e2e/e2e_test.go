// SPDX-License-Identifier: Apache-2.0

// Package e2e runs the programs as people do: scripts of commands on the real binaries, with a real core, a real serve and real nodes.
// Every command of README and runbooks is in one of the scripts below testdata/script. It has tests only.
package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"strongroom/internal/core/hsm/pkcs11/softhsmtest"
)

// programs are built once for all scripts.
var programs = []string{"strongroom", "strongroom-core", "strongroom-verify"}

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "strongroom-e2e-*")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	args := []string{"build", "-buildvcs=false", "-o", dir + "/"}
	for _, p := range programs {
		args = append(args, "strongroom/cmd/"+p)
	}
	build := exec.Command("go", args...)
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return 0, fmt.Errorf("build the programs: %w", err)
	}
	if err := os.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH")); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("XDG_CONFIG_HOME", filepath.Join(env.WorkDir, ".config"))
			if path, err := softhsmtest.Find(); err == nil { // without it the script on tokens fails and says what to install
				env.Setenv("SOFTHSM", path)
			}
			scripts, err := filepath.Abs(filepath.Join("..", "..", "scripts"))
			if err != nil {
				return err
			}
			env.Setenv("SCRIPTS", scripts)
			env.Values[processesKey{}], env.Values[testKey{}], env.Values[loneKey{}] = processes{}, env.T(), &loneNode{}
			return os.WriteFile(filepath.Join(env.WorkDir, "pass"), []byte("a passphrase for tests\n"), 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code": code, "field": field, "start": start, "halt": halt, "devnet": devnet, "fund": fund, "sent": sent, "mine": mine, "flip": flip, "alone": alone, "attend": attend, "node": node,
		},
	})
}

// code runs a program and wants an exit status: code 3 strongroom request …
func code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code STATUS program args…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var left *exec.ExitError
	if errors.As(err, &left) {
		got = left.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// field puts a member of JSON into a variable: field ID stdout id, field N file a.0.b
func field(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: field VARIABLE stdout|FILE path")
	}
	var v any
	d := json.NewDecoder(strings.NewReader(ts.ReadFile(args[1])))
	d.UseNumber()
	ts.Check(d.Decode(&v))
	for _, step := range strings.Split(args[2], ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(x) {
				ts.Fatalf("%s: no item %s", args[2], step)
			}
			v = x[i]
		default:
			ts.Fatalf("%s: nothing at %s", args[2], step)
		}
	}
	if v == nil {
		ts.Fatalf("%s is not there", args[2])
	}
	ts.Setenv(args[0], fmt.Sprint(v))
}

// flip changes one bit of a file: flip FILE OFFSET; a negative offset counts from the end.
func flip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: flip FILE OFFSET")
	}
	at, err := strconv.Atoi(args[1])
	ts.Check(err)
	b := []byte(ts.ReadFile(args[0]))
	if at < 0 {
		at += len(b)
	}
	if at < 0 || at >= len(b) {
		ts.Fatalf("%s has %d bytes", args[0], len(b))
	}
	b[at] ^= 1
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o600))
}
