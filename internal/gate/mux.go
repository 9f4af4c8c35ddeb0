// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"fmt"
	"slices"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/problem"
)

// Mux hands each request to the function of its method. Register all methods with [Handle] first; after that it does not change, and
// its Dispatch is safe for concurrent use.
type Mux struct{ methods map[string]Handler }

// NewMux makes a mux without methods.
func NewMux() *Mux { return &Mux{methods: make(map[string]Handler)} }

// Dispatch is the mux as a [Handler]. An unknown method is a problem of kind unsupported.
func (m *Mux) Dispatch(ctx context.Context, by Caller, method string, body []byte) ([]byte, error) {
	h, ok := m.methods[method]
	if !ok {
		return nil, problem.New(problem.Unsupported, "there is no method %q", method)
	}
	return h(ctx, by, method, body)
}

// Methods lists the methods in order.
func (m *Mux) Methods() []string {
	list := make([]string, 0, len(m.methods))
	for name := range m.methods {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

// Handle registers the function of a method. Its requests are decoded strictly, see package canon: one that is not the canonical encoding
// of a Req is a problem of kind malformed, and f does not see it. Req and Rep must be types that canon encodes. Handle panics on a bad
// name and on a method that is registered already.
func Handle[Req, Rep any](m *Mux, method string, f func(ctx context.Context, by Caller, req Req) (Rep, error)) {
	if err := checkMethod(method); err != nil {
		panic(fmt.Sprintf("gate: method %q: %v", method, err))
	}
	if _, ok := m.methods[method]; ok {
		panic(fmt.Sprintf("gate: method %q is registered twice", method))
	}
	m.methods[method] = func(ctx context.Context, by Caller, _ string, body []byte) ([]byte, error) {
		if len(body) > canon.MaxSize {
			return nil, problem.New(problem.TooLarge, "request %s has %d bytes, more than %d", method, len(body), canon.MaxSize)
		}
		var req Req
		if err := canon.Decode(body, &req); err != nil {
			return nil, problem.New(problem.Malformed, "request %s: %v", method, err)
		}
		rep, err := f(ctx, by, req)
		if err != nil {
			return nil, err
		}
		return canon.Encode(rep), nil
	}
}

// Door is what a caller needs of a [Client] or a [Redialer]. The errors are those of [Client.Call].
type Door interface {
	Call(ctx context.Context, method string, body []byte) ([]byte, error)
}

// Call makes a call with a typed request and reply. A reply that is not the canonical encoding of a Rep is [ErrReply].
func Call[Req, Rep any](ctx context.Context, door Door, method string, req Req) (Rep, error) {
	var rep Rep
	b, err := door.Call(ctx, method, canon.Encode(req))
	if err != nil {
		return rep, err
	}
	if err := canon.Decode(b, &rep); err != nil {
		var none Rep
		return none, fmt.Errorf("%s: %w: %w", method, ErrReply, err)
	}
	return rep, nil
}
