// SPDX-License-Identifier: Apache-2.0

package elliptic

import (
	"crypto/ecdsa"
	"crypto/rand"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/core/internal/curve"
)

// forget clears the scalar that can be reached.
func forget(key *ecdsa.PrivateKey) {
	clear(key.D.Bits()) //nolint:staticcheck // nothing is encoded or computed with it: no other way reaches this copy
}

// sign makes a hedged signature: the nonce comes from randomness, key and digest. The public key is the one in the blob: to compute it again
// costs as much as to sign, and a wrong one shows when the signature is verified.
func (c nistCurve) sign(sk, public, data []byte) ([]byte, bool, error) {
	half, err := ecdsa.ParseUncompressedPublicKey(c.curve, public)
	if err != nil {
		return nil, false, family.ErrFault
	}
	key := &ecdsa.PrivateKey{PublicKey: *half, D: new(big.Int).SetBytes(sk)}
	defer forget(key)
	der, err := ecdsa.SignASN1(rand.Reader, key, data)
	if err != nil {
		return nil, false, family.ErrFault
	}
	var r, s []byte
	var body cryptobyte.String
	in := cryptobyte.String(der)
	if !in.ReadASN1(&body, asn1.SEQUENCE) || !body.ReadASN1Integer(&r) || !body.ReadASN1Integer(&s) || len(r) > c.bytes || len(s) > c.bytes {
		return nil, false, family.ErrFault
	}
	out := make([]byte, 2*c.bytes)
	copy(out[c.bytes-len(r):], r)
	copy(out[2*c.bytes-len(s):], s)
	return out, false, nil
}

// verify refuses r and s that are zero or not below the order, as crypto/ecdsa does.
func (c nistCurve) verify(public, data, sig []byte) bool {
	key, err := ecdsa.ParseUncompressedPublicKey(c.curve, public)
	if err != nil || len(sig) != 2*c.bytes {
		return false
	}
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1BigInt(new(big.Int).SetBytes(sig[:c.bytes]))
		b.AddASN1BigInt(new(big.Int).SetBytes(sig[c.bytes:]))
	})
	der, err := b.Bytes()
	return err == nil && ecdsa.VerifyASN1(key, data, der)
}

// digest32 is what ECDSA over a curve of 256 bits makes of data: the leftmost 256 bits, or the number that shorter data is.
func digest32(data []byte) (out [32]byte) {
	data = data[:min(len(data), len(out))]
	copy(out[len(out)-len(data):], data)
	return out
}

// compress gives the SEC 1 compressed form of an uncompressed point.
func compress(public []byte) (out [curve.PublicKeySize]byte) {
	if len(public) != 65 {
		return out
	}
	out[0] = 2 + public[64]&1
	copy(out[1:], public[1:33])
	return out
}

// order is the order of secp256k1, big-endian.
const order = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xba\xae\xdc\xe6\xaf\x48\xa0\x3b\xbf\xd2\x5e\x8c\xd0\x36\x41\x41"

// lowS gives a signature with the smaller of s and order - s. Signatures are public. It is not ok for an s that is not below the order.
func lowS(sig [curve.SignatureSize]byte) ([curve.SignatureSize]byte, bool) {
	n, s := new(big.Int).SetBytes([]byte(order)), new(big.Int).SetBytes(sig[32:])
	if s.Cmp(n) >= 0 {
		return sig, false
	}
	if other := new(big.Int).Sub(n, s); other.Cmp(s) < 0 {
		other.FillBytes(sig[32:])
	}
	return sig, true
}
