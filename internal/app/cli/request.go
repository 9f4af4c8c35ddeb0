// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"strings"

	"strongroom/client"
	"strongroom/internal/app/words"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// requestCmd is about requests.
type requestCmd struct {
	Transfer requestTransfer `cmd:"" help:"Ask to pay."`
	List     requestList     `cmd:"" help:"List requests, oldest first."`
	Show     requestShow     `cmd:"" help:"Show one request, or follow it with --wait."`
	Explain  requestExplain  `cmd:"" help:"Say why the rules say what they say of a request, rule by rule, and what they say now."`
	Review   requestReview   `cmd:"" help:"Decode a request here and show what an approver would sign; sign nothing."`
	Approve  requestApprove  `cmd:"" help:"Decode a request here, show it, and sign an approval of it."`
	Reject   requestReject   `cmd:"" help:"The same, and sign a rejection."`
	Cancel   requestCancel   `cmd:"" help:"Cancel a request of your own."`
	Execute  requestExecute  `cmd:"" help:"Carry out an approved request that is no transfer, where that did not happen by itself."`
	Sign     requestSign     `cmd:"" help:"Have an approved transfer built, signed and sent now."`
	Hold     requestHold     `cmd:"" help:"Keep a request of anybody from being signed or executed until it is released. One person of the second line can."`
	Release  requestRelease  `cmd:"" help:"Ask to release a request that is held."`
	Export   requestExport   `cmd:"" help:"Write a request to a file, for an approver without a network."`
	Import   requestImport   `cmd:"" help:"Hand in an approval that was signed offline."`
	Submit   requestSubmit   `cmd:"" help:"Hand in a request that was signed offline."`
}

type requestList struct {
	State     string `placeholder:"STATE" help:"pending, ready, signed, exported, executed, refused, rejected, cancelled, expired or void."`
	Operation string `placeholder:"OPERATION" help:"Only of this operation, for instance transfer."`
	Wallet    string `placeholder:"WALLET" help:"Only of this wallet."`
	Limit     int    `default:"50" help:"Most to list."`
	Cursor    string `placeholder:"CURSOR" help:"Where to go on, as the list before said."`
}

// Run lists.
func (c *requestList) Run(e *env) error {
	cl, err := e.client()
	if err != nil {
		return err
	}
	l, err := cl.Requests(e.ctx, client.Filter{State: c.State, Operation: client.Operation(c.Operation), Wallet: client.WalletID(c.Wallet),
		Limit: c.Limit, Cursor: c.Cursor})
	if err != nil {
		return err
	}
	err = e.show(l, func() error {
		var rows [][]string
		for _, v := range l.Requests {
			rows = append(rows, []string{v.ID, v.State, string(v.Operation), e.person(v.Initiator), words.Unix(v.NotAfter)})
		}
		return e.table([]string{"request", "state", "operation", "asked by", "expires"}, rows)
	})
	if err == nil && l.Next != "" {
		e.hint("more: --cursor %s", l.Next)
	}
	return err
}

// requestID is a request as people name it: whole, or by its first digits.
type requestID struct {
	ID string `arg:"" help:"Request id; the first 8 digits or more are enough for open requests."`
}

// minPrefix is the shortest abbreviation of a request's id.
const minPrefix = 8

// open gives a client and the request.
func (r requestID) open(e *env) (*client.Client, client.RequestID, error) {
	c, err := e.client()
	if err != nil {
		return nil, client.RequestID{}, err
	}
	id, err := r.find(e, c)
	return c, id, err
}

func (r requestID) find(e *env, c *client.Client) (client.RequestID, error) {
	if len(r.ID) < minPrefix || len(r.ID) >= 64 {
		id, err := client.ParseRequestID(r.ID)
		if err != nil {
			return id, usage("%w, or its first %d or more", err, minPrefix)
		}
		return id, nil
	}
	var found []string
	for cursor, more := "", true; more; more = cursor != "" {
		l, err := c.Requests(e.ctx, client.Filter{Limit: 200, Cursor: cursor})
		if err != nil {
			return client.RequestID{}, err
		}
		for _, v := range l.Requests {
			if strings.HasPrefix(v.ID, r.ID) {
				found = append(found, v.ID)
			}
		}
		cursor = l.Next
	}
	switch len(found) {
	case 0:
		return client.RequestID{}, &hinted{err: fmt.Errorf("no request begins with %s", r.ID), hint: "'strongroom request list' shows them", code: exitNotFound}
	case 1:
		return client.ParseRequestID(found[0])
	default:
		return client.RequestID{}, usage("%d requests begin with %s; give more digits", len(found), r.ID)
	}
}

type requestShow struct {
	requestID
	waiting
}

// Run shows it.
func (c *requestShow) Run(e *env) error {
	cl, id, err := c.open(e)
	if err != nil {
		return err
	}
	v, err := cl.Request(e.ctx, id)
	if err != nil {
		return err
	}
	if c.Wait {
		return c.follow(e, cl, v)
	}
	return e.show(v, func() error { return e.pairs(e.requestPairs(v)) })
}

type requestExecute struct{ requestID }

// Run asks.
func (c *requestExecute) Run(e *env) error {
	cl, id, err := c.open(e)
	if err != nil {
		return err
	}
	v, err := cl.Execute(e.ctx, id)
	if err != nil {
		return err
	}
	return waiting{}.follow(e, cl, v)
}

type requestSign struct{ requestID }

// Run asks.
func (c *requestSign) Run(e *env) error {
	cl, id, err := c.open(e)
	if err != nil {
		return err
	}
	s, err := cl.Sign(e.ctx, id)
	if err != nil {
		return err
	}
	v, err := cl.Request(e.ctx, id)
	if err != nil {
		return err
	}
	return e.show(s, func() error {
		return e.pairs(append(signedPairs(v.Operation, s), pair{"attempt", fmt.Sprint(s.Attempt)}, pair{"permit", fmt.Sprintf("entry %d", s.Permit)}))
	})
}

// signedPairs shows what was signed: a transaction, or the signature of a message, which is on no chain.
func signedPairs(op client.Operation, s client.Signed) []pair {
	if op == request.MessageSign {
		return []pair{{"signature", fmt.Sprintf("0x%x", s.Bytes)}, {"signed hash", s.TxID}}
	}
	return []pair{{"transaction", s.TxID}, {"bytes", fmt.Sprintf("%x", s.Bytes)}}
}

// unasked says whether a request is an approved message: serve has nothing to build or send for it, and who wants the signature asks for it.
func unasked(v client.RequestView) bool {
	return v.State == "ready" && v.Operation == request.MessageSign
}

type requestSubmit struct {
	File string `arg:"" help:"Signed request, as --export wrote it."`
	waiting
}

// Run hands it in.
func (c *requestSubmit) Run(e *env) error {
	b, err := e.readInput(c.File)
	if err != nil {
		return err
	}
	if err := canon.Decode(b, new(apiv1.SignedRequest)); err != nil {
		return usage("%s is no signed request: %w", c.File, err)
	}
	cl, err := e.client()
	if err != nil {
		return err
	}
	v, err := cl.SubmitFile(e.ctx, b)
	if err != nil {
		return err
	}
	return c.follow(e, cl, v)
}

type requestImport struct {
	File string `arg:"" help:"Approval, rejection or cancellation that was signed offline."`
	waiting
}

// Run hands it in.
func (c *requestImport) Run(e *env) error {
	b, err := e.readInput(c.File)
	if err != nil {
		return err
	}
	var a client.Approval
	if err = canon.Decode(b, &a); err == nil {
		err = a.Check()
	}
	if err != nil {
		return usage("%s is no signed decision: %w", c.File, err)
	}
	cl, err := e.client()
	if err != nil {
		return err
	}
	v, err := decide(e, cl, a)
	if err != nil {
		return err
	}
	return c.follow(e, cl, v)
}

// decide hands a decision in. That it is in the log is told on the domain's receipt for this very decision, never on serve's word: one that
// was handed in before gets a receipt too.
func decide(e *env, cl *client.Client, a client.Approval) (client.RequestView, error) {
	v, err := cl.Decide(e.ctx, a)
	if client.KindOf(err) == problem.AlreadyDone {
		return v, hint(err, "no receipt of the domain came with this answer: your decision may not be in the log; 'strongroom proof get' shows what is")
	}
	if err != nil {
		return v, err
	}
	e.say("Your decision is recorded, in entry %d of the log; the domain signed for it.", v.Receipt.Seq)
	return v, nil
}
