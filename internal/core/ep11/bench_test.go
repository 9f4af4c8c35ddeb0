// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"testing"

	"strongroom/internal/pure/ep11"
)

// BenchmarkFamilies signs or derives once with each of the further families, through the engine: blobs are opened, and signatures verified before
// they are given out. docs/adr/0020-algorithms-for-applications.md has results.
func BenchmarkFamilies(bm *testing.B) {
	b := newComplete(bm)
	sign := func(name string, m ep11.Mechanism, sk []byte) {
		bm.Run(name, func(bm *testing.B) {
			for bm.Loop() {
				b.must(ep11.Call{Function: ep11.FnSignSingle, Mechanism: &m, Key: sk, Data: make([]byte, 32)})
			}
		})
	}
	agree := func(name string, m ep11.Mechanism, sk []byte) {
		bm.Run(name, func(bm *testing.B) {
			for bm.Loop() {
				b.derived(m, sk, aesKey(16))
			}
		})
	}
	signing, verifying, deriving := flags(ep11.CKA_SIGN), flags(ep11.CKA_VERIFY), flags(ep11.CKA_DERIVE)
	schnorr := ep11.Mechanism{Type: ep11.CKM_IBM_ECDSA_OTHER, Sign: &ep11.ECSign{Type: ep11.CK_ECSG_COMPR_MULTI}}
	for name, oid := range map[string]string{"P-256": ep11.OIDP256, "secp256k1": ep11.OIDSecp256k1} {
		sk, _ := b.pair(oid, signing, verifying)
		sign("schnorr/"+name, schnorr, sk)
	}
	sk, _ := b.pair(ep11.OIDEd448, signing, verifying)
	sign("ed448", ep11.Mechanism{Type: ep11.CKM_IBM_ED448_SHA3}, sk)
	group := b.must(ep11.Call{Function: ep11.FnGenerateKey, Mechanism: mech(ep11.CKM_DSA_PARAMETER_GEN), Template: number(ep11.CKA_PRIME_BITS, 2048)}).Key
	sk, _ = b.keyPair(ep11.CKM_DSA_KEY_PAIR_GEN, signing, and(verifying, ep11.Template{ep11.CKA_IBM_STRUCT_PARAMS: ep11.Bytes(group)}))
	sign("dsa-2048", ep11.Mechanism{Type: ep11.CKM_DSA}, sk)
	sk, _ = b.keyPair(ep11.CKM_IBM_DILITHIUM, signing, and(verifying, bytesOf(ep11.CKA_IBM_PQC_PARAMS, ep11.OIDDilithiumR365)))
	sign("dilithium-6-5", ep11.Mechanism{Type: ep11.CKM_IBM_DILITHIUM}, sk)
	sk, _ = b.keyPair(ep11.CKM_ML_DSA_KEY_PAIR_GEN, signing, and(verifying, number(ep11.CKA_PARAMETER_SET, 2)))
	sign("ml-dsa-65", ep11.Mechanism{Type: ep11.CKM_ML_DSA}, sk)
	for name, oid := range map[string]string{"P-224": ep11.OIDP224, "P-256": ep11.OIDP256, "P-521": ep11.OIDP521, "secp256k1": ep11.OIDSecp256k1} {
		sk, pk := b.pair(oid, deriving, deriving)
		agree("ecdh/"+name, ep11.Mechanism{Type: ep11.CKM_ECDH1_DERIVE, Parameter: rawKey(bm, pk)}, sk)
	}
	for name, k := range map[string]struct {
		oid string
		m   uint64
	}{"x25519": {ep11.OIDX25519, ep11.CKM_IBM_EC_X25519}, "x448": {ep11.OIDX448, ep11.CKM_IBM_EC_X448}} {
		sk, pk := b.pair(k.oid, deriving, deriving)
		agree(name, ep11.Mechanism{Type: k.m, Parameter: rawKey(bm, pk)}, sk)
	}
	group = b.must(ep11.Call{Function: ep11.FnGenerateKey, Mechanism: mech(ep11.CKM_DH_PKCS_PARAMETER_GEN), Template: number(ep11.CKA_PRIME_BITS, 2048)}).Key
	sk, pk := b.keyPair(ep11.CKM_DH_PKCS_KEY_PAIR_GEN, deriving, and(deriving, ep11.Template{ep11.CKA_IBM_STRUCT_PARAMS: ep11.Bytes(group)}))
	agree("dh-2048", ep11.Mechanism{Type: ep11.CKM_DH_PKCS_DERIVE, Parameter: rawKey(bm, pk)}, sk)
}
