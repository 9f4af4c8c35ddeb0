// SPDX-License-Identifier: Apache-2.0

package logstoreapp_test

import (
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/auditlog/logtest"
	"strongroom/internal/core/auditlog/remote"
)

// The connection ends before a write has its effect, or after it when only the answer is lost: between core and log store, and between log
// store and PostgreSQL. The handle says that it does not know, does nothing more, and the next one sees what became of it.
func TestLostConnection(t *testing.T) {
	t.Parallel()
	cluster, database := start(t)
	recs := logtest.Chain([32]byte{}, 0, 6)
	for _, c := range []struct {
		name   string
		toCore bool // cut between core and log store, else between log store and PostgreSQL
		after  bool // lose the answer, else the request
	}{
		{"door, request", true, false}, {"door, answer", true, true}, {"database, request", false, false}, {"database, answer", false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var p *proxy
			var socket string
			if c.toCore {
				target := serve(t, options(t, cluster.DSN(database), c.name))
				socket = filepath.Join(shortDir(t), "p")
				p = through(t, socket, target)
			} else {
				dir := shortDir(t)
				p = through(t, filepath.Join(dir, ".s.PGSQL.5432"), filepath.Join(cluster.Socket, ".s.PGSQL.5432"))
				socket = serve(t, options(t, "host="+dir+" user=postgres dbname="+database, c.name))
			}
			s := open(t, socket)
			must(t, s.TakeWriter(t.Context(), 0, 1))
			must(t, s.Append(t.Context(), 1, 0, recs[:2]))
			if c.after {
				p.answer.Store(true)
			} else {
				p.ask.Store(true)
			}
			if err := s.Append(t.Context(), 1, 2, recs[2:4]); !errors.Is(err, auditlog.ErrFatal) {
				t.Fatalf("append: %v, want ErrFatal", err)
			}
			if p.hits.Load() != 1 {
				t.Fatalf("the connection was cut %d times", p.hits.Load())
			}
			if err := s.Append(t.Context(), 1, 2, recs[2:4]); !errors.Is(err, auditlog.ErrFatal) {
				t.Fatalf("a second append: %v, want ErrFatal", err)
			}
			if _, err := s.Read(t.Context(), 0, 1); !errors.Is(err, auditlog.ErrFatal) {
				t.Fatalf("read after a failure: %v, want ErrFatal", err)
			}
			must(t, s.Close())

			s = open(t, socket)
			have := recs[:2]
			if c.after {
				have = recs[:4]
			}
			wantRecords(t, s, have)
			must(t, s.Append(t.Context(), 1, uint64(len(have)), recs[len(have):]))
			wantRecords(t, s, recs)
		})
	}
}

// A second log store, as on a standby, takes the next epoch while the first goes on writing.
func TestTakeOverUnderLoad(t *testing.T) {
	t.Parallel()
	cluster, database := start(t)
	a := open(t, serve(t, options(t, cluster.DSN(database), "take over")))
	b := open(t, serve(t, options(t, cluster.DSN(database), "take over")))
	recs := logtest.Chain([32]byte{}, 0, 2000)
	must(t, a.TakeWriter(t.Context(), 0, 1))
	var acked atomic.Uint64
	end := make(chan error, 1)
	go func() {
		for i := range recs {
			if err := a.Append(t.Context(), 1, uint64(i), recs[i:i+1]); err != nil {
				end <- err
				return
			}
			acked.Store(uint64(i + 1))
		}
		end <- nil
	}()
	for acked.Load() < 20 {
		time.Sleep(time.Millisecond)
	}
	must(t, b.TakeWriter(t.Context(), 1, 2))
	size, _, err := b.Head(t.Context())
	must(t, err)
	if err := <-end; !errors.Is(err, auditlog.ErrLostWriter) {
		t.Fatalf("the first writer: %v, want ErrLostWriter", err)
	}
	if acked.Load() != size {
		t.Fatalf("%d records were acknowledged, there were %d after taking over", acked.Load(), size)
	}
	other := logtest.Chain([32]byte{9}, size, 3)
	must(t, b.Append(t.Context(), 2, size, other))
	wantRecords(t, a, append(recs[:size:size], other...)) // the loser may still read
}

// A process that writes is killed. Its epoch stays with it until the kernel says that it is gone, and not a moment longer.
func TestKilledWriter(t *testing.T) {
	t.Parallel()
	cluster, database := start(t)
	socket := serve(t, options(t, cluster.DSN(database), "killed writer"))
	kill := helper(t, "write", socket)
	s := open(t, socket)
	recs := logtest.Chain([32]byte{}, 0, 4)
	if err := s.Append(t.Context(), 1, 2, recs[2:]); !errors.Is(err, auditlog.ErrLostWriter) {
		t.Fatalf("append with the epoch of a live process: %v, want ErrLostWriter", err)
	}
	kill()
	must(t, s.Append(t.Context(), 1, 2, recs[2:]))
	wantRecords(t, s, recs)
}

// The log store is killed in the middle of appends, again and again: what was acknowledged is there, and what was not is a beginning.
func TestKilledLogStore(t *testing.T) {
	t.Parallel()
	cluster, database := start(t)
	o := options(t, cluster.DSN(database), "killed store")
	crash(t, o.Socket, func() (kill, revive func()) {
		kill = helper(t, "serve", o.Socket, o.DSNFile, o.Log)
		return kill, func() {}
	})
}

// PostgreSQL crashes in the middle of appends: all its processes at once, without a checkpoint.
func TestCrashedServer(t *testing.T) {
	t.Parallel()
	cluster, database := start(t)
	o := options(t, cluster.DSN(database), "crashed server")
	socket := serve(t, o)
	crash(t, socket, func() (kill, revive func()) {
		return func() { cluster.Stop(t, syscall.SIGQUIT) }, func() { cluster.Run(t) }
	})
}

// crash appends until kill makes that fail, opens again after revive, and checks what is there; a few times.
func crash(t *testing.T, socket string, begin func() (kill, revive func())) {
	t.Helper()
	recs := logtest.Chain([32]byte{}, 0, 100_000)
	var have uint64
	for round := range 4 {
		kill, revive := begin()
		s := open(t, socket)
		size, writer, err := s.Head(t.Context())
		must(t, err)
		if size < have || size > have+3 {
			t.Fatalf("round %d: %d records, %d were acknowledged, 3 more at most were sent", round, size, have)
		}
		wantRecords(t, s, recs[:size])
		if writer == 0 {
			must(t, s.TakeWriter(t.Context(), 0, 1))
		}
		var acked atomic.Uint64
		acked.Store(size)
		end := make(chan error, 1)
		go func() {
			for {
				i := acked.Load()
				if err := s.Append(t.Context(), 1, i, recs[i:i+3]); err != nil {
					end <- err
					return
				}
				acked.Store(i + 3)
			}
		}()
		for acked.Load() < size+9 {
			time.Sleep(time.Millisecond)
		}
		kill()
		if err := <-end; !errors.Is(err, auditlog.ErrFatal) {
			t.Fatalf("round %d: %v, want ErrFatal", round, err)
		}
		have = acked.Load()
		must(t, s.Close())
		revive()
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	cluster, database := start(t)
	good := options(t, cluster.DSN(database), "refusals")
	for name, change := range map[string]func(*remote.Config){
		"no socket":        func(c *remote.Config) { c.Socket = "" },
		"negative timeout": func(c *remote.Config) { c.Timeout = -1 },
		"nobody there":     func(c *remote.Config) { c.Socket += "x" },
	} {
		cfg := remote.Config{Socket: good.Socket}
		change(&cfg)
		if s, err := remote.Open(t.Context(), cfg); err == nil {
			_ = s.Close()
			t.Errorf("%s: opened", name)
		}
	}
	bad := good
	bad.DSNFile = filepath.Join(filepath.Dir(good.DSNFile), "open")
	must(t, os.WriteFile(bad.DSNFile, []byte(cluster.DSN(database)), 0o600))
	must(t, os.Chmod(bad.DSNFile, 0o644))
	mustNotServe(t, "a connection string that others can read", bad)
	bad.DSNFile = ""
	mustNotServe(t, "no connection string", bad)
	bad.DSNFile = good.DSNFile + "x"
	mustNotServe(t, "an absent file", bad)
	must(t, os.WriteFile(bad.DSNFile, nil, 0o600))
	mustNotServe(t, "an empty file", bad)
	must(t, os.WriteFile(bad.DSNFile, make([]byte, 20<<10), 0o600))
	mustNotServe(t, "a huge file", bad)
	bad = good
	bad.Socket = ""
	mustNotServe(t, "no socket", bad)
	bad = good
	bad.Logger = nil
	mustNotServe(t, "no logger", bad)
}

// Another user id than those listed does not get past the door; root is not special.
func TestRefusesOtherUsers(t *testing.T) {
	t.Parallel()
	cluster, database := start(t)
	o := options(t, cluster.DSN(database), "users")
	o.UIDs = []uint32{uint32(os.Geteuid()) + 1}
	if s, err := remote.Open(t.Context(), remote.Config{Socket: serve(t, o)}); err == nil {
		_ = s.Close()
		t.Fatal("a user that is not listed was let in")
	}
}

// The connection string comes through a file descriptor.
func TestDSNFromDescriptor(t *testing.T) {
	t.Parallel()
	cluster, database := start(t)
	o := options(t, cluster.DSN(database), "descriptor")
	r, w, err := os.Pipe()
	must(t, err)
	_, err = w.WriteString(cluster.DSN(database))
	must(t, err)
	must(t, w.Close())
	fd, err := syscall.Dup(int(r.Fd())) // Run closes its own
	must(t, err)
	must(t, r.Close())
	o.DSNFile, o.DSNFD = "", fd
	s := open(t, serve(t, o))
	must(t, s.TakeWriter(t.Context(), 0, 1))
}
