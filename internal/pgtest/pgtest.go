// SPDX-License-Identifier: Apache-2.0

// Package pgtest runs a throw-away PostgreSQL for tests: a real server in a temporary folder, on a Unix socket only, with durable commits.
// It is imported by tests only. A machine without PostgreSQL fails the test and is told what to install.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// startTimeout is how long a server may take to answer.
const startTimeout = 60 * time.Second

// install says how to get what is missing.
const install = "install it with: apt-get install postgresql"

// Cluster is a running server.
type Cluster struct {
	// Socket is the folder of its Unix socket.
	Socket string

	bin, data string
	cred      *syscall.Credential // nil: our own user
	settings  []string            // NAME=VALUE
	server    *exec.Cmd
	ended     chan error // what the server ended with
	databases atomic.Uint64
}

// Start makes a cluster and stops it when the test ends. PostgreSQL refuses to run as root: then it runs as user postgres, or nobody.
func Start(t testing.TB) *Cluster {
	t.Helper()
	bin, err := find(debian)
	if err != nil {
		t.Fatal(err)
	}
	c := &Cluster{bin: bin, settings: []string{"max_connections=100", "shared_buffers=32MB", "fsync=on", "listen_addresses="}}
	if os.Geteuid() == 0 {
		if c.cred, err = unprivileged(); err != nil {
			t.Fatal(err)
		}
	}
	// Not t.TempDir: the path of a Unix socket is short, and the server's user must get there.
	dir, err := os.MkdirTemp("", "pgtest")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	c.data, c.Socket = filepath.Join(dir, "data"), dir
	if c.cred != nil {
		if err := os.Chown(dir, int(c.cred.Uid), int(c.cred.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := c.command("initdb", "-D", c.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	c.Run(t)
	t.Cleanup(func() { c.Stop(t, syscall.SIGINT) })
	return c
}

// debian is where Debian keeps the programs of each version.
const debian = "/usr/lib/postgresql/*/bin/initdb"

// find gives the folder of the server's programs: of the PATH, or the newest that a pattern matches.
func find(pattern string) (string, error) {
	if p, err := exec.LookPath("initdb"); err == nil {
		if p, err = filepath.EvalSymlinks(p); err == nil {
			return filepath.Dir(p), nil
		}
	}
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) == 0 {
		return "", errors.Join(errors.New("there is no PostgreSQL server on this machine; "+install), err)
	}
	newest := slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })
	return filepath.Dir(newest), nil
}

func version(path string) int {
	n, err := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
	if err != nil {
		return 0
	}
	return n
}

func unprivileged() (*syscall.Credential, error) {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("user %s: %w", name, err)
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("user %s: %w", name, err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is neither a user postgres nor nobody; " + install)
}

func (c *Cluster) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(c.bin, name), args...)
	cmd.Dir = c.Socket
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "HOME=" + c.Socket}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.cred, Setpgid: true} // a signal to the test's group is not for the server
	return cmd
}

// Run starts the server, as after Stop, and waits until it answers.
func (c *Cluster) Run(t testing.TB) {
	t.Helper()
	log := filepath.Join(c.Socket, "log")
	f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	args := []string{"-D", c.data, "-c", "unix_socket_directories=" + c.Socket}
	for _, s := range c.settings {
		args = append(args, "-c", s)
	}
	c.server = c.command("postgres", args...)
	c.server.Stdout, c.server.Stderr = f, f
	if err := c.launch(); err != nil {
		t.Fatal(err)
	}
	end := time.Now().Add(startTimeout)
	for {
		err := c.Do(t.Context(), "postgres", "SELECT 1")
		if err == nil {
			return
		}
		select {
		case err := <-c.ended:
			c.ended <- err
			text, _ := os.ReadFile(log)
			t.Fatalf("PostgreSQL ended: %v\n%s", err, text)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(end) {
			t.Fatalf("PostgreSQL does not answer: %v", err)
		}
	}
}

// launch starts the server so that it ends with this process, however that ends. The kernel ties the two by thread, so one is kept for it.
func (c *Cluster) launch() error {
	c.server.SysProcAttr.Pdeathsig = syscall.SIGQUIT
	cmd, ended, started := c.server, make(chan error, 1), make(chan error)
	c.ended = ended
	go func() { // Stop waits
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			ended <- cmd.Wait()
		}
	}()
	return <-started
}

// Stop sends the server a signal and waits for its end: SIGINT for a clean one, SIGQUIT for a crash of all its processes.
func (c *Cluster) Stop(t testing.TB, sig syscall.Signal) {
	t.Helper()
	_ = c.server.Process.Signal(sig) // it may have ended
	select {
	case err := <-c.ended:
		c.ended <- err
	case <-time.After(startTimeout):
		_ = c.server.Process.Kill()
		t.Error("PostgreSQL did not stop")
	}
}

// Set changes a setting from the next Restart on.
func (c *Cluster) Set(name, value string) { c.settings = append(c.settings, name+"="+value) }

// Restart stops the server cleanly and starts it again.
func (c *Cluster) Restart(t testing.TB) {
	t.Helper()
	c.Stop(t, syscall.SIGINT)
	c.Run(t)
}

// DSN is the connection string of a database.
func (c *Cluster) DSN(database string) string {
	return fmt.Sprintf("host=%s port=5432 user=postgres dbname=%s", c.Socket, database)
}

// Database makes an empty database and gives its name.
func (c *Cluster) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test%d", c.databases.Add(1))
	if err := c.Do(t.Context(), "postgres", "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	return name
}

// Do runs one statement in a database, on a connection of its own.
func (c *Cluster) Do(ctx context.Context, database, sql string) error {
	conn, err := pgx.Connect(ctx, c.DSN(database))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, sql)
	return errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
}

// Get gives the one value of a query as text.
func (c *Cluster) Get(ctx context.Context, database, sql string) (string, error) {
	conn, err := pgx.Connect(ctx, c.DSN(database))
	if err != nil {
		return "", err
	}
	var s string
	err = conn.QueryRow(ctx, sql).Scan(&s)
	return strings.TrimSpace(s), errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
}
