// SPDX-License-Identifier: Apache-2.0

package curve

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/big"
	"sync"
	"testing"

	"strongroom/internal/secret"
)

// key is a key pair for tests, its scalar in an arena as in the product.
type key struct {
	backend *Backend
	sk      []byte // in the arena
	pub     [33]byte
}

// newKey makes the key number n, the same at each run.
func newKey(t testing.TB, n uint64) key {
	t.Helper()
	sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("curve test key"), n))
	return keyOf(t, sum[:])
}

func keyOf(t testing.TB, scalar []byte) key {
	t.Helper()
	k := key{backend: newBackend(t), sk: inArena(t, scalar)}
	pub, err := k.backend.PublicKey(k.sk)
	if err != nil {
		t.Fatal(err)
	}
	k.pub = pub
	return k
}

func newBackend(t testing.TB) *Backend {
	t.Helper()
	b, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// inArena puts bytes into an arena and returns them there; the arena goes when the test ends.
func inArena(t testing.TB, content []byte) []byte {
	t.Helper()
	arena, err := secret.NewArena(secret.Config{Size: 4096})
	if err != nil {
		t.Fatal(err)
	}
	var in []byte
	held, err := secret.New(arena, len(content), func(b []byte) error {
		copy(b, content)
		in = b
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		held.Wipe()
		if err := arena.Close(); err != nil {
			t.Error(err)
		}
	})
	return in
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const (
	order     = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141" // n
	orderLess = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140" // n - 1
	zero      = "0000000000000000000000000000000000000000000000000000000000000000"
	one       = "0000000000000000000000000000000000000000000000000000000000000001"
	generator = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798" // SEC 2 section 2.4.1
)

func TestPublicKey(t *testing.T) {
	t.Parallel()
	if got := keyOf(t, unhex(t, one)).pub; hex.EncodeToString(got[:]) != generator {
		t.Errorf("1*G = %x", got)
	}
	minus := keyOf(t, unhex(t, orderLess)).pub
	if want := "03" + generator[2:]; hex.EncodeToString(minus[:]) != want {
		t.Errorf("(n-1)*G = %x, want %s", minus, want)
	}
}

func TestRefusesScalars(t *testing.T) {
	t.Parallel()
	good := newKey(t, 1)
	b := good.backend
	var msg, aux [32]byte
	for name, scalar := range map[string]string{
		"zero": zero, "order": order, "all ones": "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"short": one[2:], "long": one + "00", "empty": "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sk := unhex(t, scalar)
			results := map[string]error{}
			_, results["public key"] = b.PublicKey(sk)
			_, _, results["ecdsa"] = b.SignECDSA(sk, good.pub, msg, aux)
			_, results["bip340"] = b.SignBIP340(sk, good.pub, msg, aux)
			_, results["taproot"] = b.SignTaproot(sk, good.pub, nil, msg, aux)
			results["tweak of"] = b.TweakAdd(sk, good.sk, make([]byte, 32))
			results["pair"] = b.CheckPair(sk, good.pub)
			for what, err := range results {
				if !errors.Is(err, ErrScalar) {
					t.Errorf("%s: got %v, want ErrScalar", what, err)
				}
			}
		})
	}
}

func TestTweakAdd(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	for _, tc := range []struct{ name, sk, tweak, want string }{
		{"1+1", one, one, one[:63] + "2"},
		{"zero tweak", one, zero, one},
		{"wraps", orderLess, one[:63] + "2", one},
		{"sum is zero", orderLess, one, ""},
		{"tweak is the order", one, order, ""},
	} {
		for _, inPlace := range []bool{false, true} {
			sk, tweak := inArena(t, unhex(t, tc.sk)), inArena(t, unhex(t, tc.tweak))
			out := sk
			if !inPlace {
				out = inArena(t, unhex(t, orderLess))
			}
			err := b.TweakAdd(sk, tweak, out)
			got := hex.EncodeToString(out)
			if tc.want != "" && (err != nil || got != tc.want) {
				t.Errorf("%s in place %v: got %s, %v; want %s", tc.name, inPlace, got, err, tc.want)
			}
			if tc.want == "" && (!errors.Is(err, ErrScalar) || got != zero) {
				t.Errorf("%s in place %v: got %s, %v; want zero, ErrScalar", tc.name, inPlace, got, err)
			}
		}
	}
	good := unhex(t, one)
	if err := b.TweakAdd(good, good, make([]byte, 31)); !errors.Is(err, ErrScalar) {
		t.Errorf("short out: got %v", err)
	}
	if err := b.TweakAdd(good, good[:31], make([]byte, 32)); !errors.Is(err, ErrScalar) {
		t.Errorf("short tweak: got %v", err)
	}
}

func TestRefusesForeignPublicKeys(t *testing.T) {
	t.Parallel()
	k, other := newKey(t, 1), newKey(t, 2)
	var msg, aux [32]byte
	notAPoint := [33]byte{2, 32: 5} // x = 5 is on no point of the curve
	badPrefix := k.pub
	badPrefix[0] = 7
	for name, pub := range map[string][33]byte{"another key": other.pub, "no point": notAPoint, "zero": {}} {
		if sig, _, err := k.backend.SignECDSA(k.sk, pub, msg, aux); err == nil || sig != [64]byte{} {
			t.Errorf("%s: ecdsa signed: %v", name, err)
		}
		if sig, err := k.backend.SignBIP340(k.sk, pub, msg, aux); !errors.Is(err, ErrPublicKey) || sig != [64]byte{} {
			t.Errorf("%s: bip340: got %v, want ErrPublicKey", name, err)
		}
		if sig, err := k.backend.SignTaproot(k.sk, pub, nil, msg, aux); !errors.Is(err, ErrPublicKey) || sig != [64]byte{} {
			t.Errorf("%s: taproot: got %v, want ErrPublicKey", name, err)
		}
		if err := k.backend.CheckPair(k.sk, pub); err == nil {
			t.Errorf("%s: is called a pair", name)
		}
	}
	for name, pub := range map[string][33]byte{"no point": notAPoint, "prefix": badPrefix} {
		if _, _, err := k.backend.SignECDSA(k.sk, pub, msg, aux); !errors.Is(err, ErrPublicKey) {
			t.Errorf("%s: got %v, want ErrPublicKey", name, err)
		}
	}
	if err := k.backend.CheckPair(k.sk, k.pub); err != nil {
		t.Error(err)
	}
}

// TestFaultIsWithheld flips a bit between making and checking a signature.
func TestFaultIsWithheld(t *testing.T) {
	t.Parallel()
	k := newKey(t, 3)
	k.backend.fault = 1
	var msg, aux [32]byte
	if sig, id, err := k.backend.SignECDSA(k.sk, k.pub, msg, aux); !errors.Is(err, ErrFault) || sig != [64]byte{} || id != 0 {
		t.Errorf("ecdsa: got %x, %d, %v; want ErrFault", sig, id, err)
	}
	if sig, err := k.backend.SignBIP340(k.sk, k.pub, msg, aux); !errors.Is(err, ErrFault) || sig != [64]byte{} {
		t.Errorf("bip340: got %x, %v; want ErrFault", sig, err)
	}
	if sig, err := k.backend.SignTaproot(k.sk, k.pub, nil, msg, aux); !errors.Is(err, ErrFault) || sig != [64]byte{} {
		t.Errorf("taproot: got %x, %v; want ErrFault", sig, err)
	}
	if err := k.backend.CheckPair(k.sk, k.pub); !errors.Is(err, ErrFault) {
		t.Errorf("pair: got %v, want ErrFault", err)
	}
	other := newKey(t, 4)
	if _, _, err := other.backend.SignECDSA(other.sk, k.pub, msg, aux); !errors.Is(err, ErrFault) {
		t.Errorf("a valid key that is not the one signed with: got %v, want ErrFault", err)
	}
}

// TestRecoveryIDIsChecked: of the ids 0 to 3 only the right one passes for a low s, none for a high one.
func TestRecoveryIDIsChecked(t *testing.T) {
	t.Parallel()
	for n := range uint64(8) {
		k := newKey(t, 100+n)
		var msg, aux [32]byte
		sig, right, err := k.backend.SignECDSA(k.sk, k.pub, msg, aux)
		if err != nil {
			t.Fatal(err)
		}
		high := sig
		subtractFromOrder(high[32:])
		for id := -1; id <= 4; id++ {
			want := id == -1 || id == int(right)
			if got := k.backend.checkECDSA(&k.pub, &msg, &sig, id) == nil; got != want {
				t.Errorf("key %d, id %d: got %v, right is %d", n, id, got, right)
			}
			if err := k.backend.checkECDSA(&k.pub, &msg, &high, id); !errors.Is(err, ErrFault) {
				t.Errorf("key %d, id %d, high s: got %v, want ErrFault", n, id, err)
			}
		}
	}
}

// subtractFromOrder replaces s by n - s.
func subtractFromOrder(s []byte) {
	n, _ := new(big.Int).SetString(order, 16)
	n.Sub(n, new(big.Int).SetBytes(s)).FillBytes(s)
}

func TestSigningDoesNotAllocate(t *testing.T) {
	k := newKey(t, 5)
	var msg, aux [32]byte
	out, root := make([]byte, 32), make([]byte, 32)
	var failed error
	for name, f := range map[string]func(){
		"public key": func() { _, failed = k.backend.PublicKey(k.sk) },
		"ecdsa":      func() { _, _, failed = k.backend.SignECDSA(k.sk, k.pub, msg, aux) },
		"bip340":     func() { _, failed = k.backend.SignBIP340(k.sk, k.pub, msg, aux) },
		"taproot":    func() { _, failed = k.backend.SignTaproot(k.sk, k.pub, root, msg, aux) },
		"tweak":      func() { failed = k.backend.TweakAdd(k.sk, root, out) },
		"verify":     func() { k.backend.VerifyECDSA(k.pub, msg, [64]byte{}) },
	} {
		if n := testing.AllocsPerRun(20, f); n != 0 || failed != nil {
			t.Errorf("%s: %v allocations, %v", name, n, failed)
		}
	}
}

func TestConcurrentSigning(t *testing.T) {
	t.Parallel()
	k := newKey(t, 6)
	var msg, aux [32]byte
	want, _, err := k.backend.SignECDSA(k.sk, k.pub, msg, aux)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if got, _, err := k.backend.SignECDSA(k.sk, k.pub, msg, aux); err != nil || got != want {
					t.Errorf("got %x, %v", got, err)
				}
			}
		})
	}
	wg.Wait()
}
