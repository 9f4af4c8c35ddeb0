// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"strongroom/internal/core/keystore"
	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// pair is an online domain with an offline one.
type pair struct {
	*domaintest.Harness
	t      *testing.T
	box    *box
	memory *domaintest.Memory
	nonce  uint64
}

func newPair(t *testing.T, o domaintest.Options) *pair {
	t.Helper()
	o.Document, o.Memory = withCold, domaintest.NewMemory()
	p := &pair{Harness: domaintest.New(t, o), t: t, memory: o.Memory}
	b, add := newBox(t, p.Harness, "vault")
	p.box = b
	allowMoves(t, p.Harness, add)
	p.Wallet("hot", domaintest.Chain, request.SchemeEVM)
	return p
}

func (p *pair) far() message.OfflineDomain {
	p.t.Helper()
	all := p.D.OfflineDomains().Domains
	if len(all) != 1 {
		p.t.Fatalf("%+v", all)
	}
	return all[0]
}

// move moves the wallet hot, to the offline domain or back.
func (p *pair) move(to request.Temperature) (message.Request, error) {
	p.t.Helper()
	body := request.WalletMoveBody{Wallet: "hot", Temperature: to}
	id := custody.DomainID(p.D.ID())
	if to == request.Cold {
		id = p.far().ID
	}
	body.To = id[:]
	return p.Govern(request.WalletMove, body, p.Bob, p.Carol)
}

func (p *pair) mustMove(to request.Temperature) {
	p.t.Helper()
	if v, err := p.move(to); err != nil || v.State != message.StateExecuted {
		p.t.Fatalf("%v, %+v", err, v)
	}
}

func (p *pair) carry() message.OfflineImported {
	p.t.Helper()
	p.Clock.Advance(time.Second)
	in, r, err := carry(p.Harness, p.box)
	if err != nil {
		p.t.Fatalf("%v, %+v", err, r)
	}
	return in
}

// asks has a transfer approved.
func (p *pair) asks(amount uint64) message.Request {
	p.t.Helper()
	v, err := p.Govern(request.Transfer, transferBody("hot", ether(), domaintest.Whitelisted, amount), p.Bob, p.Carol)
	if err != nil {
		p.t.Fatal(err)
	}
	return v
}

// permits asks for the signature of a transfer that goes to the offline domain.
func (p *pair) permits(amount, price uint64) (message.Request, []byte) {
	p.t.Helper()
	v := p.asks(amount)
	payload := ethPayload(p.t, amount, p.nonce, price)
	out, err := p.D.Sign(context.Background(), v.ID, payload)
	if err != nil || !out.Exported || len(out.Bytes) > 0 {
		p.t.Fatalf("%v, %+v", err, out)
	}
	p.nonce++
	p.state(v.ID, message.StateExported)
	return v, payload
}

func (p *pair) state(id custody.RequestID, want message.State) message.Request {
	p.t.Helper()
	v, err := p.D.Request(context.Background(), id)
	if err != nil || v.State != want {
		p.t.Fatalf("%v: the request is %s, want %s", err, v.State, want)
	}
	return v
}

// seats says where the seed of the wallet hot is: blobs here that the working key opens, and sealed copies on their way.
func (p *pair) seats() (here, sealed int) {
	p.t.Helper()
	w, err := p.D.Wallet("hot")
	if err != nil {
		p.t.Fatal(err)
	}
	for ref := range p.memory.Blobs() {
		switch ref.Key {
		case w.Wallet.Key:
			here++
		case authority.SealedCopies:
			sealed++
		}
	}
	return here, sealed
}

func (p *pair) wantSeats(here, sealed int) {
	p.t.Helper()
	if _, err := p.Settled(); err != nil {
		p.t.Fatal(err)
	}
	if h, s := p.seats(); h != here || s != sealed {
		p.t.Errorf("%d blobs of the seed are here and %d sealed copies, want %d and %d", h, s, here, sealed)
	}
}

// There and back, with restarts and full checks between: while the key is away nothing here can sign, what is permitted is signed there, and the
// addresses stay.
func TestColdThereAndBack(t *testing.T) {
	t.Parallel()
	p := newPair(t, domaintest.Options{SnapshotEvery: 7})
	was, err := p.D.Wallet("hot")
	if err != nil {
		t.Fatal(err)
	}
	mustPay(t, p.Harness, "hot", 0)
	p.nonce = 1
	p.wantSeats(1, 0)
	p.mustMove(request.Cold)
	p.wantSeats(0, 1)
	if a, n := p.D.Unsealed(); a+n != 0 {
		t.Errorf("%d keys are open after the key went", a+n)
	}
	if err := p.D.OpenKey("hot"); err == nil {
		t.Error("the ring hands out the key of a cold wallet")
	}
	p.Check()
	p.Reopen()
	if w, err := p.D.Wallet("hot"); err != nil || w.Temperature != request.Cold || w.Away == nil || w.Away.Name != "vault" || w.Away.Way != "leaving" {
		t.Fatalf("%v, %+v", err, w)
	}
	first, payload := p.permits(1000, 10)
	in := p.carry()
	if len(in.MovedIn) != 1 || len(in.Signed) != 1 || in.Signed[0] != first.ID {
		t.Fatalf("%+v", in)
	}
	p.wantSeats(0, 0)
	v := p.state(first.ID, message.StateSigned)
	if v.Signed == nil || len(v.Signed.Bytes) == 0 {
		t.Fatalf("%+v", v)
	}
	again, err := p.D.Sign(context.Background(), first.ID, payload)
	if err != nil || again.Exported || !bytes.Equal(again.Bytes, v.Signed.Bytes) {
		t.Errorf("asked again: %v, %+v", err, again)
	}
	proves(t, p.Harness, first.ID, 2, 1)
	p.Reopen()
	second, _ := p.permits(2000, 10)
	if out, err := p.D.Sign(context.Background(), second.ID, ethPayload(t, 2000, p.nonce-1, 20)); err != nil || !out.Exported || out.Attempt != 2 {
		t.Fatalf("a replacement: %v, %+v", err, out)
	}
	p.mustMove(request.Warm)
	p.state(second.ID, message.StateExported)
	waits := p.asks(5)
	if waits.Missing == nil || waits.Missing.Kind != problem.KeyAway {
		t.Errorf("%+v", waits)
	}
	if _, err := p.D.Sign(context.Background(), waits.ID, ethPayload(t, 5, p.nonce, 10)); problem.KindOf(err) != problem.KeyAway {
		t.Errorf("a permit while the key comes back: %v", err)
	}
	p.Check()
	if in = p.carry(); len(in.MovedOut) != 1 {
		t.Fatalf("%+v", in)
	}
	p.wantSeats(1, 0)
	now, err := p.D.Wallet("hot")
	if err != nil || now.Address != was.Address || now.Temperature != request.Warm || now.Away != nil || string(now.Wallet.Public) != string(was.Wallet.Public) {
		t.Errorf("%v, %+v", err, now)
	}
	p.Check()
	p.Reopen()
	open := request.WarmOpenBody{Wallet: "hot", Asset: ether(), Amount: custody.U64(100 * gas), NotAfter: p.Clock.Wall.Load()/1e9 + 3600}
	govern(t, p.Harness, request.WarmOpen, open)
	v = p.state(second.ID, v.State)
	if v.State == message.StateSigned && (v.Signed == nil || len(v.Signed.Bytes) == 0) {
		if _, err := p.D.Sign(context.Background(), second.ID, nil); err != nil {
			t.Errorf("what came back unsigned: %v", err)
		}
	}
	if out, err := p.D.Sign(context.Background(), waits.ID, ethPayload(t, 5, p.nonce, 10)); err != nil || len(out.Bytes) == 0 {
		t.Errorf("signed here again: %v", err)
	}
	p.Check()
	proveAll(t, p.Harness)
}

// proveAll verifies the proof of every request.
func proveAll(t *testing.T, h *domaintest.Harness) {
	t.Helper()
	for _, x := range scan(t, h) {
		if e, ok := x.body.(*entry.Request); ok {
			r, err := e.Parse()
			if err != nil {
				t.Fatal(err)
			}
			proves(t, h, r.Ident, -1, -1)
		}
	}
}

// A result counts once, whole, in order, and for the bundle that it answers.
func TestResultRefused(t *testing.T) {
	t.Parallel()
	p := newPair(t, domaintest.Options{})
	p.mustMove(request.Cold)
	p.carry()
	p.permits(1000, 10)
	out, _, err := bundle(p.Harness, "vault", false)
	if err != nil {
		t.Fatal(err)
	}
	before := p.box.clone(t, p.Clock)
	result, _, err := p.box.work(out, p.Alice, p.Bob)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(result); i += 1 + len(result)/200 {
		bad := bytes.Clone(result)
		bad[i] ^= 1
		if _, err := handIn(p.Harness, bad); err == nil {
			t.Fatalf("byte %d was altered, and the result was taken", i)
		}
	}
	if _, err := handIn(p.Harness, result[:len(result)-40]); problem.KindOf(err) != problem.Malformed {
		t.Errorf("cut off: %v", err)
	}
	size := p.D.Status().Size
	other := newPair(t, domaintest.Options{})
	if _, err := handIn(other.Harness, result); problem.KindOf(err) != problem.NotFound {
		t.Errorf("another authority's: %v", err)
	}
	if p.D.Status().Size != size {
		t.Error("what was refused left entries")
	}
	if in, err := handIn(p.Harness, result); err != nil || len(in.Signed) != 1 {
		t.Fatalf("%v, %+v", err, in)
	}
	if _, err := handIn(p.Harness, result); problem.KindOf(err) != problem.AlreadyDone {
		t.Errorf("twice: %v", err)
	}
	// The machine was set back to before it signed, and goes on: its log has another past than the one that is known.
	p.Clock.Advance(time.Second)
	again, _, err := before.work(out, p.Alice, p.Carol)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := handIn(p.Harness, again); problem.KindOf(err) != problem.AlreadyDone && problem.KindOf(err) != problem.Conflict {
		t.Errorf("of a machine that was set back: %v", err)
	}
	// Out of order: a newer result brings all; the older one after it has nothing new.
	p.permits(7, 10)
	older, _, err := bundle(p.Harness, "vault", false)
	if err != nil {
		t.Fatal(err)
	}
	first, _, err := p.box.work(older, p.Alice, p.Bob)
	if err != nil {
		t.Fatal(err)
	}
	if in := p.carry(); len(in.Signed) != 1 {
		t.Fatalf("%+v", in)
	}
	if _, err := handIn(p.Harness, first); problem.KindOf(err) != problem.AlreadyDone {
		t.Errorf("the older result after the newer: %v", err)
	}
	p.Check()
}

// The rules change between the permit and the offline domain: what is permitted by them no more is not signed there, and says so here.
func TestRulesChangeBeforeTheBundle(t *testing.T) {
	t.Parallel()
	p := newPair(t, domaintest.Options{})
	p.mustMove(request.Cold)
	p.carry()
	v, _ := p.permits(1000, 10)
	newRules(t, p.Harness, func(d *policy.Document) {
		d.Guards = append(d.Guards, policy.Guard{ID: "stop", Effect: policy.Deny, Reason: "stopped", When: policy.Match{Operations: []request.Operation{request.Transfer}}})
	})
	in := p.carry()
	if len(in.Signed) != 0 || len(in.Refused) != 1 || in.Refused[0].Kind != problem.RefusedByRule {
		t.Fatalf("%+v", in)
	}
	p.state(v.ID, message.StateExported)
	newRules(t, p.Harness, func(d *policy.Document) { d.Guards = d.Guards[:len(d.Guards)-1] })
	if in = p.carry(); len(in.Signed) != 1 {
		t.Fatalf("%+v", in)
	}
	p.state(v.ID, message.StateSigned)
}

// A permit that has no result yet is signed before the key goes.
func TestMoveSettlesPermits(t *testing.T) {
	t.Parallel()
	faults := &domaintest.Faults{}
	p := newPair(t, domaintest.Options{Faults: faults})
	v := p.asks(1000)
	faults.FailAt(domaintest.BlobGet, 1, domaintest.Before, false)
	if _, err := p.D.Sign(context.Background(), v.ID, ethPayload(t, 1000, 0, 10)); err == nil {
		t.Fatal("signed without a seed")
	}
	p.Reopen() // the state comes from the log, or from a snapshot: the wallet of the permit is read again
	p.mustMove(request.Cold)
	if got := p.state(v.ID, message.StateSigned); got.Signed == nil || len(got.Signed.Bytes) == 0 {
		t.Fatalf("%+v", got)
	}
}

// Backups have the sealed copy while a key leaves, and nothing of it while it is away; what they bring back goes on.
func TestBackupWhileKeysAreAway(t *testing.T) {
	t.Parallel()
	for _, held := range []bool{false, true} {
		p := newPair(t, domaintest.Options{})
		p.Wallet("other", domaintest.Chain, request.SchemeEVM)
		p.mustMove(request.Cold)
		if held {
			p.carry()
		}
		p.wantSeats(0, map[bool]int{false: 1, true: 0}[held])
		f := domaintest.Folder{}
		m := mustBackUp(t, p.Harness, f)
		if c, err := p.CheckBackup(f, m); err != nil || c.Keys != 1 {
			t.Fatalf("%+v, %v", c, err)
		}
		r := p.NewMachine(true)
		if got, err := r.RestoreBackup(f, f.Newest()); err != nil || got.Keys != 1 {
			t.Fatalf("%+v, %v", got, err)
		}
		p.Close()
		r.Reopen()
		p.box.clock = r.Clock
		p.Harness = r
		if w, err := r.D.Wallet("hot"); err != nil || w.Temperature != request.Cold {
			t.Fatalf("%v, %+v", err, w)
		}
		if !held {
			if in := p.carry(); len(in.MovedIn) != 1 {
				t.Fatalf("%+v", in)
			}
		}
		p.permits(5, 10)
		if in := p.carry(); len(in.Signed) != 1 {
			t.Fatalf("%+v", in)
		}
		r.Check()
	}
}

// Epochs go on without the keys that are away; a key that comes back in the middle of a rotation is enciphered with the others.
func TestEpochsWhileKeysAreAway(t *testing.T) {
	t.Parallel()
	p := newPair(t, domaintest.Options{Recovery: true})
	p.Wallet("other", domaintest.Chain, request.SchemeEVM)
	mustStep(t, p.Harness, request.EpochLoad)
	mustStep(t, p.Harness, request.EpochCommit)
	p.mustMove(request.Cold)
	p.wantSeats(0, 1+3) // sealed copies of two epochs and of the identity
	p.carry()
	p.mustMove(request.Hot) // its import key has a blob under both
	mustStep(t, p.Harness, request.EpochActivate)
	p.carry()
	mustStep(t, p.Harness, request.EpochFinalize)
	mustPay(t, p.Harness, "hot", 0)
	mustPay(t, p.Harness, "other", 0)
	p.Reopen()
	mustPay(t, p.Harness, "hot", 1)
	p.Check()
}

// After zeroize no bundle is written and no result taken; after the restore a key that waited comes back.
func TestZeroizeWhileKeysAreAway(t *testing.T) {
	t.Parallel()
	p := newPair(t, domaintest.Options{Recovery: true})
	p.mustMove(request.Cold)
	p.carry()
	p.mustMove(request.Hot)
	out, _, err := bundle(p.Harness, "vault", false)
	if err != nil {
		t.Fatal(err)
	}
	result, _, err := p.box.work(out, p.Alice, p.Bob)
	if err != nil {
		t.Fatal(err)
	}
	copies := p.memory.Blobs()
	if _, err := p.Zeroize(p.Carol); err != nil {
		t.Fatal(err)
	}
	if _, err := handIn(p.Harness, result); problem.KindOf(err) != problem.Zeroized {
		t.Errorf("a result after zeroize: %v", err)
	}
	if _, _, err := bundle(p.Harness, "vault", false); problem.KindOf(err) != problem.Zeroized {
		t.Errorf("a bundle after zeroize: %v", err)
	}
	if _, err := p.Settled(); err != nil {
		t.Fatal(err)
	}
	if err := p.PutBack(1, copies); err != nil {
		t.Fatal(err)
	}
	if v, err := p.Restore(); err != nil || v.State != message.StateExecuted {
		t.Fatalf("%v, %+v", err, v)
	}
	if in, err := handIn(p.Harness, result); err != nil || len(in.MovedOut) != 1 {
		t.Fatalf("%v, %+v", err, in)
	}
	mustPay(t, p.Harness, "hot", 0)
	p.Check()
}

// Nothing goes out or comes in while its control point is off, or for whom nobody knows.
func TestExportRefused(t *testing.T) {
	t.Parallel()
	p := newPair(t, domaintest.Options{})
	if _, _, err := bundle(p.Harness, "nobody", false); problem.KindOf(err) != problem.NotFound {
		t.Errorf("an unknown domain: %v", err)
	}
	first, b, err := bundle(p.Harness, "", false)
	if err != nil || b.Number != 1 || b.Name != "vault" || len(first) == 0 {
		t.Fatalf("%v, %+v", err, b)
	}
	if _, err := p.D.OfflineNext(context.Background(), message.OfflineNext{Run: make([]byte, 16)}); problem.KindOf(err) != problem.NotFound {
		t.Errorf("another run: %v", err)
	}
	if _, err := p.D.OfflineImport(context.Background(), message.OfflineImport{Run: []byte{1}}); problem.KindOf(err) != problem.Malformed {
		t.Errorf("a short run: %v", err)
	}
	if _, err := p.D.OfflineImport(context.Background(), message.OfflineImport{Run: make([]byte, 16), Offset: 5, Bytes: []byte{1}}); problem.KindOf(err) != problem.NotFound {
		t.Errorf("from the middle: %v", err)
	}
	if _, err := handIn(p.Harness, []byte("no parcel at all")); problem.KindOf(err) != problem.Malformed {
		t.Errorf("no parcel: %v", err)
	}
	p.Clock.Unsure.Store(true)
	if _, _, err := bundle(p.Harness, "vault", false); problem.KindOf(err) != problem.TimeUncertain {
		t.Errorf("by an uncertain clock: %v", err)
	}
	p.Clock.Unsure.Store(false)
	off := request.PointsSetBody{Counter: p.Life().Counter + 1, Deny: p.Life().Allowed}
	if _, err := p.Govern(request.PointsSet, off, p.Bob, p.Carol); err != nil {
		t.Fatal(err)
	}
	if _, _, err := bundle(p.Harness, "vault", false); problem.KindOf(err) != problem.Forbidden {
		t.Errorf("switched off: %v", err)
	}
	if _, err := handIn(p.Harness, first); problem.KindOf(err) != problem.Forbidden {
		t.Errorf("switched off: %v", err)
	}
}

// Whoever serves the blobs can't put an old one back: what the log gave up is not opened.
func TestOldBlobOfAColdWallet(t *testing.T) {
	t.Parallel()
	p := newPair(t, domaintest.Options{})
	w, err := p.D.Wallet("hot")
	if err != nil {
		t.Fatal(err)
	}
	old := map[keystore.Ref][]byte{}
	for ref, b := range p.memory.Blobs() {
		if ref.Key == w.Wallet.Key {
			old[ref] = b
		}
	}
	p.mustMove(request.Cold)
	p.carry()
	for ref, b := range old {
		p.memory.SetBlob(ref, b)
	}
	p.Reopen()
	if err := p.D.OpenKey("hot"); err == nil {
		t.Error("a blob that the log gave up was opened")
	}
	p.permits(5, 10)
	p.mustMove(request.Hot)
	p.carry()
	mustPay(t, p.Harness, "hot", 1)
	p.Check()
}
