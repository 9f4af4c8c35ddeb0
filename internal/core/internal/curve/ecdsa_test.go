// SPDX-License-Identifier: Apache-2.0

package curve

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"math/big"
	"testing"

	"github.com/c2sp/wycheproof"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
	"pgregory.net/rapid"
)

// The secp256k1 vectors for RFC 6979 with SHA-256 that implementations have shared since 2013 (low s).
func TestRFC6979Vectors(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ sk, msg, sig string }{
		{one, "Satoshi Nakamoto",
			"934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8" +
				"2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5"},
		{one, "All those moments will be lost in time, like tears in rain. Time to die...",
			"8600dbd41e348fe5c9465ab92d23e3db8b98b873beecd930736488696438cb6b" +
				"547fe64427496db33bf66019dacbf0039c04199abb0122918601db38a72cfc21"},
		{orderLess, "Satoshi Nakamoto",
			"fd567d121db66e382991534ada77a6bd3106f0a1098c231e47993447cd6af2d0" +
				"6b39cd0eb1bc8603e159ef5c20a5c8ad685a45b06ce9bebed3f153d10d93bed5"},
		{"f8b8af8ce3c7cca5e300d33939540c10d45ce001b8f252bfbc57ba0342904181", "Alan Turing",
			"7063ae83e7f62bbb171798131b4a0564b956930092b33b07b395615d9ec7e15c" +
				"58dfcc1e00a35e1572f366ffe34ba0fc47db1e7189759b9fb233c5b05ab388ea"},
		{"e91671c46231f833a6406ccbea0e3e392c76c167bac1cb013f6f1013980455c2",
			"There is a computer disease that anybody who works with computers knows about. It's a very serious disease and it interferes " +
				"completely with the work. The trouble with computers is that you 'play' with them!",
			"b552edd27580141f3b2a5463048cb7cd3e047b97c9f98076c32dbdf85a68718b" +
				"279fa72dd19bfae05577e06c7c0c1900c371fcd5893f7e1d56a37d30174671f6"},
	} {
		k := keyOf(t, unhex(t, tc.sk))
		digest := sha256.Sum256([]byte(tc.msg))
		sig, _, err := k.backend.signECDSA(k.sk, &k.pub, &digest, nil)
		if err != nil || hex.EncodeToString(sig[:]) != tc.sig {
			t.Errorf("%q: got %x, %v; want %s", tc.msg, sig, err, tc.sig)
		}
	}
}

func drawKey(t *rapid.T, b *Backend) ([]byte, [33]byte) {
	sk := rapid.Custom(func(t *rapid.T) []byte {
		return rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "bytes")
	}).Filter(func(sk []byte) bool {
		_, err := b.PublicKey(sk)
		return err == nil
	}).Draw(t, "sk")
	pub, err := b.PublicKey(sk)
	if err != nil {
		t.Fatal(err)
	}
	return sk, pub
}

func draw32(t *rapid.T, name string) [32]byte {
	return [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, name))
}

// TestECDSAAgreesWithDecred signs without additional data and requires decred's bytes, recovery id included; and with it, where decred gives
// the nonce and thereby r.
func TestECDSAAgreesWithDecred(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	rapid.Check(t, func(t *rapid.T) {
		sk, pub := drawKey(t, b)
		digest, aux := draw32(t, "digest"), draw32(t, "aux")
		oracle := secp256k1.PrivKeyFromBytes(sk)
		if !bytes.Equal(oracle.PubKey().SerializeCompressed(), pub[:]) {
			t.Fatalf("public key %x", pub)
		}

		sig, recid, err := b.signECDSA(sk, &pub, &digest, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := ecdsa.SignCompact(oracle, digest[:], true) // 27 + recid + 4 for a compressed key, r, s
		if got := append([]byte{31 + recid}, sig[:]...); !bytes.Equal(got, want) {
			t.Fatalf("got %x, want %x", got, want)
		}

		hedged, recid, err := b.SignECDSA(sk, pub, digest, aux)
		if err != nil {
			t.Fatal(err)
		}
		again, _, err := b.SignECDSA(sk, pub, digest, aux)
		if err != nil || again != hedged {
			t.Fatalf("not deterministic: %x, %x, %v", hedged, again, err)
		}
		if hedged == sig {
			t.Fatal("the additional data changed nothing")
		}
		var point secp256k1.JacobianPoint
		secp256k1.ScalarBaseMultNonConst(secp256k1.NonceRFC6979(sk, digest[:], aux[:], nil, 0), &point)
		point.ToAffine()
		x := point.X.Bytes()
		if new(big.Int).Mod(new(big.Int).SetBytes(x[:]), secp256k1.S256().N).Cmp(new(big.Int).SetBytes(hedged[:32])) != 0 {
			t.Fatalf("r = %x, want %x", hedged[:32], x)
		}
		by, _, err := ecdsa.RecoverCompact(append([]byte{31 + recid}, hedged[:]...), digest[:])
		if err != nil || !by.IsEqual(oracle.PubKey()) {
			t.Fatalf("recovery gives %v, %v", by, err)
		}
	})
}

// TestECDSAVerify checks good and spoiled signatures against decred's verdict, but for high s, which we refuse and decred accepts.
func TestECDSAVerify(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	rapid.Check(t, func(t *rapid.T) {
		sk, pub := drawKey(t, b)
		digest, aux := draw32(t, "digest"), draw32(t, "aux")
		sig, _, err := b.SignECDSA(sk, pub, digest, aux)
		if err != nil {
			t.Fatal(err)
		}
		if !b.VerifyECDSA(pub, digest, sig) {
			t.Fatal("refused a good signature")
		}
		var s secp256k1.ModNScalar
		s.SetByteSlice(sig[32:])
		if s.IsOverHalfOrder() {
			t.Fatal("made a high s")
		}
		high := sig
		s.Negate().PutBytesUnchecked(high[32:])
		if b.VerifyECDSA(pub, digest, high) {
			t.Fatal("accepted a high s")
		}
		bit := rapid.IntRange(0, 64*8-1).Draw(t, "bit")
		sig[bit/8] ^= 1 << (bit % 8)
		if b.VerifyECDSA(pub, digest, sig) {
			t.Fatal("accepted a spoiled signature")
		}
		sig[bit/8] ^= 1 << (bit % 8)
		digest[bit/8%32] ^= 1
		if b.VerifyECDSA(pub, digest, sig) {
			t.Fatal("accepted another digest")
		}
	})
}

type wycheproofFile struct {
	NumberOfTests int `json:"numberOfTests"`
	TestGroups    []struct {
		PublicKey struct {
			Uncompressed string `json:"uncompressed"`
		} `json:"publicKey"`
		SHA   string `json:"sha"`
		Tests []struct {
			TcID    int    `json:"tcId"`
			Comment string `json:"comment"`
			Msg     string `json:"msg"`
			Sig     string `json:"sig"`
			Result  string `json:"result"`
		} `json:"tests"`
	} `json:"testGroups"`
}

// TestWycheproof: 463 Bitcoin (DER, low s) and 252 fixed-length cases. What no 64 bytes can say (other DER, other lengths) counts as refused.
// The fixed-length file calls a high s valid, which we refuse: there the case with the s negated must verify.
func TestWycheproof(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	for name, tc := range map[string]struct {
		number int
		parse  func([]byte) ([64]byte, bool)
		high   bool
	}{
		"ecdsa_secp256k1_sha256_bitcoin_test.json": {463, fromDER, false},
		"ecdsa_secp256k1_sha256_p1363_test.json":   {252, from64, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw, err := fs.ReadFile(wycheproof.TestVectors, name)
			if err != nil {
				t.Fatal(err)
			}
			var file wycheproofFile
			if err := json.Unmarshal(raw, &file); err != nil {
				t.Fatal(err)
			}
			n, valid := 0, 0
			for _, group := range file.TestGroups {
				if group.SHA != "SHA-256" {
					t.Fatalf("hash %s", group.SHA)
				}
				point := unhex(t, group.PublicKey.Uncompressed)
				pub := [33]byte(append([]byte{2 + point[64]&1}, point[1:33]...))
				for _, v := range group.Tests {
					n++
					sig, ok := tc.parse(unhex(t, v.Sig))
					if ok && tc.high && v.Result == "valid" {
						var s secp256k1.ModNScalar
						s.SetByteSlice(sig[32:])
						if s.IsOverHalfOrder() {
							if b.VerifyECDSA(pub, sha256.Sum256(unhex(t, v.Msg)), sig) {
								t.Errorf("%d %s: accepted a high s", v.TcID, v.Comment)
							}
							s.Negate().PutBytesUnchecked(sig[32:])
						}
					}
					got := ok && b.VerifyECDSA(pub, sha256.Sum256(unhex(t, v.Msg)), sig)
					if got != (v.Result == "valid") {
						t.Errorf("%d %s: got %v, want %s", v.TcID, v.Comment, got, v.Result)
					}
					if got {
						valid++
					}
				}
			}
			if n != tc.number || n != file.NumberOfTests || valid == 0 {
				t.Errorf("ran %d cases, %d valid; the file says %d, want %d", n, valid, file.NumberOfTests, tc.number)
			}
		})
	}
}

func from64(sig []byte) ([64]byte, bool) {
	if len(sig) != 64 {
		return [64]byte{}, false
	}
	return [64]byte(sig), true
}

// fromDER reads SEQUENCE { INTEGER r, INTEGER s } strictly.
func fromDER(der []byte) (sig [64]byte, ok bool) {
	in := cryptobyte.String(der)
	var seq cryptobyte.String
	var r, s []byte
	if !in.ReadASN1(&seq, asn1.SEQUENCE) || !in.Empty() || !seq.ReadASN1Integer(&r) || !seq.ReadASN1Integer(&s) || !seq.Empty() || len(r) > 32 || len(s) > 32 {
		return sig, false
	}
	copy(sig[32-len(r):], r)
	copy(sig[64-len(s):], s)
	return sig, true
}
