// SPDX-License-Identifier: Apache-2.0

package btc

import (
	"errors"
	"fmt"
	"strings"
)

// Reasons for a refusal that have to do with bytes and amounts. Every error of this package wraps one of the sentinels
// in this file, or is a [*NetworkError].
var (
	ErrAmount    = errors.New("amount is not within 0 to 21 million bitcoin")
	ErrTruncated = errors.New("data ends too early")
	ErrTrailing  = errors.New("data goes on after its end; remove the extra bytes")
	ErrVarInt    = errors.New("length is not written in its shortest form")
	ErrTooLarge  = errors.New("over a size limit")
)

// Reasons for refusing a network or an address.
var (
	ErrNetwork        = errors.New("network is unknown; use bitcoin, testnet, signet or regtest")
	ErrAddress        = errors.New("text is not a bitcoin address")
	ErrMixedCase      = errors.New("address mixes upper and lower case; take it again from its source")
	ErrChecksum       = errors.New("checksum does not match: the text was mistyped or cut")
	ErrWitnessVersion = errors.New("witness version has no meaning yet; money sent there could be anyone's")
	ErrProgramLength  = errors.New("witness program has the wrong length for its version")
	ErrPoint          = errors.New("key is not a point of secp256k1, so that nobody can sign for it")
	ErrKind           = errors.New("script is of a kind that can't be used here")
	ErrOutPoint       = errors.New("outpoint is not written as txid:index")
)

// Reasons for refusing a transaction.
var (
	ErrVersion        = errors.New("transaction version is not 1 or 2")
	ErrWitness        = errors.New("transaction carries a witness; give the unsigned form")
	ErrNoWitness      = errors.New("transaction lacks a witness; give the signed form")
	ErrScriptSig      = errors.New("input has a script signature; only native segwit inputs are signed here")
	ErrNoInputs       = errors.New("transaction has no inputs")
	ErrNoOutputs      = errors.New("transaction has no outputs")
	ErrDuplicateInput = errors.New("transaction spends the same output twice")
	ErrCoinbase       = errors.New("input spends nothing: this is a coinbase transaction")
	ErrPrevouts       = errors.New("spent outputs don't fit the inputs one to one")
	ErrOverspent      = errors.New("outputs are worth more than inputs")
	ErrInputIndex     = errors.New("transaction has no such input")
)

// Reasons for refusing a signature.
var (
	ErrDER         = errors.New("signature is not strict DER (BIP-66)")
	ErrSighash     = errors.New("signature covers another part of the transaction than all of it")
	ErrWitnessForm = errors.New("witness does not have the form that spends this output")
	ErrSignature   = errors.New("signature does not verify")
)

// Reasons for refusing a PSBT.
var (
	ErrMagic         = errors.New("data is not a PSBT in binary form")
	ErrUnknownField  = errors.New("field is not supported; remove it")
	ErrDuplicateKey  = errors.New("key occurs twice")
	ErrKeyOrder      = errors.New("keys are not in ascending order; encode the PSBT canonically")
	ErrFieldForm     = errors.New("field is malformed")
	ErrMissingField  = errors.New("field is missing")
	ErrFieldConflict = errors.New("fields exclude each other")
	ErrForeignKey    = errors.New("key is not the one that the script pays to")
	ErrPrevTx        = errors.New("previous transaction does not match the input")
	ErrNotSigned     = errors.New("input is not signed")
	ErrNotFinal      = errors.New("input is not final; finalize the PSBT first")
)

// NetworkError says that an address is well-formed and belongs to another network than the one it was given for.
type NetworkError struct {
	Want Network   // the network it was given for
	For  []Network // the networks it is for; empty when the prefix is of none that is known here
}

// Error names both networks.
func (e *NetworkError) Error() string {
	if len(e.For) == 0 {
		return fmt.Sprintf("address is for a network that is unknown here; need one for %s", e.Want)
	}
	names := make([]string, len(e.For))
	for i, n := range e.For {
		names[i] = string(n)
	}
	return fmt.Sprintf("address is for %s; need one for %s", strings.Join(names, " or "), e.Want)
}
