// SPDX-License-Identifier: Apache-2.0

package lattice

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/cloudflare/circl/kem/mlkem/mlkem1024"
	"github.com/cloudflare/circl/kem/mlkem/mlkem768"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/core/ep11/family/familytest"
	"strongroom/internal/core/internal/kdf"
	"strongroom/internal/pure/ep11"
)

func kindOf(p scheme) family.KeyType { return family.KeyType{Type: p.ckk(), Params: p.params()} }

func schemes() []scheme {
	var all []scheme
	for _, p := range dsaSets() {
		all = append(all, p)
	}
	for _, p := range kemSets() {
		all = append(all, p)
	}
	for _, p := range dilithiumSets() {
		all = append(all, p)
	}
	return all
}

// generate makes a pair through the set.
func generate(t testing.TB, tools family.Tools, p scheme) family.Key {
	t.Helper()
	k, err := Set().Keys[kindOf(p)].Generate(context.Background(), tools, ep11.Mechanism{}, []byte(p.params()), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Secret.Wipe)
	return k
}

// TestPairs: every parameter set makes pairs that check, sign or encapsulate, and refuse what isn't a key.
func TestPairs(t *testing.T) {
	t.Parallel()
	tools := familytest.Tools(t)
	set := Set()
	if len(set.Keys) != len(schemes()) {
		t.Fatalf("%d types of keys", len(set.Keys))
	}
	for _, p := range schemes() {
		g := set.Keys[kindOf(p)]
		k := generate(t, tools, p)
		if k.Kind() != kindOf(p) || k.Secret.Len() != p.secretSizes()[0] || g.Check(k) != nil || g.Bits(k) != 256 {
			t.Fatalf("%x: generated %v", p.params(), k)
		}
		if again, err := g.Public(k); err != nil || !bytes.Equal(again, k.Public) {
			t.Fatalf("%x: the public key is another one, %v", p.params(), err)
		}
		if bytes.Equal(generate(t, tools, p).Public, k.Public) {
			t.Fatal("two pairs are one")
		}
		for _, bad := range [][]byte{nil, k.Public[1:], append(slices.Clone(k.Public), 0)} {
			familytest.Code(t, "public key", g.Check(family.Key{Public: bad}), ep11.CKR_PUBLIC_KEY_INVALID)
		}
		raw := familytest.Peek(t, k.Secret)
		for _, at := range []int{0, 1} {
			changed := slices.Clone(raw)
			changed[at] ^= 1
			_, err := g.Public(family.Key{Secret: familytest.Secret(t, tools, changed)})
			familytest.Code(t, "header", err, ep11.CKR_WRAPPED_KEY_INVALID)
		}
		_, err := g.Public(family.Key{Secret: familytest.Secret(t, tools, raw[1:])})
		familytest.Code(t, "length", err, ep11.CKR_KEY_SIZE_RANGE)
		broken := tools
		broken.Random = familytest.Broken{}
		if _, err := g.Generate(t.Context(), broken, ep11.Mechanism{}, nil, nil, nil); !errors.Is(err, familytest.ErrNoRandom) {
			t.Errorf("without randomness: %v", err)
		}
	}
}

// TestSignatures: each signing set signs, and refuses changed signatures, other messages, other lengths and parameters.
func TestSignatures(t *testing.T) {
	t.Parallel()
	tools := familytest.Tools(t)
	set := Set()
	message := []byte("message")
	for _, p := range schemes() {
		mechanisms := map[uint64][]uint64{ep11.CKK_IBM_ML_DSA: {ep11.CKM_IBM_ML_DSA, ep11.CKM_ML_DSA}, ep11.CKK_IBM_PQC_DILITHIUM: {ep11.CKM_IBM_DILITHIUM}}[p.ckk()]
		for _, n := range mechanisms {
			var s family.Signer
			for _, row := range set.Rows {
				if row.Mechanism == n && row.Sign != nil && row.Keys[0] == kindOf(p) {
					s = row.Sign
				}
			}
			k, m := generate(t, tools, p), ep11.Mechanism{Type: n}
			sig, err := s.Sign(t.Context(), tools, m, k, message)
			if err != nil {
				t.Fatal(err)
			}
			public := family.Key{Type: k.Type, Params: k.Params, Public: k.Public}
			if err := s.Verify(t.Context(), tools, m, public, message, sig); err != nil {
				t.Fatal(err)
			}
			for _, at := range []int{0, len(sig) / 2, len(sig) - 1} {
				bad := slices.Clone(sig)
				bad[at] ^= 1
				familytest.Code(t, "changed", s.Verify(t.Context(), tools, m, public, message, bad), ep11.CKR_SIGNATURE_INVALID)
			}
			familytest.Code(t, "another message", s.Verify(t.Context(), tools, m, public, nil, sig), ep11.CKR_SIGNATURE_INVALID)
			familytest.Code(t, "no public key", s.Verify(t.Context(), tools, m, family.Key{}, message, sig), ep11.CKR_SIGNATURE_INVALID)
			for _, bad := range [][]byte{nil, sig[1:], append(slices.Clone(sig), 0)} {
				familytest.Code(t, "length", s.Verify(t.Context(), tools, m, public, message, bad), ep11.CKR_SIGNATURE_LEN_RANGE)
			}
			m.Parameter = []byte("context")
			_, err = s.Sign(t.Context(), tools, m, k, message)
			familytest.Code(t, "parameter", err, ep11.CKR_MECHANISM_PARAM_INVALID)
			familytest.Code(t, "parameter", s.Verify(t.Context(), tools, m, public, message, sig), ep11.CKR_MECHANISM_PARAM_INVALID)
			if _, err := s.Sign(t.Context(), tools, ep11.Mechanism{}, family.Key{Secret: familytest.Secret(t, tools, make([]byte, 5))}, message); !errors.Is(err, family.ErrFault) {
				t.Errorf("a secret that is no key gave %v", err)
			}
		}
	}
}

// TestWycheproofMLDSA verifies published signatures, and expands published seeds.
func TestWycheproofMLDSA(t *testing.T) {
	t.Parallel()
	tools := familytest.Tools(t)
	for i, name := range []string{"mldsa_44", "mldsa_65", "mldsa_87"} {
		p := dsaSets()[i]
		want := []int{180, 210, 241}[i]
		valid := 0
		for _, g := range familytest.Wycheproof(t, name+"_verify", want).TestGroups {
			var public familytest.Digits
			if err := json.Unmarshal(g.PublicKey, &public); err != nil {
				t.Fatal(err)
			}
			for _, v := range g.Tests {
				if len(v.Ctx) > 0 {
					continue // no context is offered
				}
				err := signer{p}.Verify(t.Context(), tools, ep11.Mechanism{}, family.Key{Public: public}, v.Msg, v.Sig)
				if (err == nil) != (v.Result == "valid") {
					t.Errorf("%s %d %s: %v", name, v.TcID, v.Comment, err)
				}
				if err == nil {
					valid++
				} else if !errors.Is(err, ep11.CKR_SIGNATURE_INVALID) && !errors.Is(err, ep11.CKR_SIGNATURE_LEN_RANGE) {
					t.Errorf("%s %d: refused with %v", name, v.TcID, err)
				}
			}
		}
		if valid < 40 {
			t.Errorf("%s: %d valid signatures", name, valid)
		}
	}
}

// TestWycheproofMLKEM decapsulates published ciphertexts, and makes the public keys of published seeds.
func TestWycheproofMLKEM(t *testing.T) {
	t.Parallel()
	tools := familytest.Tools(t)
	for i, name := range []string{"mlkem_768", "mlkem_1024"} {
		p := kemSets()[i]
		valid := 0
		for _, g := range familytest.Wycheproof(t, name, []int{201, 202}[i]).TestGroups {
			for _, v := range g.Tests {
				if len(v.Seed) != 64 {
					continue
				}
				secret := familytest.Secret(t, tools, append([]byte{0x80, 64}, v.Seed...))
				if len(v.Ek) > 0 {
					public, err := keys{p}.Public(family.Key{Secret: secret})
					if err != nil || !bytes.Equal(public, v.Ek) {
						t.Errorf("%s %d: public key %v", name, v.TcID, err)
					}
				}
				out, err := deriver{p}.Derive(t.Context(), tools, family.Derivation{
					Mechanism: ep11.Mechanism{Kyber: &ep11.Kyber{Mode: ep11.CK_KEM_DECAPSULATE, KDF: ep11.CKD_NULL, Cipher: v.C}},
					Base:      &family.Key{Secret: secret}, Type: ep11.CKK_AES, Length: 32,
				})
				if v.Result == "valid" {
					valid++
					if err != nil || !bytes.Equal(familytest.Reveal(t, out.Secret), v.K) {
						t.Errorf("%s %d: %v", name, v.TcID, err)
					}
				} else {
					familytest.Code(t, v.Comment, err, ep11.CKR_MECHANISM_PARAM_INVALID)
				}
				secret.Wipe()
			}
		}
		if valid < 90 {
			t.Errorf("%s: %d valid cases", name, valid)
		}
		for _, g := range familytest.Wycheproof(t, name+"_encaps", []int{265, 269}[i]).TestGroups {
			for _, v := range g.Tests {
				if err := (keys{p}).Check(family.Key{Public: v.Ek}); (err == nil) != (v.Result == "valid") {
					t.Errorf("%s encaps %d %s: %v", name, v.TcID, v.Comment, err)
				}
			}
		}
	}
}

// TestEncapsulation: both ends get the same key under every function, the ciphertext opens with circl to the same secret, and the combiner is the
// one that is described.
func TestEncapsulation(t *testing.T) {
	t.Parallel()
	tools := familytest.Tools(t)
	otherRaw := bytes.Repeat([]byte{0x5a}, 48)
	other := family.Key{Type: ep11.CKK_GENERIC_SECRET, Secret: familytest.Secret(t, tools, otherRaw)}
	for i, p := range kemSets() {
		k := generate(t, tools, p)
		public := family.Key{Type: k.Type, Params: k.Params, Public: k.Public}
		for _, tt := range []struct {
			kdf     uint64
			hash    kdf.Hash
			prepend bool
			info    string
		}{
			{ep11.CKD_NULL, 0, false, ""}, {ep11.CKD_HYBRID_NULL, 0, false, ""}, {ep11.CKD_HYBRID_NULL, 0, true, ""},
			{ep11.CKD_HYBRID_SHA1_KDF, kdf.SHA1, false, "info"}, {ep11.CKD_HYBRID_SHA224_KDF, kdf.SHA224, true, "info"}, {ep11.CKD_HYBRID_SHA256_KDF, kdf.SHA256, false, ""},
			{ep11.CKD_HYBRID_SHA384_KDF, kdf.SHA384, true, "info"}, {ep11.CKD_HYBRID_SHA512_KDF, kdf.SHA512, false, "info"},
		} {
			derive := func(mode uint64, base family.Key, cipher []byte) family.Derived {
				t.Helper()
				in := family.Derivation{Base: &base, Type: ep11.CKK_AES, Length: 32, Mechanism: ep11.Mechanism{
					Kyber: &ep11.Kyber{Mode: mode, KDF: tt.kdf, Prepend: tt.prepend, Shared: []byte(tt.info), Cipher: cipher}}}
				if tt.kdf != ep11.CKD_NULL {
					in.Other = &other
				}
				if tt.kdf == ep11.CKD_HYBRID_NULL {
					in.Type, in.Length = ep11.CKK_GENERIC_SECRET, 32+len(otherRaw)
				}
				out, err := deriver{p}.Derive(t.Context(), tools, in)
				if err != nil {
					t.Fatal(err)
				}
				return out
			}
			sent := derive(ep11.CK_KEM_ENCAPSULATE, public, nil)
			got := derive(ep11.CK_KEM_DECAPSULATE, k, sent.Cipher)
			if len(sent.Cipher) != p.cipherSize || got.Cipher != nil {
				t.Fatalf("ciphertexts of %d and %d bytes", len(sent.Cipher), len(got.Cipher))
			}
			z := circlDecapsulate(t, i, familytest.Peek(t, k.Secret)[2:], sent.Cipher)
			switch {
			case tt.kdf == ep11.CKD_NULL:
			case tt.prepend:
				z = append(z, otherRaw...)
			default:
				z = append(slices.Clone(otherRaw), z...)
			}
			want := z
			if tt.hash != 0 {
				want = make([]byte, 32)
				if err := kdf.X963(tt.hash, want, z, []byte(tt.info)); err != nil {
					t.Fatal(err)
				}
			}
			a, b := familytest.Reveal(t, sent.Secret), familytest.Reveal(t, got.Secret)
			if !bytes.Equal(a, want) || !bytes.Equal(b, want) {
				t.Errorf("function 0x%x: %x and %x, want %x", tt.kdf, a, b, want)
			}
		}
	}
}

// circlDecapsulate is the second opinion.
func circlDecapsulate(t *testing.T, set int, seed, cipher []byte) []byte {
	t.Helper()
	shared := make([]byte, 32)
	if set == 0 {
		_, k := mlkem768.NewKeyFromSeed(seed)
		k.DecapsulateTo(shared, cipher)
	} else {
		_, k := mlkem1024.NewKeyFromSeed(seed)
		k.DecapsulateTo(shared, cipher)
	}
	return shared
}

func TestEncapsulationRefusals(t *testing.T) {
	t.Parallel()
	tools := familytest.Tools(t)
	p := kemSets()[0]
	k := generate(t, tools, p)
	public := &family.Key{Type: k.Type, Params: k.Params, Public: k.Public}
	other := &family.Key{Secret: familytest.Secret(t, tools, make([]byte, 32))}
	bad := &family.Key{Type: k.Type, Params: k.Params, Public: bytes.Repeat([]byte{0xff}, len(k.Public))}
	cipher := make([]byte, p.cipherSize)
	const enc, dec = ep11.CK_KEM_ENCAPSULATE, ep11.CK_KEM_DECAPSULATE
	for _, tt := range []struct {
		name   string
		p      *ep11.Kyber
		base   *family.Key
		other  *family.Key
		ckk    uint64
		length int
		want   ep11.Code
	}{
		{"no parameter", nil, public, nil, ep11.CKK_AES, 32, ep11.CKR_MECHANISM_PARAM_INVALID},
		{"version", &ep11.Kyber{Version: 1, Mode: enc, KDF: 1}, public, nil, ep11.CKK_AES, 32, ep11.CKR_MECHANISM_PARAM_INVALID},
		{"mode", &ep11.Kyber{Mode: 3, KDF: 1}, public, nil, ep11.CKK_AES, 32, ep11.CKR_MECHANISM_PARAM_INVALID},
		{"no function", &ep11.Kyber{Mode: enc}, public, nil, ep11.CKK_AES, 32, ep11.CKR_MECHANISM_PARAM_INVALID},
		{"function of ECDH", &ep11.Kyber{Mode: enc, KDF: ep11.CKD_SHA256_KDF}, public, nil, ep11.CKK_AES, 32, ep11.CKR_MECHANISM_PARAM_INVALID},
		{"hybrid without a secret", &ep11.Kyber{Mode: enc, KDF: ep11.CKD_HYBRID_NULL}, public, nil, ep11.CKK_AES, 32, ep11.CKR_MECHANISM_PARAM_INVALID},
		{"hybrid with a public key", &ep11.Kyber{Mode: enc, KDF: ep11.CKD_HYBRID_NULL}, public, public, ep11.CKK_AES, 32, ep11.CKR_MECHANISM_PARAM_INVALID},
		{"null with a secret", &ep11.Kyber{Mode: enc, KDF: 1}, public, other, ep11.CKK_AES, 32, ep11.CKR_MECHANISM_PARAM_INVALID},
		{"null with shared data", &ep11.Kyber{Mode: enc, KDF: 1, Shared: cipher[:1]}, public, nil, ep11.CKK_AES, 32, ep11.CKR_MECHANISM_PARAM_INVALID},
		{"null with an order", &ep11.Kyber{Mode: enc, KDF: 1, Prepend: true}, public, nil, ep11.CKK_AES, 32, ep11.CKR_MECHANISM_PARAM_INVALID},
		{"hybrid null with shared data", &ep11.Kyber{Mode: enc, KDF: ep11.CKD_HYBRID_NULL, Shared: cipher[:1]}, public, other, ep11.CKK_AES, 32, ep11.CKR_MECHANISM_PARAM_INVALID},
		{"hybrid null, the other secret alone", &ep11.Kyber{Mode: enc, KDF: ep11.CKD_HYBRID_NULL}, public, other, ep11.CKK_AES, 32, ep11.CKR_KEY_SIZE_RANGE},
		{"hybrid null, a byte less", &ep11.Kyber{Mode: enc, KDF: ep11.CKD_HYBRID_NULL, Prepend: true}, public, other, ep11.CKK_GENERIC_SECRET, 63, ep11.CKR_KEY_SIZE_RANGE},
		{"hybrid null as an HMAC key, too long", &ep11.Kyber{Mode: enc, KDF: ep11.CKD_HYBRID_NULL}, public, other, ep11.CKK_SHA256_HMAC, 65, ep11.CKR_KEY_SIZE_RANGE},
		{"encapsulate with a private key", &ep11.Kyber{Mode: enc, KDF: 1}, &k, nil, ep11.CKK_AES, 32, ep11.CKR_KEY_TYPE_INCONSISTENT},
		{"decapsulate with a public key", &ep11.Kyber{Mode: dec, KDF: 1, Cipher: cipher}, public, nil, ep11.CKK_AES, 32, ep11.CKR_KEY_TYPE_INCONSISTENT},
		{"encapsulate a ciphertext", &ep11.Kyber{Mode: enc, KDF: 1, Cipher: cipher}, public, nil, ep11.CKK_AES, 32, ep11.CKR_MECHANISM_PARAM_INVALID},
		{"short ciphertext", &ep11.Kyber{Mode: dec, KDF: 1, Cipher: cipher[1:]}, &k, nil, ep11.CKK_AES, 32, ep11.CKR_MECHANISM_PARAM_INVALID},
		{"no base", &ep11.Kyber{Mode: dec, KDF: 1, Cipher: cipher}, nil, nil, ep11.CKK_AES, 32, ep11.CKR_KEY_NEEDED},
		{"no length", &ep11.Kyber{Mode: enc, KDF: 1}, public, nil, ep11.CKK_AES, 0, ep11.CKR_TEMPLATE_INCOMPLETE},
		{"too long", &ep11.Kyber{Mode: enc, KDF: 1}, public, nil, ep11.CKK_GENERIC_SECRET, 33, ep11.CKR_KEY_SIZE_RANGE},
		{"a curve's key", &ep11.Kyber{Mode: enc, KDF: 1}, public, nil, ep11.CKK_EC, 0, ep11.CKR_TEMPLATE_INCONSISTENT},
		{"no public key", &ep11.Kyber{Mode: enc, KDF: 1}, bad, nil, ep11.CKK_AES, 32, ep11.CKR_PUBLIC_KEY_INVALID},
	} {
		out, err := deriver{p}.Derive(t.Context(), tools, family.Derivation{Mechanism: ep11.Mechanism{Kyber: tt.p}, Base: tt.base, Other: tt.other, Type: tt.ckk, Length: tt.length})
		familytest.Code(t, tt.name, err, tt.want)
		out.Secret.Wipe()
	}
	// A ciphertext for somebody else gives another key.
	out, err := deriver{p}.Derive(t.Context(), tools, family.Derivation{Mechanism: ep11.Mechanism{Kyber: &ep11.Kyber{Mode: dec, KDF: 1, Cipher: cipher}}, Base: &k, Type: ep11.CKK_AES, Length: 16})
	if err != nil || out.Secret.Len() != 16 {
		t.Error(err)
	}
	out.Secret.Wipe()
}

// Law: whatever is given as a private key either is none, or its public key checks and it signs, or its parts don't fit; the machine is never to blame.
func FuzzSecret(f *testing.F) {
	tools := familytest.Tools(f)
	for i, p := range schemes() {
		f.Add(uint8(i), familytest.Peek(f, generate(f, tools, p).Secret))
	}
	f.Fuzz(func(t *testing.T, which uint8, raw []byte) {
		if len(raw) == 0 || len(raw) > 16<<10 {
			return
		}
		p := schemes()[int(which)%len(schemes())]
		s := familytest.Secret(t, tools, raw)
		defer s.Wipe()
		public, err := keys{p}.Public(family.Key{Secret: s})
		if err != nil {
			var code ep11.Code
			if !errors.As(err, &code) {
				t.Fatalf("an accident: %v", err)
			}
			return
		}
		if err := (keys{p}).Check(family.Key{Public: public}); err != nil {
			t.Fatal(err)
		}
		if sign, ok := p.(signing); ok {
			if _, err := (signer{sign}).Sign(context.Background(), tools, ep11.Mechanism{}, family.Key{Secret: s}, []byte("m")); err != nil && !errors.Is(err, ep11.CKR_FUNCTION_FAILED) {
				t.Fatal(err)
			}
		}
	})
}
