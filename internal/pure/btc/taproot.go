// SPDX-License-Identifier: Apache-2.0

package btc

import (
	"fmt"

	"strongroom/internal/pure/secp"
)

// TapTweakHash returns hash_TapTweak of BIP-341 over an internal key without a script tree, as BIP-86 has it: the key
// can spend and nothing else can. The core adds it to the private key, [TaprootOutputKey] to the public one.
func TapTweakHash(internalKey [32]byte) [32]byte {
	return secp.TaggedHash("TapTweak", internalKey[:])
}

// TaprootOutputKey returns the output key that commits to an internal key and to no script, BIP-86 "Address derivation":
// lift_x(P) + hash_TapTweak(P)·G, x coordinate only. It refuses with [ErrPoint] an internal key that is off the curve
// and, with a probability below 1 in 2^127, a tweak that leads to no key.
func TaprootOutputKey(internalKey [32]byte) ([32]byte, error) {
	return tweakKey(internalKey, TapTweakHash(internalKey))
}

// tweakKey is taproot_tweak_pubkey of BIP-341 for a given tweak.
func tweakKey(internalKey, tweak [32]byte) ([32]byte, error) {
	p, err := secp.LiftX(internalKey)
	if err != nil {
		return [32]byte{}, fmt.Errorf("%w: internal key: %w", ErrPoint, err)
	}
	q, err := p.TweakAdd(tweak)
	if err != nil {
		return [32]byte{}, fmt.Errorf("%w: taproot tweak: %w", ErrPoint, err)
	}
	return q.XOnly(), nil
}
