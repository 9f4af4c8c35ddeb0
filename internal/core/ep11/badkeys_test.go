// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"testing"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/core/ep11/family/rsakey"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/secret"
)

// TestImportOddRSA: RSA keys whose modulus is not in steps of 16 bits don't come in: X9.31 has no block for them.
func TestImportOddRSA(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, bits := range []int{2049, 2050, 2056} {
		k, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(k)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.imported(der, ep11.CKK_RSA, flags(ep11.CKA_SIGN)); codeOf(err) != ep11.CKR_KEY_SIZE_RANGE {
			t.Errorf("%d bits: %v", bits, err)
		}
	}
}

// TestImportCompositeRSA: a key with a factor that is composite, and parts that fit it, does not come in.
func TestImportCompositeRSA(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	random := func(bits int) *big.Int {
		p, err := rand.Prime(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	der := make(map[bool][]byte)
	for composite := range map[bool]bool{false: true, true: true} {
		for der[composite] == nil {
			p := random(1024)
			if composite {
				p = new(big.Int).Mul(random(512), random(512))
			}
			der[composite] = fitting(t, p, random(1024))
		}
	}
	if _, err := b.imported(der[false], ep11.CKK_RSA, flags(ep11.CKA_SIGN)); err != nil {
		t.Fatalf("two primes: %v", err)
	}
	if _, err := b.imported(der[true], ep11.CKK_RSA, flags(ep11.CKA_SIGN)); codeOf(err) != ep11.CKR_WRAPPED_KEY_INVALID {
		t.Errorf("a composite factor: %v", err)
	}
	// If there were one, its signatures would fail, and the core would go on.
	p, ok := ep11.ReadPKCS8(der[true])
	if !ok {
		t.Fatal("no PKCS#8")
	}
	held, err := secret.Take(b.env.Arena, p.Secret)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Wipe()
	digest := make([]byte, 32)
	for _, m := range []ep11.Mechanism{{Type: ep11.CKM_RSA_X9_31}, {Type: ep11.CKM_RSA_PKCS}, {Type: ep11.CKM_SHA256_RSA_PKCS},
		{Type: ep11.CKM_SHA256_RSA_PKCS_PSS, PSS: &ep11.PSS{Hash: ep11.CKM_SHA256, MGF: ep11.CKG_MGF1_SHA256, Salt: 32}}} {
		for _, r := range rsakey.Set().Rows {
			if r.Mechanism != m.Type {
				continue
			}
			if _, err := r.Sign.Sign(t.Context(), family.Tools{Arena: b.env.Arena}, m, family.Key{Type: ep11.CKK_RSA, Secret: held}, digest); codeOf(err) != ep11.CKR_FUNCTION_FAILED {
				t.Errorf("%s: %v", ep11.MechanismName(m.Type), err)
			}
		}
	}
}

// fitting makes PKCS#8 of an RSA key as if p and q were prime, nil if there is none of 2,048 bits.
func fitting(t testing.TB, p, q *big.Int) []byte {
	t.Helper()
	one, e, n := big.NewInt(1), big.NewInt(65537), new(big.Int).Mul(p, q)
	pm, qm := new(big.Int).Sub(p, one), new(big.Int).Sub(q, one)
	lambda := new(big.Int).Div(new(big.Int).Mul(pm, qm), new(big.Int).GCD(nil, nil, pm, qm))
	d, inverse := new(big.Int).ModInverse(e, lambda), new(big.Int).ModInverse(q, p)
	if n.BitLen() != 2048 || d == nil || inverse == nil {
		return nil
	}
	key, err := asn1.Marshal(struct{ V, N, E, D, P, Q, DP, DQ, QI *big.Int }{new(big.Int), n, e, d, p, q, new(big.Int).Mod(d, pm), new(big.Int).Mod(d, qm), inverse})
	if err != nil {
		t.Fatal(err)
	}
	type algorithm struct {
		OID  asn1.ObjectIdentifier
		Null asn1.RawValue
	}
	out, err := asn1.Marshal(struct {
		V   int
		A   algorithm
		Key []byte
	}{0, algorithm{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}, asn1.NullRawValue}, key})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
