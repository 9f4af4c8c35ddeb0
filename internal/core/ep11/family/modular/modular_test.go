// SPDX-License-Identifier: Apache-2.0

package modular

import (
	"bytes"
	"context"
	"crypto/dsa" //nolint:staticcheck // the oracle
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/core/ep11/family/familytest"
	"strongroom/internal/pure/ep11"
)

var (
	dhKind  = family.KeyType{Type: ep11.CKK_DH}
	dsaKind = family.KeyType{Type: ep11.CKK_DSA}
)

func newSet(t testing.TB) family.Set {
	t.Helper()
	set, err := Set()
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// params asks for parameters as a caller does.
func params(t testing.TB, set family.Set, mechanism, bits uint64) []byte {
	t.Helper()
	for _, r := range set.Rows {
		if r.Mechanism == mechanism && r.Parameters != nil {
			out, err := r.Parameters.Parameters(context.Background(), family.Tools{}, ep11.Mechanism{}, ep11.Template{ep11.CKA_PRIME_BITS: ep11.Int(bits)})
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
	}
	t.Fatal("no row")
	return nil
}

func pair(t testing.TB, set family.Set, tools family.Tools, kind family.KeyType, params []byte) family.Key {
	t.Helper()
	k, err := set.Keys[kind].Generate(context.Background(), tools, ep11.Mechanism{}, params, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Secret.Wipe)
	if k.Kind() != kind || set.Keys[kind].Check(k) != nil {
		t.Fatal("a pair that was made does not check")
	}
	return k
}

// TestDH: both ends agree on what math/big computes, of every size and in both families of groups.
func TestDH(t *testing.T) {
	t.Parallel()
	set, tools := newSet(t), familytest.Tools(t)
	all := [][]byte{params(t, set, ep11.CKM_DH_PKCS_PARAMETER_GEN, 2048), params(t, set, ep11.CKM_DH_PKCS_PARAMETER_GEN, 3072), params(t, set, ep11.CKM_DH_PKCS_PARAMETER_GEN, 4096)}
	p, _ := hex.DecodeString(modp2048)
	all = append(all, ep11.EncodeGroup(p, nil, []byte{2}))
	row := familytest.Row(t, set, ep11.CKM_DH_PKCS_DERIVE, dhKind)
	for _, group := range all {
		a, b := pair(t, set, tools, dhKind, group), pair(t, set, tools, dhKind, group)
		raw, _, g, err := ep11.Group(ep11.CKK_DH, group)
		if err != nil {
			t.Fatal(err)
		}
		prime := new(big.Int).SetBytes(raw)
		x := new(big.Int).SetBytes(familytest.Peek(t, a.Secret))
		if want := new(big.Int).Exp(new(big.Int).SetBytes(g), x, prime); new(big.Int).SetBytes(a.Public).Cmp(want) != 0 {
			t.Fatal("another public value")
		}
		want := new(big.Int).Exp(new(big.Int).SetBytes(b.Public), x, prime).FillBytes(make([]byte, len(raw)))
		for _, n := range []int{10, 16, 32, 256} {
			for _, end := range []struct {
				base family.Key
				peer []byte
			}{{a, b.Public}, {b, bytes.TrimLeft(a.Public, "\x00")}} {
				out, err := row.Derive.Derive(t.Context(), tools, family.Derivation{Mechanism: ep11.Mechanism{Parameter: end.peer}, Base: &end.base, Type: ep11.CKK_GENERIC_SECRET, Length: n})
				if err != nil {
					t.Fatal(err)
				}
				if got := familytest.Reveal(t, out.Secret); !bytes.Equal(got, want[len(want)-n:]) {
					t.Fatalf("agreed on %x, want %x", got, want[len(want)-n:])
				}
			}
		}
		if set.Keys[dhKind].Bits(a) != uint64(8*len(raw)) {
			t.Error("another size")
		}
	}
}

func TestDHRefusals(t *testing.T) {
	t.Parallel()
	set, tools := newSet(t), familytest.Tools(t)
	group := params(t, set, ep11.CKM_DH_PKCS_PARAMETER_GEN, 2048)
	raw, _, _, err := ep11.Group(ep11.CKK_DH, group)
	if err != nil {
		t.Fatal(err)
	}
	prime := new(big.Int).SetBytes(raw)
	minus := func(n int64) []byte { return new(big.Int).Sub(prime, big.NewInt(n)).Bytes() }
	k := pair(t, set, tools, dhKind, group)
	g := set.Keys[dhKind]
	derive := familytest.Row(t, set, ep11.CKM_DH_PKCS_DERIVE, dhKind).Derive
	outside := minus(2) // -2: 2 is a square and -1 is none
	for name, peer := range map[string][]byte{"zero": {0}, "one": {1}, "p-1": minus(1), "p": raw, "p+1": minus(-1), "outside": outside, "long": append([]byte{1}, raw...)} {
		_, err := derive.Derive(t.Context(), tools, family.Derivation{Mechanism: ep11.Mechanism{Parameter: peer}, Base: &k, Type: ep11.CKK_AES, Length: 16})
		familytest.Code(t, name, err, ep11.CKR_MECHANISM_PARAM_INVALID)
		if wide, ok := widened(peer, len(raw)); ok {
			familytest.Code(t, name, g.Check(family.Key{Type: ep11.CKK_DH, Params: group, Public: wide}), ep11.CKR_PUBLIC_KEY_INVALID)
		}
	}
	_, err = derive.Derive(t.Context(), tools, family.Derivation{Base: &k, Type: ep11.CKK_AES, Length: 16})
	familytest.Code(t, "no peer", err, ep11.CKR_MECHANISM_PARAM_INVALID)
	_, err = derive.Derive(t.Context(), tools, family.Derivation{Mechanism: ep11.Mechanism{Parameter: k.Public}, Type: ep11.CKK_AES, Length: 16})
	familytest.Code(t, "no base", err, ep11.CKR_KEY_NEEDED)
	_, err = derive.Derive(t.Context(), tools, family.Derivation{Mechanism: ep11.Mechanism{Parameter: k.Public}, Base: &k, Type: ep11.CKK_AES})
	familytest.Code(t, "no length", err, ep11.CKR_TEMPLATE_INCOMPLETE)
	familytest.Code(t, "no public value", g.Check(family.Key{Type: ep11.CKK_DH, Params: group}), ep11.CKR_PUBLIC_KEY_INVALID)

	small := ep11.EncodeGroup(raw, nil, []byte{3})
	for name, bad := range map[string][]byte{"none": nil, "another generator": small, "garbage": []byte("x")} {
		_, err := g.Generate(t.Context(), tools, ep11.Mechanism{}, bad, nil, nil)
		familytest.Code(t, name, err, ep11.CKR_DOMAIN_PARAMS_INVALID)
		_, err = g.Public(family.Key{Params: bad, Secret: k.Secret})
		familytest.Code(t, name, err, ep11.CKR_DOMAIN_PARAMS_INVALID)
		familytest.Code(t, name, g.Check(family.Key{Params: bad, Public: k.Public}), ep11.CKR_DOMAIN_PARAMS_INVALID)
		_, err = derive.Derive(t.Context(), tools, family.Derivation{Mechanism: ep11.Mechanism{Parameter: k.Public}, Base: &family.Key{Params: bad, Secret: k.Secret}, Type: ep11.CKK_AES, Length: 16})
		familytest.Code(t, name, err, ep11.CKR_DOMAIN_PARAMS_INVALID)
		if g.Bits(family.Key{Params: bad}) != 0 {
			t.Error("a size for no group")
		}
	}
	half := new(big.Int).Rsh(prime, 1).Bytes() // q: g^q = 1
	for name, x := range map[string][]byte{"zero": {0}, "q": half, "zeros": make([]byte, 256)} {
		_, err := g.Public(family.Key{Params: group, Secret: familytest.Secret(t, tools, x)})
		familytest.Code(t, name, err, ep11.CKR_WRAPPED_KEY_INVALID)
	}
	_, err = g.Public(family.Key{Params: group, Secret: familytest.Secret(t, tools, make([]byte, 257))})
	familytest.Code(t, "long", err, ep11.CKR_KEY_SIZE_RANGE)
	f, err := find(g.(dhKeys).fields, group)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.agree(tools, familytest.Secret(t, tools, half), k.Public); !errors.Is(err, errExponent) {
		t.Errorf("a secret of 1 gave %v", err)
	}
}

func TestParameters(t *testing.T) {
	t.Parallel()
	set := newSet(t)
	for _, r := range set.Rows {
		if r.Parameters == nil {
			continue
		}
		ask := func(t ep11.Template) error {
			_, err := r.Parameters.Parameters(context.Background(), family.Tools{}, ep11.Mechanism{}, t)
			return err
		}
		familytest.Code(t, "no size", ask(nil), ep11.CKR_TEMPLATE_INCOMPLETE)
		for _, bits := range []uint64{0, 1024, 2047, 8192} {
			familytest.Code(t, "size", ask(ep11.Template{ep11.CKA_PRIME_BITS: ep11.Int(bits)}), ep11.CKR_KEY_SIZE_RANGE)
		}
		err := ask(ep11.Template{ep11.CKA_PRIME_BITS: ep11.Int(2048), ep11.CKA_SUBPRIME_BITS: ep11.Int(224)})
		if r.Mechanism == ep11.CKM_DSA_PARAMETER_GEN {
			familytest.Code(t, "subprime", err, ep11.CKR_KEY_SIZE_RANGE)
		} else if err != nil {
			t.Error(err)
		}
		if err := ask(ep11.Template{ep11.CKA_PRIME_BITS: ep11.Int(2048), ep11.CKA_SUBPRIME_BITS: ep11.Int(256)}); err != nil {
			t.Error(err)
		}
	}
}

// TestDSA: signatures verify with crypto/dsa under both groups and all lengths of digests, and crypto/dsa's verify here.
func TestDSA(t *testing.T) {
	t.Parallel()
	set, tools := newSet(t), familytest.Tools(t)
	for _, bits := range []uint64{2048, 3072} {
		group := params(t, set, ep11.CKM_DSA_PARAMETER_GEN, bits)
		p, q, g, err := ep11.Group(ep11.CKK_DSA, group)
		if err != nil {
			t.Fatal(err)
		}
		k := pair(t, set, tools, dsaKind, group)
		oracle := dsa.PrivateKey{PublicKey: dsa.PublicKey{Parameters: dsa.Parameters{P: new(big.Int).SetBytes(p), Q: new(big.Int).SetBytes(q), G: new(big.Int).SetBytes(g)},
			Y: new(big.Int).SetBytes(k.Public)}, X: new(big.Int).SetBytes(familytest.Peek(t, k.Secret))}
		if new(big.Int).Exp(oracle.G, oracle.X, oracle.P).Cmp(oracle.Y) != 0 || set.Keys[dsaKind].Bits(k) != bits {
			t.Fatal("another public value")
		}
		public := family.Key{Type: k.Type, Params: k.Params, Public: k.Public}
		s := familytest.Row(t, set, ep11.CKM_DSA, dsaKind).Sign
		one := sha1.Sum([]byte("m"))
		two := sha256.Sum256([]byte("m"))
		for _, digest := range [][]byte{one[:], two[:28], two[:], append(two[:], one[:]...), {1}, make([]byte, 32), bytes.Repeat([]byte{0xff}, 64)} {
			sig, err := s.Sign(t.Context(), tools, ep11.Mechanism{}, k, digest)
			if err != nil || len(sig) != 64 {
				t.Fatalf("%x, %v", sig, err)
			}
			if !dsa.Verify(&oracle.PublicKey, digest[:min(32, len(digest))], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) {
				t.Fatalf("crypto/dsa refuses the signature of %x", digest)
			}
			if err := s.Verify(t.Context(), tools, ep11.Mechanism{}, public, digest, sig); err != nil {
				t.Fatal(err)
			}
			R, S, err := dsa.Sign(rand.Reader, &oracle, digest[:min(32, len(digest))])
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Verify(t.Context(), tools, ep11.Mechanism{}, public, digest, append(R.FillBytes(make([]byte, 32)), S.FillBytes(make([]byte, 32))...)); err != nil {
				t.Fatalf("a signature of crypto/dsa: %v", err)
			}
			bad := bytes.Clone(sig)
			bad[40] ^= 1
			familytest.Code(t, "changed", s.Verify(t.Context(), tools, ep11.Mechanism{}, public, digest, bad), ep11.CKR_SIGNATURE_INVALID)
			other := append([]byte{9}, digest...)
			familytest.Code(t, "another digest", s.Verify(t.Context(), tools, ep11.Mechanism{}, public, other, sig), ep11.CKR_SIGNATURE_INVALID)
			again, err := s.Sign(t.Context(), tools, ep11.Mechanism{}, k, digest)
			if err != nil || bytes.Equal(again[:32], sig[:32]) {
				t.Fatalf("a nonce came twice, %v", err)
			}
		}
	}
}

// TestDSAArithmetic compares one signature with given nonce, on big integers.
func TestDSAArithmetic(t *testing.T) {
	t.Parallel()
	set := newSet(t)
	fields := set.Keys[dsaKind].(dsaKeys).fields
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.SampledFrom(fields).Draw(t, "group")
		p, q, g := new(big.Int).SetBytes(f.p), new(big.Int).SetBytes(f.q), new(big.Int).SetBytes(f.g)
		draw := func(name string) *big.Int {
			n := new(big.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, name))
			return n.Add(n.Mod(n, new(big.Int).Sub(q, big.NewInt(1))), big.NewInt(1))
		}
		x, k := draw("x"), draw("k")
		digest := rapid.SliceOfN(rapid.Byte(), 1, 70).Draw(t, "digest")
		r := new(big.Int).Mod(new(big.Int).Exp(g, k, p), q)
		z := new(big.Int).SetBytes(digest[:min(32, len(digest))])
		s := new(big.Int).Add(z, new(big.Int).Mul(x, r))
		s.Mod(s.Mul(s, new(big.Int).ModInverse(k, q)), q)
		got, err := f.sign(x.FillBytes(make([]byte, 32)), k.FillBytes(make([]byte, 32)), digest)
		if r.Sign() == 0 || s.Sign() == 0 {
			if !errors.Is(err, errZero) {
				t.Fatalf("0 gave %v", err)
			}
			return
		}
		if want := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("got %x and %v, want %x", got, err, want)
		}
	})
}

// TestWycheproofDSA verifies published signatures, in groups that are not ours.
func TestWycheproofDSA(t *testing.T) {
	t.Parallel()
	set, tools := newSet(t), familytest.Tools(t)
	s := familytest.Row(t, set, ep11.CKM_DSA_SHA256, dsaKind).Sign
	for _, tt := range []struct {
		file  string
		cases int
		hash  func([]byte) []byte
	}{
		{"dsa_2048_224_sha224_p1363", 109, func(b []byte) []byte { s := sha256.Sum224(b); return s[:] }},
		{"dsa_2048_224_sha256_p1363", 137, func(b []byte) []byte { s := sha256.Sum256(b); return s[:] }},
		{"dsa_2048_256_sha256_p1363", 139, func(b []byte) []byte { s := sha256.Sum256(b); return s[:] }},
		{"dsa_3072_256_sha256_p1363", 139, func(b []byte) []byte { s := sha256.Sum256(b); return s[:] }},
	} {
		valid := 0
		for _, g := range familytest.Wycheproof(t, tt.file, tt.cases).TestGroups {
			y := bytes.TrimLeft(familytest.Member(t, g.PublicKey, "y"), "\x00")
			p := bytes.TrimLeft(familytest.Member(t, g.PublicKey, "p"), "\x00")
			k := family.Key{Type: ep11.CKK_DSA, Params: ep11.EncodeGroup(p, familytest.Member(t, g.PublicKey, "q"), familytest.Member(t, g.PublicKey, "g"))}
			var ok bool
			if k.Public, ok = widened(y, len(p)); !ok {
				t.Fatal("a wide public value")
			}
			if err := set.Keys[dsaKind].Check(k); err != nil {
				t.Fatal(err)
			}
			for _, v := range g.Tests {
				err := s.Verify(t.Context(), tools, ep11.Mechanism{}, k, tt.hash(v.Msg), v.Sig)
				if (err == nil) != (v.Result == "valid") {
					t.Errorf("%s %d %s: %v", tt.file, v.TcID, v.Comment, err)
				}
				if err == nil {
					valid++
				} else if !errors.Is(err, ep11.CKR_SIGNATURE_INVALID) && !errors.Is(err, ep11.CKR_SIGNATURE_LEN_RANGE) {
					t.Errorf("%s %d: refused with %v", tt.file, v.TcID, err)
				}
			}
		}
		if valid < 30 {
			t.Errorf("%s: %d valid signatures", tt.file, valid)
		}
	}
}

func TestDSARefusals(t *testing.T) {
	t.Parallel()
	set, tools := newSet(t), familytest.Tools(t)
	group := params(t, set, ep11.CKM_DSA_PARAMETER_GEN, 2048)
	k := pair(t, set, tools, dsaKind, group)
	g := set.Keys[dsaKind]
	s := familytest.Row(t, set, ep11.CKM_DSA, dsaKind).Sign
	p, q, base, err := ep11.Group(ep11.CKK_DSA, group)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Sign(t.Context(), tools, ep11.Mechanism{}, k, nil)
	familytest.Code(t, "nothing", err, ep11.CKR_DATA_LEN_RANGE)
	one := append(make([]byte, 31), 1)
	for name, sig := range map[string][]byte{"zeros": make([]byte, 64), "r zero": append(make([]byte, 32), one...), "s zero": append(bytes.Clone(one), make([]byte, 32)...),
		"r q": append(bytes.Clone(q), one...), "s q": append(bytes.Clone(one), q...), "ones": bytes.Repeat([]byte{0xff}, 64)} {
		familytest.Code(t, name, s.Verify(t.Context(), tools, ep11.Mechanism{}, k, one, sig), ep11.CKR_SIGNATURE_INVALID)
	}
	for _, n := range []int{0, 56, 63, 65} {
		familytest.Code(t, "length", s.Verify(t.Context(), tools, ep11.Mechanism{}, k, one, make([]byte, n)), ep11.CKR_SIGNATURE_LEN_RANGE)
	}
	even := bytes.Clone(p)
	even[255] &^= 1
	for name, bad := range map[string][]byte{"none": nil, "DH": ep11.EncodeGroup(p, nil, base), "short": ep11.EncodeGroup(p[:128], q, base), "even": ep11.EncodeGroup(even, q, base), "q of 255 bits": ep11.EncodeGroup(p, append([]byte{0x7f}, q[1:]...), base)} {
		_, err := g.Generate(t.Context(), tools, ep11.Mechanism{}, bad, nil, nil)
		familytest.Code(t, name, err, ep11.CKR_DOMAIN_PARAMS_INVALID)
		_, err = s.Sign(t.Context(), tools, ep11.Mechanism{}, family.Key{Params: bad, Secret: k.Secret}, one)
		familytest.Code(t, name, err, ep11.CKR_DOMAIN_PARAMS_INVALID)
		familytest.Code(t, name, g.Check(family.Key{Params: bad, Public: k.Public}), ep11.CKR_DOMAIN_PARAMS_INVALID)
		familytest.Code(t, name, s.Verify(t.Context(), tools, ep11.Mechanism{}, family.Key{Params: bad, Public: k.Public}, one, make([]byte, 64)), ep11.CKR_DOMAIN_PARAMS_INVALID)
	}
	// Somebody else's group: a public key may have one, if g leads the subgroup; a private one may not.
	notG := ep11.EncodeGroup(p, q, []byte{2})
	familytest.Code(t, "another g", g.Check(family.Key{Params: notG, Public: k.Public}), ep11.CKR_DOMAIN_PARAMS_INVALID)
	squared := new(big.Int).Exp(new(big.Int).SetBytes(base), big.NewInt(2), new(big.Int).SetBytes(p)).Bytes()
	other := ep11.EncodeGroup(p, q, squared)
	if err := g.Check(family.Key{Params: other, Public: k.Public}); err != nil {
		t.Error(err)
	}
	_, err = g.Public(family.Key{Params: other, Secret: k.Secret})
	familytest.Code(t, "private key in another group", err, ep11.CKR_DOMAIN_PARAMS_INVALID)
	for name, y := range map[string][]byte{"none": nil, "one": append(make([]byte, 255), 1), "outside": append(make([]byte, 255), 2), "p": p, "short": k.Public[1:]} {
		familytest.Code(t, name, g.Check(family.Key{Params: group, Public: y}), ep11.CKR_PUBLIC_KEY_INVALID)
	}
	for name, x := range map[string][]byte{"zero": make([]byte, 32), "q": q, "ones": bytes.Repeat([]byte{0xff}, 32)} {
		_, err := g.Public(family.Key{Params: group, Secret: familytest.Secret(t, tools, x)})
		familytest.Code(t, name, err, ep11.CKR_WRAPPED_KEY_INVALID)
	}
	_, err = g.Public(family.Key{Params: group, Secret: familytest.Secret(t, tools, make([]byte, 31))})
	familytest.Code(t, "short", err, ep11.CKR_KEY_SIZE_RANGE)
	broken := tools
	broken.Random = familytest.Broken{}
	for _, kind := range []family.KeyType{dhKind, dsaKind} {
		at := map[family.KeyType][]byte{dhKind: params(t, set, ep11.CKM_DH_PKCS_PARAMETER_GEN, 2048), dsaKind: group}[kind]
		if _, err := set.Keys[kind].Generate(t.Context(), broken, ep11.Mechanism{}, at, nil, nil); !errors.Is(err, familytest.ErrNoRandom) {
			t.Errorf("without randomness: %v", err)
		}
	}
	if _, err := s.Sign(t.Context(), broken, ep11.Mechanism{}, k, one); !errors.Is(err, familytest.ErrNoRandom) {
		t.Errorf("without randomness: %v", err)
	}
}

// TestNonceDependsOnEverything: with a source that always gives the same, two digests don't share a nonce.
func TestNonceDependsOnEverything(t *testing.T) {
	t.Parallel()
	set, tools := newSet(t), familytest.Tools(t)
	k := pair(t, set, tools, dsaKind, params(t, set, ep11.CKM_DSA_PARAMETER_GEN, 2048))
	tools.Random = familytest.Fixed{7}
	s := familytest.Row(t, set, ep11.CKM_DSA, dsaKind).Sign
	seen := map[string]bool{}
	for _, digest := range [][]byte{{1}, {2}, {1, 2}} {
		sig, err := s.Sign(t.Context(), tools, ep11.Mechanism{}, k, digest)
		if err != nil || seen[string(sig[:32])] {
			t.Fatalf("%x, %v", sig, err)
		}
		seen[string(sig[:32])] = true
	}
}

// Law: the verdict on any parameters, public value and signature is a return code, and of a good group crypto/dsa's.
func FuzzVerify(f *testing.F) {
	set, tools := newSet(f), familytest.Tools(f)
	group := params(f, set, ep11.CKM_DSA_PARAMETER_GEN, 2048)
	k := pair(f, set, tools, dsaKind, group)
	s := familytest.Row(f, set, ep11.CKM_DSA, dsaKind).Sign
	sig, err := s.Sign(f.Context(), tools, ep11.Mechanism{}, k, []byte("digest"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(group, k.Public, []byte("digest"), sig)
	f.Fuzz(func(t *testing.T, group, public, digest, sig []byte) {
		key := family.Key{Type: ep11.CKK_DSA, Params: group, Public: public}
		err := s.Verify(context.Background(), tools, ep11.Mechanism{}, key, digest, sig)
		var code ep11.Code
		if err != nil && !errors.As(err, &code) {
			t.Fatalf("an accident: %v", err)
		}
		if bytes.Equal(group, k.Params) && len(sig) == 64 && len(public) == 256 {
			p, q, g, _ := ep11.Group(ep11.CKK_DSA, group)
			y := new(big.Int).SetBytes(public)
			oracle := dsa.PublicKey{Parameters: dsa.Parameters{P: new(big.Int).SetBytes(p), Q: new(big.Int).SetBytes(q), G: new(big.Int).SetBytes(g)}, Y: y}
			want := y.Cmp(big.NewInt(1)) > 0 && y.Cmp(oracle.P) < 0 && dsa.Verify(&oracle, digest[:min(32, len(digest))], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
			if (err == nil) != want {
				t.Fatalf("got %v, want %v", err, want)
			}
		}
		if err := set.Keys[dsaKind].Check(key); err != nil && !errors.As(err, &code) {
			t.Fatalf("an accident: %v", err)
		}
	})
}
