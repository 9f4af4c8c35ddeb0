// SPDX-License-Identifier: Apache-2.0

package auditlog_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/auditlog/disk/disktest"
	"strongroom/internal/core/auditlog/logtest"
	"strongroom/internal/core/auditlog/segment"
	"strongroom/internal/pure/tlog"
)

// written is a closed log of pinned acknowledged entries and three more in the store that were never pinned.
const pinned, beyond = 26, 3

func written(t *testing.T) (*disktest.Mem, []auditlog.Record) {
	t.Helper()
	m := disktest.New()
	h := mustOpen(t, m)
	recs := h.grow(t, pinned)
	must(t, h.Close())
	_, prev := h.Next()
	must(t, h.store.Append(t.Context(), 1, pinned, logtest.Chain(prev, pinned, beyond)))
	return m.Restart().Clone(), recs
}

// place says which entry owns byte i of a segment file that begins with entry first.
func place(b []byte, first uint64, i int) uint64 {
	seq := first
	for _, end := range frameEnds(b) {
		if i < end {
			break
		}
		seq++
	}
	return seq
}

func number(name string) (n uint64) {
	for _, c := range name[:20] {
		n = n*10 + uint64(c-'0')
	}
	return n
}

// Cut at every byte: what lies beyond the pin is recovered, what lies at or below it is refused and named.
func TestTruncationAtEveryByte(t *testing.T) {
	t.Parallel()
	m, recs := written(t)
	files := segmentFiles(t, m)
	if len(files) < 3 {
		t.Fatalf("only %d segments", len(files))
	}
	refused, recovered := 0, 0
	for f, name := range files {
		b := m.Bytes(name)
		ends := frameEnds(b)
		for cut := 0; cut <= ends[len(ends)-1]; cut++ {
			lost := place(b, number(name), cut) // first entry that is not whole
			c := m.Clone()
			c.SetBytes(name, b[:cut])
			h, err := tryOpen(t, c)
			if f == len(files)-1 && lost >= pinned && cut >= 24 || cut == len(b) {
				must(t, err)
				h.prove(t, append(recs[:pinned:pinned], h.grow(t, 2)...))
				must(t, h.Close())
				recovered++
				continue
			}
			seq, ok := named(err)
			if want := lost; !ok || seq != want {
				t.Fatalf("%s cut to %d bytes: %v; want entry %d named", name, cut, err, want)
			}
			refused++
		}
	}
	if refused == 0 || recovered == 0 {
		t.Fatalf("%d refused, %d recovered", refused, recovered)
	}
	for _, name := range files { // and whole files
		c := m.Clone()
		c.Delete(name)
		if _, err := tryOpen(t, c); err == nil && number(name) < pinned {
			t.Fatalf("opened without %s", name)
		} else if seq, ok := named(err); err != nil && (!ok || seq != number(name)) {
			t.Fatalf("without %s: %v", name, err)
		}
	}
}

// Each byte flipped is found by Open where it lies in the tail, and by the full check where it lies before the start point.
func TestEveryFlippedByteIsFoundAndNamed(t *testing.T) {
	t.Parallel()
	m, _ := written(t)
	var half tlog.Frontier
	files := segmentFiles(t, m)
	start := number(files[1]) + 1 // the second segment is read from its first entry on, the first is not
	for seq := range start {
		recs, err := openStore(t, m.Clone()).Read(t.Context(), seq, 1)
		must(t, err)
		half.Append(tlog.LeafHash(recs[0].Leaf))
	}
	for f, name := range files {
		b := m.Bytes(name)
		ends := frameEnds(b)
		for i := range ends[len(ends)-1] {
			want := place(b, number(name), i)
			c := m.Clone()
			flipped := bytes.Clone(b)
			flipped[i] ^= 1 << (i % 8)
			c.SetBytes(name, flipped)
			_, err := tryOpen(t, c.Clone())
			if want >= pinned && i >= 24 {
				must(t, err) // never acknowledged: dropped
				continue
			}
			if seq, ok := named(err); !ok || seq != want {
				t.Fatalf("byte %d of %s: %v; want entry %d named", i, name, err, want)
			}
			// Before the start point's file Open does not see it.
			h, err := tryOpen(t, c.Clone(), func(c *auditlog.Config) { c.Start = half })
			if err == nil {
				if f > 0 {
					t.Fatalf("byte %d of %s: opened", i, name)
				}
				err = h.Check(t.Context(), tlog.Frontier{}, nil)
				if h.Err() == nil {
					t.Fatalf("byte %d of %s: the log goes on after a failed check", i, name)
				}
			}
			if seq, ok := named(err); !ok || seq != want {
				t.Fatalf("byte %d of %s, started later: %v; want entry %d named", i, name, err, want)
			}
		}
	}
}

func openStore(t *testing.T, m *disktest.Mem) *segment.Store {
	t.Helper()
	s, err := segment.Open(m, segment.Options{SegmentSize: segmentSize})
	must(t, err)
	return s
}

// A pin whose parts do not belong together is not believed.
func TestPinOfTwoHeads(t *testing.T) {
	t.Parallel()
	m := disktest.New()
	h := mustOpen(t, m)
	h.grow(t, 4)
	old := h.Head()
	h.grow(t, 2)
	now := h.Head()
	must(t, h.Close())
	for name, p := range map[string]auditlog.Pin{
		"old frontier":   {Checkpoint: now.Signed, Frontier: old.Frontier.Marshal()},
		"old checkpoint": {Checkpoint: old.Signed, Frontier: now.Frontier.Marshal()},
		"no frontier":    {Checkpoint: now.Signed},
		"no checkpoint":  {Frontier: now.Frontier.Marshal()},
	} {
		_, err := tryOpen(t, m.Clone(), func(c *auditlog.Config) { c.Anchor = fixed{p} })
		if err == nil {
			t.Errorf("%s: opened", name)
		}
	}
}

// fixed is an anchor with one pin.
type fixed struct{ pin auditlog.Pin }

func (f fixed) Read(context.Context) (auditlog.Pin, error) { return f.pin, nil }
func (f fixed) Pin(context.Context, auditlog.Pin) error    { return nil }

// A flipped or missing byte in the files beside the segments never shortens the log.
func TestDamageBesideTheSegments(t *testing.T) {
	t.Parallel()
	m, recs := written(t)
	for _, name := range []string{"pin", "writer"} {
		good := m.Bytes(name)
		stride := len(good) / 4
		for i := range good {
			if i%stride > 400 && i%stride < stride-3 || i%3 != 0 { // unused; every third byte
				continue
			}
			for what, b := range map[string][]byte{"flipped": bytes.Clone(good), "cut": bytes.Clone(good[:i])} {
				if what == "flipped" {
					b[i] ^= 2
				}
				c := m.Clone()
				c.SetBytes(name, b)
				if h, err := tryOpen(t, c); err == nil {
					if what == "cut" {
						t.Fatalf("%s cut to %d: opened", name, i)
					}
					if h.Head().Size != uint64(len(recs)) {
						t.Fatalf("%s %s at %d: head %d", name, what, i, h.Head().Size)
					}
					must(t, h.Close())
				} else if errors.Is(err, auditlog.ErrNoPin) {
					t.Fatalf("%s %s at %d: %v", name, what, i, err)
				}
			}
		}
	}
}

// forge rewrites the log with other records under good checksums.
func forge(t *testing.T, m *disktest.Mem, change func(seq uint64, rec *auditlog.Record)) *disktest.Mem {
	t.Helper()
	c := m.Clone()
	s := openStore(t, m.Clone())
	table := crc32.MakeTable(crc32.Castagnoli)
	for _, name := range segmentFiles(t, m) {
		b := bytes.Clone(m.Bytes(name))
		off, seq := 24, number(name)
		for _, end := range frameEnds(b) {
			recs, err := s.Read(t.Context(), seq, 1)
			must(t, err)
			rec := auditlog.Record{Leaf: bytes.Clone(recs[0].Leaf)}
			for _, body := range recs[0].Bodies {
				rec.Bodies = append(rec.Bodies, bytes.Clone(body))
			}
			change(seq, &rec)
			f := b[off:end]
			at := 16 + 8 + 4*len(rec.Bodies)
			at += copy(f[at:], rec.Leaf)
			for _, body := range rec.Bodies {
				at += copy(f[at:], body)
			}
			sum := crc32.Update(crc32.Checksum(f[:12], table), table, f[16:])
			binary.LittleEndian.PutUint32(f[12:], sum)
			off, seq = end, seq+1
		}
		c.SetBytes(name, b)
	}
	return c
}

// An attacker who repairs the checksums is found by chain, tree and body hashes, and the entry that was altered is named.
func TestForgedEntriesAreNamed(t *testing.T) {
	t.Parallel()
	m, _ := written(t)
	must(t, second(tryOpen(t, forge(t, m, func(uint64, *auditlog.Record) {}))))
	for target := range uint64(pinned) {
		for what, change := range map[string]func(*auditlog.Record){
			"link":   func(r *auditlog.Record) { r.Leaf[3] ^= 1 },
			"number": func(r *auditlog.Record) { r.Leaf[39] ^= 1 },
			"body":   func(r *auditlog.Record) { r.Bodies[0][0] ^= 1 },
			"both":   func(r *auditlog.Record) { r.Leaf[39] ^= 1; r.Bodies[0][0] ^= 1 },
		} {
			forged := forge(t, m, func(seq uint64, r *auditlog.Record) {
				if seq == target {
					change(r)
				}
			})
			_, err := tryOpen(t, forged)
			if seq, ok := named(err); !ok || seq != target {
				t.Errorf("%s of entry %d: %v", what, target, err)
			}
		}
	}
}

// A whole chain rewritten from some entry on is consistent in itself, but does not lead to the pin.
func TestRewrittenHistoryIsRefused(t *testing.T) {
	t.Parallel()
	m, _ := written(t)
	for target := range uint64(pinned) {
		var last [32]byte
		forged := forge(t, m, func(seq uint64, r *auditlog.Record) {
			if seq == target {
				r.Leaf[39] ^= 1
			}
			if seq > target {
				copy(r.Leaf, last[:])
			}
			last = tlog.LeafHash(r.Leaf)
		})
		if _, err := tryOpen(t, forged); err == nil {
			t.Errorf("history rewritten from entry %d on was accepted", target)
		} else if _, ok := named(err); !ok {
			t.Errorf("history rewritten from entry %d on: %v", target, err)
		}
	}
}

func TestCheckReportsProgress(t *testing.T) {
	t.Parallel()
	h := mustOpen(t, disktest.New())
	h.grow(t, 9)
	var calls []uint64
	must(t, h.Check(t.Context(), tlog.Frontier{}, func(done, total uint64) {
		if total != 9 {
			t.Errorf("total %d", total)
		}
		calls = append(calls, done)
	}))
	if len(calls) < 2 || calls[len(calls)-1] != 9 {
		t.Errorf("progress %v", calls)
	}
	if err := auditlog.Check(t.Context(), h.store, auditlog.Entries{}, tlog.Frontier{}, h.Head().Checkpoint, nil); err == nil {
		t.Error("check without a reader of leaves")
	}
}

func second[T any](_ T, err error) error { return err }
