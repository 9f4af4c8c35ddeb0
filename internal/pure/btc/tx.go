// SPDX-License-Identifier: Apache-2.0

package btc

import (
	"encoding/binary"
	"fmt"
)

// TxIn is an input of an unsigned transaction. The script signature of native segwit inputs is always empty.
type TxIn struct {
	OutPoint OutPoint // the output it spends
	Sequence uint32   // nSequence: relative lock time (BIP-68), replaceability (BIP-125)
}

// TxOut is an output: an amount and the script it is paid to.
type TxOut struct {
	Value  Sat
	Script Script
}

// Equal tells whether two outputs are the same.
func (o TxOut) Equal(p TxOut) bool { return o.Value == p.Value && o.Script.Equal(p.Script) }

// append appends o as it stands in transactions.
func (o TxOut) append(b []byte) []byte {
	return appendVarBytes(binary.LittleEndian.AppendUint64(b, uint64(o.Value)), o.Script)
}

// UnsignedTx is a transaction without signatures, all inputs of which are native segwit. Its txid does not change when
// it is signed.
type UnsignedTx struct {
	Version  int32 // 1 or 2; 2 for relative lock times
	Inputs   []TxIn
	Outputs  []TxOut
	LockTime uint32 // block height, or Unix time in seconds from 500000000 on; 0 for none
}

// Sizes of parts of a transaction in bytes.
const (
	txInBytes    = 32 + 4 + 1 + 4 // outpoint, empty script signature, sequence
	minTxOut     = 8 + 1          // value, empty script
	txFixedBytes = 4 + 4          // version, lock time
)

// DecodeUnsigned reads the serialization of an unsigned transaction, without witness and with empty script signatures.
// Whatever it accepts, [UnsignedTx.Encode] writes back byte for byte, and [UnsignedTx.Check] accepts. The result shares
// no memory with b.
//
// Refusals: those of [UnsignedTx.Check], [ErrWitness], [ErrScriptSig], [ErrVarInt], [ErrTruncated], [ErrTrailing] and
// [ErrTooLarge].
func DecodeUnsigned(b []byte) (UnsignedTx, error) {
	if len(b) > MaxUnsignedBytes {
		return UnsignedTx{}, fmt.Errorf("unsigned transaction: %w: %d bytes, at most %d", ErrTooLarge, len(b), MaxUnsignedBytes)
	}
	r := newReader(b)
	tx := UnsignedTx{Version: int32(r.u32())}
	if hasMarker(r.b) {
		r.fail(ErrWitness)
	}
	tx.readBody(r)
	tx.LockTime = r.u32()
	if err := r.end(); err != nil {
		return UnsignedTx{}, fmt.Errorf("unsigned transaction: %w", err)
	}
	if err := tx.Check(); err != nil {
		return UnsignedTx{}, err
	}
	return tx, nil
}

// hasMarker tells whether what follows the version is the marker and flag of BIP-144.
func hasMarker(b []byte) bool { return len(b) >= 2 && b[0] == 0 && b[1] == 1 }

// readBody reads inputs and outputs.
func (tx *UnsignedTx) readBody(r *reader) {
	for range r.count(MaxInputs, txInBytes) {
		in := TxIn{OutPoint: r.outPoint()}
		if r.varInt() != 0 {
			r.fail(ErrScriptSig)
		}
		in.Sequence = r.u32()
		tx.Inputs = append(tx.Inputs, in)
	}
	for range r.count(MaxOutputs, minTxOut) {
		tx.Outputs = append(tx.Outputs, r.txOut())
	}
}

// Check applies the rules for transactions that are signed here: version 1 or 2 ([ErrVersion]), at least one input and
// output ([ErrNoInputs], [ErrNoOutputs]), no output spent twice ([ErrDuplicateInput]), no coinbase ([ErrCoinbase]),
// values and their sum within 21 million bitcoin ([ErrAmount]), and the limits of this package ([ErrTooLarge]).
// It does not look at what the scripts pay to: that is what [Script.Kind] and [Script.Address] are for.
func (tx UnsignedTx) Check() error {
	if tx.Version != 1 && tx.Version != 2 {
		return fmt.Errorf("%w: got %d", ErrVersion, tx.Version)
	}
	if len(tx.Inputs) == 0 {
		return ErrNoInputs
	}
	if len(tx.Outputs) == 0 {
		return ErrNoOutputs
	}
	if len(tx.Inputs) > MaxInputs || len(tx.Outputs) > MaxOutputs {
		return fmt.Errorf("%w: %d inputs and %d outputs, at most %d and %d",
			ErrTooLarge, len(tx.Inputs), len(tx.Outputs), MaxInputs, MaxOutputs)
	}
	seen := make(map[OutPoint]struct{}, len(tx.Inputs))
	for i, in := range tx.Inputs {
		if in.OutPoint.isNull() {
			return fmt.Errorf("input %d: %w", i, ErrCoinbase)
		}
		if _, dup := seen[in.OutPoint]; dup {
			return fmt.Errorf("input %d: %w: %s", i, ErrDuplicateInput, in.OutPoint)
		}
		seen[in.OutPoint] = struct{}{}
	}
	for i, out := range tx.Outputs {
		if len(out.Script) > MaxScriptBytes {
			return fmt.Errorf("output %d: %w: script of %d bytes, at most %d", i, ErrTooLarge, len(out.Script), MaxScriptBytes)
		}
	}
	if _, err := sumOutputs(tx.Outputs); err != nil {
		return err
	}
	if n := tx.size(); n > MaxUnsignedBytes {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, n, MaxUnsignedBytes)
	}
	return nil
}

// Encode returns the serialization that [DecodeUnsigned] reads. It does not check tx: bytes of a tx that
// [UnsignedTx.Check] refuses are refused by [DecodeUnsigned] too.
func (tx UnsignedTx) Encode() []byte {
	b := make([]byte, 0, tx.size())
	b = binary.LittleEndian.AppendUint32(b, uint32(tx.Version))
	b = tx.appendBody(b)
	return binary.LittleEndian.AppendUint32(b, tx.LockTime)
}

// appendBody appends inputs and outputs.
func (tx UnsignedTx) appendBody(b []byte) []byte {
	b = appendVarInt(b, uint64(len(tx.Inputs)))
	for _, in := range tx.Inputs {
		b = append(in.OutPoint.append(b), 0)
		b = binary.LittleEndian.AppendUint32(b, in.Sequence)
	}
	b = appendVarInt(b, uint64(len(tx.Outputs)))
	for _, out := range tx.Outputs {
		b = out.append(b)
	}
	return b
}

// size returns the length of [UnsignedTx.Encode] in bytes.
func (tx UnsignedTx) size() int {
	n := txFixedBytes + varIntSize(len(tx.Inputs)) + varIntSize(len(tx.Outputs)) + len(tx.Inputs)*txInBytes
	for _, out := range tx.Outputs {
		n += 8 + varIntSize(len(out.Script)) + len(out.Script)
	}
	return n
}

// TxID returns the id that the transaction has unsigned and signed: the double SHA-256 of [UnsignedTx.Encode].
func (tx UnsignedTx) TxID() TxID { return doubleSHA256(tx.Encode()) }

// Fee returns what the inputs are worth more than the outputs. The prevouts are the outputs that the inputs spend, in
// the order of the inputs. Refusals: [ErrPrevouts] when their number differs, [ErrAmount], and [ErrOverspent].
func (tx UnsignedTx) Fee(prevouts []TxOut) (Sat, error) {
	if len(prevouts) != len(tx.Inputs) {
		return 0, fmt.Errorf("%w: %d for %d inputs", ErrPrevouts, len(prevouts), len(tx.Inputs))
	}
	in, err := sumOutputs(prevouts)
	if err != nil {
		return 0, fmt.Errorf("spent %w", err)
	}
	out, err := sumOutputs(tx.Outputs)
	if err != nil {
		return 0, err
	}
	if out > in {
		return 0, fmt.Errorf("%w: %d and %d satoshi", ErrOverspent, uint64(out), uint64(in))
	}
	return in - out, nil
}
