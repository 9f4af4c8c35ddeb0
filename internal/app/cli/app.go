// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"strongroom/client"
	"strongroom/internal/app/words"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/pure/request"
)

// appCmd is about grants to applications.
type appCmd struct {
	Grant      appGrant      `cmd:"" help:"Ask to let an application use keys through a gateway; people must approve it."`
	Revoke     appRevoke     `cmd:"" help:"Ask to end a grant."`
	RevokeKey  appRevokeKey  `cmd:"" name:"revoke-key" help:"Ask to end keys of applications for ever; people must approve it."`
	List       appList       `cmd:"" help:"List the grants, as serve tells them."`
	Mechanisms appMechanisms `cmd:"" help:"List the mechanisms and their groups that grants can name."`
}

type appGrant struct {
	Name       string        `arg:"" help:"Name of the grant: lower-case letters, digits and hyphens."`
	Caller     string        `required:"" placeholder:"CALLER" help:"Who calls, as the gateway finds it: cert:<SHA-256 of the certificate's public key, 64 hex digits>, token:<subject> or local:<name>."`
	Gateway    string        `required:"" placeholder:"PERSON" help:"Service that the gateway is."`
	Functions  []string      `required:"" placeholder:"LIST" help:"What it may do: attributes, decrypt, derive, digest, encrypt, generate, modify, reencrypt, rewrap, sign, unwrap, verify, wrap."`
	Mechanisms []string      `placeholder:"LIST" help:"With which mechanisms: groups (aes, rsa, ecdsa, …), names (CKM_AES_GCM) or numbers (0x1087); 'strongroom app mechanisms' lists them."`
	Keys       []string      `placeholder:"LIST" help:"Only these keys, whoever made them. Default: all that the caller has made, and new ones."`
	Rate       uint64        `default:"100" placeholder:"N" help:"Calls a second (default ${default})."`
	Burst      uint64        `default:"200" placeholder:"N" help:"Calls at once after a pause (default ${default})."`
	MaxUses    uint64        `placeholder:"N" help:"Uses in all. Default: as many as rate and time allow."`
	For        time.Duration `required:"" placeholder:"DURATION" help:"How long from now, such as 720h; at most 9600h."`
	Import     bool          `help:"Keys from outside may be brought in."`
	Compat     bool          `help:"With the compatibility profile for older clients of hardware modules; the domain's control point app-compat must be on."`
	asking
}

// Run asks.
func (c *appGrant) Run(e *env) error {
	b, err := c.body(time.Now())
	if err != nil {
		return err
	}
	return c.ask(e, b)
}

// body builds the request's body.
func (c *appGrant) body(now time.Time) (*client.AppGrant, error) {
	if c.For < time.Second || c.For > request.MaxGrant*time.Second {
		return nil, usage("--for %s: want 1s to %s", c.For, request.MaxGrant*time.Second)
	}
	b := &client.AppGrant{Grant: c.Name, Caller: client.AppCaller(c.Caller), Gateway: client.PersonID(c.Gateway), Rate: c.Rate, Burst: c.Burst, MaxUses: c.MaxUses,
		NotAfter: now.Add(c.For).Unix(), Import: c.Import, Compat: c.Compat}
	for _, f := range c.Functions {
		b.Functions = append(b.Functions, client.AppFunction(f))
	}
	for _, k := range c.Keys {
		b.Keys = append(b.Keys, client.KeyID(k))
	}
	for _, m := range c.Mechanisms {
		list, err := mechanismsNamed(m)
		if err != nil {
			return nil, err
		}
		b.Mechanisms = append(b.Mechanisms, list...)
	}
	slices.Sort(b.Functions)
	slices.Sort(b.Keys)
	slices.Sort(b.Mechanisms)
	b.Functions, b.Keys, b.Mechanisms = slices.Compact(b.Functions), slices.Compact(b.Keys), slices.Compact(b.Mechanisms)
	return b, nil
}

// mechanismGroups are names for several mechanisms at once. The request names each: what a group gets later is in no grant of today.
var mechanismGroups = []struct {
	name string
	has  func(name string) bool
}{
	{"aes", func(n string) bool { return strings.HasPrefix(n, "CKM_AES_") }},
	{"bitcoin", func(n string) bool { return n == "CKM_IBM_BTC_DERIVE" || n == "CKM_GENERIC_SECRET_KEY_GEN" }},
	{"des", func(n string) bool { return strings.HasPrefix(n, "CKM_DES") }},
	{"dh", func(n string) bool { return strings.HasPrefix(n, "CKM_DH_") }},
	{"dsa", func(n string) bool { return strings.HasPrefix(n, "CKM_DSA") }},
	{"ecdh", func(n string) bool {
		return n == "CKM_EC_KEY_PAIR_GEN" || strings.Contains(n, "ECDH") || strings.Contains(n, "EC_X")
	}},
	{"ecdsa", func(n string) bool { return n == "CKM_EC_KEY_PAIR_GEN" || strings.Contains(n, "ECDSA") }},
	{"eddsa", func(n string) bool { return n == "CKM_EC_KEY_PAIR_GEN" || strings.Contains(n, "_ED") }},
	{"hmac", func(n string) bool { return n == "CKM_GENERIC_SECRET_KEY_GEN" || strings.HasSuffix(n, "_HMAC") }},
	{"post-quantum", func(n string) bool {
		return strings.Contains(n, "ML_") || strings.HasSuffix(n, "DILITHIUM") || strings.HasSuffix(n, "KYBER")
	}},
	{"rsa", func(n string) bool { return strings.Contains(n, "RSA") }},
	{"all", func(string) bool { return true }},
}

// mechanismsNamed reads a group, a name or a number.
func mechanismsNamed(text string) (out []uint64, err error) {
	for _, g := range mechanismGroups {
		if g.name != text {
			continue
		}
		for _, r := range ep11.Rows() {
			if g.has(r.Name) {
				out = append(out, r.Mechanism)
			}
		}
		return out, nil
	}
	if m, ok := ep11.MechanismNamed(text); ok {
		return []uint64{m}, nil
	}
	m, err := strconv.ParseUint(text, 0, 64)
	if _, known := ep11.Find(m); err != nil || !known {
		return nil, usage("--mechanisms: %q is no group, name or number of a mechanism; 'strongroom app mechanisms' lists them", text)
	}
	return []uint64{m}, nil
}

type appRevoke struct {
	Name string `arg:"" help:"Grant."`
	asking
}

// Run asks.
func (c *appRevoke) Run(e *env) error { return c.ask(e, &client.AppRevoke{Grant: c.Name}) }

type appRevokeKey struct {
	Keys []string `arg:"" help:"Ids of keys: 32 hex digits each."`
	asking
}

// Run asks.
func (c *appRevokeKey) Run(e *env) error {
	b := &client.AppKeyRevoke{}
	for _, k := range c.Keys {
		b.Keys = append(b.Keys, client.KeyID(k))
	}
	slices.Sort(b.Keys)
	b.Keys = slices.Compact(b.Keys)
	return c.ask(e, b)
}

type appList struct{}

// Run lists them.
func (appList) Run(e *env) error {
	cl, err := e.client()
	if err != nil {
		return err
	}
	list := []client.AppGrantView{}
	for cursor := ""; ; {
		l, err := cl.AppGrants(e.ctx, cursor, 0)
		if err != nil {
			return err
		}
		list = append(list, l.Grants...)
		if cursor = l.Next; cursor == "" {
			break
		}
	}
	return e.show(list, func() error {
		rows := make([][]string, 0, len(list))
		for _, g := range list {
			state, used := "open", strconv.FormatUint(g.Used, 10)
			if !g.Open {
				state = "ended"
			}
			if g.Grant.MaxUses > 0 {
				used += " of " + strconv.FormatUint(g.Grant.MaxUses, 10)
			}
			rows = append(rows, []string{g.Grant.Grant, string(g.Grant.Caller), e.person(g.Grant.Gateway), functionsOf(g.Grant.Functions), used, words.Unix(g.Grant.NotAfter), state})
		}
		return e.table([]string{"grant", "caller", "gateway", "functions", "uses", "until", "state"}, rows)
	})
}

func functionsOf(list []client.AppFunction) string {
	out := make([]string, len(list))
	for i, f := range list {
		out[i] = string(f)
	}
	return strings.Join(out, ",")
}

type appMechanisms struct{}

// mechanismView is a mechanism in a list.
type mechanismView struct {
	Name   string   `json:"name"`
	Number uint64   `json:"number"`
	Groups []string `json:"groups"`
}

// Run lists them.
func (appMechanisms) Run(e *env) error {
	var list []mechanismView
	for _, r := range ep11.Rows() {
		v := mechanismView{r.Name, r.Mechanism, []string{}}
		for _, g := range mechanismGroups {
			if g.has(r.Name) {
				v.Groups = append(v.Groups, g.name)
			}
		}
		list = append(list, v)
	}
	return e.show(list, func() error {
		rows := make([][]string, 0, len(list))
		for _, v := range list {
			rows = append(rows, []string{v.Name, fmt.Sprintf("0x%x", v.Number), strings.Join(v.Groups, ",")})
		}
		return e.table([]string{"mechanism", "number", "groups"}, rows)
	})
}
