// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"slices"
	"testing"

	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
)

// TestEndedRequestsSayWhoDecided: when a request does not wait any more, its approvals, and who rejected or cancelled it, are read back.
func TestEndedRequestsSayWhoDecided(t *testing.T) {
	t.Parallel()
	h := hotDomain(t, domaintest.Options{})
	signed := approvals(t, h, submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 1000)), h.Bob, h.Carol)
	if _, err := h.D.Sign(t.Context(), signed.ID, payload(t, domaintest.Whitelisted, 1000, 0, 10)); err != nil {
		t.Fatal(err)
	}
	executed := approvals(t, h, submitted(t, h, h.Alice, h.Request(h.Alice, request.WhitelistRemove, request.WhitelistRemoveBody{ID: h.Document().AddressBook[0].ID})), h.Bob, h.Carol)
	decided := func(by domaintest.Person, d request.Decision) message.Request {
		v := approvals(t, h, submitted(t, h, h.Alice, h.Request(h.Alice, request.WhitelistAdd, request.WhitelistAddBody{ID: "spare", Chain: domaintest.Chain, Address: "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"})), h.Bob)
		v, err := h.Decide(by, v, d)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	rejected, cancelled := decided(h.Carol, request.Reject), decided(h.Alice, request.Cancel)
	for range 2 { // the second time after a restart
		for _, tt := range []struct {
			v       message.Request
			state   message.State
			by      []custody.PersonID
			endedBy custody.PersonID
		}{
			{signed, message.StateSigned, []custody.PersonID{h.Bob.ID, h.Carol.ID}, ""},
			{executed, message.StateExecuted, []custody.PersonID{h.Bob.ID, h.Carol.ID}, ""},
			{rejected, message.StateRejected, []custody.PersonID{h.Bob.ID}, h.Carol.ID},
			{cancelled, message.StateCancelled, []custody.PersonID{h.Bob.ID}, h.Alice.ID},
		} {
			v, err := h.D.Request(t.Context(), tt.v.ID)
			if err != nil || v.State != tt.state {
				t.Fatalf("%s: %v, %+v", tt.state, err, v)
			}
			var by []custody.PersonID
			for _, a := range v.Approvals {
				if by = append(by, a.Person); a.Seq <= v.Seq || a.Time == 0 || a.Key == "" {
					t.Errorf("%s: %+v", tt.state, a)
				}
			}
			if !slices.Equal(by, tt.by) {
				t.Errorf("%s: approved by %v, want %v", tt.state, by, tt.by)
			}
			if (v.EndedBy != nil) != (tt.endedBy != "") || v.EndedBy != nil && v.EndedBy.Person != tt.endedBy {
				t.Errorf("%s: ended by %+v, want %s", tt.state, v.EndedBy, tt.endedBy)
			}
		}
		h.Reopen()
	}
}
