// SPDX-License-Identifier: Apache-2.0

package btc

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// EncodeSigned writes a transaction with the witnesses of its inputs, one a input and each a list of items, in the
// serialization of BIP-144: the bytes that are broadcast. Whether the witnesses are right is not looked at here, see
// [VerifyWitnesses]. Refusals: those of [UnsignedTx.Check]; [ErrNoWitness] for an input without witness; [ErrPrevouts]
// when there is not one witness an input; [ErrTooLarge] when the whole is over [MaxTxWeight] or a witness over its limits.
func EncodeSigned(tx UnsignedTx, witnesses [][][]byte) ([]byte, error) {
	if err := tx.Check(); err != nil {
		return nil, err
	}
	if len(witnesses) != len(tx.Inputs) {
		return nil, fmt.Errorf("%w: %d witnesses for %d inputs", ErrNoWitness, len(witnesses), len(tx.Inputs))
	}
	b := binary.LittleEndian.AppendUint32(nil, uint32(tx.Version))
	b = tx.appendBody(append(b, 0, 1))
	for i, w := range witnesses {
		if err := checkWitness(w); err != nil {
			return nil, fmt.Errorf("input %d: %w", i, err)
		}
		b = appendWitness(b, w)
	}
	b = binary.LittleEndian.AppendUint32(b, tx.LockTime)
	if err := checkWeight(tx.weightWith(len(b))); err != nil {
		return nil, err
	}
	return b, nil
}

// DecodeSigned reads what [EncodeSigned] writes and nothing else, and returns the transaction and the witnesses of its
// inputs. The results share no memory with b. Refusals: those of [DecodeUnsigned] and [EncodeSigned].
func DecodeSigned(b []byte) (UnsignedTx, [][][]byte, error) {
	if len(b) > MaxTxWeight {
		return UnsignedTx{}, nil, fmt.Errorf("signed transaction: %w: %d bytes", ErrTooLarge, len(b))
	}
	r := newReader(b)
	tx := UnsignedTx{Version: int32(r.u32())}
	if r.err == nil && !hasMarker(r.b) {
		r.fail(ErrNoWitness)
	}
	r.take(2)
	tx.readBody(r)
	witnesses := make([][][]byte, len(tx.Inputs))
	for i := range witnesses {
		witnesses[i] = r.witness()
	}
	tx.LockTime = r.u32()
	if err := r.end(); err != nil {
		return UnsignedTx{}, nil, fmt.Errorf("signed transaction: %w", err)
	}
	if err := tx.Check(); err != nil {
		return UnsignedTx{}, nil, err
	}
	for i, w := range witnesses {
		if err := checkWitness(w); err != nil {
			return UnsignedTx{}, nil, fmt.Errorf("input %d: %w", i, err)
		}
	}
	if err := checkWeight(tx.weightWith(len(b))); err != nil {
		return UnsignedTx{}, nil, err
	}
	return tx, witnesses, nil
}

// witness reads the witness of one input; the items are copies.
func (r *reader) witness() [][]byte {
	w := make([][]byte, r.count(MaxWitnessItems, 1))
	for i := range w {
		w[i] = slices.Clone(r.varBytes(MaxScriptBytes))
	}
	return w
}

// appendWitness appends what [reader.witness] reads.
func appendWitness(b []byte, w [][]byte) []byte {
	b = appendVarInt(b, uint64(len(w)))
	for _, item := range w {
		b = appendVarBytes(b, item)
	}
	return b
}

// checkWitness applies the limits; every input that is spent here has a witness.
func checkWitness(w [][]byte) error {
	if len(w) == 0 {
		return ErrNoWitness
	}
	if len(w) > MaxWitnessItems {
		return fmt.Errorf("%w: witness of %d items, at most %d", ErrTooLarge, len(w), MaxWitnessItems)
	}
	for _, item := range w {
		if len(item) > MaxScriptBytes {
			return fmt.Errorf("%w: witness item of %d bytes, at most %d", ErrTooLarge, len(item), MaxScriptBytes)
		}
	}
	return nil
}
