// SPDX-License-Identifier: Apache-2.0

// Package eth decodes, checks and rebuilds the Ethereum transactions that the platform signs: EIP-1559 transfers of the
// native coin and of ERC-20 tokens. The core decodes the unsigned bytes with it, rebuilds them, requires equality, and
// signs only what [Effects] could name; the auditor's tool does the same from a proof.
//
// It refuses everything it can't say the effect of: other transaction types, contract creation, access lists, calls
// other than transfer(address,uint256), value sent along with a call, RLP that is not canonical, bytes after the end,
// values out of range, signatures with a high s, and addresses without EIP-55 checksum.
// Specifications: EIP-2718, EIP-1559, EIP-2 (low s), EIP-2681 (nonce), EIP-55, ERC-20, yellow paper appendices B and F.
package eth

import (
	"bytes"
	"errors"
	"fmt"
)

// txType is the EIP-2718 type of an EIP-1559 transaction.
const txType = 0x02

// Reasons why a transaction is refused though its bytes are canonical.
var (
	ErrTxType     = errors.New("transaction is not of type 2 (EIP-1559)")
	ErrTxSize     = errors.New("transaction is too large")
	ErrCreation   = errors.New("transaction creates a contract; only transfers are supported")
	ErrAccessList = errors.New("transaction has an access list; only an empty one is supported")
	ErrTip        = errors.New("priority fee is above the maximum fee")
	ErrChainID    = errors.New("chain id is 0; a transaction must name its chain")
	ErrNonce      = errors.New("nonce is 2^64-1, which EIP-2681 forbids")
	ErrRebuild    = errors.New("transaction does not rebuild to the bytes it was decoded from")
)

// Tx1559 is an EIP-1559 transaction without its signature. Fees are in wei a gas, Value is in wei.
type Tx1559 struct {
	ChainID              uint64
	Nonce                uint64
	MaxPriorityFeePerGas Uint256
	MaxFeePerGas         Uint256
	GasLimit             uint64
	To                   Address // always present: a contract creation can't be expressed
	Value                Uint256
	Data                 []byte // at most MaxDataSize bytes; nil when empty
}

// Check applies the rules that hold for every transaction, decoded or built: a chain id ([ErrChainID]), a usable nonce
// ([ErrNonce]), tip ≤ fee cap ([ErrTip], EIP-1559), a total fee within 256 bits ([ErrOverflow]), and bounded data
// ([ErrTxSize]).
func (tx Tx1559) Check() error {
	switch {
	case tx.ChainID == 0:
		return ErrChainID
	case tx.Nonce > MaxNonce:
		return ErrNonce
	case tx.MaxPriorityFeePerGas.Cmp(tx.MaxFeePerGas) > 0:
		return fmt.Errorf("%w: %s > %s wei", ErrTip, tx.MaxPriorityFeePerGas, tx.MaxFeePerGas)
	case len(tx.Data) > MaxDataSize:
		return fmt.Errorf("%w: data has %d bytes, at most %d are allowed", ErrTxSize, len(tx.Data), MaxDataSize)
	}
	_, err := tx.MaxFee()
	return err
}

// MaxFee returns the most the transaction can cost beside its value, in wei: gas limit times maximum fee a gas.
func (tx Tx1559) MaxFee() (Uint256, error) {
	fee, err := tx.MaxFeePerGas.Mul64(tx.GasLimit)
	if err != nil {
		return Uint256{}, fmt.Errorf("maximum fee: %w", err)
	}
	return fee, nil
}

// DecodeUnsigned reads the signing payload of EIP-1559: 02 || rlp([chain id, nonce, tip, fee cap, gas limit, to, value,
// data, access list]). What it accepts passes [Tx1559.Check] and encodes to b again. Failures of a field are a
// [*DecodeError]. The result doesn't share memory with b.
func DecodeUnsigned(b []byte) (Tx1559, error) {
	fields, err := openEnvelope(b)
	if err != nil {
		return Tx1559{}, err
	}
	tx := readTx(fields)
	if err := fields.end("transaction"); err != nil {
		return Tx1559{}, err
	}
	again, err := tx.Encode()
	if err != nil {
		return Tx1559{}, err
	}
	if !bytes.Equal(again, b) {
		return Tx1559{}, ErrRebuild
	}
	return tx, nil
}

// Encode returns the signing payload that [DecodeUnsigned] reads, after [Tx1559.Check].
func (tx Tx1559) Encode() ([]byte, error) {
	if err := tx.Check(); err != nil {
		return nil, err
	}
	return encodeEnvelope(tx.appendFields(make([]byte, 0, fieldsRoom+len(tx.Data)))), nil
}

// fieldsRoom is about how long the fields of a transaction are without data: numbers of chain, nonce, gas, fees and value, an address, the
// signature.
const fieldsRoom = 224

// encodeEnvelope makes a transaction of its fields' encoding.
func encodeEnvelope(fields []byte) []byte {
	return appendList(append(make([]byte, 0, 10+len(fields)), txType), fields)
}

// SigningHash returns the Keccak-256 of [Tx1559.Encode], which is what the key signs.
func (tx Tx1559) SigningHash() ([32]byte, error) {
	b, err := tx.Encode()
	if err != nil {
		return [32]byte{}, err
	}
	return Keccak256(b), nil
}

// openEnvelope checks size and type, and opens the one list behind the type.
func openEnvelope(b []byte) (*rlpReader, error) {
	if len(b) > MaxTxSize {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrTxSize, len(b), MaxTxSize)
	}
	if len(b) == 0 {
		return nil, &DecodeError{Field: "transaction type", Err: ErrTruncated}
	}
	if b[0] != txType {
		return nil, fmt.Errorf("%w: first byte is %02x", ErrTxType, b[0])
	}
	outer := rlpReader{rest: b[1:]}
	fields := outer.list("transaction")
	if err := outer.end("transaction"); err != nil {
		return nil, err
	}
	return fields, nil
}

// readTx reads the nine fields of the payload; the caller looks at the reader's error.
func readTx(r *rlpReader) Tx1559 {
	tx := Tx1559{
		ChainID:              r.uint64("chain id"),
		Nonce:                r.uint64("nonce"),
		MaxPriorityFeePerGas: r.uint256("max priority fee per gas"),
		MaxFeePerGas:         r.uint256("max fee per gas"),
		GasLimit:             r.uint64("gas limit"),
	}
	switch to := r.view("to", AddressSize); {
	case r.err != nil:
	case len(to) == 0:
		r.fail("to", ErrCreation)
	case len(to) != AddressSize:
		r.fail("to", fmt.Errorf("%w: %d bytes, an address has %d", ErrItemSize, len(to), AddressSize))
	default:
		tx.To = Address(to)
	}
	tx.Value = r.uint256("value")
	tx.Data = r.bytes("data", MaxDataSize)
	if list := r.list("access list"); len(list.rest) != 0 {
		r.fail("access list", ErrAccessList)
	}
	return tx
}

// appendFields appends the nine fields of the payload.
func (tx Tx1559) appendFields(b []byte) []byte {
	b = appendUint64(b, tx.ChainID)
	b = appendUint64(b, tx.Nonce)
	b = appendInteger(b, tx.MaxPriorityFeePerGas)
	b = appendInteger(b, tx.MaxFeePerGas)
	b = appendUint64(b, tx.GasLimit)
	b = appendString(b, tx.To[:])
	b = appendInteger(b, tx.Value)
	b = appendString(b, tx.Data)
	return appendList(b, nil)
}
