// SPDX-License-Identifier: Apache-2.0

package witnesshttp

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync"
)

// door is a listener that lets so many connections in, in all and from one place. Who finds it full takes the place of whoever has asked for
// nothing for longest; where all are busy, and where a place has its share already, the newcomer is shut out.
type door struct {
	net.Listener

	mu     sync.Mutex // guards the rest, and the visitors' fields
	inside map[*visitor]struct{}
	shares map[netip.Prefix]int
	turn   uint64 // counts the times that somebody became idle
}

// visitor is a connection that was let in.
type visitor struct {
	net.Conn
	door *door
	from netip.Prefix
	idle uint64 // the turn at which it became idle; 0: it is new or busy
}

func newDoor(l net.Listener) *door {
	return &door{Listener: l, inside: map[*visitor]struct{}{}, shares: map[netip.Prefix]int{}}
}

// Accept gives the next connection that is let in.
func (d *door) Accept() (net.Conn, error) {
	for {
		c, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		v, out := d.admit(c)
		if out != nil {
			_ = out.Close() // it can ask again
		}
		if v != nil {
			return v, nil
		}
	}
}

// admit gives the visitor that a connection becomes, or nil, and which connection is to be closed for it, if any.
func (d *door) admit(c net.Conn) (in *visitor, out net.Conn) {
	v := &visitor{Conn: c, door: d, from: placeOf(c.RemoteAddr())}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.shares[v.from] >= MaxOwnConnections {
		return nil, c
	}
	if len(d.inside) >= MaxConnections {
		longest := d.longestIdle()
		if longest == nil {
			return nil, c
		}
		d.leave(longest)
		out = longest.Conn
	}
	d.inside[v] = struct{}{}
	d.shares[v.from]++
	return v, out
}

// longestIdle gives who is idle for longest, or nil. The caller holds mu.
func (d *door) longestIdle() (found *visitor) {
	for v := range d.inside {
		if v.idle > 0 && (found == nil || v.idle < found.idle) {
			found = v
		}
	}
	return found
}

// leave forgets a visitor. The caller holds mu.
func (d *door) leave(v *visitor) {
	if _, ok := d.inside[v]; !ok {
		return
	}
	delete(d.inside, v)
	if d.shares[v.from]--; d.shares[v.from] == 0 {
		delete(d.shares, v.from)
	}
}

// heed is the server's ConnState: it notes who is idle.
func (d *door) heed(c net.Conn, s http.ConnState) {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	v, ok := c.(*visitor)
	if !ok {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if v.idle = 0; s == http.StateIdle {
		d.turn++
		v.idle = d.turn
	}
}

// Close makes room.
func (v *visitor) Close() error {
	v.door.mu.Lock()
	v.door.leave(v)
	v.door.mu.Unlock()
	return v.Conn.Close()
}

// placeOf is what counts as one place: an IPv4 address, the /64 of an IPv6 address, and everything else together.
func placeOf(a net.Addr) netip.Prefix {
	p, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Prefix{}
	}
	ip, bits := p.Addr().Unmap().WithZone(""), 64
	if ip.Is4() {
		bits = 32
	}
	place, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return place
}
