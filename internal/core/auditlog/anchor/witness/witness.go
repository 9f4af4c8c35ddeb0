// SPDX-License-Identifier: Apache-2.0

// Package witness is the anchor that others keep: log witnesses, programs of people who are not the operator, cosign each pin (C2SP tlog-witness).
// A witness never cosigns a smaller log or another history than before, so a domain whose disk was set back finds no quorum for what it has.
//
// A pin is written to a local anchor first, durably, then sent to all witnesses at once, and holds when a quorum of them cosigned. The
// others are brought up to date behind it. At start a quorum must cosign the local pin once more, in a checkpoint with a random extension line,
// so that no recorded answer passes.
//
// The messages are carried by serve, which is not believed: only cosignatures count, and, against us, signed checkpoints of a larger log or
// another root. One that our own log key signed is proof; one with a witness's cosignature alone is the refusal of that one witness. It refuses
// to start, and to go on, upon proof, or when refusals leave no quorum. While witnesses are absent, or say no and show nothing, it waits.
// Rules: docs/spec/witness.md.
package witness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/gate/relay"
	"strongroom/internal/pure/tlog"
)

// challengePrefix begins the extension line of the checkpoint that is cosigned at start; 32 random bytes in base64 follow.
const challengePrefix = "strongroom/start/v1 "

// settleTime is how long a start waits, once there is a quorum, for what the other witnesses have to say.
const settleTime = time.Second

// Config is what the anchor needs. All fields are required but Retry.
type Config struct {
	Local     auditlog.Anchor // where each pin is written first; the caller closes it, after this anchor
	Witnesses tlog.Witnesses  // with its quorum
	Relay     relay.Exchanger // its targets are the witnesses' names
	Log       *slog.Logger
	Retry     time.Duration // pause after a witness gave no answer, doubled each time up to 16 times that; 0: half a second
}

// Anchor pins on witnesses. It is an [auditlog.Cosigning].
type Anchor struct {
	cfg   Config
	peers []*peer
	turn  chan struct{} // holds one token: the right to Read or Pin

	ctx  context.Context // ends with Close
	stop context.CancelFunc
	work sync.WaitGroup // the peers' goroutines; Close waits

	bound atomic.Pointer[auditlog.Binding]
	round atomic.Pointer[round] // the latest, for State and evidence
	dead  atomic.Pointer[error] // why nothing is pinned any more
}

// Open makes the anchor. It asks nobody before Read or Pin.
func Open(cfg Config) (*Anchor, error) {
	if cfg.Local == nil || cfg.Witnesses.Len() == 0 || cfg.Relay == nil || cfg.Log == nil || cfg.Retry < 0 {
		return nil, errors.New("open witness anchor: a local anchor, log witnesses, a relay and a log are required")
	}
	if cfg.Retry == 0 {
		cfg.Retry = 500 * time.Millisecond
	}
	a := &Anchor{cfg: cfg, turn: make(chan struct{}, 1)}
	a.turn <- struct{}{}
	a.ctx, a.stop = context.WithCancel(context.Background())
	for i, w := range cfg.Witnesses.All() {
		p := &peer{anchor: a, index: i, Witness: w, wake: make(chan struct{}, 1)}
		a.peers = append(a.peers, p)
		a.work.Go(p.run)
	}
	return a, nil
}

// Bind tells whose pins they are; see [auditlog.Cosigning]. Without it Read gives the local pin, unconfirmed, and only an empty log is pinned:
// that is for the making of a domain.
func (a *Anchor) Bind(b auditlog.Binding) { a.bound.Store(&b) }

// Close ends what is under way and waits for it. The pin that was being made may hold or not.
func (a *Anchor) Close() error {
	a.kill(errClosed)
	a.stop()
	a.work.Wait()
	return nil
}

var errClosed = errors.New("the anchor is closed")

// kill latches why nothing is pinned any more.
func (a *Anchor) kill(err error) {
	a.dead.CompareAndSwap(nil, &err)
	if r := a.round.Load(); r != nil {
		r.fail(err)
	}
}

func (a *Anchor) alive() error {
	if err := a.dead.Load(); err != nil {
		return fmt.Errorf("%w: %w", auditlog.ErrFatal, *err)
	}
	return nil
}

// State says in words what is waited for, or nothing.
func (a *Anchor) State() string {
	if r := a.round.Load(); r != nil {
		return r.state()
	}
	return ""
}

// take takes the turn.
func (a *Anchor) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-a.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := a.alive(); err != nil {
		a.turn <- struct{}{}
		return err
	}
	return nil
}

// Read gives the local pin once a quorum has confirmed it; see [auditlog.Anchor]. It waits for that as long as ctx allows. The error is an
// *[AheadError] or a *[ForkError] where witnesses show more than this machine knows.
func (a *Anchor) Read(ctx context.Context) (auditlog.Pin, error) {
	if err := a.take(ctx); err != nil {
		return auditlog.Pin{}, fmt.Errorf("read pin: %w", err)
	}
	defer func() { a.turn <- struct{}{} }()
	p, err := a.cfg.Local.Read(ctx)
	b := a.bound.Load()
	if err != nil || b == nil {
		return p, err
	}
	c, err := open(b, p)
	if err != nil {
		return auditlog.Pin{}, fmt.Errorf("read pin: %w", err)
	}
	if c.Size == 0 {
		return p, nil // nothing was ever acknowledged
	}
	if err := a.confirm(ctx, b, c); err != nil {
		return auditlog.Pin{}, fmt.Errorf("the local pin has %d entries: %w", c.Size, err)
	}
	return p, nil
}

// confirm has a quorum cosign a size and root once more, freshly.
func (a *Anchor) confirm(ctx context.Context, b *auditlog.Binding, c tlog.Checkpoint) error {
	if b.Key.Origin() != c.Origin {
		return fmt.Errorf("it is of %q, not of %q", c.Origin, b.Key.Origin())
	}
	r, err := a.challenge(b, c)
	if err != nil {
		return err
	}
	if _, err := r.wait(ctx); err != nil {
		return err
	}
	// One more may know what a quorum does not.
	t := time.NewTimer(settleTime)
	defer t.Stop()
	select {
	case <-r.all:
	case <-t.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := a.alive(); err != nil {
		return err
	}
	if said := r.said(); said != "" {
		a.cfg.Log.WarnContext(ctx, "not every log witness confirmed the log", slog.Uint64("size", c.Size), slog.String("others", said))
	}
	return nil
}

// open reads the checkpoint of a pin.
func open(b *auditlog.Binding, p auditlog.Pin) (tlog.Checkpoint, error) {
	return tlog.OpenCheckpoint(p.Checkpoint, append([]tlog.Key{b.Key}, b.Keys...)...)
}

// Pin is PinCosigned without its result; see [auditlog.Anchor].
func (a *Anchor) Pin(ctx context.Context, p auditlog.Pin) error {
	_, err := a.PinCosigned(ctx, p)
	return err
}

// PinCosigned writes the pin locally and has a quorum cosign it; see [auditlog.Cosigning]. While too few witnesses answer it waits, as long
// as ctx allows.
func (a *Anchor) PinCosigned(ctx context.Context, p auditlog.Pin) ([]byte, error) {
	if err := a.take(ctx); err != nil {
		return nil, fmt.Errorf("pin: %w", err)
	}
	defer func() { a.turn <- struct{}{} }()
	b := a.bound.Load()
	c, err := unbound(p)
	if b != nil {
		c, err = open(b, p)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("pin: %w", err)
	case b == nil && c.Size > 0:
		return nil, errors.New("pin: the anchor does not know its log yet")
	}
	if err := a.cfg.Local.Pin(ctx, p); err != nil {
		if !errors.Is(err, auditlog.ErrPinMoved) && ctx.Err() == nil {
			a.kill(err)
		}
		return nil, err
	}
	if c.Size == 0 {
		return p.Checkpoint, nil // there is nothing to forget yet
	}
	lines, err := a.ask(c, p.Checkpoint).wait(ctx)
	if err != nil {
		err = fmt.Errorf("pin of %d entries: %w", c.Size, err)
		a.kill(err)
		return nil, fmt.Errorf("%w: %w", auditlog.ErrFatal, err)
	}
	return append(bytes.Clone(p.Checkpoint), lines...), nil
}

// unbound reads the checkpoint of a pin whose log is not known yet. Nothing rests on its signature.
func unbound(p auditlog.Pin) (tlog.Checkpoint, error) {
	text, _, _ := bytes.Cut(p.Checkpoint, []byte("\n\n"))
	return tlog.ParseCheckpoint(string(text) + "\n")
}

// ask makes a signed checkpoint what all witnesses are to cosign from now on.
func (a *Anchor) ask(c tlog.Checkpoint, signed []byte) *round {
	text, _, _ := bytes.Cut(signed, []byte("\n\n"))
	r := newRound(a.cfg.Witnesses, target{Checkpoint: c, text: string(text) + "\n", signed: signed})
	a.round.Store(r)
	if err := a.dead.Load(); err != nil { // perhaps since the turn was taken
		r.fail(*err)
	}
	for _, p := range a.peers {
		p.want.Store(r)
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
	return r
}
