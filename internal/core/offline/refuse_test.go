// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"bytes"
	"crypto/ed25519"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	pure "strongroom/internal/pure/offline"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// ready is a house with a cold wallet and a transfer that waits.
func ready(t testing.TB, options ...onlineOption) (*house, uint64) {
	t.Helper()
	h := newHouse(t, options...)
	h.cold("savings")
	h.wait(time.Minute)
	return h, h.transfer("savings", 1000, 0)
}

// refuses requires that a bundle is refused for a reason, and that nothing of it stays.
func (h *house) refuses(bundle []byte, reason string) {
	h.t.Helper()
	h.v.reopen()
	before, follows := *h.v.d.state, h.v.d.follow.size()
	answer, _, err := h.v.work(bundle, h.ops)
	if err == nil || !strings.Contains(err.Error(), reason) {
		h.t.Errorf("got %v, want %q", err, reason)
	}
	if len(answer) > 0 {
		h.t.Error("there is an answer")
	}
	h.v.reopen()
	if s := h.v.d.state; s.Next != before.Next || s.Import != before.Import || h.v.d.follow.size() != follows {
		h.t.Errorf("something of a refused bundle stays: %d entries, %d imported, after %s", s.Next, h.v.d.follow.size(), reason)
	}
}

// signs requires that a bundle is taken and something signed.
func (h *house) signs(bundle []byte) Report {
	h.t.Helper()
	_, r, err := h.v.work(bundle, h.ops)
	if err != nil || len(r.Signed) != 1 {
		h.t.Fatalf("%+v, %v", r, err)
	}
	return r
}

// tail gives the parts of a bundle of what is new there.
func (h *house) newParts() *parts {
	h.t.Helper()
	h.v.reopen()
	return h.parts(h.v.d, h.v.d.follow.size())
}

// Bundles that are too old, by whatever clock.
func TestStale(t *testing.T) {
	t.Parallel()
	h, _ := ready(t)
	b := h.seal(h.newParts())
	h.wait(25 * time.Hour)
	h.refuses(b, "time was up")
	h.clock.Advance(-27 * time.Hour) // set back, before the checkpoint
	h.refuses(b, "clock")
	h.clock.Advance(2*time.Hour + time.Minute)
	long := h.newParts()
	long.head.NotAfter++
	h.refuses(h.seal(long), "wants to live")
	h.clock.Unsure.Store(true)
	h.refuses(b, "not certain")
	h.clock.Unsure.Store(false)
	h.signs(b)
}

// A number is taken once, and never a lower one.
func TestNumbers(t *testing.T) {
	t.Parallel()
	h, _ := ready(t)
	older := h.newParts()
	newer := h.newParts()
	again := *newer
	again.head.NotAfter--
	h.signs(h.seal(newer))
	h.refuses(h.seal(older), "was taken before")
	h.refuses(h.seal(&again), "was taken before")
}

// Whatever is changed, left out, added or put elsewhere is found.
func TestAltered(t *testing.T) {
	t.Parallel()
	h, _ := ready(t)
	other := newHouse(t)
	flip := func(b []byte) []byte { b = bytes.Clone(b); b[len(b)/2] ^= 1; return b }
	for _, x := range map[string]struct {
		spoil  func(*parts)
		reason string
	}{
		"another authority":     {func(p *parts) { p.head.Authority[0] ^= 1 }, "authority"},
		"another online domain": {func(p *parts) { p.head.Online[0] ^= 1 }, "is by domain"},
		"another domain":        {func(p *parts) { p.head.Offline[0] ^= 1 }, "is for domain"},
		"another signer":        {func(p *parts) { p.signer = keyOf("somebody") }, "not signed"},
		"by the log key":        {func(p *parts) { p.signer = h.logKey }, "not signed"},
		"another transport key": {func(p *parts) { p.to = h.reply.Public() }, "does not open"},
		"another use":           {func(p *parts) { p.label = pure.ResultLabel(p.head.Offline, 1) }, "does not open"},
		"the last entry":        {func(p *parts) { p.recs = p.recs[:len(p.recs)-1] }, "ends at entry"},
		"the first entry":       {func(p *parts) { p.recs = p.recs[1:] }, "left out"},
		"one in between":        {func(p *parts) { p.recs = slices.Delete(p.recs, 1, 2) }, "left out"},
		"one twice":             {func(p *parts) { p.recs = slices.Insert(p.recs, 1, p.recs[0]) }, "left out"},
		"two exchanged":         {func(p *parts) { p.recs[0], p.recs[1] = p.recs[1], p.recs[0] }, "left out"},
		"one too many":          {func(p *parts) { p.head.Size-- }, "more entries"},
		"less than there was":   {func(p *parts) { p.recs = nil; p.head.Size, p.head.From = 3, 3 }, "imported before"},
		"a gap":                 {func(p *parts) { p.recs = p.recs[1:]; p.head.From++ }, "export with --full"},
		"an altered leaf":       {func(p *parts) { p.recs[1].Leaf = flip(p.recs[1].Leaf) }, ""},
		"an altered body":       {func(p *parts) { p.recs[1].Body = flip(p.recs[1].Body) }, "body is not"},
		"an altered salt":       {func(p *parts) { p.recs[1].Salt = flip(p.recs[1].Salt) }, "body is not"},
		"another log":           {func(p *parts) { p.recs, p.head.From, p.head.Size = other.recs, 0, other.s.Next }, ""},
		"another checkpoint":    {func(p *parts) { p.head.Checkpoint = other.checkpoint(0) }, "checkpoint"},
		"an altered checkpoint": {func(p *parts) { p.head.Checkpoint = flip(p.head.Checkpoint) }, "checkpoint"},
		"knows more of us":      {func(p *parts) { p.head.Known = 1000 }, "set back"},
		"knows us otherwise":    {func(p *parts) { p.head.KnownLast[0] ^= 1 }, "set back"},
		"a number of its own":   {func(p *parts) { p.head.Number += 1000 }, "the log knows of bundles up to"},
	} {
		p := h.newParts()
		x.spoil(p)
		h.refuses(h.seal(p), x.reason)
	}
	b := h.seal(h.newParts())
	for i := 0; i < len(b); i += 97 {
		x := bytes.Clone(b)
		x[i] ^= 1
		h.v.reopen()
		if _, err := h.v.d.Work(background, bytes.NewReader(x), io.Discard, h.ops); err == nil {
			t.Fatalf("byte %d can be altered", i)
		}
		if _, err := h.v.d.Work(background, bytes.NewReader(b), io.Discard, h.ops); err == nil {
			t.Fatal("a domain goes on after a bundle that it refused")
		}
	}
	for _, n := range []int{0, 3, 4, 1000, len(b) - 1} {
		h.refuses(b[:n], "")
	}
	h.signs(b)
}

// A log that is written against the rules is refused, though the online core signs it.
func TestLies(t *testing.T) {
	t.Parallel()
	for name, lie := range map[string]func(*house){
		"a permit without approvals": func(h *house) {
			id := h.askTransfer(h.alice, "savings", 5)
			h.lie(id, 5, nil)
		},
		"a permit for another payload": func(h *house) {
			id := h.askTransfer(h.alice, "savings", 5)
			h.approve(id, h.bob, h.carol)
			h.lie(id, 6, nil)
		},
		"an approval with another's signature": func(h *house) {
			id := h.askTransfer(h.alice, "savings", 5)
			p, _ := h.s.Pending(id)
			st := h.s.Statement(p, p.Initiator).By(h.bob.ID, request.Approve)
			h.must(&entry.Approval{Approval: request.Approval{Request: id, Person: h.bob.ID, Decision: request.Approve, Key: h.bob.Pub.Ref(), Sig: ed25519.Sign(h.carol.Key, st.Message())}})
		},
		"a request that nobody signed": func(h *house) {
			id := h.askTransfer(h.alice, "savings", 5)
			h.bodies[h.at[id]].(*entry.Request).Evidence.Sig[0] ^= 1
			h.rewrite(h.at[id])
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.cold("savings")
			h.announce(h.v.d) // before the log stops to be what the test folds
			lie(h)
			h.refuses(h.seal(h.newParts()), "entry")
		})
	}
}

// lie writes a permit that the rules would not allow.
func (o *online) lie(id custody.RequestID, amount uint64, approvals []uint64) {
	o.t.Helper()
	e := o.bodies[o.at[id]].(*entry.Request)
	other := o.askTransfer(o.alice, "savings", amount)
	o.approve(other, o.bob, o.carol)
	seq := o.permit(other, amount, o.s.NextNonce("savings", 0), 10)
	p := *o.bodies[seq].(*entry.Permit)
	// The fold of the test has taken an honest permit; the log gets one of the other request in its place.
	o.recs, o.bodies = o.recs[:seq], o.bodies[:seq]
	p.Request, p.Approvals, p.Decision = id, approvals, e.Decision
	o.bodies = append(o.bodies, &p)
	o.recs = append(o.recs, pure.Record{Leaf: o.recs[seq-1].Leaf})
	o.rewrite(seq)
}

// rewrite makes the records from an entry on anew, from the bodies, and the tree over them.
func (o *online) rewrite(from uint64) {
	o.t.Helper()
	var tail pure.Tail
	for i := range o.recs {
		if uint64(i) >= from {
			l, err := entry.DecodeLeaf(o.recs[i].Leaf)
			if err != nil {
				o.t.Fatal(err)
			}
			enc := canon.Encode(o.bodies[i])
			salt := [16]byte{byte(i), 8}
			l.Seq, l.Prev, l.Kind, l.Bodies = uint64(i), tail.Last, kindOf(o.bodies[i]), []entry.BodyRef{entry.Ref(entry.Confidential, salt, enc)}
			o.recs[i] = pure.Record{Leaf: l.Encode(), Salt: salt[:], Body: enc}
		}
		if _, _, err := tail.Next(o.recs[i]); err != nil {
			o.t.Fatal(err)
		}
	}
	o.tail = tail
}

// Too few cosignatures, or old ones.
func TestWitnesses(t *testing.T) {
	t.Parallel()
	three := func(o *online) {
		o.witness = []domaintest.Person{domaintest.NewPerson("w1"), domaintest.NewPerson("w2"), domaintest.NewPerson("w3")}
		o.quorum = 2
	}
	h, _ := ready(t, three)
	for n, reason := range []string{"too few", "too few"} {
		p := h.newParts()
		p.head.Checkpoint = h.checkpoint(n)
		h.refuses(h.seal(p), reason)
	}
	p := h.newParts()
	p.head.Checkpoint = h.checkpoint(3)
	h.wait(25 * time.Hour)
	p.head.NotAfter = h.clock.Wall.Load()/1e9 + 3600
	h.refuses(h.seal(p), "wants to live")
	// Two old cosignatures and one of now: a quorum vouches for the old time only.
	p = h.newParts()
	old := p.head.Checkpoint
	h.clock.Advance(-25 * time.Hour)
	h.witness = h.witness[:2]
	stale := h.checkpoint(2)
	three(h.online)
	h.clock.Advance(25 * time.Hour)
	lines := strings.SplitAfter(string(old), "\n")
	p.head.Checkpoint = append(stale, lines[len(lines)-2]...)
	h.refuses(h.seal(p), "wants to live")
	p = h.newParts()
	p.head.Checkpoint = h.checkpoint(2)
	h.signs(h.seal(p))
}

// What became of people and rules after a permit counts against it.
func TestChangedSince(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		change func(*house)
		kind   problem.Kind
	}{
		"an approver was revoked": {func(h *house) {
			h.do(request.PersonRevoke, request.PersonRevokeBody{Person: h.carol.ID})
		}, problem.QuorumNotMet},
		"the approver's key was removed": {func(h *house) {
			h.do(request.PersonKeyRemove, request.PersonKeyRemoveBody{Person: h.carol.ID, Key: h.carol.Pub.Ref()})
		}, problem.QuorumNotMet},
		"the initiator was revoked": {func(h *house) {
			id := h.ask(h.bob, request.PersonRevoke, request.PersonRevokeBody{Person: h.alice.ID})
			h.approve(id, h.alice, h.carol)
			h.effect(id)
		}, problem.Unauthenticated},
		"the rules deny now": {func(h *house) {
			doc := h.s.Doc
			doc.Guards = append(slices.Clone(doc.Guards), policy.Guard{ID: "stop", Effect: policy.Deny, Reason: "stopped", When: policy.Match{Operations: []request.Operation{request.Transfer}}})
			doc.Version, doc.PrevHash = doc.Version+1, h.s.Doc.Hash()
			h.do(request.PolicyChange, request.PolicyChangeBody{Document: doc.Encode()})
		}, problem.RefusedByRule},
		"the destination was removed": {func(h *house) {
			h.do(request.WhitelistRemove, request.WhitelistRemoveBody{ID: "exchange"})
		}, problem.RefusedByRule},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, p := ready(t, func(o *online) {
				o.document = func(d *policy.Document) { // so that carol keeps a key
					for i, x := range d.Principals {
						if x.ID == o.carol.ID {
							d.Principals[i].Keys = append(x.Keys, domaintest.NewPerson("spare").Pub)
						}
					}
				}
				if name == "an approver was revoked" || name == "the initiator was revoked" {
					dave := domaintest.NewPerson("dave") // so that plans can be met without one of the others
					o.people = append(o.people, dave)
					o.document = func(d *policy.Document) {
						d.Principals = append(d.Principals, policy.Principal{ID: dave.ID, Kind: policy.Human, Keys: []request.PublicKey{dave.Pub}, Active: true})
						slices.SortFunc(d.Principals, func(a, b policy.Principal) int { return strings.Compare(string(a.ID), string(b.ID)) })
						d.Groups[0].Members = append(d.Groups[0].Members, dave.ID)
						slices.Sort(d.Groups[0].Members)
					}
				}
			})
			x.change(h)
			answer, r, err := h.v.work(h.seal(h.newParts()), h.ops)
			if err != nil || len(r.Signed) != 0 || len(r.Refused) != 1 || r.Refused[0].Entry != p || r.Refused[0].Kind != x.kind || len(answer) == 0 {
				t.Fatalf("%+v, %v", r, err)
			}
			if h.ops.asked > 0 {
				t.Error("operators were asked")
			}
		})
	}
}

func (o *online) effect(id custody.RequestID) {
	o.t.Helper()
	p, ok := o.s.Pending(id)
	if !ok {
		o.t.Fatal("ended early")
	}
	e, _, err := o.s.DecideEffect(p, o.moment(), deriver)
	if err != nil {
		o.t.Fatal(err)
	}
	o.must(e)
}

// Who may confirm, and what.
func TestConfirmation(t *testing.T) {
	t.Parallel()
	h, p := ready(t)
	b := h.seal(h.newParts())
	people := func(p ...domaintest.Person) func() { return func() { h.ops = &crew{people: p} } }
	for name, x := range map[string]struct {
		set    func()
		reason string
	}{
		"one alone":  {people(h.alice), "different operators"},
		"one twice":  {people(h.alice, h.alice), "different operators"},
		"a service":  {people(h.alice, h.online.people[3]), "signature plan"},
		"a stranger": {people(h.alice, domaintest.NewPerson("mallory")), "not an active key"},
		"another's key": {func() {
			h.ops = &crew{people: []domaintest.Person{h.alice, {ID: h.carol.ID, Key: h.bob.Key, Pub: h.bob.Pub}}}
		}, "not an active key"},
		"a false signature": {func() {
			h.ops = &crew{people: []domaintest.Person{h.alice, {ID: h.bob.ID, Key: h.carol.Key, Pub: h.bob.Pub}}}
		}, "does not verify"},
		"too late": {func() {
			h.ops = &crew{people: []domaintest.Person{h.alice, h.bob}, pause: func() { h.wait(25 * time.Hour) }}
		}, "time was up"},
		"nobody at the desk": {func() { h.ops = &crew{err: io.ErrUnexpectedEOF} }, "review"},
	} {
		now, since := h.clock.Wall.Load(), h.clock.Since.Load()
		x.set()
		answer, _, err := h.v.work(b, h.ops)
		if err == nil || !strings.Contains(err.Error(), x.reason) || len(answer) > 0 {
			t.Errorf("%s: %v", name, err)
		}
		h.v.reopen()
		if len(h.v.d.state.Permits()) > 0 {
			t.Fatalf("%s: a permit is recorded", name)
		}
		h.clock.Wall.Store(now)
		h.clock.Since.Store(since)
	}
	h.ops = &crew{people: []domaintest.Person{h.bob, h.carol}, skip: map[uint64]bool{p: true}}
	if _, r, err := h.v.work(b, h.ops); err != nil || len(r.Signed) > 0 || len(r.Refused) != 1 || r.Refused[0].Kind != problem.Forbidden {
		t.Fatalf("not wanted: %+v, %v", r, err)
	}
	h.ops = &crew{people: []domaintest.Person{h.bob, h.carol}}
	if r := h.signs(b); !r.Again {
		t.Errorf("%+v", r)
	}
}

// The same bundle again gives the same transaction, and nothing is asked or recorded twice; when its time is up, nothing new is begun.
func TestAgain(t *testing.T) {
	t.Parallel()
	h, p := ready(t)
	parts := h.newParts()
	b := h.seal(parts)
	first, r, err := h.v.work(b, h.ops)
	if err != nil {
		t.Fatal(err)
	}
	size := r.Size
	for range 2 {
		second, r, err := h.v.work(b, h.ops)
		if err != nil || !r.Again || len(r.Signed) != 0 || r.Size != size || h.ops.asked != 1 {
			t.Fatalf("%+v, %v", r, err)
		}
		x, err := h.online.open(first, parts.head)
		if err != nil {
			t.Fatal(err)
		}
		y, err := h.online.open(second, parts.head)
		if err != nil || !bytes.Equal(canon.Encode(x.recs), canon.Encode(y.recs)) {
			t.Fatalf("another answer: %v", err)
		}
		h.wait(25 * time.Hour)
	}
	if got, ok := h.v.d.state.Permitted(p); !ok || got.Result == nil {
		t.Error("it is not there")
	}
}

// A slot is signed for once; a replacement with a higher fee is the same request's.
func TestOneSlot(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.cold("savings")
	id := h.askTransfer(h.alice, "savings", 7)
	h.approve(id, h.bob, h.carol)
	first := h.permit(id, 7, 0, 10)
	if _, r := h.carry(); len(r.Signed) != 1 || r.Signed[0].Entry != first {
		t.Fatalf("%+v", r)
	}
	second := h.permit(id, 7, 0, 20)
	if _, r := h.carry(); len(r.Signed) != 1 || r.Signed[0].Entry != second {
		t.Fatalf("%+v", r)
	}
	third, fourth := h.permit(id, 7, 0, 30), h.permit(id, 7, 0, 40) // replaced before it came here
	if _, r := h.carry(); len(r.Signed) != 1 || r.Signed[0].Entry != fourth {
		t.Fatalf("%+v", r)
	}
	if _, ok := h.v.d.state.Permitted(third); ok {
		t.Error("a permit that was replaced before it came is signed")
	}
	payloads := map[[32]byte]bool{}
	for _, p := range h.v.d.state.Permits() {
		payloads[p.Payload] = true
		if p.Request != id {
			t.Error("another request's permit")
		}
	}
	if len(payloads) != 3 {
		t.Errorf("%d payloads", len(payloads))
	}
}

// An answer stays small enough for the online domain: permits that do not fit wait for the next bundle, also while results are not taken there.
func TestAnswerFits(t *testing.T) {
	t.Parallel()
	h, _ := ready(t)
	h.transfer("savings", 1001, 1)
	h.v.reopen()
	bundle := h.export(h.v.d, h.v.d.follow.size())
	h.v.d.most = 4000
	r, err := h.v.d.Work(background, bytes.NewReader(bundle), io.Discard, h.ops)
	if err != nil || len(r.Signed) != 1 || len(r.Refused) > 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	h.wait(time.Second)
	h.v.reopen()
	bundle = h.export(h.v.d, h.v.d.follow.size())
	h.v.d.most = 3000 // what is not taken yet leaves no room
	if r, err = h.v.d.Work(background, bytes.NewReader(bundle), io.Discard, h.ops); err != nil || len(r.Signed) > 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	if _, r := h.carry(); len(r.Signed) != 1 {
		t.Errorf("%+v", r)
	}
}
