// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"sync"
	"time"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// How long somebody stays signed in, and how often.
const (
	Idle        = 15 * time.Minute // without a call
	Whole       = 8 * time.Hour    // whatever they do
	MaxSessions = 8                // of one person; the one that was used least lately ends for another
)

// CookieName names the cookie. A browser takes a name that begins so only if it is Secure, for the whole host and no other ("__Host-", RFC 6265bis).
const CookieName = "__Host-strongroom"

// TokenHeader is where a page of ours says the session's token, which a page of another site does not know.
const TokenHeader = "Strongroom-Token"

// session is somebody who signed in. Only seen changes, under the mutex of [sessions].
type session struct {
	id     [32]byte // SHA-256 of the cookie: who reads this memory can't sign in with it
	person custody.PersonID
	key    request.KeyRef // that signed, or that the login belongs to; empty: who came from an identity provider
	token  string
	born   time.Time
	seen   time.Time
}

// sessions are in memory only: a restart signs everybody out. Safe for concurrent use.
type sessions struct {
	now func() time.Time

	mu sync.Mutex // guards all below, and seen of each
	by map[[32]byte]*session
}

func newSessions(now func() time.Time) *sessions {
	return &sessions{now: now, by: map[[32]byte]*session{}}
}

func random() string {
	var b [32]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// open makes a session and gives its cookie. Sessions that have ended are forgotten on the way.
func (s *sessions) open(person custody.PersonID, key request.KeyRef) (*session, *http.Cookie) {
	secret, now := random(), s.now()
	n := &session{id: sha256.Sum256([]byte(secret)), person: person, key: key, token: random(), born: now, seen: now}
	s.mu.Lock()
	defer s.mu.Unlock()
	var oldest *session
	own := 0
	for id, x := range s.by {
		if ended(x, now) {
			delete(s.by, id)
			continue
		}
		if x.person != person {
			continue
		}
		if own++; oldest == nil || x.seen.Before(oldest.seen) {
			oldest = x
		}
	}
	if own >= MaxSessions {
		delete(s.by, oldest.id)
	}
	s.by[n.id] = n
	return n, cookie(secret)
}

// cookie lives as long as the browser; here it ends earlier.
func cookie(value string) *http.Cookie {
	return &http.Cookie{Name: CookieName, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode}
}

// ended says whether a session is past its time. A clock that was set back ends it too.
func ended(s *session, now time.Time) bool {
	idle, whole := now.Sub(s.seen), now.Sub(s.born)
	return idle < 0 || idle >= Idle || whole < 0 || whole >= Whole
}

// of gives the session of a call's cookie, nil if there is none, and notes that it was used.
func (s *sessions) of(r *http.Request) *session {
	c := r.CookiesNamed(CookieName)
	if len(c) != 1 {
		return nil
	}
	id, now := sha256.Sum256([]byte(c[0].Value)), s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.by[id]
	switch {
	case x == nil:
		return nil
	case ended(x, now):
		delete(s.by, id)
		return nil
	}
	x.seen = now
	return x
}

func (s *sessions) end(x *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.by, x.id)
}

// need refuses who has not signed in, and a post without the session's token.
func (c *call) need() error {
	if c.session == nil {
		return problem.New(problem.Unauthenticated, "nobody is signed in here, or not any more: sign in again; nothing was done")
	}
	if c.r.Method != http.MethodPost {
		return nil
	}
	if subtle.ConstantTimeCompare([]byte(c.r.Header.Get(TokenHeader)), []byte(c.session.token)) != 1 {
		return problem.New(problem.Forbidden, "the call does not come from a page of this session; load the page again")
	}
	return nil
}
