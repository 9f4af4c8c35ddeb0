// SPDX-License-Identifier: Apache-2.0

// Package backup seals and opens the packs of a backup, and opens a manifest's sealed copies with the custodians' recovery key. The formats
// that everybody can read are in package internal/pure/backup. docs/spec/backup.md.
//
// It refuses a pack that is not the one that the manifest names, of another domain, or of other entries; and sealed copies that do not open
// to the identity and the working key that the manifest names.
//
// Copies outside the arena: none of secrets. The contents of packs are records and blobs, which are sealed themselves; a pack's key is on the
// heap, as domainkeys says of read keys, and opens one pack.
package backup

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"strongroom/internal/core/domainkeys"
	"strongroom/internal/core/hsm"
	"strongroom/internal/core/recovery"
	"strongroom/internal/core/seal"
	format "strongroom/internal/pure/backup"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/readkey"
	"strongroom/internal/secret"
)

// Manifest is what a backup says of itself.
type Manifest = format.Manifest

// pieceSize is how many bytes of a content are sealed at once.
const pieceSize = 4 << 20

// Errors of packs and copies.
var (
	// ErrPack says that a pack is not the one that the manifest names, or does not open.
	ErrPack = errors.New("the pack is not the one that the manifest names: it was altered, or is of another backup")
	// ErrNoCopies says that a manifest has no sealed copies: the domain has no custodians, or was zeroized before this backup.
	ErrNoCopies = errors.New("the manifest has no sealed copies: an older manifest, of before the domain was zeroized, may have them")
	// ErrOtherDomain says that a root of trust holds the identity of another domain.
	ErrOtherDomain = errors.New("the root of trust holds the identity of another domain")
)

// Seal gives the file of a pack of the entries [first, end) and how a manifest names it.
func Seal(ids *domainkeys.Identity, domain custody.DomainID, first, end uint64, c format.Content) ([]byte, format.Pack, error) {
	key, err := ids.PackKey(domain, first, end)
	if err != nil {
		return nil, format.Pack{}, err
	}
	var out []byte
	index := uint32(0)
	for piece := range slices.Chunk(c.Encode(), pieceSize) {
		stored, err := key.Seal(domainkeys.Nonce(), readkey.Place{Seq: first, Index: index}, [entry.SaltSize]byte{}, piece)
		if err != nil {
			return nil, format.Pack{}, fmt.Errorf("seal a pack: %w", err)
		}
		out = binary.BigEndian.AppendUint32(out, uint32(len(stored)))
		out = append(out, stored...)
		index++
	}
	if len(out) > format.MaxPack {
		return nil, format.Pack{}, fmt.Errorf("a pack of entries %d to %d would have %d bytes, more than %d", first, end, len(out), format.MaxPack)
	}
	return out, format.Pack{First: first, End: end, Hash: sha256.Sum256(out), Size: uint64(len(out))}, nil
}

// Open opens a pack's file.
func Open(ids *domainkeys.Identity, domain custody.DomainID, p format.Pack, file []byte) (format.Content, error) {
	var c format.Content
	if uint64(len(file)) != p.Size || sha256.Sum256(file) != p.Hash {
		return c, fmt.Errorf("%s: %w", p.Name(), ErrPack)
	}
	key, err := ids.PackKey(domain, p.First, p.End)
	if err != nil {
		return c, err
	}
	var plain []byte
	for index := uint32(0); len(file) > 0; index++ {
		if len(file) < 4 || uint64(len(file)-4) < uint64(binary.BigEndian.Uint32(file)) {
			return c, fmt.Errorf("%s ends inside a piece: %w", p.Name(), ErrPack)
		}
		n := 4 + int(binary.BigEndian.Uint32(file))
		_, piece, err := key.Open(readkey.Place{Seq: p.First, Index: index}, file[4:n])
		if err != nil {
			return c, fmt.Errorf("%s: %w", p.Name(), ErrPack)
		}
		plain, file = append(plain, piece...), file[n:]
	}
	if c, err = format.DecodeContent(plain); err != nil {
		return c, fmt.Errorf("%s: %w", p.Name(), err)
	}
	if uint64(len(c.Records)) != p.End-p.First {
		return c, fmt.Errorf("%s has %d entries: %w", p.Name(), len(c.Records), format.ErrContent)
	}
	return c, nil
}

// Recover opens a manifest's sealed copies with the recovery key that the custodians have loaded, and keeps identity and working key in a root of
// trust, which may have them already: a restore on a clean machine. The working key of a zeroized domain is put where the recovery plan takes
// it from ([domainkeys.RestoredLabel]). It does nothing to a root that holds another domain's identity. It can be called again after a crash.
func Recover(ctx context.Context, a *secret.Arena, k *recovery.Key, m *Manifest, root hsm.Root) error {
	if len(m.Copies.Identity) == 0 || len(m.Copies.WorkingKey) == 0 {
		return ErrNoCopies
	}
	want := [32]byte(m.Identity)
	ids, err := domainkeys.RecoverIdentity(a, k, want, m.Copies.Identity)
	if err != nil {
		return err
	}
	defer ids.Wipe()
	dwk, err := domainkeys.RecoverDWK(a, k, want, m.Epoch, m.Copies.WorkingKey)
	if err != nil {
		return err
	}
	defer dwk.Wipe()
	if dwk.Pattern != [seal.PatternSize]byte(m.Pattern) || string(m.LogKey) != string(logKey(ids)) {
		return fmt.Errorf("recover: %w", domainkeys.ErrUnfit)
	}
	err = keepIdentity(ctx, a, ids, root)
	if err != nil {
		return err
	}
	if m.Zeroized {
		return dwk.SaveRestored(ctx, root)
	}
	if err = dwk.Save(ctx, root); !errors.Is(err, hsm.ErrExists) {
		return err
	}
	have, err := domainkeys.LoadDWK(ctx, root, want, m.Epoch)
	if err != nil {
		return err
	}
	defer have.Wipe()
	if have.Pattern != dwk.Pattern {
		return fmt.Errorf("the root of trust has another working key of epoch %d: %w", m.Epoch, domainkeys.ErrUnfit)
	}
	return nil
}

func logKey(ids *domainkeys.Identity) []byte {
	k := ids.LogKey()
	return k[:]
}

// keepIdentity saves an identity in a root that has none, or the same.
func keepIdentity(ctx context.Context, a *secret.Arena, ids *domainkeys.Identity, root hsm.Root) error {
	err := ids.Save(ctx, root)
	if !errors.Is(err, hsm.ErrExists) {
		return err
	}
	have, err := domainkeys.LoadIdentity(ctx, a, root)
	if err != nil {
		return err
	}
	defer have.Wipe()
	if have.IdentityKey() != ids.IdentityKey() {
		return ErrOtherDomain
	}
	return nil
}
