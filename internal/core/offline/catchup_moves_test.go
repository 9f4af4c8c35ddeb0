// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"strings"
	"testing"
	"time"

	"strongroom/internal/core/keystore"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/request"
)

// behind gives a house whose offline domain holds "savings", with a backup of that moment.
func behind(t *testing.T) *setBack {
	t.Helper()
	h := newHouse(t, func(o *online) { o.custody = true })
	h.cold("savings")
	x := &setBack{house: h, files: folder{}}
	h.v.reopen()
	var err error
	if x.old, err = h.v.backup(x.files, nil); err != nil {
		t.Fatal(err)
	}
	return x
}

// A seed that left behind the backup is not brought back by it: the online domain has it, and there is one copy.
func TestCatchUpMovedOut(t *testing.T) {
	t.Parallel()
	x := behind(t)
	held, _ := x.v.d.state.Holds("savings")
	home := x.s.Domain
	x.do(request.WalletMove, request.WalletMoveBody{Wallet: "savings", To: home[:], Temperature: request.Hot})
	x.carry()
	x.wait(time.Minute)
	n, r, err := x.catchUp(x.seal(x.full()))
	if err != nil || len(r.Loss.Left) != 1 || len(r.Loss.Missing) != 0 || r.Wallets != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	c, err := n.config(false)
	if err != nil {
		t.Fatal(err)
	}
	list, err := c.List(background) // before a start erases anything
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range list {
		if ref.Key == held.Key {
			t.Error("the seed is in two places")
		}
	}
	n.close()
	x.v = n
	if _, report := x.carry(); len(report.Refused)+len(report.MovedOut) > 0 {
		t.Errorf("%+v", report)
	}
	n.reopen()
	if _, err := n.backup(x.files, nil); err != nil {
		t.Errorf("a backup without the copy that has arrived: %v", err)
	}
}

// A move out that nobody heard of is done once more: the seed is in the backup, and the online domain asks for it still.
func TestCatchUpMoveUnheard(t *testing.T) {
	t.Parallel()
	x := behind(t)
	x.transfer("savings", 5, 0)
	x.carry()
	home := x.s.Domain
	e := x.do(request.WalletMove, request.WalletMoveBody{Wallet: "savings", To: home[:], Temperature: request.Hot})
	x.wait(time.Second)
	lost := x.newParts()
	if _, r, err := x.v.work(x.seal(lost), x.ops); err != nil || len(r.MovedOut) != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	n, _, err := x.catchUp(x.seal(x.full()))
	if err != nil {
		t.Fatal(err)
	}
	x.v = n
	res, report := x.carry()
	if len(report.MovedOut) != 1 {
		t.Fatalf("%+v", report)
	}
	x.opens(e, res)
}

// A machine that had gone on from the backup took the same seed in, by the bundle that was still good: what it wrote is dropped, and its blob is the
// one that the log names from now on.
func TestCatchUpFindsSeed(t *testing.T) {
	t.Parallel()
	for _, found := range []bool{true, false} {
		x := behind(t)
		x.do(request.WalletCreate, walletBody("later"))
		x.moveOut("later", x.v.d.ID())
		older := x.full()
		bundle := x.seal(older)
		x.wait(time.Second)
		answer, r, err := x.v.work(bundle, x.ops)
		if err != nil || len(r.MovedIn) != 1 {
			t.Fatalf("%+v, %v", r, err)
		}
		n, err := x.v.restore(x.files, x.old, false, "root")
		if err != nil {
			t.Fatal(err)
		}
		if _, r, err := n.work(bundle, x.ops); err != nil || len(r.MovedIn) != 1 { // the old bundle, once more
			t.Fatalf("%+v, %v", r, err)
		}
		n.reopen()
		fork, err := n.backup(x.files, x.old)
		if err != nil {
			t.Fatal(err)
		}
		x.take(answer, older.head) // the lost machine's own result arrives
		if x.v = n; found {
			x.old = fork
		}
		m, got, err := x.catchUp(x.seal(x.full()))
		if err != nil {
			t.Fatal(err)
		}
		if l := got.Loss; (len(l.Missing) == 0) != found || (l.Dropped > 0) != found || !l.Import {
			t.Errorf("found %v: %+v", found, l)
		}
		x.v = m
		home := x.s.Domain
		x.carry()
		e := x.do(request.WalletMove, request.WalletMoveBody{Wallet: "later", To: home[:], Temperature: request.Hot})
		res, report := x.carry()
		if (len(report.MovedOut) == 1) != found {
			t.Fatalf("found %v: %+v", found, report)
		}
		if found {
			x.opens(e, res)
		}
	}
}

// Another blob of a seed that is missing is not erased: it may be the only copy.
func TestBlobsOfMissingSeedsStay(t *testing.T) {
	t.Parallel()
	x := newSetBack(t, true)
	n, _, err := x.catchUp(x.seal(x.full()))
	if err != nil {
		t.Fatal(err)
	}
	n.reopen()
	held, _ := n.d.state.Holds("later")
	other := []byte("another blob of that seed")
	ref := keystore.Ref{Key: held.Key, Hash: keystore.Hash(other)}
	if err := n.d.cfg.Blobs.Put(background, ref, other); err != nil {
		t.Fatal(err)
	}
	n.reopen()
	if _, err := n.d.cfg.Blobs.Get(background, ref); err != nil {
		t.Error(err)
	}
}

// Another history of the online log, with the same results in it, is not what the lost machine had imported.
func TestCatchUpOfAnotherHistory(t *testing.T) {
	t.Parallel()
	x := behind(t)
	base := x.s.Next
	x.do(request.WalletCreate, walletBody("one"))
	x.carry()
	told, ok := x.bodies[len(x.bodies)-1].(*entry.Offline)
	if !ok {
		t.Fatal("the last entry is no result")
	}
	number := x.number
	x.v.reopen()
	x.back(base, x.v.d.ID())
	for _, id := range []custody.WalletID{"two", "three"} {
		x.do(request.WalletCreate, walletBody(id))
	}
	for x.number < number {
		x.announce(x.v.d)
	}
	x.must(told)
	x.announce(x.v.d)
	if _, _, err := x.catchUp(x.seal(x.full())); err == nil || !strings.Contains(err.Error(), "another than the one that was imported") {
		t.Errorf("%v", err)
	}
}
