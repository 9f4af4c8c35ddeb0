// SPDX-License-Identifier: Apache-2.0

package entry

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/tlog"
)

// MaxUses is how many uses one entry accounts.
const MaxUses = 16_384

// NoMechanism stands for the mechanism of a use that has none.
const NoMechanism uint64 = math.MaxUint64

// App is what app_grant, app_revoke and app_key_revoke do. docs/spec/grep11.md.
type App struct {
	Grant string          `cbor:"1,keyasint,omitempty"` // that is in force from now on, or that ended
	Ended uint64          `cbor:"2,keyasint,omitempty"` // entry that made the grant which ended with this
	Used  uint64          `cbor:"3,keyasint,omitempty"` // its uses
	Keys  []custody.KeyID `cbor:"4,keyasint,omitempty"` // that are revoked from now on and were not before
}

// Uses accounts uses of keys for applications, before their results are given out, and logins and logouts of those who use them. Body class:
// confidential. The uses themselves are the entry's second body, [UseRecords], confidential too, which the fold does not read.
type Uses struct {
	Counts  []UseCount `cbor:"1,keyasint"`           // by grant, key and mechanism, ascending
	Number  uint64     `cbor:"2,keyasint"`           // their sum
	Root    [32]byte   `cbor:"3,keyasint"`           // RFC 6962 tree over the records, canonical, in their order
	Logins  []Login    `cbor:"4,keyasint,omitempty"` // by grant, ascending: at most one of each
	Logouts []uint64   `cbor:"5,keyasint,omitempty"` // entries of grants, ascending: none that is in Logins
}

// Login opens a login session of a grant's caller, which keys can be bound to.
type Login struct {
	Grant   uint64   `cbor:"1,keyasint"` // entry that made it
	Session [32]byte `cbor:"2,keyasint"`
}

// UseCount is how often a key was used with a mechanism under a grant.
type UseCount struct {
	Grant     uint64   `cbor:"1,keyasint"` // entry that made it
	Key       [16]byte `cbor:"2,keyasint"`
	Mechanism uint64   `cbor:"3,keyasint"` // CKM number, or [NoMechanism]
	Count     uint64   `cbor:"4,keyasint"`
}

// UseRecord is one use.
type UseRecord struct {
	Grant     uint64   `cbor:"1,keyasint"`
	Key       [16]byte `cbor:"2,keyasint"`
	Function  uint8    `cbor:"3,keyasint"` // number of the call
	Mechanism uint64   `cbor:"4,keyasint"`
	Call      [32]byte `cbor:"5,keyasint"` // SHA-256 of the call
}

// UseRecords is the second body of an entry of uses.
type UseRecords struct {
	Records []UseRecord `cbor:"1,keyasint"`
}

// KeyOf gives a key's name in requests.
func KeyOf(id [16]byte) custody.KeyID { return custody.KeyID(hex.EncodeToString(id[:])) }

func compareCounts(a, b UseCount) int {
	return cmp.Or(cmp.Compare(a.Grant, b.Grant), bytes.Compare(a.Key[:], b.Key[:]), cmp.Compare(a.Mechanism, b.Mechanism))
}

// Account gives the entry of some uses.
func Account(records []UseRecord) Uses {
	u := Uses{Number: uint64(len(records))}
	counts := map[UseCount]uint64{}
	var tree tlog.Frontier
	for _, r := range records {
		counts[UseCount{Grant: r.Grant, Key: r.Key, Mechanism: r.Mechanism}]++
		tree.Append(tlog.LeafHash(canon.Encode(&r)))
	}
	for c, n := range counts {
		c.Count = n
		u.Counts = append(u.Counts, c)
	}
	slices.SortFunc(u.Counts, compareCounts)
	u.Root = tree.Root()
	return u
}

// Check says whether u is well-formed: counts in order, none of nothing, that add up.
func (u *Uses) Check() error {
	var sum uint64
	for i, c := range u.Counts {
		if i > 0 && compareCounts(u.Counts[i-1], c) >= 0 {
			return errors.New("counts are out of order")
		}
		if c.Count == 0 || c.Count > MaxUses {
			return fmt.Errorf("a count is 1 to %d, not %d", MaxUses, c.Count)
		}
		sum += c.Count
	}
	turns := len(u.Logins) + len(u.Logouts)
	if sum > MaxUses || sum != u.Number || sum == 0 && turns == 0 || turns > MaxUses {
		return fmt.Errorf("the counts add up to %d; the entry says %d, and has %d logins and logouts", sum, u.Number, turns)
	}
	return u.checkLogins()
}

func (u *Uses) checkLogins() error {
	for i, l := range u.Logins {
		if i > 0 && u.Logins[i-1].Grant >= l.Grant || slices.Contains(u.Logouts, l.Grant) {
			return errors.New("logins are out of order, or of a grant that logs out too")
		}
	}
	for i, g := range u.Logouts {
		if i > 0 && u.Logouts[i-1] >= g {
			return errors.New("logouts are out of order")
		}
	}
	return nil
}

// CheckRecords says whether records, the encoded second body, are those that u accounts.
func (u *Uses) CheckRecords(records []byte) error {
	var r UseRecords
	if err := canon.Decode(records, &r); err != nil {
		return fmt.Errorf("records of uses: %w", err)
	}
	again := Account(r.Records)
	again.Logins, again.Logouts = u.Logins, u.Logouts
	if !bytes.Equal(canon.Encode(&again), canon.Encode(u)) {
		return errors.New("the records of uses are not those that the entry accounts")
	}
	return nil
}
