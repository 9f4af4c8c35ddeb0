// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"

	"strongroom/client"
	"strongroom/internal/app/words"
	"strongroom/internal/pure/policy"
)

// reason is why somebody asks for an act of oversight; it is in the log for ever.
type reason struct {
	Reason string `required:"" placeholder:"TEXT" help:"Why, for everybody who reads the log; one line of up to 200 bytes, and nothing secret."`
}

type domainFreeze struct {
	sending
	reason
}

// Run freezes the domain.
func (c *domainFreeze) Run(e *env) error {
	return askAbout(e, c.sending, statusMode, func(client.Mode) (client.Body, error) { return &client.Freeze{Reason: c.Reason}, nil })
}

type domainUnfreeze struct {
	sending
	reason
}

// Run asks to end a freeze.
func (c *domainUnfreeze) Run(e *env) error {
	return askAbout(e, c.sending, statusMode, func(m client.Mode) (client.Body, error) {
		if m.Mode != policy.Frozen {
			return nil, &hinted{err: fmt.Errorf("the domain is not frozen; it is %s", m.Mode), hint: "'strongroom domain resume' ends a drain", code: exitConflict}
		}
		return &client.Unfreeze{Since: m.Since, Reason: c.Reason}, nil
	})
}

type domainDrain struct {
	sending
	reason
}

// Run asks to drain the domain.
func (c *domainDrain) Run(e *env) error {
	return askAbout(e, c.sending, statusMode, func(m client.Mode) (client.Body, error) {
		return &client.Drain{Since: m.Since, Reason: c.Reason}, nil
	})
}

type domainResume struct {
	sending
	reason
}

// Run asks to end a freeze or a drain by the break-glass plan.
func (c *domainResume) Run(e *env) error {
	return askAbout(e, c.sending, statusMode, func(m client.Mode) (client.Body, error) {
		if m.Mode == policy.Normal {
			return nil, &hinted{err: errors.New("the domain is in its normal state; there is nothing to resume"), code: exitConflict}
		}
		return &client.Resume{Since: m.Since, Reason: c.Reason}, nil
	})
}

// askAbout reads a part of the status, shows what is about to be asked for in words, and asks.
func askAbout[T any](e *env, s sending, part func(client.Status) T, body func(T) (client.Body, error)) error {
	cl, err := e.client()
	if err != nil {
		return err
	}
	st, err := cl.Status(e.ctx)
	if err != nil {
		return err
	}
	b, err := body(part(st))
	if err != nil {
		return err
	}
	for _, l := range words.Body(b, "") {
		e.say("  %s", l)
	}
	return s.send(e, cl, b)
}

// statusMode is the operational state, and statusLife where the domain stands in its life.
func statusMode(s client.Status) client.Mode { return s.Mode }
func statusLife(s client.Status) client.Life { return s.Life }

type requestHold struct {
	requestID
	sending
	reason
}

// Run holds a request of anybody.
func (c *requestHold) Run(e *env) error {
	cl, id, err := c.open(e)
	if err != nil {
		return err
	}
	return c.send(e, cl, &client.RequestHold{Request: id[:], Reason: c.Reason})
}

type requestRelease struct {
	requestID
	Hold uint64 `placeholder:"ENTRY" help:"Entry that holds it. Default: the hold that there is, which is shown."`
	sending
	reason
}

// Run asks to release it.
func (c *requestRelease) Run(e *env) error {
	cl, id, err := c.open(e)
	if err != nil {
		return err
	}
	hold := c.Hold
	if hold == 0 {
		if hold, err = c.held(e, cl, id); err != nil {
			return err
		}
	}
	return c.send(e, cl, &client.RequestRelease{Request: id[:], Hold: hold, Reason: c.Reason})
}

// held gives the entry that holds the request, and shows whose hold it is. There is one at most; what is asked for names it, so that it ends no later one.
func (requestRelease) held(e *env, cl *client.Client, id client.RequestID) (uint64, error) {
	v, err := cl.Request(e.ctx, id)
	if err != nil {
		return 0, err
	}
	if v.Hold == nil {
		return 0, &hinted{err: fmt.Errorf("nobody holds request %s; it is %s", id, v.State), code: exitConflict}
	}
	e.say("  %s", e.holdWords(*v.Hold))
	return v.Hold.Entry, nil
}

// holdWords says who holds a request, since when and why.
func (e *env) holdWords(h client.Hold) string {
	return fmt.Sprintf("held by %s since entry %d: %s", e.person(h.By), h.Entry, words.Plain(h.Reason))
}

// modePairs shows the operational state where there is something to say, and what the domain goes on without.
func (e *env) modePairs(s client.Status) (out []pair) {
	if m := s.Mode; m.Mode != policy.Normal && m.Mode != "" {
		text := fmt.Sprintf("since entry %d", m.Since)
		if m.By != "" {
			text += ", by " + e.person(m.By)
		}
		if m.Until != "" {
			text += ", until " + m.Until
		}
		out = append(out, pair{map[policy.Mode]string{policy.Frozen: "FROZEN", policy.Draining: "DRAINING"}[m.Mode], text + ": " + words.Plain(m.Reason)})
	}
	if s.OnHold > 0 {
		out = append(out, pair{"held requests", fmt.Sprint(s.OnHold)})
	}
	if s.PriceAge > 0 {
		out = append(out, pair{"prices", fmt.Sprintf("oldest quote in use %d seconds old", s.PriceAge)})
	}
	for _, x := range s.Screening {
		since := "nothing yet"
		if x.Newest > 0 {
			since = "the last of " + words.Unix(x.Newest)
		}
		out = append(out, pair{"screening", fmt.Sprintf("%s: %d verdicts, %s", x.ID, x.Kept, since)})
	}
	for _, d := range s.Degraded {
		out = append(out, pair{"DEGRADED", d})
	}
	return out
}
