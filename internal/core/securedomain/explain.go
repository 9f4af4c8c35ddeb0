// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"context"
	"slices"

	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// serveExplained registers the methods that tell what the rules make of requests. None changes the state.
func (d *Domain) serveExplained(m *gate.Mux) {
	show(d, m, message.MethodExplain, d.Explain)
	show(d, m, message.MethodSimulate, d.Simulate)
	show(d, m, message.MethodLimits, func(_ context.Context, in message.LimitsAsk) (message.Limits, error) { return d.Limits(in) })
}

// Explain tells what the rules made of a request and make of it now: how each rule sees it, what limits have left, which approvals it has and lacks.
func (d *Domain) Explain(ctx context.Context, in message.ByID) (message.Explained, error) {
	v, err := d.Request(ctx, in.ID)
	if err != nil {
		return message.Explained{}, err
	}
	out := message.Explained{ID: v.ID, State: v.State, Seq: v.Seq, Recorded: &v.Decision, Approvals: v.Approvals, Missing: v.Missing}
	asked, err := d.askedOf(ctx, v)
	if err != nil {
		return message.Explained{}, err
	}
	votes := make([]authority.Vote, 0, len(v.Approvals))
	for _, a := range v.Approvals {
		votes = append(votes, authority.Vote(a))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	p, _ := d.state.Pending(in.ID) // nil where it does not wait, or not any more
	d.explained(&out, asked, p, votes)
	return out, nil
}

// askedOf gives a request as its entry records it.
func (d *Domain) askedOf(ctx context.Context, v message.Request) (authority.Asked, error) {
	if err := d.waitFor(ctx, v.Seq); err != nil {
		return authority.Asked{}, err
	}
	e, err := d.entryOf(ctx, v.Seq)
	if err != nil {
		return authority.Asked{}, err
	}
	asked, err := authority.AskedOf(e)
	if err != nil {
		return asked, problem.Wrap(problem.Internal, err, "read the request of entry %d", v.Seq)
	}
	return asked, nil
}

// explained adds what the rules say now. The caller holds mu.
func (d *Domain) explained(out *message.Explained, asked authority.Asked, p *authority.Pending, votes []authority.Vote) {
	r := d.cfg.Clock.Now()
	out.Uncertain, out.Version, out.Hash = !r.Certain, d.state.Doc.Version, d.state.Rules.Hash()
	x, err := d.state.Explain(asked, p, votes, d.moment(r), d.derive)
	out.Now, out.Unfit = x, problemOf(err)
}

// Simulate tells what would be decided about a request if it were handed in now. It records nothing and holds nothing of limits; a request that would not
// be taken is no failure but is told in the answer. The
// idempotency key is not looked at.
func (d *Domain) Simulate(_ context.Context, in message.Simulate) (message.Explained, error) {
	r, err := request.Parse(in.Request)
	if err != nil {
		return message.Explained{}, problem.New(problem.Malformed, "%v", err)
	}
	if in.Evidence != policy.BySignature && in.Evidence != policy.BySession {
		return message.Explained{}, problem.New(problem.Malformed, "evidence is %q or %q", policy.BySignature, policy.BySession)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	out := message.Explained{ID: r.Ident, Version: d.state.Doc.Version, Hash: d.state.Rules.Hash()}
	clock := d.cfg.Clock.Now()
	at := d.moment(clock)
	e, err := d.state.DecideRequestWith(r, in.Evidence, authority.ReadSimulation(in.Simulation), at, d.derive)
	if err != nil {
		// Nothing else is told: who has no power for a request learns no more than where they hand it in.
		out.Unfit = problemOf(err)
		out.Uncertain = !clock.Certain
		return out, nil
	}
	asked := authority.Asked{Request: r, Effects: e.Effects, Bounds: e.Bounds, Kind: in.Evidence, Simulation: e.Facts.Simulation}
	d.explained(&out, asked, nil, nil)
	out.Missing = problemOf(authority.Refused(e.Decision))
	return out, nil
}

// maxMeters is how many meters one answer lists.
const maxMeters = 1000

// Limits tells what limits have counted.
func (d *Domain) Limits(in message.LimitsAsk) (message.Limits, error) {
	d.mu.Lock()
	if _, ok := d.state.Rules.Limit(in.Limit); in.Limit != "" && !ok {
		d.mu.Unlock()
		return message.Limits{}, problem.New(problem.NotFound, "the rule document has no limit %q", in.Limit)
	}
	names := d.state.MeterNames(in.Limit)
	d.mu.Unlock()
	slices.SortFunc(names, authority.CompareMeters) // without the sequencer: there may be 200,000
	out := message.Limits{Total: uint64(len(names))}
	from := min(in.From, out.Total)
	names = names[from:min(from+min(max(in.Most, 1), maxMeters), out.Total)]

	d.mu.Lock()
	defer d.mu.Unlock()
	at := d.moment(d.cfg.Clock.Now())
	for _, n := range names {
		m, ok := d.state.Meter(n, at)
		if !ok {
			continue // the document has changed meanwhile
		}
		out.Meters = append(out.Meters, m)
		if i := len(out.Limits); i == 0 || out.Limits[i-1].ID != m.Limit {
			l, _ := d.state.Rules.Limit(m.Limit)
			out.Limits = append(out.Limits, l)
		}
	}
	return out, nil
}
