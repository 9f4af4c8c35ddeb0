// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"errors"
	"fmt"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/offline"
)

// caughtUp takes it that the offline domain was set back: which seeds it does not have any more, and with which key the next one is sealed. Its log
// is the one that is known here.
func (x *offlineSteps) caughtUp(b *offline.CaughtUp) error {
	if b.Number > x.domain.Number || b.Size > x.s.Next {
		return fmt.Errorf("the offline domain has caught up with bundle %d of %d entries; there is none", b.Number, b.Size)
	}
	gone := map[custody.WalletID]custody.KeyID{}
	for _, m := range b.Missing {
		gone[m.Wallet] = m.Key
	}
	wallets, _ := x.s.AwayIn(x.domain.ID)
	for _, w := range wallets {
		a, err := x.wallet(w.ID)
		if err != nil || a.Way == 0 { // it came back with an act before
			continue
		}
		sealed := b.Next != nil && a.Way == Leaving && a.Import == x.domain.Import.ID
		if gone[w.ID] == w.Key && a.Way != Leaving || sealed {
			a.Missing = true
			x.wallets[a.Wallet] = a
		}
	}
	if b.Next != nil {
		if b.Next.Check() != nil || b.Next.ID == x.domain.Import.ID {
			return errors.New("the offline domain names no new import key")
		}
		x.domain.Import, x.domain.Taken = *b.Next, 0
	}
	x.setBack = true
	return nil
}
