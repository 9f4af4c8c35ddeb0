// SPDX-License-Identifier: Apache-2.0

package btc

import (
	"fmt"

	"strongroom/internal/pure/secp"
)

// PSBT is a partially signed transaction, version 0 of BIP-174 with the key-path fields of BIP-371. Every input spends
// P2WPKH or P2TR by key path; there are no scripts, script trees, extended keys or proprietary fields in it.
type PSBT struct {
	Tx      UnsignedTx
	Inputs  []PSBTInput  // one an input of Tx
	Outputs []PSBTOutput // one an output of Tx
}

// PSBTInput is what is known about one input. An input is either open or final; a final one has FinalWitness and, beside
// that, only what it spends.
type PSBTInput struct {
	WitnessUTXO    TxOut  // the output it spends; required
	NonWitnessUTXO []byte // the whole transaction that made it, signed or not; nil where absent. See [PSBT.CheckPrevTxs]

	// SighashStated says that the sighash type is written down. It can only be ALL for P2WPKH and DEFAULT for P2TR.
	SighashStated bool

	PSBTKeys
	PartialSig   *PartialSig               // P2WPKH
	TapKeySig    *[secp.SignatureSize]byte // P2TR
	FinalWitness [][]byte                  // as it goes into the signed transaction
}

// PSBTOutput is what is known about one output.
type PSBTOutput struct {
	PSBTKeys
}

// PSBTKeys says which key an input or output pays to and how that key is derived. What stands here was compared with the
// script: the key is the one that the script pays to. Where the origin leads is a claim: who relies on it, for instance
// to tell change, derives the key and compares.
type PSBTKeys struct {
	Derivation     *Derivation           // P2WPKH only
	TapInternalKey *[secp.XOnlySize]byte // P2TR only: the key before the tweak of BIP-86
	TapDerivation  *TapDerivation        // P2TR only: that key, and where it comes from
}

// Derivation is a public key and where it comes from.
type Derivation struct {
	Key    secp.PublicKey
	Origin KeyOrigin
}

// TapDerivation is a taproot internal key and where it comes from.
type TapDerivation struct {
	InternalKey [secp.XOnlySize]byte
	Origin      KeyOrigin
}

// KeyOrigin names a master key and a path below it, at most [MaxPathLevels] long.
type KeyOrigin struct {
	Fingerprint [4]byte // BIP-32 fingerprint of the master key
	Path        secp.Path
}

// PartialSig is an ECDSA signature with [SighashAll] and the key that made it.
type PartialSig struct {
	Key       secp.PublicKey
	Signature [secp.SignatureSize]byte // r || s, low s
}

// NewPSBT returns the PSBT of tx without anything signed. The prevouts are the outputs that the inputs spend, in the
// order of the inputs. Refusals are those of [PSBT.Check].
func NewPSBT(tx UnsignedTx, prevouts []TxOut) (PSBT, error) {
	p := PSBT{Tx: tx, Inputs: make([]PSBTInput, len(prevouts)), Outputs: make([]PSBTOutput, len(tx.Outputs))}
	for i, o := range prevouts {
		p.Inputs[i].WitnessUTXO = o
	}
	if err := p.Check(); err != nil {
		return PSBT{}, err
	}
	return p, nil
}

// Prevouts returns the outputs that the inputs spend, in the order of the inputs.
func (p PSBT) Prevouts() []TxOut {
	outs := make([]TxOut, len(p.Inputs))
	for i, in := range p.Inputs {
		outs[i] = in.WitnessUTXO
	}
	return outs
}

// Origin returns where the key comes from, of whichever kind it is; false if that is not written down.
func (k PSBTKeys) Origin() (KeyOrigin, bool) {
	switch {
	case k.Derivation != nil:
		return k.Derivation.Origin, true
	case k.TapDerivation != nil:
		return k.TapDerivation.Origin, true
	default:
		return KeyOrigin{}, false
	}
}

// Check applies all rules that concern the content of a PSBT. Signatures of the right form are not verified; that
// [PSBT.Finalize] and [PSBT.Extract] do. Refusals beside those of [UnsignedTx.Check] and [UnsignedTx.Fee]:
//
//   - [ErrMissingField]: an input without the output it spends
//   - [ErrKind]: an input that spends neither P2WPKH nor P2TR
//   - [ErrPrevTx]: a previous transaction with another txid, or another output than the one given
//   - [ErrForeignKey]: a key, internal key or signature that does not belong to the script
//   - [ErrFieldConflict]: a final input with fields of an open one, or fields for another kind of script
//   - [ErrDER], [ErrSighash], [ErrWitnessForm], [ErrPoint]: signatures and keys of the wrong form
//   - [ErrTooLarge]: a path, witness or previous transaction over its limit
func (p PSBT) Check() error {
	if err := p.Tx.Check(); err != nil {
		return err
	}
	if len(p.Inputs) != len(p.Tx.Inputs) || len(p.Outputs) != len(p.Tx.Outputs) {
		return fmt.Errorf("%w: %d inputs and %d outputs described, transaction has %d and %d",
			ErrMissingField, len(p.Inputs), len(p.Outputs), len(p.Tx.Inputs), len(p.Tx.Outputs))
	}
	for i, in := range p.Inputs {
		if err := in.check(p.Tx.Inputs[i].OutPoint); err != nil {
			return fmt.Errorf("input %d: %w", i, err)
		}
	}
	if _, err := p.Tx.Fee(p.Prevouts()); err != nil {
		return err
	}
	for i, out := range p.Outputs {
		if err := out.check(p.Tx.Outputs[i].Script); err != nil {
			return fmt.Errorf("output %d: %w", i, err)
		}
	}
	return nil
}

func (in PSBTInput) check(spent OutPoint) error {
	script := in.WitnessUTXO.Script
	kind := script.Kind()
	switch {
	case script == nil:
		return fmt.Errorf("%w: witness utxo", ErrMissingField)
	case kind != KindP2WPKH && kind != KindP2TR:
		return fmt.Errorf("%w: %s is not spent here", ErrKind, kind)
	case kind != KindP2WPKH && in.PartialSig != nil, kind != KindP2TR && in.TapKeySig != nil:
		return fmt.Errorf("%w: signature for another kind of script than %s", ErrFieldConflict, kind)
	}
	if err := in.checkPrevTx(spent); err != nil {
		return err
	}
	if err := in.PSBTKeys.check(script); err != nil {
		return err
	}
	if sig := in.PartialSig; sig != nil {
		if err := secp.CheckSignature(sig.Signature); err != nil {
			return fmt.Errorf("%w: %w", ErrDER, err)
		}
		if err := checkKeyOf(script, sig.Key); err != nil {
			return err
		}
	}
	if in.FinalWitness == nil {
		return nil
	}
	if in.SighashStated || in.PSBTKeys != (PSBTKeys{}) || in.PartialSig != nil || in.TapKeySig != nil {
		return fmt.Errorf("%w: a final input has only its witness and what it spends", ErrFieldConflict)
	}
	_, err := parseSpend(script, in.FinalWitness)
	return err
}

// check compares the keys with the script that they are said to belong to.
func (k PSBTKeys) check(script Script) error {
	kind, payload := script.split()
	if (k.Derivation != nil && kind != KindP2WPKH) || ((k.TapInternalKey != nil || k.TapDerivation != nil) && kind != KindP2TR) {
		return fmt.Errorf("%w: key for another kind of script than %s", ErrFieldConflict, kind)
	}
	if origin, ok := k.Origin(); ok && len(origin.Path) > MaxPathLevels {
		return fmt.Errorf("%w: path of %d levels, at most %d", ErrTooLarge, len(origin.Path), MaxPathLevels)
	}
	if k.Derivation != nil {
		if err := checkKeyOf(script, k.Derivation.Key); err != nil {
			return err
		}
	}
	for _, key := range k.internalKeys() {
		out, err := TaprootOutputKey(key)
		if err != nil {
			return err
		}
		if out != [32]byte(payload) {
			return fmt.Errorf("%w: taproot internal key %x", ErrForeignKey, key)
		}
	}
	return nil
}

// internalKeys lists the internal keys that are written down; with a script that fits them they are the same.
func (k PSBTKeys) internalKeys() [][secp.XOnlySize]byte {
	var keys [][secp.XOnlySize]byte
	if k.TapInternalKey != nil {
		keys = append(keys, *k.TapInternalKey)
	}
	if d := k.TapDerivation; d != nil && (k.TapInternalKey == nil || d.InternalKey != *k.TapInternalKey) {
		keys = append(keys, d.InternalKey)
	}
	return keys
}
