// SPDX-License-Identifier: Apache-2.0

package btc

import (
	"fmt"

	"strongroom/internal/pure/secp"
)

// EncodeDER writes an ECDSA signature, r || s with 32 bytes each big-endian, in DER, without the sighash byte. It takes 8
// to 71 bytes. A signature with a high s (BIP-146) or with values out of range is refused with [ErrDER].
func EncodeDER(sig [secp.SignatureSize]byte) ([]byte, error) {
	if err := secp.CheckSignature(sig); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDER, err)
	}
	return writeDER(sig), nil
}

// writeDER writes a signature that was checked.
func writeDER(sig [secp.SignatureSize]byte) []byte {
	body := appendDERInt(appendDERInt(nil, sig[:32]), sig[32:])
	return append([]byte{0x30, byte(len(body))}, body...)
}

// DecodeDER is the inverse of [EncodeDER]: it accepts exactly what that function writes, which is what BIP-66 allows
// less the signatures with high s or with values out of range. The refusal is [ErrDER].
func DecodeDER(b []byte) ([secp.SignatureSize]byte, error) {
	var sig [secp.SignatureSize]byte
	if len(b) < 2 || b[0] != 0x30 || int(b[1]) != len(b)-2 {
		return sig, fmt.Errorf("%w: sequence header", ErrDER)
	}
	rest, err := takeDERInt(b[2:], sig[:32])
	if err != nil {
		return sig, fmt.Errorf("r: %w", err)
	}
	if rest, err = takeDERInt(rest, sig[32:]); err != nil {
		return sig, fmt.Errorf("s: %w", err)
	}
	if len(rest) > 0 {
		return sig, fmt.Errorf("%w: %d bytes after s", ErrDER, len(rest))
	}
	if err := secp.CheckSignature(sig); err != nil {
		return sig, fmt.Errorf("%w: %w", ErrDER, err)
	}
	return sig, nil
}

// appendDERInt appends an integer that is not negative: no leading zeros but one where the top bit is set.
func appendDERInt(b, v []byte) []byte {
	v = v[leadingZeros(v):]
	if len(v) == 0 || v[0]&0x80 != 0 {
		v = append([]byte{0}, v...)
	}
	return append(append(b, 0x02, byte(len(v))), v...)
}

// takeDERInt reads what appendDERInt writes into the end of out and returns what follows.
func takeDERInt(b, out []byte) ([]byte, error) {
	if len(b) < 2 || b[0] != 0x02 || b[1] == 0 || int(b[1]) > len(b)-2 {
		return nil, fmt.Errorf("%w: integer header", ErrDER)
	}
	v, rest := b[2:2+int(b[1])], b[2+int(b[1]):]
	if v[0]&0x80 != 0 {
		return nil, fmt.Errorf("%w: negative integer", ErrDER)
	}
	if v[0] == 0 && (len(v) == 1 || v[1]&0x80 == 0) {
		return nil, fmt.Errorf("%w: integer is zero or has a leading zero", ErrDER)
	}
	if v[0] == 0 {
		v = v[1:]
	}
	if len(v) > len(out) {
		return nil, fmt.Errorf("%w: integer of more than %d bytes", ErrDER, len(out))
	}
	copy(out[len(out)-len(v):], v)
	return rest, nil
}
