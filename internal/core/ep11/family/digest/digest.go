// SPDX-License-Identifier: Apache-2.0

// Package digest has the hash functions of GREP11 by the numbers of their mechanisms, and HMAC with them. SHA-1 is there because the
// interface has it. Their states can be saved and resumed, so that a client can hold an operation between its parts.
//
// Copies outside the arena: hash states lie on the heap, HMAC's with the padded key in them; the padded key is cleared, and what package
// family/digest saves is sealed by the engine. Specs: FIPS 180-4, FIPS 202, FIPS 198-1.
package digest

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"hash"

	"strongroom/internal/pure/ep11"
)

// New makes the hash of a digest mechanism. It is nil for a number that is none.
func New(mechanism uint64) hash.Hash {
	switch mechanism {
	case ep11.CKM_SHA_1:
		return sha1.New()
	case ep11.CKM_SHA224:
		return sha256.New224()
	case ep11.CKM_SHA256:
		return sha256.New()
	case ep11.CKM_SHA384:
		return sha512.New384()
	case ep11.CKM_SHA512:
		return sha512.New()
	case ep11.CKM_SHA512_224, ep11.CKM_IBM_SHA512_224:
		return sha512.New512_224()
	case ep11.CKM_SHA512_256, ep11.CKM_IBM_SHA512_256:
		return sha512.New512_256()
	case ep11.CKM_IBM_SHA3_224:
		return sha3.New224()
	case ep11.CKM_IBM_SHA3_256:
		return sha3.New256()
	case ep11.CKM_IBM_SHA3_384:
		return sha3.New384()
	case ep11.CKM_IBM_SHA3_512:
		return sha3.New512()
	}
	return nil
}
