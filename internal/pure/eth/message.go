// SPDX-License-Identifier: Apache-2.0

package eth

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"strongroom/internal/pure/secp"
)

// ErrMessageSignature says that bytes can't be a signature of a message.
var ErrMessageSignature = errors.New("no signature of a message")

// messagePrefix begins everything that is signed and is no transaction (EIP-191).
const messagePrefix = 0x19

// IsMessage says whether bytes are what is signed for a message, and not for a transaction, by their first byte (EIP-191).
func IsMessage(payload []byte) bool { return len(payload) > 1 && payload[0] == messagePrefix }

// PersonalMessage gives the bytes whose Keccak-256 is signed for a text: EIP-191 version 0x45, as personal_sign and eth_sign make them.
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
	out := append(append(make([]byte, 0, secp.SignatureSize+1), r[:]...), s[:]...)
	if err := secp.CheckSignature([secp.SignatureSize]byte(out)); err != nil {
		return nil, err
	}
	return append(out, 27+yParity), nil
}

// RecoverMessage gives the address that signed a text as a personal message: 65 bytes, r || s || v, v being 27 or 28, or 0 or 1 as some wallets
// write it; s is low, as in EIP-2. That an address comes out says nothing: compare it with the one that is expected.
func RecoverMessage(message, sig []byte) (Address, error) {
	if len(sig) == secp.SignatureSize+1 && sig[secp.SignatureSize] < 2 {
		sig = append(slices.Clone(sig[:secp.SignatureSize]), sig[secp.SignatureSize]+27)
	}
	return MessageSigner(PersonalMessage(string(message)), sig)
}

// MessageSigner gives the address that signed the bytes of a message: r || s || v, v being 27 or 28.
func MessageSigner(payload, sig []byte) (Address, error) {
	switch {
	case !IsMessage(payload):
		return Address{}, fmt.Errorf("%w: it is for something else than a message", ErrMessageSignature)
	case len(sig) != secp.SignatureSize+1:
		return Address{}, fmt.Errorf("%w: %d bytes, not %d", ErrMessageSignature, len(sig), secp.SignatureSize+1)
	case sig[secp.SignatureSize] < 27 || sig[secp.SignatureSize] > 28:
		return Address{}, fmt.Errorf("%w: v is %d", ErrMessageSignature, sig[secp.SignatureSize])
	}
	key, err := secp.RecoverPublicKey(Keccak256(payload), [secp.SignatureSize]byte(sig), sig[secp.SignatureSize]-27)
	if err != nil {
		return Address{}, fmt.Errorf("%w: %w", ErrMessageSignature, err)
	}
	return AddressOf(key), nil
}
