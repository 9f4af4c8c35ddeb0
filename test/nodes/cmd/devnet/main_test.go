// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"strongroom/test/nodes/devnet"
)

// asProgram is the environment variable that turns this test binary into devnet.
const asProgram = "STRONGROOM_DEVNET_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) == "" {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "devnet: error:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// running is a devnet in a process of its own.
type running struct {
	devnet.Info
	cmd  *exec.Cmd
	line string // what it printed
	out  string // path of its description
}

// launch starts the program by a command line around it and reads its line.
func launch(t *testing.T, cmd *exec.Cmd, out string) *running {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.Stderr = &stderr
	cmd.WaitDelay = 10 * time.Second
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // already gone when the test went well
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		_ = cmd.Wait()
		t.Fatalf("devnet gave no description: %v\n%s", err, stderr.String())
	}
	r := &running{cmd: cmd, line: line, out: out}
	if err := json.Unmarshal([]byte(line), &r.Info); err != nil {
		t.Fatal(err)
	}
	return r
}

// start runs devnet with blocks on demand only.
func start(t *testing.T, args ...string) *running {
	t.Helper()
	out := filepath.Join(t.TempDir(), "devnet.json")
	args = append([]string{"run", "--out", out, "--automine=false", fmt.Sprintf("--with-parent=%d", os.Getpid())}, args...)
	return launch(t, exec.Command(os.Args[0], args...), out)
}

// call runs a devnet call in this process and decodes what it printed.
func (r *running) call(t *testing.T, answer any, args ...string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if err := run(t.Context(), append([]string{"call", args[0], "--info", r.out}, args[1:]...), &stdout, &stderr); err != nil {
		t.Fatalf("devnet call %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	if err := json.Unmarshal(stdout.Bytes(), answer); err != nil {
		t.Fatalf("devnet call %s printed %q: %v", strings.Join(args, " "), stdout.String(), err)
	}
}

// eventually polls for something that another process does.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited a minute in vain: %s", what)
		}
	}
}

// closed says whether nobody listens at a URL any more.
func closed(t *testing.T, address string) func() bool {
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return func() bool {
		c, err := net.DialTimeout("tcp", u.Host, time.Second)
		if err == nil {
			c.Close()
		}
		return err != nil
	}
}

func absent(path string) func() bool {
	return func() bool { _, err := os.Stat(path); return os.IsNotExist(err) }
}

func TestDescriptionAndStop(t *testing.T) {
	t.Parallel()
	r := start(t, "--chain-id", "4242")
	content, err := os.ReadFile(r.out)
	if err != nil {
		t.Fatal(err)
	}
	if string(content) != r.line {
		t.Errorf("printed %q but wrote %q", r.line, content)
	}
	if info, err := os.Stat(r.out); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the description has mode %v (%v), want 0600", info.Mode(), err)
	}
	if r.Ethereum.ChainID != 4242 || r.Ethereum.Decimals != 6 || r.Bitcoin.Network != "regtest" || r.Bitcoin.Pass == "" {
		t.Errorf("got %+v", r.Info)
	}
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
	for name, gone := range map[string]func() bool{
		"description": absent(r.out), "ethereum": closed(t, r.Ethereum.RPC), "bitcoin": closed(t, r.Bitcoin.RPC),
	} {
		if !gone() {
			t.Errorf("%s is still there after the end", name)
		}
	}
}

func TestEndsWithParent(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "devnet.json")
	shell := exec.Command("/bin/sh", "-c", `"$0" run --with-parent --out "$1" & wait`, os.Args[0], out)
	r := launch(t, shell, out)
	if err := shell.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "devnet ends with its parent", absent(out))
	eventually(t, "btcd ends too", closed(t, r.Bitcoin.RPC))
	_ = shell.Wait() // was killed by us

	gone := exec.Command(os.Args[0], "run", "--out", out, "--with-parent=1")
	gone.Env = append(os.Environ(), asProgram+"=1")
	if said, err := gone.CombinedOutput(); os.Getpid() != 1 && !strings.Contains(string(said), "parent process 1 is gone") {
		t.Errorf("with a parent that ended before: %v, %s", err, said)
	}
}

func TestBitcoinNodeDiesWithDevnet(t *testing.T) {
	t.Parallel()
	r := start(t)
	if err := r.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = r.cmd.Wait() // was killed by us
	eventually(t, "the kernel kills btcd", closed(t, r.Bitcoin.RPC))
}

func TestCommandLineRefusals(t *testing.T) {
	t.Setenv(environment, "")
	for _, args := range []string{
		"call", "call dance", "call state", "call state --info /nowhere/devnet.json", "call mine --control http://127.0.0.1:1 --blocks x",
		"call state --control http://127.0.0.1:1", "run please", "run --with-parent=0", "run --with-parent=abc",
		"run --automine --interval 1ms", "run --no-such-flag",
	} {
		if err := run(t.Context(), strings.Fields(args), io.Discard, io.Discard); err == nil {
			t.Errorf("devnet %s: accepted", args)
		}
	}
}
