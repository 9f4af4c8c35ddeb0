// SPDX-License-Identifier: Apache-2.0

// Package secrettest has what tests that work with secrets share.
package secrettest

import (
	"testing"

	"strongroom/internal/secret"
)

// Arena makes an arena of 4 MiB and fails the test if a secret is left in it at its end.
func Arena(t testing.TB) *secret.Arena {
	t.Helper()
	return ArenaOf(t, 4<<20)
}

// ArenaOf is [Arena] of another size, in bytes.
func ArenaOf(t testing.TB, size int) *secret.Arena {
	t.Helper()
	a, err := secret.NewArena(secret.Config{Size: size})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil && !t.Failed() {
			t.Error(err)
		}
	})
	return a
}
