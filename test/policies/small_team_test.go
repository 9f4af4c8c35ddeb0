// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"testing"
	"time"

	"strongroom/internal/pure/request"
)

const day = 24 * time.Hour

// stranger is in no address book.
const stranger = "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"

func TestSmallTeam(t *testing.T) {
	t.Parallel()
	s := begin(t, "small-team", nil)
	others := []string{"bruno", "chiara"}
	s.tell(
		turn{name: "a wallet", by: "anna", op: request.WalletCreate, body: wallet("main"), want: "allow wallets", approve: others, state: "executed"},
		turn{name: "the program asks for the rent", by: "payments", op: request.Transfer, body: pay("main", "landlord", 10_000), want: "allow payments", cannot: []string{"payments"},
			approve: []string{"anna", "chiara"}, state: "signed", signs: true},
		turn{name: "who asks does not approve", by: "anna", op: request.Transfer, body: pay("main", "exchange", 5_000), want: "allow payments", cannot: []string{"anna"},
			approve: []string{"bruno"}, state: "pending quorum-not-met"},
		turn{name: "the third person does", again: "who asks does not approve", approve: []string{"chiara"}, state: "ready"},
		turn{name: "a stranger is not paid", by: "anna", op: request.Transfer, body: pay("main", stranger, 1), want: "deny known-addresses", state: "refused"},
		turn{name: "not more than 50 ether in seven days", by: "anna", op: request.Transfer, body: pay("main", "exchange", 35_001), want: "deny week"},
		turn{name: "50 are good", by: "anna", op: request.Transfer, body: pay("main", "exchange", 35_000), want: "allow payments", reject: "bruno", state: "rejected"},
		turn{name: "what was rejected is free again", by: "bruno", op: request.Transfer, body: pay("main", "exchange", 35_000), want: "allow payments"},
		turn{name: "after three days it is too late", after: 3 * day, again: "what was rejected is free again", state: "pending expired"},
		turn{name: "something else is asked for, and with it ends what is over", after: 5 * day, by: "anna", op: request.WalletCreate, body: wallet("other"), want: "allow wallets"},
		turn{name: "and only the rent counted, which is forgotten in time", by: "bruno", op: request.Transfer, body: pay("main", "exchange", 50_000), want: "allow payments",
			approve: []string{"anna", "chiara"}, signs: true, state: "signed"},
		turn{name: "the address book is the three's", by: "anna", op: request.WhitelistAdd, body: request.WhitelistAddBody{ID: "printer", Chain: chain, Address: stranger}, want: "allow change-plan",
			approve: others, state: "executed"},
		turn{name: "nobody stops alone what others agreed on, but everybody may stop all", by: "chiara", op: request.Freeze, body: request.FreezeBody{Reason: "a laptop is gone"}, want: "allow freeze", state: "executed"},
		turn{name: "nothing is paid meanwhile", by: "anna", op: request.Transfer, body: pay("main", "landlord", 1), want: "deny frozen"},
		turn{name: "the others open again", by: "chiara", op: request.Unfreeze, body: func(s *story) any { return request.UnfreezeBody{Since: s.since(), Reason: "it was in the train"} },
			want: "allow change-plan", approve: []string{"anna", "bruno"}, state: "executed"},
		turn{name: "the new address", after: 8 * day, by: "payments", op: request.Transfer, body: pay("main", stranger, 1), want: "allow payments", approve: []string{"anna", "bruno"}, state: "signed", signs: true},
	)
}
