// SPDX-License-Identifier: Apache-2.0

package pkcs11

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	p11 "github.com/miekg/pkcs11"

	"strongroom/internal/core/durable"
	"strongroom/internal/core/durable/durabletest"
	"strongroom/internal/core/hsm"
)

// TestExtraction tries to get keys out of the token, as somebody would who has the PIN and the library.
func TestExtraction(t *testing.T) {
	t.Parallel()
	b := softHSM(t)
	l := b.library(t, nil)
	r := mustCreate(t, l, durable.OS(), config(t, l, b.token(t)))
	if err := r.Seal(t.Context(), "identity", nil, take(t, l, "the secret")); err != nil {
		t.Fatal(err)
	}
	if r.record.KWP != p11.CKM_AES_KEY_WRAP_PAD {
		t.Errorf("SoftHSM wraps with %#x", r.record.KWP)
	}
	err := r.token.do(t.Context(), "attack", func(_ module, s p11.SessionHandle) error {
		m := b.mod // has more calls than a root needs
		p, ok, err := r.lookup(m, s, "identity")
		if err != nil || !ok {
			return errors.Join(err, errors.New("no keys"))
		}
		wrap, err := r.wrapKey(m, s)
		if err != nil {
			return err
		}
		counts, err := r.own(m, s, roleCount)
		if err != nil {
			return err
		}
		names := []string{"seal", "mac", "wrap", "count"}
		for i, key := range []p11.ObjectHandle{p.seal, p.mac, wrap, counts[0].handle} {
			if v, err := attribute(m, s, key, p11.CKA_VALUE); err == nil && len(v) > 0 {
				t.Errorf("%s: its value was given", names[i])
			}
			for _, mech := range []uint{p11.CKM_AES_KEY_WRAP_PAD, p11.CKM_AES_KEY_WRAP, ckmAESKeyWrapKWP} {
				if _, err := m.WrapKey(s, []*p11.Mechanism{p11.NewMechanism(mech, nil)}, wrap, key); err == nil {
					t.Errorf("%s: wrapped with %#x", names[i], mech)
				}
			}
			for _, weaker := range [][]*p11.Attribute{{attr(p11.CKA_EXTRACTABLE, true)}, {attr(p11.CKA_SENSITIVE, false)}, {attr(p11.CKA_TOKEN, false)}, {attr(p11.CKA_WRAP, true), attr(p11.CKA_DECRYPT, true)}} {
				if _, err := m.CopyObject(s, key, weaker); err == nil {
					t.Errorf("%s: copied with attribute %#x", names[i], weaker[0].Type)
				}
				if err := m.SetAttributeValue(s, key, weaker); err == nil {
					t.Errorf("%s: changed attribute %#x", names[i], weaker[0].Type)
				}
			}
			if err := m.SetAttributeValue(s, key, []*p11.Attribute{attr(p11.CKA_ID, []byte("another"))}); err == nil {
				t.Errorf("%s: renamed", names[i])
			}
			allowed, err := attribute(m, s, key, p11.CKA_ALLOWED_MECHANISMS)
			if err != nil || len(allowed) == 0 {
				t.Errorf("%s: allowed mechanisms %x and error %v", names[i], allowed, err)
			}
		}
		gcm, cbc := p11.NewGCMParams(make([]byte, ivSize), nil, 128), make([]byte, 16)
		defer gcm.Free()
		for what, err := range map[string]error{
			"wrap key encrypts":           m.EncryptInit(s, []*p11.Mechanism{p11.NewMechanism(p11.CKM_AES_GCM, gcm)}, wrap),
			"wrap key decrypts":           m.DecryptInit(s, []*p11.Mechanism{p11.NewMechanism(p11.CKM_AES_CBC, cbc)}, wrap),
			"mac key encrypts":            m.EncryptInit(s, []*p11.Mechanism{p11.NewMechanism(p11.CKM_AES_GCM, gcm)}, p.mac),
			"seal key signs":              m.SignInit(s, []*p11.Mechanism{p11.NewMechanism(p11.CKM_AES_CMAC, nil)}, p.seal),
			"seal key decrypts otherwise": m.DecryptInit(s, []*p11.Mechanism{p11.NewMechanism(p11.CKM_AES_CBC, cbc)}, p.seal),
			"seal key encrypts otherwise": m.EncryptInit(s, []*p11.Mechanism{p11.NewMechanism(p11.CKM_AES_ECB, nil)}, p.seal),
		} {
			if err == nil {
				t.Error(what)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestSnapshot puts the files of before a Destroy back.
func TestSnapshot(t *testing.T) {
	t.Parallel()
	b := softHSM(t)
	l := b.library(t, nil)
	cfg := config(t, l, b.token(t))
	r := mustCreate(t, l, durable.OS(), cfg)
	for _, label := range []string{"dwk-1", "identity"} {
		if err := r.Seal(t.Context(), label, nil, take(t, l, "the secret")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.IncrementCounter(t.Context()); err != nil {
		t.Fatal(err)
	}
	snapshot := filepath.Join(t.TempDir(), "snapshot")
	if err := os.CopyFS(snapshot, os.DirFS(cfg.Dir)); err != nil {
		t.Fatal(err)
	}
	restore := func() {
		t.Helper()
		if err := errors.Join(os.RemoveAll(cfg.Dir), os.CopyFS(cfg.Dir, os.DirFS(snapshot))); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Destroy(t.Context(), "dwk-1"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.IncrementCounter(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(cfg.Dir, "dwk-1"+ending)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file was not erased: %v", err)
	}
	restore()
	old := mustOpen(t, l, durable.OS(), cfg)
	if _, _, err := old.Unseal(t.Context(), "dwk-1"); !errors.Is(err, hsm.ErrNotFound) {
		t.Errorf("a destroyed label, from an older file: got error %v", err)
	}
	if s, err := old.Status(t.Context()); err != nil || !slices.Equal(s.Labels, []string{"identity"}) {
		t.Errorf("status lists %v and error %v", s.Labels, err)
	}
	if _, err := old.ReadCounter(t.Context()); !errors.Is(err, hsm.ErrAltered) {
		t.Errorf("an older counter: got error %v", err)
	}
	if _, err := old.IncrementCounter(t.Context()); !errors.Is(err, hsm.ErrAltered) {
		t.Errorf("an older counter: got error %v", err)
	}
	_, plain, err := old.Unseal(t.Context(), "identity")
	if err != nil {
		t.Fatal(err)
	}
	plain.Wipe()
	// The label is sealed anew: the older file belongs to keys that are gone.
	if err := old.Seal(t.Context(), "dwk-1", nil, take(t, l, "another")); err != nil {
		t.Fatal(err)
	}
	restore()
	if _, _, err := old.Unseal(t.Context(), "dwk-1"); !errors.Is(err, hsm.ErrAltered) {
		t.Errorf("the older file with newer keys: got error %v", err)
	}
}

// TestHiddenFile moves a file away before the label is destroyed, and back: the label is not listed meanwhile, and destroyed all the same.
func TestHiddenFile(t *testing.T) {
	t.Parallel()
	b := softHSM(t)
	l := b.library(t, nil)
	cfg := config(t, l, b.token(t))
	r := mustCreate(t, l, durable.OS(), cfg)
	if err := r.Seal(t.Context(), "dwk-1", nil, take(t, l, "the secret")); err != nil {
		t.Fatal(err)
	}
	file, hidden := filepath.Join(cfg.Dir, "dwk-1"+ending), filepath.Join(t.TempDir(), "hidden")
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
	if _, _, err := r.Unseal(t.Context(), "dwk-1"); !errors.Is(err, hsm.ErrNotFound) {
		t.Errorf("the file is back: got error %v", err)
	}
}

// TestExchange puts files in each other's place: of another label, another root on the same token, another token.
func TestExchange(t *testing.T) {
	t.Parallel()
	b := softHSM(t)
	l := b.library(t, nil)
	disk := durabletest.New()
	first, second := b.token(t), b.token(t)
	pin := take(t, l, rightPIN)
	roots := map[string]*Root{}
	for dir, label := range map[string]string{"/one": first, "/two": first, "/three": second} {
		r := mustCreate(t, l, disk, RootConfig{Dir: dir, Token: label, PIN: pin})
		roots[dir] = r
		for _, label := range []string{"dwk-1", "dwk-2"} {
			if err := r.Seal(t.Context(), label, nil, take(t, l, "a working key")); err != nil {
				t.Fatal(err)
			}
		}
	}
	one := roots["/one"]
	read := func(path string) []byte {
		t.Helper()
		out, err := disk.Read(path, maxFile)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	own := read("/one/dwk-1.sealed")
	for _, from := range []string{"/one/dwk-2.sealed", "/two/dwk-1.sealed", "/three/dwk-1.sealed", "/one/counter.pkcs11", "/one/root.pkcs11"} {
		if err := durable.Replace(disk, "/one/dwk-1.sealed", read(from)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := one.Unseal(t.Context(), "dwk-1"); !errors.Is(err, hsm.ErrAltered) {
			t.Errorf("%s in its place: got error %v", from, err)
		} else if from == "/one/dwk-2.sealed" && !strings.Contains(err.Error(), `under label "dwk-2"`) {
			t.Errorf("the error doesn't say what it is: %v", err)
		}
	}
	if err := durable.Replace(disk, "/one/dwk-1.sealed", own); err != nil {
		t.Fatal(err)
	}
	_, plain, err := one.Unseal(t.Context(), "dwk-1")
	if err != nil {
		t.Fatal(err)
	}
	plain.Wipe()
	if _, err := l.openRoot(t.Context(), disk, RootConfig{Dir: "/one", Token: second, PIN: pin}); !errors.Is(err, ErrOtherToken) {
		t.Errorf("another token: got error %v", err)
	}
	// Even where the file says so: the token holds nothing of the root.
	rec, err := readRecord(disk, "/one")
	if err != nil {
		t.Fatal(err)
	}
	rec.Serial = roots["/three"].record.Serial
	if err := durable.Replace(disk, "/one/"+rootFile, encodeRecord(rec)); err != nil {
		t.Fatal(err)
	}
	if _, err := l.openRoot(t.Context(), disk, RootConfig{Dir: "/one", Token: second, PIN: pin}); !errors.Is(err, hsm.ErrAltered) {
		t.Errorf("another token, and the file says so: got error %v", err)
	}
	for _, name := range []string{"/two/counter.pkcs11", "/three/counter.pkcs11"} {
		if err := durable.Replace(disk, "/one/counter.pkcs11", read(name)); err != nil {
			t.Fatal(err)
		}
		if _, err := one.ReadCounter(t.Context()); !errors.Is(err, hsm.ErrAltered) {
			t.Errorf("%s in its place: got error %v", name, err)
		}
	}
}

// TestEveryBit changes each bit of each file of a root.
func TestEveryBit(t *testing.T) {
	t.Parallel()
	b := softHSM(t)
	l := b.library(t, nil)
	disk := durabletest.New()
	cfg := RootConfig{Dir: "/root", Token: b.token(t), PIN: take(t, l, rightPIN)}
	r := mustCreate(t, l, disk, cfg)
	if err := r.Seal(t.Context(), "identity", []byte("header"), take(t, l, "the identity")); err != nil {
		t.Fatal(err)
	}
	for _, f := range []struct {
		name string
		use  func() error
	}{
		{counterFile, func() error { _, err := r.ReadCounter(t.Context()); return err }},
		{"identity.sealed", func() error {
			_, plain, err := r.Unseal(t.Context(), "identity")
			plain.Wipe()
			return err
		}},
	} {
		path := "/root/" + f.name
		content, err := disk.Read(path, maxFile)
		if err != nil {
			t.Fatal(err)
		}
		for bit := range len(content) * 8 {
			disk.Flip(path, bit)
			if err := f.use(); !errors.Is(err, hsm.ErrAltered) {
				t.Fatalf("%s, bit %d of byte %d: got error %v", f.name, bit%8, bit/8, err)
			}
			disk.Flip(path, bit)
		}
		if err := f.use(); err != nil {
			t.Fatalf("%s restored: %v", f.name, err)
		}
	}
	// root.pkcs11: each bit counts, but for the label, which is for people, and the mechanism that wraps, last: with another one nothing is unwrapped.
	content, err := disk.Read("/root/"+rootFile, maxFile)
	if err != nil {
		t.Fatal(err)
	}
	label := bytes.Index(content, []byte(cfg.Token))
	for bit := range len(content) * 8 {
		if at := bit / 8; at >= label && at < label+len(cfg.Token) || at == len(content)-1 {
			continue
		}
		disk.Flip("/root/"+rootFile, bit)
		again, err := l.openRoot(t.Context(), disk, cfg)
		if !errors.Is(err, hsm.ErrAltered) && !errors.Is(err, ErrOtherToken) && !errors.Is(err, ErrUnlock) {
			t.Errorf("%s, bit %d of byte %d: got error %v", rootFile, bit%8, bit/8, err)
			if err == nil {
				closeRoot(t, again)
			}
		}
		disk.Flip("/root/"+rootFile, bit)
	}
}
