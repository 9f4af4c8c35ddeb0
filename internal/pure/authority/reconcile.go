// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"errors"
	"slices"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// Held says whether a wallet's slots are held: entries of the log were lost when its seed was there already, so that permits which nobody
// knows of may have used some, and nobody has said yet what the chain shows. That includes a wallet that is made of such a seed afterwards: it may
// have been made before, in the entries that are lost.
func (s *State) Held(id custody.WalletID) bool {
	i, ok := s.walletIndex[id]
	return ok && s.held(i)
}

func (s *State) held(wallet int) bool {
	if s.anchoring == nil || uint64(s.keyIndex[s.walletList[wallet].Key]) >= s.anchoring.Held {
		return false
	}
	_, freed := slices.BinarySearch(s.anchoring.Freed, uint32(wallet))
	return !freed
}

// HeldWallets counts the wallets whose slots are held.
func (s *State) HeldWallets() int { return s.heldCount }

// countHeld counts them anew.
func (s *State) countHeld() {
	s.heldCount = 0
	for i := range s.walletList {
		if s.held(i) {
			s.heldCount++
		}
	}
}

// free says whether a wallet's slots may be used.
func (s *State) free(wallet int) error {
	if !s.held(wallet) {
		return nil
	}
	return problem.New(problem.Reanchoring, "the slots of wallet %q are held: the log has lost entries, and what they signed is not known; 'strongroom wallet reconcile' says what the chain shows", s.walletList[wallet].ID)
}

// reconcileChange is what slot_reconcile does.
type reconcileChange struct {
	effect entry.Slots
	apply  func()
}

// changeSlots says what a reconciliation does in the state as it is.
func (s *State) changeSlots(o *request.SlotReconcileBody) (c reconcileChange, err error) {
	w, _, err := s.wallet(o.Wallet)
	if err != nil {
		return c, err
	}
	i := s.walletIndex[o.Wallet]
	evm := w.Scheme == request.SchemeEVM
	switch {
	case !s.held(i):
		return c, problem.New(problem.Conflict, "the slots of wallet %q are not held", o.Wallet)
	case evm && len(o.Spent) > 0:
		return c, problem.New(problem.Malformed, "wallet %q is on %s, which has accounts with nonces, and no inputs", o.Wallet, w.Chain)
	case !evm && len(o.Accounts) > 0:
		return c, problem.New(problem.Malformed, "wallet %q is on %s, which has inputs, and no accounts", o.Wallet, w.Chain)
	case len(s.spentIndex)+len(o.Spent) > MaxSpent:
		return c, problem.New(problem.TooLarge, "%d inputs are recorded; this domain can't record %d more", len(s.spentIndex), len(o.Spent))
	}
	for _, a := range o.Accounts {
		if known := s.NextNonce(o.Wallet, a.Index); a.Next < known {
			return c, problem.New(problem.Conflict, "address %d of wallet %q: the next nonce is %d at least, because permits have used those before it", a.Index, o.Wallet, known)
		}
	}
	c.effect = entry.Slots{Wallet: o.Wallet}
	c.apply = func() { s.reconcile(i, o) }
	return c, nil
}

func (s *State) reconcile(wallet int, o *request.SlotReconcileBody) {
	for _, x := range o.Accounts {
		a := account{uint32(wallet), x.Index}
		s.nonces[s.useAccount(a)] = x.Next
	}
	for _, x := range o.Spent {
		in := entry.Input{TxID: [32]byte(x.TxID), Index: x.Index}
		if _, known := s.spentIndex[in]; !known {
			s.addSpent(in)
		}
	}
	a := s.renewAnchoring()
	at, _ := slices.BinarySearch(a.Freed, uint32(wallet))
	a.Freed = slices.Insert(a.Freed, at, uint32(wallet))
	s.anchoring = a
	s.heldCount--
}

// useAccount gives the place of an account, which it makes with nonce 0 if it was never used.
func (s *State) useAccount(a account) int {
	i, seen := s.accountIndex[a]
	if !seen {
		i = len(s.nonces)
		s.accounts.add(canon.Encode(a), 0)
		s.accountIndex[a] = i
		s.nonces = append(s.nonces, 0)
	}
	return i
}

func (s *State) applySlots(o *request.SlotReconcileBody, b *entry.Effect) (func(), error) {
	c, err := s.changeSlots(o)
	if err != nil {
		return nil, err
	}
	if b.Slots == nil || *b.Slots != c.effect || b.Document != nil || b.Wallet != nil || b.Key != nil || b.Addresses != nil || b.Life != nil {
		return nil, errors.New("the effect is not the wallet whose slots the request frees")
	}
	return c.apply, nil
}
