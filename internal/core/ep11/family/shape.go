// SPDX-License-Identifier: Apache-2.0

package family

import (
	"math/bits"

	"strongroom/internal/pure/ep11"
	"strongroom/internal/secret"
)

// SymmetricLength gives how many bytes the secret key that d asks for has. available is how many there are to make it of, 0 for as many as
// wanted (a key derivation function). A key type that is not symmetric is CKR_TEMPLATE_INCONSISTENT; a length that is needed and missing is
// CKR_TEMPLATE_INCOMPLETE, and one that the type or what is available doesn't have is CKR_KEY_SIZE_RANGE. Generic secrets have at least
// ep11.MinSecret bytes: the check values of shorter ones give them away, and with them the beginning of every longer key from the same base.
func SymmetricLength(d Derivation, available int) (int, error) {
	n := d.Length
	switch d.Type {
	case ep11.CKK_AES:
		if n == 0 {
			return 0, ep11.Fail(ep11.CKR_TEMPLATE_INCOMPLETE, "an AES key needs CKA_VALUE_LEN")
		}
		if n != 16 && n != 24 && n != 32 {
			return 0, ep11.Fail(ep11.CKR_KEY_SIZE_RANGE, "an AES key has 16, 24 or 32 bytes, not %d", n)
		}
	case ep11.CKK_DES2:
		n = 16
	case ep11.CKK_DES3:
		n = 24
	case ep11.CKK_GENERIC_SECRET, ep11.CKK_SHA_1_HMAC, ep11.CKK_SHA224_HMAC, ep11.CKK_SHA256_HMAC, ep11.CKK_SHA384_HMAC, ep11.CKK_SHA512_HMAC:
		if n == 0 {
			n = available
		}
		if n == 0 {
			return 0, ep11.Fail(ep11.CKR_TEMPLATE_INCOMPLETE, "a generic secret made by a key derivation function needs CKA_VALUE_LEN")
		}
	default:
		return 0, ep11.Fail(ep11.CKR_TEMPLATE_INCONSISTENT, "key type 0x%x is not made by this mechanism", d.Type)
	}
	if n < ep11.MinSecret || n > ep11.MaxSecret || available > 0 && n > available {
		return 0, ep11.Fail(ep11.CKR_KEY_SIZE_RANGE, "a key of %d bytes can't be derived here", n)
	}
	return n, nil
}

// NewSymmetric makes the secret key that d asks for, of n bytes that fill writes. DES keys get odd parity (FIPS 46-3). The caller wipes it.
func NewSymmetric(t Tools, d Derivation, n int, fill func(out []byte) error) (Derived, error) {
	key, err := secret.New(t.Arena, n, func(out []byte) error {
		if err := fill(out); err != nil {
			return err
		}
		if d.Type == ep11.CKK_DES2 || d.Type == ep11.CKK_DES3 {
			OddParity(out)
		}
		return nil
	})
	if err != nil {
		return Derived{}, err
	}
	return Derived{Key: Key{Type: d.Type, Secret: key}}, nil
}

// OddParity sets the lowest bit of each byte so that the number of its set bits is odd, as DES keys have it.
func OddParity(key []byte) {
	for i, b := range key {
		key[i] = b&0xfe | byte(bits.OnesCount8(b>>1)+1)&1
	}
}
