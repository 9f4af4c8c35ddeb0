// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"testing"
	"time"

	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// service is the side of a service.
type service struct {
	h   *domaintest.Harness
	by  domaintest.Person // zero: the harness's service
	id  []byte
	mac []byte
}

func (s *service) person() domaintest.Person {
	if s.by.ID == "" {
		return s.h.Service
	}
	return s.by
}

// open opens a session that ends after some time.
func (s *service) open(life time.Duration) (request.SessionGrant, error) {
	own, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return request.SessionGrant{}, err
	}
	who := s.person()
	raw := canon.Encode(request.SessionOpening{V: 1, Authority: s.h.D.Authority(), Domain: s.h.D.ID(), Service: who.ID, Ephemeral: own.PublicKey().Bytes(),
		NotAfter: (s.h.Clock.Wall.Load() + int64(life)) / 1e9})
	g, err := s.h.D.OpenSession(context.Background(), message.OpenSession{Opening: raw, Key: who.Pub.Ref(), Sig: ed25519.Sign(who.Key, canon.TagBytes(canon.TagSession, raw))})
	if err != nil {
		return g, err
	}
	peer, err := ecdh.X25519().NewPublicKey(g.Ephemeral)
	if err != nil {
		return g, err
	}
	shared, err := own.ECDH(peer)
	if err != nil {
		return g, err
	}
	salt := canon.HashBytes(canon.TagSession, raw)
	s.id = g.Session
	s.mac, err = hkdf.Key(sha256.New, shared, salt[:], string(canon.TagBytes(canon.TagSessionKey, g.Session)), 32)
	return g, err
}

// submit hands in a request with the session's MAC.
func (s *service) submit(r request.Request, payload []byte) (message.Request, error) {
	m := hmac.New(sha256.New, s.mac)
	m.Write(canon.Message(canon.TagRequest, r))
	return s.h.D.Submit(context.Background(), message.Submit{Request: r.Encode(), Evidence: request.Evidence{Session: s.id, MAC: m.Sum(nil)}, Payload: payload})
}

func opened(t *testing.T, h *domaintest.Harness) *service {
	t.Helper()
	s := &service{h: h}
	g, err := s.open(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	sig := g.Sig
	g.Sig = nil
	if !ed25519.Verify(h.Genesis.Identity, canon.Message(canon.TagReply, g), sig) {
		t.Fatal("the grant is not signed by the domain")
	}
	return s
}

// A transfer of a service goes through in one call, and again gives the same bytes.
func TestSessionTransfersInOneCall(t *testing.T) {
	t.Parallel()
	h := hotDomain(t, domaintest.Options{})
	s := opened(t, h)
	r := pay(h, h.Service, domaintest.Whitelisted, 7)
	v, err := s.submit(r, payload(t, domaintest.Whitelisted, 7, 0, 10))
	if err != nil || v.State != message.StateSigned || v.Signed == nil || len(v.Signed.Bytes) == 0 {
		t.Fatalf("%v, %+v", err, v)
	}
	again, err := s.submit(r, payload(t, domaintest.Whitelisted, 7, 0, 10))
	if err != nil || again.Signed == nil || string(again.Signed.Bytes) != string(v.Signed.Bytes) {
		t.Fatalf("again: %v, %+v", err, again)
	}
	h.Check()
	proves(t, h, v.ID, 0, 1)
	// A payload outside the bounds is refused with its reason, which is recorded; the right one then goes through.
	r = pay(h, h.Service, domaintest.Whitelisted, 8)
	_, err = s.submit(r, payload(t, domaintest.Stranger, 8, 1, 10))
	wantKind(t, "another destination", err, problem.OutsideBounds)
	if x, ok := lastEntry(t, h).(*entry.Refusal); !ok || x.Request != r.ID() || x.Kind != problem.OutsideBounds || x.Payload == [32]byte{} {
		t.Errorf("recorded: %+v", x)
	}
	if v, err = s.submit(r, payload(t, domaintest.Whitelisted, 8, 1, 10)); err != nil || v.State != message.StateSigned {
		t.Errorf("then: %v, %+v", err, v)
	}
	proves(t, h, v.ID, 0, 1)
}

// A guard's refusal names rule and reason, and is the request's outcome.
func TestRefusedByGuard(t *testing.T) {
	t.Parallel()
	h := hotDomain(t, domaintest.Options{})
	s := opened(t, h)
	v, err := s.submit(pay(h, h.Service, domaintest.Stranger, 7), payload(t, domaintest.Stranger, 7, 0, 10))
	if err != nil || v.State != message.StateRefused || v.Missing == nil || v.Missing.Kind != problem.RefusedByRule || v.Missing.Rule != "known-destinations" || v.Signed != nil {
		t.Fatalf("%v, %+v", err, v)
	}
	if e, ok := lastEntry(t, h).(*entry.Request); !ok || e.Decision.Outcome != policy.Denied || e.Decision.Reason != "destination-not-whitelisted" {
		t.Errorf("recorded: %+v", e)
	}
	_, err = h.D.Sign(context.Background(), v.ID, payload(t, domaintest.Stranger, 7, 0, 10))
	wantKind(t, "signed all the same", err, problem.Conflict)
	h.Check()
	proves(t, h, v.ID, 0, 0)
}

// A session is good for automatic routes only, whatever the service's key could ask for.
func TestSessionsAreForAutomaticRoutes(t *testing.T) {
	t.Parallel()
	h := hotDomain(t, domaintest.Options{})
	s := opened(t, h)
	for name, r := range map[string]request.Request{
		"above the automatic limit": pay(h, h.Service, domaintest.Whitelisted, 2_000_000_000_000_000),
		"a wallet":                  h.Request(h.Service, request.WalletCreate, request.WalletCreateBody{Wallet: "mine", Chain: domaintest.Chain, Scheme: request.SchemeEVM}),
	} {
		if v, err := s.submit(r, nil); err != nil || v.State != message.StateRefused {
			t.Errorf("%s: %v, %+v", name, err, v)
		}
	}
	change := h.Request(h.Service, request.WhitelistRemove, request.WhitelistRemoveBody{ID: "exchange"})
	_, err := s.submit(change, nil)
	wantKind(t, "a change of the rules in a session", err, problem.Forbidden)
	_, err = h.Submit(h.Service, change, nil)
	wantKind(t, "a change of the rules, signed by a service", err, problem.Forbidden)
	if v, err := s.submit(h.Request(h.Service, request.AddressCreate, request.AddressCreateBody{Wallet: "hot", Count: 2}), nil); err != nil || v.State != message.StateExecuted {
		t.Errorf("addresses: %v, %+v", err, v)
	}
}

func TestSessionsRefused(t *testing.T) {
	t.Parallel()
	h := hotDomain(t, domaintest.Options{})
	s := opened(t, h)
	r := pay(h, h.Service, domaintest.Whitelisted, 7)
	wrong := &service{h: h, id: s.id, mac: make([]byte, 32)}
	_, err := wrong.submit(r, nil)
	wantKind(t, "a wrong MAC", err, problem.Unauthenticated)
	_, err = (&service{h: h, id: make([]byte, 16), mac: s.mac}).submit(r, nil)
	wantKind(t, "an unknown session", err, problem.Unauthenticated)
	_, err = s.submit(pay(h, h.Alice, domaintest.Whitelisted, 7), nil)
	wantKind(t, "in another's name", err, problem.Unauthenticated)
	_, err = (&service{h: h, by: h.Alice}).open(time.Hour)
	wantKind(t, "a session of a person", err, problem.Forbidden)
	for name, life := range map[string]time.Duration{"a day and a second": 24*time.Hour + time.Second, "no time": 0, "the past": -time.Hour} {
		_, err = (&service{h: h}).open(life)
		wantKind(t, name, err, problem.Malformed)
	}
	raw := canon.Encode(request.SessionOpening{V: 1, Authority: h.D.Authority(), Domain: custody.DomainID{1}, Service: h.Service.ID, Ephemeral: make([]byte, 32), NotAfter: h.Clock.Wall.Load()/1e9 + 60})
	_, err = h.D.OpenSession(context.Background(), message.OpenSession{Opening: raw, Key: h.Service.Pub.Ref(), Sig: make([]byte, 64)})
	wantKind(t, "an ephemeral key of low order", err, problem.Malformed)
	if h.D.OpenSessionKeys() != 1 {
		t.Errorf("%d session keys are held", h.D.OpenSessionKeys())
	}
	if v, err := s.submit(r, payload(t, domaintest.Whitelisted, 7, 0, 10)); err != nil || v.State != message.StateSigned {
		t.Errorf("the right MAC: %v, %+v", err, v)
	}
}

// A session ends with its time, with the process, and with its service's key; its key is wiped then.
func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	h := hotDomain(t, domaintest.Options{})
	s := opened(t, h)
	h.Clock.Advance(time.Hour)
	_, err := s.submit(pay(h, h.Service, domaintest.Whitelisted, 7), nil)
	wantKind(t, "at its end", err, problem.Unauthenticated)
	h.Clock.Advance(time.Hour)
	h.Wallet("later", domaintest.Chain, request.SchemeEVM) // an entry past the session's end
	s = opened(t, h)
	if n := h.D.OpenSessionKeys(); n != 1 {
		t.Errorf("%d session keys are held, one session is open", n)
	}
	h.Reopen()
	_, err = s.submit(pay(h, h.Service, domaintest.Whitelisted, 7), nil)
	wantKind(t, "after a restart", err, problem.Unauthenticated)
	s = opened(t, h)
	govern(t, h, request.PersonRevoke, request.PersonRevokeBody{Person: h.Service.ID})
	_, err = s.submit(pay(h, h.Service, domaintest.Whitelisted, 7), nil)
	wantKind(t, "of a revoked service", err, problem.Unauthenticated)
	if n := h.D.OpenSessionKeys(); n != 0 {
		t.Errorf("%d session keys of a revoked service are held", n)
	}
	h.Check()
}
