// SPDX-License-Identifier: Apache-2.0

package auditlog_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/auditlog/disk/disktest"
	"strongroom/internal/core/auditlog/logtest"
	"strongroom/internal/pure/tlog"
)

func TestLifeOfALog(t *testing.T) {
	t.Parallel()
	m := disktest.New()
	h := mustOpen(t, m)
	h.prove(t, nil)
	recs := h.grow(t, 20)
	h.prove(t, recs)
	must(t, h.Close())
	must(t, h.Close()) // twice is no harm
	if _, err := h.add(t.Context()); !errors.Is(err, auditlog.ErrStopped) {
		t.Fatalf("append after close: %v", err)
	}
	must(t, h.store.Close())
	h = mustOpen(t, m)
	if len(h.tail) != len(recs) {
		t.Fatalf("%d entries were given to Tail, want %d", len(h.tail), len(recs))
	}
	recs = append(recs, h.grow(t, 5)...)
	h.prove(t, recs)
	must(t, h.Close())
	if s := h.Stats(); s.Entries != 5 || s.Batches == 0 || s.Pins != s.Batches || s.Bytes == 0 {
		t.Errorf("stats %+v", s)
	}
}

// A start point saves reading what lies before it, and is not believed.
func TestStartPoint(t *testing.T) {
	t.Parallel()
	m := disktest.New()
	h := mustOpen(t, m)
	var points []tlog.Frontier
	var recs []auditlog.Record
	for range 13 {
		points = append(points, h.Head().Frontier)
		recs = append(recs, h.grow(t, 1)...)
	}
	points = append(points, h.Head().Frontier)
	must(t, h.Close())
	other := mustOpen(t, disktest.New())
	other.grow(t, 20)
	from := func(f tlog.Frontier) func(*auditlog.Config) { return func(c *auditlog.Config) { c.Start = f } }
	var forged tlog.Frontier
	for i := range 30 {
		if i <= 13 {
			h := mustOpen(t, m.Clone(), from(points[i]))
			if len(h.tail) != 13-i {
				t.Errorf("start %d: %d entries were given to Tail", i, len(h.tail))
			}
			h.prove(t, append(recs[:13:13], h.grow(t, 3)...))
			// Entries before the start are not read; the full check finds them.
			if _, err := tryOpen(t, m.Clone(), from(forged)); i > 0 && !errors.Is(err, auditlog.ErrStart) {
				t.Errorf("forged start %d: %v, want ErrStart", i, err)
			}
		} else if _, err := tryOpen(t, m.Clone(), from(forged)); !errors.Is(err, auditlog.ErrStart) {
			t.Errorf("start %d beyond the pin: %v, want ErrStart", i, err)
		}
		forged.Append(tlog.LeafHash([]byte{byte(i)}))
	}
	if _, err := tryOpen(t, disktest.New(), from(points[3])); !errors.Is(err, auditlog.ErrStart) {
		t.Errorf("start point of an empty log: %v, want ErrStart", err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	otherKey, err := tlog.ParseKey("sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8")
	must(t, err)
	for name, change := range map[string]func(*auditlog.Config){
		"store":           func(c *auditlog.Config) { c.Store = nil },
		"anchor":          func(c *auditlog.Config) { c.Anchor = nil },
		"signer":          func(c *auditlog.Config) { c.Sign = nil },
		"key":             func(c *auditlog.Config) { c.Key = tlog.Key{} },
		"further key":     func(c *auditlog.Config) { c.Keys = []tlog.Key{{}} },
		"foreign key":     func(c *auditlog.Config) { c.Keys = []tlog.Key{otherKey} },
		"writer":          func(c *auditlog.Config) { c.Writer = 0 },
		"prev":            func(c *auditlog.Config) { c.PrevOf = nil },
		"bodies":          func(c *auditlog.Config) { c.CheckBodies = nil },
		"queue":           func(c *auditlog.Config) { c.QueueEntries = -1 },
		"queue bytes":     func(c *auditlog.Config) { c.QueueBytes = -1 },
		"linger":          func(c *auditlog.Config) { c.Linger = -1 },
		"tiles":           func(c *auditlog.Config) { c.Tiles.Every = -1 },
		"signer and key":  func(c *auditlog.Config) { _, c.Sign = newKey(t, 9) },
		"signer's answer": func(c *auditlog.Config) { c.Sign = func([]byte) ([]byte, error) { return nil, errors.New("no") } },
	} {
		if _, err := tryOpen(t, disktest.New(), change); err == nil {
			t.Errorf("%s: a config without it was accepted", name)
		}
	}
}

func TestAppendRefusals(t *testing.T) {
	t.Parallel()
	h := mustOpen(t, disktest.New())
	recs := h.grow(t, 3)
	for name, c := range map[string]struct {
		rec  auditlog.Record
		want error
	}{
		"stale":      {recs[2], auditlog.ErrChain},
		"other prev": {logtest.Record([32]byte{1}, 3), auditlog.ErrChain},
		"unreadable": {auditlog.Record{Leaf: []byte("x")}, auditlog.ErrChain},
		"too large":  {auditlog.Record{Leaf: make([]byte, auditlog.MaxLeaf+1)}, auditlog.ErrTooLarge},
	} {
		if _, err := h.Append(t.Context(), c.rec); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	h.prove(t, append(recs, h.grow(t, 1)...)) // refusals are no failures
}

func TestNoPinButEntries(t *testing.T) {
	t.Parallel()
	m := disktest.New()
	h := mustOpen(t, m)
	h.grow(t, 1)
	must(t, h.Close())
	m.Delete("pin")
	if _, err := tryOpen(t, m.Restart()); !errors.Is(err, auditlog.ErrNoPin) {
		t.Fatalf("entries without a pin: %v", err)
	}
}

// Yesterday's disk, a log of another life, and an emptied store are all refused and named.
func TestRollback(t *testing.T) {
	t.Parallel()
	m := disktest.New()
	h := mustOpen(t, m)
	h.grow(t, 4)
	old := m.Clone()
	h.grow(t, 6)
	must(t, h.Close())
	graft := func(from *disktest.Mem) *disktest.Mem {
		now := m.Clone()
		for _, n := range segmentFiles(t, now) {
			now.Delete(n)
		}
		for _, n := range segmentFiles(t, from) {
			now.SetBytes(n, from.Bytes(n))
		}
		return now
	}
	_, err := tryOpen(t, graft(old))
	var behind *auditlog.BehindError
	if !errors.As(err, &behind) || behind.Have != 4 || behind.Pinned != 10 || behind.Where == "" {
		t.Errorf("yesterday's log: %v", err)
	}
	if _, err := tryOpen(t, graft(disktest.New())); !errors.As(err, &behind) || behind.Have != 0 {
		t.Errorf("emptied log: %v", err)
	}
	other := disktest.New()
	o := mustOpen(t, other)
	for range 10 {
		_, err := o.add(t.Context(), []byte("another life"))
		must(t, err)
	}
	if _, err = tryOpen(t, graft(other)); err == nil {
		t.Error("a log of another life was accepted")
	} else if _, ok := named(err); !ok {
		t.Errorf("a log of another life: %v", err)
	}
	// The other way round, an old pin with a longer log, is what the file anchor can't see: it looks like a tail never acknowledged.
	back := m.Clone()
	back.SetBytes("pin", old.Bytes("pin"))
	if h := mustOpen(t, back); h.Head().Size != 4 {
		t.Errorf("head %d with yesterday's pin", h.Head().Size)
	}
}

func TestPinOfOtherKeys(t *testing.T) {
	t.Parallel()
	m := disktest.New()
	h := mustOpen(t, m)
	recs := h.grow(t, 2)
	must(t, h.Close())
	key, sign := newKey(t, 2)
	old, _ := newKey(t, 1)
	use := func(keys ...tlog.Key) func(*auditlog.Config) {
		return func(c *auditlog.Config) { c.Key, c.Sign, c.Keys = key, sign, keys }
	}
	if _, err := tryOpen(t, m.Clone(), use()); !errors.Is(err, tlog.ErrUnsigned) {
		t.Fatalf("pin by an unknown key: %v", err)
	}
	h = mustOpen(t, m.Clone(), use(old)) // a standby with a key of its own
	h.prove(t, append(recs, h.grow(t, 2)...))
}

// The queue takes entries while the disk works, up to its bounds.
func TestBackpressure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		h := mustOpen(t, disktest.New(), func(c *auditlog.Config) {
			c.Store = gated{c.Store, gate}
			c.QueueEntries = 3
		})
		put := func(ctx context.Context) (auditlog.Handle, error) {
			seq, prev := h.Next()
			return h.Append(ctx, logtest.Record(prev, seq))
		}
		var hs []auditlog.Handle
		for i := range 4 { // one in the committer's hands, three queued
			e, err := put(t.Context())
			must(t, err)
			hs = append(hs, e)
			if i == 0 {
				synctest.Wait()
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := put(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("append to a full queue: %v", err)
		}
		if err := hs[0].Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("wait ended with %v", err)
		}
		select {
		case <-hs[0].Done():
			t.Fatal("acknowledged before it was stored")
		default:
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			e, err := put(t.Context())
			if err == nil {
				err = e.Wait(t.Context())
			}
			if err != nil {
				t.Errorf("append after room was made: %v", err)
			}
		})
		synctest.Wait()
		close(gate)
		wg.Wait()
		for _, e := range hs {
			must(t, e.Wait(t.Context()))
		}
		if s := h.Stats(); s.Entries != 5 || s.Batches > 3 {
			t.Errorf("stats %+v", s)
		}
		must(t, h.Close())
	})
}

// gated holds appends until gate is closed.
type gated struct {
	auditlog.Store
	gate chan struct{}
}

func (g gated) Append(ctx context.Context, writer, first uint64, recs []auditlog.Record) error {
	<-g.gate
	return g.Store.Append(ctx, writer, first, recs)
}

// When a batch fails, what waits behind it is told too, and so is who waits for room.
func TestFailureReachesEveryWaiter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		m := disktest.New()
		h := mustOpen(t, m, func(c *auditlog.Config) {
			c.Store = gated{c.Store, gate}
			c.QueueEntries = 2
		})
		var wg sync.WaitGroup
		m.FailAt(1, disktest.Before)
		for i := range 4 { // in the committer's hands, queued, queued, waiting for room
			wg.Go(func() {
				seq, prev := h.Next()
				e, err := h.Append(t.Context(), logtest.Record(prev, seq))
				if err == nil {
					err = e.Wait(t.Context())
				}
				if !errors.Is(err, auditlog.ErrStopped) || !errors.Is(err, disktest.ErrInjected) {
					t.Errorf("waiter %d was told %v", i, err)
				}
			})
			synctest.Wait()
		}
		close(gate)
		wg.Wait()
	})
}

func TestQueueBytes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		h := mustOpen(t, disktest.New(), func(c *auditlog.Config) {
			c.Store = gated{c.Store, gate}
			c.QueueBytes = 500
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for i := range 4 { // one in the committer's hands, two of 172 bytes queued, a third is too much
			seq, prev := h.Next()
			_, err := h.Append(ctx, logtest.Record(prev, seq, make([]byte, 100)))
			if i < 3 != (err == nil) || err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("append %d: %v", i, err)
			}
			synctest.Wait()
		}
		close(gate)
		must(t, h.Close())
	})
	h := mustOpen(t, disktest.New(), func(c *auditlog.Config) { c.QueueBytes = 100 })
	var recs []auditlog.Record
	for i := range 5 { // larger than the queue: one at a time
		rec, err := h.add(t.Context(), make([]byte, 200*(i+1)))
		must(t, err)
		recs = append(recs, rec)
	}
	h.prove(t, recs)
}

func TestLingerGathersABatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		h := mustOpen(t, disktest.New(), func(c *auditlog.Config) {
			c.Linger, c.QueueEntries = 5*time.Millisecond, 8
			c.Elapsed = func() time.Duration { return time.Since(start) }
		})
		var last auditlog.Handle
		for i := range 5 {
			seq, prev := h.Next()
			e, err := h.Append(t.Context(), logtest.Record(prev, seq))
			must(t, err)
			last = e
			if i < 4 {
				time.Sleep(time.Millisecond)
			}
		}
		began := time.Now()
		must(t, last.Wait(t.Context()))
		if took := time.Since(began); took > 2*time.Millisecond {
			t.Errorf("the batch waited %v more after its linger", took)
		}
		if s := h.Stats(); s.Batches != 1 || s.Entries != 5 {
			t.Errorf("stats %+v, want one batch of 5", s)
		}
		// A full queue does not linger.
		began = time.Now()
		for range 8 {
			seq, prev := h.Next()
			e, err := h.Append(t.Context(), logtest.Record(prev, seq))
			must(t, err)
			last = e
		}
		must(t, last.Wait(t.Context()))
		if took := time.Since(began); took >= 5*time.Millisecond {
			t.Errorf("a full batch waited %v", took)
		}
		must(t, h.Close())
	})
}

// Close commits what is queued.
func TestCloseDrains(t *testing.T) {
	t.Parallel()
	m := disktest.New()
	h := mustOpen(t, m, func(c *auditlog.Config) { c.Linger = time.Hour })
	var hs []auditlog.Handle
	for range 10 {
		seq, prev := h.Next()
		e, err := h.Append(t.Context(), logtest.Record(prev, seq))
		must(t, err)
		hs = append(hs, e)
	}
	must(t, h.Close())
	for _, e := range hs {
		must(t, e.Wait(t.Context()))
	}
	if h.Head().Size != 10 {
		t.Fatalf("head %d", h.Head().Size)
	}
	for range 20 { // also what was queued while a batch was written
		gate := make(chan struct{})
		h := mustOpen(t, disktest.New(), func(c *auditlog.Config) { c.Store = gated{c.Store, gate} })
		for range 5 {
			seq, prev := h.Next()
			_, err := h.Append(t.Context(), logtest.Record(prev, seq))
			must(t, err)
			runtime.Gosched()
		}
		closed := make(chan error)
		go func() { closed <- h.Close() }()
		for h.Err() == nil {
			runtime.Gosched()
		}
		close(gate)
		must(t, <-closed)
		if h.Head().Size != 5 {
			t.Fatalf("%d of 5 entries were committed", h.Head().Size)
		}
	}
}

func TestManyAppenders(t *testing.T) {
	t.Parallel()
	m := disktest.New()
	h := mustOpen(t, m)
	var sequencer sync.Mutex
	var wg sync.WaitGroup
	const workers, each = 32, 40
	for range workers {
		wg.Go(func() {
			for range each {
				sequencer.Lock()
				seq, prev := h.Next()
				e, err := h.Append(t.Context(), logtest.Record(prev, seq, []byte("body")))
				sequencer.Unlock()
				if err == nil {
					err = e.Wait(t.Context())
				}
				if err != nil {
					t.Errorf("entry: %v", err)
					return
				}
				if head := h.Head(); head.Size <= e.Seq {
					t.Errorf("entry %d acknowledged with head %d", e.Seq, head.Size)
				}
				if e.Seq%97 == 0 {
					if err := h.Check(t.Context(), tlog.Frontier{}, nil); err != nil {
						t.Errorf("check: %v", err)
					}
				}
			}
		})
	}
	wg.Wait()
	if h.Head().Size != workers*each {
		t.Fatalf("head %d, want %d", h.Head().Size, workers*each)
	}
	must(t, h.Close())
	mustOpen(t, m.Restart())
}
