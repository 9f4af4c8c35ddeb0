// SPDX-License-Identifier: Apache-2.0

package chain

// Trace is what an Ethereum node says that a transaction would do after a block.
type Trace struct {
	After    Block
	Reverted bool  // it would fail; there are no logs then
	Logs     []Log // in order; transfers of the chain's coin among them, as of ERC-7528's address
}

// Log is an event that a contract would emit.
type Log struct {
	Address [20]byte
	Topics  [][32]byte // at most 4
	Data    []byte
}
