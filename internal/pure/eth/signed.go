// SPDX-License-Identifier: Apache-2.0

package eth

import (
	"bytes"
	"errors"
	"fmt"

	"strongroom/internal/pure/secp"
)

// ErrParity is returned for a yParity other than 0 and 1.
var ErrParity = errors.New("y parity is not 0 or 1")

// Signed is an EIP-1559 transaction with its signature, as it is broadcast. R and S are big-endian. That it decodes says
// nothing about who signed: ask [Signed.Sender].
type Signed struct {
	Tx      Tx1559
	R, S    [32]byte
	YParity byte
}

// EncodeSigned returns the transaction as it is broadcast: 02 || rlp([the nine fields, yParity, r, s]). It refuses what
// [Tx1559.Check] refuses, a yParity other than 0 and 1 ([ErrParity]), and what [secp.CheckSignature] refuses: r or s out of
// range and, by EIP-2, a high s. It does not verify the signature.
func (tx Tx1559) EncodeSigned(r, s [32]byte, yParity byte) ([]byte, error) {
	return Signed{Tx: tx, R: r, S: s, YParity: yParity}.Encode()
}

// DecodeSigned reads what [Tx1559.EncodeSigned] writes, as strictly as [DecodeUnsigned] and with the rules for the
// signature. The result doesn't share memory with b.
func DecodeSigned(b []byte) (Signed, error) {
	fields, err := openEnvelope(b)
	if err != nil {
		return Signed{}, err
	}
	stx := Signed{Tx: readTx(fields)}
	parity := fields.uint64("y parity")
	if parity > 1 {
		fields.fail("y parity", ErrParity)
	}
	stx.YParity = byte(parity)
	stx.R = fields.uint256("r")
	stx.S = fields.uint256("s")
	if err := fields.end("transaction"); err != nil {
		return Signed{}, err
	}
	again, err := stx.Encode()
	if err != nil {
		return Signed{}, err
	}
	if !bytes.Equal(again, b) {
		return Signed{}, ErrRebuild
	}
	return stx, nil
}

// Encode returns the bytes that [DecodeSigned] reads; see [Tx1559.EncodeSigned].
func (stx Signed) Encode() ([]byte, error) {
	if err := stx.Tx.Check(); err != nil {
		return nil, err
	}
	if stx.YParity > 1 {
		return nil, ErrParity
	}
	if err := secp.CheckSignature(stx.Signature()); err != nil {
		return nil, fmt.Errorf("transaction: %w", err)
	}
	b := stx.Tx.appendFields(make([]byte, 0, fieldsRoom+len(stx.Tx.Data)))
	b = appendUint64(b, uint64(stx.YParity))
	b = appendInteger(b, stx.R)
	b = appendInteger(b, stx.S)
	return encodeEnvelope(b), nil
}

// Hash returns the transaction id: the Keccak-256 of the signed bytes.
func (stx Signed) Hash() ([32]byte, error) {
	b, err := stx.Encode()
	if err != nil {
		return [32]byte{}, err
	}
	return Keccak256(b), nil
}

// Signature returns r || s, the form of package secp.
func (stx Signed) Signature() [secp.SignatureSize]byte {
	var sig [secp.SignatureSize]byte
	copy(sig[:32], stx.R[:])
	copy(sig[32:], stx.S[:])
	return sig
}

// Sender returns the account that the chain will charge: the address of the key that the signature recovers to. Every
// well-formed signature recovers to some key, so compare the result with the account that was meant to pay.
func (stx Signed) Sender() (Address, error) {
	if stx.YParity > 1 {
		return Address{}, ErrParity
	}
	digest, err := stx.Tx.SigningHash()
	if err != nil {
		return Address{}, err
	}
	key, err := secp.RecoverPublicKey(digest, stx.Signature(), stx.YParity)
	if err != nil {
		return Address{}, fmt.Errorf("sender of transaction: %w", err)
	}
	return AddressOf(key), nil
}
