// SPDX-License-Identifier: Apache-2.0

package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"strongroom/internal/edge/sqlite"
	"strongroom/internal/gate"
	"strongroom/internal/gate/coretest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
	"strongroom/internal/svc/feed"
	"strongroom/internal/svc/transfer"
	"strongroom/internal/svc/transfer/transfertest"
	"strongroom/internal/svc/wallet"
	"strongroom/internal/svc/wallet/wallettest"
)

// files gives caches of a test and opens them again.
type files struct {
	mu    sync.Mutex
	paths map[any]string
	dbs   map[any]*sqlite.DB
}

func newFiles() *files { return &files{paths: map[any]string{}, dbs: map[any]*sqlite.DB{}} }

func (f *files) open(t testing.TB, path string) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func (f *files) fresh(t testing.TB, part func(*sqlite.DB) any) any {
	path := filepath.Join(t.TempDir(), "cache #1?.db")
	db := f.open(t, path)
	f.mu.Lock()
	defer f.mu.Unlock()
	p := part(db)
	f.paths[p], f.dbs[p] = path, db
	return p
}

func (f *files) again(t testing.TB, old any, part func(*sqlite.DB) any) any {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.dbs[old].Close(); err != nil {
		t.Fatal(err)
	}
	db := f.open(t, f.paths[old])
	p := part(db)
	f.paths[p], f.dbs[p] = f.paths[old], db
	return p
}

func TestCoinsConform(t *testing.T) {
	t.Parallel()
	f := newFiles()
	part := func(db *sqlite.DB) any { return db.Coins() }
	wallettest.Run(t, func(t testing.TB) wallet.Store { return f.fresh(t, part).(wallet.Store) },
		func(t testing.TB, s wallet.Store) wallet.Store { return f.again(t, s, part).(wallet.Store) })
}

func TestTransfersConform(t *testing.T) {
	t.Parallel()
	f := newFiles()
	part := func(db *sqlite.DB) any { return db.Transfers() }
	poke := func(t testing.TB, s transfer.Store, id custody.RequestID) {
		db, err := sql.Open("sqlite", "file:"+filepath.Join(filepath.Dir(f.paths[s]), "cache%20%231%3F.db"))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.Exec("UPDATE transfers SET poke = poke + 1, next = 0 WHERE request = ?", id[:]); err != nil {
			t.Fatal(err)
		}
	}
	transfertest.Run(t, func(t testing.TB) transfer.Store { return f.fresh(t, part).(transfer.Store) },
		func(t testing.TB, s transfer.Store) transfer.Store { return f.again(t, s, part).(transfer.Store) }, poke)
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := sqlite.Open(t.Context(), ""); err == nil {
		t.Error("no path was accepted")
	}
	garbage := filepath.Join(dir, "garbage.db")
	if err := os.WriteFile(garbage, []byte("this is no database, it is a text of some length that goes on and on and on"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(t.Context(), garbage); err == nil {
		t.Error("garbage was opened")
	}
	newer := filepath.Join(dir, "newer.db")
	db, err := sqlite.Open(t.Context(), newer)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := sql.Open("sqlite", "file:"+newer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := raw.Exec("PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	if err := raw.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(t.Context(), newer); err == nil {
		t.Error("a file of a newer version was opened")
	}
}

// house is a core and a cache that follows it.
type house struct {
	t    *testing.T
	core *coretest.Core
	path string
	db   *sqlite.DB
	f    *feed.Follower
}

func newHouse(t *testing.T) *house {
	h := &house{t: t, core: coretest.New(t, time.Now), path: filepath.Join(t.TempDir(), "cache.db")}
	h.core.AddWallet(t, "hot", coretest.Ethereum, request.SchemeEVM, 1)
	h.open(h.core)
	return h
}

func (h *house) open(core gate.Door) {
	h.t.Helper()
	db, err := sqlite.Open(h.t.Context(), h.path)
	if err != nil {
		h.t.Fatal(err)
	}
	h.db = db
	h.t.Cleanup(func() { _ = db.Close() })
	if h.f, err = feed.New(feed.Config{Core: core, Cache: db.Log(), Log: slog.New(slog.NewTextHandler(io.Discard, nil))}); err != nil {
		h.t.Fatal(err)
	}
}

// lose deletes the cache.
func (h *house) lose(core gate.Door) {
	h.t.Helper()
	if err := h.db.Close(); err != nil {
		h.t.Fatal(err)
	}
	for _, end := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(h.path + end); err != nil && !os.IsNotExist(err) {
			h.t.Fatal(err)
		}
	}
	h.open(core)
}

func (h *house) fold() {
	h.t.Helper()
	for {
		n, err := h.f.Step(h.t.Context(), false)
		if err != nil {
			h.t.Fatal(err)
		}
		if n == 0 {
			if at, err := h.db.Log().Cursor(h.t.Context()); err == nil && at.Next > 0 {
				return
			}
		}
	}
}

func (h *house) ask(key string, by coretest.Person, amount uint64) message.Request {
	h.t.Helper()
	body := request.TransferBody{Wallet: "hot", Asset: coretest.Ether, Outputs: []request.Output{{Address: coretest.EthereumTo, Amount: custody.U64(amount)}}, FeeCap: custody.U64(1e15)}
	r := request.Request{V: 1, Authority: h.core.Authority(), Domain: custody.DomainID(h.core.Authority()), Initiator: by.ID, Key: key,
		Operation: request.Transfer, Body: canon.Encode(body), NotAfter: time.Now().Unix() + 3600}
	v, err := gate.Call[message.Submit, message.Request](h.t.Context(), h.core, message.MethodSubmit, coretest.Signed(r, by))
	if err != nil {
		h.t.Fatal(err)
	}
	return v
}

func (h *house) approve(v message.Request, d request.Decision, by coretest.Person) {
	h.t.Helper()
	if _, err := gate.Call[message.Approve, message.Request](h.t.Context(), h.core, message.MethodApprove, coretest.Approval(v, d, by)); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) find(q feed.Query) []custody.RequestID {
	h.t.Helper()
	q.Limit = 100
	list, err := h.db.Log().Find(h.t.Context(), q)
	if err != nil {
		h.t.Fatal(err)
	}
	var out []custody.RequestID
	for _, x := range list {
		out = append(out, x.ID)
	}
	return out
}

func TestFoldFollowsTheLogAndIsMadeAnew(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ready := h.ask("ready", coretest.Payout, 5)
	waits := h.ask("waits", coretest.Anna, 50_000)
	rejected := h.ask("rejected", coretest.Anna, 50_001)
	h.fold()
	h.approve(rejected, request.Reject, coretest.Bruno)
	h.approve(waits, request.Approve, coretest.Bruno)
	check := func() {
		t.Helper()
		h.fold()
		if got := h.find(feed.Query{Open: true, Operation: request.Transfer}); len(got) != 2 || got[0] != ready.ID || got[1] != waits.ID {
			t.Errorf("open: %v", got)
		}
		if got := h.find(feed.Query{State: message.StateRejected}); len(got) != 1 || got[0] != rejected.ID {
			t.Errorf("rejected: %v", got)
		}
		if got := h.find(feed.Query{State: message.StateExecuted, Wallet: "hot"}); len(got) != 1 {
			t.Errorf("executed: %v", got)
		}
		if got := h.find(feed.Query{From: waits.Seq}); len(got) != 2 {
			t.Errorf("from: %v", got)
		}
		due, err := h.db.Transfers().Due(t.Context(), []custody.ChainID{coretest.Ethereum}, 0, 10)
		if err != nil || len(due) != 3 {
			t.Errorf("due: %+v %v", due, err)
		}
	}
	check()
	h.lose(h.core)
	check()
}

func TestApprovalMakesATransferDue(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	v := h.ask("waits", coretest.Anna, 50_000)
	h.fold()
	x, ok, err := h.db.Transfers().Transfer(t.Context(), v.ID)
	if err != nil || !ok {
		t.Fatal(err)
	}
	x.Next = 1 << 60
	if err := h.db.Transfers().Save(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	h.approve(v, request.Approve, coretest.Bruno)
	h.fold()
	due, err := h.db.Transfers().Due(t.Context(), []custody.ChainID{coretest.Ethereum}, 0, 10)
	if err != nil || len(due) != 1 {
		t.Fatalf("due: %+v %v", due, err)
	}
	if err := h.db.Transfers().Save(t.Context(), x); err != nil { // a worker that looked before the approval
		t.Fatal(err)
	}
	if due, err = h.db.Transfers().Due(t.Context(), []custody.ChainID{coretest.Ethereum}, 0, 10); err != nil || len(due) != 1 {
		t.Errorf("the approval was lost: %+v %v", due, err)
	}
}

func TestAnotherLogEmptiesTheCache(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.ask("one", coretest.Payout, 5)
	h.fold()
	other := newHouse(t)
	for i := range 5 {
		other.ask(fmt.Sprint("k", i), coretest.Payout, 6)
	}
	if err := h.db.Close(); err != nil {
		t.Fatal(err)
	}
	h.core = other.core
	h.open(other.core)
	h.fold()
	at, err := h.db.Log().Cursor(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var size uint64
	st, err := gate.Call[message.Empty, message.Status](t.Context(), other.core, message.MethodStatus, message.Empty{})
	if size = st.Size; err != nil || at.Next != size {
		t.Errorf("cursor %d, want %d (%v)", at.Next, size, err)
	}
	if got := h.find(feed.Query{Operation: request.Transfer}); len(got) != 5 {
		t.Errorf("%d transfers of the other log, want 5", len(got))
	}
}

func TestFoldIsWholeOrNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.fold()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	before, err := h.db.Log().Cursor(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h.ask("x", coretest.Payout, 5)
	if _, err := h.f.Step(ctx, false); err == nil {
		t.Error("a step without time was done")
	}
	if after, err := h.db.Log().Cursor(t.Context()); err != nil || after != before {
		t.Errorf("the cursor moved: %+v %v", after, err)
	}
	h.fold()
	if got := h.find(feed.Query{Operation: request.Transfer}); len(got) != 1 {
		t.Errorf("%v", got)
	}
}

// The cache's files are their owner's alone, whatever the umask, also those that an earlier version left open to others.
func TestFilesArePrivate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "cache.db")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		db, err := sqlite.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Log().Cursor(t.Context()); err != nil {
			t.Fatal(err)
		}
		list, err := filepath.Glob(path + "*")
		if err != nil || len(list) != 3 {
			t.Fatalf("%v %v", list, err)
		}
		for _, name := range list {
			if i, err := os.Stat(name); err != nil || i.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v %v", name, i.Mode(), err)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
