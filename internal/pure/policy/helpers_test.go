// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"crypto/ed25519"
	"fmt"
	"slices"
	"strings"
	"testing"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// Chain, asset and addresses of the tests.
const (
	chain  = custody.ChainID("eip155:1")
	ether  = custody.AssetID("eip155:1/slip44:60")
	bank   = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed" // EIP-55's examples
	broker = "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"
	vendor = "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB"
	thief  = "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb"
)

// person gives the id of person number i, in sorted order for i < 26.
func person(i int) custody.PersonID {
	return custody.PersonID("p_" + strings.Repeat(string(rune('a'+i)), 16))
}

var (
	alice, bob, carol, dave = person(0), person(1), person(2), person(3)
	bot                     = person(25)
)

// key gives key number i, the same each time.
func key(i int) request.PublicKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[0], seed[1] = byte(i), byte(i>>8)
	return request.PublicKey{Alg: request.Ed25519, Pub: ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)}
}

func u(s string) *custody.Uint256 {
	v, err := custody.ParseUint256(s)
	if err != nil {
		panic(err)
	}
	return &v
}

func principal(id custody.PersonID, k int, kind policy.PrincipalKind) policy.Principal {
	return policy.Principal{ID: id, Kind: kind, Keys: []request.PublicKey{key(k)}, Active: true}
}

func plan(group custody.GroupID, min uint32) policy.Plan {
	return policy.Plan{AnyOf: []policy.Branch{{Steps: []policy.Step{{Group: group, Min: min}}}}}
}

// sample gives a document that production accepts: four people, a service, two of three of treasury for large transfers, an
// automatic route for small ones, and a guard.
func sample() policy.Document {
	return policy.Document{
		V: 1, Version: 1,
		Principals: []policy.Principal{
			principal(alice, 1, policy.Human), principal(bob, 2, policy.Human), principal(carol, 3, policy.Human),
			principal(dave, 4, policy.Human), principal(bot, 5, policy.Service),
		},
		Groups: []policy.Group{
			{ID: "bots", Members: []custody.PersonID{bot}},
			{ID: "risk", Members: []custody.PersonID{bob, dave}},
			{ID: "treasury", Members: []custody.PersonID{alice, bob, carol}},
		},
		AddressBook: []policy.BookEntry{{ID: "bank", Chain: chain, Address: bank}, {ID: "broker", Chain: chain, Address: broker}},
		Floor:       policy.Floor{MinDistinctUsers: 2, ForbidSelfApproval: true, RequestTTL: 86400, MaxApprovalAge: 86400},
		Guards: []policy.Guard{{
			ID: "known-only", Title: "only to destinations we know", Effect: policy.Deny, Reason: "not-whitelisted",
			When: policy.Match{Operations: []request.Operation{request.Transfer}, DestNot: []policy.DestinationKind{policy.Whitelisted}},
		}},
		Routes: []policy.Route{
			{ID: "small", Priority: 10, Auto: true, FeeCap: u("5000"), When: policy.Match{
				Operations: []request.Operation{request.Transfer}, InitiatorIn: []custody.GroupID{"bots"}, Wallets: []custody.WalletID{"hot"}, AmountMax: u("1000"),
			}},
			{ID: "large", Priority: 20, Plan: plan("treasury", 2), When: policy.Match{Operations: []request.Operation{request.Transfer}}},
			{ID: "wallets", Priority: 30, Plan: plan("treasury", 2), When: policy.Match{
				Operations: []request.Operation{request.AddressCreate, request.WalletCreate},
			}},
		},
		ChangePlan: plan("treasury", 2),
	}
}

// facts gives a transfer of amount from wallet to the bank, asked by who.
func facts(who custody.PersonID, wallet custody.WalletID, amount string) policy.Facts {
	return policy.Facts{
		Operation: request.Transfer, Initiator: who, Evidence: policy.BySignature, Wallet: wallet, Chain: chain, Asset: ether,
		Destinations: []policy.Destination{{Address: bank, Amount: *u(amount), Kind: policy.Whitelisted, Book: "bank"}},
		Total:        *u(amount), FeeCap: *u("10"),
	}
}

// to gives facts with one other destination.
func to(f policy.Facts, address string, kind policy.DestinationKind, book string) policy.Facts {
	f.Destinations = []policy.Destination{{Address: address, Amount: f.Total, Kind: kind, Book: book}}
	return f
}

func compile(t testing.TB, d policy.Document) *policy.Rules {
	t.Helper()
	r, err := policy.Compile(d)
	if err != nil {
		t.Fatalf("compile: %v", err)
	}
	return r
}

func approve(ids ...custody.PersonID) []policy.Vote {
	vs := make([]policy.Vote, len(ids))
	for i, id := range ids {
		vs[i] = policy.Vote{Person: id, Decision: request.Approve}
	}
	return vs
}

// describe names a decision for comparing: outcome, rule and the first thing that was not met.
func describe(d policy.Decision) string {
	s := fmt.Sprintf("%s %s", d.Outcome, d.Rule)
	if d.Auto {
		s += " auto"
	}
	if len(d.Unmet) > 0 {
		s += ": " + d.Unmet[0].Rule + " " + d.Unmet[0].Criterion
	}
	return s
}

func mustContain(t *testing.T, err error, want ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("got no error, want one with %q", want)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}

func remove[T comparable](vs []T, v T) []T {
	return slices.DeleteFunc(slices.Clone(vs), func(x T) bool { return x == v })
}
