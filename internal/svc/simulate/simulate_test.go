// SPDX-License-Identifier: Apache-2.0

package simulate_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"strongroom/internal/gate/coretest"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/simulation"
	"strongroom/internal/svc/chain"
	"strongroom/internal/svc/simulate"
)

var (
	on    = custody.EVMChain(1)
	me    = eth.Address{0x5a, 0xae, 0xb6}
	other = eth.Address{7}
	usd   = eth.Address{0xaa}
	block = chain.Block{Height: 9, Hash: chain.BlockHash("0x" + strings.Repeat("0b", 32))}
)

func topic(name string) [32]byte { return eth.Keccak256([]byte(name)) }

func word(v any) (out [32]byte) {
	switch v := v.(type) {
	case eth.Address:
		copy(out[12:], v[:])
	case int:
		binary.BigEndian.PutUint64(out[24:], uint64(v))
	case [32]byte:
		return v
	}
	return out
}

func words(vs ...any) (out []byte) {
	for _, v := range vs {
		w := word(v)
		out = append(out, w[:]...)
	}
	return out
}

// event is a log of a contract, with topics after the first.
func event(from eth.Address, name string, data []byte, topics ...any) chain.Log {
	l := chain.Log{Address: from, Topics: [][32]byte{topic(name)}, Data: data}
	for _, v := range topics {
		l.Topics = append(l.Topics, word(v))
	}
	return l
}

const (
	transfer = "Transfer(address,address,uint256)"
	single   = "TransferSingle(address,address,address,uint256,uint256)"
	batch    = "TransferBatch(address,address,address,uint256[],uint256[])"
	approval = "Approval(address,address,uint256)"
	forAll   = "ApprovalForAll(address,address,bool)"
	permit2  = "Approval(address,address,address,uint160,uint48)"
	deposit  = "Deposit(address,uint256)"
	withdraw = "Withdrawal(address,uint256)"
)

func change(a simulation.Asset, out, in uint64) simulation.Change {
	return simulation.Change{Asset: a, Out: custody.U64(out), In: custody.U64(in)}
}

func TestRead(t *testing.T) {
	t.Parallel()
	token, nft, multi := simulation.ERC20(on, usd), simulation.ERC721(on, usd), simulation.ERC1155(on, usd)
	power := func(a simulation.Approval) []simulation.Approval {
		a.Contract, a.Spender = usd.String(), other.String()
		return []simulation.Approval{a}
	}
	for _, c := range []struct {
		name      string
		logs      []chain.Log
		changes   []simulation.Change
		approvals []simulation.Approval
	}{
		{"nothing", nil, nil, nil},
		{"without topics", []chain.Log{{Address: usd}}, nil, nil},
		{"between others", []chain.Log{event(usd, transfer, words(5), other, other)}, nil, nil},
		{"given", []chain.Log{event(usd, transfer, words(5), me, other)}, []simulation.Change{change(token, 5, 0)}, nil},
		{"got", []chain.Log{event(usd, transfer, words(5), other, me)}, []simulation.Change{change(token, 0, 5)}, nil},
		{"on balance", []chain.Log{event(usd, transfer, words(5), me, other), event(usd, transfer, words(3), other, me)}, []simulation.Change{change(token, 2, 0)}, nil},
		{"there and back", []chain.Log{event(usd, transfer, words(5), me, other), event(usd, transfer, words(5), other, me)}, nil, nil},
		{"to itself", []chain.Log{event(usd, transfer, words(5), me, me)}, nil, nil},
		{"coins", []chain.Log{event(eth.Address(bytes.Repeat([]byte{0xee}, 20)), transfer, words(5), me, other)}, []simulation.Change{change(simulation.Coin(on), 5, 0)}, nil},
		{"a token with a number", []chain.Log{event(usd, transfer, nil, me, other, 77)}, []simulation.Change{change(nft, 1, 0)}, nil},
		{"another token for it", []chain.Log{event(usd, transfer, nil, me, other, 77), event(usd, transfer, nil, other, me, 78)}, []simulation.Change{change(nft, 1, 1)}, nil},
		{"the same token back", []chain.Log{event(usd, transfer, nil, me, other, 77), event(usd, transfer, nil, other, me, 77)}, nil, nil},
		{"of ERC-1155", []chain.Log{event(usd, single, words(1, 4), other, me, other), event(usd, single, words(1, 1), other, other, me), event(usd, single, words(2, 9), other, other, me)},
			[]simulation.Change{change(multi, 3, 9)}, nil},
		{"several of ERC-1155", []chain.Log{event(usd, batch, words(64, 160, 2, 5, 6, 2, 10, 20), other, me, other)}, []simulation.Change{change(multi, 30, 0)}, nil},
		{"wrapped", []chain.Log{event(usd, deposit, words(5), me)}, []simulation.Change{change(token, 0, 5)}, nil},
		{"wrapped back", []chain.Log{event(usd, withdraw, words(5), me)}, []simulation.Change{change(token, 5, 0)}, nil},
		{"another's deposit", []chain.Log{event(usd, deposit, words(5), other), event(usd, deposit, words(5)), event(usd, deposit, words(5), [32]byte{1}), event(usd, withdraw, nil, me)}, nil, nil},
		{"an allowance", []chain.Log{event(usd, approval, words(5), me, other)}, nil, power(simulation.Approval{Amount: custody.U64(5)})},
		{"another's allowance", []chain.Log{event(usd, approval, words(5), other, me)}, nil, nil},
		{"taken back", []chain.Log{event(usd, approval, words(5), me, other), event(usd, approval, words(0), me, other)}, nil, nil},
		{"of one token", []chain.Log{event(usd, approval, nil, me, other, 0)}, nil, power(simulation.Approval{Token: true})},
		{"of one token, and taken back", []chain.Log{event(usd, approval, nil, me, other, 4), event(usd, approval, nil, me, eth.Address{}, 4)}, nil, nil},
		{"of all tokens", []chain.Log{event(usd, forAll, words(1), me, other)}, nil, power(simulation.Approval{All: true})},
		{"of no token", []chain.Log{event(usd, forAll, words(1), me, other), event(usd, forAll, words(0), me, other)}, nil, nil},
		{"by Permit2", []chain.Log{event(other, permit2, words(5, 1), me, usd, other)}, nil, power(simulation.Approval{Amount: custody.U64(5)})},
		{"nobody else takes it back", []chain.Log{event(usd, approval, words(5), me, other), event(other, permit2, words(0, 1), me, usd, other)}, nil, power(simulation.Approval{Amount: custody.U64(5)})},
		{"twice the same", []chain.Log{event(usd, approval, words(5), me, other), event(other, permit2, words(5, 1), me, usd, other)}, nil, power(simulation.Approval{Amount: custody.U64(5)})},
	} {
		r := simulate.Read(on, me.String(), chain.Trace{After: block, Logs: c.logs})
		if err := r.Check(); err != nil || r.Status != simulation.OK || r.Block != 9 || r.BlockHash[31] != 0x0b || !slices.Equal(r.Changes, c.changes) || !slices.Equal(r.Approvals, c.approvals) {
			t.Errorf("%s: %+v, %v", c.name, r, err)
		}
	}
	if r := simulate.Read(on, me.String(), chain.Trace{After: block, Reverted: true}); r.Status != simulation.Reverted || r.Check() != nil {
		t.Errorf("fails: %+v", r)
	}
}

// An event that has the name of a standard and not its form is unknown, and not nothing.
func TestEventsThatAreNone(t *testing.T) {
	t.Parallel()
	dirty := word(me)
	dirty[0] = 1
	huge := [32]byte(bytes.Repeat([]byte{0xff}, 32))
	for name, logs := range map[string][]chain.Log{
		"no topics":             {event(usd, transfer, words(me, other, 5))},
		"two topics":            {event(usd, transfer, words(other, 5), me)},
		"no amount":             {event(usd, transfer, nil, me, other)},
		"two amounts":           {event(usd, transfer, words(5, 5), me, other)},
		"amount beside number":  {event(usd, transfer, words(5), me, other, 1)},
		"no address":            {event(usd, transfer, words(5), dirty, other)},
		"to no address":         {event(usd, transfer, words(5), other, dirty)},
		"single without amount": {event(usd, single, words(5), other, me, other)},
		"batch of pairs":        {event(usd, batch, words(64, 160, 2, 5, 6, 1, 10), other, me, other)},
		"batch cut off":         {event(usd, batch, words(64, 160, 2, 5, 6, 2, 10), other, me, other)},
		"batch of anybody":      {event(usd, batch, words(64, 160, 2, 5, 6, 2, 10, 20), me, other)},
		"approval of nothing":   {event(usd, approval, nil, me, other)},
		"approval of anybody":   {event(usd, approval, words(5), dirty, other)},
		"approval to anybody":   {event(usd, approval, words(5), me, dirty)},
		"for all, perhaps":      {event(usd, forAll, words(2), me, other)},
		"permit2 of no token":   {event(usd, permit2, words(5, 1), me, dirty, other)},
		"permit2 over all":      {event(usd, permit2, words(huge, 1), me, usd, other)},
		"more than there is":    {event(usd, transfer, words(huge), me, other), event(usd, transfer, words(1), me, other)},
		"more than there comes": {event(usd, transfer, words(huge), other, me), event(usd, transfer, words(1), other, me)},
		"more of all numbers":   {event(usd, single, words(1, huge), me, me, other), event(usd, single, words(2, huge), me, me, other)},
	} {
		if r := simulate.Read(on, me.String(), chain.Trace{After: block, Logs: logs}); r.Status != simulation.Unknown || r.Why != simulation.Malformed || r.Check() != nil {
			t.Errorf("%s: %+v", name, r)
		}
	}
	for name, hash := range map[string]chain.BlockHash{"no hash": "", "short": "0x12", "no hex": chain.BlockHash(strings.Repeat("z", 64))} {
		if r := simulate.Read(on, me.String(), chain.Trace{After: chain.Block{Hash: hash}}); r.Why != simulation.Malformed {
			t.Errorf("%s: %+v", name, r)
		}
	}
	var many, powers []chain.Log
	for i := range simulation.MaxChanges + 1 {
		many = append(many, event(eth.Address{byte(i)}, transfer, words(1), me, other))
		powers = append(powers, event(eth.Address{byte(i)}, approval, words(1), me, other))
	}
	for name, logs := range map[string][]chain.Log{"changes": many, "approvals": powers} {
		if r := simulate.Read(on, me.String(), chain.Trace{After: block, Logs: logs}); r.Why != simulation.TooMany {
			t.Errorf("33 %s: %+v", name, r.Status)
		}
		if r := simulate.Read(on, me.String(), chain.Trace{After: block, Logs: logs[1:]}); r.Status != simulation.OK || r.Check() != nil {
			t.Errorf("32 %s: %+v", name, r.Status)
		}
	}
}

// FuzzRead: whatever a node says, the report is well formed; what it says of an address without events is nothing.
func FuzzRead(f *testing.F) {
	names := []string{transfer, single, batch, approval, forAll, permit2, deposit, withdraw}
	f.Add([]byte{0, 3, 1, 2, 0, 32, 5})
	f.Add([]byte{2, 4, 0, 1, 2, 255, 0, 0, 64})
	f.Fuzz(func(t *testing.T, b []byte) {
		take := func() byte {
			if len(b) == 0 {
				return 0
			}
			x := b[0]
			b = b[1:]
			return x
		}
		whos := []any{me, other, usd, [32]byte{1}, 3}
		var logs []chain.Log
		for len(b) > 0 && len(logs) < 50 {
			l := event(whos[take()%3].(eth.Address), names[take()%8], nil)
			for range take() % 4 {
				l.Topics = append(l.Topics, word(whos[int(take())%len(whos)]))
			}
			for range take() % 9 {
				l.Data = append(l.Data, words(int(take()))...)
			}
			l.Data = append(l.Data, make([]byte, take()%2)...)
			logs = append(logs, l)
		}
		r := simulate.Read(on, me.String(), chain.Trace{After: block, Logs: logs})
		if err := r.Check(); err != nil {
			t.Fatalf("%v\n%+v", err, r)
		}
		if stranger := simulate.Read(on, eth.Address{0x99}.String(), chain.Trace{After: block, Logs: logs}); len(stranger.Changes)+len(stranger.Approvals) > 0 {
			t.Fatalf("%+v", stranger)
		}
	})
}

// node says one thing, and keeps what it was asked.
type node struct {
	said     chain.Trace
	err      error
	from, to string
	value    custody.Uint256
	data     []byte
}

// Simulate says it.
func (n *node) Simulate(ctx context.Context, from, to string, value custody.Uint256, data []byte) (chain.Trace, error) {
	n.from, n.to, n.value, n.data = from, to, value, data
	if errors.Is(n.err, context.DeadlineExceeded) {
		<-ctx.Done()
		return n.said, &chain.Refusal{Reason: chain.Unavailable, Err: ctx.Err()}
	}
	return n.said, n.err
}

func TestReport(t *testing.T) {
	t.Parallel()
	core := coretest.New(t, time.Now)
	hot := core.AddWallet(t, "hot", coretest.Ethereum, request.SchemeEVM, 2)
	core.AddWallet(t, "cold", custody.BitcoinRegtest, request.SchemeP2WPKH, 1)
	address := func(i uint32) string {
		d, err := authority.Derive(hot, entry.KeyPath{Index: i})
		if err != nil {
			t.Fatal(err)
		}
		return d.Address
	}
	n := &node{said: chain.Trace{After: block}}
	nodes := func(c custody.ChainID) (simulate.Node, bool) { return n, c == coretest.Ethereum }
	s, err := simulate.New(simulate.Config{Core: core, Nodes: nodes, Patience: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	looks := policy.Document{Obligations: []policy.Obligation{{When: policy.Match{Simulation: &policy.SimulationMatch{Unknown: true}}}}}
	token := custody.AssetID(string(coretest.Ethereum) + "/erc20:" + usd.String())
	pays := func(asset custody.AssetID, wallet custody.WalletID, source uint32) *request.TransferBody {
		return &request.TransferBody{Wallet: wallet, Source: source, Asset: asset, Outputs: []request.Output{{Address: other.String(), Amount: custody.U64(7)}}, FeeCap: custody.U64(1)}
	}
	call := &request.ContractCallBody{Wallet: "hot", Source: 1, Contract: usd.String(), Value: custody.U64(3), Data: []byte{1, 2, 3, 4}}

	for _, c := range []struct {
		name     string
		rules    policy.Document
		body     request.Body
		from, to string // empty: nothing is reported
		value    uint64
		data     []byte
	}{
		{"coins", looks, pays(coretest.Ethereum.Native(), "hot", 0), address(0), other.String(), 7, nil},
		{"tokens of another address", looks, pays(token, "hot", 1), address(1), usd.String(), 0, eth.EncodeTransfer(other, eth.FromUint64(7))},
		{"a call", policy.Document{}, call, address(1), usd.String(), 3, call.Data},
		{"a transfer that no rule looks at", policy.Document{}, pays(token, "hot", 0), "", "", 0, nil},
		{"bitcoin", looks, pays(custody.BitcoinRegtest.Native(), "cold", 0), "", "", 0, nil},
		{"no such wallet", looks, pays(token, "none", 0), "", "", 0, nil},
		{"no such address", looks, pays(token, "hot", 9), "", "", 0, nil},
		{"a wallet of another chain", looks, pays(token, "cold", 0), "", "", 0, nil},
		{"a call of a wallet without contracts", looks, &request.ContractCallBody{Wallet: "cold", Contract: usd.String()}, "", "", 0, nil},
		{"no contract", looks, &request.ContractCallBody{Wallet: "hot", Contract: "0x1"}, "", "", 0, nil},
		{"something else", looks, &request.WalletCreateBody{Wallet: "w"}, "", "", 0, nil},
	} {
		*n = node{said: n.said}
		r := s.Report(t.Context(), c.rules, c.body)
		if c.from == "" {
			if r != nil || n.from != "" {
				t.Errorf("%s: %+v", c.name, r)
			}
			continue
		}
		if r == nil || r.Status != simulation.OK || r.Chain != coretest.Ethereum || r.Address != c.from || r.Check() != nil {
			t.Errorf("%s: %+v", c.name, r)
		}
		if n.from != c.from || n.to != c.to || n.value != custody.U64(c.value) || !bytes.Equal(n.data, c.data) {
			t.Errorf("%s: asked of %s to %s, %s, %x", c.name, n.from, n.to, n.value, n.data)
		}
	}

	refuse := func(r chain.Reason) error { return &chain.Refusal{Reason: r} }
	for _, c := range []struct {
		err  error
		want simulation.Why
	}{
		{refuse(chain.Unsupported), simulation.Unsupported}, {refuse(chain.Unavailable), simulation.Unreachable}, {refuse(chain.WrongChain), simulation.Unreachable}, {refuse(chain.Contradiction), simulation.Malformed},
		{refuse(chain.NoFunds), simulation.Rejected}, {refuse(chain.Invalid), simulation.Rejected}, {errors.New("broken"), simulation.Unreachable}, {context.DeadlineExceeded, simulation.Unreachable},
	} {
		n.err = c.err
		if r := s.Report(t.Context(), looks, call); r == nil || r.Status != simulation.Unknown || r.Why != c.want || r.Check() != nil {
			t.Errorf("%v: %+v", c.err, r)
		}
	}
	alone, err := simulate.New(simulate.Config{Core: core, Nodes: func(custody.ChainID) (simulate.Node, bool) { return nil, false }, Patience: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if r := alone.Report(t.Context(), looks, call); r == nil || r.Why != simulation.NoNode {
		t.Errorf("without a node: %+v", r)
	}
	for _, cfg := range []simulate.Config{{}, {Core: core, Patience: 1}, {Nodes: nodes, Patience: 1}, {Core: core, Nodes: nodes}} {
		if _, err := simulate.New(cfg); err == nil {
			t.Errorf("%+v is a configuration", cfg)
		}
	}
}
