// SPDX-License-Identifier: Apache-2.0

package serveapp

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"strongroom/internal/edge/tlsca"
	"strongroom/internal/gate"
	"strongroom/internal/gate/coretest"
	"strongroom/internal/gate/message"
	"strongroom/internal/gate/tally"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/svc/feed"
	"strongroom/internal/svc/monitor"
)

// newTestMeter makes the metrics of a core.
func newTestMeter(t *testing.T, core gate.Door, dir string) *meter {
	t.Helper()
	ca, err := tlsca.Open(tlsca.Config{Dir: t.TempDir(), Names: tlsca.DefaultNames(), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	count, err := monitor.OpenLog(fileStore{filepath.Join(dir, countsName)})
	if err != nil {
		t.Fatal(err)
	}
	lines := tally.New(monitor.LineOf)
	return &meter{cfg: Config{Data: dir, Tiles: dir, MetricsListen: "127.0.0.1:0"}, core: core, ca: ca, log: lines.Logger(slog.New(slog.NewTextHandler(io.Discard, nil))), now: time.Now,
		lines: lines, count: count, refused: map[problem.Kind]uint64{},
		chains: func(context.Context) []apiv1.Chain { return []apiv1.Chain{{Chain: coretest.Ethereum, Error: "gone"}} }}
}

// scrape follows the log, collects and reads what is shown.
func scrape(t *testing.T, m *meter) string {
	t.Helper()
	f, err := feed.New(feed.Config{Core: m.core, Cache: m.count, Log: m.log})
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n > 0; {
		if n, err = f.Step(t.Context(), false); err != nil {
			t.Fatal(err)
		}
	}
	m.collect(t.Context())
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return w.Body.String()
}

// want looks for lines.
func want(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, l := range lines {
		if !strings.Contains("\n"+text, "\n"+l+"\n") {
			name, _, _ := strings.Cut(l, " ")
			for have := range strings.Lines(text) {
				if strings.HasPrefix(have, name) {
					t.Log(have)
				}
			}
			t.Errorf("no %q", l)
		}
	}
}

// TestMetricsFollowWhatHappens: a wallet, a payment that the rules refuse and a rejection at a domain, a call that serve refuses and a line of its log
// move their metrics; a serve that starts anew goes on with the counts, and one without counts makes the same ones from the log.
func TestMetricsFollowWhatHappens(t *testing.T) {
	t.Parallel()
	core, dir := coretest.New(t, time.Now), t.TempDir()
	m := newTestMeter(t, core, dir)
	want(t, scrape(t, m), `strongroom_log_events_total{event="refused"} 0`, `strongroom_log_events_total{event="domain_began"} 1`, `strongroom_log_events_total{event="wallet_made"} 0`,
		`strongroom_core_answers 1`, `strongroom_node_up{chain="eip155:1337"} 0`, `strongroom_serve_problems_total{kind="forbidden"} 0`)

	core.AddWallet(t, "hot", coretest.Ethereum, request.SchemeEVM, 1)
	ask := func(op request.Operation, body any, by coretest.Person) (message.Request, error) {
		r := request.Request{V: 1, Authority: core.Authority(), Domain: custody.DomainID(core.Authority()), Initiator: by.ID, Key: string(op), Operation: op, Body: canon.Encode(body),
			NotAfter: time.Now().Unix() + 3600}
		return gate.Call[message.Submit, message.Request](t.Context(), core, message.MethodSubmit, coretest.Signed(r, by))
	}
	v, err := ask(request.Transfer, request.TransferBody{Wallet: "hot", Asset: coretest.Ether, Outputs: []request.Output{{Address: coretest.EthereumOut, Amount: custody.U64(5)}}, FeeCap: custody.U64(1)}, coretest.Anna)
	if v.State != message.StateRefused && problem.KindOf(err) != problem.RefusedByRule {
		t.Fatalf("%s, %v", v.State, err)
	}
	v, err = ask(request.WhitelistRemove, request.WhitelistRemoveBody{ID: "bank"}, coretest.Anna)
	if err == nil {
		_, err = gate.Call[message.Approve, message.Request](t.Context(), core, message.MethodApprove, coretest.Approval(v, request.Reject, coretest.Bruno))
	}
	if err != nil {
		t.Fatal(err)
	}
	m.problem(problem.Forbidden)
	m.log.Warn("nonce gap", slog.String("account", "secret of somebody"))
	text := scrape(t, m)
	moved := []string{`strongroom_log_events_total{event="refused"} 1`, `strongroom_log_events_total{event="rejected"} 1`, `strongroom_log_events_total{event="wallet_made"} 1`,
		`strongroom_requests_total{operation="transfer",outcome="deny"} 1`, `strongroom_requests_refused_total{rule="known"} 1`}
	want(t, text, moved...)
	want(t, text, `strongroom_serve_problems_total{kind="forbidden"} 1`, `strongroom_serve_events_total{event="nonce_gap"} 1`)
	for _, s := range []string{"secret of somebody", string(coretest.Anna.ID), coretest.EthereumOut, `"hot"`} {
		if strings.Contains(text, s) {
			t.Errorf("the metrics name %s", s)
		}
	}

	want(t, scrape(t, newTestMeter(t, core, dir)), moved...)
	want(t, scrape(t, newTestMeter(t, core, t.TempDir())), moved...)
	// The core is gone: what it told last is not told on.
	core.Fail(message.MethodStatus, coretest.Before)
	m.collect(t.Context())
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	want(t, w.Body.String(), `strongroom_core_answers 0`, `strongroom_core_up 0`)
	if strings.Contains(w.Body.String(), "strongroom_core_time_certain") {
		t.Error("what a core said that is gone is shown")
	}
}

func TestMetricsListener(t *testing.T) {
	t.Parallel()
	m := newTestMeter(t, coretest.New(t, time.Now), t.TempDir())
	for _, r := range []*http.Request{httptest.NewRequest(http.MethodPost, "/metrics", nil), httptest.NewRequest(http.MethodGet, "/", nil)} {
		w := httptest.NewRecorder()
		if m.ServeHTTP(w, r); w.Code != http.StatusNotFound {
			t.Errorf("%s %s: %d", r.Method, r.URL, w.Code)
		}
	}
	m.cfg.MetricsListen = "0.0.0.0:0"
	if _, err := m.works(t.Context()); err == nil || !strings.Contains(err.Error(), "not on loopback") {
		t.Errorf("got %v", err)
	}
	c := Config{Door: "d", Data: "d", Tiles: "t", MetricsListen: "nowhere"}
	if err := c.Fill(); err == nil || !strings.Contains(err.Error(), "metricsListen") {
		t.Errorf("got %v", err)
	}
}
