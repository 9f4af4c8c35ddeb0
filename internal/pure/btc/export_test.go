// SPDX-License-Identifier: Apache-2.0

package btc

// Hash160 and LegacyHash are for tests that sign with another implementation.
func Hash160(b []byte) [20]byte { return hash160Of(b) }

// LegacyHash is what a signature before BIP-322 is made over.
func LegacyHash(message []byte) [32]byte {
	return doubleSHA256(appendVarBytes([]byte("\x18Bitcoin Signed Message:\n"), message))
}

// MessageIDs gives the names of the two virtual transactions of BIP-322.
func MessageIDs(script Script, message []byte) (spend, sign TxID) {
	h := messageSighasher(script, message)
	return toSpend(script, message), h.tx.TxID()
}
