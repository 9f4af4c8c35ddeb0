// SPDX-License-Identifier: Apache-2.0

package slip39

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"fmt"

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
	// Room for the salt (prefix and half), what a round gives, and the block that PBKDF2 works on.
	var prefix []byte
	if !h.Extendable {
		prefix = binary.BigEndian.AppendUint16([]byte(customShamir), h.ID)
	}
	saltSize := len(prefix) + half
	scratch, err := secret.New(a, saltSize+half+2*sha256.Size, func(b []byte) error { copy(b, prefix); return nil })
	if err != nil {
		return secret.Bytes{}, err
	}
	defer scratch.Wipe()
	return secret.New(a, n, func(out []byte) error {
		return useThree(in, password, scratch, func(x, password, s []byte) {
			salt, mask, block := s[:saltSize], s[saltSize:saltSize+half], s[saltSize+half:]
			l, r := out[:half], out[half:]
			copy(l, x[:half])
			copy(r, x[half:])
			for i := range rounds {
				password[0] = byte(i)
				if decrypt {
					password[0] = byte(rounds - 1 - i)
				}
				copy(salt[len(prefix):], r)
				derive(mask, password, salt, block, baseIterations<<h.Exponent)
				subtle.XORBytes(mask, mask, l)
				copy(l, r)
				copy(r, mask)
			}
			// The result is R || L.
			copy(mask, l)
			copy(l, r)
			copy(r, mask)
		})
	})
}

// useThree gives f three secrets at once.
func useThree(x, y, z secret.Bytes, f func(x, y, z []byte)) error {
	return x.Use(func(a []byte) error {
		return y.Use(func(b []byte) error {
			return z.Use(func(c []byte) error { f(a, b, c); return nil })
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

// derive is PBKDF2 with HMAC-SHA-256 (RFC 8018 section 5.2). crypto/pbkdf2 takes the password as a string, which can't be wiped. block is room
// for two hashes.
func derive(out, password, salt, block []byte, iterations int) {
	mac := hmac.New(sha256.New, password)
	u, t := block[:0:sha256.Size], block[sha256.Size:2*sha256.Size]
	for i := uint32(1); len(out) > 0; i++ {
		mac.Reset()
		mac.Write(salt)
		mac.Write(binary.BigEndian.AppendUint32(nil, i))
		u = mac.Sum(u[:0])
		copy(t, u)
		for range iterations - 1 {
			mac.Reset()
			mac.Write(u)
			u = mac.Sum(u[:0])
			subtle.XORBytes(t, t, u)
		}
		out = out[copy(out, t):]
	}
}
