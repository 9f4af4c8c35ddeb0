// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// Wallets of class token: docs/spec/token-wallets.md. Each has one key, which lies in the token of the root of trust and in no other place. What the
// fold does with keys and their blobs it does with these too: what lies in the blob is no secret, and says which public key is meant.

// countClass counts a wallet that is taken in.
func (s *State) countClass(w entry.Wallet) {
	if w.Class == request.ClassToken {
		s.tokenWallets++
	}
}

// TokenKeys lists the keys of wallets of class token, in order of birth.
func (s *State) TokenKeys() []custody.KeyID {
	if s.tokenWallets == 0 {
		return nil
	}
	out := make([]custody.KeyID, 0, s.tokenWallets)
	for i := range s.walletList {
		if w := &s.walletList[i]; w.Class == request.ClassToken {
			out = append(out, w.Key)
		}
	}
	return out
}

// severalAddresses refuses further addresses of a wallet whose key has one.
func severalAddresses(w entry.Wallet) error {
	if w.Class == request.ClassToken {
		return problem.New(problem.Unsupported, "the key of wallet %q is in the token and has one address; make another wallet", w.ID)
	}
	return nil
}

// maySetWarm refuses to confine a key in the core that the core does not have.
func maySetWarm(w entry.Wallet) error {
	if w.Class == request.ClassToken {
		return problem.New(problem.Unsupported, "the key of wallet %q is in the token, and a wallet is warm by its key in the core; bound what it pays by rules", w.ID)
	}
	return nil
}

// movable refuses to move what never leaves the token.
func movable(w entry.Wallet) error {
	if w.Class == request.ClassToken {
		return problem.New(problem.Unsupported, "the key of wallet %q was born in the token and never leaves it; make a wallet where its key shall be, and pay to that", w.ID)
	}
	return nil
}
