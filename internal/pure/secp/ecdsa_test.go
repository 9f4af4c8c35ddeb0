// SPDX-License-Identifier: Apache-2.0

package secp

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/ecdsa"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
	"pgregory.net/rapid"

	"strongroom/internal/lawtest"
)

// wycheproofECDSA is a file of ECDSA cases.
type wycheproofECDSA struct {
	NumberOfTests int
	TestGroups    []struct {
		PublicKey struct{ Uncompressed string }
		Tests     []struct {
			TcID    int `json:"tcId"`
			Comment string
			Msg     string
			Sig     string
			Result  string
		}
	}
}

// negateS returns the signature with n-s.
func negateS(sig [SignatureSize]byte) [SignatureSize]byte {
	s := new(big.Int).SetBytes(sig[32:])
	s.Sub(btcec.S256().N, s).FillBytes(sig[32:])
	return sig
}

// The P1363 file has r || s with s high or low: a high one must be refused, and then its low twin must verify.
func TestWycheproofP1363(t *testing.T) {
	t.Parallel()
	var file wycheproofECDSA
	loadWycheproof(t, "ecdsa_secp256k1_sha256_p1363_test.json", &file)
	valid, invalid, high, misfit := 0, 0, 0, 0
	for _, g := range file.TestGroups {
		pub, err := ParseUncompressed(unhex(t, g.PublicKey.Uncompressed))
		if err != nil {
			t.Fatal(err)
		}
		for _, tc := range g.Tests {
			raw := unhex(t, tc.Sig)
			if len(raw) != SignatureSize {
				misfit++
				if tc.Result != "invalid" {
					t.Errorf("case %d has %d bytes and is %s", tc.TcID, len(raw), tc.Result)
				}
				continue
			}
			sig, digest := [SignatureSize]byte(raw), sha256.Sum256(unhex(t, tc.Msg))
			if errors.Is(CheckSignature(sig), ErrHighS) {
				high++
				if VerifyECDSA(pub, digest, sig) {
					t.Errorf("case %d (%s): accepted a high s", tc.TcID, tc.Comment)
				}
				sig = negateS(sig)
			}
			got, want := VerifyECDSA(pub, digest, sig), tc.Result == "valid"
			if got != want {
				t.Errorf("case %d (%s): got %v, want %s", tc.TcID, tc.Comment, got, tc.Result)
			}
			if want {
				valid++
				checkRecovery(t, pub, digest, sig)
			} else {
				invalid++
			}
		}
	}
	if file.NumberOfTests != 252 || valid != 167 || invalid != 67 || misfit != 18 || high != 80 {
		t.Errorf("read %d: %d valid, %d invalid, %d of another size, %d with high s", file.NumberOfTests, valid, invalid, misfit, high)
	}
}

// The Bitcoin file demands a low s. DER is unpacked here; what isn't strict DER of two 32-byte integers must be invalid.
func TestWycheproofBitcoin(t *testing.T) {
	t.Parallel()
	var file wycheproofECDSA
	loadWycheproof(t, "ecdsa_secp256k1_sha256_bitcoin_test.json", &file)
	valid, invalid, misfit := 0, 0, 0
	for _, g := range file.TestGroups {
		pub, err := ParseUncompressed(unhex(t, g.PublicKey.Uncompressed))
		if err != nil {
			t.Fatal(err)
		}
		for _, tc := range g.Tests {
			sig, ok := fromDER(unhex(t, tc.Sig))
			switch {
			case !ok:
				misfit++
				if tc.Result != "invalid" {
					t.Errorf("case %d (%s) is %s and didn't unpack", tc.TcID, tc.Comment, tc.Result)
				}
				continue
			case tc.Result == "valid":
				valid++
			default:
				invalid++
			}
			got := VerifyECDSA(pub, sha256.Sum256(unhex(t, tc.Msg)), sig)
			if got != (tc.Result == "valid") {
				t.Errorf("case %d (%s): got %v, want %s", tc.TcID, tc.Comment, got, tc.Result)
			}
		}
	}
	if file.NumberOfTests != 463 || valid != 162 || invalid != 69 || misfit != 232 {
		t.Errorf("read %d: %d valid, %d invalid, %d not DER", file.NumberOfTests, valid, invalid, misfit)
	}
}

func fromDER(der []byte) (sig [SignatureSize]byte, ok bool) {
	var inner cryptobyte.String
	var r, s []byte
	in := cryptobyte.String(der)
	if !in.ReadASN1(&inner, asn1.SEQUENCE) || !in.Empty() ||
		!inner.ReadASN1Integer(&r) || !inner.ReadASN1Integer(&s) || !inner.Empty() || len(r) > 32 || len(s) > 32 {
		return sig, false
	}
	copy(sig[32-len(r):], r)
	copy(sig[64-len(s):], s)
	return sig, true
}

// checkRecovery requires that the recovery id leads back to the key, and that no other id does.
func checkRecovery(t rapid.TB, pub PublicKey, digest [32]byte, sig [SignatureSize]byte) {
	t.Helper()
	id, err := RecoverID(pub, digest, sig)
	if err != nil {
		t.Fatalf("recovery id: %v", err)
	}
	for try := range byte(4) {
		k, err := RecoverPublicKey(digest, sig, try)
		if got, want := err == nil && k == pub, try == id; got != want {
			t.Fatalf("id %d: recovered %v (%v), the id is %d", try, k, err, id)
		}
	}
}

func TestVerifyAgreesWithOracle(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		priv, digest := drawKey(t), draw32(t, "digest")
		compact := ecdsa.SignCompact(priv, digest[:], true)
		sig := [SignatureSize]byte(compact[1:])
		pub := ours(t, priv.PubKey())
		id, err := RecoverID(pub, digest, sig)
		if err != nil {
			t.Fatalf("a signature of the oracle: %v", err)
		}
		if want := compact[0] - 27 - 4; id != want {
			t.Fatalf("recovery id: got %d, want %d", id, want)
		}
		checkRecovery(t, pub, digest, sig)
		if VerifyECDSA(pub, digest, negateS(sig)) {
			t.Fatal("accepted a high s")
		}

		// One flipped bit in signature, digest or key: no signature any more.
		bit := rapid.IntRange(0, 511).Draw(t, "bit")
		bad := sig
		bad[bit/8] ^= 1 << (bit % 8)
		if VerifyECDSA(pub, digest, bad) {
			t.Fatalf("accepted a signature with bit %d flipped", bit)
		}
		other := digest
		other[bit/16] ^= 1 << (bit % 8)
		if VerifyECDSA(pub, other, sig) {
			t.Fatal("accepted another digest")
		}
		stranger, err := pub.TweakAdd([32]byte{31: 1})
		if err != nil {
			t.Fatal(err)
		}
		if VerifyECDSA(stranger, digest, sig) || VerifyECDSA(PublicKey{}, digest, sig) {
			t.Fatal("accepted another key")
		}
	})
}

// Any r that is an x-coordinate of the curve and any s give a key. With r below p-n the ids 2 and 3 exist too.
func TestRecoveryAgreesWithOracle(t *testing.T) {
	t.Parallel()
	found := lawtest.Counts{}
	lawtest.Check(t, found.Want(1, "id 0", "id 1", "id 2", "id 3"), func(t *rapid.T) {
		digest := draw32(t, "digest")
		var sig [SignatureSize]byte
		copy(sig[32:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "s"))
		sig[32] &= 0x3f
		sig[63] |= 1
		id := rapid.ByteRange(0, 3).Draw(t, "id")
		size := 32
		if id >= 2 {
			size = 15
		}
		copy(sig[32-size:], rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "r"))
		got, err := RecoverPublicKey(digest, sig, id)
		want, _, oracleErr := ecdsa.RecoverCompact(append([]byte{27 + 4 + id}, sig[:]...), digest[:])
		if (err == nil) != (oracleErr == nil) {
			t.Fatalf("id %d, %x: ours %v, oracle %v", id, sig, err, oracleErr)
		}
		if err != nil {
			return
		}
		found[fmt.Sprint("id ", id)]++
		if got != ours(t, want) {
			t.Fatalf("got %s, want %x", got, want.SerializeCompressed())
		}
		if back, err := RecoverID(got, digest, sig); err != nil || back != id {
			t.Fatalf("id: got %d, %v; want %d", back, err, id)
		}
	})
}

func TestSignatureRefusals(t *testing.T) {
	t.Parallel()
	const (
		zero     = "0000000000000000000000000000000000000000000000000000000000000000"
		one      = "0000000000000000000000000000000000000000000000000000000000000001"
		order    = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"
		half     = "7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0"
		halfMore = "7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a1"
		most     = "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
	)
	pub, err := ParsePublicKey(unhex(t, "02"+generatorX))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, r, s string
		want       error
	}{
		{"r is zero", zero, one, ErrSignatureRange},
		{"s is zero", one, zero, ErrSignatureRange},
		{"r is the order", order, one, ErrSignatureRange},
		{"s is the order", one, order, ErrSignatureRange},
		{"r is 2^256-1", most, one, ErrSignatureRange},
		{"s is 2^256-1", one, most, ErrSignatureRange},
		{"s is just high", one, halfMore, ErrHighS},
		{"s is the highest low one", one, half, nil},
		{"smallest", one, one, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			sig := [SignatureSize]byte(unhex(t, tc.r+tc.s))
			if err := CheckSignature(sig); !errors.Is(err, tc.want) {
				t.Errorf("check: got %v, want %v", err, tc.want)
			}
			want := tc.want
			if want == nil {
				want = ErrSignature // in range, and not a signature by the generator's key
			}
			if _, err := RecoverID(pub, [32]byte{1}, sig); !errors.Is(err, want) {
				t.Errorf("recovery id: got %v, want %v", err, want)
			}
			if _, err := RecoverPublicKey([32]byte{1}, sig, 0); tc.want != nil && !errors.Is(err, tc.want) {
				t.Errorf("recover: got %v, want %v", err, tc.want)
			}
		})
	}
}

func TestRecoverPublicKeyRefusals(t *testing.T) {
	t.Parallel()
	// 5 is no x-coordinate of the curve, 1 is; p-n is the first r that has no ids 2 and 3.
	const s = "0000000000000000000000000000000000000000000000000000000000000001"
	for _, tc := range []struct {
		name, r string
		id      byte
		want    error
	}{
		{"id 4", "0000000000000000000000000000000000000000000000000000000000000001", 4, ErrRecoveryID},
		{"id 255", "0000000000000000000000000000000000000000000000000000000000000001", 255, ErrRecoveryID},
		{"no point", "0000000000000000000000000000000000000000000000000000000000000005", 0, ErrRecoveryID},
		{"r is p-n", "000000000000000000000000000000014551231950b75fc4402da1722fc9baee", 2, ErrRecoveryID},
		{"r is far above p-n", "7000000000000000000000000000000000000000000000000000000000000000", 3, ErrRecoveryID},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if k, err := RecoverPublicKey([32]byte{1}, [SignatureSize]byte(unhex(t, tc.r+s)), tc.id); !errors.Is(err, tc.want) {
				t.Errorf("got %v, %v; want %v", k, err, tc.want)
			}
		})
	}
	// The digest 1 with r = G.x, s = 1 and R = G: Q = (1/r)·(s·R - e·G) is infinity.
	sig := [SignatureSize]byte(unhex(t, generatorX+s))
	if k, err := RecoverPublicKey([32]byte{31: 1}, sig, 0); !errors.Is(err, ErrKeyInfinity) {
		t.Errorf("infinity: got %v, %v", k, err)
	}
}

// Taken for a point, the zero key would be infinity: then R = (e/s)·G for everybody, and r = G.x with s = e would verify.
func TestVerifyRefusesZeroKey(t *testing.T) {
	t.Parallel()
	digest := [32]byte{31: 5}
	sig := [SignatureSize]byte(unhex(t, generatorX+hex.EncodeToString(digest[:])))
	if _, err := RecoverID(PublicKey{}, digest, sig); !errors.Is(err, ErrSignature) {
		t.Errorf("got %v, want %v", err, ErrSignature)
	}
}

// The same infinity on the verifying side: u1·G + u2·Q = 0 must not verify.
func TestVerifyRefusesInfinity(t *testing.T) {
	t.Parallel()
	g, err := ParsePublicKey(unhex(t, "02"+generatorX))
	if err != nil {
		t.Fatal(err)
	}
	// e = -r mod n, so that e/s + r/s = 0 for Q = G.
	r := new(big.Int).SetBytes(unhex(t, generatorX))
	var digest [32]byte
	new(big.Int).Sub(btcec.S256().N, r).FillBytes(digest[:])
	sig := [SignatureSize]byte(unhex(t, generatorX+"0000000000000000000000000000000000000000000000000000000000000001"))
	if _, err := RecoverID(g, digest, sig); !errors.Is(err, ErrSignature) {
		t.Errorf("got %v, want %v", err, ErrSignature)
	}
}

// Law: whatever verifies here verifies in the oracle and recovers to the key; whatever the oracle verifies with a low s
// verifies here.
func FuzzVerifyECDSA(f *testing.F) {
	priv, _ := btcec.PrivKeyFromBytes(bytes.Repeat([]byte{7}, 32))
	digest := sha256.Sum256([]byte("seed"))
	f.Add(priv.PubKey().SerializeCompressed(), digest[:], ecdsa.SignCompact(priv, digest[:], true)[1:])
	f.Fuzz(func(t *testing.T, key, hash, raw []byte) {
		pub, err := ParsePublicKey(key)
		if err != nil || len(hash) != 32 || len(raw) != SignatureSize {
			return
		}
		digest, sig := [32]byte(hash), [SignatureSize]byte(raw)
		oracleKey, err := btcec.ParsePubKey(key)
		if err != nil {
			t.Fatal(err)
		}
		var r, s btcec.ModNScalar
		fits := !r.SetByteSlice(raw[:32]) && !s.SetByteSlice(raw[32:]) && !s.IsOverHalfOrder()
		want := fits && ecdsa.NewSignature(&r, &s).Verify(hash, oracleKey)
		if got := VerifyECDSA(pub, digest, sig); got != want {
			t.Fatalf("got %v, want %v for %s", got, want, hex.EncodeToString(raw))
		}
		if want {
			checkRecovery(t, pub, digest, sig)
		}
	})
}
