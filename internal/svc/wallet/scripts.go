// SPDX-License-Identifier: Apache-2.0

package wallet

import (
	"fmt"
	"sync"

	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/btc"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
)

// owner is whom a script pays.
type owner struct {
	wallet custody.WalletID
	key    entry.KeyPath
}

// watched is a wallet whose addresses are looked for.
type watched struct {
	wallet entry.Wallet
	upTo   [2]uint32 // by branch: first index that is not looked for
}

// scripts knows the output scripts of all watched wallets of a chain.
type scripts struct {
	gap    uint32
	derive authority.Deriver

	mu      sync.RWMutex // guards all below
	wallets map[custody.WalletID]*watched
	owners  map[string]owner // by script
}

func newScripts(gap uint32, derive authority.Deriver) *scripts {
	return &scripts{gap: gap, derive: derive, wallets: map[custody.WalletID]*watched{}, owners: map[string]owner{}}
}

// watch looks for the addresses of w up to next and the gap beyond it. It tells whether some of those below next were not
// looked for although the wallet was: they may have been paid already.
func (s *scripts) watch(w entry.Wallet, next [2]uint32) (missed bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.wallets[w.ID]
	if !ok {
		known = &watched{wallet: w}
		s.wallets[w.ID] = known
	}
	for branch, n := range next {
		missed = missed || ok && n > known.upTo[branch]
		if err := s.extend(known, uint32(branch), n); err != nil {
			return missed, err
		}
	}
	return missed, nil
}

// extend derives the addresses of a branch up to next and the gap beyond it. The caller holds mu.
func (s *scripts) extend(w *watched, branch, next uint32) error {
	for ; w.upTo[branch] < next+s.gap; w.upTo[branch]++ {
		key := entry.KeyPath{Branch: branch, Index: w.upTo[branch]}
		d, err := s.derive(w.wallet, key)
		if err != nil {
			return fmt.Errorf("watch wallet %s: %w", w.wallet.ID, err)
		}
		s.owners[string(d.Script)] = owner{w.wallet.ID, key}
	}
	return nil
}

// find tells whom a script pays.
func (s *scripts) find(script btc.Script) (owner, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	o, ok := s.owners[string(script)]
	return o, ok
}

// used makes the gap follow an address that was paid. It tells whether more addresses are looked for than before.
func (s *scripts) used(o owner) (more bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.wallets[o.wallet]
	before := w.upTo[o.key.Branch]
	err = s.extend(w, o.key.Branch, o.key.Index+1)
	return w.upTo[o.key.Branch] > before, err
}

// wallet gives a watched wallet.
func (s *scripts) wallet(id custody.WalletID) (entry.Wallet, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	w, ok := s.wallets[id]
	if !ok {
		return entry.Wallet{}, false
	}
	return w.wallet, true
}
