// SPDX-License-Identifier: Apache-2.0

// Package keyring holds the protected keys of a domain's wallets: keys that are open in locked memory, masked, for as short as pays, so that a
// signature costs no unsealing. It has two bounded caches ([keycache]): the scalars of addresses that signed lately, and the account nodes
// (BIP-32: scalar and chain code) that they are derived from. An address that is asked for is found; else it is derived from its account in
// two steps; else the account's seed is unsealed, the account derived, and the seed wiped again. Seeds are never kept, and of a seed that may not
// be kept unsealed (blob attribute *cacheable*) nothing else is either: each use derives all the way, and wipes it.
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
	fleeting map[custody.WalletID]bool // wallets of seeds that may not be kept; that never changes back
}

// Seed is what a ring is given of a wallet. The ring owns Key.
type Seed struct {
	Key  secret.Bytes
	Keep bool // what is derived from it may stay open
}

// errFleeting says that a key was not loaded because it may not be kept.
var errFleeting = errors.New("keyring: the key may not be kept unsealed")

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
	return &Ring{hd: cfg.HD, addresses: addresses, accounts: accounts, confined: map[custody.WalletID]bool{}, fleeting: map[custody.WalletID]bool{}}, nil
}

// Use calls f with the scalar of an address; the rules of [secret.Bytes.Use] hold. unseal gives the wallet's seed when neither the address nor
// its account is open; it may refuse. Callers that want one key at a time share one derivation, and one unsealing, where the key may be kept.
// now counts from any fixed moment, for idle times. A wallet that is confined is refused: [ErrConfined].
func (r *Ring) Use(ctx context.Context, now time.Time, a Address, unseal func() (Seed, error), f func(scalar []byte) error) error {
	if err := r.admitted(a.Wallet); err != nil {
		return err
	}
	if r.isFleeting(a.Wallet) {
		return r.once(a, unseal, f)
	}
	h, err := r.addresses.Get(ctx, now, name{a.Wallet, a.Path}, func() (secret.Bytes, error) { return r.derive(ctx, now, a, unseal) })
	if errors.Is(err, errFleeting) {
		return r.once(a, unseal, f)
	}
	if err != nil {
		return err
	}
	defer h.Release()
	return h.Use(f)
}

// derive makes the scalar of an address from its account.
func (r *Ring) derive(ctx context.Context, now time.Time, a Address, unseal func() (Seed, error)) (out secret.Bytes, err error) {
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
		defer seed.Key.Wipe()
		if !seed.Keep {
			r.mu.Lock()
			r.fleeting[a.Wallet] = true
			r.mu.Unlock()
			return secret.Bytes{}, errFleeting
		}
		return r.hd.Account(seed.Key, a.Account)
	})
	if err != nil {
		return out, err
	}
	defer h.Release()
	err = h.Use(func(node []byte) error {
		out, err = r.below(node, a)
		return err
	})
	return out, err
}

// below derives an address from its account.
func (r *Ring) below(node []byte, a Address) (secret.Bytes, error) {
	return r.hd.Below(node, hd.Level{Parent: a.Public, Index: a.Path.Branch}, hd.Level{Parent: a.Branch, Index: a.Path.Index})
}

// once derives a key that may not be kept, uses and wipes it. Callers share nothing.
func (r *Ring) once(a Address, unseal func() (Seed, error), f func(scalar []byte) error) error {
	seed, err := unseal()
	if err != nil {
		return err
	}
	defer seed.Key.Wipe()
	if err := r.admitted(a.Wallet); err != nil { // perhaps confined meanwhile
		return err
	}
	account, err := r.hd.Account(seed.Key, a.Account)
	if err != nil {
		return err
	}
	defer account.Wipe()
	var key secret.Bytes
	err = account.Use(func(node []byte) error {
		key, err = r.below(node, a)
		return err
	})
	if err != nil {
		return err
	}
	defer key.Wipe()
	return key.Use(f)
}

func (r *Ring) isFleeting(id custody.WalletID) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.fleeting[id]
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
