// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"strongroom/client"
	"strongroom/internal/app/words"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// sending are the flags of every command that asks the domain for something.
type sending struct {
	IdempotencyKey idempotencyKey `placeholder:"KEY" help:"Name of this request: asking again with the same key gives what became of it. Default: a new one."`
	Expires        lifetime       `placeholder:"DURATION" help:"How long the request lives, such as 90m, 36h or 7d; default: a day or as long as the rules allow, and an hour with --export or for a service."`
	Simulate       bool           `help:"Say what would be decided if this were asked now, rule by rule, and ask nothing. Nothing is signed or recorded."`
	waiting
}

// asking are those of commands that can do so offline too.
type asking struct {
	sending
	Export string `placeholder:"FILE" help:"Write the signed request to a file instead of sending it; 'strongroom request submit' sends it. Works offline."`
}

// waiting are the flags of commands that can wait for the end.
type waiting struct {
	Wait        bool          `help:"Wait until it is done; approvals by others included."`
	WaitTimeout time.Duration `default:"10m" placeholder:"DURATION" help:"How long --wait waits; default 10m."`
}

// check refuses flags that exclude each other.
func (a asking) check() error {
	if a.Export != "" && a.Simulate {
		return usage("--simulate asks the domain, and --export works without it; give one of them")
	}
	return nil
}

// lifeOffline is how long a request lives where the rules can't be asked: offline, or by a service.
const lifeOffline = time.Hour

// margin is kept from the longest life that the rules allow, for clocks that differ.
const margin = time.Minute

// ask builds, signs and hands in a request.
func (a asking) ask(e *env, body client.Body) error {
	if err := a.check(); err != nil {
		return err
	}
	if a.Export != "" {
		return a.export(e, body)
	}
	c, err := e.client()
	if err != nil {
		return err
	}
	return a.send(e, c, body)
}

func (a sending) send(e *env, c *client.Client, body client.Body) error {
	if a.Simulate {
		return a.simulate(e, c, body)
	}
	k, err := e.signer()
	if err != nil {
		return err
	}
	life, err := a.life(e.ctx, c)
	if err != nil {
		return err
	}
	r, err := c.Compose(e.ctx, k.Person(), client.Ask{Body: body, Key: string(a.IdempotencyKey), Life: life})
	if err != nil {
		return usage("%w", err)
	}
	if a.IdempotencyKey != "" {
		// The end is part of a request. A retry has to give the same one, so it is taken from the first; the core compares the rest.
		v, err := c.Request(e.ctx, r.ID())
		if err != nil && client.KindOf(err) != problem.NotFound {
			return err
		}
		if err == nil {
			r.NotAfter = firstEnd(r, v.Canonical)
		}
	}
	v, err := a.submit(e, c, k, r)
	if err != nil {
		return explain(e, c, err)
	}
	return a.follow(e, c, v)
}

// submit hands a request in. Where calls are signed, the call's signature is the evidence.
func (a sending) submit(e *env, c *client.Client, k client.Signer, r client.Request) (client.RequestView, error) {
	if e.SignCalls {
		return c.SubmitCall(e.ctx, r, nil)
	}
	return c.SubmitRequest(e.ctx, k, r)
}

// life says how long a request is to live. Who may not read the rules, as services may not, gets what is given where they can't be asked.
func (a sending) life(ctx context.Context, c *client.Client) (time.Duration, error) {
	if a.Expires != 0 {
		return time.Duration(a.Expires), nil
	}
	p, err := c.Policy(ctx)
	if client.KindOf(err) == problem.Forbidden {
		return lifeOffline, nil
	}
	if err != nil {
		return 0, err
	}
	return min(24*time.Hour, max(time.Duration(p.Document.Floor.RequestTTL)*time.Second-margin, time.Second)), nil
}

// firstEnd gives the end of a request that was asked before, if serve shows that very one and it ends no later than the one at hand: what is
// signed is never good for longer than was asked for now. Otherwise it is the request's own, and the core says what is recorded.
func firstEnd(r client.Request, canonical []byte) int64 {
	first, err := request.Decode(canonical)
	if err != nil || first.NotAfter > r.NotAfter {
		return r.NotAfter
	}
	end := first.NotAfter
	if first.NotAfter = r.NotAfter; !bytes.Equal(first.Encode(), r.Encode()) {
		return r.NotAfter
	}
	return end
}

// export signs a request offline.
func (a asking) export(e *env, body client.Body) error {
	c, err := e.offline()
	if err != nil {
		return err
	}
	k, err := e.signer()
	if err != nil {
		return err
	}
	life := time.Duration(a.Expires)
	if life == 0 {
		life = lifeOffline
	}
	r, err := c.Compose(e.ctx, k.Person(), client.Ask{Body: body, Key: string(a.IdempotencyKey), Life: life})
	if err != nil {
		return usage("%w", err)
	}
	f, err := client.SignRequest(r, k)
	if err != nil {
		return err
	}
	if err := e.create(a.Export, f, 0o644); err != nil {
		return err
	}
	e.say("Request %s is signed and good until %s.", r.ID(), words.Unix(r.NotAfter))
	e.hint("where there is a network: strongroom request submit %s", a.Export)
	return nil
}

// follow waits if it should, and shows how a request stands.
func (w waiting) follow(e *env, c *client.Client, v client.RequestView) error {
	var late error
	if w.Wait {
		var err error
		if v, err = w.wait(e, c, v); err != nil {
			if !errors.Is(err, context.DeadlineExceeded) {
				return err
			}
			late = &hinted{err: fmt.Errorf("request %s is %s after %s", v.ID, v.State, w.WaitTimeout), hint: next(v), code: exitPending}
		}
	}
	if err := e.show(v, func() error { return e.pairs(e.requestPairs(v)) }); err != nil {
		return err
	}
	if late != nil {
		return late
	}
	if err := ended(v); err != nil {
		return err
	}
	if s := next(v); s != "" {
		e.hint("%s", s)
	}
	return nil
}

// wait follows a request to its end, telling each change.
func (w waiting) wait(e *env, c *client.Client, v client.RequestView) (client.RequestView, error) {
	ctx, cancel := context.WithTimeout(e.ctx, w.WaitTimeout)
	defer cancel()
	id, err := client.ParseRequestID(v.ID)
	if err != nil {
		return v, err
	}
	told := ""
	tell := func(v client.RequestView) bool {
		if s := progress(v); s != told {
			told = s
			e.say("%s", s)
		}
		return client.Settled(v) || stuck(v) || unasked(v)
	}
	if tell(v) {
		return v, nil
	}
	last := v
	v, err = c.WaitRequest(ctx, id, 300*time.Millisecond, func(v client.RequestView) bool { last = v; return tell(v) })
	if err != nil {
		if e.ctx.Err() != nil {
			return last, e.ctx.Err()
		}
		if ctx.Err() != nil {
			return last, context.DeadlineExceeded
		}
		return last, err
	}
	return v, nil
}

// progress says in a line where a request stands.
func progress(v client.RequestView) string {
	switch v.State {
	case "pending":
		if v.Missing != nil && (v.Missing.Rule == policy.RuleHeld || v.Missing.Kind == problem.Frozen) {
			return "It waits: " + v.Missing.Detail + "."
		}
		if stuck(v) {
			return "It can't take effect as things stand: " + v.Missing.Detail + "."
		}
		return fmt.Sprintf("Waiting for approvals: %d so far%s.", len(v.Approvals), lacking(v))
	case "ready":
		if unasked(v) {
			return "Approved; the message is signed when somebody asks for the signature."
		}
		if v.Note != "" {
			return "Approved; its transaction can't be signed now: " + v.Note + "."
		}
		return "Approved; waiting for its transaction to be built and signed."
	case "signed":
		if n := len(v.Attempts); n > 0 {
			a := v.Attempts[n-1]
			s := fmt.Sprintf("Transaction %s is %s, %s.", a.TxID, a.State, confirmations(a))
			if a.Note != "" {
				s += " " + a.Note
			}
			return s
		}
		return "Signed; on its way to the chain."
	default:
		return fmt.Sprintf("The request is %s.", v.State)
	}
}

// confirmations counts them: 2 of 3, or how many there are once they are enough.
func confirmations(a client.Attempt) string {
	if a.Required > 0 && a.Confirmations > a.Required {
		return fmt.Sprintf("%d confirmations", a.Confirmations)
	}
	return fmt.Sprintf("%d of %d confirmations", a.Confirmations, a.Required)
}

func lacking(v client.RequestView) string {
	if v.Missing == nil || len(v.Missing.Unmet) == 0 {
		return ""
	}
	return ", " + unmetLine(v.Missing.Unmet[0])
}

// stuck says whether approvals alone do not help a request that waits: the wallet that it makes exists meanwhile, say, or the rules have
// changed and refuse it.
func stuck(v client.RequestView) bool {
	if v.State != "pending" || v.Missing == nil {
		return false
	}
	if v.Missing.Rule == policy.RuleHeld { // approvals still count, and it may be released
		return false
	}
	switch v.Missing.Kind {
	case problem.Conflict, problem.RefusedByRule, problem.NotFound, problem.Malformed, problem.WrongNetwork, problem.TooLarge, problem.Unauthenticated:
		return true
	default:
		return false
	}
}

// ended gives an error for a request that ended without being done, or that can't be done.
func ended(v client.RequestView) error {
	if stuck(v) {
		return &hinted{err: fmt.Errorf("request %s can't take effect as things stand: %s", v.ID, v.Missing.Detail), code: exitConflict,
			hint: fmt.Sprintf("who asked ends it with: strongroom request cancel %s", v.ID)}
	}
	failed := ""
	switch v.State {
	case "refused", "rejected", "cancelled", "expired", "void":
		failed = fmt.Sprintf("request %s was %s", v.ID, v.State)
		if v.State == "expired" {
			failed = fmt.Sprintf("request %s expired", v.ID)
		}
		if v.State == "void" {
			failed = fmt.Sprintf("request %s is void: the log lost entries while it was open; look at the chain, then ask again", v.ID)
		}
		if v.Missing != nil {
			failed += ": " + v.Missing.Detail
		}
	case "signed":
		if n := len(v.Attempts); n > 0 && v.Attempts[n-1].State == "failed_onchain" {
			failed = fmt.Sprintf("transaction %s is in the chain and failed there: nothing moved, the fee is paid", v.Attempts[n-1].TxID)
		}
	}
	if failed == "" {
		return nil
	}
	return &hinted{err: errors.New(failed), hint: fmt.Sprintf("strongroom proof get %s --out FILE shows who decided what", v.ID), code: exitRefused}
}

// next names the next command for a request.
func next(v client.RequestView) string {
	switch v.State {
	case "pending":
		if v.Missing != nil && v.Missing.Rule == policy.RuleHeld {
			return fmt.Sprintf("to release it: strongroom request release %s --reason TEXT; approvals count meanwhile", v.ID)
		}
		if v.Missing != nil {
			switch v.Missing.Kind {
			case problem.NoPrice:
				return "'strongroom price show' tells which price it waits for; approvals count meanwhile, and it goes on by itself within a minute of the price"
			case problem.NoVerdict:
				return "'strongroom screening show' tells which verdict it waits for; approvals count meanwhile, and it goes on by itself within a minute of the verdict"
			case problem.RefusedByRule:
				return fmt.Sprintf("more approvals don't help while that rule refuses; strongroom request explain %s says why", v.ID)
			}
		}
		return fmt.Sprintf("approvers run: strongroom request approve %s", v.ID)
	case "ready":
		if unasked(v) {
			return "to get the signature: strongroom request sign " + v.ID
		}
		if v.Note != "" {
			return fmt.Sprintf("serve tries again by itself until %s; at once: strongroom request sign %s; to end it: strongroom request cancel %s", words.Unix(v.NotAfter), v.ID, v.ID)
		}
		return fmt.Sprintf("serve signs it as soon as it can; to follow: strongroom request show %s --wait", v.ID)
	case "signed":
		if client.Settled(v) {
			return fmt.Sprintf("strongroom proof get %s --out proof.cbor", v.ID)
		}
		return fmt.Sprintf("to follow: strongroom request show %s --wait", v.ID)
	case "executed":
		if v.Operation == request.WalletCreate {
			return fmt.Sprintf("strongroom address list %s", v.Effects.Wallet)
		}
	}
	return ""
}

// requestPairs shows a request as serve tells of it.
func (e *env) requestPairs(v client.RequestView) []pair {
	out := []pair{{"request", v.ID}, {"state", v.State}, {"asked by", e.person(v.Initiator)}}
	what := words.Effects(v.Effects, v.Bounds)
	if r, err := request.Decode(v.Canonical); err == nil {
		if b, err := r.DecodeBody(); err == nil {
			what = append(words.Body(b, v.Effects.Source), words.Signing(v.Effects)...)
		}
	}
	for i, l := range what {
		name := "what"
		if i > 0 {
			name = ""
		}
		out = append(out, pair{name, l})
	}
	out = append(out, simulated(v.Simulation)...)
	for _, l := range words.Screening(v.Effects.Screening) {
		out = append(out, pair{"screening", l + ", as the domain tells"})
	}
	rule := fmt.Sprintf("%s: %s", v.Decision.Rule, v.Decision.Outcome)
	if v.Decision.Auto {
		rule += ", automatic"
	}
	out = append(out, pair{"rule", rule})
	for _, b := range v.Decision.Plan {
		for _, s := range b.Steps {
			out = append(out, pair{"needs", policy.Step(s).String()})
		}
	}
	for _, x := range v.Decision.Also {
		for _, b := range x.Plan {
			for _, s := range b.Steps {
				who := ""
				if x.Groups != nil {
					who = " as it will be"
				}
				out = append(out, pair{"and", fmt.Sprintf("%s%s (%s)", policy.Step(s), who, x.Rule)})
			}
		}
	}
	for _, p := range v.Decision.Prices {
		out = append(out, pair{"worth", priceWords(p)})
	}
	if n := v.Decision.Delay; n > 0 {
		out = append(out, pair{"waits", fmt.Sprintf("%d seconds at least after it was asked", n)})
	}
	if n := v.Decision.MinGroups; n > 0 {
		out = append(out, pair{"and", fmt.Sprintf("those who approve stand for %d different groups", n)})
	}
	for _, a := range v.Approvals {
		out = append(out, pair{"approved", fmt.Sprintf("by %s at %s, entry %d", e.person(a.Person), a.Time, a.Seq)})
	}
	if v.EndedBy != nil {
		out = append(out, pair{v.State, fmt.Sprintf("by %s at %s, entry %d", e.person(v.EndedBy.Person), v.EndedBy.Time, v.EndedBy.Seq)})
	}
	if v.Hold != nil {
		out = append(out, pair{"HELD", e.holdWords(*v.Hold)})
	}
	if v.Note != "" {
		out = append(out, pair{"waits", v.Note})
	}
	if v.Missing != nil {
		out = append(out, pair{"missing", v.Missing.Detail})
		for _, u := range v.Missing.Unmet {
			out = append(out, pair{"", unmetLine(u)})
		}
	}
	if v.Signed != nil && len(v.Attempts) == 0 {
		out = append(out, signedPairs(v.Operation, *v.Signed)...)
	}
	for _, a := range v.Attempts {
		s := fmt.Sprintf("%d: %s, transaction %s, %s", a.Attempt, a.State, a.TxID, confirmations(a))
		if a.Note != "" {
			s += ", " + a.Note
		}
		out = append(out, pair{"attempt", s})
	}
	return append(out, pair{"expires", words.Unix(v.NotAfter)}, pair{"idempotency key", v.IdempotencyKey})
}
