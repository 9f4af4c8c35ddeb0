// SPDX-License-Identifier: Apache-2.0

package tpm2

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	tpm "github.com/google/go-tpm/tpm2"

	"strongroom/internal/secret"
)

// CounterID names a counter in a TPM. Whoever keeps it authenticates it: an altered First shifts the number.
type CounterID struct {
	Primary []byte `cbor:"1,keyasint"` // name of the TPM's storage key, 34 bytes
	Index   uint32 `cbor:"2,keyasint"`
	First   uint64 `cbor:"3,keyasint"` // what the TPM counted when it was made; more than any counter that was removed there ever had
}

// Check refuses what DefineCounter doesn't give.
func (id CounterID) Check() error {
	if len(id.Primary) != nameSize || id.Index < firstIndex || id.Index >= firstIndex+1<<indexBits || id.First == 0 {
		return fmt.Errorf("%w: counter %#x from %d of a storage key of %d bytes", ErrIndex, id.Index, id.First, len(id.Primary))
	}
	return nil
}

// Counter is a counter in a TPM: an index of kind counter, which can only be read, incremented and removed. It is read and incremented with an
// authorization value that is derived from a key of its maker's, so that one who removes it and makes another in its place, which the
// owner's (usually empty) password allows, is found out; and even the right key can't bring a lower number back, because a new counter begins
// above all that were removed (TPM 2.0 part 3, TPM2_NV_Increment). It is safe for concurrent use.
type Counter struct {
	d    *Device
	a    *secret.Arena
	id   CounterID
	auth secret.Bytes
}

// DefineCounter makes the counter of a key and label, in place of the one that an earlier call with the same key and label made.
func DefineCounter(ctx context.Context, d *Device, a *secret.Arena, key secret.Bytes, label string) (id CounterID, err error) {
	err = withCounter(a, key, label, func(index tpm.TPMHandle, auth []byte) error {
		return d.do(ctx, func(o *op) error {
			k, err := o.storage(nil)
			if err != nil {
				return err
			}
			id = CounterID{Primary: k.name, Index: uint32(index)}
			if err := o.removeCounter(k, index, auth); err != nil {
				return err
			}
			if err := o.define(k, counterIndex(index, false), auth); err != nil {
				return err
			}
			if err := o.increment(k, counterIndex(index, false), auth); err != nil {
				return err
			}
			id.First, err = o.readCounter(k, index, auth)
			return err
		})
	})
	if err != nil {
		return CounterID{}, fmt.Errorf("make counter %s in the TPM: %w", label, err)
	}
	return id, nil
}

// RemoveCounter removes the counter of a key and label, if this TPM has it.
func RemoveCounter(ctx context.Context, d *Device, a *secret.Arena, key secret.Bytes, label string) error {
	err := withCounter(a, key, label, func(index tpm.TPMHandle, auth []byte) error {
		return d.do(ctx, func(o *op) error {
			k, err := o.storage(nil)
			if err != nil {
				return err
			}
			return o.removeCounter(k, index, auth)
		})
	})
	if err != nil {
		return fmt.Errorf("remove counter %s from the TPM: %w", label, err)
	}
	return nil
}

// withCounter derives where a counter is and its authorization value.
func withCounter(a *secret.Arena, key secret.Bytes, label string, f func(index tpm.TPMHandle, auth []byte) error) error {
	index, err := indexOf(key, label)
	if err != nil {
		return err
	}
	auth, err := deriveAuth(a, key, "auth", label)
	if err != nil {
		return err
	}
	defer auth.Wipe()
	return auth.Use(func(b []byte) error { return f(index, b) })
}

// removeCounter removes what an interrupted DefineCounter left, after making sure that it is that.
func (o *op) removeCounter(k *primaryKey, index tpm.TPMHandle, auth []byte) error {
	p, err := o.findIndex(index)
	if p == nil || err != nil {
		return err
	}
	if !same(*p, counterIndex(index, false)) {
		return fmt.Errorf("%w: index %#x is used by another program; remove it, or make the root in another directory", ErrIndex, index)
	}
	s, err := o.session(k, auth)
	if err != nil {
		return err
	}
	if _, err := o.readIndex(*p, s); err != nil && !errors.Is(err, tpm.TPMRCNVUninitialized) {
		return err
	}
	if err := o.unload(); err != nil {
		return err
	}
	return o.undefine(k, *p)
}

// OpenCounter opens the counter of a key and label that DefineCounter made. Nothing is sent before it is used. The arena holds the
// authorization value until Close.
func OpenCounter(d *Device, a *secret.Arena, id CounterID, key secret.Bytes, label string) (*Counter, error) {
	if err := id.Check(); err != nil {
		return nil, err
	}
	index, err := indexOf(key, label)
	if err != nil {
		return nil, err
	}
	if uint32(index) != id.Index {
		return nil, fmt.Errorf("%w: the counter is not that of the key", ErrIndex)
	}
	auth, err := deriveAuth(a, key, "auth", label)
	if err != nil {
		return nil, err
	}
	return &Counter{d: d, a: a, id: id, auth: auth}, nil
}

// Close wipes the authorization value. The counter stays.
func (c *Counter) Close() { c.auth.Wipe() }

// Read gives the number as the TPM counts: from First on. [ErrOtherTPM] or [ErrIndex] say that it is not the counter that was made.
func (c *Counter) Read(ctx context.Context) (uint64, error) { return c.use(ctx, "read", false) }

// Increment adds one and gives the new number. After an error it is open whether it was added.
func (c *Counter) Increment(ctx context.Context) (uint64, error) {
	return c.use(ctx, "increment", true)
}

func (c *Counter) use(ctx context.Context, verb string, add bool) (n uint64, err error) {
	err = c.auth.Use(func(auth []byte) error {
		return c.d.do(ctx, func(o *op) error {
			k, err := o.storage(c.id.Primary)
			if err != nil {
				return err
			}
			index := tpm.TPMHandle(c.id.Index)
			if add {
				if err := o.increment(k, counterIndex(index, true), auth); err != nil {
					return err
				}
			}
			if n, err = o.readCounter(k, index, auth); err == nil && n < c.id.First {
				err = fmt.Errorf("%w: it counts %d, and began at %d", ErrIndex, n, c.id.First)
			}
			return err
		})
	})
	if err != nil {
		return 0, fmt.Errorf("%s the TPM's counter: %w", verb, err)
	}
	return n, nil
}

func (o *op) increment(k *primaryKey, p tpm.TPMSNVPublic, auth []byte) error {
	h, err := named(p)
	if err != nil {
		return err
	}
	s, err := o.session(k, auth)
	if err != nil {
		return err
	}
	if _, err := (tpm.NVIncrement{AuthHandle: tpm.AuthHandle{Handle: h.Handle, Name: h.Name, Auth: s}, NVIndex: h}).Execute(o); err != nil {
		return fmt.Errorf("increment index %#x: %w", p.NVIndex, explainIndex(err))
	}
	return o.unload()
}

// readCounter reads a counter. The answer carries a MAC under the authorization value.
func (o *op) readCounter(k *primaryKey, index tpm.TPMHandle, auth []byte) (uint64, error) {
	s, err := o.session(k, auth)
	if err != nil {
		return 0, err
	}
	b, err := o.readIndex(counterIndex(index, true), s)
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint64(b), o.unload()
}
