// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/tlog"
)

// AnchorHasWitnesses says whether an anchor, as genesis names it, keeps the head of the log with log witnesses: "witness", alone or joined by "+".
func AnchorHasWitnesses(anchor string) bool {
	for part := range strings.SplitSeq(anchor, "+") {
		if part == "witness" {
			return true
		}
	}
	return false
}

// LogWitnesses gives the log witnesses of a domain with their quorum; the empty set where its anchor has none. It refuses a genesis that names
// some without such an anchor, or none with it.
func LogWitnesses(g *entry.Genesis) (tlog.Witnesses, error) {
	if !AnchorHasWitnesses(g.Anchor) {
		if len(g.Witnesses) > 0 || g.Quorum > 0 {
			return tlog.Witnesses{}, fmt.Errorf("genesis names log witnesses, which anchor %q does not use", g.Anchor)
		}
		return tlog.Witnesses{}, nil
	}
	if g.Quorum == 0 || g.Quorum > math.MaxInt32 {
		return tlog.Witnesses{}, errors.New("genesis must name the quorum of its log witnesses")
	}
	var list []tlog.Witness
	for _, w := range g.Witnesses {
		k, err := tlog.ParseWitnessKey(w.Key)
		if err != nil {
			return tlog.Witnesses{}, fmt.Errorf("genesis: log witness %s: %w", w.Name, err)
		}
		list = append(list, tlog.Witness{Name: w.Name, Key: k})
	}
	set, err := tlog.NewWitnesses(list, int(g.Quorum))
	if err != nil {
		return set, fmt.Errorf("genesis: %w", err)
	}
	return set, nil
}
