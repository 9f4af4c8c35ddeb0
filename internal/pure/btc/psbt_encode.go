// SPDX-License-Identifier: Apache-2.0

package btc

import (
	"encoding/binary"
	"fmt"
)

// Encode writes p in binary form, the keys of each map in ascending order. It refuses what [PSBT.Check] refuses and, with
// [ErrTooLarge], what takes more than [MaxPSBTBytes].
func (p PSBT) Encode() ([]byte, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	b := []byte(psbtMagic)
	b = append(appendField(b, globalUnsignedTx, nil, p.Tx.Encode()), 0)
	for i := range p.Inputs {
		b = p.Inputs[i].append(b)
	}
	for _, out := range p.Outputs {
		b = out.append(b)
	}
	if len(b) > MaxPSBTBytes {
		return nil, fmt.Errorf("psbt: %w: %d bytes, at most %d", ErrTooLarge, len(b), MaxPSBTBytes)
	}
	return b, nil
}

// append appends the map of an input with its separator.
func (in *PSBTInput) append(b []byte) []byte {
	if in.NonWitnessUTXO != nil {
		b = appendField(b, inNonWitnessUTXO, nil, in.NonWitnessUTXO)
	}
	b = appendField(b, inWitnessUTXO, nil, in.WitnessUTXO.append(nil))
	if sig := in.PartialSig; sig != nil {
		key := sig.Key.Compressed()
		b = appendField(b, inPartialSig, key[:], append(writeDER(sig.Signature), SighashAll))
	}
	if in.SighashStated {
		b = appendField(b, inSighash, nil, binary.LittleEndian.AppendUint32(nil, uint32(in.sighashType())))
	}
	if d := in.Derivation; d != nil {
		b = d.append(b, inDerivation)
	}
	if in.FinalWitness != nil {
		b = appendField(b, inFinalWitness, nil, appendWitness(nil, in.FinalWitness))
	}
	if in.TapKeySig != nil {
		b = appendField(b, inTapKeySig, nil, in.TapKeySig[:])
	}
	if d := in.TapDerivation; d != nil {
		b = d.append(b, inTapDerivation)
	}
	if in.TapInternalKey != nil {
		b = appendField(b, inTapInternalKey, nil, in.TapInternalKey[:])
	}
	return append(b, 0)
}

// append appends the map of an output with its separator.
func (out PSBTOutput) append(b []byte) []byte {
	if d := out.Derivation; d != nil {
		b = d.append(b, outDerivation)
	}
	if out.TapInternalKey != nil {
		b = appendField(b, outTapInternalKey, nil, out.TapInternalKey[:])
	}
	if d := out.TapDerivation; d != nil {
		b = d.append(b, outTapDerivation)
	}
	return append(b, 0)
}

func (d *Derivation) append(b []byte, kind byte) []byte {
	key := d.Key.Compressed()
	return appendField(b, kind, key[:], d.Origin.append(nil))
}

func (d *TapDerivation) append(b []byte, kind byte) []byte {
	return appendField(b, kind, d.InternalKey[:], d.Origin.append([]byte{0})) // no leaf hashes
}

func (o KeyOrigin) append(b []byte) []byte {
	b = append(b, o.Fingerprint[:]...)
	for _, level := range o.Path {
		b = binary.LittleEndian.AppendUint32(b, level)
	}
	return b
}

// appendField appends one key-value pair.
func appendField(b []byte, kind byte, key, value []byte) []byte {
	b = appendVarInt(b, uint64(1+len(key)))
	b = append(append(b, kind), key...)
	return appendVarBytes(b, value)
}
