// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"time"

	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
)

// Ask is what to ask for. Body is required.
type Ask struct {
	Body Body
	Key  string        // idempotency key; empty: a new one
	Life time.Duration // how long the request lives; 0: one hour
}

// NewKey draws an idempotency key.
func NewKey() string {
	var b [16]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// operationOf gives the operation of a body.
func operationOf(b Body) (Operation, bool) {
	for _, o := range request.Operations() {
		if reflect.TypeOf(apiv1.NewBody(o)) == reflect.TypeOf(b) {
			return o, true
		}
	}
	return "", false
}

// Compose builds the canonical request of an initiator. It needs no network if the client knows its authority.
func (c *Client) Compose(ctx context.Context, by PersonID, a Ask) (Request, error) {
	op, ok := operationOf(a.Body)
	if !ok {
		return Request{}, fmt.Errorf("compose: a body of type %T is not known; give a pointer to one of the package's", a.Body)
	}
	id, _, err := c.domain(ctx)
	if err != nil {
		return Request{}, err
	}
	if a.Key == "" {
		a.Key = NewKey()
	}
	if a.Life == 0 {
		a.Life = time.Hour
	}
	r := Request{V: 1, Authority: id, Domain: custody.DomainID(id), Initiator: by, Key: a.Key, Operation: op, Body: canon.Encode(a.Body),
		NotAfter: c.now().Add(a.Life).Unix()}
	return r, r.Check()
}

// SignRequest gives a request with its initiator's signature, as a file that [Client.SubmitFile] takes, from this machine or
// another.
func SignRequest(r Request, by Signer) ([]byte, error) {
	if by.Person() != r.Initiator {
		return nil, fmt.Errorf("sign request: %s can't sign for %s", by.Person(), r.Initiator)
	}
	sig, err := by.Sign(canon.Message(canon.TagRequest, r))
	if err != nil {
		return nil, err
	}
	return canon.Encode(apiv1.SignedRequest{Request: r.Encode(), Evidence: request.Evidence{Key: by.Public().Ref(), Sig: sig}}), nil
}

// Submit composes, signs and hands in. A retry must give the same [Ask.Key] and the same body, and gets what became of the
// first; note that the request's end is part of it, so keep the Request for a retry and use [Client.SubmitRequest].
func (c *Client) Submit(ctx context.Context, by Signer, a Ask) (RequestView, error) {
	r, err := c.Compose(ctx, by.Person(), a)
	if err != nil {
		return RequestView{}, err
	}
	return c.SubmitRequest(ctx, by, r)
}

// SubmitRequest signs a composed request and hands it in.
func (c *Client) SubmitRequest(ctx context.Context, by Signer, r Request) (RequestView, error) {
	f, err := SignRequest(r, by)
	if err != nil {
		return RequestView{}, err
	}
	return c.SubmitFile(ctx, f)
}

// SubmitFile hands in a signed request, and checks the domain's receipt for it: without one the error is [ErrReceipt].
func (c *Client) SubmitFile(ctx context.Context, file []byte) (RequestView, error) {
	var f apiv1.SignedRequest
	if err := canon.Decode(file, &f); err != nil {
		return RequestView{}, fmt.Errorf("signed request: %w", err)
	}
	r, err := request.Decode(f.Request)
	if err != nil {
		return RequestView{}, err
	}
	return c.post(ctx, r, f.Request, apiv1.CBOR, file, nil)
}

// post hands a request in, whose encoding is canonical, and checks that the answer is about it and that the domain has it. session is the
// key of the session whose MAC it comes with, if it does.
func (c *Client) post(ctx context.Context, r Request, canonical []byte, media string, body, session []byte) (v RequestView, err error) {
	const path = "/v1/requests"
	h := http.Header{"Content-Type": {media}, apiv1.IdempotencyHeader: {r.Key}}
	b, err := c.send(ctx, http.MethodPost, path, nil, h, body)
	if err != nil {
		return v, err
	}
	if err := read(b, http.MethodPost, path, &v); err != nil {
		return v, err
	}
	if v.ID != r.ID().String() || !bytes.Equal(v.Canonical, canonical) {
		return v, errors.New("serve answered with another request than was asked")
	}
	return v, c.checkReceipt(ctx, r.ID(), canon.HashBytes(canon.TagRequest, canonical), v, session)
}

// Request reads a request.
func (c *Client) Request(ctx context.Context, id RequestID) (v RequestView, err error) {
	return v, c.get(ctx, "/v1/requests/"+id.String(), nil, &v)
}

// Filter chooses requests. Zero fields ask for nothing.
type Filter struct {
	State     string
	Operation Operation
	Wallet    WalletID
	Limit     int
	Cursor    string // of the page before
}

// Requests lists requests, oldest first.
func (c *Client) Requests(ctx context.Context, f Filter) (l RequestList, err error) {
	q := url.Values{}
	for k, v := range map[string]string{"state": f.State, "operation": string(f.Operation), "wallet": string(f.Wallet), "cursor": f.Cursor} {
		if v != "" {
			q.Set(k, v)
		}
	}
	if f.Limit > 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	return l, c.get(ctx, "/v1/requests", q, &l)
}

// Decide hands in a signed decision, and checks the domain's receipt for it: without one the error is [ErrReceipt]. The same decision may be
// handed in again, and gets the receipt of the entry that recorded it.
func (c *Client) Decide(ctx context.Context, a Approval) (v RequestView, err error) {
	in := apiv1.DecisionIn{Person: a.Person, Key: a.Key, Signature: a.Sig}
	if err := c.call(ctx, http.MethodPost, "/v1/requests/"+a.Request.String()+":"+string(a.Decision), nil, in, &v); err != nil {
		return v, err
	}
	return v, c.checkReceipt(ctx, a.Request, a.Hash(), v, nil)
}

// Execute asks to carry out an approved request that is no transfer, where that did not happen with the last approval.
func (c *Client) Execute(ctx context.Context, id RequestID) (v RequestView, err error) {
	return v, c.call(ctx, http.MethodPost, "/v1/requests/"+id.String()+":execute", nil, nil, &v)
}

// Sign asks for the signature of a ready transfer, whose payload serve builds. It is for the initiator and those who approved.
func (c *Client) Sign(ctx context.Context, id RequestID) (s Signed, err error) {
	return s, c.call(ctx, http.MethodPost, "/v1/requests/"+id.String()+":sign", nil, nil, &s)
}

// Proof reads the proof file of a request, which package verify checks.
func (c *Client) Proof(ctx context.Context, id RequestID) ([]byte, error) {
	return c.send(ctx, http.MethodGet, "/v1/requests/"+id.String()+"/proof", nil, nil, nil)
}

// Settled says whether a request has ended: it was carried out, refused, rejected, cancelled or expired, or its transaction is
// final on the chain, or the message that it is about is signed.
func Settled(v RequestView) bool {
	switch v.State {
	case "executed", "refused", "rejected", "cancelled", "expired", "void":
		return true
	case "signed":
		if v.Operation == request.MessageSign {
			return true
		}
		for _, a := range v.Attempts {
			if a.State == "final" || a.State == "failed_onchain" {
				return true
			}
		}
	}
	return false
}

// WaitRequest reads a request until done says so (nil: [Settled]), asking every interval, at least 50 ms. Failures that may
// pass are waited out.
func (c *Client) WaitRequest(ctx context.Context, id RequestID, every time.Duration, done func(RequestView) bool) (RequestView, error) {
	if done == nil {
		done = Settled
	}
	t := time.NewTicker(max(every, 50*time.Millisecond))
	defer t.Stop()
	for {
		v, err := c.Request(ctx, id)
		if err == nil && done(v) {
			return v, nil
		}
		if err != nil && !Retryable(err) {
			return v, err
		}
		select {
		case <-ctx.Done():
			return v, errors.Join(fmt.Errorf("wait for request %s, which is %s: %w", id, v.State, ctx.Err()), err)
		case <-t.C:
		}
	}
}
