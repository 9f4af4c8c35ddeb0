// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"math/big"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"

	wire "strongroom/api/gen/grep11"
	"strongroom/internal/pure/ep11"
)

// derive derives a key.
func (s *suite) derive(m *wire.Mechanism, base *wire.KeyBlob, template map[uint64]*wire.AttributeValue) *wire.DeriveKeyResponse {
	s.t.Helper()
	r, err := s.DeriveKey(s.ctx(), &wire.DeriveKeyRequest{Mech: m, Template: template, BaseKey: base})
	s.must("derive", err)
	if !bytes.Equal(r.GetNewKeyBytes(), r.GetNewKey().GetKeyBlobs()[0]) {
		s.t.Error("the two forms of a key differ")
	}
	return r
}

func agreed(m int, kdf wire.ECDH1DeriveParm_KeyDerivationFunction, public []byte) *wire.Mechanism {
	return &wire.Mechanism{Mechanism: uint64(m), Parameter: &wire.Mechanism_ECDH1DeriveParameter{ECDH1DeriveParameter: &wire.ECDH1DeriveParm{Kdf: kdf, PublicData: public}}}
}

// agreementFlow: two key pairs of the domain agree on an AES key, in both forms of the parameter; and one with a key of our own.
func agreementFlow(s *suite) {
	derive := attrs(ep11.CKA_DERIVE, true)
	aes := attrs(ep11.CKA_CLASS, ep11.CKO_SECRET_KEY, ep11.CKA_KEY_TYPE, ep11.CKK_AES, ep11.CKA_VALUE_LEN, 16, ep11.CKA_ENCRYPT, true, ep11.CKA_DECRYPT, true)
	m := mech(ep11.CKM_AES_CBC_PAD, iv(16)...)
	pair := func(curve string) (*wire.GenerateKeyPairResponse, []byte) {
		k := s.pair(ep11.CKM_EC_KEY_PAIR_GEN, derive, attrs(ep11.CKA_EC_PARAMS, curve, ep11.CKA_DERIVE, true))
		return k, spki(s.t, k.GetPubKeyBytes()).Key
	}
	for _, tc := range []struct {
		curve string
		mech  int
	}{{ep11.OIDP256, ep11.CKM_ECDH1_DERIVE}, {ep11.OIDP521, ep11.CKM_ECDH1_DERIVE}, {ep11.OIDSecp256k1, ep11.CKM_ECDH1_DERIVE}, {ep11.OIDX25519, ep11.CKM_IBM_EC_X25519},
		{ep11.OIDX448, ep11.CKM_IBM_EC_X448}} {
		a, pubA := pair(tc.curve)
		b, pubB := pair(tc.curve)
		one := s.derive(agreed(tc.mech, wire.ECDH1DeriveParm_CkdNull, pubB), a.GetPrivKey(), aes)
		two := s.derive(agreed(tc.mech, wire.ECDH1DeriveParm_CkdNull, pubA), b.GetPrivKey(), aes)
		if tc.mech == ep11.CKM_ECDH1_DERIVE {
			two = s.derive(mech(tc.mech, pubA...), b.GetPrivKey(), aes)
		}
		if got := decrypt(s, m, two.GetNewKey(), encrypt(s, m, one.GetNewKey(), []byte("agreed"))); string(got) != "agreed" {
			s.t.Errorf("%x: the two sides disagree", tc.curve)
		}
		if !bytes.Equal(one.GetCheckSum(), two.GetCheckSum()) || len(one.GetCheckSum()) < 3 {
			s.t.Errorf("check values %x and %x", one.GetCheckSum(), two.GetCheckSum())
		}
	}
	// The hybrid form gives the secret itself; another implementation agrees on it.
	a, pubA := pair(ep11.OIDP256)
	own, err := ecdh.P256().GenerateKey(rand.Reader)
	s.must("a key of our own", err)
	peer, err := ecdh.P256().NewPublicKey(pubA)
	s.must("the domain's key", err)
	secret, err := own.ECDH(peer)
	s.must("agree", err)
	k := s.derive(agreed(ep11.CKM_ECDH1_DERIVE, wire.ECDH1DeriveParm_CkdIbmHybridNull, own.PublicKey().Bytes()), a.GetPrivKey(),
		attrs(ep11.CKA_CLASS, ep11.CKO_SECRET_KEY, ep11.CKA_KEY_TYPE, ep11.CKK_GENERIC_SECRET, ep11.CKA_VALUE_LEN, 32, ep11.CKA_SIGN, true, ep11.CKA_VERIFY, true))
	r, err := s.SignSingle(s.ctx(), &wire.SignSingleRequest{Mech: mech(ep11.CKM_SHA256_HMAC), Data: []byte("data"), PrivKey: k.GetNewKey()})
	s.must("sign", err)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("data"))
	if !bytes.Equal(r.GetSignature(), mac.Sum(nil)) {
		s.t.Error("another secret than another implementation's")
	}
	_, err = s.DeriveKey(s.ctx(), &wire.DeriveKeyRequest{Mech: mech(ep11.CKM_ECDH1_DERIVE, iv(65)...), Template: aes, BaseKey: a.GetPrivKey()})
	s.wants(ep11.CKR_MECHANISM_PARAM_INVALID, "a point that is none", err)
}

func btc(kind wire.BTCDeriveParm_BTCDeriveType, index uint64, chain []byte) *wire.Mechanism {
	return &wire.Mechanism{Mechanism: ep11.CKM_IBM_BTC_DERIVE, Parameter: &wire.Mechanism_BTCDeriveParameter{BTCDeriveParameter: &wire.BTCDeriveParm{Type: kind,
		ChildKeyIndex: index, ChainCode: chain, Version: 1}}}
}

// node is the template of every step: no class, which the kind of the step decides. Clients of the hardware give no rights to sign and verify either;
// without the compatibility profile they must.
func (s *suite) node(curve string, public bool) map[uint64]*wire.AttributeValue {
	t := attrs(ep11.CKA_KEY_TYPE, ep11.CKK_EC, ep11.CKA_EC_PARAMS, curve, ep11.CKA_VALUE_LEN, 0, ep11.CKA_DERIVE, true, ep11.CKA_IBM_USE_AS_DATA, true, ep11.CKA_EXTRACTABLE, false)
	if !s.old {
		right := uint64(ep11.CKA_SIGN)
		if public {
			right = ep11.CKA_VERIFY
			delete(t, ep11.CKA_EXTRACTABLE)
		}
		t[right] = attrs(int(right), true)[right]
	}
	return t
}

// seed brings a seed in, encrypted here under a key pair of the domain.
func (s *suite) seed(seed []byte) *wire.KeyBlob {
	s.t.Helper()
	pair := s.rsa(2048, []any{ep11.CKA_UNWRAP, true}, []any{ep11.CKA_WRAP, true})
	wrapped, err := rsa.EncryptPKCS1v15(rand.Reader, rsaKey(s.t, pair.GetPubKeyBytes()), seed) //nolint:staticcheck // CKM_RSA_PKCS is what callers have; it is for those who must
	s.must("encrypt a seed", err)
	u, err := s.UnwrapKey(s.ctx(), &wire.UnwrapKeyRequest{Wrapped: wrapped, Mech: mech(ep11.CKM_RSA_PKCS), KeK: pair.GetPrivKey(),
		Template: attrs(ep11.CKA_CLASS, ep11.CKO_SECRET_KEY, ep11.CKA_KEY_TYPE, ep11.CKK_GENERIC_SECRET, ep11.CKA_VALUE_LEN, len(seed), ep11.CKA_DERIVE, true, ep11.CKA_IBM_USE_AS_DATA, true)})
	s.must("bring a seed in", err)
	return u.GetUnwrapped()
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// bip32Flow is BIP-32's test vector 2 as far as it goes without its last steps, m/0 and the public way to it, then signatures of the child.
func bip32Flow(s *suite) {
	seed := s.seed(unhex("fffcf9f6f3f0edeae7e4e1dedbd8d5d2cfccc9c6c3c0bdbab7b4b1aeaba8a5a29f9c999693908d8a8784817e7b7875726f6c696663605d5a5754514e4b484542"))
	master := s.derive(btc(wire.BTCDeriveParm_CkBIP0032MASTERK, 0, nil), seed, s.node(ep11.OIDSecp256k1, false))
	if got := hex.EncodeToString(master.GetCheckSum()); got != "60499f801b896d83179a4374aeb7822aaeaceaa0db1f85ee3e904c4defbd9689" {
		s.t.Errorf("chain code of the master %s", got)
	}
	private := s.derive(btc(wire.BTCDeriveParm_CkBIP0032PRV2PRV, 0, master.GetCheckSum()), master.GetNewKey(), s.node(ep11.OIDSecp256k1, false))
	public := s.derive(btc(wire.BTCDeriveParm_CkBIP0032PRV2PUB, 0, master.GetCheckSum()), master.GetNewKey(), s.node(ep11.OIDSecp256k1, true))
	const chain = "f0909affaa7ee7abe5dd4e100598d4dc53cd709d5a5c2cac40e7412f232f7c9c"
	if hex.EncodeToString(private.GetCheckSum()) != chain || hex.EncodeToString(public.GetCheckSum()) != chain {
		s.t.Errorf("chain codes of m/0: %x and %x", private.GetCheckSum(), public.GetCheckSum())
	}
	point, err := secp256k1.ParsePubKey(spki(s.t, public.GetNewKeyBytes()).Key)
	s.must("public key", err)
	if got := hex.EncodeToString(point.SerializeCompressed()); got != "02fc9e5af0ac8d9b3cecfe2a888e2117ba3d089d8585886c9c826b6b22a98d12ea" {
		s.t.Errorf("public key of m/0: %s", got)
	}
	s.sign(mech(ep11.CKM_ECDSA), &wire.GenerateKeyPairResponse{PrivKey: private.GetNewKey(), PubKey: public.GetNewKey()}, []byte("28 raw bytes used as digest."))
	// From the public parent alone, and from it once more.
	further := s.derive(btc(wire.BTCDeriveParm_CkBIP0032PUB2PUB, 5, public.GetCheckSum()), public.GetNewKey(), s.node(ep11.OIDSecp256k1, true))
	same := s.derive(btc(wire.BTCDeriveParm_CkBIP0032PRV2PRV, 5, private.GetCheckSum()), private.GetNewKey(), s.node(ep11.OIDSecp256k1, false))
	if !bytes.Equal(further.GetCheckSum(), same.GetCheckSum()) {
		s.t.Error("the public way gives another chain code")
	}
	s.sign(mech(ep11.CKM_ECDSA), &wire.GenerateKeyPairResponse{PrivKey: same.GetNewKey(), PubKey: further.GetNewKey()}, []byte("a child by both ways"))
	_, err = s.DeriveKey(s.ctx(), &wire.DeriveKeyRequest{Mech: btc(wire.BTCDeriveParm_CkBIP0032PUB2PUB, 1<<31, public.GetCheckSum()), Template: s.node(ep11.OIDSecp256k1, true), BaseKey: public.GetNewKey()})
	s.wants(ep11.CKR_MECHANISM_PARAM_INVALID, "a hardened child of a public key", err)
}

// slip10Flow compares chain codes of m/0'/1'/2' with another implementation's: HMAC-SHA-512 as SLIP-0010 has it, for Ed25519.
func slip10Flow(s *suite) {
	for curve, salt := range map[string]string{ep11.OIDEd25519: "ed25519 seed", ep11.OIDP256: "Nist256p1 seed", ep11.OIDSecp256k1: "Bitcoin seed"} {
		raw := bytes.Repeat([]byte{9}, 32)
		k := s.derive(btc(wire.BTCDeriveParm_CkSLIP0010MASTERK, 0, nil), s.seed(raw), s.node(curve, false))
		i := hmacOf(salt, raw)
		for _, index := range []uint32{0, 1, 2} {
			if !bytes.Equal(k.GetCheckSum(), i[32:]) {
				s.t.Fatalf("%s: chain code %x, want %x", salt, k.GetCheckSum(), i[32:])
			}
			n := uint64(index) | 1<<31
			k = s.derive(btc(wire.BTCDeriveParm_CkSLIP0010PRV2PRV, n, k.GetCheckSum()), k.GetNewKey(), s.node(curve, false))
			data := binary.BigEndian.AppendUint32(append([]byte{0}, i[:32]...), uint32(n))
			next := hmacOf(string(i[32:]), data)
			if curve != ep11.OIDEd25519 {
				next = added(curve, i, next)
			}
			i = next
		}
		if curve != ep11.OIDEd25519 {
			continue
		}
		r, err := s.SignSingle(s.ctx(), &wire.SignSingleRequest{Mech: mech(ep11.CKM_IBM_ED25519_SHA512), Data: []byte("message"), PrivKey: k.GetNewKey()})
		s.must("sign", err)
		if len(r.GetSignature()) != 64 {
			s.t.Errorf("a signature of %d bytes", len(r.GetSignature()))
		}
	}
}

func hmacOf(key string, data []byte) []byte {
	m := hmac.New(sha512.New, []byte(key))
	m.Write(data)
	return m.Sum(nil)
}

// added gives the child of a Weierstrass curve: its scalar is that of the parent plus what the HMAC gave.
func added(curve string, parent, i []byte) []byte {
	n, _ := new(big.Int).SetString("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", 16)
	if curve == ep11.OIDSecp256k1 {
		n = secp256k1.Params().N
	}
	x := new(big.Int).SetBytes(i[:32])
	x.Add(x, new(big.Int).SetBytes(parent[:32])).Mod(x, n)
	return append(x.FillBytes(make([]byte, 32)), i[32:]...)
}

func other(kind wire.ECSGParm_ECSGType) *wire.Mechanism {
	return &wire.Mechanism{Mechanism: ep11.CKM_IBM_ECDSA_OTHER, Parameter: &wire.Mechanism_ECSGParameter{ECSGParameter: &wire.ECSGParm{Type: kind}}}
}

// schnorrFlow signs 6 KiB with both variants, and checks type 5 with another implementation of the curve.
func schnorrFlow(s *suite) {
	message := bytes.Repeat([]byte("message "), 768)
	k := s.ec(ep11.OIDSecp256k1)
	s.sign(other(wire.ECSGParm_CkEcsgIbmEcsdsaS256), k, message)
	sig := s.sign(other(wire.ECSGParm_CkEcsgIbmEcsdsaComprMulti), k, message)
	if len(sig) != 64 {
		s.t.Fatalf("%d bytes", len(sig))
	}
	pub, err := secp256k1.ParsePubKey(spki(s.t, k.GetPubKeyBytes()).Key)
	s.must("public key", err)
	var r, t secp256k1.ModNScalar
	r.SetByteSlice(sig[:32])
	t.SetByteSlice(sig[32:])
	var p, rp, sg, q secp256k1.JacobianPoint
	pub.AsJacobian(&p)
	secp256k1.ScalarMultNonConst(&r, &p, &rp)
	secp256k1.ScalarBaseMultNonConst(&t, &sg)
	secp256k1.AddNonConst(&rp, &sg, &q)
	q.ToAffine()
	h := sha256.New()
	h.Write(secp256k1.NewPublicKey(&q.X, &q.Y).SerializeCompressed())
	h.Write(pub.SerializeCompressed())
	h.Write(message)
	var want secp256k1.ModNScalar
	want.SetByteSlice(h.Sum(nil))
	if !want.Equals(&r) {
		s.t.Error("another implementation does not verify type 5")
	}
}

func aggregate(mode wire.ECAGGParm_ECAGGMode, size int, elements []byte) *wire.Mechanism {
	return &wire.Mechanism{Mechanism: ep11.CKM_IBM_EC_AGGREGATE, Parameter: &wire.Mechanism_ECAGGParameter{ECAGGParameter: &wire.ECAGGParm{Mode: mode,
		PerElementSize: uint32(size), Elements: elements}}}
}

// blsFlow: ten keys sign one message; their signatures and their keys come together, and one that did not sign is found out.
func blsFlow(s *suite) {
	message := []byte("one message")
	m := other(wire.ECSGParm_CkEcsgIbmBls)
	var keys, sigs []byte
	var size int
	for range 10 {
		k := s.ec(ep11.OIDBLS12381)
		r, err := s.SignSingle(s.ctx(), &wire.SignSingleRequest{Mech: m, Data: message, PrivKey: k.GetPrivKey()})
		s.must("sign", err)
		if len(r.GetSignature()) != 192 {
			s.t.Fatalf("a signature of %d bytes", len(r.GetSignature()))
		}
		_, err = s.VerifySingle(s.ctx(), &wire.VerifySingleRequest{Mech: m, Data: message, Signature: r.GetSignature(), PubKey: k.GetPubKey()})
		s.must("verify", err)
		size = len(k.GetPubKeyBytes())
		keys, sigs = append(keys, k.GetPubKeyBytes()...), append(sigs, r.GetSignature()...)
	}
	all, err := s.SignSingle(s.ctx(), &wire.SignSingleRequest{Mech: aggregate(wire.ECAGGParm_CkIbmEcAggBLS12_381Sign, 192, sigs), Data: message})
	s.must("aggregate signatures", err)
	verify := func(sig []byte, pub *wire.KeyBlob) error {
		_, err := s.VerifySingle(s.ctx(), &wire.VerifySingleRequest{Mech: m, Data: message, Signature: sig, PubKey: pub})
		return err
	}
	s.must("verify with ten keys", verify(all.GetSignature(), blob(keys)))
	one, err := s.DeriveKey(s.ctx(), &wire.DeriveKeyRequest{Mech: aggregate(wire.ECAGGParm_CkIbmEcAggBLS12_381Pkey, size, keys), Template: attrs(ep11.CKA_VERIFY, true,
		ep11.CKA_DERIVE, true, ep11.CKA_IBM_USE_AS_DATA, true, ep11.CKA_KEY_TYPE, ep11.CKK_EC, ep11.CKA_EC_PARAMS, ep11.OIDBLS12381)})
	s.must("aggregate keys", err)
	s.must("verify with the sum of the keys", verify(all.GetSignature(), one.GetNewKey()))
	nine, err := s.SignSingle(s.ctx(), &wire.SignSingleRequest{Mech: aggregate(wire.ECAGGParm_CkIbmEcAggBLS12_381Sign, 192, sigs[192:]), Data: message})
	s.must("aggregate nine", err)
	s.wants(ep11.CKR_SIGNATURE_INVALID, "one did not sign", verify(nine.GetSignature(), blob(keys)))
	s.wants(ep11.CKR_SIGNATURE_INVALID, "one did not sign", verify(nine.GetSignature(), one.GetNewKey()))
}

// latticeFlow: ML-DSA and ML-KEM under the vendor's numbers, and the strengths of Dilithium: those that are not offered are refused as the vendor's
// example expects.
func latticeFlow(s *suite) {
	for set := 1; set <= 3; set++ {
		k := s.pair(ep11.CKM_IBM_ML_DSA_KEY_PAIR_GEN, attrs(ep11.CKA_SIGN, true), attrs(ep11.CKA_IBM_PARAMETER_SET, set, ep11.CKA_VERIFY, true))
		s.sign(mech(ep11.CKM_IBM_ML_DSA), k, []byte("a message"))
	}
	for oid, offered := range map[string]bool{ep11.OIDDilithiumR344: true, ep11.OIDDilithiumR365: true, ep11.OIDDilithiumR387: true, ep11.OIDDilithiumR2High: false} {
		req := &wire.GenerateKeyPairRequest{Mech: mech(ep11.CKM_IBM_DILITHIUM), PrivKeyTemplate: attrs(ep11.CKA_SIGN, true), PubKeyTemplate: attrs(ep11.CKA_IBM_PQC_PARAMS, oid, ep11.CKA_VERIFY, true)}
		if !s.offers(ep11.CKM_IBM_DILITHIUM) || !offered {
			_, err := s.GenerateKeyPair(s.ctx(), req)
			s.wants(ep11.CKR_MECHANISM_INVALID, "a strength that is not offered", err)
			continue
		}
		k := s.pair(ep11.CKM_IBM_DILITHIUM, req.GetPrivKeyTemplate(), req.GetPubKeyTemplate())
		s.sign(mech(ep11.CKM_IBM_DILITHIUM), k, []byte("a message"))
	}
	k := s.pair(ep11.CKM_IBM_ML_KEM_KEY_PAIR_GEN, attrs(ep11.CKA_DERIVE, true), attrs(ep11.CKA_IBM_PARAMETER_SET, 2, ep11.CKA_DERIVE, true))
	kem := func(mode wire.KyberKEMParm_KyberMode, cipher []byte) *wire.Mechanism {
		return &wire.Mechanism{Mechanism: ep11.CKM_IBM_ML_KEM, Parameter: &wire.Mechanism_KyberKEMParameter{KyberKEMParameter: &wire.KyberKEMParm{Mode: mode,
			Kdf: wire.KyberKEMParm_CkdNull, CipherText: cipher}}}
	}
	aes := attrs(ep11.CKA_CLASS, ep11.CKO_SECRET_KEY, ep11.CKA_KEY_TYPE, ep11.CKK_AES, ep11.CKA_VALUE_LEN, 32, ep11.CKA_ENCRYPT, true, ep11.CKA_DECRYPT, true)
	sent := s.derive(kem(wire.KyberKEMParm_CkIbmKEMEncapsulate, nil), k.GetPubKey(), aes)
	got := s.derive(kem(wire.KyberKEMParm_CkIbmKEMDecapsulate, sent.GetCheckSum()[7:]), k.GetPrivKey(), aes)
	m := mech(ep11.CKM_AES_CBC_PAD, iv(16)...)
	if string(decrypt(s, m, got.GetNewKey(), encrypt(s, m, sent.GetNewKey(), []byte("shared")))) != "shared" {
		s.t.Error("the two sides disagree")
	}
}

// offers says whether a mechanism is listed.
func (s *suite) offers(m uint64) bool {
	s.t.Helper()
	list, err := s.GetMechanismList(s.ctx(), &wire.GetMechanismListRequest{})
	s.must("list", err)
	return bytes.Contains(u64s(list.GetMechs()), u64s([]uint64{m}))
}

func u64s(list []uint64) (b []byte) {
	for _, m := range list {
		b = binary.BigEndian.AppendUint64(b, m)
	}
	return b
}

// groupsFlow is DSA and Diffie-Hellman: parameters come back in clear in both fields and go into key generation.
func groupsFlow(s *suite) {
	p, err := s.GenerateKey(s.ctx(), &wire.GenerateKeyRequest{Mech: mech(ep11.CKM_DSA_PARAMETER_GEN), Template: attrs(ep11.CKA_PRIME_BITS, 2048)})
	s.must("parameters of DSA", err)
	if !bytes.Equal(p.GetKeyBytes(), p.GetKey().GetKeyBlobs()[0]) {
		s.t.Error("two sets of parameters")
	}
	k := s.pair(ep11.CKM_DSA_KEY_PAIR_GEN, attrs(ep11.CKA_SIGN, true), attrs(ep11.CKA_IBM_STRUCT_PARAMS, p.GetKey().GetKeyBlobs()[0], ep11.CKA_VERIFY, true))
	s.sign(mech(ep11.CKM_DSA_SHA1), k, []byte("data"))
	p, err = s.GenerateKey(s.ctx(), &wire.GenerateKeyRequest{Mech: mech(ep11.CKM_DH_PKCS_PARAMETER_GEN), Template: attrs(ep11.CKA_PRIME_BITS, 2048)})
	s.must("parameters of DH", err)
	pair := func() (*wire.GenerateKeyPairResponse, []byte) {
		k := s.pair(ep11.CKM_DH_PKCS_KEY_PAIR_GEN, attrs(ep11.CKA_DERIVE, true), attrs(ep11.CKA_IBM_STRUCT_PARAMS, p.GetKeyBytes()))
		return k, new(big.Int).SetBytes(spki(s.t, k.GetPubKeyBytes()).Key).Bytes()
	}
	a, ya := pair()
	b, yb := pair()
	aes := attrs(ep11.CKA_CLASS, ep11.CKO_SECRET_KEY, ep11.CKA_KEY_TYPE, ep11.CKK_AES, ep11.CKA_VALUE_LEN, 16, ep11.CKA_ENCRYPT, true, ep11.CKA_DECRYPT, true)
	one, two := s.derive(mech(ep11.CKM_DH_PKCS_DERIVE, yb...), a.GetPrivKey(), aes), s.derive(mech(ep11.CKM_DH_PKCS_DERIVE, ya...), b.GetPrivKey(), aes)
	m := mech(ep11.CKM_AES_CBC_PAD, iv(16)...)
	if string(decrypt(s, m, two.GetNewKey(), encrypt(s, m, one.GetNewKey(), []byte("agreed")))) != "agreed" {
		s.t.Error("the two sides disagree")
	}
}
