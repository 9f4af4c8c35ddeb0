// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"crypto/sha256"
	"fmt"

	"pgregory.net/rapid"

	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/request"
)

// lifeRequest draws an operation on the life cycle: mostly the one that fits, with the right counter and register.
func (d *driver) lifeRequest(t *rapid.T) (request.Operation, any) {
	l := d.s.life
	n := l.Counter + 1
	if seldom(t, "wrong counter") {
		n += rapid.SampledFrom([]uint64{1, ^uint64(0)}).Draw(t, "counter off by")
		n = max(n, 1)
	}
	named := func(r *Register) (uint64, []byte) {
		if r == nil || seldom(t, "another register") {
			return d.s.Epoch, d.s.Pattern
		}
		return r.Epoch, r.Pattern
	}
	some := points.Make(rapid.SampledFrom([]points.Point{points.Derive, points.WalletCreate, points.SignECDSASecp256k1, points.RotateEpoch, points.AppKeys}).Draw(t, "point"))
	ops := []request.Operation{request.PointsSet, request.EpochLoad, request.EpochCommit, request.EpochActivate, request.EpochActivate, request.EpochFinalize, request.EpochFinalize, request.EpochCancel, request.Zeroize, request.Restore}
	switch op := rapid.SampledFrom(ops).Draw(t, "life operation"); op {
	case request.PointsSet:
		b := request.PointsSetBody{Counter: n, Allow: some}
		if l.Allowed.HasAll(some) {
			b = request.PointsSetBody{Counter: n, Deny: some}
		}
		if seldom(t, "freeze") {
			b.Freeze = points.Make(points.AppKeys)
		}
		return op, b
	case request.EpochLoad:
		b := request.EpochLoadBody{Counter: n, Epoch: l.Used + 1}
		if rapid.IntRange(0, 3).Draw(t, "new custodians") == 0 {
			b.Recovery = sharing(2, false)
		}
		return op, b
	case request.EpochCommit:
		e, p := named(l.Next)
		return op, request.EpochCommitBody{Counter: n, Epoch: e, Pattern: p, Receipts: d.receipts(t)}
	case request.EpochActivate:
		e, p := named(l.Next)
		return op, request.EpochActivateBody{Counter: n, Epoch: e, Pattern: p}
	case request.EpochFinalize:
		e, p := named(l.Previous)
		return op, request.EpochFinalizeBody{Counter: n, Epoch: e, Pattern: p}
	case request.EpochCancel:
		e, p := named(l.Next)
		return op, request.EpochCancelBody{Counter: n, Epoch: e, Pattern: p}
	case request.Zeroize:
		return op, request.ZeroizeBody{Counter: n, Phrase: request.ZeroizePhrase(d.s.Domain)}
	default:
		return request.Restore, request.RestoreBody{Counter: n, Epoch: d.s.Epoch, Pattern: d.s.Pattern}
	}
}

// receipts gives those that a commit needs.
func (d *driver) receipts(t *rapid.T) (out []request.ShareReceipt) {
	n := d.s.life.Next
	if n == nil || n.Recovery == nil || seldom(t, "no receipts") {
		return nil
	}
	out = receiptsOf(n.Recovery)
	if seldom(t, "a receipt less") {
		out = out[1:]
	}
	return out
}

// spoilLife makes an effect wrong, now and then.
func (d *driver) spoilLife(t *rapid.T, e *entry.Life) {
	if !seldom(t, "wrong effect") {
		return
	}
	rapid.SampledFrom([]func(){func() { e.Epoch++ }, func() { e.Pattern = make([]byte, 15) }, func() { e.Sealed = append(e.Sealed, 1) }, func() { e.Identity = append(e.Identity, 1) },
		func() { e.Destroyed = append(e.Destroyed, 7) }, func() { e.Doomed = &entry.BlobList{Count: 1} }, func() { s := points.Set{1}; e.Allowed = &s }, func() { s := points.Set{1}; e.Frozen = &s },
		func() { e.Pattern = d.s.Pattern }}).Draw(t, "spoil effect")()
}

// lifeFact draws what the core records by itself.
func (d *driver) lifeFact(t *rapid.T) any {
	switch rapid.IntRange(0, 11).Draw(t, "life fact") {
	case 0, 11:
		return &entry.Tamper{Cause: rapid.SampledFrom([]string{"the lid", "", "\x1b"}).Draw(t, "cause")}
	case 1, 2, 3, 4:
		list := entry.ListOf(d.s.blobs.Doomed)
		if seldom(t, "other blobs") {
			list.Count++
		}
		return &entry.Erased{Blobs: list}
	default:
		return d.reencipher(t)
	}
}

// reencipher gives some keys a blob under the next epoch.
func (d *driver) reencipher(t *rapid.T) *entry.Reencipher {
	b := &entry.Reencipher{}
	if n := d.s.life.Next; n != nil {
		b.Epoch = n.Epoch
	}
	keys, _ := d.s.Unreenciphered(0, rapid.IntRange(1, 4).Draw(t, "keys"))
	if seldom(t, "any keys") {
		keys = d.s.keys
	}
	for _, k := range keys {
		b.Blobs = append(b.Blobs, entry.Blob{Key: k.ID, Hash: sha256.Sum256(fmt.Appendf(nil, "blob of %s under %d", k.ID, b.Epoch))})
	}
	switch {
	case len(b.Blobs) > 1 && seldom(t, "out of order"):
		b.Blobs[0], b.Blobs[1] = b.Blobs[1], b.Blobs[0]
	case len(b.Blobs) > 0 && seldom(t, "no blob"):
		b.Blobs[0].Hash = [32]byte{}
	case len(b.Blobs) > 0 && seldom(t, "the old blob"):
		b.Blobs[0].Hash = d.s.keys[0].Blob
	case seldom(t, "another epoch"):
		b.Epoch++
	}
	return b
}

// lifeStory is a piece of a rotation, or of a zeroize and restore, as it should be: the operation that fits, asked for, approved, done.
func (d *driver) lifeStory(t *rapid.T) {
	l := d.s.life
	var op request.Operation
	var body any
	n := l.Counter + 1
	switch other := rapid.IntRange(0, 19).Draw(t, "something else"); {
	case other == 0:
		op, body = request.Zeroize, request.ZeroizeBody{Counter: n, Phrase: request.ZeroizePhrase(d.s.Domain)}
	case other == 1 && l.Next != nil:
		op, body = request.EpochCancel, request.EpochCancelBody{Counter: n, Epoch: l.Next.Epoch, Pattern: l.Next.Pattern}
	case other == 2 || !l.Allowed.Has(points.RotateEpoch):
		p := points.Make(rapid.SampledFrom([]points.Point{points.Derive, points.RotateEpoch, points.AppKeys}).Draw(t, "point"))
		op, body = request.PointsSet, request.PointsSetBody{Counter: n, Allow: p.Minus(l.Allowed).With(points.RotateEpoch), Deny: p.And(l.Allowed).Without(points.RotateEpoch)}
	case other == 3 || other == 4:
		op, body = d.walletRequest(t, rapid.SampledFrom([]int{5, 5, 6, 6, 7, 8, 8, 8, 9}).Draw(t, "governed"))
	case len(d.s.blobs.Doomed) > 0:
		d.submit(t, &entry.Erased{Blobs: entry.ListOf(d.s.blobs.Doomed)})
		return
	case l.Phase == Zeroized:
		op, body = request.Restore, request.RestoreBody{Counter: n, Epoch: d.s.Epoch, Pattern: d.s.Pattern}
	case l.Previous != nil:
		op, body = request.EpochFinalize, request.EpochFinalizeBody{Counter: n, Epoch: l.Previous.Epoch, Pattern: l.Previous.Pattern}
	case l.Next == nil:
		b := request.EpochLoadBody{Counter: n, Epoch: l.Used + 1}
		if rapid.Bool().Draw(t, "new custodians") {
			b.Recovery = sharing(2, false)
		}
		op, body = request.EpochLoad, b
	case !l.Next.Committed:
		op, body = request.EpochCommit, request.EpochCommitBody{Counter: n, Epoch: l.Next.Epoch, Pattern: l.Next.Pattern, Receipts: d.receipts(t)}
	case d.s.lacking > 0:
		d.submit(t, d.reencipher(t))
		return
	default:
		op, body = request.EpochActivate, request.EpochActivateBody{Counter: n, Epoch: l.Next.Epoch, Pattern: l.Next.Pattern}
	}
	d.through(t, op, body)
}

// through asks for something as alice, has it approved by all who may, and does it.
func (d *driver) through(t *rapid.T, op request.Operation, body any) {
	by := who("alice")
	r := d.request(by, op, body)
	e := d.decided(t, by, r)
	if e == nil {
		return // a control point is off
	}
	d.submit(t, e)
	for _, name := range []string{"bob", "carol", "dave"} {
		if w, ok := d.s.Pending(r.ID()); ok && d.s.mayDecide(w, request.Approval{Person: who(name).id, Decision: request.Approve}, d.at()) == nil {
			d.submit(t, d.approval(t, r.ID(), who(name), request.Approve))
		}
	}
	w, ok := d.s.Pending(r.ID())
	if !ok {
		return
	}
	x, o, err := d.s.DecideEffect(w, d.at(), Derive)
	if err != nil {
		return
	}
	d.made(o, x)
	if b, ok := o.(*request.WalletCreateBody); ok {
		madeUp(t, d.s, b, x)
	}
	if x.Life != nil {
		d.spoilLife(t, x.Life)
	}
	d.submit(t, x)
}
