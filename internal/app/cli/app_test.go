// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"slices"
	"testing"
	"time"

	"strongroom/internal/pure/ep11"
	"strongroom/internal/pure/request"
)

// Groups, names and numbers give the mechanisms of a grant, each once, in order; what is none of them is refused.
func TestGrantBody(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_900_000_000, 0)
	c := appGrant{Name: "app", Caller: "local:app", Gateway: "p_zzzzzzzzzzzzzzzz", Functions: []string{"sign", "generate", "sign"}, Mechanisms: []string{"ecdsa", "CKM_ECDSA", "0x251"}, Rate: 1, Burst: 1, For: time.Hour}
	b, err := c.body(now)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(b.Functions, []request.AppFunction{request.AppGenerate, request.AppSign}) || b.NotAfter != now.Unix()+3600 || !slices.IsSorted(b.Mechanisms) ||
		!b.Mechanism(ep11.CKM_ECDSA) || !b.Mechanism(ep11.CKM_EC_KEY_PAIR_GEN) || !b.Mechanism(ep11.CKM_SHA256_HMAC) || b.Mechanism(ep11.CKM_RSA_PKCS) {
		t.Errorf("%+v", b)
	}
	for i, m := range b.Mechanisms {
		if i > 0 && b.Mechanisms[i-1] == m {
			t.Errorf("0x%x is there twice", m)
		}
	}
	for _, g := range mechanismGroups {
		if list, err := mechanismsNamed(g.name); err != nil || len(list) == 0 || len(list) > request.MaxGrantMechanisms {
			t.Errorf("group %s: %d mechanisms, %v", g.name, len(list), err)
		}
	}
	for name, change := range map[string]func(*appGrant){
		"unknown mechanism": func(c *appGrant) { c.Mechanisms = []string{"quantum"} }, "unknown number": func(c *appGrant) { c.Mechanisms = []string{"0x7777"} },
		"too long": func(c *appGrant) { c.For = 9601 * time.Hour }, "no time": func(c *appGrant) { c.For = 0 },
	} {
		x := c
		change(&x)
		if _, err := x.body(now); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
