// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"testing"

	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/webauthn"
)

// passkeyOf makes a person's passkey of a name, and how it signs.
func passkeyOf(name string) (request.PublicKey, func(message []byte) []byte) {
	const origin = "https://custody.example.org"
	k := domaintest.NewPerson(name)
	pub := request.PublicKey{Alg: request.PasskeyEd25519, Pub: k.Pub.Pub, RP: "custody.example.org", Origin: origin}
	return pub, func(m []byte) []byte {
		c, rp := webauthn.Challenge(m), sha256.Sum256([]byte(pub.RP))
		a := webauthn.Assertion{AuthData: append(rp[:], 5, 0, 0, 0, 0), ClientData: []byte(`{"type":"webauthn.get","challenge":"` +
			base64.RawURLEncoding.EncodeToString(c[:]) + `","origin":"` + origin + `","crossOrigin":false}`)}
		a.Sig = ed25519.Sign(k.Key, webauthn.Signed(a))
		return a.Encode()
	}
}

// byPasskey is bob's approval with a passkey.
func byPasskey(h *domaintest.Harness, v message.Request, k request.PublicKey, sign func([]byte) []byte) request.Approval {
	s := authority.StatementOf(h.D.Authority(), h.D.ID(), v.ID, h.Alice.ID, v.Effects, v.Bounds, v.Decision).By(h.Bob.ID, request.Approve)
	return request.Approval{Request: v.ID, Person: h.Bob.ID, Decision: request.Approve, Key: k.Ref(), Sig: sign(s.Message())}
}

// A person asks for a passkey beside their key file, approves with it, and counts once; when it is taken away its approvals count no more.
func TestFurtherKey(t *testing.T) {
	t.Parallel()
	h := hotDomain(t, domaintest.Options{})
	key, sign := passkeyOf("bob's telephone")
	body := request.PersonKeyAddBody{Person: h.Bob.ID, Key: key}
	body.Possession = sign(body.Message(h.D.Authority()))

	_, err := h.Submit(h.Alice, h.Request(h.Alice, request.PersonKeyAdd, body), nil)
	wantKind(t, "a key asked for by another", err, problem.Forbidden)
	forged := body
	forged.Possession = sign([]byte("something else"))
	_, err = h.Submit(h.Bob, h.Request(h.Bob, request.PersonKeyAdd, forged), nil)
	wantKind(t, "a key without possession", err, problem.Unauthenticated)
	enrol := request.PersonEnrolBody{Person: h.Bob.ID, Kind: "human", Key: key}
	forged.Possession = sign(enrol.EnrolMessage(h.D.Authority()))
	_, err = h.Submit(h.Bob, h.Request(h.Bob, request.PersonKeyAdd, forged), nil)
	wantKind(t, "a key with the possession of an enrolment", err, problem.Unauthenticated)

	early := submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 1000))
	_, err = h.D.Approve(context.Background(), message.Approve{Approval: byPasskey(h, early, key, sign)})
	wantKind(t, "approved with a key that is not enrolled", err, problem.Unauthenticated)
	asked := approvals(t, h, submitted(t, h, h.Bob, h.Request(h.Bob, request.PersonKeyAdd, body)), h.Alice, h.Carol)
	if asked.State != message.StateExecuted {
		t.Fatalf("%+v", asked)
	}
	proves(t, h, asked.ID, 2, 0)

	if _, err := h.D.Approve(context.Background(), message.Approve{Approval: byPasskey(h, early, key, sign)}); err != nil {
		t.Fatal(err)
	}
	_, err = h.Decide(h.Bob, early, request.Approve)
	wantKind(t, "with the other key of the same person", err, problem.AlreadyDone)
	p := payload(t, domaintest.Whitelisted, 1000, 0, 10)
	_, err = h.D.Sign(context.Background(), early.ID, p)
	wantKind(t, "one person, two keys", err, problem.QuorumNotMet)
	approvals(t, h, early, h.Carol)

	govern(t, h, request.PersonKeyRemove, request.PersonKeyRemoveBody{Person: h.Bob.ID, Key: key.Ref()})
	_, err = h.D.Sign(context.Background(), early.ID, p)
	wantKind(t, "approved with a key that was taken away", err, problem.QuorumNotMet)
	late := submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 7))
	_, err = h.D.Approve(context.Background(), message.Approve{Approval: byPasskey(h, late, key, sign)})
	wantKind(t, "approving with a key that was taken away", err, problem.Unauthenticated)
	approvals(t, h, early, h.Bob)
	if _, err := h.D.Sign(context.Background(), early.ID, p); err != nil {
		t.Fatal(err)
	}
	_, err = h.Submit(h.Alice, h.Request(h.Alice, request.PersonKeyRemove, request.PersonKeyRemoveBody{Person: h.Bob.ID, Key: h.Bob.Pub.Ref()}), nil)
	wantKind(t, "the last key", err, problem.Conflict)
	h.Reopen()
	h.Check()
	proves(t, h, early.ID, -1, 1)
}
