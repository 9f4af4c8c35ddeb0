// SPDX-License-Identifier: Apache-2.0

package coreapp

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strongroom/internal/core/hsm/tpm2/tpmtest"
	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/entry"
)

const lostPass = "correct horse battery staple"

// lostDomain makes a domain with a file anchor that has run once.
func lostDomain(t *testing.T) Options {
	t.Helper()
	o := Options{Data: filepath.Join(t.TempDir(), "data"), Memory: 4 << 20, Log: slog.New(slog.DiscardHandler), WeakPassphraseUnsafe: true, Anchor: AnchorFile}
	if _, err := Create(t.Context(), entered(t, o, lostPass), signed(t, o), "", nil); err != nil {
		t.Fatal(err)
	}
	if err := run(t, o, lostPass); err != nil {
		t.Fatal(err)
	}
	return o
}

// prepared prepares a document, and has two people sign it.
func prepared(t *testing.T, o Options) (string, ReanchorReport) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "reanchor")
	report, err := PrepareReanchor(t.Context(), entered(t, o, lostPass), Reanchor{Reason: "a test says so"}, out)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	var doc entry.Reanchor
	if err := canon.Decode(b, &doc); err != nil {
		t.Fatal(err)
	}
	domaintest.SignReanchor(&doc, domaintest.NewPerson("alice"), domaintest.NewPerson("bob"))
	if err := os.WriteFile(out, canon.Encode(doc), 0o600); err != nil {
		t.Fatal(err)
	}
	return out, report
}

func applied(t *testing.T, o Options, document string) error {
	t.Helper()
	_, err := ApplyReanchor(t.Context(), entered(t, o, lostPass), Reanchor{}, document)
	return err
}

// A pin that is lost or damaged keeps the core from starting; re-anchoring makes another one, and says that entries may be lost.
func TestReanchorWithoutAPin(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(t *testing.T, dir string) error{
		"lost": func(_ *testing.T, dir string) error { return os.RemoveAll(dir) },
		"damaged": func(_ *testing.T, dir string) error {
			return os.WriteFile(filepath.Join(dir, "pin"), make([]byte, 4*(16<<10)), 0o600)
		},
		"cut": func(_ *testing.T, dir string) error { return os.Truncate(filepath.Join(dir, "pin"), 100) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := lostDomain(t)
			if err := spoil(t, filepath.Join(o.Data, "anchor")); err != nil {
				t.Fatal(err)
			}
			if err := run(t, o, lostPass); err == nil {
				t.Fatal("it starts without its pin")
			}
			document, report := prepared(t, o)
			if said := strings.Join(report.Found, "; "); report.Incarnation != 2 || report.Whole || !strings.Contains(said, "the local pin says nothing") || !strings.Contains(said, "the published tiles have") {
				t.Errorf("%+v", report)
			}
			if err := run(t, o, lostPass); err == nil {
				t.Fatal("it starts although nothing was applied")
			}
			for range 2 {
				if err := applied(t, o, document); err != nil {
					t.Fatal(err)
				}
			}
			if err := run(t, o, lostPass); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(filepath.Join(o.Data, "tiles-1", "checkpoint")); err != nil {
				t.Errorf("the tiles of before were not kept: %v", err)
			}
			renamed := o
			renamed.Anchor = AnchorTPM
			if err := run(t, renamed, lostPass); err == nil || !strings.Contains(err.Error(), `names the anchor "file"`) {
				t.Errorf("with another anchor: %v", err)
			}
		})
	}
}

// An apply that is cut off between the pin and the TPM leaves a domain that does not start; done again, it does. What it was asked for that can't be is refused before
// anything is changed.
func TestReanchorIntoATPM(t *testing.T) {
	t.Parallel()
	o := lostDomain(t)
	x := tpmtest.Start(t)
	into := o
	into.Anchor, into.TPM = AnchorTPM, x.Socket
	document, _ := prepared(t, into)
	gone := into
	gone.TPM = filepath.Join(t.TempDir(), "no TPM here")
	if err := applied(t, gone, document); err == nil {
		t.Fatal("applied without the TPM")
	}
	if err := run(t, into, lostPass); err == nil || !strings.Contains(err.Error(), "TPM") {
		t.Fatalf("half of an apply starts: %v", err)
	}
	if err := applied(t, into, document); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := run(t, into, lostPass); err != nil {
			t.Fatal(err)
		}
	}
	if err := run(t, o, lostPass); err == nil {
		t.Error("it starts with the anchor that it had")
	}
	odd := o
	odd.Anchor = "paper"
	if _, err := PrepareReanchor(t.Context(), entered(t, odd, lostPass), Reanchor{Reason: "x"}, document); err == nil || !strings.Contains(err.Error(), "is not known") {
		t.Errorf("an anchor that nobody has: %v", err)
	}
}

// Files of checkpoints that aren't, and no reason, are refused.
func TestReanchorRefusesOptions(t *testing.T) {
	t.Parallel()
	o := lostDomain(t)
	junk := filepath.Join(t.TempDir(), "junk")
	if err := os.WriteFile(junk, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out")
	for why, a := range map[string]Reanchor{"no reason": {}, "no checkpoint": {Reason: "x", Checkpoints: []string{junk}}, "no file": {Reason: "x", Checkpoints: []string{junk + "s"}}} {
		if _, err := PrepareReanchor(t.Context(), entered(t, o, lostPass), a, out); err == nil {
			t.Errorf("%s: a document was made", why)
		}
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("a document was written")
	}
	for why, path := range map[string]string{"no document": junk, "no file": junk + "s"} {
		if err := applied(t, o, path); err == nil {
			t.Errorf("%s: it was applied", why)
		}
	}
	kept := filepath.Join(o.Data, "tiles", "checkpoint")
	if _, err := PrepareReanchor(t.Context(), entered(t, o, lostPass), Reanchor{Reason: "x", Checkpoints: []string{kept}}, out); err != nil {
		t.Error(err)
	}
}
