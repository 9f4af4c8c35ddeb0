// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"errors"
	"fmt"
	"slices"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/points"
)

// What production asks of root and anchor, as genesis names them.
const (
	anchorOfProduction    = "witness+tpm"
	witnessesOfProduction = 3 // with fewer, one that lies or is gone stops the domain
)

var rootsOfProduction = []string{"pkcs11", "tpm2"}

// firstLife gives where a domain stands after genesis, and refuses a genesis that its profile doesn't allow.
func firstLife(g *entry.Genesis) (Life, error) {
	life := Life{Phase: Operational, Allowed: points.Evaluation(), Used: g.Epoch, Recovery: g.Recovery}
	if g.Points != nil {
		life.Allowed = *g.Points
	}
	if err := life.Allowed.Check(); err != nil {
		return life, err
	}
	if g.Recovery != nil {
		if err := g.Recovery.Check(g.Profile, true); err != nil {
			return life, err
		}
	}
	if g.Profile != custody.Production {
		return life, nil
	}
	switch {
	case !slices.Contains(rootsOfProduction, g.Root) || g.Anchor != anchorOfProduction:
		return life, fmt.Errorf("a production domain can't have root %q and anchor %q; it has root pkcs11 or tpm2 and anchor %s", g.Root, g.Anchor, anchorOfProduction)
	case g.Points == nil:
		return life, errors.New("a production domain must name its control points")
	case g.Recovery == nil:
		return life, errors.New("a production domain must have a recovery record: its working keys are sealed for custodians")
	case len(g.Witnesses) < witnessesOfProduction:
		return life, fmt.Errorf("a production domain must have %d log witnesses at least, not %d", witnessesOfProduction, len(g.Witnesses))
	}
	return life, nil
}
