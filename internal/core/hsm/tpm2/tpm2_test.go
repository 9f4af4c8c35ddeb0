// SPDX-License-Identifier: Apache-2.0

package tpm2_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"

	"strongroom/internal/core/hsm"
	"strongroom/internal/core/hsm/hsmtest"
	"strongroom/internal/core/hsm/passphrase"
	"strongroom/internal/core/hsm/tpm2"
	"strongroom/internal/core/hsm/tpm2/tpmtest"
	"strongroom/internal/secret"
	"strongroom/internal/secret/secrettest"
)

const right = "correct horse battery staple"

func take(t testing.TB, a *secret.Arena, s string) secret.Bytes {
	t.Helper()
	b, err := secret.Take(a, []byte(s))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Wipe)
	return b
}

// weak is a configuration that costs little.
func weak(a *secret.Arena, dir string, d *tpm2.Device) tpm2.Config {
	return tpm2.Config{Arena: a, Dir: dir, Device: d, PCRs: []uint{7}, Cost: passphrase.Cost{Time: 1, Memory: 8, Lanes: 1}, WeakUnsafe: true}
}

func mustCreate(t testing.TB, cfg tpm2.Config) *tpm2.Root {
	t.Helper()
	r, err := tpm2.Create(t.Context(), cfg, take(t, cfg.Arena, right))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func mustOpen(t testing.TB, cfg tpm2.Config) *tpm2.Root {
	t.Helper()
	r, err := tpm2.Open(t.Context(), cfg, take(t, cfg.Arena, right))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func wantErr(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got error %v, want %v", what, err, want)
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, pcrs := range map[string][]uint{"bound to a PCR": {7}, "bound to several": {0, 4, 7, 23}, "bound to none": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := secrettest.Arena(t)
			hsmtest.Run(t, hsmtest.Harness{Arena: a, Start: func(t *testing.T) func(*testing.T) hsm.Root {
				x := tpmtest.Start(t)
				cfg := weak(a, filepath.Join(t.TempDir(), "root"), x.Open(t))
				cfg.PCRs = pcrs
				mustCreate(t, cfg).Close()
				return func(t *testing.T) hsm.Root { return mustOpen(t, cfg) }
			}})
		})
	}
}

func TestRandom(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	r := mustCreate(t, weak(a, filepath.Join(t.TempDir(), "root"), tpmtest.Start(t).Open(t)))
	one, two := make([]byte, 100), make([]byte, 100)
	for _, b := range [][]byte{one, two} {
		if err := r.Random(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	if bytes.Equal(one, two) || bytes.Equal(one[68:], make([]byte, 32)) {
		t.Errorf("got %x and %x", one, two)
	}
}
