// SPDX-License-Identifier: Apache-2.0

// Package schnorr is the family of the two EC-Schnorr signatures of CKM_IBM_ECDSA_OTHER, on P-256 and secp256k1 with SHA-256. Signatures are
// r || s of 32 bytes each; the whole message is hashed.
//
//	type 3 (S256):        r = H(Qx || Qy || M), s = k + r·d mod n; verified by Q = s·G - r·P. ECSDSA of ISO/IEC 14888-3 and BSI TR-03111, in
//	                      the form with both coordinates. The vendor doesn't say which form the hardware has, so this is a choice.
//	type 5 (COMPR_MULTI): r = H(compressed Q || compressed P || M) mod n, s = k - r·d mod n; verified by Q = s·G + r·P (Zilliqa's)
//
// The nonce k is hedged: HMAC-SHA-256 under the private key of fresh randomness, type and message, drawn again while it is out of range. Neither
// a failing source of randomness nor a repeated message makes two signatures share one.
//
// It refuses signatures with a part that is 0 or not below the order; for type 3 r is a hash, of which the residue must not be 0.
//
// Constant time: packages group and kdf. Copies outside the arena: those of package group.
package schnorr

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/core/internal/curve"
	"strongroom/internal/core/internal/group"
	"strongroom/internal/core/internal/kdf"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/secret"
)

// nonceTag separates the nonces of this package from whatever else is computed with a key.
const nonceTag = "strongroom/ec-schnorr/nonce/v1"

// tries is how often a signature is begun anew: once has a probability below 1 in 2^32.
const tries = 8

// part is the length of r and of s.
const part = 32

// Set gives the family, on a backend for secp256k1.
func Set(b *curve.Backend) family.Set {
	return family.Set{Rows: []family.Row{
		{Mechanism: ep11.CKM_IBM_ECDSA_OTHER, Keys: []family.KeyType{{Type: ep11.CKK_EC, Params: ep11.OIDP256}}, Sign: signer{group.P256()}},
		{Mechanism: ep11.CKM_IBM_ECDSA_OTHER, Keys: []family.KeyType{{Type: ep11.CKK_EC, Params: ep11.OIDSecp256k1}}, Sign: signer{group.Secp256k1(b)}},
	}}
}

// signer signs on one curve.
type signer struct{ group *group.Group }

// kind reads the parameter.
func kind(m ep11.Mechanism) (uint64, error) {
	if m.Sign == nil || m.Sign.Type != ep11.CK_ECSG_S256 && m.Sign.Type != ep11.CK_ECSG_COMPR_MULTI {
		return 0, ep11.Fail(ep11.CKR_MECHANISM_PARAM_INVALID, "the signature type is missing or not one for this curve")
	}
	return m.Sign.Type, nil
}

// challenge gives r as the signature has it, and as a scalar. A scalar of 0 is [group.ErrScalar].
func (s signer) challenge(kind uint64, nonce, public, message []byte) (r, scalar []byte, err error) {
	h := sha256.New()
	if kind == ep11.CK_ECSG_S256 {
		h.Write(nonce[1:])
		h.Write(message)
		r = h.Sum(nil)
		scalar, err = s.group.Reduce(r)
		return r, scalar, err
	}
	for _, point := range [][]byte{nonce, public} {
		short, err := s.group.Compress(point)
		if err != nil {
			return nil, nil, err
		}
		h.Write(short)
	}
	h.Write(message)
	scalar, err = s.group.Reduce(h.Sum(nil))
	return scalar, scalar, err
}

// Sign signs a message.
func (s signer) Sign(ctx context.Context, t family.Tools, m ep11.Mechanism, k family.Key, message []byte) ([]byte, error) {
	which, err := kind(m)
	if err != nil {
		return nil, err
	}
	var sig []byte
	err = k.Secret.Use(func(sk []byte) (err error) {
		public, err := s.group.Public(sk)
		if err != nil {
			return err
		}
		for range tries {
			sig, err = s.attempt(ctx, t, which, sk, public, message)
			if !errors.Is(err, group.ErrScalar) {
				break
			}
		}
		if err == nil && s.verify(which, public, message, sig) != nil {
			err = family.ErrFault
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return sig, nil
}

// attempt makes a signature, or [group.ErrScalar] when its nonce gives none.
func (s signer) attempt(ctx context.Context, t family.Tools, which uint64, sk, public, message []byte) ([]byte, error) {
	nonce, err := s.nonce(ctx, t, which, sk, message)
	if err != nil {
		return nil, err
	}
	defer nonce.Wipe()
	var sig []byte
	err = nonce.Use(func(n []byte) error {
		point, err := s.group.Public(n)
		if err != nil {
			return err
		}
		r, e, err := s.challenge(which, point, public, message)
		if err != nil {
			return err
		}
		sig = append(r, make([]byte, part)...)
		return s.group.MulAdd(sk, e, n, which == ep11.CK_ECSG_COMPR_MULTI, sig[part:])
	})
	return sig, err
}

// nonce draws the secret nonce of one signature.
func (s signer) nonce(ctx context.Context, t family.Tools, which uint64, sk, message []byte) (secret.Bytes, error) {
	fresh, err := secret.New(t.Arena, part, func(b []byte) error { return t.Random.Fill(ctx, b) })
	if err != nil {
		return secret.Bytes{}, err
	}
	defer fresh.Wipe()
	digest := sha256.Sum256(message)
	var nonce secret.Bytes
	err = fresh.Use(func(random []byte) (err error) {
		draw := byte(0)
		nonce, err = secret.New(t.Arena, part, func(b []byte) error {
			return s.group.Scalar(func(out []byte) error {
				draw++
				return kdf.HMAC(kdf.SHA256, out, sk, []byte(nonceTag), []byte{byte(which), draw}, random, digest[:])
			}, b)
		})
		return err
	})
	return nonce, err
}

// Verify checks a signature.
func (s signer) Verify(_ context.Context, _ family.Tools, m ep11.Mechanism, k family.Key, message, sig []byte) error {
	which, err := kind(m)
	if err != nil {
		return err
	}
	return s.verify(which, k.Public, message, sig)
}

func (s signer) verify(which uint64, public, message, sig []byte) error {
	if len(sig) != 2*part {
		return ep11.CKR_SIGNATURE_LEN_RANGE
	}
	r := sig[:part]
	e, err := s.group.Reduce(r)
	if err != nil {
		return ep11.CKR_SIGNATURE_INVALID
	}
	if which == ep11.CK_ECSG_S256 {
		if e, err = s.group.Negate(e); err != nil {
			return ep11.CKR_SIGNATURE_INVALID
		}
	}
	nonce, err := s.group.Combine(sig[part:], e, public)
	if err != nil { // also for a public key that is none
		return ep11.CKR_SIGNATURE_INVALID
	}
	want, _, err := s.challenge(which, nonce, public, message)
	if err != nil || subtle.ConstantTimeCompare(want, r) != 1 { // for type 5 want is a residue, so that r + n is no second form of r
		return ep11.CKR_SIGNATURE_INVALID
	}
	return nil
}
