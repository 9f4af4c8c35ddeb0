// SPDX-License-Identifier: Apache-2.0

package selftest

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"

	"golang.org/x/crypto/ripemd160" //nolint:staticcheck // Bitcoin fixes RIPEMD-160; it must be right, not strong
	"golang.org/x/crypto/sha3"

	"strongroom/internal/core/entropy"
	"strongroom/internal/core/internal/argon2id"
	"strongroom/internal/core/seal"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/tlog"
	"strongroom/internal/secret"
)

// errOther says that a result is not the known one.
var errOther = errors.New("the result is another one than published; the program or the machine is broken")

// primitives are the tests of what has no row in the table.
func primitives() []Test {
	return []Test{
		answer("sha-256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", digest(sha256.New)), // FIPS 180-4 examples, "abc"
		answer("sha-384", "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7", digest(sha512.New384)),
		answer("sha-512", "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"+
			"2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f", digest(sha512.New)),
		answer("keccak-256", "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45", digest(sha3.NewLegacyKeccak256)), // of "abc"
		answer("ripemd-160", "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc", digest(ripemd160.New)),                                   // its authors' vectors
		answer("hkdf-sha-256", "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865", hkdfSHA256),
		answer("hkdf-sha-384", "9b5097a86038b805309076a44b3a9f38063e25b516dcbf369f394cfab43685f748b6457763e4f0204fc5", hkdfOf(sha512.New384)),
		answer("hkdf-sha-512", "832390086cda71fb47625bb5ceb168e4c8e26a1a16ed34d9fc7fe92c1481579338da362cb8d9f925d7cb", hkdfOf(sha512.New)),
		{"argon2id", argon2Test},
		{"hpke", hpkeTest},
		{"seal", sealTest},
		{"cbor", cborTest},
		{"merkle-tree", treeTest},
		{"entropy-health", healthTest},
		{"secret-memory", memoryTest},
	}
}

// unhex reads constant digits.
func unhex(digits string) []byte {
	b, err := hex.DecodeString(digits)
	if err != nil {
		panic(err) // constant digits: a programming error
	}
	return b
}

// answer is a test of one result.
func answer(name, want string, result func() ([]byte, error)) Test {
	return Test{name, func(_ context.Context, _ *secret.Arena, damage func([]byte)) error {
		got, err := result()
		if err != nil {
			return err
		}
		if damage != nil {
			damage(got)
		}
		if !bytes.Equal(got, unhex(want)) {
			return errOther
		}
		return nil
	}}
}

func digest(of func() hash.Hash) func() ([]byte, error) {
	return func() ([]byte, error) {
		h := of()
		h.Write([]byte("abc"))
		return h.Sum(nil), nil
	}
}

// The input of RFC 5869, test case 1.
const (
	hkdfKey  = "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"
	hkdfSalt = "000102030405060708090a0b0c"
	hkdfText = "f0f1f2f3f4f5f6f7f8f9"
)

func hkdfSHA256() ([]byte, error) { return hkdfOf(sha256.New)() }

// hkdfOf is the case of RFC 5869 with a hash; for SHA-384 and SHA-512 its authors gave no result, so that is as two other implementations
// have it.
func hkdfOf(h func() hash.Hash) func() ([]byte, error) {
	return func() ([]byte, error) {
		return hkdf.Key(h, unhex(hkdfKey), unhex(hkdfSalt), string(unhex(hkdfText)), 42)
	}
}

// argon2Test is a vector of the reference implementation's test: 1 pass, 64 KiB, 1 lane.
func argon2Test(ctx context.Context, a *secret.Arena, damage func([]byte)) error {
	return answer("argon2id", "655ad15eac652dc59f7170a7332bf49b8469be1fdb9c28bb", func() ([]byte, error) {
		return argon2id.Key(a, []byte("password"), []byte("somesalt"), 1, 64, 1, 24)
	}).Run(ctx, a, damage)
}

// hpkeTest opens the published message, then one of its own in the suite that the core uses, and wants it refused with a bit changed.
func hpkeTest(_ context.Context, _ *secret.Arena, damage func([]byte)) error {
	if damage == nil {
		damage = func([]byte) {}
	}
	kem := hpke.MLKEM768X25519()
	key, err := kem.NewPrivateKey(unhex(hpkeSecret))
	if err != nil {
		return err
	}
	r, err := hpke.NewRecipient(unhex(hpkeCapsule), key, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), unhex(hpkeInfo))
	if err != nil {
		return err
	}
	plain, err := r.Open(unhex(hpkeAAD), unhex(hpkeSealed))
	damage(plain)
	if err != nil || !bytes.Equal(plain, unhex(hpkePlain)) {
		return errors.Join(errOther, err)
	}
	text, info := []byte("self-test"), []byte("strongroom")
	sealed, err := hpke.Seal(key.PublicKey(), hpke.HKDFSHA384(), hpke.AES256GCM(), info, text)
	if err != nil {
		return err
	}
	if plain, err = hpke.Open(key, hpke.HKDFSHA384(), hpke.AES256GCM(), info, sealed); err != nil || !bytes.Equal(plain, text) {
		return errors.Join(errOther, err)
	}
	sealed[len(sealed)-1] ^= 1
	if _, err := hpke.Open(key, hpke.HKDFSHA384(), hpke.AES256GCM(), info, sealed); err == nil {
		return errors.New("altered bytes open")
	}
	return nil
}

// sealTest seals a secret as blobs are sealed and opens it; with another header it must not open.
func sealTest(_ context.Context, a *secret.Arena, damage func([]byte)) error {
	key, err := secret.Take(a, bytes.Repeat([]byte{1}, seal.KeySize))
	if err != nil {
		return err
	}
	defer key.Wipe()
	plain, err := secret.Take(a, []byte("self-test"))
	if err != nil {
		return err
	}
	defer plain.Wipe()
	sealed, err := seal.Seal(canon.TagBlob, key, []byte("header"), plain)
	if err != nil {
		return err
	}
	altered := bytes.Replace(sealed, []byte("header"), []byte("reader"), 1)
	if damage != nil {
		damage(sealed[len(sealed)-1:])
	}
	got, _, err := seal.Open(a, canon.TagBlob, key, sealed)
	if err != nil {
		return err
	}
	defer got.Wipe()
	if !got.Equal(plain) {
		return errOther
	}
	if out, _, err := seal.Open(a, canon.TagBlob, key, altered); !errors.Is(err, seal.ErrOpen) {
		out.Wipe()
		return fmt.Errorf("with another header: %v, not %w", err, seal.ErrOpen)
	}
	return nil
}

// sample has a field of each sort that entries have.
type sample struct {
	N uint64   `cbor:"1,keyasint"`
	S string   `cbor:"2,keyasint"`
	B []byte   `cbor:"3,keyasint"`
	L []uint64 `cbor:"4,keyasint"`
	H [2]byte  `cbor:"5,keyasint"`
	O *uint64  `cbor:"6,keyasint,omitempty"`
}

// cborTest encodes a value to bytes that RFC 8949 section 4.2.1 gives, decodes them, and wants them refused in another form.
func cborTest(_ context.Context, _ *secret.Arena, damage func([]byte)) error {
	value := sample{N: 500, S: "a", B: []byte{7}, L: []uint64{2}, H: [2]byte{8, 9}}
	got := canon.Encode(value)
	if damage != nil {
		damage(got)
	}
	if !bytes.Equal(got, unhex("a5"+"011901f4"+"026161"+"034107"+"048102"+"05420809")) {
		return errOther
	}
	var back sample
	if err := canon.Decode(got, &back); err != nil {
		return err
	}
	if !bytes.Equal(canon.Encode(back), got) {
		return errOther
	}
	if err := canon.Decode(unhex("a5"+"011a000001f4"+"026161"+"034107"+"048102"+"05420809"), &back); err == nil {
		return errors.New("a second encoding of the same value is read")
	}
	return nil
}

// treeTest computes the root of RFC 6962 of three leaves: their hashes are of "", 00 and 10, as Certificate Transparency's tests have them.
func treeTest(_ context.Context, _ *secret.Arena, damage func([]byte)) error {
	var f tlog.Frontier
	for _, leaf := range []string{"", "00", "10"} {
		f.Append(sha256.Sum256(append([]byte{0}, unhex(leaf)...)))
	}
	root := f.Root()
	if damage != nil {
		damage(root[:])
	}
	if !bytes.Equal(root[:], unhex("aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77")) {
		return errOther
	}
	return nil
}

// healthTest feeds noise that is stuck to the health tests, which must tell; made to fail, it feeds noise that is not.
func healthTest(_ context.Context, _ *secret.Arena, damage func([]byte)) error {
	stuck := make([]byte, entropy.WindowOther)
	for i := range stuck {
		if damage != nil {
			stuck[i] = byte(i)
		}
	}
	n := entropy.NewNoise(1, false)
	for i, x := range stuck {
		if n.Sample(x) != nil {
			if i+1 != entropy.RepetitionCutoff(1) {
				return fmt.Errorf("stuck noise was told after %d samples", i+1)
			}
			return nil
		}
	}
	return errors.New("the health tests of randomness do not tell stuck noise")
}

// memoryTest wipes a secret, which must be gone; made to fail, it forgets to.
func memoryTest(_ context.Context, a *secret.Arena, damage func([]byte)) error {
	s, err := secret.Take(a, []byte("self-test"))
	if err != nil {
		return err
	}
	defer s.Wipe()
	if damage == nil {
		s.Wipe()
	}
	if err := s.Use(func([]byte) error { return nil }); !errors.Is(err, secret.ErrWiped) {
		return fmt.Errorf("a wiped secret can be read: %v", err)
	}
	return nil
}
