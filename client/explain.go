// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"strongroom/internal/pure/apiv1"
)

// Explain tells why the rules say what they say of a request, and what they say now. It is serve's word.
func (c *Client) Explain(ctx context.Context, id RequestID) (x Explanation, err error) {
	return x, c.get(ctx, "/v1/requests/"+id.String()+"/explanation", nil, &x)
}

// Simulate tells what would be decided about a request if it were handed in now. Nothing is signed or recorded.
func (c *Client) Simulate(ctx context.Context, r Request) (x Explanation, err error) {
	b, err := r.DecodeBody()
	if err != nil {
		return x, err
	}
	body, err := json.Marshal(b)
	if err != nil {
		return x, fmt.Errorf("simulate: %w", err)
	}
	in := apiv1.SimulationIn{Request: apiv1.Request{Authority: r.Authority.String(), Domain: r.Domain.String(), Initiator: r.Initiator, Operation: r.Operation,
		Body: body, NotAfter: r.NotAfter}}
	return x, c.call(ctx, http.MethodPost, "/v1/simulations", nil, in, &x)
}

// Limits tells what limits have counted, or one of them; limit may be empty.
func (c *Client) Limits(ctx context.Context, limit, cursor string, most int) (l MeterList, err error) {
	q := page(cursor, most)
	if limit != "" {
		q.Set("limit-id", limit)
	}
	return l, c.get(ctx, "/v1/limits", q, &l)
}
