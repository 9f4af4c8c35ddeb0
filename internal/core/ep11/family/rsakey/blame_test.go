// SPDX-License-Identifier: Apache-2.0

package rsakey

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/core/ep11/family/familytest"
	"strongroom/internal/pure/ep11"
)

func generate(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestBlame: what key and data are the reason of doesn't stop the core, and what can't be repeated does.
func TestBlame(t *testing.T) {
	t.Parallel()
	good, odd, broken := generate(t, 2048), generate(t, 2050), generate(t, 2048)
	broken.Precomputed.Dp.Add(broken.Precomputed.Dp, big.NewInt(2)) // its parts don't fit each other
	digest := bytes.Repeat([]byte{7}, 32)
	jobOf := func(m ep11.Mechanism) job {
		j, err := newJob(m, digest)
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	salted := func(n uint64) job {
		return jobOf(ep11.Mechanism{Type: ep11.CKM_SHA256_RSA_PKCS_PSS, PSS: &ep11.PSS{Hash: ep11.CKM_SHA256, MGF: ep11.CKG_MGF1_SHA256, Salt: n}})
	}
	x931, pkcs := jobOf(ep11.Mechanism{Type: ep11.CKM_RSA_X9_31}), jobOf(ep11.Mechanism{Type: ep11.CKM_SHA256_RSA_PKCS})
	unfit := pkcs
	unfit.data = digest[1:]
	for _, tt := range []struct {
		name  string
		j     job
		key   *rsa.PrivateKey
		fault bool
	}{
		{"a modulus whose bits X9.31 can't have", x931, odd, false},
		{"parts that don't fit", x931, broken, false},
		{"parts that don't fit, PSS", salted(0), broken, false},
		{"data without an encoding", unfit, good, false},
		{"a salt that is too long", salted(400), good, false},
	} {
		sig, err := tt.j.sign(tt.key)
		if err == nil && tt.j.verify(&tt.key.PublicKey, sig) {
			t.Errorf("%s: signs", tt.name)
			continue
		}
		familytest.Code(t, tt.name, tt.j.blame(tt.key, sig, err), ep11.CKR_FUNCTION_FAILED)
	}
	for name, j := range map[string]job{"PKCS#1": pkcs, "X9.31": x931, "PSS": salted(32), "PSS without a salt": salted(0)} {
		sig, err := j.sign(good)
		if err != nil || !j.verify(&good.PublicKey, sig) {
			t.Fatalf("%s: %v", name, err)
		}
		sig[100] ^= 1
		if err := j.blame(good, sig, nil); !errors.Is(err, family.ErrFault) {
			t.Errorf("%s, another signature: %v", name, err)
		}
		if err := j.blame(good, nil, errors.New("an accident")); !errors.Is(err, family.ErrFault) {
			t.Errorf("%s, an error that doesn't come again: %v", name, err)
		}
	}
}

// TestPrime compares with math/big, on numbers that are prime, that aren't, and that look so to a test with the base 2 or with all.
func TestPrime(t *testing.T) {
	t.Parallel()
	for n := range int64(3000) {
		if p := big.NewInt(n); n != 2 && n != 3 && prime(p) != p.ProbablyPrime(20) {
			t.Errorf("%d: %v", n, prime(p))
		}
	}
	for _, n := range []int64{2047, 3277, 4033, 561, 1105, 1729, 2465, 6601, 8911, 3215031751, 3825123056546413051} { // strong pseudoprimes, Carmichael numbers
		if prime(big.NewInt(n)) {
			t.Errorf("%d is prime", n)
		}
	}
	rapid.Check(t, func(r *rapid.T) {
		p := new(big.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 2, 24).Draw(r, "p"))
		if p.BitLen() > 2 && prime(p) != p.ProbablyPrime(20) {
			r.Fatalf("%d: %v", p, prime(p))
		}
	})
	p := generate(t, 2048).Primes[0]
	if !prime(p) || prime(new(big.Int).Mul(p, p)) || prime(new(big.Int).Add(p, big.NewInt(1))) {
		t.Error("a prime of 1,024 bits")
	}
}
