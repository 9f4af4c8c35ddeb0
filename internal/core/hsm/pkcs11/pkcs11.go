// SPDX-License-Identifier: Apache-2.0

// Package pkcs11 is the root of trust on a PKCS#11 token (docs/spec/blob.md, "PKCS#11 root"). Under each label lie two AES-256 keys that the
// token made and never gives: one encrypts a random part of 32 bytes (AES-GCM), one computes a contribution (AES-CMAC). Part, contribution
// and unlock secret together make the key of an envelope in a file. So file, token and unlock secret are all needed, and when the two objects are
// destroyed the file is worthless, that of any day.
//
// Keys that sign inside the token ([hsm.TokenKeys], [hsm.WrappedKeys]) and the token's randomness ([hsm.Randomness]) are further capabilities.
// [Library.Probe] tells what a library can do, by trying.
//
// It refuses: objects that came out weaker than asked for; files of another label, root or token; a PIN that was wrong, until somebody has
// looked at it; answers of a wrong length; and all work after a call that did not come back in time, for a call into C can't be cancelled.
// No object of this package both wraps and decrypts, the classic way to get keys out of a token.
//
// The counter resists older files: its number is in the token, as the name of a key that is made anew for each number. It does not resist a
// token that is set back itself, as SoftHSM's files can be, nor somebody with PIN and library.
//
// Copies outside the arena: those that the library makes; it is inside our process and trusted with the PIN anyway. PIN, part, contribution and
// token randomness go straight between arena and library.
//
// Specs: PKCS #11 v2.40 and v3.0 (OASIS), SP 800-38D (GCM), SP 800-38B (CMAC), SP 800-108 section 4.1 (counter mode), RFC 5869 (HKDF), RFC 5649 (KWP).
package pkcs11

import (
	"errors"
	"fmt"

	p11 "github.com/miekg/pkcs11"
)

// Kind is how genesis names this root.
const Kind = "pkcs11"

var (
	// ErrHung says that the library did not come back in time. Nothing is asked of it any more until the process was restarted.
	ErrHung = errors.New("pkcs11: the library did not answer in time and is not used any more; look at the token, then restart this process")
	// ErrLost says that the token is gone, and was still gone when it was looked for again.
	ErrLost = errors.New("pkcs11: the token is lost; put it back, or look at its connection, and try again")
	// ErrNoToken says that no token has the label or serial number.
	ErrNoToken = errors.New("pkcs11: no such token")
	// ErrOtherToken says that the root's files belong to another token.
	ErrOtherToken = errors.New("pkcs11: the root was made on another token")
	// ErrWrongPIN says that the token did not take the PIN. It is not tried again by itself.
	ErrWrongPIN = errors.New("pkcs11: the PIN is wrong")
	// ErrPINLocked says that the token takes no PIN any more.
	ErrPINLocked = errors.New("pkcs11: the PIN is locked; the token's security officer can set a new one")
	// ErrPINHeld says that a PIN was not tried, because the last one was wrong or the next is the last, and nobody has looked since.
	ErrPINHeld = errors.New("pkcs11: the PIN was not tried")
	// ErrWeak says that the token made an object with less protection than asked for. It was removed again.
	ErrWeak = errors.New("pkcs11: the token made a weaker object than asked for; this token can't be a root of trust")
	// ErrModule says that the library answered something that it must not.
	ErrModule = errors.New("pkcs11: the library answered wrongly")
	// ErrNoRoot says that the directory has no root: create one, or name the right directory.
	ErrNoRoot = errors.New("pkcs11: there is no root.pkcs11 here; create the root first, or name the right directory")
	// ErrRootExists says that the directory has a root already. It is never replaced.
	ErrRootExists = errors.New("pkcs11: there is a root.pkcs11 here already; open it, or choose another directory")
	// ErrUnlock says that the root was made with an unlock secret and none was given, or the other way round, or that it is too short.
	ErrUnlock = errors.New("pkcs11: unlock secret")
)

// code gives the return value of the library in an error.
func code(err error) (uint, bool) {
	var e p11.Error
	if !errors.As(err, &e) {
		return 0, false
	}
	return uint(e), true
}

// is reports whether err is one of some return values of the library.
func is(err error, values ...uint) bool {
	got, ok := code(err)
	for _, v := range values {
		if ok && got == v {
			return true
		}
	}
	return false
}

// lost reports whether err says that token, session or login are gone, so that opening them anew may help.
func lost(err error) bool {
	return is(err, p11.CKR_TOKEN_NOT_PRESENT, p11.CKR_DEVICE_REMOVED, p11.CKR_SESSION_HANDLE_INVALID, p11.CKR_SESSION_CLOSED, p11.CKR_SLOT_ID_INVALID,
		p11.CKR_USER_NOT_LOGGED_IN, p11.CKR_TOKEN_NOT_RECOGNIZED) || errors.Is(err, errLoggedOut)
}

// errLoggedOut says that a session has no user: private objects are not seen in it.
var errLoggedOut = errors.New("the session has lost its login")

// wrongLength is an answer that can't be.
func wrongLength(what string, got, want int) error {
	return fmt.Errorf("%w: %s of %d bytes, not %d", ErrModule, what, got, want)
}
