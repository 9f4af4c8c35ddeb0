// SPDX-License-Identifier: Apache-2.0

package hd

import (
	"crypto/sha512"

	"strongroom/internal/core/internal/curve"
	"strongroom/internal/secret"
)

const (
	chainSize = 32
	innerSize = sha512.BlockSize + MaxSeedSize
	outerSize = sha512.BlockSize + sha512.Size
	workSize  = innerSize + outerSize + sha512.Size + NodeSize
	innerPad  = 0x36 // RFC 2104 section 2
	outerPad  = 0x5c
)

// work is the memory of one derivation, all of it in the arena.
type work struct {
	inner   []byte // HMAC: key xor inner pad, message
	message []byte // its second part
	outer   []byte // HMAC: key xor outer pad, hash of inner
	sum     []byte // HMAC: the result I
	node    []byte // scalar, chain code
}

func (w *work) scalar() []byte { return w.node[:curve.ScalarSize] }
func (w *work) chain() []byte  { return w.node[curve.ScalarSize:] }

// work calls f with fresh working memory and wipes it.
func (d *Deriver) work(f func(*work) error) error {
	memory, err := secret.New(d.arena, workSize, func([]byte) error { return nil })
	if err != nil {
		return err
	}
	defer memory.Wipe()
	return memory.Use(func(b []byte) error {
		w := &work{inner: b[:innerSize]}
		w.message, b = w.inner[sha512.BlockSize:], b[innerSize:]
		w.outer, b = b[:outerSize], b[outerSize:]
		w.sum, w.node = b[:sha512.Size], b[sha512.Size:]
		return f(w)
	})
}

// hmac puts HMAC-SHA512(key, message[:n]) into sum: RFC 2104, H(key^opad || H(key^ipad || message)). crypto/hmac is not used because it
// keeps key and message in objects on the heap that nobody can wipe; here both lie in the arena, and SHA-512's own state on the stack.
// key has at most the block size of SHA-512, 128 bytes: ours have 12 and 32.
func (w *work) hmac(key []byte, n int) {
	for i := range sha512.BlockSize {
		w.inner[i], w.outer[i] = innerPad, outerPad
	}
	for i, k := range key {
		w.inner[i] ^= k
		w.outer[i] ^= k
	}
	secret.Do(func() {
		inner := sha512.Sum512(w.inner[:sha512.BlockSize+n])
		copy(w.outer[sha512.BlockSize:], inner[:])
		sum := sha512.Sum512(w.outer)
		copy(w.sum, sum[:])
	})
}
