// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"strongroom/internal/lawtest"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/price"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

var feeds = []string{"north", "south", "west"}

func feedKey(name string) ed25519.PrivateKey {
	h := sha256.Sum256([]byte("feed " + name))
	return ed25519.NewKeyFromSeed(h[:])
}

// feedSource has both chains' coins in USD: two of three signers, quotes of a minute, steps of 10 %.
func feedSource() policy.PriceSource {
	s := policy.PriceSource{ID: "feed", MinSigners: 2, MaxAge: 60, MaxStep: 1000,
		Pairs: []policy.Pair{{Asset: regtest.Native(), Currency: "USD"}, {Asset: evm.Native(), Currency: "USD"}}}
	for _, n := range feeds {
		s.Signers = append(s.Signers, price.Signer{ID: n, Pub: feedKey(n).Public().(ed25519.PublicKey)})
	}
	return s
}

// pricedWorld has both wallets and a limit in USD of all that is paid.
func pricedWorld(t tester, most uint64, w policy.Window) *world {
	t.Helper()
	d := firstDocument()
	d.PriceSources = []policy.PriceSource{feedSource()}
	d.Limits = []policy.Limit{{ID: "money", Measure: policy.MeasureFiat, Currency: "USD", Max: custody.U64(most), Window: w, Exceeded: policy.Deny,
		When: policy.Match{Operations: []request.Operation{request.Transfer}}}}
	return furnished(t, worldOf(t, d))
}

// tenths is a rate of so many tenths of a cent for a base unit.
func tenths(n int64) price.Rate {
	r := price.Rate{Mantissa: custody.U64(uint64(n)), Scale: 1}
	if n%10 == 0 {
		r = price.Rate{Mantissa: custody.U64(uint64(n / 10))}
	}
	return r
}

// quote is signed by a feed at a time so many seconds from now.
func (w *world) quote(name string, asset custody.AssetID, r price.Rate, ahead int64) price.Signed {
	return price.Sign(price.Quote{V: 1, Authority: w.s.Authority, Source: "feed", Asset: asset, Currency: "USD", Rate: r, AsOf: w.now/1e9 + ahead}, name, feedKey(name))
}

// quotes writes an entry of quotes, which an auditor accepts too.
func (w *world) quotes(t tester, list ...price.Signed) {
	t.Helper()
	slices.SortFunc(list, CompareQuotes)
	b := &entry.Quotes{Quotes: list}
	if err := w.s.Audit(w.leaf(b), b, Derive, nil); err != nil {
		t.Fatal(err)
	}
	w.must(t, b)
}

// all quotes both coins by all feeds.
func (w *world) allQuote(t tester, n int64) {
	t.Helper()
	var list []price.Signed
	for _, f := range feeds {
		list = append(list, w.quote(f, evm.Native(), tenths(n), 0), w.quote(f, regtest.Native(), tenths(n), 0))
	}
	w.quotes(t, list...)
}

// value gives the price of ether now: tenths of a cent, or why there is none.
func (w *world) value() string {
	p := w.s.PricesAt(w.at())(evm.Native(), "USD")
	if p.Rate == nil {
		return string(p.Lack)
	}
	return p.Rate.String()
}

// TestKillTheFeed: without prices nothing that needs one is taken or permitted, and all else goes on.
func TestKillTheFeed(t *testing.T) {
	t.Parallel()
	w := pricedWorld(t, 1_000_000, policy.Window{})
	held := func(what string) {
		t.Helper()
		e, _ := w.ask(t, 5)
		if e.Decision.Outcome != policy.Held || e.Decision.Rule != "money" || problem.KindOf(Refused(e.Decision)) != problem.NoPrice {
			t.Fatalf("%s: %+v", what, e.Decision)
		}
	}
	held("before the first quote")
	w.allQuote(t, 3)
	e, id := w.ask(t, 5)
	if e.Decision.Outcome != policy.Allowed || e.Decision.Limits[0].Amount != custody.U64(2) || len(e.Decision.Prices) != 1 || len(e.Decision.Prices[0].Quotes) != 3 || e.Facts.Fiat[0].Amount != custody.U64(2) {
		t.Fatalf("%+v", e.Decision)
	}
	w.advance(61 * time.Second)
	held("all quotes are stale")
	b := w.permit(t, id, "late", account0(0), 10)
	if b.Decision.Outcome != policy.Held {
		t.Fatalf("%+v", b.Decision)
	}
	w.refused(t, "a permit without a price", b)
	p, _ := w.s.Pending(id)
	wants(t, "ready", w.s.Ready(p, w.at(), Derive), problem.NoPrice)
	w.must(t, w.effect(t, w.approved(t, request.AddressCreate, request.AddressCreateBody{Wallet: "hot", Count: 1})))
	w.must(t, w.effect(t, w.approved(t, request.GroupSet, request.GroupSetBody{Group: "spare", Members: nil}, "bob", "carol")))
	w.allQuote(t, 3)
	w.must(t, w.permit(t, id, "in time", account0(0), 10))
}

// TestQuotesThatAreRefused: each is refused by the fold, or where only the signature is wrong by who records and who audits.
func TestQuotesThatAreRefused(t *testing.T) {
	t.Parallel()
	w := pricedWorld(t, 100, policy.Window{})
	w.allQuote(t, 3)
	w.advance(10 * time.Second)
	sign := func(change func(*price.Quote), name string) price.Signed {
		q := w.quote(name, evm.Native(), tenths(3), 0).Said
		change(&q)
		return price.Sign(q, name, feedKey(name))
	}
	for what, x := range map[string]struct {
		q    price.Signed
		kind problem.Kind
	}{
		"another authority": {sign(func(q *price.Quote) { q.Authority[0]++ }, "north"), problem.Forbidden},
		"unknown source":    {sign(func(q *price.Quote) { q.Source = "other" }, "north"), problem.Forbidden},
		"unknown pair":      {sign(func(q *price.Quote) { q.Currency = "EUR" }, "north"), problem.Forbidden},
		"unknown signer":    {sign(func(*price.Quote) {}, "east"), problem.Forbidden},
		"of the future":     {sign(func(q *price.Quote) { q.AsOf += SourceAhead + 2 }, "north"), problem.Malformed},
		"stale":             {sign(func(q *price.Quote) { q.AsOf -= 61 }, "north"), problem.Expired},
		"replayed":          {sign(func(q *price.Quote) { q.AsOf -= 10 }, "north"), problem.AlreadyDone},
		"older":             {sign(func(q *price.Quote) { q.AsOf -= 11 }, "north"), problem.AlreadyDone},
		"malformed":         {sign(func(q *price.Quote) { q.Rate.Scale = 99 }, "north"), problem.Malformed},
	} {
		wants(t, what, w.s.FitsQuote(x.q, w.at()), x.kind)
		w.refused(t, what, &entry.Quotes{Quotes: []price.Signed{x.q}})
	}
	good, other := w.quote("north", evm.Native(), tenths(3), 0), w.quote("south", evm.Native(), tenths(3), 0)
	forged := good
	forged.Signer = "south"
	wants(t, "forged", VerifyQuote(&w.s.Doc, forged), problem.Unauthenticated)
	b := &entry.Quotes{Quotes: []price.Signed{forged}}
	if err := w.s.Audit(w.leaf(b), b, Derive, nil); err == nil {
		t.Error("an auditor takes a forged quote")
	}
	w.refused(t, "no quote", &entry.Quotes{})
	w.refused(t, "out of order", &entry.Quotes{Quotes: []price.Signed{other, good}})
	w.refused(t, "twice", &entry.Quotes{Quotes: []price.Signed{good, good}})
	w.refused(t, "too many", &entry.Quotes{Quotes: make([]price.Signed, entry.MaxQuotes+1)})
	w.quotes(t, good, other)
}

// TestMinorityLies: one of three signers moves the value nowhere, and one alone makes none.
func TestMinorityLies(t *testing.T) {
	t.Parallel()
	w := pricedWorld(t, 100, policy.Window{})
	w.quotes(t, w.quote("north", evm.Native(), tenths(1000), 0))
	if got := w.value(); got != "stale" {
		t.Errorf("one signer makes a value: %s", got)
	}
	w.quotes(t, w.quote("south", evm.Native(), tenths(10), 0), w.quote("west", evm.Native(), tenths(11), 0))
	if got := w.value(); got != "1.1" {
		t.Errorf("got %s, want the median", got)
	}
	w.advance(time.Second)
	w.quotes(t, w.quote("north", evm.Native(), tenths(1), 0))
	if got := w.value(); got != "1" {
		t.Errorf("got %s, want the median", got)
	}
}

// TestStep: a value further than maxStep from the last one is none, until all three say it, or the rules of the source change.
func TestStep(t *testing.T) {
	t.Parallel()
	w := pricedWorld(t, 100, policy.Window{})
	w.allQuote(t, 100)
	step := func(n int64, names ...string) {
		t.Helper()
		w.advance(time.Second)
		var list []price.Signed
		for _, name := range names {
			list = append(list, w.quote(name, evm.Native(), tenths(n), 0))
		}
		w.quotes(t, list...)
	}
	for _, x := range []struct {
		n     int64
		names []string
		want  string
	}{
		{110, []string{"north", "south"}, "11"},      // the full step
		{122, []string{"north", "south"}, "stepped"}, // measured from 110, not 100: 121 would do
		{109, []string{"north"}, "10.9"},             // 10, 10.9, 12.2
		{130, feeds, "13"},                           // all agree
		{50, []string{"north", "south"}, "stepped"},
		{50, []string{"west"}, "5"},
	} {
		step(x.n, x.names...)
		if got := w.value(); got != x.want {
			t.Errorf("%v say %d: %s, want %s", x.names, x.n, got, x.want)
		}
	}
	step(90, "north", "south")
	w.advance(61 * time.Second)
	step(90, "north", "south")
	if got := w.value(); got != "stepped" {
		t.Errorf("a feed that was dead steps: %s", got)
	}
	d := w.s.Doc
	d.Version, d.PrevHash = d.Version+1, w.s.Rules.Hash()
	d.PriceSources = []policy.PriceSource{feedSource()}
	d.PriceSources[0].MaxStep = 2000
	w.must(t, w.effect(t, w.approved(t, request.PolicyChange, request.PolicyChangeBody{Document: d.Encode()}, "bob", "carol")))
	if got := w.value(); got != "9" {
		t.Errorf("after the change of the rules: %s", got)
	}
	old := w.quote("north", evm.Native(), tenths(1), 0)
	wants(t, "a replay after the change", w.s.FitsQuote(old, w.at()), problem.AlreadyDone)
}

// TestStepNeedsAll: where one signer is enough, two who agree on a step are not all.
func TestStepNeedsAll(t *testing.T) {
	t.Parallel()
	d := firstDocument()
	d.PriceSources = []policy.PriceSource{feedSource()}
	d.PriceSources[0].MinSigners = 1
	w := worldOf(t, d)
	w.quotes(t, w.quote("north", evm.Native(), tenths(100), 0))
	w.advance(time.Second)
	w.quotes(t, w.quote("north", evm.Native(), tenths(200), 0), w.quote("south", evm.Native(), tenths(200), 0))
	if got := w.value(); got != "stepped" {
		t.Errorf("two of three: %s", got)
	}
	w.quotes(t, w.quote("west", evm.Native(), tenths(300), 0))
	if got := w.value(); got != "stepped" {
		t.Errorf("three who do not agree: %s", got)
	}
	w.advance(time.Second)
	w.quotes(t, w.quote("west", evm.Native(), tenths(201), 0))
	if got := w.value(); got != "20" {
		t.Errorf("all: %s", got)
	}
}

// TestSignersLeave: a document without a signer, or with another key of theirs, forgets what they said.
func TestSignersLeave(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*policy.PriceSource){
		"gone":        func(s *policy.PriceSource) { s.Signers = s.Signers[1:] },
		"another key": func(s *policy.PriceSource) { s.Signers[0].Pub = feedKey("new").Public().(ed25519.PublicKey) },
	} {
		w := pricedWorld(t, 100, policy.Window{})
		w.allQuote(t, 100)
		d := w.s.Doc
		d.Version, d.PrevHash, d.PriceSources = d.Version+1, w.s.Rules.Hash(), []policy.PriceSource{feedSource()}
		change(&d.PriceSources[0])
		w.must(t, w.effect(t, w.approved(t, request.PolicyChange, request.PolicyChangeBody{Document: d.Encode()}, "bob", "carol")))
		if n := len(w.s.gov.prices.quotes); n != 4 || len(w.s.gov.prices.accepted) != 0 {
			t.Errorf("%s: %d quotes and %d values are left", name, n, len(w.s.gov.prices.accepted))
		}
		w.restores(t)
	}
}

// TestPriceImageRefused: an image whose quotes can't be is not restored.
func TestPriceImageRefused(t *testing.T) {
	t.Parallel()
	w := pricedWorld(t, 100, policy.Window{})
	w.allQuote(t, 100)
	for name, spoil := range map[string]func(*priceSection){
		"empty":          func(p *priceSection) { *p = priceSection{} },
		"order":          func(p *priceSection) { p.Quotes[0], p.Quotes[1] = p.Quotes[1], p.Quotes[0] },
		"unknown source": func(p *priceSection) { p.Quotes[0].Source = "other" },
		"unknown signer": func(p *priceSection) { p.Quotes[0].Signer = "a" },
		"unknown pair":   func(p *priceSection) { p.Quotes[0].Currency = "CHF" },
		"future":         func(p *priceSection) { p.Quotes[0].Seq = w.s.Next },
		"no rate":        func(p *priceSection) { p.Quotes[0].Rate = price.Rate{} },
		"value, pair":    func(p *priceSection) { p.Accepted[0].Currency = "CHF" },
		"value, order":   func(p *priceSection) { p.Accepted[0], p.Accepted[1] = p.Accepted[1], p.Accepted[0] },
		"value, future":  func(p *priceSection) { p.Accepted[0].Seq = w.s.Next },
	} {
		var m Image
		if err := canon.Decode(canon.Encode(w.s.Image()), &m); err != nil {
			t.Fatal(err)
		}
		spoil(m.Governance.Prices)
		if _, err := Restore(m, func(h [32]byte) ([]byte, error) { return w.s.Chunks()[h], nil }); err == nil {
			t.Errorf("%s: restored", name)
		}
	}
}

// modelPrices is the naive model: latest quotes, and values accepted, in tenths of a cent.
type modelPrices struct {
	quotes   map[string][2]int64 // "asset feed": rate, time
	accepted map[custody.AssetID]int64
}

func (m *modelPrices) value(w *world, a custody.AssetID) (int64, bool) {
	var fresh []int64
	for _, f := range feeds {
		if q, ok := m.quotes[string(a)+" "+f]; ok && w.now+w.bound <= (q[1]+60)*1e9 {
			fresh = append(fresh, q[0])
		}
	}
	if len(fresh) < 2 {
		return 0, false
	}
	slices.Sort(fresh)
	v := fresh[len(fresh)/2]
	near := func(x, of int64) bool { return max(x-of, of-x)*10 <= of }
	if last, ok := m.accepted[a]; ok && !near(v, last) && !(len(fresh) == 3 && near(fresh[0], v) && near(fresh[2], v)) {
		return 0, false
	}
	return v, true
}

// TestLimitsInMoneyAreNeverPassed: quotes come, age and step, requests of two assets are asked, permitted and cancelled in any order; what permits pay, each valued
// by the naive model at its own time and rounded up, is never more than the limit, and nothing is permitted whose value the model does not know.
func TestLimitsInMoneyAreNeverPassed(t *testing.T) {
	t.Parallel()
	reached := lawtest.Counts{}
	lawtest.Check(t, reached.Want(1, "a permit", "a payment over the limit", "a payment without a value"), func(t *rapid.T) {
		const most = 400
		w := pricedWorld(t, most, policy.Window{})
		m := &modelPrices{map[string][2]int64{}, map[custody.AssetID]int64{}}
		type asking struct {
			asset  custody.AssetID
			amount uint64
		}
		open, paid, slot := map[custody.RequestID]asking{}, uint64(0), byte(0)
		worth := func(a asking) (uint64, bool) {
			v, ok := m.value(w, a.asset)
			return (a.amount*uint64(v) + 9) / 10, ok
		}
		quote := func(t *rapid.T) {
			asset := rapid.SampledFrom([]custody.AssetID{evm.Native(), regtest.Native()}).Draw(t, "asset")
			list := []price.Signed{}
			for _, f := range feeds {
				if !rapid.Bool().Draw(t, f) {
					continue
				}
				n := rapid.SampledFrom([]int64{20, 21, 22, 23, 40}).Draw(t, "rate")
				q := w.quote(f, asset, tenths(n), 0)
				if k := string(asset) + " " + f; m.quotes[k][1] < q.Said.AsOf {
					m.quotes[k] = [2]int64{n, q.Said.AsOf}
					list = append(list, q)
				}
			}
			if len(list) == 0 {
				return
			}
			w.quotes(t, list...)
			if v, ok := m.value(w, asset); ok {
				m.accepted[asset] = v
			} else {
				reached["a payment without a value"]++
			}
		}
		quote(t)
		t.Repeat(map[string]func(*rapid.T){
			"quote": quote,
			"later": func(t *rapid.T) { w.advance(time.Duration(rapid.IntRange(1, 25).Draw(t, "seconds")) * time.Second) },
			"ask": func(t *rapid.T) {
				a := asking{evm.Native(), rapid.Uint64Range(1, 60).Draw(t, "amount")}
				body := payEVM(a.amount)
				if rapid.Bool().Draw(t, "bitcoin") {
					a.asset, a.amount = regtest.Native(), a.amount+546
					body = payBTC(a.amount)
					a.amount = 0
					for _, o := range body.Outputs {
						v, _ := o.Amount.Uint64()
						a.amount += v
					}
				}
				r := w.request(who("service"), request.Transfer, body)
				e := w.asked(t, who("service"), r)
				if err := w.s.Audit(w.leaf(e), e, Derive, nil); err != nil {
					t.Fatal(err)
				}
				v, known := worth(a)
				if e.Decision.Outcome == policy.Allowed && (!known || e.Decision.Limits[0].Amount != custody.U64(v)) {
					t.Fatalf("worth %d (known: %t): %+v", v, known, e.Decision)
				}
				if !known && e.Decision.Outcome != policy.Held {
					t.Fatalf("not known: %+v", e.Decision)
				}
				if w.must(t, e); e.Decision.Outcome == policy.Allowed {
					open[r.ID()] = a
				}
			},
			"permit": func(t *rapid.T) {
				id, ok := oneOf(t, open)
				if !ok {
					t.Skip()
				}
				a := open[id]
				where := account0(w.s.NextNonce("hot", 0))
				if a.asset != evm.Native() {
					slot++
					where = inputs(slot)
				}
				v, known := worth(a)
				err := w.write(w.permit(t, id, fmt.Sprint(w.s.Next), where, 10))
				if may := known && paid+v <= most; err == nil && !may {
					t.Fatalf("permitted: worth %d (known: %t), %d paid", v, known, paid)
				}
				if err != nil {
					reached["a payment over the limit"]++
					return
				}
				reached["a permit"]++
				paid += v
				delete(open, id)
			},
			"cancel": func(t *rapid.T) {
				if id, ok := oneOf(t, open); ok {
					w.must(t, w.approval(t, id, who("service"), request.Cancel))
					delete(open, id)
				}
			},
			"restart": func(t *rapid.T) { w.restores(t) },
			"": func(t *rapid.T) {
				for _, a := range []custody.AssetID{evm.Native(), regtest.Native()} {
					v, ok := m.value(w, a)
					if p := w.s.PricesAt(w.at())(a, "USD"); (p.Rate != nil) != ok || ok && *p.Rate != tenths(v) {
						t.Fatalf("%s: %+v, the model says %d (known: %t)", a, p, v, ok)
					}
				}
				if paid > most {
					t.Fatalf("%d paid", paid)
				}
			},
		})
	})
}

func oneOf[V any](t *rapid.T, m map[custody.RequestID]V) (id custody.RequestID, ok bool) {
	ids := make([]custody.RequestID, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return id, false
	}
	slices.SortFunc(ids, func(a, b custody.RequestID) int { return slices.Compare(a[:], b[:]) })
	return rapid.SampledFrom(ids).Draw(t, "which"), true
}

// TestCoinsAreNotMoney: where a limit in coins becomes one in money under the same id, what waits reserves no coins as if they were cents: it would stop everybody.
func TestCoinsAreNotMoney(t *testing.T) {
	t.Parallel()
	coins := limit("day", 5000, policy.Window{Rolling: 86400})
	w := limitedWorld(t, coins)
	r := w.request(who("alice"), request.Transfer, payEVM(2000))
	w.must(t, w.asked(t, who("alice"), r))
	money := coins
	money.Measure, money.Currency, money.Max = policy.MeasureFiat, "USD", custody.U64(1000)
	d := w.s.Doc
	d.Version, d.PrevHash = d.Version+1, d.Hash()
	d.PriceSources, d.Limits = []policy.PriceSource{feedSource()}, []policy.Limit{money}
	w.must(t, w.effect(t, w.approved(t, request.PolicyChange, request.PolicyChangeBody{Document: d.Encode()}, "bob", "carol")))
	w.allQuote(t, 3)
	w.restores(t)
	w.pay(t, 5)
	w.must(t, w.approval(t, r.ID(), who("bob"), request.Approve))
	w.must(t, w.approval(t, r.ID(), who("carol"), request.Approve))
	w.must(t, w.permit(t, r.ID(), "p", account0(1), 10)) // 600 cents
	w.denied(t, 1333, "day")                             // 400 more; 2 and 600 are used
	w.restores(t)
}

// TestDeniedIsNotWithoutAPrice: where a rule denies for what is known, it does not matter that it would have held for a price that is not: the request need not wait.
func TestDeniedIsNotWithoutAPrice(t *testing.T) {
	t.Parallel()
	noPrice, tooMuch := problem.Unmet{Rule: "rich", Criterion: policy.CriterionPrice}, problem.Unmet{Rule: "rich", Criterion: "amount.fiatOver"}
	for _, x := range []struct {
		unmet []problem.Unmet
		want  problem.Kind
	}{
		{[]problem.Unmet{noPrice}, problem.NoPrice},
		{[]problem.Unmet{noPrice, tooMuch}, problem.RefusedByRule},
		{[]problem.Unmet{tooMuch, {Rule: "other", Criterion: policy.CriterionPrice}}, problem.RefusedByRule},
	} {
		if k := problem.KindOf(Refused(policy.Decision{Outcome: policy.Denied, Rule: "rich", Unmet: x.unmet})); k != x.want {
			t.Errorf("%+v: %s, want %s", x.unmet, k, x.want)
		}
	}
}

// TestWhoIsAskedWhenAPriceRises: a request that has come to be worth more needs those whom the plan of now asks for, and their approvals are taken. Those of its
// acceptance are needed too.
func TestWhoIsAskedWhenAPriceRises(t *testing.T) {
	t.Parallel()
	d := firstDocument()
	d.PriceSources = []policy.PriceSource{feedSource()}
	d.Groups = append([]policy.Group{{ID: "desk", Members: []custody.PersonID{who("bob").id}}}, d.Groups...)
	d.Routes[0] = policy.Route{ID: "desk", Priority: 1, Plan: policy.Plan{AnyOf: []policy.Branch{{Steps: []policy.Step{{Group: "desk", Min: 1}}}}},
		When: policy.Match{Operations: []request.Operation{request.Transfer}, FiatMax: &policy.Fiat{Currency: "USD", Amount: custody.U64(1000)}}}
	w := furnished(t, worldOf(t, d))
	w.allQuote(t, 30)
	r := w.request(who("alice"), request.Transfer, payEVM(330)) // 990 cents
	w.must(t, w.asked(t, who("alice"), r))
	w.must(t, w.approval(t, r.ID(), who("bob"), request.Approve))
	carol := w.approval(t, r.ID(), who("carol"), request.Approve)
	w.refused(t, "who has no say", carol)
	p, _ := w.s.Pending(r.ID())
	wants(t, "carol has no say yet", w.s.CheckApproval(p, carol.Approval, w.at()), problem.Forbidden)
	w.advance(time.Second)
	w.allQuote(t, 32) // 1056 cents
	wants(t, "it needs two now", w.s.Ready(p, w.at(), Derive), problem.QuorumNotMet)
	if err := w.s.CheckApproval(p, carol.Approval, w.at()); err != nil {
		t.Fatal(err)
	}
	w.must(t, carol)
	if err := w.s.Ready(p, w.at(), Derive); err != nil {
		t.Fatal(err)
	}
	w.restores(t)
}
