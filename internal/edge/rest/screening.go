// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"encoding/hex"
	"strings"

	"strongroom/internal/gate/message"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/verdict"
)

// submitVerdicts is POST /v1/verdicts. What is no verdict is refused whole, so that nobody takes a part for all.
func (s *Server) submitVerdicts(c *call) error {
	var in apiv1.VerdictsIn
	if err := c.read(&in); err != nil {
		return err
	}
	if n := len(in.Verdicts); n == 0 || n > entry.MaxVerdicts {
		return problem.New(problem.Malformed, "%d verdicts; want 1 to %d", n, entry.MaxVerdicts)
	}
	var m message.Verdicts
	for i, b := range in.Verdicts {
		v, err := verdict.Decode(b)
		if err != nil {
			return problem.New(problem.Malformed, "verdict %d: %v", i, err)
		}
		m.Verdicts = append(m.Verdicts, v)
	}
	t, err := ask[message.StatementsTaken](c.ctx(), s.cfg.Core, message.MethodVerdicts, m)
	if err != nil {
		return err
	}
	return c.reply(taken(t))
}

// taken gives what became of quotes or verdicts.
func taken(t message.StatementsTaken) apiv1.StatementsTaken {
	out := apiv1.StatementsTaken{Entry: t.Entry, Taken: t.Taken, Same: t.Same, Refused: []apiv1.StatementRefused{}}
	for _, x := range t.Refused {
		out.Refused = append(out.Refused, apiv1.StatementRefused(x))
	}
	return out
}

// listVerdicts is GET /v1/verdicts.
func (s *Server) listVerdicts(c *call) error {
	in := message.ScreeningAsk{Source: c.arg("source")}
	var err error
	if in.Most, err = c.number("limit", message.MaxVerdictsShown, 1, message.MaxVerdictsShown); err != nil {
		return err
	}
	if in.Subject, err = subject(c.arg("subject")); err != nil {
		return err
	}
	m, err := ask[message.Screening](c.ctx(), s.cfg.Core, message.MethodScreening, in)
	if err != nil {
		return err
	}
	out := apiv1.Screening{Sources: screeningViews(m.Sources), Verdicts: []apiv1.VerdictView{}, Says: apiv1.ScreenedOf(m.Says), Time: apiv1.Time(m.Time)}
	for _, v := range m.Verdicts {
		out.Verdicts = append(out.Verdicts, apiv1.VerdictViewOf(v.Verdict, v.Signer, v.Entry, v.Fresh))
	}
	return c.reply(out)
}

// subject reads a chain, a colon and an address, or the hash of a request; nothing is no subject.
func subject(text string) (*verdict.Subject, error) {
	if text == "" {
		return nil, nil
	}
	x := verdict.Subject{}
	if i := strings.LastIndexByte(text, ':'); i >= 0 {
		x = verdict.OfAddress(custody.ChainID(text[:i]), text[i+1:])
	} else if b, err := hex.DecodeString(text); err == nil {
		x.Request = b
	}
	if err := x.Check(); err != nil {
		return nil, problem.New(problem.Malformed, "query parameter subject: want a chain, a colon and an address, or the hash of a request: %v", err)
	}
	return &x, nil
}

func screeningViews(list []message.ScreeningSource) []apiv1.ScreeningView {
	out := []apiv1.ScreeningView{}
	for _, x := range list {
		out = append(out, apiv1.ScreeningView{ID: x.ID, Kept: x.Kept, Newest: x.Newest, MaxAge: x.MaxAge, Silent: x.Silent})
	}
	return out
}
