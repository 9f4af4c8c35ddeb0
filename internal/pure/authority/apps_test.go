// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"strongroom/internal/lawtest"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// apps is a world whose control points let applications have keys.
type apps struct{ *world }

func newApps(t tester) apps {
	w := newWorld(t)
	w.s.life.Allowed = w.s.life.Allowed.Or(appPoints)
	return apps{w}
}

// body is a grant for an hour.
func (a apps) body(name string) request.AppGrantBody {
	return request.AppGrantBody{Grant: name, Caller: request.AppCaller("local:" + name), Gateway: who("service").id, Functions: []request.AppFunction{request.AppGenerate, request.AppSign},
		Mechanisms: []uint64{0x1040, 0x1041}, Rate: 10, Burst: 10, NotAfter: a.now/1e9 + 3600}
}

func (a apps) does(t tester, op request.Operation, body any) *entry.Effect {
	t.Helper()
	e := a.effect(t, a.approved(t, op, body, "bob", "carol"))
	a.must(t, e)
	return e
}

// grant makes one and gives its entry.
func (a apps) grant(t tester, b request.AppGrantBody) uint64 {
	t.Helper()
	a.does(t, request.AppGrant, b)
	return a.s.Next - 1
}

// used is an entry of n uses of a key.
func used(grant uint64, key, n int, mechanism uint64) *entry.Uses {
	var list []entry.UseRecord
	for i := range n {
		list = append(list, entry.UseRecord{Grant: grant, Key: appKey(key), Function: 26, Mechanism: mechanism, Call: [32]byte{byte(i)}})
	}
	u := entry.Account(list)
	return &u
}

// What a grant does not say can't be accounted to it.
func TestUsesNeedAGrant(t *testing.T) {
	t.Parallel()
	a := newApps(t)
	a.refused(t, "no grant", used(3, 1, 1, 0x1041))
	all := a.grant(t, a.body("all"))
	some := a.body("some")
	some.Keys = []custody.KeyID{entry.KeyOf(appKey(1)), entry.KeyOf(appKey(2))}
	named := a.grant(t, some)
	a.must(t, used(all, 7, 2, 0x1041))
	a.must(t, used(named, 1, 2, 0x1041))
	a.must(t, used(named, 2, 1, entry.NoMechanism))
	a.refused(t, "a key that the grant does not name", used(named, 3, 1, 0x1041))
	a.refused(t, "a mechanism that it does not have", used(all, 7, 1, 0x1042))
	for name, spoil := range map[string]func(*entry.Uses){
		"no sum":          func(u *entry.Uses) { u.Number = 0 },
		"a greater sum":   func(u *entry.Uses) { u.Number++ },
		"a count of none": func(u *entry.Uses) { u.Counts[0].Count, u.Number = 0, 0 },
		"twice":           func(u *entry.Uses) { u.Counts, u.Number = append(u.Counts, u.Counts[0]), u.Number*2 },
		"nothing":         func(u *entry.Uses) { *u = entry.Uses{} },
		"too many":        func(u *entry.Uses) { u.Counts[0].Count, u.Number = entry.MaxUses+1, entry.MaxUses+1 },
	} {
		u := used(all, 7, 3, 0x1041)
		spoil(u)
		a.refused(t, name, u)
	}
	if g, ok := a.s.Grant(who("service").id, "local:all"); !ok || g.Used != 2 || g.Seq != all {
		t.Errorf("%+v", g)
	}
	if g, ok := a.s.GrantNamed("some"); !ok || g.Used != 3 {
		t.Errorf("%+v", g)
	}
}

// Counts never pass maxUses, in one entry or over many, and another grant of the caller begins anew.
func TestMaxUses(t *testing.T) {
	t.Parallel()
	a := newApps(t)
	b := a.body("app")
	b.MaxUses = 5
	first := a.grant(t, b)
	a.refused(t, "six at once", used(first, 1, 6, 0x1041))
	a.must(t, used(first, 1, 4, 0x1041))
	a.refused(t, "two more", used(first, 1, 2, 0x1041))
	two := used(first, 1, 1, 0x1041)
	two.Counts, two.Number = append(two.Counts, entry.UseCount{Grant: first, Key: appKey(2), Mechanism: 0x1041, Count: 1}), 2
	a.refused(t, "two more, of two keys", two)
	a.must(t, used(first, 2, 1, 0x1041))
	a.refused(t, "a sixth", used(first, 2, 1, 0x1041))
	e := a.does(t, request.AppGrant, b)
	if e.App.Ended != first || e.App.Used != 5 || len(a.s.Grants(0, 10)) != 1 {
		t.Errorf("%+v, %+v", e.App, a.s.Grants(0, 10))
	}
	a.refused(t, "of the grant before", used(first, 1, 1, 0x1041))
	a.must(t, used(a.s.Next-1, 1, 5, 0x1041))
}

// A grant counts until it may have ended, stands until it must have, and ends at once when it is revoked, its gateway is, or the domain is zeroized.
func TestGrantsEnd(t *testing.T) {
	t.Parallel()
	a := newApps(t)
	b := a.body("short")
	b.NotAfter = a.now/1e9 + 600
	seq := a.grant(t, b)
	a.advance(600*time.Second - time.Duration(a.bound))
	a.must(t, used(seq, 1, 1, 0x1041))
	a.advance(1)
	a.refused(t, "perhaps past its end", used(seq, 1, 1, 0x1041))
	if len(a.s.Grants(0, 1)) != 1 {
		t.Error("it is gone before its end is certain")
	}
	a.advance(2 * time.Second)
	a.must(t, &entry.Writer{Epoch: a.s.Writer + 1})
	if a.s.Counts().Grants != 0 {
		t.Error("it is still there")
	}
	seq = a.grant(t, a.body("revoked"))
	e := a.effect(t, a.approved(t, request.AppRevoke, request.AppRevokeBody{Grant: "revoked"}))
	a.must(t, e)
	a.refused(t, "revoked", used(seq, 1, 1, 0x1041))
	seq = a.grant(t, a.body("zeroized"))
	n := a.s.life.Counter + 1
	a.must(t, a.effect(t, a.approved(t, request.Zeroize, request.ZeroizeBody{Counter: n, Phrase: request.ZeroizePhrase(a.s.Domain)})))
	a.refused(t, "zeroized", used(seq, 1, 1, 0x1041))
	if a.s.Counts().Grants != 0 {
		t.Error("grants outlive the keys")
	}
	a = newApps(t)
	seq = a.grant(t, a.body("gateway"))
	a.must(t, used(seq, 1, 1, 0x1041))
	a.does(t, request.PersonRevoke, request.PersonRevokeBody{Person: who("service").id})
	a.refused(t, "the gateway is revoked", used(seq, 1, 1, 0x1041))
}

// A revoked key is not used under any grant; it is forgotten when nothing can open a blob of it any more.
func TestRevokedKeys(t *testing.T) {
	t.Parallel()
	a := newApps(t)
	seq := a.grant(t, a.body("app"))
	list := []custody.KeyID{entry.KeyOf(appKey(1)), entry.KeyOf(appKey(2))}
	if e := a.does(t, request.AppKeyRevoke, request.AppKeyRevokeBody{Keys: list[:1]}); !slices.Equal(e.App.Keys, list[:1]) {
		t.Errorf("%+v", e.App)
	}
	if e := a.does(t, request.AppKeyRevoke, request.AppKeyRevokeBody{Keys: list}); !slices.Equal(e.App.Keys, list[1:]) {
		t.Errorf("what was revoked before is revoked again: %+v", e.App)
	}
	a.refused(t, "a revoked key", used(seq, 1, 1, 0x1041))
	a.must(t, used(seq, 3, 1, 0x1041))
	rotate := func(until request.Operation) {
		for _, op := range []request.Operation{request.EpochLoad, request.EpochCommit, request.EpochActivate, request.EpochFinalize} {
			n, l := a.s.life.Counter+1, a.s.life
			var body any
			switch op {
			case request.EpochLoad:
				body = request.EpochLoadBody{Counter: n, Epoch: l.Used + 1}
			case request.EpochCommit:
				body = request.EpochCommitBody{Counter: n, Epoch: l.Next.Epoch, Pattern: l.Next.Pattern}
			case request.EpochActivate:
				blobs := &entry.Reencipher{Epoch: l.Next.Epoch}
				for _, k := range a.s.Keys() {
					blobs.Blobs = append(blobs.Blobs, entry.Blob{Key: k.ID, Hash: [32]byte{byte(l.Next.Epoch), k.Blob[0], 9}})
				}
				a.must(t, blobs)
				body = request.EpochActivateBody{Counter: n, Epoch: l.Next.Epoch, Pattern: l.Next.Pattern}
			default:
				body = request.EpochFinalizeBody{Counter: n, Epoch: l.Previous.Epoch, Pattern: l.Previous.Pattern}
			}
			a.does(t, op, body)
			if op == until {
				return
			}
		}
		a.must(t, &entry.Erased{Blobs: entry.ListOf(a.s.Doomed())})
	}
	rotate(request.EpochActivate)
	if !a.s.AppKeyRevoked(list[0]) {
		t.Error("forgotten while the working key of its epoch is there")
	}
	l := a.s.life
	a.does(t, request.EpochFinalize, request.EpochFinalizeBody{Counter: l.Counter + 1, Epoch: l.Previous.Epoch, Pattern: l.Previous.Pattern})
	if a.s.Counts().RevokedKeys != 0 {
		t.Error("not forgotten")
	}
	a.must(t, &entry.Erased{Blobs: entry.ListOf(a.s.Doomed())})
	rotate(request.EpochCommit) // a blob of the next epoch may be out already
	a.does(t, request.AppKeyRevoke, request.AppKeyRevokeBody{Keys: list})
	l = a.s.life
	a.must(t, &entry.Reencipher{Epoch: l.Next.Epoch, Blobs: func() (out []entry.Blob) {
		for _, k := range a.s.Keys() {
			out = append(out, entry.Blob{Key: k.ID, Hash: [32]byte{99, k.Blob[0]}})
		}
		return out
	}()})
	a.does(t, request.EpochActivate, request.EpochActivateBody{Counter: l.Counter + 1, Epoch: l.Next.Epoch, Pattern: l.Next.Pattern})
	l = a.s.life
	a.does(t, request.EpochFinalize, request.EpochFinalizeBody{Counter: l.Counter + 1, Epoch: l.Previous.Epoch, Pattern: l.Previous.Pattern})
	if a.s.Counts().RevokedKeys != 2 {
		t.Error("forgotten although a blob of the next epoch may be out")
	}
}

// Logins belong to a caller; a grant in the place of another keeps them, its end does not.
func TestLogins(t *testing.T) {
	t.Parallel()
	a := newApps(t)
	seq := a.grant(t, a.body("app"))
	login := func(grant uint64, n int) *entry.Uses {
		u := entry.Account(nil)
		u.Logins = []entry.Login{{Grant: grant, Session: [32]byte{byte(n)}}}
		return &u
	}
	logout := func(grant uint64) *entry.Uses {
		u := entry.Account(nil)
		u.Logouts = []uint64{grant}
		return &u
	}
	live := func() int {
		g, ok := a.s.GrantNamed("app")
		if !ok {
			return -1
		}
		return len(g.Logins)
	}
	a.refused(t, "nothing is open", logout(seq))
	for n := range MaxLogins {
		a.must(t, login(seq, n))
	}
	a.refused(t, "too many", login(seq, MaxLogins))
	a.refused(t, "of no grant", login(seq-1, 1))
	next := a.grant(t, a.body("app"))
	if live() != MaxLogins {
		t.Errorf("%d sessions are open after another grant", live())
	}
	a.must(t, logout(next))
	a.must(t, login(next, 7))
	a.refused(t, "open already", login(next, 7))
	both := login(next, 8)
	both.Logouts = []uint64{next}
	a.refused(t, "in and out", both)
	if live() != 1 {
		t.Errorf("%d sessions are open", live())
	}
	a.must(t, a.effect(t, a.approved(t, request.AppRevoke, request.AppRevokeBody{Grant: "app"})))
	a.grant(t, a.body("app"))
	if live() != 0 {
		t.Error("sessions outlive the grant's end")
	}
}

// What can't be asked for, and why.
func TestAppRefusals(t *testing.T) {
	t.Parallel()
	a := newApps(t)
	a.grant(t, a.body("taken"))
	ask := func(op request.Operation, body any) problem.Kind {
		r := a.request(who("alice"), op, body)
		p, err := request.Parse(r.Encode())
		if err != nil {
			t.Fatal(err)
		}
		e, err := a.s.DecideRequest(p, policy.BySignature, a.at(), Derive)
		if err == nil && (e.Decision.Outcome != policy.Allowed || e.Effects.App == nil) {
			t.Fatalf("%+v", e)
		}
		if err == nil {
			return ""
		}
		return problem.KindOf(err)
	}
	change := func(f func(*request.AppGrantBody)) request.AppGrantBody {
		b := a.body("new")
		f(&b)
		return b
	}
	for name, x := range map[string]struct {
		op   request.Operation
		body any
		want problem.Kind
	}{
		"fits":                     {request.AppGrant, a.body("new"), ""},
		"in its own place":         {request.AppGrant, a.body("taken"), ""},
		"another caller's name":    {request.AppGrant, change(func(b *request.AppGrantBody) { b.Grant = "taken" }), problem.Conflict},
		"a person as gateway":      {request.AppGrant, change(func(b *request.AppGrantBody) { b.Gateway = who("bob").id }), problem.NotFound},
		"past":                     {request.AppGrant, change(func(b *request.AppGrantBody) { b.NotAfter = a.now / 1e9 }), problem.Expired},
		"too long":                 {request.AppGrant, change(func(b *request.AppGrantBody) { b.NotAfter = a.now/1e9 + request.MaxGrant + 1 }), problem.Malformed},
		"as long as can be":        {request.AppGrant, change(func(b *request.AppGrantBody) { b.NotAfter = a.now/1e9 + request.MaxGrant }), ""},
		"an unknown mechanism":     {request.AppGrant, change(func(b *request.AppGrantBody) { b.Mechanisms = []uint64{0x7777} }), problem.Malformed},
		"no such grant":            {request.AppRevoke, request.AppRevokeBody{Grant: "none"}, problem.NotFound},
		"a grant":                  {request.AppRevoke, request.AppRevokeBody{Grant: "taken"}, ""},
		"a key that never existed": {request.AppKeyRevoke, request.AppKeyRevokeBody{Keys: []custody.KeyID{entry.KeyOf(appKey(5))}}, ""},
	} {
		if got := ask(x.op, x.body); got != x.want {
			t.Errorf("%s: %q, want %q", name, got, x.want)
		}
	}
	for p, change := range map[points.Point]func(*request.AppGrantBody){
		points.AppKeys: func(b *request.AppGrantBody) { b.Functions = b.Functions[:1] }, points.RawSign: func(*request.AppGrantBody) {},
		points.AppImport: func(b *request.AppGrantBody) { b.Import = true }, points.AppCompat: func(b *request.AppGrantBody) { b.Compat = true }} {
		b := a.body("new")
		change(&b)
		id := a.approved(t, request.AppGrant, b, "bob", "carol")
		e := a.effect(t, id)
		a.s.life.Allowed = a.s.life.Allowed.Without(p)
		if got := ask(request.AppGrant, b); got != problem.Forbidden {
			t.Errorf("%s is off: %q", p, got)
		}
		a.refused(t, p.String()+" is off", e)
		a.s.life.Allowed = a.s.life.Allowed.With(p)
		a.must(t, a.approval(t, id, who("alice"), request.Cancel))
	}
}

// The effect must be what the request does, and other effects have nothing to do with applications.
func TestAppEffect(t *testing.T) {
	t.Parallel()
	a := newApps(t)
	a.grant(t, a.body("app"))
	id := a.approved(t, request.AppGrant, a.body("app"), "bob", "carol")
	for name, spoil := range map[string]func(*entry.Effect){
		"another name":  func(e *entry.Effect) { e.App.Grant = "other" },
		"nothing ended": func(e *entry.Effect) { e.App.Ended = 0 },
		"more uses":     func(e *entry.Effect) { e.App.Used++ },
		"keys":          func(e *entry.Effect) { e.App.Keys = []custody.KeyID{entry.KeyOf(appKey(1))} },
		"nothing":       func(e *entry.Effect) { e.App = nil },
		"a document":    func(e *entry.Effect) { e.Document = a.s.Doc.Encode() },
		"a temperature": func(e *entry.Effect) { e.Warm = &entry.Warm{} },
	} {
		e := a.effect(t, id)
		spoil(e)
		a.refused(t, name, e)
	}
	a.must(t, a.effect(t, id))
	other := a.effect(t, a.approved(t, request.AddressCreate, request.AddressCreateBody{Wallet: "hot", Count: 1}))
	other.App = &entry.App{Grant: "app"}
	a.refused(t, "addresses that end a grant", other)
}

// The image has no section 21 while there is nothing in it, and takes none that is empty, out of order or twice there.
func TestAppSection(t *testing.T) {
	t.Parallel()
	a := newApps(t)
	if m := a.s.Image(); m.Apps != nil || len(m.sections()) != 18 {
		t.Fatalf("%d sections", len(m.sections()))
	}
	a.grant(t, a.body("a"))
	a.grant(t, a.body("b"))
	a.does(t, request.AppKeyRevoke, request.AppKeyRevokeBody{Keys: []custody.KeyID{entry.KeyOf(appKey(1)), entry.KeyOf(appKey(2))}})
	fresh := func() Image {
		var m Image
		if err := canon.Decode(canon.Encode(a.s.Image()), &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	for name, spoil := range map[string]func(*appSection){
		"none":          func(*appSection) {},
		"empty":         func(s *appSection) { *s = appSection{} },
		"grants turned": func(s *appSection) { slices.Reverse(s.Grants) },
		"keys turned":   func(s *appSection) { slices.Reverse(s.Revoked) },
		"one name":      func(s *appSection) { s.Grants[1].Body.Grant = "a" },
		"one caller":    func(s *appSection) { s.Grants[1].Body.Caller = s.Grants[0].Body.Caller },
	} {
		m := fresh()
		spoil(m.Apps)
		chunks := a.s.Chunks()
		s, err := Restore(m, func(h [32]byte) ([]byte, error) { return chunks[h], nil })
		if (err == nil) != (name == "none") {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && s.StateRoot() != a.s.StateRoot() {
			t.Error("the restored state has another root")
		}
	}
}

// Whatever happens, what a grant's uses add up to is no more than it allows, and each came before its end and with what it names: reckoned from
// the entries alone.
func TestUsesStayWithinGrants(t *testing.T) {
	t.Parallel()
	seen := lawtest.Counts{}
	lawtest.Check(t, seen.Want(1, "uses"), func(t *rapid.T) {
		d := newDriver(t)
		for range rapid.IntRange(10, 40).Draw(t, "steps") {
			if rapid.IntRange(0, 9).Draw(t, "restart") == 0 {
				d.s = d.restored(t)
			}
			d.advance(rapid.SampledFrom([]time.Duration{0, 0, 0, time.Second, time.Minute, time.Hour}).Draw(t, "later"))
			d.appStory(t)
		}
		seen["uses"] += int(sumOfGrants(t, d.log))
	})
}

// sumOfGrants adds up what was accounted to each grant.
func sumOfGrants(t *rapid.T, log []logged) (all uint64) {
	asked := map[custody.RequestID]request.Body{}
	grants := map[uint64]*request.AppGrantBody{}
	names := map[string]uint64{}
	sums := map[uint64]uint64{}
	gone := map[custody.KeyID]bool{}
	for _, x := range log {
		switch b := x.body.(type) {
		case *entry.Request:
			r, err := b.Parse()
			if err != nil {
				t.Fatal(err)
			}
			asked[r.Ident] = r.Decoded
		case *entry.Effect:
			switch o := asked[b.Request].(type) {
			case *request.AppGrantBody:
				for name, seq := range names {
					if grants[seq].Caller == o.Caller {
						delete(grants, seq)
						delete(names, name)
					}
				}
				grants[x.leaf.Seq], names[o.Grant] = o, x.leaf.Seq
			case *request.AppRevokeBody:
				delete(grants, names[o.Grant])
				delete(names, o.Grant)
			case *request.AppKeyRevokeBody:
				for _, k := range o.Keys {
					gone[k] = true
				}
			}
		case *entry.Uses:
			for _, c := range b.Counts {
				g := grants[c.Grant]
				if g == nil || x.leaf.Time+x.leaf.Bound > g.NotAfter*1e9 || gone[entry.KeyOf(c.Key)] || c.Mechanism != entry.NoMechanism && !slices.Contains(g.Mechanisms, c.Mechanism) {
					t.Fatalf("entry %d: a use that no grant allows", x.leaf.Seq)
				}
				if sums[c.Grant] += c.Count; g.MaxUses > 0 && sums[c.Grant] > g.MaxUses {
					t.Fatalf("entry %d: more than the grant allows", x.leaf.Seq)
				}
				all += c.Count
			}
		}
	}
	return all
}

// Rules see what a grant is about.
func TestRulesSeeGrants(t *testing.T) {
	t.Parallel()
	for expr, want := range map[string]bool{
		`caller.startsWith("local:")`: true, `caller.startsWith("cert:")`: false, `gateway == "` + string(who("service").id) + `"`: true, `grant == "app"`: true,
		`"sign" in functions`: true, `"decrypt" in functions`: false, `mechanisms.all(m, m in ["0x1040", "0x1041"])`: true, `mechanisms.exists(m, m == "0x1")`: false,
		`maxUses > 0 && maxUses <= 100`: true, `mayImport || compat`: false, `count > 0`: false, `wallet == "x"`: false,
	} {
		doc := firstDocument()
		for i := range doc.Routes {
			if doc.Routes[i].ID == "apps" {
				doc.Routes[i].When.Expr = expr
			}
		}
		rules, err := policy.Compile(doc)
		if err != nil {
			t.Fatalf("%s: %v", expr, err)
		}
		a := newApps(t)
		b := a.body("app")
		b.MaxUses = 100
		r := a.request(who("alice"), request.AppGrant, b)
		p, err := request.Parse(r.Encode())
		if err != nil {
			t.Fatal(err)
		}
		f, e, _, err := Describe(rules, View{}, entry.Wallet{}, 0, p, policy.BySignature, Derive)
		if err != nil || e.App == nil || e.App.Caller != b.Caller || e.Until != b.NotAfter {
			t.Fatalf("%+v, %v", e, err)
		}
		if d := rules.Evaluate(f); (d.Outcome == policy.Allowed) != want {
			t.Errorf("%s: %s", expr, fmt.Sprint(d.Outcome, d.Unmet))
		}
	}
}
