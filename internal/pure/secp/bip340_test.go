// SPDX-License-Identifier: Apache-2.0

package secp

import (
	"bytes"
	"crypto/sha256"
	"math/big"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"pgregory.net/rapid"

	"strongroom/internal/vectors"
)

// bip340Vector is a line of BIP-340 "Test Vectors and Reference Code".
type bip340Vector struct {
	Index   string      `csv:"index"`
	Key     vectors.Hex `csv:"public key"`
	Msg     vectors.Hex `csv:"message"`
	Sig     vectors.Hex `csv:"signature"`
	Valid   bool        `csv:"verification result"`
	Comment string      `csv:"comment"`
}

func TestBIP340Vectors(t *testing.T) {
	t.Parallel()
	for _, v := range vectors.Load[bip340Vector](t, "bip/bip-0340-test-vectors.csv", 19) {
		t.Run(v.Index, func(t *testing.T) {
			t.Parallel()
			if got := VerifyBIP340([XOnlySize]byte(v.Key), v.Msg, [SignatureSize]byte(v.Sig)); got != v.Valid {
				t.Errorf("got %v, want %v (%s)", got, v.Valid, v.Comment)
			}
		})
	}
}

func TestVerifyBIP340AgreesWithOracle(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		priv, msg := drawKey(t), draw32(t, "msg")
		signed, err := schnorr.Sign(priv, msg[:])
		if err != nil {
			t.Fatal(err)
		}
		sig := [SignatureSize]byte(signed.Serialize())
		x := ours(t, priv.PubKey()).XOnly()
		if !VerifyBIP340(x, msg[:], sig) {
			t.Fatal("refused a signature of the oracle")
		}
		bit := rapid.IntRange(0, 511).Draw(t, "bit")
		bad := sig
		bad[bit/8] ^= 1 << (bit % 8)
		if VerifyBIP340(x, msg[:], bad) {
			t.Fatalf("accepted a signature with bit %d flipped", bit)
		}
		if VerifyBIP340(x, msg[:31], sig) || VerifyBIP340(x, append(msg[:], 0), sig) {
			t.Fatal("accepted a message of another length")
		}
		other := msg
		other[bit/16] ^= 1 << (bit % 8)
		if VerifyBIP340(x, other[:], sig) {
			t.Fatal("accepted another message")
		}
	})
}

// s·G - e·P is infinity when s = e·d: no signature, whatever R.x is claimed.
func TestVerifyBIP340RefusesInfinity(t *testing.T) {
	t.Parallel()
	x := [XOnlySize]byte(unhex(t, generatorX)) // d = 1, so s = e
	for _, rx := range []string{generatorX, "0000000000000000000000000000000000000000000000000000000000000000"} {
		e := TaggedHash("BIP0340/challenge", unhex(t, rx), x[:], []byte("m"))
		var sig [SignatureSize]byte
		copy(sig[:], unhex(t, rx))
		new(big.Int).Mod(new(big.Int).SetBytes(e[:]), btcec.S256().N).FillBytes(sig[32:])
		if VerifyBIP340(x, []byte("m"), sig) {
			t.Errorf("accepted the point at infinity for R.x %s", rx)
		}
	}
}

func TestTaggedHash(t *testing.T) {
	t.Parallel()
	tag := sha256.Sum256([]byte("TapLeaf"))
	want := sha256.Sum256(bytes.Join([][]byte{tag[:], tag[:], []byte("ab"), []byte("c")}, nil))
	if got := TaggedHash("TapLeaf", []byte("a"), []byte("bc")); got != want {
		t.Errorf("got %x, want %x", got, want)
	}
}

// Law: on messages of 32 bytes, which is all the oracle takes, both agree.
func FuzzVerifyBIP340(f *testing.F) {
	priv, _ := btcec.PrivKeyFromBytes(bytes.Repeat([]byte{9}, 32))
	msg := sha256.Sum256([]byte("seed"))
	signed, err := schnorr.Sign(priv, msg[:])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(schnorr.SerializePubKey(priv.PubKey()), msg[:], signed.Serialize())
	f.Fuzz(func(t *testing.T, key, msg, raw []byte) {
		if len(key) != XOnlySize || len(msg) != 32 || len(raw) != SignatureSize {
			return
		}
		pub, keyErr := schnorr.ParsePubKey(key)
		sig, sigErr := schnorr.ParseSignature(raw)
		want := keyErr == nil && sigErr == nil && sig.Verify(msg, pub)
		if got := VerifyBIP340([XOnlySize]byte(key), msg, [SignatureSize]byte(raw)); got != want {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}
