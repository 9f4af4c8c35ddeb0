// SPDX-License-Identifier: Apache-2.0

package modular

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/big"
	"testing"
)

// floorE and floorPi give the whole part of 2^bits times e or pi, by their series in integers of 64 more bits.
func floorE(bits uint) *big.Int {
	term := new(big.Int).Lsh(big.NewInt(1), bits+64)
	sum := new(big.Int)
	for n := int64(1); term.Sign() > 0; n++ {
		sum.Add(sum, term)
		term.Quo(term, big.NewInt(n))
	}
	return sum.Rsh(sum, 64)
}

func floorPi(bits uint) *big.Int {
	one := new(big.Int).Lsh(big.NewInt(1), bits+64)
	arctan := func(x int64) *big.Int { // of 1/x
		sum := new(big.Int)
		term := new(big.Int).Quo(one, big.NewInt(x))
		for n := int64(1); term.Sign() != 0; n += 2 {
			sum.Add(sum, new(big.Int).Quo(term, big.NewInt(n)))
			term.Quo(term, big.NewInt(-x*x))
		}
		return sum
	}
	pi := new(big.Int).Sub(new(big.Int).Mul(big.NewInt(4), arctan(5)), arctan(239)) // Machin
	return pi.Rsh(pi.Mul(pi, big.NewInt(4)), 64)
}

// TestPrimesOfDH makes the primes from the formulas of RFC 7919 appendix A and RFC 3526, and checks that they are safe and that 2 leads a subgroup
// of prime order.
func TestPrimesOfDH(t *testing.T) {
	t.Parallel()
	one := big.NewInt(1)
	for _, v := range []struct {
		digits string
		bits   uint
		of     func(uint) *big.Int
		add    int64
	}{
		{ffdhe2048, 2048, floorE, 560316}, {ffdhe3072, 3072, floorE, 2625351}, {ffdhe4096, 4096, floorE, 5736041},
		{modp2048, 2048, floorPi, 124476}, {modp3072, 3072, floorPi, 1690314}, {modp4096, 4096, floorPi, 240904},
	} {
		t.Run(fmt.Sprint(v.bits, v.add), func(t *testing.T) {
			t.Parallel()
			want := new(big.Int).Lsh(one, v.bits)
			want.Sub(want, new(big.Int).Lsh(one, v.bits-64))
			middle := v.of(v.bits - 130)
			want.Add(want, middle.Lsh(middle.Add(middle, big.NewInt(v.add)), 64))
			want.Sub(want, one)
			if got := want.Text(16); got != v.digits {
				t.Fatalf("the prime is %s", got)
			}
			if !want.ProbablyPrime(0) || !new(big.Int).Rsh(want, 1).ProbablyPrime(0) || big.Jacobi(big.NewInt(2), want) != 1 {
				t.Error("no safe prime, or 2 is no square")
			}
		})
	}
}

// TestDSAParametersAreMadeAgain runs FIPS 186-4 A.1.1.3 and A.2.4 for the groups: from the recorded seed, the prime q, the counter at which p was
// found and no smaller one, and g for index 1.
func TestDSAParametersAreMadeAgain(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		bits, attempt, counter int
		seed, p, q, g          string
	}{
		{2048, 33, 2448, "7ceadd2f184b1146f7f96c98f0c98cba188888c587bd6604b8cd3b4fe36c7d8b", dsaP2048, dsaQ2048, dsaG2048},
		{3072, 96, 650, "aff171af9459073b086b9bea3323dfe3bc1a19b8d8b0a6c19e11dd434af48e67", dsaP3072, dsaQ3072, dsaG3072},
	} {
		t.Run(fmt.Sprint(v.bits), func(t *testing.T) {
			t.Parallel()
			seed := sha256.Sum256(fmt.Appendf(nil, "strongroom DSA parameters, L=%d, N=256, attempt %d", v.bits, v.attempt))
			if hex.EncodeToString(seed[:]) != v.seed {
				t.Fatalf("the seed is %x", seed)
			}
			for attempt := range v.attempt { // earlier seeds give no group with a prime q and p
				earlier := sha256.Sum256(fmt.Appendf(nil, "strongroom DSA parameters, L=%d, N=256, attempt %d", v.bits, attempt))
				if q := subprime(earlier); q.ProbablyPrime(10) {
					if _, _, ok := prime(earlier, q, v.bits); ok {
						t.Fatalf("attempt %d would have done", attempt)
					}
				}
			}
			q := subprime(seed)
			p, counter, ok := prime(seed, q, v.bits)
			if !ok || !q.ProbablyPrime(20) || !p.ProbablyPrime(20) || counter != v.counter || q.Text(16) != v.q || p.Text(16) != v.p {
				t.Fatalf("counter %d, q %x, p %x", counter, q, p)
			}
			e := new(big.Int).Quo(new(big.Int).Sub(p, big.NewInt(1)), q)
			in := append(append([]byte{}, seed[:]...), "ggen\x01\x00\x01"...) // index 1, count 1
			w := sha256.Sum256(in)
			g := new(big.Int).Exp(new(big.Int).SetBytes(w[:]), e, p)
			want, _ := new(big.Int).SetString(v.g, 16)
			if g.Cmp(want) != 0 || g.Cmp(big.NewInt(2)) < 0 || new(big.Int).Exp(g, q, p).Cmp(big.NewInt(1)) != 0 {
				t.Fatalf("g is %x", g)
			}
		})
	}
}

// subprime is steps 6 and 7 of A.1.1.2: q from a seed.
func subprime(seed [32]byte) *big.Int {
	h := sha256.Sum256(seed[:])
	q := new(big.Int).SetBytes(h[:])
	q.SetBit(q, 255, 1)
	return q.SetBit(q, 0, 1) // 2^(N-1) + U + 1 - (U mod 2) for U below 2^(N-1)
}

// prime is steps 10 and 11: p from seed and q.
func prime(seed [32]byte, q *big.Int, bits int) (p *big.Int, counter int, ok bool) {
	n, s := (bits+255)/256-1, new(big.Int).SetBytes(seed[:])
	width := new(big.Int).Lsh(big.NewInt(1), 256)
	twoQ := new(big.Int).Lsh(q, 1)
	offset := int64(1)
	for counter := range 4 * bits {
		w := new(big.Int)
		for j := range n + 1 {
			at := new(big.Int).Add(s, big.NewInt(offset+int64(j)))
			v := sha256.Sum256(at.Mod(at, width).FillBytes(make([]byte, 32)))
			part := new(big.Int).SetBytes(v[:])
			if j == n { // b = L - 1 - n * 256 = 255
				part.SetBit(part, 255, 0)
			}
			w.Add(w, part.Lsh(part, uint(256*j)))
		}
		x := w.SetBit(w, bits-1, 1)
		p := new(big.Int).Sub(x, new(big.Int).Mod(x, twoQ))
		p.Add(p, big.NewInt(1))
		if p.BitLen() == bits && p.ProbablyPrime(1) {
			return p, counter, true
		}
		offset += int64(n) + 1
	}
	return nil, 0, false
}

// TestDigits: the numbers in the program are as long as their names say.
func TestDigits(t *testing.T) {
	t.Parallel()
	set := map[string]int{ffdhe2048: 2048, modp2048: 2048, dsaP2048: 2048, ffdhe3072: 3072, modp3072: 3072, dsaP3072: 3072, ffdhe4096: 4096, modp4096: 4096, dsaQ2048: 256, dsaQ3072: 256}
	if len(set) != 10 {
		t.Fatal("two numbers are one")
	}
	for digits, bits := range set {
		raw, err := hex.DecodeString(digits)
		if err != nil || 8*len(raw) != bits || binary.BigEndian.Uint16(raw) < 0x8000 {
			t.Errorf("%d bits: %v", bits, err)
		}
	}
}
