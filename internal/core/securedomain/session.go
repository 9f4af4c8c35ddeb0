// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"

	"strongroom/internal/core/internal/kdf"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/secret"
)

// OpenSession opens a session for a service, which signed the opening. The MAC key is known to the two sides only, lives in
// memory, and ends with the process: after a restart a service opens another session.
func (d *Domain) OpenSession(ctx context.Context, in message.OpenSession) (request.SessionGrant, error) {
	var o request.SessionOpening
	if err := canon.Decode(in.Opening, &o); err != nil {
		return request.SessionGrant{}, problem.New(problem.Malformed, "session opening: %v", err)
	}
	peer, err := ecdh.X25519().NewPublicKey(o.Ephemeral)
	if err != nil {
		return request.SessionGrant{}, problem.New(problem.Malformed, "session opening: the ephemeral key must be 32 bytes of X25519")
	}
	own, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return request.SessionGrant{}, problem.Wrap(problem.Internal, err, "make a session key")
	}
	shared, err := own.ECDH(peer)
	if err != nil {
		return request.SessionGrant{}, problem.New(problem.Malformed, "session opening: the ephemeral key is of low order")
	}
	var id [16]byte
	rand.Read(id[:])
	b := &entry.Session{Opening: in.Opening, Key: in.Key, Sig: in.Sig, Session: id[:], Ephemeral: own.PublicKey().Bytes()}
	key, err := d.sessionKey(shared, in.Opening, id)
	if err != nil {
		return request.SessionGrant{}, err
	}
	rec, err := d.recordSession(o, b)
	if err == nil {
		err = d.durable(ctx, rec)
	}
	if err != nil {
		key.Wipe()
		return request.SessionGrant{}, err
	}
	d.sessionMu.Lock()
	d.sessions[id] = key
	d.sessionMu.Unlock()
	g := request.SessionGrant{Session: id[:], Ephemeral: b.Ephemeral, Seq: rec.seq}
	err = d.withIdentity(func() error { g.Sig = d.ids.SignIdentity(canon.Message(canon.TagReply, g)); return nil })
	return g, err
}

func (d *Domain) recordSession(o request.SessionOpening, b *entry.Session) (recorded, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at, err := d.now()
	if err != nil {
		return recorded{}, err
	}
	if err := d.state.CheckSession(o, b, at); err != nil {
		return recorded{}, err
	}
	d.dropSessions() // those that have ended meanwhile
	return d.record(at, entry.KindSession, entry.Confidential, b)
}

// sessionKey derives the MAC key; shared is wiped.
func (d *Domain) sessionKey(shared, opening []byte, id [16]byte) (secret.Bytes, error) {
	defer clear(shared)
	salt := canon.HashBytes(canon.TagSession, opening)
	var failed error
	out, err := secret.New(d.cfg.Arena, 32, func(b []byte) error {
		failed = kdf.HKDF(kdf.SHA256, b, shared, salt[:], canon.TagBytes(canon.TagSessionKey, id[:]))
		return failed
	})
	if failed != nil {
		return out, problem.Wrap(problem.Internal, failed, "derive the session key")
	}
	if err != nil {
		return out, problem.Wrap(problem.Busy, err, "no room for another session key")
	}
	return out, nil
}

// dropSessions wipes the keys of sessions that the state has ended. The caller holds mu.
func (d *Domain) dropSessions() {
	d.endSessions(func(id [16]byte) bool {
		_, ok := d.state.Session(id)
		return !ok
	})
}

// endSessions wipes the keys of sessions that have ended, and all unsealed keys with them: a session's end is its service's logout.
func (d *Domain) endSessions(ended func(id [16]byte) bool) {
	n := 0
	d.sessionMu.Lock()
	for id, key := range d.sessions {
		if ended(id) {
			delete(d.sessions, id)
			delete(d.numbers, id)
			key.Wipe()
			n++
		}
	}
	d.sessionMu.Unlock()
	if n > 0 {
		d.forget("a session ended")
	}
}
