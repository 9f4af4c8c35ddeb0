// SPDX-License-Identifier: Apache-2.0

package rest_test

import (
	"fmt"
	"testing"
	"time"

	"strongroom/client"
	"strongroom/internal/gate/coretest"
	"strongroom/internal/pure/request"
)

// A grant is asked for, reviewed by an approver who decodes it, listed with cursors, revoked; and so is a key.
func TestAppGrantsOverREST(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	anna := h.client(coretest.Anna)
	for i := range 3 {
		b := &client.AppGrant{Grant: fmt.Sprintf("app-%d", i), Caller: client.AppCaller(fmt.Sprintf("token:app-%d", i)), Gateway: coretest.Payout.ID, Functions: []client.AppFunction{request.AppGenerate, request.AppSign},
			Mechanisms: []uint64{0x1040, 0x1041}, Keys: []client.KeyID{"00112233445566778899aabbccddeeff"}, Rate: 5, Burst: 6, MaxUses: 7, NotAfter: time.Now().Add(time.Hour).Unix()}
		v := h.asked(coretest.Anna, b)
		if v.Effects.App == nil || v.Effects.App.Grant != b.Grant || v.Effects.App.Caller != b.Caller || v.Effects.Until != b.NotAfter {
			t.Errorf("%+v", v.Effects)
		}
		if v = h.approved(v, coretest.Bruno); v.State != "executed" {
			t.Fatalf("%+v", v)
		}
	}
	first, err := anna.AppGrants(t.Context(), "", 2)
	if err != nil || len(first.Grants) != 2 || first.Total != 3 || first.Next == "" {
		t.Fatalf("%+v, %v", first, err)
	}
	rest, err := anna.AppGrants(t.Context(), first.Next, 2)
	if err != nil || len(rest.Grants) != 1 || rest.Next != "" {
		t.Fatalf("%+v, %v", rest, err)
	}
	if g := rest.Grants[0]; g.Grant.Grant != "app-2" || g.Grant.MaxUses != 7 || !g.Open || g.Used != 0 || len(g.Request) != 64 || g.Entry == 0 {
		t.Errorf("%+v", g)
	}
	if _, err := anna.Wallets(t.Context(), first.Next, 2); err == nil {
		t.Error("a cursor of another list is taken")
	}
	h.approved(h.asked(coretest.Anna, &client.AppRevoke{Grant: "app-0"}), coretest.Bruno)
	h.approved(h.asked(coretest.Anna, &client.AppKeyRevoke{Keys: []client.KeyID{"00112233445566778899aabbccddeeff"}}), coretest.Bruno)
	if l, err := anna.AppGrants(t.Context(), "", 0); err != nil || l.Total != 2 || l.Revoked != 1 {
		t.Errorf("%+v, %v", l, err)
	}
}
