// SPDX-License-Identifier: Apache-2.0

package btc

import (
	"fmt"

	"strongroom/internal/pure/secp"
)

// VerifyWitnesses checks that every witness spends its input: a P2WPKH witness is a strict DER signature with
// [SighashAll] and the key that the output pays to, a P2TR witness is one signature of 64 bytes under the output key, and
// all signatures verify over the signature hash of this transaction. If the prevouts are what the chain has, every node
// accepts the signatures.
//
// Refusals: those of [NewSighasher] and [Sighasher.Hash], [ErrPrevouts] when there is not one witness an input,
// [ErrWitnessForm], [ErrDER], [ErrSighash], [ErrForeignKey] and [ErrSignature].
func VerifyWitnesses(tx UnsignedTx, prevouts []TxOut, witnesses [][][]byte) error {
	h, err := NewSighasher(tx, prevouts)
	if err != nil {
		return err
	}
	if len(witnesses) != len(tx.Inputs) {
		return fmt.Errorf("%w: %d witnesses for %d inputs", ErrPrevouts, len(witnesses), len(tx.Inputs))
	}
	for i, w := range witnesses {
		s, err := parseSpend(prevouts[i].Script, w)
		if err != nil {
			return fmt.Errorf("input %d: %w", i, err)
		}
		if err := s.verify(h, i); err != nil {
			return err
		}
	}
	return nil
}

// spend is what a witness says: a signature, and the key where the output names only its hash.
type spend struct {
	script Script
	pub    secp.PublicKey // zero for P2TR
	sig    [secp.SignatureSize]byte
}

// parseSpend reads a witness for an output with the given script, without verifying the signature.
func parseSpend(script Script, w [][]byte) (spend, error) {
	switch kind := script.Kind(); kind {
	case KindP2WPKH:
		if len(w) != 2 {
			return spend{}, fmt.Errorf("%w: p2wpkh takes 2 items, got %d", ErrWitnessForm, len(w))
		}
		pub, sig, err := parseECDSA(w[1], w[0])
		if err != nil {
			return spend{}, err
		}
		return spend{script: script, pub: pub, sig: sig}, checkKeyOf(script, pub)
	case KindP2TR:
		if len(w) != 1 {
			return spend{}, fmt.Errorf("%w: p2tr by key path takes 1 item, got %d", ErrWitnessForm, len(w))
		}
		sig, err := parseSchnorr(w[0])
		return spend{script: script, sig: sig}, err
	default:
		return spend{}, fmt.Errorf("%w: %s is not spent here", ErrKind, kind)
	}
}

// parseECDSA reads a compressed public key and a signature with its sighash byte.
func parseECDSA(key, sig []byte) (secp.PublicKey, [secp.SignatureSize]byte, error) {
	none := [secp.SignatureSize]byte{}
	pub, err := secp.ParsePublicKey(key)
	if err != nil {
		return secp.PublicKey{}, none, fmt.Errorf("%w: %w", ErrPoint, err)
	}
	if len(sig) == 0 || sig[len(sig)-1] != SighashAll {
		return secp.PublicKey{}, none, fmt.Errorf("%w: the last byte must be %02x (ALL)", ErrSighash, SighashAll)
	}
	raw, err := DecodeDER(sig[:len(sig)-1])
	if err != nil {
		return secp.PublicKey{}, none, err
	}
	return pub, raw, nil
}

// parseSchnorr reads a taproot signature.
func parseSchnorr(sig []byte) ([secp.SignatureSize]byte, error) {
	switch len(sig) {
	case secp.SignatureSize:
		return [secp.SignatureSize]byte(sig), nil
	case secp.SignatureSize + 1:
		return [secp.SignatureSize]byte{}, fmt.Errorf("%w: taproot signatures have no sighash byte here (DEFAULT)", ErrSighash)
	default:
		return [secp.SignatureSize]byte{}, fmt.Errorf("%w: taproot signature of %d bytes, want %d", ErrWitnessForm, len(sig), secp.SignatureSize)
	}
}

// checkKeyOf requires a public key to be the one that a P2WPKH script pays to.
func checkKeyOf(script Script, pub secp.PublicKey) error {
	want, err := P2WPKH(pub)
	if err != nil {
		return err
	}
	if !script.Equal(want) {
		return fmt.Errorf("%w: %s", ErrForeignKey, pub)
	}
	return nil
}

// verify checks the signature over the hash of the given input.
func (s spend) verify(h *Sighasher, input int) error { return s.verifyAs(h, input, SighashDefault) }

// verifyAs is verify with the hash type of a taproot signature.
func (s spend) verifyAs(h *Sighasher, input int, typ byte) error {
	digest, err := h.hashAs(input, typ)
	if err != nil {
		return err
	}
	ok := false
	switch kind, payload := s.script.split(); kind {
	case KindP2WPKH:
		ok = secp.VerifyECDSA(s.pub, digest, s.sig)
	case KindP2TR:
		ok = secp.VerifyBIP340([32]byte(payload), digest[:], s.sig)
	}
	if !ok {
		return fmt.Errorf("input %d: %w", input, ErrSignature)
	}
	return nil
}

// witness returns the witness that parseSpend reads; the signature was checked.
func (s spend) witness() [][]byte {
	if s.script.Kind() == KindP2TR {
		return [][]byte{s.sig[:]}
	}
	key := s.pub.Compressed()
	return [][]byte{append(writeDER(s.sig), SighashAll), key[:]}
}
