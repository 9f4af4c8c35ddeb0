// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/auditlog/disk/disktest"
	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// told is a machine whose story was told and that is closed.
func told(t *testing.T, every uint64) (*machine, *story) {
	t.Helper()
	m := newFactory(t).machine(t)
	m.Options.SnapshotEvery, m.Options.TakeOver = every, false
	if err := m.Open(); err != nil {
		t.Fatal(err)
	}
	s := newStory(m.Harness, request.SchemeP2WPKH)
	if err := s.tell(); err != nil {
		t.Fatal(err)
	}
	return m, s
}

// on opens a domain with other disks and gives it, or why it does not open.
func (m *machine) on(log, anchor *disktest.Mem, memory *domaintest.Memory) (*domaintest.Harness, error) {
	o := m.Options
	o.TakeOver, o.Faults, o.Log, o.Anchor, o.Memory = false, nil, log, anchor, memory
	h := m.Other(o)
	return h, h.Open()
}

// segmentOf gives the one segment file of a log and where the frame of each entry ends.
func segmentOf(t testing.TB, log *disktest.Mem) (name string, b []byte, ends []int) {
	t.Helper()
	names, err := log.List()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(names, func(n string) bool { return strings.HasSuffix(n, ".seg") })
	b = log.Bytes(names[i])
	for off := 24; off+16 <= len(b); { // docs/spec/log-store.md, "Segment file"
		n := int(uint32(b[off]) | uint32(b[off+1])<<8 | uint32(b[off+2])<<16 | uint32(b[off+3])<<24)
		if n == 0 {
			break
		}
		off += 16 + n
		ends = append(ends, off)
	}
	return names[i], b, ends
}

// namedIn gives the entry that an error names, if it names its place too.
func namedIn(err error) (seq uint64, ok bool) {
	var c *auditlog.CorruptError
	var b *auditlog.BehindError
	switch {
	case errors.As(err, &c):
		return c.Seq, strings.Contains(c.Where, ".seg")
	case errors.As(err, &b):
		return b.Have, strings.Contains(b.Where, ".seg")
	}
	return 0, false
}

// entryAt says which entry owns a byte of the segment.
func entryAt(ends []int, i int) uint64 {
	seq := uint64(0)
	for _, end := range ends {
		if i < end {
			break
		}
		seq++
	}
	return seq
}

// The log is cut at every byte of its last entries: what lies beyond the pin is dropped and the domain goes on; what lies at or below it
// is refused, with the entry and its place.
func TestCutAtEveryByte(t *testing.T) {
	t.Parallel()
	m, s := told(t, 6)
	reached, release := m.faults.Hold(domaintest.AnchorPin, domaintest.Before)
	lost := pay(m.Harness, m.Alice, domaintest.Whitelisted, 77)
	asked := make(chan error, 1)
	go func() {
		_, err := m.Submit(m.Alice, lost, nil)
		asked <- err
	}()
	wait(t, "the pin", reached)
	m.faults.Crash()
	release()
	if wait(t, "the answer", asked) == nil {
		t.Fatal("acknowledged without a pin")
	}
	pinned := m.D.Status().Pinned
	m.crash()
	name, b, ends := segmentOf(t, m.log)
	if uint64(len(ends)) <= pinned {
		t.Fatalf("%d entries, %d pinned", len(ends), pinned)
	}
	refused, opened := 0, 0
	for cut := ends[pinned-5]; cut <= ends[len(ends)-1]; cut += stride() {
		log := m.log.Clone()
		log.SetBytes(name, b[:cut])
		h, err := m.on(log, m.anchor.Clone(), m.Options.Memory)
		if missing := entryAt(ends, cut); missing < pinned {
			if seq, ok := namedIn(err); !ok || seq != missing {
				t.Fatalf("cut to %d bytes: %v; want entry %d named", cut, err, missing)
			}
			refused++
			continue
		}
		if err != nil {
			t.Fatalf("cut to %d bytes, beyond the pin: %v", cut, err)
		}
		if size := h.D.Status().Size; size != pinned {
			t.Fatalf("cut to %d bytes: %d entries, %d were acknowledged", cut, size, pinned)
		}
		if opened++; opened%97 == 1 {
			x := *s
			x.h, x.session = h, nil
			if err := x.tell(); err != nil {
				t.Fatal(err)
			}
			x.holds()
			if _, err := h.Submit(h.Alice, lost, nil); err != nil {
				t.Fatalf("what was dropped, asked again: %v", err)
			}
		}
		h.Close()
	}
	if refused < 20 || opened < 20 {
		t.Fatalf("%d refused, %d opened: the test shows little", refused, opened)
	}
}

// Yesterday's disk is refused as long as the anchor is today's. Yesterday's anchor under today's log is a log with a tail that nobody pinned: it is
// dropped, and what the anchor knows holds. (That is why production has witnesses.)
func TestYesterdaysDisk(t *testing.T) {
	t.Parallel()
	m, s := told(t, 6)
	m.Close()
	yesterday := struct {
		log, anchor *disktest.Mem
		memory      *domaintest.Memory
	}{m.log.Clone(), m.anchor.Clone(), m.Options.Memory.Clone()}
	if err := m.Open(); err != nil {
		t.Fatal(err)
	}
	v := approvedPayment(t, m.Harness)
	if _, err := m.D.Sign(context.Background(), v.ID, ethPayload(t, 1000, 1, 10)); err != nil {
		t.Fatal(err)
	}
	m.Close()
	_, _, before := segmentOf(t, yesterday.log)
	_, err := m.on(yesterday.log.Clone(), m.anchor.Clone(), yesterday.memory.Clone())
	if seq, ok := namedIn(err); !ok || seq != uint64(len(before)) {
		t.Fatalf("yesterday's disk: %v; want entry %d named", err, len(before))
	}
	// Blobs and snapshots of yesterday alone lose nothing that is not in the log; those of today say nothing about yesterday.
	for name, memory := range map[string]*domaintest.Memory{"today": m.Options.Memory.Clone(), "yesterday": yesterday.memory.Clone()} {
		h, err := m.on(m.log.Clone(), yesterday.anchor.Clone(), memory)
		if err != nil {
			t.Fatalf("an older anchor, snapshots of %s: %v", name, err)
		}
		if size := h.D.Status().Size; size != uint64(len(before)) {
			t.Fatalf("an older anchor, snapshots of %s: %d entries, it knows %d", name, size, len(before))
		}
		x := *s
		x.h, x.session = h, nil
		if err := x.tell(); err != nil {
			t.Fatal(err)
		}
		x.holds()
		h.Close()
	}
}

// check runs the full re-check and gives what it finds.
func check(t testing.TB, h *domaintest.Harness) string {
	t.Helper()
	h.D.Check(message.CheckStart{Start: true})
	for range 20_000 {
		if c := h.D.Check(message.CheckStart{}); !c.Running {
			return c.Fault
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("the re-check does not end")
	return ""
}

// A flipped byte of the log is found by the start or by the re-check, which name the entry and its place.
func TestFlippedByteOfTheLog(t *testing.T) {
	t.Parallel()
	for _, every := range []uint64{0, 6} { // from the beginning, and from a snapshot
		m, _ := told(t, every)
		m.Close()
		name, b, ends := segmentOf(t, m.log)
		byStart, byCheck := 0, 0
		for i := int(every); i < ends[len(ends)-1]; i += 61 * stride() {
			log := m.log.Clone()
			bad := bytes.Clone(b)
			bad[i] ^= 1 << (i % 8)
			log.SetBytes(name, bad)
			where := fmt.Sprintf("byte %d of entry %d", i, entryAt(ends, i))
			h, err := m.on(log, m.anchor.Clone(), m.Options.Memory.Clone())
			if err != nil {
				if seq, ok := namedIn(err); !ok || seq != entryAt(ends, i) {
					t.Fatalf("%s: %v", where, err)
				}
				byStart++
				continue
			}
			fault := check(t, h)
			if !strings.Contains(fault, fmt.Sprintf("entry %d ", entryAt(ends, i))) || !strings.Contains(fault, name) {
				t.Fatalf("%s: the re-check finds %q", where, fault)
			}
			if _, err := h.Submit(h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 1), nil); problem.KindOf(err) != problem.Stopped {
				t.Fatalf("%s: a domain with a damaged log goes on: %v", where, err)
			}
			h.Close()
			byCheck++
		}
		if byStart == 0 {
			t.Errorf("snapshots every %d: %d found by the start, %d by the re-check", every, byStart, byCheck)
		}
	}
}

// A flipped byte of a blob: nothing is signed with it, and the re-check names the key. The store may notice or not.
func TestFlippedByteOfABlob(t *testing.T) {
	t.Parallel()
	m, v := ready(t)
	m.Close()
	if len(m.Options.Memory.Blobs()) != 1 {
		t.Fatal("not one blob")
	}
	for ref, good := range m.Options.Memory.Blobs() {
		for i := 0; i < len(good); i += stride() {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << (i % 8)
			memory := m.Options.Memory.Clone()
			memory.SetBlob(ref, bad)
			h, err := m.on(m.log.Clone(), m.anchor.Clone(), memory)
			if err != nil {
				t.Fatal(err)
			}
			if out, err := h.D.Sign(context.Background(), v.ID, ethPayload(t, 1000, 0, 10)); err == nil || len(out.Bytes) > 0 {
				t.Fatalf("byte %d: signed with a damaged blob: %v", i, err)
			}
			if fault := check(t, h); !strings.Contains(fault, string(ref.Key)) {
				t.Fatalf("byte %d: the re-check finds %q", i, fault)
			}
			h.Close()
		}
	}
	h, err := m.on(m.log.Clone(), m.anchor.Clone(), m.Options.Memory.Clone())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.D.Sign(context.Background(), v.ID, ethPayload(t, 1000, 0, 10)); err != nil {
		t.Fatalf("with the good blob: %v", err)
	}
	h.Check()
}

// The same in a file.
func TestFlippedByteOfABlobFile(t *testing.T) {
	t.Parallel()
	h := hotDomain(t, domaintest.Options{})
	found, err := filepath.Glob(filepath.Join(h.Dir, "blobs", "*", "*.blob"))
	if err != nil || len(found) != 1 {
		t.Fatalf("blobs: %v, %v", found, err)
	}
	b, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 4
	if err := os.WriteFile(found[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	h.Reopen()
	if fault := check(t, h); !strings.Contains(fault, filepath.Base(found[0])) {
		t.Fatalf("the re-check finds %q, not %s", fault, found[0])
	}
}

// A flipped or missing snapshot is passed over for an older one, or for the beginning.
func TestFlippedByteOfASnapshot(t *testing.T) {
	t.Parallel()
	m, _ := told(t, 6)
	m.Close()
	if err := m.Open(); err != nil {
		t.Fatal(err)
	}
	want := m.D.Status()
	m.Close()
	good := m.Options.Memory.Snapshots()
	if len(good) == 0 { // how many there are depends on how fast they are written
		t.Fatalf("%d snapshots", len(good))
	}
	opens := func(what string, memory *domaintest.Memory) {
		t.Helper()
		h, err := m.on(m.log.Clone(), m.anchor.Clone(), memory)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if got := h.D.Status(); got.Size != want.Size || !bytes.Equal(got.Checkpoint, want.Checkpoint) || got.Pending != want.Pending || got.Signed != want.Signed {
			t.Fatalf("%s: %+v, want %+v", what, got, want)
		}
		h.Check()
		h.Close()
	}
	newest := uint64(0)
	for seq := range good {
		newest = max(newest, seq)
	}
	for i := 0; i < len(good[newest]); i += 37 * stride() {
		bad := bytes.Clone(good[newest])
		bad[i] ^= 1 << (i % 8)
		memory := m.Options.Memory.Clone()
		memory.SetSnapshot(newest, bad)
		opens(fmt.Sprintf("byte %d of %d", i, len(bad)), memory)
	}
	all := m.Options.Memory.Clone()
	for seq, b := range good {
		memory := m.Options.Memory.Clone()
		memory.SetSnapshot(newest, b)
		opens(fmt.Sprintf("the snapshot of %d in place of %d", seq, newest), memory)
		all.SetSnapshot(seq, b[:len(b)/2])
	}
	opens("every snapshot cut", all)
	for seq := range good {
		all.SetSnapshot(seq, nil)
	}
	opens("no snapshot", all)
}
