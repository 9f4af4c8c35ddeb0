// SPDX-License-Identifier: Apache-2.0

package timeguard

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// systemRead reads a clock of the machine, nanoseconds.
func systemRead(clock int32) (int64, error) {
	var ts unix.Timespec
	err := unix.ClockGettime(clock, &ts)
	return ts.Nano(), err
}

// ticks are the machine's clocks, read as one. Their differences tell what happened to the machine: the wall clock is only looked at for
// steps, never believed.
type ticks struct {
	wall  int64 // CLOCK_REALTIME
	boot  int64 // CLOCK_BOOTTIME: counts suspended time
	mono  int64 // CLOCK_MONOTONIC: does not; runs at the rate that the system's time service sets
	raw   int64 // CLOCK_MONOTONIC_RAW: like mono, at the rate of the hardware
	apart int64 // time between the first and the last reading
}

// together is how long reading the clocks may take; a process that was stopped between them reads again.
const together = int64(5 * time.Millisecond)

// order is that in which the clocks are read, after the clock since boot, which is also read last.
var order = [...]int32{unix.CLOCK_REALTIME, unix.CLOCK_MONOTONIC, unix.CLOCK_MONOTONIC_RAW, unix.CLOCK_BOOTTIME}

func readTicks(read func(int32) (int64, error)) (ticks, error) {
	var t ticks
	for range maxReads {
		first, err := read(unix.CLOCK_BOOTTIME)
		if err != nil {
			return t, err
		}
		for i, to := range [...]*int64{&t.wall, &t.mono, &t.raw, &t.boot} {
			if *to, err = read(order[i]); err != nil {
				return t, err
			}
		}
		if t.apart = t.boot - first; t.apart < together {
			break
		}
	}
	return t, nil
}

// Tolerances of the comparison of clocks.
const (
	maxUnexplained = int64(50 * time.Millisecond)
	maxSlew        = 500 // parts in a million by which a time service may run the clock faster or slower
)

// unexplained says what happened between two readings that the passing of time does not explain, and by how much the clocks went apart.
// The first reading's sameness is taken for granted.
func unexplained(from, to ticks) (why string, by int64) {
	limit := maxUnexplained + from.apart + to.apart
	boot, mono := to.boot-from.boot, to.mono-from.mono
	show := func(n int64) time.Duration { return time.Duration(n).Round(time.Millisecond) }
	if boot < 0 || mono < 0 {
		return "the clock since boot ran back", max(abs(boot), abs(mono))
	}
	if d := boot - mono; abs(d) > limit {
		return fmt.Sprintf("the machine was suspended for %v", show(d)), abs(d)
	}
	if d := to.wall - from.wall - boot; abs(d) > limit {
		return fmt.Sprintf("the machine's clock was stepped by %v", show(d)), abs(d)
	}
	if d := mono - (to.raw - from.raw); abs(d) > limit+mono/1_000_000*maxSlew {
		return fmt.Sprintf("the machine's clocks went apart by %v", show(d)), abs(d)
	}
	return "", 0
}

// skew is by how much the disciplined and the raw clock went apart: one of the two ran wrong by that, at most.
func skew(from, to ticks) int64 { return abs((to.mono - from.mono) - (to.raw - from.raw)) }

// widened gives by how much a span grows with its age, if clocks went apart by skew meanwhile: the slower of the two has seen less time
// pass than it drifts in.
func widened(age, skew int64) int64 { return Drifted(age+skew) + skew }

func abs(n int64) int64 { return max(n, -n) }
