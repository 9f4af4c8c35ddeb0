// SPDX-License-Identifier: Apache-2.0

// Package relay is the sockets that the core does not open: HTTP to log witnesses, UDP to NTP servers, TCP for NTS key establishment. It connects
// to configured targets only, follows no redirects, uses no proxy of the environment, and reads no more than the core takes. What it carries
// is authenticated by the core.
package relay

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	wire "strongroom/internal/gate/relay"
)

// maxDatagram is the largest UDP payload that is read, in bytes.
const maxDatagram = 4 << 10

// Config names the targets; see [Check].
type Config struct {
	Witnesses map[string]string // name → URL prefix of a log witness (its submission and monitoring prefix), http or https
	NTP       map[string]string // name → host:port
	NTS       map[string]string // name → host:port
	RootCAs   *x509.CertPool    // for https; nil: the system's
}

// Check says which target can't be one.
func (c Config) Check() error {
	for name, s := range c.Witnesses {
		u, err := url.Parse(s)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return fmt.Errorf("relay: witness %q: %q is no URL of http or https without user, query and fragment", name, s)
		}
	}
	for name, s := range c.NTP {
		if err := checkAddress(s); err != nil {
			return fmt.Errorf("relay: ntp %q: %w", name, err)
		}
	}
	for name, s := range c.NTS {
		if err := checkAddress(s); err != nil {
			return fmt.Errorf("relay: nts %q: %w", name, err)
		}
	}
	return nil
}

func checkAddress(s string) error {
	if host, port, err := net.SplitHostPort(s); err != nil || host == "" || port == "" {
		return fmt.Errorf("%q is no host:port", s)
	}
	return nil
}

// Empty says whether there is nothing to carry to.
func (c Config) Empty() bool { return len(c.Witnesses)+len(c.NTP)+len(c.NTS) == 0 }

// Carrier carries messages. Its methods are safe for concurrent use.
type Carrier struct {
	cfg  Config
	http *http.Client
}

// New makes a carrier. It connects when it is used.
func New(cfg Config) (*Carrier, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	t := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: cfg.RootCAs, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true,
		DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext, TLSHandshakeTimeout: 5 * time.Second,
		MaxIdleConnsPerHost: 4, IdleConnTimeout: 2 * time.Minute, MaxResponseHeaderBytes: 16 << 10}
	return &Carrier{cfg: cfg, http: &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}, nil
}

// Close closes idle connections.
func (c *Carrier) Close() { c.http.CloseIdleConnections() }

// errUnknown says that the configuration does not name a target.
var errUnknown = errors.New("serve's configuration names no such target")

// Exchange carries a message; see package svc/relay.
func (c *Carrier) Exchange(ctx context.Context, kind, target string, body []byte) (int, []byte, error) {
	switch kind {
	case wire.Witness:
		return c.call(ctx, http.MethodPost, target, "add-checkpoint", body)
	case wire.WitnessLatest:
		h := sha256.Sum256(body)
		return c.call(ctx, http.MethodGet, target, hex.EncodeToString(h[:])+"/checkpoint", nil)
	case wire.NTP:
		b, err := c.datagram(ctx, target, body)
		return 0, b, err
	default:
		return 0, nil, fmt.Errorf("serve carries no %q", kind)
	}
}

func (c *Carrier) call(ctx context.Context, method, target, path string, body []byte) (int, []byte, error) {
	prefix, ok := c.cfg.Witnesses[target]
	if !ok {
		return 0, nil, errUnknown
	}
	r, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(prefix, "/")+"/"+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("User-Agent", "strongroom")
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "text/plain; charset=utf-8")
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return 0, nil, plain(err)
	}
	defer func() { _ = resp.Body.Close() }() // what it says does not matter any more
	b, err := io.ReadAll(io.LimitReader(resp.Body, wire.MaxBody+1))
	if err != nil {
		return 0, nil, plain(err)
	}
	if len(b) > wire.MaxBody {
		return 0, nil, fmt.Errorf("the answer has more than %d bytes", wire.MaxBody)
	}
	return resp.StatusCode, b, nil
}

// plain takes the URL out of an error: the core and its log need not know it.
func plain(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// ntpPort is where time servers are asked, unless the key establishment names another port.
const ntpPort = "123"

// timeServer gives the address of a target of NTP. One of NTS may carry the host and port that its key establishment named: "name@host:port".
// What is configured as NTP under its name is taken first; else it is the host of the key establishment, at the port that was named. Another
// host is refused: the operator names where we connect.
func (c *Carrier) timeServer(target string) (string, error) {
	name, named, _ := strings.Cut(target, "@")
	if address, ok := c.cfg.NTP[name]; ok {
		return address, nil
	}
	establishment, ok := c.cfg.NTS[name]
	if !ok {
		return "", errUnknown
	}
	ours, _, err := net.SplitHostPort(establishment)
	if err != nil {
		return "", err
	}
	host, port := "", ""
	if named != "" {
		if host, port, err = net.SplitHostPort(named); err != nil {
			return "", errUnknown
		}
	}
	if host != "" && !strings.EqualFold(host, ours) {
		return "", fmt.Errorf("the server wants its packets at %q; if that is right, name it in serve's configuration: ntp %s", named, name)
	}
	if port == "" {
		port = ntpPort
	}
	return net.JoinHostPort(ours, port), nil
}

func (c *Carrier) datagram(ctx context.Context, target string, body []byte) ([]byte, error) {
	address, err := c.timeServer(target)
	if err != nil {
		return nil, err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "udp", address) // connected: only that address may answer
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // nothing is buffered
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := conn.Write(body); err != nil {
		return nil, err
	}
	b := make([]byte, maxDatagram)
	n, err := conn.Read(b)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return b[:n], err
}

// Dial opens a connection; see package svc/relay.
func (c *Carrier) Dial(ctx context.Context, kind, target string) (net.Conn, error) {
	address, ok := c.cfg.NTS[target]
	if kind != wire.NTSKE || !ok {
		return nil, errUnknown
	}
	return new(net.Dialer).DialContext(ctx, "tcp", address)
}
