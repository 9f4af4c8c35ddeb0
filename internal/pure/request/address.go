// SPDX-License-Identifier: Apache-2.0

package request

import (
	"encoding/hex"
	"fmt"
	"strings"

	"strongroom/internal/pure/btc"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/eth"
)

// BitcoinNetwork gives the network of one of Bitcoin's chains.
func BitcoinNetwork(c custody.ChainID) (btc.Network, error) {
	switch c {
	case custody.BitcoinMainnet:
		return btc.Mainnet, nil
	case custody.BitcoinTestnet:
		return btc.Testnet, nil
	case custody.BitcoinSignet:
		return btc.Signet, nil
	case custody.BitcoinRegtest:
		return btc.Regtest, nil
	default:
		return "", fmt.Errorf("chain %s is not Bitcoin", c)
	}
}

// LooksLikeAddress says whether s is an address of some chain that is supported, or begins as one does. Such a text is no name: whoever
// wrote it meant an address, perhaps of another chain or with a digit wrong.
func LooksLikeAddress(s string) bool {
	low := strings.ToLower(s)
	for _, prefix := range []string{"0x", "bc1", "tb1", "bcrt1"} {
		if strings.HasPrefix(low, prefix) {
			return true
		}
	}
	if b, err := hex.DecodeString(low); err == nil && len(b) == 20 { // Ethereum's without 0x
		return true
	}
	for _, c := range []custody.ChainID{custody.BitcoinMainnet, custody.BitcoinTestnet} { // base58; all test networks have one form
		if _, err := CanonicalAddress(c, s); err == nil {
			return true
		}
	}
	return false
}

// CheckBookID says whether s can be a name in an address book: a slug that nobody takes for an address.
func CheckBookID(s string) error {
	if err := custody.CheckSlug("address-book id", s); err != nil {
		return err
	}
	if LooksLikeAddress(s) {
		return fmt.Errorf("address-book id %q reads as an address; give it a name", s)
	}
	return nil
}

// CanonicalAddress reads an address of a chain and gives its one spelling. An address that is valid but spelt otherwise is
// refused, because the log, the rules and the approver must compare the same bytes.
func CanonicalAddress(c custody.ChainID, s string) (string, error) {
	if _, ok := c.EVM(); ok {
		if _, err := eth.ParseAddress(s); err != nil {
			return "", err
		}
		return s, nil // it takes no other spelling than this one
	}
	n, err := BitcoinNetwork(c)
	if err != nil {
		return "", err
	}
	script, err := btc.ParseAddress(n, s)
	if err != nil {
		return "", err
	}
	one, err := script.Address(n)
	if err == nil && one != s {
		err = fmt.Errorf("address %q is valid, but its one spelling here is %q", s, one)
	}
	return one, err
}
