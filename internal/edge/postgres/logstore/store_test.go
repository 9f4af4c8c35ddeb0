// SPDX-License-Identifier: Apache-2.0

package logstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"strongroom/internal/edge/postgres/logstore"
	wire "strongroom/internal/gate/logstore"
	"strongroom/internal/pgtest"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestStore shares one server. The contract of a store is tested over the whole path, in app/logstoreapp.
func TestStore(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Start(t)
	for name, run := range map[string]func(*testing.T, *pgtest.Cluster){
		"damage": testDamage, "pages": testPages, "schema": testSchema, "refusals": testRefusals, "session": testSession, "least rights": testLeastRights,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, cluster)
		})
	}
}

func open(t testing.TB, c *pgtest.Cluster, database string) *logstore.Store {
	t.Helper()
	s, err := logstore.Open(t.Context(), logstore.Config{DSN: c.DSN(database), Log: "log"})
	must(t, err)
	t.Cleanup(s.Close)
	return s
}

// filled is a log of n entries, each with one body of size bytes.
func filled(t testing.TB, c *pgtest.Cluster, database string, n, size int) *logstore.Store {
	t.Helper()
	s := open(t, c, database)
	w := session(t, s)
	r, err := w.TakeWriter(t.Context(), 0, 1)
	done(t, r, err)
	recs := make([]wire.Record, n)
	for i := range recs {
		recs[i] = wire.Record{Leaf: fmt.Appendf(nil, "leaf %d", i), Bodies: [][]byte{make([]byte, size)}}
	}
	r, err = w.Append(t.Context(), 1, 0, recs)
	done(t, r, err)
	return s
}

func session(t testing.TB, s *logstore.Store) *logstore.Session {
	t.Helper()
	w, err := s.Session(t.Context())
	must(t, err)
	t.Cleanup(func() { _ = w.Close(context.Background()) }) // some have failed
	return w
}

func done(t testing.TB, r wire.Result, err error) {
	t.Helper()
	if err != nil || r.Outcome != wire.Done {
		t.Fatalf("got %+v, %v", r, err)
	}
}

// Rows that somebody changed or removed are named; those before them are given.
func testDamage(t *testing.T, c *pgtest.Cluster) {
	for name, sql := range map[string]string{
		"leaf":    "UPDATE strongroom_log.entries SET leaf = '\\x00' WHERE seq = 5",
		"bodies":  "UPDATE strongroom_log.entries SET bodies = '\\x80' WHERE seq = 5",
		"crc":     "UPDATE strongroom_log.entries SET crc = 0 WHERE seq = 5",
		"missing": "DELETE FROM strongroom_log.entries WHERE seq = 5",
		"moved":   "UPDATE strongroom_log.entries SET seq = 500 WHERE seq = 5",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := c.Database(t)
			s := filled(t, c, database, 9, 10)
			must(t, c.Do(t.Context(), database, sql))
			recs, err := s.Read(t.Context(), 0, 100, 1<<20)
			if err != nil || len(recs) != 5 {
				t.Fatalf("read from 0: %d records, %v; want the 5 before the damage", len(recs), err)
			}
			if _, err := s.Read(t.Context(), 5, 1, 1<<20); !errors.As(err, new(*wire.DamagedError)) {
				t.Fatalf("read from 5: %v, want DamagedError", err)
			}
			if recs, err := s.Read(t.Context(), 6, 100, 1<<20); err != nil || len(recs) != 3 {
				t.Fatalf("read from 6: %d records, %v", len(recs), err)
			}
		})
	}
	t.Run("all gone", func(t *testing.T) {
		t.Parallel()
		database := c.Database(t)
		s := filled(t, c, database, 3, 10)
		must(t, c.Do(t.Context(), database, "DELETE FROM strongroom_log.entries"))
		if _, err := s.Read(t.Context(), 1, 10, 1<<20); !errors.As(err, new(*wire.DamagedError)) {
			t.Fatalf("read: %v, want DamagedError", err)
		}
	})
}

// A page stops at its bytes, and has one entry at least.
func testPages(t *testing.T, c *pgtest.Cluster) {
	s := filled(t, c, c.Database(t), 20, 1000)
	for limit, want := range map[int64]int{1: 1, 1000: 1, 1100: 2, 5500: 6, 1 << 30: 20} {
		if recs, err := s.Read(t.Context(), 0, 100, limit); err != nil || len(recs) != want {
			t.Errorf("limit %d: %d records, %v; want %d", limit, len(recs), err, want)
		}
	}
	for _, from := range []uint64{20, 1 << 40, 1<<64 - 1} {
		if recs, err := s.Read(t.Context(), from, 100, 1); err != nil || len(recs) != 0 {
			t.Errorf("read from %d: %d records, %v", from, len(recs), err)
		}
	}
}

func testSchema(t *testing.T, c *pgtest.Cluster) {
	t.Run("together", func(t *testing.T) { // many processes start at once on an empty database
		t.Parallel()
		database := c.Database(t)
		errs := make(chan error)
		for range 6 {
			go func() {
				s, err := logstore.Open(t.Context(), logstore.Config{DSN: c.DSN(database), Log: "log"})
				if err == nil {
					s.Close()
				}
				errs <- err
			}()
		}
		for range 6 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
	})
	for name, sql := range map[string]string{
		"newer":   "INSERT INTO strongroom_log.migrations (version, name, sha256) VALUES (99, 'x', 'x')",
		"changed": "UPDATE strongroom_log.migrations SET sha256 = 'x'",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := c.Database(t)
			open(t, c, database)
			must(t, c.Do(t.Context(), database, sql))
			_, err := logstore.Open(t.Context(), logstore.Config{DSN: c.DSN(database), Log: "log"})
			if !errors.Is(err, logstore.ErrSchema) {
				t.Fatalf("got %v, want ErrSchema", err)
			}
		})
	}
}

func testRefusals(t *testing.T, c *pgtest.Cluster) {
	dsn := c.DSN(c.Database(t))
	for name, k := range map[string]struct {
		cfg  logstore.Config
		want string
	}{
		"no name":        {logstore.Config{DSN: dsn}, "name of the log"},
		"long name":      {logstore.Config{DSN: dsn, Log: strings.Repeat("x", 201)}, "name of the log"},
		"negative pool":  {logstore.Config{DSN: dsn, Log: "x", Pool: -1}, "negative"},
		"not durable":    {logstore.Config{DSN: dsn + " synchronous_commit=off", Log: "x"}, "synchronous_commit is off"},
		"less durable":   {logstore.Config{DSN: dsn + " synchronous_commit=local", Log: "x"}, "synchronous_commit is local"},
		"plain TCP":      {logstore.Config{DSN: "host=127.0.0.1 sslmode=disable", Log: "x"}, "verified certificate"},
		"TLS unverified": {logstore.Config{DSN: "postgres://db.example/x?sslmode=require", Log: "x"}, "verified certificate"},
		"TLS or not":     {logstore.Config{DSN: "postgres://db.example/x?sslmode=prefer", Log: "x"}, "verified certificate"},
		"one of two":     {logstore.Config{DSN: "host=/nowhere,127.0.0.1 sslmode=disable", Log: "x"}, "verified certificate"},
		"no DSN at all":  {logstore.Config{DSN: "port=x", Log: "x"}, "invalid port"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := logstore.Open(t.Context(), k.cfg)
			if err == nil {
				s.Close()
			}
			if err == nil || !strings.Contains(err.Error(), k.want) {
				t.Fatalf("got %v, want something about %q", err, k.want)
			}
		})
	}
	t.Run("password", func(t *testing.T) {
		t.Parallel()
		_, err := logstore.Open(t.Context(), logstore.Config{DSN: "host=/nowhere user=u password=very-secret", Log: "x"})
		if err == nil || strings.Contains(err.Error(), "very-secret") {
			t.Fatalf("got %v, want an error without the password", err)
		}
	})
}

// A session that failed does nothing any more, and its lock is free.
func testSession(t *testing.T, c *pgtest.Cluster) {
	database := c.Database(t)
	s := filled(t, c, database, 2, 1)
	w := session(t, s)
	r, err := w.TakeWriter(t.Context(), 1, 2)
	done(t, r, err)
	if err := c.Do(t.Context(), database, "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid() AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"); err != nil {
		t.Fatal(err)
	}
	if r, err := w.Append(t.Context(), 2, 2, []wire.Record{{}}); err == nil {
		t.Fatalf("append on a terminated session: %+v", r)
	}
	if _, err := w.Append(t.Context(), 2, 2, []wire.Record{{}}); !errors.Is(err, logstore.ErrSession) {
		t.Fatalf("append on a failed session: %v, want ErrSession", err)
	}
	next := session(t, s)
	r, err = next.Append(t.Context(), 2, 2, []wire.Record{{}})
	done(t, r, err)
	if r, err := session(t, s).Append(t.Context(), 2, 3, []wire.Record{{}}); err != nil || r.Outcome != wire.LostWriter {
		t.Fatalf("a second session with the epoch: %+v, %v", r, err)
	}
}

// After the first start the log store needs no right to create anything, nor to change what it wrote.
func testLeastRights(t *testing.T, c *pgtest.Cluster) {
	database := c.Database(t)
	filled(t, c, database, 1, 1)
	for _, sql := range []string{
		"CREATE ROLE keeper LOGIN", "GRANT USAGE ON SCHEMA strongroom_log TO keeper", "GRANT SELECT ON ALL TABLES IN SCHEMA strongroom_log TO keeper",
		"GRANT INSERT (name), UPDATE ON strongroom_log.heads TO keeper", "GRANT INSERT, DELETE ON strongroom_log.entries TO keeper",
	} {
		must(t, c.Do(t.Context(), database, sql))
	}
	s, err := logstore.Open(t.Context(), logstore.Config{DSN: strings.Replace(c.DSN(database), "user=postgres", "user=keeper", 1), Log: "log"})
	must(t, err)
	defer s.Close()
	w := session(t, s)
	r, err := w.TakeWriter(t.Context(), 1, 2)
	done(t, r, err)
	r, err = w.Append(t.Context(), 2, 1, []wire.Record{{Leaf: []byte("x")}})
	done(t, r, err)
	r, err = w.Truncate(t.Context(), 2, 1)
	done(t, r, err)
}

// A server that loses commits, or where a commit's fate is in doubt, is not for a log.
func TestServerNotDurable(t *testing.T) {
	t.Parallel()
	c := pgtest.Start(t)
	database := c.Database(t)
	s := filled(t, c, database, 1, 1)
	w := session(t, s)
	r, err := w.TakeWriter(t.Context(), 1, 2)
	done(t, r, err)

	t.Run("warning", func(t *testing.T) { // as of a commit whose wait for replicas was cut short
		must(t, c.Do(t.Context(), database, `CREATE FUNCTION warn() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'in doubt'; RETURN NEW; END $$`))
		must(t, c.Do(t.Context(), database, "CREATE TRIGGER warn BEFORE INSERT ON strongroom_log.entries FOR EACH ROW EXECUTE FUNCTION warn()"))
		if r, err := w.Append(t.Context(), 2, 1, []wire.Record{{}}); err == nil {
			t.Fatalf("a write with a warning: %+v", r)
		}
	})
	t.Run("fsync off", func(t *testing.T) {
		must(t, c.Do(t.Context(), "postgres", "ALTER SYSTEM SET synchronous_commit = 'remote_write'")) // the session's own setting wins
		must(t, c.Do(t.Context(), "postgres", "SELECT pg_reload_conf()"))
		session(t, s)
		c.Set("fsync", "off")
		c.Restart(t)
		if _, err := logstore.Open(t.Context(), logstore.Config{DSN: c.DSN(database), Log: "log"}); err == nil || !strings.Contains(err.Error(), "fsync") {
			t.Fatalf("got %v, want a refusal because of fsync", err)
		}
		if _, err := s.Session(t.Context()); err == nil {
			t.Fatal("a session was opened on a server with fsync off")
		}
	})
}
