// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"testing"

	"strongroom/internal/gate/coretest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"

	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/webauthn"
)

// Who has a passkey only asks for a second one with the first, and for nothing else and nobody else.
func TestAskingForAFurtherPasskey(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	all := s.everybody()
	me, k, next := all.in[coretest.Bruno.ID], all.keys[coretest.Bruno.ID], newPasskey(t, false)
	possession := func(b request.PersonKeyAddBody) assertion {
		c := webauthn.Challenge(b.Message(s.core.Authority()))
		return next.assert(c[:], origin)
	}
	me.get("/app/enrol/make?person="+string(coretest.Bruno.ID), 200)
	if kind := me.post("/app/enrol/ask", askIn{next.public, possession(request.PersonKeyAddBody{Person: coretest.Anna.ID, Key: next.public})}, &askOut{}); kind != problem.Unauthenticated {
		t.Errorf("a card of somebody else's: %q", kind)
	}
	card := askIn{next.public, possession(request.PersonKeyAddBody{Person: coretest.Bruno.ID, Key: next.public})}
	if kind := s.browser().post("/app/enrol/ask", card, &askOut{}); kind != problem.Unauthenticated {
		t.Errorf("nobody is signed in: %q", kind)
	}
	var out askOut
	if kind := me.post("/app/enrol/ask", card, &out); kind != "" {
		t.Fatal(kind)
	}
	r, err := request.Decode(out.Request)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(change func(*request.Request), k passkey) submitIn {
		x := r
		change(&x)
		c := webauthn.Challenge(canon.Message(canon.TagRequest, x))
		return submitIn{x.Encode(), k.assert(c[:], origin)}
	}
	same := func(*request.Request) {}
	for name, c := range map[string]struct {
		in   submitIn
		want problem.Kind
	}{
		"signed by the new key":   {sign(same, next), problem.Unauthenticated},
		"signed by somebody else": {sign(same, all.keys[coretest.Anna.ID]), problem.Unauthenticated},
		"another signature":       {submitIn{out.Request, k.assert(make([]byte, 32), origin)}, problem.Unauthenticated},
		"in another's name":       {sign(func(r *request.Request) { r.Initiator = coretest.Anna.ID }, k), problem.Forbidden},
		"something else": {sign(func(r *request.Request) {
			r.Operation, r.Body = request.PersonRevoke, canon.Encode(request.PersonRevokeBody{Person: coretest.Anna.ID})
		}, k), problem.Forbidden},
		"no request": {submitIn{[]byte{1}, k.assert(out.Challenge, origin)}, problem.Malformed},
		"for ever":   {sign(func(r *request.Request) { r.NotAfter += 1 << 30 }, k), problem.Malformed},
		"a key without its consent": {sign(func(r *request.Request) {
			r.Body = canon.Encode(request.PersonKeyAddBody{Person: coretest.Bruno.ID, Key: newPasskey(t, true).public, Possession: card.Assertion.encode()})
		}, k), problem.Unauthenticated},
	} {
		if kind := me.post("/app/enrol/submit", c.in, &submitOut{}); kind != c.want {
			t.Errorf("%s: %q, want %q", name, kind, c.want)
		}
	}
	var done submitOut
	if kind := me.post("/app/enrol/submit", submitIn{out.Request, k.assert(out.Challenge, origin)}, &done); kind != "" || done.ID != r.ID().String() {
		t.Fatalf("%q %s", kind, done.ID)
	}
	v := message.Request{ID: r.ID()}
	for _, p := range []coretest.Person{coretest.Anna, coretest.Chiara} {
		if _, kind := all.decides(t, p, v, request.Approve); kind != "" {
			t.Fatal(kind)
		}
	}
	s.core.State(func(st *authority.State) {
		if p, ok := st.Rules.Principal(coretest.Bruno.ID); !ok || !hasRef(p, next.public.Ref()) {
			t.Errorf("%+v", p)
		}
	})
	s.signedIn(coretest.Bruno.ID, next)
}

func hasRef(p policy.Principal, ref request.KeyRef) bool {
	for _, k := range p.Keys {
		if k.Ref() == ref {
			return true
		}
	}
	return false
}
