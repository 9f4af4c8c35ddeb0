// SPDX-License-Identifier: Apache-2.0

package hsmtest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"math/big"
	"slices"
	"sync"
	"testing"

	"strongroom/internal/core/hsm"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/secp"
)

// capability opens a root that must have a further capability.
func capability[T any](t *testing.T, open func(*testing.T) hsm.Root) T {
	t.Helper()
	r, ok := open(t).(T)
	if !ok {
		t.Fatal("the root does not have the capability")
	}
	return r
}

// RunRandomness tests a root that has [hsm.Randomness].
func RunRandomness(t *testing.T, h Harness) {
	r := capability[hsm.Randomness](t, h.Start(t))
	seen := map[[32]byte]bool{}
	for range 16 {
		var b [32]byte
		if err := r.Random(t.Context(), b[:]); err != nil {
			t.Fatal(err)
		}
		if seen[b] || b == [32]byte{} {
			t.Fatalf("got %x again, or zeros", b)
		}
		seen[b] = true
	}
	for _, n := range []int{0, 1, 5000} {
		b := make([]byte, n)
		if err := r.Random(t.Context(), b); err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if n == 5000 && (bytes.Count(b, []byte{0}) > 100 || bytes.Equal(b[:1000], b[2000:3000])) {
			t.Error("5000 bytes were not all filled")
		}
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	wantErr(t, r.Random(cancelled, make([]byte, 1)), context.Canceled)
}

// input is what an algorithm signs in these tests.
func input(a hsm.Algorithm, what string) []byte {
	if a == hsm.Ed25519 {
		return []byte(what)
	}
	h := sha256.Sum256([]byte(what))
	return h[:]
}

// verifies judges a signature without the root's own code.
func verifies(t *testing.T, a hsm.Algorithm, public, input, sig []byte) bool {
	t.Helper()
	switch a {
	case hsm.Ed25519:
		return len(public) == 32 && ed25519.Verify(public, input, sig)
	case hsm.ECDSAP256:
		x, y := elliptic.UnmarshalCompressed(elliptic.P256(), public)
		return x != nil && len(sig) == 64 && ecdsa.Verify(&ecdsa.PublicKey{Curve: elliptic.P256(), X: x, Y: y}, input, new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
	case hsm.ECDSASecp256k1:
		p, err := secp.ParsePublicKey(public)
		return err == nil && len(sig) == 64 && secp.VerifyECDSA(p, [32]byte(input), [64]byte(sig))
	}
	t.Fatalf("algorithm %q is not known", a)
	return false
}

const (
	keyOne custody.KeyID = "00000000000000000000000000000001"
	keyTwo custody.KeyID = "00000000000000000000000000000002"
)

// RunTokenKeys tests a root that has [hsm.TokenKeys], for the algorithms that it must have.
func RunTokenKeys(t *testing.T, h Harness, algorithms []hsm.Algorithm) {
	for _, a := range algorithms {
		t.Run(string(a), func(t *testing.T) { tokenKey(t, h.Start(t), a) })
	}
	t.Run("refuses", func(t *testing.T) { tokenKeyRefusals(t, h.Start(t), algorithms[0]) })
	t.Run("concurrent", func(t *testing.T) { tokenKeysAtOnce(t, h.Start(t), algorithms[0]) })
}

func tokenKey(t *testing.T, open func(*testing.T) hsm.Root, a hsm.Algorithm) {
	r := capability[hsm.TokenKeys](t, open)
	wantKeys(t, r)
	one, err := r.GenerateTokenKey(t.Context(), keyOne, a)
	if err != nil {
		t.Fatal(err)
	}
	two, err := r.GenerateTokenKey(t.Context(), keyTwo, a)
	if err != nil || bytes.Equal(one, two) {
		t.Fatalf("a second key: got %x and error %v", two, err)
	}
	wantKeys(t, r, keyOne, keyTwo)
	_, err = r.GenerateTokenKey(t.Context(), keyOne, a)
	wantErr(t, err, hsm.ErrExists)
	for range 2 {
		name, public, err := r.TokenKey(t.Context(), keyOne)
		if err != nil || name != a || !bytes.Equal(public, one) {
			t.Fatalf("got %s key %x and error %v, want %x", name, public, err, one)
		}
		for i := range 8 { // of ECDSA signatures half have the higher s
			in := input(a, string(rune('a'+i)))
			sig, err := r.SignWithTokenKey(t.Context(), keyOne, a, one, in)
			if err != nil || !verifies(t, a, one, in, sig) {
				t.Fatalf("signature %x and error %v", sig, err)
			}
		}
		r = capability[hsm.TokenKeys](t, open)
	}
	_, err = r.SignWithTokenKey(t.Context(), keyOne, a, two, input(a, "x"))
	wantErr(t, err, hsm.ErrAltered) // never a signature by another key than the caller expects
	for range 2 {
		if err := r.DestroyTokenKey(t.Context(), keyOne); err != nil {
			t.Fatal(err)
		}
	}
	_, err = r.SignWithTokenKey(t.Context(), keyOne, a, one, input(a, "x"))
	wantErr(t, err, hsm.ErrNotFound)
	_, _, err = r.TokenKey(t.Context(), keyOne)
	wantErr(t, err, hsm.ErrNotFound)
	wantKeys(t, r, keyTwo)
	if _, err := r.SignWithTokenKey(t.Context(), keyTwo, a, two, input(a, "x")); err != nil {
		t.Errorf("the other key: %v", err)
	}
	again, err := r.GenerateTokenKey(t.Context(), keyOne, a)
	if err != nil || bytes.Equal(again, one) {
		t.Errorf("a new key in its place: got %x and error %v", again, err)
	}
}

func tokenKeyRefusals(t *testing.T, open func(*testing.T) hsm.Root, a hsm.Algorithm) {
	r := capability[hsm.TokenKeys](t, open)
	public, err := r.GenerateTokenKey(t.Context(), keyOne, a)
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.GenerateTokenKey(t.Context(), keyTwo, "rot13")
	wantErr(t, err, hsm.ErrUnsupported)
	for _, id := range []custody.KeyID{"", "abc", "../../../../../../../../../../etc"} {
		_, err := r.GenerateTokenKey(t.Context(), id, a)
		wantErr(t, err, hsm.ErrInput)
		_, err = r.SignWithTokenKey(t.Context(), id, a, public, input(a, "x"))
		wantErr(t, err, hsm.ErrInput)
		_, _, err = r.TokenKey(t.Context(), id)
		wantErr(t, err, hsm.ErrInput)
		wantErr(t, r.DestroyTokenKey(t.Context(), id), hsm.ErrInput)
	}
	_, err = r.SignWithTokenKey(t.Context(), keyOne, hsm.ECDSAP256, public, make([]byte, 31))
	wantErr(t, err, hsm.ErrInput)
	_, err = r.SignWithTokenKey(t.Context(), keyOne, hsm.Ed25519, public, make([]byte, hsm.MaxMessage+1))
	wantErr(t, err, hsm.ErrInput)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = r.SignWithTokenKey(cancelled, keyOne, a, public, input(a, "x"))
	wantErr(t, err, context.Canceled)
	_, err = r.GenerateTokenKey(cancelled, keyTwo, a)
	wantErr(t, err, context.Canceled)
	_, err = r.TokenKeyIDs(cancelled)
	wantErr(t, err, context.Canceled)
	_, _, err = r.TokenKey(t.Context(), keyTwo)
	wantErr(t, err, hsm.ErrNotFound)
}

// wantKeys compares the list of keys.
func wantKeys(t *testing.T, r hsm.TokenKeys, want ...custody.KeyID) {
	t.Helper()
	got, err := r.TokenKeyIDs(t.Context())
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("the root lists the keys %v and error %v, want %v", got, err, want)
	}
}

func tokenKeysAtOnce(t *testing.T, open func(*testing.T) hsm.Root, a hsm.Algorithm) {
	r := capability[hsm.TokenKeys](t, open)
	public, err := r.GenerateTokenKey(t.Context(), keyOne, a)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			in := input(a, string(rune('a'+i)))
			sig, err := r.SignWithTokenKey(t.Context(), keyOne, a, public, in)
			if err != nil || !verifies(t, a, public, in, sig) {
				t.Errorf("signature %d: %x and error %v", i, sig, err)
			}
		})
	}
	wg.Wait()
}

// RunWrappedKeys tests a root that has [hsm.WrappedKeys], for the algorithms that it must have.
func RunWrappedKeys(t *testing.T, h Harness, algorithms []hsm.Algorithm) {
	for _, a := range algorithms {
		t.Run(string(a), func(t *testing.T) { wrappedKey(t, h.Start(t), a) })
	}
}

func wrappedKey(t *testing.T, open func(*testing.T) hsm.Root, a hsm.Algorithm) {
	r := capability[hsm.WrappedKeys](t, open)
	one, err := r.GenerateWrappedKey(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	two, err := r.GenerateWrappedKey(t.Context(), a)
	if err != nil || bytes.Equal(one.Public, two.Public) || bytes.Equal(one.Wrapped, two.Wrapped) {
		t.Fatalf("a second key: got %+v and error %v", two, err)
	}
	for range 2 {
		for _, k := range []hsm.WrappedKey{one, two} {
			sig, err := r.SignWithWrappedKey(t.Context(), k, input(a, "x"))
			if err != nil || !verifies(t, a, k.Public, input(a, "x"), sig) {
				t.Fatalf("signature %x and error %v", sig, err)
			}
		}
		r = capability[hsm.WrappedKeys](t, open)
	}
	exchanged := one
	exchanged.Wrapped = two.Wrapped
	_, err = r.SignWithWrappedKey(t.Context(), exchanged, input(a, "x"))
	wantErr(t, err, hsm.ErrAltered)
	for i := range one.Wrapped {
		bad := one
		bad.Wrapped = bytes.Clone(one.Wrapped)
		bad.Wrapped[i] ^= 1
		_, err := r.SignWithWrappedKey(t.Context(), bad, input(a, "x"))
		wantErr(t, err, hsm.ErrAltered)
	}
	_, err = r.GenerateWrappedKey(t.Context(), "rot13")
	wantErr(t, err, hsm.ErrUnsupported)
	_, err = r.SignWithWrappedKey(t.Context(), hsm.WrappedKey{Algorithm: a, Public: one.Public}, input(a, "x"))
	wantErr(t, err, hsm.ErrInput)
}
