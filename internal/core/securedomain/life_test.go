// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"strongroom/internal/core/keystore"
	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/verify"
)

// labels lists what the soft root of a harness has sealed.
func labels(t *testing.T, h *domaintest.Harness) (out []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(h.Dir, "root", "*.sealed"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		out = append(out, strings.TrimSuffix(filepath.Base(f), ".sealed"))
	}
	slices.Sort(out)
	return out
}

func wantLabels(t *testing.T, h *domaintest.Harness, want ...string) {
	t.Helper()
	if got := labels(t, h); !slices.Equal(got, want) {
		t.Fatalf("the root has %v, want %v", got, want)
	}
}

// paid has alice pay from a wallet with the next nonce, approved by two.
func paid(h *domaintest.Harness, wallet custody.WalletID, nonce uint64) ([]byte, error) {
	v, err := h.Govern(request.Transfer, request.TransferBody{Wallet: wallet, Asset: domaintest.Chain.Native(),
		Outputs: []request.Output{{Address: domaintest.Whitelisted, Amount: custody.U64(1000)}}, FeeCap: custody.U64(21000 * 100)}, h.Bob, h.Carol)
	if err != nil {
		return nil, err
	}
	out, err := h.D.Sign(context.Background(), v.ID, ethPayload(h.T, 1000, nonce, 10))
	return out.Bytes, err
}

func mustPay(t *testing.T, h *domaintest.Harness, wallet custody.WalletID, nonce uint64) {
	t.Helper()
	if b, err := paid(h, wallet, nonce); err != nil || len(b) == 0 {
		t.Fatalf("pay from %s with nonce %d: %v", wallet, nonce, err)
	}
}

func mustStep(t *testing.T, h *domaintest.Harness, want request.Operation) {
	t.Helper()
	if op, err := h.Step(); err != nil || op != want {
		t.Fatalf("%s, want %s: %v", op, want, err)
	}
}

// A rotation from the load to the end, with a restart after each step: signing never stops, keys that are born on the way have both blobs,
// and what is over is gone from root and store.
func TestRotation(t *testing.T) {
	t.Parallel()
	memory := domaintest.NewMemory()
	h := domaintest.New(t, domaintest.Options{Memory: memory, Recovery: true, SnapshotEvery: 5})
	nonce := map[custody.WalletID]uint64{}
	pay := func() {
		for _, w := range []custody.WalletID{"first", "second", "third"} {
			if _, err := h.D.Wallet(w); err == nil {
				mustPay(t, h, w, nonce[w])
				nonce[w]++
			}
		}
	}
	h.Wallet("first", domaintest.Chain, request.SchemeEVM)
	wantLabels(t, h, "dwk-1", "identity")
	first := memory.Blobs()
	mustStep(t, h, request.EpochLoad)
	wantLabels(t, h, "dwk-1", "dwk-2", "identity")
	h.Reopen()
	pay()
	mustStep(t, h, request.EpochCommit)
	born := h.Wallet("second", domaintest.Chain, request.SchemeEVM)
	if l, err := h.Settled(); err != nil || l.Next == nil || l.Next.Keys != 2 {
		t.Fatalf("%+v, %v", l.Next, err)
	}
	h.Reopen()
	pay()
	mustStep(t, h, request.EpochActivate)
	if l := h.Life(); l.Epoch != 2 || l.Previous == nil || l.Previous.Epoch != 1 || l.Next != nil {
		t.Fatalf("%+v", l)
	}
	h.Wallet("third", domaintest.Chain, request.SchemeEVM)
	h.Reopen()
	pay()
	h.Check()
	wantLabels(t, h, "dwk-1", "dwk-2", "identity")
	mustStep(t, h, request.EpochFinalize)
	wantLabels(t, h, "dwk-2", "identity")
	if _, err := h.Settled(); err != nil {
		t.Fatal(err)
	}
	for ref := range first {
		if _, ok := memory.Blobs()[ref]; ok && ref.Key != authority.SealedCopies {
			t.Errorf("a blob of epoch 1 of key %s is still there", ref.Key)
		}
	}
	if n := len(memory.Blobs()); n != 3+2 {
		t.Errorf("the store has %d blobs, want those of three keys and two sealed copies", n)
	}
	h.Reopen()
	pay()
	h.Check()
	if w, err := h.D.Wallet("second"); err != nil || w.Address != born.Address {
		t.Errorf("%v: the address changed from %s to %s", err, born.Address, w.Address)
	}
	for _, want := range []request.Operation{request.EpochLoad, request.EpochCommit, request.EpochActivate, request.EpochFinalize} {
		mustStep(t, h, want) // and once more
	}
	wantLabels(t, h, "dwk-3", "identity")
	pay()
	h.Check()
}

// A rotation can be cancelled until it is activated. Its number is never used again.
func TestRotationCancelled(t *testing.T) {
	t.Parallel()
	for _, steps := range []int{1, 2} {
		memory := domaintest.NewMemory()
		h := domaintest.New(t, domaintest.Options{Memory: memory, Recovery: true})
		h.Wallet("hot", domaintest.Chain, request.SchemeEVM)
		before := memory.Blobs()
		for range steps {
			if _, err := h.Step(); err != nil {
				t.Fatal(err)
			}
		}
		l, err := h.Settled()
		if err != nil {
			t.Fatal(err)
		}
		cancel := request.EpochCancelBody{Counter: l.Counter + 1, Epoch: l.Next.Epoch, Pattern: l.Next.Pattern}
		if _, err := h.Govern(request.EpochCancel, cancel, h.Bob, h.Carol); err != nil {
			t.Fatal(err)
		}
		if l, err = h.Settled(); err != nil || l.Next != nil || l.NextEpoch != 3 {
			t.Fatalf("%+v, %v", l, err)
		}
		wantLabels(t, h, "dwk-1", "identity")
		if after := memory.Blobs(); len(after) != len(before) {
			t.Errorf("after %d steps and cancel the store has %d blobs, before %d", steps, len(after), len(before))
		}
		mustPay(t, h, "hot", 0)
		cancel.Counter++
		if _, err := h.Govern(request.EpochCancel, cancel); problem.KindOf(err) != problem.Conflict {
			t.Errorf("cancelled twice: %v", err)
		}
		h.Reopen()
		for range 4 {
			if _, err := h.Step(); err != nil {
				t.Fatal(err)
			}
		}
		wantLabels(t, h, "dwk-3", "identity")
		mustPay(t, h, "hot", 1)
		h.Check()
	}
}

// After zeroize every act is refused, at once and after restarts; what was is told and proved; and the custodians with a backup bring it all
// back.
func TestZeroizeAndRestore(t *testing.T) {
	t.Parallel()
	memory := domaintest.NewMemory()
	h := domaintest.New(t, domaintest.Options{Memory: memory, Recovery: true})
	w := h.Wallet("hot", domaintest.Chain, request.SchemeEVM)
	mustPay(t, h, "hot", 0)
	open, err := h.Govern(request.Transfer, transfer(1000), h.Bob)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // in the middle of a rotation: activated, not finalized
		if _, err := h.Step(); err != nil {
			t.Fatal(err)
		}
	}
	backup := memory.Blobs()
	if _, err := h.Zeroize(h.Service); err == nil {
		t.Fatal("a service zeroized the domain")
	}
	v, err := h.Zeroize(h.Carol)
	if err != nil || v.State != message.StateExecuted || v.Receipt == nil {
		t.Fatalf("%v, %+v", err, v)
	}
	zeroized := func() {
		t.Helper()
		wantLabels(t, h, "identity")
		refusedZeroized(t, h, open)
		toldZeroized(t, h, w, v)
	}
	zeroized()
	h.Reopen()
	zeroized()
	if _, err := h.Settled(); err != nil {
		t.Fatal(err)
	}
	for ref := range memory.Blobs() {
		if ref.Key == authority.SealedCopies {
			t.Error("a sealed copy is still on the machine")
		}
	}
	if _, err := h.Restore(); problem.KindOf(err) != problem.Locked {
		t.Errorf("restored without the working key: %v", err)
	}
	if err := h.PutBack(2, backup); err == nil {
		t.Error("other custodians put the working key back")
	}
	if err := h.PutBack(1, backup); err != nil {
		t.Fatal(err)
	}
	h.Reopen() // what was put back outlives it
	zeroizedStill := h.Life()
	if zeroizedStill.Phase != "zeroized" {
		t.Fatalf("%+v", zeroizedStill)
	}
	if v, err := h.Restore(); err != nil || v.State != message.StateExecuted {
		t.Fatalf("%v, %+v", err, v)
	}
	wantLabels(t, h, "dwk-2", "identity")
	mustPay(t, h, "hot", 1)
	h.Reopen()
	mustPay(t, h, "hot", 2)
	if again, err := h.D.Wallet("hot"); err != nil || again.Address != w.Address {
		t.Errorf("%v: the address is %s, was %s", err, again.Address, w.Address)
	}
	h.Check()
}

func transfer(amount uint64) request.TransferBody {
	return request.TransferBody{Wallet: "hot", Asset: domaintest.Chain.Native(),
		Outputs: []request.Output{{Address: domaintest.Whitelisted, Amount: custody.U64(amount)}}, FeeCap: custody.U64(21000 * 100)}
}

// refusedZeroized tries everything that changes or uses a domain; open is a request that waits for one more approval.
func refusedZeroized(t *testing.T, h *domaintest.Harness, open message.Request) {
	t.Helper()
	l := h.Life()
	asks := map[request.Operation]any{
		request.Transfer: transfer(5), request.WalletCreate: request.WalletCreateBody{Wallet: "new", Chain: domaintest.Chain, Scheme: request.SchemeEVM},
		request.AddressCreate: request.AddressCreateBody{Wallet: "hot", Count: 1}, request.PolicyChange: request.PolicyChangeBody{Document: []byte{1}},
		request.GroupSet:     request.GroupSetBody{Group: "officers", Members: []custody.PersonID{}},
		request.PersonEnrol:  request.PersonEnrolBody{Person: domaintest.NewPerson("new").ID, Kind: "human", Key: domaintest.NewPerson("new").Pub, Possession: make([]byte, 64)},
		request.PersonKeyAdd: request.PersonKeyAddBody{Person: h.Alice.ID, Key: domaintest.NewPerson("new").Pub, Possession: make([]byte, 64)}, request.PersonKeyRemove: request.PersonKeyRemoveBody{Person: h.Carol.ID, Key: h.Carol.Pub.Ref()},
		request.WhitelistAdd: request.WhitelistAddBody{ID: "x", Chain: domaintest.Chain, Address: domaintest.Stranger}, request.WhitelistRemove: request.WhitelistRemoveBody{ID: "exchange"},
		request.WalletTemperature: request.WalletTemperatureBody{Wallet: "hot", To: request.Warm}, request.WarmClose: request.WarmCloseBody{Wallet: "hot"},
		request.WarmOpen:  request.WarmOpenBody{Wallet: "hot", Asset: domaintest.Chain.Native(), Amount: custody.U64(1), NotAfter: h.Clock.Wall.Load()/1e9 + 60},
		request.PointsSet: request.PointsSetBody{Counter: l.Counter + 1, Deny: l.Allowed}, request.EpochLoad: request.EpochLoadBody{Counter: l.Counter + 1, Epoch: l.NextEpoch},
		request.EpochCommit:   request.EpochCommitBody{Counter: l.Counter + 1, Epoch: l.Epoch, Pattern: l.Pattern},
		request.EpochActivate: request.EpochActivateBody{Counter: l.Counter + 1, Epoch: l.Epoch, Pattern: l.Pattern},
		request.EpochFinalize: request.EpochFinalizeBody{Counter: l.Counter + 1, Epoch: l.Epoch, Pattern: l.Pattern},
		request.EpochCancel:   request.EpochCancelBody{Counter: l.Counter + 1, Epoch: l.Epoch, Pattern: l.Pattern},
		request.AppGrant:      grantBody(h, "app"),
		request.AppRevoke:     request.AppRevokeBody{Grant: "app"},
		request.AppKeyRevoke:  request.AppKeyRevokeBody{Keys: []custody.KeyID{"00112233445566778899aabbccddeeff"}},
		request.Zeroize:       request.ZeroizeBody{Counter: l.Counter + 1, Phrase: request.ZeroizePhrase(h.D.ID())},
		request.OfflineAdd:    request.OfflineAddBody{Counter: l.Counter + 1, Name: "vault", Leaf: []byte{1}, Salt: make([]byte, 16), Body: []byte{1}},
		request.OfflineRemove: request.OfflineRemoveBody{Counter: l.Counter + 1, Domain: bytes.Repeat([]byte{1}, 32)},
		request.WalletMove:    request.WalletMoveBody{Wallet: "hot", To: bytes.Repeat([]byte{1}, 32), Temperature: request.Cold},
		request.SlotReconcile: request.SlotReconcileBody{Wallet: "hot"},

		request.Unfreeze: request.UnfreezeBody{Since: 1, Reason: "r"}, request.Drain: request.DrainBody{Reason: "r"}, request.Resume: request.ResumeBody{Since: 1, Reason: "r"},
		request.RequestHold: request.RequestHoldBody{Request: open.ID[:], Reason: "r"}, request.RequestRelease: request.RequestReleaseBody{Request: open.ID[:], Hold: 1, Reason: "r"},
		request.WhitelistSuspend: request.WhitelistSuspendBody{ID: "exchange"}, request.WhitelistReview: request.WhitelistReviewBody{IDs: []string{"exchange"}},
		request.BlacklistAdd: request.BlacklistAddBody{Chain: domaintest.Chain, Address: domaintest.Stranger}, request.BlacklistRemove: request.BlacklistRemoveBody{Chain: domaintest.Chain, Address: domaintest.Stranger},
		request.ContractCall: request.ContractCallBody{Wallet: "hot", Contract: domaintest.Stranger, Data: []byte{1, 2, 3, 4}, FeeCap: custody.U64(1)},
		request.MessageSign:  request.MessageSignBody{Wallet: "hot", Kind: request.PersonalMessage, Content: "hello"},
	}
	for _, op := range request.Operations() {
		body, ok := asks[op]
		if !ok && op != request.Restore && op != request.PersonRevoke && op != request.ReanchorCancel && op != request.Freeze {
			t.Errorf("%s is not tried", op)
		}
		if !ok {
			continue
		}
		if _, err := h.Submit(h.Alice, h.Request(h.Alice, op, body), nil); problem.KindOf(err) != problem.Zeroized {
			t.Errorf("%s after zeroize: %v", op, err)
		}
	}
	if _, err := h.Settled(); err != nil { // the core itself records what it erased
		t.Fatal(err)
	}
	size := h.D.Status().Size
	_, decide := h.Decide(h.Carol, open, request.Approve)
	_, reject := h.Decide(h.Carol, open, request.Reject)
	_, execute := h.D.Execute(t.Context(), open.ID)
	_, sign := h.D.Sign(t.Context(), open.ID, ethPayload(t, 1000, 1, 10))
	session := newStory(h, request.SchemeEVM).openSession()
	for what, err := range map[string]error{"approve": decide, "reject": reject, "sign": sign, "session": session} {
		if problem.KindOf(err) != problem.Zeroized {
			t.Errorf("%s after zeroize: %v", what, err)
		}
	}
	if execute == nil {
		t.Error("executed after zeroize")
	}
	if got := h.D.Status().Size; got != size {
		t.Errorf("%d entries were written", got-size)
	}
}

// toldZeroized requires that everything can still be read and proved, and the status shows what happened, signed.
func toldZeroized(t *testing.T, h *domaintest.Harness, w message.Wallet, v message.Request) {
	t.Helper()
	if again, err := h.D.Wallet("hot"); err != nil || again.Address != w.Address {
		t.Errorf("wallet: %v", err)
	}
	if a, err := h.D.Addresses(message.Addresses{Wallet: "hot", Count: 1}); err != nil || len(a.Addresses) != 1 {
		t.Errorf("addresses: %v", err)
	}
	f, err := h.D.Proof(t.Context(), v.ID)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := verify.Proof(f, h.Genesis.LogKey); err != nil || !r.Executed {
		t.Errorf("proof of the zeroize: %v, %+v", err, r)
	}
	if f, err = h.D.WalletProof(t.Context(), "hot"); err != nil {
		t.Error(err)
	} else if _, err := verify.Proof(f, h.Genesis.LogKey); err != nil {
		t.Errorf("proof of the wallet: %v", err)
	}
	if e, err := h.D.Feed(t.Context(), message.Feed{Limit: 1000}); err != nil || len(e.Entries) == 0 {
		t.Errorf("feed: %v", err)
	}
	nonce := bytes.Repeat([]byte{7}, 16)
	s, err := h.D.SignedStatus(message.StatusAsk{Nonce: nonce})
	if err != nil || !ed25519.Verify(h.Genesis.Identity, s.Message(), s.Sig) {
		t.Fatalf("signed status: %v", err)
	}
	var st message.StatusStatement
	if err := canon.Decode(s.Statement, &st); err != nil || !bytes.Equal(st.Nonce, nonce) || st.Status.Life.Phase != "zeroized" || st.Status.KeysUnlocked != 0 {
		t.Errorf("%v, %+v", err, st.Status.Life)
	}
	h.Check()
}

// Custodians change with an epoch: the load names them, the commit needs the receipts of all, and from activation on they restore, and the
// old ones don't.
func TestNewCustodians(t *testing.T) {
	t.Parallel()
	memory := domaintest.NewMemory()
	h := domaintest.New(t, domaintest.Options{Memory: memory, Recovery: true})
	h.Wallet("hot", domaintest.Chain, request.SchemeEVM)
	r := *h.Genesis.Recovery
	fresh := domaintest.New(t, domaintest.Options{Recovery: true}) // another domain, for its arena's sake
	next := fresh.NewRecoveryOf(2)
	load := request.EpochLoadBody{Counter: 1, Epoch: 2, Recovery: next}
	if _, err := h.Govern(request.EpochLoad, load, h.Bob, h.Carol); err != nil {
		t.Fatal(err)
	}
	l := h.Life()
	receipts := h.Receipts(next, 2)
	commit := func(rs []request.ShareReceipt) error {
		_, err := h.Govern(request.EpochCommit, request.EpochCommitBody{Counter: 2, Epoch: 2, Pattern: l.Next.Pattern, Receipts: rs}, h.Bob, h.Carol)
		return err
	}
	forged := slices.Clone(receipts)
	forged[2].Sig = forged[1].Sig
	for what, rs := range map[string][]request.ShareReceipt{"none": nil, "one lacks": receipts[:2], "in another order": {receipts[1], receipts[0], receipts[2]},
		"of another's key": forged, "for another sharing": h.Receipts(&r, 2)} {
		if err := commit(rs); problem.KindOf(err) != problem.Unauthenticated {
			t.Errorf("receipts %s: %v", what, err)
		}
	}
	if err := commit(receipts); err != nil {
		t.Fatal(err)
	}
	mustStep(t, h, request.EpochActivate)
	backup := memory.Blobs()
	mustStep(t, h, request.EpochFinalize)
	if l := h.Life(); l.Recovery.Hash != next.Hash() {
		t.Error("the new custodians are not on record")
	}
	if _, err := h.Zeroize(h.Alice); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Settled(); err != nil {
		t.Fatal(err)
	}
	if err := h.PutBack(1, backup); !errors.Is(err, keystore.ErrNotFound) {
		t.Errorf("the old custodians restore: %v", err)
	}
	if err := h.PutBack(2, backup); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Restore(); err != nil {
		t.Fatal(err)
	}
	mustPay(t, h, "hot", 0)
}

// Tampering destroys at once, whether or not the log can take it; the next start records it.
func TestTamper(t *testing.T) {
	t.Parallel()
	f := newFactory(t)
	m := f.machine(t)
	if err := m.open(); err != nil {
		t.Fatal(err)
	}
	m.Wallet("hot", domaintest.Chain, request.SchemeEVM)
	if err := m.D.Tamper("the lid\nwas opened\x1b[2J"); err != nil {
		t.Fatal(err)
	}
	tampered := func() {
		t.Helper()
		wantLabels(t, m.Harness, "identity")
		if l := m.Life(); l.Phase != "zeroized" || l.Counter != 1 {
			t.Errorf("%+v", l)
		}
		if _, err := paid(m.Harness, "hot", 0); problem.KindOf(err) != problem.Zeroized {
			t.Errorf("signed: %v", err)
		}
	}
	tampered()
	size := m.D.Status().Size
	if err := m.D.Tamper("again"); err != nil || m.D.Status().Size != size {
		t.Errorf("%v: %d entries more", err, m.D.Status().Size-size)
	}
	m.Close()
	if err := m.open(); err != nil {
		t.Fatal(err)
	}
	tampered()
	// The log fails when it is needed: the keys are gone all the same.
	for _, op := range []domaintest.Op{domaintest.StoreAppend, domaintest.AnchorPin, domaintest.RootSeal, domaintest.RootDestroy} {
		for _, when := range []domaintest.When{domaintest.Before, domaintest.After} {
			m = f.machine(t)
			if err := m.open(); err != nil {
				t.Fatal(err)
			}
			m.faults.FailAt(op, 1, when, false)
			if err := m.D.Tamper("cause"); err == nil && op != domaintest.AnchorPin {
				t.Errorf("%s %s: nothing is said", op, when)
			}
			if slices.Contains(labels(t, m.Harness), "dwk-1") && op != domaintest.RootDestroy {
				t.Errorf("%s %s: the working key is still there", op, when)
			}
			m.crash()
			if err := m.open(); err != nil && op != domaintest.RootSeal {
				t.Fatalf("%s %s: %v", op, when, err)
			} else if err == nil {
				if _, err := paid(m.Harness, "hot", 0); err == nil {
					t.Errorf("%s %s: signed", op, when)
				}
				tamperedAfter(t, m)
			}
		}
	}
}

func tamperedAfter(t *testing.T, m *machine) {
	t.Helper()
	if l := m.Life(); l.Phase != "zeroized" {
		t.Errorf("after the restart the domain is %s", l.Phase)
	}
	wantLabels(t, m.Harness, "identity")
}
