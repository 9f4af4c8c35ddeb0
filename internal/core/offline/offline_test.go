// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"slices"
	"testing"

	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/request"
)

func walletBody(id custody.WalletID) request.WalletCreateBody {
	return request.WalletCreateBody{Wallet: id, Chain: domaintest.Chain, Scheme: request.SchemeEVM}
}

// A wallet goes there, signs there, and comes back, with the same addresses all the time.
func TestThereAndBack(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.do(request.WalletCreate, walletBody("savings"))
	w, _, _ := h.s.Wallet("savings")
	before, err := authority.Derive(w, entry.KeyPath{})
	if err != nil {
		t.Fatal(err)
	}
	h.moveOut("savings", h.v.d.ID())
	if _, r := h.carry(); !slices.Equal(r.MovedIn, []custody.WalletID{"savings"}) {
		t.Fatalf("%+v", r)
	}
	if st := h.v.d.Status(background); len(st.Wallets) != 1 || len(st.Missing) != 0 || st.Full {
		t.Fatalf("%+v", st)
	}
	p := h.transfer("savings", 1000, 0)
	res, r := h.carry()
	if len(r.Signed) != 1 || r.Signed[0].Entry != p || len(res.recs) == 0 {
		t.Fatalf("%+v", r)
	}
	if it := h.ops.seen[0].Items; len(it) != 1 || it[0].Effects.Total != custody.U64(1000) || it[0].Initiator != h.alice.ID || len(it[0].Approvers) != 2 || it[0].Effects.Outputs[0].Address != domaintest.Whitelisted {
		t.Errorf("the operators saw %+v", it)
	}
	if _, open := h.s.Exported(custody.RequestID(r.Signed[0].Request)); open {
		t.Error("the online side still waits")
	}
	home := h.s.Domain
	e := h.do(request.WalletMove, request.WalletMoveBody{Wallet: "savings", To: home[:], Temperature: request.Hot})
	res, r = h.carry()
	if !slices.Equal(r.MovedOut, []custody.WalletID{"savings"}) || len(res.copies) != 1 {
		t.Fatalf("%+v", r)
	}
	if st := h.v.d.Status(background); len(st.Wallets) != 0 {
		t.Errorf("%+v", st)
	}
	if h.s.Temperature("savings") != request.Hot {
		t.Errorf("the wallet is %s", h.s.Temperature("savings"))
	}
	h.opens(e, res)
	if after, err := authority.Derive(w, entry.KeyPath{}); err != nil || after.Address != before.Address {
		t.Errorf("%v, %v", after, err)
	}
}
