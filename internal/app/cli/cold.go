// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"strongroom/internal/app/coldtalk"
	"strongroom/internal/app/words"
	"strongroom/internal/secret"
)

// coldCmd is about cold wallets: offline domains, and what is carried to them and back.
type coldCmd struct {
	coldOnline
	coldMachine
	coldCarry
}

// coldMachine is done on the machine of an offline domain, which has no network.
type coldMachine struct {
	Create  coldCreate  `cmd:"" help:"Make an offline domain on a machine without network, and write its first entry for the request that adds it."`
	Sign    coldSign    `cmd:"" help:"Take a bundle in, do what it brings, have two operators confirm, sign, and write the result."`
	Status  coldStatus  `cmd:"" help:"How an offline domain stands: what it has imported, which wallets it holds."`
	Backup  coldBackup  `cmd:"" help:"Add to a backup of an offline domain: before each result is carried away."`
	Restore coldRestore `cmd:"" help:"Make the offline domain of a backup, in a folder that has its root of trust."`
	Zeroize coldZeroize `cmd:"" help:"DESTROY the working key of an offline domain at once. Custodians can bring it back."`
}

// runCold has strongroom-core do a command of an offline domain, and reads its report.
func (e *env) runCold(c coreFlags, pass secret.Bytes, report any, command string, more ...string) error {
	args := append([]string{"cold", command}, c.args("", more...)[1:]...)
	out, err := e.runCore(pass, args...)
	if err != nil || report == nil {
		return err
	}
	if err := json.Unmarshal([]byte(out), report); err != nil {
		return fmt.Errorf("%s cold %s: %w", coreProgram, command, err)
	}
	return nil
}

type coldCreate struct {
	coreFlags
	Name      string `required:"" placeholder:"NAME" help:"What people call it: small letters, digits and hyphens."`
	Authority string `required:"" placeholder:"HEX" help:"Id of the authority that it follows, for ever; 'strongroom domain show' prints it. Compare it with what the first persons wrote down."`
	Profile   string `enum:"evaluation,production" default:"evaluation" help:"evaluation or production, as the authority's."`
	Out       string `required:"" placeholder:"FILE" help:"Where the domain's first entry is written. It is public."`
	Yes       bool   `short:"y" help:"Do not ask whether this machine's clock is right."`
}

// coldCreated is what strongroom-core says.
type coldCreated struct {
	Domain    string `json:"domain"`
	Name      string `json:"name"`
	Authority string `json:"authority"`
	Genesis   string `json:"genesis"`
}

// Run makes the domain.
func (c *coldCreate) Run(e *env) error {
	if err := e.confirm(c.Yes, fmt.Sprintf("It is %s by this machine's clock. The domain never goes back before this time: if it is ahead, no bundle will ever be taken. Does a watch agree?", words.Time(time.Now()))); err != nil {
		return err
	}
	pass, err := c.passphrase(e, true)
	if err != nil {
		return err
	}
	defer pass.Wipe()
	var r coldCreated
	if err := e.runCold(c.coreFlags, pass, &r, "create", "--name", c.Name, "--authority", c.Authority, "--profile", c.Profile, "--out", c.Out); err != nil {
		return err
	}
	e.hint("carry %s to the online domain, and add it there: 'strongroom cold add %s'; compare the id %s on both machines", c.Out, filepath.Base(c.Out), r.Domain)
	return e.show(r, func() error {
		return e.pairs([]pair{{"offline domain", r.Domain}, {"name", r.Name}, {"authority", r.Authority}, {"first entry", r.Genesis}})
	})
}

type coldSign struct {
	coreFlags
	Bundle string `arg:"" help:"File of the bundle."`
	Out    string `required:"" placeholder:"FILE" help:"Where the result is written."`
	operators
	Leave      []uint64 `placeholder:"ENTRY" help:"Do not sign the permit of this entry; the online domain is told so."`
	BackupTo   string   `name:"backup" placeholder:"FOLDER" help:"Add to the backup in this folder, before the result is written."`
	Reanchored uint64   `placeholder:"N" help:"Take it without asking that the authority's log was re-anchored, as incarnation N and no other."`
	Yes        bool     `short:"y" help:"Do not ask before signing. A re-anchoring is asked about all the same."`
}

// Run signs.
func (c *coldSign) Run(e *env) error {
	if err := c.two(); err != nil {
		return err
	}
	pass, err := c.passphrase(e, false)
	if err != nil {
		return err
	}
	defer pass.Wipe()
	r, err := c.sign(e, pass)
	if err != nil {
		return err
	}
	r.Result = c.Out
	return e.show(r, func() error { return e.pairs(r.pairs()) })
}

// sign runs the core, which shows on standard error what it is asked for, and answers its questions through two pipes.
func (c *coldSign) sign(e *env, pass secret.Bytes) (r coldReport, err error) {
	more := []string{"--bundle", c.Bundle, "--out", c.Out}
	if c.BackupTo != "" {
		more = append(more, "--to", c.BackupTo)
	}
	args := append([]string{"cold", "sign"}, c.args("", more...)[1:]...)
	out, err := e.runTalking(pass, true, func(q coldtalk.Question) (coldtalk.Reply, error) { return c.answer(e, q) }, args...)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(out, &r); err != nil {
		return r, fmt.Errorf("%s cold sign: %w", coreProgram, err)
	}
	return r, nil
}

// answer answers a question of the core: which of the permits that it has shown are wanted, the operators' signatures, or whether the authority's
// log was re-anchored as it has shown.
func (c *coldSign) answer(e *env, q coldtalk.Question) (out coldtalk.Reply, err error) {
	if q.Incarnation > 0 {
		return coldtalk.Reply{Agreed: q.Incarnation}, c.agree(e, q.Incarnation)
	}
	if len(c.Operator) == 0 {
		return coldtalk.Reply{Nobody: true}, nil
	}
	if len(q.Statement) == 0 {
		for _, p := range q.Permits {
			if !slices.Contains(c.Leave, p) {
				out.Permits = append(out.Permits, p)
			}
		}
		if len(out.Permits) == 0 {
			return out, nil
		}
		return out, e.confirm(c.Yes, fmt.Sprintf("Sign %d of them (%s)? Compare with what was asked for, and the time with a watch.", len(out.Permits), entries(out.Permits)))
	}
	out.Signatures, err = c.confirm(e, q.Statement)
	return out, err
}

// agree has the operators type which incarnation of the authority's log they take; a program names it beforehand.
func (c *coldSign) agree(e *env, incarnation uint64) error {
	if c.Reanchored == incarnation {
		return nil
	}
	if c.Reanchored > 0 {
		return fmt.Errorf("the authority's log was re-anchored as incarnation %d; --reanchored names %d", incarnation, c.Reanchored)
	}
	unattended := fmt.Sprintf("a program gives --reanchored %d", incarnation)
	err := e.confirmWord(strconv.FormatUint(incarnation, 10), "Follow the authority's log as it goes on in this incarnation? Compare with what the people named above say.", unattended)
	if err != nil {
		return fmt.Errorf("%w; %s", err, unattended) // it crosses to the core as text, without a hint
	}
	return nil
}

func entries(list []uint64) string {
	out := make([]string, len(list))
	for i, n := range list {
		out[i] = strconv.FormatUint(n, 10)
	}
	return strings.Join(out, ", ")
}

type coldBackup struct {
	coreFlags
	To string `required:"" placeholder:"FOLDER" help:"Folder of the backup, best on another disk. It is made if it is not there. Anybody may hold it: packs are sealed."`
}

// coldBackedUp is what strongroom-core says.
type coldBackedUp struct {
	Domain   string `json:"domain"`
	Manifest string `json:"manifest"`
	Entries  uint64 `json:"entries"`
	Copies   bool   `json:"sealedCopies"`
}

// Run backs up.
func (c *coldBackup) Run(e *env) error {
	pass, err := c.passphrase(e, false)
	if err != nil {
		return err
	}
	defer pass.Wipe()
	var r coldBackedUp
	if err := e.runCold(c.coreFlags, pass, &r, "backup", "--to", c.To); err != nil {
		return err
	}
	if !r.Copies {
		e.hint("nothing is sealed to custodians: this backup needs the domain's own root of trust; keep a copy of that too, or lose the seeds with it")
	}
	return e.show(r, func() error {
		return e.pairs([]pair{{"offline domain", r.Domain}, {"manifest", filepath.Join(c.To, r.Manifest)}, {"entries", strconv.FormatUint(r.Entries, 10)}})
	})
}

type coldZeroize struct {
	coreFlags
	Cause string `default:"strongroom cold zeroize" placeholder:"TEXT" help:"What is recorded as the cause."`
	Yes   bool   `short:"y" help:"Do not ask."`
}

// Run destroys the working key.
func (c *coldZeroize) Run(e *env) error {
	if _, err := os.Stat(filepath.Join(c.Data, "log")); err != nil {
		return fmt.Errorf("%s is not the folder of an offline domain: %w", c.Data, err)
	}
	if err := e.confirm(c.Yes, fmt.Sprintf("This DESTROYS the working key of the offline domain in %s. No seed in it opens until custodians restore it. Go on?", c.Data)); err != nil {
		return err
	}
	pass, err := c.passphrase(e, false)
	if err != nil {
		return err
	}
	defer pass.Wipe()
	if err := e.runCold(c.coreFlags, pass, nil, "zeroize", "--cause", c.Cause); err != nil {
		return err
	}
	e.say("The working key is destroyed.")
	return nil
}
