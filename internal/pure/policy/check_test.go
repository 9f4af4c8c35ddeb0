// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

func TestSampleIsAccepted(t *testing.T) {
	t.Parallel()
	for _, p := range []custody.Profile{custody.Evaluation, custody.Production} {
		if err := sample().Check(p); err != nil {
			t.Errorf("%s: %v", p, err)
		}
	}
	if err := sample().Check("test"); err == nil {
		t.Error("an unknown profile was accepted")
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	b := sample().Encode()
	d, err := policy.DecodeDocument(b)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(d.Encode(), b) || d.Hash() != sample().Hash() {
		t.Error("a document does not survive its encoding")
	}
}

// TestCheckRefuses changes the sample in one place and expects the error that names the place.
func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	type D = *policy.Document
	for _, c := range []struct {
		name   string
		change func(D)
		want   string
	}{
		{"schema", func(d D) { d.V = 2 }, "schema 2 is not known"},
		{"version zero", func(d D) { d.Version = 0 }, "version begins with 1"},
		{"first with previous", func(d D) { d.PrevHash[0] = 1 }, "prevHash must be zero"},
		{"second without previous", func(d D) { d.Version = 2 }, "prevHash must be the hash of version 1"},

		{"no principals", func(d D) { d.Principals = nil }, "has 0 principals"},
		{"malformed principal", func(d D) { d.Principals[0].ID = "alice" }, `person "alice"`},
		{"principals out of order", func(d D) { d.Principals[0], d.Principals[1] = d.Principals[1], d.Principals[0] }, "sorted by id"},
		{"principal twice", func(d D) { d.Principals[1] = d.Principals[0] }, "distinct"},
		{"kind of principal", func(d D) { d.Principals[0].Kind = "device" }, `kind "device"`},
		{"no keys", func(d D) { d.Principals[0].Keys = nil }, "has 0 keys"},
		{"too many keys", func(d D) {
			for i := range policy.MaxKeys {
				d.Principals[0].Keys = append(d.Principals[0].Keys, key(100+i))
			}
		}, "has 9 keys"},
		{"malformed key", func(d D) { d.Principals[0].Keys[0].Pub = []byte{1} }, "ed25519 key has 32 bytes"},
		{"unknown algorithm", func(d D) { d.Principals[0].Keys[0].Alg = "rsa" }, `"rsa"`},
		{"key of two", func(d D) { d.Principals[1].Keys = d.Principals[0].Keys }, "already a key of " + string(alice)},
		{"key twice", func(d D) { d.Principals[0].Keys = append(d.Principals[0].Keys, key(1)) }, "once"},
		{"too many principals", func(d D) {
			for i := range policy.MaxPrincipals {
				d.Principals = append(d.Principals, principal(custody.PersonID(fmt.Sprint(i)), i, policy.Human))
			}
		}, "want 1 to 2000"},

		{"malformed group", func(d D) { d.Groups[0].ID = "The Bots" }, `"The Bots"`},
		{"groups out of order", func(d D) { d.Groups[0], d.Groups[1] = d.Groups[1], d.Groups[0] }, "groups must be sorted"},
		{"group twice", func(d D) { d.Groups[1].ID = "bots" }, "distinct"},
		{"members out of order", func(d D) { d.Groups[2].Members = []custody.PersonID{bob, alice, carol} }, "group treasury: members must be sorted"},
		{"member twice", func(d D) { d.Groups[2].Members = []custody.PersonID{alice, alice, carol} }, "distinct"},
		{"unknown member", func(d D) { d.Groups[2].Members = []custody.PersonID{alice, bob, person(9)} }, "is not a principal"},
		{"revoked member", func(d D) { d.Principals[0].Active = false }, "is revoked"},
		{"too many groups", func(d D) { d.Groups = make([]policy.Group, policy.MaxGroups+1) }, "has 201 groups"},
		{"too many members", func(d D) { d.Groups[2].Members = make([]custody.PersonID, policy.MaxMembers+1) }, "has 201 members"},

		{"malformed book id", func(d D) { d.AddressBook[0].ID = "Bank" }, `"Bank"`},
		{"address as book id", func(d D) { d.AddressBook[0].ID = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4" }, "reads as an address"},
		{"book out of order", func(d D) { d.AddressBook[0], d.AddressBook[1] = d.AddressBook[1], d.AddressBook[0] }, "address book must be sorted"},
		{"unknown chain", func(d D) { d.AddressBook[0].Chain = "eip155:x" }, "is not known"},
		{"bad checksum", func(d D) { d.AddressBook[0].Address = strings.Replace(bank, "aA", "AA", 1) }, "address book bank"},
		{"other spelling", func(d D) { d.AddressBook[0].Address = strings.ToLower(bank) }, "address book bank"},
		{"address of another network", func(d D) { d.AddressBook[0].Chain = custody.BitcoinMainnet }, "address book bank"},
		{"address twice", func(d D) { d.AddressBook[1].Address = bank }, "is there already as bank"},
		{"book too long", func(d D) { d.AddressBook = make([]policy.BookEntry, policy.MaxBook+1) }, "more than 5000"},

		{"no minimum of people", func(d D) { d.Floor.MinDistinctUsers = 0 }, "floor.minDistinctUsers is 0"},
		{"minimum too high", func(d D) { d.Floor.MinDistinctUsers = 17 }, "floor.minDistinctUsers is 17"},
		{"minimum of one in production", func(d D) { d.Floor.MinDistinctUsers = 1 }, "production needs 2"},
		{"self approval", func(d D) { d.Floor.ForbidSelfApproval = false }, "forbidSelfApproval must be true"},
		{"short life", func(d D) { d.Floor.RequestTTL = 59 }, "floor.requestTTL is 59"},
		{"long life", func(d D) { d.Floor.RequestTTL = request.MaxLifetime + 1 }, "floor.requestTTL"},
		{"negative life", func(d D) { d.Floor.RequestTTL = -1 }, "floor.requestTTL"},
		{"short approval", func(d D) { d.Floor.MaxApprovalAge = 0 }, "floor.maxApprovalAge is 0"},
		{"long approval", func(d D) { d.Floor.MaxApprovalAge = request.MaxApprovalAge + 1 }, "floor.maxApprovalAge"},

		{"malformed guard", func(d D) { d.Guards[0].ID = "" }, `guard ""`},
		{"reserved id", func(d D) { d.Guards[0].ID = "change-plan" }, "reserved"},
		{"guard and route alike", func(d D) { d.Guards[0].ID = "large" }, "another rule has this id"},
		{"guards out of order", func(d D) {
			d.Guards = append(d.Guards, policy.Guard{ID: "a", Effect: policy.Deny, When: d.Guards[0].When})
		}, "guards must be sorted"},
		{"effect", func(d D) { d.Guards[0].Effect = "allow" }, `effect "allow"`},
		{"long title", func(d D) { d.Guards[0].Title = strings.Repeat("a", 201) }, "title has 201 bytes"},
		{"hidden title", func(d D) { d.Guards[0].Title = "a\u202eb" }, "can't be seen"},
		{"broken title", func(d D) { d.Guards[0].Title = "a\xff" }, "can't be seen"},
		{"reason", func(d D) { d.Guards[0].Reason = "Not Known" }, "reason code"},
		{"too many guards", func(d D) { d.Guards = make([]policy.Guard, policy.MaxGuards+1) }, "1001 guards"},
		{"guard on everything", func(d D) { d.Guards[0].When = policy.Match{} }, "guard known-only would refuse every change of the rules"},
		{"guard on everything, first principal revoked", func(d D) {
			d.Principals[0].Active, d.Guards[0].When = false, policy.Match{}
			d.Groups[2].Members = []custody.PersonID{bob, carol, dave}
		}, "guard known-only would refuse every change of the rules"},
		{"guard that can't be evaluated on changes", func(d D) { d.Guards[0].When = policy.Match{Expr: `total > amount("5")`} }, "guard known-only would refuse every change"},
		{"guard that holds everything", func(d D) { d.Guards[0].When, d.Guards[0].Effect = policy.Match{}, policy.Hold }, "would refuse every change"},

		{"routes out of order", func(d D) { d.Routes[0], d.Routes[1] = d.Routes[1], d.Routes[0] }, "routes must be sorted by priority"},
		{"priority twice", func(d D) { d.Routes[1].Priority = 10 }, "no two may share"},
		{"too many routes", func(d D) { d.Routes = make([]policy.Route, policy.MaxRoutes+1) }, "1001 routes"},
		{"governance in a route", func(d D) { d.Routes[1].When.Operations = []request.Operation{request.PolicyChange} }, "always takes the plan that is reserved for it"},
		{"automatic governance", func(d D) { d.Routes[0].When.Operations = []request.Operation{request.PersonEnrol} }, "always takes the plan that is reserved for it"},
		{"automatic opening of a warm key", func(d D) { d.Routes[0].When.Operations = []request.Operation{request.WarmOpen} }, "can't be automatic"},
		{"automatic temperature", func(d D) { d.Routes[0].When.Operations = []request.Operation{request.WalletTemperature} }, "can't be automatic"},
		{"automatic for anything", func(d D) { d.Routes[0].When.Operations = nil }, "must name its operations"},
		{"automatic with plan", func(d D) { d.Routes[0].Plan = plan("treasury", 2) }, "an automatic route has no plan"},
		{"neither plan nor automatic", func(d D) { d.Routes[1].Plan = policy.Plan{} }, "needs a plan, or auto: true"},

		{"unknown operation", func(d D) { d.Routes[1].When.Operations = []request.Operation{"stake"} }, "when.operation"},
		{"operations out of order", func(d D) {
			d.Routes[2].When.Operations = []request.Operation{request.WalletCreate, request.AddressCreate}
		}, "operation must be sorted"},
		{"unknown initiator", func(d D) { d.Routes[1].When.Initiators = []custody.PersonID{person(9)} }, "when.initiator.principals"},
		{"unknown initiator group", func(d D) { d.Routes[1].When.InitiatorIn = []custody.GroupID{"nobody"} }, "when.initiator.groups"},
		{"unknown initiator kind", func(d D) { d.Routes[1].When.InitiatorKind = []policy.PrincipalKind{"robot"} }, "when.initiator.kind"},
		{"malformed wallet", func(d D) { d.Routes[1].When.Wallets = []custody.WalletID{"Hot"} }, "when.source.wallets"},
		{"malformed chain", func(d D) { d.Routes[1].When.Chains = []custody.ChainID{"ethereum"} }, "when.source.chains"},
		{"malformed asset", func(d D) { d.Routes[1].When.Assets = []custody.AssetID{"eip155:1/erc20:0x1"} }, "when.asset.ids"},
		{"unknown destination kind", func(d D) { d.Routes[1].When.Destination = []policy.DestinationKind{"exchange"} }, "when.destination.kind"},
		{"reserved destination kind", func(d D) { d.Routes[1].When.Destination = []policy.DestinationKind{policy.InternalWallet} }, `when.destination.kind: "internal_wallet" is reserved`},
		{"reserved excluded kind", func(d D) {
			d.Guards[0].When.DestNot = []policy.DestinationKind{policy.InternalWallet, policy.Whitelisted}
		}, `when.destination.not: "internal_wallet" is reserved`},
		{"unknown excluded kind", func(d D) { d.Routes[1].When.DestNot = []policy.DestinationKind{"exchange"} }, "when.destination.not"},
		{"unknown book entry", func(d D) { d.Routes[1].When.Books = []string{"nowhere"} }, "when.destination.ids"},
		{"empty amount range", func(d D) { d.Routes[1].When.AmountMax, d.Routes[1].When.AmountOver = u("5"), u("5") }, "nothing matches"},
		{"long list", func(d D) {
			for i := range policy.MaxList + 1 {
				d.Routes[1].When.Wallets = append(d.Routes[1].When.Wallets, custody.WalletID(fmt.Sprintf("w%03d", i)))
			}
		}, "has 101 values"},
		{"expression", func(d D) { d.Routes[1].When.Expr = "wallet" }, "route large: when.expr gives string, must give a bool"},
		{"guard's expression", func(d D) { d.Guards[0].When.Expr = "walet == 'hot'" }, "guard known-only: when.expr"},
		{"hidden expression", func(d D) { d.Routes[1].When.Expr = "true\u200b" }, "can't be seen"},
		{"long expression", func(d D) { d.Routes[1].When.Expr = "true" + strings.Repeat(" ", 1000) }, "expr has 1004 bytes"},

		{"no change plan", func(d D) { d.ChangePlan = policy.Plan{} }, "changePlan: needs a branch"},
		{"change plan of one in production", func(d D) { d.ChangePlan = plan("treasury", 1) }, "production needs 2"},
		{"branch without steps", func(d D) { d.Routes[1].Plan.AnyOf[0].Steps = nil }, "route large: plan: branch 1 has 0 steps"},
		{"too many branches", func(d D) { d.Routes[1].Plan.AnyOf = make([]policy.Branch, 9) }, "has 9 branches"},
		{"too many steps", func(d D) { d.Routes[1].Plan.AnyOf[0].Steps = make([]policy.Step, 9) }, "has 9 steps"},
		{"step of zero", func(d D) { d.Routes[1].Plan = plan("treasury", 0) }, "min is 0"},
		{"step too high", func(d D) { d.Routes[1].Plan = plan("treasury", 17) }, "min is 17"},
		{"unknown group in a step", func(d D) { d.Routes[1].Plan = plan("board", 2) }, "(group board): the group is not in the document"},
		{"service in a step", func(d D) { d.Routes[1].Plan = plan("bots", 1) }, "has people only"},
		{"more than the group has", func(d D) { d.Routes[1].Plan = plan("treasury", 4) }, "asks for 4 approvals, but the group has 3 active people"},
		{"group twice in a branch", func(d D) {
			d.Routes[1].Plan.AnyOf[0].Steps = []policy.Step{{Group: "treasury", Min: 1}, {Group: "treasury", Min: 1}}
		}, "add the two numbers up"},
		{"one person for two steps", func(d D) {
			d.Groups[1].Members = []custody.PersonID{bob}
			d.Groups = append(d.Groups, policy.Group{ID: "zebra", Members: []custody.PersonID{bob}})
			d.Routes[1].Plan.AnyOf[0].Steps = []policy.Step{{Group: "risk", Min: 1}, {Group: "treasury", Min: 1}, {Group: "zebra", Min: 1}}
		}, "each person counts for one step only"},
		{"floor above the plan's people", func(d D) { d.Floor.MinDistinctUsers = 3; d.Routes[1].Plan = plan("risk", 2) }, "needs 3 different people"},
		{"everybody must approve", func(d D) {
			d.Principals = d.Principals[:4]
			d.Groups = d.Groups[1:]
			d.Groups[1].Members = []custody.PersonID{alice, bob, carol, dave}
			d.Routes = nil
			d.ChangePlan = plan("treasury", 4)
		}, "needs 4 different people beside the one who asks, and its groups have 3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := sample()
			c.change(&d)
			err := d.Check(custody.Production)
			mustContain(t, err, c.want)
			if !errors.Is(err, policy.ErrDocument) {
				t.Errorf("error %v does not wrap ErrDocument", err)
			}
		})
	}
}

// TestBitcoinEntries: BIP-173's address is accepted on its own network only.
func TestBitcoinEntries(t *testing.T) {
	t.Parallel()
	const p2wpkh = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
	for _, c := range []struct {
		chain   custody.ChainID
		address string
		ok      bool
	}{
		{custody.BitcoinMainnet, p2wpkh, true},
		{custody.BitcoinTestnet, p2wpkh, false},
		{custody.BitcoinMainnet, p2wpkh[:len(p2wpkh)-1] + "5", false},
	} {
		d := sample()
		d.AddressBook = append(d.AddressBook, policy.BookEntry{ID: "cold", Chain: c.chain, Address: c.address})
		if err := d.Check(custody.Production); (err == nil) != c.ok {
			t.Errorf("%s on %s: %v", c.address, c.chain, err)
		}
	}
}

func TestEvaluationAsksForLess(t *testing.T) {
	t.Parallel()
	d := sample()
	d.Floor.MinDistinctUsers = 1
	d.ChangePlan = plan("treasury", 1)
	if err := d.Check(custody.Evaluation); err != nil {
		t.Error(err)
	}
	mustContain(t, d.Check(custody.Production), "production")
}

// TestLonePerson: one person alone may begin, in evaluation only, and can then change nothing.
func TestLonePerson(t *testing.T) {
	t.Parallel()
	d := policy.Document{
		V: 1, Version: 1,
		Principals: []policy.Principal{principal(alice, 1, policy.Human)},
		Groups:     []policy.Group{{ID: "all", Members: []custody.PersonID{alice}}},
		Floor:      policy.Floor{MinDistinctUsers: 1, ForbidSelfApproval: true, RequestTTL: 60, MaxApprovalAge: 60},
		ChangePlan: plan("all", 1),
	}
	if err := d.Check(custody.Evaluation); err != nil {
		t.Fatal(err)
	}
	if err := d.Check(custody.Production); err == nil {
		t.Error("production accepts one person alone")
	}
	got := compile(t, d).Evaluate(policy.Facts{Operation: request.PolicyChange, Initiator: alice, Evidence: policy.BySignature})
	if describe(got) != "deny floor: change-plan floor.forbidSelfApproval" {
		t.Errorf("got %s", describe(got))
	}
	two := d
	two.Floor.MinDistinctUsers = 2
	two.Groups = append(two.Groups, policy.Group{ID: "also", Members: []custody.PersonID{alice}})
	two.ChangePlan = policy.Plan{AnyOf: []policy.Branch{{Steps: []policy.Step{{Group: "all", Min: 1}, {Group: "also", Min: 1}}}}}
	if err := two.Check(custody.Evaluation); err != nil {
		t.Error(err)
	}
	mustContain(t, two.Check(custody.Production), "beside the one who asks")
	d.Version, d.PrevHash = 2, [32]byte{1}
	mustContain(t, d.Check(custody.Evaluation), "beside the one who asks")
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	good := sample().Encode()
	d := sample()
	d.V = 9
	for name, b := range map[string][]byte{
		"empty":       nil,
		"trailing":    append(bytes.Clone(good), 0),
		"truncated":   good[:len(good)-1],
		"not a map":   {0x80},
		"schema":      d.Encode(),
		"too long":    make([]byte, policy.MaxDocument+1),
		"unknown key": canon.Encode(map[int]int{1: 1, 99: 1}),
	} {
		if _, err := policy.DecodeDocument(b); !errors.Is(err, policy.ErrDocument) {
			t.Errorf("%s: got %v, want ErrDocument", name, err)
		}
	}
}

func TestTooManyExpressions(t *testing.T) {
	t.Parallel()
	d := sample()
	d.Routes = nil
	for i := range policy.MaxExprs + 1 {
		d.Routes = append(d.Routes, policy.Route{ID: fmt.Sprintf("r%d", i), Priority: uint32(i), Plan: plan("treasury", 2),
			When: policy.Match{Operations: []request.Operation{request.AddressCreate}, Expr: fmt.Sprintf("count > %d", i)}})
	}
	mustContain(t, d.Check(custody.Evaluation), "more than 128 different expressions")
	d.Routes = d.Routes[:policy.MaxExprs]
	if err := d.Check(custody.Evaluation); err != nil {
		t.Error(err)
	}
}

func TestTooLong(t *testing.T) {
	t.Parallel()
	d := sample()
	for i := range policy.MaxGuards {
		d.Guards = append(d.Guards, policy.Guard{ID: fmt.Sprintf("z%04d", i), Effect: policy.Deny, When: policy.Match{
			Operations: []request.Operation{request.Transfer}, Expr: "wallet == 'x' " + strings.Repeat(" ", 986)}})
	}
	d.Guards = d.Guards[1:]
	for i := range 40 {
		d.Guards[i].Title = strings.Repeat("t", 200)
	}
	for i := range 800 {
		d.Principals = append(d.Principals[:len(d.Principals)-1], principal(custody.PersonID(fmt.Sprintf("p_e%s", base32(i))), 1000+i, policy.Human), d.Principals[len(d.Principals)-1])
	}
	mustContain(t, d.Check(custody.Evaluation), "bytes, more than 1024000")
}

// base32 writes i in 15 characters that keep order.
func base32(i int) string {
	const digits = "234567abcdefghijklmnopqrstuvwxyz"
	b := bytes.Repeat([]byte("2"), 15)
	for j := len(b) - 1; i > 0; j-- {
		b[j] = digits[i%32]
		i /= 32
	}
	return string(b)
}
