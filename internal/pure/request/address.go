// SPDX-License-Identifier: Apache-2.0

package request

import (
	"fmt"

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
