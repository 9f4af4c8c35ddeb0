// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// amount describes custody.Uint256.
type amount string

// Schema is the description.
func (amount) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Pattern: "^(0|[1-9][0-9]{0,77})$",
		Description: "a whole number of base units in decimal digits, without sign, point, exponent or leading zero; never a JSON number"}
}

// hexBytes describes custody.HexBytes.
type hexBytes string

// Schema is the description.
func (hexBytes) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Pattern: "^([0-9a-f]{2})*$", Description: "bytes in lower-case hex"}
}

// publicKey describes request.PublicKey, which writes its own JSON.
type publicKey struct {
	Alg request.Algorithm `json:"alg" doc:"ed25519 or p256"`
	Pub custody.HexBytes  `json:"pub"`
}

// pointNames describes points.Set, which writes its own JSON.
type pointNames []string

// describe writes the description of the operations: OpenAPI 3.1.
func describe(ops []*operation, version string) ([]byte, error) {
	reg := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	reg.RegisterTypeAlias(reflect.TypeFor[custody.Uint256](), reflect.TypeFor[amount]())
	reg.RegisterTypeAlias(reflect.TypeFor[custody.HexBytes](), reflect.TypeFor[hexBytes]())
	reg.RegisterTypeAlias(reflect.TypeFor[request.PublicKey](), reflect.TypeFor[publicKey]())
	reg.RegisterTypeAlias(reflect.TypeFor[points.Set](), reflect.TypeFor[pointNames]())
	doc := &huma.OpenAPI{OpenAPI: "3.1.0", Components: &huma.Components{Schemas: reg, SecuritySchemes: map[string]*huma.SecurityScheme{
		"clientCertificate": {Type: "mutualTLS", Description: "a certificate of a person who is active in the rule document"}}},
		Info: &huma.Info{Title: "Strongroom", Version: version, License: &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
			Description: signing()}}
	for _, op := range ops {
		doc.AddOperation(op.describe(reg))
	}
	describeBodies(reg)
	return json.Marshal(doc)
}

// describeBodies names the bodies that a request can have.
func describeBodies(reg huma.Registry) {
	var each []*huma.Schema
	for _, o := range request.Operations() {
		each = append(each, reg.Schema(reflect.TypeOf(apiv1.NewBody(o)), true, ""))
	}
	reg.Schema(reflect.TypeFor[apiv1.Request](), false, "").Properties["body"] = &huma.Schema{Description: "the operation's body", OneOf: each}
}

func (op *operation) describe(reg huma.Registry) *huma.Operation {
	out := &huma.Operation{OperationID: op.id, Method: op.method, Path: strings.ReplaceAll(op.path, "...}", "}"), Summary: op.summary,
		Responses: map[string]*huma.Response{}, Tags: []string{op.tag()}}
	if !op.anonymous {
		out.Security = []map[string][]string{{"clientCertificate": {}}}
	}
	switch {
	case op.anonymous:
		out.Description = "Open to everybody."
	case op.services == peopleOnly:
		out.Description = "For people; services are refused."
	case op.services == ownOnly:
		out.Description = "Services may call this for their own requests and themselves only."
	}
	text := &huma.Schema{Type: huma.TypeString}
	for _, name := range []string{"id", "path"} {
		if strings.Contains(out.Path, "{"+name+"}") {
			out.Parameters = append(out.Parameters, &huma.Param{Name: name, In: "path", Required: true, Schema: text})
		}
	}
	for _, p := range op.query {
		schema := text
		if p.number {
			schema = &huma.Schema{Type: huma.TypeInteger, Format: "int64", Minimum: new(float64)}
		}
		out.Parameters = append(out.Parameters, &huma.Param{Name: p.name, In: "query", Description: p.doc, Schema: schema})
	}
	if op.create {
		out.Parameters = append(out.Parameters, &huma.Param{Name: apiv1.IdempotencyHeader, In: "header", Required: true, Schema: text,
			Description: "the request's idempotency key: 1 to 64 characters of A-Z a-z 0-9 . _ : -. The same key with the same request gives the recorded outcome, with another one 409"})
	}
	if op.body != nil {
		out.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			apiv1.JSON: {Schema: reg.Schema(reflect.TypeOf(op.body), true, "")}}}
		if op.cbor {
			out.RequestBody.Content[apiv1.CBOR] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}
		}
	} else if op.method == http.MethodPost {
		out.RequestBody = &huma.RequestBody{Description: "Empty, or an object without members. The Content-Type is required all the same.",
			Content: map[string]*huma.MediaType{apiv1.JSON: {Schema: &huma.Schema{Type: huma.TypeObject, AdditionalProperties: false}}}}
	}
	out.Responses[strconv.Itoa(max(op.status, http.StatusOK))] = op.success(reg)
	failure := reg.Schema(reflect.TypeFor[apiv1.Problem](), true, "")
	for _, status := range op.failures() {
		out.Responses[strconv.Itoa(status)] = &huma.Response{Description: http.StatusText(status),
			Content: map[string]*huma.MediaType{apiv1.ProblemJSON: {Schema: failure}}}
	}
	return out
}

func (op *operation) success(reg huma.Registry) *huma.Response {
	media, schema := op.media, &huma.Schema{Type: huma.TypeString, Format: "binary"}
	if op.reply != nil {
		media, schema = apiv1.JSON, reg.Schema(reflect.TypeOf(op.reply), true, "")
	}
	return &huma.Response{Description: "done", Content: map[string]*huma.MediaType{media: {Schema: schema}}}
}

// failures lists the statuses that a call can fail with: those of every kind, and those of HTTP.
func (op *operation) failures() []int {
	set := map[int]bool{}
	for _, k := range problem.Kinds() {
		status, _ := statusOf(k)
		set[status] = true
	}
	if op.method == http.MethodPost {
		set[http.StatusUnsupportedMediaType], set[http.StatusRequestTimeout] = true, true
	}
	return slices.Sorted(maps.Keys(set))
}

// tag groups operations by the noun of their path.
func (op *operation) tag() string {
	noun, ok := strings.CutPrefix(op.path, "/v1/")
	if !ok {
		return "serve"
	}
	noun, _, _ = strings.Cut(noun, "/")
	return noun
}
