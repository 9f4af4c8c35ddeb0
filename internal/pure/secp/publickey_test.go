// SPDX-License-Identifier: Apache-2.0

package secp

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/c2sp/wycheproof"
	"pgregory.net/rapid"
)

// The generator of the group, SEC 2 section 2.4.1.
const (
	generatorX = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
	generatorY = "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatalf("test data: %v", err)
	}
	return b
}

// drawKey draws a private key of the oracle.
func drawKey(t *rapid.T) *btcec.PrivateKey {
	b := rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key")
	b[0] &= 0x7f // below the order
	b[31] |= 1   // not zero
	priv, _ := btcec.PrivKeyFromBytes(b)
	return priv
}

func draw32(t *rapid.T, label string) [32]byte {
	return [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, label))
}

// ours parses a key of the oracle.
func ours(t rapid.TB, k *btcec.PublicKey) PublicKey {
	t.Helper()
	pub, err := ParsePublicKey(k.SerializeCompressed())
	if err != nil {
		t.Fatalf("parse a key of the oracle: %v", err)
	}
	return pub
}

func TestGenerator(t *testing.T) {
	t.Parallel()
	k, err := ParsePublicKey(unhex(t, "02"+generatorX))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := k.String(), "02"+generatorX; got != want {
		t.Errorf("compressed: got %s, want %s", got, want)
	}
	if got, want := k.Uncompressed(), unhex(t, "04"+generatorX+generatorY); !bytes.Equal(got[:], want) {
		t.Errorf("uncompressed: got %x, want %x", got, want)
	}
	if got, want := k.XOnly(), unhex(t, generatorX); !bytes.Equal(got[:], want) {
		t.Errorf("x-only: got %x, want %x", got, want)
	}
	if k.HasOddY() || k.IsZero() {
		t.Error("the generator has even y and is a key")
	}
	odd, err := ParsePublicKey(unhex(t, "03"+generatorX))
	if err != nil {
		t.Fatal(err)
	}
	if !odd.HasOddY() || odd == k {
		t.Error("03 must give the other point")
	}
	if lifted, err := LiftX(odd.XOnly()); err != nil || lifted != k {
		t.Errorf("lift_x: got %v, %v; want the point with even y", lifted, err)
	}
}

func TestPublicKeyRefusals(t *testing.T) {
	t.Parallel()
	const prime = "fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f"
	const noPoint = "0000000000000000000000000000000000000000000000000000000000000007" // BIP-32 test vector 5
	for _, tc := range []struct {
		name, key string
		want      error
	}{
		{"empty", "", ErrKeySize},
		{"compressed, one byte short", "02" + generatorX[2:], ErrKeySize},
		{"compressed, one byte more", "02" + generatorX + "00", ErrKeySize},
		{"uncompressed given as compressed", "04" + generatorX + generatorY, ErrKeySize},
		{"x-only", generatorX, ErrKeySize},
		{"prefix 00", "00" + generatorX, ErrKeyPrefix},
		{"prefix 04", "04" + generatorX, ErrKeyPrefix},
		{"prefix 05", "05" + generatorX, ErrKeyPrefix},
		{"x is the prime", "02" + prime, ErrKeyRange},
		{"x is 2^256-1", "03" + strings.Repeat("ff", 32), ErrKeyRange},
		{"x without a point", "02" + noPoint, ErrKeyOffCurve},
		{"x is zero", "02" + strings.Repeat("00", 32), ErrKeyOffCurve},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if k, err := ParsePublicKey(unhex(t, tc.key)); !errors.Is(err, tc.want) || !k.IsZero() {
				t.Errorf("got %v, %v; want %v", k, err, tc.want)
			}
		})
	}
	for _, tc := range []struct {
		name, key string
		want      error
	}{
		{"empty", "", ErrKeySize},
		{"compressed", "02" + generatorX, ErrKeySize},
		{"one byte more", "04" + generatorX + generatorY + "00", ErrKeySize},
		{"hybrid 06", "06" + generatorX + generatorY, ErrKeyPrefix},
		{"hybrid 07", "07" + generatorX + generatorY, ErrKeyPrefix},
		{"y is the prime", "04" + generatorX + prime, ErrKeyRange},
		{"x is the prime", "04" + prime + generatorY, ErrKeyRange},
		{"wrong y", "04" + generatorX + generatorX, ErrKeyOffCurve},
		{"x without a point", "04" + noPoint + generatorY, ErrKeyOffCurve},
		{"zero", "04" + strings.Repeat("00", 64), ErrKeyOffCurve},
	} {
		t.Run("uncompressed/"+tc.name, func(t *testing.T) {
			t.Parallel()
			if k, err := ParseUncompressed(unhex(t, tc.key)); !errors.Is(err, tc.want) || !k.IsZero() {
				t.Errorf("got %v, %v; want %v", k, err, tc.want)
			}
		})
	}
}

func TestZeroKeyIsNoKey(t *testing.T) {
	t.Parallel()
	var k PublicKey
	c, u := k.Compressed(), k.Uncompressed()
	if _, err := ParsePublicKey(c[:]); err == nil {
		t.Error("the zero key's compressed form was accepted")
	}
	if _, err := ParseUncompressed(u[:]); err == nil {
		t.Error("the zero key's uncompressed form was accepted")
	}
	if _, err := k.TweakAdd([32]byte{31: 1}); !errors.Is(err, ErrKeyOffCurve) {
		t.Errorf("tweak of the zero key: got %v", err)
	}
}

func TestPublicKeyFormsAgreeWithOracle(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := drawKey(t).PubKey()
		k := ours(t, want)
		c, u := k.Compressed(), k.Uncompressed()
		if !bytes.Equal(c[:], want.SerializeCompressed()) || !bytes.Equal(u[:], want.SerializeUncompressed()) {
			t.Fatalf("got %x and %x", c, u)
		}
		if again, err := ParseUncompressed(u[:]); err != nil || again != k {
			t.Fatalf("uncompressed round trip: %v, %v", again, err)
		}
	})
}

func TestTweakAdd(t *testing.T) {
	t.Parallel()
	g, err := ParsePublicKey(unhex(t, "02"+generatorX))
	if err != nil {
		t.Fatal(err)
	}
	const order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"
	const orderMinusOne = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140"
	for _, tc := range []struct {
		name, tweak, want string
		err               error
	}{
		{"0", strings.Repeat("00", 32), "02" + generatorX, nil},
		{"1 doubles", strings.Repeat("00", 31) + "01", "02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5", nil},
		{"n-1 cancels", orderMinusOne, "", ErrKeyInfinity},
		{"n", order, "", ErrTweak},
		{"2^256-1", strings.Repeat("ff", 32), "", ErrTweak},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := g.TweakAdd([32]byte(unhex(t, tc.tweak)))
			if !errors.Is(err, tc.err) {
				t.Fatalf("got error %v, want %v", err, tc.err)
			}
			if err == nil && got.String() != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

// The taproot tweak of BIP-341 is lift_x, tagged hash and TweakAdd; txscript is the second opinion.
func TestTaprootTweakAgreesWithOracle(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		internal := drawKey(t).PubKey()
		root := rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "root")
		want := txscript.ComputeTaprootOutputKey(internal, root)
		x := ours(t, internal).XOnly()
		p, err := LiftX(x)
		if err != nil {
			t.Fatal(err)
		}
		q, err := p.TweakAdd(TaggedHash("TapTweak", x[:], root))
		if err != nil {
			t.Fatal(err)
		}
		if q != ours(t, want) {
			t.Fatalf("got %s, want %x", q, want.SerializeCompressed())
		}
	})
}

// Wycheproof's ECDH file carries the invalid-curve attacks: points off the curve in an otherwise right key.
func TestWycheproofPoints(t *testing.T) {
	t.Parallel()
	var file struct {
		TestGroups []struct {
			Tests []struct {
				TcID   int `json:"tcId"`
				Flags  []string
				Public string
				Result string
			}
		}
	}
	loadWycheproof(t, "ecdh_secp256k1_test.json", &file)
	header := unhex(t, "3056301006072a8648ce3d020106052b8104000a034200") // SubjectPublicKeyInfo of an uncompressed key
	valid, attacks := 0, 0
	for _, g := range file.TestGroups {
		for _, tc := range g.Tests {
			point, ok := bytes.CutPrefix(unhex(t, tc.Public), header)
			if !ok {
				continue
			}
			_, err := ParseUncompressed(point)
			switch {
			case tc.Result == "valid":
				valid++
				if err != nil {
					t.Errorf("case %d: %v", tc.TcID, err)
				}
			case len(tc.Flags) == 1 && tc.Flags[0] == "InvalidCurveAttack":
				attacks++
				if err == nil {
					t.Errorf("case %d: accepted a point of another curve", tc.TcID)
				}
			}
		}
	}
	if valid < 473 || attacks < 16 {
		t.Errorf("read %d valid points and %d attacks, want at least 473 and 16", valid, attacks)
	}
}

// loadWycheproof reads one file of the module that carries the vectors.
func loadWycheproof(t *testing.T, name string, into any) {
	t.Helper()
	b, err := fs.ReadFile(wycheproof.TestVectors, name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatal(err)
	}
}

func FuzzParsePublicKey(f *testing.F) {
	f.Add(unhex(f, "02"+generatorX))
	f.Add(unhex(f, "04"+generatorX+generatorY))
	f.Add(unhex(f, "06"+generatorX+generatorY))
	f.Fuzz(func(t *testing.T, b []byte) {
		want, oracleErr := btcec.ParsePubKey(b)
		k, err := ParsePublicKey(b)
		if len(b) == UncompressedSize {
			k, err = ParseUncompressed(b)
			if b[0] == 6 || b[0] == 7 {
				if err == nil {
					t.Fatalf("accepted the hybrid key %x", b)
				}
				return
			}
		}
		if (err == nil) != (oracleErr == nil) {
			t.Fatalf("%x: ours %v, oracle %v", b, err, oracleErr)
		}
		if err == nil && k != ours(t, want) {
			t.Fatalf("%x: got %s", b, k)
		}
	})
}
