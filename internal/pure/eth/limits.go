// SPDX-License-Identifier: Apache-2.0

package eth

import "math"

// Bounds on what this package decodes and encodes.
const (
	// MaxDataSize is the largest call data in bytes. An ERC-20 transfer has [TransferSize]; the rest is room for naming,
	// in a refusal, what a call would have done.
	MaxDataSize = 64 << 10

	// MaxTxSize is the largest encoded transaction in bytes, unsigned or signed: the data and, generously, all else.
	MaxTxSize = MaxDataSize + 512

	// MaxNonce is the largest nonce of a transaction: EIP-2681 leaves 2⁶⁴-1 without use.
	MaxNonce = math.MaxUint64 - 1
)
