// SPDX-License-Identifier: Apache-2.0

package tpm2

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"

	tpm "github.com/google/go-tpm/tpm2"

	"strongroom/internal/core/internal/kdf"
	"strongroom/internal/pure/canon"
	"strongroom/internal/secret"
)

// The range of indexes for owners' use (TCG Registry of Reserved TPM 2.0 Handles and Localities, table 3).
const (
	firstIndex = 0x01800000
	indexBits  = 22
)

// authSize is the length of an authorization value: 24 random bytes as base64, because go-tpm v0.9.8 cuts a value off at its first zero byte.
const (
	authBytes = 24
	authSize  = authBytes * 4 / 3
)

// use is what something is derived for; see docs/spec/blob.md.
type use string

func useInfo(u use, label string) []byte {
	return canon.TagBytes(canon.TagTPM, []byte(string(u)+":"+label))
}

// deriveAuth gives an authorization value from a key: no person chose it, so that guessing is hopeless and the lockout need not guard it.
func deriveAuth(a *secret.Arena, key secret.Bytes, u use, label string) (auth secret.Bytes, err error) {
	raw, err := secret.New(a, authBytes, func(out []byte) error {
		return key.Use(func(k []byte) error { return kdf.HKDF(kdf.SHA384, out, k, nil, useInfo(u, label)) })
	})
	if err != nil {
		return auth, err
	}
	defer raw.Wipe()
	return secret.New(a, authSize, func(out []byte) error {
		return raw.Use(func(b []byte) error { base64.RawURLEncoding.Encode(out, b); return nil })
	})
}

// indexOf gives the place of an index, from a key: so nothing on the disk says which index belongs to what, and nothing that was altered there
// can lead an act to another one.
func indexOf(key secret.Bytes, label string) (index tpm.TPMHandle, err error) {
	err = key.Use(func(k []byte) error {
		var sum [sha256.Size]byte
		err := kdf.HMAC(kdf.SHA256, sum[:], k, useInfo("index", label))
		index = firstIndex + tpm.TPMHandle(binary.BigEndian.Uint32(sum[:])>>(32-indexBits))
		return err
	})
	return index, err
}

// partIndex is the public area of the index that holds a label's part, once written. Written and read with the policy only. It is left out of the
// lockout (NO_DA): its value is derived from the master key, which the PIN guards with the lockout, and a lockout must not stop a destroy.
func partIndex(index tpm.TPMHandle, digest tpm.TPM2BDigest, written bool) tpm.TPMSNVPublic {
	return tpm.TPMSNVPublic{NVIndex: index, NameAlg: tpm.TPMAlgSHA256, AuthPolicy: digest, DataSize: partSize,
		Attributes: tpm.TPMANV{PolicyWrite: true, PolicyRead: true, WriteAll: true, NoDA: true, NT: tpm.TPMNTOrdinary, Written: written}}
}

// counterIndex is the public area of a counter. Its value is random too.
func counterIndex(index tpm.TPMHandle, written bool) tpm.TPMSNVPublic {
	return tpm.TPMSNVPublic{NVIndex: index, NameAlg: tpm.TPMAlgSHA256, DataSize: 8,
		Attributes: tpm.TPMANV{AuthWrite: true, AuthRead: true, NoDA: true, NT: tpm.TPMNTCounter, Written: written}}
}

// named is an index as a command uses it. The name is computed here: the TPM refuses the command if the index has another one.
func named(p tpm.TPMSNVPublic) (tpm.NamedHandle, error) {
	name, err := tpm.NVName(&p)
	if err != nil {
		return tpm.NamedHandle{}, fmt.Errorf("name of index %#x: %w", p.NVIndex, err)
	}
	return tpm.NamedHandle{Handle: p.NVIndex, Name: *name}, nil
}

// findIndex gives the public area of an index, or nil if there is none.
func (o *op) findIndex(index tpm.TPMHandle) (*tpm.TPMSNVPublic, error) {
	r, err := tpm.NVReadPublic{NVIndex: index}.Execute(o)
	if errors.Is(err, tpm.TPMRCHandle) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read index %#x: %w", index, err)
	}
	p, err := r.NVPublic.Contents()
	if err != nil {
		return nil, fmt.Errorf("%w: index %#x: %w", ErrMalformed, index, err)
	}
	return p, nil
}

// confirm has the TPM say with a MAC that an index is what it was found to be.
func (o *op) confirm(k *primaryKey, p tpm.TPMSNVPublic) error {
	h, err := named(p)
	if err != nil {
		return err
	}
	s, err := o.session(k, nil, tpm.Audit())
	if err != nil {
		return err
	}
	r, err := tpm.NVReadPublic{NVIndex: h}.Execute(o, s)
	if err != nil {
		return fmt.Errorf("read index %#x: %w", p.NVIndex, err)
	}
	again, err := r.NVPublic.Contents()
	if err != nil || !bytes.Equal(tpm.Marshal(*again), tpm.Marshal(p)) {
		return fmt.Errorf("%w: index %#x: it is not what it was found to be", ErrMalformed, p.NVIndex)
	}
	return o.unload()
}

// define makes an index. Its authorization value travels encrypted.
func (o *op) define(k *primaryKey, p tpm.TPMSNVPublic, auth []byte) error {
	s, err := o.session(k, nil, encryptIn())
	if err != nil {
		return err
	}
	_, err = tpm.NVDefineSpace{AuthHandle: tpm.AuthHandle{Handle: tpm.TPMRHOwner, Auth: s}, Auth: tpm.TPM2BAuth{Buffer: auth}, PublicInfo: tpm.New2B(p)}.Execute(o)
	switch {
	case errors.Is(err, tpm.TPMRCNVSpace):
		return ErrFull
	case err != nil:
		return fmt.Errorf("define index %#x: %w", p.NVIndex, explainOwner(err))
	}
	return o.unload()
}

// undefine removes an index that is known to be ours.
func (o *op) undefine(k *primaryKey, p tpm.TPMSNVPublic) error {
	h, err := named(p)
	if err != nil {
		return err
	}
	s, err := o.session(k, nil)
	if err != nil {
		return err
	}
	if _, err := (tpm.NVUndefineSpace{AuthHandle: tpm.AuthHandle{Handle: tpm.TPMRHOwner, Auth: s}, NVIndex: h}).Execute(o); err != nil {
		return fmt.Errorf("remove index %#x: %w", p.NVIndex, explainOwner(err))
	}
	return o.unload()
}

// same says whether two public areas are the same, written or not.
func same(a, b tpm.TPMSNVPublic) bool {
	a.Attributes.Written, b.Attributes.Written = false, false
	return bytes.Equal(tpm.Marshal(a), tpm.Marshal(b))
}

// readIndex reads all of an index with a session that its authorization fits.
func (o *op) readIndex(p tpm.TPMSNVPublic, s tpm.Session) ([]byte, error) {
	h, err := named(p)
	if err != nil {
		return nil, err
	}
	r, err := tpm.NVRead{AuthHandle: tpm.AuthHandle{Handle: h.Handle, Name: h.Name, Auth: s}, NVIndex: h, Size: p.DataSize}.Execute(o)
	if err != nil {
		return nil, fmt.Errorf("read index %#x: %w", p.NVIndex, explainIndex(err))
	}
	if len(r.Data.Buffer) != int(p.DataSize) {
		clear(r.Data.Buffer)
		return nil, fmt.Errorf("read index %#x: %w: %d bytes", p.NVIndex, ErrMalformed, len(r.Data.Buffer))
	}
	return r.Data.Buffer, nil
}
