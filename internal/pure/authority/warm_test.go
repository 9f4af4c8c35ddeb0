// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"strongroom/internal/lawtest"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// vault is a world with a warm wallet of that name.
type vault struct{ *world }

func newVault(t tester) vault {
	w := newWorld(t)
	w.must(t, w.effect(t, w.approved(t, request.WalletCreate, request.WalletCreateBody{Wallet: "vault", Chain: evm, Scheme: request.SchemeEVM, Temperature: request.Warm}, "bob")))
	return vault{w}
}

func (v vault) does(t tester, op request.Operation, body any) *entry.Effect {
	t.Helper()
	e := v.effect(t, v.approved(t, op, body, "bob", "carol"))
	v.must(t, e)
	return e
}

func (v vault) opens(t tester, asset custody.AssetID, amount uint64, ahead int64) {
	t.Helper()
	v.does(t, request.WarmOpen, request.WarmOpenBody{Wallet: "vault", Asset: asset, Amount: custody.U64(amount), NotAfter: v.now/1e9 + ahead})
}

// transfer is an approved transfer of the vault.
func (v vault) transfer(t tester, asset custody.AssetID, amount uint64) custody.RequestID {
	t.Helper()
	b := payEVM(amount)
	b.Wallet, b.Asset = "vault", asset
	return v.approved(t, request.Transfer, b, "bob", "carol")
}

// pay gives the permit of a transfer, or its replacement.
func (v vault) pay(t tester, id custody.RequestID, fee uint64) *entry.Permit {
	t.Helper()
	nonce := v.s.NextNonce("vault", 0)
	if _, again := v.s.Signed(id); again {
		nonce--
	}
	b := v.permit(t, id, fmt.Sprint("vault ", id, fee), account0(nonce), fee)
	b.Wallet = "vault"
	return b
}

func (v vault) left(t tester, asset custody.AssetID) string {
	t.Helper()
	for _, x := range v.s.WarmSessions("vault") {
		if x.Asset == asset {
			return x.Remaining.String()
		}
	}
	return "none"
}

// kind is the problem that a request meets when it is asked for.
func (v vault) kind(t tester, op request.Operation, body any) problem.Kind {
	t.Helper()
	r := v.request(who("alice"), op, body)
	p, err := request.Parse(r.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if _, err = v.s.DecideRequest(p, policy.BySignature, v.at(), Derive); err == nil {
		return ""
	}
	return problem.KindOf(err)
}

// A permit needs a session of its wallet and asset that has not possibly ended and has room for amount and fee.
func TestWarmPermit(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	id := v.transfer(t, evm.Native(), 100)
	v.refused(t, "no session", v.pay(t, id, 10))
	v.opens(t, token, 1000, 3600)
	v.refused(t, "a session of another asset", v.pay(t, id, 10))
	v.opens(t, evm.Native(), 109, 3600)
	v.refused(t, "less than amount and fee", v.pay(t, id, 10))
	v.opens(t, evm.Native(), 120, 3600)
	if len(v.s.WarmSessions("vault")) != 2 || v.left(t, evm.Native()) != "120" {
		t.Fatalf("a session takes the place of the one before: %+v", v.s.WarmSessions("vault"))
	}
	v.must(t, v.pay(t, id, 10))
	if got := v.left(t, evm.Native()); got != "10" {
		t.Errorf("%s left", got)
	}
	v.refused(t, "a replacement beyond the session", v.pay(t, id, 21))
	v.must(t, v.pay(t, id, 20)) // the difference
	if got := v.left(t, evm.Native()); got != "0" {
		t.Errorf("%s left", got)
	}
	coins := v.transfer(t, token, 1000)
	v.must(t, v.pay(t, coins, 30)) // the fee is in another coin
	if got := v.left(t, token); got != "0" {
		t.Errorf("%s left", got)
	}
}

// After the end less the bound nothing is permitted, also while the session still stands in the state.
func TestWarmEnd(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	v.opens(t, evm.Native(), 1000, 600)
	first, second := v.transfer(t, evm.Native(), 1), v.transfer(t, evm.Native(), 1)
	v.advance(600*time.Second - time.Duration(v.bound))
	v.must(t, v.pay(t, first, 1))
	v.advance(1)
	v.refused(t, "perhaps past its end", v.pay(t, second, 1))
	if v.left(t, evm.Native()) != "998" {
		t.Error("the session is gone before its end is certain")
	}
	v.advance(2 * time.Second)
	v.must(t, &entry.Writer{Epoch: v.s.Writer + 1})
	if v.left(t, evm.Native()) != "none" || v.s.Counts().WarmSessions != 0 {
		t.Error("the session is still there")
	}
}

// Nothing is reserved for a transfer before its permit, and what a permit took never comes back.
func TestWarmNothingComesBack(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	v.opens(t, evm.Native(), 100, 3600)
	cancelled, paid := v.transfer(t, evm.Native(), 90), v.transfer(t, evm.Native(), 80)
	if got := v.left(t, evm.Native()); got != "100" {
		t.Errorf("%s left: something is reserved", got)
	}
	v.must(t, v.pay(t, paid, 10))
	v.must(t, v.approval(t, cancelled, who("alice"), request.Cancel))
	v.must(t, v.result(paid))
	v.refused(t, "what a permit took came back", v.pay(t, v.transfer(t, evm.Native(), 1), 10))
	if got := v.left(t, evm.Native()); got != "10" {
		t.Errorf("%s left", got)
	}
}

// A change of temperature and closing end all sessions; the effect names them.
func TestWarmClosing(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	for _, end := range []func() *entry.Effect{
		func() *entry.Effect {
			e := v.effect(t, v.approved(t, request.WarmClose, request.WarmCloseBody{Wallet: "vault"}))
			v.must(t, e)
			return e
		},
		func() *entry.Effect {
			defer v.does(t, request.WalletTemperature, request.WalletTemperatureBody{Wallet: "vault", To: request.Warm})
			return v.does(t, request.WalletTemperature, request.WalletTemperatureBody{Wallet: "vault", To: request.Hot})
		},
	} {
		v.opens(t, evm.Native(), 100, 3600)
		v.opens(t, token, 100, 3600)
		if e := end(); len(e.Warm.Closed) != 2 || len(v.s.WarmSessions("vault")) != 0 || v.s.Counts().WarmSessions != 0 {
			t.Errorf("%+v leaves %+v", e.Warm, v.s.WarmSessions("vault"))
		}
		v.refused(t, "in a session that was closed", v.pay(t, v.transfer(t, evm.Native(), 1), 1))
	}
}

// What can't be asked for, and why.
func TestWarmRefusals(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	seed := func(id custody.WalletID) custody.KeyID { w, _, _ := v.s.Wallet(id); return w.Key }
	v.must(t, v.effect(t, v.approved(t, request.WalletCreate, request.WalletCreateBody{Wallet: "twin", Chain: evm, Scheme: request.SchemeEVM, Seed: seed("hot"), Account: 1}, "bob")))
	open := func(w custody.WalletID, a custody.AssetID, ahead int64) request.WarmOpenBody {
		return request.WarmOpenBody{Wallet: w, Asset: a, Amount: custody.U64(1), NotAfter: v.now/1e9 + ahead}
	}
	for name, x := range map[string]struct {
		op   request.Operation
		body any
		want problem.Kind
	}{
		"unknown wallet":             {request.WarmOpen, open("nobody", evm.Native(), 60), problem.NotFound},
		"hot wallet":                 {request.WarmOpen, open("hot", evm.Native(), 60), problem.Conflict},
		"asset of another chain":     {request.WarmOpen, open("vault", regtest.Native(), 60), problem.WrongNetwork},
		"end is past":                {request.WarmOpen, open("vault", evm.Native(), 0), problem.Expired},
		"too long":                   {request.WarmOpen, open("vault", evm.Native(), request.MaxWarm+1), problem.Malformed},
		"longest":                    {request.WarmOpen, open("vault", evm.Native(), request.MaxWarm), ""},
		"nothing to close":           {request.WarmClose, request.WarmCloseBody{Wallet: "vault"}, problem.Conflict},
		"warm already":               {request.WalletTemperature, request.WalletTemperatureBody{Wallet: "vault", To: request.Warm}, problem.Conflict},
		"hot already":                {request.WalletTemperature, request.WalletTemperatureBody{Wallet: "hot", To: request.Hot}, problem.Conflict},
		"the seed opens for another": {request.WalletTemperature, request.WalletTemperatureBody{Wallet: "hot", To: request.Warm}, problem.Conflict},
		"a seed of its own":          {request.WalletTemperature, request.WalletTemperatureBody{Wallet: "cold", To: request.Warm}, ""},
		"seed of a warm wallet":      {request.WalletCreate, request.WalletCreateBody{Wallet: "new", Chain: evm, Scheme: request.SchemeEVM, Seed: seed("vault"), Account: 1}, problem.Conflict},
	} {
		if got := v.kind(t, x.op, x.body); got != x.want {
			t.Errorf("%s: %q, want %q", name, got, x.want)
		}
	}
	v.s.warmCount = MaxWarmSessions
	if got := v.kind(t, request.WarmOpen, open("vault", evm.Native(), 60)); got != problem.Busy {
		t.Errorf("too many sessions: %q", got)
	}
}

// The effect must be what the request asks for, and other effects have nothing to do with temperatures.
func TestWarmEffect(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	id := v.approved(t, request.WarmOpen, request.WarmOpenBody{Wallet: "vault", Asset: evm.Native(), Amount: custody.U64(5), NotAfter: v.now/1e9 + 60}, "bob", "carol")
	for name, spoil := range map[string]func(*entry.Effect){
		"more":          func(e *entry.Effect) { e.Warm.Opened.Amount = custody.U64(6) },
		"longer":        func(e *entry.Effect) { e.Warm.Opened.NotAfter++ },
		"another asset": func(e *entry.Effect) { e.Warm.Opened.Asset = token },
		"another":       func(e *entry.Effect) { e.Warm.Wallet = "hot" },
		"hot too":       func(e *entry.Effect) { e.Warm.To = request.Hot },
		"nothing":       func(e *entry.Effect) { e.Warm = nil },
		"a document":    func(e *entry.Effect) { e.Document = v.s.Doc.Encode() },
	} {
		e := v.effect(t, id)
		spoil(e)
		v.refused(t, name, e)
	}
	v.must(t, v.effect(t, id))
	v.refused(t, "twice", &entry.Effect{Request: id})
	other := v.effect(t, v.approved(t, request.AddressCreate, request.AddressCreateBody{Wallet: "hot", Count: 1}))
	other.Warm = &entry.Warm{Wallet: "vault", To: request.Hot}
	v.refused(t, "addresses that make a wallet hot", other)
}

// Whatever happens, what the permits of a session took is no more than it was opened for, and each came before its end: reckoned from the
// entries alone.
func TestWarmSessionsPayNoMore(t *testing.T) {
	t.Parallel()
	seen := lawtest.Counts{}
	lawtest.Check(t, seen.Want(1, "permits of a session"), func(t *rapid.T) {
		d := newDriver(t)
		for range rapid.IntRange(20, 60).Draw(t, "steps") {
			if rapid.IntRange(0, 9).Draw(t, "restart") == 0 {
				d.s = d.restored(t)
			}
			d.advance(rapid.SampledFrom([]time.Duration{0, 0, 0, time.Second, time.Minute, time.Hour}).Draw(t, "later"))
			if rapid.IntRange(0, 2).Draw(t, "what") == 0 {
				op, body := d.warmRequest(t)
				d.through(t, op, body)
			} else {
				d.vaultStory(t)
			}
		}
		seen["permits of a session"] += sumOfSessions(t, d.log)
	})
}

// sumOfSessions adds up what the permits of each session took.
func sumOfSessions(t *rapid.T, log []logged) (permits int) {
	type session struct {
		asset    custody.AssetID
		left     custody.Uint256
		notAfter int64
	}
	open := map[custody.AssetID]*session{} // of the vault
	warm := true
	asked := map[custody.RequestID]request.Effects{}
	fees := map[custody.RequestID]custody.Uint256{}
	for _, x := range log {
		switch b := x.body.(type) {
		case *entry.Request:
			r, err := b.Parse()
			if err != nil {
				t.Fatal(err)
			}
			asked[r.Ident] = b.Effects
		case *entry.Effect:
			if b.Warm == nil || b.Warm.Wallet != "vault" {
				continue
			}
			if o := b.Warm.Opened; o != nil {
				open[o.Asset] = &session{o.Asset, o.Amount, o.NotAfter}
			} else {
				clear(open)
			}
			if b.Warm.To != "" {
				warm = b.Warm.To == request.Warm
			}
		case *entry.Permit:
			e := asked[b.Request]
			before, again := fees[b.Request]
			fees[b.Request] = b.Fee
			if e.Wallet != "vault" || !warm {
				continue
			}
			s := open[e.Asset]
			if s == nil || x.leaf.Time+x.leaf.Bound > s.notAfter*1e9 {
				t.Fatalf("entry %d: a permit outside a session", x.leaf.Seq)
			}
			cost := custody.Uint256{}
			if !again {
				cost = e.Total
			}
			if e.Asset == evm.Native() {
				more, _ := b.Fee.Sub(before)
				cost, _ = cost.Add(more)
			}
			var ok bool
			if s.left, ok = s.left.Sub(cost); !ok {
				t.Fatalf("entry %d: more than the session was opened for", x.leaf.Seq)
			}
			permits++
		}
	}
	return permits
}
