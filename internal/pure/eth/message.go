// SPDX-License-Identifier: Apache-2.0

package eth

import (
	"errors"
	"strconv"

	"strongroom/internal/pure/secp"
)

// ErrMessageSignature is returned for a signature over a message that is not r, s and 27 or 28.
var ErrMessageSignature = errors.New("signature over a message is not 65 bytes: r, s and 27 or 28")

// messagePrefix begins everything that is signed and is no transaction (EIP-191).
const messagePrefix = 0x19

// IsMessage says whether bytes are what is signed for a message, and not for a transaction, by their first byte (EIP-191).
func IsMessage(payload []byte) bool { return len(payload) > 1 && payload[0] == messagePrefix }

// PersonalMessage gives the bytes whose Keccak-256 is signed for a text: EIP-191 version 0x45.
func PersonalMessage(text string) []byte {
	return []byte("\x19Ethereum Signed Message:\n" + strconv.Itoa(len(text)) + text)
}

// TypedMessage gives the bytes whose Keccak-256 is signed for typed data: EIP-191 version 0x01, as EIP-712 says.
func TypedMessage(domain, message [32]byte) []byte {
	return append(append([]byte{messagePrefix, 0x01}, domain[:]...), message[:]...)
}

// EncodeMessageSignature gives a signature over a message as wallets give it: r, s, and 27 or 28 for the parity.
func EncodeMessageSignature(r, s [32]byte, yParity byte) ([]byte, error) {
	if yParity > 1 {
		return nil, ErrParity
	}
	out := append(append(make([]byte, 0, 65), r[:]...), s[:]...)
	if err := secp.CheckSignature([64]byte(out)); err != nil {
		return nil, err
	}
	return append(out, 27+yParity), nil
}

// MessageSigner gives the address that signed the bytes of a message.
func MessageSigner(payload, signature []byte) (Address, error) {
	if !IsMessage(payload) || len(signature) != 65 || signature[64] < 27 || signature[64] > 28 {
		return Address{}, ErrMessageSignature
	}
	key, err := secp.RecoverPublicKey(Keccak256(payload), [64]byte(signature), signature[64]-27)
	if err != nil {
		return Address{}, err
	}
	return AddressOf(key), nil
}
