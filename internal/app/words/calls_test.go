// SPDX-License-Identifier: Apache-2.0

package words_test

import (
	"strings"
	"testing"

	"strongroom/internal/app/words"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
)

// TestSigning: an approver sees each call under the one that makes it, what is dangerous in capitals, and every argument and field.
func TestSigning(t *testing.T) {
	t.Parallel()
	chain := custody.EVMChain(1)
	call := request.Effects{Chain: chain, Calls: &request.CallEffects{
		Calls: []request.CallNode{{Contract: "0xA", ID: "vault", Function: "f(uint256)", Args: []request.CallArg{{Path: "0", Type: "uint256", Value: "7"}}, Value: custody.U64(3)},
			{Depth: 1, Contract: "0xB", Function: "g()", Delegate: true}, {Depth: 1, Contract: "0xC", Value: custody.U64(1)}},
		Approvals: []request.TokenApproval{{Contract: "0xT", Spender: "0xS", Unlimited: true}, {Contract: "0xT", Spender: "0xS", All: true}, {Contract: "0xT", Spender: "0xS", Amount: custody.U64(9)}},
		Movements: []request.Movement{{Asset: chain.Native(), From: "0xA", To: "0xD", Amount: custody.U64(2)}}}}
	typed := request.Effects{Chain: chain, Message: &request.MessageEffects{Kind: request.TypedMessage, Primary: "Permit", Name: "Shop", ChainID: "1", Contract: "0xV", ID: "shop", Fields: []request.CallArg{{Path: "to\u202e", Type: "string", Value: "x\ny"}},
		Approvals: []request.TokenApproval{{Contract: "0xT"}}}}
	raw := request.Effects{Chain: chain, Calls: &request.CallEffects{Calls: []request.CallNode{{Contract: "0xA", Selector: "0x01020304"}}, Undecoded: "who knows"}}
	for name, x := range map[string]struct {
		e    request.Effects
		want []string
	}{
		"call": {call, []string{"calls f(uint256) of vault (0xA), with", "  0 uint256 = 7", "  RUNS THE CODE OF 0xB (not in the rule document) WITH THE CALLER'S POWERS (delegatecall): g()", "  calls nothing, but pays of 0xC",
			"lets 0xS take ANY AMOUNT of 0xT", "lets 0xS take EVERY TOKEN, those to come too, of 0xT", "up to 9 base units", "from 0xA to 0xD"}},
		"typed": {typed, []string{`typed data Permit of "Shop"`, "for the contract shop 0xV", "string = ", "lets somebody take", "until for ever"}},
		"raw":   {raw, []string{"NOBODY CAN SAY WHAT THIS CALL DOES: who knows", "0x01020304 of 0xA"}},
	} {
		got := strings.Join(words.Signing(x.e), "\n")
		for _, w := range x.want {
			if !strings.Contains(got, w) {
				t.Errorf("%s: %q is not in\n%s", name, w, got)
			}
		}
		if strings.Contains(got, "\u202e") {
			t.Errorf("%s: a hidden character is shown", name)
		}
		if all := strings.Join(words.Effects(x.e, request.Bounds{}), "\n"); !strings.Contains(all, got) {
			t.Errorf("%s: the effects are told as\n%s", name, all)
		}
	}
	if got := words.Signing(request.Effects{Operation: request.Transfer}); len(got) != 0 {
		t.Errorf("of a transfer: %q", got)
	}
	text := strings.Join(words.Body(&request.MessageSignBody{Wallet: "hot", Kind: request.PersonalMessage, Content: "one\ntwo"}, "0xA"), "\n")
	if !strings.Contains(text, "  | one\n  | two") {
		t.Errorf("a text is told as\n%s", text)
	}
	text = strings.Join(words.Body(&request.ContractCallBody{Wallet: "hot", Contract: "0xB", Data: []byte{1}, FeeCap: custody.U64(7)}, "0xA"), "\n")
	if !strings.Contains(text, "with 0 ETH (0 wei) and 1 bytes of call data\nwith a fee of at most 0.000000000000000007 ETH (7 wei)") {
		t.Errorf("a call is told as\n%s", text)
	}
	e := request.Effects{Operation: request.MessageSign, Wallet: "hot", Chain: "eip155:1", Source: "0xA", Message: &request.MessageEffects{Kind: request.PersonalMessage, Text: "one\ntwo"}}
	if text = strings.Join(words.Effects(e, request.Bounds{}), "\n"); !strings.Contains(text, "this text:\n  | one\n  | two") {
		t.Errorf("without the request, a text is told as\n%s", text)
	}
	e = request.Effects{Operation: request.ContractCall, Wallet: "hot", Chain: "eip155:1", Source: "0xA", Calls: &request.CallEffects{}}
	if text = strings.Join(words.Effects(e, request.Bounds{FeeCap: custody.U64(5)}), "\n"); !strings.Contains(text, "call a contract from the wallet \"hot\"") || !strings.Contains(text, "fee of at most 0.000000000000000005 ETH (5 wei)") {
		t.Errorf("without the request, a call is told as\n%s", text)
	}
}
