// SPDX-License-Identifier: Apache-2.0

package keystore

import (
	"errors"
	"fmt"

	"strongroom/internal/pure/canon"
	"strongroom/internal/secret"
)

// TokenMaterialSize is the length in bytes of what the blob of a key of class token seals.
const TokenMaterialSize = 32

// TokenMaterial gives what the blob of a key of class token seals, where others have the key. It is no secret: it follows from the public key.
func TokenMaterial(public []byte) [TokenMaterialSize]byte {
	return canon.HashBytes(canon.TagTokenKey, public)
}

// CheckToken says whether a blob that was opened is that of a key that signs in the token, and of the public key that its header names.
func (h Header) CheckToken(material secret.Bytes) error {
	switch {
	case h.Class != Token || h.Purpose != Custody || h.Kind != Secp256k1:
		return fmt.Errorf("%w: class %q, purpose %q, kind %q are not those of a wallet's key in the token", ErrHeader, string(h.Class), string(h.Purpose), string(h.Kind))
	case !h.Permits(Sign, ECDSASecp256k1):
		return fmt.Errorf("%w: the key may not sign", ErrHeader)
	}
	want := TokenMaterial(h.Public)
	return material.Use(func(b []byte) error {
		if string(b) != string(want[:]) { // no secret
			return errors.New("keystore: the blob is not of the public key that its header names")
		}
		return nil
	})
}
