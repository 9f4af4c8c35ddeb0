// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"bytes"
	"cmp"
	"slices"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

func (m *model) effect(l entry.Leaf, at Moment, b *entry.Effect) error {
	p := m.pendingOf(b.Request)
	if p == nil || m.quorum(p, b.Decision, b.Approvals, b.Trail, at) != nil {
		return errModel
	}
	r, err := request.Decode(p.Request)
	if err != nil {
		return err
	}
	body, err := r.DecodeBody()
	if err != nil {
		return err
	}
	if _, is := body.(request.WarmBody); is != (b.Warm != nil) {
		return errModel
	}
	if _, is := body.(*request.SlotReconcileBody); is != (b.Slots != nil) {
		return errModel
	}
	if _, is := body.(request.AppBody); is != (b.App != nil) {
		return errModel
	}
	if _, is := body.(*request.WalletMoveBody); is != (b.Move != nil) {
		return errModel
	}
	if _, is := body.(request.OversightBody); is != (b.Oversight != nil) {
		return errModel
	}
	switch o := body.(type) {
	case request.OversightBody:
		err = m.oversee(l, at, p.Initiator, o, b)
	case request.AppBody:
		err = m.appEffect(l, at, o, b)
	case *request.TransferBody:
		return errModel
	case *request.SlotReconcileBody:
		err = m.reconcile(o, b)
	case *request.WalletMoveBody:
		err = m.moveEffect(l, o, b)
	case request.WarmBody:
		err = m.warmEffect(l, at, o, b)
	case *request.WalletCreateBody:
		err = m.createWallet(l, p.Seq, o, b)
	case *request.AddressCreateBody:
		a, i := b.Addresses, m.walletNumber(o.Wallet)
		if !m.mayUse(points.Derive) || b.Life != nil || a == nil || i < 0 || m.wallets[i].Class == "token" || b.Document != nil || b.Wallet != nil || b.Key != nil || a.Wallet != o.Wallet || a.Branch != 0 || a.Count != o.Count || a.From != m.next[i][0] {
			return errModel
		}
		m.next[i][0] += o.Count
	case request.LifeBody:
		err = m.lifeEffect(l, o, b)
	default:
		doc, derr := policy.Apply(custody.Evaluation, m.doc, r.Operation, body)
		if derr != nil || b.Life != nil || b.Wallet != nil || b.Key != nil || b.Addresses != nil || !bytes.Equal(doc.Encode(), b.Document) {
			return errModel
		}
		for i := range m.pending {
			if old := m.doc.Floor; m.pending[i].Floor == nil && old != doc.Floor {
				m.pending[i].Floor = &old
			}
		}
		m.doc, m.docs = doc, append(m.docs, l.Seq)
		m.rules, err = policy.Compile(doc)
		m.sessions = slices.DeleteFunc(m.sessions, func(x sessionRecord) bool { return !m.holds(x.Session.Service, x.Session.Key) })
	}
	if err != nil {
		return err
	}
	m.end(p.ID, Outcome{BodyHash: p.BodyHash, Seq: l.Seq, End: EndExecuted})
	return nil
}

func (m *model) createWallet(l entry.Leaf, asked uint64, o *request.WalletCreateBody, b *entry.Effect) error {
	w, a, k := b.Wallet, b.Addresses, b.Key
	born, kind, able := o.Seed == "", "hd-seed", m.mayUse(points.Derive)
	if o.Class == "token" {
		kind, able = "secp256k1", m.mayUse(points.TokenKeys)
		if w != nil && (w.ChainCode != [32]byte{} || w.Master != [4]byte{} || w.Parent != [4]byte{}) {
			return errModel
		}
	}
	if b.Life != nil || !able || born && !m.mayUse(points.WalletCreate) || w == nil || a == nil || b.Document != nil || m.walletNumber(o.Wallet) >= 0 || (k == nil) != (o.Seed != "") {
		return errModel
	}
	haveKey := func(id custody.KeyID) bool {
		return slices.ContainsFunc(m.keys, func(x entry.NewKey) bool { return x.ID == id })
	}
	sameKeys := slices.ContainsFunc(m.wallets, func(x entry.Wallet) bool {
		return x.Key == w.Key && x.Chain == w.Chain && x.Scheme == w.Scheme && x.Account == w.Account
	})
	if err := ensure(w.ID == o.Wallet, w.Chain == o.Chain, w.Scheme == o.Scheme, w.Account == o.Account, w.Class == o.Class, len(w.Public) == 33, a.Wallet == o.Wallet, a.Branch == 0, a.From == 0, a.Count == 1, !sameKeys); err != nil {
		return err
	}
	if k == nil {
		seed := slices.IndexFunc(m.keys, func(x entry.NewKey) bool { return x.ID == o.Seed && x.Purpose == "custody" && x.Kind == "hd-seed" })
		if w.Key != o.Seed || seed < 0 {
			return errModel
		}
	} else {
		if err := ensure(k.ID == w.Key, k.Purpose == "custody", k.Kind == kind, k.Epoch == m.head.Epoch, k.ID.Check() == nil, !haveKey(k.ID), k.Blob != [32]byte{}); err != nil {
			return err
		}
		if err := m.bear(k); err != nil {
			return err
		}
	}
	if m.noWarmSeed(w.Key) != nil || m.noColdSeed(w.Key) != nil {
		return errModel
	}
	if o.Temperature == request.Warm {
		m.warm = append(m.warm, modelWarm{wallet: len(m.wallets)})
	}
	m.wallets, m.next, m.born = append(m.wallets, *w), append(m.next, [2]uint32{1, 0}), append(m.born, l.Seq)
	m.asked = append(m.asked, asked)
	return nil
}

// bear takes a new key, with its blob under the next epoch exactly if one is committed.
func (m *model) bear(k *entry.NewKey) error {
	both := m.life.next != nil && m.life.next.committed
	if both != (len(k.Next) == 32) || !both && len(k.Next) != 0 || both && bytes.Equal(k.Next, make([]byte, 32)) {
		return errModel
	}
	born := *k
	if both {
		m.life.next.blobs[k.ID] = [32]byte(k.Next)
		born.Next = nil
	}
	m.keys = append(m.keys, born)
	return nil
}

// expire ends everything whose time is surely past, in the order of time and then of entry.
func (m *model) expire(l entry.Leaf) {
	over := func(notAfter int64) bool { return notAfter < (l.Time-l.Bound)/1e9 }
	m.sessions = slices.DeleteFunc(m.sessions, func(x sessionRecord) bool { return over(x.Session.NotAfter) })
	m.closeWarm(func(x WarmSession) bool { return over(x.NotAfter) })
	m.endGrants(func(g modelGrant) bool { return over(g.body.NotAfter) })
	type due struct {
		at  int64
		seq uint64
		ended
	}
	var dues []due
	for _, p := range m.pending {
		if over(p.Bounds.NotAfter) {
			dues = append(dues, due{p.Bounds.NotAfter, p.Seq, ended{p.ID, Outcome{BodyHash: p.BodyHash, Seq: p.Seq, End: EndExpired}}})
		}
	}
	for _, g := range m.signed {
		if over(g.NotAfter) && g.Result != 0 {
			dues = append(dues, due{g.NotAfter, g.Seq, ended{g.ID, Outcome{BodyHash: g.BodyHash, Seq: g.Result, End: EndSigned}}})
		}
	}
	slices.SortFunc(dues, func(a, b due) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.seq, b.seq)) })
	for _, d := range dues {
		m.end(d.id, d.o)
	}
}
