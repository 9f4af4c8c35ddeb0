// SPDX-License-Identifier: Apache-2.0

package btc

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"strongroom/internal/pure/secp"
)

// MaxMessageSignature is the longest signature of a message that is read, in bytes.
const MaxMessageSignature = 1024

// VerifyMessage verifies a "simple" signature of a message as BIP-322 defines it: the witness, serialized, that would spend the output of a
// transaction which commits to the message. Signatures for P2WPKH and P2TR by key path are verified; of scripts and of the "full" and
// "proof of funds" forms none is.
//
// Refusals: [ErrKind], [ErrWitnessForm], [ErrDER], [ErrSighash], [ErrForeignKey], [ErrSignature], and those of reading ([ErrTruncated] and the like).
func VerifyMessage(script Script, message, sig []byte) error {
	if len(sig) > MaxMessageSignature {
		return fmt.Errorf("%w: signature of a message of %d bytes", ErrTooLarge, len(sig))
	}
	r := newReader(sig)
	w := r.witness()
	if err := r.end(); err != nil {
		return fmt.Errorf("signature of a message: %w", err)
	}
	typ := SighashDefault
	// BIP-322 "Signing": the signature is made with SIGHASH_ALL; for taproot DEFAULT means the same.
	if script.Kind() == KindP2TR && len(w) == 1 && len(w[0]) == secp.SignatureSize+1 && w[0][secp.SignatureSize] == SighashAll {
		w[0], typ = w[0][:secp.SignatureSize], SighashAll
	}
	s, err := parseSpend(script, w)
	if err != nil {
		return err
	}
	return s.verifyAs(messageSighasher(script, message), 0, typ)
}

// messageSighasher prepares the hashes of the virtual transaction that signs a message (BIP-322 "to_sign"). It is no transaction that
// [UnsignedTx.Check] lets pass: version 0, and an output that pays nothing.
func messageSighasher(script Script, message []byte) *Sighasher {
	to := toSpend(script, message)
	tx := UnsignedTx{Inputs: []TxIn{{OutPoint: OutPoint{TxID: to}}}, Outputs: []TxOut{{Script: Script{opReturn}}}}
	return prepareSighash(tx, []TxOut{{Script: script}})
}

// toSpend is the txid of the virtual transaction that commits to a message (BIP-322 "to_spend").
func toSpend(script Script, message []byte) TxID {
	hash := secp.TaggedHash("BIP0322-signed-message", message)
	b := binary.LittleEndian.AppendUint32(nil, 0)                     // nVersion
	b = append(b, 1)                                                  // vin
	b = OutPoint{Index: 0xffffffff}.append(b)                         //
	b = appendVarBytes(b, slices.Concat([]byte{op0, 0x20}, hash[:]))  // scriptSig
	b = binary.LittleEndian.AppendUint32(b, 0)                        // nSequence
	b = append(b, 1)                                                  // vout
	b = TxOut{Script: script}.append(b)                               //
	return TxID(doubleSHA256(binary.LittleEndian.AppendUint32(b, 0))) // nLockTime
}

// VerifyLegacyMessage verifies a signature of 65 bytes as wallets made it before BIP-322: a header with the recovery id and the kind of
// address (BIP-137), then r || s. It is verified for P2PKH, and for P2WPKH with the header of that or of a compressed P2PKH, as wallets write both.
func VerifyLegacyMessage(script Script, message, sig []byte) error {
	if len(sig) != secp.SignatureSize+1 {
		return fmt.Errorf("%w: %d bytes, not %d", ErrWitnessForm, len(sig), secp.SignatureSize+1)
	}
	header := sig[0]
	if header < 27 || header > 42 {
		return fmt.Errorf("%w: header %d", ErrWitnessForm, header)
	}
	text := appendVarBytes([]byte("\x18Bitcoin Signed Message:\n"), message)
	key, err := secp.RecoverPublicKey(doubleSHA256(text), [secp.SignatureSize]byte(sig[1:]), (header-27)&3)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSignature, err)
	}
	var hash [20]byte
	switch kind, form := script.Kind(), (header-27)>>2; {
	case kind == KindP2PKH && form == 0: // uncompressed
		u := key.Uncompressed()
		hash = hash160Of(u[:])
	case kind == KindP2PKH && form == 1, kind == KindP2WPKH && (form == 1 || form == 3):
		hash = hash160(key)
	default:
		return fmt.Errorf("%w: header %d is not for %s", ErrKind, header, kind)
	}
	if _, payload := script.split(); !bytes.Equal(payload, hash[:]) {
		return fmt.Errorf("%w: %s", ErrForeignKey, key)
	}
	return nil
}

// DecodeMessageSignature reads a signature of a message as wallets write it: base64, with "smp" before it where the wallet says which form of BIP-322
// it is. legacy says that it has the form that [VerifyLegacyMessage] reads.
func DecodeMessageSignature(s string) (sig []byte, legacy bool, err error) {
	sig, err = base64.StdEncoding.Strict().DecodeString(strings.TrimPrefix(s, "smp"))
	if err != nil {
		return nil, false, fmt.Errorf("signature of a message: base64: %w", err)
	}
	if len(sig) == 0 || len(sig) > MaxMessageSignature {
		return nil, false, fmt.Errorf("%w: signature of a message of %d bytes", ErrTooLarge, len(sig))
	}
	// A witness of one or two items begins with their number; a header is 27 at least.
	return sig, len(sig) == secp.SignatureSize+1 && sig[0] >= 27, nil
}
