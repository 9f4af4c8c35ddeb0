// SPDX-License-Identifier: Apache-2.0

package words

import (
	"strings"
	"testing"

	"strongroom/internal/pure/request"
)

// Who signs reads what an operation of oversight does, to what, and why.
func TestOversightShowsAll(t *testing.T) {
	t.Parallel()
	id := make([]byte, 32)
	id[0] = 0xab
	for _, x := range []struct {
		body request.Body
		want []string
	}{
		{&request.FreezeBody{Reason: "a key is lost"}, []string{"FREEZE", "a key is lost"}},
		{&request.UnfreezeBody{Since: 41, Reason: "found"}, []string{"END THE FREEZE of entry 41", "found"}},
		{&request.DrainBody{Since: 41, Reason: "move"}, []string{"DRAIN", "breakGlass.drainTo", "instead of the freeze of entry 41", "move"}},
		{&request.ResumeBody{Since: 41, Reason: "over"}, []string{"END the freeze or drain of entry 41", "over"}},
		{&request.RequestHoldBody{Request: id, Reason: "odd"}, []string{"HOLD the request ab00", "odd"}},
		{&request.RequestReleaseBody{Request: id, Hold: 17, Reason: "fine"}, []string{"RELEASE the request ab00", "entry 17", "fine"}},
		{&request.PersonEnrolBody{Person: "p_a", Kind: "human", Line: 3, Roles: []request.Role{request.Auditor}}, []string{"line 3 of defence", "roles auditor"}},
	} {
		got := strings.Join(Body(x.body, ""), "\n")
		for _, w := range x.want {
			if !strings.Contains(got, w) {
				t.Errorf("%T: %q does not say %q", x.body, got, w)
			}
		}
	}
	got := strings.Join(Effects(request.Effects{Operation: request.RequestRelease, Target: id, Since: 17}, request.Bounds{}), "")
	if !strings.Contains(got, "ab00") || !strings.Contains(got, "entry 17") {
		t.Errorf("%q", got)
	}
}
