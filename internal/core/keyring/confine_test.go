// SPDX-License-Identifier: Apache-2.0

package keyring

import (
	"context"
	"errors"
	"slices"
	"testing"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
)

// shut requires that no key of a wallet is handed out, and that its seed is not unsealed for that.
func (h *house) shut(wallet int, index uint32) {
	h.t.Helper()
	before := h.unsealed
	a, _ := oracle(h.t, wallet, entry.KeyPath{Index: index})
	err := h.Use(context.Background(), start, a, h.unseal(wallet), func([]byte) error { return nil })
	if !errors.Is(err, ErrConfined) || h.unsealed != before {
		h.t.Errorf("wallet %d: %v, %d unsealings, want %d", wallet, err, h.unsealed, before)
	}
}

// A confined wallet's keys are handed out and kept between Admit and Confine only; others are left alone.
func TestConfine(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 10)
	h.use(0, 0, 0, 0, 1)
	h.use(1, 0, 0, 0, 2)
	if n := h.Confine("w0"); n != 2 {
		t.Errorf("%d keys wiped, want 2", n)
	}
	h.wantLive(1, 1)
	h.shut(0, 0)
	h.use(1, 0, 0, 0, 2)
	h.Admit("w1") // it is not confined: nothing changes
	if h.Confined("w1") || !h.Confined("w0") || len(h.Admitted()) != 0 {
		t.Error("another wallet is confined")
	}
	h.Admit("w0")
	h.use(0, 0, 0, 0, 3)
	h.wantLive(2, 2)
	if !slices.Equal(h.Admitted(), []custody.WalletID{"w0"}) || !h.Confined("w0") {
		t.Errorf("%v", h.Admitted())
	}
	h.Forget() // it wipes, and leaves the wallet admitted
	h.use(0, 0, 1, 0, 4)
	h.Confine("w0")
	h.shut(0, 1)
	h.Free("w0")
	h.use(0, 0, 1, 0, 5)
	if h.Confined("w0") {
		t.Error("it is still confined")
	}
}

// Whoever confines a wallet while its seed is being unsealed finds nothing of it kept afterwards.
func TestConfineWhileUnsealing(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 10)
	h.Confine("w0")
	h.Admit("w0")
	a, _ := oracle(t, 0, entry.KeyPath{})
	unseal := func() (Seed, error) {
		h.Confine("w0")
		return h.unseal(0)()
	}
	if err := h.Use(context.Background(), start, a, unseal, func([]byte) error { return nil }); err != nil && !errors.Is(err, ErrConfined) {
		t.Fatal(err)
	}
	h.wantLive(0, 0)
	h.shut(0, 0)
}
