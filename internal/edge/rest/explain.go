// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"slices"

	"strongroom/internal/gate/message"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/policy"
)

// explain is GET /v1/requests/{id}/explanation.
func (s *Server) explain(c *call) error {
	id, err := c.requestID()
	if err != nil {
		return err
	}
	if err := s.own(c, id); err != nil {
		return err
	}
	x, err := ask[message.Explained](c.ctx(), s.cfg.Core, message.MethodExplain, message.ByID{ID: id})
	if err != nil {
		return about(id, err)
	}
	return c.reply(explanation(x))
}

// simulated is the idempotency key of what is only simulated; the core does not look at it.
const simulated = "simulated"

// simulate is POST /v1/simulations: a request in JSON, as it would be handed in, without a signature.
func (s *Server) simulate(c *call) error {
	var in apiv1.SimulationIn
	if err := c.read(&in); err != nil {
		return err
	}
	r, err := in.Request.Canonical(s.shapes, simulated)
	if err != nil {
		return err
	}
	if err := c.mayReadOf(r.Initiator); err != nil {
		return err
	}
	if in.Evidence == "" {
		if in.Evidence = policy.BySignature; c.service {
			in.Evidence = policy.BySession
		}
	}
	x, err := ask[message.Explained](c.ctx(), s.cfg.Core, message.MethodSimulate, message.Simulate{Request: r.Encode(), Evidence: in.Evidence, Simulation: s.told(c.ctx(), r)})
	if err != nil {
		return explained(err, r, "")
	}
	out := explanation(x)
	out.Request = ""
	return c.reply(out)
}

func explanation(x message.Explained) apiv1.Explanation {
	out := apiv1.Explanation{Request: x.ID.String(), State: string(x.State), Seq: x.Seq, PolicyVersion: x.Version, PolicyHash: apiv1.Hex(x.Hash[:]),
		Approvals: []apiv1.Vote{}, Missing: lack(x.Missing), Unfit: lack(x.Unfit), Uncertain: x.Uncertain}
	if x.Recorded != nil {
		d := decisionView(message.Request{Decision: *x.Recorded})
		out.Recorded = &d
	}
	for _, v := range x.Approvals {
		out.Approvals = append(out.Approvals, voteView(v))
	}
	if n := x.Now; n != nil {
		now := apiv1.RulesNow{Facts: apiv1.FactsOf(n.Facts), Effects: n.Effects, Bounds: n.Bounds, Decision: decisionView(message.Request{Decision: n.Decision}),
			Rules: append([]policy.Considered{}, n.Considered...), Limits: []apiv1.LimitUse{}, Plans: append([]policy.Progress{}, n.Plans...), Then: n.Then}
		for _, u := range n.Limits {
			now.Limits = append(now.Limits, apiv1.LimitUse{Meter: meterView(u.Meter), Takes: u.Takes, Passed: u.Passed, Effect: u.Effect})
		}
		out.Now = &now
	}
	return out
}

func lack(p *message.Problem) *apiv1.Lack {
	if p == nil {
		return nil
	}
	return &apiv1.Lack{Kind: p.Kind, Detail: p.Detail, Rule: p.Rule, Unmet: p.Unmet}
}

func meterView(m authority.Meter) apiv1.Meter {
	out := apiv1.Meter{Limit: m.Limit, Group: m.Group, Max: m.Max, Used: m.Used, Reserved: m.Reserved, Left: m.Left}
	if m.Frees > 0 {
		out.Frees = apiv1.Time(m.Frees * 1e9)
	}
	return out
}

// listLimits is GET /v1/limits.
func (s *Server) listLimits(c *call) error {
	limit, err := c.number("limit", 100, 1, 1000)
	if err != nil {
		return err
	}
	from, err := c.after(listLimits)
	if err != nil {
		return err
	}
	m, err := ask[message.Limits](c.ctx(), s.cfg.Core, message.MethodLimits, message.LimitsAsk{Limit: c.arg("limit-id"), From: from, Most: limit})
	if err != nil {
		return err
	}
	out := apiv1.MeterList{Meters: []apiv1.Meter{}}
	for _, x := range m.Meters {
		v := meterView(x)
		if i := slices.IndexFunc(m.Limits, func(l policy.Limit) bool { return l.ID == x.Limit }); i >= 0 {
			l, w := m.Limits[i], apiv1.Window(m.Limits[i].Window)
			v.Title, v.Measure, v.Currency, v.Window, v.GroupBy = l.Title, l.Measure, l.Currency, &w, l.GroupBy
		}
		out.Meters = append(out.Meters, v)
	}
	if from+limit < m.Total {
		out.Next = cursor(listLimits, from+limit)
	}
	return c.reply(out)
}
