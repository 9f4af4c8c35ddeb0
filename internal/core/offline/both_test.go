// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"bytes"
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// pair is a real online domain and an offline one, with a courier between them.
type pair struct {
	*domaintest.Harness
	t   *testing.T
	v   *vault
	ops *crew
}

func newPair(t *testing.T) *pair {
	t.Helper()
	h := domaintest.New(t, domaintest.Options{Recovery: true, Document: func(d *policy.Document) {
		d.Routes = append(d.Routes, policy.Route{ID: "moves", Priority: 50, Plan: d.ChangePlan, When: policy.Match{Operations: []request.Operation{request.WalletMove}}})
	}})
	p := &pair{Harness: h, t: t, v: newVault(t, h.Clock, h.D.Authority()), ops: &crew{people: []domaintest.Person{h.Alice, h.Carol}}}
	on := request.PointsSetBody{Counter: h.Life().Counter + 1, Allow: points.Make(points.MoveIn, points.MoveOut, points.ExportCold)}
	p.govern(request.PointsSet, on)
	g, err := p.v.d.Genesis(background)
	if err != nil {
		t.Fatal(err)
	}
	p.govern(request.OfflineAdd, request.OfflineAddBody{Counter: h.Life().Counter + 1, Name: "vault", Leaf: g.Leaf, Salt: g.Salt, Body: g.Body})
	return p
}

// govern asks as alice, and has bob and carol approve.
func (p *pair) govern(op request.Operation, body any) message.Request {
	p.t.Helper()
	v, err := p.Submit(p.Alice, p.Request(p.Alice, op, body), nil)
	for _, who := range []domaintest.Person{p.Bob, p.Carol} {
		if err == nil && v.State == message.StatePending {
			v, err = p.Decide(who, v, request.Approve)
		}
	}
	if err != nil || v.State != message.StateExecuted {
		p.t.Fatalf("%s: %v, %v", op, v.State, err)
	}
	return v
}

// export has the online domain write a bundle.
func (p *pair) export(full bool) []byte {
	p.t.Helper()
	b, err := p.D.OfflineExport(context.Background(), message.OfflineExport{Full: full})
	if err != nil {
		p.t.Fatal(err)
	}
	var out []byte
	for {
		part, err := p.D.OfflineNext(context.Background(), message.OfflineNext{Run: b.Run, Offset: uint64(len(out))})
		if err != nil {
			p.t.Fatal(err)
		}
		if len(part.Bytes) == 0 {
			return out
		}
		out = append(out, part.Bytes...)
	}
}

// take hands a result in.
func (p *pair) take(result []byte) (message.OfflineImported, error) {
	run := make([]byte, 16)
	rand.Read(run)
	return p.D.OfflineImport(context.Background(), message.OfflineImport{Run: run, Bytes: result, Last: true})
}

// carry takes a bundle there and the result back.
func (p *pair) carry() (message.OfflineImported, Report) {
	p.t.Helper()
	p.Clock.Advance(time.Minute)
	answer, r, err := p.v.work(p.export(false), p.ops)
	if err != nil {
		p.t.Fatal(err)
	}
	p.Clock.Advance(time.Minute)
	out, err := p.take(answer)
	if err != nil {
		p.t.Fatal(err)
	}
	return out, r
}

// pay asks for a transfer and has it approved; payload is what is then handed over to be signed.
func (p *pair) pay(wallet custody.WalletID, amount, nonce uint64) (custody.RequestID, []byte) {
	p.t.Helper()
	v, err := p.Submit(p.Alice, p.Request(p.Alice, request.Transfer, request.TransferBody{Wallet: wallet, Asset: domaintest.Chain.Native(),
		Outputs: []request.Output{{Address: domaintest.Whitelisted, Amount: custody.U64(amount)}}, FeeCap: custody.U64(21000 * 100)}), nil)
	for _, who := range []domaintest.Person{p.Bob, p.Carol} {
		if err == nil {
			v, err = p.Decide(who, v, request.Approve)
		}
	}
	to, err2 := eth.ParseAddress(domaintest.Whitelisted)
	payload, err3 := eth.Tx1559{ChainID: 1337, Nonce: nonce, MaxPriorityFeePerGas: eth.FromUint64(1), MaxFeePerGas: eth.FromUint64(10), GasLimit: 21000, To: to,
		Value: eth.FromUint64(amount)}.Encode()
	if err != nil || err2 != nil || err3 != nil {
		p.t.Fatal(err, err2, err3)
	}
	return v.ID, payload
}

// Hot, cold, and hot again: the same addresses, the seed in one place at a time, and transfers all the way.
func TestBothSides(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	ctx := context.Background()
	before := p.Wallet("savings", domaintest.Chain, request.SchemeEVM)
	id, payload := p.pay("savings", 10, 0)
	if s, err := p.D.Sign(ctx, id, payload); err != nil || len(s.Bytes) == 0 {
		t.Fatalf("hot: %v", err)
	}
	there := p.v.d.ID()
	p.govern(request.WalletMove, request.WalletMoveBody{Wallet: "savings", To: there[:], Temperature: request.Cold})
	out, r := p.carry()
	if !slices.Equal(out.MovedIn, []custody.WalletID{"savings"}) || !slices.Equal(r.MovedIn, out.MovedIn) {
		t.Fatalf("%+v, %+v", out, r)
	}

	id, payload = p.pay("savings", 20, 1)
	if s, err := p.D.Sign(ctx, id, payload); err != nil || !s.Exported || len(s.Bytes) > 0 {
		t.Fatalf("cold: %+v, %v", s, err)
	}
	out, r = p.carry()
	if !slices.Equal(out.Signed, []custody.RequestID{id}) || len(r.Signed) != 1 {
		t.Fatalf("%+v, %+v", out, r)
	}
	s, err := p.D.Sign(ctx, id, nil)
	if err != nil || s.Exported || len(s.Bytes) == 0 || s.TxID != r.Signed[0].TxID {
		t.Fatalf("%+v, %v", s, err)
	}
	tx, err := eth.DecodeSigned(s.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	from, err := tx.Sender()
	first, err2 := authority.Derive(before.Wallet, entry.KeyPath{})
	if err != nil || err2 != nil || from.String() != first.Address {
		t.Errorf("signed by %s, %v, %v", from, err, err2)
	}

	home := p.D.ID()
	p.govern(request.WalletMove, request.WalletMoveBody{Wallet: "savings", To: home[:], Temperature: request.Hot})
	out, _ = p.carry()
	if !slices.Equal(out.MovedOut, []custody.WalletID{"savings"}) {
		t.Fatalf("%+v", out)
	}
	after, err := p.D.Wallet("savings")
	if err != nil || !bytes.Equal(after.Wallet.Public, before.Wallet.Public) || after.Wallet.ChainCode != before.Wallet.ChainCode || after.Wallet.Key != before.Wallet.Key {
		t.Errorf("another wallet came back: %v", err)
	}
	id, payload = p.pay("savings", 30, 2)
	if s, err := p.D.Sign(ctx, id, payload); err != nil || s.Exported || len(s.Bytes) == 0 {
		t.Fatalf("hot again: %+v, %v", s, err)
	}
	p.v.reopen()
	if n := len(p.v.d.Status(background).Wallets); n != 0 {
		t.Errorf("%d wallets are still there", n)
	}
	p.Reopen()
	p.Check()
}

// What the online domain refuses: altered results, results twice, of other bundles.
func TestBothSidesRefuse(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.Wallet("savings", domaintest.Chain, request.SchemeEVM)
	there := p.v.d.ID()
	p.govern(request.WalletMove, request.WalletMoveBody{Wallet: "savings", To: there[:], Temperature: request.Cold})
	p.carry()
	id, payload := p.pay("savings", 20, 0)
	if _, err := p.D.Sign(context.Background(), id, payload); err != nil {
		t.Fatal(err)
	}
	bundle := p.export(false)
	answer, _, err := p.v.work(bundle, p.ops)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(answer); i += 61 {
		x := bytes.Clone(answer)
		x[i] ^= 1
		if _, err := p.take(x); err == nil {
			t.Fatalf("byte %d of a result can be altered", i)
		}
	}
	again, r, err := p.v.work(bundle, p.ops)
	if err != nil || !r.Again {
		t.Fatal(err)
	}
	if out, err := p.take(again); err != nil || len(out.Signed) != 1 {
		t.Fatalf("%+v, %v", out, err)
	}
	if _, err := p.take(answer); problem.KindOf(err) != problem.AlreadyDone {
		t.Errorf("a result twice: %v", err)
	}
	if _, _, err := p.v.work(bundle[:len(bundle)-1], p.ops); err == nil {
		t.Error("a bundle that was cut off is taken")
	}
	other := newPair(t)
	if _, _, err := p.v.work(other.export(true), p.ops); err == nil || !strings.Contains(err.Error(), "does not open") {
		t.Errorf("another's bundle: %v", err)
	}
	if _, err := other.take(answer); err == nil {
		t.Error("another's result is taken")
	}
}

// The offline machine is lost and comes back by the online domain's custodians; a full bundle brings the authority's log again.
func TestBothSidesRestore(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.Wallet("savings", domaintest.Chain, request.SchemeEVM)
	there := p.v.d.ID()
	p.govern(request.WalletMove, request.WalletMoveBody{Wallet: "savings", To: there[:], Temperature: request.Cold})
	p.carry()
	f := folder{}
	p.v.reopen()
	m, err := p.v.backup(f, nil)
	if err != nil {
		t.Fatal(err)
	}
	id, payload := p.pay("savings", 20, 0)
	if _, err := p.D.Sign(context.Background(), id, payload); err != nil {
		t.Fatal(err)
	}
	if p.v, err = p.v.restore(f, m, true); err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.v.work(p.export(false), p.ops); err == nil || !strings.Contains(err.Error(), "--full") {
		t.Errorf("a part of the log: %v", err)
	}
	answer, r, err := p.v.work(p.export(true), p.ops)
	if err != nil || len(r.Signed) != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	if out, err := p.take(answer); err != nil || !slices.Equal(out.Signed, []custody.RequestID{id}) {
		t.Fatalf("%+v, %v", out, err)
	}
}
