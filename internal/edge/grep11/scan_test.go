// SPDX-License-Identifier: Apache-2.0

package grep11_test

import (
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	wire "strongroom/api/gen/grep11"
	"strongroom/internal/pure/ep11"
)

// repeat is a message with one field n times: empty parts, or entries of a map.
func repeat(n int, field protowire.Number, part func(i int) []byte) (b []byte) {
	for i := range n {
		b = protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), part(i))
	}
	return b
}

func empty(int) []byte { return nil }

func mapEntry(i int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(i))
}

// TestManyParts: messages whose parts take far more memory than their bytes are refused before they are read.
func TestManyParts(t *testing.T) {
	t.Parallel()
	g := start(t)
	c := g.dial(t, clientCertificate(t, g))
	same := func(b []byte) func(int) []byte { return func(int) []byte { return b } }
	for name, x := range map[string]struct {
		method string
		in     []byte
		want   ep11.Code
	}{
		"attributes":                     {"GenerateKey", repeat(ep11.MaxTemplate+1, 6, mapEntry), ep11.CKR_TEMPLATE_INCONSISTENT},
		"one attribute again and again":  {"GenerateKey", repeat(ep11.MaxTemplate+1, 6, empty), ep11.CKR_TEMPLATE_INCONSISTENT},
		"attributes in the older form":   {"GetAttributeValue", repeat(ep11.MaxTemplate+1, 2, mapEntry), ep11.CKR_TEMPLATE_INCONSISTENT},
		"attributes of a key":            {"WrapKey", repeat(1, 6, same(repeat(ep11.MaxTemplate+1, 4, mapEntry))), ep11.CKR_TEMPLATE_INCONSISTENT},
		"attributes of a key in parts":   {"WrapKey", repeat(2000, 6, same(repeat(2, 4, mapEntry))), ep11.CKR_ARGUMENTS_BAD},
		"blobs of a key":                 {"SignSingle", repeat(1, 5, same(repeat(3, 5, empty))), ep11.CKR_ARGUMENTS_BAD},
		"keys":                           {"SignSingle", repeat(5000, 5, empty), ep11.CKR_ARGUMENTS_BAD},
		"mechanisms with parameters":     {"DigestInit", repeat(5000, 2, same([]byte{0x3a, 0})), ep11.CKR_ARGUMENTS_BAD},
		"fields that nobody knows":       {"DigestInit", repeat(5000, 99, empty), ep11.CKR_ARGUMENTS_BAD},
		"a part that ends early":         {"SignSingle", repeat(1, 5, same([]byte{0x2a, 9})), ep11.CKR_IBM_GREP11_CANNOT_UNMARSHAL},
		"a million attributes in a part": {"SignSingle", repeat(1, 2, same(repeat(1_000_000, 3, empty))), ep11.CKR_ARGUMENTS_BAD},
	} {
		_, err := method{name: x.method}.raw(t.Context(), c, x.in)
		t.Run(name, func(t *testing.T) { refused(t, err, x.want) })
	}
	if g.core.calls != 0 {
		t.Errorf("%d calls reached the core", g.core.calls)
	}
	for name, in := range map[string][]byte{"GenerateKey": repeat(ep11.MaxTemplate, 6, mapEntry), "GenerateKeyPair": append(repeat(ep11.MaxTemplate, 7, mapEntry), repeat(ep11.MaxTemplate, 8, mapEntry)...),
		"WrapKey": append(repeat(1, 6, same(repeat(ep11.MaxTemplate, 4, mapEntry))), repeat(1, 7, same(repeat(ep11.MaxTemplate, 4, mapEntry)))...)} {
		if _, err := (method{name: name}).raw(t.Context(), c, in); err != nil {
			t.Errorf("%s with as much as there may be: %v", name, err)
		}
	}
}

// TestSizesOfFunctions: a function without data takes no message of megabytes, and each takes what a call may hold.
func TestSizesOfFunctions(t *testing.T) {
	t.Parallel()
	g := start(t)
	c := g.dial(t, clientCertificate(t, g))
	junk := func(n int) []byte { return repeat(1, 99, func(int) []byte { return make([]byte, n) }) }
	for method, n := range map[string]int{"Logout": 65 << 10, "GetMechanismList": 65 << 10, "EncryptFinal": 97 << 10, "RewrapKeyBlob": 2 << 20, "GenerateKey": 2 << 20} {
		for _, m := range methods(t) {
			if m.name == method {
				_, err := m.raw(t.Context(), c, junk(n))
				refused(t, err, ep11.CKR_IBM_TRANSPORT_LIMIT)
			}
		}
	}
	cc := wire.NewCryptoClient(c)
	most := map[uint64]*wire.AttributeValue{}
	for i := range uint64(ep11.MaxTemplate) {
		most[i] = &wire.AttributeValue{OneAttr: &wire.AttributeValue_AttributeB{AttributeB: make([]byte, ep11.MaxAttribute)}}
	}
	if _, err := cc.GenerateKeyPair(t.Context(), &wire.GenerateKeyPairRequest{Mech: &wire.Mechanism{}, PrivKeyTemplate: most, PubKeyTemplate: most}); err != nil {
		t.Errorf("templates: %v", err)
	}
	key := make([]byte, ep11.MaxKeys)
	blob := &wire.KeyBlob{KeyBlobs: [][]byte{key}}
	if _, err := cc.WrapKey(t.Context(), &wire.WrapKeyRequest{Mech: &wire.Mechanism{}, Key: blob, KeyBytes: key, KeK: blob, KeKBytes: key, MacKey: blob, MacKeyBytes: key}); err != nil {
		t.Errorf("keys: %v", err)
	}
	if _, err := cc.VerifyFinal(t.Context(), &wire.VerifyFinalRequest{State: make([]byte, ep11.MaxState), Signature: make([]byte, ep11.MaxData)}); err != nil {
		t.Errorf("a signature: %v", err)
	}
	if _, err := cc.SetAttributeValue(t.Context(), &wire.SetAttributeValueRequest{Object: key, Attributes: most}); err != nil {
		t.Errorf("an object: %v", err)
	}
}
