// SPDX-License-Identifier: Apache-2.0

package btc

import "fmt"

// Network names one Bitcoin network. The zero value is none and is refused wherever a network is asked for.
type Network string

// The networks. Testnet stands for test networks 3 and 4, which have the same addresses.
const (
	Mainnet Network = "bitcoin"
	Testnet Network = "testnet"
	Signet  Network = "signet"
	Regtest Network = "regtest"
)

// Params is what tells addresses and keys of one network from those of another. Testnet, signet and, except for HRP,
// regtest share all values: their addresses can't be told apart.
type Params struct {
	HRP          string // human-readable part of bech32 addresses, BIP-173
	P2PKHVersion byte   // first byte of base58 addresses that pay to a key hash
	P2SHVersion  byte   // first byte of base58 addresses that pay to a script hash, BIP-13
	CoinType     uint32 // second level of BIP-44 paths, without the hardened bit (SLIP-44)
}

// Params returns the parameters of n, or [ErrNetwork].
func (n Network) Params() (Params, error) {
	switch n {
	case Mainnet:
		return Params{HRP: "bc", P2PKHVersion: 0x00, P2SHVersion: 0x05, CoinType: 0}, nil
	case Testnet, Signet:
		return Params{HRP: "tb", P2PKHVersion: 0x6f, P2SHVersion: 0xc4, CoinType: 1}, nil
	case Regtest:
		return Params{HRP: "bcrt", P2PKHVersion: 0x6f, P2SHVersion: 0xc4, CoinType: 1}, nil
	default:
		return Params{}, fmt.Errorf("%w: got %q", ErrNetwork, string(n))
	}
}

// networksWhere lists the networks whose parameters satisfy match, mainnet first.
func networksWhere(match func(Params) bool) []Network {
	var found []Network
	for _, n := range []Network{Mainnet, Testnet, Signet, Regtest} {
		if p, err := n.Params(); err == nil && match(p) {
			found = append(found, n)
		}
	}
	return found
}
