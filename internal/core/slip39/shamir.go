// SPDX-License-Identifier: Apache-2.0

package slip39

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"

	"strongroom/internal/core/internal/kdf"
	"strongroom/internal/secret"
)

// mul multiplies in GF(256) with the polynomial x^8 + x^4 + x^3 + x + 1, in constant time.
func mul(a, b uint8) (p uint8) {
	for range 8 {
		p ^= a & -(b & 1)
		a = a<<1 ^ 0x1b&-(a>>7)
		b >>= 1
	}
	return p
}

// inverse gives a^254, which is 1/a; 0 for 0.
func inverse(a uint8) uint8 {
	p := a
	for range 6 { // a^(2^7 - 1) after six steps
		p = mul(mul(p, p), a)
	}
	return mul(p, p)
}

// interpolate writes to out the value at x of the polynomials through the points (xs, values), byte by byte. All xs are distinct and none
// is x.
func interpolate(out []byte, x uint8, xs []uint8, values []secret.Bytes) error {
	clear(out)
	for i, xi := range xs {
		weight := uint8(1)
		for j, xj := range xs {
			if j != i {
				weight = mul(weight, mul(x^xj, inverse(xi^xj)))
			}
		}
		err := values[i].Use(func(v []byte) error {
			for k := range out {
				out[k] ^= mul(weight, v[k])
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// digest writes the digest of a value under a random key (SLIP-39 "Design rationale", digest of the shared secret).
func digest(out, key, value []byte) error {
	var sum [sha256.Size]byte
	defer clear(sum[:])
	err := kdf.HMAC(kdf.SHA256, sum[:], key, value)
	copy(out[:digestSize], sum[:])
	return err
}

// splitValue makes count values with the x of their place, of which threshold bring the value back. When it fails it returns those made.
func splitValue(a *secret.Arena, value secret.Bytes, threshold, count int) (out []secret.Bytes, err error) {
	n := value.Len()
	if threshold == 1 { // each is the value itself
		for range count {
			v, err := secret.New(a, n, func(b []byte) error { return value.Use(func(s []byte) error { copy(b, s); return nil }) })
			if err != nil {
				return out, err
			}
			out = append(out, v)
		}
		return out, nil
	}
	// threshold-2 values are random; digest and value fix the rest.
	random := func(b []byte) error {
		rand.Read(b) // never fails: crypto/rand ends the process when the system has no randomness
		return nil
	}
	xs := make([]uint8, 0, threshold)
	for x := range threshold - 2 {
		v, err := secret.New(a, n, random)
		if err != nil {
			return out, err
		}
		out, xs = append(out, v), append(xs, uint8(x))
	}
	check, err := secret.New(a, n, func(b []byte) error {
		rand.Read(b[digestSize:])
		return value.Use(func(s []byte) error { return digest(b, b[digestSize:], s) })
	})
	if err != nil {
		return out, err
	}
	defer check.Wipe()
	xs = append(xs, digestAt, secretAt)
	base := append(append(make([]secret.Bytes, 0, threshold), out...), check, value)
	for x := threshold - 2; x < count; x++ {
		v, err := secret.New(a, n, func(b []byte) error { return interpolate(b, uint8(x), xs, base) })
		if err != nil {
			return out, err
		}
		out = append(out, v)
	}
	return out, nil
}

// combineValues brings a value back from as many values as the threshold, and checks the digest.
func combineValues(a *secret.Arena, xs []uint8, values []secret.Bytes) (secret.Bytes, error) {
	n := values[0].Len()
	if len(values) == 1 {
		return secret.New(a, n, func(b []byte) error { return values[0].Use(func(v []byte) error { copy(b, v); return nil }) })
	}
	check, err := secret.New(a, n+digestSize, func(b []byte) error { return interpolate(b[:n], digestAt, xs, values) })
	if err != nil {
		return secret.Bytes{}, err
	}
	defer check.Wipe()
	return secret.New(a, n, func(out []byte) error {
		if err := interpolate(out, secretAt, xs, values); err != nil {
			return err
		}
		// The extra bytes of check hold the digest computed.
		return check.Use(func(c []byte) error {
			got := c[n:]
			if err := digest(got, c[digestSize:n], out); err != nil {
				return err
			}
			if subtle.ConstantTimeCompare(got, c[:digestSize]) != 1 {
				return ErrDigest
			}
			return nil
		})
	})
}
