// SPDX-License-Identifier: Apache-2.0

package custody

import (
	"regexp"
	"testing"

	"pgregory.net/rapid"
)

// The forms of names as regular expressions say them.
var (
	personRE = regexp.MustCompile(`^p_[a-z2-7]{16}$`)
	slugRE   = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	keyRE    = regexp.MustCompile(`^[0-9a-f]{32}$`)
	evmRE    = regexp.MustCompile(`^eip155:([1-9][0-9]{0,18})$`)
	erc20RE  = regexp.MustCompile(`^erc20:0x[0-9a-fA-F]{40}$`)
)

func TestFormsAsRegularExpressions(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(
			rapid.StringMatching(`p_[a-z2-7]{15,17}`), rapid.StringMatching(`p_[a-z0-9A]{16}`), rapid.StringMatching(`-?[a-z0-9-]{0,12}`),
			rapid.StringMatching(`[0-9a-f]{31,33}`), rapid.StringMatching(`[0-9a-fg]{32}`), rapid.StringMatching(`eip155:[+-]?[0-9_]{0,20}`),
			rapid.StringMatching(`eip155:922337203685477580[0-9]`), rapid.StringMatching(`erc20:0[xX][0-9a-fA-F]{39,41}`),
			rapid.StringMatching(`erc20:0x[0-9a-g]{40}`), rapid.StringMatching(`[a-z]{1,4}\n?`), rapid.String(),
		).Draw(t, "s")
		for _, x := range []struct {
			name      string
			got, want bool
		}{
			{"person", PersonID(s).Check() == nil, personRE.MatchString(s)},
			{"wallet", WalletID(s).Check() == nil, len(s) <= MaxSlug && slugRE.MatchString(s)},
			{"key", KeyID(s).Check() == nil, keyRE.MatchString(s)},
			{"token", second(AssetID("eip155:1/" + s).ERC20()), erc20RE.MatchString(s)},
		} {
			if x.got != x.want {
				t.Fatalf("%s %q: got %v, want %v", x.name, s, x.got, x.want)
			}
		}
		id, ok := ChainID(s).EVM()
		if ok != (evmRE.MatchString(s) && id < 1<<63) || ok && EVMChain(id) != ChainID(s) {
			// Nineteen digits can be above 63 bits, which the number's own bound refuses.
			if m := evmRE.FindStringSubmatch(s); ok || m == nil || m[1] <= "9223372036854775807" || len(m[1]) < 19 {
				t.Fatalf("chain %q: got %d, %v", s, id, ok)
			}
		}
	})
}

func second(_ string, ok bool) bool { return ok }
