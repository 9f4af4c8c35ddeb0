// SPDX-License-Identifier: Apache-2.0

package domainkeys

import (
	"encoding/binary"
	"fmt"

	"strongroom/internal/core/recovery"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
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

// Reply is the key that the result of a bundle is sealed to: the key pair of package recovery that follows from HKDF-SHA-384(read root, no salt,
// info = tag || 0x00 || id of the offline domain || number of the bundle as 8 bytes, big-endian, length = 32); from the second incarnation of the log
// on, which may give a number again that the one before gave, the incarnation follows, as 8 bytes too. A result has what the log of an
// offline domain has, so that its key lasts as long as read keys do. The caller wipes it.
func (i *Identity) Reply(d custody.DomainID, number, incarnation uint64) (*recovery.Key, error) {
	name := binary.BigEndian.AppendUint64(d[:], number)
	if incarnation > 1 {
		name = binary.BigEndian.AppendUint64(name, incarnation)
	}
	r, err := i.underReadRoot(canon.TagBytes(canon.TagOfflineKey, name))
	if err != nil {
		return nil, fmt.Errorf("domainkeys: reply key: %w", err)
	}
	defer r.Wipe()
	return recovery.Derive(i.arena, r)
}
