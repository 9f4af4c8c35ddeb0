// SPDX-License-Identifier: Apache-2.0

package words

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// bodies has a body of each kind of entry.
func bodies() map[entry.Kind]any {
	return map[entry.Kind]any{entry.KindGenesis: &entry.Genesis{}, entry.KindRequest: asked(request.Transfer, policy.Decision{}), entry.KindApproval: &entry.Approval{Approval: request.Approval{Decision: request.Approve}},
		entry.KindPermit: &entry.Permit{}, entry.KindResult: &entry.Result{}, entry.KindRefusal: &entry.Refusal{}, entry.KindEffect: &entry.Effect{Wallet: &entry.Wallet{}},
		entry.KindSession: &entry.Session{}, entry.KindSnapshot: &entry.Snapshot{}, entry.KindWriter: &entry.Writer{}, entry.KindReencipher: &entry.Reencipher{},
		entry.KindErased: &entry.Erased{}, entry.KindTamper: &entry.Tamper{}, entry.KindReanchor: &entry.Reanchor{}, entry.KindGap: &entry.Gap{},
		entry.KindUses: &entry.Uses{}, entry.KindOffline: &entry.Offline{}, entry.KindQuotes: &entry.Quotes{}, entry.KindVerdicts: &entry.Verdicts{}}
}

func asked(op request.Operation, d policy.Decision) *entry.Request {
	r := request.Request{V: 1, Initiator: "p_aaaaaaaaaaaaaaaa", Key: "k", Operation: op, Body: canon.Encode(apiv1.NewBody(op))}
	b := entry.NewRequest(&request.Parsed{Request: r, Decoded: apiv1.NewBody(op), Raw: r.Encode(), Ident: custody.RequestID{1}})
	b.Decision = d
	return b
}

func unknown(custody.RequestID) string { return "" }

// sourceKinds reads the kinds from the sources of package entry: one that is new is named here before anybody watches a log without words for it.
func sourceKinds(t *testing.T) (out []entry.Kind) {
	t.Helper()
	files, err := filepath.Glob("../../pure/entry/*.go")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^\s+Kind\w+\s+(?:Kind\s+)?= "([a-z-]+)"`)
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range line.FindAllSubmatch(b, -1) {
			if k := string(m[1]); k != entry.KindSeed && k != entry.KindTokenKey && k != entry.KindImportKey { // of keys
				out = append(out, entry.Kind(k))
			}
		}
	}
	if len(out) < 17 {
		t.Fatalf("found %d kinds of entries", len(out))
	}
	return out
}

func TestEveryKindOfEntryHasWords(t *testing.T) {
	t.Parallel()
	have := bodies()
	for _, k := range sourceKinds(t) {
		b, ok := have[k]
		if !ok {
			t.Errorf("entries of kind %q: add words to Entry, and a body to this test", k)
			continue
		}
		if h := Entry(b, unknown); h.What == "" || strings.Contains(h.What, noWords) {
			t.Errorf("entries of kind %q have no words: %+v", k, h)
		}
	}
	if h := Entry(&struct{}{}, unknown); !strings.Contains(h.What, noWords) {
		t.Errorf("what is not known: %+v", h)
	}
}

func TestEveryOperationHasWordsInTheLog(t *testing.T) {
	t.Parallel()
	for _, op := range request.Operations() {
		h := Entry(asked(op, policy.Decision{Outcome: policy.Allowed, Rule: "r"}), unknown)
		if h.Who != "p_aaaaaaaaaaaaaaaa" || !strings.HasPrefix(h.What, "asks: ") || strings.Contains(h.What, "this version can't") || strings.Contains(h.What, "\n") || h.Rule != "r" {
			t.Errorf("operation %s has no words: %+v", op, h)
		}
	}
}

// TestEveryEffectHasWords: each thing that an effect can do is named; a new field of the entry without words is named here.
func TestEveryEffectHasWords(t *testing.T) {
	t.Parallel()
	apart := map[string]bool{"Request": true, "Decision": true, "Approvals": true, "Key": true, "Trail": true} // say nothing alone
	typ := reflect.TypeFor[entry.Effect]()
	for i := range typ.NumField() {
		f := typ.Field(i)
		if apart[f.Name] {
			continue
		}
		e := &entry.Effect{}
		v := reflect.ValueOf(e).Elem().Field(i)
		switch f.Type.Kind() {
		case reflect.Pointer:
			v.Set(reflect.New(f.Type.Elem()))
		case reflect.Slice:
			v.Set(reflect.MakeSlice(f.Type, 1, 1))
		default:
			t.Errorf("field %s of an effect is a %s: say here how to set it", f.Name, f.Type)
			continue
		}
		if h := Entry(e, unknown); strings.Contains(h.What, noWords) {
			t.Errorf("effects with %s have no words", f.Name)
		}
	}
}

func TestEntryEnds(t *testing.T) {
	t.Parallel()
	about := func(custody.RequestID) string { return "pay bob\x1b[31m" }
	for _, tt := range []struct {
		body any
		want Happening
	}{
		{asked(request.PolicyChange, policy.Decision{Outcome: policy.Denied, Rule: "no", Unmet: []problem.Unmet{{Criterion: "at night", Observed: "noon"}}}),
			Happening{custody.RequestID{1}, "p_aaaaaaaaaaaaaaaa", "asks: replace the rule document", "no", "refused: at night, noon"}},
		{asked(request.PolicyChange, policy.Decision{Outcome: policy.Held, Rule: "g", Reason: "fraud"}), Happening{custody.RequestID{1}, "p_aaaaaaaaaaaaaaaa", "asks: replace the rule document", "g", "held: fraud"}},
		{asked(request.PolicyChange, policy.Decision{Outcome: policy.Allowed, Auto: true}), Happening{custody.RequestID{1}, "p_aaaaaaaaaaaaaaaa", "asks: replace the rule document", "", "allowed without approvals"}},
		{&entry.Approval{Approval: request.Approval{Request: custody.RequestID{1}, Person: "p", Decision: request.Reject}}, Happening{custody.RequestID{1}, "p", "rejects: pay bob\ufffd[31m", "", "rejected"}},
		{&entry.Approval{Approval: request.Approval{Request: custody.RequestID{1}, Person: "p", Decision: request.Cancel}}, Happening{custody.RequestID{1}, "p", "cancels: pay bob\ufffd[31m", "", "cancelled"}},
		{&entry.Refusal{Request: custody.RequestID{1}, Act: "permit", Kind: problem.OutsideBounds, Detail: "more", Rule: "r", Final: true},
			Happening{custody.RequestID{1}, "", "the core refuses to permit (outside-bounds): more: pay bob\ufffd[31m", "r", "refused for good"}},
		{&entry.Gap{Reanchor: 3, From: 2, To: 9}, Happening{What: "GAP: the re-anchoring of entry 3 is over; entries 2 to 9 are lost or may be: open requests are void, wallets are held"}},
		{&entry.Session{Opening: canon.Encode(&request.SessionOpening{V: 1, Service: "svc"})}, Happening{Who: "svc", What: "opens a session until 1970-01-01 00:00:00 UTC"}},
	} {
		if got := Entry(tt.body, about); got != tt.want {
			t.Errorf("got  %+v\nwant %+v", got, tt.want)
		}
	}
}
