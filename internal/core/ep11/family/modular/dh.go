// SPDX-License-Identifier: Apache-2.0

package modular

import (
	"context"
	"errors"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/secret"
)

// exponentSize is the length of a new private value in bytes: more than twice the strength of the largest group (SP 800-56A section 5.6.1.1.4;
// RFC 7919 section 5.2 asks for 325 bits).
const exponentSize = 64

var (
	// errPeer says that a public value is not one of the group.
	errPeer = errors.New("modular: public value is not in the group")
	// errExponent says that a private value is 0 or leads to 1.
	errExponent = errors.New("modular: private value is out of range")
)

// dhKeys makes and checks pairs.
type dhKeys struct{ fields []*field }

// Generate makes a pair in the group of params.
func (g dhKeys) Generate(ctx context.Context, t family.Tools, _ ep11.Mechanism, params []byte, _, _ ep11.Template) (family.Key, error) {
	if _, err := find(g.fields, params); err != nil {
		return family.Key{}, err
	}
	key := family.Key{Type: ep11.CKK_DH, Params: params}
	var err error
	if key.Secret, err = secret.New(t.Arena, exponentSize, func(b []byte) error { return t.Random.Fill(ctx, b) }); err != nil {
		return family.Key{}, err
	}
	if key.Public, err = g.Public(key); err != nil { // with a probability below 1 in 2^500
		key.Secret.Wipe()
		return family.Key{}, family.ErrFault
	}
	return key, nil
}

// Public gives g^x, as long as p.
func (g dhKeys) Public(k family.Key) ([]byte, error) {
	f, err := find(g.fields, k.Params)
	if err != nil {
		return nil, err
	}
	if n := k.Secret.Len(); n < 1 || n > len(f.p) {
		return nil, ep11.Fail(ep11.CKR_KEY_SIZE_RANGE, "a private value has 1 to %d bytes", len(f.p))
	}
	base, _ := widened(f.g, len(f.p))
	y := make([]byte, len(f.p))
	err = k.Secret.Use(func(x []byte) (err error) {
		secret.Do(func() { err = f.power(base, x, y) })
		return err
	})
	if err == nil && !f.member(y) {
		err = ep11.Fail(ep11.CKR_WRAPPED_KEY_INVALID, "not a private value of its group")
	}
	return y, err
}

// Check refuses public values that are not in the group.
func (g dhKeys) Check(k family.Key) error {
	f, err := find(g.fields, k.Params)
	if err != nil {
		return err
	}
	if len(k.Public) != len(f.p) || !f.member(k.Public) {
		return ep11.Fail(ep11.CKR_PUBLIC_KEY_INVALID, "not a public value of its group")
	}
	return nil
}

// Bits is the size of the prime.
func (g dhKeys) Bits(k family.Key) uint64 {
	f, err := find(g.fields, k.Params)
	if err != nil {
		return 0
	}
	return uint64(8 * len(f.p))
}

// deriver derives keys from agreements.
type deriver struct{ fields []*field }

// Derive agrees with the owner of the public value in the parameter and takes the trailing bytes of the secret (PKCS#11 2.40 section 2.4.10).
func (d deriver) Derive(_ context.Context, t family.Tools, in family.Derivation) (family.Derived, error) {
	if len(in.Mechanism.Parameter) == 0 {
		return family.Derived{}, ep11.Fail(ep11.CKR_MECHANISM_PARAM_INVALID, "the other side's public value is missing")
	}
	if in.Base == nil {
		return family.Derived{}, ep11.CKR_KEY_NEEDED
	}
	f, err := find(d.fields, in.Base.Params)
	if err != nil {
		return family.Derived{}, err
	}
	n, err := family.SymmetricLength(in, len(f.p))
	if err != nil {
		return family.Derived{}, err
	}
	shared, err := f.agree(t, in.Base.Secret, in.Mechanism.Parameter)
	if errors.Is(err, errPeer) {
		err = ep11.Fail(ep11.CKR_MECHANISM_PARAM_INVALID, "the other side's public value is not valid")
	}
	if err != nil {
		return family.Derived{}, err
	}
	defer shared.Wipe()
	return family.NewSymmetric(t, in, n, func(out []byte) error {
		return shared.Use(func(z []byte) error {
			copy(out, z[len(z)-n:])
			return nil
		})
	})
}

// agree gives the secret, as long as p.
func (f *field) agree(t family.Tools, base secret.Bytes, peer []byte) (shared secret.Bytes, err error) {
	y, ok := widened(peer, len(f.p))
	if !ok || !f.member(y) {
		return shared, errPeer
	}
	err = base.Use(func(x []byte) (err error) {
		shared, err = secret.New(t.Arena, len(f.p), func(out []byte) (err error) {
			secret.Do(func() { err = f.power(y, x, out) })
			if err == nil && isOne(out) == 1 { // SP 800-56A section 5.7.1.1
				err = errExponent
			}
			return err
		})
		return err
	})
	return shared, err
}

// isOne is 1 for the number 1, and 0 for all others, in constant time.
func isOne(b []byte) int {
	var rest byte
	for _, x := range b[:len(b)-1] {
		rest |= x
	}
	rest |= b[len(b)-1] ^ 1
	return int((uint16(rest) - 1) >> 15)
}
