// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	wire "strongroom/api/gen/grep11"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/pure/request"
)

// TestAlteredBlobsAndStates: every kind of damage is one refusal; states of others, of another function, and out of order are refused; nothing tells more.
func TestAlteredBlobsAndStates(t *testing.T) {
	t.Parallel()
	a := startApps(t)
	s, b := a.client("one", nil), a.client("two", nil)
	k := s.ec(ep11.OIDP256)
	m := mech(ep11.CKM_ECDSA_SHA256)
	s.alteredBlobs(m, k.GetPrivKeyBytes())
	s.alteredPublicKey(m, k)
	s.alteredStates(b, m, k)
	s.statesAgain(m, k)
	a.core.check()
}

// pattern gives where the number of its working key stands in a blob.
func (s *suite) pattern(blob []byte) (from, to int) {
	s.t.Helper()
	r, err := s.GetAttributeValue(s.ctx(), &wire.GetAttributeValueRequest{Object: blob, Attributes: attrs(ep11.CKA_IBM_GREP11_WKID, nil)})
	s.must("attributes", err)
	p := r.GetAttributes()[ep11.CKA_IBM_GREP11_WKID].GetAttributeB()
	if from = bytes.Index(blob, p); len(p) != 16 || from < 0 {
		s.t.Fatalf("the blob does not name its working key %x", p)
	}
	return from, from + len(p)
}

// keyID gives the id of a key, which stands in its blob behind the number of the working key.
func (s *suite) keyID(blob []byte) custody.KeyID {
	s.t.Helper()
	_, at := s.pattern(blob)
	if len(blob) < at+18 || blob[at] != 5 || blob[at+1] != 0x40+16 {
		s.t.Fatal("the blob does not name its key")
	}
	return custody.KeyID(hex.EncodeToString(blob[at+2 : at+18]))
}

// alteredBlobs: any bit that changes is CKR_IBM_BLOB_ERROR, but for the number of the working key, with which a blob is another domain's.
func (s *suite) alteredBlobs(m *wire.Mechanism, good []byte) {
	s.t.Helper()
	sign := func(key []byte) error {
		_, err := s.SignSingle(s.ctx(), &wire.SignSingleRequest{Mech: m, Data: iv(3), PrivKey: blob(key)})
		return err
	}
	from, to := s.pattern(good)
	for at := range good {
		if at%3 != 0 && (at < from || at >= to) {
			continue
		}
		bad, want := bytes.Clone(good), ep11.CKR_IBM_BLOB_ERROR
		bad[at] ^= 0x40
		if at >= from && at < to {
			want = ep11.CKR_IBM_WKID_MISMATCH
		}
		s.wants(want, fmt.Sprintf("byte %d of a blob", at), sign(bad))
	}
	for what, bad := range map[string][]byte{"one byte": good[:1], "forty": good[:40], "cut": good[:len(good)-1], "longer": append(bytes.Clone(good), 0), "twice": append(bytes.Clone(good), good...),
		"without its session": good[32:], "halves exchanged": append(bytes.Clone(good[len(good)/2:]), good[:len(good)/2]...), "too long": bytes.Repeat([]byte{1}, ep11.MaxBlob+1), "zeros": make([]byte, len(good))} {
		s.wants(ep11.CKR_IBM_BLOB_ERROR, what, sign(bad))
	}
	s.wants(ep11.CKR_KEY_HANDLE_INVALID, "no key", sign(nil))
}

// alteredPublicKey: a public key that the domain has authenticated is another one, or none, when a bit changes.
func (s *suite) alteredPublicKey(m *wire.Mechanism, k *wire.GenerateKeyPairResponse) {
	s.t.Helper()
	r, err := s.SignSingle(s.ctx(), &wire.SignSingleRequest{Mech: m, Data: iv(3), PrivKey: k.GetPrivKey()})
	s.must("sign", err)
	good := k.GetPubKeyBytes()
	_, rest, err := ep11.ReadSPKI(good)
	s.must("read", err)
	verify := func(key []byte) error {
		_, err := s.VerifySingle(s.ctx(), &wire.VerifySingleRequest{Mech: m, Data: iv(3), Signature: r.GetSignature(), PubKey: blob(key)})
		return err
	}
	from, to := len(good)-len(rest)+2, len(good)-len(rest)+2+16 // the pattern, after its tag and length
	for at := len(good) - len(rest); at < len(good); at += 5 {
		bad, want := bytes.Clone(good), ep11.CKR_IBM_BLOB_ERROR
		bad[at] ^= 1
		if at >= from && at < to {
			want = ep11.CKR_IBM_WKID_MISMATCH
		}
		s.wants(want, fmt.Sprintf("byte %d of a public key, of which %d are its own", at, len(good)-len(rest)), verify(bad))
	}
	for _, n := range []int{1, 5, 100} {
		s.wants(ep11.CKR_IBM_BLOB_ERROR, fmt.Sprintf("a public key that lacks %d bytes", n), verify(good[:len(good)-n]))
	}
}

// alteredStates: whatever is wrong with a state is CKR_SAVED_STATE_INVALID; a good one of another operation, and none, are CKR_OPERATION_NOT_INITIALIZED.
func (s *suite) alteredStates(b *suite, m *wire.Mechanism, k *wire.GenerateKeyPairResponse) {
	s.t.Helper()
	init, err := s.SignInit(s.ctx(), &wire.SignInitRequest{Mech: m, PrivKey: k.GetPrivKey()})
	s.must("init", err)
	state := init.GetState()
	for at := range state {
		if at%3 != 0 {
			continue
		}
		bad := bytes.Clone(state)
		bad[at] ^= 0x40
		_, err := s.signUpdate(bad)
		s.wants(ep11.CKR_SAVED_STATE_INVALID, fmt.Sprintf("byte %d of a state", at), err)
	}
	for what, bad := range map[string][]byte{"cut": state[:len(state)-1], "cut in front": state[1:], "half": state[:len(state)/2], "twice": append(bytes.Clone(state), state...), "one byte": {1}, "longer": append(bytes.Clone(state), 0),
		"halves exchanged": append(bytes.Clone(state[len(state)/2:]), state[:len(state)/2]...), "a key": k.GetPrivKeyBytes(), "a key without its session": k.GetPrivKeyBytes()[32:]} {
		_, err := s.signUpdate(bad)
		s.wants(ep11.CKR_SAVED_STATE_INVALID, what, err)
	}
	_, err = s.signUpdate(nil)
	s.wants(ep11.CKR_OPERATION_NOT_INITIALIZED, "no state", err)
	_, err = b.signUpdate(state)
	b.wants(ep11.CKR_SAVED_STATE_INVALID, "another caller's state", err)
	for what, f := range map[string]func() error{
		"DigestUpdate": func() error {
			_, err := s.DigestUpdate(s.ctx(), &wire.DigestUpdateRequest{State: state, Data: iv(3)})
			return err
		},
		"DigestFinal": func() error { _, err := s.DigestFinal(s.ctx(), &wire.DigestFinalRequest{State: state}); return err },
		"VerifyFinal": func() error {
			_, err := s.VerifyFinal(s.ctx(), &wire.VerifyFinalRequest{State: state, Signature: iv(64)})
			return err
		},
		"EncryptUpdate": func() error {
			_, err := s.EncryptUpdate(s.ctx(), &wire.EncryptUpdateRequest{State: state, Plain: iv(3)})
			return err
		},
		"DecryptFinal": func() error { _, err := s.DecryptFinal(s.ctx(), &wire.DecryptFinalRequest{State: state}); return err },
	} {
		s.wants(ep11.CKR_OPERATION_NOT_INITIALIZED, what+" with a state of SignInit", f())
	}
}

// signUpdate signs three bytes more.
func (s *suite) signUpdate(state []byte) ([]byte, error) {
	r, err := s.SignUpdate(s.ctx(), &wire.SignUpdateRequest{State: state, Data: iv(3)})
	return r.GetState(), err
}

// statesAgain: a state may be used again inside its time, in another order too, and the ways from it stay apart; an operation that has begun in parts is not
// ended in one.
func (s *suite) statesAgain(m *wire.Mechanism, k *wire.GenerateKeyPairResponse) {
	s.t.Helper()
	init, err := s.SignInit(s.ctx(), &wire.SignInitRequest{Mech: m, PrivKey: k.GetPrivKey()})
	s.must("init", err)
	one, err := s.signUpdate(init.GetState())
	s.must("update", err)
	two, err := s.signUpdate(one)
	s.must("update", err)
	for _, x := range []struct {
		state []byte
		data  []byte
	}{{two, iv(6)}, {one, iv(3)}, {two, iv(6)}, {init.GetState(), nil}, {one, iv(3)}} {
		r, err := s.SignFinal(s.ctx(), &wire.SignFinalRequest{State: x.state})
		s.must("final", err)
		_, err = s.VerifySingle(s.ctx(), &wire.VerifySingleRequest{Mech: m, Data: x.data, Signature: r.GetSignature(), PubKey: k.GetPubKey()})
		s.must("verify", err)
	}
	_, err = s.Sign(s.ctx(), &wire.SignRequest{State: one, Data: iv(3)})
	s.wants(ep11.CKR_OPERATION_ACTIVE, "one part after another", err)
}

// TestReturnCodes: what a caller does wrong, and what people have decided of it, has the code that EP11 gives for it.
func TestReturnCodes(t *testing.T) {
	t.Parallel()
	a := startApps(t)
	s := a.client("codes", nil)
	t.Run("attributes", func(t *testing.T) { wrongAttributes(s.on(t)) })
	t.Run("mechanisms", func(t *testing.T) { wrongMechanisms(s.on(t)) })
	t.Run("templates", func(t *testing.T) { wrongTemplates(s.on(t)) })
	t.Run("data", func(t *testing.T) { wrongData(s.on(t)) })
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
	short := a.client("short", func(g *request.AppGrantBody) { g.NotAfter = time.Now().Unix() + 4 }).on(t)
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
