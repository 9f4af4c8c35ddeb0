// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"bytes"
	"context"
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
