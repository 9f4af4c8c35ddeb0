// SPDX-License-Identifier: Apache-2.0

// Package agree is the family of key agreements on curves: ECDH on P-224 to P-521 and secp256k1, with and without cofactor, which is 1 on all
// of them; X25519 and X448, whose keys it makes too. The peer's key comes in the parameter, raw or in an ECDH1 structure with a key derivation
// function: none, or that of ANSI X9.63 with SHA-1 or SHA-2. Without one the new key is the trailing bytes of the secret (PKCS#11 2.40 section
// 2.3.10). "Hybrid null" gives the secret itself.
//
// The two RAW mechanisms of the vendor give the whole secret as a generic secret, which stays in a blob: a clear secret never leaves.
//
// It refuses points that are not uncompressed or not on the curve, public keys of low order (RFC 7748 section 6), key derivation functions that
// it doesn't have, and shared information without one.
//
// Specs: SEC 1 section 3.3 and 3.6.1, RFC 7748, PKCS#11 2.40. Constant time: package group; X25519 by crypto/ecdh; X448 by circl
// (docs/adr/0020-algorithms-for-applications.md). Copies outside the arena: crypto/ecdh keeps the scalar on the heap; what circl has lies on the
// stack, which is erased.
package agree

import (
	"context"
	"errors"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/core/internal/curve"
	"strongroom/internal/core/internal/group"
	"strongroom/internal/core/internal/kdf"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/secret"
)

// Set gives the family, on a backend for secp256k1.
func Set(b *curve.Backend) family.Set {
	set := family.Set{Keys: map[family.KeyType]family.Generator{}}
	weierstrass := map[string]*group.Group{
		ep11.OIDP224: group.P224(), ep11.OIDP256: group.P256(), ep11.OIDP384: group.P384(), ep11.OIDP521: group.P521(),
		ep11.OIDSecp256k1: group.Secp256k1(b),
	}
	for _, oid := range []string{ep11.OIDP224, ep11.OIDP256, ep11.OIDP384, ep11.OIDP521, ep11.OIDSecp256k1} {
		kinds := []family.KeyType{{Type: ep11.CKK_EC, Params: oid}}
		d := deriver{party: weierstrass[oid], size: weierstrass[oid].Size()}
		for _, m := range []uint64{ep11.CKM_ECDH1_DERIVE, ep11.CKM_ECDH1_COFACTOR_DERIVE} {
			set.Rows = append(set.Rows, family.Row{Mechanism: m, Keys: kinds, Derive: d})
		}
	}
	for _, row := range []struct {
		oid       string
		m, raw    uint64
		generator montgomery
	}{
		{ep11.OIDX25519, ep11.CKM_IBM_EC_X25519, ep11.CKM_IBM_EC_X25519_RAW, montgomery{x25519{}, 32, 255}},
		{ep11.OIDX448, ep11.CKM_IBM_EC_X448, ep11.CKM_IBM_EC_X448_RAW, montgomery{x448{}, 56, 448}},
	} {
		kind := family.KeyType{Type: ep11.CKK_EC, Params: row.oid}
		kinds := []family.KeyType{kind}
		set.Keys[kind] = row.generator
		d := deriver{party: row.generator.ladder, size: row.generator.size}
		set.Rows = append(set.Rows,
			family.Row{Mechanism: row.m, Keys: kinds, Derive: d},
			family.Row{Mechanism: row.raw, Keys: kinds, Derive: deriver{party: d.party, size: d.size, raw: true}},
			family.Row{Mechanism: ep11.CKM_EC_KEY_PAIR_GEN, Generates: kinds})
	}
	return set
}

// party agrees with the owner of a public key: out gets the secret, of its full size.
type party interface {
	Agree(sk, peer, out []byte) error
}

// deriver derives a key from an agreement.
type deriver struct {
	party party
	size  int  // bytes of the secret
	raw   bool // the whole secret, without a key derivation function
}

// wish is what a parameter asks for.
type wish struct {
	peer, shared []byte
	hash         kdf.Hash // 0: no function
	whole        bool     // the secret as it is
}

// hashes are the hash functions of the key derivation functions.
var hashes = map[uint64]kdf.Hash{
	ep11.CKD_SHA1_KDF: kdf.SHA1, ep11.CKD_SHA224_KDF: kdf.SHA224, ep11.CKD_SHA256_KDF: kdf.SHA256, ep11.CKD_SHA384_KDF: kdf.SHA384,
	ep11.CKD_SHA512_KDF: kdf.SHA512,
}

// parse reads the parameter: a raw public key, or an ECDH1 structure.
func (d deriver) parse(m ep11.Mechanism) (wish, error) {
	if m.ECDH == nil {
		if len(m.Parameter) == 0 {
			return wish{}, ep11.Fail(ep11.CKR_MECHANISM_PARAM_INVALID, "the other side's public key is missing")
		}
		return wish{peer: m.Parameter, whole: d.raw}, nil
	}
	w := wish{peer: m.ECDH.Public, shared: m.ECDH.Shared, hash: hashes[m.ECDH.KDF], whole: d.raw}
	switch {
	case w.hash != 0 && !d.raw:
		return w, nil
	case m.ECDH.KDF == ep11.CKD_HYBRID_NULL:
		w.whole = true
	case m.ECDH.KDF != ep11.CKD_NULL:
		return wish{}, ep11.Fail(ep11.CKR_MECHANISM_PARAM_INVALID, "key derivation function 0x%x is not offered here", m.ECDH.KDF)
	}
	if len(w.shared) > 0 {
		return wish{}, ep11.Fail(ep11.CKR_MECHANISM_PARAM_INVALID, "shared data without a key derivation function")
	}
	return w, nil
}

// Derive agrees and makes the new key.
func (d deriver) Derive(_ context.Context, t family.Tools, in family.Derivation) (family.Derived, error) {
	w, err := d.parse(in.Mechanism)
	if err != nil {
		return family.Derived{}, err
	}
	if in.Base == nil {
		return family.Derived{}, ep11.CKR_KEY_NEEDED
	}
	if w.whole && in.Type != ep11.CKK_GENERIC_SECRET {
		return family.Derived{}, ep11.Fail(ep11.CKR_TEMPLATE_INCONSISTENT, "the secret itself is a generic secret")
	}
	available := d.size
	if w.hash != 0 {
		available = 0
	}
	n, err := family.SymmetricLength(in, available)
	if err != nil {
		return family.Derived{}, err
	}
	if w.whole && n != d.size {
		return family.Derived{}, ep11.Fail(ep11.CKR_KEY_SIZE_RANGE, "the secret itself has %d bytes, not %d", d.size, n)
	}
	shared, err := d.agree(t, in.Base.Secret, w.peer)
	if err != nil {
		return family.Derived{}, err
	}
	defer shared.Wipe()
	return family.NewSymmetric(t, in, n, func(out []byte) error {
		return shared.Use(func(z []byte) error {
			if w.hash != 0 {
				return kdf.X963(w.hash, out, z, w.shared)
			}
			copy(out, z[len(z)-n:])
			return nil
		})
	})
}

// agree makes the secret. A base key that is none has been let in by somebody else's mistake: it is an accident, not a refusal.
func (d deriver) agree(t family.Tools, base secret.Bytes, peer []byte) (shared secret.Bytes, err error) {
	err = base.Use(func(sk []byte) (err error) {
		shared, err = secret.New(t.Arena, d.size, func(out []byte) error { return d.party.Agree(sk, peer, out) })
		return err
	})
	if errors.Is(err, group.ErrPoint) || errors.Is(err, errPeer) {
		err = ep11.Fail(ep11.CKR_MECHANISM_PARAM_INVALID, "the other side's public key is not valid")
	}
	return shared, err
}
