// SPDX-License-Identifier: Apache-2.0

package words

import (
	"fmt"
	"strings"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
)

// contractCall says what a call asks for, as far as the request alone says it; [Signing] says what it does.
func contractCall(b request.ContractCallBody, source string) []string {
	from := fmt.Sprintf("call the contract %s from the wallet %q", b.Contract, b.Wallet)
	if source != "" {
		from += ", address " + source
	}
	coin := custody.EVMChain(1).Native() // every chain that has contracts counts its coin alike
	return []string{from, fmt.Sprintf("  with %s and %d bytes of call data", Amount(coin, b.Value), len(b.Data)), "with a fee of at most " + Amount(coin, b.FeeCap)}
}

// messageSign says what a message asks for.
func messageSign(b request.MessageSignBody, source string) []string {
	from := fmt.Sprintf("sign a message with the wallet %q", b.Wallet)
	if source != "" {
		from += ", address " + source
	}
	if b.Kind == request.PersonalMessage {
		return append([]string{from + ", this text:"}, quoted(b.Content)...)
	}
	return []string{from + fmt.Sprintf(", typed data of %d bytes", len(b.Content))}
}

// signedWith says which wallet calls or signs, and at what fee, where the effects alone are at hand; of a plain text all of it.
func signedWith(e request.Effects, b request.Bounds) []string {
	from := fmt.Sprintf("wallet %q on %s, address %s", e.Wallet, Chain(e.Chain), e.Source)
	switch {
	case e.Calls != nil:
		return []string{"call a contract from the " + from, "with a fee of at most " + Amount(e.Chain.Native(), b.FeeCap)}
	case e.Message.Kind == request.PersonalMessage:
		return append([]string{"sign a message with the " + from + ", this text:"}, quoted(e.Message.Text)...)
	default:
		return []string{"sign a message with the " + from}
	}
}

// quoted writes a text line by line.
func quoted(s string) (out []string) {
	for line := range strings.SplitSeq(s, "\n") {
		out = append(out, "  | "+line)
	}
	return out
}

// Signing says what a contract call does, or a message says, as it was decoded; nothing for other requests.
func Signing(e request.Effects) []string { return plain(signing(e)) }

func signing(e request.Effects) (out []string) {
	if e.Calls != nil {
		out = callTree(e)
	}
	if m := e.Message; m != nil {
		out = append(out, messageFields(*m)...)
		out = append(out, approvals(m.Approvals)...)
		if len(m.Approvals) > 0 {
			out = append(out, "  until "+orNone(m.Deadline, "for ever")+" (Unix seconds)")
		}
	}
	return out
}

func orNone(s, none string) string {
	if s == "" {
		return none
	}
	return s
}

// callTree writes the calls, each under the one that it is made by.
func callTree(e request.Effects) (out []string) {
	c := e.Calls
	if c.Undecoded != "" {
		return []string{"NOBODY CAN SAY WHAT THIS CALL DOES: " + c.Undecoded, "  function " + c.Calls[0].Selector + " of " + c.Calls[0].Contract,
			"  with " + Amount(e.Chain.Native(), c.Calls[0].Value)}
	}
	for _, n := range c.Calls {
		in := strings.Repeat("  ", int(n.Depth))
		name := n.Contract
		if n.ID != "" {
			name = fmt.Sprintf("%s (%s)", n.ID, n.Contract)
		} else if n.Depth > 0 {
			name += " (not in the rule document)"
		}
		s := in + "calls " + orNone(n.Function, "nothing, but pays") + " of " + name
		if n.Delegate {
			s = in + "RUNS THE CODE OF " + name + " WITH THE CALLER'S POWERS (delegatecall): " + n.Function
		}
		if !n.Value.IsZero() {
			s += ", with " + Amount(e.Chain.Native(), n.Value)
		}
		out = append(out, s)
		for _, a := range n.Args {
			out = append(out, fmt.Sprintf("%s  %s %s = %s", in, a.Path, a.Type, a.Value))
		}
	}
	out = append(out, approvals(c.Approvals)...)
	for _, m := range c.Movements {
		out = append(out, fmt.Sprintf("moves %s from %s to %s", Amount(m.Asset, m.Amount), m.From, m.To))
	}
	return out
}

func approvals(list []request.TokenApproval) (out []string) {
	for _, a := range list {
		what := "up to " + a.Amount.String() + " base units, or the token of that number,"
		switch {
		case a.All:
			what = "EVERY TOKEN, those to come too,"
		case a.Unlimited:
			what = "ANY AMOUNT"
		}
		out = append(out, fmt.Sprintf("lets %s take %s of %s", orNone(a.Spender, "somebody"), what, orNone(a.Contract, "some contract")))
	}
	return out
}

func messageFields(m request.MessageEffects) (out []string) {
	if m.Kind != request.TypedMessage {
		return nil
	}
	out = append(out, fmt.Sprintf("typed data %s of %q, version %q, chain %s", m.Primary, m.Name, m.Version, m.ChainID))
	if m.Contract != "" {
		out = append(out, "  for the contract "+strings.TrimSpace(m.ID+" "+m.Contract))
	}
	for _, f := range m.Fields {
		out = append(out, fmt.Sprintf("  %s %s = %s", f.Path, f.Type, f.Value))
	}
	return out
}
