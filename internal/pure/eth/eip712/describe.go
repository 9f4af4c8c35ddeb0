// SPDX-License-Identifier: Apache-2.0

package eip712

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/eth/abi"
	"strongroom/internal/pure/eth/calls"
	"strongroom/internal/pure/request"
)

// longest is how many bytes of a value are shown; of longer ones their hash is.
const longest = 128

// Describe says what a message says. id gives the id of a contract in the rule document, or "".
func Describe(o *request.MessageSignBody, id func(eth.Address) string) (request.MessageEffects, error) {
	e := request.MessageEffects{Kind: o.Kind}
	if o.Kind == request.PersonalMessage {
		e.Text, e.Exact = o.Content, eth.PersonalMessage(o.Content)
		return e, nil
	}
	t, err := Parse([]byte(o.Content))
	if err != nil {
		return e, err
	}
	e.Primary = t.Primary
	domain, message, err := t.hashes(func(path, _, text string, _ []byte) {
		switch path {
		case "name":
			e.Name = text
		case "version":
			e.Version = text
		case "chainId":
			e.ChainID = text
		case "verifyingContract":
			e.Contract = text
			if a, err := eth.ParseAddress(text); err == nil {
				e.ID = id(a)
			}
		case "salt":
			e.Salt = text
		}
	}, func(path, typ, text string, raw []byte) {
		if len(raw) > longest {
			text = fmt.Sprintf("sha256:%x", sha256.Sum256(raw))
		}
		e.Fields = append(e.Fields, request.CallArg{Path: path, Type: typ, Value: text})
	})
	if err != nil {
		return e, err
	}
	e.Exact = eth.TypedMessage(domain, message)
	permits(&e, id)
	return e, nil
}

// permits adds the power over tokens that a signature gives: ERC-2612 and DAI permits of the verifying contract, and those of Permit2. A
// message that calls itself a permit and is none of these counts as one without limit or end.
func permits(e *request.MessageEffects, id func(eth.Address) string) {
	get := func(path string) string {
		for _, f := range e.Fields {
			if f.Path == path {
				return f.Value
			}
		}
		return ""
	}
	var last custody.Uint256
	until := func(path string) {
		if u, err := custody.ParseUint256(get(path)); err == nil && u.Cmp(last) > 0 {
			last = u
		}
	}
	add := func(token, amount string) bool {
		a, err := eth.ParseAddress(token)
		u, bad := custody.ParseUint256(amount)
		if err != nil || bad != nil || get("spender") == "" {
			return false
		}
		e.Approvals = append(e.Approvals, request.TokenApproval{Contract: token, Spender: get("spender"), Amount: u, Unlimited: calls.Unlimited(u), ID: id(a)})
		return true
	}
	known := false
	switch name := strings.ToLower(e.Primary); {
	case !strings.Contains(name, "permit"):
		return
	case name == "permit" && get("value") != "":
		known = add(e.Contract, get("value"))
		until("deadline")
	case name == "permit" && get("allowed") == "true":
		known = add(e.Contract, most)
		if until("expiry"); get("expiry") == "0" {
			known = false
		}
	case name == "permit" && get("allowed") == "false":
		return
	case get("details.token") != "":
		known = add(get("details.token"), get("details.amount"))
		until("details.expiration")
		until("sigDeadline")
	case get("permitted.token") != "":
		known = add(get("permitted.token"), get("permitted.amount"))
		until("deadline")
	default:
		known = batch(get, add, until)
	}
	if e.Deadline = last.String(); !known {
		e.Deadline = ""
		e.Approvals = append(e.Approvals, request.TokenApproval{Contract: e.Contract, Spender: get("spender"), Unlimited: true, ID: e.ID})
	}
}

// most is 2^256-1 in decimal digits, the amount of a permit without one.
const most = "115792089237316195423570985008687907853269984665640564039457584007913129639935"

// batch reads the permits of a batch of Permit2.
func batch(get func(string) string, add func(token, amount string) bool, until func(string)) bool {
	for _, list := range []string{"details", "permitted"} {
		n := get(list + ".length")
		if n == "" || n == "0" {
			continue
		}
		for i := 0; get(fmt.Sprintf("%s.%d.token", list, i)) != ""; i++ {
			at := fmt.Sprintf("%s.%d.", list, i)
			if !add(get(at+"token"), get(at+"amount")) {
				return false
			}
			until(at + "expiration")
		}
		until("sigDeadline")
		until("deadline")
		return true
	}
	return false
}

// Canonical gives typed data that others wrote in its canonical form: addresses with their checksum, numbers in decimal digits, members in
// order. What it says stays the same, and so does its hash.
func Canonical(text []byte) ([]byte, error) {
	v, err := parse(text)
	if err != nil {
		return nil, err
	}
	t, err := read(v)
	if err != nil {
		return nil, err
	}
	t.rewriteStruct(domainType, t.domain, 0)
	t.rewriteStruct(t.Primary, t.message, 0)
	var out bytes.Buffer
	render(&out, v)
	if _, err := Exact(&request.MessageSignBody{Kind: request.TypedMessage, Content: out.String()}); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// rewriteStruct writes the values of a struct in the one way that is read here, where they are written in another that is common.
func (t *TypedData) rewriteStruct(name string, in object, depth int) {
	for _, f := range t.types[name] {
		if v, ok := in[f.name]; ok && depth < maxNesting {
			in[f.name] = t.rewrite(f.typ, v, depth+1)
		}
	}
}

func (t *TypedData) rewrite(typ string, v any, depth int) any {
	ft, err := t.typeOf(typ)
	if err != nil || depth > maxNesting {
		return v
	}
	switch x := v.(type) {
	case object:
		t.rewriteStruct(ft.name, x, depth)
	case list:
		for i := range x {
			x[i] = t.rewrite(ft.elem, x[i], depth+1)
		}
	case json.Number:
		if ft.atom.Kind == abi.Uint || ft.atom.Kind == abi.Int {
			return x.String()
		}
	case string:
		return rewriteText(ft.atom, x)
	}
	return v
}

func rewriteText(t abi.Type, s string) string {
	digits, isHex := strings.CutPrefix(s, "0x")
	switch t.Kind {
	case abi.Address:
		b, err := hex.DecodeString(digits)
		plain := digits == strings.ToLower(digits) || digits == strings.ToUpper(digits) // without a checksum of its own
		if err == nil && isHex && len(b) == eth.AddressSize && plain {
			return eth.Address(b).String()
		}
	case abi.Uint:
		if len(digits)%2 == 1 {
			digits = "0" + digits
		}
		b, err := hex.DecodeString(digits)
		if u, large := eth.FromBytes(b); err == nil && isHex && large == nil {
			return u.String()
		}
	case abi.FixedBytes, abi.Bytes:
		if isHex {
			return strings.ToLower(s)
		}
	}
	return s
}
