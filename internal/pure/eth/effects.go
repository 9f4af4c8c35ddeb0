// SPDX-License-Identifier: Apache-2.0

package eth

import "fmt"

// Kind says what a transaction moves.
type Kind string

// The kinds of effect. They are wire format.
const (
	NativeTransfer Kind = "native-transfer" // wei, from the sender to To
	ERC20Transfer  Kind = "erc20-transfer"  // base units of the token at Contract, from the sender to To
)

// Effect is the one thing a supported transaction does, beside paying its fee.
type Effect struct {
	Kind     Kind
	Contract Address // the token; the zero address for a native transfer
	To       Address // who receives, which for a token is not the To of the transaction
	Amount   Uint256 // wei, or base units of the token; never zero
}

// Reason says why a transaction has no supported effect. The values are wire format.
type Reason string

// The reasons of an [UnsupportedError].
const (
	ReasonShortData     Reason = "short-data"      // data too short for a selector
	ReasonMethod        Reason = "method"          // another function than transfer
	ReasonCallSize      Reason = "call-size"       // transfer with the wrong size of data
	ReasonPadding       Reason = "padding"         // transfer whose address has something before its 20 bytes
	ReasonValueWithCall Reason = "value-with-call" // wei sent along with a token transfer
	ReasonUnknownToken  Reason = "unknown-token"   // call of a contract that is not a token of the domain
	ReasonTokenAsPayee  Reason = "token-as-payee"  // wei or tokens sent to a token contract
	ReasonZeroAddress   Reason = "zero-address"    // recipient is the zero address
	ReasonNothingMoved  Reason = "nothing-moved"   // amount is zero
)

// UnsupportedError is the refusal of a transaction or call whose effect is not one of the two supported transfers.
type UnsupportedError struct {
	Reason   Reason
	Selector Selector // of the call, for reasons that have one
	Method   string   // signature of the called function, "" when unknown
	Size     int      // size of the call data in bytes
	Contract Address  // contract or recipient the reason is about, else the zero address
}

func (e *UnsupportedError) Error() string {
	method := e.Method
	if method == "" {
		method = "a function this version does not know"
	}
	switch e.Reason {
	case ReasonShortData:
		return fmt.Sprintf("call data has %d bytes, too few for a function; only transfers are supported", e.Size)
	case ReasonMethod:
		return fmt.Sprintf("call of %s (%s) is not supported; only transfer(address,uint256) is", e.Selector, method)
	case ReasonCallSize:
		return fmt.Sprintf("call data of %s has %d bytes instead of %d", method, e.Size, TransferSize)
	case ReasonPadding:
		return fmt.Sprintf("call data of %s has bytes that are not zero before the address", method)
	case ReasonValueWithCall:
		return fmt.Sprintf("transaction sends value along with %s; set the value to 0", method)
	case ReasonUnknownToken:
		return fmt.Sprintf("contract %s is not a known token; register it before transferring", e.Contract)
	case ReasonTokenAsPayee:
		return fmt.Sprintf("recipient %s is a token contract, which would keep what it gets", e.Contract)
	case ReasonZeroAddress:
		return "recipient is the zero address; nobody can spend from it"
	case ReasonNothingMoved:
		return "amount is 0; nothing would be moved"
	default:
		return fmt.Sprintf("transaction is not supported (%s)", string(e.Reason))
	}
}

// Effects says what tx does: a native transfer (no data, value above zero) or an ERC-20 transfer (exactly
// transfer(address,uint256), no value, called on a contract for which isToken answers true). isToken knows the tokens
// registered for the transaction's chain; nil knows none. Everything else is an [*UnsupportedError] or the error of
// [Tx1559.Check]. Nothing is sent to the zero address or, of either kind, to a registered token contract: tokens keep
// what they receive, and some turn plain coins into another asset.
func Effects(tx Tx1559, isToken func(Address) bool) (Effect, error) {
	if err := tx.Check(); err != nil {
		return Effect{}, err
	}
	known := func(a Address) bool { return isToken != nil && isToken(a) }
	effect := Effect{Kind: NativeTransfer, To: tx.To, Amount: tx.Value}
	if len(tx.Data) != 0 {
		call, err := DecodeCall(tx.Data)
		if err != nil {
			return Effect{}, err
		}
		refusal := UnsupportedError{Selector: transferSelector, Method: methodName(transferSelector), Size: len(tx.Data)}
		if !known(tx.To) {
			refusal.Reason, refusal.Contract = ReasonUnknownToken, tx.To
			return Effect{}, &refusal
		}
		if !tx.Value.IsZero() {
			refusal.Reason = ReasonValueWithCall
			return Effect{}, &refusal
		}
		effect = Effect{Kind: ERC20Transfer, Contract: tx.To, To: call.To, Amount: call.Amount}
	}
	switch {
	case effect.To.IsZero():
		return Effect{}, &UnsupportedError{Reason: ReasonZeroAddress, Size: len(tx.Data)}
	case known(effect.To):
		return Effect{}, &UnsupportedError{Reason: ReasonTokenAsPayee, Contract: effect.To, Size: len(tx.Data)}
	case effect.Amount.IsZero():
		return Effect{}, &UnsupportedError{Reason: ReasonNothingMoved, Size: len(tx.Data)}
	}
	return effect, nil
}
