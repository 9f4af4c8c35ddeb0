// SPDX-License-Identifier: Apache-2.0

package witness_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/auditlog/anchor/file"
	"strongroom/internal/core/auditlog/anchor/witness"
	"strongroom/internal/core/auditlog/disk/disktest"
	"strongroom/internal/core/auditlog/logtest"
	"strongroom/internal/gate/relay"
	"strongroom/internal/pure/tlog"
	protocol "strongroom/internal/pure/witness"
)

// tree is a tree of many leaves, for pins without a log.
type tree [][32]byte

func (tr tree) reader(nodes []tlog.Node) ([][32]byte, error) {
	out := make([][32]byte, len(nodes))
	for i, n := range nodes {
		out[i] = tlog.SubtreeRoot(tr[n.Index<<n.Level : (n.Index+1)<<n.Level])
	}
	return out, nil
}

func (tr tree) pin(t testing.TB, n int) auditlog.Pin {
	var f tlog.Frontier
	for _, h := range tr[:n] {
		f.Append(h)
	}
	key, sign := logKey(t)
	signed, err := tlog.SignCheckpoint(tlog.Checkpoint{Origin: origin, Size: f.Size(), Root: f.Root()}, key, sign)
	must(t, err)
	return auditlog.Pin{Checkpoint: signed, Frontier: f.Marshal()}
}

func (tr tree) binding(t testing.TB) auditlog.Binding {
	key, sign := logKey(t)
	return auditlog.Binding{Key: key, Sign: sign, Prove: func(_ context.Context, old, size uint64, _ [32]byte) ([][32]byte, error) {
		return tlog.ProveConsistency(tr.reader, old, size)
	}}
}

func leaves(n int) tree {
	tr := make(tree, n)
	for i := range tr {
		tr[i] = tlog.LeafHash(fmt.Appendf(nil, "leaf %d", i))
	}
	return tr
}

func TestConformance(t *testing.T) {
	t.Parallel()
	tr := leaves(64)
	logtest.RunGrowingAnchor(t, func(i int) auditlog.Pin { return tr.pin(t, 2*i) }, func(t *testing.T) func() (auditlog.Anchor, error) {
		w, m := newWorld(t, 3), disktest.New()
		return func() (auditlog.Anchor, error) {
			local, err := file.Open(m)
			must(t, err)
			a, err := witness.Open(witness.Config{Local: local, Witnesses: w.set(0), Relay: w, Log: quiet})
			if err == nil {
				a.Bind(tr.binding(t))
				t.Cleanup(func() { _ = a.Close() })
			}
			return a, err
		}
	})
}

func TestHeadIsCosigned(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	c := w.open(disktest.New())
	if c.Head().Size != 0 {
		t.Fatal("not empty")
	}
	c.grow(300)
	if who := w.cosigned(c); len(who) < 2 {
		t.Fatalf("cosigned by %v", who)
	}
	eventually(t, "the slowest is brought up to date", func() bool { return slices.Min(w.sizes()) == 300 })
	// The old text bears no other signature than the log's, so one cosignature less is too few.
	signed := c.Head().Signed
	cut := signed[:bytes.LastIndexByte(signed[:len(signed)-1], '\n')+1]
	key, _ := logKey(t)
	if _, _, err := tlog.OpenWitnessed(cut, w.set(3), key); !errors.Is(err, tlog.ErrQuorum) {
		t.Fatalf("without the last line: %v", err)
	}
}

// A log that is set back, with its pin, finds no quorum, whatever serve repeats.
func TestSnapshotIsRefused(t *testing.T) {
	t.Parallel()
	w, m := newWorld(t, 3), disktest.New()
	c := w.open(m)
	c.grow(5)
	eventually(t, "all know five", func() bool { return slices.Min(w.sizes()) == 5 })
	c.close()
	snapshot := m.Restart().Clone()
	c = w.open(m.Restart())
	c.grow(3)
	eventually(t, "all know eight", func() bool { return slices.Min(w.sizes()) == 8 })
	c.close()
	_, err := w.tryOpen(t.Context(), snapshot.Clone(), options{})
	var ahead *witness.AheadError
	if !errors.As(err, &ahead) || ahead.Local != 5 || ahead.Size != 8 || !ahead.Proven || !strings.Contains(err.Error(), "8 entries") || !strings.Contains(err.Error(), "5 are here") {
		t.Fatalf("set back: %v", err)
	}
	// One honest witness is enough, if it is asked before the liars are believed.
	w.interfere(down, "w1", "w2")
	if _, err := w.tryOpen(t.Context(), snapshot.Clone(), options{}); !errors.As(err, &ahead) || !ahead.Proven {
		t.Fatalf("one witness: %v", err)
	}
}

// recorder remembers the good answers of a relay and gives them again: to the very same question, or else to one about the same tree.
type recorder struct {
	relay.Exchanger
	mu   sync.Mutex
	kept map[string][]byte // by target and note text, and by target and checkpoint
	play bool
}

func (r *recorder) Exchange(ctx context.Context, kind, target string, body []byte) (int, []byte, error) {
	if kind != relay.Witness {
		return 404, nil, nil
	}
	req, err := protocol.ParseRequest(body)
	if err != nil {
		return 0, nil, err
	}
	text, _, _ := strings.Cut(string(req.Checkpoint), "\n\n")
	c, _, err := tlog.ParseExtended(text + "\n")
	if err != nil {
		return 0, nil, err
	}
	exact, id := target+" "+text, target+" tree "+c.Text()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.play {
		for _, k := range []string{exact, id} {
			if b, ok := r.kept[k]; ok {
				return 200, b, nil
			}
		}
		return 0, nil, errors.New("nothing recorded")
	}
	status, b, err := r.Exchanger.Exchange(ctx, kind, target, body)
	if status == 200 {
		r.kept[exact], r.kept[id] = b, b
	}
	return status, b, err
}

func TestRecordedAnswersDoNotPass(t *testing.T) {
	t.Parallel()
	w, m := newWorld(t, 3), disktest.New()
	rec := &recorder{Exchanger: w, kept: map[string][]byte{}}
	c, err := w.tryOpen(t.Context(), m, options{relay: rec})
	must(t, err)
	c.grow(5)
	eventually(t, "all know five", func() bool { return slices.Min(w.sizes()) == 5 })
	c.close()
	snapshot := m.Restart().Clone()
	c, err = w.tryOpen(t.Context(), m.Restart(), options{relay: rec}) // there are answers to a start with five now
	must(t, err)
	c.grow(1)
	c.close()
	rec.play = true
	ctx, cancel := context.WithCancel(t.Context())
	played := &countdown{Exchanger: rec, left: 12, then: cancel}
	if _, err := w.tryOpen(ctx, snapshot, options{relay: played}); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "does not verify") {
		t.Fatalf("recorded answers: %v", err)
	}
}

// countdown calls then after so many exchanges.
type countdown struct {
	relay.Exchanger
	mu   sync.Mutex
	left int
	then func()
}

func (c *countdown) Exchange(ctx context.Context, kind, target string, body []byte) (int, []byte, error) {
	c.mu.Lock()
	if c.left--; c.left == 0 {
		c.then()
	}
	c.mu.Unlock()
	return c.Exchanger.Exchange(ctx, kind, target, body)
}

// liars are the ways in which one witness, or serve in its name, can misbehave.
func liars(t testing.TB) map[string]func(call) (int, []byte, error) {
	wrongKey := func(c call) (int, []byte, error) {
		req, err := protocol.ParseRequest(c.body)
		if err != nil {
			return 404, nil, nil
		}
		text, _, _ := strings.Cut(string(req.Checkpoint), "\n\n")
		other := keyOf(77)
		k, err := tlog.NewWitnessKey("witness.example/w1", other.Public().(ed25519.PublicKey))
		must(t, err)
		line, err := tlog.Cosign(text+"\n", 1, k, signer(other))
		must(t, err)
		return 200, []byte(line), nil
	}
	wrongRoot := func(c call) (int, []byte, error) {
		k, err := tlog.NewWitnessKey("witness.example/w1", keyOf(100).Public().(ed25519.PublicKey))
		must(t, err)
		line, err := tlog.Cosign(tlog.Checkpoint{Origin: origin, Size: 3, Root: [32]byte{9}}.Text(), 1, k, signer(keyOf(100)))
		must(t, err)
		return 200, []byte(line), nil
	}
	answer := func(status int, body string) func(call) (int, []byte, error) {
		return func(call) (int, []byte, error) { return status, []byte(body), nil }
	}
	var n atomic.Int64
	return map[string]func(call) (int, []byte, error){
		"gone": down, "wrong key": wrongKey, "wrong root": wrongRoot, "larger size": answer(409, "1000000\n"), "garbage": answer(200, "\x00\x01 nonsense"),
		"no size": answer(409, "many\n"), "smaller size": answer(409, "1\n"), "same size": answer(409, "0\n"), "fork": answer(422, ""), "unknown": answer(404, ""), "forbidden": answer(403, ""),
		"broken": answer(500, ""), "redirect": answer(302, ""), "empty": answer(200, ""),
		"ever other sizes": func(c call) (int, []byte, error) { return 409, fmt.Appendf(nil, "%d\n", n.Add(1)%5), nil },
	}
}

func TestOneLiarStopsNothing(t *testing.T) {
	t.Parallel()
	for name, lie := range liars(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, m := newWorld(t, 3), disktest.New()
			w.interfere(lie, "w1")
			c := w.open(m)
			c.grow(3)
			c.close()
			c = w.open(m.Restart())
			c.grow(2)
			if who := w.cosigned(c); !slices.Equal(who, []string{"w2", "w3"}) {
				t.Fatalf("cosigned by %v", who)
			}
			w.interfere(nil, "w1") // it repents, and is brought up to date
			c.grow(1)
			eventually(t, "w1 is up to date", func() bool { return slices.Min(w.sizes()) == 6 })
		})
	}
}

// forbidden is what a witness shows that cosigned a checkpoint for another key of the log: its cosignature is good, the log's key is not known.
func forbidden(t testing.TB, i int, c tlog.Checkpoint) []byte {
	t.Helper()
	other, err := tlog.NewKey(c.Origin, keyOf(66).Public().(ed25519.PublicKey))
	must(t, err)
	signed, err := tlog.SignCheckpoint(c, other, signer(keyOf(66)))
	must(t, err)
	k, err := tlog.NewWitnessKey(fmt.Sprintf("witness.example/w%d", i+1), keyOf(byte(100+i)).Public().(ed25519.PublicKey))
	must(t, err)
	line, err := tlog.Cosign(c.Text(), 1, k, signer(keyOf(byte(100+i))))
	must(t, err)
	return append(signed, line...)
}

// Refusals that their witnesses have signed leave no quorum: the core ends, and does not start.
func TestTwoOfThreeRefuse(t *testing.T) {
	t.Parallel()
	w, m := newWorld(t, 3), disktest.New()
	c := w.open(m)
	c.grow(2)
	eventually(t, "all know two", func() bool { return slices.Min(w.sizes()) == 2 })
	refuses := func(i, status int, body string, shown tlog.Checkpoint) {
		b := forbidden(t, i, shown)
		w.interfere(func(c call) (int, []byte, error) {
			if c.kind == relay.WitnessLatest {
				return 200, b, nil
			}
			return status, []byte(body), nil
		}, fmt.Sprintf("w%d", i+1))
	}
	refuses(0, 409, "1000000\n", tlog.Checkpoint{Origin: origin, Size: 1000000, Root: [32]byte{9}})
	refuses(1, 422, "", tlog.Checkpoint{Origin: origin, Size: 1, Root: [32]byte{9}})
	h := c.begin("not to be")
	err := h.Wait(t.Context())
	var ahead *witness.AheadError
	var fork *witness.ForkError
	var quorum *witness.QuorumError
	if !errors.Is(err, auditlog.ErrStopped) || !errors.Is(err, auditlog.ErrFatal) || !errors.As(err, &quorum) || !errors.As(err, &ahead) || !errors.As(err, &fork) || ahead.Proven || fork.Proven {
		t.Fatalf("%v", err)
	}
	c.close()
	if _, err := w.tryOpen(t.Context(), m.Restart(), options{}); !errors.As(err, &quorum) || len(quorum.Refused) != 2 {
		t.Fatalf("start: %v", err)
	}
	w.interfere(nil, "w1", "w2")
	c = w.open(m.Restart())
	if c.Head().Size != 3 { // it was written ahead, and the third witness knows it
		t.Fatalf("%d entries", c.Head().Size)
	}
}

// serve carries what witnesses say. Whatever it makes all of them say, with nothing signed against this log to show for it, the core waits, says
// what it was told, and goes on with the first honest answers.
func TestForgedRefusalsEndNothing(t *testing.T) {
	t.Parallel()
	lies := liars(t)
	good := func(f func(call) (int, []byte, error), latest []byte) func(call) (int, []byte, error) {
		return func(c call) (int, []byte, error) {
			if c.kind != relay.WitnessLatest {
				return f(c)
			}
			if latest == nil {
				return c.pass() // what is true
			}
			return 200, latest, nil
		}
	}
	elsewhere := forbidden(t, 0, tlog.Checkpoint{Origin: "another.example/log", Size: 1000000, Root: [32]byte{9}})
	ofAnother := forbidden(t, 7, tlog.Checkpoint{Origin: origin, Size: 1000000, Root: [32]byte{9}}) // by a key that is none of the witnesses'
	for name, lie := range map[string]func(call) (int, []byte, error){
		"409": lies["larger size"], "422": lies["fork"], "409 with the truth": good(lies["larger size"], nil), "422 with the truth": good(lies["fork"], nil),
		"409 with another log": good(lies["larger size"], elsewhere), "422 with another's signature": good(lies["fork"], ofAnother),
		"409 with garbage": good(lies["larger size"], []byte("garbage\n\n")), "422 with nothing": good(lies["fork"], []byte{}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, m := newWorld(t, 3), disktest.New()
			c := w.open(m)
			c.grow(2)
			eventually(t, "all know two", func() bool { return slices.Min(w.sizes()) == 2 })
			w.interfere(lie, w.names...)
			h := c.begin("later")
			eventually(t, "it says who refuses", func() bool {
				return strings.Count(c.anchor.State(), "it shows nothing signed for that") == 3
			})
			select {
			case <-h.Done():
				t.Fatal("it ended, or was acknowledged", h.Wait(t.Context()))
			default:
			}
			w.interfere(nil, w.names...)
			must(t, h.Wait(t.Context()))
			c.close()

			w.interfere(lie, w.names...)
			ctx, cancel := context.WithCancel(t.Context())
			if _, err := w.tryOpen(ctx, m.Restart().Clone(), options{relay: &countdown{Exchanger: w, left: 15, then: cancel}}); !errors.Is(err, context.Canceled) || errors.Is(err, auditlog.ErrFatal) {
				t.Fatalf("start: %v", err)
			}
			w.interfere(nil, w.names...)
			if c := w.open(m.Restart()); c.Head().Size != 3 {
				t.Fatal("an entry is lost")
			}
		})
	}
}

func TestMajorityGoneWaitsAndRecovers(t *testing.T) {
	t.Parallel()
	w, m := newWorld(t, 3), disktest.New()
	c := w.open(m)
	c.grow(2)
	w.interfere(down, "w1", "w3")
	h := c.begin("later")
	eventually(t, "it says who is missing", func() bool {
		s := c.anchor.State()
		return strings.Contains(s, "2 of 3") && strings.Contains(s, "w1 (connection refused)") && strings.Contains(s, "w3 (") && !strings.Contains(s, "w2 (")
	})
	select {
	case <-h.Done():
		t.Fatal("acknowledged by one witness")
	default:
	}
	w.interfere(nil, "w3")
	must(t, h.Wait(t.Context()))
	if s := c.anchor.State(); s != "" {
		t.Fatalf("still waits: %s", s)
	}
	c.close()

	w.interfere(down, "w1", "w2", "w3")
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := w.tryOpen(ctx, m.Restart().Clone(), options{relay: &countdown{Exchanger: w, left: 9, then: cancel}}); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "w2 (connection refused)") {
		t.Fatalf("start without witnesses: %v", err)
	}
	w.interfere(nil, "w1", "w2", "w3")
	if c := w.open(m.Restart()); c.Head().Size != 3 {
		t.Fatal("an entry is lost")
	}
}

// A fork that is signed by the log's own key is proved by one witness.
func TestForkIsProved(t *testing.T) {
	t.Parallel()
	w, m := newWorld(t, 3), disktest.New()
	c := w.open(m)
	c.grow(4)
	eventually(t, "all know four", func() bool { return slices.Min(w.sizes()) == 4 })
	c.close()
	snapshot := m.Restart().Clone()
	c = w.open(m.Restart())
	must(t, c.begin("one way").Wait(t.Context()))
	eventually(t, "all know five", func() bool { return slices.Min(w.sizes()) == 5 })
	c.close()

	// The copy goes on while no witness is asked, as if it had another anchor, and comes back with as many entries, or with more.
	fork, err := w.tryOpenLocal(snapshot)
	must(t, err)
	for size := uint64(5); size <= 7; size += 2 {
		for seq, prev := fork.Next(); seq < size; seq, prev = fork.Next() {
			h, err := fork.Append(t.Context(), logtest.Record(prev, seq, []byte("another way")))
			must(t, err)
			must(t, h.Wait(t.Context()))
		}
		must(t, fork.Close())
		_, err = w.tryOpen(t.Context(), snapshot.Restart(), options{})
		var f *witness.ForkError
		if !errors.As(err, &f) || !f.Proven || f.Known != 5 || f.Local.Size != size || !strings.Contains(err.Error(), fmt.Sprintf("%x", f.Local.Root)) {
			t.Fatalf("fork of %d entries: %v", size, err)
		}
		snapshot = snapshot.Restart()
		fork, err = w.tryOpenLocal(snapshot)
		must(t, err)
	}
	must(t, fork.Close())
}

func TestTakeOver(t *testing.T) {
	t.Parallel()
	w, m := newWorld(t, 3), disktest.New()
	a := w.open(m)
	a.grow(3)
	b, err := w.tryOpen(t.Context(), m, options{writer: 2, takeOver: true})
	must(t, err)
	if h := a.begin("too late"); h.Wait(t.Context()) == nil {
		t.Fatal("the old writer was acknowledged")
	}
	b.grow(2)
	if b.Head().Size != 5 || len(w.cosigned(b)) < 2 {
		t.Fatalf("%d entries", b.Head().Size)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	local, err := file.Open(disktest.New())
	must(t, err)
	good := witness.Config{Local: local, Witnesses: w.set(0), Relay: w, Log: quiet}
	for name, spoil := range map[string]func(*witness.Config){
		"no local anchor": func(c *witness.Config) { c.Local = nil }, "no witnesses": func(c *witness.Config) { c.Witnesses = tlog.Witnesses{} },
		"no relay": func(c *witness.Config) { c.Relay = nil }, "no log": func(c *witness.Config) { c.Log = nil }, "negative pause": func(c *witness.Config) { c.Retry = -1 },
	} {
		c := good
		spoil(&c)
		if _, err := witness.Open(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	a, err := witness.Open(good)
	must(t, err)
	defer a.Close()
	tr := leaves(2)
	if a.Pin(t.Context(), tr.pin(t, 2)) == nil {
		t.Error("an anchor that does not know its log pinned entries")
	}
	must(t, a.Pin(t.Context(), tr.pin(t, 0))) // nothing to forget
	if a.Pin(t.Context(), auditlog.Pin{Checkpoint: []byte("garbage")}) == nil {
		t.Error("garbage was pinned")
	}
}

// A witness that was away while the core was started anew, and knows a size from before, is brought up to date from the store.
func TestWitnessFarBehind(t *testing.T) {
	t.Parallel()
	w, m := newWorld(t, 3), disktest.New()
	c := w.open(m)
	c.grow(3)
	eventually(t, "all know three", func() bool { return slices.Min(w.sizes()) == 3 })
	w.interfere(down, "w1")
	c.grow(298)
	c.close()
	if s := w.sizes(); s[0] != 3 {
		t.Fatal(s)
	}
	w.interfere(nil, "w1")
	w.interfere(down, "w2") // w1 is needed now
	c = w.open(m.Restart())
	if s := w.sizes(); s[0] != 301 || c.Head().Size != 301 {
		t.Fatal(s)
	}
	c.grow(1)
	if who := w.cosigned(c); !slices.Equal(who, []string{"w1", "w3"}) {
		t.Fatal(who)
	}
}
