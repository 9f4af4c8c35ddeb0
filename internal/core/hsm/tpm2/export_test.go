// SPDX-License-Identifier: Apache-2.0

package tpm2

import (
	"context"

	tpm "github.com/google/go-tpm/tpm2"

	"strongroom/internal/core/durable"
	"strongroom/internal/secret"
)

// For tests in tpm2_test, which use tpmtest.

func CreateOn(ctx context.Context, disk durable.Disk, cfg Config, pin secret.Bytes) (*Root, error) {
	return create(ctx, disk, cfg, pin)
}

func OpenOn(ctx context.Context, disk durable.Disk, cfg Config, pin secret.Bytes) (*Root, error) {
	return open(ctx, disk, cfg, pin)
}

func (r *Root) IndexOf(label string) (tpm.TPMHandle, error) { return indexOf(r.master, label) }

func IndexOf(key secret.Bytes, label string) (tpm.TPMHandle, error) { return indexOf(key, label) }

func Auth(a *secret.Arena, key secret.Bytes, label string) (secret.Bytes, error) {
	return deriveAuth(a, key, "auth", label)
}

func Join(a *secret.Arena, label string, parts ...secret.Bytes) (secret.Bytes, error) {
	return join(a, useKey, label, parts...)
}

// Secrets are what must never be seen on the bus.
func (r *Root) Secrets() []secret.Bytes {
	return []secret.Bytes{r.master, r.pin.auth, r.pin.part, r.indexAuth, r.counter.auth}
}

// Part gives the part of a label's key that the TPM's NV keeps.
func (r *Root) Part(ctx context.Context, label string) (part secret.Bytes, err error) {
	err = r.operate(ctx, label, func(o *op, k *primaryKey, index tpm.TPMHandle) error {
		part, err = o.readPart(k, r.cfg.Arena, r.header.Policy, index, r.indexAuth)
		return err
	})
	return part, err
}

// SetPINPart puts another part in the place of the one from the PIN.
func (r *Root) SetPINPart(part secret.Bytes) {
	r.pin.part.Wipe()
	r.pin.part = part
}

func CheckResponse(b []byte) error {
	_, err := checkResponse(b)
	return err
}
