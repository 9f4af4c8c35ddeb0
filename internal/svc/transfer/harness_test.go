// SPDX-License-Identifier: Apache-2.0

package transfer_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"strongroom/internal/gate"
	"strongroom/internal/gate/coretest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/request"
	"strongroom/internal/svc/chain"
	"strongroom/internal/svc/transfer"
	"strongroom/internal/svc/transfer/transfertest"
)

// faults decides at each effect whether it fails, before or after.
type faults struct {
	mu    sync.Mutex
	seen  int    // effects so far
	at    int    // the effect that fails; -1: none
	after bool   // it happens, and the answer is lost
	hit   string // what failed
	crash func() // called when it does
}

// around runs an effect.
func (f *faults) around(what string, lost error, do func() error) error {
	f.mu.Lock()
	mine := f.seen == f.at
	f.seen++
	if mine {
		f.hit = what
	}
	f.mu.Unlock()
	if mine && !f.after {
		f.crash()
		return lost
	}
	err := do()
	if mine {
		f.crash()
		return lost
	}
	return err
}

// faultyCore is the door with faults.
type faultyCore struct {
	gate.Door
	f *faults
}

func (c faultyCore) Call(ctx context.Context, method string, body []byte) (out []byte, err error) {
	err = c.f.around(method, coretest.ErrLost, func() (err error) { out, err = c.Door.Call(ctx, method, body); return err })
	if err != nil {
		return nil, err
	}
	return out, nil
}

// node is a chain: a pool and blocks, with go-ethereum's rules for nonces and replacements.
type node struct {
	f *faults

	mu     sync.Mutex
	pool   map[string]map[uint64]tx // by sender and nonce
	blocks [][]tx
	sends  int
	full   bool // Send refuses
}

type tx struct {
	id     chain.TxID
	from   string
	signed eth.Signed
}

func newNode(f *faults) *node { return &node{f: f, pool: map[string]map[uint64]tx{}} }

func read(raw []byte) (tx, error) {
	s, err := eth.DecodeSigned(raw)
	if err != nil {
		return tx{}, err
	}
	h, err := s.Hash()
	if err != nil {
		return tx{}, err
	}
	from, err := s.Sender()
	return tx{chain.TxID(fmt.Sprintf("0x%x", h)), from.String(), s}, err
}

var errNode = &chain.Refusal{Reason: chain.Unavailable, Act: "any", Text: "lost by the test"}

func (n *node) Send(_ context.Context, raw []byte) (id chain.TxID, err error) {
	err = n.f.around("send", errNode, func() error { id, err = n.send(raw); return err })
	return id, err
}

func (n *node) send(raw []byte) (chain.TxID, error) {
	x, err := read(raw)
	if err != nil {
		return "", err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sends++
	if n.full {
		return "", &chain.Refusal{Reason: chain.PoolFull, Act: "send", Text: "full"}
	}
	if _, ok := n.find(x.id); ok {
		return x.id, nil
	}
	if x.signed.Tx.Nonce < n.mined(x.from) {
		return "", &chain.Refusal{Reason: chain.NonceTooLow, Act: "send", Text: "nonce too low"}
	}
	if n.pool[x.from] == nil {
		n.pool[x.from] = map[uint64]tx{}
	}
	if old, ok := n.pool[x.from][x.signed.Tx.Nonce]; ok && old.id != x.id && old.signed.Tx.MaxFeePerGas.Cmp(x.signed.Tx.MaxFeePerGas) >= 0 {
		return "", &chain.Refusal{Reason: chain.Underpriced, Act: "send", Text: "replacement transaction underpriced"}
	}
	n.pool[x.from][x.signed.Tx.Nonce] = x
	return x.id, nil
}

// mined is the next nonce by the newest block. The caller holds mu.
func (n *node) mined(from string) (next uint64) {
	for _, b := range n.blocks {
		for _, x := range b {
			if x.from == from {
				next = x.signed.Tx.Nonce + 1
			}
		}
	}
	return next
}

func (n *node) find(id chain.TxID) (height int, ok bool) {
	for h, b := range n.blocks {
		if slices.ContainsFunc(b, func(x tx) bool { return x.id == id }) {
			return h, true
		}
	}
	return 0, false
}

func (n *node) Transaction(_ context.Context, id chain.TxID) (out chain.Tx, err error) {
	err = n.f.around("transaction", errNode, func() error {
		n.mu.Lock()
		defer n.mu.Unlock()
		if h, ok := n.find(id); ok {
			out = chain.Tx{State: chain.TxMined, Block: chain.Block{Height: uint64(h), Hash: "0x00"}, Confirmations: uint64(len(n.blocks) - h)}
			return nil
		}
		for _, p := range n.pool {
			for _, x := range p {
				if x.id == id {
					out = chain.Tx{State: chain.TxPending}
				}
			}
		}
		return nil
	})
	return out, err
}

func (n *node) Nonces(_ context.Context, address string) (latest, pending uint64, err error) {
	err = n.f.around("nonces", errNode, func() error {
		n.mu.Lock()
		defer n.mu.Unlock()
		latest = n.mined(address)
		pending = latest
		for _, ok := n.pool[address][pending]; ok; _, ok = n.pool[address][pending] {
			pending++
		}
		return nil
	})
	return latest, pending, err
}

// mine makes a block of what the pool has in order of nonces, and empty ones after it.
func (n *node) mine(count int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var block []tx
	for from, p := range n.pool {
		for next := n.mined(from); ; next++ {
			x, ok := p[next]
			if !ok {
				break
			}
			block = append(block, x)
			delete(p, next)
		}
	}
	slices.SortFunc(block, func(a, b tx) int { return cmp.Compare(a.signed.Tx.Nonce, b.signed.Tx.Nonce) })
	n.blocks = append(n.blocks, block)
	for range count - 1 {
		n.blocks = append(n.blocks, nil)
	}
}

// reorg takes blocks away; keep says whether their transactions go back to the pool.
func (n *node) reorg(count int, keep bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	cut := len(n.blocks) - count
	for _, b := range n.blocks[cut:] {
		for _, x := range b {
			if keep {
				n.pool[x.from][x.signed.Tx.Nonce] = x
			}
		}
	}
	n.blocks = n.blocks[:cut]
}

// drop empties the pool.
func (n *node) drop() { n.mu.Lock(); defer n.mu.Unlock(); clear(n.pool) }

// all gives every mined transaction.
func (n *node) all() []tx { n.mu.Lock(); defer n.mu.Unlock(); return slices.Concat(n.blocks...) }

// builder builds payloads at a price that rises with each replacement. No two are alike.
type builder struct {
	mu    sync.Mutex
	built uint64
	price uint64 // of a first attempt, thousands of wei a gas; 0: one
	err   error
}

func (b *builder) BuildPayload(_ context.Context, o transfer.Order) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return nil, b.err
	}
	b.built++
	price := eth.FromUint64(1000 * max(b.price, 1))
	if o.Previous != nil {
		old, err := eth.DecodeUnsigned(o.Previous)
		if err != nil {
			return nil, err
		}
		if price, err = old.MaxFeePerGas.Add(eth.FromUint64(1000)); err != nil {
			return nil, err
		}
	}
	to, err := eth.ParseAddress(o.Effects.Outputs[0].Address)
	if err != nil {
		return nil, err
	}
	return eth.Tx1559{ChainID: 1337, Nonce: o.Nonce, MaxPriorityFeePerGas: eth.FromUint64(b.built), MaxFeePerGas: price, GasLimit: 21000, To: to,
		Value: eth.Uint256(o.Effects.Outputs[0].Amount)}.Encode()
}

// house is a core, a chain and a store, and the worker between them.
type house struct {
	t       testing.TB
	core    *coretest.Core
	node    *node
	builder *builder
	store   *transfertest.Memory
	faults  *faults
	worker  *transfer.Worker
	ctx     context.Context
	mu      sync.Mutex
	now     time.Time
	far     *farCore // between the worker and the core; nil: nothing
}

const need = 3 // confirmations

func newHouse(t testing.TB) *house {
	t.Helper()
	h := &house{t: t, builder: &builder{}, store: transfertest.NewMemory(), now: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}
	h.faults = &faults{at: -1, crash: func() {}}
	h.core = coretest.New(t, h.clock)
	h.core.AddWallet(t, "hot", coretest.Ethereum, request.SchemeEVM, 2)
	h.node = newNode(h.faults)
	h.start()
	return h
}

func (h *house) clock() time.Time { h.mu.Lock(); defer h.mu.Unlock(); return h.now }

func (h *house) pass(d time.Duration) { h.mu.Lock(); defer h.mu.Unlock(); h.now = h.now.Add(d) }

// start makes a new worker, as a new process would.
func (h *house) start() {
	h.t.Helper()
	ctx, cancel := context.WithCancel(h.t.Context())
	h.ctx = ctx
	h.faults.crash = cancel
	door := gate.Door(h.core)
	if h.far != nil {
		door = h.far
	}
	w, err := transfer.New(transfer.Config{Core: faultyCore{door, h.faults}, Store: h.store, Now: h.clock, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Chains: map[custody.ChainID]transfer.Chain{coretest.Ethereum: {Builder: h.builder, Node: h.node, Nonces: h.node, Confirmations: need,
			Poll: 10 * time.Second, BumpAfter: 5 * time.Minute}}})
	if err != nil {
		h.t.Fatal(err)
	}
	h.worker = w
}

// ask makes a transfer that the rules let go at once, and gives its id.
func (h *house) ask(key string, source uint32) custody.RequestID {
	h.t.Helper()
	body := request.TransferBody{Wallet: "hot", Asset: coretest.Ether, Source: source, Outputs: []request.Output{{Address: coretest.EthereumTo, Amount: custody.U64(7)}},
		FeeCap: custody.U64(21000 * 1000 * 5)}
	r := request.Request{V: 1, Authority: h.core.Authority(), Domain: custody.DomainID(h.core.Authority()), Initiator: coretest.Payout.ID, Key: key,
		Operation: request.Transfer, Body: canon.Encode(body), NotAfter: h.clock().Unix() + 80000}
	v, err := gate.Call[message.Submit, message.Request](h.t.Context(), h.core, message.MethodSubmit, coretest.Signed(r, coretest.Payout))
	if err != nil || v.State != message.StateReady {
		h.t.Fatalf("ask: state %s: %v", v.State, err)
	}
	h.fold()
	return v.ID
}

// fold does what the cache does with the feed: it tells the store of transfers.
func (h *house) fold() {
	for seq, b := range h.core.Bodies() {
		e, ok := b.(*entry.Request)
		if !ok || e.Effects.Operation != request.Transfer {
			continue
		}
		r, err := request.Decode(e.Request)
		if err != nil {
			h.t.Fatal(err)
		}
		if _, ok, _ := h.store.Transfer(h.t.Context(), r.ID()); !ok {
			if err := h.store.Save(h.t.Context(), transfer.Transfer{Request: r.ID(), Seq: uint64(seq), Wallet: e.Effects.Wallet, Chain: e.Effects.Chain}); err != nil {
				h.t.Fatal(err)
			}
		}
	}
}

// tick lets the worker look once, at a time when everything is due.
func (h *house) tick() {
	h.pass(121 * time.Second)
	h.due()
	if _, err := h.worker.Tick(h.ctx); err != nil && h.ctx.Err() == nil && h.faults.hit == "" {
		h.t.Fatalf("tick: %v", err)
	}
}

// due makes transfers due that wait because the core refused them; everything else waits for a minute at most.
func (h *house) due() {
	for _, b := range h.core.Bodies() {
		if e, ok := b.(*entry.Refusal); ok {
			h.store.Poke(e.Request)
		}
	}
}

func (h *house) attempts(id custody.RequestID) []transfer.Attempt {
	h.t.Helper()
	a, err := h.store.Attempts(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	return a
}

func (h *house) want(id custody.RequestID, states ...transfer.State) {
	h.t.Helper()
	got := h.attempts(id)
	ok := len(got) == len(states)
	for i := range got {
		ok = ok && got[i].State == states[i]
	}
	if !ok {
		x, _, _ := h.store.Transfer(h.t.Context(), id)
		h.t.Fatalf("attempts are %+v (%+v), want %v", got, x, states)
	}
}

// check re-proves the house: permits of one slot do the same, and no request was paid twice.
func (h *house) check() {
	h.t.Helper()
	type slot struct {
		account string
		nonce   uint64
	}
	owner := map[slot]custody.RequestID{}
	slots := map[custody.RequestID]slot{}
	for _, b := range h.core.Bodies() {
		p, ok := b.(*entry.Permit)
		if !ok {
			continue
		}
		x := slot{p.Slot.Account, p.Slot.Nonce}
		if o, ok := owner[x]; ok && o != p.Request {
			h.t.Fatalf("slot %v has permits of two requests", x)
		}
		if o, ok := slots[p.Request]; ok && o != x {
			h.t.Fatalf("request %s has permits in two slots", p.Request)
		}
		owner[x], slots[p.Request] = p.Request, x
	}
	seen := map[slot]bool{}
	for _, x := range h.node.all() {
		k := slot{x.from, x.signed.Tx.Nonce}
		if seen[k] {
			h.t.Fatalf("two transactions of slot %v are mined", k)
		}
		seen[k] = true
	}
}

// settled says whether a transfer ended with exactly one final attempt.
func (h *house) settled(id custody.RequestID) bool {
	x, ok, _ := h.store.Transfer(h.t.Context(), id)
	finals := 0
	for _, a := range h.attempts(id) {
		if a.State == transfer.Final {
			finals++
		}
	}
	if finals > 1 {
		h.t.Fatalf("%d attempts of %s are final", finals, id)
	}
	return ok && x.Settled && finals == 1
}
