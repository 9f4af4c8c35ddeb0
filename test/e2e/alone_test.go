// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// alone checks a proof with nothing but the domain's public log key, in a folder and a network namespace that are empty but for the proof,
// and with no environment: alone STATUS PROOF KEY
func alone(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: alone STATUS PROOF KEY")
	}
	dir, err := os.MkdirTemp(ts.MkAbs("."), "alone")
	ts.Check(err)
	proof := filepath.Join(dir, "proof")
	ts.Check(os.WriteFile(proof, []byte(ts.ReadFile(args[1])), 0o400))
	if _, routes, _ := inNamespace(ts, dir, "/bin/cat", "/proc/net/dev"); bytes.Count(routes, []byte(":")) != 1 {
		ts.Fatalf("the namespace has a network: %s", routes)
	}
	verify, err := exec.LookPath("strongroom-verify")
	ts.Check(err)
	status, out, words := inNamespace(ts, dir, verify, "proof", "proof", "--log-key", args[2])
	ts.Logf("[stdout]\n%s[stderr]\n%s", out, words)
	if strconv.Itoa(status) != args[0] {
		ts.Fatalf("exit status %d, want %s", status, args[0])
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		ts.Fatalf("it left files: %v, %v", left, err)
	}
}

// inNamespace runs a program in a network namespace of its own, where only a loopback device is, and that is down.
func inNamespace(ts *testscript.TestScript, dir, path string, args ...string) (status int, out, words []byte) {
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Env = dir, []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if uid := os.Geteuid(); uid != 0 { // in a user namespace anybody may make the other
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
	}
	var o, w bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &w
	if err := cmd.Run(); cmd.ProcessState == nil {
		ts.Fatalf("no network namespace can be made here: %v", err)
	}
	return cmd.ProcessState.ExitCode(), o.Bytes(), w.Bytes()
}
