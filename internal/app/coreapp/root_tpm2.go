// SPDX-License-Identifier: Apache-2.0

package coreapp

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/auditlog/anchor/tpm"
	"strongroom/internal/core/hsm"
	"strongroom/internal/core/hsm/passphrase"
	"strongroom/internal/core/hsm/tpm2"
	"strongroom/internal/core/securedomain"
	"strongroom/internal/secret"
)

// The kinds of root and anchor that use a TPM, as genesis names them. The anchor counts for the pin in the file.
const (
	RootTPM2  = tpm2.Kind
	AnchorTPM = "tpm"
)

// DefaultPCRs is the register that holds the state of Secure Boot. It stays the same when boot programs are updated under the same keys.
const DefaultPCRs = "7"

// device opens the TPM, once for root and anchor.
func (p *parts) device(o Options) (*tpm2.Device, error) {
	if p.tpm != nil {
		return p.tpm, nil
	}
	path := o.TPM
	if path == "" {
		path = tpm2.DefaultPath
	}
	d, err := tpm2.OpenDevice(path)
	if err != nil {
		return nil, err
	}
	p.tpm = d
	p.closers = append(p.closers, d.Close)
	return d, nil
}

// openTPM2 opens the root in the TPM with the PIN, or makes one, or finishes one that was interrupted.
func (p *parts) openTPM2(ctx context.Context, o Options, a *secret.Arena, create bool) (hsm.Root, error) {
	d, err := p.device(o)
	if err != nil {
		return nil, err
	}
	cfg := tpm2.Config{Arena: a, Dir: filepath.Join(o.Data, "root"), Device: d}
	if cfg.PCRs, err = parsePCRs(o.TPMPCRs); err != nil {
		return nil, err
	}
	if o.WeakPassphraseUnsafe {
		cfg.Cost, cfg.WeakUnsafe = passphrase.Cost{Time: 1, Memory: 8 << 10, Lanes: 1}, true
	}
	some, whole, err := tpm2.Exists(cfg.Dir)
	if err != nil {
		return nil, err
	}
	if !some && !create {
		return nil, fmt.Errorf("%w in %s", securedomain.ErrNoDomain, o.Data)
	}
	read := o.Passphrase.Read
	if !some {
		read = o.Passphrase.ReadNew
	}
	pin, err := read(a)
	if err != nil {
		return nil, err
	}
	defer pin.Wipe()
	open := tpm2.Open
	if !whole && create {
		open = tpm2.Create
	}
	r, err := open(ctx, cfg, pin)
	if err != nil {
		return nil, err
	}
	p.closers = append(p.closers, func() error { r.Close(); return nil })
	return r, nil
}

// parsePCRs reads register numbers with commas. "none" binds to no register.
func parsePCRs(s string) ([]uint, error) {
	switch s {
	case "":
		s = DefaultPCRs
	case "none":
		return nil, nil
	}
	var out []uint
	for part := range strings.SplitSeq(s, ",") {
		n, err := strconv.ParseUint(strings.TrimSpace(part), 10, 8)
		if err != nil {
			return nil, fmt.Errorf("PCR %q is not a number; give numbers with commas, such as 0,2,7, or none", part)
		}
		out = append(out, uint(n))
	}
	slices.Sort(out)
	return out, nil
}

// bindTPM has the TPM count for an anchor; p.cfg has root, arena and clock.
func (p *parts) bindTPM(ctx context.Context, o Options, inner auditlog.Anchor, create bool) (auditlog.Anchor, error) {
	d, err := p.device(o)
	if err != nil {
		return nil, err
	}
	dir, err := openDir(o, "anchor")
	if err != nil {
		return nil, err
	}
	open := tpm.Open
	if create {
		open = tpm.Create
	}
	a, err := open(ctx, tpm.Config{Inner: inner, Root: p.cfg.Root, Device: d, Arena: p.cfg.Arena, Dir: dir, Clock: p.cfg.Clock})
	if err != nil {
		return nil, err
	}
	p.closers = append(p.closers, a.Close)
	return a, nil
}
