// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"slices"
	"testing"

	"strongroom/client"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
)

// Who looks at an entry reads from when on it is paid and how much, by the same steps as the core counts.
func TestPayable(t *testing.T) {
	t.Parallel()
	const ether = custody.AssetID("eip155:1/slip44:60")
	w := &policy.Whitelist{CoolOff: 60, Ramp: []policy.RampStep{{After: 0, Caps: []policy.RampCap{{Asset: ether, Max: custody.U64(5)}}}, {After: 120}}}
	late := &policy.Whitelist{Ramp: []policy.RampStep{{After: 100, Caps: w.Ramp[0].Caps}, {After: 120}}}
	capped, free := pair{"may be paid", "0.000000000000000005 ETH (5 wei) in any 24 hours at most"}, pair{"may be paid", "what other rules allow"}
	for _, x := range []struct {
		name string
		w    *policy.Whitelist
		e    client.BookEntry
		want []pair
	}{
		{"no settings", nil, client.BookEntry{Standing: policy.Whitelisted}, nil},
		{"cooling", w, client.BookEntry{Standing: policy.Cooling, Age: 18}, []pair{{"whitelisted", "in 42s; until then it counts as a stranger's"}, capped}},
		{"the clock is not sure", w, client.BookEntry{Standing: policy.Cooling, Age: 60}, []pair{{"whitelisted", "in 1s; until then it counts as a stranger's"}, capped}},
		{"young", w, client.BookEntry{Standing: policy.Whitelisted, Age: 119}, []pair{capped}},
		{"grown", w, client.BookEntry{Standing: policy.Whitelisted, Age: 120}, []pair{free}},
		{"of old", w, client.BookEntry{Standing: policy.Whitelisted, Old: true}, []pair{free}},
		{"before the first step", late, client.BookEntry{Standing: policy.Whitelisted, Age: 99}, []pair{{"may be paid", "nothing at this age"}}},
		{"without a ramp", &policy.Whitelist{CoolOff: 60}, client.BookEntry{Standing: policy.Whitelisted, Age: 99}, nil},
		{"suspended", w, client.BookEntry{Standing: policy.Suspended}, nil},
	} {
		if got := payable(x.w, x.e); !slices.Equal(got, x.want) {
			t.Errorf("%s: got %q, want %q", x.name, got, x.want)
		}
	}
}
