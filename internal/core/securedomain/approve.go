// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"context"

	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// Approve takes a person's signed decision. With the approval that completes the quorum, a request other than a transfer is
// executed at once. A decision that the log has already gets the receipt of its entry.
func (d *Domain) Approve(ctx context.Context, in message.Approve) (message.Request, error) {
	a := in.Approval
	rec, ready, err := d.approve(a)
	if k := problem.KindOf(err); k == problem.AlreadyDone || k == problem.Conflict {
		return d.decided(ctx, a, err)
	}
	if err != nil {
		return message.Request{}, err
	}
	if err := d.durable(ctx, rec); err != nil {
		return message.Request{}, err
	}
	if ready {
		if _, err := d.Execute(ctx, a.Request); err != nil && problem.KindOf(err) != problem.Conflict {
			return message.Request{}, err
		}
	}
	v, err := d.Request(ctx, a.Request)
	if err != nil {
		return v, err
	}
	v.Receipt = d.receipt(v, place{rec.seq, rec.hash}, a.Hash(), request.Evidence{})
	return v, nil
}

// approve records a decision and says whether the request can be executed now.
func (d *Domain) approve(a request.Approval) (rec recorded, ready bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, err := d.waiting(a.Request)
	if err != nil {
		return rec, false, err
	}
	at, err := d.now()
	if err != nil && a.Decision != request.Approve { // to reject or cancel takes power away only
		at, err = d.guess(), nil
	}
	if err != nil {
		return rec, false, err
	}
	if err := d.state.CheckApproval(p, a, at); err != nil {
		if problem.KindOf(err) == problem.AlreadyDone {
			return rec, false, err
		}
		return rec, false, d.refuse(a.Request, "approve", nil, err)
	}
	if rec, err = d.record(at, entry.KindApproval, entry.Confidential, &entry.Approval{Approval: a}); err != nil {
		return rec, false, err
	}
	ready = a.Decision == request.Approve && !p.Effects.Operation.Signs() && d.state.Ready(p, at, d.derive) == nil
	return rec, ready, nil
}

// waiting gives a pending request, or the problem that says where it is instead. The caller holds mu.
func (d *Domain) waiting(id custody.RequestID) (*authority.Pending, error) {
	if p, ok := d.state.Pending(id); ok {
		return p, nil
	}
	if _, ok := d.state.Signed(id); ok {
		return nil, problem.New(problem.Conflict, "request %s is signed, or may be at any time: nobody can approve, reject or cancel it any more", id)
	}
	if o, ok := d.state.Done(id); ok {
		return nil, problem.New(problem.Conflict, "request %s has ended: %s, in entry %d", id, o.End, o.Seq)
	}
	return nil, problem.New(problem.NotFound, "request %s does not exist, or ended more than 90 days ago", id)
}
