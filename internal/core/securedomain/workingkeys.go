// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"strongroom/internal/core/domainkeys"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/problem"
)

// workingKeys are the working keys that are loaded: those of the registers.
type workingKeys struct {
	mu   sync.RWMutex // guards keys
	keys map[uint64]*domainkeys.DWK
}

// get gives the working key of an epoch. It may be wiped at any time: its use fails then.
func (w *workingKeys) get(epoch uint64) (*domainkeys.DWK, error) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	k, ok := w.keys[epoch]
	if !ok {
		return nil, fmt.Errorf("the working key of epoch %d is not loaded", epoch)
	}
	return k, nil
}

// put takes a working key.
func (w *workingKeys) put(k *domainkeys.DWK) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.keys == nil {
		w.keys = map[uint64]*domainkeys.DWK{}
	}
	w.keys[k.Epoch] = k
}

// keep wipes all but the keys of some epochs.
func (w *workingKeys) keep(epochs []uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range slices.Collect(maps.Keys(w.keys)) {
		if !slices.Contains(epochs, e) {
			w.keys[e].Wipe()
			delete(w.keys, e)
		}
	}
}

// switches is what a signature asks before it uses a key: a copy of the state's life cycle that is read without the sequencer.
type switches struct {
	zeroized bool
	since    uint64
	used     uint64 // greatest epoch that ever had a working key
	allowed  points.Set
	settling *authority.Reanchoring // a re-anchoring whose gap entry is not there yet
	mode     modeSwitch
}

// switchesOf holds the current switches.
type switchesOf = atomic.Pointer[switches]

// setSwitches takes the state's life cycle over. The caller holds mu, or is the only one.
func (d *Domain) setSwitches() {
	life := d.state.Life()
	d.switches.Store(&switches{zeroized: life.Phase == authority.Zeroized, since: life.Since, used: life.Used, allowed: life.Allowed, settling: d.state.Anchoring().Pending,
		mode: modeSwitchOf(d.state)})
}

// check says whether keys may be used with a control point.
func (s *switches) check(p points.Point) error {
	switch {
	case s.zeroized:
		return s.problem()
	case s.settling != nil:
		return problem.New(problem.Reanchoring, "the log was re-anchored in entry %d: keys can't be used until that is over; the permit stands, and is signed then", s.settling.Entry)
	case !s.allowed.Has(p):
		return problem.New(problem.Forbidden, "switched off in this domain: %s; the permit stands, and is signed once it is switched on again", p)
	}
	return nil
}

func (s *switches) problem() error {
	return problem.New(problem.Zeroized, "the domain was zeroized in entry %d: its keys can't be used", s.since)
}

// withKeys says whether there are working keys at all.
func (d *Domain) withKeys() error {
	if s := d.switches.Load(); s.zeroized {
		return s.problem()
	}
	return nil
}
