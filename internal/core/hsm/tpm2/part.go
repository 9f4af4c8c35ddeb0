// SPDX-License-Identifier: Apache-2.0

package tpm2

import (
	"crypto/rand"
	"errors"
	"fmt"

	tpm "github.com/google/go-tpm/tpm2"

	"strongroom/internal/core/hsm"
	"strongroom/internal/core/internal/kdf"
	"strongroom/internal/core/seal"
	"strongroom/internal/secret"
)

// partSize is the length in bytes of each part of a key: the one in a sealed object, the one in an index, the one that comes from the PIN.
const partSize = 32

// object is a sealed object of the TPM, as a file keeps it: encrypted and authenticated by the TPM under its storage key.
type object struct {
	Public  []byte `cbor:"1,keyasint"` // TPMT_PUBLIC
	Private []byte `cbor:"2,keyasint"` // content of a TPM2B_PRIVATE
}

func newPart(a *secret.Arena) (secret.Bytes, error) {
	return secret.New(a, partSize, func(b []byte) error { _, err := rand.Read(b); return err })
}

// template is a sealed object that only the policy opens. The lockout guards it: its authorization value comes from the PIN.
func template(digest tpm.TPM2BDigest) tpm.TPMTPublic {
	return tpm.TPMTPublic{Type: tpm.TPMAlgKeyedHash, NameAlg: tpm.TPMAlgSHA256, AuthPolicy: digest,
		ObjectAttributes: tpm.TPMAObject{FixedTPM: true, FixedParent: true, AdminWithPolicy: true}}
}

// sealPart makes a sealed object.
func (o *op) sealPart(k *primaryKey, p policy, pin, part secret.Bytes) (out object, err error) {
	digest, err := p.digest()
	if err != nil {
		return object{}, err
	}
	s, err := o.session(k, nil, encryptIn())
	if err != nil {
		return object{}, err
	}
	err = pin.Use(func(auth []byte) error {
		return part.Use(func(b []byte) error {
			r, err := tpm.Create{ParentHandle: k.auth(s), InPublic: tpm.New2B(template(digest)),
				InSensitive: tpm.TPM2BSensitiveCreate{Sensitive: &tpm.TPMSSensitiveCreate{UserAuth: tpm.TPM2BAuth{Buffer: auth},
					Data: tpm.NewTPMUSensitiveCreate(&tpm.TPM2BSensitiveData{Buffer: b})}}}.Execute(o)
			if err != nil {
				return fmt.Errorf("make a sealed object: %w", explainOwner(err))
			}
			out = object{Public: r.OutPublic.Bytes(), Private: r.OutPrivate.Buffer}
			return nil
		})
	})
	if err != nil {
		return object{}, err
	}
	return out, o.unload()
}

// auth is the storage key as a parent. Its authorization value is empty: the session keeps what travels from others.
func (k *primaryKey) auth(s tpm.Session) tpm.AuthHandle {
	return tpm.AuthHandle{Handle: k.handle, Name: tpm.TPM2BName{Buffer: k.name}, Auth: s}
}

// openPart opens a sealed object with the PIN.
func (o *op) openPart(k *primaryKey, a *secret.Arena, p policy, pin secret.Bytes, obj object) (part secret.Bytes, err error) {
	public, err := tpm.Unmarshal[tpm.TPMTPublic](obj.Public)
	if err != nil {
		return part, fmt.Errorf("%w: sealed object: %w", hsm.ErrAltered, err)
	}
	digest, err := p.digest()
	if err != nil {
		return part, err
	}
	want := template(digest)
	want.Unique = public.Unique
	if string(tpm.Marshal(want)) != string(obj.Public) {
		return part, fmt.Errorf("%w: the sealed object has another policy or kind", hsm.ErrAltered)
	}
	name, err := tpm.ObjectName(public)
	if err != nil {
		return part, fmt.Errorf("%w: sealed object: %w", hsm.ErrAltered, err)
	}
	load, err := o.session(k, nil)
	if err != nil {
		return part, err
	}
	r, err := tpm.Load{ParentHandle: k.auth(load), InPrivate: tpm.TPM2BPrivate{Buffer: obj.Private}, InPublic: tpm.New2B(*public)}.Execute(o)
	switch {
	case errors.As(err, new(tpm.TPMFmt1Error)): // of a parameter
		return part, fmt.Errorf("%w: the TPM does not take the sealed object: %w", hsm.ErrAltered, err)
	case err != nil:
		return part, fmt.Errorf("load the sealed object: %w", err)
	}
	o.loaded = append(o.loaded, r.ObjectHandle)
	err = pin.Use(func(auth []byte) error {
		s, err := o.policySession(k, p, auth, encryptOut())
		if err != nil {
			return err
		}
		r, err := tpm.Unseal{ItemHandle: tpm.AuthHandle{Handle: r.ObjectHandle, Name: *name, Auth: s}}.Execute(o)
		if err != nil {
			return fmt.Errorf("open the sealed object: %w", o.explainPIN(err))
		}
		if len(r.OutData.Buffer) != partSize {
			clear(r.OutData.Buffer)
			return fmt.Errorf("open the sealed object: %w: %d bytes", ErrMalformed, len(r.OutData.Buffer))
		}
		part, err = secret.Take(a, r.OutData.Buffer)
		return err
	})
	return part, err
}

// writePart makes the index of a label and writes a part into it.
func (o *op) writePart(k *primaryKey, p policy, index tpm.TPMHandle, auth, part secret.Bytes) error {
	digest, err := p.digest()
	if err != nil {
		return err
	}
	return auth.Use(func(auth []byte) error {
		if err := o.define(k, partIndex(index, digest, false), auth); err != nil {
			return err
		}
		h, err := named(partIndex(index, digest, false))
		if err != nil {
			return err
		}
		s, err := o.policySession(k, p, auth, encryptIn())
		if err != nil {
			return err
		}
		err = part.Use(func(b []byte) error {
			_, err := tpm.NVWrite{AuthHandle: tpm.AuthHandle{Handle: h.Handle, Name: h.Name, Auth: s}, NVIndex: h, Data: tpm.TPM2BMaxNVBuffer{Buffer: b}}.Execute(o)
			return err
		})
		if err != nil {
			return fmt.Errorf("write index %#x: %w", index, explainIndex(err))
		}
		return o.unload()
	})
}

// readPart reads a label's part from its index.
func (o *op) readPart(k *primaryKey, a *secret.Arena, p policy, index tpm.TPMHandle, auth secret.Bytes) (part secret.Bytes, err error) {
	digest, err := p.digest()
	if err != nil {
		return part, err
	}
	err = auth.Use(func(auth []byte) error {
		s, err := o.policySession(k, p, auth, encryptOut())
		if err != nil {
			return err
		}
		b, err := o.readIndex(partIndex(index, digest, true), s)
		if err != nil {
			return err
		}
		if part, err = secret.Take(a, b); err != nil {
			return err
		}
		return o.unload()
	})
	return part, err
}

// removePart removes a label's index, whatever it holds. It gives false if there is none, and [ErrIndex] if the place is taken by what is not ours.
func (o *op) removePart(k *primaryKey, p policy, index tpm.TPMHandle, auth secret.Bytes) (bool, error) {
	found, err := o.findIndex(index)
	if found == nil || err != nil {
		return false, err
	}
	digest, err := p.digest()
	if err != nil {
		return false, err
	}
	if !same(*found, partIndex(index, digest, false)) {
		return false, fmt.Errorf("%w: index %#x is used by another program", ErrIndex, index)
	}
	err = auth.Use(func(auth []byte) error { // is it ours?
		s, err := o.policySession(k, p, auth, encryptOut())
		if err != nil {
			return err
		}
		b, err := o.readIndex(*found, s)
		clear(b)
		if err != nil && !errors.Is(err, tpm.TPMRCNVUninitialized) {
			return err
		}
		return o.unload()
	})
	if err != nil {
		return false, err
	}
	return true, o.undefine(k, *found)
}

// expelPart makes sure that a label's index is gone, where a file says that there is one. The answer to its removal carries a MAC. What a TPM
// says without a session, and its errors, carry none: anybody on the bus can say that there is no index, or another's. Another's is believed
// once the TPM confirms it with a MAC; none, once its place could be taken, which the TPM allows only where it is free. An index that looks
// like ours is removed without a look into it: Seal takes no place that is in use, and a changed PCR must not stop a destroy.
func (o *op) expelPart(k *primaryKey, p policy, index tpm.TPMHandle, auth secret.Bytes) error {
	digest, err := p.digest()
	if err != nil {
		return err
	}
	ours := partIndex(index, digest, false)
	found, err := o.findIndex(index)
	switch {
	case err != nil:
		return err
	case found != nil && !same(*found, ours):
		return o.confirm(k, *found)
	case found != nil:
		return o.undefine(k, *found)
	}
	if err := auth.Use(func(auth []byte) error { return o.define(k, ours, auth) }); err != nil {
		return fmt.Errorf("%w: the TPM says that index %#x is gone, and does not let its place be taken: %w", ErrIndex, index, err)
	}
	return o.undefine(k, ours)
}

// join derives the key of an envelope from its parts, in this order. Which parts there are follows from what it is for.
func join(a *secret.Arena, u use, label string, parts ...secret.Bytes) (key secret.Bytes, err error) {
	all, err := secret.New(a, len(parts)*partSize, func(b []byte) error {
		for i, p := range parts {
			err := p.Use(func(from []byte) error {
				if len(from) != partSize {
					return fmt.Errorf("part %d has %d bytes", i, len(from))
				}
				copy(b[i*partSize:], from)
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return secret.Bytes{}, err
	}
	defer all.Wipe()
	return secret.New(a, seal.KeySize, func(out []byte) error {
		return all.Use(func(b []byte) error { return kdf.HKDF(kdf.SHA384, out, b, nil, useInfo(u, label)) })
	})
}
