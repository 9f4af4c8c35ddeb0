// SPDX-License-Identifier: Apache-2.0

package domaintest

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"sync"

	"strongroom/internal/core/hsm"
	"strongroom/internal/core/internal/curve"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/request"
)

// Token is a token in memory that has keys of its own, and outlives the processes that use it. Its nonces are random, as a real one's are. It is safe for
// concurrent use.
type Token struct {
	mu   sync.Mutex // guards keys
	keys map[custody.KeyID][32]byte

	Lie func(sig []byte) []byte // what it gives in place of a signature; nil: the signature
}

// NewToken makes an empty token.
func NewToken() *Token { return &Token{keys: map[custody.KeyID][32]byte{}} }

// Clone copies it, as no real one can be.
func (t *Token) Clone() *Token {
	t.mu.Lock()
	defer t.mu.Unlock()
	return &Token{keys: maps.Clone(t.keys)}
}

// IDs lists its keys.
func (t *Token) IDs() []custody.KeyID {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Sorted(maps.Keys(t.keys))
}

// Put puts a key in behind the domain's back.
func (t *Token) Put(id custody.KeyID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.keys[id] = scalar()
}

// scalar draws a secret key: greater than any is 2^-128 likely.
func scalar() (sk [32]byte) {
	rand.Read(sk[:])
	sk[0] &= 0x7f
	return sk
}

// GenerateTokenKey implements [hsm.TokenKeys].
func (t *Token) GenerateTokenKey(_ context.Context, id custody.KeyID, a hsm.Algorithm) ([]byte, error) {
	if a != hsm.ECDSASecp256k1 {
		return nil, hsm.ErrUnsupported
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.keys[id]; ok {
		return nil, hsm.ErrExists
	}
	sk := scalar()
	t.keys[id] = sk
	return public(sk)
}

func public(sk [32]byte) ([]byte, error) {
	b, err := curve.New()
	if err != nil {
		return nil, err
	}
	p, err := b.PublicKey(sk[:])
	return p[:], err
}

// TokenKey implements [hsm.TokenKeys].
func (t *Token) TokenKey(_ context.Context, id custody.KeyID) (hsm.Algorithm, []byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	sk, ok := t.keys[id]
	if !ok {
		return "", nil, hsm.ErrNotFound
	}
	p, err := public(sk)
	return hsm.ECDSASecp256k1, p, err
}

// SignWithTokenKey implements [hsm.TokenKeys].
func (t *Token) SignWithTokenKey(_ context.Context, id custody.KeyID, _ hsm.Algorithm, want, input []byte) ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	sk, ok := t.keys[id]
	if !ok {
		return nil, fmt.Errorf("sign: %w", hsm.ErrNotFound)
	}
	b, err := curve.New()
	if err != nil {
		return nil, err
	}
	p, err := b.PublicKey(sk[:])
	if err != nil || string(p[:]) != string(want) {
		return nil, hsm.ErrAltered
	}
	var nonce [32]byte
	rand.Read(nonce[:])
	sig, _, err := b.SignECDSA(sk[:], p, [32]byte(input), nonce)
	if t.Lie != nil {
		return t.Lie(sig[:]), err
	}
	return sig[:], err
}

// DestroyTokenKey implements [hsm.TokenKeys].
func (t *Token) DestroyTokenKey(_ context.Context, id custody.KeyID) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.keys, id)
	return nil
}

// TokenKeyIDs implements [hsm.TokenKeys].
func (t *Token) TokenKeyIDs(context.Context) ([]custody.KeyID, error) { return t.IDs(), nil }

// rootWithToken is a root that seals as another does, and has the keys of a token.
type rootWithToken struct {
	hsm.Root
	*Token
}

// TokenPoints are the usual control points and the one for keys in the token.
func TokenPoints() *points.Set {
	s := points.Evaluation().With(points.TokenKeys)
	return &s
}

// InToken asks for a wallet whose key is born in the token.
func InToken(id custody.WalletID) request.WalletCreateBody {
	return request.WalletCreateBody{Wallet: id, Chain: Chain, Scheme: request.SchemeEVM, Class: request.ClassToken}
}
