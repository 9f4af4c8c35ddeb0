// SPDX-License-Identifier: Apache-2.0

package tpm2_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	tpm "github.com/google/go-tpm/tpm2"

	"strongroom/internal/core/hsm"
	"strongroom/internal/core/hsm/tpm2/tpmtest"

	"strongroom/internal/secret/secrettest"
)

// TestDestroyBelievesNoBareAnswer: errors of a TPM carry no MAC, so whoever talks on the bus can say that an index is gone, or another's. A
// destroy that comes back without an error must have happened all the same: the files of before open nothing.
func TestDestroyBelievesNoBareAnswer(t *testing.T) {
	t.Parallel()
	x := tpmtest.Start(t)
	a := secrettest.Arena(t)
	quiet := weak(a, filepath.Join(t.TempDir(), "root"), x.Open(t))
	mustCreate(t, quiet).Close()
	lied := 0
	for _, command := range []tpm.TPMCC{tpm.TPMCCNVReadPublic, tpm.TPMCCNVRead, tpm.TPMCCNVUndefineSpace, tpm.TPMCCNVDefineSpace} {
		for _, rc := range []tpm.TPMRC{tpm.TPMRCHandle | 0x100, tpm.TPMRCBadAuth | 0x900, tpm.TPMRCAuthFail | 0x900, tpm.TPMRCAttributes | 0x100, tpm.TPMRCNVUninitialized, tpm.TPMRCNVAuthorization,
			tpm.TPMRCNVDefined} {
			f := x.Faulty()
			loud := quiet
			loud.Device = f.Device(t)
			r := mustOpen(t, loud)
			seal(t, r, a, "dwk-1", "a working key")
			file := filepath.Join(quiet.Dir, "dwk-1.sealed")
			saved, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			f.Change(func(_ int, c, response []byte) []byte {
				if tpm.TPMCC(binary.BigEndian.Uint32(c[6:])) == command {
					lied++
					return busError(rc)
				}
				return response
			})
			destroyed := r.Destroy(t.Context(), "dwk-1")
			f.Change(nil)
			r.Close()
			if err := os.WriteFile(file, saved, 0o600); err != nil {
				t.Fatal(err)
			}
			x.Restart(t) // sessions are left behind, as no resource manager cleans up here
			r = mustOpen(t, quiet)
			if s, err := unseal(t, r, "dwk-1"); err == nil && destroyed == nil {
				t.Errorf("%v answered with %v: destroyed, and yet it opens to %q", command, rc, s)
			}
			if err := r.Destroy(t.Context(), "dwk-1"); err != nil {
				t.Errorf("%v answered with %v, then destroyed without a liar: %v", command, rc, err)
			}
			if _, err := unseal(t, r, "dwk-1"); err == nil {
				t.Error("it is still there")
			}
			r.Close()
		}
	}
	if lied == 0 {
		t.Error("nobody lied")
	}
}

func busError(rc tpm.TPMRC) []byte {
	return binary.BigEndian.AppendUint32([]byte{0x80, 0x01, 0, 0, 0, 10}, uint32(rc))
}

// TestHiddenFile moves a file away before the label is destroyed, and back: the label is not listed meanwhile, and destroyed all the same.
func TestHiddenFile(t *testing.T) {
	t.Parallel()
	_, cfg, r := newRoot(t)
	seal(t, r, cfg.Arena, "dwk-1", "a working key")
	file, hidden := filepath.Join(cfg.Dir, "dwk-1.sealed"), filepath.Join(t.TempDir(), "hidden")
	if err := os.Rename(file, hidden); err != nil {
		t.Fatal(err)
	}
	if s, err := r.Status(t.Context()); err != nil || len(s.Labels) != 0 {
		t.Errorf("status lists %v and error %v", s.Labels, err)
	}
	if err := r.Destroy(t.Context(), "dwk-1"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(hidden, file); err != nil {
		t.Fatal(err)
	}
	_, err := unseal(t, r, "dwk-1")
	wantErr(t, "the file is back", err, hsm.ErrNotFound)
}
