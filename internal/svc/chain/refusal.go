// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"errors"
	"fmt"

	"strongroom/internal/pure/problem"
)

// Reason says why a node did not do what it was asked, in terms of what to do about it. Nodes say it in many words; the
// adapters classify.
type Reason string

// The reasons.
const (
	Unavailable   Reason = "unavailable"   // no answer, or none that can be used: whether the call had an effect is unknown; ask again
	WrongChain    Reason = "wrong-chain"   // the node serves another chain: nothing was sent
	NotFound      Reason = "not-found"     // the node does not know the block or transaction
	NonceTooLow   Reason = "nonce-too-low" // Ethereum: another transaction took the nonce
	Underpriced   Reason = "underpriced"   // a replacement must offer more than this
	FeeTooLow     Reason = "fee-too-low"   // below what the node takes now; later, or with a higher fee
	NoFunds       Reason = "no-funds"      // the account can't pay value and fee
	InputsSpent   Reason = "inputs-spent"  // Bitcoin: an input is unknown or spent by another transaction
	Reverts       Reason = "reverts"       // Ethereum: the call would fail
	PoolFull      Reason = "pool-full"     // the node has no room; later
	Invalid       Reason = "invalid"       // the transaction is against the rules of the chain or the node
	Unsupported   Reason = "unsupported"   // the node lacks a method or an index that is needed
	Contradiction Reason = "contradiction" // the node's answer contradicts itself or what it was asked: do not trust it
)

// Refusal is the error of all chain adapters.
type Refusal struct {
	Reason Reason
	Node   string // host and port
	Act    string // what was asked, for instance "send"
	Text   string // the node's words, or ours; printable, at most 300 characters, never credentials
	Err    error  // cause, or nil
}

// Error names node, act and words.
func (r *Refusal) Error() string {
	return fmt.Sprintf("node %s: %s: %s (%s)", r.Node, r.Act, r.Text, r.Reason)
}

// Unwrap gives the cause.
func (r *Refusal) Unwrap() error { return r.Err }

// Is makes errors.Is(err, &Refusal{Reason: x}) ask for the reason.
func (r *Refusal) Is(target error) bool {
	t, ok := target.(*Refusal)
	return ok && t.Node == "" && t.Act == "" && t.Text == "" && t.Err == nil && t.Reason == r.Reason
}

// ReasonOf gives the reason of a refusal, or "" if err is none.
func ReasonOf(err error) Reason {
	var r *Refusal
	if errors.As(err, &r) {
		return r.Reason
	}
	return ""
}

// Problem turns an adapter's error into one that may be shown. It gives nil for nil and leaves a problem as it is.
func Problem(err error) error {
	if err == nil {
		return nil
	}
	var p *problem.Error
	if errors.As(err, &p) {
		return p
	}
	var r *Refusal
	if !errors.As(err, &r) {
		return problem.Wrap(problem.Internal, err, "the chain could not be asked")
	}
	return problem.Wrap(kindOf(r.Reason), err, "node %s: %s: %s", r.Node, r.Act, r.Text)
}

// kindOf is the wire kind of a reason.
func kindOf(r Reason) problem.Kind {
	switch r {
	case Unavailable, Contradiction:
		return problem.NodeUnavailable
	case WrongChain:
		return problem.WrongNetwork
	case NotFound:
		return problem.NotFound
	case NoFunds:
		return problem.Insufficient
	case FeeTooLow, PoolFull:
		return problem.Busy
	case Unsupported:
		return problem.Unsupported
	case Invalid, Reverts:
		return problem.Malformed
	default: // NonceTooLow, Underpriced, InputsSpent
		return problem.Conflict
	}
}

// Printable gives at most n bytes of a foreign text with everything but printable ASCII replaced, so that a node can't forge
// log lines or terminal output.
func Printable(s string, n int) string {
	b := []byte(s[:min(len(s), n)])
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '?'
		}
	}
	return string(b)
}
