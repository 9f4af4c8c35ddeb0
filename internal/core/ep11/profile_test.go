// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"bytes"
	"slices"
	"testing"

	"strongroom/internal/pure/ep11"
)

// TestProfileKeysNeedTheProfile: a key with uses that are kept apart works for no caller without the profile, until it has dropped some.
func TestProfileKeysNeedTheProfile(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	kek := b.aes(32, flags(ep11.CKA_WRAP, ep11.CKA_DECRYPT))
	key := b.aes(32, flags(ep11.CKA_EXTRACTABLE))
	m := withIV(ep11.CKM_AES_CBC_PAD, make([]byte, 16))
	wrap := ep11.Call{Function: ep11.FnWrapKey, Mechanism: m, Key: key, Key2: kek}
	decrypt := ep11.Call{Function: ep11.FnDecryptSingle, Mechanism: m, Key: kek, Data: b.must(wrap).Data}
	b.must(decrypt)
	begun := b.must(ep11.Call{Function: ep11.FnDecryptInit, Mechanism: m, Key: kek}).State
	b.env.Compat = false
	b.uses = nil
	for _, call := range []ep11.Call{wrap, decrypt, {Function: ep11.FnDecryptInit, Mechanism: m, Key: kek}, {Function: ep11.FnDecrypt, State: begun, Data: decrypt.Data}} {
		b.refused(ep11.CKR_IBM_STATIC_POLICY, call)
	}
	if len(b.uses) != 0 {
		t.Errorf("uses %v", b.uses)
	}
	wrap.Key2 = b.must(ep11.Call{Function: ep11.FnSetAttribute, Key: kek, Template: ep11.Template{ep11.CKA_DECRYPT: ep11.Bool(false)}}).Key
	b.must(wrap)
}

// TestWhatAttributesDontShow: keys that could be made so in the profile only, for a reason that their attributes don't tell, are used in it only, with all
// that comes of them; the same attributes without the reason are no matter.
func TestWhatAttributesDontShow(t *testing.T) {
	t.Parallel()
	b := newComplete(t)
	data := []byte("sixteen bytes...")
	sha := mech(ep11.CKM_SHA256_KEY_DERIVATION)
	derive := func(base []byte, t ep11.Template) []byte {
		return b.must(ep11.Call{Function: ep11.FnDeriveKey, Mechanism: sha, Key: base, Template: t}).Key
	}
	base := b.generic(32, flags(ep11.CKA_DERIVE))
	bound := b.generic(32, flags(ep11.CKA_DERIVE, ep11.CKA_EXTRACTABLE, ep11.CKA_WRAP_WITH_TRUSTED))
	wrapping := derive(base, and(aesKey(32), flags(ep11.CKA_WRAP), ep11.Template{ep11.CKA_DECRYPT: ep11.Bool(false)}))
	leaving := derive(base, and(aesKey(32), flags(ep11.CKA_EXTRACTABLE)))
	untrusted := derive(bound, and(aesKey(32), flags(ep11.CKA_EXTRACTABLE)))
	inner := derive(base, and(number(ep11.CKA_VALUE_LEN, 32), flags(ep11.CKA_DERIVE, ep11.CKA_EXTRACTABLE)))
	below := derive(inner, aesKey(32))
	plain := derive(base, aesKey(32))
	decrypts, wraps := b.keyPair(ep11.CKM_RSA_PKCS_KEY_PAIR_GEN, flags(ep11.CKA_DECRYPT), and(flags(ep11.CKA_WRAP), number(ep11.CKA_MODULUS_BITS, 2048), number(ep11.CKA_PUBLIC_EXPONENT, 65537)))
	given := b.must(ep11.Call{Function: ep11.FnSetAttribute, Key: b.aes(32, flags(ep11.CKA_ENCRYPT)), Template: ep11.Template{ep11.CKA_DECRYPT: ep11.Bool(true)}}).Key
	dropped := b.must(ep11.Call{Function: ep11.FnSetAttribute, Key: b.aes(32, flags(ep11.CKA_ENCRYPT, ep11.CKA_DECRYPT)), Template: ep11.Template{ep11.CKA_DECRYPT: ep11.Bool(false)}}).Key
	key := b.aes(32, flags(ep11.CKA_EXTRACTABLE))
	ecb := mech(ep11.CKM_AES_ECB)
	encrypts := func(k []byte) ep11.Call {
		return ep11.Call{Function: ep11.FnEncryptSingle, Mechanism: ecb, Key: k, Data: data}
	}
	marked := map[string]ep11.Call{
		"a derived key that wraps":            {Function: ep11.FnWrapKey, Mechanism: ecb, Key: key, Key2: wrapping},
		"one that leaves":                     encrypts(leaving),
		"one that anybody wraps":              encrypts(untrusted),
		"one derived from it":                 encrypts(below),
		"a half that wraps":                   {Function: ep11.FnWrapKey, Mechanism: mech(ep11.CKM_RSA_PKCS), Key: key, Key2: wraps},
		"its other half, which decrypts":      {Function: ep11.FnDecryptSingle, Mechanism: mech(ep11.CKM_RSA_PKCS), Key: decrypts, Data: b.must(ep11.Call{Function: ep11.FnWrapKey, Mechanism: mech(ep11.CKM_RSA_PKCS), Key: key, Key2: wraps}).Data},
		"a key that was given a use back":     encrypts(given),
		"the same after another change of it": encrypts(b.must(ep11.Call{Function: ep11.FnSetAttribute, Key: given, Template: ep11.Template{ep11.CKA_DECRYPT: ep11.Bool(false)}}).Key),
	}
	good := map[string]ep11.Call{"a derived key": encrypts(plain), "a key that dropped a use": encrypts(dropped)}
	for _, call := range marked {
		b.must(call)
	}
	b.env.Compat = false
	b.uses = nil
	for what, call := range marked {
		if _, err := b.do(call); codeOf(err) != ep11.CKR_IBM_STATIC_POLICY {
			t.Errorf("%s: %v", what, err)
		}
	}
	if len(b.uses) != 0 {
		t.Errorf("uses %v", b.uses)
	}
	for what, call := range good {
		if _, err := b.do(call); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestEachKeyOfASumIsAskedFor: a grant without one of the keys, the first or another, doesn't have their sum.
func TestEachKeyOfASumIsAskedFor(t *testing.T) {
	t.Parallel()
	b := newComplete(t)
	m := ep11.Mechanism{Type: ep11.CKM_IBM_ECDSA_OTHER, Sign: &ep11.ECSign{Type: ep11.CK_ECSG_BLS}}
	aggregate := func(mode, size uint64, parts [][]byte) *ep11.Mechanism {
		return &ep11.Mechanism{Type: ep11.CKM_IBM_EC_AGGREGATE, Aggregate: &ep11.Aggregate{Mode: mode, Size: size, Elements: bytes.Join(parts, nil)}}
	}
	var publics, sigs [][]byte
	for range 3 {
		sk, pk := b.pair(ep11.OIDBLS12381, flags(ep11.CKA_SIGN), flags(ep11.CKA_VERIFY))
		publics = append(publics, pk)
		sigs = append(sigs, b.must(ep11.Call{Function: ep11.FnSignSingle, Mechanism: &m, Key: sk, Data: []byte("x")}).Data)
	}
	sum := b.must(ep11.Call{Function: ep11.FnSignSingle, Mechanism: aggregate(ep11.CK_AGGREGATE_SIGN, 192, sigs), Data: []byte("x")}).Data
	_, silent := b.pair(ep11.OIDBLS12381, flags(ep11.CKA_SIGN), nil) // doesn't verify: what it may not, the sum may not
	added := append(slices.Clone(publics), silent)
	calls := []ep11.Call{{Function: ep11.FnVerifySingle, Mechanism: &m, Key: bytes.Join(publics, nil), Data: []byte("x"), Signature: sum},
		{Function: ep11.FnDeriveKey, Mechanism: aggregate(ep11.CK_AGGREGATE_PUBLIC, uint64(len(publics[0])), added),
			Template: and(number(ep11.CKA_KEY_TYPE, ep11.CKK_EC), bytesOf(ep11.CKA_EC_PARAMS, ep11.OIDBLS12381), flags(ep11.CKA_VERIFY))}}
	w := &work{ctx: t.Context(), engine: b.e, env: &b.env}
	for i, pk := range publics {
		one, _, err := w.public(pk)
		if err != nil {
			t.Fatal(err)
		}
		b.env.Allow = func(Access) error { return nil }
		for _, call := range calls {
			b.must(call)
		}
		b.env.Allow = func(a Access) error {
			if a.Keyed && a.Key == one.Key {
				return ep11.CKR_IBM_STATIC_POLICY
			}
			return nil
		}
		for _, call := range calls {
			if _, err := b.do(call); codeOf(err) != ep11.CKR_IBM_STATIC_POLICY {
				t.Errorf("%s without key %d: %v", call.Function, i, err)
			}
		}
	}
}
