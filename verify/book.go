// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"errors"
	"fmt"
	"slices"

	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// ledgerNote is said once a file.
const ledgerNote = "its rules look at the address ledger, at when an address came into it and at what was paid before: these are not in the file, and are the domain's word"

// noteLedger says where facts are the domain's word.
func (c *checker) noteLedger(rules *policy.Rules) {
	if rules.Remembers() && c.pays() && !c.ledger {
		c.ledger = true
		c.report.Notes = append(c.report.Notes, ledgerNote)
	}
}

// pays says whether the request has destinations.
func (c *checker) pays() bool {
	return c.req.Operation == request.Transfer || c.req.Operation == request.ContractCall
}

// mayTurn says whether a decision could be another one if the address ledger said something else of the destinations. What the document denies of anybody it denies
// for ever: a blocked address, who asks without a role or is revoked, the operational state, a guard that does not look at destinations.
func mayTurn(doc policy.Document, d policy.Decision) bool {
	switch d.Rule {
	case policy.RuleBlacklist, policy.RuleRoles, policy.RuleFrozen, policy.RuleDraining, policy.RuleCallDefaults, policy.RuleUndecodable:
		return false
	}
	return !slices.ContainsFunc(d.Unmet, func(u problem.Unmet) bool {
		i := slices.IndexFunc(doc.Guards, func(g policy.Guard) bool { return g.ID == u.Rule })
		return u.Rule == "principals" || i >= 0 && !looksAtLedger(doc.Guards[i].When)
	})
}

// looksAtLedger says whether a match may be about what destinations are.
func looksAtLedger(m policy.Match) bool {
	return len(m.Destination)+len(m.DestNot)+len(m.Books)+len(m.Counterparties) > 0 || m.MinAge > 0 || m.YoungerThan > 0 || m.FirstUse || m.Lookalike || m.Expr != ""
}

// sameLater compares the decision made again at an act with the recorded one. Where the rules look at the address ledger, a destination may have
// become older, or known, since the request was made, and another route of the same document may have decided: then it has to be that route's own
// allowance, of a payment that fits it but for what the ledger says. What it takes from limits, and the prices, are the domain's word.
func (c *checker) sameLater(k *policy.Case, again, recorded policy.Decision) bool {
	if same(again, recorded) {
		return true
	}
	rules := k.Rules()
	doc := rules.Document()
	if !c.pays() || !rules.Remembers() || !mayTurn(doc, again) {
		return false
	}
	for _, r := range doc.Routes {
		if r.ID != recorded.Rule {
			continue
		}
		want := policy.Decision{Outcome: policy.Allowed, Version: doc.Version, Hash: rules.Hash(), Rule: r.ID, Auto: r.Auto, Plan: r.Plan, FeeCap: r.FeeCap, Limits: recorded.Limits,
			Also: again.Also, Delay: again.Delay, Obligations: again.Obligations, Needs: again.Needs, Prices: recorded.Prices, Screening: recorded.Screening}
		if !same(want, recorded) || !fits(doc, r, k.Facts()) {
			return false
		}
		c.report.Notes = append(c.report.Notes, fmt.Sprintf("route %q decided when it was signed, for what the address ledger said then", r.ID))
		return true
	}
	return false
}

// fits says whether a route of a document matches but for what it asks of destinations: amounts, money, wallets and people are in the file.
func fits(doc policy.Document, r policy.Route, f policy.Facts) bool {
	m := &r.When
	m.Destination, m.DestNot, m.Books, m.Counterparties = nil, nil, nil, nil
	m.MinAge, m.YoungerThan, m.FirstUse, m.Lookalike, m.Expr = 0, 0, false, false, ""
	doc.Routes = []policy.Route{r}
	rules, err := policy.Compile(doc)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(rules.Case(f).Consider(), func(x policy.Considered) bool { return x.Section == "routes" && x.Matches })
}

// listMade checks an effect on the address ledger: it holds nothing, because it follows from the request, which shows what it has to.
func (c *checker) listMade(b *entry.Effect) error {
	if b.Document != nil || b.Wallet != nil || b.Key != nil || b.Addresses != nil || b.Life != nil {
		return errors.New("the effect holds something, and one on the address ledger follows from its request")
	}
	return authority.CheckPossession(custody.AuthorityID(c.report.Domain), c.req)
}
