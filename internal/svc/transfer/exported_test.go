// SPDX-License-Identifier: Apache-2.0

package transfer_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/problem"
	"strongroom/internal/svc/transfer"
	"strongroom/internal/svc/transfer/transfertest"
)

// farCore is a core whose signatures come from an offline domain: what it signs is told only when the result is in.
type farCore struct {
	gate.Door
	in atomic.Bool
}

func (c *farCore) Call(ctx context.Context, method string, body []byte) ([]byte, error) {
	out, err := c.Door.Call(ctx, method, body)
	if err != nil || c.in.Load() {
		return out, err
	}
	switch method {
	case message.MethodSign:
		var x message.Signed
		if err := canon.Decode(out, &x); err != nil {
			return nil, err
		}
		return canon.Encode(message.Signed{Attempt: x.Attempt, Permit: x.Permit, Exported: true}), nil
	case message.MethodRequest:
		var v message.Request
		if err := canon.Decode(out, &v); err != nil {
			return nil, err
		}
		if v.State == message.StateSigned {
			v.State, v.Signed = message.StateExported, &message.Signed{Attempt: v.Signed.Attempt, Permit: v.Signed.Permit, Exported: true}
		}
		return canon.Encode(v), nil
	}
	return out, nil
}

// What an offline domain has to sign waits as exported, across restarts and a lost cache, holds up nothing, and goes on when its result is in.
func TestExportedWaitsForItsResult(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]bool{"kept": false, "the cache is lost": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			far := &farCore{Door: h.core}
			h.far = far
			h.start()
			id, next := h.ask("a", 0), h.ask("b", 0)
			h.tick()
			h.tick()
			h.want(id, transfer.Exported)
			h.want(next, transfer.Exported) // the nonce before it has a permit: nothing is missing
			if _, err := h.worker.Sign(t.Context(), id); problem.KindOf(err) != problem.KeyAway {
				t.Errorf("asked for: %v", err)
			}
			if lose {
				h.store = transfertest.NewMemory()
				h.start()
				h.fold()
			}
			h.pass(2 * time.Minute)
			h.tick()
			h.want(id, transfer.Exported)
			far.in.Store(true)
			h.pass(2 * time.Minute)
			h.tick()
			h.want(id, transfer.InMempool)
			h.pass(2 * time.Minute)
			h.tick()
			h.want(next, transfer.InMempool)
			h.node.mine(need)
			h.pass(time.Minute)
			h.tick()
			h.want(id, transfer.Final)
			h.check()
		})
	}
}
