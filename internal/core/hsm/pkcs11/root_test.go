// SPDX-License-Identifier: Apache-2.0

package pkcs11

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	p11 "github.com/miekg/pkcs11"

	"strongroom/internal/core/durable"
	"strongroom/internal/core/durable/durabletest"
	"strongroom/internal/core/hsm"
	"strongroom/internal/pure/canon"
	"strongroom/internal/secret"
	"strongroom/internal/secret/secrettest"
)

func encodeRecord(r rootRecord) []byte { return canon.Encode(r) }

func TestLoad(t *testing.T) {
	t.Parallel()
	softHSM(t)
	a := secrettest.Arena(t)
	none := filepath.Join(t.TempDir(), "none.so")
	if err := os.WriteFile(none, []byte("not a library"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ path, says string }{
		{"", "must be given"},
		{"libsofthsm2.so", "absolute path"},
		{"/nonexistent/lib.so", "/nonexistent/lib.so"},
		{none, "none.so"},
		{"/lib/x86_64-linux-gnu/libm.so.6", "no function list"},
	} {
		if strings.HasPrefix(tt.path, "/lib/") {
			if _, err := os.Stat(tt.path); err != nil {
				continue // another machine's folders
			}
		}
		l, err := Load(Config{Arena: a, Path: tt.path})
		if err == nil || !strings.Contains(err.Error(), tt.says) || l != nil {
			t.Errorf("%q: got %v and error %v", tt.path, l, err)
		}
	}
	path := softHSM(t).path
	if _, err := Load(Config{Arena: a, Path: path, Timeout: -1}); err == nil {
		t.Error("a negative timeout was taken")
	}
	// The shared one is initialized in this process already.
	if _, err := Load(Config{Arena: a, Path: path}); err == nil || !strings.Contains(err.Error(), "share one Library") {
		t.Errorf("a second Library: got error %v", err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	b := softHSM(t)
	l := b.library(t, nil)
	cfg := config(t, l, b.token(t))
	for _, bad := range []RootConfig{{}, {Dir: cfg.Dir, Token: cfg.Token}, {Dir: cfg.Dir, PIN: cfg.PIN}, {Token: cfg.Token, PIN: cfg.PIN}} {
		if _, err := l.Create(t.Context(), bad); err == nil {
			t.Errorf("created with %+v", bad)
		}
		if _, err := l.Open(t.Context(), bad); err == nil {
			t.Errorf("opened with %+v", bad)
		}
	}
	if _, err := l.Open(t.Context(), cfg); !errors.Is(err, ErrNoRoot) {
		t.Errorf("nothing there: got error %v", err)
	}
	if _, err := l.Create(t.Context(), RootConfig{Dir: cfg.Dir, Token: "no such token", PIN: cfg.PIN}); !errors.Is(err, ErrNoToken) || !strings.Contains(err.Error(), cfg.Token) {
		t.Errorf("no such token: got error %v", err)
	}
	r, err := l.Create(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Create(t.Context(), cfg); !errors.Is(err, ErrRootExists) {
		t.Errorf("created twice: got error %v", err)
	}
	for name, mode := range map[string]fs.FileMode{"": 0o700, rootFile: 0o600, counterFile: 0o600} {
		if info, err := os.Stat(filepath.Join(cfg.Dir, name)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%q: got mode %v and error %v, want %v", name, info.Mode(), err, mode)
		}
	}
	bySerial := cfg
	bySerial.Token = r.record.Serial
	closeRoot(t, mustOpen(t, l, durable.OS(), bySerial))
	closeRoot(t, r)
	closeRoot(t, r)
	for what, err := range map[string]error{
		"seal":     r.Seal(t.Context(), "a", nil, take(t, l, "x")),
		"destroy":  r.Destroy(t.Context(), "a"),
		"random":   r.Random(t.Context(), make([]byte, 1)),
		"key":      r.DestroyTokenKey(t.Context(), crashKey),
		"sign":     second(r.SignWithTokenKey(t.Context(), crashKey, hsm.Ed25519, nil, nil)),
		"wrapped":  second(r.GenerateWrappedKey(t.Context(), hsm.ECDSAP256)),
		"unwrap":   second(r.SignWithWrappedKey(t.Context(), hsm.WrappedKey{Algorithm: hsm.Ed25519, Wrapped: []byte{1}}, nil)),
		"counter":  second(r.ReadCounter(t.Context())),
		"labels":   second(r.Status(t.Context())),
		"generate": second(r.GenerateTokenKey(t.Context(), crashKey, hsm.Ed25519)),
	} {
		if !errors.Is(err, hsm.ErrClosed) {
			t.Errorf("%s after Close: got error %v", what, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestUnlockSecret(t *testing.T) {
	t.Parallel()
	b := softHSM(t)
	l := b.library(t, nil)
	disk := durabletest.New()
	cfg := RootConfig{Dir: "/root", Token: b.token(t), PIN: take(t, l, rightPIN), Unlock: take(t, l, strings.Repeat("u", MinUnlock))}
	short := cfg
	short.Unlock = take(t, l, strings.Repeat("u", MinUnlock-1))
	if _, err := l.create(t.Context(), disk, short); !errors.Is(err, ErrUnlock) {
		t.Errorf("short: got error %v", err)
	}
	r := mustCreate(t, l, disk, cfg)
	if err := r.Seal(t.Context(), "identity", nil, take(t, l, "the identity")); err != nil {
		t.Fatal(err)
	}
	without := cfg
	without.Unlock = secret.Bytes{}
	if _, err := l.openRoot(t.Context(), disk, without); !errors.Is(err, ErrUnlock) {
		t.Errorf("without: got error %v", err)
	}
	other := cfg
	other.Unlock = take(t, l, strings.Repeat("v", MinUnlock))
	o := mustOpen(t, l, disk, other)
	if _, _, err := o.Unseal(t.Context(), "identity"); !errors.Is(err, hsm.ErrAltered) || !strings.Contains(err.Error(), "unlock secret") {
		t.Errorf("another one: got error %v", err)
	}
	_, plain, err := mustOpen(t, l, disk, cfg).Unseal(t.Context(), "identity")
	if err != nil {
		t.Fatal(err)
	}
	plain.Wipe()
	without.Dir = "/without"
	mustCreate(t, l, disk, without)
	cfg.Dir = "/without"
	if _, err := l.openRoot(t.Context(), disk, cfg); !errors.Is(err, ErrUnlock) {
		t.Errorf("given and not wanted: got error %v", err)
	}
}

// TestCounter changes what is in the token, as somebody with its PIN can.
func TestCounter(t *testing.T) {
	t.Parallel()
	b := softHSM(t)
	l := b.library(t, nil)
	disk := durabletest.New()
	cfg := RootConfig{Dir: "/root", Token: b.token(t), PIN: take(t, l, rightPIN)}
	r := mustCreate(t, l, disk, cfg)
	for range 3 {
		if _, err := r.IncrementCounter(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	inToken := func(f func(m module, s p11.SessionHandle) error) {
		t.Helper()
		if err := r.token.do(t.Context(), "change", f); err != nil {
			t.Fatal(err)
		}
	}
	make := func(n uint64) {
		t.Helper()
		inToken(func(m module, s p11.SessionHandle) error {
			_, err := generateAES(m, s, roleCount, r.countID(n))
			return err
		})
	}
	drop := func(n uint64) {
		t.Helper()
		inToken(func(m module, s p11.SessionHandle) error {
			return destroy(m, s, p11.CKO_SECRET_KEY, roleCount, r.countID(n))
		})
	}
	want := func(what string, n uint64, wanted error) {
		t.Helper()
		if got, err := r.ReadCounter(t.Context()); !errors.Is(err, wanted) || got != n {
			t.Errorf("%s: got %d and error %v", what, got, err)
		}
	}
	want("at rest", 3, nil)
	make(4)
	want("an increment that was interrupted", 3, nil)
	make(5)
	want("a key too far", 0, hsm.ErrAltered)
	drop(5)
	make(2)
	inToken(func(m module, s p11.SessionHandle) error { return nil })
	want("an older key that was not destroyed", 3, nil)
	make(1)
	want("a key of long ago", 0, hsm.ErrAltered)
	drop(1)
	want("at rest again", 3, nil)
	drop(3)
	if _, _, err := r.Unseal(t.Context(), "identity"); !errors.Is(err, hsm.ErrNotFound) {
		t.Errorf("no file: got error %v", err)
	}
	want("no key", 0, hsm.ErrAltered)
	if _, err := l.openRoot(t.Context(), disk, cfg); !errors.Is(err, hsm.ErrAltered) {
		t.Errorf("open without a count key: got error %v", err)
	}
	make(3)
	want("a new key of the same number", 0, hsm.ErrAltered)
	drop(3)
	make(2)
	want("set back", 0, hsm.ErrAltered)
}

// TestObjectsGone removes keys of labels in the token.
func TestObjectsGone(t *testing.T) {
	t.Parallel()
	for _, gone := range [][]role{{roleSeal}, {roleMAC}, {roleSeal, roleMAC}} {
		b := softHSM(t)
		l := b.library(t, nil)
		r := mustCreate(t, l, durable.OS(), config(t, l, b.token(t)))
		if err := r.Seal(t.Context(), "dwk-1", nil, take(t, l, "first")); err != nil {
			t.Fatal(err)
		}
		err := r.token.do(t.Context(), "remove", func(m module, s p11.SessionHandle) error {
			for _, role := range gone {
				if err := destroy(m, s, p11.CKO_SECRET_KEY, role, r.labelID("dwk-1")); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := r.Unseal(t.Context(), "dwk-1"); !errors.Is(err, hsm.ErrNotFound) {
			t.Errorf("%v: got error %v", gone, err)
		}
		if s, err := r.Status(t.Context()); err != nil || len(s.Labels) != 0 {
			t.Errorf("%v: status %+v and error %v", gone, s, err)
		}
		if err := r.Seal(t.Context(), "dwk-1", nil, take(t, l, "second")); err != nil {
			t.Errorf("%v: seal anew: %v", gone, err)
		}
		err = r.token.do(t.Context(), "double", func(m module, s p11.SessionHandle) error {
			_, err := generateAES(m, s, roleMAC, r.labelID("dwk-1"))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := r.Unseal(t.Context(), "dwk-1"); !errors.Is(err, hsm.ErrAltered) {
			t.Errorf("two keys of one name: got error %v", err)
		}
	}
}

// TestTwoRoots has two roots on one token, by one library.
func TestTwoRoots(t *testing.T) {
	t.Parallel()
	b := softHSM(t)
	l := b.library(t, nil)
	label := b.token(t)
	one, two := config(t, l, label), config(t, l, label)
	r1, r2 := mustCreate(t, l, durable.OS(), one), mustCreate(t, l, durable.OS(), two)
	wrong := two
	wrong.PIN = take(t, l, "another PIN")
	if _, err := l.Open(t.Context(), wrong); !errors.Is(err, ErrWrongPIN) {
		t.Errorf("the token is logged in, the PIN is wrong: got error %v", err)
	}
	if err := os.Remove(filepath.Join(two.Dir, refusedFile)); err != nil {
		t.Error(err)
	}
	for _, r := range []*Root{r1, r2} {
		if err := r.Seal(t.Context(), "dwk-1", nil, take(t, l, r.dir)); err != nil {
			t.Fatal(err)
		}
	}
	if err := r1.Destroy(t.Context(), "dwk-1"); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err == nil {
		t.Error("the library was closed under its roots")
	}
	closeRoot(t, r1)
	_, plain, err := r2.Unseal(t.Context(), "dwk-1")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Wipe()
	if !plain.Equal(take(t, l, r2.dir)) {
		t.Error("another secret")
	}
	closeRoot(t, r2)
	if len(l.tokens) != 0 {
		t.Errorf("after the last root %d tokens are in use", len(l.tokens))
	}
}

// FuzzSealedFile: a file that is decoded has one encoding.
func FuzzSealedFile(f *testing.F) {
	f.Add(canon.Encode(sealedFile{Header: canon.Encode(sealedHeader{V: 1, Label: "a", Serial: "s"}), IV: make([]byte, ivSize), Part: make([]byte, partSize+tagSize), Envelope: []byte{1}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, h, err := decodeFile(b)
		if err != nil {
			if !errors.Is(err, hsm.ErrAltered) {
				t.Fatal(err)
			}
			return
		}
		if string(canon.Encode(file)) != string(b) || string(canon.Encode(h)) != string(file.Header) {
			t.Fatalf("two encodings of %x", b)
		}
	})
}

// FuzzRootFile: a file that is decoded has one encoding, and a mechanism that wraps.
func FuzzRootFile(f *testing.F) {
	f.Add(canon.Encode(rootRecord{V: 1, What: rootFile, Serial: "s", KWP: ckmAESKeyWrapKWP}))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRecord(b)
		if err != nil {
			if !errors.Is(err, hsm.ErrAltered) {
				t.Fatal(err)
			}
			return
		}
		if string(canon.Encode(r)) != string(b) || r.V != 1 || r.Serial == "" || r.KWP != 0 && r.KWP != ckmAESKeyWrapKWP && r.KWP != p11.CKM_AES_KEY_WRAP_PAD {
			t.Fatalf("decoded %+v from %x", r, b)
		}
	})
}
