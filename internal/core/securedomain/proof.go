// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"context"
	"slices"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/proof"
)

// Proof makes the proof file of a request: every entry that concerns it, and those that say who the people are, what the rules
// are and whose the wallet is, each with its place under the pinned checkpoint.
func (d *Domain) Proof(ctx context.Context, id custody.RequestID) ([]byte, error) {
	seqs, err := d.trail(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := d.waitFor(ctx, slices.Max(seqs)); err != nil {
		return nil, err
	}
	head := d.log.Head()
	f := proof.File{V: 1, Request: id, Checkpoint: head.Signed}
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
	return f.Encode(), nil
}

// trail lists the entries of a request and those that it rests on, ascending and distinct.
func (d *Domain) trail(ctx context.Context, id custody.RequestID) ([]uint64, error) {
	own, err := d.ownEntries(ctx, id)
	if err != nil {
		return nil, err
	}
	seqs := append([]uint64{0}, own...)
	e, err := d.entryOf(ctx, own[0])
	if err != nil {
		return nil, err
	}
	versions := []uint64{e.Decision.Version}
	for _, seq := range own[1:] {
		_, body, err := d.readEntry(ctx, seq)
		if err != nil {
			return nil, readProblem(err, seq)
		}
		switch b := body.(type) {
		case *entry.Permit:
			versions = append(versions, b.Decision.Version)
		case *entry.Effect:
			versions = append(versions, b.Decision.Version)
		}
	}
	d.mu.Lock()
	for _, v := range versions {
		if at, ok := d.state.DocumentEntry(v); ok {
			seqs = append(seqs, at)
		}
	}
	if at, ok := d.state.WalletEntry(e.Effects.Wallet); ok {
		seqs = append(seqs, at)
	}
	if len(e.Evidence.Session) == 16 {
		if x, ok := d.state.Session([16]byte(e.Evidence.Session)); ok {
			seqs = append(seqs, x.Seq)
		}
	}
	d.mu.Unlock()
	slices.Sort(seqs)
	return slices.Compact(seqs), nil
}

// ownEntries lists the entries of a request, its own entry first.
func (d *Domain) ownEntries(ctx context.Context, id custody.RequestID) ([]uint64, error) {
	d.mu.Lock()
	if p, ok := d.state.Pending(id); ok {
		seqs := append([]uint64{p.Seq}, p.Trail...)
		for _, v := range p.Approvals {
			seqs = append(seqs, v.Seq)
		}
		d.mu.Unlock()
		return seqs, d.waitFor(ctx, slices.Max(seqs))
	}
	if g, ok := d.state.Signed(id); ok {
		seqs := append([]uint64{g.Seq}, g.Trail...)
		d.mu.Unlock()
		if err := d.waitFor(ctx, slices.Max(seqs)); err != nil {
			return nil, err
		}
		return d.withApprovals(ctx, seqs)
	}
	o, ok := d.state.Done(id)
	d.mu.Unlock()
	if !ok {
		return nil, problem.New(problem.NotFound, "request %s does not exist, or ended more than 90 days ago", id)
	}
	seqs := []uint64{o.Request, o.Seq}
	if err := d.waitFor(ctx, o.Seq); err != nil {
		return nil, err
	}
	_, body, err := d.readEntry(ctx, o.Seq)
	if err != nil {
		return nil, readProblem(err, o.Seq)
	}
	switch b := body.(type) {
	case *entry.Result:
		seqs = append(seqs, b.Permit)
	case *entry.Effect:
		seqs = append(append(seqs, b.Trail...), b.Approvals...)
	}
	return d.withApprovals(ctx, seqs)
}

// withApprovals adds what the permits among some entries consume and follow.
func (d *Domain) withApprovals(ctx context.Context, seqs []uint64) ([]uint64, error) {
	for _, seq := range slices.Clone(seqs[1:]) {
		_, body, err := d.readEntry(ctx, seq)
		if err != nil {
			return nil, readProblem(err, seq)
		}
		if p, ok := body.(*entry.Permit); ok {
			seqs = append(append(seqs, p.Approvals...), p.Trail...)
		}
	}
	return d.firstApprovals(ctx, seqs)
}

// firstApprovals adds the approvals of the first attempt, on which replacements ride.
func (d *Domain) firstApprovals(ctx context.Context, seqs []uint64) ([]uint64, error) {
	for _, seq := range slices.Clone(seqs) {
		_, body, err := d.readEntry(ctx, seq)
		if err != nil {
			return nil, readProblem(err, seq)
		}
		if p, ok := body.(*entry.Permit); ok && p.Attempt == 1 {
			seqs = append(append(seqs, p.Approvals...), p.Trail...)
		}
	}
	return seqs, nil
}
