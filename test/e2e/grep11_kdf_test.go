// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/rand"
	"encoding/binary"
	"fmt"

	wire "strongroom/api/gen/grep11"
	"strongroom/internal/pure/ep11"
)

// x963 is the key derivation function of ANSI X9.63 (SEC 1, 3.6.1), written from it.
func x963(h crypto.Hash, z, info []byte, n int) (out []byte) {
	for i := uint32(1); len(out) < n; i++ {
		d := h.New()
		d.Write(z)
		d.Write(binary.BigEndian.AppendUint32(nil, i))
		d.Write(info)
		out = d.Sum(out)
	}
	return out[:n]
}

// isAES requires that a key of the domain's that encrypts is a known one.
func (s *suite) isAES(what string, k *wire.KeyBlob, want []byte) {
	s.t.Helper()
	block, err := aes.NewCipher(want)
	s.must(what, err)
	out := make([]byte, aes.BlockSize)
	block.Encrypt(out, make([]byte, aes.BlockSize))
	if got := encrypt(s, mech(ep11.CKM_AES_ECB), k, make([]byte, aes.BlockSize)); !bytes.Equal(got, out) {
		s.t.Errorf("%s: another key", what)
	}
}

// agreedKeys derives keys with each function of ECDH1, from a secret that is agreed with a key of our own, and compares them with the standard's.
func agreedKeys(s *suite) {
	k := s.pair(ep11.CKM_EC_KEY_PAIR_GEN, attrs(ep11.CKA_DERIVE, true), attrs(ep11.CKA_EC_PARAMS, ep11.OIDP256, ep11.CKA_DERIVE, true))
	own, err := ecdh.P256().GenerateKey(rand.Reader)
	s.must("a key of our own", err)
	peer, err := ecdh.P256().NewPublicKey(spki(s.t, k.GetPubKeyBytes()).Key)
	s.must("the domain's key", err)
	z, err := own.ECDH(peer)
	s.must("agree", err)
	for kdf, h := range map[wire.ECDH1DeriveParm_KeyDerivationFunction]crypto.Hash{wire.ECDH1DeriveParm_CkdSha1Kdf: crypto.SHA1, wire.ECDH1DeriveParm_CkdSha224Kdf: crypto.SHA224,
		wire.ECDH1DeriveParm_CkdSha256Kdf: crypto.SHA256, wire.ECDH1DeriveParm_CkdSha384Kdf: crypto.SHA384, wire.ECDH1DeriveParm_CkdSha512Kdf: crypto.SHA512} {
		for _, info := range []string{"", "shared data"} {
			m := agreed(ep11.CKM_ECDH1_DERIVE, kdf, own.PublicKey().Bytes())
			m.GetECDH1DeriveParameter().SharedData = []byte(info)
			got := s.derive(m, k.GetPrivKey(), attrs(ep11.CKA_KEY_TYPE, ep11.CKK_AES, ep11.CKA_VALUE_LEN, 32, ep11.CKA_ENCRYPT, true))
			s.isAES(fmt.Sprintf("%v %q", kdf, info), got.GetNewKey(), x963(h, z, []byte(info), 32))
		}
	}
	for _, n := range []int{16, 24, 32} { // without a function: the last bytes
		got := s.derive(mech(ep11.CKM_ECDH1_DERIVE, own.PublicKey().Bytes()...), k.GetPrivKey(), attrs(ep11.CKA_KEY_TYPE, ep11.CKK_AES, ep11.CKA_VALUE_LEN, n, ep11.CKA_ENCRYPT, true))
		s.isAES(fmt.Sprintf("%d bytes of the secret", n), got.GetNewKey(), z[len(z)-n:])
	}
	for _, kdf := range []wire.ECDH1DeriveParm_KeyDerivationFunction{0, 3, 4, 99} {
		_, err := s.DeriveKey(s.ctx(), &wire.DeriveKeyRequest{Mech: agreed(ep11.CKM_ECDH1_DERIVE, kdf, own.PublicKey().Bytes()), BaseKey: k.GetPrivKey(),
			Template: attrs(ep11.CKA_KEY_TYPE, ep11.CKK_AES, ep11.CKA_VALUE_LEN, 16)})
		s.wants(ep11.CKR_MECHANISM_PARAM_INVALID, fmt.Sprintf("function %d", kdf), err)
	}
}

// hybridKeys encapsulates with Go's own ML-KEM, has the domain decapsulate and combine with another secret in each way there is, and compares.
func hybridKeys(in *bringer) {
	k := in.pair(ep11.CKM_IBM_ML_KEM_KEY_PAIR_GEN, attrs(ep11.CKA_DERIVE, true), attrs(ep11.CKA_IBM_PARAMETER_SET, 2, ep11.CKA_DERIVE, true))
	public, err := mlkem.NewEncapsulationKey768(spki(in.t, k.GetPubKeyBytes()).Key)
	in.must("the domain's key", err)
	shared, cipher := public.Encapsulate()
	second := make([]byte, 32)
	rand.Read(second)
	other := in.brought(second, ep11.CKK_GENERIC_SECRET, ep11.CKA_IBM_USE_AS_DATA)
	noData := in.brought(second, ep11.CKK_GENERIC_SECRET, ep11.CKA_DERIVE)
	template := attrs(ep11.CKA_KEY_TYPE, ep11.CKK_AES, ep11.CKA_VALUE_LEN, 32, ep11.CKA_ENCRYPT, true)
	kem := func(kdf wire.KyberKEMParm_KyberDeriveType, prepend bool, blob []byte) *wire.Mechanism {
		return &wire.Mechanism{Mechanism: ep11.CKM_IBM_ML_KEM, Parameter: &wire.Mechanism_KyberKEMParameter{KyberKEMParameter: &wire.KyberKEMParm{Mode: wire.KyberKEMParm_CkIbmKEMDecapsulate,
			Kdf: kdf, CipherText: cipher, SharedData: []byte("shared data"), Prepend: prepend, Blob: blob}}}
	}
	alone := kem(wire.KyberKEMParm_CkdNull, false, nil)
	alone.GetKyberKEMParameter().SharedData = nil
	in.isAES("alone", in.derive(alone, k.GetPrivKey(), template).GetNewKey(), shared)
	for kdf, h := range map[wire.KyberKEMParm_KyberDeriveType]crypto.Hash{wire.KyberKEMParm_CkdIbmHybridSha1Kdf: crypto.SHA1, wire.KyberKEMParm_CkdIbmHybridSha224Kdf: crypto.SHA224,
		wire.KyberKEMParm_CkdIbmHybridSha256Kdf: crypto.SHA256, wire.KyberKEMParm_CkdIbmHybridSha384Kdf: crypto.SHA384, wire.KyberKEMParm_CkdIbmHybridSha512Kdf: crypto.SHA512} {
		for _, prepend := range []bool{false, true} {
			z := append(bytes.Clone(second), shared...)
			if prepend {
				z = append(bytes.Clone(shared), second...)
			}
			got := in.derive(kem(kdf, prepend, other.GetUnwrappedBytes()), k.GetPrivKey(), template)
			in.isAES(fmt.Sprintf("%v, prepend %v", kdf, prepend), got.GetNewKey(), x963(h, z, []byte("shared data"), 32))
		}
	}
	fails := func(what string, want ep11.Code, m *wire.Mechanism) {
		in.t.Helper()
		_, err := in.DeriveKey(in.ctx(), &wire.DeriveKeyRequest{Mech: m, BaseKey: k.GetPrivKey(), Template: template})
		in.wants(want, what, err)
	}
	fails("a second secret that is not for that", ep11.CKR_KEY_FUNCTION_NOT_PERMITTED, kem(wire.KyberKEMParm_CkdIbmHybridSha256Kdf, false, noData.GetUnwrappedBytes()))
	fails("both secrets as they are", ep11.CKR_MECHANISM_PARAM_INVALID, kem(wire.KyberKEMParm_CkdIbmHybridNull, false, other.GetUnwrappedBytes()))
	alone.GetKyberKEMParameter().CipherText = cipher[1:]
	fails("a ciphertext that is too short", ep11.CKR_MECHANISM_PARAM_INVALID, alone)
}
