// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/domainkeys"
	"strongroom/internal/core/hsm"
	"strongroom/internal/core/keystore"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/secret"
)

// Preparation is what a new domain is made of. Arena, Root, Profile, RootKind, AnchorKind and Document are required; Points, a recovery record
// and log witnesses are what production asks for besides.
type Preparation struct {
	Arena      *secret.Arena
	Root       hsm.Root
	Profile    custody.Profile
	RootKind   string
	AnchorKind string
	Document   []byte // canonical

	Points    *points.Set       // control points that are on; nil: points.Evaluation, in that profile
	Recovery  *request.Recovery // without the hashes of the sealed copies; nil: nothing survives the root
	Blobs     keystore.Blobs    // takes the sealed copies; needed with Recovery
	Witnesses []entry.LogWitness
	Quorum    uint64
	Fill      func(ctx context.Context, b []byte) error // randomness of the keys; nil: the system's
}

// Prepare makes the keys of a new domain in the root of trust and gives its genesis, which every first person then signs. Asked
// again before the domain exists, it uses the keys that are there.
func Prepare(ctx context.Context, p Preparation) (entry.Genesis, error) {
	var g entry.Genesis
	doc, err := policy.DecodeDocument(p.Document)
	if err != nil {
		return g, problem.New(problem.Malformed, "%v", err)
	}
	if err := doc.Check(p.Profile); err != nil {
		return g, problem.New(problem.Malformed, "%v", err)
	}
	var fill domainkeys.Fill
	if p.Fill != nil {
		fill = func(b []byte) error { return p.Fill(ctx, b) }
	}
	ids, err := domainkeys.LoadIdentity(ctx, p.Arena, p.Root)
	if errors.Is(err, hsm.ErrNotFound) {
		if ids, err = domainkeys.GenerateIdentity(p.Arena, fill); err == nil {
			err = ids.Save(ctx, p.Root)
		}
	}
	if err != nil {
		return g, fmt.Errorf("prepare domain: %w", err)
	}
	defer ids.Wipe()
	dwk, err := domainkeys.LoadDWK(ctx, p.Root, ids.IdentityKey(), 1)
	if errors.Is(err, hsm.ErrNotFound) {
		if dwk, err = domainkeys.GenerateDWK(p.Arena, ids.IdentityKey(), 1, fill); err == nil {
			err = dwk.Save(ctx, p.Root)
		}
	}
	if err != nil {
		return g, fmt.Errorf("prepare domain: %w", err)
	}
	defer dwk.Wipe()
	log, id := ids.LogKey(), ids.IdentityKey()
	g = entry.Genesis{V: 1, Profile: p.Profile, LogKey: log[:], Identity: id[:], Root: p.RootKind, Anchor: p.AnchorKind, Epoch: 1, Pattern: dwk.Pattern[:],
		Document: p.Document, Nonce: make([]byte, 16), Points: p.Points, Witnesses: p.Witnesses, Quorum: p.Quorum}
	rand.Read(g.Nonce)
	if p.Recovery != nil {
		if g.Recovery, err = sealFirst(ctx, p, ids, dwk); err != nil {
			return g, fmt.Errorf("prepare domain: %w", err)
		}
	}
	return g, nil
}

// sealFirst keeps the sealed copies of a new domain, and gives the recovery record that names them.
func sealFirst(ctx context.Context, p Preparation, ids *domainkeys.Identity, dwk *domainkeys.DWK) (*request.Recovery, error) {
	r := *p.Recovery
	if p.Blobs == nil {
		return nil, errors.New("sealed copies need a blob store")
	}
	if err := r.Check(p.Profile, false); err != nil {
		return nil, problem.New(problem.Malformed, "%v", err)
	}
	for _, c := range []struct {
		seal func([]byte) ([]byte, error)
		hash *custody.HexBytes
	}{{dwk.ForRecovery, &r.WorkingKey}, {ids.ForRecovery, &r.Identity}} {
		ref, err := keepCopy(ctx, p.Blobs, r.Public, c.seal)
		if err != nil {
			return nil, err
		}
		*c.hash = ref.Hash[:]
	}
	return &r, nil
}

// keepCopy seals something to a recovery public key and keeps it in the blob store.
func keepCopy(ctx context.Context, blobs keystore.Blobs, public []byte, seal func(public []byte) ([]byte, error)) (keystore.Ref, error) {
	sealed, err := seal(public)
	if err != nil {
		return keystore.Ref{}, err
	}
	ref := keystore.Ref{Key: authority.SealedCopies, Hash: keystore.Hash(sealed)}
	return ref, blobs.Put(ctx, ref, sealed)
}

// Create records the genesis, signed by every first person, as the first entry of an empty log, and opens the domain.
func Create(ctx context.Context, cfg Config, g entry.Genesis) (*Domain, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if size, _, err := cfg.Store.Head(ctx); err != nil || size != 0 {
		return nil, errors.Join(err, problem.New(problem.Conflict, "the log is not empty: a domain exists here"))
	}
	if err := authority.AuditGenesis(&g); err != nil {
		return nil, problem.New(problem.Unauthenticated, "genesis: %v", err)
	}
	ids, err := domainkeys.LoadIdentity(ctx, cfg.Arena, cfg.Root)
	if err != nil {
		return nil, fmt.Errorf("create domain: %w", err)
	}
	d, err := create(ctx, cfg, ids, g)
	if err != nil {
		ids.Wipe()
		return nil, fmt.Errorf("create domain: %w", err)
	}
	return d, nil
}

func create(ctx context.Context, cfg Config, ids *domainkeys.Identity, g entry.Genesis) (*Domain, error) {
	log, id := ids.LogKey(), ids.IdentityKey()
	if string(g.LogKey) != string(log[:]) || string(g.Identity) != string(id[:]) {
		return nil, problem.New(problem.Conflict, "the genesis was prepared with other keys than this root holds; prepare it again")
	}
	r := cfg.Clock.Now()
	if !r.Certain {
		return nil, problem.New(problem.TimeUncertain, "the clock is not certain: %s", r.Why)
	}
	body := canon.Encode(g)
	salt := ids.Salt(0, 0)
	l := entry.Leaf{V: 1, Kind: entry.KindGenesis, KindVersion: 1, Engine: entry.Engine1, Writer: 1, Time: r.Time, Bound: r.Bound,
		Bodies: []entry.BodyRef{entry.Ref(entry.Public, salt, body)}}
	leaf := l.Encode()
	hash := entry.Hash(leaf)
	if err := authority.New().Apply(l, hash, &g); err != nil {
		return nil, problem.New(problem.Malformed, "genesis: %v", err)
	}
	if err := recordGenesis(ctx, cfg, ids, custody.DomainID(hash), auditlog.Record{Leaf: leaf, Bodies: [][]byte{append(salt[:], body...)}}); err != nil {
		return nil, err
	}
	return open(ctx, cfg, custody.DomainID(hash), ids)
}

// recordGenesis writes the first entry and waits until it is pinned.
func recordGenesis(ctx context.Context, cfg Config, ids *domainkeys.Identity, id custody.DomainID, rec auditlog.Record) error {
	pub := ids.LogKey()
	return auditlog.Begin(ctx, auditlog.Config{Store: cfg.Store, Anchor: cfg.Anchor, Entries: logEntries(ids),
		Sign: func(m []byte) ([]byte, error) { return ids.SignLog(m), nil }}, entry.Origin(id, 1), pub, rec)
}
