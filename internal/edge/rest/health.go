// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"context"
	"sync"
	"time"

	"strongroom/internal/gate/message"
	"strongroom/internal/pure/apiv1"
)

const (
	healthAge  = time.Second     // how long an answer about the core's health is given again
	healthTime = 2 * time.Second // for the core to answer
)

// health remembers whether the core answers: strangers may ask, and all of them together cost the core a call a second.
type health struct {
	mu sync.Mutex // guards all below, and is held while the core is asked
	at time.Time  // of the answer; zero: none
	ok bool
}

func (s *Server) healthy(ctx context.Context) bool {
	h := &s.lives
	h.mu.Lock()
	defer h.mu.Unlock()
	if age := s.cfg.Now().Sub(h.at); !h.at.IsZero() && age >= 0 && age < healthAge {
		return h.ok
	}
	// Not with the caller's context: who hangs up would make the core seem dead for who comes next.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), healthTime)
	defer cancel()
	_, err := ask[message.Empty](ctx, s.cfg.Core, message.MethodPing, message.Empty{})
	h.at, h.ok = s.cfg.Now(), err == nil
	return h.ok
}

func (s *Server) health(c *call) error {
	h := apiv1.Health{Status: "ok"}
	if !s.healthy(c.ctx()) {
		h.Status = "degraded"
	}
	return c.reply(h)
}
