// SPDX-License-Identifier: Apache-2.0

package rest_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"strongroom/internal/edge/rest"
	"strongroom/internal/gate"
	"strongroom/internal/gate/coretest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/problem"
)

// slowly is a body that comes up to a point and then stops, until it is let go on or closed.
type slowly struct {
	first  io.Reader
	stop   <-chan struct{}
	began  chan<- struct{}
	once   sync.Once
	closed chan struct{}
}

func (s *slowly) Read(b []byte) (int, error) {
	if n, err := s.first.Read(b); err == nil {
		return n, nil
	}
	s.once.Do(func() { s.began <- struct{}{} })
	select {
	case <-s.stop:
	case <-s.closed:
	}
	return 0, io.ErrUnexpectedEOF
}

func (s *slowly) Close() error { close(s.closed); return nil }

// posted posts a body to the operation that takes the largest and gives the problem; none if there was no answer.
func (h *house) posted(tr *http.Transport, body io.Reader, length int64) apiv1.Problem {
	r, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, h.url+"/v1/requests", body)
	if err != nil {
		h.t.Error(err)
		return apiv1.Problem{}
	}
	r.ContentLength = length
	r.Header.Set("Content-Type", apiv1.CBOR)
	r.Header.Set(apiv1.IdempotencyHeader, "k")
	resp, err := tr.RoundTrip(r)
	if err != nil {
		return apiv1.Problem{}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return apiv1.Problem{}
	}
	return problemOf(h.t, resp, b)
}

// Bodies hold what has come of them, and a caller's no more than so much: what is announced costs nothing, and who sends much at a time is
// told to wait while others are served.
func TestBodiesAreBounded(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	stop, began := make(chan struct{}), make(chan struct{}, 64)
	var wg sync.WaitGroup
	flood := h.transport(string(coretest.Payout.ID))
	open := func(n int, length int64) {
		wg.Go(func() {
			_ = h.posted(flood, &slowly{first: bytes.NewReader(make([]byte, n)), stop: stop, began: began, closed: make(chan struct{})}, length)
		})
		<-began
	}
	for range 24 { // 24 announce 2 MiB each and send nothing
		open(0, 2<<20)
	}
	small := func(p coretest.Person) problem.Kind {
		return h.posted(h.transport(string(p.ID)), bytes.NewReader([]byte("x")), 1).Kind
	}
	if k := small(coretest.Payout); k != problem.Malformed {
		t.Errorf("beside bodies that did not come: %s", k)
	}
	for range 3 { // these come in part, each of more than a megabyte
		open(1<<20+1, 2<<20)
	}
	deadline := time.Now().Add(20 * time.Second)
	for h.posted(flood, bytes.NewReader(make([]byte, 2<<20)), 2<<20).Kind != problem.Busy {
		if time.Now().After(deadline) {
			t.Fatal("a caller may hold any number of bytes")
		}
	}
	if k := small(coretest.Anna); k != problem.Malformed {
		t.Errorf("another caller: %s", k)
	}
	close(stop)
	wg.Wait()
	for h.posted(flood, bytes.NewReader(make([]byte, 2<<20)), 2<<20).Kind != problem.Malformed {
		if time.Now().After(deadline) {
			t.Fatal("the room of bodies that ended is not given back")
		}
	}
}

// A body that does not come in time is given up, on both versions of HTTP.
func TestSlowBodiesAreGivenUp(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *rest.Config) { c.BodyTime = 100 * time.Millisecond })
	for _, two := range []bool{true, false} {
		tr := h.transport(string(coretest.Anna.ID))
		tr.ForceAttemptHTTP2 = two
		stop, began := make(chan struct{}), make(chan struct{}, 1)
		p := h.posted(tr, &slowly{first: bytes.NewReader(make([]byte, 100)), stop: stop, began: began, closed: make(chan struct{})}, 1000)
		if p.Status != http.StatusRequestTimeout || p.Kind != problem.Malformed {
			t.Errorf("HTTP/2 %v: %+v", two, p)
		}
	}
}

// waiting is a core that says how many wait for an entry.
type waiting struct {
	gate.Door
	began chan struct{}
}

func (w waiting) Call(ctx context.Context, method string, body []byte) ([]byte, error) {
	if method == message.MethodFeed && bytes.Contains(body, []byte{3, 0x19}) { // key 3: a wait of more than 255 ms
		w.began <- struct{}{}
	}
	return w.Door.Call(ctx, method, body)
}

// So many calls of a person wait for entries, and those who hang up keep their place until the core has answered.
func TestPollsAreBounded(t *testing.T) {
	t.Parallel()
	began := make(chan struct{}, 64)
	h := newHouse(t, func(c *rest.Config) { c.Core = waiting{c.Core, began} })
	anna, bruno := h.transport(string(coretest.Anna.ID)), h.transport(string(coretest.Bruno.ID))
	all, err := h.client(coretest.Anna).Entries(t.Context(), 0, 1000, 0)
	if err != nil {
		t.Fatal(err)
	}
	resp, b := h.raw(anna, "GET", "/v1/audit/entries?from=4611686018427387904&wait=30", nil, nil)
	if resp.StatusCode != 400 || problemOf(t, resp, b).Kind != problem.Malformed {
		t.Errorf("a wait for an entry that may never be: %s", b)
	}
	<-began
	poll := "/v1/audit/entries?wait=20&from=" + itoa(int(all.Next))
	ctx, hangUp := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range rest.MaxOwnPolls {
		wg.Go(func() {
			r, _ := http.NewRequestWithContext(ctx, http.MethodGet, h.url+poll, nil)
			if resp, err := anna.RoundTrip(r); err == nil {
				resp.Body.Close()
			}
		})
		<-began
	}
	hangUp()
	wg.Wait()
	if resp, b := h.raw(anna, "GET", poll, nil, nil); resp.StatusCode != 429 || problemOf(t, resp, b).Kind != problem.Busy {
		t.Errorf("one poll too many: %d %s", resp.StatusCode, b)
	}
	if resp, b := h.raw(anna, "GET", "/v1/status", nil, nil); resp.StatusCode != 200 {
		t.Errorf("the same person's other calls: %s", b)
	}
	done := make(chan int)
	go func() {
		resp, _ := h.raw(bruno, "GET", poll, nil, nil)
		done <- resp.StatusCode
	}()
	<-began
	h.asked(coretest.Chiara, transfer(50_000)) // the entry that all wait for
	if s := <-done; s != 200 {
		t.Errorf("another person's poll: %d", s)
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		resp, _ := h.raw(anna, "GET", poll, nil, nil)
		if resp.StatusCode == 200 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("places are not given back")
		}
	}
}

// All strangers together cost the core a call a second.
func TestHealthIsAskedOnceASecond(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	tr := h.transport("")
	before := h.core.Calls(message.MethodPing)
	for range 50 {
		if resp, b := h.raw(tr, "GET", "/healthz", nil, nil); !bytes.Contains(b, []byte(`"ok"`)) {
			t.Fatalf("%d %s", resp.StatusCode, b)
		}
	}
	if n := h.core.Calls(message.MethodPing) - before; n < 1 || n > 10 { // the test may take seconds
		t.Errorf("50 calls cost the core %d", n)
	}
	h.core.Fail(message.MethodPing, coretest.Before)
	h.clock.add(2 * time.Second)
	if _, b := h.raw(tr, "GET", "/healthz", nil, nil); !bytes.Contains(b, []byte(`"degraded"`)) {
		t.Errorf("the core does not answer: %s", b)
	}
	h.clock.add(2 * time.Second)
	if _, b := h.raw(tr, "GET", "/healthz", nil, nil); !bytes.Contains(b, []byte(`"ok"`)) {
		t.Errorf("it answers again: %s", b)
	}
}
