// SPDX-License-Identifier: Apache-2.0

// Package wallet is the family of CKM_IBM_BTC_DERIVE: hierarchical keys of applications after BIP-32 (secp256k1) and SLIP-10 (secp256k1, P-256,
// Ed25519). Private keys come from a seed or a private parent, public keys from either kind of parent. The chain code of the new key goes to the
// caller, who brings it back for the next step: it is no secret here, as it is none in EP11.
//
// These keys are applications' own. A wallet of the platform derives elsewhere (core/internal/hd), from seeds that never come here.
//
// It refuses seeds that are not 16 to 64 bytes, hardened steps from a public key, normal steps on Ed25519, parents of another curve or side than
// the derivation is for, and indexes at which BIP-32 has no key; SLIP-10 has a way on, which is taken.
//
// Specs: BIP-32, SLIP-10. Constant time: package group, HMAC-SHA-512 of package kdf, crypto/ed25519. Copies outside the arena: those of these three;
// an expanded Ed25519 key is cleared.
package wallet

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"math"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/core/internal/curve"
	"strongroom/internal/core/internal/group"
	"strongroom/internal/core/internal/kdf"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/secret"
)

const (
	version   = 1       // of the parameter
	hardened  = 1 << 31 // BIP-32: indexes of hardened keys start here
	chainSize = 32
	keySize   = 32 // bytes of a scalar or seed of the three curves
	nodeSize  = keySize + chainSize
	minSeed   = 16 // BIP-32 "Master key generation"
	maxSeed   = 64
	tries     = 8 // how often SLIP-10's way on is taken: once has a probability below 1 in 2^32
)

// branch is a curve on which keys are derived.
type branch struct {
	oid   string
	label string       // key of the master's HMAC
	group *group.Group // nil for Ed25519
}

// form is what a derivation type does.
type form struct{ slip, master, fromPublic, toPublic bool }

// forms are the derivation types.
var forms = map[uint64]form{
	ep11.CK_BIP0032_PRV2PRV: {}, ep11.CK_BIP0032_PRV2PUB: {toPublic: true}, ep11.CK_BIP0032_PUB2PUB: {fromPublic: true, toPublic: true},
	ep11.CK_BIP0032_MASTERK:  {master: true},
	ep11.CK_SLIP0010_PRV2PRV: {slip: true}, ep11.CK_SLIP0010_PRV2PUB: {slip: true, toPublic: true},
	ep11.CK_SLIP0010_PUB2PUB: {slip: true, fromPublic: true, toPublic: true}, ep11.CK_SLIP0010_MASTERK: {slip: true, master: true},
}

// errNoKey says that there is no key at an index, or for a seed.
var errNoKey = ep11.Fail(ep11.CKR_MECHANISM_PARAM_INVALID, "there is no key here; take the next index")

// Set gives the family, on a backend for secp256k1.
func Set(b *curve.Backend) family.Set {
	d := deriver{branches: map[string]branch{
		ep11.OIDSecp256k1: {ep11.OIDSecp256k1, "Bitcoin seed", group.Secp256k1(b)},
		ep11.OIDP256:      {ep11.OIDP256, "Nist256p1 seed", group.P256()},
		ep11.OIDEd25519:   {ep11.OIDEd25519, "ed25519 seed", nil},
	}}
	kinds := []family.KeyType{{Type: ep11.CKK_GENERIC_SECRET}}
	for _, oid := range []string{ep11.OIDSecp256k1, ep11.OIDP256, ep11.OIDEd25519} {
		kinds = append(kinds, family.KeyType{Type: ep11.CKK_EC, Params: oid})
	}
	return family.Set{Rows: []family.Row{{Mechanism: ep11.CKM_IBM_BTC_DERIVE, Keys: kinds, Derive: d}}}
}

// deriver derives keys.
type deriver struct{ branches map[string]branch }

// step is one derivation that was found well-formed.
type step struct {
	branch
	form
	index uint32
	chain []byte // of the parent
}

// parse reads the parameter and the template, and requires a base that fits.
func (d deriver) parse(in family.Derivation) (step, error) {
	p := in.Mechanism.BTC
	if p == nil {
		return step{}, ep11.Fail(ep11.CKR_MECHANISM_PARAM_INVALID, "the derivation's parameter is missing")
	}
	f, ok := forms[p.Type]
	if !ok || p.Version != version || p.Index > math.MaxUint32 {
		return step{}, ep11.Fail(ep11.CKR_MECHANISM_PARAM_INVALID, "derivation type %d, version %d and index %d are not offered", p.Type, p.Version, p.Index)
	}
	s := step{form: f, index: uint32(p.Index), chain: p.ChainCode}
	if in.Base == nil {
		return step{}, ep11.CKR_KEY_NEEDED
	}
	oid := string(in.Template.Curve())
	if !f.master {
		if in.Base.Type != ep11.CKK_EC || f.fromPublic != (in.Base.Secret.Len() == 0) {
			return step{}, ep11.Fail(ep11.CKR_KEY_TYPE_INCONSISTENT, "derivation type %d takes another side of a key pair", p.Type)
		}
		if oid != "" && oid != string(in.Base.Params) {
			return step{}, ep11.Fail(ep11.CKR_TEMPLATE_INCONSISTENT, "the template names another curve than the parent's")
		}
		oid = string(in.Base.Params)
	}
	if in.Template.KeyNumber(ep11.CKA_KEY_TYPE, ep11.CKK_EC) != ep11.CKK_EC {
		return step{}, ep11.Fail(ep11.CKR_TEMPLATE_INCONSISTENT, "the new key is of type CKK_EC")
	}
	if oid == "" {
		return step{}, ep11.Fail(ep11.CKR_TEMPLATE_INCOMPLETE, "the template lacks CKA_EC_PARAMS")
	}
	if s.branch, ok = d.branches[oid]; !ok || !f.slip && oid != ep11.OIDSecp256k1 {
		return step{}, ep11.Fail(ep11.CKR_CURVE_NOT_SUPPORTED, "derivation type %d is not offered on this curve", p.Type)
	}
	return s, s.check(in.Base)
}

// check refuses what the step can't be done with.
func (s step) check(base *family.Key) error {
	switch {
	case s.master && base.Type != ep11.CKK_GENERIC_SECRET:
		return ep11.Fail(ep11.CKR_KEY_TYPE_INCONSISTENT, "a master key is made of a generic secret")
	case s.master && (len(s.chain) != 0 || s.index != 0):
		return ep11.Fail(ep11.CKR_MECHANISM_PARAM_INVALID, "a master key has neither index nor parent")
	case s.master && (base.Secret.Len() < minSeed || base.Secret.Len() > maxSeed):
		return ep11.Fail(ep11.CKR_KEY_SIZE_RANGE, "a seed has %d to %d bytes", minSeed, maxSeed)
	case s.master:
		return nil
	case len(s.chain) != chainSize:
		return ep11.Fail(ep11.CKR_MECHANISM_PARAM_INVALID, "a chain code has %d bytes, not %d", chainSize, len(s.chain))
	case s.fromPublic && (s.index >= hardened || s.group == nil):
		return ep11.Fail(ep11.CKR_MECHANISM_PARAM_INVALID, "a public key has no such child")
	case s.group == nil && s.index < hardened:
		return ep11.Fail(ep11.CKR_MECHANISM_PARAM_INVALID, "Ed25519 has hardened children only")
	}
	return nil
}

// Derive makes a key one step below the base.
func (d deriver) Derive(_ context.Context, t family.Tools, in family.Derivation) (family.Derived, error) {
	s, err := d.parse(in)
	if err != nil {
		return family.Derived{}, err
	}
	if s.fromPublic {
		return s.publicChild(in.Base.Public)
	}
	var node secret.Bytes
	err = in.Base.Secret.Use(func(base []byte) (err error) {
		node, err = secret.New(t.Arena, nodeSize, func(node []byte) error {
			if s.master {
				return s.masterNode(node, base)
			}
			return s.child(t.Arena, node, base)
		})
		return err
	})
	if err != nil {
		return family.Derived{}, err
	}
	defer node.Wipe()
	return s.finish(t.Arena, node)
}

// finish makes the derived key of a node.
func (s step) finish(a *secret.Arena, node secret.Bytes) (family.Derived, error) {
	out := family.Derived{Key: family.Key{Type: ep11.CKK_EC, Params: []byte(s.oid)}}
	err := node.Use(func(node []byte) (err error) {
		out.ChainCode = append([]byte(nil), node[keySize:]...)
		if out.Public, err = s.public(node[:keySize]); err != nil || s.toPublic {
			return err
		}
		out.Secret, err = secret.New(a, keySize, func(b []byte) error {
			copy(b, node)
			return nil
		})
		return err
	})
	return out, err
}

// public gives the public key of a secret.
func (s step) public(sk []byte) (pub []byte, err error) {
	if s.group != nil {
		return s.group.Public(sk)
	}
	if len(sk) != ed25519.SeedSize {
		return nil, errors.New("wallet: an Ed25519 key of another length")
	}
	secret.Do(func() {
		key := ed25519.NewKeyFromSeed(sk)
		pub = append([]byte(nil), key[ed25519.SeedSize:]...)
		clear(key)
	})
	return pub, nil
}

// masterNode writes the master node of a seed. SLIP-10 "Master key generation" hashes again what gives no key.
func (s step) masterNode(node, seed []byte) error {
	if err := kdf.HMAC(kdf.SHA512, node, []byte(s.label), seed); err != nil {
		return err
	}
	for range tries {
		if s.group == nil || s.group.CheckScalar(node[:keySize]) == nil {
			return nil
		}
		if !s.slip {
			break
		}
		if err := kdf.HMAC(kdf.SHA512, node, []byte(s.label), node); err != nil {
			return err
		}
	}
	return errNoKey
}

// child writes the child node of a private parent.
func (s step) child(a *secret.Arena, node, parent []byte) error {
	if len(parent) != keySize {
		return errors.New("wallet: a parent of another length")
	}
	prefix, key := []byte{0}, parent
	if s.index < hardened {
		point, err := s.public(parent)
		if err != nil {
			return err
		}
		if key, err = s.group.Compress(point); err != nil {
			return err
		}
		prefix = nil
	}
	number := binary.BigEndian.AppendUint32(nil, s.index)
	work, err := secret.New(a, nodeSize, func(i []byte) error {
		return s.walk(i, prefix, key, number, func() error {
			if s.group == nil {
				copy(node, i)
				return nil
			}
			copy(node[keySize:], i[keySize:])
			return s.group.Add(parent, i[:keySize], node[:keySize])
		})
	})
	if err == nil {
		work.Wipe()
	}
	return err
}

// walk writes I, the HMAC of prefix, key and index under the chain code, and calls take, which refuses one that gives no key with
// [group.ErrScalar]. SLIP-10 "Private parent key → private child key" then goes on from the right half of I.
func (s step) walk(i, prefix, key, number []byte, take func() error) error {
	if err := kdf.HMAC(kdf.SHA512, i, s.chain, prefix, key, number); err != nil {
		return err
	}
	for range tries {
		err := take()
		if !errors.Is(err, group.ErrScalar) {
			return err
		}
		if !s.slip {
			break
		}
		if err := kdf.HMAC(kdf.SHA512, i, s.chain, []byte{1}, i[keySize:], number); err != nil {
			return err
		}
	}
	return errNoKey
}

// publicChild makes the normal child of a public parent.
func (s step) publicChild(parent []byte) (family.Derived, error) {
	key, err := s.group.Compress(parent)
	if err != nil {
		return family.Derived{}, ep11.CKR_PUBLIC_KEY_INVALID
	}
	out := family.Derived{Key: family.Key{Type: ep11.CKK_EC, Params: []byte(s.oid)}}
	i := make([]byte, nodeSize)
	err = s.walk(i, nil, key, binary.BigEndian.AppendUint32(nil, s.index), func() (err error) {
		out.ChainCode = append([]byte(nil), i[keySize:]...)
		out.Public, err = s.group.Combine(i[:keySize], nil, parent)
		return err
	})
	if errors.Is(err, group.ErrPoint) {
		err = ep11.CKR_PUBLIC_KEY_INVALID
	}
	if err != nil {
		return family.Derived{}, err
	}
	return out, nil
}
