// SPDX-License-Identifier: Apache-2.0

package witnesshttp

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"strongroom/internal/pure/tlog"
	protocol "strongroom/internal/pure/witness"
	"strongroom/internal/svc/witness"
)

// nothing is a witness's store that remembers nothing.
type nothing struct{}

func (nothing) Load(context.Context, string) (witness.State, error) { return witness.State{}, nil }
func (nothing) Save(context.Context, string, witness.State) error   { return nil }

// serving is a running witness's address.
func serving(t *testing.T) string {
	t.Helper()
	private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	k, err := tlog.NewWitnessKey("witness.example/w1", private.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	log, err := tlog.NewKey("log.example/one", private.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	w, err := witness.New(witness.Config{Key: k, Sign: func(m []byte) ([]byte, error) { return ed25519.Sign(private, m), nil }, Logs: protocol.Logs{log.Origin(): {log}}, Store: nothing{}, Now: time.Now, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, l, w, nil, quiet) }()
	t.Cleanup(func() { cancel(); <-ended })
	return l.Addr().String()
}

// asks sends a request on a new connection, and gives the connection with the status of the answer, or 0 where it was closed.
func asks(t *testing.T, address, header string) (net.Conn, int) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := fmt.Fprintf(c, "GET /%s/checkpoint HTTP/1.1\r\nHost: witness\r\n%s\r\n", OriginHash("x"), header); err != nil {
		return c, 0
	}
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return c, 0
	}
	_, _ = io.Copy(io.Discard, r.Body)
	_ = r.Body.Close()
	return c, r.StatusCode
}

// One place has its share of connections, and gets room again when one of them ends.
func TestOnePlaceHasItsShare(t *testing.T) {
	t.Parallel()
	address := serving(t)
	var first net.Conn
	for i := range MaxOwnConnections {
		c, status := asks(t, address, "")
		if status != http.StatusNotFound {
			t.Fatalf("connection %d: status %d", i+1, status)
		}
		if i == 0 {
			first = c
		}
	}
	if _, status := asks(t, address, ""); status != 0 {
		t.Fatalf("one connection too many: status %d", status)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	for range 1000 { // the server has to notice
		if _, status := asks(t, address, ""); status == http.StatusNotFound {
			return
		}
	}
	t.Error("there is never room again")
}

func TestLongHeadersAreRefused(t *testing.T) {
	t.Parallel()
	address := serving(t)
	if _, status := asks(t, address, "X-Long: "+strings.Repeat("a", 2<<10)+"\r\n"); status != http.StatusNotFound {
		t.Errorf("a header of 2 KiB: status %d", status)
	}
	if _, status := asks(t, address, "X-Long: "+strings.Repeat("a", 16<<10)+"\r\n"); status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a header of 16 KiB: status %d", status)
	}
}

// stub is a connection from somewhere.
type stub struct {
	net.Conn
	from   string
	closed bool
}

func (s *stub) RemoteAddr() net.Addr { a, _ := net.ResolveTCPAddr("tcp", s.from); return a }
func (s *stub) Close() error         { s.closed = true; return nil }

// A full door lets newcomers in for who is idle for longest, and shuts them out where all are busy.
func TestFullDoor(t *testing.T) {
	t.Parallel()
	d := newDoor(nil)
	var inside []*visitor
	for i := range MaxConnections {
		v, out := d.admit(&stub{from: fmt.Sprintf("10.0.%d.%d:1000", i/200, i%200)})
		if v == nil || out != nil {
			t.Fatalf("connection %d is not let in", i+1)
		}
		d.heed(v, http.StateActive)
		inside = append(inside, v)
	}
	late := &stub{from: "[2001:db8::1]:7"}
	if v, out := d.admit(late); v != nil || out != late {
		t.Error("let in though all are busy")
	}
	for _, i := range []int{5, 3, 9} {
		d.heed(inside[i], http.StateIdle)
	}
	d.heed(inside[5], http.StateActive) // again
	for _, i := range []int{3, 9} {
		v, out := d.admit(&stub{from: "[2001:db8::1]:7"})
		if v == nil || out != inside[i].Conn {
			t.Errorf("let in %v for %v, want for %v", v != nil, out, inside[i].Conn)
		}
	}
	if v, _ := d.admit(late); v != nil || len(d.inside) != MaxConnections {
		t.Errorf("%d inside", len(d.inside))
	}
	for _, v := range inside {
		if err := v.Close(); err != nil { // also who was put out
			t.Fatal(err)
		}
	}
	if len(d.inside) != 2 || len(d.shares) != 1 {
		t.Errorf("%d inside, from %d places", len(d.inside), len(d.shares))
	}
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	place := func(s string) string { return placeOf((&stub{from: s}).RemoteAddr()).String() }
	for _, same := range [][2]string{{"192.0.2.1:1", "192.0.2.1:2"}, {"[2001:db8::1]:1", "[2001:db8::ffff:1]:2"}, {"[::ffff:192.0.2.1]:1", "192.0.2.1:9"}} {
		if place(same[0]) != place(same[1]) {
			t.Errorf("%v are two places", same)
		}
	}
	for _, other := range [][2]string{{"192.0.2.1:1", "192.0.2.2:1"}, {"[2001:db8::1]:1", "[2001:db8:0:1::1]:1"}} {
		if place(other[0]) == place(other[1]) {
			t.Errorf("%v are one place", other)
		}
	}
	if p := placeOf(&net.UnixAddr{Name: "socket"}); p.IsValid() {
		t.Error(p)
	}
}
