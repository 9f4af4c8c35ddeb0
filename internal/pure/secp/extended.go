// SPDX-License-Identifier: Apache-2.0

package secp

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/crypto/ripemd160" //nolint:staticcheck // BIP-32 "Key identifiers" fixes RIPEMD-160; it protects nothing here
)

// Version is the four bytes that open a serialized extended public key, BIP-32 "Serialization format".
type Version uint32

// The versions of BIP-32 for public keys. The private ones are known only to refuse them by name.
const (
	Mainnet Version = 0x0488b21e // xpub
	Testnet Version = 0x043587cf // tpub; regtest and signet use it too

	mainnetPrivate Version = 0x0488ade4 // xprv
	testnetPrivate Version = 0x04358394 // tprv
)

// extendedKeySize is the size in bytes of a serialized extended key without its checksum.
const extendedKeySize = 78

// Reasons why an extended key is not read or a child is not derived.
var (
	ErrExtendedLength  = errors.New("extended public key has the wrong length")
	ErrExtendedVersion = errors.New("extended key has an unknown version; use xpub or tpub")
	ErrExtendedPrivate = errors.New("extended key is private: treat it as disclosed, and give the public one")
	ErrExtendedRoot    = errors.New("extended key of depth 0 names a parent or a child number")
	ErrHardened        = errors.New("hardened child can't be derived from a public key")
	ErrTooDeep         = errors.New("extended key is at the last depth")
	ErrNoChild         = errors.New("no child key exists at this index; use the next one")
)

// ExtendedKey is an extended public key of BIP-32: a public key and what derives its non-hardened descendants. It is not
// secret, but whoever has it sees every address below it, and together with one private child key it gives the parent's.
type ExtendedKey struct {
	Depth             uint8     // 0 for a master key
	ParentFingerprint [4]byte   // first bytes of the parent's identifier; zero for a master key
	ChildNumber       uint32    // index below the parent, with [HardenedBit] where hardened; zero for a master key
	ChainCode         [32]byte  // entropy of the derivation
	PublicKey         PublicKey // the key itself
}

// DecodeExtendedKey reads a base58check extended public key ("xpub…", "tpub…"). A private key is refused with
// [ErrExtendedPrivate]; no error repeats any of the text, because somebody may have given a private key.
func DecodeExtendedKey(s string) (ExtendedKey, Version, error) {
	if len(s) != ExtendedKeyChars {
		return ExtendedKey{}, 0, fmt.Errorf("%w: got %d characters, want %d", ErrExtendedLength, len(s), ExtendedKeyChars)
	}
	b, err := decodeBase58Check(s)
	if err != nil {
		return ExtendedKey{}, 0, fmt.Errorf("extended public key: %w", err)
	}
	if len(b) != extendedKeySize {
		return ExtendedKey{}, 0, fmt.Errorf("%w: got %d bytes, want %d", ErrExtendedLength, len(b), extendedKeySize)
	}
	v := Version(binary.BigEndian.Uint32(b))
	if err := v.check(); err != nil {
		return ExtendedKey{}, 0, err
	}
	k := ExtendedKey{
		Depth:             b[4],
		ParentFingerprint: [4]byte(b[5:]),
		ChildNumber:       binary.BigEndian.Uint32(b[9:]),
		ChainCode:         [32]byte(b[13:]),
	}
	if k.PublicKey, err = ParsePublicKey(b[45:]); err != nil {
		return ExtendedKey{}, 0, fmt.Errorf("extended public key: %w", err)
	}
	if err := k.Check(); err != nil {
		return ExtendedKey{}, 0, err
	}
	return k, v, nil
}

// Encode writes k as base58check with the given version. It refuses a k that [ExtendedKey.Check] refuses and a version
// that is not [Mainnet] or [Testnet].
func (k ExtendedKey) Encode(v Version) (string, error) {
	if err := v.check(); err != nil {
		return "", err
	}
	if err := k.Check(); err != nil {
		return "", err
	}
	b := make([]byte, 0, extendedKeySize)
	b = binary.BigEndian.AppendUint32(b, uint32(v))
	b = append(b, k.Depth)
	b = append(b, k.ParentFingerprint[:]...)
	b = binary.BigEndian.AppendUint32(b, k.ChildNumber)
	b = append(b, k.ChainCode[:]...)
	pub := k.PublicKey.Compressed()
	return encodeBase58Check(append(b, pub[:]...)), nil
}

// Check requires a key, and that a key of depth 0 names neither parent nor child number (BIP-32 test vector 5).
func (k ExtendedKey) Check() error {
	if k.PublicKey.IsZero() {
		return fmt.Errorf("extended public key: %w", ErrKeyOffCurve)
	}
	if k.Depth == 0 && (k.ParentFingerprint != [4]byte{} || k.ChildNumber != 0) {
		return ErrExtendedRoot
	}
	return nil
}

// Child derives the child at index i, below [HardenedBit]: CKDpub of BIP-32. It refuses with [ErrHardened], [ErrTooDeep]
// and, with a probability below 1 in 2^127, [ErrNoChild]; the index is then skipped.
func (k ExtendedKey) Child(i uint32) (ExtendedKey, error) {
	if err := k.Check(); err != nil {
		return ExtendedKey{}, err
	}
	if i&HardenedBit != 0 {
		return ExtendedKey{}, fmt.Errorf("%w: index %s", ErrHardened, indexString(i))
	}
	if k.Depth == MaxDepth {
		return ExtendedKey{}, ErrTooDeep
	}
	pub := k.PublicKey.Compressed()
	mac := hmac.New(sha512.New, k.ChainCode[:])
	mac.Write(pub[:])
	mac.Write(binary.BigEndian.AppendUint32(nil, i))
	sum := mac.Sum(nil)
	key, err := k.PublicKey.TweakAdd([32]byte(sum[:32]))
	if err != nil {
		return ExtendedKey{}, fmt.Errorf("%w: index %d: %w", ErrNoChild, i, err)
	}
	return ExtendedKey{
		Depth:             k.Depth + 1,
		ParentFingerprint: k.PublicKey.Fingerprint(),
		ChildNumber:       i,
		ChainCode:         [32]byte(sum[32:]),
		PublicKey:         key,
	}, nil
}

// Derive applies [ExtendedKey.Child] for each index in turn; without an index it returns k.
func (k ExtendedKey) Derive(indexes ...uint32) (ExtendedKey, error) {
	if err := k.Check(); err != nil {
		return ExtendedKey{}, err
	}
	for _, i := range indexes {
		var err error
		if k, err = k.Child(i); err != nil {
			return ExtendedKey{}, err
		}
	}
	return k, nil
}

// Fingerprint returns the first four bytes of RIPEMD-160(SHA-256(compressed key)), BIP-32 "Key identifiers". It helps to
// find a key and proves nothing: two keys with one fingerprint are easily made.
func (k PublicKey) Fingerprint() [4]byte {
	c := k.Compressed()
	sum := sha256.Sum256(c[:])
	h := ripemd160.New()
	h.Write(sum[:])
	return [4]byte(h.Sum(nil))
}

func (v Version) check() error {
	switch v {
	case Mainnet, Testnet:
		return nil
	case mainnetPrivate, testnetPrivate:
		return ErrExtendedPrivate
	default:
		return ErrExtendedVersion
	}
}
