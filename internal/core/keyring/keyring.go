// SPDX-License-Identifier: Apache-2.0

// Package keyring holds the protected keys of a domain's wallets: keys that are open in locked memory, masked, for as short as pays, so that a
// signature costs no unsealing. It has two bounded caches ([keycache]): the scalars of addresses that signed lately, and the account nodes
// (BIP-32: scalar and chain code) that they are derived from. An address that is asked for is found; else it is derived from its account in
// two steps; else the account's seed is unsealed, the account derived, and the seed wiped again. Seeds are never kept.
//
// Both caches are bounded by count, idle time and uses, and emptied by [Ring.Forget]. A wallet that is *confined* gets nothing out of the ring,
// and nothing of it stays there, but between [Ring.Admit] and [Ring.Confine]: so warm wallets are kept (docs/spec/warm.md). At rest each key is combined with a random pad of its
// own that lies at the other end of the arena ([secret.Bytes.Mask]): more than one mask for the whole process would give, which falls with
// the first key that is known. It costs about 0.1 microseconds for each use of a key, of the hundred that a governed signature takes.
//
// The public keys on the way from account to address are not computed here: the caller has them from the public side. A wrong one gives a
// scalar that is not the address's, and curve withholds what it would sign.
//
// It is no policy: whether a key may be used is decided before. It never asks for the time.
package keyring

import (
	"context"
	"errors"
	"sync"
	"time"

	"strongroom/internal/core/internal/curve"
	"strongroom/internal/core/internal/hd"
	"strongroom/internal/core/keycache"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/secp"
	"strongroom/internal/secret"
)

// Uses is how often a key is handed out before it is opened anew.
const Uses = 1 << 20

// EntryMemory is the arena that one entry of each of the two caches takes, in bytes: a scalar, a node, and their pads.
const EntryMemory = 2 * (curve.ScalarSize + hd.NodeSize)

// Config says what a [Ring] works with and how much it keeps. All fields are required.
type Config struct {
	HD      *hd.Deriver
	Entries int           // most addresses kept open, and most accounts
	Idle    time.Duration // what was not used for so long is wiped
}

// Ring holds open keys. Its methods are safe for concurrent use.
type Ring struct {
	hd        *hd.Deriver
	addresses *keycache.Cache[name]
	accounts  *keycache.Cache[custody.WalletID]

	mu       sync.RWMutex              // guards the following
	confined map[custody.WalletID]bool // whether its keys are handed out, of each wallet that was confined
}

// name names the key of an address. A wallet's seed and account never change.
type name struct {
	wallet custody.WalletID
	path   entry.KeyPath
}

// Address says which key is asked for and how it is derived.
type Address struct {
	Wallet  custody.WalletID
	Path    entry.KeyPath
	Account secp.Path                 // of the account from the master key, all hardened
	Public  [curve.PublicKeySize]byte // the account's public key
	Branch  [curve.PublicKeySize]byte // the branch's, one level below
}

// Stats counts what a ring did.
type Stats struct {
	Addresses, Accounts keycache.Stats
}

// New makes an empty ring.
func New(cfg Config) (*Ring, error) {
	if cfg.HD == nil {
		return nil, errors.New("keyring: config needs a deriver")
	}
	kept := keycache.Config{Entries: cfg.Entries, Idle: cfg.Idle, Uses: Uses, Mask: true}
	addresses, err := keycache.New[name](kept)
	if err != nil {
		return nil, err
	}
	accounts, err := keycache.New[custody.WalletID](kept)
	if err != nil {
		return nil, err
	}
	return &Ring{hd: cfg.HD, addresses: addresses, accounts: accounts, confined: map[custody.WalletID]bool{}}, nil
}

// Use calls f with the scalar of an address; the rules of [secret.Bytes.Use] hold. unseal gives the wallet's seed when neither the address nor
// its account is open; it may refuse, and the ring owns what it gives. Callers that want one key at a time share one derivation, and one
// unsealing. now counts from any fixed moment, for idle times. A wallet that is confined is refused: [ErrConfined].
func (r *Ring) Use(ctx context.Context, now time.Time, a Address, unseal func() (secret.Bytes, error), f func(scalar []byte) error) error {
	if err := r.admitted(a.Wallet); err != nil {
		return err
	}
	h, err := r.addresses.Get(ctx, now, name{a.Wallet, a.Path}, func() (secret.Bytes, error) { return r.derive(ctx, now, a, unseal) })
	if err != nil {
		return err
	}
	defer h.Release()
	return h.Use(f)
}

// derive makes the scalar of an address from its account.
func (r *Ring) derive(ctx context.Context, now time.Time, a Address, unseal func() (secret.Bytes, error)) (out secret.Bytes, err error) {
	// Asked again after each load is noted: who confines the wallet before that is seen here, and who does so after it keeps what is loaded out.
	if err := r.admitted(a.Wallet); err != nil {
		return out, err
	}
	h, err := r.accounts.Get(ctx, now, a.Wallet, func() (secret.Bytes, error) {
		if err := r.admitted(a.Wallet); err != nil {
			return secret.Bytes{}, err
		}
		seed, err := unseal()
		if err != nil {
			return secret.Bytes{}, err
		}
		defer seed.Wipe()
		return r.hd.Account(seed, a.Account)
	})
	if err != nil {
		return out, err
	}
	defer h.Release()
	err = h.Use(func(node []byte) error {
		out, err = r.hd.Below(node, hd.Level{Parent: a.Public, Index: a.Path.Branch}, hd.Level{Parent: a.Branch, Index: a.Path.Index})
		return err
	})
	return out, err
}

// Forget wipes all keys that are kept and gives how many there were. A key in use is wiped when its use ends, and what is being derived or
// unsealed meanwhile is not kept. Accounts go first: who starts deriving an address after that has to unseal, and unseal can refuse; who
// started before is not kept by what follows.
func (r *Ring) Forget() (kept int) {
	kept = r.Len()
	r.accounts.Clear()
	r.addresses.Clear()
	return kept
}

// Sweep wipes the keys that are idle too long. Call it from a timer: nothing else does while no key is asked for.
func (r *Ring) Sweep(now time.Time) {
	r.accounts.Sweep(now)
	r.addresses.Sweep(now)
}

// Len is how many keys are kept: addresses and accounts.
func (r *Ring) Len() int {
	s := r.Stats()
	return s.Addresses.Entries + s.Accounts.Entries
}

// Stats returns the counts.
func (r *Ring) Stats() Stats { return Stats{r.addresses.Stats(), r.accounts.Stats()} }
