// SPDX-License-Identifier: Apache-2.0

package pkcs11

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	p11 "github.com/miekg/pkcs11"

	"strongroom/internal/core/hsm"
	"strongroom/internal/pure/custody"
)

var (
	_ hsm.TokenKeys   = (*Root)(nil)
	_ hsm.WrappedKeys = (*Root)(nil)
)

// maxSignature is room for what a library gives before its length is looked at.
const maxSignature = 512

// keyID is the CKA_ID of the objects of a key: the root's id, and the 16 bytes that the key's id spells, so that the token can say which keys it has.
func (r *Root) keyID(id custody.KeyID) []byte {
	raw, _ := hex.DecodeString(string(id)) // the callers have checked it
	return append(slices.Clone(r.record.ID[:]), raw...)
}

// privateTemplate gives the attributes of a key that signs. It signs and does nothing else.
func (a algorithm) privateTemplate(id []byte, stays bool) []*p11.Attribute {
	t := []*p11.Attribute{attr(p11.CKA_CLASS, uint(p11.CKO_PRIVATE_KEY)), attr(p11.CKA_KEY_TYPE, a.keyType), attr(p11.CKA_TOKEN, stays), attr(p11.CKA_PRIVATE, true),
		attr(p11.CKA_SENSITIVE, true), attr(p11.CKA_EXTRACTABLE, !stays), attr(p11.CKA_SIGN, true), attr(p11.CKA_DECRYPT, false), attr(p11.CKA_UNWRAP, false),
		attr(p11.CKA_DERIVE, false), attr(p11.CKA_LABEL, roleKey.label()), attr(p11.CKA_ID, id)}
	if stays {
		t = append(t, attr(p11.CKA_MODIFIABLE, false))
	}
	return t
}

func (a algorithm) publicTemplate(params, id []byte, stays bool) []*p11.Attribute {
	return []*p11.Attribute{attr(p11.CKA_CLASS, uint(p11.CKO_PUBLIC_KEY)), attr(p11.CKA_KEY_TYPE, a.keyType), attr(p11.CKA_EC_PARAMS, params), attr(p11.CKA_TOKEN, stays),
		attr(p11.CKA_VERIFY, true), attr(p11.CKA_LABEL, rolePublic.label()), attr(p11.CKA_ID, id)}
}

// lacking reports whether a token refused because it doesn't have a mechanism or curve.
func lacking(err error) bool {
	return is(err, p11.CKR_MECHANISM_INVALID, p11.CKR_MECHANISM_PARAM_INVALID, p11.CKR_CURVE_NOT_SUPPORTED, p11.CKR_DOMAIN_PARAMS_INVALID, p11.CKR_KEY_NOT_WRAPPABLE,
		p11.CKR_FUNCTION_NOT_SUPPORTED, p11.CKR_ATTRIBUTE_VALUE_INVALID, p11.CKR_TEMPLATE_INCONSISTENT)
}

// unsupported says so where a token lacks something.
func unsupported(what string, err error) error {
	if lacking(err) {
		return fmt.Errorf("%w: %s: %w", hsm.ErrUnsupported, what, err)
	}
	return fmt.Errorf("pkcs11: %s: %w", what, err)
}

// makePair makes a key pair, in the forms of template and curve name that the token takes, and gives its handles and public key.
func (a algorithm) makePair(m module, s p11.SessionHandle, id []byte, stays bool) (private, public p11.ObjectHandle, point []byte, err error) {
	gen := []*p11.Mechanism{p11.NewMechanism(a.generate, nil)}
	extra := []*p11.Attribute{attr(p11.CKA_COPYABLE, false), attr(p11.CKA_ALLOWED_MECHANISMS, mechanismList([]uint{a.sign}))}
	must := a.privateTemplate(id, stays)
	for _, params := range a.params {
		for n := len(extra); n >= 0; n-- {
			want := append(slices.Clone(must), extra[:n]...)
			public, private, err = m.GenerateKeyPair(s, gen, a.publicTemplate(params, id, stays), want)
			if unknownAttribute(err) || lacking(err) {
				continue // a token that lacks the curve is asked in each form, and lacks it in each
			}
			if err != nil {
				return 0, 0, nil, fmt.Errorf("pkcs11: make a key for %s: %w", a.name, err)
			}
			point, err = a.checkPair(m, s, private, public, want, stays)
			if err != nil {
				err = errors.Join(err, m.DestroyObject(s, private), m.DestroyObject(s, public))
			}
			return private, public, point, err
		}
	}
	return 0, 0, nil, unsupported("make a key for "+string(a.name), err)
}

// checkPair reads back what was made, and makes and verifies a signature with it (pairwise consistency).
func (a algorithm) checkPair(m module, s p11.SessionHandle, private, public p11.ObjectHandle, want []*p11.Attribute, stays bool) ([]byte, error) {
	if err := readBack(m, s, private, append(want, facts(stays)...)); err != nil {
		return nil, err
	}
	raw, err := attribute(m, s, public, p11.CKA_EC_POINT)
	if err != nil {
		return nil, fmt.Errorf("pkcs11: read the public key: %w", err)
	}
	point, err := a.public(raw)
	if err != nil {
		return nil, err
	}
	check := sha256.Sum256(append([]byte("pairwise consistency"), point...))
	_, err = a.signVerified(m, s, private, point, check[:])
	return point, err
}

// signVerified signs, and verifies before it gives the signature.
func (a algorithm) signVerified(m module, s p11.SessionHandle, key p11.ObjectHandle, public, input []byte) ([]byte, error) {
	if err := m.SignInit(s, []*p11.Mechanism{p11.NewMechanism(a.sign, nil)}, key); err != nil {
		return nil, unsupported("sign with "+string(a.name), err)
	}
	out := make([]byte, maxSignature)
	n, err := m.Sign(s, input, out)
	if err != nil {
		return nil, fmt.Errorf("pkcs11: sign with %s: %w", a.name, err)
	}
	sig, err := a.signature(out[:n])
	if err != nil {
		return nil, err
	}
	if !a.verify(public, input, sig) {
		return nil, fmt.Errorf("%w: a signature of the token does not verify under the key's public key and was withheld", hsm.ErrAltered)
	}
	return sig, nil
}

// GenerateTokenKey implements [hsm.TokenKeys].
func (r *Root) GenerateTokenKey(ctx context.Context, id custody.KeyID, name hsm.Algorithm) (public []byte, err error) {
	a, ok := algorithms[name]
	if !ok {
		return nil, fmt.Errorf("%w: algorithm %q is not known", hsm.ErrUnsupported, name)
	}
	if err := id.Check(); err != nil {
		return nil, fmt.Errorf("%w: %w", hsm.ErrInput, err)
	}
	err = r.do(ctx, "make key", string(id), func() error {
		_, err := with(ctx, r.token, "look for a key", func(m module, s p11.SessionHandle) (p11.ObjectHandle, error) { return r.findKey(m, s, id) })
		switch {
		case err == nil:
			return hsm.ErrExists
		case !errors.Is(err, hsm.ErrNotFound):
			return err
		}
		public, err = with(ctx, r.token, "make a key", func(m module, s p11.SessionHandle) ([]byte, error) {
			// What a first try left whose answer was lost, and a public key without its private one.
			if err := r.dropKey(m, s, id); err != nil {
				return nil, err
			}
			_, _, point, err := a.makePair(m, s, r.keyID(id), true)
			return point, err
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return public, nil
}

// findKey finds the private key of an id.
func (r *Root) findKey(m module, s p11.SessionHandle, id custody.KeyID) (p11.ObjectHandle, error) {
	found, err := search(m, s, p11.CKO_PRIVATE_KEY, roleKey, r.keyID(id))
	if err != nil {
		return 0, err
	}
	switch len(found) {
	case 0:
		if err := r.present(m, s); err != nil {
			return 0, err
		}
		return 0, hsm.ErrNotFound
	case 1:
		return found[0].handle, nil
	}
	return 0, fmt.Errorf("%w: the token holds %d private keys of the id", hsm.ErrAltered, len(found))
}

func (r *Root) dropKey(m module, s p11.SessionHandle, id custody.KeyID) error {
	if err := r.present(m, s); err != nil {
		return err
	}
	if err := destroy(m, s, p11.CKO_PRIVATE_KEY, roleKey, r.keyID(id)); err != nil {
		return err
	}
	return destroy(m, s, p11.CKO_PUBLIC_KEY, rolePublic, r.keyID(id))
}

// TokenKey implements [hsm.TokenKeys].
func (r *Root) TokenKey(ctx context.Context, id custody.KeyID) (name hsm.Algorithm, public []byte, err error) {
	if err := id.Check(); err != nil {
		return "", nil, fmt.Errorf("%w: %w", hsm.ErrInput, err)
	}
	type known struct {
		name   hsm.Algorithm
		public []byte
	}
	var k known
	err = r.do(ctx, "look at key", string(id), func() (err error) {
		k, err = with(ctx, r.token, "look at a key", func(m module, s p11.SessionHandle) (known, error) {
			if _, err := r.findKey(m, s, id); err != nil {
				return known{}, err
			}
			found, err := search(m, s, p11.CKO_PUBLIC_KEY, rolePublic, r.keyID(id))
			if err != nil {
				return known{}, err
			}
			if len(found) != 1 {
				return known{}, fmt.Errorf("%w: the token holds %d public keys of the id", hsm.ErrAltered, len(found))
			}
			params, err := attribute(m, s, found[0].handle, p11.CKA_EC_PARAMS)
			if err != nil {
				return known{}, err
			}
			raw, err := attribute(m, s, found[0].handle, p11.CKA_EC_POINT)
			if err != nil {
				return known{}, err
			}
			for _, a := range algorithms {
				if slices.ContainsFunc(a.params, func(p []byte) bool { return bytes.Equal(p, params) }) {
					point, err := a.public(raw)
					return known{a.name, point}, err
				}
			}
			return known{}, fmt.Errorf("%w: its curve is %x", hsm.ErrAltered, params)
		})
		return err
	})
	if err != nil {
		return "", nil, err
	}
	return k.name, k.public, nil
}

// SignWithTokenKey implements [hsm.TokenKeys].
func (r *Root) SignWithTokenKey(ctx context.Context, id custody.KeyID, name hsm.Algorithm, public, input []byte) ([]byte, error) {
	a, err := checkSign(name, input)
	if err == nil {
		err = id.Check()
	}
	if err != nil {
		return nil, fmt.Errorf("pkcs11 root: sign with %s: %w: %w", id, hsm.ErrInput, err)
	}
	if err := r.usable(ctx); err != nil {
		return nil, fmt.Errorf("pkcs11 root: sign with %s: %w", id, err)
	}
	public, input = slices.Clone(public), slices.Clone(input) // after a hang the library may still read them
	sig, err := with(ctx, r.token, "sign", func(m module, s p11.SessionHandle) ([]byte, error) {
		key, err := r.findKey(m, s, id)
		if err != nil {
			return nil, err
		}
		return a.signVerified(m, s, key, public, input)
	})
	if err != nil {
		return nil, fmt.Errorf("pkcs11 root: sign with %s: %w", id, r.mark(err))
	}
	return sig, nil
}

// DestroyTokenKey implements [hsm.TokenKeys].
func (r *Root) DestroyTokenKey(ctx context.Context, id custody.KeyID) error {
	if err := id.Check(); err != nil {
		return fmt.Errorf("%w: %w", hsm.ErrInput, err)
	}
	return r.do(ctx, "destroy key", string(id), func() error {
		return r.token.do(ctx, "destroy a key", func(m module, s p11.SessionHandle) error { return r.dropKey(m, s, id) })
	})
}

// TokenKeyIDs implements [hsm.TokenKeys].
func (r *Root) TokenKeyIDs(ctx context.Context) (ids []custody.KeyID, err error) {
	err = r.do(ctx, "list", "keys", func() error {
		ids, err = with(ctx, r.token, "list the keys", func(m module, s p11.SessionHandle) ([]custody.KeyID, error) {
			found, err := search(m, s, p11.CKO_PRIVATE_KEY, roleKey, nil)
			if err != nil {
				return nil, err
			}
			if err := r.present(m, s); err != nil { // after the search: a session that was logged out before it saw nothing
				return nil, err
			}
			var ids []custody.KeyID
			for _, o := range found {
				if name, ours := bytes.CutPrefix(o.id, r.record.ID[:]); ours && len(name) == objectID {
					ids = append(ids, custody.KeyID(hex.EncodeToString(name)))
				}
			}
			slices.Sort(ids)
			return slices.Compact(ids), nil
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return ids, nil
}
