// SPDX-License-Identifier: Apache-2.0

package tpm2

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"

	tpm "github.com/google/go-tpm/tpm2"
)

// nonceSize is the length of our nonces in bytes; the TPM's are as long.
const nonceSize = 16

// nameSize is the length of a name in bytes: the algorithm and a SHA-256.
const nameSize = 2 + sha256.Size

// primaryKey is the storage key of the TPM: ECC P-256 from the seed of the owner hierarchy, by the template of the TCG's provisioning guidance.
// The same seed gives the same key each time; TPM2_Clear gives another seed.
type primaryKey struct {
	name    []byte
	public  tpm.TPMTPublic
	context tpm.TPMSContext
	handle  tpm.TPMHandle // while the operation lasts
}

// storage loads the storage key. want is its name, or nil where nothing was made with it yet.
func (o *op) storage(want []byte) (*primaryKey, error) {
	k := o.d.primary
	if k != nil {
		if r, err := (tpm.ContextLoad{Context: k.context}).Execute(o); err == nil {
			k.handle = r.LoadedHandle
			o.loaded = append(o.loaded, k.handle)
		} else {
			k = nil // after a restart of the TPM; it may be another one
		}
	}
	if k == nil {
		var err error
		if k, err = o.makePrimary(); err != nil {
			return nil, err
		}
		o.d.primary = k
	}
	if want != nil && !bytes.Equal(k.name, want) {
		return nil, ErrOtherTPM
	}
	return k, nil
}

func (o *op) makePrimary() (*primaryKey, error) {
	r, err := tpm.CreatePrimary{PrimaryHandle: tpm.AuthHandle{Handle: tpm.TPMRHOwner, Auth: tpm.PasswordAuth(nil)},
		InPublic: tpm.New2B(tpm.ECCSRKTemplate)}.Execute(o)
	if err != nil {
		return nil, fmt.Errorf("make the storage key: %w", explainOwner(err))
	}
	o.loaded = append(o.loaded, r.ObjectHandle)
	public, err := r.OutPublic.Contents()
	if err != nil {
		return nil, fmt.Errorf("%w: storage key: %w", ErrMalformed, err)
	}
	// The public part must be the template's but for the point, and its name is ours to compute.
	point, err := public.Unique.ECC()
	if err != nil {
		return nil, fmt.Errorf("%w: storage key: %w", ErrMalformed, err)
	}
	template := tpm.ECCSRKTemplate
	template.Unique = tpm.NewTPMUPublicID(tpm.TPMAlgECC, point)
	if !bytes.Equal(tpm.Marshal(template), tpm.Marshal(*public)) {
		return nil, fmt.Errorf("%w: the storage key is not of the kind that was asked for", ErrMalformed)
	}
	name, err := tpm.ObjectName(public)
	if err != nil {
		return nil, fmt.Errorf("%w: storage key: %w", ErrMalformed, err)
	}
	saved, err := tpm.ContextSave{SaveHandle: r.ObjectHandle}.Execute(o)
	if err != nil {
		return nil, fmt.Errorf("save the storage key: %w", err)
	}
	return &primaryKey{name: name.Buffer, public: *public, context: saved.Context, handle: r.ObjectHandle}, nil
}

// options are those of every session: salted to the storage key, so that who listens on the bus learns neither authorization values nor what
// is encrypted, and who talks there can't forge an answer.
func (k *primaryKey) options(auth []byte, extra []tpm.AuthOption) []tpm.AuthOption {
	return append([]tpm.AuthOption{tpm.Salted(k.handle, k.public), tpm.Auth(auth)}, extra...)
}

// session starts an HMAC session. auth must not hold zero bytes and is used while the session is.
func (o *op) session(k *primaryKey, auth []byte, extra ...tpm.AuthOption) (tpm.Session, error) {
	s, _, err := tpm.HMACSession(o, tpm.TPMAlgSHA256, nonceSize, k.options(auth, extra)...)
	if err != nil {
		return nil, fmt.Errorf("start a session: %w", err)
	}
	o.loaded = append(o.loaded, s.Handle())
	return s, nil
}

// policySession starts a session that meets a policy if the PIN, or what stands for it, is auth and the PCRs are as they were.
func (o *op) policySession(k *primaryKey, p policy, auth []byte, extra ...tpm.AuthOption) (tpm.Session, error) {
	s, _, err := tpm.PolicySession(o, tpm.TPMAlgSHA256, nonceSize, k.options(auth, extra)...)
	if err != nil {
		return nil, fmt.Errorf("start a session: %w", err)
	}
	o.loaded = append(o.loaded, s.Handle())
	if len(p.PCRs) > 0 {
		if _, err := p.pcr(s.Handle()).Execute(o); errors.Is(err, tpm.TPMRCValue) {
			return nil, &PCRError{}
		} else if err != nil {
			return nil, fmt.Errorf("policy: %w", explainPolicy(err))
		}
	}
	if _, err := (tpm.PolicyAuthValue{PolicySession: s.Handle()}).Execute(o); err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	return s, nil
}

// encryptIn and encryptOut ask for the first parameter of a command, or of its response, to be encrypted with AES-128-CFB, the mode and length
// that every TPM has.
func encryptIn() tpm.AuthOption  { return tpm.AESEncryption(128, tpm.EncryptIn) }
func encryptOut() tpm.AuthOption { return tpm.AESEncryption(128, tpm.EncryptOut) }
