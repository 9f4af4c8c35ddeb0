// SPDX-License-Identifier: Apache-2.0

package corebench

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"strongroom/internal/core/domainkeys"
	"strongroom/internal/core/internal/curve"
	"strongroom/internal/core/internal/hd"
	"strongroom/internal/core/keyring"
	"strongroom/internal/core/keystore"
	"strongroom/internal/core/keystore/files"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/secp"
	"strongroom/internal/secret"
)

// The states in which a signature finds a key of class core: open, its account open, and neither, so that the seed's blob is read and unsealed.
const (
	KeyOpen     = "class core, secp256k1: key open"
	AccountOpen = "class core, secp256k1: account open"
	Cold        = "class core, secp256k1: cold"
)

// KeyNames lists the operations that [Keys.Ops] makes.
func KeyNames() []string { return []string{KeyOpen, AccountOpen, Cold} }

// Keys are wallets' seeds as a core has them, sealed in files, for signatures with nothing around them but the ring of open keys. Each
// signature is verified, as always.
type Keys struct {
	arena *secret.Arena
	curve *curve.Backend
	hd    *hd.Deriver
	blobs *files.Store
	dwk   *domainkeys.DWK
	made  int
}

// NewKeys makes the seeds' store in a folder, which the caller removes. Memory for keys is mapped until the process ends.
func NewKeys(dir string) (*Keys, error) {
	a, err := secret.NewArena(secret.Config{Size: 4 << 20})
	if err != nil {
		return nil, err
	}
	k := &Keys{arena: a}
	if k.curve, err = curve.New(); err != nil {
		return nil, err
	}
	if k.hd, err = hd.New(hd.Config{Arena: a, Curve: k.curve}); err != nil {
		return nil, err
	}
	if k.blobs, err = files.Open(filepath.Join(dir, "blobs")); err != nil {
		return nil, err
	}
	k.dwk, err = domainkeys.GenerateDWK(a, [32]byte{1}, 1, nil)
	return k, err
}

// Ops makes n operations of a name, for a goroutine each.
func (k *Keys) Ops(name string, n int) ([]Op, error) {
	var shared *keyring.Ring
	out := make([]Op, n)
	for i := range out {
		first, err := k.wallet()
		if err != nil {
			return nil, err
		}
		// A ring of one entry forgets one of two keys for the other.
		entries, pair := 1, []uint32{0, 1}
		second := first
		switch name {
		case KeyOpen:
			entries, pair = n, []uint32{0, 0}
		case AccountOpen:
		case Cold:
			if second, err = k.wallet(); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("operation %q is not known", name)
		}
		if shared == nil || name != KeyOpen {
			if shared, err = keyring.New(keyring.Config{HD: k.hd, Entries: entries, Idle: time.Hour}); err != nil {
				return nil, err
			}
		}
		if out[i], err = k.alternate(shared, [2]*wallet{first, second}, pair); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// wallet is a seed and the blob that holds it.
type wallet struct {
	key  custody.KeyID
	hash [32]byte
	node *hd.Node // of the account
}

// account is the path of the wallets' accounts, BIP-84.
func account() secp.Path {
	return secp.Path{84 | secp.HardenedBit, secp.HardenedBit, secp.HardenedBit}
}

func (k *Keys) wallet() (*wallet, error) {
	k.made++
	w := &wallet{key: custody.KeyID(fmt.Sprintf("%032x", k.made))}
	seed, err := secret.New(k.arena, 32, func(b []byte) error { copy(b, w.key); return nil })
	if err != nil {
		return nil, err
	}
	defer seed.Wipe()
	h := keystore.Header{V: 1, Authority: custody.AuthorityID{1}, Domain: custody.DomainID{1}, Epoch: k.dwk.Epoch, Pattern: k.dwk.Pattern, Key: w.key,
		Purpose: keystore.Custody, Kind: keystore.HDSeed, Class: keystore.Core, CreatedBy: custody.RequestID{1},
		Attributes: keystore.Derive | keystore.Cacheable | keystore.Local | keystore.NeverExtractable,
		Mechanisms: []keystore.Mechanism{keystore.BIP32, keystore.ECDSASecp256k1}}
	blob, hash, err := keystore.Seal(k.dwk.Key(), h, seed)
	if err != nil {
		return nil, err
	}
	w.hash = hash
	if err := k.blobs.Put(context.Background(), keystore.Ref{Key: w.key, Hash: hash}, blob); err != nil {
		return nil, err
	}
	master, err := k.hd.Master(seed)
	if err != nil {
		return nil, err
	}
	defer master.Wipe()
	w.node, err = master.Derive(account())
	return w, err
}

// unseal is what the core does for a seed.
func (k *Keys) unseal(w *wallet) (keyring.Seed, error) {
	blob, err := k.blobs.Get(context.Background(), keystore.Ref{Key: w.key, Hash: w.hash})
	if err != nil {
		return keyring.Seed{}, err
	}
	seed, h, err := keystore.Open(k.arena, blob, w.hash, keystore.Want{Authority: custody.AuthorityID{1}, Domain: custody.DomainID{1}, Epoch: k.dwk.Epoch,
		Pattern: k.dwk.Pattern, Key: w.key, Purpose: keystore.Custody}, k.dwk.Key())
	return keyring.Seed{Key: seed, Keep: h.Attributes&keystore.Cacheable != 0}, err
}

// alternate signs with the key of one wallet at one index, then with the other's at the other.
func (k *Keys) alternate(r *keyring.Ring, from [2]*wallet, index []uint32) (Op, error) {
	type key struct {
		at  keyring.Address
		pub [curve.PublicKeySize]byte
	}
	var keys [2]key
	for i, w := range from {
		branch, err := w.node.Derive(secp.Path{0})
		if err != nil {
			return nil, err
		}
		defer branch.Wipe()
		leaf, err := branch.Derive(secp.Path{index[i]})
		if err != nil {
			return nil, err
		}
		defer leaf.Wipe()
		keys[i] = key{keyring.Address{Wallet: custody.WalletID(w.key), Path: entry.KeyPath{Index: index[i]}, Account: account(),
			Public: w.node.PublicKey().Compressed(), Branch: branch.PublicKey().Compressed()}, leaf.PublicKey().Compressed()}
	}
	n := 0
	return func() error {
		n++
		x, w := &keys[n%2], from[n%2]
		return r.Use(context.Background(), time.Unix(0, 0), x.at, func() (keyring.Seed, error) { return k.unseal(w) }, func(sk []byte) error {
			_, _, err := k.curve.SignECDSA(sk, x.pub, [32]byte{1}, [32]byte{})
			return err
		})
	}, nil
}
