// SPDX-License-Identifier: Apache-2.0

package client

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"strongroom/internal/pure/request"
)

// Signer holds a key of a person or service. Sign gives 64 bytes: RFC 8032 for Ed25519, r and s of 32 bytes each over SHA-256
// for P-256. Implementations must be safe for concurrent use.
type Signer interface {
	Person() PersonID
	Public() PublicKey
	Sign(message []byte) ([]byte, error)
}

// NewSigner makes a signer of a private key: Ed25519 or ECDSA on P-256, in memory or in a device.
func NewSigner(person PersonID, key crypto.Signer) (Signer, error) {
	if err := person.Check(); err != nil {
		return nil, fmt.Errorf("signer: %w", err)
	}
	switch pub := key.Public().(type) {
	case ed25519.PublicKey:
		return &signer{person, PublicKey{Alg: request.Ed25519, Pub: pub}, key}, nil
	case *ecdsa.PublicKey:
		if pub.Curve != elliptic.P256() {
			return nil, errors.New("signer: the ECDSA key is not on P-256")
		}
		raw, err := pub.Bytes()
		if err != nil {
			return nil, fmt.Errorf("signer: %w", err)
		}
		return &signer{person, PublicKey{Alg: request.P256, Pub: append([]byte{2 + raw[64]&1}, raw[1:33]...)}, key}, nil
	default:
		return nil, fmt.Errorf("signer: a key of type %T is neither Ed25519 nor P-256", pub)
	}
}

type signer struct {
	person PersonID
	public PublicKey
	key    crypto.Signer
}

// Person gives who signs.
func (s *signer) Person() PersonID { return s.person }

// Public gives the public key.
func (s *signer) Public() PublicKey { return s.public }

// Sign signs a message.
func (s *signer) Sign(message []byte) ([]byte, error) {
	if s.public.Alg == request.Ed25519 {
		return s.key.Sign(rand.Reader, message, crypto.Hash(0))
	}
	h := sha256.Sum256(message)
	der, err := s.key.Sign(rand.Reader, h[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	var r, t big.Int
	var inner cryptobyte.String
	in := cryptobyte.String(der)
	if !in.ReadASN1(&inner, asn1.SEQUENCE) || !in.Empty() || !inner.ReadASN1Integer(&r) || !inner.ReadASN1Integer(&t) || !inner.Empty() ||
		r.Sign() < 0 || t.Sign() < 0 || r.BitLen() > 256 || t.BitLen() > 256 {
		return nil, errors.New("sign: the device gave no ECDSA signature")
	}
	out := make([]byte, 64)
	r.FillBytes(out[:32])
	t.FillBytes(out[32:])
	return out, nil
}
