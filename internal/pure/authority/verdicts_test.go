// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"crypto/ed25519"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/testimony"
	"strongroom/internal/pure/verdict"
)

// screenSource is a source of screening with one of three signers, or more, and verdicts of a minute.
func screenSource(least uint32) policy.ScreeningSource {
	s := policy.ScreeningSource{ID: "screen", MinSigners: least, MaxAge: 60}
	for _, n := range feeds {
		s.Signers = append(s.Signers, testimony.Signer{ID: n, Pub: feedKey("screen " + n).Public().(ed25519.PublicKey)})
	}
	return s
}

// screenedWorld holds transfers to whom there is no verdict on, and denies those over 40.
func screenedWorld(t tester, least uint32) *world {
	t.Helper()
	d := firstDocument()
	d.ScreeningSources = []policy.ScreeningSource{screenSource(least)}
	over := uint32(40)
	when := func(m policy.ScreeningMatch) policy.Match {
		return policy.Match{Operations: []request.Operation{request.Transfer}, Screening: &m}
	}
	d.Guards = append(d.Guards, policy.Guard{ID: "too-risky", Effect: policy.Deny, When: when(policy.ScreeningMatch{RiskOver: &over})},
		policy.Guard{ID: "unscreened", Effect: policy.Hold, When: when(policy.ScreeningMatch{Missing: true})})
	slices.SortFunc(d.Guards, func(a, b policy.Guard) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	return furnished(t, worldOf(t, d))
}

// bank is whom payEVM pays.
func (w *world) bank() verdict.Subject {
	return verdict.OfAddress(evm, payEVM(1).Outputs[0].Address)
}

// verdictOf is signed by a signer at a time so many seconds from now, and lives an hour by itself.
func (w *world) verdictOf(name string, on verdict.Subject, risk uint32, ahead int64) verdict.Signed {
	at := w.now/1e9 + ahead
	return verdict.Sign(verdict.Verdict{V: 1, Authority: w.s.Authority, Source: "screen", Subject: on, Risk: risk, Exposure: verdict.NotExposed, Status: verdict.Accept, AsOf: at, Expires: at + 3600}, name, feedKey("screen "+name))
}

// verdicts writes an entry of verdicts, which an auditor accepts too.
func (w *world) verdicts(t tester, list ...verdict.Signed) {
	t.Helper()
	slices.SortFunc(list, CompareVerdicts)
	b := &entry.Verdicts{Verdicts: list}
	if err := w.s.Audit(w.leaf(b), b, Derive, nil); err != nil {
		t.Fatal(err)
	}
	w.must(t, b)
}

// TestKillTheScreening: without verdicts nothing that needs one is taken or permitted, and all else goes on; a worse one refuses at the permit.
func TestKillTheScreening(t *testing.T) {
	t.Parallel()
	w := screenedWorld(t, 1)
	held := func(what string) {
		t.Helper()
		e, _ := w.ask(t, 5)
		if e.Decision.Outcome != policy.Held || problem.KindOf(Refused(e.Decision)) != problem.NoVerdict {
			t.Fatalf("%s: %+v", what, e.Decision)
		}
	}
	held("before the first verdict")
	w.verdicts(t, w.verdictOf("north", w.bank(), 7, 0))
	e, id := w.ask(t, 5)
	if e.Decision.Outcome != policy.Allowed || len(e.Decision.Screening) != 1 || e.Facts.Screening[0].Risk != 7 || len(e.Effects.Screening) != 1 || e.Effects.Screening[0].Risk != 7 || e.Effects.Screening[0].Chain != evm {
		t.Fatalf("%+v", e)
	}
	w.advance(61 * time.Second)
	held("the verdict is stale")
	b := w.permit(t, id, "late", account0(0), 10)
	if b.Decision.Outcome != policy.Held || problem.KindOf(Refused(b.Decision)) != problem.NoVerdict {
		t.Fatalf("%+v", b.Decision)
	}
	w.refused(t, "a permit without a verdict", b)
	p, _ := w.s.Pending(id)
	wants(t, "ready", w.s.Ready(p, w.at(), Derive), problem.NoVerdict)
	w.must(t, w.effect(t, w.approved(t, request.AddressCreate, request.AddressCreateBody{Wallet: "hot", Count: 1})))
	w.verdicts(t, w.verdictOf("north", w.bank(), 41, 0))
	wants(t, "worse now", w.s.Ready(p, w.at(), Derive), problem.RefusedByRule)
	w.advance(time.Second)
	w.verdicts(t, w.verdictOf("north", w.bank(), 40, 0))
	w.must(t, w.permit(t, id, "in time", account0(0), 10))
	w.restores(t)
}

// TestVerdictOnARequest speaks for every address of it, and counts beside theirs.
func TestVerdictOnARequest(t *testing.T) {
	t.Parallel()
	w := screenedWorld(t, 1)
	r := w.request(who("service"), request.Transfer, payEVM(5))
	on := verdict.OfRequest(r.Hash())
	w.verdicts(t, w.verdictOf("north", on, 7, 0))
	e := w.asked(t, who("service"), r)
	if e.Decision.Outcome != policy.Allowed || len(e.Facts.Screening) != 2 || e.Facts.Screening[1].Address != "" || e.Facts.Screening[1].Risk != 7 {
		t.Fatalf("%+v", e)
	}
	w.must(t, e)
	w.advance(time.Second)
	w.verdicts(t, w.verdictOf("north", on, 90, 0), w.verdictOf("north", w.bank(), 0, 0))
	p, _ := w.s.Pending(r.ID())
	wants(t, "the request is risky, the address is not", w.s.Ready(p, w.at(), Derive), problem.RefusedByRule)
	if e, _ := w.ask(t, 5); e.Decision.Outcome != policy.Allowed {
		t.Errorf("another request to the same address: %+v", e.Decision)
	}
}

// TestVerdictIsOnOneBody: who has had one payment screened can't make another one of it that has the same idempotency key.
func TestVerdictIsOnOneBody(t *testing.T) {
	t.Parallel()
	w := screenedWorld(t, 1)
	r := w.request(who("service"), request.Transfer, payEVM(5))
	changed := r
	changed.Body = canon.Encode(payEVM(6))
	w.verdicts(t, w.verdictOf("north", verdict.OfRequest(r.Hash()), 7, 0))
	if e := w.asked(t, who("service"), changed); e.Decision.Outcome != policy.Held || changed.ID() != r.ID() {
		t.Errorf("another body under the same key is screened too: %+v", e.Decision)
	}
	if e := w.asked(t, who("service"), r); e.Decision.Outcome != policy.Allowed {
		t.Errorf("%+v", e.Decision)
	}
}

// TestVerdictsThatAreRefusedByTheFold: each is refused by the fold, or where only the signature is wrong by who records and who audits.
func TestVerdictsThatAreRefusedByTheFold(t *testing.T) {
	t.Parallel()
	w := screenedWorld(t, 1)
	w.verdicts(t, w.verdictOf("north", w.bank(), 3, 0))
	w.advance(10 * time.Second)
	sign := func(change func(*verdict.Verdict), name string) verdict.Signed {
		v := w.verdictOf(name, w.bank(), 3, 0).Said
		change(&v)
		return verdict.Sign(v, name, feedKey("screen "+name))
	}
	for what, x := range map[string]struct {
		q    verdict.Signed
		kind problem.Kind
	}{
		"another authority": {sign(func(v *verdict.Verdict) { v.Authority[0]++ }, "north"), problem.Forbidden},
		"unknown source":    {sign(func(v *verdict.Verdict) { v.Source = "other" }, "north"), problem.Forbidden},
		"unknown signer":    {sign(func(*verdict.Verdict) {}, "east"), problem.Forbidden},
		"of the future":     {sign(func(v *verdict.Verdict) { v.AsOf += SourceAhead + 2 }, "north"), problem.Malformed},
		"stale":             {sign(func(v *verdict.Verdict) { v.AsOf -= 61 }, "north"), problem.Expired},
		"ended":             {sign(func(v *verdict.Verdict) { v.AsOf -= 5; v.Expires = v.AsOf + 4 }, "north"), problem.Expired},
		"replayed":          {sign(func(v *verdict.Verdict) { v.AsOf -= 10 }, "north"), problem.AlreadyDone},
		"older":             {sign(func(v *verdict.Verdict) { v.AsOf -= 11 }, "north"), problem.AlreadyDone},
		"malformed":         {sign(func(v *verdict.Verdict) { v.Risk = 101 }, "north"), problem.Malformed},
		"another spelling":  {sign(func(v *verdict.Verdict) { v.Subject.Address = "0x" + v.Subject.Address[2:3] + "x" }, "north"), problem.Malformed},
	} {
		wants(t, what, w.s.FitsVerdict(x.q, w.at(), 0), x.kind)
		w.refused(t, what, &entry.Verdicts{Verdicts: []verdict.Signed{x.q}})
	}
	good, other := w.verdictOf("north", w.bank(), 3, 0), w.verdictOf("south", w.bank(), 3, 0)
	forged := good
	forged.Signer = "south"
	wants(t, "forged", VerifyVerdict(&w.s.Doc, forged), problem.Unauthenticated)
	b := &entry.Verdicts{Verdicts: []verdict.Signed{forged}}
	if err := w.s.Audit(w.leaf(b), b, Derive, nil); err == nil {
		t.Error("an auditor takes a forged verdict")
	}
	w.refused(t, "no verdict", &entry.Verdicts{})
	w.refused(t, "out of order", &entry.Verdicts{Verdicts: []verdict.Signed{other, good}})
	w.refused(t, "twice", &entry.Verdicts{Verdicts: []verdict.Signed{good, good}})
	w.refused(t, "too many", &entry.Verdicts{Verdicts: make([]verdict.Signed, entry.MaxVerdicts+1)})
	w.verdicts(t, good, other)
}

// TestShortVerdictHidesNoOlderOne: one that lives for ten seconds ends, and the harmless one before it, with a longer life, can't come again.
func TestShortVerdictHidesNoOlderOne(t *testing.T) {
	t.Parallel()
	w := screenedWorld(t, 1)
	old := w.verdictOf("north", w.bank(), 0, 0)
	w.advance(time.Second)
	v := w.verdictOf("north", w.bank(), 90, 0).Said
	v.Expires = v.AsOf + 10
	w.verdicts(t, verdict.Sign(v, "north", feedKey("screen north")))
	w.advance(12 * time.Second)
	if e, _ := w.ask(t, 5); problem.KindOf(Refused(e.Decision)) != problem.NoVerdict {
		t.Errorf("it has ended: %+v", e.Decision)
	}
	wants(t, "the one before it", w.s.FitsVerdict(old, w.at(), 0), problem.AlreadyDone)
	w.restores(t)
	wants(t, "the one before it, after a restart", w.s.FitsVerdict(old, w.at(), 0), problem.AlreadyDone)
	w.advance(60 * time.Second)
	w.must(t, &entry.Snapshot{Root: w.s.StateRoot()}) // any entry
	if n := len(w.s.gov.verdicts.of); n != 0 {
		t.Errorf("%d verdicts are left", n)
	}
	wants(t, "the one before it, when all is forgotten", w.s.FitsVerdict(old, w.at(), 0), problem.Expired)
}

// TestSeveralSigners: so many must have spoken lately, and the worst of what they say counts.
func TestSeveralSigners(t *testing.T) {
	t.Parallel()
	w := screenedWorld(t, 2)
	say := func() policy.Screened { return w.s.VerdictsAt(w.at())("screen", w.bank()) }
	w.verdicts(t, w.verdictOf("north", w.bank(), 0, 0))
	if x := say(); x.Lack != policy.StaleNow {
		t.Errorf("one of two: %+v", x)
	}
	w.verdicts(t, w.verdictOf("south", w.bank(), 90, 0))
	if x := say(); x.Lack != "" || x.Risk != 90 || len(x.Verdicts) != 2 {
		t.Errorf("two: %+v", x)
	}
	w.advance(40 * time.Second)
	w.verdicts(t, w.verdictOf("west", w.bank(), 5, 0))
	w.advance(21 * time.Second)
	if x := say(); x.Lack != policy.StaleNow {
		t.Errorf("one is fresh: %+v", x)
	}
	if st := w.s.SourceStates(); len(st) != 1 || st[0].Silent(w.at()) || st[0].Newest != w.now/1e9-21 {
		t.Errorf("%+v", st)
	}
	w.advance(40 * time.Second)
	if st := w.s.SourceStates(); !st[0].Silent(w.at()) {
		t.Errorf("%+v", st)
	}
}

// TestScreeningChanges: a document without a signer, or with another key of theirs, forgets what they said; what was said before a source counts for longer, or has a
// new signer, is not taken any more; what is kept goes on.
func TestScreeningChanges(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		change func(*policy.Document)
		left   int
		before problem.Kind // of a verdict from before the change
	}{
		"a signer goes": {func(d *policy.Document) { d.ScreeningSources[0].Signers = d.ScreeningSources[0].Signers[1:] }, 2, ""},
		"another key": {func(d *policy.Document) {
			d.ScreeningSources[0].Signers[0].Pub = feedKey("new").Public().(ed25519.PublicKey)
		}, 2, problem.Expired},
		"a longer life":     {func(d *policy.Document) { d.ScreeningSources[0].MaxAge = 600 }, 3, problem.Expired},
		"a shorter life":    {func(d *policy.Document) { d.ScreeningSources[0].MaxAge = 10 }, 0, problem.Expired},
		"the source leaves": {func(d *policy.Document) { d.ScreeningSources, d.Guards = nil, nil }, 0, problem.Forbidden},
		"nothing of it":     {func(d *policy.Document) { d.Guards[0].Title = "another" }, 3, ""},
	} {
		w := screenedWorld(t, 1)
		w.verdicts(t, w.verdictOf("north", w.bank(), 0, 0), w.verdictOf("south", w.bank(), 0, 0), w.verdictOf("west", w.bank(), 0, 0))
		before := w.verdictOf("west", verdict.OfRequest([32]byte{9}), 0, 0)
		w.advance(20 * time.Second)
		d := w.s.Doc
		d.Version, d.PrevHash, d.ScreeningSources, d.Guards = d.Version+1, w.s.Rules.Hash(), []policy.ScreeningSource{screenSource(1)}, slices.Clone(d.Guards)
		x.change(&d)
		w.must(t, w.effect(t, w.approved(t, request.PolicyChange, request.PolicyChangeBody{Document: d.Encode()}, "bob", "carol")))
		if n := len(w.s.gov.verdicts.of); n != x.left {
			t.Errorf("%s: %d verdicts are left", name, n)
		}
		err := w.s.FitsVerdict(before, w.at(), 0)
		if (err == nil) != (x.before == "") || err != nil && problem.KindOf(err) != x.before {
			t.Errorf("%s: from before: %v", name, err)
		}
		w.restores(t)
	}
}

// TestGapForgetsVerdicts: among the entries that are lost may be a worse one.
func TestGapForgetsVerdicts(t *testing.T) {
	t.Parallel()
	d := firstDocument()
	d.ScreeningSources = []policy.ScreeningSource{screenSource(1)}
	d.ScreeningSources[0].MaxAge = policy.MaxPriceAge
	w := furnished(t, worldOf(t, d))
	say := func(ago int64) verdict.Signed {
		v := w.verdictOf("north", w.bank(), 0, -ago).Said
		v.Expires = v.AsOf + policy.MaxPriceAge
		return verdict.Sign(v, "north", feedKey("screen north"))
	}
	w.verdicts(t, say(0))
	w.must(t, w.reanchorDocument(func(b *entry.Reanchor) { b.Known = w.checkpointOf(1, b.Size+12, [32]byte{1}) }))
	if x := w.s.VerdictsAt(w.at())("screen", w.bank()); x.Lack != "" {
		t.Errorf("before the gap: %+v", x)
	}
	w.gapped(t)
	if x := w.s.VerdictsAt(w.at())("screen", w.bank()); x.Lack != policy.NoQuotes {
		t.Errorf("after the gap: %+v", x)
	}
	wants(t, "one from before the gap", w.s.FitsVerdict(say(60), w.at(), 0), problem.Expired)
	w.restores(t)
	w.verdicts(t, say(0))
}

// TestVerdictImageRefused: an image whose verdicts can't be is not restored.
func TestVerdictImageRefused(t *testing.T) {
	t.Parallel()
	w := screenedWorld(t, 1)
	w.verdicts(t, w.verdictOf("north", w.bank(), 0, 0), w.verdictOf("south", w.bank(), 0, 0))
	record := func(p *verdictSection, change func(*VerdictRecord)) {
		var r VerdictRecord
		if err := canon.Decode(p.Verdicts[0], &r); err != nil {
			t.Fatal(err)
		}
		change(&r)
		p.Verdicts[0] = canon.Encode(&r)
	}
	for name, spoil := range map[string]func(*verdictSection){
		"empty":           func(p *verdictSection) { *p = verdictSection{} },
		"order":           func(p *verdictSection) { p.Verdicts[0], p.Verdicts[1] = p.Verdicts[1], p.Verdicts[0] },
		"twice":           func(p *verdictSection) { p.Verdicts[1] = p.Verdicts[0] },
		"bytes":           func(p *verdictSection) { p.Verdicts[0] = canon.Raw{0xa0} },
		"unknown source":  func(p *verdictSection) { record(p, func(r *VerdictRecord) { r.Verdict.Source = "other" }) },
		"unknown signer":  func(p *verdictSection) { record(p, func(r *VerdictRecord) { r.Signer = "east" }) },
		"future":          func(p *verdictSection) { record(p, func(r *VerdictRecord) { r.Seq = w.s.Next }) },
		"no verdict":      func(p *verdictSection) { record(p, func(r *VerdictRecord) { r.Verdict.Risk = 101 }) },
		"newer than told": func(p *verdictSection) { record(p, func(r *VerdictRecord) { r.Verdict.AsOf++ }) },
		"no time":         func(p *verdictSection) { p.Told[0].Newest = 0 },
		"other source":    func(p *verdictSection) { p.Told[0].Source = "other" },
		"sources twice":   func(p *verdictSection) { p.Told = append(p.Told, p.Told[0]) },
		"too many":        func(p *verdictSection) { p.Verdicts = make([]canon.Raw, MaxVerdicts+1) },
	} {
		var m Image
		if err := canon.Decode(canon.Encode(w.s.Image()), &m); err != nil {
			t.Fatal(err)
		}
		spoil(m.Governance.Verdicts)
		if _, err := Restore(m, func(h [32]byte) ([]byte, error) { return w.s.Chunks()[h], nil }); err == nil {
			t.Errorf("%s: restored", name)
		}
	}
}

// address gives the address of a number.
func numbered(i int) verdict.Subject {
	return verdict.OfAddress(evm, eth.Address{byte(i), byte(i >> 8), byte(i >> 16), 1}.String())
}

// TestVerdictsAreBounded: when all places are taken another subject is refused, one that is known is not, and what ends makes room.
func TestVerdictsAreBounded(t *testing.T) {
	t.Parallel()
	w := screenedWorld(t, 1)
	at := w.now / 1e9
	for i := range MaxVerdicts - 1 {
		v := verdict.Verdict{V: 1, Authority: w.s.Authority, Source: "screen", Subject: numbered(i), Exposure: verdict.NotExposed, Status: verdict.Accept, AsOf: at, Expires: at + 60}
		by := "north"
		if i >= MaxVerdicts/2+100 {
			by = "south"
		}
		w.s.gov.verdicts.add(VerdictRecord{v, by, 1}, 60)
	}
	wants(t, "beyond the share", w.s.FitsVerdict(w.verdictOf("south", numbered(7), 0, 1), w.at(), 0), problem.Busy)
	if err := w.s.FitsVerdict(w.verdictOf("west", numbered(7), 0, 1), w.at(), 0); err != nil {
		t.Errorf("of a signer who has said nothing yet: %v", err)
	}
	one, two := w.verdictOf("west", numbered(MaxVerdicts), 0, 1), w.verdictOf("west", numbered(MaxVerdicts+1), 0, 1)
	list := []verdict.Signed{one, two}
	slices.SortFunc(list, CompareVerdicts)
	w.refused(t, "two more", &entry.Verdicts{Verdicts: list})
	w.verdicts(t, one)
	wants(t, "one more", w.s.FitsVerdict(two, w.at(), 0), problem.Busy)
	if err := w.s.FitsVerdict(w.verdictOf("north", numbered(7), 0, 1), w.at(), 0); err != nil {
		t.Errorf("of a subject that is known: %v", err)
	}
	w.advance(62 * time.Second)
	w.must(t, &entry.Snapshot{Root: w.s.StateRoot()})
	if n := len(w.s.gov.verdicts.of); n > 1 {
		t.Errorf("%d are left", n)
	}
	if o := w.s.gov.verdicts; len(o.order) > 100 {
		t.Errorf("%d places, %d gone", len(o.order), o.gone)
	}
	w.verdicts(t, w.verdictOf("north", numbered(MaxVerdicts+1), 0, 0))
}

// TestOneSignerLeavesRoom: who has one signer's key can fill half of the places and no more; the others still speak.
func TestOneSignerLeavesRoom(t *testing.T) {
	t.Parallel()
	w := screenedWorld(t, 1)
	at := w.now / 1e9
	for i := range MaxVerdicts/2 - 1 {
		v := verdict.Verdict{V: 1, Authority: w.s.Authority, Source: "screen", Subject: numbered(i), Exposure: verdict.NotExposed, Status: verdict.Accept, AsOf: at, Expires: at + 60}
		w.s.gov.verdicts.add(VerdictRecord{v, "north", 1}, 60)
	}
	w.verdicts(t, w.verdictOf("north", numbered(MaxVerdicts), 0, 1))
	wants(t, "one more", w.s.FitsVerdict(w.verdictOf("north", numbered(MaxVerdicts+1), 0, 1), w.at(), 0), problem.Busy)
	w.verdicts(t, w.verdictOf("south", numbered(MaxVerdicts+1), 0, 1))
	if st := w.s.SourceStates(); st[0].Kept != MaxVerdicts/2+1 {
		t.Errorf("%d are kept", st[0].Kept)
	}
}

// TestVerdictsAgreeWithAModel: verdicts of three signers on four subjects come, age and are replaced in any order, with restarts between; what decisions are told
// is what a list of all that was ever taken says.
func TestVerdictsAgreeWithAModel(t *testing.T) {
	t.Parallel()
	took, none, stale := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		w := screenedWorld(t, 2)
		var all []verdict.Signed
		subjects := []verdict.Subject{w.bank(), numbered(1), numbered(2), verdict.OfRequest([32]byte{1})}
		t.Repeat(map[string]func(*rapid.T){
			"say": func(t *rapid.T) {
				var list []verdict.Signed
				for _, s := range subjects {
					for _, f := range feeds {
						if rapid.IntRange(0, 3).Draw(t, f) > 0 {
							continue
						}
						v := w.verdictOf(f, s, rapid.Uint32Max(100).Draw(t, "risk"), rapid.Int64Range(-30, 0).Draw(t, "ago")).Said
						v.Expires = v.AsOf + rapid.Int64Range(1, 90).Draw(t, "lives")
						x := verdict.Sign(v, f, feedKey("screen "+f))
						newer := !slices.ContainsFunc(all, func(o verdict.Signed) bool {
							return o.Signer == f && o.Said.Subject.Key() == s.Key() && o.Said.AsOf >= v.AsOf
						})
						lives := w.now+w.bound <= min(v.Expires, v.AsOf+60)*1e9
						if err := w.s.FitsVerdict(x, w.at(), 0); (err == nil) != (newer && lives) {
							t.Fatalf("newer %t, lives %t: %v", newer, lives, err)
						} else if err == nil {
							list = append(list, x)
						}
					}
				}
				if len(list) > 0 {
					took += len(list)
					all = append(all, list...)
					w.verdicts(t, list...)
				}
			},
			"later":   func(t *rapid.T) { w.advance(time.Duration(rapid.IntRange(1, 25).Draw(t, "seconds")) * time.Second) },
			"restart": func(t *rapid.T) { w.restores(t) },
			"": func(t *rapid.T) {
				for _, s := range subjects {
					told, fresh, worst := false, 0, uint32(0)
					for _, f := range feeds {
						var last *verdict.Verdict
						for i := range all {
							if v := &all[i].Said; all[i].Signer == f && v.Subject.Key() == s.Key() && (last == nil || v.AsOf > last.AsOf) {
								last = v
							}
						}
						if last == nil {
							continue
						}
						told = true
						if w.now+w.bound <= min(last.Expires, last.AsOf+60)*1e9 {
							fresh++
							worst = max(worst, last.Risk)
						}
					}
					x := w.s.VerdictsAt(w.at())("screen", s)
					switch {
					case fresh >= 2 && (x.Lack != "" || x.Risk != worst || len(x.Verdicts) != fresh), fresh < 2 && x.Lack == "", !told && x.Lack != policy.NoQuotes:
						t.Fatalf("%s: %+v; the model has %d fresh, worst %d", s, x, fresh, worst)
					case x.Lack == policy.NoQuotes:
						none++
					case x.Lack == policy.StaleNow:
						stale++
					}
				}
			},
		})
	})
	if took == 0 || none == 0 || stale == 0 {
		t.Errorf("%d taken, %d none, %d stale", took, none, stale)
	}
}

// BenchmarkVerdicts measures what a decision, an entry, a snapshot and a restart cost with so many verdicts.
func BenchmarkVerdicts(b *testing.B) {
	for _, n := range []int{100, MaxVerdicts} {
		w := screenedWorld(b, 1)
		at := w.now / 1e9
		for i := range n - 1 {
			v := verdict.Verdict{V: 1, Authority: w.s.Authority, Source: "screen", Subject: numbered(i), Risk: uint32(i % 101), Categories: []string{"gambling", "mixer"}, Exposure: verdict.Indirect, Status: verdict.Alert, AsOf: at, Expires: at + 60}
			w.s.gov.verdicts.add(VerdictRecord{v, "north", 1}, 60)
		}
		w.verdicts(b, w.verdictOf("north", w.bank(), 0, 0))
		b.Run(fmt.Sprintf("ask/%d", n), func(b *testing.B) {
			ask := w.s.VerdictsAt(w.at())
			for b.Loop() {
				if ask("screen", w.bank()).Lack != "" {
					b.Fatal("no verdict")
				}
			}
		})
		b.Run(fmt.Sprintf("expire/%d", n), func(b *testing.B) {
			l := entry.Leaf{Time: w.now}
			for b.Loop() {
				w.s.expireVerdicts(l)
			}
		})
		b.Run(fmt.Sprintf("root/%d", n), func(b *testing.B) {
			for b.Loop() {
				_ = w.s.StateRoot()
			}
		})
	}
}

// TestScreeningTakesRoom: what sources said of a request that waits counts in the room of who asked.
func TestScreeningTakesRoom(t *testing.T) {
	t.Parallel()
	w := screenedWorld(t, 1)
	v := w.verdictOf("north", w.bank(), 7, 0).Said
	for i := range verdict.MaxCategories {
		v.Categories = append(v.Categories, fmt.Sprintf("category-%02d-%s", i, strings.Repeat("x", 20)))
	}
	w.verdicts(t, verdict.Sign(v, "north", feedKey("screen north")))
	e, id := w.ask(t, 5)
	p, ok := w.s.Pending(id)
	if want := len(e.Request) + len(canon.Encode(e.Effects.Screening)) + len(canon.Encode(e.Decision.Screening)); !ok || p.size() < want {
		t.Errorf("counts as %d bytes, and takes %d", p.size(), want)
	}
	if was := w.s.waits[p.Initiator].bytes; was < p.size() {
		t.Errorf("%d", was)
	}
	w.restores(t)
}
