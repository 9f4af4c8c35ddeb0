// SPDX-License-Identifier: Apache-2.0

package btc

import (
	"encoding/hex"
	"errors"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/txscript/v2"
	"pgregory.net/rapid"

	"strongroom/internal/vectors"
)

// BIP-143 "Native P2WPKH".
const (
	bip143Unsigned = "0100000002fff7f7881a8099afa6940d42d1e7f6362bec38171ea3edf433541db4e4ad969f0000000000eeffffff" +
		"ef51e1b804cc89d182d279655c3aa89e815b1b309fe287d9b2b55d57b90ec68a0100000000ffffffff" +
		"02202cb206000000001976a9148280b37df378db99f66f85c95a783a76ac7a6d5988ac" +
		"9093510d000000001976a9143bde42dbee7e4dbe6a21b2d50ce2f0167faa815988ac11000000"
	bip143P2PK      = "2103c9f4836b9a4f77fc0d81f7bcb01b7f1b35916864b9476c241ce9fc198bd25432ac"
	bip143P2WPKH    = "00141d0f172a0ecb48aee1be1f2687d2963ae33f71a1"
	bip143PublicKey = "025476c2e83188368da1ff3e292e7acafcdb3566bb0ad253f62fc70f07aeee6357"
	bip143Sighash   = "c37af31116d1b27caf68aae9e3ac82f1477929014d5b917657d0eb49478cb670"
	bip143Signature = "304402203609e17b84f6a7d30c80bfa610b5b4542f32a8a0d5447a12fb1366d7f01cc44a" +
		"0220573a954c4518331561406f90300e8f3358f51928d43c212a8caed02de67eebee01"
)

func bip143Sample(t testing.TB) (UnsignedTx, []TxOut) {
	t.Helper()
	tx, err := DecodeUnsigned(unhex(t, bip143Unsigned))
	if err != nil {
		t.Fatal(err)
	}
	return tx, []TxOut{{Value: 625_000_000, Script: unhex(t, bip143P2PK)}, {Value: 600_000_000, Script: unhex(t, bip143P2WPKH)}}
}

func TestBIP143NativeP2WPKH(t *testing.T) {
	t.Parallel()
	tx, prevouts := bip143Sample(t)
	h, err := NewSighasher(tx, prevouts)
	if err != nil {
		t.Fatal(err)
	}
	got, err := h.Hash(1)
	if err != nil || hex.EncodeToString(got[:]) != bip143Sighash {
		t.Fatalf("got %x, %v, want %s", got, err, bip143Sighash)
	}
	s, err := parseSpend(prevouts[1].Script, [][]byte{unhex(t, bip143Signature), unhex(t, bip143PublicKey)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.verify(h, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Hash(0); !errors.Is(err, ErrKind) {
		t.Fatalf("P2PK input: got %v, want %v", err, ErrKind)
	}
}

// The P2SH-wrapped form is not signed here, but its digest is computed alike: the scriptCode comes from the redeem script.
func TestBIP143P2SHP2WPKH(t *testing.T) {
	t.Parallel()
	tx, err := DecodeUnsigned(unhex(t, "0100000001db6b1b20aa0fd7b23880be2ecbd4a98130974cf4748fb66092ac4d3ceb1a54770100000000feffffff"+
		"02b8b4eb0b000000001976a914a457b684d7f0d539a46a45bbc043f35b59d0d96388ac"+
		"0008af2f000000001976a914fd270b1ee6abcaea97fea7ad0402e8bd8ad6d77c88ac92040000"))
	if err != nil {
		t.Fatal(err)
	}
	h, err := NewSighasher(tx, []TxOut{{Value: 1_000_000_000, Script: unhex(t, "a9144733f37cf4db86fbc2efed2500b4f4e49f31202387")}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Hash(0); !errors.Is(err, ErrKind) {
		t.Fatalf("P2SH input: got %v, want %v", err, ErrKind)
	}
	got := h.segwitV0(0, unhex(t, "76a91479091972186c449eb1ded22b78e40d009bdf008988ac"))
	if want := "64f3b0f4dd2bb3aa1ce8566d220cc74dda9df97d8490cc81d89d735c92e59fb6"; hex.EncodeToString(got[:]) != want {
		t.Fatalf("got %x, want %s", got, want)
	}
}

// outputVector and spendingVector are members of bip-0341-wallet-test-vectors.json.
type outputVector struct {
	Given struct {
		InternalPubkey string
		ScriptTree     any
	}
	Intermediary struct{ Tweak, TweakedPubkey string }
	Expected     struct{ ScriptPubKey, BIP350Address string }
}

type spendingVector struct {
	Given struct {
		RawUnsignedTx string
		UTXOsSpent    []struct {
			ScriptPubKey string
			AmountSats   uint64
		}
	}
	Intermediary  struct{ HashAmounts, HashOutputs, HashPrevouts, HashScriptPubkeys, HashSequences string }
	InputSpending []struct {
		Given struct {
			TxinIndex, HashType int
		}
		Intermediary struct{ InternalPubkey, Tweak, SigHash string }
		Expected     struct{ Witness []string }
	}
}

func TestBIP341ScriptPubKeys(t *testing.T) {
	t.Parallel()
	withTree := 0
	for i, v := range vectors.Load[outputVector](t, "bip/bip-0341-wallet-test-vectors.json#scriptPubKey", 7) {
		internal := unhex32(t, v.Given.InternalPubkey)
		out, err := tweakKey(internal, unhex32(t, v.Intermediary.Tweak))
		if err != nil || hex.EncodeToString(out[:]) != v.Intermediary.TweakedPubkey {
			t.Fatalf("vector %d: got output key %x, %v, want %s", i, out, err, v.Intermediary.TweakedPubkey)
		}
		script, err := P2TR(out)
		if err != nil || script.String() != v.Expected.ScriptPubKey {
			t.Fatalf("vector %d: got %s, %v, want %s", i, script, err, v.Expected.ScriptPubKey)
		}
		if got, err := script.Address(Mainnet); err != nil || got != v.Expected.BIP350Address {
			t.Fatalf("vector %d: got %s, %v, want %s", i, got, err, v.Expected.BIP350Address)
		}
		if v.Given.ScriptTree != nil {
			withTree++ // the tweak commits to scripts, which are not supported
			continue
		}
		if got := TapTweakHash(internal); hex.EncodeToString(got[:]) != v.Intermediary.Tweak {
			t.Fatalf("vector %d: got tweak %x, want %s", i, got, v.Intermediary.Tweak)
		}
		if got, err := TaprootOutputKey(internal); err != nil || got != out {
			t.Fatalf("vector %d: got %x, %v, want %x", i, got, err, out)
		}
	}
	if withTree != 6 {
		t.Fatalf("%d vectors have a script tree, want 6", withTree)
	}
}

func TestBIP341KeyPathSpending(t *testing.T) {
	t.Parallel()
	v := vectors.Load[spendingVector](t, "bip/bip-0341-wallet-test-vectors.json#keyPathSpending", 1)[0]
	if len(v.InputSpending) != 7 {
		t.Fatalf("%d inputs, 7 were published", len(v.InputSpending))
	}
	tx, err := DecodeUnsigned(unhex(t, v.Given.RawUnsignedTx))
	if err != nil {
		t.Fatal(err)
	}
	var prevouts []TxOut
	for _, u := range v.Given.UTXOsSpent {
		prevouts = append(prevouts, TxOut{Value: Sat(u.AmountSats), Script: unhex(t, u.ScriptPubKey)})
	}
	h, err := NewSighasher(tx, prevouts)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []struct {
		name string
		got  [32]byte
		want string
	}{
		{"hashAmounts", h.amounts, v.Intermediary.HashAmounts},
		{"hashOutputs", h.outputs, v.Intermediary.HashOutputs},
		{"hashPrevouts", h.outPoints, v.Intermediary.HashPrevouts},
		{"hashScriptPubkeys", h.scripts, v.Intermediary.HashScriptPubkeys},
		{"hashSequences", h.sequences, v.Intermediary.HashSequences},
	} {
		if hex.EncodeToString(part.got[:]) != part.want {
			t.Errorf("%s: got %x, want %s", part.name, part.got, part.want)
		}
	}
	otherTypes := 0
	for _, in := range v.InputSpending {
		out, err := tweakKey(unhex32(t, in.Intermediary.InternalPubkey), unhex32(t, in.Intermediary.Tweak))
		if err != nil || !prevouts[in.Given.TxinIndex].Script.Equal(append(Script{op1, 32}, out[:]...)) {
			t.Fatalf("input %d: got output key %x, %v", in.Given.TxinIndex, out, err)
		}
		if in.Given.HashType != int(SighashDefault) {
			otherTypes++ // only SIGHASH_DEFAULT is signed
			continue
		}
		got, err := h.Hash(in.Given.TxinIndex)
		if err != nil || hex.EncodeToString(got[:]) != in.Intermediary.SigHash {
			t.Fatalf("input %d: got %x, %v, want %s", in.Given.TxinIndex, got, err, in.Intermediary.SigHash)
		}
		s, err := parseSpend(prevouts[in.Given.TxinIndex].Script, [][]byte{unhex(t, in.Expected.Witness[0])})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.verify(h, in.Given.TxinIndex); err != nil {
			t.Fatal(err)
		}
	}
	if otherTypes != 6 {
		t.Fatalf("%d inputs have another hash type, want 6", otherTypes)
	}
}

// BIP-86 "Test vectors".
func TestBIP86(t *testing.T) {
	t.Parallel()
	for _, v := range []struct{ name, internal, output, address string }{
		{"first receiving", "cc8a4bc64d897bddc5fbc2f670f7a8ba0b386779106cf1223c6fc5d7cd6fc115", "a60869f0dbcf1dc659c9cecbaf8050135ea9e8cdc487053f1dc6880949dc684c", "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr"},
		{"second receiving", "83dfe85a3151d2517290da461fe2815591ef69f2b18a2ce63f01697a8b313145", "a82f29944d65b86ae6b5e5cc75e294ead6c59391a1edc5e016e3498c67fc7bbb", "bc1p4qhjn9zdvkux4e44uhx8tc55attvtyu358kutcqkudyccelu0was9fqzwh"},
		{"first change", "399f1b2f4393f29a18c937859c5dd8a77350103157eb880f02e8c08214277cef", "882d74e5d0572d5a816cef0041a96b6c1de832f6f9676d9605c44d5e9a97d3dc", "bc1p3qkhfews2uk44qtvauqyr2ttdsw7svhkl9nkm9s9c3x4ax5h60wqwruhk7"},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			out, err := TaprootOutputKey(unhex32(t, v.internal))
			if err != nil || hex.EncodeToString(out[:]) != v.output {
				t.Fatalf("got %x, %v, want %s", out, err, v.output)
			}
			script, err := P2TR(out)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := script.Address(Mainnet); err != nil || got != v.address {
				t.Fatalf("got %s, %v, want %s", got, err, v.address)
			}
		})
	}
}

func TestSighasherRefuses(t *testing.T) {
	t.Parallel()
	tx, prevouts, _ := sampleTx(t)
	h, err := NewSighasher(tx, prevouts)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{-1, 2} {
		if _, err := h.Hash(i); !errors.Is(err, ErrInputIndex) {
			t.Errorf("input %d: got %v, want %v", i, err, ErrInputIndex)
		}
	}
	if _, err := NewSighasher(tx, prevouts[:1]); !errors.Is(err, ErrPrevouts) {
		t.Errorf("one prevout: got %v, want %v", err, ErrPrevouts)
	}
	tx.Version = 0
	if _, err := NewSighasher(tx, prevouts); !errors.Is(err, ErrVersion) {
		t.Errorf("version 0: got %v, want %v", err, ErrVersion)
	}
}

// btcsuite computes the same hash for every input of every transaction.
func TestSighashAgreesWithOracle(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		tx, prevouts := drawTx(t)
		h, err := NewSighasher(tx, prevouts)
		if err != nil {
			t.Fatal(err)
		}
		m := msgTx(t, tx.Encode())
		f := fetcher(tx, prevouts)
		hashes := txscript.NewTxSigHashes(m, f)
		for i, p := range prevouts {
			got, err := h.Hash(i)
			if err != nil {
				t.Fatal(err)
			}
			var want []byte
			if p.Script.Kind() == KindP2TR {
				want, err = txscript.CalcTaprootSignatureHash(hashes, txscript.SigHashDefault, m, i, f)
			} else {
				want, err = txscript.CalcWitnessSigHash(p.Script, hashes, txscript.SigHashAll, m, i, int64(p.Value))
			}
			if err != nil || hex.EncodeToString(want) != hex.EncodeToString(got[:]) {
				t.Fatalf("input %d (%s): got %x, oracle %x, %v", i, p.Script.Kind(), got, want, err)
			}
		}
	})
}

// A change of anything changes the hashes: the taproot hash for every field, the segwit one for all but other amounts.
func TestSighashCommits(t *testing.T) {
	t.Parallel()
	base, basePrevouts, _ := sampleTx(t)
	sum := func(tx UnsignedTx, prevouts []TxOut, i int) [32]byte {
		h, err := NewSighasher(tx, prevouts)
		if err != nil {
			t.Fatal(err)
		}
		d, err := h.Hash(i)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	for _, v := range []struct {
		name   string
		change func(*UnsignedTx, []TxOut)
		segwit bool // input 0, P2WPKH, commits to it too
	}{
		{"version", func(tx *UnsignedTx, _ []TxOut) { tx.Version = 1 }, true},
		{"lock time", func(tx *UnsignedTx, _ []TxOut) { tx.LockTime++ }, true},
		{"txid of another input", func(tx *UnsignedTx, _ []TxOut) { tx.Inputs[1].OutPoint.TxID[31]++ }, true},
		{"index of another input", func(tx *UnsignedTx, _ []TxOut) { tx.Inputs[1].OutPoint.Index++ }, true},
		{"sequence of another input", func(tx *UnsignedTx, _ []TxOut) { tx.Inputs[1].Sequence-- }, true},
		{"value of an output", func(tx *UnsignedTx, _ []TxOut) { tx.Outputs[1].Value-- }, true},
		{"script of an output", func(tx *UnsignedTx, _ []TxOut) { tx.Outputs[1].Script = tx.Outputs[0].Script }, true},
		{"order of outputs", func(tx *UnsignedTx, _ []TxOut) { slices.Reverse(tx.Outputs) }, true},
		{"one output fewer", func(tx *UnsignedTx, _ []TxOut) { tx.Outputs = tx.Outputs[:1] }, true},
		{"amount of input 0", func(_ *UnsignedTx, p []TxOut) { p[0].Value++ }, true},
		{"amount of input 1", func(_ *UnsignedTx, p []TxOut) { p[1].Value++ }, false},
		{"script of input 1", func(_ *UnsignedTx, p []TxOut) { p[1].Script = newTestKey(t, 9).p2tr }, false},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			tx, prevouts := base, slices.Clone(basePrevouts)
			tx.Inputs, tx.Outputs = slices.Clone(tx.Inputs), slices.Clone(tx.Outputs)
			v.change(&tx, prevouts)
			if sum(tx, prevouts, 1) == sum(base, basePrevouts, 1) {
				t.Error("taproot hash is the same")
			}
			if got := sum(tx, prevouts, 0) != sum(base, basePrevouts, 0); got != v.segwit {
				t.Errorf("segwit hash changed: got %t, want %t", got, v.segwit)
			}
		})
	}
}
