// SPDX-License-Identifier: Apache-2.0

package btc

import (
	"fmt"
	"slices"
	"strings"

	"strongroom/internal/pure/secp"
)

// ParseAddress reads an address of the given network and returns the script it stands for: P2PKH and P2SH in
// base58check, P2WPKH and P2WSH in bech32, P2TR in bech32m. [Script.Address] of the result is s again, in lower case
// where it is bech32, for which BIP-173 allows upper case throughout.
//
// An address with the right checksum for another network is refused with a [*NetworkError] that names that network.
// Further refusals: [ErrMixedCase], [ErrChecksum] (bech32 where bech32m is due and the reverse included),
// [ErrWitnessVersion] for versions above 1, [ErrProgramLength], [ErrPoint] for a P2TR key off the curve, [ErrNetwork] for
// an unknown net, and [ErrAddress] for all else.
func ParseAddress(net Network, s string) (Script, error) {
	want, err := net.Params()
	if err != nil {
		return nil, err
	}
	hrp, data, spec, err := decodeBech32(s)
	if hasSegwitPrefix(s) {
		if err != nil {
			return nil, err
		}
		if hrp != want.HRP {
			return nil, &NetworkError{Want: net, For: networksWhere(func(p Params) bool { return p.HRP == hrp })}
		}
		return segwitScript(data, spec)
	}
	version, hash, err58 := decodeBase58(s)
	if err58 != nil && err == nil {
		return nil, &NetworkError{Want: net} // bech32 of somebody else
	}
	if err58 != nil {
		return nil, err58
	}
	switch version {
	case want.P2PKHVersion:
		return slices.Concat(Script{opDup, opHash160, 20}, hash, Script{opEqualVerify, opCheckSig}), nil
	case want.P2SHVersion:
		return slices.Concat(Script{opHash160, 20}, hash, Script{opEqual}), nil
	default:
		return nil, &NetworkError{Want: net, For: networksWhere(func(p Params) bool {
			return p.P2PKHVersion == version || p.P2SHVersion == version
		})}
	}
}

// Address returns the address of s on the given network, in lower case where it is bech32. It refuses with [ErrKind] what
// has no address, with [ErrPoint] a P2TR key that is not on the curve, and with [ErrNetwork] an unknown net.
func (s Script) Address(net Network) (string, error) {
	p, err := net.Params()
	if err != nil {
		return "", err
	}
	kind, payload := s.split()
	switch kind {
	case KindP2PKH:
		return encodeBase58(p.P2PKHVersion, payload), nil
	case KindP2SH:
		return encodeBase58(p.P2SHVersion, payload), nil
	case KindP2WPKH, KindP2WSH:
		return encodeSegwit(p.HRP, 0, payload), nil
	case KindP2TR:
		if _, err := P2TR([32]byte(payload)); err != nil {
			return "", err
		}
		return encodeSegwit(p.HRP, 1, payload), nil
	default:
		return "", fmt.Errorf("%w: %s script has no address", ErrKind, kind)
	}
}

// hasSegwitPrefix tells whether s starts like a bech32 address of a known network, so that errors speak of that form.
func hasSegwitPrefix(s string) bool {
	hrp, _, found := strings.Cut(strings.ToLower(s), "1")
	return found && len(networksWhere(func(p Params) bool { return p.HRP == hrp })) > 0
}

// segwitScript turns the data part of a segwit address into the script, as in BIP-350 "Addresses for segregated witness
// outputs".
func segwitScript(data []byte, spec bech32Spec) (Script, error) {
	if len(data) == 0 {
		return nil, fmt.Errorf("%w: data is missing", ErrAddress)
	}
	version := data[0]
	if version > 16 {
		return nil, fmt.Errorf("%w: version %d", ErrWitnessVersion, version)
	}
	if (version == 0) != (spec == bech32Plain) {
		return nil, fmt.Errorf("%w: version 0 takes bech32, later versions bech32m", ErrChecksum)
	}
	program, err := regroup5to8(data[1:])
	if err != nil {
		return nil, err
	}
	switch {
	case version > 1:
		return nil, fmt.Errorf("%w: version %d", ErrWitnessVersion, version)
	case version == 1 && len(program) == secp.XOnlySize:
		return P2TR([32]byte(program))
	case version == 0 && (len(program) == 20 || len(program) == 32):
		return append(Script{op0, byte(len(program))}, program...), nil
	default:
		return nil, fmt.Errorf("%w: %d bytes in version %d", ErrProgramLength, len(program), version)
	}
}
