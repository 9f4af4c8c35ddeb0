// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/secp"
)

// moment is the time of an entry.
func (c *checker) moment(seq uint64) authority.Moment {
	return authority.Moment{Time: c.leaves[seq].Time, Bound: c.leaves[seq].Bound}
}

// inTime says whether an entry of the request was surely written before the request's end.
func (c *checker) inTime(seq uint64) error {
	if at := c.moment(seq); authority.Expired(c.req.NotAfter, at.Time, at.Bound) {
		return errors.New("it was written when the request may have been past its time")
	}
	return nil
}

// decided checks who asked, and decides again.
func (c *checker) decided() error {
	e, r := c.request, c.req
	rep := c.report
	rep.Initiator, rep.Evidence, rep.Effects, rep.Bounds = r.Initiator, e.Facts.Evidence, e.Effects, e.Bounds
	rep.Rule, rep.Outcome = e.Decision.Rule, e.Decision.Outcome
	if e.Decision.Outcome != policy.Allowed {
		c.end = authority.EndRefused.String()
	}
	rules, err := c.rulesOf(e.Decision)
	if err != nil {
		return fmt.Errorf("request: %w", err)
	}
	if custody.DomainID(r.Authority) != rep.Domain || r.Domain != rep.Domain {
		return errors.New("request: it is for another domain")
	}
	for _, check := range []func(*policy.Rules) error{c.evidence, c.facts} {
		if err := check(rules); err != nil {
			return fmt.Errorf("request: %w", err)
		}
	}
	if err := c.inTime(c.seq); err != nil {
		return fmt.Errorf("request: %w", err)
	}
	return nil
}

func same(a, b any) bool { return bytes.Equal(canon.Encode(a), canon.Encode(b)) }

// evidence checks that the initiator asked.
func (c *checker) evidence(rules *policy.Rules) error {
	e := c.request
	if err := e.Evidence.Check(); err != nil {
		return err
	}
	if authority.KindOf(e.Evidence) != e.Facts.Evidence {
		return errors.New("the facts name another evidence than was given")
	}
	if e.Evidence.Key != "" {
		if err := authority.CheckSignedEvidence(rules, c.req, e.Evidence); err != nil {
			return err
		}
		return authority.Fresh(e.Evidence, c.moment(c.seq))
	}
	c.report.Notes = append(c.report.Notes, "the initiator is a service with a session: that it made this request is the core's word, its key being known to the two alone")
	for _, seq := range c.order {
		if x, ok := c.bodies[seq].(*entry.Session); ok && bytes.Equal(x.Session, e.Evidence.Session) {
			return c.session(seq, x)
		}
	}
	c.report.Notes = append(c.report.Notes, "the entry that opened the session is not in the file")
	return nil
}

// session checks that the initiator opened a session, which was open when the request came.
func (c *checker) session(seq uint64, x *entry.Session) error {
	var o request.SessionOpening
	if err := canon.Decode(x.Opening, &o); err != nil {
		return fmt.Errorf("session: %w", err)
	}
	at := c.moment(c.seq)
	if o.Service != c.req.Initiator || custody.DomainID(o.Authority) != c.report.Domain || o.Domain != c.report.Domain || seq > c.seq ||
		authority.Expired(o.NotAfter, at.Time, at.Bound) {
		return errors.New("session: it is another's, or was not open")
	}
	for _, rules := range c.docs {
		if who, key, ok := rules.Key(x.Key); ok && who.ID == o.Service && who.Kind == policy.Service && key.Verify(canon.TagBytes(canon.TagSession, x.Opening), x.Sig) {
			return nil
		}
	}
	return fmt.Errorf("session: it was not opened with a key of %s", o.Service)
}

// facts checks that facts, effects, bounds and decision follow from the request and the rules.
func (c *checker) facts(rules *policy.Rules) error {
	e := c.request
	var wallet custody.WalletID
	switch b := c.req.Decoded.(type) {
	case *request.TransferBody:
		wallet = b.Wallet
	case *request.ContractCallBody:
		wallet = b.Wallet
	case *request.MessageSignBody:
		wallet = b.Wallet
	case *request.AddressCreateBody:
		wallet = b.Wallet
	case request.WarmBody:
		wallet = b.Of()
	case *request.WalletMoveBody:
		wallet = b.Wallet
	}
	if wallet != "" {
		w, ok := c.wallets[wallet]
		if !ok {
			return fmt.Errorf("wallet %q is not in the file", wallet)
		}
		c.wallet = *w
	}
	view := authority.View{At: c.moment(c.seq), Mode: authority.ModeOf(e.Facts), Destination: authority.Recorded(rules, e.Facts),
		Prices: authority.PricesOf(authority.PricesIn(e.Facts)), Verdicts: authority.VerdictsOf(e.Facts.Screening), Simulation: e.Facts.Simulation}
	if e.Facts.Around != nil && rules.AsksTemperature() {
		view.Temperature = e.Facts.Around.Temperature
		c.report.Notes = append(c.report.Notes, "the rules look at the wallet's temperature, which the file does not show: it is the domain's word")
	}
	c.noteOutside(rules, authority.PricesIn(e.Facts), e.Facts.Screening)
	f, x, b, err := c.describe(rules, view)
	if err != nil {
		return err
	}
	if !same(f, e.Facts) || !same(x, e.Effects) || !same(b, e.Bounds) {
		return errors.New("the recorded facts, effects or bounds are not those of the request")
	}
	c.noteLedger(rules)
	k := rules.Case(f)
	again := c.judge(k)
	if again = authority.Charge(k, again, authority.FeeCap(b, again), false); !same(again, e.Decision) && !c.limited(rules, again, e.Decision) && !c.byPlan(k, again, e.Decision) {
		return errors.New("the rules give another decision than was recorded")
	}
	return nil
}

// noteOutside says, once a file, what of a decision is somebody's word because it came from outside, and is not in the file.
func (c *checker) noteOutside(rules *policy.Rules, prices []policy.Price, screening []policy.Screened) {
	note := func(is bool, words string) {
		if is && !slices.Contains(c.report.Notes, words) {
			c.report.Notes = append(c.report.Notes, words)
		}
	}
	note(len(prices) > 0, "the rules look at what the payment is worth; the quotes are entries of the log, not in the file: the price is the domain's word")
	note(len(screening) > 0, "the rules look at verdicts of screening; they are entries of the log, not in the file: what they say is the domain's word")
	note(c.request.Facts.Simulation != nil && rules.Document().AsksSimulation(),
		"obligations look at the report of a simulation, which is the word of who handed the request in: it can only have asked for more")
}

// agrees says whether the rules give a recorded decision at a moment, for one of the temperatures that the wallet may have had then, in the operational state that
// the request was accepted in or in another one: which it was at an act is not in the file.
func (c *checker) agrees(rules *policy.Rules, at authority.Moment, d policy.Decision, fee custody.Uint256, more bool) (bool, error) {
	temperatures := []request.Temperature{""}
	if rules.AsksTemperature() {
		temperatures = []request.Temperature{request.Hot, request.Warm, request.Cold}
	}
	accepted := authority.ModeOf(c.request.Facts)
	for _, mode := range []policy.Mode{accepted, policy.Normal, policy.Draining, policy.Frozen} {
		for _, t := range temperatures {
			f, _, _, err := c.describe(rules, authority.View{At: at, Temperature: t, Mode: mode, Destination: authority.Recorded(rules, c.request.Facts),
				Prices: authority.PricesOf(d.Prices), Verdicts: authority.VerdictsOf(d.Screening), Simulation: c.request.Facts.Simulation})
			if err != nil {
				return false, err
			}
			k := rules.Case(f)
			if again := authority.Charge(k, c.judge(k), fee, more); !c.sameLater(k, again, d) && !c.byPlan(k, again, d) {
				continue
			}
			c.noteOutside(rules, d.Prices, d.Screening)
			if mode != accepted {
				c.report.Notes = append(c.report.Notes, fmt.Sprintf("decided while the domain was %s, which is its word", mode))
			}
			return true, nil
		}
	}
	return false, nil
}

// byPlan says whether a decision that allows became the recorded one because limits that the request takes from ask for a plan when they are passed.
// What they had counted by then is not in the file.
func (c *checker) byPlan(k *policy.Case, again, recorded policy.Decision) bool {
	var passed []policy.Limit
	names := []string{recorded.Rule} // of one that could not be met
	for _, u := range recorded.Unmet {
		names = append(names, u.Rule)
	}
	if recorded.Outcome == policy.Allowed {
		names = nil
	}
	for _, x := range recorded.Also {
		names = append(names, x.Rule)
	}
	for _, name := range slices.Compact(names) {
		l, ok := k.Rules().Limit(name)
		if ok && l.Exceeded == policy.ByPlan && slices.ContainsFunc(again.Limits, func(t policy.Charge) bool { return t.Limit == l.ID }) {
			passed = append(passed, l)
		}
	}
	if len(passed) == 0 || !same(k.Rules().Exceeded(again, k.Facts(), passed), recorded) {
		return false
	}
	for _, l := range passed {
		c.report.Notes = append(c.report.Notes, fmt.Sprintf("limit %s was passed and asked for its plan; what the limit had counted by then is not in the file, and is the domain's word", l.ID))
	}
	return true
}

// limited says whether a decision that allows became the recorded one because of a limit that the request takes from. What the limit had
// counted by then is not in the file.
func (c *checker) limited(rules *policy.Rules, again, recorded policy.Decision) bool {
	l, ok := rules.Limit(recorded.Rule)
	want := policy.Decision{Outcome: policy.Denied, Version: again.Version, Hash: again.Hash, Rule: l.ID, Unmet: recorded.Unmet}
	if l.Exceeded == policy.Hold {
		want.Outcome = policy.Held
	}
	if !ok || !same(want, recorded) || !slices.ContainsFunc(again.Limits, func(x policy.Charge) bool { return x.Limit == l.ID }) {
		return false
	}
	c.report.Notes = append(c.report.Notes, fmt.Sprintf("limit %s refused it; what the limit had counted by then is not in the file, and is the domain's word", l.ID))
	return true
}

// judge decides under some rules. A change of the rules may need the approvals of those who will have a say.
func (c *checker) judge(k *policy.Case) policy.Decision {
	if doc := k.Rules().Document(); !doc.Edits(k.Facts().Operation) {
		return k.Decide()
	}
	next, err := policy.Apply(c.report.Profile, k.Rules().Document(), c.req.Operation, c.req.Decoded)
	if err != nil {
		return k.Decide() // it was decided in a state that the file does not show; the effect, if there is one, is checked
	}
	return authority.Judge(k, &next)
}

// describe says what the request does, under some rules. How many addresses the wallet had is not known here.
func (c *checker) describe(rules *policy.Rules, view authority.View) (policy.Facts, request.Effects, request.Bounds, error) {
	return authority.Describe(rules, view, c.wallet, secp.HardenedBit, c.req, c.request.Facts.Evidence, authority.Derive)
}

// acts checks what came after: approvals, refusals, permits, results, effect.
func (c *checker) acts() error {
	for _, seq := range c.order {
		ended := c.end
		act, err := c.act(seq)
		if err == nil && act && ended != "" {
			err = fmt.Errorf("the request had ended before: %s", ended)
		}
		if err == nil && act && seq <= c.seq {
			err = errors.New("it stands before the request")
		}
		if err == nil && act {
			err = c.settled(seq)
		}
		if err != nil {
			return fmt.Errorf("entry %d: %w", seq, err)
		}
	}
	return nil
}

// act checks one entry and says whether it is an act on the request.
func (c *checker) act(seq uint64) (bool, error) {
	id := c.file.Request
	switch b := c.bodies[seq].(type) {
	case *entry.Refusal:
		if b.Request != id {
			return false, nil
		}
		c.report.Refusals = append(c.report.Refusals, Refusal{Entry: seq, Act: b.Act, Kind: b.Kind, Detail: b.Detail})
		c.own = append(c.own, seq)
		if b.Final {
			c.end = authority.EndRefused.String()
		}
	case *entry.Approval:
		if b.Approval.Request != id {
			return false, nil
		}
		return true, c.approval(seq, b.Approval)
	case *entry.Permit:
		if b.Request != id {
			return false, nil
		}
		if err := c.permit(seq, b); err != nil {
			return true, err
		}
		c.own = append(c.own, seq)
	case *entry.Result:
		if b.Request != id {
			return false, nil
		}
		c.own = append(c.own, seq)
		return true, c.result(seq, b)
	case *entry.Effect:
		if b.Request != id {
			return false, nil
		}
		return true, c.effect(seq, b)
	case *entry.Gap:
		c.void(seq, b)
		return false, nil
	default:
		return false, nil
	}
	return true, nil
}

// approval checks a person's signature, with the key as the document in force knows it. Whether it still counted is checked with the permit.
func (c *checker) approval(seq uint64, a request.Approval) error {
	if err := a.Check(); err != nil {
		return err
	}
	if err := c.inTime(seq); err != nil {
		return err
	}
	s := authority.StatementOf(custody.AuthorityID(c.report.Domain), c.report.Domain, c.file.Request, c.req.Initiator, c.request.Effects, c.request.Bounds,
		c.request.Decision).By(a.Person, a.Decision)
	who, key, ok := c.inForce(seq).Key(a.Key)
	if !ok || who.ID != a.Person || !who.Active || !key.Verify(s.Message(), a.Sig) {
		return fmt.Errorf("the signature of %s does not verify for this request and these effects", a.Person)
	}
	x := Signature{Person: a.Person, Decision: a.Decision, Entry: seq, Time: time.Unix(0, c.leaves[seq].Time).UTC()}
	switch a.Decision {
	case request.Approve:
		c.report.Approvals = append(c.report.Approvals, x)
		c.votes = append(c.votes, seq)
		return nil
	case request.Cancel:
		c.end = authority.EndCancelled.String()
	default:
		c.end = authority.EndRejected.String()
	}
	c.report.Rejections = append(c.report.Rejections, x)
	return nil
}
