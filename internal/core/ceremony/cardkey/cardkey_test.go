// SPDX-License-Identifier: Apache-2.0

package cardkey_test

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	p11 "github.com/miekg/pkcs11"

	"strongroom/internal/core/ceremony"
	"strongroom/internal/core/ceremony/cardkey"
	"strongroom/internal/secret"
	"strongroom/internal/secret/secrettest"
)

const (
	soPIN   = "87654321"
	userPIN = "123456"
)

// library finds SoftHSM.
func library(t *testing.T) string {
	t.Helper()
	paths := []string{"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so", "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so"}
	i := slices.IndexFunc(paths, func(p string) bool { _, err := os.Stat(p); return err == nil })
	if i < 0 {
		t.Fatal("SoftHSM is not installed; install it with: apt-get install softhsm2")
	}
	return paths[i]
}

// token makes a store of tokens in a temporary folder with one token for each name, and in each a P-256 key of each label.
func token(t *testing.T, names []string, labels ...string) string {
	t.Helper()
	lib := library(t)
	dir := t.TempDir()
	conf := filepath.Join(dir, "softhsm2.conf")
	if err := os.WriteFile(conf, []byte("directories.tokendir = "+dir+"\nobjectstore.backend = file\nlog.level = ERROR\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", conf)
	ctx := p11.New(lib)
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ok(ctx.Initialize())
	defer ctx.Destroy()
	defer func() { ok(ctx.Finalize()) }()
	for _, name := range names {
		slots, err := ctx.GetSlotList(true)
		ok(err)
		slot := slots[len(slots)-1] // the one that is still empty
		ok(ctx.InitToken(slot, soPIN, name))
		slots, err = ctx.GetSlotList(true)
		ok(err)
		for _, s := range slots {
			if info, err := ctx.GetTokenInfo(s); err == nil && info.Label == name {
				slot = s
			}
		}
		session, err := ctx.OpenSession(slot, p11.CKF_SERIAL_SESSION|p11.CKF_RW_SESSION)
		ok(err)
		ok(ctx.Login(session, p11.CKU_SO, soPIN))
		ok(ctx.InitPIN(session, userPIN))
		ok(ctx.Logout(session))
		ok(ctx.Login(session, p11.CKU_USER, userPIN))
		for i, label := range labels {
			id := p11.NewAttribute(p11.CKA_ID, []byte{byte(i + 1)})
			_, _, err := ctx.GenerateKeyPair(session, []*p11.Mechanism{p11.NewMechanism(p11.CKM_EC_KEY_PAIR_GEN, nil)},
				[]*p11.Attribute{p11.NewAttribute(p11.CKA_EC_PARAMS, []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}),
					p11.NewAttribute(p11.CKA_TOKEN, true), p11.NewAttribute(p11.CKA_LABEL, label), id},
				[]*p11.Attribute{p11.NewAttribute(p11.CKA_TOKEN, true), p11.NewAttribute(p11.CKA_PRIVATE, true), p11.NewAttribute(p11.CKA_SENSITIVE, true),
					p11.NewAttribute(p11.CKA_EXTRACTABLE, false), p11.NewAttribute(p11.CKA_DERIVE, true), p11.NewAttribute(p11.CKA_LABEL, label), id})
			ok(err)
		}
		ok(ctx.Logout(session))
		ok(ctx.CloseSession(session))
	}
	return lib
}

func pin(t *testing.T, a *secret.Arena, text string) secret.Bytes {
	t.Helper()
	s, err := secret.Take(a, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Wipe)
	return s
}

type system struct{}

func (system) Name() string { return "system" }

func (system) Read(_ context.Context, b []byte) error { _, err := rand.Read(b); return err }

// TestShareOnAToken: shares are sealed to keys in a token, opened by it, and bring the recovery key back.
func TestShareOnAToken(t *testing.T) {
	lib := token(t, []string{"cards"}, "ada", "ben")
	a := secrettest.Arena(t)
	layout := ceremony.Layout{Threshold: 2}
	for _, name := range []string{"ada", "ben"} {
		k, err := cardkey.Open(cardkey.Config{Library: lib, Token: "cards", Key: name}, pin(t, a, userPIN))
		if err != nil {
			t.Fatal(err)
		}
		to, err := ceremony.P256Recipient(k.PublicKey())
		if err != nil {
			t.Fatal(err)
		}
		k.Close()
		k.Close()
		if _, err := k.ECDH(k.PublicKey()); !errors.Is(err, cardkey.ErrToken) {
			t.Errorf("after closing: got error %v", err)
		}
		again, err := ceremony.ParseRecipient(to.String())
		if err != nil || again.String() != to.String() {
			t.Errorf("recipient %s is read as %s (err %v)", to, again, err)
		}
		layout.Custodians = append(layout.Custodians, ceremony.Custodian{Name: name, Recipient: again})
	}
	draw, err := ceremony.Begin(t.Context(), ceremony.Config{Arena: a, Ceremony: [32]byte{1}, Sources: []ceremony.Source{system{}}})
	if err != nil {
		t.Fatal(err)
	}
	made, err := draw.Make([32]byte{2}, layout)
	if err != nil {
		t.Fatal(err)
	}
	load, err := ceremony.NewLoad(a, [32]byte{3}, ceremony.Expect{Sharing: made.Commitments.Hash(), Recovery: sha256.Sum256(made.Recovery)})
	if err != nil {
		t.Fatal(err)
	}
	defer load.Close()
	for i, s := range made.Shares {
		k, err := cardkey.Open(cardkey.Config{Library: lib, Key: s.Custodian}, pin(t, a, userPIN))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ceremony.OpenShare(a, made.Shares[1-i].Sealed, ceremony.P256Opener(k)); !errors.Is(err, ceremony.ErrOpen) {
			t.Errorf("%s opens another's share: got error %v", s.Custodian, err)
		}
		o, err := ceremony.OpenShare(a, s.Sealed, ceremony.P256Opener(k))
		k.Close()
		if err != nil {
			t.Fatal(err)
		}
		part, err := o.HandIn(load.Importer())
		o.Wipe()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := load.Add(part); err != nil {
			t.Fatal(err)
		}
	}
	key, err := load.Restore()
	if err != nil {
		t.Fatal(err)
	}
	key.Wipe()
}

func TestOpenRefuses(t *testing.T) {
	lib := token(t, []string{"one", "two"}, "ada", "ben")
	a := secrettest.Arena(t)
	for name, tt := range map[string]struct {
		cfg  cardkey.Config
		pin  string
		want error
	}{
		"no library":      {cardkey.Config{}, userPIN, cardkey.ErrNotFound},
		"another library": {cardkey.Config{Library: "/nowhere/lib.so"}, userPIN, cardkey.ErrNotFound},
		"two tokens":      {cardkey.Config{Library: lib, Key: "ada"}, userPIN, cardkey.ErrAmbiguous},
		"no such token":   {cardkey.Config{Library: lib, Token: "three"}, userPIN, cardkey.ErrNotFound},
		"two keys":        {cardkey.Config{Library: lib, Token: "one"}, userPIN, cardkey.ErrAmbiguous},
		"no such key":     {cardkey.Config{Library: lib, Token: "one", Key: "eve"}, userPIN, cardkey.ErrNotFound},
		"wrong PIN":       {cardkey.Config{Library: lib, Token: "one", Key: "ada"}, "000000", cardkey.ErrPIN},
	} {
		k, err := cardkey.Open(tt.cfg, pin(t, a, tt.pin))
		if err == nil {
			k.Close()
		}
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: got error %v, want %v", name, err, tt.want)
		}
	}
	k, err := cardkey.Open(cardkey.Config{Library: lib, Token: "two", Key: "ben"}, pin(t, a, userPIN))
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	x, err := ecdh.P384().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.ECDH(x.PublicKey()); !errors.Is(err, cardkey.ErrToken) {
		t.Errorf("a key of another curve: got error %v", err)
	}
}
