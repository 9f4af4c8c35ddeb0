// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"bytes"
	"errors"
	"testing"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/offline"
	"strongroom/internal/pure/price"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/verdict"
)

var kinds = []entry.Kind{entry.KindGenesis, entry.KindRequest, entry.KindApproval, entry.KindPermit, entry.KindResult, entry.KindRefusal, entry.KindEffect, entry.KindSession, entry.KindSnapshot, entry.KindWriter,
	entry.KindReanchor, entry.KindGap, entry.KindUses, entry.KindOffline, entry.KindQuotes, entry.KindVerdicts}

// busyWorld has requests in every state, and seeds gives bodies of every kind that fit it.
func busyWorld(t tester) (w *world, seeds []any) {
	a := newAfar(t)
	w = a.world
	w.must(t, w.effect(t, w.approved(t, request.WalletCreate, request.WalletCreateBody{Wallet: "lone", Chain: evm, Scheme: request.SchemeEVM}, "bob")))
	a.away(t, "lone")
	moves := w.approved(t, request.WalletMove, a.comes("lone", request.Hot), "bob", "carol")
	signed := w.approved(t, request.Transfer, payEVM(5), "bob", "carol")
	w.must(t, w.permit(t, signed, "a", account0(0), 1))
	ready := w.approved(t, request.Transfer, payBTC(6), "bob", "carol")
	waits := w.approved(t, request.WhitelistRemove, request.WhitelistRemoveBody{ID: "bank"}, "bob")
	wallet := w.approved(t, request.WalletCreate, request.WalletCreateBody{Wallet: "next", Chain: evm, Scheme: request.SchemeEVM}, "bob")
	addresses := w.approved(t, request.AddressCreate, request.AddressCreateBody{Wallet: "hot", Count: 2})
	w.s.life.Allowed = w.s.life.Allowed.Or(appPoints)
	g := apps{w}
	seq, again := g.grant(t, g.body("app")), g.approved(t, request.AppGrant, g.body("app"), "bob", "carol")
	opening := canon.Encode(request.SessionOpening{V: 1, Authority: w.s.Authority, Domain: w.s.Domain, Service: who("service").id, Ephemeral: make([]byte, 32), NotAfter: w.now/1e9 + 60})
	seeds = []any{w.log[0].body, w.asked(t, who("bob"), w.request(who("bob"), request.Transfer, payEVM(7))), w.approval(t, waits, who("carol"), request.Approve), w.permit(t, ready, "b", inputs(1, 2), 3),
		w.permit(t, signed, "c", account0(0), 2), w.result(signed), &entry.Refusal{Request: ready, Act: "permit", Kind: problem.OutsideBounds}, w.effect(t, wallet), w.effect(t, addresses),
		&entry.Session{Opening: opening, Key: who("service").pub.Ref(), Sig: make([]byte, 64), Session: make([]byte, 16), Ephemeral: make([]byte, 32)},
		&entry.Snapshot{Root: w.s.StateRoot()}, &entry.Writer{Epoch: 2}, w.reanchorDocument(func(b *entry.Reanchor) { b.Known = w.checkpointOf(1, b.Size+3, [32]byte{1}) }), w.effect(t, again), used(seq, 1, 2, 0x1041), w.effect(t, moves), a.tells(t, nil, &offline.Import{Number: 1, Size: w.s.Next, Time: 1}, &offline.Refusal{Kind: "malformed", Detail: "no"})}
	return w, seeds
}

// Whatever an entry holds, it is applied or refused, and a refusal changes nothing; deciding again never crashes either. What is
// decoded encodes to the same bytes.
func FuzzApply(f *testing.F) {
	w, seeds := busyWorld(f)
	seeds = append(seeds, &entry.Quotes{Quotes: []price.Signed{w.quote("north", evm.Native(), tenths(3), 0)}}, &entry.Verdicts{Verdicts: []verdict.Signed{w.verdictOf("north", w.bank(), 7, 0)}})
	for _, b := range seeds {
		for i, k := range kinds {
			if k == kindOf(b) {
				f.Add(uint8(i), canon.Encode(b), int64(0))
			}
		}
	}
	img := canon.Encode(w.s.Image())
	chunks := w.s.Chunks()
	f.Fuzz(func(t *testing.T, kind uint8, b []byte, later int64) {
		k := kinds[int(kind)%len(kinds)]
		body, err := DecodeBody(k, 1, b)
		if err != nil {
			return
		}
		if !bytes.Equal(canon.Encode(body), b) {
			t.Fatalf("%s: what was decoded encodes to other bytes", k)
		}
		var m Image
		if err := canon.Decode(img, &m); err != nil {
			t.Fatal(err)
		}
		s, err := Restore(m, func(h [32]byte) ([]byte, error) { return chunks[h], nil })
		if err != nil {
			t.Fatal(err)
		}
		before := s.StateRoot()
		x := &world{s: s, now: w.now + max(0, later%(1<<60)), bound: w.bound}
		l := x.leaf(body)
		_ = s.Audit(l, body, Derive, func(seq uint64) (any, error) {
			if seq < uint64(len(w.log)) {
				return w.log[seq].body, nil
			}
			return nil, errors.New("no such entry")
		})
		if s.StateRoot() != before {
			t.Fatal("deciding again changed the state")
		}
		if err := s.Apply(l, entry.Hash(l.Encode()), body); err != nil && s.StateRoot() != before {
			t.Fatalf("%s was refused (%v), and changed the state", k, err)
		}
	})
}

// Whatever a snapshot file holds, a start from it is refused or gives a state.
func FuzzRestore(f *testing.F) {
	w, _ := busyWorld(f)
	f.Add(canon.Encode(w.s.Image()))
	f.Fuzz(func(_ *testing.T, b []byte) {
		var m Image
		if canon.Decode(b, &m) != nil {
			return
		}
		if s, err := Restore(m, func([32]byte) ([]byte, error) { return nil, errors.New("no such chunk") }); err == nil {
			s.StateRoot()
		}
	})
}

// The seeds fit: else the targets above show nothing.
func TestSeedsFit(t *testing.T) {
	t.Parallel()
	_, seeds := busyWorld(t)
	for i := 1; i < len(seeds); i++ {
		w, again := busyWorld(t)
		if err := w.write(again[i]); err != nil {
			t.Errorf("%s: %v", kindOf(again[i]), err)
		}
	}
}
