// SPDX-License-Identifier: Apache-2.0

package rsakey

import (
	"context"
	"crypto/rand"
	"crypto/rsa"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/secret"
)

// crypter encrypts data and wraps keys with PKCS#1 v1.5 or OAEP.
type crypter struct{}

// oaep reads the parameter: the hash, the mask of the same hash, and a label.
func oaep(m ep11.Mechanism) (*rsa.OAEPOptions, error) {
	if m.Type == ep11.CKM_RSA_PKCS {
		if len(m.Parameter) != 0 || m.OAEP != nil {
			return nil, ep11.Fail(ep11.CKR_MECHANISM_PARAM_INVALID, "the mechanism takes no parameter")
		}
		return nil, nil
	}
	if m.OAEP == nil {
		return nil, ep11.Fail(ep11.CKR_MECHANISM_PARAM_INVALID, "the mechanism needs hash and mask")
	}
	h, ok := hashes[m.OAEP.Hash]
	if !ok || h.mgf != m.OAEP.MGF || m.OAEP.Source > ep11.CKZ_DATA_SPECIFIED || m.OAEP.Source == ep11.CKZ_NO_DATA && len(m.OAEP.Label) != 0 {
		return nil, ep11.Fail(ep11.CKR_MECHANISM_PARAM_INVALID, "hash and mask must be of one hash, and a label be announced")
	}
	return &rsa.OAEPOptions{Hash: h.hash, Label: m.OAEP.Label}, nil
}

// Encrypt encrypts under the public half.
func (crypter) Encrypt(_ context.Context, _ family.Tools, m ep11.Mechanism, k family.Key, plain []byte) ([]byte, error) {
	options, err := oaep(m)
	if err != nil {
		return nil, err
	}
	key, err := publicKey(k.Public)
	if err != nil {
		return nil, err
	}
	most := key.Size() - 11
	if options != nil {
		most = key.Size() - 2*options.Hash.Size() - 2
	}
	if len(plain) > most {
		return nil, ep11.Fail(ep11.CKR_DATA_LEN_RANGE, "%d bytes; the key takes %d at most", len(plain), most)
	}
	if options == nil {
		return rsa.EncryptPKCS1v15(rand.Reader, key, plain) //nolint:staticcheck // the interface has it; the package comment says what it costs
	}
	return rsa.EncryptOAEP(options.Hash.New(), rand.Reader, key, plain, options.Label)
}

// Decrypt decrypts with the private half. A wrong padding is one answer whatever is wrong with it.
func (crypter) Decrypt(_ context.Context, _ family.Tools, m ep11.Mechanism, k family.Key, sealed []byte) (plain []byte, err error) {
	options, err := oaep(m)
	if err != nil {
		return nil, err
	}
	err = with(k, func(key *rsa.PrivateKey) error {
		if len(sealed) != key.Size() {
			return ep11.CKR_ENCRYPTED_DATA_LEN_RANGE
		}
		if options == nil {
			plain, err = rsa.DecryptPKCS1v15(nil, key, sealed) //nolint:staticcheck // as above
		} else {
			plain, err = rsa.DecryptOAEP(options.Hash.New(), nil, key, sealed, options.Label)
		}
		if err != nil {
			return ep11.CKR_ENCRYPTED_DATA_INVALID
		}
		return nil
	})
	return plain, err
}

// Wrap encrypts key material.
func (c crypter) Wrap(ctx context.Context, t family.Tools, m ep11.Mechanism, kek family.Key, plain secret.Bytes) (out []byte, err error) {
	err = plain.Use(func(p []byte) error {
		out, err = c.Encrypt(ctx, t, m, kek, p)
		if f := ep11.FailureOf(err); f != nil && f.Code == ep11.CKR_DATA_LEN_RANGE {
			return ep11.Fail(ep11.CKR_KEY_SIZE_RANGE, "the key is too long to be wrapped with this one")
		}
		return err
	})
	return out, err
}

// Unwrap decrypts key material. The library gives it on the heap; it is moved into the arena at once.
func (c crypter) Unwrap(ctx context.Context, t family.Tools, m ep11.Mechanism, kek family.Key, wrapped []byte) (secret.Bytes, error) {
	plain, err := c.Decrypt(ctx, t, m, kek, wrapped)
	switch f := ep11.FailureOf(err); {
	case f != nil && f.Code == ep11.CKR_ENCRYPTED_DATA_LEN_RANGE:
		return secret.Bytes{}, ep11.CKR_WRAPPED_KEY_LEN_RANGE
	case f != nil && f.Code == ep11.CKR_ENCRYPTED_DATA_INVALID, err == nil && len(plain) == 0:
		return secret.Bytes{}, ep11.CKR_WRAPPED_KEY_INVALID
	case err != nil:
		return secret.Bytes{}, err
	}
	return secret.Take(t.Arena, plain)
}
