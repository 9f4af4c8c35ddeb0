// SPDX-License-Identifier: Apache-2.0

package symmetric

import (
	"bytes"
	"context"
	"crypto/cipher"
	"crypto/subtle"
	"encoding"
	"hash"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/core/ep11/family/digest"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/ep11"
)

// hmacs are the HMAC mechanisms with their hashes.
var hmacs = map[uint64]uint64{
	ep11.CKM_SHA_1_HMAC: ep11.CKM_SHA_1, ep11.CKM_SHA224_HMAC: ep11.CKM_SHA224, ep11.CKM_SHA256_HMAC: ep11.CKM_SHA256, ep11.CKM_SHA384_HMAC: ep11.CKM_SHA384,
	ep11.CKM_SHA512_HMAC: ep11.CKM_SHA512, ep11.CKM_SHA512_224_HMAC: ep11.CKM_SHA512_224, ep11.CKM_SHA512_256_HMAC: ep11.CKM_SHA512_256,
	ep11.CKM_IBM_SHA512_224_HMAC: ep11.CKM_SHA512_224, ep11.CKM_IBM_SHA512_256_HMAC: ep11.CKM_SHA512_256, ep11.CKM_IBM_SHA3_224_HMAC: ep11.CKM_IBM_SHA3_224,
	ep11.CKM_IBM_SHA3_256_HMAC: ep11.CKM_IBM_SHA3_256, ep11.CKM_IBM_SHA3_384_HMAC: ep11.CKM_IBM_SHA3_384, ep11.CKM_IBM_SHA3_512_HMAC: ep11.CKM_IBM_SHA3_512,
}

// macs are CMAC and HMAC. They take no parameter.
type macs struct{}

// Stream begins or resumes a code.
func (macs) Stream(_ context.Context, _ family.Tools, m ep11.Mechanism, ckk uint64, key []byte, _ family.Way, saved []byte) (family.Stream, error) {
	if len(m.Parameter) != 0 {
		return nil, ep11.Fail(ep11.CKR_MECHANISM_PARAM_INVALID, "the mechanism takes no parameter")
	}
	if h, ok := hmacs[m.Type]; ok {
		return newHMAC(h, key, saved)
	}
	b, err := block(ckk, key)
	if err != nil {
		return nil, err
	}
	s := &cmac{block: b}
	s.Chain, s.Rest = make([]byte, b.BlockSize()), []byte{}
	if saved == nil {
		return s, nil
	}
	if err := canon.Decode(saved, &s.progress); err != nil || len(s.Chain) != b.BlockSize() || len(s.Rest) > b.BlockSize() {
		return nil, ep11.CKR_SAVED_STATE_INVALID
	}
	return s, nil
}

// cmac is CMAC (SP 800-38B) over a block cipher of 8 or 16 bytes.
type cmac struct {
	block cipher.Block
	progress
}

func (s *cmac) Save() []byte { return canon.Encode(s.progress) }

// Update keeps back up to one block, because the last one is treated in another way.
func (s *cmac) Update(data []byte) ([]byte, error) {
	size := s.block.BlockSize()
	s.Rest = append(bytes.Clone(s.Rest), data...)
	for len(s.Rest) > size {
		subtle.XORBytes(s.Chain, s.Chain, s.Rest[:size])
		s.block.Encrypt(s.Chain, s.Chain)
		s.Rest = s.Rest[size:]
	}
	return nil, nil
}

// Final gives the code, as long as a block.
func (s *cmac) Final() ([]byte, error) {
	size := s.block.BlockSize()
	sub := make([]byte, size)
	defer clear(sub)
	s.block.Encrypt(sub, sub)
	double(sub)
	last := make([]byte, size)
	if n := copy(last, s.Rest); n < size {
		last[n] = 0x80
		double(sub)
	}
	subtle.XORBytes(last, last, sub)
	subtle.XORBytes(last, last, s.Chain)
	s.block.Encrypt(last, last)
	return last, nil
}

// double multiplies by x in the field of the block's size, in constant time.
func double(b []byte) {
	reduce := byte(0x87)
	if len(b) == 8 {
		reduce = 0x1b
	}
	carry := b[0] >> 7
	for i := range len(b) - 1 {
		b[i] = b[i]<<1 | b[i+1]>>7
	}
	b[len(b)-1] = b[len(b)-1]<<1 ^ carry*reduce
}

// hmac is HMAC (FIPS 198-1) whose inner state can be saved, which crypto/hmac doesn't allow.
type hmac struct {
	inner, outer hash.Hash
}

func newHMAC(of uint64, key, saved []byte) (family.Stream, error) {
	s := &hmac{inner: digest.New(of), outer: digest.New(of)}
	pad := make([]byte, s.inner.BlockSize())
	defer func() { clear(pad) }()
	if len(key) > len(pad) {
		s.inner.Write(key)
		s.inner.Sum(pad[:0])
		s.inner.Reset()
	} else {
		copy(pad, key)
	}
	for i := range pad {
		pad[i] ^= 0x36
	}
	s.inner.Write(pad)
	for i := range pad {
		pad[i] ^= 0x36 ^ 0x5c
	}
	s.outer.Write(pad)
	if saved == nil {
		return s, nil
	}
	if err := s.inner.(encoding.BinaryUnmarshaler).UnmarshalBinary(saved); err != nil {
		return nil, ep11.CKR_SAVED_STATE_INVALID
	}
	return s, nil
}

func (s *hmac) Update(data []byte) ([]byte, error) {
	s.inner.Write(data)
	return nil, nil
}

func (s *hmac) Final() ([]byte, error) {
	s.outer.Write(s.inner.Sum(nil))
	return s.outer.Sum(nil), nil
}

// Save gives the inner state.
func (s *hmac) Save() []byte {
	b, err := s.inner.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		return nil // never: the hashes of this package have a binary form
	}
	return b
}
