// SPDX-License-Identifier: Apache-2.0

package request_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
)

func appGrant(change func(*request.AppGrantBody)) request.AppGrantBody {
	b := request.AppGrantBody{Grant: "payments", Caller: "cert:" + request.AppCaller(strings.Repeat("0a", 32)), Gateway: "p_aaaaaaaaaaaaaaaa", Functions: []request.AppFunction{request.AppSign, request.AppVerify},
		Mechanisms: []uint64{0, 0x1041}, Rate: 1, Burst: 1, NotAfter: 1}
	change(&b)
	return b
}

func TestAppBodies(t *testing.T) {
	t.Parallel()
	many := func(n int) (keys []custody.KeyID) {
		for i := range n {
			keys = append(keys, custody.KeyID(fmt.Sprintf("%032x", i)))
		}
		return keys
	}
	for name, x := range map[string]struct {
		op   request.Operation
		body any
		want string // in the error; empty: accepted
	}{
		"fits":               {request.AppGrant, appGrant(func(*request.AppGrantBody) {}), ""},
		"no mechanism":       {request.AppGrant, appGrant(func(b *request.AppGrantBody) { b.Mechanisms = nil }), ""},
		"named keys":         {request.AppGrant, appGrant(func(b *request.AppGrantBody) { b.Keys = many(request.MaxGrantKeys) }), ""},
		"no name":            {request.AppGrant, appGrant(func(b *request.AppGrantBody) { b.Grant = "" }), "grant"},
		"no caller":          {request.AppGrant, appGrant(func(b *request.AppGrantBody) { b.Caller = "" }), "caller"},
		"no gateway":         {request.AppGrant, appGrant(func(b *request.AppGrantBody) { b.Gateway = "x" }), "gateway"},
		"no function":        {request.AppGrant, appGrant(func(b *request.AppGrantBody) { b.Functions = nil }), "at least one function"},
		"unknown function":   {request.AppGrant, appGrant(func(b *request.AppGrantBody) { b.Functions[0] = "steal" }), "none of"},
		"functions turned":   {request.AppGrant, appGrant(func(b *request.AppGrantBody) { slices.Reverse(b.Functions) }), "sorted"},
		"function twice":     {request.AppGrant, appGrant(func(b *request.AppGrantBody) { b.Functions[1] = request.AppSign }), "sorted"},
		"mechanisms turned":  {request.AppGrant, appGrant(func(b *request.AppGrantBody) { slices.Reverse(b.Mechanisms) }), "ascending"},
		"mechanism twice":    {request.AppGrant, appGrant(func(b *request.AppGrantBody) { b.Mechanisms[1] = 0 }), "ascending"},
		"too many":           {request.AppGrant, appGrant(func(b *request.AppGrantBody) { b.Mechanisms = make([]uint64, request.MaxGrantMechanisms+1) }), "at most"},
		"too many keys":      {request.AppGrant, appGrant(func(b *request.AppGrantBody) { b.Keys = many(request.MaxGrantKeys + 1) }), "more than"},
		"keys turned":        {request.AppGrant, appGrant(func(b *request.AppGrantBody) { b.Keys = many(2); slices.Reverse(b.Keys) }), "sorted"},
		"no key":             {request.AppGrant, appGrant(func(b *request.AppGrantBody) { b.Keys = []custody.KeyID{"x"} }), "keys"},
		"no rate":            {request.AppGrant, appGrant(func(b *request.AppGrantBody) { b.Rate = 0 }), "rate"},
		"no burst":           {request.AppGrant, appGrant(func(b *request.AppGrantBody) { b.Burst = 0 }), "burst"},
		"a huge rate":        {request.AppGrant, appGrant(func(b *request.AppGrantBody) { b.Rate = request.MaxGrantRate + 1 }), "rate"},
		"no end":             {request.AppGrant, appGrant(func(b *request.AppGrantBody) { b.NotAfter = 0 }), "notAfter"},
		"an end out of time": {request.AppGrant, appGrant(func(b *request.AppGrantBody) { b.NotAfter = 1 << 62 }), "notAfter"},
		"revoke":             {request.AppRevoke, request.AppRevokeBody{Grant: "payments"}, ""},
		"revoke nothing":     {request.AppRevoke, request.AppRevokeBody{}, "grant"},
		"revoke keys":        {request.AppKeyRevoke, request.AppKeyRevokeBody{Keys: many(request.MaxRevokedAtOnce)}, ""},
		"revoke no key":      {request.AppKeyRevoke, request.AppKeyRevokeBody{}, "keys"},
		"revoke too many":    {request.AppKeyRevoke, request.AppKeyRevokeBody{Keys: many(request.MaxRevokedAtOnce + 1)}, "keys"},
	} {
		r := request.Request{V: 1, Initiator: "p_aaaaaaaaaaaaaaaa", Key: "k", Operation: x.op, Body: canon.Encode(x.body), NotAfter: 1}
		err := r.Check()
		if (err == nil) != (x.want == "") || err != nil && !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v, want %q", name, err, x.want)
		}
	}
}

func TestAppCaller(t *testing.T) {
	t.Parallel()
	for c, ok := range map[request.AppCaller]bool{
		"cert:" + request.AppCaller(strings.Repeat("0a", 32)): true, "token:ci@example.org/job-1": true, "local:demo": true,
		"cert:" + request.AppCaller(strings.Repeat("0A", 32)): false, "cert:0a": false, "cert:": false, "token:": false, "token:a b": false, "token:a\n": false, "demo": false, "": false, "root:demo": false,
		"local:" + request.AppCaller(strings.Repeat("x", 122)): true, "local:" + request.AppCaller(strings.Repeat("x", 123)): false,
	} {
		if err := c.Check(); (err == nil) != ok {
			t.Errorf("%q: %v", c, err)
		}
	}
}

// Whatever the bytes of a body are, it is refused or has one encoding.
func FuzzAppBodies(f *testing.F) {
	f.Add(uint8(0), canon.Encode(appGrant(func(*request.AppGrantBody) {})))
	f.Add(uint8(1), canon.Encode(request.AppRevokeBody{Grant: "payments"}))
	f.Add(uint8(2), canon.Encode(request.AppKeyRevokeBody{Keys: []custody.KeyID{"00112233445566778899aabbccddeeff"}}))
	ops := []request.Operation{request.AppGrant, request.AppRevoke, request.AppKeyRevoke}
	f.Fuzz(func(t *testing.T, op uint8, b []byte) {
		r := request.Request{V: 1, Initiator: "p_aaaaaaaaaaaaaaaa", Key: "k", Operation: ops[int(op)%len(ops)], Body: b, NotAfter: 1}
		body, err := r.DecodeBody()
		if err != nil {
			return
		}
		if !bytes.Equal(canon.Encode(body), b) {
			t.Fatal("an accepted body has another encoding")
		}
		e, until := request.AppEffectsOf(body.(request.AppBody))
		if e.Grant == "" && len(e.Keys) == 0 || (until != 0) != (r.Operation == request.AppGrant) {
			t.Fatalf("accepted without decoded effects: %+v", e)
		}
	})
}
