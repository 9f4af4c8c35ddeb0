// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"slices"
	"testing"
	"time"

	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// receipted requires that an answer carries the receipt of an act: of the entry that recorded it, with the state that the answer tells.
func receipted(t *testing.T, h *domaintest.Harness, what string, v message.Request, err error, act [32]byte, mac []byte) message.Receipt {
	t.Helper()
	if err != nil || v.Receipt == nil {
		t.Fatalf("%s: no receipt: %v, %+v", what, err, v)
	}
	r := *v.Receipt
	good := ed25519.Verify(h.Genesis.Identity, r.Message(), r.Sig)
	if mac != nil {
		m := hmac.New(sha256.New, mac)
		m.Write(r.Message())
		good = hmac.Equal(m.Sum(nil), r.Sig)
	}
	all := scan(t, h)
	var recorded [32]byte
	switch b := all[r.Seq].body.(type) {
	case *entry.Request:
		recorded = mustRequest(t, b.Request).Hash()
	case *entry.Approval:
		recorded = b.Approval.Hash()
	}
	if !good || r.Act != act || r.State != v.State || r.Request != v.ID || r.Authority != h.D.Authority() || r.Domain != h.D.ID() || r.Leaf != all[r.Seq].hash ||
		(recorded != act && all[r.Seq].leaf.Kind != entry.KindApproval) {
		t.Fatalf("%s: signed %v, entry of %x, receipt %+v", what, good, recorded, r)
	}
	return r
}

// Every submission that is recorded has a receipt, and the same one again the receipt of the same entry, wherever the request stands.
func TestEverySubmissionHasItsReceipt(t *testing.T) {
	t.Parallel()
	h := hotDomain(t, domaintest.Options{})
	s := opened(t, h)
	again := func(what string, by domaintest.Person, r request.Request, first message.Receipt) {
		t.Helper()
		v, err := h.Submit(by, r, nil)
		if x := receipted(t, h, what, v, err, r.Hash(), nil); x.Seq != first.Seq || x.Leaf != first.Leaf {
			t.Errorf("%s: entry %d, first %d", what, x.Seq, first.Seq)
		}
	}
	r := pay(h, h.Alice, domaintest.Whitelisted, 1000)
	v, err := h.Submit(h.Alice, r, nil)
	first := receipted(t, h, "pending", v, err, r.Hash(), nil)
	again("pending again", h.Alice, r, first)
	approvals(t, h, v, h.Bob, h.Carol)
	again("ready", h.Alice, r, first)
	if _, err := h.D.Sign(context.Background(), v.ID, payload(t, domaintest.Whitelisted, 1000, 0, 10)); err != nil {
		t.Fatal(err)
	}
	again("signed", h.Alice, r, first)

	rejected := pay(h, h.Alice, domaintest.Whitelisted, 1001)
	v, err = h.Submit(h.Alice, rejected, nil)
	first = receipted(t, h, "to reject", v, err, rejected.Hash(), nil)
	if _, err := h.Decide(h.Bob, v, request.Reject); err != nil {
		t.Fatal(err)
	}
	again("rejected", h.Alice, rejected, first)

	auto := h.Request(h.Alice, request.AddressCreate, request.AddressCreateBody{Wallet: "hot", Count: 2})
	v, err = h.Submit(h.Alice, auto, nil)
	first = receipted(t, h, "executed at once", v, err, auto.Hash(), nil)
	again("executed", h.Alice, auto, first)

	refused := pay(h, h.Alice, domaintest.Stranger, 1)
	v, err = h.Submit(h.Alice, refused, nil)
	again("refused", h.Alice, refused, receipted(t, h, "refused by the rules", v, err, refused.Hash(), nil))

	// A session's requests have a MAC, at once and again; the same request with another evidence has the receipt of that.
	small := pay(h, h.Service, domaintest.Whitelisted, 7)
	p := payload(t, domaintest.Whitelisted, 7, 1, 10)
	v, err = s.submit(small, p)
	first = receipted(t, h, "signed at once", v, err, small.Hash(), s.mac)
	if v, err = s.submit(small, p); receipted(t, h, "signed at once, again", v, err, small.Hash(), s.mac).Seq != first.Seq {
		t.Error("the receipt of a retry is of another entry")
	}
	again("signed at once, asked for with a key", h.Service, small, first)
	waiting := pay(h, h.Service, domaintest.Whitelisted, 8)
	v, err = s.submit(waiting, nil)
	receipted(t, h, "without a payload", v, err, waiting.Hash(), s.mac)
	h.Check()
}

// A decision that was handed in and not answered can be handed in again, whatever became of its request, and is told its entry.
func TestADecisionAgainHasItsReceipt(t *testing.T) {
	t.Parallel()
	h := hotDomain(t, domaintest.Options{})
	decide := func(by domaintest.Person, v message.Request, d request.Decision) message.Receipt {
		t.Helper()
		out, err := h.Decide(by, v, d)
		act := h.Approval(by, v, d).Hash()
		return receipted(t, h, string(d), out, err, act, nil)
	}
	same := func(what string, a, b message.Receipt) {
		t.Helper()
		if a.Seq != b.Seq || a.Leaf != b.Leaf || a.Act != b.Act {
			t.Errorf("%s: %+v, first %+v", what, b, a)
		}
	}
	v := submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 1000))
	bob := decide(h.Bob, v, request.Approve)
	same("pending", bob, decide(h.Bob, v, request.Approve))
	carol := decide(h.Carol, v, request.Approve)
	same("ready", bob, decide(h.Bob, v, request.Approve))
	for _, price := range []uint64{10, 20} { // a replacement rides on the approvals of the first
		if _, err := h.D.Sign(context.Background(), v.ID, payload(t, domaintest.Whitelisted, 1000, 0, price)); err != nil {
			t.Fatal(err)
		}
		same("signed", bob, decide(h.Bob, v, request.Approve))
		same("signed", carol, decide(h.Carol, v, request.Approve))
	}
	h.Clock.Advance(2 * time.Hour)
	submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 5)) // its entry ends what is past its time
	same("past its time", carol, decide(h.Carol, v, request.Approve))

	v = submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 1001))
	same("rejected", decide(h.Carol, v, request.Reject), decide(h.Carol, v, request.Reject))
	_, err := h.Decide(h.Bob, v, request.Reject)
	wantKind(t, "another's rejection, too late", err, problem.Conflict)
	_, err = h.Decide(h.Carol, v, request.Approve)
	wantKind(t, "an approval after the rejection", err, problem.Conflict)

	v = submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 1002))
	same("cancelled", decide(h.Alice, v, request.Cancel), decide(h.Alice, v, request.Cancel))

	v = submitted(t, h, h.Alice, h.Request(h.Alice, request.WalletCreate, request.WalletCreateBody{Wallet: "two", Chain: domaintest.Chain, Scheme: request.SchemeEVM}))
	bob = decide(h.Bob, v, request.Approve)
	if bob.State != message.StateExecuted {
		t.Errorf("the wallet is %s", bob.State)
	}
	same("executed", bob, decide(h.Bob, v, request.Approve))
	forged := h.Approval(h.Bob, v, request.Approve)
	forged.Sig[3] ^= 1
	_, err = h.D.Approve(context.Background(), message.Approve{Approval: forged})
	wantKind(t, "a forgery of what is recorded", err, problem.Conflict)
	h.Check()
}

// A second signature of the same statement by the same key, as ECDSA makes them, is the same decision.
func TestADecisionSignedAnewHasItsReceipt(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	pub := request.PublicKey{Alg: request.P256, Pub: append([]byte{2 + raw[64]&1}, raw[1:33]...)}
	carol := domaintest.NewPerson("carol").ID
	h := hotDomain(t, domaintest.Options{Document: func(d *policy.Document) {
		i := slices.IndexFunc(d.Principals, func(p policy.Principal) bool { return p.ID == carol })
		d.Principals[i].Keys = append(d.Principals[i].Keys, pub)
	}})
	sign := func(v message.Request, d request.Decision) request.Approval {
		r := mustRequest(t, v.Request)
		st := authority.StatementOf(h.D.Authority(), h.D.ID(), v.ID, r.Initiator, v.Effects, v.Bounds, v.Decision).By(carol, d)
		sum := sha256.Sum256(st.Message())
		a, b, err := ecdsa.Sign(rand.Reader, key, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		sig := make([]byte, 64)
		a.FillBytes(sig[:32])
		b.FillBytes(sig[32:])
		return request.Approval{Request: v.ID, Person: carol, Decision: d, Key: pub.Ref(), Sig: sig}
	}
	for _, d := range []request.Decision{request.Approve, request.Reject} {
		v := submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 1000))
		var seq uint64
		for i := range 2 {
			a := sign(v, d)
			out, err := h.D.Approve(context.Background(), message.Approve{Approval: a})
			r := receipted(t, h, string(d), out, err, a.Hash(), nil)
			if i == 0 {
				seq = r.Seq
			} else if r.Seq != seq {
				t.Errorf("%s: entry %d, first %d", d, r.Seq, seq)
			}
		}
		a := sign(v, d)
		a.Sig[7] ^= 1
		if _, err := h.D.Approve(context.Background(), message.Approve{Approval: a}); err == nil {
			t.Errorf("%s: a forgery has a receipt", d)
		}
	}
	h.Check()
}
