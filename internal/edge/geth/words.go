// SPDX-License-Identifier: Apache-2.0

package geth

import (
	"strings"

	"strongroom/internal/svc/chain"
)

// alreadyKnown marks, inside this package, the answer to bytes that the node has already: for the caller that is success.
const alreadyKnown chain.Reason = "already-known"

// words is what nodes say, in lower case, and what it means. The first row that occurs in the text holds, so the particular
// stands before the general. go-ethereum unless named.
var words = []struct {
	text   string
	reason chain.Reason
}{
	{"already known", alreadyKnown},
	{"alreadyknown", alreadyKnown},                 // Nethermind
	{"known transaction", alreadyKnown},            // Besu
	{"transaction already imported", alreadyKnown}, // anvil
	{"replacement transaction underpriced", chain.Underpriced},
	{"could not replace existing tx", chain.Underpriced}, // Erigon
	{"replacementnotallowed", chain.Underpriced},         // Nethermind
	{"nonce too low", chain.NonceTooLow},
	{"oldnonce", chain.NonceTooLow}, // Nethermind
	{"insufficient funds", chain.NoFunds},
	{"insufficientfunds", chain.NoFunds},                    // Nethermind
	{"upfront cost exceeds account balance", chain.NoFunds}, // Besu
	{"gas required exceeds allowance", chain.NoFunds},       // when estimating: the balance buys too little gas
	{"max fee per gas less than block base fee", chain.FeeTooLow},
	{"transaction underpriced", chain.FeeTooLow},
	{"transaction gas price below minimum", chain.FeeTooLow},
	{"feetoolow", chain.FeeTooLow}, // Nethermind
	{"invalid chain id", chain.WrongChain},
	{"chain id mismatch", chain.WrongChain},
	{"wrong chain", chain.WrongChain},    // Besu
	{"invalid sender", chain.WrongChain}, // go-ethereum's pool, for a signature under another chain id
	{"execution reverted", chain.Reverts},
	{"always failing transaction", chain.Reverts},
	{"txpool is full", chain.PoolFull},
	{"out of capacity", chain.PoolFull},
	{"account limit exceeded", chain.PoolFull},
	{"in-flight transaction limit reached", chain.PoolFull},
	{"future transaction tries to replace pending", chain.PoolFull},
	{"does not exist/is not available", chain.Unsupported},
	{"method not found", chain.Unsupported},
	{"method not supported", chain.Unsupported},
	{"header not found", chain.NotFound},
	{"block not found", chain.NotFound},
	{"unknown block", chain.NotFound},
	{"too many requests", chain.Unavailable},
	{"rate limit", chain.Unavailable},
	{"limit exceeded", chain.Unavailable},
	{"request timed out", chain.Unavailable},
	{"transaction indexing is in progress", chain.Unavailable},
}

// Codes of JSON-RPC 2.0 and EIP-1474 that mean the same with every node.
const (
	codeMethodNotFound = -32601
	codeLimitExceeded  = -32005
	codeInternal       = -32603
	codeReverted       = 3
)

// reason classifies a node's refusal. What it does not know is [chain.Invalid]: the node did answer, and repeating the same
// bytes would get the same answer.
func reason(code int, text string) chain.Reason {
	low := strings.ToLower(text)
	for _, w := range words {
		if strings.Contains(low, w.text) {
			return w.reason
		}
	}
	switch code {
	case codeMethodNotFound:
		return chain.Unsupported
	case codeReverted:
		return chain.Reverts
	case codeLimitExceeded, codeInternal:
		return chain.Unavailable
	default:
		return chain.Invalid
	}
}
