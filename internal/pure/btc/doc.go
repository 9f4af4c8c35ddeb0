// SPDX-License-Identifier: Apache-2.0

// Package btc reads and writes the part of Bitcoin that decides what a signature does: addresses, unsigned and signed
// transactions, signature hashes, and partially signed transactions (PSBT). The process that holds keys decodes with it
// the exact bytes it is asked to sign, rebuilds them from what it decoded and requires equality; the auditor's tool
// checks with it what was signed.
//
// It is narrow on purpose. It spends P2WPKH with SIGHASH_ALL and P2TR by key path with SIGHASH_DEFAULT, and nothing
// else. It refuses every second spelling of the same thing: lengths that are not minimal, trailing bytes, duplicate or
// unordered PSBT keys, signatures that are not strict low-S DER, addresses that are not canonical; and it refuses what it
// does not know, such as PSBT fields, witness versions and sighash types it has no code for. What is accepted encodes
// back to the same bytes.
//
// It handles public data only, nothing in it runs in constant time, and it makes no signatures. Specifications: BIP-13
// (P2SH addresses), BIP-141 and BIP-144 (witness programs and serialization), BIP-143 and BIP-341 (signature hashes),
// BIP-66 and BIP-146 (strict DER, low S), BIP-86 (key-path taproot), BIP-173 and BIP-350 (bech32 and bech32m), BIP-174
// and BIP-371 (PSBT version 0), and the relay policy of Bitcoin Core for sizes and dust.
package btc
