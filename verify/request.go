// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"errors"
	"fmt"

	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/secp"
)

// decided checks who asked, and decides again.
func (c *checker) decided() error {
	e, r := c.request, c.req
	rep := c.report
	rep.Initiator, rep.Evidence, rep.Effects, rep.Bounds = r.Initiator, e.Facts.Evidence, e.Effects, e.Bounds
	rep.Rule, rep.Outcome = e.Decision.Rule, e.Decision.Outcome
	rules, err := c.rulesOf(e.Decision)
	if err != nil {
		return fmt.Errorf("request: %w", err)
	}
	if custody.DomainID(r.Authority) != rep.Domain || r.Domain != rep.Domain {
		return errors.New("request: it is for another domain")
	}
	if err := e.Evidence.Check(); err != nil {
		return fmt.Errorf("request: %w", err)
	}
	if e.Evidence.Key != "" {
		if e.Facts.Evidence != policy.BySignature {
			return errors.New("request: the facts name another evidence than was given")
		}
		if err := authority.CheckSignedEvidence(rules, r, e.Evidence); err != nil {
			return fmt.Errorf("request: %w", err)
		}
	} else {
		if e.Facts.Evidence != policy.BySession {
			return errors.New("request: the facts name another evidence than was given")
		}
		rep.Notes = append(rep.Notes, "the initiator is a service with a session: that it made this request is the core's word, its key being known to the two alone")
	}
	if err := c.facts(rules); err != nil {
		return fmt.Errorf("request: %w", err)
	}
	if again := rules.Evaluate(e.Facts); !same(again, e.Decision) {
		return errors.New("request: the rules give another decision than was recorded")
	}
	return nil
}

func same(a, b any) bool { return bytes.Equal(canon.Encode(a), canon.Encode(b)) }

// facts checks that facts, effects and bounds are the request's.
func (c *checker) facts(rules *policy.Rules) error {
	e, r := c.request, c.req
	if e.Effects.BodyHash != r.Digest || e.Effects.Operation != r.Operation || e.Facts.Operation != r.Operation || e.Facts.Initiator != r.Initiator ||
		e.Bounds.NotAfter != r.NotAfter {
		return errors.New("facts, effects or bounds are another request's")
	}
	t, ok := r.Decoded.(*request.TransferBody)
	if !ok {
		return nil
	}
	if c.wallet == nil || c.wallet.ID != t.Wallet {
		return fmt.Errorf("wallet %q is not in the file", t.Wallet)
	}
	f := policy.Facts{Operation: r.Operation, Initiator: r.Initiator, Evidence: e.Facts.Evidence, Wallet: t.Wallet, Chain: c.wallet.Chain, Asset: t.Asset, FeeCap: t.FeeCap}
	for _, o := range t.Outputs {
		d := policy.Destination{Address: o.Address, Amount: o.Amount, Kind: policy.OneTime}
		if id, ok := rules.Book(f.Chain, o.Address); ok {
			d.Kind, d.Book = policy.Whitelisted, id
		}
		f.Destinations = append(f.Destinations, d)
		if f.Total, ok = f.Total.Add(o.Amount); !ok {
			return errors.New("the outputs' sum does not fit in 256 bits")
		}
	}
	if !same(f, e.Facts) {
		return errors.New("the recorded facts are not those of the request")
	}
	x := e.Effects
	if x.Wallet != t.Wallet || x.Chain != f.Chain || x.Asset != t.Asset || x.Total != f.Total || !same(x.Outputs, t.Outputs) ||
		e.Bounds.FeeCap != t.FeeCap || e.Bounds.FeeAsset != f.Chain.Native() {
		return errors.New("the recorded effects or bounds are not those of the request")
	}
	if c.wallet.Scheme != request.SchemeEVM {
		return nil
	}
	d, err := authority.Derive(*c.wallet, entry.KeyPath{Index: t.Source})
	if err != nil {
		return err
	}
	if d.Address != x.Source {
		return errors.New("the paying address is not the wallet's")
	}
	return nil
}

// acts checks what came after: approvals, refusals, permits, results, effect.
func (c *checker) acts() error {
	for _, seq := range c.order {
		var err error
		switch b := c.bodies[seq].(type) {
		case *entry.Refusal:
			if b.Request == c.file.Request {
				c.report.Refusals = append(c.report.Refusals, Refusal{Entry: seq, Act: b.Act, Kind: b.Kind, Detail: b.Detail})
			}
		case *entry.Approval:
			if b.Approval.Request == c.file.Request {
				err = c.approval(seq, b.Approval)
			}
		case *entry.Permit:
			if b.Request == c.file.Request {
				err = c.permit(seq, b)
			}
		case *entry.Result:
			if b.Request == c.file.Request {
				err = c.result(seq, b)
			}
		case *entry.Effect:
			if b.Request == c.file.Request {
				err = c.effect(b)
			}
		}
		if err != nil {
			return fmt.Errorf("entry %d: %w", seq, err)
		}
	}
	return nil
}

// approval checks a person's signature, with the key as any document in the file knows it. Whether it still counted is checked
// with the permit.
func (c *checker) approval(seq uint64, a request.Approval) error {
	s := authority.StatementOf(custody.AuthorityID(c.report.Domain), c.report.Domain, c.file.Request, c.req.Initiator, c.request.Effects, c.request.Bounds,
		c.request.Decision).By(a.Person, a.Decision)
	for _, rules := range c.docs {
		who, key, ok := rules.Key(a.Key)
		if ok && who.ID == a.Person && key.Verify(s.Message(), a.Sig) {
			x := Signature{Person: a.Person, Decision: a.Decision, Entry: seq, Time: c.asked[seq]}
			if a.Decision == request.Approve {
				c.report.Approvals = append(c.report.Approvals, x)
			} else {
				c.report.Rejections = append(c.report.Rejections, x)
			}
			return nil
		}
	}
	return fmt.Errorf("the signature of %s does not verify for this request and these effects", a.Person)
}

// plans checks that the approvals meet the plan of acceptance and the one of the moment.
func (c *checker) plans(d policy.Decision, used []uint64) error {
	rules, err := c.rulesOf(d)
	if err != nil {
		return err
	}
	if d.Outcome != policy.Allowed {
		return errors.New("the rules did not allow it")
	}
	var votes []policy.Vote
	for _, seq := range used {
		a, ok := c.bodies[seq].(*entry.Approval)
		if !ok {
			return fmt.Errorf("approval %d is not in the file", seq)
		}
		if who, _, ok := rules.Key(a.Approval.Key); ok && who.ID == a.Approval.Person && who.Active {
			votes = append(votes, policy.Vote{Person: a.Approval.Person, Decision: a.Approval.Decision})
		}
	}
	for _, x := range []policy.Decision{c.request.Decision, d} {
		if ok, unmet := x.Met(rules, c.req.Initiator, votes); !ok {
			return fmt.Errorf("the approvals do not meet the plan of %q: %v", x.Rule, unmet)
		}
	}
	return nil
}

func (c *checker) permit(seq uint64, p *entry.Permit) error {
	if c.wallet == nil || c.wallet.ID != p.Wallet || c.wallet.ID != c.request.Effects.Wallet {
		return errors.New("the permit is for another wallet than the request's")
	}
	asked := authority.Asked{Request: c.req, Effects: c.request.Effects, Bounds: c.request.Bounds, Kind: c.request.Facts.Evidence}
	again, err := authority.CheckPayload(*c.wallet, secp.HardenedBit, asked, p.Payload, authority.Derive)
	if err != nil {
		return err
	}
	if again.PayloadHash != p.PayloadHash || again.Fee != p.Fee || !same(again.Slot, p.Slot) || !same(again.Keys, p.Keys) || !same(again.Change, p.Change) {
		return errors.New("the permit names another slot, key, fee or change than its payload has")
	}
	if p.Fee.Cmp(authority.FeeCap(c.request.Bounds, p.Decision)) > 0 {
		return errors.New("the fee is above the cap")
	}
	rules, err := c.rulesOf(p.Decision)
	if err != nil {
		return err
	}
	// What the rules say now depends on the request and on the address book of the document that the permit names.
	if again := rules.Evaluate(c.factsUnder(rules)); !same(again, p.Decision) {
		return errors.New("the rules give another decision than the permit records")
	}
	if p.Attempt == 1 {
		if err := c.plans(p.Decision, p.Approvals); err != nil {
			return err
		}
	} else if len(c.report.Attempts) == 0 {
		return errors.New("a replacement stands in the file without the first attempt")
	} else if first := c.firstPermit(); authority.SlotHash(p.Wallet, p.Slot) != authority.SlotHash(first.Wallet, first.Slot) {
		return errors.New("the replacement uses another slot than the first attempt")
	}
	c.report.Attempts = append(c.report.Attempts, Attempt{Permit: seq, Fee: p.Fee})
	return nil
}

// firstPermit gives the first permit in the file; there is one.
func (c *checker) firstPermit() *entry.Permit {
	p, _ := c.bodies[c.report.Attempts[0].Permit].(*entry.Permit)
	return p
}

// factsUnder gives the request's facts with the address book of another document.
func (c *checker) factsUnder(rules *policy.Rules) policy.Facts {
	f := c.request.Facts
	f.Destinations = append([]policy.Destination(nil), f.Destinations...)
	for i, d := range f.Destinations {
		f.Destinations[i].Kind, f.Destinations[i].Book = policy.OneTime, ""
		if id, ok := rules.Book(f.Chain, d.Address); ok {
			f.Destinations[i].Kind, f.Destinations[i].Book = policy.Whitelisted, id
		}
	}
	return f
}

func (c *checker) result(seq uint64, b *entry.Result) error {
	for i := range c.report.Attempts {
		a := &c.report.Attempts[i]
		if a.Permit != b.Permit {
			continue
		}
		p, _ := c.bodies[b.Permit].(*entry.Permit)
		if err := authority.CheckResult(*c.wallet, p, b, authority.Derive); err != nil {
			return err
		}
		a.TxID, a.Result = b.TxID, seq
		return nil
	}
	return fmt.Errorf("its permit, entry %d, is not in the file", b.Permit)
}

func (c *checker) effect(b *entry.Effect) error {
	if err := c.plans(b.Decision, b.Approvals); err != nil {
		return err
	}
	c.report.Executed = true
	return nil
}
