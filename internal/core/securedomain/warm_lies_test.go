// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"context"
	"sync"
	"testing"

	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// A serve that somebody broke into can't get more out of a warm wallet than people opened: by bytes, by approvals of something else, by sending
// again what it has.
func TestLyingServeAndAWarmWallet(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	l := &liar{story: newStory(v.Harness, request.SchemeEVM), door: gate.NewMux()}
	v.D.Serve(l.door)
	pay := approvals(t, v.Harness, submitted(t, v.Harness, v.Alice, v.Request(v.Alice, request.Transfer, transferBody("vault", ether(), domaintest.Whitelisted, 1000))), v.Bob, v.Carol)
	l.refused("approved, and no session", l.sign(pay.ID, ethPayload(t, 1000, 0, 10)), problem.WarmClosed)

	open := func(w custody.WalletID, amount uint64) message.Request {
		return submitted(t, v.Harness, v.Alice, v.Request(v.Alice, request.WarmOpen, request.WarmOpenBody{Wallet: w, Asset: ether(), Amount: custody.U64(amount), NotAfter: v.Clock.Wall.Load()/1e9 + 3600}))
	}
	small, large := open("vault", 1000+10*gas), open("vault", 1_000_000_000)
	bob, carol := l.signedBy(v.Bob, small, request.Approve), l.signedBy(v.Carol, small, request.Approve)
	other := bob
	other.Request = large.ID
	l.refused("approval of another amount", l.approve(other), problem.Unauthenticated)
	if _, err := call[message.Request](l, message.MethodExecute, message.ByID{ID: large.ID}); err == nil {
		t.Error("a session was opened without approvals")
	}
	if err := l.approve(bob); err != nil {
		t.Fatal(err)
	}
	l.refused("approved by one", l.sign(pay.ID, ethPayload(t, 1000, 0, 10)), problem.WarmClosed)
	if err := l.approve(carol); err != nil {
		t.Fatal(err)
	}
	l.refused("a fee beyond the session", l.sign(pay.ID, ethPayload(t, 1000, 0, 11)), problem.WarmClosed)
	if err := l.sign(pay.ID, ethPayload(t, 1000, 0, 10)); err != nil {
		t.Fatal(err)
	}
	v.want("0")
	for range 2 { // what it has, again: it is told what became of it, and nothing opens
		if err := l.approve(carol); err != nil && problem.KindOf(err) != problem.Conflict {
			t.Error(err)
		}
		if out, err := call[message.Request](l, message.MethodExecute, message.ByID{ID: small.ID}); err == nil && out.State != message.StateExecuted {
			t.Errorf("%+v", out)
		}
		v.want("0")
	}
	l.refused("a replacement beyond the session", l.sign(pay.ID, ethPayload(t, 1000, 0, 11)), problem.WarmClosed)
	if m, err := v.Submit(v.Service, v.Request(v.Service, request.WalletTemperature, request.WalletTemperatureBody{Wallet: "vault", To: request.Hot}), nil); err != nil || m.State != message.StatePending {
		t.Errorf("a service made the wallet hot: %v, %+v", err, m)
	}
	v.Check()
}

// However many callers come at once, together they get what the session is for.
func TestWarmSessionUnderManyCallers(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	const most = 5
	v.opens(most*(gas+1) + gas)
	var ids []custody.RequestID
	for range 20 {
		m := submitted(t, v.Harness, v.Service, v.Request(v.Service, request.Transfer, transferBody("vault", ether(), domaintest.Whitelisted, 1)))
		ids = append(ids, m.ID)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex // guards signed
	signed := map[custody.RequestID]bool{}
	for _, id := range ids {
		wg.Go(func() {
			for nonce := uint64(0); nonce <= most; nonce++ { // whichever is free
				if _, err := v.D.Sign(context.Background(), id, ethPayload(v.t, 1, nonce, 1)); err == nil {
					mu.Lock()
					signed[id] = true
					mu.Unlock()
					return
				}
			}
		})
	}
	wg.Wait()
	for range most { // those that found no free nonce in their turn
		for _, id := range ids {
			for nonce := uint64(0); nonce <= most && !signed[id]; nonce++ {
				if _, err := v.D.Sign(context.Background(), id, ethPayload(v.t, 1, nonce, 1)); err == nil {
					signed[id] = true
				}
			}
		}
	}
	if len(signed) != most {
		t.Errorf("%d transfers are signed, want %d", len(signed), most)
	}
	v.want("21000")
	v.Check()
}
