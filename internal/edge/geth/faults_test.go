// SPDX-License-Identifier: Apache-2.0

package geth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"strongroom/internal/edge/geth"
	"strongroom/internal/pure/problem"
	"strongroom/internal/svc/chain"
)

// secretPath is where providers put access keys.
const secretPath = "/v3/secret-access-key"

// lying is a node that answers as a test says. It answers the chain id by itself.
func lying(t testing.TB, answer func(method string) string) (*geth.Client, string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var call struct {
			ID     json.RawMessage
			Method string
		}
		if err := json.NewDecoder(r.Body).Decode(&call); err != nil {
			http.Error(w, "no", http.StatusBadRequest)
			return
		}
		said := answer(call.Method)
		if said == "" && call.Method == "eth_chainId" {
			said = `"result":"0x1"`
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,%s}`, call.ID, said)
	}))
	t.Cleanup(s.Close)
	return open(t, s.URL+secretPath, 1), s.Listener.Addr().String()
}

func only(method, said string) func(string) string {
	return func(m string) string {
		if m == method {
			return said
		}
		return ""
	}
}

func TestLies(t *testing.T) {
	t.Parallel()
	const hash = "0x1111111111111111111111111111111111111111111111111111111111111111"
	for name, c := range map[string]struct {
		method, said string
		act          func(context.Context, *geth.Client) error
		want         chain.Reason
	}{
		"another hash for what was sent": {"eth_sendRawTransaction", `"result":"` + hash + `"`,
			func(ctx context.Context, c *geth.Client) error { _, err := c.Send(ctx, []byte{2}); return err }, chain.Contradiction},
		"receipt of another": {"eth_getTransactionReceipt", `"result":{"transactionHash":"` + hash + `","blockHash":"` + hash + `","blockNumber":"0x1"}`,
			func(ctx context.Context, c *geth.Client) error {
				_, err := c.Transaction(ctx, chain.TxID(strings.ReplaceAll(hash, "1", "2")))
				return err
			}, chain.Contradiction},
		"balance over 256 bits": {"eth_getBalance", `"result":"0x1` + strings.Repeat("0", 64) + `"`,
			func(ctx context.Context, c *geth.Client) error { _, err := c.Balance(ctx, payee); return err }, chain.Unavailable},
		"not a number": {"eth_getBalance", `"result":true`,
			func(ctx context.Context, c *geth.Client) error { _, err := c.Balance(ctx, payee); return err }, chain.Unavailable},
		"too long": {"eth_getCode", `"result":"0x` + strings.Repeat("00", 5<<20) + `"`,
			func(ctx context.Context, c *geth.Client) error { _, err := c.Code(ctx, payee); return err }, chain.Contradiction},
		"token balance of 31 bytes": {"eth_call", `"result":"0x` + strings.Repeat("00", 31) + `"`,
			func(ctx context.Context, c *geth.Client) error {
				_, err := c.TokenBalance(ctx, payee, payee)
				return err
			}, chain.NotFound},
		"no base fee": {"eth_feeHistory", `"result":{}`,
			func(ctx context.Context, c *geth.Client) error { _, err := c.Fees(ctx); return err }, chain.Unsupported},
		"no head": {"eth_getBlockByNumber", `"result":null`,
			func(ctx context.Context, c *geth.Client) error { _, err := c.Head(ctx); return err }, chain.NotFound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer := only(c.method, c.said)
			node, host := lying(t, func(m string) string {
				if said := answer(m); said != "" || m == "eth_chainId" {
					return said
				}
				return `"result":"0x1"`
			})
			err := c.act(t.Context(), node)
			wantReason(t, err, c.want)
			if strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), host) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A node's words reach terminals and logs: what is not printable does not.
func TestWordsAreTamed(t *testing.T) {
	t.Parallel()
	node, _ := lying(t, only("eth_getBalance", `"error":{"code":-32000,"message":"`+"\\u001b[2J\\n"+strings.Repeat("x", 500)+`"}`))
	_, err := node.Balance(t.Context(), payee)
	wantReason(t, err, chain.Invalid)
	if text := err.Error(); strings.ContainsAny(text, "\x1b\n") || len(text) > 400 {
		t.Errorf("got %q", text)
	}
}

func TestUnavailable(t *testing.T) {
	t.Parallel()
	closed := httptest.NewServer(nil)
	closed.Close()
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then does the server notice that the client went away
		<-r.Context().Done()
	}))
	t.Cleanup(slow.Close)
	status := func(code int) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }))
		t.Cleanup(s.Close)
		return s.URL
	}
	html := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }))
	t.Cleanup(html.Close)
	away := httptest.NewServer(http.RedirectHandler("http://127.0.0.1:1/", http.StatusTemporaryRedirect))
	t.Cleanup(away.Close)
	for name, url := range map[string]string{
		"closed": closed.URL, "slow": slow.URL, "401": status(401), "503": status(503), "html": html.URL, "redirect": away.URL,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := geth.New(geth.Config{URL: url + secretPath, ExpectChainID: 1, Timeout: 200 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.Send(t.Context(), []byte{2})
			wantReason(t, err, chain.Unavailable)
			if strings.Contains(err.Error(), "secret") || problem.KindOf(chain.Problem(err)) != problem.NodeUnavailable {
				t.Errorf("got %v", err)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := open(t, slow.URL, 1)
	if _, err := c.Head(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// After a lost connection the chain id is asked for again: behind the name there may be another node.
func TestChainIsCheckedAgain(t *testing.T) {
	t.Parallel()
	var broken, other atomic.Bool
	node, _ := lying(t, func(m string) string {
		switch {
		case broken.Load():
			return `"error":{"code":-32005,"message":"rate limit"}`
		case other.Load() && m == "eth_chainId":
			return `"result":"0x5"`
		case m == "eth_chainId":
			return ""
		default:
			return `"result":"0x7"`
		}
	})
	if _, err := node.Balance(t.Context(), payee); err != nil {
		t.Fatal(err)
	}
	broken.Store(true)
	_, err := node.Balance(t.Context(), payee)
	wantReason(t, err, chain.Unavailable)
	broken.Store(false)
	other.Store(true)
	_, err = node.Balance(t.Context(), payee)
	wantReason(t, err, chain.WrongChain)
	other.Store(false)
	if _, err := node.Balance(t.Context(), payee); err != nil {
		t.Fatal(err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]geth.Config{
		"zero": {}, "scheme": {URL: "ws://x/", ExpectChainID: 1, Timeout: 1}, "host": {URL: "http:///x", ExpectChainID: 1, Timeout: 1},
		"chain id": {URL: "http://x/secret", Timeout: 1}, "timeout": {URL: "http://x/secret", ExpectChainID: 1}, "url": {URL: "http://x/%zz-secret", ExpectChainID: 1, Timeout: 1},
	} {
		if _, err := geth.New(c); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
