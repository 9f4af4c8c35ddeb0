// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"strongroom/internal/core/hsm"
	"strongroom/internal/core/keystore"
	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/verify"
)

// tokenDomain makes a domain on a root with keys of its own.
func tokenDomain(t *testing.T, o domaintest.Options) *domaintest.Harness {
	t.Helper()
	o.Points = domaintest.TokenPoints()
	if o.Token == nil {
		o.Token = domaintest.NewToken()
	}
	return domaintest.New(t, o)
}

func wantTokenKeys(t testing.TB, token *domaintest.Token, want ...custody.KeyID) {
	t.Helper()
	slices.Sort(want)
	if got := token.IDs(); !slices.Equal(got, want) {
		t.Errorf("the token has the keys %v, want %v", got, want)
	}
}

// approvedTransfer has alice ask for a transfer, approved by two.
func approvedTransfer(t testing.TB, h *domaintest.Harness, wallet custody.WalletID) message.Request {
	t.Helper()
	v, err := h.Govern(request.Transfer, transferBody(wallet, ether(), domaintest.Whitelisted, 1000), h.Bob, h.Carol)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// The whole life: born in the token, one address, signatures that are told again and never made again, replacement, restart, proof.
func TestTokenWallet(t *testing.T) {
	t.Parallel()
	h := tokenDomain(t, domaintest.Options{SnapshotEvery: 5})
	w := h.WalletOf(domaintest.InToken("sealed"))
	if w.Wallet.Class != request.ClassToken || w.NextReceive != 1 || w.Wallet.ChainCode != [32]byte{} {
		t.Fatalf("%+v", w)
	}
	wantTokenKeys(t, h.Options.Token, w.Wallet.Key)
	wantLabels(t, h, "dwk-1", "identity")
	v := approvedTransfer(t, h, "sealed")
	signed, err := h.D.Sign(context.Background(), v.ID, ethPayload(t, 1000, 0, 10))
	if err != nil {
		t.Fatal(err)
	}
	stx, err := eth.DecodeSigned(signed.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if from, err := stx.Sender(); err != nil || from.String() != w.Address {
		t.Fatalf("signed by %v, want %s (%v)", from, w.Address, err)
	}
	same := func(what string) {
		t.Helper()
		for _, p := range [][]byte{nil, ethPayload(t, 1000, 0, 10)} {
			if again, err := h.D.Sign(context.Background(), v.ID, p); err != nil || !bytes.Equal(again.Bytes, signed.Bytes) {
				t.Errorf("%s: got other bytes, and error %v", what, err)
			}
		}
	}
	same("again")
	h.Reopen()
	same("after a restart")
	// What was released is told without the token, too.
	saved := h.Options.Token.Clone()
	if err := h.Options.Token.DestroyTokenKey(t.Context(), w.Wallet.Key); err != nil {
		t.Fatal(err)
	}
	same("without the key")
	if s := h.D.Status(); s.MissingKeys != 0 {
		t.Errorf("%d keys are missing before anybody asked", s.MissingKeys)
	}
	_, err = h.D.Sign(context.Background(), v.ID, ethPayload(t, 1000, 0, 20))
	wantKind(t, "a replacement without the key", err, problem.Locked)
	if !strings.Contains(err.Error(), string(w.Wallet.Key)) || h.D.Status().MissingKeys != 1 {
		t.Errorf("%v, and the status counts %d", err, h.D.Status().MissingKeys)
	}
	h.Close()
	h.Options.Token = saved
	if err := h.Open(); err != nil {
		t.Fatal(err)
	}
	if signed, err = h.D.Sign(context.Background(), v.ID, nil); err != nil || signed.Attempt != 2 {
		t.Fatalf("the token is back: %+v, %v", signed, err)
	}
	if h.D.Status().MissingKeys != 0 {
		t.Error("the status still misses it")
	}
	h.Check()
	file, err := h.D.Proof(t.Context(), v.ID)
	if err != nil {
		t.Fatal(err)
	}
	if rep, err := verify.Proof(file, h.Genesis.LogKey); err != nil || len(rep.Attempts) != 2 || rep.Attempts[1].TxID != signed.TxID {
		t.Errorf("%+v, %v", rep, err)
	}
}

// What is not for such a wallet is refused, before anybody approves it.
func TestTokenWalletRefusals(t *testing.T) {
	t.Parallel()
	h := tokenDomain(t, domaintest.Options{})
	w := h.WalletOf(domaintest.InToken("sealed"))
	for _, tt := range []struct {
		what string
		op   request.Operation
		body any
		want problem.Kind
	}{
		{"another address", request.AddressCreate, request.AddressCreateBody{Wallet: "sealed", Count: 1}, problem.Unsupported},
		{"warm", request.WalletTemperature, request.WalletTemperatureBody{Wallet: "sealed", To: request.Warm}, problem.Unsupported},
		{"to an offline domain", request.WalletMove, request.WalletMoveBody{Wallet: "sealed", To: bytes.Repeat([]byte{1}, 32), Temperature: request.Cold}, problem.Unsupported},
		{"its key as a seed", request.WalletCreate, request.WalletCreateBody{Wallet: "other", Chain: domaintest.Chain, Scheme: request.SchemeEVM, Seed: w.Wallet.Key}, problem.NotFound},
		{"its name again", request.WalletCreate, domaintest.InToken("sealed"), problem.Conflict},
		{"from address 1", request.Transfer, request.TransferBody{Wallet: "sealed", Asset: ether(), Source: 1,
			Outputs: []request.Output{{Address: domaintest.Whitelisted, Amount: custody.U64(1)}}, FeeCap: custody.U64(1)}, problem.NotFound},
	} {
		_, err := h.Submit(h.Alice, h.Request(h.Alice, tt.op, tt.body), nil)
		wantKind(t, tt.what, err, tt.want)
	}
	// A root without keys of its own, and a domain where the switch is off.
	soft := domaintest.New(t, domaintest.Options{Points: domaintest.TokenPoints()})
	size := soft.D.Status().Size
	_, err := soft.Submit(soft.Alice, soft.Request(soft.Alice, request.WalletCreate, domaintest.InToken("sealed")), nil)
	wantKind(t, "a soft root", err, problem.Unsupported)
	if soft.D.Status().Size != size {
		t.Error("the request was recorded")
	}
	off := domaintest.New(t, domaintest.Options{Token: domaintest.NewToken()})
	_, err = off.Submit(off.Alice, off.Request(off.Alice, request.WalletCreate, domaintest.InToken("sealed")), nil)
	wantKind(t, "the control point is off", err, problem.Forbidden)
	if !strings.Contains(err.Error(), points.TokenKeys.String()) {
		t.Error(err)
	}
	wantTokenKeys(t, off.Options.Token)
}

// What a token gives is checked: a signature that does not verify is not released, nor recorded.
func TestTokenLies(t *testing.T) {
	t.Parallel()
	h := tokenDomain(t, domaintest.Options{})
	h.WalletOf(domaintest.InToken("sealed"))
	v := approvedTransfer(t, h, "sealed")
	for name, lie := range map[string]func([]byte) []byte{
		"another signature": func(sig []byte) []byte { sig[3] ^= 1; return sig },
		"nothing":           func([]byte) []byte { return nil },
		"too long":          func(sig []byte) []byte { return append(sig, 0) },
		"high s": func(sig []byte) []byte { // n - s verifies by the equation, and is another transaction
			n := []byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xba\xae\xdc\xe6\xaf\x48\xa0\x3b\xbf\xd2\x5e\x8c\xd0\x36\x41\x41")
			borrow := 0
			for i := 31; i >= 0; i-- {
				x := int(n[i]) - int(sig[32+i]) - borrow
				borrow = 0
				if x < 0 {
					x, borrow = x+256, 1
				}
				sig[32+i] = byte(x)
			}
			return sig
		},
	} {
		h.Options.Token.Lie = lie
		if _, err := h.D.Sign(t.Context(), v.ID, ethPayload(t, 1000, 0, 10)); problem.KindOf(err) != problem.Internal {
			t.Errorf("%s: got %v", name, err)
		}
		if _, is := lastEntry(t, h).(*entry.Result); is {
			t.Fatalf("%s was recorded", name)
		}
	}
	h.Options.Token.Lie = nil
	if _, err := h.D.Sign(t.Context(), v.ID, nil); err != nil {
		t.Error(err)
	}
}

// Callers at once get one signature, though the token makes several.
func TestTokenSignsOnceForMany(t *testing.T) {
	t.Parallel()
	h := tokenDomain(t, domaintest.Options{})
	h.WalletOf(domaintest.InToken("sealed"))
	v := approvedTransfer(t, h, "sealed")
	var mu sync.Mutex
	got := map[string]int{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			out, err := h.D.Sign(context.Background(), v.ID, ethPayload(t, 1000, 0, 10))
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			got[string(out.Bytes)]++
		})
	}
	wg.Wait()
	if len(got) != 1 {
		t.Errorf("%d different transactions were released for one permit", len(got))
	}
	h.Check()
}

// A replacement that overtakes: what the token signed for the permit before is not released, because nothing records it.
func TestTokenReplacedMeanwhile(t *testing.T) {
	t.Parallel()
	faults := &domaintest.Faults{}
	h := tokenDomain(t, domaintest.Options{Faults: faults})
	h.WalletOf(domaintest.InToken("sealed"))
	v := approvedTransfer(t, h, "sealed")
	reached, release := faults.Hold(domaintest.KeySign, domaintest.After)
	first := make(chan error, 1)
	go func() {
		_, err := h.D.Sign(context.Background(), v.ID, ethPayload(t, 1000, 0, 10))
		first <- err
	}()
	<-reached
	second := make(chan error, 1)
	var out message.Signed
	go func() {
		var err error
		out, err = h.D.Sign(context.Background(), v.ID, ethPayload(t, 1000, 0, 20))
		second <- err
	}()
	for faults.Count(domaintest.KeySign) < 2 { // both permits are durable then
		h.D.Status()
	}
	release()
	wantKind(t, "the first", <-first, problem.Conflict)
	if err := <-second; err != nil || out.Attempt != 2 {
		t.Errorf("the second: %+v, %v", out, err)
	}
	h.Check()
}

// Killed between signature and result, and between result and release: nothing was released in the first case, and what is released later is one
// signature; in the second the recorded one is told.
func TestTokenKilledBetweenSignatureAndResult(t *testing.T) {
	t.Parallel()
	f := newTokenFactory(t)
	for _, at := range []struct {
		op       domaintest.Op
		n        int
		when     domaintest.When
		recorded bool
	}{
		{domaintest.KeySign, 1, domaintest.Before, false},
		{domaintest.KeySign, 1, domaintest.After, false},
		{domaintest.StoreAppend, 2, domaintest.Before, false}, // the permit is the first
		{domaintest.AnchorPin, 2, domaintest.Before, false},   // in the log, and not told: what is not pinned may be dropped
		{domaintest.AnchorPin, 2, domaintest.After, true},
	} {
		m := f.machine(t)
		if err := m.open(); err != nil {
			t.Fatal(err)
		}
		m.WalletOf(domaintest.InToken("hot"))
		v := approvedTransfer(t, m.Harness, "hot")
		m.faults.FailAt(at.op, at.n, at.when, true)
		if out, err := m.D.Sign(context.Background(), v.ID, ethPayload(t, 1000, 0, 10)); err == nil {
			t.Fatalf("%s %s: released %x", at.op, at.when, out.Bytes)
		}
		m.restart(&story{})
		if err := m.open(); err != nil {
			t.Fatal(err)
		}
		made := m.faults.Count(domaintest.KeySign)
		one, err := m.D.Sign(context.Background(), v.ID, nil)
		if err != nil {
			t.Fatalf("%s %s: %v", at.op, at.when, err)
		}
		if again := m.faults.Count(domaintest.KeySign) - made; (again == 0) != at.recorded {
			t.Errorf("%s %s: the token signed %d times after the restart", at.op, at.when, again)
		}
		two, err := m.D.Sign(context.Background(), v.ID, ethPayload(t, 1000, 0, 10))
		if err != nil || !bytes.Equal(one.Bytes, two.Bytes) {
			t.Errorf("%s %s: other bytes: %v", at.op, at.when, err)
		}
		if _, err := m.D.Sign(context.Background(), v.ID, ethPayload(t, 1000, 1, 20)); problem.KindOf(err) != problem.OutsideBounds {
			t.Errorf("%s %s: in a second slot: %v", at.op, at.when, err)
		}
		oneSlotOnePayload(t, scan(t, m.Harness))
		m.Check()
	}
}

// A key that no entry names stays in the token and is counted: its entry may have been lost, and it may hold money. Only the one whose birth the root
// has noted is destroyed.
func TestUnnamedTokenKeysStay(t *testing.T) {
	t.Parallel()
	h := tokenDomain(t, domaintest.Options{})
	w := h.WalletOf(domaintest.InToken("sealed"))
	const lost custody.KeyID = "0123456789abcdef0123456789abcdef"
	h.Close()
	h.Options.Token.Put(lost)
	h.Reopen()
	wantTokenKeys(t, h.Options.Token, w.Wallet.Key, lost)
	if s := h.D.Status(); s.MissingKeys != 0 || !slices.ContainsFunc(s.Notes, func(n string) bool { return strings.HasPrefix(n, "1 keys lie in the token") }) {
		t.Errorf("%d missing, notes %q", s.MissingKeys, s.Notes)
	}
	h.WalletOf(domaintest.InToken("second"))
	if len(h.Options.Token.IDs()) != 3 {
		t.Errorf("the token has %v", h.Options.Token.IDs())
	}
}

// A note of a birth that was altered names no key: it goes, and no key does.
func TestAlteredNoteOfABirth(t *testing.T) {
	t.Parallel()
	f := newTokenFactory(t)
	m := f.machine(t)
	if err := m.open(); err != nil {
		t.Fatal(err)
	}
	m.faults.FailAt(domaintest.KeyMake, 1, domaintest.After, true)
	if _, err := m.Govern(request.WalletCreate, domaintest.InToken("sealed"), m.Bob); err == nil {
		t.Fatal("the answer was lost, and nobody says so")
	}
	m.restart(&story{})
	left := m.Options.Token.IDs()
	if len(left) != 1 {
		t.Fatalf("the token has %v", left)
	}
	note := filepath.Join(m.Dir, "root", "token-birth.sealed")
	b, err := os.ReadFile(note)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(note, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := m.open(); err != nil {
		t.Fatal(err)
	}
	wantTokenKeys(t, m.Options.Token, left...)
	wantLabels(t, m.Harness, "dwk-1", "identity")
	if notes := m.D.Status().Notes; len(notes) != 1 {
		t.Errorf("notes %q", notes)
	}
	m.WalletOf(domaintest.InToken("next"))
	mustPay(t, m.Harness, "next", 0)
}

// An older day of the log on the same token, as after a loss: the keys that it does not name stay.
func TestOlderLogKeepsTokenKeys(t *testing.T) {
	t.Parallel()
	h := tokenDomain(t, domaintest.Options{})
	first := h.WalletOf(domaintest.InToken("first"))
	f := domaintest.Folder{}
	one := mustBackUp(t, h, f)
	second := h.WalletOf(domaintest.InToken("second"))
	h.Close()
	n := h.NewMachine(false)
	if r, err := n.RestoreBackup(f, one.Encode()); err != nil || r.Tokens != 1 || r.Missing != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	n.Reopen()
	wantTokenKeys(t, h.Options.Token, first.Wallet.Key, second.Wallet.Key)
	mustPay(t, n, "first", 0)
}

// A restore on another token has the wallets and not their keys, and says so at each place; wallets of class core go on.
func TestRestoreOnAnotherToken(t *testing.T) {
	t.Parallel()
	h := tokenDomain(t, domaintest.Options{Recovery: true})
	w := h.WalletOf(domaintest.InToken("sealed"))
	h.Wallet("hot", domaintest.Chain, request.SchemeEVM)
	f := domaintest.Folder{}
	m := mustBackUp(t, h, f)
	if run, err := h.D.BackupOpen(t.Context(), message.BackupOpen{Manifest: f.Newest()}); err != nil || run.TokenKeys != 1 {
		t.Errorf("the backup says that %d keys are not in it, %v", run.TokenKeys, err)
	}
	if c, err := h.CheckBackup(f, m); err != nil || c.Keys != 2 || c.TokenKeys != 1 || c.Opened != 2 {
		t.Errorf("%+v, %v", c, err)
	}
	h.Close()
	n := h.NewMachine(false)
	n.NewRoot()
	if err := n.Recover(m, 1); err != nil {
		t.Fatal(err)
	}
	n.Options.Token = domaintest.NewToken()
	r, err := n.RestoreBackup(f, f.Newest())
	if err != nil || r.Keys != 2 || r.Tokens != 1 || r.Missing != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	n.Reopen()
	if addressOf(t, n, "sealed") != w.Address || n.D.Status().MissingKeys != 1 {
		t.Errorf("address %s, %d keys missing", addressOf(t, n, "sealed"), n.D.Status().MissingKeys)
	}
	_, err = paid(n, "sealed", 0)
	wantKind(t, "pay without the key", err, problem.Locked)
	if !strings.Contains(err.Error(), string(w.Wallet.Key)) {
		t.Error(err)
	}
	mustPay(t, n, "hot", 0)
	n.Check()
	if n.D.Status().MissingKeys != 1 {
		t.Error("after a check the key is not missed any more")
	}
	// The old token comes back, and the permit that waited is signed.
	n.Close()
	n.Options.Token = h.Options.Token
	n.Reopen()
	if n.D.Status().MissingKeys != 0 {
		t.Error("the key is back and missed")
	}
	mustPay(t, n, "sealed", 1)
}

// Zeroize leaves no key in the token, whoever named it; a restore brings the wallets back without.
func TestZeroizeDestroysTokenKeys(t *testing.T) {
	t.Parallel()
	memory := domaintest.NewMemory()
	h := tokenDomain(t, domaintest.Options{Recovery: true, Memory: memory})
	h.WalletOf(domaintest.InToken("sealed"))
	h.Wallet("hot", domaintest.Chain, request.SchemeEVM)
	h.Options.Token.Put("0123456789abcdef0123456789abcdef")
	copies := memory.Blobs()
	if _, err := h.Zeroize(h.Bob); err != nil {
		t.Fatal(err)
	}
	wantTokenKeys(t, h.Options.Token)
	wantLabels(t, h, "identity")
	if h.D.Status().MissingKeys != 1 {
		t.Errorf("%d keys are missing", h.D.Status().MissingKeys)
	}
	h.Reopen()
	if err := h.PutBack(1, copies); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Restore(); err != nil {
		t.Fatal(err)
	}
	mustPay(t, h, "hot", 0)
	_, err := paid(h, "sealed", 0)
	wantKind(t, "the key is gone", err, problem.Locked)
	h.WalletOf(domaintest.InToken("next"))
	mustPay(t, h, "next", 0)
	if h.D.Status().MissingKeys != 1 {
		t.Errorf("%d keys are missing", h.D.Status().MissingKeys)
	}
	h.Check()
}

// Tampering destroys them too, also before the domain opens, and where the log takes nothing.
func TestTamperDestroysTokenKeys(t *testing.T) {
	t.Parallel()
	h := tokenDomain(t, domaintest.Options{})
	h.WalletOf(domaintest.InToken("sealed"))
	if err := h.D.Tamper("a test"); err != nil {
		t.Fatal(err)
	}
	wantTokenKeys(t, h.Options.Token)
	f := newTokenFactory(t)
	m := f.machine(t)
	if err := m.open(); err != nil {
		t.Fatal(err)
	}
	m.WalletOf(domaintest.InToken("sealed"))
	m.faults.FailAt(domaintest.StoreAppend, 1, domaintest.Before, false)
	if err := m.D.Tamper("a test"); err == nil {
		t.Error("nothing is said of the log")
	}
	wantTokenKeys(t, m.Options.Token)
}

// A rotation keeps the key, under the blob of the new epoch; one that is born on the way has both.
func TestRotationWithTokenKeys(t *testing.T) {
	t.Parallel()
	h := tokenDomain(t, domaintest.Options{Recovery: true, Memory: domaintest.NewMemory()})
	w := h.WalletOf(domaintest.InToken("first"))
	mustStep(t, h, request.EpochLoad)
	mustStep(t, h, request.EpochCommit)
	x := h.WalletOf(domaintest.InToken("second"))
	mustPay(t, h, "first", 0)
	mustStep(t, h, request.EpochActivate)
	mustPay(t, h, "first", 1)
	mustStep(t, h, request.EpochFinalize)
	h.Reopen()
	mustPay(t, h, "first", 2)
	mustPay(t, h, "second", 0)
	wantTokenKeys(t, h.Options.Token, w.Wallet.Key, x.Wallet.Key)
	h.Check()
}

// The blob says which public key the log means: without it, or with another's, the token is not asked.
func TestTokenKeyNeedsItsBlob(t *testing.T) {
	t.Parallel()
	memory := domaintest.NewMemory()
	h := tokenDomain(t, domaintest.Options{Memory: memory})
	w := h.WalletOf(domaintest.InToken("sealed"))
	v := approvedTransfer(t, h, "sealed")
	var ref keystore.Ref
	for r, b := range memory.Blobs() {
		head, err := keystore.ReadHeader(b)
		if r.Key != w.Wallet.Key || err != nil {
			continue
		}
		ref = r
		if head.Class != keystore.Token || !bytes.Equal(head.Public, w.Wallet.Public) || head.Attributes != keystore.Sign|keystore.Local|keystore.NeverExtractable {
			t.Errorf("%+v", head)
		}
	}
	blob := memory.Blobs()[ref]
	memory.SetBlob(ref, nil)
	_, err := h.D.Sign(t.Context(), v.ID, ethPayload(t, 1000, 0, 10))
	wantKind(t, "without the blob", err, problem.Internal)
	memory.SetBlob(ref, blob)
	if _, err := h.D.Sign(t.Context(), v.ID, nil); err != nil {
		t.Error(err)
	}
}

// Rules tell the classes apart: the limit of an amount on what such a wallet pays.
func TestRulesOnTheClass(t *testing.T) {
	t.Parallel()
	h := tokenDomain(t, domaintest.Options{Document: func(d *policy.Document) {
		most := custody.U64(500)
		d.Guards = append(d.Guards, policy.Guard{ID: "little-in-the-token", Effect: policy.Deny, Reason: "no-backup",
			When: policy.Match{Operations: []request.Operation{request.Transfer}, Classes: []request.Class{request.ClassToken}, AmountOver: &most}})
	}})
	h.WalletOf(domaintest.InToken("sealed"))
	h.Wallet("hot", domaintest.Chain, request.SchemeEVM)
	mustPay(t, h, "hot", 0)
	v, err := h.Submit(h.Alice, h.Request(h.Alice, request.Transfer, transferBody("sealed", ether(), domaintest.Whitelisted, 1000)), nil)
	if err != nil || v.State != message.StateRefused {
		t.Fatalf("%+v, %v", v, err)
	}
	h.Check()
}

var _ hsm.TokenKeys = (*domaintest.Token)(nil)
