// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/tlog"
)

// modelAnchor is what re-anchoring made, as plainly as it can be written: every document that was applied, and who was reconciled since the last gap.
type modelAnchor struct {
	documents []entry.Reanchor
	at        []entry.Leaf
	leaf      [32]byte
	open      []int // documents whose gap is not there yet
	cancelled bool  // the last of them
	gapAt     int64
	keys      int // that were there at the gap
	freed     map[int]bool
	entries   []uint64
}

func (a modelAnchor) clone() modelAnchor {
	a.documents, a.at, a.open = slices.Clone(a.documents), slices.Clone(a.at), slices.Clone(a.open)
	a.freed, a.entries = maps.Clone(a.freed), slices.Clone(a.entries)
	return a
}

// knownOf gives size and incarnation of the checkpoint that a document shows.
func knownOf(b *entry.Reanchor) (c tlog.Checkpoint, incarnation uint64, ok bool) {
	if len(b.Known) == 0 {
		return c, 0, true
	}
	text, _, _ := strings.Cut(string(b.Known), "\n\n")
	c, _, err := tlog.ParseExtended(text + "\n")
	if err != nil {
		return c, 0, false
	}
	_, incarnation, err = entry.ParseOrigin(c.Origin)
	return c, incarnation, err == nil
}

// lost gives what the open documents say is lost.
func (a modelAnchor) lost() (from, to uint64, whole bool) {
	whole, from = true, ^uint64(0)
	for _, i := range a.open {
		b := &a.documents[i]
		c, _, _ := knownOf(b)
		from, to, whole = min(from, b.Size), max(to, b.Size, c.Size), whole && b.Whole
	}
	return from, to, whole
}

func (a modelAnchor) image() *Anchoring {
	n := len(a.documents)
	if n == 0 {
		return nil
	}
	b := a.documents[n-1]
	out := &Anchoring{Incarnation: b.Incarnation, Since: b.Size, Leaf: a.leaf, Witnesses: b.Witnesses, Quorum: b.Quorum, GapAt: a.gapAt, Held: uint64(a.keys), Entries: a.entries}
	for _, w := range slices.Sorted(maps.Keys(a.freed)) {
		out.Freed = append(out.Freed, uint32(w))
	}
	if len(a.open) > 0 {
		from, to, whole := a.lost()
		l := a.at[n-1]
		out.Pending = &Reanchoring{Entry: b.Size, Until: l.Time + l.Bound + b.Delay*1e9, From: from, To: to, Whole: whole, Cancelled: a.cancelled}
	}
	return out
}

func (m *model) reanchor(l entry.Leaf, hash [32]byte, b *entry.Reanchor) error {
	now := Anchoring{Incarnation: 1}
	if x := m.anchor.image(); x != nil {
		now = *x
	}
	c, incarnation, ok := knownOf(b)
	signed := map[custody.PersonID]bool{}
	var votes []policy.Vote
	for i, s := range b.Signatures {
		if i > 0 && b.Signatures[i-1].Person >= s.Person || !m.holds(s.Person, s.Key) {
			return errModel
		}
		signed[s.Person] = true
		votes = append(votes, policy.Vote{Person: s.Person, Decision: request.Approve})
	}
	met, _ := m.doc.ChangePlan.Met(m.rules, "", votes)
	witnesses, err := AnchorWitnesses(b.Anchor, b.Witnesses, b.Quorum)
	if err := ensure(ok, met, len(signed) == len(b.Signatures), err == nil, witnesses.Len() == len(b.Witnesses), l.Writer > m.head.Writer, b.V == 1, len(b.Nonce) == 16, b.Authority == m.head.Authority, b.Domain == m.head.Domain,
		b.Before == now.Incarnation, b.Since == now.Since, b.Incarnation > b.Before, b.Incarnation < 1<<62, b.Size == m.head.Next, b.Last == m.head.Last, b.Delay == 72*3600,
		!Expired(b.NotAfter, l.Time, l.Bound), b.NotAfter <= l.Time/1e9+30*24*3600, b.Reason != "", len(now.Entries) < 200); err != nil {
		return err
	}
	if len(b.Known) > 0 && (!strings.Contains(c.Origin, m.head.Domain.String()) || incarnation >= b.Incarnation) {
		return errModel
	}
	if b.Whole && (len(b.Known) == 0 || incarnation != b.Before || c.Size != b.Size || c.Root != b.Root) {
		return errModel
	}
	a := &m.anchor
	a.documents, a.at, a.leaf, a.cancelled = append(a.documents, *b), append(a.at, l), hash, false
	a.open, a.entries = append(a.open, len(a.documents)-1), append(a.entries, l.Seq)
	m.head.Anchor, m.head.Writer = b.Anchor, l.Writer
	return nil
}

func (m *model) gap(l entry.Leaf, b *entry.Gap) error {
	x := m.anchor.image()
	if x == nil || x.Pending == nil || x.Pending.Cancelled || l.Time-l.Bound < x.Pending.Until ||
		*b != (entry.Gap{Reanchor: x.Pending.Entry, From: x.Pending.From, To: x.Pending.To, Whole: x.Pending.Whole}) {
		return errModel
	}
	a := &m.anchor
	a.open, a.entries = nil, append(a.entries, l.Seq)
	if b.Whole {
		return nil
	}
	a.gapAt, a.keys, a.freed = l.Time+l.Bound, len(m.keys), map[int]bool{}
	for len(m.pending) > 0 {
		p := m.pending[0]
		m.own[p.ID] = append(slices.Clone(m.own[p.ID]), l.Seq)
		m.end(p.ID, Outcome{BodyHash: p.BodyHash, Seq: l.Seq, End: EndVoid})
	}
	m.sessions = nil
	m.closeWarm(func(WarmSession) bool { return true })
	if m.doc.BreakGlass != nil || m.doc.Oversight != nil {
		m.oversight = modelOversight{mode: "frozen", since: l.Seq, reason: "entries of the log were lost"}
	}
	return nil
}

// reanchoring says whether an operation waits for the end of a re-anchoring.
func (m *model) reanchoring(o request.Operation) bool {
	return len(m.anchor.open) > 0 && !slices.Contains([]request.Operation{"domain_reanchor_cancel", "domain_zeroize", "person_revoke", "domain_points_set", "warm_close", "domain_freeze", "request_hold"}, o)
}

// isHeld says whether a wallet's seed was there at the last gap, and nobody said since what the chain shows.
func (m *model) isHeld(w int) bool {
	k := slices.IndexFunc(m.keys, func(k entry.NewKey) bool { return k.ID == m.wallets[w].Key })
	return k < m.anchor.keys && !m.anchor.freed[w]
}

func (m *model) reconcile(o *request.SlotReconcileBody, b *entry.Effect) error {
	w := m.walletNumber(o.Wallet)
	if w < 0 || !m.isHeld(w) || b.Slots == nil || b.Slots.Wallet != o.Wallet || b.Document != nil || b.Wallet != nil || b.Key != nil || b.Addresses != nil || b.Life != nil {
		return errModel
	}
	evm := m.wallets[w].Scheme == request.SchemeEVM
	if evm && len(o.Spent) > 0 || !evm && len(o.Accounts) > 0 {
		return errModel
	}
	for _, x := range o.Accounts {
		i := slices.Index(m.accounts, account{uint32(w), x.Index})
		if i < 0 {
			m.accounts, m.nonces = append(m.accounts, account{uint32(w), x.Index}), append(m.nonces, 0)
			i = len(m.nonces) - 1
		}
		if x.Next < m.nonces[i] {
			return errModel
		}
		m.nonces[i] = x.Next
	}
	for _, x := range o.Spent {
		if in := (entry.Input{TxID: [32]byte(x.TxID), Index: x.Index}); !slices.Contains(m.spent, in) {
			m.spent = append(m.spent, in)
		}
	}
	m.anchor.freed[w] = true
	return nil
}

// reanchorDocument is one that fits, signed by bob and carol.
func (w *world) reanchorDocument(change func(*entry.Reanchor)) *entry.Reanchor {
	now := w.s.Anchoring()
	b := &entry.Reanchor{V: 1, Authority: w.s.Authority, Domain: w.s.Domain, Incarnation: now.Incarnation + 1, Before: now.Incarnation, Since: now.Since, Size: w.s.Next, Root: [32]byte{7}, Last: w.s.Last,
		Reason: "the disk is gone", Anchor: "file", Delay: w.s.Doc.ReanchorDelay(), NotAfter: w.now/1e9 + 3600, Nonce: make([]byte, 16)}
	if change != nil {
		change(b)
	}
	return w.signedBy(b, "bob", "carol")
}

func (w *world) signedBy(b *entry.Reanchor, names ...string) *entry.Reanchor {
	b.Signatures = nil
	for _, n := range names {
		p := who(n)
		b.Signatures = append(b.Signatures, entry.GenesisSignature{Person: p.id, Key: p.pub.Ref(), Sig: p.sign(b.Message())})
	}
	slices.SortFunc(b.Signatures, func(x, y entry.GenesisSignature) int { return strings.Compare(string(x.Person), string(y.Person)) })
	return b
}

// checkpointOf is the text of a checkpoint with something that stands where signatures do.
func (w *world) checkpointOf(incarnation, size uint64, root [32]byte) []byte {
	return []byte(tlog.Checkpoint{Origin: entry.Origin(w.s.Domain, incarnation), Size: size, Root: root}.Text() + "\n— x AAAA\n")
}

// newReanchor draws a document: mostly one that fits.
func (d *driver) newReanchor(t *rapid.T) *entry.Reanchor {
	more := rapid.SampledFrom([]uint64{0, 0, 1, 9}).Draw(t, "known more")
	known, whole := rapid.Bool().Draw(t, "known"), rapid.Bool().Draw(t, "whole")
	spoil := rapid.SampledFrom([]func(*entry.Reanchor){func(b *entry.Reanchor) { b.Incarnation-- }, func(b *entry.Reanchor) { b.Size++ }, func(b *entry.Reanchor) { b.Last[0] ^= 1 }, func(b *entry.Reanchor) { b.Delay-- },
		func(b *entry.Reanchor) { b.NotAfter = d.now / 1e9 }, func(b *entry.Reanchor) { b.Anchor = "witness" }, func(b *entry.Reanchor) { b.Reason = "" }, func(b *entry.Reanchor) { b.Before++ },
		func(b *entry.Reanchor) { b.Known = []byte("x\n\n") }, func(b *entry.Reanchor) { b.Known = d.checkpointOf(b.Incarnation, 3, b.Root) }, func(b *entry.Reanchor) { b.Domain[0] ^= 1 },
		func(b *entry.Reanchor) { b.Since++ }, func(b *entry.Reanchor) { b.Nonce = nil }}).Draw(t, "spoil document")
	wrong := seldom(t, "wrong document")
	b := d.reanchorDocument(func(b *entry.Reanchor) {
		b.Incarnation += rapid.Uint64Range(0, 1).Draw(t, "skip")
		if known {
			b.Known = d.checkpointOf(b.Before, b.Size+more, b.Root)
		}
		b.Whole = whole && known && more == 0
		if wrong {
			spoil(b)
		}
	})
	if seldom(t, "one signature") {
		b = d.signedBy(b, "bob")
	}
	return b
}

// reanchorStory is a re-anchoring as it should be, with things that happen between.
func (d *driver) reanchorStory(t *rapid.T) {
	d.submit(t, d.newReanchor(t))
	for range rapid.IntRange(0, 4).Draw(t, "meanwhile") {
		if b := d.body(t); b != nil {
			d.submit(t, b)
		}
	}
	p := d.s.Anchoring().Pending
	if p != nil && rapid.IntRange(0, 4).Draw(t, "cancel") == 0 {
		d.through(t, request.ReanchorCancel, request.ReanchorCancelBody{Counter: d.s.life.Counter + 1, Reanchor: p.Entry})
		if rapid.IntRange(0, 3).Draw(t, "leave it") > 0 {
			d.submit(t, d.newReanchor(t))
		}
	}
	if p = d.s.Anchoring().Pending; p == nil {
		return
	}
	b := &entry.Gap{Reanchor: p.Entry, From: p.From, To: p.To, Whole: p.Whole}
	if rapid.IntRange(0, 9).Draw(t, "too early") > 0 {
		d.advance(max(0, time.Duration(p.Until-d.now)) + time.Duration(d.bound))
	}
	if seldom(t, "another gap") {
		b.To++
	}
	d.submit(t, b)
	for range rapid.IntRange(0, 3).Draw(t, "reconciled") {
		d.through(t, request.SlotReconcile, d.drawReconcile(t))
	}
}

func (d *driver) drawReconcile(t *rapid.T) request.SlotReconcileBody {
	b := request.SlotReconcileBody{Wallet: rapid.SampledFrom([]custody.WalletID{"hot", "hot", "cold", "vault", "w-0"}).Draw(t, "reconciled wallet")}
	if b.Wallet == "cold" != seldom(t, "of another kind") {
		for i := range rapid.IntRange(0, 2).Draw(t, "inputs") {
			b.Spent = append(b.Spent, request.SpentInput{TxID: bytes.Repeat([]byte{byte(40 * (i + 1))}, 32), Index: uint32(i)})
		}
		return b
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "accounts") {
		b.Accounts = append(b.Accounts, request.WalletNonce{Index: uint32(2 * i), Next: max(1, d.s.NextNonce(b.Wallet, uint32(2*i))+rapid.Uint64Range(0, 2).Draw(t, "next nonce"))})
	}
	return b
}
