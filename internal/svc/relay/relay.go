// SPDX-License-Identifier: Apache-2.0

// Package relay is serve's side of the core's relay: it takes messages at the door, has them carried, and gives back what came. It reads
// none of them. It connects only to targets that the configuration names; everything else is refused by whoever carries.
package relay

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"strongroom/internal/gate"
	wire "strongroom/internal/gate/relay"
)

// Carrier carries messages to targets by name. Methods are safe for concurrent use; ctx bounds them.
type Carrier interface {
	// Exchange carries a message and gives what came back, at most [wire.MaxBody] bytes. Status is of HTTP, else 0.
	Exchange(ctx context.Context, kind, target string, body []byte) (status int, reply []byte, err error)
	// Dial opens a connection.
	Dial(ctx context.Context, kind, target string) (net.Conn, error)
}

// Config is what a relay needs. All fields are required.
type Config struct {
	Core    gate.Door
	Carrier Carrier
	Log     *slog.Logger
}

// Relay carries messages for a core.
type Relay struct {
	cfg     Config
	session wire.Session
	room    chan struct{} // a token for each message on its way
}

const (
	atOnce = 64               // messages on their way at a time
	retry  = time.Second      // after the door could not be used
	pull   = 20 * time.Second // how long a stream's writer waits at the door
	chunk  = 16 << 10         // bytes of a stream read at once
)

// New makes a relay.
func New(cfg Config) (*Relay, error) {
	if cfg.Core == nil || cfg.Carrier == nil || cfg.Log == nil {
		return nil, errors.New("relay: core, carrier and log are required")
	}
	r := &Relay{cfg: cfg, room: make(chan struct{}, atOnce)}
	rand.Read(r.session[:])
	return r, nil
}

// Run carries until ctx ends, then waits for what is on its way, which ends with it.
func (r *Relay) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	said := ""
	for ctx.Err() == nil {
		in := wire.Take{Session: r.session, Limit: wire.MaxTakes, Wait: uint64(wire.MaxWait / time.Millisecond)}
		t, err := gate.Call[wire.Take, wire.Taken](ctx, r.cfg.Core, wire.MethodTake, in)
		if err != nil {
			if ctx.Err() == nil && err.Error() != said {
				said = err.Error()
				r.cfg.Log.WarnContext(ctx, "messages of the core can't be carried", slog.Any("error", err))
			}
			sleep(ctx, retry)
			continue
		}
		said = ""
		for _, task := range t.Tasks {
			select {
			case r.room <- struct{}{}:
			case <-ctx.Done():
				return nil
			}
			wg.Go(func() {
				defer func() { <-r.room }()
				r.carry(ctx, task)
			})
		}
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// carry does a task.
func (r *Relay) carry(ctx context.Context, t wire.Task) {
	limited, cancel := context.WithTimeout(ctx, time.Duration(min(t.Patience, uint64(wire.MaxWait/time.Millisecond)))*time.Millisecond)
	defer cancel()
	if t.Stream {
		r.stream(ctx, limited, t)
		return
	}
	status, reply, err := r.cfg.Carrier.Exchange(limited, t.Kind, t.Target, t.Body)
	g := wire.Give{ID: t.ID, Status: uint64(status), Body: reply}
	if err != nil {
		g = wire.Give{ID: t.ID, Error: err.Error()}
		r.cfg.Log.DebugContext(ctx, "message not carried", slog.String("kind", t.Kind), slog.String("target", t.Target), slog.Any("error", err))
	}
	_ = r.give(ctx, g) // the core asks again
}

// give answers a task and says whether the answer was wanted.
func (r *Relay) give(ctx context.Context, g wire.Give) bool {
	out, err := gate.Call[wire.Give, wire.Given](ctx, r.cfg.Core, wire.MethodGive, g)
	if err != nil {
		r.cfg.Log.WarnContext(ctx, "an answer could not be given to the core", slog.Any("error", err))
	}
	return err == nil && out.Wanted
}

// stream opens a connection and moves its bytes until one side ends.
func (r *Relay) stream(ctx, limited context.Context, t wire.Task) {
	c, err := r.cfg.Carrier.Dial(limited, t.Kind, t.Target)
	if err != nil {
		r.give(ctx, wire.Give{ID: t.ID, Error: err.Error()})
		return
	}
	ctx, cancel := context.WithTimeout(ctx, wire.MaxLife)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() }) // ends reads and writes
	defer stop()
	if !r.give(ctx, wire.Give{ID: t.ID}) {
		return // AfterFunc closes c
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		defer cancel()
		if err := r.inward(ctx, t.ID, c); err != nil && ctx.Err() == nil {
			r.cfg.Log.DebugContext(ctx, "stream ended", slog.String("target", t.Target), slog.Any("error", err))
		}
	})
	wg.Go(func() {
		defer cancel()
		if err := r.outward(ctx, t.ID, c); err != nil && ctx.Err() == nil {
			r.cfg.Log.DebugContext(ctx, "stream ended", slog.String("target", t.Target), slog.Any("error", err))
		}
	})
	wg.Wait()
}

// inward pushes what the socket gives.
func (r *Relay) inward(ctx context.Context, id uint64, c net.Conn) error {
	buf := make([]byte, chunk)
	var next uint64
	for {
		n, readErr := c.Read(buf)
		p := wire.Push{ID: id, Offset: next, Body: buf[:n], End: readErr != nil}
		if readErr != nil && !errors.Is(readErr, io.EOF) {
			p.Error = readErr.Error()
		}
		for done := false; !done; {
			out, err := gate.Call[wire.Push, wire.Pushed](ctx, r.cfg.Core, wire.MethodPush, p)
			if err != nil {
				return fmt.Errorf("push: %w", err)
			}
			if out.Closed || out.Next < p.Offset || out.Next > p.Offset+uint64(len(p.Body)) {
				return nil
			}
			p.Body = p.Body[out.Next-p.Offset:]
			p.Offset, done = out.Next, len(p.Body) == 0
		}
		next = p.Offset
		if readErr != nil {
			<-ctx.Done() // the other direction ends the stream
			return nil
		}
	}
}

// outward writes what the core has.
func (r *Relay) outward(ctx context.Context, id uint64, c net.Conn) error {
	var done uint64
	for {
		p, err := gate.Call[wire.Pull, wire.Pulled](ctx, r.cfg.Core, wire.MethodPull, wire.Pull{ID: id, Offset: done, Wait: uint64(pull / time.Millisecond)})
		if err != nil {
			return fmt.Errorf("pull: %w", err)
		}
		if _, err := c.Write(p.Body); err != nil {
			return err
		}
		done += uint64(len(p.Body))
		if p.Closed {
			return nil
		}
	}
}
