// SPDX-License-Identifier: Apache-2.0

package logstoreapp_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"strongroom/internal/app/logstoreapp"
	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/auditlog/logtest"
	"strongroom/internal/core/auditlog/remote"
	"strongroom/internal/pgtest"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// shortDir makes a folder with a path that is short enough for a socket.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "logstore")
	must(t, err)
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// options are those of a log store for a log, with its connection string in a file.
func options(t testing.TB, dsn, log string) logstoreapp.Options {
	t.Helper()
	dir := shortDir(t)
	file := filepath.Join(dir, "dsn")
	must(t, os.WriteFile(file, []byte(dsn+"\n"), 0o600))
	return logstoreapp.Options{Socket: filepath.Join(dir, "s"), DSNFile: file, Log: log, Now: time.Now, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
}

// serve runs a log store in this process until the test ends, and gives its socket.
func serve(t testing.TB, o logstoreapp.Options) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- logstoreapp.Run(ctx, o, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-ended:
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return o.Socket
}

// open opens a handle that ends with the test at the latest.
func open(t testing.TB, socket string) *remote.Store {
	t.Helper()
	s, err := remote.Open(t.Context(), remote.Config{Socket: socket})
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// records reads all records.
func records(t testing.TB, s auditlog.Store) []auditlog.Record {
	t.Helper()
	var all []auditlog.Record
	for {
		recs, err := s.Read(t.Context(), uint64(len(all)), 1000)
		must(t, err)
		if len(recs) == 0 {
			return all
		}
		all = append(all, recs...)
	}
}

func wantRecords(t testing.TB, s auditlog.Store, want []auditlog.Record) {
	t.Helper()
	got := records(t, s)
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	for i := range got {
		if !logtest.Equal(got[i], want[i]) {
			t.Fatalf("record %d is not what was appended", i)
		}
	}
}

// proxy stands between the two ends of a Unix socket. It can lose the next request or the next answer, and cuts the connection then.
type proxy struct {
	target      string
	ask, answer atomic.Bool // lose what comes next in this direction
	hits        atomic.Int64
}

// through makes a proxy at path to target.
func through(t testing.TB, path, target string) *proxy {
	t.Helper()
	p := &proxy{target: target}
	ln, err := net.Listen("unix", path)
	must(t, err)
	go func() { // ends with the listener
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go p.join(c) // ends with either connection
		}
	}()
	t.Cleanup(func() { _ = ln.Close() })
	return p
}

func (p *proxy) join(c net.Conn) {
	defer c.Close()
	s, err := net.Dial("unix", p.target)
	if err != nil {
		return
	}
	defer s.Close()
	both := make(chan struct{}, 2)
	pass := func(from, to net.Conn, lose *atomic.Bool) {
		defer func() { both <- struct{}{} }()
		b := make([]byte, 64<<10)
		for {
			n, err := from.Read(b)
			if n > 0 && lose.CompareAndSwap(true, false) {
				p.hits.Add(1)
				return
			}
			if n > 0 {
				if _, err := to.Write(b[:n]); err != nil {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}
	go pass(c, s, &p.ask)
	go pass(s, c, &p.answer)
	<-both // the deferred closes end the other one
}

// helperEnv names what the test binary does instead of testing.
const helperEnv = "STRONGROOM_LOGSTORE_TEST_HELPER"

// TestMain lets the test binary be a process of its own, to be killed.
func TestMain(m *testing.M) {
	switch os.Getenv(helperEnv) {
	case "serve":
		o := logstoreapp.Options{Socket: os.Args[1], DSNFile: os.Args[2], Log: os.Args[3], Now: time.Now, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
		if err := logstoreapp.Run(context.Background(), o, func() { fmt.Println("ready") }); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case "write": // becomes the writer, says so, and waits to be killed
		s, err := remote.Open(context.Background(), remote.Config{Socket: os.Args[1]})
		if err == nil {
			err = s.TakeWriter(context.Background(), 0, 1)
		}
		if err == nil {
			err = s.Append(context.Background(), 1, 0, logtest.Chain([32]byte{}, 0, 2))
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println("ready")
		_, _ = io.Copy(io.Discard, os.Stdin) // until the test ends
	default:
		os.Exit(m.Run())
	}
}

// helper starts the test binary as another process and waits until it is ready. kill ends it with SIGKILL.
func helper(t testing.TB, what string, args ...string) (kill func()) {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), helperEnv+"="+what)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe() // its end tells the helper that we are gone
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	var once sync.Once
	kill = func() {
		once.Do(func() {
			_ = cmd.Process.Signal(syscall.SIGKILL) // it may have ended
			_ = cmd.Wait()
		})
	}
	t.Cleanup(kill)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || line != "ready\n" {
		kill()
		t.Fatalf("helper %s said %q, %v", what, line, err)
	}
	runtime.KeepAlive(stdin)
	return kill
}

// start makes the one cluster that a test's subtests share.
func start(t *testing.T) (c *pgtest.Cluster, database string) {
	t.Helper()
	c = pgtest.Start(t)
	return c, c.Database(t)
}

// mustNotServe requires that a log store with these options refuses to start.
func mustNotServe(t *testing.T, why string, o logstoreapp.Options) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := logstoreapp.Run(ctx, o, cancel); err == nil {
		t.Errorf("%s: it serves", why)
	}
}
