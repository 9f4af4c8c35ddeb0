// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"strongroom/internal/app/ritual"
	"strongroom/internal/gate"
	"strongroom/internal/pure/ceremony"
	"strongroom/internal/secret"
)

// ceremonyStarter starts the core of a ceremony, as often as it is needed. The passphrase of the root is asked for once.
type ceremonyStarter struct {
	e      *env
	flags  *ceremonyFlags
	script ceremony.Script
	more   []string // further arguments
	pass   secret.Bytes
}

// ceremonyCore is a core that runs a ceremony.
type ceremonyCore struct {
	*gate.Client
	cmd    *exec.Cmd
	words  *safeBuffer
	done   chan struct{} // closed when it has ended
	err    error         // how; read it after done
	folder string        // of the door
}

// safeBuffer is a buffer for what a process says.
type safeBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

// Write takes what is said.
func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// start starts it, and connects.
func (s *ceremonyStarter) start(ctx context.Context) (ritual.Core, error) {
	f := s.flags
	if s.script.Root != "" && s.pass.Len() == 0 {
		var err error
		if s.pass, err = f.passphrase(s.e, true); err != nil {
			return nil, err
		}
	}
	door, err := os.MkdirTemp("", "strongroom-ceremony-*") // a short path: a socket's may have 107 bytes
	if err != nil {
		return nil, err
	}
	socket := filepath.Join(door, "core.sock")
	args := append(f.args("ceremony", "--script", filepath.Join(f.Dir, ritual.ScriptFile), "--socket", socket, "--ready-fd", "4"), s.more...)
	for _, x := range [][2]string{{"--record", f.Record}, {"--identity-copy", f.IdentityCopy}, {"--working-key-copy", f.WorkingKeyCopy}, {"--epoch", strconv.FormatUint(f.Epoch, 10)}} {
		if x[1] != "" {
			args = append(args, x[0], x[1])
		}
	}
	c, err := startCeremony(s.pass, args)
	if err == nil {
		c.folder = door
		c.Client, err = gate.Dial(ctx, socket)
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(door))
	}
	return c, nil
}

// startCeremony starts the process and waits until its door is open. Asynchronous preemption copies registers, and so parts of keys, to signal stacks;
// a ceremony does without.
func startCeremony(pass secret.Bytes, args []string) (*ceremonyCore, error) {
	cmd, pipe, err := coreCommand(context.Background(), pass, args...) // stopped by Close, not by a context
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, pipe.Close())
	}
	defer r.Close()
	c := &ceremonyCore{cmd: cmd, words: &safeBuffer{}, done: make(chan struct{})}
	if pass.Len() == 0 {
		cmd.ExtraFiles = []*os.File{pipe}
	}
	cmd.ExtraFiles = append(cmd.ExtraFiles, w)
	cmd.Stderr = c.words
	cmd.Env = append(os.Environ(), "GODEBUG="+strings.TrimPrefix(os.Getenv("GODEBUG")+",asyncpreemptoff=1", ","))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM} // Ctrl-C is for us: we stop the core
	err = cmd.Start()
	if err = errors.Join(err, pipe.Close(), w.Close()); err != nil {
		return nil, err
	}
	go func() { // ends with the core
		c.err = cmd.Wait()
		close(c.done)
	}()
	if _, err := bufio.NewReader(r).ReadString('\n'); err != nil {
		<-c.done // the pipe closes when the core ends
		return nil, fmt.Errorf("%s: %s", coreProgram, c.said())
	}
	return c, nil
}

// said gives what the core said went wrong.
func (c *ceremonyCore) said() string {
	if s := lastError(c.words.text()); s != "" {
		return s
	}
	return fmt.Sprint(c.err)
}

// Close stops the core and waits for its end: nothing secret is in memory then.
func (c *ceremonyCore) Close() error {
	var err error
	if c.Client != nil {
		err = c.Client.Close()
	}
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // may have ended
	select {
	case <-c.done:
	case <-time.After(stopTime):
		_ = c.cmd.Process.Kill()
		<-c.done
	}
	if c.err != nil {
		err = errors.Join(err, fmt.Errorf("%s: %s", coreProgram, c.said()))
	}
	return errors.Join(err, os.RemoveAll(c.folder))
}
