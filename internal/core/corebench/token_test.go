// SPDX-License-Identifier: Apache-2.0

package corebench

import (
	"testing"

	"strongroom/internal/core/hsm/pkcs11/softhsmtest"
)

// Each operation of a token works, for several goroutines. Not parallel: the library reads where its tokens are from the environment.
func TestTokenOps(t *testing.T) {
	store := softhsmtest.New(t)
	store.Token(t, "bench", "1234")
	t.Setenv("SOFTHSM2_CONF", store.Conf)
	k, err := NewTokens(t.TempDir(), store.Library, "bench", "1234")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range TokenNames() {
		ops, err := k.Ops(name, 2)
		if err != nil || len(ops) != 2 {
			t.Fatalf("%s: %d operations, %v", name, len(ops), err)
		}
		for _, op := range append(ops, ops...) {
			if err := op(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if _, err := k.Ops("nonsense", 1); err == nil {
		t.Error("an unknown operation was made")
	}
	if err := k.Close(); err != nil {
		t.Error(err)
	}
	if _, err := NewTokens(t.TempDir(), store.Library, "another", "1234"); err == nil {
		t.Error("a token that does not exist was opened")
	}
}
