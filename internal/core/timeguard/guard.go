// SPDX-License-Identifier: Apache-2.0

package timeguard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Limits of a guard's configuration.
const (
	MinSources = 3
	MaxSources = 32
	minPoll    = time.Second
)

// Defaults of a guard.
const (
	DefaultMaxBound = time.Second      // beyond it nothing is decided
	DefaultMaxAge   = 15 * time.Minute // of the last agreement of the sources
	DefaultPoll     = 64 * time.Second // between rounds
	DefaultTimeout  = 5 * time.Second  // for one round
)

// GuardConfig says what a guard asks, and when its time is too uncertain to decide by.
type GuardConfig struct {
	Sources  []Source      // at least three, with names of their own
	MaxBound time.Duration // 0: [DefaultMaxBound]
	MaxAge   time.Duration // 0: [DefaultMaxAge]
	Poll     time.Duration // 0: [DefaultPoll]
	Timeout  time.Duration // 0: [DefaultTimeout]
	Floor    int64         // Unix nanoseconds; the true time is later, for instance than the last entry of the log less its bound
	Log      *slog.Logger
}

// Guard is a clock that rests on authenticated sources. It says nothing certain before a majority of them agreed, and while they
// disagree, after a step or suspension until they were asked again, around an announced leap second, when the last agreement is too
// old, and when the bound is too large.
type Guard struct {
	cfg  GuardConfig
	read func(clock int32) (int64, error)
	wake chan struct{} // asks Run for a round

	mu      sync.Mutex // guards the following
	peers   []*peer    // one a source
	base    ticks      // the clocks at the last agreement, or when what happened since was noticed
	est     estimate
	why     string        // what makes the time uncertain until the sources agree again; empty if nothing
	slack   int64         // what went apart since est and is not explained, nanoseconds
	stepped bool          // the clocks that carry est on went apart
	moved   bool          // the sources contradicted est; the next agreement is taken as it is
	leapEnd int64         // end of the day with an announced leap second, Unix nanoseconds, or 0
	sure    bool          // the last reading was certain, as logged
	change  chan struct{} // closed at the end of a round; then a new one
}

// estimate is what the sources agreed on: UTC was in span when the clocks stood at ticks.
type estimate struct {
	ticks   ticks
	span    interval
	sources []string
	made    bool // else there was none yet
}

// peer is a source with what it last said.
type peer struct {
	source Source
	sample *Sample
	from   ticks         // before it was asked for sample
	to     ticks         // after that
	polls  int           // rounds since sample was taken
	hold   int64         // clock since boot before which it is not asked
	pause  time.Duration // last hold, doubled by the next
	err    error         // of the last question
	agrees bool          // with the last agreement
}

// at gives what the source's sample says when the clocks stand at now.
func (p *peer) at(now ticks) interval {
	age := max(now.boot-p.sample.Boot, 0)
	// When the sample was taken the two clocks differed by something between what they did before and after the round.
	wide := widened(age, max(skew(p.from, now), skew(p.to, now)))
	return interval{p.sample.Low + age - wide, p.sample.High + age + wide}
}

// NewGuard makes a guard. It asks nothing before [Guard.Run].
func NewGuard(cfg GuardConfig) (*Guard, error) { return newGuard(cfg, systemRead) }

func newGuard(cfg GuardConfig, read func(int32) (int64, error)) (*Guard, error) {
	if n := len(cfg.Sources); n < MinSources || n > MaxSources {
		return nil, fmt.Errorf("a time guard has %d to %d sources, not %d", MinSources, MaxSources, n)
	}
	if cfg.Log == nil {
		return nil, errors.New("a time guard needs a log")
	}
	for _, f := range []struct {
		name     string
		v        *time.Duration
		def      time.Duration
		min, max time.Duration
	}{
		{"largest bound", &cfg.MaxBound, DefaultMaxBound, time.Millisecond, time.Minute},
		{"largest age", &cfg.MaxAge, DefaultMaxAge, 2 * minPoll, time.Hour},
		{"poll interval", &cfg.Poll, DefaultPoll, minPoll, time.Hour},
		{"timeout", &cfg.Timeout, DefaultTimeout, time.Millisecond, time.Minute},
	} {
		if *f.v == 0 {
			*f.v = f.def
		}
		if *f.v < f.min || *f.v > f.max {
			return nil, fmt.Errorf("the %s of a time guard is %v to %v, not %v", f.name, f.min, f.max, *f.v)
		}
	}
	if cfg.Poll*2 > cfg.MaxAge {
		return nil, fmt.Errorf("the poll interval of a time guard, %v, is more than half of the largest age, %v", cfg.Poll, cfg.MaxAge)
	}
	g := &Guard{cfg: cfg, read: read, wake: make(chan struct{}, 1), change: make(chan struct{}), why: "the time sources were not asked yet"}
	for i, s := range cfg.Sources {
		if slices.ContainsFunc(cfg.Sources[:i], func(o Source) bool { return o.Name() == s.Name() }) {
			return nil, fmt.Errorf("two time sources are called %q", s.Name())
		}
		g.peers = append(g.peers, &peer{source: s})
	}
	var err error
	if g.base, err = readTicks(read); err != nil {
		return nil, fmt.Errorf("read the clocks: %w", err)
	}
	return g, nil
}

// Boot implements [Clock].
func (g *Guard) Boot() int64 { return bootOf(g.read) }

// Now implements [Clock].
func (g *Guard) Now() Reading {
	now, err := readTicks(g.read)
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil {
		return Reading{Boot: 1<<63 - 1, Why: "the clocks can't be read: " + err.Error()}
	}
	return g.reading(now)
}

// reading gives the time when the clocks stand at now. The caller holds mu.
func (g *Guard) reading(now ticks) Reading {
	g.watch(now)
	r := Reading{Boot: now.boot, Why: g.why}
	if g.est.made {
		r.Time, r.Bound = g.est.at(now)
		r.Bound += g.slack
		r.Sources = g.est.sources
		if r.Why == "" {
			r.Why = g.doubt(r, now)
		}
	}
	r.Certain = r.Why == ""
	if r.Certain != g.sure {
		g.sure = r.Certain
		if r.Certain {
			g.cfg.Log.Info("time is certain", slog.Duration("bound", time.Duration(r.Bound)), slog.Any("sources", r.Sources))
		} else {
			g.cfg.Log.Warn("time is not certain", slog.String("why", r.Why))
			g.ask()
		}
	}
	return r
}

// at carries an estimate on to later clocks. It grows by the drift, and by what the disciplined and the raw clock differ: whoever slews
// the machine's clock widens the bound and does not shift the time beyond it.
func (e *estimate) at(now ticks) (t, bound int64) {
	age := max(now.boot-e.ticks.boot, 0)
	return e.span.mid() + age, e.span.half() + widened(age, skew(e.ticks, now))
}

// watch looks for steps and suspension since the last agreement. What it finds stays until the sources agree again. The caller holds mu.
func (g *Guard) watch(now ticks) {
	why, by := unexplained(g.base, now)
	if why == "" {
		return
	}
	g.base = now
	g.slack += by
	g.stepped = true
	g.why = why + "; the time sources are asked again"
	for _, p := range g.peers { // their samples count from a clock that can't be relied on
		p.sample, p.agrees = nil, false
	}
	g.ask()
}

// doubt says what makes a reading uncertain though nothing happened to the clocks, or nothing. The caller holds mu.
func (g *Guard) doubt(r Reading, now ticks) string {
	switch age := time.Duration(now.boot - g.est.ticks.boot); {
	case age > g.cfg.MaxAge:
		return fmt.Sprintf("the time sources last agreed %v ago, more than %v", age.Round(time.Second), g.cfg.MaxAge)
	case r.Bound > int64(g.cfg.MaxBound):
		return fmt.Sprintf("the time is known to %v only, more than %v", time.Duration(r.Bound).Round(time.Millisecond), g.cfg.MaxBound)
	case r.Time+r.Bound < g.cfg.Floor:
		return fmt.Sprintf("the time sources say %s, which is before the last entry of the log", time.Unix(0, r.Time).UTC().Format(time.RFC3339))
	case g.inLeap(r.Time, r.Bound):
		return fmt.Sprintf("a leap second was announced for %s", time.Unix(0, g.leapEnd).UTC().Format(time.RFC3339))
	}
	return ""
}

// ask wakes Run.
func (g *Guard) ask() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// observe is how often the clocks are compared while nobody asks for the time.
const observe = time.Second

// Run asks the sources, first at once and then from time to time, until ctx ends. It is called once. What makes the time uncertain makes
// it ask again after a second, then two, four and so on.
func (g *Guard) Run(ctx context.Context) {
	tick := time.NewTicker(observe)
	defer tick.Stop()
	var next int64 // clock since boot of the next round
	wait := observe
	for {
		if g.Boot() >= next {
			g.round(ctx)
			if g.Now().Certain {
				next, wait = g.Boot()+int64(g.cfg.Poll), observe
			} else {
				next, wait = g.Boot()+int64(wait), min(2*wait, g.cfg.Poll)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-g.wake:
			next = min(next, g.Boot()+int64(wait))
		case <-tick.C:
			g.Now()
		}
	}
}

// Wait waits until the time is certain, or ctx ends; then it says what the time lacks.
func (g *Guard) Wait(ctx context.Context) error {
	for {
		g.mu.Lock()
		change := g.change
		g.mu.Unlock()
		r := g.Now()
		if r.Certain {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the time is not certain: %s: %w", r.Why, context.Cause(ctx))
		case <-change:
		}
	}
}

// SourceState tells how a source is.
type SourceState struct {
	Name   string
	Agrees bool          // the time rests on it
	Offset time.Duration // of the middle of what it says, from the time; if it answered
	Bound  time.Duration // half of the width of what it says; 0 if it did not answer
	Err    string        // why it did not answer the last time, or empty
}

// Sources tells how the sources are, in the order of the configuration.
func (g *Guard) Sources() []SourceState {
	now, err := readTicks(g.read)
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make([]SourceState, 0, len(g.peers))
	for _, p := range g.peers {
		s := SourceState{Name: p.source.Name(), Agrees: p.agrees}
		if p.sample != nil && err == nil {
			span, r := p.at(now), g.reading(now)
			s.Offset, s.Bound = time.Duration(span.mid()-r.Time), time.Duration(span.half())
		}
		if p.err != nil {
			s.Err = p.err.Error()
		}
		out = append(out, s)
	}
	return out
}
