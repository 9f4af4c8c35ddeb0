// SPDX-License-Identifier: Apache-2.0

package btcd_test

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

	"strongroom/internal/edge/btcd"
	"strongroom/internal/pure/btc"
	"strongroom/internal/pure/custody"
	"strongroom/internal/svc/chain"
)

const genesis = "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"

// lying is a node that answers as a test says. It tells its first block by itself.
func lying(t testing.TB, answer func(method string) string) *btcd.Client {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var call struct {
			Method string
			Params []any
		}
		if err := json.NewDecoder(r.Body).Decode(&call); err != nil {
			http.Error(w, "no", http.StatusBadRequest)
			return
		}
		said := answer(call.Method)
		if said == "" && call.Method == "getblockhash" && call.Params[0] == 0.0 {
			said = `"result":"` + genesis + `"`
		}
		fmt.Fprintf(w, `{"id":1,%s}`, said)
	}))
	t.Cleanup(s.Close)
	return open(t, btcd.Config{URL: s.URL, Chain: custody.BitcoinRegtest})
}

func TestLies(t *testing.T) {
	t.Parallel()
	ones, twos := strings.Repeat("11", 32), strings.Repeat("22", 32)
	const payment = "01000000010100000000000000000000000000000000000000000000000000000000000000000000000001000000010500000000000000015100000000"
	for name, c := range map[string]struct {
		answers map[string]string
		act     func(context.Context, *btcd.Client) error
		want    chain.Reason
	}{
		"header of another block": {map[string]string{"getbestblockhash": `"result":"` + ones + `"`, "getblockheader": `"result":{"hash":"` + twos + `"}`},
			func(ctx context.Context, c *btcd.Client) error { _, err := c.Head(ctx); return err }, chain.Contradiction},
		"malformed hash": {map[string]string{"getbestblockhash": `"result":"x"`, "getblockheader": `"result":{"hash":"x"}`},
			func(ctx context.Context, c *btcd.Client) error { _, err := c.Head(ctx); return err }, chain.Contradiction},
		"another id for what was sent": {map[string]string{"sendrawtransaction": `"result":"` + ones + `"`},
			func(ctx context.Context, c *btcd.Client) error { _, err := c.Send(ctx, unhex(payment)); return err }, chain.Contradiction},
		"another transaction": {map[string]string{"getrawtransaction": `"result":{"txid":"` + twos + `"}`},
			func(ctx context.Context, c *btcd.Client) error {
				_, err := c.Transaction(ctx, chain.TxID(ones))
				return err
			}, chain.Contradiction},
		"another raw transaction": {map[string]string{"getrawtransaction": `"result":"` + payment + `"`},
			func(ctx context.Context, c *btcd.Client) error {
				_, err := c.RawTransaction(ctx, btc.TxID{})
				return err
			}, chain.Contradiction},
		"raw transaction that is not hex": {map[string]string{"getrawtransaction": `"result":"zz"`},
			func(ctx context.Context, c *btcd.Client) error {
				_, err := c.RawTransaction(ctx, btc.TxID{})
				return err
			}, chain.Contradiction},
		"another spent output": {map[string]string{"gettxspendingprevout": `"result":[{"txid":"` + ones + `","vout":0}]`},
			func(ctx context.Context, c *btcd.Client) error {
				_, err := c.PoolSpender(ctx, btc.OutPoint{})
				return err
			}, chain.Contradiction},
		"malformed spender": {map[string]string{"gettxspendingprevout": `"result":[{"txid":"` + strings.Repeat("00", 32) + `","vout":0,"spendingtxid":"x"}]`},
			func(ctx context.Context, c *btcd.Client) error {
				_, err := c.PoolSpender(ctx, btc.OutPoint{})
				return err
			}, chain.Contradiction},
		"result of another type": {map[string]string{"getbestblockhash": `"result":7`},
			func(ctx context.Context, c *btcd.Client) error { _, err := c.Head(ctx); return err }, chain.Contradiction},
		"too long": {map[string]string{"getbestblockhash": `"result":"` + strings.Repeat("0", 17<<20) + `"`},
			func(ctx context.Context, c *btcd.Client) error { _, err := c.Head(ctx); return err }, chain.Contradiction},
		"no index": {map[string]string{"getrawtransaction": `"error":{"code":-5,"message":"The transaction index must be enabled to query the blockchain (specify --txindex)"}`},
			func(ctx context.Context, c *btcd.Client) error {
				_, err := c.Transaction(ctx, chain.TxID(ones))
				return err
			}, chain.Unsupported},
		"not an id": {nil,
			func(ctx context.Context, c *btcd.Client) error { _, err := c.Transaction(ctx, "0x12"); return err }, chain.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			node := lying(t, func(m string) string { return c.answers[m] })
			wantReason(t, c.act(t.Context(), node), c.want)
		})
	}
}

func unhex(s string) []byte {
	var b []byte
	if _, err := fmt.Sscanf(s, "%x", &b); err != nil {
		panic(err) // a constant of this file
	}
	return b
}

// Without an index, a mined transaction is known by an output that is still unspent.
func TestSendAgainWithoutIndex(t *testing.T) {
	t.Parallel()
	const payment = "01000000010100000000000000000000000000000000000000000000000000000000000000000000000001000000010500000000000000015100000000"
	for unspent, want := range map[string]chain.Reason{`{"value":1}`: "", "null": chain.InputsSpent} {
		node := lying(t, func(m string) string {
			return map[string]string{
				"sendrawtransaction": `"error":{"code":-25,"message":"TX rejected: orphan transaction"}`,
				"getrawtransaction":  `"error":{"code":-5,"message":"The transaction index must be enabled to query the blockchain (specify --txindex)"}`,
				"gettxout":           `"result":` + unspent,
			}[m]
		})
		if _, err := node.Send(t.Context(), unhex(payment)); chain.ReasonOf(err) != want {
			t.Errorf("%s: got %v, want %q", unspent, err, want)
		}
	}
}

func TestFees(t *testing.T) {
	t.Parallel()
	fallback := btcd.Fixed{Low: 1_000, Medium: 2_000, High: 9_000}
	for name, c := range map[string]struct {
		smart, plain string
		want         chain.BitcoinFees
		reason       chain.Reason
	}{
		"smart":            {`"result":{"feerate":0.00012345}`, "", chain.BitcoinFees{Low: 12_345, Medium: 12_345, High: 12_345}, ""},
		"no estimate":      {`"result":{"errors":["Insufficient data or no feerate found"]}`, "", chain.BitcoinFees(fallback), ""},
		"plain":            {`"error":{"code":-32601,"message":"Method not found"}`, `"result":0.00003`, chain.BitcoinFees{Low: 3_000, Medium: 3_000, High: 3_000}, ""},
		"plain without":    {`"error":{"code":-32601,"message":"Method not found"}`, `"result":-1`, chain.BitcoinFees(fallback), ""},
		"neither":          {`"error":{"code":-32601,"message":"Method not found"}`, `"error":{"code":-32601,"message":"Method not found"}`, chain.BitcoinFees(fallback), ""},
		"below the floor":  {`"result":{"feerate":0.000000021}`, "", chain.BitcoinFees{Low: 1_000, Medium: 1_000, High: 1_000}, ""},
		"beyond sense":     {`"result":{"feerate":2}`, "", chain.BitcoinFees{Low: 10_000_000, Medium: 10_000_000, High: 10_000_000}, ""},
		"beyond all sense": {`"result":{"feerate":1e300}`, "", chain.BitcoinFees(fallback), ""},
		"starting":         {`"error":{"code":-28,"message":"Loading block index…"}`, "", chain.BitcoinFees{}, chain.Unavailable},
		"starting, plain":  {`"error":{"code":-32601,"message":"Method not found"}`, `"error":{"code":-28,"message":"x"}`, chain.BitcoinFees{}, chain.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			node := lying(t, func(m string) string {
				return map[string]string{"estimatesmartfee": c.smart, "estimatefee": c.plain}[m]
			})
			e, err := btcd.NewEstimate(node, fallback)
			if err != nil {
				t.Fatal(err)
			}
			got, err := e.BitcoinFees(t.Context())
			if got != c.want || chain.ReasonOf(err) != c.reason {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	for _, bad := range []btcd.Fixed{{}, {Low: 999, Medium: 1000, High: 1000}, {Low: 3000, Medium: 2000, High: 4000}, {Low: 3000, Medium: 3000, High: 1 << 40}} {
		if _, err := btcd.NewEstimate(lying(t, func(string) string { return "" }), bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
	if _, err := btcd.NewEstimate(nil, fallback); err == nil {
		t.Error("no node was taken")
	}
	if got, err := fallback.BitcoinFees(t.Context()); err != nil || got != chain.BitcoinFees(fallback) {
		t.Errorf("got %+v, %v", got, err)
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
	html := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }))
	t.Cleanup(html.Close)
	denied := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	t.Cleanup(denied.Close)
	for name, url := range map[string]string{"closed": closed.URL, "slow": slow.URL, "html": html.URL, "denied": denied.URL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := btcd.New(btcd.Config{URL: url, User: "u", Password: "hunter2", Chain: custody.BitcoinRegtest, Timeout: 200 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.Head(t.Context())
			wantReason(t, err, chain.Unavailable)
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v", err)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := open(t, btcd.Config{URL: slow.URL, Chain: custody.BitcoinRegtest}).Head(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// After a lost connection the first block is asked for again: behind the name there may be another node.
func TestChainIsCheckedAgain(t *testing.T) {
	t.Parallel()
	var broken, other atomic.Bool
	node := lying(t, func(m string) string {
		switch {
		case broken.Load():
			return `"error":{"code":-28,"message":"Loading block index"}`
		case other.Load() && m == "getblockhash":
			return `"result":"000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"`
		case m == "gettxout":
			return `"result":null`
		default:
			return ""
		}
	})
	ask := func() error { _, err := node.Unspent(t.Context(), btc.OutPoint{}); return err }
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	broken.Store(true)
	wantReason(t, ask(), chain.Unavailable)
	broken.Store(false)
	other.Store(true)
	wantReason(t, ask(), chain.WrongChain)
	other.Store(false)
	if err := ask(); err != nil {
		t.Fatal(err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]btcd.Config{
		"zero": {}, "scheme": {URL: "ftp://x", Chain: custody.BitcoinRegtest, Timeout: 1}, "chain": {URL: "http://x", Timeout: 1},
		"password in the URL": {URL: "http://u:hunter2@x", Chain: custody.BitcoinRegtest, Timeout: 1}, "timeout": {URL: "http://x", Chain: custody.BitcoinRegtest},
	} {
		if _, err := btcd.New(c); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	c := btcd.Config{URL: "http://x:1", User: "u", Password: "hunter2", Chain: custody.BitcoinRegtest, Timeout: time.Second}
	for _, said := range []string{fmt.Sprint(c), fmt.Sprintf("%+v", c), fmt.Sprintf("%#v", c), (btcd.Config{URL: "%"}).String()} {
		if strings.Contains(said, "hunter2") {
			t.Errorf("a printed config tells its password: %s", said)
		}
	}
}
