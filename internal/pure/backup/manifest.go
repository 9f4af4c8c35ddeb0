// SPDX-License-Identifier: Apache-2.0

// Package backup has the formats of a backup, which is a folder that anybody may hold: the names of its files, the manifest, and what stands
// in a pack before it is sealed. Nothing in a pack can be read without the domain's identity; a manifest is in clear, signed by the domain,
// and has nothing secret. docs/spec/backup.md.
//
// It refuses a manifest that is not canonical, whose packs leave a gap, or that the domain's identity key did not sign; and a pack's content
// that is not exactly records, then blobs, then an end that counts them.
package backup

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/tlog"
)

// Limits.
const (
	MaxPack     = 128 << 20 // bytes of a pack file
	MaxManifest = 8 << 20   // bytes of a manifest file
	MaxPacks    = 1 << 16   // of a manifest
	maxCopy     = 64 << 10  // bytes of a sealed copy
)

// ErrManifest says that bytes are not a manifest of a domain.
var ErrManifest = errors.New("not a manifest of this domain")

// Pack is a pack as a manifest names it: the entries [First, End), and the blobs that they named and that were in use when the backup was made.
type Pack struct {
	First uint64   `cbor:"1,keyasint"`
	End   uint64   `cbor:"2,keyasint"`
	Hash  [32]byte `cbor:"3,keyasint"` // SHA-256 of the file
	Size  uint64   `cbor:"4,keyasint"` // bytes of the file
}

// Name is the pack's file name.
func (p Pack) Name() string { return packName(p.First, p.End) }

// Copies are the copies that are sealed to the recovery key; custodians open them. What the log's recovery record names, they must be.
type Copies struct {
	WorkingKey []byte `cbor:"1,keyasint,omitempty"` // of the current epoch
	Identity   []byte `cbor:"2,keyasint,omitempty"`
}

// Manifest says what a backup has: the domain as it was after entry End − 1.
type Manifest struct {
	V           uint                `cbor:"1,keyasint"` // 1
	Authority   custody.AuthorityID `cbor:"2,keyasint"`
	Domain      custody.DomainID    `cbor:"3,keyasint"`
	Incarnation uint64              `cbor:"4,keyasint"`  // of the log, from 1 on
	Identity    []byte              `cbor:"5,keyasint"`  // public identity key, 32 bytes
	LogKey      []byte              `cbor:"6,keyasint"`  // public log key, 32 bytes
	Packs       []Pack              `cbor:"7,keyasint"`  // from entry 0 on, without a gap
	Checkpoint  []byte              `cbor:"8,keyasint"`  // signed checkpoint of the size where the last pack ends
	Frontier    []byte              `cbor:"9,keyasint"`  // of that size
	Last        [32]byte            `cbor:"10,keyasint"` // leaf hash of the last entry
	Time        int64               `cbor:"11,keyasint"` // when it was made, Unix nanoseconds; the clock of the core, certain or not

	Epoch    uint64            `cbor:"12,keyasint"` // of the current working key
	Pattern  []byte            `cbor:"13,keyasint"` // its verification pattern
	Zeroized bool              `cbor:"14,keyasint,omitempty"`
	Recovery *request.Recovery `cbor:"15,keyasint,omitempty"` // recovery record; nil: there are no custodians
	Copies   Copies            `cbor:"16,keyasint"`           // empty if there is no record, or the domain was zeroized before its first backup

	Signature []byte `cbor:"17,keyasint"` // by the identity key, under canon.TagManifest
}

// End is the number of entries that the backup has.
func (m *Manifest) End() uint64 {
	if len(m.Packs) == 0 {
		return 0
	}
	return m.Packs[len(m.Packs)-1].End
}

// Name is the manifest's file name.
func (m *Manifest) Name() string { return ManifestName(m.End()) }

// Message is what the identity key signs.
func (m *Manifest) Message() []byte {
	unsigned := *m
	unsigned.Signature = nil
	return canon.TagBytes(canon.TagManifest, canon.Encode(unsigned))
}

// Encode gives the bytes of the manifest's file.
func (m *Manifest) Encode() []byte { return canon.Encode(*m) }

// Decode reads a manifest. Its signature is by the identity key that it names itself: the caller knows which that must be, or calls
// [Manifest.Of].
func Decode(b []byte) (*Manifest, error) {
	if len(b) > MaxManifest {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrManifest, len(b), MaxManifest)
	}
	var m Manifest
	if err := canon.Decode(b, &m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	return &m, nil
}

// Of says whether the manifest is of the domain with an identity key.
func (m *Manifest) Of(identity [ed25519.PublicKeySize]byte) error {
	if string(m.Identity) != string(identity[:]) {
		return fmt.Errorf("%w: it is of the domain with identity key %x, not %x", ErrManifest, m.Identity, identity)
	}
	return nil
}

func (m *Manifest) check() error {
	switch {
	case m.V != 1:
		return fmt.Errorf("version %d is unknown", m.V)
	case m.Incarnation == 0:
		return errors.New("it names no incarnation of the log")
	case len(m.Identity) != ed25519.PublicKeySize || len(m.LogKey) != ed25519.PublicKeySize || len(m.Signature) != ed25519.SignatureSize:
		return errors.New("a key or the signature has the wrong length")
	case len(m.Packs) == 0 || len(m.Packs) > MaxPacks:
		return fmt.Errorf("it has %d packs, not 1 to %d", len(m.Packs), MaxPacks)
	case len(m.Pattern) != 16 || m.Epoch == 0:
		return errors.New("it names no working key")
	case len(m.Copies.Identity) > maxCopy || len(m.Copies.WorkingKey) > maxCopy:
		return errors.New("a sealed copy is too long")
	}
	if !ed25519.Verify(m.Identity, m.Message(), m.Signature) {
		return errors.New("its signature is not by the identity key that it names: it was altered")
	}
	if err := m.checkPacks(); err != nil {
		return err
	}
	if err := m.checkCopies(); err != nil {
		return err
	}
	_, err := m.Tree()
	return err
}

func (m *Manifest) checkPacks() error {
	at := uint64(0)
	for i, p := range m.Packs {
		if p.First != at || p.End <= p.First || p.Size == 0 || p.Size > MaxPack {
			return fmt.Errorf("pack %d is of entries %d to %d, with %d bytes, after %d entries", i, p.First, p.End, p.Size, at)
		}
		at = p.End
	}
	return nil
}

// checkCopies says whether the sealed copies are those of the record.
func (m *Manifest) checkCopies() error {
	if m.Recovery == nil {
		if len(m.Copies.Identity) > 0 || len(m.Copies.WorkingKey) > 0 {
			return errors.New("it has sealed copies without a recovery record")
		}
		return nil
	}
	for _, c := range []struct {
		copy []byte
		hash custody.HexBytes
	}{{m.Copies.Identity, m.Recovery.Identity}, {m.Copies.WorkingKey, m.Recovery.WorkingKey}} {
		h := canon.HashBytes(canon.TagBlobHash, c.copy)
		if len(c.copy) > 0 && string(c.hash) != string(h[:]) {
			return errors.New("a sealed copy is not the one that the recovery record names")
		}
	}
	return nil
}

// Tree gives the tree over the entries. Checkpoint, frontier and end agree in it.
func (m *Manifest) Tree() (tlog.Frontier, error) {
	f, err := tlog.UnmarshalFrontier(m.Frontier)
	if err != nil {
		return f, fmt.Errorf("frontier: %w", err)
	}
	key, err := tlog.NewKey(entry.Origin(m.Domain, m.Incarnation), m.LogKey)
	if err != nil {
		return f, err
	}
	c, err := tlog.OpenCheckpoint(m.Checkpoint, key)
	if err != nil {
		return f, fmt.Errorf("checkpoint: %w", err)
	}
	if f.Size() != m.End() || c.Size != m.End() || c.Root != f.Root() {
		return f, fmt.Errorf("its checkpoint is of %d entries, its frontier of %d, its packs of %d, or their roots differ", c.Size, f.Size(), m.End())
	}
	return f, nil
}

// The parts of file names.
const (
	packPrefix     = "pack-"
	manifestPrefix = "manifest-"
	suffix         = ".srb"
	digits         = 20
)

func packName(first, end uint64) string {
	return fmt.Sprintf("%s%0*d-%0*d%s", packPrefix, digits, first, digits, end, suffix)
}

// ManifestName is the name of the manifest whose last pack ends at an entry.
func ManifestName(end uint64) string {
	return fmt.Sprintf("%s%0*d%s", manifestPrefix, digits, end, suffix)
}

// ParseManifestName gives the entry where a manifest ends, or not ok for another file.
func ParseManifestName(name string) (end uint64, ok bool) {
	s, found := strings.CutPrefix(name, manifestPrefix)
	s, found2 := strings.CutSuffix(s, suffix)
	end, err := strconv.ParseUint(s, 10, 64)
	return end, found && found2 && err == nil && ManifestName(end) == name
}

// IsPackName says whether a file is named as a pack.
func IsPackName(name string) bool {
	s, found := strings.CutPrefix(name, packPrefix)
	s, found2 := strings.CutSuffix(s, suffix)
	a, b, found3 := strings.Cut(s, "-")
	first, err := strconv.ParseUint(a, 10, 64)
	end, err2 := strconv.ParseUint(b, 10, 64)
	return found && found2 && found3 && err == nil && err2 == nil && packName(first, end) == name
}
