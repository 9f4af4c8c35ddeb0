// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"fmt"

	"strongroom/internal/pure/btc"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/secp"
	"strongroom/internal/pure/tlog"
)

// ChangeGap is how far beyond the last used change index a payload's change address may lie (the gap limit of BIP-44).
const ChangeGap = 20

// Derived is an address of a wallet.
type Derived struct {
	Address string
	Public  secp.PublicKey
	Branch  [secp.CompressedSize]byte // public key of the branch, one level above: what a private derivation takes
	Script  btc.Script                // Bitcoin only
}

// Deriver gives the address of a wallet at a path. [Derive] is one; the core's has a cache.
type Deriver func(entry.Wallet, entry.KeyPath) (Derived, error)

// AccountKey gives a wallet's account key. One of class token has none.
func AccountKey(w entry.Wallet) (secp.ExtendedKey, error) {
	if w.Class != "" {
		return secp.ExtendedKey{}, fmt.Errorf("wallet %s is of class %q: nothing is derived from its key", w.ID, string(w.Class))
	}
	pub, err := secp.ParsePublicKey(w.Public)
	if err != nil {
		return secp.ExtendedKey{}, fmt.Errorf("wallet %s: account key: %w", w.ID, err)
	}
	return secp.ExtendedKey{Depth: 3, ParentFingerprint: w.Parent, ChildNumber: w.Account | secp.HardenedBit, ChainCode: w.ChainCode, PublicKey: pub}, nil
}

// AccountPath gives the path of a wallet's account key from the master key: BIP-44, BIP-84 or BIP-86.
func AccountPath(w entry.Wallet) (secp.Path, error) {
	h := secp.HardenedBit
	if w.Scheme == request.SchemeEVM {
		return secp.Path{44 | h, 60 | h, w.Account | h}, nil
	}
	n, err := request.BitcoinNetwork(w.Chain)
	if err != nil {
		return nil, fmt.Errorf("wallet %s: %w", w.ID, err)
	}
	p, err := n.Params()
	if err != nil {
		return nil, fmt.Errorf("wallet %s: %w", w.ID, err)
	}
	purpose := uint32(84)
	if w.Scheme == request.SchemeP2TR {
		purpose = 86
	}
	return secp.Path{purpose | h, p.CoinType | h, w.Account | h}, nil
}

// Derive gives the address of a wallet at a path, from the wallet's public account key. A wallet of class token has the one address of its key, at 0/0.
func Derive(w entry.Wallet, p entry.KeyPath) (Derived, error) {
	var d Derived
	if w.Class != "" {
		return tokenAddress(w, p)
	}
	if p.Branch > 1 || p.Index >= secp.HardenedBit || (w.Scheme == request.SchemeEVM && p.Branch != 0) {
		return d, fmt.Errorf("wallet %s has no address %d/%d", w.ID, p.Branch, p.Index)
	}
	k, err := AccountKey(w)
	if err != nil {
		return d, err
	}
	if k, err = k.Child(p.Branch); err == nil {
		d.Branch = k.PublicKey.Compressed()
		k, err = k.Child(p.Index)
	}
	if err != nil {
		return d, fmt.Errorf("wallet %s address %d/%d: %w", w.ID, p.Branch, p.Index, err)
	}
	d.Public = k.PublicKey
	switch w.Scheme {
	case request.SchemeEVM:
		d.Address = eth.AddressOf(d.Public).String()
		return d, nil
	case request.SchemeP2WPKH:
		d.Script, err = btc.P2WPKH(d.Public)
	case request.SchemeP2TR:
		var out [32]byte
		if out, err = btc.TaprootOutputKey(d.Public.XOnly()); err == nil {
			d.Script, err = btc.P2TR(out)
		}
	default:
		err = fmt.Errorf("scheme %q is not known", w.Scheme)
	}
	if err != nil {
		return d, err
	}
	n, err := request.BitcoinNetwork(w.Chain)
	if err != nil {
		return d, err
	}
	d.Address, err = d.Script.Address(n)
	return d, err
}

// tokenAddress is [Derive] for a wallet of class token.
func tokenAddress(w entry.Wallet, p entry.KeyPath) (d Derived, err error) {
	switch {
	case w.Class != request.ClassToken || w.Scheme != request.SchemeEVM:
		return d, fmt.Errorf("wallet %s: class %q with scheme %q is not known", w.ID, string(w.Class), string(w.Scheme))
	case p != entry.KeyPath{}:
		return d, fmt.Errorf("wallet %s has no address %d/%d: its key is in the token and has one address", w.ID, p.Branch, p.Index)
	}
	if d.Public, err = secp.ParsePublicKey(w.Public); err != nil {
		return Derived{}, fmt.Errorf("wallet %s: public key: %w", w.ID, err)
	}
	d.Address = eth.AddressOf(d.Public).String()
	return d, nil
}

// BatchRoot gives the Merkle root (RFC 6962) over the text of a run of addresses.
func BatchRoot(w entry.Wallet, b entry.AddressBatch, derive Deriver) ([32]byte, error) {
	var f tlog.Frontier
	for i := range b.Count {
		d, err := derive(w, entry.KeyPath{Branch: b.Branch, Index: b.From + i})
		if err != nil {
			return [32]byte{}, err
		}
		f.Append(tlog.LeafHash([]byte(d.Address)))
	}
	return f.Root(), nil
}
