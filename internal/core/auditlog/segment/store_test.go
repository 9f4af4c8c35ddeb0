// SPDX-License-Identifier: Apache-2.0

package segment_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/auditlog/disk"
	"strongroom/internal/core/auditlog/disk/disktest"
	"strongroom/internal/core/auditlog/logtest"
	"strongroom/internal/core/auditlog/segment"
)

const first = "00000000000000000000.seg"

func open(t testing.TB, d disk.Dir, size int64) *segment.Store {
	t.Helper()
	s, err := segment.Open(d, segment.Options{SegmentSize: size})
	must(t, err)
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fill appends n records one by one as writer 1 of an empty store.
func fill(t testing.TB, s *segment.Store, n int) []auditlog.Record {
	t.Helper()
	recs := logtest.Chain([32]byte{}, 0, n)
	must(t, s.TakeWriter(t.Context(), 0, 1))
	for i := range recs {
		must(t, s.Append(t.Context(), 1, uint64(i), recs[i:i+1]))
	}
	return recs
}

func segments(t *testing.T, m *disktest.Mem) []string {
	t.Helper()
	names, err := m.List()
	must(t, err)
	var out []string
	for _, n := range names {
		if strings.HasSuffix(n, ".seg") {
			out = append(out, n)
		}
	}
	return out
}

// number is the first entry of a segment file.
func number(name string) uint64 {
	n := uint64(0)
	for _, c := range name[:20] {
		n = n*10 + uint64(c-'0')
	}
	return n
}

func wantCorrupt(t *testing.T, err error, seq uint64, file string) {
	t.Helper()
	var c *auditlog.CorruptError
	if !errors.As(err, &c) || c.Seq != seq || !strings.Contains(c.Where, file) {
		t.Fatalf("got %v, want entry %d in %s named", err, seq, file)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{-1, 1, 511, 1<<30 + 1} {
		if _, err := segment.Open(disktest.New(), segment.Options{SegmentSize: size}); err == nil {
			t.Errorf("segment size %d was accepted", size)
		}
	}
}

func TestOneFlushAnAppend(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d, err := disk.OS(dir, disk.Options{})
	must(t, err)
	s := open(t, d, 1<<20)
	fill(t, s, 1)
	before := d.Syncs()
	recs := logtest.Chain([32]byte{}, 1, 50)
	must(t, s.Append(t.Context(), 1, 1, recs[:49]))
	must(t, s.Append(t.Context(), 1, 50, recs[49:]))
	if n := d.Syncs() - before; n != 2 {
		t.Errorf("2 appends made %d flushes", n)
	}
	info, err := os.Stat(d.Path(first))
	if err != nil || info.Size() != 1<<20 {
		t.Errorf("segment is not preallocated: %v, %v", info, err)
	}
}

func TestFullSegmentsGiveTheRestBack(t *testing.T) {
	t.Parallel()
	m := disktest.New()
	recs := fill(t, open(t, m, 1024), 60)
	names := segments(t, m)
	if len(names) < 4 {
		t.Fatalf("only %d segments", len(names))
	}
	for _, n := range names[:len(names)-1] {
		if b := m.Bytes(n); len(b) > 1024 || b[len(b)-1] == 0 {
			t.Errorf("%s has %d bytes, the last of them %d", n, len(b), b[len(b)-1])
		}
	}
	if len(m.Bytes(names[len(names)-1])) != 1024 {
		t.Error("the last segment is not preallocated")
	}
	// A batch larger than a segment gets one of its own.
	s := open(t, m.Clone(), 1024)
	must(t, s.Append(t.Context(), 1, 60, logtest.Chain([32]byte{}, 60, 100)))
	got, err := s.Read(t.Context(), 59, 1)
	if err != nil || len(got) != 1 || !logtest.Equal(got[0], recs[59]) {
		t.Fatalf("record before the large batch: %v", err)
	}
	// A record that does not fit an empty segment, left by a truncation, makes it longer.
	must(t, s.Truncate(t.Context(), 1, 60))
	large := logtest.Record([32]byte{}, 60, bytes.Repeat([]byte{1}, 50000))
	must(t, s.Append(t.Context(), 1, 60, []auditlog.Record{large}))
	if got, err = s.Read(t.Context(), 60, 5); err != nil || len(got) != 1 || !logtest.Equal(got[0], large) {
		t.Fatalf("large record: %d, %v", len(got), err)
	}
}

func TestForeignFilesAreLeftAlone(t *testing.T) {
	t.Parallel()
	m := disktest.New()
	recs := fill(t, open(t, m, 1024), 5)
	m.SetBytes("notes.txt", []byte("x"))
	m.SetBytes("5.seg", []byte("x"))
	m.SetBytes("segment.new", bytes.Repeat([]byte{0xff}, 3000))
	m = m.Restart()
	s := open(t, m, 512)
	for seq := uint64(5); seq < 30; seq++ { // new segments, through the file that was left over
		must(t, s.Append(t.Context(), 1, seq, logtest.Chain([32]byte{}, seq, 1)))
	}
	got, err := s.Read(t.Context(), 0, 5)
	if err != nil || !logtest.Equal(got[4], recs[4]) {
		t.Fatal(err)
	}
	for _, name := range segments(t, m) {
		if bytes.Contains(m.Bytes(name), []byte{0xff, 0xff, 0xff, 0xff}) {
			t.Errorf("%s has the remains of another file", name)
		}
	}
}

// Whatever a power cut leaves of a truncation over several files is a beginning of the log, from which all can be read.
func TestTruncationUnderPowerCuts(t *testing.T) {
	t.Parallel()
	base := disktest.New()
	recs := fill(t, open(t, base, 512), 40)
	for n := 1; ; n++ {
		struck := false
		for seed := range uint64(20) {
			m := base.Clone()
			m.FailAt(n, disktest.Before)
			err := open(t, m, 512).Truncate(t.Context(), 1, 3)
			struck, _ = m.Struck()
			keep := float64(seed%4) / 4
			s := open(t, m.PowerCut(keep, rand.New(rand.NewPCG(seed, uint64(n)))), 512)
			size, _, headErr := s.Head(t.Context())
			must(t, headErr)
			if size < 3 || err == nil && size != 3 {
				t.Fatalf("change %d: %d records after truncation to 3 (%v)", n, size, err)
			}
			for i := range size {
				got, err := s.Read(t.Context(), i, 1)
				if err != nil || len(got) != 1 || !logtest.Equal(got[0], recs[i]) {
					t.Fatalf("change %d, seed %d: record %d of %d: %v", n, seed, i, size, err)
				}
			}
		}
		if !struck {
			return
		}
	}
}

func TestDamageIsNamed(t *testing.T) {
	t.Parallel()
	m := disktest.New()
	fill(t, open(t, m, 1024), 60)
	names := segments(t, m)
	second, third := number(names[1]), number(names[2])
	read := func(m *disktest.Mem, from uint64) error {
		t.Helper()
		s, err := segment.Open(m, segment.Options{SegmentSize: 1024})
		if err != nil {
			return err
		}
		for from < 60 {
			got, err := s.Read(t.Context(), from, 10)
			if err != nil {
				return err
			}
			if len(got) == 0 {
				t.Fatalf("nothing at %d, and no error", from)
			}
			from += uint64(len(got))
		}
		return nil
	}
	must(t, read(m.Clone(), 0))

	gone := m.Clone()
	gone.Delete(names[0])
	wantCorrupt(t, read(gone, 0), 0, names[0])

	hole := m.Clone()
	hole.Delete(names[1])
	wantCorrupt(t, read(hole, 0), second, names[0])

	header := m.Clone()
	header.SetBytes(names[1], append([]byte("X"), header.Bytes(names[1])[1:]...))
	wantCorrupt(t, read(header, 0), second, names[1])

	swapped := m.Clone()
	swapped.SetBytes(names[1], m.Bytes(names[2]))
	wantCorrupt(t, read(swapped, 0), second, names[1])

	last := m.Clone()
	last.SetBytes(names[len(names)-1], nil)
	if err := read(last, 0); err == nil {
		t.Error("an empty last segment was accepted")
	}

	cut := m.Clone()
	b := cut.Bytes(names[1])
	cut.SetBytes(names[1], b[:len(b)/2])
	s := open(t, cut, 1024)
	var c *auditlog.CorruptError
	for from := second; ; from++ { // all up to the damage can be read, one by one
		if _, err := s.Read(t.Context(), from, 1); errors.As(err, &c) {
			if c.Seq != from || !strings.Contains(c.Reason, "ends here") {
				t.Fatalf("at %d: %v", from, err)
			}
			break
		} else {
			must(t, err)
		}
	}
	if where := s.Where(c.Seq); !strings.Contains(where, names[1]) {
		t.Errorf("place of the damaged entry: %s", where)
	}
	wantCorrupt(t, read(cut, third-1), c.Seq, names[1]) // what lies behind it can't be found
}

func TestNothingIsDoneAfterAFailure(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]int{"write": 1, "flush": 2} {
		for _, when := range []disktest.When{disktest.Before, disktest.After, disktest.Half} {
			m := disktest.New()
			s := open(t, m, 4096)
			recs := fill(t, s, 2)
			next := logtest.Chain([32]byte{}, 2, 1)
			m.FailAt(fault, when)
			if err := s.Append(t.Context(), 1, 2, next); !errors.Is(err, auditlog.ErrFatal) || !errors.Is(err, disktest.ErrInjected) {
				t.Fatalf("%s: %v", name, err)
			}
			changes := m.Changes()
			_, _, headErr := s.Head(t.Context())
			_, readErr := s.Read(t.Context(), 0, 1)
			for what, err := range map[string]error{
				"append": s.Append(t.Context(), 1, 2, next), "truncate": s.Truncate(t.Context(), 1, 1),
				"take over": s.TakeWriter(t.Context(), 1, 2), "head": headErr, "read": readErr,
			} {
				if !errors.Is(err, auditlog.ErrFatal) {
					t.Errorf("%s after a failed %s: %v, want ErrFatal", what, name, err)
				}
			}
			if m.Changes() != changes {
				t.Errorf("the disk was touched after a failed %s", name)
			}
			got, err := open(t, m.Restart(), 4096).Read(t.Context(), 0, 2)
			if err != nil || len(got) != 2 || !logtest.Equal(got[1], recs[1]) {
				t.Errorf("after restart: %d records, %v", len(got), err)
			}
		}
	}
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	m := disktest.New()
	s := open(t, m, 1024)
	recs := fill(t, s, 5)
	used := 0
	names, err := m.List()
	must(t, err)
	for _, n := range names {
		used += len(m.Bytes(n))
	}
	m.Limit(used + 500)
	n := 5
	for ; ; n++ {
		if err = s.Append(t.Context(), 1, uint64(n), logtest.Chain([32]byte{}, uint64(n), 1)); err != nil {
			break
		}
	}
	if !errors.Is(err, auditlog.ErrFatal) || !errors.Is(err, disktest.ErrFull) {
		t.Fatalf("full disk: %v", err)
	}
	m = m.Restart()
	s = open(t, m, 1024)
	if size, _, err := s.Head(t.Context()); err != nil || size != uint64(n) {
		t.Fatalf("after restart: %d, %v; want %d", size, err, n)
	}
	got, err := s.Read(t.Context(), 0, 5)
	if err != nil || !logtest.Equal(got[4], recs[4]) {
		t.Fatal(err)
	}
	must(t, s.Append(t.Context(), 1, uint64(n), logtest.Chain([32]byte{}, uint64(n), 30))) // space was made
}

// What an append that was cut off left behind the last record is never taken for a record, not even when the next one has the same length.
func TestRemainsOfACutAppendAreCleared(t *testing.T) {
	t.Parallel()
	m := disktest.New()
	s := open(t, m, 4096)
	fill(t, s, 1)
	lost := logtest.Chain([32]byte{7}, 1, 2)
	lost[1] = logtest.Record([32]byte{8}, 2)
	must(t, s.Append(t.Context(), 1, 1, lost))
	// The first of the two did not reach the disk.
	b := m.Bytes(first)
	off := 24 + 16 + 8 + 40 // file header, frame of entry 0
	length := 16 + int(b[off])
	clear(b[off : off+length])
	m = m.Restart()
	m.SetBytes(first, b)
	s = open(t, m, 4096)
	if size, _, err := s.Head(t.Context()); err != nil || size != 1 {
		t.Fatalf("head %d, %v", size, err)
	}
	again := logtest.Chain([32]byte{9}, 1, 1)
	must(t, s.Append(t.Context(), 1, 1, again))
	s = open(t, m.Restart(), 4096)
	if size, _, err := s.Head(t.Context()); err != nil || size != 2 {
		t.Fatalf("head %d, %v: the remains came back", size, err)
	}
}

func TestStoppedWriterHoldsTheLock(t *testing.T) {
	t.Parallel()
	m := disktest.New()
	s := open(t, m, 4096)
	fill(t, s, 1)
	stopped, err := m.Open("lock", false)
	must(t, err)
	must(t, stopped.TryLock(0))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.TakeWriter(ctx, 1, 2); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, auditlog.ErrFatal) {
		t.Fatalf("locked: %v", err)
	}
	must(t, stopped.Close())
	must(t, s.TakeWriter(t.Context(), 1, 2))
}

func TestOneEpochBelongsToALivingProcess(t *testing.T) {
	t.Parallel()
	m := disktest.New()
	a := open(t, m, 4096)
	fill(t, a, 1)
	b := open(t, m, 4096)
	more := logtest.Chain([32]byte{}, 1, 1)
	if err := b.Append(t.Context(), 1, 1, more); !errors.Is(err, auditlog.ErrLostWriter) {
		t.Fatalf("second process with the same epoch: %v", err)
	}
	must(t, a.Close())
	must(t, b.Append(t.Context(), 1, 1, more))
}

func TestDamagedWriterFile(t *testing.T) {
	t.Parallel()
	m := disktest.New()
	fill(t, open(t, m, 4096), 1)
	m = m.Restart()
	b := m.Bytes("writer")
	m.SetBytes("writer", b[:len(b)-1])
	s := open(t, m, 4096)
	if _, _, err := s.Head(t.Context()); !errors.Is(err, disk.ErrDamaged) {
		t.Fatalf("head with a damaged writer file: %v", err)
	}
	if err := s.Append(t.Context(), 1, 1, logtest.Chain([32]byte{}, 1, 1)); !errors.Is(err, disk.ErrDamaged) {
		t.Fatalf("append with a damaged writer file: %v", err)
	}
}
