// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/keystore"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	pure "strongroom/internal/pure/offline"
)

// lossOf says what was given back, and what the state that was dropped had signed besides.
func lossOf(w *work, before *pure.State, sb pure.SetBack) Loss {
	s := w.state
	out := Loss{Domain: s.Domain, Name: s.Name, Authority: s.Authority, Number: w.bundle.Number, Checkpoint: w.checkpoint, From: sb.From, To: sb.To}
	for _, p := range append(s.Permits(), s.Lost()...) {
		if p.Seq >= sb.From && p.Result != nil {
			out.Signed = append(out.Signed, Signed{Entry: p.Entry, Request: p.Request[:], TxID: p.Result.TxID})
		}
	}
	for _, p := range append(before.Permits(), before.Lost()...) {
		if now, ok := s.Permitted(p.Entry); p.Seq >= sb.From && p.Result != nil && (!ok || now.Leaf != p.Leaf) {
			out.Undone = append(out.Undone, Signed{Entry: p.Entry, Request: p.Request[:], TxID: p.Result.TxID})
		}
	}
	for _, h := range s.Wallets() {
		if was, ok := before.Holds(h.Wallet); !ok || was.Blob != h.Blob {
			out.Came = append(out.Came, h.Wallet)
		}
	}
	for _, o := range s.Outs() {
		if o.Seq >= sb.From {
			out.Left = append(out.Left, o.Wallet)
		}
	}
	d, _ := w.follow.state.OfflineDomain(s.Domain)
	for _, a := range w.follow.anchors {
		if a.Entry > d.Result && a.gap != nil && !a.gap.Whole {
			out.Gap = a.Entry
		}
	}
	return out
}

// onItsWay gives the wallet whose seed is sealed to the import key that the log names, and has not arrived.
func onItsWay(w *work) custody.WalletID {
	wallets, where := w.follow.state.AwayIn(w.ID())
	for i, a := range where {
		if a.Way == authority.Leaving && a.Import == w.state.Key.ID {
			return wallets[i].ID
		}
	}
	return ""
}

// waiting lists the permits that wait for this domain: entries that nobody has any more may have signed them.
func waiting(ctx context.Context, w *work) (closed []pure.ClosedSlot, told []LostPermit, err error) {
	for _, g := range w.follow.state.ExportedTo(w.ID()) {
		if p, done := w.state.Permitted(g.Permit); done && p.Leaf == g.PermitLeaf {
			continue
		}
		leaf, body, err := w.follow.entry(ctx, g.Permit)
		if err != nil {
			return nil, nil, err
		}
		p, ok := body.(*entry.Permit)
		if !ok || leaf != g.PermitLeaf {
			return nil, nil, fmt.Errorf("%w: entry %d", ErrFollow, g.Permit)
		}
		closed = append(closed, pure.ClosedSlot{Entry: g.Permit, Request: p.Request, Attempt: p.Attempt, Slot: p.Slot})
		told = append(told, LostPermit{Entry: g.Permit, Request: p.Request[:], Wallet: p.Wallet, Account: p.Slot.Account, Nonce: p.Slot.Nonce, Inputs: len(p.Slot.Inputs)})
	}
	return closed, told, nil
}

// lacks says whether a blob is neither in the backup nor in the folder.
func (r *restoring) lacks(ctx context.Context, ref keystore.Ref) (bool, error) {
	if _, ok := r.blobs[ref]; ok {
		return false, nil
	}
	b, err := r.cfg.Blobs.Get(ctx, ref)
	if errors.Is(err, keystore.ErrNotFound) || err == nil && keystore.Hash(b) != ref.Hash {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	r.blobs[ref] = b
	return false, nil
}

// lack lists the seeds whose blobs are nowhere, by wallet, and those of which another blob was found: a machine that had gone on from the backup may
// have taken the same seed in.
func (r *restoring) lack(ctx context.Context, f *follower) (missing, found []pure.Missing, err error) {
	for _, h := range r.d.state.Wallets() {
		gone, err := r.lacks(ctx, keystore.Ref{Key: h.Key, Hash: h.Blob})
		if err != nil {
			return nil, nil, err
		}
		if !gone {
			continue
		}
		other, ok, err := r.another(ctx, f, h)
		if err != nil {
			return nil, nil, err
		}
		if ok {
			found = append(found, pure.Missing{Wallet: h.Wallet, Key: h.Key, Blob: other})
		} else {
			missing = append(missing, pure.Missing{Wallet: h.Wallet, Key: h.Key, Blob: h.Blob})
		}
	}
	return missing, found, nil
}

// another looks for another blob of a wallet's seed in the backup: one that opens, and from which the wallet's account follows.
func (r *restoring) another(ctx context.Context, f *follower, h pure.Held) (hash [32]byte, ok bool, err error) {
	wallet, _, known := f.state.Wallet(h.Wallet)
	if !known {
		return hash, false, nil
	}
	k, err := r.loadWorking(ctx)
	if k == nil {
		return hash, false, err
	}
	defer k.Wipe()
	d := *r.d
	d.working, d.cfg.Blobs = k, taken(r.blobs)
	if err := d.derives(); err != nil {
		return hash, false, err
	}
	for _, ref := range sortedRefs(r.blobs) {
		if ref.Key != h.Key {
			continue
		}
		seed, err := d.openSeed(ctx, pure.Held{Wallet: h.Wallet, Key: ref.Key, Blob: ref.Hash})
		if err != nil {
			continue // of another kind, or of another time
		}
		err = d.isSeedOf(wallet, seed)
		seed.Wipe()
		if err == nil {
			return ref.Hash, true, nil
		}
	}
	return hash, false, nil
}

// sortedRefs names blobs in an order that is the same each time.
func sortedRefs(blobs map[keystore.Ref][]byte) []keystore.Ref {
	return slices.SortedFunc(maps.Keys(blobs), func(a, b keystore.Ref) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), bytes.Compare(a.Hash[:], b.Hash[:]))
	})
}

// teller makes stored records of own entries that the authority's log gave back.
type teller struct {
	d       *Domain
	f       *follower
	results []*pure.Result // of permits whose bodies were not given back, in order
}

// untold lists the results of permits that come without a body.
func untold(records []entry.OfflineRecord) (out []*pure.Result) {
	named := map[uint64]bool{}
	for _, r := range records {
		l, err := entry.DecodeLeaf(r.Leaf)
		if err != nil || len(r.Body) == 0 {
			continue
		}
		switch b, _ := pure.DecodeBody(l.Kind, l.KindVersion, r.Body); b := b.(type) {
		case *pure.Permit:
			named[b.Entry] = true
		case *pure.Result:
			if !named[b.Entry] {
				out = append(out, b)
			}
			delete(named, b.Entry) // the number may be another permit's, once the log was re-anchored
		}
	}
	return out
}

// record gives an entry as this domain keeps it. Of one that comes without its body, the body is made again where it follows from the leaf; else
// something stands for it.
func (t *teller) record(ctx context.Context, x entry.OfflineRecord) (auditlog.Record, error) {
	l, err := entry.DecodeLeaf(x.Leaf)
	if err != nil {
		return auditlog.Record{}, err
	}
	if len(x.Salt) == 0 && len(x.Body) == 0 {
		if l.Kind != entry.KindWriter {
			return t.told(ctx, l, x.Leaf)
		}
		salt := t.d.ids.Salt(l.Seq, ownBody)
		x.Salt, x.Body = salt[:], canon.Encode(&entry.Writer{Epoch: l.Writer})
	}
	if _, _, err := pure.Record(x).Open(); err != nil {
		return auditlog.Record{}, err
	}
	stored, err := storedForm(t.d.ids, l, [entry.SaltSize]byte(x.Salt), x.Body)
	return auditlog.Record{Leaf: x.Leaf, Bodies: [][]byte{stored}}, err
}

// told makes what stands for a body that was not given back.
func (t *teller) told(ctx context.Context, l entry.Leaf, leaf []byte) (auditlog.Record, error) {
	out := &pure.Told{Kind: l.Kind}
	if l.Kind == pure.KindPermit {
		if !t.next() {
			return auditlog.Record{}, fmt.Errorf("entry %d is a permit, and neither its body nor its result is in any log", l.Seq)
		}
		b := t.results[0]
		t.results = t.results[1:]
		hash, body, err := t.f.entry(ctx, b.Entry)
		p, ok := body.(*entry.Permit)
		if err != nil || !ok || len(b.Leaf) > 0 && [32]byte(b.Leaf) != hash {
			return auditlog.Record{}, errors.Join(err, fmt.Errorf("own entry %d is the permit of entry %d, which the authority's log has lost: nothing says which slot it has used", l.Seq, b.Entry))
		}
		out.Permit = &pure.Permit{Entry: b.Entry, Leaf: hash, Payload: p.PayloadHash, Request: p.Request, Attempt: p.Attempt, Wallet: p.Wallet, Slot: p.Slot}
	}
	stored, err := storeTold(t.d.ids, l, out)
	return auditlog.Record{Leaf: leaf, Bodies: [][]byte{stored}}, err
}

// next drops results of permits that the log has already, and says whether one is left.
func (t *teller) next() bool {
	for len(t.results) > 0 {
		if _, ok := t.d.state.Permitted(t.results[0].Entry); !ok {
			return true
		}
		t.results = t.results[1:]
	}
	return false
}
