// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"

	"strongroom/internal/gate"
	"strongroom/internal/gate/coretest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// people signed in: anna, bruno and chiara, each with a passkey beside their key file.
type people struct {
	keys map[custody.PersonID]passkey
	in   map[custody.PersonID]*browser
}

func (s *site) everybody() people {
	s.t.Helper()
	p := people{map[custody.PersonID]passkey{}, map[custody.PersonID]*browser{}}
	for i, who := range []coretest.Person{coretest.Anna, coretest.Bruno, coretest.Chiara} {
		p.keys[who.ID] = newPasskey(s.t, i == 1)
		s.give(who, p.keys[who.ID])
	}
	for who, k := range p.keys {
		p.in[who] = s.signedIn(who, k)
	}
	return p
}

// decides has somebody press a button: the page's message is hashed and signed.
func (p people) decides(t *testing.T, who coretest.Person, v message.Request, d request.Decision) (decisionOut, problem.Kind) {
	t.Helper()
	path := "/app/requests/" + v.ID.String()
	m, ok := choices(t, p.in[who.ID].get(path, 200))[d]
	if !ok {
		t.Fatalf("%s is not offered to %s", d, who.ID)
	}
	h := sha256.Sum256(m)
	var out decisionOut
	kind := p.in[who.ID].post(path, decisionIn{d, p.keys[who.ID].assert(h[:], origin)}, &out)
	return out, kind
}

// What waits for whom, what they may do about it, and what became of it.
func TestDecisions(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	all := s.everybody()
	offered := func(who coretest.Person, v message.Request) (out string) {
		t.Helper()
		c := choices(t, all.in[who.ID].get("/app/requests/"+v.ID.String(), 200))
		for _, d := range []request.Decision{request.Approve, request.Reject, request.Cancel} {
			if c[d] != nil {
				out += string(d) + " "
			}
		}
		return out
	}
	v := s.transfer(coretest.Anna, 5000)
	for who, want := range map[*coretest.Person]string{&coretest.Anna: "cancel ", &coretest.Bruno: "approve reject "} {
		if got := offered(*who, v); got != want {
			t.Errorf("%s is offered %q, want %q", who.ID, got, want)
		}
	}
	page := all.in[coretest.Bruno.ID].get("/app/requests/"+v.ID.String(), 200)
	st := authority.StatementOf(s.core.Authority(), custody.DomainID(s.core.Authority()), v.ID, coretest.Anna.ID, v.Effects, v.Bounds, v.Decision).By(coretest.Bruno.ID, request.Approve)
	h := st.Hash()
	hash := strings.NewReplacer("+", "&#43;").Replace(base64.StdEncoding.EncodeToString(h[:]))
	for _, want := range []string{hash, "5000", coretest.EthereumTo, "bank", "--show --as " + string(coretest.Bruno.ID), v.ID.String()} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if out, kind := all.decides(t, coretest.Bruno, v, request.Approve); kind != "" || out.State != string(message.StatePending) {
		t.Fatalf("%q %+v", kind, out)
	}
	if got := offered(coretest.Bruno, v); got != "reject " {
		t.Errorf("who has approved is offered %q", got)
	}
	list := all.in[coretest.Bruno.ID].get("/app/", 200)
	if strings.Contains(list, v.ID.String()) {
		t.Error("what was approved still waits for who approved")
	}
	if waiting, own, _ := strings.Cut(all.in[coretest.Chiara.ID].get("/app/", 200), "Asked by you"); !strings.Contains(waiting, v.ID.String()) || strings.Contains(own, v.ID.String()) {
		t.Error("chiara does not see what waits for her")
	}
	if waiting, own, _ := strings.Cut(all.in[coretest.Anna.ID].get("/app/", 200), "Asked by you"); strings.Contains(waiting, v.ID.String()) || !strings.Contains(own, v.ID.String()) {
		t.Error("anna does not see what she asked for")
	}
	if out, kind := all.decides(t, coretest.Chiara, v, request.Approve); kind != "" || out.State != string(message.StateReady) {
		t.Fatalf("%q %+v", kind, out)
	}
	if out, kind := all.decides(t, coretest.Anna, v, request.Cancel); kind != "" || out.State != string(message.StateCancelled) {
		t.Errorf("%q %+v", kind, out)
	}
	if got := offered(coretest.Anna, v); got != "" {
		t.Errorf("of what has ended there is still %q", got)
	}
	other := s.transfer(coretest.Anna, 7000)
	if out, kind := all.decides(t, coretest.Bruno, other, request.Reject); kind != "" || out.State != string(message.StateRejected) {
		t.Errorf("%q %+v", kind, out)
	}
	for path, status := range map[string]int{"/app/requests/00": 400, "/app/requests/" + custody.RequestID{1}.String(): 404} {
		all.in[coretest.Anna.ID].get(path, status)
	}
}

// What is not signed by the person, for this request, this decision and these effects, is refused here; and by the core, which is what counts.
func TestForgedDecisionsAreRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	all := s.everybody()
	v, other := s.transfer(coretest.Anna, 5000), s.transfer(coretest.Anna, 6000)
	path := "/app/requests/" + v.ID.String()
	bruno := all.in[coretest.Bruno.ID]
	mine := choices(t, bruno.get(path, 200))
	sign := func(m []byte, k passkey, d request.Decision) decisionIn {
		h := sha256.Sum256(m)
		return decisionIn{d, k.assert(h[:], origin)}
	}
	k := all.keys[coretest.Bruno.ID]
	foreign := choices(t, all.in[coretest.Chiara.ID].get(path, 200))
	elsewhere := choices(t, bruno.get("/app/requests/"+other.ID.String(), 200))
	altered := authority.StatementOf(s.core.Authority(), custody.DomainID(s.core.Authority()), v.ID, coretest.Anna.ID, v.Effects, v.Bounds, v.Decision).By(coretest.Bruno.ID, request.Approve)
	altered.Effects.Total = custody.U64(1)
	for name, in := range map[string]decisionIn{
		"another person's passkey":    sign(mine[request.Approve], all.keys[coretest.Chiara.ID], request.Approve),
		"another person's statement":  sign(foreign[request.Approve], k, request.Approve),
		"a passkey of nobody":         sign(mine[request.Approve], newPasskey(t, false), request.Approve),
		"a rejection as an approval":  sign(mine[request.Reject], k, request.Approve),
		"an approval as a rejection":  sign(mine[request.Approve], k, request.Reject),
		"another request's":           sign(elsewhere[request.Approve], k, request.Approve),
		"another amount":              sign(altered.Message(), k, request.Approve),
		"cancelled by somebody else":  sign(mine[request.Reject], k, request.Cancel),
		"made at another site":        {request.Approve, k.assert(hashOf(mine[request.Approve]), "https://evil.example.org")},
		"a challenge without message": {request.Approve, k.assert(make([]byte, 32), origin)},
	} {
		if kind := bruno.post(path, in, &decisionOut{}); kind != problem.Unauthenticated {
			t.Errorf("%s: %q", name, kind)
		}
	}
	if n := s.core.Calls(message.MethodApprove); s.state(v) != message.StatePending || n > 20 {
		t.Errorf("the request is %s after %d calls", s.state(v), n)
	}
	// Signed by the right person, and still not theirs to decide.
	st := authority.StatementOf(s.core.Authority(), custody.DomainID(s.core.Authority()), v.ID, coretest.Anna.ID, v.Effects, v.Bounds, v.Decision).By(coretest.Anna.ID, request.Approve)
	if kind := all.in[coretest.Anna.ID].post(path, sign(st.Message(), all.keys[coretest.Anna.ID], request.Approve), &decisionOut{}); kind != problem.Forbidden {
		t.Errorf("the initiator approves: %q", kind)
	}
	good := sign(mine[request.Approve], k, request.Approve)
	if kind := bruno.post(path, good, &decisionOut{}); kind != "" {
		t.Fatal(kind)
	}
	if kind := bruno.post(path, good, &decisionOut{}); kind != problem.AlreadyDone {
		t.Errorf("twice: %q", kind)
	}
	s.core.Fail(message.MethodRequest, coretest.Before)
	if kind := bruno.post(path, good, &decisionOut{}); kind != problem.Stopped {
		t.Errorf("without a core: %q", kind)
	}
}

func hashOf(b []byte) []byte { h := sha256.Sum256(b); return h[:] }

func (s *site) state(v message.Request) message.State {
	s.t.Helper()
	out, err := gate.Call[message.ByID, message.Request](s.t.Context(), s.core, message.MethodRequest, message.ByID{ID: v.ID})
	if err != nil {
		s.t.Fatal(err)
	}
	return out.State
}

// liar alters what the core tells of requests, as whoever broke into serve can.
type liar struct {
	gate.Door
	alter func(*message.Request)
}

func (l liar) Call(ctx context.Context, method string, body []byte) ([]byte, error) {
	b, err := l.Door.Call(ctx, method, body)
	var v message.Request
	if err == nil && method == message.MethodRequest && canon.Decode(b, &v) == nil {
		l.alter(&v)
		b = canon.Encode(v)
	}
	return b, err
}

// A serve that has people sign another amount, destination or fee than was asked for gets signatures that the core refuses.
func TestALyingServe(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	all := s.everybody()
	v := s.transfer(coretest.Anna, 5000)
	for name, alter := range map[string]func(*message.Request){
		"a smaller amount": func(v *message.Request) {
			v.Effects.Outputs[0].Amount, v.Effects.Total = custody.U64(1), custody.U64(1)
		},
		"another destination": func(v *message.Request) { v.Effects.Outputs[0].Address = coretest.EthereumOut },
		"a lower fee":         func(v *message.Request) { v.Bounds.FeeCap = custody.U64(1) },
		"other rules":         func(v *message.Request) { v.Decision.Version++ },
		"an earlier end":      func(v *message.Request) { v.Bounds.NotAfter-- },
	} {
		s.door = liar{s.core, alter}
		if out, kind := all.decides(t, coretest.Bruno, v, request.Approve); kind != problem.Unauthenticated {
			t.Errorf("%s: %q %+v", name, kind, out)
		}
	}
	if n := s.core.Calls(message.MethodApprove); n < 5 {
		t.Errorf("only %d of the lies reached the core", n)
	}
	s.door = s.core
	if s.state(v) != message.StatePending {
		t.Errorf("the request is %s", s.state(v))
	}
}

// New rules are shown as what they change; those that follow other rules than the current ones are not approved here.
func TestRulesAreShownAsChanges(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	all := s.everybody()
	var doc policy.Document
	s.core.State(func(st *authority.State) { doc = st.Doc })
	next := doc
	next.PrevHash, next.Version = doc.Hash(), doc.Version+1
	next.Floor.RequestTTL = 7777
	v := s.asked(coretest.Anna, request.PolicyChange, request.PolicyChangeBody{Document: next.Encode()})
	bruno := all.in[coretest.Bruno.ID]
	page := bruno.get("/app/requests/"+v.ID.String(), 200)
	if !strings.Contains(page, "a request may now live 7777 seconds") || choices(t, page)[request.Approve] == nil {
		t.Errorf("%s", page)
	}
	s.govern(request.WhitelistAdd, request.WhitelistAddBody{ID: "other", Chain: coretest.Ethereum, Address: coretest.EthereumOut})
	page = bruno.get("/app/requests/"+v.ID.String(), 200)
	if c := choices(t, page); c[request.Approve] != nil || c[request.Reject] == nil || !strings.Contains(page, "does not follow the current rules") {
		t.Errorf("%s", page)
	}
}

// A plan that became due after acceptance is named by what the request lacks: its people are asked too, and nobody else.
func TestPlansThatBecameDueLater(t *testing.T) {
	t.Parallel()
	d := coretest.Document()
	board := policy.Plan{AnyOf: []policy.Branch{{Steps: []policy.Step{{Group: "board", Min: 1}}}}}
	d.Groups = append(d.Groups, policy.Group{ID: "board", Members: []custody.PersonID{coretest.Bruno.ID}})
	d.Obligations = []policy.Obligation{{ID: "late", Add: policy.Addition{Plan: &board}}}
	v := message.Request{State: message.StatePending}
	r := &request.Parsed{Request: request.Request{Initiator: coretest.Anna.ID}}
	for name, x := range map[string]struct {
		missing *message.Problem
		want    bool
	}{
		"nothing":           {nil, false},
		"a quorum of it":    {&message.Problem{Kind: problem.QuorumNotMet, Rule: "late"}, true},
		"of another":        {&message.Problem{Kind: problem.QuorumNotMet, Rule: "other"}, false},
		"it is refused now": {&message.Problem{Kind: problem.RefusedByRule, Rule: "late"}, false},
	} {
		v.Missing = x.missing
		if mayDecide(d, v, r, coretest.Bruno.ID) != x.want || mayDecide(d, v, r, coretest.Chiara.ID) {
			t.Errorf("%s: bruno is asked: %t", name, !x.want)
		}
	}
}
