// SPDX-License-Identifier: Apache-2.0

package words

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
)

func TestCoins(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		v        string
		decimals int
		want     string
	}{{"0", 8, "0"}, {"1", 8, "0.00000001"}, {"100000000", 8, "1"}, {"123456789", 8, "1.23456789"}, {"1000000000000000001", 18, "1.000000000000000001"},
		{"10", 0, "10"}, {"120", 1, "12"}} {
		v, err := custody.ParseUint256(tt.v)
		if err != nil {
			t.Fatal(err)
		}
		if got := Coins(v, tt.decimals); got != tt.want {
			t.Errorf("%s with %d decimals: got %s, want %s", tt.v, tt.decimals, got, tt.want)
		}
	}
}

// TestCoinsLoseNothing: the digits of what is shown are those of the amount.
func TestCoinsLoseNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v := custody.U64(rapid.Uint64().Draw(t, "amount"))
		d := rapid.IntRange(0, 18).Draw(t, "decimals")
		whole, part, _ := strings.Cut(Coins(v, d), ".")
		digits := strings.TrimLeft(whole+part+strings.Repeat("0", d-len(part)), "0")
		if digits == "" {
			digits = "0"
		}
		if digits != v.String() {
			t.Fatalf("%s with %d decimals is shown as %s.%s", v, d, whole, part)
		}
	})
}

func TestAmountAndChain(t *testing.T) {
	t.Parallel()
	eth := custody.EVMChain(1337)
	for got, want := range map[string]string{
		Amount(eth.Native(), custody.U64(5)):                                                "0.000000000000000005 ETH (5 wei)",
		Amount(custody.BitcoinRegtest.Native(), custody.U64(150_000_000)):                   "1.5 BTC (150000000 sat)",
		Amount("eip155:1/erc20:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", custody.U64(7)): "7 base units of the token 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
		Chain(eth): "Ethereum chain 1337", Chain(custody.EVMChain(1)): "Ethereum main network", Chain(custody.BitcoinRegtest): "Bitcoin regtest",
		Chain(custody.BitcoinMainnet): "Bitcoin main network", Chain(custody.BitcoinSignet): "Bitcoin signet", Chain(custody.BitcoinTestnet): "Bitcoin testnet",
		Unix(0): "1970-01-01 00:00:00 UTC",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestEveryOperationIsDescribed shows that nobody is asked to sign what has no words.
func TestEveryOperationIsDescribed(t *testing.T) {
	t.Parallel()
	for _, o := range request.Operations() {
		lines := Body(apiv1.NewBody(o), "")
		if len(lines) == 0 || strings.Contains(lines[0], "can't describe") {
			t.Errorf("%s: %q", o, lines)
		}
	}
	if got := Body(nil, ""); !strings.Contains(got[0], "do not sign") {
		t.Errorf("nothing: got %q", got)
	}
}

func TestTransferShowsAll(t *testing.T) {
	t.Parallel()
	const to, from = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"
	b := &request.TransferBody{Wallet: "hot", Asset: custody.EVMChain(1).Native(), Outputs: []request.Output{{Address: to, Amount: custody.U64(3)}}, FeeCap: custody.U64(4)}
	for _, lines := range [][]string{
		Body(b, from),
		Effects(request.Effects{Operation: request.Transfer, Wallet: "hot", Asset: b.Asset, Source: from, Outputs: b.Outputs}, request.Bounds{FeeCap: b.FeeCap}),
	} {
		all := strings.Join(lines, "\n")
		for _, want := range []string{`"hot"`, from, to, "(3 wei)", "(4 wei)", "Ethereum main network"} {
			if !strings.Contains(all, want) {
				t.Errorf("%q does not show %s", all, want)
			}
		}
	}
	if got := Effects(request.Effects{Operation: request.WalletCreate, Wallet: "hot", Chain: "eip155:1"}, request.Bounds{}); !strings.Contains(got[0], "wallet_create") || !strings.Contains(got[0], "hot") {
		t.Errorf("got %q", got)
	}
}

// Who approves a key in the token is told what that means.
func TestTokenWalletIsExplained(t *testing.T) {
	t.Parallel()
	got := strings.Join(Body(&request.WalletCreateBody{Wallet: "sealed", Chain: "eip155:1", Scheme: request.SchemeEVM, Class: request.ClassToken}, ""), "\n")
	for _, want := range []string{`"sealed"`, "one key and one address", "the key is born in the token, can't be moved and is in no backup", "is LOST"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q does not say %q", got, want)
		}
	}
	if strings.Contains(got, "seed") {
		t.Errorf("%q tells of a seed", got)
	}
	if got := Body(&request.WalletCreateBody{Wallet: "hot", Chain: "eip155:1", Scheme: request.SchemeEVM}, ""); strings.Contains(strings.Join(got, " "), "token") {
		t.Errorf("of class core: %q", got)
	}
}

func TestGroups(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"": "", "\x01": "01", "\x01\xab\xcd": "01ab cd", "\x01\xab\xcd\xef": "01ab cdef"} {
		if got := Groups([]byte(in)); got != want {
			t.Errorf("%x: got %q, want %q", in, got, want)
		}
	}
}
