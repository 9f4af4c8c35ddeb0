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

const h = uint64(hardened)

// slip10 are vectors of SLIP-10: test vector 1, and the two for what gives no key at first.
var slip10 = []struct {
	oid, seed string
	steps     []slipStep
}{
	{ep11.OIDSecp256k1, "000102030405060708090a0b0c0d0e0f", []slipStep{
		{0, "873dff81c02f525623fd1fe5167eac3a55a049de3d314bb42ee227ffed37d508", "e8f32e723decf4051aefac8e2c93c9c5b214313817cdb01a1494b917c8436b35"},
		{h, "47fdacbd0f1097043b78c63c20c34ef4ed9a111d980047ad16282c7ae6236141", "edb2e14f9ee77d26dd93b4ecede8d16ed408ce149b6cd80b0715a2d911a0afea"},
		{1, "2a7857631386ba23dacac34180dd1983734e444fdbf774041578e9b6adb37c19", "3c6cb8d0f6a264c91ea8b5030fadaa8e538b020f0a387421a12de9319dc93368"},
		{h + 2, "04466b9cc8e161e966409ca52986c584f07e9dc81f735db683c3ff6ec7b1503f", "cbce0d719ecf7431d88e6a89fa1483e02e35092af60c042b1df2ff59fa424dca"},
		{2, "cfb71883f01676f587d023cc53a35bc7f88f724b1f8c2892ac1275ac822a3edd", "0f479245fb19a38a1954c5c7c0ebab2f9bdfd96a17563ef28a6a4b1a2a764ef4"},
		{1000000000, "c783e67b921d2beb8f6b389cc646d7263b4145701dadd2161548a8b078e65e9e", "471b76e389e528d6de6d816857e012c5455051cad6660850e58372a6c3e6e7c8"},
	}},
	{ep11.OIDP256, "000102030405060708090a0b0c0d0e0f", []slipStep{
		{0, "beeb672fe4621673f722f38529c07392fecaa61015c80c34f29ce8b41b3cb6ea", "612091aaa12e22dd2abef664f8a01a82cae99ad7441b7ef8110424915c268bc2"},
		{h, "3460cea53e6a6bb5fb391eeef3237ffd8724bf0a40e94943c98b83825342ee11", "6939694369114c67917a182c59ddb8cafc3004e63ca5d3b84403ba8613debc0c"},
		{1, "4187afff1aafa8445010097fb99d23aee9f599450c7bd140b6826ac22ba21d0c", "284e9d38d07d21e4e281b645089a94f4cf5a5a81369acf151a1c3a57f18b2129"},
		{h + 2, "98c7514f562e64e74170cc3cf304ee1ce54d6b6da4f880f313e8204c2a185318", "694596e8a54f252c960eb771a3c41e7e32496d03b954aeb90f61635b8e092aa7"},
		{2, "ba96f776a5c3907d7fd48bde5620ee374d4acfd540378476019eab70790c63a0", "5996c37fd3dd2679039b23ed6f70b506c6b56b3cb5e424681fb0fa64caf82aaa"},
		{1000000000, "b9b7b82d326bb9cb5b5b121066feea4eb93d5241103c9e7a18aad40f1dde8059", "21c4f269ef0a5fd1badf47eeacebeeaa3de22eb8e5b0adcd0f27dd99d34d0119"},
	}},
	{ep11.OIDEd25519, "000102030405060708090a0b0c0d0e0f", []slipStep{
		{0, "90046a93de5380a72b5e45010748567d5ea02bbf6522f979e05c0d8d8ca9fffb", "2b4be7f19ee27bbf30c667b642d5f4aa69fd169872f8fc3059c08ebae2eb19e7"},
		{h, "8b59aa11380b624e81507a27fedda59fea6d0b779a778918a2fd3590e16e9c69", "68e0fe46dfb67e368c75379acec591dad19df3cde26e63b93a8e704f1dade7a3"},
		{h + 1, "a320425f77d1b5c2505a6b1b27382b37368ee640e3557c315416801243552f14", "b1d0bad404bf35da785a64ca1ac54b2617211d2777696fbffaf208f746ae84f2"},
		{h + 2, "2e69929e00b5ab250f49c3fb1c12f252de4fed2c1db88387094a0f8c4c9ccd6c", "92a5b23c0b8a99e37d07df3fb9966917f5d06e02ddbd909c7e184371463e9fc9"},
	}},
	{ep11.OIDP256, "000102030405060708090a0b0c0d0e0f", []slipStep{ // derivation retry, in the normal step
		{0, "beeb672fe4621673f722f38529c07392fecaa61015c80c34f29ce8b41b3cb6ea", "612091aaa12e22dd2abef664f8a01a82cae99ad7441b7ef8110424915c268bc2"},
		{h + 28578, "e94c8ebe30c2250a14713212f6449b20f3329105ea15b652ca5bdfc68f6c65c2", "06f0db126f023755d0b8d86d4591718a5210dd8d024e3e14b6159d63f53aa669"},
		{33941, "9e87fe95031f14736774cd82f25fd885065cb7c358c1edf813c72af535e83071", "092154eed4af83e078ff9b84322015aefe5769e31270f62c3f66c33888335f3a"},
	}},
	{ep11.OIDP256, "a7305bc8df8d0951f0cb224c0e95d7707cbdf2c6ce7e8d481fec69c7ff5e9446", []slipStep{ // seed retry
		{0, "7762f9729fed06121fd13f326884c82f59aa95c57ac492ce8c9654e60efd130c", "3b8c18469a4634517d6d0b65448f8e6c62091b45540a1743c5846be55d47d88f"},
	}},
}

type slipStep struct {
	index          uint64
	chain, private string
}

// TestSLIP10 walks the vectors; each normal step must have the same public key and chain code from the public parent, and each step the same
// public key by the derivation that gives it alone.
func TestSLIP10(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, v := range slip10 {
		var at family.Derived
		for i, s := range v.steps {
			if i == 0 {
				at = f.master(t, ep11.CK_SLIP0010_MASTERK, v.oid, familytest.Unhex(t, v.seed))
			} else {
				parent := at
				at = f.child(t, ep11.CK_SLIP0010_PRV2PRV, v.oid, parent, s.index)
				f.sides(t, ep11.CK_SLIP0010_PRV2PUB, ep11.CK_SLIP0010_PUB2PUB, v.oid, parent, at, s.index)
			}
			if !bytes.Equal(at.ChainCode, familytest.Unhex(t, s.chain)) || !bytes.Equal(familytest.Peek(t, at.Secret), familytest.Unhex(t, s.private)) {
				t.Fatalf("%x step %d: got %x and %x", v.oid, i, at.ChainCode, familytest.Peek(t, at.Secret))
			}
			if v.oid == ep11.OIDEd25519 {
				if want := ed25519.NewKeyFromSeed(familytest.Unhex(t, s.private)).Public().(ed25519.PublicKey); !bytes.Equal(at.Public, want) {
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
