// SPDX-License-Identifier: Apache-2.0

package secp

import (
	"errors"
	"fmt"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
)

// SignatureSize is the size of a signature in bytes: r || s for ECDSA, R.x || s for BIP-340, each 32 bytes big-endian.
const SignatureSize = 64

// Reasons why 64 bytes are not an acceptable ECDSA signature, or not one of the key in question.
var (
	ErrSignatureRange = errors.New("signature value is not in 1..n-1")
	ErrHighS          = errors.New("signature has a high s; replace s by n-s and flip the recovery id")
	ErrSignature      = errors.New("signature does not verify under the key")
	ErrRecoveryID     = errors.New("recovery id does not fit the signature")
)

// CheckSignature requires r and s in 1..n-1 ([ErrSignatureRange]) and s at most n/2 ([ErrHighS]; BIP-62 rule 5, EIP-2).
// It says nothing about who signed what.
func CheckSignature(sig [SignatureSize]byte) error {
	_, _, err := splitSignature(sig)
	return err
}

// VerifyECDSA tells whether sig (r || s) is a signature of digest by pub. A high s is not accepted: of the two values
// that satisfy the equation only the low one is a signature here. The digest is the 32-byte hash that was signed.
func VerifyECDSA(pub PublicKey, digest [32]byte, sig [SignatureSize]byte) bool {
	_, err := RecoverID(pub, digest, sig)
	return err == nil
}

// RecoverID verifies sig as [VerifyECDSA] does and returns the recovery id that leads from it back to pub: bit 0 is the
// parity of the nonce point's y, bit 1 says that its x was not below n (SEC 1 section 4.1.6). For Ethereum the id is the
// yParity; ids above 1 have no encoding there. The error is that of [CheckSignature], or [ErrSignature].
func RecoverID(pub PublicKey, digest [32]byte, sig [SignatureSize]byte) (byte, error) {
	r, s, err := splitSignature(sig)
	if err != nil {
		return 0, err
	}
	if pub.IsZero() {
		return 0, ErrSignature
	}
	q := pub.point()
	// SEC 1 section 4.1.4: R = (e/s)·G + (r/s)·Q, and R.x mod n must be r.
	var e, w, u1, u2, x secp256k1.ModNScalar
	e.SetBytes(&digest)
	w.InverseValNonConst(&s)
	u1.Mul2(&e, &w)
	u2.Mul2(&r, &w)
	p := combine(&u1, &u2, &q)
	if isInfinity(&p) {
		return 0, ErrSignature
	}
	p.ToAffine()
	over := x.SetBytes(p.X.Bytes())
	if !x.Equals(&r) {
		return 0, ErrSignature
	}
	id := byte(over) << 1
	if p.Y.IsOdd() {
		id |= 1
	}
	return id, nil
}

// RecoverPublicKey returns the one key under which sig (r || s, low s) is a signature of digest with the given recovery
// id, 0 to 3, as in SEC 1 section 4.1.6. That a key comes out says nothing: compare it with the key that is expected.
// Errors are those of [CheckSignature], [ErrRecoveryID] when no point fits the id, and [ErrKeyInfinity].
func RecoverPublicKey(digest [32]byte, sig [SignatureSize]byte, id byte) (PublicKey, error) {
	r, s, err := splitSignature(sig)
	if err != nil {
		return PublicKey{}, err
	}
	if id > 3 {
		return PublicKey{}, fmt.Errorf("%w: %d is not in 0..3", ErrRecoveryID, id)
	}
	var x secp256k1.FieldVal
	rb := r.Bytes()
	x.SetBytes(&rb)
	if id&2 != 0 { // the nonce point's x was r + n, which must still be below the field prime
		if x.IsGtOrEqPrimeMinusOrder() {
			return PublicKey{}, fmt.Errorf("%w: r is too large for id %d", ErrRecoveryID, id)
		}
		x.Add(orderAsFieldValue()).Normalize()
	}
	nonce, err := decompress(*x.Bytes(), id&1 == 1)
	if err != nil {
		return PublicKey{}, fmt.Errorf("%w: no point has the x of r", ErrRecoveryID)
	}
	p := nonce.point()
	// Q = (-e/r)·G + (s/r)·R.
	var e, w, u1, u2 secp256k1.ModNScalar
	e.SetBytes(&digest)
	w.InverseValNonConst(&r)
	u1.Mul2(&e, &w).Negate()
	u2.Mul2(&s, &w)
	q := combine(&u1, &u2, &p)
	return fromPoint(&q)
}

// splitSignature reads r || s and applies the rules of [CheckSignature].
func splitSignature(sig [SignatureSize]byte) (r, s secp256k1.ModNScalar, err error) {
	rb, sb := [32]byte(sig[:32]), [32]byte(sig[32:])
	if r.SetBytes(&rb) != 0 || r.IsZero() {
		return r, s, fmt.Errorf("%w: r", ErrSignatureRange)
	}
	if s.SetBytes(&sb) != 0 || s.IsZero() {
		return r, s, fmt.Errorf("%w: s", ErrSignatureRange)
	}
	if s.IsOverHalfOrder() {
		return r, s, ErrHighS
	}
	return r, s, nil
}

// combine returns u1·G + u2·p; p must be affine.
func combine(u1, u2 *secp256k1.ModNScalar, p *secp256k1.JacobianPoint) secp256k1.JacobianPoint {
	var a, b, sum secp256k1.JacobianPoint
	secp256k1.ScalarBaseMultNonConst(u1, &a)
	secp256k1.ScalarMultNonConst(u2, p, &b)
	secp256k1.AddNonConst(&a, &b, &sum)
	return sum
}

// orderAsFieldValue returns n, which is below the field prime. n = (n-1) + 1, and n-1 is -1 as a scalar.
func orderAsFieldValue() *secp256k1.FieldVal {
	var minusOne secp256k1.ModNScalar
	minusOne.SetInt(1).Negate()
	b := minusOne.Bytes()
	var n secp256k1.FieldVal
	n.SetBytes(&b)
	return n.AddInt(1).Normalize()
}
