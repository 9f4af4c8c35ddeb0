// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"strongroom/internal/app/serveapp"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/tlog"
)

// The kinds of anchor, as genesis names them.
const (
	anchorFile    = "file"
	anchorWitness = "witness"
	anchorTPM     = "tpm"
)

// witnesses is how many log witnesses a domain has; two of them must cosign.
const witnesses = 3

func anchorKinds() []string {
	return []string{anchorFile, anchorTPM, anchorWitness, anchorWitness + "+" + anchorTPM}
}

// anchorCallers are the numbers of callers of the rows of anchors.
func anchorCallers() []int { return []int{1, 32} }

const anchorPrefix = "anchor "

func anchorRow(kind string, callers int) string {
	return anchorPrefix + kind + ", " + strconv.Itoa(callers) + " callers"
}

func isAnchorRow(row string) bool { return strings.HasPrefix(row, anchorPrefix) }

// anchorRounds measures governed transfers in domains that differ in their anchor, in turns; then how long each takes to start. Log witnesses
// are programs of their own on loopback, and this program carries the core's messages to them as serve would; the TPM is swtpm.
func anchorRounds(ctx context.Context, c config, r *report) (err error) {
	var cells []cell
	domains := map[string]*domain{}
	for _, kind := range anchorKinds() {
		if strings.Contains(kind, anchorWitness) && c.Server == "" {
			say("no rows of anchor %s: --server names the program that is the log witness", kind)
			continue
		}
		if _, failed := exec.LookPath("swtpm"); failed != nil && strings.Contains(kind, anchorTPM) {
			say("no rows of anchor %s: swtpm is not installed", kind)
			continue
		}
		d, remove, failed := anchored(ctx, c, kind)
		if failed != nil {
			return fmt.Errorf("anchor %s: %w", kind, failed)
		}
		defer func() { err = errors.Join(err, remove()) }()
		domains[kind] = d
		acc := newAccounts(32+spareAccounts, 0)
		for _, n := range anchorCallers() {
			cells = append(cells, cell{anchorRow(kind, n), c.Length, load{callers: d.governed(n, acc), core: d.cmd.Process.Pid}})
		}
	}
	if err := r.takeRounds(ctx, "anchors", c.Rounds, cells); err != nil {
		return err
	}
	for _, kind := range anchorKinds() {
		d, ok := domains[kind]
		if !ok {
			continue
		}
		if err := d.stop(); err != nil {
			return err
		}
		t := time.Now()
		if err := d.start(ctx); err != nil {
			return err
		}
		r.Starts["with anchor "+kind] = time.Since(t).Seconds()
	}
	return nil
}

// helpers are processes and goroutines that an anchor needs; each function ends one.
type helpers []func() error

func (h helpers) end() error {
	var errs []error
	for i := len(h) - 1; i >= 0; i-- {
		errs = append(errs, h[i]())
	}
	return errors.Join(errs...)
}

// anchored makes a domain with an anchor, and what it needs, with wallets and an open session. The function that it gives ends and removes all.
func anchored(ctx context.Context, c config, kind string) (d *domain, remove func() error, err error) {
	say("making a domain with anchor %s", kind)
	dir, err := os.MkdirTemp("", "strongroom-bench-")
	if err != nil {
		return nil, nil, err
	}
	h := helpers{func() error { return os.RemoveAll(dir) }}
	remove = func() error { return h.end() }
	defer func() {
		if err != nil {
			err = errors.Join(err, remove())
		}
	}()
	prepare, flags := []string{"--anchor", kind}, []string(nil)
	if strings.Contains(kind, anchorTPM) {
		socket, stop, err := startTPM(ctx, filepath.Join(dir, "t"))
		if err != nil {
			return nil, nil, err
		}
		h = append(h, stop)
		flags = append(flags, "--tpm", socket)
	}
	var list []*logWitness
	if strings.Contains(kind, anchorWitness) {
		for i := range witnesses {
			w, err := newLogWitness(ctx, c.Server, dir, fmt.Sprintf("w%d", i+1))
			if err != nil {
				return nil, nil, err
			}
			list = append(list, w)
			prepare = append(prepare, "--witness", w.name+"="+w.vkey)
		}
	}
	if d, err = makeDomain(ctx, c.Core, dir, prepare, flags...); err != nil {
		return nil, nil, err
	}
	h = append(h, d.stop)
	if len(list) > 0 {
		stop, err := d.witnessed(ctx, c.Server, list)
		h = append(h, stop)
		if err != nil {
			return nil, nil, err
		}
	}
	if err = d.start(ctx); err == nil {
		err = d.openSession(ctx)
	}
	if err == nil {
		err = d.addWallets(ctx, 0, 32+spareAccounts)
	}
	return d, remove, err
}

// startTPM runs swtpm in a new folder and gives its socket.
func startTPM(ctx context.Context, dir string) (socket string, stop func() error, err error) {
	if err := os.MkdirAll(filepath.Join(dir, "state"), 0o700); err != nil {
		return "", nil, err
	}
	socket = filepath.Join(dir, "tpm")
	cmd := exec.CommandContext(context.WithoutCancel(ctx), "swtpm", "socket", "--tpm2", "--tpmstate", "dir="+filepath.Join(dir, "state"), "--flags", "not-need-init,startup-clear",
		"--server", "type=unixio,path="+socket, "--ctrl", "type=unixio,path="+socket+".ctrl")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() error { _ = cmd.Process.Kill(); _ = cmd.Wait(); return nil } // says that it was killed
	for range 500 {
		if _, err := os.Stat(socket); err == nil {
			return socket, stop, nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return "", nil, errors.Join(errors.New("swtpm does not start"), stop())
}

// logWitness is a log witness of the benchmark's own.
type logWitness struct{ name, key, state, vkey, url string }

func newLogWitness(ctx context.Context, binary, dir, name string) (*logWitness, error) {
	w := &logWitness{name: name, key: filepath.Join(dir, name+".key"), state: filepath.Join(dir, name+"-state")}
	if out, err := exec.CommandContext(ctx, binary, "witness", "init", "--witness-key", w.key, "--name", "witness.example/"+name, "--plain-key-unsafe").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("witness init: %w: %s", err, out)
	}
	b, err := os.ReadFile(w.key + ".vkey")
	w.vkey = strings.TrimSpace(string(b))
	return w, err
}

// run starts the program and waits until it listens.
func (w *logWitness) run(ctx context.Context, binary, logs string) (stop func() error, err error) {
	cmd := exec.CommandContext(context.WithoutCancel(ctx), binary, "witness", "run", "--witness-key", w.key, "--listen", "127.0.0.1:0", "--state", w.state, "--logs", logs)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop = func() error { return errors.Join(cmd.Process.Signal(os.Interrupt), cmd.Wait()) }
	line, err := bufio.NewReader(out).ReadString('\n')
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "ready ")
	if err != nil || !ok {
		return nil, errors.Join(fmt.Errorf("witness %s did not start", w.name), err, stop())
	}
	w.url = url
	return stop, nil
}

// witnessed runs a domain's log witnesses, and carries its messages to them until the function that it gives is called.
func (d *domain) witnessed(ctx context.Context, binary string, list []*logWitness) (func() error, error) {
	var h helpers
	key, err := tlog.NewKey(entry.Origin(d.id, 1), d.genesis.LogKey)
	if err != nil {
		return h.end, err
	}
	logs := filepath.Join(d.dir, "logs")
	if err := os.WriteFile(logs, []byte("log "+key.String()+"\n"), 0o600); err != nil {
		return h.end, err
	}
	r := serveapp.Relay{Witnesses: map[string]string{}}
	for _, w := range list {
		stop, err := w.run(ctx, binary, logs)
		if err != nil {
			return h.end, err
		}
		h = append(h, stop)
		r.Witnesses[w.name] = w.url
	}
	carrying, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- r.Carry(carrying, d.socket, slog.New(slog.NewTextHandler(io.Discard, nil))) }() // waited for by what is appended
	h = append(h, func() error { stop(); return <-ended })
	return h.end, nil
}
