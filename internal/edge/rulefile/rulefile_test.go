// SPDX-License-Identifier: Apache-2.0

package rulefile_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/edge/rulefile"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

var update = flag.Bool("update", false, "rewrite golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (-update rewrites it); got\n%s", path, got)
	}
}

func example(t *testing.T) []byte {
	t.Helper()
	b, err := os.ReadFile("../../../examples/rules/two-of-three.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func parse(t *testing.T, b []byte) policy.Document {
	t.Helper()
	d, err := rulefile.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func amount(s string) *custody.Uint256 {
	u, err := custody.ParseUint256(s)
	if err != nil {
		panic(err)
	}
	return &u
}

// TestExample: the example is what production accepts, and does what its comments say.
func TestExample(t *testing.T) {
	t.Parallel()
	d := parse(t, example(t))
	if err := d.Check(custody.Production); err != nil {
		t.Fatal(err)
	}
	r, err := policy.Compile(d)
	if err != nil {
		t.Fatal(err)
	}
	const anna, bruno, chiara, payout = "p_fhuyknleoloofzfb", "p_mpsxaffd2c3lr42w", "p_ztzlrfwvaciyyhoj", "p_kt2kgezvvtvdckfr"
	for _, c := range []struct {
		who    custody.PersonID
		amount string
		to     policy.Destination
		want   string
	}{
		{payout, "100000000000000000", policy.Destination{Kind: policy.Whitelisted, Book: "bank"}, "allow small-payout true"},
		{payout, "100000000000000001", policy.Destination{Kind: policy.Whitelisted, Book: "bank"}, "allow transfers false"},
		{anna, "1", policy.Destination{Kind: policy.Whitelisted, Book: "bank"}, "allow transfers false"},
		{anna, "1", policy.Destination{Kind: policy.OneTime}, "deny known-destinations false"},
		{payout, "1", policy.Destination{Kind: policy.OneTime}, "deny known-destinations false"},
	} {
		c.to.Address, c.to.Amount = "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB", *amount(c.amount)
		if c.to.Book != "" {
			c.to.Address = d.AddressBook[0].Address
		}
		got := r.Evaluate(policy.Facts{Operation: request.Transfer, Initiator: c.who, Evidence: policy.BySignature, Wallet: "hot", Chain: "eip155:1",
			Asset: "eip155:1/slip44:60", Destinations: []policy.Destination{c.to}, Total: c.to.Amount, FeeCap: *amount("1")})
		if s := fmt.Sprintf("%s %s %t", got.Outcome, got.Rule, got.Auto); s != c.want {
			t.Errorf("%s pays %s to %s: got %s %v, want %s", c.who, c.amount, c.to.Kind, s, got.Unmet, c.want)
		}
		if got.Rule == "transfers" {
			vote := func(p custody.PersonID) policy.Vote { return policy.Vote{Person: p, Decision: request.Approve} }
			if ok, _ := got.Met(r, c.who, []policy.Vote{vote(bruno), vote(chiara)}); !ok {
				t.Error("two of three are not enough")
			}
			if ok, _ := got.Met(r, anna, []policy.Vote{vote(anna), vote(bruno)}); ok {
				t.Error("who asks may approve")
			}
		}
	}
}

func TestGolden(t *testing.T) {
	t.Parallel()
	d := parse(t, example(t))
	b, err := rulefile.Render(d)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "two-of-three.rendered.yaml", b)
	hash := d.Hash()
	golden(t, "two-of-three.hash", fmt.Appendf(nil, "%x\n", hash))
	if again := parse(t, b); again.Hash() != hash {
		t.Error("rendering changed the document")
	}
	every := parse(t, []byte(everything))
	if b, err = rulefile.Render(every); err != nil {
		t.Fatal(err)
	}
	golden(t, "everything.rendered.yaml", b)
	if again := parse(t, b); again.Hash() != every.Hash() {
		t.Error("rendering changed the document with every key")
	}
}

// everything has every key there is, lists out of order, and amounts with and without quotes.
const everything = `
schema: 1
version: 7
prevHash: 00000000000000000000000000000000000000000000000000000000000000ff
principals:
- {id: p_bbbbbbbbbbbbbbbb, kind: service, keys: [{alg: ed25519, pub: b31b801f390ee5ffe2af7dd8782568d9c640d094586bea7d7bede29cf55f9c93}]}
- {id: p_aaaaaaaaaaaaaaaa, kind: human, active: false, keys: [{alg: ed25519, pub: 7f6f3a44d1ad8ee5a9924ae577008e4ca40e4cc45f30c3052e7d65bc9c55624f}]}
- {id: p_cccccccccccccccc, kind: human, active: true, keys: [{alg: ed25519, pub: 1eecdabbc7417d672e9622f3d2e3581cf5b9c13c3034245297fb85c45403135c}]}
groups: [{id: ops, members: []}, {id: admins, members: [p_cccccccccccccccc, p_aaaaaaaaaaaaaaaa]}]
addressBook: [{id: bank, chain: "eip155:1", address: "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"}]
floor: {minDistinctUsers: 1, forbidSelfApproval: true, requestTTL: 1d2h3m4s, maxApprovalAge: 90m, minDistinctGroups: 1}
calendars:
- id: office
  zone: x
  offsets: [{from: "2026-01-01T00:00:00Z", offset: "+01:00"}]
  weekly:
  - {days: [sun, sat], from: "10:00", to: "24:00"}
  - {days: [fri, mon], from: "00:00", to: "09:30"}
  holidays: [2026-12-25, {date: 2026-12-24, from: "09:00", to: "12:00"}]
limits:
- {id: most, when: {}, measure: count, max: 3, window: {lifetime: true}, onExceed: plan, plan: {anyOf: [{steps: [{group: admins, min: 1}]}]}}
obligations:
- id: later
  title: wait
  when: {time: {outside: office}, fee: {over: 5}, source: {temperature: [warm, hot]}}
  add:
    delay: 2h
    minDistinctGroups: 2
    plan: {anyOf: [{delay: 1h, expiresAfter: 30m, deadline: 3h, steps: [{group: admins, min: 1}, {group: ops, min: 1, ordered: true, hardwareOnly: true, mustDifferFrom: [admins], veto: [ops, admins]}]}]}
- {id: also, when: {time: {inside: office}}, add: {delay: 60s}}
guards:
- id: z
  title: "yes: a title"
  effect: hold
  reasonCode: why
  when:
    operation: [transfer, address_create]
    initiator: {principals: [p_cccccccccccccccc, p_aaaaaaaaaaaaaaaa], groups: [ops], kind: [service, human]}
    source: {wallets: [hot, cold], chains: ["eip155:5", "eip155:1"], class: [token, core]}
    destination: {kind: [whitelisted, one_time], not: [whitelisted], ids: [bank]}
    asset: {ids: ["eip155:1/slip44:60"]}
    amount: {max: 100000000000000000000000000, over: "1"}
    expr: |
      count > 3 ||
        wallet == "hot"
- {id: a, effect: deny, when: {}}
routes:
- {id: late, priority: 4294967295, when: {}, auto: false, plan: {anyOf: [{steps: [{group: ops, min: 2}, {group: admins, min: 1}]}, {steps: [{group: ops, min: 3}]}]}}
- {id: early, priority: 0, when: {operation: [transfer]}, auto: true, feeCap: 12345678901234567890123}
changePlan: {anyOf: [{steps: [{group: admins, min: 1}]}]}
domain:
  recovery: {anyOf: [{steps: [{group: ops, min: 4}]}]}
  signature: {anyOf: [{steps: [{group: admins, min: 2}]}]}
  revocation: {anyOf: [{steps: [{group: admins, min: 3}, {group: ops, min: 1}]}]}
`

// TestRefused changes one line of the example and expects the error at its line and column.
func TestRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, old, new, want string }{
		{"unknown key", "  requestTTL: 24h", "  requestTTl: 24h", `line 43 column 3: floor: key "requestTTl" is not known; the keys here are forbidSelfApproval, maxApprovalAge, minDistinctGroups, minDistinctUsers, requestTTL`},
		{"unknown top key", "routes: #", "duties: #", `line 55 column 1: key "duties" is not known`},
		{"key twice", "    priority: 10", "    priority: 10\n    priority: 11", `there twice`},
		{"key missing", "    priority: 10\n", "", `line 56 column 5: routes[0]: key "priority" is missing`},
		{"a plan of the domain missing", "schema: 1", "domain: { signature: { anyOf: [] }, revocation: { anyOf: [] } }\nschema: 1", `domain: key "recovery" is missing`},
		{"another plan of the domain", "schema: 1", "domain: { quorum: { anyOf: [] } }\nschema: 1", `domain: key "quorum" is not known`},
		{"key missing at the top", "schema: 1\n", "", `key "schema" is missing`},
		{"other schema", "schema: 1", "schema: 2", "line 9 column 9: schema: schema 2 is not known"},
		{"number for text", "  - id: payout", "  - id: 7", `groups[1].id: want text (in quotes, if it looks like a number or true), got the number 7`},
		{"truth for text", "  - id: payout", "  - id: true", `got the truth value true`},
		{"date for text", "  - id: payout", "  - id: 2026-01-01", `got the date 2026-01-01`},
		{"nothing for text", "  - id: payout", "  - id:", `got nothing`},
		{"text for number", "priority: 10", `priority: "10"`, `routes[0].priority: want a whole number, got the text "10"`},
		{"hexadecimal", "priority: 10", "priority: 0x10", "0x10: want a whole number in decimal digits"},
		{"octal", "priority: 10", "priority: 010", "010: want a whole number in decimal digits"},
		{"underscore", "priority: 10", "priority: 1_0", "1_0"},
		{"negative", "priority: 10", "priority: -10", "-10: want a whole number"},
		{"fraction", "priority: 10", "priority: 1.0", "got the number 1.0"},
		{"too large", "priority: 10", "priority: 4294967296", "below 2^32"},
		{"text for truth", "auto: true", `auto: "true"`, `routes[0].auto: want true or false, got the text "true"`},
		{"loud truth", "auto: true", "auto: True", "write true or false, not True"},
		{"yes", "auto: true", "auto: yes", `want true or false, got the text "yes"`},
		{"amount with exponent", `"100000000000000000" }`, `1e17 }`, `routes[0].when.amount.max: bad amount: "1e17"`},
		{"amount with sign", `"100000000000000000" }`, `+100 }`, `bad amount: "+100"`},
		{"negative amount", `"100000000000000000" }`, `-100 }`, `bad amount: "-100"`},
		{"amount with point", `"100000000000000000" }`, `0.1 }`, `bad amount: "0.1"`},
		{"amount with unit", `"100000000000000000" }`, `0.1 ETH }`, `bad amount: "0.1 ETH"`},
		{"amount with leading zero", `"100000000000000000" }`, `"0100" }`, `bad amount: "0100"`},
		{"amount in hexadecimal", `"100000000000000000" }`, `0x64 }`, `bad amount: "0x64"`},
		{"amount with separators", `"100000000000000000" }`, `100_000 }`, `bad amount: "100_000"`},
		{"amount as a list", `"100000000000000000" }`, `[1] }`, `want an amount in base units`},
		{"amount beyond 256 bits", `"100000000000000000" }`, `"` + strings.Repeat("9", 78) + `" }`, `does not fit in 256 bits`},
		{"duration as a number", "requestTTL: 24h", "requestTTL: 24", "want a duration, for instance 24h, got the number 24"},
		{"duration with fraction", "requestTTL: 24h", "requestTTL: 1.5h", `"1.5h": want days, hours, minutes and seconds`},
		{"duration out of order", "requestTTL: 24h", "requestTTL: 3m1h", `"3m1h"`},
		{"endless duration", "requestTTL: 24h", "requestTTL: 367d", `"367d" is longer than 366 days`},
		{"empty duration", "requestTTL: 24h", `requestTTL: ""`, "want days"},
		{"text for list", "operation: [transfer]", "operation: transfer", `when.operation: want a list, for instance [a, b], got the text "transfer"`},
		{"list for keys", "initiator: { groups: [payout] }", "initiator: [payout]", `when.initiator: want keys and values (groups, kind, principals, roles), got a list`},
		{"keys for list", "members: [p_kt2kgezvvtvdckfr]", "members: {a: b}", "got keys and values"},
		{"empty list", "groups: [payout]", "groups: []", "the list is empty; leave the key out to match anything"},
		{"empty keys", "{ groups: [payout] }", "{}", "is empty; leave the key out"},
		{"empty expression", `expr: destinations.all(d, d.kind == "whitelisted")`, `expr: ""`, "is empty; leave the key out"},
		{"item twice", "wallets: [hot]", "wallets: [hot, hot]", `routes[0].when.source.wallets[1]: "hot" is in the list twice`},
		{"person twice", "p_mpsxaffd2c3lr42w # Bruno", "p_fhuyknleoloofzfb", "principals[1]: another item has the same id"},
		{"priority twice", "priority: 20", "priority: 10", "routes[1]: another item has the same id or priority"},
		{"key in base64", "pub: 7f6f3a44d1ad8ee5a9924ae577008e4ca40e4cc45f30c3052e7d65bc9c55624f", "pub: f286RNGtjuWpkkrldwCOTKQOTMRfMMMFLn1lvJxVYk8=", "principals[0].keys[0].pub: want the public key in lower-case hex"},
		{"key in capitals", "pub: 7f6f3a44", "pub: 7F6F3A44", "want the public key in lower-case hex"},
		{"key with a line break", "pub: 7f6f3a44d1ad8ee5a9924ae577008e4ca40e4cc45f30c3052e7d65bc9c55624f", `pub: "7f6f3a44d1ad8ee5a9924ae577008e4ca40e4cc45f30c3052e7d65bc9c55624f\n"`, "want the public key in lower-case hex"},
		{"key too short", "pub: 7f6f3a44d1ad8ee5a9924ae577008e4ca40e4cc45f30c3052e7d65bc9c55624f", "pub: 7f6f3a", "principals[0].keys[0]: an ed25519 key has 32 bytes, not 3"},
		{"algorithm", "alg: ed25519, pub: 7f6f3a44", "alg: rsa, pub: 7f6f3a44", `"rsa" is none`},
		{"hash", "version: 1 #", "prevHash: abc\nversion: 2 #", "prevHash: want 64 lower-case hex digits"},
		{"hash in capitals", "version: 1 #", "prevHash: " + strings.Repeat("AB", 32) + "\nversion: 2 #", "prevHash: want 64 lower-case hex digits"},
		{"alias", "effect: deny", "effect: *x", "line 52 column 13: not YAML: unknown anchor 'x' referenced"},
		{"anchor", "effect: deny", "effect: &x deny", "guards[0].effect: anchors and aliases are not allowed"},
		{"anchor used", "    effect: deny", "    effect: &x deny\n    title: *x", "anchors and aliases are not allowed"},
		{"merge key", "    effect: deny", "    <<: {effect: deny}", `key "<<" is not known`},
		{"tag", "effect: deny", "effect: !!str deny", "the tag !!str is not allowed"},
		{"own tag", "effect: deny", "effect: !deny deny", "the tag !deny is not allowed"},
		{"number as a key", "    effect: deny", "    7: deny", `key "7" is not known`},
		{"list as a key", "    effect: deny", "    ? [a]\n    : deny", `is not known`},
		{"two documents", "changePlan: #", "---\nchangePlan: #", "a second document begins"},
		{"broken YAML", "    effect: deny", "    effect: [deny", "not YAML"},
		{"tab", "    effect: deny", "\teffect: deny", "not YAML"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if !bytes.Contains(example(t), []byte(c.old)) {
				t.Fatalf("the example has no %q", c.old)
			}
			_, err := rulefile.Parse(bytes.Replace(example(t), []byte(c.old), []byte(c.new), 1))
			var e *rulefile.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want a *rulefile.Error", err)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %s\nwant %s", err, c.want)
			}
			if e.Line == 0 {
				t.Errorf("no line: %v", err)
			}
		})
	}
}

func TestRefusedFiles(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ in, want string }{
		"empty":    {"", "the file is empty"},
		"comments": {"# nothing\n", "the file is empty"},
		"nothing":  {"~", "want keys and values"},
		"text":     {"hello", "want keys and values"},
		"list":     {"[1, 2]", "got a list"},
		"bytes":    {"\xff\xfe\x00", "not YAML"},
		"too long": {strings.Repeat("#", rulefile.MaxSize+1), "more than"},
		"deep":     {strings.Repeat("[", 20000), "not YAML"},
	} {
		_, err := rulefile.Parse([]byte(c.in))
		var e *rulefile.Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func TestDurations(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]int64{"24h": 86400, "1d": 86400, "90m": 5400, "61s": 61, "1d2h3m4s": 93784, "30d": 2592000} {
		d := parse(t, bytes.Replace(example(t), []byte("requestTTL: 24h"), []byte("requestTTL: "+in), 1))
		if d.Floor.RequestTTL != want {
			t.Errorf("%s: got %d, want %d", in, d.Floor.RequestTTL, want)
		}
	}
}

// TestRenderedIsRead: whatever a document holds, its file is read as the same document.
func TestRenderedIsRead(t *testing.T) {
	t.Parallel()
	base := parse(t, example(t))
	word := rapid.OneOf(rapid.SampledFrom([]string{"true", "null", "~", "7", "1e5", "0x1", "yes", "2026-01-01", " a ", "a: b", "#", "- x", "'", `"`, "a\nb", "\t", "é", "|", "*x", "&x", "!t", "{}", "[", "%", "@", "`"}), rapid.StringMatching(`[ -~\n\t]{1,40}`))
	rapid.Check(t, func(t *rapid.T) {
		d := base
		d.Version = rapid.Uint64().Draw(t, "version")
		d.PrevHash[3] = rapid.Byte().Draw(t, "hash")
		d.Floor.RequestTTL = rapid.Int64Range(1, 366*86400).Draw(t, "ttl")
		d.Guards = []policy.Guard{{ID: word.Draw(t, "id"), Title: rapid.OneOf(rapid.Just(""), word).Draw(t, "title"), Effect: policy.Effect(word.Draw(t, "effect")), When: policy.Match{
			Expr: rapid.OneOf(rapid.Just(""), word).Draw(t, "expr"), Wallets: []custody.WalletID{custody.WalletID(word.Draw(t, "wallet"))}}}}
		d.Routes = []policy.Route{{ID: word.Draw(t, "route"), Priority: rapid.Uint32().Draw(t, "priority"), Auto: rapid.Bool().Draw(t, "auto"),
			FeeCap: amount(fmt.Sprint(rapid.Uint64().Draw(t, "fee"))), When: policy.Match{AmountOver: amount("0")}}}
		b, err := rulefile.Render(d)
		if err != nil {
			t.Fatal(err)
		}
		again, err := rulefile.Parse(b)
		if err != nil {
			t.Fatalf("%v\n%s", err, b)
		}
		if !bytes.Equal(again.Encode(), d.Encode()) {
			t.Fatalf("read as another document:\n%s\n%v", b, policy.Diff(d, again))
		}
	})
}

// FuzzParse: whatever is read is rendered to a file that reads the same, and what Check accepts has one canonical encoding.
func FuzzParse(f *testing.F) {
	b, err := os.ReadFile("../../../examples/rules/two-of-three.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(everything))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := rulefile.Parse(b)
		if err != nil {
			var e *rulefile.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want a *rulefile.Error", err)
			}
			return
		}
		out, err := rulefile.Render(d)
		if err != nil {
			t.Fatal(err)
		}
		again, err := rulefile.Parse(out)
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if !bytes.Equal(again.Encode(), d.Encode()) {
			t.Fatalf("read as another document:\n%s", out)
		}
		if d.Check(custody.Evaluation) == nil {
			if _, err := policy.DecodeDocument(d.Encode()); err != nil {
				t.Fatal(err)
			}
		}
	})
}
