// SPDX-License-Identifier: Apache-2.0

package algorithm

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"fmt"

	described "strongroom/internal/pure/algorithm"
	"strongroom/internal/pure/secp"
	"strongroom/internal/secret"
)

// Key is a key to use: the secret stays the caller's.
type Key struct {
	Kind   Kind
	Secret secret.Bytes
	Public []byte // nil where the kind has none
}

// Generate makes a key of a kind in arena a and puts it through the pairwise consistency test of every algorithm that takes it. Randomness is
// from's; RSA keys are made by crypto/rsa, which draws its primes from crypto/rand whoever asks. The caller wipes the secret.
func (t *Table) Generate(ctx context.Context, a *secret.Arena, from Source, k Kind) (Key, error) {
	of, ok := t.kinds[k]
	switch {
	case !ok:
		return Key{}, fmt.Errorf("%w: kind %q", ErrUnknown, k)
	case of.Generate == nil:
		return Key{}, fmt.Errorf("%w: keys of kind %q are made in another way", ErrUnfit, k)
	}
	var err error
	key := Key{Kind: k}
	secret.Do(func() {
		key.Secret, err = secret.New(a, of.Size, func(b []byte) error { return of.Generate(ctx, from, b) })
	})
	if err != nil {
		return Key{}, fmt.Errorf("algorithm: make a key of kind %q: %w", k, err)
	}
	if key.Public, err = t.Public(k, key.Secret); err == nil {
		err = t.CheckPair(a, key)
	}
	if err != nil {
		key.Secret.Wipe()
		return Key{}, err
	}
	return key, nil
}

// Public gives the public key of a secret, nil for a kind that has none. It refuses secrets out of range.
func (t *Table) Public(k Kind, sk secret.Bytes) (pub []byte, err error) {
	of, ok := t.kinds[k]
	if !ok {
		return nil, fmt.Errorf("%w: kind %q", ErrUnknown, k)
	}
	if n := sk.Len(); n < of.Min || n > of.Max {
		return nil, fmt.Errorf("%w: kind %q has %d to %d bytes, not %d", ErrSecret, k, of.Min, of.Max, n)
	}
	err = with(sk, func(b []byte) (err error) {
		pub, err = of.Public(b)
		return err
	})
	return pub, err
}

// CheckPair is the pairwise consistency test (FIPS 140-3 IG 10.3.A): what the secret does, the public key must undo, by every algorithm that
// takes the key. What fails is [ErrFault].
func (t *Table) CheckPair(a *secret.Arena, key Key) error {
	for _, r := range t.described.Rows() {
		if !t.described.Direct(key.Kind, r.Mechanism) {
			continue
		}
		if err := t.pair(a, key, t.rows[r.Mechanism]); err != nil {
			return fmt.Errorf("%w: pairwise consistency of a key of kind %q with %q: %w", ErrFault, key.Kind, r.Mechanism, err)
		}
	}
	return nil
}

// pair is the test with one algorithm.
func (t *Table) pair(a *secret.Arena, key Key, r Row) error {
	text := make([]byte, 32)
	rand.Read(text) // never fails: crypto/rand ends the process when the system has no randomness
	switch r.Use {
	case described.Sign:
		_, err := t.Sign(key, r.Mechanism, text, nil) // which verifies
		return err
	case described.MAC:
		code, err := t.MAC(key, r.Mechanism, text)
		if err != nil {
			return err
		}
		return t.VerifyMAC(key, r.Mechanism, text, code)
	case described.Encrypt, described.Decrypt:
		sealed, err := t.Encrypt(key, r.Mechanism, text, nil)
		if err != nil {
			return err
		}
		return same(text)(t.Decrypt(key, r.Mechanism, sealed, nil))
	case described.Wrap:
		return t.pairWrap(a, key, r, text)
	case described.KEM:
		return t.pairKEM(a, key, r)
	case described.Agree:
		return t.pairAgree(a, key, r)
	default: // derivation: the keys derived have tests of their own
		return nil
	}
}

func same(want []byte) func([]byte, error) error {
	return func(got []byte, err error) error {
		if err == nil && !bytes.Equal(got, want) {
			err = ErrFault
		}
		return err
	}
}

func (t *Table) pairWrap(a *secret.Arena, key Key, r Row, text []byte) error {
	plain, err := secret.Take(a, text)
	if err != nil {
		return err
	}
	defer plain.Wipe()
	wrapped, err := t.Wrap(key, r.Mechanism, plain)
	if err != nil {
		return err
	}
	return equal(plain)(t.Unwrap(a, key, r.Mechanism, wrapped))
}

func (t *Table) pairKEM(a *secret.Arena, key Key, r Row) error {
	shared, capsule, err := t.Encapsulate(a, r.Mechanism, key.Public)
	if err != nil {
		return err
	}
	defer shared.Wipe()
	return equal(shared)(t.Decapsulate(a, key, r.Mechanism, capsule))
}

// pairAgree agrees with another key of the kind, from both ends.
func (t *Table) pairAgree(a *secret.Arena, key Key, r Row) error {
	other := Key{Kind: key.Kind}
	var err error
	of := t.kinds[key.Kind]
	if other.Secret, err = secret.New(a, of.Size, func(b []byte) error { return of.Generate(context.Background(), System{}, b) }); err != nil {
		return err
	}
	defer other.Secret.Wipe()
	if other.Public, err = t.Public(other.Kind, other.Secret); err != nil {
		return err
	}
	shared, err := t.Agree(a, key, r.Mechanism, other.Public)
	if err != nil {
		return err
	}
	defer shared.Wipe()
	return equal(shared)(t.Agree(a, other, r.Mechanism, key.Public))
}

// equal compares a secret with a result, and wipes the result.
func equal(want secret.Bytes) func(secret.Bytes, error) error {
	return func(got secret.Bytes, err error) error {
		defer got.Wipe()
		if err == nil && !got.Equal(want) {
			err = ErrFault
		}
		return err
	}
}

// Sign signs msg, which is a digest for ECDSA (of SHA-256, SHA-384 or SHA-512 length; 32 bytes on secp256k1), 32 bytes for BIP-340, and
// the message itself for all others. The signature has been verified under key.Public when it is returned. A nil aux asks for a
// signature that is hedged with fresh randomness where the algorithm can be; with aux the same arguments always give the same bytes, or
// [ErrNotRepeatable]. Integers are fixed-size and big-endian: r || s.
func (t *Table) Sign(key Key, m Mechanism, msg []byte, aux *[32]byte) (sig []byte, err error) {
	r, err := t.fit(m, key.Kind, key.Secret.Len(), described.Sign)
	if err != nil {
		return nil, err
	}
	err = with(key.Secret, func(sk []byte) (err error) {
		sig, err = r.Sign(key.Kind, sk, key.Public, msg, aux)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("algorithm: sign with %q: %w", m, err)
	}
	if !r.Verified && !r.Verify(key.Kind, key.Public, msg, sig) {
		return nil, fmt.Errorf("algorithm: sign with %q: %w", m, ErrFault)
	}
	return sig, nil
}

// Verify says whether sig is by the public key over msg. A mechanism that doesn't sign, or doesn't take the kind, verifies nothing.
func (t *Table) Verify(k Kind, m Mechanism, public, msg, sig []byte) bool {
	r, err := t.row(m, described.Sign)
	return err == nil && t.described.Direct(k, m) && r.Verify(k, public, msg, sig)
}

// MAC makes an authentication code of [Row.Makes] bytes.
func (t *Table) MAC(key Key, m Mechanism, msg []byte) (code []byte, err error) {
	r, err := t.fit(m, key.Kind, key.Secret.Len(), described.MAC)
	if err != nil {
		return nil, err
	}
	err = with(key.Secret, func(sk []byte) error {
		code = r.MAC(sk, msg)
		return nil
	})
	return code, err
}

// VerifyMAC refuses a code that is not the whole code of msg with [ErrOpen], in constant time.
func (t *Table) VerifyMAC(key Key, m Mechanism, msg, code []byte) error {
	want, err := t.MAC(key, m, msg)
	if err == nil && !hmac.Equal(want, code) {
		err = ErrOpen
	}
	return err
}

// Encrypt encrypts data: with a secret key and authenticated additional data, or to a public key, which takes no additional data.
func (t *Table) Encrypt(key Key, m Mechanism, plain, additional []byte) (sealed []byte, err error) {
	r, err := t.row(m, described.Encrypt, described.Decrypt)
	if err != nil {
		return nil, err
	}
	if r.Use == described.Decrypt {
		if len(additional) > 0 || !t.described.Direct(key.Kind, m) {
			return nil, fmt.Errorf("%w: %q takes no additional data and keys of other kinds", ErrUnfit, m)
		}
		return r.EncryptTo(key.Kind, key.Public, plain)
	}
	if r, err = t.fit(m, key.Kind, key.Secret.Len(), described.Encrypt); err != nil {
		return nil, err
	}
	err = with(key.Secret, func(sk []byte) (err error) {
		sealed, err = r.Encrypt(sk, plain, additional)
		return err
	})
	return sealed, err
}

// Decrypt decrypts what [Table.Encrypt] made, or refuses it with [ErrOpen]. The plaintext is on the Go heap; keys travel wrapped instead.
func (t *Table) Decrypt(key Key, m Mechanism, sealed, additional []byte) (plain []byte, err error) {
	r, err := t.fit(m, key.Kind, key.Secret.Len(), described.Encrypt, described.Decrypt)
	if err != nil {
		return nil, err
	}
	if r.Use == described.Decrypt && len(additional) > 0 {
		return nil, fmt.Errorf("%w: %q takes no additional data", ErrUnfit, m)
	}
	err = with(key.Secret, func(sk []byte) (err error) {
		if r.Use == described.Decrypt {
			plain, err = r.DecryptFrom(key.Kind, sk, sealed)
		} else {
			plain, err = r.Decrypt(sk, sealed, additional)
		}
		return err
	})
	return plain, err
}

// Wrap encrypts another key.
func (t *Table) Wrap(key Key, m Mechanism, plain secret.Bytes) (wrapped []byte, err error) {
	r, err := t.fit(m, key.Kind, key.Secret.Len(), described.Wrap)
	if err != nil {
		return nil, err
	}
	err = with(key.Secret, func(sk []byte) error {
		return plain.Use(func(p []byte) (err error) {
			wrapped, err = r.Wrap(sk, p)
			return err
		})
	})
	return wrapped, err
}

// Unwrap decrypts a wrapped key into arena a, or refuses it with [ErrOpen]. The caller wipes it.
func (t *Table) Unwrap(a *secret.Arena, key Key, m Mechanism, wrapped []byte) (secret.Bytes, error) {
	r, err := t.fit(m, key.Kind, key.Secret.Len(), described.Wrap)
	if err != nil {
		return secret.Bytes{}, err
	}
	n := 0
	full, err := t.shared(a, key, max(len(wrapped), 1), func(sk, out []byte) (err error) {
		n, err = r.Unwrap(sk, wrapped, out)
		return err
	})
	if err != nil {
		return secret.Bytes{}, err
	}
	defer full.Wipe()
	return secret.New(a, n, func(b []byte) error {
		return full.Use(func(p []byte) error {
			copy(b, p)
			return nil
		})
	})
}

// shared makes a secret of n bytes with a key.
func (t *Table) shared(a *secret.Arena, key Key, n int, f func(sk, out []byte) error) (out secret.Bytes, err error) {
	err = with(key.Secret, func(sk []byte) (err error) {
		out, err = secret.New(a, n, func(b []byte) error { return f(sk, b) })
		return err
	})
	return out, err
}

// Encapsulate makes a shared secret for the owner of a public key, and the capsule that gives it to them. The caller wipes it.
func (t *Table) Encapsulate(a *secret.Arena, m Mechanism, public []byte) (shared secret.Bytes, capsule []byte, err error) {
	r, err := t.row(m, described.KEM)
	if err != nil {
		return shared, nil, err
	}
	secret.Do(func() {
		var raw []byte
		if raw, capsule, err = r.Encapsulate(public); err == nil {
			shared, err = secret.Take(a, raw)
		}
	})
	return shared, capsule, err
}

// Decapsulate gets the shared secret of a capsule. A capsule made for another key gives another secret, not an error (FIPS 203).
func (t *Table) Decapsulate(a *secret.Arena, key Key, m Mechanism, capsule []byte) (secret.Bytes, error) {
	r, err := t.fit(m, key.Kind, key.Secret.Len(), described.KEM)
	if err != nil {
		return secret.Bytes{}, err
	}
	return t.shared(a, key, r.Makes, func(sk, out []byte) error { return r.Decapsulate(sk, capsule, out) })
}

// Agree makes the secret shared with the owner of the peer's public key. It is not uniform: derive keys from it.
func (t *Table) Agree(a *secret.Arena, key Key, m Mechanism, peer []byte) (secret.Bytes, error) {
	r, err := t.fit(m, key.Kind, key.Secret.Len(), described.Agree)
	if err != nil {
		return secret.Bytes{}, err
	}
	return t.shared(a, key, r.Makes, func(sk, out []byte) error { return r.Agree(sk, peer, out) })
}

// Derive makes a child key, a scalar of secp256k1 for BIP-32. The caller wipes it.
func (t *Table) Derive(a *secret.Arena, key Key, m Mechanism, path secp.Path) (secret.Bytes, error) {
	r, err := t.fit(m, key.Kind, key.Secret.Len(), described.Derive)
	if err != nil {
		return secret.Bytes{}, err
	}
	return r.Derive(a, key.Secret, path)
}
