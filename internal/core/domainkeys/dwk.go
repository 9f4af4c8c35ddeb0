// SPDX-License-Identifier: Apache-2.0

package domainkeys

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strconv"

	"strongroom/internal/core/hsm"
	"strongroom/internal/core/seal"
	"strongroom/internal/pure/canon"
	"strongroom/internal/secret"
)

// dwkHeader is the header of a sealed domain working key.
type dwkHeader struct {
	V        uint   `cbor:"1,keyasint"` // 1
	What     string `cbor:"2,keyasint"` // "dwk"
	Identity []byte `cbor:"3,keyasint"` // public identity key of the domain, 32 bytes
	Epoch    uint64 `cbor:"4,keyasint"`
	Pattern  []byte `cbor:"5,keyasint"` // 16 bytes
}

const whatDWK = "dwk"

// DWK is the domain working key of an epoch: 32 random bytes that seal the domain's blobs.
type DWK struct {
	Epoch    uint64
	Pattern  [seal.PatternSize]byte      // tells which key this is, and nothing about it
	Identity [ed25519.PublicKeySize]byte // of the domain that it belongs to
	key      secret.Bytes
}

// GenerateDWK makes the domain working key of an epoch, from 1, of the domain with this identity key.
func GenerateDWK(a *secret.Arena, identity [ed25519.PublicKeySize]byte, epoch uint64, fill Fill) (*DWK, error) {
	if epoch == 0 {
		return nil, errors.New("domainkeys: epochs begin with 1")
	}
	key, err := secret.New(a, seal.KeySize, fill.into)
	if err != nil {
		return nil, fmt.Errorf("domainkeys: generate working key: %w", err)
	}
	pattern, err := seal.Pattern(key, identity, epoch)
	if err != nil {
		key.Wipe()
		return nil, err
	}
	return &DWK{Epoch: epoch, Pattern: pattern, Identity: identity, key: key}, nil
}

// Key returns the key, for sealing and opening blobs. It stays owned by d.
func (d *DWK) Key() secret.Bytes { return d.key }

// Wipe forgets the key. What the root has sealed stays.
func (d *DWK) Wipe() { d.key.Wipe() }

// Label is where the working key of an epoch is sealed: "dwk-1".
func Label(epoch uint64) string { return whatDWK + "-" + strconv.FormatUint(epoch, 10) }

// Save seals the key in the root. It never replaces one: [hsm.ErrExists].
func (d *DWK) Save(ctx context.Context, root hsm.Sealer) error {
	if err := root.Seal(ctx, Label(d.Epoch), d.header(), d.key); err != nil {
		return fmt.Errorf("domainkeys: save working key of epoch %d: %w", d.Epoch, err)
	}
	return nil
}

func (d *DWK) header() []byte {
	return canon.Encode(dwkHeader{V: 1, What: whatDWK, Identity: d.Identity[:], Epoch: d.Epoch, Pattern: d.Pattern[:]})
}

// LoadDWK unseals the working key of an epoch of the domain with this identity key, and checks its verification pattern. The caller compares
// the pattern with the one that the log has for the epoch.
func LoadDWK(ctx context.Context, root hsm.Sealer, identity [ed25519.PublicKeySize]byte, epoch uint64) (*DWK, error) {
	return load(ctx, root, Label(epoch), identity, epoch)
}

func load(ctx context.Context, root hsm.Sealer, label string, identity [ed25519.PublicKeySize]byte, epoch uint64) (*DWK, error) {
	b, key, err := root.Unseal(ctx, label)
	if err != nil {
		return nil, fmt.Errorf("domainkeys: load working key of epoch %d: %w", epoch, err)
	}
	d, err := checkDWK(b, key, identity, epoch)
	if err != nil {
		key.Wipe()
		return nil, fmt.Errorf("domainkeys: load working key of epoch %d: %w", epoch, err)
	}
	return d, nil
}

func checkDWK(header []byte, key secret.Bytes, identity [ed25519.PublicKeySize]byte, epoch uint64) (*DWK, error) {
	var h dwkHeader
	if err := canon.Decode(header, &h); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnfit, err)
	}
	pattern, err := seal.Pattern(key, identity, epoch)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnfit, err)
	}
	switch {
	case h.V != 1 || h.What != whatDWK:
		return nil, fmt.Errorf("%w: version %d of %q", ErrUnfit, h.V, h.What)
	case !bytes.Equal(h.Identity, identity[:]):
		return nil, fmt.Errorf("%w: it belongs to another domain", ErrUnfit)
	case h.Epoch != epoch:
		return nil, fmt.Errorf("%w: it is of epoch %d", ErrUnfit, h.Epoch)
	case !bytes.Equal(h.Pattern, pattern[:]):
		return nil, fmt.Errorf("%w: verification pattern", ErrUnfit)
	}
	return &DWK{Epoch: epoch, Pattern: pattern, Identity: identity, key: key}, nil
}

// DestroyDWK destroys the sealed working key of an epoch: zeroize, and the end of a rotation. Every blob of the epoch is worthless then.
func DestroyDWK(ctx context.Context, root hsm.Sealer, epoch uint64) error {
	if err := root.Destroy(ctx, Label(epoch)); err != nil {
		return fmt.Errorf("domainkeys: destroy working key of epoch %d: %w", epoch, err)
	}
	return nil
}
