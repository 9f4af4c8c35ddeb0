// SPDX-License-Identifier: Apache-2.0

// Package transfer turns ready transfers into confirmed transactions: it has the payload built, keeps it, has the core sign it,
// hands the signed bytes to a node, and follows them until they are deep enough. It replaces what the chain does not take, and
// hands in again what the node lost or a re-org took out.
//
// It can be stopped at every line. What it is about to do is kept before it is done, everything it does can be done again, and
// what is lost with its store is read back from the core's log. That no slot has two different payloads is the core's doing;
// this package only sees to it that it does not ask for them. States as in docs/spec/transfer.md.
package transfer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"strongroom/internal/gate"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
	"strongroom/internal/svc/chain"
)

// State is where an attempt stands. Wire format of the API.
type State string

// The states.
const (
	Preparing     State = "preparing"      // the payload is kept; the core may have been asked to sign it
	SignFailed    State = "sign_failed"    // the core refused the payload; the slot is not taken
	Exported      State = "exported"       // the permit waits for its signatures from an offline domain
	Signed        State = "signed"         // the core released it; no node is known to have it
	InMempool     State = "in_mempool"     // a node has it
	Dropped       State = "dropped"        // a node had it and lost it
	Mined         State = "mined"          // in a block that is not deep enough yet
	Final         State = "final"          // deep enough
	FailedOnchain State = "failed_onchain" // deep enough, and reverted: only the fee was paid
	Replaced      State = "replaced"       // another attempt of the slot is final
)

// settled says whether an attempt of this state ends the transfer.
func (s State) settled() bool { return s == Final || s == FailedOnchain }

// Attempt is one payload of a transfer and what became of it. Several compete for the same slot.
type Attempt struct {
	Request       custody.RequestID
	Number        uint32 // 1, 2, … : each replaces the one before
	State         State
	Payload       []byte
	Account       string // paying address (Ethereum)
	Nonce         uint64 // Ethereum
	Permit        uint64 // entry of the core's log; 0: none is known
	TxID          chain.TxID
	Signed        []byte // ready to broadcast; nil: lost with a store, the core has it
	Sent          int64  // when a node took it first, Unix nanoseconds; 0: never
	Block         chain.Block
	Confirmations uint64
	Reverted      bool
	Fee           custody.Uint256 // Ethereum, mined: what was paid
	Note          string          // why it does not go on
}

// Permitted says whether the core has a permit for a.
func (a Attempt) Permitted() bool { return a.State != Preparing && a.State != SignFailed }

// Transfer is a transfer that was accepted and has not ended.
type Transfer struct {
	Request  custody.RequestID
	Seq      uint64 // entry of the request: the order in which transfers of a wallet are served
	Wallet   custody.WalletID
	Chain    custody.ChainID
	Next     int64  // when to look at it again, Unix nanoseconds
	Bump     int64  // when to raise the fee, Unix nanoseconds; 0: not planned
	Failures uint32 // in a row
	Poke     uint64 // counts what the log said of it that may let it go on; only the store raises it
	Note     string // why it waits
	Settled  bool   // nothing is to be done any more
}

// Store keeps transfers and attempts. What Save writes is written whole or not at all and lasts when it returns. Safe for
// concurrent use. [strongroom/internal/svc/transfer/transfertest.Run] is the conformance suite.
type Store interface {
	// Due gives transfers of some chains that are not settled and whose Next is not after now, by Seq.
	Due(ctx context.Context, chains []custody.ChainID, now int64, limit int) ([]Transfer, error)
	// Transfer gives a transfer; false if the store does not know it.
	Transfer(ctx context.Context, id custody.RequestID) (Transfer, bool, error)
	// Attempts gives the attempts of a transfer by Number.
	Attempts(ctx context.Context, id custody.RequestID) ([]Attempt, error)
	// Live gives the attempts of all transfers of a wallet that are not settled, by transfer and Number.
	Live(ctx context.Context, w custody.WalletID) ([]Attempt, error)
	// Save puts a transfer and attempts of it in the place of those with the same Request, or Request and Number. If the store's
	// Poke is higher than the one that is saved, the store's is kept and Next becomes 0.
	Save(ctx context.Context, t Transfer, attempts ...Attempt) error
}

// Order is what a payload is wanted for.
type Order struct {
	Request  custody.RequestID
	Effects  request.Effects
	Bounds   request.Bounds
	Decision policy.Decision
	Wallet   custody.WalletID
	Source   uint32                    // Ethereum: index of the paying address
	Call     *request.ContractCallBody // nil: a transfer
	Nonce    uint64                    // Ethereum: to use
	Previous []byte                    // payload to replace with a higher fee in the same slot; nil for the first
}

// FeeCap gives the most that may be paid as fee, in base units of the chain's own coin.
func (o Order) FeeCap() custody.Uint256 { return authority.FeeCap(o.Bounds, o.Decision) }

// Builder builds payloads of one chain. It has no effects. Safe for concurrent use.
type Builder interface {
	BuildPayload(ctx context.Context, o Order) ([]byte, error)
}

// Node hands in and follows transactions of one chain. Errors are [chain.Refusal]. Send of the same bytes again succeeds. Safe
// for concurrent use.
type Node interface {
	Send(ctx context.Context, signed []byte) (chain.TxID, error)
	Transaction(ctx context.Context, id chain.TxID) (chain.Tx, error)
}

// Nonces tells the next nonce of an account of one chain: by its newest block, and with what waits in the pool. Safe for
// concurrent use.
type Nonces interface {
	Nonces(ctx context.Context, address string) (latest, pending uint64, err error)
}

// Chain is how transfers of one chain are carried out.
type Chain struct {
	Builder       Builder
	Node          Node
	Nonces        Nonces        // Ethereum's chains; nil elsewhere
	Confirmations uint64        // until an attempt is final, at least 1
	Poll          time.Duration // between two looks at an attempt
	BumpAfter     time.Duration // in the pool, until the fee is raised; 0: never
}

// Config is what a worker needs. All fields are required.
type Config struct {
	Core   gate.Door
	Store  Store
	Chains map[custody.ChainID]Chain
	Now    func() time.Time
	Log    *slog.Logger
}

// Times and counts.
const (
	pendingPoll = time.Minute // between two looks at a transfer that waits for people
	firstRetry  = 500 * time.Millisecond
	lastRetry   = time.Minute
	lastAsking  = time.Hour
	batch       = 256 // transfers of one round
	parallel    = 8   // wallets that are served at a time
)

func (c Config) check() error {
	if c.Core == nil || c.Store == nil || c.Now == nil || c.Log == nil {
		return errors.New("transfer: core, store, clock and log are required")
	}
	for id, x := range c.Chains {
		_, evm := id.EVM()
		switch {
		case x.Builder == nil || x.Node == nil || evm != (x.Nonces != nil):
			return fmt.Errorf("transfer: chain %s needs a builder and a node, and exactly Ethereum's chains need nonces", id)
		case x.Confirmations == 0 || x.Poll <= 0 || x.BumpAfter < 0:
			return fmt.Errorf("transfer: chain %s needs at least one confirmation and a time between two looks", id)
		}
	}
	return nil
}
