// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"context"
	"errors"

	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// cameBack says whether the latest permit of a request waited for an offline domain when that gave the wallet's key back: the operators there,
// or its rules, did not sign it. The caller holds mu.
func (d *Domain) cameBack(g *authority.Signed, wallet custody.WalletID) bool {
	return g.Result == 0 && g.Permit < d.state.BackSince(wallet)
}

// mayReplace says whether a permit that came back unsigned may be replaced: a replacement rides on the approvals of the first attempt, which must
// still count then. What it costs is checked with the payload.
func (d *Domain) mayReplace(ctx context.Context, id custody.RequestID, asked authority.Asked) error {
	d.mu.Lock()
	g, ok := d.state.Signed(id)
	if !ok || !d.cameBack(g, asked.Effects.Wallet) {
		d.mu.Unlock()
		return nil
	}
	latest := *g
	d.mu.Unlock()
	return d.judgeAgain(ctx, latest, custody.Uint256{})
}

// judgeAgain decides once more about a request whose permit came back unsigned, as an offline domain does before it signs: by the rules, people
// and keys as they are now. Approvals of people or keys that are not active any more do not count. fee is what is to be signed.
func (d *Domain) judgeAgain(ctx context.Context, g authority.Signed, fee custody.Uint256) error {
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
	approvals := make([]request.Approval, 0, len(g.Approvals))
	for _, seq := range g.Approvals {
		_, body, err := d.readEntry(ctx, seq)
		if err != nil {
			return readProblem(err, seq)
		}
		a, ok := body.(*entry.Approval)
		if !ok {
			return problem.New(problem.Internal, "entry %d is not an approval", seq)
		}
		approvals = append(approvals, a.Approval)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.allowedAgain(g, e, asked, approvals, fee); err != nil {
		p := problem.Error{Kind: problem.KindOf(err), Detail: "the permit of this request came back from an offline domain unsigned, and would not be given now: " + err.Error()}
		if x, ok := errors.AsType[*problem.Error](err); ok {
			p.Rule, p.Unmet = x.Rule, x.Unmet
		}
		return &p
	}
	return nil
}

// allowedAgain evaluates the rules as they are now, with the approvals that still count. The caller holds mu.
func (d *Domain) allowedAgain(g authority.Signed, e *entry.Request, asked authority.Asked, approvals []request.Approval, fee custody.Uint256) error {
	s := d.state
	by := asked.Request.Initiator
	if e.Evidence.Key != "" {
		if err := authority.CheckSignedEvidence(s.Rules, asked.Request, e.Evidence); err != nil {
			return err
		}
	}
	w, next, ok := s.Wallet(asked.Effects.Wallet)
	if !ok {
		return problem.New(problem.NotFound, "wallet %q does not exist", asked.Effects.Wallet)
	}
	at, err := d.now()
	if err != nil {
		return err
	}
	view := s.View(at)
	view.Temperature, view.Simulation = s.Temperature(w.ID), asked.Simulation
	f, _, bounds, err := authority.Describe(s.Rules, view, w, next[0], asked.Request, asked.Kind, d.derive)
	if err != nil {
		return err
	}
	decision := authority.Judge(s.Rules.Case(f), nil)
	if err := authority.Refused(decision); err != nil {
		return err
	}
	if most := authority.FeeCap(bounds, decision); fee.Cmp(most) > 0 {
		return problem.New(problem.OutsideBounds, "the payload may cost %s in fee; the cap is %s", fee, most)
	}
	statement := authority.StatementOf(s.Authority, s.Domain, g.ID, by, e.Effects, e.Bounds, e.Decision)
	var votes []policy.Vote
	for i, a := range approvals {
		who, key, ok := s.Rules.Key(a.Key)
		if ok && who.Active && who.ID == a.Person && a.Request == g.ID && key.Verify(statement.By(a.Person, a.Decision).Message(), a.Sig) { // the store is not trusted
			votes = append(votes, policy.Vote{Person: who.ID, Decision: a.Decision, Key: a.Key, Seq: g.Approvals[i]})
		}
	}
	if met, unmet := decision.Met(s.Rules, by, votes); !met {
		return &problem.Error{Kind: problem.QuorumNotMet, Detail: "the approvals that still count do not meet the rules as they are now", Rule: decision.Rule, Unmet: unmet}
	}
	return nil
}
