// SPDX-License-Identifier: Apache-2.0

package algorithm

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"slices"
	"testing"

	"github.com/c2sp/wycheproof"

	described "strongroom/internal/pure/algorithm"
	"strongroom/internal/secret"
	"strongroom/internal/secret/secrettest"
)

// digits is a byte string in hexadecimal.
type digits []byte

func (d *digits) UnmarshalText(b []byte) error {
	out, err := hex.DecodeString(string(b))
	*d = out
	return err
}

// suite is a file of Wycheproof, with the members of all that are read here.
type suite struct {
	NumberOfTests int
	TestGroups    []group
}

type group struct {
	KeySize, IvSize, TagSize int
	PublicKey                json.RawMessage
	PrivateKey               json.RawMessage
	PrivateSeed              digits
	Sha                      string
	Tests                    []vector
}

type vector struct {
	TcID                                         int
	Comment, Result                              string
	Msg, Sig, Ct, Iv, Aad, Tag, Key, Label       digits
	Public, Private, Shared, Seed, Ek, C, K, Ctx digits
	Rnd                                          digits
	Flags                                        []string
}

func read(t *testing.T, name string) suite {
	t.Helper()
	raw, err := fs.ReadFile(wycheproof.TestVectors, name+"_test.json")
	if err != nil {
		t.Fatal(err)
	}
	var s suite
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// pick reads a member of a group's public or private key.
func pick(t *testing.T, raw json.RawMessage, member string) []byte {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	s, ok := m[member].(string)
	if !ok {
		t.Fatalf("no member %s", member)
	}
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// plain reads a public key that stands as digits alone.
func plain(t *testing.T, raw json.RawMessage) []byte {
	t.Helper()
	var d digits
	if err := json.Unmarshal(raw, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func identity(b []byte) []byte { return b }

func sum256(b []byte) []byte { s := sha256.Sum256(b); return s[:] }
func sum384(b []byte) []byte { s := sha512.Sum384(b); return s[:] }
func sum512(b []byte) []byte { s := sha512.Sum512(b); return s[:] }

// TestWycheproofSignatures verifies published good and bad signatures.
func TestWycheproofSignatures(t *testing.T) {
	t.Parallel()
	table := newTable(t)
	uncompressed := func(t *testing.T, g group) []byte { return pick(t, g.PublicKey, "uncompressed") }
	pk := func(t *testing.T, g group) []byte { return pick(t, g.PublicKey, "pk") }
	modulus := func(t *testing.T, g group) []byte { return bytes.TrimLeft(pick(t, g.PublicKey, "modulus"), "\x00") }
	whole := func(t *testing.T, g group) []byte { return plain(t, g.PublicKey) }
	for _, tt := range []struct {
		file   string
		want   int
		m      Mechanism
		kind   Kind
		public func(*testing.T, group) []byte
		hash   func([]byte) []byte
	}{
		{"ecdsa_secp256r1_sha256_p1363", 262, described.ECDSAP256, described.KindP256, uncompressed, sum256},
		{"ecdsa_secp256r1_sha512_p1363", 322, described.ECDSAP256, described.KindP256, uncompressed, sum512},
		{"ecdsa_secp384r1_sha384_p1363", 280, described.ECDSAP384, described.KindP384, uncompressed, sum384},
		{"ecdsa_secp521r1_sha512_p1363", 318, described.ECDSAP521, described.KindP521, uncompressed, sum512},
		{"ed25519", 151, described.EdDSA, described.KindEd25519, pk, identity},
		{"bls_sig_g2_pop_verify", 26, described.BLS, described.KindBLS, pk, identity},
		{"rsa_signature_2048_sha256", 259, described.RSAPKCS1, described.KindRSA2048, modulus, identity},
		{"rsa_signature_3072_sha256", 259, described.RSAPKCS1, described.KindRSA3072, modulus, identity},
		{"rsa_signature_4096_sha256", 254, described.RSAPKCS1, described.KindRSA4096, modulus, identity},
		{"rsa_pss_2048_sha256_mgf1_32", 108, described.RSAPSS, described.KindRSA2048, modulus, identity},
		{"rsa_pss_3072_sha256_mgf1_32", 108, described.RSAPSS, described.KindRSA3072, modulus, identity},
		{"rsa_pss_4096_sha256_mgf1_32", 108, described.RSAPSS, described.KindRSA4096, modulus, identity},
		{"mldsa_44_verify", 180, described.MLDSA44, described.KindMLDSA44, whole, identity},
		{"mldsa_65_verify", 180, described.MLDSA65, described.KindMLDSA65, whole, identity},
		{"mldsa_87_verify", 180, described.MLDSA87, described.KindMLDSA87, whole, identity},
	} {
		t.Run(tt.file, func(t *testing.T) {
			t.Parallel()
			s := read(t, tt.file)
			n, valid := 0, 0
			for _, g := range s.TestGroups {
				public := tt.public(t, g)
				for _, v := range g.Tests {
					n++
					if len(v.Ctx) > 0 { // we sign with the empty context only
						if table.Verify(tt.kind, tt.m, public, v.Msg, v.Sig) {
							t.Errorf("%d %s: verifies without its context", v.TcID, v.Comment)
						}
						continue
					}
					got := table.Verify(tt.kind, tt.m, public, tt.hash(v.Msg), v.Sig)
					// Keys with another exponent than 65537 are none of ours.
					if want := v.Result == "valid" && !slices.Contains(v.Flags, "SmallPublicKey"); got != want && v.Result != "acceptable" {
						t.Errorf("%d %s %v: got %v, want %v", v.TcID, v.Comment, v.Flags, got, want)
					}
					if got {
						valid++
					}
				}
			}
			if n != s.NumberOfTests || n < tt.want || valid == 0 {
				t.Errorf("ran %d cases, %d valid; the file has %d, published %d", n, valid, s.NumberOfTests, tt.want)
			}
		})
	}
}

// TestWycheproofSigning makes the published deterministic signatures of ML-DSA from their seeds.
func TestWycheproofSigning(t *testing.T) {
	t.Parallel()
	table, a := newTable(t), secrettest.Arena(t)
	for name, m := range map[string]Mechanism{"mldsa_44": described.MLDSA44, "mldsa_65": described.MLDSA65, "mldsa_87": described.MLDSA87} {
		ran := 0
		for _, g := range read(t, name+"_sign_seed").TestGroups {
			if len(g.PrivateSeed) != 32 {
				continue
			}
			key := Key{Kind: Kind(m), Secret: take(t, a, g.PrivateSeed)}
			var err error
			if key.Public, err = table.Public(key.Kind, key.Secret); err != nil || !bytes.Equal(key.Public, plain(t, g.PublicKey)) {
				t.Fatalf("%s: public key: %v", name, err)
			}
			for _, v := range g.Tests {
				if v.Result != "valid" || len(v.Ctx) > 0 || len(v.Rnd) > 0 || slices.Contains(v.Flags, "Internal") {
					continue
				}
				if sig, err := table.Sign(key, m, v.Msg, new([32]byte)); err != nil || !bytes.Equal(sig, v.Sig) {
					t.Errorf("%s %d %s: another signature, %v", name, v.TcID, v.Comment, err)
				}
				ran++
			}
		}
		if ran < 20 {
			t.Errorf("%s: only %d signatures", name, ran)
		}
	}
}

// TestWycheproofSecretKeys runs the files in which a secret key stands in each test.
func TestWycheproofSecretKeys(t *testing.T) {
	t.Parallel()
	table := newTable(t)
	for _, tt := range []struct {
		file string
		want int // that fit our sizes
		run  func(*secret.Arena, group, vector) (skip, ok bool)
	}{
		{"aes_gcm", 60, func(a *secret.Arena, g group, v vector) (bool, bool) {
			if g.KeySize != 256 || g.IvSize != 96 || g.TagSize != 128 {
				return true, false
			}
			key, wipe := secretKey(a, described.KindAES256, v.Key)
			defer wipe()
			out, err := table.Decrypt(key, described.AESGCM, slices.Concat(v.Iv, v.Ct, v.Tag), v.Aad)
			return false, err == nil && bytes.Equal(out, v.Msg)
		}},
		{"aes_kwp", 80, func(a *secret.Arena, g group, v vector) (bool, bool) {
			if g.KeySize != 256 {
				return true, false
			}
			key, wipe := secretKey(a, described.KindAES256, v.Key)
			defer wipe()
			out, err := reveal(table.Unwrap(a, key, described.AESKeyWrap, v.Ct))
			return false, err == nil && bytes.Equal(out, v.Msg)
		}},
		{"hmac_sha256", 60, hmacCase(table, described.HMACSHA256)},
		{"hmac_sha384", 60, hmacCase(table, described.HMACSHA384)},
		{"hmac_sha512", 60, hmacCase(table, described.HMACSHA512)},
		{"mlkem_768", 190, kemCase(table, described.MLKEM768, 1184)},
		{"mlkem_1024", 190, kemCase(table, described.MLKEM1024, 1568)},
		{"x25519", 480, func(a *secret.Arena, _ group, v vector) (bool, bool) {
			if slices.Contains(v.Flags, "ZeroSharedSecret") {
				key, wipe := secretKey(a, described.KindX25519, v.Private)
				defer wipe()
				return true, wiped(table.Agree(a, key, described.X25519, v.Public)) != nil
			}
			key, wipe := secretKey(a, described.KindX25519, v.Private)
			defer wipe()
			out, err := reveal(table.Agree(a, key, described.X25519, v.Public))
			return false, err == nil && bytes.Equal(out, v.Shared)
		}},
		{"ecdh_secp256r1_ecpoint", 200, func(a *secret.Arena, _ group, v vector) (bool, bool) {
			if len(v.Public) > 0 && v.Public[0] != 4 { // compressed points: we take uncompressed ones
				return true, false
			}
			key, wipe := secretKey(a, described.KindP256, fixed(v.Private, 32))
			defer wipe()
			out, err := reveal(table.Agree(a, key, described.ECDHP256, v.Public))
			return false, err == nil && bytes.Equal(out, v.Shared)
		}},
	} {
		t.Run(tt.file, func(t *testing.T) {
			t.Parallel()
			a := secrettest.Arena(t)
			ran, valid := 0, 0
			for _, g := range read(t, tt.file).TestGroups {
				for _, v := range g.Tests {
					skip, ok := tt.run(a, g, v)
					if skip {
						continue
					}
					ran++
					if ok {
						valid++
					}
					if ok != (v.Result == "valid") && v.Result != "acceptable" {
						t.Errorf("%d %s %v: got %v, want %s", v.TcID, v.Comment, v.Flags, ok, v.Result)
					}
				}
			}
			if ran < tt.want || valid == 0 {
				t.Errorf("ran %d cases, %d valid, want %d", ran, valid, tt.want)
			}
		})
	}
}

// secretKey takes a key of a test; one of a wrong size is made anyway, to be refused.
func secretKey(a *secret.Arena, k Kind, b []byte) (Key, func()) {
	s, err := secret.Take(a, bytes.Clone(b))
	if err != nil {
		return Key{Kind: k}, func() {}
	}
	return Key{Kind: k, Secret: s}, s.Wipe
}

// fixed brings an integer to n bytes.
func fixed(b []byte, n int) []byte {
	b = bytes.TrimLeft(b, "\x00")
	if len(b) > n {
		return b
	}
	return append(make([]byte, n-len(b)), b...)
}

func hmacCase(table *Table, m Mechanism) func(*secret.Arena, group, vector) (bool, bool) {
	return func(a *secret.Arena, g group, v vector) (bool, bool) {
		r, _ := table.described.Find(m)
		if g.TagSize != 8*r.Makes || len(v.Key) < 32 || len(v.Key) > 64 {
			return true, false
		}
		key, wipe := secretKey(a, described.KindGeneric, v.Key)
		defer wipe()
		return false, table.VerifyMAC(key, m, v.Msg, v.Tag) == nil
	}
}

func kemCase(table *Table, m Mechanism, public int) func(*secret.Arena, group, vector) (bool, bool) {
	return func(a *secret.Arena, _ group, v vector) (bool, bool) {
		key, wipe := secretKey(a, Kind(m), v.Seed)
		defer wipe()
		pub, err := table.Public(key.Kind, key.Secret)
		if err != nil || len(v.Ek) == public && !bytes.Equal(pub, v.Ek) {
			return false, false
		}
		out, err := reveal(table.Decapsulate(a, key, m, v.C))
		return false, err == nil && bytes.Equal(out, v.K)
	}
}

// TestWycheproofEncapsulationKeys: public keys with coefficients out of range are refused (FIPS 203 section 7.2).
func TestWycheproofEncapsulationKeys(t *testing.T) {
	t.Parallel()
	table, a := newTable(t), secrettest.Arena(t)
	for name, m := range map[string]Mechanism{"mlkem_768_encaps": described.MLKEM768, "mlkem_1024_encaps": described.MLKEM1024} {
		bad := 0
		for _, g := range read(t, name).TestGroups {
			for _, v := range g.Tests {
				if v.Result == "invalid" {
					bad++
				}
				s, _, err := table.Encapsulate(a, m, v.Ek)
				s.Wipe()
				if (err == nil) != (v.Result == "valid") {
					t.Errorf("%s %d %s: got %v, want %s", name, v.TcID, v.Comment, err, v.Result)
				}
			}
		}
		if bad == 0 {
			t.Errorf("%s has no bad keys", name)
		}
	}
}

// TestWycheproofOAEP decrypts published good and bad ciphertexts.
func TestWycheproofOAEP(t *testing.T) {
	t.Parallel()
	table, a := newTable(t), secrettest.Arena(t)
	for name, kind := range map[string]Kind{"rsa_oaep_2048_sha256_mgf1sha256": described.KindRSA2048, "rsa_oaep_3072_sha256_mgf1sha256": described.KindRSA3072,
		"rsa_oaep_4096_sha256_mgf1sha256": described.KindRSA4096} {
		ran := 0
		for _, g := range read(t, name).TestGroups {
			half := g.KeySize / 16
			key := Key{Kind: kind, Secret: take(t, a, slices.Concat(fixed(pick(t, g.PrivateKey, "prime1"), half), fixed(pick(t, g.PrivateKey, "prime2"), half),
				fixed(pick(t, g.PrivateKey, "privateExponent"), 2*half)))}
			for _, v := range g.Tests {
				out, err := table.Decrypt(key, described.RSAOAEP, v.Ct, nil)
				want := v.Result == "valid" && len(v.Label) == 0 // we use no label
				if ok := err == nil && bytes.Equal(out, v.Msg); ok != want && v.Result != "acceptable" {
					t.Errorf("%s %d %s: got %v, %v, want %s", name, v.TcID, v.Comment, ok, err, v.Result)
				}
				ran++
			}
		}
		if ran < 30 {
			t.Errorf("%s: only %d cases", name, ran)
		}
	}
}
