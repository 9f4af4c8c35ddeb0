// SPDX-License-Identifier: Apache-2.0

package words_test

import (
	"strings"
	"testing"

	"strongroom/internal/app/words"
	"strongroom/internal/pure/request"
)

// Approvers read what an address is for, how its owner showed that it is theirs, and what it looks like.
func TestBookWords(t *testing.T) {
	t.Parallel()
	const address = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
	entry := func(o *request.Ownership) *request.WhitelistAddBody {
		return &request.WhitelistAddBody{ID: "bank", Chain: "eip155:1", Address: address, Counterparty: "acme", Kind: "exchange", Tags: []string{"eu", "hot"}, Expires: 2_000_000_000, Proof: o, Lookalike: "vault"}
	}
	for _, c := range []struct {
		body request.Body
		want []string
	}{
		{entry(&request.Ownership{Kind: request.SignedMessage, Scheme: request.EIP191}), []string{address, `of the counterparty "acme"`, "kind: exchange", "tags: eu, hot", "until 2033", "eip191", "LOOKS LIKE vault"}},
		{entry(&request.Ownership{Kind: request.SatoshiTest, Wallet: "hot", Index: 3, Amount: 1234, TxID: "0xab"}), []string{"1234 base units FROM this address TO address 3", "does not see chains"}},
		{entry(&request.Ownership{Kind: request.Attested, Note: "we called them\u202e"}), []string{"attested, by who asks and by who approves: we called them"}},
		{&request.WhitelistSuspendBody{ID: "bank"}, []string{`suspend "bank"`}},
		{&request.WhitelistReviewBody{IDs: []string{"a", "b"}}, []string{"looked at", "  a", "  b"}},
		{&request.WhitelistReviewBody{IDs: []string{"a"}, Resume: true}, []string{"RESUME"}},
		{&request.BlacklistAddBody{Chain: "eip155:1", Address: address, Reason: "hacked"}, []string{"BLACKLIST", address, "hacked"}},
		{&request.BlacklistRemoveBody{Chain: "eip155:1", Address: address}, []string{"take " + address, "BLACKLIST"}},
	} {
		got := strings.Join(words.Body(c.body, ""), "\n")
		for _, w := range c.want {
			if !strings.Contains(got, w) {
				t.Errorf("%T: does not say %q:\n%s", c.body, w, got)
			}
		}
		if strings.Contains(got, "\u202e") {
			t.Errorf("%T: shows a hidden character", c.body)
		}
		e := request.Effects{Operation: request.WhitelistAdd, List: request.ListEffectsOf(c.body)}
		if line := strings.Join(words.Effects(e, request.Bounds{}), "\n"); len(line) <= len("whitelist_add") {
			t.Errorf("%T: its effects say %q", c.body, line)
		}
	}
}
