// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"io"
	"log/slog"
	"strings"
	"testing"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/hsm"
	"strongroom/internal/core/keyring"
	"strongroom/internal/core/keystore"
	"strongroom/internal/core/timeguard"
	"strongroom/internal/secret"
)

// A core that could not hold the keys that it may keep is not opened: it would fail later, under load, one signature at a time.
func TestMemoryMustHoldTheKeys(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	a, err := secret.NewArena(secret.Config{Size: size})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}()
	most := (size - roomBesideKeys) / keyring.EntryMemory
	for keys, fits := range map[int]bool{1: true, most: true, most + 1: false, 1 << 40: false, 1 << 62: false, 0: true} { // 0 keeps what fits
		c := Config{Arena: a, Root: struct{ hsm.Root }{}, Store: struct{ auditlog.Store }{}, Anchor: struct{ auditlog.Anchor }{},
			Blobs: struct{ keystore.Blobs }{}, Snapshots: struct{ Snapshots }{}, Clock: struct{ timeguard.Clock }{},
			Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), CacheKeys: keys}
		if err := c.check(); (err == nil) != fits || err != nil && !strings.Contains(err.Error(), "give more, or keep fewer") {
			t.Errorf("%d keys in %d bytes: %v", keys, size, err)
		}
		if keys == 0 && c.CacheKeys != most {
			t.Errorf("%d keys are kept by default, want %d", c.CacheKeys, most)
		}
	}
}
