// SPDX-License-Identifier: Apache-2.0

// Package ritual leads through a key ceremony: it goes through the steps of a script, asks the people whose turn it is, has the core do its part,
// and keeps the transcript. Who the people are it does not know: [Hands] are a dialogue at a terminal, or files for an exercise.
//
// Every record is durable before the next step begins, so a ceremony that was interrupted goes on. What only a process had in memory is lost with
// it: then the transcript goes back to before that, and a witness notes so. It refuses to go on where a folder holds another script, and what the
// core says does not fit.
//
// Secrets are in its arena only: dice until they are mixed, a custodian's share while it is checked or handed in.
package ritual

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"strongroom/internal/core/durable"
	"strongroom/internal/edge/keyfile"
	"strongroom/internal/gate"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/ceremony"
	"strongroom/internal/secret"

	custodian "strongroom/internal/core/ceremony"
)

// Hands are the people of a ceremony. Every method says what is asked of whom, and waits. After its context has ended it returns an error.
type Hands interface {
	// Begin tells that a step begins, number n of so many.
	Begin(step ceremony.Step, n, of int)
	// Compare has somebody compare a hash with what they have from elsewhere.
	Compare(ctx context.Context, name, what string, hash [32]byte) error
	// Program gives the SHA-256 of strongroom-core as somebody computed it elsewhere.
	Program(ctx context.Context, name string) ([32]byte, error)
	// Signer gives somebody's key; nil: they sign on a machine of their own. It stays the callee's.
	Signer(ctx context.Context, p ceremony.Participant) (*keyfile.Key, error)
	// Dice gives what somebody rolled: digits 1 to 6.
	Dice(ctx context.Context, a *secret.Arena, name string, rolls int) (secret.Bytes, error)
	// Opener gives the key that opens a custodian's share; not ok: they open it on a machine of their own.
	Opener(ctx context.Context, a *secret.Arena, name string) (o custodian.Opener, ok bool, err error)
	// Share gives the share that a custodian brings, opened; nil: they seal it to the core on a machine of their own.
	Share(ctx context.Context, a *secret.Arena, name string) (*custodian.Opened, error)
	// Stored says where a custodian's share went.
	Stored(ctx context.Context, p ceremony.Participant) (ceremony.Stored, error)
	// Await waits until somebody has brought a file; command is what they run on their machine.
	Await(ctx context.Context, name, command, path string) error
}

// Core is a core that runs the ceremony.
type Core interface {
	gate.Door
	Close() error
}

// Config says how a ceremony runs. Everything but Resume is required.
type Config struct {
	Script  ceremony.Script
	Dir     string // for the transcript, and for everything that people take with them
	Resume  bool   // go on with what Dir has
	Arena   *secret.Arena
	Hands   Hands
	Start   func(ctx context.Context) (Core, error) // starts the core
	Program [32]byte                                // SHA-256 of strongroom-core on this machine
	Build   string                                  // what it says of itself
	Now     func() int64                            // Unix nanoseconds
	Say     func(format string, args ...any)
}

// Names of files in the folder of a ceremony.
const (
	TranscriptFile = "transcript.cbor"
	ScriptFile     = "script.cbor"
	GenesisFile    = "genesis.cbor"
	RecordFile     = "recovery.cbor"
	ReceiptsFile   = "receipts.cbor"
	IdentityFile   = "identity.sealed"
	WorkingKeyFile = "dwk-1.sealed"
	ImporterFile   = "importer.cbor"
	SharesDir      = "shares"
	ToSignDir      = "to-sign"
	SignedDir      = "signed"
	PartsDir       = "parts"
)

// errLost says that what a process had in memory is gone.
var errLost = errors.New("what the core had in memory is lost")

// run is a ceremony under way. It is for one goroutine.
type run struct {
	Config
	t        ceremony.Transcript
	core     Core
	openings map[string]secret.Bytes // by source
}

// Run goes through a ceremony to its end, and gives the signed transcript.
func Run(ctx context.Context, cfg Config) (t ceremony.Transcript, err error) {
	r := &run{Config: cfg, openings: map[string]secret.Bytes{}}
	defer func() {
		for _, o := range r.openings {
			o.Wipe()
		}
		err = errors.Join(err, r.stop())
	}()
	if err := r.begin(); err != nil {
		return r.t, err
	}
	if len(r.t.Closings) > 0 {
		return r.t, nil
	}
	if err := r.recall(ctx); err != nil {
		return r.t, err
	}
	for {
		if err := ctx.Err(); err != nil {
			return r.t, fmt.Errorf("interrupted: %w", err)
		}
		step, more := r.t.Next()
		if !more {
			break
		}
		r.Hands.Begin(step, r.done()+1, len(r.Script.Steps()))
		err := r.step(ctx, step)
		if errors.Is(err, errLost) {
			err = r.goBack(ctx)
		}
		if err != nil {
			return r.t, err
		}
	}
	return r.t, r.close(ctx)
}

// begin opens the transcript, or takes up the one that is there.
func (r *run) begin() error {
	if err := r.Script.Check(); err != nil {
		return err
	}
	for _, dir := range []string{"", SharesDir, ToSignDir, SignedDir, PartsDir} {
		if err := os.MkdirAll(filepath.Join(r.Dir, dir), 0o700); err != nil {
			return err
		}
	}
	b, err := os.ReadFile(r.path(TranscriptFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if r.t, err = ceremony.Open(r.Script); err != nil {
			return err
		}
		if err := r.write(ScriptFile, r.Script.Encode()); err != nil {
			return err
		}
		return r.save()
	case err != nil:
		return err
	case !r.Resume:
		return fmt.Errorf("%s holds a ceremony that has begun; --resume goes on with it", r.Dir)
	}
	if r.t, err = ceremony.Decode(b); err != nil {
		return err
	}
	if r.t.Script.Hash() != r.Script.Hash() {
		return fmt.Errorf("%s holds a ceremony by another script (%s)", r.Dir, r.t.Script.ID)
	}
	return nil
}

func (r *run) path(name string) string { return filepath.Join(r.Dir, name) }

// write keeps a file, durably.
func (r *run) write(name string, b []byte) error {
	return durable.Replace(durable.OS(), r.path(name), b)
}

func (r *run) save() error { return r.write(TranscriptFile, r.t.Encode()) }

// done counts the steps that were done.
func (r *run) done() int {
	n := 0
	for _, rec := range r.t.Records {
		if rec.Kind != ceremony.StepNote {
			n++
		}
	}
	return n
}

// running gives the core, started if it does not run.
func (r *run) running(ctx context.Context) (Core, error) {
	if r.core == nil {
		c, err := r.Start(ctx)
		if err != nil {
			return nil, err
		}
		r.core = c
	}
	return r.core, nil
}

func (r *run) stop() error {
	if r.core == nil {
		return nil
	}
	c := r.core
	r.core = nil
	return c.Close()
}

// volatile says whether a step needs what a step before left in a process's memory.
func (r *run) volatile(k ceremony.StepKind) bool {
	return k == ceremony.StepDice || k == ceremony.StepMix || k == ceremony.StepMake || k == ceremony.StepPart || k == ceremony.StepCombine
}

// recall looks, when a ceremony goes on, whether something was lost in between. What was made is asked for again: the core kept it.
func (r *run) recall(ctx context.Context) error {
	step, more := r.t.Next()
	if !more || !r.volatile(step.Kind) || step.Kind == ceremony.StepMake {
		return nil
	}
	return r.goBack(ctx)
}

// goBack takes the transcript back to before the core began to have something in memory. What is given up is kept beside, and the first witness
// notes it.
func (r *run) goBack(ctx context.Context) error {
	if err := r.stop(); err != nil {
		r.Say("The core: %v", err)
	}
	for name, o := range r.openings {
		o.Wipe()
		delete(r.openings, name)
	}
	first := 0
	for first < len(r.t.Records) && r.t.Records[first].Kind != ceremony.StepCommit && r.t.Records[first].Kind != ceremony.StepImport {
		first++
	}
	if first == len(r.t.Records) {
		return nil
	}
	old := r.t
	head := old.Head()
	if err := r.write(fmt.Sprintf("given-up-%x.cbor", head[:4]), old.Encode()); err != nil {
		return err
	}
	r.t.Records = r.t.Records[:first:first]
	text := fmt.Sprintf("interrupted: %d records after record %d were given up, the last with hash %x; the core begins again", len(old.Records)-first, first-1, head)
	r.Say("The ceremony was interrupted, and what the core had in memory is gone: nothing secret is left, and nothing was made. It goes back to step %d.", r.done()+1)
	witness := r.Script.Of(ceremony.Witness)[0]
	return r.record(ctx, ceremony.Step{Kind: ceremony.StepNote, Actor: witness.Name}, ceremony.Note{Text: text})
}

// record adds a record, signed by its actor, and keeps the transcript.
func (r *run) record(ctx context.Context, s ceremony.Step, body any) error {
	rec := r.t.Draft(s, r.Now(), body)
	if s.Actor != ceremony.CoreActor {
		p, _ := r.Script.Participant(s.Actor)
		var err error
		if rec, err = r.signed(ctx, p, rec); err != nil {
			return err
		}
	}
	if err := r.t.Add(rec); err != nil {
		return err
	}
	return r.save()
}

// step does one step.
func (r *run) step(ctx context.Context, s ceremony.Step) error {
	var body any
	var err error
	switch s.Kind {
	case ceremony.StepOpen:
		body = ceremony.Opening{Script: r.Script.Hash(), Program: r.Program, Build: r.Build}
		err = r.Hands.Compare(ctx, s.Actor, "the script", r.Script.Hash())
	case ceremony.StepAttend:
		body = ceremony.Attend{Script: r.Script.Hash()}
		err = r.Hands.Compare(ctx, s.Actor, "the script", r.Script.Hash())
	case ceremony.StepProgram:
		var p ceremony.Program
		if p.Hash, err = r.Hands.Program(ctx, s.Actor); err == nil && p.Hash != r.Program {
			err = fmt.Errorf("%s computed %x for strongroom-core; on this machine it is %x. Stop, and find out why", s.Actor, p.Hash, r.Program)
		}
		body = p
	case ceremony.StepDice:
		body, err = r.dice(ctx, s)
	case ceremony.StepReceipt:
		return r.receipt(ctx, s)
	case ceremony.StepStore:
		p, _ := r.Script.Participant(s.Actor)
		body, err = r.Hands.Stored(ctx, p)
	case ceremony.StepPart:
		body, err = r.part(ctx, s)
	default:
		body, err = r.coreStep(ctx, s)
	}
	if err != nil {
		return err
	}
	return r.record(ctx, s, body)
}

// dice commits to what somebody rolled. The opening is kept until all is mixed.
func (r *run) dice(ctx context.Context, s ceremony.Step) (ceremony.Commit, error) {
	var out ceremony.Commit
	rolls, err := r.Hands.Dice(ctx, r.Arena, s.Actor, int(r.Script.Entropy.Rolls))
	if err != nil {
		return out, err
	}
	defer rolls.Wipe()
	err = rolls.Use(func(b []byte) error {
		if len(b) != int(r.Script.Entropy.Rolls) {
			return fmt.Errorf("%s gave %d rolls; the script asks for %d", s.Actor, len(b), r.Script.Entropy.Rolls)
		}
		return custodian.CheckRolls(b)
	})
	if err != nil {
		return out, err
	}
	name := ceremony.DiceSource(s.Actor)
	opening, c, err := custodian.NewOpening(r.Arena, r.Script.Hash(), name, rolls)
	if err != nil {
		return out, err
	}
	r.openings[name] = opening
	out.List = []ceremony.Commitment{{Source: name, Hash: c.Hash[:]}}
	return out, nil
}

// close collects the closing signatures.
func (r *run) close(ctx context.Context) error {
	if err := r.stop(); err != nil { // nothing secret is needed any more
		return err
	}
	var list []ceremony.Closing
	for _, p := range r.Script.Participants {
		c, err := r.closing(ctx, p)
		if err != nil {
			return err
		}
		list = append(list, c)
	}
	if err := r.t.Close(list); err != nil {
		return err
	}
	if err := r.receipts(); err != nil {
		return err
	}
	return r.save()
}

// receipts writes the custodians' receipts as the log takes them when custodians change.
func (r *run) receipts() error {
	list := Receipts(r.t)
	if len(list) == 0 {
		return nil
	}
	return r.write(ReceiptsFile, canon.Encode(list))
}

// Sum gives the SHA-256 of a file.
func Sum(path string) ([32]byte, error) {
	b, err := os.ReadFile(path)
	return sha256.Sum256(b), err
}
