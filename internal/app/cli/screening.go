// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"strongroom/client"
	"strongroom/internal/app/words"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/verdict"
)

// screeningCmd is about how risky it is to pay somebody.
type screeningCmd struct {
	Keygen  feedKeygen       `cmd:"" help:"Make the key of a signer of verdicts, for screeningSources of the rule document."`
	Verdict screeningVerdict `cmd:"" help:"Sign a verdict on an address or a request; prints it for 'strongroom screening submit'."`
	Feed    screeningFeed    `cmd:"" help:"Sign verdicts from a file again and again, and hand them in."`
	Submit  screeningSubmit  `cmd:"" help:"Hand in signed verdicts, of whoever signed them."`
	Show    screeningShow    `cmd:"" help:"Show what sources of screening said, as serve tells it."`
}

// opinion is a verdict as people write it.
type opinion struct {
	Subject    string        `required:"" placeholder:"SUBJECT" help:"Who it is about: ethereum:0x…, bitcoin:bc1…, a chain in full with its address (eip155:1:0x…), or the hash of a request."`
	Risk       uint32        `required:"" placeholder:"N" help:"0 harmless to 100 the worst. Scales of providers point both ways: convert."`
	Categories []string      `placeholder:"CATEGORY" help:"What it has to do with, for instance mixer or sanctions."`
	Exposure   string        `default:"none" enum:"none,indirect,direct" placeholder:"EXPOSURE" help:"none, indirect or direct."`
	Status     string        `default:"accept" enum:"accept,wait,alert,reject,freeze" placeholder:"STATUS" help:"accept, wait, alert, reject or freeze."`
	Lives      time.Duration `default:"24h" placeholder:"DURATION" help:"How long it counts; the source's maxAge may end it before. Default: 24h."`
	Evidence   string        `placeholder:"HEX" help:"SHA-256 of what you keep about it."`
}

// verdict signs an opinion as it is at a time.
func (s *speaker) verdict(o opinion, at time.Time) (v verdict.Signed, err error) {
	subject, err := screenedSubject(o.Subject)
	if err != nil {
		return v, err
	}
	evidence, err := hex.DecodeString(o.Evidence)
	if err != nil {
		return v, usage("--evidence is not in hex")
	}
	categories := slices.Clone(o.Categories)
	slices.Sort(categories)
	v = verdict.Sign(verdict.Verdict{V: 1, Authority: s.authority, Source: s.Source, Subject: subject, Risk: o.Risk, Categories: categories, Exposure: verdict.Exposure(o.Exposure),
		Status: verdict.Status(o.Status), AsOf: at.Unix(), Expires: at.Add(o.Lives).Unix(), Evidence: evidence}, s.Signer, s.key)
	if err := v.Check(); err != nil {
		return v, usage("%w", err)
	}
	return v, nil
}

// screenedSubject reads a subject: a chain, a colon and an address, or the hash of a request.
func screenedSubject(text string) (verdict.Subject, error) {
	i := strings.LastIndexByte(text, ':')
	if i < 0 {
		hash, err := hex.DecodeString(text)
		if err != nil || len(hash) != 32 {
			return verdict.Subject{}, usage("subject %q: want a chain, a colon and an address, or the whole hash of a request (bodyHash of its statement)", text)
		}
		return verdict.OfRequest([32]byte(hash)), nil
	}
	c, err := chainOf(text[:i])
	if err != nil {
		return verdict.Subject{}, err
	}
	return verdict.OfAddress(c, text[i+1:]), nil
}

type screeningVerdict struct {
	signing
	opinion
}

// Run prints a verdict.
func (c *screeningVerdict) Run(e *env) error {
	by, err := c.open(e)
	if err != nil {
		return err
	}
	defer clear(by.key)
	v, err := by.verdict(c.opinion, time.Now())
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(e.Out, hex.EncodeToString(v.Encode()))
	return err
}

type screeningSubmit struct{ handingIn }

// Run hands verdicts in.
func (c *screeningSubmit) Run(e *env) error {
	return submitSaid(e, c.File, "verdict", entry.MaxVerdicts, verdict.Decode, (*client.Client).SubmitVerdicts)
}

type screeningFeed struct {
	signing
	feeding
	Verdicts string        `required:"" placeholder:"FILE" help:"Verdicts as CSV, read anew each time: subject,risk,status,exposure and categories with blanks between; lines that begin with # are notes."`
	Lives    time.Duration `default:"24h" placeholder:"DURATION" help:"How long each counts; the source's maxAge may end it before. Default: 24h."`
}

// Run feeds until it is told to stop.
func (c *screeningFeed) Run(e *env) error {
	return c.feed(e, c.signing, "verdict", func(by *speaker, cl *client.Client) (t client.StatementsTaken, err error) {
		list, err := readOpinions(c.Verdicts, c.Stale, c.Lives)
		if err != nil {
			return t, err
		}
		now := time.Now()
		var verdicts []client.SignedVerdict
		for i, o := range list {
			v, err := by.verdict(o, now)
			if err != nil {
				return t, fmt.Errorf("%s: verdict %d: %w", c.Verdicts, i+1, err)
			}
			verdicts = append(verdicts, v)
		}
		return cl.SubmitVerdicts(e.ctx, verdicts)
	})
}

// readOpinions reads the verdicts of a file that was written lately.
func readOpinions(path string, stale, lives time.Duration) (out []opinion, err error) {
	err = readFeed(path, stale, func(row []string) error {
		if len(row) != 4 && len(row) != 5 {
			return fmt.Errorf("%d fields in a line; want subject,risk,status,exposure or subject,risk,status,exposure,categories", len(row))
		}
		risk, err := strconv.ParseUint(row[1], 10, 32)
		if err != nil {
			return fmt.Errorf("risk %q is no number", row[1])
		}
		o := opinion{Subject: row[0], Risk: uint32(risk), Status: row[2], Exposure: row[3], Lives: lives}
		if len(row) == 5 {
			o.Categories = strings.Fields(row[4])
		}
		out = append(out, o)
		return nil
	})
	if n := len(out); err == nil && (n == 0 || n > entry.MaxVerdicts) {
		return nil, fmt.Errorf("%s: %d verdicts; want 1 to %d", path, n, entry.MaxVerdicts)
	}
	return out, err
}

type screeningShow struct {
	Subject string `arg:"" optional:"" help:"Only on this: a chain, a colon and an address, or the hash of a request."`
	Source  string `placeholder:"ID" help:"Only of this source."`
}

// Run shows sources and verdicts.
func (c *screeningShow) Run(e *env) error {
	subject := ""
	if c.Subject != "" {
		s, err := screenedSubject(c.Subject)
		if err != nil {
			return err
		}
		if subject = hex.EncodeToString(s.Request); subject == "" {
			subject = string(s.Chain) + ":" + s.Address
		}
	}
	cl, err := e.client()
	if err != nil {
		return err
	}
	l, err := cl.Screening(e.ctx, c.Source, subject)
	if err != nil {
		return err
	}
	return e.show(l, func() error {
		var rows [][]string
		for _, x := range l.Sources {
			last, state := "nothing yet", "speaks"
			if x.Newest > 0 {
				last = words.Unix(x.Newest)
			}
			if x.Silent {
				state = "SILENT"
			}
			rows = append(rows, []string{x.ID, state, last, fmt.Sprint(x.Kept)})
		}
		if err := e.table([]string{"source", "state", "said last", "verdicts"}, rows); err != nil {
			return err
		}
		rows = nil
		for _, x := range l.Says {
			if x.Lack != "" {
				rows = append(rows, []string{x.Source, "NO VERDICT: " + string(x.Lack), "", ""})
				continue
			}
			rows = append(rows, []string{x.Source, fmt.Sprintf("risk %d", x.Risk), string(x.Status), strings.Join(x.Categories, " ")})
		}
		if len(rows) > 0 {
			if err := e.table([]string{"what rules see, by source", "", "status", "categories"}, rows); err != nil {
				return err
			}
		}
		rows = nil
		for _, v := range l.Verdicts {
			on, state := string(v.Chain)+":"+v.Address, "ended"
			if len(v.Request) > 0 {
				on = "request " + hex.EncodeToString(v.Request)
			}
			if v.Fresh {
				state = "fresh"
			}
			rows = append(rows, []string{on, fmt.Sprint(v.Risk), string(v.Status), strings.Join(v.Categories, " "), v.Source + "/" + v.Signer, words.Unix(v.AsOf), state})
		}
		return e.table([]string{"subject", "risk", "status", "categories", "signer", "as of", "now"}, rows)
	})
}
