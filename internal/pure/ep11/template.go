// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"maps"
	"slices"
)

// Arm is the sort of value that an attribute has.
type Arm uint8

// The arms.
const (
	ArmBytes Arm = 1
	ArmBool  Arm = 2
	ArmInt   Arm = 3
)

// attribute is what is known of an attribute.
type attribute struct {
	arm       Arm
	given     bool // may stand in the template of a new key
	kept      bool // stands in the key's header
	sensitive bool // is never given out
}

// attributes are those that are known.
var attributes = map[uint64]attribute{
	CKA_CLASS: {ArmInt, true, false, false}, CKA_KEY_TYPE: {ArmInt, true, false, false}, CKA_VALUE_LEN: {ArmInt, true, false, false},
	CKA_VALUE_BITS: {ArmInt, true, false, false}, CKA_MODULUS_BITS: {ArmInt, true, false, false}, CKA_PUBLIC_EXPONENT: {ArmInt, true, false, false},
	CKA_PRIME_BITS: {ArmInt, true, false, false}, CKA_SUBPRIME_BITS: {ArmInt, true, false, false}, CKA_KEY_GEN_MECHANISM: {ArmInt, false, true, false},
	CKA_IBM_KEYTYPE: {ArmInt, true, false, false}, CKA_IBM_STD_COMPLIANCE1: {ArmInt, true, false, false}, CKA_IBM_PARAMETER_SET: {ArmInt, true, false, false},
	CKA_IBM_RETAINKEY: {ArmInt, false, false, false}, CKA_PARAMETER_SET: {ArmInt, true, false, false},

	CKA_TOKEN: {ArmBool, true, true, false}, CKA_PRIVATE: {ArmBool, true, true, false}, CKA_TRUSTED: {ArmBool, true, true, false},
	CKA_SENSITIVE: {ArmBool, true, true, false}, CKA_ENCRYPT: {ArmBool, true, true, false}, CKA_DECRYPT: {ArmBool, true, true, false},
	CKA_WRAP: {ArmBool, true, true, false}, CKA_UNWRAP: {ArmBool, true, true, false}, CKA_SIGN: {ArmBool, true, true, false},
	CKA_SIGN_RECOVER: {ArmBool, true, true, false}, CKA_VERIFY: {ArmBool, true, true, false}, CKA_VERIFY_RECOVER: {ArmBool, true, true, false},
	CKA_DERIVE: {ArmBool, true, true, false}, CKA_EXTRACTABLE: {ArmBool, true, true, false}, CKA_LOCAL: {ArmBool, false, true, false},
	CKA_NEVER_EXTRACTABLE: {ArmBool, false, true, false}, CKA_ALWAYS_SENSITIVE: {ArmBool, false, true, false}, CKA_MODIFIABLE: {ArmBool, true, true, false},
	CKA_COPYABLE: {ArmBool, true, true, false}, CKA_DESTROYABLE: {ArmBool, true, true, false}, CKA_WRAP_WITH_TRUSTED: {ArmBool, true, true, false},
	CKA_IBM_RESTRICTABLE: {ArmBool, true, true, false}, CKA_IBM_NEVER_MODIFIABLE: {ArmBool, true, true, false}, CKA_IBM_ATTRBOUND: {ArmBool, true, true, false},
	CKA_IBM_USE_AS_DATA: {ArmBool, true, true, false}, CKA_IBM_PROTKEY_EXTRACTABLE: {ArmBool, true, true, false},
	CKA_IBM_PROTKEY_NEVER_EXTRACTABLE: {ArmBool, true, true, false},

	CKA_LABEL: {ArmBytes, true, true, false}, CKA_ID: {ArmBytes, true, true, false}, CKA_SUBJECT: {ArmBytes, true, true, false},
	CKA_CHECK_VALUE: {ArmBytes, false, true, false}, CKA_EC_PARAMS: {ArmBytes, true, false, false}, CKA_IBM_PQC_PARAMS: {ArmBytes, true, false, false},
	CKA_IBM_STRUCT_PARAMS: {ArmBytes, true, false, false}, CKA_PRIME: {ArmBytes, true, false, false}, CKA_SUBPRIME: {ArmBytes, true, false, false},
	CKA_BASE: {ArmBytes, true, false, false}, CKA_IBM_LOGIN_SESSION: {ArmBytes, true, false, false}, CKA_EC_POINT: {ArmBytes, false, false, false},
	CKA_MODULUS: {ArmBytes, false, false, false}, CKA_PUBLIC_KEY_INFO: {ArmBytes, false, false, false}, CKA_IBM_CV: {ArmBytes, false, false, false},
	CKA_IBM_GREP11_WKID: {ArmBytes, false, false, false},

	CKA_VALUE: {ArmBytes, false, false, true}, CKA_PRIVATE_EXPONENT: {ArmBytes, false, false, true}, CKA_PRIME_1: {ArmBytes, false, false, true},
	CKA_PRIME_2: {ArmBytes, false, false, true}, CKA_EXPONENT_1: {ArmBytes, false, false, true}, CKA_EXPONENT_2: {ArmBytes, false, false, true},
	CKA_COEFFICIENT: {ArmBytes, false, false, true},
}

// maxKept is the longest byte string that a key keeps as an attribute.
const maxKept = 256

// ArmOf gives the sort of value of an attribute, and false for one that is not known.
func ArmOf(cka uint64) (Arm, bool) {
	a, ok := attributes[cka]
	return a.arm, ok
}

// Sensitive says whether an attribute is a part of the secret, which is never given out.
func Sensitive(cka uint64) bool { return attributes[cka].sensitive }

// Bool and Int and Bytes make values.
func Bool(b bool) Attribute { return Attribute{Bool: &b} }

// Int makes an integer value.
func Int(n uint64) Attribute {
	i := int64(n)
	return Attribute{Int: &i}
}

// Bytes makes a value of bytes.
func Bytes(b []byte) Attribute { return Attribute{Bytes: b} }

// Normal gives a template with each value in the arm of its attribute: integers may come as big-endian bytes of up to eight, booleans as one
// byte 0 or 1. It refuses attributes that are not known (CKR_ATTRIBUTE_TYPE_INVALID), those that nobody sets (CKR_ATTRIBUTE_READ_ONLY), and
// values of another sort or out of bounds (CKR_ATTRIBUTE_VALUE_INVALID).
func (t Template) Normal() (Template, error) {
	out := make(Template, len(t))
	for _, n := range slices.Sorted(maps.Keys(t)) {
		known, ok := attributes[n]
		switch {
		case !ok:
			return nil, Fail(CKR_ATTRIBUTE_TYPE_INVALID, "attribute 0x%x is not known", n)
		case !known.given:
			return nil, Fail(CKR_ATTRIBUTE_READ_ONLY, "attribute 0x%x can't be set", n)
		}
		v, ok := t[n].as(known.arm)
		if !ok || known.kept && len(v.Bytes) > maxKept {
			return nil, Fail(CKR_ATTRIBUTE_VALUE_INVALID, "the value of attribute 0x%x has a wrong form", n)
		}
		name, v := vendorsName(n, v)
		if _, twice := out[name]; twice {
			return nil, Fail(CKR_TEMPLATE_INCONSISTENT, "attribute 0x%x stands there under two names", n)
		}
		out[name] = v
	}
	return out, nil
}

// as gives a value in an arm.
func (a Attribute) as(arm Arm) (Attribute, bool) {
	switch {
	case arm == ArmBytes:
		return Attribute{Bytes: a.Bytes}, a.Bool == nil && a.Int == nil
	case arm == ArmBool && a.Bool != nil, arm == ArmInt && a.Int != nil:
		return a, len(a.Bytes) == 0 && (a.Bool == nil || a.Int == nil)
	case arm == ArmBool && len(a.Bytes) == 1 && a.Bytes[0] <= 1 && a.Int == nil:
		return Bool(a.Bytes[0] == 1), true
	case arm == ArmInt && len(a.Bytes) >= 1 && len(a.Bytes) <= 8 && a.Bool == nil:
		var n uint64
		for _, b := range a.Bytes {
			n = n<<8 | uint64(b)
		}
		return Int(n), true
	}
	return Attribute{}, false
}

// Has says whether a boolean is there and true.
func (t Template) Has(cka uint64) bool {
	b := t[cka].Bool
	return b != nil && *b
}

// Flag gives a boolean, or what it is by default.
func (t Template) Flag(cka uint64, unset bool) bool {
	if b := t[cka].Bool; b != nil {
		return *b
	}
	return unset
}

// Number gives an integer. It is not ok if the attribute is not there or negative.
func (t Template) Number(cka uint64) (n uint64, ok bool) {
	i := t[cka].Int
	if i == nil || *i < 0 {
		return 0, false
	}
	return uint64(*i), true
}

// KeyNumber gives an integer attribute that holds a CKK, CKO or CKM number, or what it is by default. Clients cast these to int64, so a
// vendor's number may come as a negative one of 32 bits.
func (t Template) KeyNumber(cka, unset uint64) uint64 {
	i := t[cka].Int
	switch {
	case i == nil:
		return unset
	case *i < 0 && *i >= -1<<31:
		return uint64(uint32(*i))
	}
	return uint64(*i)
}

// Curve gives CKA_EC_PARAMS as an object identifier in DER; a name in ASCII is turned into it. It is empty if there is none.
func (t Template) Curve() []byte {
	b := t[CKA_EC_PARAMS].Bytes
	if oid, ok := curveNames[string(b)]; ok {
		return []byte(oid)
	}
	return b
}

// Strength gives the object identifier of a post-quantum parameter set: CKA_IBM_PQC_PARAMS, or CKA_IBM_PARAMETER_SET for a type that numbers
// its sets. It is empty if there is none.
func (t Template) Strength(ckk uint64) []byte {
	if b := t[CKA_IBM_PQC_PARAMS].Bytes; len(b) > 0 {
		return b
	}
	n, ok := t.Number(CKA_IBM_PARAMETER_SET)
	sets, numbered := parameterSets[ckk]
	if !ok || !numbered || n < 1 || n > uint64(len(sets)) {
		return nil
	}
	return []byte(sets[n-1])
}

// ParameterSet gives the number of the set that an object identifier names, 0 for one without a number.
func ParameterSet(ckk uint64, oid []byte) uint64 {
	for i, s := range parameterSets[ckk] {
		if s == string(oid) {
			return uint64(i + 1)
		}
	}
	return 0
}
