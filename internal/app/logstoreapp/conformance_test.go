// SPDX-License-Identifier: Apache-2.0

package logstoreapp_test

import (
	"bytes"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/auditlog/logtest"
	"strongroom/internal/core/auditlog/remote"
)

// The contract of a store, over socket and PostgreSQL; and once more with two log store processes on one database, used by turns.
func TestConformance(t *testing.T) {
	t.Parallel()
	cluster, database := start(t)
	var logs atomic.Uint64
	for name, servers := range map[string]int{"one process": 1, "two processes": 2} {
		t.Run(name, func(t *testing.T) {
			logtest.Run(t, func(t *testing.T) func() (auditlog.Store, error) {
				log := fmt.Sprintf("log %d", logs.Add(1))
				var sockets []string
				for range servers {
					sockets = append(sockets, serve(t, options(t, cluster.DSN(database), log)))
				}
				next := 0
				return func() (auditlog.Store, error) {
					next++
					return remote.Open(t.Context(), remote.Config{Socket: sockets[next%servers]})
				}
			})
		})
	}
}

func TestLargeRecords(t *testing.T) {
	t.Parallel()
	cluster, database := start(t)
	s := open(t, serve(t, options(t, cluster.DSN(database), "large")))
	must(t, s.TakeWriter(t.Context(), 0, 1))
	recs := []auditlog.Record{
		{Leaf: []byte("small")},
		{Leaf: []byte("large"), Bodies: [][]byte{bytes.Repeat([]byte("0123456789abcdef"), 20<<16), {7}, bytes.Repeat([]byte("fedcba9876543210"), 19<<16)}},
		{Leaf: []byte("medium"), Bodies: [][]byte{bytes.Repeat([]byte{3}, 7<<20)}},
		{Leaf: []byte("last")},
	}
	must(t, s.Append(t.Context(), 1, 0, recs))
	wantRecords(t, s, recs)

	huge := []auditlog.Record{recs[1], recs[1]} // each within the limits
	if err := s.Append(t.Context(), 1, 4, huge); !errors.Is(err, auditlog.ErrTooLarge) {
		t.Fatalf("a batch of 78 MiB: %v, want ErrTooLarge", err)
	}
	must(t, s.Append(t.Context(), 1, 4, huge[:1])) // a refusal is no failure, and what was staged before is forgotten
	wantRecords(t, s, append(recs, recs[1]))
}

// Two logs in one database do not touch.
func TestLogsApart(t *testing.T) {
	t.Parallel()
	cluster, database := start(t)
	a := open(t, serve(t, options(t, cluster.DSN(database), "a")))
	b := open(t, serve(t, options(t, cluster.DSN(database), "b")))
	must(t, a.TakeWriter(t.Context(), 0, 1))
	must(t, b.TakeWriter(t.Context(), 0, 1))
	ra, rb := logtest.Chain([32]byte{1}, 0, 5), logtest.Chain([32]byte{2}, 0, 3)
	must(t, a.Append(t.Context(), 1, 0, ra))
	must(t, b.Append(t.Context(), 1, 0, rb))
	must(t, a.Truncate(t.Context(), 1, 4))
	wantRecords(t, a, ra[:4])
	wantRecords(t, b, rb)
	if a.Where(0) == b.Where(0) {
		t.Errorf("both are at %s", a.Where(0))
	}
}
