// SPDX-License-Identifier: Apache-2.0

package entry_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/entry"
)

// The account of some records says how many there are of each sort, in one order whatever theirs is, and names exactly them.
func TestAccount(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var list []entry.UseRecord
		counts := map[entry.UseCount]uint64{}
		for range rapid.IntRange(1, 40).Draw(t, "records") {
			r := entry.UseRecord{Grant: rapid.Uint64Range(1, 3).Draw(t, "grant"), Key: [16]byte{byte(rapid.IntRange(0, 2).Draw(t, "key"))}, Function: rapid.Uint8Range(1, 40).Draw(t, "function"),
				Mechanism: rapid.SampledFrom([]uint64{0, 7, entry.NoMechanism}).Draw(t, "mechanism"), Call: [32]byte{rapid.Byte().Draw(t, "call")}}
			list = append(list, r)
			counts[entry.UseCount{Grant: r.Grant, Key: r.Key, Mechanism: r.Mechanism}]++
		}
		u := entry.Account(list)
		if err := u.Check(); err != nil || u.Number != uint64(len(list)) || len(u.Counts) != len(counts) {
			t.Fatalf("%+v, %v", u, err)
		}
		for _, c := range u.Counts {
			n := c.Count
			if c.Count = 0; counts[c] != n {
				t.Fatalf("%+v: %d, want %d", c, n, counts[c])
			}
		}
		if err := u.CheckRecords(canon.Encode(entry.UseRecords{Records: list})); err != nil {
			t.Fatal(err)
		}
		other := slices.Clone(list)
		i := rapid.IntRange(0, len(list)-1).Draw(t, "changed")
		switch rapid.IntRange(0, 4).Draw(t, "change") {
		case 0:
			other[i].Call[31] ^= 1
		case 1:
			other[i].Function++
		case 2:
			other = slices.Delete(other, i, i+1)
		case 3:
			other = append(other, other[i])
		default:
			other[i].Grant++
		}
		if u.CheckRecords(canon.Encode(entry.UseRecords{Records: other})) == nil {
			t.Fatal("other records are taken for these")
		}
		if u.CheckRecords([]byte{0xff}) == nil {
			t.Fatal("what is no records is taken for these")
		}
	})
}

func FuzzUses(f *testing.F) {
	u := entry.Account([]entry.UseRecord{{Grant: 3, Function: 26, Mechanism: 5}})
	f.Add(canon.Encode(&u))
	u.Logins, u.Logouts = []entry.Login{{Grant: 4}}, []uint64{5}
	f.Add(canon.Encode(&u))
	f.Fuzz(func(t *testing.T, b []byte) {
		var u entry.Uses
		if canon.Decode(b, &u) != nil || u.Check() != nil {
			return
		}
		var sum uint64
		for _, c := range u.Counts {
			sum += c.Count
		}
		if sum != u.Number || sum > entry.MaxUses || sum == 0 && len(u.Logins)+len(u.Logouts) == 0 {
			t.Fatalf("accepted: %+v", u)
		}
	})
}
