// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"math"
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
)

// has says which attributes an operation has. A table field about one that it has not is no match; an expression that reads
// one can't be evaluated.
type has struct {
	wallet, chain, asset, total, destinations, count, grant, app bool

	call, message bool
}

func attributes(o request.Operation) has {
	switch o {
	case request.Transfer:
		return has{wallet: true, chain: true, asset: true, total: true, destinations: true}
	case request.WalletCreate:
		return has{wallet: true, chain: true}
	case request.AddressCreate:
		return has{wallet: true, chain: true, count: true}
	case request.WarmOpen:
		return has{wallet: true, chain: true, asset: true, total: true}
	case request.WalletTemperature, request.WarmClose, request.WalletMove:
		return has{wallet: true, chain: true}
	case request.AppGrant:
		return has{grant: true, app: true}
	case request.AppRevoke:
		return has{grant: true}
	case request.ContractCall:
		return has{wallet: true, chain: true, asset: true, total: true, destinations: true, call: true}
	case request.MessageSign:
		return has{wallet: true, chain: true, message: true}
	default:
		return has{} // governance: who asks is all there is
	}
}

// complete says whether the facts hold every attribute that their operation has, agree with each other, and agree with the
// address book. What is wrong is named by criterion and observation.
func (r *Rules) complete(f *Facts) (criterion, observed string) {
	if !slices.Contains(request.Operations(), f.Operation) {
		return "operation", fmt.Sprintf("operation %q is not known", string(f.Operation))
	}
	if f.Evidence != BySignature && f.Evidence != BySession && f.Evidence != ByCall {
		return "evidence", fmt.Sprintf("%q is none of %q, %q and %q", string(f.Evidence), BySignature, BySession, ByCall)
	}
	h := attributes(f.Operation)
	switch {
	case h.wallet && f.Wallet == "":
		return "source.wallets", "the wallet is not known"
	case h.chain && f.Chain == "":
		return "source.chains", "the chain is not known"
	case h.wallet && f.Class != "" && f.Class != request.ClassToken:
		return fClass.criterion(), fmt.Sprintf("class %q is not known", string(f.Class))
	case h.asset && f.Asset == "":
		return "asset.ids", "the asset is not known"
	case h.asset && f.Asset.Chain() != f.Chain:
		return "asset.ids", fmt.Sprintf("asset %s is not of chain %s", f.Asset, f.Chain)
	case h.count && f.Count == 0:
		return "count", "the number of addresses is not known"
	case h.grant && (f.App == nil || f.App.Grant == ""):
		return "grant", "the grant is not known"
	case h.app && (f.App.Caller == "" || f.App.Gateway == "" || len(f.App.Functions) == 0):
		return "caller", "the caller, its gateway or what it may do is not known"
	case h.call && (f.Call == nil || len(f.Call.Calls) == 0):
		return "call", "what the call does is not known"
	case h.message && f.Message == nil:
		return "message", "what the message says is not known"
	case h.destinations && len(f.Destinations) == 0:
		return "destination", "the destinations are not known"
	case h.destinations:
		if h.call && (len(f.Moves) > 0 || r.remembers) {
			if criterion, observed = r.completeMoves(f); criterion != "" {
				return criterion, observed
			}
		}
		if criterion, observed = r.completeDestinations(f); criterion != "" {
			return criterion, observed
		}
		return f.completeFiat()
	case h.total:
		return f.completeFiat()
	default:
		return "", ""
	}
}

func (r *Rules) completeDestinations(f *Facts) (criterion, observed string) {
	if len(f.Destinations) > request.MaxOutputs {
		return "destination", fmt.Sprintf("%d destinations, more than %d", len(f.Destinations), request.MaxOutputs)
	}
	var sum custody.Uint256
	for i, d := range f.Destinations {
		var fits bool
		if sum, fits = sum.Add(d.Amount); !fits {
			return "amount", "the sum of the amounts does not fit in 256 bits"
		}
		if len(d.Address) > maxStringChars {
			return "destination", fmt.Sprintf("destination %d: the address is too long", i)
		}
		if wrong := r.completeEntry(f, i); wrong != "" {
			return "destination.kind", wrong
		}
	}
	if sum != f.Total {
		return "amount", fmt.Sprintf("total %s is not the sum of the amounts, %s", f.Total, sum)
	}
	return "", ""
}

// activation gives the facts to expressions and remembers their results, because several rules may hold the same expression.
// It belongs to one evaluation.
type activation struct {
	facts   *Facts
	call    *Facts // whose movement the facts are; nil: they are the request's
	who     *person
	has     has
	dests   ref.Val
	results []exprResult // by number of the expression; nil before the first

	moves []*activation // [Rules.movements]; nil before they are asked for

	doc *Document // of the rules
	n   int       // expressions of the rules
}

type exprResult struct {
	done bool
	is   bool
	err  error
}

// ResolveName gives a fact, or false if the operation has no such attribute.
func (a *activation) ResolveName(name string) (any, bool) {
	f := a.facts
	switch name {
	case "operation":
		return types.String(f.Operation), true
	case "initiator":
		return types.String(f.Initiator), true
	case "initiatorKind":
		return types.String(a.who.Kind), true
	case "initiatorGroups":
		return a.who.groupList, true
	case "evidence":
		return types.String(f.Evidence), true
	case "initiatorRoles":
		return stringList(a.who.EffectiveRoles()), true
	case "initiatorLine":
		return types.Int(a.who.Line), true
	case "wallet":
		return types.String(f.Wallet), a.has.wallet
	case "chain":
		return types.String(f.Chain), a.has.chain
	case "class":
		return types.String(f.Class.Named()), a.has.wallet
	case "asset":
		return types.String(f.Asset), a.has.asset
	case "total":
		return amountValue{f.Total}, a.has.total
	case "feeCap":
		return amountValue{f.FeeCap}, a.has.destinations
	case "count":
		return types.Int(f.Count), a.has.count
	case "destinations":
		return a.destinations(), a.has.destinations
	default:
		if v, ok := a.signing(name); ok {
			return v, true
		}
		return a.app(name)
	}
}

// app gives what a grant to an application is about.
func (a *activation) app(name string) (any, bool) {
	g := a.facts.App
	if !a.has.grant || g == nil {
		return nil, false
	}
	switch name {
	case "grant":
		return types.String(g.Grant), true
	case "caller":
		return types.String(g.Caller), a.has.app
	case "gateway":
		return types.String(g.Gateway), a.has.app
	case "functions":
		return stringList(g.Functions), a.has.app
	case "mechanisms":
		return stringList(mechanismNames(g.Mechanisms)), a.has.app
	case "maxUses":
		return types.Int(min(g.MaxUses, math.MaxInt64)), a.has.app
	case "mayImport":
		return types.Bool(g.Import), a.has.app
	case "compat":
		return types.Bool(g.Compat), a.has.app
	default:
		return nil, false
	}
}

func (a *activation) destinations() ref.Val {
	if a.dests == nil {
		vs := make([]ref.Val, len(a.facts.Destinations))
		for i, d := range a.facts.Destinations {
			vs[i] = destinationValue{d}
		}
		a.dests = types.NewRefValList(types.DefaultTypeAdapter, vs)
	}
	return a.dests
}

// stringList gives a list of texts to expressions.
func stringList[T ~string](list []T) ref.Val {
	out := make([]ref.Val, len(list))
	for i, s := range list {
		out[i] = types.String(s)
	}
	return types.NewRefValList(types.DefaultTypeAdapter, out)
}

// mechanismNames writes mechanisms as 0x and lower-case hex digits: numbers never change, names could.
func mechanismNames(list []uint64) []string {
	out := make([]string, len(list))
	for i, m := range list {
		out[i] = fmt.Sprintf("0x%x", m)
	}
	return out
}

// Parent is nil: there is nothing but the facts.
func (*activation) Parent() cel.Activation { return nil }

// eval gives the result of expression number i, or an error if it can't be evaluated.
func (a *activation) eval(p cel.Program, i int) (bool, error) {
	if a.results == nil {
		a.results = make([]exprResult, a.n)
	}
	if r := &a.results[i]; r.done {
		return r.is, r.err
	}
	v, _, err := p.Eval(a)
	is, ok := v.(types.Bool)
	if err == nil && !ok {
		err = fmt.Errorf("gave %T, not a bool", v)
	}
	a.results[i] = exprResult{done: true, is: bool(is), err: err}
	return a.results[i].is, a.results[i].err
}
