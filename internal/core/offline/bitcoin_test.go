// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"bytes"
	"crypto/sha256"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/btc"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

const (
	regtest = custody.BitcoinRegtest
	bank    = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
	worth   = 100_000 // of each coin of the tests, satoshi
)

// withBank has a Bitcoin address in the address book.
func withBank(o *online) {
	o.document = func(d *policy.Document) {
		d.AddressBook = slices.Insert(d.AddressBook, 0, policy.BookEntry{ID: "bank", Chain: regtest, Address: bank})
	}
}

// psbt builds the payload of a payment that spends some coins of a wallet's first address; the rest is change.
func psbt(t testing.TB, w entry.Wallet, pay, fee btc.Sat, coins ...byte) []byte {
	t.Helper()
	from, back := entry.KeyPath{}, entry.KeyPath{Branch: 1}
	own := func(k entry.KeyPath) authority.Derived {
		d, err := authority.Derive(w, k)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	to, err := btc.ParseAddress(btc.Regtest, bank)
	if err != nil {
		t.Fatal(err)
	}
	tx := btc.UnsignedTx{Version: 2, Outputs: []btc.TxOut{{Value: pay, Script: to}, {Value: btc.Sat(worth*len(coins)) - pay - fee, Script: own(back).Script}}}
	var prevs []btc.UnsignedTx
	var spent []btc.TxOut
	for _, c := range coins {
		prev := btc.UnsignedTx{Version: 2, Outputs: []btc.TxOut{{Value: worth, Script: own(from).Script}},
			Inputs: []btc.TxIn{{OutPoint: btc.OutPoint{TxID: btc.TxID(sha256.Sum256([]byte{c}))}}}}
		tx.Inputs = append(tx.Inputs, btc.TxIn{OutPoint: btc.OutPoint{TxID: prev.TxID()}, Sequence: 0xfffffffd})
		prevs, spent = append(prevs, prev), append(spent, prev.Outputs[0])
	}
	x, err := btc.NewPSBT(tx, spent)
	if err != nil {
		t.Fatal(err)
	}
	for i := range coins {
		x.Inputs[i].PSBTKeys = keysAt(t, w, from, own(from))
		if w.Scheme == request.SchemeP2WPKH {
			x.Inputs[i].NonWitnessUTXO = prevs[i].Encode()
		}
	}
	x.Outputs[1].PSBTKeys = keysAt(t, w, back, own(back))
	b, err := x.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func keysAt(t testing.TB, w entry.Wallet, k entry.KeyPath, d authority.Derived) btc.PSBTKeys {
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

// spend has a payment permitted.
func (o *online) spend(wallet custody.WalletID, pay, fee btc.Sat, coins ...byte) uint64 {
	o.t.Helper()
	w, _, _ := o.s.Wallet(wallet)
	id := o.ask(o.alice, request.Transfer, request.TransferBody{Wallet: wallet, Asset: regtest.Native(), Outputs: []request.Output{{Address: bank, Amount: custody.U64(uint64(pay))}},
		FeeCap: custody.U64(5000)})
	o.approve(id, o.bob, o.carol)
	asked, err := authority.AskedOf(o.bodies[o.at[id]].(*entry.Request))
	if err != nil {
		o.t.Fatal(err)
	}
	p, err := o.s.DecidePermit(id, asked, psbt(o.t, w, pay, fee, coins...), o.moment(), authority.Derive)
	if err != nil {
		o.t.Fatal(err)
	}
	return o.must(p)
}

// Bitcoin wallets of both kinds, with several inputs; what comes back verifies in the online domain (take does that).
func TestBitcoin(t *testing.T) {
	t.Parallel()
	h := newHouse(t, withBank)
	for _, s := range []request.Scheme{request.SchemeP2WPKH, request.SchemeP2TR} {
		id := custody.WalletID("savings-" + map[request.Scheme]string{request.SchemeP2WPKH: "segwit", request.SchemeP2TR: "taproot"}[s])
		h.do(request.WalletCreate, request.WalletCreateBody{Wallet: id, Chain: regtest, Scheme: s})
		h.moveOut(id, h.v.d.ID())
		h.carry()
		one, two := h.spend(id, 50_000, 700, 1, 2, 3), h.spend(id, 60_000, 800, 4)
		_, r := h.carry()
		if len(r.Signed) != 2 || r.Signed[0].Entry != one || r.Signed[1].Entry != two {
			t.Errorf("%s: %+v", s, r)
		}
	}
	if st := h.v.d.Status(background); len(st.Wallets) != 2 || st.Unsigned != 0 {
		t.Errorf("%+v", st)
	}
}

// No seed lies in a file in clear, or in anything that is carried.
func TestNothingInClear(t *testing.T) {
	t.Parallel()
	h, _ := ready(t)
	var seed []byte
	if err := h.seeds["savings"].Use(func(b []byte) error { seed = bytes.Clone(b); return nil }); err != nil {
		t.Fatal(err)
	}
	bundle := h.seal(h.newParts())
	result, _, err := h.v.work(bundle, h.ops)
	if err != nil {
		t.Fatal(err)
	}
	h.v.close()
	files := 0
	err = filepath.WalkDir(h.v.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		files++
		b, err := os.ReadFile(path)
		if bytes.Contains(b, seed) {
			t.Errorf("%s has the seed in clear", path)
		}
		if bytes.Contains(b, []byte("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed")) {
			t.Errorf("%s has a destination in clear", path)
		}
		return err
	})
	if err != nil || files < 5 {
		t.Fatalf("%d files, %v", files, err)
	}
	for _, b := range [][]byte{bundle, result} {
		if bytes.Contains(b, seed) || bytes.Contains(b, h.copies[0]) || bytes.Contains(b, []byte("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed")) {
			t.Error("something that is carried has the seed or its copy in clear")
		}
	}
}
