// SPDX-License-Identifier: Apache-2.0

package btcd

import (
	"strings"

	"strongroom/internal/svc/chain"
)

// alreadyKnown marks, inside this package, the answer to bytes that the node has already: for the caller that is success.
const alreadyKnown chain.Reason = "already-known"

// words is what nodes say, in lower case, and what it means. The first row that occurs in the text holds, so the particular
// stands before the general. btcd unless named; bitcoind's words are those of its TxValidationState.
var words = []struct {
	text   string
	reason chain.Reason
}{
	{"already have transaction", alreadyKnown},
	{"transaction already exists", alreadyKnown},
	{"already in block chain", alreadyKnown},              // bitcoind
	{"transaction outputs already in utxo", alreadyKnown}, // bitcoind
	{"txn-already-in-mempool", alreadyKnown},              // bitcoind
	{"txn-already-known", alreadyKnown},                   // bitcoind
	{"txn-same-nonwitness-data-in-mempool", alreadyKnown}, // bitcoind
	{"insufficient fee rate", chain.Underpriced},
	{"insufficient absolute fee", chain.Underpriced},
	{"replacement transaction", chain.Underpriced},
	{"insufficient fee, rejecting replacement", chain.Underpriced}, // bitcoind
	{"too many potential replacements", chain.Underpriced},         // bitcoind
	{"output already spent in mempool", chain.InputsSpent},
	{"references outputs of unknown or fully-spent", chain.InputsSpent},
	{"orphan transaction", chain.InputsSpent},
	{"already been spent", chain.InputsSpent},
	{"either does not exist or", chain.InputsSpent},
	{"missing-inputs", chain.InputsSpent},                 // bitcoind
	{"missingorspent", chain.InputsSpent},                 // bitcoind
	{"txn-mempool-conflict", chain.InputsSpent},           // bitcoind
	{"bad-txns-spends-conflicting-tx", chain.InputsSpent}, // bitcoind
	{"under the required amount", chain.FeeTooLow},
	{"insufficient priority", chain.FeeTooLow},
	{"rate limiter due to low fees", chain.FeeTooLow},
	{"min relay fee not met", chain.FeeTooLow},   // bitcoind
	{"mempool min fee not met", chain.FeeTooLow}, // bitcoind
	{"mempool full", chain.PoolFull},             // bitcoind
	{"too-long-mempool-chain", chain.PoolFull},   // bitcoind
	{"block number out of range", chain.NotFound},
	{"block height out of range", chain.NotFound}, // bitcoind
	{"block not found", chain.NotFound},
	{"no information available about transaction", chain.NotFound},
	{"no such mempool", chain.NotFound}, // bitcoind
	{"transaction index must be enabled", chain.Unsupported},
	{"use -txindex", chain.Unsupported}, // bitcoind
	{"method not found", chain.Unsupported},
	{"command unimplemented", chain.Unsupported},
	{"fee estimation disabled", chain.Unsupported}, // bitcoind
	{"loading block index", chain.Unavailable},     // bitcoind, while it starts
	{"verifying blocks", chain.Unavailable},        // bitcoind
	{"work queue depth exceeded", chain.Unavailable},
}

// Codes that mean the same with btcd and bitcoind.
const (
	codeWarmup         = -28
	codeMethodNotFound = -32601
	codeNoTxInfo       = -5
	codeAlreadyInChain = -27
)

// reason classifies a node's refusal. What it does not know is [chain.Invalid]: the node did answer, and repeating the same
// bytes would get the same answer.
func reason(code int, text string) chain.Reason {
	low := strings.ToLower(text)
	// bitcoind names the index in the same sentence that says that the transaction is not in the pool.
	for _, w := range words {
		if strings.Contains(low, w.text) {
			if w.reason == chain.NotFound && strings.Contains(low, "-txindex") {
				return chain.Unsupported
			}
			return w.reason
		}
	}
	switch code {
	case codeWarmup:
		return chain.Unavailable
	case codeMethodNotFound:
		return chain.Unsupported
	case codeNoTxInfo:
		return chain.NotFound
	case codeAlreadyInChain:
		return alreadyKnown
	default:
		return chain.Invalid
	}
}
