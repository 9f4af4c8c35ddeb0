// SPDX-License-Identifier: Apache-2.0

package words

import (
	"fmt"
	"strings"

	"strongroom/internal/pure/request"
)

// listed says what a new entry of the address book is, and how its owner showed that it is theirs.
func listed(b *request.WhitelistAddBody) []string {
	out := []string{fmt.Sprintf("add %q to the address book: %s on %s", b.ID, b.Address, Chain(b.Chain))}
	say := func(is bool, format string, args ...any) {
		if is {
			out = append(out, "  "+fmt.Sprintf(format, args...))
		}
	}
	say(b.Counterparty != "", "of the counterparty %q", b.Counterparty)
	say(b.Kind != "", "kind: %s", b.Kind)
	say(len(b.Tags) > 0, "tags: %s", strings.Join(b.Tags, ", "))
	say(b.Expires > 0, "until %s", Unix(b.Expires))
	if o := b.Proof; o != nil {
		switch o.Kind {
		case request.SignedMessage:
			say(true, "its key signed that it may be paid (%s); the core verifies that", o.Scheme)
		case request.SatoshiTest:
			say(true, "satoshi test: the transaction %s pays %d base units FROM this address TO address %d of our wallet %q", o.TxID, o.Amount, o.Index, o.Wallet)
			say(true, "the core does not see chains: look at that transaction before you approve")
		default:
			say(true, "attested, by who asks and by who approves: %s", o.Note)
		}
	}
	if b.Lookalike != "" {
		out = append(out, fmt.Sprintf("WARNING: it LOOKS LIKE %s: the same first and last characters. Compare the two in full before you approve.", b.Lookalike))
	}
	return out
}

// onList says what else becomes of the address book.
func onList(b request.ListBody) []string {
	switch b := b.(type) {
	case *request.WhitelistRemoveBody:
		return []string{fmt.Sprintf("remove %q from the address book", b.ID)}
	case *request.WhitelistSuspendBody:
		return []string{fmt.Sprintf("suspend %q of the address book: nothing is paid there until a review resumes it", b.ID)}
	case *request.WhitelistReviewBody:
		out := []string{"say that these entries of the address book were looked at, and are right:"}
		if b.Resume {
			out = []string{"say that these entries of the address book were looked at, and RESUME those that are suspended; they cool off anew:"}
		}
		for _, id := range b.IDs {
			out = append(out, "  "+id)
		}
		return out
	default:
		return []string{fmt.Sprintf("something this version can't describe (%T); do not sign it", b)}
	}
}

func blocked(b *request.BlacklistAddBody) []string {
	out := []string{fmt.Sprintf("put %s on %s on the BLACKLIST: nothing is paid there, whatever other rules say", b.Address, Chain(b.Chain))}
	if b.Reason != "" {
		out = append(out, "  because: "+b.Reason)
	}
	return out
}

// effectsOnList adds what an effect on address book or blacklist has.
func effectsOnList(l request.ListEffects) (s string) {
	if len(l.IDs) > 0 {
		s += fmt.Sprintf(", %s", strings.Join(l.IDs, " "))
	}
	if l.Address != "" {
		s += fmt.Sprintf(", %s on %s", l.Address, Chain(l.Chain))
	}
	if l.Proof != "" {
		s += ", proof " + string(l.Proof)
	}
	if l.Lookalike != "" {
		s += ", which LOOKS LIKE " + l.Lookalike
	}
	return s
}
