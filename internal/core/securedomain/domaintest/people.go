// SPDX-License-Identifier: Apache-2.0

package domaintest

import (
	"cmp"
	"slices"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
)

func mustParse(s string) custody.Uint256 {
	u, err := custody.ParseUint256(s)
	if err != nil {
		panic(err) // a constant of the tests
	}
	return u
}

func sortPeople(principals []policy.Principal, members []custody.PersonID) {
	slices.SortFunc(principals, func(a, b policy.Principal) int { return cmp.Compare(a.ID, b.ID) })
	slices.Sort(members)
}
