// SPDX-License-Identifier: Apache-2.0

package grep11

import (
	"net"
	"net/netip"
	"sync"

	"golang.org/x/net/netutil"
)

// MaxOwnConnections is how many of [MaxConnections] come from one address; the next one is closed.
const MaxOwnConnections = 256

// Bounded gives a listener with at most all connections open at a time, and own of those from one address (for IPv6 a /64). When all are open the next one
// waits; one too many from an address is closed at once, so that nobody there is in the way of others.
func Bounded(l net.Listener, all, own int) net.Listener {
	return netutil.LimitListener(&byAddress{Listener: l, own: own, open: map[netip.Prefix]int{}}, all)
}

// byAddress bounds the connections from one address.
type byAddress struct {
	net.Listener
	own int

	mu   sync.Mutex // guards open
	open map[netip.Prefix]int
}

// Accept gives the next connection from an address that has few enough.
func (b *byAddress) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := place(c.RemoteAddr().String())
		if b.take(from) {
			return &counted{Conn: c, ended: sync.OnceFunc(func() { b.give(from) })}, nil
		}
		_ = c.Close() // nothing was said on it
	}
}

func (b *byAddress) take(from netip.Prefix) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open[from] == b.own {
		return false
	}
	b.open[from]++
	return true
}

func (b *byAddress) give(from netip.Prefix) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open[from]--; b.open[from] == 0 {
		delete(b.open, from)
	}
}

// counted is a connection that counts until it is closed.
type counted struct {
	net.Conn
	ended func()
}

// Close closes it.
func (c *counted) Close() error {
	err := c.Conn.Close()
	c.ended()
	return err
}
