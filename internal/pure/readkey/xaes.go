// SPDX-License-Identifier: Apache-2.0

package readkey

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
)

// nonceSize is the length of an XAES-256-GCM nonce: 12 bytes choose the key, 12 are the GCM nonce.
const nonceSize = 24

// xaes is XAES-256-GCM under one key (C2SP XAES-256-GCM, "Detailed key derivation algorithm").
type xaes struct {
	block cipher.Block
	k1    [aes.BlockSize]byte // CMAC subkey K1 (SP 800-38B section 6.1)
}

func newXAES(key *[KeySize]byte) (*xaes, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, fmt.Errorf("make cipher: %w", err)
	}
	x := &xaes{block: block}
	block.Encrypt(x.k1[:], x.k1[:]) // L
	var msb byte
	for i := len(x.k1) - 1; i >= 0; i-- {
		msb, x.k1[i] = x.k1[i]>>7, x.k1[i]<<1|msb
	}
	x.k1[len(x.k1)-1] ^= msb * 0x87
	return x, nil
}

// gcm returns the cipher of the messages whose nonce begins with these 12 bytes.
func (x *xaes) gcm(context []byte) (cipher.AEAD, error) {
	var k [2 * aes.BlockSize]byte
	defer clear(k[:])
	for i := range 2 {
		m := k[i*aes.BlockSize:][:aes.BlockSize]
		m[1], m[2] = byte(i+1), 'X' // counter of 16 bits, label "X", zero
		copy(m[4:], context)
		for j := range m {
			m[j] ^= x.k1[j]
		}
		x.block.Encrypt(m, m)
	}
	block, err := aes.NewCipher(k[:])
	if err != nil {
		return nil, fmt.Errorf("make cipher: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("make cipher: %w", err)
	}
	return aead, nil
}

// seal appends ciphertext and tag to dst.
func (x *xaes) seal(dst []byte, nonce *[nonceSize]byte, plain, aad []byte) ([]byte, error) {
	aead, err := x.gcm(nonce[:12])
	if err != nil {
		return nil, err
	}
	return aead.Seal(dst, nonce[12:], plain, aad), nil
}

func (x *xaes) open(nonce *[nonceSize]byte, box, aad []byte) ([]byte, error) {
	aead, err := x.gcm(nonce[:12])
	if err != nil {
		return nil, err
	}
	return aead.Open(nil, nonce[12:], box, aad)
}
