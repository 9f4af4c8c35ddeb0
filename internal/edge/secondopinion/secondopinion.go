// SPDX-License-Identifier: Apache-2.0

// Package secondopinion decodes what is approved and signed a second time, with go-ethereum's and btcsuite's code, and
// compares the outcome with the platform's own decoders (pure/eth, pure/btc, pure/request). The approver's program asks it
// before it shows a request, serve before it hands a payload to the core and before it broadcasts what came back. The core
// never asks it.
//
// The two must say the same about addresses, amounts, assets, fees, keys and signature hashes. Where they do not, one of them
// is wrong or somebody lies, and the error is an [*Alarm]: nobody should approve, sign or send until a human knows why. What
// the own decoders refuse is refused here too, with their error; they are meant to be the stricter ones.
package secondopinion

import (
	"fmt"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
)

// Effects is what bytes do, as the second decoder reads them.
type Effects struct {
	Chain   custody.ChainID
	Asset   custody.AssetID
	Outputs []request.Output // what others get, in base units of Asset
	Fee     custody.Uint256  // most that it costs, base units of the chain's own coin
	Change  []request.Output // Bitcoin: what goes back to the wallet
	Inputs  []string         // Bitcoin: what is spent, txid:index
	Nonce   uint64           // Ethereum
	TxID    string           // Bitcoin: known before it is signed
}

// Alarm says that two decoders disagree, or that bytes do something else than what was approved.
type Alarm struct {
	About         string // what they disagree about, for instance "output 0"
	First, Second string // what the one side has and the other
}

// Error starts with ALARM.
func (a *Alarm) Error() string {
	return fmt.Sprintf("ALARM: %s: %q against %q; do not approve, sign or send this, and find out why", a.About, a.First, a.Second)
}

// same raises an alarm unless the two texts are the same.
func same(about string, first, second any) error {
	a, b := fmt.Sprint(first), fmt.Sprint(second)
	if a == b {
		return nil
	}
	return &Alarm{About: about, First: a, Second: b}
}

// refused raises an alarm because the second decoder refuses what the own one took.
func refused(about string, err error) error {
	return &Alarm{About: about, First: "accepted by the own decoder", Second: "refused: " + err.Error()}
}

// first gives the first error.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Address checks that an address belongs to a chain and has the one spelling that is used here.
func Address(c custody.ChainID, s string) error {
	if own, err := request.CanonicalAddress(c, s); err != nil {
		return err
	} else if own != s {
		return fmt.Errorf("address %s must be written %s", s, own)
	}
	if _, ok := c.EVM(); ok {
		return ethereumAddress(s)
	}
	return bitcoinAddress(c, s)
}

// sameOutputs compares outputs one by one.
func sameOutputs(about string, a, b []request.Output) error {
	if err := same(about+", number", len(a), len(b)); err != nil {
		return err
	}
	for i := range a {
		if err := first(
			same(fmt.Sprintf("%s %d, address", about, i), a[i].Address, b[i].Address),
			same(fmt.Sprintf("%s %d, amount", about, i), a[i].Amount, b[i].Amount),
		); err != nil {
			return err
		}
	}
	return nil
}
