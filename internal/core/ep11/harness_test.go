// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"context"
	"crypto/rand"
	"sync"
	"testing"
	"time"

	"strongroom/internal/pure/ep11"
	"strongroom/internal/pure/points"
	"strongroom/internal/secret"
	"strongroom/internal/secret/secrettest"
)

// system is randomness for tests.
type system struct{}

func (system) Fill(_ context.Context, b []byte) error {
	rand.Read(b)
	return nil
}

// logins is a store of sessions.
type logins struct {
	mu   sync.Mutex
	open map[[2][32]byte]bool
}

func (l *logins) Open(_ context.Context, owner, id [32]byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.open) >= 4 {
		return ep11.CKR_SESSION_COUNT
	}
	l.open[[2][32]byte{owner, id}] = true
	return nil
}

func (l *logins) Close(_ context.Context, owner [32]byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for k := range l.open {
		if k[0] == owner {
			delete(l.open, k)
		}
	}
	return nil
}

func (l *logins) Live(owner, id [32]byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open[[2][32]byte{owner, id}]
}

// bench is an engine with a domain and a caller.
type bench struct {
	t    testing.TB
	e    *Engine
	env  Env
	uses []Use
}

func newBench(t testing.TB) *bench {
	t.Helper()
	e, err := New()
	if err != nil {
		t.Fatal(err)
	}
	a := secrettest.ArenaOf(t, 8<<20)
	b := &bench{t: t, e: e, env: Env{
		Arena: a, Random: system{}, Domain: [32]byte{1}, Points: points.Known(), Compat: true, Owner: [32]byte{2}, Grant: [32]byte{3},
		Now: 1_700_000_000, Sessions: &logins{open: map[[2][32]byte]bool{}}, Login: b32(t, a, 9),
		Allow: func(Access) error { return nil },
	}}
	if b.env.Opened, err = NewOpened(time.Minute); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.env.Opened.Forget() })
	b.env.Current = epoch(t, a, 1)
	return b
}

// b32 makes a secret of 32 bytes.
func b32(t testing.TB, a *secret.Arena, fill byte) secret.Bytes {
	t.Helper()
	s, err := secret.New(a, 32, func(b []byte) error {
		for i := range b {
			b[i] = fill
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Wipe)
	return s
}

// epoch makes the epoch of a number.
func epoch(t testing.TB, a *secret.Arena, n byte) *Epoch {
	t.Helper()
	parent, err := ParentKey(a, b32(t, a, n))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(parent.Wipe)
	return &Epoch{Number: uint64(n), Pattern: [16]byte{n}, Parent: parent}
}

func (b *bench) do(c ep11.Call) (ep11.Answer, error) {
	b.t.Helper()
	decoded, err := ep11.DecodeCall(c.Encode())
	if err != nil {
		return ep11.Answer{}, err
	}
	a, uses, err := b.e.Do(context.Background(), b.env, decoded)
	b.uses = append(b.uses, uses...)
	if err != nil && (a.Key != nil || a.Data != nil || a.State != nil) {
		b.t.Errorf("%s: an error with an answer", c.Function)
	}
	return a, err
}

func (b *bench) must(c ep11.Call) ep11.Answer {
	b.t.Helper()
	a, err := b.do(c)
	if err != nil {
		b.t.Fatalf("%s: %v", c.Function, err)
	}
	return a
}

// refused requires a return code, or with CKR_OK none.
func (b *bench) refused(want ep11.Code, c ep11.Call) {
	b.t.Helper()
	_, err := b.do(c)
	if codeOf(err) != want {
		b.t.Errorf("%s: got %v, want %v", c.Function, err, want)
	}
}

func mech(m uint64) *ep11.Mechanism { return &ep11.Mechanism{Type: m} }

func withIV(m uint64, iv []byte) *ep11.Mechanism { return &ep11.Mechanism{Type: m, Parameter: iv} }

// flags makes a template of booleans that are true.
func flags(list ...uint64) ep11.Template {
	t := ep11.Template{}
	for _, n := range list {
		t[n] = ep11.Bool(true)
	}
	return t
}

// and joins templates.
func and(list ...ep11.Template) ep11.Template {
	out := ep11.Template{}
	for _, t := range list {
		for n, v := range t {
			out[n] = v
		}
	}
	return out
}

func number(cka, n uint64) ep11.Template { return ep11.Template{cka: ep11.Int(n)} }

func bytesOf(cka uint64, b string) ep11.Template { return ep11.Template{cka: ep11.Bytes([]byte(b))} }

func (b *bench) aes(n uint64, t ...ep11.Template) []byte {
	b.t.Helper()
	return b.must(ep11.Call{Function: ep11.FnGenerateKey, Mechanism: mech(ep11.CKM_AES_KEY_GEN), Template: and(append(t, number(ep11.CKA_VALUE_LEN, n))...)}).Key
}

func (b *bench) generic(n uint64, t ...ep11.Template) []byte {
	b.t.Helper()
	return b.must(ep11.Call{Function: ep11.FnGenerateKey, Mechanism: mech(ep11.CKM_GENERIC_SECRET_KEY_GEN), Template: and(append(t, number(ep11.CKA_VALUE_LEN, n))...)}).Key
}

func (b *bench) pair(curve string, private, public ep11.Template) (sk, pk []byte) {
	b.t.Helper()
	a := b.must(ep11.Call{Function: ep11.FnGenerateKeyPair, Mechanism: mech(ep11.CKM_EC_KEY_PAIR_GEN), Template: private, Template2: and(public, bytesOf(ep11.CKA_EC_PARAMS, curve))})
	return a.Key, a.Key2
}

func (b *bench) rsa(bits uint64, private, public ep11.Template) (sk, pk []byte) {
	b.t.Helper()
	a := b.must(ep11.Call{Function: ep11.FnGenerateKeyPair, Mechanism: mech(ep11.CKM_RSA_PKCS_KEY_PAIR_GEN), Template: private,
		Template2: and(public, number(ep11.CKA_MODULUS_BITS, bits), number(ep11.CKA_PUBLIC_EXPONENT, 65537))})
	return a.Key, a.Key2
}

// imported takes private key material in under a fresh AES key.
func (b *bench) imported(pkcs8 []byte, ckk uint64, t ep11.Template) ([]byte, error) {
	b.t.Helper()
	kek := b.aes(32, flags(ep11.CKA_ENCRYPT, ep11.CKA_UNWRAP))
	m := withIV(ep11.CKM_AES_CBC_PAD, make([]byte, 16))
	sealed := b.must(ep11.Call{Function: ep11.FnEncryptSingle, Mechanism: m, Key: kek, Data: pkcs8}).Data
	a, err := b.do(ep11.Call{Function: ep11.FnUnwrapKey, Mechanism: m, Key2: kek, Data: sealed, Template: and(t, number(ep11.CKA_KEY_TYPE, ckk))})
	return a.Key, err
}
