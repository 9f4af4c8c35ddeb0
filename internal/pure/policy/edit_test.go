// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// successor gives a changed copy of the sample as its next version.
func successor(change func(*policy.Document)) policy.Document {
	n := sample()
	n.Version, n.PrevHash = 2, sample().Hash()
	change(&n)
	return n
}

func TestApply(t *testing.T) {
	t.Parallel()
	enrol := request.PersonEnrolBody{Person: person(4), Kind: "human", Key: key(50), Groups: []custody.GroupID{"risk", "treasury"}}
	for _, c := range []struct {
		op   request.Operation
		body request.Body
		want []string // what Diff says
	}{
		{request.PersonEnrol, &enrol, []string{
			"human p_eeeeeeeeeeeeeeee is new, with key " + string(key(50).Ref()), "group risk gains p_eeeeeeeeeeeeeeee", "group treasury gains p_eeeeeeeeeeeeeeee"}},
		{request.PersonEnrol, &request.PersonEnrolBody{Person: person(4), Kind: "service", Key: key(50)}, []string{
			"service p_eeeeeeeeeeeeeeee is new, with key " + string(key(50).Ref())}},
		{request.PersonKeyAdd, &request.PersonKeyAddBody{Person: bob, Key: key(50)}, []string{"p_bbbbbbbbbbbbbbbb gains key " + string(key(50).Ref())}},
		{request.PersonRevoke, &request.PersonRevokeBody{Person: dave}, []string{"human p_dddddddddddddddd is revoked", "group risk loses p_dddddddddddddddd"}},
		{request.GroupSet, &request.GroupSetBody{Group: "risk", Members: []custody.PersonID{alice, dave}}, []string{
			"group risk gains p_aaaaaaaaaaaaaaaa", "group risk loses p_bbbbbbbbbbbbbbbb"}},
		{request.GroupSet, &request.GroupSetBody{Group: "audit", Members: []custody.PersonID{dave}}, []string{"group audit is new: p_dddddddddddddddd"}},
		{request.GroupSet, &request.GroupSetBody{Group: "risk"}, []string{"group risk loses p_bbbbbbbbbbbbbbbb, p_dddddddddddddddd"}},
		{request.WhitelistAdd, &request.WhitelistAddBody{ID: "vendor", Chain: chain, Address: vendor}, []string{"address book gains vendor: " + vendor + " on eip155:1"}},
		{request.WhitelistRemove, &request.WhitelistRemoveBody{ID: "bank"}, []string{"address book loses bank: " + bank + " on eip155:1"}},
		{request.PolicyChange, &request.PolicyChangeBody{Document: successor(func(d *policy.Document) { d.Floor.RequestTTL = 3600 }).Encode()}, []string{
			"a request may now live 3600 seconds; it was 86400"}},
	} {
		t.Run(string(c.op), func(t *testing.T) {
			t.Parallel()
			d := sample()
			next, err := policy.Apply(custody.Production, d, c.op, c.body)
			if err != nil {
				t.Fatal(err)
			}
			if next.Version != 2 || next.PrevHash != sample().Hash() {
				t.Errorf("version %d after %x", next.Version, next.PrevHash)
			}
			if err := next.Check(custody.Production); err != nil {
				t.Error(err)
			}
			if got := policy.Diff(d, next); !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
			if d.Hash() != sample().Hash() {
				t.Error("the document before was changed")
			}
			if _, err := policy.DecodeDocument(next.Encode()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestApplyRefuses(t *testing.T) {
	t.Parallel()
	replace := func(change func(*policy.Document)) request.Body {
		return &request.PolicyChangeBody{Document: successor(change).Encode()}
	}
	for _, c := range []struct {
		name string
		op   request.Operation
		body request.Body
		is   error
		want string
	}{
		{"body of another operation", request.PersonRevoke, &request.WhitelistRemoveBody{ID: "bank"}, policy.ErrEdit, "came with the body of whitelist_remove"},
		{"no governance", request.Transfer, &request.TransferBody{}, policy.ErrEdit, "does not change the rules"},

		{"not a document", request.PolicyChange, &request.PolicyChangeBody{Document: []byte{1}}, policy.ErrDocument, "decode"},
		{"version too high", request.PolicyChange, replace(func(d *policy.Document) { d.Version = 3 }), policy.ErrEdit, "version must be 2"},
		{"older version", request.PolicyChange, &request.PolicyChangeBody{Document: sample().Encode()}, policy.ErrEdit, "version must be 2"},
		{"foreign predecessor", request.PolicyChange, replace(func(d *policy.Document) { d.PrevHash[0] ^= 1 }), policy.ErrEdit, "prevHash must be"},
		{"not acceptable", request.PolicyChange, replace(func(d *policy.Document) { d.ChangePlan = plan("treasury", 1) }), policy.ErrDocument, "production needs 2"},
		{"new person", request.PolicyChange, replace(func(d *policy.Document) {
			d.Principals = slices.Insert(d.Principals, 4, principal(person(4), 50, policy.Human))
		}), policy.ErrEdit, "enrol them"},
		{"missing person", request.PolicyChange, replace(func(d *policy.Document) {
			d.Principals, d.Groups[1].Members = slices.Delete(d.Principals, 3, 4), []custody.PersonID{bob}
		}), policy.ErrEdit, "is missing"},
		{"new key", request.PolicyChange, replace(func(d *policy.Document) { d.Principals[0].Keys = append(d.Principals[0].Keys, key(50)) }), policy.ErrEdit, "is new; keys come in with person_enrol"},
		{"exchanged key", request.PolicyChange, replace(func(d *policy.Document) { d.Principals[0].Keys[0] = key(50) }), policy.ErrEdit, "is new; keys come in"},
		{"another kind", request.PolicyChange, replace(func(d *policy.Document) {
			d.Principals[3].Kind, d.Groups[1].Members = policy.Service, []custody.PersonID{bob}
		}), policy.ErrEdit, "is a human and stays one"},

		{"id used already", request.PersonEnrol, &request.PersonEnrolBody{Person: dave, Kind: "human", Key: key(50)}, policy.ErrEdit, "exists already"},
		{"key used already", request.PersonEnrol, &request.PersonEnrolBody{Person: person(4), Kind: "human", Key: key(1)}, policy.ErrDocument, "already a key of"},
		{"unknown group", request.PersonEnrol, &request.PersonEnrolBody{Person: person(4), Kind: "human", Key: key(50), Groups: []custody.GroupID{"board"}}, policy.ErrEdit, "group board does not exist"},
		{"service in an approving group", request.PersonEnrol, &request.PersonEnrolBody{Person: person(4), Kind: "service", Key: key(50), Groups: []custody.GroupID{"treasury"}}, policy.ErrDocument, "has people only"},

		{"passkey for another site", request.PolicyChange, replace(func(d *policy.Document) { d.Principals[0].Keys[0] = passkey(1, "https://b.example.org") }), policy.ErrEdit, "is new; keys come in"},
		{"key twice", request.PersonKeyAdd, &request.PersonKeyAddBody{Person: bob, Key: key(2)}, policy.ErrEdit, "has the key " + string(key(2).Ref()) + " already"},
		{"key of another", request.PersonKeyAdd, &request.PersonKeyAddBody{Person: bob, Key: key(1)}, policy.ErrDocument, "already a key of " + string(alice)},
		{"same key through a browser", request.PersonKeyAdd, &request.PersonKeyAddBody{Person: bob, Key: passkey(2, "https://a.example.org")}, policy.ErrDocument, "already a key of " + string(bob)},
		{"passkey of a service", request.PersonKeyAdd, &request.PersonKeyAddBody{Person: bot, Key: passkey(50, "https://a.example.org")}, policy.ErrDocument, "a service has no passkeys"},
		{"key for nobody", request.PersonKeyAdd, &request.PersonKeyAddBody{Person: person(9), Key: key(50)}, policy.ErrEdit, "is not in the document"},
		{"key of nobody", request.PersonKeyRemove, &request.PersonKeyRemoveBody{Person: person(9), Key: key(1).Ref()}, policy.ErrEdit, "is not in the document"},
		{"last key", request.PersonKeyRemove, &request.PersonKeyRemoveBody{Person: bob, Key: key(2).Ref()}, policy.ErrEdit, "is the last key of"},
		{"another's key", request.PersonKeyRemove, &request.PersonKeyRemoveBody{Person: bob, Key: key(1).Ref()}, policy.ErrEdit, "has no key"},
		{"unknown person", request.PersonRevoke, &request.PersonRevokeBody{Person: person(9)}, policy.ErrEdit, "is not in the document"},

		{"unknown member", request.GroupSet, &request.GroupSetBody{Group: "risk", Members: []custody.PersonID{person(9)}}, policy.ErrDocument, "is not a principal"},
		{"group too small", request.GroupSet, &request.GroupSetBody{Group: "treasury", Members: []custody.PersonID{alice}}, policy.ErrDocument, "asks for 2 approvals, but the group has 1"},
		{"group without a spare", request.GroupSet, &request.GroupSetBody{Group: "treasury"}, policy.ErrDocument, "changePlan"},

		{"entry exists", request.WhitelistAdd, &request.WhitelistAddBody{ID: "bank", Chain: chain, Address: vendor}, policy.ErrEdit, "an entry bank already"},
		{"address exists", request.WhitelistAdd, &request.WhitelistAddBody{ID: "other", Chain: chain, Address: bank}, policy.ErrDocument, "is there already as bank"},
		{"malformed entry", request.WhitelistAdd, &request.WhitelistAddBody{ID: "Other", Chain: chain, Address: vendor}, policy.ErrDocument, `"Other"`},
		{"unknown entry", request.WhitelistRemove, &request.WhitelistRemoveBody{ID: "vendor"}, policy.ErrEdit, "no entry vendor"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := policy.Apply(custody.Production, sample(), c.op, c.body)
			mustContain(t, err, c.want)
			if !errors.Is(err, c.is) {
				t.Errorf("error %v does not wrap %v", err, c.is)
			}
		})
	}
}

// TestEditsCopy: what the caller does with a body afterwards does not reach the document.
func TestEditsCopy(t *testing.T) {
	t.Parallel()
	b := request.PersonEnrolBody{Person: person(4), Kind: "human", Key: key(50)}
	enrolled, err := sample().WithPerson(custody.Production, b)
	if err != nil {
		t.Fatal(err)
	}
	next := successor(func(*policy.Document) {})
	replaced, err := sample().WithDocument(custody.Production, next)
	if err != nil {
		t.Fatal(err)
	}
	was := []([32]byte){enrolled.Hash(), replaced.Hash()}
	b.Key.Pub[0] ^= 1
	next.Groups[0].ID = "other"
	if enrolled.Hash() != was[0] || replaced.Hash() != was[1] {
		t.Error("a document shares memory with the request")
	}
}

// TestRevokedForGood: a revoked person can't be revoked twice, enrolled again, or brought back by a new document.
func TestRevokedForGood(t *testing.T) {
	t.Parallel()
	d, err := sample().WithoutPerson(custody.Production, request.PersonRevokeBody{Person: dave})
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.WithoutPerson(custody.Production, request.PersonRevokeBody{Person: dave})
	mustContain(t, err, "revoked already")
	_, err = d.WithPerson(custody.Production, request.PersonEnrolBody{Person: dave, Kind: "human", Key: key(50)})
	mustContain(t, err, "ids are never used again")
	_, err = d.WithPerson(custody.Production, request.PersonEnrolBody{Person: person(4), Kind: "human", Key: key(4)})
	mustContain(t, err, "already a key of "+string(dave))
	_, err = d.WithGroup(custody.Production, request.GroupSetBody{Group: "risk", Members: []custody.PersonID{dave}})
	mustContain(t, err, "is revoked")
	n, err := policy.DecodeDocument(d.Encode())
	if err != nil {
		t.Fatal(err)
	}
	n.Version, n.PrevHash = 3, d.Hash()
	n.Principals[3].Active = true
	_, err = d.WithDocument(custody.Production, n)
	mustContain(t, err, "is revoked and stays so")
	n.Principals = slices.Delete(n.Principals, 3, 4)
	_, err = d.WithDocument(custody.Production, n)
	mustContain(t, err, "is missing")
}

// TestRevocationNamesThePlan: a person without whom a plan can't be met stays until the plan or the group is changed.
func TestRevocationNamesThePlan(t *testing.T) {
	t.Parallel()
	d := sample()
	d.Routes[1].Plan = policy.Plan{AnyOf: []policy.Branch{{Steps: []policy.Step{{Group: "risk", Min: 2}}}}}
	_, err := d.WithoutPerson(custody.Production, request.PersonRevokeBody{Person: dave})
	mustContain(t, err, "route large: plan: branch 1 step 1 (group risk): asks for 2 approvals, but the group has 1")
}

func TestWhitelistEntryInUse(t *testing.T) {
	t.Parallel()
	d := sample()
	d.Routes[1].When.Books = []string{"bank"}
	_, err := d.WithoutWhitelist(custody.Production, request.WhitelistRemoveBody{ID: "bank"})
	mustContain(t, err, "route large", `"bank" is not in the document`)
}

// TestEdits: after any run of edits, accepted or not, the document is one that its profile accepts, versions are without gap,
// each names the one before, and nobody who was revoked is active.
func TestEdits(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := sample()
		revoked := make(map[custody.PersonID]bool)
		for i := range rapid.IntRange(1, 12).Draw(t, "edits") {
			ids := everybody(d)
			var op request.Operation
			var body request.Body
			switch rapid.IntRange(0, 4).Draw(t, "edit") {
			case 0:
				op, body = request.PersonEnrol, &request.PersonEnrolBody{Person: custody.PersonID("p_e" + base32(i)), Kind: rapid.SampledFrom([]string{"human", "service"}).Draw(t, "kind"),
					Key: key(60 + i), Groups: some(t, "group", custody.GroupID("bots"), "risk", "treasury")}
			case 1:
				op, body = request.PersonRevoke, &request.PersonRevokeBody{Person: rapid.SampledFrom(ids).Draw(t, "who")}
			case 2:
				op, body = request.GroupSet, &request.GroupSetBody{Group: rapid.SampledFrom([]custody.GroupID{"risk", "treasury", "zoo"}).Draw(t, "group"), Members: some(t, "member", ids...)}
			case 3:
				op, body = request.WhitelistAdd, &request.WhitelistAddBody{ID: fmt.Sprintf("entry-%d", i), Chain: chain, Address: rapid.SampledFrom([]string{vendor, thief, bank}).Draw(t, "address")}
			default:
				op, body = request.WhitelistRemove, &request.WhitelistRemoveBody{ID: rapid.SampledFrom([]string{"bank", "broker", "entry-1"}).Draw(t, "entry")}
			}
			next, err := policy.Apply(custody.Production, d, op, body)
			if err != nil {
				if !errors.Is(err, policy.ErrEdit) && !errors.Is(err, policy.ErrDocument) {
					t.Fatalf("error without a kind: %v", err)
				}
				continue
			}
			if next.Version != d.Version+1 || next.PrevHash != d.Hash() {
				t.Fatal("the chain of versions is broken")
			}
			if err := next.Check(custody.Production); err != nil {
				t.Fatalf("an edit gave a document that is refused: %v", err)
			}
			if len(policy.Diff(d, next)) == 0 && op != request.GroupSet {
				t.Fatal("the edit is not told")
			}
			if b, ok := body.(*request.PersonRevokeBody); ok {
				revoked[b.Person] = true
			}
			for _, p := range next.Principals {
				if p.Active == revoked[p.ID] {
					t.Fatalf("%s is active: %t", p.ID, p.Active)
				}
			}
			d = next
		}
	})
}

func TestDiff(t *testing.T) {
	t.Parallel()
	if got := policy.Diff(sample(), successor(func(*policy.Document) {})); len(got) != 0 {
		t.Errorf("no change is told as %q", got)
	}
	next := successor(func(d *policy.Document) {
		d.Principals[0].Keys = []request.PublicKey{key(50)}
		d.Principals[4].Kind = policy.Human
		d.AddressBook[0].Address = vendor
		d.Floor = policy.Floor{MinDistinctUsers: 3, ForbidSelfApproval: false, RequestTTL: 60, MaxApprovalAge: 61}
		d.Guards = []policy.Guard{{ID: "frozen", Effect: policy.Hold, When: policy.Match{}}}
		d.Routes[0].When.AmountMax = u("2000")
		d.Routes[1].Plan.AnyOf = append(d.Routes[1].Plan.AnyOf, policy.Branch{Steps: []policy.Step{{Group: "risk", Min: 1}, {Group: "treasury", Min: 1}}})
		d.Routes = d.Routes[:2]
		d.ChangePlan = plan("treasury", 3)
		d.Groups = d.Groups[1:]
	})
	want := []string{
		"p_aaaaaaaaaaaaaaaa gains key " + string(key(50).Ref()),
		"p_aaaaaaaaaaaaaaaa loses key " + string(key(1).Ref()),
		"p_zzzzzzzzzzzzzzzz is now a human; it was a service",
		"group bots is removed; it had p_zzzzzzzzzzzzzzzz",
		"address book entry bank is now " + vendor + " on eip155:1; it was " + bank + " on eip155:1",
		"each plan now needs 3 different people at least; it needed 2",
		"forbidSelfApproval is now false",
		"a request may now live 60 seconds; it was 86400",
		"an approval now counts for 61 seconds; it was 86400",
		"guard frozen is new: hold when anything is asked",
		`guard known-only is removed; it was: deny when the operation is transfer and some destination is not whitelisted, reason not-whitelisted ("only to destinations we know")`,
		"route small is now: priority 10, when the operation is transfer and a member of bots asks and the wallet is hot and the total is at most 2000, automatic, without approvals, fee at most 5000;" +
			" it was: priority 10, when the operation is transfer and a member of bots asks and the wallet is hot and the total is at most 1000, automatic, without approvals, fee at most 5000",
		"route large is now: priority 20, when the operation is transfer, needs 2 of treasury, or 1 of risk and 1 of treasury; it was: priority 20, when the operation is transfer, needs 2 of treasury",
		"route wallets is removed; it was: priority 30, when the operation is address_create or wallet_create, needs 2 of treasury",
		"changes of the rules now need 3 of treasury; they needed 2 of treasury",
	}
	if got := policy.Diff(sample(), next); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	every := policy.Match{Initiators: []custody.PersonID{alice}, InitiatorKind: []policy.PrincipalKind{policy.Human}, Chains: []custody.ChainID{chain},
		Assets: []custody.AssetID{ether}, Destination: []policy.DestinationKind{policy.OneTime}, Books: []string{"bank"}, AmountOver: u("5"), Expr: "true"}
	if got, want := every.String(), `p_aaaaaaaaaaaaaaaa asks and a human asks and the chain is eip155:1 and the asset is eip155:1/slip44:60 and every destination is one_time`+
		` and every destination is bank of the address book and the total is more than 5 and "true" is true`; got != want {
		t.Errorf("got %s", got)
	}
}
