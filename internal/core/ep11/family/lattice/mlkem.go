// SPDX-License-Identifier: Apache-2.0

package lattice

import (
	"context"
	"crypto/mlkem"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/core/internal/kdf"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/secret"
)

// kemSet is a parameter set of ML-KEM. encapsulate makes a shared secret and its ciphertext, or says that the public key is none; decapsulate gets
// the secret back from a ciphertext of the right length.
type kemSet struct {
	oid         string
	cipherSize  int
	publicOf    func(seed []byte) ([]byte, error)
	encapsulate func(public []byte) (shared, cipher []byte, err error)
	decapsulate func(seed, cipher []byte) ([]byte, error)
}

func kemSets() []kemSet {
	return []kemSet{
		{
			ep11.OIDMLKEM768, mlkem.CiphertextSize768,
			func(seed []byte) ([]byte, error) {
				k, err := mlkem.NewDecapsulationKey768(seed)
				if err != nil {
					return nil, err
				}
				return k.EncapsulationKey().Bytes(), nil
			},
			func(public []byte) ([]byte, []byte, error) {
				k, err := mlkem.NewEncapsulationKey768(public)
				if err != nil {
					return nil, nil, err
				}
				shared, cipher := k.Encapsulate()
				return shared, cipher, nil
			},
			func(seed, cipher []byte) ([]byte, error) {
				k, err := mlkem.NewDecapsulationKey768(seed)
				if err != nil {
					return nil, err
				}
				return k.Decapsulate(cipher)
			},
		},
		{
			ep11.OIDMLKEM1024, mlkem.CiphertextSize1024,
			func(seed []byte) ([]byte, error) {
				k, err := mlkem.NewDecapsulationKey1024(seed)
				if err != nil {
					return nil, err
				}
				return k.EncapsulationKey().Bytes(), nil
			},
			func(public []byte) ([]byte, []byte, error) {
				k, err := mlkem.NewEncapsulationKey1024(public)
				if err != nil {
					return nil, nil, err
				}
				shared, cipher := k.Encapsulate()
				return shared, cipher, nil
			},
			func(seed, cipher []byte) ([]byte, error) {
				k, err := mlkem.NewDecapsulationKey1024(seed)
				if err != nil {
					return nil, err
				}
				return k.Decapsulate(cipher)
			},
		},
	}
}

func (kemSet) ckk() uint64        { return ep11.CKK_IBM_ML_KEM }
func (p kemSet) params() string   { return p.oid }
func (kemSet) secretSizes() []int { return []int{2 + mlkem.SeedSize} }

func (kemSet) create(fill func([]byte) error, sk []byte) error { return newSeed(fill, sk) }

func (p kemSet) public(sk []byte) ([]byte, bool) {
	seed, ok := seedKey(sk, mlkem.SeedSize)
	if !ok {
		return nil, false
	}
	public, err := p.publicOf(seed)
	return public, err == nil
}

// check is the encapsulation key check of FIPS 203 section 7.2.
func (p kemSet) check(public []byte) bool {
	shared, _, err := p.encapsulate(public)
	clear(shared)
	return err == nil
}

// deriver encapsulates and decapsulates.
type deriver struct{ of kemSet }

// hybrids are the hash functions of the hybrid key derivation functions.
var hybrids = map[uint64]kdf.Hash{
	ep11.CKD_HYBRID_SHA1_KDF: kdf.SHA1, ep11.CKD_HYBRID_SHA224_KDF: kdf.SHA224, ep11.CKD_HYBRID_SHA256_KDF: kdf.SHA256,
	ep11.CKD_HYBRID_SHA384_KDF: kdf.SHA384, ep11.CKD_HYBRID_SHA512_KDF: kdf.SHA512,
}

// check refuses parameters that don't fit each other or the key.
func (d deriver) check(in family.Derivation) (*ep11.Kyber, error) {
	p := in.Mechanism.Kyber
	if p == nil || p.Version != 0 || p.Mode != ep11.CK_KEM_ENCAPSULATE && p.Mode != ep11.CK_KEM_DECAPSULATE {
		return nil, ep11.Fail(ep11.CKR_MECHANISM_PARAM_INVALID, "the encapsulation's parameter is missing, or of another version or mode")
	}
	if in.Base == nil {
		return nil, ep11.CKR_KEY_NEEDED
	}
	hybrid := p.KDF == ep11.CKD_HYBRID_NULL || hybrids[p.KDF] != 0
	switch {
	case p.KDF != ep11.CKD_NULL && !hybrid:
		return nil, ep11.Fail(ep11.CKR_MECHANISM_PARAM_INVALID, "key derivation function 0x%x is not offered here", p.KDF)
	case hybrid != (in.Other != nil && in.Other.Secret.Len() > 0):
		return nil, ep11.Fail(ep11.CKR_MECHANISM_PARAM_INVALID, "a hybrid function takes the blob of a secret, and the other none")
	case hybrids[p.KDF] == 0 && len(p.Shared) > 0, !hybrid && p.Prepend:
		return nil, ep11.Fail(ep11.CKR_MECHANISM_PARAM_INVALID, "shared data or an order without a function that uses it")
	case (p.Mode == ep11.CK_KEM_ENCAPSULATE) != (in.Base.Secret.Len() == 0):
		return nil, ep11.Fail(ep11.CKR_KEY_TYPE_INCONSISTENT, "the public key encapsulates, the private one decapsulates")
	case p.Mode == ep11.CK_KEM_ENCAPSULATE && len(p.Cipher) != 0, p.Mode == ep11.CK_KEM_DECAPSULATE && len(p.Cipher) != d.of.cipherSize:
		return nil, ep11.Fail(ep11.CKR_MECHANISM_PARAM_INVALID, "a ciphertext of %d bytes", len(p.Cipher))
	}
	return p, nil
}

// Derive makes a key of the shared secret, alone or with another secret.
func (d deriver) Derive(_ context.Context, t family.Tools, in family.Derivation) (family.Derived, error) {
	p, err := d.check(in)
	if err != nil {
		return family.Derived{}, err
	}
	available := mlkem.SharedKeySize
	if p.KDF == ep11.CKD_HYBRID_NULL {
		available += in.Other.Secret.Len()
	} else if p.KDF != ep11.CKD_NULL {
		available = 0
	}
	n, err := family.SymmetricLength(in, available)
	if err != nil {
		return family.Derived{}, err
	}
	if p.KDF == ep11.CKD_HYBRID_NULL && n != available { // a part of it could be the other secret alone
		return family.Derived{}, ep11.Fail(ep11.CKR_KEY_SIZE_RANGE, "both secrets together have %d bytes, not %d", available, n)
	}
	shared, cipher, err := d.shared(t, p, in.Base)
	if err != nil {
		return family.Derived{}, err
	}
	defer shared.Wipe()
	z := shared
	if in.Other != nil {
		if z, err = joined(t, shared, in.Other.Secret, p.Prepend); err != nil {
			return family.Derived{}, err
		}
		defer z.Wipe()
	}
	out, err := family.NewSymmetric(t, in, n, func(out []byte) error {
		return z.Use(func(z []byte) error {
			if h := hybrids[p.KDF]; h != 0 {
				return kdf.X963(h, out, z, p.Shared)
			}
			copy(out, z[:n])
			return nil
		})
	})
	out.Cipher = cipher
	return out, err
}

// shared gives the shared secret, and the ciphertext where one is made.
func (d deriver) shared(t family.Tools, p *ep11.Kyber, base *family.Key) (shared secret.Bytes, cipher []byte, err error) {
	if p.Mode == ep11.CK_KEM_ENCAPSULATE {
		secret.Do(func() {
			var raw []byte
			if raw, cipher, err = d.of.encapsulate(base.Public); err != nil {
				err = ep11.Fail(ep11.CKR_PUBLIC_KEY_INVALID, "not a public key of its type")
				return
			}
			shared, err = secret.Take(t.Arena, raw)
		})
		return shared, cipher, err
	}
	err = base.Secret.Use(func(sk []byte) (err error) {
		seed, ok := seedKey(sk, mlkem.SeedSize)
		if !ok {
			return family.ErrFault
		}
		secret.Do(func() {
			var raw []byte
			if raw, err = d.of.decapsulate(seed, p.Cipher); err == nil {
				shared, err = secret.Take(t.Arena, raw)
			}
		})
		return err
	})
	return shared, nil, err
}

// joined gives the other secret followed by the shared one, or the shared one first.
func joined(t family.Tools, shared, other secret.Bytes, sharedFirst bool) (z secret.Bytes, err error) {
	err = shared.Use(func(a []byte) error {
		return other.Use(func(b []byte) error {
			if !sharedFirst {
				a, b = b, a
			}
			z, err = secret.New(t.Arena, len(a)+len(b), func(out []byte) error {
				copy(out[copy(out, a):], b)
				return nil
			})
			return err
		})
	})
	return z, err
}
