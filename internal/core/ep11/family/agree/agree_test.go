// SPDX-License-Identifier: Apache-2.0

package agree

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"math/big"
	"testing"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/core/ep11/family/familytest"
	"strongroom/internal/core/internal/curve"
	"strongroom/internal/core/internal/group"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/secret"
)

func newSet(t testing.TB) family.Set {
	t.Helper()
	b, err := curve.New()
	if err != nil {
		t.Fatal(err)
	}
	return Set(b)
}

func kind(oid string) family.KeyType { return family.KeyType{Type: ep11.CKK_EC, Params: oid} }

// derive derives a key of a type and length, and gives its bytes.
func derive(t testing.TB, set family.Set, tools family.Tools, m ep11.Mechanism, oid string, sk []byte, ckk uint64, length int) ([]byte, error) {
	t.Helper()
	held, err := secret.Take(tools.Arena, bytes.Clone(sk))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Wipe()
	base := family.Key{Type: ep11.CKK_EC, Params: []byte(oid), Secret: held}
	out, err := familytest.Row(t, set, m.Type, kind(oid)).Derive.Derive(t.Context(), tools,
		family.Derivation{Mechanism: m, Base: &base, Type: ckk, Length: length})
	if err != nil {
		return nil, err
	}
	if out.Type != ckk || out.Public != nil || out.ChainCode != nil || out.Cipher != nil {
		t.Errorf("derived something else than a key of type 0x%x", ckk)
	}
	return familytest.Reveal(t, out.Secret), nil
}

// TestWycheproof agrees with the published points, good and bad, through the mechanisms of a curve and both forms of the parameter.
func TestWycheproof(t *testing.T) {
	t.Parallel()
	set := newSet(t)
	spki := familytest.Unhex(t, "3056301006072a8648ce3d020106052b8104000a034200")
	for _, tt := range []struct {
		file       string
		cases      int
		oid        string
		size       int
		mechanisms []uint64
		valid      int // at least
	}{
		{"ecdh_secp224r1_ecpoint", 458, ep11.OIDP224, 28, []uint64{ep11.CKM_ECDH1_DERIVE, ep11.CKM_ECDH1_COFACTOR_DERIVE}, 390},
		{"ecdh_secp256r1_ecpoint", 355, ep11.OIDP256, 32, []uint64{ep11.CKM_ECDH1_DERIVE, ep11.CKM_ECDH1_COFACTOR_DERIVE}, 300},
		{"ecdh_secp384r1_ecpoint", 790, ep11.OIDP384, 48, []uint64{ep11.CKM_ECDH1_DERIVE, ep11.CKM_ECDH1_COFACTOR_DERIVE}, 700},
		{"ecdh_secp521r1_ecpoint", 661, ep11.OIDP521, 66, []uint64{ep11.CKM_ECDH1_DERIVE, ep11.CKM_ECDH1_COFACTOR_DERIVE}, 580},
		{"ecdh_secp256k1", 752, ep11.OIDSecp256k1, 32, []uint64{ep11.CKM_ECDH1_DERIVE, ep11.CKM_ECDH1_COFACTOR_DERIVE}, 470},
		{"x25519", 518, ep11.OIDX25519, 32, []uint64{ep11.CKM_IBM_EC_X25519, ep11.CKM_IBM_EC_X25519_RAW}, 260},
		{"x448", 510, ep11.OIDX448, 56, []uint64{ep11.CKM_IBM_EC_X448, ep11.CKM_IBM_EC_X448_RAW}, 250},
	} {
		t.Run(tt.file, func(t *testing.T) {
			t.Parallel()
			valid, tools := 0, familytest.Tools(t)
			for _, g := range familytest.Wycheproof(t, tt.file, tt.cases).TestGroups {
				for _, v := range g.Tests {
					sk, public := []byte(v.Private), []byte(v.Public)
					if tt.oid != ep11.OIDX25519 && tt.oid != ep11.OIDX448 {
						sk = new(big.Int).SetBytes(sk).FillBytes(make([]byte, tt.size))
					}
					if tt.oid == ep11.OIDSecp256k1 {
						rest, found := bytes.CutPrefix(public, spki)
						if !found {
							continue // something is wrong with the SubjectPublicKeyInfo, which is read elsewhere
						}
						public = rest
					}
					if v.Result == "valid" {
						valid++
					}
					// Mechanism and form of the parameter take turns.
					m := ep11.Mechanism{Type: tt.mechanisms[v.TcID%2]}
					if v.TcID%4 < 2 {
						m.Parameter = public
					} else {
						m.ECDH = &ep11.ECDH{KDF: ep11.CKD_NULL, Public: public}
					}
					got, err := derive(t, set, tools, m, tt.oid, sk, ep11.CKK_GENERIC_SECRET, tt.size)
					switch {
					case v.Result == "valid" && (err != nil || !bytes.Equal(got, v.Shared)):
						t.Errorf("%d %s: got %x and %v, want %x", v.TcID, v.Comment, got, err, v.Shared)
					case v.Result == "acceptable" && err == nil && !bytes.Equal(got, v.Shared):
						t.Errorf("%d %s: got %x, want %x or a refusal", v.TcID, v.Comment, got, v.Shared)
					case v.Result == "invalid" || err != nil:
						familytest.Code(t, v.Comment, err, ep11.CKR_MECHANISM_PARAM_INVALID)
					}
				}
			}
			if valid < tt.valid {
				t.Errorf("%d valid cases, want %d", valid, tt.valid)
			}
		})
	}
}

// TestKeyDerivationFunctions compares with the functions written out here, and with the trailing bytes of the secret where there is none.
func TestKeyDerivationFunctions(t *testing.T) {
	t.Parallel()
	set, tools := newSet(t), familytest.Tools(t)
	mine, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	z, err := mine.ECDH(theirs.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	info := []byte("shared information")
	first := sha256.Sum256(bytes.Join([][]byte{z, {0, 0, 0, 1}, info}, nil))
	second := sha256.Sum256(bytes.Join([][]byte{z, {0, 0, 0, 2}, info}, nil))
	stream := append(first[:], second[:]...)
	des := bytes.Clone(stream[:24])
	family.OddParity(des)
	raw := func(kdf uint64, info []byte) *ep11.ECDH {
		return &ep11.ECDH{KDF: kdf, Shared: info, Public: theirs.PublicKey().Bytes()}
	}
	for _, tt := range []struct {
		name   string
		p      *ep11.ECDH
		ckk    uint64
		length int
		want   []byte
	}{
		{"AES of the trailing bytes", raw(ep11.CKD_NULL, nil), ep11.CKK_AES, 16, z[16:]},
		{"generic of its own length", raw(ep11.CKD_NULL, nil), ep11.CKK_GENERIC_SECRET, 0, z},
		{"hybrid null", raw(ep11.CKD_HYBRID_NULL, nil), ep11.CKK_GENERIC_SECRET, 32, z},
		{"hybrid null of its own length", raw(ep11.CKD_HYBRID_NULL, nil), ep11.CKK_GENERIC_SECRET, 0, z},
		{"AES of SHA-256", raw(ep11.CKD_SHA256_KDF, info), ep11.CKK_AES, 32, stream[:32]},
		{"generic longer than the hash", raw(ep11.CKD_SHA256_KDF, info), ep11.CKK_GENERIC_SECRET, 50, stream[:50]},
		{"DES3 of SHA-256", raw(ep11.CKD_SHA256_KDF, info), ep11.CKK_DES3, 32, des},
	} {
		m := ep11.Mechanism{Type: ep11.CKM_ECDH1_DERIVE, ECDH: tt.p}
		got, err := derive(t, set, tools, m, ep11.OIDP256, mine.Bytes(), tt.ckk, tt.length)
		if err != nil || !bytes.Equal(got, tt.want) {
			t.Errorf("%s: got %x and %v, want %x", tt.name, got, err, tt.want)
		}
	}
	seen := map[string]bool{}
	for _, f := range []uint64{ep11.CKD_SHA1_KDF, ep11.CKD_SHA224_KDF, ep11.CKD_SHA256_KDF, ep11.CKD_SHA384_KDF, ep11.CKD_SHA512_KDF} {
		got, err := derive(t, set, tools, ep11.Mechanism{Type: ep11.CKM_ECDH1_DERIVE, ECDH: raw(f, info)}, ep11.OIDP256, mine.Bytes(), ep11.CKK_AES, 32)
		if err != nil || seen[string(got)] {
			t.Errorf("function %d: %x, %v", f, got, err)
		}
		seen[string(got)] = true
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	set, tools := newSet(t), familytest.Tools(t)
	one := append(make([]byte, 31), 1)
	base, err := group.P256().Public(one)
	if err != nil {
		t.Fatal(err)
	}
	infinity, off := []byte{0}, append(bytes.Clone(base[:64]), base[64]^1)
	p := func(kdf uint64, shared, public []byte) ep11.Mechanism {
		return ep11.Mechanism{ECDH: &ep11.ECDH{KDF: kdf, Shared: shared, Public: public}}
	}
	for _, tt := range []struct {
		name   string
		m      ep11.Mechanism
		ckk    uint64
		length int
		want   ep11.Code
	}{
		{"no parameter", ep11.Mechanism{}, ep11.CKK_GENERIC_SECRET, 32, ep11.CKR_MECHANISM_PARAM_INVALID},
		{"another parameter", ep11.Mechanism{BTC: &ep11.BTC{}}, ep11.CKK_GENERIC_SECRET, 32, ep11.CKR_MECHANISM_PARAM_INVALID},
		{"no function", p(0, nil, base), ep11.CKK_GENERIC_SECRET, 32, ep11.CKR_MECHANISM_PARAM_INVALID},
		{"unknown function", p(3, nil, base), ep11.CKK_GENERIC_SECRET, 32, ep11.CKR_MECHANISM_PARAM_INVALID},
		{"hybrid function", p(ep11.CKD_HYBRID_SHA256_KDF, nil, base), ep11.CKK_GENERIC_SECRET, 32, ep11.CKR_MECHANISM_PARAM_INVALID},
		{"shared data with null", p(ep11.CKD_NULL, one, base), ep11.CKK_GENERIC_SECRET, 32, ep11.CKR_MECHANISM_PARAM_INVALID},
		{"shared data with hybrid null", p(ep11.CKD_HYBRID_NULL, one, base), ep11.CKK_GENERIC_SECRET, 32, ep11.CKR_MECHANISM_PARAM_INVALID},
		{"infinity", p(ep11.CKD_NULL, nil, infinity), ep11.CKK_GENERIC_SECRET, 32, ep11.CKR_MECHANISM_PARAM_INVALID},
		{"off the curve", p(ep11.CKD_NULL, nil, off), ep11.CKK_GENERIC_SECRET, 32, ep11.CKR_MECHANISM_PARAM_INVALID},
		{"no point", p(ep11.CKD_NULL, nil, nil), ep11.CKK_GENERIC_SECRET, 32, ep11.CKR_MECHANISM_PARAM_INVALID},
		{"hybrid null of another length", p(ep11.CKD_HYBRID_NULL, nil, base), ep11.CKK_GENERIC_SECRET, 31, ep11.CKR_KEY_SIZE_RANGE},
		{"hybrid null as AES", p(ep11.CKD_HYBRID_NULL, nil, base), ep11.CKK_AES, 32, ep11.CKR_TEMPLATE_INCONSISTENT},
		{"longer than the secret", p(ep11.CKD_NULL, nil, base), ep11.CKK_GENERIC_SECRET, 33, ep11.CKR_KEY_SIZE_RANGE},
		{"far too long", p(ep11.CKD_SHA1_KDF, nil, base), ep11.CKK_GENERIC_SECRET, 257, ep11.CKR_KEY_SIZE_RANGE},
		{"negative", p(ep11.CKD_SHA1_KDF, nil, base), ep11.CKK_GENERIC_SECRET, -1, ep11.CKR_KEY_SIZE_RANGE},
		{"AES of no length", p(ep11.CKD_NULL, nil, base), ep11.CKK_AES, 0, ep11.CKR_TEMPLATE_INCOMPLETE},
		{"AES of 17 bytes", p(ep11.CKD_NULL, nil, base), ep11.CKK_AES, 17, ep11.CKR_KEY_SIZE_RANGE},
		{"generic of no length", p(ep11.CKD_SHA1_KDF, nil, base), ep11.CKK_GENERIC_SECRET, 0, ep11.CKR_TEMPLATE_INCOMPLETE},
		{"a curve's key", p(ep11.CKD_NULL, nil, base), ep11.CKK_EC, 0, ep11.CKR_TEMPLATE_INCONSISTENT},
	} {
		tt.m.Type = ep11.CKM_ECDH1_DERIVE
		_, err := derive(t, set, tools, tt.m, ep11.OIDP256, one, tt.ckk, tt.length)
		familytest.Code(t, tt.name, err, tt.want)
	}
	_, err = familytest.Row(t, set, ep11.CKM_ECDH1_DERIVE, kind(ep11.OIDP256)).Derive.Derive(t.Context(), tools,
		family.Derivation{Mechanism: p(ep11.CKD_NULL, nil, base), Type: ep11.CKK_GENERIC_SECRET})
	familytest.Code(t, "no base", err, ep11.CKR_KEY_NEEDED)
	// A base that is no scalar is our own mistake, not the caller's.
	_, err = derive(t, set, tools, ep11.Mechanism{Type: ep11.CKM_ECDH1_DERIVE, Parameter: base}, ep11.OIDP256, make([]byte, 32), ep11.CKK_AES, 16)
	if err == nil || ep11.FailureOf(err).Code != ep11.CKR_GENERAL_ERROR {
		t.Errorf("a scalar of 0 gave %v", err)
	}
	for _, raw := range []struct {
		m   uint64
		oid string
		n   int
	}{{ep11.CKM_IBM_EC_X25519_RAW, ep11.OIDX25519, 32}, {ep11.CKM_IBM_EC_X448_RAW, ep11.OIDX448, 56}} {
		peer := append([]byte{9}, make([]byte, raw.n-1)...)
		_, err := derive(t, set, tools, ep11.Mechanism{Type: raw.m, ECDH: &ep11.ECDH{KDF: ep11.CKD_SHA256_KDF, Public: peer}}, raw.oid, make([]byte, raw.n), ep11.CKK_GENERIC_SECRET, 32)
		familytest.Code(t, "raw with a function", err, ep11.CKR_MECHANISM_PARAM_INVALID)
		_, err = derive(t, set, tools, ep11.Mechanism{Type: raw.m, Parameter: peer}, raw.oid, make([]byte, raw.n), ep11.CKK_AES, 32)
		familytest.Code(t, "raw as AES", err, ep11.CKR_TEMPLATE_INCONSISTENT)
	}
}

// TestMontgomeryKeys makes pairs that agree with each other, and refuses what is no key.
func TestMontgomeryKeys(t *testing.T) {
	t.Parallel()
	set, tools := newSet(t), familytest.Tools(t)
	for _, tt := range []struct {
		oid  string
		m    uint64
		size int
		bits uint64
	}{{ep11.OIDX25519, ep11.CKM_IBM_EC_X25519, 32, 255}, {ep11.OIDX448, ep11.CKM_IBM_EC_X448, 56, 448}} {
		g := set.Keys[kind(tt.oid)]
		familytest.Row(t, set, ep11.CKM_EC_KEY_PAIR_GEN, kind(tt.oid))
		pair := func() family.Key {
			k, err := g.Generate(t.Context(), tools, ep11.Mechanism{}, []byte(tt.oid), nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(k.Secret.Wipe)
			if k.Kind() != kind(tt.oid) || k.Secret.Len() != tt.size || g.Check(k) != nil || g.Bits(k) != tt.bits {
				t.Fatalf("generated %v", k)
			}
			return k
		}
		a, b := pair(), pair()
		if bytes.Equal(a.Public, b.Public) {
			t.Fatal("two pairs are one")
		}
		x, err := derive(t, set, tools, ep11.Mechanism{Type: tt.m, Parameter: b.Public}, tt.oid, familytest.Peek(t, a.Secret), ep11.CKK_GENERIC_SECRET, 0)
		if err != nil {
			t.Fatal(err)
		}
		y, err := derive(t, set, tools, ep11.Mechanism{Type: tt.m, Parameter: a.Public}, tt.oid, familytest.Peek(t, b.Secret), ep11.CKK_GENERIC_SECRET, 0)
		if err != nil || !bytes.Equal(x, y) {
			t.Fatalf("the two ends have %x and %x, %v", x, y, err)
		}
		for _, bad := range [][]byte{nil, make([]byte, tt.size), append([]byte{1}, make([]byte, tt.size-1)...), make([]byte, tt.size-1), make([]byte, tt.size+1)} {
			familytest.Code(t, "public key", g.Check(family.Key{Public: bad}), ep11.CKR_PUBLIC_KEY_INVALID)
		}
		_, err = g.Public(family.Key{Secret: familytest.Secret(t, tools, make([]byte, tt.size+1))})
		familytest.Code(t, "long secret", err, ep11.CKR_KEY_SIZE_RANGE)
		broken := tools
		broken.Random = familytest.Broken{}
		if _, err := g.Generate(t.Context(), broken, ep11.Mechanism{}, []byte(tt.oid), nil, nil); !errors.Is(err, familytest.ErrNoRandom) {
			t.Errorf("without randomness: %v", err)
		}
	}
}

// TestRFC7748 has section 6's keys, which come from published secrets.
func TestRFC7748(t *testing.T) {
	t.Parallel()
	set, tools := newSet(t), familytest.Tools(t)
	for _, v := range []struct{ oid, sk, pub string }{
		{ep11.OIDX25519, "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
			"8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"},
		{ep11.OIDX448, "9a8f4925d1519f5775cf46b04b5800d4ee9ee8bae8bc5565d498c28dd9c9baf574a9419744897391006382a6f127ab1d9ac2d8c0a598726b",
			"9b08f7cc31b7e3e67d22d5aea121074a273bd2b83de09c63faa73d2c22c5d9bbc836647241d953d40c5b12da88120d53177f80e532c41fa0"},
	} {
		got, err := set.Keys[kind(v.oid)].Public(family.Key{Secret: familytest.Secret(t, tools, familytest.Unhex(t, v.sk))})
		if err != nil || !bytes.Equal(got, familytest.Unhex(t, v.pub)) {
			t.Errorf("got %x and %v, want %s", got, err, v.pub)
		}
	}
}

// Law: whatever the parameter holds, a derivation gives a key of the length asked for, or a return code; the peer's key agrees with crypto/ecdh's
// verdict.
func FuzzPeer(f *testing.F) {
	b, err := curve.New()
	if err != nil {
		f.Fatal(err)
	}
	set := Set(b)
	g, err := group.P256().Public(append(make([]byte, 31), 1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint64(ep11.CKD_NULL), []byte(nil), g)
	f.Add(uint64(ep11.CKD_SHA256_KDF), []byte("info"), g)
	tools := familytest.Tools(f)
	row := familytest.Row(f, set, ep11.CKM_ECDH1_DERIVE, kind(ep11.OIDP256))
	sk := familytest.Secret(f, tools, append(make([]byte, 31), 7))
	f.Fuzz(func(t *testing.T, kdf uint64, shared, peer []byte) {
		base := family.Key{Type: ep11.CKK_EC, Params: []byte(ep11.OIDP256), Secret: sk}
		out, err := row.Derive.Derive(context.Background(), tools, family.Derivation{
			Mechanism: ep11.Mechanism{ECDH: &ep11.ECDH{KDF: kdf, Shared: shared, Public: peer}}, Base: &base, Type: ep11.CKK_GENERIC_SECRET, Length: 32,
		})
		_, valid := ecdh.P256().NewPublicKey(peer)
		if err == nil {
			if out.Secret.Len() != 32 || valid != nil {
				t.Fatalf("%d bytes for a key that crypto/ecdh takes with %v", out.Secret.Len(), valid)
			}
			out.Secret.Wipe()
			return
		}
		if ep11.FailureOf(err).Code != ep11.CKR_MECHANISM_PARAM_INVALID {
			t.Fatalf("refused with %v", err)
		}
	})
}
