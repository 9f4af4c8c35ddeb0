// SPDX-License-Identifier: Apache-2.0

package request

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"

	"strongroom/internal/pure/custody"
)

// MaxReconciled is how many accounts, or inputs, one request may name.
const MaxReconciled = 4096

// maxNonce is the largest nonce of an account, less 1: EIP-2681.
const maxNonce = 1<<63 - 1

// ReanchorCancelBody asks to give up a re-anchoring before its time-lock has passed. docs/spec/reanchor.md.
type ReanchorCancelBody struct {
	Counter  uint64 `cbor:"1,keyasint" json:"counter"`
	Reanchor uint64 `cbor:"2,keyasint" json:"reanchor"` // its entry
}

// SlotReconcileBody says what the chain shows of a wallet whose slots are held since entries of the log were lost, so that they are free
// again. An Ethereum wallet has accounts, a Bitcoin wallet spent inputs; both may be empty: the chain shows nothing that the log does not know.
type SlotReconcileBody struct {
	Wallet   custody.WalletID `cbor:"1,keyasint" json:"wallet"`
	Accounts []WalletNonce    `cbor:"2,keyasint,omitempty" json:"accounts,omitempty"` // by rising index
	Spent    []SpentInput     `cbor:"3,keyasint,omitempty" json:"spent,omitempty"`    // by transaction id, then index
}

// WalletNonce is the least nonce of a wallet's address that nothing has used.
type WalletNonce struct {
	Index uint32 `cbor:"1,keyasint" json:"index"` // of the address
	Next  uint64 `cbor:"2,keyasint" json:"next"`
}

// SpentInput is an output of an earlier transaction that was spent, or that something which was signed spends.
type SpentInput struct {
	TxID  custody.HexBytes `cbor:"1,keyasint" json:"txid"` // 32 bytes in internal byte order
	Index uint32           `cbor:"2,keyasint" json:"index"`
}

// Number implements [LifeBody].
func (b *ReanchorCancelBody) Number() uint64 { return b.Counter }

func (b *ReanchorCancelBody) check() error {
	if b.Reanchor == 0 {
		return errors.New("must name the entry of the re-anchoring, as 'strongroom domain re-anchor status' shows it")
	}
	return checkCounter(b.Counter)
}

func (b *SlotReconcileBody) check() error {
	if len(b.Accounts) > MaxReconciled || len(b.Spent) > MaxReconciled || len(b.Accounts) > 0 && len(b.Spent) > 0 {
		return fmt.Errorf("names %d accounts and %d inputs; want at most %d of one of them", len(b.Accounts), len(b.Spent), MaxReconciled)
	}
	for i, a := range b.Accounts {
		if a.Index >= 1<<31 || a.Next == 0 || a.Next > maxNonce || i > 0 && b.Accounts[i-1].Index >= a.Index {
			return fmt.Errorf("account %d must be an address's index and its next nonce, from 1 on, by rising index", i)
		}
	}
	for i, s := range b.Spent {
		if len(s.TxID) != 32 || i > 0 && b.Spent[i-1].Compare(s) >= 0 {
			return fmt.Errorf("input %d must be a transaction id of 32 bytes and an index, in rising order", i)
		}
	}
	return b.Wallet.Check()
}

// Compare orders inputs as a body has them.
func (s SpentInput) Compare(o SpentInput) int {
	return cmp.Or(bytes.Compare(s.TxID, o.TxID), cmp.Compare(s.Index, o.Index))
}
