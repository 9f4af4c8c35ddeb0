// SPDX-License-Identifier: Apache-2.0

package grep11_test

import (
	"errors"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	wire "strongroom/api/gen/grep11"
	"strongroom/internal/edge/grep11"
)

// fromList is a listener whose connections come from the addresses of a channel; it ends with it.
type fromList struct {
	in     chan string
	closed map[string]bool
}

// far is the other end of a connection from an address.
type far struct {
	net.Conn
	from   string
	closed map[string]bool
}

func (f *far) RemoteAddr() net.Addr { return address(f.from) }

func (f *far) Close() error { f.closed[f.from] = true; return nil }

type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

func (l *fromList) Accept() (net.Conn, error) {
	from, ok := <-l.in
	if !ok {
		return nil, net.ErrClosed
	}
	return &far{from: from, closed: l.closed}, nil
}

func (*fromList) Close() error   { return nil }
func (*fromList) Addr() net.Addr { return address("127.0.0.1:1") }

// TestConnectionsOfAnAddress: an address has so many connections and no more, others have theirs all the while, and one that ends makes room for one.
func TestConnectionsOfAnAddress(t *testing.T) {
	t.Parallel()
	from := &fromList{make(chan string, 64), map[string]bool{}}
	in, l := from.in, grep11.Bounded(from, 10, 2)
	for _, a := range []string{"192.0.2.1:1", "192.0.2.1:2", "192.0.2.1:3", "[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8::3]:1", "192.0.2.2:1"} {
		in <- a
	}
	accept := func(want string) net.Conn {
		t.Helper()
		c, err := l.Accept()
		if err != nil || c.RemoteAddr().String() != want {
			t.Fatalf("got %v and %v, want %s", c, err, want)
		}
		return c
	}
	first := accept("192.0.2.1:1")
	accept("192.0.2.1:2")
	accept("[2001:db8::1]:1") // the third of 192.0.2.1 was closed
	accept("[2001:db8::2]:1")
	accept("192.0.2.2:1") // of one /64 there were two
	for range 2 {         // closing twice makes room for one
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, a := range []string{"192.0.2.1:4", "192.0.2.1:5", "192.0.2.3:1"} {
		in <- a
	}
	accept("192.0.2.1:4")
	accept("192.0.2.3:1")
	close(in)
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	for name, want := range map[string]bool{"192.0.2.1:1": true, "192.0.2.1:2": false, "192.0.2.1:3": true, "[2001:db8::2]:1": false, "[2001:db8::3]:1": true, "192.0.2.1:4": false, "192.0.2.1:5": true} {
		if from.closed[name] != want {
			t.Errorf("%s: closed %v", name, !want)
		}
	}
}

// TestOneAddressIsNotAll: a gateway that runs lets one address have its share; the next connection is closed, and one more comes in when another ends.
func TestOneAddressIsNotAll(t *testing.T) {
	t.Parallel()
	g := start(t)
	var held []net.Conn
	for range grep11.MaxOwnConnections {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", g.address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		held = append(held, c)
	}
	certs := clientCertificate(t, g)
	more := g.dial(t, certs)
	if err := list(t, more); status.Code(err) != codes.Unavailable {
		t.Errorf("one connection more: %v", err)
	}
	if err := errors.Join(more.Close(), held[0].Close()); err != nil { // the first would try again, and take the place
		t.Fatal(err)
	}
	conn := g.dial(t, certs)
	if _, err := wire.NewCryptoClient(conn).GetMechanismList(t.Context(), &wire.GetMechanismListRequest{}, grpc.WaitForReady(true)); err != nil {
		t.Error(err)
	}
}
