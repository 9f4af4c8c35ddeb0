// SPDX-License-Identifier: Apache-2.0

package rest_test

import (
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"strongroom/internal/gate/coretest"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

type description struct {
	OpenAPI    string
	Paths      map[string]map[string]operation
	Components struct{ Schemas map[string]map[string]any }
}

type operation struct {
	OperationID string
	Parameters  []struct {
		Name, In string
		Required bool
	}
	Security    []map[string][]string
	RequestBody struct{ Content map[string]any }
	Responses   map[string]struct {
		Content map[string]struct{ Schema map[string]any }
	}
}

// TestDescriptionAgreesWithHandlers walks the description and calls every operation.
func TestDescriptionAgreesWithHandlers(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	_, b := h.raw(h.transport(""), "GET", "/openapi.json", nil, nil)
	var d description
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(d.OpenAPI, "3.1") || len(d.Paths) < 20 {
		t.Fatalf("version %q, %d paths", d.OpenAPI, len(d.Paths))
	}
	// Every reference leads somewhere.
	for _, m := range regexp.MustCompile(`"\$ref":"([^"]*)"`).FindAllStringSubmatch(string(b), -1) {
		if _, ok := d.Components.Schemas[strings.TrimPrefix(m[1], "#/components/schemas/")]; !ok {
			t.Errorf("%s leads nowhere", m[1])
		}
	}
	seen := map[string]bool{}
	anonymous, known := h.transport(""), h.transport(string(coretest.Anna.ID))
	for path, ops := range d.Paths {
		for method, op := range ops {
			name := strings.ToUpper(method) + " " + path
			if op.OperationID == "" || seen[op.OperationID] {
				t.Errorf("%s: operationId %q is empty or not unique", name, op.OperationID)
			}
			seen[op.OperationID] = true
			good := 0
			for status, r := range op.Responses {
				if status[0] == '2' {
					good++
				} else if len(r.Content) != 1 || r.Content[apiv1.ProblemJSON].Schema["$ref"] != "#/components/schemas/Problem" {
					t.Errorf("%s: response %s is no problem document", name, status)
				}
			}
			if good != 1 {
				t.Errorf("%s: %d successes are described, want 1", name, good)
			}
			for _, p := range op.Parameters {
				if p.In == "path" && !strings.Contains(path, "{"+p.Name+"}") {
					t.Errorf("%s: no %s in the path", name, p.Name)
				}
			}
			call := strings.NewReplacer("/docs/problems/{id}", "/docs/problems/busy", "{id}", strings.Repeat("00", 32), "{path}", "0/000").Replace(path)
			resp, _ := h.raw(anonymous, strings.ToUpper(method), call, nil, nil)
			if open := len(op.Security) == 0; open != (resp.StatusCode == 200) || !open && resp.StatusCode != 401 {
				t.Errorf("%s: anonymous call gives %d", name, resp.StatusCode)
			}
			resp, body := h.raw(known, strings.ToUpper(method), call, nil, nil)
			if _, ok := op.Responses[itoa(resp.StatusCode)]; !ok {
				t.Errorf("%s: status %d is not described: %s", name, resp.StatusCode, body)
			}
			if resp.StatusCode == http.StatusNotFound && strings.Contains(string(body), "openapi.json lists") {
				t.Errorf("%s: is described and not there", name)
			}
		}
	}
	for _, id := range []string{"createRequest", "approveRequest", "signRequest", "getProof", "listEntries", "createCertificate"} {
		if !seen[id] {
			t.Errorf("operation %s is not described", id)
		}
	}
	create := d.Paths["/v1/requests"]["post"]
	found := false
	for _, p := range create.Parameters {
		found = found || p.Name == apiv1.IdempotencyHeader && p.In == "header" && p.Required
	}
	if !found || len(create.RequestBody.Content) != 2 {
		t.Errorf("createRequest lacks its idempotency key or a media type")
	}
	bodies := d.Components.Schemas["Request"]["properties"].(map[string]any)["body"].(map[string]any)["oneOf"].([]any)
	if len(bodies) != len(request.Operations()) {
		t.Errorf("%d bodies are described, want %d", len(bodies), len(request.Operations()))
	}
}

// TestRepliesHaveTheirForm reads replies strictly into the schema's properties: none may have a member that is not described.
func TestRepliesHaveTheirForm(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	_, b := h.raw(h.transport(""), "GET", "/openapi.json", nil, nil)
	var d description
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	tr := h.transport(string(coretest.Anna.ID))
	r := h.request(coretest.Anna, request.Transfer, transfer(50_000), "k")
	resp, body := h.raw(tr, "POST", "/v1/requests", map[string]string{"Content-Type": apiv1.JSON, apiv1.IdempotencyHeader: "k"}, submission(t, r, coretest.Anna))
	if resp.StatusCode != 201 {
		t.Fatalf("%s", body)
	}
	id := r.ID().String()
	for path, template := range map[string]string{
		"/healthz": "/healthz", "/v1/status": "/v1/status", "/v1/chains": "/v1/chains", "/v1/requests": "/v1/requests", "/v1/requests/" + id: "/v1/requests/{id}",
		"/v1/requests/" + id + "/statement": "/v1/requests/{id}/statement", "/v1/wallets": "/v1/wallets", "/v1/wallets/hot": "/v1/wallets/{id}",
		"/v1/wallets/hot/addresses": "/v1/wallets/{id}/addresses", "/v1/wallets/hot/balances": "/v1/wallets/{id}/balances", "/v1/policy": "/v1/policy",
		"/v1/persons": "/v1/persons", "/v1/groups": "/v1/groups", "/v1/address-book": "/v1/address-book", "/v1/audit/check": "/v1/audit/check",
		"/v1/audit/entries": "/v1/audit/entries",
	} {
		resp, body := h.raw(tr, "GET", path, nil, nil)
		var v any
		if err := json.Unmarshal(body, &v); err != nil || resp.StatusCode != 200 {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
			continue
		}
		schema := d.Paths[template]["get"].Responses["200"].Content[apiv1.JSON].Schema
		conform(t, path, d, schema, v)
	}
}

// conform checks a value against the parts of a schema that matter: references, objects, arrays, simple types.
func conform(t *testing.T, at string, d description, schema map[string]any, v any) {
	t.Helper()
	if ref, ok := schema["$ref"].(string); ok {
		schema = d.Components.Schemas[strings.TrimPrefix(ref, "#/components/schemas/")]
	}
	if len(schema) == 0 || schema["oneOf"] != nil {
		return
	}
	kind := schema["type"]
	if list, ok := kind.([]any); ok { // "array or null"
		kind = list[0]
	}
	switch x := v.(type) {
	case map[string]any:
		props, _ := schema["properties"].(map[string]any)
		for k, y := range x {
			p, ok := props[k].(map[string]any)
			if !ok && schema["type"] == "object" {
				t.Errorf("%s: member %s is not described", at, k)
				continue
			}
			conform(t, at+"/"+k, d, p, y)
		}
		required, _ := schema["required"].([]any)
		for _, k := range required {
			if _, ok := x[k.(string)]; !ok {
				t.Errorf("%s: member %s is missing", at, k)
			}
		}
	case []any:
		if kind != "array" {
			t.Errorf("%s: an array, described as %v", at, kind)
			return
		}
		items, _ := schema["items"].(map[string]any)
		for _, y := range x {
			conform(t, at+"/-", d, items, y)
		}
	case nil:
		t.Errorf("%s: null", at)
	case string:
		if kind != "string" {
			t.Errorf("%s: a string, described as %v", at, kind)
		}
	case float64:
		if kind != "integer" {
			t.Errorf("%s: a number, described as %v", at, kind)
		}
	case bool:
		if kind != "boolean" {
			t.Errorf("%s: a truth value, described as %v", at, kind)
		}
	}
}

func itoa(n int) string { b, _ := json.Marshal(n); return string(b) }

// TestEveryKindHasItsPage shows that the type of a problem leads to a page.
func TestEveryKindHasItsPage(t *testing.T) {
	t.Parallel()
	for _, k := range problem.Kinds() {
		b, err := os.ReadFile("../../.." + apiv1.ProblemType(k) + ".md")
		if err != nil || !strings.HasPrefix(string(b), "# "+string(k)+"\n") {
			t.Errorf("kind %s has no page: %v", k, err)
		}
	}
}
