// SPDX-License-Identifier: Apache-2.0

package tpm2_test

import (
	"path/filepath"
	"testing"

	"strongroom/internal/core/hsm/tpm2/tpmtest"

	"strongroom/internal/secret/secrettest"
)

// The emulator is faster than most chips, which need some 10 to 300 ms for what here takes one.

func BenchmarkSealUnsealDestroy(b *testing.B) {
	a := secrettest.Arena(b)
	r := mustCreate(b, weak(a, filepath.Join(b.TempDir(), "root"), tpmtest.Start(b).Open(b)))
	plain := take(b, a, "the secret")
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"seal and destroy", func() error {
			if err := r.Seal(b.Context(), "dwk-1", nil, plain); err != nil {
				return err
			}
			return r.Destroy(b.Context(), "dwk-1")
		}},
		{"unseal", func() error { _, err := unseal(b, r, "dwk-2"); return err }},
		{"increment", func() error { _, err := r.IncrementCounter(b.Context()); return err }},
	} {
		b.Run(step.name, func(b *testing.B) {
			if step.name == "unseal" {
				if err := r.Seal(b.Context(), "dwk-2", nil, plain); err != nil {
					b.Fatal(err)
				}
				defer func() { _ = r.Destroy(b.Context(), "dwk-2") }()
			}
			for b.Loop() {
				if err := step.do(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	a := secrettest.Arena(b)
	cfg := weak(a, filepath.Join(b.TempDir(), "root"), tpmtest.Start(b).Open(b))
	mustCreate(b, cfg).Close()
	for b.Loop() {
		mustOpen(b, cfg).Close()
	}
}
