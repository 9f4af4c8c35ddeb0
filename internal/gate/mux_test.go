// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/problem"
)

type (
	pingRequest struct {
		N uint64 `cbor:"1,keyasint"`
	}
	pingReply struct {
		Sum uint64 `cbor:"1,keyasint"`
	}
)

func pingMux() *Mux {
	m := NewMux()
	Handle(m, "ping", func(_ context.Context, by Caller, q pingRequest) (pingReply, error) {
		if q.N == 13 {
			return pingReply{}, problem.New(problem.Forbidden, "not 13")
		}
		return pingReply{q.N + 1}, nil
	})
	Handle(m, "other", func(context.Context, Caller, struct{}) (string, error) { return "text", nil })
	return m
}

func TestMux(t *testing.T) {
	t.Parallel()
	m := pingMux()
	if got := m.Methods(); !reflect.DeepEqual(got, []string{"other", "ping"}) {
		t.Errorf("methods %v", got)
	}
	c := dial(t, start(t, m.Dispatch))
	ctx := t.Context()
	if got, err := Call[pingRequest, pingReply](ctx, c, "ping", pingRequest{41}); err != nil || got.Sum != 42 {
		t.Errorf("got %+v, %v", got, err)
	}
	_, err := Call[pingRequest, pingReply](ctx, c, "ping", pingRequest{13})
	wantKind(t, err, problem.Forbidden)
	_, err = Call[pingRequest, pingReply](ctx, c, "pong", pingRequest{})
	wantKind(t, err, problem.Unsupported)
	_, err = Call[struct{}, pingReply](ctx, c, "other", struct{}{})
	if !errors.Is(err, ErrReply) {
		t.Errorf("reply of another type: %v", err)
	}
	type wider struct {
		N uint64 `cbor:"1,keyasint"`
		M uint64 `cbor:"2,keyasint"`
	}
	_, err = Call[wider, pingReply](ctx, c, "ping", wider{1, 2})
	wantKind(t, err, problem.Malformed)
	for name, body := range map[string][]byte{"empty": nil, "trailing": append(canon.Encode(pingRequest{1}), 0), "not shortest": {0xa1, 1, 0x18, 1}} {
		_, err := c.Call(ctx, "ping", body)
		if p := wantKind(t, err, problem.Malformed); !strings.HasPrefix(p.Detail, "request ping: ") {
			t.Errorf("%s: %s", name, p.Detail)
		}
	}
	_, err = c.Call(ctx, "ping", make([]byte, canon.MaxSize+1))
	wantKind(t, err, problem.TooLarge)
	for _, bad := range []string{"ping", "", "Ping", "a b"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q was registered", bad)
				}
			}()
			Handle(m, bad, func(context.Context, Caller, struct{}) (struct{}, error) { return struct{}{}, nil })
		}()
	}
}
