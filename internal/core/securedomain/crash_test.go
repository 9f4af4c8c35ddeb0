// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"strongroom/internal/core/auditlog/disk/disktest"
	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// machine is a domain whose log and pin lie in memory, so that all that was not flushed can be lost.
type machine struct {
	*domaintest.Harness
	log, anchor *disktest.Mem
	faults      *domaintest.Faults
	warm        bool              // it tells the story of a warm wallet
	calls       bool              // or of calls and messages
	box         *box              // or of a cold one, if there is one
	token       *domaintest.Token // or of wallets whose keys lie there, if there is one
}

// factory makes machines with the same new domain. In short mode tests take every stride-th fault.
type factory struct {
	base        *domaintest.Harness
	log, anchor *disktest.Mem
	memory      *domaintest.Memory
	warm        bool
	calls       bool
	box         *box
	token       *domaintest.Token
}

func newFactory(t *testing.T) *factory {
	t.Helper()
	f := &factory{log: disktest.New(), anchor: disktest.New(), memory: domaintest.NewMemory()}
	f.base = domaintest.New(t, domaintest.Options{Document: withBank, Log: f.log, Anchor: f.anchor, Memory: f.memory})
	f.base.Close()
	return f
}

func (f *factory) machine(t testing.TB) *machine {
	t.Helper()
	m := &machine{log: f.log.Clone(), anchor: f.anchor.Clone(), faults: &domaintest.Faults{}, warm: f.warm, calls: f.calls}
	m.Harness = f.base.Clone(t, domaintest.Options{SnapshotEvery: 6, TakeOver: true, Faults: m.faults, Log: m.log, Anchor: m.anchor,
		Memory: f.memory.Clone()})
	if f.box != nil {
		m.box = f.box.clone(t, m.Clock)
	}
	if f.token != nil {
		m.token = f.token.Clone()
		m.Options.Token = m.token
	}
	return m
}

// crash is kill -9: what was not durable is gone.
func (m *machine) crash() {
	m.T.Helper()
	m.Crash()
	m.log, m.anchor = m.log.PowerCut(0, nil), m.anchor.PowerCut(0, nil)
	m.Options.Log, m.Options.Anchor = m.log, m.anchor
}

// stride thins a sweep in short mode.
func stride() int {
	if testing.Short() {
		return 7
	}
	return 1
}

// thinned leaves out what differs little from its neighbours: a failing log ends the process anyway, a failing read does not.
func thinned(op domaintest.Op, n int, crash bool) bool { return crash != op.Fatal() && n%3 != 1 }

// Every call that the domain makes of store, anchor, blobs and snapshots fails, before and after its effect; the process is killed
// there, or goes on. All is opened again and asked again with the same keys: the story comes to its end, nothing acknowledged is
// lost, no slot has two payloads, one permit gives the same bytes, and every proof verifies.
func TestFaultAtEveryCall(t *testing.T) {
	t.Parallel()
	f := newFactory(t)
	for _, op := range domaintest.Ops() {
		t.Run(string(op), func(t *testing.T) {
			t.Parallel()
			sweep(t, f, op)
		})
	}
}

// sweep makes each call of a kind fail.
func sweep(t *testing.T, f *factory, op domaintest.Op) {
	whens := []domaintest.When{domaintest.Before}
	if op.Changes() {
		whens = append(whens, domaintest.After)
	}
	for n, some := 1, false; ; n += stride() {
		struck := false
		for _, when := range whens {
			for _, crash := range []bool{true, false} {
				if thinned(op, n, crash) {
					continue
				}
				t.Run(fmt.Sprintf("%d %s crash=%v", n, when, crash), func(t *testing.T) {
					struck = survive(t, f.machine(t), op, n, when, crash) || struck
				})
			}
		}
		if !struck {
			if !some && op != domaintest.StoreCut && op != domaintest.SnapshotPart {
				t.Fatal("this call is never made; the test shows nothing")
			}
			return
		}
		some = true
	}
}

// survive tells the story with one fault, and again after a restart, and proves everything. It says whether the fault happened.
func survive(t *testing.T, m *machine, op domaintest.Op, n int, when domaintest.When, crash bool) bool {
	scheme := request.SchemeP2WPKH
	if n%2 == 0 {
		scheme = request.SchemeP2TR
	}
	s := newStory(m.Harness, scheme)
	s.warm, s.calls, s.box, s.memory, s.token = m.warm, m.calls, m.box, m.Options.Memory, m.token
	m.faults.FailAt(op, n, when, crash)
	told := 0
	for try := 0; told < 2 && try < 8; try++ {
		before := m.faults.Struck()
		err := m.open()
		if err == nil {
			err = s.tell()
		}
		if err != nil {
			explained(t, m, err)
		} else if told++; told == 2 {
			m.faults.Disarm()
		}
		switch strikes := m.faults.Struck() && !before; {
		case m.D == nil, strikes && crash:
			m.restart(s)
		case strikes && op.Fatal():
			m.mustHaveFailed(s)
			m.restart(s)
		case strikes && m.D.Cause() != nil: // what it could not read, it needed
			m.restart(s)
		case err == nil && told == 1:
			m.Close() // an orderly end between the two
			s.session = nil
		}
	}
	if told < 2 {
		t.Fatal("the story does not come to its end")
	}
	if err := m.open(); err != nil {
		t.Fatal(err)
	}
	if err := s.tell(); err != nil {
		t.Fatalf("told again, all is done: %v", err)
	}
	s.otherSlots()
	s.holds()
	return m.faults.Struck()
}

// open opens the domain if it is not.
func (m *machine) open() error {
	if m.D != nil {
		return nil
	}
	return m.Open()
}

// restart ends the process; the next one is now and then a successor that takes over.
func (m *machine) restart(s *story) {
	m.T.Helper()
	m.crash()
	m.Options.TakeOver, s.session = !m.Options.TakeOver, nil
}

// mustHaveFailed requires that a domain whose log or pin failed says so, and does nothing more.
func (m *machine) mustHaveFailed(s *story) {
	m.T.Helper()
	if m.D == nil {
		return
	}
	select {
	case <-m.D.Failed():
	case <-time.After(time.Minute):
		m.T.Error("the domain failed without saying so")
	}
	if r, ok := s.asked["pay-eth"]; ok {
		if _, err := m.D.Sign(context.Background(), r.ID(), ethPayload(m.T, 1000, 0, 99)); err == nil {
			m.T.Error("a failed domain decides")
		}
	}
}

// explained requires that an error comes from the fault, and crosses the door as what it is.
func explained(t *testing.T, m *machine, err error) {
	t.Helper()
	if !m.faults.Struck() {
		t.Fatalf("without a fault: %v", err)
	}
	var q *problem.Error
	if m.D != nil && (!errors.As(err, &q) || q.Kind != problem.Stopped && q.Kind != problem.Internal && q.Kind != problem.Locked) {
		t.Fatalf("the fault shows as %v", err)
	}
}

// Every change of the disk below log and pin fails, before, after or in the middle, and the power is cut: what was not flushed is lost, all
// of it or parts.
func TestPowerCutAtEveryChange(t *testing.T) {
	t.Parallel()
	f := newFactory(t)
	for name, disk := range map[string]func(*machine) *disktest.Mem{
		"log": func(m *machine) *disktest.Mem { return m.log }, "anchor": func(m *machine) *disktest.Mem { return m.anchor },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n, struck := 1, true; struck; n += stride() {
				when, keep := []disktest.When{disktest.Before, disktest.After, disktest.Half}[n%3], float64(n%2)/2
				t.Run(fmt.Sprintf("%d %d keep %v", n, when, keep), func(t *testing.T) {
					m := f.machine(t)
					s := newStory(m.Harness, request.SchemeP2TR)
					disk(m).FailAt(n, when)
					err := m.open()
					if err == nil {
						err = s.tell()
					}
					struck, _ = disk(m).Struck()
					if err != nil && !struck {
						t.Fatal(err)
					}
					m.Crash()
					r := rand.New(rand.NewPCG(uint64(n), 7))
					m.log, m.anchor = m.log.PowerCut(keep, r), m.anchor.PowerCut(keep, r)
					m.Options.Log, m.Options.Anchor, s.session = m.log, m.anchor, nil
					if err := m.open(); err != nil {
						t.Fatal(err)
					}
					if err := s.tell(); err != nil {
						t.Fatal(err)
					}
					s.otherSlots()
					s.holds()
				})
			}
		})
	}
}

// otherSlots asks for what must never happen: another nonce, or another coin, for a request that has its permit.
func (s *story) otherSlots() {
	t := s.h.T
	t.Helper()
	if s.warm || s.calls || s.box != nil {
		return
	}
	if s.token != nil {
		s.tokenHolds(s.token)
		if _, err := s.h.D.Sign(context.Background(), s.asked["pay-eth"].ID(), ethPayload(t, 1000, 5, 30)); problem.KindOf(err) != problem.OutsideBounds {
			t.Errorf("pay-eth in a second slot: %v", err)
		}
		return
	}
	w := s.wallets["cold"].Wallet
	for name, p := range map[string][]byte{"pay-eth": ethPayload(t, 1000, 5, 30), "pay-auto": ethPayload(t, 7, 1, 20),
		"pay-btc": psbt(t, w, spend{coin: 1, pay: 40_000, fee: 3_000})} {
		if _, err := s.h.D.Sign(context.Background(), s.asked[name].ID(), p); problem.KindOf(err) != problem.OutsideBounds {
			t.Errorf("%s in a second slot: %v", name, err)
		}
	}
}
