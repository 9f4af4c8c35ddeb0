// SPDX-License-Identifier: Apache-2.0

package pkcs11

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	p11 "github.com/miekg/pkcs11"

	"strongroom/internal/core/hsm"
)

// maxWrapped bounds a wrapped key in bytes; an EC key in PKCS #8 has some 140.
const maxWrapped = 1 << 10

// makeWrap makes the key that wraps keys, and gives the mechanism with which it does, tried out: PKCS #11 v3.0 names KWP 0x210B, and libraries before it do
// the same under 0x210A. 0: the token can't, and has no such key then.
func (r *Root) makeWrap(m module, s p11.SessionHandle) (uint, error) {
	wrap, err := generateAES(m, s, roleWrap, r.record.ID[:])
	if err != nil {
		return 0, err
	}
	mech, err := tryWrap(m, s, wrap)
	if err == nil && mech == 0 {
		err = m.DestroyObject(s, wrap)
	}
	return mech, err
}

// tryWrap wraps a key that is thrown away.
func tryWrap(m module, s p11.SessionHandle, wrap p11.ObjectHandle) (uint, error) {
	key, err := m.GenerateKey(s, []*p11.Mechanism{p11.NewMechanism(p11.CKM_AES_KEY_GEN, nil)}, []*p11.Attribute{attr(p11.CKA_CLASS, uint(p11.CKO_SECRET_KEY)),
		attr(p11.CKA_KEY_TYPE, uint(p11.CKK_AES)), attr(p11.CKA_VALUE_LEN, uint(keySize)), attr(p11.CKA_TOKEN, false), attr(p11.CKA_PRIVATE, true), attr(p11.CKA_SENSITIVE, true),
		attr(p11.CKA_EXTRACTABLE, true)})
	if err != nil {
		return 0, fmt.Errorf("pkcs11: make a key to try wrapping with: %w", err)
	}
	found := uint(0)
	for _, mech := range []uint{ckmAESKeyWrapKWP, p11.CKM_AES_KEY_WRAP_PAD} {
		b, err := m.WrapKey(s, []*p11.Mechanism{p11.NewMechanism(mech, nil)}, wrap, key)
		if lost(err) {
			return 0, err
		}
		if err == nil && len(b) == keySize+8 { // RFC 5649: one block more
			found = mech
			break
		}
	}
	return found, m.DestroyObject(s, key)
}

// wrapKey finds the key that wraps.
func (r *Root) wrapKey(m module, s p11.SessionHandle) (p11.ObjectHandle, error) {
	if r.record.KWP == 0 {
		return 0, fmt.Errorf("%w: the token can't wrap keys", hsm.ErrUnsupported)
	}
	found, err := search(m, s, p11.CKO_SECRET_KEY, roleWrap, r.record.ID[:])
	if err == nil && len(found) != 1 {
		err = errors.Join(loggedIn(m, s), fmt.Errorf("%w: the token holds %d keys of this root that wrap", hsm.ErrAltered, len(found)))
	}
	if err != nil {
		return 0, err
	}
	return found[0].handle, nil
}

// GenerateWrappedKey implements [hsm.WrappedKeys]. The key is extractable while it is made, in a session, and is destroyed there when it has been wrapped.
func (r *Root) GenerateWrappedKey(ctx context.Context, name hsm.Algorithm) (hsm.WrappedKey, error) {
	a, ok := algorithms[name]
	if !ok {
		return hsm.WrappedKey{}, fmt.Errorf("%w: algorithm %q is not known", hsm.ErrUnsupported, name)
	}
	if err := r.usable(ctx); err != nil {
		return hsm.WrappedKey{}, fmt.Errorf("pkcs11 root: make a wrapped key: %w", err)
	}
	k, err := with(ctx, r.token, "make a wrapped key", func(m module, s p11.SessionHandle) (hsm.WrappedKey, error) {
		wrap, err := r.wrapKey(m, s)
		if err != nil {
			return hsm.WrappedKey{}, err
		}
		return r.makeWrapped(m, s, a, wrap)
	})
	if err != nil {
		return hsm.WrappedKey{}, fmt.Errorf("pkcs11 root: make a wrapped key: %w", r.mark(err))
	}
	return k, nil
}

func (r *Root) makeWrapped(m module, s p11.SessionHandle, a algorithm, wrap p11.ObjectHandle) (k hsm.WrappedKey, err error) {
	private, public, point, err := a.makePair(m, s, r.record.ID[:], false)
	if err != nil {
		return k, err
	}
	defer func() { err = errors.Join(err, m.DestroyObject(s, private), m.DestroyObject(s, public)) }()
	wrapped, err := m.WrapKey(s, []*p11.Mechanism{p11.NewMechanism(r.record.KWP, nil)}, wrap, private)
	if err != nil {
		return k, unsupported("wrap a key for "+string(a.name), err)
	}
	if n := len(wrapped); n == 0 || n > maxWrapped || n%8 != 0 {
		return k, fmt.Errorf("%w: a wrapped key of %d bytes", ErrModule, n)
	}
	k = hsm.WrappedKey{Algorithm: a.name, Public: point, Wrapped: wrapped}
	return k, r.tryWrapped(m, s, a, wrap, k)
}

// tryWrapped signs with a key that was just wrapped: what does not come back is not given.
func (r *Root) tryWrapped(m module, s p11.SessionHandle, a algorithm, wrap p11.ObjectHandle, k hsm.WrappedKey) error {
	_, err := r.signUnwrapped(m, s, a, wrap, k, bytes.Repeat([]byte{1}, 32))
	return err
}

// SignWithWrappedKey implements [hsm.WrappedKeys]. KWP authenticates the key and nothing about it: that it is the right one shows in the signature, which must
// verify under the public key.
func (r *Root) SignWithWrappedKey(ctx context.Context, k hsm.WrappedKey, input []byte) ([]byte, error) {
	a, err := checkSign(k.Algorithm, input)
	if err == nil && (len(k.Wrapped) == 0 || len(k.Wrapped) > maxWrapped) {
		err = fmt.Errorf("%w: a wrapped key of %d bytes", hsm.ErrInput, len(k.Wrapped))
	}
	if err == nil {
		err = r.usable(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("pkcs11 root: sign with a wrapped key: %w", err)
	}
	k.Public, k.Wrapped, input = slices.Clone(k.Public), slices.Clone(k.Wrapped), slices.Clone(input) // after a hang the library may still read them
	sig, err := with(ctx, r.token, "sign with a wrapped key", func(m module, s p11.SessionHandle) ([]byte, error) {
		wrap, err := r.wrapKey(m, s)
		if err != nil {
			return nil, err
		}
		return r.signUnwrapped(m, s, a, wrap, k, input)
	})
	if err != nil {
		return nil, fmt.Errorf("pkcs11 root: sign with a wrapped key: %w", r.mark(err))
	}
	return sig, nil
}

// signUnwrapped unwraps a key into the session, never extractable again, signs with it and destroys it.
func (r *Root) signUnwrapped(m module, s p11.SessionHandle, a algorithm, wrap p11.ObjectHandle, k hsm.WrappedKey, input []byte) (sig []byte, err error) {
	key, err := m.UnwrapKey(s, []*p11.Mechanism{p11.NewMechanism(r.record.KWP, nil)}, wrap, k.Wrapped, []*p11.Attribute{attr(p11.CKA_CLASS, uint(p11.CKO_PRIVATE_KEY)),
		attr(p11.CKA_KEY_TYPE, a.keyType), attr(p11.CKA_TOKEN, false), attr(p11.CKA_PRIVATE, true), attr(p11.CKA_SENSITIVE, true), attr(p11.CKA_EXTRACTABLE, false),
		attr(p11.CKA_SIGN, true), attr(p11.CKA_DECRYPT, false), attr(p11.CKA_UNWRAP, false), attr(p11.CKA_DERIVE, false)})
	if is(err, p11.CKR_WRAPPED_KEY_INVALID, p11.CKR_WRAPPED_KEY_LEN_RANGE, p11.CKR_GENERAL_ERROR, p11.CKR_ENCRYPTED_DATA_INVALID, p11.CKR_FUNCTION_FAILED) {
		return nil, fmt.Errorf("%w: the token does not unwrap the key: %w", hsm.ErrAltered, err)
	}
	if err != nil {
		return nil, fmt.Errorf("pkcs11: unwrap a key: %w", err)
	}
	defer func() { err = errors.Join(err, m.DestroyObject(s, key)) }()
	for _, typ := range []uint{p11.CKA_SENSITIVE, p11.CKA_EXTRACTABLE} {
		got, err := attribute(m, s, key, typ)
		if err != nil || !bytes.Equal(got, attr(typ, typ == p11.CKA_SENSITIVE).Value) {
			return nil, errors.Join(fmt.Errorf("%w: attribute %#x of an unwrapped key is %x", ErrWeak, typ, got), err)
		}
	}
	return a.signVerified(m, s, key, k.Public, input)
}
