// SPDX-License-Identifier: Apache-2.0

// Package symmetric is the family of secret keys: AES, triple DES and generic secrets, their block cipher modes, CMAC, HMAC, and the wrapping of
// keys with them.
//
// It refuses keys of lengths that their type doesn't have, parameters of another size than the mode's, and data that isn't whole blocks where
// the mode doesn't pad. AES-GCM takes no nonce from callers: it draws one and puts it in front, and the parameter is the additional data.
// Unwrapping has one answer for all that can be wrong with what was decrypted, found in constant time up to the padding's removal.
//
// Copies outside the arena: key schedules, which crypto/aes and crypto/des keep on the heap while an operation lasts, HMAC's padded key, which
// is cleared, and its hash state. crypto/des looks up tables by secret values: it is not constant time, and triple DES is there only
// because the interface has it. Data is the caller's and lies on the heap.
//
// Specs: FIPS 197, FIPS 46-3, SP 800-38A, B, D and F, RFC 5652 section 6.3, RFC 3394, RFC 5649, FIPS 198-1.
package symmetric

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"slices"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/secret"
)

// Set gives the keys and mechanisms of the family.
func Set() family.Set {
	aesKeys := []family.KeyType{{Type: ep11.CKK_AES}}
	desKeys := []family.KeyType{{Type: ep11.CKK_DES2}, {Type: ep11.CKK_DES3}}
	set := family.Set{
		Keys: map[family.KeyType]family.Generator{
			{Type: ep11.CKK_AES}: keys{16, 24, 32}, {Type: ep11.CKK_DES2}: keys{16}, {Type: ep11.CKK_DES3}: keys{24},
		},
		Rows: []family.Row{
			{Mechanism: ep11.CKM_AES_KEY_GEN, Generates: aesKeys},
			{Mechanism: ep11.CKM_DES2_KEY_GEN, Generates: desKeys[:1]},
			{Mechanism: ep11.CKM_DES3_KEY_GEN, Generates: desKeys[1:]},
			{Mechanism: ep11.CKM_AES_ECB, Keys: aesKeys, Stream: modes{}, Wrap: modes{}},
			{Mechanism: ep11.CKM_AES_CBC, Keys: aesKeys, Stream: modes{}, Wrap: modes{}},
			{Mechanism: ep11.CKM_AES_CBC_PAD, Keys: aesKeys, Stream: modes{}, Wrap: modes{}},
			{Mechanism: ep11.CKM_AES_CTR, Keys: aesKeys, Stream: modes{}},
			{Mechanism: ep11.CKM_AES_GCM, Keys: aesKeys, Cipher: gcm{}},
			{Mechanism: ep11.CKM_AES_CMAC, Keys: aesKeys, MAC: macs{}},
			{Mechanism: ep11.CKM_IBM_CMAC, Keys: slices.Concat(aesKeys, desKeys), MAC: macs{}},
			{Mechanism: ep11.CKM_AES_KEY_WRAP, Keys: aesKeys, Wrap: keyWrap{}},
			{Mechanism: ep11.CKM_AES_KEY_WRAP_PAD, Keys: aesKeys, Wrap: keyWrap{}},
			{Mechanism: ep11.CKM_DES3_ECB, Keys: desKeys, Stream: modes{}, Wrap: modes{}},
			{Mechanism: ep11.CKM_DES3_CBC, Keys: desKeys, Stream: modes{}, Wrap: modes{}},
			{Mechanism: ep11.CKM_DES3_CBC_PAD, Keys: desKeys, Stream: modes{}, Wrap: modes{}},
			{Mechanism: ep11.CKM_DES3_CMAC, Keys: desKeys, MAC: macs{}},
		},
	}
	var generic []family.KeyType
	for _, ckk := range []uint64{ep11.CKK_GENERIC_SECRET, ep11.CKK_SHA_1_HMAC, ep11.CKK_SHA224_HMAC, ep11.CKK_SHA256_HMAC, ep11.CKK_SHA384_HMAC, ep11.CKK_SHA512_HMAC} {
		set.Keys[family.KeyType{Type: ckk}] = keys(nil)
		generic = append(generic, family.KeyType{Type: ckk})
	}
	set.Rows = append(set.Rows, family.Row{Mechanism: ep11.CKM_GENERIC_SECRET_KEY_GEN, Generates: generic})
	for mechanism := range hmacs {
		set.Rows = append(set.Rows, family.Row{Mechanism: mechanism, Keys: slices.Concat(generic, aesKeys), MAC: macs{}})
	}
	return set
}

// keys makes keys of some lengths in bytes; of none in particular if there are none.
type keys []int

// Generate fills a key with randomness. The length is CKA_VALUE_LEN where the type has several.
func (k keys) Generate(ctx context.Context, t family.Tools, m ep11.Mechanism, _ []byte, template, _ ep11.Template) (family.Key, error) {
	n, ok := template.Number(ep11.CKA_VALUE_LEN)
	if len(k) == 1 { // the type says it all: whatever length was asked for is ignored
		n, ok = uint64(k[0]), true
	}
	if !ok {
		return family.Key{}, ep11.Fail(ep11.CKR_TEMPLATE_INCOMPLETE, "CKA_VALUE_LEN says how many bytes the key has")
	}
	if !k.fits(n) {
		return family.Key{}, ep11.Fail(ep11.CKR_KEY_SIZE_RANGE, "no key of this type has %d bytes", n)
	}
	made, err := secret.New(t.Arena, int(n), func(b []byte) error {
		if err := t.Random.Fill(ctx, b); err != nil {
			return err
		}
		if m.Type == ep11.CKM_DES2_KEY_GEN || m.Type == ep11.CKM_DES3_KEY_GEN {
			parity(b)
		}
		return nil
	})
	return family.Key{Secret: made}, err
}

func (k keys) fits(n uint64) bool {
	for _, size := range k {
		if n == uint64(size) {
			return true
		}
	}
	return len(k) == 0 && n >= ep11.MinSecret && n <= ep11.MaxSecret
}

// Public checks the length; there is no public part.
func (k keys) Public(key family.Key) ([]byte, error) {
	if n := key.Secret.Len(); !k.fits(uint64(n)) {
		return nil, ep11.Fail(ep11.CKR_KEY_SIZE_RANGE, "no key of this type has %d bytes", n)
	}
	return nil, nil
}

// Check refuses: there are no such public keys.
func (k keys) Check(family.Key) error { return ep11.CKR_PUBLIC_KEY_INVALID }

// Bits counts the bits, for DES with those of parity.
func (k keys) Bits(key family.Key) uint64 { return 8 * uint64(key.Secret.Len()) }

// parity makes each byte odd (FIPS 46-3).
func parity(b []byte) {
	for i, x := range b {
		y := x >> 1
		y ^= y >> 4
		y ^= y >> 2
		y ^= y >> 1
		b[i] = x&0xfe | ^y&1
	}
}

// block makes the block cipher of a key.
func block(ckk uint64, key []byte) (cipher.Block, error) {
	if ckk == ep11.CKK_AES {
		b, err := aes.NewCipher(key)
		if err != nil {
			return nil, ep11.CKR_KEY_SIZE_RANGE
		}
		return b, nil
	}
	var three [24]byte
	defer clear(three[:])
	copy(three[copy(three[:], key):], key) // two keys are K1, K2, K1
	if len(key) != 16 && len(key) != 24 {
		return nil, ep11.CKR_KEY_SIZE_RANGE
	}
	b, err := des.NewTripleDESCipher(three[:])
	if err != nil {
		return nil, ep11.CKR_KEY_SIZE_RANGE
	}
	return b, nil
}

// CheckValue is the first three bytes of the encrypted block of zeros, by which people tell keys apart (PKCS#11 section 10.7.2).
func CheckValue(ckk uint64, key []byte) ([]byte, error) {
	b, err := block(ckk, key)
	if err != nil {
		return nil, err
	}
	out := make([]byte, b.BlockSize())
	b.Encrypt(out, out)
	return out[:3], nil
}

// gcm is AES-GCM with a random nonce in front of the ciphertext. A key may seal 2^32 messages (SP 800-38D section 8.3).
type gcm struct{}

func (gcm) aead(k family.Key, f func(cipher.AEAD) error) error {
	return k.Secret.Use(func(key []byte) error {
		b, err := aes.NewCipher(key)
		if err != nil {
			return ep11.CKR_KEY_SIZE_RANGE
		}
		aead, err := cipher.NewGCMWithRandomNonce(b)
		if err != nil {
			return err
		}
		return f(aead)
	})
}

// Encrypt gives nonce (12 bytes), ciphertext and tag (16). The parameter is the additional data.
func (g gcm) Encrypt(_ context.Context, _ family.Tools, m ep11.Mechanism, k family.Key, plain []byte) (out []byte, err error) {
	err = g.aead(k, func(aead cipher.AEAD) error {
		out = aead.Seal(nil, nil, plain, m.Parameter)
		return nil
	})
	return out, err
}

// Decrypt opens what Encrypt made.
func (g gcm) Decrypt(_ context.Context, _ family.Tools, m ep11.Mechanism, k family.Key, sealed []byte) (out []byte, err error) {
	if len(sealed) < 28 {
		return nil, ep11.CKR_ENCRYPTED_DATA_LEN_RANGE
	}
	err = g.aead(k, func(aead cipher.AEAD) error {
		if out, err = aead.Open(nil, nil, sealed, m.Parameter); err != nil {
			return ep11.CKR_ENCRYPTED_DATA_INVALID
		}
		return nil
	})
	return out, err
}
