// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"

	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// place is where an entry stands, and its leaf hash.
type place struct {
	seq  uint64
	leaf [32]byte
}

// receipt is the domain's word that an act is recorded at a place. What came with a session's MAC gets a MAC with the same key: it is as
// good to who has that key, and costs a fiftieth of a signature. ev is nothing for decisions.
func (d *Domain) receipt(v message.Request, at place, act [32]byte, ev request.Evidence) *message.Receipt {
	r := &message.Receipt{Authority: d.Authority(), Domain: d.ID(), Request: v.ID, Seq: at.seq, Leaf: at.leaf, State: v.State, Act: act}
	var err error
	if ev.Session == nil {
		err = d.withIdentity(func() error { r.Sig = d.ids.SignIdentity(r.Message()); return nil })
	} else {
		r.Sig, err = d.sessionMAC([16]byte(ev.Session), r.Message())
	}
	if err != nil {
		return nil // the core or the session is ending: the entry stands, and the same act again gets its receipt
	}
	return r
}

// sessionMAC authenticates a message with the key of an open session.
func (d *Domain) sessionMAC(id [16]byte, message []byte) (sum []byte, err error) {
	d.sessionMu.Lock()
	key, ok := d.sessions[id]
	d.sessionMu.Unlock()
	if !ok {
		return nil, problem.New(problem.Unauthenticated, "the session is not open; open one and sign the request again")
	}
	err = key.Use(func(k []byte) error {
		mac := hmac.New(sha256.New, k)
		mac.Write(message)
		sum = mac.Sum(nil)
		return nil
	})
	return sum, err
}

// requestPlace says where the entry of a recorded request stands.
func (d *Domain) requestPlace(ctx context.Context, v message.Request) (place, error) {
	d.mu.Lock()
	if p, ok := d.state.Pending(v.ID); ok {
		defer d.mu.Unlock()
		return place{p.Seq, p.Leaf}, nil
	}
	if g, ok := d.state.Signed(v.ID); ok {
		defer d.mu.Unlock()
		return place{g.Seq, g.Leaf}, nil
	}
	d.mu.Unlock()
	return d.proven(ctx, v.Seq)
}

// proven gives the place of an entry whose leaf hash the state does not keep, from the log's tree: the store alone is not believed.
func (d *Domain) proven(ctx context.Context, seq uint64) (place, error) {
	if err := d.waitFor(ctx, seq); err != nil {
		return place{}, err
	}
	p, err := d.log.ProveInclusion(ctx, seq, d.log.Head().Size)
	if err != nil {
		return place{}, problem.Wrap(problem.Internal, err, "find entry %d in the log", seq)
	}
	return place{seq, p.Leaf}, nil
}

// decided answers a decision that the log has already: from the same person, by the same key, over the same statement. Who handed it in
// may not know, because the answer was lost or withheld, and gets the receipt of the entry. If it completed the quorum and the core ended
// before it acted on that, it acts now. Any other decision gets cause.
func (d *Domain) decided(ctx context.Context, a request.Approval, cause error) (message.Request, error) {
	at, ok, err := d.findDecision(ctx, a)
	if err != nil {
		return message.Request{}, err
	}
	if !ok {
		return message.Request{}, cause
	}
	v, err := d.Request(ctx, a.Request)
	if err == nil && v.State == message.StatePending && v.Missing == nil {
		if _, err := d.Execute(ctx, a.Request); err != nil && problem.KindOf(err) != problem.Conflict {
			return message.Request{}, err
		}
		v, err = d.Request(ctx, a.Request)
	}
	if err != nil {
		return message.Request{}, err
	}
	v.Receipt = d.receipt(v, at, a.Hash(), request.Evidence{})
	return v, nil
}

// findDecision looks for a decision among the entries of its request.
func (d *Domain) findDecision(ctx context.Context, a request.Approval) (at place, ok bool, err error) {
	if a.Check() != nil {
		return at, false, nil
	}
	t, err := d.trailOf(a.Request)
	if err != nil {
		return at, false, err
	}
	if err := d.waitFor(ctx, t.own[len(t.own)-1]); err != nil {
		return at, false, err
	}
	asked, err := d.entryOf(ctx, t.own[0])
	if err != nil {
		return at, false, err
	}
	for _, seq := range t.own[1:] {
		_, body, err := d.readEntry(ctx, seq)
		if err != nil {
			return at, false, readProblem(err, seq)
		}
		x, isApproval := body.(*entry.Approval)
		if !isApproval || x.Approval.Person != a.Person || x.Approval.Decision != a.Decision || x.Approval.Key != a.Key || !d.saysTheSame(asked, x.Approval, a) {
			continue
		}
		if at, err = d.proven(ctx, seq); err != nil {
			return at, false, err
		}
		_, body, err = d.readKnown(ctx, seq, at.leaf) // what was found is what the tree has
		if y, isApproval := body.(*entry.Approval); err == nil && isApproval && y.Approval.Hash() == x.Approval.Hash() {
			return at, true, nil
		}
		return at, false, err
	}
	return at, false, nil
}

// saysTheSame says whether two decisions of one key are the same: byte for byte, or, because ECDSA signatures of the same statement
// differ, by a signature that verifies.
func (d *Domain) saysTheSame(asked *entry.Request, have, a request.Approval) bool {
	if have.Hash() == a.Hash() {
		return true
	}
	r, err := asked.Parse()
	if err != nil {
		return false
	}
	d.mu.Lock()
	who, key, ok := d.state.Rules.Key(a.Key)
	d.mu.Unlock()
	st := authority.StatementOf(d.Authority(), d.ID(), a.Request, r.Initiator, asked.Effects, asked.Bounds, asked.Decision).By(a.Person, a.Decision)
	return ok && who.ID == a.Person && who.Active && key.Verify(st.Message(), a.Sig)
}
