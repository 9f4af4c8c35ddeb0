// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"slices"
	"testing"

	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/btc"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/proof"
	"strongroom/internal/pure/request"
	"strongroom/verify"
)

// liar is a serve that somebody broke into. It has the door, and all that people and services ever sent through it.
type liar struct {
	*story
	door *gate.Mux
}

func newLiar(t *testing.T) *liar {
	t.Helper()
	h := domaintest.New(t, domaintest.Options{Document: withBank})
	l := &liar{story: newStory(h, request.SchemeP2WPKH), door: gate.NewMux()}
	h.D.Serve(l.door)
	for id, chain := range map[custody.WalletID]custody.ChainID{"hot": domaintest.Chain, "cold": custody.BitcoinRegtest, "other": custody.BitcoinRegtest} {
		scheme := request.SchemeEVM
		if chain != domaintest.Chain {
			scheme = request.SchemeP2WPKH
		}
		if err := l.wallet(id, chain, scheme); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// call is one call through the door.
func call[Out any](l *liar, method string, in any) (out Out, err error) {
	b, err := l.door.Dispatch(context.Background(), gate.Caller{}, method, canon.Encode(in))
	if err == nil {
		err = canon.Decode(b, &out)
	}
	return out, err
}

// refused requires that a lie is refused, with one of some reasons, and that nothing but a refusal was written.
func (l *liar) refused(what string, err error, kinds ...problem.Kind) {
	l.h.T.Helper()
	if err == nil || !slices.Contains(kinds, problem.KindOf(err)) {
		l.h.T.Errorf("%s: %v, want %v", what, err, kinds)
	}
}

func (l *liar) sign(id custody.RequestID, p []byte) error {
	out, err := call[message.Signed](l, message.MethodSign, message.Sign{ID: id, Payload: p})
	if len(out.Bytes) > 0 && err != nil {
		l.h.T.Errorf("an error, and %d signed bytes", len(out.Bytes))
	}
	return err
}

func (l *liar) approve(a request.Approval) error {
	_, err := call[message.Request](l, message.MethodApprove, message.Approve{Approval: a})
	return err
}

// signedBy is a person's decision on a request as v shows it: what passes through serve.
func (l *liar) signedBy(p domaintest.Person, v message.Request, d request.Decision) request.Approval {
	r := mustRequest(l.h.T, v.Request)
	s := authority.StatementOf(l.h.D.Authority(), l.h.D.ID(), v.ID, r.Initiator, v.Effects, v.Bounds, v.Decision).By(p.ID, d)
	return request.Approval{Request: v.ID, Person: p.ID, Decision: d, Key: p.Pub.Ref(), Sig: ed25519.Sign(p.Key, s.Message())}
}

// asks is an honest request that came through serve.
func (l *liar) asks(name string, wallet custody.WalletID, to string, amount, feeCap uint64, approvers ...domaintest.Person) message.Request {
	l.h.T.Helper()
	c := domaintest.Chain
	if wallet != "hot" {
		c = custody.BitcoinRegtest
	}
	v, err := l.approved(name, request.Transfer, request.TransferBody{Wallet: wallet, Asset: c.Native(),
		Outputs: []request.Output{{Address: to, Amount: custody.U64(amount)}}, FeeCap: custody.U64(feeCap)}, approvers...)
	if err != nil {
		l.h.T.Fatal(err)
	}
	return v
}

func (l *liar) ethereum(change func(*eth.Tx1559)) []byte {
	tx, err := eth.DecodeUnsigned(ethPayload(l.h.T, 1000, 0, 10))
	if err != nil {
		l.h.T.Fatal(err)
	}
	change(&tx)
	b, err := tx.Encode()
	if err != nil {
		l.h.T.Fatal(err)
	}
	return b
}

// Bytes that do something else than what was approved are refused, each refusal stands in the log and in the proof, and none can be taken
// out of the proof.
func TestLyingServeBytes(t *testing.T) {
	t.Parallel()
	l := newLiar(t)
	v := l.asks("pay", "hot", domaintest.Whitelisted, 1000, 2_100_000, l.h.Bob, l.h.Carol)
	w := l.asks("pay-btc", "cold", bank, 40_000, 5_000, l.h.Bob, l.h.Carol)
	stranger, err := eth.ParseAddress(domaintest.Stranger)
	if err != nil {
		t.Fatal(err)
	}
	script := func(address string) btc.Script {
		s, err := btc.ParseAddress(btc.Regtest, address)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	cold, other := l.wallets["cold"].Wallet, l.wallets["other"].Wallet
	lies := []struct {
		what    string
		request message.Request
		payload []byte
		kind    problem.Kind
	}{
		{"another destination", v, l.ethereum(func(x *eth.Tx1559) { x.To = stranger }), problem.OutsideBounds},
		{"another amount", v, l.ethereum(func(x *eth.Tx1559) { x.Value = eth.FromUint64(1001) }), problem.OutsideBounds},
		{"another asset", v, l.ethereum(func(x *eth.Tx1559) {
			x.Value, x.Data, x.GasLimit = eth.Uint256{}, eth.EncodeTransfer(stranger, eth.FromUint64(1000)), 60_000
		}), problem.OutsideBounds},
		{"a hidden call", v, l.ethereum(func(x *eth.Tx1559) { x.Data, x.GasLimit = []byte{1, 2, 3, 4}, 60_000 }), problem.OutsideBounds},
		{"another chain", v, l.ethereum(func(x *eth.Tx1559) { x.ChainID = 1 }), problem.WrongNetwork},
		{"a fee above the cap", v, ethPayload(t, 1000, 0, 101), problem.OutsideBounds},
		{"a fee above the cap, by gas", v, l.ethereum(func(x *eth.Tx1559) { x.GasLimit = 210_001 }), problem.OutsideBounds},
		{"bytes behind the transaction", v, append(ethPayload(t, 1000, 0, 10), 0), problem.Malformed},
		{"a payload of the other chain", v, psbt(t, cold, spend{pay: 40_000, fee: 1_000}), problem.Malformed},
		{"another destination", w, psbt(t, cold, spend{to: nobody, pay: 40_000, fee: 1_000}), problem.OutsideBounds},
		{"another amount", w, psbt(t, cold, spend{pay: 40_001, fee: 1_000}), problem.OutsideBounds},
		{"a second output", w, psbt(t, cold, spend{pay: 40_000, fee: 1_000, extra: []btc.TxOut{{Value: 10_000, Script: script(nobody)}}}), problem.OutsideBounds},
		{"the output twice", w, psbt(t, cold, spend{pay: 40_000, fee: 1_000, extra: []btc.TxOut{{Value: 40_000, Script: script(bank)}}}), problem.OutsideBounds},
		{"a fee above the cap", w, psbt(t, cold, spend{pay: 40_000, fee: 5_001}), problem.OutsideBounds},
		{"another wallet's coins", w, psbt(t, other, spend{pay: 40_000, fee: 1_000}), problem.OutsideBounds},
	}
	for _, x := range lies {
		l.refused(x.what, l.sign(x.request.ID, x.payload), x.kind)
	}
	for _, x := range []struct {
		v message.Request
		p []byte
	}{{v, ethPayload(t, 1000, 0, 10)}, {w, psbt(t, cold, spend{pay: 40_000, fee: 1_000})}} {
		if err := l.sign(x.v.ID, x.p); err != nil {
			t.Fatalf("the honest payload: %v", err)
		}
		told := 0
		for _, lie := range lies {
			if lie.request.ID == x.v.ID {
				told++
			}
		}
		l.everyRefusalShows(x.v.ID, told)
	}
	// With the permit, another slot or a payment beside it is no better.
	l.refused("a second nonce", l.sign(v.ID, ethPayload(t, 1000, 1, 20)), problem.OutsideBounds)
	l.refused("a second coin", l.sign(w.ID, psbt(t, cold, spend{coin: 1, pay: 40_000, fee: 2_000})), problem.OutsideBounds)
	next := l.asks("pay-next", "hot", domaintest.Whitelisted, 1000, 2_100_000, l.h.Bob, l.h.Carol)
	l.refused("the nonce of another request", l.sign(next.ID, ethPayload(t, 1000, 0, 30)), problem.OutsideBounds)
	l.h.Check()
	oneSlotOnePayload(t, scan(t, l.h))
}

// everyRefusalShows requires that a proof shows as many refusals, and falls without any one of them.
func (l *liar) everyRefusalShows(id custody.RequestID, n int) {
	t := l.h.T
	t.Helper()
	p, err := call[message.Proof](l, message.MethodProof, message.ByID{ID: id})
	if err != nil {
		t.Fatal(err)
	}
	rep, err := verify.Proof(p.File, l.h.Genesis.LogKey)
	if err != nil {
		t.Fatal(err)
	}
	if len(rep.Refusals) != n {
		t.Errorf("the proof shows %d refusals, there were %d", len(rep.Refusals), n)
	}
	f, err := proof.Decode(p.File)
	if err != nil {
		t.Fatal(err)
	}
	hidden := 0
	for i, e := range f.Entries {
		leaf, err := entry.DecodeLeaf(e.Leaf)
		if err != nil {
			t.Fatal(err)
		}
		if leaf.Kind != entry.KindRefusal {
			continue
		}
		cut := f
		cut.Entries = slices.Delete(slices.Clone(f.Entries), i, i+1)
		if _, err := verify.Proof(cut.Encode(), l.h.Genesis.LogKey); err == nil {
			t.Errorf("the refusal in entry %d is hidden, and the proof holds", leaf.Seq)
		}
		hidden++
	}
	if hidden != n {
		t.Errorf("%d refusals in the file, want %d", hidden, n)
	}
}

// Nobody asks in another's name.
func TestLyingServeInitiators(t *testing.T) {
	t.Parallel()
	l := newLiar(t)
	h := l.h
	mallory := domaintest.NewPerson("mallory")
	submit := func(r request.Request, e request.Evidence, payload []byte) error {
		_, err := call[message.Request](l, message.MethodSubmit, message.Submit{Request: r.Encode(), Evidence: e, Payload: payload})
		return err
	}
	r := pay(h, h.Alice, domaintest.Whitelisted, 1000)
	altered := r
	altered.Body = pay(h, h.Alice, domaintest.Stranger, 1000).Body
	asBob := r
	asBob.Initiator = h.Bob.ID
	renamed := r
	renamed.Key = "another-key"
	size := h.D.Status().Size
	l.refused("another body", submit(altered, h.Alice.Sign(r), nil), problem.Unauthenticated)
	l.refused("another initiator", submit(asBob, h.Alice.Sign(r), nil), problem.Unauthenticated)
	l.refused("another initiator, who did not sign", submit(asBob, h.Alice.Sign(asBob), nil), problem.Unauthenticated)
	l.refused("bob's signature under alice's name", submit(r, h.Bob.Sign(r), nil), problem.Unauthenticated)
	l.refused("bob's signature under alice's key", submit(r, request.Evidence{Key: h.Alice.Pub.Ref(), Sig: h.Bob.Sign(r).Sig}, nil), problem.Unauthenticated)
	l.refused("a stranger", submit(r, mallory.Sign(r), nil), problem.Unauthenticated)
	l.refused("the same request under another key", submit(renamed, h.Alice.Sign(r), nil), problem.Unauthenticated)
	l.refused("no evidence", submit(r, request.Evidence{}, nil), problem.Unauthenticated)

	// A session's MAC counts for the one request that it is over.
	if err := l.openSession(); err != nil {
		t.Fatal(err)
	}
	small := pay(h, h.Service, domaintest.Whitelisted, 7)
	large := small
	large.Body = pay(h, h.Service, domaintest.Whitelisted, 700).Body
	again := small
	again.Key = "again"
	mac := l.evidence(small)
	size++ // the session
	l.refused("a MAC over another body", submit(large, mac, ethPayload(t, 700, 0, 10)), problem.Unauthenticated)
	l.refused("a MAC over another key", submit(again, mac, ethPayload(t, 7, 0, 10)), problem.Unauthenticated)
	l.refused("a person by the service's session", submit(r, l.evidence(r), nil), problem.Unauthenticated, problem.RefusedByRule)
	first := *l.story
	if err := l.openSession(); err != nil {
		t.Fatal(err)
	}
	size++
	l.refused("the MAC of another session", submit(small, request.Evidence{Session: l.session, MAC: first.evidence(small).MAC}, nil), problem.Unauthenticated)
	if got := h.D.Status().Size; got != size {
		t.Errorf("%d entries were written for requests that nobody made", got-size)
	}
	if err := submit(small, mac, ethPayload(t, 7, 0, 10)); err != nil {
		t.Fatalf("the honest request: %v", err)
	}
	if err := submit(small, mac, ethPayload(t, 7, 1, 10)); err != nil {
		t.Fatalf("the honest request, repeated: %v", err)
	}
	h.Check()
	if permits := oneSlotOnePayload(t, scan(t, h)); len(permits) != 1 {
		t.Errorf("a repeated request has %d permits", len(permits))
	}
}

// An approval counts for what its person saw, once, while they are somebody.
func TestLyingServeApprovals(t *testing.T) {
	t.Parallel()
	l := newLiar(t)
	h := l.h
	v := l.asks("pay", "hot", domaintest.Whitelisted, 1000, 2_100_000, h.Bob)
	twin := l.asks("twin", "hot", domaintest.Whitelisted, 1000, 2_100_000)
	kept := l.signedBy(h.Carol, twin, request.Approve) // never handed in, as long as it is of use to keep
	moved := l.signedBy(h.Bob, v, request.Approve)
	moved.Request = twin.ID
	l.refused("an approval of another request", l.approve(moved), problem.Unauthenticated)
	if again, err := call[message.Request](l, message.MethodApprove, message.Approve{Approval: l.signedBy(h.Bob, v, request.Approve)}); err != nil || len(again.Approvals) != 1 {
		t.Errorf("an approval twice: %v, %d stand", err, len(again.Approvals))
	}
	asCarol := l.signedBy(h.Bob, v, request.Approve)
	asCarol.Person, asCarol.Key = h.Carol.ID, h.Carol.Pub.Ref()
	l.refused("bob's approval as carol's", l.approve(asCarol), problem.Unauthenticated)
	turned := l.signedBy(h.Carol, v, request.Reject)
	turned.Decision = request.Approve
	l.refused("a rejection as an approval", l.approve(turned), problem.Unauthenticated)
	shown := v
	shown.Effects.Outputs = []request.Output{{Address: domaintest.Whitelisted, Amount: custody.U64(1)}}
	l.refused("an approval of what was shown instead", l.approve(l.signedBy(h.Carol, shown, request.Approve)), problem.Unauthenticated)
	l.refused("signed with one of two", l.sign(v.ID, ethPayload(t, 1000, 0, 10)), problem.QuorumNotMet)

	// The rules are replaced: an approval under the old ones does not count for a request under the new ones.
	doc, err := policy.DecodeDocument(h.D.Policy().Document)
	if err != nil {
		t.Fatal(err)
	}
	doc.PrevHash, doc.Version = doc.Hash(), doc.Version+1
	doc.Routes[1].ID = "two-of-three-again"
	if err := l.govern("rules", request.PolicyChange, request.PolicyChangeBody{Document: doc.Encode()}, h.Bob, h.Carol); err != nil {
		t.Fatal(err)
	}
	fresh := l.asks("fresh", "hot", domaintest.Whitelisted, 1000, 2_100_000)
	old := fresh
	old.Decision = v.Decision
	l.refused("an approval under rules that were replaced", l.approve(l.signedBy(h.Carol, old, request.Approve)), problem.Unauthenticated)

	// Carol is revoked: what she signed before and serve kept is worth nothing.
	if err := l.govern("revoke", request.PersonRevoke, request.PersonRevokeBody{Person: h.Carol.ID}, h.Bob, h.Carol); err == nil {
		l.refused("an approval kept until its person was revoked", l.approve(kept), problem.Unauthenticated)
		l.refused("an approval of a revoked person", l.approve(l.signedBy(h.Carol, v, request.Approve)), problem.Unauthenticated)
	} else {
		t.Fatal(err)
	}
	l.refused("signed with one of two", l.sign(v.ID, ethPayload(t, 1000, 0, 10)), problem.QuorumNotMet, problem.RefusedByRule)
	h.Check()
	if permits := oneSlotOnePayload(t, scan(t, h)); len(permits) != 0 {
		t.Errorf("%d permits", len(permits))
	}
}

// A rejection can't be denied: the person who made it has the domain's word for it, the request is over, and the proof shows it. Nobody
// but the domain gives such a word.
func TestLyingServeReceipts(t *testing.T) {
	t.Parallel()
	l := newLiar(t)
	h := l.h
	v := l.asks("pay", "hot", domaintest.Whitelisted, 1000, 2_100_000, h.Bob)
	out, err := call[message.Request](l, message.MethodApprove, message.Approve{Approval: l.signedBy(h.Carol, v, request.Reject)})
	if err != nil || out.Receipt == nil {
		t.Fatalf("%v, %+v", err, out)
	}
	r := *out.Receipt
	valid := func(r message.Receipt) bool { return ed25519.Verify(h.Genesis.Identity, r.Message(), r.Sig) }
	all := scan(t, h)
	if a, ok := all[r.Seq].body.(*entry.Approval); !valid(r) || r.State != message.StateRejected || r.Request != v.ID || r.Leaf != all[r.Seq].hash || !ok || a.Approval.Decision != request.Reject {
		t.Fatalf("the receipt is not for the rejection: %+v", r)
	}
	l.refused("approved after the rejection", l.approve(l.signedBy(h.Carol, v, request.Approve)), problem.Conflict)
	l.refused("signed after the rejection", l.sign(v.ID, ethPayload(t, 1000, 0, 10)), problem.Conflict)
	p, err := call[message.Proof](l, message.MethodProof, message.ByID{ID: v.ID})
	if err != nil {
		t.Fatal(err)
	}
	rep, err := verify.Proof(p.File, h.Genesis.LogKey)
	if err != nil || len(rep.Rejections) != 1 || rep.Rejections[0].Person != h.Carol.ID || rep.Rejections[0].Entry != r.Seq || len(rep.Attempts) != 0 {
		t.Fatalf("the proof: %v, %+v", err, rep)
	}
	for what, lie := range map[string]func(*message.Receipt){
		"entry": func(r *message.Receipt) { r.Seq++ }, "state": func(r *message.Receipt) { r.State = message.StatePending },
		"request": func(r *message.Receipt) { r.Request[3] ^= 1 }, "leaf": func(r *message.Receipt) { r.Leaf[3] ^= 1 },
		"act": func(r *message.Receipt) { r.Act[3] ^= 1 }, "domain": func(r *message.Receipt) { r.Domain[3] ^= 1 }, "authority": func(r *message.Receipt) { r.Authority[3] ^= 1 },
		"signature": func(r *message.Receipt) { r.Sig = bytes.Clone(r.Sig); r.Sig[3] ^= 1 },
		"signer":    func(r *message.Receipt) { r.Sig = ed25519.Sign(h.Bob.Key, r.Message()) },
	} {
		x := r
		if lie(&x); valid(x) {
			t.Errorf("a receipt with another %s holds", what)
		}
	}
	h.Check()
}
