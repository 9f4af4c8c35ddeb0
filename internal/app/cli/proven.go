// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/hex"
	"fmt"

	"strongroom/client"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/verify"
)

// provenWallet gives a wallet as the log records it: from a proof file that holds with the log key that this machine has of the domain.
func (e *env) provenWallet(ctx context.Context, c *client.Client, id custody.WalletID) (entry.Wallet, error) {
	d, err := e.domain()
	if err != nil {
		return entry.Wallet{}, err
	}
	key, err := hex.DecodeString(d.LogKey)
	if err != nil {
		return entry.Wallet{}, fmt.Errorf("the domain's log key: %w", err)
	}
	file, err := c.WalletProof(ctx, id)
	if err != nil {
		return entry.Wallet{}, fmt.Errorf("proof of wallet %s: %w", id, err)
	}
	r, err := verify.Proof(file, key)
	if err != nil {
		return entry.Wallet{}, falseWord("serve gave a proof of wallet %s that does not hold: %w", id, err)
	}
	if r.Wallet == nil || r.Wallet.ID != id {
		return entry.Wallet{}, falseWord("serve gave a proof that says nothing of wallet %s", id)
	}
	return *r.Wallet, nil
}

// checkAddress compares an address that serve shows with the one that follows from the wallet's account key.
func checkAddress(w entry.Wallet, at entry.KeyPath, shown string) error {
	d, err := authority.Derive(w, at)
	if err != nil {
		return falseWord("serve shows an address that is not the wallet's: %s: %w", shown, err)
	}
	if d.Address != shown {
		return falseWord("serve shows an address that is not the wallet's: %s instead of %s, number %d of wallet %s", shown, d.Address, at.Index, w.ID)
	}
	return nil
}

// falseWord is the error about something that serve said and that the log shows to be false.
func falseWord(format string, args ...any) error {
	return &hinted{err: fmt.Errorf(format, args...), code: exitAlarm, hint: "do not pay there and do not give it to anybody; ask who runs serve, or another serve"}
}
