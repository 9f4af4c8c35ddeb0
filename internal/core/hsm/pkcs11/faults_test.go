// SPDX-License-Identifier: Apache-2.0

package pkcs11

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	p11 "github.com/miekg/pkcs11"

	"strongroom/internal/core/durable"
	"strongroom/internal/core/durable/durabletest"
	"strongroom/internal/core/hsm"
	"strongroom/internal/secret"
)

// fault makes calls of one name fail with a return value: the next count of them, after their effect or instead of it.
type fault struct {
	mu    sync.Mutex // guards all below
	name  string
	count int
	after bool
	with  uint
}

func (f *fault) set(name string, count int, after bool, with uint) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.name, f.count, f.after, f.with = name, count, after, with
}

func (f *fault) at(name string, call func() error) error {
	f.mu.Lock()
	hit := name == f.name && f.count > 0
	if hit {
		f.count--
	}
	after, with := f.after, p11.Error(f.with)
	f.mu.Unlock()
	if !hit {
		return call()
	}
	if after {
		_ = call()
	}
	return with
}

// faulty gives a root with a sealed label, and what makes its library fail.
func faulty(t *testing.T) (*fault, *Root, string) {
	b := softHSM(t)
	f := &fault{}
	l := b.library(t, &interposer{b.mod, f.at})
	cfg := config(t, l, b.token(t))
	r := mustCreate(t, l, durable.OS(), cfg)
	if err := r.Seal(t.Context(), "identity", nil, take(t, l, "the identity")); err != nil {
		t.Fatal(err)
	}
	return f, r, cfg.Token
}

func unseal(t *testing.T, r *Root) error {
	_, plain, err := r.Unseal(t.Context(), "identity")
	plain.Wipe()
	return err
}

// TestLost loses the token in the middle of acts, once and for good. Once is not noticed, whether the call that failed had its effect or not.
func TestLost(t *testing.T) {
	t.Parallel()
	f, r, _ := faulty(t)
	n := 0
	for _, with := range []uint{p11.CKR_TOKEN_NOT_PRESENT, p11.CKR_DEVICE_REMOVED, p11.CKR_SESSION_HANDLE_INVALID, p11.CKR_SESSION_CLOSED, p11.CKR_USER_NOT_LOGGED_IN} {
		for _, after := range []bool{false, true} {
			for _, name := range []string{"FindObjectsInit", "GetAttributeValue", "GenerateKey", "DestroyObject", "Encrypt", "Decrypt", "Sign", "GetSessionInfo"} {
				n++
				label := fmt.Sprintf("label-%d", n)
				f.set(name, 1, after, with)
				err := r.Seal(t.Context(), label, nil, take(t, r.lib, "x"))
				if err == nil {
					err = r.Destroy(t.Context(), label)
				}
				if err != nil {
					t.Errorf("%s, after=%v, %#x: %v", name, after, with, err)
				}
			}
		}
		for _, name := range []string{"Sign", "GenerateKeyPair"} {
			f.set(name, 1, true, with)
			public, err := r.GenerateTokenKey(t.Context(), crashKey, hsm.ECDSASecp256k1)
			if err == nil {
				_, err = r.SignWithTokenKey(t.Context(), crashKey, hsm.ECDSASecp256k1, public, make([]byte, 32))
			}
			if err := errors.Join(err, r.DestroyTokenKey(t.Context(), crashKey)); err != nil {
				t.Errorf("%s, %#x: %v", name, with, err)
			}
		}
		before, err := r.ReadCounter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		f.set("GenerateKey", 1, true, with)
		if got, err := r.IncrementCounter(t.Context()); err != nil || got != before+1 {
			t.Errorf("increment, %#x: %d after %d and error %v", with, got, before, err)
		}
		f.set("GetSlotList", 1<<30, false, with)
		f.mu.Lock()
		f.name = "FindObjectsInit" // each time
		f.mu.Unlock()
		if err := unseal(t, r); !errors.Is(err, ErrLost) {
			t.Errorf("lost for good, %#x: got error %v", with, err)
		}
		f.set("", 0, false, 0)
		if err := unseal(t, r); err != nil {
			t.Errorf("back again: %v", err)
		}
	}
}

// TestRealLogout ends login and sessions of a real token behind the root's back.
func TestRealLogout(t *testing.T) {
	t.Parallel()
	b := softHSM(t)
	_, r, label := faulty(t)
	for range 3 {
		b.endSessions(t, label)
		if err := unseal(t, r); err != nil {
			t.Errorf("sessions ended: %v", err)
		}
		// Logged out, a session sees no private objects: they must not be taken for destroyed.
		if err := b.mod.Logout(r.token.keep); err != nil {
			t.Fatal(err)
		}
		if err := unseal(t, r); err != nil {
			t.Errorf("logged out: %v", err)
		}
	}
	b.endSessions(t, label)
	if err := r.Destroy(t.Context(), "identity"); err != nil {
		t.Error(err)
	}
	if err := unseal(t, r); !errors.Is(err, hsm.ErrNotFound) {
		t.Errorf("destroyed: got error %v", err)
	}
}

// TestMissing takes the token away, and puts it back into another slot, and another token into its slot.
func TestMissing(t *testing.T) {
	t.Parallel()
	b := softHSM(t)
	label := b.token(t)
	m := &moved{module: b.mod, slot: b.slot(t, label)}
	l := b.library(t, m)
	r := mustCreate(t, l, durable.OS(), config(t, l, label))
	if err := r.Seal(t.Context(), "identity", nil, take(t, l, "the identity")); err != nil {
		t.Fatal(err)
	}
	m.gone.Store(true)
	b.endSessions(t, label)
	if err := unseal(t, r); !errors.Is(err, ErrLost) || !strings.Contains(err.Error(), label) {
		t.Errorf("taken away: got error %v", err)
	}
	m.gone.Store(false)
	m.shift.Store(1 << 20)
	if err := unseal(t, r); err != nil {
		t.Errorf("in another slot: %v", err)
	}
}

// moved is a library whose token is gone, or in another slot.
type moved struct {
	module
	slot  uint
	gone  atomic.Bool
	shift atomic.Uint64
}

func (m *moved) GetSlotList(present bool) ([]uint, error) {
	all, err := m.module.GetSlotList(present)
	all = slices.DeleteFunc(all, func(s uint) bool { return s == m.slot && m.gone.Load() })
	if i := slices.Index(all, m.slot); i >= 0 {
		all[i] += uint(m.shift.Load())
	}
	return all, err
}

func (m *moved) real(slot uint) uint {
	if n := uint(m.shift.Load()); n != 0 && slot == m.slot+n {
		return m.slot
	} else if n != 0 && slot == m.slot {
		return 1 << 30 // none
	}
	return slot
}

func (m *moved) GetTokenInfo(slot uint) (p11.TokenInfo, error) {
	return m.module.GetTokenInfo(m.real(slot))
}

func (m *moved) GetSlotInfo(slot uint) (p11.SlotInfo, error) {
	return m.module.GetSlotInfo(m.real(slot))
}

func (m *moved) OpenSession(slot, flags uint) (p11.SessionHandle, error) {
	if m.gone.Load() {
		return 0, p11.Error(p11.CKR_TOKEN_NOT_PRESENT)
	}
	return m.module.OpenSession(m.real(slot), flags)
}

// TestHang has a call that doesn't come back. Nothing is called after it, not even to close.
func TestHang(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"FindObjectsInit", "Decrypt", "Sign", "OpenSession"} {
		b := softHSM(t)
		label := b.token(t)
		var hang, over atomic.Bool
		stay := make(chan struct{})
		m := &interposer{b.mod, func(n string, call func() error) error {
			if over.Load() {
				t.Errorf("%s was called after %s hung", n, name)
			}
			if n == name && hang.Load() {
				<-stay
				return errPower
			}
			return call()
		}}
		// What hangs holds secrets for ever; a process ends then.
		arena, err := secret.NewArena(secret.Config{Size: 1 << 16})
		if err != nil {
			t.Fatal(err)
		}
		l, err := start(Config{Arena: arena, Path: "test"}, initialized{m})
		if err != nil {
			t.Fatal(err)
		}
		r, err := l.Create(t.Context(), config(t, l, label))
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Seal(t.Context(), "identity", nil, take(t, l, "the identity")); err != nil {
			t.Fatal(err)
		}
		r.token.idle = nil // so that a session is opened
		hang.Store(true)
		l.cfg.Timeout = 200 * time.Millisecond // one of the calls before may take longer and be the one that hangs: no matter
		if err := unseal(t, r); !errors.Is(err, ErrHung) {
			t.Errorf("%s: got error %v", name, err)
		}
		over.Store(true)
		for what, err := range map[string]error{
			"unseal": unseal(t, r), "destroy": r.Destroy(t.Context(), "identity"), "seal": r.Seal(t.Context(), "dwk-1", nil, take(t, l, "x")),
			"random": r.Random(t.Context(), make([]byte, 8)), "tokens": second(l.Tokens()), "close": r.Close(), "close the library": l.Close(),
		} {
			if !errors.Is(err, ErrHung) {
				t.Errorf("%s: %s afterwards: got error %v", name, what, err)
			}
		}
		over.Store(false)
		close(stay)
		b.endSessions(t, label)
	}
}

// answers is a library that answers wrongly.
type answers struct {
	module
	wrong atomic.Pointer[string]
}

func (a *answers) is(what string) bool {
	w := a.wrong.Load()
	return w != nil && *w == what
}

func (a *answers) set(what string) { a.wrong.Store(&what) }

func (a *answers) Sign(s p11.SessionHandle, in, out []byte) (int, error) {
	n, err := a.module.Sign(s, in, out)
	switch {
	case a.is("short MAC") && n == macSize:
		return n - 1, err
	case a.is("wrong signature") && n == 64:
		out[63] ^= 1
	case a.is("short signature") && n == 64:
		return 63, err
	}
	return n, err
}

func (a *answers) Encrypt(s p11.SessionHandle, in, out []byte) (int, error) {
	n, err := a.module.Encrypt(s, in, out)
	if a.is("short ciphertext") {
		return n - 8, err
	}
	if a.is("garbled ciphertext") {
		out[0] ^= 1
	}
	return n, err
}

func (a *answers) Decrypt(s p11.SessionHandle, in, out []byte) (int, error) {
	n, err := a.module.Decrypt(s, in, out)
	if a.is("short plaintext") {
		return n - 8, err
	}
	if a.is("other plaintext") {
		out[0] ^= 1
	}
	return n, err
}

func (a *answers) WrapKey(s p11.SessionHandle, m []*p11.Mechanism, with, key p11.ObjectHandle) ([]byte, error) {
	b, err := a.module.WrapKey(s, m, with, key)
	if a.is("short wrapped key") && err == nil {
		return b[:len(b)-3], err
	}
	return b, err
}

func (a *answers) GetAttributeValue(s p11.SessionHandle, o p11.ObjectHandle, t []*p11.Attribute) ([]*p11.Attribute, error) {
	out, err := a.module.GetAttributeValue(s, o, t)
	switch {
	case err != nil || len(out) != 1:
	case a.is("extractable") && t[0].Type == p11.CKA_EXTRACTABLE, a.is("not sensitive") && t[0].Type == p11.CKA_SENSITIVE, a.is("modifiable") && t[0].Type == p11.CKA_MODIFIABLE,
		a.is("imported") && t[0].Type == p11.CKA_LOCAL, a.is("wraps too") && t[0].Type == p11.CKA_WRAP, a.is("was extractable") && t[0].Type == p11.CKA_NEVER_EXTRACTABLE,
		a.is("copyable") && t[0].Type == p11.CKA_COPYABLE:
		out[0].Value = []byte{out[0].Value[0] ^ 1}
	case a.is("short") && t[0].Type == p11.CKA_VALUE_LEN:
		out[0].Value = attr(p11.CKA_VALUE_LEN, uint(16)).Value
	case a.is("other mechanisms") && t[0].Type == p11.CKA_ALLOWED_MECHANISMS:
		out[0].Value = append(out[0].Value, mechanismList([]uint{p11.CKM_AES_CBC})...)
	case a.is("no answer"):
		out = nil
	case a.is("bad point") && t[0].Type == p11.CKA_EC_POINT:
		out[0].Value = out[0].Value[:20]
	}
	return out, err
}

func (a *answers) DestroyObject(s p11.SessionHandle, o p11.ObjectHandle) error {
	if a.is("not destroyed") {
		return nil
	}
	return a.module.DestroyObject(s, o)
}

// TestWrongAnswers: what can't be is refused with ErrModule, what is weaker than asked for with ErrWeak, and nothing is left in the token.
func TestWrongAnswers(t *testing.T) {
	t.Parallel()
	b := softHSM(t)
	a := &answers{module: b.mod}
	l := b.library(t, a)
	r := mustCreate(t, l, durable.OS(), config(t, l, b.token(t)))
	for what, want := range map[string]error{
		"short MAC": ErrModule, "short ciphertext": ErrModule, "garbled ciphertext": nil, "short plaintext": ErrModule, "other plaintext": hsm.ErrAltered, "no answer": ErrModule,
		"extractable": ErrWeak, "not sensitive": ErrWeak, "modifiable": ErrWeak, "imported": ErrWeak, "wraps too": ErrWeak, "was extractable": ErrWeak, "short": ErrWeak,
		"other mechanisms": ErrWeak, "copyable": ErrWeak,
	} {
		a.set(what)
		err := r.Seal(t.Context(), "dwk-1", nil, take(t, l, "x"))
		if err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: seal: got error %v", what, err)
		}
		a.set("")
		n, err := with(t.Context(), r.token, "look", func(m module, s p11.SessionHandle) (int, error) {
			one, err := search(m, s, p11.CKO_SECRET_KEY, roleSeal, nil)
			two, e := search(m, s, p11.CKO_SECRET_KEY, roleMAC, nil)
			return len(one) + len(two), errors.Join(err, e)
		})
		if _, e := os.Stat(r.path("dwk-1" + ending)); n != 0 || err != nil || e == nil {
			t.Errorf("%s: %d objects are left, the file is there: %v; %v", what, n, e == nil, err)
			if err := r.Destroy(t.Context(), "dwk-1"); err != nil {
				t.Fatal(err)
			}
		}
	}
	for what, want := range map[string]error{"wrong signature": hsm.ErrAltered, "short signature": ErrModule, "bad point": ErrModule, "extractable": ErrWeak} {
		for _, alg := range hsm.Algorithms() {
			a.set(what)
			if _, err := r.GenerateTokenKey(t.Context(), crashKey, alg); !errors.Is(err, want) {
				t.Errorf("%s: %s: got error %v", what, alg, err)
			}
			a.set("")
			if _, _, err := r.TokenKey(t.Context(), crashKey); !errors.Is(err, hsm.ErrNotFound) {
				t.Errorf("%s: %s: a key is left: %v", what, alg, err)
			}
		}
	}
	a.set("short wrapped key")
	if _, err := r.GenerateWrappedKey(t.Context(), hsm.ECDSAP256); !errors.Is(err, ErrModule) {
		t.Errorf("short wrapped key: got error %v", err)
	}
	a.set("")
	if err := r.Seal(t.Context(), "dwk-1", nil, take(t, l, "x")); err != nil {
		t.Fatal(err)
	}
	a.set("not destroyed")
	if err := r.Destroy(t.Context(), "dwk-1"); !errors.Is(err, ErrModule) {
		t.Errorf("not destroyed: got error %v", err)
	}
	if _, err := os.Stat(r.path("dwk-1" + ending)); err != nil {
		t.Errorf("the file was erased though the keys are there: %v", err)
	}
}

// TestFailingToken: a device that fails is no alteration, and nothing is destroyed for it.
func TestFailingToken(t *testing.T) {
	t.Parallel()
	f, r, _ := faulty(t)
	for _, name := range []string{"Decrypt", "Sign", "FindObjectsInit", "GetSessionInfo", "OpenSession"} {
		for _, with := range []uint{p11.CKR_DEVICE_ERROR, p11.CKR_GENERAL_ERROR, p11.CKR_HOST_MEMORY, p11.CKR_FUNCTION_FAILED} {
			if name == "OpenSession" {
				r.token.idle = nil
			}
			f.set(name, 1<<30, false, with)
			err := unseal(t, r)
			if err == nil && name != "GetSessionInfo" || errors.Is(err, hsm.ErrAltered) || errors.Is(err, hsm.ErrNotFound) || errors.Is(err, ErrLost) {
				t.Errorf("%s, %#x: got error %v", name, with, err)
			}
		}
	}
	f.set("", 0, false, 0)
	if err := unseal(t, r); err != nil {
		t.Errorf("well again: %v", err)
	}
}

// simple is a token that doesn't know attributes of later versions of the standard.
type simple struct {
	module
	unknown []uint
}

func (m *simple) GenerateKey(s p11.SessionHandle, mech []*p11.Mechanism, t []*p11.Attribute) (p11.ObjectHandle, error) {
	for _, a := range t {
		if slices.Contains(m.unknown, a.Type) {
			return 0, p11.Error(p11.CKR_ATTRIBUTE_TYPE_INVALID)
		}
	}
	return m.module.GenerateKey(s, mech, t)
}

func TestOlderTokens(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		unknown []uint
		works   bool
	}{
		{[]uint{p11.CKA_ALLOWED_MECHANISMS}, true},
		{[]uint{p11.CKA_ALLOWED_MECHANISMS, p11.CKA_COPYABLE}, true},
		{[]uint{p11.CKA_SENSITIVE}, false},
	} {
		b := softHSM(t)
		l := b.library(t, &simple{b.mod, tt.unknown})
		r, err := l.create(t.Context(), durabletest.New(), RootConfig{Dir: "/root", Token: b.token(t), PIN: take(t, l, rightPIN)})
		if (err == nil) != tt.works {
			t.Errorf("without %#x: got error %v", tt.unknown, err)
		}
		if err == nil {
			err = r.Seal(t.Context(), "identity", nil, take(t, l, "x"))
			if err := errors.Join(err, unseal(t, r), r.Close()); err != nil {
				t.Errorf("without %#x: %v", tt.unknown, err)
			}
		}
	}
}

// flagged is a library that says things about the PIN.
type flagged struct {
	module
	flags atomic.Uint64
	login atomic.Uint64 // return value; 0: the token's
	tries atomic.Int64
}

func (m *flagged) GetTokenInfo(slot uint) (p11.TokenInfo, error) {
	i, err := m.module.GetTokenInfo(slot)
	i.Flags |= uint(m.flags.Load())
	return i, err
}

func (m *flagged) Login(s p11.SessionHandle, pin []byte) error {
	m.tries.Add(1)
	if v := m.login.Load(); v != 0 {
		return p11.Error(v)
	}
	return m.module.Login(s, pin)
}

// TestPIN: a wrong PIN is tried once, and then not again until somebody has looked, not even by another process; what the flags tell is said.
func TestPIN(t *testing.T) {
	t.Parallel()
	b := softHSM(t)
	m := &flagged{module: b.mod}
	l := b.library(t, m)
	cfg := config(t, l, b.token(t))
	closeRoot(t, mustCreate(t, l, durable.OS(), cfg))
	wrong := cfg
	wrong.PIN = take(t, l, "not the PIN")
	marker := filepath.Join(cfg.Dir, refusedFile)
	open := func(cfg RootConfig) error {
		r, err := l.Open(t.Context(), cfg)
		if err == nil {
			closeRoot(t, r)
		}
		return err
	}
	m.flags.Store(p11.CKF_USER_PIN_COUNT_LOW)
	m.tries.Store(0)
	if err := open(wrong); !errors.Is(err, ErrWrongPIN) || !strings.Contains(err.Error(), "counts wrong tries") || strings.Contains(err.Error(), "not the PIN") {
		t.Errorf("wrong: got error %v", err)
	}
	for _, c := range []RootConfig{wrong, cfg} {
		if err := open(c); !errors.Is(err, ErrPINHeld) || !strings.Contains(err.Error(), marker) {
			t.Errorf("after a wrong one: got error %v", err)
		}
	}
	if n := m.tries.Load(); n != 1 {
		t.Errorf("the token was asked %d times", n)
	}
	typed := cfg
	typed.Attended = true
	if err := open(typed); err != nil {
		t.Errorf("typed: %v", err)
	}
	if err := open(cfg); err != nil {
		t.Errorf("after the right one: %v", err)
	}
	m.flags.Store(p11.CKF_USER_PIN_FINAL_TRY)
	if err := open(cfg); !errors.Is(err, ErrPINHeld) {
		t.Errorf("last try: got error %v", err)
	}
	if err := open(typed); err != nil {
		t.Errorf("last try, typed: %v", err)
	}
	m.login.Store(p11.CKR_PIN_INCORRECT)
	if err := open(typed); !errors.Is(err, ErrWrongPIN) || !strings.Contains(err.Error(), "one try is left") {
		t.Errorf("wrong at the last but one: got error %v", err)
	}
	m.flags.Store(p11.CKF_USER_PIN_LOCKED)
	if err := open(typed); !errors.Is(err, ErrPINLocked) {
		t.Errorf("locked, says its flag: got error %v", err)
	}
	m.flags.Store(0)
	for value, want := range map[uint64]string{p11.CKR_PIN_LOCKED: "locked", p11.CKR_PIN_EXPIRED: "expired", p11.CKR_USER_PIN_NOT_INITIALIZED: "no user PIN", p11.CKR_DEVICE_ERROR: "log in",
		p11.CKR_USER_ALREADY_LOGGED_IN: "something else", p11.CKR_TOKEN_NOT_PRESENT: "lost", p11.CKR_PIN_LEN_RANGE: "wrong; the token doesn't say"} {
		m.login.Store(value)
		if err := open(typed); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%#x: got error %v", value, err)
		}
	}
}

// TestPINChanged: somebody sets another PIN while the root is open; when the token was away, the old one is tried once.
func TestPINChanged(t *testing.T) {
	t.Parallel()
	b := softHSM(t)
	m := &flagged{module: b.mod}
	l := b.library(t, m)
	cfg := config(t, l, b.token(t))
	r := mustCreate(t, l, durable.OS(), cfg)
	m.login.Store(p11.CKR_PIN_INCORRECT)
	m.tries.Store(0)
	b.endSessions(t, cfg.Token)
	for range 3 {
		if err := r.Seal(t.Context(), "dwk-1", nil, take(t, l, "x")); !errors.Is(err, ErrWrongPIN) {
			t.Errorf("got error %v", err)
		}
	}
	if n := m.tries.Load(); n != 1 {
		t.Errorf("the token was asked %d times", n)
	}
	if _, err := os.Stat(filepath.Join(cfg.Dir, refusedFile)); err != nil {
		t.Errorf("no note was left: %v", err)
	}
}

// TestNoLeaks looks for PIN and plaintext in what is written.
func TestNoLeaks(t *testing.T) {
	t.Parallel()
	_, r, _ := faulty(t)
	names, err := os.ReadDir(r.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		b, err := os.ReadFile(filepath.Join(r.dir, n.Name()))
		if err != nil || bytes.Contains(b, []byte(rightPIN)) || bytes.Contains(b, []byte("the identity")) {
			t.Errorf("%s holds a secret, or error %v", n.Name(), err)
		}
	}
}
