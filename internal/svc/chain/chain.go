// SPDX-License-Identifier: Apache-2.0

// Package chain has what services and chain adapters say to each other: blocks, where a transaction stands, fees, and why a
// node refused. Adapters (internal/edge/geth, internal/edge/btcd) give these values; services (wallet, payload, transfer)
// declare the interfaces that they need and take them.
//
// Nothing here is believed by the core. A node may lie; what it says decides how bytes are built and when they count as
// settled, never whether they may be signed.
package chain

import (
	"strongroom/internal/pure/btc"
	"strongroom/internal/pure/custody"
)

// TxID names a transaction as explorers of its chain spell it: 0x and 64 hex digits on Ethereum, 64 hex digits in reversed
// byte order on Bitcoin.
type TxID string

// BlockHash names a block, spelt as a [TxID] is.
type BlockHash string

// Block is a place in a chain.
type Block struct {
	Height uint64
	Hash   BlockHash
}

// Head is the newest block that a node knows.
type Head struct {
	Block
	Time int64 // of the block, Unix seconds
}

// NodeStatus is how a node does, for status pages and alarms.
type NodeStatus struct {
	Chain   custody.ChainID
	Node    string // host and port; never credentials or paths, which may hold an access key
	Version string // as the node names itself; printable, at most 100 characters
	Head    Head
	Behind  uint64 // blocks that the node says it still has to load
	Peers   uint64
}

// TxState says where a transaction stands.
type TxState uint8

// The states.
const (
	TxUnknown TxState = iota // the node does not know it: never sent, dropped, or replaced
	TxPending                // waits in the node's pool
	TxMined                  // in a block of the best chain
)

// String names the state.
func (s TxState) String() string {
	switch s {
	case TxPending:
		return "pending"
	case TxMined:
		return "mined"
	default:
		return "unknown"
	}
}

// Tx is where a transaction stands.
type Tx struct {
	State         TxState
	Block         Block           // that holds it, if it is mined
	Confirmations uint64          // 1 in the newest block; 0 unless mined
	Reverted      bool            // Ethereum: mined, and without effect but its fee
	Fee           custody.Uint256 // Ethereum, mined: fee that was paid, wei
}

// EthereumFee is what a transaction offers, in wei a gas (EIP-1559).
type EthereumFee struct {
	Base custody.Uint256 // base fee that the next block will ask, for orientation
	Tip  custody.Uint256 // maxPriorityFeePerGas
	Max  custody.Uint256 // maxFeePerGas: headroom over Base, plus Tip
}

// EthereumFees are the offers for slow, usual and quick inclusion.
type EthereumFees struct{ Low, Medium, High EthereumFee }

// FeeRate is what a Bitcoin transaction pays for its size, in satoshi a thousand virtual bytes.
type FeeRate uint64

// Bounds on fee rates: nodes relay nothing below the first, and the second is far above any fee that was ever sensible.
const (
	MinFeeRate FeeRate = 1_000
	MaxFeeRate FeeRate = 10_000_000
)

// Fee gives the fee for a virtual size in bytes, rounded up.
func (r FeeRate) Fee(vsize int) btc.Sat { return btc.Sat((uint64(r)*uint64(vsize) + 999) / 1000) }

// Clamp moves r within [MinFeeRate] and [MaxFeeRate].
func (r FeeRate) Clamp() FeeRate { return min(max(r, MinFeeRate), MaxFeeRate) }

// BitcoinFees are fee rates for slow, usual and quick inclusion.
type BitcoinFees struct{ Low, Medium, High FeeRate }

// Level chooses among fees.
type Level string

// The levels. They are wire format of the interfaces that people use.
const (
	Low    Level = "low"
	Medium Level = "medium"
	High   Level = "high"
)

// At gives the offer of a level, and false if there is no such level.
func (f EthereumFees) At(l Level) (EthereumFee, bool) { return at(l, f.Low, f.Medium, f.High) }

// At gives the rate of a level, and false if there is no such level.
func (f BitcoinFees) At(l Level) (FeeRate, bool) { return at(l, f.Low, f.Medium, f.High) }

func at[T any](l Level, low, medium, high T) (v T, ok bool) {
	switch l {
	case Low:
		return low, true
	case Medium:
		return medium, true
	case High:
		return high, true
	default:
		return v, false
	}
}

// BitcoinBlock is a block as its transactions concern a wallet.
type BitcoinBlock struct {
	Block
	Prev BlockHash
	Time int64 // Unix seconds, as the miner says
	Txs  []BitcoinTx
}

// BitcoinTx is a transaction as it concerns a wallet.
type BitcoinTx struct {
	ID       btc.TxID
	Coinbase bool // its outputs can be spent 100 blocks later
	Inputs   []btc.OutPoint
	Outputs  []btc.TxOut
	Stripped []byte // serialization without witness, whose double SHA-256 is ID
}
