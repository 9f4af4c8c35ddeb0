// SPDX-License-Identifier: Apache-2.0

// Package serve tests what lies outside the core as one: REST over TLS, the cache on disk, the feed, the transfer worker and the
// client, before a real domain behind the door's own dispatch. Only the chain is a fake; test/e2e has real nodes.
package serve

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"strongroom/client"
	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/edge/oidc/oidctest"
	"strongroom/internal/edge/passwords"
	"strongroom/internal/edge/rest"
	"strongroom/internal/edge/sqlite"
	"strongroom/internal/edge/tlsca"
	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/svc/chain"
	"strongroom/internal/svc/feed"
	"strongroom/internal/svc/transfer"
)

// door is a real core behind the door's dispatch, without the socket.
type door struct{ mux *gate.Mux }

func (d door) Call(ctx context.Context, method string, body []byte) ([]byte, error) {
	return d.mux.Dispatch(ctx, gate.Caller{}, method, body)
}

// node is a chain that takes everything and mines it at once.
type node struct {
	mu     sync.Mutex
	txs    map[chain.TxID]uint64 // nonce
	sender map[string]uint64     // next nonce
}

func (n *node) Send(_ context.Context, raw []byte) (chain.TxID, error) {
	tx, err := eth.DecodeSigned(raw)
	if err != nil {
		return "", err
	}
	from, err := tx.Sender()
	if err != nil {
		return "", err
	}
	h, err := tx.Hash()
	if err != nil {
		return "", err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	id := chain.TxID(fmt.Sprintf("0x%x", h))
	if _, ok := n.txs[id]; ok {
		return id, nil
	}
	if tx.Tx.Nonce != n.sender[from.String()] {
		return "", &chain.Refusal{Reason: chain.NonceTooLow, Act: "send", Text: "nonce"}
	}
	n.txs[id] = tx.Tx.Nonce
	n.sender[from.String()]++
	return id, nil
}

func (n *node) Transaction(_ context.Context, id chain.TxID) (chain.Tx, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ok := n.txs[id]; !ok {
		return chain.Tx{}, nil
	}
	return chain.Tx{State: chain.TxMined, Confirmations: 9, Block: chain.Block{Height: 1, Hash: "0x01"}}, nil
}

func (n *node) Nonces(_ context.Context, a string) (uint64, uint64, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.sender[a], n.sender[a], nil
}

type builder struct{}

func (builder) BuildPayload(_ context.Context, o transfer.Order) ([]byte, error) {
	to, err := eth.ParseAddress(o.Effects.Outputs[0].Address)
	if err != nil {
		return nil, err
	}
	return eth.Tx1559{ChainID: 1337, Nonce: o.Nonce, MaxPriorityFeePerGas: eth.FromUint64(1), MaxFeePerGas: eth.FromUint64(100), GasLimit: 21000, To: to,
		Value: eth.Uint256(o.Effects.Outputs[0].Amount)}.Encode()
}

type chains struct{}

func (chains) Status(context.Context) []apiv1.Chain { return nil }

func (chains) Balances(context.Context, custody.WalletID) ([]apiv1.Balance, error) { return nil, nil }

// house is everything.
type house struct {
	t      *testing.T
	core   *domaintest.Harness
	dir    string
	node   *node
	ca     *tlsca.Authority
	url    string
	origin string // of the pages
	stop   func()
	lies   atomic.Pointer[func(*message.Request)] // what the pages are told of requests, instead of the truth

	began    time.Time // on the system's clock, which TLS goes by
	base     int64     // then, on the core's clock, which everything else goes by
	logins   *passwords.Store
	provider *oidctest.Provider
}

// now moves the core's clock on and reads it.
func (h *house) now() time.Time {
	ns := h.base + int64(time.Since(h.began))
	h.core.Clock.Wall.Store(ns)
	return time.Unix(0, ns)
}

func newHouse(t *testing.T) *house {
	h := &house{t: t, core: domaintest.New(t, domaintest.Options{}), dir: t.TempDir(), node: &node{txs: map[chain.TxID]uint64{}, sender: map[string]uint64{}}}
	h.began, h.base = time.Now(), h.core.Clock.Wall.Load()
	ca, err := tlsca.Open(tlsca.Config{Dir: filepath.Join(h.dir, "tls"), Names: tlsca.DefaultNames(), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	h.ca = ca
	h.start()
	t.Cleanup(func() { h.stop() })
	return h
}

func (h *house) cache() string { return filepath.Join(h.dir, "cache.db") }

func (h *house) start() {
	t := h.t
	t.Helper()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	mux := gate.NewMux()
	h.core.D.Serve(mux)
	d := door{mux}
	db, err := sqlite.Open(t.Context(), h.cache())
	if err != nil {
		t.Fatal(err)
	}
	worker, err := transfer.New(transfer.Config{Core: d, Store: db.Transfers(), Now: h.now, Log: log, Chains: map[custody.ChainID]transfer.Chain{
		domaintest.Chain: {Builder: builder{}, Node: h.node, Nonces: h.node, Confirmations: 3, Poll: 50 * time.Millisecond}}})
	if err != nil {
		t.Fatal(err)
	}
	follower, err := feed.New(feed.Config{Core: d, Cache: db.Log(), Log: log, OnFold: worker.Poke})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.url = "https://" + l.Addr().String()
	people := h.pages(d, l.Addr(), log)
	api, err := rest.New(rest.Config{Pages: people, Hosts: tlsca.DefaultNames(), Logins: h.logins, Core: d, Index: db.Log(), Transfers: worker, Chains: chains{}, Issuer: h.ca, Tiles: os.DirFS(h.dir), TLS: h.ca.ServerTLS(),
		Log: log, Now: h.now, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, run := range []func() error{
		func() error { return api.Serve(ctx, l) },
		func() error { return worker.Run(ctx, 50*time.Millisecond) },
		func() error { return follower.Run(ctx) },
	} {
		wg.Go(func() {
			if err := run(); err != nil {
				t.Errorf("serve: %v", err)
			}
		})
	}
	h.stop = func() {
		cancel()
		wg.Wait()
		if err := db.Close(); err != nil {
			t.Errorf("close cache: %v", err)
		}
		h.stop = func() {}
	}
}

// client gives somebody's client, with a certificate as the host's own command issues it.
func (h *house) client(p domaintest.Person) *client.Client {
	h.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		h.t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		h.t.Fatal(err)
	}
	der, _, err := h.ca.Issue(csr, p.ID)
	if err != nil {
		h.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(h.ca.Certificate())
	c, err := client.New(client.Config{BaseURL: h.url, CA: pool, Certificate: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, Now: h.now})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(c.Close)
	return c
}

func (h *house) signer(p domaintest.Person) client.Signer {
	s, err := client.NewSigner(p.ID, p.Key)
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

// approve reviews and approves.
func (h *house) approve(p domaintest.Person, id client.RequestID) client.RequestView {
	h.t.Helper()
	c := h.client(p)
	r, err := c.Review(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	a, err := r.Sign(h.signer(p), client.Approve)
	if err != nil {
		h.t.Fatal(err)
	}
	v, err := c.Decide(h.t.Context(), a)
	if err != nil {
		h.t.Fatal(err)
	}
	return v
}

func idOf(t *testing.T, v client.RequestView) client.RequestID {
	t.Helper()
	id, err := client.ParseRequestID(v.ID)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func pay(amount uint64) *client.Transfer {
	return &client.Transfer{Wallet: "hot", Asset: domaintest.Chain.Native(), Outputs: []client.Output{{Address: domaintest.Whitelisted, Amount: custody.U64(amount)}},
		FeeCap: custody.U64(1e16)}
}

func TestLifeOfATransferOverREST(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	alice := h.client(h.core.Alice)
	v, err := alice.Submit(ctx, h.signer(h.core.Alice), client.Ask{Body: &client.WalletCreate{Wallet: "hot", Chain: domaintest.Chain, Scheme: request.SchemeEVM}})
	if err != nil {
		t.Fatal(err)
	}
	if v = h.approve(h.core.Bob, idOf(t, v)); v.State != "executed" {
		t.Fatalf("wallet: %s", v.State)
	}

	// By people: two approve, the worker does the rest.
	large, err := alice.Submit(ctx, h.signer(h.core.Alice), client.Ask{Body: pay(2e15)})
	if err != nil || large.State != "pending" {
		t.Fatalf("%s %v", large.State, err)
	}
	h.approve(h.core.Bob, idOf(t, large))
	if v = h.approve(h.core.Carol, idOf(t, large)); v.State != "ready" {
		t.Fatalf("after two approvals: %s", v.State)
	}
	if v, err = alice.WaitRequest(ctx, idOf(t, large), 50*time.Millisecond, nil); err != nil || v.Attempts[0].State != "final" {
		t.Fatalf("%+v %v", v.Attempts, err)
	}
	proof, err := alice.Proof(ctx, idOf(t, large))
	if err != nil || len(proof) == 0 {
		t.Errorf("proof: %v", err)
	}

	// By a service, signed at once; then the cache is deleted before the retry.
	service := h.client(h.core.Service)
	s, err := service.OpenSession(ctx, h.signer(h.core.Service), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	r, err := service.Compose(ctx, h.core.Service.ID, client.Ask{Body: pay(7)})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := builder{}.BuildPayload(ctx, transfer.Order{Effects: large.Effects, Nonce: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = s.Submit(ctx, r, payload); client.KindOf(err) != problem.OutsideBounds {
		t.Errorf("a payload that pays another amount: %v", err)
	}
	o := transfer.Order{Effects: large.Effects, Nonce: 1}
	o.Effects.Outputs = pay(7).Outputs
	if payload, err = (builder{}).BuildPayload(ctx, o); err != nil {
		t.Fatal(err)
	}
	first, err := s.Submit(ctx, r, payload)
	if err != nil {
		t.Fatal(err)
	}
	h.stop()
	for _, end := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(h.cache() + end); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	h.start()
	service = h.client(h.core.Service)
	again, err := service.SubmitRequest(ctx, h.signer(h.core.Service), r)
	if err != nil {
		t.Fatal(err)
	}
	if first.Signed == nil || again.Signed == nil || !bytes.Equal(first.Signed.Bytes, again.Signed.Bytes) || again.Seq != first.Seq {
		t.Errorf("the retry got another outcome: %+v %+v", first, again)
	}
	for _, id := range []client.RequestID{r.ID(), idOf(t, large)} {
		if v, err = h.client(h.core.Alice).WaitRequest(ctx, id, 50*time.Millisecond, nil); err != nil {
			t.Fatalf("%+v: %v", v.Attempts, err)
		}
	}
	for want, c := range map[int]*client.Client{1: service, 2: h.client(h.core.Alice)} { // a service sees its own
		list, err := c.Requests(ctx, client.Filter{State: "signed"})
		if err != nil || len(list.Requests) != want {
			t.Errorf("%d signed, want %d: %v", len(list.Requests), want, err)
		}
	}
	h.node.mu.Lock()
	if len(h.node.txs) != 2 {
		t.Errorf("%d transactions, want 2", len(h.node.txs))
	}
	h.node.mu.Unlock()
	h.core.Check()
}
