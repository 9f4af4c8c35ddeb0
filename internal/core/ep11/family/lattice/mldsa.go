// SPDX-License-Identifier: Apache-2.0

package lattice

import (
	"filippo.io/mldsa"

	"strongroom/internal/pure/ep11"
)

// dsaSet is a parameter set of ML-DSA.
type dsaSet struct {
	oid string
	of  mldsa.Parameters
}

func dsaSets() []dsaSet {
	return []dsaSet{{ep11.OIDMLDSA44, mldsa.MLDSA44()}, {ep11.OIDMLDSA65, mldsa.MLDSA65()}, {ep11.OIDMLDSA87, mldsa.MLDSA87()}}
}

func (dsaSet) ckk() uint64          { return ep11.CKK_IBM_ML_DSA }
func (p dsaSet) params() string     { return p.oid }
func (dsaSet) secretSizes() []int   { return []int{2 + mldsa.PrivateKeySize} }
func (p dsaSet) signatureSize() int { return p.of.SignatureSize() }

func (dsaSet) create(fill func([]byte) error, sk []byte) error { return newSeed(fill, sk) }

// key expands a secret.
func (p dsaSet) key(sk []byte) (*mldsa.PrivateKey, bool) {
	seed, ok := seedKey(sk, mldsa.PrivateKeySize)
	if !ok {
		return nil, false
	}
	key, err := mldsa.NewPrivateKey(p.of, seed)
	return key, err == nil
}

func (p dsaSet) public(sk []byte) ([]byte, bool) {
	key, ok := p.key(sk)
	if !ok {
		return nil, false
	}
	return key.PublicKey().Bytes(), true
}

func (p dsaSet) check(public []byte) bool {
	_, err := mldsa.NewPublicKey(p.of, public)
	return err == nil
}

// sign signs with an empty context, hedged with fresh randomness (FIPS 204 section 3.4).
func (p dsaSet) sign(sk, message []byte) ([]byte, bool) {
	key, ok := p.key(sk)
	if !ok {
		return nil, false
	}
	sig, err := key.Sign(nil, message, nil)
	return sig, err == nil
}

func (p dsaSet) verify(public, message, sig []byte) bool {
	key, err := mldsa.NewPublicKey(p.of, public)
	return err == nil && mldsa.Verify(key, message, sig, nil) == nil
}
