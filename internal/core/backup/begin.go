// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/domainkeys"
	"strongroom/internal/core/hsm"
	format "strongroom/internal/pure/backup"
	"strongroom/internal/secret"
)

// Begin begins a restore: it reads a manifest, loads the identity from the root of trust, and requires that the manifest is of that identity's domain and that the
// log to restore into is empty. The caller wipes the identity.
func Begin(ctx context.Context, manifest []byte, arena *secret.Arena, root hsm.Root, store auditlog.Store) (*Manifest, *domainkeys.Identity, error) {
	m, err := format.Decode(manifest)
	if err != nil {
		return nil, nil, err
	}
	ids, err := domainkeys.LoadIdentity(ctx, arena, root)
	if errors.Is(err, hsm.ErrNotFound) {
		return nil, nil, fmt.Errorf("the root of trust has no identity: bring back the root that the domain had, or let its custodians restore it first (docs/runbooks/backup.md): %w", err)
	}
	if err != nil {
		return nil, nil, err
	}
	err = m.Of(ids.IdentityKey())
	if err == nil {
		var size uint64
		if size, _, err = store.Head(ctx); err == nil && size > 0 {
			err = fmt.Errorf("the log has %d entries already; restore into a new folder", size)
		}
	}
	if err != nil {
		ids.Wipe()
		return nil, nil, err
	}
	return m, ids, nil
}
