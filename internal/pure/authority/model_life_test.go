// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"bytes"
	"maps"
	"slices"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/share"
)

// modelLife is the life cycle as plainly as it can be written: what each epoch's register is, and which blobs it has, by key.
type modelLife struct {
	zeroized bool
	counter  uint64
	on, ice  map[points.Point]bool
	used     uint64
	record   *request.Recovery
	next     *modelRegister
	previous *modelRegister
	since    uint64
	doomed   []entry.Blob
}

type modelRegister struct {
	epoch     uint64
	pattern   []byte
	committed bool
	copies    [2][]byte // working key, identity
	record    *request.Recovery
	blobs     map[custody.KeyID][32]byte
}

func (l modelLife) clone() modelLife {
	l.on, l.ice, l.doomed = maps.Clone(l.on), maps.Clone(l.ice), slices.Clone(l.doomed)
	l.next, l.previous = l.next.clone(), l.previous.clone()
	return l
}

func (r *modelRegister) clone() *modelRegister {
	if r == nil {
		return nil
	}
	c := *r
	c.blobs = maps.Clone(r.blobs)
	return &c
}

func modelLifeOf(s *State) modelLife {
	l := modelLife{counter: s.life.Counter, on: map[points.Point]bool{}, ice: map[points.Point]bool{}, used: s.life.Used, record: s.life.Recovery}
	for _, p := range s.life.Allowed.Points() {
		l.on[p] = true
	}
	return l
}

func setOf(m map[points.Point]bool) (s points.Set) {
	for p, in := range m {
		if in {
			s = s.With(p)
		}
	}
	return s
}

// image gives the two sections.
func (m *model) lifeImage() (Life, lifeBlobs) {
	l := m.life
	out := Life{Phase: Operational, Counter: l.counter, Allowed: setOf(l.on), Frozen: setOf(l.ice), Used: l.used, Recovery: l.record, Since: l.since}
	blobs := lifeBlobs{Doomed: l.doomed}
	if l.zeroized {
		out.Phase = Zeroized
	}
	if n := l.next; n != nil {
		out.Next = &Register{Epoch: n.epoch, Pattern: n.pattern, Committed: n.committed, Sealed: n.copies[0], Identity: n.copies[1], Recovery: n.record}
		if n.committed {
			for _, k := range m.keys {
				blobs.Next = append(blobs.Next, n.blobs[k.ID])
			}
		}
	}
	if p := l.previous; p != nil {
		out.Previous = &Register{Epoch: p.epoch, Pattern: p.pattern, Sealed: p.copies[0], Identity: p.copies[1]}
		blobs.Previous = m.listed(p)
	}
	return out, blobs
}

// listed gives a register's blobs in order of birth of their keys.
func (m *model) listed(r *modelRegister) (out []entry.Blob) {
	if r == nil {
		return nil
	}
	for _, k := range m.keys {
		if h, ok := r.blobs[k.ID]; ok {
			out = append(out, entry.Blob{Key: k.ID, Hash: h})
		}
	}
	return out
}

func copiesOf(hashes ...[]byte) (out []entry.Blob) {
	for _, h := range hashes {
		if h != nil {
			out = append(out, entry.Blob{Key: SealedCopies, Hash: [32]byte(h)})
		}
	}
	return out
}

// aliveFor says whether an entry is taken after zeroize.
func (m *model) aliveFor(body any) bool {
	still := func(o request.Operation) bool {
		return !m.reanchoring(o) && (!m.life.zeroized || o == request.Restore || o == request.PersonRevoke || o == request.ReanchorCancel || o == request.Freeze)
	}
	switch b := body.(type) {
	case *entry.Result, *entry.Snapshot, *entry.Writer, *entry.Erased, *entry.Reanchor, *entry.Gap:
		return true
	case *entry.Tamper, *entry.Reencipher:
		return !m.life.zeroized
	case *entry.Request:
		return still(b.Effects.Operation)
	case *entry.Session, *entry.Permit, *entry.Uses, *entry.Offline:
		return still("")
	default:
		id, _ := requestOf(body)
		if p := m.pendingOf(id); p != nil {
			return still(p.Effects.Operation)
		}
		return still("")
	}
}

func (m *model) mayUse(list ...points.Point) bool {
	return !slices.ContainsFunc(list, func(p points.Point) bool { return !m.life.on[p] })
}

// lifeEffect does what a request asks of the life cycle, or refuses.
func (m *model) lifeEffect(l entry.Leaf, body request.LifeBody, b *entry.Effect) error {
	e, life := b.Life, &m.life
	if e == nil || b.Document != nil || b.Wallet != nil || b.Key != nil || b.Addresses != nil || body.Number() != life.counter+1 {
		return errModel
	}
	is := func(r *modelRegister, epoch uint64, pattern []byte) bool {
		return r != nil && r.epoch == epoch && bytes.Equal(r.pattern, pattern)
	}
	want := entry.Life{Epoch: m.head.Epoch, Pattern: m.head.Pattern}
	of := func(r *modelRegister) { want.Epoch, want.Pattern = r.epoch, r.pattern }
	doom := func(blobs ...[]entry.Blob) {
		life.doomed = slices.Concat(append([][]entry.Blob{life.doomed}, blobs...)...)
		if len(life.doomed) > 0 {
			list := entry.ListOf(life.doomed)
			want.Doomed = &list
		}
	}
	switch o := body.(type) {
	case *request.PointsSetBody:
		changes := false
		if len(m.anchor.open) > 0 && !o.Allow.Minus(setOf(life.on)).IsZero() {
			return errModel
		}
		for n := range 256 {
			p := points.Point(n)
			now := (life.on[p] || o.Allow.Has(p)) && !o.Deny.Has(p)
			if now != life.on[p] && life.ice[p] || now && !life.on[p] && !m.mayUse(points.AddPoints) {
				return errModel
			}
			changes = changes || now != life.on[p] || o.Freeze.Has(p) && !life.ice[p]
		}
		if !m.mayUse(points.ChangePoints) || !changes {
			return errModel
		}
		for n := range 256 {
			p := points.Point(n)
			life.on[p] = (life.on[p] || o.Allow.Has(p)) && !o.Deny.Has(p)
			life.ice[p] = life.ice[p] || o.Freeze.Has(p)
		}
		on, ice := setOf(life.on), setOf(life.ice)
		want.Allowed, want.Frozen = &on, &ice
	case *request.EpochLoadBody:
		sealed, id := life.record != nil || o.Recovery != nil, o.Recovery != nil
		if err := ensure(m.mayUse(points.RotateEpoch), life.next == nil, life.previous == nil, len(life.doomed) == 0, o.Epoch == life.used+1, len(e.Pattern) == 16,
			(len(e.Sealed) == 32) == sealed, (len(e.Identity) == 32) == id, len(e.Sealed)%32 == 0, len(e.Identity)%32 == 0, !bytes.Equal(e.Pattern, m.head.Pattern)); err != nil {
			return err
		}
		life.used = o.Epoch
		life.next = &modelRegister{epoch: o.Epoch, pattern: e.Pattern, copies: [2][]byte{e.Sealed, e.Identity}, record: o.Recovery, blobs: map[custody.KeyID][32]byte{}}
		of(life.next)
		want.Sealed, want.Identity = e.Sealed, e.Identity
	case *request.EpochCommitBody:
		n := life.next
		if !m.mayUse(points.RotateEpoch) || !is(n, o.Epoch, o.Pattern) || n.committed || (n.record == nil) != (len(o.Receipts) == 0) {
			return errModel
		}
		for i, x := range o.Receipts {
			r, err := share.DecodeReceipt(x.Receipt)
			if err != nil || len(o.Receipts) != len(n.record.Custodians) || int(r.Index) != i+1 || !n.record.Custodians[i].Verify(r.Message(), x.Sig) {
				return errModel
			}
		}
		n.committed = true
		of(n)
	case *request.EpochActivateBody:
		n := life.next
		if !m.mayUse(points.RotateEpoch) || !is(n, o.Epoch, o.Pattern) || !n.committed || len(n.blobs) != m.keysHere() {
			return errModel
		}
		m.activate(n)
		of(n)
	case *request.EpochFinalizeBody:
		p := life.previous
		if !is(p, o.Epoch, o.Pattern) {
			return errModel
		}
		of(p)
		doom(copiesOf(p.copies[0], p.copies[1]), m.listed(p))
		want.Destroyed, life.previous = []uint64{p.epoch}, nil
		m.forgetKeys(m.head.Epoch)
	case *request.EpochCancelBody:
		n := life.next
		if !is(n, o.Epoch, o.Pattern) {
			return errModel
		}
		of(n)
		doom(copiesOf(n.copies[0], n.copies[1]), m.listed(n))
		want.Destroyed, life.next = []uint64{n.epoch}, nil
	case *request.ZeroizeBody:
		if o.Phrase != "zeroize "+m.head.Domain.String()[:16] {
			return errModel
		}
		for _, r := range []*modelRegister{life.previous, {epoch: m.head.Epoch}, life.next} {
			if r != nil {
				want.Destroyed = append(want.Destroyed, r.epoch)
			}
		}
		doom(m.lost())
		m.zeroize(l)
	case *request.RestoreBody:
		if !m.mayUse(points.Restore) || !life.zeroized || len(life.doomed) > 0 || o.Epoch != m.head.Epoch || !bytes.Equal(o.Pattern, m.head.Pattern) {
			return errModel
		}
		life.zeroized = false
	case *request.ReanchorCancelBody:
		x := m.anchor.image()
		if x == nil || x.Pending == nil || x.Pending.Cancelled || x.Pending.Entry != o.Reanchor {
			return errModel
		}
		m.anchor.cancelled = true
	default:
		if err := m.offlineEffect(l, o, &want); err != nil {
			return err
		}
	}
	life.counter++
	return ensure(bytes.Equal(canon.Encode(e), canon.Encode(&want)))
}

func (m *model) activate(n *modelRegister) {
	life := &m.life
	was := &modelRegister{epoch: m.head.Epoch, pattern: m.head.Pattern, blobs: map[custody.KeyID][32]byte{}}
	if r := life.record; r != nil {
		was.copies[0] = r.WorkingKey
		if n.record != nil {
			was.copies[1] = r.Identity
		}
	}
	if r := n.record; r != nil {
		c := *r
		c.Identity = n.copies[1]
		life.record = &c
	}
	if life.record != nil {
		c := *life.record
		c.WorkingKey = n.copies[0]
		life.record = &c
	}
	for i := range m.keys {
		k := &m.keys[i]
		if k.Blob == [32]byte{} {
			continue // it is elsewhere
		}
		was.blobs[k.ID] = k.Blob
		k.Epoch, k.Blob = n.epoch, n.blobs[k.ID]
	}
	m.head.Epoch, m.head.Pattern, life.next, life.previous = n.epoch, n.pattern, nil, was
}

// keysHere counts the keys that have a blob.
func (m *model) keysHere() (n int) {
	for _, k := range m.keys {
		if k.Blob != [32]byte{} {
			n++
		}
	}
	return n
}

// lost lists what goes with all working keys.
func (m *model) lost() (out []entry.Blob) {
	l := m.life
	if p := l.previous; p != nil {
		out = append(copiesOf(p.copies[0], p.copies[1]), m.listed(p)...)
	}
	if r := l.record; r != nil {
		out = append(out, copiesOf(r.WorkingKey, r.Identity)...)
	}
	if n := l.next; n != nil {
		out = append(append(out, copiesOf(n.copies[0], n.copies[1])...), m.listed(n)...)
	}
	return out
}

func (m *model) zeroize(l entry.Leaf) {
	m.life.zeroized, m.life.since, m.life.next, m.life.previous = true, l.Seq, nil, nil
	m.sessions = nil
	m.closeWarm(func(WarmSession) bool { return true })
	m.grants = nil
}

// lifeFact takes what the core records by itself.
func (m *model) lifeFact(l entry.Leaf, body any) error {
	switch b := body.(type) {
	case *entry.Reencipher:
		n := m.life.next
		if n == nil || !n.committed || n.epoch != b.Epoch || len(b.Blobs) == 0 || len(b.Blobs) > 1024 {
			return errModel
		}
		last := -1
		for _, x := range b.Blobs {
			i := slices.IndexFunc(m.keys, func(k entry.NewKey) bool { return k.ID == x.Key })
			_, has := n.blobs[x.Key]
			if i <= last || has || x.Hash == [32]byte{} || x.Hash == m.keys[i].Blob || m.keys[i].Blob == [32]byte{} {
				return errModel
			}
			n.blobs[x.Key], last = x.Hash, i
		}
	case *entry.Erased:
		if len(m.life.doomed) == 0 || b.Blobs != entry.ListOf(m.life.doomed) {
			return errModel
		}
		m.life.doomed = nil
		for i := range m.cold.away {
			m.cold.away[i].Erased = m.cold.away[i].Way == Leaving
		}
	case *entry.Tamper:
		if b.Check() != nil {
			return errModel
		}
		m.life.doomed = append(slices.Clone(m.life.doomed), m.lost()...)
		m.zeroize(l)
		m.life.counter++
	}
	return nil
}
