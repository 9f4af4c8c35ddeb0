// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/domainkeys"
	"strongroom/internal/core/hsm"
	"strongroom/internal/core/keystore"
	"strongroom/internal/core/recovery"
	"strongroom/internal/core/seal"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	pure "strongroom/internal/pure/offline"
	"strongroom/internal/pure/problem"
	"strongroom/internal/secret"
)

// Preparation says what a new offline domain is.
type Preparation struct {
	Authority  custody.AuthorityID // that it follows, for ever
	Profile    custody.Profile
	Name       string // slug, for people
	RootKind   string
	AnchorKind string
}

// Create makes the keys of a new offline domain in the root of trust, records its genesis, and opens it. Cut off and asked again before the
// domain exists, it uses the keys that are there.
func Create(ctx context.Context, cfg Config, p Preparation) (*Domain, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if size, _, err := cfg.Store.Head(ctx); err != nil || size != 0 {
		return nil, errors.Join(err, problem.New(problem.Conflict, "the log is not empty: a domain exists here"))
	}
	if err := create(ctx, cfg, p); err != nil {
		return nil, fmt.Errorf("create offline domain: %w", err)
	}
	return Open(ctx, cfg)
}

func create(ctx context.Context, cfg Config, p Preparation) error {
	fill := cfg.fill(ctx)
	ids, err := domainkeys.LoadIdentity(ctx, cfg.Arena, cfg.Root)
	if errors.Is(err, hsm.ErrNotFound) {
		if ids, err = domainkeys.GenerateIdentity(cfg.Arena, fill); err == nil {
			err = ids.Save(ctx, cfg.Root)
		}
	}
	if err != nil {
		return err
	}
	defer ids.Wipe()
	dwk, err := domainkeys.LoadDWK(ctx, cfg.Root, ids.IdentityKey(), epoch)
	if errors.Is(err, hsm.ErrNotFound) {
		if dwk, err = domainkeys.GenerateDWK(cfg.Arena, ids.IdentityKey(), epoch, fill); err == nil {
			err = dwk.Save(ctx, cfg.Root)
		}
	}
	if err != nil {
		return err
	}
	defer dwk.Wipe()
	g, err := genesis(ctx, cfg, p, ids, dwk)
	if err != nil {
		return err
	}
	r := cfg.Clock.Now()
	if !r.Certain {
		return problem.New(problem.TimeUncertain, "the clock is not certain: %s", r.Why)
	}
	body, salt := canon.Encode(g), ids.Salt(0, ownBody)
	l := entry.Leaf{V: 1, Authority: p.Authority, Kind: pure.KindGenesis, KindVersion: 1, Engine: entry.Engine1, Writer: 1, Time: r.Time, Bound: r.Bound,
		Bodies: []entry.BodyRef{entry.Ref(entry.Public, salt, body)}}
	leaf := l.Encode()
	if err := pure.New().Apply(l, entry.Hash(leaf), g); err != nil {
		return problem.New(problem.Malformed, "%v", err)
	}
	return auditlog.Begin(ctx, auditlog.Config{Store: cfg.Store, Anchor: cfg.Anchor, Entries: logEntries(ids),
		Sign: func(m []byte) ([]byte, error) { return ids.SignLog(m), nil }},
		entry.Origin(custody.DomainID(entry.Hash(leaf)), 1), ids.LogKey(), auditlog.Record{Leaf: leaf, Bodies: [][]byte{append(salt[:], body...)}})
}

func genesis(ctx context.Context, cfg Config, p Preparation, ids *domainkeys.Identity, dwk *domainkeys.DWK) (*pure.Genesis, error) {
	transport, err := ids.Transport()
	if err != nil {
		return nil, err
	}
	defer transport.Wipe()
	k, err := newImportKey(ctx, cfg, dwk)
	if err != nil {
		return nil, err
	}
	log, id := ids.LogKey(), ids.IdentityKey()
	g := &pure.Genesis{V: 1, Profile: p.Profile, Authority: p.Authority, LogKey: log[:], Identity: id[:], Root: p.RootKind, Anchor: p.AnchorKind, Epoch: epoch,
		Pattern: dwk.Pattern[:], Import: k, Transport: transport.Public(), Name: p.Name, Nonce: make([]byte, 16)}
	rand.Read(g.Nonce)
	return g, g.Check()
}

// importHeader is the header of a sealed import key.
type importHeader struct {
	V        uint          `cbor:"1,keyasint"` // 1
	Identity [32]byte      `cbor:"2,keyasint"` // public identity key of the domain
	Key      custody.KeyID `cbor:"3,keyasint"`
}

// newImportKey makes an import key and keeps its private half, sealed under the working key.
func newImportKey(ctx context.Context, cfg Config, dwk *domainkeys.DWK) (pure.ImportKey, error) {
	var name [16]byte
	rand.Read(name[:])
	out := pure.ImportKey{ID: custody.KeyID(hex.EncodeToString(name[:]))}
	fill := cfg.fill(ctx)
	r, err := secret.New(cfg.Arena, recovery.MasterSize, func(b []byte) error {
		if fill == nil {
			_, err := rand.Read(b)
			return err
		}
		return fill(b)
	})
	if err != nil {
		return out, fmt.Errorf("make an import key: %w", err)
	}
	defer r.Wipe()
	k, err := recovery.Derive(cfg.Arena, r)
	if err != nil {
		return out, err
	}
	defer k.Wipe()
	out.Public = k.Public()
	sealed, err := seal.Seal(canon.TagOfflineKey, dwk.Key(), canon.Encode(importHeader{V: 1, Identity: dwk.Identity, Key: out.ID}), r)
	if err != nil {
		return out, fmt.Errorf("seal an import key: %w", err)
	}
	out.Blob = keystore.Hash(sealed)
	return out, cfg.Blobs.Put(ctx, keystore.Ref{Key: out.ID, Hash: out.Blob}, sealed)
}

// openImportKey opens the private half of an import key.
func openImportKey(ctx context.Context, cfg Config, dwk *domainkeys.DWK, k pure.ImportKey) (*recovery.Key, error) {
	sealed, err := cfg.Blobs.Get(ctx, keystore.Ref{Key: k.ID, Hash: k.Blob})
	if err != nil {
		return nil, fmt.Errorf("import key %s: %w", k.ID, err)
	}
	if keystore.Hash(sealed) != k.Blob {
		return nil, fmt.Errorf("import key %s: %w", k.ID, keystore.ErrNotCurrent)
	}
	r, header, err := seal.Open(cfg.Arena, canon.TagOfflineKey, dwk.Key(), sealed)
	if err != nil {
		return nil, fmt.Errorf("import key %s: %w", k.ID, err)
	}
	defer r.Wipe()
	var h importHeader
	if err := canon.Decode(header, &h); err != nil || h.V != 1 || h.Identity != dwk.Identity || h.Key != k.ID {
		return nil, fmt.Errorf("import key %s: %w", k.ID, domainkeys.ErrUnfit)
	}
	out, err := recovery.Derive(cfg.Arena, r)
	if err != nil {
		return nil, err
	}
	if string(out.Public()) != string(k.Public) {
		out.Wipe()
		return nil, fmt.Errorf("import key %s: %w", k.ID, domainkeys.ErrUnfit)
	}
	return out, nil
}
