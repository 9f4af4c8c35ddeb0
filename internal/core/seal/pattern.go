// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"strongroom/internal/core/internal/kdf"
	"strongroom/internal/pure/canon"
	"strongroom/internal/secret"
)

// PatternSize is the length of a verification pattern in bytes.
const PatternSize = 16

// Pattern is the verification pattern of a domain working key: it tells which key a blob needs, and lets custodians see that they loaded
// the right one, without telling anything about the key.
//
// It is HMAC-SHA-256(vk, tag || 0x00 || identity || epoch as 8 bytes, big-endian), cut to 16 bytes, with vk = HKDF-SHA-384(key, no salt,
// info = tag), 32 bytes. identity is the domain identity key: the domain's id can't stand here, because it is the hash of a genesis that
// names the pattern.
func Pattern(key secret.Bytes, identity [ed25519.PublicKeySize]byte, epoch uint64) (out [PatternSize]byte, err error) {
	message := canon.TagBytes(canon.TagPattern, binary.BigEndian.AppendUint64(identity[:], epoch))
	err = key.Use(func(k []byte) error {
		if len(k) != KeySize {
			return fmt.Errorf("%w: key of %d bytes, not %d", ErrInput, len(k), KeySize)
		}
		var err error
		secret.Do(func() {
			vk := make([]byte, sha256.Size)
			defer clear(vk)
			if err = kdf.HKDF(kdf.SHA384, vk, k, nil, []byte(canon.TagPattern)); err != nil {
				return
			}
			mac := hmac.New(sha256.New, vk)
			mac.Write(message)
			var sum [sha256.Size]byte
			copy(out[:], mac.Sum(sum[:0]))
		})
		return err
	})
	if err != nil {
		return [PatternSize]byte{}, fmt.Errorf("seal: verification pattern: %w", err)
	}
	return out, nil
}
