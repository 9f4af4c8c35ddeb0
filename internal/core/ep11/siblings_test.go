// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"testing"

	"strongroom/internal/pure/ep11"
)

// TestShortKeysAreNotDerived: check values of keys of 1, 2, 3… bytes would give a key away byte by byte, by every mechanism that derives.
func TestShortKeysAreNotDerived(t *testing.T) {
	t.Parallel()
	b := newComplete(t)
	uses := flags(ep11.CKA_DERIVE)
	base := b.generic(32, flags(ep11.CKA_DERIVE, ep11.CKA_IBM_USE_AS_DATA))
	des := b.must(ep11.Call{Function: ep11.FnGenerateKey, Mechanism: mech(ep11.CKM_DES3_KEY_GEN), Template: uses}).Key
	sk, pk := b.pair(ep11.OIDP256, uses, uses)
	_, kem := b.keyPair(ep11.CKM_IBM_ML_KEM_KEY_PAIR_GEN, uses, and(uses, number(ep11.CKA_IBM_PARAMETER_SET, 2)))
	for name, call := range map[string]ep11.Call{
		"hash":       {Mechanism: mech(ep11.CKM_SHA256_KEY_DERIVATION), Key: base},
		"encryption": {Mechanism: withIV(ep11.CKM_DES3_ECB_ENCRYPT_DATA, make([]byte, 32)), Key: des},
		"agreement":  {Mechanism: withIV(ep11.CKM_ECDH1_DERIVE, rawKey(t, pk)), Key: sk},
		"function":   {Mechanism: &ep11.Mechanism{Type: ep11.CKM_ECDH1_DERIVE, ECDH: &ep11.ECDH{KDF: ep11.CKD_SHA256_KDF, Public: rawKey(t, pk)}}, Key: sk},
		"KEM":        {Mechanism: &ep11.Mechanism{Type: ep11.CKM_IBM_ML_KEM, Kyber: &ep11.Kyber{Mode: ep11.CK_KEM_ENCAPSULATE, KDF: ep11.CKD_NULL}}, Key: kem},
		"hybrid":     {Mechanism: &ep11.Mechanism{Type: ep11.CKM_IBM_ML_KEM, Kyber: &ep11.Kyber{Mode: ep11.CK_KEM_ENCAPSULATE, KDF: ep11.CKD_HYBRID_SHA256_KDF, Blob: base}}, Key: kem},
	} {
		call.Function = ep11.FnDeriveKey
		for n := uint64(1); n <= 11; n++ {
			for _, ckk := range []uint64{ep11.CKK_GENERIC_SECRET, ep11.CKK_SHA256_HMAC, ep11.CKK_AES} {
				want := ep11.CKR_KEY_SIZE_RANGE
				if n >= ep11.MinSecret && ckk != ep11.CKK_AES {
					want = ep11.CKR_OK
				}
				call.Template = and(number(ep11.CKA_VALUE_LEN, n), number(ep11.CKA_KEY_TYPE, ckk))
				if _, err := b.do(call); codeOf(err) != want {
					t.Errorf("%s: key type 0x%x of %d bytes: got %v, want %v", name, ckk, n, err, want)
				}
			}
		}
	}
}

// TestShortKeysAreNotAnswered: no length gets past the engine, whatever a family makes.
func TestShortKeysAreNotAnswered(t *testing.T) {
	t.Parallel()
	b, s := deriving(t)
	base := b.generic(32, flags(ep11.CKA_DERIVE))
	for _, tt := range []struct {
		ckk  uint64
		n    int
		want ep11.Code
	}{
		{ep11.CKK_GENERIC_SECRET, 9, ep11.CKR_KEY_SIZE_RANGE}, {ep11.CKK_GENERIC_SECRET, 10, ep11.CKR_OK}, {ep11.CKK_SHA512_HMAC, 1, ep11.CKR_KEY_SIZE_RANGE},
		{ep11.CKK_AES, 17, ep11.CKR_KEY_SIZE_RANGE}, {ep11.CKK_DES3, 16, ep11.CKR_KEY_SIZE_RANGE}, {ep11.CKK_GENERIC_SECRET, 257, ep11.CKR_KEY_SIZE_RANGE},
		{ep11.CKK_DES, 8, ep11.CKR_TEMPLATE_INCONSISTENT},
	} {
		s.give = sized(tt.n)
		b.refused(tt.want, ep11.Call{Function: ep11.FnDeriveKey, Mechanism: mech(ep11.CKM_SHA256_KEY_DERIVATION), Key: base, Template: number(ep11.CKA_KEY_TYPE, tt.ckk)})
	}
}

// TestDerivedKeysLeaveWithTheirBase: the same value with other attributes is no way out for a key that is to stay.
func TestDerivedKeysLeaveWithTheirBase(t *testing.T) {
	t.Parallel()
	b := newComplete(t)
	stays := b.generic(32, flags(ep11.CKA_DERIVE))
	leaves := b.generic(32, flags(ep11.CKA_DERIVE, ep11.CKA_EXTRACTABLE))
	derive := func(base []byte, n uint64) ep11.Call {
		return ep11.Call{Function: ep11.FnDeriveKey, Mechanism: mech(ep11.CKM_SHA256_KEY_DERIVATION), Key: base, Template: and(flags(ep11.CKA_EXTRACTABLE), number(ep11.CKA_VALUE_LEN, n))}
	}
	for compat, want := range map[bool]ep11.Code{false: ep11.CKR_TEMPLATE_INCONSISTENT, true: ep11.CKR_OK} {
		b.env.Compat = compat
		b.refused(want, derive(stays, 16))
		b.refused(want, derive(stays, 32))
		b.must(derive(leaves, 32))
	}
}

// TestDerivedKeysDontWrap: one value with WRAP and again with DECRYPT would export keys in clear, and with ENCRYPT and UNWRAP bring known ones in.
func TestDerivedKeysDontWrap(t *testing.T) {
	t.Parallel()
	b := newComplete(t)
	base := b.generic(32, flags(ep11.CKA_DERIVE))
	for _, use := range []uint64{ep11.CKA_WRAP, ep11.CKA_UNWRAP} {
		call := ep11.Call{Function: ep11.FnDeriveKey, Mechanism: mech(ep11.CKM_SHA256_KEY_DERIVATION), Key: base,
			Template: and(flags(use), number(ep11.CKA_KEY_TYPE, ep11.CKK_AES), number(ep11.CKA_VALUE_LEN, 32))}
		b.env.Compat = true
		b.must(call)
		b.env.Compat = false
		b.refused(ep11.CKR_TEMPLATE_INCONSISTENT, call)
		call.Template[use] = ep11.Bool(false)
		made := b.must(call).Key
		b.refused(ep11.CKR_ATTRIBUTE_READ_ONLY, ep11.Call{Function: ep11.FnSetAttribute, Key: made, Template: flags(use)})
	}
}
