// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"maps"
	"testing"

	wire "strongroom/api/gen/grep11"
	"strongroom/internal/pure/ep11"
)

// Attributes of the interface, by what a key of ours answers that doesn't have them.
var (
	// booleans and byte strings that are known: CKR_ATTRIBUTE_TYPE_INVALID of a key without them.
	lacking = []uint64{ep11.CKA_TOKEN, ep11.CKA_PRIVATE, ep11.CKA_LABEL, ep11.CKA_TRUSTED, ep11.CKA_CHECK_VALUE, ep11.CKA_SUBJECT, ep11.CKA_ID, ep11.CKA_SENSITIVE, ep11.CKA_ENCRYPT, ep11.CKA_DECRYPT,
		ep11.CKA_WRAP, ep11.CKA_UNWRAP, ep11.CKA_SIGN, ep11.CKA_SIGN_RECOVER, ep11.CKA_VERIFY, ep11.CKA_VERIFY_RECOVER, ep11.CKA_DERIVE, ep11.CKA_MODULUS, ep11.CKA_PUBLIC_KEY_INFO,
		ep11.CKA_PRIME, ep11.CKA_SUBPRIME, ep11.CKA_BASE, ep11.CKA_EC_PARAMS, ep11.CKA_EC_POINT, ep11.CKA_EXTRACTABLE, ep11.CKA_LOCAL, ep11.CKA_NEVER_EXTRACTABLE, ep11.CKA_ALWAYS_SENSITIVE,
		ep11.CKA_MODIFIABLE, ep11.CKA_COPYABLE, ep11.CKA_DESTROYABLE, ep11.CKA_WRAP_WITH_TRUSTED, ep11.CKA_IBM_RESTRICTABLE, ep11.CKA_IBM_NEVER_MODIFIABLE, ep11.CKA_IBM_ATTRBOUND,
		ep11.CKA_IBM_USE_AS_DATA, ep11.CKA_IBM_STRUCT_PARAMS, ep11.CKA_IBM_PROTKEY_EXTRACTABLE, ep11.CKA_IBM_PROTKEY_NEVER_EXTRACTABLE, ep11.CKA_IBM_PQC_PARAMS, ep11.CKA_IBM_LOGIN_SESSION,
		ep11.CKA_IBM_CV, ep11.CKA_IBM_GREP11_WKID}
	// integers: all-ones of a key without them.
	counting = []uint64{ep11.CKA_CLASS, ep11.CKA_KEY_TYPE, ep11.CKA_MODULUS_BITS, ep11.CKA_PUBLIC_EXPONENT, ep11.CKA_PRIME_BITS, ep11.CKA_SUBPRIME_BITS, ep11.CKA_VALUE_BITS, ep11.CKA_VALUE_LEN,
		ep11.CKA_KEY_GEN_MECHANISM, ep11.CKA_IBM_RETAINKEY, ep11.CKA_IBM_KEYTYPE, ep11.CKA_IBM_STD_COMPLIANCE1, ep11.CKA_IBM_PARAMETER_SET}
	// parts of the secret: CKR_ATTRIBUTE_SENSITIVE of every key.
	secretParts = []uint64{ep11.CKA_VALUE, ep11.CKA_PRIVATE_EXPONENT, ep11.CKA_PRIME_1, ep11.CKA_PRIME_2, ep11.CKA_EXPONENT_1, ep11.CKA_EXPONENT_2, ep11.CKA_COEFFICIENT}
	// numbers of the interface without a meaning here: CKR_ATTRIBUTE_TYPE_INVALID of every key.
	meaningless = []uint64{ep11.CKA_START_DATE, ep11.CKA_END_DATE, ep11.CKA_ALWAYS_AUTHENTICATE, ep11.CKA_WRAP_TEMPLATE, ep11.CKA_UNWRAP_TEMPLATE, ep11.CKA_DERIVE_TEMPLATE,
		ep11.CKA_ALLOWED_MECHANISMS, ep11.CKA_IBM_MACKEY, ep11.CKA_IBM_WIRETEST, ep11.CKA_IBM_MACED_PUBLIC_KEY_INFO, ep11.CKA_IBM_GREP11_TOKEN_LABEL, ep11.CKA_IBM_GREP11_KEYSTORE_PASSWORD,
		ep11.CKA_IBM_GREP11_KEYBLOB_HAS_ROTATION, ep11.CKA_IBM_GREP11_NEXTWKID}
)

// TestEveryAttribute asks keys of each class for each attribute of the interface, in both forms, and wants the value that the key has, or the answer for one
// that it doesn't have; and makes keys from each form that a value may have.
func TestEveryAttribute(t *testing.T) {
	t.Parallel()
	a := startApps(t)
	s := a.client("attributes", nil)
	facts := map[uint64]any{ep11.CKA_TOKEN: true, ep11.CKA_TRUSTED: false, ep11.CKA_LOCAL: true, ep11.CKA_MODIFIABLE: true, ep11.CKA_COPYABLE: true, ep11.CKA_DESTROYABLE: true,
		ep11.CKA_IBM_RESTRICTABLE: true, ep11.CKA_IBM_NEVER_MODIFIABLE: false, ep11.CKA_IBM_ATTRBOUND: false, ep11.CKA_IBM_USE_AS_DATA: false, ep11.CKA_IBM_GREP11_WKID: anything{}}
	secret := map[uint64]any{ep11.CKA_PRIVATE: true, ep11.CKA_SENSITIVE: true, ep11.CKA_EXTRACTABLE: true, ep11.CKA_NEVER_EXTRACTABLE: false, ep11.CKA_ALWAYS_SENSITIVE: true,
		ep11.CKA_WRAP_WITH_TRUSTED: false, ep11.CKA_IBM_PROTKEY_EXTRACTABLE: false, ep11.CKA_IBM_PROTKEY_NEVER_EXTRACTABLE: true}
	k := s.aes(ep11.CKA_LABEL, "label", ep11.CKA_ID, []byte{1, 2}, ep11.CKA_EXTRACTABLE, true)
	s.has("a key of AES", k.GetKeyBytes(), facts, secret, map[uint64]any{ep11.CKA_CLASS: ep11.CKO_SECRET_KEY, ep11.CKA_KEY_TYPE: ep11.CKK_AES, ep11.CKA_VALUE_LEN: 32, ep11.CKA_VALUE_BITS: 256,
		ep11.CKA_KEY_GEN_MECHANISM: ep11.CKM_AES_KEY_GEN, ep11.CKA_LABEL: []byte("label"), ep11.CKA_ID: []byte{1, 2}, ep11.CKA_CHECK_VALUE: k.GetCheckSum()[:3], ep11.CKA_ENCRYPT: true,
		ep11.CKA_DECRYPT: true, ep11.CKA_WRAP: false, ep11.CKA_UNWRAP: false, ep11.CKA_SIGN: false, ep11.CKA_VERIFY: false, ep11.CKA_DERIVE: false})
	p := s.pair(ep11.CKM_EC_KEY_PAIR_GEN, attrs(ep11.CKA_SIGN, true, ep11.CKA_EXTRACTABLE, true), attrs(ep11.CKA_EC_PARAMS, "P-256", ep11.CKA_VERIFY, true)) // a curve by its name
	pub := spki(t, p.GetPubKeyBytes())
	curve := map[uint64]any{ep11.CKA_KEY_TYPE: ep11.CKK_EC, ep11.CKA_KEY_GEN_MECHANISM: ep11.CKM_EC_KEY_PAIR_GEN, ep11.CKA_EC_PARAMS: []byte(ep11.OIDP256), ep11.CKA_EC_POINT: pub.Key,
		ep11.CKA_PUBLIC_KEY_INFO: pub.SPKI()}
	s.has("a private key of P-256", p.GetPrivKeyBytes(), facts, secret, curve, map[uint64]any{ep11.CKA_CLASS: ep11.CKO_PRIVATE_KEY, ep11.CKA_SIGN: true, ep11.CKA_SIGN_RECOVER: false,
		ep11.CKA_DECRYPT: false, ep11.CKA_UNWRAP: false, ep11.CKA_DERIVE: false})
	public := map[uint64]any{ep11.CKA_CLASS: ep11.CKO_PUBLIC_KEY, ep11.CKA_PRIVATE: false, ep11.CKA_VERIFY: true, ep11.CKA_VERIFY_RECOVER: false, ep11.CKA_ENCRYPT: false, ep11.CKA_WRAP: false, ep11.CKA_DERIVE: false}
	s.has("a public key of P-256", p.GetPubKeyBytes(), facts, curve, public)
	r := s.rsa(2048, []any{ep11.CKA_SIGN, true}, []any{ep11.CKA_VERIFY, true})
	s.has("a public key of RSA", r.GetPubKeyBytes(), facts, public, map[uint64]any{ep11.CKA_KEY_TYPE: ep11.CKK_RSA, ep11.CKA_KEY_GEN_MECHANISM: ep11.CKM_RSA_PKCS_KEY_PAIR_GEN,
		ep11.CKA_MODULUS_BITS: 2048, ep11.CKA_PUBLIC_EXPONENT: 65537, ep11.CKA_MODULUS: rsaKey(t, r.GetPubKeyBytes()).N.Bytes(), ep11.CKA_PUBLIC_KEY_INFO: spki(t, r.GetPubKeyBytes()).SPKI()})
	for _, n := range append(append([]uint64{}, meaningless...), 0x4242) {
		_, err := s.GenerateKey(s.ctx(), &wire.GenerateKeyRequest{Mech: mech(ep11.CKM_AES_KEY_GEN), Template: attrs(ep11.CKA_VALUE_LEN, 32, int(n), true)})
		s.wants(ep11.CKR_ATTRIBUTE_TYPE_INVALID, "a template with an attribute without a meaning", err)
	}
	// Integers as big-endian bytes, and booleans as one.
	old := s.key(ep11.CKM_AES_KEY_GEN, ep11.CKA_VALUE_LEN, []byte{0, 0, 0, 16}, ep11.CKA_ENCRYPT, []byte{1}, ep11.CKA_KEY_TYPE, []byte{0x1f})
	if got := encrypt(s, mech(ep11.CKM_AES_ECB), old.GetKey(), make([]byte, 16)); !bytes.Equal(got[:3], old.GetCheckSum()[:3]) || old.GetCheckSum()[6] != 128 {
		t.Errorf("check value %x", old.GetCheckSum())
	}
	_, err := s.GenerateKeyPair(s.ctx(), &wire.GenerateKeyPairRequest{Mech: mech(ep11.CKM_EC_KEY_PAIR_GEN), PrivKeyTemplate: attrs(ep11.CKA_IBM_ATTRBOUND, true),
		PubKeyTemplate: attrs(ep11.CKA_EC_PARAMS, ep11.OIDP256)})
	s.wants(ep11.CKR_TEMPLATE_INCONSISTENT, "halves that are bound and not bound", err)
	a.core.check()
}

// anything is a value that the test doesn't know.
type anything struct{}

// has asks a key for each attribute by itself.
func (s *suite) has(what string, key []byte, wants ...map[uint64]any) {
	s.t.Helper()
	want := map[uint64]any{}
	for _, w := range wants {
		maps.Copy(want, w)
	}
	ask := func(n uint64) (*wire.GetAttributeValueResponse, error) {
		return s.GetAttributeValue(s.ctx(), &wire.GetAttributeValueRequest{Object: key, Attributes: attrs(int(n), nil), AttributesBytes: map[uint64][]byte{n: nil}})
	}
	for n, v := range want {
		r, err := ask(n)
		if err != nil {
			s.t.Errorf("%s, 0x%x: %v", what, n, err)
			continue
		}
		got, raw := r.GetAttributes()[n], r.GetAttributesBytes()[n]
		switch x := v.(type) {
		case bool:
			if _, ok := got.GetOneAttr().(*wire.AttributeValue_AttributeTF); !ok || got.GetAttributeTF() != x || len(raw) != 1 || raw[0] == 1 != x {
				s.t.Errorf("%s, 0x%x: %v and %x, want %v", what, n, got, raw, x)
			}
		case int:
			if _, ok := got.GetOneAttr().(*wire.AttributeValue_AttributeI); !ok || got.GetAttributeI() != int64(x) || len(raw) != 8 {
				s.t.Errorf("%s, 0x%x: %v and %x, want %d", what, n, got, raw, x)
			}
		case []byte:
			if !bytes.Equal(got.GetAttributeB(), x) || !bytes.Equal(raw, x) {
				s.t.Errorf("%s, 0x%x: %v and %x, want %x", what, n, got, raw, x)
			}
		}
	}
	for _, n := range lacking {
		if _, ok := want[n]; !ok {
			_, err := ask(n)
			s.wants(ep11.CKR_ATTRIBUTE_TYPE_INVALID, what, err)
		}
	}
	for _, n := range counting {
		if _, ok := want[n]; !ok {
			r, err := ask(n)
			if err != nil || r.GetAttributes()[n].GetAttributeI() != ep11.Unavailable {
				s.t.Errorf("%s, 0x%x: %v, %v", what, n, r, err)
			}
		}
	}
	for _, n := range secretParts {
		_, err := ask(n)
		s.wants(ep11.CKR_ATTRIBUTE_SENSITIVE, what, err)
	}
	for _, n := range meaningless {
		_, err := ask(n)
		s.wants(ep11.CKR_ATTRIBUTE_TYPE_INVALID, what, err)
	}
}
