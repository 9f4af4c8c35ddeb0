// SPDX-License-Identifier: Apache-2.0

package custody

import (
	"fmt"
	"strconv"
	"strings"
)

// ChainID names a chain as in CAIP-2: "eip155:1" for Ethereum, "bip122:" and the first 32 hex digits of the genesis block for Bitcoin.
type ChainID string

// AssetID names an asset as in CAIP-19: chain, slash, "slip44:60" for the chain's own coin or "erc20:0x…" for a token
// (with the EIP-55 checksum, because the log has one spelling).
type AssetID string

// Bitcoin's chains by the hash of their first block (BIP-122 as CAIP-2 uses it).
const (
	BitcoinMainnet ChainID = "bip122:000000000019d6689c085ae165831e93"
	BitcoinTestnet ChainID = "bip122:000000000933ea01ad0ee984209779ba"
	BitcoinSignet  ChainID = "bip122:00000008819873e925422c1ff0f99f7c"
	BitcoinRegtest ChainID = "bip122:0f9188f13cb7b2c71f2a335e3a4fc328"
)

// EVMChain gives the chain with an EIP-155 chain id.
func EVMChain(id uint64) ChainID { return ChainID("eip155:" + strconv.FormatUint(id, 10)) }

// EVM gives the EIP-155 chain id, and false if c is not an EVM chain.
func (c ChainID) EVM() (uint64, bool) {
	number, ok := strings.CutPrefix(string(c), "eip155:")
	if !ok || number == "" || number[0] < '1' || number[0] > '9' {
		return 0, false
	}
	id, err := strconv.ParseUint(number, 10, 63) // in base 10 it takes digits only
	return id, err == nil
}

// Bitcoin says whether c is one of Bitcoin's chains.
func (c ChainID) Bitcoin() bool {
	return c == BitcoinMainnet || c == BitcoinTestnet || c == BitcoinSignet || c == BitcoinRegtest
}

// Check says whether c is a chain that Strongroom knows.
func (c ChainID) Check() error {
	if _, ok := c.EVM(); ok || c.Bitcoin() {
		return nil
	}
	return fmt.Errorf("chain %q is not known: want eip155:<chain id> or bip122:<first 32 hex digits of the genesis block of mainnet, testnet, signet or regtest>", string(c))
}

// Native gives the chain's own coin: slip44:60 for EVM chains, slip44:0 for Bitcoin's main chain and slip44:1 for its test chains.
func (c ChainID) Native() AssetID {
	switch {
	case c == BitcoinMainnet:
		return AssetID(c + "/slip44:0")
	case c.Bitcoin():
		return AssetID(c + "/slip44:1")
	default:
		return AssetID(c + "/slip44:60")
	}
}

// Chain gives the chain part.
func (a AssetID) Chain() ChainID {
	c, _, _ := strings.Cut(string(a), "/")
	return ChainID(c)
}

// ERC20 gives the token's contract address as written, and false if a is not an ERC-20 token.
func (a AssetID) ERC20() (string, bool) {
	_, r, _ := strings.Cut(string(a), "/")
	address, ok := strings.CutPrefix(r, "erc20:")
	digits, hex := strings.CutPrefix(address, "0x")
	if !ok || !hex || len(digits) != 40 || !consistsOf(digits, isHexDigit) {
		return "", false
	}
	return address, true
}

func isHexDigit(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// Check says whether a is an asset that Strongroom can hold. The checksum of a token's address is checked where it is used.
func (a AssetID) Check() error {
	c := a.Chain()
	if err := c.Check(); err != nil {
		return fmt.Errorf("asset %q: %w", string(a), err)
	}
	if a == c.Native() {
		return nil
	}
	if _, ok := a.ERC20(); ok {
		if _, evm := c.EVM(); evm {
			return nil
		}
	}
	return fmt.Errorf("asset %q is neither %q nor an ERC-20 token of an EVM chain", string(a), string(c.Native()))
}
