// SPDX-License-Identifier: Apache-2.0

// Package client talks to Strongroom's REST API. It builds and signs requests where the keys are, recomputes every approval
// statement from the canonical request before it signs, and gives failures as [*Problem].
//
// It does not believe serve: what serve shows is compared with what the canonical bytes say, and a [Review] that does not agree
// is an error. What it can't check offline is what the chain shows.
package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
)

// maxReply is the largest reply that is read, in bytes.
const maxReply = 64 << 20

// Config says where serve is and who calls. BaseURL, CA, Now, and Certificate or Signer are required.
type Config struct {
	BaseURL     string            // https://host:port
	Certificate tls.Certificate   // client certificate and key
	CA          *x509.CertPool    // serve's authority
	Authority   AuthorityID       // the domain that this client is for; zero: the one that serve tells first
	Identity    []byte            // the domain's identity key (Ed25519), to check session grants; nil: the one that serve tells first
	Timeout     time.Duration     // of a call; 0: 60 seconds
	Now         func() time.Time  // usually time.Now
	Transport   http.RoundTripper // instead of the one made from the fields above, for tests; optional
	Signer      Signer            // signs each call (RFC 9421); then no certificate is needed; optional
}

// Client calls one serve. Its methods are safe for concurrent use.
type Client struct {
	base string
	http *http.Client
	now  func() time.Time

	signer Signer // of calls; nil: none

	mu        sync.Mutex // guards all below
	authority AuthorityID
	identity  []byte
}

// New makes a client. It does not connect yet.
func New(cfg Config) (*Client, error) {
	u, err := url.Parse(cfg.BaseURL)
	if err != nil || u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return nil, fmt.Errorf("client: base URL %q must be https://host:port", cfg.BaseURL)
	}
	if cfg.Now == nil {
		return nil, errors.New("client: Now is required; use time.Now")
	}
	if cfg.Timeout < 0 {
		return nil, errors.New("client: the timeout must not be negative")
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = time.Minute
	}
	if cfg.Transport == nil {
		if cfg.CA == nil || len(cfg.Certificate.Certificate) == 0 && cfg.Signer == nil {
			return nil, errors.New("client: a client certificate or a signer, and serve's authority, are required")
		}
		var own []tls.Certificate
		if len(cfg.Certificate.Certificate) > 0 {
			own = []tls.Certificate{cfg.Certificate}
		}
		// HTTP/1.1: with a connection a caller it costs about half of what HTTP/2 costs for calls as small as these.
		cfg.Transport = &http.Transport{MaxIdleConns: 256, MaxIdleConnsPerHost: 256, IdleConnTimeout: 90 * time.Second,
			TLSHandshakeTimeout: 10 * time.Second,
			TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: cfg.CA, Certificates: own,
				ClientSessionCache: tls.NewLRUClientSessionCache(64)}}
	}
	return &Client{base: strings.TrimSuffix(cfg.BaseURL, "/"), now: cfg.Now, signer: cfg.Signer, authority: cfg.Authority, identity: cfg.Identity,
		http: &http.Client{Transport: cfg.Transport, Timeout: cfg.Timeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("serve does not redirect") }}}, nil
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Problem is a failure that serve or core explained.
type Problem struct{ apiv1.Problem }

// Error gives kind and detail.
func (p *Problem) Error() string { return string(p.Kind) + ": " + p.Detail }

// KindOf gives the kind of a failure, or "" if err is no [*Problem].
func KindOf(err error) Kind {
	var p *Problem
	if errors.As(err, &p) {
		return p.Kind
	}
	return ""
}

// send makes a call and gives the body of a success.
func (c *Client) send(ctx context.Context, method, path string, query url.Values, header http.Header, body []byte) ([]byte, error) {
	target := c.base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	if err := c.sign(req, body); err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if len(b) > maxReply {
		return nil, fmt.Errorf("%s %s: the reply has more than %d bytes", method, path, maxReply)
	}
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return b, nil
	}
	var p Problem
	if err := json.Unmarshal(b, &p.Problem); err != nil || p.Kind == "" {
		return nil, fmt.Errorf("%s %s: status %s without a problem document; is this Strongroom?", method, path, resp.Status)
	}
	return nil, &p
}

// call makes a call with JSON both ways; in and out may be nil.
func (c *Client) call(ctx context.Context, method, path string, query url.Values, in, out any) error {
	var body []byte
	header := http.Header{}
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return fmt.Errorf("%s %s: %w", method, path, err)
		}
	}
	if method == http.MethodPost { // also without a body
		header.Set("Content-Type", apiv1.JSON)
	}
	b, err := c.send(ctx, method, path, query, header, body)
	if err != nil {
		return err
	}
	return read(b, method, path, out)
}

func read(b []byte, method, path string, out any) error {
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("%s %s: the reply can't be read: %w", method, path, err)
	}
	return nil
}

func (c *Client) get(ctx context.Context, path string, query url.Values, out any) error {
	return c.call(ctx, http.MethodGet, path, query, nil, out)
}

// domain gives authority and identity key of the domain, from the configuration or else as serve told them first. They never
// change during a client's life.
func (c *Client) domain(ctx context.Context) (AuthorityID, []byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.authority.IsZero() || c.identity == nil {
		st, err := c.Status(ctx)
		if err != nil {
			return c.authority, nil, err
		}
		a, err := custody.ParseAuthorityID(st.Authority)
		if err != nil {
			return a, nil, fmt.Errorf("status: %w", err)
		}
		if !c.authority.IsZero() && a != c.authority {
			return a, nil, fmt.Errorf("serve is of authority %s; this client is for %s", a, c.authority)
		}
		c.authority = a
		if c.identity == nil {
			c.identity = st.Identity
		}
	}
	return c.authority, c.identity, nil
}

// Retryable says whether the same call may succeed later: a problem that says so, or a connection that broke.
func Retryable(err error) bool {
	var p *Problem
	if errors.As(err, &p) {
		return p.Retryable || p.Kind == problem.Busy
	}
	return err != nil && !errors.Is(err, context.Canceled)
}
