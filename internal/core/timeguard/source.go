// SPDX-License-Identifier: Apache-2.0

package timeguard

import (
	"context"
	"fmt"
	"time"
)

// Sample is what one source said, once, authenticated: when the clock since boot stood at Boot, UTC was between Low and High. All are
// nanoseconds, Low and High since the Unix epoch.
type Sample struct {
	Boot      int64
	Low, High int64
	Leap      bool // a leap second is announced for the end of the day

	// NotBefore and NotAfter say when that which authenticated the source is valid, for instance certificates. Where the time is not
	// known yet they are checked afterwards, against what the sources agree on (RFC 8915 section 8.5). 0: no such end.
	NotBefore, NotAfter int64
}

// Known is what the guard knows when it asks a source.
type Known struct {
	Time    int64 // Unix nanoseconds
	Certain bool  // else Time means nothing
	Floor   int64 // it is later than this in any case, Unix nanoseconds
}

// Source is one authenticated source of time. Sample asks it once; it gives up when ctx ends. A source that wants to be left alone for
// a while says so with a [*HoldError]. The guard asks each source once at a time.
type Source interface {
	Name() string
	Sample(ctx context.Context, known Known) (Sample, error)
}

// HoldError says that a source must not be asked again for some time.
type HoldError struct {
	For time.Duration
	Err error // why
}

// Error says why, and for how long.
func (e *HoldError) Error() string { return fmt.Sprintf("%v; asked again in %v", e.Err, e.For) }

// Unwrap gives the reason.
func (e *HoldError) Unwrap() error { return e.Err }

// Drift is how far the clock since boot is taken to run wrong: 50 parts in a million, more than what ordinary oscillators do.
const Drift = 50

// Drifted gives by how much a clock may be wrong after an elapsed time, both in nanoseconds.
func Drifted(elapsed int64) int64 { return elapsed/1_000_000*Drift + Drift }
