// SPDX-License-Identifier: Apache-2.0

package argon2id

import (
	"encoding/binary"
	"math/bits"

	"golang.org/x/crypto/blake2b"
)

// long is H': BLAKE2b with an output of any length (RFC 9106 section 3.3).
func long(out, in []byte) {
	buffer := make([]byte, 4+len(in))
	binary.LittleEndian.PutUint32(buffer, uint32(len(out)))
	copy(buffer[4:], in)
	defer clear(buffer)
	if len(out) <= blake2b.Size {
		short(out, buffer)
		return
	}
	v := blake2b.Sum512(buffer)
	defer clear(v[:])
	for {
		n := copy(out, v[:blake2b.Size/2])
		if out = out[n:]; len(out) <= blake2b.Size {
			short(out, v[:])
			return
		}
		v = blake2b.Sum512(v[:])
	}
}

// short is BLAKE2b with an output of 1 to 64 bytes.
func short(out, in []byte) {
	switch len(out) {
	case blake2b.Size:
		v := blake2b.Sum512(in)
		copy(out, v[:])
		clear(v[:])
	case blake2b.Size256:
		v := blake2b.Sum256(in)
		copy(out, v[:])
		clear(v[:])
	default:
		h, err := blake2b.New(len(out), nil)
		if err != nil {
			panic(err) // a length that no caller has
		}
		h.Write(in)
		h.Sum(out[:0])
	}
}

// mix is G: it writes the compression of two blocks to out, or adds it to what is there (section 3.5).
func mix(out, x, y *block, add bool) {
	var r, q block
	for i := range r {
		r[i] = x[i] ^ y[i]
	}
	q = r
	for i := 0; i < words; i += 16 { // rows
		permute(&q[i], &q[i+1], &q[i+2], &q[i+3], &q[i+4], &q[i+5], &q[i+6], &q[i+7], &q[i+8], &q[i+9], &q[i+10], &q[i+11], &q[i+12], &q[i+13], &q[i+14], &q[i+15])
	}
	for i := 0; i < 16; i += 2 { // columns of two words
		permute(&q[i], &q[i+1], &q[i+16], &q[i+17], &q[i+32], &q[i+33], &q[i+48], &q[i+49], &q[i+64], &q[i+65], &q[i+80], &q[i+81], &q[i+96], &q[i+97], &q[i+112], &q[i+113])
	}
	if add {
		for i := range r {
			out[i] ^= q[i] ^ r[i]
		}
		return
	}
	for i := range r {
		out[i] = q[i] ^ r[i]
	}
}

// permute is P: a round of BLAKE2b with multiplications (section 3.6).
func permute(p0, p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11, p12, p13, p14, p15 *uint64) {
	v0, v1, v2, v3, v4, v5, v6, v7 := *p0, *p1, *p2, *p3, *p4, *p5, *p6, *p7
	v8, v9, v10, v11, v12, v13, v14, v15 := *p8, *p9, *p10, *p11, *p12, *p13, *p14, *p15

	v0, v4, v8, v12 = quarter(v0, v4, v8, v12)
	v1, v5, v9, v13 = quarter(v1, v5, v9, v13)
	v2, v6, v10, v14 = quarter(v2, v6, v10, v14)
	v3, v7, v11, v15 = quarter(v3, v7, v11, v15)

	v0, v5, v10, v15 = quarter(v0, v5, v10, v15)
	v1, v6, v11, v12 = quarter(v1, v6, v11, v12)
	v2, v7, v8, v13 = quarter(v2, v7, v8, v13)
	v3, v4, v9, v14 = quarter(v3, v4, v9, v14)

	*p0, *p1, *p2, *p3, *p4, *p5, *p6, *p7 = v0, v1, v2, v3, v4, v5, v6, v7
	*p8, *p9, *p10, *p11, *p12, *p13, *p14, *p15 = v8, v9, v10, v11, v12, v13, v14, v15
}

func quarter(a, b, c, d uint64) (uint64, uint64, uint64, uint64) {
	a = plus(a, b)
	d = bits.RotateLeft64(d^a, -32)
	c = plus(c, d)
	b = bits.RotateLeft64(b^c, -24)
	a = plus(a, b)
	d = bits.RotateLeft64(d^a, -16)
	c = plus(c, d)
	b = bits.RotateLeft64(b^c, -63)
	return a, b, c, d
}

// plus adds two words and twice the product of their lower halves.
func plus(a, b uint64) uint64 { return a + b + 2*uint64(uint32(a))*uint64(uint32(b)) }
