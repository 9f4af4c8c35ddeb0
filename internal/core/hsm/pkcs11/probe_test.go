// SPDX-License-Identifier: Apache-2.0

package pkcs11

import (
	"errors"
	"slices"
	"testing"

	p11 "github.com/miekg/pkcs11"

	"strongroom/internal/core/hsm"
)

func check(t *testing.T, r Report, name string) Check {
	t.Helper()
	i := slices.IndexFunc(r.Checks, func(c Check) bool { return c.Name == name })
	if i < 0 {
		t.Fatalf("%q was not tried", name)
	}
	return r.Checks[i]
}

// TestProbe probes SoftHSM: everything works but what it is known for.
func TestProbe(t *testing.T) {
	t.Parallel()
	b := softHSM(t)
	l := b.library(t, nil)
	label := b.token(t)
	rep, err := l.Probe(t.Context(), label, take(t, l, rightPIN), false)
	if err != nil {
		t.Fatal(err)
	}
	if rep.Library == "" || rep.Cryptoki == "" || rep.Token != label || !slices.ContainsFunc(rep.Tokens, func(k Token) bool { return k.Label == label && k.PINState == "ok" }) {
		t.Errorf("got %+v", rep)
	}
	if len(rep.Checks) != len(checks()) {
		t.Errorf("%d checks of %d", len(rep.Checks), len(checks()))
	}
	fails := []string{checkRoles, wrappedCheck(hsm.Ed25519)}
	for _, c := range rep.Checks {
		if c.Works == slices.Contains(fails, c.Name) {
			t.Errorf("%+v", c)
		}
	}
	if d := check(t, rep, checkWrap).Detail; d != "mechanism 0x210A" {
		t.Errorf("wraps: %s", d)
	}
	want := []Profile{{Name: "root", Fits: true, Missing: []string{}}, {Name: "root + token keys", Fits: true, Missing: []string{}},
		{Name: "root + wrapped token keys", Missing: []string{wrappedCheck(hsm.Ed25519)}}}
	if !slices.EqualFunc(rep.Profiles, want, func(a, b Profile) bool {
		return a.Name == b.Name && a.Fits == b.Fits && slices.Equal(a.Missing, b.Missing)
	}) {
		t.Errorf("got %+v", rep.Profiles)
	}
	b.noObjects(t, l, label)
}

// noObjects fails if the token holds anything.
func (b *bed) noObjects(t *testing.T, l *Library, label string) {
	t.Helper()
	tok, err := l.login(label, take(t, l, rightPIN), false)
	if err != nil {
		t.Fatal(err)
	}
	n, err := with(t.Context(), tok, "look", func(m module, s p11.SessionHandle) (int, error) {
		all, err := findAll(m, s, []*p11.Attribute{attr(p11.CKA_TOKEN, true)})
		return len(all), err
	})
	if err := errors.Join(err, tok.release()); err != nil || n != 0 {
		t.Errorf("the probe left %d objects, error %v", n, err)
	}
}

// poor is a token that lacks what it is told to lack.
type poor struct {
	module
	mechanism uint // refused
	gives     bool // gives values
}

func (m *poor) refuse(l []*p11.Mechanism) error {
	if l[0].Mechanism == m.mechanism {
		return p11.Error(p11.CKR_MECHANISM_INVALID)
	}
	return nil
}

func (m *poor) EncryptInit(s p11.SessionHandle, l []*p11.Mechanism, o p11.ObjectHandle) error {
	if err := m.refuse(l); err != nil {
		return err
	}
	return m.module.EncryptInit(s, l, o)
}

func (m *poor) SignInit(s p11.SessionHandle, l []*p11.Mechanism, o p11.ObjectHandle) error {
	if err := m.refuse(l); err != nil {
		return err
	}
	return m.module.SignInit(s, l, o)
}

func (m *poor) GetAttributeValue(s p11.SessionHandle, o p11.ObjectHandle, a []*p11.Attribute) ([]*p11.Attribute, error) {
	if m.gives && a[0].Type == p11.CKA_VALUE {
		return []*p11.Attribute{attr(p11.CKA_VALUE, make([]byte, 32))}, nil
	}
	return m.module.GetAttributeValue(s, o, a)
}

// TestProbeFinds: each lack shows in its check, and in the profiles that need it.
func TestProbeFinds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		poor  poor
		fails string
		root  bool
		keys  bool
	}{
		{poor{mechanism: p11.CKM_AES_GCM}, checkGCM, false, false},
		{poor{mechanism: p11.CKM_AES_CMAC}, checkCMAC, false, false},
		{poor{mechanism: p11.CKM_ECDSA}, keyCheck(hsm.ECDSASecp256k1), true, false},
		{poor{mechanism: ckmEdDSA}, keyCheck(hsm.Ed25519), true, false},
		{poor{gives: true}, checkSecret, false, false},
	} {
		b := softHSM(t)
		tt.poor.module = b.mod
		l := b.library(t, &tt.poor)
		rep, err := l.Probe(t.Context(), b.token(t), take(t, l, rightPIN), false)
		if err != nil {
			t.Fatal(err)
		}
		if c := check(t, rep, tt.fails); c.Works || c.Detail == "" {
			t.Errorf("%q: got %+v", tt.fails, c)
		}
		if rep.Profiles[0].Fits != tt.root || rep.Profiles[1].Fits != tt.keys || !slices.Contains(rep.Profiles[1].Missing, tt.fails) {
			t.Errorf("%q: got %+v", tt.fails, rep.Profiles)
		}
	}
}

func TestProbeLosesToken(t *testing.T) {
	t.Parallel()
	b := softHSM(t)
	f := &fault{}
	l := b.library(t, &interposer{b.mod, f.at})
	label := b.token(t)
	f.set("Sign", 1<<30, false, p11.CKR_DEVICE_REMOVED)
	rep, err := l.Probe(t.Context(), label, take(t, l, rightPIN), false)
	if !errors.Is(err, ErrLost) || len(rep.Profiles) != 0 {
		t.Errorf("got %+v and error %v", rep.Profiles, err)
	}
	if _, err := l.Probe(t.Context(), "no such token", take(t, l, rightPIN), false); !errors.Is(err, ErrNoToken) {
		t.Errorf("got error %v", err)
	}
}
