// SPDX-License-Identifier: Apache-2.0

package sqlite_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"strongroom/internal/edge/sqlite"
	"strongroom/internal/gate/coretest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
	"strongroom/internal/svc/feed"
	"strongroom/internal/svc/transfer"
)

// TestFileOfTheFirstVersionIsTakenOver: nothing of a cache is lost when it is brought to this version's form.
func TestFileOfTheFirstVersionIsTakenOver(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "cache.db")
	first, err := os.ReadFile("migrations/0001_cache.sql")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	id := func(n byte) custody.RequestID { return custody.RequestID{31: n} }
	for _, q := range []struct {
		text string
		args []any
	}{
		{string(first), nil},
		{"PRAGMA user_version = 1", nil},
		{"UPDATE folded SET next = 9, last = ?", []any{make([]byte, 32)}},
		{"INSERT INTO requests (id, seq, state, operation, wallet) VALUES (?, 7, 'pending', 'transfer', 'hot'), (?, 5, 'signed', 'transfer', 'hot'), (?, 3, 'executed', 'wallet_create', 'hot')",
			[]any{idBytes(id(1)), idBytes(id(2)), idBytes(id(3))}},
		{`INSERT INTO transfers (request, seq, wallet, chain, next, bump, failures, poke, note, settled)
			VALUES (?, 7, 'hot', 'eip155:1337', 0, 0, 0, 0, '', 0), (?, 5, 'hot', 'eip155:1337', 11, 12, 13, 14, 'why', 1)`, []any{idBytes(id(1)), idBytes(id(2))}},
		{`INSERT INTO attempts (request, number, state, payload, account, nonce, permit, txid, signed, sent, height, block, confirmations, reverted, fee, note)
			VALUES (?, 1, 'final', x'01', 'a', 2, 3, 'b', x'02', 4, 5, 'c', 6, 0, '7', '')`, []any{idBytes(id(2))}},
	} {
		if _, err := raw.Exec(q.text, q.args...); err != nil {
			t.Fatalf("%s: %v", q.text, err)
		}
	}
	if err := raw.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	found, err := db.Log().Find(t.Context(), feed.Query{Limit: 10})
	if err != nil || fmt.Sprint(found) != fmt.Sprint([]feed.Found{{ID: id(3), Seq: 3}, {ID: id(2), Seq: 5}, {ID: id(1), Seq: 7}}) {
		t.Errorf("found %v %v", found, err)
	}
	x, ok, err := db.Transfers().Transfer(t.Context(), id(2))
	want := transfer.Transfer{Request: id(2), Seq: 5, Wallet: "hot", Chain: coretest.Ethereum, Next: 11, Bump: 12, Failures: 13, Poke: 14, Note: "why", Settled: true}
	if err != nil || !ok || x != want {
		t.Errorf("transfer %+v %v", x, err)
	}
	if a, err := db.Transfers().Attempts(t.Context(), id(2)); err != nil || len(a) != 1 || a[0].State != transfer.Final {
		t.Errorf("attempts %+v %v", a, err)
	}
	due, err := db.Transfers().Due(t.Context(), []custody.ChainID{coretest.Ethereum}, 100, 10)
	if err != nil || len(due) != 1 || due[0].Request != id(1) {
		t.Errorf("due %+v %v", due, err)
	}
	if at, err := db.Log().Cursor(t.Context()); err != nil || at.Next != 9 {
		t.Errorf("cursor %+v %v", at, err)
	}
}

func idBytes(id custody.RequestID) []byte { return id[:] }

// copyTo copies the closed cache.
func (h *house) copyTo(to string) {
	h.t.Helper()
	b, err := os.ReadFile(h.path)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// TestYesterdaysFileCatchesUp: a cache that was put back to an earlier state folds again what it lost.
func TestYesterdaysFileCatchesUp(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	early := h.ask("early", coretest.Anna, 50_000)
	h.fold()
	if err := h.db.Close(); err != nil {
		t.Fatal(err)
	}
	yesterday := filepath.Join(t.TempDir(), "yesterday.db")
	h.copyTo(yesterday)
	h.open(h.core)
	late := h.ask("late", coretest.Payout, 5)
	rejected := h.ask("rejected", coretest.Anna, 50_001)
	h.approve(rejected, request.Reject, coretest.Bruno)
	h.approve(early, request.Approve, coretest.Bruno)
	h.fold()
	x, _, err := h.db.Transfers().Transfer(t.Context(), late.ID)
	if err == nil {
		err = h.db.Transfers().Save(t.Context(), x, transfer.Attempt{Request: late.ID, Number: 1, State: transfer.Preparing})
	}
	if err != nil {
		t.Fatal(err)
	}
	all := func() string {
		t.Helper()
		return fmt.Sprint(h.find(feed.Query{}), h.find(feed.Query{Open: true}), h.find(feed.Query{State: message.StateRejected}))
	}
	want := all()
	h.lose(h.core) // leaves no -wal and -shm behind
	if err := h.db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(yesterday, h.path); err != nil {
		t.Fatal(err)
	}
	h.open(h.core)
	if got := h.find(feed.Query{Operation: request.Transfer}); len(got) != 1 || got[0] != early.ID {
		t.Fatalf("yesterday's file has transfers %v", got)
	}
	h.fold()
	if got := all(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	due, err := h.db.Transfers().Due(t.Context(), []custody.ChainID{coretest.Ethereum}, 0, 10)
	if err != nil || len(due) != 3 || due[0].Poke != 1 {
		t.Errorf("due %+v %v", due, err)
	}
}

// made makes entries without a core: nothing binds them, and bodies hold no more than the fold reads.
type made struct {
	entries []feed.Entry
	next    uint64
}

func (m *made) add(kind entry.Kind, body any) uint64 {
	m.entries = append(m.entries, feed.Entry{Leaf: entry.Leaf{Seq: m.next, Kind: kind, KindVersion: 1}, Body: canon.Encode(body)})
	m.next++
	return m.next - 1
}

// ask adds an allowed transfer.
func (m *made) ask(key string, w custody.WalletID) (custody.RequestID, uint64) {
	r := request.Request{V: 1, Initiator: coretest.Payout.ID, Key: key, Operation: request.Transfer}
	return r.ID(), m.add(entry.KindRequest, entry.Request{Request: r.Encode(), Decision: policy.Decision{Outcome: policy.Allowed},
		Effects: request.Effects{Operation: request.Transfer, Chain: coretest.Ethereum, Wallet: w}})
}

// take gives the entries since the last call.
func (m *made) take() []feed.Entry {
	out := m.entries
	m.entries = nil
	return out
}

// TestIDComesAgain: the core forgets a request some time after its end, and its id may come again. What is kept then is the new one's.
func TestIDComesAgain(t *testing.T) {
	t.Parallel()
	h := &house{t: t, path: filepath.Join(t.TempDir(), "cache.db")}
	h.open(coretest.New(t, time.Now))
	m := &made{}
	fold := func() {
		t.Helper()
		if err := h.db.Log().Fold(t.Context(), m.take()); err != nil {
			t.Fatal(err)
		}
	}
	expired, _ := m.ask("expired", "hot") // no entry says so
	signed, old := m.ask("signed", "hot")
	m.add(entry.KindPermit, entry.Permit{Request: signed})
	fold()
	for _, id := range []custody.RequestID{expired, signed} {
		x, _, err := h.db.Transfers().Transfer(t.Context(), id)
		x.Settled, x.Note = true, "old"
		if err == nil {
			err = h.db.Transfers().Save(t.Context(), x, transfer.Attempt{Request: id, Number: 1, State: transfer.Final})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	_, first := m.ask("expired", "warm")
	_, second := m.ask("signed", "warm")
	fold()
	for id, seq := range map[custody.RequestID]uint64{expired: first, signed: second} {
		x, ok, err := h.db.Transfers().Transfer(t.Context(), id)
		if want := (transfer.Transfer{Request: id, Seq: seq, Wallet: "warm", Chain: coretest.Ethereum, Poke: 1}); err != nil || !ok || x != want {
			t.Errorf("got %+v %v, want %+v", x, err, want)
		}
		if a, err := h.db.Transfers().Attempts(t.Context(), id); err != nil || len(a) != 0 {
			t.Errorf("attempts %+v %v", a, err)
		}
	}
	if got := h.find(feed.Query{Open: true}); len(got) != 2 || got[0] != expired || got[1] != signed {
		t.Errorf("open: %v", got)
	}
	m.add(entry.KindPermit, entry.Permit{Request: expired})
	m.add(entry.KindApproval, entry.Approval{Approval: request.Approval{Request: signed, Decision: request.Reject}})
	fold()
	list, err := h.db.Log().Find(t.Context(), feed.Query{State: message.StateSigned, Limit: 10})
	if err != nil || len(list) != 2 || list[0].Seq != old || list[1].Seq != first {
		t.Errorf("signed: %v %v", list, err)
	}
	if got := h.find(feed.Query{State: message.StateRejected}); len(got) != 1 || got[0] != signed {
		t.Errorf("rejected: %v", got)
	}
}

// TestWorkerWasQuicker: what the worker kept of a transfer before its entry was folded stays.
func TestWorkerWasQuicker(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.fold()
	v := h.ask("quick", coretest.Payout, 5)
	x := transfer.Transfer{Request: v.ID, Seq: v.Seq, Wallet: "hot", Chain: coretest.Ethereum, Next: 77, Note: "mine"}
	if err := h.db.Transfers().Save(t.Context(), x, transfer.Attempt{Request: v.ID, Number: 1, State: transfer.Preparing}); err != nil {
		t.Fatal(err)
	}
	h.fold()
	if got, ok, err := h.db.Transfers().Transfer(t.Context(), v.ID); err != nil || !ok || got != x {
		t.Errorf("got %+v %v", got, err)
	}
	if a, err := h.db.Transfers().Attempts(t.Context(), v.ID); err != nil || len(a) != 1 {
		t.Errorf("attempts %+v %v", a, err)
	}
}

// TestFoldRefusesWhatItCantRead: an entry of a kind or version that is not known stops the fold, and a broken body too.
func TestFoldRefusesWhatItCantRead(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]feed.Entry{
		"kind":    {Leaf: entry.Leaf{Kind: "news", KindVersion: 1}},
		"version": {Leaf: entry.Leaf{Kind: entry.KindPermit, KindVersion: 2}, Body: canon.Encode(entry.Permit{})},
		"body":    {Leaf: entry.Leaf{Kind: entry.KindPermit, KindVersion: 1}, Body: []byte{1}},
		"request": {Leaf: entry.Leaf{Kind: entry.KindRequest, KindVersion: 1}, Body: canon.Encode(entry.Request{Request: []byte{1}})},
	} {
		db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "cache.db"))
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Log().Fold(t.Context(), []feed.Entry{e}); err == nil || !strings.HasPrefix(err.Error(), "entry 0: ") {
			t.Errorf("%s: got error %v", name, err)
		}
		if at, err := db.Log().Cursor(t.Context()); err != nil || at.Next != 0 {
			t.Errorf("%s: the cursor moved: %+v %v", name, at, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// BenchmarkFold folds transfers of a service, three entries each, as a busy log brings them: many at a time, each signed at once.
func BenchmarkFold(b *testing.B) {
	const transfers = 300
	db, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "cache.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	m, number := &made{}, 0
	batch := func() []feed.Entry {
		for range transfers {
			number++
			w := custody.WalletID(fmt.Sprint("w", number%48))
			id, _ := m.ask(fmt.Sprint(number), w)
			m.add(entry.KindPermit, entry.Permit{Request: id, Attempt: 1, Wallet: w})
			m.add(entry.KindResult, entry.Result{Request: id})
		}
		return m.take()
	}
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		entries := batch()
		b.StartTimer()
		if err := db.Log().Fold(b.Context(), entries); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*transfers), "us/transfer")
}
