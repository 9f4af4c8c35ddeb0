// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/hex"
	"fmt"
	"math/big"

	"github.com/btcsuite/btcd/btcutil/v2/hdkeychain"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"

	wire "strongroom/api/gen/grep11"
	"strongroom/internal/core/ep11/family/familytest"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/vectors"
)

// publishedDigests has the examples for "abc" of FIPS 180-4 and FIPS 202, in one part and in three.
func publishedDigests(in *bringer) {
	for m, want := range map[int]string{
		ep11.CKM_SHA_1:          "a9993e364706816aba3e25717850c26c9cd0d89d",
		ep11.CKM_SHA224:         "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7",
		ep11.CKM_SHA256:         "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		ep11.CKM_SHA384:         "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
		ep11.CKM_SHA512:         "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
		ep11.CKM_SHA512_224:     "4634270f707b6a54daae7530460842e20e37ed265ceee9a43e8924aa",
		ep11.CKM_SHA512_256:     "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23",
		ep11.CKM_IBM_SHA512_224: "4634270f707b6a54daae7530460842e20e37ed265ceee9a43e8924aa",
		ep11.CKM_IBM_SHA512_256: "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23",
		ep11.CKM_IBM_SHA3_224:   "e642824c3f8cf24ad09234ee7d3c766fc9a3a5168d0c94ad73b46fdf",
		ep11.CKM_IBM_SHA3_256:   "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532",
		ep11.CKM_IBM_SHA3_384:   "ec01498288516fc926459f58e2c6ad8df9b473cb0fc08c2596da7cf0e49be4b298d88cea927ac7f539f1edf228376d25",
		ep11.CKM_IBM_SHA3_512:   "b751850b1a57168a5693cd924b6b096e08f621827444f70d884f5d0240d2712e10e116e9192af3c91a7ec57647e3934057340b4cf408d5a56592f8274eec53f0",
	} {
		one, err := in.DigestSingle(in.ctx(), &wire.DigestSingleRequest{Mech: mech(m), Data: []byte("abc")})
		in.must("digest", err)
		init, err := in.DigestInit(in.ctx(), &wire.DigestInitRequest{Mech: mech(m)})
		in.must("init", err)
		state := init.GetState()
		for _, part := range []string{"a", "b", "c"} {
			u, err := in.DigestUpdate(in.ctx(), &wire.DigestUpdateRequest{State: state, Data: []byte(part)})
			in.must("update", err)
			state = u.GetState()
		}
		parts, err := in.DigestFinal(in.ctx(), &wire.DigestFinalRequest{State: state})
		in.must("final", err)
		if hex.EncodeToString(one.GetDigest()) != want || hex.EncodeToString(parts.GetDigest()) != want {
			in.t.Errorf("%s: got %x and %x", ep11.MechanismName(uint64(m)), one.GetDigest(), parts.GetDigest())
		}
	}
}

// publishedModes has examples of block cipher modes and of codes.
func publishedModes(in *bringer) {
	const (
		aes128 = "2b7e151628aed2a6abf7158809cf4f3c"
		aes192 = "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b"
		aes256 = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"
		plain  = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
		first  = "000102030405060708090a0b0c0d0e0f"
		count  = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"
	)
	for _, tt := range []struct {
		source         string
		m, ckk         int
		key, iv        string
		plain, ciphers string
	}{
		{"SP 800-38A F.1.1", ep11.CKM_AES_ECB, ep11.CKK_AES, aes128, "", plain, "3ad77bb40d7a3660a89ecaf32466ef97f5d3d58503b9699de785895a96fdbaaf"},
		{"SP 800-38A F.1.5", ep11.CKM_AES_ECB, ep11.CKK_AES, aes256, "", plain, "f3eed1bdb5d2a03c064b5a7e3db181f8591ccb10d410ed26dc5ba74a31362870"},
		{"SP 800-38A F.2.1", ep11.CKM_AES_CBC, ep11.CKK_AES, aes128, first, plain, "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2"},
		{"SP 800-38A F.2.3", ep11.CKM_AES_CBC, ep11.CKK_AES, aes192, first, plain, "4f021db243bc633d7178183a9fa071e8b4d9ada9ad7dedf4e5e738763f69145a"},
		{"SP 800-38A F.5.1", ep11.CKM_AES_CTR, ep11.CKK_AES, aes128, count, plain, "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff"},
		{"SP 800-38A F.5.5", ep11.CKM_AES_CTR, ep11.CKK_AES, aes256, count, plain, "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5"},
		{"SP 800-67 B.1", ep11.CKM_DES3_ECB, ep11.CKK_DES3, "0123456789abcdef23456789abcdef01456789abcdef0123", "", "5468652071756663", "a826fd8ce53b855f"},
	} {
		key := in.brought(unhex(tt.key), tt.ckk, ep11.CKA_ENCRYPT, ep11.CKA_DECRYPT).GetUnwrapped()
		m := mech(tt.m, unhex(tt.iv)...)
		if got := encrypt(in.suite, m, key, unhex(tt.plain)); hex.EncodeToString(got) != tt.ciphers {
			in.t.Errorf("%s: got %x", tt.source, got)
		}
		if got := decrypt(in.suite, m, key, unhex(tt.ciphers)); hex.EncodeToString(got) != tt.plain {
			in.t.Errorf("%s: decrypts to %x", tt.source, got)
		}
	}
	for _, tt := range []struct {
		source   string
		m, ckk   int
		key      string
		in, code string
	}{
		{"RFC 4493 example 1", ep11.CKM_AES_CMAC, ep11.CKK_AES, aes128, "", "bb1d6929e95937287fa37d129b756746"},
		{"RFC 4493 example 3", ep11.CKM_IBM_CMAC, ep11.CKK_AES, aes128, "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411", "dfa66747de9ae63030ca32611497c827"},
		{"SP 800-38B, triple DES, example 2", ep11.CKM_DES3_CMAC, ep11.CKK_DES3, "8aa83bf8cbda10620bc1bf19fbb6cd58bc313d4a371ca8b5", "6bc1bee22e409f96", "8e8f293136283797"},
		{"SP 800-38B, two-key triple DES, example 15", ep11.CKM_IBM_CMAC, ep11.CKK_DES2, "4cf15134a2850dd58a3d10ba80570d38", "6bc1bee22e409f96e93d7e117393172aae2d8a57", "62dd1b471902bd4e"},
		{"RFC 4231 test case 1", ep11.CKM_SHA256_HMAC, ep11.CKK_GENERIC_SECRET, "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
	} {
		key := in.brought(unhex(tt.key), tt.ckk, ep11.CKA_SIGN).GetUnwrapped()
		r, err := in.SignSingle(in.ctx(), &wire.SignSingleRequest{Mech: mech(tt.m), Data: unhex(tt.in), PrivKey: key})
		in.must(tt.source, err)
		if hex.EncodeToString(r.GetSignature()) != tt.code {
			in.t.Errorf("%s: got %x", tt.source, r.GetSignature())
		}
	}
}

// publishedSignatures has the examples of RFC 8032, whose signatures are deterministic, and the public keys of RFC 7748's secrets.
func publishedSignatures(in *bringer) {
	for _, v := range []struct {
		source, curve    string
		m                int
		sk, pub, in, sig string
	}{
		{"RFC 8032 7.1 test 1", ep11.OIDEd25519, ep11.CKM_IBM_ED25519_SHA512, "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
			"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
			"e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"},
		{"RFC 8032 7.1 test 2", ep11.OIDEd25519, ep11.CKM_IBM_ED25519_SHA512, "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
			"3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
			"92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
		{"RFC 8032 7.4, 1 octet", ep11.OIDEd448, ep11.CKM_IBM_ED448_SHA3, "c4eab05d357007c632f3dbb48489924d552b08fe0c353a0d4a1f00acda2c463afbea67c5e8d2877c5e3bc397a659949ef8021e954e0a12274e",
			"43ba28f430cdff456ae531545f7ecd0ac834a55d9358c0372bfa0c6c6798c0866aea01eb00742802b8438ea4cb82169c235160627b4c3a9480", "03",
			"26b8f91727bd62897af15e41eb43c377efb9c610d48f2335cb0bd0087810f4352541b143c4b981b7e18f62de8ccdf633fc1bf037ab7cd77980" +
				"5e0dbcc0aae1cbcee1afb2e027df36bc04dcecbf154336c19f0af7e0a6472905e799f1953d2a0ff3348ab21aa4adafd1d234441cf807c03a00"},
		{"RFC 7748 6.1", ep11.OIDX25519, 0, "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a", "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a", "", ""},
		{"RFC 7748 6.2", ep11.OIDX448, 0, "9a8f4925d1519f5775cf46b04b5800d4ee9ee8bae8bc5565d498c28dd9c9baf574a9419744897391006382a6f127ab1d9ac2d8c0a598726b",
			"9b08f7cc31b7e3e67d22d5aea121074a273bd2b83de09c63faa73d2c22c5d9bbc836647241d953d40c5b12da88120d53177f80e532c41fa0", "", ""},
	} {
		use := ep11.CKA_SIGN
		if v.m == 0 {
			use = ep11.CKA_DERIVE
		}
		k := in.brought(private(v.curve, unhex(v.sk)), ep11.CKK_EC, use)
		if got := spki(in.t, k.GetCheckSum()); hex.EncodeToString(got.Key) != v.pub || string(got.Params) != v.curve {
			in.t.Errorf("%s: public key %x", v.source, got.Key)
		}
		if v.m == 0 {
			continue
		}
		r, err := in.SignSingle(in.ctx(), &wire.SignSingleRequest{Mech: mech(v.m), Data: unhex(v.in), PrivKey: k.GetUnwrapped()})
		in.must(v.source, err)
		if hex.EncodeToString(r.GetSignature()) != v.sig {
			in.t.Errorf("%s: got %x", v.source, r.GetSignature())
		}
	}
}

// publicOf gives the raw public key of a node.
func (b *bringer) publicOf(node []byte) []byte {
	b.t.Helper()
	r, err := b.GetAttributeValue(b.ctx(), &wire.GetAttributeValueRequest{Object: node, Attributes: attrs(ep11.CKA_PUBLIC_KEY_INFO, nil)})
	b.must("attributes", err)
	return spki(b.t, r.GetAttributes()[ep11.CKA_PUBLIC_KEY_INFO].GetAttributeB()).Key
}

// broughtSeed brings a seed in.
func (b *bringer) broughtSeed(digits string) *wire.KeyBlob {
	b.t.Helper()
	return b.brought(unhex(digits), ep11.CKK_GENERIC_SECRET, ep11.CKA_DERIVE, ep11.CKA_IBM_USE_AS_DATA).GetUnwrapped()
}

// bip32Vectors are BIP-32's test vectors 1 to 4: the last extended public key of each chain is the published one, and so is each step between that can be
// read out of it. Each step that isn't hardened is derived in all three ways.
func bip32Vectors(in *bringer) {
	const h = 1 << 31
	for seed, chain := range map[string]struct {
		path []uint64
		last string
	}{
		"000102030405060708090a0b0c0d0e0f": {[]uint64{h, 1, h + 2, 2, 1000000000},
			"xpub6H1LXWLaKsWFhvm6RVpEL9P4KfRZSW7abD2ttkWP3SSQvnyA8FSVqNTEcYFgJS2UaFcxupHiYkro49S8yGasTvXEYBVPamhGW6cFJodrTHy"},
		"fffcf9f6f3f0edeae7e4e1dedbd8d5d2cfccc9c6c3c0bdbab7b4b1aeaba8a5a29f9c999693908d8a8784817e7b7875726f6c696663605d5a5754514e4b484542": {
			[]uint64{0, h + 2147483647, 1, h + 2147483646, 2},
			"xpub6FnCn6nSzZAw5Tw7cgR9bi15UV96gLZhjDstkXXxvCLsUXBGXPdSnLFbdpq8p9HmGsApME5hQTZ3emM2rnY5agb9rXpVGyy3bdW6EEgAtqt"},
		"4b381541583be4423346c643850da4b320e46a87ae3d2a4e6da11eba819cd4acba45d239319ac14f863b8d5ab5a0d0c64d2e8a1e7d1457df2e5a3c51c73235be": {[]uint64{h},
			"xpub68NZiKmJWnxxS6aaHmn81bvJeTESw724CRDs6HbuccFQN9Ku14VQrADWgqbhhTHBaohPX4CjNLf9fq9MYo6oDaPPLPxSb7gwQN3ih19Zm4Y"},
		"3ddd5602285899a946114506157c7997e5444528f3003f6134712147db19b678": {[]uint64{h, h + 1},
			"xpub6BJA1jSqiukeaesWfxe6sNK9CCGaujFFSJLomWHprUL9DePQ4JDkM5d88n49sMGJxrhpjazuXYWdMf17C9T5XnxkopaeS7jGk1GyyVziaMt"},
	} {
		want, err := hdkeychain.NewKeyFromString(chain.last)
		in.must("read the published key", err)
		at := in.derive(btc(wire.BTCDeriveParm_CkBIP0032MASTERK, 0, nil), in.broughtSeed(seed), in.node(ep11.OIDSecp256k1, false))
		for _, index := range chain.path {
			at = in.step(at, ep11.OIDSecp256k1, index, wire.BTCDeriveParm_CkBIP0032PRV2PRV, wire.BTCDeriveParm_CkBIP0032PRV2PUB, wire.BTCDeriveParm_CkBIP0032PUB2PUB)
		}
		key, err := want.ECPubKey()
		in.must("read the published key", err)
		if !bytes.Equal(at.GetCheckSum(), want.ChainCode()) || !bytes.Equal(in.publicOf(at.GetNewKeyBytes()), key.SerializeUncompressed()) {
			in.t.Errorf("%.8s…: chain code %x, public key %x", seed, at.GetCheckSum(), in.publicOf(at.GetNewKeyBytes()))
		}
	}
}

// step derives a private child, and requires that the two ways to its public key give the same, or are refused where a step is hardened.
func (b *bringer) step(parent *wire.DeriveKeyResponse, curve string, index uint64, prv, pub, pub2pub wire.BTCDeriveParm_BTCDeriveType) *wire.DeriveKeyResponse {
	b.t.Helper()
	child := b.derive(btc(prv, index, parent.GetCheckSum()), parent.GetNewKey(), b.node(curve, false))
	want := b.publicOf(child.GetNewKeyBytes())
	half := b.derive(btc(pub, index, parent.GetCheckSum()), parent.GetNewKey(), b.node(curve, true))
	if !bytes.Equal(spki(b.t, half.GetNewKeyBytes()).Key, want) || !bytes.Equal(half.GetCheckSum(), child.GetCheckSum()) {
		b.t.Errorf("%d: another public key by the private parent", index)
	}
	// A public parent: the parent's own half, brought in.
	own, err := b.UnwrapKey(b.ctx(), &wire.UnwrapKeyRequest{Wrapped: ep11.PublicKey{Type: ep11.CKK_EC, Params: []byte(curve), Key: b.publicOf(parent.GetNewKeyBytes())}.SPKI(),
		Mech: mech(ep11.CKM_IBM_TRANSPORTKEY), Template: attrs(ep11.CKA_DERIVE, true, ep11.CKA_IBM_USE_AS_DATA, true)})
	b.must("bring a public key in", err)
	r, err := b.DeriveKey(b.ctx(), &wire.DeriveKeyRequest{Mech: btc(pub2pub, index, parent.GetCheckSum()), Template: b.node(curve, true), BaseKey: own.GetUnwrapped()})
	switch {
	case index >= 1<<31 || curve == ep11.OIDEd25519:
		b.wants(ep11.CKR_MECHANISM_PARAM_INVALID, "a hardened child of a public key", err)
	case err != nil || !bytes.Equal(spki(b.t, r.GetNewKeyBytes()).Key, want) || !bytes.Equal(r.GetCheckSum(), child.GetCheckSum()):
		b.t.Errorf("%d: another public key by the public parent, %v", index, err)
	}
	return child
}

// slip10Vectors walks SLIP-0010's chains. A private key doesn't come out: its public key and a signature stand for it.
func slip10Vectors(in *bringer) {
	for i, v := range familytest.SLIP10() {
		at := in.derive(btc(wire.BTCDeriveParm_CkSLIP0010MASTERK, 0, nil), in.broughtSeed(v.Seed), in.node(v.Curve, false))
		for j, s := range v.Steps {
			if j > 0 {
				at = in.step(at, v.Curve, s.Index, wire.BTCDeriveParm_CkSLIP0010PRV2PRV, wire.BTCDeriveParm_CkSLIP0010PRV2PUB, wire.BTCDeriveParm_CkSLIP0010PUB2PUB)
			}
			want := publicKey(v.Curve, unhex(s.Private))
			if hex.EncodeToString(at.GetCheckSum()) != s.Chain || !bytes.Equal(in.publicOf(at.GetNewKeyBytes()), want) {
				in.t.Errorf("chain %d, step %d: chain code %x, public key %x", i, j, at.GetCheckSum(), in.publicOf(at.GetNewKeyBytes()))
			}
			m := mech(ep11.CKM_ECDSA)
			if v.Curve == ep11.OIDEd25519 {
				m = mech(ep11.CKM_IBM_ED25519_SHA512)
			}
			bare := ep11.PublicKey{Type: ep11.CKK_EC, Params: []byte(v.Curve), Key: want}.SPKI()
			in.sign(m, &wire.GenerateKeyPairResponse{PrivKey: at.GetNewKey(), PubKey: blob(bare)}, []byte("a message of thirty-two bytes. ."))
		}
	}
}

// publicKey gives the raw public key of a secret with other implementations than the core's.
func publicKey(curve string, secret []byte) []byte {
	switch curve {
	case ep11.OIDEd25519:
		return ed25519.NewKeyFromSeed(secret).Public().(ed25519.PublicKey)
	case ep11.OIDP256:
		k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), secret)
		if err != nil {
			panic(err) // published
		}
		b, err := k.PublicKey.Bytes()
		if err != nil {
			panic(err) // published
		}
		return b
	}
	return secp256k1.PrivKeyFromBytes(secret).PubKey().SerializeUncompressed()
}

// bip340Vector is a line of BIP-340's file.
type bip340Vector struct {
	Index  string      `csv:"index"`
	Secret vectors.Hex `csv:"secret key"`
	Key    vectors.Hex `csv:"public key"`
	Msg    vectors.Hex `csv:"message"`
	Sig    vectors.Hex `csv:"signature"`
}

// bip340Vectors: the interface has Schnorr signatures of two forms, and neither is BIP-340's. The published secrets give the published public keys, and their
// signatures verify as neither form; what the core signs with these secrets, it verifies.
func bip340Vectors(in *bringer) {
	signed, refused := 0, 0
	for _, v := range vectors.Load[bip340Vector](in.t, "bip/bip-0340-test-vectors.csv", 19) {
		if len(v.Secret) > 0 {
			k := in.brought(private(ep11.OIDSecp256k1, v.Secret), ep11.CKK_EC, ep11.CKA_SIGN)
			half := spki(in.t, k.GetCheckSum())
			if !bytes.Equal(half.Key[1:33], v.Key) {
				in.t.Errorf("%s: public key %x", v.Index, half.Key)
			}
			for _, form := range []wire.ECSGParm_ECSGType{wire.ECSGParm_CkEcsgIbmEcsdsaS256, wire.ECSGParm_CkEcsgIbmEcsdsaComprMulti} {
				r, err := in.SignSingle(in.ctx(), &wire.SignSingleRequest{Mech: other(form), Data: append([]byte{1}, v.Msg...), PrivKey: k.GetUnwrapped()})
				in.must("sign", err)
				_, err = in.VerifySingle(in.ctx(), &wire.VerifySingleRequest{Mech: other(form), Data: append([]byte{1}, v.Msg...), Signature: r.GetSignature(), PubKey: blob(half.SPKI())})
				in.must("verify", err)
			}
			signed++
		}
		point, err := secp256k1.ParsePubKey(append([]byte{2}, v.Key...))
		if err != nil || len(v.Sig) != 64 {
			continue // no point
		}
		pub := ep11.PublicKey{Type: ep11.CKK_EC, Params: []byte(ep11.OIDSecp256k1), Key: point.SerializeUncompressed()}.SPKI()
		for _, form := range []wire.ECSGParm_ECSGType{wire.ECSGParm_CkEcsgIbmEcsdsaS256, wire.ECSGParm_CkEcsgIbmEcsdsaComprMulti} {
			_, err := in.VerifySingle(in.ctx(), &wire.VerifySingleRequest{Mech: other(form), Data: v.Msg, Signature: v.Sig, PubKey: blob(pub)})
			in.wants(ep11.CKR_SIGNATURE_INVALID, fmt.Sprintf("vector %s", v.Index), err)
			refused++
		}
	}
	if signed < 5 || refused < 20 {
		in.t.Errorf("%d secrets and %d signatures", signed, refused)
	}
}

// publishedX931 verifies the structure of ANSI X9.31 in what the core signs: 6b bb … ba, data, cc, for s or n − s.
func publishedX931(in *bringer) {
	k := in.rsa(2048, []any{ep11.CKA_SIGN, true}, []any{ep11.CKA_VERIFY, true})
	data := append(bytes.Repeat([]byte{0xa5}, 32), 0x34)
	sig := in.suite.sign(mech(ep11.CKM_RSA_X9_31), k, data)
	pub := rsaKey(in.t, k.GetPubKeyBytes())
	block := new(big.Int).Exp(new(big.Int).SetBytes(sig), big.NewInt(int64(pub.E)), pub.N)
	if block.Bit(0) == 1 {
		block.Sub(pub.N, block)
	}
	got := block.FillBytes(make([]byte, 256))
	want := append(append([]byte{0x6b}, bytes.Repeat([]byte{0xbb}, 256-3-len(data))...), 0xba)
	want = append(append(want, data...), 0xcc)
	if !bytes.Equal(got, want) {
		in.t.Errorf("the block is %x", got)
	}
}
