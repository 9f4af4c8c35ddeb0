// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"context"
	"crypto/sha256"
	"fmt"

	"strongroom/internal/core/signer"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// Sign decides on a payload for a request, records the permit, and releases the signed transaction once the permit is durable.
// The payload of the latest permit, or none, gives that transaction again, the same bytes. Another payload replaces it, in the
// same slot.
func (d *Domain) Sign(ctx context.Context, id custody.RequestID, payload []byte) (message.Signed, error) {
	d.mu.Lock()
	if g, ok := d.state.Signed(id); ok && (len(payload) == 0 || g.Payload == canon.HashBytes(canon.TagPayload, payload)) {
		latest := *g
		d.mu.Unlock()
		return d.resign(ctx, latest)
	}
	if o, ok := d.state.Done(id); ok && o.End == authority.EndSigned {
		d.mu.Unlock()
		return d.signedBefore(ctx, id, o.Seq, payload)
	}
	d.mu.Unlock()
	asked, err := d.askedFor(ctx, id)
	if err != nil {
		return message.Signed{}, err
	}
	if err := d.mayReplace(ctx, id, asked); err != nil {
		return message.Signed{}, err
	}
	d.mu.Lock()
	if g, ok := d.state.Signed(id); ok && g.Payload == canon.HashBytes(canon.TagPayload, payload) {
		latest := *g // another caller was quicker
		d.mu.Unlock()
		return d.resign(ctx, latest)
	}
	p, rec, err := d.permit(id, asked, payload)
	if err != nil {
		err = d.refuse(id, "permit", payload, err)
		d.mu.Unlock()
		return message.Signed{}, err
	}
	w, _, _ := d.state.Wallet(p.Wallet)
	d.mu.Unlock()
	return d.release(ctx, w, p, rec)
}

// signedBefore gives again what was released for a request, by its result. Nothing is signed.
func (d *Domain) signedBefore(ctx context.Context, id custody.RequestID, result uint64, payload []byte) (message.Signed, error) {
	if err := d.waitFor(ctx, result); err != nil {
		return message.Signed{}, err
	}
	_, body, err := d.readEntry(ctx, result)
	if err != nil {
		return message.Signed{}, readProblem(err, result)
	}
	r, ok := body.(*entry.Result)
	if !ok {
		return message.Signed{}, problem.New(problem.Internal, "entry %d is not a result", result)
	}
	p, signed, err := d.released(ctx, r.Permit, result)
	if err != nil {
		return message.Signed{}, err
	}
	if len(payload) > 0 && p.PayloadHash != canon.HashBytes(canon.TagPayload, payload) {
		return message.Signed{}, problem.New(problem.Conflict, "request %s has ended: signed, in entry %d", id, result)
	}
	return *signed, nil
}

// askedFor gives an open request as it was asked.
func (d *Domain) askedFor(ctx context.Context, id custody.RequestID) (a authority.Asked, err error) {
	d.mu.Lock()
	g, ok := d.state.Signed(id)
	if !ok {
		defer d.mu.Unlock()
		p, err := d.waiting(id)
		if err != nil {
			return a, err
		}
		return p.Asked()
	}
	seq, leaf := g.Seq, g.Leaf
	d.mu.Unlock()
	_, body, err := d.readKnown(ctx, seq, leaf)
	if err != nil {
		return a, err
	}
	e, ok := body.(*entry.Request)
	if !ok {
		return a, problem.New(problem.Internal, "entry %d is not a request", seq)
	}
	return authority.AskedOf(e)
}

// permit decides on a payload and records the permit. The caller holds mu.
func (d *Domain) permit(id custody.RequestID, asked authority.Asked, payload []byte) (*entry.Permit, recorded, error) {
	at, err := d.now()
	if err != nil {
		return nil, recorded{}, err
	}
	p, err := d.state.DecidePermit(id, asked, payload, at, d.derive)
	if err != nil {
		return nil, recorded{}, err
	}
	rec, err := d.record(at, entry.KindPermit, entry.Confidential, p)
	return p, rec, err
}

// resign signs the latest permit of a request again: the same bytes. What was released is read back instead, if the log has it, for a wallet whose
// key is not used for that: a warm or a cold one, or one whose key came back since; another domain may have signed then; or one whose key is in the
// token, which would give other bytes. What came back unsigned is decided once more first.
func (d *Domain) resign(ctx context.Context, g authority.Signed) (message.Signed, error) {
	seq, hash := g.Permit, g.PermitLeaf
	leaf, body, err := d.readKnown(ctx, seq, hash)
	if err != nil {
		return message.Signed{}, err
	}
	p, ok := body.(*entry.Permit)
	if !ok {
		return message.Signed{}, problem.New(problem.Internal, "entry %d is not a permit", seq)
	}
	d.mu.Lock()
	w, _, ok := d.state.Wallet(p.Wallet)
	elsewhere, unsigned := g.Permit < d.state.BackSince(p.Wallet), d.cameBack(&g, p.Wallet)
	_, away := d.state.Away(p.Wallet)
	d.mu.Unlock()
	if !ok {
		return message.Signed{}, problem.New(problem.Internal, "the permit's wallet does not exist")
	}
	if g.Result != 0 && (elsewhere || d.keys.Confined(w.ID) || w.Class == request.ClassToken) {
		return d.signedBefore(ctx, g.ID, g.Result, nil)
	}
	if g.Result != 0 && d.maySign(seq) != nil { // what was released before is told again, and no key is used
		return d.signedBefore(ctx, g.ID, g.Result, nil)
	}
	if unsigned && away {
		return message.Signed{}, problem.New(problem.KeyAway, "the permit of entry %d came back from an offline domain unsigned, and the key is away again; replace it", seq)
	}
	if unsigned {
		if err := d.judgeAgain(ctx, g, p.Fee); err != nil {
			return message.Signed{}, err
		}
	}
	if g.Result == 0 {
		if err := d.takenAway(ctx, g, w); err != nil {
			return message.Signed{}, err
		}
	}
	return d.signNow(ctx, w, p, recorded{seq: seq, hash: hash, leaf: leaf})
}

// takenAway refuses to sign a permit that has waited, for instance through a freeze, where meanwhile somebody blocked or suspended an address that it pays. What else
// the rules say was decided with the permit.
func (d *Domain) takenAway(ctx context.Context, g authority.Signed, w entry.Wallet) error {
	_, body, err := d.readKnown(ctx, g.Seq, g.Leaf)
	if err != nil {
		return err
	}
	e, ok := body.(*entry.Request)
	if !ok {
		return problem.New(problem.Internal, "entry %d is not a request", g.Seq)
	}
	asked, err := authority.AskedOf(e)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	_, next, _ := d.state.Wallet(w.ID)
	f, _, _, err := authority.Describe(d.state.Rules, d.state.View(d.guess()), w, next[0], asked.Request, asked.Kind, d.derive)
	if err != nil {
		return err
	}
	rule, criterion, observed := d.state.Rules.TakenAway(f)
	if rule == "" {
		return nil
	}
	return &problem.Error{Kind: problem.RefusedByRule, Rule: rule, Detail: fmt.Sprintf("the permit of entry %d was not signed before the address was taken away, and is not now", g.Permit),
		Unmet: []problem.Unmet{{Rule: rule, Criterion: criterion, Observed: observed}}}
}

// release waits for the permit, signs, verifies and gives out the transaction; then it records the result, for which nobody
// waits: if it is lost, the same bytes are signed again. A token would give others, so there the result comes first.
func (d *Domain) release(ctx context.Context, w entry.Wallet, p *entry.Permit, rec recorded) (message.Signed, error) {
	if err := d.durable(ctx, rec); err != nil {
		return message.Signed{}, err
	}
	return d.signNow(ctx, w, p, rec)
}

// signNow signs a permit that is durable, unless an offline domain has the key: then the permit is what goes there.
func (d *Domain) signNow(ctx context.Context, w entry.Wallet, p *entry.Permit, rec recorded) (message.Signed, error) {
	if err := d.Cause(); err != nil {
		return message.Signed{}, problem.Wrap(problem.Stopped, err, "the core has found a fault and signs nothing")
	}
	if out, away := d.away(w, p, rec.seq); away {
		return out, nil
	}
	if err := d.switchedOn(w, p); err != nil {
		return message.Signed{}, err
	}
	if err := d.maySign(rec.seq); err != nil {
		return message.Signed{}, err
	}
	if err := d.admit(ctx, w, p.Request); err != nil {
		return message.Signed{}, err
	}
	sigs, err := d.signPermit(w, p, rec.hash)
	if err == nil {
		err = d.maySign(rec.seq) // frozen meanwhile: what was signed is given to nobody
	}
	if err != nil {
		return message.Signed{}, err
	}
	raw, txid, err := authority.Assemble(w, p, sigs, d.derive)
	if err != nil {
		return message.Signed{}, problem.Wrap(problem.Internal, err, "assemble the transaction")
	}
	out := message.Signed{Attempt: p.Attempt, Permit: rec.seq, TxID: txid, Bytes: raw}
	result := &entry.Result{Request: p.Request, Permit: rec.seq, Signatures: sigs, TxID: txid, Signed: sha256.Sum256(raw)}
	if w.Class == request.ClassToken {
		return d.recordAndRelease(ctx, out, result)
	}
	return out, d.result(result)
}

// switchedOn says whether the control points let a permit be signed, the second time too.
func (d *Domain) switchedOn(w entry.Wallet, p *entry.Permit) error {
	on := d.switches.Load()
	if err := on.check(authority.SchemePoint(w.Scheme)); err != nil {
		return err
	}
	if eth.IsMessage(p.Payload) {
		return on.check(points.MessageSign)
	}
	d.mu.Lock()
	g, ok := d.state.Signed(p.Request)
	call := ok && g.Operation == request.ContractCall
	d.mu.Unlock()
	if call {
		return on.check(points.ContractCall)
	}
	return nil
}

// result records what was released, unless that stands in the log already or a later permit took its place.
func (d *Domain) result(b *entry.Result) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	g, ok := d.state.Signed(b.Request)
	if !ok || g.Permit != b.Permit || g.Result != 0 {
		return nil
	}
	_, err := d.record(d.guess(), entry.KindResult, entry.Confidential, b) // it decides nothing, so an uncertain clock does not stop it
	return err
}

// signPermit makes the signatures of a permit, each verified before it is returned. Auxiliary randomness follows from the permit's entry, so
// that signing it again gives the same bytes, but for a token's.
func (d *Domain) signPermit(w entry.Wallet, p *entry.Permit, leaf [32]byte) ([][]byte, error) {
	var aux [32]byte
	if err := d.withIdentity(func() error { aux = d.ids.Aux(leaf); return nil }); err != nil {
		return nil, err
	}
	return signer.Signer{Curve: d.curve, Derive: d.derive, Key: d.withKey, Token: d.signWithToken}.Permit(w, p, aux)
}
