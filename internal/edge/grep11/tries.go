// SPDX-License-Identifier: Apache-2.0

package grep11

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"strongroom/internal/edge/grep11/apikey"
)

// How bad tokens and API keys lock an address out.
const (
	MaxTries    = 10              // bad ones within [TryWindow]
	TryWindow   = time.Minute     // from the first bad one
	LockOut     = 5 * time.Minute // from the last of them
	maxTryAddrs = 4096            // addresses that are remembered; beyond it those whose time is over are forgotten, then any
)

// tries counts bad tokens and API keys by address, for IPv6 by /64. API keys and tokens have 256 random bits: this keeps logs and processors
// quiet, guessing is hopeless without it. Safe for concurrent use.
type tries struct {
	mu sync.Mutex // guards by
	by map[netip.Prefix]try
}

type try struct {
	count int
	until time.Time // end of the window, or of the lock-out
}

func newTries() *tries { return &tries{by: map[netip.Prefix]try{}} }

// place gives the part of an address that counts.
func place(address string) netip.Prefix {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Prefix{} // all that is no address together
	}
	ip = ip.Unmap().WithZone("")
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	p, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// open says whether an address may try.
func (t *tries) open(address string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	x, ok := t.by[place(address)]
	return !ok || x.count < MaxTries || !now.Before(x.until)
}

// failed counts a bad one.
func (t *tries) failed(address string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := place(address)
	x, ok := t.by[p]
	if !ok {
		t.makeRoom(now)
	}
	if !ok || !now.Before(x.until) {
		x = try{until: now.Add(TryWindow)}
	}
	if x.count++; x.count == MaxTries {
		x.until = now.Add(LockOut)
	}
	t.by[p] = x
}

// makeRoom forgets addresses, so that strangers can't fill memory.
func (t *tries) makeRoom(now time.Time) {
	if len(t.by) < maxTryAddrs {
		return
	}
	for p, x := range t.by {
		if !now.Before(x.until) {
			delete(t.by, p)
		}
	}
	for p := range t.by {
		if len(t.by) < maxTryAddrs {
			return
		}
		delete(t.by, p)
	}
}

// guessed counts a bad token or API key that came from an address, and says whether it may try another. One that was given once is no guess, nor is a
// fault of the gateway's own, so that honest callers lock nobody out who has their address; and what is good is taken without asking here.
func (s *Server) guessed(err error, address string) (open bool) {
	now := s.cfg.Now()
	open = s.tries.open(address, now)
	s.meter.refused.Add(1)
	if open && !errors.Is(err, apikey.ErrEnded) {
		s.tries.failed(address, now)
	}
	return open
}

// ownFault says whether an error of [Tokens] is the gateway's, and logs it.
func (s *Server) ownFault(err error) bool {
	if errors.Is(err, apikey.ErrRefused) {
		return false
	}
	s.cfg.Log.Error("API keys and tokens can't be checked", "error", err)
	return true
}
