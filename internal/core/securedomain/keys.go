// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"context"
	"errors"
	"fmt"
	"time"

	"strongroom/internal/core/keyring"
	"strongroom/internal/core/keystore"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/secp"
	"strongroom/internal/secret"
)

// seedAttributes is what a wallet's seed may do: derive, nothing else, and stay in the cache.
const seedAttributes = keystore.Derive | keystore.Cacheable | keystore.Local | keystore.NeverExtractable

func seedMechanisms() []keystore.Mechanism {
	return []keystore.Mechanism{keystore.BIP32, keystore.BIP340, keystore.ECDSASecp256k1}
}

// withKey calls f with the secret scalar of a wallet's address, whose public side is pub: from the ring, or from the wallet's blob.
func (d *Domain) withKey(w entry.Wallet, p entry.KeyPath, pub authority.Derived, f func(sk []byte) error) error {
	account, err := authority.AccountPath(w)
	if err != nil {
		return err
	}
	if len(w.Public) != secp.CompressedSize {
		return fmt.Errorf("wallet %s: its account key has %d bytes", w.ID, len(w.Public))
	}
	a := keyring.Address{Wallet: w.ID, Path: p, Account: account, Public: [secp.CompressedSize]byte(w.Public), Branch: pub.Branch}
	err = d.keys.Use(d.ctx, time.Unix(0, d.cfg.Clock.Boot()), a, func() (keyring.Seed, error) { return d.seedOf(w) }, f)
	if errors.Is(err, keyring.ErrConfined) {
		err = errConfined(w)
	}
	return err
}

// seedOf unseals a wallet's seed, unless the domain has failed or its clock is not certain. It asks after the ring has noted the load: what
// makes the domain forget its keys comes either before, and is seen here, or after, and the ring does not keep what is loaded. Where the seed's
// blob became another one meanwhile, because the next epoch was activated, that one is opened.
func (d *Domain) seedOf(w entry.Wallet) (keyring.Seed, error) {
	return openCurrent(d, w, func(k entry.NewKey, at authority.Moment) (keyring.Seed, error) { return d.unseal(d.ctx, k, at) })
}

// openCurrent opens the current blob of a wallet's key, as seedOf says.
func openCurrent[T any](d *Domain, w entry.Wallet, open func(entry.NewKey, authority.Moment) (T, error)) (out T, err error) {
	var none T
	var was entry.NewKey
	for {
		if err := d.Cause(); err != nil {
			return none, problem.Wrap(problem.Stopped, err, "the core has found a fault and opens no keys")
		}
		d.mu.Lock()
		at, clockErr := d.now()
		k, ok := d.state.Key(w.Key)
		d.mu.Unlock()
		if clockErr != nil {
			return none, clockErr
		}
		if err := d.mayUseKeys(); err != nil {
			return none, err
		}
		if !ok {
			return none, fmt.Errorf("wallet %s: key %s is not in the state", w.ID, w.Key)
		}
		if !authority.Here(k) {
			return none, problem.New(problem.KeyAway, "the key of wallet %q is not in this domain", w.ID)
		}
		if k.Blob == was.Blob {
			return none, err
		}
		if out, err = open(k, at); err == nil {
			return out, nil
		}
		was = k
	}
}

// unseal opens the blob of a seed; only the current one, as the log names it. Its attributes say whether the ring may keep what follows from it.
func (d *Domain) unseal(ctx context.Context, k entry.NewKey, at authority.Moment) (keyring.Seed, error) {
	seed, h, err := d.openHeader(ctx, k, at)
	if err != nil {
		return keyring.Seed{}, err
	}
	if !h.Permits(keystore.Derive, keystore.BIP32) {
		seed.Wipe()
		return keyring.Seed{}, problem.New(problem.Forbidden, "key %s may not derive", k.ID)
	}
	return keyring.Seed{Key: seed, Keep: h.Attributes&keystore.Cacheable != 0}, nil
}

// openBlob opens the blob of a key for what it is, which the caller knows.
func (d *Domain) openBlob(ctx context.Context, k entry.NewKey, at authority.Moment) (secret.Bytes, error) {
	material, _, err := d.openHeader(ctx, k, at)
	return material, err
}

func (d *Domain) openHeader(ctx context.Context, k entry.NewKey, at authority.Moment) (seed secret.Bytes, h keystore.Header, err error) {
	if err := d.withKeys(); err != nil {
		return seed, h, err
	}
	under, err := d.working.get(k.Epoch)
	if err != nil {
		return seed, h, problem.Wrap(problem.Internal, err, "the blob of key %s can't be opened", k.ID)
	}
	blob, err := d.cfg.Blobs.Get(ctx, keystore.Ref{Key: k.ID, Hash: k.Blob})
	if err != nil {
		return seed, h, problem.Wrap(problem.Internal, err, "the blob of key %s can't be read", k.ID)
	}
	if seed, h, err = keystore.Open(d.cfg.Arena, blob, k.Blob, d.want(k, under, at), under.Key()); err != nil {
		return seed, h, problem.Wrap(problem.Internal, err, "the blob of key %s does not open", k.ID)
	}
	return seed, h, nil
}
