// SPDX-License-Identifier: Apache-2.0

package watchapp_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"strongroom/client"
	"strongroom/internal/app/watchapp"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/tlog"
)

var domain = custody.DomainID{7}

// serve is a log behind a serve that can lie.
type serve struct {
	mu      sync.Mutex // guards all below
	key     ed25519.PrivateKey
	leaves  [][]byte
	salts   [][]byte
	bodies  [][]byte
	covered int    // entries that the checkpoint covers; -1: all
	origin  string // of the checkpoint
	down    int    // calls that fail
	gone    int    // tiles that are not found
	root    *[32]byte
	lie     func(*client.EntryList)
	grown   chan struct{}
}

func newServe() *serve {
	return &serve{key: ed25519.NewKeyFromSeed(make([]byte, 32)), covered: -1, origin: entry.Origin(domain, 1), grown: make(chan struct{})}
}

func (s *serve) public() []byte { return s.key.Public().(ed25519.PublicKey) }

// add adds n entries, a minute each.
func (s *serve) add(n int) *serve {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		salt := make([]byte, entry.SaltSize)
		body := canon.Encode(&entry.Writer{Epoch: uint64(len(s.leaves))})
		l := entry.Leaf{V: 1, Domain: domain, Seq: uint64(len(s.leaves)), Kind: entry.KindWriter, KindVersion: 1, Engine: entry.Engine1, Writer: 1,
			Time: int64(len(s.leaves)) * int64(time.Minute), Bodies: []entry.BodyRef{entry.Ref(entry.Public, [16]byte(salt), body)}}
		if len(s.leaves) > 0 {
			l.Prev = entry.Hash(s.leaves[len(s.leaves)-1])
		}
		s.leaves, s.salts, s.bodies = append(s.leaves, l.Encode()), append(s.salts, salt), append(s.bodies, body)
	}
	close(s.grown)
	s.grown = make(chan struct{})
	return s
}

func (s *serve) up() error {
	if s.down > 0 {
		s.down--
		return errors.New("connection refused")
	}
	return nil
}

func (s *serve) Entries(ctx context.Context, from uint64, limit int, wait time.Duration) (l client.EntryList, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.up(); err != nil {
		return l, err
	}
	if grown := s.grown; wait > 0 && from >= uint64(len(s.leaves)) {
		s.mu.Unlock()
		select {
		case <-grown:
		case <-ctx.Done():
		}
		s.mu.Lock()
	}
	l.Pinned = uint64(len(s.leaves))
	for i := from; i < min(l.Pinned, from+uint64(limit)); i++ {
		l.Entries = append(l.Entries, apiv1.Entry{Seq: i, Leaf: slices.Clone(s.leaves[i]), Bodies: []apiv1.Body{{Salt: s.salts[i], Body: s.bodies[i]}}})
	}
	if s.lie != nil {
		s.lie(&l)
	}
	return l, ctx.Err()
}

func (s *serve) size() int {
	if s.covered >= 0 {
		return s.covered
	}
	return len(s.leaves)
}

func (s *serve) Checkpoint(context.Context) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.up(); err != nil {
		return nil, err
	}
	var f tlog.Frontier
	for _, l := range s.leaves[:s.size()] {
		f.Append(entry.Hash(l))
	}
	c := tlog.Checkpoint{Origin: s.origin, Size: f.Size(), Root: f.Root()}
	if s.root != nil {
		c.Root = *s.root
	}
	key, err := tlog.NewKey(s.origin, s.public())
	if err != nil {
		return nil, err
	}
	return tlog.SignCheckpoint(c, key, func(m []byte) ([]byte, error) { return ed25519.Sign(s.key, m), nil })
}

func (s *serve) Tile(_ context.Context, path string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone > 0 {
		s.gone--
		return nil, &client.Problem{Problem: apiv1.Problem{Kind: problem.NotFound}}
	}
	for level := range uint8(2) {
		full, partial := tlog.TilesOf(uint64(s.size()), level)
		for i := range full + 1 {
			t := tlog.Tile{Level: level, Index: i, Width: tlog.TileWidth}
			if i == full {
				t.Width = partial
			}
			if t.Width == 0 || t.Path() != "tile/"+path {
				continue
			}
			var out [][32]byte
			for j := range t.Width {
				n := 1 << (8 * int(level))
				at := (int(i)*tlog.TileWidth + j) * n
				var hs [][32]byte
				for _, l := range s.leaves[at : at+n] {
					hs = append(hs, entry.Hash(l))
				}
				out = append(out, tlog.SubtreeRoot(hs))
			}
			return tlog.EncodeTile(out), nil
		}
	}
	return nil, &client.Problem{Problem: apiv1.Problem{Kind: problem.NotFound}}
}

// watch follows s and gives the entries shown, in order.
func watch(t *testing.T, s *serve, since watchapp.Since, more func(*watchapp.Config)) (seen []uint64, said []string, err error) {
	t.Helper()
	cfg := watchapp.Config{Source: s, Domain: domain, LogKey: s.public(), Since: since, Once: true, Retry: time.Microsecond,
		Show: func(e watchapp.Entry) error { seen = append(seen, e.Leaf.Seq); return nil }, Tell: func(w string) { said = append(said, w) }}
	if more != nil {
		more(&cfg)
	}
	w, err := watchapp.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return seen, said, w.Run(t.Context())
}

func at(n uint64) watchapp.Since { return watchapp.Since{Seq: &n} }

// run gives the numbers from low up to high.
func run(low, high uint64) (out []uint64) {
	for ; low < high; low++ {
		out = append(out, low)
	}
	return out
}

func TestShowsEachEntryFromAnyPlace(t *testing.T) {
	t.Parallel()
	s := newServe().add(600)
	for _, from := range []uint64{0, 1, 2, 255, 256, 257, 511, 512, 513, 599, 600} {
		seen, _, err := watch(t, s, at(from), nil)
		if err != nil || !slices.Equal(seen, run(from, 600)) {
			t.Errorf("from %d: %d entries, %v", from, len(seen), err)
		}
	}
	seen, _, err := watch(t, s, watchapp.Since{After: time.Unix(0, 0).Add(90 * time.Minute)}, nil)
	if err != nil || !slices.Equal(seen, run(90, 600)) {
		t.Errorf("since a time: %d entries, %v", len(seen), err)
	}
	if seen, _, err := watch(t, s, watchapp.Since{}, nil); err != nil || len(seen) != 0 {
		t.Errorf("from the end: %v, %v", seen, err)
	}
	if _, _, err := watch(t, s, at(601), nil); err == nil || !strings.Contains(err.Error(), "not there yet") {
		t.Errorf("from beyond the end: %v", err)
	}
}

func TestGoesOnAfterALostConnection(t *testing.T) {
	t.Parallel()
	s := newServe().add(5)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	got, said := make(chan uint64), make(chan string, 100)
	w, err := watchapp.New(watchapp.Config{Source: s, Domain: domain, LogKey: s.public(), Since: at(0), Retry: time.Microsecond,
		Show: func(e watchapp.Entry) error { got <- e.Leaf.Seq; return nil }, Tell: func(s string) { said <- s }})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	next := func(low, high uint64) {
		t.Helper()
		for want := low; want < high; want++ {
			if seq := <-got; seq != want {
				t.Fatalf("entry %d was shown, want %d", seq, want)
			}
		}
	}
	next(0, 5)
	s.mu.Lock()
	s.down = 3
	s.mu.Unlock()
	next(5, 5)
	s.add(300)
	next(5, 305)
	if a := <-said; !strings.Contains(a, "lost") {
		t.Error(a)
	}
	if a := <-said; !strings.Contains(a, "back") {
		t.Error(a)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestWaitsForACheckpoint(t *testing.T) {
	t.Parallel()
	s := newServe().add(9)
	s.covered = 4
	var rounds int
	seen, said, err := watch(t, s, at(0), func(c *watchapp.Config) {
		show := c.Show
		c.Show = func(e watchapp.Entry) error {
			if e.Leaf.Seq == 4 && rounds == 0 {
				t.Error("an entry is shown that no checkpoint covers")
			}
			return show(e)
		}
		c.Tell = func(string) {
			rounds++
			s.mu.Lock()
			s.covered = -1
			s.mu.Unlock()
		}
	})
	if err != nil || len(seen) != 9 || rounds != 1 {
		t.Errorf("%v, %v, %v", seen, said, err)
	}
}

func TestTilesThatAreReplaced(t *testing.T) {
	t.Parallel()
	s := newServe().add(300)
	s.gone = 3
	if seen, _, err := watch(t, s, at(299), nil); err != nil || len(seen) != 1 {
		t.Errorf("%v, %v", seen, err)
	}
	if s.gone = 1000; true {
		if _, _, err := watch(t, s, at(299), nil); client.KindOf(err) != problem.NotFound {
			t.Errorf("without tiles: %v", err)
		}
	}
}

// TestAlarms: whatever a serve does to the log, nothing false is shown and the watch ends.
func TestAlarms(t *testing.T) {
	t.Parallel()
	later := func(s *serve, act func()) func(*watchapp.Config) { // once entry 9 was shown
		return func(c *watchapp.Config) {
			c.Once = false
			show := c.Show
			c.Show = func(e watchapp.Entry) error {
				if e.Leaf.Seq == 9 {
					s.mu.Lock()
					act()
					s.mu.Unlock()
				}
				return show(e)
			}
		}
	}
	for name, tt := range map[string]struct {
		spoil func(s *serve) func(*watchapp.Config)
		want  string
		shown int
	}{
		"another root":   {func(s *serve) func(*watchapp.Config) { s.root = &[32]byte{1}; return nil }, "do not lead", 0},
		"another log":    {func(s *serve) func(*watchapp.Config) { s.origin = entry.Origin(custody.DomainID{8}, 1); return nil }, "is of the domain", 0},
		"another origin": {func(s *serve) func(*watchapp.Config) { s.origin = "elsewhere"; return nil }, "no origin", 0},
		"another key": {func(s *serve) func(*watchapp.Config) {
			k := ed25519.NewKeyFromSeed([]byte(strings.Repeat("x", 32)))
			return func(c *watchapp.Config) { c.LogKey = k.Public().(ed25519.PublicKey) }
		}, "not signed", 0},
		"no witness": {func(s *serve) func(*watchapp.Config) {
			key, err := tlog.NewWitnessKey("w", s.public())
			set, err2 := tlog.NewWitnesses([]tlog.Witness{{Name: "w", Key: key}}, 1)
			if errors.Join(err, err2) != nil {
				panic(err)
			}
			return func(c *watchapp.Config) { c.Witnesses = set }
		}, "too few log witnesses", 0},
		"another body": {func(s *serve) func(*watchapp.Config) {
			s.lie = func(l *client.EntryList) { l.Entries[3].Bodies[0].Body = canon.Encode(&entry.Writer{Epoch: 77}) }
			return nil
		}, "body of entry 3", 0},
		"no body": {func(s *serve) func(*watchapp.Config) {
			s.lie = func(l *client.EntryList) { l.Entries[3].Bodies = nil }
			return nil
		}, "has 0 bodies", 0},
		"an entry left out": {func(s *serve) func(*watchapp.Config) {
			s.lie = func(l *client.EntryList) { l.Entries = slices.Delete(l.Entries, 3, 4) }
			return nil
		}, "entry 3 does not follow", 0},
		"two entries swapped": {func(s *serve) func(*watchapp.Config) {
			s.lie = func(l *client.EntryList) { l.Entries[3], l.Entries[4] = l.Entries[4], l.Entries[3] }
			return nil
		}, "entry 3 does not follow", 0},
		"garbage": {func(s *serve) func(*watchapp.Config) {
			s.lie = func(l *client.EntryList) { l.Entries[3].Leaf = []byte("x") }
			return nil
		}, "entry 3: leaf", 0},
		"the log is shorter": {func(s *serve) func(*watchapp.Config) { return later(s, func() { s.leaves = s.leaves[:8] }) }, "and had 10 before", 10},
		"the checkpoint goes back": {func(s *serve) func(*watchapp.Config) {
			return later(s, func() {
				s.covered = 8
				go s.add(1)
			})
		}, "went back", 10},
		"another history": {func(s *serve) func(*watchapp.Config) {
			return later(s, func() {
				o := newServe().add(10)
				o.leaves[9] = o.leaves[8]
				s.leaves = o.leaves
				go s.add(3)
			})
		}, "does not follow", 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServe().add(10)
			seen, _, err := watch(t, s, at(0), tt.spoil(s))
			var a *watchapp.Alarm
			if !errors.As(err, &a) || !strings.Contains(err.Error(), tt.want) || len(seen) != tt.shown {
				t.Errorf("shown %d: %v", len(seen), err)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	if _, err := watchapp.New(watchapp.Config{}); err == nil {
		t.Error("a zero config was accepted")
	}
	full := errors.New("disk full")
	s := newServe().add(3)
	if _, _, err := watch(t, s, at(0), func(c *watchapp.Config) { c.Show = func(watchapp.Entry) error { return full } }); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
	s.lie = func(l *client.EntryList) { l.Entries = nil }
	if _, _, err := watch(t, s, at(2), nil); err == nil || !strings.Contains(fmt.Sprint(err), "not there, though") {
		t.Errorf("got %v", err)
	}
}
