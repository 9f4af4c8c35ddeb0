// SPDX-License-Identifier: Apache-2.0

package secp

import (
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"math/big"
	"os"
	"path/filepath"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"pgregory.net/rapid"
)

// vectorFile opens a published file of test vectors.
func vectorFile(t *testing.T, name string) *os.File {
	t.Helper()
	dir := os.Getenv("STRONGROOM_VECTORS")
	if dir == "" {
		t.Skip("STRONGROOM_VECTORS is not set; it names the folder of published test vectors")
	}
	f, err := os.Open(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func TestBIP340Vectors(t *testing.T) {
	t.Parallel()
	rows, err := csv.NewReader(vectorFile(t, "bip/bip-0340-test-vectors.csv")).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(rows)-1, 19; got != want {
		t.Fatalf("read %d vectors, %d were published", got, want)
	}
	for _, row := range rows[1:] {
		index, key, msg, sig, want, comment := row[0], row[2], row[4], row[5], row[6] == "TRUE", row[7]
		t.Run(index, func(t *testing.T) {
			t.Parallel()
			got := VerifyBIP340([XOnlySize]byte(unhex(t, key)), unhex(t, msg), [SignatureSize]byte(unhex(t, sig)))
			if got != want {
				t.Errorf("got %v, want %v (%s)", got, want, comment)
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
