// SPDX-License-Identifier: Apache-2.0

package pkcs11

import (
	"context"
	"errors"
	"fmt"
	"sync"

	p11 "github.com/miekg/pkcs11"

	"strongroom/internal/secret"
)

// maxSessions is how many sessions work at once, where the token allows it.
const maxSessions = 8

// token is a token that roots of this process use, logged in. The standard has one login a process and token, so roots share it.
type token struct {
	lib     *Library
	info    Token
	pin     secret.Bytes  // our own copy, to log in again when the token was away
	allowed chan struct{} // one for each session that may be in use
	users   int           // roots; guarded by lib.mu

	mu     sync.Mutex // guards all below
	slot   uint
	gen    int               // how often it was opened; sessions of an older one are gone
	keep   p11.SessionHandle // stays open: with the last session the login ends
	idle   []p11.SessionHandle
	ending error // why it isn't used any more: the PIN was wrong when it was logged in again
}

// login takes a token into use, or shares one that is. attended says that a person has just given the PIN.
func (l *Library) login(name string, pin secret.Bytes, attended bool) (*token, error) {
	info, err := l.find(name)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, errors.New("pkcs11: the library is closed")
	}
	if t := l.tokens[info.Serial]; t != nil {
		// The token is logged in already and would not look at the PIN.
		if !t.pin.Equal(pin) {
			return nil, fmt.Errorf("%w: the token is in use with another one", ErrWrongPIN)
		}
		t.users++
		return t, nil
	}
	if err := checkPINState(info, attended); err != nil {
		return nil, err
	}
	own, err := secret.New(l.cfg.Arena, max(pin.Len(), 1), func(b []byte) error {
		return pin.Use(func(p []byte) error { copy(b, p); return nil })
	})
	if err != nil {
		return nil, fmt.Errorf("pkcs11: keep the PIN: %w", err)
	}
	most := maxSessions
	if info.most != 0 {
		most = max(1, min(most, int(info.most)-1)) // one more is kept open
	}
	t := &token{lib: l, info: info, pin: own, users: 1, allowed: make(chan struct{}, most)}
	if err := t.start(info.slot); err != nil {
		if !errors.Is(err, ErrHung) { // then it is in use for ever
			own.Wipe()
		}
		return nil, err
	}
	l.tokens[info.Serial] = t
	return t, nil
}

// checkPINState refuses to use up tries that a person should decide on.
func checkPINState(info Token, attended bool) error {
	switch {
	case info.flags&p11.CKF_USER_PIN_INITIALIZED == 0:
		return fmt.Errorf("pkcs11: token %q has no user PIN yet; set one with the vendor's tool (docs/runbooks/token.md)", info.Label)
	case info.flags&p11.CKF_USER_PIN_LOCKED != 0:
		return ErrPINLocked
	case info.flags&p11.CKF_USER_PIN_FINAL_TRY != 0 && !attended:
		return fmt.Errorf("%w: token %q has one try left before it locks; make sure of the PIN, then type it at the terminal, or give --pin-typed", ErrPINHeld, info.Label)
	}
	return nil
}

// release gives a token back. With the last user sessions and login end.
func (t *token) release() error {
	l := t.lib
	l.mu.Lock()
	defer l.mu.Unlock()
	t.users--
	if t.users > 0 {
		return nil
	}
	delete(l.tokens, t.info.Serial)
	t.mu.Lock()
	defer t.mu.Unlock()
	err := run(l, "C_CloseSession", func(m module) error {
		var errs []error
		for _, s := range append(t.idle, t.keep) {
			if err := m.CloseSession(s); err != nil && !lost(err) {
				errs = append(errs, fmt.Errorf("pkcs11: close a session: %w", err))
			}
		}
		return errors.Join(errs...)
	})
	t.idle = nil
	if !l.hung.Load() {
		t.pin.Wipe()
	}
	return err
}

// start opens the session that is kept, and logs in. The caller holds mu or is alone.
func (t *token) start(slot uint) error {
	attempt := func(m module) (p11.SessionHandle, error) {
		s, err := m.OpenSession(slot, p11.CKF_SERIAL_SESSION|p11.CKF_RW_SESSION)
		if err != nil {
			return 0, fmt.Errorf("pkcs11: open a session with token %q: %w", t.info.Label, err)
		}
		err = t.pin.Use(func(pin []byte) error { return m.Login(s, pin) })
		if is(err, p11.CKR_USER_ALREADY_LOGGED_IN) && t.gen > 0 {
			err = nil // by us: only the sessions were lost
		}
		if err != nil {
			return 0, errors.Join(err, m.CloseSession(s))
		}
		return s, nil
	}
	s, err := call(t.lib, "C_Login", attempt)
	if err != nil {
		return t.refused(err)
	}
	t.slot, t.keep, t.idle = slot, s, nil
	t.gen++
	return nil
}

// refused says in words why a login failed.
func (t *token) refused(err error) error {
	switch {
	case is(err, p11.CKR_PIN_LOCKED):
		return ErrPINLocked
	case is(err, p11.CKR_PIN_INCORRECT, p11.CKR_PIN_INVALID, p11.CKR_PIN_LEN_RANGE):
		return fmt.Errorf("%w; %s", ErrWrongPIN, t.triesLeft())
	case is(err, p11.CKR_PIN_EXPIRED):
		return errors.New("pkcs11: the PIN has expired; set a new one with the vendor's tool")
	case is(err, p11.CKR_USER_PIN_NOT_INITIALIZED):
		return errors.New("pkcs11: the token has no user PIN yet; set one with the vendor's tool")
	case is(err, p11.CKR_USER_ALREADY_LOGGED_IN, p11.CKR_USER_ANOTHER_ALREADY_LOGGED_IN):
		return errors.New("pkcs11: something else in this process is logged in at the token, so the PIN can't be checked; end it first")
	case errors.Is(err, ErrHung):
		return err
	case lost(err):
		return fmt.Errorf("%w: %w", ErrLost, err)
	}
	return fmt.Errorf("pkcs11: log in: %w", err)
}

// triesLeft asks the token's flags after a wrong PIN.
func (t *token) triesLeft() string {
	info, err := t.lib.find(t.info.Serial)
	switch {
	case err != nil:
		return "how many tries are left is not known"
	case info.flags&p11.CKF_USER_PIN_LOCKED != 0:
		return "that was the last try, the PIN is locked now"
	case info.flags&p11.CKF_USER_PIN_FINAL_TRY != 0:
		return "one try is left before the token locks"
	case info.flags&p11.CKF_USER_PIN_COUNT_LOW != 0:
		return "the token counts wrong tries; the next right one resets the count"
	}
	return "the token doesn't say how many tries are left"
}

// with runs f, which makes the calls of one act, in a session of its own. Where the token was away, it is opened anew, and f run once more: f must
// not mind that it may have had its effect the first time. f is under the rules of [call].
func with[T any](ctx context.Context, t *token, what string, f func(m module, s p11.SessionHandle) (T, error)) (T, error) {
	var none T
	select {
	case t.allowed <- struct{}{}:
		defer func() { <-t.allowed }()
	case <-ctx.Done():
		return none, ctx.Err()
	}
	for first := true; ; first = false {
		s, gen, err := t.session()
		if err == nil {
			var v T
			v, err = call(t.lib, what, func(m module) (T, error) { return f(m, s) })
			if err == nil {
				t.put(s, gen)
				return v, nil
			}
			t.drop(s)
		}
		if !lost(err) {
			return none, err
		}
		if !first {
			return none, fmt.Errorf("%w: %s: %w", ErrLost, what, err)
		}
		if err := t.again(gen); err != nil {
			return none, err
		}
	}
}

// do is [with] for what gives nothing.
func (t *token) do(ctx context.Context, what string, f func(m module, s p11.SessionHandle) error) error {
	_, err := with(ctx, t, what, func(m module, s p11.SessionHandle) (struct{}, error) { return struct{}{}, f(m, s) })
	return err
}

// session takes an idle session, or opens one, and says of which opening of the token it is.
func (t *token) session() (p11.SessionHandle, int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ending != nil {
		return 0, t.gen, t.ending
	}
	if n := len(t.idle); n > 0 {
		s := t.idle[n-1]
		t.idle = t.idle[:n-1]
		return s, t.gen, nil
	}
	slot := t.slot
	s, err := call(t.lib, "C_OpenSession", func(m module) (p11.SessionHandle, error) {
		return m.OpenSession(slot, p11.CKF_SERIAL_SESSION|p11.CKF_RW_SESSION)
	})
	if err != nil {
		return 0, t.gen, fmt.Errorf("pkcs11: open a session: %w", err)
	}
	return s, t.gen, nil
}

func (t *token) put(s p11.SessionHandle, gen int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if gen == t.gen {
		t.idle = append(t.idle, s)
	}
}

// drop closes a session in which something failed: an operation may be under way in it. That it may fail too tells nothing new.
func (t *token) drop(s p11.SessionHandle) {
	_ = run(t.lib, "C_CloseSession", func(m module) error { return m.CloseSession(s) })
}

// again opens the token anew, unless that was done since the opening gen. The token may be in another slot now.
func (t *token) again(gen int) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gen != gen || t.ending != nil {
		return t.ending
	}
	old := append(t.idle, t.keep)
	t.idle = nil
	_ = run(t.lib, "C_CloseSession", func(m module) error { // what is left of them; they may be gone
		for _, s := range old {
			_ = m.CloseSession(s)
		}
		return nil
	})
	info, err := t.lib.find(t.info.Serial)
	if errors.Is(err, ErrNoToken) {
		return fmt.Errorf("%w: %q (serial %s) is not there", ErrLost, t.info.Label, t.info.Serial)
	}
	if err != nil {
		return err
	}
	err = t.start(info.slot)
	if errors.Is(err, ErrWrongPIN) || errors.Is(err, ErrPINLocked) {
		t.ending = err // never twice
	}
	return err
}
