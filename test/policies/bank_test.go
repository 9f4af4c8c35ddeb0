// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"testing"
	"time"

	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/verdict"
)

// The story begins on Wednesday, 2 January 2030, at 04:04 in Zurich.
func TestBank(t *testing.T) {
	t.Parallel()
	vendor := "0x2f5b94485E5EaD2E620754220906efa0bE9D8Af0"
	s := begin(t, "bank", map[string]string{"vendor": vendor})
	two := []string{"chiara", "dario"}
	s.tell(
		turn{name: "a wallet", by: "anna", op: request.WalletCreate, body: wallet("main"), want: "allow wallets", approve: []string{"chiara", "hugo"}, state: "executed"},
		turn{name: "at night", by: "anna", op: request.Transfer, body: pay("main", "central-bank", 1_000), want: "hold office-hours"},

		turn{name: "operations don't ask", after: 5 * time.Hour, by: "chiara", op: request.Transfer, body: pay("main", "central-bank", 1_000), want: "deny roles"},
		turn{name: "nor administrators", by: "hugo", op: request.Transfer, body: pay("main", "central-bank", 1_000), want: "deny roles"},
		turn{name: "nor risk", by: "karl", op: request.Transfer, body: pay("main", "central-bank", 1_000), want: "deny roles"},
		turn{name: "nor audit", by: "maria", op: request.Transfer, body: pay("main", "central-bank", 1_000), want: "deny roles"},
		turn{name: "strangers are not paid", by: "anna", op: request.Transfer, body: pay("main", vendor, 1_000), want: "deny whitelisted-only"},
		turn{name: "nobody has screened it", by: "anna", op: request.Transfer, body: pay("main", "central-bank", 1_000), want: "hold payees-screened"},
		turn{name: "the first payment", screened: map[string]opinion{"central-bank": {0, verdict.Accept}}, by: "anna", op: request.Transfer, body: pay("main", "central-bank", 50_000), want: "allow payments", also: []string{"first-payment"},
			cannot: []string{"anna", "bruno", "maria", "corebanking", "hugo"}, approve: two, state: "pending quorum-not-met"},
		turn{name: "risk agrees", again: "the first payment", approve: []string{"karl"}, signs: true, state: "signed"},
		turn{name: "the next one", by: "corebanking", op: request.Transfer, body: pay("main", "central-bank", 20_000), want: "allow payments", approve: two, signs: true, state: "signed"},
		turn{name: "risk rejects", by: "corebanking", op: request.Transfer, body: pay("main", "central-bank", 20_000), want: "allow payments", approve: two, reject: "lena", state: "rejected"},

		turn{name: "150 ether", by: "bruno", op: request.Transfer, body: pay("main", "central-bank", 150_000), want: "allow payments", also: []string{"large"},
			approve: []string{"karl", "chiara", "dario"}, state: "pending quorum-not-met"},
		turn{name: "risk came before operations, and comes again", again: "150 ether", approve: []string{"lena"}, state: "pending not-yet"},
		turn{name: "four hours later", after: 4*time.Hour + time.Minute, again: "150 ether", signs: true, state: "signed"},
		turn{name: "300 ether a day and person, then risk", by: "bruno", op: request.Transfer, body: pay("main", "central-bank", 150_001), want: "allow payments", also: []string{"large", "asker-day"}},
		turn{name: "1,000 ether a day", by: "corebanking", op: request.Transfer, body: pay("main", "central-bank", 630_000), want: "deny day"},
		turn{name: "up to there", by: "corebanking", op: request.Transfer, body: pay("main", "central-bank", 620_000), want: "allow payments", also: []string{"large"}},

		turn{name: "who pays does not decide whom", by: "anna", op: request.WhitelistAdd, body: attested(vendor), want: "deny roles"},
		turn{name: "reference data does", by: "fabio", op: request.WhitelistAdd, body: attested(vendor), want: "allow whitelist-plan", approve: []string{"karl", "greta"}, state: "pending quorum-not-met"},
		turn{name: "with risk, who comes last", again: "reference data does", approve: []string{"lena"}, state: "executed"},
		turn{name: "the vendor cools off", by: "anna", op: request.Transfer, body: pay("main", "vendor", 1_000), want: "deny whitelisted-only"},
		turn{name: "a day later too much", screened: map[string]opinion{"vendor": {7, verdict.Accept}}, after: day + time.Minute, by: "anna", op: request.Transfer, body: pay("main", "vendor", 10_001), want: "deny whitelist-ramp"},
		turn{name: "the vendor is risky, so that risk looks", screened: map[string]opinion{"vendor": {41, verdict.Alert}}, by: "anna", op: request.Transfer, body: pay("main", "vendor", 10_000),
			want: "allow payments", also: []string{"first-payment", "risky"}, approve: []string{"chiara", "dario"}, reject: "lena", state: "rejected"},
		turn{name: "the vendor is on a list", screened: map[string]opinion{"vendor": {7, verdict.Reject}}, by: "anna", op: request.Transfer, body: pay("main", "vendor", 10_000), want: "deny sanctioned"},
		turn{name: "a day later", screened: map[string]opinion{"vendor": {7, verdict.Accept}}, by: "anna", op: request.Transfer, body: pay("main", "vendor", 10_000), want: "allow payments", also: []string{"first-payment"}, approve: []string{"chiara", "dario", "lena"}, state: "ready"},
		turn{name: "risk holds it", by: "karl", op: request.RequestHold, body: holding("a day later"), want: "allow hold", state: "executed"},
		turn{name: "audit holds nothing", by: "maria", op: request.RequestHold, body: holding("a day later"), want: "refused-by-rule"},
		turn{name: "and it is released", by: "hugo", op: request.RequestRelease, body: releasing("a day later", "risk holds it"), want: "allow release-plan", approve: []string{"ida", "lena"}, state: "executed"},
		turn{name: "to be signed", again: "a day later", signs: true, state: "signed"},

		turn{name: "front office changes no rules", by: "anna", op: request.PolicyChange, body: nextVersion, want: "deny roles"},
		turn{name: "administrators do, with risk", by: "hugo", op: request.PolicyChange, body: nextVersion, want: "allow change-plan", approve: []string{"ida", "karl"}, state: "pending not-yet"},
		turn{name: "a day later, on Friday", after: day + time.Minute, again: "administrators do, with risk", carries: true, state: "executed"},
		turn{name: "on Saturday", after: day, by: "corebanking", op: request.Transfer, body: pay("main", "central-bank", 1_000), want: "hold office-hours"},
		turn{name: "risk freezes even then", by: "lena", op: request.Freeze, body: request.FreezeBody{Reason: "a rumour"}, want: "allow freeze", state: "executed"},
		turn{name: "front office can't open", by: "anna", op: request.Unfreeze, body: func(s *story) any { return request.UnfreezeBody{Since: s.since(), Reason: "please"} }, want: "deny roles"},
		turn{name: "administration and risk do", by: "julia", op: request.Unfreeze, body: func(s *story) any { return request.UnfreezeBody{Since: s.since(), Reason: "nothing in it"} },
			want: "allow change-plan", approve: []string{"hugo", "karl"}, state: "executed"},
	)
}

// attested asks for the vendor's entry.
func attested(address string) request.WhitelistAddBody {
	return request.WhitelistAddBody{ID: "vendor", Chain: chain, Address: address, Counterparty: "custodian", Kind: "vendor", Proof: &request.Ownership{Kind: request.Attested, Note: "a letter, and a call back"}}
}

// nextVersion proposes the rules with a smaller day.
func nextVersion(s *story) any {
	d, err := policy.DecodeDocument(s.h.D.Policy().Document)
	if err != nil {
		s.Fatal(err)
	}
	d.PrevHash, d.Version = d.Hash(), d.Version+1
	for i := range d.Limits {
		if d.Limits[i].ID == "day" {
			d.Limits[i].Max = finney(900_000)
		}
	}
	return request.PolicyChangeBody{Document: d.Encode()}
}
