// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"strings"

	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/simulation"
	"strongroom/internal/secret"
)

// Submit takes a request. The same idempotency key with the same request gives what became of it; with another it is refused.
// On an automatic route a transfer is signed at once if its payload comes along, and anything else is executed.
func (d *Domain) Submit(ctx context.Context, in message.Submit) (message.Request, error) {
	r, err := request.Parse(in.Request)
	if err != nil {
		return message.Request{}, problem.New(problem.Malformed, "%v", err)
	}
	kind, err := d.authenticate(r, in.Evidence)
	if err != nil {
		return message.Request{}, err
	}
	id, hash := r.Ident, r.Digest

	d.mu.Lock()
	if known, ok := d.state.Known(id); ok {
		d.mu.Unlock()
		if known != hash {
			return message.Request{}, problem.New(problem.IdempotencyReuse, "idempotency key %q of %s was used for another request", r.Key, r.Initiator)
		}
		return d.again(ctx, r, in)
	}
	e, rec, err := d.accept(r, kind, in.Evidence, authority.ReadSimulation(in.Simulation))
	if err != nil {
		d.mu.Unlock()
		return message.Request{}, err
	}
	switch {
	case atOnce(r.Operation) && e.Decision.Outcome == policy.Allowed && e.Decision.Auto:
		return d.doAtOnce(ctx, r, in.Evidence, rec) // unlocks
	case e.Decision.Outcome != policy.Allowed || !e.Decision.Auto:
		d.mu.Unlock()
		return d.submitted(ctx, r, in.Evidence, rec)
	case r.Operation.Signs() && len(in.Payload) > 0:
		return d.signAtOnce(ctx, r, e, rec, in.Payload) // unlocks
	case r.Operation.Signs():
		d.mu.Unlock()
		return d.submitted(ctx, r, in.Evidence, rec)
	}
	d.mu.Unlock()
	if _, err := d.Execute(ctx, id); err != nil && problem.KindOf(err) != problem.NotYet {
		return message.Request{}, err
	}
	return d.submitted(ctx, r, in.Evidence, rec)
}

// authenticate says how the initiator showed who they are. The document may change before the request is decided; Apply
// checks again that key or session is theirs.
func (d *Domain) authenticate(r *request.Parsed, e request.Evidence) (policy.EvidenceKind, error) {
	if err := e.Check(); err != nil {
		return "", problem.New(problem.Unauthenticated, "%v", err)
	}
	if e.Key != "" {
		d.mu.Lock()
		rules := d.state.Rules
		d.mu.Unlock()
		return authority.KindOf(e), authority.CheckSignedEvidence(rules, r, e)
	}
	id := [16]byte(e.Session)
	d.sessionMu.Lock()
	key, ok := d.sessions[id]
	d.sessionMu.Unlock()
	if !ok {
		return "", problem.New(problem.Unauthenticated, "the session is not open; open one and sign the request again")
	}
	message := r.Message()
	err := key.Use(func(k []byte) error {
		mac := hmac.New(sha256.New, k)
		mac.Write(message)
		if !hmac.Equal(mac.Sum(nil), e.MAC) {
			return problem.New(problem.Unauthenticated, "the MAC does not verify over this request")
		}
		return nil
	})
	if errors.Is(err, secret.ErrWiped) {
		err = problem.New(problem.Unauthenticated, "the session has just ended; open one and sign the request again")
	}
	return policy.BySession, err
}

// accept decides a new request, with the report of a simulation that came beside it, and records it. The caller holds mu.
func (d *Domain) accept(r *request.Parsed, kind policy.EvidenceKind, ev request.Evidence, told *simulation.Report) (*entry.Request, recorded, error) {
	at, err := d.nowFor(r.Operation)
	if err != nil {
		return nil, recorded{}, err
	}
	if kind == policy.BySession {
		if x, ok := d.state.Session([16]byte(ev.Session)); !ok || x.Service != r.Initiator || authority.Expired(x.NotAfter, at.Time, at.Bound) {
			return nil, recorded{}, problem.New(problem.Unauthenticated, "the session is past its time, or another's; open one and sign the request again")
		}
	}
	if err := authority.Fresh(ev, at); err != nil {
		return nil, recorded{}, err
	}
	if err := d.roomFor(r, told, nil); err != nil { // before anything is worked out
		return nil, recorded{}, err
	}
	if n := d.state.Counts().Signed; n >= authority.MaxSigned {
		return nil, recorded{}, problem.New(problem.Busy, "%d signed requests can still be replaced; let some end first", n)
	}
	if inToken(r.Decoded) {
		if _, err := d.tokenRoot(); err != nil {
			return nil, recorded{}, err
		}
	}
	e, err := d.state.DecideRequestWith(r, kind, told, at, d.derive)
	if err != nil {
		return nil, recorded{}, err
	}
	if e.Decision.Outcome == policy.Allowed {
		if err := d.roomFor(r, e.Facts.Simulation, e.Effects.Screening); err != nil {
			return nil, recorded{}, err
		}
	}
	if r.Operation.TakesAway() && e.Decision.Outcome == policy.Allowed && !e.Decision.Auto {
		if _, err := d.now(); err != nil { // what others must approve has a time from which on it waits
			return nil, recorded{}, err
		}
	}
	e.Evidence = ev
	rec, err := d.record(at, entry.KindRequest, entry.Confidential, e)
	return e, rec, err
}

// roomFor says whether a request may wait, with what comes with it. The caller holds mu.
func (d *Domain) roomFor(r *request.Parsed, told *simulation.Report, said []request.ScreeningEffect) error {
	if err := d.state.RoomFor(r.Initiator, authority.WaitSize(r.Raw, told, said)); err != nil {
		return problem.New(problem.Busy, "%v; let some end first", err)
	}
	return nil
}

// submitted waits for a request's entry and tells how it stands.
func (d *Domain) submitted(ctx context.Context, r *request.Parsed, ev request.Evidence, rec recorded) (message.Request, error) {
	if err := d.durable(ctx, rec); err != nil {
		return message.Request{}, err
	}
	v, err := d.Request(ctx, r.Ident)
	if err != nil {
		return v, err
	}
	v.Receipt = d.receipt(v, place{rec.seq, rec.hash}, r.Digest, ev)
	return v, nil
}

// again answers a retry: what became of the request. If it waits for this payload, it is signed now; if it has all that it needs, it is
// executed now, because the first try may have ended before that. The receipt is the one of the first.
func (d *Domain) again(ctx context.Context, r *request.Parsed, in message.Submit) (message.Request, error) {
	v, err := d.whatBecame(ctx, r.Ident, in.Payload)
	if err != nil {
		return v, err
	}
	at, err := d.requestPlace(ctx, v)
	if err != nil {
		return message.Request{}, err
	}
	v.Receipt = d.receipt(v, at, r.Digest, in.Evidence)
	return v, nil
}

func (d *Domain) whatBecame(ctx context.Context, id custody.RequestID, payload []byte) (message.Request, error) {
	v, err := d.Request(ctx, id)
	if err != nil {
		return v, err
	}
	if err := d.waitFor(ctx, v.Last); err != nil {
		return v, err
	}
	unreleased := v.State == message.StateSigned && v.Signed != nil && len(v.Signed.Bytes) == 0 // the permit stands, its result does not
	if len(payload) > 0 && (v.State == message.StateReady || unreleased) {
		if unreleased {
			payload = nil // the permit's own: a retry may come with another fee or nonce, and is no replacement
		}
		if _, err := d.Sign(ctx, id, payload); err != nil {
			return v, err
		}
		return d.Request(ctx, id)
	}
	if v.State == message.StatePending && v.Missing == nil {
		if _, err := d.Execute(ctx, id); err != nil && problem.KindOf(err) != problem.Conflict {
			return v, err
		}
		return d.Request(ctx, id)
	}
	return v, nil
}

// signAtOnce is the short way of an automatic route: request and permit in one batch. The caller holds mu; it is released here.
func (d *Domain) signAtOnce(ctx context.Context, r *request.Parsed, e *entry.Request, rec recorded, payload []byte) (message.Request, error) {
	id := r.Ident
	asked := authority.Asked{Request: r, Effects: e.Effects, Bounds: e.Bounds, Kind: e.Facts.Evidence, Simulation: e.Facts.Simulation}
	p, prec, err := d.permit(id, asked, payload)
	if problem.KindOf(err) == problem.NotYet {
		d.mu.Unlock()
		return d.submitted(ctx, r, e.Evidence, rec)
	}
	if err != nil {
		err = d.refuse(id, "permit", payload, err)
		d.mu.Unlock()
		if waitErr := d.durable(ctx, rec); waitErr != nil {
			return message.Request{}, waitErr
		}
		return message.Request{}, err
	}
	w, _, _ := d.state.Wallet(p.Wallet)
	d.mu.Unlock()
	signed, err := d.release(ctx, w, p, prec)
	if err != nil {
		return message.Request{}, err
	}
	v := message.Request{ID: id, State: message.StateSigned, Simulation: e.Facts.Simulation, Request: e.Request, Effects: e.Effects, Bounds: e.Bounds, Decision: e.Decision,
		Signed: &signed, Seq: rec.seq, Last: prec.seq}
	if signed.Exported {
		v.State = message.StateExported
	}
	v.Receipt = d.receipt(v, place{rec.seq, rec.hash}, r.Digest, e.Evidence)
	return v, nil
}

// refuse records that an act on an open request was refused, and gives the refusal. The request stays open: what it lacks may come. The
// caller holds mu. What is no refusal (a fault of ours, a busy log) is not recorded.
func (d *Domain) refuse(id custody.RequestID, act string, payload []byte, cause error) error {
	var q *problem.Error
	if !errors.As(cause, &q) || !recordable(q.Kind) {
		return cause
	}
	at, err := d.now()
	if err != nil {
		return cause
	}
	b := &entry.Refusal{Request: id, Act: act, Kind: q.Kind, Detail: clip(q.Detail), Rule: q.Rule, Unmet: q.Unmet}
	if len(payload) > 0 {
		b.Payload = canon.HashBytes(canon.TagPayload, payload)
	}
	// A full trail is no reason to hide the refusal from the caller; docs/THREATS.md says what is lost then.
	_, err = d.record(at, entry.KindRefusal, entry.Confidential, b)
	if problem.KindOf(err) == problem.Stopped {
		return err
	}
	return cause
}

// maxDetail is how much of a refusal's detail is recorded, in bytes.
const maxDetail = 1000

// clip makes a text fit for the log: what somebody else wrote may stand in it.
func clip(s string) string { return clipTo(s, maxDetail) }

func clipTo(s string, most int) string { return strings.ToValidUTF8(s[:min(len(s), most)], "") }

func recordable(k problem.Kind) bool {
	switch k {
	case problem.RefusedByRule, problem.QuorumNotMet, problem.OutsideBounds, problem.WrongNetwork, problem.Unauthenticated,
		problem.Forbidden, problem.Expired, problem.Malformed, problem.WarmClosed:
		return true
	default:
		return false
	}
}
