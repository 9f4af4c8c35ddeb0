// SPDX-License-Identifier: Apache-2.0

package secp

// Bounds on what this package reads from outside.
const (
	// MaxDepth is the largest depth of an extended key and the largest number of levels in a [Path]: BIP-32 serializes
	// the depth in one byte.
	MaxDepth = 255

	// MaxPathChars bounds the text of a path: "m" and, for each of [MaxDepth] levels, a slash, ten digits and a mark.
	MaxPathChars = 1 + MaxDepth*12

	// ExtendedKeyChars is the length of every serialized extended key: 82 bytes that start with a BIP-32 version always
	// take 111 base58 digits.
	ExtendedKeyChars = 111
)
