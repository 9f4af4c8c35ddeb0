// SPDX-License-Identifier: Apache-2.0

package coreapp

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strongroom/internal/core/auditlog/anchor/tpm"
	"strongroom/internal/core/hsm/passphrase"
	"strongroom/internal/core/hsm/tpm2"
	"strongroom/internal/core/hsm/tpm2/tpmtest"
	"strongroom/internal/core/securedomain"
	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
)

// entered is options with a PIN entered; a descriptor is read once.
func entered(t *testing.T, o Options, pin string) Options {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(path, []byte(pin), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	o.Passphrase = passphrase.Source{FD: int(f.Fd())}
	return o
}

// signed makes a domain's keys and writes its genesis, signed by everybody, to a file.
func signed(t *testing.T, o Options) string {
	t.Helper()
	h := &domaintest.Harness{Alice: domaintest.NewPerson("alice"), Bob: domaintest.NewPerson("bob"), Carol: domaintest.NewPerson("carol"), Service: domaintest.NewPerson("service")}
	doc := h.Document()
	dir := t.TempDir()
	document, out := filepath.Join(dir, "document"), filepath.Join(dir, "genesis")
	if err := os.WriteFile(document, doc.Encode(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Prepare(t.Context(), entered(t, o, "correct horse battery staple"), custody.Evaluation, document, out); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	var g entry.Genesis
	if err := canon.Decode(b, &g); err != nil {
		t.Fatal(err)
	}
	if g.Root != cmp.Or(o.Root, RootSoft) || g.Anchor != o.Anchor {
		t.Errorf("genesis says root %q and anchor %q", g.Root, g.Anchor)
	}
	for _, p := range doc.Principals {
		for _, who := range h.People() {
			if who.ID == p.ID {
				g.Signatures = append(g.Signatures, entry.GenesisSignature{Person: p.ID, Key: who.Pub.Ref(), Sig: ed25519.Sign(who.Key, authority.GenesisMessage(g))})
			}
		}
	}
	if err := os.WriteFile(out, canon.Encode(g), 0o600); err != nil {
		t.Fatal(err)
	}
	return out
}

// run runs the core until its door is open, and stops it cleanly.
func run(t *testing.T, o Options, pin string) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	dir, err := os.MkdirTemp("", "door") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return Run(ctx, entered(t, o, pin), filepath.Join(dir, "core.sock"), nil, cancel)
}

// TestTPM is the life of a domain whose root and anchor are a TPM.
func TestTPM(t *testing.T) {
	const pin = "correct horse battery staple"
	x := tpmtest.Start(t)
	o := Options{Data: filepath.Join(t.TempDir(), "data"), Memory: 4 << 20, Log: slog.New(slog.DiscardHandler), NoTiles: true, WeakPassphraseUnsafe: true,
		Root: RootTPM2, Anchor: AnchorTPM, TPM: x.Socket}
	if err := run(t, o, pin); !errors.Is(err, securedomain.ErrNoDomain) {
		t.Errorf("no domain: got error %v", err)
	}
	genesis := signed(t, o)
	other := o
	other.Anchor = AnchorFile
	if _, err := Create(t.Context(), entered(t, other, pin), genesis); err == nil || !strings.Contains(err.Error(), "--anchor tpm") {
		t.Errorf("genesis for another anchor: got error %v", err)
	}
	if _, err := Create(t.Context(), entered(t, o, pin), genesis); err != nil {
		t.Fatal(err)
	}
	if err := run(t, o, pin); err != nil {
		t.Fatal(err)
	}
	if err := run(t, o, "wrong horse battery staple"); !errors.Is(err, tpm2.ErrPIN) {
		t.Errorf("wrong PIN: got error %v", err)
	}
	if err := run(t, other, pin); err == nil || !strings.Contains(err.Error(), `names the anchor "tpm"`) {
		t.Errorf("without the anchor: got error %v", err)
	}
	saved := filepath.Join(t.TempDir(), "saved")
	if err := os.CopyFS(saved, os.DirFS(o.Data)); err != nil {
		t.Fatal(err)
	}
	if err := run(t, o, pin); err != nil {
		t.Fatal(err)
	}
	old := o
	old.Data = saved
	if err := run(t, old, pin); err == nil {
		t.Error("the disk of an earlier day was accepted")
	} else if _, ok := errors.AsType[*tpm.RollbackError](err); !ok {
		t.Errorf("the disk of an earlier day: got error %v", err)
	}
	elsewhere := o
	elsewhere.TPM = tpmtest.Start(t).Socket
	if err := run(t, elsewhere, pin); !errors.Is(err, tpm2.ErrOtherTPM) {
		t.Errorf("another machine: got error %v", err)
	}
	x.Extend(t, 7)
	if _, ok := errors.AsType[*tpm2.PCRError](run(t, o, pin)); !ok {
		t.Error("changed firmware was accepted")
	}
	x.Restart(t)
	if err := run(t, o, pin); err != nil {
		t.Error(err)
	}
}

func TestRefusesOptions(t *testing.T) {
	for _, change := range []func(*Options){func(o *Options) { o.Root = "paper" }, func(o *Options) { o.Root, o.TPMPCRs = RootTPM2, "seven" }, func(o *Options) { o.Root, o.TPM = RootTPM2, "/nowhere" }} {
		o := Options{Data: filepath.Join(t.TempDir(), "data"), Memory: 1 << 20, Log: slog.New(slog.DiscardHandler)}
		change(&o)
		if err := run(t, o, "correct horse battery staple"); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
	for s, want := range map[string]int{"": 1, "none": 0, "7": 1, "7, 0,4": 3} {
		if got, err := parsePCRs(s); err != nil || len(got) != want {
			t.Errorf("PCRs %q: %v, %v", s, got, err)
		}
	}
}
