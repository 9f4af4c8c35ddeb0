// SPDX-License-Identifier: Apache-2.0

package algorithm

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"math/big"
)

// rsaExponent is the public exponent of all keys.
const rsaExponent = 65537

// rsaKeys are keys of two primes of equal size: p, q and d one after the other, each big-endian and in full width.
func rsaKeys(bits int) Keys {
	return Keys{Size: bits / 4, Public: rsaPublic, Generate: func(_ context.Context, _ Source, to []byte) error {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			return err
		}
		defer forget(key)
		n := bits / 16
		if len(key.Primes) != 2 || key.Primes[0].BitLen() != 8*n || key.Primes[1].BitLen() != 8*n || key.E != rsaExponent {
			return ErrFault
		}
		key.Primes[0].FillBytes(to[:n])
		key.Primes[1].FillBytes(to[n : 2*n])
		key.D.FillBytes(to[2*n:])
		return nil
	}}
}

// rsaKey makes crypto/rsa's form of a key, which checks that its parts fit. The caller forgets it.
func rsaKey(sk []byte) (*rsa.PrivateKey, error) {
	n := len(sk) / 4
	p, q := new(big.Int).SetBytes(sk[:n]), new(big.Int).SetBytes(sk[n:2*n])
	key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: rsaExponent}, D: new(big.Int).SetBytes(sk[2*n:]), Primes: []*big.Int{p, q}}
	key.Precompute()
	if key.N.BitLen() != 16*n || key.Validate() != nil {
		forget(key)
		return nil, ErrSecret
	}
	return key, nil
}

// forget clears what of a key can be reached.
func forget(key *rsa.PrivateKey) {
	for _, x := range append([]*big.Int{key.D, key.Precomputed.Dp, key.Precomputed.Dq, key.Precomputed.Qinv}, key.Primes...) {
		if x != nil {
			clear(x.Bits())
		}
	}
}

func rsaPublic(sk []byte) ([]byte, error) {
	key, err := rsaKey(sk)
	if err != nil {
		return nil, err
	}
	defer forget(key)
	return key.N.FillBytes(make([]byte, len(sk)/2)), nil
}

// rsaModulus reads a public key, which must have the size of its kind.
func rsaModulus(kind Kind, pub []byte) (*rsa.PublicKey, error) {
	n := new(big.Int).SetBytes(pub)
	if fmt.Sprintf("rsa-%d", 8*len(pub)) != string(kind) || n.BitLen() != 8*len(pub) {
		return nil, fmt.Errorf("%w: a modulus of %d bits for a key of kind %q", ErrInput, n.BitLen(), kind)
	}
	return &rsa.PublicKey{N: n, E: rsaExponent}, nil
}

// pkcs1Sign is deterministic, with or without aux.
func pkcs1Sign(_ Kind, sk, _, msg []byte, _ *[32]byte) ([]byte, error) {
	key, err := rsaKey(sk)
	if err != nil {
		return nil, err
	}
	defer forget(key)
	digest := sha256.Sum256(msg)
	return rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
}

func pkcs1Verify(kind Kind, pub, msg, sig []byte) bool {
	key, err := rsaModulus(kind, pub)
	digest := sha256.Sum256(msg)
	return err == nil && rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], sig) == nil
}

// pss is the one form of PSS: a salt as long as the digest.
var pss = rsa.PSSOptions{SaltLength: sha256.Size, Hash: crypto.SHA256}

func pssSign(_ Kind, sk, _, msg []byte, aux *[32]byte) ([]byte, error) {
	if aux != nil {
		return nil, ErrNotRepeatable // the salt is random, and crypto/rsa takes none
	}
	key, err := rsaKey(sk)
	if err != nil {
		return nil, err
	}
	defer forget(key)
	digest, options := sha256.Sum256(msg), pss
	return rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest[:], &options)
}

func pssVerify(kind Kind, pub, msg, sig []byte) bool {
	key, err := rsaModulus(kind, pub)
	digest, options := sha256.Sum256(msg), pss
	return err == nil && rsa.VerifyPSS(key, crypto.SHA256, digest[:], sig, &options) == nil
}

func oaepEncrypt(kind Kind, pub, plain []byte) ([]byte, error) {
	key, err := rsaModulus(kind, pub)
	if err != nil {
		return nil, err
	}
	sealed, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, key, plain, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInput, err)
	}
	return sealed, nil
}

// oaepDecrypt has one error for all that doesn't decrypt: what is wrong with it is an oracle (Manger 2001).
func oaepDecrypt(_ Kind, sk, sealed []byte) ([]byte, error) {
	key, err := rsaKey(sk)
	if err != nil {
		return nil, err
	}
	defer forget(key)
	plain, err := rsa.DecryptOAEP(sha256.New(), nil, key, sealed, nil)
	if err != nil {
		return nil, ErrOpen
	}
	return plain, nil
}
