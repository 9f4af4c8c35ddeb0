// SPDX-License-Identifier: Apache-2.0

package corebench

import (
	"slices"
	"testing"
)

// Every operation that is listed works, for several goroutines, and those of keys do with the ring what they are named after.
func TestOperations(t *testing.T) {
	t.Parallel()
	for _, name := range Names() {
		op, err := New(name)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := op(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	k, err := NewKeys(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range KeyNames() {
		ops, err := k.Ops(name, 3)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for range 4 {
			for _, op := range ops {
				if err := op(); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	}
	if _, err := New("no such thing"); err == nil {
		t.Error("an unknown operation was made")
	}
	if _, err := k.Ops("no such thing", 1); err == nil {
		t.Error("an unknown operation with keys was made")
	}
}

// The three states of a key take different ways: with a key or account open, the blobs are not needed.
func TestOnlyColdUnseals(t *testing.T) {
	t.Parallel()
	for _, name := range KeyNames() {
		k, err := NewKeys(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		ops, err := k.Ops(name, 1)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := ops[0](); err != nil {
				t.Fatal(err)
			}
		}
		k.dwk.Wipe() // nothing is unsealed from here on
		err = ops[0]()
		if opens := slices.Contains([]string{KeyOpen, AccountOpen}, name); (err == nil) != opens {
			t.Errorf("%s, without the working key: %v", name, err)
		}
	}
}

// BenchmarkKeys shows a signature from each state beside the bare one, on one processor.
func BenchmarkKeys(b *testing.B) {
	k, err := NewKeys(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	bare, err := New("secp256k1 sign+verify")
	if err != nil {
		b.Fatal(err)
	}
	ops := map[string]Op{"bare": bare}
	for _, name := range KeyNames() {
		list, err := k.Ops(name, 1)
		if err != nil {
			b.Fatal(err)
		}
		ops[name] = list[0]
	}
	for _, name := range append([]string{"bare"}, KeyNames()...) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := ops[name](); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
