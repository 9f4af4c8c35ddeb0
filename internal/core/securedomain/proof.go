// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"context"
	"slices"

	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/proof"
)

// trail is what the state knows of a request at one moment.
type trail struct {
	request custody.RequestID
	state   string
	own     []uint64 // every entry of the request, ascending; its own entry is the first
	size    uint64   // of the log at that moment
}

// Proof makes the proof file of a request: every entry that concerns it, and those that say who the people are, what the rules
// are and whose the wallet is, each with its place under the pinned checkpoint, and the domain's word that these are all.
func (d *Domain) Proof(ctx context.Context, id custody.RequestID) ([]byte, error) {
	t, err := d.trailOf(id)
	if err != nil {
		return nil, err
	}
	return d.prove(ctx, t)
}

// trailOf gives what the state knows of a request.
func (d *Domain) trailOf(id custody.RequestID) (trail, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := trail{request: id, size: d.state.Next}
	if p, ok := d.state.Pending(id); ok {
		t.state, t.own = "pending", p.Own()
	} else if g, ok := d.state.Signed(id); ok {
		t.state, t.own = authority.EndSigned.String(), g.Own()
	} else if o, ok := d.state.Done(id); ok {
		t.state, t.own = o.End.String(), o.Own
	}
	if len(t.own) == 0 {
		return t, problem.New(problem.NotFound, "request %s does not exist, or ended more than 90 days ago", id)
	}
	return t, nil
}

// WalletProof makes the proof file of the request that a wallet was made by, however long ago.
func (d *Domain) WalletProof(ctx context.Context, id custody.WalletID) ([]byte, error) {
	d.mu.Lock()
	born, ok := d.state.WalletEntry(id)
	asked, _ := d.state.WalletAsked(id)
	t := trail{state: authority.EndExecuted.String(), size: d.state.Next}
	d.mu.Unlock()
	if !ok {
		return nil, problem.New(problem.NotFound, "wallet %q does not exist", id)
	}
	if err := d.waitFor(ctx, born); err != nil {
		return nil, err
	}
	_, body, err := d.readEntry(ctx, born)
	if err != nil {
		return nil, readProblem(err, born)
	}
	b, ok := body.(*entry.Effect)
	if !ok {
		return nil, problem.New(problem.Internal, "entry %d, which made wallet %s, is no effect", born, id)
	}
	t.request, t.own = b.Request, slices.Concat([]uint64{asked}, b.Trail, b.Approvals, []uint64{born})
	slices.Sort(t.own)
	return d.prove(ctx, t)
}

// prove makes a proof file.
func (d *Domain) prove(ctx context.Context, t trail) ([]byte, error) {
	if err := d.waitFor(ctx, t.size-1); err != nil {
		return nil, err
	}
	seqs, err := d.restsOn(ctx, t)
	if err != nil {
		return nil, err
	}
	head := d.log.Head()
	f := proof.File{V: 1, Request: t.request, Checkpoint: head.Signed, Word: proof.Word{Size: t.size, State: t.state}}
	for _, seq := range seqs {
		list, err := d.clear(ctx, seq, 1)
		if err != nil || len(list) == 0 {
			return nil, readProblem(err, seq)
		}
		inclusion, err := d.log.ProveInclusion(ctx, seq, head.Size)
		if err != nil {
			return nil, problem.Wrap(problem.Internal, err, "inclusion proof of entry %d", seq)
		}
		e := proof.Entry{Leaf: list[0].raw, Path: inclusion.Path}
		for _, b := range list[0].bodies {
			e.Bodies = append(e.Bodies, proof.Body{Salt: b.Salt[:], Body: b.Body})
		}
		f.Entries = append(f.Entries, e)
	}
	claim := proof.Claim{Authority: d.Authority(), Domain: d.ID(), Request: t.request, Size: t.size, State: t.state, Entries: seqs}
	if err := d.withIdentity(func() error { f.Word.Sig = d.ids.SignIdentity(claim.Message()); return nil }); err != nil {
		return nil, err
	}
	return f.Encode(), nil
}

// restsOn lists the entries of a request and those that it rests on, ascending and distinct: genesis, the rule documents that were in force at
// each of its entries, the wallet, the session while it is open, and every re-anchoring with its gap.
func (d *Domain) restsOn(ctx context.Context, t trail) ([]uint64, error) {
	e, err := d.entryOf(ctx, t.own[0])
	if err != nil {
		return nil, err
	}
	seqs := append([]uint64{0}, t.own...)
	d.mu.Lock()
	for _, seq := range t.own {
		seqs = append(seqs, d.state.DocumentAt(seq))
	}
	if at, ok := d.state.WalletEntry(e.Effects.Wallet); ok && at < t.size {
		seqs = append(seqs, at)
	}
	if len(e.Evidence.Session) == 16 {
		if x, ok := d.state.Session([16]byte(e.Evidence.Session)); ok {
			seqs = append(seqs, x.Seq, d.state.DocumentAt(x.Seq))
		}
	}
	for _, seq := range d.state.Anchoring().Entries { // each later proof shows what became of the log, and who decided that
		if seq < t.size {
			seqs = append(seqs, seq, d.state.DocumentAt(seq))
		}
	}
	d.mu.Unlock()
	slices.Sort(seqs)
	return slices.Compact(seqs), nil
}
