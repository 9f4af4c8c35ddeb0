// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	wire "strongroom/api/gen/grep11"
	"strongroom/internal/pure/ep11"
)

// notOffered are the mechanisms of the interface that have a number here and are not offered (docs/adr/0020-algorithms-for-applications.md).
var notOffered = []uint64{ep11.CKM_RSA_X9_31_KEY_PAIR_GEN, ep11.CKM_IBM_KYBER, ep11.CKM_IBM_DH_PKCS_DERIVE_RAW, ep11.CKM_IBM_ECDH1_DERIVE_RAW}

// doing are what the flags of a mechanism promise.
var doing = []uint64{ep11.CKF_ENCRYPT, ep11.CKF_DECRYPT, ep11.CKF_DIGEST, ep11.CKF_SIGN, ep11.CKF_VERIFY, ep11.CKF_GENERATE, ep11.CKF_GENERATE_KEY_PAIR, ep11.CKF_WRAP, ep11.CKF_UNWRAP, ep11.CKF_DERIVE}

// flagOf are the flags that a call shows to be true.
var flagOf = map[string]uint64{"EncryptSingle": ep11.CKF_ENCRYPT, "DecryptSingle": ep11.CKF_DECRYPT, "DigestSingle": ep11.CKF_DIGEST, "SignSingle": ep11.CKF_SIGN,
	"VerifySingle": ep11.CKF_VERIFY, "GenerateKey": ep11.CKF_GENERATE, "GenerateKeyPair": ep11.CKF_GENERATE_KEY_PAIR, "WrapKey": ep11.CKF_WRAP, "UnwrapKey": ep11.CKF_UNWRAP,
	"DeriveKey": ep11.CKF_DERIVE}

// mechanismOf gives the mechanism that a request names.
func mechanismOf(in any) (uint64, bool) {
	type named interface{ GetMech() *wire.Mechanism }
	if n, ok := in.(named); ok && n.GetMech() != nil {
		return n.GetMech().GetMechanism(), true
	}
	return 0, false
}

// noted remembers what a call that was done shows of its mechanism. The lock is held.
func (a *apps) noted(call protoreflect.Name, in any) {
	if m, ok := mechanismOf(in); ok && flagOf[string(call)] != 0 {
		a.shown[m] |= flagOf[string(call)]
	}
}

// TestEveryMechanism does through the wire what each flag of each mechanism in the list promises, and requires that the list is what is documented: nothing
// that isn't offered is in it.
func TestEveryMechanism(t *testing.T) {
	t.Parallel()
	a := startApps(t)
	s := a.client("all", nil)
	t.Run("digests", func(t *testing.T) { allDigests(s.on(t)) })
	t.Run("signatures", func(t *testing.T) { allSignatures(s.on(t)) })
	t.Run("encryption and wrap", func(t *testing.T) { allCrypt(s.on(t)) })
	t.Run("derivations", func(t *testing.T) { allDerivations(s.on(t)) })
	attributeBound(s, ep11.CKA_SIGN, true, ep11.CKA_VERIFY, true)
	blsFlow(s)
	groupsFlow(s)
	latticeFlow(s)
	list, err := s.GetMechanismList(s.ctx(), &wire.GetMechanismListRequest{})
	s.must("list", err)
	for _, r := range ep11.Rows() {
		if listed := slices.Contains(list.GetMechs(), r.Mechanism); listed == slices.Contains(notOffered, r.Mechanism) {
			t.Errorf("%s: listed %v", r.Name, listed)
		}
	}
	for _, m := range list.GetMechs() {
		info, err := s.GetMechanismInfo(s.ctx(), &wire.GetMechanismInfoRequest{Mech: m})
		s.must("info", err)
		for _, f := range doing {
			if info.GetMechInfo().GetFlags()&f != 0 && a.shown[m]&f == 0 {
				t.Errorf("%s: flag 0x%x was not shown", ep11.MechanismName(m), f)
			}
		}
	}
	a.core.check()
}

func allDigests(s *suite) {
	for _, r := range ep11.Rows() {
		if r.Flags&ep11.CKF_DIGEST != 0 {
			_, err := s.DigestSingle(s.ctx(), &wire.DigestSingleRequest{Mech: mech(int(r.Mechanism)), Data: iv(3)})
			s.must(r.Name, err)
		}
	}
}

// both makes a secret key that stands for both halves of a pair.
func (s *suite) both(m, length int, uses ...int) *wire.GenerateKeyPairResponse {
	s.t.Helper()
	t := []any{ep11.CKA_VALUE_LEN, length}
	for _, u := range uses {
		t = append(t, u, true)
	}
	k := s.key(m, t...)
	return &wire.GenerateKeyPairResponse{PrivKey: k.GetKey(), PubKey: k.GetKey()}
}

// parameters gives parameters of a group.
func (s *suite) parameters(m, bits int) []byte {
	s.t.Helper()
	r, err := s.GenerateKey(s.ctx(), &wire.GenerateKeyRequest{Mech: mech(m), Template: attrs(ep11.CKA_PRIME_BITS, bits)})
	s.must("parameters", err)
	return r.GetKeyBytes()
}

func allSignatures(s *suite) {
	sign, verify := attrs(ep11.CKA_SIGN, true), ep11.CKA_VERIFY
	rsa := s.rsa(2048, []any{ep11.CKA_SIGN, true}, []any{verify, true})
	p256, ed25519, ed448 := s.ec(ep11.OIDP256), s.ec(ep11.OIDEd25519), s.ec(ep11.OIDEd448)
	dsa := s.pair(ep11.CKM_DSA_KEY_PAIR_GEN, sign, attrs(ep11.CKA_IBM_STRUCT_PARAMS, s.parameters(ep11.CKM_DSA_PARAMETER_GEN, 2048), verify, true))
	mldsa := s.pair(ep11.CKM_ML_DSA_KEY_PAIR_GEN, sign, attrs(int(ep11.CKA_PARAMETER_SET), 2, verify, true))
	dilithium := s.pair(ep11.CKM_IBM_DILITHIUM, sign, attrs(ep11.CKA_IBM_PQC_PARAMS, ep11.OIDDilithiumR365, verify, true))
	generic, aes := s.both(ep11.CKM_GENERIC_SECRET_KEY_GEN, 32, ep11.CKA_SIGN, verify), s.both(ep11.CKM_AES_KEY_GEN, 32, ep11.CKA_SIGN, verify)
	des3 := s.both(ep11.CKM_DES3_KEY_GEN, 24, ep11.CKA_SIGN, verify)
	s.both(ep11.CKM_DES2_KEY_GEN, 16, ep11.CKA_SIGN, verify)
	for _, tt := range []struct {
		k    *wire.GenerateKeyPairResponse
		data []byte
		list []*wire.Mechanism
	}{
		{rsa, iv(20), []*wire.Mechanism{mech(ep11.CKM_RSA_PKCS), mech(ep11.CKM_SHA1_RSA_PKCS), mech(ep11.CKM_SHA224_RSA_PKCS), mech(ep11.CKM_SHA256_RSA_PKCS), mech(ep11.CKM_SHA384_RSA_PKCS),
			mech(ep11.CKM_SHA512_RSA_PKCS), mech(ep11.CKM_SHA1_RSA_X9_31), pss(ep11.CKM_SHA_1, wire.RSAPSSParm_CkgMgf1Sha1, ep11.CKM_RSA_PKCS_PSS),
			pss(ep11.CKM_SHA_1, wire.RSAPSSParm_CkgMgf1Sha1, ep11.CKM_SHA1_RSA_PKCS_PSS), pss(ep11.CKM_SHA224, wire.RSAPSSParm_CkgMgf1Sha224, ep11.CKM_SHA224_RSA_PKCS_PSS),
			pss(ep11.CKM_SHA256, wire.RSAPSSParm_CkgMgf1Sha256, ep11.CKM_SHA256_RSA_PKCS_PSS), pss(ep11.CKM_SHA384, wire.RSAPSSParm_CkgMgf1Sha384, ep11.CKM_SHA384_RSA_PKCS_PSS),
			pss(ep11.CKM_SHA512, wire.RSAPSSParm_CkgMgf1Sha512, ep11.CKM_SHA512_RSA_PKCS_PSS)}},
		{rsa, append(iv(20), 0x33), []*wire.Mechanism{mech(ep11.CKM_RSA_X9_31)}},
		{p256, iv(32), []*wire.Mechanism{mech(ep11.CKM_ECDSA), mech(ep11.CKM_ECDSA_SHA1), mech(ep11.CKM_ECDSA_SHA224), mech(ep11.CKM_ECDSA_SHA256), mech(ep11.CKM_ECDSA_SHA384),
			mech(ep11.CKM_ECDSA_SHA512), mech(ep11.CKM_IBM_ECDSA_SHA224), mech(ep11.CKM_IBM_ECDSA_SHA256), mech(ep11.CKM_IBM_ECDSA_SHA384), mech(ep11.CKM_IBM_ECDSA_SHA512),
			other(wire.ECSGParm_CkEcsgIbmEcsdsaS256), other(wire.ECSGParm_CkEcsgIbmEcsdsaComprMulti)}},
		{ed25519, iv(3), []*wire.Mechanism{mech(ep11.CKM_IBM_ED25519_SHA512)}}, {ed448, iv(3), []*wire.Mechanism{mech(ep11.CKM_IBM_ED448_SHA3)}},
		{dsa, iv(20), []*wire.Mechanism{mech(ep11.CKM_DSA), mech(ep11.CKM_DSA_SHA1), mech(ep11.CKM_DSA_SHA224), mech(ep11.CKM_DSA_SHA256)}},
		{mldsa, iv(3), []*wire.Mechanism{mech(ep11.CKM_ML_DSA), mech(ep11.CKM_IBM_ML_DSA)}}, {dilithium, iv(3), []*wire.Mechanism{mech(ep11.CKM_IBM_DILITHIUM)}},
		{generic, iv(3), []*wire.Mechanism{mech(ep11.CKM_SHA_1_HMAC), mech(ep11.CKM_SHA224_HMAC), mech(ep11.CKM_SHA256_HMAC), mech(ep11.CKM_SHA384_HMAC), mech(ep11.CKM_SHA512_HMAC),
			mech(ep11.CKM_SHA512_224_HMAC), mech(ep11.CKM_SHA512_256_HMAC), mech(ep11.CKM_IBM_SHA512_224_HMAC), mech(ep11.CKM_IBM_SHA512_256_HMAC), mech(ep11.CKM_IBM_SHA3_224_HMAC),
			mech(ep11.CKM_IBM_SHA3_256_HMAC), mech(ep11.CKM_IBM_SHA3_384_HMAC), mech(ep11.CKM_IBM_SHA3_512_HMAC)}},
		{aes, iv(3), []*wire.Mechanism{mech(ep11.CKM_AES_CMAC), mech(ep11.CKM_IBM_CMAC)}}, {des3, iv(3), []*wire.Mechanism{mech(ep11.CKM_DES3_CMAC), mech(ep11.CKM_IBM_CMAC)}},
	} {
		for _, m := range tt.list {
			s.sign(m, tt.k, tt.data)
		}
	}
}

// allCrypt encrypts and decrypts, and wraps a key and brings it back, with each mechanism.
func allCrypt(s *suite) {
	uses := func(m, length int) (crypt, wrap *wire.GenerateKeyPairResponse) {
		return s.both(m, length, ep11.CKA_ENCRYPT, ep11.CKA_DECRYPT), s.both(m, length, ep11.CKA_WRAP, ep11.CKA_UNWRAP)
	}
	aes, aesWrap := uses(ep11.CKM_AES_KEY_GEN, 32)
	des3, des3Wrap := uses(ep11.CKM_DES3_KEY_GEN, 24)
	rsa := s.rsa(2048, []any{ep11.CKA_DECRYPT, true}, []any{ep11.CKA_ENCRYPT, true})
	rsaWrap := s.rsa(2048, []any{ep11.CKA_UNWRAP, true}, []any{ep11.CKA_WRAP, true})
	open := s.key(ep11.CKM_AES_KEY_GEN, ep11.CKA_VALUE_LEN, 32, ep11.CKA_EXTRACTABLE, true)
	for _, tt := range []struct {
		m           *wire.Mechanism
		crypt, wrap *wire.GenerateKeyPairResponse
	}{
		{mech(ep11.CKM_RSA_PKCS), rsa, rsaWrap}, {oaep(ep11.CKM_SHA_1, wire.RSAOAEPParm_CkgMgf1Sha1, nil), rsa, rsaWrap},
		{oaep(ep11.CKM_SHA512, wire.RSAOAEPParm_CkgMgf1Sha512, []byte("label")), rsa, rsaWrap}, {mech(ep11.CKM_AES_ECB), aes, aesWrap}, {mech(ep11.CKM_AES_CBC, iv(16)...), aes, aesWrap},
		{mech(ep11.CKM_AES_CBC_PAD, iv(16)...), aes, aesWrap}, {mech(ep11.CKM_AES_CTR, iv(16)...), aes, nil}, {mech(ep11.CKM_AES_GCM, iv(5)...), aes, nil},
		{mech(ep11.CKM_AES_KEY_WRAP), nil, aesWrap}, {mech(ep11.CKM_AES_KEY_WRAP_PAD), nil, aesWrap}, {mech(ep11.CKM_DES3_ECB), des3, des3Wrap},
		{mech(ep11.CKM_DES3_CBC, iv(8)...), des3, des3Wrap}, {mech(ep11.CKM_DES3_CBC_PAD, iv(8)...), des3, des3Wrap},
	} {
		if tt.crypt != nil {
			if got := decrypt(s, tt.m, tt.crypt.GetPrivKey(), encrypt(s, tt.m, tt.crypt.GetPubKey(), iv(16))); !bytes.Equal(got, iv(16)) {
				s.t.Errorf("0x%x: %x", tt.m.GetMechanism(), got)
			}
		}
		if tt.wrap == nil {
			continue
		}
		w, err := s.WrapKey(s.ctx(), &wire.WrapKeyRequest{Mech: tt.m, Key: open.GetKey(), KeK: tt.wrap.GetPubKey()})
		s.must(fmt.Sprintf("wrap with 0x%x", tt.m.GetMechanism()), err)
		u, err := s.UnwrapKey(s.ctx(), &wire.UnwrapKeyRequest{Mech: tt.m, Wrapped: w.GetWrapped(), KeK: tt.wrap.GetPrivKey(), Template: attrs(ep11.CKA_KEY_TYPE, ep11.CKK_AES, ep11.CKA_VALUE_LEN, 32)})
		s.must(fmt.Sprintf("unwrap with 0x%x", tt.m.GetMechanism()), err)
		if !bytes.Equal(u.GetCheckSum(), open.GetCheckSum()) {
			s.t.Errorf("0x%x: another key", tt.m.GetMechanism())
		}
	}
	transportKey(s)
}

// allDerivations derives the same key twice with each mechanism, from two sides where there are two.
func allDerivations(s *suite) {
	aes := attrs(ep11.CKA_KEY_TYPE, ep11.CKK_AES, ep11.CKA_VALUE_LEN, 16, ep11.CKA_ENCRYPT, true)
	generic := attrs(ep11.CKA_KEY_TYPE, ep11.CKK_GENERIC_SECRET, ep11.CKA_VALUE_LEN, 32, ep11.CKA_SIGN, true)
	same := func(what int, a, b *wire.DeriveKeyResponse) {
		s.t.Helper()
		if !bytes.Equal(a.GetCheckSum(), b.GetCheckSum()) || bytes.Equal(a.GetNewKeyBytes(), b.GetNewKeyBytes()) {
			s.t.Errorf("0x%x: two keys, or one blob", what)
		}
	}
	base := s.key(ep11.CKM_GENERIC_SECRET_KEY_GEN, ep11.CKA_VALUE_LEN, 32, ep11.CKA_DERIVE, true)
	for _, m := range []int{ep11.CKM_SHA1_KEY_DERIVATION, ep11.CKM_SHA224_KEY_DERIVATION, ep11.CKM_SHA256_KEY_DERIVATION, ep11.CKM_SHA384_KEY_DERIVATION, ep11.CKM_SHA512_KEY_DERIVATION} {
		same(m, s.derive(mech(m), base.GetKey(), aes), s.derive(mech(m), base.GetKey(), aes))
	}
	des3 := s.key(ep11.CKM_DES3_KEY_GEN, ep11.CKA_DERIVE, true)
	m := mech(ep11.CKM_DES3_ECB_ENCRYPT_DATA, iv(16)...)
	same(ep11.CKM_DES3_ECB_ENCRYPT_DATA, s.derive(m, des3.GetKey(), aes), s.derive(m, des3.GetKey(), aes))
	for m, curve := range map[int]string{ep11.CKM_ECDH1_DERIVE: ep11.OIDP384, ep11.CKM_ECDH1_COFACTOR_DERIVE: ep11.OIDP224, ep11.CKM_IBM_EC_X25519: ep11.OIDX25519,
		ep11.CKM_IBM_EC_X25519_RAW: ep11.OIDX25519, ep11.CKM_IBM_EC_X448: ep11.OIDX448, ep11.CKM_IBM_EC_X448_RAW: ep11.OIDX448} {
		template := aes
		if m == ep11.CKM_IBM_EC_X25519_RAW || m == ep11.CKM_IBM_EC_X448_RAW {
			template = attrs(ep11.CKA_KEY_TYPE, ep11.CKK_GENERIC_SECRET, ep11.CKA_VALUE_LEN, map[string]int{ep11.OIDX25519: 32, ep11.OIDX448: 56}[curve], ep11.CKA_SIGN, true)
		}
		var sides [2]*wire.GenerateKeyPairResponse
		for i := range sides {
			sides[i] = s.pair(ep11.CKM_EC_KEY_PAIR_GEN, attrs(ep11.CKA_DERIVE, true), attrs(ep11.CKA_EC_PARAMS, curve, ep11.CKA_DERIVE, true))
		}
		peer := func(i int) *wire.Mechanism { return mech(m, spki(s.t, sides[i].GetPubKeyBytes()).Key...) }
		same(m, s.derive(peer(1), sides[0].GetPrivKey(), template), s.derive(peer(0), sides[1].GetPrivKey(), template))
	}
	for _, numbers := range [][2]int{{ep11.CKM_ML_KEM_KEY_PAIR_GEN, ep11.CKM_ML_KEM}, {ep11.CKM_IBM_ML_KEM_KEY_PAIR_GEN, ep11.CKM_IBM_ML_KEM}} {
		set := int(ep11.CKA_PARAMETER_SET)
		if numbers[0] == ep11.CKM_IBM_ML_KEM_KEY_PAIR_GEN {
			set = ep11.CKA_IBM_PARAMETER_SET
		}
		k := s.pair(numbers[0], attrs(ep11.CKA_DERIVE, true), attrs(set, 3, ep11.CKA_DERIVE, true))
		kem := func(mode wire.KyberKEMParm_KyberMode, cipher []byte) *wire.Mechanism {
			return &wire.Mechanism{Mechanism: uint64(numbers[1]), Parameter: &wire.Mechanism_KyberKEMParameter{KyberKEMParameter: &wire.KyberKEMParm{Mode: mode, Kdf: wire.KyberKEMParm_CkdNull, CipherText: cipher}}}
		}
		sent := s.derive(kem(wire.KyberKEMParm_CkIbmKEMEncapsulate, nil), k.GetPubKey(), generic)
		got := s.derive(kem(wire.KyberKEMParm_CkIbmKEMDecapsulate, sent.GetCheckSum()[7:]), k.GetPrivKey(), generic)
		if !bytes.Equal(sent.GetCheckSum()[:7], got.GetCheckSum()) {
			s.t.Errorf("0x%x: two keys", numbers[1])
		}
	}
	_, err := s.GenerateKeyPair(s.ctx(), &wire.GenerateKeyPairRequest{Mech: mech(ep11.CKM_IBM_ML_KEM_KEY_PAIR_GEN), PubKeyTemplate: attrs(ep11.CKA_IBM_PARAMETER_SET, 1)})
	s.wants(ep11.CKR_MECHANISM_INVALID, "ML-KEM-512", err)
	for _, oid := range []string{ep11.OIDDilithiumR2High, ep11.OIDDilithiumR287} {
		_, err := s.GenerateKeyPair(s.ctx(), &wire.GenerateKeyPairRequest{Mech: mech(ep11.CKM_IBM_DILITHIUM), PubKeyTemplate: attrs(ep11.CKA_IBM_PQC_PARAMS, oid)})
		s.wants(ep11.CKR_MECHANISM_INVALID, "Dilithium of round 2", err)
	}
	bip32Flow(s)
}
