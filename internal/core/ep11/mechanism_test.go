// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"bytes"
	"slices"
	"testing"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/pure/points"
)

// keyring has keys of each type of the classical families that may do everything; secret ones stand in both.
func keyring(b *bench) (private, public map[family.KeyType][]byte) {
	private, public = map[family.KeyType][]byte{}, map[family.KeyType][]byte{}
	all := flags(ep11.CKA_ENCRYPT, ep11.CKA_DECRYPT, ep11.CKA_WRAP, ep11.CKA_UNWRAP, ep11.CKA_SIGN, ep11.CKA_VERIFY, ep11.CKA_DERIVE)
	for m, types := range map[uint64][]uint64{
		ep11.CKM_AES_KEY_GEN: {ep11.CKK_AES}, ep11.CKM_DES2_KEY_GEN: {ep11.CKK_DES2}, ep11.CKM_DES3_KEY_GEN: {ep11.CKK_DES3},
		ep11.CKM_GENERIC_SECRET_KEY_GEN: {ep11.CKK_GENERIC_SECRET, ep11.CKK_SHA_1_HMAC, ep11.CKK_SHA224_HMAC, ep11.CKK_SHA256_HMAC, ep11.CKK_SHA384_HMAC, ep11.CKK_SHA512_HMAC},
	} {
		for _, ckk := range types {
			k := b.must(ep11.Call{Function: ep11.FnGenerateKey, Mechanism: mech(m), Template: and(all, number(ep11.CKA_VALUE_LEN, 32), number(ep11.CKA_KEY_TYPE, ckk))}).Key
			private[family.KeyType{Type: ckk}], public[family.KeyType{Type: ckk}] = k, k
		}
	}
	secretUses := flags(ep11.CKA_DECRYPT, ep11.CKA_UNWRAP, ep11.CKA_SIGN, ep11.CKA_DERIVE)
	publicUses := flags(ep11.CKA_ENCRYPT, ep11.CKA_WRAP, ep11.CKA_VERIFY)
	for _, curve := range []string{ep11.OIDP224, ep11.OIDP256, ep11.OIDP384, ep11.OIDP521, ep11.OIDSecp256k1, ep11.OIDEd25519} {
		k := family.KeyType{Type: ep11.CKK_EC, Params: curve}
		private[k], public[k] = b.pair(curve, secretUses, publicUses)
	}
	k := family.KeyType{Type: ep11.CKK_RSA}
	private[k], public[k] = b.rsa(2048, secretUses, publicUses)
	return private, public
}

// fit gives a mechanism a parameter and data of the right form for a key.
func fit(r ep11.Row, k family.KeyType) (*ep11.Mechanism, []byte) {
	m, data := mech(r.Mechanism), make([]byte, 32)
	pss := map[uint64]uint64{ep11.CKM_RSA_PKCS_PSS: ep11.CKM_SHA256, ep11.CKM_SHA1_RSA_PKCS_PSS: ep11.CKM_SHA_1, ep11.CKM_SHA224_RSA_PKCS_PSS: ep11.CKM_SHA224,
		ep11.CKM_SHA256_RSA_PKCS_PSS: ep11.CKM_SHA256, ep11.CKM_SHA384_RSA_PKCS_PSS: ep11.CKM_SHA384, ep11.CKM_SHA512_RSA_PKCS_PSS: ep11.CKM_SHA512}
	mgf := map[uint64]uint64{ep11.CKM_SHA_1: 1, ep11.CKM_SHA256: 2, ep11.CKM_SHA384: 3, ep11.CKM_SHA512: 4, ep11.CKM_SHA224: 5}
	switch h := pss[r.Mechanism]; {
	case h != 0:
		m.PSS = &ep11.PSS{Hash: h, MGF: mgf[h], Salt: 20}
	case r.Mechanism == ep11.CKM_RSA_PKCS_OAEP:
		m.OAEP = &ep11.OAEP{Hash: ep11.CKM_SHA512, MGF: ep11.CKG_MGF1_SHA512}
	case slices.Contains([]uint64{ep11.CKM_AES_CBC, ep11.CKM_AES_CBC_PAD, ep11.CKM_AES_CTR}, r.Mechanism):
		m.Parameter = make([]byte, 16)
	case slices.Contains([]uint64{ep11.CKM_DES3_CBC, ep11.CKM_DES3_CBC_PAD}, r.Mechanism):
		m.Parameter = make([]byte, 8)
	}
	return m, data
}

// TestListedWorks does with each mechanism that is listed, and each type of key that it takes, all that its flags say.
func TestListedWorks(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	private, public := keyring(b)
	list := b.must(ep11.Call{Function: ep11.FnGetMechanismList}).Mechanisms
	if len(list) == 0 || list[0] != ep11.CKM_RSA_PKCS {
		t.Fatalf("the list begins with %v", list[:1])
	}
	open := b.aes(32, flags(ep11.CKA_EXTRACTABLE))
	for _, number := range list {
		r, ok := ep11.Find(number)
		if !ok {
			t.Fatalf("%x is not in the table", number)
		}
		info := b.must(ep11.Call{Function: ep11.FnGetMechanismInfo, Mechanism: mech(number)}).Info
		if info.Flags&^r.Flags != 0 || info.Flags&doing == 0 || info.Min != r.Min || info.Max != r.Max {
			t.Errorf("%s: info %+v", r.Name, info)
		}
		if info.Flags&ep11.CKF_DIGEST != 0 {
			b.must(ep11.Call{Function: ep11.FnDigestSingle, Mechanism: mech(number)})
			state := b.must(ep11.Call{Function: ep11.FnDigestInit, Mechanism: mech(number)}).State
			b.must(ep11.Call{Function: ep11.FnDigest, State: state, Data: []byte("x")})
		}
		for _, row := range b.e.rows[number] {
			for _, k := range row.Keys {
				if private[k] == nil {
					t.Fatalf("%s: no key %x %x", r.Name, k.Type, k.Params)
				}
				r.Flags = info.Flags
				works(b, r, k, private[k], public[k], open)
			}
		}
	}
	if info := b.must(ep11.Call{Function: ep11.FnGetMechanismInfo, Mechanism: mech(ep11.CKM_RSA_PKCS)}).Info; info.Min != 512 || info.Max != 4096 {
		t.Errorf("RSA_PKCS: %+v", info)
	}
}

func works(b *bench, r ep11.Row, k family.KeyType, private, public, open []byte) {
	m, data := fit(r, k)
	if r.Flags&ep11.CKF_SIGN != 0 {
		sig := b.must(ep11.Call{Function: ep11.FnSignSingle, Mechanism: m, Key: private, Data: data}).Data
		verify := ep11.Call{Function: ep11.FnVerifySingle, Mechanism: m, Key: public, Data: data, Signature: sig}
		b.must(verify)
		verify.Signature = flip(sig, 3)
		b.refused(ep11.CKR_SIGNATURE_INVALID, verify)
		state := b.must(ep11.Call{Function: ep11.FnSignInit, Mechanism: m, Key: private}).State
		b.must(ep11.Call{Function: ep11.FnSign, State: state, Data: data})
		update := ep11.Call{Function: ep11.FnSignUpdate, State: state, Data: data}
		if r.Parts == ep11.Many {
			b.must(ep11.Call{Function: ep11.FnSignFinal, State: b.must(update).State})
		} else {
			b.refused(ep11.CKR_MECHANISM_INVALID, update)
		}
		state = b.must(ep11.Call{Function: ep11.FnVerifyInit, Mechanism: m, Key: public}).State
		b.must(ep11.Call{Function: ep11.FnVerify, State: state, Data: data, Signature: sig})
	}
	if r.Flags&ep11.CKF_ENCRYPT != 0 {
		sealed := b.must(ep11.Call{Function: ep11.FnEncryptSingle, Mechanism: m, Key: public, Data: data}).Data
		if got := b.must(ep11.Call{Function: ep11.FnDecryptSingle, Mechanism: m, Key: private, Data: sealed}).Data; !bytes.Equal(got, data) {
			b.t.Errorf("%s: does not decrypt", r.Name)
		}
		state := b.must(ep11.Call{Function: ep11.FnDecryptInit, Mechanism: m, Key: private}).State
		b.must(ep11.Call{Function: ep11.FnDecrypt, State: state, Data: sealed})
		update := ep11.Call{Function: ep11.FnDecryptUpdate, State: state, Data: sealed}
		if r.Parts == ep11.Many {
			b.must(ep11.Call{Function: ep11.FnDecryptFinal, State: b.must(update).State})
		} else {
			b.refused(ep11.CKR_MECHANISM_INVALID, update)
			b.refused(ep11.CKR_MECHANISM_INVALID, ep11.Call{Function: ep11.FnDecryptFinal, State: state})
		}
		clear := b.must(ep11.Call{Function: ep11.FnReencryptSingle, Mechanism: m, Key: private, Data: sealed, Mechanism2: m, Key2: public}).Data
		if got := b.must(ep11.Call{Function: ep11.FnDecryptSingle, Mechanism: m, Key: private, Data: clear}).Data; !bytes.Equal(got, data) {
			b.t.Errorf("%s: does not reencrypt", r.Name)
		}
	}
	if r.Flags&ep11.CKF_WRAP != 0 {
		wrapped := b.must(ep11.Call{Function: ep11.FnWrapKey, Mechanism: m, Key: open, Key2: public}).Data
		b.must(ep11.Call{Function: ep11.FnUnwrapKey, Mechanism: m, Data: wrapped, Key2: private, Template: number(ep11.CKA_KEY_TYPE, ep11.CKK_AES)})
	}
}

// TestUnlistedIsInvalid asks each function for each mechanism that is not listed for it, known or not, with keys that it could take.
func TestUnlistedIsInvalid(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	aes := b.aes(32, flags(ep11.CKA_ENCRYPT, ep11.CKA_DECRYPT, ep11.CKA_WRAP, ep11.CKA_UNWRAP, ep11.CKA_SIGN, ep11.CKA_VERIFY, ep11.CKA_DERIVE, ep11.CKA_EXTRACTABLE))
	var all []uint64
	for _, r := range ep11.Rows() {
		all = append(all, r.Mechanism)
	}
	all = append(all, 0x7777, 0x80019999, ^uint64(0), ep11.CKM_IBM_ETH_DERIVE, ep11.CKM_IBM_CLEARKEY_TRANSPORT)
	refusals := 0
	for _, number := range all {
		info := ep11.Info{}
		if a, err := b.do(ep11.Call{Function: ep11.FnGetMechanismInfo, Mechanism: mech(number)}); err == nil {
			info = *a.Info
		} else if codeOf(err) != ep11.CKR_MECHANISM_INVALID {
			t.Errorf("%x: %v", number, err)
		}
		for f, flag := range map[ep11.Function]uint64{
			ep11.FnDigestInit: ep11.CKF_DIGEST, ep11.FnDigestSingle: ep11.CKF_DIGEST, ep11.FnEncryptInit: ep11.CKF_ENCRYPT, ep11.FnEncryptSingle: ep11.CKF_ENCRYPT,
			ep11.FnDecryptInit: ep11.CKF_DECRYPT, ep11.FnDecryptSingle: ep11.CKF_DECRYPT, ep11.FnSignInit: ep11.CKF_SIGN, ep11.FnSignSingle: ep11.CKF_SIGN,
			ep11.FnVerifyInit: ep11.CKF_VERIFY, ep11.FnVerifySingle: ep11.CKF_VERIFY, ep11.FnGenerateKey: ep11.CKF_GENERATE,
			ep11.FnGenerateKeyPair: ep11.CKF_GENERATE_KEY_PAIR, ep11.FnWrapKey: ep11.CKF_WRAP, ep11.FnUnwrapKey: ep11.CKF_UNWRAP, ep11.FnDeriveKey: ep11.CKF_DERIVE,
		} {
			if info.Flags&flag != 0 {
				continue
			}
			refusals++
			_, err := b.do(ep11.Call{Function: f, Mechanism: mech(number), Key: aes, Key2: aes, Key3: aes, Data: make([]byte, 32), Signature: make([]byte, 32)})
			if codeOf(err) != ep11.CKR_MECHANISM_INVALID {
				t.Errorf("%s with %s: %v", f, ep11.MechanismName(number), err)
			}
		}
		if info.Flags&ep11.CKF_ENCRYPT == 0 {
			ecb := mech(ep11.CKM_AES_ECB)
			b.refused(ep11.CKR_MECHANISM_INVALID, ep11.Call{Function: ep11.FnReencryptSingle, Mechanism: ecb, Mechanism2: mech(number), Key: aes, Key2: aes, Data: make([]byte, 16)})
			b.refused(ep11.CKR_MECHANISM_INVALID, ep11.Call{Function: ep11.FnReencryptSingle, Mechanism: mech(number), Mechanism2: ecb, Key: aes, Key2: aes, Data: make([]byte, 16)})
		}
	}
	if refusals < 1000 {
		t.Errorf("only %d pairs were refused", refusals)
	}
}

// TestWrongKeyType: a key that the mechanism doesn't take.
func TestWrongKeyType(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	private, public := keyring(b)
	for _, r := range b.e.offers {
		for k := range private {
			taken := slices.ContainsFunc(b.e.rows[r.Mechanism], func(row family.Row) bool { return slices.Contains(row.Keys, k) })
			if taken || r.Mechanism == ep11.CKM_IBM_ATTRIBUTEBOUND_WRAP {
				continue
			}
			m, data := fit(r, k)
			if r.Flags&ep11.CKF_SIGN != 0 {
				b.refused(ep11.CKR_KEY_TYPE_INCONSISTENT, ep11.Call{Function: ep11.FnSignSingle, Mechanism: m, Key: private[k], Data: data})
				b.refused(ep11.CKR_KEY_TYPE_INCONSISTENT, ep11.Call{Function: ep11.FnVerifySingle, Mechanism: m, Key: public[k], Data: data, Signature: data})
			}
			if r.Flags&ep11.CKF_ENCRYPT != 0 {
				b.refused(ep11.CKR_KEY_TYPE_INCONSISTENT, ep11.Call{Function: ep11.FnEncryptSingle, Mechanism: m, Key: public[k], Data: data})
				b.refused(ep11.CKR_KEY_TYPE_INCONSISTENT, ep11.Call{Function: ep11.FnDecryptInit, Mechanism: m, Key: private[k], Data: data})
			}
		}
	}
}

// TestParameters refuses parameters of a wrong form, and one where there is none, at the first call.
func TestParameters(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	private, public := keyring(b)
	aes, rsa, ec := family.KeyType{Type: ep11.CKK_AES}, family.KeyType{Type: ep11.CKK_RSA}, family.KeyType{Type: ep11.CKK_EC, Params: ep11.OIDP256}
	secp := family.KeyType{Type: ep11.CKK_EC, Params: ep11.OIDSecp256k1}
	for i, tt := range []struct {
		f ep11.Function
		m ep11.Mechanism
		k []byte
	}{
		{ep11.FnEncryptInit, ep11.Mechanism{Type: ep11.CKM_AES_ECB, Parameter: make([]byte, 16)}, private[aes]},
		{ep11.FnEncryptInit, ep11.Mechanism{Type: ep11.CKM_AES_CBC}, private[aes]},
		{ep11.FnDecryptSingle, ep11.Mechanism{Type: ep11.CKM_AES_CTR, Parameter: make([]byte, 12)}, private[aes]},
		{ep11.FnSignInit, ep11.Mechanism{Type: ep11.CKM_AES_CMAC, Parameter: make([]byte, 1)}, private[aes]},
		{ep11.FnSignSingle, ep11.Mechanism{Type: ep11.CKM_SHA256_HMAC, Parameter: make([]byte, 1)}, private[aes]},
		{ep11.FnSignSingle, ep11.Mechanism{Type: ep11.CKM_ECDSA, Parameter: make([]byte, 1)}, private[ec]},
		{ep11.FnSignSingle, ep11.Mechanism{Type: ep11.CKM_ECDSA_SHA256, Parameter: make([]byte, 1)}, private[secp]},
		{ep11.FnVerifySingle, ep11.Mechanism{Type: ep11.CKM_ECDSA, Parameter: make([]byte, 1)}, public[ec]},
		{ep11.FnSignSingle, ep11.Mechanism{Type: ep11.CKM_RSA_PKCS, Parameter: make([]byte, 1)}, private[rsa]},
		{ep11.FnSignSingle, ep11.Mechanism{Type: ep11.CKM_SHA256_RSA_PKCS_PSS}, private[rsa]},
		{ep11.FnSignSingle, ep11.Mechanism{Type: ep11.CKM_SHA256_RSA_PKCS_PSS, PSS: &ep11.PSS{Hash: ep11.CKM_SHA512, MGF: ep11.CKG_MGF1_SHA512}}, private[rsa]},
		{ep11.FnSignSingle, ep11.Mechanism{Type: ep11.CKM_SHA256_RSA_PKCS_PSS, PSS: &ep11.PSS{Hash: ep11.CKM_SHA256, MGF: ep11.CKG_MGF1_SHA1}}, private[rsa]},
		{ep11.FnSignSingle, ep11.Mechanism{Type: ep11.CKM_SHA256_RSA_PKCS_PSS, PSS: &ep11.PSS{Hash: ep11.CKM_SHA256, MGF: ep11.CKG_MGF1_SHA256, Salt: 513}}, private[rsa]},
		{ep11.FnVerifySingle, ep11.Mechanism{Type: ep11.CKM_SHA256_RSA_PKCS_PSS}, public[rsa]},
		{ep11.FnEncryptSingle, ep11.Mechanism{Type: ep11.CKM_RSA_PKCS, Parameter: make([]byte, 1)}, public[rsa]},
		{ep11.FnEncryptSingle, ep11.Mechanism{Type: ep11.CKM_RSA_PKCS_OAEP}, public[rsa]},
		{ep11.FnEncryptSingle, ep11.Mechanism{Type: ep11.CKM_RSA_PKCS_OAEP, OAEP: &ep11.OAEP{Hash: ep11.CKM_SHA256, MGF: ep11.CKG_MGF1_SHA1}}, public[rsa]},
		{ep11.FnEncryptSingle, ep11.Mechanism{Type: ep11.CKM_RSA_PKCS_OAEP, OAEP: &ep11.OAEP{Hash: ep11.CKM_SHA256, MGF: ep11.CKG_MGF1_SHA256, Label: []byte("x")}}, public[rsa]},
		{ep11.FnDigestInit, ep11.Mechanism{Type: ep11.CKM_SHA256, Parameter: make([]byte, 1)}, nil},
		{ep11.FnDigestSingle, ep11.Mechanism{Type: ep11.CKM_SHA256, PSS: &ep11.PSS{}}, nil},
		{ep11.FnSignSingle, ep11.Mechanism{Type: ep11.CKM_ECDSA, Parameter: []byte{1}, PSS: &ep11.PSS{}}, private[ec]},
	} {
		if _, err := b.do(ep11.Call{Function: tt.f, Mechanism: &tt.m, Key: tt.k, Data: make([]byte, 32)}); codeOf(err) != ep11.CKR_MECHANISM_PARAM_INVALID {
			t.Errorf("%d: %s with %s: %v", i, tt.f, ep11.MechanismName(tt.m.Type), err)
		}
	}
	for i, tt := range []struct {
		f    ep11.Function
		m    *ep11.Mechanism
		k    []byte
		n    int
		want ep11.Code
	}{
		{ep11.FnEncryptSingle, mech(ep11.CKM_AES_ECB), private[aes], 15, ep11.CKR_DATA_LEN_RANGE},
		{ep11.FnEncryptSingle, mech(ep11.CKM_AES_ECB), private[aes], 0, ep11.CKR_DATA_LEN_RANGE},
		{ep11.FnDecryptSingle, mech(ep11.CKM_AES_ECB), private[aes], 15, ep11.CKR_ENCRYPTED_DATA_LEN_RANGE},
		{ep11.FnDecryptSingle, withIV(ep11.CKM_AES_CBC_PAD, make([]byte, 16)), private[aes], 0, ep11.CKR_ENCRYPTED_DATA_LEN_RANGE},
		{ep11.FnDecryptSingle, withIV(ep11.CKM_AES_CBC_PAD, make([]byte, 16)), private[aes], 17, ep11.CKR_ENCRYPTED_DATA_LEN_RANGE},
		{ep11.FnDecryptSingle, mech(ep11.CKM_AES_GCM), private[aes], 27, ep11.CKR_ENCRYPTED_DATA_LEN_RANGE},
		{ep11.FnDecryptSingle, mech(ep11.CKM_AES_GCM), private[aes], 28, ep11.CKR_ENCRYPTED_DATA_INVALID},
		{ep11.FnSignSingle, mech(ep11.CKM_ECDSA), private[ec], 0, ep11.CKR_DATA_LEN_RANGE},
		{ep11.FnSignSingle, mech(ep11.CKM_RSA_PKCS), private[rsa], 246, ep11.CKR_DATA_LEN_RANGE},
		{ep11.FnSignSingle, mech(ep11.CKM_RSA_PKCS), private[rsa], 0, ep11.CKR_DATA_LEN_RANGE},
		{ep11.FnSignSingle, mech(ep11.CKM_RSA_X9_31), private[rsa], 255, ep11.CKR_DATA_LEN_RANGE},
		{ep11.FnSignSingle, mech(ep11.CKM_RSA_X9_31), private[rsa], 254, ep11.CKR_OK},
		{ep11.FnSignSingle, mech(ep11.CKM_RSA_X9_31), private[rsa], 253, ep11.CKR_OK},
		{ep11.FnVerifySingle, mech(ep11.CKM_RSA_PKCS), public[rsa], 246, ep11.CKR_DATA_LEN_RANGE},
		{ep11.FnSignSingle, &ep11.Mechanism{Type: ep11.CKM_RSA_PKCS_PSS, PSS: &ep11.PSS{Hash: ep11.CKM_SHA256, MGF: ep11.CKG_MGF1_SHA256}}, private[rsa], 31, ep11.CKR_DATA_LEN_RANGE},
		{ep11.FnSignSingle, &ep11.Mechanism{Type: ep11.CKM_RSA_PKCS_PSS, PSS: &ep11.PSS{Hash: ep11.CKM_SHA256, MGF: ep11.CKG_MGF1_SHA256, Salt: 223}}, private[rsa], 32, ep11.CKR_DATA_LEN_RANGE},
		{ep11.FnSignSingle, &ep11.Mechanism{Type: ep11.CKM_RSA_PKCS_PSS, PSS: &ep11.PSS{Hash: ep11.CKM_SHA256, MGF: ep11.CKG_MGF1_SHA256, Salt: 222}}, private[rsa], 32, ep11.CKR_OK},
	} {
		if _, err := b.do(ep11.Call{Function: tt.f, Mechanism: tt.m, Key: tt.k, Data: make([]byte, tt.n)}); codeOf(err) != tt.want {
			t.Errorf("%d: %s with %d bytes: got %v, want %v", i, ep11.MechanismName(tt.m.Type), tt.n, err, tt.want)
		}
	}
}

// TestControlPoints: what is switched off for every type of key is not listed; for one type it is refused for it.
func TestControlPoints(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p256, _ := b.pair(ep11.OIDP256, flags(ep11.CKA_SIGN), nil)
	k1, _ := b.pair(ep11.OIDSecp256k1, flags(ep11.CKA_SIGN), nil)
	edwards, _ := b.pair(ep11.OIDEd25519, flags(ep11.CKA_SIGN), nil)
	sign := func(m uint64, k []byte) ep11.Call {
		return ep11.Call{Function: ep11.FnSignSingle, Mechanism: mech(m), Key: k, Data: []byte("x")}
	}
	listed := func(m uint64) bool {
		return slices.Contains(b.must(ep11.Call{Function: ep11.FnGetMechanismList}).Mechanisms, m)
	}
	b.env.Points = points.Make(points.AppKeys, points.RawSign, points.SignECDSASecp256k1)
	b.must(sign(ep11.CKM_ECDSA, k1))
	b.refused(ep11.CKR_IBM_STATIC_POLICY, sign(ep11.CKM_ECDSA, p256))
	b.refused(ep11.CKR_MECHANISM_INVALID, sign(ep11.CKM_IBM_ED25519_SHA512, edwards))
	if !listed(ep11.CKM_ECDSA) || listed(ep11.CKM_IBM_ED25519_SHA512) || listed(ep11.CKM_SHA256_HMAC) || !listed(ep11.CKM_SHA_1_HMAC) {
		t.Error("the list doesn't follow the control points")
	}
	b.refused(ep11.CKR_MECHANISM_INVALID, ep11.Call{Function: ep11.FnGetMechanismInfo, Mechanism: mech(ep11.CKM_IBM_ED25519_SHA512)})
	b.env.Points = points.Known().Without(points.RawSign)
	b.refused(ep11.CKR_IBM_STATIC_POLICY, sign(ep11.CKM_ECDSA, k1))
	mac := b.aes(32, flags(ep11.CKA_SIGN, ep11.CKA_WRAP, ep11.CKA_UNWRAP))
	b.must(hmacWith(mac)) // a code is no signature
	open := b.aes(32, flags(ep11.CKA_EXTRACTABLE))
	wrapped := b.must(ep11.Call{Function: ep11.FnWrapKey, Mechanism: mech(ep11.CKM_AES_KEY_WRAP), Key: open, Key2: mac}).Data
	unwrap := ep11.Call{Function: ep11.FnUnwrapKey, Mechanism: mech(ep11.CKM_AES_KEY_WRAP), Data: wrapped, Key2: mac, Template: number(ep11.CKA_KEY_TYPE, ep11.CKK_AES)}
	b.must(unwrap)
	b.env.Points = points.Known().Without(points.AppImport)
	b.refused(ep11.CKR_IBM_STATIC_POLICY, unwrap)
	b.env.Points = points.Known().Without(points.AppKeys)
	b.refused(ep11.CKR_IBM_STATIC_POLICY, ep11.Call{Function: ep11.FnGenerateKey, Mechanism: mech(ep11.CKM_AES_KEY_GEN), Template: number(ep11.CKA_VALUE_LEN, 32)})
	b.refused(ep11.CKR_IBM_STATIC_POLICY, ep11.Call{Function: ep11.FnGenerateKeyPair, Mechanism: mech(ep11.CKM_EC_KEY_PAIR_GEN), Template2: bytesOf(ep11.CKA_EC_PARAMS, ep11.OIDP256)})
	b.env.Points = points.Known().Without(points.ModifyKeys)
	b.refused(ep11.CKR_IBM_STATIC_POLICY, ep11.Call{Function: ep11.FnSetAttribute, Key: mac, Template: ep11.Template{ep11.CKA_SIGN: ep11.Bool(false)}})
}

// TestAccess: the grant is asked about each key and mechanism before anything is done, and its refusal is the answer.
func TestAccess(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	both := flags(ep11.CKA_SIGN, ep11.CKA_ENCRYPT, ep11.CKA_DECRYPT, ep11.CKA_WRAP, ep11.CKA_UNWRAP, ep11.CKA_EXTRACTABLE)
	key, other := b.aes(32, both), b.aes(16, both)
	_, pk := b.pair(ep11.OIDP256, nil, flags(ep11.CKA_VERIFY))
	ecb := mech(ep11.CKM_AES_ECB)
	state := b.must(ep11.Call{Function: ep11.FnEncryptInit, Mechanism: ecb, Key: key}).State
	digest := b.must(ep11.Call{Function: ep11.FnDigestInit, Mechanism: mech(ep11.CKM_SHA256)}).State
	wrapped := b.must(ep11.Call{Function: ep11.FnWrapKey, Mechanism: ecb, Key: key, Key2: other}).Data
	b.env.Next = epoch(t, b.env.Arena, 2)
	for _, tt := range []struct {
		call  ep11.Call
		asked int // times
	}{
		{ep11.Call{Function: ep11.FnGenerateRandom, Len: 1}, 1},
		{ep11.Call{Function: ep11.FnDigestSingle, Mechanism: mech(ep11.CKM_SHA256)}, 1},
		{ep11.Call{Function: ep11.FnDigestInit, Mechanism: mech(ep11.CKM_SHA256)}, 1},
		{ep11.Call{Function: ep11.FnDigestFinal, State: digest}, 1},
		{ep11.Call{Function: ep11.FnDigestKey, State: digest, Key: key}, 2},
		{hmacWith(key), 1},
		{ep11.Call{Function: ep11.FnVerifySingle, Mechanism: mech(ep11.CKM_ECDSA), Key: pk, Data: []byte("x"), Signature: make([]byte, 64)}, 1},
		{ep11.Call{Function: ep11.FnEncryptUpdate, State: state, Data: []byte("x")}, 1},
		{ep11.Call{Function: ep11.FnReencryptSingle, Mechanism: ecb, Mechanism2: ecb, Key: key, Key2: other, Data: make([]byte, 16)}, 3},
		{ep11.Call{Function: ep11.FnWrapKey, Mechanism: ecb, Key: key, Key2: other}, 2},
		{ep11.Call{Function: ep11.FnUnwrapKey, Mechanism: ecb, Key2: other, Data: wrapped, Template: number(ep11.CKA_KEY_TYPE, ep11.CKK_AES)}, 2},
		{ep11.Call{Function: ep11.FnGenerateKey, Mechanism: mech(ep11.CKM_AES_KEY_GEN), Template: number(ep11.CKA_VALUE_LEN, 16)}, 1},
		{ep11.Call{Function: ep11.FnGenerateKeyPair, Mechanism: mech(ep11.CKM_EC_KEY_PAIR_GEN), Template2: bytesOf(ep11.CKA_EC_PARAMS, ep11.OIDP256)}, 1},
		{ep11.Call{Function: ep11.FnGetMechanismList}, 1},
		{ep11.Call{Function: ep11.FnGetMechanismInfo, Mechanism: ecb}, 1},
		{ep11.Call{Function: ep11.FnGetAttribute, Key: key}, 1},
		{ep11.Call{Function: ep11.FnSetAttribute, Key: key}, 1},
		{ep11.Call{Function: ep11.FnRewrapKeyBlob, Key: key}, 1},
		{ep11.Call{Function: ep11.FnLogin, Pin: make([]byte, 8)}, 1},
		{ep11.Call{Function: ep11.FnLogout}, 1},
	} {
		for deny := range tt.asked {
			asked := 0
			b.env.Allow = func(a Access) error {
				if a.Function != tt.call.Function {
					t.Errorf("asked about %s in %s", a.Function, tt.call.Function)
				}
				if asked++; asked == deny+1 {
					return ep11.Fail(ep11.CKR_FUNCTION_REJECTED, "not under this grant")
				}
				return nil
			}
			b.uses = nil
			b.refused(ep11.CKR_FUNCTION_REJECTED, tt.call)
			if deny == 0 && len(b.uses) != 0 {
				t.Errorf("%s: a use before the grant was asked", tt.call.Function)
			}
		}
		asked := 0
		b.env.Allow = func(Access) error { asked++; return nil }
		if _, err := b.do(tt.call); codeOf(err) != ep11.CKR_OK && codeOf(err) != ep11.CKR_SIGNATURE_INVALID {
			t.Errorf("%s: %v", tt.call.Function, err)
		}
		if asked != tt.asked {
			t.Errorf("%s: asked %d times, want %d", tt.call.Function, asked, tt.asked)
		}
	}
}
