// SPDX-License-Identifier: Apache-2.0

package symmetric

import (
	"bytes"
	"context"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"math/bits"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/secret"
)

// modes are ECB, CBC with and without padding, and CTR.
type modes struct{}

// kind of a mode.
type kind uint8

const (
	ecb kind = iota
	cbc
	cbcPad
	ctr
)

func kindOf(m uint64) kind {
	switch m {
	case ep11.CKM_AES_CBC, ep11.CKM_DES3_CBC:
		return cbc
	case ep11.CKM_AES_CBC_PAD, ep11.CKM_DES3_CBC_PAD:
		return cbcPad
	case ep11.CKM_AES_CTR:
		return ctr
	}
	return ecb
}

// progress of a stream, as it is saved.
type progress struct {
	Chain []byte `cbor:"1,keyasint"` // the previous block of ciphertext; the IV at first
	Rest  []byte `cbor:"2,keyasint"` // data that isn't a block yet
	Done  uint64 `cbor:"3,keyasint"` // bytes, in CTR
	Any   bool   `cbor:"4,keyasint"` // there was data
}

// stream is a mode at work.
type stream struct {
	block   cipher.Block
	kind    kind
	encrypt bool
	iv      []byte
	progress
}

// Stream begins or resumes an encryption or decryption. The parameter is the IV, or in CTR the first counter block.
func (modes) Stream(_ context.Context, _ family.Tools, m ep11.Mechanism, ckk uint64, key []byte, way family.Way, saved []byte) (family.Stream, error) {
	b, err := block(ckk, key)
	if err != nil {
		return nil, err
	}
	s := &stream{block: b, kind: kindOf(m.Type), encrypt: way == family.Encrypt, iv: m.Parameter}
	if want := b.BlockSize(); s.kind == ecb && len(m.Parameter) != 0 || s.kind != ecb && len(m.Parameter) != want {
		return nil, ep11.Fail(ep11.CKR_MECHANISM_PARAM_INVALID, "the parameter is an IV of %d bytes, none for ECB", want)
	}
	s.Chain, s.Rest = bytes.Clone(m.Parameter), []byte{}
	if saved == nil {
		return s, nil
	}
	if err := canon.Decode(saved, &s.progress); err != nil || len(s.Chain) != len(m.Parameter) || len(s.Rest) > b.BlockSize() {
		return nil, ep11.CKR_SAVED_STATE_INVALID
	}
	return s, nil
}

// Save gives the progress.
func (s *stream) Save() []byte { return canon.Encode(s.progress) }

// Update does all whole blocks, but for the last one of a padded decryption, which may be padding.
func (s *stream) Update(data []byte) ([]byte, error) {
	s.Any = s.Any || len(data) > 0
	if s.kind == ctr {
		return s.count(data), nil
	}
	size := s.block.BlockSize()
	data = append(s.Rest, data...)
	n := len(data) / size * size
	if s.kind == cbcPad && !s.encrypt && n == len(data) && n > 0 {
		n -= size
	}
	out := make([]byte, n)
	s.blocks(out, data[:n])
	s.Rest = bytes.Clone(data[n:])
	return out, nil
}

// Final does the rest: it pads or takes the padding away, or refuses what is no whole block.
func (s *stream) Final() ([]byte, error) {
	size := s.block.BlockSize()
	switch {
	case s.kind == ctr:
		return nil, nil
	case s.kind != cbcPad && s.encrypt && (len(s.Rest) != 0 || !s.Any):
		return nil, ep11.Fail(ep11.CKR_DATA_LEN_RANGE, "the data is no whole blocks of %d bytes", size)
	case !s.encrypt && (!s.Any || s.kind != cbcPad && len(s.Rest) != 0 || s.kind == cbcPad && len(s.Rest) != size):
		return nil, ep11.Fail(ep11.CKR_ENCRYPTED_DATA_LEN_RANGE, "the data is no whole blocks of %d bytes", size)
	case s.kind != cbcPad:
		return nil, nil
	}
	last := make([]byte, size)
	if s.encrypt {
		pad := size - len(s.Rest)
		copy(last, s.Rest)
		for i := len(s.Rest); i < size; i++ {
			last[i] = byte(pad)
		}
		s.blocks(last, last)
		return last, nil
	}
	s.blocks(last, s.Rest)
	n, ok := unpad(last)
	if ok != 1 {
		return nil, ep11.CKR_ENCRYPTED_DATA_INVALID
	}
	return last[:n], nil
}

// blocks does whole blocks from src to dst, which may be the same, and moves the chain.
func (s *stream) blocks(dst, src []byte) {
	if len(src) == 0 {
		return
	}
	size := s.block.BlockSize()
	switch {
	case s.kind == ecb:
		for i := 0; i < len(src); i += size {
			if s.encrypt {
				s.block.Encrypt(dst[i:], src[i:])
			} else {
				s.block.Decrypt(dst[i:], src[i:])
			}
		}
	case s.encrypt:
		cipher.NewCBCEncrypter(s.block, s.Chain).CryptBlocks(dst, src)
		s.Chain = bytes.Clone(dst[len(dst)-size:])
	default:
		next := bytes.Clone(src[len(src)-size:])
		cipher.NewCBCDecrypter(s.block, s.Chain).CryptBlocks(dst, src)
		s.Chain = next
	}
}

// count encrypts or decrypts in counter mode (SP 800-38A section 6.5): the counter is the whole block, big-endian.
func (s *stream) count(data []byte) []byte {
	size := uint64(s.block.BlockSize())
	var at [16]byte
	low, carry := bits.Add64(binary.BigEndian.Uint64(s.iv[8:]), s.Done/size, 0)
	binary.BigEndian.PutUint64(at[8:], low)
	binary.BigEndian.PutUint64(at[:], binary.BigEndian.Uint64(s.iv)+carry)
	keystream := cipher.NewCTR(s.block, at[:])
	skip := make([]byte, s.Done%size)
	keystream.XORKeyStream(skip, skip)
	out := make([]byte, len(data))
	keystream.XORKeyStream(out, data)
	s.Done += uint64(len(data))
	return out
}

// unpad gives the length without the padding of RFC 5652 in the last block, and 1 if the padding is right, in constant time.
func unpad(last []byte) (n, ok int) {
	size := len(last)
	pad := int(last[size-1])
	ok = subtle.ConstantTimeLessOrEq(1, pad) & subtle.ConstantTimeLessOrEq(pad, size)
	for i := range size {
		inPadding := subtle.ConstantTimeLessOrEq(size-pad, i)
		same := subtle.ConstantTimeByteEq(last[i], byte(pad))
		ok &= subtle.ConstantTimeSelect(inPadding, same, 1)
	}
	return size - subtle.ConstantTimeSelect(ok, pad, 0), ok
}

// Wrap encrypts key material. Without padding in the mode it is filled up with zeros to whole blocks (PKCS#11 sections 2.10 and 2.20).
func (w modes) Wrap(ctx context.Context, t family.Tools, m ep11.Mechanism, kek family.Key, plain secret.Bytes) (out []byte, err error) {
	err = kek.Secret.Use(func(key []byte) error {
		return plain.Use(func(p []byte) error {
			s, err := w.Stream(ctx, t, m, kek.Type, key, family.Encrypt, nil)
			if err != nil {
				return err
			}
			return s.(*stream).wrap(p, &out)
		})
	})
	return out, err
}

// wrap encrypts p without leaving a copy of its last block.
func (s *stream) wrap(p []byte, out *[]byte) error {
	size := s.block.BlockSize()
	whole := len(p) / size * size
	last := make([]byte, size)
	defer clear(last)
	rest := copy(last, p[whole:])
	n := whole
	if s.kind == cbcPad || rest > 0 {
		n += size
	}
	if s.kind == cbcPad {
		for i := rest; i < size; i++ {
			last[i] = byte(size - rest)
		}
	}
	*out = make([]byte, n)
	s.blocks((*out)[:whole], p[:whole])
	if n > whole {
		s.blocks((*out)[whole:], last)
	}
	return nil
}

// Unwrap decrypts what Wrap made, with the zeros that fill up a mode without padding: who knows the key's length cuts them off.
func (w modes) Unwrap(ctx context.Context, t family.Tools, m ep11.Mechanism, kek family.Key, wrapped []byte) (secret.Bytes, error) {
	n, ok := 0, 0
	var full secret.Bytes
	err := kek.Secret.Use(func(key []byte) error {
		made, err := w.Stream(ctx, t, m, kek.Type, key, family.Decrypt, nil)
		if err != nil {
			return err
		}
		s, size := made.(*stream), 0
		if size = s.block.BlockSize(); len(wrapped) == 0 || len(wrapped)%size != 0 || len(wrapped) > ep11.MaxBlob {
			return ep11.CKR_WRAPPED_KEY_LEN_RANGE
		}
		full, err = secret.New(t.Arena, len(wrapped), func(b []byte) error {
			s.blocks(b, wrapped)
			n, ok = len(b), 1
			if s.kind == cbcPad {
				n, ok = unpad(b[len(b)-size:])
				n += len(b) - size
			}
			return nil
		})
		return err
	})
	if err != nil {
		return secret.Bytes{}, err
	}
	defer full.Wipe()
	if ok != 1 || n == 0 {
		return secret.Bytes{}, ep11.CKR_WRAPPED_KEY_INVALID
	}
	return first(t.Arena, full, n)
}

// first copies the first n bytes of a secret.
func first(a *secret.Arena, from secret.Bytes, n int) (secret.Bytes, error) {
	return secret.New(a, n, func(to []byte) error {
		return from.Use(func(b []byte) error {
			copy(to, b)
			return nil
		})
	})
}
