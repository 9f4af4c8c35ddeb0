// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"slices"
	"testing"
	"time"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

func TestTreasury(t *testing.T) {
	t.Parallel()
	s := begin(t, "treasury", nil)
	two := []string{"bruno", "chiara"}
	warm := wallet("reserve")
	warm.Temperature = request.Warm
	opening := func(s *story) any {
		return request.WarmOpenBody{Wallet: "reserve", Asset: chain.Native(), Amount: finney(5_000), NotAfter: s.h.Clock.Wall.Load()/1e9 + 3600*24}
	}
	s.tell(
		turn{name: "a hot wallet", by: "anna", op: request.WalletCreate, body: wallet("bills"), want: "allow wallets", approve: two, state: "executed"},
		turn{name: "a warm wallet", by: "anna", op: request.WalletCreate, body: warm, want: "allow wallets", approve: two, state: "executed"},
		turn{name: "no feed has said anything", by: "anna", op: request.Transfer, body: pay("bills", "payroll", 20_000), want: "hold month-money"},
		turn{name: "wages", quote: "3000.00", by: "anna", op: request.Transfer, body: pay("bills", "payroll", 20_000), want: "allow from-hot", approve: two, signs: true, state: "signed"},
		turn{name: "strangers", by: "anna", op: request.Transfer, body: pay("bills", stranger, 1), want: "deny known-addresses"},
		turn{name: "more than 20 ether a week", by: "anna", op: request.Transfer, body: pay("bills", "payroll", 1), want: "allow from-hot", also: []string{"hot-week"}, approve: two, state: "pending quorum-not-met"},
		turn{name: "if the board agrees", again: "more than 20 ether a week", approve: []string{"dario"}, signs: true, state: "signed"},
		turn{name: "the feeds are silent for an hour", after: time.Hour, by: "anna", op: request.Transfer, body: pay("bills", "payroll", 1), want: "hold month-money"},
		turn{name: "to the vault it is free", by: "anna", op: request.Transfer, body: pay("bills", "vault", 500_000), want: "allow from-hot", approve: two, state: "ready"},
		turn{name: "a week later", after: 8 * day, quote: "3300.00", by: "anna", op: request.Transfer, body: pay("bills", "payroll", 20_000), want: "allow from-hot"},
		turn{name: "more dollars than a month has", by: "anna", op: request.Transfer, body: pay("bills", "custodian", 120_000), want: "deny month-money"}, // 60,003 used, 66,000 reserved, 396,000 more

		turn{name: "a warm wallet pays in a session only", quote: "3300.00", by: "anna", op: request.Transfer, body: pay("reserve", "custodian", 1_000), want: "allow from-warm", approve: []string{"bruno", "dario"}},
		turn{name: "a session", by: "anna", op: request.WarmOpen, body: opening, want: "allow keys", approve: []string{"bruno", "dario"}, state: "executed"},
		turn{name: "in the session", by: "anna", op: request.Transfer, body: pay("reserve", "custodian", 1_000), want: "allow from-warm", approve: []string{"bruno", "elena"}, state: "ready"},
		turn{name: "anybody closes it", by: "fabio", op: request.WarmClose, body: request.WarmCloseBody{Wallet: "reserve"}, want: "allow close", state: "executed"},
		turn{name: "it shall be hot", by: "anna", op: request.WalletTemperature, body: request.WalletTemperatureBody{Wallet: "reserve", To: request.Hot}, want: "allow keys", approve: []string{"bruno", "dario"}, state: "pending not-yet"},
		turn{name: "the board thinks again", after: 20 * time.Hour, again: "it shall be hot", reject: "elena", state: "rejected"},

		turn{name: "one of finance changes rules with the board, after a day", by: "bruno", op: request.PolicyChange, body: nextVersion, want: "allow change-plan", approve: []string{"anna", "elena", "fabio"}, state: "pending not-yet"},
		turn{name: "the day is over", after: day + time.Minute, again: "one of finance changes rules with the board, after a day", carries: true, state: "executed"},

		turn{name: "the board drains", by: "dario", op: request.Drain, body: request.DrainBody{Reason: "a machine is not to be trusted"}, want: "allow break-glass", cannot: []string{"anna"}, approve: []string{"elena", "fabio"}, state: "executed"},
		turn{name: "to the vault", by: "anna", op: request.Transfer, body: pay("bills", "vault", 300_000), want: "allow break-glass", approve: []string{"dario", "fabio"}, state: "ready"},
		turn{name: "not to the custodian", by: "anna", op: request.Transfer, body: pay("bills", "custodian", 1), want: "deny draining"},
	)
}

// TestTreasuryCold judges what cold wallets may, by the rules alone: test/e2e/testdata/script/cold.txtar has their life with an offline domain.
func TestTreasuryCold(t *testing.T) {
	t.Parallel()
	d := document(t, "treasury")
	r, err := policy.Compile(d)
	if err != nil {
		t.Fatal(err)
	}
	entry := func(id string) policy.Destination {
		i := slices.IndexFunc(d.AddressBook, func(e policy.BookEntry) bool { return e.ID == id })
		if i < 0 {
			return policy.Destination{Address: stranger, Kind: policy.OneTime}
		}
		return policy.Destination{Address: d.AddressBook[i].Address, Kind: policy.Whitelisted, Book: id}
	}
	for _, c := range []struct {
		to   string
		from request.Temperature
		want string
	}{
		{"refill", request.Cold, "allow from-cold 24h0m0s"},
		{"custodian", request.Cold, "allow from-cold 24h0m0s"},
		{"payroll", request.Cold, "deny cold-goes-two-ways 0s"},
		{"nobody", request.Cold, "deny cold-goes-two-ways 0s"},
		{"payroll", request.Hot, "allow from-hot 0s"},
		{"payroll", "", "deny cold-goes-two-ways 0s"}, // not known counts as cold
		{"refill", "", "deny from-cold 0s"},           // and no route is good enough
	} {
		to := entry(c.to)
		to.Amount = finney(1_000_000)
		f := policy.Facts{Operation: request.Transfer, Initiator: "p_anna222222222222", Evidence: policy.BySignature, Wallet: "w", Chain: chain, Asset: chain.Native(),
			Destinations: []policy.Destination{to}, Total: to.Amount, FeeCap: custody.U64(1), Around: r.Around(policy.Around{Temperature: c.from})}
		got := r.Evaluate(f)
		var delay time.Duration
		for _, b := range got.Plan.AnyOf {
			delay = time.Duration(b.Delay) * time.Second
		}
		if s := string(got.Outcome) + " " + got.Rule + " " + delay.String(); s != c.want {
			t.Errorf("%s from %q: got %s, want %s: %+v", c.to, c.from, s, c.want, got.Unmet)
		}
	}
}
