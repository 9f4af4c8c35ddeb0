// SPDX-License-Identifier: Apache-2.0

package tpm2

import (
	"errors"
	"fmt"
	"strings"
	"time"

	tpm "github.com/google/go-tpm/tpm2"
)

var (
	// ErrGone says that the TPM can't be reached, or was lost on the way.
	ErrGone = errors.New("the TPM can't be reached")
	// ErrSlow says that a command was not answered in time. What the TPM did is not known.
	ErrSlow = errors.New("the TPM does not answer; start again, and if that doesn't help restart the machine")
	// ErrMalformed says that what came back is no response of a TPM 2.0.
	ErrMalformed = errors.New("the TPM's response is malformed")
	// ErrPIN says that the PIN is wrong. The TPM counts that.
	ErrPIN = errors.New("the PIN is wrong")
	// ErrLockout says that the TPM takes no PIN at all for now, right or wrong, after too many wrong ones.
	ErrLockout = errors.New("the TPM is locked after too many wrong PINs")
	// ErrOtherTPM says that this TPM is not the one that the root was made with, or was cleared since.
	ErrOtherTPM = errors.New("this is another TPM, or it was cleared: its storage key is not the one that the root was made with; " +
		"what was sealed with the other is not recoverable from here: restore the domain by a ceremony, from a backup and the custodians' shares")
	// ErrFull says that the TPM has no room for another index.
	ErrFull = errors.New("the TPM's memory (NV) is full: destroy what is not needed, or remove other programs' indexes (tpm2_getcap handles-nv-index, tpm2_nvundefine)")
	// ErrOwner says that the owner hierarchy has a password, which this root does not use.
	ErrOwner = errors.New("the owner hierarchy of the TPM has a password or is switched off; remove the password (tpm2_changeauth -c owner) and switch it on")
	// ErrIndex says that an index of the TPM is missing or is not the one that was made.
	ErrIndex = errors.New("an index of the TPM is missing, or was removed and made again by somebody else")
	// ErrNoRoot says that the directory has no root: create one, or name the right directory.
	ErrNoRoot = errors.New("tpm2 root: there is no root.tpm here; create the root first, or name the right directory")
	// ErrRootExists says that the directory has a root already. It is never overwritten.
	ErrRootExists = errors.New("tpm2 root: there is a root.tpm here already; open it, or choose another directory")
)

// PCRError says that the machine started with other firmware, settings or boot programs than the root was bound to.
type PCRError struct {
	Changed []uint // registers with another value; empty if the TPM refused without saying which
}

func (e *PCRError) Error() string {
	which := "registers that the root is bound to have"
	if len(e.Changed) > 0 {
		names := make([]string, len(e.Changed))
		for i, n := range e.Changed {
			names[i] = fmt.Sprint(n)
		}
		which = "PCR " + strings.Join(names, ", ") + " has"
		if len(names) > 1 {
			which = "PCRs " + strings.Join(names, ", ") + " have"
		}
	}
	return which + " another value than when the root was made: firmware, its settings, Secure Boot keys or the boot program changed. " +
		"Put back what was changed and restart; if the change is wanted, restore the domain by a ceremony into a new root"
}

// explainPIN says why an object that the PIN guards was refused.
func (o *op) explainPIN(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, tpm.TPMRCAuthFail):
		return fmt.Errorf("%w%s", ErrPIN, o.triesLeft())
	case errors.Is(err, tpm.TPMRCLockout):
		return fmt.Errorf("%w%s", ErrLockout, o.unlockHint())
	}
	return explainPolicy(err)
}

// explainPolicy says why a policy session was refused.
func explainPolicy(err error) error {
	if errors.Is(err, tpm.TPMRCPolicyFail) || errors.Is(err, tpm.TPMRCPCRChanged) {
		return &PCRError{}
	}
	return err
}

// explainOwner says why the owner's authorization was refused.
func explainOwner(err error) error {
	if errors.Is(err, tpm.TPMRCBadAuth) || errors.Is(err, tpm.TPMRCAuthFail) || errors.Is(err, tpm.TPMRCHierarchy) {
		return fmt.Errorf("%w: %w", ErrOwner, err)
	}
	return err
}

// explainIndex says why the use of an index was refused.
func explainIndex(err error) error {
	if errors.Is(err, tpm.TPMRCHandle) || errors.Is(err, tpm.TPMRCBadAuth) || errors.Is(err, tpm.TPMRCAuthFail) || errors.Is(err, tpm.TPMRCNVUninitialized) ||
		errors.Is(err, tpm.TPMRCAttributes) || errors.Is(err, tpm.TPMRCAuthUnavailable) || errors.Is(err, tpm.TPMRCNVAuthorization) || errors.Is(err, tpm.TPMRCNVRange) {
		return fmt.Errorf("%w: %w", ErrIndex, err)
	}
	return explainPolicy(err)
}

// triesLeft tells how many wrong PINs the TPM still allows, as far as it says so.
func (o *op) triesLeft() string {
	failed, err1 := o.property(tpm.TPMPTLockoutCounter)
	most, err2 := o.property(tpm.TPMPTMaxAuthFail)
	if err1 != nil || err2 != nil || failed > most {
		return "; the TPM locks itself after some more wrong ones"
	}
	if failed == most {
		return "; the TPM is locked now" + o.unlockHint()
	}
	return fmt.Sprintf("; the TPM counts %d of %d wrong ones of all programs, and then locks itself", failed, most)
}

// unlockHint tells how to go on after a lockout.
func (o *op) unlockHint() string {
	hint := ": wait, or clear the lockout as the TPM's owner (tpm2_dictionarylockout --clear-lockout), and then enter the right PIN"
	if s, err := o.property(tpm.TPMPTLockoutInterval); err == nil && s > 0 {
		hint = fmt.Sprintf("; it forgives one wrong PIN every %v%s", time.Duration(s)*time.Second, hint)
	}
	return hint
}

// property reads a number that the TPM tells about itself.
func (o *op) property(p tpm.TPMPT) (uint32, error) {
	r, err := tpm.GetCapability{Capability: tpm.TPMCapTPMProperties, Property: uint32(p), PropertyCount: 1}.Execute(o)
	if err != nil {
		return 0, err
	}
	list, err := r.CapabilityData.Data.TPMProperties()
	if err != nil || len(list.TPMProperty) != 1 || list.TPMProperty[0].Property != p {
		return 0, errors.Join(ErrMalformed, err)
	}
	return list.TPMProperty[0].Value, nil
}
