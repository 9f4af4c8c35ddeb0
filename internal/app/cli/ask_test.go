// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"strongroom/client"
	"strongroom/internal/edge/keyfile"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/secret"
)

// lyingServe answers calls as a serve would that somebody broke into.
type lyingServe func(r *http.Request, body []byte) (int, any)

func (l lyingServe) RoundTrip(r *http.Request) (*http.Response, error) {
	var in []byte
	if r.Body != nil {
		in, _ = io.ReadAll(r.Body)
	}
	code, v := l(r, in)
	b, ok := v.([]byte)
	if !ok {
		b, _ = json.Marshal(v)
	}
	return &http.Response{StatusCode: code, Status: "x", Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(b)), Request: r}, nil
}

// initiator gives an environment with a key, and a client that talks to a serve.
func initiator(t *testing.T, serve lyingServe) (e *env, c *client.Client, k *keyfile.Key, words *bytes.Buffer) {
	t.Helper()
	arena, err := secret.NewArena(secret.Config{Size: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	if k, err = keyfile.New(arena, keyfile.NewPersonID(), request.Ed25519); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "k")
	if err := k.WritePlainUnsafe(path); err != nil {
		t.Fatal(err)
	}
	words = &bytes.Buffer{}
	e = &env{root: &root{Key: path, PassphraseFor: -1, Output: "table"}, Streams: Streams{Out: io.Discard, Err: words}, arena: arena, ctx: t.Context(),
		read: map[int]secret.Bytes{}}
	t.Cleanup(func() {
		k.Wipe()
		if err := e.close(); err != nil {
			t.Error(err)
		}
	})
	c, err = client.New(client.Config{BaseURL: "https://x", Now: time.Now, Authority: client.AuthorityID{1}, Identity: make([]byte, 32), Transport: serve})
	if err != nil {
		t.Fatal(err)
	}
	return e, c, k, words
}

// A retry gives the end of the first request only if it is that request, and never one beyond what is asked for now.
func TestARetryEndsNoLaterThanAsked(t *testing.T) {
	t.Parallel()
	const life = 10 * time.Minute
	for name, tt := range map[string]struct {
		change func(*request.Request) // of the request that serve shows as the first
		taken  bool
	}{
		"the first, an instant ago": {func(r *request.Request) { r.NotAfter -= 60 }, true},
		"one that ends in a month":  {func(r *request.Request) { r.NotAfter += 29 * 24 * 3600 }, false},
		"of another body": {func(r *request.Request) {
			r.NotAfter, r.Body = r.NotAfter-60, canon.Encode(&client.AddressCreate{Wallet: "hot", Count: 2})
		}, false},
		"of somebody else":  {func(r *request.Request) { r.NotAfter, r.Initiator = r.NotAfter-60, keyfile.NewPersonID() }, false},
		"with another key":  {func(r *request.Request) { r.NotAfter, r.Key = r.NotAfter-60, "invoice-2" }, false},
		"of another domain": {func(r *request.Request) { r.NotAfter, r.Domain = r.NotAfter-60, custody.DomainID{9} }, false},
	} {
		var person custody.PersonID
		var shown, signed request.Request
		e, c, k, _ := initiator(t, func(r *http.Request, in []byte) (int, any) {
			if r.Method == http.MethodGet {
				a := client.AuthorityID{1}
				shown = request.Request{V: 1, Authority: a, Domain: custody.DomainID(a), Initiator: person, Key: "invoice-1", Operation: request.AddressCreate,
					Body: canon.Encode(&client.AddressCreate{Wallet: "hot", Count: 1}), NotAfter: time.Now().Add(life).Unix()}
				tt.change(&shown)
				return http.StatusOK, client.RequestView{NotAfter: shown.NotAfter, Canonical: shown.Encode()}
			}
			var f apiv1.SignedRequest
			if err := canon.Decode(in, &f); err != nil {
				t.Error(err)
			}
			signed, _ = request.Decode(f.Request)
			return http.StatusOK, client.RequestView{ID: signed.ID().String(), Canonical: f.Request}
		})
		person = k.Person()
		end := time.Now().Add(life).Unix()
		err := sending{IdempotencyKey: "invoice-1", Expires: lifetime(life)}.send(e, c, &client.AddressCreate{Wallet: "hot", Count: 1})
		if statusOf(err) != exitAlarm {
			t.Errorf("%s: without a receipt: %v", name, err)
		}
		if late := signed.NotAfter - end; signed.Key != "invoice-1" || late > 2 {
			t.Errorf("%s: signed for %d s longer than asked", name, late)
		}
		if tt.taken != (signed.NotAfter == shown.NotAfter) {
			t.Errorf("%s: taken: %v", name, !tt.taken)
		}
	}
}

// What serve calls recorded is not told as recorded.
func TestADecisionIsRecordedOnAReceiptOnly(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]lyingServe{
		"already done": func(*http.Request, []byte) (int, any) {
			return http.StatusConflict, apiv1.Problem{Kind: "already-done", Detail: "p_x approved this request already, in entry 9"}
		},
		"no receipt": func(*http.Request, []byte) (int, any) {
			return http.StatusOK, client.RequestView{ID: client.RequestID{2}.String(), State: "rejected"}
		},
	} {
		e, c, k, told := initiator(t, answer)
		_, err := decide(e, c, client.Approval{Request: client.RequestID{2}, Person: k.Person(), Decision: client.Reject, Key: k.Public().Ref(), Sig: make([]byte, 64)})
		var words bytes.Buffer
		if code := report(&words, err, "", false); code == exitOK || !bytes.Contains(words.Bytes(), []byte("may not be in the log")) || told.Len() > 0 {
			t.Errorf("%s: status %d, told %q and %q", name, code, told.String(), words.String())
		}
	}
}

// What comes next is what the reader can do: release what is held, and ask for the signature of a message, which nobody else does.
func TestNextForPeople(t *testing.T) {
	t.Parallel()
	held := client.RequestView{ID: "1f", State: "pending", Missing: &apiv1.Lack{Rule: policy.RuleHeld}}
	if got := next(held); !strings.HasPrefix(got, "to release it: strongroom request release 1f --reason ") {
		t.Errorf("held: %s", got)
	}
	for kind, want := range map[problem.Kind]string{problem.NoPrice: "'strongroom price show'", problem.NoVerdict: "'strongroom screening show'",
		problem.RefusedByRule: "more approvals don't help", problem.QuorumNotMet: "approvers run: strongroom request approve 1f"} {
		if got := next(client.RequestView{ID: "1f", State: "pending", Missing: &apiv1.Lack{Kind: kind}}); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s", kind, got)
		}
	}
	message := client.RequestView{ID: "1f", State: "ready", Operation: request.MessageSign}
	if got := next(message); got != "to get the signature: strongroom request sign 1f" {
		t.Errorf("message: %s", got)
	}
	if got := progress(message); !strings.Contains(got, "asks for the signature") {
		t.Errorf("message: %s", got)
	}
	message.State = "signed"
	if got := next(message); !strings.HasPrefix(got, "strongroom proof get 1f") {
		t.Errorf("signed message: %s", got)
	}
	if unasked(client.RequestView{State: "ready", Operation: request.Transfer}) || client.Settled(client.RequestView{State: "signed", Operation: request.Transfer}) {
		t.Error("a transfer is signed and sent by serve, and over once it is final")
	}
	got := signedPairs(request.MessageSign, client.Signed{TxID: "0xab", Bytes: []byte{1, 2}})
	if want := []pair{{"signature", "0x0102"}, {"signed hash", "0xab"}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for rule, want := range map[string]string{policy.RuleBreakGlass: "breakGlass", policy.RuleFreeze: "breakGlass.freeze", policy.RuleHold: "oversight.hold", policy.RuleRoles: "person list", policy.RuleDraining: "domain resume", "small": "policy show"} {
		if got := problemHint(&client.Problem{Problem: apiv1.Problem{Kind: problem.RefusedByRule, Rule: rule}}); !strings.Contains(got, want) {
			t.Errorf("%s: the hint is %q", rule, got)
		}
	}
}
