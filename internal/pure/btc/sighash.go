// SPDX-License-Identifier: Apache-2.0

package btc

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"strongroom/internal/pure/secp"
)

// Signature hash types. Only these are signed: both commit to all inputs and all outputs.
const (
	SighashDefault byte = 0x00 // P2TR by key path, BIP-341; nothing is appended to the signature
	SighashAll     byte = 0x01 // P2WPKH, BIP-143; this byte is appended to the DER signature
)

// Sighasher computes the signature hashes of one transaction. The parts that all inputs share are hashed once, so that
// all hashes of a transaction take time linear in its size. It is immutable.
type Sighasher struct {
	tx       UnsignedTx
	prevouts []TxOut
	// Single SHA-256 over all outpoints, amounts, scripts and sequences of the inputs, and over all outputs.
	outPoints, amounts, scripts, sequences, outputs [32]byte
}

// NewSighasher prepares the signature hashes of tx. The prevouts are the outputs that the inputs spend, in the order of
// the inputs; the hash of a P2TR input commits to all of them, whatever their kind. The caller must not change tx or
// prevouts afterwards. Refusals: those of [UnsignedTx.Check] and [UnsignedTx.Fee].
//
// The hash of a P2WPKH input commits to the amount of that input alone. Who takes prevouts from a party that may lie,
// and signs the same inputs more than once, must compare them with the previous transactions ([PSBT.CheckPrevTxs]):
// otherwise two signed lies combine into a transaction that pays a fee nobody approved.
func NewSighasher(tx UnsignedTx, prevouts []TxOut) (*Sighasher, error) {
	if err := tx.Check(); err != nil {
		return nil, err
	}
	if _, err := tx.Fee(prevouts); err != nil {
		return nil, err
	}
	return prepareSighash(tx, prevouts), nil
}

// prepareSighash is [NewSighasher] without its checks.
func prepareSighash(tx UnsignedTx, prevouts []TxOut) *Sighasher {
	var outPoints, amounts, scripts, sequences, outputs []byte
	for i, in := range tx.Inputs {
		outPoints = in.OutPoint.append(outPoints)
		amounts = binary.LittleEndian.AppendUint64(amounts, uint64(prevouts[i].Value))
		scripts = appendVarBytes(scripts, prevouts[i].Script)
		sequences = binary.LittleEndian.AppendUint32(sequences, in.Sequence)
	}
	for _, out := range tx.Outputs {
		outputs = out.append(outputs)
	}
	return &Sighasher{
		tx:        tx,
		prevouts:  prevouts,
		outPoints: sha256.Sum256(outPoints),
		amounts:   sha256.Sum256(amounts),
		scripts:   sha256.Sum256(scripts),
		sequences: sha256.Sum256(sequences),
		outputs:   sha256.Sum256(outputs),
	}
}

// Hash returns what the signature of the given input, counted from 0, is made over. The output that the input spends
// decides how: P2WPKH by BIP-143 with [SighashAll], P2TR by BIP-341 for the key path with [SighashDefault]. Every other
// kind is refused with [ErrKind], an input that does not exist with [ErrInputIndex].
func (h *Sighasher) Hash(input int) ([32]byte, error) { return h.hashAs(input, SighashDefault) }

// hashAs is [Sighasher.Hash] with the hash type of a taproot signature: [SighashDefault], or [SighashAll], which commits to the same.
func (h *Sighasher) hashAs(input int, typ byte) ([32]byte, error) {
	if input < 0 || input >= len(h.tx.Inputs) {
		return [32]byte{}, fmt.Errorf("%w: %d", ErrInputIndex, input)
	}
	switch kind, payload := h.prevouts[input].Script.split(); kind {
	case KindP2WPKH:
		// BIP-143 "Specification", item 5: the scriptCode of P2WPKH is the P2PKH script of the same key hash.
		return h.segwitV0(input, slices.Concat([]byte{opDup, opHash160, 20}, payload, []byte{opEqualVerify, opCheckSig})), nil
	case KindP2TR:
		return h.taproot(input, typ), nil
	default:
		return [32]byte{}, fmt.Errorf("input %d: %w: %s is not signed here", input, ErrKind, kind)
	}
}

// segwitV0 is the digest of BIP-143 "Specification" with SIGHASH_ALL; the numbers are those of the list there.
func (h *Sighasher) segwitV0(input int, scriptCode []byte) [32]byte {
	in := h.tx.Inputs[input]
	outPoints, sequences, outputs := sha256.Sum256(h.outPoints[:]), sha256.Sum256(h.sequences[:]), sha256.Sum256(h.outputs[:])
	b := binary.LittleEndian.AppendUint32(nil, uint32(h.tx.Version))             // 1
	b = append(b, outPoints[:]...)                                               // 2
	b = append(b, sequences[:]...)                                               // 3
	b = in.OutPoint.append(b)                                                    // 4
	b = appendVarBytes(b, scriptCode)                                            // 5
	b = binary.LittleEndian.AppendUint64(b, uint64(h.prevouts[input].Value))     // 6
	b = binary.LittleEndian.AppendUint32(b, in.Sequence)                         // 7
	b = append(b, outputs[:]...)                                                 // 8
	b = binary.LittleEndian.AppendUint32(b, h.tx.LockTime)                       // 9
	return doubleSHA256(binary.LittleEndian.AppendUint32(b, uint32(SighashAll))) // 10
}

// taproot is the digest of BIP-341 "Common signature message" with SIGHASH_DEFAULT or SIGHASH_ALL, key path, no annex.
func (h *Sighasher) taproot(input int, typ byte) [32]byte {
	b := []byte{0x00, typ} // epoch, hash_type
	b = binary.LittleEndian.AppendUint32(b, uint32(h.tx.Version))
	b = binary.LittleEndian.AppendUint32(b, h.tx.LockTime)
	for _, sum := range [][32]byte{h.outPoints, h.amounts, h.scripts, h.sequences, h.outputs} {
		b = append(b, sum[:]...)
	}
	b = append(b, 0x00) // spend_type: ext_flag 0, no annex
	b = binary.LittleEndian.AppendUint32(b, uint32(input))
	return secp.TaggedHash("TapSighash", b)
}
