// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/secret"
)

// signs is a call that signs with a key.
func signs(m uint64, key []byte) ep11.Call {
	return ep11.Call{Function: ep11.FnSignSingle, Mechanism: mech(m), Key: key, Data: make([]byte, 32)}
}

// kept requires so many keys to be kept open.
func (b *bench) kept(want int) {
	b.t.Helper()
	if n := b.env.Opened.Kept(); n != want {
		b.t.Errorf("%d keys are kept open, want %d", n, want)
	}
}

// A key is opened once and used again while its blob is the same, byte for byte; what it is and who may use it is asked in each call.
func TestOpenedKeysAreAskedAbout(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	session := b.must(ep11.Call{Function: ep11.FnLogin, Pin: []byte("a pin of the caller")}).Data
	key := b.generic(32, flags(ep11.CKA_SIGN), bytesOf(ep11.CKA_IBM_LOGIN_SESSION, string(session)))
	sk, _ := b.pair(ep11.OIDP256, flags(ep11.CKA_SIGN), flags(ep11.CKA_VERIFY))
	b.env.Opened.Forget()
	code := b.must(signs(ep11.CKM_SHA256_HMAC, key)).Data
	b.must(signs(ep11.CKM_ECDSA, sk))
	b.kept(2)
	hits := b.env.Opened.cache.Stats().Hits
	if again := b.must(signs(ep11.CKM_SHA256_HMAC, key)).Data; !bytes.Equal(again, code) {
		t.Error("the kept key is another one")
	}
	b.must(signs(ep11.CKM_ECDSA, sk))
	if n := b.env.Opened.cache.Stats().Hits - hits; n != 2 {
		t.Errorf("%d keys were found open, want 2", n)
	}
	for i := range key {
		if _, err := b.do(signs(ep11.CKM_SHA256_HMAC, flip(key, i))); err == nil {
			t.Fatalf("byte %d changed and still a key", i)
		}
	}
	b.kept(2)

	usual := b.env
	for name, c := range map[string]struct {
		change func(*Env)
		want   ep11.Code
	}{
		"another domain":              {func(e *Env) { e.Domain = [32]byte{9} }, ep11.CKR_IBM_BLOB_ERROR},
		"another working key":         {func(e *Env) { e.Current = epoch(t, e.Arena, 7) }, ep11.CKR_IBM_WKID_MISMATCH},
		"another epoch, same pattern": {func(e *Env) { x := *e.Current; x.Number = 7; e.Current = &x }, ep11.CKR_IBM_BLOB_ERROR},
		"a next epoch alone":          {func(e *Env) { e.Next, e.Current = e.Current, epoch(t, e.Arena, 7) }, ep11.CKR_IBM_WKID_MISMATCH},
		"no working key":              {func(e *Env) { e.Current = nil }, ep11.CKR_IBM_WK_NOT_INITIALIZED},
		"refused by the grant":        {func(e *Env) { e.Allow = func(Access) error { return ep11.CKR_IBM_STATIC_POLICY } }, ep11.CKR_IBM_STATIC_POLICY},
		"another parent key":          {func(e *Env) { x := *e.Current; x.Parent = b32(t, e.Arena, 7); e.Current = &x }, ep11.CKR_IBM_BLOB_ERROR},
	} {
		b.env = usual
		c.change(&b.env)
		if _, err := b.do(signs(ep11.CKM_ECDSA, sk)); codeOf(err) != c.want {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	b.env = usual
	b.kept(1) // not the one that the grant refused
	b.must(signs(ep11.CKM_ECDSA, sk))
	verify := signs(ep11.CKM_SHA256_HMAC, key)
	verify.Function, verify.Signature = ep11.FnVerifySingle, code
	b.refused(ep11.CKR_KEY_FUNCTION_NOT_PERMITTED, verify)
	b.must(ep11.Call{Function: ep11.FnLogout, Pin: []byte("a pin of the caller")})
	b.refused(ep11.CKR_SESSION_CLOSED, signs(ep11.CKM_SHA256_HMAC, key))
	b.must(signs(ep11.CKM_ECDSA, sk))
}

// Forget leaves nothing in the arena, and without the parent key nothing comes back; what is opened while it is called is not kept.
func TestOpenedKeysAreWiped(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	sk, _ := b.pair(ep11.OIDSecp256k1, flags(ep11.CKA_SIGN), flags(ep11.CKA_VERIFY))
	b.env.Opened.Forget()
	before := b.env.Arena.Usage().Live
	b.must(signs(ep11.CKM_ECDSA, sk))
	if n := b.env.Arena.Usage().Live - before; n != 2 {
		t.Errorf("%d secrets are alive, want the key and its pad", n)
	}
	if n := b.env.Opened.Forget(); n != 1 {
		t.Errorf("%d keys were wiped, want 1", n)
	}
	if n := b.env.Arena.Usage().Live; n != before {
		t.Errorf("%d secrets are alive, want %d", n, before)
	}
	b.must(signs(ep11.CKM_ECDSA, sk))
	b.env.Opened.Sweep(b.env.Since.Add(time.Hour))
	b.kept(0)

	id := blobID{[sessionSize]byte(sk), sha256.Sum256(sk)}
	w := &work{engine: b.e, ctx: context.Background(), env: &b.env}
	h, err := b.env.Opened.cache.GetKnown(context.Background(), b.env.Since, id, func() (secret.Bytes, any, error) {
		o, err := w.open(sk)
		b.env.Opened.Forget()
		return o.key.Secret, &known{o.header, o.Attributes, b.env.Current.Parent}, err
	})
	if err != nil {
		t.Fatal(err)
	}
	b.kept(0)
	h.Release()

	b.must(signs(ep11.CKM_ECDSA, sk))
	b.env.Current.Parent.Wipe()
	b.env.Opened.Forget()
	if _, err := b.do(signs(ep11.CKM_ECDSA, sk)); err == nil {
		t.Error("a key was opened without its parent key")
	}
	b.kept(0)
}

// The keys of sessions are wiped without the others.
func TestOpenedKeysOfSessions(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	session := b.must(ep11.Call{Function: ep11.FnLogin, Pin: []byte("a pin of the caller")}).Data
	bound := b.generic(32, flags(ep11.CKA_SIGN), bytesOf(ep11.CKA_IBM_LOGIN_SESSION, string(session)))
	free := b.generic(32, flags(ep11.CKA_SIGN))
	b.env.Opened.Forget()
	b.must(signs(ep11.CKM_SHA256_HMAC, bound))
	b.must(signs(ep11.CKM_SHA256_HMAC, free))
	b.kept(2)
	b.env.Opened.ForgetSessions()
	b.kept(1)
}

// Large keys are not kept; a secret key that changed while it was kept is a fault.
func TestOpenedKeysThatAreNot(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	sk, _ := b.rsa(2048, flags(ep11.CKA_SIGN), flags(ep11.CKA_VERIFY))
	long := b.generic(65, flags(ep11.CKA_SIGN))
	b.env.Opened.Forget()
	for range 2 {
		b.must(signs(ep11.CKM_SHA256_RSA_PKCS, sk))
		b.must(signs(ep11.CKM_SHA256_HMAC, long))
	}
	b.kept(0)

	key := b.generic(64, flags(ep11.CKA_SIGN))
	w := &work{engine: b.e, ctx: context.Background(), env: &b.env}
	o, err := w.open(key)
	if err != nil {
		t.Fatal(err)
	}
	defer o.wipe()
	damage := func() (secret.Bytes, any, error) {
		s, err := secret.New(b.env.Arena, 64, func(to []byte) error {
			return o.key.Secret.Use(func(from []byte) error { copy(to, from); to[63] ^= 1; return nil })
		})
		return s, &known{o.header, o.Attributes, b.env.Current.Parent}, err
	}
	h, err := b.env.Opened.cache.GetKnown(context.Background(), b.env.Since, blobID{[sessionSize]byte(key), sha256.Sum256(key)}, damage)
	if err != nil {
		t.Fatal(err)
	}
	h.Release()
	if _, err := b.do(signs(ep11.CKM_SHA256_HMAC, key)); !errors.Is(err, family.ErrFault) {
		t.Errorf("a key that changed: %v", err)
	}
}
