// SPDX-License-Identifier: Apache-2.0

package witness_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"strongroom/internal/app/witnessapp"
	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/auditlog/anchor/file"
	"strongroom/internal/core/auditlog/anchor/witness"
	"strongroom/internal/core/auditlog/disk/disktest"
	"strongroom/internal/core/auditlog/logtest"
	"strongroom/internal/core/auditlog/segment"
	"strongroom/internal/gate/relay"
	"strongroom/internal/pure/tlog"
	protocol "strongroom/internal/pure/witness"
	svc "strongroom/internal/svc/witness"
)

const origin = "strongroom.example/log"

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func keyOf(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

func signer(k ed25519.PrivateKey) func([]byte) ([]byte, error) {
	return func(m []byte) ([]byte, error) { return ed25519.Sign(k, m), nil }
}

func logKey(t testing.TB) (tlog.Key, func([]byte) ([]byte, error)) {
	t.Helper()
	k, err := tlog.NewKey(origin, keyOf(1).Public().(ed25519.PublicKey))
	must(t, err)
	return k, signer(keyOf(1))
}

// call is what an exchange is seen as by those who interfere.
type call struct {
	kind, target string
	body         []byte
	pass         func() (int, []byte, error) // asks the real witness
}

// world is log witnesses and the way to them.
type world struct {
	t     testing.TB
	names []string
	keys  []tlog.WitnessKey
	disks []*disktest.Mem
	nodes []*svc.Witness

	mu    sync.Mutex // guards the rest
	bad   map[string]func(c call) (int, []byte, error)
	calls int
	seen  map[string]map[uint64]string // by witness: the root that it cosigned for a size
}

// newWorld makes n witnesses w1, w2, …
func newWorld(t testing.TB, n int) *world {
	t.Helper()
	w := &world{t: t, bad: map[string]func(call) (int, []byte, error){}, seen: map[string]map[uint64]string{}}
	log, _ := logKey(t)
	for i := range n {
		private := keyOf(byte(100 + i))
		k, err := tlog.NewWitnessKey(fmt.Sprintf("witness.example/w%d", i+1), private.Public().(ed25519.PublicKey))
		must(t, err)
		m := disktest.New()
		state, err := witnessapp.OpenState(m)
		must(t, err)
		node, err := svc.New(svc.Config{Key: k, Sign: signer(private), Logs: protocol.Logs{origin: {log}}, Store: state, Now: time.Now, Log: quiet})
		must(t, err)
		w.names, w.keys, w.disks, w.nodes = append(w.names, fmt.Sprintf("w%d", i+1)), append(w.keys, k), append(w.disks, m), append(w.nodes, node)
	}
	return w
}

// set is the witnesses with a quorum; 0: the majority.
func (w *world) set(quorum int) tlog.Witnesses {
	w.t.Helper()
	var list []tlog.Witness
	for i, n := range w.names {
		list = append(list, tlog.Witness{Name: n, Key: w.keys[i]})
	}
	s, err := tlog.NewWitnesses(list, quorum)
	must(w.t, err)
	return s
}

// Exchange is the relay: it asks the witness, unless something interferes.
func (w *world) Exchange(ctx context.Context, kind, target string, body []byte) (int, []byte, error) {
	w.mu.Lock()
	w.calls++
	bad := w.bad[target]
	w.mu.Unlock()
	pass := func() (int, []byte, error) { return w.ask(ctx, kind, target, body) }
	if err := ctx.Err(); err != nil {
		return 0, nil, err
	}
	if bad != nil {
		return bad(call{kind, target, body, pass})
	}
	return pass()
}

func (w *world) ask(ctx context.Context, kind, target string, body []byte) (int, []byte, error) {
	for i, n := range w.names {
		if n != target {
			continue
		}
		if kind == relay.WitnessLatest {
			b, err := w.nodes[i].Latest(ctx, string(body))
			if b == nil {
				return protocol.StatusUnknownLog, nil, err
			}
			return protocol.StatusCosigned, b, err
		}
		a := w.nodes[i].Add(ctx, body)
		if a.Status == protocol.StatusCosigned {
			w.law(n, body)
		}
		return a.Status, a.Body, nil
	}
	return 0, nil, errors.New("no such target")
}

// law fails the test when a witness cosigned two roots for one size.
func (w *world) law(name string, body []byte) {
	r, err := protocol.ParseRequest(body)
	must(w.t, err)
	text, _, _ := bytes.Cut(r.Checkpoint, []byte("\n\n"))
	c, _, err := tlog.ParseExtended(string(text) + "\n")
	must(w.t, err)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seen[name] == nil {
		w.seen[name] = map[uint64]string{}
	}
	root := fmt.Sprintf("%x", c.Root)
	if was, ok := w.seen[name][c.Size]; ok && was != root {
		w.t.Errorf("%s cosigned two roots for %d entries", name, c.Size)
	}
	w.seen[name][c.Size] = root
}

// interfere sets what happens to messages for a witness; nil: nothing.
func (w *world) interfere(f func(call) (int, []byte, error), targets ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range targets {
		w.bad[t] = f
	}
}

func down(call) (int, []byte, error) { return 0, nil, errors.New("connection refused") }

// core is one process that has the log.
type core struct {
	*auditlog.Log
	anchor *witness.Anchor
	t      testing.TB
	tail   []auditlog.Record
}

// options change a core.
type options struct {
	relay    relay.Exchanger
	quorum   int
	writer   uint64
	takeOver bool
	set      *tlog.Witnesses
}

func (w *world) tryOpen(ctx context.Context, m *disktest.Mem, o options) (*core, error) {
	w.t.Helper()
	key, sign := logKey(w.t)
	store, err := segment.Open(m, segment.Options{SegmentSize: 4096})
	if err != nil {
		return nil, err
	}
	local, err := file.Open(m)
	if err != nil {
		return nil, err
	}
	if o.relay == nil {
		o.relay = w
	}
	set := w.set(o.quorum)
	if o.set != nil {
		set = *o.set
	}
	a, err := witness.Open(witness.Config{Local: local, Witnesses: set, Relay: o.relay, Log: quiet, Retry: time.Millisecond})
	if err != nil {
		return nil, err
	}
	c := &core{anchor: a, t: w.t}
	c.Log, err = auditlog.Open(ctx, auditlog.Config{Store: store, Anchor: a, Key: key, Sign: sign, Writer: max(1, o.writer), TakeOver: o.takeOver, Entries: logtest.Entries(),
		Tail: func(_ uint64, _ [32]byte, r auditlog.Record) error { c.tail = append(c.tail, r); return nil }})
	if err != nil {
		_ = a.Close()
		return nil, err
	}
	w.t.Cleanup(c.close)
	return c, nil
}

func (w *world) open(m *disktest.Mem) *core {
	w.t.Helper()
	c, err := w.tryOpen(w.t.Context(), m, options{})
	must(w.t, err)
	return c
}

// close ends the process as it ends when it is told to: what is under way is given up.
func (c *core) close() {
	_ = c.anchor.Close()
	_ = c.Log.Close()
}

// begin appends an entry.
func (c *core) begin(body string) auditlog.Handle {
	c.t.Helper()
	seq, prev := c.Next()
	h, err := c.Append(c.t.Context(), logtest.Record(prev, seq, []byte(body)))
	must(c.t, err)
	return h
}

// grow acknowledges n entries, one after the other.
func (c *core) grow(n int) {
	c.t.Helper()
	for i := range n {
		must(c.t, c.begin(fmt.Sprintf("entry %d", i)).Wait(c.t.Context()))
	}
}

// cosigned gives the witnesses whose cosignatures the head bears.
func (w *world) cosigned(c *core) []string {
	w.t.Helper()
	key, _ := logKey(w.t)
	h := c.Head()
	cp, list, err := tlog.OpenWitnessed(h.Signed, w.set(0), key)
	must(w.t, err)
	if cp != h.Checkpoint {
		w.t.Fatal("the cosigned checkpoint is another")
	}
	var out []string
	for _, x := range list {
		out = append(out, x.Witness)
	}
	return out
}

// sizes gives what each witness remembers; 0 of one that has failed.
func (w *world) sizes() []uint64 {
	w.t.Helper()
	var out []uint64
	for _, n := range w.nodes {
		b, err := n.Latest(w.t.Context(), origin)
		var size uint64
		if err == nil && b != nil {
			c, _, err := tlog.ParseExtended(string(b[:bytes.Index(b, []byte("\n\n"))+1]))
			must(w.t, err)
			size = c.Size
		}
		out = append(out, size)
	}
	return out
}

// eventually waits for what happens beside the test.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for range 20_000 {
		if f() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("never: %s", what)
}

// tryOpenLocal opens a log that asks no witness.
func (w *world) tryOpenLocal(m *disktest.Mem) (*auditlog.Log, error) {
	key, sign := logKey(w.t)
	store, err := segment.Open(m, segment.Options{SegmentSize: 4096})
	if err != nil {
		return nil, err
	}
	local, err := file.Open(m)
	if err != nil {
		return nil, err
	}
	return auditlog.Open(w.t.Context(), auditlog.Config{Store: store, Anchor: local, Key: key, Sign: sign, Writer: 1, Entries: logtest.Entries()})
}
