// SPDX-License-Identifier: Apache-2.0

package btc

import "fmt"

// Weights in weight units, BIP-141 "Transaction size calculations": a byte outside the witness weighs four, one in it one.
const (
	weightPerByte = 4
	weightMarker  = 2 // marker and flag of BIP-144

	// Witness of a P2WPKH input: item count; length and at most 71 bytes of DER with a sighash byte; length and 33 bytes of
	// public key. A signature is shorter by a byte every time that r starts with a zero bit, so this is an upper bound.
	weightWitnessP2WPKH = 1 + (1 + 71 + 1) + (1 + 33)
	// Witness of a P2TR key-path input: item count, length and 64 bytes of signature. Exact.
	weightWitnessP2TR = 1 + (1 + 64)
)

// dustRate is what Bitcoin Core assumes that spending costs when it calls an output dust, in satoshi a virtual byte
// (policy, DUST_RELAY_TX_FEE).
const dustRate = 3

// InputWeight returns the weight that an input which spends an output of kind k adds to a signed transaction: exact for
// P2TR by key path, an upper bound that is reached for P2WPKH. Other kinds are refused with [ErrKind].
func InputWeight(k Kind) (int, error) {
	w, err := witnessWeight(k)
	if err != nil {
		return 0, err
	}
	return txInBytes*weightPerByte + w, nil
}

func witnessWeight(k Kind) (int, error) {
	switch k {
	case KindP2WPKH:
		return weightWitnessP2WPKH, nil
	case KindP2TR:
		return weightWitnessP2TR, nil
	default:
		return 0, fmt.Errorf("%w: %s is not spent here", ErrKind, k)
	}
}

// MaxSignedWeight returns the largest weight that tx can have once it is signed. The prevouts are the outputs that the
// inputs spend, in the order of the inputs. The bound is reached when every ECDSA signature has its full length, and is
// exact when all inputs are P2TR. Refusals: [ErrPrevouts], [ErrKind], and [ErrTooLarge] above [MaxTxWeight].
func (tx UnsignedTx) MaxSignedWeight(prevouts []TxOut) (int, error) {
	if len(prevouts) != len(tx.Inputs) {
		return 0, fmt.Errorf("%w: %d for %d inputs", ErrPrevouts, len(prevouts), len(tx.Inputs))
	}
	weight := tx.size()*weightPerByte + weightMarker
	for i, p := range prevouts {
		w, err := witnessWeight(p.Script.Kind())
		if err != nil {
			return 0, fmt.Errorf("input %d: %w", i, err)
		}
		weight += w
	}
	return weight, checkWeight(weight)
}

// MaxSignedVSize returns [UnsignedTx.MaxSignedWeight] in virtual bytes, which fee rates refer to, rounded up.
func (tx UnsignedTx) MaxSignedVSize(prevouts []TxOut) (int, error) {
	w, err := tx.MaxSignedWeight(prevouts)
	return VSize(w), err
}

// VSize converts weight units to virtual bytes, rounded up (BIP-141).
func VSize(weight int) int { return (weight + weightPerByte - 1) / weightPerByte }

// SignedWeight returns the weight of the bytes that [EncodeSigned] writes, with the same refusals.
func SignedWeight(tx UnsignedTx, witnesses [][][]byte) (int, error) {
	b, err := EncodeSigned(tx, witnesses)
	if err != nil {
		return 0, err
	}
	return tx.weightWith(len(b)), nil
}

// weightWith returns the weight of tx when its signed form takes total bytes.
func (tx UnsignedTx) weightWith(total int) int { return tx.size()*(weightPerByte-1) + total }

func checkWeight(w int) error {
	if w > MaxTxWeight {
		return fmt.Errorf("%w: weight %d, at most %d; spread the transfer over several transactions", ErrTooLarge, w, MaxTxWeight)
	}
	return nil
}

// DustLimit returns the least value in satoshi that an output with this script may have to be relayed (policy,
// GetDustThreshold of Bitcoin Core at its default rate): 294 for P2WPKH, 330 for P2WSH and P2TR, 546 for P2PKH, 540 for
// P2SH. It is 0 for a script that can never be spent, for which there is no limit.
func (s Script) DustLimit() Sat {
	if s.Kind() == KindNullData || len(s) > MaxScriptBytes {
		return 0
	}
	// The output and the input that would spend it: outpoint, length, signature and key, sequence.
	spend := 32 + 4 + 1 + 107 + 4
	if s.isWitnessProgram() {
		spend = 32 + 4 + 1 + 107/weightPerByte + 4
	}
	return Sat(dustRate * (8 + varIntSize(len(s)) + len(s) + spend))
}
