// SPDX-License-Identifier: Apache-2.0

package offline_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/offline"
	"strongroom/internal/pure/problem"
)

const second = int64(1e9)

var (
	authorityID = custody.AuthorityID{1}
	key1        = custody.KeyID(strings.Repeat("1", 32))
	key2        = custody.KeyID(strings.Repeat("2", 32))
	seed        = custody.KeyID(strings.Repeat("a", 32))
)

func importKey(id custody.KeyID) offline.ImportKey {
	return offline.ImportKey{ID: id, Public: make([]byte, offline.PublicSize)}
}

func genesis() *offline.Genesis {
	return &offline.Genesis{V: 1, Profile: custody.Evaluation, Authority: authorityID, LogKey: make([]byte, 32), Identity: make([]byte, 32), Root: "soft", Anchor: "file",
		Epoch: 1, Pattern: make([]byte, 16), Import: importKey(key1), Transport: make([]byte, offline.PublicSize), Name: "vault", Nonce: make([]byte, 16)}
}

// world is a log under way.
type world struct {
	t testing.TB
	*offline.State
	writer uint64
	recs   []offline.Record
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, State: offline.New(), writer: 1}
	w.must(genesis())
	return w
}

// next makes the record of a body.
func (w *world) next(body any, spoil func(*entry.Leaf)) (entry.Leaf, [32]byte, offline.Record) {
	kind := offline.KindOf(body)
	enc := canon.Encode(body)
	l := entry.Leaf{V: 1, Authority: authorityID, Domain: w.Domain, Seq: w.Next, Prev: w.Last, Kind: kind, KindVersion: 1, Engine: entry.Engine1, Writer: w.writer,
		Time: int64(w.Next+1) * 100 * second, Bodies: []entry.BodyRef{entry.Ref(offline.ClassOf(kind), [16]byte{9}, enc)}}
	if spoil != nil {
		spoil(&l)
	}
	r := offline.Record{Leaf: l.Encode(), Salt: append([]byte{9}, make([]byte, 15)...), Body: enc}
	return l, entry.Hash(r.Leaf), r
}

func (w *world) try(body any, spoil func(*entry.Leaf)) error {
	l, hash, r := w.next(body, spoil)
	again, err := offline.DecodeBody(l.Kind, l.KindVersion, r.Body)
	if err != nil {
		return err
	}
	err = w.Apply(l, hash, again)
	if err == nil {
		w.recs = append(w.recs, r)
	}
	return err
}

func (w *world) must(body any) {
	w.t.Helper()
	if err := w.try(body, nil); err != nil {
		w.t.Fatal(err)
	}
}

// refused requires that a body is refused for a reason, and changes nothing.
func (w *world) refused(body any, reason string) {
	w.t.Helper()
	before := w.Next
	if err := w.try(body, nil); err == nil || !strings.Contains(err.Error(), reason) {
		w.t.Errorf("%T: %v; want %q", body, err, reason)
	}
	if w.Next != before {
		w.t.Error("a refused entry counts")
	}
}

func (w *world) imported() {
	w.must(&offline.Import{Number: 3, Size: 50, Root: [32]byte{5}, Leaf: [32]byte{6}, Time: 1, Bundle: [32]byte{7}})
}

func (w *world) movedIn(wallet custody.WalletID, at uint64, used, next custody.KeyID) *offline.MovedIn {
	return &offline.MovedIn{Wallet: wallet, Key: seed, Blob: [32]byte{8}, Entry: at, Used: used, Next: importKey(next)}
}

func (w *world) permit(at uint64, attempt uint32, r custody.RequestID, slot entry.Slot) *offline.Permit {
	payload := [32]byte{byte(at), byte(attempt)}
	c := offline.Confirmation{V: 1, Authority: authorityID, Domain: w.Domain, Bundle: w.Import.Bundle, Permits: []offline.Confirmed{{Entry: at, Payload: payload}}, Time: second}
	return &offline.Permit{Entry: at, Payload: payload, Statement: c.Encode(), Request: r, Attempt: attempt, Wallet: "cold", Slot: slot,
		Signatures: []offline.Signature{{Person: "p_aaaaaaaaaaaaaaaa"}, {Person: "p_bbbbbbbbbbbbbbbb"}}}
}

func TestLife(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.refused(&offline.Recovery{}, "nothing was imported")
	w.refused(w.movedIn("cold", 4, key1, key2), "imported")
	w.imported()
	w.must(&offline.Recovery{Public: [32]byte{1}})
	for reason, b := range map[string]*offline.Import{
		"came after bundle":        {Number: 3, Size: 60, Time: 1},
		"shrank":                   {Number: 4, Size: 49, Time: 1},
		"another root":             {Number: 4, Size: 50, Root: [32]byte{4}, Leaf: [32]byte{6}, Time: 1},
		"behind the checkpoint":    {Number: 4, Size: 51, Time: 5000},
		"behind the checkpoint ":   {Number: 4, Size: 51},
		"another root at the same": {Number: 4, Size: 50, Root: [32]byte{5}, Time: 1},
	} {
		w.refused(b, strings.TrimSpace(reason))
	}
	w.refused(w.movedIn("cold", 50, key1, key2), "not among")
	w.refused(w.movedIn("cold", 4, key2, key1), "not open here")
	w.refused(w.movedIn("cold", 4, key1, key1), "the key stays")
	w.refused(w.movedIn("Cold", 4, key1, key2), "malformed")
	w.must(w.movedIn("cold", 4, key1, key2))
	w.refused(w.movedIn("cold", 5, key2, key1), "here already")
	w.refused(w.movedIn("other", 4, key2, key1), "is done")
	if h, ok := w.Holds("cold"); !ok || h.Entry != 4 || w.Key.ID != key2 || len(w.Wallets()) != 1 || !w.Moved(4) {
		t.Fatalf("%+v", h)
	}
	a, b := custody.RequestID{1}, custody.RequestID{2}
	one := entry.Slot{Account: "0xa", Nonce: 1}
	p := w.permit(10, 1, a, one)
	w.must(p)
	w.refused(p, "recorded already")
	w.refused(w.permit(11, 1, b, one), "its slot is used")
	w.refused(w.permit(11, 2, b, one), "its slot is used")
	w.refused(w.permit(11, 1, a, one), "its slot is used")
	w.refused(w.permit(50, 2, a, one), "not among")
	w.refused(&offline.MovedOut{Wallet: "cold", Key: seed, Entry: 20}, "not signed yet")
	w.refused(&offline.Result{Entry: 12, Signatures: [][]byte{{1}}, TxID: "t"}, "not recorded")
	w.refused(&offline.Result{Entry: 10, TxID: "t"}, "has signatures")
	w.must(&offline.Result{Entry: 10, Signatures: [][]byte{{1}}, TxID: "t"})
	w.refused(&offline.Result{Entry: 10, Signatures: [][]byte{{1}}, TxID: "t"}, "has its result")
	w.must(w.permit(12, 2, a, one)) // a replacement
	w.must(&offline.Result{Entry: 12, Signatures: [][]byte{{1}}, TxID: "t"})
	if got := w.Permits(); len(got) != 2 || got[0].Entry != 10 || got[1].Result == nil {
		t.Errorf("%+v", got)
	}
	in := func(n ...byte) (s entry.Slot) {
		for _, i := range n {
			s.Inputs = append(s.Inputs, entry.Input{TxID: [32]byte{i}})
		}
		return s
	}
	w.must(w.permit(13, 1, b, in(1, 2)))
	w.refused(w.permit(14, 1, custody.RequestID{3}, in(3, 2)), "its slot is used") // one input of two
	w.refused(w.permit(14, 1, b, entry.Slot{}), "a slot is")
	w.must(&offline.Result{Entry: 13, Signatures: [][]byte{{1}}, TxID: "t"})
	w.refused(&offline.MovedOut{Wallet: "cold", Key: key1, Entry: 20}, "another key")
	w.refused(&offline.MovedOut{Wallet: "cold", Key: seed, Entry: 4}, "is done")
	w.refused(&offline.MovedOut{Wallet: "cold", Key: seed, Entry: 50}, "not among")
	w.must(&offline.MovedOut{Wallet: "cold", Key: seed, Entry: 20})
	w.refused(w.permit(15, 1, custody.RequestID{4}, entry.Slot{Account: "0xa", Nonce: 2}), "is not here")
	w.must(&offline.Refusal{Kind: problem.Malformed, Detail: "d"})
	w.refused(&offline.Refusal{Kind: problem.Malformed}, "text")
	w.must(&offline.Zeroized{Cause: "asked for"})
	w.refused(&offline.Import{Number: 9, Size: 60, Time: 1}, "zeroized")
	w.refused(&offline.Restored{Epoch: 2}, "no such epoch")
	w.must(&offline.Restored{Epoch: 1})
	w.refused(&offline.Restored{Epoch: 1}, "not zeroized")
	w.writer = 2
	w.must(&entry.Writer{Epoch: 2})
	w.writer = 3
	w.refused(&offline.Zeroized{Cause: "x"}, "epoch")
	w.refused(&entry.Writer{Epoch: 4}, "names epoch")
	w.refused(genesis(), "first entry")
}

// Whoever confirms, confirms these permits of this bundle in this domain.
func TestConfirmationInPermit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.imported()
	w.must(w.movedIn("cold", 4, key1, key2))
	slot := entry.Slot{Account: "0xa", Nonce: 1}
	for reason, spoil := range map[string]func(*offline.Permit, *offline.Confirmation){
		"another bundle":   func(_ *offline.Permit, c *offline.Confirmation) { c.Bundle[0]++ },
		"another domain's": func(_ *offline.Permit, c *offline.Confirmation) { c.Domain[0]++ },
		"or another":       func(_ *offline.Permit, c *offline.Confirmation) { c.Authority[0]++ },
		"did not confirm":  func(_ *offline.Permit, c *offline.Confirmation) { c.Permits[0].Payload[0]++ },
		"version":          func(_ *offline.Permit, c *offline.Confirmation) { c.V = 2 },
		"0 permits":        func(_ *offline.Permit, c *offline.Confirmation) { c.Permits = nil },
		"not in order":     func(_ *offline.Permit, c *offline.Confirmation) { c.Permits = append(c.Permits, c.Permits[0]) },
		"after the entry":  func(_ *offline.Permit, c *offline.Confirmation) { c.Time = 1 << 60 },
		"two different":    func(p *offline.Permit, _ *offline.Confirmation) { p.Signatures[1] = p.Signatures[0] },
		"1 operators":      func(p *offline.Permit, _ *offline.Confirmation) { p.Signatures = p.Signatures[:1] },
		"count from 1":     func(p *offline.Permit, _ *offline.Confirmation) { p.Attempt = 0 },
	} {
		p := w.permit(10, 1, custody.RequestID{1}, slot)
		c, err := offline.DecodeConfirmation(p.Statement)
		if err != nil {
			t.Fatal(err)
		}
		spoil(p, &c)
		p.Statement = c.Encode()
		w.refused(p, reason)
	}
	w.must(w.permit(10, 1, custody.RequestID{1}, slot))
}

func TestLeafRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for reason, spoil := range map[string]func(*entry.Leaf){
		"out of order":       func(l *entry.Leaf) { l.Seq++ },
		"does not follow":    func(l *entry.Leaf) { l.Prev[0]++ },
		"another authority":  func(l *entry.Leaf) { l.Authority[0]++ },
		"another authority ": func(l *entry.Leaf) { l.Domain[0]++ },
		"runs back":          func(l *entry.Leaf) { l.Time = 1 },
		"epoch 2":            func(l *entry.Leaf) { l.Writer = 2 },
		"version 2":          func(l *entry.Leaf) { l.KindVersion = 2 },
		"engine":             func(l *entry.Leaf) { l.Engine = "other" },
		"class":              func(l *entry.Leaf) { l.Bodies[0].Class = entry.Public },
	} {
		if err := w.try(&offline.Import{Number: 1, Size: 1, Time: 1}, spoil); err == nil || !strings.Contains(err.Error(), strings.TrimSpace(reason)) {
			t.Errorf("%s: %v", reason, err)
		}
	}
	if _, err := offline.DecodeBody("request", 1, nil); err == nil {
		t.Error("a kind of the online domain is known")
	}
}

func TestGenesisRefused(t *testing.T) {
	t.Parallel()
	for reason, spoil := range map[string]func(*offline.Genesis){
		"version":     func(g *offline.Genesis) { g.V = 2 },
		"authority":   func(g *offline.Genesis) { g.Authority = custody.AuthorityID{} },
		"log key":     func(g *offline.Genesis) { g.LogKey = nil },
		"name root":   func(g *offline.Genesis) { g.Epoch = 2 },
		"anchor":      func(g *offline.Genesis) { g.Anchor = "witness" },
		"transport":   func(g *offline.Genesis) { g.Transport = nil },
		"import key":  func(g *offline.Genesis) { g.Import.Public = nil },
		"profile":     func(g *offline.Genesis) { g.Profile = "x" },
		"production":  func(g *offline.Genesis) { g.Profile = custody.Production },
		"malformed":   func(g *offline.Genesis) { g.Name = "No Slug" },
		"malformed i": func(g *offline.Genesis) { g.Import.ID = "" },
	} {
		g := genesis()
		spoil(g)
		w := &world{t: t, State: offline.New(), writer: 1}
		if err := w.try(g, func(l *entry.Leaf) { l.Authority = g.Authority }); err == nil {
			t.Errorf("%s: accepted", reason)
		}
	}
	w := newWorld(t)
	if s, err := offline.OpenGenesis(w.recs[0]); err != nil || s.Domain != w.Domain || s.Name != "vault" {
		t.Errorf("%v", err)
	}
	bad := w.recs[0]
	bad.Body = bytes.Clone(bad.Body)
	bad.Body[3]++
	if _, err := offline.OpenGenesis(bad); err == nil {
		t.Error("an altered genesis opens")
	}
}

// What was written is read again; anything left out, altered or added is found.
func TestContent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.imported()
	var buf bytes.Buffer
	out, err := offline.NewWriter(&buf, []byte("head"))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range w.recs {
		if err := out.Record(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(out.Copy([]byte("copy")), out.End()); err != nil {
		t.Fatal(err)
	}
	if out.Record(w.recs[0]) == nil || out.Copy(nil) == nil {
		t.Error("more after the end")
	}
	read := func(b []byte) (n int, err error) {
		in, err := offline.NewReader(bytes.NewReader(b))
		if err != nil {
			return 0, err
		}
		var tail offline.Tail
		for {
			r, c, err := in.Next()
			switch {
			case err != nil:
				return n, err
			case r != nil:
				if _, _, err := tail.Next(*r); err != nil {
					return n, err
				}
			case c == nil:
				if tail.Frontier.Root() != w.Frontier.Root() || tail.Last != w.Last {
					return n, errors.New("another log")
				}
				return n, nil
			}
			n++
		}
	}
	whole := buf.Bytes()
	if n, err := read(whole); n != 3 || err != nil {
		t.Fatalf("%d items, %v", n, err)
	}
	for i := range whole {
		if at := bytes.Index(whole, []byte("head")); i >= at && i < at+4 {
			continue // the head is signed
		}
		if at := bytes.Index(whole, []byte("copy")); i >= at && i < at+4 {
			continue // copies are named by hash
		}
		x := bytes.Clone(whole)
		x[i] ^= 4
		if _, err := read(x); err == nil {
			t.Errorf("byte %d can be altered", i)
		}
		if _, err := read(whole[:i]); err == nil {
			t.Errorf("it may end at %d", i)
		}
	}
	if _, err := read(append(bytes.Clone(whole), 0)); err == nil {
		t.Error("more may follow")
	}
}

// Pages in any order, some twice, give the whole; an altered or missing page is named.
func TestPages(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 5*offline.PageBytes).Draw(t, "n")
		b := bytes.Repeat([]byte{byte(n), 1, 200}, n/3+1)[:n]
		pages, err := offline.Pages(b)
		if err != nil {
			t.Fatal(err)
		}
		mixed := rapid.Permutation(append(slices.Clone(pages), pages[0], "", " ")).Draw(t, "order")
		if got, err := offline.Join(mixed); err != nil || !bytes.Equal(got, b) {
			t.Fatalf("%v", err)
		}
		i := rapid.IntRange(0, len(pages)-1).Draw(t, "page")
		if _, err := offline.Join(slices.Delete(slices.Clone(pages), i, i+1)); len(pages) > 1 && !strings.Contains(fmt.Sprint(err), fmt.Sprintf("missing: %d", i+1)) {
			t.Fatalf("page %d is missing: %v", i+1, err)
		}
		bad := slices.Clone(pages)
		at := rapid.IntRange(0, len(bad[i])-1).Draw(t, "at")
		letter := byte('A')
		if bad[i][at] == letter {
			letter = 'B'
		}
		bad[i] = bad[i][:at] + string(letter) + bad[i][at+1:]
		if _, err := offline.Join(bad); !errors.Is(err, offline.ErrPage) {
			t.Fatalf("an altered page: %v", err)
		}
	})
	one, _ := offline.Pages([]byte("one"))
	two, _ := offline.Pages([]byte("two"))
	if _, err := offline.Join(append(one, two...)); err == nil {
		t.Error("pages of two things are joined")
	}
	if _, err := offline.Join(nil); err == nil {
		t.Error("no pages are something")
	}
	if _, err := offline.Pages(make([]byte, offline.MaxPages*offline.PageBytes+1)); err == nil {
		t.Error("too many pages")
	}
	long, _ := offline.Pages(make([]byte, offline.PageBytes))
	if len(long[0]) > 1451 {
		t.Errorf("a page has %d characters", len(long[0]))
	}
}

func FuzzJoin(f *testing.F) {
	pages, _ := offline.Pages(make([]byte, 2*offline.PageBytes))
	f.Add(strings.Join(pages, "\n"))
	f.Fuzz(func(t *testing.T, text string) {
		b, err := offline.Join(strings.Split(text, "\n"))
		if err != nil {
			return
		}
		again, err := offline.Pages(b)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := offline.Join(again); err != nil || !bytes.Equal(got, b) {
			t.Fatal("another whole")
		}
	})
}
