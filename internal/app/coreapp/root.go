// SPDX-License-Identifier: Apache-2.0

package coreapp

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"strongroom/internal/core/hsm"
	"strongroom/internal/core/hsm/pkcs11"
	"strongroom/internal/core/hsm/soft"
	"strongroom/internal/core/securedomain"
	"strongroom/internal/secret"
)

// PKCS11 says where a root on a PKCS#11 token is.
type PKCS11 struct {
	Module  string        // absolute path of the library
	Token   string        // label or serial number
	Timeout time.Duration // of one call into the library; 0: the default
	Typed   bool          // a person has just typed the PIN, though it comes through a descriptor
	// Unlock gives the unlock secret; nil: there is none.
	Unlock func(*secret.Arena) (secret.Bytes, error)
}

// rootFiles are the files by which a folder shows which root it has.
func rootFiles() map[string]string {
	return map[string]string{RootSoft: "root.soft", RootPKCS11: "root.pkcs11", RootTPM2: "root.tpm"}
}

// rootDir is the folder of the root of trust.
func rootDir(o Options) string { return filepath.Join(o.Data, "root") }

// hasRoot reports whether the data folder has a root of a kind.
func hasRoot(o Options, kind string) bool {
	_, err := os.Stat(filepath.Join(rootDir(o), rootFiles()[kind]))
	return !errors.Is(err, os.ErrNotExist)
}

// openRoot opens the root of trust of the kind that is configured, or makes one. What it opens is closed with p.
func (p *parts) openRoot(ctx context.Context, o Options, a *secret.Arena, create bool) (hsm.Root, error) {
	for kind := range rootFiles() {
		if kind != o.Root && hasRoot(o, kind) {
			return nil, refuseRoot(kind, o.Root)
		}
	}
	fresh := !hasRoot(o, o.Root)
	if fresh && !create {
		return nil, fmt.Errorf("%w in %s", securedomain.ErrNoDomain, o.Data)
	}
	switch o.Root {
	case RootSoft:
		return p.openSoft(o, a, fresh)
	case RootPKCS11:
		return p.openPKCS11(ctx, o, a, fresh)
	case RootTPM2:
		return p.openTPM2(ctx, o, a, create)
	}
	return nil, fmt.Errorf("root of trust %q is not known; use soft, pkcs11 or tpm2", o.Root)
}

// openSoft opens the soft root with the passphrase, or makes one.
func (p *parts) openSoft(o Options, a *secret.Arena, fresh bool) (hsm.Root, error) {
	cfg := soft.Config{Arena: a, Dir: rootDir(o)}
	if o.WeakPassphraseUnsafe {
		cfg.Argon, cfg.WeakUnsafe = soft.Argon{Time: 1, Memory: 8 << 10, Lanes: 1}, true
	}
	read, open := o.Passphrase.Read, soft.Open
	if fresh {
		read, open = o.Passphrase.ReadNew, soft.Create
	}
	pass, err := read(a)
	if err != nil {
		return nil, err
	}
	defer pass.Wipe()
	r, err := open(cfg, pass)
	if err != nil {
		return nil, err
	}
	p.closers = append(p.closers, func() error { r.Close(); return nil })
	return r, nil
}

// openPKCS11 opens the root on a token with its PIN, or makes one.
func (p *parts) openPKCS11(ctx context.Context, o Options, a *secret.Arena, fresh bool) (hsm.Root, error) {
	if o.PKCS11.Module == "" || o.PKCS11.Token == "" {
		return nil, errors.New("a root on a PKCS#11 token needs --pkcs11-module, the path of the token's library, and --pkcs11-token, its label or serial number")
	}
	l, err := pkcs11.Load(pkcs11.Config{Arena: a, Path: o.PKCS11.Module, Timeout: o.PKCS11.Timeout})
	if err != nil {
		return nil, err
	}
	p.closers = append(p.closers, l.Close)
	pin, typed, err := readPIN(o, a)
	if err != nil {
		return nil, err
	}
	defer pin.Wipe()
	cfg := pkcs11.RootConfig{Dir: rootDir(o), Token: o.PKCS11.Token, PIN: pin, Attended: typed}
	if o.PKCS11.Unlock != nil {
		if cfg.Unlock, err = o.PKCS11.Unlock(a); err != nil {
			return nil, fmt.Errorf("unlock secret: %w", err)
		}
		defer cfg.Unlock.Wipe()
	}
	open := l.Open
	if fresh {
		open = l.Create
	}
	r, err := open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	p.closers = append(p.closers, r.Close)
	return r, nil
}

// readPIN reads a token's PIN, and says whether a person has just typed it.
func readPIN(o Options, a *secret.Arena) (pin secret.Bytes, typed bool, err error) {
	s := o.Passphrase
	s.Question = "PIN of the token: "
	pin, err = s.Read(a)
	return pin, o.PKCS11.Typed || s.Typed(), err
}

// refuseRoot refuses a domain with another root of trust than the one that is configured: its secrets are not in there.
func refuseRoot(domain, configured string) error {
	if domain == configured {
		return nil
	}
	return fmt.Errorf("the domain's root of trust is %q, as its genesis says for ever; this core was started with --root %s", domain, configured)
}
