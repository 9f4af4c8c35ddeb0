// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"bytes"
	"crypto/ed25519"
	"slices"
	"strings"
	"testing"
	"time"

	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/price"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

func feedKey(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
}

// withPrices limits what is paid in USD, by quotes of two signers, and asks for a guard in money too.
func withPrices(d *policy.Document) {
	s := policy.PriceSource{ID: "feed", MinSigners: 2, MaxAge: 60, MaxStep: 1000, Pairs: []policy.Pair{{Asset: domaintest.Chain.Native(), Currency: "USD"}}}
	for i, id := range []string{"north", "south"} {
		s.Signers = append(s.Signers, price.Signer{ID: id, Pub: feedKey(byte(i + 1)).Public().(ed25519.PublicKey)})
	}
	d.PriceSources = []policy.PriceSource{s}
	d.Limits = []policy.Limit{{ID: "money", Measure: policy.MeasureFiat, Currency: "USD", Max: custody.U64(1000), Window: policy.Window{Rolling: 3600}, Exceeded: policy.Deny,
		When: policy.Match{Operations: []request.Operation{request.Transfer}}}}
}

// quoted signs a price of so many cents for a base unit by the signers given by number.
func quoted(h *domaintest.Harness, cents uint64, by ...byte) (out []price.Signed) {
	for _, n := range by {
		q := price.Quote{V: 1, Authority: h.D.Authority(), Source: "feed", Asset: domaintest.Chain.Native(), Currency: "USD", Rate: price.Rate{Mantissa: custody.U64(cents)}, AsOf: h.Clock.Wall.Load() / 1e9}
		out = append(out, price.Sign(q, []string{"north", "south"}[n-1], feedKey(n)))
	}
	return out
}

// TestPricesInTheCore: quotes are taken, coalesced and rate limited; a permit needs one that is fresh at its time; a dead feed stops what needs it and nothing
// else; after a restart all is as before, and an auditor agrees.
func TestPricesInTheCore(t *testing.T) {
	t.Parallel()
	h := hotDomain(t, domaintest.Options{Document: withPrices, SnapshotEvery: 3})
	if st := h.D.Status(); st.NoPrices != 1 || !slices.ContainsFunc(st.Degraded, func(s string) bool { return strings.HasPrefix(s, "prices: ") }) {
		t.Errorf("%d without a price, degraded %q", st.NoPrices, st.Degraded)
	}
	if v := submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 100)); v.State != message.StateRefused {
		t.Errorf("without a price: %s", v.State)
	}
	hand := func(list []price.Signed) (message.StatementsTaken, error) {
		h.Clock.Advance(2 * time.Second)
		return h.D.Quotes(t.Context(), message.Quotes{Quotes: list})
	}
	taken, err := hand(quoted(h, 2, 1, 2))
	if err != nil || taken.Taken != 2 || taken.Entry == 0 {
		t.Fatalf("%+v, %v", taken, err)
	}
	if st := h.D.Status(); st.NoPrices != 0 || st.PriceAge != 2 {
		t.Errorf("%d without a price, age %d", st.NoPrices, st.PriceAge)
	}
	if _, err := h.D.Quotes(t.Context(), message.Quotes{Quotes: quoted(h, 2, 1)}); problem.KindOf(err) != problem.Busy {
		t.Errorf("at once again: %v", err)
	}
	h.Clock.Advance(time.Second)
	again := quoted(h, 2, 1)
	again = append(again, quoted(h, 2, 2)...)
	again[1].Sig = bytes.Clone(again[0].Sig)
	size := h.D.Status().Size
	if taken, err := hand(again); err != nil || taken.Taken != 0 || taken.Same != 1 || len(taken.Refused) != 1 || taken.Refused[0].Place != 1 || taken.Refused[0].Kind != problem.Unauthenticated || h.D.Status().Size != size {
		t.Errorf("the same price, and a forged one: %+v, %v", taken, err)
	}
	v := approvals(t, h, submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 100)), h.Bob, h.Carol)
	h.Reopen()
	h.Clock.Advance(61 * time.Second)
	if _, err := h.D.Sign(t.Context(), v.ID, payload(t, domaintest.Whitelisted, 100, 0, 100)); problem.KindOf(err) != problem.NoPrice {
		t.Errorf("signed by an old price: %v", err)
	}
	h.Wallet("other", domaintest.Chain, request.SchemeEVM)
	h.Check()
	if _, err := hand(quoted(h, 2, 1, 2)); err != nil {
		t.Fatal(err)
	}
	if _, err := h.D.Sign(t.Context(), v.ID, payload(t, domaintest.Whitelisted, 100, 0, 100)); err != nil {
		t.Fatal(err)
	}
	if p := h.D.Prices().Prices; len(p) != 1 || p[0].Price.Rate == nil || len(p[0].Quotes) != 2 {
		t.Errorf("%+v", p)
	}
	h.Check()
	h.Reopen()
	h.Check()
	if v := submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 401)); v.State != message.StateRefused { // 200 + 802 > 1000
		t.Errorf("beyond the limit: %s", v.State)
	}
}

// TestQuotesAtTheDoor: what is no list of quotes, and a list with an older quote of the same signer.
func TestQuotesAtTheDoor(t *testing.T) {
	t.Parallel()
	h := hotDomain(t, domaintest.Options{Document: withPrices})
	for _, n := range []int{0, entry.MaxQuotes + 1} {
		if _, err := h.D.Quotes(t.Context(), message.Quotes{Quotes: make([]price.Signed, n)}); problem.KindOf(err) != problem.Malformed {
			t.Errorf("%d quotes: %v", n, err)
		}
	}
	older := quoted(h, 2, 1)
	h.Clock.Advance(2 * time.Second)
	out, err := h.D.Quotes(t.Context(), message.Quotes{Quotes: append(older, quoted(h, 3, 1)...)})
	if err != nil || out.Taken != 1 || len(out.Refused) != 1 || out.Refused[0].Place != 0 || out.Refused[0].Kind != problem.AlreadyDone {
		t.Errorf("%+v, %v", out, err)
	}
	h.Clock.Unsure.Store(true)
	if _, err := h.D.Quotes(t.Context(), message.Quotes{Quotes: quoted(h, 3, 1)}); problem.KindOf(err) != problem.TimeUncertain {
		t.Errorf("without a sure clock: %v", err)
	}
	h.Clock.Unsure.Store(false)
	h.Check()
}

// TestQuotesOfManyCallers: entries of quotes are a second apart however many hand them in at a time.
func TestQuotesOfManyCallers(t *testing.T) {
	t.Parallel()
	h := hotDomain(t, domaintest.Options{Document: withPrices})
	for round := range 20 {
		h.Clock.Advance(2 * time.Second)
		size := h.D.Status().Size
		start, errs := make(chan struct{}), make(chan error, 2)
		for n := range byte(2) {
			list := quoted(h, uint64(round+1), n+1)
			for range 100 { // what takes time to refuse
				list = append(list, quoted(h, 1, n+1)...)
				list[len(list)-1].Sig = bytes.Clone(list[0].Sig)
			}
			go func() {
				<-start
				_, err := h.D.Quotes(t.Context(), message.Quotes{Quotes: list})
				errs <- err
			}()
		}
		close(start)
		busy := 0
		for range 2 {
			if err := <-errs; problem.KindOf(err) == problem.Busy {
				busy++
			} else if err != nil {
				t.Error(err)
			}
		}
		if got := h.D.Status().Size - size; got != 1 || busy != 1 {
			t.Fatalf("round %d: %d entries at once, %d told to wait", round, got, busy)
		}
	}
}

// TestOneSignerDoesNotFillTheLog: who has a signer's key can't have a quote recorded as often as they like, and leaves room for the others.
func TestOneSignerDoesNotFillTheLog(t *testing.T) {
	t.Parallel()
	h := hotDomain(t, domaintest.Options{Document: func(d *policy.Document) {
		withPrices(d)
		d.PriceSources[0].MaxAge = 3600
	}})
	size, other := h.D.Status().Size, 0
	for i := range uint64(300) {
		h.Clock.Advance(time.Second)
		out, err := h.D.Quotes(t.Context(), message.Quotes{Quotes: quoted(h, i+1, 1)})
		if err != nil || out.Taken+uint64(len(out.Refused)) != 1 || len(out.Refused) == 1 && out.Refused[0].Kind != problem.Busy {
			t.Fatalf("%+v, %v", out, err)
		}
		if i%100 != 50 {
			continue
		}
		if out, err := h.D.Quotes(t.Context(), message.Quotes{Quotes: quoted(h, 7+i, 2)}); err == nil && out.Taken == 1 {
			other++
		}
	}
	if n := h.D.Status().Size - size; n > 18 || other != 3 {
		t.Errorf("%d entries in five minutes, %d of the other signer", n, other)
	}
}
