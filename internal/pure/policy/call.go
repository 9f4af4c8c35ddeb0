// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	"cel.dev/cel-go/common/types"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/eth/abi"
	"strongroom/internal/pure/eth/calls"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// callDefaults says what a request does that no rule can allow, only the entry of the contract: it gives power over tokens without limit,
// or runs others' code with a contract's powers.
func (r *Rules) callDefaults(f *Facts) (unmet []problem.Unmet) {
	refuse := func(criterion, format string, args ...any) {
		unmet = append(unmet, problem.Unmet{Rule: RuleCallDefaults, Criterion: criterion, Observed: clip(fmt.Sprintf(format, args...))})
	}
	var approvals []request.TokenApproval
	if f.Call != nil {
		approvals = f.Call.Approvals
		var path []request.CallNode // from the call itself to the one that is looked at
		for _, c := range f.Call.Calls {
			path = append(path[:min(int(c.Depth), len(path))], c)
			if c.Delegate && (len(path) < 2 || !r.allows(path[len(path)-2].ID, AllowDelegateCall)) {
				refuse("call.delegatecall", "code of %s runs with the powers of another contract", c.Contract)
			}
		}
	}
	if f.Message != nil {
		approvals = f.Message.Approvals
		if len(approvals) > 0 && farDeadline(f.Message.Deadline) {
			refuse("typedData.deadline", "the permit ends at %q, which is no date before the year 2200", f.Message.Deadline)
		}
	}
	for _, a := range approvals {
		switch {
		case a.Unlimited && !r.allows(a.ID, AllowUnlimited):
			refuse("call.unlimited", "%s may take any amount of the token %s", a.Spender, a.Contract)
		case a.All && !r.allows(a.ID, AllowApprovalForAll):
			refuse("call.approvalForAll", "%s may take every token of %s", a.Spender, a.Contract)
		}
	}
	return unmet
}

// farDeadline says whether a deadline, in Unix seconds, is so far off that it is none.
func farDeadline(s string) bool {
	const year2200 = 7_258_118_400
	u, err := custody.ParseUint256(s)
	return err != nil || u.Cmp(custody.U64(year2200)) >= 0
}

// moves lists what a call moves as if each were a transfer of its own, its own value first.
func (r *Rules) moves(f Facts) []Facts {
	list := []request.Movement{{Asset: f.Asset, Amount: f.Total}}
	if len(f.Destinations) > 0 {
		list[0].To = f.Destinations[0].Address
	}
	list = append(list, f.Call.Movements...)
	out := make([]Facts, len(list))
	for i, m := range list {
		x := f
		x.Operation, x.Call, x.Asset, x.Total = request.Transfer, nil, m.Asset, m.Amount
		if x.Moves = nil; i == 0 && len(f.Destinations) > 0 {
			x.Destinations = f.Destinations[:1]
		} else {
			x.Destinations = []Destination{r.movedTo(&f, i-1, m)}
		}
		out[i] = x
	}
	return out
}

// movedTo gives where movement number i of a call goes: what the facts say, or else the document; below 0 that of its own value, where the facts name none.
func (r *Rules) movedTo(f *Facts, i int, m request.Movement) Destination {
	if i >= 0 && i < len(f.Moves) {
		return f.Moves[i]
	}
	to := Destination{Address: m.To, Amount: m.Amount, Kind: OneTime}
	if e, ok := r.Entry(f.Chain, m.To); ok {
		if to.Kind, to.Book, to.Counterparty = Whitelisted, e.ID, e.Counterparty; e.Suspended {
			to.Kind = Suspended
		}
	}
	return to
}

// barredCall refuses a call that moves something to where no transfer may go, gives an address on the blacklist anything else or power over tokens, or calls a
// contract on it; and a message that gives such power, or is for such a contract.
func (r *Rules) barredCall(f *Facts) (rule, criterion, observed string) {
	if f.Operation == request.MessageSign {
		return r.barredMessage(f)
	}
	if f.Operation != request.ContractCall {
		return "", "", ""
	}
	for i, m := range f.Call.Movements {
		to := Facts{Chain: f.Chain, Destinations: []Destination{r.movedTo(f, i, m)}}
		if rule, criterion, observed = r.barred(&to); rule != "" {
			return rule, criterion, observed
		}
	}
	if who := r.blockedPower(f.Chain, slices.DeleteFunc(slices.Clone(f.Call.Approvals), r.takenBack)); who != "" {
		return RuleBlacklist, "call", who
	}
	for _, who := range calls.Receivers(f.Call) {
		if r.Blocked(f.Chain, who) {
			return RuleBlacklist, "call", who + ", who gets something"
		}
	}
	for _, c := range f.Call.Calls {
		if r.Blocked(f.Chain, c.Contract) {
			return RuleBlacklist, "call", c.Contract + ", which is called"
		}
	}
	return "", "", ""
}

func (r *Rules) barredMessage(f *Facts) (rule, criterion, observed string) {
	if who := r.blockedPower(f.Chain, f.Message.Approvals); who != "" {
		return RuleBlacklist, "typedData", who
	}
	if c := f.Message.Contract; c != "" && r.Blocked(f.Chain, c) {
		return RuleBlacklist, "typedData", c + ", which the message is for"
	}
	return "", "", ""
}

// takenBack says whether an approval takes power away: one of zero tokens, of a contract that the document knows by its addresses as one of tokens. Elsewhere zero
// may be the number of a token.
func (r *Rules) takenBack(a request.TokenApproval) bool {
	c, ok := r.contracts.by[a.ID]
	return ok && len(c.Addresses) > 0 && (c.Kind == calls.Token || c.Kind == calls.Wrapped) && a.Amount.IsZero() && !a.Unlimited && !a.All
}

// blockedPower names an address of the blacklist that approvals give power over tokens, or whose tokens they are about.
func (r *Rules) blockedPower(chain custody.ChainID, approvals []request.TokenApproval) string {
	for _, a := range approvals {
		switch {
		case r.Blocked(chain, a.Spender):
			return a.Spender + ", who may take tokens"
		case r.Blocked(chain, a.Contract):
			return a.Contract + ", whose tokens may be taken"
		}
	}
	return ""
}

// completeMoves says what is wrong with what the facts say of a call's movements.
func (r *Rules) completeMoves(f *Facts) (criterion, observed string) {
	if !r.remembers {
		if len(f.Moves) > 0 {
			return "call", "the document does not look at where a call's movements go, and the facts do"
		}
		return "", ""
	}
	if len(f.Moves) != len(f.Call.Movements) {
		return "call", "where the call's movements go is not known"
	}
	for i, m := range f.Call.Movements {
		if f.Moves[i].Address != m.To || f.Moves[i].Amount != m.Amount {
			return "call", fmt.Sprintf("movement %d does not go to %s", i, f.Moves[i].Address)
		}
		x := Facts{Chain: f.Chain, Destinations: f.Moves[i : i+1]}
		if wrong := r.completeEntry(&x, 0); wrong != "" {
			return "destination.kind", wrong
		}
	}
	return "", ""
}

// moved adds what the guards say of what a call moves: what a transfer may not do, a call may not do either.
func (r *Rules) moved(call *activation, g *Guard, unmet []problem.Unmet) (*Guard, []problem.Unmet) {
	for a := range r.moving(call) {
		other, more := r.guard(a)
		if other != nil && (g == nil || g.Effect == Hold && other.Effect == Deny) {
			g = other
		}
		unmet = append(unmet, more...)
	}
	return g, unmet[:min(len(unmet), MaxUnmet)]
}

// moving gives what a call moves that is more than nothing, each as a transfer of its own; of anything else nothing.
func (r *Rules) moving(call *activation) iter.Seq[*activation] {
	return func(yield func(*activation) bool) {
		if call.facts.Operation != request.ContractCall {
			return
		}
		for _, a := range r.movements(call) {
			if !a.facts.Total.IsZero() && !yield(a) {
				return
			}
		}
	}
}

// movements gives all that a call moves, each as a transfer of its own, its own value first. It is worked out once a decision, and an expression is evaluated once
// for each.
func (r *Rules) movements(call *activation) []*activation {
	if call.moves == nil {
		list := r.moves(*call.facts)
		for i := range list {
			call.moves = append(call.moves, &activation{facts: &list[i], call: call.facts, doc: call.doc, n: call.n, who: call.who, has: attributes(request.Transfer)})
		}
	}
	return call.moves
}

// callCharges says what a call takes from limits: as a call, and for what it moves as transfers do, its fee too.
func (r *Rules) callCharges(call *activation, fee custody.Uint256, counts func(Limit) bool) ([]Charge, error) {
	out, err := r.chargesOf(call, fee, counts)
	if err != nil {
		return nil, err
	}
	for i, a := range r.movements(call) {
		more, err := r.chargesOf(a, fee, counts)
		if err != nil {
			return nil, err
		}
		for _, c := range more {
			l, _ := r.Limit(c.Limit)
			taken := func(o Charge) bool { return o.Limit == c.Limit && slices.Equal(o.Group, c.Group) }
			fee := l.Measure == MeasureFee && (i == 0 || !a.facts.Total.IsZero()) && !slices.ContainsFunc(out, taken) // there is one, however much is moved
			if (l.Measure == MeasureAmount || l.Measure == MeasureFiat) && !c.Amount.IsZero() || fee || l.Measure == MeasureNew && !a.facts.Total.IsZero() {
				out = append(out, c)
			}
		}
		if len(out) > MaxCharges {
			return nil, errCharges
		}
	}
	slices.SortStableFunc(out, func(a, b Charge) int {
		if c := strings.Compare(a.Limit, b.Limit); c != 0 {
			return c
		}
		return slices.Compare(a.Group, b.Group)
	})
	merged := out[:0]
	for _, c := range out {
		n := len(merged) - 1
		if n < 0 || merged[n].Limit != c.Limit || !slices.Equal(merged[n].Group, c.Group) {
			merged = append(merged, c)
			continue
		}
		var fits bool
		if merged[n].Amount, fits = merged[n].Amount.Add(c.Amount); !fits {
			return nil, fmt.Errorf("limit %s: the sum of the amounts does not fit in 256 bits", c.Limit)
		}
	}
	return merged, nil
}

// signing gives what a call or message is to expressions.
func (a *activation) signing(name string) (any, bool) {
	switch f := a.facts; {
	case a.has.message && f.Message != nil && name == "messageKind":
		return types.String(f.Message.Kind), true
	case a.has.message && f.Message != nil && name == "primaryType":
		return types.String(f.Message.Primary), f.Message.Kind == request.TypedMessage
	case !a.has.call || f.Call == nil || len(f.Call.Calls) == 0:
		return nil, false
	}
	c := a.facts.Call
	switch decoded := c.Undecoded == ""; name {
	case "callContract":
		return types.String(c.Calls[0].Contract), true
	case "callId":
		return types.String(c.Calls[0].ID), true
	case "callSelector":
		return types.String(c.Calls[0].Selector), true
	case "callFunction":
		return types.String(c.Calls[0].Function), decoded
	case "callDepth":
		deepest := uint32(0)
		for _, x := range c.Calls {
			deepest = max(deepest, x.Depth)
		}
		return types.Int(deepest), decoded
	default:
		return nil, false
	}
}

// numberOf reads an argument that is a number.
func numberOf(s string) (custody.Uint256, bool) {
	u, err := custody.ParseUint256(s)
	return u, err == nil
}

// selectorOf gives the selector of what a rule names a function by: a signature, or the selector itself.
func selectorOf(s string) (eth.Selector, bool) {
	if strings.HasPrefix(s, "0x") {
		v, err := abi.FromText(abi.Type{Kind: abi.FixedBytes, Size: 4}, s)
		return eth.Selector(v.Word[:4]), err == nil && v.Text() == s
	}
	f, err := abi.ParseFunction(s)
	return f.Selector(), err == nil
}
