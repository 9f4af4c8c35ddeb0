// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"fmt"
	"testing"
	"time"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/request"
)

// customer gives the address of customer number n.
func customer(n int) string {
	var a eth.Address
	for i := range a {
		a[i] = byte(n*37 + i*11 + n>>8)
	}
	return a.String()
}

// lookalike gives an address that people take for another one: the first and the last four characters are the same.
func lookalike(s *story, of string) string {
	s.Helper()
	a, err := eth.ParseAddress(of)
	if err != nil {
		s.Fatal(err)
	}
	a[9] ^= 0xff
	return a.String()
}

// owned asks for an entry of the ledger, shown by a satoshi test to a wallet.
func owned(id, address, party string, w custody.WalletID) func(*story) any {
	return func(s *story) any {
		n := request.SatoshiAmount(s.h.D.Authority(), s.h.D.ID(), id, chain, address)
		return request.WhitelistAddBody{ID: id, Chain: chain, Address: address, Counterparty: party, Kind: "exchange",
			Proof: &request.Ownership{Kind: request.SatoshiTest, Wallet: w, Amount: n, TxID: "0xabc"}}
	}
}

// holding holds what was asked before.
func holding(name string) func(*story) any {
	return func(s *story) any {
		id := s.asked[name].ID
		return request.RequestHoldBody{Request: id[:], Reason: "the customer called"}
	}
}

// releasing ends what a turn held.
func releasing(name, hold string) func(*story) any {
	return func(s *story) any {
		id := s.asked[name].ID
		return request.RequestReleaseBody{Request: id[:], Hold: s.asked[hold].Last, Reason: "the customer called again"}
	}
}

func TestExchange(t *testing.T) {
	t.Parallel()
	partner := "0x58863dd700479BF6ae4e589d30284a728875ACb0"
	s := begin(t, "exchange", map[string]string{"partner": partner})
	s.where["stolen"] = s.doc.Blacklist[0].Address
	treasury := []string{"anna", "bruno"}
	s.tell(
		turn{name: "the hot wallet", by: "chiara", op: request.WalletCreate, body: wallet("hot"), want: "allow wallets", approve: treasury, state: "executed"},
		turn{name: "where customers pay in", by: "chiara", op: request.WalletCreate, body: wallet("deposits"), want: "allow wallets", approve: treasury, state: "executed"},
		turn{name: "an address for a customer", by: "payout", op: request.AddressCreate, body: request.AddressCreateBody{Wallet: "deposits", Count: 1}, want: "allow addresses", state: "executed"},
		turn{name: "not of the hot wallet", by: "payout", op: request.AddressCreate, body: request.AddressCreateBody{Wallet: "hot", Count: 1}, want: "deny default-deny"},

		turn{name: "half an ether goes without people", by: "payout", op: request.Transfer, body: pay("hot", customer(1), 500), want: "allow withdrawals", signs: true, state: "signed"},
		turn{name: "people can't use that route", by: "anna", op: request.Transfer, body: pay("hot", customer(1), 500), want: "deny default-deny"},
		turn{name: "2.4 ether need people, and risk rejects", by: "payout", op: request.Transfer, body: pay("hot", customer(1), 2_400), want: "allow large-withdrawals", reject: "dario", state: "rejected"},
		turn{name: "3 ether a day and customer", by: "payout", op: request.Transfer, body: pay("hot", customer(1), 2_501), want: "deny customer-day"},
		turn{name: "1.5 ether to a new address", by: "payout", op: request.Transfer, body: pay("hot", customer(2), 1_500), want: "allow withdrawals", also: []string{"first-payment"},
			cannot: []string{"dario", "payout"}, approve: treasury, state: "pending not-yet"},
		turn{name: "an hour later", after: time.Hour + time.Minute, again: "1.5 ether to a new address", signs: true, state: "signed"},
		turn{name: "the second time it is no new address", by: "payout", op: request.Transfer, body: pay("hot", customer(2), 1_400), want: "allow withdrawals", state: "ready"},
		turn{name: "a call from the customer", by: "elena", op: request.RequestHold, body: holding("the second time it is no new address"), want: "allow hold", state: "executed"},
		turn{name: "only risk holds", by: "anna", op: request.RequestHold, body: holding("the second time it is no new address"), want: "refused-by-rule"},
		turn{name: "another call", by: "elena", op: request.RequestRelease, body: releasing("the second time it is no new address", "a call from the customer"), want: "allow release-plan", approve: []string{"anna", "dario"}, state: "executed"},
		turn{name: "and it goes", again: "the second time it is no new address", signs: true, state: "signed"},

		turn{name: "a fee cap that is too high", by: "payout", op: request.Transfer, body: func(s *story) any {
			b := pay("hot", customer(1), 1)(s).(request.TransferBody)
			b.FeeCap = finney(51)
			return b
		}, want: "deny dear"},
		turn{name: "stolen funds go nowhere", by: "payout", op: request.Transfer, body: pay("hot", "stolen", 1), want: "deny blacklist"},
		turn{name: "anybody of the plan blocks an address", by: "dario", op: request.BlacklistAdd, body: request.BlacklistAddBody{Chain: chain, Address: customer(3)}, want: "allow whitelist-plan", state: "executed"},
		turn{name: "at once", by: "payout", op: request.Transfer, body: pay("hot", customer(3), 1), want: "deny blacklist"},
		turn{name: "what looks like a customer", by: "payout", op: request.Transfer, body: pay("hot", lookalike(s, customer(2)), 1), want: "deny lookalike"},

		turn{name: "deposits are swept", by: "sweeper", op: request.Transfer, body: pay("deposits", "cold-store", 900_000), want: "allow sweep", state: "ready"},
		turn{name: "to the store only", by: "sweeper", op: request.Transfer, body: pay("deposits", customer(2), 1), want: "deny deposits-go-home"},
		turn{name: "not by people either", by: "anna", op: request.Transfer, body: pay("deposits", customer(2), 1), want: "deny deposits-go-home"},
		turn{name: "the sweeper pays no customers", by: "sweeper", op: request.Transfer, body: pay("hot", customer(2), 1), want: "deny default-deny"},

		turn{name: "a partner needs a proof", by: "anna", op: request.WhitelistAdd, body: request.WhitelistAddBody{ID: "partner", Chain: chain, Address: partner}, want: "conflict"},
		turn{name: "a partner", by: "anna", op: request.WhitelistAdd, body: owned("partner", partner, "other-exchange", "deposits"), want: "allow whitelist-plan", approve: []string{"bruno", "dario"}, state: "executed"},
		turn{name: "cools off", by: "anna", op: request.Transfer, body: pay("hot", "partner", 500), want: "deny default-deny"},
		turn{name: "may be paid little", after: 2*time.Hour + time.Minute, by: "anna", op: request.Transfer, body: pay("hot", "partner", 5_001), want: "deny whitelist-ramp"},
		turn{name: "little", by: "anna", op: request.Transfer, body: pay("hot", "partner", 5_000), want: "allow treasury", approve: []string{"bruno", "elena"}, signs: true, state: "signed"},
		turn{name: "after a week more", after: 7 * day, by: "anna", op: request.Transfer, body: pay("hot", "partner", 19_000), want: "allow treasury", approve: []string{"bruno", "elena"}, signs: true, state: "signed"},
		turn{name: "20 ether an hour, and then people look", by: "payout", op: request.Transfer, body: pay("hot", customer(2), 1_001), want: "allow withdrawals", also: []string{"hour"}, approve: []string{"anna"}, state: "pending quorum-not-met"},
		turn{name: "people looked", again: "20 ether an hour, and then people look", approve: []string{"dario"}, state: "ready"},
		turn{name: "an hour later it goes alone", after: 63 * time.Minute, by: "payout", op: request.Transfer, body: pay("hot", customer(2), 1_001), want: "allow withdrawals", state: "ready"},
		turn{name: "500 ether a day and partner", by: "anna", op: request.Transfer, body: pay("hot", "partner", 481_001), want: "deny partner-day"},
		turn{name: "somebody suspends the partner", by: "elena", op: request.WhitelistSuspend, body: request.WhitelistSuspendBody{ID: "partner"}, want: "allow whitelist-plan", state: "executed"},
		turn{name: "who is not paid", by: "anna", op: request.Transfer, body: pay("hot", "partner", 1), want: "deny suspended"},

		turn{name: "one freezes", by: "dario", op: request.Freeze, body: request.FreezeBody{Reason: "odd withdrawals"}, want: "allow freeze", state: "executed"},
		turn{name: "nobody is paid", by: "payout", op: request.Transfer, body: pay("hot", customer(2), 1), want: "deny frozen"},
		turn{name: "two drain", by: "chiara", op: request.Drain, body: func(s *story) any { return request.DrainBody{Since: s.since(), Reason: "odd withdrawals"} }, want: "allow break-glass", approve: treasury, state: "executed"},
		turn{name: "to the store, by program", by: "sweeper", op: request.Transfer, body: pay("hot", "cold-store", 100_000), want: "allow sweep", state: "ready"},
		turn{name: "to nobody else", by: "payout", op: request.Transfer, body: pay("hot", customer(2), 1), want: "deny draining"},
		turn{name: "and resume", by: "chiara", op: request.Resume, body: func(s *story) any { return request.ResumeBody{Since: s.since(), Reason: "understood"} }, want: "allow resume-plan", approve: []string{"anna", "elena"}, state: "executed"},
	)
}

// TestExchangeIsSlowWithStrangers: more than 200 addresses a day that were never paid are held, and the next day go on.
func TestExchangeIsSlowWithStrangers(t *testing.T) {
	t.Parallel()
	s := begin(t, "exchange", nil)
	s.play(turn{name: "the hot wallet", by: "chiara", op: request.WalletCreate, body: wallet("hot"), want: "allow wallets", approve: []string{"anna", "bruno"}, state: "executed"})
	for i := range 200 {
		s.play(turn{name: fmt.Sprint("customer ", i), by: "payout", op: request.Transfer, body: pay("hot", customer(10+i), 1), want: "allow withdrawals", state: "ready"})
	}
	s.tell(
		turn{name: "one more", by: "payout", op: request.Transfer, body: pay("hot", customer(300), 1), want: "hold new-addresses"},
		turn{name: "one twice", by: "payout", op: request.Transfer, body: pay("hot", customer(10), 1), want: "hold new-addresses"}, // nothing was paid yet
		turn{name: "the next day something else is asked for, and with it ends what nobody signed", after: 25 * time.Hour, by: "chiara", op: request.WalletCreate, body: wallet("deposits"), want: "allow wallets"},
		turn{name: "the next day", by: "payout", op: request.Transfer, body: pay("hot", customer(300), 1), want: "allow withdrawals"},
	)
}
