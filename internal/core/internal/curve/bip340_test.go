// SPDX-License-Identifier: Apache-2.0

package curve

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/txscript/v2"
	"pgregory.net/rapid"

	"strongroom/internal/vectors"
)

// bip340Vector is a line of BIP-340 "Test Vectors and Reference Code".
type bip340Vector struct {
	Index   string      `csv:"index"`
	Secret  vectors.Hex `csv:"secret key"`
	Key     vectors.Hex `csv:"public key"`
	Aux     vectors.Hex `csv:"aux_rand"`
	Msg     vectors.Hex `csv:"message"`
	Sig     vectors.Hex `csv:"signature"`
	Valid   bool        `csv:"verification result"`
	Comment string      `csv:"comment"`
}

// TestBIP340Vectors runs the 19 published cases: those with a secret key are signed, all are verified.
func TestBIP340Vectors(t *testing.T) {
	t.Parallel()
	signed := 0
	for _, v := range vectors.Load[bip340Vector](t, "bip/bip-0340-test-vectors.csv", 19) {
		t.Run(v.Index, func(t *testing.T) {
			key, sig := [32]byte(v.Key), [64]byte(v.Sig)
			if v.Secret != nil {
				signed++
				k, aux := keyOf(t, v.Secret), [32]byte(v.Aux)
				if [32]byte(k.pub[1:]) != key {
					t.Errorf("public key %x, want %x", k.pub[1:], key)
				}
				got, err := k.backend.signBIP340(k.sk, &k.pub, false, nil, v.Msg, &aux)
				if err != nil || got != sig {
					t.Errorf("got %x, %v; want %x", got, err, sig)
				}
				if len(v.Msg) == 32 {
					if got, err := k.backend.SignBIP340(k.sk, k.pub, [32]byte(v.Msg), aux); err != nil || got != sig {
						t.Errorf("got %x, %v; want %x", got, err, sig)
					}
				}
			}
			if got := newBackend(t).VerifyBIP340(key, v.Msg, sig); got != v.Valid {
				t.Errorf("verify: got %v, want %v (%s)", got, v.Valid, v.Comment)
			}
		})
	}
	if signed != 8 {
		t.Errorf("%d cases had a secret key, 8 are published", signed)
	}
}

// TestBIP340AgreesWithBtcec requires btcec's verdict on our signatures, plain and tweaked, and its bytes for the same auxiliary randomness.
func TestBIP340AgreesWithBtcec(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	rapid.Check(t, func(t *rapid.T) {
		sk, pub := drawKey(t, b)
		msg, aux := draw32(t, "msg"), draw32(t, "aux")
		root := rapid.SampledFrom([][]byte{nil, {}, aux[:]}).Draw(t, "root")
		private, public := btcec.PrivKeyFromBytes(sk)

		sig, err := b.SignBIP340(sk, pub, msg, aux)
		if err != nil {
			t.Fatal(err)
		}
		want, err := schnorr.Sign(private, msg[:], schnorr.CustomNonce(aux))
		if err != nil || !bytes.Equal(want.Serialize(), sig[:]) {
			t.Fatalf("got %x, want %x, %v", sig, want.Serialize(), err)
		}

		sig, err = b.SignTaproot(sk, pub, root, msg, aux)
		if err != nil {
			t.Fatal(err)
		}
		want, err = schnorr.Sign(txscript.TweakTaprootPrivKey(*private, root), msg[:], schnorr.CustomNonce(aux))
		if err != nil || !bytes.Equal(want.Serialize(), sig[:]) {
			t.Fatalf("tweaked: got %x, want %x, %v", sig, want.Serialize(), err)
		}
		output := txscript.ComputeTaprootOutputKey(public, root)
		got, parity, err := b.TaprootOutput([32]byte(pub[1:]), root)
		if err != nil || !bytes.Equal(append([]byte{2 + parity}, got[:]...), output.SerializeCompressed()) {
			t.Fatalf("output key %x, parity %d, %v; want %x", got, parity, err, output.SerializeCompressed())
		}
		if !b.VerifyBIP340(got, msg[:], sig) || b.VerifyBIP340([32]byte(pub[1:]), msg[:], sig) {
			t.Fatal("the signature is not by the output key")
		}
		bit := rapid.IntRange(0, 64*8-1).Draw(t, "bit")
		sig[bit/8] ^= 1 << (bit % 8)
		if b.VerifyBIP340(got, msg[:], sig) {
			t.Fatal("accepted a spoiled signature")
		}
	})
}

// outputVector and inputVector are members of bip-0341-wallet-test-vectors.json.
type outputVector struct {
	Given        struct{ InternalPubkey string }
	Intermediary struct {
		MerkleRoot    *string
		TweakedPubkey string
	}
}

type inputVector struct {
	Given struct {
		InternalPrivkey string
		MerkleRoot      *string
	}
	Intermediary struct {
		InternalPubkey string
		SigHash        string
	}
	Expected struct{ Witness []string }
}

// TestBIP341Vectors: the published output keys, and the key-path signatures with all auxiliary randomness zero.
func TestBIP341Vectors(t *testing.T) {
	t.Parallel()
	root := func(s *string) []byte {
		if s == nil {
			return nil
		}
		return unhex(t, *s)
	}
	b := newBackend(t)
	for i, v := range vectors.Load[outputVector](t, "bip/bip-0341-wallet-test-vectors.json#scriptPubKey", 7) {
		got, _, err := b.TaprootOutput([32]byte(unhex(t, v.Given.InternalPubkey)), root(v.Intermediary.MerkleRoot))
		if err != nil || hex.EncodeToString(got[:]) != v.Intermediary.TweakedPubkey {
			t.Errorf("output %d: got %x, %v; want %s", i, got, err, v.Intermediary.TweakedPubkey)
		}
	}
	for i, v := range vectors.Load[inputVector](t, "bip/bip-0341-wallet-test-vectors.json#keyPathSpending.0.inputSpending", 7) {
		k := keyOf(t, unhex(t, v.Given.InternalPrivkey))
		if got := hex.EncodeToString(k.pub[1:]); got != v.Intermediary.InternalPubkey {
			t.Errorf("input %d: internal key %s, want %s", i, got, v.Intermediary.InternalPubkey)
		}
		sig, err := k.backend.SignTaproot(k.sk, k.pub, root(v.Given.MerkleRoot), [32]byte(unhex(t, v.Intermediary.SigHash)), [32]byte{})
		if want := v.Expected.Witness[0][:128]; err != nil || hex.EncodeToString(sig[:]) != want { // a hash type byte may follow
			t.Errorf("input %d: got %x, %v; want %s", i, sig, err, want)
		}
	}
}

func TestTaprootRefusals(t *testing.T) {
	t.Parallel()
	k := newKey(t, 9)
	for _, n := range []int{1, 31, 33, 64} {
		if _, err := k.backend.SignTaproot(k.sk, k.pub, make([]byte, n), [32]byte{}, [32]byte{}); err == nil {
			t.Errorf("signed with a root of %d bytes", n)
		}
		if _, _, err := k.backend.TaprootOutput([32]byte(k.pub[1:]), make([]byte, n)); err == nil {
			t.Errorf("tweaked with a root of %d bytes", n)
		}
	}
	if _, _, err := k.backend.TaprootOutput([32]byte{31: 5}, nil); !errors.Is(err, ErrPublicKey) { // x = 5 is on no point
		t.Errorf("no point: got %v, want ErrPublicKey", err)
	}
	if k.backend.VerifyBIP340([32]byte{31: 5}, nil, [64]byte{}) || k.backend.VerifyECDSA([33]byte{}, [32]byte{}, [64]byte{}) {
		t.Error("verified under no point")
	}
}
