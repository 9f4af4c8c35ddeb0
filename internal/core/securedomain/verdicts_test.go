// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/btc"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/testimony"
	"strongroom/internal/pure/verdict"
)

// withScreening holds transfers to whom there is no verdict on, and denies those over 40.
func withScreening(d *policy.Document) {
	d.ScreeningSources = []policy.ScreeningSource{{ID: "screen", MinSigners: 1, MaxAge: 60, Signers: []testimony.Signer{{ID: "north", Pub: feedKey(7).Public().(ed25519.PublicKey)}}}}
	over := uint32(40)
	transfers := []request.Operation{request.Transfer}
	d.Guards = append(d.Guards, policy.Guard{ID: "x-too-risky", Effect: policy.Deny, When: policy.Match{Operations: transfers, Screening: &policy.ScreeningMatch{RiskOver: &over}}},
		policy.Guard{ID: "x-unscreened", Effect: policy.Hold, When: policy.Match{Operations: transfers, Screening: &policy.ScreeningMatch{Missing: true}}})
}

// judged signs a verdict of so much risk on the address that is paid.
func judged(h *domaintest.Harness, risk uint32) verdict.Signed {
	at := h.Clock.Wall.Load() / 1e9
	return verdict.Sign(verdict.Verdict{V: 1, Authority: h.D.Authority(), Source: "screen", Subject: verdict.OfAddress(domaintest.Chain, domaintest.Whitelisted), Risk: risk, Exposure: verdict.NotExposed,
		Status: verdict.Accept, AsOf: at, Expires: at + 3600}, "north", feedKey(7))
}

// TestScreeningInTheCore: verdicts are taken, coalesced and rate limited; a permit needs one that is fresh and good enough at its time; a source that is silent stops
// what needs it and nothing else; after a restart all is as before, and an auditor agrees.
func TestScreeningInTheCore(t *testing.T) {
	t.Parallel()
	h := hotDomain(t, domaintest.Options{Document: withScreening, SnapshotEvery: 3})
	silent := func() bool {
		return slices.ContainsFunc(h.D.Status().Degraded, func(s string) bool { return strings.HasPrefix(s, "screening: source screen ") })
	}
	if st := h.D.Status(); st.Screening == nil || !st.Screening.Sources[0].Silent || !silent() {
		t.Errorf("%+v, degraded %q", st.Screening, st.Degraded)
	}
	v := submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 100))
	if v.State != message.StateRefused || v.Decision.Outcome != policy.Held {
		t.Errorf("without a verdict: %+v", v.Decision)
	}
	hand := func(list ...verdict.Signed) (message.StatementsTaken, error) {
		h.Clock.Advance(2 * time.Second)
		return h.D.Verdicts(t.Context(), message.Verdicts{Verdicts: list})
	}
	taken, err := hand(judged(h, 7))
	if err != nil || taken.Taken != 1 || taken.Entry == 0 {
		t.Fatalf("%+v, %v", taken, err)
	}
	if st := h.D.Status(); st.Screening.Kept != 1 || st.Screening.Sources[0].Silent || silent() {
		t.Errorf("%+v", st.Screening)
	}
	if _, err := h.D.Verdicts(t.Context(), message.Verdicts{Verdicts: []verdict.Signed{judged(h, 9)}}); problem.KindOf(err) != problem.Busy {
		t.Errorf("at once again: %v", err)
	}
	h.Clock.Advance(time.Second)
	again, forged := judged(h, 7), judged(h, 0)
	forged.Sig = bytes.Clone(again.Sig)
	size := h.D.Status().Size
	if taken, err := hand(again, forged); err != nil || taken.Taken != 0 || taken.Same != 1 || len(taken.Refused) != 1 || taken.Refused[0].Place != 1 || taken.Refused[0].Kind != problem.Unauthenticated || h.D.Status().Size != size {
		t.Errorf("the same verdict, and a forged one: %+v, %v", taken, err)
	}
	v = approvals(t, h, submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 100)), h.Bob, h.Carol)
	if e := v.Effects.Screening; len(e) != 1 || e[0].Risk != 7 || e[0].Source != "screen" {
		t.Errorf("people see %+v", e)
	}
	h.Reopen()
	sign := func() error {
		_, err := h.D.Sign(t.Context(), v.ID, payload(t, domaintest.Whitelisted, 100, 0, 100))
		return err
	}
	h.Clock.Advance(62 * time.Second)
	if err := sign(); problem.KindOf(err) != problem.NoVerdict {
		t.Errorf("signed by an old verdict: %v", err)
	}
	h.Wallet("other", domaintest.Chain, request.SchemeEVM)
	h.Check()
	if !silent() {
		t.Error("nobody says that the source is silent")
	}
	if _, err := hand(judged(h, 41)); err != nil {
		t.Fatal(err)
	}
	if err := sign(); problem.KindOf(err) != problem.RefusedByRule {
		t.Errorf("signed although it is risky now: %v", err)
	}
	if _, err := hand(judged(h, 40)); err != nil {
		t.Fatal(err)
	}
	if err := sign(); err != nil {
		t.Fatal(err)
	}
	h.Check()
	h.Reopen()
	h.Check()
	sub := verdict.OfAddress(domaintest.Chain, domaintest.Whitelisted)
	out, err := h.D.Screening(message.ScreeningAsk{Subject: &sub})
	if err != nil || len(out.Verdicts) != 1 || !out.Verdicts[0].Fresh || out.Verdicts[0].Verdict.Risk != 40 || len(out.Says) != 1 || out.Says[0].Risk != 40 || len(out.Sources) != 1 || out.Sources[0].Kept != 1 {
		t.Errorf("%+v, %v", out, err)
	}
	other := verdict.OfRequest([32]byte{1})
	if out, err := h.D.Screening(message.ScreeningAsk{Subject: &other, Source: "screen"}); err != nil || len(out.Verdicts) != 0 || out.Says[0].Lack != policy.NoQuotes {
		t.Errorf("of another: %+v, %v", out, err)
	}
}

// TestVerdictsAtTheDoor: what is no list of verdicts, a list with an older one of the same signer, and a question about no subject.
func TestVerdictsAtTheDoor(t *testing.T) {
	t.Parallel()
	h := hotDomain(t, domaintest.Options{Document: withScreening})
	for _, n := range []int{0, entry.MaxVerdicts + 1} {
		if _, err := h.D.Verdicts(t.Context(), message.Verdicts{Verdicts: make([]verdict.Signed, n)}); problem.KindOf(err) != problem.Malformed {
			t.Errorf("%d verdicts: %v", n, err)
		}
	}
	older := judged(h, 2)
	h.Clock.Advance(2 * time.Second)
	out, err := h.D.Verdicts(t.Context(), message.Verdicts{Verdicts: []verdict.Signed{older, judged(h, 3)}})
	if err != nil || out.Taken != 1 || len(out.Refused) != 1 || out.Refused[0].Place != 0 || out.Refused[0].Kind != problem.AlreadyDone {
		t.Errorf("%+v, %v", out, err)
	}
	if _, err := h.D.Screening(message.ScreeningAsk{Subject: &verdict.Subject{}}); problem.KindOf(err) != problem.Malformed {
		t.Errorf("about nobody: %v", err)
	}
	h.Clock.Unsure.Store(true)
	if _, err := h.D.Verdicts(t.Context(), message.Verdicts{Verdicts: []verdict.Signed{judged(h, 3)}}); problem.KindOf(err) != problem.TimeUncertain {
		t.Errorf("without a sure clock: %v", err)
	}
	h.Clock.Unsure.Store(false)
	h.Check()
}

// TestVerdictsAtOnce: of lists that are handed in at the same time one becomes an entry; the others come too soon after it.
func TestVerdictsAtOnce(t *testing.T) {
	t.Parallel()
	h := hotDomain(t, domaintest.Options{Document: withScreening})
	size := h.D.Status().Size
	list := make([]verdict.Signed, 64)
	for i := range list {
		v := judged(h, 1).Said
		v.Subject = verdict.OfRequest([32]byte{byte(i)})
		list[i] = verdict.Sign(v, "north", feedKey(7))
	}
	start := make(chan struct{})
	var all sync.WaitGroup
	for _, x := range list {
		all.Go(func() {
			<-start
			if _, err := h.D.Verdicts(t.Context(), message.Verdicts{Verdicts: []verdict.Signed{x}}); err != nil && problem.KindOf(err) != problem.Busy {
				t.Error(err)
			}
		})
	}
	close(start)
	all.Wait()
	if n := h.D.Status().Size - size; n != 1 {
		t.Errorf("%d entries within a second", n)
	}
}

// TestListFitsInAnAnswer: requests with many outputs, of each of which many sources say something, are listed in as many answers as they need.
func TestListFitsInAnAnswer(t *testing.T) {
	t.Parallel()
	h := domaintest.New(t, domaintest.Options{Document: func(d *policy.Document) {
		over := uint32(40)
		for i := range policy.MaxScreeningSources {
			d.ScreeningSources = append(d.ScreeningSources, policy.ScreeningSource{ID: fmt.Sprintf("source-%02d-%s", i, strings.Repeat("x", 30)), MinSigners: 1, MaxAge: 60,
				Signers: []testimony.Signer{{ID: "north", Pub: feedKey(byte(20 + i)).Public().(ed25519.PublicKey)}}})
		}
		d.Guards = nil
		d.Obligations = []policy.Obligation{{ID: "risky", Add: policy.Addition{Delay: 60}, When: policy.Match{Operations: []request.Operation{request.Transfer}, Screening: &policy.ScreeningMatch{RiskOver: &over}}}}
	}})
	h.Wallet("coins", custody.BitcoinRegtest, request.SchemeP2WPKH)
	body := request.TransferBody{Wallet: "coins", Asset: custody.BitcoinRegtest.Native(), FeeCap: custody.U64(1000)}
	for i := range request.MaxOutputs {
		a, err := btc.Script(append([]byte{0, 20, byte(i), byte(i >> 8)}, make([]byte, 18)...)).Address(btc.Regtest)
		if err != nil {
			t.Fatal(err)
		}
		body.Outputs = append(body.Outputs, request.Output{Address: a, Amount: custody.U64(1000)})
	}
	const asked = 12
	for range asked {
		submitted(t, h, h.Alice, h.Request(h.Alice, request.Transfer, body))
	}
	seen, from := 0, uint64(0)
	for {
		list := h.D.Requests(message.List{From: from, Limit: 200})
		if len(list.Requests) == 0 {
			break
		}
		if n := len(canon.Encode(&list)); n > gate.MaxFrame*3/4 {
			t.Fatalf("an answer has %d bytes", n)
		}
		seen += len(list.Requests)
		from = list.Requests[len(list.Requests)-1].Seq + 1
	}
	if seen != asked {
		t.Errorf("%d requests are listed", seen)
	}
}
