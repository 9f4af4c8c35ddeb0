// SPDX-License-Identifier: Apache-2.0

package auditlog_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"testing"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/auditlog/anchor/file"
	"strongroom/internal/core/auditlog/disk"
	"strongroom/internal/core/auditlog/disk/disktest"
	"strongroom/internal/core/auditlog/logtest"
	"strongroom/internal/core/auditlog/segment"
	"strongroom/internal/pure/tlog"
)

const origin = "strongroom.example/log"

// segmentSize makes small logs span several files.
const segmentSize = 1024

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newKey(t testing.TB, seed byte) (tlog.Key, func([]byte) ([]byte, error)) {
	t.Helper()
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	k, err := tlog.NewKey(origin, private.Public().(ed25519.PublicKey))
	must(t, err)
	return k, func(msg []byte) ([]byte, error) { return ed25519.Sign(private, msg), nil }
}

// harness is one process that uses a log: its store, its anchor, its log, and all that it was told is acknowledged.
type harness struct {
	*auditlog.Log
	store *segment.Store
	tail  []auditlog.Record // as given to Tail
}

// config opens store and anchor in d; change may adapt the rest.
func config(t testing.TB, d disk.Dir, h *harness, change ...func(*auditlog.Config)) (auditlog.Config, error) {
	t.Helper()
	key, sign := newKey(t, 1)
	cfg := auditlog.Config{Key: key, Sign: sign, Writer: 1, Entries: logtest.Entries()}
	var err error
	if h.store, err = segment.Open(d, segment.Options{SegmentSize: segmentSize}); err != nil {
		return cfg, err
	}
	a, err := file.Open(d)
	if err != nil {
		return cfg, err
	}
	cfg.Store, cfg.Anchor = h.store, a
	cfg.Tail = func(seq uint64, hash [32]byte, rec auditlog.Record) error {
		if hash != tlog.LeafHash(rec.Leaf) || seq != cfg.Start.Size()+uint64(len(h.tail)) {
			return errors.New("the tail is out of order")
		}
		h.tail = append(h.tail, rec)
		return nil
	}
	for _, c := range change {
		c(&cfg)
	}
	return cfg, nil
}

func tryOpen(t testing.TB, d disk.Dir, change ...func(*auditlog.Config)) (*harness, error) {
	t.Helper()
	h := &harness{}
	cfg, err := config(t, d, h, change...)
	if err != nil {
		return h, err
	}
	h.Log, err = auditlog.Open(t.Context(), cfg)
	if err == nil {
		t.Cleanup(func() { _ = h.Close() })
	}
	return h, err
}

func mustOpen(t testing.TB, d disk.Dir, change ...func(*auditlog.Config)) *harness {
	t.Helper()
	h, err := tryOpen(t, d, change...)
	must(t, err)
	return h
}

func asWriter(n uint64) func(*auditlog.Config) {
	return func(c *auditlog.Config) { c.Writer, c.TakeOver = n, true }
}

// add appends an entry and waits until it is acknowledged.
func (h *harness) add(ctx context.Context, bodies ...[]byte) (auditlog.Record, error) {
	seq, prev := h.Next()
	rec := logtest.Record(prev, seq, bodies...)
	e, err := h.Append(ctx, rec)
	if err != nil {
		return rec, err
	}
	if e.Seq != seq || e.Hash != tlog.LeafHash(rec.Leaf) {
		return rec, fmt.Errorf("entry %d got number %d", seq, e.Seq)
	}
	return rec, e.Wait(ctx)
}

// grow acknowledges n entries, one by one.
func (h *harness) grow(t testing.TB, n int) (recs []auditlog.Record) {
	t.Helper()
	for i := range n {
		rec, err := h.add(t.Context(), fmt.Appendf(nil, "body of %d", i))
		must(t, err)
		recs = append(recs, rec)
	}
	return recs
}

// prove re-proves everything: head, store, bodies, chain and tree.
func (h *harness) prove(t testing.TB, want []auditlog.Record) {
	t.Helper()
	head := h.Head()
	if head.Size != uint64(len(want)) {
		t.Fatalf("the log has %d entries, want %d", head.Size, len(want))
	}
	var f tlog.Frontier
	for i, w := range want {
		got, err := h.store.Read(t.Context(), uint64(i), 1)
		must(t, err)
		if len(got) != 1 || !logtest.Equal(got[0], w) {
			t.Fatalf("entry %d is not what was acknowledged", i)
		}
		f.Append(tlog.LeafHash(w.Leaf))
	}
	key, _ := newKey(t, 1)
	standby, _ := newKey(t, 2)
	c, err := tlog.OpenCheckpoint(head.Signed, key, standby)
	must(t, err)
	if c != head.Checkpoint || c.Root != f.Root() || head.Frontier != f {
		t.Fatal("the head is not the tree over the entries")
	}
	must(t, h.Check(t.Context(), tlog.Frontier{}, nil))
}

func segmentFiles(t testing.TB, m *disktest.Mem) (names []string) {
	t.Helper()
	all, err := m.List()
	must(t, err)
	for _, n := range all {
		if strings.HasSuffix(n, ".seg") {
			names = append(names, n)
		}
	}
	return names
}

// frameEnds gives for each entry of a segment file where its frame ends.
func frameEnds(b []byte) (ends []int) {
	for off := 24; off+16 <= len(b); {
		n := int(uint32(b[off]) | uint32(b[off+1])<<8 | uint32(b[off+2])<<16 | uint32(b[off+3])<<24)
		if n == 0 {
			break
		}
		off += 16 + n
		ends = append(ends, off)
	}
	return ends
}

// named gives the entry that an error of Open or Check names.
func named(err error) (seq uint64, ok bool) {
	var c *auditlog.CorruptError
	var b *auditlog.BehindError
	switch {
	case errors.As(err, &c):
		return c.Seq, c.Where != ""
	case errors.As(err, &b):
		return b.Have, b.Where != ""
	}
	return 0, false
}
