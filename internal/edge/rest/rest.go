// SPDX-License-Identifier: Apache-2.0

// Package rest is the REST API of serve: /v1/<plural>, :verb actions, problems as RFC 9457, described by OpenAPI 3.1 at
// /openapi.json. It rebuilds the canonical bytes that people signed from the JSON that they sent and hands them to the core,
// which believes none of it: a lying serve can refuse service, nothing more.
//
// Callers show a client certificate of a person who is active in the rule document; only /healthz, /openapi.json and /docs are open. Who has signed in
// to the pages may read, and nothing else.
// It refuses plaintext, TLS below 1.3, unknown query parameters, JSON with two readings, and amounts that are not strings; what another
// site makes a browser do; and services that ask for more than their own requests, wallets and the status. No payload is taken but with
// the initiator's own request: the certificate says who reads, and nothing that is signed rests on it.
//
// The description is made by huma from the types of package apiv1. The bodies are read by package strictjson, because readers
// based on encoding/json accept repeated members and names in another case.
package rest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/strictjson"
	"strongroom/internal/svc/feed"
	"strongroom/internal/svc/roster"
)

// Limits.
const (
	MaxBody        = 1 << 20          // bytes of a JSON body
	MaxCBOR        = 2 << 20          // bytes of a CBOR body
	MaxHeader      = 16 << 10         // bytes of a request's headers
	MaxConnections = 1024             // at a time, unless configured
	MaxWait        = 30               // seconds that a call may wait for an entry
	MaxBodies      = 64 << 20         // bytes of all bodies that are read or worked on at a time
	MaxOwnBodies   = 8 << 20          // of those of one caller
	MaxPolls       = 256              // calls that wait for an entry at a time; the core lets 512 wait
	MaxOwnPolls    = 8                // of those of one caller
	MaxStreams     = 32               // calls at a time on a connection of HTTP/2
	BodyTime       = 10 * time.Second // for a body to arrive, unless configured

	callTime   = 45 * time.Second // longest that a call may take
	pollGrace  = 5 * time.Second  // for the core to answer after a wait
	readWindow = 64 << 10         // bytes that a connection of HTTP/2 may send ahead of who reads them
)

// Index finds requests in serve's cache of the log. What it says is not believed: each request is then read from the core.
// Safe for concurrent use.
type Index interface {
	// Find gives requests from an entry on, oldest first.
	Find(ctx context.Context, q feed.Query) ([]feed.Found, error)
	// Folded says how many entries of the log the cache has seen.
	Folded(ctx context.Context) (uint64, error)
}

// Transfers carries transfers out. Safe for concurrent use.
type Transfers interface {
	// Sign builds the payload of a ready transfer, or takes the one that was built, and has it signed.
	Sign(ctx context.Context, id custody.RequestID) (message.Signed, error)
	// Attempts gives what the chain shows of a transfer, in order; none if nothing is known.
	Attempts(ctx context.Context, id custody.RequestID) ([]apiv1.Attempt, error)
	// Note says why a transfer on a chain does not go on; empty if nothing stands in its way.
	Note(ctx context.Context, id custody.RequestID, on custody.ChainID) (string, error)
}

// Chains knows nodes. Safe for concurrent use.
type Chains interface {
	Status(ctx context.Context) []apiv1.Chain
	Balances(ctx context.Context, w custody.WalletID) ([]apiv1.Balance, error)
}

// Issuer issues client certificates for the key of a certificate request (DER), and gives its own certificate. A request that
// is no such thing, or for a weak key, is a problem of kind malformed.
type Issuer interface {
	Issue(csr []byte, person custody.PersonID) (certificate, authority []byte, err error)
}

// Pages are what people see in a browser, below /app/, without a client certificate. Safe for concurrent use.
type Pages interface {
	http.Handler
	// Person says who signed in there, by a call's cookie; empty if nobody did, or not any more.
	Person(r *http.Request) custody.PersonID
}

// Config is what the API needs. All fields are required but what says otherwise.
type Config struct {
	Core      gate.Door
	Index     Index
	Transfers Transfers
	Chains    Chains
	Issuer    Issuer
	Tiles     fs.FS // the log's tile folder (C2SP tlog-tiles)
	TLS       *tls.Config
	Log       *slog.Logger
	Now       func() time.Time
	Version   string // of this program, for the description

	Hosts          []string           // names and addresses of this server, without ports, that signed calls may name; none: they are refused
	Logins         Logins             // by password, for the pages; nil: there are none
	Pages          Pages              // nil: there are none
	Simulations    Simulations        // nil: requests go to the core without reports
	OnProblem      func(problem.Kind) // told of each call that ends with a problem; nil: nobody is
	MaxConnections int                // 0: [MaxConnections]
	BodyTime       time.Duration      // 0: [BodyTime]
}

func (c *Config) check() error {
	switch {
	case c.Core == nil || c.Index == nil || c.Transfers == nil || c.Chains == nil || c.Issuer == nil || c.Tiles == nil:
		return errors.New("rest: core, index, transfers, chains, issuer and tiles are required")
	case c.Log == nil || c.Now == nil || c.Version == "":
		return errors.New("rest: log, clock and version are required")
	case c.TLS == nil || c.TLS.MinVersion < tls.VersionTLS13 || c.TLS.ClientCAs == nil:
		return errors.New("rest: TLS 1.3 and an authority of client certificates are required")
	case c.MaxConnections < 0 || c.BodyTime < 0:
		return errors.New("rest: the number of connections and the time for a body must not be negative")
	}
	if c.BodyTime == 0 {
		c.BodyTime = BodyTime
	}
	if c.MaxConnections == 0 {
		c.MaxConnections = MaxConnections
	}
	return nil
}

// Server is the API.
type Server struct {
	cfg     Config
	people  *roster.Roster
	handler http.Handler
	openapi []byte
	shapes  strictjson.Shapes // of submissions, the bodies that come most
	bodies  *budget           // bytes of bodies
	polls   *budget           // calls that wait for an entry
	lives   health
	since   int64  // Unix seconds: when it began
	nonces  nonces // of signed calls
}

// New makes the API.
func New(cfg Config) (*Server, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, people: roster.New(cfg.Core, cfg.Now), shapes: strictjson.Learn(apiv1.Submission{}, request.TransferBody{}),
		bodies: newBudget(MaxBodies, MaxOwnBodies), polls: newBudget(MaxPolls, MaxOwnPolls), since: cfg.Now().Unix()}
	ops := s.operations()
	var err error
	if s.openapi, err = describe(ops, cfg.Version); err != nil {
		return nil, fmt.Errorf("describe the API: %w", err)
	}
	s.handler = s.route(ops)
	return s, nil
}

// Handler answers calls whose TLS state a server has filled in.
func (s *Server) Handler() http.Handler { return s.handler }

// Serve answers on a listener until ctx ends, and then finishes open calls for at most 10 seconds. It closes the listener.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	conf := s.cfg.TLS.Clone()
	conf.ClientAuth = tls.VerifyClientCertIfGiven // health and description are open; every other operation insists
	conf.NextProtos = []string{"h2", "http/1.1"}
	srv := &http.Server{
		Handler:           s.handler,
		TLSConfig:         conf,
		ReadHeaderTimeout: 10 * time.Second, // the TLS handshake included
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      callTime + 15*time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    MaxHeader,
		ErrorLog:          slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug), // handshakes of strangers
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: MaxStreams, MaxReceiveBufferPerConnection: readWindow, MaxReceiveBufferPerStream: readWindow},
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.ServeTLS(limit(l, s.cfg.MaxConnections), "", "") }() // ends with Shutdown or Close; received below
	select {
	case err := <-ended:
		return fmt.Errorf("serve REST: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err := srv.Shutdown(grace)
	if err != nil {
		err = errors.Join(err, srv.Close())
	}
	<-ended // http.ErrServerClosed
	return err
}

// limited is a listener with so many open connections at most; the next one waits in the system's queue.
type limited struct {
	net.Listener
	room   chan struct{}
	closed chan struct{}
	once   sync.Once
}

func limit(l net.Listener, n int) net.Listener {
	return &limited{Listener: l, room: make(chan struct{}, n), closed: make(chan struct{})}
}

// Accept waits for room and a connection.
func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.room <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.room
		return nil, err
	}
	return &limitedConn{Conn: c, room: l.room}, nil
}

// Close ends Accept.
func (l *limited) Close() error {
	err := l.Listener.Close()
	l.once.Do(func() { close(l.closed) })
	return err
}
