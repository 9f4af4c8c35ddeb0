// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/svc/gateway"
)

type service struct{ key ed25519.PrivateKey }

func (service) Person() custody.PersonID { return "p_aaaaaaaaaaaaaaaa" }

func (s service) Public() request.PublicKey {
	return request.PublicKey{Alg: request.Ed25519, Pub: s.key.Public().(ed25519.PublicKey)}
}

func (s service) Sign(m []byte) ([]byte, error) { return ed25519.Sign(s.key, m), nil }

// door is a core that knows sessions, as the real one does, and answers calls as a test says.
type door struct {
	service service

	mu       sync.Mutex // guards all below
	sessions map[string][]byte
	numbers  map[string][]uint64
	opened   int
	calls    []message.AppCall
	answer   func(message.AppCall) (message.AppAnswer, error)
	starting bool
}

func newDoor() *door {
	_, key, _ := ed25519.GenerateKey(rand.Reader)
	return &door{service: service{key}, sessions: map[string][]byte{}, numbers: map[string][]uint64{}}
}

func (d *door) gateway(t *testing.T, now func() time.Time) *gateway.Gateway {
	t.Helper()
	g, err := gateway.New(gateway.Config{Doors: []gate.Door{d, d, d}, Service: d.service, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func (d *door) Call(ctx context.Context, method string, body []byte) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out any
	var err error
	switch method {
	case message.MethodStatus:
		st := message.Status{}
		if d.starting {
			st.Starting = "something"
		}
		out = st
	case message.MethodSession:
		out, err = d.session(body)
	case message.MethodEP11:
		out, err = d.ep11(body)
	}
	if err != nil {
		return nil, err
	}
	return canon.Encode(out), nil
}

func (d *door) session(body []byte) (g request.SessionGrant, err error) {
	var in message.OpenSession
	var o request.SessionOpening
	if err := errors.Join(canon.Decode(body, &in), canon.Decode(in.Opening, &o)); err != nil {
		return g, err
	}
	if !d.service.Public().Verify(canon.TagBytes(canon.TagSession, in.Opening), in.Sig) || in.Key != d.service.Public().Ref() {
		return g, problem.New(problem.Unauthenticated, "the opening is not signed")
	}
	own, _ := ecdh.X25519().GenerateKey(rand.Reader)
	peer, err := ecdh.X25519().NewPublicKey(o.Ephemeral)
	if err != nil {
		return g, err
	}
	shared, err := own.ECDH(peer)
	if err != nil {
		return g, err
	}
	id := make([]byte, 16)
	rand.Read(id)
	salt := canon.HashBytes(canon.TagSession, in.Opening)
	key, err := hkdf.Key(sha256.New, shared, salt[:], string(canon.TagBytes(canon.TagSessionKey, id)), 32)
	d.sessions[string(id)] = key
	d.opened++
	return request.SessionGrant{Session: id, Ephemeral: own.PublicKey().Bytes()}, err
}

func (d *door) ep11(body []byte) (a message.AppAnswer, err error) {
	var in message.AppCall
	if err := canon.Decode(body, &in); err != nil {
		return a, err
	}
	key, ok := d.sessions[string(in.Session)]
	mac := hmac.New(sha256.New, key)
	mac.Write(in.Message())
	if !ok || !hmac.Equal(mac.Sum(nil), in.MAC) {
		return a, problem.New(problem.Unauthenticated, "no session")
	}
	if slices.Contains(d.numbers[string(in.Session)], in.Number) {
		return a, problem.New(problem.AlreadyDone, "again")
	}
	d.numbers[string(in.Session)] = append(d.numbers[string(in.Session)], in.Number)
	d.calls = append(d.calls, in)
	if d.answer != nil {
		return d.answer(in)
	}
	return message.AppAnswer{Answer: ep11.Answer{Data: in.Call}.Encode()}, nil
}

func (d *door) restart() {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.sessions)
}

func now() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

const caller = "token:billing"

func TestCalls(t *testing.T) {
	t.Parallel()
	d := newDoor()
	g := d.gateway(t, now)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			c := ep11.Call{Function: ep11.FnGenerateRandom, Len: 7}
			a, err := g.Do(t.Context(), caller, c)
			if err != nil || string(a.Data) != string(c.Encode()) {
				t.Errorf("%v, %v", a, err)
			}
		})
	}
	wg.Wait()
	if d.opened != 1 || len(d.calls) != 50 || d.calls[7].Caller != caller {
		t.Errorf("%d sessions, %d calls", d.opened, len(d.calls))
	}
}

// TestRestart: a core that forgot the session gets another, and the call is done once.
func TestRestart(t *testing.T) {
	t.Parallel()
	d := newDoor()
	g := d.gateway(t, now)
	for i := range 3 {
		if _, err := g.Do(t.Context(), caller, ep11.Call{Function: ep11.FnLogout}); err != nil {
			t.Fatal(err)
		}
		if d.opened != i+1 || len(d.calls) != i+1 {
			t.Errorf("%d sessions, %d calls", d.opened, len(d.calls))
		}
		d.restart()
	}
}

// TestSessionEnds: a new one is opened before the old one is over.
func TestSessionEnds(t *testing.T) {
	t.Parallel()
	d := newDoor()
	at := now()
	g := d.gateway(t, func() time.Time { return at })
	for i, wait := range []time.Duration{0, gateway.Life / 2, gateway.Life/2 - time.Minute, time.Minute} {
		at = at.Add(wait)
		if _, err := g.Do(t.Context(), caller, ep11.Call{Function: ep11.FnLogout}); err != nil {
			t.Fatal(err)
		}
		if want := []int{1, 1, 2, 2}[i]; d.opened != want {
			t.Errorf("%d: %d sessions, want %d", i, d.opened, want)
		}
	}
}

// TestRefusals: what the core says reaches the caller as it is, and only what was not done is made again.
func TestRefusals(t *testing.T) {
	t.Parallel()
	d := newDoor()
	g := d.gateway(t, now)
	do := func(a message.AppAnswer, err error) (error, int) {
		before := len(d.calls)
		d.answer = func(message.AppCall) (message.AppAnswer, error) { return a, err }
		_, got := g.Do(t.Context(), caller, ep11.Call{Function: ep11.FnLogout})
		return got, len(d.calls) - before
	}
	err, n := do(message.AppAnswer{Failure: &ep11.Failure{Code: ep11.CKR_SIGNATURE_INVALID, Detail: "x"}}, nil)
	if !errors.Is(err, ep11.CKR_SIGNATURE_INVALID) || n != 1 {
		t.Errorf("%v after %d", err, n)
	}
	for _, a := range []message.AppAnswer{{Failure: &ep11.Failure{}}, {Answer: []byte{0xff}}, {}} {
		if err, n := do(a, nil); problem.KindOf(err) != problem.Internal || n != 1 {
			t.Errorf("%v after %d", err, n)
		}
	}
	if err, n := do(message.AppAnswer{}, &gate.ClosedError{Sent: true, Cause: errors.New("gone")}); problem.KindOf(err) != problem.Stopped || n != 1 {
		t.Errorf("a lost answer: %v after %d", err, n)
	}
	if err, n := do(message.AppAnswer{}, problem.New(problem.Busy, "full")); problem.KindOf(err) != problem.Busy || n != 1 {
		t.Errorf("%v after %d", err, n)
	}
	if err, n := do(message.AppAnswer{}, problem.New(problem.AlreadyDone, "late")); problem.KindOf(err) != problem.AlreadyDone || n != 3 {
		t.Errorf("%v after %d", err, n)
	}
	if err, _ := do(message.AppAnswer{}, problem.New(problem.Unauthenticated, "never")); problem.KindOf(err) != problem.Unauthenticated {
		t.Error(err)
	}
	if _, err := g.Do(t.Context(), "nobody", ep11.Call{}); problem.KindOf(err) != problem.Malformed {
		t.Error(err)
	}
}

func TestNoSession(t *testing.T) {
	t.Parallel()
	d := newDoor()
	d.starting = true
	g := d.gateway(t, now)
	if _, err := g.Do(t.Context(), caller, ep11.Call{}); problem.KindOf(err) != problem.Starting {
		t.Error(err)
	}
	d.starting = false
	_, d.service.key, _ = ed25519.GenerateKey(rand.Reader) // the gateway's is another's now
	if _, err := g.Do(t.Context(), caller, ep11.Call{}); problem.KindOf(err) != problem.Unauthenticated {
		t.Error(err)
	}
	if _, err := gateway.New(gateway.Config{}); err == nil {
		t.Error("a zero config was accepted")
	}
}
