// SPDX-License-Identifier: Apache-2.0

// Package timeguard is the core's clock: a time with a bound, and whether it is sure enough to decide by. Nothing that depends
// on time is decided while it is not.
//
// [Guard] is the clock of production: it asks at least three authenticated sources, takes what a majority of them allows, and lets the
// clock since boot carry it on with a bound that grows. It does not believe the machine's clock at all. docs/spec/time.md has the rules.
//
// [System] reads the machine's own clock, which only the evaluation profile may trust. It notices a clock that was stepped, and
// a machine that was suspended, by comparing the wall clock with the time since boot.
package timeguard

import (
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Reading is what a clock says: if it is certain, the true time is within Time ± Bound, both in nanoseconds, Time since the Unix epoch.
// An uncertain one has the best guess, or 0 where there is none.
type Reading struct {
	Time, Bound int64
	Boot        int64 // [Clock.Boot] at that time
	Certain     bool
	Why         string   // why it is not certain
	Sources     []string // those that the time rests on, in the order of the configuration; shared, not to be changed; nil for the machine's clock
}

// Clock tells the time. It is safe for concurrent use.
type Clock interface {
	Now() Reading
	// Boot gives the nanoseconds since the machine started, suspended time included. It never runs back.
	Boot() int64
}

// MaxStep is how far wall clock and time since boot may drift apart before the clock is held to be stepped.
const MaxStep = 2 * time.Second

// maxReads is how often the clocks are read before a pause between them is taken for what it looks like.
const maxReads = 8

// System is the machine's clock.
type System struct {
	bound int64
	read  func(clock int32) (int64, error)

	mu     sync.Mutex // guards offset and why
	offset int64      // wall clock less time since boot, as last found good
	why    string     // set once the clock was found stepped; stays until the process ends
}

// NewSystem makes a clock whose error is taken to be at most bound.
func NewSystem(bound time.Duration) (*System, error) {
	if bound <= 0 || bound > time.Minute {
		return nil, fmt.Errorf("clock bound %v must be above 0 and at most a minute", bound)
	}
	return newSystem(bound, systemRead)
}

func newSystem(bound time.Duration, read func(int32) (int64, error)) (*System, error) {
	s := &System{bound: int64(bound), read: read}
	wall, boot, err := s.both()
	if err != nil {
		return nil, fmt.Errorf("read the clock: %w", err)
	}
	s.offset = wall - boot
	return s, nil
}

// both reads the two clocks as one: a process that was stopped between them reads again, or the pause would look like a step.
func (s *System) both() (wall, boot int64, err error) {
	for range maxReads {
		before, err := s.read(unix.CLOCK_BOOTTIME)
		if err != nil {
			return 0, 0, err
		}
		if wall, err = s.read(unix.CLOCK_REALTIME); err != nil {
			return 0, 0, err
		}
		if boot, err = s.read(unix.CLOCK_BOOTTIME); err != nil {
			return 0, 0, err
		}
		if boot-before < int64(MaxStep)/10 {
			break
		}
	}
	return wall, boot, nil
}

// Now implements [Clock].
func (s *System) Now() Reading {
	wall, boot, err := s.both()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch drift := wall - boot - s.offset; {
	case err != nil:
		s.why = "the clock can't be read: " + err.Error()
	case drift > int64(MaxStep) || drift < -int64(MaxStep):
		s.why = fmt.Sprintf("the clock was stepped by %v; check it and start again", time.Duration(drift).Round(time.Millisecond))
	case s.why == "":
		s.offset = wall - boot // slow discipline by the system's time service is no step
	}
	return Reading{Time: wall, Bound: s.bound, Boot: boot, Certain: s.why == "", Why: s.why}
}

// Boot implements [Clock].
func (s *System) Boot() int64 {
	return bootOf(s.read)
}

func bootOf(read func(int32) (int64, error)) int64 {
	b, err := read(unix.CLOCK_BOOTTIME)
	if err != nil {
		return 1<<63 - 1 // beyond every lease: nothing is signed
	}
	return b
}
