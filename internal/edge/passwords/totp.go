// SPDX-License-Identifier: Apache-2.0

package passwords

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // RFC 6238 with SHA-1 is what authenticator programs do; HMAC does not rest on its collisions
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/url"

	"strongroom/internal/pure/custody"
)

// Of the codes (RFC 6238): what every authenticator program can do.
const (
	period     = 30 // seconds of a step
	digits     = 6
	secretSize = 20 // bytes; RFC 4226 section 4, R6
	sealedSize = secretSize + 16
)

// sealer gives AES-256-GCM under a key that seals one secret: its nonce is zero, and never needed again. The person is authenticated data.
func sealer(key []byte) (cipher.AEAD, []byte, error) {
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, nil, err
	}
	g, err := cipher.NewGCM(b)
	if err != nil {
		return nil, nil, err
	}
	return g, make([]byte, g.NonceSize()), nil
}

func sealSecret(key []byte, person custody.PersonID, secret []byte) ([]byte, error) {
	g, nonce, err := sealer(key)
	if err != nil {
		return nil, err
	}
	return g.Seal(nil, nonce, secret, []byte(person)), nil
}

// openSecret gives the secret, or where the key is not its own as many zero bytes: what follows takes as long.
func openSecret(key []byte, person custody.PersonID, sealed []byte) (secret []byte, ok bool) {
	g, nonce, err := sealer(key)
	if err == nil {
		secret, err = g.Open(nil, nonce, sealed, []byte(person))
	}
	if err != nil {
		return make([]byte, secretSize), false
	}
	return secret, true
}

// code gives the code of a step (RFC 4226 section 5.3), as many decimal digits.
func code(secret []byte, step uint64, digits int) string {
	m := hmac.New(sha1.New, secret)
	m.Write(binary.BigEndian.AppendUint64(nil, step))
	sum := m.Sum(nil)
	n := binary.BigEndian.Uint32(sum[sum[len(sum)-1]&15:]) & (1<<31 - 1)
	modulus := uint32(1)
	for range digits {
		modulus *= 10
	}
	return fmt.Sprintf("%0*d", digits, n%modulus)
}

// matching gives the step whose code somebody typed: that of now, or one before or after (RFC 6238 section 5.2). All are compared, in constant time.
func matching(secret []byte, now int64, typed string) (step uint64, ok bool) {
	at := uint64(max(now, period)) / period
	for _, s := range []uint64{at - 1, at, at + 1} {
		if subtle.ConstantTimeCompare([]byte(code(secret, s, digits)), []byte(typed)) == 1 {
			step, ok = s, true
		}
	}
	return step, ok
}

// uri is what an authenticator program reads as a QR code.
func uri(person custody.PersonID, secret []byte) string {
	q := url.Values{"secret": {base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)}, "issuer": {"Strongroom"}}
	return "otpauth://totp/Strongroom:" + string(person) + "?" + q.Encode()
}
