// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"net/http"
	"net/url"

	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/verdict"
)

// What is known of screening, and signed verdicts.
type (
	Screening       = apiv1.Screening
	ScreeningView   = apiv1.ScreeningView
	VerdictView     = apiv1.VerdictView
	SignedVerdict   = verdict.Signed
	StatementsTaken = apiv1.StatementsTaken
)

// Screening tells what sources of screening said last, as serve tells it: of one source where it is named, and on one subject where it is: a chain, a colon and an
// address, or the hash of a request.
func (c *Client) Screening(ctx context.Context, source, subject string) (s Screening, err error) {
	q := url.Values{}
	for k, v := range map[string]string{"source": source, "subject": subject} {
		if v != "" {
			q.Set(k, v)
		}
	}
	return s, c.get(ctx, "/v1/verdicts", q, &s)
}

// SubmitVerdicts hands in signed verdicts.
func (c *Client) SubmitVerdicts(ctx context.Context, verdicts []SignedVerdict) (t StatementsTaken, err error) {
	var in apiv1.VerdictsIn
	for _, v := range verdicts {
		in.Verdicts = append(in.Verdicts, v.Encode())
	}
	return t, c.call(ctx, http.MethodPost, "/v1/verdicts", nil, in, &t)
}
