// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
)

// Session is a service's open session with the core. Its requests come with a MAC instead of a signature and are allowed on
// automatic routes only. It ends with its time, with the core's process, or with the service's key. Its methods are safe for
// concurrent use.
type Session struct {
	c       *Client
	service PersonID
	id      string
	key     []byte
	end     time.Time
}

// OpenSession opens a session of a service for at most a day.
func (c *Client) OpenSession(ctx context.Context, by Signer, life time.Duration) (*Session, error) {
	a, identity, err := c.domain(ctx)
	if err != nil {
		return nil, err
	}
	own, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("open session: %w", err)
	}
	end := c.now().Add(life)
	o := request.SessionOpening{V: 1, Authority: a, Domain: custody.DomainID(a), Service: by.Person(), Ephemeral: own.PublicKey().Bytes(), NotAfter: end.Unix()}
	opening := canon.Encode(o)
	sig, err := by.Sign(canon.TagBytes(canon.TagSession, opening))
	if err != nil {
		return nil, err
	}
	var g apiv1.SessionView
	in := apiv1.SessionIn{Opening: opening, Key: by.Public().Ref(), Signature: sig}
	if err := c.call(ctx, http.MethodPost, "/v1/sessions", nil, in, &g); err != nil {
		return nil, err
	}
	id, err := hex.DecodeString(g.Session)
	if err != nil || len(id) != 16 {
		return nil, errors.New("open session: the session's id is malformed")
	}
	grant := request.SessionGrant{Session: id, Ephemeral: g.Ephemeral, Seq: g.Seq}
	if len(identity) != ed25519.PublicKeySize || !ed25519.Verify(identity, canon.Message(canon.TagReply, grant), g.Signature) {
		return nil, errors.New("open session: the grant is not signed by the domain's identity key")
	}
	key, err := agree(own, g.Ephemeral, opening, id)
	if err != nil {
		return nil, err
	}
	return &Session{c: c, service: by.Person(), id: g.Session, key: key, end: end}, nil
}

// agree derives the MAC key, as request.SessionGrant says.
func agree(own *ecdh.PrivateKey, peer, opening, id []byte) ([]byte, error) {
	p, err := ecdh.X25519().NewPublicKey(peer)
	if err != nil {
		return nil, fmt.Errorf("open session: %w", err)
	}
	shared, err := own.ECDH(p)
	if err != nil {
		return nil, fmt.Errorf("open session: %w", err)
	}
	defer clear(shared)
	salt := canon.HashBytes(canon.TagSession, opening)
	return hkdf.Key(sha256.New, shared, salt[:], string(canon.TagBytes(canon.TagSessionKey, id)), 32)
}

// End says until when the session lasts.
func (s *Session) End() time.Time { return s.end }

// Transfer asks for a transfer. With a payload it is signed at once, and the answer holds the signed bytes.
func (s *Session) Transfer(ctx context.Context, a Ask, payload []byte) (RequestView, error) {
	r, err := s.c.Compose(ctx, s.service, a)
	if err != nil {
		return RequestView{}, err
	}
	return s.Submit(ctx, r, payload)
}

// Submit hands in a composed request with the session's MAC, and checks the receipt, which comes with one too: without it the error is
// [ErrReceipt].
func (s *Session) Submit(ctx context.Context, r Request, payload []byte) (RequestView, error) {
	q, err := apiv1.RequestOf(r)
	if err != nil {
		return RequestView{}, err
	}
	canonical := r.Encode()
	mac := hmac.New(sha256.New, s.key)
	mac.Write(canon.TagBytes(canon.TagRequest, canonical))
	b, err := json.Marshal(apiv1.Submission{Request: q, Evidence: apiv1.Evidence{Session: s.id, MAC: mac.Sum(nil)}, Payload: payload})
	if err != nil {
		return RequestView{}, fmt.Errorf("write request: %w", err)
	}
	return s.c.post(ctx, r, canonical, apiv1.JSON, b, s.key)
}
