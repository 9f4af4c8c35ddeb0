// SPDX-License-Identifier: Apache-2.0

package calls_test

import (
	"fmt"
	"slices"
	"testing"

	"strongroom/internal/pure/eth/abi"
	"strongroom/internal/pure/eth/calls"
)

// TestReceivers: who gets something without a movement that tells of it is named, whichever function or command gives it.
func TestReceivers(t *testing.T) {
	t.Parallel()
	command := func(number byte, inputs, args string) []byte {
		f := function(t, "x"+inputs)
		vs, err := abi.FromJSON(f.Inputs, []byte(args))
		if err != nil {
			t.Fatal(err)
		}
		return data(t, "execute(bytes,bytes[],uint256)", fmt.Sprintf(`["0x%02x",[%s],9]`, number, hexed(abi.Encode(vs))))
	}
	path := fmt.Sprintf("[%q,%q]", token, nft)
	long := fmt.Sprintf("%q", "0x"+token[2:]+"000bb8"+nft[2:])
	const two = "0x0000000000000000000000000000000000000002"
	for name, c := range map[string]struct {
		contract string
		data     []byte
		want     []string
	}{
		"NFT":                {nft, data(t, "transferFrom(address,address,uint256)", fmt.Sprintf(`[%q,%q,0]`, own, payee)), []string{payee}},
		"NFT, safe":          {nft, data(t, "safeTransferFrom(address,address,uint256)", fmt.Sprintf(`[%q,%q,7]`, own, payee)), []string{payee}},
		"NFT, safe, data":    {nft, data(t, "safeTransferFrom(address,address,uint256,bytes)", fmt.Sprintf(`[%q,%q,7,"0x"]`, own, payee)), []string{payee}},
		"ERC-1155":           {nft, data(t, "safeTransferFrom(address,address,uint256,uint256,bytes)", fmt.Sprintf(`[%q,%q,7,1,"0x"]`, own, payee)), []string{payee}},
		"ERC-1155, batch":    {nft, data(t, "safeBatchTransferFrom(address,address,uint256[],uint256[],bytes)", fmt.Sprintf(`[%q,%q,[7],[1],"0x"]`, own, payee)), []string{payee}},
		"NFT in a multicall": {multi, data(t, "aggregate3((address,bool,bytes)[])", fmt.Sprintf(`[[[%q,false,%s]]]`, nft, hexed(data(t, "safeTransferFrom(address,address,uint256)", fmt.Sprintf(`[%q,%q,7]`, own, payee))))), []string{payee}},
		"sweep":              {router, command(0x84, "(address,address,uint256)", fmt.Sprintf(`[%q,%q,1]`, token, payee)), []string{payee}},
		"transfer":           {router, command(0x05, "(address,address,uint256)", fmt.Sprintf(`[%q,%q,1]`, token, payee)), []string{payee}},
		"portion":            {router, command(0x06, "(address,address,uint256)", fmt.Sprintf(`[%q,%q,1]`, token, payee)), []string{payee}},
		"wrap":               {router, command(0x0b, "(address,uint256)", fmt.Sprintf(`[%q,1]`, payee)), []string{payee}},
		"unwrap":             {router, command(0x0c, "(address,uint256)", fmt.Sprintf(`[%q,1]`, payee)), []string{payee}},
		"swap of V2":         {router, command(0x08, "(address,uint256,uint256,address[],bool)", fmt.Sprintf(`[%q,0,12,%s,false]`, payee, path)), []string{payee}},
		"swap of V2, out":    {router, command(0x09, "(address,uint256,uint256,address[],bool)", fmt.Sprintf(`[%q,0,12,%s,false]`, payee, path)), []string{payee}},
		"swap of V3":         {router, command(0x00, "(address,uint256,uint256,bytes,bool)", fmt.Sprintf(`[%q,0,12,%s,false]`, payee, long)), []string{payee}},
		"swap of V3, out":    {router, command(0x01, "(address,uint256,uint256,bytes,bool)", fmt.Sprintf(`[%q,0,12,%s,false]`, payee, long)), []string{payee}},
		"the router itself":  {router, command(0x0b, "(address,uint256)", fmt.Sprintf(`[%q,1]`, two)), nil},
		"an approval":        {token, approve(t, "7"), nil},
	} {
		e, err := decode(t, c.contract, c.data)
		if err != nil || e.Undecoded != "" {
			t.Fatalf("%s: %v, %s", name, err, e.Undecoded)
		}
		if got := calls.Receivers(&e); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
