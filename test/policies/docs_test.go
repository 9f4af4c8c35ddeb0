// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"strongroom/internal/gate/message"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// TestWorkedDecision makes the decision of docs/policies.md and compares what the page says of it.
func TestWorkedDecision(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/policies.md")
	if err != nil {
		t.Fatal(err)
	}
	s := begin(t, "exchange", nil)
	const worked = "1.5 ether to a new address"
	s.tell(
		turn{name: "the hot wallet", by: "chiara", op: request.WalletCreate, body: wallet("hot"), want: "allow wallets", approve: []string{"anna", "bruno"}, state: "executed"},
		turn{name: "another customer", by: "payout", op: request.Transfer, body: pay("hot", customer(1), 500), want: "allow withdrawals", signs: true, state: "signed"},
		turn{name: worked, by: "payout", op: request.Transfer, body: pay("hot", customer(2), 1_500), want: "allow withdrawals",
			also: []string{"first-payment"}, approve: []string{"anna", "bruno"}, state: "pending not-yet"},
		turn{name: "an hour later", after: time.Hour + time.Second, again: worked, signs: true, state: "signed"},
	)
	if got := inWords(s, s.asked[worked]); !strings.Contains(string(page), "```\n"+got+"```\n") {
		t.Errorf("docs/policies.md has another decision than this:\n%s", got)
	}
}

// TestWorkedCounters: what the page says that two limits stand at is what they refuse by.
func TestWorkedCounters(t *testing.T) {
	t.Parallel()
	s := begin(t, "exchange", nil)
	s.tell(
		turn{name: "the hot wallet", by: "chiara", op: request.WalletCreate, body: wallet("hot"), want: "allow wallets", approve: []string{"anna", "bruno"}, state: "executed"},
		turn{name: "another customer", by: "payout", op: request.Transfer, body: pay("hot", customer(1), 500), want: "allow withdrawals", signs: true, state: "signed"},
		turn{name: "the worked one", by: "payout", op: request.Transfer, body: pay("hot", customer(2), 1_500), want: "allow withdrawals", also: []string{"first-payment"}},
		turn{name: "what is left of that customer's day", by: "payout", op: request.Transfer, body: pay("hot", customer(2), 1_501), want: "deny customer-day"},
	)
	u := s.asked["what is left of that customer's day"].Decision.Unmet
	if len(u) == 0 || u[0].Observed != "0 of 3000000000000000000 used, 1500000000000000000 reserved, this takes 1501000000000000000" {
		t.Errorf("%+v", u)
	}
}

// inWords writes a decision as the page does.
func inWords(s *story, v message.Request) string {
	s.Helper()
	d, b := v.Decision, &strings.Builder{}
	fmt.Fprintf(b, "outcome: %s by %s, automatic: %t\n", d.Outcome, d.Rule, d.Auto)
	plans := []policy.Plan{d.Plan}
	for _, a := range d.Also {
		plans = append(plans, a.Plan)
	}
	step := plans[0].AnyOf[0].Steps[0]
	fmt.Fprintf(b, "needs: %d of %s, veto %s\n", step.Min, step.Group, step.Veto[0])
	fmt.Fprintf(b, "fee cap: %s\n", d.FeeCap)
	fmt.Fprintf(b, "delay: %d seconds, by %s\n", d.Delay, strings.Join(d.Obligations, ", "))
	for _, c := range d.Limits {
		for _, l := range s.doc.Limits {
			if l.ID == c.Limit {
				fmt.Fprintf(b, "takes from %s: %s of %s\n", c.Limit, c.Amount, l.Max)
			}
		}
	}
	return b.String()
}
