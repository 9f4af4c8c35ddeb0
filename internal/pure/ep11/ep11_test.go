// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/pure/points"
)

func TestTable(t *testing.T) {
	t.Parallel()
	seen := map[uint64]bool{}
	for _, r := range Rows() {
		if seen[r.Mechanism] || !strings.HasPrefix(r.Name, "CKM_") || r.Flags == 0 || r.Min > r.Max {
			t.Errorf("row %+v", r)
		}
		seen[r.Mechanism] = true
		if n, ok := MechanismNamed(r.Name); !ok || n != r.Mechanism || MechanismName(n) != r.Name {
			t.Errorf("%s is named %x", r.Name, n)
		}
		if r.Digest != 0 {
			if d, ok := Find(r.Digest); !ok || d.Flags != CKF_DIGEST || r.Parts != Many {
				t.Errorf("%s hashes with %x", r.Name, r.Digest)
			}
		}
	}
	if Rows()[0].Mechanism != CKM_RSA_PKCS {
		t.Error("clients read the first entry: it must be CKM_RSA_PKCS")
	}
	// What the service's documentation lists as working in one part only.
	for _, m := range []uint64{CKM_RSA_PKCS, CKM_RSA_PKCS_OAEP, CKM_RSA_PKCS_PSS, CKM_RSA_X9_31, CKM_DSA, CKM_ECDSA, CKM_IBM_ED25519_SHA512, CKM_IBM_DILITHIUM} {
		if r, _ := Find(m); r.Parts != OnePart {
			t.Errorf("%s works in %d parts", r.Name, r.Parts)
		}
	}
	if r, _ := Find(CKM_IBM_ECDSA_OTHER); r.Parts != SingleOnly {
		t.Error("CKM_IBM_ECDSA_OTHER has Init")
	}
	if MechanismName(0x4242) != "CKM_0x00004242" || Code(0x4242).Error() != "CKR_0x00004242" || CKR_IBM_WKID_MISMATCH.Error() != "CKR_IBM_WKID_MISMATCH" {
		t.Error("names")
	}
	for f := Function(1); f <= Functions; f++ {
		if g, ok := FunctionNamed(f.String()); !ok || g != f {
			t.Errorf("function %d is named %s", f, f)
		}
	}
	if _, ok := FunctionNamed(""); ok || Function(0).Known() || Function(41).Known() {
		t.Error("a function without a name")
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want Failure
	}{
		{Fail(CKR_DATA_INVALID, "words %d", 1), Failure{Code: CKR_DATA_INVALID, Detail: "words 1"}},
		{fmt.Errorf("around: %w", CKR_KEY_HANDLE_INVALID), Failure{Code: CKR_KEY_HANDLE_INVALID}},
		{errors.New("a secret"), Failure{Code: CKR_GENERAL_ERROR, Retry: true}},
		{CKR_OK, Failure{Code: CKR_GENERAL_ERROR, Retry: true}},
		{(*Failure)(nil), Failure{Code: CKR_GENERAL_ERROR, Retry: true}},
	} {
		if got := FailureOf(tt.err); *got != tt.want {
			t.Errorf("got %+v, want %+v", got, tt.want)
		}
	}
	if FailureOf(nil) != nil || !errors.Is(Fail(CKR_DATA_INVALID, ""), CKR_DATA_INVALID) || len(Fail(CKR_DATA_INVALID, "%0500d", 1).Detail) != maxDetail {
		t.Error("failures")
	}
}

func TestPoints(t *testing.T) {
	t.Parallel()
	for _, r := range ruled {
		for _, m := range r.mechanisms {
			if _, ok := Find(m); !ok {
				t.Errorf("mechanism %x has a point and no row", m)
			}
			p, ok := PointFor(m, r.ckk, []byte(r.params))
			if want, known := points.Of(r.is); !ok || !known || p != want && r.ckk != anyType {
				t.Errorf("%s: point %s, want %s", MechanismName(m), p, want)
			}
		}
	}
	if _, ok := PointFor(CKM_ECDSA, CKK_EC, []byte(OIDP224)); ok {
		t.Error("P-224 has a point")
	}
}

// drawTemplate draws attributes of a new key.
func drawTemplate(t *rapid.T, class uint64, label string) Template {
	out := Template{}
	list := append(slices.Clone(usagesOf[class]), CKA_SENSITIVE, CKA_EXTRACTABLE, CKA_MODIFIABLE, CKA_IBM_RESTRICTABLE, CKA_IBM_NEVER_MODIFIABLE, CKA_IBM_ATTRBOUND, CKA_IBM_USE_AS_DATA, CKA_WRAP_WITH_TRUSTED)
	for _, n := range list {
		if rapid.Bool().Draw(t, label) {
			out[n] = Bool(rapid.Bool().Draw(t, label))
		}
	}
	return out
}

// TestAttributesOnlyLose: whatever is changed, and how often, outside the compatibility profile no use comes back, and in it neither does what
// the standard lets go in one direction only.
func TestAttributesOnlyLose(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		class := rapid.SampledFrom([]uint64{CKO_SECRET_KEY, CKO_PRIVATE_KEY, CKO_PUBLIC_KEY}).Draw(t, "class")
		compat := rapid.Bool().Draw(t, "compat")
		birth := Birth{Origin: Generated, Class: class, Type: CKK_AES, Template: drawTemplate(t, class, "birth"), Compat: compat}
		was, err := birth.New()
		if err != nil {
			return
		}
		if !compat {
			if err := was.Apart(); err != nil {
				t.Fatal(err)
			}
		}
		first := maps.Clone(was)
		for range rapid.IntRange(1, 4).Draw(t, "changes") {
			now, err := was.Change(drawTemplate(t, class, "change"), compat)
			if err != nil {
				continue
			}
			for n, v := range was {
				up := v.Bool != nil && !*v.Bool && now.Has(n)
				if direction, ok := narrowed[n]; ok && v.Bool != nil && *v.Bool == direction && now.Has(n) != direction {
					t.Fatalf("%x changed back", n)
				}
				if up && !compat && slices.Contains(usages, n) {
					t.Fatalf("use %x was added", n)
				}
				if (n == CKA_LOCAL || n == CKA_NEVER_EXTRACTABLE || n == CKA_ALWAYS_SENSITIVE || n == CKA_IBM_ATTRBOUND) && now.Has(n) != *v.Bool {
					t.Fatalf("fact %x changed", n)
				}
			}
			was = now
		}
		if first.Has(CKA_NEVER_EXTRACTABLE) && was.Has(CKA_EXTRACTABLE) {
			t.Fatal("a key that was never to be extractable is")
		}
	})
}

func TestBirth(t *testing.T) {
	t.Parallel()
	base := Template{CKA_ALWAYS_SENSITIVE: Bool(true), CKA_NEVER_EXTRACTABLE: Bool(true), CKA_EXTRACTABLE: Bool(false)}
	open, bound := Template{CKA_EXTRACTABLE: Bool(true)}, Template{CKA_EXTRACTABLE: Bool(false), CKA_IBM_ATTRBOUND: Bool(true)}
	leaving := Template{CKA_EXTRACTABLE: Bool(true)}
	for _, tt := range []struct {
		name string
		b    Birth
		want Code
		has  map[uint64]bool
	}{
		{"defaults", Birth{Origin: Generated, Class: CKO_SECRET_KEY, Type: CKK_AES}, 0, map[uint64]bool{CKA_SENSITIVE: true, CKA_EXTRACTABLE: false, CKA_ENCRYPT: false, CKA_LOCAL: true, CKA_NEVER_EXTRACTABLE: true, CKA_PRIVATE: true, CKA_MODIFIABLE: true}},
		{"derived", Birth{Origin: Derived, Class: CKO_SECRET_KEY, Type: CKK_AES, Base: base}, 0, map[uint64]bool{CKA_LOCAL: false, CKA_NEVER_EXTRACTABLE: true, CKA_ALWAYS_SENSITIVE: true}},
		{"derived from one that left", Birth{Origin: Derived, Class: CKO_SECRET_KEY, Type: CKK_AES, Base: Template{}}, 0, map[uint64]bool{CKA_NEVER_EXTRACTABLE: false, CKA_ALWAYS_SENSITIVE: false}},
		{"unwrapped", Birth{Origin: Unwrapped, Class: CKO_SECRET_KEY, Type: CKK_AES}, 0, map[uint64]bool{CKA_NEVER_EXTRACTABLE: false, CKA_ALWAYS_SENSITIVE: false, CKA_EXTRACTABLE: false}},
		{"unwrapped, profile", Birth{Origin: Unwrapped, Class: CKO_SECRET_KEY, Type: CKK_AES, Compat: true}, 0, map[uint64]bool{CKA_EXTRACTABLE: true}},
		{"public", Birth{Origin: Generated, Class: CKO_PUBLIC_KEY, Type: CKK_EC}, 0, map[uint64]bool{CKA_PRIVATE: false, CKA_VERIFY: false}},
		{"wallet", Birth{Origin: Derived, Class: CKO_PRIVATE_KEY, Type: CKK_EC, Mechanism: CKM_IBM_BTC_DERIVE, Base: base}, 0, map[uint64]bool{CKA_SIGN: false}},
		{"wallet, profile", Birth{Origin: Derived, Class: CKO_PRIVATE_KEY, Type: CKK_EC, Mechanism: CKM_IBM_BTC_DERIVE, Base: base, Compat: true}, 0, map[uint64]bool{CKA_SIGN: true}},
		{"wallet, profile, asked not to", Birth{Origin: Derived, Class: CKO_PRIVATE_KEY, Type: CKK_EC, Mechanism: CKM_IBM_BTC_DERIVE, Base: base, Compat: true, Template: Template{CKA_SIGN: Bool(false)}}, 0, map[uint64]bool{CKA_SIGN: false}},
		{"encapsulated, profile", Birth{Origin: Derived, Class: CKO_SECRET_KEY, Type: CKK_AES, Mechanism: CKM_IBM_KYBER, Base: base, Compat: true}, 0, map[uint64]bool{CKA_ENCRYPT: true, CKA_DECRYPT: true, CKA_WRAP: false}},
		{"ML-KEM, profile", Birth{Origin: Derived, Class: CKO_SECRET_KEY, Type: CKK_AES, Mechanism: CKM_IBM_ML_KEM, Base: base, Compat: true}, 0, map[uint64]bool{CKA_ENCRYPT: true, CKA_DECRYPT: true, CKA_WRAP: false}},
		{"ML-KEM by PKCS#11's number, profile", Birth{Origin: Derived, Class: CKO_SECRET_KEY, Type: CKK_AES, Mechanism: CKM_ML_KEM, Base: base, Compat: true}, 0, map[uint64]bool{CKA_ENCRYPT: true, CKA_DECRYPT: true, CKA_WRAP: false}},
		{"fixed", Birth{Origin: Generated, Class: CKO_SECRET_KEY, Type: CKK_AES, Template: Template{CKA_MODIFIABLE: Bool(false)}}, 0, map[uint64]bool{CKA_IBM_RESTRICTABLE: false}},
		{"a child of a wallet that leaves", Birth{Origin: Derived, Class: CKO_PRIVATE_KEY, Type: CKK_EC, Mechanism: CKM_IBM_BTC_DERIVE, Base: base, Template: Template{CKA_EXTRACTABLE: Bool(true)}}, CKR_TEMPLATE_INCONSISTENT, nil},
		{"hybrid, of two that stay", Birth{Origin: Derived, Class: CKO_SECRET_KEY, Type: CKK_AES, Base: base, Other: base}, 0, map[uint64]bool{CKA_NEVER_EXTRACTABLE: true, CKA_ALWAYS_SENSITIVE: true}},
		{"hybrid, with one that left", Birth{Origin: Derived, Class: CKO_SECRET_KEY, Type: CKK_AES, Base: base, Other: open}, 0, map[uint64]bool{CKA_NEVER_EXTRACTABLE: false, CKA_ALWAYS_SENSITIVE: false}},
		{"hybrid that leaves", Birth{Origin: Derived, Class: CKO_SECRET_KEY, Type: CKK_AES, Base: open, Other: open, Compat: true, Template: leaving}, 0, map[uint64]bool{CKA_EXTRACTABLE: true}},
		{"hybrid that leaves, of a public key", Birth{Origin: Derived, Class: CKO_SECRET_KEY, Type: CKK_AES, Base: Template{}, Other: open, Template: leaving}, 0, map[uint64]bool{CKA_EXTRACTABLE: true}},
		{"hybrid that leaves with one that stays", Birth{Origin: Derived, Class: CKO_SECRET_KEY, Type: CKK_AES, Base: open, Other: base, Compat: true, Template: leaving}, CKR_TEMPLATE_INCONSISTENT, nil},
		{"hybrid that leaves from one that stays", Birth{Origin: Derived, Class: CKO_SECRET_KEY, Type: CKK_AES, Base: base, Other: open, Compat: true, Template: leaving}, CKR_TEMPLATE_INCONSISTENT, nil},
		{"hybrid, bound with an unbound one", Birth{Origin: Derived, Class: CKO_SECRET_KEY, Type: CKK_AES, Base: bound, Other: base, Template: Template{CKA_IBM_ATTRBOUND: Bool(true)}}, CKR_TEMPLATE_INCONSISTENT, nil},
		{"one that leaves from one that stays", Birth{Origin: Derived, Class: CKO_SECRET_KEY, Type: CKK_AES, Base: base, Template: leaving}, CKR_TEMPLATE_INCONSISTENT, nil},
		{"one that leaves from one that leaves", Birth{Origin: Derived, Class: CKO_SECRET_KEY, Type: CKK_AES, Base: open, Template: leaving}, 0, map[uint64]bool{CKA_EXTRACTABLE: true}},
		{"one that leaves from one that stays, profile", Birth{Origin: Derived, Class: CKO_SECRET_KEY, Type: CKK_AES, Base: base, Compat: true, Template: leaving}, 0, map[uint64]bool{CKA_EXTRACTABLE: true}},
		{"one that leaves from one for trusted keys", Birth{Origin: Derived, Class: CKO_SECRET_KEY, Type: CKK_AES, Base: Template{CKA_EXTRACTABLE: Bool(true), CKA_WRAP_WITH_TRUSTED: Bool(true)}, Template: leaving}, CKR_TEMPLATE_INCONSISTENT, nil},
		{"derived to wrap", Birth{Origin: Derived, Class: CKO_SECRET_KEY, Type: CKK_AES, Base: open, Template: Template{CKA_WRAP: Bool(true)}}, CKR_TEMPLATE_INCONSISTENT, nil},
		{"derived to unwrap", Birth{Origin: Derived, Class: CKO_SECRET_KEY, Type: CKK_AES, Base: open, Template: Template{CKA_UNWRAP: Bool(true)}}, CKR_TEMPLATE_INCONSISTENT, nil},
		{"derived to wrap, profile", Birth{Origin: Derived, Class: CKO_SECRET_KEY, Type: CKK_AES, Base: open, Compat: true, Template: Template{CKA_WRAP: Bool(true), CKA_DECRYPT: Bool(true)}}, 0, map[uint64]bool{CKA_WRAP: true}},
		{"derived from a bound one", Birth{Origin: Derived, Class: CKO_SECRET_KEY, Type: CKK_AES, Base: bound}, 0, map[uint64]bool{CKA_IBM_ATTRBOUND: true}},
		{"unbound from a bound one", Birth{Origin: Derived, Class: CKO_SECRET_KEY, Type: CKK_AES, Base: bound, Compat: true, Template: Template{CKA_IBM_ATTRBOUND: Bool(false)}}, CKR_TEMPLATE_INCONSISTENT, nil},
		{"from a bound and an unbound one", Birth{Origin: Derived, Class: CKO_SECRET_KEY, Type: CKK_AES, Base: bound, Other: base, Compat: true}, CKR_TEMPLATE_INCONSISTENT, nil},
		{"a bound one that signs", Birth{Origin: Derived, Class: CKO_SECRET_KEY, Type: CKK_AES, Mechanism: CKM_SHA256_KEY_DERIVATION, Base: bound, Template: Template{CKA_SIGN: Bool(true)}}, 0, map[uint64]bool{CKA_IBM_ATTRBOUND: true, CKA_SIGN: true}},
		{"a bound one that signs and another side knows", Birth{Origin: Derived, Class: CKO_SECRET_KEY, Type: CKK_AES, Mechanism: CKM_ECDH1_DERIVE, Base: bound, Compat: true, Template: Template{CKA_SIGN: Bool(true)}}, CKR_TEMPLATE_INCONSISTENT, nil},
		{"bound from unbound", Birth{Origin: Derived, Class: CKO_SECRET_KEY, Type: CKK_AES, Base: base, Template: Template{CKA_IBM_ATTRBOUND: Bool(true)}}, CKR_TEMPLATE_INCONSISTENT, nil},
		{"trusted", Birth{Origin: Generated, Class: CKO_SECRET_KEY, Type: CKK_AES, Template: Template{CKA_TRUSTED: Bool(true)}}, CKR_ATTRIBUTE_READ_ONLY, nil},
		{"another class", Birth{Origin: Generated, Class: CKO_SECRET_KEY, Type: CKK_AES, Template: Template{CKA_CLASS: Int(CKO_PUBLIC_KEY)}}, CKR_TEMPLATE_INCONSISTENT, nil},
		{"no class", Birth{Origin: Generated, Class: CKO_DATA}, CKR_TEMPLATE_INCONSISTENT, nil},
	} {
		got, err := tt.b.New()
		if f := FailureOf(err); f == nil && tt.want != 0 || f != nil && f.Code != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
			continue
		}
		for n, want := range tt.has {
			if got.Has(n) != want {
				t.Errorf("%s: %x is %v", tt.name, n, !want)
			}
		}
		for n := range got {
			if a, ok := attributes[n]; !ok || !a.kept {
				t.Errorf("%s: keeps %x", tt.name, n)
			}
		}
	}
}

func TestNormal(t *testing.T) {
	t.Parallel()
	got, err := Template{CKA_VALUE_LEN: Bytes([]byte{1, 0}), CKA_SIGN: Bytes([]byte{1}), CKA_LABEL: Bytes([]byte("x"))}.Normal()
	if n, ok := got.Number(CKA_VALUE_LEN); err != nil || !ok || n != 256 || !got.Has(CKA_SIGN) || string(got[CKA_LABEL].Bytes) != "x" {
		t.Errorf("%v, %v", got, err)
	}
	yes, one := true, int64(1)
	for name, bad := range map[string]Template{
		"nothing": {CKA_SIGN: {}}, "bool of two": {CKA_SIGN: Bytes([]byte{2})}, "bool of two bytes": {CKA_SIGN: Bytes([]byte{0, 1})}, "int as bool": {CKA_SIGN: Int(1)},
		"nine bytes": {CKA_VALUE_LEN: Bytes(make([]byte, 9))}, "bool as int": {CKA_VALUE_LEN: Bool(true)}, "int as bytes": {CKA_LABEL: Int(1)}, "two arms": {CKA_SIGN: {Bool: &yes, Int: &one}},
	} {
		if _, err := bad.Normal(); FailureOf(err) == nil || FailureOf(err).Code != CKR_ATTRIBUTE_VALUE_INVALID {
			t.Errorf("%s: %v", name, err)
		}
	}
	negative := int64(-0x7ffeffdd)
	if n := (Template{CKA_KEY_TYPE: {Int: &negative}}).KeyNumber(CKA_KEY_TYPE, 0); n != CKK_IBM_PQC_DILITHIUM {
		t.Errorf("key type %x", n)
	}
	if _, ok := (Template{CKA_VALUE_LEN: {Int: &negative}}).Number(CKA_VALUE_LEN); ok {
		t.Error("a negative length")
	}
	if string((Template{CKA_IBM_PARAMETER_SET: Int(2)}).Strength(CKK_IBM_ML_DSA)) != OIDMLDSA65 || (Template{CKA_IBM_PARAMETER_SET: Int(4)}).Strength(CKK_IBM_ML_DSA) != nil || ParameterSet(CKK_IBM_ML_KEM, []byte(OIDMLKEM768)) != 2 {
		t.Error("parameter sets")
	}
}

// FuzzDecodeCall: a call that is read is the one that its encoding says, with everything in bounds.
func FuzzDecodeCall(f *testing.F) {
	f.Add(Call{Function: FnGetMechanismList}.Encode())
	f.Add(Call{Function: FnDeriveKey, Mechanism: &Mechanism{Type: CKM_IBM_KYBER, Kyber: &Kyber{Mode: 1, Blob: []byte("x")}}, Key: []byte("key"), Template: Template{CKA_EC_PARAMS: Bytes([]byte(OIDP256)), CKA_SIGN: Bool(true), CKA_CLASS: Int(3)}}.Encode())
	f.Fuzz(func(t *testing.T, in []byte) {
		c, err := DecodeCall(in)
		if err != nil {
			if code := FailureOf(err).Code; code == CKR_GENERAL_ERROR || code == CKR_OK {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(c.Encode(), in) || len(c.Template) > MaxTemplate {
			t.Fatal("another call")
		}
		for _, tmpl := range []Template{c.Template, c.Template2} {
			n, err := tmpl.Normal()
			if err != nil {
				continue
			}
			for _, class := range []uint64{CKO_PUBLIC_KEY, CKO_PRIVATE_KEY, CKO_SECRET_KEY} {
				out, err := Birth{Origin: Generated, Class: class, Type: n.KeyNumber(CKA_KEY_TYPE, CKK_AES), Template: n}.New()
				if err == nil && out.Apart() != nil {
					t.Fatal("uses together that are kept apart")
				}
			}
			n.Curve()
			n.Strength(CKK_IBM_ML_DSA)
		}
	})
}

func TestBounds(t *testing.T) {
	t.Parallel()
	many := Template{}
	for n := range uint64(MaxTemplate + 1) {
		many[n] = Bool(true)
	}
	for name, tt := range map[string]struct {
		c    Call
		want Code
	}{
		"function":         {Call{}, CKR_FUNCTION_NOT_SUPPORTED},
		"key":              {Call{Function: FnSign, Key: make([]byte, MaxKeys+1)}, CKR_ARGUMENTS_BAD},
		"data":             {Call{Function: FnSign, Data: make([]byte, MaxData+1)}, CKR_ARGUMENTS_BAD},
		"state":            {Call{Function: FnSign, State: make([]byte, MaxState+1)}, CKR_ARGUMENTS_BAD},
		"pin":              {Call{Function: FnLogin, Pin: make([]byte, 257)}, CKR_ARGUMENTS_BAD},
		"attributes":       {Call{Function: FnSign, Template: many}, CKR_TEMPLATE_INCONSISTENT},
		"attribute":        {Call{Function: FnSign, Template2: Template{1: Bytes(make([]byte, MaxAttribute+1))}}, CKR_ATTRIBUTE_VALUE_INVALID},
		"parameter":        {Call{Function: FnSign, Mechanism: &Mechanism{Parameter: make([]byte, MaxParameter+1)}}, CKR_MECHANISM_PARAM_INVALID},
		"two parameters":   {Call{Function: FnSign, Mechanism2: &Mechanism{PSS: &PSS{}, BTC: &BTC{}}}, CKR_MECHANISM_PARAM_INVALID},
		"kyber blob":       {Call{Function: FnSign, Mechanism: &Mechanism{Kyber: &Kyber{Blob: make([]byte, MaxBlob+1)}}}, CKR_MECHANISM_PARAM_INVALID},
		"elements":         {Call{Function: FnSign, Mechanism: &Mechanism{Aggregate: &Aggregate{Elements: make([]byte, MaxKeys+1)}}}, CKR_MECHANISM_PARAM_INVALID},
		"all is too large": {Call{Function: FnSign, Data: make([]byte, MaxData), Signature: make([]byte, MaxData)}, CKR_ARGUMENTS_BAD},
	} {
		if _, err := DecodeCall(tt.c.Encode()); FailureOf(err) == nil || FailureOf(err).Code != tt.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := DecodeCall([]byte{0xff}); FailureOf(err).Code != CKR_ARGUMENTS_BAD {
		t.Error(err)
	}
	if _, err := DecodeAnswer([]byte{0xff}); err == nil {
		t.Error("an answer of nothing")
	}
}

// TestRestored: a package gives a key what keys of its class have, and nothing else.
func TestRestored(t *testing.T) {
	t.Parallel()
	for _, class := range []uint64{CKO_SECRET_KEY, CKO_PRIVATE_KEY} {
		whole, err := Birth{Origin: Generated, Class: class, Template: Template{CKA_SIGN: Bool(true), CKA_IBM_ATTRBOUND: Bool(true), CKA_LABEL: Bytes([]byte("x")), CKA_EXTRACTABLE: Bool(true)}}.New()
		if err != nil {
			t.Fatal(err)
		}
		for n := range attributes {
			if attributes[n].kept && attributes[n].arm == ArmBool && whole[n].Bool != nil {
				whole[n] = Bool(true)
			}
		}
		whole[CKA_CHECK_VALUE] = Bytes([]byte("abc"))
		got, ok := whole.Restored(class)
		if !ok || string(got[CKA_LABEL].Bytes) != "x" || *got[CKA_KEY_GEN_MECHANISM].Int != Unavailable {
			t.Fatalf("class %d: %v, %v", class, got, ok)
		}
		for n, want := range map[uint64]bool{CKA_SIGN: true, CKA_IBM_ATTRBOUND: true, CKA_EXTRACTABLE: true, CKA_MODIFIABLE: true, CKA_TRUSTED: false, CKA_LOCAL: false,
			CKA_ALWAYS_SENSITIVE: false, CKA_NEVER_EXTRACTABLE: false} {
			if got.Has(n) != want {
				t.Errorf("class %d: attribute 0x%x is %v", class, n, !want)
			}
		}
		if _, has := got[CKA_CHECK_VALUE]; has {
			t.Error("a check value that nobody computed")
		}
		if none, ok := (Template{}).Restored(class); !ok || none.Has(CKA_MODIFIABLE) || none[CKA_EXTRACTABLE].Bool == nil {
			t.Errorf("nothing gives %v", none)
		}
		yes, one := true, int64(1)
		for name, bad := range map[string]Template{
			"a use of another class": {CKA_VERIFY_RECOVER: Bool(true)}, "the same, false": {CKA_VERIFY_RECOVER: Bool(false)}, "unknown": {0x4242: Bool(true)},
			"a value": {CKA_VALUE: Bytes([]byte("x"))}, "a curve": {CKA_EC_PARAMS: Bytes([]byte("x"))}, "a length": {CKA_VALUE_LEN: Int(16)},
			"another arm": {CKA_SIGN: Int(1)}, "two arms": {CKA_SIGN: {Bool: &yes, Int: &one}}, "a long label": {CKA_LABEL: Bytes(make([]byte, maxKept+1))},
		} {
			if got, ok := bad.Restored(class); ok {
				t.Errorf("%s: %v", name, got)
			}
		}
	}
	if _, ok := (Template{}).Restored(CKO_DATA); ok {
		t.Error("data is no key")
	}
}
