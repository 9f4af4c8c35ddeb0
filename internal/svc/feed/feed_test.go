// SPDX-License-Identifier: Apache-2.0

package feed_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"strongroom/internal/gate"
	"strongroom/internal/gate/coretest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/request"
	"strongroom/internal/svc/feed"
)

// memory is a cache that keeps entries, and checks that they come in order.
type memory struct {
	mu      sync.Mutex
	entries []feed.Entry
	resets  int
	fail    error
}

func (m *memory) Cursor(context.Context) (c feed.Cursor, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := len(m.entries); n > 0 {
		c = feed.Cursor{Next: uint64(n), Last: m.entries[n-1].Hash}
	}
	return c, nil
}

func (m *memory) Fold(_ context.Context, e []feed.Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	if e[0].Leaf.Seq != uint64(len(m.entries)) {
		return errors.New("out of order")
	}
	m.entries = append(m.entries, e...)
	return nil
}

func (m *memory) Reset(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries, m.resets = nil, m.resets+1
	return nil
}

func (m *memory) size() int { m.mu.Lock(); defer m.mu.Unlock(); return len(m.entries) }

// liar changes the feed's answers.
type liar struct {
	gate.Door
	lie func(*message.Entries)
}

func (l liar) Call(ctx context.Context, method string, body []byte) ([]byte, error) {
	b, err := l.Door.Call(ctx, method, body)
	if err != nil || method != message.MethodFeed {
		return b, err
	}
	var m message.Entries
	if err := canon.Decode(b, &m); err != nil {
		return nil, err
	}
	l.lie(&m)
	return canon.Encode(m), nil
}

func follower(t *testing.T, core gate.Door, m *memory, onFold func()) *feed.Follower {
	t.Helper()
	f, err := feed.New(feed.Config{Core: core, Cache: m, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), OnFold: onFold})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func newCore(t *testing.T) *coretest.Core {
	c := coretest.New(t, time.Now)
	c.AddWallet(t, "hot", coretest.Ethereum, request.SchemeEVM, 1)
	return c
}

func TestStepFoldsAll(t *testing.T) {
	t.Parallel()
	c, m, folds := newCore(t), &memory{}, 0
	f := follower(t, c, m, func() { folds++ })
	n, err := f.Step(t.Context(), false)
	if err != nil || n != len(c.Bodies()) || m.size() != n || folds != 1 {
		t.Fatalf("folded %d of %d, called %d times: %v", n, len(c.Bodies()), folds, err)
	}
	if n, err = f.Step(t.Context(), false); n != 0 || err != nil || folds != 1 {
		t.Errorf("again: %d %v", n, err)
	}
}

func TestRefusesWhatItWasNotTold(t *testing.T) {
	t.Parallel()
	c := newCore(t)
	for name, lie := range map[string]func(*message.Entries){
		"a body changed":    func(m *message.Entries) { m.Entries[1].Bodies[0].Body[3] ^= 1 },
		"a salt changed":    func(m *message.Entries) { m.Entries[1].Bodies[0].Salt[3] ^= 1 },
		"a salt cut":        func(m *message.Entries) { m.Entries[1].Bodies[0].Salt = m.Entries[1].Bodies[0].Salt[:4] },
		"a leaf changed":    func(m *message.Entries) { m.Entries[1].Leaf[9] ^= 1 },
		"an entry left out": func(m *message.Entries) { m.Entries = append(m.Entries[:1], m.Entries[2:]...) },
		"two swapped":       func(m *message.Entries) { m.Entries[1], m.Entries[2] = m.Entries[2], m.Entries[1] },
		"no bodies":         func(m *message.Entries) { m.Entries[1].Bodies = nil },
		"a body left empty": func(m *message.Entries) { m.Entries[1].Bodies[0] = message.Body{Shredded: true} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := &memory{}
			n, err := follower(t, liar{c, lie}, m, nil).Step(t.Context(), false)
			if n != 0 || m.size() != 0 || (err == nil && m.resets == 0) {
				t.Errorf("folded %d, resets %d: %v", n, m.resets, err)
			}
		})
	}
}

func TestAnotherLogIsFoldedAnew(t *testing.T) {
	t.Parallel()
	m := &memory{}
	one, two := newCore(t), newCore(t)
	if _, err := follower(t, one, m, nil).Step(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	f := follower(t, two, m, nil)
	// As long as the other log is not longer, only the look before a wait notices.
	if n, err := f.Step(t.Context(), true); n != 0 || err != nil || m.resets != 1 {
		t.Fatalf("folded %d, resets %d: %v", n, m.resets, err)
	}
	if n, err := f.Step(t.Context(), false); n != len(two.Bodies()) || err != nil {
		t.Errorf("folded %d: %v", n, err)
	}
}

func TestRunFollowsAndOutlastsFailures(t *testing.T) {
	t.Parallel()
	c, m := newCore(t), &memory{}
	c.Fail(message.MethodFeed, coretest.Before)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	grown := make(chan struct{}, 100)
	go func() { done <- follower(t, c, m, func() { grown <- struct{}{} }).Run(ctx) }()
	for m.size() < len(c.Bodies()) {
		<-grown
	}
	c.AddWallet(t, "more", coretest.Ethereum, request.SchemeEVM, 1)
	for m.size() < len(c.Bodies()) {
		<-grown
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestCacheFailureIsTold(t *testing.T) {
	t.Parallel()
	m := &memory{fail: errors.New("disk full")}
	if _, err := follower(t, newCore(t), m, nil).Step(t.Context(), false); !errors.Is(err, m.fail) {
		t.Errorf("got %v", err)
	}
	if _, err := feed.New(feed.Config{}); err == nil {
		t.Error("a zero config was accepted")
	}
}
