// SPDX-License-Identifier: Apache-2.0

// Package domainkeys has what a domain keeps sealed in its root of trust: the identity, which makes it this domain and survives zeroize, and
// the domain working key of each epoch, which seals its keys and doesn't.
//
// It refuses a sealed identity or working key whose header, public keys or verification pattern don't fit what is inside.
//
// Copies outside the arena, all of them for as long as the identity is loaded, and all that there are: crypto/ed25519 needs its private keys
// on the Go heap (its cache of expanded keys hangs on their address and faults on memory outside), one copy and one expanded copy each;
// crypto/hmac and crypto/aes keep the keyed state of the salt root, the aux root and the cached read keys there. One keyed state serves all
// calls, so that no further copies come with use. [Identity.Wipe] clears the private keys; the rest is erased by the garbage collector
// alone. The seeds, roots and working keys themselves are in the arena only.
package domainkeys

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"strongroom/internal/core/hsm"
	"strongroom/internal/core/internal/kdf"
	"strongroom/internal/core/seal"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/entry"
	"strongroom/internal/secret"
)

// IdentityLabel is where the identity is sealed.
const IdentityLabel = "identity"

// ErrUnfit says that something unsealed is not what its header says: the root of another domain, or a fault of ours.
var ErrUnfit = errors.New("domainkeys: what was unsealed is not what its header says")

// Where the parts of an identity lie in its plaintext, 32 bytes each.
const partSize = 32

const (
	logSeed = iota * partSize // Ed25519 seed (RFC 8032)
	identitySeed
	readRoot
	saltRoot
	auxRoot
	identitySize
)

// identityHeader is the header of the sealed identity.
type identityHeader struct {
	V        uint   `cbor:"1,keyasint"` // 1
	What     string `cbor:"2,keyasint"` // "identity"
	Log      []byte `cbor:"3,keyasint"` // public log key, 32 bytes
	Identity []byte `cbor:"4,keyasint"` // public identity key, 32 bytes
}

// Identity is what makes a domain this domain: the log key, which signs checkpoints; the identity key, which signs replies; and three roots:
// of read keys, of body salts, and of the auxiliary randomness of signatures. Its methods are safe for concurrent use.
type Identity struct {
	arena       *secret.Arena
	parts       secret.Bytes // identitySize bytes
	logKey, key signer
	salts, aux  *prf
	reads       readKeys
}

// Fill fills b with randomness or fails; b lies in the arena. nil is the system's.
type Fill func(b []byte) error

func (f Fill) into(b []byte) error {
	if f == nil {
		rand.Read(b) // never fails: crypto/rand ends the process when the system has no randomness
		return nil
	}
	return f(b)
}

// GenerateIdentity makes the identity of a new domain.
func GenerateIdentity(a *secret.Arena, fill Fill) (*Identity, error) {
	parts, err := secret.New(a, identitySize, fill.into)
	if err != nil {
		return nil, fmt.Errorf("domainkeys: generate identity: %w", err)
	}
	return newIdentity(a, parts)
}

func newIdentity(a *secret.Arena, parts secret.Bytes) (*Identity, error) {
	i := &Identity{arena: a, parts: parts}
	err := parts.Use(func(b []byte) error {
		i.logKey = newSigner(b[logSeed:][:partSize])
		i.key = newSigner(b[identitySeed:][:partSize])
		i.salts = newPRF(b[saltRoot:][:partSize], canon.TagSalt)
		i.aux = newPRF(b[auxRoot:][:partSize], canon.TagPermitAux)
		return nil
	})
	if err != nil {
		parts.Wipe()
		return nil, fmt.Errorf("domainkeys: identity: %w", err)
	}
	return i, nil
}

// Save seals the identity in the root. It never replaces one: [hsm.ErrExists].
func (i *Identity) Save(ctx context.Context, root hsm.Sealer) error {
	log, id := i.LogKey(), i.IdentityKey()
	header := canon.Encode(identityHeader{V: 1, What: IdentityLabel, Log: log[:], Identity: id[:]})
	if err := root.Seal(ctx, IdentityLabel, header, i.parts); err != nil {
		return fmt.Errorf("domainkeys: save identity: %w", err)
	}
	return nil
}

// LoadIdentity unseals the identity. The caller compares its public keys with those that the log's genesis names.
func LoadIdentity(ctx context.Context, a *secret.Arena, root hsm.Sealer) (*Identity, error) {
	b, parts, err := root.Unseal(ctx, IdentityLabel)
	if err != nil {
		return nil, fmt.Errorf("domainkeys: load identity: %w", err)
	}
	i, err := checkIdentity(a, b, parts)
	if err != nil {
		parts.Wipe()
		return nil, fmt.Errorf("domainkeys: load identity: %w", err)
	}
	return i, nil
}

func checkIdentity(a *secret.Arena, header []byte, parts secret.Bytes) (*Identity, error) {
	var h identityHeader
	if err := canon.Decode(header, &h); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnfit, err)
	}
	if n := parts.Len(); h.V != 1 || h.What != IdentityLabel || n != identitySize {
		return nil, fmt.Errorf("%w: version %d of %q with %d bytes", ErrUnfit, h.V, h.What, n)
	}
	i, err := newIdentity(a, parts)
	if err != nil {
		return nil, err
	}
	log, id := i.LogKey(), i.IdentityKey()
	if !bytes.Equal(h.Log, log[:]) || !bytes.Equal(h.Identity, id[:]) {
		i.Wipe()
		return nil, fmt.Errorf("%w: public keys", ErrUnfit)
	}
	return i, nil
}

// Wipe forgets the identity. No other method may be called afterwards, nor be running.
func (i *Identity) Wipe() {
	i.parts.Wipe()
	i.logKey.wipe()
	i.key.wipe()
	i.salts, i.aux = nil, nil
	i.reads.forget()
}

// LogKey returns the public key of checkpoints.
func (i *Identity) LogKey() [ed25519.PublicKeySize]byte { return i.logKey.public }

// IdentityKey returns the public key of replies.
func (i *Identity) IdentityKey() [ed25519.PublicKeySize]byte { return i.key.public }

// SignLog signs a checkpoint: Ed25519, 64 bytes, deterministic.
func (i *Identity) SignLog(message []byte) []byte { return i.logKey.sign(message) }

// SignIdentity signs a message of the domain, which must begin with its own [canon.Tag].
func (i *Identity) SignIdentity(message []byte) []byte { return i.key.sign(message) }

// Salt is the salt of a body: the first 16 bytes of HMAC-SHA-256(salt root, tag || 0x00 || entry (8) || body index (4), big-endian).
// It hides a body that could be guessed from its hash. When the number of an entry that was dropped beyond the last pin is used again, so is
// the salt: two bodies then show at most that they are equal.
func (i *Identity) Salt(seq uint64, index uint32) [entry.SaltSize]byte {
	var m [12]byte
	binary.BigEndian.PutUint64(m[:], seq)
	binary.BigEndian.PutUint32(m[8:], index)
	sum := i.salts.sum(m[:])
	return [entry.SaltSize]byte(sum[:])
}

// Aux is the auxiliary randomness of the signatures of a permit: HMAC-SHA-256(aux root, tag || 0x00 || leaf hash of the permit). Signing a
// permit again gives the same bytes; nobody without the root can tell it before.
func (i *Identity) Aux(permit [32]byte) [32]byte { return i.aux.sum(permit[:]) }

// ReadKey is the read key of a period ([readkey.Period]), for its auditors: HKDF-SHA-384(read root, no salt, info = tag || 0x00 || period
// as 4 bytes, big-endian), 32 bytes. The caller wipes it.
func (i *Identity) ReadKey(period uint32) (secret.Bytes, error) {
	key, err := i.underReadRoot(canon.TagBytes(canon.TagReadKey, binary.BigEndian.AppendUint32(nil, period)))
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("domainkeys: read key of period %d: %w", period, err)
	}
	return key, nil
}

// LoginKey is the key from which the ids of login sessions of applications follow: HKDF-SHA-384(aux root, no salt, info = tag), 32 bytes. Like the
// sessions it outlives epochs. The caller wipes it.
func (i *Identity) LoginKey() (secret.Bytes, error) {
	key, err := secret.New(i.arena, seal.KeySize, func(to []byte) error {
		return i.parts.Use(func(b []byte) error {
			return kdf.HKDF(kdf.SHA384, to, b[auxRoot:][:partSize], nil, []byte(canon.TagAppLogin))
		})
	})
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("domainkeys: key of logins: %w", err)
	}
	return key, nil
}

// underReadRoot derives a key from the read root.
func (i *Identity) underReadRoot(info []byte) (secret.Bytes, error) {
	return secret.New(i.arena, seal.KeySize, func(to []byte) error {
		return i.parts.Use(func(b []byte) error {
			return kdf.HKDF(kdf.SHA384, to, b[readRoot:][:partSize], nil, info)
		})
	})
}

// readKeys keeps the last few read keys ready.
type readKeys struct {
	mu   sync.Mutex  // guards keys
	keys []cachedKey // newest use first
}
