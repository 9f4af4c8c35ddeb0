// SPDX-License-Identifier: Apache-2.0

package grep11_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"log/slog"
	"math/big"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	wire "strongroom/api/gen/grep11"
	"strongroom/internal/edge/grep11"
	"strongroom/internal/edge/grep11/apikey"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/pure/request"
)

// fakeCore answers as a test says, and remembers the last call.
type fakeCore struct {
	mu     sync.Mutex // guards all below
	caller string
	call   ep11.Call
	calls  int
	do     func(ctx context.Context, caller request.AppCaller, c ep11.Call) (ep11.Answer, error)
}

func (f *fakeCore) Do(ctx context.Context, caller request.AppCaller, c ep11.Call) (ep11.Answer, error) {
	f.mu.Lock()
	f.caller, f.call, f.calls = string(caller), c, f.calls+1
	do := f.do
	f.mu.Unlock()
	if do == nil {
		return ep11.Answer{}, nil
	}
	return do(ctx, caller, c)
}

func (f *fakeCore) answer(a ep11.Answer, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.do = func(context.Context, request.AppCaller, ep11.Call) (ep11.Answer, error) { return a, err }
}

func (f *fakeCore) last() (string, ep11.Call) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.caller, f.call
}

// clock is the gateway's clock.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Now().Truncate(time.Second)} }

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.t }

func (c *clock) add(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.t = c.t.Add(d) }

// gateway is a running gateway before a fake core.
type gateway struct {
	*grep11.Server
	core    *fakeCore
	clock   *clock
	keys    string // file of API keys
	address string
	roots   *x509.CertPool
	log     *bytes.Buffer
	stop    func() error
}

type option func(*grep11.Config)

func plaintext(c *grep11.Config) { c.TLS, c.Tokens, c.Local = nil, nil, "dev" }

// start runs a gateway until the test ends.
func start(t testing.TB, options ...option) *gateway {
	t.Helper()
	g := &gateway{core: &fakeCore{}, clock: newClock(), keys: filepath.Join(t.TempDir(), "api-keys.json"), roots: x509.NewCertPool(), log: &bytes.Buffer{}}
	tokens, err := apikey.Open(apikey.Config{Keys: g.keys, Token: filepath.Join(filepath.Dir(g.keys), "token-key"), Now: g.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	server := certificate(t, p256(t), g.clock.Now(), func(c *x509.Certificate) {
		c.IPAddresses, c.ExtKeyUsage = []net.IP{net.IPv4(127, 0, 0, 1)}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		c.NotAfter = g.clock.Now().Add(24 * time.Hour)
	})
	g.roots.AddCert(server.Leaf)
	conf := grep11.Config{Core: g.core, Log: slog.New(slog.NewJSONHandler(&lockedWriter{w: g.log}, nil)), Now: g.clock.Now,
		TLS: &tls.Config{Certificates: []tls.Certificate{server}}, Tokens: tokens}
	for _, o := range options {
		o(&conf)
	}
	if g.Server, err = grep11.New(conf); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g.address = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Serve(ctx, l) }()
	g.stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() {
		if err := g.stop(); err != nil {
			t.Error(err)
		}
	})
	return g
}

type lockedWriter struct {
	mu sync.Mutex
	w  *bytes.Buffer
}

func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

func p256(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// certificate makes a self-signed certificate for clients.
func certificate(t testing.TB, key crypto.Signer, now time.Time, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: now.Add(-time.Minute), NotAfter: now.Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if change != nil {
		change(c)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// bearer sends an authorization header.
type bearer string

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": string(b)}, nil
}

func (bearer) RequireTransportSecurity() bool { return true }

// dial connects with certificates, and what else is wanted.
func (g *gateway) dial(t testing.TB, certs []tls.Certificate, more ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	creds := credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS13, RootCAs: g.roots, Certificates: certs, Time: g.clock.Now})
	return connect(t, g.address, append([]grpc.DialOption{grpc.WithTransportCredentials(creds)}, more...)...)
}

func (g *gateway) plain(t testing.TB) wire.CryptoClient {
	return wire.NewCryptoClient(connect(t, g.address, grpc.WithTransportCredentials(insecure.NewCredentials())))
}

// client connects with a certificate of its own.
func (g *gateway) client(t testing.TB) wire.CryptoClient {
	return wire.NewCryptoClient(g.dial(t, []tls.Certificate{certificate(t, p256(t), g.clock.Now(), nil)}))
}

func connect(t testing.TB, address string, o ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	c, err := grpc.NewClient(address, o...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// detail gives the one Grep11Error of a failed call, as clients read it.
func detail(t testing.TB, err error) *wire.Grep11Error {
	t.Helper()
	st, ok := status.FromError(err)
	if err == nil || !ok {
		t.Fatalf("got %v, want a status", err)
	}
	list := st.Proto().GetDetails()
	if len(list) != 1 || list[0].GetTypeUrl() != "type.googleapis.com/grep11.Grep11Error" {
		t.Fatalf("%v: %d details, want one Grep11Error", err, len(list))
	}
	d := st.Details()[0].(*wire.Grep11Error)
	if name := ep11.Code(d.GetCode()).Error(); !bytes.HasPrefix([]byte(st.Message()), []byte(name)) {
		t.Errorf("message %q does not begin with %s", st.Message(), name)
	}
	return d
}

func refused(t testing.TB, err error, want ep11.Code) {
	t.Helper()
	if got := ep11.Code(detail(t, err).GetCode()); got != want {
		t.Errorf("got %v (%v), want %v", got, err, want)
	}
}
