// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"strongroom/internal/core/auditlog/anchor/file"
	"strongroom/internal/core/auditlog/disk"
	"strongroom/internal/core/auditlog/segment"
	"strongroom/internal/core/hsm/soft"
	"strongroom/internal/core/keystore/files"
	"strongroom/internal/core/securedomain"
	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/core/snapshots"
	"strongroom/internal/core/timeguard"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
	"strongroom/internal/secret"
)

// counting gives a document an address ledger and limits.
func counting(d *policy.Document) {
	transfers := []request.Operation{request.Transfer}
	coins, most := []custody.AssetID{domaintest.Chain.Native()}, custody.U64(1<<62)
	d.Whitelist = &policy.Whitelist{Plan: d.ChangePlan, CoolOff: 3600}
	d.Limits = []policy.Limit{
		{ID: "payee", When: policy.Match{Operations: transfers, Assets: coins}, Measure: policy.MeasureAmount, Max: most, Window: policy.Window{Rolling: 86400}, GroupBy: []policy.Aspect{policy.ByDestination}, Exceeded: policy.Deny},
		{ID: "times", When: policy.Match{Operations: transfers}, Measure: policy.MeasureCount, Max: most, Window: policy.Window{Rolling: 86400}, Exceeded: policy.Deny},
	}
}

// TestLargeState: a state that was written as larger starts as such, from a snapshot that the log commits; what is known of it is in force; and the full re-check
// says that the log does not lead there.
func TestLargeState(t *testing.T) {
	t.Parallel()
	h := domaintest.New(t, domaintest.Options{Document: counting})
	h.Wallet("hot", domaintest.Chain, request.SchemeEVM)
	const entries, events, payees = 9000, 20_000, 100 // two full chunks of the ledger and more
	x := domaintest.Large{Entries: entries, Events: events, Payees: payees, Service: h.Service.ID, Wallet: "hot", Chain: domaintest.Chain, Now: time.Unix(0, h.Clock.Wall.Load())}
	if err := h.D.Replace(x.Enlarge); err != nil {
		t.Fatal(err)
	}
	h.Reopen()
	if got := h.D.Book(message.List{From: entries, Limit: 10}); got.Total != entries+1 || len(got.Entries) != 1 || got.Entries[0].Standing != policy.Whitelisted || got.Entries[0].Entry.Address != domaintest.Payee(entries-1) {
		t.Errorf("ledger: %+v", got)
	}
	for limit, want := range map[string]uint64{"payee": events / 2 / payees, "times": events / 2} { // of the day before, and of a sixtieth more at most
		got, err := h.D.Limits(message.LimitsAsk{Limit: limit, Most: 1})
		if err != nil {
			t.Fatal(err)
		}
		if n, _ := got.Meters[0].Used.Uint64(); n < want || n > want+want/30 || limit == "payee" && got.Total != payees {
			t.Errorf("limit %s: %d meters, %d used, want about %d", limit, got.Total, n, want)
		}
	}
	v, err := h.Submit(h.Service, h.Request(h.Service, request.Transfer, request.TransferBody{Wallet: "hot", Asset: domaintest.Chain.Native(),
		Outputs: []request.Output{{Address: domaintest.Payee(7), Amount: custody.U64(1)}}, FeeCap: custody.U64(1)}), nil)
	if err != nil || v.Decision.Outcome != policy.Allowed || len(v.Decision.Limits) != 2 {
		t.Errorf("a transfer to an entry: %v, %+v", err, v.Decision)
	}
	h.D.Check(message.CheckStart{Start: true})
	for h.D.Check(message.CheckStart{}).Running {
		time.Sleep(time.Millisecond)
	}
	if c := h.D.Check(message.CheckStart{}); c.Done || !strings.Contains(c.Fault, "root") {
		t.Errorf("the re-check: %+v", c)
	}
}

// BenchmarkLargeState is how scripts/bench writes a large state into the data folder of a domain that the program made, whose path is in STRONGROOM_BENCH_DATA: so many
// entries of the ledger and counted transfers as STRONGROOM_BENCH_ENTRIES and STRONGROOM_BENCH_EVENTS say. It measures nothing.
func BenchmarkLargeState(b *testing.B) {
	dir := os.Getenv("STRONGROOM_BENCH_DATA")
	if dir == "" {
		b.Skip("no data folder is given: scripts/bench does")
	}
	entries, err := strconv.Atoi(cmp.Or(os.Getenv("STRONGROOM_BENCH_ENTRIES"), "0"))
	events, failed := strconv.Atoi(cmp.Or(os.Getenv("STRONGROOM_BENCH_EVENTS"), "0"))
	if err = errors.Join(err, failed); err != nil {
		b.Fatal(err)
	}
	d := openFolder(b, dir)
	err = d.Replace(func(s *authority.State) (*authority.State, error) {
		x := domaintest.Large{Entries: entries, Events: events, Payees: max(entries, 1), Wallet: s.Wallets(0, 1)[0].ID, Chain: s.Wallets(0, 1)[0].Chain, Now: time.Unix(0, s.Time)}
		for _, p := range s.Doc.Principals {
			if p.Kind == policy.Service {
				x.Service = p.ID
			}
		}
		return x.Enlarge(s)
	})
	if err != nil {
		b.Fatal(err)
	}
}

// openFolder opens the domain of a data folder as the program does, under the passphrase of test/bench.
func openFolder(b *testing.B, dir string) *securedomain.Domain {
	b.Helper()
	must := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	arena, err := secret.NewArena(secret.Config{Size: 16 << 20})
	must(err)
	b.Cleanup(func() { _ = arena.Close() })
	pass, err := secret.Take(arena, []byte("a passphrase for benchmarks"))
	must(err)
	root, err := soft.Open(soft.Config{Arena: arena, Dir: filepath.Join(dir, "root"), Argon: soft.Argon{Time: 1, Memory: 8 << 10, Lanes: 1}, WeakUnsafe: true}, pass)
	pass.Wipe()
	must(err)
	b.Cleanup(root.Close)
	logDir, err := disk.OS(filepath.Join(dir, "log"), disk.Options{})
	must(err)
	store, err := segment.Open(logDir, segment.Options{})
	must(err)
	b.Cleanup(func() { _ = store.Close() })
	anchorDir, err := disk.OS(filepath.Join(dir, "anchor"), disk.Options{})
	must(err)
	anchor, err := file.Open(anchorDir)
	must(err)
	b.Cleanup(func() { _ = anchor.Close() })
	cfg := securedomain.Config{Arena: arena, Root: root, Store: store, Anchor: anchor, Logger: slog.New(slog.DiscardHandler), CacheKeys: 1024}
	cfg.Blobs, err = files.Open(filepath.Join(dir, "blobs"))
	must(err)
	cfg.Snapshots, err = snapshots.Open(filepath.Join(dir, "snapshots"))
	must(err)
	cfg.Clock, err = timeguard.NewSystem(time.Second)
	must(err)
	cfg.Era, _, err = securedomain.EraOf(context.Background(), anchor, store)
	must(err)
	d, err := securedomain.Open(context.Background(), cfg)
	must(err)
	b.Cleanup(func() { must(d.Close()) })
	return d
}
