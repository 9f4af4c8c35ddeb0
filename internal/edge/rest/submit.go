// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"strongroom/internal/gate/message"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/btc"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/strictjson"
)

// submit is POST /v1/requests, the way of every transfer: one read, one door call, one write.
func (s *Server) submit(c *call) error {
	key := c.r.Header.Get(apiv1.IdempotencyHeader)
	if len(c.r.Header.Values(apiv1.IdempotencyHeader)) == 0 {
		return problem.New(problem.Malformed, "header %s is missing; it names the request, so that a retry is not a second one", apiv1.IdempotencyHeader)
	}
	if err := request.CheckIdempotencyKey(key); err != nil {
		return problem.New(problem.Malformed, "header %s: %v", apiv1.IdempotencyHeader, err)
	}
	media, err := c.media()
	if err != nil {
		return err
	}
	var in message.Submit
	var r request.Request
	var asGiven []byte // the body in JSON
	if media == apiv1.CBOR {
		in, r, err = c.signedFile(key)
	} else {
		in, r, asGiven, err = s.submission(c, key)
	}
	if err != nil {
		return err
	}
	if r.Initiator != c.by {
		switch {
		case c.service:
			return errOthers()
		case len(in.Payload) > 0: // the evidence does not cover it: whoever has the signed request could choose the fee
			return problem.New(problem.Forbidden, "a payload is taken from the initiator's own certificate or signed call only; hand the request in without one")
		}
	}
	in.Simulation = s.told(c.ctx(), r)
	v, err := ask[message.Request](c.ctx(), s.cfg.Core, message.MethodSubmit, in)
	if err != nil {
		return explained(err, r, r.ID().String())
	}
	if v.State == message.StateExecuted && r.Operation.Governance() {
		s.people.Forget()
	}
	if v.State == message.StateRefused && v.Missing != nil {
		m := v.Missing
		return &refusal{problem: &problem.Error{Kind: m.Kind, Detail: m.Detail, Rule: m.Rule, Unmet: m.Unmet}, request: v.ID.String()}
	}
	var view apiv1.RequestView
	if asGiven != nil && bytes.Equal(v.Request, in.Request) { // what was just read need not be read again
		view = viewOf(v, r, asGiven)
	} else if view, err = requestView(v); err != nil {
		return err
	}
	c.w.Header().Set("Location", "/v1/requests/"+view.ID)
	return c.reply(view)
}

// signedFile reads a request that was made elsewhere.
func (c *call) signedFile(key string) (message.Submit, request.Request, error) {
	b, err := c.bytes(MaxCBOR)
	if err != nil {
		return message.Submit{}, request.Request{}, err
	}
	var f apiv1.SignedRequest
	if err := canon.Decode(b, &f); err != nil {
		return message.Submit{}, request.Request{}, problem.New(problem.Malformed, "the body is not a signed request in canonical CBOR: %v", err)
	}
	r, err := request.Decode(f.Request)
	if err != nil {
		return message.Submit{}, r, problem.New(problem.Malformed, "%v", err)
	}
	if r.Key != key {
		return message.Submit{}, r, problem.New(problem.Malformed, "header %s is not the request's key %q", apiv1.IdempotencyHeader, r.Key)
	}
	return message.Submit{Request: f.Request, Evidence: f.Evidence, Payload: f.Payload}, r, nil
}

// submission reads JSON and rebuilds the canonical request from it.
func (s *Server) submission(c *call, key string) (in message.Submit, r request.Request, body []byte, err error) {
	b, err := c.bytes(MaxBody)
	if err != nil {
		return in, r, nil, err
	}
	var sub apiv1.Submission
	if err := decode(s.shapes, b, &sub, ""); err != nil {
		return in, r, nil, err
	}
	if r, err = sub.Request.Canonical(s.shapes, key); err != nil {
		return in, r, nil, faulty(err)
	}
	if in.Evidence, err = sub.Evidence.Canonical(); err != nil {
		return in, r, nil, at("/evidence/session", problem.New(problem.Malformed, "%v", err))
	}
	if c.signed != nil && in.Evidence.Key == "" && in.Evidence.Session == nil {
		if in.Evidence, err = c.signed.evidence(b); err != nil {
			return in, r, nil, err
		}
	}
	in.Request, in.Payload = r.Encode(), sub.Payload
	return in, r, sub.Request.Body, nil
}

// faulty names the member of a submission that is at fault.
func faulty(err error) error {
	var f *apiv1.FaultError
	if !errors.As(err, &f) {
		return err
	}
	var j *strictjson.Error
	if errors.As(f.Err, &j) {
		return unread(j, f.Pointer)
	}
	return at(f.Pointer, problem.New(problem.Malformed, "%v", f.Err))
}

// explained adds to a failure of the core which request it is about and, where the form of the body is at fault, the member.
// It runs after the core has refused, so that a good request does not pay for it.
func explained(err error, r request.Request, id string) error {
	var p *problem.Error
	if !errors.As(err, &p) {
		return err
	}
	out := &refusal{problem: p, request: id}
	if p.Kind != problem.Malformed {
		return out
	}
	if kind, pointer := fault(r); pointer != "" {
		q := *p
		q.Kind = kind
		out.problem, out.pointer, out.status = &q, pointer, http.StatusUnprocessableEntity
	}
	return out
}

// fault finds the member of a malformed request that is at fault; an address that is good on another network is told apart.
func fault(r request.Request) (problem.Kind, string) {
	if r.Initiator.Check() != nil {
		return problem.Malformed, "/request/initiator"
	}
	if r.NotAfter <= 0 {
		return problem.Malformed, "/request/notAfter"
	}
	body, _ := r.DecodeBody()
	switch b := body.(type) {
	case *request.TransferBody:
		return transferFault(b)
	case *request.ContractCallBody:
		if kind, bad := addressFault(custody.EVMChain(1), b.Contract); bad {
			return kind, "/request/body/contract"
		}
	case *request.MessageSignBody:
		if b.Kind != request.TypedMessage && b.Kind != request.PersonalMessage {
			return problem.Malformed, "/request/body/kind"
		}
	case *request.WhitelistAddBody:
		if kind, bad := addressFault(b.Chain, b.Address); bad {
			return kind, "/request/body/address"
		}
	case *request.BlacklistAddBody:
		if kind, bad := addressFault(b.Chain, b.Address); bad {
			return kind, "/request/body/address"
		}
	}
	return "", ""
}

func transferFault(b *request.TransferBody) (problem.Kind, string) {
	if b.Wallet.Check() != nil {
		return problem.Malformed, "/request/body/wallet"
	}
	if b.Asset.Check() != nil {
		return problem.Malformed, "/request/body/asset"
	}
	for i, o := range b.Outputs {
		member := "/request/body/outputs/" + strconv.Itoa(i)
		if o.Amount.IsZero() {
			return problem.Malformed, member + "/amount"
		}
		if kind, bad := addressFault(b.Asset.Chain(), o.Address); bad {
			return kind, member + "/address"
		}
	}
	if b.FeeCap.IsZero() {
		return problem.Malformed, "/request/body/feeCap"
	}
	return "", ""
}

func addressFault(c custody.ChainID, address string) (problem.Kind, bool) {
	_, err := request.CanonicalAddress(c, address)
	var other *btc.NetworkError
	if errors.As(err, &other) {
		return problem.WrongNetwork, true
	}
	return problem.Malformed, err != nil
}

// requestView is the JSON of a request.
func requestView(v message.Request) (apiv1.RequestView, error) {
	p, err := request.Parse(v.Request)
	if err != nil {
		return apiv1.RequestView{}, problem.Wrap(problem.Internal, err, "the core's record of request %s can't be read", v.ID)
	}
	body, err := json.Marshal(p.Decoded)
	if err != nil {
		return apiv1.RequestView{}, problem.Wrap(problem.Internal, err, "the core's record of request %s can't be written", v.ID)
	}
	return viewOf(v, p.Request, body), nil
}

// viewOf is requestView where the canonical request has been read, and its body is at hand in JSON.
func viewOf(v message.Request, r request.Request, body json.RawMessage) apiv1.RequestView {
	out := apiv1.RequestView{ID: v.ID.String(), State: string(v.State), Operation: r.Operation, Initiator: r.Initiator, IdempotencyKey: r.Key,
		NotAfter: r.NotAfter, Body: body, Canonical: v.Request, Effects: v.Effects, Bounds: v.Bounds, Decision: decisionView(v),
		Approvals: []apiv1.Vote{}, Seq: v.Seq, Last: v.Last, Simulation: v.Simulation}
	for _, a := range v.Approvals {
		out.Approvals = append(out.Approvals, voteView(a))
	}
	if v.EndedBy != nil {
		x := voteView(*v.EndedBy)
		out.EndedBy = &x
	}
	if h := v.Hold; h != nil {
		out.Hold = &apiv1.Hold{Entry: h.Seq, By: h.By, Reason: h.Reason}
	}
	if v.Missing != nil {
		out.Missing = &apiv1.Lack{Kind: v.Missing.Kind, Detail: v.Missing.Detail, Rule: v.Missing.Rule, Unmet: v.Missing.Unmet}
	}
	if v.Signed != nil {
		x := signedView(*v.Signed)
		out.Signed = &x
	}
	if v.Receipt != nil {
		out.Receipt = &apiv1.Receipt{Seq: v.Receipt.Seq, Leaf: apiv1.Hex(v.Receipt.Leaf[:]), State: string(v.Receipt.State), Signature: v.Receipt.Sig}
	}
	return out
}

func voteView(a message.Vote) apiv1.Vote {
	return apiv1.Vote{Person: a.Person, Key: a.Key, Seq: a.Seq, Time: apiv1.Time(a.Time)}
}

func signedView(x message.Signed) apiv1.Signed {
	return apiv1.Signed{Attempt: x.Attempt, Permit: x.Permit, TxID: x.TxID, Bytes: x.Bytes}
}

func decisionView(v message.Request) apiv1.Decision {
	d := v.Decision
	var groups uint32
	if d.Needs != nil {
		groups = d.Needs.MinGroups
	}
	var total *custody.Uint256
	if v.Effects.Operation == request.Transfer {
		total = &v.Effects.Total
	}
	return apiv1.Decision{Prices: apiv1.PricesUsed(d.Prices, total), Delay: d.Delay, Obligations: d.Obligations, MinGroups: groups, Outcome: d.Outcome, PolicyVersion: d.Version, PolicyHash: apiv1.Hex(d.Hash[:]), Rule: d.Rule, Reason: d.Reason,
		Auto: d.Auto, Plan: apiv1.PlanOf(d.Plan), FeeCap: d.FeeCap, Unmet: d.Unmet, Also: apiv1.RequirementsOf(d.Also)}
}
