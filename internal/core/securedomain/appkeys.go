// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"fmt"
	"slices"
	"sync"

	coreep11 "strongroom/internal/core/ep11"
	"strongroom/internal/secret"
)

// appParents are the parent keys of keys for applications, by epoch, derived from the working keys when they are first needed. They are wiped with
// every unsealed key ([Domain.forget]) and with the working keys.
type appParents struct {
	mu   sync.Mutex // guards keys; held while one is derived, so that none comes after a wipe from what was wiped
	keys map[uint64]secret.Bytes
}

// appParent gives the parent key of an epoch. It may be wiped at any time: its use fails then.
func (d *Domain) appParent(epoch uint64) (secret.Bytes, error) {
	p := &d.parents
	p.mu.Lock()
	defer p.mu.Unlock()
	if k, ok := p.keys[epoch]; ok {
		return k, nil
	}
	if err := d.withKeys(); err != nil {
		return secret.Bytes{}, err
	}
	k, err := d.deriveParent(epoch)
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("keys for applications: %w", err)
	}
	if p.keys == nil {
		p.keys = map[uint64]secret.Bytes{}
	}
	p.keys[epoch] = k
	return k, nil
}

// loginEpoch stands for the key of logins among the parent keys. No working key has this epoch.
const loginEpoch = 0

func (d *Domain) deriveParent(epoch uint64) (k secret.Bytes, err error) {
	if epoch == loginEpoch {
		err = d.withIdentity(func() error { k, err = d.ids.LoginKey(); return err })
		return k, err
	}
	w, err := d.working.get(epoch)
	if err != nil {
		return k, err
	}
	return coreep11.ParentKey(d.cfg.Arena, w.Key())
}

// keep wipes all but the parent keys of some epochs, and says how many were wiped.
func (p *appParents) keep(epochs ...uint64) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for e, k := range p.keys {
		if !slices.Contains(epochs, e) {
			delete(p.keys, e)
			k.Wipe()
			n++
		}
	}
	return n
}

// keepKeys wipes all working keys but those of some epochs, and what was derived from them.
func (d *Domain) keepKeys(epochs []uint64) {
	d.working.keep(epochs) // first: from then on nothing is derived from them
	d.parents.keep(epochs...)
	d.apps.opened.Forget() // after what they are opened with, so that none comes back
}
