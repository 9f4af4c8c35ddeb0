// SPDX-License-Identifier: Apache-2.0

// Package family is what the engine of GREP11 (package ep11 above it) and the code of single mechanisms agree on: raw key material, and the
// interfaces that make, use and check it. A family is a package with such code; it exports a function that gives its [Set].
//
// A family gets material that belongs to the caller, under a mechanism that is listed for it, and knows nothing of blobs, attributes, grants or
// control points: the engine has checked those. It answers with material or with a return code of package pure/ep11 as error (a Code or a
// *Failure); any other error is an accident and reaches the caller as CKR_GENERAL_ERROR without its words. It never panics on what a caller
// gives. Its values are safe for concurrent use.
//
// Secrets lie in the arena of [Tools]. Where a library forces a copy on the heap the family clears it and says so in its package comment.
// Every signature that is made is verified before it is returned; one that does not verify is [ErrFault].
package family

import (
	"context"
	"errors"

	"strongroom/internal/pure/ep11"
	"strongroom/internal/secret"
)

// ErrFault says that a result did not check and was withheld: the machine may be failing, and the core must stop.
var ErrFault = errors.New("ep11: a result did not check and was withheld; the machine may be failing")

// Source gives randomness. Fill fills b completely or returns an error, and then b is not used.
type Source interface {
	Fill(ctx context.Context, b []byte) error
}

// RSAPool has RSA pairs made beforehand. Take gives one of bits with exponent 65537 that is the caller's from then on, as [Key.Secret] and
// [Key.Public] hold RSA keys, or false when it has none of this size ready. It never blocks.
type RSAPool interface {
	Take(bits int) (secret secret.Bytes, public []byte, ok bool)
}

// Tools is what code of a family works with.
type Tools struct {
	Arena  *secret.Arena
	Random Source
	Pool   RSAPool // may be nil
}

// KeyType is a kind of key material: a CKK, and for those with several curves or strengths the DER of the object identifier that names one
// (CKA_EC_PARAMS, CKA_IBM_PQC_PARAMS). Params is empty for all others.
type KeyType struct {
	Type   uint64
	Params string
}

// Key is raw key material. Secret is the zero Bytes in a public key, Public is nil in a symmetric one.
//
//	CKK_AES, DES2, DES3, GENERIC_SECRET, *_HMAC   Secret: the key
//	CKK_RSA      Secret: PKCS#1 RSAPrivateKey (two primes); Public: PKCS#1 RSAPublicKey
//	CKK_EC       Params: DER of the curve's OID. Weierstrass curves: Secret: scalar, big-endian, as long as the order; Public: 04 || X || Y.
//	             Ed25519, Ed448: seed; encoded point. X25519, X448: scalar; u. BLS12-381: scalar, big-endian; 04 || x || y in G1.
//	CKK_DSA      Params: SEQUENCE { p, q, g }; Secret: x, as long as q; Public: y, as long as p, big-endian
//	CKK_DH       Params: SEQUENCE { p, g }; Secret: x, big-endian; Public: y, as long as p
//	post-quantum Params: DER of the OID; Secret: content of the OCTET STRING of its PKCS#8 form; Public: content of the BIT STRING of its SPKI
//
// Several public keys that stand for their sum are several Publics one after the other (BLS12-381).
type Key struct {
	Type   uint64 // CKK
	Params []byte
	Secret secret.Bytes
	Public []byte
}

// Kind gives the type of the key's material.
func (k Key) Kind() KeyType { return KindOf(k.Type, k.Params) }

// KindOf gives the type of key material with a CKK and parameters.
func KindOf(ckk uint64, params []byte) KeyType {
	switch ckk {
	case ep11.CKK_EC, ep11.CKK_IBM_PQC_DILITHIUM, ep11.CKK_IBM_PQC_KYBER, ep11.CKK_IBM_ML_DSA, ep11.CKK_IBM_ML_KEM:
		return KeyType{Type: ckk, Params: string(params)}
	}
	return KeyType{Type: ckk}
}

// Generator knows the keys of one type.
type Generator interface {
	// Generate makes a key, or a pair; the caller wipes Secret. m is the generating mechanism. private is the template of the private or only
	// key, public that of the public one or nil: the sizes asked for stand there. params are the key's parameters where its type has any.
	Generate(ctx context.Context, t Tools, m ep11.Mechanism, params []byte, private, public ep11.Template) (Key, error)
	// Public computes the public part from Params and Secret, nil for symmetric keys. It refuses material that is no key of the type, with
	// CKR_WRAPPED_KEY_INVALID, and a length that no key has with CKR_KEY_SIZE_RANGE.
	Public(k Key) ([]byte, error)
	// Check refuses a public key or parameters that are not valid (not on the curve, out of range, of low order), with
	// CKR_PUBLIC_KEY_INVALID, CKR_DOMAIN_PARAMS_INVALID or CKR_KEY_SIZE_RANGE.
	Check(k Key) error
	// Bits is the size of the key in bits as its mechanism's info counts it.
	Bits(k Key) uint64
}

// Parameters makes domain parameters (CKM_DSA_PARAMETER_GEN, CKM_DH_PKCS_PARAMETER_GEN): DER of SEQUENCE { p, q, g } or { p, g }.
type Parameters interface {
	Parameters(ctx context.Context, t Tools, m ep11.Mechanism, template ep11.Template) ([]byte, error)
}

// Signer makes and checks signatures or codes. data is the digest for mechanisms whose row in pure/ep11 has a digest: the engine makes it,
// in one part or many. For all others data is the message.
type Signer interface {
	// Sign makes a signature that has been verified.
	Sign(ctx context.Context, t Tools, m ep11.Mechanism, k Key, data []byte) ([]byte, error)
	// Verify returns nil, or CKR_SIGNATURE_INVALID, or CKR_SIGNATURE_LEN_RANGE for a length that no signature of the key has.
	Verify(ctx context.Context, t Tools, m ep11.Mechanism, k Key, data, sig []byte) error
}

// Cipher encrypts and decrypts data in one part. What it decrypts goes to the caller.
type Cipher interface {
	Encrypt(ctx context.Context, t Tools, m ep11.Mechanism, k Key, plain []byte) ([]byte, error)
	Decrypt(ctx context.Context, t Tools, m ep11.Mechanism, k Key, sealed []byte) ([]byte, error)
}

// Way is what a stream is for.
type Way uint8

// The ways.
const (
	Encrypt Way = 1
	Decrypt Way = 2
	Sign    Way = 3 // the code of a message, to be given out or compared
)

// Stream is an operation in several parts. After an error it is not used again.
type Stream interface {
	Update(data []byte) ([]byte, error) // output so far; a signature has none
	Final() ([]byte, error)             // the rest of the output, or the code
	Save() []byte                       // progress, to be resumed from; secret
}

// Streamer has mechanisms that work in several parts without their data being kept. progress is nil at the start, else what Save gave; it
// refuses progress that is not its own with CKR_SAVED_STATE_INVALID. key is the secret of a key of type ckk; it is valid until the stream is
// not used any more.
type Streamer interface {
	Stream(ctx context.Context, t Tools, m ep11.Mechanism, ckk uint64, key []byte, way Way, progress []byte) (Stream, error)
}

// Wrapper encrypts and decrypts key material. plain is what the engine encoded: the raw key of symmetric keys, PKCS#8 of private ones.
type Wrapper interface {
	Wrap(ctx context.Context, t Tools, m ep11.Mechanism, kek Key, plain secret.Bytes) ([]byte, error)
	// Unwrap gives what was wrapped, or CKR_WRAPPED_KEY_INVALID, the same for everything that can be wrong with it, or
	// CKR_WRAPPED_KEY_LEN_RANGE for a length that can't be. The caller wipes it.
	Unwrap(ctx context.Context, t Tools, m ep11.Mechanism, kek Key, wrapped []byte) (secret.Bytes, error)
}

// Derivation is what a key is derived from.
type Derivation struct {
	Mechanism ep11.Mechanism // Kyber.Blob is not set; Aggregate.Elements are raw public keys, each of Size bytes
	Base      *Key           // nil for CKM_IBM_EC_AGGREGATE; without Secret where a public key is the base
	Other     *Key           // the secret in Kyber.Blob, where there is one
	Data      []byte
	Template  ep11.Template // of the new key: CKA_KEY_TYPE, CKA_VALUE_LEN, CKA_EC_PARAMS as the caller gave them; Type is what the engine made of it
	Type      uint64        // CKK of the new key as the template says, CKK_GENERIC_SECRET where it says nothing
	Length    int           // bytes of the new key as the template or its type says; 0: as the mechanism says
}

// Derived is a derived key. With Secret it is a private key if it has Public too, else a secret one; without it is a public one.
// CheckSum replaces the key's own check value where it is set: the chain code of BTC_DERIVE; the ciphertext of an encapsulation, which the
// engine puts after the check value.
type Derived struct {
	Key
	ChainCode []byte
	Cipher    []byte
}

// Deriver derives keys. The caller wipes the result.
type Deriver interface {
	Derive(ctx context.Context, t Tools, d Derivation) (Derived, error)
}

// Row is the code of one mechanism for some types of keys; what it can't do is nil. A mechanism may have several rows, for different types.
type Row struct {
	Mechanism  uint64
	Keys       []KeyType // of the key, KEK or base; the zero KeyType stands for a use without a key
	Sign       Signer
	Cipher     Cipher
	Stream     Streamer // encrypts and decrypts, in one part or many
	MAC        Streamer // signs and verifies with a secret key, in one part or many
	Wrap       Wrapper
	Derive     Deriver
	Parameters Parameters
	// Generates are the types of keys that the mechanism generates, through their Generator in [Set.Keys].
	Generates []KeyType
}

// Set is what a family brings.
type Set struct {
	Keys map[KeyType]Generator
	Rows []Row
}
