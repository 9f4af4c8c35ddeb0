// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"fmt"
)

// Redialer keeps a client for a path and dials again when it is gone. Its methods are safe for concurrent use.
type Redialer struct {
	path string
	turn chan struct{} // holds the one token that guards client and closed; a channel, because waiting for a dial must end with ctx

	client *Client
	closed bool
}

// NewRedialer makes a redialer. It dials when first used.
func NewRedialer(path string) *Redialer {
	r := &Redialer{path: path, turn: make(chan struct{}, 1)}
	r.turn <- struct{}{}
	return r
}

// Client gives the live client, or dials. Callers that come meanwhile wait for that dial. It does not pause between failed dials.
func (r *Redialer) Client(ctx context.Context) (*Client, error) {
	select {
	case <-r.turn:
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for the door: %w", ctx.Err())
	}
	defer func() { r.turn <- struct{}{} }()
	if r.closed {
		return nil, &ClosedError{Cause: errLocal}
	}
	if r.client != nil {
		select {
		case <-r.client.Done():
		default:
			return r.client, nil
		}
	}
	c, err := Dial(ctx, r.path)
	if err != nil {
		return nil, err
	}
	r.client = c
	return c, nil
}

// Call is [Client.Call] on the live client. A call that was never sent, because the connection had just ended, is made once more on a new
// one. One that may have been sent never is: that is for the caller, who knows the idempotency key.
func (r *Redialer) Call(ctx context.Context, method string, body []byte) ([]byte, error) {
	c, err := r.Client(ctx)
	if err != nil {
		return nil, err
	}
	b, err := c.Call(ctx, method, body)
	if closed, ok := errors.AsType[*ClosedError](err); !ok || closed.Sent {
		return b, err
	}
	select { // the client says that it ended a moment before Done does
	case <-c.Done():
	case <-ctx.Done():
		return nil, err
	}
	if c, err = r.Client(ctx); err != nil {
		return nil, err
	}
	return c.Call(ctx, method, body)
}

// Close closes the client and dials no more.
func (r *Redialer) Close() error {
	<-r.turn
	defer func() { r.turn <- struct{}{} }()
	r.closed = true
	if r.client == nil {
		return nil
	}
	return r.client.Close()
}
