// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"context"
	"fmt"
	"time"

	"strongroom/internal/core/keycache"
	"strongroom/internal/core/keystore"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
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

// signerKey names a signing key of a wallet.
type signerKey struct {
	wallet custody.WalletID
	path   entry.KeyPath
}

// signerCache is the protected-key cache: the scalars of addresses that signed lately.
type signerCache = keycache.Cache[signerKey]

func newSignerCache(entries int, idle time.Duration) (*signerCache, error) {
	return keycache.New[signerKey](keycache.Config{Entries: entries, Idle: idle, Uses: 1 << 20})
}

// withKey calls f with the secret scalar of a wallet's address, from the cache or from the wallet's blob.
func (d *Domain) withKey(w entry.Wallet, p entry.KeyPath, f func(sk []byte) error) error {
	now := time.Unix(0, d.cfg.Clock.Boot())
	h, err := d.signers.Get(d.ctx, now, signerKey{w.ID, p}, func() (secret.Bytes, error) { return d.loadKey(w, p) })
	if err != nil {
		return err
	}
	defer h.Release()
	return h.Use(f)
}

// loadKey derives an address's scalar from the wallet's seed.
func (d *Domain) loadKey(w entry.Wallet, p entry.KeyPath) (secret.Bytes, error) {
	seed, err := d.seedOf(w)
	if err != nil {
		return secret.Bytes{}, err
	}
	defer seed.Wipe()
	account, err := authority.AccountPath(w)
	if err != nil {
		return secret.Bytes{}, err
	}
	return d.hd.Key(seed, append(account, p.Branch, p.Index))
}

// seedOf opens a wallet's seed. Where its blob became another one meanwhile, because the next epoch was activated, that one is opened.
func (d *Domain) seedOf(w entry.Wallet) (seed secret.Bytes, err error) {
	var was entry.NewKey
	for {
		d.mu.Lock()
		at, clockErr := d.now()
		k, ok := d.state.Key(w.Key)
		d.mu.Unlock()
		if clockErr != nil {
			return seed, clockErr
		}
		if !ok {
			return seed, fmt.Errorf("wallet %s: key %s is not in the state", w.ID, w.Key)
		}
		if k.Blob == was.Blob {
			return seed, err
		}
		if seed, err = d.unseal(d.ctx, k, at); err == nil {
			return seed, nil
		}
		was = k
	}
}

// unseal opens the blob of a seed; only the current one, as the log names it.
func (d *Domain) unseal(ctx context.Context, k entry.NewKey, at authority.Moment) (secret.Bytes, error) {
	if err := d.withKeys(); err != nil {
		return secret.Bytes{}, err
	}
	under, err := d.keys.get(k.Epoch)
	if err != nil {
		return secret.Bytes{}, problem.Wrap(problem.Internal, err, "the blob of key %s can't be opened", k.ID)
	}
	blob, err := d.cfg.Blobs.Get(ctx, keystore.Ref{Key: k.ID, Hash: k.Blob})
	if err != nil {
		return secret.Bytes{}, problem.Wrap(problem.Internal, err, "the blob of key %s can't be read", k.ID)
	}
	seed, h, err := keystore.Open(d.cfg.Arena, blob, k.Blob, d.want(k, under, at), under.Key())
	if err != nil {
		return secret.Bytes{}, problem.Wrap(problem.Internal, err, "the blob of key %s does not open", k.ID)
	}
	if !h.Permits(keystore.Derive, keystore.BIP32) {
		seed.Wipe()
		return secret.Bytes{}, problem.New(problem.Forbidden, "key %s may not derive", k.ID)
	}
	return seed, nil
}

// fillAccount derives a wallet's public account key from its seed.
func (d *Domain) fillAccount(w *entry.Wallet, seed secret.Bytes) error {
	path, err := authority.AccountPath(*w)
	if err != nil {
		return err
	}
	master, err := d.hd.Master(seed)
	if err != nil {
		return err
	}
	defer master.Wipe()
	node, err := master.Derive(path)
	if err != nil {
		return err
	}
	defer node.Wipe()
	x, err := node.Neuter()
	if err != nil {
		return err
	}
	pub := x.PublicKey.Compressed()
	w.Master, w.Parent, w.ChainCode, w.Public = master.PublicKey().Fingerprint(), x.ParentFingerprint, x.ChainCode, pub[:]
	if x.Depth != 3 || x.ChildNumber != w.Account|secp.HardenedBit {
		return fmt.Errorf("account key of wallet %s has depth %d and number %d", w.ID, x.Depth, x.ChildNumber)
	}
	return nil
}
