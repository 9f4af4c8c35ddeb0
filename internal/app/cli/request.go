// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"strongroom/client"
	"strongroom/internal/app/words"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// requestCmd is about requests.
type requestCmd struct {
	Transfer requestTransfer `cmd:"" help:"Ask to pay."`
	List     requestList     `cmd:"" help:"List requests, oldest first."`
	Show     requestShow     `cmd:"" help:"Show one request, or follow it with --wait."`
	Approve  requestApprove  `cmd:"" help:"Decode a request here, show it, and sign an approval of it."`
	Reject   requestReject   `cmd:"" help:"The same, and sign a rejection."`
	Cancel   requestCancel   `cmd:"" help:"Cancel a request of your own."`
	Execute  requestExecute  `cmd:"" help:"Carry out an approved request that is no transfer, where that did not happen by itself."`
	Sign     requestSign     `cmd:"" help:"Have an approved transfer built, signed and sent now."`
	Export   requestExport   `cmd:"" help:"Write a request to a file, for an approver without a network."`
	Import   requestImport   `cmd:"" help:"Hand in an approval that was signed offline."`
	Submit   requestSubmit   `cmd:"" help:"Hand in a request that was signed offline."`
}

type requestTransfer struct {
	Wallet string   `required:"" help:"Wallet that pays."`
	Asset  string   `placeholder:"ASSET" help:"native or erc20:0x…, or with the chain in front, which --export needs: ethereum/native, or CAIP-19. Default: the coin of the wallet's chain."`
	To     []string `required:"" placeholder:"ADDRESS=AMOUNT" sep:"none" help:"Who gets how much: an address or a name of the address book, and whole base units or a number with a unit (0.5eth, 2000sat). May be given more than once on Bitcoin."`
	FeeCap string   `required:"" placeholder:"AMOUNT" help:"Most that may be paid as fee, in the chain's own coin."`
	Source uint32   `placeholder:"N" help:"Number of the paying address (Ethereum)."`
	asking
}

// Run asks.
func (c *requestTransfer) Run(e *env) error {
	if c.Export != "" {
		asset, err := assetOf("", c.Asset)
		if err != nil {
			return err
		}
		body, err := c.body(asset, nil)
		if err != nil {
			return err
		}
		return c.export(e, body)
	}
	cl, err := e.client()
	if err != nil {
		return err
	}
	w, err := cl.Wallet(e.ctx, client.WalletID(c.Wallet))
	if err != nil {
		return hint(err, "'strongroom wallet list' shows the wallets")
	}
	asset, err := assetOf(w.Chain, c.Asset)
	if err != nil {
		return err
	}
	body, err := c.body(asset, func() ([]client.BookEntry, error) { return cl.AddressBook(e.ctx) })
	if err != nil {
		return err
	}
	return c.send(e, cl, body)
}

// body builds the request's body. book, if not nil, gives the address book for destinations by name.
func (c *requestTransfer) body(asset custody.AssetID, book func() ([]client.BookEntry, error)) (*client.Transfer, error) {
	b := &client.Transfer{Wallet: client.WalletID(c.Wallet), Asset: asset, Source: c.Source}
	for _, to := range c.To {
		address, amount, ok := strings.Cut(to, "=")
		if !ok {
			return nil, usage("--to %s: want ADDRESS=AMOUNT", to)
		}
		if custody.CheckSlug("name", address) == nil && book != nil {
			entries, err := book()
			if err != nil {
				return nil, err
			}
			i := slices.IndexFunc(entries, func(x client.BookEntry) bool { return x.ID == address })
			if i >= 0 && entries[i].Chain != asset.Chain() {
				return nil, usage("--to %s: it is an address on %s", address, words.Chain(entries[i].Chain))
			}
			if i >= 0 {
				address = entries[i].Address
			}
		}
		if _, err := request.CanonicalAddress(asset.Chain(), address); err != nil {
			return nil, usage("--to %s: %w", address, err)
		}
		v, err := amountOf(asset, amount)
		if err != nil {
			return nil, err
		}
		b.Outputs = append(b.Outputs, client.Output{Address: address, Amount: v})
	}
	var err error
	b.FeeCap, err = amountOf(asset.Chain().Native(), c.FeeCap)
	return b, err
}

type requestList struct {
	State     string `placeholder:"STATE" help:"pending, ready, signed, executed, refused, rejected, cancelled or expired."`
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
	cl, err := e.client()
	if err != nil {
		return err
	}
	id, err := c.find(e, cl)
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
	cl, err := e.client()
	if err != nil {
		return err
	}
	id, err := c.find(e, cl)
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
	cl, err := e.client()
	if err != nil {
		return err
	}
	id, err := c.find(e, cl)
	if err != nil {
		return err
	}
	s, err := cl.Sign(e.ctx, id, nil)
	if err != nil {
		return err
	}
	return e.show(s, func() error {
		return e.pairs([]pair{{"transaction", s.TxID}, {"attempt", fmt.Sprint(s.Attempt)}, {"permit", fmt.Sprintf("entry %d", s.Permit)}, {"bytes", fmt.Sprintf("%x", s.Bytes)}})
	})
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

// decide hands a decision in; one that is there already is no failure.
func decide(e *env, cl *client.Client, a client.Approval) (client.RequestView, error) {
	v, err := cl.Decide(e.ctx, a)
	var p *client.Problem
	if errors.As(err, &p) && p.Kind == problem.AlreadyDone {
		e.say("It is recorded already: %s.", p.Detail)
		return cl.Request(e.ctx, a.Request)
	}
	return v, err
}
