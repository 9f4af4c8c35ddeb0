// SPDX-License-Identifier: Apache-2.0

package secondopinion_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"strongroom/internal/edge/secondopinion"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/btc"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/request"
	"strongroom/internal/svc/chain"
	"strongroom/internal/svc/payload"
	"strongroom/internal/svc/payload/payloadtest"
	"strongroom/internal/svc/wallet"
)

const (
	ethChain   custody.ChainID = "eip155:1337"
	tokenAsset custody.AssetID = "eip155:1337/erc20:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
	ethPayee                   = "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045"
	btcPayee                   = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
	btcOther                   = "bcrt1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqc8gma6"
)

// deal is a transfer with its payload.
type deal struct {
	core    *payloadtest.Core
	w       entry.Wallet
	id      custody.RequestID
	asked   payload.Asked
	payload []byte
}

func ethDeal(t testing.TB, asset custody.AssetID) deal {
	t.Helper()
	d := deal{core: payloadtest.New(t)}
	d.w = d.core.AddWallet(t, "w", ethChain, request.SchemeEVM)
	d.id, d.asked = d.core.Transfer(t, request.TransferBody{
		Wallet: "w", Asset: asset, FeeCap: custody.U64(1e18), Outputs: []request.Output{{Address: ethPayee, Amount: custody.U64(700)}},
	})
	fee := chain.EthereumFee{Base: custody.U64(10), Tip: custody.U64(2), Max: custody.U64(30)}
	var err error
	d.payload, err = payload.Ethereum(payload.EthereumInput{
		Asked: d.asked, Fee: fee, Gas: 60_000, Balance: custody.U64(1e18), Token: custody.U64(700),
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func btcDeal(t testing.TB, scheme request.Scheme) deal {
	t.Helper()
	d := deal{core: payloadtest.New(t)}
	d.w = d.core.AddWallet(t, "w", custody.BitcoinRegtest, scheme)
	f := wallet.Funds{Wallet: d.w}
	for i := range uint32(3) {
		key := entry.KeyPath{Branch: i % 2, Index: i}
		k, err := authority.Derive(d.w, key)
		if err != nil {
			t.Fatal(err)
		}
		tx := btc.UnsignedTx{
			Version: 2, Inputs: []btc.TxIn{{OutPoint: btc.OutPoint{TxID: btc.TxID(sha256.Sum256(fmt.Append(nil, i)))}}},
			Outputs: []btc.TxOut{{Value: 1}, {Value: 40_000, Script: k.Script}},
		}
		c := wallet.Coin{Wallet: "w", OutPoint: btc.OutPoint{TxID: tx.TxID(), Index: 1}, Output: tx.Outputs[1], Key: key, Height: 1}
		if scheme == request.SchemeP2WPKH {
			c.PrevTx = tx.Encode()
		}
		f.Coins = append(f.Coins, wallet.Fund{Coin: c, Depth: 5, State: wallet.Spendable})
	}
	d.id, d.asked = d.core.Transfer(t, request.TransferBody{
		Wallet: "w", Asset: d.w.Chain.Native(), FeeCap: custody.U64(50_000),
		Outputs: []request.Output{{Address: btcPayee, Amount: custody.U64(30_000)}, {Address: btcOther, Amount: custody.U64(40_000)}},
	})
	var err error
	d.payload, err = payload.Bitcoin(payload.BitcoinInput{Asked: d.asked, Funds: f, Rate: 2_000, Derive: authority.Derive})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func deals(t testing.TB) map[string]deal {
	return map[string]deal{
		"ether": ethDeal(t, ethChain.Native()), "token": ethDeal(t, tokenAsset),
		"p2wpkh": btcDeal(t, request.SchemeP2WPKH), "p2tr": btcDeal(t, request.SchemeP2TR),
	}
}

func wantAlarm(t testing.TB, what string, err error, about string) {
	t.Helper()
	var a *secondopinion.Alarm
	if !errors.As(err, &a) || !strings.HasPrefix(err.Error(), "ALARM: "+about) {
		t.Errorf("%s: got %v, want an alarm about %s", what, err, about)
	}
}

func TestPayload(t *testing.T) {
	t.Parallel()
	for name, d := range deals(t) {
		got, err := secondopinion.Payload(d.asked.Effects, d.asked.FeeCap(), d.w, d.payload)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got.Asset != d.asked.Effects.Asset || got.Fee.IsZero() || len(got.Outputs) != len(d.asked.Effects.Outputs) || (got.TxID != "") != (len(got.Change) == 1) {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

// TestLyingServe: bytes that do something else than what was approved.
func TestLyingServe(t *testing.T) {
	t.Parallel()
	for name, d := range deals(t) {
		low := custody.U64(100)
		_, err := secondopinion.Payload(d.asked.Effects, low, d.w, d.payload)
		wantAlarm(t, name, err, "fee")
		for about, change := range map[string]func(*request.Effects, *entry.Wallet){
			"output 0, address": func(e *request.Effects, _ *entry.Wallet) { e.Outputs[0].Address = "other" },
			"output 0, amount":  func(e *request.Effects, _ *entry.Wallet) { e.Outputs[0].Amount = custody.U64(701) },
			"output, number":    func(e *request.Effects, _ *entry.Wallet) { e.Outputs = nil },
			"asset":             func(e *request.Effects, _ *entry.Wallet) { e.Asset = "x" },
			"chain":             func(e *request.Effects, _ *entry.Wallet) { e.Chain = "eip155:2" },
			"wallet":            func(e *request.Effects, _ *entry.Wallet) { e.Wallet = "v" },
		} {
			e, w := d.asked.Effects, d.w
			e.Outputs = append([]request.Output(nil), e.Outputs...)
			change(&e, &w)
			_, err := secondopinion.Payload(e, d.asked.FeeCap(), w, d.payload)
			wantAlarm(t, name, err, about)
		}
		if _, err := secondopinion.Payload(d.asked.Effects, d.asked.FeeCap(), d.w, d.payload[1:]); err == nil {
			t.Errorf("%s: cut bytes were taken", name)
		}
	}
	// Inputs or change of somebody else.
	d := btcDeal(t, request.SchemeP2TR)
	thief := d.core.AddWallet(t, "thief", custody.BitcoinRegtest, request.SchemeP2TR)
	thief.ID = d.w.ID
	_, err := secondopinion.Payload(d.asked.Effects, d.asked.FeeCap(), thief, d.payload)
	wantAlarm(t, "another's inputs", err, "input 0")
	p, err := btc.DecodePSBT(d.payload)
	if err != nil {
		t.Fatal(err)
	}
	k, err := authority.Derive(thief, entry.KeyPath{Branch: 1})
	if err != nil {
		t.Fatal(err)
	}
	p.Tx.Outputs[2].Script, p.Outputs[2].PSBTKeys = k.Script, btc.PSBTKeys{}
	stolen, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	_, err = secondopinion.Payload(d.asked.Effects, d.asked.FeeCap(), d.w, stolen)
	wantAlarm(t, "another's change", err, "output, number")
}

func TestSigned(t *testing.T) {
	t.Parallel()
	for name, d := range deals(t) {
		signed, err := d.core.Sign(t, d.id, d.payload)
		if err != nil {
			t.Fatal(err)
		}
		source := d.asked.Effects.Source
		id, err := secondopinion.Signed(d.w, source, d.payload, signed)
		if err != nil || id == "" {
			t.Errorf("%s: got %q, %v", name, id, err)
			continue
		}
		for i := range signed {
			bad := append([]byte(nil), signed...)
			bad[i] ^= 1
			if _, err := secondopinion.Signed(d.w, source, d.payload, bad); err == nil {
				t.Errorf("%s: with byte %d changed it was taken", name, i)
			}
		}
		other := ethDeal(t, ethChain.Native())
		if d.w.Scheme == request.SchemeEVM {
			_, err = secondopinion.Signed(d.w, ethPayee, d.payload, signed)
			wantAlarm(t, name, err, "signed transaction, payer")
			if name == "token" {
				_, err = secondopinion.Signed(d.w, source, other.payload, signed)
				wantAlarm(t, name, err, "signed transaction, signing hash")
			}
		}
		if _, err := secondopinion.Signed(d.w, source, []byte{1}, signed); err == nil {
			t.Errorf("%s: a payload of one byte was taken", name)
		}
	}
}

func TestStatement(t *testing.T) {
	t.Parallel()
	for name, d := range deals(t) {
		s, canonical := d.core.Statement(t, d.id, d.asked)
		for _, w := range []*entry.Wallet{nil, &d.w} {
			got, err := secondopinion.Statement(canonical, s, w)
			if err != nil || len(got.Outputs) != len(s.Effects.Outputs) || got.Fee != s.Bounds.FeeCap {
				t.Errorf("%s: got %+v, %v", name, got, err)
			}
		}
		for about, change := range map[string]func(*request.Statement){
			"authority":           func(s *request.Statement) { s.Authority[0] ^= 1 },
			"domain":              func(s *request.Statement) { s.Domain[0] ^= 1 },
			"request id":          func(s *request.Statement) { s.Request[0] ^= 1 },
			"initiator":           func(s *request.Statement) { s.Initiator = "p_cccccccccccccccc" },
			"operation":           func(s *request.Statement) { s.Effects.Operation = request.PolicyChange },
			"hash of the request": func(s *request.Statement) { s.Effects.BodyHash[0] ^= 1 },
			"not after":           func(s *request.Statement) { s.Bounds.NotAfter++ },
			"wallet":              func(s *request.Statement) { s.Effects.Wallet = "v" },
			"chain":               func(s *request.Statement) { s.Effects.Chain = "eip155:1" },
			"asset":               func(s *request.Statement) { s.Effects.Asset = "x" },
			"output, number":      func(s *request.Statement) { s.Effects.Outputs = nil },
			"sum":                 func(s *request.Statement) { s.Effects.Total = custody.U64(1) },
			"fee cap":             func(s *request.Statement) { s.Bounds.FeeCap = custody.U64(1) },
			"asset of the fee":    func(s *request.Statement) { s.Bounds.FeeAsset = "x" },
			"change rule":         func(s *request.Statement) { s.Bounds.Change = "x" },
			"slot policy":         func(s *request.Statement) { s.Bounds.Slot = request.NoSlot },
			"contract call": func(s *request.Statement) {
				if s.Effects.Call == nil {
					s.Effects.Call = &request.Call{}
				} else {
					s.Effects.Call = nil
				}
			},
		} {
			bad := s
			change(&bad)
			_, err := secondopinion.Statement(canonical, bad, &d.w)
			wantAlarm(t, name, err, about)
		}
		if _, err := secondopinion.Statement(canonical[1:], s, nil); err == nil {
			t.Errorf("%s: a cut request was taken", name)
		}
	}
	d := ethDeal(t, tokenAsset)
	s, canonical := d.core.Statement(t, d.id, d.asked)
	for about, change := range map[string]func(*request.Call){
		"contract":              func(c *request.Call) { c.Contract = ethPayee },
		"function":              func(c *request.Call) { c.Selector = "approve(address,uint256)" },
		"arguments":             func(c *request.Call) { c.Args = []string{ethPayee, "701"} },
		"hash of the call data": func(c *request.Call) { c.DataHash[0] ^= 1 },
	} {
		bad, call := s, *s.Effects.Call
		change(&call)
		bad.Effects.Call = &call
		_, err := secondopinion.Statement(canonical, bad, nil)
		wantAlarm(t, "token", err, about)
	}
	bad := s
	bad.Effects.Source = ethPayee
	_, err := secondopinion.Statement(canonical, bad, &d.w)
	wantAlarm(t, "token", err, "paying address")
	if _, err := secondopinion.Statement(canonical, bad, nil); err != nil {
		t.Errorf("without the wallet the paying address can't be checked: %v", err)
	}
}

// What is not a transfer has its hashes and addresses checked.
func TestStatementOfOthers(t *testing.T) {
	t.Parallel()
	c := payloadtest.New(t)
	for _, body := range []request.WhitelistAddBody{
		{ID: "cold", Chain: custody.BitcoinRegtest, Address: btcOther}, {ID: "cold", Chain: ethChain, Address: ethPayee},
	} {
		r := c.Request(request.WhitelistAdd, &body)
		s := request.Statement{V: 1, Authority: r.Authority, Domain: r.Domain, Request: r.ID(), Initiator: r.Initiator,
			Effects: request.Effects{Operation: r.Operation, BodyHash: r.Hash()}, Bounds: request.Bounds{NotAfter: r.NotAfter}}
		if _, err := secondopinion.Statement(r.Encode(), s, nil); err != nil {
			t.Error(err)
		}
	}
	r := c.Request(request.WalletCreate, &request.WalletCreateBody{Wallet: "w2", Chain: ethChain, Scheme: request.SchemeEVM})
	s := request.Statement{V: 1, Authority: r.Authority, Domain: r.Domain, Request: r.ID(), Initiator: r.Initiator,
		Effects: request.Effects{Operation: r.Operation, BodyHash: r.Hash()}, Bounds: request.Bounds{NotAfter: r.NotAfter}}
	if _, err := secondopinion.Statement(r.Encode(), s, nil); err != nil {
		t.Error(err)
	}
}

// A wallet of class token: its one address follows from its key, by another's code too, and a transfer from it is judged as any.
func TestTokenWallet(t *testing.T) {
	t.Parallel()
	d := ethDeal(t, ethChain.Native())
	path := entry.KeyPath{}
	own, err := authority.Derive(d.w, path)
	if err != nil {
		t.Fatal(err)
	}
	pub := own.Public.Compressed()
	w := entry.Wallet{ID: d.w.ID, Chain: d.w.Chain, Scheme: d.w.Scheme, Key: d.w.Key, Class: request.ClassToken, Public: pub[:]}
	if got, err := authority.Derive(w, path); err != nil || got.Address != own.Address {
		t.Fatalf("%+v, %v", got, err)
	}
	s, canonical := d.core.Statement(t, d.id, d.asked)
	if _, err := secondopinion.Statement(canonical, s, &w); err != nil {
		t.Error(err)
	}
	other := w
	other.Public = d.w.Public // the account key: another address
	_, err = secondopinion.Statement(canonical, s, &other)
	wantAlarm(t, "another key", err, "paying address")
}

func TestAddress(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		chain   custody.ChainID
		address string
		want    string // "" for taken
	}{
		{custody.BitcoinMainnet, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", ""},
		{custody.BitcoinMainnet, "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0", ""},
		{custody.BitcoinMainnet, "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", ""},
		{custody.BitcoinMainnet, "3P14159f73E4gFr7JterCCQh9QjiTjiZrG", ""},
		{custody.BitcoinTestnet, "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx", ""},
		{custody.BitcoinSignet, "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx", ""},
		{custody.BitcoinRegtest, btcPayee, ""},
		{custody.BitcoinRegtest, "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn", ""},
		{ethChain, ethPayee, ""},
		{custody.BitcoinMainnet, btcPayee, "address is for regtest"},
		{custody.BitcoinRegtest, "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "address is for bitcoin"},
		{custody.BitcoinMainnet, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5", "checksum"},
		{custody.BitcoinMainnet, ethPayee, "address"},
		{ethChain, strings.ToLower(ethPayee), "checksum"},
		{ethChain, btcPayee, "malformed"},
		{"solana:1", "x", "is not Bitcoin"},
	} {
		err := secondopinion.Address(c.chain, c.address)
		if (c.want == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s on %s: got %v, want %q", c.address, c.chain, err, c.want)
		}
	}
}

// FuzzEthereum: whatever the own decoder takes as a transfer, go-ethereum reads the same way.
func FuzzEthereum(f *testing.F) {
	for _, asset := range []custody.AssetID{ethChain.Native(), tokenAsset} {
		f.Add(ethDeal(f, asset).payload)
	}
	w := entry.Wallet{ID: "w", Chain: ethChain, Scheme: request.SchemeEVM}
	f.Fuzz(func(t *testing.T, b []byte) {
		tx, err := eth.DecodeUnsigned(b)
		if err != nil {
			return
		}
		e, err := eth.Effects(tx, func(a eth.Address) bool { return len(tx.Data) > 0 && a == tx.To })
		if err != nil {
			return
		}
		fee, err := tx.MaxFee()
		if err != nil {
			t.Fatal(err)
		}
		at := w
		at.Chain = custody.EVMChain(tx.ChainID)
		asked := request.Effects{Wallet: "w", Chain: at.Chain, Asset: at.Chain.Native(),
			Outputs: []request.Output{{Address: e.To.String(), Amount: custody.Uint256(e.Amount)}}}
		if e.Kind == eth.ERC20Transfer {
			asked.Asset = custody.AssetID(string(at.Chain) + "/erc20:" + e.Contract.String())
		}
		if _, err := secondopinion.Payload(asked, custody.Uint256(fee), at, b); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzBitcoin: whatever PSBT the own decoder takes, btcsuite reads the same way. Nobody asked for these effects, so there is an
// alarm each time: about whose coins or request it is, never about what the bytes say.
func FuzzBitcoin(f *testing.F) {
	var w entry.Wallet
	for _, scheme := range []request.Scheme{request.SchemeP2WPKH, request.SchemeP2TR} {
		d := btcDeal(f, scheme)
		w = d.w
		f.Add(d.payload)
	}
	whose := regexp.MustCompile(`^(wallet|change outputs|input \d+)$`)
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := btc.DecodePSBT(b); err != nil {
			return
		}
		_, err := secondopinion.Payload(request.Effects{}, custody.U64(1<<63), w, b)
		var a *secondopinion.Alarm
		if !errors.As(err, &a) {
			t.Fatalf("got %v", err)
		}
		// A script without an address is another matter: no approval can have asked for it.
		if !whose.MatchString(a.About) && !strings.Contains(a.Second, "addresses") {
			t.Fatal(err)
		}
	})
}
