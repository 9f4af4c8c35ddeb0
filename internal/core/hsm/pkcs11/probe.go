// SPDX-License-Identifier: Apache-2.0

package pkcs11

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	p11 "github.com/miekg/pkcs11"

	"strongroom/internal/core/hsm"
	"strongroom/internal/secret"
)

// Report is what a library and one of its tokens can do.
type Report struct {
	Library  string    `json:"library"`  // its own description and version
	Cryptoki string    `json:"cryptoki"` // version of the standard that it says it follows
	Tokens   []Token   `json:"tokens"`   // those that are there
	Token    string    `json:"token,omitempty"`
	Checks   []Check   `json:"checks,omitempty"`
	Profiles []Profile `json:"profiles,omitempty"`
}

// Check is one thing that was tried.
type Check struct {
	Name   string `json:"name"`
	Works  bool   `json:"works"`
	Detail string `json:"detail,omitempty"`
}

// Profile is a use that we have for tokens, and whether this one fits.
type Profile struct {
	Name    string   `json:"name"`
	Fits    bool     `json:"fits"`
	Missing []string `json:"missing,omitempty"` // names of checks
}

// Names of checks.
const (
	checkObjects   = "AES-256 keys that stay in the token"
	checkSecret    = "their value is refused"
	checkUnwrapped = "wrapping them is refused"
	checkCopy      = "a weaker copy is refused"
	checkUse       = "another use of them is refused"
	checkAllowed   = "allowed mechanisms are enforced"
	checkRoles     = "one key that wraps and decrypts is refused"
	checkGCM       = "AES-GCM with additional data"
	checkCMAC      = "AES-CMAC"
	checkRandom    = "random bytes"
	checkWrap      = "AES-KWP wrapping (RFC 5649)"
)

// probing is a probe under way: keys that last as long as its session.
type probing struct {
	m    module
	s    p11.SessionHandle
	root *Root // for its arena; it has no files
}

type probe struct {
	name string
	try  func(p probing) (detail string, err error)
}

func checks() []probe {
	all := []probe{
		{checkObjects, probing.objects}, {checkSecret, probing.secret}, {checkUnwrapped, probing.unwrapped}, {checkCopy, probing.copy}, {checkUse, probing.otherUse},
		{checkAllowed, probing.allowed}, {checkRoles, probing.roles}, {checkGCM, probing.gcm}, {checkCMAC, probing.cmac}, {checkRandom, probing.random}, {checkWrap, probing.wrap},
	}
	for _, a := range hsm.Algorithms() {
		all = append(all, probe{keyCheck(a), func(p probing) (string, error) { return p.key(a) }})
	}
	for _, a := range []curve{{"ecdsa-p384", paramsP384, elliptic.P384()}, {"ecdsa-p521", paramsP521, elliptic.P521()}} {
		all = append(all, probe{keyCheck(a.name), func(p probing) (string, error) { return p.nist(a) }})
	}
	all = append(all, probe{keyCheck("rsa-3072"), probing.rsa})
	for _, a := range hsm.Algorithms() {
		all = append(all, probe{wrappedCheck(a), func(p probing) (string, error) { return p.wrapped(a) }})
	}
	return all
}

func keyCheck(a hsm.Algorithm) string     { return "make a key and sign: " + string(a) }
func wrappedCheck(a hsm.Algorithm) string { return "wrap a key and sign: " + string(a) }

// Info tells about the library and the tokens that are there. It needs no PIN.
func (l *Library) Info() (Report, error) {
	i, err := call(l, "C_GetInfo", func(m module) (p11.Info, error) { return m.GetInfo() })
	if err != nil {
		return Report{}, fmt.Errorf("pkcs11: ask the library what it is: %w", err)
	}
	out := Report{Library: fmt.Sprintf("%s, %s, version %d.%d", plain(i.ManufacturerID), plain(i.LibraryDescription), i.LibraryVersion.Major, i.LibraryVersion.Minor),
		Cryptoki: fmt.Sprintf("%d.%d", i.CryptokiVersion.Major, i.CryptokiVersion.Minor)}
	out.Tokens, err = l.Tokens()
	return out, err
}

// Probe tells what a token can do, by trying, because mechanism lists say both too much and too little. All that it makes lasts as long as its session, but for
// one key that it destroys; where that fails, an object with the label "strongroom probe" is left.
func (l *Library) Probe(ctx context.Context, name string, pin secret.Bytes, attended bool) (Report, error) {
	out, err := l.Info()
	if err != nil {
		return out, err
	}
	t, err := l.login(name, pin, attended)
	if err != nil {
		return out, err
	}
	out.Token = t.info.Label
	r := &Root{lib: l, token: t}
	for _, c := range checks() {
		if err = ctx.Err(); err != nil {
			break
		}
		var detail string
		detail, err = with(ctx, t, c.name, func(m module, s p11.SessionHandle) (string, error) { return c.try(probing{m, s, r}) })
		if errors.Is(err, ErrHung) || errors.Is(err, ErrLost) || errors.Is(err, ErrWrongPIN) {
			break
		}
		if err != nil {
			detail, err = strings.TrimPrefix(err.Error(), "pkcs11: "), nil
			out.Checks = append(out.Checks, Check{Name: c.name, Detail: detail})
			continue
		}
		out.Checks = append(out.Checks, Check{Name: c.name, Works: true, Detail: detail})
	}
	if err = errors.Join(err, t.release()); err == nil {
		out.Profiles = profiles(out.Checks)
	}
	return out, err
}

// profiles says which of our uses a token fits.
func profiles(done []Check) []Profile {
	root := []string{checkObjects, checkSecret, checkUnwrapped, checkCopy, checkGCM, checkCMAC, checkRandom}
	resident, wrapped := slices.Clone(root), append(slices.Clone(root), checkWrap)
	for _, a := range hsm.Algorithms() {
		resident = append(resident, keyCheck(a))
		wrapped = append(wrapped, wrappedCheck(a))
	}
	works := map[string]bool{}
	for _, c := range done {
		works[c.Name] = c.Works
	}
	var out []Profile
	for _, p := range []struct {
		name  string
		needs []string
	}{{"root", root}, {"root + token keys", resident}, {"root + wrapped token keys", wrapped}} {
		missing := slices.DeleteFunc(p.needs, func(n string) bool { return works[n] })
		out = append(out, Profile{Name: p.name, Fits: len(missing) == 0, Missing: missing})
	}
	return out
}

// template gives the attributes of a key of a role that ends with the session.
func (p probing) template(r role, change ...*p11.Attribute) []*p11.Attribute {
	t := aesTemplate(r, []byte("strongroom probe"))
	for _, c := range append([]*p11.Attribute{attr(p11.CKA_TOKEN, false), attr(p11.CKA_LABEL, "strongroom probe")}, change...) {
		if i := slices.IndexFunc(t, func(a *p11.Attribute) bool { return a.Type == c.Type }); i >= 0 {
			t[i] = c
		} else {
			t = append(t, c)
		}
	}
	return t
}

func (p probing) make(r role, change ...*p11.Attribute) (p11.ObjectHandle, error) {
	return p.m.GenerateKey(p.s, []*p11.Mechanism{p11.NewMechanism(p11.CKM_AES_KEY_GEN, nil)}, p.template(r, change...))
}

// objects makes and destroys a key as the root does.
func (p probing) objects() (string, error) {
	id := []byte("strongroom probe")
	if err := destroy(p.m, p.s, p11.CKO_SECRET_KEY, roleSeal, id); err != nil {
		return "", err
	}
	if _, err := generateAES(p.m, p.s, roleSeal, id); err != nil {
		return "", err
	}
	return "", destroy(p.m, p.s, p11.CKO_SECRET_KEY, roleSeal, id)
}

// refused turns round the outcome of what must fail. A token that is lost or misbehaves has refused nothing.
func refused(err error, allowed string) (string, error) {
	switch e, ok := code(err); {
	case err == nil:
		return "", errors.New(allowed)
	case !ok || lost(err) || is(err, p11.CKR_DEVICE_ERROR, p11.CKR_DEVICE_MEMORY, p11.CKR_HOST_MEMORY):
		return "", err
	default:
		return strings.TrimSuffix(strings.TrimPrefix(p11.Error(e).Error(), "pkcs11: "), ": "), nil // the module has no name for newer values
	}
}

func (p probing) secret() (string, error) {
	k, err := p.make(roleSeal)
	if err != nil {
		return "", err
	}
	v, err := attribute(p.m, p.s, k, p11.CKA_VALUE)
	if err == nil && len(v) == 0 {
		return "its value is empty", nil
	}
	return refused(err, "the token gave the value of a key that it was told to keep")
}

func (p probing) unwrapped() (string, error) {
	k, err := p.make(roleSeal)
	if err != nil {
		return "", err
	}
	wrap, err := p.make(roleWrap)
	if err != nil {
		return "it has no keys that wrap", nil
	}
	for _, mech := range []uint{ckmAESKeyWrapKWP, p11.CKM_AES_KEY_WRAP_PAD, p11.CKM_AES_KEY_WRAP} {
		_, err = p.m.WrapKey(p.s, []*p11.Mechanism{p11.NewMechanism(mech, nil)}, wrap, k)
		if detail, err := refused(err, "the token wrapped a key that it was told to keep"); err != nil {
			return detail, err
		}
	}
	return "", nil
}

func (p probing) copy() (string, error) {
	k, err := p.make(roleSeal, attr(p11.CKA_COPYABLE, false))
	if unknownAttribute(err) {
		k, err = p.make(roleSeal)
	}
	if err != nil {
		return "", err
	}
	_, err = p.m.CopyObject(p.s, k, []*p11.Attribute{attr(p11.CKA_EXTRACTABLE, true), attr(p11.CKA_SENSITIVE, false)})
	return refused(err, "the token made a copy that can be read")
}

func (p probing) otherUse() (string, error) {
	k, err := p.make(roleMAC)
	if err != nil {
		return "", err
	}
	params := p11.NewGCMParams(make([]byte, ivSize), nil, tagSize*8)
	defer params.Free()
	return refused(p.m.EncryptInit(p.s, []*p11.Mechanism{p11.NewMechanism(p11.CKM_AES_GCM, params)}, k), "a key for signing encrypts")
}

func (p probing) allowed() (string, error) {
	k, err := p.make(roleSeal, attr(p11.CKA_ALLOWED_MECHANISMS, mechanismList([]uint{p11.CKM_AES_GCM})))
	if err != nil {
		return "", err
	}
	err = p.m.EncryptInit(p.s, []*p11.Mechanism{p11.NewMechanism(p11.CKM_AES_CBC, make([]byte, 16))}, k)
	return refused(err, "a key for AES-GCM only encrypts with AES-CBC")
}

func (p probing) roles() (string, error) {
	_, err := p.make(roleWrap, attr(p11.CKA_DECRYPT, true))
	return refused(err, "such a key is made; nothing here asks for one")
}

func (p probing) gcm() (string, error) {
	k, err := p.make(roleSeal)
	if err != nil {
		return "", err
	}
	part, err := secret.Take(p.root.lib.cfg.Arena, bytes.Repeat([]byte{7}, partSize))
	if err != nil {
		return "", err
	}
	defer part.Wipe()
	iv, sealed, err := encryptPart(p.m, p.s, k, []byte("header"), part)
	if err != nil {
		return "", err
	}
	again, err := p.root.decrypt(p.m, p.s, k, []byte("header"), iv, sealed)
	if err != nil {
		return "", err
	}
	defer again.Wipe()
	if !again.Equal(part) {
		return "", errors.New("what was encrypted decrypts to something else")
	}
	wrong, err := p.root.decrypt(p.m, p.s, k, []byte("another"), iv, sealed)
	if err == nil {
		wrong.Wipe()
		return "", errors.New("other additional data is accepted")
	}
	return "", nil
}

func (p probing) cmac() (string, error) {
	k, err := p.make(roleMAC)
	if err != nil {
		return "", err
	}
	one, two := make([]byte, macSize), make([]byte, macSize)
	err = errors.Join(cmac(p.m, p.s, k, []byte("a"), one), cmac(p.m, p.s, k, []byte("a"), two))
	if err == nil && !bytes.Equal(one, two) {
		err = errors.New("the same message has two MACs")
	}
	return "", err
}

func (p probing) random() (string, error) {
	one, two := make([]byte, 32), make([]byte, 32)
	err := errors.Join(p.m.Random(p.s, one), p.m.Random(p.s, two))
	if err == nil && bytes.Equal(one, two) {
		err = errors.New("the same bytes twice")
	}
	return "", err
}

func (p probing) wrap() (string, error) {
	k, err := p.make(roleWrap)
	if err != nil {
		return "", err
	}
	mech, err := tryWrap(p.m, p.s, k)
	switch {
	case err != nil:
		return "", err
	case mech == 0:
		return "", errors.New("neither 0x210B nor 0x210A wraps")
	}
	return fmt.Sprintf("mechanism 0x%04X", mech), nil
}

func (p probing) key(name hsm.Algorithm) (string, error) {
	private, public, _, err := algorithms[name].makePair(p.m, p.s, []byte("strongroom probe"), true)
	if err != nil {
		return "", err
	}
	return "", errors.Join(p.m.DestroyObject(p.s, private), p.m.DestroyObject(p.s, public))
}

func (p probing) wrapped(name hsm.Algorithm) (string, error) {
	wrap, err := p.make(roleWrap)
	if err != nil {
		return "", err
	}
	r := &Root{lib: p.root.lib, token: p.root.token}
	if r.record.KWP, err = tryWrap(p.m, p.s, wrap); err != nil {
		return "", err
	}
	if r.record.KWP == 0 {
		return "", errors.New("the token can't wrap keys")
	}
	_, err = r.makeWrapped(p.m, p.s, algorithms[name], wrap)
	return "", err
}

// curve is one of those on which nothing of ours signs yet.
type curve struct {
	name   hsm.Algorithm
	params []byte
	curve  elliptic.Curve
}

// nist makes a key on a NIST curve and signs.
func (p probing) nist(c curve) (string, error) {
	size := (c.curve.Params().BitSize + 7) / 8
	a := algorithm{name: c.name, keyType: p11.CKK_EC, params: [][]byte{c.params}, generate: p11.CKM_EC_KEY_PAIR_GEN, sign: p11.CKM_ECDSA,
		public: func(b []byte) ([]byte, error) { return unpack(b, 1+2*size), nil },
		signature: func(sig []byte) ([]byte, error) {
			if len(sig) != 2*size {
				return nil, wrongLength("a signature", len(sig), 2*size)
			}
			return sig, nil
		},
		verify: func(public, input, sig []byte) bool {
			k, err := ecdsa.ParseUncompressedPublicKey(c.curve, public)
			return err == nil && ecdsa.Verify(k, input, new(big.Int).SetBytes(sig[:size]), new(big.Int).SetBytes(sig[size:]))
		}}
	_, _, _, err := a.makePair(p.m, p.s, []byte("strongroom probe"), false)
	return "", err
}

// rsa makes an RSA key and signs, PKCS #1 v1.5 with SHA-256.
func (p probing) rsa() (string, error) {
	public, private, err := p.m.GenerateKeyPair(p.s, []*p11.Mechanism{p11.NewMechanism(p11.CKM_RSA_PKCS_KEY_PAIR_GEN, nil)},
		[]*p11.Attribute{attr(p11.CKA_MODULUS_BITS, uint(3072)), attr(p11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1}), attr(p11.CKA_TOKEN, false), attr(p11.CKA_VERIFY, true)},
		[]*p11.Attribute{attr(p11.CKA_TOKEN, false), attr(p11.CKA_PRIVATE, true), attr(p11.CKA_SENSITIVE, true), attr(p11.CKA_EXTRACTABLE, false), attr(p11.CKA_SIGN, true)})
	if err != nil {
		return "", err
	}
	n, err := attribute(p.m, p.s, public, p11.CKA_MODULUS)
	if err != nil {
		return "", err
	}
	if err := p.m.SignInit(p.s, []*p11.Mechanism{p11.NewMechanism(p11.CKM_SHA256_RSA_PKCS, nil)}, private); err != nil {
		return "", err
	}
	sig := make([]byte, maxSignature)
	size, err := p.m.Sign(p.s, []byte("message"), sig)
	if err != nil {
		return "", err
	}
	h := sha256.Sum256([]byte("message"))
	return "", rsa.VerifyPKCS1v15(&rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 65537}, crypto.SHA256, h[:], sig[:size])
}
