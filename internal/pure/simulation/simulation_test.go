// SPDX-License-Identifier: Apache-2.0

package simulation_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/simulation"
)

const payer = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"

var chain = custody.EVMChain(1)

func contract(n byte) eth.Address { return eth.Address{19: n} }

// sample is a report with all that one can have.
func sample() simulation.Report {
	return simulation.Report{V: 1, Chain: chain, Address: payer, Status: simulation.OK, Block: 7, BlockHash: bytes.Repeat([]byte{9}, 32),
		Changes: []simulation.Change{
			{Asset: simulation.ERC1155(chain, contract(3)), Out: custody.U64(2), In: custody.U64(5)},
			{Asset: simulation.ERC20(chain, contract(1)), In: custody.U64(4)},
			{Asset: simulation.ERC721(chain, contract(2)), Out: custody.U64(1)},
			{Asset: simulation.Coin(chain), Out: custody.U64(3)},
		},
		Approvals: []simulation.Approval{
			{Contract: contract(1).String(), Spender: payer, Amount: custody.U64(10)},
			{Contract: contract(2).String(), Spender: payer, Amount: custody.Uint256{}, Token: true}, // token number 0
			{Contract: contract(2).String(), Spender: payer, All: true},
		}}
}

func TestReportIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]simulation.Report{"all": sample(), "nothing changes": {V: 1, Chain: chain, Address: payer, Status: simulation.OK, BlockHash: make([]byte, 32)},
		"fails": {V: 1, Chain: chain, Address: payer, Status: simulation.Reverted, Block: 1, BlockHash: make([]byte, 32)}, "unknown": *simulation.Unsaid(chain, payer, simulation.Unsupported)} {
		b := r.Encode()
		again, err := simulation.Parse(b)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !bytes.Equal(again.Encode(), b) || again.Size() != len(b) {
			t.Errorf("%s: another after reading", name)
		}
	}
	if n := (*simulation.Report)(nil).Size(); n != 0 {
		t.Errorf("no report takes %d bytes", n)
	}
	s := sample()
	if got := s.Gives(simulation.Coin(chain)); got != custody.U64(3) {
		t.Errorf("gives %s", got)
	}
	if got := s.Gives("eip155:1/erc20:" + payer); !got.IsZero() {
		t.Errorf("gives %s of what it does not name", got)
	}
}

// The largest report that is well formed can be read.
func TestLargestReport(t *testing.T) {
	t.Parallel()
	r := sample()
	r.Chain, r.Changes, r.Approvals = "eip155:9223372036854775807", nil, nil
	most := custody.Uint256(bytes.Repeat([]byte{0xff}, 32))
	for i := range simulation.MaxChanges {
		r.Changes = append(r.Changes, simulation.Change{Asset: simulation.ERC1155(r.Chain, eth.Address{byte(i)}), Out: most, In: most})
	}
	for i := range simulation.MaxApprovals {
		r.Approvals = append(r.Approvals, simulation.Approval{Contract: eth.Address{byte(i)}.String(), Spender: payer, Amount: most, Token: true})
	}
	slices.SortFunc(r.Changes, func(a, b simulation.Change) int { return strings.Compare(string(a.Asset), string(b.Asset)) })
	slices.SortFunc(r.Approvals, simulation.Approval.Compare)
	if _, err := simulation.Parse(r.Encode()); err != nil {
		t.Fatalf("%d bytes: %v", r.Size(), err)
	}
	if _, err := simulation.Parse(make([]byte, simulation.MaxReport+1)); err == nil || !strings.Contains(err.Error(), "bytes, more than") {
		t.Errorf("a report that is too long: %v", err)
	}
}

func TestReportsThatAreNone(t *testing.T) {
	t.Parallel()
	for want, spoil := range map[string]func(*simulation.Report){
		"version 2":                      func(r *simulation.Report) { r.V = 2 },
		"none of Ethereum's":             func(r *simulation.Report) { r.Chain = custody.BitcoinMainnet },
		"checksum":                       func(r *simulation.Report) { r.Address = strings.ToLower(payer) },
		`status "fine"`:                  func(r *simulation.Report) { r.Status = "fine" },
		"only what is unknown":           func(r *simulation.Report) { r.Why = simulation.NoNode },
		"what is unknown has a reason":   func(r *simulation.Report) { r.Status, r.Why = simulation.Unknown, simulation.NoNode },
		"31 bytes":                       func(r *simulation.Report) { r.BlockHash = r.BlockHash[1:] },
		"what fails changes nothing":     func(r *simulation.Report) { r.Status = simulation.Reverted },
		"want at most 32":                func(r *simulation.Report) { r.Changes = make([]simulation.Change, 33) },
		"33 approvals":                   func(r *simulation.Report) { r.Approvals = make([]simulation.Approval, 33) },
		"changes must be sorted":         func(r *simulation.Report) { r.Changes[0], r.Changes[1] = r.Changes[1], r.Changes[0] },
		"approvals must be sorted":       func(r *simulation.Report) { r.Approvals[1] = r.Approvals[0] },
		"nothing changes":                func(r *simulation.Report) { r.Changes[3].Out = custody.Uint256{} },
		"given or got, not both":         func(r *simulation.Report) { r.Changes[3].In = custody.U64(1) },
		"it is not of chain":             func(r *simulation.Report) { r.Changes[0].Asset = "eip155:10/slip44:60" },
		"is neither":                     func(r *simulation.Report) { r.Changes[3].Asset = "eip155:1/slip44:61" },
		"power over nothing":             func(r *simulation.Report) { r.Approvals[0].Amount = custody.Uint256{} },
		"there is no amount":             func(r *simulation.Report) { r.Approvals[2].Amount = custody.U64(1) },
		"approval: address is malformed": func(r *simulation.Report) { r.Approvals[0].Contract = "0x" },
		"address checksum":               func(r *simulation.Report) { r.Approvals[0].Spender = "0x" + strings.ToUpper(payer[2:]) },
	} {
		r := sample()
		spoil(&r)
		if err := r.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		} else if _, again := simulation.Parse(r.Encode()); again == nil {
			t.Errorf("%s: read", want)
		}
	}
	unknown := simulation.Unsaid(chain, payer, "because")
	if unknown.Check() == nil {
		t.Error("a reason that is none")
	}
	s := sample()
	for _, b := range [][]byte{nil, {0xff}, append(s.Encode(), 0), canon.Encode(map[int]int{99: 1})} {
		if _, err := simulation.Parse(b); err == nil {
			t.Errorf("%x is read", b)
		}
	}
}

func TestAssets(t *testing.T) {
	t.Parallel()
	for _, a := range []simulation.Asset{simulation.Coin(chain), simulation.ERC20(chain, contract(1)), simulation.ERC721(chain, contract(1)), simulation.ERC1155(chain, contract(1))} {
		if err := a.Check(); err != nil || a.Chain() != chain {
			t.Errorf("%s: %v", a, err)
		}
		if want := strings.Contains(string(a), "erc721") || strings.Contains(string(a), "erc1155"); a.Numbered() != want {
			t.Errorf("%s has numbers: %v", a, a.Numbered())
		}
	}
	for _, a := range []simulation.Asset{"", "eip155:1", "eip155:1/", "bip122:000000000019d6689c085ae165831e93/slip44:0", "eip155:1/erc20:0x12", simulation.Asset("eip155:1/erc721:" + strings.ToLower(payer)),
		"eip155:1/erc777:" + payer, "eip155:1/erc721:" + payer + "/7"} {
		if err := a.Check(); err == nil {
			t.Errorf("%q is an asset", string(a))
		}
	}
}

// FuzzParse: what is read is well formed, bounded, and has that one encoding.
func FuzzParse(f *testing.F) {
	s := sample()
	f.Add(s.Encode())
	f.Add(simulation.Unsaid(chain, payer, simulation.Unreachable).Encode())
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := simulation.Parse(b)
		if err != nil {
			return
		}
		if !bytes.Equal(r.Encode(), b) {
			t.Fatalf("%x is read, and written as %x", b, r.Encode())
		}
		if len(r.Changes) > simulation.MaxChanges || len(r.Approvals) > simulation.MaxApprovals || len(b) > simulation.MaxReport {
			t.Fatal("too large")
		}
		if r.Status != simulation.OK && len(r.Changes)+len(r.Approvals) > 0 {
			t.Fatalf("%s, and something changes", r.Status)
		}
	})
}
