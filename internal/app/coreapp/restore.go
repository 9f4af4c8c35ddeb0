// SPDX-License-Identifier: Apache-2.0

package coreapp

import (
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
	"strongroom/internal/core/hsm"
	"strongroom/internal/core/keystore"
	"strongroom/internal/core/keystore/files"
	"strongroom/internal/core/securedomain"
	"strongroom/internal/pure/backup"
	"strongroom/internal/pure/custody"
	"strongroom/internal/secret"
)

// restoringLog is where a restore writes the log, until all of it is there.
const restoringLog = "log.restoring"

// Restored is what a restore tells.
type Restored struct {
	Domain   custody.DomainID `json:"domain"`
	Profile  custody.Profile  `json:"profile"`
	LogKey   custody.HexBytes `json:"logKey"`
	Identity custody.HexBytes `json:"identityKey"`
	Entries  uint64           `json:"entries"`
	Keys     int              `json:"keys"`
	Zeroized bool             `json:"zeroized,omitempty"`
	Tokens   int              `json:"tokenKeys,omitempty"`        // of Keys: in a token, and in no backup
	Missing  int              `json:"tokenKeysMissing,omitempty"` // of these: not in this root's token
}

// RestoreBackup makes the domain of a backup's folder in a data folder that has a root of trust with the domain's identity and working key, and
// no log. manifest is the name of one in the folder; empty: the newest. A restore that was cut off is begun again. With behind the backup may have
// less than the pin that survived; the domain must be re-anchored then.
func RestoreBackup(ctx context.Context, o Options, from, manifest string, behind bool) (out Restored, err error) {
	if err := o.check(); err != nil {
		return out, err
	}
	if o.LogSocket != "" {
		return out, errors.New("a restore writes the log as files of the data folder, not behind a socket")
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
	p := &parts{}
	r, err := p.restore(ctx, o, from, b, behind)
	if err = errors.Join(err, p.close()); err != nil {
		return out, err
	}
	m := r.Manifest
	out = Restored{Domain: m.Domain, Profile: r.Profile, LogKey: m.LogKey, Identity: m.Identity, Entries: m.End(), Keys: r.Keys, Zeroized: m.Zeroized, Tokens: r.Tokens, Missing: r.Missing}
	return out, takeLog(o)
}

// errNoManifest says that a folder is no backup.
var errNoManifest = errors.New("it has no manifest: it is no backup, or its first one was interrupted")

// readManifest reads a manifest of a folder; the newest if it has no name.
func readManifest(from, name string) ([]byte, error) {
	if name == "" {
		list, err := os.ReadDir(from) // sorted
		if err != nil {
			return nil, err
		}
		for _, e := range list {
			if _, ok := backup.ParseManifestName(e.Name()); ok {
				name = e.Name()
			}
		}
		if name == "" {
			return nil, fmt.Errorf("%s: %w", from, errNoManifest)
		}
	}
	if _, ok := backup.ParseManifestName(name); !ok {
		return nil, fmt.Errorf("%q is no name of a manifest", name)
	}
	b, err := durable.OS().Read(filepath.Join(from, name), backup.MaxManifest)
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", name, err)
	}
	return b, nil
}

// restore opens what the restore needs, and restores.
func (p *parts) restore(ctx context.Context, o Options, from string, manifest []byte, behind bool) (*securedomain.Restored, error) {
	s, err := p.restoring(ctx, o)
	if err != nil {
		return nil, err
	}
	r, err := securedomain.Restore(ctx, securedomain.RestoreConfig{Arena: s.arena, Root: s.root, Store: s.store, Blobs: s.blobs, Anchor: s.anchor, Manifest: manifest, Behind: behind,
		Pack: packsOf(from)})
	if err == nil {
		err = refuseUnlocked(r.Profile, s.lockErr)
	}
	return r, err
}

// restoreParts is what a restore writes to.
type restoreParts struct {
	arena   *secret.Arena
	lockErr error
	root    hsm.Root
	store   auditlog.Store
	anchor  auditlog.Anchor
	blobs   keystore.Blobs
}

// restoring opens what a restore needs: the root of trust, an empty log of another name, the local anchor, the blobs.
func (p *parts) restoring(ctx context.Context, o Options) (s restoreParts, err error) {
	if s.arena, s.lockErr, err = arena(o); err != nil {
		return s, err
	}
	p.closers = append(p.closers, s.arena.Close)
	if p.health, err = newAssurance(ctx, s.arena, o.FailSelfTest); err != nil {
		return s, err
	}
	s.root, err = p.openRoot(ctx, o, s.arena, false)
	if errors.Is(err, securedomain.ErrNoDomain) {
		return s, fmt.Errorf("%s has no root of trust: put the domain's there (%s), or let its custodians restore it first ('strongroom ceremony restore')",
			o.Data, filepath.Join(o.Data, "root"))
	}
	if err != nil {
		return s, err
	}
	if err := os.RemoveAll(filepath.Join(o.Data, restoringLog)); err != nil { // of a restore that was cut off
		return s, err
	}
	logDir, err := openDir(o, restoringLog)
	if err != nil {
		return s, err
	}
	store, err := segment.Open(logDir, segment.Options{})
	if err != nil {
		return s, err
	}
	p.closers = append(p.closers, store.Close)
	anchorDir, err := openDir(o, "anchor")
	if err != nil {
		return s, err
	}
	anchor, err := file.Open(anchorDir) // log witnesses and TPM are asked at the next start
	if err != nil {
		return s, err
	}
	p.closers = append(p.closers, anchor.Close)
	blobs, err := files.Open(filepath.Join(o.Data, "blobs"))
	if err != nil {
		return s, err
	}
	s.store, s.anchor, s.blobs = store, anchor, blobs
	return s, nil
}

// takeLog gives the restored log its name.
func takeLog(o Options) error {
	to := filepath.Join(o.Data, "log")
	if err := os.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) { // empty
		return err
	}
	if err := os.Rename(filepath.Join(o.Data, restoringLog), to); err != nil {
		return err
	}
	return durable.OS().SyncDir(o.Data)
}
