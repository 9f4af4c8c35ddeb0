// SPDX-License-Identifier: Apache-2.0

// Package wallet knows what the domain's wallets have on their chains. For Bitcoin it keeps the coins (unspent outputs) by
// reading every block, because no call of a plain node gives them; for Ethereum it asks a node for balances.
//
// It decides nothing about spending: the core refuses a payload that spends what is not the wallet's or was spent by an
// earlier permit. What is wrong here costs availability, not assets. It follows re-orgs as deep as [KeepBlocks] and refuses to
// go on beyond, it never offers a coin that a live attempt has reserved, and it offers own unconfirmed change only where no
// replacement can take it away.
package wallet

import (
	"context"

	"strongroom/internal/pure/btc"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/svc/chain"
)

// KeepBlocks is how many of the last scanned blocks a store keeps, and so the deepest re-org that is followed.
const KeepBlocks = 100

// Maturity is how deep a coinbase must be buried before its outputs can be spent (consensus).
const Maturity = 100

// Source gives blocks. Safe for concurrent use. Above the head the error is a [chain.NotFound] refusal; a block that is
// replaced between two calls is no error.
type Source interface {
	Head(ctx context.Context) (chain.Head, error)
	Block(ctx context.Context, height uint64) (chain.BitcoinBlock, error)
	BlockHash(ctx context.Context, height uint64) (chain.BlockHash, error)
}

// Store keeps coins and how far a chain was scanned. Safe for concurrent use; one [Scanner] a chain writes. What a method
// writes is written whole or not at all, also when the process ends in the middle, and lasts when it returns.
// [strongroom/internal/svc/wallet/wallettest.Run] is the conformance suite.
type Store interface {
	// Blocks gives the last scanned blocks of a chain in ascending order without a hole, at most [KeepBlocks]; none before
	// the first.
	Blocks(ctx context.Context, c custody.ChainID) ([]chain.Block, error)

	// Apply records a scanned block. First all blocks of the chain at its height and above are taken back: coins that were
	// made there are forgotten, coins that were spent there are unspent again. So applying a block again changes nothing.
	// Then its coins are added, then its spends recorded; a spend of a coin that is not known is ignored. Blocks of the chain
	// that are [KeepBlocks] or more below it are no longer given by Blocks, and neither are those below a hole; their coins
	// and spends stay. The wallets in Watched are from now on known to Watched.
	Apply(ctx context.Context, c custody.ChainID, s Scanned) error

	// Coins gives the coins of a wallet that no scanned block spends, ordered by Height, then OutPoint (bytes of the txid in
	// internal order, then index).
	Coins(ctx context.Context, w custody.WalletID) ([]Coin, error)

	// Watched says whether a wallet was in the Watched list of an applied block.
	Watched(ctx context.Context, w custody.WalletID) (bool, error)
}

// Scanned is what a block did to the wallets of its chain. A coin that is made and spent in the same block is in both lists.
type Scanned struct {
	Block   chain.Block
	Made    []Coin             // Height is this block's
	Spent   []Spend            // every input of the block, also of coins that are nobody's here
	Watched []custody.WalletID // wallets that are looked for from this block on
}

// Spend is that a transaction spent a coin.
type Spend struct {
	Coin btc.OutPoint
	By   btc.TxID
}

// Coin is an output that pays a wallet.
type Coin struct {
	Wallet   custody.WalletID
	OutPoint btc.OutPoint
	Output   btc.TxOut
	Key      entry.KeyPath // whose address it pays
	Height   uint64        // of the block that holds it; 0 while unconfirmed
	Coinbase bool
	PrevTx   []byte // the transaction that made it, without witness; only for P2WPKH, whose signature does not cover it
}

// Attempt is a signed transaction of ours that is not settled: it may be mined at any time.
type Attempt struct {
	Payload  []byte // PSBT that was signed
	Number   uint32 // 1, 2, … within its request; each replaces the one before
	Released bool   // the signed bytes were handed to a node at least once
}

// Attempts gives the unsettled attempts of a wallet, from the moment a payload is built for the core until it is buried or
// its request has ended without a permit. All attempts of a request are given, not only the last: any can be mined.
type Attempts interface {
	Attempts(ctx context.Context, w custody.WalletID) ([]Attempt, error)
}
