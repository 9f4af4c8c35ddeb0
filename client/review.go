// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/request"
)

// ErrDisagrees is wrapped by every error that says that what serve shows is not what the canonical request says. Nothing must
// be signed then, and somebody should look at serve.
var ErrDisagrees = errors.New("what serve shows is not what the request says")

// ErrOtherDomain is wrapped by the error that says that a request is for another domain than the one that was named. Mostly the
// wrong domain was named. Nothing is signed.
var ErrOtherDomain = errors.New("the request is for another domain")

// Review is a request as its approver sees it: decoded here from the canonical bytes, with the effects computed again from
// them. Only New makes one that can be signed.
type Review struct {
	Request Request // decoded from the canonical bytes
	Body    Body    // decoded
	Effects Effects // what an approval binds
	Bounds  Bounds  // how far the bytes may go
	base    Statement
}

// NewReview decodes what serve, or a file, says of a request and compares everything that follows from the canonical bytes.
// What does not follow from them is what the core recorded: the paying address of an Ethereum wallet, the chain of a wallet, and
// which rule document the request was accepted under. The core refuses an approval that binds other values than it recorded.
func NewReview(a AuthorityID, v RequestView) (Review, error) {
	r, err := request.Decode(v.Canonical)
	if err != nil {
		return Review{}, fmt.Errorf("review: %w", err)
	}
	if r.Authority != a {
		return Review{}, fmt.Errorf("review: %w: for authority %s, not %s", ErrOtherDomain, r.Authority, a)
	}
	body, err := r.DecodeBody()
	if err != nil {
		return Review{}, fmt.Errorf("review: %w", err)
	}
	e, b := v.Effects, v.Bounds
	if e.BodyHash = r.Hash(); e.Call != nil {
		call := *e.Call
		e.Call = &call
	}
	if err := checkEffects(r, body, &e, b); err != nil {
		return Review{}, fmt.Errorf("review: %w: %w", ErrDisagrees, err)
	}
	id := r.ID()
	if v.ID != id.String() || v.Operation != r.Operation || v.Initiator != r.Initiator || v.NotAfter != r.NotAfter || v.IdempotencyKey != r.Key {
		return Review{}, fmt.Errorf("review: %w: id, operation, initiator, key or end differ", ErrDisagrees)
	}
	if err := sameBody(body, v.Body); err != nil {
		return Review{}, fmt.Errorf("review: %w: %w", ErrDisagrees, err)
	}
	hash, err := hex.DecodeString(v.Decision.PolicyHash)
	if err != nil || len(hash) != 32 {
		return Review{}, errors.New("review: the hash of the rule document is malformed")
	}
	return Review{Request: r, Body: body, Effects: e, Bounds: b, base: Statement{V: 1, Authority: r.Authority, Domain: r.Domain, Request: id,
		Initiator: r.Initiator, Effects: e, Bounds: b, PolicyVersion: v.Decision.PolicyVersion, PolicyHash: [32]byte(hash), Exact: exactOf(e)}}, nil
}

// sameBody compares the body that serve shows with the canonical one.
func sameBody(body Body, shown json.RawMessage) error {
	if len(shown) == 0 {
		return nil // a file may leave it out
	}
	want, err := json.Marshal(body)
	if err != nil {
		return err
	}
	var x, y any
	if err := errors.Join(json.Unmarshal(want, &x), json.Unmarshal(shown, &y)); err != nil {
		return fmt.Errorf("the body that is shown can't be read: %w", err)
	}
	again, err := json.Marshal(y)
	if err != nil {
		return err
	}
	if want, err = json.Marshal(x); err != nil || string(want) != string(again) {
		return errors.New("the body that is shown differs")
	}
	return nil
}

// checkEffects computes the effects again. What JSON leaves out is filled in.
func checkEffects(r Request, body Body, e *Effects, b Bounds) error {
	if e.Operation != r.Operation {
		return errors.New("the operation differs")
	}
	if b.NotAfter != r.NotAfter {
		return errors.New("the end differs")
	}
	switch o := body.(type) {
	case *request.ContractCallBody:
		return checkCall(r, o, e, b)
	case *request.MessageSignBody:
		return checkMessage(r, o, e, b)
	}
	t, ok := body.(*request.TransferBody)
	if !ok {
		return checkOther(body, e, b)
	}
	want := Effects{Operation: r.Operation, Wallet: t.Wallet, Chain: t.Asset.Chain(), Asset: t.Asset, Source: e.Source, Outputs: t.Outputs, BodyHash: e.BodyHash}
	for _, o := range t.Outputs {
		if want.Total, ok = want.Total.Add(o.Amount); !ok {
			return errors.New("the sum of the outputs does not fit in 256 bits")
		}
	}
	if want.Books = e.Books; len(e.Books) != 0 && len(e.Books) != len(t.Outputs) { // what the address ledger calls each output, as the core recorded it
		return errors.New("the names of the outputs are not as many as they")
	}
	want.Screening = e.Screening // what sources said, as the core recorded it
	bounds := Bounds{FeeCap: t.FeeCap, FeeAsset: t.Asset.Chain().Native(), Change: request.OwnChange, Slot: request.InputSet, NotAfter: r.NotAfter}
	if _, evm := t.Asset.Chain().EVM(); evm {
		bounds.Change, bounds.Slot = request.NoChange, request.AccountNonce
		if _, err := eth.ParseAddress(e.Source); err != nil {
			return fmt.Errorf("the paying address: %w", err)
		}
		if c, token := t.Asset.ERC20(); token {
			call, err := tokenCall(c, t.Outputs[0])
			if err != nil {
				return err
			}
			want.Call = call
			if e.Call != nil {
				e.Call.DataHash = call.DataHash
			}
		}
	} else if e.Source != "" {
		return errors.New("a Bitcoin transfer has no paying address")
	}
	if b != bounds {
		return errors.New("the bounds differ")
	}
	return sameEffects(*e, want)
}

// tokenCall is the ERC-20 call of a transfer.
func tokenCall(contract string, o Output) (*request.Call, error) {
	to, err := eth.ParseAddress(o.Address)
	if err != nil {
		return nil, err
	}
	c, err := eth.ParseAddress(contract)
	if err != nil {
		return nil, err
	}
	return &request.Call{Contract: c.String(), Selector: "transfer(address,uint256)", Args: []string{to.String(), o.Amount.String()},
		DataHash: sha256.Sum256(eth.EncodeTransfer(to, eth.Uint256(o.Amount)))}, nil
}

// checkOther checks the effects of what is no transfer: they name the wallet, where its key goes, an offline domain, and what a warm
// session is for, at most.
func checkOther(body Body, e *Effects, b Bounds) error {
	want := Effects{Operation: e.Operation, BodyHash: e.BodyHash}
	switch o := body.(type) {
	case *request.WalletCreateBody:
		want.Wallet, want.Chain, want.Temperature = o.Wallet, o.Chain, o.Temperature
	case *request.AddressCreateBody:
		want.Wallet, want.Chain = o.Wallet, e.Chain
		if err := e.Chain.Check(); err != nil {
			return err
		}
	case *request.WalletMoveBody:
		want.Wallet, want.Chain, want.Temperature, want.Domain = o.Wallet, e.Chain, o.Temperature, o.To
		if err := e.Chain.Check(); err != nil {
			return err
		}
	case *request.WhitelistAddBody, *request.WhitelistRemoveBody:
		if e.List != nil { // there is an address ledger
			want.List = request.ListEffectsOf(body)
		}
	case request.ListBody, *request.BlacklistAddBody, *request.BlacklistRemoveBody:
		want.List = request.ListEffectsOf(body)
	case *request.OfflineAddBody:
		id := o.ID()
		want.Domain = id[:]
	case *request.OfflineRemoveBody:
		want.Domain = o.Domain
	case *request.WarmOpenBody:
		want.Wallet, want.Chain, want.Asset, want.Total, want.Until = o.Wallet, o.Asset.Chain(), o.Asset, o.Amount, o.NotAfter
	case request.AppBody:
		app, until := request.AppEffectsOf(o)
		want.App, want.Until = &app, until
	case request.OversightBody:
		want.Target, want.Since = request.OversightEffects(o)
	case *request.PolicyChangeBody:
		want.Replay = o.Replay
	case request.WarmBody:
		want.Wallet, want.Chain = o.Of(), e.Chain
		if err := e.Chain.Check(); err != nil {
			return err
		}
		if t, ok := o.(*request.WalletTemperatureBody); ok {
			want.Temperature = t.To
		}
	}
	if b != (Bounds{Change: request.NoChange, Slot: request.NoSlot, NotAfter: b.NotAfter}) {
		return errors.New("the bounds differ")
	}
	return sameEffects(*e, want)
}

func sameEffects(got, want Effects) error {
	a := Statement{Effects: got}
	b := Statement{Effects: want}
	if string(a.Encode()) != string(b.Encode()) {
		return errors.New("the effects differ")
	}
	return nil
}

// Statement gives what a person signs.
func (r Review) Statement(p PersonID, d Decision) Statement { return r.base.By(p, d) }

// Sign gives a person's signed decision.
func (r Review) Sign(by Signer, d Decision) (Approval, error) {
	if r.base.V == 0 {
		return Approval{}, errors.New("sign: this review was not made by NewReview")
	}
	sig, err := by.Sign(r.base.By(by.Person(), d).Message())
	if err != nil {
		return Approval{}, err
	}
	return Approval{Request: r.base.Request, Person: by.Person(), Decision: d, Key: by.Public().Ref(), Sig: sig}, nil
}

// CheckSource compares the paying address of an Ethereum transfer with the wallet's own derivation. The wallet should be one
// that the approver knows, not one that serve has just told.
func (r Review) CheckSource(w Wallet) error {
	var wallet WalletID
	var source uint32
	switch t := r.Body.(type) {
	case *request.TransferBody:
		wallet, source = t.Wallet, t.Source
	case *request.ContractCallBody:
		wallet, source = t.Wallet, t.Source
	case *request.MessageSignBody:
		wallet, source = t.Wallet, t.Source
	}
	if wallet == "" || r.Effects.Source == "" {
		return nil
	}
	if wallet != w.ID || r.Effects.Chain != w.Chain {
		return fmt.Errorf("the %s is of wallet %s on %s, not %s on %s", r.Effects.Operation, wallet, r.Effects.Chain, w.ID, w.Chain)
	}
	e, err := walletEntry(w)
	if err != nil {
		return err
	}
	d, err := authority.Derive(e, pathOf(source))
	if err != nil {
		return err
	}
	if d.Address != r.Effects.Source {
		return fmt.Errorf("%w: address %d of wallet %s is %s, not %s", ErrDisagrees, source, w.ID, d.Address, r.Effects.Source)
	}
	return nil
}

// Review reads a request and decodes it for an approver. Show it to a person, then [Review.Sign] and [Client.Decide].
func (c *Client) Review(ctx context.Context, id RequestID) (Review, error) {
	a, _, err := c.domain(ctx)
	if err != nil {
		return Review{}, err
	}
	v, err := c.Request(ctx, id)
	if err != nil {
		return Review{}, err
	}
	if v.ID != id.String() {
		return Review{}, fmt.Errorf("review: %w: another request was given", ErrDisagrees)
	}
	return NewReview(a, v)
}

// DomainOf gives the domain's id, which equals the authority's where a domain follows its own log.
func DomainOf(a AuthorityID) custody.DomainID { return custody.DomainID(a) }
