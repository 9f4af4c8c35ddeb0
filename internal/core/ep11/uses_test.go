// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"bytes"
	"math/big"
	"testing"

	"strongroom/internal/core/ep11/family/rsakey"
	"strongroom/internal/core/seal"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/ep11"
)

// keyID gives the id in a sealed blob.
func keyID(t *testing.T, blob []byte) [16]byte {
	t.Helper()
	encoded, err := seal.Header(blob[sessionSize:])
	if err != nil {
		t.Fatal(err)
	}
	var h header
	if err := canon.Decode(encoded, &h); err != nil {
		t.Fatal(err)
	}
	return h.Key
}

// TestUses: each call in which a secret key does something, or is made, names it, also when it fails; with public keys there is nothing to account.
func TestUses(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	both := flags(ep11.CKA_SIGN, ep11.CKA_VERIFY, ep11.CKA_ENCRYPT, ep11.CKA_DECRYPT, ep11.CKA_WRAP, ep11.CKA_UNWRAP, ep11.CKA_EXTRACTABLE)
	one, two := b.aes(32, both), b.aes(16, both)
	sk, pk := b.rsa(2048, flags(ep11.CKA_SIGN, ep11.CKA_DECRYPT), flags(ep11.CKA_VERIFY, ep11.CKA_ENCRYPT))
	ecb, hmac, rsa := mech(ep11.CKM_AES_ECB), mech(ep11.CKM_SHA256_HMAC), mech(ep11.CKM_RSA_PKCS)
	encrypting := b.must(ep11.Call{Function: ep11.FnEncryptInit, Mechanism: ecb, Key: one}).State
	signing := b.must(ep11.Call{Function: ep11.FnSignInit, Mechanism: hmac, Key: one}).State
	hashing := b.must(ep11.Call{Function: ep11.FnDigestInit, Mechanism: mech(ep11.CKM_SHA256)}).State
	sig := b.must(ep11.Call{Function: ep11.FnSignSingle, Mechanism: rsa, Key: sk, Data: []byte("x")}).Data
	wrapped := b.must(ep11.Call{Function: ep11.FnWrapKey, Mechanism: ecb, Key: one, Key2: two}).Data
	k1, k2, k3 := keyID(t, one), keyID(t, two), keyID(t, sk)
	b.env.Next = epoch(t, b.env.Arena, 2)
	for i, tt := range []struct {
		call ep11.Call
		mech uint64
		keys [][16]byte // those known before; one made by the call is not
		made int
	}{
		{ep11.Call{Function: ep11.FnEncryptSingle, Mechanism: ecb, Key: one, Data: make([]byte, 16)}, ecb.Type, [][16]byte{k1}, 0},
		{ep11.Call{Function: ep11.FnDecryptSingle, Mechanism: ecb, Key: one, Data: make([]byte, 15)}, ecb.Type, [][16]byte{k1}, 0},
		{ep11.Call{Function: ep11.FnDecryptSingle, Mechanism: rsa, Key: sk, Data: make([]byte, 256)}, rsa.Type, [][16]byte{k3}, 0},
		{ep11.Call{Function: ep11.FnEncryptSingle, Mechanism: rsa, Key: pk, Data: []byte("x")}, rsa.Type, nil, 0},
		{ep11.Call{Function: ep11.FnEncryptInit, Mechanism: ecb, Key: one}, ecb.Type, nil, 0},
		{ep11.Call{Function: ep11.FnEncryptUpdate, State: encrypting, Data: make([]byte, 16)}, ecb.Type, [][16]byte{k1}, 0},
		{ep11.Call{Function: ep11.FnEncrypt, State: encrypting, Data: make([]byte, 16)}, ecb.Type, [][16]byte{k1}, 0},
		{ep11.Call{Function: ep11.FnEncryptFinal, State: encrypting}, ecb.Type, [][16]byte{k1}, 0},
		{ep11.Call{Function: ep11.FnReencryptSingle, Mechanism: ecb, Mechanism2: ecb, Key: one, Key2: two, Data: make([]byte, 16)}, ecb.Type, [][16]byte{k1, k2}, 0},
		{ep11.Call{Function: ep11.FnSignSingle, Mechanism: rsa, Key: sk, Data: []byte("x")}, rsa.Type, [][16]byte{k3}, 0},
		{ep11.Call{Function: ep11.FnVerifySingle, Mechanism: rsa, Key: pk, Data: []byte("x"), Signature: sig}, rsa.Type, nil, 0},
		{ep11.Call{Function: ep11.FnVerifySingle, Mechanism: hmac, Key: one, Signature: make([]byte, 32)}, hmac.Type, [][16]byte{k1}, 0},
		{ep11.Call{Function: ep11.FnSignUpdate, State: signing, Data: []byte("x")}, hmac.Type, nil, 0},
		{ep11.Call{Function: ep11.FnSignFinal, State: signing}, hmac.Type, [][16]byte{k1}, 0},
		{ep11.Call{Function: ep11.FnDigestKey, State: hashing, Key: one}, ep11.CKM_SHA256, [][16]byte{k1}, 0},
		{ep11.Call{Function: ep11.FnWrapKey, Mechanism: ecb, Key: one, Key2: two}, ecb.Type, [][16]byte{k1, k2}, 0},
		{ep11.Call{Function: ep11.FnUnwrapKey, Mechanism: ecb, Key2: two, Data: wrapped, Template: number(ep11.CKA_KEY_TYPE, ep11.CKK_AES)}, ecb.Type, [][16]byte{k2}, 1},
		{ep11.Call{Function: ep11.FnUnwrapKey, Mechanism: ecb, Key2: two, Data: wrapped[1:], Template: number(ep11.CKA_KEY_TYPE, ep11.CKK_AES)}, ecb.Type, [][16]byte{k2}, 0},
		{ep11.Call{Function: ep11.FnGenerateKey, Mechanism: mech(ep11.CKM_AES_KEY_GEN), Template: number(ep11.CKA_VALUE_LEN, 16)}, ep11.CKM_AES_KEY_GEN, nil, 1},
		{ep11.Call{Function: ep11.FnGenerateKeyPair, Mechanism: mech(ep11.CKM_EC_KEY_PAIR_GEN), Template2: bytesOf(ep11.CKA_EC_PARAMS, ep11.OIDP256)}, ep11.CKM_EC_KEY_PAIR_GEN, nil, 1},
		{ep11.Call{Function: ep11.FnSetAttribute, Key: one}, 0, [][16]byte{k1}, 0},
		{ep11.Call{Function: ep11.FnRewrapKeyBlob, Key: one}, 0, [][16]byte{k1}, 0},
		{ep11.Call{Function: ep11.FnRewrapKeyBlob, Key: pk}, 0, nil, 0},
		{ep11.Call{Function: ep11.FnGetAttribute, Key: one}, 0, nil, 0},
		{ep11.Call{Function: ep11.FnGenerateRandom, Len: 1}, 0, nil, 0},
	} {
		b.uses = nil
		if _, err := b.do(tt.call); codeOf(err) == ep11.CKR_GENERAL_ERROR {
			t.Fatal(err)
		}
		if len(b.uses) != len(tt.keys)+tt.made {
			t.Errorf("%d %s: %d uses, want %d", i, tt.call.Function, len(b.uses), len(tt.keys)+tt.made)
			continue
		}
		for n, u := range b.uses {
			if n < len(tt.keys) && u.Key != tt.keys[n] || u.Function != tt.call.Function || u.Mechanism != tt.mech || u.Key == [16]byte{} {
				t.Errorf("%d %s: use %+v", i, tt.call.Function, u)
			}
		}
	}
}

// TestX931IsTheSmaller: of the two roots the smaller is the signature, and both verify.
func TestX931IsTheSmaller(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	sk, pk := b.rsa(2048, flags(ep11.CKA_SIGN), flags(ep11.CKA_VERIFY))
	_, inner := spki(t, pk)
	n, _, _ := rsakey.Modulus(inner)
	for i := range byte(12) {
		data := append(bytes.Repeat([]byte{i}, 32), 0x34)
		sig := b.must(ep11.Call{Function: ep11.FnSignSingle, Mechanism: mech(ep11.CKM_RSA_X9_31), Key: sk, Data: data}).Data
		other := new(big.Int).Sub(n, new(big.Int).SetBytes(sig))
		if other.Cmp(new(big.Int).SetBytes(sig)) < 0 {
			t.Fatal("the larger root")
		}
		b.must(ep11.Call{Function: ep11.FnVerifySingle, Mechanism: mech(ep11.CKM_RSA_X9_31), Key: pk, Data: data, Signature: other.FillBytes(make([]byte, 256))})
	}
}
