// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"fmt"
	"strings"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/eth"
)

// Asset names what can change hands on a chain of Ethereum's, as CAIP-19 does: its coin, "erc20:0x…", and as a whole the tokens of a contract of ERC-721
// ("erc721:0x…") or ERC-1155 ("erc1155:0x…"). Addresses are in EIP-55.
type Asset string

// The namespaces of tokens.
const (
	spaceERC20   = "erc20:"
	spaceERC721  = "erc721:"
	spaceERC1155 = "erc1155:"
)

// Coin names the coin of a chain.
func Coin(c custody.ChainID) Asset { return Asset(c.Native()) }

// ERC20 names a token.
func ERC20(c custody.ChainID, contract eth.Address) Asset { return named(c, spaceERC20, contract) }

// ERC721 names the tokens of a contract.
func ERC721(c custody.ChainID, contract eth.Address) Asset { return named(c, spaceERC721, contract) }

// ERC1155 names the tokens of a contract.
func ERC1155(c custody.ChainID, contract eth.Address) Asset { return named(c, spaceERC1155, contract) }

func named(c custody.ChainID, space string, contract eth.Address) Asset {
	return Asset(string(c) + "/" + space + contract.String())
}

// Chain gives the chain part.
func (a Asset) Chain() custody.ChainID { return custody.AssetID(a).Chain() }

// Numbered says whether it is the tokens of a contract, each of which has a number.
func (a Asset) Numbered() bool {
	_, rest, _ := strings.Cut(string(a), "/")
	return strings.HasPrefix(rest, spaceERC721) || strings.HasPrefix(rest, spaceERC1155)
}

// Check says whether a is an asset, in the one spelling.
func (a Asset) Check() error {
	chain := a.Chain()
	if _, ok := chain.EVM(); !ok {
		return fmt.Errorf("asset %q is on none of Ethereum's chains", string(a))
	}
	if a == Coin(chain) {
		return nil
	}
	_, rest, _ := strings.Cut(string(a), "/")
	space, address, _ := strings.Cut(rest, ":")
	if space += ":"; space != spaceERC20 && space != spaceERC721 && space != spaceERC1155 {
		return fmt.Errorf("asset %q is neither %s nor a token: erc20:, erc721: or erc1155: and the address of its contract", string(a), Coin(chain))
	}
	if _, err := eth.ParseAddress(address); err != nil {
		return fmt.Errorf("asset %q: %w", string(a), err)
	}
	return nil
}
