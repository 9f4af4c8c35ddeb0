// SPDX-License-Identifier: Apache-2.0

package btc

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// TxID is the id of a transaction in internal order: the double SHA-256 as it comes out. Programs and people write it
// with its bytes reversed; [TxID.String] and [ParseTxID] do that.
type TxID [32]byte

// String returns the id as people write it: 64 lower-case hex digits, bytes reversed.
func (t TxID) String() string {
	slices.Reverse(t[:])
	return hex.EncodeToString(t[:])
}

// ParseTxID reads what [TxID.String] writes and nothing else; the refusal is [ErrOutPoint].
func ParseTxID(s string) (TxID, error) {
	var t TxID
	if len(s) != hex.EncodedLen(len(t)) || s != strings.ToLower(s) {
		return TxID{}, fmt.Errorf("%w: a txid is %d lower-case hex digits", ErrOutPoint, hex.EncodedLen(len(t)))
	}
	if _, err := hex.Decode(t[:], []byte(s)); err != nil {
		return TxID{}, fmt.Errorf("%w: a txid is lower-case hex: %w", ErrOutPoint, err)
	}
	slices.Reverse(t[:])
	return t, nil
}

// OutPoint names one output of one transaction.
type OutPoint struct {
	TxID  TxID   // of the transaction, internal order
	Index uint32 // of the output in it, from 0 ("vout")
}

// String writes txid:index, the index in decimal.
func (o OutPoint) String() string {
	return o.TxID.String() + ":" + strconv.FormatUint(uint64(o.Index), 10)
}

// ParseOutPoint reads what [OutPoint.String] writes and nothing else; the refusal is [ErrOutPoint].
func ParseOutPoint(s string) (OutPoint, error) {
	id, index, found := strings.Cut(s, ":")
	if !found {
		return OutPoint{}, ErrOutPoint
	}
	txid, err := ParseTxID(id)
	if err != nil {
		return OutPoint{}, err
	}
	n, err := strconv.ParseUint(index, 10, 32)
	if err != nil || strconv.FormatUint(n, 10) != index {
		return OutPoint{}, fmt.Errorf("%w: the index is a decimal number from 0 to %d", ErrOutPoint, uint32(math.MaxUint32))
	}
	return OutPoint{TxID: txid, Index: uint32(n)}, nil
}

// isNull tells whether o is the outpoint that coinbase inputs have, which names no output.
func (o OutPoint) isNull() bool { return o == OutPoint{Index: math.MaxUint32} }

// append appends the 36 bytes that stand for o in transactions.
func (o OutPoint) append(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(append(b, o.TxID[:]...), o.Index)
}
