// SPDX-License-Identifier: Apache-2.0

package domainkeys

import (
	"fmt"

	"strongroom/internal/core/recovery"
	"strongroom/internal/pure/canon"
)

// Transport is the key that bundles to this domain are sealed to, if it is an offline one: the key pair of package recovery that follows from
// HKDF-SHA-384(read root, no salt, info = tag || 0x00, length = 32). It comes back with the identity. The caller wipes it. docs/spec/cold.md.
func (i *Identity) Transport() (*recovery.Key, error) {
	r, err := i.underReadRoot(canon.TagBytes(canon.TagOfflineKey, nil))
	if err != nil {
		return nil, fmt.Errorf("domainkeys: transport key: %w", err)
	}
	defer r.Wipe()
	return recovery.Derive(i.arena, r)
}
