// SPDX-License-Identifier: Apache-2.0

package coreapp

import (
	"context"
	"errors"
	"fmt"

	"strongroom/internal/core/hsm/pkcs11"
	"strongroom/internal/secret"
)

// probeMemory is room for what a probe unseals.
const probeMemory = 64 << 10

// Probe tells what a PKCS#11 library is and which tokens it has and, where one is named, what that one can do. It opens no domain.
func Probe(ctx context.Context, o Options) (pkcs11.Report, error) {
	if o.PKCS11.Module == "" {
		return pkcs11.Report{}, errors.New("--pkcs11-module is required: the path of the token's library")
	}
	o.Memory = probeMemory
	a, _, err := arena(o)
	if err != nil {
		return pkcs11.Report{}, err
	}
	l, err := pkcs11.Load(pkcs11.Config{Arena: a, Path: o.PKCS11.Module, Timeout: o.PKCS11.Timeout})
	if err != nil {
		return pkcs11.Report{}, errors.Join(err, a.Close())
	}
	r, err := probe(ctx, o, l, a)
	if errors.Is(err, pkcs11.ErrHung) {
		return r, err // what hangs may still use the arena
	}
	return r, errors.Join(err, l.Close(), a.Close())
}

func probe(ctx context.Context, o Options, l *pkcs11.Library, a *secret.Arena) (pkcs11.Report, error) {
	if o.PKCS11.Token == "" {
		return l.Info()
	}
	pin, typed, err := readPIN(o, a)
	if err != nil {
		return pkcs11.Report{}, fmt.Errorf("PIN: %w", err)
	}
	defer pin.Wipe()
	return l.Probe(ctx, o.PKCS11.Token, pin, typed)
}
