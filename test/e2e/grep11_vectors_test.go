// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/cloudflare/circl/ecc/bls12381"

	wire "strongroom/api/gen/grep11"
	"strongroom/internal/core/ep11/family/familytest"
	"strongroom/internal/pure/ep11"
)

// TestPublishedVectors runs published vectors through everything that ships: over TLS, by a caller of its own, through a gateway and a core in processes
// of their own. Keys come in as the interface has it: wrapped under a key that the caller knows, which came wrapped under a pair of the domain's.
// What is not valid is refused with the one code that says why.
func TestPublishedVectors(t *testing.T) {
	t.Parallel()
	a := startApps(t)
	in := a.bringer("vectors")
	for _, tc := range []struct {
		name string
		do   func(*bringer)
	}{
		{"signatures", wycheproofSignatures}, {"BLS", wycheproofBLS}, {"block ciphers", wycheproofCiphers}, {"codes", wycheproofCodes}, {"key wrap", wycheproofKeyWrap},
		{"RSA decryption", wycheproofRSADecryption}, {"RSA signing", wycheproofRSASigning}, {"agreement", wycheproofAgreement}, {"ML-DSA signing", wycheproofMLDSA},
		{"ML-KEM", wycheproofMLKEM}, {"digests", publishedDigests}, {"modes", publishedModes}, {"keys and signatures", publishedSignatures}, {"X9.31", publishedX931},
		{"BIP-32", bip32Vectors}, {"SLIP-10", slip10Vectors}, {"BIP-340", bip340Vectors}, {"agreed keys", func(in *bringer) { agreedKeys(in.suite) }}, {"hybrid keys", hybridKeys},
	} {
		t.Run(tc.name, func(t *testing.T) { tc.do(in.with(t)) })
	}
	a.core.check()
}

// bringer is a client that brings keys in.
type bringer struct {
	*suite
	known []byte        // an AES key
	kek   *wire.KeyBlob // the same key, which unwraps
}

// bringer makes a client and the key that it wraps others with.
func (a *apps) bringer(name string) *bringer {
	a.t.Helper()
	b := &bringer{suite: a.client(name, nil), known: make([]byte, 32)}
	rand.Read(b.known)
	pair := b.rsa(2048, []any{ep11.CKA_UNWRAP, true}, []any{ep11.CKA_WRAP, true})
	wrapped, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, rsaKey(a.t, pair.GetPubKeyBytes()), b.known, nil)
	b.must("wrap", err)
	u, err := b.UnwrapKey(b.ctx(), &wire.UnwrapKeyRequest{Wrapped: wrapped, Mech: oaep(ep11.CKM_SHA256, wire.RSAOAEPParm_CkgMgf1Sha256, nil), KeK: pair.GetPrivKey(),
		Template: attrs(ep11.CKA_CLASS, ep11.CKO_SECRET_KEY, ep11.CKA_KEY_TYPE, ep11.CKK_AES, ep11.CKA_VALUE_LEN, 32, ep11.CKA_UNWRAP, true)})
	b.must("bring a key in under RSA-OAEP", err)
	b.kek = u.GetUnwrapped()
	return b
}

// with gives the client to a subtest.
func (b *bringer) with(t testing.TB) *bringer { c := *b; c.suite = b.on(t); return &c }

// bring brings a key in: a secret key as it is, a private one as PKCS#8.
func (b *bringer) bring(key []byte, ckk int, uses ...int) (*wire.UnwrapKeyResponse, error) {
	block, err := aes.NewCipher(b.known)
	if err != nil {
		return nil, err
	}
	iv := make([]byte, aes.BlockSize)
	rand.Read(iv)
	pad := aes.BlockSize - len(key)%aes.BlockSize
	wrapped := append(bytes.Clone(key), bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(wrapped, wrapped)
	t := attrs(ep11.CKA_KEY_TYPE, ckk)
	for _, u := range uses {
		t[uint64(u)] = attrs(u, true)[uint64(u)]
	}
	return b.UnwrapKey(b.ctx(), &wire.UnwrapKeyRequest{Wrapped: wrapped, Mech: mech(ep11.CKM_AES_CBC_PAD, iv...), KeK: b.kek, Template: t})
}

// brought brings a key in that is one.
func (b *bringer) brought(key []byte, ckk int, uses ...int) *wire.UnwrapKeyResponse {
	b.t.Helper()
	u, err := b.bring(key, ckk, uses...)
	b.must("bring a key in", err)
	return u
}

// private gives a private key of a curve as PKCS#8.
func private(curve string, secret []byte) []byte {
	return ep11.PrivateKey{Type: ep11.CKK_EC, Params: []byte(curve), Secret: secret}.AppendPKCS8(nil, nil)
}

func oaep(hash int, mgf wire.RSAOAEPParm_Mask, label []byte) *wire.Mechanism {
	p := &wire.RSAOAEPParm{HashMech: uint64(hash), Mgf: mgf}
	if len(label) > 0 {
		p.EncodingParmType, p.EncodingParm = wire.RSAOAEPParm_CkzDataSpecifiied, label
	}
	return &wire.Mechanism{Mechanism: ep11.CKM_RSA_PKCS_OAEP, Parameter: &wire.Mechanism_RSAOAEPParameter{RSAOAEPParameter: p}}
}

// salted is a PSS mechanism with the length of its salt.
func salted(hash int, mgf wire.RSAPSSParm_Mask, m, salt int) *wire.Mechanism {
	out := pss(hash, mgf, m)
	out.GetRSAPSSParameter().SaltByteCount = uint64(salt)
	return out
}

// trial is one case of a file, to be run.
type trial struct {
	familytest.Vector
	group *familytest.Group
}

// cases gives all cases of a file of Wycheproof, which must have the number that was published.
func cases(t testing.TB, file string, want int) (all []trial) {
	t.Helper()
	s := familytest.Wycheproof(t, file, want)
	for i := range s.TestGroups {
		for _, v := range s.TestGroups[i].Tests {
			all = append(all, trial{v, &s.TestGroups[i]})
		}
	}
	return all
}

// tally counts what trials came to. Safe for concurrent use.
type tally struct {
	mu     sync.Mutex // guards all below
	seen   map[string]int
	failed []string
}

// each runs all trials, some at a time. run gives what the trial was ("valid", a code, "not ours") and what is wrong with it.
func each(t testing.TB, file string, all []trial, run func(trial) (string, error)) map[string]int {
	t.Helper()
	n := &tally{seen: map[string]int{}}
	next := make(chan trial)
	var wg sync.WaitGroup
	for range 24 {
		wg.Go(func() {
			for v := range next {
				what, err := run(v)
				n.mu.Lock()
				n.seen[what]++
				if err != nil {
					n.failed = append(n.failed, fmt.Sprintf("%s %d %s %s %v: %v", file, v.TcID, v.Comment, v.Result, v.Flags, err))
				}
				n.mu.Unlock()
			}
		})
	}
	for _, v := range all {
		next <- v
	}
	close(next)
	wg.Wait()
	slices.Sort(n.failed)
	for _, f := range n.failed[:min(len(n.failed), 10)] {
		t.Error(f)
	}
	t.Logf("%s: %d cases, %v", file, len(all), n.seen)
	return n.seen
}

// atLeast requires that so many trials were of a kind.
func atLeast(t testing.TB, file string, seen map[string]int, what string, n int) {
	t.Helper()
	if seen[what] < n {
		t.Errorf("%s: %d cases were %s, want %d", file, seen[what], what, n)
	}
}

// valid is the outcome of a trial that is one; notOurs of one that asks for what is not offered.
const (
	valid   = "valid"
	notOurs = "not ours"
)

// outcome compares how a call ended with a return code.
func outcome(err error, want ep11.Code) (string, error) {
	code, bad := returned(err)
	if bad != nil {
		return "", bad
	}
	what := valid
	if code != ep11.CKR_OK {
		what = code.Error()
	}
	if code != want {
		return what, fmt.Errorf("got %v (%v), want %v", code, err, want)
	}
	return what, nil
}

// wycheproofSignatures verifies with bare public keys. A signature of a wrong length is CKR_SIGNATURE_LEN_RANGE, every other one that is not valid
// CKR_SIGNATURE_INVALID, and a key that is too weak CKR_PUBLIC_KEY_INVALID or CKR_KEY_SIZE_RANGE.
func wycheproofSignatures(in *bringer) {
	for _, tt := range []struct {
		file  string
		cases int
		m     *wire.Mechanism
		size  int // bytes of a signature
		valid int // at least
	}{
		{"ecdsa_secp224r1_sha224_p1363", 229, mech(ep11.CKM_ECDSA_SHA224), 56, 100}, {"ecdsa_secp224r1_sha256_p1363", 258, mech(ep11.CKM_ECDSA_SHA256), 56, 100},
		{"ecdsa_secp224r1_sha512_p1363", 327, mech(ep11.CKM_IBM_ECDSA_SHA512), 56, 100}, {"ecdsa_secp256r1_sha256_p1363", 262, mech(ep11.CKM_ECDSA_SHA256), 64, 100},
		{"ecdsa_secp256r1_sha512_p1363", 332, mech(ep11.CKM_ECDSA_SHA512), 64, 100}, {"ecdsa_secp384r1_sha384_p1363", 280, mech(ep11.CKM_ECDSA_SHA384), 96, 100},
		{"ecdsa_secp521r1_sha512_p1363", 318, mech(ep11.CKM_ECDSA_SHA512), 132, 100}, {"ecdsa_secp256k1_sha256_p1363", 252, mech(ep11.CKM_ECDSA_SHA256), 64, 100},
		{"ecdsa_secp256k1_sha512_p1363", 322, mech(ep11.CKM_ECDSA_SHA512), 64, 100},
		{"ed25519", 151, mech(ep11.CKM_IBM_ED25519_SHA512), 64, 80}, {"ed448", 87, mech(ep11.CKM_IBM_ED448_SHA3), 114, 15},
		{"rsa_signature_2048_sha224", 258, mech(ep11.CKM_SHA224_RSA_PKCS), 256, 5}, {"rsa_signature_2048_sha256", 259, mech(ep11.CKM_SHA256_RSA_PKCS), 256, 5},
		{"rsa_signature_3072_sha384", 259, mech(ep11.CKM_SHA384_RSA_PKCS), 384, 5}, {"rsa_signature_4096_sha512", 259, mech(ep11.CKM_SHA512_RSA_PKCS), 512, 5},
		{"rsa_pss_2048_sha1_mgf1_20", 88, salted(ep11.CKM_SHA_1, wire.RSAPSSParm_CkgMgf1Sha1, ep11.CKM_SHA1_RSA_PKCS_PSS, 20), 256, 30},
		{"rsa_pss_2048_sha256_mgf1_0", 103, salted(ep11.CKM_SHA256, wire.RSAPSSParm_CkgMgf1Sha256, ep11.CKM_SHA256_RSA_PKCS_PSS, 0), 256, 50},
		{"rsa_pss_2048_sha384_mgf1_48", 141, salted(ep11.CKM_SHA384, wire.RSAPSSParm_CkgMgf1Sha384, ep11.CKM_SHA384_RSA_PKCS_PSS, 48), 256, 50},
		{"rsa_pss_3072_sha256_mgf1_32", 108, salted(ep11.CKM_SHA256, wire.RSAPSSParm_CkgMgf1Sha256, ep11.CKM_SHA256_RSA_PKCS_PSS, 32), 384, 50},
		{"rsa_pss_4096_sha512_mgf1_64", 179, salted(ep11.CKM_SHA512, wire.RSAPSSParm_CkgMgf1Sha512, ep11.CKM_SHA512_RSA_PKCS_PSS, 0xffffffff), 512, 50},
		{"dsa_2048_224_sha224_p1363", 109, mech(ep11.CKM_DSA_SHA224), 56, 40}, {"dsa_2048_256_sha256_p1363", 139, mech(ep11.CKM_DSA_SHA256), 64, 40},
		{"dsa_3072_256_sha256_p1363", 139, mech(ep11.CKM_DSA_SHA256), 64, 40},
		{"mldsa_44_verify", 180, mech(ep11.CKM_IBM_ML_DSA), 2420, 60}, {"mldsa_65_verify", 210, mech(ep11.CKM_ML_DSA), 3309, 60}, {"mldsa_87_verify", 241, mech(ep11.CKM_IBM_ML_DSA), 4627, 60},
	} {
		seen := each(in.t, tt.file, cases(in.t, tt.file, tt.cases), func(v trial) (string, error) {
			if len(v.Ctx) > 0 {
				return notOurs, nil // GREP11 has no place for a context of ML-DSA
			}
			want := ep11.CKR_OK
			switch {
			case slices.Contains(v.Flags, "SmallPublicKey"), slices.Contains(v.Flags, "IncorrectPublicKeyLength"):
				want = ep11.CKR_PUBLIC_KEY_INVALID
			case v.Result == valid:
			case len(v.Sig) != tt.size:
				want = ep11.CKR_SIGNATURE_LEN_RANGE
			default:
				want = ep11.CKR_SIGNATURE_INVALID
			}
			_, err := in.VerifySingle(in.ctx(), &wire.VerifySingleRequest{Mech: tt.m, Data: v.Msg, Signature: v.Sig, PubKey: blob(v.group.PublicKeyDer)})
			return outcome(err, want)
		})
		atLeast(in.t, tt.file, seen, valid, tt.valid)
		atLeast(in.t, tt.file, seen, ep11.CKR_SIGNATURE_INVALID.Error(), 1)
	}
}

// wycheproofBLS verifies signatures of the proof-of-possession scheme, as far as key and signature are points that can be written uncompressed: circl does
// that here.
func wycheproofBLS(in *bringer) {
	const file = "bls_sig_g2_pop_verify"
	seen := each(in.t, file, cases(in.t, file, 26), func(v trial) (string, error) {
		var key bls12381.G1
		var sig bls12381.G2
		if key.SetBytes(familytest.Member(in.t, v.group.PublicKey, "pk")) != nil || sig.SetBytes(v.Sig) != nil {
			if v.Result == valid {
				return notOurs, fmt.Errorf("circl does not read it")
			}
			return notOurs, nil
		}
		want := ep11.CKR_SIGNATURE_INVALID
		switch {
		case v.Result == valid:
			want = ep11.CKR_OK
		case key.IsIdentity():
			want = ep11.CKR_PUBLIC_KEY_INVALID
		}
		pub := ep11.PublicKey{Type: ep11.CKK_EC, Params: []byte(ep11.OIDBLS12381), Key: append([]byte{4}, key.Bytes()...)}.SPKI()
		_, err := in.VerifySingle(in.ctx(), &wire.VerifySingleRequest{Mech: other(wire.ECSGParm_CkEcsgIbmBls), Data: v.Msg, Signature: sig.Bytes(), PubKey: blob(pub)})
		return outcome(err, want)
	})
	atLeast(in.t, file, seen, valid, 5)
	atLeast(in.t, file, seen, ep11.CKR_SIGNATURE_INVALID.Error(), 3)
}
