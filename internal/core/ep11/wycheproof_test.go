// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"slices"
	"testing"

	"github.com/c2sp/wycheproof"

	"strongroom/internal/pure/ep11"
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
	TestGroups    []struct {
		KeySize, TagSize              int
		PublicKeyDer, PrivateKeyPkcs8 digits
		Sha                           string
		Tests                         []vector
	}
}

type vector struct {
	TcID                              int
	Comment, Result                   string
	Msg, Sig, Ct, Iv, Tag, Key, Label digits
	Flags                             []string
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

// judge compares an outcome with the published one. Signatures by keys with small exponents are refused whatever the file says.
func judge(t *testing.T, v vector, got bool) (valid bool) {
	t.Helper()
	if want := v.Result == "valid" && !slices.Contains(v.Flags, "SmallPublicKey"); got != want && v.Result != "acceptable" {
		t.Errorf("%d %s %v: got %v, want %v", v.TcID, v.Comment, v.Flags, got, want)
	}
	return got
}

func TestWycheproofSignatures(t *testing.T) {
	t.Parallel()
	pss := func(m, h, mgf, salt uint64) ep11.Mechanism {
		return ep11.Mechanism{Type: m, PSS: &ep11.PSS{Hash: h, MGF: mgf, Salt: salt}}
	}
	for _, tt := range []struct {
		file string
		want int
		m    ep11.Mechanism
	}{
		{"ecdsa_secp224r1_sha224_p1363", 229, ep11.Mechanism{Type: ep11.CKM_ECDSA_SHA224}},
		{"ecdsa_secp224r1_sha256_p1363", 200, ep11.Mechanism{Type: ep11.CKM_ECDSA_SHA256}},
		{"ecdsa_secp224r1_sha512_p1363", 200, ep11.Mechanism{Type: ep11.CKM_IBM_ECDSA_SHA512}},
		{"ecdsa_secp256r1_sha256_p1363", 262, ep11.Mechanism{Type: ep11.CKM_ECDSA_SHA256}},
		{"ecdsa_secp384r1_sha384_p1363", 280, ep11.Mechanism{Type: ep11.CKM_ECDSA_SHA384}},
		{"ecdsa_secp521r1_sha512_p1363", 230, ep11.Mechanism{Type: ep11.CKM_ECDSA_SHA512}},
		{"ecdsa_secp256k1_sha256_p1363", 252, ep11.Mechanism{Type: ep11.CKM_ECDSA_SHA256}},
		{"ecdsa_secp256k1_sha512_p1363", 200, ep11.Mechanism{Type: ep11.CKM_ECDSA_SHA512}},
		{"ed25519", 151, ep11.Mechanism{Type: ep11.CKM_IBM_ED25519_SHA512}},
		{"rsa_signature_2048_sha224", 258, ep11.Mechanism{Type: ep11.CKM_SHA224_RSA_PKCS}},
		{"rsa_signature_2048_sha256", 259, ep11.Mechanism{Type: ep11.CKM_SHA256_RSA_PKCS}},
		{"rsa_signature_3072_sha384", 200, ep11.Mechanism{Type: ep11.CKM_SHA384_RSA_PKCS}},
		{"rsa_signature_4096_sha512", 200, ep11.Mechanism{Type: ep11.CKM_SHA512_RSA_PKCS}},
		{"rsa_pss_2048_sha256_mgf1_0", 103, pss(ep11.CKM_SHA256_RSA_PKCS_PSS, ep11.CKM_SHA256, ep11.CKG_MGF1_SHA256, 0)},
		{"rsa_pss_2048_sha1_mgf1_20", 80, pss(ep11.CKM_SHA1_RSA_PKCS_PSS, ep11.CKM_SHA_1, ep11.CKG_MGF1_SHA1, 20)},
		{"rsa_pss_4096_sha512_mgf1_64", 100, pss(ep11.CKM_SHA512_RSA_PKCS_PSS, ep11.CKM_SHA512, ep11.CKG_MGF1_SHA512, ep11.SaltOfHash)},
	} {
		t.Run(tt.file, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			s := read(t, tt.file)
			n, valid := 0, 0
			for _, g := range s.TestGroups {
				for _, v := range g.Tests {
					_, err := b.do(ep11.Call{Function: ep11.FnVerifySingle, Mechanism: &tt.m, Key: g.PublicKeyDer, Data: v.Msg, Signature: v.Sig})
					if n++; judge(t, v, err == nil) {
						valid++
					}
					switch codeOf(err) {
					case ep11.CKR_OK, ep11.CKR_SIGNATURE_INVALID, ep11.CKR_SIGNATURE_LEN_RANGE, ep11.CKR_PUBLIC_KEY_INVALID:
					default:
						t.Errorf("%d %s: %v", v.TcID, v.Comment, err)
					}
				}
			}
			if n != s.NumberOfTests || n < tt.want || valid == 0 {
				t.Errorf("ran %d cases, %d valid; the file has %d, published %d", n, valid, s.NumberOfTests, tt.want)
			}
		})
	}
}

// taken brings a secret key in with all uses.
func (b *bench) taken(key []byte, ckk uint64) ([]byte, error) {
	return b.imported(key, ckk, flags(ep11.CKA_ENCRYPT, ep11.CKA_DECRYPT, ep11.CKA_SIGN, ep11.CKA_VERIFY, ep11.CKA_WRAP, ep11.CKA_UNWRAP))
}

func TestWycheproofSecretKeys(t *testing.T) {
	t.Parallel()
	mac := func(m uint64, ckk uint64, size int) func(*bench, int, int, vector) (bool, bool) {
		return func(b *bench, _, tagSize int, v vector) (bool, bool) {
			key, err := b.taken(v.Key, ckk)
			if tagSize != size || ckk != ep11.CKK_AES && (len(v.Key) < ep11.MinSecret || len(v.Key) > ep11.MaxSecret) {
				return true, err != nil
			}
			if err != nil {
				return false, false
			}
			_, err = b.do(ep11.Call{Function: ep11.FnVerifySingle, Mechanism: mech(m), Key: key, Data: v.Msg, Signature: v.Tag})
			return false, err == nil
		}
	}
	wrap := func(m uint64) func(*bench, int, int, vector) (bool, bool) {
		return func(b *bench, _, _ int, v vector) (bool, bool) {
			kek, err := b.taken(v.Key, ep11.CKK_AES)
			if err != nil {
				return false, false
			}
			a, err := b.do(ep11.Call{Function: ep11.FnUnwrapKey, Mechanism: mech(m), Key2: kek, Data: v.Ct, Template: and(flags(ep11.CKA_EXTRACTABLE), number(ep11.CKA_KEY_TYPE, ep11.CKK_GENERIC_SECRET))})
			if len(v.Msg) < ep11.MinSecret || len(v.Msg) > ep11.MaxSecret { // no key of ours
				return true, err != nil
			}
			if err != nil {
				return false, false
			}
			again := b.must(ep11.Call{Function: ep11.FnWrapKey, Mechanism: mech(m), Key: a.Key, Key2: kek}).Data
			return false, bytes.Equal(b.exported(a.Key), v.Msg) && bytes.Equal(again, v.Ct)
		}
	}
	for _, tt := range []struct {
		file string
		want int // that fit our sizes
		run  func(b *bench, keySize, tagSize int, v vector) (skip, ok bool)
	}{
		{"aes_cbc_pkcs5", 216, func(b *bench, _, _ int, v vector) (bool, bool) {
			key, err := b.taken(v.Key, ep11.CKK_AES)
			if err != nil {
				return false, false
			}
			a, err := b.do(ep11.Call{Function: ep11.FnDecryptSingle, Mechanism: withIV(ep11.CKM_AES_CBC_PAD, v.Iv), Key: key, Data: v.Ct})
			return false, err == nil && bytes.Equal(a.Data, v.Msg)
		}},
		{"aes_cmac", 150, mac(ep11.CKM_AES_CMAC, ep11.CKK_AES, 128)},
		{"aes_wrap", 100, wrap(ep11.CKM_AES_KEY_WRAP)},
		{"aes_kwp", 100, wrap(ep11.CKM_AES_KEY_WRAP_PAD)},
		{"hmac_sha1", 70, mac(ep11.CKM_SHA_1_HMAC, ep11.CKK_GENERIC_SECRET, 160)},
		{"hmac_sha224", 70, mac(ep11.CKM_SHA224_HMAC, ep11.CKK_GENERIC_SECRET, 224)},
		{"hmac_sha256", 70, mac(ep11.CKM_SHA256_HMAC, ep11.CKK_SHA256_HMAC, 256)},
		{"hmac_sha384", 70, mac(ep11.CKM_SHA384_HMAC, ep11.CKK_GENERIC_SECRET, 384)},
		{"hmac_sha512", 70, mac(ep11.CKM_SHA512_HMAC, ep11.CKK_GENERIC_SECRET, 512)},
		{"hmac_sha512_224", 70, mac(ep11.CKM_SHA512_224_HMAC, ep11.CKK_GENERIC_SECRET, 224)},
		{"hmac_sha512_256", 70, mac(ep11.CKM_IBM_SHA512_256_HMAC, ep11.CKK_GENERIC_SECRET, 256)},
		{"hmac_sha3_224", 70, mac(ep11.CKM_IBM_SHA3_224_HMAC, ep11.CKK_GENERIC_SECRET, 224)},
		{"hmac_sha3_256", 70, mac(ep11.CKM_IBM_SHA3_256_HMAC, ep11.CKK_GENERIC_SECRET, 256)},
		{"hmac_sha3_384", 70, mac(ep11.CKM_IBM_SHA3_384_HMAC, ep11.CKK_GENERIC_SECRET, 384)},
		{"hmac_sha3_512", 70, mac(ep11.CKM_IBM_SHA3_512_HMAC, ep11.CKK_GENERIC_SECRET, 512)},
	} {
		t.Run(tt.file, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			ran, valid := 0, 0
			for _, g := range read(t, tt.file).TestGroups {
				for _, v := range g.Tests {
					skip, ok := tt.run(b, g.KeySize, g.TagSize, v)
					if skip {
						continue
					}
					if ran++; judge(t, v, ok) {
						valid++
					}
				}
			}
			if ran < tt.want || valid == 0 {
				t.Errorf("ran %d cases, %d valid, want %d", ran, valid, tt.want)
			}
		})
	}
}

func TestWycheproofRSADecryption(t *testing.T) {
	t.Parallel()
	oaep := func(h, mgf uint64) ep11.Mechanism {
		return ep11.Mechanism{Type: ep11.CKM_RSA_PKCS_OAEP, OAEP: &ep11.OAEP{Hash: h, MGF: mgf}}
	}
	for _, tt := range []struct {
		file string
		want int
		m    ep11.Mechanism
	}{
		{"rsa_oaep_2048_sha1_mgf1sha1", 30, oaep(ep11.CKM_SHA_1, ep11.CKG_MGF1_SHA1)},
		{"rsa_oaep_2048_sha224_mgf1sha224", 30, oaep(ep11.CKM_SHA224, ep11.CKG_MGF1_SHA224)},
		{"rsa_oaep_2048_sha256_mgf1sha256", 30, oaep(ep11.CKM_SHA256, ep11.CKG_MGF1_SHA256)},
		{"rsa_oaep_2048_sha512_mgf1sha512", 30, oaep(ep11.CKM_SHA512, ep11.CKG_MGF1_SHA512)},
		{"rsa_oaep_4096_sha512_mgf1sha512", 30, oaep(ep11.CKM_SHA512, ep11.CKG_MGF1_SHA512)},
		{"rsa_pkcs1_2048", 60, ep11.Mechanism{Type: ep11.CKM_RSA_PKCS}},
		{"rsa_pkcs1_3072", 60, ep11.Mechanism{Type: ep11.CKM_RSA_PKCS}},
	} {
		t.Run(tt.file, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			ran := 0
			for _, g := range read(t, tt.file).TestGroups {
				key, err := b.imported(g.PrivateKeyPkcs8, ep11.CKK_RSA, flags(ep11.CKA_DECRYPT))
				if err != nil {
					t.Fatal(err)
				}
				for _, v := range g.Tests {
					m := tt.m
					if m.OAEP != nil && len(v.Label) > 0 {
						labelled := *m.OAEP
						labelled.Source, labelled.Label = ep11.CKZ_DATA_SPECIFIED, v.Label
						m.OAEP = &labelled
					}
					a, err := b.do(ep11.Call{Function: ep11.FnDecryptSingle, Mechanism: &m, Key: key, Data: v.Ct})
					judge(t, v, err == nil && bytes.Equal(a.Data, v.Msg))
					ran++
				}
			}
			if ran < tt.want {
				t.Errorf("only %d cases", ran)
			}
		})
	}
}

// TestWycheproofSigning makes the published deterministic signatures.
func TestWycheproofSigning(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ran := 0
	for _, g := range read(t, "rsa_pkcs1_2048_sig_gen").TestGroups {
		m, ok := map[string]uint64{"SHA-1": ep11.CKM_SHA1_RSA_PKCS, "SHA-224": ep11.CKM_SHA224_RSA_PKCS, "SHA-256": ep11.CKM_SHA256_RSA_PKCS, "SHA-384": ep11.CKM_SHA384_RSA_PKCS, "SHA-512": ep11.CKM_SHA512_RSA_PKCS}[g.Sha]
		key, err := b.imported(g.PrivateKeyPkcs8, ep11.CKK_RSA, flags(ep11.CKA_SIGN))
		if !ok || err != nil {
			t.Logf("%s: %v", g.Sha, err) // exponent 3, or another hash
			continue
		}
		for _, v := range g.Tests {
			if got := b.must(ep11.Call{Function: ep11.FnSignSingle, Mechanism: mech(m), Key: key, Data: v.Msg}).Data; !bytes.Equal(got, v.Sig) {
				t.Errorf("%d %s: another signature", v.TcID, v.Comment)
			}
			ran++
		}
	}
	if ran < 20 {
		t.Errorf("only %d signatures", ran)
	}
}
