// SPDX-License-Identifier: Apache-2.0

package eth

import (
	"encoding/hex"
	"errors"
	"fmt"

	"golang.org/x/crypto/sha3"

	"strongroom/internal/pure/secp"
)

// AddressSize is the size of an address in bytes.
const AddressSize = 20

// Reasons why a text is not an address.
var (
	ErrAddressForm     = errors.New("address is malformed; write 0x and 40 hex digits")
	ErrAddressChecksum = errors.New("address checksum does not match")
)

// Address names an account: the last 20 bytes of the Keccak-256 of its public key, or what a contract got instead.
type Address [AddressSize]byte

// ParseAddress reads 0x and 40 hex digits whose case is the checksum of EIP-55. Text all in lower or upper case carries
// no checksum and is refused like a wrong one, unless the checksum happens to be that very case. The error then shows
// the checksummed form, to be compared with the source of the address before it is used.
func ParseAddress(s string) (Address, error) {
	if len(s) != 2+2*AddressSize || s[:2] != "0x" {
		return Address{}, fmt.Errorf("%w: got %d characters", ErrAddressForm, len(s))
	}
	var a Address
	if _, err := hex.Decode(a[:], []byte(s[2:])); err != nil {
		return Address{}, fmt.Errorf("%w: it has characters that are not hex", ErrAddressForm)
	}
	if want := a.String(); s != want {
		return Address{}, fmt.Errorf("%w: compare every digit with the source, then use %s", ErrAddressChecksum, want)
	}
	return a, nil
}

// String returns a in the mixed case of EIP-55: a letter is upper case where the same digit of the Keccak-256 of the
// lower-case digits is 8 or more.
func (a Address) String() string {
	var text [2 + 2*AddressSize]byte
	copy(text[:], "0x")
	digits := text[2:]
	hex.Encode(digits, a[:])
	sum := Keccak256(digits)
	for i, c := range digits {
		nibble := sum[i/2] >> 4
		if i%2 == 1 {
			nibble = sum[i/2] & 0x0f
		}
		if c >= 'a' && nibble >= 8 {
			digits[i] = c - 'a' + 'A'
		}
	}
	return string(text[:])
}

// IsZero tells whether a is the zero address, which nobody holds and which tokens use for burning.
func (a Address) IsZero() bool { return a == Address{} }

// PublicKeyToAddress returns the address of an uncompressed SEC 1 public key: 65 bytes, first 04. A key that is not a
// point of secp256k1 is refused, because what is sent to its address is lost; the errors are those of
// [secp.ParseUncompressed].
func PublicKeyToAddress(uncompressed []byte) (Address, error) {
	key, err := secp.ParseUncompressed(uncompressed)
	if err != nil {
		return Address{}, fmt.Errorf("address of public key: %w", err)
	}
	return AddressOf(key), nil
}

// AddressOf returns the address of a key that is already parsed.
func AddressOf(key secp.PublicKey) Address {
	b := key.Uncompressed()
	sum := Keccak256(b[1:])
	return Address(sum[32-AddressSize:])
}

// Keccak256 returns the hash that Ethereum uses everywhere: Keccak with the padding it had before FIPS 202.
func Keccak256(parts ...[]byte) [32]byte {
	h := sha3.NewLegacyKeccak256()
	for _, p := range parts {
		h.Write(p)
	}
	var out [32]byte
	h.Sum(out[:0])
	return out
}
