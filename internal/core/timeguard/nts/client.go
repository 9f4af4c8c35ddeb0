// SPDX-License-Identifier: Apache-2.0

package nts

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"strongroom/internal/core/timeguard"
	"strongroom/internal/core/timeguard/ntp"
)

// Kind is how a carrier calls the stream of a key establishment.
const Kind = "nts-ke"

// Dialer opens the stream of a key establishment to a target, by its configured name. It is not trusted with what it carries. Closing the
// connection ends every read and write on it.
type Dialer interface {
	Dial(ctx context.Context, kind, target string) (net.Conn, error)
}

// Config says which server a client asks, and how. Packets go to the target that the carrier knows by the same name; where the server
// names another host or port for them, to "target@host:port", either of which may be empty.
type Config struct {
	Name       string         // of the source
	Target     string         // as dialer and carrier know it
	ServerName string         // in the certificate
	Roots      *x509.CertPool // never the system's unless the configuration says so
	Carrier    ntp.Carrier
	Dialer     Dialer
	Boot       func() int64 // clock since boot, nanoseconds
}

// Client asks one server. It is a [timeguard.Source].
type Client struct {
	cfg Config

	mu sync.Mutex   // one question at a time; guards a
	a  *association // nil: keys must be established first
}

// New makes a client.
func New(cfg Config) (*Client, error) {
	if cfg.Name == "" || cfg.Target == "" || cfg.ServerName == "" || cfg.Roots == nil || cfg.Carrier == nil || cfg.Dialer == nil || cfg.Boot == nil {
		return nil, errors.New("an NTS source needs a name, a target, a server name, roots, a carrier, a dialer and a clock")
	}
	return &Client{cfg: cfg}, nil
}

// Name implements [timeguard.Source].
func (c *Client) Name() string { return c.cfg.Name }

// Errors of answers.
var (
	// ErrNotAuthentic says that an answer does not carry a valid authenticator.
	ErrNotAuthentic = errors.New("the answer is not authentic")
	// ErrNAK says that the server claims, without proof, not to know the cookie. Keys are established anew.
	ErrNAK = errors.New("the answer is not authentic; it says that the server does not know the cookie")
)

const (
	uniqueIDSize = 32
	nonceSize    = 16
	maxPacket    = 1200 // bytes of a request, so that no network on the way splits it
	// holdEstablish is how long a server is left alone after it failed to establish keys (RFC 8915 section 4.2: ten seconds, then more).
	holdEstablish = 10 * time.Second
	kissNAK       = "NTSN"
)

// Sample implements [timeguard.Source].
func (c *Client) Sample(ctx context.Context, known timeguard.Known) (timeguard.Sample, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.a != nil && known.Certain && known.Time > c.a.notAfter {
		c.a = nil
	}
	if c.a == nil || len(c.a.cookies) == 0 {
		if err := c.establish(ctx, known); err != nil {
			return timeguard.Sample{}, err
		}
	}
	return c.ask(ctx)
}

func (c *Client) establish(ctx context.Context, known timeguard.Known) error {
	c.a = nil
	conn, err := c.cfg.Dialer.Dial(ctx, Kind, c.cfg.Target)
	if err != nil {
		return fmt.Errorf("establish keys with %s: %w", c.cfg.Name, err)
	}
	a, err := establish(ctx, conn, c.cfg.ServerName, c.cfg.Roots, known)
	if err != nil {
		return &timeguard.HoldError{For: holdEstablish, Err: fmt.Errorf("establish keys with %s: %w", c.cfg.Name, err)}
	}
	c.a = a
	return nil
}

// target gives the target of packets.
func (c *Client) target() string {
	if c.a.host == "" && c.a.port == 0 {
		return c.cfg.Target
	}
	port := ""
	if c.a.port != 0 {
		port = strconv.Itoa(int(c.a.port))
	}
	return c.cfg.Target + "@" + net.JoinHostPort(c.a.host, port)
}

// ask sends a request. A cookie is spent by sending it, whether or not an answer comes: sent twice it would link the two requests, and
// its keys would be used for two (RFC 8915 section 5.7).
func (c *Client) ask(ctx context.Context) (timeguard.Sample, error) {
	cookie := c.a.cookies[0]
	c.a.cookies = c.a.cookies[1:]
	r := newRequest(c.a, cookie)
	asked := c.cfg.Boot()
	_, reply, err := c.cfg.Carrier.Exchange(ctx, ntp.Kind, c.target(), r.packet)
	if err != nil {
		return timeguard.Sample{}, fmt.Errorf("ask %s: %w", c.cfg.Name, err)
	}
	came := c.cfg.Boot()
	h, cookies, err := r.open(c.a, reply)
	if errors.Is(err, ErrNAK) { // anybody on the way can say so, and then costs us an establishment; the guard spaces them
		c.a = nil
		return timeguard.Sample{}, &timeguard.HoldError{For: holdEstablish, Err: err}
	}
	if err != nil {
		return timeguard.Sample{}, err
	}
	for _, fresh := range cookies {
		if len(c.a.cookies) < maxCookies {
			c.a.cookies = append(c.a.cookies, fresh)
		}
	}
	s, err := h.Sample(asked, came)
	s.NotBefore, s.NotAfter = c.a.notBefore, c.a.notAfter
	return s, err
}

// request is one that was sent.
type request struct {
	nonce  ntp.Nonce
	unique [uniqueIDSize]byte
	packet []byte
}

// newRequest makes a request with a cookie, and placeholders for as many as are missing then.
func newRequest(a *association, cookie []byte) *request {
	r := &request{}
	rand.Read(r.nonce[:])
	rand.Read(r.unique[:])
	b := ntp.Request(r.nonce)
	b = appendField(b, fieldUniqueID, r.unique[:])
	b = appendField(b, fieldCookie, cookie)
	const room = 4 + 4 + nonceSize + 16 // of the authenticator
	for n := len(a.cookies) + 1; n < maxCookies && len(b)+4+len(cookie)+room <= maxPacket; n++ {
		b = appendField(b, fieldPlaceholder, make([]byte, len(cookie)))
	}
	nonce := make([]byte, nonceSize)
	rand.Read(nonce)
	r.packet = appendField(b, fieldAuthenticator, authenticator(nonce, a.send.Seal(nil, b, nonce)))
	return r
}

// open authenticates an answer and gives its header and the cookies in it.
func (r *request) open(a *association, reply []byte) (ntp.Header, [][]byte, error) {
	h, err := ntp.ParseReply(reply, r.nonce)
	if err != nil {
		return h, nil, err
	}
	fields, err := parseFields(reply, ntp.HeaderSize)
	if err != nil {
		return h, nil, err
	}
	unique := false
	for i, f := range fields {
		switch f.kind {
		case fieldUniqueID:
			if unique || len(f.body) != uniqueIDSize || subtle.ConstantTimeCompare(f.body, r.unique[:]) != 1 {
				return h, nil, ntp.ErrForeign
			}
			unique = true
		case fieldAuthenticator:
			if !unique || i != len(fields)-1 {
				return h, nil, ErrNotAuthentic // what is behind it is not authenticated, and without the identifier it may be an old one
			}
			cookies, err := decrypt(a, f, reply[:f.at])
			return h, cookies, err
		}
	}
	if unique && h.Kiss == kissNAK {
		return h, nil, ErrNAK
	}
	return h, nil, ErrNotAuthentic
}

// decrypt opens an authenticator and gives the cookies in it.
func decrypt(a *association, f field, before []byte) ([][]byte, error) {
	nonce, sealed, err := parseAuthenticator(f.body)
	if err != nil {
		return nil, err
	}
	plain, err := a.receive.Open(sealed, before, nonce)
	if err != nil {
		return nil, ErrNotAuthentic
	}
	inner, err := parseFields(plain, 0)
	if err != nil {
		return nil, err
	}
	var cookies [][]byte
	for _, f := range inner {
		if n := len(f.body); f.kind == fieldCookie && n >= minCookie && n <= maxCookie {
			cookies = append(cookies, f.body)
		}
	}
	return cookies, nil
}
