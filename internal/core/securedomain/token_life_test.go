// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// A key that no entry names stays in the token and is counted: its entry may have been lost, and it may hold money. Only the one whose birth the root
// has noted is destroyed.
func TestUnnamedTokenKeysStay(t *testing.T) {
	t.Parallel()
	h := tokenDomain(t, domaintest.Options{})
	w := h.WalletOf(domaintest.InToken("sealed"))
	const lost custody.KeyID = "0123456789abcdef0123456789abcdef"
	h.Close()
	h.Options.Token.Put(lost)
	h.Reopen()
	wantTokenKeys(t, h.Options.Token, w.Wallet.Key, lost)
	if s := h.D.Status(); s.MissingKeys != 0 || !slices.ContainsFunc(s.Notes, func(n string) bool {
		return strings.HasPrefix(n, "keys in the token that no entry of the log names: 1;")
	}) {
		t.Errorf("%d missing, notes %q", s.MissingKeys, s.Notes)
	}
	h.WalletOf(domaintest.InToken("second"))
	if len(h.Options.Token.IDs()) != 3 {
		t.Errorf("the token has %v", h.Options.Token.IDs())
	}
}

// A note of a birth that was altered names no key: it goes, and no key does.
func TestAlteredNoteOfABirth(t *testing.T) {
	t.Parallel()
	f := newTokenFactory(t)
	m := f.machine(t)
	if err := m.open(); err != nil {
		t.Fatal(err)
	}
	m.faults.FailAt(domaintest.KeyMake, 1, domaintest.After, true)
	if _, err := m.Govern(request.WalletCreate, domaintest.InToken("sealed"), m.Bob); err == nil {
		t.Fatal("the answer was lost, and nobody says so")
	}
	m.restart(&story{})
	left := m.Options.Token.IDs()
	if len(left) != 1 {
		t.Fatalf("the token has %v", left)
	}
	note := filepath.Join(m.Dir, "root", "token-birth.sealed")
	b, err := os.ReadFile(note)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(note, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := m.open(); err != nil {
		t.Fatal(err)
	}
	wantTokenKeys(t, m.Options.Token, left...)
	wantLabels(t, m.Harness, "dwk-1", "identity")
	if notes := m.D.Status().Notes; len(notes) != 1 {
		t.Errorf("notes %q", notes)
	}
	m.WalletOf(domaintest.InToken("next"))
	mustPay(t, m.Harness, "next", 0)
}

// An older day of the log on the same token, as after a loss: the keys that it does not name stay.
func TestOlderLogKeepsTokenKeys(t *testing.T) {
	t.Parallel()
	h := tokenDomain(t, domaintest.Options{})
	first := h.WalletOf(domaintest.InToken("first"))
	f := domaintest.Folder{}
	one := mustBackUp(t, h, f)
	second := h.WalletOf(domaintest.InToken("second"))
	h.Close()
	n := h.NewMachine(false)
	if r, err := n.RestoreBackup(f, one.Encode()); err != nil || r.Tokens != 1 || r.Missing != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	n.Reopen()
	wantTokenKeys(t, h.Options.Token, first.Wallet.Key, second.Wallet.Key)
	mustPay(t, n, "first", 0)
}

// A restore on another token has the wallets and not their keys, and says so at each place; wallets of class core go on.
func TestRestoreOnAnotherToken(t *testing.T) {
	t.Parallel()
	h := tokenDomain(t, domaintest.Options{Recovery: true})
	w := h.WalletOf(domaintest.InToken("sealed"))
	h.Wallet("hot", domaintest.Chain, request.SchemeEVM)
	f := domaintest.Folder{}
	m := mustBackUp(t, h, f)
	if run, err := h.D.BackupOpen(t.Context(), message.BackupOpen{Manifest: f.Newest()}); err != nil || run.TokenKeys != 1 {
		t.Errorf("the backup says that %d keys are not in it, %v", run.TokenKeys, err)
	}
	if c, err := h.CheckBackup(f, m); err != nil || c.Keys != 2 || c.TokenKeys != 1 || c.Opened != 2 {
		t.Errorf("%+v, %v", c, err)
	}
	h.Close()
	n := h.NewMachine(false)
	n.NewRoot()
	if err := n.Recover(m, 1); err != nil {
		t.Fatal(err)
	}
	n.Options.Token = domaintest.NewToken()
	r, err := n.RestoreBackup(f, f.Newest())
	if err != nil || r.Keys != 2 || r.Tokens != 1 || r.Missing != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	n.Reopen()
	if addressOf(t, n, "sealed") != w.Address || n.D.Status().MissingKeys != 1 {
		t.Errorf("address %s, %d keys missing", addressOf(t, n, "sealed"), n.D.Status().MissingKeys)
	}
	_, err = paid(n, "sealed", 0)
	wantKind(t, "pay without the key", err, problem.Locked)
	if !strings.Contains(err.Error(), string(w.Wallet.Key)) {
		t.Error(err)
	}
	mustPay(t, n, "hot", 0)
	n.Check()
	if n.D.Status().MissingKeys != 1 {
		t.Error("after a check the key is not missed any more")
	}
	// The old token comes back, and the permit that waited is signed.
	n.Close()
	n.Options.Token = h.Options.Token
	n.Reopen()
	if n.D.Status().MissingKeys != 0 {
		t.Error("the key is back and missed")
	}
	mustPay(t, n, "sealed", 1)
}

// Zeroize leaves no key in the token, whoever named it; a restore brings the wallets back without.
func TestZeroizeDestroysTokenKeys(t *testing.T) {
	t.Parallel()
	memory := domaintest.NewMemory()
	h := tokenDomain(t, domaintest.Options{Recovery: true, Memory: memory})
	h.WalletOf(domaintest.InToken("sealed"))
	h.Wallet("hot", domaintest.Chain, request.SchemeEVM)
	h.Options.Token.Put("0123456789abcdef0123456789abcdef")
	copies := memory.Blobs()
	if _, err := h.Zeroize(h.Bob); err != nil {
		t.Fatal(err)
	}
	wantTokenKeys(t, h.Options.Token)
	wantLabels(t, h, "identity")
	if h.D.Status().MissingKeys != 1 {
		t.Errorf("%d keys are missing", h.D.Status().MissingKeys)
	}
	h.Reopen()
	if err := h.PutBack(1, copies); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Restore(); err != nil {
		t.Fatal(err)
	}
	mustPay(t, h, "hot", 0)
	_, err := paid(h, "sealed", 0)
	wantKind(t, "the key is gone", err, problem.Locked)
	h.WalletOf(domaintest.InToken("next"))
	mustPay(t, h, "next", 0)
	if h.D.Status().MissingKeys != 1 {
		t.Errorf("%d keys are missing", h.D.Status().MissingKeys)
	}
	h.Check()
}

// Tampering destroys them too, also before the domain opens, and where the log takes nothing.
func TestTamperDestroysTokenKeys(t *testing.T) {
	t.Parallel()
	h := tokenDomain(t, domaintest.Options{})
	h.WalletOf(domaintest.InToken("sealed"))
	if err := h.D.Tamper("a test"); err != nil {
		t.Fatal(err)
	}
	wantTokenKeys(t, h.Options.Token)
	f := newTokenFactory(t)
	m := f.machine(t)
	if err := m.open(); err != nil {
		t.Fatal(err)
	}
	m.WalletOf(domaintest.InToken("sealed"))
	m.faults.FailAt(domaintest.StoreAppend, 1, domaintest.Before, false)
	if err := m.D.Tamper("a test"); err == nil {
		t.Error("nothing is said of the log")
	}
	wantTokenKeys(t, m.Options.Token)
}

// A rotation keeps the key, under the blob of the new epoch; one that is born on the way has both.
func TestRotationWithTokenKeys(t *testing.T) {
	t.Parallel()
	h := tokenDomain(t, domaintest.Options{Recovery: true, Memory: domaintest.NewMemory()})
	w := h.WalletOf(domaintest.InToken("first"))
	mustStep(t, h, request.EpochLoad)
	mustStep(t, h, request.EpochCommit)
	x := h.WalletOf(domaintest.InToken("second"))
	mustPay(t, h, "first", 0)
	mustStep(t, h, request.EpochActivate)
	mustPay(t, h, "first", 1)
	mustStep(t, h, request.EpochFinalize)
	h.Reopen()
	mustPay(t, h, "first", 2)
	mustPay(t, h, "second", 0)
	wantTokenKeys(t, h.Options.Token, w.Wallet.Key, x.Wallet.Key)
	h.Check()
}
