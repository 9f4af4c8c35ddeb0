// SPDX-License-Identifier: Apache-2.0

// Package curve does all secret work on the curve secp256k1: public keys, ECDSA with RFC 6979 nonces, BIP-340 signatures, the BIP-341 key
// tweak, the scalar addition of BIP-32, and for applications the agreement of SEC 1 and the arithmetic of other Schnorr signatures, in constant time, by libsecp256k1 through cgo. docs/adr/0001-constant-time-secp256k1.md says why.
//
// Secret scalars are 32-byte big-endian slices of a secret.Arena, read and written in place: nothing secret is copied to the Go heap or
// stack, and what the C side puts on its own stack is erased before it returns. No signature leaves unverified (R-HSM-9): each is checked
// against the public key that the caller expects, so that a fault in the machine is an error and not a leak of the key.
//
// It refuses scalars outside [1, n-1], public keys that are no points or not those of the scalar, and signatures with a high s.
// Signing is deterministic in its arguments. The caller draws aux: fresh randomness, or a value derived from the permit entry where the same
// bytes must be signed again; all zero is allowed and keeps the nonce safe, but loses the hedge against faults.
package curve

/*
#cgo pkg-config: libsecp256k1
#cgo CFLAGS: -O2 -Wall
#include "backend.h"

// These take pointers only for the time of the call and never call Go, so arguments may stay on the goroutine's stack.
#cgo noescape sr_new
#cgo nocallback sr_new
#cgo noescape sr_public_key
#cgo nocallback sr_public_key
#cgo noescape sr_ecdsa_sign
#cgo nocallback sr_ecdsa_sign
#cgo noescape sr_ecdsa_check
#cgo nocallback sr_ecdsa_check
#cgo noescape sr_bip340_sign
#cgo nocallback sr_bip340_sign
#cgo noescape sr_bip340_check
#cgo nocallback sr_bip340_check
#cgo noescape sr_taproot_output
#cgo nocallback sr_taproot_output
#cgo noescape sr_tweak_add
#cgo nocallback sr_tweak_add
#cgo noescape sr_agree
#cgo nocallback sr_agree
#cgo noescape sr_mul_add
#cgo nocallback sr_mul_add
#cgo noescape sr_convert
#cgo nocallback sr_convert
#cgo noescape sr_combine
#cgo nocallback sr_combine
*/
import "C"

import (
	"crypto/rand"
	"errors"
	"fmt"
	"unsafe"
)

// Sizes in bytes.
const (
	ScalarSize       = 32 // a secret scalar, big-endian
	PublicKeySize    = 33 // SEC 1 compressed
	XOnlySize        = 32 // BIP-340
	UncompressedSize = 65 // SEC 1 uncompressed
	SignatureSize    = 64 // r || s, or R.x || s
)

var (
	// ErrScalar says that a secret scalar or tweak is not 32 bytes in [1, n-1] (a tweak: [0, n-1]), or that their sum is 0.
	ErrScalar = errors.New("curve: scalar is out of range")
	// ErrPublicKey says that a public key is no point of the curve, or is not the one of the secret scalar.
	ErrPublicKey = errors.New("curve: public key is not valid or does not belong to the key")
	// ErrFault says that a signature just made did not verify and was withheld: hardware or memory is failing, or the public key given is
	// another key's. Stop using the key in this process.
	ErrFault = errors.New("curve: a signature did not verify and was withheld; check the key and the machine")
)

// Backend is one context of the library, its blinding randomised at start. Only creation changes it, so its methods need no lock and are safe
// for concurrent use. It lives as long as the process; there is nothing to close.
type Backend struct {
	ctx   *C.secp256k1_context
	fault byte // flipped into each signature before it is checked; 0 but in tests
}

// New makes a backend, blinded with 32 bytes from crypto/rand.
func New() (*Backend, error) {
	var seed [32]byte
	rand.Read(seed[:]) // never fails: crypto/rand ends the process when the system has no randomness
	ctx := C.sr_new(ptr(&seed[0]))
	clear(seed[:])
	if ctx == nil {
		return nil, errors.New("curve: create the library's context: no memory, or randomising it failed")
	}
	return &Backend{ctx: ctx}, nil
}

// PublicKey returns the SEC 1 compressed public key of a secret scalar.
func (b *Backend) PublicKey(sk []byte) (pub [PublicKeySize]byte, err error) {
	if len(sk) != ScalarSize {
		return pub, ErrScalar
	}
	return pub, refusal(C.sr_public_key(b.ctx, ptr(&sk[0]), ptr(&pub[0])))
}

// PublicKeyUncompressed returns the SEC 1 uncompressed public key of a secret scalar.
func (b *Backend) PublicKeyUncompressed(sk []byte) (pub [UncompressedSize]byte, err error) {
	short, err := b.PublicKey(sk)
	if err != nil {
		return pub, err
	}
	return pub, refusal(C.sr_convert(b.ctx, ptr(&short[0]), C.size_t(len(short)), ptr(&pub[0])))
}

// CheckPoint refuses bytes that are no SEC 1 uncompressed point of the curve with [ErrPublicKey].
func (b *Backend) CheckPoint(point []byte) error {
	if len(point) != UncompressedSize || point[0] != 4 {
		return ErrPublicKey
	}
	var out [UncompressedSize]byte
	return refusal(C.sr_convert(b.ctx, ptr(&point[0]), C.size_t(len(point)), ptr(&out[0])))
}

// SignECDSA signs a digest: sig is r || s with the low s (BIP-62 rule 5, EIP-2), recid the recovery id 0 to 3 of SEC 1 section 4.1.6. The
// nonce is that of RFC 6979 with aux as additional data (section 3.6). pub must be the public key of sk; the signature and its recid
// are checked against it before they are returned.
func (b *Backend) SignECDSA(sk []byte, pub [PublicKeySize]byte, digest, aux [32]byte) (sig [SignatureSize]byte, recid byte, err error) {
	return b.signECDSA(sk, &pub, &digest, &aux)
}

// signECDSA signs without additional data when aux is nil, as the published vectors of RFC 6979 do.
func (b *Backend) signECDSA(sk []byte, pub *[PublicKeySize]byte, digest, aux *[32]byte) (sig [SignatureSize]byte, recid byte, err error) {
	made, id, err := b.makeECDSA(sk, digest, aux)
	if err != nil {
		return sig, 0, err
	}
	made[SignatureSize-1] ^= b.fault
	if err := b.checkECDSA(pub, digest, &made, id); err != nil {
		return sig, 0, err
	}
	return made, byte(id), nil
}

// checkECDSA checks a signature and its recovery id, or the signature alone for id -1.
func (b *Backend) checkECDSA(pub *[PublicKeySize]byte, digest *[32]byte, sig *[SignatureSize]byte, id int) error {
	return refusal(C.sr_ecdsa_check(b.ctx, ptr(&pub[0]), ptr(&digest[0]), ptr(&sig[0]), C.int(id)))
}

// makeECDSA is the first half of signECDSA: what it returns is not verified and must not leave the package.
func (b *Backend) makeECDSA(sk []byte, digest, aux *[32]byte) (sig [SignatureSize]byte, recid int, err error) {
	if len(sk) != ScalarSize {
		return sig, 0, ErrScalar
	}
	var (
		extra *C.sr_byte
		id    C.int
	)
	if aux != nil {
		extra = ptr(&aux[0])
	}
	err = refusal(C.sr_ecdsa_sign(b.ctx, ptr(&sk[0]), ptr(&digest[0]), extra, ptr(&sig[0]), &id))
	return sig, int(id), err
}

// BenchmarkSignOnlyUnsafe makes an ECDSA signature, does not verify it, and throws it away: half of what [Backend.SignECDSA] costs, for
// the benchmark's comparison. It gives out nothing.
func (b *Backend) BenchmarkSignOnlyUnsafe(sk []byte, digest, aux [32]byte) error {
	_, _, err := b.makeECDSA(sk, &digest, &aux)
	return err
}

// SignBIP340 signs 32 bytes as BIP-340 says, with aux as its auxiliary randomness. pub must be the public key of sk, of either parity.
func (b *Backend) SignBIP340(sk []byte, pub [PublicKeySize]byte, msg, aux [32]byte) ([SignatureSize]byte, error) {
	return b.signBIP340(sk, &pub, false, nil, msg[:], &aux)
}

// SignTaproot signs for the key path of a BIP-341 output: the key is tweaked by TapTweak of its x-only public key and merkleRoot, which
// is nil for an output without scripts (BIP-86) or 32 bytes, and the tweaked key signs. pub is the public key of sk, before the tweak.
func (b *Backend) SignTaproot(sk []byte, pub [PublicKeySize]byte, merkleRoot []byte, msg, aux [32]byte) ([SignatureSize]byte, error) {
	return b.signBIP340(sk, &pub, true, merkleRoot, msg[:], &aux)
}

func (b *Backend) signBIP340(sk []byte, pub *[PublicKeySize]byte, tweak bool, root, msg []byte, aux *[32]byte) (sig [SignatureSize]byte, err error) {
	made, key, err := b.makeBIP340(sk, pub, tweak, root, msg, aux)
	if err != nil {
		return sig, err
	}
	made[SignatureSize-1] ^= b.fault
	if err := refusal(C.sr_bip340_check(b.ctx, ptr(&key[0]), ptr(unsafe.SliceData(msg)), C.size_t(len(msg)), ptr(&made[0]))); err != nil {
		return sig, err
	}
	return made, nil
}

// makeBIP340 is the first half of signBIP340: what it returns is not verified and must not leave the package. key is the one it is by.
func (b *Backend) makeBIP340(sk []byte, pub *[PublicKeySize]byte, tweak bool, root, msg []byte, aux *[32]byte) (sig [SignatureSize]byte, key [XOnlySize]byte, err error) {
	if len(sk) != ScalarSize {
		return sig, key, ErrScalar
	}
	if err := checkRoot(root); err != nil {
		return sig, key, err
	}
	var flag C.int
	if tweak {
		flag = 1
	}
	err = refusal(C.sr_bip340_sign(b.ctx, ptr(&sk[0]), ptr(&pub[1]), flag, ptr(unsafe.SliceData(root)), C.size_t(len(root)),
		ptr(unsafe.SliceData(msg)), C.size_t(len(msg)), ptr(&aux[0]), ptr(&sig[0]), ptr(&key[0])))
	return sig, key, err
}

// TaprootOutput returns the x-only output key of an x-only internal key, and the parity of its y coordinate (BIP-341, "Script
// validation rules"). merkleRoot is nil or 32 bytes.
func (b *Backend) TaprootOutput(internal [XOnlySize]byte, merkleRoot []byte) (output [XOnlySize]byte, parity byte, err error) {
	if err := checkRoot(merkleRoot); err != nil {
		return output, 0, err
	}
	var odd C.int
	err = refusal(C.sr_taproot_output(b.ctx, ptr(&internal[0]), ptr(unsafe.SliceData(merkleRoot)), C.size_t(len(merkleRoot)), ptr(&output[0]), &odd))
	return output, byte(odd), err
}

// TweakAdd writes sk + tweak mod n to out, which may be sk itself. It refuses a tweak not below n and a sum of 0 with [ErrScalar]; out is then
// zero.
func (b *Backend) TweakAdd(sk, tweak, out []byte) error {
	if len(sk) != ScalarSize || len(tweak) != ScalarSize || len(out) != ScalarSize {
		return ErrScalar
	}
	return refusal(C.sr_tweak_add(b.ctx, ptr(&sk[0]), ptr(&tweak[0]), ptr(&out[0])))
}

// Agree writes the x coordinate of sk times the peer's point to out, of 32 bytes (SEC 1 section 3.3.1; the cofactor is 1). peer is SEC 1 uncompressed.
func (b *Backend) Agree(sk, peer, out []byte) error {
	switch {
	case len(sk) != ScalarSize || len(out) != ScalarSize:
		return ErrScalar
	case len(peer) != UncompressedSize || peer[0] != 4:
		return ErrPublicKey
	}
	return refusal(C.sr_agree(b.ctx, ptr(&sk[0]), ptr(&peer[0]), ptr(&out[0])))
}

// MulAdd writes addend + factor*sk mod n to out, or addend - factor*sk: the last step of a Schnorr signature, whose addend is the secret nonce
// and whose factor is public. out must be none of the others. A scalar of 0 and a result of 0 are refused with [ErrScalar], and out is then zero.
func (b *Backend) MulAdd(sk, factor, addend []byte, subtract bool, out []byte) error {
	if len(sk) != ScalarSize || len(factor) != ScalarSize || len(addend) != ScalarSize || len(out) != ScalarSize {
		return ErrScalar
	}
	var flag C.int
	if subtract {
		flag = 1
	}
	return refusal(C.sr_mul_add(b.ctx, ptr(&sk[0]), ptr(&factor[0]), ptr(&addend[0]), flag, ptr(&out[0])))
}

// Combine gives the SEC 1 uncompressed point s*G + r*P, or s*G + P when r is nil, for public values alone: it takes variable time. pub is P,
// uncompressed. Infinity, and scalars not below n or (r) 0, are refused with [ErrScalar].
func (b *Backend) Combine(s, r, pub []byte) ([]byte, error) {
	switch {
	case len(s) != ScalarSize || r != nil && len(r) != ScalarSize:
		return nil, ErrScalar
	case len(pub) != UncompressedSize || pub[0] != 4:
		return nil, ErrPublicKey
	}
	out := make([]byte, UncompressedSize)
	return out, refusal(C.sr_combine(b.ctx, ptr(&pub[0]), ptr(&s[0]), ptr(unsafe.SliceData(r)), ptr(&out[0])))
}

// VerifyECDSA reports whether sig (r || s, low s) is by pub over digest.
func (b *Backend) VerifyECDSA(pub [PublicKeySize]byte, digest [32]byte, sig [SignatureSize]byte) bool {
	return b.checkECDSA(&pub, &digest, &sig, -1) == nil
}

// VerifyBIP340 reports whether sig is by the x-only key over msg, which BIP-340 allows to have any length.
func (b *Backend) VerifyBIP340(key [XOnlySize]byte, msg []byte, sig [SignatureSize]byte) bool {
	return C.sr_bip340_check(b.ctx, ptr(&key[0]), ptr(unsafe.SliceData(msg)), C.size_t(len(msg)), ptr(&sig[0])) == C.SR_OK
}

// CheckPair is the pair-wise consistency test of a new key: sk must make signatures of both schemes that verify under pub.
func (b *Backend) CheckPair(sk []byte, pub [PublicKeySize]byte) error {
	var msg, aux [32]byte
	rand.Read(msg[:])
	rand.Read(aux[:])
	if _, _, err := b.SignECDSA(sk, pub, msg, aux); err != nil {
		return fmt.Errorf("curve: pair-wise consistency, ecdsa: %w", err)
	}
	if _, err := b.SignBIP340(sk, pub, msg, aux); err != nil {
		return fmt.Errorf("curve: pair-wise consistency, bip-340: %w", err)
	}
	return nil
}

func checkRoot(root []byte) error {
	if len(root) != 0 && len(root) != 32 {
		return fmt.Errorf("curve: merkle root has %d bytes; give none or 32", len(root))
	}
	return nil
}

func refusal(rc C.int) error {
	switch rc {
	case C.SR_OK:
		return nil
	case C.SR_SCALAR:
		return ErrScalar
	case C.SR_PUBLIC:
		return ErrPublicKey
	default:
		return ErrFault
	}
}

// ptr makes a pointer for C. It may point into an arena, a Go array on the stack or nothing: C reads or writes it during the call only, and
// no such memory holds pointers, so the rules of cgo are kept.
func ptr(p *byte) *C.sr_byte { return (*C.sr_byte)(unsafe.Pointer(p)) }
