// SPDX-License-Identifier: Apache-2.0

package coreapp

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"strongroom/internal/core/auditlog/anchor/file"
	"strongroom/internal/core/auditlog/segment"
	"strongroom/internal/core/offline"
	"strongroom/internal/core/timeguard"
	"strongroom/internal/pure/backup"
)

// ColdRestored is what a restore of an offline domain tells.
type ColdRestored struct {
	Restored
	Loss *offline.Loss `json:"setBack,omitempty"` // that operators accepted
}

// ColdRestore makes the offline domain of a backup's folder in a data folder that has a root of trust with its identity and working key, and no
// log. A restore that was cut off is begun again, or finished. With a bundle, a backup that is behind what the online domain knows is completed
// from there, once the people at the machine have accepted what is lost.
func ColdRestore(ctx context.Context, o Options, from, manifest, bundle string, by offline.Keepers) (out ColdRestored, err error) {
	if err := o.check(); err != nil {
		return out, err
	}
	b, err := readManifest(from, manifest)
	if err != nil {
		return out, err
	}
	if names, err := os.ReadDir(filepath.Join(o.Data, "log")); err == nil && len(names) > 0 {
		return out, fmt.Errorf("%s holds a log already; restore into a new folder", o.Data)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return out, err
	}
	done, err := coldRestored(ctx, o)
	if err != nil {
		return out, err
	}
	var r *offline.Restored
	if done > 0 { // all but the name of the log was there
		m, err := backup.Decode(b)
		if err != nil {
			return out, err
		}
		r = &offline.Restored{Manifest: m, Entries: done}
	} else {
		p := &parts{}
		r, err = p.restoreCold(ctx, o, from, b, bundle, by)
		if err = errors.Join(err, p.close()); err != nil {
			return out, err
		}
	}
	m := r.Manifest
	out.Restored = Restored{Domain: m.Domain, Profile: r.Profile, LogKey: m.LogKey, Identity: m.Identity, Entries: r.Entries, Keys: r.Wallets, Zeroized: m.Zeroized}
	out.Loss = r.Loss
	return out, takeLog(o)
}

// coldRestored gives the entries of a restore that was cut off when everything was written and pinned; 0: there is none.
func coldRestored(ctx context.Context, o Options) (entries uint64, err error) {
	for _, name := range []string{restoringLog, "anchor"} {
		if _, err := os.Stat(filepath.Join(o.Data, name)); errors.Is(err, fs.ErrNotExist) {
			return 0, nil
		}
	}
	logDir, err := openDir(o, restoringLog)
	if err != nil {
		return 0, err
	}
	store, err := segment.Open(logDir, segment.Options{})
	if err != nil {
		return 0, nil // it is written anew
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	anchorDir, err := openDir(o, "anchor")
	if err != nil {
		return 0, err
	}
	anchor, err := file.Open(anchorDir)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, anchor.Close()) }()
	whole, err := offline.Finished(ctx, store, anchor)
	if err != nil || !whole {
		return 0, err
	}
	entries, _, err = store.Head(ctx)
	return entries, err
}

func (p *parts) restoreCold(ctx context.Context, o Options, from string, manifest []byte, bundle string, by offline.Keepers) (*offline.Restored, error) {
	s, err := p.restoring(ctx, o)
	if err != nil {
		return nil, err
	}
	cfg := offline.RestoreConfig{Arena: s.arena, Root: s.root, Store: s.store, Blobs: s.blobs, Anchor: s.anchor, Manifest: manifest, Pack: packsOf(from)}
	if bundle != "" {
		if _, err := p.health.open(ctx, s.arena, s.root, o.Log); err != nil { // it may make an import key
			return nil, err
		}
		if cfg.CatchUp, err = p.catchUp(o, bundle, by); err != nil {
			return nil, err
		}
	}
	r, err := offline.Restore(ctx, cfg)
	if err == nil {
		err = refuseUnlocked(r.Profile, s.lockErr)
	}
	return r, err
}

// catchUp opens what completes a backup that is behind.
func (p *parts) catchUp(o Options, bundle string, by offline.Keepers) (*offline.CatchUp, error) {
	in, err := os.Open(bundle)
	if err != nil {
		return nil, err
	}
	p.closers = append(p.closers, in.Close)
	dir, err := openDir(o, followFolder)
	if err != nil {
		return nil, err
	}
	follow, err := segment.Open(dir, segment.Options{})
	if err != nil {
		return nil, err
	}
	p.closers = append(p.closers, follow.Close)
	clock, err := timeguard.NewSystem(o.ClockBound)
	if err != nil {
		return nil, err
	}
	return &offline.CatchUp{Bundle: in, Follow: follow, Clock: clock, By: by, Fill: p.health.entropy.Fill}, nil
}
