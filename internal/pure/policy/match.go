// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"

	"cel.dev/cel-go/cel"
)

// field numbers the fields of [Match] in the order in which they are tried.
type field int

const (
	noField field = iota
	fOperation
	fPrincipals
	fGroups
	fKind
	fWallets
	fChains
	fAssets
	fDestKind
	fDestNot
	fDestIDs
	fAmountMax
	fAmountOver
	fExpr
	fTime
	fTemperature
	fFeeOver
	fClass
	fRoles
	fCounterparties
	fMinAge
	fYoungerThan
	fFirstUse
	fLookalike
	fCall
	fTyped
	fMessage
	fFiatMax
	fFiatOver
	fSimulation
	fRiskOver
	fCategories
	fStatus
	fRiskMax
	fMissing
)

// criterion names a field as the rule file spells it.
func (f field) criterion() string {
	return [...]string{"any", "operation", "initiator.principals", "initiator.groups", "initiator.kind", "source.wallets", "source.chains",
		"asset.ids", "destination.kind", "destination.not", "destination.ids", "amount.max", "amount.over", "expr",
		"time", "source.temperature", "fee.over", "source.class", "initiator.roles",
		"destination.counterparties", "destination.minAge", "destination.youngerThan", "destination.firstUse", "destination.lookalike", "call", "typedData", "message", "amount.fiatMax", "amount.fiatOver", "simulation",
		"screening.riskOver", "screening.categories", "screening.status", "screening.riskMax", "screening.missing"}[f]
}

// table tries the fields but the expression: unmet is the first that is not met, or noField; last is the last that was.
func (m *Match) table(a *activation) (unmet, last field) {
	f, h := a.facts, a.has
	met := func(x field, present, ok bool) bool {
		if !present {
			return true
		}
		if !ok {
			unmet = x
			return false
		}
		last = x
		return true
	}
	_ = met(fOperation, len(m.Operations) > 0, slices.Contains(m.Operations, f.Operation)) &&
		met(fPrincipals, len(m.Initiators) > 0, slices.Contains(m.Initiators, f.Initiator)) &&
		met(fGroups, len(m.InitiatorIn) > 0, slices.ContainsFunc(m.InitiatorIn, a.who.in)) &&
		met(fKind, len(m.InitiatorKind) > 0, slices.Contains(m.InitiatorKind, a.who.Kind)) &&
		met(fWallets, len(m.Wallets) > 0, h.wallet && slices.Contains(m.Wallets, f.Wallet)) &&
		met(fChains, len(m.Chains) > 0, h.chain && slices.Contains(m.Chains, f.Chain)) &&
		met(fAssets, len(m.Assets) > 0, h.asset && slices.Contains(m.Assets, f.Asset)) &&
		met(fDestKind, len(m.Destination) > 0, h.destinations && odd(f, m.kindIn) < 0) &&
		met(fDestNot, len(m.DestNot) > 0, h.destinations && odd(f, m.kindNot) >= 0) &&
		met(fDestIDs, len(m.Books) > 0, h.destinations && odd(f, m.bookIn) < 0) &&
		met(fAmountMax, m.AmountMax != nil, h.total && m.AmountMax != nil && f.Total.Cmp(*m.AmountMax) <= 0) &&
		met(fAmountOver, m.AmountOver != nil, h.total && m.AmountOver != nil && f.Total.Cmp(*m.AmountOver) > 0) &&
		met(fFeeOver, m.FeeOver != nil, m.feeOver(f, h)) &&
		met(fClass, len(m.Classes) > 0, h.wallet && slices.Contains(m.Classes, f.Class.Named())) &&
		met(fRoles, len(m.InitiatorRoles) > 0, slices.ContainsFunc(m.InitiatorRoles, a.who.hasNamed)) &&
		met(fCounterparties, len(m.Counterparties) > 0, h.destinations && odd(f, m.partyIn) < 0) &&
		met(fMinAge, m.MinAge > 0, h.destinations && odd(f, m.oldEnough) < 0) &&
		met(fYoungerThan, m.YoungerThan > 0, h.destinations && odd(f, m.notYoung) >= 0) &&
		met(fFirstUse, m.FirstUse, h.destinations && odd(f, paidBefore) >= 0) &&
		met(fLookalike, m.Lookalike, h.destinations && odd(f, noLookalike) >= 0)
	return unmet, last
}

// observed tells what a field was compared with, fit for the caller.
func (m *Match) observed(x field, a *activation) string {
	f := a.facts
	dest := func(ok func(Destination) bool) string {
		if i := odd(f, ok); i >= 0 {
			return fmt.Sprintf("%s %s", f.Destinations[i].Kind, f.Destinations[i].Address)
		}
		return fmt.Sprintf("%d destinations", len(f.Destinations))
	}
	switch x {
	case fOperation:
		return string(f.Operation)
	case fPrincipals:
		return string(f.Initiator)
	case fGroups:
		return fmt.Sprintf("%s is in %v", f.Initiator, a.who.groups)
	case fKind:
		return string(a.who.Kind)
	case fRoles:
		return joined(a.who.EffectiveRoles(), ", ")
	case fWallets:
		return string(f.Wallet)
	case fChains:
		return string(f.Chain)
	case fAssets:
		return string(f.Asset)
	case fDestKind:
		return dest(m.kindIn)
	case fDestNot:
		return dest(m.kindNot)
	case fDestIDs:
		return dest(m.bookIn)
	case fCounterparties:
		return dest(m.partyIn)
	case fMinAge:
		return dest(m.oldEnough)
	case fYoungerThan:
		return dest(m.notYoung)
	case fFirstUse:
		return dest(paidBefore)
	case fLookalike:
		return dest(noLookalike)
	case fAmountMax, fAmountOver:
		return f.Total.String()
	case fTime, fTemperature:
		return m.observedAround(x, a)
	case fFeeOver:
		return f.FeeCap.String()
	case fClass:
		return string(f.Class.Named())
	case fSimulation:
		return m.observedSimulation(a.whole())
	case fCall, fTyped, fMessage:
		return observedSigning(x, f)
	case fFiatMax:
		return f.observedFiat(m.FiatMax.Currency)
	case fFiatOver:
		return f.observedFiat(m.FiatOver.Currency)
	case fRiskOver, fCategories, fStatus, fRiskMax, fMissing:
		return m.Screening.observed(a)
	default:
		return ""
	}
}

func (m *Match) kindIn(d Destination) bool  { return slices.ContainsFunc(m.Destination, d.Is) }
func (m *Match) kindNot(d Destination) bool { return slices.ContainsFunc(m.DestNot, d.Is) }
func (m *Match) bookIn(d Destination) bool {
	book, _ := d.usable()
	return slices.Contains(m.Books, book)
}

func (m *Match) partyIn(d Destination) bool {
	_, party := d.usable()
	return slices.Contains(m.Counterparties, party)
}
func (m *Match) oldEnough(d Destination) bool { return d.Kind == Whitelisted && d.Age >= m.MinAge }
func (m *Match) notYoung(d Destination) bool  { return d.Kind == Whitelisted && d.Age >= m.YoungerThan }
func paidBefore(d Destination) bool           { return !d.First }
func noLookalike(d Destination) bool          { return d.Lookalike == "" }

// odd gives the first destination that is not ok, or -1.
func odd(f *Facts, ok func(Destination) bool) int {
	return slices.IndexFunc(f.Destinations, func(d Destination) bool { return !ok(d) })
}

// matcher is a [Match] that is ready to run. It holds no state: one matcher may serve many evaluations at once.
type matcher struct {
	m    Match
	prog cel.Program // nil without an expression
	expr int         // number of the expression
}

// verdict is what a matcher says. decided is the first field that was not met; of a match, the last that was.
type verdict struct {
	match   bool
	decided field
	err     error // the expression can't be evaluated, or what decided is not known; match is then false
}

// match tries every field. One that is not met decides; of the others, one that can't be told makes that the whole can't be.
func (x *matcher) match(a *activation) verdict {
	unmet, last := x.m.table(a)
	if unmet != noField {
		return verdict{decided: unmet}
	}
	unmet, found, err := x.m.around(a)
	if unmet != noField && err == nil {
		return verdict{decided: unmet}
	}
	for _, v := range [...]verdict{x.m.signing(a), x.m.simulated(a)} {
		switch {
		case v.decided == noField:
			continue
		case !v.match && v.err == nil:
			return v
		case v.err != nil && err == nil:
			unmet, err = v.decided, v.err
		}
		found = v.decided
	}
	if x.prog != nil {
		is, broken := a.eval(x.prog, x.expr)
		switch {
		case broken == nil && !is:
			return verdict{decided: fExpr}
		case broken != nil:
			return verdict{decided: fExpr, err: broken}
		}
		found = fExpr
	}
	if err != nil {
		return verdict{decided: unmet, err: err}
	}
	if found == noField {
		found = last
	}
	return verdict{match: true, decided: found}
}

// observed tells what decided v.
func (x *matcher) observed(v verdict, a *activation) string {
	switch {
	case v.err != nil:
		return clip("can't be evaluated: " + v.err.Error())
	case v.decided == fExpr:
		return fmt.Sprint(v.match)
	default:
		return clip(x.m.observed(v.decided, a))
	}
}
