// SPDX-License-Identifier: Apache-2.0

package slip39

import (
	"crypto/subtle"
	"encoding/binary"
	"fmt"

	"strongroom/internal/core/internal/kdf"
	"strongroom/internal/secret"
)

const (
	rounds         = 4
	baseIterations = 10000 / rounds
)

// crypt encrypts a secret under a passphrase, or decrypts it: a Feistel network of four rounds over the two halves (SLIP-39 "Encryption of the
// master secret"). The result has the secret's length.
func crypt(a *secret.Arena, in, passphrase secret.Bytes, h Header, decrypt bool) (secret.Bytes, error) {
	n := in.Len()
	half := n / 2
	password, err := newPassword(a, passphrase)
	if err != nil {
		return secret.Bytes{}, err
	}
	defer password.Wipe()
	// Room for the salt (prefix and half), and what a round gives.
	var prefix []byte
	if !h.Extendable {
		prefix = binary.BigEndian.AppendUint16([]byte(customShamir), h.ID)
	}
	saltSize := len(prefix) + half
	scratch, err := secret.New(a, saltSize+half, func(b []byte) error { copy(b, prefix); return nil })
	if err != nil {
		return secret.Bytes{}, err
	}
	defer scratch.Wipe()
	return secret.New(a, n, func(out []byte) error {
		return useThree(in, password, scratch, func(x, password, s []byte) error {
			salt, mask := s[:saltSize], s[saltSize:]
			l, r := out[:half], out[half:]
			copy(l, x[:half])
			copy(r, x[half:])
			for i := range rounds {
				password[0] = byte(i)
				if decrypt {
					password[0] = byte(rounds - 1 - i)
				}
				copy(salt[len(prefix):], r)
				if err := kdf.PBKDF2(kdf.SHA256, mask, password, salt, baseIterations<<h.Exponent); err != nil {
					return err
				}
				subtle.XORBytes(mask, mask, l)
				copy(l, r)
				copy(r, mask)
			}
			// The result is R || L.
			copy(mask, l)
			copy(l, r)
			copy(r, mask)
			return nil
		})
	})
}

// useThree gives f three secrets at once.
func useThree(x, y, z secret.Bytes, f func(x, y, z []byte) error) error {
	return x.Use(func(a []byte) error {
		return y.Use(func(b []byte) error {
			return z.Use(func(c []byte) error { return f(a, b, c) })
		})
	})
}

// newPassword gives room for the number of the round, then the passphrase. SLIP-39 allows printable ASCII.
func newPassword(a *secret.Arena, passphrase secret.Bytes) (secret.Bytes, error) {
	n := passphrase.Len()
	if n > MaxPassphrase {
		return secret.Bytes{}, fmt.Errorf("%w: a passphrase of %d bytes, at most %d", ErrSecret, n, MaxPassphrase)
	}
	return secret.New(a, 1+n, func(b []byte) error {
		if n == 0 {
			return nil
		}
		return passphrase.Use(func(p []byte) error {
			for _, c := range p {
				if c < 32 || c > 126 {
					return fmt.Errorf("%w: the passphrase has other characters than printable ASCII", ErrSecret)
				}
			}
			copy(b[1:], p)
			return nil
		})
	})
}
