// SPDX-License-Identifier: Apache-2.0

package coreapp

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"strongroom/internal/core/ceremony"
	"strongroom/internal/core/entropy"
	"strongroom/internal/core/hsm"
	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	script "strongroom/internal/pure/ceremony"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/share"
)

// CeremonyFiles are the files that a ceremony takes besides its script; which ones follows from the script's purpose.
type CeremonyFiles struct {
	Script     string // canonical encoding
	Document   string // create: first rule document, canonical encoding
	Record     string // all others: recovery record in force, canonical encoding
	Identity   string // restore: the identity, sealed for recovery
	WorkingKey string // restore: the working key, sealed for recovery
	Epoch      uint64 // restore: of the working key; 0 is 1
}

// Ceremony does the core's part of a key ceremony behind a door on a Unix socket, until ctx ends. Its door has the methods of ceremonies and
// no other. It keeps no transcript: each call brings the one so far, which must be sound, follow the script that the core was started with, have
// the called step next, and have in it what the core itself has said before.
//
// Until it makes something its folder has an empty root of trust, if the ceremony fills one, and no secret. What it makes is durable before it
// answers, and given again when it is asked again.
func Ceremony(ctx context.Context, o Options, f CeremonyFiles, socket string, uids []uint32, ready func()) error {
	r, err := newRite(ctx, o, f)
	if err != nil {
		return err
	}
	err = r.serve(ctx, socket, uids, ready)
	r.end()
	return errors.Join(err, r.p.close())
}

// rite is the core's side of one ceremony.
type rite struct {
	script   script.Script
	document []byte
	record   request.Recovery // in force; of a script that does not create
	files    CeremonyFiles
	o        Options
	p        *parts

	mu    sync.Mutex // guards what follows; one call at a time
	draw  *ceremony.Draw
	mixed bool
	salt  [32]byte // head of the transcript before mixing
	load  *ceremony.Load
	parts map[string]script.Part // handed in, by custodian
	said  []saying
}

// saying is a step of the core, as it must stand in every later transcript.
type saying struct {
	prev [32]byte // the head that it was asked for at
	kind script.StepKind
	body []byte
}

func newRite(ctx context.Context, o Options, f CeremonyFiles) (*rite, error) {
	r := &rite{files: f, parts: map[string]script.Part{}}
	b, err := os.ReadFile(f.Script)
	if err != nil {
		return nil, fmt.Errorf("read the script: %w", err)
	}
	if err := canon.Decode(b, &r.script); err != nil {
		return nil, fmt.Errorf("script: %w", err)
	}
	if err := r.script.Check(); err != nil {
		return nil, err
	}
	if err := r.readInput(); err != nil {
		return nil, err
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	if r.script.Purpose == script.Create {
		o.Anchor = cmp.Or(o.Anchor, r.script.Anchor)
		if _, err := o.anchorKind(); err != nil {
			return nil, err
		}
	}
	if r.fills() && o.Root != r.script.Root || r.script.Purpose == script.Create && o.Anchor != r.script.Anchor {
		return nil, fmt.Errorf("the script has root %q and anchor %q, this core was started with %q and %q", r.script.Root, r.script.Anchor, o.Root, o.Anchor)
	}
	r.o = o
	if r.script.Purpose == script.Create {
		r.p, err = build(ctx, o, true)
	} else {
		r.p, err = r.buildSmall(ctx, o)
	}
	if err != nil {
		return nil, err
	}
	if err := errors.Join(refuseUnlocked(r.script.Profile, r.p.lockErr), r.checkSources()); err != nil {
		return nil, errors.Join(err, r.p.close())
	}
	return r, nil
}

// fills says whether the ceremony fills a root of trust.
func (r *rite) fills() bool { return r.script.Root != "" }

// buildSmall opens what a ceremony needs that makes no domain: locked memory, self-tests, sources, and a root where one is filled.
func (r *rite) buildSmall(ctx context.Context, o Options) (*parts, error) {
	p := &parts{}
	fill := func() error {
		a, lockErr, err := arena(o)
		if err != nil {
			return err
		}
		p.lockErr, p.cfg.Arena = lockErr, a
		p.closers = append(p.closers, a.Close)
		if p.health, err = newAssurance(ctx, a, o.FailSelfTest); err != nil {
			return err
		}
		if _, err := folder(o, ""); err != nil {
			return err
		}
		if r.fills() {
			if p.cfg.Root, err = p.openRoot(ctx, o, a, true); err != nil {
				return err
			}
		}
		_, err = p.health.open(ctx, a, p.cfg.Root, o.Log)
		return err
	}
	if err := fill(); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// readInput reads what the script names by its hash.
func (r *rite) readInput() error {
	if r.script.Purpose == script.Create {
		b, err := os.ReadFile(r.files.Document)
		if err != nil {
			return fmt.Errorf("read the rule document: %w", err)
		}
		d, err := policy.DecodeDocument(b)
		if err != nil {
			return fmt.Errorf("rule document: %w", err)
		}
		if h := d.Hash(); !bytes.Equal(h[:], r.script.Document) {
			return fmt.Errorf("the rule document has hash %x, the script names %x: take the document that was reviewed, or write a new script", h, []byte(r.script.Document))
		}
		r.document = b
		_, err = authority.LogWitnesses(&entry.Genesis{Anchor: r.script.Anchor, Witnesses: r.logWitnesses(), Quorum: uint64(r.script.Quorum)})
		return errors.Join(d.Check(r.script.Profile), err)
	}
	b, err := os.ReadFile(r.files.Record)
	if err != nil {
		return fmt.Errorf("read the recovery record: %w", err)
	}
	if err := canon.Decode(b, &r.record); err != nil {
		return fmt.Errorf("recovery record: %w", err)
	}
	if h := r.record.Hash(); !bytes.Equal(h[:], r.script.Record) {
		return fmt.Errorf("the recovery record has hash %x, the script names %x: custodians changed since, or this is another domain's", h, []byte(r.script.Record))
	}
	if m := r.record.Threshold; r.script.Purpose != script.Refresh && m != r.script.Threshold || len(r.script.Bringers()) < int(m) {
		return fmt.Errorf("the domain's master secret needs %d shares; the script has threshold %d and %d custodians who bring one", m, r.script.Threshold, len(r.script.Bringers()))
	}
	return nil
}

// logWitnesses are those of the new domain.
func (r *rite) logWitnesses() (out []entry.LogWitness) {
	for _, w := range r.script.Witnesses {
		out = append(out, entry.LogWitness{Name: w.Name, Key: w.Key})
	}
	return out
}

// sources are the machine's, in the order in which a script commits to them.
func (r *rite) sources() []ceremony.Source {
	list := []ceremony.Source{entropy.System()}
	for _, name := range r.script.Entropy.Sources {
		switch name {
		case "hwrng":
			list = append(list, entropy.Device("hwrng", entropy.HardwareDevice))
		case "rdseed":
			list = append(list, entropy.RDSEED())
		case "root":
			if from, ok := r.p.cfg.Root.(hsm.Randomness); ok {
				list = append(list, entropy.Root(from))
			}
		}
	}
	return list
}

// checkSources refuses a script whose sources this machine does not have, or whose start-up tests failed.
func (r *rite) checkSources() error {
	used := map[string]error{}
	for _, s := range r.p.health.entropy.Status() {
		used[s.Name] = s.Err
	}
	for _, name := range append([]string{script.SystemSource}, r.script.Entropy.Sources...) {
		if err, ok := used[name]; err != nil || !ok {
			return fmt.Errorf("the script takes randomness from %s, which this machine or root does not give: %w", name, errors.Join(err, entropy.ErrAbsent))
		}
	}
	return nil
}

// expect is the sharing in force.
func (r *rite) expect() (ceremony.Expect, error) {
	c, err := share.Parse(share.Scheme{Threshold: uint8(r.record.Threshold), Shares: uint8(r.record.Shares)}, r.record.Commitments)
	if err != nil {
		return ceremony.Expect{}, err
	}
	return ceremony.Expect{Sharing: c.Hash(), Recovery: sha256.Sum256(r.record.Public)}, nil
}

// end wipes what is still in memory.
func (r *rite) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.draw != nil {
		r.draw.Close()
	}
	if r.load != nil {
		r.load.Close()
	}
}

// serve opens the door.
func (r *rite) serve(ctx context.Context, socket string, uids []uint32, ready func()) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ln, err := gate.Listen(socket)
	if err != nil {
		return err
	}
	mux := gate.NewMux()
	gate.Handle(mux, message.MethodCeremonyCommit, r.commit)
	gate.Handle(mux, message.MethodCeremonyMix, r.mix)
	gate.Handle(mux, message.MethodCeremonyMake, r.make)
	gate.Handle(mux, message.MethodCeremonyImport, r.importKey)
	gate.Handle(mux, message.MethodCeremonyPart, r.part)
	gate.Handle(mux, message.MethodCeremonyCombine, r.combine)
	if len(uids) == 0 {
		uids = []uint32{uint32(os.Geteuid())}
	}
	srv, err := gate.NewServer(gate.Config{Handle: mux.Dispatch, AllowedUIDs: uids, Log: r.o.Log, OnPanic: func(i gate.Incident) {
		cancel(fmt.Errorf("a handler panicked (incident %s): the core ends", i))
	}})
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	if ready != nil {
		ready()
	}
	err = srv.Serve(ctx, ln)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return errors.Join(cause, err)
	}
	return err
}

// read checks a transcript and that a step of a kind comes next. The caller holds mu.
func (r *rite) read(b []byte, kind script.StepKind) (script.Transcript, script.Step, error) {
	t, err := script.Decode(b)
	if err != nil {
		return t, script.Step{}, problem.New(problem.Malformed, "%v", err)
	}
	if t.Script.Hash() != r.script.Hash() {
		return t, script.Step{}, problem.New(problem.Conflict, "the transcript follows another script than the core was started with")
	}
	if err := r.health(); err != nil {
		return t, script.Step{}, err
	}
	for _, s := range r.said {
		found := false
		for _, rec := range t.Records {
			found = found || rec.Kind == s.kind && rec.Prev == s.prev && bytes.Equal(rec.Body, s.body)
		}
		if !found {
			return t, script.Step{}, problem.New(problem.Conflict, "the transcript has not what the core said at step %s, or not in its place", s.kind)
		}
	}
	next, more := t.Next()
	if !more || next.Kind != kind {
		return t, next, problem.New(problem.Conflict, "step %s comes next in the transcript, not %s", next.ID(), kind)
	}
	return t, next, nil
}

// health refuses to go on once a self-test or a source of randomness has failed.
func (r *rite) health() error {
	if err := r.p.health.latch.Err(); err != nil {
		return problem.New(problem.Conflict, "%v", err)
	}
	return nil
}

// say remembers a step of the core.
func (r *rite) say(t script.Transcript, kind script.StepKind, body any) {
	r.said = append(r.said, saying{prev: t.Head(), kind: kind, body: canon.Encode(body)})
}

// madePattern are the files of what ceremonies have made in a folder.
const madePattern = "ceremony-made-*.cbor"

// made is the file of what this one made.
func (r *rite) made() string {
	h := r.script.Hash()
	return filepath.Join(r.o.Data, strings.Replace(madePattern, "*", hex.EncodeToString(h[:8]), 1))
}
