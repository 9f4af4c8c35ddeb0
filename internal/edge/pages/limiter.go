// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"net/netip"
	"sync"
	"time"

	"strongroom/internal/pure/problem"
)

// How much strangers may try within a [Window], from one address (IPv6: one network of 64 bits). People are not locked out by their id: a passkey can't
// be guessed, and a lock would let a stranger keep somebody out.
const (
	Window      = 10 * time.Minute
	MaxFailures = 10  // sign-ins that fail
	MaxCards    = 60  // steps of enrolments
	Everybody   = 100 // times as much from all addresses together

	maxAddresses = 10_000 // that are remembered
)

// limiter counts by address. Safe for concurrent use.
type limiter struct {
	now  func() time.Time
	most int

	mu    sync.Mutex // guards all below
	since time.Time  // when the window began
	all   int
	by    map[netip.Prefix]int
}

func newLimiter(now func() time.Time, most int) *limiter { return &limiter{now: now, most: most} }

func network(remote string) netip.Prefix {
	a, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{} // all that can't be told apart are one
	}
	ip, bits := a.Addr().Unmap().WithZone(""), 32
	if ip.Is6() {
		bits = 64
	}
	p, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// begin begins a new window where the last one is over.
func (l *limiter) begin() {
	now := l.now()
	if age := now.Sub(l.since); l.by == nil || age < 0 || age >= Window {
		l.since, l.all, l.by = now, 0, map[netip.Prefix]int{}
	}
}

// allow says whether an address may try.
func (l *limiter) allow(remote string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begin()
	from := network(remote)
	if _, known := l.by[from]; l.by[from] >= l.most || l.all >= l.most*Everybody || !known && len(l.by) >= maxAddresses {
		return problem.New(problem.Busy, "too many attempts; wait %d minutes", int(Window/time.Minute))
	}
	return nil
}

// count counts an attempt.
func (l *limiter) count(remote string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begin()
	l.by[network(remote)]++
	l.all++
}
