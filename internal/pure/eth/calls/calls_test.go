// SPDX-License-Identifier: Apache-2.0

package calls_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/eth/abi"
	"strongroom/internal/pure/eth/calls"
	"strongroom/internal/pure/request"
)

const chain custody.ChainID = "eip155:1"

const (
	own     = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
	token   = "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"
	nft     = "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB"
	safe    = "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb"
	router  = "0x52908400098527886E0F7030069857D2E4169EE7"
	multi   = "0x8617E340B3D01FA5F11F306F4090FD50E238070D"
	strange = "0xde709f2102306220921060314715629080e2fb77"
	payee   = "0x27b1fdb04752bbc536007a920d24acb045561c26"
	huge    = "115792089237316195423570985008687907853269984665640564039457584007913129639935"
)

func address(t testing.TB, s string) eth.Address {
	t.Helper()
	a, err := eth.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// registry knows five contracts by their kind, and a function of the router's own.
func registry(t testing.TB) calls.Registry {
	t.Helper()
	kinds := map[eth.Address]calls.Found{address(t, token): {ID: "usd", Kind: calls.Token}, address(t, nft): {ID: "art", Kind: calls.NFT}, address(t, safe): {ID: "vault", Kind: calls.Safe},
		address(t, router): {ID: "dex", Kind: calls.Router}, address(t, multi): {ID: "multi", Kind: calls.Multicall}}
	extra := function(t, "stake(uint256,bytes)")
	return func(a eth.Address, s eth.Selector) (calls.Found, bool, bool) {
		f, known := kinds[a]
		if !known {
			return calls.Found{}, false, false
		}
		if f.Kind == calls.Router && s == extra.Selector() {
			f.Function = extra
			return f, true, true
		}
		var has bool
		f.Function, has = calls.Standard(f.Kind, s)
		return f, true, has
	}
}

func function(t testing.TB, signature string) abi.Function {
	t.Helper()
	f, err := abi.ParseFunction(signature)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// data builds call data from a signature and arguments in JSON.
func data(t testing.TB, signature, args string) []byte {
	t.Helper()
	f := function(t, signature)
	vs, err := abi.FromJSON(f.Inputs, []byte(args))
	if err != nil {
		t.Fatalf("%s %s: %v", signature, args, err)
	}
	return f.EncodeCall(vs)
}

func hexed(b []byte) string { return fmt.Sprintf("%q", fmt.Sprintf("0x%x", b)) }

func approve(t testing.TB, amount string) []byte {
	return data(t, "approve(address,uint256)", fmt.Sprintf(`[%q,%s]`, payee, amount))
}

func transfer(t testing.TB) []byte {
	return data(t, "transfer(address,uint256)", fmt.Sprintf(`[%q,7]`, payee))
}

func exec(t testing.TB, to, value string, in []byte, operation int) []byte {
	return data(t, "execTransaction(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,bytes)",
		fmt.Sprintf(`[%q,%s,%s,%d,0,0,0,%[5]q,%[5]q,"0x"]`, to, value, hexed(in), operation, "0x0000000000000000000000000000000000000000"))
}

func decode(t testing.TB, contract string, in []byte) (request.CallEffects, error) {
	t.Helper()
	return calls.Decode(calls.Call{Chain: chain, Source: own, Contract: address(t, contract), Value: custody.U64(5), Data: in}, registry(t))
}

// TestDecode: what calls do, told in a line each: depth, contract's id, function, *: delegatecall; then approvals and movements.
func TestDecode(t *testing.T) {
	t.Parallel()
	swap := func(command byte, inputs, args string) []byte {
		f := function(t, "x"+inputs)
		vs, err := abi.FromJSON(f.Inputs, []byte(args))
		if err != nil {
			t.Fatal(err)
		}
		return data(t, "execute(bytes,bytes[],uint256)", fmt.Sprintf(`["0x%02x",[%s],9]`, command, hexed(abi.Encode(vs))))
	}
	one, two := "0x0000000000000000000000000000000000000001", "0x0000000000000000000000000000000000000002"
	path := fmt.Sprintf("%q", "0x"+strings.ToLower(token[2:])+"000bb8"+strings.ToLower(nft[2:]))
	for name, c := range map[string]struct {
		contract string
		data     []byte
		want     string
	}{
		"approve":           {token, approve(t, "7"), "0 usd approve(address,uint256); usd lets " + payee + " 7"},
		"unlimited approve": {token, approve(t, huge), "0 usd approve(address,uint256); usd lets " + payee + " unlimited"},
		"unlimited of 96 bits": {token, data(t, "increaseAllowance(address,uint256)", fmt.Sprintf(`[%q,79228162514264337593543950335]`, payee)),
			"0 usd increaseAllowance(address,uint256); usd lets " + payee + " unlimited"},
		"approval of one":      {nft, approve(t, huge), "0 art approve(address,uint256); art lets " + payee + " " + huge},
		"approval for all":     {nft, data(t, "setApprovalForAll(address,bool)", fmt.Sprintf(`[%q,true]`, payee)), "0 art setApprovalForAll(address,bool); art lets " + payee + " all"},
		"no approval for all":  {nft, data(t, "setApprovalForAll(address,bool)", fmt.Sprintf(`[%q,false]`, payee)), "0 art setApprovalForAll(address,bool)"},
		"transfer of one":      {nft, data(t, "transferFrom(address,address,uint256)", fmt.Sprintf(`[%q,%q,7]`, own, payee)), "0 art transferFrom(address,address,uint256)"},
		"transfer of others'":  {token, data(t, "transferFrom(address,address,uint256)", fmt.Sprintf(`[%q,%q,7]`, strange, payee)), "0 usd transferFrom(address,address,uint256); " + token + " from " + strange + " to " + payee + " 7"},
		"permit":               {token, data(t, "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)", fmt.Sprintf(`[%q,%q,8,9,27,%[3]q,%[3]q]`, own, payee, "0x"+strings.Repeat("00", 32))), "0 usd permit(address,address,uint256,uint256,uint8,bytes32,bytes32); usd lets " + payee + " 8"},
		"own function":         {router, data(t, "stake(uint256,bytes)", `[1,"0x"]`), "0 dex stake(uint256,bytes)"},
		"multicall":            {router, data(t, "multicall(bytes[])", "["+"["+hexed(data(t, "stake(uint256,bytes)", `[1,"0x"]`))+"]]"), "0 dex multicall(bytes[]); 1 dex stake(uint256,bytes)"},
		"aggregate3":           {multi, data(t, "aggregate3((address,bool,bytes)[])", fmt.Sprintf(`[[[%q,false,%s],[%q,true,%s]]]`, token, hexed(transfer(t)), strange, hexed(approve(t, "3")))), "0 multi aggregate3((address,bool,bytes)[]); 1 usd transfer(address,uint256); 1  approve(address,uint256);  lets " + payee + " 3; " + token + " from " + token + " to " + payee + " 7"},
		"aggregate3Value":      {multi, data(t, "aggregate3Value((address,bool,uint256,bytes)[])", fmt.Sprintf(`[[[%q,false,4,"0x"]]]`, strange)), "0 multi aggregate3Value((address,bool,uint256,bytes)[]); 1  ; coin from " + multi + " to " + strange + " 4"},
		"safe":                 {safe, exec(t, token, "2", transfer(t), 0), "0 vault execTransaction; 1 usd transfer(address,uint256); coin from " + safe + " to " + token + " 2; " + token + " from " + token + " to " + payee + " 7"},
		"delegatecall":         {safe, exec(t, multi, "0", data(t, "aggregate3((address,bool,bytes)[])", `[[]]`), 1), "0 vault execTransaction; 1 multi aggregate3((address,bool,bytes)[])*"},
		"swap in":              {router, swap(0x00, "(address,uint256,uint256,bytes,bool)", fmt.Sprintf(`[%q,11,0,%s,true]`, one, path)), "0 dex execute(bytes,bytes[],uint256); 1 dex V3_SWAP_EXACT_IN(address,uint256,uint256,bytes,bool); " + token + " from " + own + " to " + own + " 11"},
		"swap out":             {router, swap(0x81, "(address,uint256,uint256,bytes,bool)", fmt.Sprintf(`[%q,0,12,%s,true]`, two, path)), "0 dex execute(bytes,bytes[],uint256); 1 dex V3_SWAP_EXACT_OUT(address,uint256,uint256,bytes,bool); " + nft + " from " + own + " to " + router + " 12"},
		"swap of the router's": {router, swap(0x08, "(address,uint256,uint256,address[],bool)", fmt.Sprintf(`[%q,0,12,[%q,%q],false]`, payee, token, nft)), "0 dex execute(bytes,bytes[],uint256); 1 dex V2_SWAP_EXACT_IN(address,uint256,uint256,address[],bool)"},
		"pull":                 {router, swap(0x02, "(address,address,uint160)", fmt.Sprintf(`[%q,%q,13]`, token, payee)), "0 dex execute(bytes,bytes[],uint256); 1 dex PERMIT2_TRANSFER_FROM(address,address,uint160); " + token + " from " + own + " to " + payee + " 13"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, err := decode(t, c.contract, c.data)
			if err != nil || e.Undecoded != "" {
				t.Fatalf("%v, %s", err, e.Undecoded)
			}
			if got := told(e); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// told tells what a call does in one line.
func told(e request.CallEffects) string {
	var out []string
	for _, c := range e.Calls {
		f := c.Function
		if strings.HasPrefix(f, "execTransaction(") {
			f = "execTransaction"
		}
		if c.Delegate {
			f += "*"
		}
		out = append(out, fmt.Sprintf("%d %s %s", c.Depth, c.ID, f))
	}
	for _, a := range e.Approvals {
		amount := a.Amount.String()
		if a.Unlimited {
			amount = "unlimited"
		}
		if a.All {
			amount = "all"
		}
		out = append(out, fmt.Sprintf("%s lets %s %s", a.ID, a.Spender, amount))
	}
	for _, m := range e.Movements {
		what := "coin"
		if c, ok := m.Asset.ERC20(); ok {
			what = c
		}
		out = append(out, fmt.Sprintf("%s from %s to %s %s", what, m.From, m.To, m.Amount))
	}
	return strings.Join(out, "; ")
}

// TestRefusesTransfers: what only transfers the caller's tokens is asked for as a transfer.
func TestRefusesTransfers(t *testing.T) {
	t.Parallel()
	for _, in := range [][]byte{transfer(t), data(t, "transferFrom(address,address,uint256)", fmt.Sprintf(`[%q,%q,7]`, own, payee))} {
		if e, err := decode(t, token, in); !errors.Is(err, calls.ErrTransfer) {
			t.Errorf("got %v, %v", e, err)
		}
	}
}

// TestUndecodable: the call itself is told, without arguments, and why it can't be read; approvals and movements found before that are not.
func TestUndecodable(t *testing.T) {
	t.Parallel()
	deep := approve(t, "1")
	for range calls.MaxDepth + 1 {
		deep = exec(t, safe, "0", deep, 0)
	}
	many := make([]string, calls.MaxCalls)
	for i := range many {
		many[i] = fmt.Sprintf(`[%q,false,%s]`, token, hexed(approve(t, "1")))
	}
	dirty := approve(t, "1")
	dirty[4] = 1
	for name, c := range map[string]struct {
		contract string
		data     []byte
		why      string
	}{
		"contract that is not known":   {strange, approve(t, "1"), "function is not known"},
		"function that is not known":   {token, []byte{1, 2, 3, 4}, "function is not known"},
		"function of another kind":     {nft, transfer(t), "function is not known"},
		"unknown function within":      {safe, exec(t, strange, "0", []byte{1, 2, 3, 4}, 0), "depth 1"},
		"half a selector within":       {safe, exec(t, strange, "0", []byte{1, 2}, 0), "depth 1"},
		"known contract's other one":   {safe, exec(t, nft, "0", transfer(t), 0), "depth 1"},
		"dirty arguments":              {token, dirty, "padding"},
		"bytes after the end":          {token, append(approve(t, "1"), 0), "after its end"},
		"dirty within":                 {safe, exec(t, token, "0", dirty, 0), "depth 1"},
		"operation 2 of a safe":        {safe, exec(t, token, "0", approve(t, "1"), 2), "0 or 1"},
		"too deep":                     {safe, deep, "nested more"},
		"too many":                     {multi, data(t, "aggregate3((address,bool,bytes)[])", "[["+strings.Join(many, ",")+"]]"), "more than"},
		"empty call of itself":         {router, data(t, "multicall(bytes[])", `[["0x"]]`), "empty"},
		"unknown command":              {router, data(t, "execute(bytes,bytes[])", `["0x3f",["0x"]]`), "0x3f is not known"},
		"commands without inputs":      {router, data(t, "execute(bytes,bytes[])", `["0x0b0c",["0x"]]`), "2 commands and 1 inputs"},
		"malformed input of a command": {router, data(t, "execute(bytes,bytes[])", `["0x0b",["0x00"]]`), "WRAP_ETH"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, err := decode(t, c.contract, c.data)
			if err != nil || !strings.Contains(e.Undecoded, c.why) || len(e.Calls) != 1 || e.Calls[0].Function != "" || len(e.Approvals)+len(e.Movements) != 0 {
				t.Errorf("got %+v, %v", e, err)
			}
		})
	}
}

// TestStandards: each standard function has a canonical signature, and each of them is found.
func TestStandards(t *testing.T) {
	t.Parallel()
	n := 0
	for _, k := range calls.Kinds() {
		for _, s := range calls.StandardsOf(k) {
			n++
			f := function(t, s)
			if g, ok := calls.Standard(k, f.Selector()); !ok || g.String() != s {
				t.Errorf("%s of a %s: got %s, %t", s, k, g, ok)
			}
		}
	}
	if n < 25 || !slices.IsSorted(calls.Kinds()) {
		t.Errorf("%d functions", n)
	}
}

// TestUnlimited: the borders of what counts as no limit.
func TestUnlimited(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{"0": false, "79228162514264337593543950334": false, "79228162514264337593543950335": true, "79228162514264337593543950336": false,
		"340282366920938463463374607431768211455": false, "340282366920938463463374607431768211456": true, huge: true} {
		u, err := custody.ParseUint256(s)
		if err != nil || calls.Unlimited(u) != want {
			t.Errorf("%s: want %t, error %v", s, want, err)
		}
	}
}

// FuzzDecode: whatever is decoded has the call itself first, each call at most one deeper than the one before it, functions with the selector that the
// data has, and one canonical encoding; decoding is repeatable.
func FuzzDecode(f *testing.F) {
	for i, c := range []struct {
		contract int
		data     []byte
	}{{0, approve(f, "1")}, {2, exec(f, token, "1", transfer(f), 1)}, {4, data(f, "aggregate3((address,bool,bytes)[])", fmt.Sprintf(`[[[%q,false,%s]]]`, token, hexed(transfer(f))))},
		{3, data(f, "execute(bytes,bytes[])", `["0x0b",["0x00"]]`)}} {
		f.Add(uint8(c.contract), c.data)
		_ = i
	}
	all := []string{token, nft, safe, router, multi, strange}
	f.Fuzz(func(t *testing.T, which uint8, in []byte) {
		contract := all[int(which)%len(all)]
		e, err := decode(t, contract, in)
		if err != nil {
			return
		}
		again, err := decode(t, contract, bytes.Clone(in))
		if err != nil || !bytes.Equal(canon.Encode(e), canon.Encode(again)) {
			t.Fatalf("decoding again gives %+v, %v", again, err)
		}
		if len(e.Calls) == 0 || len(e.Calls) > calls.MaxCalls || e.Calls[0].Depth != 0 || e.Calls[0].Contract != contract {
			t.Fatalf("got %+v", e.Calls)
		}
		for i, c := range e.Calls {
			if i > 0 && (c.Depth == 0 || c.Depth > e.Calls[i-1].Depth+1) {
				t.Fatalf("call %d has depth %d", i, c.Depth)
			}
			if c.Function == "" || c.Selector == "" {
				continue
			}
			if s := function(t, c.Function).Selector(); s.String() != c.Selector {
				t.Fatalf("%s has selector %s, not %s", c.Function, s, c.Selector)
			}
		}
	})
}
