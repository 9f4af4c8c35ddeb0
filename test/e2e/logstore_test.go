// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"strongroom/internal/pgtest"
)

// logstore is a running 'strongroom logstore'.
type logstore struct {
	t    testing.TB
	cmd  *exec.Cmd
	said bytes.Buffer
	done chan struct{} // closed when it has ended
}

func startLogstore(t testing.TB, dsn, socket string) *logstore {
	t.Helper()
	file := filepath.Join(t.TempDir(), "dsn")
	if err := os.WriteFile(file, []byte(dsn), 0o600); err != nil {
		t.Fatal(err)
	}
	l := &logstore{t: t, done: make(chan struct{}), cmd: exec.Command("strongroom", "logstore", "--socket", socket, "--postgres-dsn-file", file)}
	l.cmd.Stderr = &l.said
	l.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it must not outlive the tests
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { // ends with the process
		_ = l.cmd.Wait() // its end is all that matters
		close(l.done)
	}()
	t.Cleanup(l.kill)
	for late := time.After(patience); ; {
		if c, err := net.Dial("unix", socket); err == nil { // a killed one leaves its socket
			c.Close()
			return l
		}
		select {
		case <-l.done:
			t.Fatalf("the log store ended: %s", l.said.String())
		case <-late:
			t.Fatal("the log store does not answer")
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// kill is kill -9.
func (l *logstore) kill() {
	_ = l.cmd.Process.Kill() // may be gone already
	<-l.done
}

// A domain whose log is in PostgreSQL behind the keyless log store process: core, log store and database each die under load. A core without
// its log ends and says so; nothing that was acknowledged is missing, and no slot has two payloads.
func TestLogInPostgreSQL(t *testing.T) {
	t.Parallel()
	db := pgtest.Start(t)
	s := newSite(t, t.TempDir())
	socket := filepath.Join(t.TempDir(), "s") // the path of a Unix socket is short
	if err := os.Chmod(filepath.Dir(socket), 0o700); err != nil {
		t.Fatal(err)
	}
	s.flags = []string{"--log-socket", socket}
	dsn := db.DSN(db.Database(t))
	store := startLogstore(t, dsn, socket)
	s.create()
	c := s.start()
	c.wallet(callers)
	c.openSession()
	l := s.load(c)
	defer func() { l.stop.Store(true) }()
	rounds := map[string]func(){
		"core":     c.kill,
		"store":    store.kill,
		"database": func() { db.Stop(t, syscall.SIGQUIT) },
	}
	for _, victim := range []string{"core", "store", "database"} {
		before := l.got.Load()
		for late := time.Now().Add(patience); l.got.Load() < before+100; time.Sleep(time.Millisecond) {
			if time.Now().After(late) {
				t.Fatalf("before %s: no answers", victim)
			}
		}
		l.core.Store(nil)
		switch rounds[victim](); victim {
		case "database":
			db.Run(t)
			c.mustFail("the log")
			store.kill()
			store = startLogstore(t, dsn, socket)
		case "store":
			c.mustFail("the log")
			store = startLogstore(t, dsn, socket)
		}
		c.kill()
		c = s.start()
		c.openSession()
		rounds["core"], rounds["store"] = c.kill, store.kill
		l.core.Store(c)
	}
	l.settle(c)
	if l.lost.Load() == 0 {
		t.Error("no call was cut off: the test shows nothing")
	}
	c.stop()
	if files, err := filepath.Glob(filepath.Join(s.dir, "log", "*")); err != nil || len(files) > 0 {
		t.Errorf("the core kept a log of its own: %v, %v", files, err)
	}
	if said := store.said.String(); strings.Contains(said, "password") {
		t.Errorf("the log store said %q", said)
	}
}
