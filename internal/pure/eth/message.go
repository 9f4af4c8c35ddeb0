// SPDX-License-Identifier: Apache-2.0

package eth

import (
	"errors"
	"fmt"
	"strconv"

	"strongroom/internal/pure/secp"
)

// ErrMessageSignature says that bytes can't be a signature of a message.
var ErrMessageSignature = errors.New("no signature of a message")

// MessageHash is what a wallet signs for a message (EIP-191, version 0x45, as personal_sign and eth_sign make it).
func MessageHash(message []byte) [32]byte {
	return Keccak256([]byte("\x19Ethereum Signed Message:\n"+strconv.Itoa(len(message))), message)
}

// RecoverMessage gives the address that signed a message: 65 bytes, r || s || v, v being 27 or 28, or 0 or 1 as some wallets write it; s is
// low, as in EIP-2. That an address comes out says nothing: compare it with the one that is expected.
func RecoverMessage(message, sig []byte) (Address, error) {
	if len(sig) != secp.SignatureSize+1 {
		return Address{}, fmt.Errorf("%w: %d bytes, not %d", ErrMessageSignature, len(sig), secp.SignatureSize+1)
	}
	v := sig[secp.SignatureSize]
	if v >= 27 {
		v -= 27
	}
	if v > 1 {
		return Address{}, fmt.Errorf("%w: v is %d", ErrMessageSignature, sig[secp.SignatureSize])
	}
	key, err := secp.RecoverPublicKey(MessageHash(message), [secp.SignatureSize]byte(sig), v)
	if err != nil {
		return Address{}, fmt.Errorf("%w: %w", ErrMessageSignature, err)
	}
	return AddressOf(key), nil
}
