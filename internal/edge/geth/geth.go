// SPDX-License-Identifier: Apache-2.0

// Package geth speaks to an Ethereum node of the user's over JSON-RPC (Ethereum execution APIs, EIP-1474 as nodes live it):
// go-ethereum, and whatever answers alike. It gives the values of package chain.
//
// A node is not trusted. It is asked for its chain id before anything else, and again after every failed connection; a node
// of another chain is never sent anything. Answers are bounded in size, compared with what was asked where that is possible,
// and the words of a node are classified by meaning, because every node has its own. No error or status holds the URL: its
// path is where providers put access keys.
package geth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rpc"

	"strongroom/internal/pure/custody"
	"strongroom/internal/svc/chain"
)

// maxAnswer bounds an answer of the node, in bytes. Nothing that is asked here has a long answer.
const maxAnswer = 4 << 20

// Config says where the node is and what it has to be.
type Config struct {
	URL           string         // http or https; user and password in it become HTTP basic authentication
	ExpectChainID uint64         // EIP-155; a node of another chain is refused
	Timeout       time.Duration  // of one call
	RootCAs       *x509.CertPool // that sign the node's certificate; nil means the system's
}

// Client is a connection to one node. Its methods are safe for concurrent use.
type Client struct {
	rpc     *rpc.Client
	host    string
	chainID uint64
	timeout time.Duration
	checked atomic.Bool // the node said the right chain id since the last failed connection
}

// New makes a client. It does not connect: the node may be down and come up later. See [Client.Check].
func New(cfg Config) (*Client, error) {
	u, err := url.Parse(cfg.URL)
	switch {
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "":
		return nil, errors.New("ethereum node: the URL must be http://host:port/… or https://host/…")
	case cfg.ExpectChainID == 0:
		return nil, fmt.Errorf("ethereum node %s: say which chain id it must have", u.Host)
	case cfg.Timeout <= 0:
		return nil, fmt.Errorf("ethereum node %s: say how long a call may take", u.Host)
	}
	t := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.RootCAs},
		MaxIdleConnsPerHost: 8,
		IdleConnTimeout:     time.Minute,
	}
	client := &http.Client{Transport: bounded{t}, CheckRedirect: func(*http.Request, []*http.Request) error {
		return errors.New("the node redirects; give its own URL")
	}}
	c, err := rpc.DialOptions(context.Background(), cfg.URL, rpc.WithHTTPClient(client)) // HTTP: nothing is sent yet
	if err != nil {
		return nil, fmt.Errorf("ethereum node %s: the URL can't be used", u.Host)
	}
	return &Client{rpc: c, host: u.Host, chainID: cfg.ExpectChainID, timeout: cfg.Timeout}, nil
}

// Close ends the client's connections.
func (c *Client) Close() { c.rpc.Close() }

// Chain gives the chain that the node has to serve.
func (c *Client) Chain() custody.ChainID { return custody.EVMChain(c.chainID) }

// Check asks the node for its chain id. Its errors are [chain.WrongChain] and [chain.Unavailable] refusals.
func (c *Client) Check(ctx context.Context) error {
	var id hexutil.Uint64
	if err := c.raw(ctx, "chain id", &id, "eth_chainId"); err != nil {
		return err
	}
	if uint64(id) != c.chainID {
		c.checked.Store(false)
		return c.refuse(chain.WrongChain, "chain id", "it serves chain id %d; chain id %d is configured. Correct the URL or the chain id", uint64(id), c.chainID)
	}
	c.checked.Store(true)
	return nil
}

// call asks the node, after its chain id if that is not known.
func (c *Client) call(ctx context.Context, act string, result any, method string, params ...any) error {
	if !c.checked.Load() {
		if err := c.Check(ctx); err != nil {
			return err
		}
	}
	return c.raw(ctx, act, result, method, params...)
}

// raw asks the node. A failed connection makes the next call ask for the chain id again: behind a name there may be another
// node now.
func (c *Client) raw(ctx context.Context, act string, result any, method string, params ...any) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	err := c.rpc.CallContext(ctx, result, method, params...)
	if err == nil {
		return nil
	}
	r := c.classify(act, err)
	if r.Reason == chain.Unavailable {
		c.checked.Store(false)
	}
	return r
}

// classify turns an error of the RPC client into a refusal without URL.
func (c *Client) classify(act string, err error) *chain.Refusal {
	r := &chain.Refusal{Node: c.host, Act: act, Reason: chain.Unavailable}
	var (
		answered rpc.Error
		status   rpc.HTTPError
		syntax   *json.SyntaxError
		form     *json.UnmarshalTypeError
		dial     *net.OpError
	)
	switch {
	case errors.As(err, &answered):
		r.Text = chain.Printable(answered.Error(), 300)
		r.Reason = reason(answered.ErrorCode(), answered.Error())
	case errors.As(err, &status):
		r.Text = fmt.Sprintf("HTTP status %d", status.StatusCode)
		if status.StatusCode == http.StatusUnauthorized || status.StatusCode == http.StatusForbidden {
			r.Text += "; check the user, password or access key in its URL"
		}
	case errors.Is(err, context.DeadlineExceeded):
		r.Text = "no answer in time"
	case errors.Is(err, context.Canceled):
		r.Text, r.Err = "cancelled", context.Canceled
	case errors.Is(err, errTooLong):
		r.Text, r.Reason = errTooLong.Error(), chain.Contradiction
	case errors.As(err, &syntax), errors.As(err, &form), errors.Is(err, io.ErrUnexpectedEOF):
		r.Text = "the answer is not what JSON-RPC has"
	case errors.As(err, &dial):
		r.Text = chain.Printable(dial.Err.Error(), 300)
	case isURLError(err):
		r.Text = "the connection failed"
	default:
		r.Text, r.Reason = "the answer is malformed: "+chain.Printable(err.Error(), 200), chain.Contradiction
	}
	return r
}

// isURLError tells an error of the HTTP client, whose text holds the URL and is not repeated.
func isURLError(err error) bool {
	var e *url.Error
	return errors.As(err, &e)
}

func (c *Client) refuse(r chain.Reason, act, format string, args ...any) *chain.Refusal {
	return &chain.Refusal{Reason: r, Node: c.host, Act: act, Text: fmt.Sprintf(format, args...)}
}

var errTooLong = errors.New("the answer is too long")

// bounded cuts answers that are too long off with an error.
type bounded struct{ http.RoundTripper }

// RoundTrip does one exchange.
func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(req)
	if err == nil {
		resp.Body = &boundedBody{ReadCloser: resp.Body, left: maxAnswer}
	}
	return resp, err
}

type boundedBody struct {
	io.ReadCloser
	left int64
}

// Read reads within the bound.
func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLong
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
