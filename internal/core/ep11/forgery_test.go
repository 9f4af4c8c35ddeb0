// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"bytes"
	"testing"

	"strongroom/internal/core/internal/kdf"
	"strongroom/internal/core/seal"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/secret"
)

// forged makes a package of a key with some attributes, as who knows the MAC key could.
func forged(b *bench, mac, pk []byte, head boundHeader, value secret.Bytes) []byte {
	b.t.Helper()
	w := &work{ctx: b.t.Context(), engine: b.e, env: &b.env, call: &ep11.Call{}}
	w.tools.Arena = b.env.Arena
	kek, err := w.keyOf(pk, ep11.CKR_OK)
	if err != nil {
		b.t.Fatal(err)
	}
	m, wrapper, err := w.seeder(kek, ep11.CKR_OK)
	if err != nil {
		b.t.Fatal(err)
	}
	seed := bytes.Repeat([]byte{9}, seal.KeySize)
	p := boundPackage{V: 1}
	if p.Seed, err = wrapper.Wrap(w.ctx, w.tools, m, kek.key, b32(b.t, b.env.Arena, 9)); err != nil {
		b.t.Fatal(err)
	}
	opened, err := w.keyOf(mac, ep11.CKR_OK)
	if err != nil {
		b.t.Fatal(err)
	}
	defer opened.wipe()
	key, err := secret.New(b.env.Arena, seal.KeySize, func(out []byte) error {
		return opened.key.Secret.Use(func(m []byte) error { return kdf.HKDF(kdf.SHA384, out, m, seed, []byte(canon.TagAppBound)) })
	})
	if err != nil {
		b.t.Fatal(err)
	}
	defer key.Wipe()
	if p.Envelope, err = seal.Seal(canon.TagAppBound, key, canon.Encode(head), value); err != nil {
		b.t.Fatal(err)
	}
	return canon.Encode(p)
}

// TestForgedPackages: also who knows a MAC key gets no key in that is trusted, has uses that its class doesn't have, or a length that its type doesn't.
func TestForgedPackages(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.env.Compat = false
	bound := flags(ep11.CKA_IBM_ATTRBOUND)
	sk, pk := b.rsa(2048, and(bound, flags(ep11.CKA_UNWRAP)), and(bound, flags(ep11.CKA_WRAP)))
	mac := b.generic(32, and(bound, flags(ep11.CKA_VERIFY)))
	value := b32(t, b.env.Arena, 0x42)
	short, err := secret.New(b.env.Arena, 2, func([]byte) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	defer short.Wipe()
	unwrap := func(attributes ep11.Template, of secret.Bytes) (ep11.Answer, error) {
		head := boundHeader{Class: ep11.CKO_SECRET_KEY, Type: ep11.CKK_AES, Attributes: attributes}
		return b.do(ep11.Call{Function: ep11.FnUnwrapKey, Mechanism: mech(ep11.CKM_IBM_ATTRIBUTEBOUND_WRAP), Key2: sk, Key3: mac, Data: forged(b, mac, pk, head, of),
			Template: number(ep11.CKA_KEY_TYPE, ep11.CKK_AES)})
	}
	got, err := unwrap(and(bound, flags(ep11.CKA_TRUSTED, ep11.CKA_WRAP, ep11.CKA_LOCAL, ep11.CKA_NEVER_EXTRACTABLE)), value)
	if err != nil {
		t.Fatal(err)
	}
	a := b.get(got.Key, ep11.CKA_TRUSTED, ep11.CKA_WRAP, ep11.CKA_LOCAL, ep11.CKA_NEVER_EXTRACTABLE)
	if a.Has(ep11.CKA_TRUSTED) || !a.Has(ep11.CKA_WRAP) || a.Has(ep11.CKA_LOCAL) || a.Has(ep11.CKA_NEVER_EXTRACTABLE) {
		t.Errorf("attributes %v", a)
	}
	for name, tt := range map[string]struct {
		attributes ep11.Template
		of         secret.Bytes
		want       ep11.Code
	}{
		"a use of other classes": {and(bound, flags(ep11.CKA_SIGN_RECOVER)), value, ep11.CKR_WRAPPED_KEY_INVALID},
		"an unknown attribute":   {and(bound, flags(0x4242)), value, ep11.CKR_WRAPPED_KEY_INVALID},
		"an integer":             {and(bound, number(ep11.CKA_VALUE_LEN, 16)), value, ep11.CKR_WRAPPED_KEY_INVALID},
		"not bound":              {nil, value, ep11.CKR_TEMPLATE_INCONSISTENT},
		"uses that are apart":    {and(bound, flags(ep11.CKA_WRAP, ep11.CKA_DECRYPT)), value, ep11.CKR_TEMPLATE_INCONSISTENT},
		"two bytes":              {bound, short, ep11.CKR_KEY_SIZE_RANGE},
	} {
		if _, err := unwrap(tt.attributes, tt.of); codeOf(err) != tt.want {
			t.Errorf("%s: got %v, want %v", name, err, tt.want)
		}
	}
}

// TestBoundValuesStayBound: nobody has the value of a bound key in an unbound one, or knows that of one that makes or opens packages.
func TestBoundValuesStayBound(t *testing.T) {
	t.Parallel()
	b := newComplete(t)
	unbound := ep11.Template{ep11.CKA_IBM_ATTRBOUND: ep11.Bool(false)}
	base := b.generic(32, flags(ep11.CKA_DERIVE, ep11.CKA_IBM_ATTRBOUND))
	sk, pk := b.pair(ep11.OIDP256, flags(ep11.CKA_DERIVE, ep11.CKA_IBM_ATTRBOUND), flags(ep11.CKA_DERIVE, ep11.CKA_IBM_ATTRBOUND))
	hash, agree := mech(ep11.CKM_SHA256_KEY_DERIVATION), withIV(ep11.CKM_ECDH1_DERIVE, rawKey(t, pk))
	for _, compat := range []bool{false, true} {
		b.env.Compat = compat
		for _, tt := range []struct {
			name string
			m    *ep11.Mechanism
			base []byte
			t    ep11.Template
			want ep11.Code
		}{
			{"bound by default", hash, base, flags(ep11.CKA_SIGN), ep11.CKR_OK},
			{"a twin that isn't", hash, base, unbound, ep11.CKR_TEMPLATE_INCONSISTENT},
			{"agreed", agree, sk, flags(ep11.CKA_DERIVE), ep11.CKR_OK},
			{"agreed, to sign", agree, sk, flags(ep11.CKA_SIGN), ep11.CKR_TEMPLATE_INCONSISTENT},
			{"agreed, to verify", agree, sk, flags(ep11.CKA_VERIFY), ep11.CKR_TEMPLATE_INCONSISTENT},
			{"agreed, a twin that isn't", agree, sk, unbound, ep11.CKR_TEMPLATE_INCONSISTENT},
		} {
			got, err := b.do(ep11.Call{Function: ep11.FnDeriveKey, Mechanism: tt.m, Key: tt.base, Template: and(tt.t, number(ep11.CKA_VALUE_LEN, 32))})
			if codeOf(err) != tt.want {
				t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
			}
			if err == nil && !b.get(got.Key, ep11.CKA_IBM_ATTRBOUND).Has(ep11.CKA_IBM_ATTRBOUND) {
				t.Errorf("%s: not bound", tt.name)
			}
		}
		b.refused(ep11.CKR_TEMPLATE_INCONSISTENT, ep11.Call{Function: ep11.FnUnwrapKey, Mechanism: mech(ep11.CKM_IBM_TRANSPORTKEY), Data: bareSPKI(t, pk), Template: flags(ep11.CKA_WRAP, ep11.CKA_IBM_ATTRBOUND)})
	}
}

// bareSPKI is a public key without what authenticates it.
func bareSPKI(t testing.TB, blob []byte) []byte {
	t.Helper()
	k, _, err := ep11.ReadSPKI(blob)
	if err != nil {
		t.Fatal(err)
	}
	return k.SPKI()
}
