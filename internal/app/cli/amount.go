// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"strings"

	"strongroom/client"
	"strongroom/internal/pure/custody"
)

// units are the units that amounts may be given in, with their decimals. They name a chain's own coin only: what a token calls a unit is
// the token's word.
var units = []struct {
	name     string
	decimals int
	bitcoin  bool
}{{"gwei", 9, false}, {"wei", 0, false}, {"eth", 18, false}, {"sat", 0, true}, {"btc", 8, true}}

// amountOf reads an amount: whole base units, or for a chain's own coin a number with a unit, such as 0.5eth. Nothing is rounded: more
// decimals than the unit has are refused, as are signs, exponents and separators.
func amountOf(asset custody.AssetID, s string) (client.Amount, error) {
	for _, u := range units {
		n, ok := strings.CutSuffix(strings.ToLower(s), u.name)
		if !ok {
			continue
		}
		if asset != asset.Chain().Native() || u.bitcoin != asset.Chain().Bitcoin() {
			return client.Amount{}, usage("amount %q: the unit %s is not one of %s; give whole base units", s, u.name, asset)
		}
		whole, part, point := strings.Cut(n, ".")
		if whole == "" || point && part == "" || len(part) > u.decimals {
			return client.Amount{}, usage("amount %q: %s has %d decimals at most, and digits on both sides of the point", s, u.name, u.decimals)
		}
		digits := strings.TrimLeft(whole+part+strings.Repeat("0", u.decimals-len(part)), "0")
		if digits == "" {
			digits = "0"
		}
		v, err := client.ParseAmount(digits)
		if err != nil || len(whole) > 1 && whole[0] == '0' {
			return client.Amount{}, usage("amount %q can't be read: digits, perhaps a point, then the unit", s)
		}
		return v, nil
	}
	v, err := client.ParseAmount(s)
	if err != nil {
		return v, usage("%w; or give a unit, such as 0.5eth", err)
	}
	return v, nil
}

// chains are names that people may use for chains.
var chains = []struct {
	name string
	id   custody.ChainID
}{
	{"bitcoin", custody.BitcoinMainnet}, {"bitcoin-testnet", custody.BitcoinTestnet}, {"bitcoin-signet", custody.BitcoinSignet},
	{"bitcoin-regtest", custody.BitcoinRegtest}, {"ethereum", custody.EVMChain(1)},
}

// chainOf reads a chain: a name such as bitcoin-regtest, or CAIP-2.
func chainOf(s string) (custody.ChainID, error) {
	for _, c := range chains {
		if c.name == s {
			return c.id, nil
		}
	}
	c := custody.ChainID(s)
	if err := c.Check(); err != nil {
		return c, usage("%w; or one of bitcoin, bitcoin-testnet, bitcoin-signet, bitcoin-regtest, ethereum", err)
	}
	return c, nil
}

// assetOf reads an asset of a chain: empty or "native" for the chain's own coin, erc20:0x… for a token, either of them behind a chain as
// people name it (bitcoin-regtest/native), or CAIP-19 in full. chain may be empty where the asset names it.
func assetOf(chain custody.ChainID, s string) (custody.AssetID, error) {
	a := custody.AssetID(s)
	name, kind, full := strings.Cut(s, "/")
	if full {
		of, err := chainOf(name)
		if err != nil {
			return a, err
		}
		if chain != "" && chain != of {
			return a, usage("--asset %s: the wallet is on %s", s, chain)
		}
		chain, s = of, kind
	}
	switch {
	case chain == "":
		return a, usage("--asset must name the chain here, because the wallet can't be looked up offline: ethereum/native, bitcoin/native, eip155:1/erc20:0x…")
	case s == "" || s == "native":
		a = chain.Native()
	default:
		a = custody.AssetID(fmt.Sprintf("%s/%s", chain, s))
	}
	if err := a.Check(); err != nil {
		return a, usage("%w", err)
	}
	return a, nil
}
