// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"slices"
	"strings"
	"testing"
	"time"

	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	pure "strongroom/internal/pure/offline"
	"strongroom/internal/pure/request"
)

// back puts the online log back to its first entries: those behind are lost.
func (o *online) back(size uint64, d custody.DomainID) {
	o.t.Helper()
	recs, bodies := o.recs[:size:size], o.bodies[:size:size]
	o.recs, o.bodies, o.s, o.tail, o.said = recs, bodies, authority.New(), pure.Tail{}, false
	for i, r := range recs {
		l, hash, err := o.tail.Next(r)
		if err == nil {
			err = o.s.Apply(l, hash, bodies[i])
		}
		if err != nil {
			o.t.Fatal(err)
		}
	}
	x, _ := o.s.OfflineDomain(d)
	o.number = x.Number
}

// reanchorDocument drafts a re-anchor document for the log as it is.
func (o *online) reanchorDocument(incarnation uint64) *entry.Reanchor {
	a := o.s.Anchoring()
	return &entry.Reanchor{V: 1, Authority: o.s.Authority, Domain: o.s.Domain, Incarnation: incarnation, Before: a.Incarnation, Since: a.Since, Size: o.s.Next, Root: o.tail.Frontier.Root(),
		Last: o.s.Last, Reason: "the disk was put back", Anchor: "file", Delay: o.s.Doc.ReanchorDelay(), NotAfter: o.moment().Time/1e9 + 14*24*3600, Nonce: make([]byte, 16)}
}

// gap lets the time-lock pass.
func (o *online) gap() {
	o.t.Helper()
	o.wait(time.Duration(o.s.Doc.ReanchorDelay())*time.Second + time.Minute)
	g := o.s.DueGap(o.moment())
	if g == nil {
		o.t.Fatal("no gap is due")
	}
	o.must(g)
}

// reanchor has bob and carol re-anchor the log as it is.
func (o *online) reanchor(incarnation uint64) {
	o.t.Helper()
	o.must(domaintest.SignReanchor(o.reanchorDocument(incarnation), o.bob, o.carol))
	o.gap()
}

// loses puts the log of a house back and re-anchors it.
func (h *house) loses(size, incarnation uint64) {
	h.t.Helper()
	h.back(size, h.v.d.ID())
	h.reanchor(incarnation)
}

// reconciled says which nonce of the wallet's first address is free.
func (o *online) reconciled(w custody.WalletID, next uint64) {
	o.t.Helper()
	body := request.SlotReconcileBody{Wallet: w}
	if next > 0 {
		body.Accounts = []request.WalletNonce{{Next: next}}
	}
	o.do(request.SlotReconcile, body)
}

// knows gives the parts of a bundle as the online domain makes them: from what it knows that the offline domain has.
func (h *house) knows() *parts {
	h.t.Helper()
	h.v.reopen()
	x, _ := h.s.OfflineDomain(h.v.d.ID())
	return h.parts(h.v.d, x.Knows)
}

// takes works a bundle through, and the answer back.
func (h *house) takes(p *parts) (*result, Report) {
	h.t.Helper()
	h.wait(time.Second)
	answer, report, err := h.v.work(h.seal(p), h.ops)
	if err != nil {
		h.t.Fatal(err)
	}
	h.wait(time.Second)
	return h.take(answer, p.head), report
}

// oneSlot requires that no slot was signed for twice but by replacements that the log knew of.
func oneSlot(t testing.TB, s *pure.State) {
	t.Helper()
	type use struct {
		request custody.RequestID
		attempt uint32
		lost    bool
	}
	all := slices.Concat(s.Lost(), s.Permits())
	slices.SortFunc(all, func(a, b pure.Permitted) int { return int(a.Seq) - int(b.Seq) })
	lost := map[uint64]bool{}
	for _, p := range s.Lost() {
		lost[p.Seq] = true
	}
	used := map[uint64]use{}
	for _, p := range all {
		n := p.Slot.Nonce
		if was, ok := used[n]; ok && (was.request != p.Request || was.attempt >= p.Attempt || was.lost && !lost[p.Seq]) {
			t.Errorf("nonce %d was used by attempt %d of %s (lost: %v), and by attempt %d of %s", n, was.attempt, was.request, was.lost, p.Attempt, p.Request)
		}
		used[n] = use{p.Request, p.Attempt, lost[p.Seq]}
	}
}

// lostCold is a house whose online log has lost two transfers that were signed, of nonces 1 and 2, and was re-anchored.
func lostCold(t testing.TB, options ...onlineOption) (h *house, base uint64) {
	t.Helper()
	h, _ = ready(t, options...)
	h.carry()
	base = h.s.Next
	h.transfer("savings", 2000, 1)
	h.carry()
	h.transfer("savings", 3000, 2)
	h.carry()
	h.loses(base, 2)
	return h, base
}

// catchUp gives the offline domain numbers until they are beyond those that it has taken.
func (h *house) catchUp() {
	h.t.Helper()
	want := h.number
	x, _ := h.s.OfflineDomain(h.v.d.ID())
	for h.number = x.Number; h.number <= want; {
		h.announce(h.v.d)
	}
}

// forged gives the bundle of a log that somebody with all keys of the online core re-anchored with a document that its own rules would refuse.
func (h *house) forged(base uint64, spoil func(*entry.Reanchor)) *parts {
	h.t.Helper()
	h.loses(base, 2)
	h.announce(h.v.d)
	b := *h.bodies[base].(*entry.Reanchor)
	b.Signatures = slices.Clone(b.Signatures)
	spoil(&b)
	h.bodies[base] = &b
	h.rewrite(base)
	return h.knows()
}

// refusesAll requires that a bundle is refused, before anybody is asked, for reasons that the error gives.
func (h *house) refusesAll(p *parts, reasons ...string) {
	h.t.Helper()
	b := h.seal(p)
	for _, r := range reasons {
		h.refuses(b, r)
	}
	if len(h.ops.told) > 0 {
		h.t.Errorf("operators were asked about what is refused: %s", strings.Join(reasons, ", "))
	}
}
