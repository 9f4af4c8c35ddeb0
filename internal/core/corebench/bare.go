// SPDX-License-Identifier: Apache-2.0

// Package corebench gives the load programs the bare operations that a governed request is compared with: the same constant-time
// code as the core's, with nothing around it. It is linked into the benchmark only.
package corebench

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"

	"strongroom/internal/core/internal/curve"
)

// Op does one operation; each goroutine has its own.
type Op func() error

// errVerify says that a signature just made does not verify.
var errVerify = errors.New("signature does not verify")

// Names lists the operations that [New] makes.
func Names() []string {
	return []string{"secp256k1 sign", "secp256k1 sign+verify", "p256 sign", "p256 sign+verify", "ed25519 sign", "ed25519 sign+verify"}
}

// New makes an operation by name. secp256k1 sign+verify is the core's own signing call, which verifies before it returns.
func New(name string) (Op, error) {
	digest := sha256.Sum256([]byte("strongroom benchmark"))
	switch name {
	case "secp256k1 sign", "secp256k1 sign+verify":
		b, err := curve.New()
		if err != nil {
			return nil, err
		}
		sk := make([]byte, curve.ScalarSize)
		rand.Read(sk)
		sk[0] &= 0x7f
		pub, err := b.PublicKey(sk)
		if err != nil {
			return nil, err
		}
		var aux [32]byte
		if name == "secp256k1 sign" {
			return func() error { return b.BenchmarkSignOnlyUnsafe(sk, digest, aux) }, nil
		}
		return func() error { _, _, err := b.SignECDSA(sk, pub, digest, aux); return err }, nil
	case "p256 sign", "p256 sign+verify":
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		verify := name == "p256 sign+verify"
		return func() error {
			sig, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
			if err == nil && verify && !ecdsa.VerifyASN1(&key.PublicKey, digest[:], sig) {
				err = errVerify
			}
			return err
		}, nil
	case "ed25519 sign", "ed25519 sign+verify":
		pub, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		verify := name == "ed25519 sign+verify"
		return func() error {
			sig := ed25519.Sign(key, digest[:])
			if verify && !ed25519.Verify(pub, digest[:], sig) {
				return errVerify
			}
			return nil
		}, nil
	default:
		return nil, fmt.Errorf("operation %q is not known", name)
	}
}
