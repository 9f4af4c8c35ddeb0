// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// shell finds the commands of a document that are marked as shell.
var shell = regexp.MustCompile("(?s)```sh\n(.*?)```")

// TestCeremonyRunbooks runs the commands of the runbooks of ceremonies, one after the other as a reader does.
func TestCeremonyRunbooks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rules, err := filepath.Abs("../../examples/rules/demo.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ceremony", "drill", "custodian-leaves"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "docs", "runbooks", name+".md"))
		if err != nil {
			t.Fatal(err)
		}
		var commands strings.Builder
		for _, m := range shell.FindAllSubmatch(text, -1) {
			commands.Write(m[1])
		}
		if commands.Len() == 0 {
			t.Fatalf("%s.md has no commands", name)
		}
		cmd := exec.Command("bash", "-eu", "-o", "pipefail", "-c", commands.String())
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+filepath.Join(dir, ".config"), "rules="+rules)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
		cmd.Cancel = nil
		said, err := os.Create(filepath.Join(dir, name+".log"))
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stdout, cmd.Stderr = said, said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		late := time.AfterFunc(3*patience, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }) // it may just have ended
		err = cmd.Wait()
		late.Stop()
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what it left behind
		said.Close()
		if err != nil {
			out, _ := os.ReadFile(said.Name())
			t.Fatalf("%s.md: %v: %s", name, err, tail(out, 3000))
		}
	}
}

func tail(b []byte, n int) []byte { return b[max(0, len(b)-n):] }
