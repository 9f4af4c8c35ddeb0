// SPDX-License-Identifier: Apache-2.0

package btcnode

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// startLimit is how long a node may take until it answers, on a busy machine.
const startLimit = 30 * time.Second

// process is a running program with a folder of its own.
type process struct {
	folder string
	unlock func() // gives up the folder's lock
	pid    int
	log    *bytes.Buffer // what it printed; read it only after exited is closed
	exited chan struct{} // closed when the program has ended
	err    error         // how it ended; read it only after exited is closed

	once sync.Once // guards killing: a process id may be reused after the end
	gone error     // what removing the folder said
}

// launch starts btcd on a free port and waits until it answers. After an
// error the process, if there is one, is still the node's to close.
func (n *Node) launch(ctx context.Context, binary string) (err error) {
	folder, unlock, err := newFolder()
	if err != nil {
		return err
	}
	defer func() {
		if n.process == nil {
			err = errors.Join(err, os.RemoveAll(folder))
			unlock()
		}
	}()
	if n.addr, err = freePort(); err != nil {
		return err
	}
	// The password goes into a file: a command line can be read by everybody.
	config := filepath.Join(folder, "btcd.conf")
	content := fmt.Sprintf("[Application Options]\nrpcuser=%s\nrpcpass=%s\n", n.user, n.pass)
	if err := os.WriteFile(config, []byte(content), 0o600); err != nil {
		return err
	}
	n.process, err = spawn(folder, unlock, binary,
		"--configfile="+config, "--datadir="+filepath.Join(folder, "data"), "--logdir="+filepath.Join(folder, "log"),
		"--regtest", "--notls", "--nodnsseed", "--nolisten", "--txindex", "--addrindex",
		"--rpclisten="+n.addr, "--miningaddr="+n.faucet.address.EncodeAddress())
	if err != nil {
		return err
	}
	return n.await(ctx)
}

// await polls the RPC until the node answers, ends, or takes too long.
func (n *Node) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		_, _, err := n.Height(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-n.process.exited:
			return fmt.Errorf("btcd ended at once: %v: %s", n.process.err, strings.TrimSpace(n.process.log.String()))
		case <-ctx.Done():
			return fmt.Errorf("wait for btcd: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// spawn starts a program in a process group of its own that the kernel kills
// when this process ends. The signal is tied to the thread that started the
// program, so that one goroutine keeps its thread until the program has ended.
func spawn(folder string, unlock func(), binary string, args ...string) (*process, error) {
	p := &process{folder: folder, unlock: unlock, log: new(bytes.Buffer), exited: make(chan struct{})}
	cmd := exec.Command(binary, args...)
	cmd.Dir = folder
	cmd.Env = []string{"HOME=" + folder, "TMPDIR=" + folder}
	cmd.Stdout, cmd.Stderr = p.log, p.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() { // close waits for it by way of exited
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		if err == nil {
			p.pid = cmd.Process.Pid
		}
		started <- err
		if err == nil {
			p.err = cmd.Wait()
		}
		close(p.exited)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// close kills the process group, waits for its end and removes the folder.
func (p *process) close() error {
	p.once.Do(func() {
		select {
		case <-p.exited:
		default:
			if err := syscall.Kill(-p.pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				p.gone = fmt.Errorf("kill process group %d: %w", p.pid, err)
				return
			}
			<-p.exited
		}
		p.gone = os.RemoveAll(p.folder)
		p.unlock()
	})
	return p.gone
}

// freePort returns a loopback address that nobody listened on a moment ago.
func freePort() (string, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}
