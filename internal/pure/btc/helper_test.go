// SPDX-License-Identifier: Apache-2.0

package btc

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/ecdsa"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"pgregory.net/rapid"

	"strongroom/internal/pure/secp"
)

// fataler is what testing.T and rapid.T have in common.
type fataler interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatalf("bad hex in test: %v", err)
	}
	return b
}

func unhex32(t testing.TB, s string) [32]byte {
	t.Helper()
	b := unhex(t, s)
	if len(b) != 32 {
		t.Fatalf("bad length in test: %d", len(b))
	}
	return [32]byte(b)
}

// testKey is a private key with what both kinds of output make of it.
type testKey struct {
	priv     *btcec.PrivateKey
	pub      secp.PublicKey
	p2wpkh   Script
	p2tr     Script
	internal [32]byte
}

func newTestKey(t testing.TB, seed byte) testKey {
	t.Helper()
	priv, _ := btcec.PrivKeyFromBytes(bytes.Repeat([]byte{seed + 1}, 32))
	pub, err := secp.ParsePublicKey(priv.PubKey().SerializeCompressed())
	if err != nil {
		t.Fatal(err)
	}
	k := testKey{priv: priv, pub: pub, internal: pub.XOnly()}
	if k.p2wpkh, err = P2WPKH(pub); err != nil {
		t.Fatal(err)
	}
	out, err := TaprootOutputKey(k.internal)
	if err != nil {
		t.Fatal(err)
	}
	if k.p2tr, err = P2TR(out); err != nil {
		t.Fatal(err)
	}
	return k
}

// signECDSA and signTaproot make signatures with btcsuite's code.
func (k testKey) signECDSA(digest [32]byte) [64]byte {
	sig := ecdsa.Sign(k.priv, digest[:])
	r, s := sig.R(), sig.S()
	rb, sb := r.Bytes(), s.Bytes()
	return [64]byte(append(rb[:], sb[:]...))
}

func (k testKey) signTaproot(t fataler, digest [32]byte) [64]byte {
	t.Helper()
	sig, err := schnorr.Sign(txscript.TweakTaprootPrivKey(*k.priv, nil), digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return [64]byte(sig.Serialize())
}

// signAll signs every input that spends the key with seed i as its position says.
func signAll(t fataler, tx UnsignedTx, prevouts []TxOut, keys []testKey) [][][]byte {
	t.Helper()
	h, err := NewSighasher(tx, prevouts)
	if err != nil {
		t.Fatal(err)
	}
	ws := make([][][]byte, len(prevouts))
	for i, p := range prevouts {
		digest, err := h.Hash(i)
		if err != nil {
			t.Fatal(err)
		}
		s := spend{script: p.Script, pub: keys[i].pub}
		if p.Script.Kind() == KindP2TR {
			s.sig = keys[i].signTaproot(t, digest)
		} else {
			s.sig = keys[i].signECDSA(digest)
		}
		ws[i] = s.witness()
	}
	return ws
}

// sampleTx spends a P2WPKH and a P2TR output and pays to both kinds.
func sampleTx(t testing.TB) (UnsignedTx, []TxOut, []testKey) {
	t.Helper()
	keys := []testKey{newTestKey(t, 1), newTestKey(t, 2)}
	prevouts := []TxOut{{Value: 70_000, Script: keys[0].p2wpkh}, {Value: 50_000, Script: keys[1].p2tr}}
	tx := UnsignedTx{
		Version: 2,
		Inputs: []TxIn{
			{OutPoint: OutPoint{TxID: TxID{1}, Index: 3}, Sequence: 0xfffffffd},
			{OutPoint: OutPoint{TxID: TxID{2}, Index: 0}, Sequence: 0xfffffffd},
		},
		Outputs:  []TxOut{{Value: 40_000, Script: newTestKey(t, 3).p2wpkh}, {Value: 79_000, Script: keys[1].p2tr}},
		LockTime: 800_000,
	}
	return tx, prevouts, keys
}

// msgTx decodes bytes with btcsuite's code and requires it to read all of them.
func msgTx(t fataler, b []byte) *wire.MsgTx {
	t.Helper()
	var m wire.MsgTx
	r := bytes.NewReader(b)
	if err := m.Deserialize(r); err != nil {
		t.Fatalf("oracle refuses: %v", err)
	}
	if r.Len() != 0 {
		t.Fatalf("oracle leaves %d bytes", r.Len())
	}
	return &m
}

// fetcher gives the prevouts to btcsuite's code.
func fetcher(tx UnsignedTx, prevouts []TxOut) txscript.PrevOutputFetcher {
	f := txscript.NewMultiPrevOutFetcher(nil)
	for i, p := range prevouts {
		o := tx.Inputs[i].OutPoint
		f.AddPrevOut(wire.OutPoint{Hash: chainhash.Hash(o.TxID), Index: o.Index}, wire.NewTxOut(int64(p.Value), p.Script))
	}
	return f
}

// execute runs btcsuite's script engine with the standard rules over every input.
func execute(signed *wire.MsgTx, tx UnsignedTx, prevouts []TxOut) error {
	f := fetcher(tx, prevouts)
	hashes := txscript.NewTxSigHashes(signed, f)
	for i, p := range prevouts {
		e, err := txscript.NewEngine(p.Script, signed, i, txscript.StandardVerifyFlags, nil, hashes, int64(p.Value), f)
		if err != nil {
			return err
		}
		if err := e.Execute(); err != nil {
			return fmt.Errorf("input %d: %w", i, err)
		}
	}
	return nil
}

// drawScript draws a script that is spent or paid to here, or one of the given extra ones.
func drawScript(t *rapid.T, spendable bool) Script {
	keys := rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "program")
	wpkh := append(Script{op0, 20}, keys[:20]...)
	tr := append(Script{op1, 32}, keys...)
	if spendable {
		return rapid.SampledFrom([]Script{wpkh, tr}).Draw(t, "script")
	}
	return rapid.OneOf(
		rapid.SampledFrom([]Script{wpkh, tr, append(Script{op0, 32}, keys...), append(Script{opReturn, 20}, keys[:20]...)}),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 300), func(b []byte) Script { return b }),
	).Draw(t, "script")
}

// drawTx draws a transaction that Check accepts, and prevouts that pay for it.
func drawTx(t *rapid.T) (UnsignedTx, []TxOut) {
	tx := UnsignedTx{
		Version:  rapid.Int32Range(1, 2).Draw(t, "version"),
		LockTime: rapid.Uint32().Draw(t, "locktime"),
	}
	var prevouts []TxOut
	for i := range rapid.IntRange(1, 5).Draw(t, "inputs") {
		id := rapid.SliceOfN(rapid.Byte(), 31, 31).Draw(t, "txid")
		tx.Inputs = append(tx.Inputs, TxIn{
			OutPoint: OutPoint{TxID: TxID(append([]byte{byte(i)}, id...)), Index: rapid.Uint32Max(1<<31).Draw(t, "vout")},
			Sequence: rapid.Uint32().Draw(t, "sequence"),
		})
		prevouts = append(prevouts, TxOut{Value: MaxSat / 8, Script: drawScript(t, true)})
	}
	for range rapid.IntRange(1, 5).Draw(t, "outputs") {
		tx.Outputs = append(tx.Outputs, TxOut{
			Value:  Sat(rapid.Uint64Range(0, uint64(MaxSat/40)).Draw(t, "value")),
			Script: drawScript(t, false),
		})
	}
	return tx, prevouts
}
