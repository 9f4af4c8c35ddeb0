// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"fmt"
	"math/big"
	"slices"
	"testing"

	wire "strongroom/api/gen/grep11"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/pure/request"
)

// TestApplications is what clients of the vendor's service do, over TLS, through a gateway and a core as they ship, by a caller with a certificate
// and a grant of its own. The client is made of the .proto. At the end each of the forty calls has been done.
func TestApplications(t *testing.T) {
	t.Parallel()
	a := startApps(t)
	s := a.client("suite", nil)
	old := a.client("compat", func(g *request.AppGrantBody) { g.Compat = true })
	for _, tc := range []struct {
		name string
		do   func(*suite)
	}{
		{"mechanisms", mechanisms}, {"random and digests", randomAndDigests}, {"AES", aesFlow}, {"DES3", des3Flow}, {"parts and states", partsFlow}, {"reencrypt", reencrypt},
		{"ECDSA", ecdsaFlow}, {"Ed25519", ed25519Flow}, {"RSA", rsaFlow}, {"RSA of 4096 bits", rsa4096}, {"HMAC", hmacFlow}, {"wrap", wrapFlow}, {"transport key", transportKey},
		{"attributes", attributesFlow}, {"attribute-bound", func(s *suite) { attributeBound(s, ep11.CKA_SIGN, true, ep11.CKA_VERIFY, true) }}, {"sessions", sessionsFlow}, {"agreement", agreementFlow}, {"BIP-32", bip32Flow}, {"SLIP-10", slip10Flow},
		{"Schnorr", schnorrFlow}, {"BLS", blsFlow}, {"post-quantum", latticeFlow}, {"DSA and DH", groupsFlow}, {"first version", firstVersion},
	} {
		t.Run(tc.name, func(t *testing.T) { tc.do(s.on(t)) })
	}
	t.Run("compatibility", func(t *testing.T) { compatibility(s.on(t), old.on(t)) })
	for name, do := range map[string]func(*suite){"attribute-bound": func(s *suite) { attributeBound(s) }, "BIP-32": bip32Flow, "SLIP-10": slip10Flow, "AES": aesFlow, "DES3": des3Flow, "ECDSA": ecdsaFlow} {
		t.Run(name+" under the compatibility profile", func(t *testing.T) { do(old.on(t)) })
	}
	t.Run("rewrap", func(t *testing.T) { rewrapFlow(s.on(t)) })
	for _, name := range methodNames(a) {
		if !a.done[name] {
			t.Errorf("%s was never done", name)
		}
	}
	a.core.check()
}

func methodNames(a *apps) (names []string) {
	for i := range a.service.Methods().Len() {
		names = append(names, string(a.service.Methods().Get(i).Name()))
	}
	return names
}

func mechanisms(s *suite) {
	list, err := s.GetMechanismList(s.ctx(), &wire.GetMechanismListRequest{})
	s.must("list", err)
	if m := list.GetMechs(); len(m) == 0 || m[0] != ep11.CKM_RSA_PKCS {
		s.t.Errorf("the first mechanism is not CKM_RSA_PKCS: %v", m)
	}
	i, err := s.GetMechanismInfo(s.ctx(), &wire.GetMechanismInfoRequest{Mech: ep11.CKM_RSA_PKCS})
	s.must("info", err)
	if i.GetMechInfo().GetMinKeySize() != 512 || i.GetMechInfo().GetMaxKeySize() != 4096 || i.GetMechInfo().GetFlags() == 0 {
		s.t.Errorf("CKM_RSA_PKCS: %v", i)
	}
	for _, m := range list.GetMechs() {
		if _, err := s.GetMechanismInfo(s.ctx(), &wire.GetMechanismInfoRequest{Mech: m}); err != nil {
			s.t.Errorf("0x%x is listed and not known: %v", m, err)
		}
	}
	_, err = s.GetMechanismInfo(s.ctx(), &wire.GetMechanismInfoRequest{Mech: 0x4242})
	s.wants(ep11.CKR_MECHANISM_INVALID, "a mechanism that there is not", err)
}

func randomAndDigests(s *suite) {
	r, err := s.GenerateRandom(s.ctx(), &wire.GenerateRandomRequest{Len: 48})
	s.must("random", err)
	again, err := s.GenerateRandom(s.ctx(), &wire.GenerateRandomRequest{Len: 48})
	s.must("random", err)
	if len(r.GetRnd()) != 48 || bytes.Equal(r.GetRnd(), again.GetRnd()) {
		s.t.Error("no randomness")
	}
	for _, n := range []uint64{0, ep11.MaxRandom + 1} {
		_, err := s.GenerateRandom(s.ctx(), &wire.GenerateRandomRequest{Len: n})
		s.wants(ep11.CKR_ARGUMENTS_BAD, fmt.Sprintf("%d random bytes", n), err)
	}
	data := bytes.Repeat([]byte("digest"), 1000)
	want := sha256.Sum256(data)
	one, err := s.DigestSingle(s.ctx(), &wire.DigestSingleRequest{Mech: mech(ep11.CKM_SHA256), Data: data})
	s.must("single", err)
	init, err := s.DigestInit(s.ctx(), &wire.DigestInitRequest{Mech: mech(ep11.CKM_SHA256)})
	s.must("init", err)
	shot, err := s.Digest(s.ctx(), &wire.DigestRequest{State: init.GetState(), Data: data})
	s.must("one shot", err)
	state := init.GetState()
	for part := range slices.Chunk(data, 1777) {
		u, err := s.DigestUpdate(s.ctx(), &wire.DigestUpdateRequest{State: state, Data: part})
		s.must("update", err)
		state = u.GetState()
	}
	final, err := s.DigestFinal(s.ctx(), &wire.DigestFinalRequest{State: state})
	s.must("final", err)
	for i, got := range [][]byte{one.GetDigest(), shot.GetDigest(), final.GetDigest()} {
		if !bytes.Equal(got, want[:]) {
			s.t.Errorf("%d: %x", i, got)
		}
	}
	k := s.key(ep11.CKM_GENERIC_SECRET_KEY_GEN, ep11.CKA_VALUE_LEN, 32, ep11.CKA_EXTRACTABLE, true)
	u, err := s.DigestKey(s.ctx(), &wire.DigestKeyRequest{State: init.GetState(), Key: k.GetKey()})
	s.must("digest a key", err)
	f, err := s.DigestFinal(s.ctx(), &wire.DigestFinalRequest{State: u.GetState()})
	s.must("final", err)
	if len(f.GetDigest()) != 32 {
		s.t.Errorf("%x", f.GetDigest())
	}
}

func iv(n int) []byte { return bytes.Repeat([]byte{7}, n) }

func aesFlow(s *suite) {
	plain := []byte("a message of no particular length")
	for _, n := range []int{16, 24, 32} {
		k := s.key(ep11.CKM_AES_KEY_GEN, ep11.CKA_VALUE_LEN, n, ep11.CKA_ENCRYPT, true, ep11.CKA_DECRYPT, true)
		if c := k.GetCheckSum(); len(c) != 7 || int(c[5])<<8|int(c[6]) != 8*n {
			s.t.Errorf("check value %x", c)
		}
		zeros := encrypt(s, mech(ep11.CKM_AES_ECB), k.GetKey(), make([]byte, 16))
		if !bytes.Equal(zeros[:3], k.GetCheckSum()[:3]) {
			s.t.Error("the check value is not the first bytes of the encrypted zero block")
		}
		m := mech(ep11.CKM_AES_CBC_PAD, iv(16)...)
		c := encrypt(s, m, k.GetKey(), plain)
		if len(c) != 48 || !bytes.Equal(decrypt(s, m, k.GetKey(), c), plain) {
			s.t.Error("CBC_PAD does not give back what it got")
		}
		_, err := s.DecryptSingle(s.ctx(), &wire.DecryptSingleRequest{Mech: m, Ciphered: c[:47], Key: k.GetKey()})
		s.wants(ep11.CKR_ENCRYPTED_DATA_LEN_RANGE, "half a block", err)
	}
	k := s.aes()
	_, err := s.EncryptSingle(s.ctx(), &wire.EncryptSingleRequest{Mech: mech(ep11.CKM_AES_CBC_PAD, iv(15)...), Plain: plain, Key: k.GetKey()})
	s.wants(ep11.CKR_MECHANISM_PARAM_INVALID, "an IV of 15 bytes", err)
	_, err = s.EncryptSingle(s.ctx(), &wire.EncryptSingleRequest{Mech: mech(ep11.CKM_AES_CBC, iv(16)...), Plain: plain, Key: k.GetKey()})
	s.wants(ep11.CKR_DATA_LEN_RANGE, "no whole blocks", err)
	only := s.key(ep11.CKM_AES_KEY_GEN, ep11.CKA_VALUE_LEN, 32, ep11.CKA_ENCRYPT, true, ep11.CKA_DECRYPT, false)
	c := encrypt(s, mech(ep11.CKM_AES_CBC_PAD, iv(16)...), only.GetKey(), plain)
	_, err = s.DecryptSingle(s.ctx(), &wire.DecryptSingleRequest{Mech: mech(ep11.CKM_AES_CBC_PAD, iv(16)...), Ciphered: c, Key: only.GetKey()})
	s.wants(ep11.CKR_KEY_FUNCTION_NOT_PERMITTED, "a key that does not decrypt", err)
}

func des3Flow(s *suite) {
	k := s.key(ep11.CKM_DES3_KEY_GEN, ep11.CKA_VALUE_LEN, 32, ep11.CKA_ENCRYPT, true, ep11.CKA_DECRYPT, true)
	m := mech(ep11.CKM_DES3_CBC_PAD, iv(8)...)
	if plain := []byte("older than AES"); !bytes.Equal(decrypt(s, m, k.GetKey(), encrypt(s, m, k.GetKey(), plain)), plain) {
		s.t.Error("DES3 does not give back what it got")
	}
}

// partsFlow: states chained through Update, in any number of parts, give what one call gives; the same for decryption, signing and verifying.
func partsFlow(s *suite) {
	k := s.aes()
	m := mech(ep11.CKM_AES_CBC_PAD, iv(16)...)
	plain := bytes.Repeat([]byte("0123456789"), 50)
	want := encrypt(s, m, k.GetKey(), plain)
	init, err := s.EncryptInit(s.ctx(), &wire.EncryptInitRequest{Mech: m, Key: k.GetKey()})
	s.must("init", err)
	shot, err := s.Encrypt(s.ctx(), &wire.EncryptRequest{State: init.GetState(), Plain: plain})
	s.must("one shot", err)
	for _, size := range []int{1 << 10, 100, 16, 7} {
		var got []byte
		state := init.GetState() // a replay inside its time is allowed
		for part := range slices.Chunk(plain, size) {
			u, err := s.EncryptUpdate(s.ctx(), &wire.EncryptUpdateRequest{State: state, Plain: part})
			s.must("update", err)
			state, got = u.GetState(), append(got, u.GetCiphered()...)
		}
		f, err := s.EncryptFinal(s.ctx(), &wire.EncryptFinalRequest{State: state})
		s.must("final", err)
		if got = append(got, f.GetCiphered()...); !bytes.Equal(got, want) || !bytes.Equal(shot.GetCiphered(), want) {
			s.t.Errorf("parts of %d bytes give something else", size)
		}
	}
	di, err := s.DecryptInit(s.ctx(), &wire.DecryptInitRequest{Mech: m, Key: k.GetKey()})
	s.must("init", err)
	ds, err := s.Decrypt(s.ctx(), &wire.DecryptRequest{State: di.GetState(), Ciphered: want})
	s.must("one shot", err)
	var got []byte
	state := di.GetState()
	for part := range slices.Chunk(want, 33) {
		u, err := s.DecryptUpdate(s.ctx(), &wire.DecryptUpdateRequest{State: state, Ciphered: part})
		s.must("update", err)
		state, got = u.GetState(), append(got, u.GetPlain()...)
	}
	df, err := s.DecryptFinal(s.ctx(), &wire.DecryptFinalRequest{State: state})
	s.must("final", err)
	if got = append(got, df.GetPlain()...); !bytes.Equal(got, plain) || !bytes.Equal(ds.GetPlain(), plain) {
		s.t.Error("parts decrypt to something else")
	}
	signParts(s, plain)
}

func signParts(s *suite, data []byte) {
	k := s.ec(ep11.OIDP256)
	m := mech(ep11.CKM_ECDSA_SHA512)
	init, err := s.SignInit(s.ctx(), &wire.SignInitRequest{Mech: m, PrivKey: k.GetPrivKey()})
	s.must("init", err)
	shot, err := s.Sign(s.ctx(), &wire.SignRequest{State: init.GetState(), Data: data})
	s.must("one shot", err)
	state := init.GetState()
	for part := range slices.Chunk(data, 99) {
		u, err := s.SignUpdate(s.ctx(), &wire.SignUpdateRequest{State: state, Data: part})
		s.must("update", err)
		state = u.GetState()
	}
	final, err := s.SignFinal(s.ctx(), &wire.SignFinalRequest{State: state})
	s.must("final", err)
	for _, sig := range [][]byte{shot.GetSignature(), final.GetSignature()} {
		vi, err := s.VerifyInit(s.ctx(), &wire.VerifyInitRequest{Mech: m, PubKey: k.GetPubKey()})
		s.must("init", err)
		_, err = s.Verify(s.ctx(), &wire.VerifyRequest{State: vi.GetState(), Data: data, Signature: sig})
		s.must("verify", err)
		_, err = s.Verify(s.ctx(), &wire.VerifyRequest{State: vi.GetState(), Data: data[1:], Signature: sig})
		s.wants(ep11.CKR_SIGNATURE_INVALID, "other data", err)
		state := vi.GetState()
		for part := range slices.Chunk(data, 77) {
			u, err := s.VerifyUpdate(s.ctx(), &wire.VerifyUpdateRequest{State: state, Data: part})
			s.must("update", err)
			state = u.GetState()
		}
		_, err = s.VerifyFinal(s.ctx(), &wire.VerifyFinalRequest{State: state, Signature: sig})
		s.must("final", err)
		bad := bytes.Clone(sig)
		bad[5] ^= 1
		_, err = s.VerifyFinal(s.ctx(), &wire.VerifyFinalRequest{State: state, Signature: bad})
		s.wants(ep11.CKR_SIGNATURE_INVALID, "another signature", err)
	}
}

func reencrypt(s *suite) {
	from, to := s.aes(), s.key(ep11.CKM_DES3_KEY_GEN, ep11.CKA_ENCRYPT, true, ep11.CKA_DECRYPT, true)
	m, n := mech(ep11.CKM_AES_CBC_PAD, iv(16)...), mech(ep11.CKM_DES3_CBC_PAD, iv(8)...)
	plain := []byte("from one key to another")
	r, err := s.ReencryptSingle(s.ctx(), &wire.ReencryptSingleRequest{DecMech: m, EncMech: n, Ciphered: encrypt(s, m, from.GetKey(), plain), DecKey: from.GetKey(), EncKey: to.GetKey()})
	s.must("reencrypt", err)
	if !bytes.Equal(decrypt(s, n, to.GetKey(), r.GetReciphered()), plain) {
		s.t.Error("something else came out")
	}
}

// spki cuts the SubjectPublicKeyInfo out of a public key's blob.
func spki(t testing.TB, b []byte) ep11.PublicKey {
	t.Helper()
	k, _, err := ep11.ReadSPKI(b)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func nist(t testing.TB, b []byte) *ecdsa.PublicKey {
	t.Helper()
	_, rest, err := ep11.ReadSPKI(b)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := x509.ParsePKIXPublicKey(b[:len(b)-len(rest)])
	if err != nil {
		t.Fatal(err)
	}
	return pub.(*ecdsa.PublicKey)
}

func ecdsaFlow(s *suite) {
	digest := []byte("28 raw bytes used as digest.")
	for _, curve := range []string{ep11.OIDP224, ep11.OIDP256, ep11.OIDP384, ep11.OIDP521, ep11.OIDSecp256k1} {
		k := s.ec(curve)
		sig := s.sign(mech(ep11.CKM_ECDSA), k, digest)
		if len(sig)%2 != 0 {
			s.t.Errorf("a signature of %d bytes", len(sig))
		}
		if curve != ep11.OIDSecp256k1 {
			pub := nist(s.t, k.GetPubKeyBytes())
			if n := len(sig) / 2; n != (pub.Params().N.BitLen()+7)/8 || !ecdsa.Verify(pub, digest, new(big.Int).SetBytes(sig[:n]), new(big.Int).SetBytes(sig[n:])) {
				s.t.Errorf("%x: another implementation does not verify it", curve)
			}
			full := sha512.Sum512([]byte("data"))
			sig := s.sign(mech(ep11.CKM_ECDSA_SHA512), k, []byte("data"))
			if n := len(sig) / 2; !ecdsa.Verify(pub, full[:], new(big.Int).SetBytes(sig[:n]), new(big.Int).SetBytes(sig[n:])) {
				s.t.Errorf("%x with SHA-512: another implementation does not verify it", curve)
			}
		}
		for _, n := range []int{1, 20, 64, 200} { // whatever its length
			s.sign(mech(ep11.CKM_ECDSA), k, iv(n))
		}
		// A bare SubjectPublicKeyInfo verifies too.
		_, rest, _ := ep11.ReadSPKI(k.GetPubKeyBytes())
		bare := k.GetPubKeyBytes()[:len(k.GetPubKeyBytes())-len(rest)]
		_, err := s.VerifySingle(s.ctx(), &wire.VerifySingleRequest{Mech: mech(ep11.CKM_ECDSA), Data: digest, Signature: sig, PubKey: blob(bare)})
		s.must("verify with a bare key", err)
	}
}

func ed25519Flow(s *suite) {
	k := s.ec(ep11.OIDEd25519)
	sig := s.sign(mech(ep11.CKM_IBM_ED25519_SHA512), k, []byte("message"))
	pub := spki(s.t, k.GetPubKeyBytes())
	if string(pub.Params) != ep11.OIDEd25519 || !ed25519.Verify(pub.Key, []byte("message"), sig) {
		s.t.Error("another implementation does not verify it")
	}
	_, err := s.SignInit(s.ctx(), &wire.SignInitRequest{Mech: mech(ep11.CKM_IBM_ED25519_SHA512), PrivKey: k.GetPrivKey()})
	s.must("init", err)
}

func pss(hash int, mgf wire.RSAPSSParm_Mask, m int) *wire.Mechanism {
	return &wire.Mechanism{Mechanism: uint64(m), Parameter: &wire.Mechanism_RSAPSSParameter{RSAPSSParameter: &wire.RSAPSSParm{HashMech: uint64(hash), Mgf: mgf}}}
}

func rsaKey(t testing.TB, b []byte) *rsa.PublicKey {
	t.Helper()
	_, rest, err := ep11.ReadSPKI(b)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := x509.ParsePKIXPublicKey(b[:len(b)-len(rest)])
	if err != nil {
		t.Fatal(err)
	}
	return pub.(*rsa.PublicKey)
}

func rsaFlow(s *suite) {
	k := s.rsa(2048, []any{ep11.CKA_SIGN, true}, []any{ep11.CKA_VERIFY, true})
	pub := rsaKey(s.t, k.GetPubKeyBytes())
	data := []byte("what is signed")
	h := sha512.Sum512(data)
	sig := s.sign(mech(ep11.CKM_SHA512_RSA_PKCS), k, data)
	if rsa.VerifyPKCS1v15(pub, crypto.SHA512, h[:], sig) != nil {
		s.t.Error("PKCS #1: another implementation does not verify it")
	}
	sig = s.sign(pss(ep11.CKM_SHA512, wire.RSAPSSParm_CkgMgf1Sha512, ep11.CKM_SHA512_RSA_PKCS_PSS), k, data)
	if rsa.VerifyPSS(pub, crypto.SHA512, h[:], sig, nil) != nil { // any length of the salt
		s.t.Error("PSS: another implementation does not verify it")
	}
	again := s.sign(pss(ep11.CKM_SHA512, wire.RSAPSSParm_CkgMgf1Sha512, ep11.CKM_SHA512_RSA_PKCS_PSS), k, data)
	if !bytes.Equal(sig, again) {
		s.t.Error("a salt of no bytes gives another signature each time")
	}
	_, err := s.GenerateKeyPair(s.ctx(), &wire.GenerateKeyPairRequest{Mech: mech(ep11.CKM_RSA_PKCS_KEY_PAIR_GEN), PrivKeyTemplate: attrs(ep11.CKA_SIGN, true),
		PubKeyTemplate: attrs(ep11.CKA_MODULUS_BITS, 2048, ep11.CKA_PUBLIC_EXPONENT, 3, ep11.CKA_VERIFY, true)})
	s.wants(ep11.CKR_ATTRIBUTE_VALUE_INVALID, "a public exponent of 3", err)
	c := s.rsa(2048, []any{ep11.CKA_DECRYPT, true}, []any{ep11.CKA_ENCRYPT, true})
	oaep := &wire.Mechanism{Mechanism: ep11.CKM_RSA_PKCS_OAEP, Parameter: &wire.Mechanism_RSAOAEPParameter{RSAOAEPParameter: &wire.RSAOAEPParm{HashMech: ep11.CKM_SHA_1,
		Mgf: wire.RSAOAEPParm_CkgMgf1Sha1}}}
	for _, m := range []*wire.Mechanism{mech(ep11.CKM_RSA_PKCS), oaep} {
		if got := decrypt(s, m, c.GetPrivKey(), encrypt(s, m, c.GetPubKey(), data)); !bytes.Equal(got, data) {
			s.t.Errorf("0x%x: %q", m.GetMechanism(), got)
		}
	}
}

func rsa4096(s *suite) {
	k := s.rsa(4096, []any{ep11.CKA_SIGN, true}, []any{ep11.CKA_VERIFY, true})
	if n := rsaKey(s.t, k.GetPubKeyBytes()).N.BitLen(); n != 4096 {
		s.t.Errorf("%d bits", n)
	}
	s.sign(mech(ep11.CKM_SHA256_RSA_PKCS), k, []byte("data"))
}

func hmacFlow(s *suite) {
	k := s.key(ep11.CKM_GENERIC_SECRET_KEY_GEN, ep11.CKA_VALUE_LEN, 32, ep11.CKA_SIGN, true, ep11.CKA_VERIFY, true)
	both := &wire.GenerateKeyPairResponse{PrivKey: k.GetKey(), PubKey: k.GetKey()}
	if mac := s.sign(mech(ep11.CKM_SHA256_HMAC), both, []byte("data")); len(mac) != 32 {
		s.t.Errorf("%d bytes", len(mac))
	}
	// An AES key may be one of an HMAC.
	aes := s.key(ep11.CKM_AES_KEY_GEN, ep11.CKA_VALUE_LEN, 16, ep11.CKA_SIGN, true, ep11.CKA_VERIFY, true)
	s.sign(mech(ep11.CKM_SHA256_HMAC), &wire.GenerateKeyPairResponse{PrivKey: aes.GetKey(), PubKey: aes.GetKey()}, []byte("data"))
}

// wrapFlow: keys go out under others where EXTRACTABLE is true, and come back with the same check value.
func wrapFlow(s *suite) {
	kek := s.key(ep11.CKM_AES_KEY_GEN, ep11.CKA_VALUE_LEN, 32, ep11.CKA_WRAP, true, ep11.CKA_UNWRAP, true)
	k := s.aes(ep11.CKA_EXTRACTABLE, true)
	m := mech(ep11.CKM_AES_CBC_PAD, iv(16)...)
	w, err := s.WrapKey(s.ctx(), &wire.WrapKeyRequest{Mech: m, Key: k.GetKey(), KeK: kek.GetKey()})
	s.must("wrap", err)
	template := attrs(ep11.CKA_CLASS, ep11.CKO_SECRET_KEY, ep11.CKA_KEY_TYPE, ep11.CKK_AES, ep11.CKA_VALUE_LEN, 32, ep11.CKA_ENCRYPT, true, ep11.CKA_DECRYPT, true)
	u, err := s.UnwrapKey(s.ctx(), &wire.UnwrapKeyRequest{Wrapped: w.GetWrapped(), Mech: m, Template: template, KeK: kek.GetKey()})
	s.must("unwrap", err)
	if !bytes.Equal(u.GetCheckSum()[:3], k.GetCheckSum()[:3]) || !bytes.Equal(u.GetUnwrappedBytes(), u.GetUnwrapped().GetKeyBlobs()[0]) {
		s.t.Error("another key came back")
	}
	c := encrypt(s, m, k.GetKey(), []byte("one key"))
	if !bytes.Equal(decrypt(s, m, u.GetUnwrapped(), c), []byte("one key")) {
		s.t.Error("another key came back")
	}
	_, err = s.WrapKey(s.ctx(), &wire.WrapKeyRequest{Mech: m, Key: s.aes().GetKey(), KeK: kek.GetKey()})
	s.wants(ep11.CKR_KEY_UNEXTRACTABLE, "a key that may not leave", err)
	_, err = s.WrapKey(s.ctx(), &wire.WrapKeyRequest{Mech: m, Key: k.GetKey(), KeK: s.aes().GetKey()})
	s.wants(ep11.CKR_KEY_FUNCTION_NOT_PERMITTED, "under a key that does not wrap", err)
	_, err = s.UnwrapKey(s.ctx(), &wire.UnwrapKeyRequest{Wrapped: w.GetWrapped(), Mech: m, Template: attrs(ep11.CKA_ENCRYPT, true), KeK: kek.GetKey()})
	s.wants(ep11.CKR_TEMPLATE_INCOMPLETE, "without a key type", err)
	// Under RSA.
	pair := s.rsa(2048, []any{ep11.CKA_UNWRAP, true}, []any{ep11.CKA_WRAP, true})
	w, err = s.WrapKey(s.ctx(), &wire.WrapKeyRequest{Mech: mech(ep11.CKM_RSA_PKCS), Key: k.GetKey(), KeK: pair.GetPubKey()})
	s.must("wrap under RSA", err)
	u, err = s.UnwrapKey(s.ctx(), &wire.UnwrapKeyRequest{Wrapped: w.GetWrapped(), Mech: mech(ep11.CKM_RSA_PKCS), Template: template, KeK: pair.GetPrivKey()})
	s.must("unwrap under RSA", err)
	if !bytes.Equal(u.GetCheckSum()[:3], k.GetCheckSum()[:3]) {
		s.t.Error("another key came back")
	}
	// A private key is exactly PKCS #8, and its public half comes with it.
	ec := s.pair(ep11.CKM_EC_KEY_PAIR_GEN, attrs(ep11.CKA_SIGN, true, ep11.CKA_EXTRACTABLE, true), attrs(ep11.CKA_EC_PARAMS, ep11.OIDP256, ep11.CKA_VERIFY, true))
	w, err = s.WrapKey(s.ctx(), &wire.WrapKeyRequest{Mech: m, Key: ec.GetPrivKey(), KeK: kek.GetKey()})
	s.must("wrap a private key", err)
	u, err = s.UnwrapKey(s.ctx(), &wire.UnwrapKeyRequest{Wrapped: w.GetWrapped(), Mech: m, KeK: kek.GetKey(),
		Template: attrs(ep11.CKA_CLASS, ep11.CKO_PRIVATE_KEY, ep11.CKA_KEY_TYPE, ep11.CKK_EC, ep11.CKA_SIGN, true)})
	s.must("unwrap a private key", err)
	s.sign(mech(ep11.CKM_ECDSA), &wire.GenerateKeyPairResponse{PrivKey: u.GetUnwrapped(), PubKey: ec.GetPubKey()}, []byte("the same key again, I hope"))
	bad := bytes.Clone(w.GetWrapped())
	bad[len(bad)-1] ^= 1
	_, err = s.UnwrapKey(s.ctx(), &wire.UnwrapKeyRequest{Wrapped: bad, Mech: m, KeK: kek.GetKey(),
		Template: attrs(ep11.CKA_CLASS, ep11.CKO_PRIVATE_KEY, ep11.CKA_KEY_TYPE, ep11.CKK_EC, ep11.CKA_SIGN, true)})
	s.wants(ep11.CKR_WRAPPED_KEY_INVALID, "altered", err)
}

// transportKey: a plain public key becomes one that the domain vouches for.
func transportKey(s *suite) {
	own, err := ecdsa.GenerateKey(nist(s.t, s.ec(ep11.OIDP256).GetPubKeyBytes()).Curve, nil)
	s.must("a key of our own", err)
	der, err := x509.MarshalPKIXPublicKey(&own.PublicKey)
	s.must("marshal", err)
	u, err := s.UnwrapKey(s.ctx(), &wire.UnwrapKeyRequest{Wrapped: der, Mech: mech(ep11.CKM_IBM_TRANSPORTKEY), KeK: blob(s.aes().GetKeyBytes()), Template: attrs(ep11.CKA_VERIFY, true)})
	s.must("import", err)
	if !bytes.HasPrefix(u.GetUnwrappedBytes(), der) {
		s.t.Error("another key came out")
	}
	h := sha256.Sum256([]byte("signed elsewhere"))
	r, t, err := ecdsa.Sign(nil, own, h[:])
	s.must("sign", err)
	sig := append(r.FillBytes(make([]byte, 32)), t.FillBytes(make([]byte, 32))...)
	_, err = s.VerifySingle(s.ctx(), &wire.VerifySingleRequest{Mech: mech(ep11.CKM_ECDSA), Data: h[:], Signature: sig, PubKey: u.GetUnwrapped()})
	s.must("verify", err)
}

func attributesFlow(s *suite) {
	k := s.aes(ep11.CKA_EXTRACTABLE, true)
	ask := attrs(ep11.CKA_KEY_TYPE, nil, ep11.CKA_VALUE_LEN, nil, ep11.CKA_ENCRYPT, nil, ep11.CKA_SIGN, nil)
	r, err := s.GetAttributeValue(s.ctx(), &wire.GetAttributeValueRequest{Object: k.GetKeyBytes(), Attributes: ask})
	s.must("get", err)
	got := r.GetAttributes()
	if len(got) != 4 || got[ep11.CKA_KEY_TYPE].GetAttributeI() != ep11.CKK_AES || got[ep11.CKA_VALUE_LEN].GetAttributeI() != 32 || !got[ep11.CKA_ENCRYPT].GetAttributeTF() ||
		got[ep11.CKA_SIGN].GetAttributeTF() {
		s.t.Errorf("%v", got)
	}
	set, err := s.SetAttributeValue(s.ctx(), &wire.SetAttributeValueRequest{Object: k.GetKeyBytes(), Attributes: attrs(ep11.CKA_ENCRYPT, false)})
	s.must("set", err)
	_, err = s.EncryptSingle(s.ctx(), &wire.EncryptSingleRequest{Mech: mech(ep11.CKM_AES_ECB), Plain: make([]byte, 16), Key: blob(set.GetObject())})
	s.wants(ep11.CKR_KEY_FUNCTION_NOT_PERMITTED, "a right that was given up", err)
	_, err = s.SetAttributeValue(s.ctx(), &wire.SetAttributeValueRequest{Object: set.GetObject(), Attributes: attrs(ep11.CKA_KEY_TYPE, ep11.CKK_DES3)})
	s.wants(ep11.CKR_ATTRIBUTE_READ_ONLY, "a number", err)
	_, err = s.GetAttributeValue(s.ctx(), &wire.GetAttributeValueRequest{Object: k.GetKeyBytes(), Attributes: attrs(ep11.CKA_VALUE, nil)})
	s.wants(ep11.CKR_ATTRIBUTE_SENSITIVE, "the key itself", err)
}

// attributeBound: a key goes out with its attributes, under a pair and a MAC key that are bound too, and comes back with them. rights are those of the
// MAC key; clients of the hardware give it none.
func attributeBound(s *suite, rights ...any) {
	kek := s.rsa(2048, []any{ep11.CKA_UNWRAP, true, ep11.CKA_IBM_ATTRBOUND, true}, []any{ep11.CKA_WRAP, true, ep11.CKA_IBM_ATTRBOUND, true})
	mac := s.key(ep11.CKM_GENERIC_SECRET_KEY_GEN, append([]any{ep11.CKA_VALUE_LEN, 32, ep11.CKA_IBM_ATTRBOUND, true}, rights...)...)
	k := s.aes(ep11.CKA_EXTRACTABLE, true, ep11.CKA_IBM_ATTRBOUND, true)
	w, err := s.WrapKey(s.ctx(), &wire.WrapKeyRequest{Mech: mech(ep11.CKM_IBM_ATTRIBUTEBOUND_WRAP), Key: k.GetKey(), KeK: kek.GetPubKey(), MacKey: mac.GetKey()})
	s.must("wrap", err)
	u, err := s.UnwrapKey(s.ctx(), &wire.UnwrapKeyRequest{Wrapped: w.GetWrapped(), Mech: mech(ep11.CKM_IBM_ATTRIBUTEBOUND_WRAP), KeK: kek.GetPrivKey(), MacKey: mac.GetKey(),
		Template: attrs(ep11.CKA_CLASS, ep11.CKO_SECRET_KEY, ep11.CKA_KEY_TYPE, ep11.CKK_AES, ep11.CKA_VALUE_LEN, 32, ep11.CKA_ENCRYPT, true, ep11.CKA_DECRYPT, true)})
	s.must("unwrap", err)
	if !bytes.Equal(u.GetCheckSum()[:3], k.GetCheckSum()[:3]) {
		s.t.Error("another key came back")
	}
	plain := s.key(ep11.CKM_AES_KEY_GEN, ep11.CKA_VALUE_LEN, 32, ep11.CKA_WRAP, true, ep11.CKA_UNWRAP, true)
	_, err = s.WrapKey(s.ctx(), &wire.WrapKeyRequest{Mech: mech(ep11.CKM_AES_CBC_PAD, iv(16)...), Key: k.GetKey(), KeK: plain.GetKey()})
	s.wants(ep11.CKR_KEY_NOT_WRAPPABLE, "a bound key under one that isn't", err)
	other := s.key(ep11.CKM_GENERIC_SECRET_KEY_GEN, append([]any{ep11.CKA_VALUE_LEN, 32, ep11.CKA_IBM_ATTRBOUND, true}, rights...)...)
	_, err = s.UnwrapKey(s.ctx(), &wire.UnwrapKeyRequest{Wrapped: w.GetWrapped(), Mech: mech(ep11.CKM_IBM_ATTRIBUTEBOUND_WRAP), KeK: kek.GetPrivKey(), MacKey: other.GetKey(),
		Template: attrs(ep11.CKA_KEY_TYPE, ep11.CKK_AES)})
	s.wants(ep11.CKR_WRAPPED_KEY_INVALID, "under another MAC key", err)
}

// sessionsFlow: keys that are made in a login session end with it.
func sessionsFlow(s *suite) {
	for _, pin := range [][]byte{nil, iv(7), iv(65)} {
		_, err := s.Login(s.ctx(), &wire.LoginRequest{Pin: pin})
		s.wants(ep11.CKR_PIN_LEN_RANGE, fmt.Sprintf("a PIN of %d bytes", len(pin)), err)
	}
	in, err := s.Login(s.ctx(), &wire.LoginRequest{Pin: []byte("0123456789abcdef")})
	s.must("login", err)
	m := mech(ep11.CKM_AES_CBC_PAD, iv(16)...)
	k := s.aes(ep11.CKA_IBM_LOGIN_SESSION, in.GetPinblob())
	if k.GetKeyBytes()[0] == 0x30 || bytes.Equal(k.GetKeyBytes()[:32], make([]byte, 32)) {
		s.t.Error("the key is not bound to the session")
	}
	encrypt(s, m, k.GetKey(), iv(3))
	altered := bytes.Clone(in.GetPinblob())
	altered[40] ^= 1
	template := func(blob []byte) map[uint64]*wire.AttributeValue {
		return attrs(ep11.CKA_VALUE_LEN, 32, ep11.CKA_ENCRYPT, true, ep11.CKA_IBM_LOGIN_SESSION, blob)
	}
	_, err = s.GenerateKey(s.ctx(), &wire.GenerateKeyRequest{Mech: mech(ep11.CKM_AES_KEY_GEN), Template: template(altered)})
	s.wants(ep11.CKR_PIN_INVALID, "the blob of no session", err)
	_, err = s.Logout(s.ctx(), &wire.LogoutRequest{})
	s.must("logout", err)
	_, err = s.EncryptSingle(s.ctx(), &wire.EncryptSingleRequest{Mech: m, Plain: iv(3), Key: k.GetKey()})
	s.wants(ep11.CKR_SESSION_CLOSED, "a key of a session that is closed", err)
	_, err = s.GenerateKey(s.ctx(), &wire.GenerateKeyRequest{Mech: mech(ep11.CKM_AES_KEY_GEN), Template: template(in.GetPinblob())})
	s.wants(ep11.CKR_SESSION_CLOSED, "a new key in it", err)
	again, err := s.Login(s.ctx(), &wire.LoginRequest{Pin: []byte("0123456789abcdef")})
	s.must("login", err)
	if !bytes.Equal(again.GetPinblob(), in.GetPinblob()) {
		s.t.Error("the same PIN opens another session")
	}
	encrypt(s, m, k.GetKey(), iv(3))
	_, err = s.Logout(s.ctx(), &wire.LogoutRequest{})
	s.must("logout", err)
}

// firstVersion: a client of the first version passes blobs as bytes.
func firstVersion(s *suite) {
	k := s.ec(ep11.OIDP256)
	data := []byte("as it was before")
	r, err := s.SignSingle(s.ctx(), &wire.SignSingleRequest{Mech: mech(ep11.CKM_ECDSA), Data: data, PrivKeyBytes: k.GetPrivKeyBytes()})
	s.must("sign", err)
	_, err = s.VerifySingle(s.ctx(), &wire.VerifySingleRequest{Mech: mech(ep11.CKM_ECDSA), Data: data, Signature: r.GetSignature(), PubKeyBytes: k.GetPubKeyBytes()})
	s.must("verify", err)
	key := s.aes()
	m := mech(ep11.CKM_AES_CBC_PAD, iv(16)...)
	c, err := s.EncryptSingle(s.ctx(), &wire.EncryptSingleRequest{Mech: m, Plain: data, KeyBytes: key.GetKeyBytes()})
	s.must("encrypt", err)
	if !bytes.Equal(decrypt(s, m, key.GetKey(), c.GetCiphered()), data) {
		s.t.Error("another key")
	}
}

// compatibility: one key that wraps and decrypts is for those only whose grant says so.
func compatibility(s, old *suite) {
	all := []any{ep11.CKA_VALUE_LEN, 32, ep11.CKA_WRAP, true, ep11.CKA_UNWRAP, true, ep11.CKA_ENCRYPT, true, ep11.CKA_DECRYPT, true}
	_, err := s.GenerateKey(s.ctx(), &wire.GenerateKeyRequest{Mech: mech(ep11.CKM_AES_KEY_GEN), Template: attrs(all...)})
	s.wants(ep11.CKR_TEMPLATE_INCONSISTENT, "a key that wraps and decrypts", err)
	kek := old.key(ep11.CKM_AES_KEY_GEN, all...)
	secret := old.aes(ep11.CKA_EXTRACTABLE, true)
	m := mech(ep11.CKM_AES_CBC_PAD, iv(16)...)
	w, err := old.WrapKey(old.ctx(), &wire.WrapKeyRequest{Mech: m, Key: secret.GetKey(), KeK: kek.GetKey()})
	old.must("wrap", err)
	clear := decrypt(old, m, kek.GetKey(), w.GetWrapped())
	block, err := aes.NewCipher(clear)
	old.must("the key in clear", err)
	c := encrypt(old, m, secret.GetKey(), make([]byte, 16))
	out := make([]byte, 16)
	cipher.NewCBCDecrypter(block, iv(16)).CryptBlocks(out, c[:16])
	if !bytes.Equal(out, make([]byte, 16)) {
		old.t.Error("what was wrapped and decrypted is another key")
	}
	// And the other way: a clear key, encrypted, then unwrapped.
	u, err := old.UnwrapKey(old.ctx(), &wire.UnwrapKeyRequest{Wrapped: encrypt(old, m, kek.GetKey(), iv(32)), Mech: m, KeK: kek.GetKey(),
		Template: attrs(ep11.CKA_CLASS, ep11.CKO_SECRET_KEY, ep11.CKA_KEY_TYPE, ep11.CKK_GENERIC_SECRET, ep11.CKA_VALUE_LEN, 32, ep11.CKA_SIGN, true, ep11.CKA_VERIFY, true)})
	old.must("unwrap", err)
	r, err := old.SignSingle(old.ctx(), &wire.SignSingleRequest{Mech: mech(ep11.CKM_SHA256_HMAC), Data: []byte("data"), PrivKey: u.GetUnwrapped()})
	old.must("sign", err)
	mac := hmac.New(sha256.New, iv(32))
	mac.Write([]byte("data"))
	if !bytes.Equal(r.GetSignature(), mac.Sum(nil)) {
		old.t.Error("another key came in")
	}
	_, err = s.EncryptSingle(s.ctx(), &wire.EncryptSingleRequest{Mech: m, Plain: iv(4), Key: kek.GetKey()})
	s.wants(ep11.CKR_IBM_STATIC_POLICY, "another caller's key", err)
}
