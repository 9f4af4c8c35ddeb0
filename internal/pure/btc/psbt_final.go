// SPDX-License-Identifier: Apache-2.0

package btc

import "fmt"

// Finalize turns the signature of every open input into its witness and drops the fields that only signers need
// (BIP-174 "Input Finalizer"). Each signature is verified, those of final inputs too. p is unchanged; the result shares
// memory with it. Refusals: those of [PSBT.Check], [ErrNotSigned], [ErrSignature].
func (p PSBT) Finalize() (PSBT, error) {
	if err := p.Check(); err != nil {
		return PSBT{}, err
	}
	h, err := NewSighasher(p.Tx, p.Prevouts())
	if err != nil {
		return PSBT{}, err
	}
	final := PSBT{Tx: p.Tx, Inputs: make([]PSBTInput, len(p.Inputs)), Outputs: p.Outputs}
	for i, in := range p.Inputs {
		s, err := in.spend()
		if err != nil {
			return PSBT{}, fmt.Errorf("input %d: %w", i, err)
		}
		if err := s.verify(h, i); err != nil {
			return PSBT{}, err
		}
		final.Inputs[i] = PSBTInput{WitnessUTXO: in.WitnessUTXO, NonWitnessUTXO: in.NonWitnessUTXO, FinalWitness: s.witness()}
	}
	return final, nil
}

// Extract returns the signed transaction as it is broadcast (BIP-174 "Transaction Extractor"). Every signature is
// verified. Refusals: those of [PSBT.Check], [VerifyWitnesses] and [EncodeSigned], and [ErrNotFinal].
func (p PSBT) Extract() ([]byte, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	witnesses := make([][][]byte, len(p.Inputs))
	for i, in := range p.Inputs {
		if in.FinalWitness == nil {
			return nil, fmt.Errorf("input %d: %w", i, ErrNotFinal)
		}
		witnesses[i] = in.FinalWitness
	}
	if err := VerifyWitnesses(p.Tx, p.Prevouts(), witnesses); err != nil {
		return nil, err
	}
	return EncodeSigned(p.Tx, witnesses)
}

// CheckPrevTxs requires of every open P2WPKH input the transaction that made the output it spends; [PSBT.Check] compares
// the two wherever it is there. The signature of such an input does not commit to the amounts of the others, so that
// without this proof a signer can be led to pay a fee that was shown to be smaller (BIP-174 "Signer"). P2TR signatures
// commit to all amounts and need no proof (BIP-371 "UTXO Types"). Refusals: those of [PSBT.Check], and [ErrPrevTx].
func (p PSBT) CheckPrevTxs() error {
	if err := p.Check(); err != nil {
		return err
	}
	for i, in := range p.Inputs {
		if in.FinalWitness == nil && in.NonWitnessUTXO == nil && in.WitnessUTXO.Script.Kind() == KindP2WPKH {
			return fmt.Errorf("input %d: %w: it is missing; add the non-witness utxo", i, ErrPrevTx)
		}
	}
	return nil
}

// spend returns key and signature of an input that [PSBT.Check] accepts.
func (in PSBTInput) spend() (spend, error) {
	switch script := in.WitnessUTXO.Script; {
	case in.FinalWitness != nil:
		return parseSpend(script, in.FinalWitness)
	case in.PartialSig != nil:
		return spend{script: script, pub: in.PartialSig.Key, sig: in.PartialSig.Signature}, nil
	case in.TapKeySig != nil:
		return spend{script: script, sig: *in.TapKeySig}, nil
	default:
		return spend{}, ErrNotSigned
	}
}

// checkPrevTx compares the previous transaction, where it is given, with the output that is said to be in it.
func (in PSBTInput) checkPrevTx(spent OutPoint) error {
	if in.NonWitnessUTXO == nil {
		return nil
	}
	txid, outs, err := parsePrevTx(in.NonWitnessUTXO)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrPrevTx, err)
	}
	switch {
	case txid != spent.TxID:
		return fmt.Errorf("%w: its txid is %s, the input spends %s", ErrPrevTx, txid, spent)
	case uint64(spent.Index) >= uint64(len(outs)):
		return fmt.Errorf("%w: it has %d outputs, the input spends %s", ErrPrevTx, len(outs), spent)
	case !outs[spent.Index].Equal(in.WitnessUTXO):
		return fmt.Errorf("%w: its output %d differs from the witness utxo", ErrPrevTx, spent.Index)
	}
	return nil
}

// parsePrevTx reads any transaction, coinbase, legacy or segwit, and returns its txid and outputs. It is as strict as
// nodes are about form, and does not look at scripts and signatures.
func parsePrevTx(b []byte) (TxID, []TxOut, error) {
	if len(b) > MaxPrevTxBytes {
		return TxID{}, nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(b), MaxPrevTxBytes)
	}
	r := newReader(b)
	version := r.take(4)
	segwit := hasMarker(r.b)
	if segwit {
		r.take(2)
	}
	body := r.b
	inputs := r.count(MaxPrevTxBytes, txInBytes)
	for range inputs {
		r.outPoint()
		r.varBytes(MaxPrevTxBytes)
		r.u32()
	}
	var outs []TxOut
	for range r.count(MaxPrevTxBytes, minTxOut) {
		v := Sat(r.u64())
		if err := v.Check(); err != nil {
			r.fail(err)
		}
		outs = append(outs, TxOut{Value: v, Script: r.varBytes(MaxPrevTxBytes)})
	}
	body = body[:len(body)-len(r.b)]
	if segwit {
		items := 0
		for range inputs {
			n := r.count(MaxPrevTxBytes, 1)
			items += n
			for range n {
				r.varBytes(MaxPrevTxBytes)
			}
		}
		if items == 0 {
			r.fail(ErrNoWitness) // BIP-144: without any witness the old form must be used
		}
	}
	lock := r.take(4)
	if err := r.end(); err != nil {
		return TxID{}, nil, err
	}
	if inputs == 0 {
		return TxID{}, nil, ErrNoInputs
	}
	stripped := append(append(append([]byte{}, version...), body...), lock...)
	return doubleSHA256(stripped), outs, nil
}
