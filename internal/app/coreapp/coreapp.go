// SPDX-License-Identifier: Apache-2.0

// Package coreapp wires the core: from a data folder and a passphrase to a domain behind its door. It is all that
// cmd/strongroom-core calls, so that the closure of that program is the trusted code.
package coreapp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/auditlog/anchor/witness"
	"strongroom/internal/core/auditlog/disk"
	"strongroom/internal/core/auditlog/remote"
	"strongroom/internal/core/auditlog/segment"
	"strongroom/internal/core/ep11"
	"strongroom/internal/core/ep11/family/rsakey"
	"strongroom/internal/core/hsm/passphrase"
	"strongroom/internal/core/hsm/tpm2"
	"strongroom/internal/core/keystore/files"
	"strongroom/internal/core/securedomain"
	"strongroom/internal/core/snapshots"
	"strongroom/internal/core/timeguard"
	"strongroom/internal/gate/relay"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/tlog"
	"strongroom/internal/secret"
)

// The kinds of root and anchor that this program has, as genesis names them.
const (
	RootSoft      = "soft"
	RootPKCS11    = "pkcs11"
	AnchorFile    = "file"
	AnchorWitness = "witness"
)

// Options say how to run a core.
type Options struct {
	Data          string            // folder of the domain, mode 0700
	Passphrase    passphrase.Source // of the root of trust: passphrase or PIN
	Root          string            // kind of the root of trust; empty: soft
	PKCS11        PKCS11            // for that root
	Memory        int               // bytes of locked memory for keys; 0: 16 MiB
	CacheKeys     int               // keys kept unsealed; 0: the default
	ClockBound    time.Duration     // taken as the error of the system clock; 0: 1 second
	FlushDelay    time.Duration     // added to each flush, for benchmarks
	TakeOver      bool              // take the log over from a core that may still run
	NoTiles       bool              // write no tiles
	SnapshotEvery uint64            // entries between snapshots; 0: the default
	LogSocket     string            // socket of a log store process; empty: segment files in the data folder
	RecheckEvery  time.Duration     // between full re-checks, and between self-tests, in the background; 0: none
	FailSelfTest  string            // name of a self-test that is made to fail, to show that the core does not start then
	TPM           string            // device or socket of the TPM; empty: /dev/tpmrm0
	TPMPCRs       string            // registers that a new TPM root is bound to, with commas, or "none"; empty: DefaultPCRs
	TimeSources   string            // file with the authenticated sources of time; empty: the system clock
	AwaitGenesis  bool              // where there is no domain yet: serve a status that says so until there is one, instead of an error
	TamperFile    string            // file whose appearance makes the core destroy its working keys; empty: [TamperFile] in the data folder
	Log           *slog.Logger

	// Anchor, Witnesses and Quorum are what a new genesis names: the kind (empty: file) and, for "witness", the log witnesses and how many of
	// them must cosign (0: the smallest majority). For a domain that exists they may be left out; given, they must be those of its genesis.
	Anchor    string
	Witnesses []tlog.Witness
	Quorum    int

	// WeakPassphraseUnsafe makes guessing the passphrase cheap. It is for tests and benchmarks, and works in a new root only.
	WeakPassphraseUnsafe bool

	porch  *porch  // the door, where it is open already
	counts *counts // what is counted; nil: nothing is
}

// defaultMemory is room for some tens of thousands of unsealed keys.
const defaultMemory = 16 << 20

func (o *Options) check() error {
	if o.Data == "" || o.Log == nil {
		return errors.New("a data folder and a log are required")
	}
	if o.Root == "" {
		o.Root = RootSoft
	}
	if o.Memory == 0 {
		o.Memory = defaultMemory
	}
	if o.ClockBound == 0 {
		o.ClockBound = time.Second
	}
	return nil
}

// parts is what a domain stands on, in the order in which it is closed.
type parts struct {
	cfg     securedomain.Config
	health  *assurance
	lockErr error // why memory is not locked, or nil
	tpm     *tpm2.Device
	anchor  string           // kind of the anchor, as genesis names it or the options ask for
	domain  custody.DomainID // whose anchor this is, as the store says; zero: there is no entry yet
	profile custody.Profile  // as the store says; empty: there is no entry yet
	era     securedomain.Era // incarnation of the log, as its pin says
	relay   *relay.Queue
	witness *witness.Anchor // nil without log witnesses
	time    *watched        // nil on the system clock
	closers []func() error
}

func (p *parts) close() error {
	var errs []error
	for i := len(p.closers) - 1; i >= 0; i-- {
		errs = append(errs, p.closers[i]())
	}
	return errors.Join(errs...)
}

// arena hardens the process and makes its locked memory. Where the limit is too low it is unlocked, and the reason is kept: the
// production profile refuses then, the evaluation profile says so in status.
func arena(o Options) (*secret.Arena, error, error) {
	if err := secret.HardenProcess(); err != nil {
		return nil, nil, fmt.Errorf("harden the process: %w", err)
	}
	a, err := secret.NewArena(secret.Config{Size: o.Memory, RequireLock: false})
	if err != nil {
		return nil, nil, err
	}
	return a, a.LockError(), nil
}

// folder makes a folder of the data folder.
func folder(o Options, name string) (string, error) {
	path := filepath.Join(o.Data, name)
	if err := os.MkdirAll(path, 0o700); err != nil {
		return "", fmt.Errorf("data folder: %w", err)
	}
	return path, nil
}

// build opens everything but the domain.
func build(ctx context.Context, o Options, create bool) (*parts, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	var through *relay.Queue
	if o.porch != nil {
		through = o.porch.relay
	}
	p := newParts(through)
	if err := p.fill(ctx, o, create); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// newParts makes parts that have a relay and nothing else: a new one, if none is given.
func newParts(through *relay.Queue) *parts {
	if through == nil {
		through = relay.New()
	}
	p := &parts{relay: through}
	p.closers = append(p.closers, p.relay.Close)
	return p
}

func (p *parts) fill(ctx context.Context, o Options, create bool) error {
	a, lockErr, err := arena(o)
	if err != nil {
		return err
	}
	p.lockErr = lockErr
	p.closers = append(p.closers, a.Close)
	if p.health, err = newAssurance(ctx, a, o.FailSelfTest); err != nil {
		return err
	}
	if _, err := folder(o, ""); err != nil {
		return err
	}
	root, err := p.openRoot(ctx, o, a, create)
	if err != nil {
		return err
	}
	notes, err := p.health.open(ctx, a, root, o.Log)
	if err != nil {
		return err
	}
	store, err := p.openStore(ctx, o)
	if err != nil {
		return err
	}
	anchor, err := p.openAnchor(ctx, o, store)
	if err != nil {
		return err
	}
	blobs, err := files.Open(filepath.Join(o.Data, "blobs"))
	if err != nil {
		return err
	}
	snaps, err := snapshots.Open(filepath.Join(o.Data, "snapshots"))
	if err != nil {
		return err
	}
	clock, err := timeguard.NewSystem(o.ClockBound)
	if err != nil {
		return err
	}
	engine, err := ep11.Complete()
	if err != nil {
		return err
	}
	p.cfg = securedomain.Config{Engine: engine, Pair: rsakey.Make, Arena: a, Root: root, Store: store, Anchor: anchor, Blobs: blobs, Snapshots: snaps, Clock: clock, Logger: o.Log,
		TakeOver: o.TakeOver, SnapshotEvery: o.SnapshotEvery, RecheckEvery: o.RecheckEvery, CacheKeys: o.CacheKeys,
		Fill: p.health.entropy.Fill, Notes: notes, Era: p.era}
	if anchorHas(p.anchor, AnchorTPM) {
		if p.cfg.Anchor, err = p.bindTPM(ctx, o, anchor, create); err != nil {
			return err
		}
	}
	if lockErr != nil {
		p.cfg.Notes = append(p.cfg.Notes, "memory that holds keys is not locked: "+lockErr.Error())
	}
	if !o.NoTiles {
		if p.cfg.Tiles, err = folder(o, tilesFolder); err != nil {
			return err
		}
	}
	return nil
}

// openStore opens the log: segment files in the data folder, or a log store process.
func (p *parts) openStore(ctx context.Context, o Options) (auditlog.Store, error) {
	if o.LogSocket != "" {
		s, err := remote.Open(ctx, remote.Config{Socket: o.LogSocket})
		if err != nil {
			return nil, err
		}
		p.closers = append(p.closers, s.Close)
		return s, nil
	}
	dir, err := openDir(o, "log")
	if err != nil {
		return nil, err
	}
	s, err := segment.Open(dir, segment.Options{})
	if err != nil {
		return nil, err
	}
	p.closers = append(p.closers, s.Close)
	return s, nil
}

// openDir opens a folder of the data folder for files that are flushed.
func openDir(o Options, name string) (*disk.OSDir, error) {
	path, err := folder(o, name)
	if err != nil {
		return nil, err
	}
	return disk.OS(path, disk.Options{FlushDelay: o.FlushDelay})
}

// refuseUnlocked says whether a domain of a profile may run on memory that is not locked.
func refuseUnlocked(profile custody.Profile, lockErr error) error {
	if profile == custody.Production && lockErr != nil {
		return fmt.Errorf("a production domain needs locked memory: %w", lockErr)
	}
	return nil
}

// openDomain opens the domain of a data folder.
func openDomain(ctx context.Context, o Options, p *parts) (*securedomain.Domain, error) {
	d, err := securedomain.Open(ctx, p.cfg)
	if errors.Is(err, auditlog.ErrInUse) {
		return nil, fmt.Errorf("a core already runs on this domain: %w; stop it, or take over from it with --take-over", auditlog.ErrInUse)
	}
	if err != nil {
		return nil, err
	}
	if d.ID() != p.domain { // the store was asked twice
		return nil, errors.Join(errors.New("the log store gave another first entry than before"), d.Close())
	}
	s := d.Status()
	if err := errors.Join(refuseUnlocked(s.Profile, p.lockErr), o.refuseRoot(s.Root), refuseSystemClock(s.Profile, p.time)); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// refuseRoot says whether a domain of a root, as genesis names it, may run with what was asked for.
func (o Options) refuseRoot(root string) error { return refuseRoot(root, cmp.Or(o.Root, RootSoft)) }
