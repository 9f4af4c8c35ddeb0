// SPDX-License-Identifier: Apache-2.0

package algorithm

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"

	described "strongroom/internal/pure/algorithm"
	"strongroom/internal/pure/secp"
	"strongroom/internal/secret"
)

// ErrAnswer says that an algorithm did not give its known answer. The core must not run.
var ErrAnswer = errors.New("algorithm: not the known answer; the program or the machine is broken")

// KnownAnswer is a published result of an algorithm. Its secret is no secret.
type KnownAnswer struct {
	Source     string
	Kind       Kind
	Secret     []byte
	Public     []byte    // of the secret; nil where the kind has none
	Input      []byte    // message or digest, plaintext, capsule, peer's public key
	Additional []byte    // authenticated additional data
	Path       secp.Path // to derive at
	Output     []byte    // signature, code, sealed or wrapped bytes, shared secret, derived key
	Hashed     bool      // Public and Output stand as their SHA-256, because they are long
	Random     bool      // making Output takes randomness: it is verified or opened, and another one made, verified and opened
}

// Check puts an algorithm through its known answers in arena a, by the same calls that use it. damage, if not nil, changes each result before
// it is compared, so that the check must fail: it shows that the check can.
func (t *Table) Check(a *secret.Arena, m Mechanism, damage func([]byte)) error {
	r, err := t.row(m)
	if err != nil {
		return err
	}
	if damage == nil {
		damage = func([]byte) {}
	}
	for _, k := range r.Answers {
		if err := t.checkAnswer(a, r, k, damage); err != nil {
			return fmt.Errorf("%w: %q, %s: %w", ErrAnswer, m, k.Source, err)
		}
	}
	return nil
}

func (t *Table) checkAnswer(a *secret.Arena, r Row, k KnownAnswer, damage func([]byte)) error {
	sk, err := secret.Take(a, bytes.Clone(k.Secret))
	if err != nil {
		return err
	}
	defer sk.Wipe()
	key := Key{Kind: k.Kind, Secret: sk}
	if key.Public, err = t.Public(k.Kind, sk); err != nil {
		return err
	}
	if key.Public != nil && !k.matches(key.Public, k.Public) {
		return errors.New("the public key is another one")
	}
	switch r.Use {
	case described.Sign:
		return t.checkSign(key, r.Mechanism, k, damage)
	case described.Encrypt, described.Decrypt:
		return t.checkDecrypt(key, r.Mechanism, k, damage)
	case described.MAC:
		return k.gives(damage)(t.MAC(key, r.Mechanism, k.Input))
	case described.Wrap:
		return t.checkWrap(a, key, r.Mechanism, k, damage)
	case described.KEM:
		return k.gives(damage)(reveal(t.Decapsulate(a, key, r.Mechanism, k.Input)))
	case described.Agree:
		return k.gives(damage)(reveal(t.Agree(a, key, r.Mechanism, k.Input)))
	default:
		return k.gives(damage)(reveal(t.Derive(a, key, r.Mechanism, k.Path)))
	}
}

func (k KnownAnswer) matches(got, want []byte) bool {
	if k.Hashed {
		sum := sha256.Sum256(got)
		got = sum[:]
	}
	return bytes.Equal(got, want)
}

// gives compares a result, damaged where that is asked for, with the answer.
func (k KnownAnswer) gives(damage func([]byte)) func([]byte, error) error {
	return func(got []byte, err error) error {
		if err != nil {
			return err
		}
		damage(got)
		if !k.matches(got, k.Output) {
			return errors.New("the result is another one")
		}
		return nil
	}
}

// reveal copies a result that was made from no secret out of the arena.
func reveal(s secret.Bytes, err error) (out []byte, _ error) {
	if err != nil {
		return nil, err
	}
	defer s.Wipe()
	return out, s.Use(func(b []byte) error {
		out = bytes.Clone(b)
		return nil
	})
}

// checkSign makes the signature, or another where that is random, and wants it verified, and refused with one bit changed.
func (t *Table) checkSign(key Key, m Mechanism, k KnownAnswer, damage func([]byte)) error {
	aux := new([32]byte)
	if k.Random {
		aux = nil
	}
	sig, err := t.Sign(key, m, k.Input, aux)
	if err != nil {
		return err
	}
	damage(sig)
	switch {
	case !k.Random && !k.matches(sig, k.Output):
		return errors.New("the signature is another one")
	case k.Random && !t.Verify(key.Kind, m, key.Public, k.Input, k.Output):
		return errors.New("the known signature does not verify")
	case !t.Verify(key.Kind, m, key.Public, k.Input, sig):
		return errors.New("the signature does not verify")
	}
	sig[len(sig)/2] ^= 1
	if t.Verify(key.Kind, m, key.Public, k.Input, sig) {
		return errors.New("a false signature verifies")
	}
	return nil
}

// checkDecrypt opens the answer, and what it seals itself, and wants it refused with one bit changed.
func (t *Table) checkDecrypt(key Key, m Mechanism, k KnownAnswer, damage func([]byte)) error {
	sealed, err := t.Encrypt(key, m, k.Input, k.Additional)
	if err != nil {
		return err
	}
	damage(sealed)
	for _, b := range [][]byte{k.Output, sealed} {
		if err := same(k.Input)(t.Decrypt(key, m, b, k.Additional)); err != nil {
			return err
		}
	}
	sealed[len(sealed)/2] ^= 1
	if _, err := t.Decrypt(key, m, sealed, k.Additional); !errors.Is(err, ErrOpen) {
		return fmt.Errorf("altered bytes: %v, not %w", err, ErrOpen)
	}
	return nil
}

func (t *Table) checkWrap(a *secret.Arena, key Key, m Mechanism, k KnownAnswer, damage func([]byte)) error {
	plain, err := secret.Take(a, bytes.Clone(k.Input))
	if err != nil {
		return err
	}
	defer plain.Wipe()
	wrapped, err := t.Wrap(key, m, plain)
	if err := k.gives(damage)(wrapped, err); err != nil {
		return err
	}
	if err := equal(plain)(t.Unwrap(a, key, m, wrapped)); err != nil {
		return err
	}
	wrapped[0] ^= 1
	if _, err := t.Unwrap(a, key, m, wrapped); !errors.Is(err, ErrOpen) {
		return fmt.Errorf("altered bytes: %v, not %w", err, ErrOpen)
	}
	return nil
}
