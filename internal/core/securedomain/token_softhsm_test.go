// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"strongroom/internal/core/auditlog/disk/disktest"
	"strongroom/internal/core/hsm"
	"strongroom/internal/core/hsm/pkcs11"
	"strongroom/internal/core/hsm/pkcs11/softhsmtest"
	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/secret"
)

const hsmPIN = "1234567890"

// softHSM is the library of this process, with the tokens one and two. It reads where they lie only once.
var softHSM = sync.OnceValues(func() (*pkcs11.Library, error) {
	memory := "/dev/shm" // SoftHSM flushes each object
	if _, err := os.Stat(memory); err != nil {
		memory = ""
	}
	dir, err := os.MkdirTemp(memory, "softhsm")
	if err != nil {
		return nil, err
	}
	hsmFolder = dir
	conf, err := softhsmtest.Configure(dir)
	if err != nil {
		return nil, err
	}
	if err := os.Setenv("SOFTHSM2_CONF", conf); err != nil {
		return nil, err
	}
	for _, label := range []string{"one", "two"} {
		if out, err := exec.Command("softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", "0987654321", "--pin", hsmPIN).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("softhsm2-util: %w: %s", err, out)
		}
	}
	path, err := softhsmtest.Find()
	if err != nil {
		return nil, err
	}
	arena, err := secret.NewArena(secret.Config{Size: 1 << 20})
	if err != nil {
		return nil, err
	}
	return pkcs11.Load(pkcs11.Config{Arena: arena, Path: path})
})

var hsmFolder string // of softHSM, once it is there

var hsmTurn sync.Mutex // held by the test that uses softHSM: its store of objects now and then fails where many write at once

// alone waits for the turn of a test.
func alone(t *testing.T) {
	hsmTurn.Lock()
	t.Cleanup(hsmTurn.Unlock)
}

func TestMain(m *testing.M) {
	code := m.Run()
	if hsmFolder != "" {
		os.RemoveAll(hsmFolder)
	}
	os.Exit(code)
}

// onToken makes roots on a token of SoftHSM.
func onToken(t testing.TB, label string) domaintest.RootMaker {
	t.Helper()
	lib, err := softHSM()
	if err != nil {
		t.Fatal(err)
	}
	return func(a *secret.Arena, dir string, create bool) (hsm.Root, func() error, error) {
		pin, err := secret.Take(a, []byte(hsmPIN))
		if err != nil {
			return nil, nil, err
		}
		defer pin.Wipe()
		open := lib.Open
		if create {
			open = lib.Create
		}
		r, err := open(context.Background(), pkcs11.RootConfig{Dir: dir, Token: label, PIN: pin})
		if err != nil {
			return nil, nil, err
		}
		return r, r.Close, nil
	}
}

// keysOn lists the keys that lie in the root of a harness, which is not open.
func keysOn(t testing.TB, h *domaintest.Harness) (ids []custody.KeyID) {
	t.Helper()
	a, err := secret.NewArena(secret.Config{Size: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	r, end, err := h.Options.Root(a, filepath.Join(h.Dir, "root"), false)
	if err == nil {
		ids, err = r.(hsm.TokenKeys).TokenKeyIDs(t.Context())
		err = errors.Join(err, end())
	}
	if err = errors.Join(err, a.Close()); err != nil {
		t.Fatal(err)
	}
	return ids
}

func walletKeys(t testing.TB, h *domaintest.Harness, wallets ...custody.WalletID) (out []custody.KeyID) {
	t.Helper()
	for _, id := range wallets {
		w, err := h.D.Wallet(id)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, w.Wallet.Key)
	}
	slices.Sort(out)
	return out
}

// A wallet on a real token: born, signing, told again after a restart, destroyed by zeroize.
func TestTokenWalletOnSoftHSM(t *testing.T) {
	t.Parallel()
	alone(t)
	h := domaintest.New(t, domaintest.Options{Root: onToken(t, "one"), Points: domaintest.TokenPoints()})
	h.WalletOf(domaintest.InToken("first"))
	h.WalletOf(domaintest.InToken("second"))
	mustPay(t, h, "first", 0)
	v := approvedTransfer(t, h, "second")
	one, err := h.D.Sign(context.Background(), v.ID, ethPayload(t, 1000, 0, 10))
	if err != nil {
		t.Fatal(err)
	}
	h.Reopen()
	if two, err := h.D.Sign(context.Background(), v.ID, nil); err != nil || !bytes.Equal(one.Bytes, two.Bytes) {
		t.Errorf("other bytes: %v", err)
	}
	mustPay(t, h, "first", 1)
	h.Check()
	want := walletKeys(t, h, "first", "second")
	h.Close()
	if got := keysOn(t, h); !slices.Equal(got, want) {
		t.Errorf("the token has %v, want %v", got, want)
	}
	h.Reopen()
	if _, err := h.Zeroize(h.Bob); err != nil {
		t.Fatal(err)
	}
	h.Close()
	if got := keysOn(t, h); len(got) != 0 {
		t.Errorf("after zeroize the token has %v", got)
	}
}

// A restore on another token of SoftHSM has the address, and says that the key is missing.
func TestRestoreOnAnotherSoftHSMToken(t *testing.T) {
	t.Parallel()
	alone(t)
	h := domaintest.New(t, domaintest.Options{Root: onToken(t, "one"), Points: domaintest.TokenPoints(), Recovery: true})
	w := h.WalletOf(domaintest.InToken("sealed"))
	f := domaintest.Folder{}
	m := mustBackUp(t, h, f)
	h.Close()
	n := h.NewMachine(false)
	n.Options.Root = onToken(t, "two")
	n.NewRoot()
	if err := n.Recover(m, 1); err != nil {
		t.Fatal(err)
	}
	if r, err := n.RestoreBackup(f, f.Newest()); err != nil || r.Tokens != 1 || r.Missing != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	n.Reopen()
	if addressOf(t, n, "sealed") != w.Address || n.D.Status().MissingKeys != 1 {
		t.Errorf("address %s, %d keys missing", addressOf(t, n, "sealed"), n.D.Status().MissingKeys)
	}
	_, err := paid(n, "sealed", 0)
	wantKind(t, "pay without the key", err, problem.Locked)
	n.Close()
	if got := keysOn(t, h); !slices.Equal(got, []custody.KeyID{w.Wallet.Key}) { // nobody has touched the first token
		t.Errorf("the first token has %v", got)
	}
}

// Every call to the token in the life of such a wallet fails, before and after its effect, and the process is killed there, or goes on; on SoftHSM.
func TestFaultWithTokenKeysOnSoftHSM(t *testing.T) {
	t.Parallel()
	alone(t)
	for _, op := range []domaintest.Op{domaintest.KeyMake, domaintest.KeySign, domaintest.RootSeal, domaintest.RootDestroy, domaintest.StoreAppend} {
		for _, when := range []domaintest.When{domaintest.Before, domaintest.After} {
			for _, crash := range []bool{true, false} {
				for n := 1; n <= 2; n++ {
					t.Run(fmt.Sprintf("%s %d %s crash=%v", op, n, when, crash), func(t *testing.T) {
						surviveOnSoftHSM(t, op, n, when, crash)
					})
				}
			}
		}
	}
}

func surviveOnSoftHSM(t *testing.T, op domaintest.Op, n int, when domaintest.When, crash bool) {
	m := &machine{log: disktest.New(), anchor: disktest.New(), faults: &domaintest.Faults{}}
	m.Harness = domaintest.New(t, domaintest.Options{Document: withBank, SnapshotEvery: 6, TakeOver: true, Faults: m.faults, Log: m.log, Anchor: m.anchor,
		Memory: domaintest.NewMemory(), Root: onToken(t, "one"), Points: domaintest.TokenPoints()})
	s := newStory(m.Harness, request.SchemeP2TR)
	s.token = domaintest.NewToken() // tells the story; its token is another
	m.faults.FailAt(op, n, when, crash)
	done := false
	for try := 0; !done && try < 8; try++ {
		before := m.faults.Struck()
		err := m.open()
		if err == nil {
			err = s.tell()
		}
		if done = err == nil; !done {
			explained(t, m, err)
		}
		if strikes := m.faults.Struck() && !before; m.D == nil || strikes && crash || m.D.Cause() != nil {
			m.restart(s)
			done = false
		}
	}
	if !done {
		t.Fatal("the story does not come to its end")
	}
	m.faults.Disarm()
	m.restart(s)
	if err := m.open(); err != nil {
		t.Fatal(err)
	}
	if err := s.tell(); err != nil {
		t.Fatal(err)
	}
	s.holds()
	if st := m.D.Status(); st.MissingKeys != 0 || len(st.Notes) != 0 {
		t.Errorf("%d keys are missing, notes %q", st.MissingKeys, st.Notes)
	}
	want := walletKeys(t, m.Harness, "hot", "second")
	m.Close()
	if got := keysOn(t, m.Harness); !slices.Equal(got, want) {
		t.Errorf("the token has %v, the log names %v", got, want)
	}
	wantLabels(t, m.Harness, "dwk-1", "identity")
}
