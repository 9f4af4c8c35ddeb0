// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/asn1"
	"encoding/hex"
	"math/big"
	"testing"

	"strongroom/internal/pure/ep11"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestPublished runs published examples of block ciphers and hashes.
func TestPublished(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const (
		aes128 = "2b7e151628aed2a6abf7158809cf4f3c"
		aes192 = "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b"
		aes256 = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"
		plain  = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
		iv     = "000102030405060708090a0b0c0d0e0f"
		count  = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"
		des3   = "0123456789abcdef23456789abcdef01456789abcdef0123" // SP 800-67's example
	)
	for _, tt := range []struct {
		source         string
		m, ckk         uint64
		key, iv        string
		plain, ciphers string
	}{
		{"SP 800-38A F.1.1", ep11.CKM_AES_ECB, ep11.CKK_AES, aes128, "", plain, "3ad77bb40d7a3660a89ecaf32466ef97f5d3d58503b9699de785895a96fdbaaf"},
		{"SP 800-38A F.1.5", ep11.CKM_AES_ECB, ep11.CKK_AES, aes256, "", plain, "f3eed1bdb5d2a03c064b5a7e3db181f8591ccb10d410ed26dc5ba74a31362870"},
		{"SP 800-38A F.2.1", ep11.CKM_AES_CBC, ep11.CKK_AES, aes128, iv, plain, "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2"},
		{"SP 800-38A F.2.3", ep11.CKM_AES_CBC, ep11.CKK_AES, aes192, iv, plain, "4f021db243bc633d7178183a9fa071e8b4d9ada9ad7dedf4e5e738763f69145a"},
		{"SP 800-38A F.5.1", ep11.CKM_AES_CTR, ep11.CKK_AES, aes128, count, plain, "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff"},
		{"SP 800-38A F.5.5", ep11.CKM_AES_CTR, ep11.CKK_AES, aes256, count, plain, "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5"},
		{"SP 800-67 B.1", ep11.CKM_DES3_ECB, ep11.CKK_DES3, des3, "", "5468652071756663", "a826fd8ce53b855f"},
	} {
		key, err := b.taken(unhex(t, tt.key), tt.ckk)
		if err != nil {
			t.Fatal(err)
		}
		m := withIV(tt.m, unhex(t, tt.iv))
		if got := b.must(ep11.Call{Function: ep11.FnEncryptSingle, Mechanism: m, Key: key, Data: unhex(t, tt.plain)}).Data; hex.EncodeToString(got) != tt.ciphers {
			t.Errorf("%s: got %x", tt.source, got)
		}
		if got := b.must(ep11.Call{Function: ep11.FnDecryptSingle, Mechanism: m, Key: key, Data: unhex(t, tt.ciphers)}).Data; hex.EncodeToString(got) != tt.plain {
			t.Errorf("%s: decrypts to %x", tt.source, got)
		}
	}
	for _, tt := range []struct {
		source   string
		m, ckk   uint64
		key      string
		in, code string
	}{
		{"RFC 4493 example 1", ep11.CKM_AES_CMAC, ep11.CKK_AES, aes128, "", "bb1d6929e95937287fa37d129b756746"},
		{"RFC 4493 example 3", ep11.CKM_IBM_CMAC, ep11.CKK_AES, aes128, "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411", "dfa66747de9ae63030ca32611497c827"},
		{"SP 800-38B, triple DES, example 1", ep11.CKM_DES3_CMAC, ep11.CKK_DES3, "8aa83bf8cbda10620bc1bf19fbb6cd58bc313d4a371ca8b5", "", "b7a688e122ffaf95"},
		{"SP 800-38B, triple DES, example 2", ep11.CKM_DES3_CMAC, ep11.CKK_DES3, "8aa83bf8cbda10620bc1bf19fbb6cd58bc313d4a371ca8b5", "6bc1bee22e409f96", "8e8f293136283797"},
		{"SP 800-38B, two-key triple DES, example 15", ep11.CKM_IBM_CMAC, ep11.CKK_DES2, "4cf15134a2850dd58a3d10ba80570d38", "6bc1bee22e409f96e93d7e117393172aae2d8a57", "62dd1b471902bd4e"},
		{"RFC 4231 test case 1", ep11.CKM_SHA256_HMAC, ep11.CKK_GENERIC_SECRET, "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
	} {
		key, err := b.taken(unhex(t, tt.key), tt.ckk)
		if err != nil {
			t.Fatal(err)
		}
		if got := b.must(ep11.Call{Function: ep11.FnSignSingle, Mechanism: mech(tt.m), Key: key, Data: unhex(t, tt.in)}).Data; hex.EncodeToString(got) != tt.code {
			t.Errorf("%s: got %x", tt.source, got)
		}
	}
	for m, want := range map[uint64]string{ // FIPS 180-4 and FIPS 202, examples for "abc"
		ep11.CKM_SHA_1:          "a9993e364706816aba3e25717850c26c9cd0d89d",
		ep11.CKM_SHA224:         "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7",
		ep11.CKM_SHA256:         "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		ep11.CKM_SHA512_224:     "4634270f707b6a54daae7530460842e20e37ed265ceee9a43e8924aa",
		ep11.CKM_IBM_SHA512_256: "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23",
		ep11.CKM_IBM_SHA3_224:   "e642824c3f8cf24ad09234ee7d3c766fc9a3a5168d0c94ad73b46fdf",
		ep11.CKM_IBM_SHA3_256:   "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532",
	} {
		if got := b.must(ep11.Call{Function: ep11.FnDigestSingle, Mechanism: mech(m), Data: []byte("abc")}).Data; hex.EncodeToString(got) != want {
			t.Errorf("%s: got %x", ep11.MechanismName(m), got)
		}
	}
}

// TestX931 verifies and makes again what OpenSSL signs with its padding x931, which is deterministic.
func TestX931(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	key, err := b.imported(unhex(t, x931Key), ep11.CKK_RSA, flags(ep11.CKA_SIGN))
	if err != nil {
		t.Fatal(err)
	}
	for digest, want := range x931Signatures {
		data := append(unhex(t, digest), map[int]byte{20: 0x33, 32: 0x34}[len(digest)/2])
		got := b.must(ep11.Call{Function: ep11.FnSignSingle, Mechanism: mech(ep11.CKM_RSA_X9_31), Key: key, Data: data}).Data
		if hex.EncodeToString(got) != want {
			t.Errorf("got %x", got)
		}
	}
}

// TestShortDigests: ECDSA takes data of any length as the digest, as Go's implementation with integers of any size reads it.
func TestShortDigests(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for curve, n := range map[string]int{ep11.OIDP224: 28, ep11.OIDP256: 32, ep11.OIDP384: 48, ep11.OIDP521: 66, ep11.OIDSecp256k1: 32} {
		sk, pk := b.pair(curve, flags(ep11.CKA_SIGN), flags(ep11.CKA_VERIFY))
		for _, size := range []int{1, 5, 20, 28, 31, 32, 33, 48, 64, 66, 67, 200} {
			data := bytes.Repeat([]byte{0xa7}, size)
			sig := b.must(ep11.Call{Function: ep11.FnSignSingle, Mechanism: mech(ep11.CKM_ECDSA), Key: sk, Data: data}).Data
			b.must(ep11.Call{Function: ep11.FnVerifySingle, Mechanism: mech(ep11.CKM_ECDSA), Key: pk, Data: data, Signature: sig})
			c := map[string]elliptic.Curve{ep11.OIDP224: elliptic.P224(), ep11.OIDP256: elliptic.P256(), ep11.OIDP384: elliptic.P384(), ep11.OIDP521: elliptic.P521()}[curve]
			if c == nil {
				cut := data[:min(len(data), 32)]
				b.must(ep11.Call{Function: ep11.FnVerifySingle, Mechanism: mech(ep11.CKM_ECDSA), Key: pk, Data: append(make([]byte, 32-len(cut)), cut...), Signature: sig})
				high := bytes.Clone(sig)
				new(big.Int).Sub(new(big.Int).SetBytes(unhex(t, "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141")), new(big.Int).SetBytes(sig[32:])).FillBytes(high[32:])
				b.must(ep11.Call{Function: ep11.FnVerifySingle, Mechanism: mech(ep11.CKM_ECDSA), Key: pk, Data: data, Signature: high})
				continue
			}
			_, point := spki(t, pk)
			pub, err := ecdsa.ParseUncompressedPublicKey(c, point)
			if err != nil {
				t.Fatal(err)
			}
			der, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(sig[:n]), new(big.Int).SetBytes(sig[n:])})
			if err != nil || !ecdsa.VerifyASN1(pub, data, der) {
				t.Errorf("%d bytes: %v", size, err)
			}
		}
	}
}
