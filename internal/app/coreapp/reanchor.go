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
	"slices"
	"time"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/auditlog/anchor/file"
	"strongroom/internal/core/auditlog/anchor/tpm"
	"strongroom/internal/core/durable"
	"strongroom/internal/core/securedomain"
	"strongroom/internal/core/timeguard"
	"strongroom/internal/gate"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/tlog"
)

// Reanchor says how to re-anchor a domain that does not run. docs/spec/reanchor.md.
type Reanchor struct {
	Reason      string        // prepare: for the people who sign
	Checkpoints []string      // files with signed checkpoints of the log that somebody kept
	Socket      string        // of a door that carries messages to log witnesses and time servers; empty: nobody is asked
	Patience    time.Duration // how long log witnesses are waited for; 0: 10 seconds
	Ready       func()        // called once that door is open; may be nil
}

// surveyTime is how long log witnesses are waited for.
const surveyTime = 10 * time.Second

// ReanchorReport is what a preparation found, and what the document says.
type ReanchorReport struct {
	Domain      custody.DomainID `json:"domain"`
	Profile     custody.Profile  `json:"profile"`
	LogKey      custody.HexBytes `json:"logKey"`
	Identity    custody.HexBytes `json:"identityKey"`
	Origin      string           `json:"origin"`  // of the new incarnation
	VKey        string           `json:"logVkey"` // for log witnesses
	Entries     uint64           `json:"entries"` // that are left
	Known       uint64           `json:"known"`   // of the largest checkpoint that was found
	Incarnation uint64           `json:"incarnation"`
	Whole       bool             `json:"whole"`
	Found       []string         `json:"found"`           // in words
	Entry       uint64           `json:"entry,omitempty"` // of an apply
	Delay       int64            `json:"delay"`           // seconds
}

// PrepareReanchor folds what is left of the log, looks for the largest checkpoint that anybody knows, and writes the re-anchor document, for people of the
// recovery plan to sign. o.Anchor, o.Witnesses and o.Quorum are the new anchor; left out, it stays as it is. Nothing of the domain is changed.
func PrepareReanchor(ctx context.Context, o Options, a Reanchor, out string) (ReanchorReport, error) {
	var doc *entry.Reanchor
	report, err := withRemains(ctx, o, a, func(ctx context.Context, p *remains) error {
		plan, err := p.plan(o, a.Reason)
		if err != nil {
			return err
		}
		if doc, err = p.left.Draft(plan); err != nil {
			return err
		}
		p.tell(doc)
		return nil
	})
	if err != nil {
		return report, err
	}
	return report, durable.Replace(durable.OS(), out, canon.Encode(doc))
}

// ApplyReanchor makes a signed document the next entry of the log and pins it in the new incarnation; where the new anchor counts in a TPM, that begins anew. Cut
// off anywhere, it is done again. What a running core or a log witness knows meanwhile is looked for once more.
func ApplyReanchor(ctx context.Context, o Options, a Reanchor, document string) (ReanchorReport, error) {
	b, err := os.ReadFile(document)
	if err != nil {
		return ReanchorReport{}, fmt.Errorf("read the re-anchor document: %w", err)
	}
	var doc entry.Reanchor
	if err := canon.Decode(b, &doc); err != nil {
		return ReanchorReport{}, fmt.Errorf("re-anchor document: %w", err)
	}
	return withRemains(ctx, o, a, func(ctx context.Context, p *remains) error { return p.apply(ctx, o, &doc) })
}

// remains is what re-anchoring stands on.
type remains struct {
	*parts
	left      *securedomain.Remains
	local     *file.Anchor
	confirmed []byte // see [witness.Survey]
	report    ReanchorReport
}

// withRemains opens what is left of a domain, with a door for its messages, asks everybody who may know more, and calls do.
func withRemains(ctx context.Context, o Options, a Reanchor, do func(context.Context, *remains) error) (report ReanchorReport, err error) {
	if err := o.check(); err != nil {
		return report, err
	}
	tuneCollector()
	p := &remains{parts: newParts(nil)}
	err = p.open(ctx, o)
	if err == nil {
		err = p.guardTime(ctx, o)
	}
	if err == nil {
		err = p.atDoor(ctx, o, a, func(ctx context.Context) error {
			err := p.awaitTime(ctx, o)
			if err == nil {
				err = p.fold(ctx, o, a)
			}
			if err == nil {
				err = do(ctx, p)
			}
			return err
		})
	}
	if p.left != nil {
		p.left.Close()
	}
	return p.report, errors.Join(err, p.close())
}

// open opens root, log, pin file and clock. A pin file that can't be read is for do to replace.
func (p *remains) open(ctx context.Context, o Options) error {
	a, lockErr, err := arena(o)
	if err != nil {
		return err
	}
	p.lockErr = lockErr
	p.closers = append(p.closers, a.Close)
	if p.health, err = newAssurance(ctx, a, o.FailSelfTest); err != nil {
		return err
	}
	root, err := p.openRoot(ctx, o, a, false)
	if err != nil {
		return err
	}
	store, err := p.openStore(ctx, o)
	if err != nil {
		return err
	}
	clock, err := timeguard.NewSystem(o.ClockBound)
	if err != nil {
		return err
	}
	p.cfg = securedomain.Config{Arena: a, Root: root, Store: store, Clock: clock, Logger: o.Log}
	return p.openLocal(o)
}

// openLocal opens the pin file.
func (p *remains) openLocal(o Options) error {
	dir, err := openDir(o, "anchor")
	if err != nil {
		return err
	}
	if p.local, err = file.Open(dir); err == nil {
		p.closers = append(p.closers, p.local.Close)
	}
	return err
}

// atDoor serves a door with the relay alone while do runs; without a socket there is none.
func (p *remains) atDoor(ctx context.Context, o Options, a Reanchor, do func(context.Context) error) error {
	if a.Socket == "" {
		return do(ctx)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ln, err := gate.Listen(a.Socket)
	if err != nil {
		return err
	}
	srv, err := serveDoor(ctx, newHouse(p.relay, "", p.waits, o.counts), ln, []uint32{uint32(os.Geteuid())}, o.Log, cancel)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	if a.Ready != nil {
		a.Ready()
	}
	return errors.Join(do(ctx), srv.close())
}

// plan says what the document is to make: the anchor that the options name, or the one that there is.
func (p *remains) plan(o Options, reason string) (securedomain.Plan, error) {
	kind, witnesses, quorum := p.left.Anchor()
	out := securedomain.Plan{Reason: reason, Anchor: cmp.Or(o.Anchor, kind), Witnesses: witnesses, Quorum: quorum, Confirmed: p.confirmed}
	if !slices.Contains(anchorKinds(), out.Anchor) {
		return out, fmt.Errorf("anchor %q is not known; use one of %v", out.Anchor, anchorKinds())
	}
	switch {
	case len(o.Witnesses) > 0 || o.Quorum > 0:
		g := entry.Genesis{Anchor: out.Anchor}
		if err := o.name(&g); err != nil {
			return out, err
		}
		out.Witnesses, out.Quorum = g.Witnesses, g.Quorum
	case !authority.AnchorHasWitnesses(out.Anchor):
		out.Witnesses, out.Quorum = nil, 0
	}
	_, err := authority.AnchorWitnesses(out.Anchor, out.Witnesses, out.Quorum)
	return out, err
}

// tell fills the report in.
func (p *remains) tell(b *entry.Reanchor) {
	k, i := p.left.Keys()
	r := &p.report
	r.Domain, r.Profile, r.LogKey, r.Identity = p.left.Domain(), p.left.Profile(), k[:], i[:]
	r.Origin, r.Incarnation, r.Entries, r.Whole, r.Delay = entry.Origin(b.Domain, b.Incarnation), b.Incarnation, b.Size, b.Whole, b.Delay
	if key, err := tlog.NewKey(r.Origin, k[:]); err == nil {
		r.VKey = key.String()
	}
	if c, _ := p.left.Known(); len(b.Known) > 0 {
		r.Known = c.Size
	}
	if !b.Whole {
		for _, s := range p.left.Followers() {
			p.found(s)
		}
	}
}

// apply applies a document: tiles moved aside, entry, pin, TPM, in this order.
func (p *remains) apply(ctx context.Context, o Options, doc *entry.Reanchor) error {
	if err := p.left.Check(doc); err != nil {
		return err
	}
	if doc.Whole && len(p.confirmed) == 0 && !p.left.Applied(doc) {
		return errors.New("the document says that nothing is lost, and the log witnesses do not confirm that now; carry messages to them, or prepare it again")
	}
	if !slices.Contains(anchorKinds(), doc.Anchor) {
		return fmt.Errorf("the document's anchor is %q, which this program does not have", doc.Anchor)
	}
	if err := setTilesAside(o, doc.Before); err != nil {
		return err
	}
	if err := p.renewPin(ctx, o); err != nil {
		return err
	}
	if err := p.left.Apply(ctx, doc); errors.Is(err, auditlog.ErrInUse) {
		return fmt.Errorf("a core runs on this log; stop it first: %w", err)
	} else if err != nil {
		return err
	}
	p.tell(doc)
	p.report.Entry = doc.Size
	if !anchorHas(doc.Anchor, AnchorTPM) {
		return nil
	}
	return p.renewTPM(ctx, o, doc)
}

// renewPin gives up a pin file that can't be read.
func (p *remains) renewPin(ctx context.Context, o Options) error {
	if _, err := p.local.Read(ctx); err == nil || errors.Is(err, auditlog.ErrNoPin) || ctx.Err() != nil {
		return ctx.Err()
	}
	dir, err := openDir(o, "anchor")
	if err != nil {
		return err
	}
	if err := file.Discard(ctx, dir); err != nil {
		return err
	}
	if err := p.openLocal(o); err != nil {
		return err
	}
	p.left.Repin(p.local)
	return nil
}

// renewTPM begins anew with the TPM, at the pin of the new incarnation.
func (p *remains) renewTPM(ctx context.Context, o Options, doc *entry.Reanchor) error {
	cfg, err := p.tpmConfig(o)
	if err != nil {
		return err
	}
	origin := entry.Origin(doc.Domain, doc.Incarnation)
	a, err := tpm.Replace(ctx, cfg, func(e tpm.Evidence) error {
		k, _ := p.left.Keys()
		key, err := tlog.NewKey(origin, k[:])
		if err != nil {
			return err
		}
		c, err := tlog.OpenCheckpoint(e.Pin.Checkpoint, key)
		if err == nil && (c.Size != doc.Size+1 || e.Pin.Since != doc.Size) {
			err = fmt.Errorf("the pin has %d entries, and the re-anchoring made %d", c.Size, doc.Size+1)
		}
		return err
	})
	if err != nil {
		return err
	}
	return a.Close()
}

// tilesFolder is the folder of the published tiles.
const tilesFolder = "tiles"

// setTilesAside moves the tiles of an incarnation that ends out of the way: they may have entries that are lost, and keep their worth as a record of it.
func setTilesAside(o Options, incarnation uint64) error {
	from := filepath.Join(o.Data, tilesFolder)
	if _, err := os.Stat(from); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	to := filepath.Join(o.Data, fmt.Sprintf("%s-%d", tilesFolder, incarnation))
	for n := 2; ; n++ {
		if _, err := os.Stat(to); errors.Is(err, fs.ErrNotExist) {
			break
		} else if err != nil {
			return err
		}
		to = filepath.Join(o.Data, fmt.Sprintf("%s-%d-%d", tilesFolder, incarnation, n))
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return durable.OS().SyncDir(o.Data)
}
