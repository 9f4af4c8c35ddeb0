// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"bytes"
	"container/heap"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/tlog"
)

// Acts of a log that rules decide.
const (
	ActRequest = "request" // a request is accepted, or refused
	ActPermit  = "permit"  // a payload may be signed
	ActEffect  = "effect"  // anything else takes effect
)

// Difference is a decision of the log that another rule document would have made otherwise.
type Difference struct {
	Seq       uint64            `cbor:"1,keyasint"` // entry that records the decision
	Act       string            `cbor:"2,keyasint"` // [ActRequest], [ActPermit] or [ActEffect]
	Request   custody.RequestID `cbor:"3,keyasint"`
	Operation request.Operation `cbor:"4,keyasint"`
	Initiator custody.PersonID  `cbor:"5,keyasint"`
	Was       policy.Decision   `cbor:"6,keyasint"`           // as recorded, but for the document's version and hash and what it takes from limits
	Would     policy.Decision   `cbor:"7,keyasint"`           // under the other document, likewise
	Lacks     []problem.Unmet   `cbor:"8,keyasint,omitempty"` // of a permit or effect that it would have allowed: approvals that there were not
}

// Report is what a replay found. docs/spec/explain.md.
type Report struct {
	V         uint                `cbor:"1,keyasint"` // 1
	Authority custody.AuthorityID `cbor:"2,keyasint"`
	Document  [32]byte            `cbor:"3,keyasint"` // hash of the other document
	From      uint64              `cbor:"4,keyasint"` // first entry whose decisions were made again
	Size      uint64              `cbor:"5,keyasint"` // entries of the log that were read
	Root      [32]byte            `cbor:"6,keyasint"` // of the log's tree of so many entries
	Decisions uint64              `cbor:"7,keyasint"` // made again
	Differ    []Difference        `cbor:"8,keyasint"` // in order
}

// Hash names a report: who finds the same has the same.
func (r Report) Hash() [32]byte { return canon.Hash(canon.TagReplayReport, &r) }

// Replay makes the decisions of a log again under another rule document, in order, with limits counted under that document. It is a pure function of log
// and document, for one goroutine.
//
// What was asked, the clock, the wallets and the operational state are those of the log. The people, groups, address book, rules and limits are those of the
// document. A request that the document would have refused takes nothing from its limits; one that it would have allowed takes what the log shows it to have
// used, and where the log shows nothing because it was refused then, reserves until its end.
type Replay struct {
	rules *policy.Rules
	from  uint64
	s     *State // as the log has it
	count *State // rules and meters of the document, and nothing else
	begun bool
	live  map[custody.RequestID]*replayed
	tree  tlog.Frontier
	out   Report
}

// replayed is a request that has not passed its notAfter.
type replayed struct {
	asked Asked
	held  *Pending        // what it holds of limits under the document; nil: nothing
	taken bool            // the document would have taken it
	fee   custody.Uint256 // of its latest permit
	seq   uint64
}

// NewReplay begins a replay. Decisions are made again from an entry on; all entries before it are needed too.
func NewReplay(d policy.Document, from uint64) (*Replay, error) {
	rules, err := policy.Compile(d)
	if err != nil {
		return nil, err
	}
	p := &Replay{rules: rules, from: from, s: New(), count: New(), live: make(map[custody.RequestID]*replayed)}
	p.count.Rules, p.count.Doc = rules, rules.Document()
	return p, nil
}

// Add takes the next entry of the log: the leaf, its hash, and its first body as [DecodeBody] gives it. The caller has checked that they belong together.
func (p *Replay) Add(l entry.Leaf, hash [32]byte, body any) error {
	if l.Seq == p.from {
		p.begin(l)
	}
	if l.Seq > 0 {
		if err := p.decided(l, body); err != nil {
			return fmt.Errorf("entry %d: %w", l.Seq, err)
		}
	}
	if err := p.s.Apply(l, hash, body); err != nil {
		return err
	}
	p.tree.Append(hash)
	p.settle(l, body)
	return nil
}

// Size is how many entries were added.
func (p *Replay) Size() uint64 { return p.tree.Size() }

// Root is the root of their tree.
func (p *Replay) Root() [32]byte { return p.tree.Root() }

// Report tells what was found so far.
func (p *Replay) Report() Report {
	out := p.out
	out.V, out.Authority, out.Document, out.From, out.Size, out.Root = 1, p.s.Authority, p.rules.Hash(), p.from, p.tree.Size(), p.tree.Root()
	out.Differ = slices.Clone(p.out.Differ)
	return out
}

// Document gives the rule document that is in force at the end of what was added, and the entry that made it.
func (p *Replay) Document() (hash [32]byte, seq uint64) {
	if p.s.Rules == nil {
		return hash, 0
	}
	return p.s.Rules.Hash(), p.s.docs[len(p.s.docs)-1]
}

// begin takes over what limits have counted so far as a change of the document does: where limit, window and grouping are the same.
func (p *Replay) begin(l entry.Leaf) {
	p.begun = true
	for key, m := range p.s.meters {
		if x, ok := p.rules.Limit(m.limit); !ok || p.count.keyOf(x, m.group) != key || len(m.used) == 0 {
			continue
		}
		p.count.meters[key] = &meter{limit: m.limit, group: m.group, window: m.window, used: slices.Clone(m.used)}
		p.count.watch(key, p.count.meters[key])
	}
	for id, x := range p.live {
		if waits, ok := p.s.pending[id]; ok {
			p.hold(x, waits.Decision)
		}
	}
}

// hold reserves what a decision takes from limits.
func (p *Replay) hold(x *replayed, d policy.Decision) {
	x.held = &Pending{Decision: d}
	p.count.reserve(x.held)
}

func (p *Replay) release(x *replayed) {
	if x.held != nil {
		p.count.release(x.held)
		x.held = nil
	}
}

// decided makes the decision of an entry again, in the state before it.
func (p *Replay) decided(l entry.Leaf, body any) error {
	at := Moment{l.Time, l.Bound}
	switch b := body.(type) {
	case *entry.Request:
		return p.request(l, at, b)
	case *entry.Permit:
		return p.permit(l, at, b)
	case *entry.Effect:
		return p.effect(l, at, b)
	}
	return nil
}

func (p *Replay) request(l entry.Leaf, at Moment, b *entry.Request) error {
	asked, err := AskedOf(b)
	if err != nil {
		return err
	}
	r := asked.Request
	x := &replayed{asked: asked, taken: b.Decision.Outcome == policy.Allowed, seq: l.Seq}
	p.live[r.Ident] = x
	p.count.expiry.push(deadline{at: r.NotAfter, seq: l.Seq, request: r.Ident})
	if !p.begun {
		return nil
	}
	c, d := p.judge(asked, at)
	d = p.count.limited(c, Charge(c, d, FeeCap(asked.Bounds, d), false), nil, at)
	d = p.inTime(r, d, at)
	p.compare(l, ActRequest, asked, b.Decision, d, nil)
	if x.taken = d.Outcome == policy.Allowed; x.taken {
		p.hold(x, d)
	}
	return nil
}

// inTime refuses what lives longer than the floor lets requests live, and what ends before a delay does.
func (p *Replay) inTime(r *request.Parsed, d policy.Decision, at Moment) policy.Decision {
	refuse := func(criterion, observed string) policy.Decision {
		return policy.Decision{Outcome: policy.Denied, Rule: policy.RuleFloor, Unmet: []problem.Unmet{{Rule: policy.RuleFloor, Criterion: criterion, Observed: observed}}}
	}
	ttl := min(p.rules.Floor().RequestTTL, request.MaxLifetime)
	switch {
	case r.NotAfter*1e9 > at.Time-at.Bound+ttl*1e9:
		return refuse("floor.requestTTL", fmt.Sprintf("notAfter is more than %d seconds ahead", ttl))
	case d.Outcome == policy.Allowed && d.Delay > 0 && r.NotAfter*1e9 <= at.Time+at.Bound+d.Delay*1e9:
		return refuse("delay", fmt.Sprintf("notAfter comes before the end of a delay of %d seconds", d.Delay))
	default:
		return d
	}
}

func (p *Replay) permit(l entry.Leaf, at Moment, b *entry.Permit) error {
	x, ok := p.live[b.Request]
	if !ok {
		return errors.New("permits what was not asked for")
	}
	before := x.fee
	x.fee = b.Fee
	if !p.begun || !x.taken {
		return nil
	}
	fee, more := b.Fee, b.Attempt > 1
	if more {
		fee, _ = b.Fee.Sub(before)
	}
	p.act(l, at, ActPermit, x, b.Decision, func(policy.Decision) custody.Uint256 { return fee }, more)
	return nil
}

func (p *Replay) effect(l entry.Leaf, at Moment, b *entry.Effect) error {
	x, ok := p.live[b.Request]
	if !ok {
		return errors.New("carries out what was not asked for")
	}
	if p.begun && x.taken {
		p.act(l, at, ActEffect, x, b.Decision, func(d policy.Decision) custody.Uint256 { return FeeCap(x.asked.Bounds, b.Decision, d) }, false)
	}
	return nil
}

// act makes the decision of a permit or an effect again, and counts what it uses.
func (p *Replay) act(l entry.Leaf, at Moment, act string, x *replayed, was policy.Decision, fee func(policy.Decision) custody.Uint256, more bool) {
	c, d := p.judge(x.asked, at)
	var own []reservation
	if x.held != nil {
		own = x.held.reserved
	}
	d = p.count.limited(c, Charge(c, d, fee(d), more), own, at)
	var lacks []problem.Unmet
	if waits, ok := p.s.pending[x.asked.Request.Ident]; ok && d.Outcome == policy.Allowed {
		_, lacks = d.MetIn(p.rules, waits.Initiator, policy.Anytime(p.s.votes(waits, at)))
	}
	p.compare(l, act, x.asked, was, d, lacks)
	if d.Outcome == policy.Allowed {
		p.count.use(d.Limits, l)
	}
	p.release(x)
}

// checkReplay says whether a change of the rules comes with the replay that the rules require: of all that was decided since they took force, at least.
// What it found is for who approves to see.
func (s *State) checkReplay(body request.Body) error {
	b, ok := body.(*request.PolicyChangeBody)
	if !ok {
		return nil
	}
	made := s.docs[len(s.docs)-1]
	switch r := b.Replay; {
	case r == nil && s.Doc.ReplayRequired:
		return &problem.Error{Kind: problem.RefusedByRule, Rule: policy.RuleReplay, Detail: "the rules require that a change comes with a replay of the log: 'strongroom policy propose --replay'",
			Unmet: []problem.Unmet{{Rule: policy.RuleReplay, Criterion: "replayRequired", Observed: "no replay"}}}
	case r == nil:
		return nil
	case r.Size > s.Next:
		return problem.New(problem.Conflict, "the replay is of %d entries; the log has %d", r.Size, s.Next)
	case s.Doc.ReplayRequired && (r.From > made+1 || r.Size <= made):
		return problem.New(problem.Conflict, "the replay is of the entries from %d to %d; the rules took force in entry %d, and all that was decided since must be in it: make it again", r.From, r.Size-1, made)
	default:
		return nil
	}
}

// judge evaluates the document for a request in the state as it is, limits apart.
func (p *Replay) judge(asked Asked, at Moment) (*policy.Case, policy.Decision) {
	r := asked.Request
	as := *p.s // only read
	as.under = p.rules
	x, err := as.describe(r, asked.Kind, asked.Simulation, at, recorded(asked))
	if err != nil {
		d := policy.Decision{Outcome: policy.Denied, Rule: policy.RuleDefaultDeny, Unmet: []problem.Unmet{{Rule: "facts", Criterion: string(problem.KindOf(err)), Observed: strings.ToValidUTF8(err.Error()[:min(len(err.Error()), policy.MaxObserved)], "")}}}
		return p.rules.Case(policy.Facts{}), d
	}
	c := p.rules.Case(x.facts)
	d := c.Decide()
	if x.document != nil && d.Outcome == policy.Allowed {
		// What a change needs besides is a matter of the document that it changes.
		d = p.rules.Require(d, r.Initiator, policy.Requirements(p.s.Doc, *x.document))
	}
	return c, d
}

// judging gives the rules that requests are described under.
func (s *State) judging() *policy.Rules {
	if s.under != nil {
		return s.under
	}
	return s.Rules
}

// recorded stands for the derivation of addresses: the only one that rules look at is the one that pays, which the log has.
func recorded(asked Asked) Deriver {
	return func(entry.Wallet, entry.KeyPath) (Derived, error) { return Derived{Address: asked.Effects.Source}, nil }
}

// compare notes a decision that differs.
func (p *Replay) compare(l entry.Leaf, act string, asked Asked, was, would policy.Decision, lacks []problem.Unmet) {
	p.out.Decisions++
	was, would = ruling(was), ruling(would)
	if len(lacks) == 0 && bytes.Equal(canon.Encode(without(was)), canon.Encode(without(would))) {
		return
	}
	r := asked.Request
	p.out.Differ = append(p.out.Differ, Difference{Seq: l.Seq, Act: act, Request: r.Ident, Operation: r.Operation, Initiator: r.Initiator, Was: was, Would: would, Lacks: lacks})
}

// ruling is a decision as reports have it.
func ruling(d policy.Decision) policy.Decision {
	d.Version, d.Hash, d.Limits, d.Prices, d.Screening = 0, [32]byte{}, nil, nil, nil
	return d
}

// without is a ruling without its explanation.
func without(d policy.Decision) policy.Decision {
	d.Unmet = nil
	return d
}

// settle gives free what ended with an entry, or since the one before.
func (p *Replay) settle(l entry.Leaf, body any) {
	switch b := body.(type) {
	case *entry.Approval:
		p.ended(b.Approval.Request)
	case *entry.Refusal:
		p.ended(b.Request)
	case *entry.Gap:
		if !b.Whole {
			for _, id := range slices.SortedFunc(maps.Keys(p.live), func(a, b custody.RequestID) int { return bytes.Compare(a[:], b[:]) }) {
				p.release(p.live[id])
			}
			if p.begun {
				p.count.useUp(l)
			}
		}
	}
	for q := &p.count.expiry; len(*q) > 0 && past((*q)[0].at, l); {
		d := heap.Pop((*deadlines)(q)).(deadline)
		p.count.endUses(d, l)
		if x, ok := p.live[d.request]; ok && x.seq == d.seq {
			p.release(x)
			delete(p.live, d.request)
		}
	}
}

// ended gives free what a request held that waits no more.
func (p *Replay) ended(id custody.RequestID) {
	if _, waits := p.s.pending[id]; waits {
		return
	}
	if x, ok := p.live[id]; ok {
		p.release(x)
	}
}
