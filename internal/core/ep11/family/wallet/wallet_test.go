// SPDX-License-Identifier: Apache-2.0

package wallet

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/sha512"
	"encoding/binary"
	"math/big"
	"testing"

	"github.com/btcsuite/btcd/btcutil/v2/hdkeychain"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"pgregory.net/rapid"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/core/ep11/family/familytest"
	"strongroom/internal/core/internal/curve"
	"strongroom/internal/pure/ep11"
)

const h = uint64(hardened)

// fixture derives keys as a caller would: with the chain code of the step before.
type fixture struct {
	tools family.Tools
	row   family.Deriver
}

func newFixture(t testing.TB) fixture {
	t.Helper()
	b, err := curve.New()
	if err != nil {
		t.Fatal(err)
	}
	set := Set(b)
	return fixture{familytest.Tools(t), familytest.Row(t, set, ep11.CKM_IBM_BTC_DERIVE, family.KeyType{Type: ep11.CKK_GENERIC_SECRET}).Derive}
}

func template(oid string) ep11.Template {
	return ep11.Template{ep11.CKA_KEY_TYPE: ep11.Int(ep11.CKK_EC), ep11.CKA_EC_PARAMS: ep11.Bytes([]byte(oid)), ep11.CKA_VALUE_LEN: ep11.Int(0)}
}

func (f fixture) derive(kind uint64, oid string, base family.Key, chain []byte, index uint64) (family.Derived, error) {
	return f.row.Derive(context.Background(), f.tools, family.Derivation{
		Mechanism: ep11.Mechanism{Type: ep11.CKM_IBM_BTC_DERIVE, BTC: &ep11.BTC{Type: kind, Index: index, ChainCode: chain, Version: 1}},
		Base:      &base, Template: template(oid), Type: ep11.CKK_EC,
	})
}

// master makes the master key of a seed.
func (f fixture) master(t testing.TB, kind uint64, oid string, seed []byte) family.Derived {
	t.Helper()
	s := familytest.Secret(t, f.tools, seed)
	out, err := f.derive(kind, oid, family.Key{Type: ep11.CKK_GENERIC_SECRET, Secret: s}, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(out.Secret.Wipe)
	return out
}

// child makes a private child.
func (f fixture) child(t testing.TB, kind uint64, oid string, parent family.Derived, index uint64) family.Derived {
	t.Helper()
	out, err := f.derive(kind, oid, parent.Key, parent.ChainCode, index)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(out.Secret.Wipe)
	return out
}

// TestSLIP10 walks the vectors; each normal step must have the same public key and chain code from the public parent, and each step the same
// public key by the derivation that gives it alone.
func TestSLIP10(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, v := range familytest.SLIP10() {
		var at family.Derived
		for i, s := range v.Steps {
			if i == 0 {
				at = f.master(t, ep11.CK_SLIP0010_MASTERK, v.Curve, familytest.Unhex(t, v.Seed))
			} else {
				parent := at
				at = f.child(t, ep11.CK_SLIP0010_PRV2PRV, v.Curve, parent, s.Index)
				f.sides(t, ep11.CK_SLIP0010_PRV2PUB, ep11.CK_SLIP0010_PUB2PUB, v.Curve, parent, at, s.Index)
			}
			if !bytes.Equal(at.ChainCode, familytest.Unhex(t, s.Chain)) || !bytes.Equal(familytest.Peek(t, at.Secret), familytest.Unhex(t, s.Private)) {
				t.Fatalf("%x step %d: got %x and %x", v.Curve, i, at.ChainCode, familytest.Peek(t, at.Secret))
			}
			if v.Curve == ep11.OIDEd25519 {
				if want := ed25519.NewKeyFromSeed(familytest.Unhex(t, s.Private)).Public().(ed25519.PublicKey); !bytes.Equal(at.Public, want) {
					t.Fatalf("public key %x, want %x", at.Public, want)
				}
			}
		}
	}
}

// sides derives a child's public key from the private parent and, where that is possible, from the public one.
func (f fixture) sides(t testing.TB, private, public uint64, oid string, parent, child family.Derived, index uint64) {
	t.Helper()
	for kind, base := range map[uint64]family.Key{private: parent.Key, public: {Type: ep11.CKK_EC, Params: []byte(oid), Public: parent.Public}} {
		out, err := f.derive(kind, oid, base, parent.ChainCode, index)
		if kind == public && (index >= h || oid == ep11.OIDEd25519) {
			familytest.Code(t, "hardened step from a public key", err, ep11.CKR_MECHANISM_PARAM_INVALID)
			continue
		}
		if err != nil || out.Secret.Len() != 0 || !bytes.Equal(out.Public, child.Public) || !bytes.Equal(out.ChainCode, child.ChainCode) {
			t.Fatalf("type %d at %d: %x and %x with %v, want %x and %x", kind, index, out.Public, out.ChainCode, err, child.Public, child.ChainCode)
		}
	}
}

// TestBIP32 compares with btcsuite's derivation along the chains of BIP-32's test vectors 1 to 4, and along random ones.
func TestBIP32(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for seed, path := range map[string][]uint64{
		"000102030405060708090a0b0c0d0e0f": {h, 1, h + 2, 2, 1000000000},
		"fffcf9f6f3f0edeae7e4e1dedbd8d5d2cfccc9c6c3c0bdbab7b4b1aeaba8a5a29f9c999693908d8a8784817e7b7875726f6c696663605d5a5754514e4b484542": {
			0, h + 2147483647, 1, h + 2147483646, 2},
		"4b381541583be4423346c643850da4b320e46a87ae3d2a4e6da11eba819cd4acba45d239319ac14f863b8d5ab5a0d0c64d2e8a1e7d1457df2e5a3c51c73235be": {h},
		"3ddd5602285899a946114506157c7997e5444528f3003f6134712147db19b678":                                                                 {h, h + 1},
	} {
		f.walk(t, familytest.Unhex(t, seed), path)
	}
	rapid.Check(t, func(r *rapid.T) {
		seed := rapid.SliceOfN(rapid.Byte(), 16, 64).Draw(r, "seed")
		path := rapid.SliceOfN(rapid.Uint32(), 0, 4).Draw(r, "path")
		var wide []uint64
		for _, i := range path {
			wide = append(wide, uint64(i))
		}
		f.walk(t, seed, wide)
	})
}

// walk derives along a path beside the oracle.
func (f fixture) walk(t testing.TB, seed []byte, path []uint64) {
	t.Helper()
	want, err := hdkeychain.NewMaster(seed, &chaincfg.MainNetParams)
	if err != nil {
		t.Fatal(err)
	}
	at := f.master(t, ep11.CK_BIP0032_MASTERK, ep11.OIDSecp256k1, seed)
	for i := 0; ; i++ {
		priv, err := want.ECPrivKey()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(familytest.Peek(t, at.Secret), priv.Serialize()) || !bytes.Equal(at.ChainCode, want.ChainCode()) ||
			!bytes.Equal(at.Public, priv.PubKey().SerializeUncompressed()) {
			t.Fatalf("seed %x, path %v: another key at depth %d", seed, path, i)
		}
		if i == len(path) {
			return
		}
		if want, err = want.Derive(uint32(path[i])); err != nil {
			t.Fatal(err)
		}
		parent := at
		at = f.child(t, ep11.CK_BIP0032_PRV2PRV, ep11.OIDSecp256k1, parent, path[i])
		f.sides(t, ep11.CK_BIP0032_PRV2PUB, ep11.CK_BIP0032_PUB2PUB, ep11.OIDSecp256k1, parent, at, path[i])
	}
}

// TestSLIP10OnP256AgainstBig derives on P-256 with arithmetic on big integers, of random seeds and indexes.
func TestSLIP10OnP256AgainstBig(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	n := elliptic.P256().Params().N
	mac := func(key []byte, parts ...[]byte) []byte {
		m := hmac.New(sha512.New, key)
		for _, p := range parts {
			m.Write(p)
		}
		return m.Sum(nil)
	}
	rapid.Check(t, func(r *rapid.T) {
		seed := rapid.SliceOfN(rapid.Byte(), 16, 64).Draw(r, "seed")
		index := rapid.Uint32Range(hardened, 1<<32-1).Draw(r, "index")
		i := mac([]byte("Nist256p1 seed"), seed)
		for new(big.Int).SetBytes(i[:32]).Cmp(n) >= 0 {
			i = mac([]byte("Nist256p1 seed"), i)
		}
		number := binary.BigEndian.AppendUint32(nil, index)
		j := mac(i[32:], []byte{0}, i[:32], number)
		for new(big.Int).SetBytes(j[:32]).Cmp(n) >= 0 {
			j = mac(i[32:], []byte{1}, j[32:], number)
		}
		want := new(big.Int).Add(new(big.Int).SetBytes(i[:32]), new(big.Int).SetBytes(j[:32]))
		at := f.master(t, ep11.CK_SLIP0010_MASTERK, ep11.OIDP256, seed)
		got := f.child(t, ep11.CK_SLIP0010_PRV2PRV, ep11.OIDP256, at, uint64(index))
		if new(big.Int).SetBytes(familytest.Peek(t, got.Secret)).Cmp(want.Mod(want, n)) != 0 || !bytes.Equal(got.ChainCode, j[32:]) {
			r.Fatalf("got %x and %x, want %x and %x", familytest.Peek(t, got.Secret), got.ChainCode, want, j[32:])
		}
	})
}
