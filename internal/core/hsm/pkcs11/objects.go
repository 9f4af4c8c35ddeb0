// SPDX-License-Identifier: Apache-2.0

package pkcs11

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	p11 "github.com/miekg/pkcs11"
)

// Mechanisms of PKCS #11 v3.0 that the module has no names for.
const (
	ckmAESKeyWrapKWP    = 0x210b
	ckmECEdwardsKeyPair = 0x1055
	ckmEdDSA            = 0x1057
	ckkECEdwards        = 0x40
)

// Sizes in bytes.
const (
	keySize  = 32 // an AES-256 key
	ivSize   = 12
	tagSize  = 16
	macSize  = 16 // AES-CMAC
	rootID   = 16
	objectID = 16
)

// role is what an object is for. It stands in CKA_LABEL, "strongroom seal"; the CKA_ID begins with the root's id.
type role string

const (
	roleSeal   role = "seal"   // encrypts the part of a label
	roleMAC    role = "mac"    // computes the contribution of a label
	roleCount  role = "count"  // its name is the number of the counter
	roleWrap   role = "wrap"   // wraps keys that sign
	roleKey    role = "key"    // signs
	rolePublic role = "public" // the other half of one that signs
)

func (r role) label() string { return "strongroom " + string(r) }

// usage gives what the role may do, and with which mechanisms. Nothing both wraps and decrypts, or signs and decrypts.
func (r role) usage() (may []uint, mechanisms []uint) {
	switch r {
	case roleSeal:
		return []uint{p11.CKA_ENCRYPT, p11.CKA_DECRYPT}, []uint{p11.CKM_AES_GCM}
	case roleWrap:
		return []uint{p11.CKA_WRAP, p11.CKA_UNWRAP}, []uint{ckmAESKeyWrapKWP, p11.CKM_AES_KEY_WRAP_PAD}
	default:
		return []uint{p11.CKA_SIGN, p11.CKA_VERIFY}, []uint{p11.CKM_AES_CMAC}
	}
}

var usages = []uint{p11.CKA_ENCRYPT, p11.CKA_DECRYPT, p11.CKA_SIGN, p11.CKA_VERIFY, p11.CKA_WRAP, p11.CKA_UNWRAP, p11.CKA_DERIVE}

func attr(typ uint, value any) *p11.Attribute { return p11.NewAttribute(typ, value) }

// mechanismList encodes CKA_ALLOWED_MECHANISMS.
func mechanismList(mechanisms []uint) []byte {
	var b []byte
	for _, m := range mechanisms {
		b = binary.NativeEndian.AppendUint64(b, uint64(m))
	}
	return b
}

// aesTemplate gives the attributes of a key of the root.
func aesTemplate(r role, id []byte) []*p11.Attribute {
	may, _ := r.usage()
	t := []*p11.Attribute{attr(p11.CKA_CLASS, uint(p11.CKO_SECRET_KEY)), attr(p11.CKA_KEY_TYPE, uint(p11.CKK_AES)), attr(p11.CKA_VALUE_LEN, uint(keySize)),
		attr(p11.CKA_LABEL, r.label()), attr(p11.CKA_ID, id), attr(p11.CKA_TOKEN, true), attr(p11.CKA_PRIVATE, true), attr(p11.CKA_SENSITIVE, true),
		attr(p11.CKA_EXTRACTABLE, false), attr(p11.CKA_MODIFIABLE, false)}
	for _, u := range usages {
		t = append(t, attr(u, slices.Contains(may, u)))
	}
	return t
}

// optional gives the attributes that older tokens don't know: no copies, and no mechanisms but the role's.
func optional(r role) []*p11.Attribute {
	_, mechanisms := r.usage()
	return []*p11.Attribute{attr(p11.CKA_COPYABLE, false), attr(p11.CKA_ALLOWED_MECHANISMS, mechanismList(mechanisms))}
}

// unknownAttribute reports whether a token refused a template for an attribute that it doesn't know.
func unknownAttribute(err error) bool {
	return is(err, p11.CKR_ATTRIBUTE_TYPE_INVALID, p11.CKR_ATTRIBUTE_VALUE_INVALID, p11.CKR_TEMPLATE_INCONSISTENT, p11.CKR_ATTRIBUTE_READ_ONLY)
}

// generateAES makes a key of the root in the token and reads back what it is. What is weaker than asked for is destroyed and refused with [ErrWeak].
// A token that doesn't know the optional attributes gets a template without; where it knows them, they are asked for and held to.
func generateAES(m module, s p11.SessionHandle, r role, id []byte) (p11.ObjectHandle, error) {
	gen := []*p11.Mechanism{p11.NewMechanism(p11.CKM_AES_KEY_GEN, nil)}
	must := aesTemplate(r, id)
	extra := optional(r)
	// All of them, then fewer: without the list of mechanisms, then without both.
	for n := len(extra); ; n-- {
		o, err := m.GenerateKey(s, gen, slices.Concat(must, extra[:n]))
		if unknownAttribute(err) && n > 0 {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("pkcs11: make the %s key: %w", r, err)
		}
		if err := readBack(m, s, o, slices.Concat(must, extra[:n], facts(true))); err != nil {
			return 0, errors.Join(err, m.DestroyObject(s, o))
		}
		return o, nil
	}
}

// facts gives what a token says about the birth of a key that it made itself, which was never in the clear and, if it stays, never leaves.
func facts(stays bool) []*p11.Attribute {
	f := []*p11.Attribute{attr(p11.CKA_LOCAL, true), attr(p11.CKA_ALWAYS_SENSITIVE, true)}
	if stays {
		f = append(f, attr(p11.CKA_NEVER_EXTRACTABLE, true))
	}
	return f
}

// readBack compares an object's attributes with those that it must have. A token that took an optional attribute and doesn't know it is let be.
func readBack(m module, s p11.SessionHandle, o p11.ObjectHandle, want []*p11.Attribute) error {
	for _, w := range want {
		got, err := attribute(m, s, o, w.Type)
		if (w.Type == p11.CKA_COPYABLE || w.Type == p11.CKA_ALLOWED_MECHANISMS) && is(err, p11.CKR_ATTRIBUTE_TYPE_INVALID) {
			continue
		}
		if err != nil && (lost(err) || !is(err, p11.CKR_ATTRIBUTE_TYPE_INVALID, p11.CKR_ATTRIBUTE_SENSITIVE)) {
			return fmt.Errorf("pkcs11: read attribute %#x back: %w", w.Type, err)
		}
		if err != nil {
			return fmt.Errorf("%w: attribute %#x: %w", ErrWeak, w.Type, err)
		}
		if w.Type == p11.CKA_ALLOWED_MECHANISMS && sameMechanisms(got, w.Value) {
			continue
		}
		if !bytes.Equal(got, w.Value) {
			return fmt.Errorf("%w: attribute %#x is %x, not %x", ErrWeak, w.Type, got, w.Value)
		}
	}
	return nil
}

// sameMechanisms compares two lists as sets; a token may keep them in an order of its own.
func sameMechanisms(a, b []byte) bool {
	split := func(l []byte) [][]byte {
		parts := slices.Collect(slices.Chunk(l, 8))
		slices.SortFunc(parts, bytes.Compare)
		return parts
	}
	return slices.EqualFunc(split(a), split(b), bytes.Equal)
}

func attribute(m module, s p11.SessionHandle, o p11.ObjectHandle, typ uint) ([]byte, error) {
	got, err := m.GetAttributeValue(s, o, []*p11.Attribute{attr(typ, nil)})
	if err != nil {
		return nil, err
	}
	if len(got) != 1 || got[0].Type != typ {
		return nil, fmt.Errorf("%w: asked for attribute %#x", ErrModule, typ)
	}
	return got[0].Value, nil
}

// object is one that was found.
type object struct {
	handle p11.ObjectHandle
	id     []byte
}

// maxFound bounds how many objects of one kind are looked at.
const maxFound = 1 << 16

// search finds the objects of a class and role, and reads their CKA_ID.
func search(m module, s p11.SessionHandle, class uint, r role, id []byte) ([]object, error) {
	t := []*p11.Attribute{attr(p11.CKA_CLASS, class), attr(p11.CKA_TOKEN, true), attr(p11.CKA_LABEL, r.label())}
	if id != nil {
		t = append(t, attr(p11.CKA_ID, id))
	}
	handles, err := findAll(m, s, t)
	if err != nil {
		return nil, fmt.Errorf("pkcs11: look for the %s key: %w", r, err)
	}
	var out []object
	for _, h := range handles {
		got, err := attribute(m, s, h, p11.CKA_ID)
		if is(err, p11.CKR_OBJECT_HANDLE_INVALID) {
			continue // destroyed meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("pkcs11: name of a %s key: %w", r, err)
		}
		if id == nil || bytes.Equal(got, id) {
			out = append(out, object{h, got})
		}
	}
	return out, nil
}

func findAll(m module, s p11.SessionHandle, t []*p11.Attribute) (out []p11.ObjectHandle, err error) {
	if err := m.FindObjectsInit(s, t); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.FindObjectsFinal(s)) }()
	for len(out) < maxFound {
		some, _, err := m.FindObjects(s, 64)
		if err != nil {
			return nil, err
		}
		if len(some) == 0 {
			return out, nil
		}
		out = append(out, some...)
	}
	return nil, fmt.Errorf("%w: more than %d objects", ErrModule, maxFound)
}

// loggedIn makes sure that private objects would be seen in a session. A token that was reset answers a search with nothing, which must not be taken
// for "destroyed".
func loggedIn(m module, s p11.SessionHandle) error {
	i, err := m.GetSessionInfo(s)
	if err != nil {
		return fmt.Errorf("pkcs11: state of the session: %w", err)
	}
	if i.State != p11.CKS_RW_USER_FUNCTIONS {
		return errLoggedOut
	}
	return nil
}

// destroy destroys objects and makes sure that they are gone.
func destroy(m module, s p11.SessionHandle, class uint, r role, id []byte) error {
	found, err := search(m, s, class, r, id)
	if err != nil {
		return err
	}
	for _, o := range found {
		if err := m.DestroyObject(s, o.handle); err != nil && !is(err, p11.CKR_OBJECT_HANDLE_INVALID) {
			return fmt.Errorf("pkcs11: destroy the %s key: %w", r, err)
		}
	}
	if len(found) == 0 {
		return nil
	}
	if found, err = search(m, s, class, r, id); err != nil {
		return err
	}
	if len(found) > 0 {
		return fmt.Errorf("%w: it said that the %s key was destroyed, but it is there", ErrModule, r)
	}
	return nil
}
