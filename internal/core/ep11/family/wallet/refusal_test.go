// SPDX-License-Identifier: Apache-2.0

package wallet

import (
	"context"
	"errors"
	"testing"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/core/ep11/family/familytest"
	"strongroom/internal/pure/ep11"
)

func TestRefusals(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	seed := family.Key{Type: ep11.CKK_GENERIC_SECRET, Secret: familytest.Secret(t, f.tools, make([]byte, 32))}
	short := family.Key{Type: ep11.CKK_GENERIC_SECRET, Secret: familytest.Secret(t, f.tools, make([]byte, 15))}
	long := family.Key{Type: ep11.CKK_GENERIC_SECRET, Secret: familytest.Secret(t, f.tools, make([]byte, 65))}
	bitcoin := f.master(t, ep11.CK_BIP0032_MASTERK, ep11.OIDSecp256k1, make([]byte, 32))
	nist := f.master(t, ep11.CK_SLIP0010_MASTERK, ep11.OIDP256, make([]byte, 32))
	edwards := f.master(t, ep11.CK_SLIP0010_MASTERK, ep11.OIDEd25519, make([]byte, 32))
	public := func(d family.Derived) family.Key { return family.Key{Type: d.Type, Params: d.Params, Public: d.Public} }
	off := public(bitcoin)
	off.Public = append([]byte{4}, make([]byte, 64)...)
	none := public(bitcoin)
	none.Public = nil
	chain := bitcoin.ChainCode
	for _, tt := range []struct {
		name  string
		kind  uint64
		oid   string
		base  family.Key
		chain []byte
		index uint64
		want  ep11.Code
	}{
		{"unknown type", 0, ep11.OIDSecp256k1, seed, nil, 0, ep11.CKR_MECHANISM_PARAM_INVALID},
		{"unknown type", 9, ep11.OIDSecp256k1, seed, nil, 0, ep11.CKR_MECHANISM_PARAM_INVALID},
		{"wide index", ep11.CK_BIP0032_PRV2PRV, ep11.OIDSecp256k1, bitcoin.Key, chain, 1 << 32, ep11.CKR_MECHANISM_PARAM_INVALID},
		{"short seed", ep11.CK_BIP0032_MASTERK, ep11.OIDSecp256k1, short, nil, 0, ep11.CKR_KEY_SIZE_RANGE},
		{"long seed", ep11.CK_BIP0032_MASTERK, ep11.OIDSecp256k1, long, nil, 0, ep11.CKR_KEY_SIZE_RANGE},
		{"master with an index", ep11.CK_BIP0032_MASTERK, ep11.OIDSecp256k1, seed, nil, 1, ep11.CKR_MECHANISM_PARAM_INVALID},
		{"master with a chain code", ep11.CK_BIP0032_MASTERK, ep11.OIDSecp256k1, seed, chain, 0, ep11.CKR_MECHANISM_PARAM_INVALID},
		{"master of a private key", ep11.CK_BIP0032_MASTERK, ep11.OIDSecp256k1, bitcoin.Key, nil, 0, ep11.CKR_KEY_TYPE_INCONSISTENT},
		{"child of a seed", ep11.CK_BIP0032_PRV2PRV, ep11.OIDSecp256k1, seed, chain, 0, ep11.CKR_KEY_TYPE_INCONSISTENT},
		{"private child of a public key", ep11.CK_BIP0032_PRV2PRV, ep11.OIDSecp256k1, public(bitcoin), chain, 0, ep11.CKR_KEY_TYPE_INCONSISTENT},
		{"public child of a public key as of a private one", ep11.CK_BIP0032_PRV2PUB, ep11.OIDSecp256k1, public(bitcoin), chain, 0, ep11.CKR_KEY_TYPE_INCONSISTENT},
		{"public child of a private key as of a public one", ep11.CK_BIP0032_PUB2PUB, ep11.OIDSecp256k1, bitcoin.Key, chain, 0, ep11.CKR_KEY_TYPE_INCONSISTENT},
		{"hardened child of a public key", ep11.CK_BIP0032_PUB2PUB, ep11.OIDSecp256k1, public(bitcoin), chain, h, ep11.CKR_MECHANISM_PARAM_INVALID},
		{"no chain code", ep11.CK_BIP0032_PRV2PRV, ep11.OIDSecp256k1, bitcoin.Key, nil, 0, ep11.CKR_MECHANISM_PARAM_INVALID},
		{"long chain code", ep11.CK_BIP0032_PRV2PRV, ep11.OIDSecp256k1, bitcoin.Key, append(chain, 0), 0, ep11.CKR_MECHANISM_PARAM_INVALID},
		{"another curve than the parent's", ep11.CK_BIP0032_PRV2PRV, ep11.OIDP256, bitcoin.Key, chain, 0, ep11.CKR_TEMPLATE_INCONSISTENT},
		{"BIP-32 on P-256", ep11.CK_BIP0032_PRV2PRV, ep11.OIDP256, nist.Key, chain, 0, ep11.CKR_CURVE_NOT_SUPPORTED},
		{"BIP-32 master on P-256", ep11.CK_BIP0032_MASTERK, ep11.OIDP256, seed, nil, 0, ep11.CKR_CURVE_NOT_SUPPORTED},
		{"SLIP-10 master on P-384", ep11.CK_SLIP0010_MASTERK, ep11.OIDP384, seed, nil, 0, ep11.CKR_CURVE_NOT_SUPPORTED},
		{"master without a curve", ep11.CK_SLIP0010_MASTERK, "", seed, nil, 0, ep11.CKR_TEMPLATE_INCOMPLETE},
		{"normal child on Ed25519", ep11.CK_SLIP0010_PRV2PRV, ep11.OIDEd25519, edwards.Key, chain, 0, ep11.CKR_MECHANISM_PARAM_INVALID},
		{"public child on Ed25519", ep11.CK_SLIP0010_PUB2PUB, ep11.OIDEd25519, public(edwards), chain, h, ep11.CKR_MECHANISM_PARAM_INVALID},
		{"public key off the curve", ep11.CK_BIP0032_PUB2PUB, ep11.OIDSecp256k1, off, chain, 0, ep11.CKR_PUBLIC_KEY_INVALID},
		{"no public key", ep11.CK_BIP0032_PUB2PUB, ep11.OIDSecp256k1, none, chain, 0, ep11.CKR_PUBLIC_KEY_INVALID},
	} {
		out, err := f.derive(tt.kind, tt.oid, tt.base, tt.chain, tt.index)
		familytest.Code(t, tt.name, err, tt.want)
		out.Secret.Wipe()
	}
	raw := func(in family.Derivation) error {
		out, err := f.row.Derive(context.Background(), f.tools, in)
		out.Secret.Wipe()
		return err
	}
	familytest.Code(t, "no parameter", raw(family.Derivation{Base: &seed}), ep11.CKR_MECHANISM_PARAM_INVALID)
	m := ep11.Mechanism{BTC: &ep11.BTC{Type: ep11.CK_BIP0032_MASTERK, Version: 1}}
	familytest.Code(t, "no base", raw(family.Derivation{Mechanism: m, Template: template(ep11.OIDSecp256k1), Type: ep11.CKK_EC}), ep11.CKR_KEY_NEEDED)
	aes := template(ep11.OIDSecp256k1)
	aes[ep11.CKA_KEY_TYPE] = ep11.Int(ep11.CKK_AES)
	familytest.Code(t, "an AES key", raw(family.Derivation{Mechanism: m, Base: &seed, Template: aes, Type: ep11.CKK_AES}), ep11.CKR_TEMPLATE_INCONSISTENT)
	m.BTC = &ep11.BTC{Type: ep11.CK_BIP0032_MASTERK, Version: 2}
	familytest.Code(t, "version 2", raw(family.Derivation{Mechanism: m, Base: &seed, Template: template(ep11.OIDSecp256k1), Type: ep11.CKK_EC}), ep11.CKR_MECHANISM_PARAM_INVALID)
}

// TestNoKey: BIP-32 gives no key where I_L is not below the order, SLIP-10 goes on. The index is the one of SLIP-10's vector for P-256; BIP-32 has
// no published one, so the step is taken by hand.
func TestNoKey(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	at := f.master(t, ep11.CK_SLIP0010_MASTERK, ep11.OIDP256, familytest.Unhex(t, "000102030405060708090a0b0c0d0e0f"))
	at = f.child(t, ep11.CK_SLIP0010_PRV2PRV, ep11.OIDP256, at, h+28578)
	s := step{branch: f.row.(deriver).branches[ep11.OIDP256], index: 33941, chain: at.ChainCode}
	err := s.child(f.tools.Arena, make([]byte, nodeSize), familytest.Peek(t, at.Secret))
	familytest.Code(t, "BIP-32", err, ep11.CKR_MECHANISM_PARAM_INVALID)
	s.slip = true
	if err := s.child(f.tools.Arena, make([]byte, nodeSize), familytest.Peek(t, at.Secret)); err != nil {
		t.Errorf("SLIP-10: %v", err)
	}
	s.slip = false
	err = s.masterNode(make([]byte, nodeSize), familytest.Unhex(t, "a7305bc8df8d0951f0cb224c0e95d7707cbdf2c6ce7e8d481fec69c7ff5e9446"))
	familytest.Code(t, "BIP-32 master", err, ep11.CKR_MECHANISM_PARAM_INVALID)
	if err := s.child(f.tools.Arena, make([]byte, nodeSize), make([]byte, 31)); err == nil || ep11.FailureOf(err).Code != ep11.CKR_GENERAL_ERROR {
		t.Errorf("a parent of 31 bytes gave %v", err)
	}
}

// Law: whatever the parameter holds, a derivation gives a key with a chain code of 32 bytes, or a return code and nothing.
func FuzzParameter(f *testing.F) {
	fix := newFixture(f)
	bases := []family.Key{{Type: ep11.CKK_GENERIC_SECRET, Secret: familytest.Secret(f, fix.tools, make([]byte, 32))}}
	for _, oid := range []string{ep11.OIDSecp256k1, ep11.OIDP256, ep11.OIDEd25519} {
		k := fix.master(f, ep11.CK_SLIP0010_MASTERK, oid, make([]byte, 16))
		bases = append(bases, k.Key, family.Key{Type: ep11.CKK_EC, Params: k.Params, Public: k.Public})
	}
	for i := range bases {
		f.Add(uint8(i), uint64(i+1), uint64(0), make([]byte, 32), uint64(1), []byte(ep11.OIDSecp256k1))
		f.Add(uint8(i), uint64(i+2), h, make([]byte, 32), uint64(1), []byte(nil))
	}
	f.Fuzz(func(t *testing.T, which uint8, kind, index uint64, chain []byte, version uint64, oid []byte) {
		base := bases[int(which)%len(bases)]
		out, err := fix.row.Derive(context.Background(), fix.tools, family.Derivation{
			Mechanism: ep11.Mechanism{BTC: &ep11.BTC{Type: kind, Index: index, ChainCode: chain, Version: version}}, Base: &base,
			Template: ep11.Template{ep11.CKA_EC_PARAMS: ep11.Bytes(oid)}, Type: ep11.CKK_EC,
		})
		defer out.Secret.Wipe()
		if err != nil {
			var code ep11.Code
			if !errors.As(err, &code) || out.Secret.Len() != 0 {
				t.Fatalf("an accident: %v", err)
			}
			return
		}
		if len(out.ChainCode) != chainSize || len(out.Public) == 0 || (out.Secret.Len() == 0) != forms[kind].toPublic {
			t.Fatalf("type %d gave a chain code of %d bytes and a secret of %d", kind, len(out.ChainCode), out.Secret.Len())
		}
	})
}
