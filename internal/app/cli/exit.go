// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"strongroom/client"
	"strongroom/internal/app/words"
	"strongroom/internal/edge/keyfile"
	"strongroom/internal/edge/rulefile"
	"strongroom/internal/edge/secondopinion"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
)

// Exit statuses. They are part of the interface.
const (
	exitOK        = 0
	exitError     = 1
	exitUsage     = 2
	exitRefused   = 3 // the rules refuse, or the bytes do what was not approved
	exitNotFound  = 4
	exitPending   = 5 // approvals are missing
	exitConflict  = 6 // the thing is in a state that does not allow this, or the idempotency key is taken
	exitForbidden = 7 // who asks is not known, or may not
	exitTryAgain  = 8 // nobody answers, or too busy: the same call may succeed later
	exitAlarm     = 9 // what was checked does not hold: two decoders disagree, or a proof or the log is false
)

const exitHelp = `0 done, 1 error, 2 usage, 3 refused by the rules, 4 not found, 5 approvals are missing, 6 conflict,
7 not allowed, 8 try again later, 9 a check failed (two decoders disagree, a proof or the log is false, or a rule file has rules that do nothing).`

// usageError says that the command line is wrong.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usage(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// hinted is an error with what to do about it, and with an exit status if code is not 0.
type hinted struct {
	err  error
	hint string
	code int
}

func (e *hinted) Error() string { return e.err.Error() }
func (e *hinted) Unwrap() error { return e.err }

func hint(err error, format string, args ...any) error {
	return &hinted{err: err, hint: fmt.Sprintf(format, args...)}
}

// exitOf gives the exit status of each kind of problem. A test proves it total.
func exitOf(k problem.Kind) int {
	switch k {
	case problem.RefusedByRule, problem.OutsideBounds, problem.Undecodable:
		return exitRefused
	case problem.NotFound:
		return exitNotFound
	case problem.QuorumNotMet, problem.NotYet, problem.NoPrice, problem.NoVerdict, problem.WarmClosed, problem.KeyAway:
		return exitPending
	case problem.Conflict, problem.IdempotencyReuse, problem.AlreadyDone, problem.Expired, problem.Zeroized, problem.Reanchoring, problem.Frozen:
		return exitConflict
	case problem.Unauthenticated, problem.Forbidden:
		return exitForbidden
	case problem.Busy, problem.NodeUnavailable, problem.TimeUncertain, problem.Stopped, problem.Starting, problem.Locked:
		return exitTryAgain
	case problem.Malformed, problem.WrongNetwork, problem.TooLarge, problem.Unsupported, problem.Insufficient, problem.Internal:
		return exitError
	default:
		return -1
	}
}

// statusOf gives the exit status of an error.
func statusOf(err error) int {
	var (
		h     *hinted
		bad   *usageError
		p     *client.Problem
		q     *problem.Error
		alarm *secondopinion.Alarm
		netOp *net.OpError
	)
	switch {
	case errors.As(err, &bad):
		return exitUsage
	case errors.As(err, &h) && h.code != 0:
		return h.code
	case errors.As(err, &alarm), errors.Is(err, client.ErrDisagrees), errors.Is(err, client.ErrReceipt):
		return exitAlarm
	case errors.As(err, &p):
		return max(exitOf(p.Kind), exitError)
	case errors.As(err, &q):
		return max(exitOf(q.Kind), exitError)
	case errors.As(err, &netOp) && netOp.Op == "listen":
		return exitError
	case errors.As(err, &netOp), errors.Is(err, syscall.ECONNREFUSED):
		return exitTryAgain
	default:
		return exitError
	}
}

// failure is an error in JSON, as -o json has it on standard error, in one line after any words. Kind is one of docs/problems, or usage, alarm,
// unreachable, refused, pending, conflict, not-found, forbidden or error. Members are added, never renamed.
type failure struct {
	Kind      string          `json:"kind"`
	Detail    string          `json:"detail"`
	Hint      string          `json:"hint,omitempty"`
	Rule      string          `json:"rule,omitempty"`
	Unmet     []problem.Unmet `json:"unmet,omitempty"`
	RequestID string          `json:"requestId,omitempty"`
	Incident  string          `json:"incident,omitempty"`
}

// kindOf names an error for programs.
func kindOf(err error) string {
	if k := client.KindOf(err); k != "" {
		return string(k)
	}
	var q *problem.Error
	if errors.As(err, &q) {
		return string(q.Kind)
	}
	switch statusOf(err) {
	case exitUsage:
		return "usage"
	case exitRefused:
		return "refused"
	case exitNotFound:
		return "not-found"
	case exitPending:
		return "pending"
	case exitConflict:
		return "conflict"
	case exitForbidden:
		return "forbidden"
	case exitTryAgain:
		return "unreachable"
	case exitAlarm:
		return "alarm"
	default:
		return "error"
	}
}

// reportJSON is report for programs.
func reportJSON(w io.Writer, err error, help string) {
	f := failure{Kind: kindOf(err), Detail: strings.ReplaceAll(err.Error(), "\n", "; "), Hint: hintFor(err, help)}
	var p *client.Problem
	if errors.As(err, &p) {
		f.Detail, f.Rule, f.Unmet, f.RequestID, f.Incident = p.Detail, p.Rule, p.Unmet, p.RequestID, p.Incident
	}
	b, err := words.JSON(map[string]failure{"error": f}, "")
	if err != nil {
		b = []byte(`{"error":{"kind":"error"}}` + "\n") // a kind of error that has no JSON
	}
	_, _ = w.Write(b) // nobody is left to tell
}

// wantsJSON says whether a command line asks for JSON, where it could not be parsed.
func wantsJSON(args []string) bool {
	for i, a := range args {
		switch a {
		case "-ojson", "-o=json", "--output=json":
			return true
		case "-o", "--output":
			if i+1 < len(args) && args[i+1] == "json" {
				return true
			}
		case "--":
			return false
		}
	}
	return false
}

// report writes an error and its hint, for people or as JSON, and gives the exit status.
func report(w io.Writer, err error, help string, asJSON bool) int {
	if err == nil {
		return exitOK
	}
	var quiet silent
	if errors.As(err, &quiet) {
		return int(quiet)
	}
	var left *exec.ExitError
	if errors.As(err, &left) && left.ExitCode() > 0 {
		return left.ExitCode() // the program that was run has said why
	}
	if asJSON {
		reportJSON(w, err, help)
		return statusOf(err)
	}
	say := func(name, text string) { fmt.Fprintf(w, "strongroom: %s: %s\n", name, words.Plain(text)) }
	var p *client.Problem
	if errors.As(err, &p) {
		say("error", p.Detail)
		if p.Rule != "" {
			say("rule", fmt.Sprintf("%s (%s)", ruleName(p.Rule), p.Kind))
		}
		for _, u := range p.Unmet {
			say("not met", unmetLine(u))
		}
		if p.Incident != "" {
			say("incident", p.Incident)
		}
	} else {
		say("error", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	if s := hintFor(err, help); s != "" {
		say("hint", s)
	}
	return statusOf(err)
}

// ruleName names a rule; those that no document lists are explained.
func ruleName(rule string) string {
	switch rule {
	case policy.RuleDefaultDeny:
		return rule + ": no route of the rules lets it through"
	case policy.RuleFloor:
		return rule + ": the floor of the rules, which holds for every request"
	}
	return rule
}

func unmetLine(u problem.Unmet) string {
	s := u.Rule
	if u.Criterion != "" {
		s += ": " + u.Criterion
	}
	if u.Observed != "" {
		s += ": " + u.Observed
	}
	return s
}

// otherDomain says what to do where the domain at hand and the one at the other end differ.
const otherDomain = "nothing was signed; look whether --domain, --identity and --server belong together"

// hintFor says what to do about an error.
func hintFor(err error, help string) string {
	var (
		h     *hinted
		p     *client.Problem
		alarm *secondopinion.Alarm
		rule  *rulefile.Error
		netOp *net.OpError
	)
	switch {
	case help != "":
		return help
	case errors.As(err, &h):
		return h.hint
	case errors.As(err, &alarm), errors.Is(err, client.ErrDisagrees):
		return "nothing was signed; ask who runs serve, and compare with another approver before anybody signs"
	case errors.Is(err, client.ErrReceipt):
		return "do the same again, through another serve if there is one, or look into the log with 'strongroom proof get'"
	case errors.Is(err, client.ErrOtherDomain):
		return otherDomain
	case errors.Is(err, keyfile.ErrPassphrase):
		return "try again; nobody can restore a lost passphrase: a new key is enrolled by the others instead"
	case errors.As(err, &rule):
		return "examples/rules and docs/spec/rule-document.md show every key; 'strongroom policy check FILE' tries a file"
	case errors.As(err, &netOp) && netOp.Op == "listen":
		return "is another serve running there? --listen chooses another address"
	case errors.As(err, &netOp), errors.Is(err, syscall.ECONNREFUSED):
		return "is serve running there? 'strongroom up' or 'strongroom serve' starts it; --server or the identity says where it is"
	case errors.Is(err, context.DeadlineExceeded):
		return "it may still happen; 'strongroom request show ID' tells"
	case errors.As(err, &p):
		return problemHint(p)
	case errors.Is(err, os.ErrPermission):
		return "look at the owner and mode of the file"
	default:
		return ""
	}
}

func problemHint(p *client.Problem) string {
	switch p.Rule {
	case policy.RuleBreakGlass:
		return "breakGlass in the rule document says who drains, where to and for how long; docs/spec/operational-state.md"
	case policy.RuleDraining:
		return "'strongroom status' shows until when, 'strongroom policy show' where to (breakGlass.drainTo); 'strongroom domain resume' asks for its end"
	case policy.RuleFreeze:
		return "breakGlass.freeze in the rule document says who may, without breakGlass administrators; docs/spec/operational-state.md"
	case policy.RuleHold:
		return "oversight.hold in the rule document says who may, without it people of line 2 with the role risk, or administrators where nobody has a line"
	case policy.RuleRoles:
		return "'strongroom person list' shows lines and roles; docs/spec/roles.md says what each may do"
	}
	switch p.Kind {
	case problem.RefusedByRule:
		if slices.ContainsFunc(p.Unmet, func(u problem.Unmet) bool { return strings.HasPrefix(u.Observed, string(policy.Cooling)) }) {
			return "the entry is too young: 'strongroom whitelist show NAME' says for how long"
		}
		return "'strongroom policy show' prints the rules; the refusal itself is in the log"
	case problem.QuorumNotMet:
		return fmt.Sprintf("approvers run: strongroom request approve %s", p.RequestID)
	case problem.NotYet:
		return fmt.Sprintf("once it has passed: strongroom request execute %s; transfers are signed by themselves", p.RequestID)
	case problem.Undecodable:
		return "'strongroom call decode' shows what is not known; contracts and their functions stand in the rule document"
	case problem.NoPrice:
		return "'strongroom price show' tells what is known: is there a pair for the asset, do its feeds run? What was refused when it was asked for has to be asked for anew; what was taken before goes on by itself"
	case problem.NoVerdict:
		return "'strongroom screening show' tells what is known; hand in fresh verdicts with 'strongroom screening submit'. What was refused when it was asked for has to be asked for anew; what was taken before goes on by itself"
	case problem.KeyAway:
		return "'strongroom cold list' shows where keys are"
	case problem.WarmClosed:
		return "'strongroom warm show WALLET' shows its sessions, 'strongroom warm open' asks for one"
	case problem.Reanchoring:
		return "'strongroom domain re-anchor status' shows until when, and how many wallets are held"
	case problem.Frozen:
		return "'strongroom status' shows since when and why; 'strongroom domain unfreeze' or 'strongroom domain resume' asks for its end"
	case problem.Unauthenticated:
		return "is the key an active key of this person? 'strongroom person list' shows them"
	case problem.IdempotencyReuse:
		return "choose another --idempotency-key, or leave it out for a new one"
	case problem.AlreadyDone:
		return "'strongroom proof get' shows what is in the log"
	case problem.Insufficient:
		return "fund the wallet ('strongroom address list' shows where to), or ask for less"
	case problem.NodeUnavailable:
		return "'strongroom chain status' shows the nodes"
	default:
		return ""
	}
}
