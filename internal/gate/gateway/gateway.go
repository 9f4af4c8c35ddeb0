// SPDX-License-Identifier: Apache-2.0

// Package gateway is the side of a gateway at the door of the core: it keeps a session of the gateway's service, and hands in calls of the
// applications that the gateway has authenticated, each with the session's MAC and a number of its own (docs/spec/grep11.md). It opens another
// session where one ended, and makes a return code of whatever goes wrong.
//
// The session's key lies on the heap: whoever reads the gateway's memory can use the grants of its callers, and nothing else.
package gateway

import (
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
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

// Config is what a gateway needs. All fields are required but Identity.
type Config struct {
	Door    gate.Door
	Service custody.PersonID // whose callers have grants
	Key     request.KeyRef   // of the service
	Sign    func(message []byte) ([]byte, error)
	Now     func() time.Time
	Life    time.Duration // of a session, at most [request.MaxSession] seconds

	Identity ed25519.PublicKey // the domain's; nil: whatever the door says
}

// Gateway hands calls in. Its methods are safe for concurrent use.
type Gateway struct {
	cfg Config

	mu      sync.Mutex // guards session, and is held while one is opened
	session *session
}

// session is an open session.
type session struct {
	id, key []byte
	end     time.Time
	number  atomic.Uint64 // of the last call
}

// renewBefore is how long before its end a session is not used any more.
const renewBefore = time.Minute

// New makes a gateway. It opens no session yet.
func New(cfg Config) (*Gateway, error) {
	if cfg.Door == nil || cfg.Service == "" || cfg.Key == "" || cfg.Sign == nil || cfg.Now == nil {
		return nil, errors.New("gateway: door, service, key, signer and clock are required")
	}
	if cfg.Life < 2*renewBefore || cfg.Life > request.MaxSession*time.Second {
		return nil, fmt.Errorf("gateway: a session lasts %s to %s, not %s", 2*renewBefore, request.MaxSession*time.Second, cfg.Life)
	}
	if n := len(cfg.Identity); n != 0 && n != ed25519.PublicKeySize {
		return nil, fmt.Errorf("gateway: the domain's identity key has %d bytes, not %d", ed25519.PublicKeySize, n)
	}
	return &Gateway{cfg: cfg}, nil
}

// attempts is how often a call is handed in, if the core says that it did nothing: the session had ended, or calls overtook each other.
const attempts = 3

// Do hands in the call of an application. caller is who the gateway has found it to be: the core believes that. The error is an [ep11.Failure].
func (g *Gateway) Do(ctx context.Context, caller request.AppCaller, call ep11.Call) (ep11.Answer, error) {
	raw := call.Encode()
	var err error
	for range attempts {
		var s *session
		if s, err = g.open(ctx); err != nil {
			break
		}
		var a message.AppAnswer
		a, err = gate.Call[message.AppCall, message.AppAnswer](ctx, g.cfg.Door, message.MethodEP11, s.sealed(caller, raw))
		if err == nil {
			return answerOf(a)
		}
		switch problem.KindOf(err) {
		case problem.Unauthenticated:
			g.drop(s)
		case problem.AlreadyDone: // another number is free
		default:
			return ep11.Answer{}, failureOf(err)
		}
	}
	return ep11.Answer{}, failureOf(err)
}

// sealed is the message of a call.
func (s *session) sealed(caller request.AppCaller, call []byte) message.AppCall {
	c := message.AppCall{Session: s.id, Number: s.number.Add(1), Caller: caller, Call: call}
	mac := hmac.New(sha256.New, s.key)
	mac.Write(c.Message())
	c.MAC = mac.Sum(nil)
	return c
}

func answerOf(a message.AppAnswer) (ep11.Answer, error) {
	if a.Failure != nil {
		return ep11.Answer{}, a.Failure
	}
	out, err := ep11.DecodeAnswer(a.Answer)
	if err != nil {
		return ep11.Answer{}, ep11.Fail(ep11.CKR_IBM_TRANSPORT_ERROR, "the core's answer can't be read")
	}
	return out, nil
}

// failureOf gives the return code of what went wrong at the door.
func failureOf(err error) *ep11.Failure {
	again := func(c ep11.Code, why string) *ep11.Failure { return &ep11.Failure{Code: c, Detail: why, Retry: true} }
	var p *problem.Error
	if !errors.As(err, &p) {
		return again(ep11.CKR_IBM_TRANSPORT_ERROR, "the core can't be reached, or the call was given up; it may have been counted")
	}
	switch p.Kind {
	case problem.Starting:
		return again(ep11.CKR_DEVICE_ERROR, "the core is starting")
	case problem.TimeUncertain:
		return again(ep11.CKR_DEVICE_ERROR, "the clock is not certain")
	case problem.Zeroized:
		return ep11.Fail(ep11.CKR_IBM_WK_NOT_INITIALIZED, "the domain was zeroized")
	case problem.Unauthenticated, problem.Forbidden:
		return ep11.Fail(ep11.CKR_IBM_GREP11_NOT_AUTHENTICATED, "the domain does not know this gateway")
	case problem.Busy:
		return again(ep11.CKR_IBM_TRANSPORT_LIMIT, "the core is busy")
	case problem.TooLarge:
		return ep11.Fail(ep11.CKR_DATA_LEN_RANGE, "the call is too large")
	case problem.Malformed:
		return ep11.Fail(ep11.CKR_ARGUMENTS_BAD, "the call is not well-formed")
	case problem.Unsupported:
		return ep11.Fail(ep11.CKR_FUNCTION_NOT_SUPPORTED, "the core has no keys for applications")
	case problem.Stopped:
		return again(ep11.CKR_IBM_ERROR_STATE, "the core has stopped")
	default:
		return again(ep11.CKR_GENERAL_ERROR, "")
	}
}

// drop forgets a session, if it is still the one in use.
func (g *Gateway) drop(s *session) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.session == s {
		g.session = nil
	}
}

// open gives a session that lasts a while yet.
func (g *Gateway) open(ctx context.Context) (*session, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := g.session; s != nil && g.cfg.Now().Before(s.end.Add(-renewBefore)) {
		return s, nil
	}
	s, err := g.openNew(ctx)
	if err == nil {
		g.session = s
	}
	return s, err
}

func (g *Gateway) openNew(ctx context.Context) (*session, error) {
	st, err := gate.Call[message.Empty, message.Status](ctx, g.cfg.Door, message.MethodStatus, message.Empty{})
	if err == nil {
		err = st.Open()
	}
	if err != nil {
		return nil, err
	}
	identity := g.cfg.Identity
	if identity == nil {
		identity = st.Identity
	}
	own, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("gateway: open session: %w", err)
	}
	end := g.cfg.Now().Add(g.cfg.Life)
	opening := canon.Encode(request.SessionOpening{V: 1, Authority: st.Authority, Domain: st.Domain, Service: g.cfg.Service, Ephemeral: own.PublicKey().Bytes(), NotAfter: end.Unix()})
	sig, err := g.cfg.Sign(canon.TagBytes(canon.TagSession, opening))
	if err != nil {
		return nil, fmt.Errorf("gateway: sign the opening: %w", err)
	}
	grant, err := gate.Call[message.OpenSession, request.SessionGrant](ctx, g.cfg.Door, message.MethodSession, message.OpenSession{Opening: opening, Key: g.cfg.Key, Sig: sig})
	if err != nil {
		return nil, err
	}
	signature := grant.Sig
	grant.Sig = nil
	if len(identity) != ed25519.PublicKeySize || len(grant.Session) != 16 || !ed25519.Verify(identity, canon.Message(canon.TagReply, grant), signature) {
		return nil, errors.New("gateway: the grant of the session is not signed by the domain's identity key")
	}
	key, err := agree(own, grant.Ephemeral, opening, grant.Session)
	if err != nil {
		return nil, err
	}
	return &session{id: grant.Session, key: key, end: end}, nil
}

// agree derives the MAC key, as [request.SessionGrant] says.
func agree(own *ecdh.PrivateKey, peer, opening, id []byte) ([]byte, error) {
	p, err := ecdh.X25519().NewPublicKey(peer)
	if err != nil {
		return nil, fmt.Errorf("gateway: key of the session: %w", err)
	}
	shared, err := own.ECDH(p)
	if err != nil {
		return nil, fmt.Errorf("gateway: key of the session: %w", err)
	}
	defer clear(shared)
	salt := canon.HashBytes(canon.TagSession, opening)
	return hkdf.Key(sha256.New, shared, salt[:], string(canon.TagBytes(canon.TagSessionKey, id)), sha256.Size)
}
