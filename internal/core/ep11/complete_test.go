// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"bytes"
	"encoding/asn1"
	"math/big"
	"testing"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/pure/ep11"
)

// newComplete is a bench with every family.
func newComplete(t testing.TB) *bench {
	t.Helper()
	b := newBench(t)
	e, err := Complete()
	if err != nil {
		t.Fatal(err)
	}
	b.e = e
	return b
}

// keyPair makes a pair by a mechanism.
func (b *bench) keyPair(m uint64, private, public ep11.Template) (sk, pk []byte) {
	b.t.Helper()
	a := b.must(ep11.Call{Function: ep11.FnGenerateKeyPair, Mechanism: mech(m), Template: private, Template2: public})
	return a.Key, a.Key2
}

// derived derives a key and gives its blob and checksum.
func (b *bench) derived(m ep11.Mechanism, base []byte, t ep11.Template) ep11.Answer {
	b.t.Helper()
	return b.must(ep11.Call{Function: ep11.FnDeriveKey, Mechanism: &m, Key: base, Template: t})
}

// signs signs with one half and verifies with the other; a changed message and signature are refused.
func (b *bench) signs(m ep11.Mechanism, sk, pk []byte) {
	b.t.Helper()
	data := bytes.Repeat([]byte{0xa7}, 28)
	sig := b.must(ep11.Call{Function: ep11.FnSignSingle, Mechanism: &m, Key: sk, Data: data}).Data
	verify := ep11.Call{Function: ep11.FnVerifySingle, Mechanism: &m, Key: pk, Data: data, Signature: sig}
	b.must(verify)
	verify.Signature = flip(sig, len(sig)-2)
	b.refused(ep11.CKR_SIGNATURE_INVALID, verify)
	verify.Signature, verify.Data = sig, data[1:]
	b.refused(ep11.CKR_SIGNATURE_INVALID, verify)
	verify.Data, verify.Signature = data, sig[1:]
	b.refused(ep11.CKR_SIGNATURE_LEN_RANGE, verify)
}

// aesKey is the template of a derived AES key.
func aesKey(n uint64) ep11.Template {
	return and(number(ep11.CKA_KEY_TYPE, ep11.CKK_AES), number(ep11.CKA_VALUE_LEN, n), flags(ep11.CKA_ENCRYPT, ep11.CKA_DECRYPT))
}

// rawKey gives the key in the BIT STRING of a public key blob.
func rawKey(t testing.TB, blob []byte) []byte {
	t.Helper()
	k, _, err := ep11.ReadSPKI(blob)
	if err != nil {
		t.Fatal(err)
	}
	return k.Key
}

// TestAgreements derives the same AES key at both ends, on every curve and in both groups of DH, with the parameter in each form.
func TestAgreements(t *testing.T) {
	t.Parallel()
	b := newComplete(t)
	uses := flags(ep11.CKA_DERIVE)
	type ends struct {
		m      uint64
		sk, pk [2][]byte
		peer   func([]byte) []ep11.Mechanism
	}
	forms := func(m uint64) func([]byte) []ep11.Mechanism {
		return func(peer []byte) []ep11.Mechanism {
			return []ep11.Mechanism{{Type: m, Parameter: peer}, {Type: m, ECDH: &ep11.ECDH{KDF: ep11.CKD_NULL, Public: peer}},
				{Type: m, ECDH: &ep11.ECDH{KDF: ep11.CKD_SHA512_KDF, Public: peer, Shared: []byte("info")}}}
		}
	}
	var all []ends
	for oid, m := range map[string]uint64{ep11.OIDP224: ep11.CKM_ECDH1_DERIVE, ep11.OIDP256: ep11.CKM_ECDH1_COFACTOR_DERIVE, ep11.OIDP384: ep11.CKM_ECDH1_DERIVE,
		ep11.OIDP521: ep11.CKM_ECDH1_DERIVE, ep11.OIDSecp256k1: ep11.CKM_ECDH1_DERIVE, ep11.OIDX25519: ep11.CKM_IBM_EC_X25519, ep11.OIDX448: ep11.CKM_IBM_EC_X448} {
		e := ends{m: m, peer: forms(m)}
		for i := range 2 {
			e.sk[i], e.pk[i] = b.pair(oid, uses, uses)
		}
		all = append(all, e)
	}
	for _, bits := range []uint64{2048, 3072} {
		group := b.must(ep11.Call{Function: ep11.FnGenerateKey, Mechanism: mech(ep11.CKM_DH_PKCS_PARAMETER_GEN), Template: number(ep11.CKA_PRIME_BITS, bits)}).Key
		e := ends{m: ep11.CKM_DH_PKCS_DERIVE, peer: func(peer []byte) []ep11.Mechanism {
			return []ep11.Mechanism{{Type: ep11.CKM_DH_PKCS_DERIVE, Parameter: new(big.Int).SetBytes(peer).Bytes()}}
		}}
		for i := range 2 {
			e.sk[i], e.pk[i] = b.keyPair(ep11.CKM_DH_PKCS_KEY_PAIR_GEN, uses, and(uses, ep11.Template{ep11.CKA_IBM_STRUCT_PARAMS: ep11.Bytes(group)}))
		}
		all = append(all, e)
	}
	for _, e := range all {
		mine, theirs := e.peer(rawKey(t, e.pk[1])), e.peer(rawKey(t, e.pk[0]))
		for i := range mine {
			x, y := b.derived(mine[i], e.sk[0], aesKey(16)), b.derived(theirs[i], e.sk[1], aesKey(16))
			if !bytes.Equal(x.CheckSum, y.CheckSum) || len(x.CheckSum) != 7 {
				t.Errorf("%s: the ends have different keys", ep11.MechanismName(e.m))
			}
			iv := withIV(ep11.CKM_AES_CBC_PAD, make([]byte, 16))
			sealed := b.must(ep11.Call{Function: ep11.FnEncryptSingle, Mechanism: iv, Key: x.Key, Data: []byte("hello")}).Data
			if got := b.must(ep11.Call{Function: ep11.FnDecryptSingle, Mechanism: iv, Key: y.Key, Data: sealed}).Data; string(got) != "hello" {
				t.Errorf("got %q", got)
			}
		}
		b.refused(ep11.CKR_MECHANISM_PARAM_INVALID, ep11.Call{Function: ep11.FnDeriveKey, Mechanism: mech(e.m), Key: e.sk[0], Template: aesKey(16)})
	}
}

// TestSignatureFamilies signs and verifies with each key type of the further families.
func TestSignatureFamilies(t *testing.T) {
	t.Parallel()
	b := newComplete(t)
	private, public := flags(ep11.CKA_SIGN, ep11.CKA_EXTRACTABLE), flags(ep11.CKA_VERIFY)
	kindOf := func(kind uint64) ep11.Mechanism {
		return ep11.Mechanism{Type: ep11.CKM_IBM_ECDSA_OTHER, Sign: &ep11.ECSign{Type: kind}}
	}
	for _, oid := range []string{ep11.OIDP256, ep11.OIDSecp256k1} {
		sk, pk := b.pair(oid, private, public)
		b.signs(kindOf(ep11.CK_ECSG_S256), sk, pk)
		b.signs(kindOf(ep11.CK_ECSG_COMPR_MULTI), sk, pk)
	}
	dsa := b.must(ep11.Call{Function: ep11.FnGenerateKey, Mechanism: mech(ep11.CKM_DSA_PARAMETER_GEN), Template: number(ep11.CKA_PRIME_BITS, 2048)}).Key
	for _, tt := range []struct {
		generate   uint64
		params     ep11.Template
		mechanisms []ep11.Mechanism
	}{
		{ep11.CKM_DSA_KEY_PAIR_GEN, ep11.Template{ep11.CKA_IBM_STRUCT_PARAMS: ep11.Bytes(dsa)}, []ep11.Mechanism{{Type: ep11.CKM_DSA}, {Type: ep11.CKM_DSA_SHA1}, {Type: ep11.CKM_DSA_SHA224}, {Type: ep11.CKM_DSA_SHA256}}},
		{ep11.CKM_EC_KEY_PAIR_GEN, bytesOf(ep11.CKA_EC_PARAMS, ep11.OIDEd448), []ep11.Mechanism{{Type: ep11.CKM_IBM_ED448_SHA3}}},
		{ep11.CKM_EC_KEY_PAIR_GEN, bytesOf(ep11.CKA_EC_PARAMS, ep11.OIDBLS12381), []ep11.Mechanism{kindOf(ep11.CK_ECSG_BLS)}},
		{ep11.CKM_IBM_DILITHIUM, bytesOf(ep11.CKA_IBM_PQC_PARAMS, ep11.OIDDilithiumR344), []ep11.Mechanism{{Type: ep11.CKM_IBM_DILITHIUM}}},
		{ep11.CKM_IBM_DILITHIUM, bytesOf(ep11.CKA_IBM_PQC_PARAMS, ep11.OIDDilithiumR365), []ep11.Mechanism{{Type: ep11.CKM_IBM_DILITHIUM}}},
		{ep11.CKM_IBM_DILITHIUM, bytesOf(ep11.CKA_IBM_PQC_PARAMS, ep11.OIDDilithiumR387), []ep11.Mechanism{{Type: ep11.CKM_IBM_DILITHIUM}}},
		{ep11.CKM_IBM_ML_DSA_KEY_PAIR_GEN, number(ep11.CKA_IBM_PARAMETER_SET, 1), []ep11.Mechanism{{Type: ep11.CKM_IBM_ML_DSA}, {Type: ep11.CKM_ML_DSA}}},
		{ep11.CKM_ML_DSA_KEY_PAIR_GEN, and(number(ep11.CKA_PARAMETER_SET, 2), number(ep11.CKA_KEY_TYPE, ep11.CKK_ML_DSA)), []ep11.Mechanism{{Type: ep11.CKM_IBM_ML_DSA}, {Type: ep11.CKM_ML_DSA}}},
		{ep11.CKM_ML_DSA_KEY_PAIR_GEN, number(ep11.CKA_PARAMETER_SET, 3), []ep11.Mechanism{{Type: ep11.CKM_ML_DSA}}},
	} {
		sk, pk := b.keyPair(tt.generate, private, and(public, tt.params))
		k, _, err := ep11.ReadSPKI(pk)
		if err != nil {
			t.Fatal(err)
		}
		again, err := b.imported(b.exported(sk), k.Type, private) // out as PKCS#8 and in again
		if err != nil {
			t.Fatalf("%x: %v", k.Params, err)
		}
		for _, m := range tt.mechanisms {
			b.signs(m, sk, pk)
			b.signs(m, again, pk)
			b.signs(m, sk, k.SPKI()) // bare
			b.refused(ep11.CKR_KEY_TYPE_INCONSISTENT, ep11.Call{Function: ep11.FnSignSingle, Mechanism: mech(ep11.CKM_SHA256_RSA_PKCS), Key: sk, Data: []byte("x")})
		}
	}
	for _, oid := range []string{ep11.OIDDilithiumR2High, ep11.OIDDilithiumR287} { // clients stop there without failing
		b.refused(ep11.CKR_MECHANISM_INVALID, ep11.Call{Function: ep11.FnGenerateKeyPair, Mechanism: mech(ep11.CKM_IBM_DILITHIUM), Template: private, Template2: bytesOf(ep11.CKA_IBM_PQC_PARAMS, oid)})
	}
	b.refused(ep11.CKR_MECHANISM_INVALID, ep11.Call{Function: ep11.FnGenerateKeyPair, Mechanism: mech(ep11.CKM_IBM_KYBER), Template: private, Template2: bytesOf(ep11.CKA_IBM_PQC_PARAMS, ep11.OIDKyberR2768)})
}

// TestAggregate does what a client of BLS does: ten keys sign one message, the signatures and the keys are added up, in every way there is.
func TestAggregate(t *testing.T) {
	t.Parallel()
	b := newComplete(t)
	m := ep11.Mechanism{Type: ep11.CKM_IBM_ECDSA_OTHER, Sign: &ep11.ECSign{Type: ep11.CK_ECSG_BLS}}
	data := []byte("one message")
	uses := flags(ep11.CKA_VERIFY, ep11.CKA_DERIVE, ep11.CKA_IBM_USE_AS_DATA)
	var keys, sigs [][]byte
	for range 10 {
		sk, pk := b.pair(ep11.OIDBLS12381, flags(ep11.CKA_SIGN), uses)
		keys = append(keys, pk)
		sigs = append(sigs, b.must(ep11.Call{Function: ep11.FnSignSingle, Mechanism: &m, Key: sk, Data: data}).Data)
	}
	aggregate := func(mode, size uint64, parts ...[]byte) ep11.Mechanism {
		return ep11.Mechanism{Type: ep11.CKM_IBM_EC_AGGREGATE, Aggregate: &ep11.Aggregate{Mode: mode, Size: size, Elements: bytes.Join(parts, nil)}}
	}
	adding := aggregate(ep11.CK_AGGREGATE_SIGN, 192, sigs...)
	all := b.must(ep11.Call{Function: ep11.FnSignSingle, Mechanism: &adding, Data: data}).Data
	sum := b.derived(aggregate(ep11.CK_AGGREGATE_PUBLIC, uint64(len(keys[0])), keys...), nil,
		and(uses, number(ep11.CKA_KEY_TYPE, ep11.CKK_EC), bytesOf(ep11.CKA_EC_PARAMS, ep11.OIDBLS12381))).Key
	nine := aggregate(ep11.CK_AGGREGATE_SIGN, 192, sigs[1:]...)
	partial := b.must(ep11.Call{Function: ep11.FnSignSingle, Mechanism: &nine, Data: data}).Data
	for _, public := range [][]byte{sum, bytes.Join(keys, nil)} {
		b.must(ep11.Call{Function: ep11.FnVerifySingle, Mechanism: &m, Key: public, Data: data, Signature: all})
		b.refused(ep11.CKR_SIGNATURE_INVALID, ep11.Call{Function: ep11.FnVerifySingle, Mechanism: &m, Key: public, Data: data, Signature: partial})
	}
	if raw := rawKey(t, sum); len(raw) != 97 || raw[0] != 4 || len(all) != 192 {
		t.Errorf("a key of %d and a signature of %d bytes", len(raw), len(all))
	}
	b.refused(ep11.CKR_MECHANISM_PARAM_INVALID, ep11.Call{Function: ep11.FnSignSingle, Mechanism: mech(ep11.CKM_IBM_EC_AGGREGATE), Data: data})
}

// TestWalletChain walks a chain as clients do, with the checksum of one step as the chain code of the next, and signs with what comes out.
func TestWalletChain(t *testing.T) {
	t.Parallel()
	b := newComplete(t)
	seed := b.generic(32, flags(ep11.CKA_DERIVE, ep11.CKA_IBM_USE_AS_DATA))
	for _, tt := range []struct {
		oid                      string
		master, private, public  uint64
		toPublic                 uint64
		index                    uint64
		sign                     uint64
		publicDerivesFromPrivate bool
	}{
		{ep11.OIDSecp256k1, ep11.CK_BIP0032_MASTERK, ep11.CK_BIP0032_PRV2PRV, ep11.CK_BIP0032_PUB2PUB, ep11.CK_BIP0032_PRV2PUB, 0, ep11.CKM_ECDSA, true},
		{ep11.OIDP256, ep11.CK_SLIP0010_MASTERK, ep11.CK_SLIP0010_PRV2PRV, ep11.CK_SLIP0010_PUB2PUB, ep11.CK_SLIP0010_PRV2PUB, 0, ep11.CKM_ECDSA, true},
		{ep11.OIDEd25519, ep11.CK_SLIP0010_MASTERK, ep11.CK_SLIP0010_PRV2PRV, 0, ep11.CK_SLIP0010_PRV2PUB, 1<<31 + 2, ep11.CKM_IBM_ED25519_SHA512, false},
	} {
		template := and(flags(ep11.CKA_DERIVE, ep11.CKA_IBM_USE_AS_DATA), number(ep11.CKA_KEY_TYPE, ep11.CKK_EC), bytesOf(ep11.CKA_EC_PARAMS, tt.oid), number(ep11.CKA_VALUE_LEN, 0),
			ep11.Template{ep11.CKA_EXTRACTABLE: ep11.Bool(false)})
		step := func(kind, index uint64, base, chain []byte) ep11.Answer {
			t.Helper()
			return b.derived(ep11.Mechanism{Type: ep11.CKM_IBM_BTC_DERIVE, BTC: &ep11.BTC{Type: kind, Index: index, ChainCode: chain, Version: 1}}, base, template)
		}
		master := step(tt.master, 0, seed, nil)
		child := step(tt.private, tt.index, master.Key, master.CheckSum)
		half := step(tt.toPublic, tt.index, master.Key, master.CheckSum)
		if len(master.CheckSum) != 32 || !bytes.Equal(child.CheckSum, half.CheckSum) {
			t.Fatalf("chain codes of %d bytes, %x and %x", len(master.CheckSum), child.CheckSum, half.CheckSum)
		}
		b.signs(ep11.Mechanism{Type: tt.sign}, child.Key, half.Key)
		grand := step(tt.private, tt.index, child.Key, child.CheckSum)
		if !tt.publicDerivesFromPrivate {
			continue
		}
		fromPublic := step(tt.public, tt.index, half.Key, half.CheckSum)
		b.signs(ep11.Mechanism{Type: tt.sign}, grand.Key, fromPublic.Key)
		b.refused(ep11.CKR_KEY_TYPE_INCONSISTENT, ep11.Call{Function: ep11.FnDeriveKey, Key: half.Key, Template: template, Mechanism: &ep11.Mechanism{Type: ep11.CKM_IBM_BTC_DERIVE,
			BTC: &ep11.BTC{Type: tt.private, ChainCode: half.CheckSum, Version: 1}}})
	}
	plain := b.generic(32, flags(ep11.CKA_DERIVE)) // without USE_AS_DATA
	b.refused(ep11.CKR_KEY_FUNCTION_NOT_PERMITTED, ep11.Call{Function: ep11.FnDeriveKey, Key: plain, Template: bytesOf(ep11.CKA_EC_PARAMS, ep11.OIDSecp256k1),
		Mechanism: &ep11.Mechanism{Type: ep11.CKM_IBM_BTC_DERIVE, BTC: &ep11.BTC{Type: ep11.CK_BIP0032_MASTERK, Version: 1}}})
}

// TestEncapsulations: both ends get one key, alone and with a secret from an agreement; the ciphertext stands behind check value and length.
func TestEncapsulations(t *testing.T) {
	t.Parallel()
	b := newComplete(t)
	other := b.generic(32, flags(ep11.CKA_IBM_USE_AS_DATA))
	for _, tt := range []struct {
		generate, m uint64
		params      ep11.Template
		cipher      int
	}{
		{ep11.CKM_IBM_ML_KEM_KEY_PAIR_GEN, ep11.CKM_IBM_ML_KEM, number(ep11.CKA_IBM_PARAMETER_SET, 2), 1088},
		{ep11.CKM_ML_KEM_KEY_PAIR_GEN, ep11.CKM_ML_KEM, number(ep11.CKA_PARAMETER_SET, 3), 1568},
	} {
		sk, pk := b.keyPair(tt.generate, flags(ep11.CKA_DERIVE, ep11.CKA_EXTRACTABLE), and(tt.params, flags(ep11.CKA_DERIVE)))
		again, err := b.imported(b.exported(sk), ep11.CKK_IBM_ML_KEM, flags(ep11.CKA_DERIVE))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range []ep11.Kyber{{KDF: ep11.CKD_NULL}, {KDF: ep11.CKD_HYBRID_NULL, Blob: other}, {KDF: ep11.CKD_HYBRID_SHA512_KDF, Blob: other, Prepend: true, Shared: []byte("info")}} {
			send, receive, template := p, p, aesKey(32)
			if p.KDF == ep11.CKD_HYBRID_NULL {
				template = number(ep11.CKA_VALUE_LEN, 64)
			}
			send.Mode, receive.Mode = ep11.CK_KEM_ENCAPSULATE, ep11.CK_KEM_DECAPSULATE
			sent := b.derived(ep11.Mechanism{Type: tt.m, Kyber: &send}, pk, template)
			if len(sent.CheckSum) != 7+tt.cipher {
				t.Fatalf("a checksum of %d bytes", len(sent.CheckSum))
			}
			receive.Cipher = sent.CheckSum[7:]
			for _, private := range [][]byte{sk, again} {
				if got := b.derived(ep11.Mechanism{Type: tt.m, Kyber: &receive}, private, template); !bytes.Equal(got.CheckSum, sent.CheckSum[:7]) {
					t.Errorf("check values %x and %x", got.CheckSum, sent.CheckSum[:7])
				}
			}
		}
	}
}

// TestDerivationsOfKeys: a DES key and a generic one give AES keys by encryption and by hash, the same each time.
func TestDerivationsOfKeys(t *testing.T) {
	t.Parallel()
	b := newComplete(t)
	des := b.must(ep11.Call{Function: ep11.FnGenerateKey, Mechanism: mech(ep11.CKM_DES3_KEY_GEN), Template: and(flags(ep11.CKA_DERIVE), number(ep11.CKA_VALUE_LEN, 32))}).Key
	generic := b.generic(32, flags(ep11.CKA_DERIVE))
	for _, tt := range []struct {
		m    ep11.Mechanism
		base []byte
	}{
		{ep11.Mechanism{Type: ep11.CKM_DES3_ECB_ENCRYPT_DATA, Parameter: make([]byte, 32)}, des}, {ep11.Mechanism{Type: ep11.CKM_SHA1_KEY_DERIVATION}, generic},
		{ep11.Mechanism{Type: ep11.CKM_SHA224_KEY_DERIVATION}, generic}, {ep11.Mechanism{Type: ep11.CKM_SHA256_KEY_DERIVATION}, generic},
		{ep11.Mechanism{Type: ep11.CKM_SHA384_KEY_DERIVATION}, generic}, {ep11.Mechanism{Type: ep11.CKM_SHA512_KEY_DERIVATION}, generic},
	} {
		one, two := b.derived(tt.m, tt.base, aesKey(16)), b.derived(tt.m, tt.base, aesKey(16))
		if !bytes.Equal(one.CheckSum, two.CheckSum) || bytes.Equal(one.Key, two.Key) {
			t.Errorf("%s: the same key twice has other check values, or the same blob", ep11.MechanismName(tt.m.Type))
		}
	}
}

// TestCompleteList: what is offered can be found and has code, and what there is no code for is not listed.
func TestCompleteList(t *testing.T) {
	t.Parallel()
	b := newComplete(t)
	listed := map[uint64]bool{}
	for _, m := range b.must(ep11.Call{Function: ep11.FnGetMechanismList}).Mechanisms {
		listed[m] = true
		if len(b.e.rows[m]) == 0 && m != ep11.CKM_IBM_TRANSPORTKEY && m != ep11.CKM_IBM_ATTRIBUTEBOUND_WRAP {
			if r, _ := ep11.Find(m); r.Flags&ep11.CKF_DIGEST == 0 {
				t.Errorf("%s has no code", ep11.MechanismName(m))
			}
		}
	}
	for _, m := range []uint64{ep11.CKM_IBM_KYBER, ep11.CKM_IBM_ETH_DERIVE, ep11.CKM_IBM_ECDH1_DERIVE_RAW, ep11.CKM_IBM_DH_PKCS_DERIVE_RAW} {
		if listed[m] {
			t.Errorf("%s is listed", ep11.MechanismName(m))
		}
	}
	for _, set := range b.e.rows {
		for _, r := range set {
			if !listed[r.Mechanism] {
				t.Errorf("%s has code and is not listed", ep11.MechanismName(r.Mechanism))
			}
			for _, k := range r.Generates {
				if b.e.keys[k] == nil {
					t.Errorf("%s makes keys of type 0x%x that nobody knows", ep11.MechanismName(r.Mechanism), k.Type)
				}
			}
			for _, k := range r.Keys {
				if k != (family.KeyType{}) && b.e.keys[k] == nil {
					t.Errorf("%s takes keys of type 0x%x %x that nobody makes", ep11.MechanismName(r.Mechanism), k.Type, k.Params)
				}
			}
		}
	}
}

// TestDomainParameters: parameters are DER, and the two groups of numbers in equal width are taken too.
func TestDomainParameters(t *testing.T) {
	t.Parallel()
	b := newComplete(t)
	group := b.must(ep11.Call{Function: ep11.FnGenerateKey, Mechanism: mech(ep11.CKM_DH_PKCS_PARAMETER_GEN), Template: number(ep11.CKA_PRIME_BITS, 2048)}).Key
	var numbers struct{ P, G *big.Int }
	if rest, err := asn1.Unmarshal(group, &numbers); err != nil || len(rest) != 0 {
		t.Fatal(err)
	}
	wide := append(numbers.P.FillBytes(make([]byte, 256)), numbers.G.FillBytes(make([]byte, 256))...)
	sk, pk := b.keyPair(ep11.CKM_DH_PKCS_KEY_PAIR_GEN, flags(ep11.CKA_DERIVE), ep11.Template{ep11.CKA_IBM_STRUCT_PARAMS: ep11.Bytes(wide)})
	b.derived(ep11.Mechanism{Type: ep11.CKM_DH_PKCS_DERIVE, Parameter: rawKey(t, pk)}, sk, aesKey(32))
	wide[0] ^= 0x10
	b.refused(ep11.CKR_DOMAIN_PARAMS_INVALID, ep11.Call{Function: ep11.FnGenerateKeyPair, Mechanism: mech(ep11.CKM_DH_PKCS_KEY_PAIR_GEN), Template: flags(ep11.CKA_DERIVE),
		Template2: ep11.Template{ep11.CKA_IBM_STRUCT_PARAMS: ep11.Bytes(wide)}})
	b.refused(ep11.CKR_TEMPLATE_INCOMPLETE, ep11.Call{Function: ep11.FnGenerateKeyPair, Mechanism: mech(ep11.CKM_DH_PKCS_KEY_PAIR_GEN), Template: flags(ep11.CKA_DERIVE)})
}
