// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"sync"

	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/request"
)

// addressCache remembers derived addresses, which are public: deriving one costs as much as a signature. It is bounded by
// halves: when the young half is full, the old one is dropped.
type addressCache struct {
	most int

	mu    sync.Mutex // guards young and old
	young map[addressKey]authority.Derived
	old   map[addressKey]authority.Derived
}

// addressKey names an address by all that it follows from, so that a wallet that did not come about never stands in for another.
type addressKey struct {
	seed   custody.KeyID
	chain  custody.ChainID
	scheme request.Scheme
	number uint32
	path   entry.KeyPath
}

func newAddressCache(most int) *addressCache {
	return &addressCache{most: max(1, most/2), young: map[addressKey]authority.Derived{}}
}

// derive is an authority.Deriver.
func (c *addressCache) derive(w entry.Wallet, p entry.KeyPath) (authority.Derived, error) {
	k := addressKey{w.Key, w.Chain, w.Scheme, w.Account, p}
	c.mu.Lock()
	x, ok := c.young[k]
	if !ok {
		if x, ok = c.old[k]; ok {
			c.keep(k, x)
		}
	}
	c.mu.Unlock()
	if ok {
		return x, nil
	}
	x, err := authority.Derive(w, p)
	if err != nil {
		return x, err
	}
	c.mu.Lock()
	c.keep(k, x)
	c.mu.Unlock()
	return x, nil
}

// keep adds to the young half. The caller holds mu.
func (c *addressCache) keep(k addressKey, x authority.Derived) {
	if len(c.young) >= c.most {
		c.old, c.young = c.young, make(map[addressKey]authority.Derived, c.most)
	}
	c.young[k] = x
}
