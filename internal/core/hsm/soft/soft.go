// SPDX-License-Identifier: Apache-2.0

// Package soft is the root of trust in software, for evaluation: a random master key in a file that a passphrase opens (argon2id), and
// files sealed under that key (docs/spec/blob.md).
//
// What it can't do, and a token can: whoever has its files of any day and the passphrase of that day has the master key and all that it ever
// sealed, destroyed or not; and its counter goes back when an older file is put in its place. Production domains refuse it.
//
// It refuses a wrong passphrase, altered files, files exchanged between labels, parameters of argon2id outside bounds, and work after Close.
//
// Copies outside the arena: none of the passphrase, the key derived from it, and the master key, but for what package argon2id names.
package soft

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"strongroom/internal/core/durable"
	"strongroom/internal/core/hsm"
	"strongroom/internal/core/seal"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/secret"
)

// Kind is how genesis names this root.
const Kind = "soft"

// Names in the root's directory. Those with a dot before the ending can't be labels.
const (
	rootFile    = "root.soft"
	counterFile = "counter.soft"
	ending      = ".sealed"
)

var _ hsm.Root = (*Root)(nil)

// sealedHeader is the header of what the master key seals.
type sealedHeader struct {
	V      uint   `cbor:"1,keyasint"` // 1
	Label  string `cbor:"2,keyasint"` // the label, or "counter.soft"
	Header []byte `cbor:"3,keyasint"` // the caller's
}

// Config says where a root is and what it works in. The zero Config is refused.
type Config struct {
	Arena *secret.Arena // for master key and unsealed secrets
	Dir   string        // directory of the root, mode 0700; [Create] makes it if only its last part is missing
	// Argon is the cost of guessing the passphrase, for files written from now on. Zero is [DefaultArgon]. Anything less than that is
	// refused, when reading too, unless WeakUnsafe.
	Argon Argon
	// WeakUnsafe allows costs below the default. It is for tests.
	WeakUnsafe bool
}

// Root implements [hsm.Root].
type Root struct {
	cfg  Config
	disk durable.Disk

	mu     sync.Mutex // guards all below, and the files against each other's writers
	master secret.Bytes
	closed bool
}

// Close wipes the master key. What was unsealed stays with those who have it.
func (r *Root) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.master.Wipe()
}

// Seal implements [hsm.Sealer].
func (r *Root) Seal(ctx context.Context, label string, header []byte, plain secret.Bytes) error {
	if err := hsm.CheckInput(label, header, plain); err != nil {
		return err
	}
	return r.do(ctx, "seal", label, func() error {
		sealed, err := r.seal(label, header, plain)
		if err != nil {
			return err
		}
		err = durable.Add(r.disk, r.path(label+ending), sealed)
		if errors.Is(err, fs.ErrExist) {
			return hsm.ErrExists
		}
		return err
	})
}

// Unseal implements [hsm.Sealer].
func (r *Root) Unseal(ctx context.Context, label string) (header []byte, plain secret.Bytes, err error) {
	if err := custody.CheckSlug("label", label); err != nil {
		return nil, secret.Bytes{}, fmt.Errorf("%w: %w", hsm.ErrInput, err)
	}
	err = r.do(ctx, "unseal", label, func() error {
		sealed, err := r.disk.Read(r.path(label+ending), seal.MaxEnvelope)
		if errors.Is(err, fs.ErrNotExist) {
			return hsm.ErrNotFound
		}
		if err != nil {
			return err
		}
		header, plain, err = r.open(label, sealed)
		return err
	})
	return header, plain, err
}

// Destroy implements [hsm.Sealer]: it overwrites and removes the file. A copy of the file elsewhere still opens.
func (r *Root) Destroy(ctx context.Context, label string) error {
	if err := custody.CheckSlug("label", label); err != nil {
		return fmt.Errorf("%w: %w", hsm.ErrInput, err)
	}
	return r.do(ctx, "destroy", label, func() error { return durable.Erase(r.disk, r.path(label+ending)) })
}

// ReadCounter implements [hsm.Counter].
func (r *Root) ReadCounter(ctx context.Context) (n uint64, err error) {
	err = r.do(ctx, "read", "counter", func() error {
		n, err = r.readCounter()
		return err
	})
	return n, err
}

// IncrementCounter implements [hsm.Counter].
func (r *Root) IncrementCounter(ctx context.Context) (n uint64, err error) {
	err = r.do(ctx, "increment", "counter", func() error {
		n, err = r.readCounter()
		if err != nil {
			return err
		}
		n++
		return r.writeCounter(n)
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// Status implements [hsm.Root].
func (r *Root) Status(ctx context.Context) (hsm.Status, error) {
	s := hsm.Status{Kind: Kind}
	err := r.do(ctx, "list", "labels", func() error {
		names, err := r.disk.List(r.cfg.Dir)
		if err != nil {
			return err
		}
		for _, name := range names {
			if label, ok := strings.CutSuffix(name, ending); ok {
				s.Labels = append(s.Labels, label)
			}
		}
		slices.Sort(s.Labels)
		return nil
	})
	if err != nil {
		return hsm.Status{}, err
	}
	return s, nil
}

// do runs f alone, unless the root is closed or nobody waits any more, and says in errors what was done to what.
func (r *Root) do(ctx context.Context, verb, what string, f func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	err := hsm.ErrClosed
	if !r.closed {
		err = f()
	}
	if err != nil {
		return fmt.Errorf("soft root: %s %s: %w", verb, what, err)
	}
	return nil
}

func (r *Root) path(name string) string { return filepath.Join(r.cfg.Dir, name) }

func (r *Root) seal(label string, header []byte, plain secret.Bytes) ([]byte, error) {
	return seal.Seal(canon.TagSeal, r.master, canon.Encode(sealedHeader{V: 1, Label: label, Header: header}), plain)
}

// open unseals what seal made for this label.
func (r *Root) open(label string, sealed []byte) ([]byte, secret.Bytes, error) {
	plain, b, err := seal.Open(r.cfg.Arena, canon.TagSeal, r.master, sealed)
	if errors.Is(err, seal.ErrMalformed) || errors.Is(err, seal.ErrOpen) {
		return nil, secret.Bytes{}, fmt.Errorf("%w: %w", hsm.ErrAltered, err)
	}
	if err != nil {
		return nil, secret.Bytes{}, err
	}
	var h sealedHeader
	if err := canon.Decode(b, &h); err != nil || h.V != 1 || h.Label != label {
		plain.Wipe()
		return nil, secret.Bytes{}, fmt.Errorf("%w: it was sealed under label %q", hsm.ErrAltered, h.Label)
	}
	return h.Header, plain, nil
}

// The counter is sealed like any secret: 8 bytes, big-endian. It isn't secret; sealing authenticates it with the one format there is.

func (r *Root) readCounter() (n uint64, err error) {
	sealed, err := r.disk.Read(r.path(counterFile), seal.MaxEnvelope)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("%w: %s is missing", hsm.ErrAltered, counterFile)
	}
	if err != nil {
		return 0, err
	}
	_, plain, err := r.open(counterFile, sealed)
	if err != nil {
		return 0, err
	}
	defer plain.Wipe()
	err = plain.Use(func(b []byte) error {
		if len(b) != 8 {
			return fmt.Errorf("%w: counter of %d bytes", hsm.ErrAltered, len(b))
		}
		n = binary.BigEndian.Uint64(b)
		return nil
	})
	return n, err
}

func (r *Root) writeCounter(n uint64) error {
	plain, err := secret.Take(r.cfg.Arena, binary.BigEndian.AppendUint64(nil, n))
	if err != nil {
		return err
	}
	defer plain.Wipe()
	sealed, err := r.seal(counterFile, nil, plain)
	if err != nil {
		return err
	}
	return durable.Replace(r.disk, r.path(counterFile), sealed)
}
