// SPDX-License-Identifier: Apache-2.0

package btc

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"golang.org/x/crypto/ripemd160" //nolint:staticcheck // BIP-141 fixes RIPEMD-160 for P2WPKH

	"strongroom/internal/pure/secp"
)

// Script is an output script (scriptPubKey) as it stands in a transaction, at most [MaxScriptBytes] long.
type Script []byte

// Kind is the form of an output script.
type Kind uint8

// The kinds. Scripts of all other forms are KindUnknown: they have no address, and nothing here pays to or spends them
// knowingly.
const (
	KindUnknown  Kind = iota
	KindP2PKH         // pay to the hash of a public key, before segwit
	KindP2SH          // pay to the hash of a script, before segwit (BIP-16)
	KindP2WPKH        // witness version 0, 20 bytes: hash of a public key (BIP-141)
	KindP2WSH         // witness version 0, 32 bytes: hash of a script (BIP-141)
	KindP2TR          // witness version 1, 32 bytes: x-only output key (BIP-341)
	KindNullData      // starts with OP_RETURN: can never be spent, carries data
)

// String names the kind as people know it, in lower case: "p2wpkh".
func (k Kind) String() string {
	switch k {
	case KindP2PKH:
		return "p2pkh"
	case KindP2SH:
		return "p2sh"
	case KindP2WPKH:
		return "p2wpkh"
	case KindP2WSH:
		return "p2wsh"
	case KindP2TR:
		return "p2tr"
	case KindNullData:
		return "nulldata"
	default:
		return "unknown"
	}
}

// Opcodes that occur in the scripts known here.
const (
	op0           = 0x00
	op1           = 0x51
	op16          = 0x60
	opReturn      = 0x6a
	opDup         = 0x76
	opEqual       = 0x87
	opEqualVerify = 0x88
	opHash160     = 0xa9
	opCheckSig    = 0xac
)

// Kind tells the form of s. It looks at the form only: a P2TR script whose key is off the curve is still KindP2TR.
func (s Script) Kind() Kind {
	k, _ := s.split()
	return k
}

// split returns the kind of s and the hash or key it pays to; the second is nil where the kind has none.
func (s Script) split() (Kind, []byte) {
	switch {
	case len(s) == 25 && bytes.HasPrefix(s, []byte{opDup, opHash160, 20}) && bytes.HasSuffix(s, []byte{opEqualVerify, opCheckSig}):
		return KindP2PKH, s[3:23]
	case len(s) == 23 && bytes.HasPrefix(s, []byte{opHash160, 20}) && s[22] == opEqual:
		return KindP2SH, s[2:22]
	case len(s) == 22 && bytes.HasPrefix(s, []byte{op0, 20}):
		return KindP2WPKH, s[2:]
	case len(s) == 34 && bytes.HasPrefix(s, []byte{op0, 32}):
		return KindP2WSH, s[2:]
	case len(s) == 34 && bytes.HasPrefix(s, []byte{op1, 32}):
		return KindP2TR, s[2:]
	case len(s) > 0 && s[0] == opReturn:
		return KindNullData, nil
	default:
		return KindUnknown, nil
	}
}

// Equal tells whether two scripts are the same bytes.
func (s Script) Equal(t Script) bool { return bytes.Equal(s, t) }

// String returns the script in lower-case hex.
func (s Script) String() string { return hex.EncodeToString(s) }

// isWitnessProgram tells whether s is a witness program of any version (BIP-141 "Witness program").
func (s Script) isWitnessProgram() bool {
	return len(s) >= 4 && len(s) <= 42 && (s[0] == op0 || (s[0] >= op1 && s[0] <= op16)) && int(s[1]) == len(s)-2
}

// P2WPKH returns the script that pays to a public key in witness version 0. The zero key is refused with [ErrPoint].
func P2WPKH(pub secp.PublicKey) (Script, error) {
	if pub.IsZero() {
		return nil, fmt.Errorf("%w: no public key given", ErrPoint)
	}
	h := hash160(pub)
	return append(Script{op0, 20}, h[:]...), nil
}

// P2TR returns the script that pays to a taproot output key, as [TaprootOutputKey] returns it; an internal key must not
// be given here. A key that is not on the curve is refused with [ErrPoint].
func P2TR(outputKey [32]byte) (Script, error) {
	if _, err := secp.LiftX(outputKey); err != nil {
		return nil, fmt.Errorf("%w: output key: %w", ErrPoint, err)
	}
	return append(Script{op1, 32}, outputKey[:]...), nil
}

// hash160 is RIPEMD-160 of SHA-256 of the compressed key.
func hash160(pub secp.PublicKey) [20]byte {
	c := pub.Compressed()
	return hash160Of(c[:])
}

// hash160Of is RIPEMD-160 of SHA-256 of the bytes.
func hash160Of(b []byte) [20]byte {
	sum := sha256.Sum256(b)
	h := ripemd160.New()
	h.Write(sum[:])
	return [20]byte(h.Sum(nil))
}
