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
	anchorOfProduction = "witness+tpm"
	maxWitnesses       = 64
	maxWitnessKey      = 256
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
	if err := checkWitnesses(g); err != nil {
		return life, err
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
	case len(g.Witnesses) == 0:
		return life, errors.New("a production domain must have log witnesses")
	}
	return life, nil
}

// checkWitnesses says whether the log witnesses are named once each and their quorum is a majority.
func checkWitnesses(g *entry.Genesis) error {
	n := uint32(len(g.Witnesses))
	if n > maxWitnesses || n == 0 && g.Quorum != 0 || n > 0 && (g.Quorum <= n/2 || g.Quorum > n) {
		return fmt.Errorf("a quorum of %d of %d log witnesses is no majority, or they are more than %d", g.Quorum, n, maxWitnesses)
	}
	for i, w := range g.Witnesses {
		if err := custody.CheckSlug("log witness", w.Name); err != nil {
			return err
		}
		if w.Key == "" || len(w.Key) > maxWitnessKey {
			return fmt.Errorf("log witness %s: the verifier key has %d bytes; want 1 to %d", w.Name, len(w.Key), maxWitnessKey)
		}
		if slices.ContainsFunc(g.Witnesses[:i], func(o entry.Witness) bool { return o.Name == w.Name || o.Key == w.Key }) {
			return fmt.Errorf("log witness %s has the name or key of another", w.Name)
		}
	}
	return nil
}
