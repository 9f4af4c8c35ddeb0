// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"

	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/btc"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// bank is a Bitcoin destination in the address book of the stories; nobody is not in it.
const (
	bank   = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
	nobody = "bcrt1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqc8gma6"
)

func withBank(d *policy.Document) {
	d.AddressBook = []policy.BookEntry{{ID: "bank", Chain: custody.BitcoinRegtest, Address: bank}, d.AddressBook[0]}
}

// story is the whole life of transfers on both chains. Each step can be made again with the same idempotency key, and is after a
// failure. What was acknowledged on the way is kept and must hold for ever.
type story struct {
	h       *domaintest.Harness
	scheme  request.Scheme // of the Bitcoin wallet
	asked   map[string]request.Request
	session []byte // open session of the service, or nil
	mac     []byte
	warm    bool // the story is that of a warm wallet
	calls   bool // or of calls and messages
	box     *box // or of a cold one, if there is one
	memory  *domaintest.Memory
	token   *domaintest.Token // or of wallets whose keys lie there, if there is one

	receipts []message.Receipt
	entries  map[uint64]custody.RequestID // acknowledged entries of requests
	votes    map[uint64]message.Vote
	released map[uint64][]byte // signed bytes by permit
	wallets  map[custody.WalletID]message.Wallet
	grants   map[uint64][]byte // sessions by entry
}

func newStory(h *domaintest.Harness, scheme request.Scheme) *story {
	return &story{h: h, scheme: scheme, asked: map[string]request.Request{}, entries: map[uint64]custody.RequestID{}, votes: map[uint64]message.Vote{},
		released: map[uint64][]byte{}, wallets: map[custody.WalletID]message.Wallet{}, grants: map[uint64][]byte{}}
}

// tell goes through all of it, from the beginning, and stops at the first step that fails.
func (s *story) tell() error {
	if s.warm {
		return s.tellWarm()
	}
	if s.box != nil {
		return s.tellCold()
	}
	if s.token != nil {
		return s.tellToken()
	}
	if s.calls {
		return s.tellCalls()
	}
	if err := s.wallet("hot", domaintest.Chain, request.SchemeEVM); err != nil {
		return err
	}
	if err := s.wallet("cold", custody.BitcoinRegtest, s.scheme); err != nil {
		return err
	}
	if err := s.govern("addresses", request.AddressCreate, request.AddressCreateBody{Wallet: "hot", Count: 3}); err != nil {
		return err
	}
	if err := s.payEthereum(); err != nil {
		return err
	}
	if err := s.payBitcoin(); err != nil {
		return err
	}
	return s.payByService()
}

// ask gives the request of a name, the same each time.
func (s *story) ask(name string, by domaintest.Person, op request.Operation, body any) request.Request {
	if _, ok := s.asked[name]; !ok {
		r := s.h.Request(by, op, body)
		r.Key = name
		s.asked[name] = r
	}
	return s.asked[name]
}

// ack keeps what an answer acknowledges.
func (s *story) ack(v message.Request) {
	if v.Receipt != nil {
		s.receipts = append(s.receipts, *v.Receipt)
	}
	s.entries[v.Seq] = v.ID
	for _, x := range v.Approvals {
		s.votes[x.Seq] = x
	}
}

// approved submits alice's request and brings the approvals of others.
func (s *story) approved(name string, op request.Operation, body any, by ...domaintest.Person) (message.Request, error) {
	v, err := s.h.Submit(s.h.Alice, s.ask(name, s.h.Alice, op, body), nil)
	if err != nil {
		return v, fmt.Errorf("submit %s: %w", name, err)
	}
	s.ack(v)
	for _, p := range by {
		w, err := s.h.Decide(p, v, request.Approve)
		if k := problem.KindOf(err); err != nil && k != problem.AlreadyDone && k != problem.Conflict {
			return v, fmt.Errorf("approve %s: %w", name, err)
		} else if err == nil {
			s.ack(w)
		}
	}
	if v, err = s.h.D.Request(context.Background(), v.ID); err == nil {
		s.ack(v)
	}
	return v, err
}

// govern brings about what is no transfer.
func (s *story) govern(name string, op request.Operation, body any, by ...domaintest.Person) error {
	v, err := s.approved(name, op, body, by...)
	if err != nil {
		return err
	}
	if v.State != message.StateExecuted {
		if _, err := s.h.D.Execute(context.Background(), v.ID); err != nil && problem.KindOf(err) != problem.Conflict {
			return fmt.Errorf("execute %s: %w", name, err)
		}
	}
	if v, err = s.h.D.Request(context.Background(), v.ID); err != nil {
		return err
	}
	if v.State != message.StateExecuted {
		return fmt.Errorf("%s is %s", name, v.State)
	}
	s.ack(v)
	return nil
}

func (s *story) wallet(id custody.WalletID, c custody.ChainID, scheme request.Scheme) error {
	err := s.govern("wallet-"+string(id), request.WalletCreate, request.WalletCreateBody{Wallet: id, Chain: c, Scheme: scheme}, s.h.Bob)
	if err != nil {
		return err
	}
	w, err := s.h.D.Wallet(id)
	if err != nil {
		return err
	}
	if was, ok := s.wallets[id]; ok && was.Address != w.Address {
		s.h.T.Errorf("wallet %s had address %s and has %s", id, was.Address, w.Address)
	}
	s.wallets[id] = w
	return nil
}

// sign asks for the signatures of payloads, each a replacement of the one before.
func (s *story) sign(v message.Request, payloads ...[]byte) error {
	for i, p := range payloads {
		v, err := s.h.D.Request(context.Background(), v.ID)
		if err != nil {
			return err
		}
		if v.Signed != nil && int(v.Signed.Attempt) > i+1 {
			continue
		}
		out, err := s.h.D.Sign(context.Background(), v.ID, p)
		if err != nil {
			return fmt.Errorf("sign attempt %d: %w", i+1, err)
		}
		s.keep(out)
	}
	again, err := s.h.D.Sign(context.Background(), v.ID, nil)
	if err == nil {
		s.keep(again)
	}
	return err
}

// keep notes released bytes; for one permit they are always the same.
func (s *story) keep(x message.Signed) {
	if was, ok := s.released[x.Permit]; ok && !bytes.Equal(was, x.Bytes) {
		s.h.T.Errorf("permit %d was signed to %x, then to %x", x.Permit, was, x.Bytes)
	}
	s.released[x.Permit] = x.Bytes
}

func (s *story) payEthereum() error {
	v, err := s.approved("pay-eth", request.Transfer, request.TransferBody{Wallet: "hot", Asset: domaintest.Chain.Native(),
		Outputs: []request.Output{{Address: domaintest.Whitelisted, Amount: custody.U64(1000)}}, FeeCap: custody.U64(21000 * 100)}, s.h.Bob, s.h.Carol)
	if err != nil {
		return err
	}
	return s.sign(v, ethPayload(s.h.T, 1000, 0, 10), ethPayload(s.h.T, 1000, 0, 20))
}

func ethPayload(t testing.TB, amount, nonce, price uint64) []byte {
	return payload(t, domaintest.Whitelisted, amount, nonce, price)
}

func (s *story) payBitcoin() error {
	v, err := s.approved("pay-btc", request.Transfer, request.TransferBody{Wallet: "cold", Asset: custody.BitcoinRegtest.Native(),
		Outputs: []request.Output{{Address: bank, Amount: custody.U64(40_000)}}, FeeCap: custody.U64(5_000)}, s.h.Bob, s.h.Carol)
	if err != nil {
		return err
	}
	w := s.wallets["cold"].Wallet
	return s.sign(v, psbt(s.h.T, w, spend{pay: 40_000, fee: 1_000}), psbt(s.h.T, w, spend{pay: 40_000, fee: 2_000}))
}

// payByService is a transfer on the automatic route, with a session's MAC.
func (s *story) payByService() error {
	if s.session == nil {
		if err := s.openSession(); err != nil {
			return err
		}
	}
	r := s.ask("pay-auto", s.h.Service, request.Transfer, request.TransferBody{Wallet: "hot", Source: 1, Asset: domaintest.Chain.Native(),
		Outputs: []request.Output{{Address: domaintest.Whitelisted, Amount: custody.U64(7)}}, FeeCap: custody.U64(21000 * 100)})
	v, err := s.h.D.Submit(context.Background(), message.Submit{Request: r.Encode(), Evidence: s.evidence(r), Payload: ethPayload(s.h.T, 7, 0, 10)})
	if err != nil {
		return fmt.Errorf("submit pay-auto: %w", err)
	}
	s.ack(v)
	if v.State != message.StateSigned || v.Signed == nil || len(v.Signed.Bytes) == 0 {
		return fmt.Errorf("pay-auto is %s, with signed bytes: %v", v.State, v.Signed)
	}
	s.keep(*v.Signed)
	return nil
}

func (s *story) openSession() error {
	own, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	h := s.h
	raw := canon.Encode(request.SessionOpening{V: 1, Authority: h.D.Authority(), Domain: h.D.ID(), Service: h.Service.ID, Ephemeral: own.PublicKey().Bytes(),
		NotAfter: h.Clock.Wall.Load()/1e9 + 3600})
	g, err := h.D.OpenSession(context.Background(), message.OpenSession{Opening: raw, Key: h.Service.Pub.Ref(),
		Sig: ed25519.Sign(h.Service.Key, canon.TagBytes(canon.TagSession, raw))})
	if err != nil {
		return fmt.Errorf("open session: %w", err)
	}
	peer, err := ecdh.X25519().NewPublicKey(g.Ephemeral)
	if err != nil {
		return err
	}
	shared, err := own.ECDH(peer)
	if err != nil {
		return err
	}
	salt := canon.HashBytes(canon.TagSession, raw)
	s.session = g.Session
	s.grants[g.Seq] = g.Session
	s.mac, err = hkdf.Key(sha256.New, shared, salt[:], string(canon.TagBytes(canon.TagSessionKey, g.Session)), 32)
	return err
}

// evidence gives the session's MAC of a request.
func (s *story) evidence(r request.Request) request.Evidence {
	m := hmac.New(sha256.New, s.mac)
	m.Write(canon.Message(canon.TagRequest, r))
	return request.Evidence{Session: s.session, MAC: m.Sum(nil)}
}

// spend says what a payment of a Bitcoin wallet spends and pays, in satoshi. The rest is change.
type spend struct {
	coin     byte   // number of the coin, which is worth 100,000
	to       string // or bank
	pay, fee btc.Sat
	extra    []btc.TxOut // further outputs
}

// psbt builds the payload.
func psbt(t testing.TB, w entry.Wallet, p spend) []byte {
	t.Helper()
	const worth = 100_000
	script := func(k entry.KeyPath) authority.Derived {
		d, err := authority.Derive(w, k)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	from, back := entry.KeyPath{}, entry.KeyPath{Branch: 1}
	if p.to == "" {
		p.to = bank
	}
	to, err := btc.ParseAddress(btc.Regtest, p.to)
	if err != nil {
		t.Fatal(err)
	}
	prev := btc.UnsignedTx{Version: 2, Outputs: []btc.TxOut{{Value: worth, Script: script(from).Script}},
		Inputs: []btc.TxIn{{OutPoint: btc.OutPoint{TxID: btc.TxID(sha256.Sum256([]byte{p.coin}))}}}}
	tx := btc.UnsignedTx{Version: 2, Inputs: []btc.TxIn{{OutPoint: btc.OutPoint{TxID: prev.TxID()}, Sequence: 0xfffffffd}},
		Outputs: append([]btc.TxOut{{Value: p.pay, Script: to}}, p.extra...)}
	change := btc.Sat(worth) - p.pay - p.fee
	for _, o := range p.extra {
		change -= o.Value
	}
	tx.Outputs = append(tx.Outputs, btc.TxOut{Value: change, Script: script(back).Script})
	x, err := btc.NewPSBT(tx, []btc.TxOut{prev.Outputs[0]})
	if err != nil {
		t.Fatal(err)
	}
	x.Inputs[0].PSBTKeys = keysOf(t, w, from, script(from))
	x.Outputs[len(tx.Outputs)-1].PSBTKeys = keysOf(t, w, back, script(back))
	if w.Scheme == request.SchemeP2WPKH {
		x.Inputs[0].NonWitnessUTXO = prev.Encode()
	}
	b, err := x.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func keysOf(t testing.TB, w entry.Wallet, k entry.KeyPath, d authority.Derived) (out btc.PSBTKeys) {
	t.Helper()
	path, err := authority.AccountPath(w)
	if err != nil {
		t.Fatal(err)
	}
	o := btc.KeyOrigin{Fingerprint: w.Master, Path: append(slices.Clone(path), k.Branch, k.Index)}
	if w.Scheme == request.SchemeP2TR {
		x := d.Public.XOnly()
		return btc.PSBTKeys{TapInternalKey: &x, TapDerivation: &btc.TapDerivation{InternalKey: x, Origin: o}}
	}
	return btc.PSBTKeys{Derivation: &btc.Derivation{Key: d.Public, Origin: o}}
}
