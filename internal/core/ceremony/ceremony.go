// SPDX-License-Identifier: Apache-2.0

// Package ceremony is what touches secrets when custodians make, keep, bring back or change the master secret R. It does no I/O, keeps no
// script and no transcript, and knows no terminal: what surrounds it decides who acts when, and calls it (docs/spec/share.md).
//
//   - [Begin] draws from the machine's sources of randomness and commits to what they gave; custodians commit to their dice and show them
//     ([Draw.Roll], or [Draw.Promise] and [Draw.Reveal]); [Draw.Make] mixes all of it into R and seals each custodian's share to them.
//   - A custodian opens their share ([OpenShare], [FromWords]), which checks it against the commitments, signs a receipt for it, can write
//     it down as words, and hands it in at a load by sealing it to the load's one-time key ([Opened.HandIn]).
//   - [NewLoad] makes that key; [Load.Restore] brings back the recovery key, [Load.Refresh] makes new shares of the same R.
//
// R is in memory inside [Draw.Make], [Load.Restore] and [Load.Refresh] only, and shares of others than the caller's own only there and in a
// Load: all are wiped before these return, whatever happens.
//
// It refuses, each with an error that names whom to ask: fewer shares than needed, a share twice, a wrong one, shares of another ceremony
// or voided by a change of custodians, dice that are too few or look made up, a source that changed its mind, a threshold of 1 in production.
//
// Copies outside the arena: age (filippo.io/age) keeps file keys and, when it opens a file, the plaintext on the heap; packages sharing and
// internal/core/internal/hybrid say what they leave. A ceremony runs in a process that ends with it.
//
// Specs: RFC 5869 (HKDF), RFC 9180 (HPKE), age-encryption.org/v1.
package ceremony

import (
	"errors"
	"fmt"

	"strongroom/internal/pure/share"
)

var (
	// ErrInput says that a configuration or a name can't be used.
	ErrInput = errors.New("ceremony: can't be used")
	// ErrOrder says that a step was asked for before its time, twice, or after the end.
	ErrOrder = errors.New("ceremony: not now")
	// ErrSource says that a source of randomness failed or gave what no such source gives: stop and have the machine looked at.
	ErrSource = errors.New("ceremony: a source of randomness is not to be trusted")
	// ErrDice says that dice are too few or look made up: roll again.
	ErrDice = errors.New("ceremony: the dice can't be used")
	// ErrPromise says that somebody shows another value than the one they had committed to.
	ErrPromise = errors.New("ceremony: not what was committed to")
	// ErrRecipient says that a custodian's recipient can't be read.
	ErrRecipient = errors.New("ceremony: not a recipient")
	// ErrOpen says that a sealed share does not open: it is somebody else's, or was altered.
	ErrOpen = errors.New("ceremony: the share does not open: it was sealed to another key, or altered")
	// ErrOther says that a share is of another ceremony, or of a sharing that is void since custodians changed.
	ErrOther = errors.New("ceremony: the share is of another ceremony, or was voided by a change of custodians")
	// ErrLoad says that a share was sealed for another load.
	ErrLoad = errors.New("ceremony: sealed to the key of another load; seal the share again to the key of this one")
)

// CustodianError says whose share an error is about.
type CustodianError struct {
	Custodian string
	Index     uint8
	Err       error
}

// Error names the custodian.
func (e *CustodianError) Error() string {
	return fmt.Sprintf("share %d, of %s: %v", e.Index, e.Custodian, e.Err)
}

// Unwrap returns what is wrong.
func (e *CustodianError) Unwrap() error { return e.Err }

func about(m share.Meta, err error) error {
	return &CustodianError{Custodian: m.Custodian, Index: m.Index, Err: err}
}
