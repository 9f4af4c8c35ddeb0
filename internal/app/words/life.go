// SPDX-License-Identifier: Apache-2.0

package words

import (
	"fmt"

	"strongroom/internal/pure/points"
	"strongroom/internal/pure/request"
)

// life says what an operation on the domain's life cycle does.
func life(b request.LifeBody) []string {
	var out []string
	switch b := b.(type) {
	case *request.PointsSetBody:
		out = setPoints(b)
	case *request.EpochLoadBody:
		out = []string{fmt.Sprintf("make the working key of epoch %d: nothing uses it before it is committed", b.Epoch)}
		if r := b.Recovery; r != nil {
			out = append(out, fmt.Sprintf("and seal it for NEW custodians: %d of %d shares, recovery record %x", r.Threshold, r.Shares, r.Hash()))
			for i, k := range r.Custodians {
				out = append(out, fmt.Sprintf("  share %d: %s key %s", i+1, k.Alg, k.Ref()))
			}
		}
	case *request.EpochCommitBody:
		out = []string{fmt.Sprintf("take the working key of epoch %d, pattern %x, for the next one: all keys are enciphered for it", b.Epoch, []byte(b.Pattern))}
		if n := len(b.Receipts); n > 0 {
			out = append(out, fmt.Sprintf("with the receipts of %d custodians for their new shares", n))
		}
	case *request.EpochActivateBody:
		out = []string{fmt.Sprintf("use the working key of epoch %d, pattern %x, from now on; this can't be cancelled", b.Epoch, []byte(b.Pattern))}
	case *request.EpochFinalizeBody:
		out = []string{fmt.Sprintf("DESTROY the working key of epoch %d, pattern %x, and all that is enciphered under it: backups from before the activation are worthless then",
			b.Epoch, []byte(b.Pattern))}
	case *request.EpochCancelBody:
		out = []string{fmt.Sprintf("give up the rotation: destroy the working key of epoch %d, pattern %x, which is not in use", b.Epoch, []byte(b.Pattern))}
	case *request.ZeroizeBody:
		out = []string{"DESTROY every working key of the domain on its machine, at once: nothing can be signed until custodians restore it from a backup",
			"and every key that was born in its token: those don't come back",
			fmt.Sprintf("with the phrase %q", b.Phrase)}
	case *request.RestoreBody:
		out = []string{fmt.Sprintf("bring the zeroized domain back with the working key of epoch %d, pattern %x, that custodians have restored", b.Epoch, []byte(b.Pattern))}
	case *request.ReanchorCancelBody:
		out = []string{fmt.Sprintf("CANCEL the re-anchoring of entry %d: it never takes effect, and this log does nothing more unless it is re-anchored again", b.Reanchor)}
	case *request.OfflineAddBody:
		out = []string{fmt.Sprintf("take in the offline domain %q, id %s", b.Name, b.ID()), "compare the id with what its machine shows: keys of wallets can be moved there from then on"}
	case *request.OfflineRemoveBody:
		out = []string{fmt.Sprintf("give up the offline domain %x for ever: it holds no wallet", []byte(b.Domain))}
	default:
		return []string{fmt.Sprintf("something this version can't describe (%T); do not sign it", b)}
	}
	return append(out, fmt.Sprintf("as change %d of the domain's life", b.Number()))
}

// setPoints names each control point with what it means.
func setPoints(b *request.PointsSetBody) (out []string) {
	for _, x := range []struct {
		what string
		set  points.Set
	}{{"switch ON", b.Allow}, {"switch OFF", b.Deny}, {"FREEZE FOR EVER, as it is then,", b.Freeze}} {
		for _, p := range x.set.Points() {
			out = append(out, fmt.Sprintf("%s the control point %s: %s", x.what, p, p.Meaning()))
		}
	}
	if len(out) == 0 {
		out = []string{"change no control point"}
	}
	return out
}
