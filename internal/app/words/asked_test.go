// SPDX-License-Identifier: Apache-2.0

package words_test

import (
	"fmt"
	"strings"
	"testing"

	"strongroom/internal/app/words"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/request"
)

// TestCallIsAskedInWords: the one line about a call says what the core has decoded, and not how many bytes that was only; a long tree is cut, and says so.
func TestCallIsAskedInWords(t *testing.T) {
	t.Parallel()
	const contract = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
	r := request.Request{V: 1, Authority: custody.AuthorityID{1}, Domain: custody.DomainID{1}, Initiator: "p_aaaaaaaaaaaaaaaa", Key: "k", Operation: request.ContractCall, NotAfter: 1_900_000_000,
		Body: canon.Encode(request.ContractCallBody{Wallet: "hot", Contract: contract, Data: []byte{1, 2, 3, 4}, FeeCap: custody.U64(7)})}
	tree := request.CallEffects{Calls: []request.CallNode{{Contract: contract, ID: "vault", Function: "stake(uint256)", Args: []request.CallArg{{Path: "0", Type: "uint256", Value: "7"}}}}}
	b := entry.Request{Request: r.Encode(), Effects: request.Effects{Operation: request.ContractCall, Chain: "eip155:1", Wallet: "hot", Calls: &tree}}
	got := words.Asked(&b)
	if !strings.Contains(got, "4 bytes of call data") || !strings.Contains(got, "; calls stake(uint256) of vault ("+contract+"); 0 uint256 = 7") {
		t.Errorf("got %q", got)
	}
	for i := range 30 {
		tree.Calls[0].Args = append(tree.Calls[0].Args, request.CallArg{Path: fmt.Sprint(i + 1), Type: "uint256", Value: "9"})
	}
	if got = words.Asked(&b); !strings.HasSuffix(got, "; and 20 lines more") {
		t.Errorf("got %q", got)
	}
}
