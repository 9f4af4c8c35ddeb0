// SPDX-License-Identifier: Apache-2.0

package payload_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/lawtest"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/svc/chain"
	"strongroom/internal/svc/payload"
	"strongroom/internal/svc/payload/payloadtest"
)

const (
	ethChain   custody.ChainID = "eip155:1337"
	ethPayee                   = "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045"
	ethToken                   = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
	tokenAsset custody.AssetID = custody.AssetID(ethChain + "/erc20:" + ethToken)
	gwei                       = 1_000_000_000
)

func offer(base, tip, most uint64) chain.EthereumFee {
	return chain.EthereumFee{Base: custody.U64(base), Tip: custody.U64(tip), Max: custody.U64(most)}
}

// askEthereum asks the test core for a transfer from a wallet that is made when it is not there.
func askEthereum(t testing.TB, c *payloadtest.Core, asset custody.AssetID, amount, feeCap uint64) (custody.RequestID, payload.EthereumInput) {
	t.Helper()
	if _, _, ok := c.State.Wallet("hot"); !ok {
		c.AddWallet(t, "hot", ethChain, request.SchemeEVM)
	}
	id, asked := c.Transfer(t, request.TransferBody{
		Wallet: "hot", Asset: asset, Outputs: []request.Output{{Address: ethPayee, Amount: custody.U64(amount)}}, FeeCap: custody.U64(feeCap),
	})
	return id, payload.EthereumInput{
		Asked: asked, Fee: offer(10*gwei, gwei, 21*gwei), Gas: payload.TransferGas,
		Balance: custody.U64(1 << 62), Token: custody.U64(1 << 40),
	}
}

func decodeEth(t testing.TB, b []byte) eth.Tx1559 {
	t.Helper()
	tx, err := eth.DecodeUnsigned(b)
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

func TestEthereumBuilds(t *testing.T) {
	t.Parallel()
	c := payloadtest.New(t)
	for nonce, asset := range []custody.AssetID{ethChain.Native(), tokenAsset} {
		id, in := askEthereum(t, c, asset, 12345, 1e18)
		in.Nonce, in.Gas = uint64(nonce), 60_000
		b, err := payload.Ethereum(in)
		if err != nil {
			t.Fatal(err)
		}
		tx := decodeEth(t, b)
		if tx.ChainID != 1337 || tx.Nonce != in.Nonce || tx.GasLimit != 60_000 ||
			tx.MaxPriorityFeePerGas != eth.FromUint64(gwei) || tx.MaxFeePerGas != eth.FromUint64(21*gwei) {
			t.Errorf("got %+v", tx)
		}
		if _, err := c.Sign(t, id, b); err != nil {
			t.Errorf("the core refuses: %v", err)
		}
	}
}

// TestEthereumLaws: what is built the core signs; the fee is under the cap and covers the next block; replacements offer an
// eighth more of both; what is refused for the cap would be above it.
func TestEthereumLaws(t *testing.T) {
	t.Parallel()
	seen := lawtest.Counts{}
	derive := payloadtest.Cached()
	lawtest.Check(t, seen.Want(10, "built", "bumped"), func(r *rapid.T) {
		c := payloadtest.NewWith(t, derive)
		price := rapid.Uint64Range(1, 300*gwei)
		feeCap := rapid.OneOf(rapid.Uint64Range(1, 2e17), rapid.Uint64Range(2e16, 2e17)).Draw(r, "cap")
		id, in := askEthereum(t, c, rapid.SampledFrom([]custody.AssetID{ethChain.Native(), tokenAsset}).Draw(r, "asset"), 5, feeCap)
		base, tip := price.Draw(r, "base"), price.Draw(r, "tip")
		in.Fee = offer(base, tip, base*rapid.Uint64Range(1, 4).Draw(r, "headroom")+tip)
		in.Gas = rapid.Uint64Range(payload.TransferGas, 200_000).Draw(r, "gas")
		b, err := payload.Ethereum(in)
		if (base+tip)*in.Gas > feeCap {
			if problem.KindOf(err) != problem.OutsideBounds || !strings.Contains(err.Error(), custody.U64((base+tip)*in.Gas).String()) {
				r.Fatalf("got %v", err)
			}
			return
		}
		if err != nil {
			r.Fatal(err)
		}
		seen["built"]++
		for range 30 {
			tx := decodeEth(t, b)
			most, _ := custody.Uint256(tx.MaxFeePerGas).Uint64()
			if most < base+tip || most*in.Gas > feeCap {
				r.Fatalf("offers %d at base %d, tip %d, cap %d", most, base, tip, feeCap)
			}
			if _, err := c.Permit(t, id, b); err != nil {
				r.Fatalf("the core refuses: %v", err)
			}
			next, err := payload.EthereumBump(in, b)
			if err != nil {
				if problem.KindOf(err) != problem.OutsideBounds {
					r.Fatal(err)
				}
				return
			}
			seen["bumped"]++
			old, tx := tx, decodeEth(t, next)
			if !eighthMore(old.MaxFeePerGas, tx.MaxFeePerGas) || !eighthMore(old.MaxPriorityFeePerGas, tx.MaxPriorityFeePerGas) {
				r.Fatalf("from %s/%s to %s/%s", old.MaxPriorityFeePerGas, old.MaxFeePerGas, tx.MaxPriorityFeePerGas, tx.MaxFeePerGas)
			}
			b = next
		}
	})
}

func eighthMore(before, after eth.Uint256) bool {
	a, _ := before.Uint64()
	b, _ := after.Uint64()
	return 8*b >= 9*a && b > a
}

func TestEthereumRefuses(t *testing.T) {
	t.Parallel()
	c := payloadtest.New(t)
	for name, tc := range map[string]struct {
		asset  custody.AssetID
		change func(*payload.EthereumInput)
		kind   problem.Kind
		detail string
	}{
		"no coins": {ethChain.Native(), func(in *payload.EthereumInput) { in.Balance = custody.U64(1000) }, problem.Insufficient,
			"have 1000, need 441000000001000 of eip155:1337/slip44:60"},
		"no coins for the fee": {tokenAsset, func(in *payload.EthereumInput) { in.Balance = custody.U64(1000) }, problem.Insufficient,
			"have 1000, need 441000000000000 of eip155:1337/slip44:60"},
		"no tokens": {tokenAsset, func(in *payload.EthereumInput) { in.Token = custody.U64(999) }, problem.Insufficient, "have 999, need 1000 of " + string(tokenAsset)},
		"cap too low": {ethChain.Native(), func(in *payload.EthereumInput) { in.Bounds.FeeCap = custody.U64(230999999999999) }, problem.OutsideBounds,
			"the fee of the moment is 231000000000000; the cap is 230999999999999."},
		"gas too low": {ethChain.Native(), func(in *payload.EthereumInput) { in.Gas = 20_999 }, problem.Malformed, "gas 20999"},
		"fee overflows": {ethChain.Native(), func(in *payload.EthereumInput) {
			in.Fee.Tip = custody.Uint256{0: 0xff, 31: 1}
			in.Fee.Base = in.Fee.Tip
		}, problem.Malformed, "fee"},
		"fee times gas": {ethChain.Native(), func(in *payload.EthereumInput) { in.Fee.Tip = custody.Uint256{0: 0xff} }, problem.Malformed, "can't be"},
		"bad payee":     {ethChain.Native(), func(in *payload.EthereumInput) { in.Effects.Outputs = []request.Output{{Address: "0x"}} }, problem.Malformed, "payee"},
		"two payees": {ethChain.Native(), func(in *payload.EthereumInput) {
			in.Effects.Outputs = append(in.Effects.Outputs, in.Effects.Outputs...)
		}, problem.Unsupported, "one output"},
		"another chain":  {ethChain.Native(), func(in *payload.EthereumInput) { in.Effects.Chain = custody.BitcoinRegtest }, problem.WrongNetwork, "is no Ethereum transfer"},
		"nonce too high": {ethChain.Native(), func(in *payload.EthereumInput) { in.Nonce = 1<<64 - 1 }, problem.Malformed, "nonce"},
	} {
		t.Run(name, func(t *testing.T) {
			_, in := askEthereum(t, c, tc.asset, 1000, 1e18)
			tc.change(&in)
			_, err := payload.Ethereum(in)
			if problem.KindOf(err) != tc.kind || !strings.Contains(err.Error(), tc.detail) {
				t.Errorf("got %v, want %s: %s", err, tc.kind, tc.detail)
			}
		})
	}
	_, in := askEthereum(t, c, ethChain.Native(), 1000, 1e18)
	b, err := payload.Ethereum(in)
	if err != nil {
		t.Fatal(err)
	}
	_, other := askEthereum(t, c, ethChain.Native(), 1001, 1e18)
	if _, err := payload.EthereumBump(other, b); problem.KindOf(err) != problem.Conflict {
		t.Errorf("another transfer: got %v", err)
	}
	if _, err := payload.EthereumBump(in, b[1:]); problem.KindOf(err) != problem.Malformed {
		t.Errorf("not a payload: got %v", err)
	}
}

// A replacement at the numbers' end must not wrap around.
func TestEthereumBumpAtTheEnd(t *testing.T) {
	t.Parallel()
	c := payloadtest.New(t)
	_, in := askEthereum(t, c, ethChain.Native(), 1000, 1e18)
	huge := eth.Uint256{0: 0xff, 31: 7}
	tx := eth.Tx1559{ChainID: 1337, MaxPriorityFeePerGas: huge, MaxFeePerGas: huge, GasLimit: 1, Value: eth.FromUint64(1000)}
	var err error
	if tx.To, err = eth.ParseAddress(ethPayee); err != nil {
		t.Fatal(err)
	}
	b, err := tx.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := payload.EthereumBump(in, b); err == nil {
		t.Errorf("got %x", got)
	}
}

func TestGasLimit(t *testing.T) {
	t.Parallel()
	for estimate, want := range map[uint64]uint64{0: 21_000, 21_000: 21_000, 40_000: 50_000} {
		if got := payload.GasLimit(estimate); got != want {
			t.Errorf("%d: got %d, want %d", estimate, got, want)
		}
	}
}
