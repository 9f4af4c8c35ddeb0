// SPDX-License-Identifier: Apache-2.0

package agree

import (
	"context"
	"crypto/ecdh"
	"errors"

	circl "github.com/cloudflare/circl/dh/x448"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/secret"
)

var (
	// errPeer says that a public key has another length or is of low order.
	errPeer = errors.New("agree: public key is not valid")
	// errScalar says that a secret has another length.
	errScalar = errors.New("agree: secret is no key of the curve")
)

// ladder is a curve of RFC 7748.
type ladder interface {
	party
	public(sk, out []byte) error
}

// montgomery makes and checks keys of a curve of RFC 7748: any bytes of the right size are a scalar.
type montgomery struct {
	ladder
	size int
	bits uint64
}

// Generate makes a pair.
func (g montgomery) Generate(ctx context.Context, t family.Tools, _ ep11.Mechanism, params []byte, _, _ ep11.Template) (family.Key, error) {
	key := family.Key{Type: ep11.CKK_EC, Params: params}
	var err error
	if key.Secret, err = secret.New(t.Arena, g.size, func(b []byte) error { return t.Random.Fill(ctx, b) }); err != nil {
		return family.Key{}, err
	}
	if key.Public, err = g.Public(key); err != nil {
		key.Secret.Wipe()
		return family.Key{}, err
	}
	return key, nil
}

// Public gives u.
func (g montgomery) Public(k family.Key) (pub []byte, err error) {
	if k.Secret.Len() != g.size {
		return nil, ep11.Fail(ep11.CKR_KEY_SIZE_RANGE, "a key of this curve has %d bytes", g.size)
	}
	pub = make([]byte, g.size)
	err = k.Secret.Use(func(sk []byte) (err error) {
		secret.Do(func() { err = g.public(sk, pub) })
		return err
	})
	return pub, err
}

// Check refuses public keys of another size and of low order, with which nothing secret can be shared.
func (g montgomery) Check(k family.Key) error {
	probe, out := make([]byte, g.size), make([]byte, g.size)
	probe[0] = 8
	if g.Agree(probe, k.Public, out) != nil {
		return ep11.Fail(ep11.CKR_PUBLIC_KEY_INVALID, "not a usable public key of this curve")
	}
	return nil
}

// Bits is the size of the field.
func (g montgomery) Bits(family.Key) uint64 { return g.bits }

// x25519 is the curve of crypto/ecdh.
type x25519 struct{}

func (x25519) public(sk, out []byte) error {
	key, err := ecdh.X25519().NewPrivateKey(sk)
	if err != nil {
		return errScalar
	}
	copy(out, key.PublicKey().Bytes())
	return nil
}

// Agree multiplies, and refuses what comes to 0 (RFC 7748 section 6.1).
func (x25519) Agree(sk, peer, out []byte) (err error) {
	secret.Do(func() {
		key, keyErr := ecdh.X25519().NewPrivateKey(sk)
		point, pointErr := ecdh.X25519().NewPublicKey(peer)
		switch {
		case keyErr != nil || len(out) != 32:
			err = errScalar
			return
		case pointErr != nil:
			err = errPeer
			return
		}
		shared, sharedErr := key.ECDH(point)
		if sharedErr != nil {
			err = errPeer
			return
		}
		copy(out, shared)
		clear(shared)
	})
	return err
}

// x448 is the curve of circl.
type x448 struct{}

func (x448) public(sk, out []byte) error {
	if len(sk) != circl.Size || len(out) != circl.Size {
		return errScalar
	}
	var k, pub circl.Key
	copy(k[:], sk)
	defer clear(k[:])
	circl.KeyGen(&pub, &k)
	copy(out, pub[:])
	return nil
}

// Agree multiplies, and refuses points of low order (RFC 7748 section 6.2).
func (x448) Agree(sk, peer, out []byte) (err error) {
	if len(sk) != circl.Size || len(out) != circl.Size {
		return errScalar
	}
	if len(peer) != circl.Size {
		return errPeer
	}
	secret.Do(func() {
		var k, point, shared circl.Key
		copy(k[:], sk)
		copy(point[:], peer)
		defer func() { clear(k[:]); clear(shared[:]) }()
		if !circl.Shared(&shared, &k, &point) {
			err = errPeer
			return
		}
		copy(out, shared[:])
	})
	return err
}
