// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"bytes"
	"testing"

	"strongroom/internal/pure/ep11"
)

func (b *bench) get(blob []byte, list ...uint64) ep11.Template {
	b.t.Helper()
	ask := ep11.Template{}
	for _, n := range list {
		ask[n] = ep11.Attribute{}
	}
	out := b.must(ep11.Call{Function: ep11.FnGetAttribute, Key: blob, Template: ask}).Attributes
	if len(out) != len(list) {
		b.t.Errorf("%d attributes, asked for %d", len(out), len(list))
	}
	return out
}

func TestGetAttributes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	made := b.must(ep11.Call{Function: ep11.FnGenerateKey, Mechanism: mech(ep11.CKM_AES_KEY_GEN),
		Template: and(number(ep11.CKA_VALUE_LEN, 24), bytesOf(ep11.CKA_LABEL, "name"), flags(ep11.CKA_ENCRYPT))})
	got := b.get(made.Key, ep11.CKA_CLASS, ep11.CKA_KEY_TYPE, ep11.CKA_VALUE_LEN, ep11.CKA_VALUE_BITS, ep11.CKA_CHECK_VALUE, ep11.CKA_LABEL, ep11.CKA_MODULUS_BITS,
		ep11.CKA_KEY_GEN_MECHANISM, ep11.CKA_LOCAL, ep11.CKA_NEVER_EXTRACTABLE, ep11.CKA_ALWAYS_SENSITIVE, ep11.CKA_EXTRACTABLE, ep11.CKA_DECRYPT, ep11.CKA_ENCRYPT, ep11.CKA_IBM_GREP11_WKID)
	for n, want := range map[uint64]uint64{ep11.CKA_CLASS: ep11.CKO_SECRET_KEY, ep11.CKA_KEY_TYPE: ep11.CKK_AES, ep11.CKA_VALUE_LEN: 24, ep11.CKA_VALUE_BITS: 192,
		ep11.CKA_KEY_GEN_MECHANISM: ep11.CKM_AES_KEY_GEN} {
		if v, ok := got.Number(n); !ok || v != want {
			t.Errorf("%x is %d, want %d", n, v, want)
		}
	}
	for n, want := range map[uint64]bool{ep11.CKA_LOCAL: true, ep11.CKA_NEVER_EXTRACTABLE: true, ep11.CKA_ALWAYS_SENSITIVE: true, ep11.CKA_EXTRACTABLE: false, ep11.CKA_DECRYPT: false, ep11.CKA_ENCRYPT: true} {
		if got.Has(n) != want || got[n].Bool == nil {
			t.Errorf("%x is %v, want %v", n, !want, want)
		}
	}
	if v := got[ep11.CKA_MODULUS_BITS].Int; v == nil || *v != ep11.Unavailable {
		t.Errorf("a modulus of an AES key: %v", v)
	}
	if !bytes.Equal(got[ep11.CKA_CHECK_VALUE].Bytes, made.CheckSum[:3]) || string(got[ep11.CKA_LABEL].Bytes) != "name" || !bytes.Equal(got[ep11.CKA_IBM_GREP11_WKID].Bytes, b.env.Current.Pattern[:]) {
		t.Errorf("got %v", got)
	}
	for n, want := range map[uint64]ep11.Code{ep11.CKA_VALUE: ep11.CKR_ATTRIBUTE_SENSITIVE, ep11.CKA_PRIVATE_EXPONENT: ep11.CKR_ATTRIBUTE_SENSITIVE,
		0x4242: ep11.CKR_ATTRIBUTE_TYPE_INVALID, ep11.CKA_EC_POINT: ep11.CKR_ATTRIBUTE_TYPE_INVALID, ep11.CKA_ID: ep11.CKR_ATTRIBUTE_TYPE_INVALID} {
		b.refused(want, ep11.Call{Function: ep11.FnGetAttribute, Key: made.Key, Template: ep11.Template{n: {}}})
	}
	b.refused(ep11.CKR_OBJECT_HANDLE_INVALID, ep11.Call{Function: ep11.FnGetAttribute, Template: ep11.Template{ep11.CKA_CLASS: {}}})

	sk, pk := b.rsa(2048, nil, nil)
	for i, blob := range [][]byte{sk, pk} {
		got := b.get(blob, ep11.CKA_CLASS, ep11.CKA_MODULUS, ep11.CKA_MODULUS_BITS, ep11.CKA_PUBLIC_EXPONENT, ep11.CKA_PUBLIC_KEY_INFO, ep11.CKA_VALUE_LEN)
		if class, _ := got.Number(ep11.CKA_CLASS); class != [2]uint64{ep11.CKO_PRIVATE_KEY, ep11.CKO_PUBLIC_KEY}[i] {
			t.Errorf("class %d", class)
		}
		n, _ := got.Number(ep11.CKA_MODULUS_BITS)
		e, _ := got.Number(ep11.CKA_PUBLIC_EXPONENT)
		if n != 2048 || e != 65537 || len(got[ep11.CKA_MODULUS].Bytes) != 256 || !bytes.HasPrefix(pk, got[ep11.CKA_PUBLIC_KEY_INFO].Bytes) {
			t.Errorf("got %v", got)
		}
	}
	sk, pk = b.pair(ep11.OIDP256, nil, nil)
	_, point := spki(t, pk)
	bare := ep11.PublicKey{Type: ep11.CKK_EC, Params: []byte(ep11.OIDP256), Key: point}.SPKI()
	for _, blob := range [][]byte{sk, pk, bare} {
		if got := b.get(blob, ep11.CKA_EC_PARAMS, ep11.CKA_EC_POINT); string(got[ep11.CKA_EC_PARAMS].Bytes) != ep11.OIDP256 || !bytes.Equal(got[ep11.CKA_EC_POINT].Bytes, point) {
			t.Errorf("got %v", got)
		}
	}
	b.refused(ep11.CKR_ATTRIBUTE_READ_ONLY, ep11.Call{Function: ep11.FnSetAttribute, Key: bare, Template: flags(ep11.CKA_ENCRYPT)})
}

// TestSetAttributes: a new blob in place of the old one, of the same key, with booleans changed as the standard lets them.
func TestSetAttributes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	key := b.aes(32, flags(ep11.CKA_ENCRYPT, ep11.CKA_DECRYPT, ep11.CKA_EXTRACTABLE))
	set := func(blob []byte, t ep11.Template) ep11.Call {
		return ep11.Call{Function: ep11.FnSetAttribute, Key: blob, Template: t}
	}
	off := func(n uint64) ep11.Template { return ep11.Template{n: ep11.Bool(false)} }
	ecb := ep11.Call{Function: ep11.FnDecryptSingle, Mechanism: mech(ep11.CKM_AES_ECB), Data: make([]byte, 16)}
	ecb.Key = key
	plain := b.must(ecb).Data
	sealing := b.must(set(key, and(off(ep11.CKA_ENCRYPT), off(ep11.CKA_EXTRACTABLE)))).Key
	ecb.Key = sealing
	if got := b.must(ecb).Data; !bytes.Equal(got, plain) {
		t.Error("another key")
	}
	ecb.Function = ep11.FnEncryptSingle
	b.refused(ep11.CKR_KEY_FUNCTION_NOT_PERMITTED, ecb)
	b.refused(ep11.CKR_ATTRIBUTE_READ_ONLY, set(sealing, flags(ep11.CKA_EXTRACTABLE)))
	if got := b.get(sealing, ep11.CKA_EXTRACTABLE, ep11.CKA_NEVER_EXTRACTABLE); got.Has(ep11.CKA_EXTRACTABLE) || got.Has(ep11.CKA_NEVER_EXTRACTABLE) {
		t.Error("the key forgot that it was extractable")
	}
	b.must(set(sealing, flags(ep11.CKA_ENCRYPT))) // in the compatibility profile
	b.env.Compat = false
	b.refused(ep11.CKR_ATTRIBUTE_READ_ONLY, set(sealing, flags(ep11.CKA_ENCRYPT)))
	b.must(set(sealing, flags(ep11.CKA_DECRYPT))) // as it is
	b.env.Compat = true
	for n, want := range map[uint64]ep11.Code{
		ep11.CKA_LOCAL: ep11.CKR_ATTRIBUTE_READ_ONLY, ep11.CKA_NEVER_EXTRACTABLE: ep11.CKR_ATTRIBUTE_READ_ONLY, ep11.CKA_IBM_ATTRBOUND: ep11.CKR_ATTRIBUTE_READ_ONLY,
		ep11.CKA_TRUSTED: ep11.CKR_ATTRIBUTE_READ_ONLY, ep11.CKA_CLASS: ep11.CKR_ATTRIBUTE_READ_ONLY, ep11.CKA_LABEL: ep11.CKR_ATTRIBUTE_READ_ONLY,
		ep11.CKA_VALUE: ep11.CKR_ATTRIBUTE_READ_ONLY, 0x4242: ep11.CKR_ATTRIBUTE_TYPE_INVALID, ep11.CKA_SIGN_RECOVER: ep11.CKR_ATTRIBUTE_TYPE_INVALID,
	} {
		tt := off(n)
		if b.get(key, ep11.CKA_LOCAL); n != ep11.CKA_LOCAL {
			tt = flags(n)
		}
		b.refused(want, set(key, tt))
	}
	b.refused(ep11.CKR_ATTRIBUTE_VALUE_INVALID, set(key, number(ep11.CKA_ENCRYPT, 1)))
	b.refused(ep11.CKR_OBJECT_HANDLE_INVALID, set(nil, flags(ep11.CKA_ENCRYPT)))

	fixed := b.must(set(key, off(ep11.CKA_MODIFIABLE))).Key
	b.refused(ep11.CKR_ATTRIBUTE_READ_ONLY, set(fixed, flags(ep11.CKA_SIGN)))
	b.refused(ep11.CKR_ATTRIBUTE_READ_ONLY, set(fixed, flags(ep11.CKA_MODIFIABLE)))
	fixed = b.must(set(fixed, off(ep11.CKA_DECRYPT))).Key // still restrictable
	fixed = b.must(set(fixed, off(ep11.CKA_IBM_RESTRICTABLE))).Key
	b.refused(ep11.CKR_ACTION_PROHIBITED, set(fixed, off(ep11.CKA_ENCRYPT)))
	b.refused(ep11.CKR_ACTION_PROHIBITED, set(b.aes(32, flags(ep11.CKA_IBM_NEVER_MODIFIABLE)), flags(ep11.CKA_ENCRYPT)))

	sk, pk := b.pair(ep11.OIDP256, flags(ep11.CKA_SIGN), flags(ep11.CKA_VERIFY))
	sig := b.must(ep11.Call{Function: ep11.FnSignSingle, Mechanism: mech(ep11.CKM_ECDSA), Key: sk, Data: []byte("x")}).Data
	mute := b.must(set(pk, off(ep11.CKA_VERIFY))).Key
	b.refused(ep11.CKR_KEY_FUNCTION_NOT_PERMITTED, ep11.Call{Function: ep11.FnVerifySingle, Mechanism: mech(ep11.CKM_ECDSA), Key: mute, Data: []byte("x"), Signature: sig})
	b.refused(ep11.CKR_KEY_FUNCTION_NOT_PERMITTED, ep11.Call{Function: ep11.FnSignSingle, Mechanism: mech(ep11.CKM_ECDSA), Key: pk, Data: []byte("x")})
}

// TestNoUseWithoutAttribute: each use needs its attribute, whatever else the key may do.
func TestNoUseWithoutAttribute(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	all := []uint64{ep11.CKA_ENCRYPT, ep11.CKA_DECRYPT, ep11.CKA_WRAP, ep11.CKA_UNWRAP, ep11.CKA_SIGN, ep11.CKA_VERIFY, ep11.CKA_DERIVE}
	open := b.aes(16, flags(ep11.CKA_EXTRACTABLE))
	ecb, hmac := mech(ep11.CKM_AES_ECB), mech(ep11.CKM_SHA256_HMAC)
	for n, calls := range map[uint64][]ep11.Call{
		ep11.CKA_ENCRYPT: {{Function: ep11.FnEncryptSingle, Mechanism: ecb, Data: make([]byte, 16)}, {Function: ep11.FnEncryptInit, Mechanism: ecb}},
		ep11.CKA_DECRYPT: {{Function: ep11.FnDecryptSingle, Mechanism: ecb, Data: make([]byte, 16)}, {Function: ep11.FnDecryptInit, Mechanism: ecb}},
		ep11.CKA_SIGN:    {{Function: ep11.FnSignSingle, Mechanism: hmac}, {Function: ep11.FnSignInit, Mechanism: hmac}},
		ep11.CKA_VERIFY:  {{Function: ep11.FnVerifySingle, Mechanism: hmac, Signature: make([]byte, 32)}, {Function: ep11.FnVerifyInit, Mechanism: hmac}},
		ep11.CKA_WRAP:    {{Function: ep11.FnWrapKey, Mechanism: ecb}},
		ep11.CKA_UNWRAP:  {{Function: ep11.FnUnwrapKey, Mechanism: ecb, Data: make([]byte, 16), Template: number(ep11.CKA_KEY_TYPE, ep11.CKK_AES)}},
	} {
		var rest []uint64
		for _, m := range all {
			if m != n {
				rest = append(rest, m)
			}
		}
		for _, c := range calls {
			for _, with := range []bool{true, false} {
				key := b.aes(32, flags(rest...))
				if with {
					key = b.aes(32, flags(n))
				}
				switch c.Key, c.Key2 = key, nil; c.Function {
				case ep11.FnWrapKey:
					c.Key, c.Key2 = open, key
				case ep11.FnUnwrapKey:
					c.Key, c.Key2 = nil, key
				}
				_, err := b.do(c)
				if refused := codeOf(err) == ep11.CKR_KEY_FUNCTION_NOT_PERMITTED; refused == with {
					t.Errorf("%s, attribute %x %v: %v", c.Function, n, with, err)
				}
			}
		}
	}
}
