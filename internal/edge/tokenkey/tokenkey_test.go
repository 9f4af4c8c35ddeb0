// SPDX-License-Identifier: Apache-2.0

package tokenkey_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	p11 "github.com/miekg/pkcs11"

	"strongroom/internal/core/hsm/pkcs11/softhsmtest"
	"strongroom/internal/edge/keyfile"
	"strongroom/internal/edge/tokenkey"
	"strongroom/internal/pure/request"
	"strongroom/internal/secret"
	"strongroom/internal/secret/secrettest"
)

const userPIN = "123456"

// made is a key that a test makes in a token.
type made struct {
	label  string
	id     byte
	curve  []byte // CKA_EC_PARAMS
	gen    uint
	always bool
	hidden bool // without a public key object
}

var (
	p256    = []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}
	ed25519 = append([]byte{0x13, 0x0c}, "edwards25519"...)
	p384    = []byte{0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22}
)

const (
	genEC = p11.CKM_EC_KEY_PAIR_GEN
	genEd = 0x1055 // CKM_EC_EDWARDS_KEY_PAIR_GEN
)

// store makes tokens in a temporary folder, each with the keys, and gives the library.
func store(t *testing.T, tokens []string, keys ...made) string {
	t.Helper()
	s := softhsmtest.New(t)
	t.Setenv("SOFTHSM2_CONF", s.Conf)
	for _, name := range tokens {
		s.Token(t, name, userPIN)
	}
	ctx := p11.New(s.Library)
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ok(ctx.Initialize())
	defer ctx.Destroy()
	defer func() { ok(ctx.Finalize()) }()
	slots, err := ctx.GetSlotList(true)
	ok(err)
	for _, slot := range slots {
		if i, err := ctx.GetTokenInfo(slot); err != nil || i.Flags&p11.CKF_TOKEN_INITIALIZED == 0 {
			continue
		}
		session, err := ctx.OpenSession(slot, p11.CKF_SERIAL_SESSION|p11.CKF_RW_SESSION)
		ok(err)
		ok(ctx.Login(session, p11.CKU_USER, userPIN))
		for _, k := range keys {
			id, label := p11.NewAttribute(p11.CKA_ID, []byte{k.id}), p11.NewAttribute(p11.CKA_LABEL, k.label)
			pub, _, err := ctx.GenerateKeyPair(session, []*p11.Mechanism{p11.NewMechanism(k.gen, nil)},
				[]*p11.Attribute{p11.NewAttribute(p11.CKA_EC_PARAMS, k.curve), p11.NewAttribute(p11.CKA_TOKEN, true), p11.NewAttribute(p11.CKA_VERIFY, true), label, id},
				[]*p11.Attribute{p11.NewAttribute(p11.CKA_TOKEN, true), p11.NewAttribute(p11.CKA_PRIVATE, true), p11.NewAttribute(p11.CKA_SENSITIVE, true),
					p11.NewAttribute(p11.CKA_EXTRACTABLE, false), p11.NewAttribute(p11.CKA_SIGN, true), p11.NewAttribute(p11.CKA_ALWAYS_AUTHENTICATE, k.always), label, id})
			ok(err)
			if k.hidden {
				ok(ctx.DestroyObject(session, pub))
			}
		}
		ok(ctx.Logout(session))
		ok(ctx.CloseSession(session))
	}
	return s.Library
}

// pin answers the question for the PIN.
func pin(t *testing.T, a *secret.Arena, text string) func(string) (secret.Bytes, error) {
	return func(string) (secret.Bytes, error) { t.Helper(); return secret.Take(a, []byte(text)) }
}

// TestSigns: keys of both kinds sign as approval keys do, also one that wants its PIN each time.
func TestSigns(t *testing.T) {
	lib := store(t, []string{"card"}, made{"sign", 1, p256, genEC, false, false}, made{"always", 2, p256, genEC, true, false}, made{"edwards", 3, ed25519, genEd, false, false},
		made{"large", 4, p384, genEC, false, false}, made{"bare", 5, p256, genEC, false, true})
	a := secrettest.Arena(t)
	for label, alg := range map[string]request.Algorithm{"sign": request.P256, "always": request.P256, "edwards": request.Ed25519} {
		u, err := tokenkey.Parse("pkcs11:token=card;object=" + label + "?module-path=" + lib)
		if err != nil {
			t.Fatal(err)
		}
		d, err := tokenkey.Open(a, u, pin(t, a, userPIN))
		if err != nil {
			t.Fatalf("%s: %v", label, err)
		}
		if d.Public().Alg != alg || d.Public().Check() != nil {
			t.Errorf("%s: public key %+v", label, d.Public())
		}
		k, err := keyfile.Elsewhere(keyfile.NewPersonID(), d)
		if err != nil {
			t.Fatal(err)
		}
		for _, message := range []string{"", "one", "two"} {
			sig, err := k.Sign([]byte(message))
			if err != nil || !k.Public().Verify([]byte(message), sig) {
				t.Errorf("%s: signature %x, %v", label, sig, err)
			}
		}
		if err := k.WritePlainUnsafe(filepath.Join(t.TempDir(), "x.key")); err == nil {
			t.Errorf("%s: a key that is in a token was written to a file", label)
		}
		again := d.URI()
		k.Wipe()
		k.Wipe()
		if _, err := k.Sign([]byte("x")); !errors.Is(err, tokenkey.ErrToken) {
			t.Errorf("%s: closed, it signs: %v", label, err)
		}
		if again.Serial == "" || len(again.ID) != 1 {
			t.Errorf("%s: found as %s", label, again)
		}
		again.Object = ""
		if d, err = tokenkey.Open(a, again, pin(t, a, userPIN)); err != nil {
			t.Errorf("%s: not found again as %s: %v", label, again, err)
			continue
		}
		d.Close()
	}
	for label, want := range map[string]error{"large": tokenkey.ErrNotFound, "bare": tokenkey.ErrNotFound, "none": tokenkey.ErrNotFound, "": tokenkey.ErrAmbiguous} {
		_, err := tokenkey.Open(a, tokenkey.URI{Token: "card", Object: label, Module: lib}, pin(t, a, userPIN))
		if !errors.Is(err, want) {
			t.Errorf("key %q: got error %v, want %v", label, err, want)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	lib := store(t, []string{"one", "two"}, made{"key", 1, p256, genEC, false, false})
	a := secrettest.Arena(t)
	for name, c := range map[string]struct {
		uri  tokenkey.URI
		pin  string
		want error
	}{
		"two tokens":    {tokenkey.URI{Module: lib}, userPIN, tokenkey.ErrAmbiguous},
		"no such token": {tokenkey.URI{Module: lib, Token: "three"}, userPIN, tokenkey.ErrNotFound},
		"no such model": {tokenkey.URI{Module: lib, Token: "one", Model: "other"}, userPIN, tokenkey.ErrNotFound},
		"no library":    {tokenkey.URI{Token: "one"}, userPIN, tokenkey.ErrNotFound},
		"wrong library": {tokenkey.URI{Token: "one", Module: "/nowhere.so"}, userPIN, tokenkey.ErrNotFound},
		"wrong PIN":     {tokenkey.URI{Module: lib, Token: "one"}, "000000", tokenkey.ErrPIN},
		"another id":    {tokenkey.URI{Module: lib, Token: "one", ID: []byte{9}}, userPIN, tokenkey.ErrNotFound},
	} {
		_, err := tokenkey.Open(a, c.uri, pin(t, a, c.pin))
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got error %v, want %v", name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), c.pin) {
			t.Errorf("%s: the PIN is in %v", name, err)
		}
	}
	if _, err := tokenkey.Open(a, tokenkey.URI{Module: lib, Token: "one"}, func(label string) (secret.Bytes, error) {
		if label != "one" {
			t.Errorf("asked for the PIN of %q", label)
		}
		return secret.Bytes{}, os.ErrClosed
	}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("nobody gave a PIN: %v", err)
	}
}

func TestURI(t *testing.T) {
	t.Parallel()
	u, err := tokenkey.Parse("pkcs11:token=My%20card;serial=ab%3Bc;manufacturer=x;model=y;id=%01%ff;object=sign;type=private?module-path=/usr/lib/x.so&pin-source=file:/run/pin&x-person=p_aaaaaaaaaaaaaaaa")
	if err != nil {
		t.Fatal(err)
	}
	if u.Token != "My card" || u.Serial != "ab;c" || string(u.ID) != "\x01\xff" || u.Object != "sign" || u.Module != "/usr/lib/x.so" || u.PINFile != "/run/pin" || u.Person == "" {
		t.Errorf("read as %+v", u)
	}
	if again, err := tokenkey.Parse(u.String()); err != nil || again.String() != u.String() || again.Token != u.Token || string(again.ID) != string(u.ID) {
		t.Errorf("%s is read as %+v, %v", u, again, err)
	}
	if !tokenkey.Is("pkcs11:") || tokenkey.Is("alice.key") {
		t.Error("a file is taken for a URI, or a URI for a file")
	}
	for _, s := range []string{"", "alice.key", "pkcs11:token", "pkcs11:token=", "pkcs11:token=%zz", "pkcs11:token=a;token=b", "pkcs11:slot-id=1", "pkcs11:type=public", "pkcs11:token=a?pin-value=1234",
		"pkcs11:token=a?module-name=x", "pkcs11:token=a?pin-source=|cat", "pkcs11:token=a?x-person=alice", "pkcs11:token=a;", "pkcs11:token=" + strings.Repeat("a", 3000)} {
		if u, err := tokenkey.Parse(s); err == nil {
			t.Errorf("%q was read as %+v", s, u)
		} else if strings.Contains(err.Error(), "1234") {
			t.Errorf("the PIN is in %v", err)
		}
	}
}

// FuzzURI: what is read is written so that it is read again as the same.
func FuzzURI(f *testing.F) {
	f.Add("pkcs11:token=a;object=b%20c?module-path=/x&pin-source=file:///y")
	f.Fuzz(func(t *testing.T, s string) {
		u, err := tokenkey.Parse(s)
		if err != nil {
			return
		}
		again, err := tokenkey.Parse(u.String())
		if len(u.String()) <= 2048 && (err != nil || again.String() != u.String()) {
			t.Fatalf("%q is written as %q, which is read as %+v, %v", s, u, again, err)
		}
	})
}
