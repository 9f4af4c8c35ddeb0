// SPDX-License-Identifier: Apache-2.0

package coreapp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"strongroom/internal/core/auditlog/anchor/tpm"
	"strongroom/internal/core/auditlog/anchor/witness"
	"strongroom/internal/core/securedomain"
	"strongroom/internal/pure/tlog"
)

// fold folds the log, and considers what pin, tiles, TPM, files and log witnesses know.
func (p *remains) fold(ctx context.Context, o Options, a Reanchor) (err error) {
	p.left, err = securedomain.Remain(ctx, securedomain.ReanchorConfig{Arena: p.cfg.Arena, Root: p.cfg.Root, Store: p.cfg.Store, Local: p.local, Clock: p.cfg.Clock,
		Tiles: filepath.Join(o.Data, tilesFolder)})
	if err != nil {
		return err
	}
	if err := errors.Join(refuseUnlocked(p.left.Profile(), p.lockErr), o.refuseRoot(p.left.Root()), refuseSystemClock(p.left.Profile(), p.time)); err != nil {
		return err
	}
	words, err := p.left.ConsiderPin(ctx)
	if err != nil {
		return err
	}
	p.found(words)
	for _, name := range p.tiles(o) {
		if b, err := readSmall(name, tlog.MaxSigned); err == nil {
			if c, err := p.left.Consider(ctx, b, "the published tiles"); err == nil {
				p.found(fmt.Sprintf("the published tiles have %d entries of %s", c.Size, c.Origin))
			}
		}
	}
	for _, name := range a.Checkpoints {
		b, err := readSmall(name, tlog.MaxSigned)
		if err != nil {
			return err
		}
		c, err := p.left.Consider(ctx, b, name)
		if err != nil {
			return err
		}
		p.found(fmt.Sprintf("%s has %d entries of %s", name, c.Size, c.Origin))
	}
	if err := p.askTPM(ctx, o); err != nil {
		return err
	}
	if err := p.askWitnesses(ctx, o, a); err != nil {
		return err
	}
	if s := p.left.Forked(); s != "" {
		p.found(s)
	}
	return nil
}

func (p *remains) found(words string) { p.report.Found = append(p.report.Found, words) }

// tiles lists the checkpoints of the data folder's tiles, of this incarnation and of earlier ones.
func (p *remains) tiles(o Options) []string {
	list, err := filepath.Glob(filepath.Join(o.Data, tilesFolder+"*", "checkpoint"))
	if err != nil {
		return nil // a bad pattern, which it isn't
	}
	return list
}

// askTPM considers the last mark, where the anchor so far counts in a TPM.
func (p *remains) askTPM(ctx context.Context, o Options) error {
	kind, _, _ := p.left.Anchor()
	if !anchorHas(kind, AnchorTPM) {
		return nil
	}
	cfg, err := p.tpmConfig(o)
	if err != nil {
		p.found(fmt.Sprintf("the TPM can't be asked: %v", err))
	}
	if cfg.Dir == nil {
		return err
	}
	i, err := tpm.Inspect(ctx, cfg)
	if err != nil {
		return err
	}
	if i.Refused != nil {
		p.found(fmt.Sprintf("the TPM does not open as it is: %v", i.Refused))
	}
	if len(i.Checkpoint) == 0 {
		return nil
	}
	c, err := p.left.Consider(ctx, i.Checkpoint, "the last mark for the TPM")
	if err != nil {
		p.found(err.Error())
		return nil
	}
	p.found(fmt.Sprintf("the last mark for the TPM was made at %d entries of %s", c.Size, c.Origin))
	return nil
}

// tpmConfig is what an anchor in the TPM stands on. Where there is no TPM, Device is nil, and the error says so.
func (p *remains) tpmConfig(o Options) (tpm.Config, error) {
	cfg := tpm.Config{Inner: p.local, Root: p.cfg.Root, Arena: p.cfg.Arena, Clock: p.cfg.Clock}
	dir, err := openDir(o, "anchor")
	if err != nil {
		return cfg, err
	}
	cfg.Dir = dir
	cfg.Device, err = p.device(o)
	return cfg, err
}

// askWitnesses considers what the log witnesses so far know, and has them confirm what is left.
func (p *remains) askWitnesses(ctx context.Context, o Options, a Reanchor) error {
	set, err := p.left.Witnesses()
	if err != nil || set.Len() == 0 {
		return err
	}
	if a.Socket == "" {
		p.found("no log witness was asked: nothing carries messages to them")
		return nil
	}
	w, err := witness.Open(witness.Config{Local: p.local, Witnesses: set, Relay: p.relay, Log: o.Log})
	if err != nil {
		return err
	}
	binding, err := p.left.Binding()
	if err == nil {
		w.Bind(binding)
		var s witness.Survey
		s, err = w.Ask(ctx, p.left.Head(), cmp.Or(a.Patience, surveyTime))
		p.hear(ctx, s)
	}
	return errors.Join(err, w.Close())
}

// hear takes what log witnesses said.
func (p *remains) hear(ctx context.Context, s witness.Survey) {
	p.confirmed = s.Confirmed
	for _, h := range s.Heard {
		switch c, err := p.left.Consider(ctx, h.Latest, "log witness "+h.Name); {
		case h.Cosigned:
			p.found(fmt.Sprintf("log witness %s confirms the %d entries that are left", h.Name, p.left.Head().Size))
		case err == nil:
			p.found(fmt.Sprintf("log witness %s proves that the log had %d entries", h.Name, c.Size))
		default:
			p.found(fmt.Sprintf("log witness %s: %s", h.Name, h.Said))
		}
	}
}
