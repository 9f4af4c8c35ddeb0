// SPDX-License-Identifier: Apache-2.0

package payload_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/lawtest"
	"strongroom/internal/pure/btc"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/svc/chain"
	"strongroom/internal/svc/payload"
	"strongroom/internal/svc/payload/payloadtest"
	"strongroom/internal/svc/wallet"
)

// TestBitcoinLaws: whatever the coins, amounts, rates and caps are, a payload that is built is one that the core signs, pays
// exactly what was asked, its rate and no more than the cap, conserves value, makes no dust and spends each coin once; and
// what is refused can't be paid.
func TestBitcoinLaws(t *testing.T) {
	t.Parallel()
	seen := lawtest.Counts{}
	derive := payloadtest.Cached()
	lawtest.Check(t, seen.Want(10, "built", "refused"), func(r *rapid.T) {
		c := payloadtest.NewWith(t, derive)
		scheme := rapid.SampledFrom([]request.Scheme{request.SchemeP2WPKH, request.SchemeP2TR}).Draw(r, "scheme")
		sat := rapid.OneOf(rapid.Uint64Range(300, 5_000), rapid.Uint64Range(50_000, 1_000_000), rapid.Uint64Range(50_000, 1_000_000))
		var values []btc.Sat
		for _, v := range rapid.SliceOfN(sat, 0, 24).Draw(r, "coins") {
			values = append(values, btc.Sat(v))
		}
		f := purse(t, c, "w", scheme, values...)
		for i := range f.Coins {
			f.Coins[i].State = wallet.FundState(rapid.SampledFrom([]int{1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 3, 4, 5}).Draw(r, "state"))
			if rapid.IntRange(0, 4).Draw(r, "unconfirmed") == 0 {
				f.Coins[i].Depth = 0
			}
		}
		amounts := rapid.SliceOfN(rapid.OneOf(rapid.Uint64Range(546, 3_000), rapid.Uint64Range(3_000, 200_000)), 1, 4).Draw(r, "amounts")
		id, in := ask(t, c, f, rapid.OneOf(rapid.Uint64Range(100, 200_000), rapid.Uint64Range(20_000, 200_000)).Draw(r, "cap"), outs(amounts...)...)
		in.Rate = chain.FeeRate(rapid.Uint64Range(1_000, 60_000).Draw(r, "rate"))
		taken := rapid.SliceOfDistinct(rapid.IntRange(0, 19), rapid.ID).Draw(r, "taken")
		in.Taken = map[btc.OutPoint]bool{}
		for _, i := range taken[:len(taken)/3] {
			if i < len(f.Coins) {
				in.Taken[f.Coins[i].OutPoint] = true
			}
		}
		b, err := payload.Bitcoin(in)
		if err != nil {
			seen["refused"]++
			checkRefusal(t, r, in, err)
			return
		}
		seen["built"]++
		again, err := payload.Bitcoin(in)
		if err != nil || !bytes.Equal(again, b) {
			r.Fatal("the same input gave other bytes")
		}
		checkBuilt(t, r, in, decode(t, b))
		if _, err := c.Permit(t, id, b); err != nil {
			r.Fatalf("the core refuses: %v", err)
		}
		checkBumps(t, r, c, id, in, b)
	})
}

func checkBuilt(t testing.TB, r *rapid.T, in payload.BitcoinInput, p btc.PSBT) {
	t.Helper()
	coins := map[btc.OutPoint]wallet.Fund{}
	for _, c := range in.Funds.Coins {
		coins[c.OutPoint] = c
	}
	for i, x := range p.Tx.Inputs {
		c, ok := coins[x.OutPoint]
		if !ok || c.State != wallet.Spendable || in.Taken[x.OutPoint] {
			r.Fatalf("input %d must not be spent, or twice: %+v", i, c)
		}
		delete(coins, x.OutPoint)
		if x.Sequence != 0xfffffffd || !p.Inputs[i].WitnessUTXO.Equal(c.Output) {
			r.Fatalf("input %d: %+v", i, x)
		}
	}
	want := in.Effects.Outputs
	if n := len(p.Tx.Outputs) - len(want); n < 0 || n > 1 {
		r.Fatalf("%d outputs for %d", len(p.Tx.Outputs), len(want))
	}
	for i, o := range p.Tx.Outputs {
		if o.Value < o.Script.DustLimit() {
			r.Fatalf("output %d of %d is dust", i, o.Value)
		}
		if i < len(want) {
			if v, _ := want[i].Amount.Uint64(); uint64(o.Value) != v {
				r.Fatalf("output %d pays %d, not %d", i, o.Value, v)
			}
		}
	}
	size, err := p.Tx.MaxSignedVSize(p.Prevouts())
	if err != nil {
		r.Fatal(err)
	}
	fee := feeOf(t, p)
	if least := in.Rate.Fee(size); fee < least {
		r.Fatalf("fee %d is below the rate's %d", fee, least)
	}
	if most, _ := in.FeeCap().Uint64(); uint64(fee) > most {
		r.Fatalf("fee %d is above the cap %d", fee, most)
	}
	// What is paid beyond the rate is less than change would have cost.
	if extra := fee - in.Rate.Fee(size); len(p.Tx.Outputs) == len(want) && extra > in.Rate.Fee(43+68)+330 {
		r.Fatalf("%d satoshi are given away", extra)
	}
}

// checkRefusal: what is refused for want of funds can't be paid by all coins together.
func checkRefusal(t testing.TB, r *rapid.T, in payload.BitcoinInput, err error) {
	t.Helper()
	var need, have btc.Sat
	for _, o := range in.Effects.Outputs {
		v, _ := o.Amount.Uint64()
		need += btc.Sat(v)
	}
	for _, c := range in.Funds.Coins {
		if c.State == wallet.Spendable && !in.Taken[c.OutPoint] {
			if eff := int64(c.Output.Value) - int64(in.Rate.Fee(58)); eff > 0 {
				have += btc.Sat(eff)
			}
		}
	}
	switch problem.KindOf(err) {
	case problem.Insufficient:
		if !strings.Contains(err.Error(), "have ") || !strings.Contains(err.Error(), "need ") {
			r.Fatalf("no numbers: %v", err)
		}
		if have > need+in.Rate.Fee(11+4*43+70) {
			r.Fatalf("%d were enough for %d: %v", have, need, err)
		}
	case problem.OutsideBounds:
		most, _ := in.FeeCap().Uint64()
		if !strings.Contains(err.Error(), fmt.Sprintf("the cap is %d", most)) {
			r.Fatalf("no numbers: %v", err)
		}
	default:
		r.Fatalf("got %v", err)
	}
}

// checkBumps replaces a payload until the cap or the change is used up; the core takes each.
func checkBumps(t testing.TB, r *rapid.T, c *payloadtest.Core, id custody.RequestID, in payload.BitcoinInput, b []byte) {
	t.Helper()
	for range 40 {
		next, err := payload.BitcoinBump(in, b)
		if err != nil {
			if k := problem.KindOf(err); k != problem.Insufficient && k != problem.OutsideBounds {
				r.Fatal(err)
			}
			return
		}
		old, p := decode(t, b), decode(t, next)
		size, err := p.Tx.MaxSignedVSize(p.Prevouts())
		if err != nil {
			r.Fatal(err)
		}
		if more := feeOf(t, p) - feeOf(t, old); feeOf(t, p) < feeOf(t, old) || more < btc.Sat(size) {
			r.Fatalf("fee went from %d to %d", feeOf(t, old), feeOf(t, p))
		}
		if _, err := c.Permit(t, id, next); err != nil {
			r.Fatalf("the core refuses the replacement: %v", err)
		}
		b = next
		in.Rate += in.Rate / 3
	}
}
