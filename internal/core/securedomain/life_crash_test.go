// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"fmt"
	"testing"

	"strongroom/internal/core/auditlog/disk/disktest"
	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// newLifeFactory makes machines with a domain that has custodians and the wallets hot and cold.
func newLifeFactory(t *testing.T) *factory {
	t.Helper()
	f := &factory{log: disktest.New(), anchor: disktest.New(), memory: domaintest.NewMemory()}
	f.base = domaintest.New(t, domaintest.Options{Log: f.log, Anchor: f.anchor, Memory: f.memory, Recovery: true})
	for _, id := range []custody.WalletID{"hot", "cold"} {
		f.base.Wallet(id, domaintest.Chain, request.SchemeEVM)
	}
	f.base.Close()
	return f
}

// ending is how a rotation goes on after it is committed.
type ending struct {
	name string
	// next does the next thing and says whether all is done. It is called again after each failure.
	next func(e *endless) (done bool, err error)
}

// endless is a rotation under faults.
type endless struct {
	*machine
	born  bool // the wallet that is born on the way was asked for
	taken *domaintest.Memory
	after bool // zeroize was asked for and acknowledged
}

// rotate does the next step up to activation.
func (e *endless) rotate(until uint64) (ready bool, err error) {
	l, err := e.Settled()
	if err != nil {
		return false, err
	}
	if l.Next != nil && l.Next.Committed && !e.born {
		v, err := e.Submit(e.Alice, e.bornRequest(), nil)
		if err == nil && v.State != message.StateExecuted {
			v, err = e.Decide(e.Bob, v, request.Approve)
		}
		if k := problem.KindOf(err); err != nil && k != problem.AlreadyDone && k != problem.Conflict {
			return false, err
		}
		e.born = v.State == message.StateExecuted
		return false, nil
	}
	if l.Epoch >= until && l.Previous == nil && l.Doomed == 0 {
		return true, nil
	}
	_, err = e.Step()
	return false, err
}

func (e *endless) bornRequest() request.Request {
	r := e.Request(e.Alice, request.WalletCreate, request.WalletCreateBody{Wallet: "born", Chain: domaintest.Chain, Scheme: request.SchemeEVM})
	r.Key = fmt.Sprintf("born-%d", e.Clock.Wall.Load())
	return r
}

func endings() []ending {
	return []ending{
		{"finished", func(e *endless) (bool, error) { return e.rotate(2) }},
		{"cancelled", func(e *endless) (bool, error) {
			l, err := e.Settled()
			if err != nil {
				return false, err
			}
			switch n := l.Next; {
			case l.NextEpoch > 2 && n == nil:
				return l.Doomed == 0, nil
			case n != nil && n.Committed:
				_, err = e.Govern(request.EpochCancel, request.EpochCancelBody{Counter: l.Counter + 1, Epoch: n.Epoch, Pattern: n.Pattern}, e.Bob, e.Carol)
				return false, err
			default:
				_, err = e.Step()
				return false, err
			}
		}},
		{"zeroized", func(e *endless) (bool, error) {
			l, err := e.Settled()
			switch {
			case err != nil:
				return false, err
			case l.Phase == "zeroized":
				e.after = true
				if err := e.PutBack(1, e.taken.Blobs()); err != nil {
					if e.D.Cause() != nil { // it was killed while it destroyed, and does not tell its epoch any more
						err = problem.Wrap(problem.Stopped, err, "the core was killed meanwhile")
					}
					return false, err
				}
				_, err := e.Restore()
				return false, err
			case e.after:
				return true, nil
			case l.Next == nil || !l.Next.Committed:
				_, err := e.Step()
				return false, err
			}
			if e.taken == nil { // a zeroize that was asked for before may still happen, and be at it
				e.taken = e.memory().Clone()
			}
			_, err = e.Zeroize(e.Bob)
			return false, err
		}},
	}
}

func (e *endless) memory() *domaintest.Memory { return e.Options.Memory }

// Every call that a rotation, its cancelling, a zeroize and a restore make of root, blobs, log and pin fails, before and after its effect;
// the process is killed there, or goes on. All is opened again: the thing can be finished, every key still signs, and root and store hold
// what the log says and nothing else.
func TestFaultInLifeCycle(t *testing.T) {
	t.Parallel()
	f := newLifeFactory(t)
	for _, end := range endings() {
		for _, op := range domaintest.LifeOps() {
			t.Run(end.name+" "+string(op), func(t *testing.T) {
				t.Parallel()
				whens := []domaintest.When{domaintest.Before}
				if op.Changes() {
					whens = append(whens, domaintest.After)
				}
				for n, some := 1, false; ; n += stride() {
					struck := false
					for _, when := range whens {
						for _, crash := range []bool{true, false} {
							if crash == op.Fatal() && n%3 != 1 {
								continue
							}
							t.Run(fmt.Sprintf("%d %s crash=%v", n, when, crash), func(t *testing.T) {
								struck = surviveLife(t, f.machine(t), end, op, n, when, crash) || struck
							})
						}
					}
					if !struck {
						if !some {
							t.Fatal("this call is never made; the test shows nothing")
						}
						return
					}
					some = true
				}
			})
		}
	}
}

// surviveLife goes through a rotation with one fault, and says whether it happened.
func surviveLife(t *testing.T, m *machine, end ending, op domaintest.Op, n int, when domaintest.When, crash bool) bool {
	e := &endless{machine: m}
	m.faults.FailAt(op, n, when, crash)
	done := false
	for try := 0; !done && try < 60; try++ {
		before := m.faults.Struck()
		err := m.open()
		if err == nil {
			done, err = end.next(e)
		}
		if err != nil && problem.KindOf(err) != problem.Conflict { // Conflict: what failed was done after all, or must be asked for anew
			explained(t, m, err)
		}
		if struck := m.faults.Struck() && !before; err != nil && (m.D == nil || struck || m.D.Cause() != nil || m.Life().Fault != "") {
			m.restart(&story{})
		}
	}
	if !done {
		t.Fatalf("the %s rotation does not come to its end: %+v", end.name, m.Life())
	}
	struck := m.faults.Struck()
	m.faults.Disarm()
	m.restart(&story{})
	if err := m.open(); err != nil {
		t.Fatal(err)
	}
	l, err := m.Settled()
	if err != nil {
		t.Fatal(err)
	}
	wantLabels(t, m.Harness, fmt.Sprintf("dwk-%d", l.Epoch), "identity")
	wallets := []custody.WalletID{"hot", "cold"}
	if e.born {
		wallets = append(wallets, "born")
	}
	for _, w := range wallets {
		mustPay(t, m.Harness, w, 0)
	}
	m.Check()
	return struck
}
