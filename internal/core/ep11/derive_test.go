// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"testing"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/secret"
)

// script is a deriver that gives what a test says, and remembers what it was asked.
type script struct {
	asked family.Derivation
	give  func(t family.Tools, d family.Derivation) (family.Derived, error)
}

func (s *script) Derive(_ context.Context, t family.Tools, d family.Derivation) (family.Derived, error) {
	s.asked = d
	return s.give(t, d)
}

// filled gives a secret key of the length and type that was asked for.
func filled(t family.Tools, d family.Derivation) (family.Derived, error) {
	return sized(max(d.Length, 16))(t, d)
}

// sized gives a secret key of n bytes and of the type that was asked for.
func sized(n int) func(family.Tools, family.Derivation) (family.Derived, error) {
	return func(t family.Tools, d family.Derivation) (family.Derived, error) {
		k, err := secret.New(t.Arena, n, func(b []byte) error { b[0] = 7; return nil })
		return family.Derived{Key: family.Key{Type: d.Type, Secret: k}}, err
	}
}

// deriving is a bench whose engine derives by a script.
func deriving(t *testing.T) (*bench, *script) {
	s := &script{give: filled}
	b := newBench(t)
	generic := []family.KeyType{{Type: ep11.CKK_GENERIC_SECRET}, {Type: ep11.CKK_EC, Params: ep11.OIDP256}, {Type: ep11.CKK_EC, Params: ep11.OIDSecp256k1}}
	e, err := New(family.Set{Rows: []family.Row{
		{Mechanism: ep11.CKM_SHA256_KEY_DERIVATION, Keys: generic, Derive: s}, {Mechanism: ep11.CKM_IBM_BTC_DERIVE, Keys: generic, Derive: s},
		{Mechanism: ep11.CKM_IBM_KYBER, Keys: generic, Derive: s}, {Mechanism: ep11.CKM_IBM_EC_AGGREGATE, Keys: []family.KeyType{{}}, Derive: s},
	}})
	if err != nil {
		t.Fatal(err)
	}
	b.e = e
	return b, s
}

func TestDerive(t *testing.T) {
	t.Parallel()
	b, s := deriving(t)
	base := b.generic(32, flags(ep11.CKA_DERIVE))
	derive := func(m uint64, base []byte, list ...ep11.Template) ep11.Call {
		return ep11.Call{Function: ep11.FnDeriveKey, Mechanism: mech(m), Key: base, Template: and(list...), Data: []byte("data")}
	}
	const sha = ep11.CKM_SHA256_KEY_DERIVATION
	b.uses = nil
	got := b.must(derive(sha, base, number(ep11.CKA_KEY_TYPE, ep11.CKK_AES), number(ep11.CKA_VALUE_LEN, 32), flags(ep11.CKA_ENCRYPT)))
	if s.asked.Type != ep11.CKK_AES || s.asked.Length != 32 || string(s.asked.Data) != "data" || s.asked.Base == nil || s.asked.Other != nil {
		t.Errorf("asked for %+v", s.asked)
	}
	if len(b.uses) != 2 || len(got.CheckSum) != 7 {
		t.Errorf("uses %v, check sum %x", b.uses, got.CheckSum)
	}
	a := b.get(got.Key, ep11.CKA_LOCAL, ep11.CKA_ALWAYS_SENSITIVE, ep11.CKA_NEVER_EXTRACTABLE, ep11.CKA_KEY_GEN_MECHANISM, ep11.CKA_EXTRACTABLE)
	if a.Has(ep11.CKA_LOCAL) || !a.Has(ep11.CKA_ALWAYS_SENSITIVE) || !a.Has(ep11.CKA_NEVER_EXTRACTABLE) || a.Has(ep11.CKA_EXTRACTABLE) || *a[ep11.CKA_KEY_GEN_MECHANISM].Int != ep11.Unavailable {
		t.Errorf("attributes %v", a)
	}
	b.must(derive(sha, base, number(ep11.CKA_KEY_TYPE, ep11.CKK_DES3), number(ep11.CKA_VALUE_LEN, 32)))
	if s.asked.Length != 24 {
		t.Errorf("a triple DES key of %d bytes", s.asked.Length)
	}
	for _, tt := range []struct {
		name string
		call ep11.Call
		want ep11.Code
	}{
		{"a base that doesn't derive", derive(sha, b.generic(32)), ep11.CKR_KEY_FUNCTION_NOT_PERMITTED},
		{"no base", derive(sha, nil), ep11.CKR_KEY_HANDLE_INVALID},
		{"a base of another type", derive(sha, b.aes(32, flags(ep11.CKA_DERIVE))), ep11.CKR_KEY_TYPE_INCONSISTENT},
		{"a bound key from an unbound one", derive(sha, base, flags(ep11.CKA_IBM_ATTRBOUND)), ep11.CKR_TEMPLATE_INCONSISTENT},
		{"a bound key from a bound one", derive(sha, b.generic(32, flags(ep11.CKA_DERIVE, ep11.CKA_IBM_ATTRBOUND)), flags(ep11.CKA_IBM_ATTRBOUND)), ep11.CKR_OK},
		{"a wallet's base that isn't data", derive(ep11.CKM_IBM_BTC_DERIVE, base), ep11.CKR_KEY_FUNCTION_NOT_PERMITTED},
		{"a length of a gigabyte", derive(sha, base, number(ep11.CKA_VALUE_LEN, 1<<30)), ep11.CKR_KEY_SIZE_RANGE},
		{"a class that contradicts", derive(sha, base, number(ep11.CKA_CLASS, ep11.CKO_PRIVATE_KEY)), ep11.CKR_TEMPLATE_INCONSISTENT},
	} {
		if _, err := b.do(tt.call); codeOf(err) != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
	s.give = func(family.Tools, family.Derivation) (family.Derived, error) {
		return family.Derived{}, ep11.CKR_MECHANISM_PARAM_INVALID
	}
	b.refused(ep11.CKR_MECHANISM_PARAM_INVALID, derive(sha, base))
	b.env.Current = nil
	b.refused(ep11.CKR_IBM_WK_NOT_INITIALIZED, derive(sha, base))
}

// TestDeriveWallet: what BTC_DERIVE gives is a private or a public key with its chain code, and what of a seed is not to leave doesn't.
func TestDeriveWallet(t *testing.T) {
	t.Parallel()
	b, s := deriving(t)
	seed := b.generic(32, flags(ep11.CKA_DERIVE, ep11.CKA_IBM_USE_AS_DATA))
	sk, _ := b.pair(ep11.OIDSecp256k1, nil, nil)
	chain := bytes.Repeat([]byte{5}, 32)
	scalar := func(t family.Tools, d family.Derivation) (family.Derived, error) {
		k, err := secret.New(t.Arena, 32, func(b []byte) error { b[31] = 1; return nil })
		return family.Derived{Key: family.Key{Type: ep11.CKK_EC, Params: []byte(ep11.OIDSecp256k1), Secret: k, Public: unhexed(generator)}, ChainCode: chain}, err
	}
	s.give = scalar
	template := and(number(ep11.CKA_KEY_TYPE, ep11.CKK_EC), number(ep11.CKA_VALUE_LEN, 0), bytesOf(ep11.CKA_EC_PARAMS, ep11.OIDSecp256k1), flags(ep11.CKA_DERIVE, ep11.CKA_IBM_USE_AS_DATA),
		ep11.Template{ep11.CKA_EXTRACTABLE: ep11.Bool(false)})
	call := ep11.Call{Function: ep11.FnDeriveKey, Mechanism: &ep11.Mechanism{Type: ep11.CKM_IBM_BTC_DERIVE, BTC: &ep11.BTC{Type: ep11.CK_BIP0032_MASTERK, Version: 1}}, Key: seed, Template: template}
	master := b.must(call)
	if !bytes.Equal(master.CheckSum, chain) {
		t.Errorf("check sum %x", master.CheckSum)
	}
	sig := b.must(ep11.Call{Function: ep11.FnSignSingle, Mechanism: mech(ep11.CKM_ECDSA), Key: master.Key, Data: []byte("x")}).Data
	s.give = func(family.Tools, family.Derivation) (family.Derived, error) {
		return family.Derived{Key: family.Key{Type: ep11.CKK_EC, Params: []byte(ep11.OIDSecp256k1), Public: unhexed(generator)}, ChainCode: chain}, nil
	}
	public := b.must(call)
	b.must(ep11.Call{Function: ep11.FnVerifySingle, Mechanism: mech(ep11.CKM_ECDSA), Key: public.Key, Data: []byte("x"), Signature: sig})
	call.Key = public.Key // a public key is a base too
	b.must(call)
	if s.asked.Base == nil || s.asked.Base.Secret.Len() != 0 || !bytes.Equal(s.asked.Base.Public, unhexed(generator)) {
		t.Error("the public base is not as it was")
	}
	s.give = scalar
	call.Key, call.Template = seed, and(template, flags(ep11.CKA_EXTRACTABLE))
	b.refused(ep11.CKR_TEMPLATE_INCONSISTENT, call)
	b.env.Compat = false
	call.Template = template
	b.refused(ep11.CKR_KEY_FUNCTION_NOT_PERMITTED, ep11.Call{Function: ep11.FnSignSingle, Mechanism: mech(ep11.CKM_ECDSA), Key: b.must(call).Key, Data: []byte("x")})
	b.refused(ep11.CKR_KEY_FUNCTION_NOT_PERMITTED, ep11.Call{Function: ep11.FnSignSingle, Mechanism: mech(ep11.CKM_ECDSA), Key: sk, Data: []byte("x")})
}

// generator is the point of the scalar 1.
const generator = "0479be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8"

func unhexed(s string) []byte {
	b, _ := hex.DecodeString(s)
	return b
}

// TestEncapsulation: check value, length, ciphertext; and the second secret of a hybrid one.
func TestEncapsulation(t *testing.T) {
	t.Parallel()
	b, s := deriving(t)
	base, other := b.generic(32, flags(ep11.CKA_DERIVE)), b.generic(32, flags(ep11.CKA_IBM_USE_AS_DATA))
	s.give = func(t family.Tools, d family.Derivation) (family.Derived, error) {
		out, err := filled(t, d)
		out.Cipher = []byte("ciphertext")
		return out, err
	}
	call := ep11.Call{Function: ep11.FnDeriveKey, Mechanism: &ep11.Mechanism{Type: ep11.CKM_IBM_KYBER, Kyber: &ep11.Kyber{Mode: ep11.CK_KEM_ENCAPSULATE, KDF: ep11.CKD_HYBRID_NULL, Blob: other}}, Key: base,
		Template: and(number(ep11.CKA_KEY_TYPE, ep11.CKK_AES), number(ep11.CKA_VALUE_LEN, 32))}
	b.uses = nil
	got := b.must(call)
	if string(got.CheckSum[7:]) != "ciphertext" || s.asked.Other == nil || s.asked.Mechanism.Kyber.Blob != nil || len(b.uses) != 3 {
		t.Errorf("check sum %x, asked %+v, %d uses", got.CheckSum, s.asked, len(b.uses))
	}
	b.must(ep11.Call{Function: ep11.FnEncryptSingle, Mechanism: mech(ep11.CKM_AES_ECB), Key: got.Key, Data: make([]byte, 16)}) // in the compatibility profile
	call.Mechanism.Kyber.Blob = base
	b.refused(ep11.CKR_KEY_FUNCTION_NOT_PERMITTED, call)
	sk, _ := b.pair(ep11.OIDP256, flags(ep11.CKA_IBM_USE_AS_DATA), nil)
	call.Mechanism.Kyber.Blob = sk
	b.refused(ep11.CKR_KEY_TYPE_INCONSISTENT, call)
	b.env.Compat, call.Mechanism.Kyber.Blob = false, other
	b.refused(ep11.CKR_MECHANISM_PARAM_INVALID, call)
	call.Mechanism.Kyber.KDF = ep11.CKD_HYBRID_SHA256_KDF
	b.refused(ep11.CKR_KEY_FUNCTION_NOT_PERMITTED, ep11.Call{Function: ep11.FnEncryptSingle, Mechanism: mech(ep11.CKM_AES_ECB), Key: b.must(call).Key, Data: make([]byte, 16)})
}

// TestFault: what a family calls a fault is not turned into a return code.
func TestFault(t *testing.T) {
	t.Parallel()
	b, s := deriving(t)
	s.give = func(family.Tools, family.Derivation) (family.Derived, error) {
		return family.Derived{}, family.ErrFault
	}
	_, err := b.do(ep11.Call{Function: ep11.FnDeriveKey, Mechanism: mech(ep11.CKM_SHA256_KEY_DERIVATION), Key: b.generic(32, flags(ep11.CKA_DERIVE))})
	if !errors.Is(err, family.ErrFault) {
		t.Errorf("got %v", err)
	}
	s.give = func(family.Tools, family.Derivation) (family.Derived, error) {
		return family.Derived{}, secret.ErrArenaFull
	}
	_, err = b.do(ep11.Call{Function: ep11.FnDeriveKey, Mechanism: mech(ep11.CKM_SHA256_KEY_DERIVATION), Key: b.generic(32, flags(ep11.CKA_DERIVE))})
	if f := ep11.FailureOf(err); f == nil || f.Code != ep11.CKR_GENERAL_ERROR || !f.Retry || f.Detail != "" {
		t.Errorf("got %v", err)
	}
	if _, err := New(family.Set{Rows: []family.Row{{Mechanism: 0x4242}}}); err == nil {
		t.Error("a mechanism without a row in the table is taken")
	}
	if _, err := New(family.Set{Keys: map[family.KeyType]family.Generator{{Type: ep11.CKK_AES}: nil}}); err == nil {
		t.Error("two families have one type of key")
	}
}
