// SPDX-License-Identifier: Apache-2.0

package domainkeys

import (
	"context"
	"errors"
	"slices"
	"testing"

	"strongroom/internal/core/hsm"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/secret"
	"strongroom/internal/secret/secrettest"
)

const (
	keyOne custody.KeyID = "00000000000000000000000000000001"
	keyTwo custody.KeyID = "00000000000000000000000000000002"
)

// A birth is noted once, told until it is cleared, and what can't be read is no key's.
func TestBirth(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	root := newRoot(t, a)
	if id, ok, err := Birth(t.Context(), root); id != "" || ok || err != nil {
		t.Errorf("nothing is born: %s, %v, %v", id, ok, err)
	}
	if err := MarkBirth(t.Context(), a, root, keyOne); err != nil {
		t.Fatal(err)
	}
	if err := MarkBirth(t.Context(), a, root, keyTwo); !errors.Is(err, hsm.ErrExists) {
		t.Errorf("a second birth beside the first: %v", err)
	}
	if id, ok, err := Birth(t.Context(), root); id != keyOne || !ok || err != nil {
		t.Errorf("%s, %v, %v", id, ok, err)
	}
	for range 2 {
		if err := ClearBirth(t.Context(), root); err != nil {
			t.Fatal(err)
		}
	}
	one, err := secret.Take(a, []byte{1})
	if err != nil {
		t.Fatal(err)
	}
	defer one.Wipe()
	for name, header := range map[string][]byte{
		"nothing":         nil,
		"another version": canon.Encode(birthHeader{V: 2, What: BirthLabel, Key: keyOne}),
		"another thing":   canon.Encode(birthHeader{V: 1, What: TamperedLabel, Key: keyOne}),
		"no key":          canon.Encode(birthHeader{V: 1, What: BirthLabel}),
	} {
		if err := root.Seal(t.Context(), BirthLabel, header, one); err != nil {
			t.Fatal(err)
		}
		if id, ok, err := Birth(t.Context(), root); id != "" || ok || !errors.Is(err, ErrUnfit) {
			t.Errorf("%s: %s, %v, %v", name, id, ok, err)
		}
		if err := ClearBirth(t.Context(), root); err != nil {
			t.Fatal(err)
		}
	}
}

// keyed is a root with keys of its own; stubborn ones are not destroyed, whatever it says, and each call may fail.
type keyed struct {
	hsm.Root
	hsm.TokenKeys
	keys, stubborn, gone []custody.KeyID
	err                  error
}

func (r *keyed) TokenKeyIDs(context.Context) ([]custody.KeyID, error) {
	return slices.Clone(r.keys), nil
}

func (r *keyed) DestroyTokenKey(_ context.Context, id custody.KeyID) error {
	r.gone = append(r.gone, id)
	if !slices.Contains(r.stubborn, id) {
		r.keys = slices.DeleteFunc(r.keys, func(x custody.KeyID) bool { return x == id })
	}
	return r.err
}

// All keys of a root are destroyed, those that it does not list too, and one that is still there is told.
func TestDestroyTokenKeys(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	root := newRoot(t, a)
	if err := DestroyTokenKeys(t.Context(), root, keyOne); err != nil {
		t.Errorf("a root without keys of its own: %v", err)
	}
	if err := MarkBirth(t.Context(), a, root, keyOne); err != nil {
		t.Fatal(err)
	}
	r := &keyed{Root: root, keys: []custody.KeyID{keyOne}}
	if err := DestroyTokenKeys(t.Context(), r, keyTwo, keyOne); err != nil || len(r.keys) != 0 || !slices.Equal(r.gone, []custody.KeyID{keyOne, keyTwo}) {
		t.Errorf("destroyed %v, left %v, %v", r.gone, r.keys, err)
	}
	if _, ok, err := Birth(t.Context(), root); ok || err != nil {
		t.Errorf("the note of a birth is still there: %v", err)
	}
	if err := DestroyTokenKeys(t.Context(), &keyed{Root: root, keys: []custody.KeyID{keyOne, keyTwo}, stubborn: []custody.KeyID{keyTwo}}); err == nil {
		t.Error("a key that is still there is not told")
	}
	failing := &keyed{Root: root, keys: []custody.KeyID{keyOne, keyTwo}, err: errors.New("no")}
	if err := DestroyTokenKeys(t.Context(), failing); err == nil || len(failing.gone) != 2 {
		t.Errorf("after a failure: %v, tried %v", err, failing.gone)
	}
	if err := DestroyAll(t.Context(), &keyed{Root: root, keys: []custody.KeyID{keyOne}, stubborn: []custody.KeyID{keyOne}}, 1); err == nil {
		t.Error("DestroyAll says nothing")
	}
}
