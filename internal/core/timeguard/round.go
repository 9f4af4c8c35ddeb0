// SPDX-License-Identifier: Apache-2.0

package timeguard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// keepPolls is for how many rounds a narrow sample is preferred to a newer, wider one that it does not contradict: one slow answer must
// not widen the bound.
const keepPolls = 4

// maxHold is the longest that a source is left alone because it asks for it.
const maxHold = time.Hour

// round asks every source that may be asked, all at once, and takes over what they agree on.
func (g *Guard) round(ctx context.Context) {
	type answer struct {
		peer   *peer
		sample Sample
		err    error
	}
	from, err := readTicks(g.read)
	if err != nil {
		return // Now says so
	}
	g.mu.Lock()
	r := g.reading(from)
	known := Known{Time: r.Time, Certain: r.Certain, Floor: g.cfg.Floor}
	before := g.base
	var due []*peer
	for _, p := range g.peers {
		if from.boot >= p.hold {
			due = append(due, p)
		}
	}
	g.mu.Unlock()
	asked, cancel := context.WithTimeout(ctx, g.cfg.Timeout)
	defer cancel()
	answers := make([]answer, len(due))
	var wg sync.WaitGroup
	for i, p := range due {
		wg.Go(func() {
			s, err := p.source.Sample(asked, known)
			answers[i] = answer{p, s, err}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return
	}
	now, err := readTicks(g.read)
	g.mu.Lock()
	defer g.mu.Unlock()
	defer func() {
		close(g.change)
		g.change = make(chan struct{})
	}()
	if err != nil {
		return // Now says so
	}
	g.watch(now)
	if g.base != before { // samples from before and after a step don't go together
		return
	}
	for _, a := range answers {
		g.take(a.peer, a.sample, a.err, from, now)
	}
	g.settle(now)
}

// take keeps what a source said. The caller holds mu.
func (g *Guard) take(p *peer, s Sample, err error, from, now ticks) {
	p.polls++
	if err == nil && (s.Low > s.High || s.Boot < from.boot || s.Boot > now.boot) {
		err = errors.New("the sample makes no sense")
	}
	if err != nil {
		if held, ok := errors.AsType[*HoldError](err); ok {
			p.pause = min(max(2*p.pause, held.For), 32*held.For, maxHold)
			p.hold = now.boot + int64(p.pause)
		}
		if p.err == nil {
			g.cfg.Log.Warn("time source does not answer", slog.String("source", p.source.Name()), slog.Any("error", err))
		}
		p.err = err
		return
	}
	if p.err != nil {
		g.cfg.Log.Info("time source answers again", slog.String("source", p.source.Name()))
	}
	fresh := peer{source: p.source, sample: &s, from: from, to: now, hold: p.hold}
	if p.sample != nil && p.polls <= keepPolls && p.sample.Leap == s.Leap {
		if was, is := p.at(now), fresh.at(now); was.half() < is.half() && was.meets(is) {
			p.err, p.pause = nil, 0
			return
		}
	}
	*p = fresh
}

// settle looks for what the sources agree on. The caller holds mu.
func (g *Guard) settle(now ticks) {
	if !g.dropOld(now) {
		return
	}
	span, ok := g.selected(now)
	if !ok {
		g.why = g.disagreement()
		return
	}
	if t, bound := g.est.at(now); g.est.made && !g.stepped && !g.moved && !g.inLeap(t, bound) && !span.meets(interval{t - bound, t + bound}) {
		// One of the two was wrong. Which one is not for us to say: nothing is decided until a new round says the same.
		g.why = fmt.Sprintf("the time sources say %v against the clock since boot; they are asked again", time.Duration(span.mid()-t).Round(time.Millisecond))
		g.moved = true
		for _, p := range g.peers {
			p.sample = nil
		}
		return
	}
	g.est = estimate{ticks: now, span: span, made: true}
	leaps := 0
	for _, p := range g.peers {
		if p.agrees {
			g.est.sources = append(g.est.sources, p.source.Name())
			if p.sample.Leap {
				leaps++
			}
		}
	}
	g.base, g.why, g.slack, g.stepped, g.moved = now, "", 0, false, false
	g.noteLeap(leaps)
}

// selected gives the span on which a majority agrees and marks who does. A source that was authenticated by what was not valid at that
// time has no say, and then the others are asked whether they still agree. The caller holds mu.
func (g *Guard) selected(now ticks) (interval, bool) {
	out := map[*peer]bool{} // without a say
	for {
		var in []interval
		for _, p := range g.peers {
			p.agrees = false
			if p.sample != nil && !out[p] {
				in = append(in, p.at(now))
			}
		}
		span, ok := agree(in, len(g.peers))
		if !ok {
			return span, false
		}
		valid := true
		for _, p := range g.peers {
			if p.sample == nil || out[p] || !p.at(now).meets(span) {
				continue
			}
			if s := p.sample; s.NotBefore > span.low || s.NotAfter != 0 && s.NotAfter < span.high || s.NotAfter != 0 && s.NotAfter < g.cfg.Floor {
				out[p], valid = true, false
				p.err = errors.New("what authenticates it is not valid at the time that the sources agree on")
				continue
			}
			p.agrees = true
		}
		if valid {
			return span, true
		}
	}
}

// dropOld forgets samples that are too old, or from before a leap second that is over. It gives false while one is not: nothing is taken
// from the sources then. The caller holds mu.
func (g *Guard) dropOld(now ticks) bool {
	oldest := now.boot - int64(g.cfg.MaxAge)
	t, bound := g.est.at(now)
	inLeap := g.est.made && g.inLeap(t, bound)
	over := t - bound - g.leapEnd - leapOver // time since then
	if inLeap {
		oldest = max(oldest, now.boot-over)
	}
	for _, p := range g.peers {
		if p.sample != nil && p.sample.Boot < oldest {
			p.sample, p.agrees = nil, false
		}
	}
	return !inLeap || over >= 0
}

// disagreement says how the sources fail to agree. The caller holds mu.
func (g *Guard) disagreement() string {
	n := 0
	for _, p := range g.peers {
		if p.sample != nil {
			n++
		}
	}
	need := len(g.peers) - liars(len(g.peers))
	if n < need {
		return fmt.Sprintf("%d of %d time sources answered; %d must agree", n, len(g.peers), need)
	}
	return fmt.Sprintf("%d of %d time sources answered, and no %d of them agree", n, len(g.peers), need)
}
