// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"
	"sync"

	wire "strongroom/api/gen/grep11"
	"strongroom/internal/core/ep11/family/familytest"
	"strongroom/internal/pure/ep11"
)

// errOther says that a call gave another result than was published.
var errOther = errors.New("another result than was published")

// wycheproofCiphers decrypts, and encrypts where the result follows from the input.
func wycheproofCiphers(in *bringer) {
	const cbc, gcm = "aes_cbc_pkcs5", "aes_gcm"
	seen := each(in.t, cbc, cases(in.t, cbc, 216), func(v trial) (string, error) {
		key, err := in.bring(v.Key, ep11.CKK_AES, ep11.CKA_ENCRYPT, ep11.CKA_DECRYPT)
		if err != nil {
			return "", err
		}
		m := mech(ep11.CKM_AES_CBC_PAD, v.Iv...)
		r, err := in.DecryptSingle(in.ctx(), &wire.DecryptSingleRequest{Mech: m, Ciphered: v.Ct, Key: key.GetUnwrapped()})
		switch {
		case v.Result != valid && (len(v.Ct) == 0 || len(v.Ct)%16 != 0):
			return outcome(err, ep11.CKR_ENCRYPTED_DATA_LEN_RANGE)
		case v.Result != valid:
			return outcome(err, ep11.CKR_ENCRYPTED_DATA_INVALID)
		case err == nil && !bytes.Equal(r.GetPlain(), v.Msg):
			err = errOther
		}
		if err != nil {
			return "", err
		}
		c, err := in.EncryptSingle(in.ctx(), &wire.EncryptSingleRequest{Mech: m, Plain: v.Msg, Key: key.GetUnwrapped()})
		if err == nil && !bytes.Equal(c.GetCiphered(), v.Ct) {
			err = errOther
		}
		return valid, err
	})
	atLeast(in.t, cbc, seen, valid, 70)
	atLeast(in.t, cbc, seen, ep11.CKR_ENCRYPTED_DATA_INVALID.Error(), 100)
	seen = each(in.t, gcm, cases(in.t, gcm, 316), func(v trial) (string, error) {
		if v.group.IvSize != 96 || v.group.TagSize != 128 {
			return notOurs, nil // the nonce is the core's own: 12 bytes before the ciphertext
		}
		key, err := in.bring(v.Key, ep11.CKK_AES, ep11.CKA_DECRYPT)
		if err != nil {
			return "", err
		}
		r, err := in.DecryptSingle(in.ctx(), &wire.DecryptSingleRequest{Mech: mech(ep11.CKM_AES_GCM, v.Aad...), Ciphered: bytes.Join([][]byte{v.Iv, v.Ct, v.Tag}, nil), Key: key.GetUnwrapped()})
		if v.Result != valid {
			return outcome(err, ep11.CKR_ENCRYPTED_DATA_INVALID)
		}
		if err == nil && !bytes.Equal(r.GetPlain(), v.Msg) {
			err = errOther
		}
		return valid, err
	})
	atLeast(in.t, gcm, seen, valid, 100)
	atLeast(in.t, gcm, seen, ep11.CKR_ENCRYPTED_DATA_INVALID.Error(), 50)
}

// wycheproofCodes makes and verifies message authentication codes of full length.
func wycheproofCodes(in *bringer) {
	for _, tt := range []struct {
		file      string
		cases     int
		m, ckk    int
		tag       int // bits
		valid, no int // at least
	}{
		{"aes_cmac", 311, ep11.CKM_AES_CMAC, ep11.CKK_AES, 128, 30, 50}, {"hmac_sha1", 170, ep11.CKM_SHA_1_HMAC, ep11.CKK_GENERIC_SECRET, 160, 30, 40},
		{"hmac_sha224", 172, ep11.CKM_SHA224_HMAC, ep11.CKK_GENERIC_SECRET, 224, 30, 40}, {"hmac_sha256", 174, ep11.CKM_SHA256_HMAC, ep11.CKK_SHA256_HMAC, 256, 30, 40},
		{"hmac_sha384", 174, ep11.CKM_SHA384_HMAC, ep11.CKK_GENERIC_SECRET, 384, 30, 40}, {"hmac_sha512", 174, ep11.CKM_SHA512_HMAC, ep11.CKK_GENERIC_SECRET, 512, 30, 40},
		{"hmac_sha512_224", 173, ep11.CKM_SHA512_224_HMAC, ep11.CKK_GENERIC_SECRET, 224, 30, 40}, {"hmac_sha512_256", 175, ep11.CKM_IBM_SHA512_256_HMAC, ep11.CKK_GENERIC_SECRET, 256, 30, 40},
		{"hmac_sha3_224", 172, ep11.CKM_IBM_SHA3_224_HMAC, ep11.CKK_GENERIC_SECRET, 224, 30, 40}, {"hmac_sha3_256", 174, ep11.CKM_IBM_SHA3_256_HMAC, ep11.CKK_GENERIC_SECRET, 256, 30, 40},
		{"hmac_sha3_384", 174, ep11.CKM_IBM_SHA3_384_HMAC, ep11.CKK_GENERIC_SECRET, 384, 30, 40}, {"hmac_sha3_512", 174, ep11.CKM_IBM_SHA3_512_HMAC, ep11.CKK_GENERIC_SECRET, 512, 30, 40},
	} {
		seen := each(in.t, tt.file, cases(in.t, tt.file, tt.cases), func(v trial) (string, error) {
			key, err := in.bring(v.Key, tt.ckk, ep11.CKA_SIGN, ep11.CKA_VERIFY)
			switch n := len(v.Key); {
			case n == 0:
				return outcome(err, ep11.CKR_WRAPPED_KEY_INVALID)
			case tt.ckk == ep11.CKK_AES && n != 16 && n != 24 && n != 32, tt.ckk != ep11.CKK_AES && (n < ep11.MinSecret || n > ep11.MaxSecret):
				return outcome(err, ep11.CKR_KEY_SIZE_RANGE)
			case err != nil:
				return "", err
			}
			_, err = in.VerifySingle(in.ctx(), &wire.VerifySingleRequest{Mech: mech(tt.m), Data: v.Msg, Signature: v.Tag, PubKey: key.GetUnwrapped()})
			switch {
			case v.group.TagSize != tt.tag:
				return outcome(err, ep11.CKR_SIGNATURE_LEN_RANGE)
			case v.Result != valid:
				return outcome(err, ep11.CKR_SIGNATURE_INVALID)
			case err != nil:
				return "", err
			}
			r, err := in.SignSingle(in.ctx(), &wire.SignSingleRequest{Mech: mech(tt.m), Data: v.Msg, PrivKey: key.GetUnwrapped()})
			if err == nil && !bytes.Equal(r.GetSignature(), v.Tag) {
				err = errOther
			}
			return valid, err
		})
		atLeast(in.t, tt.file, seen, valid, tt.valid)
		atLeast(in.t, tt.file, seen, ep11.CKR_SIGNATURE_INVALID.Error(), tt.no)
	}
}

// wycheproofKeyWrap unwraps keys and wraps them again.
func wycheproofKeyWrap(in *bringer) {
	for _, tt := range []struct {
		file     string
		cases, m int
		valid    int
	}{{"aes_wrap", 165, ep11.CKM_AES_KEY_WRAP, 20}, {"aes_kwp", 254, ep11.CKM_AES_KEY_WRAP_PAD, 20}} {
		seen := each(in.t, tt.file, cases(in.t, tt.file, tt.cases), func(v trial) (string, error) {
			kek, err := in.bring(v.Key, ep11.CKK_AES, ep11.CKA_WRAP, ep11.CKA_UNWRAP)
			if err != nil {
				return "", err
			}
			u, err := in.UnwrapKey(in.ctx(), &wire.UnwrapKeyRequest{Wrapped: v.Ct, Mech: mech(tt.m), KeK: kek.GetUnwrapped(),
				Template: attrs(ep11.CKA_KEY_TYPE, ep11.CKK_GENERIC_SECRET, ep11.CKA_EXTRACTABLE, true)})
			switch n := len(v.Ct); {
			case n%8 != 0 || n < 16:
				return outcome(err, ep11.CKR_WRAPPED_KEY_LEN_RANGE)
			case v.Result == "invalid", tt.m == ep11.CKM_AES_KEY_WRAP && n == 16:
				return outcome(err, ep11.CKR_WRAPPED_KEY_INVALID)
			case len(v.Msg) < ep11.MinSecret || len(v.Msg) > ep11.MaxSecret:
				return outcome(err, ep11.CKR_KEY_SIZE_RANGE)
			case err != nil:
				return "", err
			}
			if sum := sha1.Sum(v.Msg); !bytes.Equal(u.GetCheckSum()[:3], sum[:3]) {
				return valid, errOther
			}
			w, err := in.WrapKey(in.ctx(), &wire.WrapKeyRequest{Mech: mech(tt.m), Key: u.GetUnwrapped(), KeK: kek.GetUnwrapped()})
			if err == nil && !bytes.Equal(w.GetWrapped(), v.Ct) {
				err = errOther
			}
			return valid, err
		})
		atLeast(in.t, tt.file, seen, valid, tt.valid)
		atLeast(in.t, tt.file, seen, ep11.CKR_WRAPPED_KEY_INVALID.Error(), 50)
	}
}

func wycheproofRSADecryption(in *bringer) {
	for _, tt := range []struct {
		file  string
		cases int
		m     func(label []byte) *wire.Mechanism
		size  int
	}{
		{"rsa_oaep_2048_sha1_mgf1sha1", 36, func(l []byte) *wire.Mechanism { return oaep(ep11.CKM_SHA_1, wire.RSAOAEPParm_CkgMgf1Sha1, l) }, 256},
		{"rsa_oaep_2048_sha256_mgf1sha256", 37, func(l []byte) *wire.Mechanism { return oaep(ep11.CKM_SHA256, wire.RSAOAEPParm_CkgMgf1Sha256, l) }, 256},
		{"rsa_oaep_3072_sha512_mgf1sha512", 33, func(l []byte) *wire.Mechanism { return oaep(ep11.CKM_SHA512, wire.RSAOAEPParm_CkgMgf1Sha512, l) }, 384},
		{"rsa_oaep_4096_sha512_mgf1sha512", 36, func(l []byte) *wire.Mechanism { return oaep(ep11.CKM_SHA512, wire.RSAOAEPParm_CkgMgf1Sha512, l) }, 512},
		{"rsa_pkcs1_2048", 67, func([]byte) *wire.Mechanism { return mech(ep11.CKM_RSA_PKCS) }, 256},
		{"rsa_pkcs1_3072", 67, func([]byte) *wire.Mechanism { return mech(ep11.CKM_RSA_PKCS) }, 384},
	} {
		keys := keysOnce{}
		seen := each(in.t, tt.file, cases(in.t, tt.file, tt.cases), func(v trial) (string, error) {
			key, err := keys.get(string(v.group.PrivateKeyPkcs8), func() (*wire.UnwrapKeyResponse, error) {
				return in.bring(v.group.PrivateKeyPkcs8, ep11.CKK_RSA, ep11.CKA_DECRYPT)
			})
			if err != nil {
				return "", err
			}
			r, err := in.DecryptSingle(in.ctx(), &wire.DecryptSingleRequest{Mech: tt.m(v.Label), Ciphered: v.Ct, Key: key.GetUnwrapped()})
			switch {
			case v.Result == valid && err == nil && !bytes.Equal(r.GetPlain(), v.Msg):
				return "", errOther
			case v.Result == valid:
				return outcome(err, ep11.CKR_OK)
			case len(v.Ct) != tt.size:
				return outcome(err, ep11.CKR_ENCRYPTED_DATA_LEN_RANGE)
			}
			return outcome(err, ep11.CKR_ENCRYPTED_DATA_INVALID)
		})
		atLeast(in.t, tt.file, seen, valid, 15)
		atLeast(in.t, tt.file, seen, ep11.CKR_ENCRYPTED_DATA_INVALID.Error(), 5)
	}
}

// keysOnce brings each key in once. Its method is safe for concurrent use.
type keysOnce struct {
	all sync.Map // from name to func() (*wire.UnwrapKeyResponse, error)
}

func (k *keysOnce) get(name string, bring func() (*wire.UnwrapKeyResponse, error)) (*wire.UnwrapKeyResponse, error) {
	f, _ := k.all.LoadOrStore(name, sync.OnceValues(bring))
	return f.(func() (*wire.UnwrapKeyResponse, error))()
}

// wycheproofRSASigning makes the published signatures, which are deterministic.
func wycheproofRSASigning(in *bringer) {
	hashes := map[string]int{"SHA-1": ep11.CKM_SHA1_RSA_PKCS, "SHA-224": ep11.CKM_SHA224_RSA_PKCS, "SHA-256": ep11.CKM_SHA256_RSA_PKCS, "SHA-384": ep11.CKM_SHA384_RSA_PKCS,
		"SHA-512": ep11.CKM_SHA512_RSA_PKCS}
	for file, n := range map[string]int{"rsa_pkcs1_2048_sig_gen": 43, "rsa_pkcs1_3072_sig_gen": 26, "rsa_pkcs1_4096_sig_gen": 24} {
		keys := keysOnce{}
		seen := each(in.t, file, cases(in.t, file, n), func(v trial) (string, error) {
			m, ok := hashes[v.group.Sha]
			if !ok {
				return notOurs, nil
			}
			key, err := keys.get(string(v.group.PrivateKeyPkcs8), func() (*wire.UnwrapKeyResponse, error) {
				return in.bring(v.group.PrivateKeyPkcs8, ep11.CKK_RSA, ep11.CKA_SIGN)
			})
			if e := familytest.Member(in.t, v.group.PrivateKey, "publicExponent"); !bytes.Equal(bytes.TrimLeft(e, "\x00"), []byte{1, 0, 1}) {
				return outcome(err, ep11.CKR_WRAPPED_KEY_INVALID) // 3
			}
			if err != nil {
				return "", err
			}
			r, err := in.SignSingle(in.ctx(), &wire.SignSingleRequest{Mech: mech(m), Data: v.Msg, PrivKey: key.GetUnwrapped()})
			if err == nil && !bytes.Equal(r.GetSignature(), v.Sig) {
				err = errOther
			}
			return valid, err
		})
		atLeast(in.t, file, seen, valid, 20)
	}
}

// wycheproofAgreement agrees with published points. What comes out is told by its check value and by a code made with it.
func wycheproofAgreement(in *bringer) {
	asn := unhex("3056301006072a8648ce3d020106052b8104000a034200")
	for _, tt := range []struct {
		file     string
		cases    int
		curve    string
		m, size  int
		valid    int
		scalar   bool // a number, to be brought to its size
		refusals int
	}{
		{"ecdh_secp224r1_ecpoint", 458, ep11.OIDP224, ep11.CKM_ECDH1_DERIVE, 28, 390, true, 10}, {"ecdh_secp256r1_ecpoint", 355, ep11.OIDP256, ep11.CKM_ECDH1_DERIVE, 32, 300, true, 10},
		{"ecdh_secp384r1_ecpoint", 790, ep11.OIDP384, ep11.CKM_ECDH1_COFACTOR_DERIVE, 48, 700, true, 10}, {"ecdh_secp521r1_ecpoint", 661, ep11.OIDP521, ep11.CKM_ECDH1_DERIVE, 66, 580, true, 10},
		{"ecdh_secp256k1", 752, ep11.OIDSecp256k1, ep11.CKM_ECDH1_DERIVE, 32, 470, true, 3}, {"x25519", 518, ep11.OIDX25519, ep11.CKM_IBM_EC_X25519, 32, 264, false, 10},
		{"x448", 510, ep11.OIDX448, ep11.CKM_IBM_EC_X448, 56, 250, false, 5},
	} {
		keys := keysOnce{}
		seen := each(in.t, tt.file, cases(in.t, tt.file, tt.cases), func(v trial) (string, error) {
			secret, public := []byte(v.Private), []byte(v.Public)
			if tt.scalar {
				secret = new(big.Int).SetBytes(secret).FillBytes(make([]byte, tt.size))
			}
			if tt.curve == ep11.OIDSecp256k1 {
				rest, found := bytes.CutPrefix(public, asn)
				if !found {
					return notOurs, nil // something is wrong around the point, which stands alone here
				}
				public = rest
			}
			key, err := keys.get(string(secret), func() (*wire.UnwrapKeyResponse, error) {
				return in.bring(private(tt.curve, secret), ep11.CKK_EC, ep11.CKA_DERIVE)
			})
			if err != nil {
				return "", err
			}
			m := agreed(tt.m, wire.ECDH1DeriveParm_CkdNull, public)
			if v.TcID%2 == 0 {
				m = mech(tt.m, public...)
			}
			k, err := in.DeriveKey(in.ctx(), &wire.DeriveKeyRequest{Mech: m, BaseKey: key.GetUnwrapped(),
				Template: attrs(ep11.CKA_KEY_TYPE, ep11.CKK_GENERIC_SECRET, ep11.CKA_VALUE_LEN, tt.size, ep11.CKA_SIGN, true)})
			if v.Result == "invalid" || v.Result == "acceptable" && err != nil {
				return outcome(err, ep11.CKR_MECHANISM_PARAM_INVALID)
			}
			if err != nil {
				return "", err
			}
			if sum := sha1.Sum(v.Shared); !bytes.Equal(k.GetCheckSum()[:3], sum[:3]) {
				return valid, errOther
			}
			if v.TcID%8 == 0 {
				err = in.holds(k.GetNewKey(), v.Shared)
			}
			return valid, err
		})
		atLeast(in.t, tt.file, seen, valid, tt.valid)
		atLeast(in.t, tt.file, seen, ep11.CKR_MECHANISM_PARAM_INVALID.Error(), tt.refusals)
	}
}

// holds compares a key of the domain's, which signs, with what it should be.
func (b *bringer) holds(key *wire.KeyBlob, want []byte) error {
	r, err := b.SignSingle(b.ctx(), &wire.SignSingleRequest{Mech: mech(ep11.CKM_SHA256_HMAC), Data: []byte("data"), PrivKey: key})
	if err != nil {
		return err
	}
	mac := hmac.New(sha256.New, want)
	mac.Write([]byte("data"))
	if !bytes.Equal(r.GetSignature(), mac.Sum(nil)) {
		return errOther
	}
	return nil
}

// wycheproofMLDSA brings published keys in and has them sign. The core's signatures are hedged, so they are verified, with the published public key.
func wycheproofMLDSA(in *bringer) {
	for file, n := range map[string]int{"mldsa_44_sign_seed": 86, "mldsa_65_sign_seed": 105, "mldsa_87_sign_seed": 96} {
		keys := keysOnce{}
		seen := each(in.t, file, cases(in.t, file, n), func(v trial) (string, error) {
			if v.Result != valid || len(v.Ctx) > 0 || len(v.Msg) == 0 || len(v.group.PrivateKeyPkcs8) == 0 {
				return notOurs, nil // a context, a digest in place of the message, a key in no form that the interface has
			}
			key, err := keys.get(string(v.group.PrivateKeyPkcs8), func() (*wire.UnwrapKeyResponse, error) {
				return in.bring(v.group.PrivateKeyPkcs8, ep11.CKK_IBM_ML_DSA, ep11.CKA_SIGN)
			})
			if err != nil {
				return "", err
			}
			half, _, err := ep11.ReadSPKI(key.GetCheckSum())
			if public := fmt.Sprintf("%q", fmt.Sprintf("%x", half.Key)); err != nil || public != string(v.group.PublicKey) {
				return valid, errOther
			}
			r, err := in.SignSingle(in.ctx(), &wire.SignSingleRequest{Mech: mech(ep11.CKM_IBM_ML_DSA), Data: v.Msg, PrivKey: key.GetUnwrapped()})
			if err != nil {
				return "", err
			}
			for _, sig := range [][]byte{r.GetSignature(), v.Sig} {
				if _, err = in.VerifySingle(in.ctx(), &wire.VerifySingleRequest{Mech: mech(ep11.CKM_ML_DSA), Data: v.Msg, Signature: sig, PubKey: blob(half.SPKI())}); err != nil {
					return "", err
				}
			}
			return valid, nil
		})
		atLeast(in.t, file, seen, valid, 10)
	}
}

// wycheproofMLKEM decapsulates with published seeds.
func wycheproofMLKEM(in *bringer) {
	for _, tt := range []struct {
		file  string
		cases int
		oid   string
	}{{"mlkem_768", 201, ep11.OIDMLKEM768}, {"mlkem_1024", 202, ep11.OIDMLKEM1024}} {
		seen := each(in.t, tt.file, cases(in.t, tt.file, tt.cases), func(v trial) (string, error) {
			material := append([]byte{0x80, byte(len(v.Seed))}, v.Seed...)
			key, err := in.bring(ep11.PrivateKey{Type: ep11.CKK_IBM_ML_KEM, Params: []byte(tt.oid), Secret: material}.AppendPKCS8(nil, nil), ep11.CKK_IBM_ML_KEM, ep11.CKA_DERIVE)
			if len(v.Seed) != 64 {
				return outcome(err, ep11.CKR_KEY_SIZE_RANGE)
			}
			if err != nil {
				return "", err
			}
			half, _, err := ep11.ReadSPKI(key.GetCheckSum())
			if err != nil || len(v.Ek) > 0 && !bytes.Equal(half.Key, v.Ek) {
				return "", errOther
			}
			m := &wire.Mechanism{Mechanism: ep11.CKM_IBM_ML_KEM, Parameter: &wire.Mechanism_KyberKEMParameter{KyberKEMParameter: &wire.KyberKEMParm{
				Mode: wire.KyberKEMParm_CkIbmKEMDecapsulate, Kdf: wire.KyberKEMParm_CkdNull, CipherText: v.C}}}
			k, err := in.DeriveKey(in.ctx(), &wire.DeriveKeyRequest{Mech: m, BaseKey: key.GetUnwrapped(),
				Template: attrs(ep11.CKA_KEY_TYPE, ep11.CKK_GENERIC_SECRET, ep11.CKA_VALUE_LEN, 32, ep11.CKA_SIGN, true)})
			if v.Result != valid {
				return outcome(err, ep11.CKR_MECHANISM_PARAM_INVALID)
			}
			if err == nil {
				err = in.holds(k.GetNewKey(), v.K)
			}
			return valid, err
		})
		atLeast(in.t, tt.file, seen, valid, 90)
	}
}
