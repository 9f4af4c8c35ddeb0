// SPDX-License-Identifier: Apache-2.0

package rest_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strongroom/internal/gate/coretest"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

var update = flag.Bool("update", false, "copy the pages of docs/problems")

// TestProblemPages: the type of each kind of problem leads to its page, for everybody, and the page is the one in docs.
func TestProblemPages(t *testing.T) {
	t.Parallel()
	docs, copies := filepath.Join("..", "..", "..", "docs", "problems"), filepath.Join("gen", "problems")
	for _, k := range problem.Kinds() {
		want, err := os.ReadFile(filepath.Join(docs, string(k)+".md"))
		if err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := os.WriteFile(filepath.Join(copies, string(k)+".md"), want, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(filepath.Join(copies, string(k)+".md")); err != nil || !bytes.Equal(got, want) {
			t.Errorf("the copy of %s differs (%v); run go generate", k, err)
		}
	}
	if got, err := filepath.Glob(filepath.Join(copies, "*")); err != nil || len(got) != len(problem.Kinds()) {
		t.Errorf("%d copies for %d kinds, error %v", len(got), len(problem.Kinds()), err)
	}
	h := newHouse(t)
	anybody := h.transport("")
	for _, k := range problem.Kinds() {
		resp, b := h.raw(anybody, "GET", apiv1.ProblemType(k), nil, nil)
		if resp.StatusCode != 200 || !strings.HasPrefix(string(b), "# "+string(k)+"\n") || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/markdown") {
			t.Errorf("%s: %d %.40q", k, resp.StatusCode, b)
		}
	}
	for _, bad := range []string{"nosuch", "..%2f..%2frest.go", "busy.md"} {
		if resp, _ := h.raw(anybody, "GET", "/docs/problems/"+bad, nil, nil); resp.StatusCode != 404 {
			t.Errorf("%s: %d", bad, resp.StatusCode)
		}
	}
}

// TestRecipeIsExact: the example of the description is a request that can be decoded, and its words name all operations.
func TestRecipeIsExact(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	_, b := h.raw(h.transport(""), "GET", "/openapi.json", nil, nil)
	var d struct{ Info struct{ Description string } }
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	text := d.Info.Description
	_, after, ok := strings.Cut(text, "and R is\n\n    ")
	example, rest, _ := strings.Cut(after, "\n")
	raw, err := hex.DecodeString(example)
	if !ok || err != nil {
		t.Fatalf("no example: %v", err)
	}
	r, err := request.Decode(raw)
	if err != nil || r.Key != "payout-7" || r.NotAfter != 1_800_000_000 || r.Initiator != "p_aaaaaaaaaaaaaaaa" || r.Authority[31] != 0x11 {
		t.Fatalf("%+v, error %v", r, err)
	}
	body, err := r.DecodeBody()
	if x, ok := body.(*request.TransferBody); err != nil || !ok || x.Outputs[0].Amount.String() != "1000" || x.FeeCap.String() != "500" {
		t.Errorf("%+v, error %v", body, err)
	}
	if !strings.Contains(text, hex.EncodeToString(r.Body)+"\n") || !strings.Contains(rest, r.ID().String()) {
		t.Error("the example's body or id is another")
	}
	if want := append([]byte("strongroom/request/v1\x00"), raw...); !bytes.Equal(canon.Message(canon.TagRequest, r), want) {
		t.Error("the message is built otherwise than the description says")
	}
	for _, o := range request.Operations() {
		if !strings.Contains(text, "    "+string(o)+"  ") {
			t.Errorf("the body of %s is not described", o)
		}
	}
}

// TestSmallThingsOfTheForm: a header that is missing is called so, numbers are described as numbers, and :sign needs no body.
func TestSmallThingsOfTheForm(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	anna := h.transport(string(coretest.Anna.ID))
	resp, b := h.raw(anna, "POST", "/v1/requests", map[string]string{"Content-Type": apiv1.JSON}, []byte("{}"))
	if p := problemOf(t, resp, b); p.Kind != problem.Malformed || !strings.Contains(p.Detail, "Idempotency-Key is missing") {
		t.Errorf("got %s", b)
	}
	resp, b = h.raw(anna, "POST", "/v1/requests/"+strings.Repeat("00", 32)+":sign", map[string]string{"Content-Type": apiv1.JSON}, nil)
	if p := problemOf(t, resp, b); p.Kind != problem.NotFound {
		t.Errorf("got %s", b)
	}
	_, b = h.raw(h.transport(""), "GET", "/openapi.json", nil, nil)
	var d struct {
		Paths map[string]map[string]struct {
			Parameters []struct {
				Name   string
				Schema struct{ Type string }
			}
		}
	}
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	for _, p := range d.Paths["/v1/audit/entries"]["get"].Parameters {
		if p.Schema.Type != "integer" {
			t.Errorf("%s is described as a %s", p.Name, p.Schema.Type)
		}
	}
}
