// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"testing"

	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// TestFrozenAuthority: an offline core that learns that its authority is frozen signs nothing, also not what a bundle brought before, until a bundle shows that this has ended.
func TestFrozenAuthority(t *testing.T) {
	t.Parallel()
	h, p := ready(t)
	h.effect(h.ask(h.alice, request.Freeze, request.FreezeBody{Reason: "a key is lost"}))
	for range 2 {
		_, r, err := h.v.work(h.seal(h.newParts()), h.ops)
		if problem.KindOf(err) != problem.Frozen || len(r.Signed) != 0 || h.ops.asked != 0 {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	if m := h.v.d.follow.state.ModeState(); m == nil || m.Mode != policy.Frozen {
		t.Fatalf("the authority's log was not imported: %+v", m)
	}
	h.do(request.Unfreeze, request.UnfreezeBody{Since: h.s.ModeState().Since, Reason: "it is found"})
	_, r, err := h.v.work(h.seal(h.newParts()), h.ops)
	if err != nil || len(r.Signed) != 1 || r.Signed[0].Entry != p {
		t.Fatalf("%+v, %v", r, err)
	}
}
