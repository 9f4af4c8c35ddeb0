// SPDX-License-Identifier: Apache-2.0

package pkcs11

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	p11 "github.com/miekg/pkcs11"

	"strongroom/internal/secret"
)

// DefaultTimeout is how long one call into a library may take. Making an RSA key in a slow token takes some seconds.
const DefaultTimeout = 30 * time.Second

// Config says which library to load. The zero Config is refused.
type Config struct {
	Arena   *secret.Arena // for PINs, and what is unsealed
	Path    string        // absolute path of the library
	Timeout time.Duration // of one call; 0 is [DefaultTimeout]
}

// Library is a PKCS#11 library in this process. The standard has one C_Initialize a process, so all roots on a library share one Library.
// Methods are safe for concurrent use.
type Library struct {
	cfg  Config
	mod  module
	hung atomic.Bool // a call did not come back; no more are made

	mu     sync.Mutex        // guards all below; never held during a call that has a session
	tokens map[string]*token // by serial number: those that somebody uses
	closed bool
}

// Load loads a library and initializes it (C_Initialize). Vendors' libraries run in this process with all its rights: load no other than the
// token's own.
func Load(cfg Config) (*Library, error) {
	if cfg.Path == "" || cfg.Arena == nil {
		return nil, errors.New("pkcs11: an arena and the path of a library must be given")
	}
	m, err := open(cfg.Path)
	if err != nil {
		return nil, err
	}
	l, err := start(cfg, m)
	if err != nil && !errors.Is(err, ErrHung) {
		m.unload()
	}
	return l, err
}

// start initializes a library.
func start(cfg Config, m module) (*Library, error) {
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.Timeout < 0 {
		return nil, fmt.Errorf("pkcs11: a timeout of %s is none", cfg.Timeout)
	}
	l := &Library{cfg: cfg, mod: m, tokens: map[string]*token{}}
	err := run(l, "C_Initialize", func(m module) error { return m.Initialize() })
	if is(err, p11.CKR_CRYPTOKI_ALREADY_INITIALIZED) {
		return nil, fmt.Errorf("pkcs11: %s is in use in this process already: share one Library", cfg.Path)
	}
	if err != nil {
		return nil, fmt.Errorf("pkcs11: initialize the library: %w", err)
	}
	return l, nil
}

// Close ends the library (C_Finalize) and unloads it. Roots on it must be closed before. After a call that hung the library is left as it is.
func (l *Library) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	if n := len(l.tokens); n > 0 {
		return fmt.Errorf("pkcs11: close the library: %d of its tokens are in use; close the roots first", n)
	}
	l.closed = true
	err := run(l, "C_Finalize", func(m module) error { return m.Finalize() })
	if l.hung.Load() {
		return err
	}
	if n, ok := l.mod.(*native); ok {
		n.unload()
	}
	return err
}

// run is [call] for what gives nothing.
func run(l *Library, what string, f func(module) error) error {
	_, err := call(l, what, func(m module) (struct{}, error) { return struct{}{}, f(m) })
	return err
}

// call runs f, which makes one or a few calls into the library, and waits for it as long as it may take. A call into C can't be cancelled: after one
// that hung, the library is not called any more, because the hung one may hold its locks and still write where it was told to. That is why
// f gives its result as its value, and captures no variable that it writes.
func call[T any](l *Library, what string, f func(module) (T, error)) (T, error) {
	var none T
	if l.hung.Load() {
		return none, ErrHung
	}
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, 1)
	go func() { // waited for below; one that hangs, by nobody
		v, err := f(l.mod)
		answers <- answer{v, err}
	}()
	timer := time.NewTimer(l.cfg.Timeout)
	defer timer.Stop()
	select {
	case a := <-answers:
		return a.value, a.err
	case <-timer.C:
		l.hung.Store(true)
		return none, fmt.Errorf("%w (%s, %s)", ErrHung, what, l.cfg.Timeout)
	}
}

// Token is what a library says about one of its tokens.
type Token struct {
	Label        string `json:"label"`
	Serial       string `json:"serial"`
	Manufacturer string `json:"manufacturer"`
	Model        string `json:"model"`
	Initialized  bool   `json:"initialized"`
	Hardware     bool   `json:"hardware"` // the library says that its slot is a device
	PINState     string `json:"pin"`      // what its flags say about tries that are left: "ok", "a wrong one was tried", "one try is left", "locked", "not set"

	slot  uint
	flags uint
	most  uint // sessions that write, 0: it doesn't say
}

// Tokens lists the tokens that are there now.
func (l *Library) Tokens() ([]Token, error) {
	return call(l, "C_GetSlotList", func(m module) ([]Token, error) {
		slots, err := m.GetSlotList(true)
		if err != nil {
			return nil, fmt.Errorf("pkcs11: list slots: %w", err)
		}
		var out []Token
		for _, s := range slots {
			i, err := m.GetTokenInfo(s)
			if lost(err) {
				continue // taken away meanwhile
			}
			if err != nil {
				return nil, fmt.Errorf("pkcs11: token in slot %d: %w", s, err)
			}
			slot, err := m.GetSlotInfo(s)
			if err != nil {
				return nil, fmt.Errorf("pkcs11: slot %d: %w", s, err)
			}
			t := tokenOf(s, i)
			t.Hardware = slot.Flags&p11.CKF_HW_SLOT != 0
			out = append(out, t)
		}
		return out, nil
	})
}

func tokenOf(slot uint, i p11.TokenInfo) Token {
	t := Token{Label: plain(i.Label), Serial: plain(i.SerialNumber), Manufacturer: plain(i.ManufacturerID), Model: plain(i.Model),
		Initialized: i.Flags&p11.CKF_TOKEN_INITIALIZED != 0, PINState: "ok", slot: slot, flags: i.Flags}
	if n := i.MaxRwSessionCount; n != 0 && n < 1<<16 { // otherwise CK_EFFECTIVELY_INFINITE or CK_UNAVAILABLE_INFORMATION
		t.most = n
	}
	switch {
	case i.Flags&p11.CKF_USER_PIN_INITIALIZED == 0:
		t.PINState = "not set"
	case i.Flags&p11.CKF_USER_PIN_LOCKED != 0:
		t.PINState = "locked"
	case i.Flags&p11.CKF_USER_PIN_FINAL_TRY != 0:
		t.PINState = "one try is left"
	case i.Flags&p11.CKF_USER_PIN_COUNT_LOW != 0:
		t.PINState = "a wrong one was tried"
	}
	return t
}

// plain gives a text of a library without its padding and what is not printable ASCII.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e {
			return -1
		}
		return r
	}, s)
	return strings.TrimSpace(s)
}

// find gives the one token with a label or serial number.
func (l *Library) find(name string) (Token, error) {
	all, err := l.Tokens()
	if err != nil {
		return Token{}, err
	}
	all = slices.DeleteFunc(all, func(t Token) bool { return !t.Initialized })
	if i := slices.IndexFunc(all, func(t Token) bool { return t.Serial == name && name != "" }); i >= 0 {
		return all[i], nil
	}
	var names []string
	var found []Token
	for _, t := range all {
		names = append(names, fmt.Sprintf("%q (serial %s)", t.Label, t.Serial))
		if t.Label == name {
			found = append(found, t)
		}
	}
	switch {
	case len(found) == 1 && found[0].Serial != "":
		return found[0], nil
	case len(found) == 1:
		return Token{}, fmt.Errorf("%w: token %q has no serial number by which it could be known again", ErrModule, name)
	case len(found) > 1:
		return Token{}, fmt.Errorf("%w: %d tokens have the label %q; name the serial number: %s", ErrNoToken, len(found), name, strings.Join(names, ", "))
	case len(names) == 0:
		return Token{}, fmt.Errorf("%w %q: the library has no token that is initialized", ErrNoToken, name)
	}
	return Token{}, fmt.Errorf("%w %q; there are %s", ErrNoToken, name, strings.Join(names, ", "))
}
