// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/tlog"
)

// set gives the log witnesses that the verifier trusts; the empty set if none are named.
func (o Options) set() (tlog.Witnesses, error) {
	if len(o.Witnesses) == 0 {
		if o.Quorum != 0 {
			return tlog.Witnesses{}, fmt.Errorf("%w: a quorum is given, and no log witness", ErrOptions)
		}
		return tlog.Witnesses{}, nil
	}
	var list []tlog.Witness
	for i, v := range o.Witnesses {
		k, err := tlog.ParseWitnessKey(v)
		if err != nil {
			return tlog.Witnesses{}, fmt.Errorf("%w: %w", ErrOptions, err)
		}
		list = append(list, tlog.Witness{Name: strconv.Itoa(i + 1), Key: k})
	}
	set, err := tlog.NewWitnesses(list, o.Quorum)
	if err != nil {
		return set, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	return set, nil
}

// logWitnesses gives the log witnesses that genesis names. Its leaf is the domain's id, which the checkpoint bears; that the body is the leaf's is
// checked with all other bodies. What can't be read has no witnesses here, and is refused there.
func (c *checker) logWitnesses() (tlog.Witnesses, error) {
	e := c.file.Entries[0]
	l, err := entry.DecodeLeaf(e.Leaf)
	if err != nil || l.Kind != entry.KindGenesis || len(e.Bodies) == 0 {
		return tlog.Witnesses{}, nil
	}
	var g entry.Genesis
	if canon.Decode(e.Bodies[0].Body, &g) != nil {
		return tlog.Witnesses{}, nil
	}
	return authority.LogWitnesses(&g)
}

// cosigned records who cosigned the checkpoint.
func (r *Report) cosigned(set tlog.Witnesses, by []tlog.Cosigned) {
	r.Quorum = set.Quorum()
	for _, b := range by {
		i := slices.IndexFunc(set.All(), func(w tlog.Witness) bool { return w.Name == b.Witness })
		r.Witnesses = append(r.Witnesses, Witness{Name: b.Witness, Key: set.All()[i].Key.String(), Time: time.Unix(int64(b.Time), 0).UTC()})
	}
}

// witnessed requires the quorum of the witnesses that the verifier trusts.
func (r *Report) witnessed(trusted tlog.Witnesses) error {
	n := 0
	for _, w := range trusted.All() {
		if slices.ContainsFunc(r.Witnesses, func(by Witness) bool { return by.Key == w.Key.String() }) {
			n++
		}
	}
	if n < trusted.Quorum() {
		return fmt.Errorf("checkpoint: %w: %d of the %d that you trust, and %d are needed", tlog.ErrQuorum, n, trusted.Len(), trusted.Quorum())
	}
	return nil
}
