// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"strongroom/client"
	"strongroom/internal/edge/keyfile"
	"strongroom/internal/edge/secondopinion"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// TestEveryKindHasAStatus shows that no problem ends with status 0 or an unknown one.
func TestEveryKindHasAStatus(t *testing.T) {
	t.Parallel()
	for _, k := range problem.Kinds() {
		if c := exitOf(k); c < exitError || c > exitAlarm || c == exitUsage {
			t.Errorf("%s: exit status %d", k, c)
		}
	}
	if exitOf("nothing") != -1 {
		t.Error("an unknown kind has a status of its own")
	}
}

func TestStatusAndWords(t *testing.T) {
	t.Parallel()
	wire := func(k problem.Kind) error {
		return &client.Problem{Problem: apiv1.Problem{Kind: k, Detail: "the detail", Rule: "the-rule", RequestID: "the-id", Incident: "i1",
			Unmet: []problem.Unmet{{Rule: "r", Criterion: "c", Observed: "o"}}}}
	}
	for _, tt := range []struct {
		name string
		err  error
		code int
		says []string
	}{
		{"nothing", nil, exitOK, nil},
		{"usage", usage("bad"), exitUsage, []string{"error: bad"}},
		{"hinted", hint(errors.New("bad"), "do %s", "this"), exitError, []string{"error: bad", "hint: do this"}},
		{"hinted usage", hint(usage("bad"), "do"), exitUsage, []string{"hint: do"}},
		{"hinted with a status", &hinted{err: errors.New("bad"), hint: "x", code: exitPending}, exitPending, []string{"hint: x"}},
		{"refused", wire(problem.RefusedByRule), exitRefused, []string{"error: the detail", "rule: the-rule (refused-by-rule)", "not met: r: c: o", "incident: i1", "policy show"}},
		{"quorum", wire(problem.QuorumNotMet), exitPending, []string{"request approve the-id"}},
		{"key reuse", wire(problem.IdempotencyReuse), exitConflict, []string{"--idempotency-key"}},
		{"wrapped", fmt.Errorf("x: %w", wire(problem.NotFound)), exitNotFound, nil},
		{"unknown kind", wire("new-kind"), exitError, nil},
		{"local problem", problem.New(problem.Forbidden, "no"), exitForbidden, []string{"error: forbidden: no"}},
		{"alarm", fmt.Errorf("x: %w", &secondopinion.Alarm{About: "output 0", First: "1", Second: "2"}), exitAlarm, []string{"ALARM", "hint: nothing was signed"}},
		{"disagrees", fmt.Errorf("x: %w", client.ErrDisagrees), exitAlarm, []string{"hint: nothing was signed"}},
		{"other domain", fmt.Errorf("x: %w", client.ErrOtherDomain), exitError, []string{"--domain, --identity and --server"}},
		{"nobody there", fmt.Errorf("x: %w", &net.OpError{Op: "dial", Err: errors.New("refused")}), exitTryAgain, []string{"is serve running"}},
		{"taken port", fmt.Errorf("x: %w", &net.OpError{Op: "listen", Err: errors.New("in use")}), exitError, []string{"--listen"}},
		{"passphrase", keyfile.ErrPassphrase, exitError, []string{"try again"}},
		{"late", context.DeadlineExceeded, exitError, []string{"it may still happen"}},
		{"several lines", errors.New("a\nb"), exitError, []string{"error: a; b"}},
		{"told already", silent(7), 7, nil},
	} {
		var b bytes.Buffer
		if got := report(&b, tt.err, "", false); got != tt.code {
			t.Errorf("%s: exit status %d, want %d", tt.name, got, tt.code)
		}
		for _, s := range tt.says {
			if !strings.Contains(b.String(), s) {
				t.Errorf("%s: %q does not say %q", tt.name, b.String(), s)
			}
		}
	}
}

func TestAmounts(t *testing.T) {
	t.Parallel()
	eth, btc := custody.EVMChain(1).Native(), custody.BitcoinRegtest.Native()
	token := custody.AssetID("eip155:1/erc20:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed")
	for _, tt := range []struct {
		asset custody.AssetID
		in    string
		want  string // empty: refused
	}{
		{eth, "0", "0"}, {eth, "1", "1"}, {eth, "1wei", "1"}, {eth, "1eth", "1000000000000000000"}, {eth, "0.5ETH", "500000000000000000"},
		{eth, "1.000000000000000001eth", "1000000000000000001"}, {eth, "20gwei", "20000000000"}, {eth, "0.000000001gwei", "1"}, {eth, "0eth", "0"},
		{btc, "1btc", "100000000"}, {btc, "0.00000001btc", "1"}, {btc, "2000sat", "2000"}, {token, "5", "5"},
		{eth, "", ""}, {eth, "-1", ""}, {eth, "+1", ""}, {eth, "1e3", ""}, {eth, "01", ""}, {eth, "1.5", ""}, {eth, "1.5wei", ""}, {eth, "eth", ""},
		{eth, ".5eth", ""}, {eth, "1.eth", ""}, {eth, "1.0000000000000000001eth", ""}, {eth, "-1eth", ""}, {eth, "1 eth", ""}, {eth, "01eth", ""},
		{eth, "1,5eth", ""}, {eth, "0x1eth", ""}, {eth, "1btc", ""}, {btc, "1eth", ""}, {btc, "1.5sat", ""}, {btc, "0.000000001btc", ""},
		{token, "1eth", ""}, {token, "1wei", ""}, {eth, "1" + strings.Repeat("0", 78), ""},
	} {
		got, err := amountOf(tt.asset, tt.in)
		if tt.want == "" {
			var bad *usageError
			if !errors.As(err, &bad) {
				t.Errorf("%s %q: got %s, error %v, want a usage error", tt.asset, tt.in, got, err)
			}
			continue
		}
		if err != nil || got.String() != tt.want {
			t.Errorf("%s %q: got %s, error %v, want %s", tt.asset, tt.in, got, err, tt.want)
		}
	}
}

func TestChainsAndAssets(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]custody.ChainID{"bitcoin": custody.BitcoinMainnet, "bitcoin-regtest": custody.BitcoinRegtest,
		"ethereum": "eip155:1", "eip155:1337": "eip155:1337", "dogecoin": "", "eip155:0": ""} {
		got, err := chainOf(in)
		if (err == nil) != (want != "") || err == nil && got != want {
			t.Errorf("%s: got %s, error %v", in, got, err)
		}
	}
	const contract = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
	for _, tt := range []struct {
		chain custody.ChainID
		in    string
		want  custody.AssetID
	}{
		{"eip155:1", "", "eip155:1/slip44:60"}, {"eip155:1", "native", "eip155:1/slip44:60"}, {"", "eip155:5/slip44:60", "eip155:5/slip44:60"},
		{"eip155:1", "erc20:" + contract, "eip155:1/erc20:" + contract}, {"", "native", ""}, {"eip155:1", "dollars", ""}, {"", "eip155:1/slip44:0", ""},
		{custody.BitcoinRegtest, "erc20:" + contract, ""}, {"", "ethereum/native", "eip155:1/slip44:60"}, {"", "bitcoin-regtest/native", custody.BitcoinRegtest.Native()},
		{"", "eip155:5/erc20:" + contract, "eip155:5/erc20:" + contract}, {"", "dogecoin/native", ""}, {"", "", ""}, {"eip155:1", "eip155:1/native", "eip155:1/slip44:60"},
		{"eip155:1", "eip155:5/slip44:60", ""},
	} {
		got, err := assetOf(tt.chain, tt.in)
		if (err == nil) != (tt.want != "") || err == nil && got != tt.want {
			t.Errorf("%s %q: got %s, error %v", tt.chain, tt.in, got, err)
		}
	}
}

func TestNodeFlag(t *testing.T) {
	t.Parallel()
	n, err := nodeOf("bitcoin-regtest=http://127.0.0.1:1/a=b,user=u,password-file=f,ca-file=c,confirmations=3,poll=2s,bump-after=1m,scan-from=9")
	if err != nil || n.Chain != custody.BitcoinRegtest || n.RPC != "http://127.0.0.1:1/a=b" || n.User != "u" || n.PasswordFile != "f" || n.CAFile != "c" ||
		n.Confirmations != 3 || n.Poll.Seconds() != 2 || n.BumpAfter.Minutes() != 1 || n.ScanFrom != 9 {
		t.Errorf("got %+v, error %v", n, err)
	}
	if n, err = nodeOf("ethereum=http://x,no-simulation"); err != nil || !n.NoSimulation {
		t.Errorf("got %+v, error %v", n, err)
	}
	for _, bad := range []string{"", "bitcoin", "nowhere=http://x", "ethereum=http://x,colour=red", "ethereum=http://x,confirmations=-1", "ethereum=http://x,poll=soon", "ethereum=http://x,no-simulation=yes"} {
		if _, err := nodeOf(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func someone(label string, kind policy.PrincipalKind, last byte) member {
	return member{label: label, kind: kind, Public: keyfile.Public{Person: custody.PersonID("p_aaaaaaaaaaaaaaa" + string(last)), Alg: request.Ed25519, Pub: make([]byte, 32)}}
}

func TestFillKeepsLines(t *testing.T) {
	t.Parallel()
	who := []member{someone("alice", policy.Human, 'b'), someone("bob", policy.Human, 'c'), someone("pay", policy.Service, 'd')}
	in := `schema: 1 # alice
groups:
  - { id: alice, members: [bob, alice] } # bob
  - id: payout
    members:
      - pay
routes:
  - { id: r, when: { initiator: { principals: [alice, pay], groups: [alice] } } }
guards:
  - when: { initiator: { principals: [bob] } }
changePlan: x`
	want := `schema: 1 # alice
groups:
  - { id: alice, members: [p_aaaaaaaaaaaaaaac, p_aaaaaaaaaaaaaaab] } # bob
  - id: payout
    members:
      - p_aaaaaaaaaaaaaaad
routes:
  - { id: r, when: { initiator: { principals: [p_aaaaaaaaaaaaaaab, p_aaaaaaaaaaaaaaad], groups: [alice] } } }
guards:
  - when: { initiator: { principals: [p_aaaaaaaaaaaaaaac] } }
changePlan: x
principals:
`
	got, err := fill([]byte(in), who)
	if err != nil || !strings.HasPrefix(string(got), want) {
		t.Fatalf("error %v, got\n%s", err, got)
	}
	for _, m := range who {
		if !strings.Contains(string(got)[len(want):], fmt.Sprintf("{ id: %s, kind: %s, ", m.Person, m.kind)) {
			t.Errorf("%s is no principal in\n%s", m.label, got)
		}
	}
	again, err := fill(got, who)
	if err != nil || !bytes.Equal(again, got) {
		t.Errorf("filling twice changes the file: error %v", err)
	}
	if _, err := fill([]byte("groups: [ { members: [\"alice\"] } ]"), who); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("a quoted label: error %v", err)
	}
	for _, strange := range []string{"", "[", "- a", "groups: alice", "groups: [[alice]]", "a: *b"} {
		if _, err := fill([]byte(strange), who); err != nil {
			t.Errorf("%q is for the reader of rule files to refuse: %v", strange, err)
		}
	}
}

// FuzzFill: whatever the file, filling does not move a line.
func FuzzFill(f *testing.F) {
	f.Add("groups:\n  - { id: g, members: [alice, bob] }\nroutes: []\n")
	f.Add("groups: [ { members: [ \"alice\", ä, alice ] } ]")
	who := []member{someone("alice", policy.Human, 'b'), someone("bob", policy.Human, 'c')}
	f.Fuzz(func(t *testing.T, s string) {
		out, err := fill([]byte(s), who)
		if err != nil {
			return
		}
		before, after := strings.Split(s, "\n"), strings.Split(string(out), "\n")
		if len(after) < len(before) {
			t.Fatalf("%q became %q", s, out)
		}
		for i, l := range before {
			if !strings.Contains(l, "alice") && !strings.Contains(l, "bob") && after[i] != l {
				t.Fatalf("line %d of %q became %q", i+1, s, after[i])
			}
		}
	})
}

func TestLastError(t *testing.T) {
	t.Parallel()
	const info = `{"level":"INFO","msg":"core is open"}` + "\n"
	for in, want := range map[string]string{"": "", info: "", info + "strongroom-core: error: the reason\n": "the reason", info + "panic: x\n" + info: "panic: x",
		"strongroom-core: error: old\nstrongroom-core: error: new\n": "new"} {
		if got := lastError(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestErrorsInJSON(t *testing.T) {
	t.Parallel()
	wire := &client.Problem{Problem: apiv1.Problem{Kind: problem.RefusedByRule, Detail: "no", Rule: "r", Unmet: []problem.Unmet{{Rule: "r"}}, RequestID: "id", Incident: "i"}}
	for kind, err := range map[string]error{"refused-by-rule": wire, "usage": usage("x"), "alarm": client.ErrDisagrees, "pending": &hinted{err: errors.New("x"), code: exitPending},
		"error": errors.New("a\nb"), "unreachable": &net.OpError{Op: "dial", Err: errors.New("refused")}, "forbidden": problem.New(problem.Forbidden, "x"),
		"conflict": &hinted{err: errors.New("x"), code: exitConflict}, "refused": &hinted{err: errors.New("x"), code: exitRefused}, "not-found": &hinted{err: errors.New("x"), code: exitNotFound}} {
		var b bytes.Buffer
		code := report(&b, err, "", true)
		var out struct{ Error failure }
		if e := json.Unmarshal(b.Bytes(), &out); e != nil || bytes.Count(b.Bytes(), []byte("\n")) != 1 {
			t.Fatalf("%s: %q: %v", kind, b.String(), e)
		}
		if out.Error.Kind != kind || out.Error.Detail == "" || code != statusOf(err) {
			t.Errorf("%s: got %+v, status %d", kind, out.Error, code)
		}
		if kind == "refused-by-rule" && (out.Error.Rule != "r" || len(out.Error.Unmet) != 1 || out.Error.RequestID != "id" || out.Error.Incident != "i" || out.Error.Hint == "") {
			t.Errorf("got %+v", out.Error)
		}
	}
	if !wantsJSON([]string{"x", "-o", "json"}) || !wantsJSON([]string{"--output=json"}) || wantsJSON([]string{"-o", "table"}) || wantsJSON([]string{"-o"}) || wantsJSON([]string{"--", "-ojson"}) {
		t.Error("-o json is not understood")
	}
}
