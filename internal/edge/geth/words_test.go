// SPDX-License-Identifier: Apache-2.0

package geth

import (
	"testing"

	"strongroom/internal/svc/chain"
)

// TestReason has what nodes really say, whole.
func TestReason(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		code int
		want chain.Reason
	}{
		{"already known", -32000, alreadyKnown},
		{"ALREADY_EXISTS: already known", -32000, alreadyKnown},
		{"AlreadyKnown", -32010, alreadyKnown},
		{"Known transaction", -32000, alreadyKnown},
		{"nonce too low: next nonce 5, tx nonce 4", -32000, chain.NonceTooLow},
		{"Nonce too low", -32001, chain.NonceTooLow},
		{"OldNonce, Current nonce: 5, nonce of rejected tx: 4", -32010, chain.NonceTooLow},
		{"replacement transaction underpriced: new tx gas fee cap 11 <= 10 queued", -32000, chain.Underpriced},
		{"ReplacementNotAllowed", -32010, chain.Underpriced},
		{"transaction underpriced: gas tip cap 0, minimum needed 1", -32000, chain.FeeTooLow},
		{"max fee per gas less than block base fee: address 0x00, maxFeePerGas: 1, baseFee: 7", -32000, chain.FeeTooLow},
		{"insufficient funds for gas * price + value: balance 0, tx cost 21000", -32000, chain.NoFunds},
		{"Insufficient funds for gas * price + value", -32003, chain.NoFunds},
		{"Upfront cost exceeds account balance", -32004, chain.NoFunds},
		{"invalid sender: invalid chain id for signer: have 2 want 1", -32000, chain.WrongChain},
		{"execution reverted: ERC20: transfer amount exceeds balance", 3, chain.Reverts},
		{"custom error 0xe450d38c", 3, chain.Reverts},
		{"txpool is full", -32000, chain.PoolFull},
		{"the method eth_x does not exist/is not available", -32601, chain.Unsupported},
		{"nope", -32601, chain.Unsupported},
		{"daily request limit exceeded", -32005, chain.Unavailable},
		{"transaction indexing is in progress", -32000, chain.Unavailable},
		{"internal error", -32603, chain.Unavailable},
		{"intrinsic gas too low: gas 20000, minimum needed 21000", -32000, chain.Invalid},
		{"", -32000, chain.Invalid},
	} {
		if got := reason(c.code, c.text); got != c.want {
			t.Errorf("%q (%d): got %s, want %s", c.text, c.code, got, c.want)
		}
	}
}

func TestABIText(t *testing.T) {
	t.Parallel()
	word := func(n byte) []byte { return append(make([]byte, 31), n) }
	long := func(words ...[]byte) (b []byte) {
		for _, w := range words {
			b = append(b, w...)
		}
		return b
	}
	text := append([]byte("TST"), make([]byte, 29)...)
	huge := make([]byte, 32)
	huge[24] = 0x80
	for _, c := range []struct {
		name string
		in   []byte
		want string
		ok   bool
	}{
		{"string", long(word(32), word(3), text), "TST", true},
		{"32 bytes", text, "TST", true},
		{"empty string", long(word(32), word(0)), "", true},
		{"nothing", nil, "", false},
		{"other offset", long(word(64), word(3), text), "", false},
		{"longer than the answer", long(word(32), word(33), text), "", false},
		{"length of 2^63", long(word(32), huge, text), "", false},
		{"length above 64 bits", long(word(32), append([]byte{1}, make([]byte, 31)...), text), "", false},
	} {
		if got, ok := abiText(c.in); got != c.want || ok != c.ok {
			t.Errorf("%s: got %q, %v", c.name, got, ok)
		}
	}
}
