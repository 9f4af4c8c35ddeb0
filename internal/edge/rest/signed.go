// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"crypto/sha256"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"

	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/httpsig"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// Fields of a signed call.
const (
	fieldInput     = "Signature-Input"
	fieldSignature = "Signature"
	fieldDigest    = "Content-Digest"
)

// clockSkew is how far a caller's clock may be ahead, in seconds.
const clockSkew = 60

// Of the nonces of signed calls. One is remembered as long as its signature could be good, and as long again at most.
const (
	nonceAge  = httpsig.Window + clockSkew // seconds
	maxNonces = 1 << 17                    // of a generation
	ownNonces = 1 << 15                    // of those of one caller
)

// signature is the signature of a call, which verified.
type signature struct {
	key  request.KeyRef
	base []byte
	sig  []byte
}

// evidence makes the signature the initiator's word for what the body asks.
func (x *signature) evidence(body []byte) (request.Evidence, error) {
	if len(body) > request.MaxCall {
		return request.Evidence{}, problem.New(problem.TooLarge, "the body of a signed call has at most %d bytes; sign the canonical request, and send it as %s", request.MaxCall, apiv1.CBOR)
	}
	return request.Evidence{Key: x.key, Sig: x.sig, HTTP: &request.HTTPCall{Base: x.base, Body: body}}, nil
}

// signed says whether a call comes with a signature.
func signed(r *http.Request) bool {
	return len(r.Header.Values(fieldInput)) > 0 || len(r.Header.Values(fieldSignature)) > 0
}

// one gives a field that occurs once.
func one(r *http.Request, name string) (string, bool) {
	v := r.Header.Values(name)
	return strings.Join(v, ""), len(v) == 1
}

// component gives a component of a call.
func component(r *http.Request) func(name string) (string, bool) {
	return func(name string) (string, bool) {
		switch name {
		case httpsig.Method:
			return r.Method, true
		case httpsig.Authority:
			return httpsig.AuthorityOf(r.Host), true
		case httpsig.Path:
			return r.URL.EscapedPath(), true
		case httpsig.Query:
			return httpsig.QueryOf(r.URL.RawQuery), true
		case httpsig.ContentDigest, httpsig.ContentType, httpsig.IdempotencyKey:
			return one(r, name)
		default:
			return "", false
		}
	}
}

// verify finds out who signed a call. Its body is compared with the digest when it was read ([call.bytes]).
func (s *Server) verify(c *call) error {
	refuse := func(format string, args ...any) error {
		return problem.New(problem.Unauthenticated, "signed call: "+format, args...)
	}
	input, ok := one(c.r, fieldInput)
	value, also := one(c.r, fieldSignature)
	if !ok || !also {
		return refuse("it must have one field %s and one field %s", fieldInput, fieldSignature)
	}
	in, sig, err := httpsig.ParseFields(input, value)
	if err != nil {
		return refuse("%v", err)
	}
	_, hasKey := one(c.r, apiv1.IdempotencyHeader)
	if err := in.CheckProfile(httpsig.Components(c.r.Method == http.MethodPost, hasKey || c.op.create)); err != nil {
		return refuse("%v", err)
	}
	if !s.ours(c.r.Host) {
		return refuse("host %.100q is not a name of this server", c.r.Host)
	}
	base, err := in.Base(component(c.r))
	if err != nil {
		return refuse("%v", err)
	}
	if err := s.timely(in.Params); err != nil {
		return err
	}
	k, err := s.people.Known(c.ctx())
	if err != nil {
		return err
	}
	ref := request.KeyRef(in.Params.KeyID)
	who, key, ok := k.Key(ref)
	if !ok || !authority.CallAlgorithm(key.Alg, in.Params.Alg) || !key.Verify(base, sig) {
		return refuse("no key of the rule document has this id and signed this call")
	}
	if err := s.nonces.take(who, in.Params, s.cfg.Now().Unix()); err != nil {
		return err
	}
	c.by, c.signed = who, &signature{ref, base, sig}
	return nil
}

// ours says whether a host, with or without a port, is a name of this server.
func (s *Server) ours(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	return slices.ContainsFunc(s.cfg.Hosts, func(n string) bool { return strings.EqualFold(n, host) })
}

// timely says whether a signature is good now. One from before this server's start is not: its nonce may have been used.
func (s *Server) timely(p httpsig.Params) error {
	now := s.cfg.Now().Unix()
	switch {
	case p.Created > now+clockSkew:
		return problem.New(problem.Unauthenticated, "signed call: it was created %d seconds from now; set your clock", p.Created-now)
	case p.Expires < now:
		return problem.New(problem.Unauthenticated, "signed call: its time is over; sign it anew")
	case p.Created < s.since:
		return problem.New(problem.Unauthenticated, "signed call: it was created before this server's start; sign it anew")
	}
	return nil
}

// digested compares the body of a signed call with what was signed.
func (c *call) digested(body []byte) error {
	if c.signed == nil {
		return nil
	}
	if got, _ := one(c.r, fieldDigest); got != httpsig.Digest(body) {
		return problem.New(problem.Unauthenticated, "signed call: the body is not the one that was signed; %s must be %s=:…:, its SHA-256", fieldDigest, "sha-256")
	}
	return nil
}

// nonces remembers which signatures were used.
type nonces struct {
	mu       sync.Mutex // guards all below
	since    int64      // Unix seconds: when now's generation began
	now, old map[[32]byte]struct{}
	own      map[custody.PersonID]int // of now
}

// take uses a signature up.
func (n *nonces) take(by custody.PersonID, p httpsig.Params, now int64) error {
	id := sha256.Sum256([]byte(p.KeyID + "\x00" + p.Nonce))
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.now == nil || now-n.since > nonceAge || now < n.since {
		n.old, n.now, n.own, n.since = n.now, map[[32]byte]struct{}{}, map[custody.PersonID]int{}, now
	}
	_, used := n.now[id]
	_, before := n.old[id]
	switch {
	case used || before:
		return problem.New(problem.Unauthenticated, "signed call: its nonce was used; sign each call anew")
	case len(n.now) >= maxNonces || n.own[by] >= ownNonces:
		return problem.New(problem.Busy, "too many signed calls within %d seconds; a service with many calls opens a session, or shows a client certificate", nonceAge)
	}
	n.now[id] = struct{}{}
	n.own[by]++
	return nil
}
