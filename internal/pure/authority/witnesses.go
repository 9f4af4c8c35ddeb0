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
	set, err := AnchorWitnesses(g.Anchor, g.Witnesses, g.Quorum)
	if err != nil {
		return set, fmt.Errorf("genesis: %w", err)
	}
	return set, nil
}

// AnchorWitnesses is [LogWitnesses] for an anchor that a re-anchor document names.
func AnchorWitnesses(anchor string, witnesses []entry.LogWitness, quorum uint64) (tlog.Witnesses, error) {
	if !AnchorHasWitnesses(anchor) {
		if len(witnesses) > 0 || quorum > 0 {
			return tlog.Witnesses{}, fmt.Errorf("log witnesses are named, which anchor %q does not use", anchor)
		}
		return tlog.Witnesses{}, nil
	}
	if quorum == 0 || quorum > math.MaxInt32 {
		return tlog.Witnesses{}, errors.New("the quorum of the log witnesses is missing")
	}
	var list []tlog.Witness
	for _, w := range witnesses {
		k, err := tlog.ParseWitnessKey(w.Key)
		if err != nil {
			return tlog.Witnesses{}, fmt.Errorf("log witness %s: %w", w.Name, err)
		}
		list = append(list, tlog.Witness{Name: w.Name, Key: k})
	}
	return tlog.NewWitnesses(list, int(quorum))
}
