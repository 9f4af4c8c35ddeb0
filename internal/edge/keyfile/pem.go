// SPDX-License-Identifier: Apache-2.0

package keyfile

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
	"strongroom/internal/secret"
)

// FromPEM makes a key of one that other programs use too: a private key in PKCS #8, PEM, of Ed25519 or P-256, unencrypted. It clears b. The parsed key is on the
// heap until the collector takes it; the process is short-lived.
func FromPEM(arena *secret.Arena, person custody.PersonID, b []byte) (*Key, error) {
	defer clear(b)
	if err := person.Check(); err != nil {
		return nil, err
	}
	block, rest := pem.Decode(b)
	if block == nil || block.Type != "PRIVATE KEY" || len(rest) > 0 {
		return nil, errors.New("not one private key in PEM, PKCS #8; 'openssl pkcs8 -topk8 -nocrypt' makes it")
	}
	defer clear(block.Bytes)
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("private key in PEM: %w", err)
	}
	var raw []byte
	alg := request.Ed25519
	switch k := parsed.(type) {
	case ed25519.PrivateKey:
		raw = append([]byte(nil), k.Seed()...)
		clear(k)
	case *ecdsa.PrivateKey:
		alg = request.P256
		if k.Curve != elliptic.P256() {
			return nil, errors.New("the private key in PEM is of another curve than P-256")
		}
		if raw, err = k.Bytes(); err != nil {
			return nil, fmt.Errorf("private key in PEM: %w", err)
		}
	default:
		return nil, errors.New("the private key in PEM is neither of Ed25519 nor of P-256")
	}
	pub, err := publicOf(alg, raw)
	if err != nil {
		clear(raw)
		return nil, err
	}
	private, err := secret.Take(arena, raw)
	if err != nil {
		return nil, err
	}
	return &Key{public: Public{Person: person, Alg: alg, Pub: pub}, private: private}, nil
}
