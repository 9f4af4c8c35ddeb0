// SPDX-License-Identifier: Apache-2.0

// Package grep11 is the GREP11 gateway: PKCS#11 functions of the domain as gRPC calls, wire-compatible with clients of the vendor's
// service (docs/spec/grep11.md, api/proto/grep11). It ends TLS, finds out who calls, turns messages into calls of the core and answers into
// messages, and keeps nothing: keys are sealed blobs and operations sealed states, which only the core opens. A gateway that somebody broke
// into can misname callers to the core, within the grants made for this gateway, and see what callers send and get; it gets no key.
//
// Callers are known by the public key of their client certificate, or by a bearer token that the token endpoint gives for an API key. It
// refuses TLS below 1.3, and who has neither before it reads what they say; plaintext but on loopback and under one name for all callers;
// what no grant allows, which the core says. Server reflection is not there. Every failure is a status with exactly one Grep11Error.
//
// Copies outside the arena: what callers encrypt, decrypt, sign and unwrap passes through the heap in clear.
package grep11

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"

	"strongroom/internal/pure/ep11"
	"strongroom/internal/pure/request"
)

// Limits.
const (
	MaxMessage       = ep11.MaxData + 64<<10 // bytes of a message; of a function without data a part of it
	MaxOperations    = 16_384                // calls at a time
	MaxOwnOperations = 12_288                // of those of one caller
	MaxMessages      = 512 << 20             // bytes of all messages that are worked on, with 256 more for each field
	MaxOwnMessages   = 128 << 20             // of those of one caller
	MaxWaiting       = 49_152                // calls whose messages have not come
	MaxOwnWaiting    = 12_288                // of those from one address
	MaxConnections   = 1024                  // at a time, unless configured; the next one waits
	MaxStreams       = 2048                  // calls at a time on a connection; a client's further ones wait
	MaxHeader        = 16 << 10              // bytes of a call's metadata

	callTime     = 2 * time.Minute  // longest that a call may take
	firstTime    = 5 * time.Second  // for the first bytes of its message to come
	readTime     = 20 * time.Second // for the others
	handshake    = 10 * time.Second
	grace        = 10 * time.Second // for open calls when the gateway stops
	streamWindow = 64 << 10         // bytes that a call may send before it is read; until a caller has room, nothing is
	connWindow   = 1 << 20          // of all calls of a connection
	workers      = 256              // goroutines that are kept for calls, because each new one's stack grows by copying; more calls have their own
)

// Core does calls for callers. Its errors are an [ep11.Failure] or a problem of the door. Methods are safe for concurrent use.
type Core interface {
	Do(ctx context.Context, caller request.AppCaller, c ep11.Call) (ep11.Answer, error)
}

// Tokens knows tokens and gives them, as package apikey does. Methods are safe for concurrent use. What was never given is ErrRefused of apikey, what
// has ended ErrEnded; other errors are faults of the gateway's own.
type Tokens interface {
	// Subject says whom a token was given to.
	Subject(token string) (string, error)
	// Exchange gives a token for an API key, with its life.
	Exchange(apiKey string) (token string, life time.Duration, err error)
}

// Config is what the gateway needs. All fields are required but what says otherwise.
type Config struct {
	Core Core
	Log  *slog.Logger
	Now  func() time.Time

	TLS            *tls.Config    // with the server's certificate; nil: plaintext, on loopback only and with Local
	Local          string         // plaintext: the name of all callers, after "local:"; see [CheckSubject]
	ClientCAs      *x509.CertPool // nil: any certificate will do, callers are known by its key
	Tokens         Tokens         // nil: client certificates only
	MaxConnections int            // 0: [MaxConnections]

	firstTime, readTime time.Duration // 0: the constants
}

func (c *Config) check() error {
	switch {
	case c.Core == nil || c.Log == nil || c.Now == nil:
		return errors.New("grep11: core, log and clock are required")
	case c.TLS == nil && c.Local == "":
		return errors.New("grep11: TLS is required, or a name for the callers of a plaintext listener")
	case c.TLS != nil && c.Local != "":
		return errors.New("grep11: a name for local callers is for a plaintext listener")
	case c.Local != "" && (c.Tokens != nil || c.ClientCAs != nil):
		return errors.New("grep11: a plaintext listener takes no tokens and no certificates")
	case c.MaxConnections < 0:
		return errors.New("grep11: the number of connections must not be negative")
	}
	if c.Local != "" {
		if err := CheckSubject(c.Local); err != nil {
			return fmt.Errorf("grep11: name of local callers: %w", err)
		}
	}
	if c.MaxConnections == 0 {
		c.MaxConnections = MaxConnections
	}
	c.firstTime, c.readTime = cmp.Or(c.firstTime, firstTime), cmp.Or(c.readTime, readTime)
	return nil
}

// Server is the gateway.
type Server struct {
	cfg   Config
	tries *tries
	waits *budget // calls whose messages have not come, by address
	reads *readers
	room  *budget // calls
	bytes *budget // of messages
	meter *meter
}

// New makes the gateway.
func New(cfg Config) (*Server, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	return &Server{cfg: cfg, tries: newTries(), waits: newBudget(MaxWaiting, MaxOwnWaiting), reads: newReaders(), room: newBudget(MaxOperations, MaxOwnOperations),
		bytes: newBudget(MaxMessages, MaxOwnMessages), meter: newMeter(cfg.Now())}, nil
}

// Serve answers on a listener until ctx ends, and then finishes open calls for at most 10 seconds. It closes the listener, and refuses one in
// plaintext that others than this machine reach.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	if s.cfg.TLS == nil && !loopback(l.Addr()) {
		return errors.Join(fmt.Errorf("grep11: %s is not on loopback; plaintext is not served there", l.Addr()), l.Close())
	}
	srv := grpc.NewServer(s.options()...)
	srv.RegisterService(s.describe(), s)
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(Bounded(l, s.cfg.MaxConnections, MaxOwnConnections)) }() // ends with Stop; received below
	select {
	case err := <-ended:
		return fmt.Errorf("serve GREP11: %w", err)
	case <-ctx.Done():
	}
	stop := time.AfterFunc(grace, srv.Stop)
	srv.GracefulStop()
	stop.Stop()
	<-ended
	return nil
}

// loopback says whether only this machine reaches an address.
func loopback(a net.Addr) bool {
	t, ok := a.(*net.TCPAddr)
	return ok && t.IP.IsLoopback()
}

func (s *Server) options() []grpc.ServerOption {
	creds := insecure.NewCredentials()
	if s.cfg.TLS != nil {
		creds = credentials.NewTLS(clientTLS(s.cfg.TLS, s.cfg.ClientCAs, s.cfg.Now))
	}
	return []grpc.ServerOption{grpc.Creds(creds), grpc.ForceServerCodecV2(codec{}), grpc.MaxConcurrentStreams(MaxStreams), grpc.NumStreamWorkers(workers), grpc.MaxHeaderListSize(MaxHeader),
		grpc.ConnectionTimeout(handshake), grpc.StaticStreamWindowSize(streamWindow), grpc.StaticConnWindowSize(connWindow),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: 15 * time.Minute, Time: time.Minute, Timeout: 20 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error {
			return statusOf(ep11.Fail(ep11.CKR_FUNCTION_NOT_SUPPORTED, "there is no such call")).Err()
		})}
}

// handle does one call: who asks, the message, room, the core, the answer. In this order, so that strangers cost next to nothing, and who sends
// nothing, or slowly, is in the way of nobody at another address.
func (s *Server) handle(ctx context.Context, r row) (out any, err error) {
	began := s.cfg.Now()
	defer func() {
		if v := recover(); v != nil {
			err = s.panicked(ctx, r.fn, v)
		}
		code := ep11.CKR_OK
		if err != nil {
			f := failureOf(err)
			code, out, err = f.Code, nil, statusOf(f).Err()
		}
		now := s.cfg.Now()
		s.meter.done(r.fn, code, now.Sub(began), now)
	}()
	who, err := s.caller(ctx)
	if err != nil {
		return nil, err
	}
	b, err := s.awaited(ctx, r.most)
	if err != nil {
		return nil, err
	}
	if !s.room.take(who, 1) {
		return nil, again(ep11.CKR_DEVICE_MEMORY, "too many calls at a time; %d of one caller and %d together are done", MaxOwnOperations, MaxOperations)
	}
	defer s.room.give(who, 1)
	cost, err := r.scan(b)
	if err != nil {
		return nil, err
	}
	if !s.bytes.take(who, cost) {
		return nil, again(ep11.CKR_DEVICE_MEMORY, "too much data at a time; %d bytes of one caller and %d together are worked on", MaxOwnMessages, MaxMessages)
	}
	defer s.bytes.give(who, cost)
	c, in, err := r.read(b)
	if err == nil {
		err = c.Check()
	}
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	a, err := s.cfg.Core.Do(ctx, request.AppCaller(who), c)
	if err != nil {
		s.note(ctx, r.fn, who, err)
		return nil, err
	}
	return r.answer(a, in), nil
}

// awaited reads the message of a call, if few enough from its address wait for theirs.
func (s *Server) awaited(ctx context.Context, most int) ([]byte, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil, errNobody("the connection has no peer")
	}
	address := place(p.Addr.String()).String()
	if !s.waits.take(address, 1) {
		return nil, again(ep11.CKR_DEVICE_MEMORY, "too many calls without their messages; %d from one address and %d together are waited for", MaxOwnWaiting, MaxWaiting)
	}
	defer s.waits.give(address, 1)
	return s.receive(ctx, p.Addr, most)
}

// note logs what is no refusal of the core: there the log of operators is the only place that tells.
func (s *Server) note(ctx context.Context, fn ep11.Function, who string, err error) {
	var f *ep11.Failure
	if errors.As(err, &f) || errors.Is(err, context.Canceled) {
		return
	}
	s.cfg.Log.WarnContext(ctx, "call not done", slog.String("function", fn.String()), slog.String("caller", who), slog.Any("error", err))
}

// panicked logs a panic by its type and place: the value may hold what a caller sent.
func (s *Server) panicked(ctx context.Context, fn ep11.Function, v any) error {
	var id [8]byte
	rand.Read(id[:])
	s.meter.panics.Add(1)
	s.cfg.Log.ErrorContext(ctx, "call panicked", slog.String("incident", hex.EncodeToString(id[:])), slog.String("function", fn.String()),
		slog.String("type", fmt.Sprintf("%T", v)), slog.String("stack", stack()))
	return again(ep11.CKR_GENERAL_ERROR, "the gateway failed on this call; its log has more under incident %x", id)
}

// stack gives functions and lines of the panicking goroutine; the runtime's own trace prints arguments too.
func stack() string {
	pc := make([]uintptr, 64)
	frames := runtime.CallersFrames(pc[:runtime.Callers(3, pc)])
	var b strings.Builder
	for {
		f, more := frames.Next()
		fmt.Fprintf(&b, "%s %s:%d\n", f.Function, f.File, f.Line)
		if !more {
			return b.String()
		}
	}
}
