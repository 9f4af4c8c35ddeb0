// SPDX-License-Identifier: Apache-2.0

package request_test

import (
	"bytes"
	"strings"
	"testing"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
)

// change gives a body of an operation with one thing wrong.
func change[T any](op request.Operation, f func(*T)) request.Request {
	r := example(op)
	b := bodies()[op].(T)
	f(&b)
	r.Body = canon.Encode(b)
	return r
}

func TestBodiesRefused(t *testing.T) {
	t.Parallel()
	transfer := func(f func(*request.TransferBody)) request.Request { return change(request.Transfer, f) }
	wallet := func(f func(*request.WalletCreateBody)) request.Request { return change(request.WalletCreate, f) }
	enrol := func(f func(*request.PersonEnrolBody)) request.Request { return change(request.PersonEnrol, f) }
	group := func(f func(*request.GroupSetBody)) request.Request { return change(request.GroupSet, f) }
	more := func(f func(*request.PersonKeyAddBody)) request.Request { return change(request.PersonKeyAdd, f) }
	less := func(f func(*request.PersonKeyRemoveBody)) request.Request { return change(request.PersonKeyRemove, f) }
	white := func(f func(*request.WhitelistAddBody)) request.Request { return change(request.WhitelistAdd, f) }
	to := func(s string) func(*request.TransferBody) {
		return func(b *request.TransferBody) { b.Outputs = []request.Output{{Address: s, Amount: custody.U64(1)}} }
	}
	for name, r := range map[string]request.Request{
		"no wallet":               transfer(func(b *request.TransferBody) { b.Wallet = "" }),
		"no asset":                transfer(func(b *request.TransferBody) { b.Asset = "" }),
		"no output":               transfer(func(b *request.TransferBody) { b.Outputs = nil }),
		"two Ethereum outputs":    transfer(func(b *request.TransferBody) { b.Outputs = append(b.Outputs, b.Outputs[0]) }),
		"too many outputs":        transfer(func(b *request.TransferBody) { b.Outputs = make([]request.Output, request.MaxOutputs+1) }),
		"nothing is paid":         transfer(func(b *request.TransferBody) { b.Outputs[0].Amount = custody.Uint256{} }),
		"no fee cap":              transfer(func(b *request.TransferBody) { b.FeeCap = custody.Uint256{} }),
		"lower-case address":      transfer(to(strings.ToLower(address))),
		"upper-case address":      transfer(to("0x" + strings.ToUpper(address[2:]))),
		"wrong checksum":          transfer(to("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD")),
		"no prefix":               transfer(to(address[2:])),
		"address cut off":         transfer(to(address[:40])),
		"address with space":      transfer(to(address + " ")),
		"Bitcoin address":         transfer(to(bank)),
		"source of Bitcoin":       transfer(func(b *request.TransferBody) { b.Asset = custody.BitcoinMainnet.Native(); to(bank)(b) }),
		"another Bitcoin network": transfer(func(b *request.TransferBody) { b.Asset, b.Source = custody.BitcoinTestnet.Native(), 0; to(bank)(b) }),
		"upper-case bech32": transfer(func(b *request.TransferBody) {
			b.Asset, b.Source = custody.BitcoinMainnet.Native(), 0
			to(strings.ToUpper(bank))(b)
		}),
		"wallet on no chain":    wallet(func(b *request.WalletCreateBody) { b.Chain = "eip155:0" }),
		"Ethereum with p2tr":    wallet(func(b *request.WalletCreateBody) { b.Chain = evm }),
		"Bitcoin with evm":      wallet(func(b *request.WalletCreateBody) { b.Scheme = request.SchemeEVM }),
		"unknown scheme":        wallet(func(b *request.WalletCreateBody) { b.Scheme = "p2pkh" }),
		"malformed seed":        wallet(func(b *request.WalletCreateBody) { b.Seed = "seed" }),
		"account of a new seed": wallet(func(b *request.WalletCreateBody) { b.Seed = "" }),
		"hardened account":      wallet(func(b *request.WalletCreateBody) { b.Account = 1 << 31 }),
		"no addresses":          change(request.AddressCreate, func(b *request.AddressCreateBody) { b.Count = 0 }),
		"too many addresses":    change(request.AddressCreate, func(b *request.AddressCreateBody) { b.Count = request.MaxBatch + 1 }),
		"no document":           change(request.PolicyChange, func(b *request.PolicyChangeBody) { b.Document = nil }),
		"malformed person":      enrol(func(b *request.PersonEnrolBody) { b.Person = "bob" }),
		"kind of person":        enrol(func(b *request.PersonEnrolBody) { b.Kind = "robot" }),
		"malformed key":         enrol(func(b *request.PersonEnrolBody) { b.Key.Pub = nil }),
		"no possession":         enrol(func(b *request.PersonEnrolBody) { b.Possession = nil }),
		"key for nobody":        more(func(b *request.PersonKeyAddBody) { b.Person = "bob" }),
		"malformed further key": more(func(b *request.PersonKeyAddBody) { b.Key.Origin = "http://custody.example.org" }),
		"further key unproved":  more(func(b *request.PersonKeyAddBody) { b.Possession = nil }),
		"key taken of nobody":   less(func(b *request.PersonKeyRemoveBody) { b.Person = "" }),
		"malformed key id":      less(func(b *request.PersonKeyRemoveBody) { b.Key = "K" }),
		"groups not sorted":     enrol(func(b *request.PersonEnrolBody) { b.Groups = []custody.GroupID{"b", "a"} }),
		"malformed revocation":  change(request.PersonRevoke, func(b *request.PersonRevokeBody) { b.Person = "" }),
		"member twice":          group(func(b *request.GroupSetBody) { b.Members = []custody.PersonID{alice, alice} }),
		"members not sorted":    group(func(b *request.GroupSetBody) { b.Members = []custody.PersonID{bob, alice} }),
		"malformed group":       group(func(b *request.GroupSetBody) { b.Group = "Officers" }),
		"malformed book id":     white(func(b *request.WhitelistAddBody) { b.ID = "the bank" }),
		"address as book id":    white(func(b *request.WhitelistAddBody) { b.ID = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4" }),
		"book on another chain": white(func(b *request.WhitelistAddBody) { b.Chain = evm }),
		"book without chain":    white(func(b *request.WhitelistAddBody) { b.Chain = "" }),
		"malformed removal":     change(request.WhitelistRemove, func(b *request.WhitelistRemoveBody) { b.ID = "" }),
	} {
		if err := r.Check(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// The new key signs everything of its enrolment but the signature itself, for one authority.
func TestEnrolMessage(t *testing.T) {
	t.Parallel()
	b := bodies()[request.PersonEnrol].(request.PersonEnrolBody)
	a := custody.AuthorityID{1}
	m := b.EnrolMessage(a)
	signed := b
	signed.Possession = nil
	if !bytes.Equal(signed.EnrolMessage(a), m) || len(b.Possession) != 64 {
		t.Error("the message depends on the signature, or the body was changed")
	}
	other := b
	other.Groups = nil
	if bytes.Equal(other.EnrolMessage(a), m) || bytes.Equal(b.EnrolMessage(custody.AuthorityID{2}), m) {
		t.Error("the message does not bind groups and authority")
	}
}

// What is accepted is the one encoding of what was read.
func FuzzDecode(f *testing.F) {
	for _, op := range request.Operations() {
		f.Add(example(op).Encode())
	}
	for op, body := range oversightBodies() {
		f.Add(oversightRequest(op, body).Encode())
	}
	for _, r := range []request.Request{
		asking(request.WhitelistAdd, request.WhitelistAddBody{ID: "bank", Chain: "eip155:1", Address: bookAddress, Proof: &request.Ownership{Kind: request.SignedMessage, Scheme: request.EIP191, Sig: make([]byte, 65)}, Tags: []string{"a"}}),
		asking(request.WhitelistSuspend, request.WhitelistSuspendBody{ID: "bank"}), asking(request.WhitelistReview, request.WhitelistReviewBody{IDs: []string{"a", "b"}, Resume: true}),
		asking(request.BlacklistAdd, request.BlacklistAddBody{Chain: "eip155:1", Address: bookAddress, Reason: "bad"}), asking(request.BlacklistRemove, request.BlacklistRemoveBody{Chain: "eip155:1", Address: bookAddress}),
	} {
		f.Add(r.Encode())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := request.Parse(bytes.Clone(b))
		if err != nil {
			return
		}
		if !bytes.Equal(p.Encode(), b) || p.Digest != p.Hash() || p.Ident != p.ID() || p.Check() != nil || !bytes.Equal(canon.Encode(p.Decoded), p.Body) {
			t.Fatalf("%x was read as %+v", b, p.Request)
		}
	})
}

func FuzzDecodeStatement(f *testing.F) {
	f.Add(statement().Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := request.DecodeStatement(b)
		if err == nil && !bytes.Equal(s.Encode(), b) {
			t.Fatalf("%x was read as %+v", b, s)
		}
	})
}

func TestStatement(t *testing.T) {
	t.Parallel()
	s := statement()
	if x := s.By(alice, request.Reject); x.Approver != alice || x.Decision != request.Reject || s.Approver != bob || x.Hash() == s.Hash() {
		t.Errorf("by alice: %+v", x)
	}
	for name, spoil := range map[string]func(*request.Statement){"version": func(s *request.Statement) { s.V = 2 }, "decision": func(s *request.Statement) { s.Decision = "" }, "approver": func(s *request.Statement) { s.Approver = "" }} {
		x := s
		spoil(&x)
		if _, err := request.DecodeStatement(x.Encode()); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if again, err := request.DecodeStatement(s.Encode()); err != nil || again.Hash() != s.Hash() {
		t.Errorf("%v", err)
	}
}
