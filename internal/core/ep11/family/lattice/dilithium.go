// SPDX-License-Identifier: Apache-2.0

package lattice

import (
	"bytes"

	"github.com/cloudflare/circl/sign/dilithium/mode2"
	"github.com/cloudflare/circl/sign/dilithium/mode3"
	"github.com/cloudflare/circl/sign/dilithium/mode5"

	"strongroom/internal/pure/ep11"
	"strongroom/internal/secret"
)

// dilithiumSet is a strength of Dilithium, round 3 (version 3.1). Packed forms are those of its specification, section 5.4: rho || t1, and
// rho || key || tr || s1 || s2 || t0.
type dilithiumSet struct {
	oid    string
	t1     int   // bytes of t1
	parts  []int // bytes of rho, key, tr, s1, s2, t0
	sigLen int

	// create makes the packed private key of a seed; publicOf computes the packed public key of one; signOf signs;
	// verifyOf verifies under a packed public key.
	createOf func(seed *[seedSize]byte, packed []byte)
	publicOf func(packed []byte) []byte
	signOf   func(packed, message []byte) []byte
	verifyOf func(public, message, sig []byte) bool
}

// Sizes of the parts that all strengths share.
const (
	seedSize = 32
	rhoSize  = 32
	trSize   = 32
)

func dilithiumSets() []dilithiumSet {
	return []dilithiumSet{
		{
			ep11.OIDDilithiumR344, mode2.PublicKeySize - rhoSize, []int{rhoSize, 32, trSize, 4 * 96, 4 * 96, 4 * 416}, mode2.SignatureSize,
			func(seed *[seedSize]byte, packed []byte) {
				_, k := mode2.NewKeyFromSeed(seed)
				k.Pack((*[mode2.PrivateKeySize]byte)(packed))
				*k = mode2.PrivateKey{}
			},
			func(packed []byte) []byte {
				var k mode2.PrivateKey
				k.Unpack((*[mode2.PrivateKeySize]byte)(packed))
				defer func() { k = mode2.PrivateKey{} }()
				return k.Public().(*mode2.PublicKey).Bytes()
			},
			func(packed, message []byte) []byte {
				var k mode2.PrivateKey
				k.Unpack((*[mode2.PrivateKeySize]byte)(packed))
				defer func() { k = mode2.PrivateKey{} }()
				sig := make([]byte, mode2.SignatureSize)
				mode2.SignTo(&k, message, sig)
				return sig
			},
			func(public, message, sig []byte) bool {
				var k mode2.PublicKey
				k.Unpack((*[mode2.PublicKeySize]byte)(public))
				return mode2.Verify(&k, message, sig)
			},
		},
		{
			ep11.OIDDilithiumR365, mode3.PublicKeySize - rhoSize, []int{rhoSize, 32, trSize, 5 * 128, 6 * 128, 6 * 416}, mode3.SignatureSize,
			func(seed *[seedSize]byte, packed []byte) {
				_, k := mode3.NewKeyFromSeed(seed)
				k.Pack((*[mode3.PrivateKeySize]byte)(packed))
				*k = mode3.PrivateKey{}
			},
			func(packed []byte) []byte {
				var k mode3.PrivateKey
				k.Unpack((*[mode3.PrivateKeySize]byte)(packed))
				defer func() { k = mode3.PrivateKey{} }()
				return k.Public().(*mode3.PublicKey).Bytes()
			},
			func(packed, message []byte) []byte {
				var k mode3.PrivateKey
				k.Unpack((*[mode3.PrivateKeySize]byte)(packed))
				defer func() { k = mode3.PrivateKey{} }()
				sig := make([]byte, mode3.SignatureSize)
				mode3.SignTo(&k, message, sig)
				return sig
			},
			func(public, message, sig []byte) bool {
				var k mode3.PublicKey
				k.Unpack((*[mode3.PublicKeySize]byte)(public))
				return mode3.Verify(&k, message, sig)
			},
		},
		{
			ep11.OIDDilithiumR387, mode5.PublicKeySize - rhoSize, []int{rhoSize, 32, trSize, 7 * 96, 8 * 96, 8 * 416}, mode5.SignatureSize,
			func(seed *[seedSize]byte, packed []byte) {
				_, k := mode5.NewKeyFromSeed(seed)
				k.Pack((*[mode5.PrivateKeySize]byte)(packed))
				*k = mode5.PrivateKey{}
			},
			func(packed []byte) []byte {
				var k mode5.PrivateKey
				k.Unpack((*[mode5.PrivateKeySize]byte)(packed))
				defer func() { k = mode5.PrivateKey{} }()
				return k.Public().(*mode5.PublicKey).Bytes()
			},
			func(packed, message []byte) []byte {
				var k mode5.PrivateKey
				k.Unpack((*[mode5.PrivateKeySize]byte)(packed))
				defer func() { k = mode5.PrivateKey{} }()
				sig := make([]byte, mode5.SignatureSize)
				mode5.SignTo(&k, message, sig)
				return sig
			},
			func(public, message, sig []byte) bool {
				var k mode5.PublicKey
				k.Unpack((*[mode5.PublicKeySize]byte)(public))
				return mode5.Verify(&k, message, sig)
			},
		},
	}
}

func (dilithiumSet) ckk() uint64          { return ep11.CKK_IBM_PQC_DILITHIUM }
func (p dilithiumSet) params() string     { return p.oid }
func (p dilithiumSet) signatureSize() int { return p.sigLen }

// packedSize is the length of the packed private key.
func (p dilithiumSet) packedSize() (n int) {
	for _, part := range p.parts {
		n += part
	}
	return n
}

// secretSizes are those without and with t1. New keys are without: the largest would not fit a blob of 9216 bytes beside the public key.
func (p dilithiumSet) secretSizes() []int { return []int{p.form(false).size, p.form(true).size} }

// create makes a key from 32 random bytes.
func (p dilithiumSet) create(fill func([]byte) error, sk []byte) error {
	var seed [seedSize]byte
	defer clear(seed[:])
	if err := fill(seed[:]); err != nil {
		return err
	}
	packed := make([]byte, p.packedSize())
	defer clear(packed)
	secret.Do(func() { p.createOf(&seed, packed) })
	p.form(false).write(sk, packed, nil)
	return nil
}

// packed reads a private key into a packed form of its own, which the caller clears, and the t1 that stands with it.
func (p dilithiumSet) packed(sk []byte) (packed, t1 []byte, ok bool) {
	for _, form := range []form{p.form(true), p.form(false)} {
		if len(sk) == form.size {
			return form.read(sk)
		}
	}
	return nil, nil, false
}

// inRange says whether the coefficients of s1 and s2 are at most eta in size. They are packed as eta minus the coefficient, in 3 bits for eta 2 and
// 4 for eta 4, so that there is room for more; the time does not depend on what they are.
func (p dilithiumSet) inRange(packed []byte) bool {
	width, most := uint(3), uint32(4)
	if p.oid == ep11.OIDDilithiumR365 { // it alone has eta 4
		width, most = 4, 8
	}
	start := rhoSize + 32 + trSize
	var window, over uint32
	held := uint(0)
	for _, b := range packed[start : start+p.parts[3]+p.parts[4]] {
		window |= uint32(b) << held
		for held += 8; held >= width; held -= width {
			over |= most - window&(1<<width-1) // wraps below zero
			window >>= width
		}
	}
	return over>>31 == 0
}

// pairTest is what a private key must sign so that it verifies.
const pairTest = "strongroom/dilithium/pair/v1"

// public computes the public key. It refuses a private key whose parts are out of range or don't fit each other; tr and t0 show in a
// signature. Another s2 in range goes unnoticed where t1 stays the same: its signatures verify too.
func (p dilithiumSet) public(sk []byte) ([]byte, bool) {
	packed, t1, ok := p.packed(sk)
	defer clear(packed)
	if !ok {
		return nil, false
	}
	if !p.inRange(packed) {
		return nil, false
	}
	public := p.publicOf(packed)
	if t1 != nil && !bytes.Equal(t1, public[rhoSize:]) {
		return nil, false
	}
	if !p.verifyOf(public, []byte(pairTest), p.signOf(packed, []byte(pairTest))) {
		return nil, false
	}
	return p.encodePublic(public), true
}

func (p dilithiumSet) check(public []byte) bool {
	_, ok := p.decodePublic(public)
	return ok
}

// sign is deterministic, as the round 3 submission has it by default.
func (p dilithiumSet) sign(sk, message []byte) ([]byte, bool) {
	packed, _, ok := p.packed(sk)
	defer clear(packed)
	if !ok {
		return nil, false
	}
	return p.signOf(packed, message), true
}

func (p dilithiumSet) verify(public, message, sig []byte) bool {
	packed, ok := p.decodePublic(public)
	return ok && len(sig) == p.sigLen && p.verifyOf(packed, message, sig)
}
