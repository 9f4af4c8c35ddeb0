// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"strongroom/internal/lawtest"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// replayed runs a document over the log from an entry on.
func (w *world) replayed(t tester, d policy.Document, from uint64) Report {
	t.Helper()
	p, err := NewReplay(d, from)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range w.log {
		if err := p.Add(x.leaf, x.hash, x.body); err != nil {
			t.Fatal(err)
		}
	}
	return p.Report()
}

// changed has a rule document take force.
func (w *world) changed(t tester, change func(d *policy.Document)) {
	t.Helper()
	w.must(t, w.effect(t, w.approved(t, request.PolicyChange, request.PolicyChangeBody{Document: w.proposed(change).Encode()}, "bob", "carol")))
}

func (w *world) proposed(change func(d *policy.Document)) policy.Document {
	d := w.s.Doc
	d.Version, d.PrevHash = d.Version+1, d.Hash()
	d.Limits, d.Routes, d.Guards = slices.Clone(d.Limits), slices.Clone(d.Routes), slices.Clone(d.Guards)
	change(&d)
	return d
}

// teller writes random entries that the rules decided.
type teller struct {
	*world
	open []custody.RequestID
}

func newTeller(t tester) *teller {
	duty := policy.Plan{AnyOf: []policy.Branch{{Steps: []policy.Step{{Group: "officers", Min: 1}}}}}
	byPlan := limit("asks", 250, policy.Window{Rolling: 7200}, policy.BySource)
	byPlan.Exceeded, byPlan.Plan = policy.ByPlan, &duty
	fees := limit("fees", 6000, policy.Window{Unit: policy.Day, Calendar: "office"})
	fees.Measure, fees.Exceeded = policy.MeasureFee, policy.Hold
	fees.When.Assets, fees.When.Chains = nil, []custody.ChainID{evm}
	return &teller{world: limitedWorld(t, limit("hour", 400, policy.Window{Rolling: 3600}), byPlan, fees, limit("each", 300, policy.Window{Rolling: 900}, policy.ByInitiator))}
}

func (d *teller) step(t *rapid.T) {
	d.advance(time.Duration(rapid.SampledFrom([]int64{0, 0, 0, 0, 1, 1, 1, 30, 30, 30, 200, 600, 4000, 90_000}).Draw(t, "later")) * time.Second)
	d.bound = rapid.SampledFrom([]int64{0, 1e6, 30e9}).Draw(t, "bound")
	switch rapid.IntRange(0, 10).Draw(t, "step") {
	case 0, 1, 2:
		d.pays(t)
	case 3, 4:
		d.approves(t)
	case 5, 6, 7:
		d.permits(t)
	case 8:
		d.replaces(t)
	case 9:
		n := rapid.Uint64Range(0, 1<<30).Draw(t, "wallet")
		d.must(t, d.effect(t, d.approved(t, request.WalletCreate, request.WalletCreateBody{Wallet: custody.WalletID(fmt.Sprintf("w%d-%d", n, d.s.Next)), Chain: evm, Scheme: request.SchemeEVM}, "bob")))
	default:
		d.changed(t, func(doc *policy.Document) {
			i := rapid.IntRange(0, len(doc.Limits)-1).Draw(t, "limit")
			most := rapid.Uint64Range(50, 900).Draw(t, "max")
			if doc.Limits[i].Measure == policy.MeasureFee {
				most *= 10
			}
			doc.Limits[i].Max = custody.U64(most)
			if rapid.Bool().Draw(t, "window") && doc.Limits[i].Window.Rolling > 0 {
				doc.Limits[i].Window.Rolling = rapid.SampledFrom([]int64{900, 3600, 7200}).Draw(t, "rolling")
			}
		})
	}
}

func (d *teller) pays(t *rapid.T) {
	by := rapid.SampledFrom([]string{"alice", "service"}).Draw(t, "by")
	r := d.request(who(by), request.Transfer, payEVM(rapid.Uint64Range(1, 200).Draw(t, "amount")))
	e := d.asked(t, who(by), r)
	d.must(t, e)
	if e.Decision.Outcome == policy.Allowed {
		d.open = append(d.open, r.ID())
	}
}

func (d *teller) approves(t *rapid.T) {
	p := d.waiting(t)
	if p == nil {
		return
	}
	by, decision := "bob", request.Approve
	switch n := rapid.IntRange(0, 9).Draw(t, "decision"); {
	case n == 0:
		by, decision = map[custody.PersonID]string{who("alice").id: "alice", who("service").id: "service"}[p.Initiator], request.Cancel
	case n == 1 && !p.Decision.Auto:
		decision = request.Reject
	case p.Decision.Auto:
		return
	case n > 5:
		by = "carol"
	}
	if d.s.CheckApproval(p, d.approval(t, p.ID, who(by), decision).Approval, d.at()) == nil {
		d.must(t, d.approval(t, p.ID, who(by), decision))
	}
}

func (d *teller) waiting(t *rapid.T) *Pending {
	list := d.s.PendingList()
	if len(list) == 0 {
		return nil
	}
	return rapid.SampledFrom(list).Draw(t, "waits")
}

func (d *teller) permits(t *rapid.T) {
	p := d.waiting(t)
	if p == nil || p.Effects.Operation != request.Transfer {
		return
	}
	fee := custody.U64(rapid.Uint64Range(1, 100).Draw(t, "fee"))
	r, err := p.Parse()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.s.decideNow(p, r, &fee, d.at(), Derive); err != nil {
		return
	}
	n, _ := fee.Uint64()
	d.must(t, d.permit(t, p.ID, fmt.Sprint("permit ", d.s.Next), account0(d.s.NextNonce("hot", 0)), n))
}

func (d *teller) replaces(t *rapid.T) {
	for _, id := range d.open {
		g, ok := d.s.Signed(id)
		if !ok || Expired(g.NotAfter, d.now, d.bound) {
			continue
		}
		had, _ := g.Fee.Uint64()
		if had >= 400 {
			continue
		}
		b := d.permit(t, id, fmt.Sprint("again ", d.s.Next), account0(d.s.NextNonce("hot", 0)-1), had+rapid.Uint64Range(1, 90).Draw(t, "more"))
		b.Decision = d.s.limited(d.s.Rules.Case(d.entryOf(t, id).Facts), b.Decision, nil, d.at())
		if _, asks := d.s.asksPlan(b.Decision); asks || b.Decision.Outcome != policy.Allowed || SlotHash("hot", b.Slot) != g.Slot {
			continue
		}
		d.must(t, b)
		return
	}
}

// decisions counts those of a log from an entry on.
func (w *world) decisions(from uint64) (n uint64) {
	for _, x := range w.log[from:] {
		switch x.body.(type) {
		case *entry.Request, *entry.Permit, *entry.Effect:
			n++
		}
	}
	return n
}

// TestReplayOfTheCurrentRules: the rules that are in force, run over what was decided since they took force, make every decision as it was made.
func TestReplayOfTheCurrentRules(t *testing.T) {
	t.Parallel()
	acts := lawtest.Counts{}
	lawtest.Check(t, acts.Want(1, string(entry.KindRequest), string(entry.KindPermit), string(entry.KindEffect), string(entry.KindApproval)), func(t *rapid.T) {
		d := newTeller(t)
		for range rapid.IntRange(10, 60).Draw(t, "steps") {
			d.step(t)
		}
		from := d.s.docs[len(d.s.docs)-1] + 1
		r := d.replayed(t, d.s.Doc, from)
		if len(r.Differ) > 0 {
			t.Fatalf("%+v", r.Differ[0])
		}
		if r.Decisions != d.decisions(from) || r.Size != d.s.Next || r.From != from || r.Document != d.s.Rules.Hash() || r.Authority != d.s.Authority {
			t.Fatalf("%d decisions of %d: %+v", r.Decisions, d.decisions(from), r)
		}
		if again := d.replayed(t, d.s.Doc, from); again.Hash() != r.Hash() {
			t.Fatal("another replay of the same finds something else")
		}
		for _, x := range d.log[from:] {
			acts[string(x.leaf.Kind)]++
			if b, ok := x.body.(*entry.Permit); ok && b.Attempt > 1 {
				acts["replacement"]++
			}
			if b, ok := x.body.(*entry.Request); ok {
				acts[string(b.Decision.Outcome)+" "+b.Decision.Rule]++
			}
		}
	})
	t.Log(acts)
}

// TestReplayCountsUnderTheProposal: a payment that it refuses takes nothing, one that it lets through takes what it used, and what rolls off is free again.
func TestReplayCountsUnderTheProposal(t *testing.T) {
	t.Parallel()
	w := limitedWorld(t)
	for _, v := range []uint64{60, 60, 30, 20} {
		w.pay(t, v) // two entries each
	}
	first := w.s.Next - 8
	w.advance(2 * time.Hour)
	w.pay(t, 100)
	r := w.replayed(t, w.proposed(func(d *policy.Document) { d.Limits = []policy.Limit{limit("hour", 100, policy.Window{Rolling: 3600})} }), 1)
	var got []uint64
	for _, x := range r.Differ {
		got = append(got, x.Seq)
		if x.Act != ActRequest || x.Was.Outcome != policy.Allowed || x.Was.Rule != "auto" || x.Would.Outcome != policy.Denied || x.Would.Rule != "hour" || x.Initiator != who("service").id || len(x.Would.Unmet) != 1 {
			t.Errorf("%+v", x)
		}
	}
	if want := []uint64{first + 2, first + 6}; !slices.Equal(got, want) {
		t.Errorf("differ: %v, want %v", got, want)
	}
}

func TestReplayShowsWhatDiffers(t *testing.T) {
	t.Parallel()
	one := policy.Plan{AnyOf: []policy.Branch{{Steps: []policy.Step{{Group: "officers", Min: 1}}}}}
	for _, c := range []struct {
		name   string
		change func(d *policy.Document)
		want   string
	}{
		{"nothing", func(*policy.Document) {}, ""},
		{"another plan", func(d *policy.Document) { d.Routes[1].Plan = one }, "request alice transfer: allow pay → allow pay; permit alice transfer: allow pay → allow pay; "},
		{"more approvals", func(d *policy.Document) {
			d.Groups = []policy.Group{{ID: "board", Members: []custody.PersonID{who("dave").id}}, d.Groups[0]}
			d.Routes[1].Plan = policy.Plan{AnyOf: []policy.Branch{{Steps: []policy.Step{{Group: "board", Min: 1}}}}}
		}, "request alice transfer: allow pay → allow pay; permit alice transfer: allow pay → allow pay, but for 1 more approval by members of board, but for 1 more approval by different people (floor.minDistinctUsers); "},
		{"a guard", func(d *policy.Document) {
			d.Guards = append(d.Guards, policy.Guard{ID: "no-more", Effect: policy.Hold, When: policy.Match{AmountOver: amount(1500)}})
		}, "request alice transfer: allow pay → hold no-more; "},
		{"without the route", func(d *policy.Document) { d.Routes = append(d.Routes[:1], d.Routes[2:]...) }, "request alice transfer: allow pay → deny default-deny; "},
		{"the guard is gone", func(d *policy.Document) { d.Guards = nil }, "request service transfer: deny known-only → allow auto; "},
		{"nobody lives so long", func(d *policy.Document) { d.Floor.RequestTTL = 60 }, "request alice wallet_create: allow wallets → deny floor; request alice transfer: allow pay → deny floor; request service transfer: deny known-only → deny floor; "},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := limitedWorld(t)
			id := w.approved(t, request.Transfer, payEVM(2000), "bob", "carol")
			w.must(t, w.permit(t, id, "pay", account0(0), 10))
			stranger := payEVM(10)
			stranger.Outputs[0].Address = "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"
			w.must(t, w.asked(t, who("service"), w.request(who("service"), request.Transfer, stranger)))
			names := map[custody.PersonID]string{who("alice").id: "alice", who("service").id: "service"}
			got := ""
			for _, x := range w.replayed(t, w.proposed(c.change), 1).Differ {
				got += fmt.Sprintf("%s %s %s: %s %s → %s %s", x.Act, names[x.Initiator], x.Operation, x.Was.Outcome, x.Was.Rule, x.Would.Outcome, x.Would.Rule)
				for _, u := range x.Lacks {
					got += ", but for " + u.Criterion
				}
				got += "; "
			}
			if got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

// TestReplayAcrossRuleChanges: requests that change the rules are decided again as changes of the document that they changed.
func TestReplayAcrossRuleChanges(t *testing.T) {
	t.Parallel()
	w := limitedWorld(t)
	w.changed(t, func(d *policy.Document) { d.Floor.RequestTTL-- })
	w.changed(t, func(d *policy.Document) { d.Floor.MinDistinctUsers = 2 })
	// The wallet was made with one approval, and the floor wants two now.
	if r := w.replayed(t, w.proposed(func(*policy.Document) {}), 1); len(r.Differ) != 1 || r.Differ[0].Operation != request.WalletCreate || r.Differ[0].Act != ActEffect || len(r.Differ[0].Lacks) != 1 {
		t.Errorf("%+v", r.Differ)
	}
	r := w.replayed(t, w.proposed(func(d *policy.Document) {
		d.ChangePlan = policy.Plan{AnyOf: []policy.Branch{{Steps: []policy.Step{{Group: "officers", Min: 2}}}, {Steps: []policy.Step{{Group: "officers", Min: 3}}}}}
	}), 1)
	changes := 0
	for _, x := range r.Differ {
		if x.Operation == request.PolicyChange {
			changes++
		}
	}
	if changes != 4 {
		t.Errorf("%d decisions about changes differ, of 4: %+v", changes, r.Differ)
	}
}

func TestReplayRefusals(t *testing.T) {
	t.Parallel()
	w := limitedWorld(t)
	w.pay(t, 1)
	if _, err := NewReplay(policy.Document{}, 0); err == nil {
		t.Error("an empty document was taken")
	}
	p, err := NewReplay(w.s.Doc, 0)
	if err != nil {
		t.Fatal(err)
	}
	if h, seq := p.Document(); h != [32]byte{} || seq != 0 {
		t.Error("a document before the first entry")
	}
	if err := p.Add(w.log[1].leaf, w.log[1].hash, w.log[1].body); err == nil {
		t.Error("a log without its first entry was taken")
	}
	if p, err = NewReplay(w.s.Doc, 0); err != nil {
		t.Fatal(err)
	}
	for _, x := range w.log {
		if err := p.Add(x.leaf, x.hash, x.body); err != nil {
			t.Fatal(err)
		}
	}
	if h, seq := p.Document(); h != w.s.Rules.Hash() || seq != 0 || p.Size() != w.s.Next || p.Root() != p.Report().Root {
		t.Errorf("%x in entry %d, %d entries", h, seq, p.Size())
	}
	if err := p.Add(w.log[1].leaf, w.log[1].hash, w.log[1].body); err == nil {
		t.Error("an entry was taken twice")
	}
}

// BenchmarkReplay replays 100,000 automatic payments, which are 200,000 decisions.
func BenchmarkReplay(b *testing.B) {
	w := limitedWorld(b, limit("hour", 1<<40, policy.Window{Rolling: 3600}))
	for range 100_000 {
		w.advance(time.Second)
		r := w.request(who("service"), request.Transfer, payEVM(5))
		w.must(b, w.asked(b, who("service"), r))
		w.must(b, w.permitOf(b, r, "pay"))
	}
	d := w.proposed(func(d *policy.Document) { d.Limits[0].Max = custody.U64(1 << 41) })
	b.ResetTimer()
	for b.Loop() {
		if r := w.replayed(b, d, 1); r.Decisions < 200_000 || len(r.Differ) != 0 {
			b.Fatalf("%d decisions, %d differ", r.Decisions, len(r.Differ))
		}
	}
}

// permitOf is permit for the request that was just asked for, without a search in the log.
func (w *world) permitOf(t tester, r request.Request, payload string) *entry.Permit {
	t.Helper()
	log := w.log
	w.log = log[len(log)-1:]
	b := w.permit(t, r.ID(), fmt.Sprint(payload, w.s.Next), account0(w.s.NextNonce("hot", 0)), 10)
	w.log = log
	return b
}

// TestReplayBeginsWithWhatWasCounted: a replay that begins in the middle takes over what permits used and what requests that wait hold, as a change of the
// rules does.
func TestReplayBeginsWithWhatWasCounted(t *testing.T) {
	t.Parallel()
	w := limitedWorld(t, limit("hour", 100, policy.Window{Rolling: 3600}))
	w.pay(t, 30)
	w.must(t, w.asked(t, who("alice"), w.request(who("alice"), request.Transfer, payEVM(40))))
	w.changed(t, func(d *policy.Document) { d.Floor.RequestTTL-- })
	w.denied(t, 31, "hour")
	w.pay(t, 30)
	from := w.s.docs[len(w.s.docs)-1] + 1
	if r := w.replayed(t, w.s.Doc, from); len(r.Differ) != 0 || r.Decisions != 3 {
		t.Errorf("%+v", r)
	}
	if r := w.replayed(t, w.proposed(func(d *policy.Document) { d.Limits[0].Max = custody.U64(101) }), from); len(r.Differ) != 2 || r.Differ[0].Would.Rule != "auto" || r.Differ[1].Would.Rule != "hour" {
		t.Errorf("%+v", r) // it takes the one that was refused, and what that holds the next one lacks
	}
}

// TestReplayIsRequired: a document that requires it is replaced by one that comes with a replay of all that was decided under it, and its approvers sign the report's hash.
func TestReplayIsRequired(t *testing.T) {
	t.Parallel()
	w := limitedWorld(t)
	w.changed(t, func(d *policy.Document) { d.ReplayRequired = true })
	made := w.s.Next - 1
	w.pay(t, 1)
	next := w.proposed(func(d *policy.Document) { d.Floor.RequestTTL-- })
	report := w.replayed(t, next, made+1)
	hash := report.Hash()
	decide := func(r *request.Replay) (*entry.Request, error) {
		q := w.request(who("alice"), request.PolicyChange, request.PolicyChangeBody{Document: next.Encode(), Replay: r})
		p, err := request.Parse(q.Encode())
		if err != nil {
			return nil, err
		}
		return w.s.DecideRequest(p, policy.BySignature, w.at(), Derive)
	}
	for name, r := range map[string]*request.Replay{
		"none":                  nil,
		"of too little":         {From: 1, Size: made, Report: hash[:]},
		"from too late":         {From: made + 2, Size: w.s.Next, Report: hash[:]},
		"of more than there is": {From: 1, Size: w.s.Next + 1, Report: hash[:]},
		"of nothing":            {From: 9, Size: 9, Report: hash[:]},
		"without a hash":        {From: 1, Size: w.s.Next, Report: hash[:31]},
	} {
		if _, err := decide(r); err == nil {
			t.Errorf("a change with a replay %s was taken", name)
		}
	}
	e, err := decide(&request.Replay{From: report.From, Size: report.Size, Report: hash[:]})
	if err != nil || e.Decision.Outcome != policy.Allowed || e.Effects.Replay == nil || [32]byte(e.Effects.Replay.Report) != hash {
		t.Fatalf("%+v, %v", e, err)
	}
}
