// SPDX-License-Identifier: Apache-2.0

// Package derive is the family of keys made of other secret keys: CKM_DES3_ECB_ENCRYPT_DATA, which encrypts the caller's data with a DES key, and the
// SHA derivations, which hash a key (PKCS#11 2.40 sections 2.15 and 2.22). The new key is the leading bytes of the result.
//
// It refuses data that is not whole blocks, a parameter where none is, and more bytes than the result has.
//
// Copies outside the arena: crypto/des keeps its key schedule on the heap, where it can't be cleared.
package derive

import (
	"context"
	"crypto/des" //nolint:gosec // the interface has it

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/core/internal/kdf"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/secret"
)

// hashes are the hash functions of the derivations, and the bytes that they give.
var hashes = map[uint64]struct {
	hash kdf.Hash
	size int
}{
	ep11.CKM_SHA1_KEY_DERIVATION: {kdf.SHA1, 20}, ep11.CKM_SHA224_KEY_DERIVATION: {kdf.SHA224, 28}, ep11.CKM_SHA256_KEY_DERIVATION: {kdf.SHA256, 32},
	ep11.CKM_SHA384_KEY_DERIVATION: {kdf.SHA384, 48}, ep11.CKM_SHA512_KEY_DERIVATION: {kdf.SHA512, 64},
}

// Set gives the family.
func Set() family.Set {
	var symmetric []family.KeyType
	for _, ckk := range []uint64{ep11.CKK_GENERIC_SECRET, ep11.CKK_AES, ep11.CKK_DES2, ep11.CKK_DES3, ep11.CKK_SHA_1_HMAC, ep11.CKK_SHA224_HMAC,
		ep11.CKK_SHA256_HMAC, ep11.CKK_SHA384_HMAC, ep11.CKK_SHA512_HMAC} {
		symmetric = append(symmetric, family.KeyType{Type: ckk})
	}
	set := family.Set{Rows: []family.Row{
		{Mechanism: ep11.CKM_DES3_ECB_ENCRYPT_DATA, Keys: []family.KeyType{{Type: ep11.CKK_DES2}, {Type: ep11.CKK_DES3}}, Derive: encrypted{}},
	}}
	for _, m := range []uint64{ep11.CKM_SHA1_KEY_DERIVATION, ep11.CKM_SHA224_KEY_DERIVATION, ep11.CKM_SHA256_KEY_DERIVATION, ep11.CKM_SHA384_KEY_DERIVATION,
		ep11.CKM_SHA512_KEY_DERIVATION} {
		set.Rows = append(set.Rows, family.Row{Mechanism: m, Keys: symmetric, Derive: hashed{}})
	}
	return set
}

// only says that of a mechanism's parameters at most the bytes are set.
func only(m ep11.Mechanism) bool {
	return m.OAEP == nil && m.PSS == nil && m.ECDH == nil && m.BTC == nil && m.Sign == nil && m.Kyber == nil && m.Aggregate == nil
}

// hashed derives by a hash.
type hashed struct{}

// Derive hashes the base key.
func (hashed) Derive(_ context.Context, t family.Tools, in family.Derivation) (family.Derived, error) {
	h, ok := hashes[in.Mechanism.Type]
	if !ok {
		return family.Derived{}, ep11.CKR_MECHANISM_INVALID
	}
	if !only(in.Mechanism) || len(in.Mechanism.Parameter) > 0 || len(in.Data) > 0 {
		return family.Derived{}, ep11.Fail(ep11.CKR_MECHANISM_PARAM_INVALID, "this derivation takes no parameter and no data")
	}
	if in.Base == nil {
		return family.Derived{}, ep11.CKR_KEY_NEEDED
	}
	n, err := family.SymmetricLength(in, h.size)
	if err != nil {
		return family.Derived{}, err
	}
	var out family.Derived
	err = in.Base.Secret.Use(func(base []byte) (err error) {
		out, err = family.NewSymmetric(t, in, n, func(to []byte) error { return kdf.Digest(h.hash, to, base) })
		return err
	})
	return out, err
}

// encrypted derives by encryption.
type encrypted struct{}

// Derive encrypts the data, which stands in the parameter, or else in the call, block by block.
func (encrypted) Derive(_ context.Context, t family.Tools, in family.Derivation) (family.Derived, error) {
	data := in.Mechanism.Parameter
	if len(data) == 0 {
		data = in.Data
	} else if len(in.Data) > 0 {
		data = nil
	}
	if !only(in.Mechanism) || len(data) == 0 || len(data)%des.BlockSize != 0 || len(data) > ep11.MaxParameter {
		return family.Derived{}, ep11.Fail(ep11.CKR_MECHANISM_PARAM_INVALID, "the data to encrypt is missing, too long, or no whole blocks of %d bytes", des.BlockSize)
	}
	if in.Base == nil {
		return family.Derived{}, ep11.CKR_KEY_NEEDED
	}
	n, err := family.SymmetricLength(in, len(data))
	if err != nil {
		return family.Derived{}, err
	}
	var out family.Derived
	err = in.Base.Secret.Use(func(base []byte) (err error) {
		out, err = family.NewSymmetric(t, in, n, func(to []byte) error { return encrypt(to, base, data) })
		return err
	})
	return out, err
}

// encrypt fills out with the leading bytes of data encrypted under a key of two or three parts.
func encrypt(out, key, data []byte) (err error) {
	secret.Do(func() {
		var whole [24]byte
		defer clear(whole[:])
		copy(whole[copy(whole[:], key):], key) // two parts: the first comes again as the third
		cipher, bad := des.NewTripleDESCipher(whole[:])
		if bad != nil || len(key) != 16 && len(key) != 24 {
			err = family.ErrFault
			return
		}
		var block [des.BlockSize]byte
		defer clear(block[:])
		for len(out) > 0 {
			cipher.Encrypt(block[:], data)
			out, data = out[copy(out, block[:]):], data[des.BlockSize:]
		}
	})
	return err
}
