// SPDX-License-Identifier: Apache-2.0

package tpm_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/auditlog/anchor/file"
	"strongroom/internal/core/auditlog/anchor/tpm"
	"strongroom/internal/core/auditlog/disk"
	"strongroom/internal/core/auditlog/disk/disktest"
	"strongroom/internal/core/auditlog/logtest"
	"strongroom/internal/core/hsm"
	"strongroom/internal/core/hsm/passphrase"
	"strongroom/internal/core/hsm/soft"
	"strongroom/internal/core/hsm/tpm2"
	"strongroom/internal/core/hsm/tpm2/tpmtest"
	"strongroom/internal/core/timeguard"
	"strongroom/internal/pure/tlog"
	"strongroom/internal/secret"
)

// clock shows what it is set to.
type clock struct{ timeguard.Reading }

func (c *clock) Now() timeguard.Reading { return c.Reading }
func (c *clock) Boot() int64            { return c.Reading.Boot }

// machine is a disk, a TPM and a root, on which an anchor can be opened again and again.
type machine struct {
	t     testing.TB
	tpm   *tpmtest.TPM
	disk  *disktest.Mem
	root  hsm.Sealer
	arena *secret.Arena
	clock *clock
}

func newMachine(t testing.TB) *machine {
	t.Helper()
	a, err := secret.NewArena(secret.Config{Size: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	p, err := secret.Take(a, []byte("correct horse battery staple"))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Wipe()
	root, err := soft.Create(soft.Config{Arena: a, Dir: filepath.Join(t.TempDir(), "root"), Argon: passphrase.Cost{Time: 1, Memory: 8, Lanes: 1}, WeakUnsafe: true}, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(root.Close)
	return &machine{t: t, tpm: tpmtest.Start(t), disk: disktest.New(), root: root, arena: a,
		clock: &clock{timeguard.Reading{Time: 1_800_000_000e9, Certain: true}}}
}

// config gives a configuration on the disk as it is, with a device of its own.
func (m *machine) config(d *tpm2.Device) tpm.Config {
	m.t.Helper()
	inner, err := file.Open(m.disk)
	if err != nil {
		m.t.Fatal(err)
	}
	if d == nil {
		d = m.tpm.Open(m.t)
	}
	return tpm.Config{Inner: inner, Root: m.root, Device: d, Arena: m.arena, Dir: m.disk, Clock: m.clock}
}

// closing closes an anchor when the test ends.
func closing(t testing.TB, a *tpm.Anchor) *tpm.Anchor {
	t.Helper()
	t.Cleanup(func() { _ = a.Close() }) // its disk may be gone
	return a
}

func (m *machine) create() *tpm.Anchor {
	m.t.Helper()
	a, err := tpm.Create(m.t.Context(), m.config(nil))
	if err != nil {
		m.t.Fatal(err)
	}
	return closing(m.t, a)
}

func (m *machine) open() (*tpm.Anchor, error) {
	m.t.Helper()
	a, err := tpm.Open(m.t.Context(), m.config(nil))
	if err == nil {
		closing(m.t, a)
	}
	return a, err
}

// start opens the anchor and reads the pin, as a log does.
func (m *machine) start() (*tpm.Anchor, error) {
	m.t.Helper()
	a, err := m.open()
	if err != nil {
		return nil, err
	}
	_, err = a.Read(m.t.Context())
	return a, err
}

func (m *machine) mustStart() *tpm.Anchor {
	m.t.Helper()
	a, err := m.start()
	if err != nil {
		m.t.Fatal(err)
	}
	return a
}

// pinOf gives the pin of a log of n entries.
func pinOf(n int, flavour string) auditlog.Pin {
	var f tlog.Frontier
	for i := range n {
		f.Append(sha256.Sum256(fmt.Appendf(nil, "%s %d", flavour, i)))
	}
	return auditlog.Pin{Checkpoint: fmt.Appendf(nil, "checkpoint of %d", n), Frontier: f.Marshal()}
}

func (m *machine) pin(a *tpm.Anchor, n int) {
	m.t.Helper()
	if err := a.Pin(m.t.Context(), pinOf(n, "entry")); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) mark(a *tpm.Anchor, why auditlog.Occasion) {
	m.t.Helper()
	if done, err := a.Mark(m.t.Context(), why); !done || err != nil {
		m.t.Fatalf("mark: %v, %v", done, err)
	}
}

// begun is a machine whose log has n entries and a mark.
func begun(t testing.TB, n int) (*machine, *tpm.Anchor) {
	t.Helper()
	m := newMachine(t)
	a := m.create()
	if _, err := a.Read(t.Context()); !errors.Is(err, auditlog.ErrNoPin) {
		t.Fatal(err)
	}
	m.pin(a, n)
	m.mark(a, auditlog.MarkStart)
	return m, a
}

func TestConformance(t *testing.T) {
	t.Parallel()
	logtest.RunAnchor(t, func(t *testing.T) func() (auditlog.Anchor, error) {
		m := newMachine(t)
		m.create()
		return func() (auditlog.Anchor, error) { return m.open() }
	})
}

func TestWithTheTPMAsRoot(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	p, err := secret.Take(m.arena, []byte("correct horse battery staple"))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Wipe()
	root, err := tpm2.Create(t.Context(), tpm2.Config{Arena: m.arena, Dir: filepath.Join(t.TempDir(), "root"), Device: m.tpm.Open(t), PCRs: []uint{7},
		Cost: passphrase.Cost{Time: 1, Memory: 8, Lanes: 1}, WeakUnsafe: true}, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(root.Close)
	m.root = root
	a := m.create()
	m.pin(a, 3)
	m.mark(a, auditlog.MarkStart)
	if n, err := root.IncrementCounter(t.Context()); n != 1 || err != nil { // another counter
		t.Errorf("%d, %v", n, err)
	}
	m.mustStart()
}

// TestDiskSetBack copies the whole disk, runs on, and puts the copy back.
func TestDiskSetBack(t *testing.T) {
	t.Parallel()
	m, a := begun(t, 5)
	saved := m.disk.Clone()
	m.pin(a, 6)
	later := m.disk.Clone()
	m.mark(a, auditlog.MarkStop)
	newest := m.disk.Clone()
	for name, d := range map[string]*disktest.Mem{"at the last mark but one": saved, "just before the last mark": later} {
		m.disk = d.Clone()
		_, err := m.start()
		e, ok := errors.AsType[*tpm.RollbackError](err)
		if !ok || e.Counted != e.Recorded+1 || !strings.Contains(err.Error(), fmt.Sprint(e.Counted)) || !strings.Contains(err.Error(), fmt.Sprint(e.Recorded)) {
			t.Errorf("%s: got error %v", name, err)
		}
	}
	m.disk = newest
	a = m.mustStart()
	// What it does not find out: a state of after the last mark.
	m.pin(a, 7)
	between := m.disk.Clone()
	m.pin(a, 8)
	m.disk = between
	m.mustStart()
}

// TestPinBehind puts back the pin alone: k entries behind the mark, another tree, or none.
func TestPinBehind(t *testing.T) {
	t.Parallel()
	m, a := begun(t, 9)
	m.pin(a, 10)
	m.mark(a, auditlog.MarkDocument)
	marked, err := tlog.UnmarshalFrontier(pinOf(10, "entry").Frontier)
	if err != nil {
		t.Fatal(err)
	}
	for size := range 13 {
		for _, flavour := range []string{"entry", "other"} {
			other := disktest.New()
			f, err := file.Open(other)
			if err != nil {
				t.Fatal(err)
			}
			if err := f.Pin(t.Context(), pinOf(size, flavour)); err != nil {
				t.Fatal(err)
			}
			m.disk.SetBytes("pin", other.Bytes("pin"))
			_, err = m.start()
			e, ok := errors.AsType[*tpm.HeadError](err)
			bad := size < 10 || size == 10 && flavour == "other"
			if ok != bad || !bad && err != nil || bad && (e.Pinned.Size != uint64(size) || e.Marked != tpm.Head{Size: 10, Root: marked.Root()}) {
				t.Errorf("%d entries (%s): got error %v", size, flavour, err)
			}
			if bad && (!strings.Contains(err.Error(), fmt.Sprintf("%d entries", size)) || !strings.Contains(err.Error(), "10 entries")) {
				t.Errorf("%d entries: error doesn't name both heads: %v", size, err)
			}
		}
	}
	m.disk.Delete("pin")
	_, err = m.start()
	if _, ok := errors.AsType[*tpm.HeadError](err); !ok {
		t.Errorf("no pin: got error %v", err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	if _, err := m.open(); !errors.Is(err, tpm.ErrNotMade) {
		t.Errorf("nothing there: got error %v", err)
	}
	inner, err := file.Open(m.disk)
	if err != nil {
		t.Fatal(err)
	}
	if err := inner.Pin(t.Context(), pinOf(1, "entry")); err != nil {
		t.Fatal(err)
	}
	if _, err := tpm.Create(t.Context(), m.config(nil)); !errors.Is(err, tpm.ErrNotMade) {
		t.Errorf("a pin without a mark: got error %v", err)
	}
	m.disk = disktest.New()
	a := m.create()
	if _, err := a.Mark(t.Context(), auditlog.MarkStart); err == nil {
		t.Error("marked without a pin")
	}
	m.pin(a, 1)
	m.mark(a, auditlog.MarkStart)
	if b := m.create(); b == nil {
		t.Error("made again, it is not opened")
	}
	whole := m.disk.Clone()
	m.disk.Delete("mark")
	if _, err := m.open(); !errors.Is(err, tpm.ErrNotMade) {
		t.Errorf("record removed: got error %v", err)
	}
	if _, err := tpm.Create(t.Context(), m.config(nil)); !errors.Is(err, tpm.ErrNotMade) {
		t.Errorf("record removed, made again: got error %v", err)
	}
	other, _ := begun(t, 1)
	m.disk.SetBytes("mark", other.disk.Bytes("mark"))
	if _, err := m.open(); !errors.Is(err, tpm.ErrAltered) {
		t.Errorf("record of another domain: got error %v", err)
	}
	m.disk = whole
	good := m.config(nil)
	for i, change := range []func(*tpm.Config){func(c *tpm.Config) { c.Inner = nil }, func(c *tpm.Config) { c.Root = nil }, func(c *tpm.Config) { c.Device = nil },
		func(c *tpm.Config) { c.Arena = nil }, func(c *tpm.Config) { c.Dir = nil }, func(c *tpm.Config) { c.Clock = nil }} {
		cfg := good
		change(&cfg)
		if _, err := tpm.Open(t.Context(), cfg); err == nil {
			t.Errorf("config %d was accepted", i)
		}
	}
	if err := m.root.Destroy(t.Context(), tpm.Label); err != nil {
		t.Fatal(err)
	}
	if _, err := m.open(); !errors.Is(err, tpm.ErrNotMade) {
		t.Errorf("secret destroyed: got error %v", err)
	}
}

// TestOtherCounter: the TPM was cleared or replaced, or its counter removed and made anew.
func TestOtherCounter(t *testing.T) {
	t.Parallel()
	m, _ := begun(t, 3)
	own := m.tpm
	m.tpm = tpmtest.Start(t)
	if _, err := m.open(); !errors.Is(err, tpm2.ErrOtherTPM) {
		t.Errorf("replaced: got error %v", err)
	}
	m.tpm = own
	index := own.Indexes(t)[0]
	own.Undefine(t, index)
	if _, err := m.open(); !errors.Is(err, tpm2.ErrIndex) {
		t.Errorf("removed: got error %v", err)
	}
	// Made anew by somebody who even has the secret.
	_, key, err := m.root.Unseal(t.Context(), tpm.Label)
	if err != nil {
		t.Fatal(err)
	}
	defer key.Wipe()
	if _, err := tpm2.DefineCounter(t.Context(), own.Open(t), m.arena, key, tpm.Label); err != nil {
		t.Fatal(err)
	}
	_, err = m.open()
	if e, ok := errors.AsType[*tpm.RollbackError](err); !ok || e.Counted <= e.Recorded {
		t.Errorf("made anew: got error %v", err)
	}
	own.Clear(t)
	if _, err := m.open(); !errors.Is(err, tpm2.ErrOtherTPM) {
		t.Errorf("cleared: got error %v", err)
	}
}

// TestAnotherProcess: of two that have the anchor open, the one that marks goes on.
func TestAnotherProcess(t *testing.T) {
	t.Parallel()
	m, a := begun(t, 3)
	b := m.mustStart()
	m.mark(b, auditlog.MarkWriter)
	for range 2 {
		if done, err := a.Mark(t.Context(), auditlog.MarkStop); done || !errors.Is(err, auditlog.ErrFatal) || !errors.Is(err, auditlog.ErrPinMoved) {
			t.Errorf("the other: %v, %v", done, err)
		}
	}
	m.mark(b, auditlog.MarkStop)
	m.mustStart()
}

// TestMarksPerDay uses up a day's marks.
func TestMarksPerDay(t *testing.T) {
	t.Parallel()
	m, a := begun(t, 3)
	try := func(want bool, why auditlog.Occasion) {
		t.Helper()
		if done, err := a.Mark(t.Context(), why); done != want || err != nil {
			t.Fatalf("%s: %v, %v", why, done, err)
		}
	}
	for range tpm.MarksPerDay - 1 {
		try(true, auditlog.MarkDocument)
	}
	a = m.mustStart() // the count outlives the process
	for range 2 {
		try(false, auditlog.MarkDocument)
		try(false, auditlog.MarkStop)
		try(true, auditlog.MarkStart)
		try(true, auditlog.MarkWriter)
	}
	m.clock.Time -= int64(48 * time.Hour)
	try(false, auditlog.MarkStop) // days don't run back
	m.clock.Time += int64(72 * time.Hour)
	m.clock.Certain = false
	try(false, auditlog.MarkStop)
	m.clock.Certain = true
	try(true, auditlog.MarkStop)
	m.mustStart()
}

// TestCrash stops at each change of the disk and each command to the TPM of a mark, with each loss; then the anchor opens and marks again.
func TestCrash(t *testing.T) {
	t.Parallel()
	m, a := begun(t, 3)
	m.pin(a, 4)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	base := m.disk
	check := func(what string) {
		t.Helper()
		a, err := m.start()
		if err != nil {
			t.Errorf("%s: %v", what, err)
			return
		}
		m.mark(a, auditlog.MarkStop)
		m.mustStart()
	}
	again := func() { // the TPM has counted: the next round begins where it is, on another day
		base = m.disk.Clone()
		m.clock.Time += int64(24 * time.Hour)
	}
	for n, ends := 1, false; !ends; n++ {
		for _, when := range []disktest.When{disktest.Before, disktest.After, disktest.Half} {
			for _, keep := range []float64{0, 0.5, 1} {
				m.disk = base.Clone()
				a := m.mustStart()
				m.disk.FailAt(n, when)
				_, err := a.Mark(t.Context(), auditlog.MarkDocument)
				struck, _ := m.disk.Struck()
				ends = ends || !struck
				if struck && !errors.Is(err, auditlog.ErrFatal) {
					t.Errorf("change %d: got error %v", n, err)
				}
				if _, err := a.Mark(t.Context(), auditlog.MarkStart); struck && !errors.Is(err, auditlog.ErrFatal) {
					t.Errorf("marked after a failure: %v", err)
				}
				m.disk = m.disk.PowerCut(keep, r)
				check(fmt.Sprintf("change %d, %d, keeps %v", n, when, keep))
				again()
			}
		}
	}
	for n, ends := 1, false; !ends; n++ {
		for _, after := range []bool{false, true} {
			m.disk = base.Clone()
			f := m.tpm.Faulty()
			a, err := tpm.Open(t.Context(), m.config(f.Device(t)))
			if err == nil {
				_, err = closing(t, a).Read(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
			f.FailAt(n, after)
			_, err = a.Mark(t.Context(), auditlog.MarkDocument)
			ends = ends || !f.Struck()
			if f.Struck() && !errors.Is(err, tpm2.ErrGone) {
				t.Errorf("command %d after=%v: got error %v", n, after, err)
			}
			m.disk = m.disk.PowerCut(0, r)
			m.tpm.Restart(t)
			check(fmt.Sprintf("command %d after=%v", n, after))
			again()
		}
	}
}

// TestReplace puts another TPM in.
func TestReplace(t *testing.T) {
	t.Parallel()
	m, a := begun(t, 3)
	m.pin(a, 4)
	m.mark(a, auditlog.MarkStop)
	m.pin(a, 6)
	m.tpm = tpmtest.Start(t)
	refused := errors.New("no quorum")
	_, err := tpm.Replace(t.Context(), m.config(nil), func(e tpm.Evidence) error {
		if e.Pinned.Size != 6 || string(e.Pin.Checkpoint) != "checkpoint of 6" || e.Marked == nil || e.Marked.Size != 4 || !errors.Is(e.Refused, tpm2.ErrOtherTPM) {
			t.Errorf("evidence %+v", e)
		}
		return refused
	})
	if !errors.Is(err, refused) {
		t.Errorf("got error %v", err)
	}
	if _, err := tpm.Replace(t.Context(), m.config(nil), nil); err == nil {
		t.Error("replaced without a decision")
	}
	if _, err := m.open(); !errors.Is(err, tpm2.ErrOtherTPM) {
		t.Errorf("after a refusal: %v", err)
	}
	before := m.disk.Clone()
	a, err = tpm.Replace(t.Context(), m.config(nil), func(tpm.Evidence) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	closing(t, a)
	if _, err := a.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.pin(a, 7)
	m.mark(a, auditlog.MarkStart)
	m.mustStart()
	m.disk = before
	if _, err := m.open(); err == nil {
		t.Error("a disk of before the replacement was accepted")
	}
}

// TestReplaceInterrupted stops a replacement at each change of the disk and each command, and finishes it; a record that can't be read is no hindrance.
func TestReplaceInterrupted(t *testing.T) {
	t.Parallel()
	m, a := begun(t, 3)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	base := m.disk
	yes := func(tpm.Evidence) error { return nil }
	finish := func(what string) {
		t.Helper()
		a, err := tpm.Replace(t.Context(), m.config(nil), yes)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		closing(t, a)
		m.mustStart()
		base = m.disk.Clone()
		if n := len(m.tpm.Indexes(t)); n != 1 {
			t.Errorf("%s: %d indexes", what, n)
		}
	}
	for n, ends := 1, false; !ends; n++ {
		m.disk = base.Clone()
		cfg := m.config(nil)
		m.disk.FailAt(n, disktest.After)
		if a, err := tpm.Replace(t.Context(), cfg, yes); err == nil {
			closing(t, a)
		}
		struck, _ := m.disk.Struck()
		ends = !struck
		m.disk = m.disk.PowerCut(1, rand.New(rand.NewPCG(1, 2)))
		finish(fmt.Sprintf("change %d", n))
	}
	for n, ends := 1, false; !ends; n++ {
		m.disk = base.Clone()
		f := m.tpm.Faulty()
		cfg := m.config(f.Device(t))
		f.FailAt(n, n%2 == 0)
		if a, err := tpm.Replace(t.Context(), cfg, yes); err == nil {
			closing(t, a)
		}
		ends = !f.Struck()
		m.tpm.Restart(t)
		finish(fmt.Sprintf("command %d", n))
	}
	m.disk.SetBytes("mark", []byte("no record"))
	if _, err := m.open(); !errors.Is(err, disk.ErrDamaged) {
		t.Errorf("damaged: %v", err)
	}
	finish("damaged record")
	m.disk.Delete("mark")
	finish("no record")
	if err := m.root.Destroy(t.Context(), tpm.Label); err != nil {
		t.Fatal(err)
	}
	for _, index := range m.tpm.Indexes(t) { // whose key is gone
		m.tpm.Undefine(t, index)
	}
	finish("no secret")
}

func BenchmarkMark(b *testing.B) {
	m, a := begun(b, 3)
	_ = m
	b.ResetTimer()
	for b.Loop() {
		if done, err := a.Mark(b.Context(), auditlog.MarkStart); !done || err != nil {
			b.Fatal(done, err)
		}
	}
}
