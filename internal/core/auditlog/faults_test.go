// SPDX-License-Identifier: Apache-2.0

package auditlog_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/auditlog/disk/disktest"
	"strongroom/internal/core/auditlog/logtest"
)

// story uses a log until something fails. It gives what was acknowledged, and what was tried.
func story(t *testing.T, m *disktest.Mem) (acked, tried []auditlog.Record) {
	t.Helper()
	step := func(h *harness, n int) bool {
		for i := range n {
			seq, prev := h.Next()
			rec := logtest.Record(prev, seq, fmt.Appendf(nil, "body %d", i), make([]byte, 100))
			tried = append(tried[:seq:seq], rec)
			e, err := h.Append(t.Context(), rec)
			if err == nil {
				err = e.Wait(t.Context())
			}
			if err != nil {
				if !errors.Is(err, auditlog.ErrStopped) {
					t.Fatalf("entry %d: %v", seq, err)
				}
				select {
				case <-h.Failed():
				default:
					t.Fatal("the log failed without saying so")
				}
				if _, err := h.Append(t.Context(), logtest.Record(e.Hash, seq+1)); !errors.Is(err, auditlog.ErrStopped) || errors.Is(err, auditlog.ErrChain) {
					t.Fatalf("append after a failure: %v", err)
				}
				if h.Close() == nil {
					t.Fatal("close after a failure says nothing")
				}
				return false
			}
			acked = tried
		}
		return h.Close() == nil
	}
	h, err := tryOpen(t, m)
	if err != nil || !step(h, 7) {
		return acked, tried
	}
	if h, err = tryOpen(t, m, asWriter(2)); err != nil {
		return acked, tried
	}
	step(h, 3)
	return acked, tried
}

// Every change of the disk fails before, after and in the middle of its effect; the process or the power ends; and the log is opened
// again: nothing acknowledged is lost, and nothing stands in it that was not tried.
func TestFaultsAtEveryStep(t *testing.T) {
	t.Parallel()
	for n := 1; ; n++ {
		struck := false
		for _, when := range []disktest.When{disktest.Before, disktest.After, disktest.Half} {
			for _, keep := range []float64{-1, 0, 0.5, 1} {
				name := fmt.Sprintf("change %d, fault %d, keep %v", n, when, keep)
				m := disktest.New()
				m.FailAt(n, when)
				acked, tried := story(t, m)
				hit, since := m.Struck()
				struck = struck || hit
				if since > 0 {
					t.Fatalf("%s: %d changes after the failure", name, since)
				}
				m = afterwards(m, keep, n)
				recs := reopened(t, name, m, acked, tried)
				// What the second process saw and acknowledged survives a power cut, even if it came from a flush that failed.
				h := mustOpen(t, m.PowerCut(0, nil), asWriter(4))
				h.prove(t, recs)
				must(t, h.Close())
			}
		}
		if !struck {
			if n < 40 {
				t.Fatalf("only %d changes were struck", n-1)
			}
			return
		}
	}
}

func afterwards(m *disktest.Mem, keep float64, seed int) *disktest.Mem {
	if keep < 0 {
		return m.Restart()
	}
	return m.PowerCut(keep, rand.New(rand.NewPCG(uint64(seed), 1)))
}

// reopened opens the log after a failure, proves it and goes on; it gives all entries.
func reopened(t *testing.T, name string, m *disktest.Mem, acked, tried []auditlog.Record) []auditlog.Record {
	t.Helper()
	h, err := tryOpen(t, m, asWriter(3))
	if err != nil {
		t.Fatalf("%s: open: %v", name, err)
	}
	n := h.Head().Size
	if n < uint64(len(acked)) || n > uint64(len(tried)) {
		t.Fatalf("%s: %d entries, acknowledged %d, tried %d", name, n, len(acked), len(tried))
	}
	h.prove(t, tried[:n])
	recs := append(tried[:n:n], h.grow(t, 2)...)
	h.prove(t, recs)
	must(t, h.Close())
	return recs
}

// The process ends, or the power, without any fault: between any two changes.
func TestPowerCutAtEveryStep(t *testing.T) {
	t.Parallel()
	for n := 1; ; n++ {
		for _, keep := range []float64{0, 0.3, 0.7} {
			m := disktest.New()
			m.FailAt(n, disktest.Before) // stands for the moment; the process is not asked again
			acked, tried := story(t, m)
			hit, _ := m.Struck()
			name := fmt.Sprintf("cut before change %d, keep %v", n, keep)
			reopened(t, name, m.PowerCut(keep, rand.New(rand.NewPCG(uint64(n), 2))), acked, tried)
			if !hit {
				return
			}
		}
	}
}

func TestFullDiskStopsTheLog(t *testing.T) {
	t.Parallel()
	m := disktest.New()
	h := mustOpen(t, m)
	recs := h.grow(t, 3)
	m.FailWith(1, disktest.Half, disktest.ErrFull)
	if _, err := h.add(t.Context()); !errors.Is(err, auditlog.ErrStopped) || !errors.Is(err, disktest.ErrFull) {
		t.Fatalf("append to a full disk: %v", err)
	}
	<-h.Failed()
	if err := h.Err(); !errors.Is(err, disktest.ErrFull) {
		t.Fatalf("cause: %v", err)
	}
	h = mustOpen(t, m.Restart())
	h.prove(t, recs)
}

func TestSignerFailureStopsTheLog(t *testing.T) {
	t.Parallel()
	gone := errors.New("token is gone")
	_, wrong := newKey(t, 9)
	for name, sign := range map[string]func([]byte) ([]byte, error){
		"error": func([]byte) ([]byte, error) { return nil, gone },
		"wrong": wrong,
	} {
		m := disktest.New()
		broken := false
		h := mustOpen(t, m, func(c *auditlog.Config) {
			good := c.Sign
			c.Sign = func(msg []byte) ([]byte, error) {
				if broken {
					return sign(msg)
				}
				return good(msg)
			}
		})
		recs := h.grow(t, 2)
		broken = true
		if _, err := h.add(t.Context()); !errors.Is(err, auditlog.ErrStopped) {
			t.Fatalf("%s: %v", name, err)
		}
		must(t, h.store.Close())
		h = mustOpen(t, m.Restart())
		h.prove(t, recs) // the entry is in the store, but was never pinned
	}
}

// paused holds the pin of a process that was stopped before or after its effect.
type paused struct {
	auditlog.Anchor
	after   bool
	reached chan struct{}
	resume  chan struct{}
	armed   bool
}

func (p *paused) Pin(ctx context.Context, pin auditlog.Pin) error {
	if !p.armed {
		return p.Anchor.Pin(ctx, pin)
	}
	if p.after {
		defer func() { close(p.reached); <-p.resume }()
		return p.Anchor.Pin(ctx, pin)
	}
	close(p.reached)
	<-p.resume
	return p.Anchor.Pin(ctx, pin)
}

// A writer is stopped, a successor takes over, the writer wakes up: it acknowledges nothing that the successor does not have.
func TestTakeOverFromAStoppedWriter(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		m := disktest.New()
		p := &paused{after: after, reached: make(chan struct{}), resume: make(chan struct{})}
		a := mustOpen(t, m, func(c *auditlog.Config) { p.Anchor, c.Anchor = c.Anchor, p })
		recs := a.grow(t, 4)
		p.armed = true
		seq, prev := a.Next()
		rec := logtest.Record(prev, seq)
		e, err := a.Append(t.Context(), rec)
		must(t, err)
		<-p.reached
		b := mustOpen(t, m, asWriter(2))
		kept := b.Head().Size == 5
		if kept != after {
			t.Fatalf("after %v: the successor has %d entries", after, b.Head().Size)
		}
		if kept {
			recs = append(recs, rec)
		}
		recs = append(recs, b.grow(t, 3)...)
		close(p.resume)
		err = e.Wait(t.Context())
		if kept != (err == nil) || err != nil && !errors.Is(err, auditlog.ErrPinMoved) {
			t.Fatalf("after %v: the stopped writer was told %v", after, err)
		}
		if _, err := a.add(t.Context()); !errors.Is(err, auditlog.ErrStopped) {
			t.Fatalf("after %v: the old writer goes on: %v", after, err)
		}
		b.prove(t, append(recs, b.grow(t, 2)...))
	}
}

func TestTakeOverUnderLoad(t *testing.T) {
	t.Parallel()
	for range 20 {
		m := disktest.New()
		a := mustOpen(t, m)
		acked := make(chan []auditlog.Record)
		go func() {
			var recs []auditlog.Record
			for {
				rec, err := a.add(context.Background())
				if err != nil {
					acked <- recs
					return
				}
				recs = append(recs, rec)
			}
		}()
		for a.Head().Size < 5 {
			runtime.Gosched()
		}
		b := mustOpen(t, m, asWriter(2))
		next := b.grow(t, 3)
		recs := <-acked
		if err := a.Err(); !errors.Is(err, auditlog.ErrLostWriter) && !errors.Is(err, auditlog.ErrPinMoved) {
			t.Fatalf("the old writer stopped because of %v", err)
		}
		n := len(b.tail)
		if n < len(recs) {
			t.Fatalf("the successor has %d entries, %d were acknowledged", n, len(recs))
		}
		b.prove(t, append(b.tail[:n:n], next...))
		for i := range recs {
			if !logtest.Equal(recs[i], b.tail[i]) {
				t.Fatalf("entry %d was acknowledged otherwise", i)
			}
		}
	}
}

func TestEpochsAtOpen(t *testing.T) {
	t.Parallel()
	m := disktest.New()
	a := mustOpen(t, m)
	recs := a.grow(t, 2)
	if _, err := tryOpen(t, m); !errors.Is(err, auditlog.ErrLostWriter) {
		t.Errorf("a second process with the same epoch: %v", err)
	}
	if _, err := tryOpen(t, m, func(c *auditlog.Config) { c.Writer = 2 }); !errors.Is(err, auditlog.ErrLostWriter) {
		t.Errorf("a later epoch without taking over: %v", err)
	}
	recs = append(recs, a.grow(t, 1)...) // neither did any harm
	b := mustOpen(t, m, asWriter(5))
	if _, err := tryOpen(t, m, asWriter(3)); !errors.Is(err, auditlog.ErrLostWriter) {
		t.Errorf("an earlier epoch took over: %v", err)
	}
	b.prove(t, append(recs, b.grow(t, 1)...))
}
