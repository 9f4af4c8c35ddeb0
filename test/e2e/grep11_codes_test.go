// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc"

	wire "strongroom/api/gen/grep11"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/pure/request"
)

// TestReturnCodes: what a caller does wrong, and what people have decided of it, has the code that EP11 gives for it.
func TestReturnCodes(t *testing.T) {
	t.Parallel()
	a := startApps(t)
	s := a.client("codes", nil)
	t.Run("attributes", func(t *testing.T) { wrongAttributes(s.on(t)) })
	t.Run("mechanisms", func(t *testing.T) { wrongMechanisms(s.on(t)) })
	t.Run("templates", func(t *testing.T) { wrongTemplates(s.on(t)) })
	t.Run("data", func(t *testing.T) { wrongData(s.on(t)) })
	t.Run("messages", func(t *testing.T) { wrongMessages(s.on(t)) })
	t.Run("sessions", func(t *testing.T) { tooManySessions(s.on(t)) })
	t.Run("another domain", func(t *testing.T) { anotherDomain(s.on(t), startApps(t)) })
	t.Run("grants", func(t *testing.T) { overGrants(t, a) })
	a.core.check()
}

// wrongAttributes: each use needs its attribute.
func wrongAttributes(s *suite) {
	k := s.key(ep11.CKM_AES_KEY_GEN, ep11.CKA_VALUE_LEN, 32, ep11.CKA_EXTRACTABLE, true)
	p := s.pair(ep11.CKM_EC_KEY_PAIR_GEN, attrs(ep11.CKA_SIGN, false), attrs(ep11.CKA_EC_PARAMS, ep11.OIDP256))
	cbc, ecdsa := mech(ep11.CKM_AES_CBC_PAD, iv(16)...), mech(ep11.CKM_ECDSA_SHA256)
	wrapper := s.key(ep11.CKM_AES_KEY_GEN, ep11.CKA_VALUE_LEN, 32, ep11.CKA_WRAP, true)
	w, err := s.WrapKey(s.ctx(), &wire.WrapKeyRequest{Mech: cbc, Key: k.GetKey(), KeK: wrapper.GetKey()})
	s.must("wrap", err)
	point := spki(s.t, p.GetPubKeyBytes()).Key
	for what, f := range map[string]func() error{
		"EncryptSingle": func() error {
			_, err := s.EncryptSingle(s.ctx(), &wire.EncryptSingleRequest{Mech: cbc, Plain: iv(3), Key: k.Key})
			return err
		},
		"EncryptInit": func() error {
			_, err := s.EncryptInit(s.ctx(), &wire.EncryptInitRequest{Mech: cbc, Key: k.Key})
			return err
		},
		"DecryptSingle": func() error {
			_, err := s.DecryptSingle(s.ctx(), &wire.DecryptSingleRequest{Mech: cbc, Ciphered: iv(16), Key: k.Key})
			return err
		},
		"DecryptInit": func() error {
			_, err := s.DecryptInit(s.ctx(), &wire.DecryptInitRequest{Mech: cbc, Key: k.Key})
			return err
		},
		"SignSingle": func() error {
			_, err := s.SignSingle(s.ctx(), &wire.SignSingleRequest{Mech: ecdsa, Data: iv(3), PrivKey: p.PrivKey})
			return err
		},
		"SignInit": func() error {
			_, err := s.SignInit(s.ctx(), &wire.SignInitRequest{Mech: ecdsa, PrivKey: p.PrivKey})
			return err
		},
		"VerifySingle": func() error {
			_, err := s.VerifySingle(s.ctx(), &wire.VerifySingleRequest{Mech: ecdsa, Data: iv(3), Signature: iv(64), PubKey: p.PubKey})
			return err
		},
		"VerifyInit": func() error {
			_, err := s.VerifyInit(s.ctx(), &wire.VerifyInitRequest{Mech: ecdsa, PubKey: p.PubKey})
			return err
		},
		"WrapKey": func() error {
			_, err := s.WrapKey(s.ctx(), &wire.WrapKeyRequest{Mech: cbc, Key: k.Key, KeK: k.Key})
			return err
		},
		"UnwrapKey": func() error {
			_, err := s.UnwrapKey(s.ctx(), &wire.UnwrapKeyRequest{Mech: cbc, Wrapped: w.Wrapped, KeK: wrapper.Key, Template: attrs(ep11.CKA_KEY_TYPE, ep11.CKK_AES)})
			return err
		},
		"DeriveKey": func() error {
			_, err := s.DeriveKey(s.ctx(), &wire.DeriveKeyRequest{Mech: mech(ep11.CKM_ECDH1_DERIVE, point...), BaseKey: p.PrivKey,
				Template: attrs(ep11.CKA_KEY_TYPE, ep11.CKK_AES, ep11.CKA_VALUE_LEN, 16)})
			return err
		},
		"ReencryptSingle": func() error {
			_, err := s.ReencryptSingle(s.ctx(), &wire.ReencryptSingleRequest{DecMech: cbc, EncMech: cbc, Ciphered: iv(16), DecKey: k.Key, EncKey: k.Key})
			return err
		},
		"encryption with a public key that is not authenticated": func() error {
			pair := s.rsa(2048, []any{ep11.CKA_DECRYPT, true}, []any{ep11.CKA_ENCRYPT, true})
			_, rest, _ := ep11.ReadSPKI(pair.PubKeyBytes)
			_, err := s.EncryptSingle(s.ctx(), &wire.EncryptSingleRequest{Mech: mech(ep11.CKM_RSA_PKCS), Plain: iv(3), Key: blob(pair.PubKeyBytes[:len(pair.PubKeyBytes)-len(rest)])})
			return err
		},
	} {
		s.wants(ep11.CKR_KEY_FUNCTION_NOT_PERMITTED, what, f())
	}
	_, err = s.WrapKey(s.ctx(), &wire.WrapKeyRequest{Mech: cbc, Key: s.aes().Key, KeK: wrapper.Key})
	s.wants(ep11.CKR_KEY_UNEXTRACTABLE, "a key that stays", err)
	init, err := s.DigestInit(s.ctx(), &wire.DigestInitRequest{Mech: mech(ep11.CKM_SHA256)})
	s.must("init", err)
	_, err = s.DigestKey(s.ctx(), &wire.DigestKeyRequest{State: init.State, Key: s.aes().Key})
	s.wants(ep11.CKR_KEY_INDIGESTIBLE, "the hash of a key that stays", err)
}

// wrongMechanisms: a mechanism that there is not, or not for the function, is CKR_MECHANISM_INVALID; a key of another type CKR_KEY_TYPE_INCONSISTENT.
func wrongMechanisms(s *suite) {
	k := s.aes()
	p := s.ec(ep11.OIDP256)
	for _, m := range []*wire.Mechanism{mech(0x4242), mech(ep11.CKM_IBM_KYBER), mech(ep11.CKM_RSA_X9_31_KEY_PAIR_GEN), mech(ep11.CKM_IBM_ECDH1_DERIVE_RAW), mech(ep11.CKM_SHA256)} {
		for what, f := range map[string]func() error{
			"EncryptSingle": func() error {
				_, err := s.EncryptSingle(s.ctx(), &wire.EncryptSingleRequest{Mech: m, Plain: iv(3), Key: k.Key})
				return err
			},
			"DecryptInit": func() error {
				_, err := s.DecryptInit(s.ctx(), &wire.DecryptInitRequest{Mech: m, Key: k.Key})
				return err
			},
			"SignSingle": func() error {
				_, err := s.SignSingle(s.ctx(), &wire.SignSingleRequest{Mech: m, Data: iv(3), PrivKey: p.PrivKey})
				return err
			},
			"VerifyInit": func() error {
				_, err := s.VerifyInit(s.ctx(), &wire.VerifyInitRequest{Mech: m, PubKey: p.PubKey})
				return err
			},
			"WrapKey": func() error {
				_, err := s.WrapKey(s.ctx(), &wire.WrapKeyRequest{Mech: m, Key: k.Key, KeK: k.Key})
				return err
			},
			"UnwrapKey": func() error {
				_, err := s.UnwrapKey(s.ctx(), &wire.UnwrapKeyRequest{Mech: m, Wrapped: iv(16), KeK: k.Key})
				return err
			},
			"DeriveKey": func() error {
				_, err := s.DeriveKey(s.ctx(), &wire.DeriveKeyRequest{Mech: m, BaseKey: p.PrivKey})
				return err
			},
			"GenerateKey": func() error { _, err := s.GenerateKey(s.ctx(), &wire.GenerateKeyRequest{Mech: m}); return err },
			"GenerateKeyPair": func() error {
				_, err := s.GenerateKeyPair(s.ctx(), &wire.GenerateKeyPairRequest{Mech: m, PubKeyTemplate: attrs(ep11.CKA_IBM_PQC_PARAMS, ep11.OIDKyberR2768)})
				return err
			},
		} {
			s.wants(ep11.CKR_MECHANISM_INVALID, fmt.Sprintf("%s with 0x%x", what, m.GetMechanism()), f())
		}
	}
	_, err := s.DigestSingle(s.ctx(), &wire.DigestSingleRequest{Mech: mech(ep11.CKM_AES_ECB), Data: iv(3)})
	s.wants(ep11.CKR_MECHANISM_INVALID, "a digest with AES", err)
	for _, m := range []int{ep11.CKM_ECDSA, ep11.CKM_IBM_ED25519_SHA512, ep11.CKM_RSA_PKCS} { // work in one part
		key := p
		switch m {
		case ep11.CKM_IBM_ED25519_SHA512:
			key = s.ec(ep11.OIDEd25519)
		case ep11.CKM_RSA_PKCS:
			key = s.rsa(2048, []any{ep11.CKA_SIGN, true}, []any{ep11.CKA_VERIFY, true})
		}
		init, err := s.SignInit(s.ctx(), &wire.SignInitRequest{Mech: mech(m), PrivKey: key.PrivKey})
		s.must("init", err)
		_, err = s.signUpdate(init.State)
		s.wants(ep11.CKR_MECHANISM_INVALID, fmt.Sprintf("0x%x in parts", m), err)
	}
	_, err = s.SignInit(s.ctx(), &wire.SignInitRequest{Mech: other(wire.ECSGParm_CkEcsgIbmEcsdsaS256), PrivKey: p.PrivKey})
	s.wants(ep11.CKR_MECHANISM_INVALID, "Init of a mechanism that has none", err)
	_, err = s.SignSingle(s.ctx(), &wire.SignSingleRequest{Mech: mech(ep11.CKM_SHA256_RSA_PKCS), Data: iv(3), PrivKey: p.PrivKey})
	s.wants(ep11.CKR_KEY_TYPE_INCONSISTENT, "RSA with a key of a curve", err)
	_, err = s.EncryptSingle(s.ctx(), &wire.EncryptSingleRequest{Mech: mech(ep11.CKM_DES3_CBC_PAD, iv(8)...), Plain: iv(3), Key: k.Key})
	s.wants(ep11.CKR_KEY_TYPE_INCONSISTENT, "DES3 with a key of AES", err)
	_, err = s.EncryptSingle(s.ctx(), &wire.EncryptSingleRequest{Plain: iv(3), Key: k.Key})
	s.wants(ep11.CKR_ARGUMENTS_BAD, "no mechanism", err)
	for _, n := range []int{0, 15, 17} {
		_, err = s.EncryptSingle(s.ctx(), &wire.EncryptSingleRequest{Mech: mech(ep11.CKM_AES_CBC_PAD, iv(n)...), Plain: iv(3), Key: k.Key})
		s.wants(ep11.CKR_MECHANISM_PARAM_INVALID, fmt.Sprintf("an IV of %d bytes", n), err)
	}
	_, err = s.EncryptSingle(s.ctx(), &wire.EncryptSingleRequest{Mech: oaep(ep11.CKM_SHA256, wire.RSAOAEPParm_CkgMgf1Sha256, nil), Plain: iv(3), Key: k.Key})
	s.wants(ep11.CKR_KEY_TYPE_INCONSISTENT, "OAEP with a key of AES", err)
}

// wrongTemplates: unknown attributes, values of another form, what contradicts the mechanism, and what is missing.
func wrongTemplates(s *suite) {
	generate := func(m int, kv ...any) error {
		_, err := s.GenerateKey(s.ctx(), &wire.GenerateKeyRequest{Mech: mech(m), Template: attrs(kv...)})
		return err
	}
	pair := func(kv ...any) error {
		_, err := s.GenerateKeyPair(s.ctx(), &wire.GenerateKeyPairRequest{Mech: mech(ep11.CKM_EC_KEY_PAIR_GEN), PubKeyTemplate: attrs(kv...)})
		return err
	}
	length := []any{ep11.CKA_VALUE_LEN, 32}
	for _, tt := range []struct {
		what string
		want ep11.Code
		err  error
	}{
		{"an attribute that nobody knows", ep11.CKR_ATTRIBUTE_TYPE_INVALID, generate(ep11.CKM_AES_KEY_GEN, append(length, 0x4242, true)...)},
		{"a fact", ep11.CKR_ATTRIBUTE_READ_ONLY, generate(ep11.CKM_AES_KEY_GEN, append(length, ep11.CKA_LOCAL, true)...)},
		{"the value", ep11.CKR_ATTRIBUTE_READ_ONLY, generate(ep11.CKM_AES_KEY_GEN, append(length, ep11.CKA_VALUE, iv(32))...)},
		{"trusted", ep11.CKR_ATTRIBUTE_READ_ONLY, generate(ep11.CKM_AES_KEY_GEN, append(length, ep11.CKA_TRUSTED, true)...)},
		{"bytes for a boolean", ep11.CKR_ATTRIBUTE_VALUE_INVALID, generate(ep11.CKM_AES_KEY_GEN, append(length, ep11.CKA_ENCRYPT, iv(2))...)},
		{"another key type", ep11.CKR_TEMPLATE_INCONSISTENT, generate(ep11.CKM_AES_KEY_GEN, append(length, ep11.CKA_KEY_TYPE, ep11.CKK_DES3)...)},
		{"another class", ep11.CKR_TEMPLATE_INCONSISTENT, generate(ep11.CKM_AES_KEY_GEN, append(length, ep11.CKA_CLASS, ep11.CKO_PRIVATE_KEY)...)},
		{"no length", ep11.CKR_TEMPLATE_INCOMPLETE, generate(ep11.CKM_AES_KEY_GEN, ep11.CKA_ENCRYPT, true)},
		{"a length that AES has not", ep11.CKR_KEY_SIZE_RANGE, generate(ep11.CKM_AES_KEY_GEN, ep11.CKA_VALUE_LEN, 17)},
		{"no curve", ep11.CKR_TEMPLATE_INCOMPLETE, pair(ep11.CKA_VERIFY, true)},
		{"a curve that is not offered", ep11.CKR_CURVE_NOT_SUPPORTED, pair(ep11.CKA_EC_PARAMS, ep11.OIDBP256R1)},
		{"uses that give keys away", ep11.CKR_TEMPLATE_INCONSISTENT, generate(ep11.CKM_AES_KEY_GEN, append(length, ep11.CKA_WRAP, true, ep11.CKA_DECRYPT, true)...)},
	} {
		s.wants(tt.want, tt.what, tt.err)
	}
	k := s.aes(ep11.CKA_MODIFIABLE, false, ep11.CKA_IBM_RESTRICTABLE, false)
	_, err := s.SetAttributeValue(s.ctx(), &wire.SetAttributeValueRequest{Object: k.KeyBytes, Attributes: attrs(ep11.CKA_ENCRYPT, false)})
	s.wants(ep11.CKR_ACTION_PROHIBITED, "a key that does not change", err)
	_, err = s.SetAttributeValue(s.ctx(), &wire.SetAttributeValueRequest{Object: s.aes().KeyBytes, Attributes: attrs(ep11.CKA_EXTRACTABLE, true)})
	s.wants(ep11.CKR_ATTRIBUTE_READ_ONLY, "a way out", err)
	_, err = s.GetAttributeValue(s.ctx(), &wire.GetAttributeValueRequest{Object: k.KeyBytes, Attributes: attrs(0x4242, nil)})
	s.wants(ep11.CKR_ATTRIBUTE_TYPE_INVALID, "an attribute that nobody knows", err)
	_, err = s.GetAttributeValue(s.ctx(), &wire.GetAttributeValueRequest{Attributes: attrs(ep11.CKA_CLASS, nil)})
	s.wants(ep11.CKR_OBJECT_HANDLE_INVALID, "no object", err)
	r, err := s.GetAttributeValue(s.ctx(), &wire.GetAttributeValueRequest{Object: k.KeyBytes, Attributes: attrs(ep11.CKA_MODULUS_BITS, nil)})
	s.must("a number that the key does not have", err)
	if r.GetAttributes()[ep11.CKA_MODULUS_BITS].GetAttributeI() != ep11.Unavailable {
		s.t.Errorf("%v", r)
	}
}

// wrongData: data and signatures of a length or a form that can't be.
func wrongData(s *suite) {
	k, p := s.aes(), s.ec(ep11.OIDP256)
	cbc := mech(ep11.CKM_AES_CBC, iv(16)...)
	pad := mech(ep11.CKM_AES_CBC_PAD, iv(16)...)
	_, err := s.EncryptSingle(s.ctx(), &wire.EncryptSingleRequest{Mech: cbc, Plain: iv(15), Key: k.Key})
	s.wants(ep11.CKR_DATA_LEN_RANGE, "no whole block", err)
	_, err = s.DecryptSingle(s.ctx(), &wire.DecryptSingleRequest{Mech: cbc, Ciphered: iv(15), Key: k.Key})
	s.wants(ep11.CKR_ENCRYPTED_DATA_LEN_RANGE, "no whole block", err)
	_, err = s.DecryptSingle(s.ctx(), &wire.DecryptSingleRequest{Mech: pad, Ciphered: encrypt(s, mech(ep11.CKM_AES_ECB), k.Key, iv(16)), Key: k.Key})
	s.wants(ep11.CKR_ENCRYPTED_DATA_INVALID, "a block without padding", err)
	for _, n := range []int{0, 63, 65} {
		_, err = s.VerifySingle(s.ctx(), &wire.VerifySingleRequest{Mech: mech(ep11.CKM_ECDSA), Data: iv(32), Signature: iv(n), PubKey: p.PubKey})
		s.wants(ep11.CKR_SIGNATURE_LEN_RANGE, fmt.Sprintf("a signature of %d bytes", n), err)
	}
	pair := s.rsa(2048, []any{ep11.CKA_DECRYPT, true}, []any{ep11.CKA_ENCRYPT, true})
	_, err = s.EncryptSingle(s.ctx(), &wire.EncryptSingleRequest{Mech: mech(ep11.CKM_RSA_PKCS), Plain: iv(246), Key: pair.PubKey})
	s.wants(ep11.CKR_DATA_LEN_RANGE, "more than fits the modulus", err)
	init, err := s.DigestInit(s.ctx(), &wire.DigestInitRequest{Mech: mech(ep11.CKM_SHA256)})
	s.must("init", err)
	_, err = s.Digest(s.ctx(), &wire.DigestRequest{State: init.State})
	s.wants(ep11.CKR_ARGUMENTS_BAD, "Digest of nothing", err)
	_, err = s.DigestUpdate(s.ctx(), &wire.DigestUpdateRequest{State: init.State})
	s.wants(ep11.CKR_ARGUMENTS_BAD, "DigestUpdate with nothing", err)
	_, err = s.SignSingle(s.ctx(), &wire.SignSingleRequest{Mech: mech(ep11.CKM_RSA_PKCS), PrivKey: pair.PrivKey})
	s.wants(ep11.CKR_KEY_FUNCTION_NOT_PERMITTED, "a key that decrypts and does not sign", err)
	_, err = s.UnwrapKey(s.ctx(), &wire.UnwrapKeyRequest{Mech: mech(ep11.CKM_IBM_TRANSPORTKEY), Wrapped: iv(40), Template: attrs(ep11.CKA_VERIFY, true)})
	s.wants(ep11.CKR_WRAPPED_KEY_INVALID, "a public key that is none", err)
	_, err = s.UnwrapKey(s.ctx(), &wire.UnwrapKeyRequest{Mech: pad, Wrapped: iv(16), Template: attrs(ep11.CKA_KEY_TYPE, ep11.CKK_AES)})
	s.wants(ep11.CKR_UNWRAPPING_KEY_HANDLE_INVALID, "no key to unwrap with", err)
	_, err = s.WrapKey(s.ctx(), &wire.WrapKeyRequest{Mech: pad, Key: s.aes(ep11.CKA_EXTRACTABLE, true).Key})
	s.wants(ep11.CKR_WRAPPING_KEY_HANDLE_INVALID, "no key to wrap with", err)
	kek := s.key(ep11.CKM_AES_KEY_GEN, ep11.CKA_VALUE_LEN, 32, ep11.CKA_WRAP, true, ep11.CKA_UNWRAP, true)
	des3 := mech(ep11.CKM_DES3_CBC_PAD, iv(8)...)
	_, err = s.WrapKey(s.ctx(), &wire.WrapKeyRequest{Mech: des3, Key: s.aes(ep11.CKA_EXTRACTABLE, true).Key, KeK: kek.Key})
	s.wants(ep11.CKR_WRAPPING_KEY_TYPE_INCONSISTENT, "a key of AES that wraps with DES3", err)
	_, err = s.UnwrapKey(s.ctx(), &wire.UnwrapKeyRequest{Mech: des3, Wrapped: iv(16), KeK: kek.Key, Template: attrs(ep11.CKA_KEY_TYPE, ep11.CKK_AES)})
	s.wants(ep11.CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT, "a key of AES that unwraps with DES3", err)
	_, err = s.UnwrapKey(s.ctx(), &wire.UnwrapKeyRequest{Mech: mech(ep11.CKM_AES_KEY_WRAP_PAD), Wrapped: iv(15), KeK: kek.Key, Template: attrs(ep11.CKA_KEY_TYPE, ep11.CKK_AES)})
	s.wants(ep11.CKR_WRAPPED_KEY_LEN_RANGE, "wrapped bytes of a length that can't be", err)
	_, err = s.WrapKey(s.ctx(), &wire.WrapKeyRequest{Mech: pad, Key: p.PubKey, KeK: kek.Key})
	s.wants(ep11.CKR_KEY_NOT_WRAPPABLE, "a public key", err)
	_, err = s.GenerateKeyPair(s.ctx(), &wire.GenerateKeyPairRequest{Mech: mech(ep11.CKM_DH_PKCS_KEY_PAIR_GEN), PrivKeyTemplate: attrs(ep11.CKA_DERIVE, true),
		PubKeyTemplate: attrs(ep11.CKA_IBM_STRUCT_PARAMS, iv(512))})
	s.wants(ep11.CKR_DOMAIN_PARAMS_INVALID, "a group that is none", err)
}

// bytesCodec sends and receives messages as they are.
type bytesCodec struct{}

func (bytesCodec) Marshal(v any) ([]byte, error) { return v.([]byte), nil }

func (bytesCodec) Unmarshal(b []byte, v any) error { *v.(*[]byte) = bytes.Clone(b); return nil }

func (bytesCodec) Name() string { return "proto" }

// wrongMessages: what is no message, one that is too large, and a call that there is not; reflection and health checks are none.
func wrongMessages(s *suite) {
	c := s.apps.dial([]tls.Certificate{s.cert}, grpc.WithUnaryInterceptor(nil), grpc.WithDefaultCallOptions(grpc.ForceCodec(bytesCodec{})))
	call := func(method string, in []byte) error {
		var out []byte
		return c.Invoke(s.ctx(), method, in, &out)
	}
	for _, name := range methodNames(s.apps) {
		for _, in := range [][]byte{{0xff}, {0x0a, 0x7f}, {0x08, 0x80}, bytes.Repeat([]byte{0x0f}, 100)} {
			s.wants(ep11.CKR_IBM_GREP11_CANNOT_UNMARSHAL, fmt.Sprintf("%s with %.4x", name, in), call("/grep11.Crypto/"+name, in))
		}
	}
	s.wants(ep11.CKR_IBM_TRANSPORT_LIMIT, "a message of 5 MiB", call("/grep11.Crypto/DigestSingle", make([]byte, 5<<20)))
	s.wants(ep11.CKR_IBM_TRANSPORT_LIMIT, "a message of 1 MiB without data", call("/grep11.Crypto/Logout", make([]byte, 1<<20)))
	for _, method := range []string{"/grep11.Crypto/Nothing", "/grep11.Other/GenerateKey", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
		"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "/grpc.health.v1.Health/Check"} {
		s.wants(ep11.CKR_FUNCTION_NOT_SUPPORTED, method, call(method, nil))
	}
}

// tooManySessions: a caller has 64 sessions open, and they are closed together.
func tooManySessions(s *suite) {
	login := func(i int) error {
		_, err := s.Login(s.ctx(), &wire.LoginRequest{Pin: fmt.Appendf(nil, "pin number %d", i)})
		return err
	}
	for i := range 64 {
		s.must("login", login(i))
	}
	s.must("the same again", login(0))
	s.wants(ep11.CKR_SESSION_COUNT, "one more", login(64))
	_, err := s.Logout(s.ctx(), &wire.LogoutRequest{})
	s.must("logout", err)
	s.must("login", login(64))
	_, err = s.Logout(s.ctx(), &wire.LogoutRequest{})
	s.must("logout", err)
}

// anotherDomain: keys and states of one domain are nothing in another, even for a caller with the same certificate.
func anotherDomain(s *suite, there *apps) {
	there.core.govern("same", request.AppGrant, there.grantOf("same", s.who))
	foreign := &suite{t: s.t, apps: there, cert: s.cert, who: s.who, CryptoClient: there.connected(s.cert)}
	k, p := s.aes(ep11.CKA_EXTRACTABLE, true), s.ec(ep11.OIDP256)
	m := mech(ep11.CKM_AES_CBC_PAD, iv(16)...)
	init, err := s.EncryptInit(s.ctx(), &wire.EncryptInitRequest{Mech: m, Key: k.Key})
	s.must("init", err)
	r, err := s.SignSingle(s.ctx(), &wire.SignSingleRequest{Mech: mech(ep11.CKM_ECDSA), Data: iv(32), PrivKey: p.PrivKey})
	s.must("sign", err)
	for what, f := range map[string]func() error{
		"EncryptSingle": func() error {
			_, err := foreign.EncryptSingle(s.ctx(), &wire.EncryptSingleRequest{Mech: m, Plain: iv(3), Key: k.Key})
			return err
		},
		"SignInit": func() error {
			_, err := foreign.SignInit(s.ctx(), &wire.SignInitRequest{Mech: mech(ep11.CKM_ECDSA), PrivKey: p.PrivKey})
			return err
		},
		"VerifySingle": func() error {
			_, err := foreign.VerifySingle(s.ctx(), &wire.VerifySingleRequest{Mech: mech(ep11.CKM_ECDSA), Data: iv(32), Signature: r.Signature, PubKey: p.PubKey})
			return err
		},
		"GetAttributeValue": func() error {
			_, err := foreign.GetAttributeValue(s.ctx(), &wire.GetAttributeValueRequest{Object: k.KeyBytes})
			return err
		},
		"SetAttributeValue": func() error {
			_, err := foreign.SetAttributeValue(s.ctx(), &wire.SetAttributeValueRequest{Object: k.KeyBytes})
			return err
		},
		"RewrapKeyBlob": func() error {
			_, err := foreign.RewrapKeyBlob(s.ctx(), &wire.RewrapKeyBlobRequest{WrappedKey: k.Key})
			return err
		},
		"WrapKey": func() error {
			kek := foreign.key(ep11.CKM_AES_KEY_GEN, ep11.CKA_VALUE_LEN, 32, ep11.CKA_WRAP, true)
			_, err := foreign.WrapKey(s.ctx(), &wire.WrapKeyRequest{Mech: m, Key: k.Key, KeK: kek.Key})
			return err
		},
	} {
		s.wants(ep11.CKR_IBM_WKID_MISMATCH, what, f())
	}
	_, err = foreign.Encrypt(s.ctx(), &wire.EncryptRequest{State: init.State, Plain: iv(3)})
	s.wants(ep11.CKR_SAVED_STATE_INVALID, "a state", err)
	// The public half without what the domain added is anybody's.
	_, rest, err := ep11.ReadSPKI(p.PubKeyBytes)
	s.must("read", err)
	_, err = foreign.VerifySingle(s.ctx(), &wire.VerifySingleRequest{Mech: mech(ep11.CKM_ECDSA), Data: iv(32), Signature: r.Signature, PubKey: blob(p.PubKeyBytes[:len(p.PubKeyBytes)-len(rest)])})
	s.must("a bare public key", err)
	there.core.check()
}

// overGrants: a grant that has ended, one for other keys, a revoked key, and more calls than the grant has.
func overGrants(t *testing.T, a *apps) {
	m := mech(ep11.CKM_AES_CBC_PAD, iv(16)...)
	one := func(s *suite, key *wire.KeyBlob) error {
		_, err := s.EncryptSingle(s.ctx(), &wire.EncryptSingleRequest{Mech: m, Plain: iv(3), Key: key})
		return err
	}
	short := a.client("short", func(g *request.AppGrantBody) { g.NotAfter = time.Now().Unix() + 10 }).on(t)
	k := short.aes()
	var err error
	for end := time.Now().Add(patience); err == nil && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		err = one(short, k.Key)
	}
	short.wants(ep11.CKR_IBM_STATIC_POLICY, "a grant whose time is over", err)
	_, err = short.GetMechanismList(short.ctx(), &wire.GetMechanismListRequest{})
	short.wants(ep11.CKR_IBM_STATIC_POLICY, "a list under a grant whose time is over", err)

	s := a.client("keys", nil).on(t)
	k, other := s.aes(), s.aes()
	a.core.govern("revoke-key", request.AppKeyRevoke, request.AppKeyRevokeBody{Keys: []custody.KeyID{s.keyID(k.KeyBytes)}})
	s.wants(ep11.CKR_IBM_STATIC_POLICY, "a revoked key", one(s, k.Key))
	s.must("another key", one(s, other.Key))
	some := a.grantOf("some-keys", s.who)
	some.Keys, some.Import = []custody.KeyID{s.keyID(other.KeyBytes)}, false
	a.core.govern("some-keys", request.AppGrant, some)
	s.must("the key of the grant", one(s, other.Key))
	_, err = s.GenerateKey(s.ctx(), &wire.GenerateKeyRequest{Mech: mech(ep11.CKM_AES_KEY_GEN), Template: attrs(ep11.CKA_VALUE_LEN, 32)})
	s.wants(ep11.CKR_IBM_STATIC_POLICY, "a new key under a grant for some", err)

	busy := a.client("busy", func(g *request.AppGrantBody) { g.Rate, g.Burst = 1, 2 }).on(t)
	for range 5 {
		if _, err = busy.GetMechanismList(busy.ctx(), &wire.GetMechanismListRequest{}); err != nil {
			break
		}
	}
	busy.wants(ep11.CKR_IBM_TRANSPORT_LIMIT, "more calls than the grant has", err)
	noImport := a.client("no-import", func(g *request.AppGrantBody) { g.Import = false }).on(t)
	p := noImport.ec(ep11.OIDP256)
	_, err = noImport.UnwrapKey(noImport.ctx(), &wire.UnwrapKeyRequest{Wrapped: spki(t, p.PubKeyBytes).SPKI(), Mech: mech(ep11.CKM_IBM_TRANSPORTKEY), Template: attrs(ep11.CKA_VERIFY, true)})
	noImport.wants(ep11.CKR_IBM_STATIC_POLICY, "a key from outside", err)
}
