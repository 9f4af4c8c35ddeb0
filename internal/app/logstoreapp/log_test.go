// SPDX-License-Identifier: Apache-2.0

package logstoreapp_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"path/filepath"
	"testing"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/auditlog/anchor/file"
	"strongroom/internal/core/auditlog/disk"
	"strongroom/internal/core/auditlog/logtest"
	"strongroom/internal/pure/tlog"
)

// openLog opens a whole log over a socket, with its anchor in a folder.
func openLog(t *testing.T, socket, anchorDir string, writer uint64) *auditlog.Log {
	t.Helper()
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	key, err := tlog.NewKey("strongroom.example/log", private.Public().(ed25519.PublicKey))
	must(t, err)
	d, err := disk.OS(anchorDir, disk.Options{})
	must(t, err)
	anchor, err := file.Open(d)
	must(t, err)
	t.Cleanup(func() { _ = anchor.Close() })
	l, err := auditlog.Open(t.Context(), auditlog.Config{Store: open(t, socket), Anchor: anchor, Key: key, Writer: writer, TakeOver: true,
		Entries: logtest.Entries(), Sign: func(m []byte) ([]byte, error) { return ed25519.Sign(private, m), nil }})
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func add(t *testing.T, l *auditlog.Log, n int) error {
	t.Helper()
	for range n {
		seq, prev := l.Next()
		h, err := l.Append(t.Context(), logtest.Record(prev, seq, []byte("body")))
		must(t, err)
		if err := h.Wait(t.Context()); err != nil {
			return err
		}
	}
	return nil
}

// A whole log over the log store: an append whose answer is lost stops it, the next process drops what was never pinned, and a standby with
// the next epoch goes on from there.
func TestLogOverLogStore(t *testing.T) {
	t.Parallel()
	cluster, database := start(t)
	target := serve(t, options(t, cluster.DSN(database), "whole"))
	standby := serve(t, options(t, cluster.DSN(database), "whole"))
	socket, pin := filepath.Join(shortDir(t), "p"), t.TempDir()
	p := through(t, socket, target)

	l := openLog(t, socket, pin, 1)
	must(t, add(t, l, 5))
	p.answer.Store(true)
	if err := add(t, l, 1); !errors.Is(err, auditlog.ErrStopped) || !errors.Is(err, auditlog.ErrFatal) {
		t.Fatalf("append whose answer is lost: %v", err)
	}
	if size, _, err := open(t, target).Head(t.Context()); err != nil || size != 6 {
		t.Fatalf("%d entries in the store, %v; want 6", size, err)
	}

	l = openLog(t, standby, pin, 2)
	if n := l.Head().Size; n != 5 {
		t.Fatalf("the standby begins with %d entries, want the 5 that were pinned", n)
	}
	must(t, add(t, l, 3))
	must(t, l.Check(t.Context(), tlog.Frontier{}, nil))
	if n := l.Head().Size; n != 8 {
		t.Fatalf("%d entries, want 8", n)
	}
}
