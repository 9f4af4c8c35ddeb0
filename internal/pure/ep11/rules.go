// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"maps"
	"slices"
)

// Origin is how a key comes to be.
type Origin uint8

// The origins.
const (
	Generated Origin = 1
	Derived   Origin = 2
	Unwrapped Origin = 3 // with a key that was wrapped, or a public key brought in
)

// Birth is what the attributes of a new key follow from.
type Birth struct {
	Origin    Origin
	Class     uint64   // CKO
	Type      uint64   // CKK
	Mechanism uint64   // CKM that makes it
	Template  Template // as [Template.Normal] gives it
	Base      Template // attributes of the base key of a derivation; nil for all others
	Other     Template // attributes of the second secret of a hybrid derivation; nil for all others
	Compat    bool     // the compatibility profile
}

// usages are the attributes that say what a key may be used for.
var usages = []uint64{CKA_ENCRYPT, CKA_DECRYPT, CKA_WRAP, CKA_UNWRAP, CKA_SIGN, CKA_VERIFY, CKA_SIGN_RECOVER, CKA_VERIFY_RECOVER, CKA_DERIVE}

// usagesOf are the uses that keys of a class can have; the others are refused where a template asks for them.
var usagesOf = map[uint64][]uint64{
	CKO_SECRET_KEY:  {CKA_ENCRYPT, CKA_DECRYPT, CKA_WRAP, CKA_UNWRAP, CKA_SIGN, CKA_VERIFY, CKA_DERIVE},
	CKO_PRIVATE_KEY: {CKA_DECRYPT, CKA_UNWRAP, CKA_SIGN, CKA_SIGN_RECOVER, CKA_DERIVE},
	CKO_PUBLIC_KEY:  {CKA_ENCRYPT, CKA_WRAP, CKA_VERIFY, CKA_VERIFY_RECOVER, CKA_DERIVE},
}

// apart are uses that one key does not have together but in the compatibility profile: with the first pair a key is exported in clear, with
// the second a known one is imported, and the rest keep signatures apart from what could be made to look like them.
var apart = [][2]uint64{{CKA_WRAP, CKA_DECRYPT}, {CKA_UNWRAP, CKA_ENCRYPT}, {CKA_SIGN, CKA_WRAP}, {CKA_SIGN, CKA_UNWRAP}, {CKA_SIGN, CKA_ENCRYPT}, {CKA_SIGN, CKA_DECRYPT}}

// encapsulations are the mechanisms of KEMs.
var encapsulations = []uint64{CKM_IBM_KYBER, CKM_IBM_ML_KEM, CKM_ML_KEM}

// agreements are the derivations whose result another side knows, which may be the caller.
var agreements = []uint64{CKM_ECDH1_DERIVE, CKM_ECDH1_COFACTOR_DERIVE, CKM_IBM_EC_X25519, CKM_IBM_EC_X25519_RAW, CKM_IBM_EC_X448, CKM_IBM_EC_X448_RAW,
	CKM_DH_PKCS_DERIVE, CKM_IBM_KYBER, CKM_IBM_ML_KEM, CKM_ML_KEM}

// New gives the attributes of a new key: each boolean that keys of its class have, and the labels. It refuses a template that contradicts
// class, type or the rules with CKR_TEMPLATE_INCONSISTENT, and CKA_TRUSTED, which nobody may set, with CKR_ATTRIBUTE_READ_ONLY.
func (b Birth) New() (Template, error) {
	if err := b.consistent(); err != nil {
		return nil, err
	}
	out := Template{}
	for n, v := range b.Template {
		if known := attributes[n]; known.kept && known.arm == ArmBytes && len(v.Bytes) > 0 {
			out[n] = v
		}
	}
	flag := func(cka uint64, unset bool) { out[cka] = Bool(b.Template.Flag(cka, unset)) }
	flag(CKA_TOKEN, true)
	flag(CKA_MODIFIABLE, true)
	flag(CKA_COPYABLE, true)
	flag(CKA_DESTROYABLE, true)
	flag(CKA_IBM_RESTRICTABLE, out.Has(CKA_MODIFIABLE))
	flag(CKA_IBM_NEVER_MODIFIABLE, false)
	flag(CKA_IBM_ATTRBOUND, b.inherited(CKA_IBM_ATTRBOUND))
	flag(CKA_IBM_USE_AS_DATA, false)
	flag(CKA_PRIVATE, b.Class != CKO_PUBLIC_KEY)
	out[CKA_TRUSTED] = Bool(false)
	out[CKA_LOCAL] = Bool(b.Origin == Generated)
	out[CKA_KEY_GEN_MECHANISM] = Attribute{Int: new(int64(Unavailable))}
	if b.Origin == Generated {
		out[CKA_KEY_GEN_MECHANISM] = Int(b.Mechanism)
	}
	for _, n := range usagesOf[b.Class] {
		flag(n, b.Compat && b.uses(n))
	}
	if b.Class != CKO_PUBLIC_KEY {
		flag(CKA_SENSITIVE, true)
		flag(CKA_EXTRACTABLE, b.Compat && b.Origin == Unwrapped)
		flag(CKA_WRAP_WITH_TRUSTED, false)
		flag(CKA_IBM_PROTKEY_EXTRACTABLE, false)
		flag(CKA_IBM_PROTKEY_NEVER_EXTRACTABLE, true)
		always := b.Origin == Generated || b.inherited(CKA_ALWAYS_SENSITIVE)
		never := b.Origin == Generated || b.inherited(CKA_NEVER_EXTRACTABLE)
		out[CKA_ALWAYS_SENSITIVE] = Bool(always && out.Has(CKA_SENSITIVE))
		out[CKA_NEVER_EXTRACTABLE] = Bool(never && !out.Has(CKA_EXTRACTABLE))
	}
	return out, b.fits(out)
}

// inherited says whether a key is derived and all that it is derived from has an attribute.
func (b Birth) inherited(cka uint64) bool {
	return b.Origin == Derived && b.Base.Has(cka) && (b.Other == nil || b.Other.Has(cka))
}

// stays says whether something that a key is derived from is a secret that is not extractable. Public keys have no such attribute.
func (b Birth) stays() bool {
	for _, t := range []Template{b.Base, b.Other} {
		if v := t[CKA_EXTRACTABLE].Bool; v != nil && !*v {
			return true
		}
	}
	return false
}

// uses are the defaults that clients of the service rely on (the compatibility profile): what they don't ask for and use.
func (b Birth) uses(cka uint64) bool {
	switch {
	case b.Mechanism == CKM_IBM_BTC_DERIVE:
		return cka == CKA_SIGN || cka == CKA_VERIFY
	case slices.Contains(encapsulations, b.Mechanism) && b.Origin == Derived && b.Type == CKK_AES:
		return cka == CKA_ENCRYPT || cka == CKA_DECRYPT
	case b.Type == CKK_GENERIC_SECRET && b.Origin == Generated && b.Template.Has(CKA_IBM_ATTRBOUND):
		return cka == CKA_SIGN || cka == CKA_VERIFY
	}
	return false
}

// consistent refuses a template that contradicts what is made.
func (b Birth) consistent() error {
	if b.Template.KeyNumber(CKA_CLASS, b.Class) != b.Class || b.Template.KeyNumber(CKA_KEY_TYPE, b.Type) != b.Type {
		return Fail(CKR_TEMPLATE_INCONSISTENT, "class or key type is not that of the key which the mechanism makes")
	}
	if b.Template.Has(CKA_TRUSTED) {
		return Fail(CKR_ATTRIBUTE_READ_ONLY, "nobody may mark a key as trusted")
	}
	can, ok := usagesOf[b.Class]
	if !ok {
		return Fail(CKR_TEMPLATE_INCONSISTENT, "keys of class %d are not made", b.Class)
	}
	for _, n := range usages {
		if b.Template.Has(n) && !slices.Contains(can, n) {
			return Fail(CKR_TEMPLATE_INCONSISTENT, "a key of class %d has no use 0x%x", b.Class, n)
		}
	}
	return nil
}

// fits refuses attributes that don't go together, or with those of the base key.
func (b Birth) fits(out Template) error {
	if !b.Compat {
		if err := out.Apart(); err != nil {
			return err
		}
	}
	if b.Origin != Derived || b.Base == nil {
		return nil
	}
	if !out.Has(CKA_IBM_ATTRBOUND) && (b.Base.Has(CKA_IBM_ATTRBOUND) || b.Other.Has(CKA_IBM_ATTRBOUND)) {
		return Fail(CKR_TEMPLATE_INCONSISTENT, "what is derived from a bound key is bound")
	}
	if out.Has(CKA_IBM_ATTRBOUND) && slices.Contains(agreements, b.Mechanism) && (out.Has(CKA_WRAP) || out.Has(CKA_UNWRAP) || out.Has(CKA_SIGN) || out.Has(CKA_VERIFY)) {
		return Fail(CKR_TEMPLATE_INCONSISTENT, "what another side knows too makes and opens no packages of bound keys")
	}
	if out.Has(CKA_IBM_ATTRBOUND) && !b.inherited(CKA_IBM_ATTRBOUND) {
		return Fail(CKR_TEMPLATE_INCONSISTENT, "a bound key is derived from bound keys only")
	}
	// A child of BIP-32 with its chain code gives its parent away, and a hybrid key can begin with the second secret: never.
	if (b.Mechanism == CKM_IBM_BTC_DERIVE || b.Other != nil) && out.Has(CKA_EXTRACTABLE) && b.stays() {
		return errLeaves
	}
	if b.Compat {
		return nil
	}
	return b.kept(out)
}

// errLeaves refuses a key that may leave, of one that may not.
var errLeaves = Fail(CKR_TEMPLATE_INCONSISTENT, "an extractable key is not derived from one that isn't")

// kept refuses what a derived key has in the compatibility profile only, for the sake of its base: the value of a derived key depends on nothing but the
// base and the parameter.
func (b Birth) kept(out Template) error {
	switch {
	// The same value can be derived with each use of a pair of [apart]; these two uses stand in those that give keys away.
	case b.Class == CKO_SECRET_KEY && (out.Has(CKA_WRAP) || out.Has(CKA_UNWRAP)):
		return Fail(CKR_TEMPLATE_INCONSISTENT, "a derived key doesn't wrap or unwrap here")
	// One that leaves is also the value of one that is to stay, or its beginning.
	case out.Has(CKA_EXTRACTABLE) && b.stays():
		return errLeaves
	case out.Has(CKA_EXTRACTABLE) && !out.Has(CKA_WRAP_WITH_TRUSTED) && (b.Base.Has(CKA_WRAP_WITH_TRUSTED) || b.Other.Has(CKA_WRAP_WITH_TRUSTED)):
		return Fail(CKR_TEMPLATE_INCONSISTENT, "what is derived from a key that trusted keys wrap is wrapped by trusted keys only")
	}
	return nil
}

// OfProfile says whether a key that is made in the compatibility profile could not be made outside it, for a reason that its attributes don't show: what
// it is derived from. [Template.Apart] finds the reasons that they show.
func (b Birth) OfProfile(out Template) bool {
	return b.Compat && b.Origin == Derived && b.Base != nil && b.kept(out) != nil
}

// Restored gives the attributes of a key of a class that was wrapped with them: those that a new key has, and no others. Facts are false, as nothing
// is known of where it was, nobody is trusted, and booleans that are missing are false. It is not ok for attributes that no key of the class has.
func (t Template) Restored(class uint64) (out Template, ok bool) {
	of, err := Birth{Origin: Unwrapped, Class: class}.New()
	if err != nil {
		return nil, false
	}
	for n := range t {
		known := attributes[n]
		v, fits := t[n].as(known.arm)
		_, has := of[n]
		switch {
		case !fits || !known.kept || known.arm != ArmBytes && !has || len(v.Bytes) > maxKept:
			return nil, false
		case known.given && known.arm == ArmBytes && len(v.Bytes) > 0:
			of[n] = v
		}
	}
	for n, v := range of {
		switch {
		case v.Bool == nil:
		case !attributes[n].given || n == CKA_TRUSTED:
			of[n] = Bool(false)
		default:
			of[n] = Bool(t.Has(n))
		}
	}
	return of, true
}

// Apart refuses uses that one key does not have together.
func (t Template) Apart() error {
	for _, pair := range apart {
		if t.Has(pair[0]) && t.Has(pair[1]) {
			return Fail(CKR_TEMPLATE_INCONSISTENT, "one key does not have the uses 0x%x and 0x%x together here", pair[0], pair[1])
		}
	}
	return nil
}

// Pair refuses the attributes of two halves that don't agree.
func Pair(private, public Template, compat bool) error {
	if private.Has(CKA_IBM_ATTRBOUND) != public.Has(CKA_IBM_ATTRBOUND) {
		return Fail(CKR_TEMPLATE_INCONSISTENT, "one half is attribute-bound and the other isn't")
	}
	if compat {
		return nil
	}
	for _, pair := range apart[:2] {
		for _, side := range [][2]Template{{private, public}, {public, private}} {
			if side[0].Has(pair[0]) && side[1].Has(pair[1]) {
				return Fail(CKR_TEMPLATE_INCONSISTENT, "one pair does not have the uses 0x%x and 0x%x together here", pair[0], pair[1])
			}
		}
	}
	return nil
}

// Mirror gives the template of the public half of a private key that was brought in: what the private key may do, its half may undo.
func (t Template) Mirror() Template {
	out := Template{CKA_IBM_ATTRBOUND: Bool(t.Has(CKA_IBM_ATTRBOUND))}
	for private, public := range map[uint64]uint64{CKA_SIGN: CKA_VERIFY, CKA_DECRYPT: CKA_ENCRYPT, CKA_UNWRAP: CKA_WRAP, CKA_DERIVE: CKA_DERIVE} {
		out[public] = Bool(t.Has(private))
	}
	return out
}

// narrowed are the values to which booleans other than uses may be changed; a change back is refused.
var narrowed = map[uint64]bool{CKA_SENSITIVE: true, CKA_EXTRACTABLE: false, CKA_WRAP_WITH_TRUSTED: true, CKA_MODIFIABLE: false, CKA_COPYABLE: false,
	CKA_DESTROYABLE: false, CKA_IBM_RESTRICTABLE: false, CKA_IBM_NEVER_MODIFIABLE: true, CKA_IBM_PROTKEY_EXTRACTABLE: false, CKA_IBM_USE_AS_DATA: false}

// Change gives the attributes of a key with some changed (SetAttributeValue). Only booleans can be changed, uses only be dropped outside the
// compatibility profile, the others of [narrowed] only in one direction ever, and facts not at all: CKR_ATTRIBUTE_READ_ONLY. A key that is
// not modifiable may still drop what it can while it is restrictable; else it is CKR_ACTION_PROHIBITED.
func (t Template) Change(to Template, compat bool) (Template, error) {
	modifiable := t.Has(CKA_MODIFIABLE)
	if t.Has(CKA_IBM_NEVER_MODIFIABLE) || !modifiable && !t.Has(CKA_IBM_RESTRICTABLE) {
		return nil, Fail(CKR_ACTION_PROHIBITED, "the key is not modifiable")
	}
	out := maps.Clone(t)
	for _, n := range slices.Sorted(maps.Keys(to)) {
		known, ok := attributes[n]
		if !ok {
			return nil, Fail(CKR_ATTRIBUTE_TYPE_INVALID, "attribute 0x%x is not known", n)
		}
		if known.arm != ArmBool {
			return nil, Fail(CKR_ATTRIBUTE_READ_ONLY, "attribute 0x%x is no boolean and can't be changed", n)
		}
		v, ok := to[n].as(ArmBool)
		if !ok {
			return nil, Fail(CKR_ATTRIBUTE_VALUE_INVALID, "the value of attribute 0x%x is no boolean", n)
		}
		if _, has := t[n]; !has {
			return nil, Fail(CKR_ATTRIBUTE_TYPE_INVALID, "the key has no attribute 0x%x", n)
		}
		if t.Has(n) == *v.Bool {
			continue
		}
		direction, oneWay := narrowed[n]
		use := slices.Contains(usages, n)
		switch {
		case oneWay && *v.Bool == direction:
		case use && (!*v.Bool || compat && modifiable):
		default:
			return nil, Fail(CKR_ATTRIBUTE_READ_ONLY, "attribute 0x%x can't be changed so", n)
		}
		out[n] = v
	}
	return out, nil
}
