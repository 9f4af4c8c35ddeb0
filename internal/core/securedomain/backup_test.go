// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"strongroom/internal/core/backup"
	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	format "strongroom/internal/pure/backup"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

func calm() {}

func mustBackUp(t testing.TB, h *domaintest.Harness, f domaintest.Folder) *format.Manifest {
	t.Helper()
	m, err := h.Backup(f, calm)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// addressOf gives the first address of a wallet.
func addressOf(t testing.TB, h *domaintest.Harness, id custody.WalletID) string {
	t.Helper()
	w, err := h.D.Wallet(id)
	if err != nil {
		t.Fatal(err)
	}
	return w.Address
}

// A backup, more of it, and a restore on a machine where only the root of trust is left: the same addresses, and signing goes on.
func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	h := domaintest.New(t, domaintest.Options{Recovery: true, SnapshotEvery: 7})
	h.Wallet("first", domaintest.Chain, request.SchemeEVM)
	f := domaintest.Folder{}
	one := mustBackUp(t, h, f)
	if again := mustBackUp(t, h, f); again.End() != one.End() || len(f) != 2 {
		t.Fatalf("nothing happened, and the backup grew from %d to %d entries in %d files", one.End(), again.End(), len(f))
	}
	h.Wallet("second", domaintest.Chain, request.SchemeEVM)
	mustPay(t, h, "first", 0)
	two := mustBackUp(t, h, f)
	if len(two.Packs) != 2 || two.Packs[0] != one.Packs[0] || two.Packs[1].First != one.End() {
		t.Fatalf("%+v after %+v", two.Packs, one.Packs)
	}
	if c, err := h.CheckBackup(f, two); err != nil || c.Keys != 2 || c.Blobs != 2 || c.Opened != 2 || c.Entries != two.End() || !c.Copies {
		t.Fatalf("%+v, %v", c, err)
	}
	if c, err := h.CheckBackup(f, one); err != nil || c.Keys != 1 {
		t.Fatalf("of the first day: %+v, %v", c, err)
	}
	for _, anchor := range []bool{true, false} {
		n := h.NewMachine(anchor)
		r, err := n.RestoreBackup(f, f.Newest())
		if err != nil || r.Keys != 2 {
			t.Fatal(err)
		}
		n.Reopen()
		for _, w := range []custody.WalletID{"first", "second"} {
			if addressOf(t, n, w) != addressOf(t, h, w) {
				t.Errorf("%s has another address", w)
			}
		}
		mustPay(t, n, "first", 1)
		mustPay(t, n, "second", 0)
		n.Check()
		if s := n.D.Status(); s.Writer != h.D.Status().Writer+1 {
			t.Errorf("the restored core writes with epoch %d", s.Writer)
		}
		g := maps.Clone(f) // and it can be backed up in the same folder
		if c, err := n.CheckBackup(g, mustBackUp(t, n, g)); err != nil || c.Keys != 2 {
			t.Errorf("%+v, %v", c, err)
		}
		n.Close()
	}
}

// A backup of an older day is a whole domain too, but only where nothing knows of a later one.
func TestRestoreOfAnOlderDay(t *testing.T) {
	t.Parallel()
	h := domaintest.New(t, domaintest.Options{})
	h.Wallet("first", domaintest.Chain, request.SchemeEVM)
	f := domaintest.Folder{}
	one := mustBackUp(t, h, f)
	h.Wallet("second", domaintest.Chain, request.SchemeEVM)
	mustBackUp(t, h, f)
	if _, err := h.NewMachine(true).RestoreBackup(f, one.Encode()); err == nil || !strings.Contains(err.Error(), "that were acknowledged are missing") {
		t.Errorf("behind the pin: got error %v", err)
	}
	n := h.NewMachine(false)
	if _, err := n.RestoreBackup(f, one.Encode()); err != nil {
		t.Fatal(err)
	}
	n.Reopen()
	if addressOf(t, n, "first") != addressOf(t, h, "first") {
		t.Error("another address")
	}
	// This past and that one part here.
	n.Wallet("other", domaintest.Chain, request.SchemeEVM)
	n.Wallet("more", domaintest.Chain, request.SchemeEVM)
	_, err := n.Backup(f, calm)
	wantKind(t, "a folder of another past", err, problem.Conflict)
	g := domaintest.Folder{}
	mustBackUp(t, n, g)
	n.Close()
	if _, err := h.NewMachine(true).RestoreBackup(g, g.Newest()); err == nil || !strings.Contains(err.Error(), "another past") && !strings.Contains(err.Error(), "missing") {
		t.Errorf("another past of the pin: got error %v", err)
	}
}

// What is altered, missing or of another domain is refused, named, and nothing is written.
func TestRestoreRefusals(t *testing.T) {
	t.Parallel()
	h := domaintest.New(t, domaintest.Options{Recovery: true})
	h.Wallet("first", domaintest.Chain, request.SchemeEVM)
	f := domaintest.Folder{}
	one := mustBackUp(t, h, f)
	h.Wallet("second", domaintest.Chain, request.SchemeEVM)
	two := mustBackUp(t, h, f)
	other := domaintest.New(t, domaintest.Options{})
	other.Wallet("first", domaintest.Chain, request.SchemeEVM)
	strange := domaintest.Folder{}
	theirs := mustBackUp(t, other, strange)
	pack := two.Packs[1].Name()
	resigned := func(change func(*format.Manifest)) []byte {
		m := *two
		m.Packs = slices.Clone(two.Packs)
		change(&m)
		m.Signature = h.D.SignIdentity(m.Message())
		return m.Encode()
	}
	tests := []struct {
		name     string
		change   func(domaintest.Folder)
		manifest []byte
		want     error  // or
		says     string // part of the message
	}{
		{"altered pack", func(f domaintest.Folder) { f[pack] = bytes.Clone(f[pack]); f[pack][99] ^= 1 }, nil, backup.ErrPack, pack},
		{"cut pack", func(f domaintest.Folder) { f[pack] = f[pack][:len(f[pack])-1] }, nil, backup.ErrPack, pack},
		{"missing pack", func(f domaintest.Folder) { delete(f, pack) }, nil, fs.ErrNotExist, pack},
		{"pack of another domain", func(f domaintest.Folder) { f[pack] = strange[theirs.Packs[0].Name()] }, nil, backup.ErrPack, pack},
		{"manifest of another domain", nil, theirs.Encode(), format.ErrManifest, "identity key"},
		{"altered manifest", nil, bytes.Replace(two.Encode(), two.Last[:], one.Last[:], 1), format.ErrManifest, "altered"},
		{"cut manifest", nil, two.Encode()[:99], format.ErrManifest, ""},
		{"no manifest", nil, []byte{}, format.ErrManifest, ""},
		{"pack under another name", nil, resigned(func(m *format.Manifest) { m.Packs[1].End++ }), format.ErrManifest, "checkpoint"},
		{"packs that leave a gap", nil, resigned(func(m *format.Manifest) { m.Packs = m.Packs[1:] }), format.ErrManifest, "pack 0"},
		{"another last entry", nil, resigned(func(m *format.Manifest) { m.Last[0]++ }), nil, "lead to the manifest"},
		{"another epoch", nil, resigned(func(m *format.Manifest) { m.Epoch = 2 }), nil, "another working key"},
		{"another phase", nil, resigned(func(m *format.Manifest) { m.Zeroized = true }), nil, "phase"},
		{"copies that are not the record's", nil, resigned(func(m *format.Manifest) { m.Copies.Identity = []byte{1} }), format.ErrManifest, "sealed copy"},
		{"copies without a record", nil, resigned(func(m *format.Manifest) { m.Recovery = nil }), format.ErrManifest, "without a recovery record"},
		{"an unknown incarnation", nil, resigned(func(m *format.Manifest) { m.Incarnation = 2 }), format.ErrManifest, "incarnation"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g, m := maps.Clone(f), tt.manifest
			if tt.change != nil {
				tt.change(g)
			}
			if m == nil {
				m = two.Encode()
			}
			n := h.NewMachine(false)
			_, err := n.RestoreBackup(g, m)
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Fatalf("got error %v, want %v, saying %q", err, tt.want, tt.says)
			}
			if d, err := format.Decode(m); err == nil && tt.name != "another epoch" { // the running core finds the same
				if _, err := h.CheckBackup(g, d); err == nil && g[pack] != nil {
					t.Error("the check finds nothing")
				}
			}
			if _, err := n.RestoreBackup(f, two.Encode()); err != nil { // nothing was written
				t.Errorf("the folder is not clean: %v", err)
			}
			if _, err := n.RestoreBackup(f, two.Encode()); err == nil || !strings.Contains(err.Error(), "already") {
				t.Errorf("into a folder with a log: got error %v", err)
			}
		})
	}
	_, err := h.D.BackupOpen(t.Context(), message.BackupOpen{Manifest: theirs.Encode()})
	wantKind(t, "a folder of another domain", err, problem.Malformed)
}

// Without the working key a restore says so; with the custodians' it goes on, on a root that is new.
func TestRestoreByCustodians(t *testing.T) {
	t.Parallel()
	h := domaintest.New(t, domaintest.Options{Recovery: true})
	h.Wallet("first", domaintest.Chain, request.SchemeEVM)
	f := domaintest.Folder{}
	m := mustBackUp(t, h, f)
	n := h.NewMachine(false)
	n.NewRoot()
	if _, err := n.RestoreBackup(f, m.Encode()); err == nil || !strings.Contains(err.Error(), "custodians") {
		t.Fatalf("an empty root: got error %v", err)
	}
	if err := n.Recover(m, 2); err == nil {
		t.Fatal("other custodians opened the sealed copies")
	}
	for range 2 { // a crash may have come between
		if err := n.Recover(m, 1); err != nil {
			t.Fatal(err)
		}
	}
	wantLabels(t, n, "dwk-1", "identity")
	if _, err := n.RestoreBackup(f, m.Encode()); err != nil {
		t.Fatal(err)
	}
	n.Reopen()
	if addressOf(t, n, "first") != addressOf(t, h, "first") {
		t.Error("another address")
	}
	mustPay(t, n, "first", 0)
	for _, op := range []request.Operation{request.EpochLoad, request.EpochCommit, request.EpochActivate, request.EpochFinalize} {
		mustStep(t, n, op) // the restored domain has its sealed copies, and can go on in its life
	}
	if c, err := n.CheckBackup(f, m); err != nil || c.Opened != 0 || c.Blobs != 1 {
		t.Errorf("a check after the working key was destroyed: %+v, %v", c, err)
	}
	mustBackUp(t, n, f)
	if _, err := n.NewMachine(false).RestoreBackup(f, m.Encode()); err == nil || !strings.Contains(err.Error(), "working key of epoch 1") {
		t.Errorf("a manifest of before the rotation, with the root of after: got error %v", err)
	}
	if err := n.Recover(mustBackUp(t, domaintest.New(t, domaintest.Options{Recovery: true}), domaintest.Folder{}), 1); err == nil {
		t.Error("a root took the keys of another domain")
	}
	plain := domaintest.New(t, domaintest.Options{})
	if err := n.Recover(mustBackUp(t, plain, domaintest.Folder{}), 1); !errors.Is(err, backup.ErrNoCopies) {
		t.Errorf("a domain without custodians: got error %v", err)
	}
}

// While a rotation is under way a backup has the blobs of both epochs, and after it none of the one that is over is restored.
func TestBackupWithinARotation(t *testing.T) {
	t.Parallel()
	h := domaintest.New(t, domaintest.Options{Recovery: true, Memory: domaintest.NewMemory()})
	h.Wallet("first", domaintest.Chain, request.SchemeEVM)
	f := domaintest.Folder{}
	for i, op := range []request.Operation{request.EpochLoad, request.EpochCommit, request.EpochActivate, request.EpochFinalize} {
		mustStep(t, h, op)
		if _, err := h.Settled(); err != nil {
			t.Fatal(err)
		}
		if i == 1 {
			h.Wallet("second", domaintest.Chain, request.SchemeEVM) // with two blobs
		}
		m := mustBackUp(t, h, f)
		if _, err := h.CheckBackup(f, m); err != nil {
			t.Fatalf("after %s: %v", op, err)
		}
		n := h.NewMachine(false)
		if _, err := n.RestoreBackup(f, m.Encode()); err != nil {
			t.Fatalf("after %s: %v", op, err)
		}
		n.Reopen()
		mustPay(t, n, "first", 0)
		if i == 3 {
			if got := len(n.Options.Memory.Blobs()); got != 2+2 {
				t.Errorf("%d blobs were restored, want those of two keys and two sealed copies", got)
			}
		}
		n.Close()
	}
}

// A zeroized domain is backed up with the sealed copies that its folder had, and comes back by its custodians and its recovery plan.
func TestBackupOfAZeroizedDomain(t *testing.T) {
	t.Parallel()
	h := domaintest.New(t, domaintest.Options{Recovery: true})
	h.Wallet("first", domaintest.Chain, request.SchemeEVM)
	f := domaintest.Folder{}
	mustBackUp(t, h, f)
	if _, err := h.Zeroize(h.Alice); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Settled(); err != nil {
		t.Fatal(err)
	}
	late := mustBackUp(t, h, domaintest.Folder{})
	if len(late.Copies.Identity) != 0 || !late.Zeroized {
		t.Errorf("a first backup after zeroize has sealed copies: %v", late.Copies)
	}
	m := mustBackUp(t, h, f)
	if len(m.Copies.Identity) == 0 || !m.Zeroized {
		t.Fatal("the sealed copies of the folder are not in its newest manifest")
	}
	plain := h.NewMachine(true)
	if _, err := plain.RestoreBackup(f, m.Encode()); err != nil {
		t.Fatal(err)
	}
	plain.Reopen()
	wantLabels(t, plain, "identity")
	if _, err := plain.Restore(); problem.KindOf(err) != problem.Locked {
		t.Errorf("restored without custodians: %v", err)
	}
	n := h.NewMachine(true)
	n.NewRoot()
	if err := n.Recover(m, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := n.RestoreBackup(f, m.Encode()); err != nil {
		t.Fatal(err)
	}
	n.Reopen()
	if _, err := paid(n, "first", 0); problem.KindOf(err) != problem.Zeroized {
		t.Fatalf("a zeroized domain signs: %v", err)
	}
	wantLabels(t, n, "identity", "restored-1")
	if _, err := n.Restore(); err != nil {
		t.Fatal(err)
	}
	mustPay(t, n, "first", 0)
	if again := mustBackUp(t, n, f); again.Zeroized || len(again.Copies.WorkingKey) == 0 {
		t.Errorf("the backup after the restore: %+v", again.Copies)
	}
}

// The log goes on while a backup is made: what came later is not in it, and nobody waits.
func TestBackupOnline(t *testing.T) {
	t.Parallel()
	h := hotDomain(t, domaintest.Options{Memory: domaintest.NewMemory()})
	f := domaintest.Folder{}
	ctx, cancel := context.WithCancel(t.Context())
	ticks := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			if _, err := h.Submit(h.Service, pay(h, h.Service, domaintest.Whitelisted, 1), nil); err != nil {
				t.Error(err)
				cancel()
			}
			select {
			case ticks <- struct{}{}:
			case <-ctx.Done():
			}
		}
	})
	var ends []uint64
	for range 6 {
		before := h.D.Status().Size
		m, err := h.Backup(f, func() {
			for range 10 {
				<-ticks
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if m.End() < before || h.D.Status().Size < m.End()+20 {
			t.Errorf("a backup ends at %d; the log had %d entries before, %d after", m.End(), before, h.D.Status().Size)
		}
		ends = append(ends, m.End())
	}
	cancel()
	wg.Wait()
	if len(slices.Compact(ends)) != 6 {
		t.Errorf("backups ended at %v", ends)
	}
	m, err := format.Decode(f.Newest())
	if err != nil || len(m.Packs) != 6 {
		t.Fatal(err)
	}
	n := h.NewMachine(false)
	if _, err := n.RestoreBackup(f, m.Encode()); err != nil {
		t.Fatal(err)
	}
	n.Reopen()
	n.Check()
}

// The calls of a backup come in order, and only while it is under way; a control point forbids it.
func TestBackupCalls(t *testing.T) {
	t.Parallel()
	h := domaintest.New(t, domaintest.Options{})
	h.Wallet("first", domaintest.Chain, request.SchemeEVM)
	ctx := t.Context()
	run, err := h.D.BackupOpen(ctx, message.BackupOpen{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.D.BackupClose(ctx, message.BackupRun{Run: run.Run})
	wantKind(t, "closed before its packs", err, problem.Conflict)
	_, err = h.D.BackupNext(ctx, message.BackupNext{Run: run.Run, Pack: 1})
	wantKind(t, "a pack too far", err, problem.Malformed)
	p, err := h.D.BackupNext(ctx, message.BackupNext{Run: run.Run})
	if err != nil {
		t.Fatal(err)
	}
	if again, err := h.D.BackupNext(ctx, message.BackupNext{Run: run.Run}); err != nil || !bytes.Equal(again.Bytes, p.Bytes) {
		t.Errorf("asked again, the pack is another one: %v", err)
	}
	_, err = h.D.BackupNext(ctx, message.BackupNext{Run: run.Run, Offset: p.Size + 1})
	wantKind(t, "beyond the pack", err, problem.Malformed)
	if end, err := h.D.BackupNext(ctx, message.BackupNext{Run: run.Run, Pack: 1}); err != nil || end.Size != 0 {
		t.Errorf("after the last pack: %+v, %v", end, err)
	}
	first, err := h.D.BackupClose(ctx, message.BackupRun{Run: run.Run})
	if err != nil {
		t.Fatal(err)
	}
	if again, err := h.D.BackupClose(ctx, message.BackupRun{Run: run.Run}); err != nil || !bytes.Equal(again.Manifest, first.Manifest) {
		t.Errorf("asked again, the manifest is another one: %v", err)
	}
	if _, err := h.D.BackupOpen(ctx, message.BackupOpen{}); err != nil {
		t.Fatal(err)
	}
	_, err = h.D.BackupNext(ctx, message.BackupNext{Run: run.Run})
	wantKind(t, "a backup that another one ended", err, problem.NotFound)
	check, err := h.D.CheckOpen(ctx, message.BackupManifest(first))
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.D.CheckClose(ctx, check)
	wantKind(t, "a check without packs", err, problem.Conflict)
	_, err = h.D.CheckNext(ctx, message.BackupPiece{Run: check.Run, Offset: 1, Bytes: p.Bytes[1:]})
	wantKind(t, "a pack from its middle", err, problem.Malformed)
	_, err = h.D.CheckNext(ctx, message.BackupPiece{Run: check.Run, Bytes: append(bytes.Clone(p.Bytes), 0)})
	wantKind(t, "more than the pack", err, problem.Malformed)
	_, err = h.D.CheckNext(ctx, message.BackupPiece{Run: run.Run, Bytes: p.Bytes})
	wantKind(t, "an unknown check", err, problem.NotFound)
	off := request.PointsSetBody{Counter: h.Life().Counter + 1, Deny: points.Make(points.Backup)}
	if _, err := h.Govern(request.PointsSet, off, h.Bob, h.Carol); err != nil {
		t.Fatal(err)
	}
	_, err = h.D.BackupOpen(ctx, message.BackupOpen{})
	wantKind(t, "switched off", err, problem.Forbidden)
}
