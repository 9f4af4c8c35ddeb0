// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"bytes"
	"context"
	"errors"
	"math/bits"
	"testing"

	"strongroom/internal/core/ep11/family/rsakey"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/secret"
)

func TestGenerate(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	generate := func(m uint64, list ...ep11.Template) ep11.Call {
		return ep11.Call{Function: ep11.FnGenerateKey, Mechanism: mech(m), Template: and(list...)}
	}
	des := b.must(generate(ep11.CKM_DES3_KEY_GEN, number(ep11.CKA_VALUE_LEN, 32), flags(ep11.CKA_EXTRACTABLE)))
	if key := b.exported(des.Key); len(key) != 24 {
		t.Errorf("a triple DES key of %d bytes", len(key))
	} else {
		for _, x := range key {
			if bits.OnesCount8(x)%2 != 1 {
				t.Errorf("parity of %x", key)
			}
		}
	}
	for _, tt := range []struct {
		name string
		call ep11.Call
		want ep11.Code
	}{
		{"no length", generate(ep11.CKM_AES_KEY_GEN), ep11.CKR_TEMPLATE_INCOMPLETE},
		{"AES of 17 bytes", generate(ep11.CKM_AES_KEY_GEN, number(ep11.CKA_VALUE_LEN, 17)), ep11.CKR_KEY_SIZE_RANGE},
		{"AES of 24 bytes", generate(ep11.CKM_AES_KEY_GEN, number(ep11.CKA_VALUE_LEN, 24)), ep11.CKR_OK},
		{"a length of bytes, big-endian", generate(ep11.CKM_AES_KEY_GEN, bytesOf(ep11.CKA_VALUE_LEN, "\x00\x00\x00\x20")), ep11.CKR_OK},
		{"a length that is true", generate(ep11.CKM_AES_KEY_GEN, flags(ep11.CKA_VALUE_LEN)), ep11.CKR_ATTRIBUTE_VALUE_INVALID},
		{"generic of 9 bytes", generate(ep11.CKM_GENERIC_SECRET_KEY_GEN, number(ep11.CKA_VALUE_LEN, 9)), ep11.CKR_KEY_SIZE_RANGE},
		{"generic of 257 bytes", generate(ep11.CKM_GENERIC_SECRET_KEY_GEN, number(ep11.CKA_VALUE_LEN, 257)), ep11.CKR_KEY_SIZE_RANGE},
		{"generic as AES", generate(ep11.CKM_GENERIC_SECRET_KEY_GEN, number(ep11.CKA_VALUE_LEN, 32), number(ep11.CKA_KEY_TYPE, ep11.CKK_AES)), ep11.CKR_TEMPLATE_INCONSISTENT},
		{"AES as generic", generate(ep11.CKM_AES_KEY_GEN, number(ep11.CKA_VALUE_LEN, 32), number(ep11.CKA_KEY_TYPE, ep11.CKK_GENERIC_SECRET)), ep11.CKR_TEMPLATE_INCONSISTENT},
		{"AES as private key", generate(ep11.CKM_AES_KEY_GEN, number(ep11.CKA_VALUE_LEN, 32), number(ep11.CKA_CLASS, ep11.CKO_PRIVATE_KEY)), ep11.CKR_TEMPLATE_INCONSISTENT},
		{"unknown attribute", generate(ep11.CKM_AES_KEY_GEN, number(0x9999, 1)), ep11.CKR_ATTRIBUTE_TYPE_INVALID},
		{"a value", generate(ep11.CKM_AES_KEY_GEN, bytesOf(ep11.CKA_VALUE, "0123456789abcdef")), ep11.CKR_ATTRIBUTE_READ_ONLY},
		{"a fact", generate(ep11.CKM_AES_KEY_GEN, flags(ep11.CKA_LOCAL), number(ep11.CKA_VALUE_LEN, 32)), ep11.CKR_ATTRIBUTE_READ_ONLY},
		{"trusted", generate(ep11.CKM_AES_KEY_GEN, flags(ep11.CKA_TRUSTED), number(ep11.CKA_VALUE_LEN, 32)), ep11.CKR_ATTRIBUTE_READ_ONLY},
		{"a label that is too long", generate(ep11.CKM_AES_KEY_GEN, ep11.Template{ep11.CKA_LABEL: ep11.Bytes(make([]byte, 257))}), ep11.CKR_ATTRIBUTE_VALUE_INVALID},
	} {
		if _, err := b.do(tt.call); codeOf(err) != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
	pair := func(m uint64, private ep11.Template, public ...ep11.Template) ep11.Call {
		return ep11.Call{Function: ep11.FnGenerateKeyPair, Mechanism: mech(m), Template: private, Template2: and(public...)}
	}
	size := func(n uint64) ep11.Template { return number(ep11.CKA_MODULUS_BITS, n) }
	for _, tt := range []struct {
		name string
		call ep11.Call
		want ep11.Code
	}{
		{"no curve", pair(ep11.CKM_EC_KEY_PAIR_GEN, nil), ep11.CKR_TEMPLATE_INCOMPLETE},
		{"a curve that nobody knows", pair(ep11.CKM_EC_KEY_PAIR_GEN, nil, bytesOf(ep11.CKA_EC_PARAMS, "\x06\x03\x2b\x65\x01")), ep11.CKR_CURVE_NOT_SUPPORTED},
		{"a curve by its name", pair(ep11.CKM_EC_KEY_PAIR_GEN, nil, bytesOf(ep11.CKA_EC_PARAMS, "P-256")), ep11.CKR_OK},
		{"a curve in the private template", pair(ep11.CKM_EC_KEY_PAIR_GEN, bytesOf(ep11.CKA_EC_PARAMS, ep11.OIDP256)), ep11.CKR_OK},
		{"a public key that signs", pair(ep11.CKM_EC_KEY_PAIR_GEN, nil, bytesOf(ep11.CKA_EC_PARAMS, ep11.OIDP256), flags(ep11.CKA_SIGN)), ep11.CKR_TEMPLATE_INCONSISTENT},
		{"a private key that verifies", pair(ep11.CKM_EC_KEY_PAIR_GEN, flags(ep11.CKA_VERIFY), bytesOf(ep11.CKA_EC_PARAMS, ep11.OIDP256)), ep11.CKR_TEMPLATE_INCONSISTENT},
		{"one half bound", pair(ep11.CKM_EC_KEY_PAIR_GEN, flags(ep11.CKA_IBM_ATTRBOUND), bytesOf(ep11.CKA_EC_PARAMS, ep11.OIDP256)), ep11.CKR_TEMPLATE_INCONSISTENT},
		{"a type that contradicts", pair(ep11.CKM_EC_KEY_PAIR_GEN, number(ep11.CKA_KEY_TYPE, ep11.CKK_RSA), bytesOf(ep11.CKA_EC_PARAMS, ep11.OIDP256)), ep11.CKR_TEMPLATE_INCONSISTENT},
		{"RSA without a size", pair(ep11.CKM_RSA_PKCS_KEY_PAIR_GEN, nil), ep11.CKR_TEMPLATE_INCOMPLETE},
		{"RSA of 1024 bits", pair(ep11.CKM_RSA_PKCS_KEY_PAIR_GEN, nil, size(1024)), ep11.CKR_KEY_SIZE_RANGE},
		{"RSA of 4112 bits", pair(ep11.CKM_RSA_PKCS_KEY_PAIR_GEN, nil, size(4112)), ep11.CKR_KEY_SIZE_RANGE},
		{"RSA of 2049 bits", pair(ep11.CKM_RSA_PKCS_KEY_PAIR_GEN, nil, size(2049)), ep11.CKR_KEY_SIZE_RANGE},
		{"RSA with exponent 3", pair(ep11.CKM_RSA_PKCS_KEY_PAIR_GEN, nil, size(2048), number(ep11.CKA_PUBLIC_EXPONENT, 3)), ep11.CKR_ATTRIBUTE_VALUE_INVALID},
		{"RSA with its exponent in bytes", pair(ep11.CKM_RSA_PKCS_KEY_PAIR_GEN, nil, size(2048), bytesOf(ep11.CKA_PUBLIC_EXPONENT, "\x01\x00\x01")), ep11.CKR_OK},
	} {
		if _, err := b.do(tt.call); codeOf(err) != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
	b.env.Current = nil
	b.refused(ep11.CKR_IBM_WK_NOT_INITIALIZED, generate(ep11.CKM_AES_KEY_GEN, number(ep11.CKA_VALUE_LEN, 32)))
}

// TestProfile: outside the compatibility profile one key has no uses that together export or import keys in clear, and no use that nobody
// asked for.
func TestProfile(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.env.Compat = false
	aes := func(list ...uint64) ep11.Call {
		return ep11.Call{Function: ep11.FnGenerateKey, Mechanism: mech(ep11.CKM_AES_KEY_GEN), Template: and(flags(list...), number(ep11.CKA_VALUE_LEN, 32))}
	}
	for _, pair := range [][2]uint64{{ep11.CKA_WRAP, ep11.CKA_DECRYPT}, {ep11.CKA_UNWRAP, ep11.CKA_ENCRYPT}, {ep11.CKA_SIGN, ep11.CKA_WRAP}, {ep11.CKA_SIGN, ep11.CKA_UNWRAP}, {ep11.CKA_SIGN, ep11.CKA_ENCRYPT}, {ep11.CKA_SIGN, ep11.CKA_DECRYPT}} {
		b.env.Compat = false
		b.refused(ep11.CKR_TEMPLATE_INCONSISTENT, aes(pair[0], pair[1]))
		b.env.Compat = true
		b.must(aes(pair[0], pair[1]))
	}
	b.env.Compat = false
	b.must(aes(ep11.CKA_ENCRYPT, ep11.CKA_DECRYPT))
	kek := b.must(aes(ep11.CKA_WRAP, ep11.CKA_UNWRAP)).Key
	b.refused(ep11.CKR_TEMPLATE_INCONSISTENT, ep11.Call{Function: ep11.FnGenerateKeyPair, Mechanism: mech(ep11.CKM_RSA_PKCS_KEY_PAIR_GEN),
		Template: flags(ep11.CKA_DECRYPT), Template2: and(flags(ep11.CKA_WRAP), number(ep11.CKA_MODULUS_BITS, 2048))})
	mac := b.generic(32, flags(ep11.CKA_IBM_ATTRBOUND))
	b.refused(ep11.CKR_KEY_FUNCTION_NOT_PERMITTED, hmacWith(mac))
	b.env.Compat = true
	b.must(hmacWith(b.generic(32, flags(ep11.CKA_IBM_ATTRBOUND))))

	open := b.aes(32, flags(ep11.CKA_EXTRACTABLE))
	kw := mech(ep11.CKM_AES_KEY_WRAP)
	wrapped := b.must(ep11.Call{Function: ep11.FnWrapKey, Mechanism: kw, Key: open, Key2: kek}).Data
	for _, compat := range []bool{false, true} {
		b.env.Compat = compat
		k := b.must(ep11.Call{Function: ep11.FnUnwrapKey, Mechanism: kw, Key2: kek, Data: wrapped, Template: number(ep11.CKA_KEY_TYPE, ep11.CKK_AES)}).Key
		if got := b.must(ep11.Call{Function: ep11.FnGetAttribute, Key: k, Template: flags(ep11.CKA_EXTRACTABLE)}).Attributes.Has(ep11.CKA_EXTRACTABLE); got != compat {
			t.Errorf("an unwrapped key is extractable: %v; profile: %v", got, compat)
		}
	}
}

// pool gives one pair.
type pool struct {
	key    secret.Bytes
	public []byte
}

func (p *pool) Take(int) (secret.Bytes, []byte, bool) {
	k, ok := p.key, p.public != nil
	public := p.public
	p.key, p.public = secret.Bytes{}, nil
	return k, public, ok
}

func TestPool(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	made, err := rsakey.Make(b.env.Arena, 2048)
	if err != nil {
		t.Fatal(err)
	}
	b.env.Pool = &pool{made.Secret, made.Public}
	_, pk := b.rsa(2048, flags(ep11.CKA_SIGN), flags(ep11.CKA_VERIFY))
	if _, inner := spki(t, pk); !bytes.Equal(inner, made.Public) {
		t.Error("the pair is not the pool's")
	}
	_, pk = b.rsa(2048, flags(ep11.CKA_SIGN), flags(ep11.CKA_VERIFY)) // the pool is empty
	if _, inner := spki(t, pk); bytes.Equal(inner, made.Public) {
		t.Error("the pool's pair is given twice")
	}
}

func TestRandom(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	one, two := b.must(ep11.Call{Function: ep11.FnGenerateRandom, Len: 32}).Data, b.must(ep11.Call{Function: ep11.FnGenerateRandom, Len: 32}).Data
	if len(one) != 32 || bytes.Equal(one, two) {
		t.Errorf("%x and %x", one, two)
	}
	for _, n := range []uint64{0, ep11.MaxRandom + 1, ^uint64(0)} {
		b.refused(ep11.CKR_ARGUMENTS_BAD, ep11.Call{Function: ep11.FnGenerateRandom, Len: n})
	}
	b.refused(ep11.CKR_FUNCTION_NOT_SUPPORTED, ep11.Call{Function: 41})
	b.refused(ep11.CKR_FUNCTION_NOT_SUPPORTED, ep11.Call{})
	for f := ep11.Function(1); f <= ep11.Functions; f++ { // an empty call of each: a refusal, and no panic
		if _, err := b.do(ep11.Call{Function: f}); err == nil && f != ep11.FnGetMechanismList && f != ep11.FnLogout {
			t.Errorf("%s works without anything", f)
		} else if codeOf(err) == ep11.CKR_GENERAL_ERROR {
			t.Errorf("%s: %v", f, err)
		}
	}
	if _, _, err := b.e.Do(context.Background(), Env{}, ep11.Call{Function: ep11.FnLogout}); err == nil {
		t.Error("an empty environment works")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := b.e.Do(ctx, b.env, ep11.Call{Function: ep11.FnGenerateRandom, Len: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
