// SPDX-License-Identifier: Apache-2.0

package relay_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	edge "strongroom/internal/edge/relay"
	"strongroom/internal/gate"
	wire "strongroom/internal/gate/relay"
	"strongroom/internal/svc/relay"
)

func carrier(t testing.TB, cfg edge.Config) *edge.Carrier {
	t.Helper()
	c, err := edge.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	defer elsewhere.Close()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch {
		case string(body) == "redirect":
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		case string(body) == "large":
			_, _ = w.Write(make([]byte, wire.MaxBody+1))
		case string(body) == "slow":
			<-r.Context().Done()
		default:
			w.WriteHeader(409)
			fmt.Fprintf(w, "%s %s %s", r.Method, r.URL.Path, body)
		}
	}))
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	c := carrier(t, edge.Config{Witnesses: map[string]string{"w1": s.URL + "/prefix/", "gone": "http://127.0.0.1:1"}, RootCAs: roots})
	status, b, err := c.Exchange(t.Context(), wire.Witness, "w1", []byte("hello"))
	if err != nil || status != 409 || string(b) != "POST /prefix/add-checkpoint hello" {
		t.Fatal(status, string(b), err)
	}
	status, b, err = c.Exchange(t.Context(), wire.WitnessLatest, "w1", []byte("origin"))
	// SHA-256 of "origin".
	if err != nil || status != 409 || string(b) != "GET /prefix/181fdd46fc4a7246b9f4f1eba3129ba5d724011af5f10223b3589955d1df108a/checkpoint " {
		t.Fatal(status, string(b), err)
	}
	if status, _, err := c.Exchange(t.Context(), wire.Witness, "w1", []byte("redirect")); err != nil || status != 307 {
		t.Fatal(status, err)
	}
	for name, f := range map[string]func(ctx context.Context) error{
		"large": func(ctx context.Context) error {
			_, _, err := c.Exchange(ctx, wire.Witness, "w1", []byte("large"))
			return err
		},
		"unknown target": func(ctx context.Context) error { _, _, err := c.Exchange(ctx, wire.Witness, "w2", nil); return err },
		"a URL": func(ctx context.Context) error {
			_, _, err := c.Exchange(ctx, wire.Witness, elsewhere.URL, nil)
			return err
		},
		"unknown kind": func(ctx context.Context) error { _, _, err := c.Exchange(ctx, "http", "w1", nil); return err },
		"another kind": func(ctx context.Context) error { _, _, err := c.Exchange(ctx, wire.NTP, "w1", nil); return err },
		"dialled":      func(ctx context.Context) error { _, err := c.Dial(ctx, wire.NTSKE, "w1"); return err },
		"gone":         func(ctx context.Context) error { _, _, err := c.Exchange(ctx, wire.Witness, "gone", nil); return err },
	} {
		if err := f(t.Context()); err == nil || strings.Contains(err.Error(), "http://") {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, _, err := c.Exchange(ctx, wire.Witness, "w1", []byte("slow")); !errors.Is(err, context.Canceled) {
		t.Errorf("slow: %v", err)
	}
	strict := carrier(t, edge.Config{Witnesses: map[string]string{"w1": s.URL}})
	if _, _, err := strict.Exchange(t.Context(), wire.Witness, "w1", nil); err == nil {
		t.Error("a certificate of a stranger was accepted")
	}
}

func TestConfigRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]edge.Config{
		"no scheme": {Witnesses: map[string]string{"w": "witness.example"}}, "file": {Witnesses: map[string]string{"w": "file:///etc/passwd"}},
		"user": {Witnesses: map[string]string{"w": "https://a:b@c"}}, "query": {Witnesses: map[string]string{"w": "https://c/?x"}}, "no port": {NTP: map[string]string{"t": "time.example"}},
		"nts without host": {NTS: map[string]string{"t": ":4460"}},
	} {
		if _, err := edge.New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// echo answers datagrams, and connections with TLS, with what it gets in capitals.
func echo(t testing.TB) (udp, tcp string, roots *x509.CertPool) {
	t.Helper()
	u, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewTLSServer(nil) // for its certificate
	t.Cleanup(s.Close)
	roots = x509.NewCertPool()
	roots.AddCert(s.Certificate())
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: s.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { u.Close(); l.Close() })
	go func() { // ends with u
		b := make([]byte, 2000)
		for {
			n, from, err := u.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = u.WriteTo(bytes.ToUpper(b[:n]), from)
		}
	}()
	go func() { // ends with l
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b, err := io.ReadAll(c)
			if err == nil {
				_, _ = c.Write(bytes.ToUpper(b))
			}
			c.Close()
		}
	}()
	return u.LocalAddr().String(), l.Addr().String(), roots
}

// door is a queue behind the door's own dispatch, which can be shut.
type door struct {
	mux  *gate.Mux
	mu   sync.Mutex
	shut bool
}

func (d *door) Call(ctx context.Context, method string, body []byte) ([]byte, error) {
	d.mu.Lock()
	shut := d.shut
	d.mu.Unlock()
	if shut {
		return nil, errors.New("nobody answers at the door")
	}
	return d.mux.Dispatch(ctx, gate.Caller{}, method, body)
}

func (d *door) set(shut bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shut = shut
}

// The core's messages go through two serves, one of which ends in the middle, to real sockets: datagrams, and TLS over a stream, which
// shows that no byte is lost, doubled or moved.
func TestRelayToSockets(t *testing.T) {
	t.Parallel()
	udp, tcp, roots := echo(t)
	q := wire.New()
	defer q.Close()
	d := &door{mux: gate.NewMux()}
	q.Serve(d.mux)
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	serve := func(ctx context.Context, wg *sync.WaitGroup) {
		r, err := relay.New(relay.Config{Core: d, Carrier: carrier(t, edge.Config{NTP: map[string]string{"t1": udp}, NTS: map[string]string{"t1": tcp, "gone": "127.0.0.1:1"}}), Log: quiet})
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			if err := r.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	first, stopFirst := context.WithCancel(ctx)
	serve(first, &wg)
	serve(ctx, &wg)
	var askers sync.WaitGroup
	for i := range 20 {
		askers.Go(func() {
			if i == 10 {
				stopFirst()
			}
			want := fmt.Sprintf("DATAGRAM %d", i)
			for { // what a serve took with it when it ended is asked again
				_, b, err := q.Exchange(t.Context(), wire.NTP, "t1", []byte(strings.ToLower(want)))
				if err == nil && string(b) == want {
					return
				}
				if err == nil {
					t.Errorf("%q", b)
					return
				}
			}
		})
	}
	askers.Wait()
	payload := bytes.Repeat([]byte("some text of the core "), 20_000)
	for range 3 {
		c, err := q.Dial(t.Context(), wire.NTSKE, "t1")
		if err != nil {
			t.Fatal(err)
		}
		tc := tls.Client(c, &tls.Config{RootCAs: roots, ServerName: "example.com"})
		if _, err := tc.Write(payload); err != nil {
			t.Fatal(err)
		}
		if err := tc.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(tc)
		if err != nil || !bytes.Equal(b, bytes.ToUpper(payload)) {
			t.Fatalf("%d bytes of %d, %v", len(b), len(payload), err)
		}
		tc.Close()
	}
	if _, err := q.Dial(t.Context(), wire.NTSKE, "gone"); !errors.Is(err, wire.ErrCarrier) {
		t.Fatal(err)
	}
	if _, err := q.Dial(t.Context(), wire.NTSKE, "not configured"); !errors.Is(err, wire.ErrCarrier) {
		t.Fatal(err)
	}
	d.set(true) // the core is away, and comes back
	d.set(false)
	if _, b, err := q.Exchange(t.Context(), wire.NTP, "t1", []byte("x")); err != nil || string(b) != "X" {
		t.Fatal(b, err)
	}
	cancel()
	wg.Wait()
	stopFirst()
}
