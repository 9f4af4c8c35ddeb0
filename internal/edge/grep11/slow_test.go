// SPDX-License-Identifier: Apache-2.0

package grep11_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"

	wire "strongroom/api/gen/grep11"
	"strongroom/internal/edge/grep11"
	"strongroom/internal/pure/ep11"
)

// patient is a gateway that waits for ever, or nearly so: whoever is in another's way stays there.
func patient(first, rest time.Duration) option {
	return func(c *grep11.Config) { c.Patience(first, rest) }
}

// slow opens calls that say how long their messages are, and send nothing of them.
func slow(t testing.TB, g *gateway, calls int, length uint32) {
	t.Helper()
	c, err := tls.Dial("tcp", g.address, &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: g.roots, Certificates: clientCertificate(t, g), Time: g.clock.Now, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go io.Copy(io.Discard, c) // ends with the connection
	var out, head bytes.Buffer
	out.WriteString(http2.ClientPreface)
	f := http2.NewFramer(&out, nil)
	errs := []error{f.WriteSettings()}
	for i := range calls {
		head.Reset()
		e := hpack.NewEncoder(&head)
		e.SetMaxDynamicTableSize(0)
		for _, x := range [][2]string{{":method", "POST"}, {":scheme", "https"}, {":path", "/grep11.Crypto/Digest"}, {":authority", "localhost"},
			{"content-type", "application/grpc"}, {"te", "trailers"}} {
			errs = append(errs, e.WriteField(hpack.HeaderField{Name: x[0], Value: x[1]}))
		}
		id := uint32(2*i + 1)
		errs = append(errs, f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: head.Bytes(), EndHeaders: true}),
			f.WriteData(id, false, []byte{0, byte(length >> 24), byte(length >> 16), byte(length >> 8), byte(length)}))
	}
	_, err = c.Write(out.Bytes())
	for _, err := range append(errs, err) {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// idle opens calls that send nothing.
func idle(t testing.TB, g *gateway, calls int) (last grpc.ClientStream) {
	t.Helper()
	c := g.dial(t, clientCertificate(t, g))
	for range calls {
		s, err := c.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/grep11.Crypto/GenerateRandom")
		if err != nil {
			t.Fatal(err)
		}
		last = s
	}
	return last
}

// await returns when so many calls wait for their messages and so many of them are read.
func (g *gateway) await(calls, reads int) {
	for {
		if c, r := g.Waiting(); c == calls && r == reads {
			return
		}
		runtime.Gosched()
	}
}

// metrics gives what the gateway counts.
func metrics(g *gateway) []byte {
	w := httptest.NewRecorder()
	g.Metrics().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.Bytes()
}

// TestIdleCallsAreInNobodysWay: calls that send nothing, and those that begin a message and stop, take nothing that other callers need.
func TestIdleCallsAreInNobodysWay(t *testing.T) {
	t.Parallel()
	g := start(t, patient(time.Hour, time.Hour))
	const idlers, slowCalls = 2 * grep11.ReadAtOnce, grep11.ReadAtOnce
	idle(t, g, idlers)
	slow(t, g, slowCalls, 1<<20)
	g.await(idlers+slowCalls, grep11.ReadConnection)
	large := &wire.DigestRequest{Data: make([]byte, 1<<20)}
	if _, err := g.client(t).Digest(t.Context(), large); err != nil {
		t.Errorf("a large message on another connection: %v", err)
	}
	slow(t, g, slowCalls, 1<<20)
	g.await(idlers+2*slowCalls, grep11.ReadOfAddress)
	if _, err := g.client(t).Digest(t.Context(), &wire.DigestRequest{Data: make([]byte, 16<<10)}); err != nil {
		t.Errorf("a small message from the address that has all its turns: %v", err)
	}
	other := grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
		return d.DialContext(ctx, "tcp", address)
	})
	if _, err := wire.NewCryptoClient(g.dial(t, clientCertificate(t, g), other)).Digest(t.Context(), large); err != nil {
		t.Errorf("a large message from another address: %v", err)
	}
}

// TestSlowMessages: neither the first bytes nor the others are waited for longer than is said.
func TestSlowMessages(t *testing.T) {
	t.Parallel()
	g := start(t, patient(time.Nanosecond, time.Hour))
	refused(t, idle(t, g, 1).RecvMsg(&wire.GenerateRandomResponse{}), ep11.CKR_IBM_REQ_TIMEOUT)
	g = start(t, patient(time.Hour, time.Nanosecond))
	slow(t, g, 64, 1<<20)
	for !bytes.Contains(metrics(g), []byte(`strongroom_grep11_calls_total{function="Digest",code="CKR_IBM_REQ_TIMEOUT"} 64`)) {
		runtime.Gosched()
	}
	g.await(0, 0)
}

// TestReaders: turns are bounded by connection, by address and together, come back once, and nobody who has none is remembered.
func TestReaders(t *testing.T) {
	t.Parallel()
	r := grep11.NewReaders()
	var back []func()
	take := func(connection, address string) bool {
		give, ok := r.Take(connection, address)
		if ok {
			back = append(back, give)
		}
		return ok
	}
	for i := range grep11.ReadConnection + 1 {
		if take("a1", "a") != (i < grep11.ReadConnection) {
			t.Errorf("turn %d of a connection", i)
		}
	}
	for i := range grep11.ReadConnection + 1 {
		if take(fmt.Sprint("a", 2+i), "a") != (i < grep11.ReadOfAddress-grep11.ReadConnection) {
			t.Errorf("turn %d of an address", grep11.ReadConnection+i)
		}
	}
	for n := len(back); n < grep11.ReadAtOnce; n++ {
		if !take(fmt.Sprint("b", n), fmt.Sprint("b", n)) {
			t.Fatalf("turn %d", n)
		}
	}
	if take("c1", "c") {
		t.Error("a turn more than there are")
	}
	back[0]()
	if !take("c1", "c") || take("a1", "a") {
		t.Error("a turn that was given back is there once")
	}
	for _, give := range back[1:] {
		give()
	}
	if n := r.Known(); n != 0 {
		t.Errorf("%d are remembered", n)
	}
}
