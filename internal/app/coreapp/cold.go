// SPDX-License-Identifier: Apache-2.0

package coreapp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/auditlog/anchor/file"
	"strongroom/internal/core/auditlog/segment"
	"strongroom/internal/core/durable"
	"strongroom/internal/core/keystore/files"
	"strongroom/internal/core/offline"
	"strongroom/internal/core/timeguard"
	"strongroom/internal/pure/backup"
	"strongroom/internal/pure/custody"
	pure "strongroom/internal/pure/offline"
)

// followFolder holds what an offline domain has imported of its authority's log.
const followFolder = "authority"

// ColdNew says what a new offline domain is.
type ColdNew struct {
	Authority custody.AuthorityID
	Profile   custody.Profile
	Name      string
	Out       string // where its genesis is written, for the request that adds it
}

// coldParts is what an offline domain stands on.
type coldParts struct {
	parts
	cold offline.Config
}

// buildCold opens everything but the domain. It takes no log store process, and no log witnesses: the machine has no network.
func buildCold(ctx context.Context, o Options, create bool) (*coldParts, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.LogSocket != "" || len(o.Witnesses) > 0 || o.Quorum > 0 || o.TimeSources != "" {
		return nil, errors.New("an offline domain has its log in files, no log witnesses, and the clock of its machine")
	}
	p := &coldParts{}
	if err := p.fillCold(ctx, o, create); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

func (p *coldParts) fillCold(ctx context.Context, o Options, create bool) error {
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
	if _, err := p.health.open(ctx, a, root, o.Log); err != nil {
		return err
	}
	clock, err := timeguard.NewSystem(o.ClockBound)
	if err != nil {
		return err
	}
	p.cfg.Arena, p.cfg.Root, p.cfg.Clock = a, root, clock
	p.cold = offline.Config{Arena: a, Root: root, Clock: clock, Logger: o.Log, Fill: p.health.entropy.Fill}
	if p.cold.Store, err = p.openStore(ctx, o); err != nil {
		return err
	}
	follow, err := openDir(o, followFolder)
	if err != nil {
		return err
	}
	kept, err := segment.Open(follow, segment.Options{})
	if err != nil {
		return err
	}
	p.closers = append(p.closers, kept.Close)
	p.cold.Follow = kept
	blobs, err := files.Open(filepath.Join(o.Data, "blobs"))
	if err != nil {
		return err
	}
	p.cold.Blobs, p.cold.List = blobs, blobs.List
	return p.coldAnchor(ctx, o, create)
}

// coldAnchor opens the anchor that the genesis names, or the one that a new domain asks for.
func (p *coldParts) coldAnchor(ctx context.Context, o Options, create bool) error {
	dir, err := openDir(o, "anchor")
	if err != nil {
		return err
	}
	local, err := file.Open(dir)
	if err != nil {
		return err
	}
	p.closers = append(p.closers, local.Close)
	p.cold.Anchor, p.anchor = local, cmp.Or(o.Anchor, AnchorFile)
	g, err := coldGenesis(ctx, p.cold.Store)
	if err != nil {
		return err
	}
	if g != nil {
		if o.Anchor != "" && o.Anchor != g.Anchor {
			return fmt.Errorf("the domain's genesis names the anchor %q, not %q", g.Anchor, o.Anchor)
		}
		p.anchor, p.profile = g.Anchor, g.Profile
		if err := errors.Join(o.refuseRoot(g.Root), refuseUnlocked(g.Profile, p.lockErr)); err != nil {
			return err
		}
	}
	if p.anchor == AnchorTPM {
		p.cold.Anchor, err = p.bindTPM(ctx, o, local, create && g == nil)
	}
	return err
}

// coldGenesis reads entry 0, nil if there is none. It is not trusted: an altered one leads to another domain id, under which nothing is pinned.
func coldGenesis(ctx context.Context, store auditlog.Store) (*pure.State, error) {
	recs, err := store.Read(ctx, 0, 1)
	if err != nil || len(recs) == 0 {
		return nil, err
	}
	damaged := &auditlog.CorruptError{Seq: 0, Where: store.Where(0), Reason: "it is no genesis of an offline domain"}
	if len(recs[0].Bodies) != 1 || len(recs[0].Bodies[0]) < 16 {
		return nil, damaged
	}
	b := recs[0].Bodies[0]
	s, err := pure.OpenGenesis(pure.Record{Leaf: recs[0].Leaf, Salt: b[:16], Body: b[16:]})
	if err != nil {
		damaged.Err = err
		return nil, damaged
	}
	return s, nil
}

// ColdCreate makes an offline domain, and writes its genesis to a file.
func ColdCreate(ctx context.Context, o Options, n ColdNew) (id custody.DomainID, err error) {
	if err := n.Profile.Check(); err != nil {
		return id, err
	}
	p, err := buildCold(ctx, o, true)
	if err != nil {
		return id, err
	}
	if err := refuseUnlocked(n.Profile, p.lockErr); err != nil {
		return id, errors.Join(err, p.close())
	}
	d, err := offline.Create(ctx, p.cold, offline.Preparation{Authority: n.Authority, Profile: n.Profile, Name: n.Name, RootKind: cmp.Or(o.Root, RootSoft), AnchorKind: p.anchor})
	if err != nil {
		return id, errors.Join(err, p.close())
	}
	id = d.ID()
	err = writeColdGenesis(ctx, d, n.Out)
	return id, errors.Join(err, d.Close(ctx), p.close())
}

func writeColdGenesis(ctx context.Context, d *offline.Domain, path string) error {
	g, err := d.Genesis(ctx)
	if err != nil {
		return err
	}
	return durable.Replace(durable.OS(), path, g.Encode())
}

// withCold opens the offline domain of a data folder for one piece of work.
func withCold(ctx context.Context, o Options, work func(*offline.Domain) error) error {
	p, err := buildCold(ctx, o, false)
	if err != nil {
		return err
	}
	d, err := offline.Open(ctx, p.cold)
	if err != nil {
		return errors.Join(err, p.close())
	}
	err = work(d)
	return errors.Join(err, d.Close(ctx), p.close())
}

// ColdSign takes a bundle in, does what it brings, and writes the answer, whole or not at all. With a folder for the backup it adds to that before
// the answer is in its place, so that nobody carries away what no backup has; the same bundle gives the answer again after a failure.
func ColdSign(ctx context.Context, o Options, bundle, out, backupTo string, by offline.Operators) (r offline.Report, err error) {
	tuneCollector()
	err = withCold(ctx, o, func(d *offline.Domain) error {
		in, err := os.Open(bundle)
		if err != nil {
			return err
		}
		defer func() { _ = in.Close() }() // it was only read
		to := filepath.Join(filepath.Dir(out), ".new-"+filepath.Base(out))
		f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return err
		}
		r, err = d.Work(ctx, in, f, by)
		if err == nil {
			err = f.Sync()
		}
		err = errors.Join(err, f.Close())
		if err == nil && backupTo != "" {
			_, err = backupCold(ctx, d, backupTo)
		}
		if err != nil {
			return errors.Join(err, os.Remove(to))
		}
		if err := os.Rename(to, out); err != nil {
			return err
		}
		return durable.OS().SyncDir(filepath.Dir(out))
	})
	return r, err
}

// ColdStatus tells how an offline domain stands.
func ColdStatus(ctx context.Context, o Options) (s offline.Status, err error) {
	err = withCold(ctx, o, func(d *offline.Domain) error {
		s = d.Status(ctx)
		return nil
	})
	return s, err
}

// ColdGenesis writes the genesis of an offline domain to a file once more.
func ColdGenesis(ctx context.Context, o Options, out string) error {
	return withCold(ctx, o, func(d *offline.Domain) error { return writeColdGenesis(ctx, d, out) })
}

// ColdZeroize destroys the working key of an offline domain.
func ColdZeroize(ctx context.Context, o Options, cause string) error {
	return withCold(ctx, o, func(d *offline.Domain) error { return d.Zeroize(ctx, cause) })
}

// ColdBackedUp is what a backup of an offline domain tells.
type ColdBackedUp struct {
	Domain   custody.HexBytes `json:"domain"`
	Manifest string           `json:"manifest"`
	Entries  uint64           `json:"entries"`
	Copies   bool             `json:"sealedCopies"`
}

// ColdBackup adds to the backup of an offline domain in a folder, which is made if it is not there.
func ColdBackup(ctx context.Context, o Options, to string) (out ColdBackedUp, err error) {
	err = withCold(ctx, o, func(d *offline.Domain) error {
		out, err = backupCold(ctx, d, to)
		return err
	})
	return out, err
}

// backupCold adds to a backup while the domain is open.
func backupCold(ctx context.Context, d *offline.Domain, to string) (out ColdBackedUp, err error) {
	disk := durable.OS()
	if err := disk.Mkdir(to); err != nil && !errors.Is(err, fs.ErrExist) {
		return out, err
	}
	if err := errors.Join(disk.SyncDir(filepath.Dir(to)), durable.Sweep(disk, to)); err != nil {
		return out, err
	}
	newest, err := readManifest(to, "")
	if err != nil && !errors.Is(err, errNoManifest) {
		return out, err
	}
	m, err := d.Backup(ctx, newest, func(name string, b []byte) error { // a pack that no manifest names was left by a run that was cut off
		return durable.Replace(disk, filepath.Join(to, name), b)
	})
	if err != nil {
		return out, err
	}
	out = ColdBackedUp{Domain: m.Domain[:], Manifest: m.Name(), Entries: m.End(), Copies: len(m.Copies.WorkingKey) > 0}
	return out, durable.Replace(disk, filepath.Join(to, m.Name()), m.Encode())
}

// packsOf reads the packs of a backup's folder.
func packsOf(from string) func(context.Context, backup.Pack) ([]byte, error) {
	return func(_ context.Context, x backup.Pack) ([]byte, error) {
		b, err := durable.OS().Read(filepath.Join(from, x.Name()), backup.MaxPack)
		if err != nil {
			return nil, fmt.Errorf("%s is named by the manifest and can't be read: %w", x.Name(), err)
		}
		return b, nil
	}
}
