// SPDX-License-Identifier: Apache-2.0

package words_test

import (
	"slices"
	"strings"
	"testing"

	"strongroom/internal/app/words"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/simulation"
)

// Whatever a report says, it is told as the word of a node; what is no report is not told at all.
func TestSimulated(t *testing.T) {
	t.Parallel()
	const who = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
	on, c := custody.EVMChain(1), eth.Address{1}
	good := simulation.Report{V: 1, Chain: on, Address: who, Status: simulation.OK, Block: 7, BlockHash: make([]byte, 32)}
	with := func(f func(*simulation.Report)) *simulation.Report {
		r := good
		f(&r)
		return &r
	}
	for _, x := range []struct {
		name string
		r    *simulation.Report
		want []string
	}{
		{"none", nil, nil},
		{"nothing", &good, []string{"the node of serve says, checked by nobody: after block 7 the address " + who + " would", "  give and get nothing but the fee"}},
		{"all", with(func(r *simulation.Report) {
			r.Changes = []simulation.Change{{Asset: simulation.ERC20(on, c), In: custody.U64(4)}, {Asset: simulation.ERC721(on, c), Out: custody.U64(2), In: custody.U64(1)}, {Asset: simulation.Coin(on), Out: custody.U64(5)}}
			r.Approvals = []simulation.Approval{{Contract: c.String(), Spender: who, Amount: custody.U64(9)}, {Contract: c.String(), Spender: who, Amount: custody.U64(8), Token: true}, {Contract: c.String(), Spender: who, All: true}}
		}), []string{"the node of serve says, checked by nobody: after block 7 the address " + who + " would", "  get  4 base units of the token " + c.String(),
			"  give 2 tokens of eip155:1/erc721:" + c.String(), "  get  1 tokens of eip155:1/erc721:" + c.String(), "  give 0.000000000000000005 ETH (5 wei)",
			"  let " + who + " take up to 9 base units of " + c.String(), "  let " + who + " take the token number 8 of " + c.String(), "  let " + who + " take EVERY TOKEN of " + c.String()}},
		{"fails", with(func(r *simulation.Report) { r.Status = simulation.Reverted }), []string{"the node of serve says, checked by nobody: after block 7 it WOULD FAIL"}},
		{"malformed", with(func(r *simulation.Report) { r.Address = "\x1b[2J" }), []string{"serve shows a report of a simulation that is none; do not rely on anything that it says of balances"}},
	} {
		if got := words.Simulated(x.r); !slices.Equal(got, x.want) {
			t.Errorf("%s:\n%s", x.name, strings.Join(got, "\n"))
		}
	}
	for _, why := range []simulation.Why{simulation.NoNode, simulation.Unreachable, simulation.Unsupported, simulation.Rejected, simulation.Malformed, simulation.TooMany} {
		if got := words.Simulated(simulation.Unsaid(on, who, why)); len(got) != 1 || !strings.HasPrefix(got[0], "the node of serve can't say what it would change: ") || strings.HasSuffix(got[0], ": ") {
			t.Errorf("%s: %q", why, got)
		}
	}
}
