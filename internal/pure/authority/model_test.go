// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"errors"
	"maps"
	"slices"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// model is the fold as plainly as it can be written: lists that are searched and copied, no indexes, no queue. It says which entries are
// accepted, and what the state's image is then.
type model struct {
	head     headSection
	doc      policy.Document
	rules    *policy.Rules
	docs     []uint64
	keys     []entry.NewKey
	wallets  []entry.Wallet
	next     [][2]uint32
	born     []uint64
	asked    []uint64
	own      map[custody.RequestID][]uint64 // every entry that names a request
	accounts []account
	nonces   []uint64
	spent    []entry.Input
	sessions []sessionRecord
	pending  []Pending
	signed   []Signed
	done     []ended
	life     modelLife
	warm     []modelWarm
	anchor   modelAnchor
	grants   []modelGrant
	revoked  []revokedKey
	cold     modelCold

	oversight modelOversight
}

type ended struct {
	id custody.RequestID
	o  Outcome
}

func modelOf(s *State) model {
	m := s.Image()
	out := model{head: m.Head, doc: s.Doc, rules: s.Rules, docs: m.Docs, keys: m.Keys, wallets: s.walletList, next: m.Next, born: m.Born, asked: m.Asked, nonces: m.Nonces, own: map[custody.RequestID][]uint64{}, life: modelLifeOf(s)}
	out.accounts = make([]account, len(s.accountIndex))
	for a, i := range s.accountIndex {
		out.accounts[i] = a
	}
	for _, r := range m.Warm {
		out.warm = append(out.warm, modelWarm{wallet: int(r.Wallet)})
	}
	return out.clone()
}

func (m model) clone() model {
	m.docs, m.keys, m.wallets, m.next, m.born = slices.Clone(m.docs), slices.Clone(m.keys), slices.Clone(m.wallets), slices.Clone(m.next), slices.Clone(m.born)
	m.asked, m.own = slices.Clone(m.asked), maps.Clone(m.own)
	m.accounts, m.nonces, m.spent, m.sessions = slices.Clone(m.accounts), slices.Clone(m.nonces), slices.Clone(m.spent), slices.Clone(m.sessions)
	m.life, m.warm, m.anchor = m.life.clone(), m.cloneWarm(), m.anchor.clone()
	m.grants, m.revoked = m.cloneApps(), slices.Clone(m.revoked)
	m.cold, m.oversight = m.cold.clone(), m.oversight.clone()
	m.pending, m.signed, m.done = slices.Clone(m.pending), slices.Clone(m.signed), slices.Clone(m.done)
	for i := range m.pending {
		m.pending[i].Approvals, m.pending[i].Trail = slices.Clone(m.pending[i].Approvals), slices.Clone(m.pending[i].Trail)
	}
	for i := range m.signed {
		m.signed[i].Trail = slices.Clone(m.signed[i].Trail)
	}
	return m
}

// root builds the image from the lists.
func (m model) root() [32]byte {
	img := Image{Head: m.head, Document: m.doc.Encode(), Keys: m.keys, Next: m.next, Nonces: m.nonces, Sessions: m.sessions, Docs: m.docs, Born: m.born, Asked: m.asked}
	wallets, accounts, spent, done := newChain(walletChunk), newChain(accountChunk), newChain(spentChunk), newChain(doneChunk)
	for _, w := range m.wallets {
		wallets.add(canon.Encode(w), 0)
	}
	for _, a := range m.accounts {
		accounts.add(canon.Encode(a), 0)
	}
	for _, in := range m.spent {
		spent.add(encodeSpent(in), 0)
	}
	for _, d := range m.done {
		done.add(encodeDone(d.id, d.o), 0)
	}
	img.Life, img.Blobs = m.lifeImage()
	img.Warm, img.Apps = m.warmImage(), m.appImage()
	img.Anchoring = m.anchor.image()
	img.Cold, img.Governance = m.coldImage(), m.oversightImage()
	img.Wallets, img.Accounts, img.Spent, img.Done = wallets.state(), accounts.state(), spent.state(), done.state()
	for i := range m.pending {
		img.Pending = append(img.Pending, &m.pending[i])
	}
	for i := range m.signed {
		img.Signed = append(img.Signed, &m.signed[i])
	}
	return img.Root()
}

var errModel = errors.New("the model refuses")

func ensure(conditions ...bool) error {
	if slices.Contains(conditions, false) {
		return errModel
	}
	return nil
}

// apply gives the next model; m stays as it is.
func (m model) apply(l entry.Leaf, hash [32]byte, body any) (model, error) {
	n := m.clone()
	_, isWriter := body.(*entry.Writer)
	if _, ok := body.(*entry.Reanchor); ok {
		isWriter = true
	}
	if err := ensure(l.Seq == m.head.Next, l.Prev == m.head.Last, l.Authority == m.head.Authority, l.Domain == m.head.Domain, l.Time >= m.head.Time, l.KindVersion == 1,
		l.Engine == entry.Engine1, len(l.Bodies) > 0, isWriter || l.Writer == m.head.Writer, l.Kind == kindOf(body)); err != nil {
		return m, err
	}
	if !n.aliveFor(body) || !n.takesEntry(Moment{l.Time, l.Bound}, body) {
		return m, errModel
	}
	if id, ok := requestOf(body); ok {
		n.own[id] = append(slices.Clone(n.own[id]), l.Seq)
	}
	if err := n.do(l, hash, body); err != nil {
		return m, err
	}
	n.head.Next, n.head.Last, n.head.Time = l.Seq+1, hash, l.Time
	n.expire(l)
	n.forgetHolds()
	return n, nil
}

func (m *model) do(l entry.Leaf, hash [32]byte, body any) error {
	at := Moment{l.Time, l.Bound}
	switch b := body.(type) {
	case *entry.Request:
		return m.request(l, hash, b)
	case *entry.Approval:
		return m.approval(l, b.Approval)
	case *entry.Permit:
		return m.permit(l, hash, at, b)
	case *entry.Result:
		g := m.signedOf(b.Request)
		if g == nil || g.Permit != b.Permit || g.Result != 0 || len(b.Signatures) == 0 || b.TxID == "" {
			return errModel
		}
		g.Result, g.Trail = l.Seq, append(g.Trail, l.Seq)
		m.settled(b.Request)
	case *entry.Refusal:
		return m.refusal(l, b)
	case *entry.Effect:
		return m.effect(l, at, b)
	case *entry.Session:
		return m.session(l, b)
	case *entry.Snapshot:
		return ensure(m.root() == b.Root)
	case *entry.Writer:
		if b.Epoch != l.Writer || b.Epoch <= m.head.Writer {
			return errModel
		}
		m.head.Writer = b.Epoch
	case *entry.Reencipher, *entry.Erased, *entry.Tamper:
		return m.lifeFact(l, body)
	case *entry.Reanchor:
		return m.reanchor(l, hash, b)
	case *entry.Gap:
		return m.gap(l, b)
	case *entry.Uses:
		return m.uses(at, b)
	case *entry.Offline:
		return m.offline(l, b)
	default:
		return errModel
	}
	return nil
}

// requestOf gives the request that an entry is about.
func requestOf(body any) (id custody.RequestID, ok bool) {
	switch b := body.(type) {
	case *entry.Request:
		r, err := request.Decode(b.Request)
		return r.ID(), err == nil
	case *entry.Approval:
		return b.Approval.Request, true
	case *entry.Permit:
		return b.Request, true
	case *entry.Result:
		return b.Request, true
	case *entry.Refusal:
		return b.Request, true
	case *entry.Effect:
		return b.Request, true
	default:
		return id, false
	}
}

func (m *model) pendingOf(id custody.RequestID) *Pending {
	for i := range m.pending {
		if m.pending[i].ID == id {
			return &m.pending[i]
		}
	}
	return nil
}

func (m *model) signedOf(id custody.RequestID) *Signed {
	for i := range m.signed {
		if m.signed[i].ID == id {
			return &m.signed[i]
		}
	}
	return nil
}

func (m *model) known(id custody.RequestID) bool {
	return m.pendingOf(id) != nil || m.signedOf(id) != nil || slices.ContainsFunc(m.done, func(d ended) bool { return d.id == id })
}

func (m *model) end(id custody.RequestID, o Outcome) {
	m.pending = slices.DeleteFunc(m.pending, func(p Pending) bool { return p.ID == id })
	m.signed = slices.DeleteFunc(m.signed, func(g Signed) bool { return g.ID == id })
	o.Own = m.own[id]
	m.done = append(m.done, ended{id, o})
}

func (m *model) holds(who custody.PersonID, ref request.KeyRef) bool {
	p, _, ok := m.rules.Key(ref)
	return ok && p.Active && p.ID == who
}

func (m *model) request(l entry.Leaf, hash [32]byte, b *entry.Request) error {
	r, err := request.Decode(b.Request)
	if err != nil || b.Evidence.Check() != nil {
		return errModel
	}
	key := b.Evidence.Key
	if b.Facts.Evidence == policy.BySession {
		i := slices.IndexFunc(m.sessions, func(x sessionRecord) bool {
			return string(x.ID[:]) == string(b.Evidence.Session) && x.Session.Service == r.Initiator
		})
		if i < 0 {
			return errModel
		}
		key = m.sessions[i].Session.Key
	}
	if err := ensure(r.Authority == m.head.Authority, r.Domain == m.head.Domain, !m.known(r.ID()), b.Decision.Version == m.doc.Version, b.Decision.Hash == m.doc.Hash(),
		b.Facts.Initiator == r.Initiator, b.Facts.Operation == r.Operation, b.Effects.Operation == r.Operation, b.Bounds.NotAfter == r.NotAfter, b.Effects.BodyHash == r.Hash(),
		(b.Facts.Evidence == policy.BySession) == (b.Evidence.Key == ""), (b.Facts.Evidence == policy.ByCall) == (b.Evidence.HTTP != nil), m.holds(r.Initiator, key)); err != nil {
		return err
	}
	if b.Decision.Outcome != policy.Allowed {
		m.end(r.ID(), Outcome{BodyHash: r.Hash(), Seq: l.Seq, End: EndRefused})
		return nil
	}
	m.pending = append(m.pending, Pending{ID: r.ID(), Seq: l.Seq, BodyHash: r.Hash(), Request: b.Request, Evidence: b.Facts.Evidence, Effects: b.Effects, Bounds: b.Bounds, Decision: b.Decision,
		Initiator: r.Initiator, Leaf: hash})
	return nil
}

// mayDecide says whether a decision lets somebody approve or reject: by its plan, or by one that it needs besides.
func (m *model) mayDecide(d policy.Decision, id custody.PersonID) bool {
	for _, x := range d.Also {
		if x.Groups == nil && m.approver(x.Plan, id) {
			return true
		}
		active := slices.ContainsFunc(m.doc.Principals, func(p policy.Principal) bool { return p.ID == id && p.Active && p.Kind == policy.Human })
		if active && slices.ContainsFunc(x.Groups, func(g policy.Group) bool { return slices.Contains(g.Members, id) }) {
			return true
		}
	}
	return m.approver(d.Plan, id)
}

// approver says whether somebody is an active human in a group of a plan.
func (m *model) approver(p policy.Plan, id custody.PersonID) bool {
	for _, x := range m.doc.Principals {
		if x.ID == id && (!x.Active || x.Kind != policy.Human) {
			return false
		}
	}
	for _, b := range p.AnyOf {
		for _, s := range b.Steps {
			for _, g := range m.doc.Groups {
				if g.ID == s.Group && slices.Contains(g.Members, id) {
					return true
				}
			}
		}
	}
	return false
}

func (m *model) stands(p *Pending, v Vote, at Moment) bool {
	age := m.doc.Floor.MaxApprovalAge
	if p.Floor != nil {
		age = min(age, p.Floor.MaxApprovalAge)
	}
	return m.holds(v.Person, v.Key) && at.Time+at.Bound <= v.Time+age*1e9
}

func (m *model) approval(l entry.Leaf, a request.Approval) error {
	p := m.pendingOf(a.Request)
	if a.Check() != nil || p == nil || !m.holds(a.Person, a.Key) {
		return errModel
	}
	o := Outcome{BodyHash: p.BodyHash, Seq: l.Seq}
	switch a.Decision {
	case request.Cancel:
		if o.End = EndCancelled; a.Person != p.Initiator {
			return errModel
		}
	case request.Reject:
		if o.End = EndRejected; !m.mayDecide(p.Decision, a.Person) {
			return errModel
		}
	default:
		twice := slices.ContainsFunc(p.Approvals, func(v Vote) bool { return v.Person == a.Person && m.stands(p, v, Moment{l.Time, l.Bound}) })
		if twice || a.Person == p.Initiator || !m.mayDecide(p.Decision, a.Person) {
			return errModel
		}
		p.Approvals = append(p.Approvals, Vote{Person: a.Person, Key: a.Key, Seq: l.Seq, Time: l.Time})
		return nil
	}
	m.end(p.ID, o)
	return nil
}

// quorum says whether an act may rest on the approvals of a request: it names all of them, and those that stand meet both plans.
func (m *model) quorum(p *Pending, d policy.Decision, used, trail []uint64, at Moment) error {
	var votes []policy.Vote
	var seqs []uint64
	for _, v := range p.Approvals {
		seqs = append(seqs, v.Seq)
		if m.stands(p, v, at) {
			votes = append(votes, policy.Vote{Person: v.Person, Decision: request.Approve})
		}
	}
	then, _ := p.Decision.Met(m.rules, p.Initiator, votes)
	now, _ := d.Met(m.rules, p.Initiator, votes)
	return ensure(then, now, !m.onHold(p.ID), d.Outcome == policy.Allowed, d.Version == m.doc.Version, d.Hash == m.doc.Hash(), slices.Equal(used, seqs), slices.Equal(trail, p.Trail),
		!Expired(p.Bounds.NotAfter, at.Time, at.Bound))
}

func (m *model) walletNumber(id custody.WalletID) int {
	return slices.IndexFunc(m.wallets, func(w entry.Wallet) bool { return w.ID == id })
}

func least(caps ...*custody.Uint256) custody.Uint256 {
	out := *caps[0]
	for _, c := range caps {
		if c != nil && c.Cmp(out) < 0 {
			out = *c
		}
	}
	return out
}

func (m *model) permit(l entry.Leaf, hash [32]byte, at Moment, b *entry.Permit) error {
	w := m.walletNumber(b.Wallet)
	if err := ensure(canon.HashBytes(canon.TagPayload, b.Payload) == b.PayloadHash, len(b.Keys) > 0, b.Decision.Outcome == policy.Allowed, b.Decision.Version == m.doc.Version,
		b.Decision.Hash == m.doc.Hash(), w >= 0); err != nil {
		return err
	}
	point := points.SignECDSASecp256k1
	if m.wallets[w].Scheme == request.SchemeP2TR {
		point = points.SignBIP340
	}
	if !m.mayUse(point) || m.isHeld(w) || !m.mayCall(b.Request) {
		return errModel
	}
	if g := m.signedOf(b.Request); g != nil {
		if err := ensure(g.Operation != request.MessageSign, b.Attempt == g.Attempt+1, b.PayloadHash != g.Payload, b.Fee.Cmp(g.Fee) > 0, b.Fee.Cmp(least(&g.FeeCap, b.Decision.FeeCap)) <= 0, slices.Equal(b.Trail, g.Trail), len(g.Trail) < MaxTrail-1,
			len(b.Approvals) == 0, SlotHash(b.Wallet, b.Slot) == g.Slot, !Expired(g.NotAfter, at.Time, at.Bound)); err != nil {
			return err
		}
		more, _ := b.Fee.Sub(g.Fee)
		if err := m.pay(w, g.Asset, custody.Uint256{}, more, at); err != nil {
			return err
		}
		g.Permit, g.Result, g.Attempt, g.Payload, g.Fee, g.PermitLeaf, g.Trail = l.Seq, 0, b.Attempt, b.PayloadHash, b.Fee, hash, append(g.Trail, l.Seq)
		m.change(w, b)
		return m.exports(w, b.Request)
	}
	p := m.pendingOf(b.Request)
	if p == nil || !slices.Contains([]request.Operation{request.Transfer, request.ContractCall, request.MessageSign}, p.Effects.Operation) || p.Effects.Wallet != b.Wallet || b.Attempt != 1 {
		return errModel
	}
	most := least(&p.Bounds.FeeCap, p.Decision.FeeCap, b.Decision.FeeCap)
	if err := m.quorum(p, b.Decision, b.Approvals, b.Trail, at); err != nil || b.Fee.Cmp(most) > 0 {
		return errModel
	}
	if err := m.slot(uint32(w), p.Bounds.Slot, b); err != nil {
		return err
	}
	if err := m.payCall(w, p, b, at); err != nil {
		return err
	}
	m.change(w, b)
	g := Signed{ID: p.ID, Seq: p.Seq, BodyHash: p.BodyHash, Permit: l.Seq, Attempt: 1, Payload: b.PayloadHash, Slot: SlotHash(b.Wallet, b.Slot), Fee: b.Fee, NotAfter: p.Bounds.NotAfter,
		FeeCap: most, Trail: append(slices.Clone(p.Trail), l.Seq), Leaf: p.Leaf, PermitLeaf: hash, Approvals: b.Approvals, Refused: p.Refused, Asset: p.Effects.Asset}
	if p.Effects.Operation != request.Transfer {
		g.Operation = p.Effects.Operation
	}
	m.pending = slices.DeleteFunc(m.pending, func(x Pending) bool { return x.ID == g.ID })
	at0, _ := slices.BinarySearchFunc(m.signed, g.Seq, func(x Signed, seq uint64) int { return int(x.Seq) - int(seq) })
	m.signed = slices.Insert(m.signed, at0, g)
	return m.exports(w, g.ID)
}

func (m *model) change(w int, b *entry.Permit) {
	for _, c := range b.Change {
		m.next[w][1] = max(m.next[w][1], c.Index+1)
	}
}

func (m *model) slot(w uint32, rule request.SlotPolicy, b *entry.Permit) error {
	if rule == request.AccountNonce {
		a := account{w, b.Keys[0].Index}
		i := slices.Index(m.accounts, a)
		next := uint64(0)
		if i >= 0 {
			next = m.nonces[i]
		}
		if err := ensure(b.Slot.Nonce == next, b.Slot.Account != "", len(b.Slot.Inputs) == 0, len(b.Keys) == 1, b.Keys[0].Branch == 0, len(b.Change) == 0); err != nil {
			return err
		}
		if i < 0 {
			m.accounts, m.nonces = append(m.accounts, a), append(m.nonces, 1)
		} else {
			m.nonces[i]++
		}
		return nil
	}
	if rule == request.NoSlot {
		return ensure(b.Slot.Account != "", b.Slot.Nonce == 0, len(b.Slot.Inputs) == 0, len(b.Keys) == 1, b.Keys[0].Branch == 0, len(b.Change) == 0, b.Fee.IsZero(), len(b.Payload) > 1, b.Payload[0] == 0x19)
	}
	if b.Slot.Account != "" || b.Slot.Nonce != 0 || len(b.Slot.Inputs) == 0 || len(b.Slot.Inputs) != len(b.Keys) {
		return errModel
	}
	for _, in := range b.Slot.Inputs {
		if slices.Contains(m.spent, in) {
			return errModel
		}
		m.spent = append(m.spent, in) // twice in one permit is found too
	}
	return nil
}

func (m *model) refusal(l entry.Leaf, b *entry.Refusal) error {
	p, g := m.pendingOf(b.Request), m.signedOf(b.Request)
	room := map[string]uint8{"approve": 16, "permit": 32, "execute": 16}
	act, most := slices.Index([]string{"approve", "permit", "execute"}, b.Act), room[b.Act]
	if act < 0 {
		return errModel
	}
	if b.Kind == problem.Unauthenticated || b.Kind == problem.Malformed {
		most /= 2
	}
	switch {
	case p != nil && b.Final:
		m.end(p.ID, Outcome{BodyHash: p.BodyHash, Seq: l.Seq, End: EndRefused})
	case p != nil && p.Refused[act] < most:
		p.Refused[act]++
		p.Trail = append(p.Trail, l.Seq)
	case g != nil && g.Refused[act] < most && !b.Final:
		g.Refused[act]++
		g.Trail = append(g.Trail, l.Seq)
	default:
		return errModel
	}
	return nil
}

func (m *model) session(l entry.Leaf, b *entry.Session) error {
	var o request.SessionOpening
	if canon.Decode(b.Opening, &o) != nil {
		return errModel
	}
	p, ok := m.rules.Principal(o.Service)
	if err := ensure(o.V == 1, o.Authority == m.head.Authority, o.Domain == m.head.Domain, len(b.Session) == 16, len(b.Ephemeral) == 32, len(o.Ephemeral) == 32, len(b.Sig) == 64,
		m.holds(o.Service, b.Key), ok, p.Kind == policy.Service, o.NotAfter > l.Time/1e9, o.NotAfter <= l.Time/1e9+request.MaxSession+l.Bound/1e9+1); err != nil {
		return err
	}
	x := sessionRecord{[16]byte(b.Session), Session{Service: o.Service, Key: b.Key, NotAfter: o.NotAfter, Seq: l.Seq}}
	if slices.ContainsFunc(m.sessions, func(y sessionRecord) bool { return y.ID == x.ID }) {
		return errModel
	}
	m.sessions = append(m.sessions, x)
	return nil
}
