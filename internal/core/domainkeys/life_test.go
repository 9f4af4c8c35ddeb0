// SPDX-License-Identifier: Apache-2.0

package domainkeys

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"strongroom/internal/core/hsm"
	"strongroom/internal/core/recovery"
	"strongroom/internal/secret"
	"strongroom/internal/secret/secrettest"
)

func recoveryKey(t *testing.T, a *secret.Arena, n byte) *recovery.Key {
	t.Helper()
	r, err := secret.Take(a, bytes.Repeat([]byte{n}, recovery.MasterSize))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Wipe()
	k, err := recovery.Derive(a, r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Wipe)
	return k
}

// What is sealed for recovery opens with the custodians' secret to the same keys, for the same domain and epoch only.
func TestRecovered(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	k, other := recoveryKey(t, a, 1), recoveryKey(t, a, 2)
	i, err := GenerateIdentity(a, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer i.Wipe()
	id := i.IdentityKey()
	d, err := GenerateDWK(a, id, 3, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Wipe()
	sealed, err := d.ForRecovery(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	sealedID, err := i.ForRecovery(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	got, err := RecoverDWK(a, k, id, 3, sealed)
	if err != nil || got.Pattern != d.Pattern || got.Epoch != 3 || !got.Key().Equal(d.Key()) {
		t.Fatalf("%v: another working key", err)
	}
	got.Wipe()
	gotID, err := RecoverIdentity(a, k, id, sealedID)
	if err != nil || gotID.IdentityKey() != id || gotID.LogKey() != i.LogKey() {
		t.Fatalf("%v: another identity", err)
	}
	gotID.Wipe()
	for what, err := range map[string]error{
		"other custodians":                 func() error { _, err := RecoverDWK(a, other, id, 3, sealed); return err }(),
		"another epoch":                    func() error { _, err := RecoverDWK(a, k, id, 4, sealed); return err }(),
		"another domain":                   func() error { _, err := RecoverDWK(a, k, [32]byte{1}, 3, sealed); return err }(),
		"the identity":                     func() error { _, err := RecoverDWK(a, k, id, 3, sealedID); return err }(),
		"a working key":                    func() error { _, err := RecoverIdentity(a, k, id, sealed); return err }(),
		"other custodians of the identity": func() error { _, err := RecoverIdentity(a, other, id, sealedID); return err }(),
	} {
		if err == nil {
			t.Errorf("%s: opened", what)
		}
	}
}

// What is destroyed by choice is gone, the rest stays; what a restore put back lies apart.
func TestDestroyWhere(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	root := newRoot(t, a)
	i, err := GenerateIdentity(a, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer i.Wipe()
	if err := i.Save(t.Context(), root); err != nil {
		t.Fatal(err)
	}
	id := i.IdentityKey()
	for e := uint64(1); e <= 3; e++ {
		d, err := GenerateDWK(a, id, e, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(d.Save(t.Context(), root), d.SaveRestored(t.Context(), root), d.SaveRestored(t.Context(), root)); err != nil {
			t.Fatal(err)
		}
		back, err := LoadRestored(t.Context(), root, id, e)
		if err != nil || back.Pattern != d.Pattern {
			t.Fatalf("%v", err)
		}
		back.Wipe()
		d.Wipe()
	}
	has := func(want ...string) {
		t.Helper()
		st, err := root.Status(t.Context())
		if err != nil || !slices.Equal(st.Labels, want) {
			t.Fatalf("%v, %v; want %v", st.Labels, err, want)
		}
	}
	has("dwk-1", "dwk-2", "dwk-3", "identity", "restored-1", "restored-2", "restored-3")
	if err := DestroyWhere(t.Context(), root, func(restored bool, epoch uint64) bool { return restored != (epoch == 2) }); err != nil {
		t.Fatal(err)
	}
	has("dwk-1", "dwk-3", "identity", "restored-2")
	if _, err := LoadRestored(t.Context(), root, id, 3); !errors.Is(err, hsm.ErrNotFound) {
		t.Errorf("what was destroyed is loaded: %v", err)
	}
	if err := MarkTampered(t.Context(), a, root, "the lid"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(MarkTampered(t.Context(), a, root, "again"), DestroyAll(t.Context(), root, 1)); err != nil {
		t.Fatal(err)
	}
	has("identity", "tampered")
	if cause, ok, err := Tampered(t.Context(), root); cause != "the lid" || !ok || err != nil {
		t.Errorf("%q, %v, %v", cause, ok, err)
	}
	if err := ClearTampered(t.Context(), root); err != nil {
		t.Fatal(err)
	}
	has("identity")
	if _, ok, err := Tampered(t.Context(), root); ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
}

// unlisted is a root that lists nothing, as one does whose files were moved away.
type unlisted struct {
	hsm.Root
	gone []string
}

func (r *unlisted) Status(context.Context) (hsm.Status, error) { return hsm.Status{}, nil }

func (r *unlisted) Destroy(_ context.Context, label string) error {
	r.gone = append(r.gone, label)
	return nil
}

// What a root does not list is destroyed by number.
func TestDestroyAllByNumber(t *testing.T) {
	t.Parallel()
	r := &unlisted{}
	if err := DestroyAll(t.Context(), r, 2); err != nil {
		t.Fatal(err)
	}
	if want := []string{"dwk-3", "restored-3", "dwk-2", "restored-2", "dwk-1", "restored-1"}; !slices.Equal(r.gone, want) {
		t.Errorf("destroyed %v, want %v", r.gone, want)
	}
}
