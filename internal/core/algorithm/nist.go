// SPDX-License-Identifier: Apache-2.0

package algorithm

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	described "strongroom/internal/pure/algorithm"
)

// curveOf gives the NIST curve of a kind of keys, and the bytes of its scalars; nil for other kinds.
func curveOf(k Kind) (elliptic.Curve, int) {
	switch k {
	case described.KindP256:
		return elliptic.P256(), 32
	case described.KindP384:
		return elliptic.P384(), 48
	case described.KindP521:
		return elliptic.P521(), 66
	}
	return nil, 0
}

func nist(k Kind) Keys {
	_, size := curveOf(k)
	public := func(sk []byte) ([]byte, error) {
		key, err := nistKey(k, sk)
		if err != nil {
			return nil, err
		}
		defer forgetScalar(key)
		return key.PublicKey.Bytes()
	}
	draw := scalar(public)
	if k == described.KindP521 { // 521 bits in 66 bytes: without this, one draw in 128 would do
		draw = scalar(func(b []byte) ([]byte, error) {
			b[0] &= 1
			return public(b)
		})
	}
	return Keys{Size: size, Generate: draw, Public: public}
}

// nistKey makes crypto/ecdsa's form of a key. The caller forgets it.
func nistKey(k Kind, sk []byte) (*ecdsa.PrivateKey, error) {
	c, _ := curveOf(k)
	key, err := ecdsa.ParseRawPrivateKey(c, sk)
	if err != nil {
		return nil, ErrSecret // the library's error says no more
	}
	return key, nil
}

// forgetScalar clears what of a key can be reached.
func forgetScalar(key *ecdsa.PrivateKey) {
	clear(key.D.Bits()) //nolint:staticcheck // nothing is encoded or computed with it: no other way reaches this copy
}

// hashOf gives the hash whose digests have n bytes: its name enters the nonce of a repeatable signature.
func hashOf(n int) (crypto.Hash, bool) {
	switch n {
	case 32:
		return crypto.SHA256, true
	case 48:
		return crypto.SHA384, true
	case 64:
		return crypto.SHA512, true
	}
	return 0, false
}

// ecdsaSign signs a digest. With aux the nonce is that of RFC 6979, without its additional data, which crypto/ecdsa doesn't take: the same
// digest always gives the same signature. Without aux crypto/ecdsa hedges: the nonce comes from randomness, key and digest.
func ecdsaSign(kind Kind, sk, _, digest []byte, aux *[32]byte) ([]byte, error) {
	hash, ok := hashOf(len(digest))
	if !ok {
		return nil, fmt.Errorf("%w: a digest of %d bytes, not 32, 48 or 64", ErrInput, len(digest))
	}
	key, err := nistKey(kind, sk)
	if err != nil {
		return nil, err
	}
	defer forgetScalar(key)
	var der []byte
	if aux != nil {
		der, err = key.Sign(nil, digest, hash)
	} else {
		der, err = ecdsa.SignASN1(rand.Reader, key, digest)
	}
	if err != nil {
		return nil, err
	}
	return fromDER(kind, der)
}

// fromDER turns SEQUENCE { INTEGER r, INTEGER s } into r || s.
func fromDER(kind Kind, der []byte) ([]byte, error) {
	_, size := curveOf(kind)
	var r, s []byte
	var body cryptobyte.String
	in := cryptobyte.String(der)
	if !in.ReadASN1(&body, asn1.SEQUENCE) || !body.ReadASN1Integer(&r) || !body.ReadASN1Integer(&s) || len(r) > size || len(s) > size {
		return nil, ErrFault
	}
	out := make([]byte, 2*size)
	copy(out[size-len(r):], r)
	copy(out[2*size-len(s):], s)
	return out, nil
}

func ecdsaVerify(kind Kind, pub, digest, sig []byte) bool {
	c, size := curveOf(kind)
	if _, ok := hashOf(len(digest)); !ok || len(sig) != 2*size {
		return false
	}
	key, err := ecdsa.ParseUncompressedPublicKey(c, pub)
	if err != nil {
		return false
	}
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1BigInt(new(big.Int).SetBytes(sig[:size]))
		b.AddASN1BigInt(new(big.Int).SetBytes(sig[size:]))
	})
	der, err := b.Bytes()
	return err == nil && ecdsa.VerifyASN1(key, digest, der)
}

// ecdhP256 makes the x-coordinate of the shared point. crypto/ecdh refuses points that are not on the curve, and infinity.
func ecdhP256(sk, peer, out []byte) error { return agree(ecdh.P256(), sk, peer, out) }

func x25519(sk, peer, out []byte) error { return agree(ecdh.X25519(), sk, peer, out) }

func agree(c ecdh.Curve, sk, peer, out []byte) error {
	key, err := c.NewPrivateKey(sk)
	if err != nil {
		return ErrSecret
	}
	point, err := c.NewPublicKey(peer)
	if err != nil {
		return fmt.Errorf("%w: the peer's public key is not valid", ErrInput)
	}
	shared, err := key.ECDH(point)
	if err != nil {
		return fmt.Errorf("%w: nothing is shared with this public key", ErrInput)
	}
	copy(out, shared)
	clear(shared)
	return nil
}

func x25519Public(sk []byte) ([]byte, error) {
	key, err := ecdh.X25519().NewPrivateKey(sk)
	if err != nil {
		return nil, ErrSecret
	}
	return key.PublicKey().Bytes(), nil
}
