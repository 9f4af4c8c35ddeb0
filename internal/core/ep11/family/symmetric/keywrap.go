// SPDX-License-Identifier: Apache-2.0

package symmetric

import (
	"context"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/core/internal/keywrap"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/secret"
)

// keyWrap is AES key wrap without padding (RFC 3394) and with it (RFC 5649), with the standards' initial values.
type keyWrap struct{}

// Wrap encrypts key material. Without padding it has to be at least two and whole semiblocks of 8 bytes.
func (keyWrap) Wrap(_ context.Context, _ family.Tools, m ep11.Mechanism, kek family.Key, plain secret.Bytes) (out []byte, err error) {
	if len(m.Parameter) != 0 {
		return nil, ep11.Fail(ep11.CKR_MECHANISM_PARAM_INVALID, "the initial value is the standard's")
	}
	wrap := keywrap.Wrap
	if m.Type == ep11.CKM_AES_KEY_WRAP {
		wrap = keywrap.WrapWhole
	}
	err = kek.Secret.Use(func(key []byte) error {
		return plain.Use(func(p []byte) error {
			out = make([]byte, keywrap.Size(len(p)))
			if wrap(key, p, out) != nil {
				return ep11.CKR_KEY_SIZE_RANGE
			}
			return nil
		})
	})
	return out, err
}

// Unwrap decrypts what Wrap made.
func (keyWrap) Unwrap(_ context.Context, t family.Tools, m ep11.Mechanism, kek family.Key, wrapped []byte) (secret.Bytes, error) {
	if len(m.Parameter) != 0 {
		return secret.Bytes{}, ep11.Fail(ep11.CKR_MECHANISM_PARAM_INVALID, "the initial value is the standard's")
	}
	if len(wrapped)%8 != 0 || len(wrapped) < 16 || len(wrapped) > keywrap.Size(keywrap.MaxPlain) {
		return secret.Bytes{}, ep11.CKR_WRAPPED_KEY_LEN_RANGE
	}
	unwrap := keywrap.Unwrap
	if m.Type == ep11.CKM_AES_KEY_WRAP {
		unwrap = keywrap.UnwrapWhole
	}
	n := 0
	full, err := secret.New(t.Arena, len(wrapped)-8, func(out []byte) error {
		return kek.Secret.Use(func(key []byte) (err error) {
			if n, err = unwrap(key, wrapped, out); err != nil {
				return ep11.CKR_WRAPPED_KEY_INVALID
			}
			return nil
		})
	})
	if err != nil || n == full.Len() {
		return full, err
	}
	defer full.Wipe()
	return first(t.Arena, full, n)
}
