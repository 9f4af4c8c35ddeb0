// SPDX-License-Identifier: Apache-2.0

package secondopinion_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"

	"strongroom/internal/edge/secondopinion"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/eth/abi"
	"strongroom/internal/pure/eth/calls"
	"strongroom/internal/pure/eth/calls/callstest"
	"strongroom/internal/pure/eth/eip712"
	"strongroom/internal/pure/request"
)

// statementOf is a request with its statement, as the core makes it.
func statementOf(t *testing.T, op request.Operation, body any, e request.Effects, b request.Bounds) ([]byte, request.Statement) {
	t.Helper()
	r := request.Request{V: 1, Initiator: "p_aaaaaaaaaaaaaaaa", Key: "k", Operation: op, Body: canon.Encode(body), NotAfter: 1_900_000_000}
	if err := r.Check(); err != nil {
		t.Fatal(err)
	}
	e.Operation, e.BodyHash, b.NotAfter = op, r.Hash(), r.NotAfter
	s := request.Statement{V: 1, Authority: r.Authority, Domain: r.Domain, Request: r.ID(), Initiator: r.Initiator, Effects: e, Bounds: b}
	if e.Message != nil {
		s.Exact = e.Message.Exact
	}
	return r.Encode(), s
}

// callStatement is the statement of a call, decoded by the own decoder.
func callStatement(t *testing.T, contract string, data []byte) ([]byte, request.Statement) {
	t.Helper()
	known := map[string]calls.Found{callstest.Token: {ID: "usd", Kind: calls.Token}, callstest.Safe: {ID: "vault", Kind: calls.Safe}, callstest.Multi: {ID: "multi", Kind: calls.Multicall}, callstest.Dex: {ID: "dex", Kind: calls.Router}}
	a, err := eth.ParseAddress(contract)
	if err != nil {
		t.Fatal(err)
	}
	chain := custody.EVMChain(1)
	c, err := calls.Decode(calls.Call{Chain: chain, Source: callstest.Payee, Contract: a, Value: custody.U64(3), Data: data}, func(a eth.Address, s eth.Selector) (calls.Found, bool, bool) {
		f, ok := known[a.String()]
		var has bool
		f.Function, has = calls.Standard(f.Kind, s)
		return f, ok, has
	})
	if err != nil || c.Undecoded != "" {
		t.Fatal(err, c.Undecoded)
	}
	b := request.ContractCallBody{Wallet: "hot", Contract: contract, Value: custody.U64(3), Data: data, FeeCap: custody.U64(9)}
	return statementOf(t, request.ContractCall, b, request.Effects{Wallet: "hot", Chain: chain, Asset: chain.Native(), Source: callstest.Payee, Total: b.Value, Calls: &c},
		request.Bounds{FeeCap: b.FeeCap, FeeAsset: chain.Native(), Change: request.NoChange, Slot: request.AccountNonce})
}

// TestCallsAgree: both decoders say the same of calls of every sort, nested ones too.
func TestCallsAgree(t *testing.T) {
	t.Parallel()
	for name, c := range nestedCalls(t) {
		canonical, s := callStatement(t, c.contract, c.data)
		if _, err := secondopinion.Statement(canonical, s, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type oneCall struct {
	contract string
	data     []byte
}

func nestedCalls(t *testing.T) map[string]oneCall {
	approve := callstest.Data(t, "approve(address,uint256)", fmt.Sprintf(`[%q,7]`, callstest.Payee))
	many := callstest.Data(t, "aggregate3((address,bool,bytes)[])", fmt.Sprintf(`[[[%q,true,"0x%x"],[%[1]q,false,"0x%[2]x"]]]`, callstest.Token, approve))
	f, err := abi.ParseFunction("x(address,uint256)")
	if err != nil {
		t.Fatal(err)
	}
	wrap, err := abi.FromJSON(f.Inputs, []byte(fmt.Sprintf(`[%q,5]`, callstest.Payee)))
	if err != nil {
		t.Fatal(err)
	}
	return map[string]oneCall{
		"approve": {callstest.Token, approve}, "aggregate3": {callstest.Multi, many},
		"aggregate3Value": {callstest.Multi, callstest.Data(t, "aggregate3Value((address,bool,uint256,bytes)[])", fmt.Sprintf(`[[[%q,true,2,"0x%x"],[%q,false,1,"0x"]]]`, callstest.Token, approve, callstest.Payee))},
		"safe": {callstest.Safe, callstest.Data(t, "execTransaction(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,bytes)",
			fmt.Sprintf(`[%q,4,"0x%x",1,0,0,0,%q,%[3]q,"0x"]`, callstest.Multi, many, "0x0000000000000000000000000000000000000000"))},
		"router": {callstest.Dex, callstest.Data(t, "execute(bytes,bytes[],uint256)", fmt.Sprintf(`["0x0b",["0x%x"],99]`, abi.Encode(wrap)))},
		"permit": {callstest.Token, callstest.Data(t, "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)", fmt.Sprintf(`[%q,%[1]q,8,9,27,%[2]q,%[2]q]`, callstest.Payee, "0x00000000000000000000000000000000000000000000000000000000000000ff"))},
	}
}

// TestTamperedDecoderIsAnAlarm: an own decoder that lies about anything that people are shown of a call is found out.
func TestTamperedDecoderIsAnAlarm(t *testing.T) {
	t.Parallel()
	lies := map[string]func(c *request.CallEffects){
		"another amount":        func(c *request.CallEffects) { last(c).Args[1].Value = "70" },
		"another spender":       func(c *request.CallEffects) { last(c).Args[0].Value = callstest.Safe },
		"another type":          func(c *request.CallEffects) { last(c).Args[1].Type = "uint8" },
		"an argument left out":  func(c *request.CallEffects) { last(c).Args = last(c).Args[:1] },
		"another function":      func(c *request.CallEffects) { last(c).Function = "transfer(address,uint256)" },
		"another contract":      func(c *request.CallEffects) { last(c).Contract = callstest.Safe },
		"another value":         func(c *request.CallEffects) { last(c).Value = custody.U64(9) },
		"a call left out":       func(c *request.CallEffects) { c.Calls = c.Calls[:len(c.Calls)-1] },
		"a call too many":       func(c *request.CallEffects) { c.Calls = append(c.Calls, *last(c)) },
		"no delegatecall":       func(c *request.CallEffects) { c.Calls[1].Delegate = false },
		"an approval left out":  func(c *request.CallEffects) { c.Approvals = c.Approvals[1:] },
		"another approval":      func(c *request.CallEffects) { c.Approvals[0].Amount = custody.U64(1) },
		"unlimited, which isnt": func(c *request.CallEffects) { c.Approvals[0].Unlimited = true },
		"another hash":          func(c *request.CallEffects) { h := sha256.Sum256(nil); c.DataHash = h[:] },
		"another depth":         func(c *request.CallEffects) { last(c).Depth = 1 },
		"another selector":      func(c *request.CallEffects) { last(c).Selector = "0xa9059cbb" },
		"nothing decoded":       func(c *request.CallEffects) { c.Calls = nil },
	}
	for name, lie := range lies {
		c := nestedCalls(t)["safe"]
		canonical, s := callStatement(t, c.contract, c.data)
		e := *s.Effects.Calls
		e.Calls, e.Approvals = slices.Clone(e.Calls), slices.Clone(e.Approvals)
		for i := range e.Calls {
			e.Calls[i].Args = slices.Clone(e.Calls[i].Args)
		}
		lie(&e)
		s.Effects.Calls = &e
		var alarm *secondopinion.Alarm
		if _, err := secondopinion.Statement(canonical, s, nil); !errors.As(err, &alarm) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func last(c *request.CallEffects) *request.CallNode { return &c.Calls[len(c.Calls)-1] }

// TestMessagesAgree: both decoders say the same of messages, and a lie about what is shown or signed is an alarm.
func TestMessagesAgree(t *testing.T) {
	t.Parallel()
	text, err := eip712.Canonical([]byte(fmt.Sprintf(`{"types":{"EIP712Domain":[{"name":"name","type":"string"},{"name":"chainId","type":"uint256"},{"name":"verifyingContract","type":"address"}],
		"Order":[{"name":"to","type":"address"},{"name":"amounts","type":"uint256[]"},{"name":"note","type":"string"},{"name":"open","type":"bool"}]},"primaryType":"Order",
		"domain":{"name":"Shop","chainId":1,"verifyingContract":%q},"message":{"to":%[1]q,"amounts":[1,2],"note":"hi","open":true}}`, callstest.Token)))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range []request.MessageSignBody{{Wallet: "hot", Kind: request.TypedMessage, Content: string(text)}, {Wallet: "hot", Kind: request.PersonalMessage, Content: "hi"}} {
		m, err := eip712.Describe(&b, func(eth.Address) string { return "" })
		if err != nil {
			t.Fatal(err)
		}
		state := func() ([]byte, request.Statement) {
			x := m
			x.Fields, x.Exact = slices.Clone(m.Fields), slices.Clone(m.Exact)
			return statementOf(t, request.MessageSign, b, request.Effects{Wallet: "hot", Chain: custody.EVMChain(1), Source: callstest.Payee, Message: &x}, request.Bounds{Change: request.NoChange, Slot: request.NoSlot})
		}
		canonical, s := state()
		if _, err := secondopinion.Statement(canonical, s, nil); err != nil {
			t.Errorf("%s: %v", b.Kind, err)
		}
		for name, lie := range map[string]func(*request.Statement){
			"exact bytes":           func(s *request.Statement) { s.Exact = []byte{1} },
			"both exact bytes":      func(s *request.Statement) { s.Effects.Message.Exact[9] ^= 1; s.Exact = s.Effects.Message.Exact },
			"kind":                  func(s *request.Statement) { s.Effects.Message.Kind = "raw" },
			"what it says":          func(s *request.Statement) { s.Effects.Message.Text += "x"; s.Effects.Message.Primary += "x" },
			"nothing":               func(s *request.Statement) { s.Effects.Message = nil },
			"a slot":                func(s *request.Statement) { s.Bounds.Slot = request.AccountNonce },
			"another field's value": func(s *request.Statement) { lieAbout(s, 2) },
			"another number":        func(s *request.Statement) { lieAbout(s, 1) },
			"a field of its own":    func(s *request.Statement) { lieAbout(s, -1) },
		} {
			canonical, s := state()
			lie(&s)
			var alarm *secondopinion.Alarm
			if _, err := secondopinion.Statement(canonical, s, nil); !errors.As(err, &alarm) {
				t.Errorf("%s, %s: got %v", b.Kind, name, err)
			}
		}
	}
}

// lieAbout changes what is shown of a field, or adds one; of a text, which has no fields, the text.
func lieAbout(s *request.Statement, i int) {
	m := s.Effects.Message
	switch {
	case m.Kind == request.PersonalMessage:
		m.Text = "another"
	case i < 0:
		m.Fields = append(m.Fields, request.CallArg{Path: "amounts.2", Type: "uint256", Value: "3"})
	default:
		m.Fields[i].Value += "0"
	}
}
