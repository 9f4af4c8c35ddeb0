// SPDX-License-Identifier: Apache-2.0

package keycache

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"strongroom/internal/secret"
	"strongroom/internal/secret/secrettest"
)

// model is the cache as a list, from the least to the most recently used key.
type model struct {
	cfg  Config
	list []entry
}

type entry struct {
	key, uses int
	used      time.Time
}

func (m *model) idle(e entry, now time.Time) bool { return now.Sub(e.used) >= m.cfg.Idle }

func (m *model) expire(now time.Time, limit int) {
	for range limit {
		if len(m.list) > 0 && m.idle(m.list[0], now) {
			m.list = m.list[1:]
		}
	}
}

// get says whether the key has to be loaded.
func (m *model) get(now time.Time, key int) (load bool) {
	m.expire(now, expireStep)
	i := slices.IndexFunc(m.list, func(e entry) bool { return e.key == key })
	e := entry{key: key}
	if i >= 0 {
		if !m.idle(m.list[i], now) {
			e = m.list[i]
		}
		m.list = slices.Delete(m.list, i, i+1)
	}
	load = e.uses == 0
	e.uses++
	e.used = now
	if e.uses < m.cfg.Uses {
		m.list = append(m.list, e)
	}
	if len(m.list) > m.cfg.Entries {
		m.list = m.list[1:]
	}
	return load
}

func (m *model) drop(match func(int) bool) {
	m.list = slices.DeleteFunc(m.list, func(e entry) bool { return match(e.key) })
}

func (m *model) has(key int) bool {
	return slices.ContainsFunc(m.list, func(e entry) bool { return e.key == key })
}

// TestModel runs random acts against the model: the same keys are loaded, the same are kept, and a key is live in the arena exactly while
// the cache keeps it or a handle holds it.
func TestModel(t *testing.T) {
	t.Parallel()
	a := secrettest.ArenaOf(t, 1<<20)
	rapid.Check(t, func(r *rapid.T) {
		cfg := Config{
			Entries: rapid.IntRange(1, 5).Draw(r, "entries"),
			Idle:    time.Duration(rapid.IntRange(1, 20).Draw(r, "idle")),
			Uses:    rapid.IntRange(1, 5).Draw(r, "uses"),
		}
		c, err := New[int](cfg)
		if err != nil {
			r.Fatal(err)
		}
		defer c.Clear()
		m := &model{cfg: cfg}
		now := start
		var handles []*Handle
		defer func() {
			for _, h := range handles {
				h.Release()
			}
		}()
		key := rapid.IntRange(0, 7)
		r.Repeat(map[string]func(*rapid.T){
			"get": func(r *rapid.T) {
				k, loaded := key.Draw(r, "key"), false
				h, err := c.Get(t.Context(), now, k, func() (secret.Bytes, error) { loaded = true; return value(a, k)() })
				if err != nil {
					r.Fatal(err)
				}
				handles = append(handles, h)
				if err := holds(h, k); err != nil {
					r.Fatal(err)
				}
				if want := m.get(now, k); loaded != want {
					r.Fatalf("key %d: loaded %v, want %v", k, loaded, want)
				}
			},
			"release": func(r *rapid.T) {
				if len(handles) == 0 {
					r.Skip("no handles")
				}
				i := rapid.IntRange(0, len(handles)-1).Draw(r, "handle")
				handles[i].Release()
				handles = slices.Delete(handles, i, i+1)
			},
			"wait": func(r *rapid.T) { now = now.Add(time.Duration(rapid.IntRange(0, 30).Draw(r, "nanoseconds"))) },
			"drop": func(r *rapid.T) {
				k := key.Draw(r, "below")
				c.Drop(func(x int) bool { return x < k })
				m.drop(func(x int) bool { return x < k })
			},
			"clear": func(*rapid.T) { c.Clear(); m.list = nil },
			"sweep": func(*rapid.T) { c.Sweep(now); m.expire(now, len(m.list)) },
			"": func(r *rapid.T) {
				live := map[*held]bool{}
				for _, it := range c.shards[0].items {
					live[it.held] = true
					if !m.has(it.key) {
						r.Fatalf("key %d is kept", it.key)
					}
				}
				if got := c.Stats().Entries; got != len(m.list) || len(c.shards[0].items) != got {
					r.Fatalf("%d keys are kept, want %d", got, len(m.list))
				}
				for _, h := range handles {
					live[h.held] = true
				}
				if got := a.Usage().Live; got != len(live) {
					r.Fatalf("%d secrets are live, want %d", got, len(live))
				}
			},
		})
	})
}
