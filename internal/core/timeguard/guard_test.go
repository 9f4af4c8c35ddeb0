// SPDX-License-Identifier: Apache-2.0

package timeguard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

const (
	second = int64(time.Second)
	milli  = int64(time.Millisecond)
	noon   = int64(1_790_000_000) / 86400 * 86400 * second // a midnight; tests add to it
)

// world is the true time, a machine's clocks, and sources.
type world struct {
	mu                    sync.Mutex // held while clocks are read by the guard, moved, or sources asked
	utc                   int64
	wall, boot, mono, raw int64
	err                   error
	sources               []*says
}

// says is a source: it is wrong by off, and says so to within half.
type says struct {
	w         *world
	name      string
	off, half int64
	leap      bool
	from, to  int64 // validity
	err       error
	asked     int
	known     Known
}

func (s *says) Name() string { return s.name }

func (s *says) Sample(_ context.Context, k Known) (Sample, error) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.asked++
	s.known = k
	at := s.w.utc + s.off
	return Sample{Boot: s.w.boot, Low: at - s.half, High: at + s.half, Leap: s.leap, NotBefore: s.from, NotAfter: s.to}, s.err
}

// newWorld has n good sources and a wall clock that is years behind.
func newWorld(n int) *world {
	w := &world{utc: noon + 12*3600*second, wall: 1e18, boot: 1e15, mono: 9e14, raw: 8e14}
	for i := range n {
		w.sources = append(w.sources, &says{w: w, name: fmt.Sprint("s", i), half: int64(i+1) * milli})
	}
	return w
}

func (w *world) read(clock int32) (int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return map[int32]int64{unix.CLOCK_REALTIME: w.wall, unix.CLOCK_BOOTTIME: w.boot, unix.CLOCK_MONOTONIC: w.mono, unix.CLOCK_MONOTONIC_RAW: w.raw}[clock], w.err
}

// pass lets time pass, on all clocks.
func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range []*int64{&w.utc, &w.wall, &w.boot, &w.mono, &w.raw} {
		*c += int64(d)
	}
}

func (w *world) guard(t testing.TB, change ...func(*GuardConfig)) *Guard {
	t.Helper()
	c := GuardConfig{Log: slog.New(slog.DiscardHandler)}
	for _, s := range w.sources {
		c.Sources = append(c.Sources, s)
	}
	for _, f := range change {
		f(&c)
	}
	g, err := newGuard(c, w.read)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// certain requires a certain reading that holds the true time.
func (w *world) certain(t testing.TB, g *Guard) Reading {
	t.Helper()
	r := g.Now()
	if !r.Certain || r.Why != "" {
		t.Fatalf("not certain: %s", r.Why)
	}
	if off := r.Time - w.utc; off > r.Bound || off < -r.Bound {
		t.Fatalf("wrong by %v, bound %v", time.Duration(off), time.Duration(r.Bound))
	}
	return r
}

func uncertain(t testing.TB, g *Guard, why string) {
	t.Helper()
	if r := g.Now(); r.Certain || !strings.Contains(r.Why, why) {
		t.Fatalf("got certain %t: %q, want %q", r.Certain, r.Why, why)
	}
}

// TestGuard: nothing is certain before the first agreement, a clock of the machine that is years wrong has no part in the time, and
// without the sources it goes on until the bound or the age is too large; then it comes back.
func TestGuard(t *testing.T) {
	t.Parallel()
	w := newWorld(3)
	g := w.guard(t, func(c *GuardConfig) { c.MaxBound = 30 * time.Millisecond })
	uncertain(t, g, "not asked yet")
	if r := g.Now(); r.Time != 0 || r.Boot != w.boot || g.Boot() != w.boot {
		t.Errorf("got %+v", r)
	}
	g.round(t.Context())
	if r := w.certain(t, g); strings.Join(r.Sources, " ") != "s0 s1 s2" || r.Bound > 3*milli {
		t.Errorf("got %+v", r)
	}
	if w.sources[0].known.Certain {
		t.Error("the time is known before the first agreement")
	}
	w.pass(5 * time.Minute)
	w.certain(t, g)
	for _, s := range w.sources {
		s.err = errors.New("silent")
	}
	g.round(t.Context())
	w.certain(t, g) // samples of five minutes ago still agree
	if !w.sources[0].known.Certain || w.sources[0].known.Time == 0 {
		t.Error("the time is not known after the first agreement")
	}
	w.pass(6 * time.Minute)
	uncertain(t, g, "known to 3") // 50 ppm of eleven minutes are 33 ms
	w.pass(5 * time.Minute)
	g.round(t.Context())
	uncertain(t, g, "0 of 3 time sources answered; 2 must agree")
	for _, s := range w.sources {
		s.err = nil
	}
	g.round(t.Context())
	w.certain(t, g)
}

func TestGuardAge(t *testing.T) {
	t.Parallel()
	w := newWorld(3)
	g := w.guard(t)
	g.round(t.Context())
	w.pass(15 * time.Minute)
	w.certain(t, g)
	w.pass(time.Second)
	uncertain(t, g, "last agreed 15m1s ago")
}

// TestGuardLiars: any minority may lie in any way, or be silent; where there is no majority nothing is certain.
func TestGuardLiars(t *testing.T) {
	t.Parallel()
	silent := errors.New("silent")
	for _, tc := range []struct {
		n     int
		off   []int64 // of the first sources
		quiet int     // how many of the last say nothing
		want  string  // why it is uncertain, or empty
	}{
		{n: 3, off: []int64{second}},
		{n: 3, off: []int64{-10 * second}},
		{n: 3, off: []int64{1000 * second}},
		{n: 3, off: []int64{20 * milli}},
		{n: 5, off: []int64{1000 * second, 1000 * second}},
		{n: 4, off: []int64{1000 * second}},
		{n: 7, off: []int64{-second, second, 1 << 60}},
		{n: 3, quiet: 1},
		{n: 5, quiet: 2},
		{n: 3, quiet: 2, want: "1 of 3 time sources answered; 2 must agree"},
		{n: 4, quiet: 2, want: "2 of 4 time sources answered; 3 must agree"},
		{n: 3, off: []int64{second, 10 * second}, want: "no 2 of them agree"},
		{n: 3, off: []int64{second}, quiet: 1, want: "no 2 of them agree"},
		{n: 4, off: []int64{second, second}, want: "no 3 of them agree"},
		{n: 5, off: []int64{second, second}, quiet: 1, want: "no 3 of them agree"},
		{n: 5, off: []int64{-second, second, 3 * second}, want: "no 3 of them agree"},
	} {
		w := newWorld(tc.n)
		for i, off := range tc.off {
			w.sources[i].off = off
		}
		for i := range tc.quiet {
			w.sources[tc.n-1-i].err = silent
		}
		g := w.guard(t)
		g.round(t.Context())
		if tc.want != "" {
			uncertain(t, g, tc.want)
			continue
		}
		if r := w.certain(t, g); len(r.Sources) != tc.n-len(tc.off)-tc.quiet {
			t.Errorf("%+v: the time rests on %v", tc, r.Sources)
		}
		for i, s := range g.Sources() {
			lies, quiet := i < len(tc.off), i >= tc.n-tc.quiet
			if s.Agrees == (lies || quiet) || (s.Err != "") != quiet || lies && s.Offset.Abs() < 15*time.Millisecond {
				t.Errorf("%+v: source %d: %+v", tc, i, s)
			}
		}
	}
}

// TestGuardSmear: a pool that smears a leap second does not agree with one that does not.
func TestGuardSmear(t *testing.T) {
	t.Parallel()
	w := newWorld(4)
	for _, s := range w.sources[:2] {
		s.off = -400 * milli
	}
	g := w.guard(t)
	g.round(t.Context())
	uncertain(t, g, "no 3 of them agree")
}

// TestGuardClocks: what happens to the machine's clocks is noticed, makes the time uncertain until the sources agree again, and what the
// guard said before is not used for that.
func TestGuardClocks(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		happen func(*world)
		want   string
	}{
		{"time passes", func(w *world) { w.pass(time.Minute) }, ""},
		{"a small step", func(w *world) { w.wall += 49 * milli }, ""},
		{"stepped forward", func(w *world) { w.wall += 51 * milli }, "stepped by 51ms"},
		{"stepped back", func(w *world) { w.wall -= 1000 * second }, "stepped by -16m40s"},
		{"suspended", func(w *world) { w.utc += second; w.wall += second; w.boot += second }, "suspended for 1s"},
		{"suspended for a day", func(w *world) { w.utc += day; w.wall += day; w.boot += day }, "suspended for 24h0m0s"},
		{"paused, time since boot went on", func(w *world) { w.utc += day; w.raw += 0 }, ""}, // a machine that was frozen whole can't know
		{"slewed", func(w *world) { w.pass(time.Minute); w.raw += 20 * milli }, ""},
		{"slewed far", func(w *world) { w.pass(time.Minute); w.raw += 200 * milli }, "went apart by -200ms"},
		{"ran back", func(w *world) { w.boot -= second }, "ran back"},
	} {
		w := newWorld(3)
		g := w.guard(t)
		g.round(t.Context())
		before := w.certain(t, g)
		tc.happen(w)
		if tc.want == "" {
			if r := g.Now(); !r.Certain || r.Bound < before.Bound {
				t.Errorf("%s: got %+v", tc.name, r)
			}
			continue
		}
		uncertain(t, g, tc.want)
		for _, s := range g.Sources() {
			if s.Agrees {
				t.Errorf("%s: %s still agrees", tc.name, s.Name)
			}
		}
		w.wall, w.boot = w.boot+1e18-1e15, w.boot+second // setting the clock back changes nothing
		for _, s := range w.sources {
			s.err = errors.New("silent")
		}
		g.round(t.Context()) // what was sampled before counts from clocks that went apart
		if g.round(t.Context()); g.Now().Certain {
			t.Errorf("%s: certain again without the sources", tc.name)
		}
		for _, s := range w.sources {
			s.err = nil
		}
		g.round(t.Context())
		if strings.HasPrefix(g.Now().Why, "the machine") { // the step back was one more, and the round may have met it
			g.round(t.Context())
		}
		w.certain(t, g)
	}
	w := newWorld(3)
	g := w.guard(t)
	g.round(t.Context())
	w.err = errors.New("no clock")
	uncertain(t, g, "can't be read")
	if g.Boot() != 1<<63-1 {
		t.Error("a clock since boot that can't be read is within a lease")
	}
	g.round(t.Context())
	w.err = nil
	w.certain(t, g)
}

// TestGuardSlew: a clock that runs at another rate than the raw one widens the bound by what they differ, so that the true time stays inside.
func TestGuardSlew(t *testing.T) {
	t.Parallel()
	w := newWorld(3)
	g := w.guard(t)
	g.round(t.Context())
	w.pass(10 * time.Minute)
	const slewed = 290 * milli // 480 ppm of ten minutes
	w.boot, w.mono, w.wall = w.boot+slewed, w.mono+slewed, w.wall+slewed
	if r := w.certain(t, g); r.Bound < slewed {
		t.Errorf("bound %v", time.Duration(r.Bound))
	}
}

// TestGuardStepWhileAsked: answers from before and after a step don't go together.
func TestGuardStepWhileAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(3)
	g := w.guard(t)
	stepper := &stepping{says: w.sources[0]}
	g.peers[0].source = stepper
	g.round(t.Context())
	uncertain(t, g, "suspended")
	g.round(t.Context())
	w.certain(t, g)
}

// stepping is a source that suspends the machine when first asked.
type stepping struct{ *says }

func (s *stepping) Sample(ctx context.Context, k Known) (Sample, error) {
	out, err := s.says.Sample(ctx, k)
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if s.asked == 1 {
		s.w.utc, s.w.boot, s.w.wall = s.w.utc+second, s.w.boot+second, s.w.wall+second
	}
	return out, err
}

// TestGuardMoved: sources that contradict what they said before are believed the second time only.
func TestGuardMoved(t *testing.T) {
	t.Parallel()
	w := newWorld(3)
	g := w.guard(t)
	g.round(t.Context())
	w.certain(t, g)
	w.utc += 300 * second // the true time moved against all clocks: the machine stood still without noticing
	g.round(t.Context())
	uncertain(t, g, "the time sources say 5m0s against the clock since boot")
	g.round(t.Context())
	w.certain(t, g)
	for _, s := range w.sources { // one strange round does not change the time
		s.off = 300 * second
	}
	g.round(t.Context())
	uncertain(t, g, "say 5m0s")
	for _, s := range w.sources {
		s.off = 0
	}
	g.round(t.Context())
	w.certain(t, g)
}

// TestGuardFloor: a majority that says a time before the last entry of the log is not believed.
func TestGuardFloor(t *testing.T) {
	t.Parallel()
	w := newWorld(3)
	g := w.guard(t, func(c *GuardConfig) { c.Floor = w.utc + second })
	g.round(t.Context())
	uncertain(t, g, "before the last entry of the log")
	if w.sources[0].known.Floor != w.utc+second {
		t.Errorf("sources are told %+v", w.sources[0].known)
	}
	w.pass(2 * time.Second)
	w.certain(t, g)
}

// TestGuardCertificates: what authenticates a source must be valid at the time that the sources agree on.
func TestGuardCertificates(t *testing.T) {
	t.Parallel()
	w := newWorld(5)
	now := w.utc
	w.sources[0].from, w.sources[0].to = now-day, now+day
	w.sources[1].from, w.sources[1].to = now+day, now+2*day
	w.sources[2].to = now - second
	g := w.guard(t)
	g.round(t.Context())
	if r := w.certain(t, g); strings.Join(r.Sources, " ") != "s0 s3 s4" {
		t.Errorf("the time rests on %v", r.Sources)
	}
	w.sources[0].to = now - second // then there is no majority
	w.pass(time.Minute)
	g.round(t.Context())
	uncertain(t, g, "no 3 of them agree")

	w = newWorld(3) // a majority of the past, under certificates of then
	for _, s := range w.sources {
		s.off, s.to = -400*day, now-300*day
	}
	g = w.guard(t, func(c *GuardConfig) { c.Floor = now - day })
	g.round(t.Context())
	uncertain(t, g, "no 2 of them agree")
}

// TestGuardHold: a source that asks to be left alone is, for longer each time, and the others go on.
func TestGuardHold(t *testing.T) {
	t.Parallel()
	w := newWorld(3)
	g := w.guard(t)
	s := w.sources[0]
	s.err = &HoldError{For: time.Minute, Err: errors.New("RATE")}
	for _, tc := range []struct {
		after time.Duration
		asked int
	}{{0, 1}, {time.Second, 1}, {59 * time.Second, 2}, {time.Second, 2}, {118 * time.Second, 2}, {time.Second, 3}} {
		w.pass(tc.after)
		g.round(t.Context())
		if w.certain(t, g); s.asked != tc.asked {
			t.Errorf("%v later: asked %d times, want %d", tc.after, s.asked, tc.asked)
		}
	}
	s.err = nil
	w.pass(4 * time.Minute)
	g.round(t.Context())
	if !g.Sources()[0].Agrees || g.peers[0].pause != 0 {
		t.Error("the source is not back")
	}
	if got := s.err; got != nil || (&HoldError{For: time.Hour, Err: errors.New("x")}).Error() != "x; asked again in 1h0m0s" {
		t.Error("text of a hold")
	}
}

// TestGuardKeepsNarrow: one slow answer does not widen the bound, several in a row do.
func TestGuardKeepsNarrow(t *testing.T) {
	t.Parallel()
	w := newWorld(3)
	g := w.guard(t)
	g.round(t.Context())
	for _, s := range w.sources {
		s.half = 500 * milli
	}
	for i := range keepPolls + 1 {
		w.pass(time.Second)
		g.round(t.Context())
		if r := w.certain(t, g); (r.Bound > 100*milli) != (i == keepPolls) {
			t.Errorf("after %d slow answers the bound is %v", i+1, time.Duration(r.Bound))
		}
	}
}

// TestGuardRun: Run asks at once and then from time to time, asks again soon after trouble, and Wait waits for it.
func TestGuardRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(3)
		start := time.Now()
		w.sources[0].err, w.sources[1].err = errors.New("silent"), errors.New("silent")
		g := w.guard(t, func(c *GuardConfig) { c.Poll = time.Minute })
		var passed time.Duration
		var mu sync.Mutex // guards passed
		g.read = func(clock int32) (int64, error) {
			mu.Lock()
			defer mu.Unlock()
			now := time.Since(start)
			w.pass(now - passed)
			passed = now
			return w.read(clock)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { g.Run(ctx); close(done) }()
		asked := func() int { // since the last call
			w.mu.Lock()
			defer w.mu.Unlock()
			defer func() { w.sources[0].asked = 0 }()
			return w.sources[0].asked
		}
		change := func(f func()) {
			w.mu.Lock()
			defer w.mu.Unlock()
			f()
		}
		short, stop := context.WithTimeout(ctx, 10*time.Second)
		defer stop()
		if err := g.Wait(short); err == nil || !strings.Contains(err.Error(), "1 of 3") || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if n := asked(); n != 4 { // at 0, 1, 3 and 7 seconds
			t.Errorf("asked %d times in ten seconds of trouble", n)
		}
		change(func() { w.sources[0].err = nil })
		if err := g.Wait(ctx); err != nil {
			t.Error(err)
		}
		asked()
		time.Sleep(10*time.Minute + 30*time.Second)
		synctest.Wait()
		if n := asked(); n < 10 || n > 11 {
			t.Errorf("asked %d times in ten minutes", n)
		}
		change(func() { w.wall += second })
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if n := asked(); n != 1 {
			t.Errorf("asked %d times after a step", n)
		}
		if r := g.Now(); !r.Certain {
			t.Error(r.Why)
		}
		cancel()
		<-done
	})
}

func TestNewGuardRefuses(t *testing.T) {
	t.Parallel()
	for i, change := range []func(*GuardConfig){
		func(c *GuardConfig) { c.Sources = c.Sources[:2] }, func(c *GuardConfig) { c.Log = nil },
		func(c *GuardConfig) { c.Sources[1] = c.Sources[0] }, func(c *GuardConfig) { c.MaxBound = -1 },
		func(c *GuardConfig) { c.MaxBound = time.Hour }, func(c *GuardConfig) { c.Poll = time.Millisecond },
		func(c *GuardConfig) { c.Poll = 10 * time.Minute }, func(c *GuardConfig) { c.Timeout = time.Hour },
		func(c *GuardConfig) { c.MaxAge = 24 * time.Hour },
		func(c *GuardConfig) { c.Sources = append(c.Sources, make([]Source, MaxSources)...) },
	} {
		w := newWorld(3)
		c := GuardConfig{Log: slog.New(slog.DiscardHandler)}
		for _, s := range w.sources {
			c.Sources = append(c.Sources, s)
		}
		change(&c)
		if _, err := newGuard(c, w.read); err == nil {
			t.Errorf("change %d is accepted", i)
		}
	}
	w := newWorld(3)
	w.err = errors.New("no clock")
	if _, err := newGuard(GuardConfig{Sources: []Source{w.sources[0], w.sources[1], w.sources[2]}, Log: slog.New(slog.DiscardHandler)}, w.read); err == nil {
		t.Error("clocks that can't be read are accepted")
	}
	if _, err := NewGuard(GuardConfig{Sources: []Source{w.sources[0], w.sources[1], w.sources[2]}, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Error(err)
	}
}
