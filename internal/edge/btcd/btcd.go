// SPDX-License-Identifier: Apache-2.0

// Package btcd speaks to a Bitcoin node of the user's over JSON-RPC: btcd, and bitcoind where its calls are the same. It
// gives the values of package chain. Only calls of a plain node are used, no wallet, descriptor or scan calls.
//
// A node is not trusted. Its first block is asked for before anything else, and again after every failed connection; a node
// of another chain is never sent anything. Blocks are decoded by btcsuite's decoder and hashed again: header, Merkle root and
// proof of work have to fit the hash that was asked for. Nodes refuse transactions in words that change from release to
// release, so words are only a hint and the node's state is asked before they are believed.
package btcd

import (
	"bytes"
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

	"strongroom/internal/pure/custody"
	"strongroom/internal/svc/chain"
)

// maxAnswer bounds an answer of the node, in bytes: a block of 4 MB in hex, and room.
const maxAnswer = 16 << 20

// Config says where the node is and what it has to be.
type Config struct {
	URL      string          // http or https, without user and password
	User     string          // HTTP basic authentication; empty for none
	Password string          //
	Chain    custody.ChainID // one of Bitcoin's; a node of another chain is refused
	Timeout  time.Duration   // of one call
	RootCAs  *x509.CertPool  // that sign the node's certificate (btcd makes its own: rpc.cert); nil means the system's
}

// String leaves the password out, so that a logged Config does not tell it.
func (c Config) String() string { return fmt.Sprintf("bitcoin node %s of %s", hostOf(c.URL), c.Chain) }

// GoString is String.
func (c Config) GoString() string { return c.String() }

func hostOf(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return "?"
	}
	return u.Host
}

// Client is a connection to one node. Its methods are safe for concurrent use.
type Client struct {
	http    *http.Client
	cfg     Config
	host    string
	checked atomic.Bool // the node showed the right first block since the last failed connection
}

// New makes a client. It does not connect: the node may be down and come up later. See [Client.Check].
func New(cfg Config) (*Client, error) {
	u, err := url.Parse(cfg.URL)
	switch {
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "":
		return nil, errors.New("bitcoin node: the URL must be http://host:port or https://host:port")
	case u.User != nil:
		return nil, fmt.Errorf("bitcoin node %s: give user and password apart from the URL", u.Host)
	case !cfg.Chain.Bitcoin():
		return nil, fmt.Errorf("bitcoin node %s: chain %q is not Bitcoin", u.Host, cfg.Chain)
	case cfg.Timeout <= 0:
		return nil, fmt.Errorf("bitcoin node %s: say how long a call may take", u.Host)
	}
	t := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.RootCAs},
		MaxIdleConnsPerHost: 8,
		IdleConnTimeout:     time.Minute,
	}
	return &Client{cfg: cfg, host: u.Host, http: &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}}, nil
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Chain gives the chain that the node has to serve.
func (c *Client) Chain() custody.ChainID { return c.cfg.Chain }

// Check asks the node for its first block, by which chains are told apart (BIP-122). Its errors are [chain.WrongChain] and
// [chain.Unavailable] refusals.
func (c *Client) Check(ctx context.Context) error {
	var genesis string
	if err := c.raw(ctx, "first block", &genesis, "getblockhash", 0); err != nil {
		return err
	}
	if len(genesis) != 64 || custody.ChainID("bip122:"+genesis[:32]) != c.cfg.Chain {
		c.checked.Store(false)
		return c.refuse(chain.WrongChain, "first block", "its first block is %s; %s is configured. Correct the URL or the chain",
			chain.Printable(genesis, 64), c.cfg.Chain)
	}
	c.checked.Store(true)
	return nil
}

// call asks the node, after its first block if that is not known.
func (c *Client) call(ctx context.Context, act string, result any, method string, params ...any) error {
	if !c.checked.Load() {
		if err := c.Check(ctx); err != nil {
			return err
		}
	}
	return c.raw(ctx, act, result, method, params...)
}

// raw asks the node. A failed connection makes the next call ask for the first block again: behind a name there may be
// another node now.
func (c *Client) raw(ctx context.Context, act string, result any, method string, params ...any) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	err := c.exchange(ctx, act, result, method, params)
	if chain.ReasonOf(err) == chain.Unavailable {
		c.checked.Store(false)
	}
	return err
}

// exchange does one call of JSON-RPC 1.0, which is what Bitcoin nodes speak.
func (c *Client) exchange(ctx context.Context, act string, result any, method string, params []any) error {
	if params == nil {
		params = []any{}
	}
	body, err := json.Marshal(map[string]any{"jsonrpc": "1.0", "id": 1, "method": method, "params": params})
	if err != nil {
		return c.refuse(chain.Invalid, act, "the call can't be encoded: %v", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.cfg.URL, bytes.NewReader(body))
	if err != nil {
		return c.refuse(chain.Invalid, act, "the URL can't be used")
	}
	req.Header.Set("Content-Type", "application/json")
	if c.cfg.User != "" || c.cfg.Password != "" {
		req.SetBasicAuth(c.cfg.User, c.cfg.Password)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.lost(act, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden {
		return c.refuse(chain.Unavailable, act, "it refuses user and password (HTTP status %d)", resp.StatusCode)
	}
	content, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return c.lost(act, err)
	}
	if len(content) > maxAnswer {
		return c.refuse(chain.Contradiction, act, "the answer is too long")
	}
	var answer struct {
		Result json.RawMessage `json:"result"`
		Error  *struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	if err := json.Unmarshal(content, &answer); err != nil {
		return c.refuse(chain.Unavailable, act, "the answer is not what JSON-RPC has (HTTP status %d)", resp.StatusCode)
	}
	if e := answer.Error; e != nil {
		return c.refuse(reason(e.Code, e.Message), act, "%s", chain.Printable(e.Message, 300))
	}
	if err := json.Unmarshal(answer.Result, result); err != nil {
		return c.refuse(chain.Contradiction, act, "the answer is malformed: %s", chain.Printable(err.Error(), 200))
	}
	return nil
}

// lost is the refusal for a failed exchange. The client's error texts hold the URL and are not repeated.
func (c *Client) lost(act string, err error) *chain.Refusal {
	r := c.refuse(chain.Unavailable, act, "the connection failed")
	var dial *net.OpError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		r.Text = "no answer in time"
	case errors.Is(err, context.Canceled):
		r.Text, r.Err = "cancelled", context.Canceled
	case errors.As(err, &dial):
		r.Text = chain.Printable(dial.Err.Error(), 300)
	}
	return r
}

func (c *Client) refuse(r chain.Reason, act, format string, args ...any) *chain.Refusal {
	return &chain.Refusal{Reason: r, Node: c.host, Act: act, Text: fmt.Sprintf(format, args...)}
}
