// SPDX-License-Identifier: Apache-2.0

package coreapp

import (
	"context"
	"fmt"
	"time"

	"strongroom/internal/app/coldtalk"
	"strongroom/internal/app/words"
	"strongroom/internal/core/offline"
	"strongroom/internal/pure/custody"
)

// maxTold is how many permits of a kind are shown one by one; the report has all.
const maxTold = 50

// SetBack implements [offline.Keepers].
func (c ColdPeople) SetBack(_ context.Context, l offline.Loss) error {
	if err := show(c.show, loss(l)); err != nil {
		return err
	}
	if c.to == nil || c.from == nil {
		return offline.ErrUnattended
	}
	a, err := coldtalk.Ask(c.to, c.from, coldtalk.Question{SetBack: l.To})
	switch {
	case err != nil:
		return err
	case a.Nobody:
		return offline.ErrUnattended
	case a.Agreed != l.To:
		return fmt.Errorf("the operators agreed to %d entries, not %d", a.Agreed, l.To)
	}
	return nil
}

// loss says in plain words that a domain was set back, and what is lost.
func loss(l offline.Loss) []string {
	lines := []string{fmt.Sprintf("THIS DOMAIN WAS SET BACK. Offline domain %s (%s), bundle %d, authority %s.", words.Plain(l.Name), words.Groups(l.Domain[:8]), l.Number, words.Groups(l.Authority[:8])),
		fmt.Sprintf("By this machine's clock it is %s, give or take %s; the bundle is of %s.", words.Time(time.Unix(0, l.Now.Time)), time.Duration(l.Now.Bound).Round(time.Millisecond), words.Unix(l.Checkpoint)),
		fmt.Sprintf("  The backup has %d entries that the online domain knows too; that knows %d. Entries %d to %d come back from its log.", l.From, l.To, l.From, l.To-1)}
	if l.Dropped > 0 {
		lines = append(lines, fmt.Sprintf("  DROPPED are %d entries of the backup behind entry %d, which the online domain knows otherwise.", l.Dropped, l.From-1))
	}
	for _, s := range l.Signed {
		lines = append(lines, fmt.Sprintf("  permit %d: signed by an entry that comes back, transaction %s", s.Entry, words.Plain(s.TxID)))
	}
	for _, s := range l.Undone {
		lines = append(lines, fmt.Sprintf("  permit %d: SIGNED by an entry that is dropped, transaction %s", s.Entry, words.Plain(s.TxID)))
	}
	lines = append(lines, lossOfKeys(l)...)
	if n := len(l.Maybe); n > 0 {
		lines = append(lines, fmt.Sprintf("  %d permits wait, and MAY HAVE BEEN SIGNED by entries that nobody has any more. Their slots are closed for everything else:", n))
		for _, p := range l.Maybe[:min(n, maxTold)] {
			slot := fmt.Sprintf("%d inputs", p.Inputs)
			if p.Account != "" {
				slot = fmt.Sprintf("nonce %d of %s", p.Nonce, words.Plain(p.Account))
			}
			lines = append(lines, fmt.Sprintf("    permit %d, wallet %q, %s", p.Entry, p.Wallet, slot))
		}
		if n > maxTold {
			lines = append(lines, fmt.Sprintf("    and %d more", n-maxTold))
		}
	}
	if l.Gap > 0 {
		lines = append(lines, fmt.Sprintf("  THE ONLINE LOG LOST ENTRIES TOO, by entry %d. What this machine had signed under them, nobody knows any more: look at the chain before a wallet is reconciled.", l.Gap))
	}
	return append(lines, "  Agree only if the old machine is surely gone, there is no newer backup, and every result that was carried away has been imported.", "")
}

// lossOfKeys says which seeds came and went, and which are nowhere.
func lossOfKeys(l offline.Loss) (lines []string) {
	missing := map[custody.WalletID]bool{}
	for _, w := range l.Missing {
		missing[w] = true
		lines = append(lines, fmt.Sprintf("  wallet %q: its seed is NOT HERE, and not in the backup. Only a newer backup or copy of this machine's folder, or an older backup of the online domain, has it", w))
	}
	for _, w := range l.Came {
		if !missing[w] {
			lines = append(lines, fmt.Sprintf("  wallet %q came by an entry that comes back; its seed is here", w))
		}
	}
	for _, w := range l.Left {
		lines = append(lines, fmt.Sprintf("  wallet %q left by an entry that comes back; the online domain has its seed", w))
	}
	if l.Import {
		lines = append(lines, "  The IMPORT KEY is lost; another one is made. Until the next result is imported online, no wallet may be moved here: its seed would be lost.")
	}
	if l.Stranded != "" {
		lines = append(lines, fmt.Sprintf("  wallet %q is on its way here, sealed to the import key that is LOST: its seed opens nowhere. If anybody has a newer backup, stop, and restore that", l.Stranded))
	}
	return lines
}
