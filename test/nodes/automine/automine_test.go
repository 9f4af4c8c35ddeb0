// SPDX-License-Identifier: Apache-2.0

package automine

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fake counts blocks; a block takes all that waits.
type fake struct {
	mu      sync.Mutex
	waiting int
	blocks  int
	fail    error
}

func (f *fake) Pending(context.Context) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.waiting, nil
}

func (f *fake) Mine(_ context.Context, n int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return f.fail
	}
	f.blocks, f.waiting = f.blocks+n, 0
	return nil
}

func (f *fake) set(waiting int, fail error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting, f.fail = waiting, fail
}

func (f *fake) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.blocks
}

func TestMinesWhatWaitsThenSettlesThenIdles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		chain := &fake{}
		m, err := Start(chain, Plan{On: true, Interval: 100 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		wait := func(d time.Duration, want int, when string) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			if got := chain.count(); got != want {
				t.Fatalf("%s: got %d blocks, want %d", when, got, want)
			}
		}
		wait(time.Minute, 0, "nothing waits and no idle interval")
		chain.set(3, nil)
		wait(150*time.Millisecond, 1, "one interval after a transaction came")
		wait(time.Minute, 1+Settle, "after settling")
		m.Settle()
		wait(time.Minute, 1+2*Settle, "after Settle")
		if err := m.Set(Plan{On: true, Interval: 100 * time.Millisecond, Idle: 10 * time.Second}); err != nil {
			t.Fatal(err)
		}
		wait(61*time.Second, 1+2*Settle+6, "a minute with idle blocks")
		if err := m.Set(Plan{}); err != nil {
			t.Fatal(err)
		}
		chain.set(1, nil)
		wait(time.Hour, 1+2*Settle+6, "off")
	})
}

func TestReportsFailureAndGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		chain := &fake{}
		chain.set(1, errors.New("node is gone"))
		m, err := Start(chain, Plan{On: true, Interval: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		if got := m.Status().LastError; got != "node is gone" {
			t.Fatalf("got error %q", got)
		}
		chain.set(1, nil)
		time.Sleep(time.Second)
		synctest.Wait()
		if got := m.Status().LastError; got != "" || chain.count() != 1 {
			t.Fatalf("got error %q and %d blocks after the node came back", got, chain.count())
		}
	})
}

func TestRefusesBadPlans(t *testing.T) {
	t.Parallel()
	for name, plan := range map[string]Plan{
		"no interval":         {On: true},
		"negative interval":   {On: true, Interval: -time.Second},
		"interval too short":  {On: true, Interval: time.Millisecond},
		"interval too long":   {On: true, Interval: 2 * time.Hour},
		"idle below interval": {On: true, Interval: time.Second, Idle: time.Millisecond},
		"negative idle":       {On: true, Interval: time.Second, Idle: -time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := Start(&fake{}, plan); err == nil {
				t.Fatal("accepted")
			}
		})
	}
	if _, err := Start(nil, Plan{}); err == nil {
		t.Fatal("accepted a miner without a chain")
	}
}
