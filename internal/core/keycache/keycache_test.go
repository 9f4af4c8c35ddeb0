// SPDX-License-Identifier: Apache-2.0

package keycache

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/internal/secret"
	"strongroom/internal/secret/secrettest"
)

func newCache(t testing.TB, cfg Config) *Cache[int] {
	t.Helper()
	c, err := New[int](cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Clear)
	return c
}

// value is what the test's keys look like: the number of the load and the key.
func value(a *secret.Arena, key int) func() (secret.Bytes, error) {
	return func() (secret.Bytes, error) {
		return secret.New(a, 64, func(b []byte) error {
			binary.BigEndian.PutUint64(b, uint64(key))
			return nil
		})
	}
}

func mustGet(t testing.TB, c *Cache[int], now time.Time, key int, load func() (secret.Bytes, error)) *Handle {
	t.Helper()
	h, err := c.Get(context.Background(), now, key, load)
	if err != nil {
		t.Fatal(err)
	}
	if err := holds(h, key); err != nil {
		t.Fatal(err)
	}
	return h
}

// holds says whether h holds the key of this number.
func holds(h *Handle, key int) error {
	return h.Use(func(b []byte) error {
		if binary.BigEndian.Uint64(b) != uint64(key) {
			return errors.New("another key was handed out")
		}
		return nil
	})
}

func noLoad() (secret.Bytes, error) { return secret.Bytes{}, errors.New("loaded again") }

var (
	start = time.Unix(1_800_000_000, 0)
	usual = Config{Entries: 4, Idle: time.Minute, Uses: 100}
)

func TestConfig(t *testing.T) {
	t.Parallel()
	for _, cfg := range []Config{{}, {0, 1, 1, false}, {1, 0, 1, false}, {1, 1, 0, false}, {1, -1, 1, true}} {
		if _, err := New[int](cfg); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
}

func TestHandleKeepsTheKey(t *testing.T) {
	t.Parallel()
	for _, mask := range []bool{false, true} {
		a := secrettest.ArenaOf(t, 1<<20)
		cfg := usual
		cfg.Mask = mask
		c := newCache(t, cfg)
		h := mustGet(t, c, start, 1, value(a, 1))
		again := mustGet(t, c, start, 1, noLoad)
		if got := h.held.value.Masked(); got != mask {
			t.Errorf("masked %v, want %v", got, mask)
		}
		c.Clear()
		if err := errors.Join(holds(h, 1), holds(again, 1)); err != nil {
			t.Errorf("cleared while in use: %v", err)
		}
		h.Release()
		h.Release() // releases nobody else's
		if err := holds(h, 1); !errors.Is(err, secret.ErrWiped) {
			t.Errorf("used after release: got error %v", err)
		}
		if err := holds(again, 1); err != nil {
			t.Error(err)
		}
		again.Release()
		if live := a.Usage().Live; live != 0 {
			t.Errorf("%d secrets are live after the last release", live)
		}
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	get := func(t *testing.T, a *secret.Arena, c *Cache[int], now time.Time, key int) (loaded bool) {
		mustGet(t, c, now, key, func() (secret.Bytes, error) { loaded = true; return value(a, key)() }).Release()
		return loaded
	}
	t.Run("count", func(t *testing.T) {
		a := secrettest.ArenaOf(t, 1<<20)
		c := newCache(t, usual)
		for key := range 4 {
			get(t, a, c, start, key)
		}
		get(t, a, c, start, 0) // 1 is the least recently used now
		get(t, a, c, start, 4)
		if got := c.Stats(); got != (Stats{Entries: 4, Hits: 1, Loads: 5, Evicted: 1}) || a.Usage().Live != 4 {
			t.Errorf("got %+v and %d live", got, a.Usage().Live)
		}
		if get(t, a, c, start, 0) || !get(t, a, c, start, 1) {
			t.Error("not the least recently used key was evicted")
		}
	})
	t.Run("idle", func(t *testing.T) {
		a := secrettest.ArenaOf(t, 1<<20)
		c := newCache(t, usual)
		get(t, a, c, start, 1)
		if get(t, a, c, start.Add(time.Minute-1), 1) {
			t.Error("evicted too early")
		}
		if !get(t, a, c, start.Add(2*time.Minute-1), 1) {
			t.Error("an idle key was handed out")
		}
		get(t, a, c, start.Add(3*time.Minute), 2)
		if got := c.Stats().Entries; got != 1 {
			t.Errorf("%d keys are kept, want 1: an idle one goes in passing", got)
		}
		c.Sweep(start.Add(4 * time.Minute))
		if got := c.Stats().Entries; got != 0 || a.Usage().Live != 0 {
			t.Errorf("%d keys are kept after the sweep", got)
		}
	})
	t.Run("idle ones go two at a time", func(t *testing.T) {
		a := secrettest.ArenaOf(t, 1<<20)
		c := newCache(t, Config{Entries: 10, Idle: time.Minute, Uses: 100})
		for key := range 5 {
			get(t, a, c, start, key)
		}
		get(t, a, c, start.Add(time.Hour), 9)
		if got := c.Stats(); got.Entries != 4 || got.Evicted != 2 {
			t.Errorf("got %+v, want 2 of 5 idle keys evicted", got)
		}
	})
	t.Run("uses", func(t *testing.T) {
		a := secrettest.ArenaOf(t, 1<<20)
		for uses := 1; uses < 4; uses++ {
			cfg := usual
			cfg.Uses = uses
			c := newCache(t, cfg)
			for i := range 12 {
				if loaded := get(t, a, c, start, 1); loaded != (i%uses == 0) {
					t.Errorf("%d uses: use %d loaded %v", uses, i, loaded)
				}
			}
		}
	})
	t.Run("time runs back", func(t *testing.T) {
		a := secrettest.ArenaOf(t, 1<<20)
		c := newCache(t, usual)
		get(t, a, c, start, 1)
		if get(t, a, c, start.Add(-time.Hour), 1) {
			t.Error("evicted a key because time ran back")
		}
	})
}

func TestDrop(t *testing.T) {
	t.Parallel()
	a := secrettest.ArenaOf(t, 1<<20)
	c := newCache(t, Config{Entries: 5000, Idle: time.Minute, Uses: 100})
	for key := range 1000 {
		mustGet(t, c, start, key, value(a, key)).Release()
	}
	c.Drop(func(k int) bool { return k%2 == 0 })
	if got := c.Stats(); got.Entries != 500 || got.Evicted != 500 || a.Usage().Live != 500 {
		t.Errorf("got %+v", got)
	}
	mustGet(t, c, start, 1, noLoad).Release()
	if _, err := c.Get(t.Context(), start, 2, noLoad); err == nil {
		t.Error("a dropped key was handed out")
	}
}

func TestLoadErrors(t *testing.T) {
	t.Parallel()
	a := secrettest.ArenaOf(t, 1<<20)
	c := newCache(t, usual)
	boom := errors.New("boom")
	if _, err := c.Get(t.Context(), start, 1, func() (secret.Bytes, error) { return secret.Bytes{}, boom }); !errors.Is(err, boom) {
		t.Errorf("got error %v", err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was lost")
			}
		}()
		_, _ = c.Get(t.Context(), start, 1, func() (secret.Bytes, error) { panic("boom") })
	}()
	mustGet(t, c, start, 1, value(a, 1)).Release() // neither is kept
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Get(cancelled, start, 1, noLoad); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v", err)
	}
	small := secrettest.ArenaOf(t, 1) // one page: no room for a pad
	full := newCache(t, Config{Entries: 1, Idle: time.Minute, Uses: 2, Mask: true})
	if _, err := full.Get(t.Context(), start, 1, value(small, 1)); !errors.Is(err, secret.ErrArenaFull) || small.Usage().Live != 0 {
		t.Errorf("got error %v and %d live", err, small.Usage().Live)
	}
}

// TestSingleFlight holds a load up while others ask for the same key.
func TestSingleFlight(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	for _, tt := range []struct {
		name   string
		fail   bool
		during func(c *Cache[int]) // what happens while the load is under way
		loads  int32
		kept   int
	}{
		{"shared", false, func(*Cache[int]) {}, 1, 1},
		{"fails for all", true, func(*Cache[int]) {}, 1, 0},
		{"cleared meanwhile", false, (*Cache[int]).Clear, 2, 1},
		{"dropped meanwhile", false, func(c *Cache[int]) { c.Drop(func(k int) bool { return k == 1 }) }, 2, 1},
		{"another dropped meanwhile", false, func(c *Cache[int]) { c.Drop(func(k int) bool { return k == 2 }) }, 1, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := secrettest.ArenaOf(t, 1<<20)
			synctest.Test(t, func(t *testing.T) {
				c := newCache(t, usual)
				var loads atomic.Int32
				gate := make(chan struct{})
				load := func() (secret.Bytes, error) {
					if loads.Add(1) == 1 {
						<-gate
					}
					if tt.fail {
						return secret.Bytes{}, boom
					}
					return value(a, 1)()
				}
				var wg sync.WaitGroup
				for range 8 {
					wg.Go(func() {
						h, err := c.Get(t.Context(), start, 1, load)
						if tt.fail {
							if !errors.Is(err, boom) {
								t.Errorf("got error %v", err)
							}
							return
						}
						if err != nil {
							t.Error(err)
							return
						}
						defer h.Release()
						if err := holds(h, 1); err != nil {
							t.Error(err)
						}
					})
				}
				synctest.Wait() // the first loads, the others wait
				impatient, cancel := context.WithCancel(t.Context())
				wg.Go(func() {
					if _, err := c.Get(impatient, start, 1, load); !errors.Is(err, context.Canceled) {
						t.Errorf("cancelled: got error %v", err)
					}
				})
				synctest.Wait()
				if got := loads.Load(); got != 1 {
					t.Errorf("%d loads at once, want 1", got)
				}
				cancel()
				synctest.Wait()
				tt.during(c)
				synctest.Wait()
				close(gate)
				wg.Wait()
				if got := loads.Load(); got != tt.loads {
					t.Errorf("%d loads, want %d", got, tt.loads)
				}
				if got := c.Stats().Entries; got != tt.kept || a.Usage().Live != tt.kept {
					t.Errorf("%d keys are kept and %d live, want %d", got, a.Usage().Live, tt.kept)
				}
			})
		})
	}
}

// TestLoadPanics: those who wait for a load that panics are told, and don't wait for ever.
func TestLoadPanics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, usual)
		gate := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			defer func() { _ = recover() }()
			_, _ = c.Get(t.Context(), start, 1, func() (secret.Bytes, error) { <-gate; panic("boom") })
		})
		synctest.Wait()
		wg.Go(func() {
			if _, err := c.Get(t.Context(), start, 1, noLoad); !errors.Is(err, ErrLoad) {
				t.Errorf("got error %v", err)
			}
		})
		synctest.Wait()
		close(gate)
		wg.Wait()
	})
}

// TestConcurrent is for the race detector: everything at once, on one shard and on many.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	for _, entries := range []int{8, 1100} {
		a := secrettest.ArenaOf(t, 1<<20)
		c := newCache(t, Config{Entries: entries, Idle: 50, Uses: 7, Mask: entries == 8})
		var wg sync.WaitGroup
		for g := range 6 {
			wg.Go(func() {
				for i := range 2000 {
					key := (i*7 + g*13) % (entries + 40)
					h, err := c.Get(t.Context(), start.Add(time.Duration(i)), key, value(a, key))
					if err != nil {
						t.Error(err)
						return
					}
					if err := holds(h, key); err != nil {
						t.Error(err)
					}
					switch i % 500 {
					case 100:
						c.Drop(func(k int) bool { return k%3 == 0 })
					case 200:
						c.Sweep(start.Add(time.Duration(i)))
					case 300:
						c.Clear()
					}
					if got := c.Stats().Entries; got > entries+6 {
						t.Errorf("%d keys are kept, more than %d", got, entries)
					}
					h.Release()
				}
			})
		}
		wg.Wait()
		c.Clear()
		if got := c.Stats().Entries; got != 0 || a.Usage().Live != 0 {
			t.Errorf("%d keys are kept and %d live after Clear", got, a.Usage().Live)
		}
	}
}

// What is known of a key comes and goes with it.
func TestKnown(t *testing.T) {
	t.Parallel()
	a := secrettest.ArenaOf(t, 1<<20)
	c := newCache(t, usual)
	for _, what := range []string{"first", "second"} {
		for i := range 3 {
			h, err := c.GetKnown(context.Background(), start, 1, func() (secret.Bytes, any, error) {
				if i > 0 {
					t.Error("loaded again")
				}
				b, err := value(a, 1)()
				return b, what, err
			})
			if err != nil {
				t.Fatal(err)
			}
			if h.Known() != what || h.Key().Len() != 64 {
				t.Errorf("%v is known, want %s", h.Known(), what)
			}
			h.Release()
		}
		c.Clear()
	}
	h := mustGet(t, c, start, 2, value(a, 2))
	defer h.Release()
	if h.Known() != nil {
		t.Errorf("%v is known of a key that nothing was said of", h.Known())
	}
}

// Remove wipes one key, and keeps a load of it that is under way out.
func TestRemove(t *testing.T) {
	t.Parallel()
	a := secrettest.ArenaOf(t, 1<<20)
	c := newCache(t, usual)
	for key := range 2 {
		mustGet(t, c, start, key, value(a, key)).Release()
	}
	c.Remove(0)
	c.Remove(7) // is not there
	if n := c.Stats().Entries; n != 1 {
		t.Errorf("%d keys are kept, want 1", n)
	}
	mustGet(t, c, start, 1, noLoad).Release()
	h := mustGet(t, c, start, 0, func() (secret.Bytes, error) { c.Remove(0); return value(a, 0)() })
	if n := c.Stats().Entries; n != 1 {
		t.Errorf("a key that was removed while it was loaded is kept: %d", n)
	}
	h.Release()
	if n := a.Usage().Live; n != 1 {
		t.Errorf("%d secrets are alive, want 1", n)
	}
}
