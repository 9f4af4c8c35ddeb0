// SPDX-License-Identifier: Apache-2.0

package pkcs11

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"

	p11 "github.com/miekg/pkcs11"

	"strongroom/internal/core/hsm"
	"strongroom/internal/core/internal/kdf"
	"strongroom/internal/core/seal"
	"strongroom/internal/pure/canon"
	"strongroom/internal/secret"
)

// encryptPart encrypts the part with the additional data tag || 0x00 || header. Some tokens take an IV of their own instead of ours.
func encryptPart(m module, s p11.SessionHandle, key p11.ObjectHandle, header []byte, part secret.Bytes) (iv, sealed []byte, err error) {
	iv = make([]byte, ivSize)
	rand.Read(iv)
	params := p11.NewGCMParams(iv, canon.TagBytes(canon.TagPKCS11, header), tagSize*8)
	defer params.Free()
	if err := m.EncryptInit(s, []*p11.Mechanism{p11.NewMechanism(p11.CKM_AES_GCM, params)}, key); err != nil {
		return nil, nil, unsupported("AES-GCM", err)
	}
	sealed = make([]byte, partSize+tagSize)
	var n int
	err = part.Use(func(p []byte) error {
		n, err = m.Encrypt(s, p, sealed)
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("pkcs11: AES-GCM: %w", err)
	}
	if n != len(sealed) {
		return nil, nil, wrongLength("a ciphertext", n, len(sealed))
	}
	if used := params.IV(); used != nil {
		iv = used
	}
	if len(iv) != ivSize {
		return nil, nil, wrongLength("an IV", len(iv), ivSize)
	}
	return iv, sealed, nil
}

// decryptPart is the other way. Tokens say in many ways that a ciphertext is not theirs, some of which also mean that the token is not
// well: so a token that refuses is asked to encrypt and decrypt something else, and if it can, the file was altered.
func (r *Root) decryptPart(m module, s p11.SessionHandle, key p11.ObjectHandle, f sealedFile) (secret.Bytes, error) {
	part, err := r.decrypt(m, s, key, f.Header, f.IV, f.Part)
	if err == nil || lost(err) || errors.Is(err, ErrModule) || errors.Is(err, secret.ErrArenaFull) {
		return part, err
	}
	check, e := secret.Take(r.lib.cfg.Arena, make([]byte, partSize))
	if e != nil {
		return secret.Bytes{}, e
	}
	defer check.Wipe()
	iv, sealed, e := encryptPart(m, s, key, []byte("check"), check)
	if e != nil {
		return secret.Bytes{}, err
	}
	again, e := r.decrypt(m, s, key, []byte("check"), iv, sealed)
	if e != nil {
		return secret.Bytes{}, err
	}
	again.Wipe()
	return secret.Bytes{}, fmt.Errorf("%w: the token does not open it: %w", hsm.ErrAltered, err)
}

func (r *Root) decrypt(m module, s p11.SessionHandle, key p11.ObjectHandle, header, iv, sealed []byte) (secret.Bytes, error) {
	params := p11.NewGCMParams(iv, canon.TagBytes(canon.TagPKCS11, header), tagSize*8)
	defer params.Free()
	if err := m.DecryptInit(s, []*p11.Mechanism{p11.NewMechanism(p11.CKM_AES_GCM, params)}, key); err != nil {
		return secret.Bytes{}, fmt.Errorf("pkcs11: AES-GCM: %w", err)
	}
	// Room for the tag too: some libraries ask for it before they check it.
	room, err := secret.New(r.lib.cfg.Arena, partSize+tagSize, func(b []byte) error {
		n, err := m.Decrypt(s, sealed, b)
		if err == nil && n != partSize {
			err = wrongLength("a plaintext", n, partSize)
		}
		return err
	})
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("pkcs11: AES-GCM: %w", err)
	}
	defer room.Wipe()
	return secret.New(r.lib.cfg.Arena, partSize, func(p []byte) error {
		return room.Use(func(b []byte) error { copy(p, b); return nil })
	})
}

// contribute computes what the mac key adds: SP 800-108 counter mode with AES-CMAC, 32 bytes, in two calls.
//
//	K(i) = CMAC(key, u32 i || "strongroom/token-root/v1" || 0x00 || SHA-256(tag || 0x00 || header) || u32 256)        i = 1, 2
func (r *Root) contribute(m module, s p11.SessionHandle, key p11.ObjectHandle, header []byte) (secret.Bytes, error) {
	context := canon.HashBytes(canon.TagPKCS11, header)
	return secret.New(r.lib.cfg.Arena, 2*macSize, func(out []byte) error {
		for i := range 2 {
			in := binary.BigEndian.AppendUint32(nil, uint32(i+1))
			in = append(append(in, canon.TagPKCS11...), 0)
			in = binary.BigEndian.AppendUint32(append(in, context[:]...), 8*2*macSize)
			if err := cmac(m, s, key, in, out[i*macSize:][:macSize]); err != nil {
				return err
			}
		}
		return nil
	})
}

func cmac(m module, s p11.SessionHandle, key p11.ObjectHandle, in, out []byte) error {
	if err := m.SignInit(s, []*p11.Mechanism{p11.NewMechanism(p11.CKM_AES_CMAC, nil)}, key); err != nil {
		return unsupported("AES-CMAC", err)
	}
	n, err := m.Sign(s, in, out)
	if err != nil {
		return fmt.Errorf("pkcs11: AES-CMAC: %w", err)
	}
	if n != macSize {
		return wrongLength("a MAC", n, macSize)
	}
	return nil
}

// envelopeKey = HKDF-SHA-384(part || contribution || unlock secret, no salt, info = SHA-256(tag || 0x00 || header), 32 bytes).
func (r *Root) envelopeKey(header []byte, part, contribution secret.Bytes) (key secret.Bytes, err error) {
	info := canon.HashBytes(canon.TagPKCS11, header)
	n := r.unlock.Len()
	all, err := secret.New(r.lib.cfg.Arena, partSize+2*macSize+n, func(b []byte) error {
		err := errors.Join(part.Use(func(p []byte) error { copy(b, p); return nil }),
			contribution.Use(func(c []byte) error { copy(b[partSize:], c); return nil }))
		if n > 0 {
			err = errors.Join(err, r.unlock.Use(func(u []byte) error { copy(b[partSize+2*macSize:], u); return nil }))
		}
		return err
	})
	if err != nil {
		return secret.Bytes{}, err
	}
	defer all.Wipe()
	return secret.New(r.lib.cfg.Arena, seal.KeySize, func(out []byte) error {
		return all.Use(func(b []byte) error { return kdf.HKDF(kdf.SHA384, out, b, nil, info[:]) })
	})
}
