// SPDX-License-Identifier: Apache-2.0

package witnessapp_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"

	"strongroom/internal/app/witnessapp"
	"strongroom/internal/core/auditlog/disk"
	"strongroom/internal/core/auditlog/disk/disktest"
	"strongroom/internal/edge/witnesshttp"
	"strongroom/internal/pure/tlog"
	protocol "strongroom/internal/pure/witness"
	"strongroom/internal/secret"
	"strongroom/internal/svc/witness"
)

const origin = "log.example/one"

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func ed(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

func witnessKey(t testing.TB) tlog.WitnessKey {
	t.Helper()
	k, err := tlog.NewWitnessKey("witness.example/w1", ed(7).Public().(ed25519.PublicKey))
	must(t, err)
	return k
}

// onDisk makes a witness whose state lies in d.
func onDisk(t testing.TB, d disk.Dir) (*witness.Witness, *witnessapp.State) {
	t.Helper()
	key, err := tlog.NewKey(origin, ed(8).Public().(ed25519.PublicKey))
	must(t, err)
	state, err := witnessapp.OpenState(d)
	must(t, err)
	w, err := witness.New(witness.Config{Key: witnessKey(t), Sign: func(m []byte) ([]byte, error) { return ed25519.Sign(ed(7), m), nil },
		Logs: protocol.Logs{origin: {key}}, Store: state, Now: time.Now, Log: quiet})
	must(t, err)
	return w, state
}

// client is a log written with other people's modules: sumdb/note for notes, transparency-dev/merkle for trees. fork tells two histories apart.
type client struct {
	t      testing.TB
	leaves [][]byte
	signer note.Signer
	made   sync.Map // texts by size, bodies by old size and size
}

func newClient(t testing.TB, n, fork int) *client {
	t.Helper()
	public, err := note.NewEd25519VerifierKey(origin, ed(8).Public().(ed25519.PublicKey))
	must(t, err)
	id := strings.Split(public, "+")[1]
	s, err := note.NewSigner("PRIVATE+KEY+" + origin + "+" + id + "+" + base64.StdEncoding.EncodeToString(append([]byte{1}, ed(8).Seed()...)))
	must(t, err)
	c := &client{t: t, signer: s}
	for i := range n {
		leaf := fmt.Appendf(nil, "leaf %d", i)
		if i >= fork {
			leaf = fmt.Appendf(nil, "forked %d", i)
		}
		c.leaves = append(c.leaves, rfc6962.DefaultHasher.HashLeaf(leaf))
	}
	return c
}

// node gives the hash of a complete subtree.
func (c *client) node(id compact.NodeID) []byte {
	if id.Level == 0 {
		return c.leaves[id.Index]
	}
	return rfc6962.DefaultHasher.HashChildren(c.node(compact.NewNodeID(id.Level-1, 2*id.Index)), c.node(compact.NewNodeID(id.Level-1, 2*id.Index+1)))
}

func (c *client) text(size uint64) string {
	if s, ok := c.made.Load(size); ok {
		return s.(string)
	}
	r := (&compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}).NewEmptyRange(0)
	for _, l := range c.leaves[:size] {
		must(c.t, r.Append(l, nil))
	}
	root, err := r.GetRootHash(nil)
	must(c.t, err)
	if size == 0 {
		root = rfc6962.DefaultHasher.EmptyRoot()
	}
	s := fmt.Sprintf("%s\n%d\n%s\n", origin, size, base64.StdEncoding.EncodeToString(root))
	c.made.Store(size, s)
	return s
}

// body is an add-checkpoint request.
func (c *client) body(old, size uint64) []byte {
	if b, ok := c.made.Load([2]uint64{old, size}); ok {
		return b.([]byte)
	}
	b := c.compose(old, size)
	c.made.Store([2]uint64{old, size}, b)
	return b
}

func (c *client) compose(old, size uint64) []byte {
	b := fmt.Appendf(nil, "old %d\n", old)
	if old > 0 && old < size {
		nodes, err := proof.Consistency(old, size)
		must(c.t, err)
		var hashes [][]byte
		for _, id := range nodes.IDs {
			hashes = append(hashes, c.node(id))
		}
		path, err := nodes.Rehash(hashes, rfc6962.DefaultHasher.HashChildren)
		must(c.t, err)
		for _, h := range path {
			b = fmt.Appendf(b, "%s\n", base64.StdEncoding.EncodeToString(h))
		}
	}
	signed, err := note.Sign(&note.Note{Text: c.text(size)}, c.signer)
	must(c.t, err)
	return append(append(b, '\n'), signed...)
}

// cosigner reads cosignatures with sumdb/note.
type cosigner struct{ key tlog.WitnessKey }

func (c cosigner) Name() string { return c.key.Name() }
func (c cosigner) KeyHash() (id uint32) {
	fmt.Sscanf(strings.Split(c.key.String(), "+")[1], "%08x", &id)
	return id
}
func (c cosigner) Verify(msg, sig []byte) bool {
	var at uint64
	for _, b := range sig[:8] {
		at = at<<8 | uint64(b)
	}
	return len(sig) == 72 && at != 0 && ed25519.Verify(c.key.Public(), fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", at, msg), sig[8:])
}

func post(t testing.TB, url string, body []byte) (int, string, []byte) {
	t.Helper()
	r, err := http.Post(url+"/add-checkpoint", "text/plain", bytes.NewReader(body))
	must(t, err)
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	must(t, err)
	return r.StatusCode, r.Header.Get("Content-Type"), b
}

// An independent client gets cosignatures that an independent reader accepts, and the protocol's refusals.
func TestIndependentClient(t *testing.T) {
	t.Parallel()
	w, _ := onDisk(t, disktest.New())
	s := httptest.NewServer(witnesshttp.Handler(w))
	defer s.Close()
	c, forked := newClient(t, 300, 300), newClient(t, 300, 3)
	latest := s.URL + "/" + witnesshttp.OriginHash(origin) + "/checkpoint"
	if r, err := http.Get(latest); err != nil || r.StatusCode != 404 {
		t.Fatalf("latest of a log never seen: %v, %v", r, err)
	}
	var old uint64
	for _, size := range []uint64{1, 2, 7, 8, 9, 100, 255, 256, 300} {
		status, kind, b := post(t, s.URL, c.body(old, size))
		if status != 200 || !strings.HasPrefix(kind, "text/plain") {
			t.Fatalf("%d to %d: status %d, %s: %s", old, size, status, kind, b)
		}
		n, err := note.Open([]byte(c.text(size)+"\n"+string(b)), note.VerifierList(cosigner{witnessKey(t)}))
		if err != nil || len(n.Sigs) != 1 {
			t.Fatalf("%d to %d: %v", old, size, err)
		}
		old = size
		if status, _, _ := post(t, s.URL, c.body(size, size)); status != 200 {
			t.Fatalf("%d again: %d", size, status)
		}
		if size > 3 {
			if status, _, _ := post(t, s.URL, forked.body(size, size)); status != 422 {
				t.Fatalf("a fork of %d: %d", size, status)
			}
			if status, _, _ := post(t, s.URL, forked.body(size, 300)); size < 300 && status != 422 {
				t.Fatalf("a fork after %d: %d", size, status)
			}
		}
	}
	if status, kind, b := post(t, s.URL, c.body(0, 300)); status != 409 || kind != "text/x.tlog.size" || string(b) != "300\n" {
		t.Fatalf("conflict: %d, %s, %q", status, kind, b)
	}
	if status, _, b := post(t, s.URL, bytes.Repeat([]byte("x"), protocol.MaxRequest+100)); status != 400 {
		t.Fatalf("too large: %d %s", status, b)
	}
	r, err := http.Get(latest)
	must(t, err)
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	must(t, err)
	log, err := note.NewVerifier(mustVKey(t))
	must(t, err)
	if n, err := note.Open(b, note.VerifierList(cosigner{witnessKey(t)}, log)); err != nil || len(n.Sigs) != 2 || n.Text != c.text(300) {
		t.Fatalf("latest: %v: %s", err, b)
	}
	for _, m := range []string{"GET", "PUT"} {
		req, err := http.NewRequest(m, s.URL+"/add-checkpoint", nil)
		must(t, err)
		if r, err := http.DefaultClient.Do(req); err != nil || r.StatusCode != 405 {
			t.Fatalf("%s: %v, %v", m, r, err)
		}
	}
}

func mustVKey(t testing.TB) string {
	t.Helper()
	k, err := note.NewEd25519VerifierKey(origin, ed(8).Public().(ed25519.PublicKey))
	must(t, err)
	return k
}

// law collects what a witness cosigned, and fails when it cosigned two roots for a size, or a smaller size after a larger one was answered.
type law struct {
	t     testing.TB
	mu    sync.Mutex
	roots map[uint64]string
	most  uint64
}

// ask submits, and checks the law on the answer. The largest size that had been answered before the question is what must not shrink.
func (l *law) ask(w *witness.Witness, c *client, old, size uint64) int {
	l.mu.Lock()
	most := l.most
	l.mu.Unlock()
	a := w.Add(context.Background(), c.body(old, size))
	if a.Status != 200 {
		return a.Status
	}
	text := c.text(size)
	if _, _, err := tlog.FindCosignature(a.Body, text, witnessKey(l.t)); err != nil {
		l.t.Errorf("cosignature: %v", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if was, ok := l.roots[size]; ok && was != text {
		l.t.Errorf("two roots for %d entries", size)
	}
	if size < most {
		l.t.Errorf("%d entries were cosigned after %d", size, most)
	}
	l.roots[size] = text
	l.most = max(l.most, size)
	return a.Status
}

// tempt asks for every size from every size, in each history.
func (l *law) tempt(w *witness.Witness, histories ...*client) {
	for _, c := range histories {
		for size := uint64(1); size <= 12; size++ {
			for old := range size + 1 {
				l.ask(w, c, old, size)
			}
		}
	}
}

// Two histories compete for one witness, many at a time: it cosigns one.
func TestNeverTwoRootsConcurrently(t *testing.T) {
	t.Parallel()
	w, _ := onDisk(t, disktest.New())
	l := &law{t: t, roots: map[uint64]string{}}
	histories := []*client{newClient(t, 60, 60), newClient(t, 60, 5), newClient(t, 60, 9)}
	var wg sync.WaitGroup
	for i := range 9 {
		wg.Go(func() {
			c := histories[i%3]
			for j := range 40 {
				old := uint64((i * j) % 30)
				if l.ask(w, c, old, old+uint64(j%7)) != 200 && j%3 == 0 {
					l.mu.Lock()
					old = l.most
					l.mu.Unlock()
					l.ask(w, c, old, min(60, old+1))
				}
			}
		})
	}
	wg.Wait()
	if len(l.roots) < 5 {
		t.Fatalf("only %d sizes were cosigned", len(l.roots))
	}
}

// The disk fails at any change, before or after its effect, or loses what was not flushed: what was cosigned is remembered.
func TestCrashAtEveryChange(t *testing.T) {
	t.Parallel()
	c, forked := newClient(t, 20, 20), newClient(t, 20, 2)
	for _, when := range []disktest.When{disktest.Before, disktest.After, disktest.Half} {
		for at := 1; ; at++ {
			m := disktest.New()
			w, _ := onDisk(t, m)
			m.FailAt(m.Changes()+at, when)
			l := &law{t: t, roots: map[uint64]string{}}
			var old uint64
			for _, size := range []uint64{3, 4, 9} {
				if l.ask(w, c, old, size) == 200 {
					old = size
				}
			}
			struck, _ := m.Struck()
			if struck {
				select {
				case <-w.Failed():
				default:
					t.Fatalf("change %d: the witness goes on", at)
				}
				if a := w.Add(t.Context(), c.body(old, 10)); a.Status == 200 {
					t.Fatalf("change %d: cosigned after a failed write", at)
				}
			}
			w, _ = onDisk(t, m.Restart())
			l.tempt(w, forked, c) // whatever it remembers, it keeps the law
			if len(l.roots) == 0 {
				t.Fatalf("change %d: nothing is cosigned any more", at)
			}
			if !struck {
				break
			}
		}
	}
}

func TestPowerCutKeepsTheLaw(t *testing.T) {
	t.Parallel()
	c, forked := newClient(t, 20, 20), newClient(t, 20, 2)
	for _, keep := range []float64{0, 0.5, 1} {
		m := disktest.New()
		l := &law{t: t, roots: map[uint64]string{}}
		var old uint64
		for _, size := range []uint64{3, 4, 9, 11} {
			w, _ := onDisk(t, m)
			if l.ask(w, c, old, size) != 200 {
				t.Fatal("not cosigned")
			}
			old = size
			m = m.PowerCut(keep, rand.New(rand.NewPCG(1, size)))
			w, _ = onDisk(t, m)
			l.tempt(w, forked)
			m = m.Restart()
		}
	}
}

func TestStateIsForOneProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d, err := disk.OS(dir, disk.Options{})
	must(t, err)
	s, err := witnessapp.OpenState(d)
	must(t, err)
	if _, err := witnessapp.OpenState(d); !errors.Is(err, witnessapp.ErrInUse) {
		t.Fatalf("a second one: %v", err)
	}
	must(t, s.Save(t.Context(), origin, witness.State{Record: protocol.Record{Size: 4, Root: [32]byte{1}}, Cosigned: []byte("note")}))
	must(t, s.Close())
	if s, err = witnessapp.OpenState(d); err != nil {
		t.Fatal(err)
	}
	st, err := s.Load(t.Context(), origin)
	if err != nil || st.Size != 4 || st.Root != [32]byte{1} || string(st.Cosigned) != "note" {
		t.Fatalf("%+v, %v", st, err)
	}
	must(t, s.Close())
	// A state file that was given another log's name is refused.
	must(t, os.Rename(filepath.Join(dir, witnesshttp.OriginHash(origin)+".state"), filepath.Join(dir, witnesshttp.OriginHash("other")+".state")))
	s, err = witnessapp.OpenState(d)
	must(t, err)
	defer s.Close()
	if st, err := s.Load(t.Context(), "other"); err == nil {
		t.Fatalf("another log's state: %+v", st)
	}
}

func TestKeyFiles(t *testing.T) {
	t.Parallel()
	arena, err := secret.NewArena(secret.Config{Size: 1 << 20})
	must(t, err)
	defer arena.Close()
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a.key"), filepath.Join(dir, "b.key")
	vkey, err := witnessapp.Init(arena, a, "witness.example/a", secret.Bytes{}, true)
	must(t, err)
	if k, err := witnessapp.ReadVKey(a); err != nil || k.String() != vkey || k.Name() != "witness.example/a" {
		t.Fatal(k, err)
	}
	if _, err := witnessapp.Init(arena, a, "witness.example/a", secret.Bytes{}, true); err == nil {
		t.Fatal("a key was overwritten")
	}
	if _, err := witnessapp.Init(arena, filepath.Join(dir, "c.key"), "a name", secret.Bytes{}, true); err == nil {
		t.Fatal("a name with a space")
	}
	if _, err := witnessapp.Init(arena, b, "witness.example/b", secret.Bytes{}, false); err == nil {
		t.Fatal("a key without passphrase, unasked")
	}
	_, err = witnessapp.Init(arena, b, "witness.example/b", secret.Bytes{}, true)
	must(t, err)
	must(t, os.Rename(b+witnessapp.VKeySuffix, a+witnessapp.VKeySuffix))
	logs := filepath.Join(dir, "logs")
	must(t, os.WriteFile(logs, []byte("log "+mustVKey(t)+"\n"), 0o600))
	err = witnessapp.Run(t.Context(), witnessapp.Options{Arena: arena, Key: a, State: filepath.Join(dir, "state"), Logs: logs, Listen: "127.0.0.1:0", Now: time.Now, Log: quiet,
		Passphrase: func() (secret.Bytes, error) { return secret.Bytes{}, errors.New("not asked for") }})
	if err == nil || !strings.Contains(err.Error(), "not the public file of that key") {
		t.Fatalf("another key's public file: %v", err)
	}
}
