// SPDX-License-Identifier: Apache-2.0

package ed448

import (
	"bytes"
	"context"
	"errors"
	"math/big"
	"slices"
	"testing"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/core/ep11/family/familytest"
	"strongroom/internal/pure/ep11"
)

// TestRFC8032 has section 7.4's vectors "Blank" and "1 octet".
func TestRFC8032(t *testing.T) {
	t.Parallel()
	tools := familytest.Tools(t)
	for _, v := range []struct{ sk, pub, message, sig string }{
		{"6c82a562cb808d10d632be89c8513ebf6c929f34ddfa8c9f63c9960ef6e348a3528c8a3fcc2f044e39a3fc5b94492f8f032e7549a20098f95b",
			"5fd7449b59b461fd2ce787ec616ad46a1da1342485a70e1f8a0ea75d80e96778edf124769b46c7061bd6783df1e50f6cd1fa1abeafe8256180", "",
			"533a37f6bbe457251f023c0d88f976ae2dfb504a843e34d2074fd823d41a591f2b233f034f628281f2fd7a22ddd47d7828c59bd0a21bfd3980" +
				"ff0d2028d4b18a9df63e006c5d1c2d345b925d8dc00b4104852db99ac5c7cdda8530a113a0f4dbb61149f05a7363268c71d95808ff2e652600"},
		{"c4eab05d357007c632f3dbb48489924d552b08fe0c353a0d4a1f00acda2c463afbea67c5e8d2877c5e3bc397a659949ef8021e954e0a12274e",
			"43ba28f430cdff456ae531545f7ecd0ac834a55d9358c0372bfa0c6c6798c0866aea01eb00742802b8438ea4cb82169c235160627b4c3a9480", "03",
			"26b8f91727bd62897af15e41eb43c377efb9c610d48f2335cb0bd0087810f4352541b143c4b981b7e18f62de8ccdf633fc1bf037ab7cd77980" +
				"5e0dbcc0aae1cbcee1afb2e027df36bc04dcecbf154336c19f0af7e0a6472905e799f1953d2a0ff3348ab21aa4adafd1d234441cf807c03a00"},
	} {
		k := family.Key{Secret: familytest.Secret(t, tools, familytest.Unhex(t, v.sk))}
		pub, err := keys{}.Public(k)
		if err != nil || !bytes.Equal(pub, familytest.Unhex(t, v.pub)) {
			t.Errorf("public key %x, %v", pub, err)
		}
		sig, err := signer{}.Sign(t.Context(), tools, ep11.Mechanism{}, k, familytest.Unhex(t, v.message))
		if err != nil || !bytes.Equal(sig, familytest.Unhex(t, v.sig)) {
			t.Errorf("signature %x, %v", sig, err)
		}
	}
}

// TestWycheproof verifies published signatures.
func TestWycheproof(t *testing.T) {
	t.Parallel()
	tools := familytest.Tools(t)
	valid := 0
	for _, g := range familytest.Wycheproof(t, "ed448", 87).TestGroups {
		k := family.Key{Public: familytest.Member(t, g.PublicKey, "pk")}
		if err := (keys{}).Check(k); err != nil {
			t.Fatal(err)
		}
		for _, v := range g.Tests {
			err := signer{}.Verify(t.Context(), tools, ep11.Mechanism{}, k, v.Msg, v.Sig)
			if (err == nil) != (v.Result == "valid") {
				t.Errorf("%d %s: %v", v.TcID, v.Comment, err)
			}
			if err == nil {
				valid++
			} else if !errors.Is(err, ep11.CKR_SIGNATURE_INVALID) && !errors.Is(err, ep11.CKR_SIGNATURE_LEN_RANGE) {
				t.Errorf("%d: refused with %v", v.TcID, err)
			}
		}
	}
	if valid < 10 {
		t.Errorf("%d valid signatures", valid)
	}
}

// lowOrder are the encodings of the points of order 1, 2 and 4: (0, 1), (0, -1), (1, 0) and (-1, 0).
func lowOrder() [][]byte {
	p := new(big.Int).Lsh(big.NewInt(1), 448)
	p.Sub(p, new(big.Int).Lsh(big.NewInt(1), 224)).Sub(p, big.NewInt(2)) // p - 1
	minusOne := p.FillBytes(make([]byte, 57))
	slices.Reverse(minusOne)
	one := append([]byte{1}, make([]byte, 56)...)
	zero, minus := make([]byte, 57), make([]byte, 57)
	minus[56] = 0x80
	return [][]byte{one, minusOne, zero, minus}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	tools := familytest.Tools(t)
	set := Set()
	g, s := set.Keys[kind], familytest.Row(t, set, ep11.CKM_IBM_ED448_SHA3, kind).Sign
	k, err := g.Generate(t.Context(), tools, ep11.Mechanism{}, []byte(ep11.OIDEd448), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Secret.Wipe()
	if k.Kind() != kind || g.Check(k) != nil || g.Bits(k) != 448 || k.Secret.Len() != 57 || len(k.Public) != 57 {
		t.Fatalf("generated %v", k)
	}
	sig, err := s.Sign(t.Context(), tools, ep11.Mechanism{}, k, []byte("m"))
	if err != nil || s.Verify(t.Context(), tools, ep11.Mechanism{}, family.Key{Public: k.Public}, []byte("m"), sig) != nil {
		t.Fatal(err)
	}
	familytest.Code(t, "another message", s.Verify(t.Context(), tools, ep11.Mechanism{}, k, []byte("n"), sig), ep11.CKR_SIGNATURE_INVALID)
	for at := range sig {
		bad := bytes.Clone(sig)
		bad[at] ^= 1
		familytest.Code(t, "changed", s.Verify(t.Context(), tools, ep11.Mechanism{}, k, []byte("m"), bad), ep11.CKR_SIGNATURE_INVALID)
	}
	for _, bad := range [][]byte{nil, sig[1:], append(bytes.Clone(sig), 0)} {
		familytest.Code(t, "length", s.Verify(t.Context(), tools, ep11.Mechanism{}, k, []byte("m"), bad), ep11.CKR_SIGNATURE_LEN_RANGE)
	}
	for _, bad := range append(lowOrder(), nil, k.Public[1:], bytes.Repeat([]byte{0xff}, 57)) {
		familytest.Code(t, "public key", g.Check(family.Key{Public: bad}), ep11.CKR_PUBLIC_KEY_INVALID)
	}
	m := ep11.Mechanism{Parameter: []byte("context")}
	_, err = s.Sign(t.Context(), tools, m, k, nil)
	familytest.Code(t, "parameter", err, ep11.CKR_MECHANISM_PARAM_INVALID)
	familytest.Code(t, "parameter", s.Verify(t.Context(), tools, m, k, nil, sig), ep11.CKR_MECHANISM_PARAM_INVALID)
	_, err = g.Public(family.Key{Secret: familytest.Secret(t, tools, make([]byte, 56))})
	familytest.Code(t, "short secret", err, ep11.CKR_KEY_SIZE_RANGE)
	if _, err := s.Sign(t.Context(), tools, ep11.Mechanism{}, family.Key{Secret: familytest.Secret(t, tools, make([]byte, 56))}, nil); !errors.Is(err, errSeed) {
		t.Errorf("a short secret gave %v", err)
	}
	tools.Random = familytest.Broken{}
	if _, err := g.Generate(t.Context(), tools, ep11.Mechanism{}, nil, nil, nil); !errors.Is(err, familytest.ErrNoRandom) {
		t.Errorf("without randomness: %v", err)
	}
}

// Law: no public key and signature are an accident, and a signature under a key that checks is only ever the signer's.
func FuzzVerify(f *testing.F) {
	tools := familytest.Tools(f)
	k := family.Key{Secret: familytest.Secret(f, tools, bytes.Repeat([]byte{7}, 57))}
	public, err := keys{}.Public(k)
	if err != nil {
		f.Fatal(err)
	}
	sig, err := signer{}.Sign(f.Context(), tools, ep11.Mechanism{}, k, []byte("m"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(public, []byte("m"), sig)
	for _, p := range lowOrder() {
		f.Add(p, []byte("m"), append(bytes.Clone(lowOrder()[0]), make([]byte, 57)...))
	}
	f.Fuzz(func(t *testing.T, p, message, s []byte) {
		err := signer{}.Verify(context.Background(), tools, ep11.Mechanism{}, family.Key{Public: p}, message, s)
		if err == nil && keys.Check(keys{}, family.Key{Public: p}) == nil && !(bytes.Equal(p, public) && bytes.Equal(message, []byte("m")) && bytes.Equal(s, sig)) {
			t.Fatal("a signature that nobody made")
		}
		if code := ep11.Code(0); err != nil && !errors.As(err, &code) {
			t.Fatalf("an accident: %v", err)
		}
	})
}
