// SPDX-License-Identifier: Apache-2.0

package coreapp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/auditlog/anchor/file"
	"strongroom/internal/core/auditlog/anchor/witness"
	"strongroom/internal/core/securedomain"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/tlog"
	protocol "strongroom/internal/pure/witness"
)

// openAnchor opens the anchor that the domain's genesis names, but for the part of a TPM, which [parts.bindTPM] adds. Where there is no entry yet, a domain is about to be made: its first entry is
// pinned in the local file alone, and log witnesses hear of it when the core first runs, before anything else happens.
func (p *parts) openAnchor(ctx context.Context, o Options, store auditlog.Store) (auditlog.Anchor, error) {
	dir, err := openDir(o, "anchor")
	if err != nil {
		return nil, err
	}
	local, err := file.Open(dir)
	if err != nil {
		return nil, err
	}
	p.closers = append(p.closers, local.Close)
	g, err := p.genesis(ctx, store)
	if err != nil {
		return nil, err
	}
	if g == nil {
		p.anchor, err = o.anchorKind()
		return local, err
	}
	kind, set, err := p.incarnation(ctx, local, store, g)
	if err != nil {
		return nil, err
	}
	if err := agree(o, kind, set); err != nil {
		return nil, err
	}
	if !slices.Contains(anchorKinds(), kind) {
		return nil, fmt.Errorf("the domain's anchor is %q, which this program does not have", kind)
	}
	p.anchor, p.profile = kind, g.Profile
	if !anchorHas(kind, AnchorWitness) {
		return local, nil
	}
	a, err := witness.Open(witness.Config{Local: local, Witnesses: set, Relay: p.relay, Log: o.Log})
	if err != nil {
		return nil, err
	}
	p.witness = a
	p.closers = append(p.closers, a.Close)
	return a, nil
}

// incarnation gives anchor and log witnesses of the incarnation that the local pin is of: those of genesis, or of the re-anchoring that began it. It is not
// trusted: the domain's opening compares it with the log's fold.
func (p *parts) incarnation(ctx context.Context, local auditlog.Anchor, store auditlog.Store, g *entry.Genesis) (kind string, set tlog.Witnesses, err error) {
	era, doc, err := securedomain.EraOf(ctx, local, store)
	if err != nil {
		return "", set, err
	}
	p.era = era
	if doc == nil {
		set, err = authority.LogWitnesses(g)
		return g.Anchor, set, err
	}
	set, err = authority.AnchorWitnesses(doc.Anchor, doc.Witnesses, doc.Quorum)
	return doc.Anchor, set, err
}

// anchorKinds are the kinds of anchor that this program has: a file; log witnesses; and a TPM that counts for either.
func anchorKinds() []string {
	return []string{AnchorFile, AnchorTPM, AnchorWitness, AnchorWitness + "+" + AnchorTPM}
}

// anchorHas says whether an anchor has a part.
func anchorHas(anchor, part string) bool { return slices.Contains(strings.Split(anchor, "+"), part) }

// genesis reads entry 0, nil if there is none. It is not trusted: an altered one leads to another domain id, under which nothing is pinned.
func (p *parts) genesis(ctx context.Context, store auditlog.Store) (*entry.Genesis, error) {
	recs, err := store.Read(ctx, 0, 1)
	if err != nil {
		return nil, fmt.Errorf("read the genesis: %w", err)
	}
	if len(recs) == 0 {
		return nil, nil
	}
	p.domain = custody.DomainID(entry.Hash(recs[0].Leaf))
	damaged := func(why error) error {
		return &auditlog.CorruptError{Seq: 0, Where: store.Where(0), Reason: "it is no genesis", Err: why}
	}
	l, err := entry.DecodeLeaf(recs[0].Leaf)
	if err != nil {
		return nil, damaged(err)
	}
	if len(l.Bodies) != 1 || len(recs[0].Bodies) != 1 || l.Bodies[0].Class != entry.Public || len(recs[0].Bodies[0]) < entry.SaltSize {
		return nil, damaged(errors.New("it has another body"))
	}
	body := recs[0].Bodies[0]
	if err := entry.CheckBody(l.Bodies[0], [entry.SaltSize]byte(body), body[entry.SaltSize:]); err != nil {
		return nil, damaged(err)
	}
	var g entry.Genesis
	if err := canon.Decode(body[entry.SaltSize:], &g); err != nil {
		return nil, damaged(err)
	}
	return &g, nil
}

// agree refuses options that name another anchor or other log witnesses than the log does: only re-anchoring changes them.
func agree(o Options, anchor string, set tlog.Witnesses) error {
	if o.Anchor != "" && o.Anchor != anchor {
		return fmt.Errorf("the domain's log names the anchor %q, not %q; only re-anchoring changes it", anchor, o.Anchor)
	}
	if len(o.Witnesses) == 0 && o.Quorum == 0 {
		return nil
	}
	given, err := tlog.NewWitnesses(o.Witnesses, o.Quorum)
	if err != nil {
		return err
	}
	if !slices.Equal(given.All(), set.All()) || given.Quorum() != set.Quorum() {
		return errors.New("the domain's log names other log witnesses or another quorum than were given; leave them out")
	}
	return nil
}

// name puts the anchor into a genesis that nobody has signed yet.
func (o Options) name(g *entry.Genesis) error {
	if len(o.Witnesses) > 0 || o.Quorum > 0 || authority.AnchorHasWitnesses(g.Anchor) {
		set, err := tlog.NewWitnesses(o.Witnesses, o.Quorum)
		if err != nil {
			return err
		}
		for _, w := range set.All() {
			g.Witnesses = append(g.Witnesses, entry.LogWitness{Name: w.Name, Key: w.Key.String()})
		}
		g.Quorum = uint64(set.Quorum())
	}
	_, err := authority.LogWitnesses(g)
	return err
}

// anchorKind is the kind that a new genesis names.
func (o Options) anchorKind() (string, error) {
	kind := cmp.Or(o.Anchor, AnchorFile)
	if !slices.Contains(anchorKinds(), kind) {
		return "", fmt.Errorf("anchor %q is not known; use one of %s", o.Anchor, strings.Join(anchorKinds(), ", "))
	}
	return kind, nil
}

// AddWitness adds a log witness, NAME=VKEY.
func (o *Options) AddWitness(s string) error {
	name, vkey, ok := strings.Cut(s, "=")
	if !ok {
		return errors.New("want NAME=VKEY")
	}
	k, err := tlog.ParseWitnessKey(vkey)
	if err != nil {
		return err
	}
	o.Witnesses = append(o.Witnesses, tlog.Witness{Name: name, Key: k})
	return nil
}

// maxWitnessFile is the longest list of log witnesses, in bytes.
const maxWitnessFile = 64 << 10

// ReadWitnesses adds the log witnesses of a file: docs/spec/witness.md, "List of witnesses".
func (o *Options) ReadWitnesses(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was only read
	b, err := io.ReadAll(io.LimitReader(f, maxWitnessFile))
	if err != nil {
		return err
	}
	list, err := protocol.ParseWitnesses(string(b))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, w := range list {
		o.Witnesses = append(o.Witnesses, w.Witness)
	}
	return nil
}
