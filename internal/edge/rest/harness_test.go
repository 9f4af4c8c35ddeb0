// SPDX-License-Identifier: Apache-2.0

package rest_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"strongroom/client"
	"strongroom/internal/edge/rest"
	"strongroom/internal/gate"
	"strongroom/internal/gate/coretest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/svc/feed"
)

// clock is a clock that tests move; it starts at the system's time, because TLS of the client uses that.
type clock struct {
	mu    sync.Mutex
	shift time.Duration
}

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return time.Now().Add(c.shift) }

func (c *clock) add(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.shift += d }

// house is a core, an API before it, and who may call.
type house struct {
	t     testing.TB
	core  *coretest.Core
	clock *clock
	url   string
	ca    *x509.CertPool
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	log   *bytes.Buffer
	stop  func()
	api   *rest.Server
	index *index
	once  sync.Once
	plain *http.Transport // see bare
}

// door is the core, in benchmarks one that answers submissions from a record.
func (h *house) door() gate.Door {
	if _, ok := h.t.(*testing.B); ok {
		return &canned{Door: h.core}
	}
	return h.core
}

// direct gives the handler, as if TLS had shown who calls.
func (h *house) direct(b *testing.B) func(http.ResponseWriter, *http.Request) {
	k := newKey(b)
	c := h.certificate(&x509.Certificate{Subject: pkix.Name{CommonName: string(coretest.Payout.ID)}}, &k.PublicKey)
	state := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{c}, VerifiedChains: [][]*x509.Certificate{{c}}}
	return func(w http.ResponseWriter, r *http.Request) {
		r.TLS = state
		h.api.Handler().ServeHTTP(w, r)
	}
}

func newHouse(t testing.TB, change ...func(*rest.Config)) *house {
	t.Helper()
	h := &house{t: t, clock: &clock{}, ca: x509.NewCertPool(), log: &bytes.Buffer{}}
	h.core = coretest.New(t, h.clock.Now)
	h.core.AddWallet(t, "hot", coretest.Ethereum, request.SchemeEVM, 2)
	h.key = newKey(t)
	h.cert = h.certificate(&x509.Certificate{Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, &h.key.PublicKey)
	h.ca.AddCert(h.cert)
	h.index = &index{core: h.core}
	server := newKey(t)
	leaf := h.certificate(&x509.Certificate{Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{{127, 0, 0, 1}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, &server.PublicKey)
	conf := &tls.Config{MinVersion: tls.VersionTLS13, ClientCAs: h.ca, Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw}, PrivateKey: server}}}
	cfg := rest.Config{Hosts: []string{"localhost", "127.0.0.1"}, Core: h.door(), Index: h.index, Transfers: transfers{t, h.core}, Chains: chains{}, Issuer: h, TLS: conf, Now: h.clock.Now,
		Tiles:   fstest.MapFS{"checkpoint": {Data: []byte("note")}, "tile/0/000": {Data: []byte("full")}, "tile/0/001.p/3": {Data: []byte("part")}, "secret": {Data: []byte("x")}},
		Version: "test", MaxConnections: 20, Log: slog.New(slog.NewTextHandler(&locked{w: h.log}, nil))}
	for _, f := range change {
		f(&cfg)
	}
	s, err := rest.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.api = s
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	h.url = "https://" + l.Addr().String()
	h.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(h.stop)
	return h
}

type locked struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *locked) Write(b []byte) (int, error) { l.mu.Lock(); defer l.mu.Unlock(); return l.w.Write(b) }

func newKey(t testing.TB) *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (h *house) certificate(c *x509.Certificate, pub *ecdsa.PublicKey) *x509.Certificate {
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	parent := h.cert
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, pub, h.key)
	if err != nil {
		h.t.Fatal(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		h.t.Fatal(err)
	}
	return out
}

// Issue makes the house an issuer.
func (h *house) Issue(csr []byte, person custody.PersonID) ([]byte, []byte, error) {
	q, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		return nil, nil, problem.New(problem.Malformed, "bad csr")
	}
	c := h.certificate(&x509.Certificate{Subject: pkix.Name{CommonName: string(person)}}, q.PublicKey.(*ecdsa.PublicKey))
	return c.Raw, h.cert.Raw, nil
}

// transport is TLS with a certificate in somebody's name; none for "".
func (h *house) transport(name string) *http.Transport {
	conf := &tls.Config{RootCAs: h.ca, MinVersion: tls.VersionTLS13}
	if name != "" {
		k := newKey(h.t)
		c := h.certificate(&x509.Certificate{Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, &k.PublicKey)
		conf.Certificates = []tls.Certificate{{Certificate: [][]byte{c.Raw}, PrivateKey: k}}
	}
	tr := &http.Transport{TLSClientConfig: conf, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 64}
	h.t.Cleanup(tr.CloseIdleConnections)
	return tr
}

func (h *house) client(p coretest.Person) *client.Client {
	c, err := client.New(client.Config{BaseURL: h.url, Transport: h.transport(string(p.ID)), Now: h.clock.Now})
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

func signer(t testing.TB, p coretest.Person) client.Signer {
	s, err := client.NewSigner(p.ID, p.Key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// raw makes a call and gives the whole answer.
func (h *house) raw(tr http.RoundTripper, method, path string, header map[string]string, body []byte) (*http.Response, []byte) {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), method, h.url+path, bytes.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	for k, v := range header {
		r.Header.Set(k, v)
	}
	resp, err := tr.RoundTrip(r)
	if err != nil {
		h.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	if resp.Header.Get("Content-Type") == apiv1.JSON && resp.StatusCode < 300 && method+path != "GET/openapi.json" && resp.ContentLength != int64(len(b)) {
		h.t.Errorf("%s %s: a reply of %d bytes has Content-Length %d", method, path, len(b), resp.ContentLength)
	}
	return resp, b
}

// problemOf reads a problem document and checks its form.
func problemOf(t testing.TB, resp *http.Response, b []byte) apiv1.Problem {
	t.Helper()
	var p apiv1.Problem
	if err := json.Unmarshal(b, &p); err != nil || resp.Header.Get("Content-Type") != apiv1.ProblemJSON {
		t.Fatalf("status %d is no problem document: %s", resp.StatusCode, b)
	}
	if p.Status != resp.StatusCode || p.Type != "/docs/problems/"+string(p.Kind) || p.Detail == "" || p.Title == "" {
		t.Errorf("problem document lacks something: %s", b)
	}
	return p
}

// transfer is a transfer of the service that the rules let go at once.
func transfer(amount uint64) *request.TransferBody {
	return &request.TransferBody{Wallet: "hot", Asset: coretest.Ether, Outputs: []request.Output{{Address: coretest.EthereumTo, Amount: custody.U64(amount)}},
		FeeCap: custody.U64(1e18)}
}

// payload builds the bytes of a transfer.
func payload(t testing.TB, b *request.TransferBody, nonce uint64) []byte {
	t.Helper()
	to, err := eth.ParseAddress(b.Outputs[0].Address)
	if err != nil {
		t.Fatal(err)
	}
	p, err := eth.Tx1559{ChainID: 1337, Nonce: nonce, MaxPriorityFeePerGas: eth.FromUint64(1), MaxFeePerGas: eth.FromUint64(1000), GasLimit: 21000, To: to,
		Value: eth.Uint256(b.Outputs[0].Amount)}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (h *house) request(by coretest.Person, op request.Operation, body any, key string) request.Request {
	return request.Request{V: 1, Authority: h.core.Authority(), Domain: custody.DomainID(h.core.Authority()), Initiator: by.ID, Key: key, Operation: op,
		Body: canon.Encode(body), NotAfter: h.clock.Now().Unix() + 3600}
}

// asked has somebody ask for something.
func (h *house) asked(by coretest.Person, body request.Body) client.RequestView {
	h.t.Helper()
	v, err := h.client(by).Submit(h.t.Context(), signer(h.t, by), client.Ask{Body: body})
	if err != nil {
		h.t.Fatal(err)
	}
	return v
}

// approved has people approve a request, and gives it as it is then.
func (h *house) approved(v client.RequestView, people ...coretest.Person) client.RequestView {
	h.t.Helper()
	id, err := client.ParseRequestID(v.ID)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, p := range people {
		var rev client.Review
		var a client.Approval
		c := h.client(p)
		if rev, err = c.Review(h.t.Context(), id); err == nil {
			if a, err = rev.Sign(signer(h.t, p), client.Approve); err == nil {
				v, err = c.Decide(h.t.Context(), a)
			}
		}
		if err != nil {
			h.t.Fatal(err)
		}
	}
	return v
}

// index finds requests in the core's log itself.
type index struct {
	core *coretest.Core
	old  []feed.Found // found besides, before all others
	lag  atomic.Int64 // how many more times it says that it has seen nothing
}

func (x *index) Find(_ context.Context, q feed.Query) ([]feed.Found, error) {
	if x.lag.Load() > 0 {
		return nil, nil
	}
	out := slices.Clone(x.old)
	for seq, b := range x.core.Bodies() {
		e, ok := b.(*entry.Request)
		if !ok || uint64(seq) < q.From || len(out) == q.Limit {
			continue
		}
		r, err := request.Decode(e.Request)
		if err != nil {
			return nil, err
		}
		if q.Operation == "" || q.Operation == r.Operation {
			out = append(out, feed.Found{ID: r.ID(), Seq: uint64(seq)})
		}
	}
	return out, nil
}

func (x *index) Folded(context.Context) (n uint64, _ error) {
	if x.lag.Add(-1) >= 0 {
		return 0, nil
	}
	x.core.State(func(s *authority.State) { n = s.Next })
	return n, nil
}

type transfers struct {
	t    testing.TB
	core *coretest.Core
}

// Sign builds the payload of a transfer of the first address and has it signed.
func (x transfers) Sign(ctx context.Context, id custody.RequestID) (message.Signed, error) {
	v, err := gate.Call[message.ByID, message.Request](ctx, x.core, message.MethodRequest, message.ByID{ID: id})
	if err != nil || v.Signed != nil {
		return *cmp.Or(v.Signed, &message.Signed{}), err
	}
	r, err := request.Parse(v.Request)
	if err != nil {
		return message.Signed{}, err
	}
	var nonce uint64
	x.core.State(func(s *authority.State) { nonce = s.NextNonce("hot", 0) })
	return gate.Call[message.Sign, message.Signed](ctx, x.core, message.MethodSign,
		message.Sign{ID: id, Payload: payload(x.t, r.Decoded.(*request.TransferBody), nonce)})
}

func (transfers) Attempts(context.Context, custody.RequestID) ([]apiv1.Attempt, error) {
	return []apiv1.Attempt{{Attempt: 1, State: "in_mempool"}}, nil
}

func (transfers) Note(_ context.Context, _ custody.RequestID, on custody.ChainID) (string, error) {
	return "no funds on " + string(on), nil
}

type chains struct{}

func (chains) Status(context.Context) []apiv1.Chain {
	return []apiv1.Chain{{Chain: coretest.Ethereum, Node: "127.0.0.1:8545", Height: 7}}
}

func (chains) Balances(context.Context, custody.WalletID) ([]apiv1.Balance, error) {
	return []apiv1.Balance{{Asset: coretest.Ether, Confirmed: custody.U64(5)}}, nil
}
