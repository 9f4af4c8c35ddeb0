// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/accounts"
	"github.com/ethereum/go-ethereum/crypto"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// ledgerWorld has the document with settings, changed, and the wallet hot with three addresses.
func ledgerWorld(t tester, change func(*policy.Document)) *world {
	t.Helper()
	d := ledgerDocument()
	if change != nil {
		change(&d)
	}
	w := worldOf(t, d)
	w.must(t, w.effect(t, w.approved(t, request.WalletCreate, request.WalletCreateBody{Wallet: "hot", Chain: evm, Scheme: request.SchemeEVM}, "bob")))
	w.must(t, w.effect(t, w.approved(t, request.AddressCreate, request.AddressCreateBody{Wallet: "hot", Count: 2})))
	return w
}

func payTo(address string, v uint64) request.TransferBody {
	b := payEVM(v)
	b.Outputs[0].Address = address
	return b
}

// rule gives what decides on a payment, and the outcome.
func (w *world) ramped(t tester, address string, v uint64) string {
	t.Helper()
	d := w.asked(t, who("alice"), w.request(who("alice"), request.Transfer, payTo(address, v))).Decision
	return fmt.Sprintf("%s %s", d.Outcome, d.Rule)
}

func decides(t tester, got, want string) {
	t.Helper()
	if got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
}

// A new destination is paid no more than the ramp lets it in any 24 hours: reserved when asked, free when cancelled, used by the permit, and
// without bound once it is old enough.
func TestRamp(t *testing.T) {
	t.Parallel()
	w := ledgerWorld(t, nil)
	if err := w.add(t, "vendor", 1, nil); err != nil {
		t.Fatal(err)
	}
	decides(t, w.ramped(t, addressOf(1), 1000), "allow pay") // a stranger's rules are for it while it cools off: here they let it
	w.advance(2 * time.Hour)
	decides(t, w.ramped(t, addressOf(1), 100), "allow pay")
	decides(t, w.ramped(t, addressOf(1), 101), "deny whitelist-ramp")
	decides(t, w.ramped(t, known, 1_000_000), "allow pay") // of the first document: of old
}

func TestRampTakes(t *testing.T) {
	t.Parallel()
	w := ledgerWorld(t, nil)
	if err := w.add(t, "vendor", 1, nil); err != nil {
		t.Fatal(err)
	}
	w.advance(2 * time.Hour)
	first := w.approved(t, request.Transfer, payTo(addressOf(1), 60), "bob", "carol")
	decides(t, w.ramped(t, addressOf(1), 41), "deny whitelist-ramp")
	decides(t, w.ramped(t, addressOf(1), 40), "allow pay")
	w.must(t, w.approval(t, first, who("alice"), request.Cancel))
	decides(t, w.ramped(t, addressOf(1), 100), "allow pay")
	second := w.approved(t, request.Transfer, payTo(addressOf(1), 60), "bob", "carol")
	w.must(t, w.permit(t, second, "a", account0(0), 1))
	decides(t, w.ramped(t, addressOf(1), 41), "deny whitelist-ramp")
	w.advance(23 * time.Hour)
	decides(t, w.ramped(t, addressOf(1), 41), "deny whitelist-ramp")
	decides(t, restoredWorld(t, w).ramped(t, addressOf(1), 41), "deny whitelist-ramp")
	w.advance(90 * time.Minute)
	decides(t, w.ramped(t, addressOf(1), 100), "allow pay")
	w.advance(24 * time.Hour)
	decides(t, w.ramped(t, addressOf(1), 1_000_000), "allow pay")
	decides(t, w.ramped(t, addressOf(2), 1_000_000), "allow pay") // a stranger: no ramp leads there, the document's rules do
	forged := w.asked(t, who("alice"), w.request(who("alice"), request.Transfer, payTo(addressOf(1), 5)))
	forged.Decision.Limits = []policy.Charge{{Limit: policy.RuleRamp, Group: []string{"x"}, Amount: custody.U64(1)}}
	w.refused(t, "a charge of another form", forged)
	w.audited(t)
}

func restoredWorld(t tester, w *world) *world {
	t.Helper()
	out := *w
	out.s = restored(t, w.s)
	return &out
}

// An asset that a step does not name is not paid, and what entries are lost used is used up.
func TestRampIsStrict(t *testing.T) {
	t.Parallel()
	w := ledgerWorld(t, func(d *policy.Document) {
		d.Whitelist.Ramp[0].Caps[0].Asset = "eip155:1337/erc20:" + custody.AssetID(addressOf(9))
	})
	if err := w.add(t, "vendor", 1, nil); err != nil {
		t.Fatal(err)
	}
	w.advance(2 * time.Hour)
	decides(t, w.ramped(t, addressOf(1), 1), "deny whitelist-ramp")
	w.advance(2 * 24 * time.Hour)
	decides(t, w.ramped(t, addressOf(1), 1), "allow pay")
	w.s.useUp(entry.Leaf{Time: w.now, Bound: w.bound})
	w.s.anchoring = &Anchoring{Incarnation: 2, GapAt: w.now}
	if got := w.to(addressOf(1)); got.Kind != policy.Cooling || got.Age != 0 {
		t.Fatalf("after a gap: %+v", got)
	}
	w.advance(2 * time.Hour)
	decides(t, w.ramped(t, addressOf(1), 1), "deny whitelist-ramp")
}

func TestBlacklist(t *testing.T) {
	t.Parallel()
	w := ledgerWorld(t, nil)
	decides(t, w.ramped(t, known, 1), "allow pay")
	if err := w.carries(t, request.BlacklistAdd, request.BlacklistAddBody{Chain: evm, Address: known, Reason: "sanctions"}); err != nil {
		t.Fatal(err)
	}
	decides(t, w.ramped(t, known, 1), "deny blacklist")
	if err := w.carries(t, request.BlacklistAdd, request.BlacklistAddBody{Chain: evm, Address: known}); kindOfProblem(err) != problem.Conflict {
		t.Fatal(err)
	}
	if err := w.carries(t, request.BlacklistAdd, request.BlacklistAddBody{Chain: evm, Address: addressOf(3)}); err != nil {
		t.Fatal(err)
	}
	if err := w.add(t, "x", 3, nil); kindOfProblem(err) != problem.RefusedByRule {
		t.Fatal(err)
	}
	// One person alone blocks, a service or somebody without a say does not; unblocking takes the plan.
	for name, want := range map[string]string{"dave": "deny whitelist-plan", "bob": "allow whitelist-plan"} {
		d := w.asked(t, who(name), w.request(who(name), request.BlacklistAdd, request.BlacklistAddBody{Chain: evm, Address: addressOf(4)})).Decision
		decides(t, fmt.Sprintf("%s %s", d.Outcome, d.Rule), want)
		if d.Outcome == policy.Allowed && !d.Auto {
			t.Fatal("it waits for approvals")
		}
	}
	d := w.asked(t, who("bob"), w.request(who("bob"), request.BlacklistRemove, request.BlacklistRemoveBody{Chain: evm, Address: known})).Decision
	if d.Auto || d.Rule != policy.RuleWhitelistPlan || d.Also != nil {
		t.Fatalf("%+v", d)
	}
	if err := w.carries(t, request.BlacklistRemove, request.BlacklistRemoveBody{Chain: evm, Address: known}); err != nil {
		t.Fatal(err)
	}
	decides(t, w.ramped(t, known, 1), "allow pay")
	w.audited(t)
}

// Who approves under the rules of before does not let through what is suspended meanwhile, and a further attempt is not signed either.
func TestSuspensionReachesWhatWaits(t *testing.T) {
	t.Parallel()
	w := ledgerWorld(t, nil)
	waits := w.approved(t, request.Transfer, payTo(known, 5), "bob", "carol")
	signed := w.approved(t, request.Transfer, payTo(known, 6), "bob", "carol")
	w.must(t, w.permit(t, signed, "a", account0(0), 1))
	if err := w.carries(t, request.WhitelistSuspend, request.WhitelistSuspendBody{ID: "exchange"}); err != nil {
		t.Fatal(err)
	}
	p, _ := w.s.Pending(waits)
	if err := w.s.Ready(p, w.at(), Derive); kindOfProblem(err) != problem.RefusedByRule || !strings.Contains(err.Error(), policy.RuleSuspended) {
		t.Fatal(err)
	}
	if b := w.permit(t, signed, "b", account0(0), 2); b.Decision.Outcome == policy.Allowed {
		t.Fatal("another attempt is allowed")
	}
}

// A proof of ownership has to hold for this address, this name and this domain; kinds that the rules don't take are refused.
func TestOwnership(t *testing.T) {
	t.Parallel()
	w := ledgerWorld(t, func(d *policy.Document) {
		d.Whitelist.Proofs = []request.ProofKind{request.SatoshiTest, request.SignedMessage}
	})
	key, err := crypto.ToECDSA(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	address := crypto.PubkeyToAddress(key.PublicKey).Hex()
	signed := func(id string) *request.Ownership {
		sig, err := crypto.Sign(accounts.TextHash([]byte(request.Challenge(w.s.Authority, w.s.Domain, id, evm, address))), key)
		if err != nil {
			t.Fatal(err)
		}
		return &request.Ownership{Kind: request.SignedMessage, Scheme: request.EIP191, Sig: sig}
	}
	amount := request.SatoshiAmount(w.s.Authority, w.s.Domain, "mine", evm, address)
	paid := func(change func(*request.Ownership)) *request.Ownership {
		o := &request.Ownership{Kind: request.SatoshiTest, Wallet: "hot", Index: 2, Amount: amount, TxID: "0xabc"}
		change(o)
		return o
	}
	broken := signed("mine")
	broken.Sig[40] ^= 1
	for name, c := range map[string]struct {
		proof *request.Ownership
		want  problem.Kind
	}{
		"none":            {nil, problem.Conflict},
		"attested":        {&request.Ownership{Kind: request.Attested, Note: "we know them"}, problem.Conflict},
		"for another":     {signed("yours"), problem.Unauthenticated},
		"broken":          {broken, problem.Unauthenticated},
		"wrong amount":    {paid(func(o *request.Ownership) { o.Amount++ }), problem.Unauthenticated},
		"no such wallet":  {paid(func(o *request.Ownership) { o.Wallet = "cold" }), problem.Conflict},
		"no such address": {paid(func(o *request.Ownership) { o.Index = 3 }), problem.Conflict},
	} {
		err := w.carries(t, request.WhitelistAdd, request.WhitelistAddBody{ID: "mine", Chain: evm, Address: address, Proof: c.proof})
		if kindOfProblem(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	if err := w.carries(t, request.WhitelistAdd, request.WhitelistAddBody{ID: "mine", Chain: evm, Address: address, Proof: signed("mine")}); err != nil {
		t.Fatal(err)
	}
	if x, ok := w.s.BookEntry("mine", w.at()); !ok || x.Proof != request.SignedMessage || x.Standing != policy.Cooling {
		t.Fatalf("%+v", x)
	}
	if err := w.carries(t, request.WhitelistRemove, request.WhitelistRemoveBody{ID: "mine"}); err != nil {
		t.Fatal(err)
	}
	if err := w.carries(t, request.WhitelistAdd, request.WhitelistAddBody{ID: "mine", Chain: evm, Address: address, Proof: paid(func(*request.Ownership) {})}); err != nil {
		t.Fatal(err)
	}
	w.audited(t)
}

// documentAfter changes the current document by a policy_change.
func (w *world) changes(t tester, change func(*policy.Document)) error {
	t.Helper()
	next, err := policy.DecodeDocument(w.s.Doc.Encode())
	if err != nil {
		t.Fatal(err)
	}
	next.Version, next.PrevHash = next.Version+1, w.s.Doc.Hash()
	change(&next)
	return w.carries(t, request.PolicyChange, request.PolicyChangeBody{Document: next.Encode()})
}

// Settings come and go with the document, and the ledger and the document never contradict each other.
func TestLedgerAndDocument(t *testing.T) {
	t.Parallel()
	w := emptyWorld(t)
	settings := ledgerDocument()
	if w.s.governanceImage() != nil {
		t.Fatal("there is a section although nothing is in it")
	}
	if err := w.carries(t, request.WhitelistSuspend, request.WhitelistSuspendBody{ID: "exchange"}); kindOfProblem(err) != problem.Conflict {
		t.Fatalf("without a ledger: %v", err)
	}
	add := func(d *policy.Document) {
		d.Whitelist, d.Counterparties = settings.Whitelist, settings.Counterparties
		d.AddressBook = append(d.AddressBook, policy.BookEntry{ID: "fresh", Chain: evm, Address: addressOf(1)})
	}
	if err := w.changes(t, add); err != nil {
		t.Fatal(err)
	}
	if old, fresh := w.to(known), w.to(addressOf(1)); old.Kind != policy.Whitelisted || fresh.Kind != policy.Cooling {
		t.Fatalf("%+v, %+v", old, fresh)
	}
	if err := w.add(t, "vendor", 2, func(b *request.WhitelistAddBody) { b.Counterparty = "acme" }); err != nil {
		t.Fatal(err)
	}
	w.advance(2 * time.Hour)
	for name, change := range map[string]func(*policy.Document){
		"same id": func(d *policy.Document) {
			d.AddressBook = append(d.AddressBook, policy.BookEntry{ID: "vendor", Chain: evm, Address: addressOf(3)})
		},
		"same address": func(d *policy.Document) {
			d.AddressBook = append(d.AddressBook, policy.BookEntry{ID: "zz", Chain: evm, Address: addressOf(2)})
		},
		"counterparty": func(d *policy.Document) { d.Counterparties = d.Counterparties[1:] },
	} {
		if err := w.changes(t, change); kindOfProblem(err) != problem.Conflict {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := w.changes(t, func(d *policy.Document) { d.AddressBook[1].Address = addressOf(4) }); err != nil {
		t.Fatal(err)
	}
	if moved, gone, stays := w.to(addressOf(4)), w.to(known), w.to(addressOf(1)); moved.Kind != policy.Cooling || gone.Book != "" || stays.Kind != policy.Whitelisted {
		t.Fatalf("%+v, %+v, %+v", moved, gone, stays)
	}
	compare := restored(t, w.s)
	if a, b := compare.destination(evm, addressOf(2), w.at()), w.to(addressOf(2)); a != b || a.Counterparty != "acme" {
		t.Fatalf("%+v, %+v", a, b)
	}
	w.s.paid.add(evm, known)
	if err := w.changes(t, func(d *policy.Document) { d.Whitelist = nil }); err != nil {
		t.Fatal(err)
	}
	if got := w.to(addressOf(2)); got.Kind != policy.OneTime || got.Book != "" || w.s.paid.chain.length() != 0 {
		t.Fatalf("without settings: %+v", got)
	}
	if err := w.changes(t, func(d *policy.Document) { d.Whitelist = settings.Whitelist }); err != nil {
		t.Fatal(err)
	}
	if got := w.to(addressOf(2)); got.Kind != policy.Whitelisted {
		t.Fatalf("with settings again: %+v", got)
	}
	restored(t, w.s)
}

// A document that touches who may be paid needs the plan of the address book besides.
func TestTouchingTheBookNeedsItsPlan(t *testing.T) {
	t.Parallel()
	w := ledgerWorld(t, func(d *policy.Document) {
		d.Groups = append([]policy.Group{{ID: "book", Members: []custody.PersonID{who("carol").id, who("dave").id}}}, d.Groups...)
		slices.Sort(d.Groups[0].Members)
		d.Whitelist.Plan = policy.Plan{AnyOf: []policy.Branch{{Steps: []policy.Step{{Group: "book", Min: 1}}}}}
	})
	next := func(change func(*policy.Document)) []policy.Requirement {
		d, err := policy.DecodeDocument(w.s.Doc.Encode())
		if err != nil {
			t.Fatal(err)
		}
		d.Version, d.PrevHash = d.Version+1, w.s.Doc.Hash()
		change(&d)
		return w.asked(t, who("alice"), w.request(who("alice"), request.PolicyChange, request.PolicyChangeBody{Document: d.Encode()})).Decision.Also
	}
	for name, c := range map[string]struct {
		change func(*policy.Document)
		want   int
	}{
		"a route": {func(d *policy.Document) {
			d.Routes[1].Priority = 17
			d.Routes = append(d.Routes[:1], append(d.Routes[2:], d.Routes[1])...)
		}, 0},
		"an entry":         {func(d *policy.Document) { d.AddressBook = d.AddressBook[1:] }, 1},
		"a counterparty":   {func(d *policy.Document) { d.Counterparties = nil }, 1},
		"the cool-off":     {func(d *policy.Document) { d.Whitelist.CoolOff++ }, 1},
		"the plan":         {func(d *policy.Document) { d.Whitelist.Plan = d.ChangePlan }, 2},
		"its people":       {func(d *policy.Document) { d.Groups[0].Members = d.Groups[1].Members }, 2},
		"no more ledger":   {func(d *policy.Document) { d.Whitelist = nil }, 2},
		"one more blocked": {func(d *policy.Document) { d.Blacklist = []policy.Blocked{{Chain: evm, Address: known}} }, 0},
	} {
		also := next(c.change)
		if n := len(slices.DeleteFunc(also, func(r policy.Requirement) bool { return r.Rule != policy.RuleWhitelistPlan })); n != c.want {
			t.Errorf("%s: %d requirements, want %d: %+v", name, n, c.want, also)
		}
	}
	d := w.asked(t, who("alice"), w.request(who("alice"), request.WhitelistAdd, request.WhitelistAddBody{ID: "x", Chain: evm, Address: addressOf(1)})).Decision
	if d.Rule != policy.RuleWhitelistPlan || d.Plan.String() != "1 of book" {
		t.Fatalf("%+v", d)
	}
}

// What lost entries took from the ramp nobody knows: it counts as used up for a day.
func TestGapUsesTheRampUp(t *testing.T) {
	t.Parallel()
	w := ledgerWorld(t, func(d *policy.Document) { d.Whitelist.CoolOff = 0 })
	if err := w.add(t, "vendor", 1, nil); err != nil {
		t.Fatal(err)
	}
	decides(t, w.ramped(t, addressOf(1), 100), "allow pay")
	w.s.useUp(entry.Leaf{Time: w.now, Bound: w.bound})
	decides(t, w.ramped(t, addressOf(1), 1), "deny whitelist-ramp")
	w.advance(23 * time.Hour)
	decides(t, w.ramped(t, addressOf(1), 1), "deny whitelist-ramp")
	w.advance(2 * time.Hour)
	decides(t, w.ramped(t, addressOf(1), 100), "allow pay")
}

// An image whose ledger contradicts itself or its document is refused: a snapshot is nobody's word.
func TestRestoreRefusesAForeignLedger(t *testing.T) {
	t.Parallel()
	vendor := &policy.BookEntry{ID: "vendor", Chain: evm, Address: addressOf(1)}
	for name, records := range map[string][]ledgerRecord{
		"removed and not there":   {{Act: struck, ID: "vendor"}},
		"added twice":             {{Act: listed, ID: "vendor", Entry: vendor}, {Act: listed, ID: "vendor", Entry: vendor}},
		"under another name":      {{Act: listed, ID: "other", Entry: vendor}},
		"without an entry":        {{Act: listed, ID: "vendor"}},
		"with one":                {{Act: listed, ID: "vendor", Entry: vendor}, {Act: halted, ID: "vendor", Entry: vendor}},
		"the document's, removed": {{Act: struck, ID: "exchange"}},
		"dropped":                 {{Act: dropped, ID: "exchange"}},
		"not the document's":      {{Act: noted, ID: "vendor"}},
		"unknown act":             {{Act: listed, ID: "vendor", Entry: vendor}, {Act: 9, ID: "vendor"}},
	} {
		w := ledgerWorld(t, nil)
		for _, r := range records {
			w.s.book.ledger.add(canon.Encode(r), 0)
		}
		img, chunks := w.s.Image(), w.s.Chunks()
		if _, err := Restore(img, func(h [32]byte) ([]byte, error) { return chunks[h], nil }); err == nil {
			t.Errorf("%s: restored", name)
		}
	}
	w := ledgerWorld(t, nil)
	w.s.paid.chain.add(make([]byte, 23), 0)
	if _, err := Restore(w.s.Image(), nil); err == nil {
		t.Error("a paid destination of another length: restored")
	}
}
