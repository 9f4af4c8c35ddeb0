// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience is how long anything may take to start or to end.
const patience = time.Minute

// processes are what a script started, by name.
type processes map[string]*process

type processesKey struct{}

type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// start starts a program in the background and waits until it says something on standard output: start NAME PATTERN program args…
// The last word of that line goes to READY. Its standard input is the file pass, its standard error goes to NAME.log, its standard output to NAME.out.
func start(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: start NAME PATTERN program args…")
	}
	name, pattern := args[0], args[1]
	path, err := exec.LookPath(args[2])
	ts.Check(err)
	cmd := exec.Command(path, args[3:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "HOME="+ts.Getenv("HOME"), "XDG_CONFIG_HOME="+ts.Getenv("XDG_CONFIG_HOME"), "SOFTHSM2_CONF="+ts.Getenv("SOFTHSM2_CONF"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it must not outlive the tests
	in, err := os.Open(ts.MkAbs("pass"))
	ts.Check(err)
	defer in.Close()
	words, err := os.OpenFile(ts.MkAbs(name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	ts.Check(err)
	defer words.Close()
	said, err := os.Create(ts.MkAbs(name + ".out"))
	ts.Check(err)
	cmd.Stdin, cmd.Stderr = in, words
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	p := &process{cmd: cmd, done: make(chan struct{})}
	ready := make(chan string, 1)
	go func() { // ends with the process; end waits for it
		defer close(p.done)
		defer said.Close()
		told := false
		for s := bufio.NewScanner(io.TeeReader(out, said)); s.Scan(); {
			if !told && strings.Contains(s.Text(), pattern) {
				told = true
				ready <- s.Text()
			}
		}
		_ = cmd.Wait() // its end is all that matters; the log has the rest
	}()
	all, _ := ts.Value(processesKey{}).(processes)
	all[name] = p
	ts.Defer(func() { end(p) })
	select {
	case line := <-ready:
		words := strings.Fields(line)
		ts.Setenv("READY", words[len(words)-1])
	case <-p.done:
		ts.Fatalf("%s ended at once: %s", name, ts.ReadFile(name+".log"))
	case <-time.After(patience):
		ts.Fatalf("%s did not say %q: %s", name, pattern, ts.ReadFile(name+".log"))
	}
}

// halt ends a program and waits: halt NAME, or halt NAME KILL for kill -9.
func halt(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: halt NAME [KILL]")
	}
	all, _ := ts.Value(processesKey{}).(processes)
	p, ok := all[args[0]]
	if !ok {
		ts.Fatalf("nothing is called %s", args[0])
	}
	if len(args) == 2 {
		ts.Check(p.cmd.Process.Kill())
		<-p.done
		return
	}
	end(p)
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		ts.Fatalf("%s ended with status %d: %s", args[0], code, ts.ReadFile(args[0]+".log"))
	}
}

// end asks a process to end, and kills it when it does not.
func end(p *process) {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // may be gone already
	select {
	case <-p.done:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}
