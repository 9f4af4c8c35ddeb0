// SPDX-License-Identifier: Apache-2.0

// Package keyfile keeps the approval key of a person or service in a file, encrypted with a passphrase, and signs with it. It is for
// people without a passkey or token, for offline approvers and for services.
//
// The file is canonical CBOR, mode 0600: a header (version, person, algorithm, public key, argon2id parameters as in RFC 9106) and the
// 32-byte private key under AES-256-GCM with the header as additional data. It refuses to overwrite a file, files that others can read,
// parameters outside the limits, and a private key that is not the header's public key. A file without a passphrase is written only
// where the caller says so.
package keyfile

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
	"strongroom/internal/secret"
)

var (
	// ErrPassphrase says that a passphrase does not open a file, or that the file was changed.
	ErrPassphrase = errors.New("the passphrase is wrong, or the file was changed")
	// ErrExists says that a file is there already.
	ErrExists = errors.New("the file exists already; a key is never overwritten")
)

// privateSize is the length of a private key in bytes: the seed of Ed25519 (RFC 8032), the scalar of P-256.
const privateSize = 32

// MinPassphrase is the shortest passphrase for a new file, in bytes.
const MinPassphrase = 12

// Key is an open approval key. Its methods are safe for concurrent use.
type Key struct {
	public  Public
	private secret.Bytes
	device  Device // that has the private part; nil: private has it
}

// Device signs with a key that it does not give, as [Key.Sign] says. Close is called by [Key.Wipe].
type Device interface {
	Public() request.PublicKey
	Sign(message []byte) ([]byte, error)
	Close()
}

// Elsewhere makes a key of a person's key in a device. It can't be written to a file.
func Elsewhere(person custody.PersonID, d Device) (*Key, error) {
	if err := person.Check(); err != nil {
		return nil, err
	}
	pub := d.Public()
	return &Key{public: Public{Person: person, Alg: pub.Alg, Pub: pub.Pub}, device: d}, nil
}

// New makes a key for a person. arena holds the private part until [Key.Wipe].
func New(arena *secret.Arena, person custody.PersonID, alg request.Algorithm) (*Key, error) {
	if err := person.Check(); err != nil {
		return nil, err
	}
	var pub []byte
	private, err := secret.New(arena, privateSize, func(b []byte) (err error) {
		if alg == request.P256 {
			// Candidates outside [1, n-1] are drawn again (FIPS 186-5, A.2.2); that happens once in 2^32 draws.
			for {
				rand.Read(b)
				if pub, err = publicOf(alg, b); err == nil {
					return nil
				}
			}
		}
		rand.Read(b)
		pub, err = publicOf(alg, b)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make approval key: %w", err)
	}
	return &Key{public: Public{Person: person, Alg: alg, Pub: pub}, private: private}, nil
}

// NewPersonID draws the id of a new person or service.
func NewPersonID() custody.PersonID {
	var b [10]byte
	rand.Read(b[:])
	return custody.PersonID("p_" + strings.ToLower(base32.StdEncoding.EncodeToString(b[:])))
}

// PublicFile gives what its public file holds.
func (k *Key) PublicFile() Public { return k.public }

// Public gives the public key.
func (k *Key) Public() request.PublicKey { return k.public.Key() }

// Person says whose key it is.
func (k *Key) Person() custody.PersonID { return k.public.Person }

// Sign gives the 64-byte signature of a message as [request.PublicKey.Verify] reads it, and verifies it before it is returned.
func (k *Key) Sign(message []byte) ([]byte, error) {
	sig, err := k.sign(message)
	if err != nil {
		return nil, fmt.Errorf("sign with approval key: %w", err)
	}
	if !k.public.Key().Verify(message, sig) {
		return nil, errors.New("sign with approval key: the signature does not verify; do not use this machine")
	}
	return sig, nil
}

func (k *Key) sign(message []byte) (sig []byte, err error) {
	if k.device != nil {
		return k.device.Sign(message)
	}
	err = k.private.Use(func(b []byte) (err error) {
		sig, err = sign(k.public.Alg, b, message)
		return err
	})
	return sig, err
}

// Wipe forgets the private key, or closes its device.
func (k *Key) Wipe() {
	if k.device != nil {
		k.device.Close()
		return
	}
	k.private.Wipe()
}

func sign(alg request.Algorithm, private, message []byte) ([]byte, error) {
	if alg == request.Ed25519 {
		key := ed25519.NewKeyFromSeed(private)
		defer clear(key)
		return ed25519.Sign(key, message), nil
	}
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), private)
	if err != nil {
		return nil, errors.New("the private key is not of P-256")
	}
	h := sha256.Sum256(message)
	r, s, err := ecdsa.Sign(rand.Reader, key, h[:])
	if err != nil {
		return nil, err
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return sig, nil
}

// publicOf gives the public key of a private one.
func publicOf(alg request.Algorithm, private []byte) ([]byte, error) {
	switch alg {
	case request.Ed25519:
		key := ed25519.NewKeyFromSeed(private)
		defer clear(key)
		return append([]byte(nil), key[ed25519.SeedSize:]...), nil
	case request.P256:
		key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), private)
		if err != nil {
			return nil, errors.New("the private key is not of P-256")
		}
		point, err := key.PublicKey.Bytes() // uncompressed, SEC 1
		if err != nil {
			return nil, err
		}
		return append([]byte{2 | point[64]&1}, point[1:33]...), nil
	default:
		return nil, fmt.Errorf("key algorithm %q is neither %q nor %q", string(alg), request.Ed25519, request.P256)
	}
}

// seal gives the AEAD of a passphrase. The AEAD keeps a copy of its key schedule on the heap; the process is short-lived.
func seal(pass secret.Bytes, k kdf) (cipher.AEAD, error) {
	var aead cipher.AEAD
	err := pass.Use(func(p []byte) error {
		key := argon2.IDKey(p, k.Salt, k.Time, k.Memory, k.Lanes, 32)
		defer clear(key)
		block, err := aes.NewCipher(key)
		if err != nil {
			return err
		}
		aead, err = cipher.NewGCM(block)
		return err
	})
	return aead, err
}
