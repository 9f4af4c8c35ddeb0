// SPDX-License-Identifier: Apache-2.0

package keyring

import (
	"errors"

	"strongroom/internal/pure/custody"
)

// ErrConfined says that the keys of a warm wallet are asked for while no session of it is open.
var ErrConfined = errors.New("keyring: the wallet is confined: its keys are handed out inside a session only")

// Confine makes a ring hand out no key of a wallet any more, until [Ring.Admit], and wipes those that it keeps. What is being derived or
// unsealed meanwhile is not kept; a key in use is wiped when its use ends. It gives how many keys were wiped.
func (r *Ring) Confine(id custody.WalletID) (kept int) {
	r.mu.Lock()
	r.confined[id] = false
	r.mu.Unlock()
	return r.ForgetWallet(id)
}

// Admit makes a ring hand out the keys of a wallet that is confined, until the next [Ring.Confine]. Another wallet is left as it is.
func (r *Ring) Admit(id custody.WalletID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, is := r.confined[id]; is {
		r.confined[id] = true
	}
}

// Free makes a wallet one like any other, and wipes the keys of it that are kept.
func (r *Ring) Free(id custody.WalletID) {
	r.mu.Lock()
	delete(r.confined, id)
	r.mu.Unlock()
	r.ForgetWallet(id)
}

// Confined says whether a wallet was confined and not freed, admitted or not.
func (r *Ring) Confined(id custody.WalletID) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	_, is := r.confined[id]
	return is
}

// Admitted lists the confined wallets whose keys are handed out now.
func (r *Ring) Admitted() (out []custody.WalletID) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for id, open := range r.confined {
		if open {
			out = append(out, id)
		}
	}
	return out
}

// ForgetWallet is [Ring.Forget] for one wallet.
func (r *Ring) ForgetWallet(id custody.WalletID) (kept int) {
	r.accounts.Drop(func(w custody.WalletID) bool {
		if w == id {
			kept++
		}
		return w == id
	})
	r.addresses.Drop(func(n name) bool {
		if n.wallet == id {
			kept++
		}
		return n.wallet == id
	})
	return kept
}

// admitted says whether a wallet's keys may be handed out.
func (r *Ring) admitted(id custody.WalletID) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if open, is := r.confined[id]; is && !open {
		return ErrConfined
	}
	return nil
}
