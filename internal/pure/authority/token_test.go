// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

func inToken(id custody.WalletID) request.WalletCreateBody {
	return request.WalletCreateBody{Wallet: id, Chain: evm, Scheme: request.SchemeEVM, Class: request.ClassToken}
}

// tokenWorld is a world whose domain makes keys in the token.
func tokenWorld(t tester) *world {
	w := newWorld(t)
	w.s.life.Allowed = w.s.life.Allowed.With(points.TokenKeys)
	return w
}

// A wallet of class token has the address of its public key at 0/0, and no other; nothing is derived from it. The key with the private number 1 has a
// well-known address.
func TestTokenWalletHasOneAddress(t *testing.T) {
	t.Parallel()
	e := &entry.Effect{}
	madeUp(t, New(), &request.WalletCreateBody{Wallet: "sealed", Chain: evm, Scheme: request.SchemeEVM, Class: request.ClassToken}, e)
	w := *e.Wallet
	d, err := Derive(w, entry.KeyPath{})
	if err != nil || d.Address != "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf" || d.Public.Compressed() != [33]byte(w.Public) {
		t.Errorf("got %s, %v", d.Address, err)
	}
	rapid.Check(t, func(t *rapid.T) {
		p := entry.KeyPath{Branch: rapid.Uint32().Draw(t, "branch"), Index: rapid.Uint32().Draw(t, "index")}
		if d, err := Derive(w, p); p != (entry.KeyPath{}) && (err == nil || d.Address != "") {
			t.Fatalf("%+v: got %s, %v", p, d.Address, err)
		}
	})
	if _, err := AccountKey(w); err == nil {
		t.Error("it has an account key")
	}
	for name, change := range map[string]func(*entry.Wallet){
		"Bitcoin":          func(w *entry.Wallet) { w.Scheme = request.SchemeP2WPKH },
		"an unknown class": func(w *entry.Wallet) { w.Class = "mpc" },
		"no point":         func(w *entry.Wallet) { w.Public = make([]byte, 33) },
	} {
		x := w
		change(&x)
		if d, err := Derive(x, entry.KeyPath{}); err == nil || d.Address != "" {
			t.Errorf("%s: got %s, %v", name, d.Address, err)
		}
	}
}

// What the fold takes of such a birth, and what it doesn't.
func TestTokenWalletIsBorn(t *testing.T) {
	t.Parallel()
	w := tokenWorld(t)
	id := w.approved(t, request.WalletCreate, inToken("sealed"), "bob")
	for why, change := range map[string]func(*entry.Effect){
		"class core":     func(e *entry.Effect) { e.Wallet.Class = "" },
		"a chain code":   func(e *entry.Effect) { e.Wallet.ChainCode[31] = 1 },
		"a fingerprint":  func(e *entry.Effect) { e.Wallet.Master[0] = 1 },
		"a parent":       func(e *entry.Effect) { e.Wallet.Parent[3] = 1 },
		"a seed":         func(e *entry.Effect) { e.Key.Kind = entry.KindSeed },
		"another kind":   func(e *entry.Effect) { e.Key.Kind = "p256" },
		"no key":         func(e *entry.Effect) { e.Key = nil },
		"another's key":  func(e *entry.Effect) { e.Key.ID = "00000000000000000000000000000001" },
		"for an app":     func(e *entry.Effect) { e.Key.Purpose = "app" },
		"no blob":        func(e *entry.Effect) { e.Key.Blob = [32]byte{} },
		"two addresses":  func(e *entry.Effect) { e.Addresses.Count = 2 },
		"a short public": func(e *entry.Effect) { e.Wallet.Public = e.Wallet.Public[:32] },
	} {
		e := w.effect(t, id)
		k := *e.Key
		e.Key = &k
		change(e)
		w.refused(t, why, e)
	}
	e := w.effect(t, id)
	w.must(t, e)
	if got := w.s.TokenKeys(); len(got) != 1 || got[0] != e.Key.ID || w.s.Counts().TokenKeys != 1 {
		t.Errorf("the token's keys are %v, %d", got, w.s.Counts().TokenKeys)
	}
	s := restoredState(t, w.s)
	if got := s.TokenKeys(); len(got) != 1 || s.StateRoot() != w.s.StateRoot() {
		t.Errorf("restored: %v", got)
	}
	// Entries of before have no field for a class, and those of class core none now.
	plain := canon.Encode(entry.Wallet{ID: "hot", Public: bytes.Repeat([]byte{2}, 33)})
	var m map[int]any
	if err := canon.Decode(plain, &m); err != nil || m[10] != nil {
		t.Errorf("%v, %v", m, err)
	}
}

// restoredState is a state from its own image.
func restoredState(t *testing.T, s *State) *State {
	t.Helper()
	var m Image
	if err := canon.Decode(canon.Encode(s.Image()), &m); err != nil {
		t.Fatal(err)
	}
	chunks := s.Chunks()
	out, err := Restore(m, func(h [32]byte) ([]byte, error) { return chunks[h], nil })
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// The fold refuses what is not for such a wallet, whoever recorded it; and the switch is asked when it is decided and again there.
func TestTokenWalletStays(t *testing.T) {
	t.Parallel()
	w := tokenWorld(t)
	w.must(t, w.effect(t, w.approved(t, request.WalletCreate, inToken("sealed"), "bob")))
	for what, x := range map[string]struct {
		op   request.Operation
		body any
	}{
		"addresses": {request.AddressCreate, request.AddressCreateBody{Wallet: "sealed", Count: 1}},
		"warm":      {request.WalletTemperature, request.WalletTemperatureBody{Wallet: "sealed", To: request.Warm}},
		"move":      {request.WalletMove, request.WalletMoveBody{Wallet: "sealed", To: bytes.Repeat([]byte{7}, 32), Temperature: request.Cold}},
	} {
		r := w.request(who("alice"), x.op, x.body)
		p, err := request.Parse(r.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.s.DecideRequest(p, policy.BySignature, w.at(), Derive); problem.KindOf(err) != problem.Unsupported {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := w.s.createAddresses(&request.AddressCreateBody{Wallet: "sealed", Count: 1}, &entry.Effect{Addresses: &entry.AddressBatch{Wallet: "sealed", From: 1, Count: 1}}); err == nil {
		t.Error("the fold takes further addresses")
	}
	id := w.approved(t, request.WalletCreate, inToken("second"), "bob")
	e := w.effect(t, id)
	w.s.life.Allowed = w.s.life.Allowed.Without(points.TokenKeys)
	w.refused(t, "the control point was switched off meanwhile", e)
	p, _ := w.s.Pending(id)
	if err := w.s.Ready(p, w.at(), Derive); problem.KindOf(err) != problem.Forbidden || !strings.Contains(err.Error(), "token-keys") {
		t.Errorf("got %v", err)
	}
	w.s.life.Allowed = w.s.life.Allowed.With(points.TokenKeys).Without(points.Derive) // nothing is derived
	w.must(t, e)
}

// The rules see the class, of a wallet that is asked for and of one that is there.
func TestFactsHaveTheClass(t *testing.T) {
	t.Parallel()
	w := tokenWorld(t)
	w.must(t, w.effect(t, w.approved(t, request.WalletCreate, inToken("sealed"), "bob")))
	for _, x := range []struct {
		op   request.Operation
		body any
		want request.Class
	}{
		{request.WalletCreate, inToken("other"), request.ClassToken},
		{request.WalletCreate, request.WalletCreateBody{Wallet: "other", Chain: evm, Scheme: request.SchemeEVM}, ""},
		{request.Transfer, payEVM(1), ""},
		{request.Transfer, request.TransferBody{Wallet: "sealed", Asset: evm.Native(), Outputs: payEVM(1).Outputs, FeeCap: custody.U64(1)}, request.ClassToken},
	} {
		r := w.request(who("alice"), x.op, x.body)
		if e := w.asked(t, who("alice"), r); e.Facts.Class != x.want {
			t.Errorf("%s: class %q, want %q", x.op, e.Facts.Class, x.want)
		}
	}
}
