// SPDX-License-Identifier: Apache-2.0

package btc

// Bounds on what this package reads and builds. Those marked policy are what Bitcoin Core relays by default: a
// transaction beyond them is valid but does not get through the network, so it is refused before it is signed.
const (
	// MaxSat is the most that can ever exist, 21 million bitcoin, in satoshi (consensus, MAX_MONEY).
	MaxSat Sat = 21_000_000 * SatPerBitcoin

	// MaxTxWeight is the largest weight of a relayed transaction, in weight units (policy, MAX_STANDARD_TX_WEIGHT).
	MaxTxWeight = 400_000

	// MaxUnsignedBytes is the largest unsigned transaction in bytes: each of its bytes weighs four units.
	MaxUnsignedBytes = MaxTxWeight / weightPerByte

	// MaxInputs is how many of the lightest inputs, P2TR by key path at 230 units each, fill MaxTxWeight.
	MaxInputs = 1_739

	// MaxOutputs is how many of the smallest spendable outputs, P2WPKH at 31 bytes each, fill MaxUnsignedBytes.
	MaxOutputs = 3_225

	// MaxScriptBytes is the largest script in bytes; an output with a longer one can never be spent (consensus).
	MaxScriptBytes = 10_000

	// MaxWitnessItems is the largest number of witness items of one input (policy, MAX_STANDARD_P2WSH_STACK_ITEMS).
	MaxWitnessItems = 100

	// MaxAddressChars is the length of the longest address: a bech32 string of 90 characters, BIP-173.
	MaxAddressChars = 90

	// MaxPrevTxBytes is the largest previous transaction in a PSBT, in bytes. Every transaction that is relayed fits; of
	// a larger one give the form without witness, which has the same txid.
	MaxPrevTxBytes = MaxTxWeight

	// MaxPSBTBytes is the largest PSBT in bytes.
	MaxPSBTBytes = 8 << 20

	// MaxPathLevels is the longest derivation path in a PSBT, in levels. BIP-84 and BIP-86 use five.
	MaxPathLevels = 16
)
