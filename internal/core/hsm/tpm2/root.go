// SPDX-License-Identifier: Apache-2.0

// Package tpm2 is the root of trust in a TPM 2.0: what it seals opens only with this TPM, the PIN, these files, and a machine that started with the
// firmware and boot settings that the root was bound to (docs/spec/blob.md, section "TPM root").
//
// Each secret lies in a file, sealed under a key of three parts: one in an object that the TPM sealed, one in an index of its non-volatile memory
// (NV), one stretched from the PIN. Objects and indexes ask for the PCRs and the authorization value; the lockout of the TPM counts wrong PINs. To
// destroy a secret is to remove its index: then its files of every day are worthless. The counter is a counter of the TPM. Every session is salted
// to the TPM's storage key, whose name the root keeps, and secrets travel encrypted: who listens on the bus learns nothing, and who talks there
// forges nothing.
//
// It refuses another TPM, a cleared one, other PCRs, a wrong PIN, altered files, and everything after a command that failed on the way. It does not
// change PIN or PCRs: that, and another machine, is a restore by ceremony into a new root.
//
// Copies outside the arena: go-tpm puts commands together and takes responses apart on the Go heap. PIN-derived authorization values, session keys
// and parts pass there, in clear until the library has encrypted them; responses that hold a part are cleared, the rest becomes garbage. The master
// key, the PIN and what is unsealed stay in the arena.
//
// Specs: TPM 2.0 Library (ISO/IEC 11889) parts 1 to 3, revision 1.38 and later; TCG TPM v2.0 Provisioning Guidance.
package tpm2

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	tpm "github.com/google/go-tpm/tpm2"

	"strongroom/internal/core/durable"
	"strongroom/internal/core/hsm"
	"strongroom/internal/core/seal"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/secret"
)

// Kind is how genesis names this root.
const Kind = "tpm2"

// MaxLabels is how many secrets a root holds. Each takes about a hundred bytes of the TPM's NV, of which there are a few thousand for everybody.
const MaxLabels = 12

// Names in the root's directory. Those with a dot before the ending can't be labels.
const (
	rootFile    = "root.tpm"
	counterFile = "counter.tpm"
	ending      = ".sealed"
)

// useKey is the use of keys of envelopes.
const useKey use = "key"

var (
	_ hsm.Root       = (*Root)(nil)
	_ hsm.Randomness = (*Root)(nil)
)

// sealedHeader is the header of what is sealed under a label.
type sealedHeader struct {
	V      uint              `cbor:"1,keyasint"` // 1
	Label  string            `cbor:"2,keyasint"`
	Header []byte            `cbor:"3,keyasint"` // the caller's
	Object object            `cbor:"4,keyasint"` // holds the first part of the key
	Root   [sha256.Size]byte `cbor:"5,keyasint"` // checksum of root.tpm's header: the object of another root would count as a wrong PIN
}

// Root implements [hsm.Root] and [hsm.Randomness].
type Root struct {
	cfg    Config
	disk   durable.Disk
	header rootHeader

	mu        sync.Mutex // guards all below, and the files against each other's writers
	pin       stretched
	master    secret.Bytes
	indexAuth secret.Bytes // of the indexes of all labels
	counter   *Counter
	closed    bool
}

// Close wipes the keys. What was unsealed stays with those who have it, and the device open.
func (r *Root) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.pin.wipe()
	r.master.Wipe()
	r.indexAuth.Wipe()
	if r.counter != nil {
		r.counter.Close()
	}
}

// Seal implements [hsm.Sealer]. The index comes first: if the power fails before the file is there, Seal of the same label begins anew, and
// Destroy removes what was left.
func (r *Root) Seal(ctx context.Context, label string, header []byte, plain secret.Bytes) error {
	if err := hsm.CheckInput(label, header, plain); err != nil {
		return err
	}
	return r.do(ctx, "seal", label, func() error { return r.seal(ctx, label, header, plain) })
}

func (r *Root) seal(ctx context.Context, label string, header []byte, plain secret.Bytes) error {
	labels, err := r.labels(ctx)
	switch {
	case err != nil:
		return err
	case slices.Contains(labels, label):
		return hsm.ErrExists
	case len(labels) >= MaxLabels:
		return fmt.Errorf("%w: the root holds %d secrets already", ErrFull, len(labels))
	}
	// A file without an index is what an interrupted Destroy left.
	if err := durable.Erase(r.disk, r.path(label+ending)); err != nil {
		return err
	}
	one, err := newPart(r.cfg.Arena)
	if err != nil {
		return err
	}
	defer one.Wipe()
	two, err := newPart(r.cfg.Arena)
	if err != nil {
		return err
	}
	defer two.Wipe()
	h := sealedHeader{V: 1, Label: label, Header: header, Root: r.header.Sum}
	err = r.operate(ctx, label, func(o *op, k *primaryKey, index tpm.TPMHandle) error {
		if _, err := o.removePart(k, r.header.Policy, index, r.indexAuth); err != nil { // an interrupted Seal left it
			return err
		}
		var err error
		if h.Object, err = o.sealPart(k, r.header.Policy, r.pin.auth, one); err != nil {
			return err
		}
		return o.writePart(k, r.header.Policy, index, r.indexAuth, two)
	})
	if err != nil {
		return err
	}
	key, err := join(r.cfg.Arena, useKey, label, one, two, r.pin.part)
	if err != nil {
		return err
	}
	defer key.Wipe()
	sealed, err := seal.Seal(canon.TagSeal, key, canon.Encode(h), plain)
	if err != nil {
		return err
	}
	err = durable.Add(r.disk, r.path(label+ending), sealed)
	if errors.Is(err, fs.ErrExist) {
		return hsm.ErrExists
	}
	return err
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
		header, plain, err = r.unseal(ctx, label, sealed)
		return err
	})
	return header, plain, err
}

func (r *Root) unseal(ctx context.Context, label string, sealed []byte) ([]byte, secret.Bytes, error) {
	var h sealedHeader
	b, err := seal.Header(sealed)
	if err == nil {
		err = canon.Decode(b, &h)
	}
	if err != nil || h.V != 1 || h.Label != label || h.Root != r.header.Sum {
		return nil, secret.Bytes{}, fmt.Errorf("%w: it says that it is sealed under label %q, and by another root: %v", hsm.ErrAltered, h.Label, h.Root != r.header.Sum)
	}
	var one, two secret.Bytes
	defer func() { one.Wipe(); two.Wipe() }()
	err = r.operate(ctx, label, func(o *op, k *primaryKey, index tpm.TPMHandle) error {
		found, err := o.findIndex(index)
		if err != nil {
			return err
		}
		if found == nil {
			return fmt.Errorf("%w: its part in the TPM was removed, and with it what the file holds", hsm.ErrNotFound)
		}
		if one, err = o.openPart(k, r.cfg.Arena, r.header.Policy, r.pin.auth, h.Object); err != nil {
			return err
		}
		if err := o.unload(); err != nil { // the policy session; the object and what loaded it go with the operation
			return err
		}
		if two, err = o.readPart(k, r.cfg.Arena, r.header.Policy, index, r.indexAuth); errors.Is(err, ErrIndex) {
			return fmt.Errorf("%w: %w", hsm.ErrAltered, err)
		}
		return err
	})
	if err != nil {
		return nil, secret.Bytes{}, err
	}
	key, err := join(r.cfg.Arena, useKey, label, one, two, r.pin.part)
	if err != nil {
		return nil, secret.Bytes{}, err
	}
	defer key.Wipe()
	plain, _, err := seal.Open(r.cfg.Arena, canon.TagSeal, key, sealed)
	if errors.Is(err, seal.ErrMalformed) || errors.Is(err, seal.ErrOpen) {
		return nil, secret.Bytes{}, fmt.Errorf("%w: %w", hsm.ErrAltered, err)
	}
	if err != nil {
		return nil, secret.Bytes{}, err
	}
	return h.Header, plain, nil
}

// Destroy implements [hsm.Sealer]: it removes the index, which makes every copy of the file worthless, and then the file. Where it was interrupted
// between, the label is free already. While the file is there, who lies on the bus can make it fail, and can't make it seem done.
func (r *Root) Destroy(ctx context.Context, label string) error {
	if err := custody.CheckSlug("label", label); err != nil {
		return fmt.Errorf("%w: %w", hsm.ErrInput, err)
	}
	return r.do(ctx, "destroy", label, func() error {
		_, err := r.disk.Read(r.path(label+ending), seal.MaxEnvelope)
		expected := !errors.Is(err, fs.ErrNotExist)
		err = r.operate(ctx, label, func(o *op, k *primaryKey, index tpm.TPMHandle) error {
			if expected {
				return o.expelPart(k, r.header.Policy, index, r.indexAuth)
			}
			_, err := o.removePart(k, r.header.Policy, index, r.indexAuth) // what an interrupted Seal left, or a file that was moved away
			if errors.Is(err, ErrIndex) {
				return nil // what is there is another's: ours is gone
			}
			return err
		})
		if err != nil {
			return err
		}
		return durable.Erase(r.disk, r.path(label+ending))
	})
}

// ReadCounter implements [hsm.Counter].
func (r *Root) ReadCounter(ctx context.Context) (n uint64, err error) {
	err = r.do(ctx, "read", "counter", func() error {
		n, err = r.counted(r.counter.Read(ctx))
		return err
	})
	return n, err
}

// IncrementCounter implements [hsm.Counter].
func (r *Root) IncrementCounter(ctx context.Context) (n uint64, err error) {
	err = r.do(ctx, "increment", "counter", func() error {
		n, err = r.counted(r.counter.Increment(ctx))
		return err
	})
	return n, err
}

// counted gives the number since the root was made.
func (r *Root) counted(n uint64, err error) (uint64, error) {
	if errors.Is(err, ErrIndex) {
		return 0, fmt.Errorf("%w: %w", hsm.ErrAltered, err)
	}
	if err != nil {
		return 0, err
	}
	return n - r.counter.id.First, nil
}

// Random implements [hsm.Randomness] with the TPM's generator; the bytes travel encrypted.
func (r *Root) Random(ctx context.Context, b []byte) error {
	return r.do(ctx, "draw", "random bytes", func() error { return r.cfg.Device.random(ctx, r.header.Primary, b) })
}

// random fills b. A TPM gives at most a digest at a time.
func (d *Device) random(ctx context.Context, primary, b []byte) error {
	return d.do(ctx, func(o *op) error {
		k, err := o.storage(primary)
		if err != nil {
			return err
		}
		s, err := o.session(k, nil, encryptOut())
		if err != nil {
			return err
		}
		for rest := b; len(rest) > 0; {
			got, err := tpm.GetRandom{BytesRequested: uint16(min(len(rest), 32))}.Execute(o, s)
			if err != nil {
				return err
			}
			n := copy(rest, got.RandomBytes.Buffer)
			clear(got.RandomBytes.Buffer)
			if n == 0 {
				return fmt.Errorf("%w: no random bytes", ErrMalformed)
			}
			rest = rest[n:]
		}
		return nil
	})
}

// Status implements [hsm.Root].
func (r *Root) Status(ctx context.Context) (hsm.Status, error) {
	s := hsm.Status{Kind: Kind, Hardware: r.cfg.Device.Hardware()}
	err := r.do(ctx, "list", "labels", func() error {
		var err error
		s.Labels, err = r.labels(ctx)
		return err
	})
	if err != nil {
		return hsm.Status{}, err
	}
	return s, nil
}

// labels lists what is sealed: the files whose index is there.
func (r *Root) labels(ctx context.Context) ([]string, error) {
	names, err := r.disk.List(r.cfg.Dir)
	if err != nil {
		return nil, err
	}
	var labels []string
	err = r.cfg.Device.do(ctx, func(o *op) error {
		for _, name := range names {
			label, ok := strings.CutSuffix(name, ending)
			if !ok {
				continue
			}
			index, err := indexOf(r.master, label)
			if err != nil {
				return err
			}
			found, err := o.findIndex(index)
			if err != nil {
				return err
			}
			if found != nil {
				labels = append(labels, label)
			}
		}
		return nil
	})
	slices.Sort(labels)
	return labels, err
}

// operate runs an operation of the TPM on a label.
func (r *Root) operate(ctx context.Context, label string, f func(o *op, k *primaryKey, index tpm.TPMHandle) error) error {
	index, err := indexOf(r.master, label)
	if err != nil {
		return err
	}
	return r.cfg.Device.do(ctx, func(o *op) error {
		k, err := o.storage(r.header.Primary)
		if err != nil {
			return err
		}
		return f(o, k, index)
	})
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
		return fmt.Errorf("tpm2 root: %s %s: %w", verb, what, err)
	}
	return nil
}

func (r *Root) path(name string) string { return filepath.Join(r.cfg.Dir, name) }
