// SPDX-License-Identifier: Apache-2.0

package devnet

// The bodies of the control interface, all JSON. Unknown fields are refused.
// An error is answered by status 400 (the request is wrong) or 500 (the node
// refused or failed) and an [ErrorAnswer].
type (
	// FundRequest is the body of POST /fund: pay from the faucet.
	FundRequest struct {
		Chain   string `json:"chain"`
		Address string `json:"address"`
		Amount  string `json:"amount"`          // base units (wei, satoshi, the token's), decimal, above zero
		Asset   string `json:"asset,omitempty"` // "native" (default) or "token" (on ethereum)
		// Pending leaves the payment in the pool. Otherwise a block is mined
		// at once, and the money is there when the answer comes.
		Pending bool `json:"pending,omitempty"`
	}
	// FundAnswer names the payment.
	FundAnswer struct {
		Transaction string `json:"transaction"` // transaction hash or id, hex as usual on that chain
	}
	// MineRequest is the body of POST /mine.
	MineRequest struct {
		Chain  string `json:"chain"`
		Blocks int    `json:"blocks"`
	}
	// ReorgRequest is the body of POST /reorg: replace the newest blocks by a
	// branch of one more, all empty. Their transactions go back to the pool.
	ReorgRequest struct {
		Chain string `json:"chain"`
		Depth int    `json:"depth"`
		Drop  bool   `json:"drop,omitempty"` // forget the transactions instead; ethereum only
	}
	// AutomineRequest is the body of POST /automine: replace the plan. See
	// [automine.Plan]; times are in milliseconds, and 0 keeps the present one.
	AutomineRequest struct {
		Chain      string `json:"chain"`
		On         bool   `json:"on"`
		IntervalMs int64  `json:"intervalMs,omitempty"`
		IdleMs     int64  `json:"idleMs,omitempty"` // -1: no empty blocks
	}
	// ChainState is the answer to mine, reorg and automine, and a part of [State].
	ChainState struct {
		Height   uint64        `json:"height"`
		Hash     string        `json:"hash"`    // of the newest block
		Pending  int           `json:"pending"` // transactions that wait for a block
		Automine AutomineState `json:"automine"`
	}
	// AutomineState is the plan in force.
	AutomineState struct {
		On         bool   `json:"on"`
		IntervalMs int64  `json:"intervalMs"`
		IdleMs     int64  `json:"idleMs"` // 0: no empty blocks
		Error      string `json:"error,omitempty"`
	}
	// State is the answer to GET /state.
	State struct {
		Ethereum ChainState `json:"ethereum"`
		Bitcoin  ChainState `json:"bitcoin"`
	}
	// ErrorAnswer says what went wrong.
	ErrorAnswer struct {
		Error string `json:"error"`
	}
)
