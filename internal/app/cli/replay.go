// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"strongroom/client"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

type policyReplay struct {
	Against string `required:"" placeholder:"FILE" help:"Rule file to run."`
	From    uint64 `default:"1" placeholder:"ENTRY" help:"First entry whose decisions are made again; all entries before it are read too."`
	Entries string `placeholder:"FILE" help:"Take the log from here instead of serve: lists as 'strongroom audit entries -o json' writes them, from entry 0 on, one after the other."`
	covered
	Out string `placeholder:"FILE" help:"Write the report in its canonical form too."`
}

// Run replays.
func (c *policyReplay) Run(e *env) error {
	cl, err := e.client()
	if err != nil {
		return err
	}
	_, next, err := proposal(e, cl, c.Against)
	if err != nil {
		return err
	}
	var r client.ReplayReport
	if c.Entries != "" {
		r, err = c.replayFile(e, next)
	} else if c.given() {
		return usage("--checkpoint, --witness, --quorum and --unchecked go with --entries; what serve shows is always checked")
	} else {
		r, err = e.replay(cl, client.Replaying{Rules: next, From: c.From})
	}
	if err != nil {
		return err
	}
	if c.Out != "" {
		if err := e.create(c.Out, canon.Encode(&r), 0o644); err != nil {
			return err
		}
	}
	return e.show(reportView(r), func() error { return e.differences(r) })
}

// replay runs rules over the log that serve shows, and tells how far it is.
func (e *env) replay(cl *client.Client, r client.Replaying) (client.ReplayReport, error) {
	d, err := e.domain()
	if err != nil {
		return client.ReplayReport{}, err
	}
	if r.LogKey, err = hex.DecodeString(d.LogKey); err != nil {
		return client.ReplayReport{}, fmt.Errorf("the domain's log key: %w", err)
	}
	told := time.Now()
	r.Progress = func(done, all uint64) {
		if time.Since(told) > 2*time.Second {
			e.say("%d of %d entries…", done, all)
			told = time.Now()
		}
	}
	return cl.Replay(e.ctx, r)
}

// differences shows what a replay found.
func (e *env) differences(r client.ReplayReport) error {
	if len(r.Differ) > 0 {
		var rows [][]string
		for _, x := range r.Differ {
			rows = append(rows, []string{fmt.Sprint(x.Seq), x.Act, string(x.Operation), x.Request.String()[:16], e.person(x.Initiator), rulingLine(x.Was), rulingLine(x.Would) + lacksLine(x.Lacks)})
		}
		if err := e.table([]string{"entry", "act", "operation", "request", "asked by", "was", "would be"}, rows); err != nil {
			return err
		}
	}
	e.say("%s", tally(r))
	hash := r.Hash()
	e.say("The report is %x.", hash)
	return nil
}

func tally(r client.ReplayReport) string {
	return fmt.Sprintf("%d of %d decisions would differ, from entry %d to %d.", len(r.Differ), r.Decisions, r.From, r.Size-1)
}

func rulingLine(d policy.Decision) string {
	s := string(d.Outcome) + " by " + d.Rule
	switch {
	case d.Outcome != policy.Allowed:
		if len(d.Unmet) > 0 && d.Unmet[0].Observed != "" {
			s += " (" + d.Unmet[0].Observed + ")"
		}
	case d.Auto:
		s += ", automatic"
	default:
		s += ": " + d.Plan.String()
	}
	for _, x := range d.Also {
		s += " and " + x.Plan.String() + " (" + x.Rule + ")"
	}
	if d.Delay > 0 {
		s += ", after " + (time.Duration(d.Delay) * time.Second).String()
	}
	return s
}

func lacksLine(lacks []problem.Unmet) string {
	s := ""
	for _, u := range lacks {
		s += "; there were too few: " + u.Criterion
	}
	return s
}

// replayView is a report in JSON.
type replayView struct {
	Report    string           `json:"report"` // hash
	Document  string           `json:"document"`
	From      uint64           `json:"from"`
	Size      uint64           `json:"size"`
	Root      string           `json:"root"`
	Decisions uint64           `json:"decisions"`
	Differ    []differenceView `json:"differ"`
}

type differenceView struct {
	Seq       uint64            `json:"seq"`
	Act       string            `json:"act"`
	Request   string            `json:"request"`
	Operation request.Operation `json:"operation"`
	Initiator client.PersonID   `json:"initiator"`
	Was       rulingView        `json:"was"`
	Would     rulingView        `json:"would"`
	Lacks     []problem.Unmet   `json:"lacks,omitempty"`
}

type rulingView struct {
	Outcome policy.Outcome  `json:"outcome"`
	Rule    string          `json:"rule"`
	Words   string          `json:"words"`
	Unmet   []problem.Unmet `json:"unmet,omitempty"`
}

func rulingViewOf(d policy.Decision) rulingView {
	return rulingView{d.Outcome, d.Rule, rulingLine(d), d.Unmet}
}

func reportView(r client.ReplayReport) replayView {
	out := replayView{Report: fmt.Sprintf("%x", r.Hash()), Document: fmt.Sprintf("%x", r.Document), From: r.From, Size: r.Size, Root: fmt.Sprintf("%x", r.Root),
		Decisions: r.Decisions, Differ: []differenceView{}}
	for _, x := range r.Differ {
		out.Differ = append(out.Differ, differenceView{x.Seq, x.Act, x.Request.String(), x.Operation, x.Initiator, rulingViewOf(x.Was), rulingViewOf(x.Would), x.Lacks})
	}
	return out
}

// proposeReplay replays what is about to be proposed.
func proposeReplay(e *env, cl *client.Client, next policy.Document, from uint64) (*request.Replay, error) {
	r, err := e.replay(cl, client.Replaying{Rules: next, From: from})
	if err != nil {
		return nil, err
	}
	e.say("  %s", tally(r))
	if len(r.Differ) > 0 {
		e.hint("'strongroom policy replay' shows them")
	}
	hash := r.Hash()
	return &request.Replay{From: r.From, Size: r.Size, Report: hash[:]}, nil
}

type requestReview struct {
	ID     string `arg:"" help:"Request id; the first 8 digits or more are enough for open requests."`
	As     string `placeholder:"PERSON" help:"Who would sign; default the person of the identity."`
	Replay bool   `help:"Run the rules that are asked for over the log here, and compare with the replay that the request comes with."`
}

// Run shows what an approver would sign.
func (c *requestReview) Run(e *env) error {
	d := deciding{ID: c.ID, Show: true, As: c.As, Replay: c.Replay}
	return d.run(e, client.Approve, "")
}

// replayAgain makes the replay that a change of the rules comes with again on this machine, and shows what it finds. Another result than was proposed is an alarm.
func (c *deciding) replayAgain(e *env, cl *client.Client, rev client.Review, decision client.Decision) error {
	change, ok := rev.Body.(*client.PolicyChange)
	switch {
	case !ok && c.Replay:
		return usage("--replay is for changes of the rule document")
	case !ok:
		return nil
	case !c.Replay:
		if change.Replay != nil && decision == client.Approve {
			e.hint("--replay makes the replay again here, shows what would differ, and compares")
		}
		return nil
	case change.Replay == nil:
		return &hinted{err: errors.New("the request comes with no replay"), hint: "'strongroom policy replay' makes one of a rule file", code: exitConflict}
	}
	next, err := policy.DecodeDocument(change.Document)
	if err != nil {
		return fmt.Errorf("the new rule document: %w", err)
	}
	r, err := e.replay(cl, client.Replaying{Rules: next, From: change.Replay.From, Size: change.Replay.Size})
	if err != nil {
		return err
	}
	for _, x := range r.Differ {
		e.say("  entry %d, %s of %s by %s: %s → %s%s", x.Seq, x.Act, x.Operation, e.person(x.Initiator), rulingLine(x.Was), rulingLine(x.Would), lacksLine(x.Lacks))
	}
	e.say("  %s", tally(r))
	if err := sameReport(r, *change.Replay); err != nil {
		return err
	}
	e.say("  The report is the one that was proposed.")
	return nil
}

// sameReport raises an alarm where a replay made here is not the one that a proposal names.
func sameReport(here client.ReplayReport, named request.Replay) error {
	hash := here.Hash()
	if here.From == named.From && here.Size == named.Size && bytes.Equal(hash[:], named.Report) {
		return nil
	}
	return &hinted{err: fmt.Errorf("the replay finds something else here than was proposed: report %x instead of %x", hash, []byte(named.Report)),
		hint: "do not approve; the log that was shown to who proposed it, their program or yours is not what it should be", code: exitAlarm}
}
