// SPDX-License-Identifier: Apache-2.0

package pkcs11

import (
	"fmt"
	"testing"

	"strongroom/internal/core/durable"
	"strongroom/internal/core/hsm"
)

func benchRoot(b *testing.B) *Root {
	bed := softHSM(b)
	l := bed.library(b, nil)
	return mustCreate(b, l, durable.OS(), config(b, l, bed.token(b)))
}

// BenchmarkSeal seals under a new label each time: two keys are made in the token, and used.
func BenchmarkSeal(b *testing.B) {
	r := benchRoot(b)
	plain := take(b, r.lib, "0123456789abcdef0123456789abcdef")
	n := 0
	for b.Loop() {
		n++
		if err := r.Seal(b.Context(), fmt.Sprintf("label-%d", n), nil, plain); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := r.Destroy(b.Context(), fmt.Sprintf("label-%d", n)); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

func BenchmarkUnseal(b *testing.B) {
	r := benchRoot(b)
	if err := r.Seal(b.Context(), "dwk-1", nil, take(b, r.lib, "0123456789abcdef0123456789abcdef")); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		_, plain, err := r.Unseal(b.Context(), "dwk-1")
		if err != nil {
			b.Fatal(err)
		}
		plain.Wipe()
	}
}

func BenchmarkIncrement(b *testing.B) {
	r := benchRoot(b)
	for b.Loop() {
		if _, err := r.IncrementCounter(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTokenSign signs with keys that stay in the token.
func BenchmarkTokenSign(b *testing.B) {
	r := benchRoot(b)
	for _, a := range hsm.Algorithms() {
		b.Run(string(a), func(b *testing.B) {
			public, err := r.GenerateTokenKey(b.Context(), crashKey, a)
			if err != nil {
				b.Fatal(err)
			}
			in := make([]byte, 32)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := r.SignWithTokenKey(b.Context(), crashKey, a, public, in); err != nil {
						b.Error(err)
					}
				}
			})
			if err := r.DestroyTokenKey(b.Context(), crashKey); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkWrappedSign signs with keys that are unwrapped for each signature.
func BenchmarkWrappedSign(b *testing.B) {
	r := benchRoot(b)
	for _, a := range []hsm.Algorithm{hsm.ECDSASecp256k1, hsm.ECDSAP256} {
		b.Run(string(a), func(b *testing.B) {
			k, err := r.GenerateWrappedKey(b.Context(), a)
			if err != nil {
				b.Fatal(err)
			}
			in := make([]byte, 32)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := r.SignWithWrappedKey(b.Context(), k, in); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
