// SPDX-License-Identifier: Apache-2.0

package words

import (
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/tlog"
)

// reconcile says what a reconciliation of a wallet says.
func reconcile(b *request.SlotReconcileBody) []string {
	out := []string{fmt.Sprintf("let the wallet %q sign again, after entries of the log were lost; you have looked at the chain, and it shows:", b.Wallet)}
	for _, a := range b.Accounts {
		out = append(out, fmt.Sprintf("  address %d: the next nonce that nothing has used is %d", a.Index, a.Next))
	}
	for _, s := range b.Spent {
		id := slices.Clone([]byte(s.TxID))
		slices.Reverse(id) // as explorers spell it
		out = append(out, fmt.Sprintf("  output %d of transaction %s is spent", s.Index, hex.EncodeToString(id)))
	}
	if len(out) == 1 {
		out = append(out, "  nothing that the log does not know")
	}
	return out
}

// Reanchor says what a re-anchor document does, all that a signature under it binds, one line each.
func Reanchor(b entry.Reanchor) []string {
	out := []string{
		fmt.Sprintf("go on with the log of domain %s from the %d entries that are left (tree root %x, last entry %x)", b.Domain, b.Size, b.Root, b.Last),
		fmt.Sprintf("as incarnation %d, after incarnation %d: its checkpoints bear the origin %s", b.Incarnation, b.Before, entry.Origin(b.Domain, b.Incarnation)),
		"because: " + b.Reason,
	}
	known := tlog.Checkpoint{}
	if len(b.Known) > 0 {
		known, _, _ = tlog.ParseExtended(noteText(b.Known)) // the domain checks it; here it is shown
	}
	switch {
	case b.Whole:
		out = append(out, "nothing is lost: a quorum of the log witnesses so far has confirmed these entries just now; requests stand, wallets go on")
	case known.Size > b.Size:
		out = append(out, fmt.Sprintf("LOST are %d entries at least, %d to %d: a signed checkpoint shows that the log had them", known.Size-b.Size, b.Size, known.Size-1))
	default:
		out = append(out, "entries MAY BE LOST: nothing confirms that these are all")
	}
	if !b.Whole {
		out = append(out, "then open requests end, sessions close, and no wallet signs before you have said what the chain shows of it")
	}
	anchor := "the head of the log is kept from now on by: " + b.Anchor
	out = append(out, anchor)
	for _, w := range b.Witnesses {
		out = append(out, fmt.Sprintf("  log witness %s: %s", w.Name, w.Key))
	}
	if b.Quorum > 0 {
		out = append(out, fmt.Sprintf("  %d of %d log witnesses cosign each checkpoint", b.Quorum, len(b.Witnesses)))
	}
	return plain(append(out, fmt.Sprintf("it takes effect %s after it is applied, which is possible until %s; until then the revocation plan can cancel it", time.Duration(b.Delay)*time.Second, Unix(b.NotAfter))))
}

// noteText gives the text of a signed note.
func noteText(signed []byte) string {
	for i := range len(signed) - 1 {
		if signed[i] == '\n' && signed[i+1] == '\n' {
			return string(signed[:i+1])
		}
	}
	return ""
}

// Lost says what is lost, by a reanchor or gap entry.
func Lost(from, to uint64, whole bool) string {
	switch {
	case whole:
		return "nothing is lost: log witnesses had confirmed what was left"
	case to > from:
		return fmt.Sprintf("entries %d to %d are lost", from, to-1)
	default:
		return fmt.Sprintf("entries from %d on may be lost", from)
	}
}
