// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"strongroom/internal/core/auditlog/disk/disktest"
	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// withWarm lets two of three change temperatures and open sessions; anybody closes them.
func withWarm(d *policy.Document) {
	withBank(d)
	two := policy.Plan{AnyOf: []policy.Branch{{Steps: []policy.Step{{Group: "officers", Min: 2}}}}}
	d.Routes = append(d.Routes,
		policy.Route{ID: "warm", Priority: 50, Plan: two, When: policy.Match{Operations: []request.Operation{request.WalletTemperature, request.WarmOpen}}},
		policy.Route{ID: "shut", Priority: 60, Auto: true, When: policy.Match{Operations: []request.Operation{request.WarmClose}}})
}

// gas is the fee of the tests' transfers at a price of 1.
const gas = 21000

func ether() custody.AssetID { return domaintest.Chain.Native() }

// vault is a domain with a warm wallet of that name.
type vault struct {
	*domaintest.Harness
	t     *testing.T
	nonce uint64
}

func newVault(t *testing.T) *vault {
	t.Helper()
	v := &vault{Harness: domaintest.New(t, domaintest.Options{Document: withWarm}), t: t}
	body := request.WalletCreateBody{Wallet: "vault", Chain: domaintest.Chain, Scheme: request.SchemeEVM, Temperature: request.Warm}
	approvals(t, v.Harness, submitted(t, v.Harness, v.Alice, v.Request(v.Alice, request.WalletCreate, body)), v.Bob)
	v.unsealed(0)
	return v
}

// opens opens a session for an amount and an hour.
func (v *vault) opens(amount uint64) message.Request {
	v.t.Helper()
	body := request.WarmOpenBody{Wallet: "vault", Asset: ether(), Amount: custody.U64(amount), NotAfter: v.Clock.Wall.Load()/1e9 + 3600}
	r := approvals(v.t, v.Harness, submitted(v.t, v.Harness, v.Alice, v.Request(v.Alice, request.WarmOpen, body)), v.Bob, v.Carol)
	if r.State != message.StateExecuted {
		v.t.Fatalf("%+v", r)
	}
	return r
}

// pays asks for a transfer by the service, which the rules allow by themselves, with its payload.
func (v *vault) pays(amount, price uint64) (message.Request, error) {
	v.t.Helper()
	r := v.Request(v.Service, request.Transfer, transferBody("vault", ether(), domaintest.Whitelisted, amount))
	m, err := v.Submit(v.Service, r, ethPayload(v.t, amount, v.nonce, price))
	if err == nil && m.State == message.StateSigned {
		v.nonce++
	}
	return m, err
}

func (v *vault) mustPay(amount, price uint64) message.Request {
	v.t.Helper()
	m, err := v.pays(amount, price)
	if err != nil || m.Signed == nil || len(m.Signed.Bytes) == 0 {
		v.t.Fatalf("%v, %+v", err, m)
	}
	return m
}

func (v *vault) closed(err error) {
	v.t.Helper()
	if problem.KindOf(err) != problem.WarmClosed {
		v.t.Errorf("outside a session: %v", err)
	}
}

func (v *vault) unsealed(want int) {
	v.t.Helper()
	if a, n := v.D.Unsealed(); a != want || n != want {
		v.t.Errorf("%d addresses and %d accounts are unsealed, want %d", a, n, want)
	}
	if want == 0 {
		if err := v.D.OpenKey("vault"); problem.KindOf(err) != problem.WarmClosed {
			v.t.Errorf("the ring hands the key out: %v", err)
		}
	}
}

func (v *vault) left() string {
	v.t.Helper()
	w, err := v.D.Wallet("vault")
	if err != nil || w.Temperature != request.Warm || len(w.Sessions) > 1 {
		v.t.Fatalf("%v, %+v", err, w)
	}
	if len(w.Sessions) == 0 || w.Sessions[0].Ended {
		return "none"
	}
	return w.Sessions[0].Remaining.String()
}

func (v *vault) want(left string) {
	v.t.Helper()
	if got := v.left(); got != left {
		v.t.Errorf("the session has %s left, want %s", got, left)
	}
}

// Outside a session nothing is signed and no key is open; inside, until it is used up; a restart keeps what is left, and the same request to
// open does not refill.
func TestWarmSession(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	_, err := v.pays(7, 1)
	v.closed(err)
	if !strings.Contains(fmt.Sprint(err), string(ether())) || !strings.Contains(fmt.Sprint(err), "vault") {
		t.Errorf("the missing session is not named: %v", err)
	}
	v.unsealed(0)
	opening := v.opens(2*(gas+100) + 50)
	v.unsealed(0) // nobody needed it yet
	v.mustPay(100, 1)
	v.unsealed(1)
	v.want(fmt.Sprint(gas + 100 + 50))
	if _, err := v.pays(100, 2); problem.KindOf(err) != problem.WarmClosed {
		t.Errorf("beyond the session: %v", err)
	}
	v.Reopen()
	v.unsealed(0)
	v.want(fmt.Sprint(gas + 100 + 50))
	if _, err := v.Submit(v.Alice, mustRequest(t, opening.Request), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := v.D.Execute(context.Background(), opening.ID); err == nil {
		t.Error("the session was opened again by the same request")
	}
	v.want(fmt.Sprint(gas + 100 + 50))
	m := v.mustPay(100, 1)
	v.want("50")
	w, err := v.D.Wallet("vault")
	if err != nil || len(w.Sessions) != 1 {
		t.Fatal(err)
	}
	if _, err := v.D.Sign(context.Background(), m.ID, ethPayload(t, 100, v.nonce-1, 2)); problem.KindOf(err) != problem.WarmClosed {
		t.Errorf("a replacement beyond the session: %v", err)
	}
	v.Check()
}

// What waits for a session is told so, and is signed in the next one.
func TestWarmTransferWaitsForItsSession(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	r := submitted(t, v.Harness, v.Alice, v.Request(v.Alice, request.Transfer, transferBody("vault", ether(), domaintest.Whitelisted, 1000)))
	m := approvals(t, v.Harness, r, v.Bob, v.Carol)
	if m.State != message.StatePending || m.Missing == nil || m.Missing.Kind != problem.WarmClosed {
		t.Fatalf("%+v", m)
	}
	v.opens(999)
	if m, _ = v.D.Request(context.Background(), m.ID); m.State != message.StatePending {
		t.Errorf("a session without room: %+v", m)
	}
	v.opens(1000 + 30*gas)
	if m, _ = v.D.Request(context.Background(), m.ID); m.State != message.StateReady {
		t.Errorf("%+v", m)
	}
	for _, price := range []uint64{10, 30} { // the replacement costs the difference
		if _, err := v.D.Sign(context.Background(), m.ID, ethPayload(t, 1000, 0, price)); err != nil {
			t.Fatal(err)
		}
	}
	v.want("0")
	v.Check()
}

// Each end of a session wipes the key: its time, closing it, another temperature. What was released is told again without the key.
func TestWarmEnds(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*vault){
		"time": func(v *vault) {
			v.Clock.Wall.Add(int64(time.Hour - 101*time.Millisecond))
			v.D.TendOnce()
			if a, _ := v.D.Unsealed(); a != 1 {
				v.t.Error("the session ended before its time")
			}
			v.Clock.Wall.Add(int64(2 * time.Millisecond)) // the bound is 100 ms
			v.D.TendOnce()
		},
		"close": func(v *vault) {
			if m, err := v.Submit(v.Service, v.Request(v.Service, request.WarmClose, request.WarmCloseBody{Wallet: "vault"}), nil); err != nil || m.State != message.StateExecuted {
				v.t.Fatalf("%v, %+v", err, m)
			}
		},
		"hot and warm again": func(v *vault) {
			govern(v.t, v.Harness, request.WalletTemperature, request.WalletTemperatureBody{Wallet: "vault", To: request.Hot})
			v.mustPay(1, 1) // without a session
			govern(v.t, v.Harness, request.WalletTemperature, request.WalletTemperatureBody{Wallet: "vault", To: request.Warm})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVault(t)
			v.opens(10 * gas)
			m := v.mustPay(5, 1)
			v.unsealed(1)
			end(v)
			v.unsealed(0)
			v.want("none")
			_, err := v.pays(5, 1)
			v.closed(err)
			again, err := v.D.Sign(context.Background(), m.ID, nil)
			if err != nil || !bytes.Equal(again.Bytes, m.Signed.Bytes) {
				t.Errorf("told again: %v", err)
			}
			v.unsealed(0)
			v.Check()
			v.Reopen()
			_, err = v.pays(5, 1)
			v.closed(err)
			v.opens(10 * gas)
			v.mustPay(5, 1)
		})
	}
}

// A permit whose session ended before the key was used stays unsigned, and is signed to the same bytes in the next session, from which it takes
// nothing.
func TestWarmPermitWithoutResult(t *testing.T) {
	t.Parallel()
	faults := &domaintest.Faults{}
	v := &vault{Harness: domaintest.New(t, domaintest.Options{Document: withWarm, Faults: faults}), t: t}
	body := request.WalletCreateBody{Wallet: "vault", Chain: domaintest.Chain, Scheme: request.SchemeEVM, Temperature: request.Warm}
	approvals(t, v.Harness, submitted(t, v.Harness, v.Alice, v.Request(v.Alice, request.WalletCreate, body)), v.Bob)
	v.opens(10 * gas)
	faults.FailAt(domaintest.BlobGet, 1, domaintest.Before, false) // the seed can't be read: the permit stands, nothing is signed
	m, err := v.pays(5, 1)
	if err == nil {
		t.Fatalf("signed: %+v", m)
	}
	v.nonce++
	v.want(fmt.Sprint(9*gas - 5))
	r := v.PendingSigned(t)
	v.Clock.Wall.Add(int64(2 * time.Hour))
	if _, err := v.D.Sign(context.Background(), r, nil); problem.KindOf(err) != problem.WarmClosed {
		t.Errorf("signed outside a session: %v", err)
	}
	v.unsealed(0)
	v.opens(1)
	out, err := v.D.Sign(context.Background(), r, nil)
	if err != nil || len(out.Bytes) == 0 {
		t.Fatal(err)
	}
	v.want("1")
	v.Check()
}

// PendingSigned gives the request of the last permit.
func (v *vault) PendingSigned(t *testing.T) custody.RequestID {
	t.Helper()
	for _, x := range scan(t, v.Harness) {
		if p, ok := x.body.(*entry.Permit); ok {
			return p.Request
		}
	}
	t.Fatal("no permit")
	return custody.RequestID{}
}

// newWarmFactory makes machines with the rules for warm wallets.
func newWarmFactory(t *testing.T) *factory {
	t.Helper()
	f := &factory{log: disktest.New(), anchor: disktest.New(), memory: domaintest.NewMemory(), warm: true}
	f.base = domaintest.New(t, domaintest.Options{Document: withWarm, Log: f.log, Anchor: f.anchor, Memory: f.memory})
	f.base.Close()
	return f
}

// tellWarm is the life of a warm wallet, from its birth to the end of a session.
func (s *story) tellWarm() error {
	create := request.WalletCreateBody{Wallet: "vault", Chain: domaintest.Chain, Scheme: request.SchemeEVM, Temperature: request.Warm}
	if err := s.govern("vault", request.WalletCreate, create, s.h.Bob); err != nil {
		return err
	}
	const amount = 1000 + 20*gas + 500
	open := request.WarmOpenBody{Wallet: "vault", Asset: ether(), Amount: custody.U64(amount), NotAfter: s.h.Clock.Wall.Load()/1e9 + 3600}
	if err := s.govern("open", request.WarmOpen, open, s.h.Bob, s.h.Carol); err != nil {
		return err
	}
	v, err := s.approved("pay-vault", request.Transfer, transferBody("vault", ether(), domaintest.Whitelisted, 1000), s.h.Bob, s.h.Carol)
	if err != nil {
		return err
	}
	if err := s.sign(v, ethPayload(s.h.T, 1000, 0, 10), ethPayload(s.h.T, 1000, 0, 20)); err != nil {
		return err
	}
	w, err := s.h.D.Wallet("vault")
	if err != nil {
		return err
	}
	if len(w.Sessions) == 1 && w.Sessions[0].Remaining.String() != "500" {
		s.h.T.Errorf("the session has %s left, want 500", w.Sessions[0].Remaining)
	}
	over := s.h.Request(s.h.Service, request.Transfer, transferBody("vault", ether(), domaintest.Whitelisted, 7))
	over.Key = "over"
	if v, err := s.h.Submit(s.h.Service, over, ethPayload(s.h.T, 7, 1, 10)); v.Signed != nil || err == nil && v.Missing == nil {
		return errors.New("more was signed than the session is for")
	} else if err != nil && problem.KindOf(err) != problem.WarmClosed {
		return err
	}
	return s.govern("close", request.WarmClose, request.WarmCloseBody{Wallet: "vault"})
}

// Every call that a warm wallet's story makes fails, before and after its effect, and the process is killed there, or goes on: the session is
// never refilled, nothing beyond it is signed, nothing acknowledged is lost.
func TestFaultInWarmSession(t *testing.T) {
	t.Parallel()
	f := newWarmFactory(t)
	for _, op := range []domaintest.Op{domaintest.StoreAppend, domaintest.AnchorPin, domaintest.BlobPut, domaintest.BlobGet, domaintest.StoreRead} {
		t.Run(string(op), func(t *testing.T) {
			t.Parallel()
			sweep(t, f, op)
		})
	}
}
