// SPDX-License-Identifier: Apache-2.0

package geth_test

import (
	"crypto/ecdsa"
	"encoding/hex"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"strongroom/internal/edge/geth"
	"strongroom/internal/nodestest"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/simulation"
	"strongroom/internal/svc/chain"
	"strongroom/internal/svc/simulate"
)

// Contracts of these tests, as runtime code written by hand.
const (
	// forwarder calls the address in the first word of its data with the rest, and with what it was sent; where that fails, so does it.
	forwarder = "6020360380602060003760006000916000346000355af1601f5760006000fd5b00"
	// speaker emits an event: three topics, then data.
	speaker = "60603603806060600037604035602035600035836000a300"
	// refuser fails.
	refuser = "60006000fd"
)

// sandbox is a real node and an account that anybody's contracts can be made with.
type sandbox struct {
	t     *testing.T
	env   *nodestest.Env
	node  *geth.Client
	key   *ecdsa.PrivateKey
	me    common.Address
	nonce uint64
}

func newSandbox(t *testing.T) *sandbox {
	t.Helper()
	env := nodestest.StartAlone(t)
	key, err := crypto.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	s := &sandbox{t: t, env: env, node: open(t, env.EthRPC, env.ChainID), key: key, me: crypto.PubkeyToAddress(key.PublicKey)}
	env.Fund(t, nodestest.Ethereum, s.address(), "2000000000000000000")
	env.FundToken(t, s.address(), "5000")
	return s
}

func (s *sandbox) address() string { return eth.Address(s.me).String() }

// send makes a transaction and mines it; to nil creates a contract.
func (s *sandbox) send(to *common.Address, data []byte) {
	s.t.Helper()
	fees, err := s.node.Fees(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	id := new(big.Int).SetUint64(s.env.ChainID)
	tx, err := types.SignNewTx(s.key, types.LatestSignerForChainID(id), &types.DynamicFeeTx{ChainID: id, Nonce: s.nonce, Gas: 300_000, To: to, Data: data,
		GasTipCap: new(big.Int).SetBytes(fees.High.Tip[:]), GasFeeCap: new(big.Int).SetBytes(fees.High.Max[:])})
	if err != nil {
		s.t.Fatal(err)
	}
	raw, err := tx.MarshalBinary()
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.node.Send(s.t.Context(), raw); err != nil {
		s.t.Fatal(err)
	}
	s.env.Mine(s.t, nodestest.Ethereum, 1)
	s.nonce++
}

// deploy makes a contract of runtime code.
func (s *sandbox) deploy(runtime string) eth.Address {
	s.t.Helper()
	code, err := hex.DecodeString(runtime)
	if err != nil {
		s.t.Fatal(err)
	}
	at := crypto.CreateAddress(s.me, s.nonce)
	s.send(nil, append([]byte{0x60, byte(len(code)), 0x80, 0x60, 0x09, 0x3d, 0x39, 0x3d, 0xf3}, code...))
	if live, err := s.node.Code(s.t.Context(), eth.Address(at).String()); err != nil || !live {
		s.t.Fatalf("deployed: %v, %v", live, err)
	}
	return eth.Address(at)
}

func (s *sandbox) token() common.Address { return common.HexToAddress(s.env.Token) }

// report is what comes of a simulation.
func (s *sandbox) report(to eth.Address, wei uint64, data []byte) simulation.Report {
	s.t.Helper()
	said, err := s.node.Simulate(s.t.Context(), s.address(), to.String(), custody.U64(wei), data)
	if err != nil {
		s.t.Fatal(err)
	}
	r := simulate.Read(s.node.Chain(), s.address(), said)
	if err := r.Check(); err != nil {
		s.t.Fatal(err)
	}
	head, err := s.node.Head(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	if r.Status != simulation.Unknown && (r.Block != head.Height || "0x"+hex.EncodeToString(r.BlockHash) != string(head.Hash)) {
		s.t.Fatalf("simulated after block %d %x; the head is %d %s", r.Block, r.BlockHash, head.Height, head.Hash)
	}
	return r
}

// words packs a function's call; each argument is a word.
func words(signature string, args ...[]byte) []byte {
	out := eth.Keccak256([]byte(signature))
	b := out[:4]
	for _, a := range args {
		b = append(b, common.LeftPadBytes(a, 32)...)
	}
	return b
}

func through(contract common.Address, data []byte) []byte {
	return append(common.LeftPadBytes(contract[:], 32), data...)
}

// TestSimulatedOnNode: what a real node says of transactions, and the report that is made of it.
func TestSimulatedOnNode(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	router, loud, no := s.deploy(forwarder), s.deploy(speaker), s.deploy(refuser)
	thief := common.HexToAddress(payee)
	on, token := s.node.Chain(), simulation.ERC20(s.node.Chain(), eth.Address(s.token()))
	is := func(name string, r simulation.Report, status simulation.Status, changes []simulation.Change, approvals []simulation.Approval) {
		t.Helper()
		if r.Status != status || !slices.Equal(r.Changes, changes) || !slices.Equal(r.Approvals, approvals) {
			t.Errorf("%s: %+v", name, r)
		}
	}

	is("coins", s.report(eth.Address(thief), 7, nil), simulation.OK, []simulation.Change{{Asset: simulation.Coin(on), Out: custody.U64(7)}}, nil)
	is("coins through a contract", s.report(router, 9, through(thief, nil)), simulation.OK, []simulation.Change{{Asset: simulation.Coin(on), Out: custody.U64(9)}}, nil)
	is("coins that come back", s.report(router, 9, through(s.me, nil)), simulation.OK, nil, nil)
	is("tokens", s.report(eth.Address(s.token()), 0, words("transfer(address,uint256)", thief[:], []byte{5})), simulation.OK, []simulation.Change{{Asset: token, Out: custody.U64(5)}}, nil)
	is("an approval", s.report(eth.Address(s.token()), 0, words("approve(address,uint256)", router[:], []byte{200})), simulation.OK, nil,
		[]simulation.Approval{{Contract: s.env.Token, Spender: router.String(), Amount: custody.U64(200)}})
	is("a failing call", s.report(no, 0, nil), simulation.Reverted, nil, nil)
	is("a failing call within", s.report(router, 0, through(common.Address(no), nil)), simulation.Reverted, nil, nil)

	hidden := through(s.token(), words("transferFrom(address,address,uint256)", s.me[:], thief[:], []byte{100}))
	is("tokens that were not approved", s.report(router, 0, hidden), simulation.Reverted, nil, nil)
	forwarderAddress, tokenAddress := common.Address(router), s.token()
	s.send(&tokenAddress, words("approve(address,uint256)", forwarderAddress[:], []byte{250}))
	is("a transfer that hides in a call", s.report(router, 0, hidden), simulation.OK, []simulation.Change{{Asset: token, Out: custody.U64(100)}}, nil)

	transfer := eth.Keccak256([]byte("Transfer(address,address,uint256)"))
	said := func(data ...byte) []byte {
		return slices.Concat(transfer[:], common.LeftPadBytes(s.me[:], 32), common.LeftPadBytes(thief[:], 32), data)
	}
	fake := simulation.ERC20(on, loud)
	is("a transfer of a contract's own word", s.report(loud, 0, said(common.LeftPadBytes([]byte{3}, 32)...)), simulation.OK, []simulation.Change{{Asset: fake, Out: custody.U64(3)}}, nil)
	if r := s.report(loud, 0, said(common.LeftPadBytes([]byte{3}, 64)...)); r.Status != simulation.Unknown || r.Why != simulation.Malformed {
		t.Errorf("a transfer that is none: %+v", r)
	}

	_, err := s.node.Simulate(t.Context(), s.address(), payee, custody.Uint256{0: 1}, nil)
	if chain.ReasonOf(err) != chain.NoFunds {
		t.Errorf("more than there is: %v", err)
	}
}

// A node that has not the method, or answers what can't be, says nothing.
func TestSimulateLies(t *testing.T) {
	t.Parallel()
	const log = `{"address":"0x1111111111111111111111111111111111111111","topics":[],"data":"0x"}`
	hash := strings.Repeat("11", 32)
	for name, c := range map[string]struct {
		said string
		want chain.Reason
	}{
		"no method":        {`"error":{"code":-32601,"message":"the method eth_simulateV1 does not exist/is not available"}`, chain.Unsupported},
		"other words":      {`"error":{"code":-32601,"message":"what?"}`, chain.Unsupported},
		"nothing":          {`"result":[]`, chain.Contradiction},
		"null":             {`"result":null`, chain.Contradiction},
		"no call":          {`"result":[{"number":"0x2","parentHash":"0x` + hash + `","calls":[]}]`, chain.Contradiction},
		"no status":        {`"result":[{"number":"0x2","parentHash":"0x` + hash + `","calls":[{"logs":[]}]}]`, chain.Contradiction},
		"block 0":          {`"result":[{"number":"0x0","parentHash":"0x` + hash + `","calls":[{"status":"0x1"}]}]`, chain.Contradiction},
		"status 2":         {`"result":[{"number":"0x2","parentHash":"0x` + hash + `","calls":[{"status":"0x2"}]}]`, chain.Contradiction},
		"fails and speaks": {`"result":[{"number":"0x2","parentHash":"0x` + hash + `","calls":[{"status":"0x0","logs":[` + log + `]}]}]`, chain.Contradiction},
		"five topics": {`"result":[{"number":"0x2","parentHash":"0x` + hash + `","calls":[{"status":"0x1","logs":[{"address":"0x1111111111111111111111111111111111111111","topics":[` +
			strings.TrimSuffix(strings.Repeat(`"0x`+hash+`",`, 5), ",") + `],"data":"0x"}]}]}]`, chain.Contradiction},
		"many events": {`"result":[{"number":"0x2","parentHash":"0x` + hash + `","calls":[{"status":"0x1","logs":[` + strings.TrimSuffix(strings.Repeat(log+",", 10_001), ",") + `]}]}]`, chain.Contradiction},
		"no numbers":  {`"result":[{"number":2}]`, chain.Unavailable},
	} {
		node, _ := lying(t, only("eth_simulateV1", c.said))
		_, err := node.Simulate(t.Context(), payee, payee, custody.Uint256{}, nil)
		var r *chain.Refusal
		if !errors.As(err, &r) || r.Reason != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	node, _ := lying(t, only("eth_simulateV1", `"result":[{"number":"0x2","parentHash":"0x`+hash+`","calls":[{"status":"0x1","logs":[`+log+`]}]}]`))
	if x, err := node.Simulate(t.Context(), payee, payee, custody.Uint256{}, nil); err != nil || x.Reverted || x.After.Height != 1 || len(x.Logs) != 1 {
		t.Errorf("a good answer: %+v, %v", x, err)
	}
	for _, bad := range [][2]string{{"0x12", payee}, {payee, strings.ToLower(payee)}} {
		if _, err := node.Simulate(t.Context(), bad[0], bad[1], custody.Uint256{}, nil); !errors.Is(err, eth.ErrAddressForm) && !errors.Is(err, eth.ErrAddressChecksum) {
			t.Errorf("%v: %v", bad, err)
		}
	}
}
