// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"strongroom/internal/app/ceremonyfile"
	"strongroom/internal/app/ritual"
	"strongroom/internal/app/verifyapp"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/ceremony"
	"strongroom/internal/pure/policy"
	"strongroom/internal/secret"
)

// ceremonyCmd is about key ceremonies.
type ceremonyCmd struct {
	Plan    ceremonyPlan    `cmd:"" help:"Check a script, and write it as a check list to print."`
	Run     ceremonyRun     `cmd:"" help:"Lead through a ceremony, step by step."`
	Sign    ceremonySign    `cmd:"" help:"Sign a step, or the whole at the end, on a machine of your own."`
	Verify  ceremonyVerify  `cmd:"" help:"Check the transcript of a ceremony, offline."`
	Drill   ceremonyDrill   `cmd:"" help:"Lead through a drill: custodians show that their shares give the master secret."`
	Restore ceremonyRestore `cmd:"" help:"Lead through a restore: custodians bring a domain's keys back into a root of trust."`
}

// readScript reads a script, as people write it or in its canonical encoding.
func readScript(path string) (ceremony.Script, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return ceremony.Script{}, err
	}
	var s ceremony.Script
	if canon.Decode(b, &s) == nil {
		return s, s.Check()
	}
	if s, err = ceremonyfile.Parse(b); err != nil {
		return s, hint(fmt.Errorf("%s: %w", path, err), "docs/spec/ceremony.md explains every key; examples/ceremony has scripts to start from")
	}
	return s, nil
}

type ceremonyPlan struct {
	File string `arg:"" help:"The script (YAML)."`
}

// Run writes the check list.
func (c *ceremonyPlan) Run(e *env) error {
	s, err := readScript(c.File)
	if err != nil {
		return err
	}
	h := s.Hash()
	return e.show(map[string]any{"hash": hex.EncodeToString(h[:]), "script": planOf(s)}, func() error {
		_, err := fmt.Fprint(e.Out, ceremonyfile.Plan(s))
		return err
	})
}

// planStep and plan are the check list in JSON.
type planStep struct {
	Number int    `json:"number"`
	Kind   string `json:"kind"`
	Actor  string `json:"actor"`
	Title  string `json:"title"`
}

type planPerson struct {
	Role   string   `json:"role"`
	Name   string   `json:"name"`
	Key    string   `json:"key"`
	Brings []string `json:"brings"`
}

type plan struct {
	ID           string       `json:"id"`
	Purpose      string       `json:"purpose"`
	Profile      string       `json:"profile"`
	Threshold    uint32       `json:"threshold"`
	Participants []planPerson `json:"participants"`
	Steps        []planStep   `json:"steps"`
}

func planOf(s ceremony.Script) plan {
	out := plan{ID: s.ID, Purpose: string(s.Purpose), Profile: string(s.Profile), Threshold: s.Threshold}
	for _, p := range s.Participants {
		out.Participants = append(out.Participants, planPerson{string(p.Role), p.Name, string(p.Key.Ref()), ceremonyfile.Brings(s, p)})
	}
	for i, x := range s.Steps() {
		out.Steps = append(out.Steps, planStep{i + 1, string(x.Kind), x.Actor, x.Title})
	}
	return out
}

// ceremonyFlags are those of every command that leads through a ceremony.
type ceremonyFlags struct {
	coreFlags
	Script         string `required:"" placeholder:"FILE" help:"The script (YAML) that was reviewed."`
	Dir            string `required:"" placeholder:"DIR" help:"New folder for the transcript and for what people take with them; nothing secret gets there."`
	Resume         bool   `help:"Go on with a ceremony that was interrupted."`
	Hands          string `placeholder:"DIR" help:"For a script that says unattended: keys, identities, dice and shares from files, by name."`
	Record         string `placeholder:"FILE" help:"Recovery record in force, as the ceremony that made the shares wrote it (recovery.cbor). Not for a new domain."`
	IdentityCopy   string `placeholder:"FILE" help:"Restore: the identity, sealed for recovery (identity.sealed)."`
	WorkingKeyCopy string `placeholder:"FILE" help:"Restore: the working key, sealed for recovery (dwk-1.sealed)."`
	Epoch          uint64 `default:"1" help:"Restore: epoch of that working key."`
}

type ceremonyRun struct {
	ceremonyFlags
	people
	Rules string `placeholder:"FILE" help:"Rule file of a new domain (YAML); people may stand in it by label."`
}

// Run leads through it.
func (c *ceremonyRun) Run(e *env) error {
	return c.lead(e, "", func(s ceremony.Script) ([]string, error) {
		if s.Purpose != ceremony.Create {
			return nil, nil
		}
		if c.Rules == "" {
			return nil, usage("--rules is required: the first rule document of the domain")
		}
		doc, err := c.document()
		if err != nil {
			return nil, err
		}
		if h := doc.Hash(); !bytes.Equal(h[:], s.Document) {
			return nil, hint(fmt.Errorf("%s gives the hash %x; the script names %x as its document", c.Rules, h, []byte(s.Document)),
				"if these are the rules that were reviewed, put this hash into the script, and have the script reviewed again")
		}
		draft := filepath.Join(c.Data, "rules.cbor")
		if err := os.MkdirAll(c.Data, 0o700); err != nil {
			return nil, err
		}
		return []string{"--document", draft}, replace(draft, doc.Encode(), 0o600)
	})
}

// document reads the first rule document: as people write it, or in its canonical encoding.
func (c *ceremonyRun) document() (policy.Document, error) {
	if b, err := os.ReadFile(c.Rules); err == nil {
		if d, err := policy.DecodeDocument(b); err == nil {
			return d, nil
		}
	}
	who, err := c.people.read()
	if err != nil {
		return policy.Document{}, err
	}
	return readRules(c.Rules, who)
}

type ceremonyDrill struct{ ceremonyFlags }

// Run leads through it.
func (c *ceremonyDrill) Run(e *env) error { return c.lead(e, ceremony.Drill, nil) }

type ceremonyRestore struct{ ceremonyFlags }

// Run leads through it.
func (c *ceremonyRestore) Run(e *env) error { return c.lead(e, ceremony.Restore, nil) }

// check refuses flags that do not fit the script.
func (c *ceremonyFlags) check(s ceremony.Script, want ceremony.Purpose) error {
	for _, x := range []struct {
		wrong bool
		text  string
	}{
		{want != "" && s.Purpose != want, fmt.Sprintf("the script is for %s, not %s", s.Purpose, want)},
		{s.Unattended != (c.Hands != ""), "--hands is for a script that says unattended: true, and needed there"},
		{s.Purpose != ceremony.Create && c.Record == "", "--record is required: the recovery record in force (recovery.cbor)"},
		{s.Purpose == ceremony.Restore && (c.IdentityCopy == "" || c.WorkingKeyCopy == ""), "--identity-copy and --working-key-copy are required: they lie beside every backup, and where the ceremony wrote them"},
		{s.Root != "" && s.Root != c.Root, fmt.Sprintf("the script has root %q; give --root %s", s.Root, s.Root)},
	} {
		if x.wrong {
			return usage("%s", x.text)
		}
	}
	return c.coreFlags.check()
}

// lead leads through a ceremony. prepare gives further arguments of the core.
func (c *ceremonyFlags) lead(e *env, want ceremony.Purpose, prepare func(ceremony.Script) ([]string, error)) error {
	s, err := readScript(c.Script)
	if err != nil {
		return err
	}
	if err := c.check(s, want); err != nil {
		return err
	}
	var args []string
	if prepare != nil {
		if args, err = prepare(s); err != nil {
			return err
		}
	}
	core, err := corePath()
	if err != nil {
		return err
	}
	program, err := ritual.Sum(core)
	if err != nil {
		return err
	}
	arena, err := secret.NewArena(secret.Config{Size: 1 << 20})
	if err != nil {
		return err
	}
	hands, done := c.hands(e, s, core, arena)
	starter := &ceremonyStarter{e: e, flags: c, script: s, more: args}
	t, err := ritual.Run(e.ctx, ritual.Config{Script: s, Dir: c.Dir, Resume: c.Resume, Arena: arena, Hands: hands, Start: starter.start, Program: program,
		Build: fmt.Sprintf("%s, %s %s/%s", verifyapp.Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH), Now: func() int64 { return time.Now().UnixNano() }, Say: e.say})
	done()
	starter.pass.Wipe()
	if err = errors.Join(err, arena.Close()); err != nil {
		return c.failed(err)
	}
	return c.finished(e, t)
}

// failed says how a ceremony goes on that did not come to its end.
func (c *ceremonyFlags) failed(err error) error {
	if _, e := os.Stat(filepath.Join(c.Dir, ritual.TranscriptFile)); e != nil || c.Resume && hintFor(err, "") != "" {
		return err
	}
	return hint(err, "every step so far is kept in %s: the same command with --resume goes on; to give the ceremony up, remove that folder and, for a new domain, %s", c.Dir, c.Data)
}

// hands gives who takes part: files, or people at the terminal.
func (c *ceremonyFlags) hands(e *env, s ceremony.Script, core string, a *secret.Arena) (ritual.Hands, func()) {
	if c.Hands != "" {
		f := &ritual.Folder{Dir: c.Hands, Core: core, Arena: a, Say: e.say}
		return f, f.Close
	}
	return newDialogue(e, s), func() {}
}

// finished says what was made, and what comes next.
func (c *ceremonyFlags) finished(e *env, t ceremony.Transcript) error {
	path := filepath.Join(c.Dir, ritual.TranscriptFile)
	head := t.Head()
	e.say("The ceremony is over. Its transcript is %s: everybody takes a copy.", path)
	switch t.Script.Purpose {
	case ceremony.Create:
		from, to := filepath.Join(c.Dir, ritual.GenesisFile), filepath.Join(c.Data, genesisName)
		if _, err := os.Stat(to); err != nil {
			b, err := os.ReadFile(from)
			if err != nil {
				return err
			}
			if err := replace(to, b, 0o600); err != nil {
				return err
			}
		}
		e.hint("each first person runs: strongroom domain sign %s --key THEIR.key; then: strongroom domain finish --data %s%s", arg(to), arg(c.Data), c.again())
	case ceremony.Restore:
		e.hint("next: strongroom domain restore-backup --from BACKUP --data %s%s, where log and blobs are gone; then start the core with the same flags; of a zeroized domain then: strongroom domain restore", arg(c.Data), c.again())
	case ceremony.Refresh:
		e.say("The new shares count once the domain knows them. Nobody destroys an old share before.")
		e.hint("next: strongroom domain rotate load --recovery %s; domain rotate commit --receipts %s; domain rotate activate; domain rotate finalize. Then the old shares are destroyed",
			filepath.Join(c.Dir, ritual.RecordFile), filepath.Join(c.Dir, ritual.ReceiptsFile))
	case ceremony.Drill:
		e.say("The shares give the master secret. Nothing was kept.")
	}
	hash := t.Script.Hash()
	out := map[string]any{"script": hex.EncodeToString(hash[:]), "transcript": path, "head": hex.EncodeToString(head[:]), "records": len(t.Records)}
	ps := []pair{{"script", ceremonyfile.Groups(hash)}, {"transcript", path}, {"last record", ceremonyfile.Groups(head)}, {"records", fmt.Sprint(len(t.Records))}}
	if _, made := t.Made(); made {
		r, err := readRecord(filepath.Join(c.Dir, ritual.RecordFile))
		if err != nil {
			return err
		}
		h := r.Hash()
		out["record"] = hex.EncodeToString(h[:])
		ps = append(ps, pair{"recovery record", ceremonyfile.Groups(h)})
	}
	return e.show(out, func() error { return e.pairs(ps) })
}

type ceremonySign struct {
	File string `arg:"" help:"What the administrator's machine wrote for you (in to-sign)."`
	Out  string `placeholder:"FILE" help:"Signed file, for the folder 'signed'; default: beside FILE, as NAME.signed."`
	Yes  bool   `short:"y" help:"Do not ask."`
}

// Run shows what is to be signed, and signs.
func (c *ceremonySign) Run(e *env) error {
	f, t, err := readToSign(e, c.File)
	if err != nil {
		return err
	}
	if f.Record != nil && f.Record.Kind == ceremony.StepReceipt {
		return hint(errors.New("this is a receipt: it is signed by who has opened the share"), "strongroom custodian receipt SHARE --record %s", c.File)
	}
	showToSign(e, f, t)
	if err := e.confirm(c.Yes, fmt.Sprintf("Sign this as %s?", f.Name)); err != nil {
		return err
	}
	k, err := e.signer()
	if err != nil {
		return err
	}
	s, err := ritual.Sign(f, t, k)
	if err != nil {
		return err
	}
	return writeSigned(e, c.File, c.Out, s)
}

func readToSign(e *env, path string) (ritual.ToSign, ceremony.Transcript, error) {
	b, err := e.readInput(path)
	if err != nil {
		return ritual.ToSign{}, ceremony.Transcript{}, err
	}
	f, t, err := ritual.DecodeToSign(b)
	if err != nil {
		return f, t, fmt.Errorf("%s: %w", path, err)
	}
	return f, t, nil
}

// showToSign says what somebody is about to sign.
func showToSign(e *env, f ritual.ToSign, t ceremony.Transcript) {
	e.say("Ceremony %s (%s). Hash of the script, to compare with page one:", t.Script.ID, t.Script.Purpose)
	e.say("  %s", ceremonyfile.Groups(t.Script.Hash()))
	if f.Record == nil {
		e.say("The whole transcript: %d records, the last with hash", len(t.Records))
		e.say("  %s", ceremonyfile.Groups(t.Head()))
		return
	}
	e.say("Record %d: %s by %s.", f.Record.Seq, f.Record.Kind, f.Record.Actor)
}

func writeSigned(e *env, from, out string, s ritual.Signed) error {
	if out == "" {
		out = from + ".signed"
	}
	if err := e.create(out, canon.Encode(s), 0o644); err != nil {
		return err
	}
	e.say("Signed: %s. On the administrator's machine it goes to the folder 'signed', as %s.", out, filepath.Base(from))
	return nil
}

type ceremonyVerify struct {
	Transcript string `arg:"" help:"The transcript."`
	Script     string `placeholder:"FILE" help:"The script that was reviewed (YAML)."`
	ScriptHash string `placeholder:"HASH" help:"Or its hash, as on page one."`
	Proof      string `placeholder:"FILE" help:"Any proof file of the domain: its genesis must be the one that was made."`
	LogKey     string `placeholder:"KEY" help:"Public log key, for the proof: hex, or domain.json."`
}

// Run checks it.
func (c *ceremonyVerify) Run(e *env) error {
	args := []string{"ceremony", c.Transcript}
	if c.Script != "" {
		s, err := readScript(c.Script)
		if err != nil {
			return err
		}
		h := s.Hash()
		c.ScriptHash = hex.EncodeToString(h[:])
	}
	for _, x := range [][2]string{{"--script-hash", c.ScriptHash}, {"--proof", c.Proof}, {"--log-key", c.LogKey}} {
		if x[1] != "" {
			args = append(args, x[0], x[1])
		}
	}
	return (&verifyCmd{Args: args}).Run(e)
}
