// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"context"
	"crypto/ed25519"
	"os"
	"path/filepath"
	"testing"
	"time"

	"strongroom/internal/core/keystore"
	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// frozenLog is a whole log in clear, as testdata/frozen of the authority package keeps one of each release.
type frozenLog struct {
	Entries []message.Entry `cbor:"1,keyasint"`
	Roots   [][32]byte      `cbor:"2,keyasint"` // of the state after each entry
}

// frozenProofs is proof files with the log key that they are checked against.
type frozenProofs struct {
	LogKey []byte   `cbor:"1,keyasint"`
	Files  [][]byte `cbor:"2,keyasint"`
}

// A log with every kind of entry and every operation can be made and folds; with STRONGROOM_FREEZE it is kept for ever, once: run it for
// a release, when its file does not exist yet.
func TestEverythingInOneLog(t *testing.T) {
	t.Parallel()
	h := domaintest.New(t, domaintest.Options{Document: withWarm, SnapshotEvery: 20, Recovery: true, Memory: domaintest.NewMemory()})
	ids := everything(t, h)
	h.Check()
	log := frozenLog{}
	s := authority.New()
	for _, x := range scan(t, h) {
		if err := s.Apply(x.leaf, x.hash, x.body); err != nil {
			t.Fatal(err)
		}
		log.Roots = append(log.Roots, s.StateRoot())
	}
	f, err := h.D.Feed(context.Background(), message.Feed{Limit: 1000})
	if err != nil || len(f.Entries) != len(log.Roots) {
		t.Fatalf("%d entries, %v", len(f.Entries), err)
	}
	log.Entries = f.Entries
	proofs := frozenProofs{LogKey: h.Genesis.LogKey}
	for _, id := range ids {
		file, err := h.D.Proof(context.Background(), id)
		if err != nil {
			t.Fatal(err)
		}
		proves(t, h, id, -1, -1)
		proofs.Files = append(proofs.Files, file)
	}
	if os.Getenv("STRONGROOM_FREEZE") != "" {
		freeze(t, "../../pure/authority/testdata/frozen/log-1.cbor", canon.Encode(log))
		freeze(t, "../../../verify/testdata/frozen/proofs-1.cbor", canon.Encode(proofs))
	}
}

// freeze writes a file that does not exist yet.
func freeze(t *testing.T, name string, b []byte) {
	t.Helper()
	if _, err := os.Stat(name); err == nil {
		t.Logf("%s is frozen already", name)
		return
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// everything does all that a domain can do, and gives the requests.
func everything(t *testing.T, h *domaintest.Harness) (ids []custody.RequestID) {
	t.Helper()
	ask := func(by domaintest.Person, op request.Operation, body any, approvers ...domaintest.Person) message.Request {
		v := approvals(t, h, submitted(t, h, by, h.Request(by, op, body)), approvers...)
		ids = append(ids, v.ID)
		return v
	}
	sign := func(v message.Request, payloads ...[]byte) {
		for _, p := range payloads {
			if _, err := h.D.Sign(context.Background(), v.ID, p); err != nil {
				t.Fatal(err)
			}
		}
	}
	ask(h.Alice, request.WalletCreate, request.WalletCreateBody{Wallet: "hot", Chain: domaintest.Chain, Scheme: request.SchemeEVM}, h.Bob)
	ask(h.Alice, request.WalletCreate, request.WalletCreateBody{Wallet: "segwit", Chain: custody.BitcoinRegtest, Scheme: request.SchemeP2WPKH}, h.Carol)
	w, err := h.D.Wallet("segwit")
	if err != nil {
		t.Fatal(err)
	}
	ask(h.Bob, request.WalletCreate, request.WalletCreateBody{Wallet: "taproot", Chain: custody.BitcoinRegtest, Scheme: request.SchemeP2TR, Seed: w.Wallet.Key, Account: 1}, h.Alice)
	ask(h.Alice, request.AddressCreate, request.AddressCreateBody{Wallet: "hot", Count: 5})
	sign(ask(h.Alice, request.Transfer, transferBody("hot", domaintest.Chain.Native(), domaintest.Whitelisted, 1000), h.Bob, h.Carol), ethPayload(t, 1000, 0, 10), ethPayload(t, 1000, 0, 20))
	for _, id := range []custody.WalletID{"segwit", "taproot"} {
		w, err := h.D.Wallet(id)
		if err != nil {
			t.Fatal(err)
		}
		v := ask(h.Carol, request.Transfer, transferBody(id, custody.BitcoinRegtest.Native(), bank, 40_000), h.Bob, h.Alice)
		coin := byte(len(id))
		if _, err := h.D.Sign(context.Background(), v.ID, psbt(t, w.Wallet, spend{coin: coin, to: nobody, pay: 40_000, fee: 1_000})); err == nil {
			t.Fatal("paid nobody")
		}
		sign(v, psbt(t, w.Wallet, spend{coin: coin, pay: 40_000, fee: 1_000}), psbt(t, w.Wallet, spend{coin: coin, pay: 40_000, fee: 2_000}))
	}
	s := opened(t, h)
	r := h.Request(h.Service, request.Transfer, transferBody("hot", domaintest.Chain.Native(), domaintest.Whitelisted, 7))
	if _, err := s.submit(r, ethPayload(t, 7, 1, 10)); err != nil {
		t.Fatal(err)
	}
	ids = append(ids, r.ID())
	ask(h.Alice, request.Transfer, transferBody("hot", domaintest.Chain.Native(), domaintest.Stranger, 5)) // refused
	for _, end := range []struct {
		by domaintest.Person
		d  request.Decision
	}{{h.Carol, request.Reject}, {h.Alice, request.Cancel}} {
		if _, err := h.Decide(end.by, ask(h.Alice, request.Transfer, transferBody("hot", domaintest.Chain.Native(), domaintest.Whitelisted, 6), h.Bob), end.d); err != nil {
			t.Fatal(err)
		}
	}
	ask(h.Bob, request.Transfer, transferBody("hot", domaintest.Chain.Native(), domaintest.Whitelisted, 8), h.Carol) // expires
	ask(h.Alice, request.WalletCreate, request.WalletCreateBody{Wallet: "vault", Chain: domaintest.Chain, Scheme: request.SchemeEVM, Temperature: request.Warm}, h.Bob)
	for range 2 { // the second in the place of the first
		ask(h.Alice, request.WarmOpen, request.WarmOpenBody{Wallet: "vault", Asset: ether(), Amount: custody.U64(1000 + 30*gas), NotAfter: h.Clock.Wall.Load()/1e9 + 3600}, h.Bob, h.Carol)
	}
	sign(ask(h.Alice, request.Transfer, transferBody("vault", ether(), domaintest.Whitelisted, 1000), h.Bob, h.Carol), ethPayload(t, 1000, 0, 10), ethPayload(t, 1000, 0, 20))
	ask(h.Service, request.WarmClose, request.WarmCloseBody{Wallet: "vault"})
	ask(h.Alice, request.WarmOpen, request.WarmOpenBody{Wallet: "vault", Asset: ether(), Amount: custody.U64(10), NotAfter: h.Clock.Wall.Load()/1e9 + 7200}, h.Bob, h.Carol)
	ask(h.Alice, request.WalletTemperature, request.WalletTemperatureBody{Wallet: "vault", To: request.Hot}, h.Bob, h.Carol)
	ask(h.Alice, request.WalletTemperature, request.WalletTemperatureBody{Wallet: "vault", To: request.Warm}, h.Bob, h.Carol)
	ids = append(ids, changes(t, h)...)
	ids = append(ids, lives(t, h)...)
	h.Clock.Advance(2 * time.Hour)
	h.Options.TakeOver = true
	h.Reopen()
	ask(h.Alice, request.Transfer, transferBody("hot", domaintest.Chain.Native(), domaintest.Whitelisted, 9)) // waits
	lastEntry(t, h)
	return ids
}

// lives makes each change of the life cycle: a rotation to new custodians, one that is cancelled, a zeroize, a restore, tampering, and a restore
// again.
func lives(t *testing.T, h *domaintest.Harness) (ids []custody.RequestID) {
	t.Helper()
	do := func(op request.Operation, body func(l message.Life) any) {
		t.Helper()
		l, err := h.Settled()
		if err != nil {
			t.Fatal(err)
		}
		v, err := h.Govern(op, body(l), h.Bob, h.Carol)
		if err != nil || v.State != message.StateExecuted {
			t.Fatalf("%s: %v, %+v", op, err, v)
		}
		ids = append(ids, v.ID)
	}
	restore := func(copies map[keystore.Ref][]byte) {
		t.Helper()
		if _, err := h.Settled(); err != nil {
			t.Fatal(err)
		}
		if err := h.PutBack(2, copies); err != nil {
			t.Fatal(err)
		}
		do(request.Restore, func(l message.Life) any {
			return request.RestoreBody{Counter: l.Counter + 1, Epoch: l.Epoch, Pattern: l.Pattern}
		})
	}
	next := h.NewRecoveryOf(2)
	do(request.PointsSet, func(l message.Life) any {
		return request.PointsSetBody{Counter: l.Counter + 1, Allow: points.Make(points.AppKeys), Deny: points.Make(points.Backup), Freeze: points.Make(points.RawSign)}
	})
	do(request.EpochLoad, func(l message.Life) any {
		return request.EpochLoadBody{Counter: l.Counter + 1, Epoch: l.NextEpoch, Recovery: next}
	})
	do(request.EpochCommit, func(l message.Life) any {
		return request.EpochCommitBody{Counter: l.Counter + 1, Epoch: l.Next.Epoch, Pattern: l.Next.Pattern, Receipts: h.Receipts(next, 2)}
	})
	h.Wallet("born", domaintest.Chain, request.SchemeEVM)
	do(request.EpochActivate, func(l message.Life) any {
		return request.EpochActivateBody{Counter: l.Counter + 1, Epoch: l.Next.Epoch, Pattern: l.Next.Pattern}
	})
	copies := h.Options.Memory.Blobs()
	do(request.EpochFinalize, func(l message.Life) any {
		return request.EpochFinalizeBody{Counter: l.Counter + 1, Epoch: l.Previous.Epoch, Pattern: l.Previous.Pattern}
	})
	do(request.EpochLoad, func(l message.Life) any { return request.EpochLoadBody{Counter: l.Counter + 1, Epoch: l.NextEpoch} })
	do(request.EpochCancel, func(l message.Life) any {
		return request.EpochCancelBody{Counter: l.Counter + 1, Epoch: l.Next.Epoch, Pattern: l.Next.Pattern}
	})
	v, err := h.Zeroize(h.Bob)
	if err != nil {
		t.Fatal(err)
	}
	ids = append(ids, v.ID)
	restore(copies)
	if err := h.D.Tamper("the lid was opened"); err != nil {
		t.Fatal(err)
	}
	restore(copies)
	return ids
}

func transferBody(w custody.WalletID, a custody.AssetID, to string, amount uint64) request.TransferBody {
	return request.TransferBody{Wallet: w, Asset: a, Outputs: []request.Output{{Address: to, Amount: custody.U64(amount)}}, FeeCap: custody.U64(21000 * 100)}
}

// changes makes each change of the rule document.
func changes(t *testing.T, h *domaintest.Harness) (ids []custody.RequestID) {
	t.Helper()
	dave := domaintest.NewPerson("dave")
	enrol := request.PersonEnrolBody{Person: dave.ID, Kind: "human", Key: dave.Pub, Groups: []custody.GroupID{"officers"}}
	enrol.Possession = ed25519.Sign(dave.Key, enrol.EnrolMessage(h.D.Authority()))
	for _, x := range []struct {
		op   request.Operation
		body func() any
	}{
		{request.PersonEnrol, func() any { return enrol }},
		{request.GroupSet, func() any { return request.GroupSetBody{Group: "auditors", Members: []custody.PersonID{dave.ID}} }},
		{request.WhitelistAdd, func() any {
			return request.WhitelistAddBody{ID: "second", Chain: domaintest.Chain, Address: domaintest.Stranger}
		}},
		{request.WhitelistRemove, func() any { return request.WhitelistRemoveBody{ID: "second"} }},
		{request.PersonRevoke, func() any { return request.PersonRevokeBody{Person: dave.ID} }},
		{request.PolicyChange, func() any {
			d, err := policy.DecodeDocument(h.D.Policy().Document)
			if err != nil {
				t.Fatal(err)
			}
			d.PrevHash, d.Version = d.Hash(), d.Version+1
			d.Guards = append(d.Guards, policy.Guard{ID: "large", Title: "Nothing above a million", Effect: policy.Hold, When: policy.Match{Operations: []request.Operation{request.Transfer}, Expr: "total > amount('1000000')"}})
			return request.PolicyChangeBody{Document: d.Encode()}
		}},
	} {
		v := approvals(t, h, submitted(t, h, h.Alice, h.Request(h.Alice, x.op, x.body())), h.Bob, h.Carol)
		if v.State != message.StateExecuted {
			t.Fatalf("%s: %+v", x.op, v)
		}
		ids = append(ids, v.ID)
	}
	return ids
}
