// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/svc/roster"
)

// How many open requests are looked at for a list, and how many at a time.
const (
	maxListed = 1000
	perLook   = 200
)

// ask calls the core.
func ask[Rep, Req any](ctx context.Context, p *Pages, method string, in Req) (Rep, error) {
	rep, err := gate.Call[Req, Rep](ctx, p.cfg.Core, method, in)
	return rep, gate.Explain(err)
}

// line is a request in a list.
type line struct {
	ID    custody.RequestID
	State message.State
	What  []string
	By    custody.PersonID
	Until string
}

type homeData struct {
	Waiting []line // for this person's decision
	Own     []line // asked by this person
	More    bool   // there are more than were looked at
}

// home is GET /app/: what waits for who is signed in, or how to sign in.
func (p *Pages) home(c *call) error {
	if c.session == nil {
		return p.page(c, http.StatusOK, "sign-in.html", "Sign in", signInView{p.cfg.Passwords != nil, p.cfg.Elsewhere != nil})
	}
	k, err := p.people.Known(c.ctx())
	if err != nil {
		return err
	}
	var d homeData
	from := uint64(0)
	for looked := 0; ; {
		list, err := ask[message.Requests](c.ctx(), p, message.MethodRequests, message.List{From: from, Limit: perLook})
		if err != nil {
			return err
		}
		for _, v := range list.Requests {
			r, err := parsed(v)
			if err != nil {
				return err
			}
			l := line{ID: v.ID, State: v.State, What: append(p.cfg.Words.Body(r.Decoded, v.Effects.Source), p.cfg.Words.Signing(v.Effects)...), By: r.Initiator, Until: until(r.NotAfter)}
			switch {
			case r.Initiator == c.session.person:
				d.Own = append(d.Own, l)
			case !voted(v, c.session.person) && mayDecide(k.Document, v, r, c.session.person):
				d.Waiting = append(d.Waiting, l)
			}
			from = v.Seq + 1
		}
		if looked += len(list.Requests); len(list.Requests) == 0 { // a short list may be all that fits in an answer
			break
		}
		if looked >= maxListed {
			d.More = true
			break
		}
	}
	return p.page(c, http.StatusOK, "home.html", "Requests", d)
}

func until(unix int64) string { return time.Unix(unix, 0).UTC().Format("2006-01-02 15:04:05 UTC") }

func parsed(v message.Request) (*request.Parsed, error) {
	r, err := request.Parse(v.Request)
	if err != nil {
		return nil, problem.Wrap(problem.Internal, err, "the core's record of request %s can't be read", v.ID)
	}
	return r, nil
}

// waits says whether decisions are still taken.
func waits(v message.Request) bool {
	return v.State == message.StatePending || v.State == message.StateReady
}

// voted says whether a person approved already.
func voted(v message.Request, who custody.PersonID) bool {
	return slices.ContainsFunc(v.Approvals, func(a message.Vote) bool { return a.Person == who })
}

// mayDecide says whether a person is asked to approve or reject: for what they see only, the core decides.
func mayDecide(d policy.Document, v message.Request, r *request.Parsed, who custody.PersonID) bool {
	if !waits(v) || r.Initiator == who {
		return false
	}
	asks := func(p policy.Plan) bool {
		return slices.ContainsFunc(p.AnyOf, func(b policy.Branch) bool {
			return slices.ContainsFunc(b.Steps, func(s policy.Step) bool {
				return slices.ContainsFunc(d.Groups, func(g policy.Group) bool { return g.ID == s.Group && slices.Contains(g.Members, who) })
			})
		})
	}
	// What the request lacks may be of a plan that became due after it was accepted.
	lacks := v.Missing != nil && v.Missing.Kind == problem.QuorumNotMet && slices.ContainsFunc(d.PlansOf(v.Missing.Rule), asks)
	return lacks || asks(v.Decision.Plan) || slices.ContainsFunc(v.Decision.Also, func(x policy.Requirement) bool { return asks(x.Plan) })
}

// choice is a decision that a person can sign here.
type choice struct {
	Decision request.Decision
	Label    string
	Message  string // base64: what is signed; the script hashes it
	Hash     []byte // of it; the passkey's challenge
}

type requestData struct {
	line
	Names     []string // of destinations, as the address book has them
	Changes   []string // of the rules
	Warning   string
	Version   uint64
	Rules     []byte
	Domain    custody.DomainID
	Approvals []message.Vote
	Missing   *message.Problem
	Ended     *message.Vote
	TxID      string
	Choices   []choice
}

// load reads a request from the core.
func (p *Pages) load(c *call) (message.Request, *request.Parsed, error) {
	id, err := custody.ParseRequestID(c.r.PathValue("id"))
	if err != nil {
		return message.Request{}, nil, problem.New(problem.Malformed, "%v", err)
	}
	v, err := ask[message.Request](c.ctx(), p, message.MethodRequest, message.ByID{ID: id})
	if err != nil {
		return v, nil, err
	}
	r, err := parsed(v)
	if err != nil {
		return v, r, err
	}
	who, err := p.people.Person(c.ctx(), c.session.person)
	if err == nil && r.Initiator != who.ID && !who.May(policy.VerbRequests) {
		err = problem.New(problem.Forbidden, "%s has no role that shows the requests of others", who.ID)
	}
	return v, r, err
}

// statement is what a person signs of a request. The core makes it again from its log.
func statement(v message.Request, r *request.Parsed, who custody.PersonID, d request.Decision) request.Statement {
	return authority.StatementOf(r.Authority, r.Domain, v.ID, r.Initiator, v.Effects, v.Bounds, v.Decision).By(who, d)
}

// request is GET /app/requests/{id}.
func (p *Pages) request(c *call) error {
	if err := c.need(); err != nil {
		return err
	}
	v, r, err := p.load(c)
	if err != nil {
		return err
	}
	k, err := p.people.Known(c.ctx())
	if err != nil {
		return err
	}
	what := slices.Concat(p.cfg.Words.Body(r.Decoded, v.Effects.Source), p.cfg.Words.Signing(v.Effects), p.cfg.Words.Simulated(v.Simulation))
	d := requestData{line: line{ID: v.ID, State: v.State, What: what, By: r.Initiator, Until: until(v.Bounds.NotAfter)},
		Version: v.Decision.Version, Rules: v.Decision.Hash[:], Domain: r.Domain, Approvals: v.Approvals, Missing: v.Missing, Ended: v.EndedBy}
	if v.Signed != nil {
		d.TxID = v.Signed.TxID
	}
	d.Names = names(k.Document, v.Effects)
	stale := false
	if o, ok := r.Decoded.(*request.PolicyChangeBody); ok && waits(v) {
		d.Changes, d.Warning = changes(k, o)
		stale = d.Warning != ""
	}
	offer := func(label string, what request.Decision) {
		s := statement(v, r, c.session.person, what)
		h := s.Hash()
		d.Choices = append(d.Choices, choice{what, label, base64.StdEncoding.EncodeToString(s.Message()), h[:]})
	}
	switch {
	case !waits(v):
	case r.Initiator == c.session.person:
		offer("Cancel this, for ever", request.Cancel)
	case mayDecide(k.Document, v, r, c.session.person):
		if !stale && !voted(v, c.session.person) {
			offer("Approve this", request.Approve)
		}
		offer("Reject this, for ever", request.Reject)
	}
	return p.page(c, http.StatusOK, "request.html", "Request", d)
}

// names tells which destinations the address book knows, and what sources of screening said.
func names(d policy.Document, e request.Effects) (out []string) {
	for _, x := range e.Screening {
		who := x.Address
		if who == "" {
			who = "The request as a whole"
		}
		if x.Lack != "" {
			out = append(out, fmt.Sprintf("%s has no verdict of %s (%s), as the domain says", who, x.Source, x.Lack))
			continue
		}
		out = append(out, fmt.Sprintf("%s has a risk of %d of 100 (%s %s) by %s, as the domain says", who, x.Risk, x.Status, strings.Join(x.Categories, ", "), x.Source))
	}
	for i, o := range e.Outputs {
		if i < len(e.Books) && e.Books[i] != "" {
			out = append(out, fmt.Sprintf("%s is %q in the address book, as the domain says", o.Address, e.Books[i]))
			continue
		}
		for _, b := range d.AddressBook {
			if b.Chain == e.Chain && b.Address == o.Address {
				out = append(out, fmt.Sprintf("%s is %q in the address book", o.Address, b.ID))
			}
		}
	}
	return out
}

// changes says what a new rule document changes, and warns where it does not follow the current one.
func changes(k *roster.Known, o *request.PolicyChangeBody) (lines []string, warning string) {
	next, err := policy.DecodeDocument(o.Document)
	switch {
	case err != nil:
		return nil, "The new rule document can't be read."
	case next.Version != k.Document.Version+1 || next.PrevHash != k.Document.Hash():
		return nil, "It does not follow the current rules, and can't take effect any more."
	}
	lines = policy.Diff(k.Document, next)
	for i, l := range lines {
		lines[i] = strings.ReplaceAll(l, "\n", " ")
	}
	return lines, ""
}

type decisionIn struct {
	Decision  request.Decision `json:"decision"`
	Assertion assertion        `json:"assertion"`
}

// decisionOut is the core's word that it has the decision.
type decisionOut struct {
	State string `json:"state"`
	Entry uint64 `json:"entry"`
}

// decide is POST /app/requests/{id}: a signed decision of who is signed in. The session says whose keys are tried; that the decision is theirs, the
// core sees from the signature.
func (p *Pages) decide(c *call) error {
	if err := c.need(); err != nil {
		return err
	}
	var in decisionIn
	if err := c.read(&in); err != nil {
		return err
	}
	switch in.Decision {
	case request.Approve, request.Reject, request.Cancel:
	default:
		return problem.New(problem.Malformed, "the decision must be approve, reject or cancel")
	}
	v, r, err := p.load(c)
	if err != nil {
		return err
	}
	me := c.session.person
	p.people.Forget() // a key that was enrolled or removed just now counts
	who, err := p.people.Person(c.ctx(), me)
	if err != nil {
		return err
	}
	sig := in.Assertion.encode()
	key, ok := p.keyOf(who.Keys, statement(v, r, me, in.Decision).Message(), sig)
	if !ok {
		return problem.New(problem.Unauthenticated, "the passkey is not one of %s, or signed something else than this request as it stands; load the page again", me)
	}
	a := request.Approval{Request: v.ID, Person: me, Decision: in.Decision, Key: key, Sig: sig}
	out, err := ask[message.Request](c.ctx(), p, message.MethodApprove, message.Approve{Approval: a})
	if err != nil {
		return err
	}
	if out.State == message.StateExecuted {
		p.people.Forget()
	}
	done := decisionOut{State: string(out.State), Entry: out.Last}
	if out.Receipt != nil {
		done.Entry = out.Receipt.Seq
	}
	return c.reply(done)
}
