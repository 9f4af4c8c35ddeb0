// SPDX-License-Identifier: Apache-2.0

package btc

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"strongroom/internal/pure/secp"
)

// psbtMagic opens every PSBT, BIP-174 "Specification".
const psbtMagic = "psbt\xff"

// Field types of BIP-174 and BIP-371 that are known here. All others are refused.
const (
	globalUnsignedTx = 0x00

	inNonWitnessUTXO = 0x00
	inWitnessUTXO    = 0x01
	inPartialSig     = 0x02
	inSighash        = 0x03
	inDerivation     = 0x06
	inFinalWitness   = 0x08
	inTapKeySig      = 0x13
	inTapDerivation  = 0x16
	inTapInternalKey = 0x17

	outDerivation     = 0x02
	outTapInternalKey = 0x05
	outTapDerivation  = 0x07
)

// DecodePSBT reads a PSBT in binary form (not base64). What it accepts passes [PSBT.Check], and [PSBT.Encode] writes it
// back byte for byte: the keys of each map ascend, and none occurs twice. The result shares no memory with b.
//
// Refusals beside those of [PSBT.Check] and [DecodeUnsigned]: [ErrMagic]; [ErrUnknownField] for a field that is not in
// the subset; [ErrDuplicateKey] and [ErrKeyOrder]; [ErrFieldForm] for a field with the wrong length of key or value.
func DecodePSBT(b []byte) (PSBT, error) {
	if len(b) > MaxPSBTBytes {
		return PSBT{}, fmt.Errorf("psbt: %w: %d bytes, at most %d", ErrTooLarge, len(b), MaxPSBTBytes)
	}
	r := newReader(b)
	if string(r.take(len(psbtMagic))) != psbtMagic {
		return PSBT{}, fmt.Errorf("psbt: %w", ErrMagic)
	}
	var p PSBT
	r.fields("global", p.globalField)
	if r.err == nil && p.Tx.Inputs == nil {
		r.fail(fmt.Errorf("%w: unsigned transaction", ErrMissingField))
	}
	p.Inputs = make([]PSBTInput, len(p.Tx.Inputs))
	for i := range p.Inputs {
		r.fields(fmt.Sprintf("input %d", i), p.Inputs[i].field)
	}
	p.Outputs = make([]PSBTOutput, len(p.Tx.Outputs))
	for i := range p.Outputs {
		r.fields(fmt.Sprintf("output %d", i), p.Outputs[i].field)
	}
	if err := r.end(); err != nil {
		return PSBT{}, fmt.Errorf("psbt: %w", err)
	}
	if err := p.Check(); err != nil {
		return PSBT{}, fmt.Errorf("psbt: %w", err)
	}
	return p, nil
}

// fields reads one map up to its separator and hands each field to visit: the type, the rest of the key, and the value.
// Both slices alias the input.
func (r *reader) fields(where string, visit func(kind byte, key, value []byte) error) {
	var last []byte
	for {
		key := r.varBytes(MaxPSBTBytes)
		if len(key) == 0 {
			return
		}
		value := r.varBytes(MaxPSBTBytes)
		if r.err != nil {
			return
		}
		var err error
		switch c := bytes.Compare(last, key); {
		case last != nil && c == 0:
			err = ErrDuplicateKey
		case last != nil && c > 0:
			err = ErrKeyOrder
		default:
			err = visit(key[0], key[1:], value)
		}
		if err != nil {
			r.fail(fmt.Errorf("%s, field %02x: %w", where, key[0], err))
			return
		}
		last = key
	}
}

func (p *PSBT) globalField(kind byte, key, value []byte) (err error) {
	if kind != globalUnsignedTx {
		return ErrUnknownField
	}
	if len(key) != 0 {
		return fmt.Errorf("%w: key data of %d bytes, want none", ErrFieldForm, len(key))
	}
	p.Tx, err = DecodeUnsigned(value)
	return err
}

// field reads one field of an input. Whether it fits the script is for [PSBT.Check] to say.
func (in *PSBTInput) field(kind byte, key, value []byte) (err error) {
	switch kind {
	case inDerivation:
		return in.derivation(key, value)
	case inTapDerivation:
		return in.tapDerivation(key, value)
	case inPartialSig:
		in.PartialSig = &PartialSig{}
		in.PartialSig.Key, in.PartialSig.Signature, err = parseECDSA(key, value)
		return err
	}
	if !slices.Contains([]byte{inNonWitnessUTXO, inWitnessUTXO, inSighash, inFinalWitness, inTapKeySig, inTapInternalKey}, kind) {
		return ErrUnknownField
	}
	if len(key) != 0 {
		return fmt.Errorf("%w: key data of %d bytes, want none", ErrFieldForm, len(key))
	}
	switch kind {
	case inNonWitnessUTXO:
		in.NonWitnessUTXO = slices.Clone(value)
	case inWitnessUTXO:
		r := newReader(value)
		in.WitnessUTXO = r.txOut()
		return r.end()
	case inSighash:
		return in.sighash(value)
	case inFinalWitness:
		r := newReader(value)
		in.FinalWitness = r.witness()
		return r.end()
	case inTapKeySig:
		sig, err := parseSchnorr(value)
		in.TapKeySig = &sig
		return err
	case inTapInternalKey:
		return in.internalKey(value)
	}
	return nil
}

// sighash reads the sighash type, which has to be the one for the script; canonical order puts the script before it.
func (in *PSBTInput) sighash(value []byte) error {
	if len(value) != 4 {
		return fmt.Errorf("%w: sighash type of %d bytes, want 4", ErrFieldForm, len(value))
	}
	if got, want := binary.LittleEndian.Uint32(value), in.sighashType(); got != uint32(want) {
		return fmt.Errorf("%w: type %#x, want %#x", ErrSighash, got, want)
	}
	in.SighashStated = true
	return nil
}

// sighashType is the only sighash type that an input can have.
func (in *PSBTInput) sighashType() byte {
	if in.WitnessUTXO.Script.Kind() == KindP2TR {
		return SighashDefault
	}
	return SighashAll
}

// field reads one field of an output.
func (out *PSBTOutput) field(kind byte, key, value []byte) error {
	switch kind {
	case outDerivation:
		return out.derivation(key, value)
	case outTapDerivation:
		return out.tapDerivation(key, value)
	case outTapInternalKey:
		if len(key) != 0 {
			return fmt.Errorf("%w: key data of %d bytes, want none", ErrFieldForm, len(key))
		}
		return out.internalKey(value)
	default:
		return ErrUnknownField
	}
}

func (k *PSBTKeys) derivation(key, value []byte) error {
	if k.Derivation != nil {
		return fmt.Errorf("%w: a second key; the script pays to one", ErrForeignKey)
	}
	pub, err := secp.ParsePublicKey(key)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrPoint, err)
	}
	origin, err := parseOrigin(value)
	if err != nil {
		return err
	}
	k.Derivation = &Derivation{Key: pub, Origin: origin}
	return nil
}

func (k *PSBTKeys) tapDerivation(key, value []byte) error {
	if len(key) != secp.XOnlySize {
		return fmt.Errorf("%w: key of %d bytes, want %d", ErrFieldForm, len(key), secp.XOnlySize)
	}
	if k.TapDerivation != nil {
		return fmt.Errorf("%w: a second key; the script pays to one", ErrForeignKey)
	}
	if len(value) == 0 || value[0] != 0 {
		return fmt.Errorf("%w: origin with leaf hashes; only the key path is supported", ErrFieldForm)
	}
	origin, err := parseOrigin(value[1:])
	if err != nil {
		return err
	}
	k.TapDerivation = &TapDerivation{InternalKey: [secp.XOnlySize]byte(key), Origin: origin}
	return nil
}

func (k *PSBTKeys) internalKey(value []byte) error {
	if len(value) != secp.XOnlySize {
		return fmt.Errorf("%w: key of %d bytes, want %d", ErrFieldForm, len(value), secp.XOnlySize)
	}
	key := [secp.XOnlySize]byte(value)
	k.TapInternalKey = &key
	return nil
}

// parseOrigin reads a fingerprint and a path, each level four bytes little-endian.
func parseOrigin(b []byte) (KeyOrigin, error) {
	if len(b) < 4 || len(b)%4 != 0 {
		return KeyOrigin{}, fmt.Errorf("%w: key origin of %d bytes", ErrFieldForm, len(b))
	}
	if len(b)/4-1 > MaxPathLevels {
		return KeyOrigin{}, fmt.Errorf("%w: path of %d levels, at most %d", ErrTooLarge, len(b)/4-1, MaxPathLevels)
	}
	o := KeyOrigin{Fingerprint: [4]byte(b)}
	for b = b[4:]; len(b) > 0; b = b[4:] {
		o.Path = append(o.Path, binary.LittleEndian.Uint32(b))
	}
	return o, nil
}
