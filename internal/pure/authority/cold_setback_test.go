// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"testing"

	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/offline"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// An offline domain that was set back tells which seeds it lacks and what the next one is sealed to: its log goes on, nothing else follows, and a
// wallet can move there again.
func TestOfflineCaughtUp(t *testing.T) {
	t.Parallel()
	a := newAfar(t)
	a.away(t, "hot")
	a.must(t, a.effect(t, a.approved(t, request.WalletCreate, request.WalletCreateBody{Wallet: "third", Chain: evm, Scheme: request.SchemeEVM}, "bob")))
	a.does(t, request.WalletMove, a.goes("third"))
	a.erases(t)
	id := a.approved(t, request.Transfer, payEVM(100), "bob", "carol")
	a.must(t, a.permit(t, id, "cold", account0(0), 10))
	a.must(t, &entry.Offline{Domain: a.box.id, Number: 1})
	before, _ := a.s.OfflineDomain(a.box.id)
	next := importKey("another")
	tells := func(change func(*offline.CaughtUp)) *entry.Offline {
		b := &offline.CaughtUp{Number: 1, Size: a.s.Next, Missing: []offline.Missing{{Wallet: "hot", Key: a.seed("hot").ID}, {Wallet: "nobody"}}, Next: &next}
		change(b)
		return a.tells(t, nil, b, &offline.Closed{})
	}
	a.refused(t, "there is none", tells(func(b *offline.CaughtUp) { b.Number = 2 }))
	a.refused(t, "there is none", tells(func(b *offline.CaughtUp) { b.Size = a.s.Next + 1 }))
	a.refused(t, "no new import key", tells(func(b *offline.CaughtUp) { b.Next = &before.Import }))
	a.refused(t, "no new import key", tells(func(b *offline.CaughtUp) { b.Next = &offline.ImportKey{} }))
	told := tells(func(*offline.CaughtUp) {})
	acts, _, err := a.s.ReadOffline(a.box.id, told.Records)
	if err != nil || len(acts) != 1 || acts[0].CaughtUp == nil {
		t.Fatalf("%+v, %v", acts, err)
	}
	at := a.s.Next
	a.must(t, told)
	d, _ := a.s.OfflineDomain(a.box.id)
	hot, _ := a.s.Away("hot")
	third, _ := a.s.Away("third")
	if d.Gap != at || d.Import.ID != next.ID || d.Taken != 0 || !hot.Missing || hot.Way != Held || !third.Missing || third.Way != Leaving || len(third.Copy) != 32 {
		t.Fatalf("%+v, %+v, %+v", d, hot, third)
	}
	if _, waits := a.s.Exported(id); !waits {
		t.Error("a permit does not wait any more")
	}
	a.must(t, a.effect(t, a.approved(t, request.WalletCreate, request.WalletCreateBody{Wallet: "fourth", Chain: evm, Scheme: request.SchemeEVM}, "bob")))
	if got := a.kind(t, request.WalletMove, a.goes("fourth")); got != "" {
		t.Errorf("no wallet can move there: %q", got)
	}
	if got := a.kind(t, request.WalletMove, a.comes("third", request.Hot)); got != problem.Conflict {
		t.Errorf("a key that never arrived is asked back: %q", got)
	}
	// The seed turns up after all, and comes home.
	a.does(t, request.WalletMove, a.comes("hot", request.Hot))
	if x, _ := a.s.Away("hot"); !x.Missing {
		t.Error("a move finds a seed")
	}
	a.must(t, a.tells(t, []entry.TakenKey{{Key: a.seed("hot").ID, Epoch: a.s.Epoch, Blob: [32]byte{7}}}, a.movedOut(t, "hot")))
	if _, away := a.s.Away("hot"); away {
		t.Error("it is not back")
	}
	// With its import key, nothing but what it says is lost.
	a.does(t, request.WalletMove, a.goes("fourth"))
	a.erases(t)
	a.must(t, a.tells(t, nil, &offline.CaughtUp{Number: 1, Size: a.s.Next}))
	if x, _ := a.s.Away("fourth"); x.Missing {
		t.Error("a seed on its way is lost, though its import key is not")
	}
	a.must(t, a.tells(t, nil, a.movedIn(t, "fourth")))
	if x, _ := a.s.Away("fourth"); x.Way != Held || x.Missing {
		t.Errorf("%+v", x)
	}
}
