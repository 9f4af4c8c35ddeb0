// SPDX-License-Identifier: Apache-2.0

// Package gateway carries calls of applications through the door, under the session of the service that a gateway is, and says who calls. It
// decides nothing: the core looks for a grant of that caller at this gateway (docs/spec/grep11.md).
//
// A session is opened when the first call comes, and anew when the core does not know it any more, as after a restart. A call that was refused for
// its session was not done and is made once more; one that was perhaps done never is.
//
// Copies outside the arena: the session's key, and what callers encrypt, decrypt and sign.
package gateway

import (
	"context"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// Life is how long a session lasts; another one is opened [ahead] of its end.
const (
	Life  = 12 * time.Hour
	ahead = 10 * time.Minute
)

// Connections is how many connections to the door a gateway needs for as many calls at a time as the core does.
const Connections = 3

// Signer holds the key of the service. Its methods are safe for concurrent use.
type Signer interface {
	Person() custody.PersonID
	Public() request.PublicKey
	// Sign gives 64 bytes: RFC 8032 for Ed25519, r and s over SHA-256 for P-256.
	Sign(message []byte) ([]byte, error)
}

// Config says who the gateway is and where the core. All fields are required.
type Config struct {
	Doors   []gate.Door // connections to one core, used in turns; [Connections] are enough
	Service Signer
	Now     func() time.Time
}

// Gateway does calls. Its methods are safe for concurrent use.
type Gateway struct {
	cfg  Config
	next atomic.Uint64 // door

	open atomic.Pointer[session]
	turn chan struct{} // holds the one token of who opens a session; a channel, because waiting for that must end with ctx
}

// session is an open session.
type session struct {
	id     [16]byte
	key    []byte
	end    time.Time
	number atomic.Uint64 // of the last call
}

// New makes a gateway. It does not call the core yet.
func New(cfg Config) (*Gateway, error) {
	if len(cfg.Doors) == 0 || cfg.Service == nil || cfg.Now == nil {
		return nil, errors.New("gateway: doors, the service's key and a clock are required")
	}
	g := &Gateway{cfg: cfg, turn: make(chan struct{}, 1)}
	g.turn <- struct{}{}
	return g, nil
}

// tries is how often a call is made whose session, or number in it, was refused before anything was done.
const tries = 3

// Do does a call of a caller. Its error is an [ep11.Failure], which is the core's word, or a problem of the door.
func (g *Gateway) Do(ctx context.Context, caller string, c ep11.Call) (ep11.Answer, error) {
	who := request.AppCaller(caller)
	if err := who.Check(); err != nil {
		return ep11.Answer{}, problem.New(problem.Malformed, "%v", err)
	}
	body := c.Encode()
	var err error
	for range tries {
		var s *session
		if s, err = g.session(ctx); err != nil {
			return ep11.Answer{}, err
		}
		var rep message.AppAnswer
		rep, err = ask[message.AppAnswer](ctx, g.door(), message.MethodEP11, s.message(who, body))
		switch {
		case err == nil:
			return answerOf(rep)
		case problem.KindOf(err) == problem.Unauthenticated:
			g.open.CompareAndSwap(s, nil)
		case problem.KindOf(err) == problem.AlreadyDone: // too far behind the others: it gets a new number
		default:
			return ep11.Answer{}, err
		}
	}
	return ep11.Answer{}, err
}

func answerOf(rep message.AppAnswer) (ep11.Answer, error) {
	if rep.Failure != nil {
		if rep.Failure.Code == ep11.CKR_OK {
			return ep11.Answer{}, problem.New(problem.Internal, "the core refused without a reason")
		}
		return ep11.Answer{}, rep.Failure
	}
	a, err := ep11.DecodeAnswer(rep.Answer)
	if err != nil {
		return a, problem.Wrap(problem.Internal, err, "gateway and core are not of the same release")
	}
	return a, nil
}

func (g *Gateway) door() gate.Door {
	return g.cfg.Doors[g.next.Add(1)%uint64(len(g.cfg.Doors))]
}

func ask[Rep, Req any](ctx context.Context, d gate.Door, method string, in Req) (Rep, error) {
	rep, err := gate.Call[Req, Rep](ctx, d, method, in)
	return rep, gate.Explain(err)
}

// message makes a call of the session.
func (s *session) message(who request.AppCaller, call []byte) message.AppCall {
	m := message.AppCall{Session: s.id[:], Number: s.number.Add(1), Caller: who, Call: call}
	mac := hmac.New(sha256.New, s.key)
	mac.Write(m.Message())
	m.MAC = mac.Sum(nil)
	return m
}

// session gives the open session, or opens one. Who comes meanwhile waits for that.
func (g *Gateway) session(ctx context.Context) (*session, error) {
	if s := g.current(); s != nil {
		return s, nil
	}
	select {
	case <-g.turn:
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for a session: %w", ctx.Err())
	}
	defer func() { g.turn <- struct{}{} }()
	if s := g.current(); s != nil {
		return s, nil
	}
	s, err := g.openSession(ctx)
	if err != nil {
		return nil, err
	}
	g.open.Store(s)
	return s, nil
}

func (g *Gateway) current() *session {
	s := g.open.Load()
	if s == nil || !g.cfg.Now().Before(s.end.Add(-ahead)) {
		return nil
	}
	return s
}

// openSession opens a session with the core, as request.SessionGrant says.
func (g *Gateway) openSession(ctx context.Context) (*session, error) {
	st, err := ask[message.Status](ctx, g.door(), message.MethodStatus, message.Empty{})
	if err == nil {
		err = st.Open()
	}
	if err != nil {
		return nil, err
	}
	own, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("open session: %w", err)
	}
	end := g.cfg.Now().Add(Life)
	opening := canon.Encode(request.SessionOpening{V: 1, Authority: st.Authority, Domain: st.Domain, Service: g.cfg.Service.Person(),
		Ephemeral: own.PublicKey().Bytes(), NotAfter: end.Unix()})
	sig, err := g.cfg.Service.Sign(canon.TagBytes(canon.TagSession, opening))
	if err != nil {
		return nil, fmt.Errorf("open session: %w", err)
	}
	grant, err := ask[request.SessionGrant](ctx, g.door(), message.MethodSession,
		message.OpenSession{Opening: opening, Key: g.cfg.Service.Public().Ref(), Sig: sig})
	if err != nil {
		return nil, err
	}
	return agree(own, opening, grant, end)
}

// agree derives the session's key.
func agree(own *ecdh.PrivateKey, opening []byte, grant request.SessionGrant, end time.Time) (*session, error) {
	peer, err := ecdh.X25519().NewPublicKey(grant.Ephemeral)
	if err != nil || len(grant.Session) != 16 {
		return nil, problem.New(problem.Internal, "the core's session is malformed")
	}
	shared, err := own.ECDH(peer)
	if err != nil {
		return nil, problem.Wrap(problem.Internal, err, "the core's session is malformed")
	}
	defer clear(shared)
	salt := canon.HashBytes(canon.TagSession, opening)
	key, err := hkdf.Key(sha256.New, shared, salt[:], string(canon.TagBytes(canon.TagSessionKey, grant.Session)), 32)
	if err != nil {
		return nil, fmt.Errorf("open session: %w", err)
	}
	return &session{id: [16]byte(grant.Session), key: key, end: end}, nil
}
